//! What is said about a mapping file: mistakes with their place, and sentences for the log.
//!
//! It does not judge.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{self, Path, Positions};

pub(super) const SUMMARY: &str =
    "summaries are not computed here: timers, histograms and distributions are exposed as histograms";
pub(super) const NATIVE: &str =
    "native_histogram_bucket_factor and native_histogram_max_buckets have no effect";
pub(super) const LEGACY: &str =
    "timer_type, buckets and quantiles outside their options are an old spelling, still read";

/// A mistake in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, and in which rule, counted from 1.
    pub message: String,
    /// The line it is in, or that its rule begins in, counted from 1.
    pub line: Option<usize>,
    /// The column, counted from 1.
    pub column: Option<usize>,
}

impl From<document::Problem> for Problem {
    fn from(said: document::Problem) -> Self {
        let known = |number: usize| (number > 0).then_some(number);
        Self { line: known(said.line), column: known(said.column), message: said.message }
    }
}

/// What is said about a file while it is read.
#[derive(Default)]
pub(super) struct MappingReport {
    /// The rule that is read, counted from 0.
    pub(super) rule: Option<u32>,
    pub(super) problems: Vec<(Option<u32>, String)>,
    /// A sentence about one rule.
    notes: Vec<String>,
    /// Sentences about the file, said once, and the rules they are about.
    deprecated: BTreeMap<&'static str, BTreeSet<Option<u32>>>,
}

impl MappingReport {
    fn place(&self) -> String {
        self.rule.map_or_else(|| "defaults".into(), |number| format!("rule {}", number + 1))
    }

    pub(super) fn problem(&mut self, what: impl std::fmt::Display) {
        let message = format!("{}: {what}", self.place());
        self.problems.push((self.rule, message));
    }

    pub(super) fn note(&mut self, what: impl std::fmt::Display) {
        let note = format!("{}: {what}", self.place());
        self.notes.push(note);
    }

    pub(super) fn note_deprecated(&mut self, asked: bool, what: &'static str) {
        if asked {
            self.deprecated.entry(what).or_default().insert(self.rule);
        }
    }

    pub(super) fn notes(self) -> Vec<String> {
        let times = |(what, places): (&str, BTreeSet<_>)| match places.len() {
            1 => format!("{what} (1 place)"),
            many => format!("{what} ({many} places)"),
        };
        self.notes.into_iter().chain(self.deprecated.into_iter().map(times)).collect()
    }

    pub(super) fn placed(self, places: &Positions) -> Vec<Problem> {
        let placed = |(rule, message): (Option<u32>, String)| {
            let place = rule.map(|number| places.value(&Path::from("mappings").item(number as usize)));
            Problem { message, line: place.map(|p| p.line), column: place.map(|p| p.column) }
        };
        self.problems.into_iter().map(placed).collect()
    }
}
