//! What is said about a mapping file: mistakes with their place, and sentences for the log.
//!
//! It does not judge.

use std::collections::{BTreeMap, BTreeSet};

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

/// What is said about a file while it is read.
#[derive(Default)]
pub(super) struct Said {
    /// The rule that is read, counted from 0.
    pub(super) rule: Option<u32>,
    pub(super) problems: Vec<(Option<u32>, String)>,
    /// A sentence about one rule.
    notes: Vec<String>,
    /// Sentences about the file, said once, and the rules they are about.
    habits: BTreeMap<&'static str, BTreeSet<Option<u32>>>,
}

impl Said {
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

    pub(super) fn habit(&mut self, asked: bool, what: &'static str) {
        if asked {
            self.habits.entry(what).or_default().insert(self.rule);
        }
    }

    pub(super) fn notes(self) -> Vec<String> {
        let times = |(what, places): (&str, BTreeSet<_>)| match places.len() {
            1 => format!("{what} (1 place)"),
            many => format!("{what} ({many} places)"),
        };
        self.notes.into_iter().chain(self.habits.into_iter().map(times)).collect()
    }

    pub(super) fn placed(self, yaml: &str) -> Vec<Problem> {
        let places = places(yaml);
        let placed = |(rule, message): (Option<u32>, String)| {
            let place = rule.and_then(|number| places.get(number as usize));
            Problem { message, line: place.map(|p| p.0), column: place.map(|p| p.1) }
        };
        self.problems.into_iter().map(placed).collect()
    }
}

/// Line and column where each item of `mappings` begins.
fn places(yaml: &str) -> Vec<(usize, usize)> {
    use granit_parser::Event;
    let mut places = Vec::new();
    let (mut depth, mut key, mut inside, mut expect_key) = (0_usize, String::new(), false, true);
    for next in granit_parser::Parser::new_from_str(yaml) {
        let Ok((event, span)) = next else { break };
        if !event.is_node() {
            match event {
                Event::SequenceEnd | Event::MappingEnd => {
                    depth = depth.saturating_sub(1);
                    inside &= depth >= 2;
                    expect_key |= depth == 1;
                }
                _ => {}
            }
            continue;
        }
        if inside && depth == 2 {
            places.push((span.start.line(), span.start.col() + 1));
        }
        let opens = matches!(event, Event::MappingStart(..) | Event::SequenceStart(..));
        if depth == 1 && expect_key {
            key = event.scalar().map(|(text, _)| text.to_owned()).unwrap_or_default();
            expect_key = false;
        } else if depth == 1 {
            inside = opens && key == "mappings";
            expect_key = !opens;
        }
        depth += usize::from(opens);
    }
    places
}
