//! Spans that came as such, passed on: their bytes stay what they are, with the resource and the scope that they came with.

use super::sampling::{Sampling, SamplingQuestion};
use super::{CHUNK, Chunk};
use crate::decode::otlp::{self, span};
use crate::protobuf::{Fields, bytes, message, messages, put};

/// What is passed on of one request.
#[derive(Debug, Default)]
pub struct PassedSpans {
    pub(super) chunks: Vec<Chunk>,
    /// Spans that are not sent because their trace is not.
    pub(super) unsampled: u64,
}

impl PassedSpans {
    /// Takes from the body of a request what is to be sent. What did not count when it was read is not passed on.
    #[must_use]
    pub fn of(request: &[u8], sampling: &Sampling) -> Self {
        let mut passed = Self::default();
        for parent in messages(request, 1) {
            let service = otlp::service(parent);
            let around = others(parent);
            for scope in messages(parent, 2) {
                passed.scope(&around, scope, &service, sampling);
            }
        }
        passed
    }

    fn scope(&mut self, resource: &[u8], scope: &[u8], service: &str, sampling: &Sampling) {
        let around = others(scope);
        let mut spans = Spans { resource, scope: &around, bytes: Vec::new(), count: 0 };
        for sent in messages(scope, 2) {
            let Some(facts) = span::facts(sent) else { continue };
            let asked = SamplingQuestion {
                trace: facts.trace,
                service,
                name: (facts.name, ""),
                nanos: facts.nanos,
                failed: facts.failed,
            };
            if !sampling.is_all() && !sampling.keeps(&asked) {
                self.unsampled += 1;
                continue;
            }
            bytes(2, sent, &mut spans.bytes);
            spans.count += 1;
            if spans.bytes.len() >= CHUNK {
                self.chunks.extend(spans.take());
            }
        }
        self.chunks.extend(spans.take());
    }
}

/// Spans of one scope that are kept, and what stands around them.
struct Spans<'a> {
    resource: &'a [u8],
    scope: &'a [u8],
    bytes: Vec<u8>,
    count: u64,
}

impl Spans<'_> {
    fn take(&mut self) -> Option<Chunk> {
        let (spans, count) = (std::mem::take(&mut self.bytes), std::mem::take(&mut self.count));
        let mut out = Vec::with_capacity(spans.len() + self.resource.len() + self.scope.len() + 32);
        message(1, &mut out, |out| {
            out.extend_from_slice(self.resource);
            message(2, out, |out| {
                out.extend_from_slice(self.scope);
                out.extend_from_slice(&spans);
            });
        });
        (count > 0).then_some(Chunk { bytes: out, spans: count })
    }
}

/// The fields of a `ResourceSpans` or `ScopeSpans` but those that hold what is in it.
fn others(parent: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (field, value) in Fields::of(parent).filter(|(field, _)| *field != 2) {
        put(field, value, &mut out);
    }
    out
}
