//! Alerts to notifications, as Alertmanager makes them: routed, grouped, held back, repeated. Pure: time is data, in milliseconds.
//!
//! [`Dispatcher::post`] takes alerts, [`Dispatcher::poll`] gives what is to be sent now, [`Dispatcher::done`] hears what became of it.
//! Facts: `dispatch`, `notify`, `inhibit` and `nflog` of Alertmanager. Three things differ, each because one agent is not a cluster:
//!
//! - A receiver that was not reached hears of an alert that came and went meanwhile. Alertmanager forgets it.
//! - A receiver that does not answer is tried with one notification at a time, and when it is back, all that waits is sent at once.
//! - A repeat interval counts from when a notification was put together, not from when it was delivered.

mod endpoint;
mod flush;
mod log;
mod message;
mod plan;
mod posted;
mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::endpoint::Endpoint;
use self::log::{Entry, Parts};
pub(super) use self::plan::Tests;
use self::plan::Zones as ZonesOf;
use crate::event::Jump;
use crate::promql::Labels;

pub use self::log::Reason;
pub use self::message::{Message, Sheet, Status};
pub use self::plan::{Integration, Plan, Zones};
pub use self::posted::PostedAlert;
pub use self::saved::Saved;

/// Alerts that are known at once.
pub const MOST_ALERTS: usize = 10_000;
/// Bytes of all their labels and annotations.
pub const MOST_BYTES: usize = 64 << 20;

/// A group: a route, and the labels by which it groups.
type Key = (usize, Labels);

/// What is true of a moment that the dispatcher does not know by itself.
pub struct Around<'a> {
    /// The time of a place.
    pub zones: ZonesOf<'a>,
    /// Whether a silence covers these labels.
    pub silenced: &'a dyn Fn(&Labels) -> bool,
}

impl std::fmt::Debug for Around<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Around").finish_non_exhaustive()
    }
}

/// What became of an attempt to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It did not, and the same will not be taken later either: it is put together again at the group's next time.
    Refused,
    /// It did not, and may take it later.
    Failed,
}

/// Something to send now.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What [`Dispatcher::done`] is given back.
    pub ticket: Ticket,
    /// Where it goes.
    pub endpoint: usize,
    /// What is sent.
    pub message: Arc<Message>,
}

/// An attempt that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    group: Key,
    integration: Arc<str>,
    number: u64,
}

/// How it stands with what goes to one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DestinationStatus {
    /// Notifications that wait or are on their way.
    pub notifications: usize,
    /// Since when the oldest waits, ms.
    pub since: Option<i64>,
}

/// What is sent, and what the log has when it was.
#[derive(Clone, Debug)]
struct Content {
    message: Arc<Message>,
    parts: Parts,
    at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Waits,
    /// On its way, under this number.
    Sent(u64),
    /// Refused: nothing is tried before the group's next time.
    Refused,
}

/// A notification that a receiver owes an answer to.
#[derive(Clone, Debug)]
struct Job {
    content: Content,
    /// What takes its place once the answer is there.
    newer: Option<Content>,
    step: Step,
    endpoint: usize,
    attempts: u32,
    /// Since when this receiver is to be notified, ms.
    since: i64,
}

#[derive(Clone, Debug)]
struct Group {
    key: Arc<str>,
    members: BTreeMap<Labels, Arc<PostedAlert>>,
    /// When it is looked at next, ms.
    next: i64,
    /// When it was looked at last, ms.
    flushed: Option<i64>,
    jobs: BTreeMap<Arc<str>, Job>,
    /// Integrations that were not reached before a restart.
    owed: BTreeSet<Arc<str>>,
}

/// All groups, and the notification log.
#[derive(Clone, Debug)]
pub struct Dispatcher {
    plan: Plan,
    groups: BTreeMap<Key, Group>,
    /// By the key of the group and the integration.
    log: BTreeMap<(Arc<str>, Arc<str>), Entry>,
    endpoints: BTreeMap<usize, Endpoint>,
    /// Every alert that some group has, with the number of groups.
    alerts: BTreeMap<Labels, (Arc<PostedAlert>, usize)>,
    bytes: usize,
    numbers: u64,
    /// Alerts that had no room.
    dropped: u64,
    /// Counts what must be written to disk.
    changes: u64,
}

impl Dispatcher {
    /// One without alerts.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        Self {
            plan,
            groups: BTreeMap::new(),
            log: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            alerts: BTreeMap::new(),
            bytes: 0,
            numbers: 0,
            dropped: 0,
            changes: 0,
        }
    }

    /// Takes alerts that fire or are over.
    pub fn post(&mut self, now: i64, alerts: impl IntoIterator<Item = PostedAlert>) {
        for alert in alerts {
            self.take(now, alert);
        }
    }

    fn take(&mut self, now: i64, alert: PostedAlert) {
        let known = self.alerts.get(&alert.labels).map(|(known, _)| known.clone());
        let room = self.alerts.len() < MOST_ALERTS && self.bytes + alert.weight() <= MOST_BYTES;
        if known.is_none() && !room {
            self.dropped += 1;
            return;
        }
        let alert = Arc::new(match &known {
            Some(known) => alert.after(known),
            None => alert,
        });
        if known.as_ref().is_none_or(|known| {
            (known.starts_at, known.is_over(now)) != (alert.starts_at, alert.is_over(now))
        }) {
            self.changes += 1;
        }
        if !alert.is_over(now) {
            self.plan.may_mute(&alert.labels);
        }
        for route in self.plan.route(&alert.labels) {
            self.insert(now, route, &alert);
        }
    }

    fn insert(&mut self, now: i64, route: usize, alert: &Arc<PostedAlert>) {
        let node = &self.plan.nodes[route];
        let labels = node.group_labels(&alert.labels);
        let key = node.group_key(&labels);
        let begun = alert.starts_at.saturating_add(node.wait);
        // One that fires for long already, as after a restart, waits no more.
        let next = if begun < now { now } else { now.saturating_add(node.wait) };
        let group = self.groups.entry((route, labels)).or_insert_with(|| Group {
            key,
            members: BTreeMap::new(),
            next,
            flushed: None,
            jobs: BTreeMap::new(),
            owed: BTreeSet::new(),
        });
        let was = group.members.insert(alert.labels.clone(), alert.clone());
        self.bytes += alert.weight();
        self.bytes -= was.as_ref().map_or(0, |was| was.weight());
        let (newest, groups) = self.alerts.entry(alert.labels.clone()).or_insert_with(|| (alert.clone(), 0));
        *newest = alert.clone();
        *groups += usize::from(was.is_none());
    }

    /// Takes alerts out of a group.
    fn remove(&mut self, of: &Key, gone: &[Labels]) {
        let Some(group) = self.groups.get_mut(of) else { return };
        for labels in gone {
            let Some(alert) = group.members.remove(labels) else { continue };
            self.bytes -= alert.weight();
            if let Some((_, groups)) = self.alerts.get_mut(labels) {
                *groups -= 1;
                if *groups == 0 {
                    self.alerts.remove(labels);
                }
            }
        }
        if group.members.is_empty() {
            self.groups.remove(of);
        }
        self.changes += 1;
    }

    /// When [`Dispatcher::poll`] has something to do next.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        let flushes = self.groups.values().map(|group| group.next);
        let waits = |job: &&Job| job.step == Step::Waits;
        let jobs = self.groups.values().flat_map(|group| group.jobs.values().filter(waits));
        let tries = jobs.filter_map(|job| self.endpoint(job.endpoint).next());
        flushes.chain(tries).min()
    }

    fn endpoint(&self, number: usize) -> Endpoint {
        self.endpoints.get(&number).copied().unwrap_or_default()
    }

    /// What is to be sent at `now`.
    pub fn poll(&mut self, now: i64, around: &Around<'_>) -> Vec<Attempt> {
        let due: Vec<Key> =
            self.groups.iter().filter(|(_, group)| group.next <= now).map(|(key, _)| key.clone()).collect();
        for key in &due {
            self.flush(key, now, around);
        }
        if !due.is_empty() {
            let before = self.log.len();
            self.log.retain(|_, entry| entry.expires > now);
            self.changes += u64::from(before != self.log.len());
        }
        self.begin(now)
    }

    /// Begins as many attempts as the endpoints take at once: what was tried least first, then what waits longest.
    fn begin(&mut self, now: i64) -> Vec<Attempt> {
        let mut waiting: Vec<(u32, i64, Key, Arc<str>)> = Vec::new();
        for (key, group) in &self.groups {
            for (id, job) in &group.jobs {
                let open = self.endpoints.get(&job.endpoint).is_none_or(|endpoint| endpoint.takes(now));
                if job.step == Step::Waits && open {
                    waiting.push((job.attempts, job.since, key.clone(), id.clone()));
                }
            }
        }
        waiting.sort();
        let mut attempts = Vec::new();
        for (_, _, key, id) in waiting {
            let Some(job) = self.groups.get_mut(&key).and_then(|group| group.jobs.get_mut(&id)) else {
                continue;
            };
            let endpoint = self.endpoints.entry(job.endpoint).or_default();
            if !endpoint.takes(now) {
                continue;
            }
            endpoint.begins();
            self.numbers += 1;
            job.step = Step::Sent(self.numbers);
            job.attempts += 1;
            attempts.push(Attempt {
                ticket: Ticket { group: key, integration: id, number: self.numbers },
                endpoint: job.endpoint,
                message: job.content.message.clone(),
            });
        }
        attempts
    }

    /// Hears what became of an attempt. `chance` is a number from 0 to 1, by chance: the pause before the next one depends on it.
    pub fn done(&mut self, now: i64, endpoint: usize, ticket: &Ticket, outcome: Outcome, chance: f64) {
        self.endpoints.entry(endpoint).or_default().answers(now, outcome, chance);
        let Some(group) = self.groups.get_mut(&ticket.group) else { return };
        let Some(job) = group.jobs.get_mut(&ticket.integration) else { return };
        if job.step != Step::Sent(ticket.number) {
            return;
        }
        let newer = job.newer.take();
        match outcome {
            Outcome::Delivered => {
                let (key, content) = (group.key.clone(), job.content.clone());
                group.jobs.remove(&ticket.integration);
                group.owed.remove(&ticket.integration);
                self.record(ticket.group.0, key, &ticket.integration, &content);
                if let Some(newer) = newer {
                    self.want(&ticket.group, &ticket.integration, newer);
                }
                self.settle(&ticket.group);
            }
            Outcome::Failed | Outcome::Refused => {
                job.step =
                    if outcome == Outcome::Refused && newer.is_none() { Step::Refused } else { Step::Waits };
                if let Some(newer) = newer {
                    job.content = newer;
                }
            }
        }
    }

    /// Writes a notification into the log.
    fn record(&mut self, route: usize, key: Arc<str>, integration: &Arc<str>, content: &Content) {
        let expires = content.at.saturating_add(self.plan.nodes[route].repeat.saturating_mul(2));
        let entry = Entry { at: content.at, expires, parts: content.parts.clone() };
        self.log.insert((key, integration.clone()), entry);
        self.changes += 1;
    }

    /// Moves all times: the clock was set.
    pub fn shift(&mut self, jump: &Jump) {
        let moved = |at: &mut i64| jump.shift(at);
        for group in self.groups.values_mut() {
            moved(&mut group.next);
            group.flushed.iter_mut().for_each(moved);
            group.jobs.values_mut().for_each(|job| moved(&mut job.since));
            for alert in group.members.values_mut() {
                Arc::make_mut(alert).shift(jump);
            }
        }
        for (alert, _) in self.alerts.values_mut() {
            Arc::make_mut(alert).shift(jump);
        }
        for entry in self.log.values_mut() {
            moved(&mut entry.at);
            moved(&mut entry.expires);
        }
        self.endpoints.values_mut().for_each(|endpoint| endpoint.shift(jump));
        self.changes += 1;
    }

    /// How it stands with what goes to a place.
    #[must_use]
    pub fn waiting(&self, endpoint: usize) -> DestinationStatus {
        let jobs = self.groups.values().flat_map(|group| group.jobs.values());
        let mut waiting = DestinationStatus::default();
        for job in jobs.filter(|job| job.endpoint == endpoint) {
            waiting.notifications += 1;
            waiting.since = Some(waiting.since.map_or(job.since, |since| since.min(job.since)));
        }
        waiting
    }

    /// Alerts that had no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A number that grows with everything that must outlive the process.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether an alert is known.
    #[must_use]
    pub fn knows(&self, labels: &Labels) -> bool {
        self.alerts.contains_key(labels)
    }
}

#[cfg(test)]
mod tests;
