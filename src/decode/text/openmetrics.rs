//! The text formats of Prometheus: a whole exposition in, families of joined metrics out.
//!
//! Both formats are read as tolerantly as Prometheus reads them ([`parse`]); what OpenMetrics 1.0 says to the letter is
//! asked for by [`judge`]. The buckets, sum and count of one label set come out as one histogram, the parts of a summary
//! likewise. Exemplars and creation times are left behind: an event has no place for them. Nothing here renames,
//! filters or interprets; that is for [`exposition`](super::exposition).

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
    pub refused: Vec<Refused<'t>>,
    /// The first of those that is no line of an exposition at all.
    pub unreadable: Option<ParseError>,
}

/// A sample, or a metric, that was left out; or a count that was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<'t> {
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

    /// Puts one sample in its place. `at` is the bucket's bound or the quantile.
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
pub fn judge(text: &[u8]) -> Result<Document<'_>, ParseError> {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANY: usize = 100_000;

    #[test]
    fn the_parts_of_a_histogram_come_out_joined() {
        let text = b"# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n# HELP h_seconds How \\\"long\\\".\n\
            h_seconds_bucket{a=\"1\",le=\"0.5\"} 2 # {trace_id=\"x\"} 0.4 1.5\n\
            h_seconds_bucket{a=\"1\",le=\"+Inf\"} 3\nh_seconds_count{a=\"1\"} 3\nh_seconds_sum{a=\"1\"} 1.25\n\
            h_seconds_created{a=\"1\"} 1e9\nh_seconds_bucket{a=\"2\",le=\"+Inf\"} 0\n# EOF\n";
        let read = parse(text, Dialect::OpenMetrics, MANY).unwrap();
        assert_eq!(read.families.len(), 1);
        let family = &read.families[0];
        assert_eq!(
            (&*family.name, family.kind, family.unit, &*family.help),
            ("h_seconds", Kind::Histogram, "seconds", "How \"long\".")
        );
        assert_eq!(family.metrics.len(), 2);
        assert_eq!(family.metrics[0].labels, [("a".into(), "1".into())]);
        assert_eq!(
            family.metrics[0].value,
            Value::Histogram {
                buckets: vec![(0.5, 2.0), (f64::INFINITY, 3.0)],
                sum: Some(1.25),
                count: Some(3.0)
            }
        );
    }

    #[test]
    fn classic_text_is_read_tolerantly() {
        let text = b"\n# a comment\n#HELP nothing\n# HELP  f_total  A \\\\ b\\nc \"d\"\n# TYPE\tf_total counter\n\
            f_total { code = \"200\" , path=\"a\\\"b\\q\", } 12   1500\n  \n\
            h_bucket{le=\"1\",x=\"1\"} 1\n\
            # TYPE g histogram\ng_sum{x=\"1\"} 3\ng_bucket{le=\"+Inf\",x=\"1\"} 2\ng_bucket{le=\"1\",x=\"1\"} 1\n\
            g_bucket{x=\"2\",le=\"1\"} 4\ng_count{x=\"2\"} 5\ng_count{x=\"1\"} 2\n\
            # TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_count 0\ns_sum 0\n# TYPE f_created gauge\nf_created 1e9\nlast -Inf";
        let read = parse(text, Dialect::Classic, MANY).unwrap();
        assert_eq!(read.refused, []);
        let names: Vec<_> = read.families.iter().map(|f| (&*f.name, f.kind, f.metrics.len())).collect();
        assert_eq!(
            names,
            [
                ("f", Kind::Counter, 1),
                ("h_bucket", Kind::Unknown, 1),
                ("g", Kind::Histogram, 2),
                ("s", Kind::Summary, 1),
                ("last", Kind::Unknown, 1)
            ]
        );
        let f = &read.families[0];
        assert_eq!(f.help, "A \\ b\nc \"d\"");
        assert_eq!(f.metrics[0].labels[1].1, "a\"b\\q");
        assert_eq!(f.metrics[0].timestamp, Some(1.5));
        let infinity = f64::INFINITY;
        assert_eq!(
            read.families[2].metrics.iter().map(|m| m.value.clone()).collect::<Vec<_>>(),
            [
                Value::Histogram {
                    buckets: vec![(1.0, 1.0), (infinity, 2.0)],
                    sum: Some(3.0),
                    count: Some(2.0)
                },
                Value::Histogram { buckets: vec![(1.0, 4.0), (infinity, 5.0)], sum: None, count: Some(5.0) }
            ]
        );
    }

    #[test]
    fn a_senseless_classic_sample_costs_only_itself() {
        let text = b"# TYPE c counter\nc -1\nc{a=\"1\"} NaN\nc{a=\"2\"} 4\n\
            # TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{x=\"1\",le=\"1\"} 3\nh_bucket{x=\"1\",le=\"+Inf\"} 2\n\
            h_bucket 1\nok 1\n";
        let read = parse(text, Dialect::Classic, MANY).unwrap();
        let mut refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
        refused.sort_unstable();
        assert_eq!(
            refused,
            [
                (2, FaultKind::Negative),
                (3, FaultKind::NotFinite),
                (6, FaultKind::MissingField),
                (7, FaultKind::BadValue),
                (9, FaultKind::MissingField)
            ]
        );
        assert_eq!(read.families.iter().map(|f| f.metrics.len()).sum::<usize>(), 2);
    }

    #[test]
    fn openmetrics_is_taken_as_prometheus_takes_it() {
        let long = "x".repeat(129);
        let text = format!(
            "# HELP c_seconds One.\n# HELP c_seconds Two.\n# TYPE c_seconds counter\nc_seconds{{a=\"1\"}} 1\n\
            c_seconds_total{{a=\"2\"}} 2 # {{trace_id=\"{long}\"}} 1 1\nc_seconds_total{{a=\"3\"}} NaN\n\
            c_seconds_total{{a=\"4\"}} -1\n# TYPE h histogram\nh_bucket{{x=\"1\",le=\"+Inf\"}} 1\n\
            h_bucket{{x=\"2\",le=\"+Inf\"}} 2\nh_sum{{x=\"1\"}} 3\ng 1\nh_sum{{x=\"2\"}} 4\nh_count{{x=\"1\"}} 1\n\
            h_count{{x=\"2\"}} 2\nh_created{{x=\"2\"}} 1.5\ng{{a=\"1\",}} 2 1.5\n{{\"a.b\", x=\"y\"}} 1\n\
            # TYPE i info\ni_info{{v=\"1\"}} 1\nbad{{ 1\n# a remark\n\n# EOF\n"
        );
        let read = parse(text.as_bytes(), Dialect::OpenMetrics, MANY).unwrap();
        let names: Vec<_> = read.families.iter().map(|f| (&*f.name, f.kind, f.metrics.len())).collect();
        assert_eq!(
            names,
            [
                ("c_seconds", Kind::Counter, 2),
                ("h", Kind::Histogram, 2),
                ("g", Kind::Unknown, 2),
                ("a.b", Kind::Unknown, 1),
                ("i", Kind::Info, 1)
            ]
        );
        assert_eq!(
            read.families[1].metrics[1].value,
            Value::Histogram { buckets: vec![(f64::INFINITY, 2.0)], sum: Some(4.0), count: Some(2.0) }
        );
        assert_eq!(read.families[2].metrics[1].timestamp, Some(1.5));
        let refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
        assert_eq!(
            refused,
            [(6, FaultKind::NotFinite), (7, FaultKind::Negative), (21, FaultKind::BadName)],
            "{:?}",
            read.refused
        );
        assert_eq!(read.unreadable.map(|wrong| wrong.line), Some(21));
        assert!(judge(text.as_bytes()).is_err());
    }

    #[test]
    fn openmetrics_without_its_end_is_cut() {
        let wrong = parse(b"a 1\nb 2\n", Dialect::OpenMetrics, MANY).unwrap_err();
        assert_eq!(wrong.kind, FaultKind::Cut);
        assert_eq!(parse(b"# EOF", Dialect::OpenMetrics, MANY).unwrap(), Document::default());
    }

    #[test]
    fn of_what_comes_twice_the_first_counts_and_of_two_times_the_last() {
        let text = b"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_bucket{le=\"+Inf\"} 5\nh_count 4\nh_count 5\nh_sum 1\nh_sum 2\n\
            # TYPE d histogram\nd_bucket{le=\"+Inf\"} 4 1000\nd_sum 3 1000\nd_bucket{le=\"+Inf\"} 5 2000\nd_sum 3 1000\n\
            # TYPE n histogram\nn_bucket{le=\"+Inf\"} 4\nn_count 5\n";
        let read = parse(text, Dialect::Classic, MANY).unwrap();
        let values: Vec<_> = read.families.iter().map(|f| f.metrics[0].value.clone()).collect();
        let infinity = f64::INFINITY;
        assert_eq!(
            values,
            [
                Value::Histogram { buckets: vec![(infinity, 4.0)], sum: Some(1.0), count: Some(4.0) },
                Value::Histogram { buckets: vec![(infinity, 5.0)], sum: None, count: Some(5.0) },
                Value::Histogram { buckets: vec![(infinity, 4.0)], sum: None, count: Some(4.0) },
            ]
        );
        let mut refused: Vec<_> = read.refused.iter().map(|r| (r.line, r.kind)).collect();
        refused.sort_unstable();
        assert_eq!(
            refused,
            [
                (2, FaultKind::Conflict),
                (5, FaultKind::Conflict),
                (7, FaultKind::Conflict),
                (12, FaultKind::BadValue),
                (14, FaultKind::BadValue)
            ]
        );
    }

    #[test]
    fn names_are_made_legal_as_prometheus_does_it() {
        for (name, colons, want) in [
            ("a:b", true, "a:b"),
            ("a:b", false, "a_b"),
            ("a.b-c", true, "a_b_c"),
            ("1a", true, "_a"),
            ("\u{e9}t\u{e9}", true, "_t_"),
            ("", true, ""),
        ] {
            assert_eq!(legal(name.into(), colons), want, "{name}");
        }
    }

    #[test]
    fn labels_of_others_make_room_for_ours() {
        let mut labels: Labels<'_> = vec![
            ("exported_source".into(), "a".into()),
            ("source".into(), "b".into()),
            ("rig".into(), "c".into()),
            ("x".into(), "d".into()),
        ];
        add_labels(&mut labels, [("source".into(), "s".into()), ("rig".into(), "north".into())]);
        labels.sort();
        let labels: Vec<_> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            labels,
            [
                "exported_exported_source=b",
                "exported_rig=c",
                "exported_source=a",
                "rig=north",
                "source=s",
                "x=d"
            ]
        );
    }

    #[test]
    fn quoted_names_are_read_in_both_dialects() {
        let text = b"# TYPE \"my.metric\" gauge\n{\"my.metric\",\"label.x\"=\"v\",y=\"w\"} 1\n# EOF\n";
        for dialect in [Dialect::Classic, Dialect::OpenMetrics] {
            let read = parse(text, dialect, MANY).unwrap();
            assert_eq!(read.families.len(), 1, "{dialect:?}");
            assert_eq!(read.families[0].name, "my.metric");
            assert_eq!(read.families[0].kind, Kind::Gauge);
            assert_eq!(read.families[0].metrics[0].labels[0], ("label.x".into(), "v".into()));
        }
    }

    #[test]
    fn what_is_wrong_says_where() {
        for (text, line, kind) in [
            (&b"b{x=\"1\" 1\n\n<html>\n"[..], 1, FaultKind::Syntax),
            (b"# a\na\xff 1\n", 2, FaultKind::Encoding),
            (b"a 1\nb 1\nc 1\nd 1\n", 4, FaultKind::Limit),
        ] {
            let wrong = parse(text, Dialect::Classic, 3).unwrap_err();
            assert_eq!((wrong.line, wrong.kind), (line, kind));
        }
        let read = parse(b"a 1\na\xff 1\nb{x=\"1\" 1\n", Dialect::Classic, 3).unwrap();
        assert_eq!(read.unreadable.map(|wrong| (wrong.line, wrong.kind)), Some((2, FaultKind::Encoding)));
        assert_eq!(read.refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn keys_are_equal_for_equal_series_alone() {
        let key = |labels: &[(&str, &str)]| series_key("a", labels);
        assert_eq!(key(&[("x", "1"), ("y", "2")]), key(&[("y", "2"), ("x", "1")]));
        assert_ne!(key(&[("x", "1y")]), key(&[("x", "1"), ("y", "")]));
        assert_ne!(series_key("ab", &[("c", "")]), series_key("a", &[("bc", "")]));
    }

    #[test]
    fn large_texts_are_no_trouble() {
        let mut text = String::from("# TYPE h histogram\n");
        let buckets = |n| {
            format!(
                "h_bucket{{n=\"{n}\",le=\"1\"}} 1
h_bucket{{n=\"{n}\",le=\"+Inf\"}} 1
"
            )
        };
        text.extend((0..20_000).map(buckets));
        text += "# EOF\n";
        let many = format!("a{{{}}} 1\n", "x=\"\\\\\",".repeat(100_000));
        for dialect in [Dialect::Classic, Dialect::OpenMetrics] {
            assert_eq!(parse(text.as_bytes(), dialect, MANY).unwrap().families[0].metrics.len(), 20_000);
            assert!(parse(many.as_bytes(), dialect, MANY).is_err());
        }
    }

    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "# TYPE ",
            "# HELP ",
            "# UNIT ",
            "# EOF",
            "a",
            "b_",
            "_total",
            "_bucket",
            "_sum",
            "_count",
            "_created",
            "_info",
            " counter",
            " histogram",
            " summary",
            " stateset",
            " gaugehistogram",
            "{",
            "}",
            "le=",
            "\"+Inf\"",
            "quantile=",
            "\"0.5\"",
            "\"",
            "\\",
            ",",
            " ",
            "\n",
            "\n",
            "1",
            "-1",
            "NaN",
            " # {",
            "é",
            "\0",
            "\t",
            "\r",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|all| all.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes, Dialect::Classic, 50);
            let _ = parse(&bytes, Dialect::OpenMetrics, 50);
            let _ = judge(&bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in pieces()) {
            let _ = parse(&text, Dialect::Classic, 50);
            let _ = parse(&text, Dialect::OpenMetrics, 50);
            // What is right to the letter is taken.
            prop_assert!(judge(&text).is_err() || parse(&text, Dialect::OpenMetrics, MANY).is_ok());
        }
    }
}
