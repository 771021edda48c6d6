//! The series as they are this second, as a storage for questions.

use std::collections::{HashMap, HashSet};

use crate::history::{Target, series_of};
use crate::promql::{self, Each, Error, Labels, Matcher, NAME, Op, Sample, Select, Selection};

/// One scrape: of each series its value.
#[derive(Debug, Default)]
pub struct Latest {
    at: i64,
    series: HashMap<Box<str>, Vec<(Labels, f64)>>,
}

/// The names of the series that questions ask for, so that nothing else of a scrape is read.
#[derive(Debug)]
pub struct SeriesNames(HashSet<Box<str>>);

impl SeriesNames {
    /// Those of these expressions.
    #[must_use]
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let exprs = texts.into_iter().filter_map(|text| promql::parse(text).ok());
        Self(exprs.flat_map(|expr| expr.metrics().map(Box::from).collect::<Vec<_>>()).collect())
    }
}

impl Latest {
    /// Reads the text of a scrape that was taken at this time, in milliseconds.
    #[must_use]
    pub fn read(at: i64, text: &str, wanted: &SeriesNames) -> Self {
        let mut series: HashMap<Box<str>, Vec<(Labels, f64)>> = HashMap::new();
        let target = Target::default();
        for line in text.lines() {
            let end = line.find(['{', ' ']).unwrap_or(line.len());
            let Some(name) = line.get(..end).and_then(|name| wanted.0.get(name)) else { continue };
            let Some((labels, value)) =
                series_of(line).and_then(|(of, value)| Some((target.labels(of)?, value)))
            else {
                continue;
            };
            series.entry(name.clone()).or_default().push((labels, value));
        }
        Self { at, series }
    }

    /// When it was taken, in milliseconds.
    #[must_use]
    pub fn at(&self) -> i64 {
        self.at
    }
}

impl Select for Latest {
    fn select(&self, selection: &Selection<'_>, each: &mut Each<'_>) -> Result<(), Error> {
        let named = selection.matchers.iter().find(|one| one.name() == NAME && one.op() == Op::Equal);
        let Some(named) = named.and_then(|one| self.series.get(one.value())) else { return Ok(()) };
        named
            .iter()
            .filter(|(labels, _)| Matcher::all(selection.matchers, labels))
            .try_for_each(|(labels, value)| each(labels, &[Sample { t: self.at, v: *value }]))
    }
}
