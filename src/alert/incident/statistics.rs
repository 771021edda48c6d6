//! Figures of incidents: how many of what, and how long they took.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Incident, Status};
use crate::promql::moment;

/// How long something took, of several incidents.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<i64>);

impl Times {
    fn add(&mut self, time: i64) {
        self.0.push(time.max(0));
    }

    /// Count, mean, median and longest, in seconds.
    fn json(&mut self) -> Json {
        self.0.sort_unstable();
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let (count, sum) = (self.0.len(), self.0.iter().map(|ms| seconds(*ms)).sum::<f64>());
        let some = |value: f64| (count > 0).then_some(value);
        json!({
            "count": count,
            "mean": some(sum / count.max(1) as f64),
            "median": self.0.get(count / 2).map(|ms| seconds(*ms)),
            "longest": self.0.last().map(|ms| seconds(*ms)),
        })
    }
}

/// Figures of the incidents that were added.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    total: u64,
    escalated: u64,
    by_state: BTreeMap<&'static str, u64>,
    by_severity: BTreeMap<String, u64>,
    by_alert: BTreeMap<String, u64>,
    by_day: BTreeMap<String, u64>,
    acknowledge: Times,
    resolve: Times,
}

/// Alerts that are listed, the most frequent first.
const ALERTS: usize = 50;

impl Statistics {
    /// Adds an incident.
    pub fn add(&mut self, incident: &Incident) {
        self.total += 1;
        self.escalated += u64::from(incident.escalated.is_some());
        *self.by_state.entry(incident.status.as_str()).or_default() += 1;
        *self.by_severity.entry(incident.severity.clone()).or_default() += 1;
        *self.by_alert.entry(incident.alert.clone()).or_default() += 1;
        let day = moment(incident.started).chars().take(10).collect();
        *self.by_day.entry(day).or_default() += 1;
        if let Some(at) = incident.acknowledged {
            self.acknowledge.add(at.saturating_sub(incident.opened));
        }
        if let Some(at) = incident.resolved {
            self.resolve.add(at.saturating_sub(incident.started));
        }
    }

    /// As JSON.
    #[must_use]
    pub fn json(mut self) -> Json {
        let state = |status: Status| self.by_state.get(status.as_str()).copied().unwrap_or_default();
        let states: BTreeMap<&str, u64> =
            Status::ALL.into_iter().map(|status| (status.as_str(), state(status))).collect();
        let mut alerts: Vec<(&String, &u64)> = self.by_alert.iter().collect();
        alerts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let most = alerts.first().map(|(alert, count)| json!({"alert": alert, "count": count}));
        let listed: Vec<Json> = alerts
            .iter()
            .take(ALERTS)
            .map(|(alert, count)| json!({"alert": alert, "count": count}))
            .collect();
        json!({
            "total": self.total,
            "escalated": self.escalated,
            "by_state": states,
            "by_severity": self.by_severity,
            "by_day": self.by_day,
            "by_alert": listed,
            "most_frequent": most,
            "seconds_to_acknowledge": self.acknowledge.json(),
            "seconds_to_resolve": self.resolve.json(),
        })
    }
}
