//! Replies, and the buffers that scrapes are written into.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::HeaderValue;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;

use super::{Reply, VARY};

/// Buffers to write scrapes into, used again so that a scrape costs no fresh memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Idle buffers that are kept.
const KEPT: usize = 4;
/// Bytes of a buffer that is kept however little was written into it.
const SMALL: usize = 1 << 20;

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    /// The buffer as a body. It comes back when the body is sent.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }

    /// The buffer's text, compressed, as a body.
    ///
    /// Level 1: higher ones save a third of the bytes and take seven times as long.
    pub(super) fn compress(&self, text: Vec<u8>) -> Bytes {
        let mut encoder = GzEncoder::new(self.take(), Compression::new(1));
        // Writing to memory cannot fail.
        drop(encoder.write_all(&text));
        let packed = encoder.finish().unwrap_or_default();
        self.put(text);
        self.lend(packed)
    }

    /// Keeps a buffer for the next scrape, with hardly more room than what was written into it: a vector that grew by
    /// doubling holds up to twice of that. Large pieces are mapped by the allocator and shrink without a copy.
    pub(super) fn put(&self, mut buffer: Vec<u8>) {
        let most = (buffer.len() + buffer.len() / 16).max(SMALL);
        buffer.shrink_to(most);
        buffer.clear();
        let mut kept = self.0.lock();
        // One large buffer is enough, and none is kept that is much larger than what scrapes are like now.
        kept.retain(|other| other.capacity() <= if buffer.capacity() > SMALL { SMALL } else { most });
        if kept.len() < KEPT {
            kept.push(buffer);
        }
    }
}

#[derive(Debug)]
struct Lent {
    buffer: Vec<u8>,
    home: Buffers,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.put(std::mem::take(&mut self.buffer));
    }
}

pub(super) fn exposition(body: Bytes, content_type: &str, gzip: bool) -> Reply {
    let mut reply = Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CACHE_CONTROL, "no-store")
        .header(hyper::header::VARY, VARY);
    if gzip {
        reply = reply.header(CONTENT_ENCODING, "gzip");
    }
    finish(reply, body)
}

pub(super) fn text(status: StatusCode, text: &str) -> Reply {
    let reply = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; charset=utf-8");
    finish(reply.header(CACHE_CONTROL, "no-store"), Bytes::copy_from_slice(text.as_bytes()))
}

/// An answer after which the connection ends: what the client still sends is not read.
pub(super) fn last(status: StatusCode, words: &str) -> Reply {
    let mut reply = text(status, words);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// A page that loads its style and its script from the agent, and nothing from elsewhere.
pub(super) fn page(page: String) -> Reply {
    let reply = Response::builder()
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .header(CACHE_CONTROL, "no-store")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        );
    finish(reply, page.into())
}

/// What a page loads.
pub(super) fn asset(kind: &'static str, text: &'static str) -> Reply {
    let reply = Response::builder().header(CONTENT_TYPE, kind).header(CACHE_CONTROL, "max-age=300");
    finish(reply.header(X_CONTENT_TYPE_OPTIONS, "nosniff"), Bytes::from_static(text.as_bytes()))
}

/// The head of a reply that goes on.
pub(super) fn events() -> Reply {
    let reply = Response::builder()
        .header(CONTENT_TYPE, "text/event-stream")
        .header(CACHE_CONTROL, "no-store")
        // A proxy that collects replies would keep the pieces to itself.
        .header("x-accel-buffering", "no");
    finish(reply, Bytes::new())
}

/// Sends a browser back to a page, after something was changed.
pub(super) fn back(to: &'static str) -> Reply {
    finish(Response::builder().status(StatusCode::SEE_OTHER).header(LOCATION, to), Bytes::new())
}

/// An answer of the API.
pub(super) fn json(status: StatusCode, text: String) -> Reply {
    let reply = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    finish(reply.header(CACHE_CONTROL, "no-store"), text.into())
}

/// A generated file.
pub(super) fn file(kind: &'static str, text: String) -> Reply {
    let reply = Response::builder().header(CONTENT_TYPE, kind).header(CACHE_CONTROL, "no-store");
    finish(reply.header(X_CONTENT_TYPE_OPTIONS, "nosniff"), text.into())
}

pub(super) fn not_allowed(methods: &str) -> Reply {
    let reply = Response::builder().status(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, methods);
    finish(reply, Bytes::from(format!("this path takes {methods}\n")))
}

fn finish(reply: hyper::http::response::Builder, body: Bytes) -> Reply {
    // Fails for headers that are no headers alone; ours are written above.
    reply.body(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes so many bytes as a scrape does, piece by piece, and gives the buffer back.
    fn scrape(buffers: &Buffers, bytes: usize) {
        let mut text = buffers.take();
        while text.len() < bytes {
            text.extend_from_slice(&[b'x'; 100]);
        }
        buffers.put(text);
    }

    #[test]
    fn what_is_kept_is_as_large_as_what_was_written() {
        let buffers = Buffers::default();
        let kept = || buffers.0.lock().iter().map(Vec::capacity).sum::<usize>();
        for bytes in [3 << 20, (3 << 20) + 5_000, 30 << 20, 9 << 20] {
            scrape(&buffers, bytes);
            assert!(kept() <= bytes + bytes / 8, "{} bytes kept of a scrape of {bytes}", kept());
        }
        scrape(&buffers, 1000);
        assert!(kept() <= SMALL, "{} bytes kept of a small scrape", kept());
    }
}
