//! The notification log: of what each receiver was last notified, and whether there is news. Fact: Alertmanager's `DedupStage`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::posted::PostedAlert;

/// Why a receiver is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It knows nothing of the group.
    First,
    /// Another alert fires.
    New,
    /// An alert is over, and others fire.
    Resolved,
    /// All are over.
    AllResolved,
    /// Nothing is new, for long enough.
    Repeat,
}

impl Reason {
    /// Its name in a webhook. Fact: `NotifyReason.String` of Alertmanager.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first notification",
            Self::New => "new alerts added",
            Self::Resolved => "some alerts resolved",
            Self::AllResolved => "all alerts resolved",
            Self::Repeat => "repeat interval elapsed",
        }
    }
}

/// Fingerprints of the alerts of a notification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) firing: BTreeSet<u64>,
    pub(super) resolved: BTreeSet<u64>,
}

impl Parts {
    pub(super) fn of(alerts: &[Arc<PostedAlert>], now: i64) -> Self {
        let (resolved, firing): (Vec<_>, Vec<_>) = alerts.iter().partition(|alert| alert.is_over(now));
        let prints = |of: Vec<&Arc<PostedAlert>>| of.into_iter().map(|alert| alert.fingerprint()).collect();
        Self { firing: prints(firing), resolved: prints(resolved) }
    }
}

/// A notification that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When its content was put together, ms.
    pub(super) at: i64,
    /// When it may be forgotten, ms.
    pub(super) expires: i64,
    pub(super) parts: Parts,
}

/// Whether there is news for a receiver, after the notification that it received last. `owed`: one before was not delivered, so that the
/// receiver hears of an alert that came and went meanwhile.
pub(super) fn news(
    last: Option<&Entry>,
    parts: &Parts,
    send_resolved: bool,
    owed: bool,
    repeat: i64,
    now: i64,
) -> Option<Reason> {
    if parts.firing.is_empty() {
        let knows = last.is_some_and(|last| !last.parts.firing.is_empty());
        return (knows || owed && send_resolved).then_some(Reason::AllResolved);
    }
    let Some(last) = last else { return Some(Reason::First) };
    if !parts.firing.is_subset(&last.parts.firing) {
        return Some(if last.parts.firing.is_empty() { Reason::First } else { Reason::New });
    }
    if send_resolved && !parts.resolved.is_subset(&last.parts.resolved) {
        return Some(Reason::Resolved);
    }
    (last.at <= now.saturating_sub(repeat)).then_some(Reason::Repeat)
}
