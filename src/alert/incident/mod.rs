//! Incidents: one for each alert and episode, from the moment it fires until it is over, and what people did meanwhile.
//!
//! Pure: time is data, in milliseconds of the wall clock. Nothing is stored or sent here.

mod book;
mod desk;
mod statistics;
pub mod webhook;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::ALERT_NAME;
use crate::catalog::alert::Priority;
use crate::event::Jump;
use crate::promql::{Labels, Worse, moment_ms, read_moment};

pub use book::{Book, Limits, News, Refusal};
pub use desk::{Changed, Desk, IncidentFilter, Transition, Untaken};
pub use statistics::{Statistics, Times};

/// What happened in an incident at most; beyond, the middle goes.
const ENTRIES: usize = 50;
/// Those at the beginning that stay.
const FIRST: usize = 10;
/// Bytes of who did something.
const WHO: usize = 100;
/// Bytes of why.
const WHY: usize = 1_000;
/// Bytes of the labels of an alert, names included.
pub(super) const LABELS: usize = 16 << 10;
/// Bytes of one annotation.
const ANNOTATION: usize = 2_000;
/// Bytes of all annotations.
const ANNOTATIONS: usize = 16 << 10;
/// The severity of alerts that are for information: nobody is expected to do anything.
const INFORMATION: &str = "info";
/// The step of a hook that began.
pub(super) const STARTED: &str = "started";
/// That of one that helped.
pub(super) const SUCCEEDED: &str = "succeeded";
/// That of one that failed or did not help.
pub(super) const FAILED: &str = "failed";
/// The alert that an incident itself raises.
pub const ESCALATED: &str = "NeuralIncidentEscalated";

/// How far an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was not acknowledged, and there is time.
    Open,
    /// It was not acknowledged in time, or what was done about it failed.
    Escalated,
    /// A person takes care of it.
    Acknowledged,
    /// It is over, or was closed by hand.
    Resolved,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Escalated, Self::Acknowledged, Self::Resolved];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Escalated => "escalated",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// Who says that an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The agent, which evaluates its rule.
    Agent,
    /// An Alertmanager, of an alert that a Prometheus evaluates.
    Alertmanager,
}

/// An alert that fires, as it is told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its labels, which identify it.
    pub labels: Labels,
    /// What people are told about it.
    pub annotations: Labels,
    /// The value of its series, where that is known.
    pub value: Option<f64>,
    /// Which values are worse, where that is known.
    pub worse: Option<Worse>,
    /// Since when it fires.
    pub started: i64,
    /// Who says so.
    pub origin: Origin,
}

/// The values of an alert's series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// The one it began with.
    pub start: Option<f64>,
    /// The worst: the highest where the rule says `>`, the lowest where it says `<`, else the one that is farthest from the first.
    pub worst: Option<f64>,
    /// The last.
    pub end: Option<f64>,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The alert fired.
    Opened,
    /// Another one who evaluates it says so as well.
    Joined,
    /// A person takes care of it.
    Acknowledged,
    /// Who comes next is to hear of it.
    Escalated,
    /// Something was done about it.
    Action,
    /// It is over.
    Resolved,
}

impl EntryKind {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Joined => "joined",
            Self::Acknowledged => "acknowledged",
            Self::Escalated => "escalated",
            Self::Action => "action",
            Self::Resolved => "resolved",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(with = "time")]
    pub at: i64,
    /// What.
    pub what: EntryKind,
    /// Who did it.
    pub by: String,
    /// Why, or with which outcome.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Entry {
    /// An entry whose texts have their bounds.
    #[must_use]
    pub fn new(at: i64, what: EntryKind, by: &str, why: &str) -> Self {
        Self { at, what, by: cut(by, WHO), why: cut(why, WHY) }
    }
}

/// When a hook was run. Whether it helped is its last step, among the actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it last began.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// When it was known whether it helped.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub judged: Option<i64>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Made of the labels of its alert and of its start: sixteen digits.
    pub id: String,
    /// The name of its alert.
    pub alert: String,
    /// How bad it is, as its labels say.
    #[serde(default)]
    pub severity: String,
    /// How soon a person must look.
    #[serde(with = "priority")]
    pub priority: Priority,
    /// How far it is.
    #[serde(rename = "state")]
    pub status: Status,
    /// The labels of its alert.
    #[serde(with = "pairs")]
    pub labels: Labels,
    /// What people are told about it.
    #[serde(with = "pairs")]
    pub annotations: Labels,
    /// Since when its alert fires.
    #[serde(with = "time")]
    pub started: i64,
    /// When it was opened: Alertmanager tells of an alert some time after it fired.
    #[serde(with = "time")]
    pub opened: i64,
    /// When it was first acknowledged.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<i64>,
    /// When it was first escalated.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub escalated: Option<i64>,
    /// When it was over, or closed.
    #[serde(default, with = "optional_time", skip_serializing_if = "Option::is_none")]
    pub resolved: Option<i64>,
    /// Whether it was closed by hand, rather than by the end of its alert.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_hand: bool,
    /// The values of its series.
    pub values: Values,
    /// Whether the agent evaluates its rule.
    #[serde(default)]
    pub agent: bool,
    /// Whether an Alertmanager told of it.
    #[serde(default)]
    pub alertmanager: bool,
    /// How far the hooks are that were run for it, by name: the last step of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub actions: BTreeMap<String, String>,
    /// When these hooks were run for it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub runs: BTreeMap<String, Run>,
    /// What happened, in order.
    pub history: Vec<Entry>,
    /// Entries that had no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// Whether its alert was told of since the agent began: one that was read from a file may be over.
    #[serde(skip)]
    pub current: bool,
    /// Which values are worse.
    #[serde(skip)]
    worse: Option<Worse>,
}

impl Incident {
    /// One that begins now.
    fn open(notice: &Notice, now: i64) -> Self {
        let (severity, name) = (notice.labels.get("severity"), notice.labels.get(ALERT_NAME));
        let started = notice.started.min(now);
        let mut incident = Self {
            id: identity(&notice.labels, started),
            alert: name.to_owned(),
            severity: severity.to_owned(),
            priority: urgency(&notice.labels),
            status: Status::Open,
            labels: notice.labels.clone(),
            annotations: bounded(&notice.annotations),
            started,
            opened: now,
            acknowledged: None,
            escalated: None,
            resolved: None,
            by_hand: false,
            values: Values::default(),
            agent: notice.origin == Origin::Agent,
            alertmanager: notice.origin == Origin::Alertmanager,
            actions: BTreeMap::new(),
            runs: BTreeMap::new(),
            history: Vec::new(),
            omitted: 0,
            current: true,
            worse: notice.worse,
        };
        let by = if incident.agent { "agent" } else { "alertmanager" };
        let summary = incident.annotations.get("summary").to_owned();
        incident.add(Entry::new(now, EntryKind::Opened, by, &summary));
        incident.see(notice.value, notice.worse);
        incident
    }

    /// The line that names what is concerned.
    #[must_use]
    pub fn summary(&self) -> &str {
        let summary = self.annotations.get("summary");
        if summary.is_empty() { &self.alert } else { summary }
    }

    /// Adds what happened.
    fn add(&mut self, entry: Entry) {
        if self.history.len() >= ENTRIES {
            self.history.remove(FIRST);
            self.omitted += 1;
        }
        self.history.push(entry);
    }

    /// Sees a value of its series. Says whether one of its values changed.
    fn see(&mut self, value: Option<f64>, worse: Option<Worse>) -> bool {
        let Some(value) = value.filter(|value| value.is_finite()) else { return false };
        let before = self.values;
        self.worse = worse.or(self.worse);
        let start = *self.values.start.get_or_insert(value);
        let is_worse = |worst: f64| match self.worse {
            Some(worse) => worse.is(value, worst),
            None => (value - start).abs() > (worst - start).abs(),
        };
        if self.values.worst.is_none_or(is_worse) {
            self.values.worst = Some(value);
        }
        self.values.end = Some(value);
        self.values != before
    }

    /// A hook is so far.
    pub(super) fn step(&mut self, hook: &str, step: &str, now: i64) {
        self.actions.insert(hook.to_owned(), step.to_owned());
        match step {
            STARTED => self.runs.entry(hook.to_owned()).or_default().started = Some(now),
            SUCCEEDED | FAILED => self.runs.entry(hook.to_owned()).or_default().judged = Some(now),
            _ => {}
        }
    }

    /// Takes over what was done about an older record of the same alert, which could not be read before.
    fn inherit(&mut self, older: &Self) {
        for (hook, step) in &older.actions {
            self.actions.entry(hook.clone()).or_insert_with(|| step.clone());
        }
        for (hook, run) in &older.runs {
            self.runs.entry(hook.clone()).or_insert(*run);
        }
        self.acknowledged = older.acknowledged.or(self.acknowledged);
        self.escalated = older.escalated.or(self.escalated);
        if older.status == Status::Acknowledged || self.status == Status::Open {
            self.status = older.status;
        }
    }

    /// Takes over an older record of this incident, which could not be read before.
    fn absorb(&mut self, older: Self) {
        self.inherit(&older);
        self.opened = older.opened.min(self.opened);
        self.agent |= older.agent;
        self.alertmanager |= older.alertmanager;
        self.omitted += older.omitted;
        let (newer, entries) = (self.values, std::mem::replace(&mut self.history, older.history));
        self.values = older.values;
        for value in [newer.worst, newer.end] {
            self.see(value, None);
        }
        entries.into_iter().filter(|entry| entry.what != EntryKind::Opened).for_each(|entry| self.add(entry));
    }

    /// Moves its times: the clock was set by so many milliseconds.
    fn shift(&mut self, jump: &Jump) {
        jump.shift(&mut self.started);
        jump.shift(&mut self.opened);
        let runs = self.runs.values_mut().flat_map(|run| [&mut run.started, &mut run.judged]);
        for time in [&mut self.acknowledged, &mut self.escalated, &mut self.resolved].into_iter().chain(runs)
        {
            time.iter_mut().for_each(|time| jump.shift(time));
        }
    }

    /// As JSON, with where the agent knows what to do.
    #[must_use]
    pub fn json(&self) -> Json {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// Whether an alert makes an incident: one that is for information does not, nor the one that an incident makes.
#[must_use]
pub fn concerns(labels: &Labels) -> bool {
    let name = labels.get(ALERT_NAME);
    !name.is_empty()
        && name != ESCALATED
        && labels.get("severity") != INFORMATION
        && labels.encoded().len() <= LABELS
}

/// The priority that the labels of an alert name; that of its severity where they name none.
fn urgency(labels: &Labels) -> Priority {
    Priority::read(labels.get("priority")).unwrap_or_else(|| match labels.get("severity") {
        "critical" | "high" | "page" => Priority::P1,
        "warning" | "medium" | "error" => Priority::P2,
        _ => Priority::P3,
    })
}

/// The number of an incident: of its labels and its start, so that one told twice is one.
fn identity(labels: &Labels, started: i64) -> String {
    // FNV-1a, mixed at the end: its form must not change with a version of a library.
    let bytes = labels.encoded().bytes().chain(started.to_le_bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for _ in 0..2 {
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    format!("{:016x}", hash ^ (hash >> 33))
}

/// At most so many bytes of a text, without control characters.
fn cut(text: &str, most: usize) -> String {
    let text = text.trim();
    let end = (0..=text.len().min(most)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let cut = text.get(..end).unwrap_or_default();
    cut.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Annotations that have their bounds: long ones are cut, and there are only so many.
fn bounded(annotations: &Labels) -> Labels {
    let mut left = ANNOTATIONS;
    let mut kept = Vec::new();
    for (name, value) in annotations {
        let value = cut(value, ANNOTATION);
        let Some(room) = left.checked_sub(name.len() + value.len()) else { continue };
        left = room;
        kept.push((name, value));
    }
    Labels::from_pairs(kept)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

mod time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &i64, to: S) -> Result<S::Ok, S::Error> {
        super::moment_ms(*time).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<i64, D::Error> {
        let text = String::deserialize(from)?;
        super::read_moment(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a time")))
    }
}

mod optional_time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
        time.map(super::moment_ms).serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Option<i64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
        let time = super::read_moment(&text);
        time.map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is not a time")))
    }
}

mod priority {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::Priority;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(super) fn serialize<S: Serializer>(priority: &Priority, to: S) -> Result<S::Ok, S::Error> {
        priority.as_str().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Priority, D::Error> {
        let text = String::deserialize(from)?;
        Priority::read(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is not a priority")))
    }
}

mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Json, Labels, Map};

    pub(super) fn serialize<S: Serializer>(labels: &Labels, to: S) -> Result<S::Ok, S::Error> {
        let all: Map<String, Json> =
            labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        all.serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Labels, D::Error> {
        Ok(Labels::from_pairs(BTreeMap::<String, String>::deserialize(from)?))
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Incident, Labels, Notice, Origin};

    /// An incident of an alert with these labels.
    pub(crate) fn incident(labels: &[(&str, &str)], started: i64) -> Incident {
        let notice = Notice {
            labels: Labels::from_pairs(labels.iter().copied()),
            annotations: Labels::empty(),
            value: None,
            worse: None,
            started,
            origin: Origin::Agent,
        };
        Incident::open(&notice, started)
    }
}
#[cfg(test)]
mod tests;
