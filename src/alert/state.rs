//! The states of the alerts of one rule: pending, firing, resolved. Time is data, in milliseconds.
//!
//! Fact: `rules/alerting.go` of Prometheus.

use std::collections::BTreeMap;

use crate::event::Jump;
use crate::promql::Labels;

/// Where an alert is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is over.
    Inactive,
    /// Its condition holds, but not for long enough yet.
    Pending,
    /// Its condition held for long enough.
    Firing,
}

impl State {
    /// Its name in labels and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert: one series of the answer of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its state.
    pub state: State,
    /// Its labels, its name among them. They identify it.
    pub labels: Labels,
    /// What people are told about it.
    pub annotations: Labels,
    /// The value of its series.
    pub value: f64,
    /// Since when its condition holds.
    pub active_at: i64,
    /// Since when it fires.
    pub fired_at: Option<i64>,
    /// Since when it is over, if it fired.
    pub resolved_at: Option<i64>,
    /// Since when it fires without its condition.
    pub kept_since: Option<i64>,
    /// When it was last sent.
    pub sent_at: Option<i64>,
}

/// For how long an alert that is over is sent: a receiver that missed it hears of it still.
const RESOLVED_FOR: i64 = 15 * 60_000;

/// The alerts of a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts(BTreeMap<Labels, Alert>);

/// The times of a rule, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) hold: i64,
    pub(super) keep_firing: i64,
    /// How many alerts it may have; 0 for any number.
    pub(super) limit: usize,
}

impl Alerts {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Alert> {
        self.0.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Alert> {
        self.0.values_mut()
    }

    /// Takes over what an evaluation at `now` found, and moves every alert on.
    ///
    /// # Errors
    /// There are more than there may be; then all are forgotten, as in Prometheus.
    pub(super) fn advance(
        &mut self,
        now: i64,
        found: BTreeMap<Labels, Alert>,
        times: Times,
    ) -> Result<(), String> {
        let present: std::collections::BTreeSet<Labels> = found.keys().cloned().collect();
        for (labels, alert) in found {
            match self.0.get_mut(&labels).filter(|known| known.state != State::Inactive) {
                Some(known) => {
                    known.value = alert.value;
                    known.annotations = alert.annotations;
                }
                None => {
                    self.0.insert(labels, alert);
                }
            }
        }
        let mut active = 0;
        self.0.retain(|labels, alert| {
            if present.contains(labels) {
                alert.kept_since = None;
            } else {
                if alert.kept(now, times.keep_firing) {
                    active += 1;
                    return true;
                }
                let over = alert.resolved_at.is_some_and(|since| now.saturating_sub(since) > RESOLVED_FOR);
                if alert.state == State::Pending || over {
                    return false;
                }
                if alert.state == State::Firing {
                    alert.state = State::Inactive;
                    alert.resolved_at = Some(now);
                }
                return true;
            }
            active += 1;
            if alert.state == State::Pending && now.saturating_sub(alert.active_at) >= times.hold {
                alert.state = State::Firing;
                alert.fired_at = Some(now);
            }
            true
        });
        if times.limit > 0 && active > times.limit {
            self.0.clear();
            return Err(format!("exceeded limit of {} with {active} alerts", times.limit));
        }
        Ok(())
    }

    /// When one of them is to be looked at again, though nothing else happened: its time of waiting ends.
    pub(super) fn due(&self, times: Times) -> Option<i64> {
        let due = self.0.values().filter_map(|alert| match (alert.state, alert.kept_since) {
            (State::Pending, _) => Some(alert.active_at.saturating_add(times.hold)),
            (State::Firing, Some(since)) => Some(since.saturating_add(times.keep_firing)),
            _ => None,
        });
        due.min()
    }
}

impl Alerts {
    pub(super) fn insert(&mut self, alert: Alert) {
        self.0.insert(alert.labels.clone(), alert);
    }
}

impl Alert {
    /// The clock was set: its times go along. What fires is sent again: receivers know it by other times.
    pub(super) fn shift(&mut self, jump: &Jump) {
        jump.shift(&mut self.active_at);
        for time in [&mut self.fired_at, &mut self.resolved_at, &mut self.kept_since, &mut self.sent_at] {
            time.iter_mut().for_each(|time| jump.shift(time));
        }
        if self.state == State::Firing {
            self.sent_at = None;
        }
    }

    /// Whether it fires on without its condition.
    fn kept(&mut self, now: i64, keep_firing: i64) -> bool {
        if self.state != State::Firing || keep_firing == 0 {
            return false;
        }
        let since = *self.kept_since.get_or_insert(now);
        now.saturating_sub(since) < keep_firing
    }

    /// Whether it is to be sent at `now`, when what fires is sent again every `resend` milliseconds.
    #[must_use]
    pub fn needs_sending(&self, now: i64, resend: i64) -> bool {
        match (self.state, self.sent_at) {
            (State::Pending, _) => false,
            (_, None) => true,
            (_, Some(sent)) => {
                self.resolved_at.is_some_and(|over| over > sent) || sent.saturating_add(resend) < now
            }
        }
    }
}
