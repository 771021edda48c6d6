//! A benchmark: how the lines of the catalogue were distributed in a time that was good, and a comparison of another time with it.
//!
//! Pure: [`questions`] lists what is to be asked, in PromQL; [`build`] makes a [`Benchmark`] of the answers, and [`compare`] a
//! [`Comparison`] of two.

mod compare;
mod regressions;
mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::report::{Time, instances, is_wanted};
use super::statistics::{self, Distribution};
use super::words::span;
use crate::catalog::line::{self, LINES, stepped};
use crate::promql::{Labels, Value, When};

pub use compare::{Comparison, Outcome, Row, Severity, compare};
pub use regressions::{Regression, Regressions, regression_questions, regressions, write_regressions};
pub use text::{write, write_csv, write_list, write_markdown, write_one};

/// The version of the form.
const VERSION: u32 = 1;
/// From one point of a line to the next, in ms: the longest usual time between scrapes, four times.
const STEP: i64 = 60_000;
/// Points of a line, at most.
const POINTS: i64 = 1_440;
/// Lines of a benchmark, at most.
const MOST: usize = 2_000;
/// How many scrapes of an agent there were in each step.
const SCRAPES: &str = "count_over_time(neural_agent_build_info[$step])";
/// Bytes of a name, at most.
const NAME: usize = 64;

/// Numbers that were measured in a time, to compare others with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Benchmark {
    /// The version of its form.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// What its maker says of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When its time begins: ms since the epoch.
    pub start: i64,
    /// When its time ends: ms since the epoch.
    pub end: i64,
    /// From one point of a line to the next, in ms.
    pub step: i64,
    /// Who answered.
    pub source: String,
    /// How everything was in that time, as a report of it says.
    pub verdict: String,
    /// What a line must have, if it has the label at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<(String, String)>,
    /// The lines.
    pub lines: Vec<Line>,
    /// What keeps it from being complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What a list says of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What its maker says of it.
    #[serde(default)]
    pub note: String,
    /// When its time begins: ms since the epoch.
    pub start: i64,
    /// When its time ends: ms since the epoch.
    pub end: i64,
    /// From one point of a line to the next, in ms.
    pub step: i64,
    /// Who answered.
    pub source: String,
    /// How everything was in that time.
    pub verdict: String,
    /// How many lines it has.
    pub lines: usize,
}

impl Listed {
    /// That of a benchmark.
    #[must_use]
    pub fn of(one: &Benchmark) -> Self {
        let Benchmark { name, note, start, end, step, source, verdict, lines, .. } = one.clone();
        Self { name, note, start, end, step, source, verdict, lines: lines.len() }
    }
}

/// A line of a benchmark.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Which one of the catalogue: `stage_duration`.
    pub metric: String,
    /// The labels that it has.
    pub labels: BTreeMap<String, String>,
    /// Its unit: `seconds`; empty for a number without one.
    pub unit: String,
    /// What is better: `higher`, `lower`, `neither`.
    pub better: String,
    /// How its points are distributed.
    #[serde(flatten)]
    pub values: Distribution,
    /// Means of parts of the time, which are compared.
    pub parts: Vec<f64>,
}

impl Line {
    /// What is known of it, if this version of the program knows it.
    fn about(&self) -> Option<&'static line::Line> {
        LINES.iter().find(|line| line.key == self.metric)
    }

    /// Which one it is, in words.
    fn subject(&self) -> String {
        self.about()
            .map_or_else(|| self.metric.clone(), |line| super::report::subject(line.subject, &self.labels))
    }
}

/// What a benchmark is made of.
#[derive(Debug)]
pub struct BenchmarkInput<'a> {
    /// Its name.
    pub name: String,
    /// Its time.
    pub time: Time,
    /// From one point to the next, in ms.
    pub step: i64,
    /// Who answered.
    pub source: String,
    /// The answers to [`questions`], in their order; nothing where there is none.
    pub answers: Vec<Option<Value>>,
    /// What a line must have, if it has the label at all: `device`, `cyton`.
    pub only: &'a [(String, String)],
}

/// Whether a text can be the name of a benchmark: it is the name of a file as well.
///
/// # Errors
/// What a name is.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME || name.starts_with('.') || !name.chars().all(fits) {
        return Err(format!(
            "\"{}\" is no name of a benchmark: 1 to {NAME} letters of ASCII, digits, -, _ and ., and no . first",
            crate::quote::quote(name)
        ));
    }
    Ok(())
}

/// From one point to the next where nothing is said, in ms.
#[must_use]
pub fn usual_step(time: Time) -> i64 {
    (time.window() / POINTS).max(STEP)
}

/// Whether a time can be measured by such steps: each point tells of a whole one.
///
/// # Errors
/// It is shorter than one step.
pub fn check_step(time: Time, step: i64) -> Result<(), String> {
    let words = |ms: i64| span(ms as f64 / 1000.0);
    if step > time.window() {
        let (window, step) = (words(time.window()), words(step));
        return Err(format!(
            "the time of {window} is shorter than a step of {step}, of which each point tells"
        ));
    }
    Ok(())
}

/// What is to be asked for a benchmark: answers are given to [`build`] in the same order. The last one is about scrapes.
#[must_use]
pub fn questions(time: Time, step: i64) -> Vec<(String, When)> {
    let step = step.max(time.window() / POINTS).max(1);
    // Points end with the time, and the first one has a whole step before it.
    let start = time.end - (time.window() / step - 1).max(0) * step;
    let when = When::Range { start, end: time.end, step };
    let asks = LINES.iter().map(|line| line.ask).chain([SCRAPES]);
    asks.map(|ask| (stepped(ask, step), when)).collect()
}

/// What is to be known of a time whose steps have too few scrapes: a counter has a rate between two of them.
fn sparse(answer: Option<&Value>, step: i64) -> Option<String> {
    let Some(Value::Matrix(series)) = answer else { return None };
    let counts: Vec<f64> = series.iter().flat_map(|one| &one.samples).map(|sample| sample.v).collect();
    let (few, all) = (counts.iter().filter(|count| **count < 2.0).count(), counts.len());
    // Where the agent began or was away one step has few.
    (few > all / 10).then(|| {
        let step = span(step as f64 / 1000.0);
        format!(
            "{few} of {all} steps of {step} have fewer than two scrapes, so counters have no rate in them and may be missing: \
             make the step at least twice the time between scrapes (--step), which is a minute for what is older than a day in the agent's history"
        )
    })
}

/// Makes a benchmark.
#[must_use]
pub fn build(given: BenchmarkInput<'_>) -> Benchmark {
    let BenchmarkInput { name, time, step, source, answers, only } = given;
    let step = step.max(time.window() / POINTS).max(1);
    let mut lines = Vec::new();
    let notes = sparse(answers.get(LINES.len()).and_then(Option::as_ref), step).into_iter().collect();
    for (about, answer) in LINES.iter().zip(answers) {
        let Some(Value::Matrix(series)) = answer else { continue };
        if only.iter().any(|(name, value)| name == "metric" && value != about.key) {
            continue;
        }
        let wanted = |labels: &Labels| is_wanted(labels, about.labels, only);
        let series: Vec<_> = series.iter().filter(|one| wanted(&one.labels)).collect();
        let named = instances(&series.iter().map(|one| &one.labels).collect::<Vec<_>>()) > 1;
        for one in series {
            let points: Vec<f64> =
                one.samples.iter().map(|sample| sample.v).filter(|value| value.is_finite()).collect();
            let Some(values) = Distribution::of(&points) else { continue };
            let parts = statistics::means(&points.iter().copied().map(Some).collect::<Vec<_>>());
            let names = named.then_some("instance").into_iter().chain(about.labels.iter().copied());
            lines.push(Line {
                metric: about.key.to_owned(),
                labels: names.map(|name| (name.to_owned(), one.labels.get(name).to_owned())).collect(),
                unit: about.unit.suffix().to_owned(),
                better: about.better.as_str().to_owned(),
                values,
                parts: parts.into_iter().map(|(_, mean)| mean).collect(),
            });
        }
    }
    lines.truncate(MOST);
    Benchmark {
        version: VERSION,
        name,
        note: String::new(),
        start: time.start,
        end: time.end,
        step,
        source,
        verdict: String::new(),
        only: only.to_vec(),
        lines,
        notes,
    }
}

impl Benchmark {
    /// Reads what was written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let read: Self =
            serde_json::from_slice(text).map_err(|error| format!("it is no benchmark: {error}"))?;
        if read.version != VERSION {
            return Err(format!("its form is version {}; this program knows {VERSION}", read.version));
        }
        check_name(&read.name)?;
        let numbers = |line: &Line| {
            line.parts.len() <= statistics::PARTS && line.parts.iter().all(|part| part.is_finite())
        };
        if read.lines.len() > MOST || !read.lines.iter().all(numbers) {
            return Err(format!(
                "it has more than {MOST} lines, or one of more than {} parts",
                statistics::PARTS
            ));
        }
        Ok(read)
    }
}

/// Where benchmarks are kept.
pub trait Shelf: Send + Sync {
    /// Their names, in order.
    ///
    /// # Errors
    /// They cannot be read.
    fn names(&self) -> Result<Vec<String>, String>;

    /// One of them.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, name: &str) -> Result<Option<Benchmark>, String>;

    /// Keeps one; in the place of what has its name if `replace` says so. Whether it was kept: the name may be taken.
    ///
    /// # Errors
    /// It cannot be written, or there are too many.
    fn write(&self, benchmark: &Benchmark, replace: bool) -> Result<bool, String>;

    /// Removes one; whether it was there.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&self, name: &str) -> Result<bool, String>;
}

#[cfg(test)]
mod tests;
