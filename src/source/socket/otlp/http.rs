//! OTLP over HTTP: a request is a POST to a path, and the answer has its form.

use std::sync::Arc;

use hyper::body::Body;
use hyper::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::body::{Trouble, read, unpack};
use super::receiver::Receiver;
use super::reply::Reply;
use crate::decode::otlp::{Form, answer};
use crate::event::{FaultKind, Telemetry};

/// Codes of `google.rpc.Status` [google/rpc/code.proto].
pub(super) mod code {
    pub(in super::super) const OK: u8 = 0;
    pub(in super::super) const INVALID_ARGUMENT: u8 = 3;
    pub(in super::super) const DEADLINE_EXCEEDED: u8 = 4;
    pub(in super::super) const NOT_FOUND: u8 = 5;
    pub(in super::super) const PERMISSION_DENIED: u8 = 7;
    pub(in super::super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(in super::super) const UNIMPLEMENTED: u8 = 12;
    pub(in super::super) const INTERNAL: u8 = 13;
    pub(in super::super) const UNAVAILABLE: u8 = 14;
}

/// Why a request is not taken.
struct Refusal {
    status: StatusCode,
    code: u8,
    why: String,
    /// What it counts as, if it counts, and its bytes.
    fault: Option<(FaultKind, u64)>,
}

/// Answers one request.
pub(super) async fn answer<B: Body + Unpin>(
    receiver: &Arc<Receiver>,
    request: &Parts,
    body: B,
) -> Response<Reply> {
    let form = form(&request.headers);
    match take(receiver, request, form, body).await {
        Ok(body) => reply(StatusCode::OK, form.unwrap_or(Form::Json), body),
        Err(refusal) => {
            let Refusal { status, code, why, fault } = refusal;
            if let Some((kind, bytes)) = fault {
                receiver.refuse(kind, bytes);
            }
            let form = form.unwrap_or(Form::Json);
            let mut reply = reply(status, form, answer::status(form, code, &why));
            if status == StatusCode::SERVICE_UNAVAILABLE {
                reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            if status == StatusCode::METHOD_NOT_ALLOWED {
                reply.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            }
            reply
        }
    }
}

async fn take<B: Body + Unpin>(
    receiver: &Arc<Receiver>,
    request: &Parts,
    form: Option<Form>,
    body: B,
) -> Result<Vec<u8>, Refusal> {
    let refuse = |status, code, why: String, kind| Refusal { status, code, why, fault: Some((kind, 0)) };
    let signal = signal(request.uri.path()).ok_or_else(|| {
        let why =
            format!("there is nothing at {}; use /v1/traces, /v1/metrics or /v1/logs", request.uri.path());
        refuse(StatusCode::NOT_FOUND, code::NOT_FOUND, why, FaultKind::UnknownType)
    })?;
    if request.method != Method::POST {
        let why = "requests are sent by POST".to_owned();
        return Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            code: code::UNIMPLEMENTED,
            why,
            fault: None,
        });
    }
    let unsupported = |why: &str| {
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_ARGUMENT);
        refuse(status, code, why.to_owned(), FaultKind::UnknownType)
    };
    let form = form
        .ok_or_else(|| unsupported("the Content-Type is not application/x-protobuf or application/json"))?;
    let packed = match encoding(&request.headers) {
        "" | "identity" => false,
        encoding if encoding.eq_ignore_ascii_case("gzip") => true,
        _ => return Err(unsupported("the Content-Encoding is not gzip")),
    };
    let limit = receiver.body_limit;
    let (mut all, mut share) = read(receiver, body, limit).await.map_err(|trouble| of(trouble, limit))?;
    let bytes = all.len();
    let work = move |receiver: &Receiver| {
        if packed {
            all = unpack(&all, limit, &mut share).map_err(|trouble| of(trouble, limit))?;
        }
        if form == Form::Json {
            // It is read as protobuf, which has five times the bytes at most: a list of zeros.
            share.grow(all.len().saturating_mul(5).min(3 * limit)).map_err(|trouble| of(trouble, limit))?;
        }
        // What is malformed was counted where it was read.
        let (status, code) = (StatusCode::BAD_REQUEST, code::INVALID_ARGUMENT);
        receiver.read(signal, form, &all, bytes as u64).map_err(|malformed| Refusal {
            status,
            code,
            why: malformed.why,
            fault: None,
        })
    };
    let counted = receiver.take(bytes, packed, work).await.unwrap_or_else(|| Err(of(Trouble::Cut, limit)))?;
    Ok(answer::response(signal, form, &counted))
}

fn of(trouble: Trouble, limit: usize) -> Refusal {
    let (status, code) = match trouble {
        Trouble::Large => (StatusCode::PAYLOAD_TOO_LARGE, code::RESOURCE_EXHAUSTED),
        Trouble::Busy => (StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE),
        Trouble::Slow => (StatusCode::REQUEST_TIMEOUT, code::DEADLINE_EXCEEDED),
        Trouble::Cut | Trouble::Packed => (StatusCode::BAD_REQUEST, code::INVALID_ARGUMENT),
    };
    Refusal { status, code, why: trouble.why(limit), fault: trouble.kind().map(|kind| (kind, 0)) }
}

/// What is sent to a path.
fn signal(path: &str) -> Option<Telemetry> {
    Telemetry::ALL.iter().copied().find(|signal| path.strip_prefix("/v1/") == Some(signal.as_str()))
}

/// How a request is written, and its answer.
pub(super) fn form(headers: &HeaderMap) -> Option<Form> {
    let kind = headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    if is("application/x-protobuf") || is("application/protobuf") {
        Some(Form::Protobuf)
    } else {
        is("application/json").then_some(Form::Json)
    }
}

fn encoding(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap_or("unreadable").trim())
}

/// Refuses who may not ask.
pub(super) fn forbidden(headers: &HeaderMap, why: &str) -> Response<Reply> {
    let form = form(headers).unwrap_or(Form::Json);
    reply(StatusCode::FORBIDDEN, form, answer::status(form, code::PERMISSION_DENIED, why))
}

fn reply(status: StatusCode, form: Form, body: Vec<u8>) -> Response<Reply> {
    let mut reply = Response::new(Reply::whole(body));
    *reply.status_mut() = status;
    let kind = match form {
        Form::Protobuf => "application/x-protobuf",
        Form::Json => "application/json",
    };
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
