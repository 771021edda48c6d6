//! Data points: each becomes the change of one series, under the name that Prometheus has for its metric.

mod exponential;
mod name;
mod point;
mod stream;

use std::borrow::Cow;

pub use self::name::ucum;
use self::point::Point;
use self::stream::Identity;
pub(super) use self::stream::Streams;
use super::attribute::{Attribute, attributes, text};
use super::resource::{Resource, Scope};
use super::time::{Newest, is_time};
use super::{Fold, RequestCounts, Settings};
use crate::decode::Sink;
use crate::decode::text::openmetrics::add_labels;
use crate::event::{Body, Change, FaultKind, Kind, LABELS, Observation, Spell, Spelled};
use crate::protobuf::{Fields, Value, messages, put_varint};

/// Points that are folded under one lock.
const BATCH: usize = 256;

/// What is in a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Data {
    #[default]
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// Whether points say what came since the last, or all there ever was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Temporality {
    #[default]
    Unspecified,
    Delta,
    Cumulative,
}

/// A metric, without its points.
#[derive(Clone, Copy, Debug, Default)]
struct Metric<'a> {
    name: &'a str,
    unit: &'a str,
    help: &'a str,
    data: Data,
    temporality: Temporality,
    monotonic: bool,
    /// The message that holds the points.
    points: &'a [u8],
}

impl<'a> Metric<'a> {
    fn of(message: &'a [u8]) -> Option<Self> {
        let mut metric = Metric::default();
        let mut data = None;
        for (number, value) in Fields::of(message) {
            let Value::Bytes(bytes) = value else { continue };
            let kind = match number {
                1 => {
                    metric.name = text(bytes);
                    continue;
                }
                2 => {
                    metric.help = text(bytes);
                    continue;
                }
                3 => {
                    metric.unit = text(bytes);
                    continue;
                }
                5 => Data::Gauge,
                7 => Data::Sum,
                9 => Data::Histogram,
                10 => Data::Exponential,
                11 => Data::Summary,
                _ => continue,
            };
            data = Some((kind, bytes));
        }
        (metric.data, metric.points) = data?;
        for (number, value) in Fields::of(metric.points) {
            match (number, value) {
                (2, Value::Varint(1)) => metric.temporality = Temporality::Delta,
                (2, Value::Varint(2)) => metric.temporality = Temporality::Cumulative,
                (3, Value::Varint(monotonic)) => metric.monotonic = monotonic != 0,
                _ => {}
            }
        }
        Some(metric)
    }

    /// What Prometheus calls its type.
    fn kind(&self) -> Kind {
        match self.data {
            Data::Sum if self.monotonic => Kind::Counter,
            Data::Sum | Data::Gauge => Kind::Gauge,
            Data::Histogram | Data::Exponential => Kind::Histogram,
            Data::Summary => Kind::Summary,
        }
    }

    /// The field of a point that has its attributes.
    fn attributes(&self) -> u32 {
        match self.data {
            Data::Gauge | Data::Sum | Data::Summary => 7,
            Data::Histogram => 9,
            Data::Exponential => 1,
        }
    }
}

/// Whose metrics are read.
pub(super) struct Sender<'a> {
    pub resource: &'a Resource<'a>,
    pub scope: Scope<'a>,
    pub settings: &'a Settings,
    /// Seconds by our clock.
    pub now: u32,
}

/// What is used again for each point.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    key: Vec<u8>,
    buckets: Vec<(f64, f64)>,
    quantiles: Vec<(f64, f64)>,
}

/// Reads one metric and folds its points.
pub(super) fn read(
    message: &[u8],
    sender: &Sender<'_>,
    (streams, scratch): (&mut Streams, &mut Scratch),
    newest: &mut Newest,
    counted: &mut RequestCounts,
    fold: &mut Fold<'_>,
) {
    let Some(metric) = Metric::of(message) else { return };
    let series = Series::of(&metric, sender, streams, &mut scratch.key);
    let mut points = messages(metric.points, 1).peekable();
    while points.peek().is_some() {
        counted.accepted += fold(&mut |out| {
            for point in points.by_ref().take(BATCH) {
                counted.items += 1;
                match series.fold(point, streams, scratch, newest, out) {
                    Ok(true) => {}
                    Ok(false) => counted.silent += 1,
                    Err(kind) => counted.refuse(kind, point, out),
                }
            }
        });
    }
}

/// What all points of a metric have in common.
struct Series<'a> {
    metric: &'a Metric<'a>,
    sender: &'a Sender<'a>,
    kind: Kind,
    /// Bytes of a key before the attributes.
    prefix: usize,
    /// What tells the sender from all others.
    sent_by: Identity,
    /// The unit, as the name ends in it: the buckets of exponential histograms depend on it.
    unit: &'a str,
}

impl<'a> Series<'a> {
    /// Begins the key of its points in `key`.
    fn of(metric: &'a Metric<'a>, sender: &'a Sender<'a>, streams: &Streams, key: &mut Vec<u8>) -> Self {
        let Sender { resource, scope, settings, .. } = sender;
        key.clear();
        key.extend_from_slice(&[metric.data as u8, metric.monotonic.into()]);
        let mut part = |text: &str| {
            key.extend_from_slice(text.as_bytes());
            key.push(0xff);
        };
        [metric.name, metric.unit, &resource.service].into_iter().for_each(&mut part);
        let mut label = |name: &str, value: Cow<'_, str>| {
            part(name);
            part(&value);
        };
        resource.labels(settings, &mut label);
        scope.labels(settings, &mut label);
        let sent_by = streams.identity(&(resource.message, scope.identity()));
        Self { metric, sender, kind: metric.kind(), prefix: key.len(), sent_by, unit: metric.unit }
    }

    /// Folds one point. Says whether it said anything.
    fn fold(
        &self,
        message: &[u8],
        streams: &mut Streams,
        scratch: &mut Scratch,
        newest: &mut Newest,
        out: &mut Sink<'_>,
    ) -> Result<bool, FaultKind> {
        let point = Point::of(message, self.metric.data);
        if point.attributes > LABELS {
            return Err(FaultKind::Limit);
        }
        if point.says_nothing {
            return Ok(false);
        }
        if !is_time(point.time) || !is_time(point.start) {
            return Err(FaultKind::BadValue);
        }
        newest.see(point.time);
        let Scratch { key, buckets, quantiles } = scratch;
        key.truncate(self.prefix);
        let mut attributes_hash = 0_u128;
        for attribute in messages(message, self.metric.attributes()) {
            put_varint(attribute.len() as u64, key);
            key.extend_from_slice(attribute);
            // In whatever order they come.
            let hash = streams.identity(&Attribute::of(attribute).parts());
            attributes_hash = attributes_hash.wrapping_add(hash);
        }
        let prefix = key.get(..self.prefix).unwrap_or_default();
        let which =
            Which { prefix, attributes: attributes_hash, sent_by: self.sent_by, now: self.sender.now };
        let change = match self.kind {
            Kind::Histogram => point.histogram(self, &which, streams, buckets)?,
            Kind::Summary => point.summary(&which, streams, quantiles)?,
            _ => point.number(self, &which, streams)?,
        };
        let trace = point.exemplar.map(|(_, trace)| trace);
        let bounds = match change {
            Change::AddBuckets { buckets, .. } => buckets,
            _ => &[],
        };
        let spelling = Spelling { series: self, message, bounds };
        out(Body::Observation(Observation { key, spelling: &spelling, change, trace }));
        Ok(true)
    }
}

/// Which series a point is of, and who sends it.
struct Which<'a> {
    prefix: &'a [u8],
    attributes: u128,
    sent_by: Identity,
    now: u32,
}

impl Which<'_> {
    /// What tells the sums of one process, since it began, from all others.
    fn stream(&self, streams: &Streams, start: u64) -> Identity {
        streams.identity(&(self.prefix, self.attributes, self.sent_by, start))
    }

    /// Whether the sender may say what the series is now.
    fn holds(&self, streams: &mut Streams) -> Result<(), FaultKind> {
        let id = streams.identity(&(self.prefix, self.attributes));
        if streams.holds(id, self.sent_by as u64, self.now) { Ok(()) } else { Err(FaultKind::Conflict) }
    }
}

/// A point that says what its series is called.
struct Spelling<'a> {
    series: &'a Series<'a>,
    message: &'a [u8],
    bounds: &'a [(f64, f64)],
}

impl Spell for Spelling<'_> {
    fn spell(&self, out: &mut Spelled) -> Result<(), FaultKind> {
        let Series { metric, sender, kind, .. } = self.series;
        (out.name, out.unit) = name::family(metric.name, metric.unit, *kind);
        if out.name.is_empty() {
            return Err(FaultKind::BadName);
        }
        out.kind = *kind;
        out.help.push_str(metric.help);
        let mut theirs: Vec<_> = attributes(self.message, metric.attributes()).collect();
        theirs.sort_by_key(|attribute| attribute.key);
        let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(theirs.len() + 1);
        for attribute in theirs {
            let (label, value) = (name::label(attribute.key), attribute.written());
            // Two attributes whose names become one, as Prometheus has it.
            match labels.iter_mut().find(|(known, _)| *known == label) {
                Some((_, kept)) => *kept = format!("{kept};{value}").into(),
                None => labels.push((label.into(), value)),
            }
        }
        let mut ours = vec![(Cow::from("service"), Cow::from(&*sender.resource.service))];
        let mut add = |label: String, value: Cow<'_, str>| {
            if !ours.iter().any(|(known, _)| *known == label) {
                ours.push((label.into(), value.into_owned().into()));
            }
        };
        sender.resource.labels(sender.settings, |key, value| add(name::label(key), value));
        sender
            .scope
            .labels(sender.settings, |key, value| add(format!("otel_scope_{}", name::label(key)), value));
        add_labels(&mut labels, ours);
        if labels.len() > LABELS {
            return Err(FaultKind::Limit);
        }
        out.labels.extend(labels.into_iter().map(|(label, value)| (label.into_owned(), value.into_owned())));
        if *kind == Kind::Histogram {
            out.bounds =
                Some(self.bounds.iter().map(|(bound, _)| *bound).filter(|bound| bound.is_finite()).collect());
        }
        Ok(())
    }
}
