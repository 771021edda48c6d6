//! Events that belong to a trace, as spans: they end when the event says, and begin as much earlier as they took.
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions where there are any.

use super::attribute::{AttributeValue, attribute, short};
use super::sampling::SamplingQuestion;
use crate::event::{Body, Event, SpanId, SpanKind, Trace, TraceId};
use crate::protobuf::{bytes, fixed32, fixed64, message, number};

/// The name of the service where nobody says it, as the SDKs call it.
const UNKNOWN: &str = "unknown_service";
/// A span of a trace that is sampled.
const SAMPLED: u32 = 0x01;
/// It is known whether the parent is in another process, and it is.
const REMOTE: u32 = 0x300;
/// Attributes of one span.
const ATTRIBUTES: usize = 6;

/// A span that is to be written.
#[derive(Debug)]
pub(super) struct EventSpan<'a> {
    pub service: &'a str,
    trace: Trace,
    kind: SpanKind,
    /// The parts of the name, with a space between them.
    name: (&'a str, &'a str),
    start: u64,
    end: u64,
    error: Option<&'a str>,
    attributes: [Option<(&'static str, AttributeValue<'a>)>; ATTRIBUTES],
}

/// The parts of a span that most events have.
struct Parts<'a> {
    service: &'a str,
    kind: SpanKind,
    name: (&'a str, &'a str),
    seconds: f64,
    ended: Option<f64>,
    error: Option<&'a str>,
    attributes: [Option<(&'static str, AttributeValue<'a>)>; ATTRIBUTES],
}

/// Whether it is an event that becomes a span, and its trace.
pub(super) fn trace(event: &Event<'_>) -> Option<Trace> {
    let trace = match &event.body {
        Body::Stage(stage) => stage.trace,
        Body::Call(call) => call.trace,
        Body::Request(request) => request.trace,
        Body::Query(query) => query.trace,
        _ => None,
    };
    // What was a span already is passed on as it came.
    trace.filter(|trace| !trace.is_span)
}

impl<'a> EventSpan<'a> {
    /// The span of an event; nothing where the event does not say how long it took, or began before 1970.
    pub(super) fn of(event: &Event<'a>, trace: Trace) -> Option<Self> {
        let parts = parts(&event.body)?;
        let end = parts.ended.map_or(event.at.wall, |ended| (ended * 1e9) as u64);
        let start = end.checked_sub((parts.seconds * 1e9) as u64).filter(|start| *start > 0)?;
        let Parts { service, kind, name, error, attributes, .. } = parts;
        Some(Self { service, trace, kind, name, start, end, error, attributes })
    }

    pub(super) fn asked(&self) -> SamplingQuestion<'a> {
        SamplingQuestion {
            trace: self.trace.id,
            service: self.service,
            name: self.name,
            nanos: self.end - self.start,
            failed: self.error.is_some(),
        }
    }

    /// Appends it as a `Span` of a `ScopeSpans`, with this `tracestate`.
    pub(super) fn write(&self, id: SpanId, state: Option<&str>, out: &mut Vec<u8>) {
        message(2, out, |out| {
            head(self.trace.id, id, self.trace.parent, out);
            if let Some(state) = state {
                bytes(3, state.as_bytes(), out);
            }
            message(5, out, |out| {
                out.extend_from_slice(short(self.name.0).as_bytes());
                if !self.name.1.is_empty() {
                    out.push(b' ');
                    out.extend_from_slice(short(self.name.1).as_bytes());
                }
            });
            number(6, self.kind as u64, out);
            fixed64(7, self.start, out);
            fixed64(8, self.end, out);
            for (key, value) in self.attributes.iter().flatten() {
                attribute(9, key, *value, out);
            }
            if let Some(error) = self.error {
                attribute(9, "error.type", AttributeValue::Text(error), out);
                message(11, out, |out| {
                    fixed64(1, self.end, out);
                    bytes(2, b"exception", out);
                    attribute(3, "exception.type", AttributeValue::Text(error), out);
                });
                failed(error, out);
            }
            let remote = if self.trace.parent.is_some() { REMOTE } else { 0 };
            fixed32(16, SAMPLED | remote, out);
        });
    }
}

/// The ids of a span.
pub(super) fn head(trace: TraceId, id: SpanId, parent: Option<SpanId>, out: &mut Vec<u8>) {
    bytes(1, &trace.0.get().to_be_bytes(), out);
    bytes(2, &id.0.get().to_be_bytes(), out);
    if let Some(parent) = parent {
        bytes(4, &parent.0.get().to_be_bytes(), out);
    }
}

/// The status of an error.
pub(super) fn failed(why: &str, out: &mut Vec<u8>) {
    message(15, out, |out| {
        bytes(2, short(why).as_bytes(), out);
        number(3, 2, out);
    });
}

// Long: a table.
fn parts<'a>(body: &Body<'a>) -> Option<Parts<'a>> {
    let text = |key, text| Some((key, AttributeValue::Text(text)));
    match *body {
        Body::Stage(s) => Some(Parts {
            service: s.pipeline,
            kind: SpanKind::Internal,
            name: (s.stage, ""),
            seconds: s.seconds,
            ended: s.ended,
            error: s.error,
            attributes: [
                text("neural.pipeline", s.pipeline),
                text("neural.stage", s.stage),
                s.items.map(|items| ("neural.items", AttributeValue::of(items))),
                None,
                None,
                None,
            ],
        }),
        Body::Call(c) => Some(Parts {
            service: UNKNOWN,
            kind: SpanKind::Client,
            // What kind of call it was the event does not say.
            name: (c.model, ""),
            seconds: c.seconds?,
            ended: c.ended,
            error: c.error,
            attributes: [
                text("gen_ai.request.model", c.model),
                Some(("gen_ai.usage.input_tokens", AttributeValue::of(c.prompt_tokens))),
                Some(("gen_ai.usage.output_tokens", AttributeValue::of(c.completion_tokens))),
                c.first_token_seconds.map(|s| ("neural.call.time_to_first_token", AttributeValue::Number(s))),
                c.cost.map(|cost| ("neural.call.cost", AttributeValue::Number(cost))),
                c.cache_hit.map(|hit| ("neural.call.cache_hit", AttributeValue::Flag(hit))),
            ],
        }),
        Body::Request(r) => Some(Parts {
            service: r.service,
            kind: SpanKind::Server,
            name: (r.method, r.route),
            seconds: r.seconds,
            ended: r.ended,
            // To the one who answered, a mistake of the asker is none.
            error: (r.status >= 500).then_some(status_class(r.status)),
            attributes: [
                text("http.request.method", r.method),
                text("http.route", r.route),
                Some(("http.response.status_code", AttributeValue::Integer(r.status.into()))),
                None,
                None,
                None,
            ],
        }),
        Body::Query(q) => Some(Parts {
            service: UNKNOWN,
            kind: SpanKind::Client,
            name: (q.operation, q.database),
            seconds: q.seconds,
            ended: q.ended,
            error: q.failed.then_some("_OTHER"),
            attributes: [
                text("db.operation.name", q.operation),
                text("db.namespace", q.database),
                None,
                None,
                None,
                None,
            ],
        }),
        _ => None,
    }
}

/// What `error.type` says of a status; those that are seldom are not told apart.
fn status_class(status: u16) -> &'static str {
    match status {
        500 => "500",
        501 => "501",
        502 => "502",
        503 => "503",
        504 => "504",
        _ => "_OTHER",
    }
}
