//! Replies, and the buffers that scrapes are written into.

use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;
use serde_json::Value as Json;

use super::{Reply, VARY};

/// Memory that scrapes are written and compressed in. It is used again: what is freed goes back to the system at once, and the kernel
/// would clear as much for the next scrape.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    texts: Pool,
    packed: Pool,
    /// Compressors that are idle: the tables of one are larger than most scrapes.
    compressors: Arc<Mutex<Vec<Compress>>>,
}

/// Compressors that are kept.
const COMPRESSORS: usize = 1;
/// The window of gzip: 32 KiB, as two to this.
const WINDOW: u8 = 15;

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.texts.take()
    }

    /// The buffer as a body. It comes back when the body is sent.
    pub(super) fn lend(&self, buffer: Vec<u8>) -> Bytes {
        self.texts.lend(buffer)
    }

    /// Keeps a buffer for the next scrape.
    pub(super) fn put(&self, buffer: Vec<u8>) {
        self.texts.put(buffer);
    }

    /// The buffer's text, compressed, as a body; or as it is, where that cannot be. Says whether it is compressed.
    ///
    /// Level 1: higher ones save a third of the bytes and take seven times as long.
    pub(super) fn compress(&self, text: Vec<u8>) -> (Bytes, bool) {
        let kept = self.compressors.lock().pop();
        let mut compressor = kept.unwrap_or_else(|| Compress::new_gzip(Compression::new(1), WINDOW));
        let mut packed = self.packed.take();
        if !pack(&mut compressor, &text, &mut packed) {
            return (self.lend(text), false);
        }
        compressor.reset();
        let mut idle = self.compressors.lock();
        if idle.len() < COMPRESSORS {
            idle.push(compressor);
        }
        drop(idle);
        self.put(text);
        (self.packed.lend(packed), true)
    }
}

/// Compresses a whole text. Says whether it could.
fn pack(compressor: &mut Compress, text: &[u8], packed: &mut Vec<u8>) -> bool {
    let mut rest = text;
    loop {
        // As much room again, and some for a text that is small.
        packed.reserve(packed.len().max(64 * 1024));
        let before = compressor.total_in();
        let Ok(status) = compressor.compress_vec(rest, packed, FlushCompress::Finish) else { return false };
        let taken = usize::try_from(compressor.total_in() - before).unwrap_or(rest.len());
        rest = rest.get(taken..).unwrap_or_default();
        if status == Status::StreamEnd {
            return true;
        }
    }
}

/// Buffers that are idle.
#[derive(Clone, Debug, Default)]
struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// Idle buffers that are kept.
const KEPT: usize = 4;
/// Bytes of a buffer that is kept however little was written into it.
const SMALL: usize = 1 << 20;

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }

    fn lend(&self, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { buffer, home: self.clone() })
    }

    /// Keeps a buffer, with hardly more room than what was written into it: a vector that grew by doubling holds up to twice of that.
    /// Large pieces are mapped by the allocator and shrink without a copy.
    fn put(&self, mut buffer: Vec<u8>) {
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
    home: Pool,
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

/// A report: one file, with its style in it.
pub(super) fn report(kind: &'static str, text: String) -> Reply {
    let reply = Response::builder()
        .header(CONTENT_TYPE, kind)
        .header(CACHE_CONTROL, "no-store")
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        );
    finish(reply, text.into())
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
pub(super) fn back(to: &str) -> Reply {
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

/// The form of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A line of text.
    Text,
    /// Problem details of RFC 9457.
    Problem,
    /// As Prometheus writes one: `{"status": "error", …}`.
    Prometheus,
    /// As Alertmanager writes one: a text in JSON.
    Alertmanager,
}

/// That another method is taken.
pub(super) fn not_allowed(form: Form, methods: &str) -> Reply {
    let why = format!("this path takes {methods}");
    let mut reply = error(form, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &why);
    if let Ok(methods) = HeaderValue::from_str(methods) {
        reply.headers_mut().insert(ALLOW, methods);
    }
    reply
}

/// An error, in the form that the clients of a path know. `kind` is the word that Prometheus' form has for it.
pub(super) fn error(form: Form, status: StatusCode, kind: &str, why: &str) -> Reply {
    match form {
        Form::Text => text(status, &format!("{why}\n")),
        Form::Alertmanager => json(status, Json::from(why).to_string()),
        Form::Prometheus => {
            json(status, serde_json::json!({"status": "error", "errorType": kind, "error": why}).to_string())
        }
        Form::Problem => problem(status, why),
    }
}

/// Problem details, as RFC 9457 has them.
pub(super) fn problem(status: StatusCode, why: &str) -> Reply {
    let title = status.canonical_reason().unwrap_or("Error");
    let body =
        serde_json::json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": why});
    let reply = Response::builder().status(status).header(CONTENT_TYPE, "application/problem+json");
    finish(reply.header(CACHE_CONTROL, "no-store"), body.to_string().into())
}

/// The tag of a text: texts with the same tag are the same.
pub(super) fn tag(text: &[u8]) -> String {
    // FNV-1a over both halves of 128 bits: no secret, and the same in each version of the program.
    let half = |seed: u64| {
        text.iter().fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    format!("\"{:016x}{:016x}\"", half(0xcbf2_9ce4_8422_2325), half(0x6c62_272e_07bb_0142))
}

/// A text with its tag; that it did not change, where the client has it.
pub(super) fn tagged(headers: &HeaderMap, kind: &'static str, tag: &str, text: Bytes) -> Reply {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = |one: &str| {
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag.strip_prefix("W/").unwrap_or(tag)
    };
    let same = known.flat_map(|value| value.split(',')).any(|one| same(one.trim()));
    let reply = Response::builder().header(CACHE_CONTROL, "no-cache").header(ETAG, tag);
    if same {
        return finish(reply.status(StatusCode::NOT_MODIFIED), Bytes::new());
    }
    finish(reply.header(CONTENT_TYPE, kind).header(X_CONTENT_TYPE_OPTIONS, "nosniff"), text)
}

fn finish(reply: hyper::http::response::Builder, body: Bytes) -> Reply {
    // Fails for headers that are no headers alone; ours are written above.
    reply.body(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

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
        let kept = || buffers.texts.0.lock().iter().map(Vec::capacity).sum::<usize>();
        for bytes in [3 << 20, (3 << 20) + 5_000, 30 << 20, 9 << 20] {
            scrape(&buffers, bytes);
            assert!(kept() <= bytes + bytes / 8, "{} bytes kept of a scrape of {bytes}", kept());
        }
        scrape(&buffers, 1000);
        assert!(kept() <= SMALL, "{} bytes kept of a small scrape", kept());
    }

    #[test]
    fn what_is_compressed_is_what_was_written_and_its_memory_is_used_again() {
        let buffers = Buffers::default();
        let mut noise = 1_u32;
        let mut byte = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        for size in [0, 1, 1000, 300_000, 4 << 20, 5_000] {
            // What hardly shrinks needs more room than a scrape does.
            let text: Vec<u8> = (0..size).map(|at| if at % 3 == 0 { byte() } else { b'x' }).collect();
            let mut buffer = buffers.take();
            buffer.extend_from_slice(&text);
            let (packed, gzip) = buffers.compress(buffer);
            assert!(gzip);
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
            assert!(plain == text, "{size} bytes came back as {}", plain.len());
            assert_eq!(buffers.compressors.lock().len(), 1);
        }
        // A small body that comes back takes nothing from the large texts.
        let text = vec![b'x'; 4 << 20];
        let (packed, _) = buffers.compress(text);
        drop(packed);
        assert!(buffers.texts.0.lock().iter().any(|buffer| buffer.capacity() >= 4 << 20));
    }
}
