//! The states of alerts in a file, so that a restart neither begins a time of waiting again nor forgets who must hear of an end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::notify::Notifier;
use super::saver::Saver;
use crate::alert::{Alert, Group, State};
use crate::clock::now;
use crate::promql::Labels;

/// Bytes of the file.
const LONGEST: u64 = 64 << 20;
/// An agent that was away for longer begins again, as Prometheus does: ms.
const TOLERANCE: i64 = 3_600_000;
/// From one write to the next while an alert waits, ms.
const REWRITE: i64 = 10_000;

#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// When it was written, ms.
    at: i64,
    alerts: Vec<Record>,
}

/// An alert as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    file: String,
    group: String,
    rule: String,
    state: String,
    labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    value: String,
    active_at: i64,
    fired_at: Option<i64>,
    resolved_at: Option<i64>,
    kept_since: Option<i64>,
    sent_at: Option<i64>,
}

/// An alert and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AlertRecord {
    pub(super) file: String,
    pub(super) group: String,
    pub(super) rule: String,
    pub(super) alert: Alert,
}

impl AlertRecord {
    /// Whether a restart would make no difference between them. A value or a text that changes is found again.
    fn is_as(&self, other: &Self) -> bool {
        let of = |kept: &Self| {
            let Alert { state, active_at, fired_at, resolved_at, kept_since, sent_at, .. } = kept.alert;
            (state, active_at, fired_at, resolved_at, kept_since, sent_at.is_some())
        };
        of(self) == of(other)
            && self.alert.labels == other.alert.labels
            && (&self.file, &self.group, &self.rule) == (&other.file, &other.group, &other.rule)
    }
}

/// The alerts of a group that a restart must know: the active ones, and those that are over and not delivered.
pub(super) fn of_group(group: &Group, notifier: &Notifier) -> Vec<AlertRecord> {
    let mut kept = Vec::new();
    for live in &group.rules {
        for alert in live.alerts() {
            let waits = notifier.waits(&alert.labels);
            if alert.state != State::Inactive || waits {
                let mut alert = alert.clone();
                // What a server did not take is sent again.
                alert.sent_at = alert.sent_at.filter(|_| !waits);
                kept.push(AlertRecord {
                    file: group.file.clone(),
                    group: group.name.clone(),
                    rule: live.rule.name().to_owned(),
                    alert,
                });
            }
        }
    }
    kept
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl From<&AlertRecord> for Record {
    fn from(kept: &AlertRecord) -> Self {
        let AlertRecord { file, group, rule, alert } = kept;
        Self {
            file: file.clone(),
            group: group.clone(),
            rule: rule.clone(),
            state: alert.state.as_str().to_owned(),
            labels: pairs(&alert.labels),
            annotations: pairs(&alert.annotations),
            value: crate::promql::number(alert.value),
            active_at: alert.active_at,
            fired_at: alert.fired_at,
            resolved_at: alert.resolved_at,
            kept_since: alert.kept_since,
            sent_at: alert.sent_at,
        }
    }
}

impl Record {
    fn kept(self) -> AlertRecord {
        let state = match self.state.as_str() {
            "firing" => State::Firing,
            "pending" => State::Pending,
            _ => State::Inactive,
        };
        let alert = Alert {
            state,
            labels: Labels::from_pairs(self.labels),
            annotations: Labels::from_pairs(self.annotations),
            value: self.value.trim_start_matches('+').parse().unwrap_or(f64::NAN),
            active_at: self.active_at,
            fired_at: self.fired_at,
            resolved_at: self.resolved_at,
            kept_since: self.kept_since,
            sent_at: self.sent_at,
        };
        AlertRecord { file: self.file, group: self.group, rule: self.rule, alert }
    }
}

/// The states that a file keeps.
#[derive(Debug)]
pub struct States {
    pub(super) path: PathBuf,
    pub(super) kept: Vec<AlertRecord>,
}

impl States {
    /// Reads the file, if there is one. A file that cannot be read is reported, and the states begin again.
    #[must_use]
    pub fn read(path: PathBuf) -> Self {
        let kept = read(&path, now().wall_milliseconds());
        Self { path, kept }
    }
}

/// What the file holds that is still of use at `now`, ms. A time of waiting goes on where it was: the time away does not count.
fn read(path: &Path, now: i64) -> Vec<AlertRecord> {
    let text = match crate::sys::file::text(path, LONGEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(
                "the states of alerts cannot be read from {}, they begin again: {error}",
                path.display()
            );
            return Vec::new();
        }
    };
    let document: Document = match serde_json::from_str(&text) {
        Ok(document) => document,
        Err(error) => {
            tracing::warn!(
                "the states of alerts in {} are damaged, they begin again: {error}",
                path.display()
            );
            return Vec::new();
        }
    };
    let away = now.saturating_sub(document.at).max(0);
    let mut kept: Vec<AlertRecord> = document.alerts.into_iter().map(Record::kept).collect();
    // What is over is to be delivered, however long that takes.
    kept.retain(|kept| away <= TOLERANCE || kept.alert.state == State::Inactive);
    for alert in kept.iter_mut().map(|kept| &mut kept.alert).filter(|alert| alert.state == State::Pending) {
        alert.active_at = alert.active_at.saturating_add(away);
    }
    kept
}

/// The file: a disk that does not answer holds no rule up.
#[derive(Debug)]
pub(super) struct StateFile {
    saver: Saver,
    text: Arc<Mutex<Option<Vec<u8>>>>,
    /// What was last given to the file.
    last: Vec<AlertRecord>,
    /// When that was, ms.
    written: i64,
}

impl StateFile {
    /// The file, which holds these alerts.
    pub(super) fn new(path: PathBuf, last: Vec<AlertRecord>) -> Self {
        let text: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
        let own = text.clone();
        let saver = Saver::new(path, "the states of alerts", move || own.lock().clone());
        Self { saver, text, last, written: 0 }
    }

    /// Writes the alerts if one of them changed, and every ten seconds while one waits: what a killed agent had waited is lost
    /// for that long at most.
    pub(super) fn keep(&mut self, at: i64, alerts: Vec<AlertRecord>) {
        let same = |(a, b): (&AlertRecord, &AlertRecord)| a.is_as(b);
        let same = alerts.len() == self.last.len() && alerts.iter().zip(&self.last).all(same);
        let waits = alerts.iter().any(|kept| kept.alert.state == State::Pending);
        if !same || waits && at.saturating_sub(self.written).abs() >= REWRITE {
            self.last = alerts;
            self.write(at);
        }
    }

    fn write(&mut self, at: i64) {
        self.written = at;
        let document = Document { version: 1, at, alerts: self.last.iter().map(Record::from).collect() };
        if let Ok(text) = serde_json::to_vec(&document) {
            *self.text.lock() = Some(text);
            self.saver.changed();
        }
    }

    /// Writes a last time, and waits for that as long as it may take.
    pub(super) fn stop(mut self, at: i64) {
        if !self.last.is_empty() {
            self.write(at);
        }
        self.saver.stop();
    }
}
