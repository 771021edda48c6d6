//! From the text of an exposition to observations: parse, rename, choose, relabel.
//!
//! The one way in for everything that hands out metrics as text, be it scraped, read from a file or
//! printed by a command. Where the text comes from, and when, is not its business.

use std::borrow::Cow;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Body, Change, Fault, FaultKind, Kind, LABELS, Observation, Spell, Spelled};

use super::openmetrics::{Dialect, Family, Labels, ParseError, Value, add_labels, legal, parse, series_key};
use super::relabel::Relabel;
use crate::decode::Sink;
use crate::decode::engines::{Profile, Rest};

/// How a text that holds metrics is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// As its content type says; without one, OpenMetrics if it ends in `# EOF`.
    #[default]
    Auto,
    /// The classic text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// How `text`, which came with this content type, is to be read.
    ///
    /// # Errors
    /// What it is instead, if it is not text with metrics.
    pub fn dialect(self, content_type: Option<&str>, text: &[u8]) -> Result<Dialect, String> {
        let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match self {
            Self::Prometheus => Ok(Dialect::Classic),
            Self::OpenMetrics => Ok(Dialect::OpenMetrics),
            Self::Auto if media.eq_ignore_ascii_case("application/openmetrics-text") => {
                Ok(Dialect::OpenMetrics)
            }
            Self::Auto if media.eq_ignore_ascii_case("text/plain") => Ok(Dialect::Classic),
            Self::Auto if media.is_empty() => {
                let end = text.strip_suffix(b"\n").unwrap_or(text);
                let marked = end == b"# EOF" || end.ends_with(b"\n# EOF");
                Ok(if marked { Dialect::OpenMetrics } else { Dialect::Classic })
            }
            Self::Auto => Err(format!("{media} is not a format of metrics")),
        }
    }
}

/// What is done to the series of one source.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Whose names are translated.
    pub profile: Option<Profile>,
    /// What happens to metrics the profile does not know.
    pub rest: Rest,
    /// Labels every series gets; one of its own that has this name becomes `exported_…`.
    pub labels: Vec<(String, String)>,
    /// Which series are wanted, and what they are called.
    pub relabel: Relabel,
    /// Most samples one exposition may have.
    pub samples: usize,
    /// Whether samples may say when they were taken.
    pub timestamps: bool,
}

/// One series and what it reads.
#[derive(Clone, Debug)]
pub struct Series<'t> {
    key: Vec<u8>,
    name: Cow<'t, str>,
    kind: Kind,
    help: Cow<'t, str>,
    unit: &'t str,
    labels: Labels<'t>,
    value: Value,
    timestamp: Option<f64>,
}

impl Spell for Series<'_> {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        out.name.push_str(&self.name);
        out.kind = self.kind;
        out.help.push_str(&self.help);
        out.unit.push_str(self.unit);
        if self.labels.len() > LABELS {
            return Err(FaultKind::Limit);
        }
        out.labels.extend(self.labels.iter().map(|(label, value)| (label.to_string(), value.to_string())));
        if let Value::Histogram { buckets, .. } = &self.value {
            out.bounds =
                Some(buckets.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect());
        }
        Ok(())
    }
}

/// An exposition, ready to be folded.
#[derive(Clone, Debug, Default)]
pub struct Exposition<'t> {
    /// What is wanted of it.
    pub series: Vec<Series<'t>>,
    /// What made no sense in it, and the lines of that.
    pub faults: Vec<(Fault, &'t [u8])>,
    /// The first line of it that is no line of an exposition at all.
    pub unreadable: Option<ParseError>,
    /// How many metrics the profile did not know and dropped.
    pub unknown: usize,
    /// Places in `series` by their key.
    known: HashTable<usize>,
    hasher: RandomState,
}

impl<'t> Exposition<'t> {
    /// Reads `text`.
    ///
    /// # Errors
    /// Why nothing of it can be read.
    pub fn read(text: &'t [u8], dialect: Dialect, shape: &'t Shape) -> Result<Self, ParseError> {
        let document = parse(text, dialect, shape.samples)?;
        let mut read = Self { unreadable: document.unreadable, ..Self::default() };
        for refused in &document.refused {
            read.fault(refused.kind, refused.text);
        }
        let mut families = document.families;
        if !shape.timestamps
            && let Some(dated) = families.iter().flat_map(|f| &f.metrics).find(|m| m.timestamp.is_some())
        {
            let why = "a timestamp, which is not allowed here; remove it";
            return Err(ParseError { line: dated.line, kind: FaultKind::BadValue, why });
        }
        if let Some(profile) = shape.profile {
            (families, read.unknown) = profile.translate(families, shape.rest);
        }
        for family in families {
            read.take(family, shape);
        }
        Ok(read)
    }

    fn fault(&mut self, kind: FaultKind, line: &'t [u8]) {
        self.faults.push((Fault { kind, bytes: line.len() as u64 }, line));
    }

    fn take(&mut self, family: Family<'t>, shape: &'t Shape) {
        let Family { name, kind, help, unit, metrics } = family;
        for metric in metrics {
            let (mut name, mut labels, value) = (name.clone(), metric.labels, metric.value);
            labels.retain(|(_, value)| !value.is_empty());
            add_labels(&mut labels, shape.labels.iter().map(|(label, value)| (label.into(), value.into())));
            if !shape.relabel.apply(&mut name, kind, &mut labels) {
                continue;
            }
            if name.is_empty() {
                self.fault(FaultKind::BadName, b"");
                continue;
            }
            // What a step left in other characters cannot be relayed to everybody.
            name = legal(name, true);
            labels.iter_mut().for_each(|(label, _)| *label = legal(std::mem::take(label), false));
            // A name that a step changed may no longer end in its unit.
            let unit =
                if name.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_')) { unit } else { "" };
            let key = series_key(&name, &labels);
            let (help, timestamp) = (help.clone(), metric.timestamp);
            self.add(Series { key, name, kind, help, unit, labels, value, timestamp });
        }
    }

    /// Adds a series. Of two points of it the later counts, and the first of two that are of one time.
    fn add(&mut self, new: Series<'t>) {
        let Self { series, known, hasher, faults, .. } = self;
        let hash = |key: &[u8]| hasher.hash_one(key);
        let key = |place: &usize| series.get(*place).map_or(&[][..], |series| &series.key);
        match known.entry(hash(&new.key), |place| key(place) == new.key, |place| hash(key(place))) {
            Entry::Vacant(vacant) => {
                vacant.insert(series.len());
                series.push(new);
            }
            Entry::Occupied(place) => match series.get_mut(*place.get()) {
                Some(old) if new.timestamp > old.timestamp && old.timestamp.is_some() => *old = new,
                _ => faults.push((Fault { kind: FaultKind::Conflict, bytes: 0 }, b"")),
            },
        }
    }

    /// Hands every fault and observation over.
    pub fn emit(&self, out: &mut Sink<'_>) {
        for (fault, line) in &self.faults {
            out(Body::Fault(*fault));
            if !line.is_empty() {
                out(Body::Refused(line));
            }
        }
        for series in &self.series {
            let change = match &series.value {
                Value::Number(value) => Change::Reads(*value),
                Value::Histogram { buckets, sum, .. } => Change::Buckets { buckets, sum: *sum },
                Value::Summary { quantiles, sum, count } => {
                    Change::Quantiles { quantiles, sum: *sum, count: *count }
                }
            };
            out(Body::Observation(Observation { key: &series.key, spelling: series, change, trace: None }));
        }
    }
}

/// A gauge that a source says of itself, beside what it reads.
pub fn tell_gauge(
    name: &str,
    help: &str,
    unit: &str,
    labels: &[(&str, &str)],
    value: f64,
    out: &mut Sink<'_>,
) {
    let series = Series {
        key: series_key(name, labels),
        name: name.into(),
        kind: Kind::Gauge,
        help: help.into(),
        unit,
        labels: labels.iter().map(|(label, value)| ((*label).into(), (*value).into())).collect(),
        value: Value::Number(value),
        timestamp: None,
    };
    let change = Change::Reads(value);
    out(Body::Observation(Observation { key: &series.key, spelling: &series, change, trace: None }));
}

#[cfg(test)]
mod tests {
    use super::super::relabel::RelabelStep;
    use super::*;

    fn shape() -> Shape {
        Shape {
            profile: None,
            rest: Rest::Drop,
            labels: vec![("source".into(), "s".into())],
            relabel: Relabel::default(),
            samples: 1000,
            timestamps: true,
        }
    }

    fn decoded(text: &str, shape: &Shape) -> Vec<String> {
        let mut lines = Vec::new();
        let read = Exposition::read(text.as_bytes(), Dialect::Classic, shape).unwrap();
        read.emit(&mut |body| {
            lines.push(match body {
                Body::Observation(Observation { spelling, change, .. }) => {
                    let mut spelled = Spelled::default();
                    spelling.spell(&mut spelled).unwrap();
                    let Spelled { name, kind, labels, .. } = spelled;
                    format!("{name} {kind:?} {labels:?} {change:?}")
                }
                other => format!("{other:?}"),
            });
        });
        lines
    }

    #[test]
    fn every_shape_becomes_its_change() {
        let text = "# TYPE c_total counter\nc_total{source=\"own\",none=\"\"} 3\n\
            # TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n\
            # TYPE s summary\ns{quantile=\"0.5\"} 4\ns_sum 5\ns_count 6\n{\"dotted.name\",\"a.b\"=\"c\"} 1\n";
        assert_eq!(
            decoded(text, &shape()),
            [
                r#"c Counter [("exported_source", "own"), ("source", "s")] Reads(3.0)"#,
                r#"h Histogram [("source", "s")] Buckets { buckets: [(1.0, 1.0), (inf, 2.0)], sum: Some(3.0) }"#,
                r#"s Summary [("source", "s")] Quantiles { quantiles: [(0.5, 4.0)], sum: Some(5.0), count: Some(6.0) }"#,
                r#"dotted_name Unknown [("a_b", "c"), ("source", "s")] Reads(1.0)"#,
            ]
        );
    }

    #[test]
    fn the_first_of_two_samples_counts_and_the_later_of_two_points() {
        let text = "a{x=\"1\"} 1\na{x=\"1\"} 2\n{\"b.c\"} 3\nb_c 4\nd 5 1000\nd 6 2000\nd 7 1500\nprocess_open_fds 8\n";
        assert_eq!(
            decoded(text, &shape()),
            [
                "Fault(Fault { kind: Conflict, bytes: 0 })",
                "Fault(Fault { kind: Conflict, bytes: 0 })",
                "Fault(Fault { kind: Conflict, bytes: 0 })",
                r#"a Unknown [("x", "1"), ("source", "s")] Reads(1.0)"#,
                r#"b_c Unknown [("source", "s")] Reads(3.0)"#,
                r#"d Unknown [("source", "s")] Reads(6.0)"#,
                r#"process_open_fds Unknown [("source", "s")] Reads(8.0)"#,
            ]
        );
    }

    #[test]
    fn steps_can_mend_a_name_and_see_the_static_labels() {
        let steps = [
            RelabelStep {
                source_labels: vec!["__name__".into(), "source".into()],
                separator: "@".into(),
                regex: r"bad\.name@s".into(),
                target_label: "__name__".into(),
                replacement: "good_name".into(),
                ..RelabelStep::default()
            },
            RelabelStep {
                regex: "source".into(),
                action: super::super::relabel::Action::LabelDrop,
                ..RelabelStep::default()
            },
        ];
        let shape = Shape { relabel: Relabel::compile(&[], &["x".into()], &steps).unwrap(), ..shape() };
        assert_eq!(decoded("{\"bad.name\"} 1\nx 1\n", &shape), ["good_name Unknown [] Reads(1.0)"]);
    }

    #[test]
    fn timestamps_can_be_refused() {
        let shape = Shape { timestamps: false, ..shape() };
        let wrong = Exposition::read(b"a 1\nb 1 1500\n", Dialect::Classic, &shape).unwrap_err();
        assert_eq!((wrong.line, wrong.kind), (2, FaultKind::BadValue));
    }

    #[test]
    fn the_content_type_decides_and_its_absence_is_no_obstacle() {
        let auto = |media: Option<&str>, text: &str| Format::Auto.dialect(media, text.as_bytes());
        assert_eq!(auto(Some("application/openmetrics-text; version=1.0.0"), ""), Ok(Dialect::OpenMetrics));
        assert_eq!(auto(Some("text/plain;version=0.0.4"), "# EOF"), Ok(Dialect::Classic));
        assert_eq!(auto(None, "a 1\n# EOF\n"), Ok(Dialect::OpenMetrics));
        assert_eq!(auto(None, "a 1\n"), Ok(Dialect::Classic));
        assert_eq!(auto(Some("text/html"), "").unwrap_err(), "text/html is not a format of metrics");
        assert_eq!(Format::Prometheus.dialect(Some("text/html"), b""), Ok(Dialect::Classic));
    }
}
