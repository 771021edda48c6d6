//! What people look at, made of answers: the page and the terminal show the same cards.
//!
//! Pure: the series of this second, answers of the past, alerts and incidents go in, and a [`Snapshot`] comes out. What draws it knows
//! nothing but the snapshot, which goes over the wire as JSON as well.

mod answers;
pub mod benchmark;
mod build;
mod csv;
pub mod data;
pub mod html;
mod latest;
pub mod report;
pub mod screen;
mod statistics;
pub mod table;
mod words;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::alert::health::Status;
pub use answers::Past;
pub use build::{SnapshotInput, build, draw_parts};
pub use latest::{Latest, SeriesNames};

/// Everything that is shown, at one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// When it was made: ms since the epoch.
    pub at: i64,
    /// The version of the agent.
    pub version: String,
    /// How everything is, in words.
    pub verdict: Verdict,
    /// Every card, in the order in which they are shown.
    pub cards: Vec<Card>,
    /// Alerts that fire or wait, the most urgent first.
    pub alerts: Vec<Alert>,
    /// Incidents that are open, the most urgent first.
    pub incidents: Vec<Incident>,
    /// What flows, how the machine is, and how each group of processes is.
    #[serde(default)]
    pub figures: Figures,
    /// What keeps this from being complete.
    pub notes: Vec<String>,
}

/// Numbers by their names; nothing where one is not known.
pub type Numbers = BTreeMap<String, Option<f64>>;

/// Numbers that stand for everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// What flows through the pipelines.
    pub flow: Numbers,
    /// How the machine is.
    pub system: Numbers,
    /// How each group of processes is, by its name.
    pub services: BTreeMap<String, Numbers>,
}

/// How everything is, in words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// That of the worst card.
    pub status: Status,
    /// A few words: `Recording is in danger`.
    pub words: String,
    /// What there is, in a sentence, where all is well.
    pub summary: String,
    /// What is wrong, the worst first.
    pub sentences: Vec<Sentence>,
}

/// Something that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sentence {
    /// How bad it is.
    pub status: Status,
    /// What is wrong: `cyton lost 5 % of its packets`.
    pub text: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub advice: Option<String>,
    /// Since when an alert fires about it: ms since the epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub since: Option<i64>,
    /// The alert whose runbook says more.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub alert: Option<String>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Card {
    /// The kind of component: `device`.
    pub kind: String,
    /// Which one; empty where there is one alone.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// How it is in a word: `streams`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<String>,
    /// What is wrong with it.
    pub sentences: Vec<Sentence>,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// What it was like in the last minutes.
    pub plots: Vec<Plot>,
    /// What its parts are called: `Channels`. Empty where it has none.
    pub parts_heading: String,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// Something that is known, for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// What it is.
    pub label: String,
    /// Its value, with a unit.
    pub text: String,
    /// How it is.
    pub status: Status,
    /// The name of its number: `rate_hertz`.
    #[serde(default)]
    pub key: String,
    /// The number.
    #[serde(default)]
    pub value: Option<f64>,
    /// The number beside it, if there is one: the nominal rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<f64>,
    /// The limit that it is compared with, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// The same, with a unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_text: Option<String>,
}

/// A part of a component: a channel, a stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// What tells it apart: `3`.
    pub id: String,
    /// What people call it: `C3`; the same where it has no other name.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// Why it is not well, in words, the worst first.
    pub reasons: Vec<String>,
    /// What is known of it.
    pub facts: Vec<Fact>,
    /// What it was like in the last minutes, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub plots: Vec<Plot>,
}

/// A line over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plot {
    /// What it shows.
    pub label: String,
    /// The first and the last time: ms since the epoch.
    pub span: (i64, i64),
    /// Numbers at equal distances; nothing where there was none.
    pub points: Vec<Option<f64>>,
    /// The least and the greatest, for people; empty where there is no number.
    pub range: (String, String),
    /// Beyond this it is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bound: Option<f64>,
    /// The bound, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bound_text: Option<String>,
}

/// An alert that fires or waits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ShownAlert")]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Whether it fires; else it waits.
    pub firing: bool,
    /// P0 to P3.
    pub priority: String,
    /// What it says.
    pub summary: String,
    /// Since when it fires, or waits: ms since the epoch.
    pub since: i64,
    /// Whether the agent has its runbook.
    pub runbook: bool,
}

/// An incident that is open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ShownIncident")]
pub struct Incident {
    /// Its number.
    pub id: String,
    /// `open`, `acknowledged`.
    pub state: String,
    /// P0 to P3.
    pub priority: String,
    /// What it is about.
    pub summary: String,
    /// Since when: ms since the epoch.
    pub since: i64,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
    /// Until when nobody is notified of it, where the agent keeps silences: ms since the epoch; 0 if a receiver is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub silenced: Option<i64>,
}
