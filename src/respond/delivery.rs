//! How it goes with one server or receiver, and how long what is sent holds.

/// How long what was known before a restart is valid, ms: by then the rules have been evaluated again.
pub(super) const VALID: i64 = 240_000;

/// Until when an alert is valid that is sent at `at` and fires, ms: for four times as long as until the next notice. That is `resend` later, or
/// an interval of its group if that is longer.
///
/// Fact: `sendAlerts` in `rules/alerting.go` of Prometheus.
pub(super) fn valid_until(at: i64, resend: i64, interval: i64) -> i64 {
    at.saturating_add(resend.max(interval).saturating_mul(4))
}

/// What waits, and what became of the rest, for one server or receiver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// What it is: `alertmanager`, `slack`.
    pub integration: &'static str,
    /// Which one, as it may be shown.
    pub receiver: String,
    /// Alerts that wait for a server, notifications that wait for a receiver.
    pub waiting: usize,
    /// Those that it took.
    pub sent: u64,
    /// Attempts that it did not take.
    pub failures: u64,
    /// Alerts that had no room.
    pub dropped: u64,
    /// Seconds from the change of an alert to the answer of a server, from the notification to that of a receiver; of the last one.
    pub latency: f64,
    /// Why the last attempt failed; nothing if it did not.
    pub failing: Option<String>,
}

impl Delivery {
    /// It took so many.
    pub(super) fn took(&mut self, count: u64) {
        self.sent += count;
        if self.failing.take().is_some() {
            tracing::info!("{} {} takes alerts again", self.integration, self.receiver);
        }
    }

    /// It did not take something.
    pub(super) fn refused(&mut self, why: &str) {
        self.failures += 1;
        if self.failing.as_deref() != Some(why) {
            let (integration, receiver) = (self.integration, &self.receiver);
            tracing::warn!("{integration} {receiver} takes no alerts, they wait: {why}");
        }
        self.failing = Some(why.to_owned());
    }
}
