//! The scrape: families as text, in slices so that no slice holds the hub for long.
//!
//! The fixed part of each line is kept ready with the series; `tests` compare the text with what
//! prometheus-client writes of the same series.

use super::Registry;
use super::family::Family;
use super::number;
use super::series::{Exemplar, Histogram, Series, Summary, Value};
use crate::event::{Kind, Timestamp};

/// Which text format a scrape is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Where the next slice begins.
#[derive(Clone, Debug)]
pub struct Cursor {
    /// When the scrape is.
    now: Timestamp,
    /// The family that was cut, and the labels of the last series written of it.
    cut: Option<(Box<str>, Box<str>)>,
    /// What stands in a comment before the second in which a counter or histogram began, where that is wanted.
    began: Option<&'static str>,
}

impl Cursor {
    /// The beginning of a scrape at this time.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now, cut: None, began: None }
    }

    /// The same with a comment behind each counter and histogram, which says when it began: these words, and the second since the epoch, 0
    /// where that is not known.
    #[must_use]
    pub fn saying(mut self, began: Option<&'static str>) -> Self {
        self.began = began;
        self
    }
}

impl Registry {
    /// Appends about `lines` lines after the cursor. Returns where to continue, or `None` at the end.
    pub fn write(&self, format: Format, cursor: &Cursor, lines: usize, out: &mut Vec<u8>) -> Option<Cursor> {
        let (mut left, now, began) = (lines, cursor.now, cursor.began);
        let (mut position, mut after) = match &cursor.cut {
            Some((family, labels)) => match self.position(family) {
                Ok(position) => (position, Some(labels.clone())),
                // It left in between; those behind it are where they were.
                Err(position) => (position, None),
            },
            None => (0, None),
        };
        while let Some(&id) = self.order.get(position) {
            let family = self.families.get(id as usize)?;
            let created = self.created && format == Format::OpenMetrics;
            let mut page = Page { family, format, created, began, now, out };
            if after.is_none() && family.len() > 0 {
                page.head();
            }
            for series in family.series(after.as_deref()) {
                left = left.saturating_sub(page.series(series));
                if left == 0 {
                    return Some(Cursor {
                        cut: Some((family.name.clone(), series.labels.clone())),
                        ..cursor.clone()
                    });
                }
            }
            after = None;
            position += 1;
        }
        None
    }

    /// Appends everything.
    pub fn write_all(&self, format: Format, now: Timestamp, out: &mut Vec<u8>) {
        let mut cursor = Some(Cursor::new(now));
        while let Some(from) = cursor {
            cursor = self.write(format, &from, usize::MAX, out);
        }
    }

    /// Where in the order the family of this name is, or would be.
    fn position(&self, name: &str) -> Result<usize, usize> {
        let called = |id: &u32| self.families.get(*id as usize).map_or("", |f| &*f.name);
        let (built_in, users) = self.order.split_at_checked(self.built_in).unwrap_or((&self.order, &[]));
        if let Some(position) = built_in.iter().position(|id| called(id) == name) {
            return Ok(position);
        }
        let found = users.binary_search_by(|id| called(id).cmp(name));
        found.map(|at| self.built_in + at).map_err(|at| self.built_in + at)
    }
}

/// One family being written.
struct Page<'w> {
    family: &'w Family,
    format: Format,
    created: bool,
    began: Option<&'static str>,
    now: Timestamp,
    out: &'w mut Vec<u8>,
}

impl Page<'_> {
    fn head(&mut self) {
        let Family { name, help, unit, .. } = self.family;
        let classic = self.format == Format::Classic;
        let (suffix, kind) = match (self.family.kind, classic) {
            (Kind::Counter, true) => ("_total", "counter"),
            (Kind::Counter, false) => ("", "counter"),
            (Kind::Gauge, _) => ("", "gauge"),
            (Kind::Histogram, _) => ("", "histogram"),
            (Kind::Summary, _) => ("", "summary"),
            (Kind::Info, true) => ("_info", "gauge"),
            (Kind::Info, false) => ("", "info"),
            (Kind::StateSet, false) => ("", "stateset"),
            (Kind::GaugeHistogram, false) => ("", "gaugehistogram"),
            (Kind::StateSet | Kind::GaugeHistogram, true) => ("", "gauge"),
            (Kind::Unknown, true) => ("", "untyped"),
            (Kind::Unknown, false) => ("", "unknown"),
        };
        if classic && self.family.kind == Kind::GaugeHistogram {
            // The classic format has no such thing; its samples stand as gauges of their own names.
            return;
        }
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|p| self.out.extend_from_slice(p.as_bytes()));
            self.out.push(b'\n');
        };
        if classic {
            line(&["# HELP ", name, suffix, " ", &help_text(help, true)]);
            line(&["# TYPE ", name, suffix, " ", kind]);
        } else {
            line(&["# TYPE ", name, suffix, " ", kind]);
            if !unit.is_empty() {
                line(&["# UNIT ", name, suffix, " ", unit]);
            }
            line(&["# HELP ", name, suffix, " ", &help_text(help, false)]);
        }
    }

    /// Writes one series; says how many lines that were.
    fn series(&mut self, series: &Series) -> usize {
        let lines = self.values(series);
        if !matches!(self.family.kind, Kind::Counter | Kind::Histogram) {
            return lines;
        }
        self.began(if series.foreign { 0 } else { series.born });
        if self.created && !series.foreign {
            self.sample("_created", series, "");
            number::value(self.out, f64::from(series.born));
            self.out.push(b'\n');
            // This one counts nothing.
            self.began(0);
        }
        lines
    }

    fn began(&mut self, second: u32) {
        let Some(began) = self.began else { return };
        self.out.extend_from_slice(began.as_bytes());
        number::value(self.out, f64::from(second));
        self.out.push(b'\n');
    }

    fn values(&mut self, series: &Series) -> usize {
        match &series.value {
            Value::Number(v) => self.number(series, *v),
            Value::Moment(at) => self.number(series, at.wall_seconds_at(self.now)),
            Value::Members(_) => self.number(series, series.number().unwrap_or_default()),
            Value::Histogram(h) => return self.histogram(series, h),
            Value::Summary(s) => return self.summary(series, s),
        }
        1
    }

    fn number(&mut self, series: &Series, v: f64) {
        let suffix = match self.family.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            _ => "",
        };
        self.sample(suffix, series, "");
        number::value(self.out, v);
        self.out.push(b'\n');
    }

    fn histogram(&mut self, series: &Series, h: &Histogram) -> usize {
        let gauge = self.family.kind == Kind::GaugeHistogram;
        let mut total = 0.0;
        for (i, (label, count)) in h.ladder.labels.iter().zip(&h.counts).enumerate() {
            total += count;
            self.sample("_bucket", series, label);
            number::value(self.out, total.round());
            if self.format == Format::OpenMetrics
                && let Some(Some(exemplar)) = h.exemplars.get(i)
            {
                self.exemplar(exemplar);
            }
            self.out.push(b'\n');
        }
        if !self.may_have(h) {
            return h.counts.len();
        }
        self.sample(if gauge { "_gsum" } else { "_sum" }, series, "");
        number::float(self.out, h.sum);
        self.out.push(b'\n');
        self.sample(if gauge { "_gcount" } else { "_count" }, series, "");
        number::value(self.out, total.round());
        self.out.push(b'\n');
        h.counts.len() + 2
    }

    /// Whether a histogram's sum, and with it the count, can be written. OpenMetrics has no sum that
    /// could fall: none over negative buckets, none below zero over others.
    fn may_have(&self, h: &Histogram) -> bool {
        let negative = h.ladder.bounds.first().is_some_and(|b| *b < 0.0);
        let gauge = self.family.kind == Kind::GaugeHistogram;
        let grows = if negative { gauge } else { h.sum >= 0.0 };
        !h.sum.is_nan() && (grows || self.format == Format::Classic)
    }

    fn summary(&mut self, series: &Series, s: &Summary) -> usize {
        // The classic format has quantiles and sums below zero, OpenMetrics has not.
        let classic = self.format == Format::Classic;
        let lawful = |v: f64| classic || v.is_nan() || v >= 0.0;
        let quantiles = s.quantiles.iter().filter(|(_, v)| lawful(*v));
        let sum = s.sum.filter(|v| lawful(*v) && !v.is_nan());
        for &(quantile, v) in quantiles {
            self.sample("", series, &format!("quantile=\"{}\"", number::bound(quantile)));
            number::value(self.out, v);
            self.out.push(b'\n');
        }
        if let Some(sum) = sum {
            self.sample("_sum", series, "");
            number::float(self.out, sum);
            self.out.push(b'\n');
        }
        if let Some(count) = s.count {
            self.sample("_count", series, "");
            number::value(self.out, count);
            self.out.push(b'\n');
        }
        s.quantiles.len() + 2
    }

    /// Everything of a line up to its value. `first` is a label that stands before the series' own,
    /// where prometheus-client puts `le` too.
    fn sample(&mut self, suffix: &str, series: &Series, first: &str) {
        let out = &mut *self.out;
        out.extend_from_slice(self.family.name.as_bytes());
        out.extend_from_slice(suffix.as_bytes());
        if !series.labels.is_empty() || !first.is_empty() {
            out.push(b'{');
            out.extend_from_slice(first.as_bytes());
            if !series.labels.is_empty() && !first.is_empty() {
                out.push(b',');
            }
            out.extend_from_slice(series.labels.as_bytes());
            out.push(b'}');
        }
        out.push(b' ');
    }

    fn exemplar(&mut self, e: &Exemplar) {
        self.out.extend_from_slice(b" # {trace_id=\"");
        self.out.extend_from_slice(format!("{:032x}", e.trace.0).as_bytes());
        self.out.extend_from_slice(b"\"} ");
        number::float(self.out, e.value);
        self.out.push(b' ');
        number::float(self.out, e.at.wall_seconds());
    }
}

/// Help text, escaped, with the full stop that prometheus-client gives it too.
fn help_text(help: &str, classic: bool) -> String {
    let mut text = help.replace('\\', r"\\").replace('\n', r"\n");
    if !classic {
        text = text.replace('"', "\\\"");
    }
    text.push('.');
    text
}
