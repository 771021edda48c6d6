//! Spans: each becomes a span of the catalogue, or the run of a stage, if it says of which, or the call of a language model.

use std::num::NonZeroU128;

use super::Settings;
use super::attribute::{Attribute, text};
use super::call::{CallAttributes, PREFIX};
use super::names::Names;
use super::resource::Resource;
use super::time::{Newest, is_time};
use crate::event::{Body, Call, FaultKind, Span, SpanKind, Stage, Trace, TraceId};
use crate::protobuf::{Fields, Value};

/// Attributes of one span, beyond which it is refused: the SDKs send 128 at most.
const ATTRIBUTES: u32 = 1_024;
/// The longest time that a span may take, in nanoseconds: a year. What is longer is a clock that was set.
const LONGEST: u64 = 366 * 86_400 * 1_000_000_000;
/// The kind of a span that answers another one.
const SERVER: u64 = 2;
/// The name in place of a name that is one too many.
const OTHER: &str = "_other";

/// What is known of a span before it is passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Its trace.
    pub(crate) trace: TraceId,
    /// Its name.
    pub(crate) name: &'a str,
    /// How long it took, in nanoseconds.
    pub(crate) nanos: u64,
    /// Whether its status is that of an error.
    pub(crate) failed: bool,
}

/// The same of one span; nothing of one that does not count, or that has no ids, by which others know it.
pub(crate) fn facts(message: &[u8]) -> Option<Facts<'_>> {
    let (mut sent, mut has_id, mut attributes) = (ReceivedSpan::default(), false, 0);
    for (number, value) in Fields::of(message) {
        match (number, value) {
            (2, Value::Bytes(id)) => has_id = id.len() == 8 && id.iter().any(|byte| *byte != 0),
            (9, Value::Bytes(_)) => attributes += 1,
            field => sent.field(field),
        }
    }
    let known = duration(sent.start, sent.end).is_ok() && has_id && attributes <= ATTRIBUTES;
    let trace = trace(sent.trace).filter(|_| known)?;
    Some(Facts { trace, name: sent.name, nanos: sent.end - sent.start, failed: sent.failed })
}

/// A span as it came.
#[derive(Default)]
struct ReceivedSpan<'a> {
    name: &'a str,
    kind: u64,
    trace: &'a [u8],
    start: u64,
    end: u64,
    failed: bool,
    attributes: u32,
    pipeline: Option<&'a str>,
    stage: Option<&'a str>,
    items: Option<f64>,
    error: Option<&'a str>,
    asked: CallAttributes<'a>,
}

/// Reads one span.
///
/// # Errors
/// Why it does not count.
pub(super) fn read<'a>(
    message: &'a [u8],
    resource: &'a Resource<'a>,
    settings: &Settings,
    names: &mut Names,
    newest: &mut Newest,
) -> Result<Body<'a>, FaultKind> {
    let sent = ReceivedSpan::of(message, settings);
    if sent.attributes > ATTRIBUTES {
        return Err(FaultKind::Limit);
    }
    let seconds = duration(sent.start, sent.end)?;
    newest.see(sent.end);
    let trace = trace(sent.trace);
    if let Some(stage) = sent.stage.filter(|stage| !stage.is_empty()) {
        let pipeline = sent.pipeline.filter(|pipeline| !pipeline.is_empty()).or(resource.pipeline);
        return Ok(Body::Stage(Stage {
            pipeline: pipeline.unwrap_or(&resource.service),
            stage,
            seconds,
            error: sent.failure(),
            items: sent.items.filter(|items| items.is_finite() && *items >= 0.0),
            ended: Some(sent.end as f64 / 1e9),
            trace: trace.map(|id| Trace { is_span: true, ..Trace::of(id) }),
        }));
    }
    // The span of the server that was asked tells the same tokens again.
    if let Some(model) = sent.asked.model().filter(|_| sent.kind != SERVER) {
        let call = sent.asked.call(model, seconds, &settings.prices)?;
        let trace = trace.map(|id| Trace { is_span: true, ..Trace::of(id) });
        return Ok(Body::Call(Call { error: sent.failure(), trace, ..call }));
    }
    let name = if sent.name.is_empty() { "unknown" } else { sent.name };
    let name = if names.admits(&resource.service, name, settings.span_names) { name } else { OTHER };
    let kind = usize::try_from(sent.kind).ok().and_then(|kind| SpanKind::ALL.get(kind).copied());
    let kind = kind.unwrap_or(SpanKind::Unspecified);
    Ok(Body::Span(Span { service: &resource.service, name, kind, seconds, failed: sent.failed, trace }))
}

impl<'a> ReceivedSpan<'a> {
    fn of(message: &'a [u8], settings: &Settings) -> Self {
        let mut sent = Self::default();
        for (number, value) in Fields::of(message) {
            match (number, value) {
                (9, Value::Bytes(attribute)) => sent.attribute(attribute, settings),
                field => sent.field(field),
            }
        }
        sent
    }

    /// What failed, if it did.
    fn failure(&self) -> Option<&'a str> {
        self.failed.then(|| self.error.filter(|error| !error.is_empty()).unwrap_or("error"))
    }

    /// Takes a field that is no attribute.
    #[inline]
    fn field(&mut self, field: (u32, Value<'a>)) {
        match field {
            (1, Value::Bytes(id)) => self.trace = id,
            (5, Value::Bytes(name)) => self.name = text(name),
            (6, Value::Varint(kind)) => self.kind = kind,
            (7, Value::Fixed64(time)) => self.start = time,
            (8, Value::Fixed64(time)) => self.end = time,
            (15, Value::Bytes(status)) => {
                self.failed = Fields::of(status).any(|field| field == (3, Value::Varint(2)));
            }
            _ => {}
        }
    }

    #[inline]
    fn attribute(&mut self, message: &'a [u8], settings: &Settings) {
        self.attributes += 1;
        let attribute = Attribute::of(message);
        if let Some(name) = attribute.key.strip_prefix(PREFIX) {
            self.asked.take(name, &attribute);
        }
        match attribute.key {
            "error.type" => self.error = attribute.text(),
            key if key == settings.stage_attribute => self.stage = attribute.text(),
            key if key == settings.pipeline_attribute => self.pipeline = attribute.text(),
            key if key == settings.items_attribute => self.items = attribute.number(),
            _ => {}
        }
    }
}

/// How long it took, in seconds.
fn duration(start: u64, end: u64) -> Result<f64, FaultKind> {
    if start == 0 || end == 0 {
        return Err(FaultKind::MissingField);
    }
    if !is_time(start) || !is_time(end) {
        return Err(FaultKind::BadValue);
    }
    let nanos = end.checked_sub(start).ok_or(FaultKind::ClockSkew)?;
    if nanos > LONGEST { Err(FaultKind::BadValue) } else { Ok(nanos as f64 / 1e9) }
}

/// The trace that sixteen bytes name.
pub(super) fn trace(id: &[u8]) -> Option<TraceId> {
    let id = u128::from_be_bytes(<[u8; 16]>::try_from(id).ok()?);
    NonZeroU128::new(id).map(TraceId)
}
