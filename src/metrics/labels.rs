//! The labels of the agent's own metrics.

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};

/// How a request was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// A path that exists, or `other`.
    pub path: &'static str,
    /// The status code.
    pub status: u16,
}

/// Why lines of the log are lost.
pub const LOST_LINES: [&str; 2] = ["queue_full", "write_failed"];

/// Why lines of the log were lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LostLines {
    /// One word.
    pub reason: &'static str,
}

/// Why handshakes of TLS fail.
pub const UNSHAKEN: [&str; 8] = [
    "certificate_expired",
    "certificate_missing",
    "certificate_rejected",
    "closed",
    "incompatible",
    "plain",
    "protocol",
    "rejected_by_client",
];

/// Why keys were not agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Unshaken {
    /// One word.
    pub reason: &'static str,
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfCertificate {
    /// `server`.
    pub certificate: &'static str,
}

/// The family that refused a series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SeriesRefusal {
    /// Its name.
    pub family: String,
}

/// A state of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfState {
    /// Its name.
    pub state: &'static str,
}

/// An Alertmanager or a receiver that is notified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Notified {
    /// What it is.
    pub integration: &'static str,
    /// Which one, as it may be shown.
    pub receiver: String,
}

/// An incident that was opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfIncident {
    /// The name of its alert.
    pub alert: String,
    /// How bad it is.
    pub severity: String,
}

/// A state of incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OpenIncidents {
    /// Its name.
    pub state: &'static str,
    /// How soon a person must look.
    pub incident_priority: &'static str,
}

/// Incidents that were escalated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EscalatedIncidents {
    /// The name of their alert.
    pub alert: String,
    /// How soon a person must look.
    pub incident_priority: &'static str,
}

/// Why incidents were escalated.
pub(super) const ESCALATIONS: [&str; 3] = ["unacknowledged", "action_failed", "action_missing"];

/// Why an incident was escalated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Escalation {
    /// One word.
    pub reason: &'static str,
}

/// How soon a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfPriority {
    /// Its name.
    pub incident_priority: &'static str,
}

/// A step of a hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfHookStep {
    /// Its name.
    pub hook: String,
    /// One word.
    pub step: &'static str,
}

/// A baseline.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfBaseline {
    /// The name of the benchmark.
    pub baseline: String,
}

/// A line that is compared with a baseline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfLine {
    /// The name of the benchmark.
    pub baseline: String,
    /// Which line of the catalogue.
    pub metric: String,
    /// The labels that it has, and no others.
    pub labels: Vec<(String, String)>,
}

impl EncodeLabelSet for OfLine {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let own = [("baseline", &*self.baseline), ("metric", &*self.metric)];
        let labels = self.labels.iter().map(|(name, value)| (&**name, &**value));
        own.into_iter().chain(labels).try_for_each(|pair| EncodeLabel::encode(&pair, encoder.encode_label()))
    }
}

/// A hook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfHook {
    /// Its name.
    pub hook: String,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfTask {
    /// Its name.
    pub task: String,
}

/// What can fail with reports.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfReports {
    /// One word: `session`, `schedule`, `cleanup`.
    pub operation: &'static str,
}

/// What is done with reports: that of a session is written, that of each day or week is written or sent, old ones are deleted.
pub(super) const REPORTS: [&str; 3] = ["session", "schedule", "cleanup"];

/// A target of traces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfTarget {
    /// Which one, as it may be shown.
    pub target: String,
}

/// Spans that a target of traces does not get.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DroppedSpans {
    /// Which target.
    pub target: String,
    /// Why: one word.
    pub reason: &'static str,
}

/// Where spans wait for a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OfQueue {
    /// Which target.
    pub target: String,
    /// `memory` or `disk`.
    pub place: &'static str,
}

/// A server that files or samples are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Pushed {
    /// Its name.
    pub(super) target: String,
}

/// Samples that a server did not get.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DroppedSamples {
    /// Its name.
    pub(super) target: String,
    /// Why.
    pub(super) reason: &'static str,
}

/// A push, or what else a target may have, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PushResult {
    /// The name of the server.
    pub(super) target: String,
    /// `success` or `failure`.
    pub(super) result: &'static str,
}

/// What became of objects on a server that files are pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PushedObjects {
    /// Its name.
    pub target: String,
    /// One word.
    pub result: &'static str,
}
