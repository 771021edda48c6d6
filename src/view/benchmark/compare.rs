//! A time beside a benchmark.
//!
//! Whether a line differs at all is the test of Mann and Whitney of the means of parts of both times; whether that matters is
//! the line's limit, on the side that is worse.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Benchmark, Line};
use crate::catalog::limit::{self, Limits};
use crate::catalog::line::{self, Better};
use crate::view::Status;
use crate::view::statistics::{LEAST, mann_whitney};

/// How sure the test must be that it is not by chance: a comparison has a hundred lines, and one is made every few minutes.
const SURE: f64 = 0.999;

/// What became of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Worse, by more than its limit.
    Degraded,
    /// Better, by more than its limit.
    Improved,
    /// Neither, as far as can be told.
    Stable,
    /// There are too few points, or its level says nothing of how well something works.
    #[default]
    Unjudged,
}

impl Outcome {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Degraded => "degraded",
            Self::Improved => "improved",
            Self::Stable => "stable",
            Self::Unjudged => "unjudged",
        }
    }
}

/// How bad a regression is, by how many times it is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Once: a note.
    Info,
    /// `regression_warning` times.
    Warning,
    /// `regression_critical` times.
    Critical,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A line of both times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Which one of the catalogue: `stage_duration`.
    pub metric: String,
    /// What it is, in words.
    pub subject: String,
    /// The labels that it has.
    pub labels: BTreeMap<String, String>,
    /// Its unit: `seconds`; empty for a number without one.
    pub unit: String,
    /// What is better: `higher`, `lower`, `neither`.
    pub better: String,
    /// Its mean in the benchmark.
    pub baseline: f64,
    /// Its mean now.
    pub current: f64,
    /// By how much it changed, as a share of the benchmark's mean; absent where that is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<f64>,
    /// How sure it is that the two times differ, from 0 to 1.
    pub confidence: f64,
    /// The share by which it may be worse; absent if it is not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// By how many times its limit it is worse; 0 if it is not, as far as can be told.
    pub exceeds: f64,
    /// What became of it.
    pub outcome: Outcome,
    /// How bad that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

/// A time beside a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// The version of its form.
    pub version: u32,
    /// The benchmark's name.
    pub benchmark: String,
    /// When the benchmark's time began: ms since the epoch.
    pub baseline_start: i64,
    /// When it ended.
    pub baseline_end: i64,
    /// How everything was in that time.
    pub baseline_verdict: String,
    /// When the time begins that is compared.
    pub start: i64,
    /// When it ends.
    pub end: i64,
    /// Who answered.
    pub source: String,
    /// Degraded if there is a regression, unhealthy if one is critical, unknown if nothing could be judged.
    pub status: Status,
    /// How many lines became what.
    pub counts: BTreeMap<Outcome, usize>,
    /// The lines of both times, the worst first.
    pub rows: Vec<Row>,
    /// Lines of the benchmark that were not measured in this time, in words.
    pub missing: Vec<String>,
    /// What keeps it from being complete.
    pub notes: Vec<String>,
}

/// Compares a time with a benchmark.
#[must_use]
pub fn compare(baseline: &Benchmark, current: &Benchmark, limits: &Limits) -> Comparison {
    let known: BTreeMap<(&str, &BTreeMap<String, String>), &Line> =
        current.lines.iter().map(|line| ((&*line.metric, &line.labels), line)).collect();
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for before in &baseline.lines {
        match known.get(&(&*before.metric, &before.labels)) {
            Some(now) => rows.push(row(before, now, limits)),
            None => missing.push(before.subject()),
        }
    }
    // A comparison with the worst first; what is equally bad stays in the order of the catalogue.
    rows.sort_by(|a: &Row, b: &Row| a.outcome.cmp(&b.outcome).then(b.exceeds.total_cmp(&a.exceeds)));
    let mut counts = BTreeMap::new();
    for row in &rows {
        *counts.entry(row.outcome).or_insert(0) += 1;
    }
    let said = |whose: &str, one: &Benchmark| -> Vec<String> {
        one.notes.iter().map(|note| format!("{whose}: {note}")).collect()
    };
    let notes = [said("the benchmark", baseline), said("the time beside it", current)].concat();
    let judged = rows.iter().any(|row| row.outcome != Outcome::Unjudged);
    let status = match rows.iter().filter_map(|row| row.severity).max() {
        Some(Severity::Critical) => Status::Unhealthy,
        Some(_) => Status::Degraded,
        None if judged => Status::Healthy,
        None => Status::Unknown,
    };
    Comparison {
        version: super::VERSION,
        benchmark: baseline.name.clone(),
        baseline_start: baseline.start,
        baseline_end: baseline.end,
        baseline_verdict: baseline.verdict.clone(),
        start: current.start,
        end: current.end,
        source: current.source.clone(),
        status,
        counts,
        rows,
        missing,
        notes,
    }
}

fn row(before: &Line, now: &Line, limits: &Limits) -> Row {
    let (was, is) = (before.values.mean, now.values.mean);
    let mut row = Row {
        metric: before.metric.clone(),
        subject: before.subject(),
        labels: before.labels.clone(),
        unit: before.unit.clone(),
        better: before.better.clone(),
        baseline: was,
        current: is,
        change: (was != 0.0).then(|| (is - was) / was.abs()),
        confidence: mann_whitney(&before.parts, &now.parts),
        ..Row::default()
    };
    let Some((about, limit)) = before.about().and_then(|line| Some((line, line.limit?))) else { return row };
    if before.parts.len() < LEAST || now.parts.len() < LEAST {
        return row;
    }
    // Of a limit of 0 everything is infinitely many times.
    let limit = limits.of(limit).max(1e-9);
    row.limit = Some(limit);
    row.outcome = Outcome::Stable;
    if row.confidence < SURE || is == was {
        return row;
    }
    let exceeds = exceeds(about, was, is, limit);
    if exceeds >= 1.0 {
        row.outcome = Outcome::Degraded;
        row.exceeds = exceeds;
        row.severity = Some(match exceeds {
            _ if exceeds >= limits.of(&limit::REGRESSION_CRITICAL) => Severity::Critical,
            _ if exceeds >= limits.of(&limit::REGRESSION_WARNING) => Severity::Warning,
            _ => Severity::Info,
        });
    } else if exceeds <= -1.0 {
        row.outcome = Outcome::Improved;
    }
    row
}

/// By how many times its limit a line is worse; below 0 if it is better. A difference that is small is no share of next to nothing: it
/// counts as its share of what it would be the limit of.
fn exceeds(line: &line::Line, was: f64, is: f64, limit: f64) -> f64 {
    let worse = if line.better == Better::Higher { was - is } else { is - was };
    worse / was.abs().max(line.small / limit) / limit
}
