//! What is collected, as the reader of OTLP reads it.

use std::num::{NonZeroU64, NonZeroU128};

use super::*;
use crate::decode::otlp::{Form, Request};
use crate::event::{self, Body, Call, Query, SourceId, SpanId, Stage, Telemetry, Timestamp, Trace, TraceId};
use crate::protobuf::{Fields, Value, messages};
use crate::setting::Span as Time;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 1_700_000_000 * SECOND;

fn trace(id: u128, parent: Option<u64>) -> Trace {
    let id = TraceId(NonZeroU128::new(id).unwrap());
    Trace { parent: parent.and_then(NonZeroU64::new).map(SpanId), ..Trace::of(id) }
}

fn outbox(settings: &Settings) -> Outbox {
    Outbox::new(Arc::new(Sampling::new(settings)), 42)
}

fn observe(outbox: &mut Outbox, body: Body<'_>) {
    outbox.observe(&Event { at: Timestamp { steady: 1, wall: NOW }, source: SourceId(0), body });
}

fn stage(trace: Option<Trace>) -> Stage<'static> {
    Stage {
        pipeline: "decoder",
        stage: "classify",
        seconds: 0.25,
        error: None,
        items: Some(3.0),
        ended: None,
        trace,
    }
}

/// The spans of requests, each with its service, checked to the last field.
fn spans(taken: &Collection) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for batch in &taken.batches {
        Request::parse(Telemetry::Traces, Form::Protobuf, &batch.bytes).unwrap();
        for parent in messages(&batch.bytes, 1) {
            let service = crate::decode::otlp::service(parent);
            let scopes = messages(parent, 2).flat_map(|scope| messages(scope, 2));
            all.extend(scopes.map(|span| (service.clone(), span.to_vec())));
        }
    }
    assert_eq!(all.len() as u64, taken.batches.iter().map(|batch| batch.spans).sum::<u64>());
    all
}

fn field(span: &[u8], number: u32) -> Option<Value<'_>> {
    Fields::of(span).find(|(at, _)| *at == number).map(|(_, value)| value)
}

#[test]
fn a_stage_is_a_span_that_ends_now_and_began_earlier() {
    let mut outbox = outbox(&Settings::default());
    observe(&mut outbox, Body::Stage(stage(Some(trace(0xabc, Some(7))))));
    observe(&mut outbox, Body::Stage(stage(None)));
    let taken = outbox.take();
    let all = spans(&taken);
    let [(service, span)] = &all[..] else { panic!("{all:?}") };
    assert_eq!(service, "decoder");
    assert_eq!(field(span, 1), Some(Value::Bytes(&0xabc_u128.to_be_bytes())));
    assert_eq!(field(span, 4), Some(Value::Bytes(&7_u64.to_be_bytes())));
    assert_eq!(field(span, 5), Some(Value::Bytes(b"classify")));
    assert_eq!(field(span, 6), Some(Value::Varint(1)));
    assert_eq!(field(span, 7), Some(Value::Fixed64(NOW - SECOND / 4)));
    assert_eq!(field(span, 8), Some(Value::Fixed64(NOW)));
    assert_eq!(field(span, 15), None);
    assert_eq!(field(span, 16), Some(Value::Fixed32(0x301)));
    assert_eq!(messages(span, 9).count(), 3);
    assert!(outbox.take().batches.is_empty() && outbox.bytes() == 0);
}

#[test]
fn an_error_is_a_status_and_an_event() {
    let mut outbox = outbox(&Settings { ratio: 0.0, ..Settings::default() });
    let ended = Some(1_699_999_990.5);
    observe(&mut outbox, Body::Stage(Stage { error: Some("timeout"), ended, ..stage(Some(trace(1, None))) }));
    let all = spans(&outbox.take());
    let span = &all[0].1;
    let Some(Value::Bytes(status)) = field(span, 15) else { panic!("no status") };
    assert_eq!(
        (field(status, 2), field(status, 3)),
        (Some(Value::Bytes(b"timeout")), Some(Value::Varint(2)))
    );
    let event = messages(span, 11).next().unwrap();
    assert_eq!(field(event, 2), Some(Value::Bytes(b"exception")));
    assert_eq!(
        (field(event, 1), field(span, 8)),
        (Some(Value::Fixed64(NOW - 19 * SECOND / 2)), field(event, 1))
    );
    assert_eq!((field(span, 4), field(span, 16)), (None, Some(Value::Fixed32(1))));
}

#[test]
fn calls_requests_and_queries_are_spans_and_what_says_no_time_is_none() {
    let mut outbox = outbox(&Settings::default());
    let trace = Some(trace(9, Some(1)));
    let call = Call {
        model: "m",
        prompt_tokens: 3.0,
        completion_tokens: 4.0,
        cost: None,
        seconds: Some(0.1),
        first_token_seconds: None,
        cache_hit: Some(true),
        error: None,
        ended: None,
        trace,
    };
    observe(&mut outbox, Body::Call(call));
    observe(&mut outbox, Body::Call(Call { seconds: None, ..call }));
    let request = event::Request {
        service: "api",
        method: "GET",
        route: "/x",
        status: 503,
        seconds: 0.1,
        ended: None,
        trace,
    };
    observe(&mut outbox, Body::Request(request));
    observe(&mut outbox, Body::Request(event::Request { status: 404, ..request }));
    let query = Query { database: "db", operation: "select", seconds: 0.1, failed: true, ended: None, trace };
    observe(&mut outbox, Body::Query(query));
    // One that began before 1970 has a time that nobody means.
    observe(&mut outbox, Body::Query(Query { seconds: 9e9, ..query }));
    let all = spans(&outbox.take());
    let of = |service: &str, name: &str| {
        let same = |(of, span): &&(String, Vec<u8>)| {
            of == service && field(span, 5) == Some(Value::Bytes(name.as_bytes()))
        };
        all.iter()
            .filter(same)
            .map(|(_, span)| (field(span, 6), field(span, 15).is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(all.len(), 4);
    assert_eq!(of("unknown_service", "m"), [(Some(Value::Varint(3)), false)]);
    assert_eq!(of("api", "GET /x"), [(Some(Value::Varint(2)), true), (Some(Value::Varint(2)), false)]);
    assert_eq!(of("unknown_service", "select db"), [(Some(Value::Varint(3)), true)]);
}

#[test]
fn spans_that_came_are_passed_on_as_they_are_and_not_made_again() {
    let text = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}},
        {"key":"host.name","value":{"stringValue":"h"}}]},"schemaUrl":"u","scopeSpans":[{"scope":{"name":"lib"},"spans":[
        {"traceId":"5b8efff798038103d2f9b633813fc60c","spanId":"eee19b7ec3c1b174","parentSpanId":"eee19b7ec3c1b173","name":"a",
         "traceState":"x=1","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000",
         "attributes":[{"key":"k","value":{"intValue":"7"}}]},
        {"traceId":"5b8efff798038103d2f9b633813fc60c","name":"no id","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000"},
        {"traceId":"5b8efff798038103d200000000000001","spanId":"eee19b7ec3c1b175","name":"b",
         "startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000000100000000"}
        ]}]}]}"#;
    let request = Request::parse(Telemetry::Traces, Form::Json, text.as_bytes()).unwrap();
    let sent: Vec<&[u8]> = messages(request.message(), 1)
        .flat_map(|parent| messages(parent, 2))
        .flat_map(|scope| messages(scope, 2))
        .collect();
    let mut outbox = outbox(&Settings::default());
    outbox.pass(PassedSpans::of(request.message(), &outbox.sampling()));
    let taken = outbox.take();
    let all = spans(&taken);
    assert_eq!(all.iter().map(|(_, span)| &span[..]).collect::<Vec<_>>(), [sent[0], sent[2]]);
    // What stands around them came along.
    let (of, out) = (
        messages(request.message(), 1).next().unwrap(),
        messages(&taken.batches[0].bytes, 1).next().unwrap(),
    );
    assert_eq!((field(of, 1), field(of, 3)), (field(out, 1), field(out, 3)));
    let scope = |parent: &[u8]| messages(messages(parent, 2).next().unwrap(), 1).next().map(<[u8]>::to_vec);
    assert_eq!(scope(of), scope(out));
    // A trace that is not sampled stays here.
    let half = Sampling::new(&Settings { ratio: 0.5, ..Settings::default() });
    let passed = PassedSpans::of(request.message(), &half);
    assert_eq!(passed.unsampled, 1);
    let is_span = Trace { is_span: true, ..trace(5, None) };
    observe(&mut outbox, Body::Stage(stage(Some(is_span))));
    assert!(outbox.take().batches.is_empty());
}

#[test]
fn what_is_not_sampled_or_has_no_room_is_counted() {
    let settings = Settings { ratio: 0.0, slower_than: Time::millis(100), limits: Vec::new() };
    let mut few = outbox(&settings);
    observe(&mut few, Body::Stage(Stage { seconds: 0.05, ..stage(Some(trace(1, None))) }));
    observe(&mut few, Body::Stage(stage(Some(trace(1, None)))));
    let taken = few.take();
    assert_eq!((taken.unsampled, taken.dropped, spans(&taken).len()), (1, 0, 1));
    let mut full = outbox(&Settings::default());
    const MANY: u64 = 200_000;
    for _ in 0..MANY {
        observe(&mut full, Body::Stage(stage(Some(trace(1, None)))));
    }
    assert!(full.bytes() < COLLECTED + CHUNK);
    let taken = full.take();
    assert!(taken.batches.iter().all(|batch| batch.bytes.len() <= REQUEST));
    let sent: u64 = taken.batches.iter().map(|batch| batch.spans).sum();
    assert!(taken.dropped > 0, "the test fills it");
    assert_eq!(sent + taken.dropped, MANY);
    let mut services = outbox(&Settings::default());
    let names: Vec<String> = (0..SERVICES + 5).map(|at| format!("p{at}")).collect();
    for name in &names {
        observe(&mut services, Body::Stage(Stage { pipeline: name, ..stage(Some(trace(1, None))) }));
    }
    assert_eq!(services.take().dropped, 5);
}

#[test]
fn a_session_is_a_root_and_what_happened_meanwhile_are_its_events() {
    let mut sessions = Sessions::default();
    let happened = |at| SessionEvent {
        at,
        name: "incident.opened",
        attributes: &[("neural.alert", "NeuralDeviceSilent")],
    };
    sessions.happened(&happened(1));
    assert!(sessions.look(&["0123456789abcdef".to_owned()]).is_empty());
    for at in 0..130 {
        sessions.happened(&happened(NOW + at - 1));
    }
    let ended = sessions.look(&[]);
    assert_eq!(ended, ["0123456789abcdef"]);
    let mut outbox = outbox(&Settings { ratio: 0.0, ..Settings::default() });
    let over = EndedSession {
        id: &ended[0],
        origin: "event",
        of: "decoder",
        state: "failed",
        time: (NOW, NOW + SECOND),
        failed: true,
    };
    outbox.end(&mut sessions, &over);
    assert!(sessions.look(&[]).is_empty());
    let all = spans(&outbox.take());
    let (service, span) = &all[0];
    assert_eq!((&**service, field(span, 4), messages(span, 11).count()), ("decoder", None, 127));
    assert_eq!(field(span, 12), Some(Value::Varint(2)));
    assert!(field(span, 15).is_some());
    let root = SessionTrace::of(&ended[0]);
    assert_eq!(field(span, 1), Some(Value::Bytes(&root.trace.0.get().to_be_bytes())));
    let context = root.context();
    let headers: Vec<(&str, &str)> = context.headers().collect();
    let parent = format!("00-{:032x}-{:016x}-01", root.trace.0, root.span.0);
    assert_eq!(headers, [("traceparent", &*parent), ("tracestate", "ot=th:0")]);
    assert_eq!(field(span, 3), Some(Value::Bytes(b"ot=th:0")));
}
