//! The event log: a line of JSON for each change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::lines::{Lines, Rotation};
use crate::alert::incident::{EntryKind, Incident, News};
use crate::clock::now;
use crate::listen::Bytes;
use crate::promql::Labels;

/// A file that gets a line of JSON for each change: of sources, devices, ports, programs and channels, of sessions and losses, of alerts,
/// incidents and actions. Changes take effect at the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "EventsLog")]
pub struct Settings {
    /// The file; there is none if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Bytes from which on another file is begun.
    pub max_bytes: Bytes,
    /// How many older files are kept.
    pub keep: u16,
    /// Whether older files are packed: `events.jsonl.1.gz`.
    pub gzip: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { path: None, max_bytes: Bytes(10_000_000), keep: 5, gzip: true }
    }
}

impl Settings {
    /// Begins to write, if a file is named.
    #[must_use]
    pub fn start(&self) -> Lines {
        let Self { path, max_bytes, keep, gzip } = self.clone();
        path.map_or_else(Lines::default, |path| {
            Lines::start("event log", path, Rotation { bytes: max_bytes.0, keep, gzip })
        })
    }
}

/// The alerts that fired when they were last looked at.
#[derive(Debug, Default)]
pub(super) struct AlertEvents {
    log: Lines,
    firing: BTreeMap<Labels, String>,
}

impl AlertEvents {
    pub(super) fn new(log: Lines) -> Self {
        Self { log, firing: BTreeMap::new() }
    }

    /// Goes on where another one ended.
    pub(super) fn take_over(&mut self, old: Self) {
        self.firing = old.firing;
    }

    /// Whether there is a log.
    pub(super) fn is_on(&self) -> bool {
        self.log.is_on()
    }

    /// Writes which alerts fire now, at this time in milliseconds, and which no longer do. Each comes with its summary.
    pub(super) fn survey(&mut self, at: i64, firing: BTreeMap<Labels, String>) {
        let write = |labels: &Labels, summary: &str, state: &str| {
            let fields = json!({"state": state, "labels": object(labels), "summary": summary});
            self.log.write(at, "alert", &fields);
        };
        for (labels, summary) in firing.iter().filter(|(labels, _)| !self.firing.contains_key(*labels)) {
            write(labels, summary, "firing");
        }
        for (labels, summary) in self.firing.iter().filter(|(labels, _)| !firing.contains_key(*labels)) {
            write(labels, summary, "resolved");
        }
        self.firing = firing;
    }
}

/// Writes what happened to an incident.
pub fn incident(log: &Lines, news: &News) {
    let (state, incident): (_, &Incident) = match news {
        News::Opened(incident) => (EntryKind::Opened, incident),
        News::Acknowledged(incident, _) => (EntryKind::Acknowledged, incident),
        News::Escalated(incident, _) => (EntryKind::Escalated, incident),
        News::Resolved(incident, _) => (EntryKind::Resolved, incident),
        News::Continued(_) => return,
    };
    let last = incident.history.last();
    let at = last.map_or(incident.opened, |entry| entry.at);
    let fields = json!({
        "state": state.as_str(),
        "incident": incident.id,
        "alert": incident.alert,
        "priority": incident.priority.as_str(),
        "labels": object(&incident.labels),
        "by": last.map_or("", |entry| &*entry.by),
        "why": last.map_or("", |entry| &*entry.why),
    });
    log.write(at, "incident", &fields);
}

/// Labels as an object of JSON.
pub(super) fn object(labels: &Labels) -> Map<String, Value> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// The time as lines have it.
#[must_use]
pub fn present() -> i64 {
    now().wall_milliseconds()
}
