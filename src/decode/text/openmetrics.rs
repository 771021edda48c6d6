//! The text formats of Prometheus: a whole exposition in, families of joined metrics out.
//!
//! Both formats are read as tolerantly as Prometheus reads them ([`parse`]); what OpenMetrics 1.0 says to the letter is
//! asked for by [`parse_strict`]. The buckets, sum and count of one label set come out as one histogram, the parts of a
//! summary likewise. Exemplars and creation times are left behind: an event has no place for them. Nothing here
//! renames, filters or interprets; that is for [`exposition`](super::exposition).

mod line;
mod strict;
mod tolerant;

use std::borrow::Cow;

use crate::event::{FaultKind, Kind};

/// How an exposition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus text 0.0.4: blank lines, comments, milliseconds.
    Classic,
    /// OpenMetrics 1.0: ordered, grouped, ends in `# EOF`.
    OpenMetrics,
}

/// An exposition that was understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document<'t> {
    /// The families, in the order in which they began.
    pub families: Vec<Family<'t>>,
    /// What was left out.
    pub refused: Vec<Rejected<'t>>,
    /// The first of those that is no line of an exposition at all.
    pub unreadable: Option<ParseError>,
}

/// A sample, or a metric, that was left out; or a count that was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected<'t> {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: FaultKind,
    /// The line; nothing, if it is the whole of a metric that is wrong.
    pub text: &'t [u8],
}

/// The metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family<'t> {
    /// The name without the type's suffix: `foo` for `foo_total` and `foo_bucket`.
    pub name: Cow<'t, str>,
    /// The declared type.
    pub kind: Kind,
    /// The declared meaning, or nothing.
    pub help: Cow<'t, str>,
    /// The declared unit, or nothing.
    pub unit: &'t str,
    /// In the order in which they began.
    pub metrics: Vec<Metric<'t>>,
}

/// Label names and values, in the order of the text, without `le` and `quantile`.
pub type Labels<'t> = Vec<(Cow<'t, str>, Cow<'t, str>)>;

/// One label set of a family and what it reads; of several points in time, the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric<'t> {
    /// What tells it from the other metrics of the family.
    pub labels: Labels<'t>,
    /// What it reads.
    pub value: Value,
    /// When it read that, in seconds since the epoch, if the text says so.
    pub timestamp: Option<f64>,
    /// The line where it began, counted from 1.
    pub line: usize,
}

/// What a metric reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter, gauge, info, state or unknown.
    Number(f64),
    /// A histogram or gauge histogram.
    Histogram {
        /// Upper bounds in rising order, the last infinite, and cumulative counts.
        buckets: Vec<(f64, f64)>,
        /// Sum of the observed values.
        sum: Option<f64>,
        /// Number of observed values.
        count: Option<f64>,
    },
    /// A summary.
    Summary {
        /// Quantiles from 0 to 1 and their values.
        quantiles: Vec<(f64, f64)>,
        /// Sum of the observed values.
        sum: Option<f64>,
        /// Number of observed values.
        count: Option<f64>,
    },
}

impl Value {
    /// An empty value of the shape that `kind` has.
    fn blank(kind: Kind) -> Self {
        match kind {
            Kind::Histogram | Kind::GaugeHistogram => {
                Self::Histogram { buckets: Vec::new(), sum: None, count: None }
            }
            Kind::Summary => Self::Summary { quantiles: Vec::new(), sum: None, count: None },
            _ => Self::Number(f64::NAN),
        }
    }

    /// Whether the sum, or the count, is there already.
    fn has(&self, part: Part) -> bool {
        match (self, part) {
            (Self::Histogram { sum, .. } | Self::Summary { sum, .. }, Part::Sum) => sum.is_some(),
            (Self::Histogram { count, .. } | Self::Summary { count, .. }, Part::Count) => count.is_some(),
            _ => false,
        }
    }

    /// Puts one sample instead. `at` is the bucket's bound or the quantile.
    fn put(&mut self, part: Part, at: f64, reads: f64) {
        match (self, part) {
            (Self::Number(value), Part::Value) => *value = reads,
            (Self::Histogram { buckets, .. }, Part::Bucket) => buckets.push((at, reads)),
            (Self::Summary { quantiles, .. }, Part::Quantile) => quantiles.push((at, reads)),
            (Self::Histogram { sum, .. } | Self::Summary { sum, .. }, Part::Sum) => *sum = Some(reads),
            (Self::Histogram { count, .. } | Self::Summary { count, .. }, Part::Count) => {
                *count = Some(reads);
            }
            _ => {}
        }
    }
}

/// Why an exposition was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// The kind of fault it is.
    pub kind: FaultKind,
    /// What is wrong there.
    pub why: &'static str,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for ParseError {}

/// Understands an exposition of at most `limit` samples and lines about families, as Prometheus would.
///
/// Takes time and memory in proportion to the text, which the caller bounds.
///
/// # Errors
/// A text of which no line is a sample, one of OpenMetrics without its end, or the line that is one too many.
pub fn parse(text: &[u8], dialect: Dialect, limit: usize) -> Result<Document<'_>, ParseError> {
    tolerant::parse(text, dialect, limit)
}

/// Judges whether `text` is OpenMetrics 1.0 to the letter, and reads it.
///
/// # Errors
/// The first line that is not.
pub fn parse_strict(text: &[u8]) -> Result<Document<'_>, ParseError> {
    let text = std::str::from_utf8(text).map_err(|bad| {
        let before = text.get(..bad.valid_up_to()).unwrap_or_default();
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        ParseError { line, kind: FaultKind::Encoding, why: "not UTF-8" }
    })?;
    strict::parse(text)
}

/// Bytes that mean this name and these labels, in whatever order the labels come.
///
/// Separated by bytes that UTF-8 does not have, so no two series share them.
#[must_use]
pub fn series_key<N: AsRef<str>, V: AsRef<str>>(name: &str, labels: &[(N, V)]) -> Vec<u8> {
    let mut sorted: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    sorted.sort_unstable();
    let length = sorted.iter().map(|(n, v)| n.len() + v.len() + 2).sum::<usize>() + name.len();
    let mut key = Vec::with_capacity(length);
    key.extend_from_slice(name.as_bytes());
    for (label, value) in sorted {
        key.push(0xff);
        key.extend_from_slice(label.as_bytes());
        key.push(0xfe);
        key.extend_from_slice(value.as_bytes());
    }
    key
}

/// Whether `name` is a metric name of the old alphabet, `[a-zA-Z_:][a-zA-Z0-9_:]*`.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    !name.is_empty() && line::name_length(name, true) == name.len()
}

/// Whether `name` is a label name of the old alphabet, `[a-zA-Z_][a-zA-Z0-9_]*`.
#[must_use]
pub fn is_label_name(name: &str) -> bool {
    !name.is_empty() && line::name_length(name, false) == name.len()
}

/// `name` in the characters of the old alphabet, the others as `_`: what Prometheus calls underscore escaping.
#[must_use]
pub fn legal(name: Cow<'_, str>, colons: bool) -> Cow<'_, str> {
    if line::name_length(&name, colons) == name.len() {
        return name;
    }
    let fits = |place: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || (colons && c == ':') || (place > 0 && c.is_ascii_digit())
    };
    name.char_indices().map(|(place, c)| if fits(place, c) { c } else { '_' }).collect::<String>().into()
}

/// Adds labels of ours. Those of the same name are renamed, as Prometheus does it for the labels of a target.
pub fn add_labels<'t>(labels: &mut Labels<'t>, ours: impl IntoIterator<Item = (Cow<'t, str>, Cow<'t, str>)>) {
    let theirs = labels.len();
    labels.extend(ours);
    let taken = |labels: &Labels<'t>, place: usize| {
        labels.iter().skip(theirs).any(|(ours, _)| labels.get(place).is_some_and(|(label, _)| label == ours))
    };
    let mut clashes: Vec<usize> = (0..theirs).filter(|place| taken(labels, *place)).collect();
    clashes.sort_by_key(|place| labels.get(*place).map_or(0, |(label, _)| label.len()));
    for place in clashes {
        let Some((label, _)) = labels.get(place) else { continue };
        let mut name = format!("exported_{label}");
        while labels.iter().any(|(known, _)| *known == name) {
            name.insert_str(0, "exported_");
        }
        if let Some((label, _)) = labels.get_mut(place) {
            *label = name.into();
        }
    }
}

/// What a sample is to its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Value,
    Bucket,
    Quantile,
    Sum,
    Count,
    Created,
}

/// The suffixes of a type's samples, and what they mean.
fn suffixes(kind: Kind) -> &'static [(&'static str, Part)] {
    match kind {
        Kind::Counter => &[("_total", Part::Value), ("_created", Part::Created)],
        Kind::Gauge | Kind::StateSet | Kind::Unknown => &[("", Part::Value)],
        Kind::Info => &[("_info", Part::Value)],
        Kind::Histogram => &[
            ("_bucket", Part::Bucket),
            ("_sum", Part::Sum),
            ("_count", Part::Count),
            ("_created", Part::Created),
        ],
        Kind::GaugeHistogram => &[("_bucket", Part::Bucket), ("_gsum", Part::Sum), ("_gcount", Part::Count)],
        Kind::Summary => {
            &[("", Part::Quantile), ("_sum", Part::Sum), ("_count", Part::Count), ("_created", Part::Created)]
        }
    }
}

/// What a sample ending in `suffix` is to a family of this type.
fn part_of(kind: Kind, suffix: &str) -> Option<Part> {
    suffixes(kind).iter().find(|(known, _)| *known == suffix).map(|(_, part)| *part)
}

/// The type with this name in a `# TYPE` line of OpenMetrics.
fn kind_called(word: &str) -> Option<Kind> {
    Some(match word {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        "info" => Kind::Info,
        "stateset" => Kind::StateSet,
        "gaugehistogram" => Kind::GaugeHistogram,
        "unknown" => Kind::Unknown,
        _ => return None,
    })
}

/// Takes the label called `name` out.
fn take_label<'t>(labels: &mut Labels<'t>, name: &str) -> Option<Cow<'t, str>> {
    let place = labels.iter().position(|(known, _)| known == name)?;
    Some(labels.remove(place).1)
}

#[cfg(test)]
mod tests;
