//! The one table of everything that is measured.
//!
//! An entry holds a metric's name, meaning, type, unit, labels, life and *effect*: how an event
//! moves it. Registration, the metrics reference, dashboards and rules are readings of
//! this table. User packs join it at start.

pub mod agent;
pub mod alert;
pub mod benchmark;
pub mod card;
pub mod device;
pub mod doctor;
pub mod draw;
pub mod gpu;
pub mod health;
pub mod host;
pub mod incident;
pub mod inference;
pub mod limit;
pub mod line;
pub mod lint;
pub mod pipeline;
pub mod port;
pub mod probe;
pub mod process;
pub mod program;
pub mod reference;
pub mod report;
pub mod service;
pub mod signal;
pub mod source;
pub mod stream;
pub mod summary;
pub mod tap;
pub mod telemetry;
pub mod trace;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use self::draw::Draw;
use crate::event::{Event, Kind, Timestamp, Topic, TraceId};

/// A chapter of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// One word: the file's name and the second part of the metrics' names where it helps.
    pub id: &'static str,
    /// For a heading.
    pub title: &'static str,
    /// One or two sentences: what the page answers.
    pub about: &'static str,
    /// In the order of the reference.
    pub metrics: &'static [&'static Metric],
}

/// The pages of the agent's own metrics, which its own registry holds.
pub static OWN: &[&Page] = &[&agent::PAGE, &incident::PAGE, &benchmark::PAGE, &trace::PAGE];

/// The built-in pages, in the order of a scrape.
pub static PAGES: &[&Page] = &[
    &source::PAGE,
    &device::PAGE,
    &stream::PAGE,
    &program::PAGE,
    &tap::PAGE,
    &signal::PAGE,
    &port::PAGE,
    &pipeline::PAGE,
    &inference::PAGE,
    &service::PAGE,
    &telemetry::PAGE,
    &probe::PAGE,
    &host::PAGE,
    &process::PAGE,
    &gpu::PAGE,
];

/// One metric: what it is called, what it means and how events move it.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Without prefix, unit and `_total`; those are appended by [`Metric::family`].
    pub name: &'static str,
    /// One capitalised phrase without a full stop: the HELP text.
    pub help: &'static str,
    /// What else a reader of the reference needs: conditions of counting, what label values mean. Without a full stop;
    /// empty if the help says it all.
    pub note: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Its unit, appended to the name.
    pub unit: Unit,
    /// Label names, in the order in which `read` gives the values.
    pub labels: &'static [&'static str],
    /// Upper bounds of a histogram's buckets, without the infinite one.
    pub bounds: &'static [f64],
    /// The limits that quantiles of a histogram are held against; see [`Metric::ladder`].
    pub judged: &'static [&'static limit::Limit],
    /// How long its series live.
    pub keep: Keep,
    /// The events it listens to.
    pub on: &'static [Topic],
    /// Whether it says how something is that may change at any moment: rules that look at it are evaluated when it does.
    pub prompt: bool,
    /// How it is drawn.
    pub draw: Draw,
    /// How an event moves it. Called for the topics in `on` alone.
    pub read: fn(&Event<'_>, &mut dyn Row),
    /// The alert that a pack declares for it. Those of built-in metrics stand in [`alert`].
    pub alert: Option<&'static alert::Alert>,
}

impl Metric {
    /// What an entry that says nothing else has.
    pub const BLANK: Self = Self {
        name: "",
        help: "",
        note: "",
        kind: Kind::Gauge,
        unit: Unit::None,
        labels: &[],
        bounds: &[],
        judged: &[],
        keep: Keep::Fresh,
        on: &[],
        prompt: false,
        draw: Draw::BLANK,
        read: |_, _| {},
        alert: None,
    };

    /// The bounds in effect: `own`, or those of the catalogue, and the limits that it is judged by. A limit between two
    /// bounds could not be distinguished from either.
    #[must_use]
    pub fn ladder(&self, own: Option<&[f64]>, limits: &limit::Limits) -> Vec<f64> {
        let mut bounds = own.unwrap_or(self.bounds).to_vec();
        bounds.extend(self.judged.iter().map(|limit| limits.of(limit)).filter(|number| *number > 0.0));
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    }

    /// The exposed name without type suffix: prefix, name, unit.
    #[must_use]
    pub fn family(&self) -> String {
        let unit = self.unit.suffix();
        let join = if unit.is_empty() { "" } else { "_" };
        format!("{PREFIX}{}{join}{unit}", self.name)
    }
}

impl std::fmt::Debug for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What its series are: the hash of the configuration is made of it.
        f.debug_struct("Metric")
            .field("name", &self.name)
            .field("help", &self.help)
            .field("kind", &self.kind)
            .field("unit", &self.unit)
            .field("labels", &self.labels)
            .field("bounds", &self.bounds)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

/// What every built-in metric's name begins with.
pub const PREFIX: &str = "neural_";

/// How long the series of a metric live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// For ever: counters, histograms, and gauges of things that cannot vanish.
    Always,
    /// Until no update arrived for the configured time.
    Fresh,
    /// As long as its source is up.
    WhileUp,
    /// As long as its source is up and the device streams and stays what it is: what says how a signal is now must
    /// not outlive it.
    WhileStreaming,
}

/// Base units, and what they append to a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A plain number.
    #[default]
    None,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// From 0 to 1.
    Ratio,
    /// Per second.
    Hertz,
    /// Degrees Celsius.
    Celsius,
    /// Watts.
    Watts,
    /// Joules.
    Joules,
    /// Volts.
    Volts,
    /// Ohms.
    Ohms,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Seconds,
        Self::Bytes,
        Self::Ratio,
        Self::Hertz,
        Self::Celsius,
        Self::Watts,
        Self::Joules,
        Self::Volts,
        Self::Ohms,
    ];

    /// What it appends to a name.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
            Self::Hertz => "hertz",
            Self::Celsius => "celsius",
            Self::Watts => "watts",
            Self::Joules => "joules",
            Self::Volts => "volts",
            Self::Ohms => "ohms",
        }
    }
}

/// Where a metric puts what it read. Label values stand in the order of the metric's labels.
pub trait Row {
    /// The configured name of the source the event came from.
    fn source(&self) -> Arc<str>;
    /// A counter grows by `by`.
    fn add(&mut self, labels: &[&str], by: f64);
    /// A gauge becomes `to`; a counter of another program now reads `to`.
    fn set(&mut self, labels: &[&str], to: f64);
    /// A gauge becomes the moment `at`, in seconds since the epoch. If the wall clock is set later, it moves along.
    fn stamp(&mut self, labels: &[&str], at: Timestamp);
    /// A count of what there is now moves by `by`, never below none.
    fn shift(&mut self, labels: &[&str], by: f64);
    /// A histogram sees `value`.
    fn observe(&mut self, labels: &[&str], value: f64, trace: Option<TraceId>);
}

/// Bounds for times from half a millisecond to ten seconds.
pub const LATENCY: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Bounds for times from a second to some hours.
pub const DURATION: &[f64] = &[1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0];
/// Bounds for numbers of things.
pub const COUNT: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];
