//! Sessions as spans: each is the root of a trace of its own, and what happened meanwhile are events of it.

use std::collections::BTreeMap;

use super::attribute::{AttributeValue, attribute};
use super::ids::named;
use super::span::{failed, head};
use crate::event::{SpanId, TraceId};
use crate::protobuf::{bytes, fixed32, fixed64, message, number};

/// The `tracestate` of a session: sessions are all sent.
///
/// Fact: OpenTelemetry's specification of probability sampling in `tracestate`.
const ALL: &str = "ot=th:0";
/// Events of one session that are kept, as many as the SDKs keep of a span.
const EVENTS: usize = 128;
/// Sessions whose events are kept at once.
const SESSIONS: usize = 256;

/// The place of a session in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTrace {
    /// The trace, of which no other session is.
    pub trace: TraceId,
    /// The span of the session.
    pub span: SpanId,
}

impl SessionTrace {
    /// That of the session with this id.
    #[must_use]
    pub fn of(session: &str) -> Self {
        let (trace, span) = named(session);
        Self { trace, span }
    }

    /// The context of what is done because of it.
    #[must_use]
    pub fn context(&self) -> TraceContext {
        TraceContext { traceparent: format!("00-{:032x}-{:016x}-01", self.trace.0, self.span.0) }
    }
}

/// The trace that something belongs to, as W3C trace context carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: String,
}

impl TraceContext {
    /// As headers of a request.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        [("traceparent", &*self.traceparent), ("tracestate", ALL)].into_iter()
    }

    /// As variables of a program's environment.
    ///
    /// Fact: OpenTelemetry's specification of environment variables as carriers of context.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.headers().map(|(name, value)| (name.to_ascii_uppercase(), value.to_owned()))
    }
}

/// A session that is over.
#[derive(Clone, Copy, Debug)]
pub struct EndedSession<'a> {
    /// Its id.
    pub id: &'a str,
    /// Who said when it begins and ends.
    pub origin: &'a str,
    /// The pipeline, program or stream; empty where a person said it.
    pub of: &'a str,
    /// How far it came: `ended`, `failed`, `lost`.
    pub state: &'a str,
    /// When it began and ended, ns since 1970.
    pub time: (u64, u64),
    /// Whether it broke off.
    pub failed: bool,
}

/// Something that happened while sessions were open.
#[derive(Clone, Copy, Debug)]
pub struct SessionEvent<'a> {
    /// When, ns since 1970.
    pub at: u64,
    /// What, in one word.
    pub name: &'a str,
    /// What more is known.
    pub attributes: &'a [(&'static str, &'a str)],
}

/// The sessions that are open, with what happened since.
#[derive(Debug, Default)]
pub struct Sessions {
    open: BTreeMap<String, Events>,
}

#[derive(Debug, Default)]
struct Events {
    /// When each happened, and the event as a field of a `Span`.
    kept: Vec<(u64, Vec<u8>)>,
    dropped: u32,
}

impl Sessions {
    /// Those that are open now, by id. Returns those that are no longer.
    pub fn look(&mut self, open: &[String]) -> Vec<String> {
        for id in open {
            if self.open.len() < SESSIONS && !self.open.contains_key(id) {
                self.open.insert(id.clone(), Events::default());
            }
        }
        self.open.keys().filter(|id| !open.contains(id)).cloned().collect()
    }

    /// Something happened: to all of them.
    pub fn happened(&mut self, what: &SessionEvent<'_>) {
        for events in self.open.values_mut() {
            if events.kept.len() >= EVENTS {
                events.dropped += 1;
                continue;
            }
            let mut event = Vec::new();
            message(11, &mut event, |out| {
                fixed64(1, what.at, out);
                bytes(2, what.name.as_bytes(), out);
                for (key, value) in what.attributes {
                    attribute(3, key, AttributeValue::Text(value), out);
                }
            });
            events.kept.push((what.at, event));
        }
    }

    /// The span of one that is over, as a field of a `ScopeSpans`.
    pub(super) fn end(&mut self, over: &EndedSession<'_>) -> Vec<u8> {
        let events = self.open.remove(over.id).unwrap_or_default();
        let SessionTrace { trace, span } = SessionTrace::of(over.id);
        let end = over.time.1.max(over.time.0);
        let mut out = Vec::new();
        message(2, &mut out, |out| {
            head(trace, span, None, out);
            bytes(3, ALL.as_bytes(), out);
            bytes(5, b"session", out);
            number(6, 1, out);
            fixed64(7, over.time.0, out);
            fixed64(8, end, out);
            attribute(9, "session.id", AttributeValue::Text(over.id), out);
            attribute(9, "neural.session.origin", AttributeValue::Text(over.origin), out);
            attribute(9, "neural.session.state", AttributeValue::Text(over.state), out);
            if !over.of.is_empty() {
                attribute(9, "neural.session.of", AttributeValue::Text(over.of), out);
            }
            // A session is seen a moment after it ended, and what happened in this moment is not of it.
            let within = events.kept.iter().filter(|(at, _)| (over.time.0..=end).contains(at));
            within.for_each(|(_, event)| out.extend_from_slice(event));
            if events.dropped > 0 {
                number(12, events.dropped.into(), out);
            }
            if over.failed {
                failed("the session broke off", out);
            }
            fixed32(16, 1, out);
        });
        out
    }
}
