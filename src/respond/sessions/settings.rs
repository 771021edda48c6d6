//! What can be set of the reports that the agent files by itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::listen::Bytes;
use crate::render::Receiver;
use crate::session::Origin;
use crate::setting::Span;

/// Reports that the agent files by itself: of each session when it ends, and of each day or week. None, until a folder is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Reports")]
pub struct Settings {
    /// The folder that reports are written into. It must be there: a folder that is made where a disk is not mounted would hide them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// The sessions whose reports are written, by who says when they end.
    pub sessions: Vec<Origin>,
    /// A session that is shorter has no report.
    pub shortest: Span,
    /// What is written of each.
    #[schemars(length(min = 1))]
    pub formats: Vec<Form>,
    /// Which reports stay in the folder. Nothing but reports is ever deleted there.
    pub keep: Keep,
    /// How often a report of all that was in that time is made, whatever the sessions were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<Every>,
    /// Who is sent the verdict of such a report, beside the folder, or without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<Receiver>,
}

/// The form of a report in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportForm")]
pub enum Form {
    /// A page for people: one file that opens offline and prints.
    Html,
    /// Every number, for programs. Its schema is `neural-exporter schema report`.
    Json,
}

/// Which reports stay. The oldest go first; what is over any of these goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ReportsKept")]
pub struct Keep {
    /// For how long; for ever if omitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Span>,
    /// How many; the files of one session count as one.
    #[schemars(range(min = 1))]
    pub number: usize,
    /// How many bytes.
    pub max_bytes: Bytes,
}

/// How often a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ReportsEvery")]
pub enum Every {
    /// Each day, of the last 24 hours.
    Day,
    /// Each week, of the last seven days.
    Week,
}

impl Every {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }

    /// Its length.
    #[must_use]
    pub fn span(self) -> Span {
        match self {
            Self::Day => Span::seconds(86_400),
            Self::Week => Span::seconds(7 * 86_400),
        }
    }
}

impl Form {
    /// The end of the names of its files.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folder: None,
            sessions: Origin::ALL.to_vec(),
            shortest: Span::seconds(10),
            formats: vec![Form::Html, Form::Json],
            keep: Keep::default(),
            every: None,
            receivers: Vec::new(),
        }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { age: None, number: 1_000, max_bytes: Bytes(1_000_000_000) }
    }
}

impl Settings {
    /// What is wrong with them: the key, why, and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        if self.every.is_some() && self.folder.is_none() && self.receivers.is_empty() {
            let why = "nobody gets the report: there is neither a folder nor a receiver".to_owned();
            found.push((
                "every",
                why,
                "name a folder in reports.folder, or list who is sent it in reports.receivers",
            ));
        }
        if self.every.is_none() && !self.receivers.is_empty() {
            let why = "nothing is sent to them: they get the report of each day or week alone".to_owned();
            found.push(("receivers", why, "set reports.every: day, or week"));
        }
        found
    }

    /// Why a session has no report; nothing if it has one.
    pub(super) fn refuses(&self, session: &crate::session::Session) -> Option<String> {
        if self.folder.is_none() {
            return Some("no folder is named; set reports.folder".to_owned());
        }
        if !self.sessions.contains(&session.origin) {
            return Some(format!("reports.sessions does not have {}", session.origin.as_str()));
        }
        let short = session.seconds.is_some_and(|seconds| seconds < self.shortest.0.as_secs_f64());
        short.then(|| format!("it was shorter than {} (reports.shortest)", self.shortest))
    }
}
