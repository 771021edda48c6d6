//! One request to a target, over HTTP or gRPC, and what its answer means.
//!
//! Facts: OTLP 1.9, "OTLP/HTTP Response" and "OTLP/gRPC Response"; gRPC over HTTP/2.

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Limited};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use reqwest::{StatusCode, Url};

use super::request::ExportRequest;
use super::settings::{Compression, Protocol, Target};
use crate::client::{causes, retry_after};
use crate::clock::now;
use crate::decode::otlp::answer;
use crate::protobuf::{Fields, Value, messages};
use crate::provision::endpoint::{Endpoint, Transport};

/// Bytes of an answer that are read.
const ANSWER: usize = 64 << 10;
/// Characters of an answer that are shown.
const SHOWN: usize = 200;
/// The longest time that a target may have itself left alone.
const LONGEST: Duration = Duration::from_secs(3_600);
/// The path of a request over HTTP.
const PATH: &str = "/v1/traces";
/// And that over gRPC.
const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken, but for so many spans, and why.
    Taken { rejected: u64, why: String },
    /// It may be taken later, after this time if the target says one.
    Later { after: Option<Duration>, why: String },
    /// It will never be taken.
    Never { why: String },
    /// It was not taken, because of who asks: files with secrets may have changed.
    Unknown { why: String },
}

/// A target that can be sent to.
#[derive(Debug)]
pub(super) struct Sender {
    to: Endpoint,
    url: Url,
    grpc: bool,
}

impl Sender {
    /// Reads secrets and certificates. Sends nothing.
    pub(super) fn open(target: &Target) -> Result<Self, String> {
        let grpc = target.protocol == Protocol::Grpc;
        let speech = Transport { http2: grpc, timeout: target.timeout.0 };
        let to = Endpoint::open(&target.url, &target.access, &target.headers, speech)?;
        let mut url = to.url.clone();
        if grpc {
            url.set_path(METHOD);
        } else if url.path() == "/" {
            url.set_path(PATH);
        }
        Ok(Self { to, url, grpc })
    }

    /// Sends one request.
    pub(super) async fn send(&self, held: &ExportRequest) -> Verdict {
        let mut request = self.to.http.post(self.url.clone()).headers(self.to.headers.clone());
        if self.grpc {
            let mut framed = BytesMut::with_capacity(held.body.len() + 5);
            framed.put_u8(held.gzip.into());
            framed.put_u32(u32::try_from(held.body.len()).unwrap_or(u32::MAX));
            framed.put_slice(&held.body);
            request = request.header(CONTENT_TYPE, "application/grpc").header("te", "trailers");
            if held.gzip {
                request = request.header("grpc-encoding", "gzip");
            }
            request = request.body(framed.freeze());
        } else {
            request = request.header(CONTENT_TYPE, "application/x-protobuf").body(held.body.clone());
            if held.gzip {
                request = request.header(CONTENT_ENCODING, "gzip");
            }
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return self.later(&error),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        let read = Limited::new(reqwest::Body::from(response), ANSWER).collect().await;
        let (body, trailers) = match read {
            Ok(read) => {
                let trailers = read.trailers().cloned();
                (read.to_bytes(), trailers)
            }
            // An answer over HTTP that breaks off after its status has said what it has to say.
            Err(error) if self.grpc => {
                let why = self.to.clean(&error.to_string());
                return Verdict::Later { after: None, why: format!("its answer breaks off: {why}") };
            }
            Err(_) => (Bytes::new(), None),
        };
        let verdict = if self.grpc {
            grpc(status, &headers, trailers.as_ref(), &body)
        } else {
            http(status, &headers, &body)
        };
        self.cleaned(verdict)
    }

    fn later(&self, error: &reqwest::Error) -> Verdict {
        let why = self.to.clean(&causes(error));
        if error.is_builder() { Verdict::Never { why } } else { Verdict::Later { after: None, why } }
    }

    fn cleaned(&self, verdict: Verdict) -> Verdict {
        let clean = |why: String| self.to.clean(&why);
        match verdict {
            Verdict::Taken { rejected, why } => Verdict::Taken { rejected, why: clean(why) },
            Verdict::Later { after, why } => Verdict::Later { after, why: clean(why) },
            Verdict::Never { why } => Verdict::Never { why: clean(why) },
            Verdict::Unknown { why } => Verdict::Unknown { why: clean(why) },
        }
    }
}

/// Whether requests to it are packed.
pub(super) fn packs(target: &Target) -> bool {
    target.compression == Compression::Gzip
}

/// What an answer over HTTP means.
fn http(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Verdict {
    if status.is_success() {
        return taken(body);
    }
    let said = said(answer::status_message(body));
    let why = format!("it answers {}{said}", status.as_u16());
    match status.as_u16() {
        429 | 502 | 503 | 504 => {
            Verdict::Later { after: retry_after(headers, now().wall).map(|after| after.min(LONGEST)), why }
        }
        401 | 403 => Verdict::Unknown { why },
        _ => Verdict::Never { why },
    }
}

/// What an answer over gRPC means.
fn grpc(status: StatusCode, headers: &HeaderMap, trailers: Option<&HeaderMap>, body: &[u8]) -> Verdict {
    // An error without a message has its status among the headers.
    let all = trailers.filter(|trailers| trailers.contains_key("grpc-status")).unwrap_or(headers);
    let text = |name: &str| all.get(name).and_then(|value| value.to_str().ok());
    let Some(code) = text("grpc-status").and_then(|code| code.parse::<u32>().ok()) else {
        // What stands between answered: by HTTP.
        return match http(status, headers, &[]) {
            Verdict::Taken { .. } => {
                Verdict::Later { after: None, why: "its answer has no grpc-status".to_owned() }
            }
            verdict => verdict,
        };
    };
    if code == 0 {
        return taken(body.get(5..).unwrap_or_default());
    }
    let message = text("grpc-message").unwrap_or_default();
    let message = percent_encoding::percent_decode_str(message).decode_utf8_lossy();
    let why = format!("it answers gRPC status {code}{}", said(&message));
    let after = text("grpc-status-details-bin").and_then(retry_info);
    match code {
        1 | 4 | 10 | 11 | 14 | 15 => Verdict::Later { after, why },
        8 if after.is_some() => Verdict::Later { after, why },
        7 | 16 => Verdict::Unknown { why },
        _ => Verdict::Never { why },
    }
}

/// What an `ExportTraceServiceResponse` says of a part.
fn taken(response: &[u8]) -> Verdict {
    let (rejected, why) = answer::partial_success(response);
    Verdict::Taken { rejected, why: why.chars().take(SHOWN).collect() }
}

/// The text in a field of a message.
fn field_text(message: &[u8], field: u32) -> Option<&str> {
    messages(message, field).last().and_then(|text| std::str::from_utf8(text).ok())
}

/// The number in a field of a message; 0 where it has none, as protobuf has it.
fn field_number(message: &[u8], field: u32) -> u64 {
    let number = |(at, value)| match value {
        Value::Varint(number) if at == field => Some(number),
        _ => None,
    };
    Fields::of(message).find_map(number).unwrap_or_default()
}

fn said(text: &str) -> String {
    let text: String = text.trim().chars().take(SHOWN).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

/// The delay of a `RetryInfo` in the details of a `google.rpc.Status`.
fn retry_info(text: &str) -> Option<Duration> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let status = GeneralPurpose::new(&STANDARD, config).decode(text).ok()?;
    let any = messages(&status, 3)
        .find(|any| field_text(any, 1) == Some("type.googleapis.com/google.rpc.RetryInfo"))?;
    let info = messages(any, 2).last()?;
    let delay = messages(info, 1).last().unwrap_or_default();
    // Negative ones have the highest bit.
    let nanos = u32::try_from(field_number(delay, 2)).unwrap_or_default().min(999_999_999);
    let seconds = field_number(delay, 1);
    let seconds = if seconds > u64::MAX / 2 { 0 } else { seconds };
    Some(Duration::new(seconds.min(LONGEST.as_secs()), nanos))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn later(verdict: &Verdict) -> Option<Option<Duration>> {
        if let Verdict::Later { after, .. } = verdict { Some(*after) } else { None }
    }

    #[test]
    fn answers_over_http_mean_what_the_specification_says() {
        let answer = |status, all: &[(&'static str, &str)], body: &[u8]| {
            http(StatusCode::from_u16(status).unwrap(), &headers(all), body)
        };
        assert_eq!(answer(200, &[], &[]), Verdict::Taken { rejected: 0, why: String::new() });
        let partial = [&[0x0a, 6, 0x08, 3, 0x12, 2][..], b"no"].concat();
        assert_eq!(answer(200, &[], &partial), Verdict::Taken { rejected: 3, why: "no".to_owned() });
        for status in [429, 502, 503, 504] {
            assert_eq!(later(&answer(status, &[], &[])), Some(None), "{status}");
        }
        let seven = Some(Duration::from_secs(7));
        assert_eq!(later(&answer(429, &[("retry-after", "7")], &[])), Some(seven));
        assert_eq!(later(&answer(503, &[("retry-after", "99999999")], &[])), Some(Some(LONGEST)));
        for status in [300, 400, 404, 408, 413, 500, 501] {
            assert!(matches!(answer(status, &[], &[]), Verdict::Never { .. }), "{status}");
        }
        assert!(matches!(answer(401, &[], &[]), Verdict::Unknown { .. }));
        let status = [&[0x08, 3, 0x12, 5][..], b"wrong"].concat();
        assert_eq!(answer(400, &[], &status), Verdict::Never { why: "it answers 400: wrong".to_owned() });
    }

    #[test]
    fn answers_over_grpc_mean_what_the_specification_says() {
        let answer =
            |all: &[(&'static str, &str)]| grpc(StatusCode::OK, &headers(&[]), Some(&headers(all)), &[]);
        assert_eq!(answer(&[("grpc-status", "0")]), Verdict::Taken { rejected: 0, why: String::new() });
        for code in 1..=16 {
            let verdict = answer(&[("grpc-status", &code.to_string()), ("grpc-message", "a%20b")]);
            let again = [1, 4, 10, 11, 14, 15].contains(&code);
            assert_eq!(later(&verdict).is_some(), again, "{code}: {verdict:?}");
            let known = matches!(verdict, Verdict::Unknown { .. });
            assert_eq!(known, [7, 16].contains(&code), "{code}");
        }
        assert_eq!(
            answer(&[("grpc-status", "3"), ("grpc-message", "a%20b")]),
            Verdict::Never { why: "it answers gRPC status 3: a b".to_owned() }
        );
        // RetryInfo of 1.5 s, as google.rpc.Status has it, without padding.
        let info = [0x0a, 7, 0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        let kind = b"type.googleapis.com/google.rpc.RetryInfo";
        let any = [&[0x0a, kind.len() as u8][..], kind, &[0x12, info.len() as u8], &info].concat();
        let status = [&[0x08, 8, 0x1a, any.len() as u8][..], &any].concat();
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(status);
        let verdict = answer(&[("grpc-status", "8"), ("grpc-status-details-bin", &text)]);
        assert!(
            later(&verdict).is_some_and(|after| after.is_some_and(|after| after.as_secs() == 1)),
            "{verdict:?}"
        );
        // A proxy that knows no gRPC.
        assert_eq!(later(&grpc(StatusCode::BAD_GATEWAY, &headers(&[]), None, &[])), Some(None));
        assert!(matches!(grpc(StatusCode::NOT_FOUND, &headers(&[]), None, &[]), Verdict::Never { .. }));
    }
}
