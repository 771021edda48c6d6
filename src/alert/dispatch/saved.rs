//! What outlives a restart: alerts, the times of groups, and the notification log.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::log::{Entry, Parts};
use super::posted::PostedAlert;
use super::{Dispatcher, Plan};
use crate::promql::Labels;

/// As it is written to disk.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// When it was written, ms.
    at: i64,
    alerts: Vec<SavedAlert>,
    groups: Vec<SavedGroup>,
    log: Vec<SavedEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedAlert {
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    starts_at: i64,
    ends_at: i64,
    link: String,
    updated_at: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedGroup {
    key: String,
    next: i64,
    flushed: Option<i64>,
    /// Integrations that were not reached.
    owed: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedEntry {
    group: String,
    integration: String,
    at: i64,
    expires: i64,
    firing: BTreeSet<u64>,
    resolved: BTreeSet<u64>,
}

impl Saved {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.log.is_empty()
    }
}

impl Dispatcher {
    /// What must outlive the process.
    #[must_use]
    pub fn save(&self, now: i64) -> Saved {
        let pairs = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let alert = |alert: &Arc<PostedAlert>| SavedAlert {
            labels: pairs(&alert.labels),
            annotations: pairs(&alert.annotations),
            starts_at: alert.starts_at,
            ends_at: alert.ends_at,
            link: alert.link.to_string(),
            updated_at: alert.updated_at,
        };
        let groups = self.groups.values().map(|group| SavedGroup {
            key: group.key.to_string(),
            next: group.next,
            flushed: group.flushed,
            owed: group.jobs.keys().chain(&group.owed).map(ToString::to_string).collect(),
        });
        let log = self.log.iter().map(|((group, integration), entry)| SavedEntry {
            group: group.to_string(),
            integration: integration.to_string(),
            at: entry.at,
            expires: entry.expires,
            firing: entry.parts.firing.clone(),
            resolved: entry.parts.resolved.clone(),
        });
        Saved {
            at: now,
            alerts: self.alerts.values().map(|(of, _)| alert(of)).collect(),
            groups: groups.collect(),
            log: log.collect(),
        }
    }

    /// One that continues where another ended, perhaps with another plan. What fired then is taken to fire for `valid` milliseconds more:
    /// by then the rules have said whether it does.
    #[must_use]
    pub fn restore(plan: Plan, saved: Saved, now: i64, valid: i64) -> Self {
        let mut dispatcher = Self::new(plan);
        for entry in saved.log {
            let parts = Parts { firing: entry.firing, resolved: entry.resolved };
            let log = Entry { at: entry.at, expires: entry.expires, parts };
            dispatcher.log.insert((entry.group.into(), entry.integration.into()), log);
        }
        for alert in saved.alerts {
            let fired = alert.ends_at > saved.at;
            let ends_at = if fired { alert.ends_at.max(now.saturating_add(valid)) } else { alert.ends_at };
            dispatcher.take(
                now,
                PostedAlert {
                    labels: Labels::from_pairs(alert.labels),
                    annotations: Labels::from_pairs(alert.annotations),
                    starts_at: alert.starts_at,
                    ends_at,
                    link: alert.link.into(),
                    updated_at: alert.updated_at,
                },
            );
        }
        let mut known: std::collections::BTreeMap<String, SavedGroup> =
            saved.groups.into_iter().map(|group| (group.key.clone(), group)).collect();
        for ((route, _), group) in &mut dispatcher.groups {
            let Some(saved) = known.remove(&*group.key) else { continue };
            let node = &dispatcher.plan.nodes[*route];
            let known = |id: &String| node.integrations.iter().any(|integration| *integration.id == **id);
            group.owed = saved.owed.into_iter().filter(known).map(Into::into).collect();
            group.flushed = saved.flushed;
            // Not later than a whole interval from now, whatever the clock was then.
            group.next = saved.next.min(now.saturating_add(node.interval.max(node.wait)));
            if !group.owed.is_empty() {
                group.next = now;
            }
        }
        dispatcher.changes += 1;
        dispatcher
    }
}
