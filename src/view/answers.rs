//! The questions of the cards, asked.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::latest::Latest;
use crate::catalog::card::{Ask, CARDS, questions};
use crate::promql::{self, Error, Expr, Interrupt, Labels, Query, Select, Value, When};

/// How far plots look back, and how far their points are apart, in milliseconds.
const BACK: i64 = 15 * 60_000;
const STEP: i64 = 15_000;
/// Values that one question may hold at once.
const VALUES: usize = 2_000_000;
/// Series that one answer may have.
const SERIES: usize = 5_000;

/// Numbers by the labels that they are of.
type Numbers = Vec<(Labels, f64)>;
/// Numbers over time, a place for each step.
pub(super) type Lines = Vec<(Labels, Vec<Option<f64>>)>;

/// What cards ask, read once: a page that is open asks all of it each second.
static READ: LazyLock<HashMap<&'static str, Expr>> = LazyLock::new(|| {
    let drawn = |card: &'static crate::catalog::card::Card| {
        card.lines.iter().chain(card.parts.map_or(&[][..], |parts| parts.lines))
    };
    let texts = questions().map(Ask::text).chain(CARDS.iter().flat_map(drawn).map(|line| line.ask.text()));
    texts.filter_map(|text| Some((text, promql::parse(text).ok()?))).collect()
});

fn read(text: &str) -> Result<Cow<'static, Expr>, Error> {
    READ.get(text).map_or_else(|| promql::parse(text).map(Cow::Owned), |expr| Ok(Cow::Borrowed(expr)))
}

/// The first and the last time of lines that end now, in milliseconds.
fn span_to(at: i64) -> (i64, i64) {
    let end = at - at.rem_euclid(STEP);
    (end - BACK, end)
}

/// What the history answered.
#[derive(Debug, Default)]
pub struct Past {
    numbers: HashMap<&'static str, Numbers>,
    lines: HashMap<&'static str, Lines>,
    /// The first and the last time of the lines, in milliseconds.
    span: (i64, i64),
    /// Why there are no answers, if there are none, or what is missing in them.
    pub notes: Vec<String>,
}

/// Every answer.
#[derive(Debug)]
pub(super) struct Answers<'p> {
    now: HashMap<&'static str, Numbers>,
    past: &'p Past,
}

impl Past {
    /// Asks what looks back from this time, in milliseconds. What cannot be answered is said in the notes.
    #[must_use]
    pub fn ask(past: &dyn Select, at: i64, interrupt: &dyn Fn() -> Option<Interrupt>) -> Self {
        let span = span_to(at);
        let mut found = Self { span, ..Self::default() };
        let mut failed = |error: &Error| {
            let why = error.to_string();
            if !found.notes.contains(&why) {
                found.notes.push(why);
            }
        };
        for text in questions().filter_map(|ask| if let Ask::Past(text) = ask { Some(text) } else { None }) {
            match numbers(text, at, past, interrupt) {
                Ok(answer) => drop(found.numbers.insert(text, answer)),
                Err(error) => failed(&error),
            }
        }
        for line in CARDS.iter().flat_map(|card| card.lines) {
            let text = line.ask.text();
            match lines(text, span, past, interrupt) {
                Ok(answer) => drop(found.lines.insert(text, answer)),
                Err(error) => failed(&error),
            }
        }
        found
    }

    /// That nobody can be asked.
    #[must_use]
    pub fn absent(why: &str) -> Self {
        Self { notes: vec![why.to_owned()], ..Self::default() }
    }

    /// The first and the last time of lines, in milliseconds.
    pub(super) fn span(&self) -> (i64, i64) {
        self.span
    }

    pub(super) fn lines(&self, text: &str) -> &[(Labels, Vec<Option<f64>>)] {
        self.lines.get(text).map_or(&[], Vec::as_slice)
    }
}

impl<'p> Answers<'p> {
    pub(super) fn of(latest: &Latest, past: &'p Past) -> Self {
        let texts = questions().filter_map(|ask| if let Ask::Now(text) = ask { Some(text) } else { None });
        // What cannot be answered of one scrape in memory has no answer: a test asks everything.
        let now = texts.map(|text| (text, numbers(text, latest.at(), latest, &|| None).unwrap_or_default()));
        Self { now: now.collect(), past }
    }

    /// The answer to one of the questions of the cards.
    pub(super) fn to(&self, ask: Ask) -> &[(Labels, f64)] {
        let (answers, text) = match ask {
            Ask::Now(text) => (&self.now, text),
            Ask::Past(text) => (&self.past.numbers, text),
        };
        answers.get(text).map_or(&[], Vec::as_slice)
    }

    pub(super) fn past(&self) -> &'p Past {
        self.past
    }
}

/// A question over the last minutes, with the first and the last time of its answer.
pub(super) fn course(
    text: &str,
    at: i64,
    past: &dyn Select,
    interrupt: &dyn Fn() -> Option<Interrupt>,
) -> Result<((i64, i64), Lines), Error> {
    let span = span_to(at);
    Ok((span, lines(text, span, past, interrupt)?))
}

fn query<'q>(when: When, interrupt: &'q dyn Fn() -> Option<Interrupt>) -> Query<'q> {
    Query { max_samples: VALUES, interrupt, ..Query::new(when) }
}

fn numbers(
    text: &str,
    at: i64,
    storage: &dyn Select,
    interrupt: &dyn Fn() -> Option<Interrupt>,
) -> Result<Numbers, Error> {
    let answer = promql::evaluate(&*read(text)?, &query(When::At(at), interrupt), storage)?;
    let Value::Vector(elements) = answer.value else { return Ok(Vec::new()) };
    let finite = elements.into_iter().filter(|element| element.value.is_finite()).take(SERIES);
    Ok(finite.map(|element| (element.labels, element.value)).collect())
}

fn lines(
    text: &str,
    (start, end): (i64, i64),
    storage: &dyn Select,
    interrupt: &dyn Fn() -> Option<Interrupt>,
) -> Result<Lines, Error> {
    let when = When::Range { start, end, step: STEP };
    let answer = promql::evaluate(&*read(text)?, &query(when, interrupt), storage)?;
    let Value::Matrix(series) = answer.value else { return Ok(Vec::new()) };
    let points = |samples: &[promql::Sample]| {
        let mut points = vec![None; ((end - start) / STEP + 1) as usize];
        for sample in samples.iter().filter(|sample| sample.v.is_finite()) {
            if let Some(point) = points.get_mut(((sample.t - start) / STEP) as usize) {
                *point = Some(sample.v);
            }
        }
        points
    };
    Ok(series.into_iter().take(SERIES).map(|one| (one.labels, points(&one.samples))).collect())
}
