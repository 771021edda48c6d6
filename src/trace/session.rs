//! Sessions as spans: each is the root of a trace of its own, and what happened meanwhile are events of it.

use std::collections::BTreeMap;

use super::attribute::{AttributeValue, attribute};
use super::ids::named;
use super::span::{failed, head};
use crate::event::{SpanId, TraceId};
use crate::protobuf::{bytes, fixed32, fixed64, message, number};

/// Events of one session that are kept, as many as the SDKs keep of a span.
const EVENTS: u32 = 128;
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

    /// The `traceparent` of what is done because of it.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-01", self.trace.0, self.span.0)
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
    bytes: Vec<u8>,
    count: u32,
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
            if events.count >= EVENTS {
                events.dropped += 1;
                continue;
            }
            events.count += 1;
            message(11, &mut events.bytes, |out| {
                fixed64(1, what.at, out);
                bytes(2, what.name.as_bytes(), out);
                for (key, value) in what.attributes {
                    attribute(3, key, AttributeValue::Text(value), out);
                }
            });
        }
    }

    /// The span of one that is over, as a field of a `ScopeSpans`.
    pub(super) fn end(&mut self, over: &EndedSession<'_>) -> Vec<u8> {
        let events = self.open.remove(over.id).unwrap_or_default();
        let SessionTrace { trace, span } = SessionTrace::of(over.id);
        let mut out = Vec::new();
        message(2, &mut out, |out| {
            head(trace, span, None, out);
            bytes(5, b"session", out);
            number(6, 1, out);
            fixed64(7, over.time.0, out);
            fixed64(8, over.time.1.max(over.time.0), out);
            attribute(9, "session.id", AttributeValue::Text(over.id), out);
            attribute(9, "neural.session.origin", AttributeValue::Text(over.origin), out);
            attribute(9, "neural.session.state", AttributeValue::Text(over.state), out);
            if !over.of.is_empty() {
                attribute(9, "neural.session.of", AttributeValue::Text(over.of), out);
            }
            out.extend_from_slice(&events.bytes);
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
