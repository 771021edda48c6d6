//! OTLP over gRPC: calls with one message each way, in frames of their own over HTTP/2, and a status behind them
//! [grpc/grpc: doc/PROTOCOL-HTTP2].

use std::sync::Arc;

use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::body::{Share, Trouble, read, unpack};
use super::http::code;
use super::receiver::Receiver;
use super::reply::Reply;
use crate::decode::otlp::{Form, answer};
use crate::event::{FaultKind, Telemetry};

/// Bytes before a message: whether it is packed, and its length.
const PREFIX: usize = 5;
/// What a message of a status may not have in it.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// Whether a request is a call of gRPC.
pub(super) fn is_call(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case("application/grpc"))
}

/// Why a call fails.
pub(super) struct Failure {
    code: u8,
    pub(super) why: String,
    fault: Option<FaultKind>,
}

/// Answers one call.
pub(super) async fn answer<B: Body + Unpin>(
    receiver: &Arc<Receiver>,
    request: &Parts,
    body: B,
) -> Response<Reply> {
    match take(receiver, request, body).await {
        Ok(message) => {
            let length = u32::try_from(message.len()).unwrap_or_default();
            let mut framed = vec![0];
            framed.extend_from_slice(&length.to_be_bytes());
            framed.extend_from_slice(&message);
            let mut reply = Response::new(Reply::with_trailers(framed, status(code::OK, "")));
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            reply
        }
        Err(Failure { code, why, fault }) => {
            if let Some(kind) = fault {
                receiver.refuse(kind, 0);
            }
            failed(code, &why)
        }
    }
}

/// The answer to a call that fails: a status without a message before it.
pub(super) fn failed(code: u8, why: &str) -> Response<Reply> {
    let mut reply = Response::new(Reply::whole(Vec::new()));
    *reply.headers_mut() = status(code, why);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    reply.headers_mut().insert(ACCEPTED, HeaderValue::from_static("identity, gzip"));
    reply
}

fn status(code: u8, why: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(STATUS, HeaderValue::from(u16::from(code)));
    if !why.is_empty() {
        let why = utf8_percent_encode(answer::short(why), ESCAPED).to_string();
        if let Ok(why) = HeaderValue::from_str(&why) {
            headers.insert(MESSAGE, why);
        }
    }
    headers
}

async fn take<B: Body + Unpin>(
    receiver: &Arc<Receiver>,
    request: &Parts,
    body: B,
) -> Result<Vec<u8>, Failure> {
    let unknown =
        |why: String| Failure { code: code::UNIMPLEMENTED, why, fault: Some(FaultKind::UnknownType) };
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/grpc" && kind != "application/grpc+proto" {
        return Err(unknown("messages are taken as protobuf alone".to_owned()));
    }
    let signal = signal(request.uri.path()).filter(|_| request.method == Method::POST);
    let signal = signal.ok_or_else(|| unknown(format!("there is no method {}", request.uri.path())))?;
    let packing = match request.headers.get(ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => false,
        Some(b"gzip") => true,
        Some(_) => return Err(unknown("messages are packed with gzip or not at all".to_owned())),
    };
    let limit = receiver.body_limit;
    let of = |trouble| of(trouble, limit);
    let (framed, mut share) = read(receiver, body, limit + PREFIX).await.map_err(of)?;
    let bytes = framed.len();
    let work = move |receiver: &Receiver| {
        let message = message(framed, packing, limit, &mut share)?;
        // What is malformed was counted where it was read.
        receiver.read(signal, Form::Protobuf, &message, bytes as u64).map_err(|malformed| Failure {
            code: code::INVALID_ARGUMENT,
            why: malformed.why,
            fault: None,
        })
    };
    let counted = receiver.take(bytes, packing, work).await.unwrap_or_else(|| Err(of(Trouble::Cut)))?;
    Ok(answer::response(signal, Form::Protobuf, &counted))
}

/// The one message in a body.
pub(super) fn message(
    mut framed: Vec<u8>,
    packing: bool,
    limit: usize,
    share: &mut Share,
) -> Result<Vec<u8>, Failure> {
    let broken = |why: &str, kind| Failure { code: code::INTERNAL, why: why.to_owned(), fault: Some(kind) };
    let Some(&[packed, a, b, c, d]) = framed.first_chunk::<PREFIX>() else {
        return Err(broken("the frame of the message is cut", FaultKind::Cut));
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > limit {
        return Err(of(Trouble::Large, limit));
    }
    match (framed.len() - PREFIX).cmp(&length) {
        std::cmp::Ordering::Less => return Err(broken("the frame of the message is cut", FaultKind::Cut)),
        std::cmp::Ordering::Greater => return Err(broken("more than one message", FaultKind::Syntax)),
        std::cmp::Ordering::Equal => {}
    }
    match (packed, packing) {
        (0, _) => drop(framed.drain(..PREFIX)),
        (1, true) => {
            let packed = framed.get(PREFIX..).unwrap_or_default();
            framed = unpack(packed, limit, share).map_err(|trouble| of(trouble, limit))?;
        }
        (1, false) => return Err(broken("the message is packed, and nobody says how", FaultKind::Syntax)),
        _ => return Err(broken("the frame of the message is none", FaultKind::Syntax)),
    }
    Ok(framed)
}

fn of(trouble: Trouble, limit: usize) -> Failure {
    let code = match trouble {
        Trouble::Large => code::RESOURCE_EXHAUSTED,
        Trouble::Busy => code::UNAVAILABLE,
        Trouble::Slow => code::DEADLINE_EXCEEDED,
        Trouble::Cut | Trouble::Packed => code::INTERNAL,
    };
    Failure { code, why: trouble.why(limit), fault: trouble.kind() }
}

/// What a method takes.
fn signal(path: &str) -> Option<Telemetry> {
    let rest = path.strip_prefix("/opentelemetry.proto.collector.")?.strip_suffix("/Export")?;
    match rest {
        "trace.v1.TraceService" => Some(Telemetry::Traces),
        "metrics.v1.MetricsService" => Some(Telemetry::Metrics),
        "logs.v1.LogsService" => Some(Telemetry::Logs),
        _ => None,
    }
}
