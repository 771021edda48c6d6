//! The incidents that are open, and what becomes of them.
//!
//! An alert is one incident from its first notice to its end, whichever program tells of it. While the agent evaluates its rule, the agent's own
//! word decides when it is over: it looks at the same numbers as a Prometheus, but sooner.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Entry, EntryKind, Incident, Notice, Origin, Status, concerns};
use crate::catalog::alert::Priority;
use crate::event::Jump;
use crate::promql::Labels;

/// How much later a Prometheus may see the same episode, ms: it scrapes and evaluates at its own intervals.
const LAG: i64 = 120_000;

/// Incidents that are over and to which what a hook did can be added, and of which is known when hooks were run.
const ACTED_ON: usize = 1_000;

/// Bounds, and the times within which a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Incidents that are open.
    pub open: usize,
    /// Ends that are remembered, and incidents that wait to be written.
    pub closed: usize,
    /// For each priority, from P0 on: milliseconds without an acknowledgement after which an incident is escalated. Nothing: never.
    pub acknowledge: [Option<i64>; 4],
}

/// What happened, for those who count.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// An incident was opened.
    Opened(Box<Incident>),
    /// One that was read from a file goes on: its alert still fires.
    Continued(Box<Incident>),
    /// It was acknowledged for the first time, so many milliseconds after it was opened.
    Acknowledged(Box<Incident>, i64),
    /// It was escalated.
    Escalated(Box<Incident>, &'static str),
    /// It was resolved, so many milliseconds after its alert fired.
    Resolved(Box<Incident>, i64),
}

/// Why something cannot be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No incident that is open has this number.
    Unknown,
    /// Several have a number that begins so.
    Ambiguous(usize),
    /// It is over.
    Resolved,
}

/// The end of an episode.
#[derive(Clone, Copy, Debug)]
struct End {
    at: i64,
    /// Whether the agent evaluated it.
    agent: bool,
}

/// The incidents that are open, and the ends of others.
#[derive(Debug)]
pub struct Book {
    limits: Limits,
    open: BTreeMap<Labels, Incident>,
    ends: BTreeMap<Labels, End>,
    /// Incidents that changed and were not taken to be written, by number.
    changed: BTreeMap<String, Incident>,
    /// Incidents that were over last and for which a hook was run, the last one first: that it helped is known a moment later.
    acted_on: VecDeque<Incident>,
    /// Those of which the values alone changed.
    moved: BTreeSet<Labels>,
    news: Vec<News>,
    refused: u64,
    lost: u64,
}

impl Book {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: BTreeMap::new(),
            ends: BTreeMap::new(),
            changed: BTreeMap::new(),
            acted_on: VecDeque::new(),
            moved: BTreeSet::new(),
            news: Vec::new(),
            refused: 0,
            lost: 0,
        }
    }

    /// Takes other bounds and times.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes over at `now` an incident that was written before. One of the same alert that is here was opened while the file could not be
    /// read: it is newer, and goes on with what was done about the older one.
    pub fn take_over(&mut self, mut incident: Incident, now: i64) {
        if let Some(at) = incident.resolved {
            self.take_over_end(&incident, at);
            return;
        }
        match self.open.get_mut(&incident.labels) {
            // An Alertmanager's word stands until it takes it back; what the agent evaluates is seen again or over.
            None => {
                incident.current = !incident.agent;
                if incident.current {
                    self.announce(News::Continued(Box::new(incident.clone())));
                }
                self.open.insert(incident.labels.clone(), incident);
            }
            Some(newer) if newer.id == incident.id => {
                newer.absorb(incident);
                let labels = newer.labels.clone();
                self.touch(&labels);
            }
            Some(newer) => {
                newer.inherit(&incident);
                let newer = newer.clone();
                self.changed.insert(newer.id.clone(), newer.clone());
                let why = format!("it could not be read for a while and continues as {}", newer.id);
                incident.add(Entry::new(now, EntryKind::Resolved, "agent", &why));
                (incident.status, incident.resolved) = (Status::Resolved, Some(now));
                self.changed.insert(incident.id.clone(), incident);
            }
        }
    }

    /// Takes over the end of an incident. If it was opened again, because that it is over was not known, it is over again.
    fn take_over_end(&mut self, incident: &Incident, at: i64) {
        if self.open.get(&incident.labels).is_some_and(|newer| newer.id == incident.id) {
            self.open.remove(&incident.labels);
            self.moved.remove(&incident.labels);
            self.changed.remove(&incident.id);
            let took = at.saturating_sub(incident.started).max(0);
            self.announce(News::Resolved(Box::new(incident.clone()), took));
        }
        self.end(incident, at);
        let known = || self.acted_on.iter().any(|known| known.id == incident.id);
        if !incident.actions.is_empty() && self.acted_on.len() < ACTED_ON && !known() {
            self.acted_on.push_back(incident.clone());
        }
    }

    /// The incidents that hooks were run for: those that are open, and the last ones that are over.
    pub fn acted_on(&self) -> impl Iterator<Item = &Incident> {
        self.open.values().chain(&self.acted_on).filter(|incident| !incident.runs.is_empty())
    }

    /// Whether something is to be written.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// All alerts that fire here, at `now`. What the agent evaluated and is not among them is over.
    pub fn survey(&mut self, firing: &[Notice], now: i64) {
        for notice in firing {
            self.fires(notice, now);
        }
        let fires: BTreeSet<&Labels> = firing.iter().map(|notice| &notice.labels).collect();
        let over: Vec<Labels> = self
            .open
            .iter()
            .filter(|(labels, incident)| incident.agent && !fires.contains(labels))
            .map(|(labels, _)| labels.clone())
            .collect();
        for labels in over {
            self.close(&labels, now, now, Entry::new(now, EntryKind::Resolved, "agent", "the alert is over"));
        }
    }

    /// The agent evaluates no rules any more. What nobody else told of is closed, since nobody would say that it is over.
    pub fn disown(&mut self, now: i64) {
        let own: Vec<Labels> = self
            .open
            .iter()
            .filter(|(_, incident)| incident.agent)
            .map(|(labels, _)| labels.clone())
            .collect();
        for labels in own {
            let Some(incident) = self.open.get_mut(&labels) else { continue };
            incident.agent = false;
            if incident.alertmanager {
                self.touch(&labels);
            } else {
                let why = "the agent does not evaluate its rule any more";
                self.close(&labels, now, now, Entry::new(now, EntryKind::Resolved, "agent", why));
            }
        }
    }

    /// An alert fires.
    pub fn fires(&mut self, notice: &Notice, now: i64) {
        if let Some(incident) = self.open.get_mut(&notice.labels) {
            if incident.see(notice.value, notice.worse) {
                self.moved.insert(notice.labels.clone());
            }
            let (known, by) = match notice.origin {
                Origin::Agent => (&mut incident.agent, "agent"),
                Origin::Alertmanager => (&mut incident.alertmanager, "alertmanager"),
            };
            let joined = !std::mem::replace(known, true);
            if joined {
                incident.add(Entry::new(now, EntryKind::Joined, by, ""));
            }
            let goes_on = !std::mem::replace(&mut incident.current, true);
            let continued = goes_on.then(|| News::Continued(Box::new(incident.clone())));
            if joined {
                self.touch(&notice.labels);
            }
            if let Some(news) = continued {
                self.announce(news);
            }
            return;
        }
        if !concerns(&notice.labels) || self.is_over(notice) {
            return;
        }
        if self.open.len() >= self.limits.open {
            self.refused += 1;
            return;
        }
        let incident = Incident::open(notice, now);
        self.announce(News::Opened(Box::new(incident.clone())));
        self.open.insert(notice.labels.clone(), incident);
        self.touch(&notice.labels);
    }

    /// Whether a notice is of an episode that is closed: one that began before its end, or that another one sees a moment later.
    fn is_over(&self, notice: &Notice) -> bool {
        self.ends.get(&notice.labels).is_some_and(|end| {
            let lag = if end.agent && notice.origin == Origin::Alertmanager { LAG } else { 0 };
            notice.started <= end.at.saturating_add(lag)
        })
    }

    /// An Alertmanager says that an alert is over since `at`.
    pub fn over(&mut self, labels: &Labels, at: i64, now: i64) {
        let decides = |incident: &Incident| !incident.agent && at >= incident.started;
        if self.open.get(labels).is_some_and(decides) {
            let entry = Entry::new(now, EntryKind::Resolved, "alertmanager", "the alert is over");
            self.close(labels, at.min(now), now, entry);
        }
    }

    /// A person takes care of an incident.
    ///
    /// # Errors
    /// There is none that is open with this number.
    pub fn acknowledge(&mut self, id: &str, by: &str, why: &str, now: i64) -> Result<Incident, Refusal> {
        let labels = self.find(id)?;
        let Some(incident) = self.open.get_mut(&labels) else { return Err(Refusal::Unknown) };
        incident.add(Entry::new(now, EntryKind::Acknowledged, by, why));
        incident.status = Status::Acknowledged;
        if incident.acknowledged.is_none() {
            incident.acknowledged = Some(now);
            let after = now.saturating_sub(incident.opened).max(0);
            let news = News::Acknowledged(Box::new(incident.clone()), after);
            self.announce(news);
        }
        self.touch(&labels);
        self.get(&labels)
    }

    /// A person closes an incident. If its alert fires on, that opens no other one before it was over.
    ///
    /// # Errors
    /// There is none that is open with this number.
    pub fn resolve(&mut self, id: &str, by: &str, why: &str, now: i64) -> Result<Incident, Refusal> {
        let labels = self.find(id)?;
        if let Some(incident) = self.open.get_mut(&labels) {
            incident.by_hand = true;
        }
        self.close(&labels, now, now, Entry::new(now, EntryKind::Resolved, by, why)).ok_or(Refusal::Unknown)
    }

    /// Something was done about an incident that is open or was over a moment ago: by this hook and how far it is, or by nobody.
    pub fn note(&mut self, of: &Incident, hook: Option<(&str, &str)>, outcome: &str, now: i64) {
        let open = self.open.get_mut(&of.labels).filter(|incident| incident.id == of.id);
        let known = open.or_else(|| self.acted_on.iter_mut().find(|incident| incident.id == of.id));
        let Some(incident) = known else { return };
        let by = hook.map_or_else(|| "agent".to_owned(), |(name, _)| format!("hook {name}"));
        incident.add(Entry::new(now, EntryKind::Action, &by, outcome));
        if let Some((name, step)) = hook {
            incident.step(name, step, now);
        }
        self.changed.insert(incident.id.clone(), incident.clone());
        self.bound();
    }

    /// Escalates the incident of an alert, if one is open and was not escalated.
    pub fn escalate(&mut self, labels: &Labels, reason: &'static str, why: &str, now: i64) {
        let Some(incident) = self.open.get_mut(labels).filter(|incident| incident.escalated.is_none()) else {
            return;
        };
        incident.escalated = Some(now);
        if incident.status == Status::Open {
            incident.status = Status::Escalated;
        }
        incident.add(Entry::new(now, EntryKind::Escalated, "agent", why));
        let news = News::Escalated(Box::new(incident.clone()), reason);
        self.announce(news);
        self.touch(labels);
    }

    /// Escalates what was not acknowledged in time.
    pub fn tick(&mut self, now: i64) {
        let limits = self.limits;
        let late: Vec<(Labels, Priority)> = self
            .open
            .iter()
            .filter(|(_, incident)| limits.due(incident).is_some_and(|due| due <= now))
            .map(|(labels, incident)| (labels.clone(), incident.priority))
            .collect();
        for (labels, priority) in late {
            let time = limits.acknowledge.get(priority as usize).copied().flatten().unwrap_or_default();
            let why = format!("not acknowledged within {} s, the time of {}", time / 1000, priority.as_str());
            self.escalate(&labels, "unacknowledged", &why, now);
        }
    }

    /// When the next one is escalated.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        self.open.values().filter_map(|incident| self.limits.due(incident)).min()
    }

    /// The clock was set: the times of what lasts go along, and are written.
    pub fn shift(&mut self, jump: &Jump) {
        self.open.values_mut().for_each(|incident| incident.shift(jump));
        self.change_all();
        self.ends.values_mut().for_each(|end| jump.shift(&mut end.at));
    }

    /// The incidents that are open, and those that are not written yet; each once.
    pub fn visible(&self) -> impl Iterator<Item = &Incident> {
        let closed = self.changed.values().filter(|incident| incident.status == Status::Resolved);
        self.open.values().chain(closed)
    }

    /// The incident of an alert that is open.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> Option<&Incident> {
        self.open.get(labels)
    }

    /// The incidents that are open.
    pub fn open(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// Takes what changed since, to be written; with the values of all if `values` is true.
    pub fn take_changed(&mut self, values: bool) -> Vec<Incident> {
        if values {
            for labels in std::mem::take(&mut self.moved) {
                self.touch(&labels);
            }
        }
        std::mem::take(&mut self.changed).into_values().collect()
    }

    /// All that are open are to be written, since what was written before is gone.
    pub fn change_all(&mut self) {
        let all = self.open.values().map(|incident| (incident.id.clone(), incident.clone()));
        self.changed.extend(all);
    }

    /// Puts back what could not be written. What changed meanwhile stands.
    pub fn put_back(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            self.changed.entry(incident.id.clone()).or_insert(incident);
        }
        self.bound();
    }

    /// Takes what happened since.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Alerts that had no room to be an incident, and incidents that were over before they could be written.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.refused + self.lost
    }

    fn get(&self, labels: &Labels) -> Result<Incident, Refusal> {
        self.open.get(labels).cloned().ok_or(Refusal::Unknown)
    }

    /// The labels of the incident whose number is this or begins so.
    fn find(&self, id: &str) -> Result<Labels, Refusal> {
        let named = |incident: &&Incident| !id.is_empty() && incident.id.starts_with(id);
        let mut found = self.open.values().filter(named);
        match (found.next(), found.count()) {
            (Some(incident), 0) => Ok(incident.labels.clone()),
            (Some(_), more) => Err(Refusal::Ambiguous(more + 1)),
            (None, _) if self.changed.values().any(|incident| named(&incident)) => Err(Refusal::Resolved),
            (None, _) => Err(Refusal::Unknown),
        }
    }

    fn close(&mut self, labels: &Labels, at: i64, now: i64, entry: Entry) -> Option<Incident> {
        let mut incident = self.open.remove(labels)?;
        self.moved.remove(labels);
        let at = at.max(incident.started);
        incident.status = Status::Resolved;
        incident.resolved = Some(at);
        incident.add(entry);
        let took = at.saturating_sub(incident.started).max(0);
        self.announce(News::Resolved(Box::new(incident.clone()), took));
        // What is closed by hand is closed now, whenever the alert is over.
        self.end(&incident, if incident.by_hand { now } else { at });
        self.changed.insert(incident.id.clone(), incident.clone());
        if !incident.actions.is_empty() {
            self.acted_on.truncate(ACTED_ON - 1);
            self.acted_on.push_front(incident.clone());
        }
        self.bound();
        Some(incident)
    }

    fn end(&mut self, incident: &Incident, at: i64) {
        let end = End { at, agent: incident.agent };
        let newest = self.ends.get(&incident.labels).is_none_or(|known| known.at <= at);
        if newest {
            self.ends.insert(incident.labels.clone(), end);
        }
        while self.ends.len() > self.limits.closed {
            let oldest = self.ends.iter().min_by_key(|(_, end)| end.at).map(|(labels, _)| labels.clone());
            oldest.map(|labels| self.ends.remove(&labels));
        }
    }

    fn touch(&mut self, labels: &Labels) {
        if let Some(incident) = self.open.get(labels) {
            self.changed.insert(incident.id.clone(), incident.clone());
        }
        self.moved.remove(labels);
        self.bound();
    }

    /// What is over and could not be written goes when there is too much of it, the oldest first.
    fn bound(&mut self) {
        while self.changed.len() > self.limits.open + self.limits.closed {
            let oldest = self.changed.values().filter(|incident| incident.resolved.is_some());
            let oldest = oldest.min_by_key(|incident| incident.resolved).map(|incident| incident.id.clone());
            let Some(id) = oldest else { return };
            self.changed.remove(&id);
            self.lost += 1;
        }
    }

    fn announce(&mut self, news: News) {
        // Who counts looks every second.
        if self.news.len() < 4 * (self.limits.open + self.limits.closed) {
            self.news.push(news);
        }
    }
}

impl Limits {
    /// When an incident is escalated, if it is still to be.
    fn due(&self, incident: &Incident) -> Option<i64> {
        if incident.escalated.is_some() || incident.acknowledged.is_some() {
            return None;
        }
        let time = self.acknowledge.get(incident.priority as usize).copied().flatten()?;
        Some(incident.opened.saturating_add(time))
    }
}
