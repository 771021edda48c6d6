//! OpenMetrics 1.0, with every rule about order, grouping and values. Forgives nothing: it is what the published cases
//! and our own scrape are judged by.

use std::borrow::Cow;

use hashbrown::HashSet;

use crate::event::{FaultKind, Kind};

use super::line::{self, LineFault, LineRules, Metadata, MetadataKind};
use super::{
    Document, Family, Metric, ParseError, Part, Value, kind_called, part_of, series_key, suffixes, take_label,
};

pub(super) fn parse(text: &str) -> Result<Document<'_>, ParseError> {
    let mut reader = Reader::default();
    let mut rest = text;
    let mut number = 0;
    loop {
        number += 1;
        let at = |(kind, why): LineFault| ParseError { line: number, kind, why };
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line == "# EOF" {
            if !after.is_empty() {
                return Err(at((FaultKind::Syntax, "something follows # EOF")));
            }
            reader.close().map_err(at)?;
            return Ok(Document { families: reader.families, ..Document::default() });
        }
        if rest.is_empty() {
            return Err(at((FaultKind::Cut, "the text ends without # EOF")));
        }
        if line.starts_with('#') { reader.about(line) } else { reader.sample(line, number) }.map_err(at)?;
        rest = after;
    }
}

#[derive(Default)]
struct Reader<'t> {
    families: Vec<Family<'t>>,
    open: Option<OpenFamily<'t>>,
    /// Every sample name that closed families lay claim to.
    taken: HashSet<String>,
}

/// The family that is being read.
struct OpenFamily<'t> {
    family: Family<'t>,
    said: [bool; 3],
    /// The key of the last metric, and those before it.
    key: Vec<u8>,
    seen: HashSet<Vec<u8>>,
    /// Whether the last point has a value, not only a creation time.
    whole: bool,
}

impl<'t> Reader<'t> {
    fn open(&mut self, name: Cow<'t, str>) -> Result<&mut OpenFamily<'t>, LineFault> {
        self.close()?;
        Ok(self.open.insert(OpenFamily {
            family: Family { name, kind: Kind::Unknown, help: "".into(), unit: "", metrics: Vec::new() },
            said: [false; 3],
            key: Vec::new(),
            seen: HashSet::new(),
            whole: false,
        }))
    }

    fn close(&mut self) -> Result<(), LineFault> {
        let Some(open) = self.open.take() else { return Ok(()) };
        open.check_point()?;
        let family = open.family;
        if !family.unit.is_empty() {
            if matches!(family.kind, Kind::Info | Kind::StateSet) {
                return Err((FaultKind::Syntax, "this type has no unit"));
            }
            let fits = family.name.strip_suffix(family.unit).is_some_and(|stem| stem.ends_with('_'));
            if !fits {
                return Err((FaultKind::BadName, "the name does not end in its unit"));
            }
        }
        let claims = suffixes(family.kind).iter().map(|(suffix, _)| *suffix).filter(|s| !s.is_empty());
        for suffix in claims.chain([""]) {
            if !self.taken.insert(format!("{}{suffix}", family.name)) {
                return Err((
                    FaultKind::Conflict,
                    "the name is another family's, or the family is interrupted",
                ));
            }
        }
        self.families.push(family);
        Ok(())
    }

    fn about(&mut self, text: &'t str) -> Result<(), LineFault> {
        let Some(Metadata { what, name, text }) = line::about(text, LineRules::Strict)? else {
            return Ok(());
        };
        let open = match self.open.take() {
            Some(open) if open.family.name == name => self.open.insert(open),
            other => {
                self.open = other;
                self.open(name)?
            }
        };
        if !open.family.metrics.is_empty() {
            return Err((FaultKind::Syntax, "metadata after the family's samples"));
        }
        let said = match what {
            MetadataKind::Type => {
                open.family.kind = kind_called(text).ok_or((FaultKind::UnknownType, "not a type"))?;
                &mut open.said[0]
            }
            MetadataKind::Help => {
                open.family.help = line::unescape(text, true);
                &mut open.said[1]
            }
            MetadataKind::Unit => {
                open.family.unit = text;
                &mut open.said[2]
            }
        };
        if std::mem::replace(said, true) {
            return Err((FaultKind::Syntax, "metadata is repeated"));
        }
        Ok(())
    }

    fn sample(&mut self, text: &'t str, number: usize) -> Result<(), LineFault> {
        let sample = line::sample(text, LineRules::Strict)?;
        let part = self
            .open
            .as_ref()
            .and_then(|open| part_of(open.family.kind, sample.name.strip_prefix(&*open.family.name)?));
        match (part, &mut self.open) {
            (Some(part), Some(open)) => open.sample(sample, part, number),
            _ => self.open(sample.name.clone())?.sample(sample, Part::Value, number),
        }
    }
}

impl<'t> OpenFamily<'t> {
    /// Whether a sample can be of this part of its family.
    fn check(&self, sample: &line::Sample<'t>, part: Part) -> Result<(), LineFault> {
        let line::Sample { labels, value, exemplar, .. } = sample;
        let (kind, value) = (self.family.kind, *value);
        if *exemplar && part != Part::Bucket && (kind, part) != (Kind::Counter, Part::Value) {
            return Err((FaultKind::Syntax, "an exemplar where none may be"));
        }
        let sign = kind == Kind::GaugeHistogram && part == Part::Sum;
        let grows = kind == Kind::Counter || matches!(part, Part::Bucket | Part::Count | Part::Sum);
        if grows && value.is_nan() {
            return Err((FaultKind::NotFinite, "what counts cannot be NaN"));
        }
        if (grows || part == Part::Quantile) && value < 0.0 && !sign {
            return Err((FaultKind::Negative, "what counts cannot be negative"));
        }
        match kind {
            Kind::Info if value != 1.0 => Err((FaultKind::BadValue, "an info is always 1")),
            Kind::StateSet if value != 0.0 && value != 1.0 => Err((FaultKind::BadValue, "a state is 0 or 1")),
            Kind::StateSet if !labels.iter().any(|(label, _)| *label == self.family.name) => {
                Err((FaultKind::MissingField, "a state without its name"))
            }
            _ => Ok(()),
        }
    }

    fn sample(&mut self, sample: line::Sample<'t>, part: Part, number: usize) -> Result<(), LineFault> {
        self.check(&sample, part)?;
        let line::Sample { mut labels, value, timestamp, .. } = sample;
        let kind = self.family.kind;
        let at = match part {
            Part::Bucket => {
                let le =
                    take_label(&mut labels, "le").ok_or((FaultKind::MissingField, "a bucket without le"))?;
                line::bound(&le).ok_or((FaultKind::BadValue, "not a bucket's bound"))?
            }
            Part::Quantile => {
                let quantile = take_label(&mut labels, "quantile")
                    .ok_or((FaultKind::MissingField, "a summary without quantile"))?;
                line::quantile(&quantile).ok_or((FaultKind::BadValue, "not a quantile from 0 to 1"))?
            }
            _ => 0.0,
        };

        let key = series_key("", &labels);
        let again = if !self.family.metrics.is_empty() && key == self.key {
            self.again(timestamp, part)?
        } else {
            self.check_point()?;
            if !self.seen.insert(key.clone()) {
                return Err((FaultKind::Conflict, "a metric is interrupted by another"));
            }
            self.key = key;
            false
        };
        if !again {
            let value = Value::blank(kind);
            self.whole = false;
            self.family.metrics.push(Metric { labels, value, timestamp, line: number });
        }
        self.whole |= part != Part::Created;
        let Some(metric) = self.family.metrics.last_mut() else { return Ok(()) };
        match (&metric.value, part) {
            (Value::Histogram { buckets, .. }, Part::Bucket)
                if buckets.last().is_some_and(|(bound, count)| *bound >= at || *count > value) =>
            {
                return Err((FaultKind::BadValue, "buckets do not rise"));
            }
            (Value::Histogram { sum: Some(_), .. } | Value::Summary { sum: Some(_), .. }, Part::Sum)
            | (
                Value::Histogram { count: Some(_), .. } | Value::Summary { count: Some(_), .. },
                Part::Count,
            ) => {
                return Err((FaultKind::Conflict, "a sample is repeated"));
            }
            _ => {}
        }
        metric.value.put(part, at, value);
        Ok(())
    }

    /// Another sample of the last metric: the same point in time, or, which replaces it, a later one.
    fn again(&mut self, timestamp: Option<f64>, part: Part) -> Result<bool, LineFault> {
        let before = self.family.metrics.last().and_then(|metric| metric.timestamp);
        match (before, timestamp) {
            (None, None) if part == Part::Value && self.whole => {
                Err((FaultKind::Conflict, "a sample is repeated"))
            }
            (None, None) => Ok(true),
            (Some(before), Some(now)) if now < before && self.family.kind != Kind::Info => {
                Err((FaultKind::BadValue, "timestamps go back"))
            }
            (Some(before), Some(now)) if now != before => {
                self.check_point()?;
                self.family.metrics.pop();
                Ok(false)
            }
            (Some(_), Some(_)) => Ok(true),
            _ => Err((FaultKind::BadValue, "a timestamp on some samples of a metric and not on others")),
        }
    }

    /// The rules that only the whole of a point can obey.
    fn check_point(&self) -> Result<(), LineFault> {
        let Some(metric) = self.family.metrics.last() else { return Ok(()) };
        if !self.whole {
            return Err((FaultKind::MissingField, "a creation time without a value"));
        }
        let Value::Histogram { buckets, sum, count } = &metric.value else { return Ok(()) };
        let last = buckets.last().filter(|(bound, _)| bound.is_infinite());
        let (_, total) = last.ok_or((FaultKind::MissingField, "a histogram without its infinite bucket"))?;
        let negative = buckets.first().is_some_and(|(bound, _)| *bound < 0.0);
        match (sum, count) {
            (None, None) => Ok(()),
            (Some(_), Some(count)) if count != total => {
                Err((FaultKind::BadValue, "the count is not that of the infinite bucket"))
            }
            (Some(_), Some(_)) if negative && self.family.kind == Kind::Histogram => {
                Err((FaultKind::Negative, "a sum beside negative buckets"))
            }
            (Some(sum), Some(_)) if !negative && *sum < 0.0 => {
                Err((FaultKind::Negative, "a negative sum without negative buckets"))
            }
            (Some(_), Some(_)) => Ok(()),
            _ => Err((FaultKind::MissingField, "a sum without a count, or a count without a sum")),
        }
    }
}
