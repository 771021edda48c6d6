//! Prometheus text 0.0.4, read tolerantly: order does not matter, and what is senseless costs itself.

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use crate::event::{FaultKind, Kind};

use super::line::{self, About, What, Wrong};
use super::{
    Document, Family, Metric, ParseError, Part, Refused, Value, kind_called, part_of, series_key, take_label,
};

pub(super) fn parse(text: &str, limit: usize) -> Result<Document<'_>, ParseError> {
    let mut reader = Reader { left: limit, ..Reader::default() };
    for (place, text) in text.split('\n').enumerate() {
        let number = place + 1;
        let text = text.trim_matches([' ', '\t', '\r']);
        let read = match text.as_bytes().first() {
            None => Ok(()),
            Some(b'#') => reader.about(text),
            Some(_) => reader.sample(text, number),
        };
        read.map_err(|(kind, why)| ParseError { line: number, kind, why })?;
    }
    Ok(reader.end())
}

#[derive(Default)]
struct Reader<'t> {
    families: Vec<Family<'t>>,
    by_name: HashMap<Cow<'t, str>, usize>,
    /// Histograms and summaries by family and labels, because their parts may lie apart.
    groups: HashMap<(usize, Vec<u8>), usize>,
    refused: Vec<Refused>,
    left: usize,
}

impl<'t> Reader<'t> {
    fn family(&mut self, name: Cow<'t, str>) -> usize {
        let next = self.families.len();
        let place = *self.by_name.entry(name.clone()).or_insert(next);
        if place == next {
            let kind = Kind::Unknown;
            self.families.push(Family { name, kind, help: "".into(), unit: "", metrics: Vec::new() });
        }
        place
    }

    fn about(&mut self, text: &'t str) -> Result<(), Wrong> {
        let Some(About { what, name, text }) = line::about(text, false)? else { return Ok(()) };
        self.left = self.left.checked_sub(1).ok_or((FaultKind::Limit, "more lines than allowed"))?;
        let place = self.family(name);
        let Some(family) = self.families.get_mut(place) else { return Ok(()) };
        match what {
            What::Type => {
                let kind = if text == "untyped" { Some(Kind::Unknown) } else { kind_called(text) };
                let kind = kind.ok_or((FaultKind::UnknownType, "not a type"))?;
                // A type that comes after the samples comes too late for them.
                if family.metrics.is_empty() {
                    family.kind = kind;
                }
            }
            What::Help => family.help = line::unescape(text, false),
            What::Unit => {
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

    fn sample(&mut self, text: &'t str, number: usize) -> Result<(), Wrong> {
        self.left = self.left.checked_sub(1).ok_or((FaultKind::Limit, "more samples than allowed"))?;
        let sample = line::sample(text, false)?;
        if let Err(kind) = self.put(sample, number) {
            self.refused.push(Refused { line: number, kind, bytes: text.len() });
        }
        Ok(())
    }

    fn put(&mut self, sample: line::Sample<'t>, number: usize) -> Result<(), FaultKind> {
        let line::Sample { name, mut labels, value, timestamp, .. } = sample;
        let (place, part) = self.place(name);
        let part = part.ok_or(FaultKind::MissingField)?;
        if part == Part::Created {
            return Ok(());
        }
        let Some(family) = self.families.get_mut(place) else { return Ok(()) };
        if family.kind == Kind::Counter || matches!(part, Part::Bucket | Part::Count) {
            if value.is_nan() {
                return Err(FaultKind::NotFinite);
            }
            if value < 0.0 {
                return Err(FaultKind::Negative);
            }
        }
        let at = match part {
            Part::Bucket => {
                let le = take_label(&mut labels, "le").ok_or(FaultKind::MissingField)?;
                line::number(&le)
                    .filter(|bound| !bound.is_nan() && *bound > f64::NEG_INFINITY)
                    .ok_or(FaultKind::BadValue)?
            }
            Part::Quantile => {
                let quantile = take_label(&mut labels, "quantile").ok_or(FaultKind::MissingField)?;
                line::quantile(&quantile).ok_or(FaultKind::BadValue)?
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
        if let Some(metric) = family.metrics.get_mut(metric) {
            metric.value.put(part, at, value);
            metric.timestamp = timestamp.or(metric.timestamp);
        }
        Ok(())
    }

    fn end(mut self) -> Document<'t> {
        let refused = &mut self.refused;
        for family in &mut self.families {
            family.metrics.retain_mut(|metric| match complete(&mut metric.value) {
                Ok(()) => true,
                Err(kind) => {
                    refused.push(Refused { line: metric.line, kind, bytes: 0 });
                    false
                }
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
        Document { families: self.families, refused: self.refused }
    }
}

/// Brings a histogram into order: buckets rising, the infinite one last; and a summary's quantiles likewise.
fn complete(value: &mut Value) -> Result<(), FaultKind> {
    if let Value::Summary { quantiles, .. } = value {
        quantiles.sort_by(|a, b| a.0.total_cmp(&b.0));
        quantiles.dedup_by(|later, earlier| later.0 == earlier.0);
    }
    let Value::Histogram { buckets, count, .. } = value else { return Ok(()) };
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup_by(|later, earlier| later.0 == earlier.0);
    match (buckets.last(), *count) {
        (Some((bound, total)), given) if bound.is_infinite() => *count = given.or(Some(*total)),
        (_, Some(total)) => buckets.push((f64::INFINITY, total)),
        _ => return Err(FaultKind::MissingField),
    }
    if buckets.windows(2).any(|pair| matches!(pair, [a, b] if a.1 > b.1)) {
        return Err(FaultKind::BadValue);
    }
    Ok(())
}
