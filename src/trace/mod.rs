//! Spans on their way out: of events that belong to a trace, of sessions, and those that came as spans. They are collected as the parts
//! of OTLP requests, until who sends them takes them.
//!
//! Pure: it sends nothing, and time is data. What is collected has a limit in bytes, and what is over is counted.

mod attribute;
mod ids;
mod passed;
mod sampling;
mod session;
mod span;

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::Event;
use crate::protobuf::{bytes, message};
use attribute::{AttributeValue, attribute};
use ids::Ids;
pub use passed::PassedSpans;
pub use sampling::{Sampling, Settings, Slow};
pub use session::{EndedSession, SessionEvent, SessionTrace, Sessions, TraceContext};
use span::EventSpan;

/// Bytes of spans that are one part of a request: a request has several, and is not much longer than it is allowed to be.
const CHUNK: usize = 256 << 10;
/// Bytes of one request, unless a single span is longer.
const REQUEST: usize = 1 << 20;
/// Bytes that are collected until they are taken.
const COLLECTED: usize = 16 << 20;
/// Services whose spans are collected apart.
const SERVICES: usize = 1_000;

/// Whole `ResourceSpans` of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    spans: u64,
}

/// A request: an `ExportTraceServiceRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Spans in it.
    pub spans: u64,
}

/// What was collected.
#[derive(Debug, Default)]
pub struct Collection {
    /// Requests.
    pub batches: Vec<Batch>,
    /// Spans that are not sent because their trace is not.
    pub unsampled: u64,
    /// Spans for which there was no room.
    pub dropped: u64,
}

/// Collects spans until they are taken.
#[derive(Debug)]
pub struct Outbox {
    sampling: Arc<Sampling>,
    ids: Ids,
    /// Spans that were made here, by service.
    made: HashMap<Box<str>, Chunk>,
    chunks: Vec<Chunk>,
    bytes: usize,
    unsampled: u64,
    dropped: u64,
}

impl Outbox {
    /// An empty one. `seed` is by chance: of it are the ids that it makes.
    #[must_use]
    pub fn new(sampling: Arc<Sampling>, seed: u64) -> Self {
        Self {
            sampling,
            ids: Ids::new(seed),
            made: HashMap::new(),
            chunks: Vec::new(),
            bytes: 0,
            unsampled: 0,
            dropped: 0,
        }
    }

    /// What decides of spans.
    #[must_use]
    pub fn sampling(&self) -> Arc<Sampling> {
        self.sampling.clone()
    }

    /// Lets other settings decide.
    pub fn set_sampling(&mut self, sampling: Arc<Sampling>) {
        self.sampling = sampling;
    }

    /// Bytes that wait to be taken.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes a span of an event that belongs to a trace.
    pub fn observe(&mut self, event: &Event<'_>) {
        let Some(trace) = span::trace(event) else { return };
        let Some(made) = EventSpan::of(event, trace) else { return };
        if !self.sampling.keeps(&made.asked()) {
            self.unsampled += 1;
            return;
        }
        let id = self.ids.span();
        let sampling = self.sampling.clone();
        let state = sampling.state(trace.id);
        self.add(made.service, |out| made.write(id, state, out));
    }

    /// Passes on what came as spans.
    pub fn pass(&mut self, passed: PassedSpans) {
        self.unsampled += passed.unsampled;
        for chunk in passed.chunks {
            if self.bytes + chunk.bytes.len() > COLLECTED {
                self.dropped += chunk.spans;
            } else {
                self.bytes += chunk.bytes.len();
                self.chunks.push(chunk);
            }
        }
    }

    /// Makes the span of a session that is over.
    pub fn end(&mut self, sessions: &mut Sessions, over: &EndedSession<'_>) {
        let span = sessions.end(over);
        let service = if over.of.is_empty() { "neural-exporter" } else { over.of };
        self.add(service, |out| out.extend_from_slice(&span));
    }

    /// Adds a span of a service.
    fn add(&mut self, service: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let service = attribute::short(service);
        if self.bytes >= COLLECTED || self.made.len() >= SERVICES && !self.made.contains_key(service) {
            self.dropped += 1;
            return;
        }
        if !self.made.contains_key(service) {
            self.made.insert(service.into(), Chunk::default());
        }
        let Some(chunk) = self.made.get_mut(service) else { return };
        let before = chunk.bytes.len();
        write(&mut chunk.bytes);
        chunk.spans += 1;
        self.bytes += chunk.bytes.len() - before;
        if chunk.bytes.len() >= CHUNK {
            let full = std::mem::take(chunk);
            self.chunks.push(of_service(service, &full));
        }
    }

    /// Takes all that was collected, as requests.
    pub fn take(&mut self) -> Collection {
        let made = self.made.drain().filter(|(_, chunk)| chunk.spans > 0);
        let mut chunks: Vec<Chunk> = made.map(|(service, chunk)| of_service(&service, &chunk)).collect();
        chunks.append(&mut self.chunks);
        self.bytes = 0;
        let mut batches: Vec<Batch> = Vec::new();
        for chunk in chunks {
            match batches.last_mut().filter(|last| last.bytes.len() + chunk.bytes.len() <= REQUEST) {
                Some(last) => {
                    last.bytes.extend_from_slice(&chunk.bytes);
                    last.spans += chunk.spans;
                }
                None => batches.push(Batch { bytes: chunk.bytes, spans: chunk.spans }),
            }
        }
        let (unsampled, dropped) = (std::mem::take(&mut self.unsampled), std::mem::take(&mut self.dropped));
        Collection { batches, unsampled, dropped }
    }
}

/// Spans that were made here, with their resource and scope around them.
fn of_service(service: &str, chunk: &Chunk) -> Chunk {
    let mut out = Vec::with_capacity(chunk.bytes.len() + 256);
    message(1, &mut out, |out| {
        message(1, out, |out| attribute(1, "service.name", AttributeValue::Text(service), out));
        message(2, out, |out| {
            message(1, out, |out| {
                bytes(1, b"neural-exporter", out);
                bytes(2, env!("CARGO_PKG_VERSION").as_bytes(), out);
            });
            out.extend_from_slice(&chunk.bytes);
        });
    });
    Chunk { bytes: out, spans: chunk.spans }
}

#[cfg(test)]
mod tests;
