//! What a span costs from its bytes to its series, as protobuf and as JSON.
//!
//! Requests of 1,000 spans are checked, read and folded as they are when they come over a socket.

use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use neural_exporter::decode::otlp::{Form, Otlp, Request, Settings};
use neural_exporter::event::{Telemetry, Timestamp};
use neural_exporter::hub::Hub;
use neural_exporter::source::Feed;

const SPANS: u64 = 1_000;
const START: u64 = 1_700_000_000_000_000_000;
const NOW: Timestamp = Timestamp::both(START + 1_000_000_000);

fn main() {
    divan::main();
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

fn attribute(number: u8, key: &str, value: &str, out: &mut Vec<u8>) {
    let (mut any, mut pair) = (Vec::new(), Vec::new());
    field(1, value.as_bytes(), &mut any);
    field(1, key.as_bytes(), &mut pair);
    field(2, &any, &mut pair);
    field(number, &pair, out);
}

/// One span of a web service, with so many attributes.
fn span(number: u64, attributes: u64) -> Vec<u8> {
    let mut span = Vec::new();
    field(1, &u128::from(number + 1).to_be_bytes(), &mut span);
    field(2, &(number + 1).to_be_bytes(), &mut span);
    field(4, &number.to_be_bytes(), &mut span);
    field(5, format!("GET /route/{}", number % 20).as_bytes(), &mut span);
    span.extend_from_slice(&[0x30, 2, 0x39]);
    span.extend_from_slice(&START.to_le_bytes());
    span.push(0x41);
    span.extend_from_slice(&(START + number % 100 * 1_000_000).to_le_bytes());
    for at in 0..attributes {
        attribute(9, &format!("http.attribute.{at}"), &format!("value {at}"), &mut span);
    }
    field(15, if number.is_multiple_of(50) { &[0x18, 2] } else { &[] }, &mut span);
    span
}

fn request(attributes: u64) -> Vec<u8> {
    let (mut resource, mut scope, mut all, mut request) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    attribute(1, "service.name", "shop", &mut resource);
    for number in 0..SPANS {
        field(2, &span(number, attributes), &mut scope);
    }
    field(1, &resource, &mut all);
    field(2, &scope, &mut all);
    field(1, &all, &mut request);
    request
}

fn fold(bencher: Bencher<'_, '_>, form: Form, body: &[u8]) {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("bench"), "bench");
    let mut otlp = Otlp::new(Settings::default());
    bencher.counter(ItemsCount::new(SPANS)).counter(BytesCount::new(body.len())).bench_local(|| {
        let Ok(request) = Request::parse(Telemetry::Traces, form, divan::black_box(body)) else { return };
        otlp.read(&request, NOW, &mut |with| feed.batch(NOW, |out| with(out)));
    });
    let accepted = hub.lock().accepted();
    assert!(accepted > 0 && accepted % SPANS == 0, "a span was refused");
}

#[divan::bench(args = [0, 5, 20])]
fn spans_of_protobuf_with_attributes(bencher: Bencher<'_, '_>, attributes: u64) {
    fold(bencher, Form::Protobuf, &request(attributes));
}

#[divan::bench]
fn spans_of_json_with_five_attributes(bencher: Bencher<'_, '_>) {
    let one = |number: u64| {
        let attributes: Vec<String> = (0..5)
            .map(|at| {
                format!("{{\"key\":\"http.attribute.{at}\",\"value\":{{\"stringValue\":\"value {at}\"}}}}")
            })
            .collect();
        format!(
            "{{\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\",\"name\":\"GET /route/{}\",\"kind\":2,\"startTimeUnixNano\":\"{START}\",\
             \"endTimeUnixNano\":\"{}\",\"attributes\":[{}],\"status\":{{}}}}",
            number + 1,
            number + 1,
            number % 20,
            START + number % 100 * 1_000_000,
            attributes.join(",")
        )
    };
    let spans: Vec<String> = (0..SPANS).map(one).collect();
    let body = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}", spans.join(","));
    fold(bencher, Form::Json, body.as_bytes());
}
