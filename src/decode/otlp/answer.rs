//! What a sender is answered: that all counted, how much did not, or why nothing did.

use super::{Form, RequestCounts};
use crate::event::{FaultKind, Telemetry};
use crate::protobuf::{Fields, Value, bytes, message, messages, number};

/// Bytes of a message to a sender.
const MESSAGE: usize = 512;

/// The body of an `Export…ServiceResponse`: empty if all counted.
#[must_use]
pub fn response(signal: Telemetry, form: Form, counted: &RequestCounts) -> Vec<u8> {
    let rejected = counted.rejected();
    if rejected == 0 {
        return if form == Form::Json { b"{}".to_vec() } else { Vec::new() };
    }
    let why = reason(signal, counted);
    if form == Form::Json {
        let field = match signal {
            Telemetry::Traces => "rejectedSpans",
            Telemetry::Metrics => "rejectedDataPoints",
            Telemetry::Logs => "rejectedLogRecords",
        };
        let partial = serde_json::json!({ field: rejected.to_string(), "errorMessage": why });
        return serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes();
    }
    let mut out = Vec::new();
    message(1, &mut out, |out| {
        number(1, rejected, out);
        bytes(2, why.as_bytes(), out);
    });
    out
}

/// What an `Export…ServiceResponse` says of a part, as protobuf: how much did not count, and why.
#[must_use]
pub fn partial_success(response: &[u8]) -> (u64, &str) {
    let partial = messages(response, 1).last().unwrap_or_default();
    let number = |(at, value)| match value {
        Value::Varint(number) if at == 1 => Some(number),
        _ => None,
    };
    (Fields::of(partial).find_map(number).unwrap_or_default(), status_message(partial))
}

/// The text of a `google.rpc.Status`, as protobuf; empty if there is none.
#[must_use]
pub fn status_message(status: &[u8]) -> &str {
    messages(status, 2).last().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// The body of a `google.rpc.Status`.
#[must_use]
pub fn status(form: Form, code: u8, why: &str) -> Vec<u8> {
    let why = short(why);
    if form == Form::Json {
        return serde_json::json!({ "code": code, "message": why }).to_string().into_bytes();
    }
    let mut out = Vec::new();
    number(1, code.into(), &mut out);
    bytes(2, why.as_bytes(), &mut out);
    out
}

/// The beginning of a text, as much as a sender gets.
#[must_use]
pub fn short(message: &str) -> &str {
    message.get(..message.floor_char_boundary(MESSAGE)).unwrap_or_default()
}

/// Why some did not count, for who reads the sender's log.
fn reason(signal: Telemetry, counted: &RequestCounts) -> String {
    let what = match signal {
        Telemetry::Traces => "spans",
        Telemetry::Metrics => "data points",
        Telemetry::Logs => "records",
    };
    let why = match (counted.reason, signal) {
        (Some(FaultKind::ClockSkew), Telemetry::Traces) => "a span ends before it begins",
        (Some(FaultKind::ClockSkew), _) => "a point is older than the one before it",
        (Some(FaultKind::MissingField), Telemetry::Traces) => "a span has no start or no end",
        (Some(FaultKind::MissingField), _) => "a point has no value, or its metric no temporality",
        (Some(FaultKind::BadValue), Telemetry::Traces) => {
            "a span has a time that is none, or took longer than a year"
        }
        (Some(FaultKind::BadValue), _) => "a point has a time, buckets or quantiles that make no sense",
        (Some(FaultKind::Limit), Telemetry::Traces) => "a span has more than 1,024 attributes",
        (Some(FaultKind::Limit), _) => {
            "a point has too many attributes or buckets, or is of one series too many"
        }
        (Some(FaultKind::NotFinite), _) => "a sum is not finite",
        (Some(FaultKind::Negative), _) => "a sum that only grows is negative",
        (Some(FaultKind::Conflict), _) => {
            "two senders set one gauge (give each a service.instance.id, and list it in resource_attributes), or the \
             buckets of a histogram changed"
        }
        (Some(_), _) => "it makes no sense",
        (None, _) => {
            "a metric of this name has another type, a limit of the agent is reached, or the source sends more than \
             events_per_second"
        }
    };
    format!("{} of {} {what} do not count: {why}", counted.rejected(), counted.items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counted_needs_no_words_and_what_did_not_does() {
        let all = RequestCounts { items: 3, accepted: 2, silent: 1, reason: None };
        assert_eq!(response(Telemetry::Metrics, Form::Protobuf, &all), b"");
        assert_eq!(response(Telemetry::Metrics, Form::Json, &all), b"{}");
        let some = RequestCounts { items: 300, accepted: 100, silent: 0, reason: Some(FaultKind::ClockSkew) };
        let body = response(Telemetry::Traces, Form::Protobuf, &some);
        assert_eq!(&body[..2], &[0x0a, u8::try_from(body.len() - 2).unwrap()]);
        assert_eq!(&body[2..6], &[0x08, 0xc8, 0x01, 0x12]);
        assert_eq!(&body[7..], b"200 of 300 spans do not count: a span ends before it begins");
        let json: serde_json::Value =
            serde_json::from_slice(&response(Telemetry::Logs, Form::Json, &some)).unwrap();
        assert_eq!(json["partialSuccess"]["rejectedLogRecords"], "200");
        assert_eq!(status(Form::Protobuf, 3, "no"), [0x08, 3, 0x12, 2, b'n', b'o']);
        assert_eq!(status(Form::Json, 3, "no"), br#"{"code":3,"message":"no"}"#);
        assert!(status(Form::Json, 3, &"é".repeat(1_000)).len() < 600);
    }
}
