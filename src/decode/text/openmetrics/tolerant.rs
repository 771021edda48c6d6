//! An exposition of either format as Prometheus takes it: order does not matter, and what is wrong costs itself.
//!
//! What Prometheus reads (2.42 and 3.5, `model/textparse`), this reads. Where Prometheus gives a whole answer up for one
//! line, only the line is left out, unless no line makes sense at all. Of what comes twice at one time, the first
//! counts.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use crate::event::{FaultKind, Kind};

use super::line::{self, LineFault, LineRules, Metadata, MetadataKind};
use super::{
    Dialect, Document, Family, Metric, ParseError, Part, Rejected, Value, kind_called, part_of, series_key,
    take_label,
};

pub(super) fn parse(text: &[u8], dialect: Dialect, limit: usize) -> Result<Document<'_>, ParseError> {
    let rules = if dialect == Dialect::Classic { LineRules::Classic } else { LineRules::Open };
    let mut reader = Reader::new(rules, limit);
    let mut ended = dialect == Dialect::Classic;
    let mut number = 0;
    // Editors of some systems begin a file with it.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    for bytes in text.split(|byte| *byte == b'\n') {
        number += 1;
        if dialect == Dialect::OpenMetrics && bytes.trim_ascii_end() == b"# EOF" {
            ended = true;
            continue;
        }
        reader.line(bytes, number).map_err(|(kind, why)| ParseError { line: number, kind, why })?;
    }
    if !ended {
        return Err(ParseError { line: number, kind: FaultKind::Cut, why: "the text ends without # EOF" });
    }
    reader.end()
}

struct Reader<'t> {
    rules: LineRules,
    families: Vec<Family<'t>>,
    by_name: HashMap<Cow<'t, str>, usize>,
    /// Histograms and summaries by family and labels, because their parts may lie apart.
    groups: HashMap<(usize, Vec<u8>), usize>,
    refused: Vec<Rejected<'t>>,
    /// The first line that is none.
    unreadable: Option<ParseError>,
    /// Whether any line was a sample.
    understood: bool,
    /// How many lines may still come.
    left: usize,
}

impl<'t> Reader<'t> {
    fn new(rules: LineRules, left: usize) -> Self {
        Self {
            rules,
            families: Vec::new(),
            by_name: HashMap::new(),
            groups: HashMap::new(),
            refused: Vec::new(),
            unreadable: None,
            understood: false,
            left,
        }
    }

    /// Takes one line.
    ///
    /// # Errors
    /// The one error that spoils all of it: there are too many.
    fn line(&mut self, bytes: &'t [u8], number: usize) -> Result<(), LineFault> {
        let read = match std::str::from_utf8(bytes).map(|text| text.trim_matches([' ', '\t', '\r'])) {
            Ok("") => return Ok(()),
            Ok(text) if text.starts_with('#') => match line::about(text, self.rules) {
                Ok(None) => return Ok(()),
                Ok(Some(about)) => self.about(about),
                Err(wrong) => Err(wrong),
            },
            Ok(text) => line::sample(text, self.rules).and_then(|sample| {
                self.understood = true;
                self.put(sample, number)
            }),
            Err(_) => Err((FaultKind::Encoding, "not UTF-8")),
        };
        self.left = self.left.checked_sub(1).ok_or((FaultKind::Limit, "more samples than allowed"))?;
        if let Err((kind, why)) = read {
            self.refused.push(Rejected { line: number, kind, text: bytes });
            // What is no sample at all, rather than one that makes no sense.
            if matches!(kind, FaultKind::Syntax | FaultKind::Encoding | FaultKind::BadName) {
                self.unreadable.get_or_insert(ParseError { line: number, kind, why });
            }
        }
        Ok(())
    }

    fn family(&mut self, name: Cow<'t, str>) -> usize {
        let next = self.families.len();
        let place = *self.by_name.entry(name.clone()).or_insert(next);
        if place == next {
            let kind = Kind::Unknown;
            self.families.push(Family { name, kind, help: "".into(), unit: "", metrics: Vec::new() });
        }
        place
    }

    fn about(&mut self, about: Metadata<'t>) -> Result<(), LineFault> {
        let Metadata { what, name, text } = about;
        let place = self.family(name);
        let Some(family) = self.families.get_mut(place) else { return Ok(()) };
        match what {
            MetadataKind::Type => {
                let kind = if text == "untyped" { Some(Kind::Unknown) } else { kind_called(text) };
                let kind = kind.ok_or((FaultKind::UnknownType, "not a type"))?;
                // A type that comes after the samples comes too late for them.
                if family.metrics.is_empty() {
                    family.kind = kind;
                }
            }
            MetadataKind::Help => family.help = line::unescape(text, self.rules == LineRules::Open),
            MetadataKind::Unit => {
                if family.name.strip_suffix(text).is_some_and(|stem| stem.ends_with('_')) {
                    family.unit = text;
                }
            }
        }
        Ok(())
    }

    /// The family a sample belongs to, and what it is there. `None` if it is nothing there.
    fn place(&mut self, name: Cow<'t, str>) -> (usize, Option<Part>) {
        if let Some(&place) = self.by_name.get(&name) {
            let kind = self.families.get(place).map_or(Kind::Unknown, |family| family.kind);
            let part = match kind {
                Kind::Counter | Kind::Info => Some(Part::Value),
                _ => part_of(kind, ""),
            };
            return (place, part);
        }
        if let Some(cut) = name.rfind('_') {
            let (stem, suffix) = name.split_at_checked(cut).unwrap_or((&name, ""));
            let found = self.by_name.get(stem).and_then(|&place| {
                let kind = self.families.get(place)?.kind;
                part_of(kind, suffix).map(|part| (place, Some(part)))
            });
            if let Some(found) = found {
                return found;
            }
        }
        (self.family(name), Some(Part::Value))
    }

    fn put(&mut self, sample: line::Sample<'t>, number: usize) -> Result<(), LineFault> {
        let line::Sample { name, mut labels, value, timestamp, .. } = sample;
        let (place, part) = self.place(name);
        let part = part.ok_or((FaultKind::MissingField, "not a sample of its family's type"))?;
        if part == Part::Created {
            return Ok(());
        }
        let Some(family) = self.families.get_mut(place) else { return Ok(()) };
        if family.kind == Kind::Counter || matches!(part, Part::Bucket | Part::Count) {
            if value.is_nan() {
                return Err((FaultKind::NotFinite, "what counts cannot be NaN"));
            }
            if value < 0.0 {
                return Err((FaultKind::Negative, "what counts cannot be negative"));
            }
        }
        let at = match part {
            Part::Bucket => {
                let le =
                    take_label(&mut labels, "le").ok_or((FaultKind::MissingField, "a bucket without le"))?;
                line::number(&le)
                    .filter(|bound| !bound.is_nan() && *bound > f64::NEG_INFINITY)
                    .ok_or((FaultKind::BadValue, "not a bucket's bound"))?
            }
            Part::Quantile => {
                let quantile = take_label(&mut labels, "quantile")
                    .ok_or((FaultKind::MissingField, "a summary without quantile"))?;
                line::quantile(&quantile).ok_or((FaultKind::BadValue, "not a quantile from 0 to 1"))?
            }
            _ => 0.0,
        };
        let mut blank = Value::blank(family.kind);
        if let Value::Number(_) = blank {
            blank.put(part, at, value);
            family.metrics.push(Metric { labels, value: blank, timestamp, line: number });
            return Ok(());
        }
        let next = family.metrics.len();
        let metric = *self.groups.entry((place, series_key("", &labels))).or_insert(next);
        if metric == next {
            family.metrics.push(Metric { labels, value: blank, timestamp, line: number });
        }
        let Some(metric) = family.metrics.get_mut(metric) else { return Ok(()) };
        match (metric.timestamp, timestamp) {
            (Some(before), Some(now)) if now < before => {
                return Err((FaultKind::BadValue, "timestamps go back"));
            }
            // A later point takes the place of the one before.
            (Some(before), Some(now)) if now > before => metric.value = Value::blank(family.kind),
            _ if metric.value.has(part) => return Err((FaultKind::Conflict, "a sample is repeated")),
            _ => {}
        }
        metric.value.put(part, at, value);
        metric.timestamp = timestamp.or(metric.timestamp);
        Ok(())
    }

    fn end(mut self) -> Result<Document<'t>, ParseError> {
        if let Some(wrong) = self.unreadable.filter(|_| !self.understood) {
            return Err(wrong);
        }
        let refused = &mut self.refused;
        for family in &mut self.families {
            family.metrics.retain_mut(|metric| {
                let line = metric.line;
                complete(&mut metric.value, &mut |kind| refused.push(Rejected { line, kind, text: b"" }))
            });
            if family.kind == Kind::Counter
                && let Some(stem) = family.name.strip_suffix("_total")
                && !stem.is_empty()
            {
                family.name = stem.to_owned().into();
            }
        }
        // Creation times, which some libraries write as gauges of their own.
        let counting: HashSet<String> = (self.families.iter())
            .filter(|family| matches!(family.kind, Kind::Counter | Kind::Histogram | Kind::Summary))
            .map(|family| format!("{}_created", family.name))
            .collect();
        self.families.retain(|family| !counting.contains(&*family.name));
        Ok(Document { families: self.families, refused: self.refused, unreadable: self.unreadable })
    }
}

/// Orders a histogram: buckets rising, the infinite one last; and a summary's quantiles likewise. Tells what
/// is wrong in it, and says whether the rest can be used.
fn complete(value: &mut Value, wrong: &mut dyn FnMut(FaultKind)) -> bool {
    let places = match value {
        Value::Number(_) => return true,
        Value::Histogram { buckets: places, .. } | Value::Summary { quantiles: places, .. } => places,
    };
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let before = places.len();
    places.dedup_by(|later, earlier| later.0 == earlier.0);
    (places.len()..before).for_each(|_| wrong(FaultKind::Conflict));
    let Value::Histogram { buckets, count, .. } = value else { return true };
    match (buckets.last(), *count) {
        (Some((bound, total)), given) if bound.is_infinite() => {
            // What does not fit is said, and the buckets are believed.
            if given.is_some_and(|given| given != *total) {
                wrong(FaultKind::BadValue);
            }
            *count = Some(*total);
        }
        (_, Some(total)) => buckets.push((f64::INFINITY, total)),
        _ => {
            wrong(FaultKind::MissingField);
            return false;
        }
    }
    let rise = buckets.is_sorted_by(|a, b| a.1 <= b.1);
    if !rise {
        wrong(FaultKind::BadValue);
    }
    rise
}
