//! Requests over sockets: HTTP as it is written, and gRPC by another implementation's frames.

use std::io::Write;
use std::net::SocketAddr;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::clock::now;
use crate::hub::Hub;
use crate::origin::Names;
use crate::source::Feed;
use crate::source::socket::bind;
use crate::source::socket::bound::Opened;

/// A source that takes requests of at most 64 KiB.
struct Listening {
    hub: Arc<Hub>,
    at: SocketAddr,
    receiver: Arc<Receiver>,
    cut: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listening {
    async fn begin() -> Self {
        let hub = Arc::new(Hub::default());
        let feed = Feed::new(hub.clone(), hub.add_source("otlp"), "otlp");
        let listen: Listen = "tcp://127.0.0.1:0".parse().unwrap();
        let context = Context { connections: 8, ..Context::default() };
        let bound =
            Arc::new(bind(&listen, &Otlp::default().options(&context).unwrap(), &mut Vec::new()).unwrap());
        let Opened::Tcp(listener) = &bound.socket else { panic!("a socket of TCP") };
        let at = listener.local_addr().unwrap();
        let senders = Senders::of(&[(listen, bound.clone())], &feed, otlp::Settings::default());
        let names = Arc::new(Names::new(["rig-1".to_owned()]));
        let receiver = Arc::new(Receiver::new(feed, senders, 64 * 1024, names));
        let (stop, cut, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        let (serving, ending, cutting, inner) = (receiver.clone(), stop.clone(), cut.clone(), tasks.clone());
        tasks.spawn(async move { connection::serve(&bound, &serving, &ending, &cutting, &inner).await });
        tasks.close();
        Self { hub, at, receiver, cut, stop, tasks }
    }

    /// Sends a request as it is written, and gives the status and the body of the answer.
    async fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            body.len()
        );
        self.talk(&[head.as_bytes(), body].concat()).await
    }

    async fn talk(&self, said: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        // It may have been answered, and closed, before all was sent.
        drop(stream.write_all(said).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }

    fn number(&self, family: &str, labels: &str) -> Option<f64> {
        self.hub.lock().registry.number(family, labels)
    }

    fn errors(&self, reason: &str) -> f64 {
        self.number("neural_source_errors", &format!("source=\"otlp\",reason=\"{reason}\""))
            .unwrap_or_default()
    }

    /// Calls a method of gRPC with a body as it is, and gives its status, its message and the body.
    async fn call(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (String, String, Bytes) {
        let stream = TcpStream::connect(self.at).await.unwrap();
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::post(format!("http://{}{path}", self.at)).header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"application/grpc".parse().unwrap())
        );
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let find = |name: &str| {
            let value = trailers.get(name).or_else(|| head.headers.get(name));
            value.map_or_else(String::new, |value| value.to_str().unwrap().to_owned())
        };
        (find("grpc-status"), find("grpc-message"), body.to_bytes())
    }
}

const HOST: &str = "Host: rig-1:4318\r\n";
const JSON: &str = "Host: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n";
const PROTOBUF: &str = "Host: localhost\r\nContent-Type: application/x-protobuf\r\n";
const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const CALL: (&str, &str) = ("content-type", "application/grpc");

/// A request with one span of the service `unknown_service`.
fn spans(name: &str) -> Vec<u8> {
    let end = now().wall;
    let times = format!("\"startTimeUnixNano\":\"{}\",\"endTimeUnixNano\":\"{end}\"", end - 1_000_000);
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{\"name\":\"{name}\",{times}}}]}}]}}]}}")
        .into_bytes()
}

/// The same as protobuf: a span of 1 ms.
fn packed_spans() -> Vec<u8> {
    let end = now().wall;
    let mut span = b"\x2a\x01p".to_vec();
    span.push(0x39);
    span.extend_from_slice(&(end - 1_000_000).to_le_bytes());
    span.push(0x41);
    span.extend_from_slice(&end.to_le_bytes());
    let wrap = |tag: u8, inner: Vec<u8>| [vec![tag, u8::try_from(inner.len()).unwrap()], inner].concat();
    wrap(0x0a, wrap(0x12, wrap(0x12, span)))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn frame(packed: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[packed][..], &length, message].concat()
}

fn failures(name: &str) -> String {
    format!("service=\"unknown_service\",span=\"{name}\",kind=\"unspecified\"")
}

#[tokio::test]
async fn requests_over_http_are_answered_in_their_form() {
    let source = Listening::begin().await;
    assert_eq!(source.post("/v1/traces", JSON, &spans("a")).await, (200, b"{}".to_vec()));
    assert_eq!(source.post("/v1/traces", PROTOBUF, &packed_spans()).await, (200, Vec::new()));
    let packed = format!("{PROTOBUF}Content-Encoding: gzip\r\n");
    assert_eq!(source.post("/v1/traces", &packed, &gzip(&packed_spans())).await, (200, Vec::new()));
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        assert_eq!(source.post(path, PROTOBUF, b"").await.0, 200, "{path}: an empty request is one");
        assert_eq!(source.post(path, JSON, b"{}").await.0, 200, "{path}");
    }
    assert_eq!(source.number("neural_span_failures", &failures("a")), Some(0.0));
    assert_eq!(source.number("neural_source_events", "source=\"otlp\""), Some(3.0));
    let (status, body) = source.post("/v1/logs", JSON, b"{\"resourceLogs\":7}").await;
    assert_eq!(status, 400);
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(said["code"] == 3 && said["message"].as_str().unwrap().contains("resourceLogs"), "{said}");
    let (status, body) = source.post("/v1/logs", PROTOBUF, b"{}").await;
    assert_eq!((status, &body[..2]), (400, &[0x08, 3][..]));
    assert_eq!(source.errors("syntax"), 2.0);
}

#[tokio::test]
async fn a_part_that_does_not_count_is_said() {
    let source = Listening::begin().await;
    let text = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"startTimeUnixNano\":9,\"endTimeUnixNano\":8},{\"startTimeUnixNano\":8,\"endTimeUnixNano\":9}]}]}]}";
    let (status, body) = source.post("/v1/traces", JSON, text.as_bytes()).await;
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &said["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
    assert!(
        said["partialSuccess"]["errorMessage"].as_str().unwrap().contains("ends before it begins"),
        "{said}"
    );
    assert_eq!(source.errors("clock_skew"), 1.0);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_counted() {
    let source = Listening::begin().await;
    let body = spans("a");
    let post = async |path, headers: String| source.post(path, &headers, &body).await.0;
    assert_eq!(post("/v1/profiles", JSON.to_owned()).await, 404);
    assert_eq!(post("/v1/traces", format!("{HOST}Content-Type: text/plain\r\n")).await, 415);
    assert_eq!(post("/v1/traces", HOST.to_owned()).await, 415);
    assert_eq!(post("/v1/traces", format!("{JSON}Content-Encoding: br\r\n")).await, 415);
    assert_eq!(source.errors("unknown_type"), 4.0);
    assert_eq!(post("/v1/traces", format!("{JSON}Content-Encoding: gzip\r\n")).await, 400);
    assert_eq!(source.errors("syntax"), 1.0);
    assert_eq!(
        source.talk(b"GET /v1/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.0,
        405
    );
    // Names and pages of others.
    for stranger in [
        "Host: evil.example\r\n",
        "Host: localhost\r\nOrigin: http://evil.example\r\n",
        "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(
            post("/v1/traces", format!("{stranger}Content-Type: application/json\r\n")).await,
            403,
            "{stranger}"
        );
    }
    assert_eq!(source.errors("bad_value"), 3.0);
    assert_eq!(source.number("neural_source_events", "source=\"otlp\"").unwrap_or_default(), 0.0);
    assert_eq!(post("/v1/traces", format!("{HOST}Content-Type: application/json\r\n")).await, 200);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let source = Listening::begin().await;
    let limit = source.receiver.body_limit;
    assert_eq!(source.post("/v1/traces", PROTOBUF, &vec![0; limit + 1]).await.0, 413);
    // A thousand times as large once it is unpacked.
    let bomb = gzip(&vec![b' '; 1 << 22]);
    assert!(bomb.len() < limit);
    let packed = format!("{JSON}Content-Encoding: gzip\r\n");
    assert_eq!(source.post("/v1/traces", &packed, &bomb).await.0, 413);
    assert_eq!(source.errors("too_long"), 2.0);
    // Where all memory for requests is taken, a request may be sent again, and nothing counts as lost.
    let all =
        source.receiver.budget.clone().try_acquire_many_owned(u32::try_from(4 * limit).unwrap()).unwrap();
    assert_eq!(source.post("/v1/traces", JSON, &spans("a")).await.0, 503);
    let (status, ..) = source.call(TRACES, &[CALL], frame(0, &packed_spans())).await;
    assert_eq!(status, "14");
    drop(all);
    assert_eq!(source.post("/v1/traces", JSON, &spans("a")).await.0, 200);
    assert_eq!(source.receiver.budget.available_permits(), 4 * limit, "what was held is given back");
}

#[tokio::test]
async fn calls_of_grpc_are_answered_with_a_status() {
    let source = Listening::begin().await;
    let ok = ("0".to_owned(), String::new(), Bytes::from_static(&[0; 5]));
    assert_eq!(source.call(TRACES, &[CALL], frame(0, &packed_spans())).await, ok);
    let packed = [("content-type", "application/grpc+proto"), ("grpc-encoding", "gzip")];
    assert_eq!(source.call(TRACES, &packed, frame(1, &gzip(&packed_spans()))).await, ok);
    assert_eq!(source.call(TRACES, &packed, frame(0, &packed_spans())).await, ok, "it need not be packed");
    for service in ["metrics.v1.MetricsService", "logs.v1.LogsService"] {
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        assert_eq!(source.call(&path, &[CALL], frame(0, b"")).await, ok);
    }
    assert_eq!(source.number("neural_span_failures", &failures("p")), Some(0.0));
    assert_eq!(source.number("neural_source_events", "source=\"otlp\""), Some(3.0));
    // A part that does not count.
    let skewed = [
        &[0x0a, 24, 0x12, 22, 0x12, 20, 0x2a, 0, 0x39][..],
        &9_u64.to_le_bytes(),
        &[0x41],
        &8_u64.to_le_bytes(),
    ]
    .concat();
    let (status, _, body) = source.call(TRACES, &[CALL], frame(0, &skewed)).await;
    assert_eq!((status.as_str(), body[0], body[5], body[7], body[8]), ("0", 0, 0x0a, 0x08, 1));
}

#[tokio::test]
async fn half_frames_and_what_is_none_are_faults() {
    let source = Listening::begin().await;
    let limit = source.receiver.body_limit;
    let whole = frame(0, &packed_spans());
    let huge = [&[0][..], &u32::MAX.to_be_bytes(), b"x"].concat();
    let two = [whole.clone(), whole.clone()].concat();
    for (body, status, reason) in [
        (whole[..3].to_vec(), "13", "truncated"),
        (whole[..whole.len() - 1].to_vec(), "13", "truncated"),
        (Vec::new(), "13", "truncated"),
        (two, "13", "syntax"),
        (frame(2, b""), "13", "syntax"),
        (frame(1, &gzip(b"")), "13", "syntax"),
        (huge, "8", "too_long"),
        (frame(0, &vec![0; limit + 1]), "8", "too_long"),
        (frame(0, b"{}"), "3", "syntax"),
    ] {
        let before = source.errors(reason);
        let said = source.call(TRACES, &[CALL], body).await;
        assert_eq!(said.0, status, "{said:?}");
        assert!(!said.1.is_empty());
        assert_eq!(source.errors(reason), before + 1.0, "{said:?}");
    }
    let bomb = frame(1, &gzip(&vec![0; 1 << 22]));
    assert_eq!(source.call(TRACES, &[CALL, ("grpc-encoding", "gzip")], bomb).await.0, "8");
    assert_eq!(source.call(TRACES, &[CALL, ("grpc-encoding", "br")], whole.clone()).await.0, "12");
    assert_eq!(source.call("/opentelemetry.x/Export", &[CALL], whole.clone()).await.0, "12");
    assert_eq!(
        source.call(TRACES, &[("content-type", "application/grpc+json")], whole.clone()).await.0,
        "12"
    );
    assert_eq!(source.call(TRACES, &[CALL, ("origin", "http://evil.example")], whole).await.0, "7");
    assert_eq!(source.number("neural_source_events", "source=\"otlp\"").unwrap_or_default(), 0.0);
}

#[tokio::test]
async fn connections_end_with_the_source() {
    let source = Listening::begin().await;
    let mut silent = TcpStream::connect(source.at).await.unwrap();
    let mut kept = TcpStream::connect(source.at).await.unwrap();
    kept.write_all(b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
    let mut some = [0; 12];
    kept.read_exact(&mut some).await.unwrap();
    source.stop.cancel();
    source.cut.cancel();
    tokio::time::timeout(Duration::from_secs(10), source.tasks.wait()).await.unwrap();
    let mut rest = Vec::new();
    drop(silent.read_to_end(&mut rest).await);
    drop(kept.read_to_end(&mut rest).await);
    assert_eq!(source.number("neural_source_clients", "source=\"otlp\"").unwrap_or_default(), 0.0);
}

#[tokio::test]
async fn what_senders_said_outlives_a_change_of_settings() {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("otlp"), "otlp");
    let listen: Listen = "tcp://127.0.0.1:0".parse().unwrap();
    let options = Otlp::default().options(&Context { connections: 8, ..Context::default() }).unwrap();
    let open = || vec![(listen.clone(), Arc::new(bind(&listen, &options, &mut Vec::new()).unwrap()))];
    let (old, new) = (open(), open());
    let send = async |sockets: &[(Listen, Arc<super::super::Bound>)], value: u32| {
        let senders = Senders::of(sockets, &feed, otlp::Settings::default());
        let receiver = Arc::new(Receiver::new(feed.clone(), senders, 1 << 20, Arc::default()));
        let text = format!(
            "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"a\",\"sum\":{{\"isMonotonic\":true,\"aggregationTemporality\":2,\"dataPoints\":[{{\"startTimeUnixNano\":1,\"asInt\":{value}}}]}}}}]}}]}}]}}"
        );
        let read = receiver.read(crate::event::Telemetry::Metrics, otlp::Form::Json, text.as_bytes(), 1);
        assert_eq!(read.unwrap().rejected(), 0);
        hub.lock().registry.number("a", "service=\"unknown_service\"").unwrap()
    };
    assert_eq!(send(&old, 5).await, 5.0);
    assert_eq!(send(&old, 8).await, 8.0, "the next reader of the socket");
    assert_eq!(
        send(&new, 9).await,
        8.0,
        "another socket: what came before is not known, and not counted twice"
    );
    assert_eq!(send(&new, 11).await, 10.0);
}

#[tokio::test]
async fn requests_take_turns_and_who_waits_holds_no_thread() {
    let hub = Arc::new(Hub::default());
    let feed = Feed::new(hub.clone(), hub.add_source("otlp"), "otlp");
    let senders = Senders::of(&[], &feed, otlp::Settings::default());
    let receiver = Arc::new(Receiver::new(feed, senders, 1 << 20, Arc::default()));
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let large = receiver.clone();
    let large = tokio::spawn(async move { large.take(1 << 20, false, move |_| gate.recv().is_ok()).await });
    while receiver.turn_is_free() {
        tokio::task::yield_now().await;
    }
    // This runtime has one thread: it would stand still if the small one waited on it.
    let early = tokio::time::timeout(Duration::from_millis(200), receiver.take(10, false, |_| ())).await;
    assert!(early.is_err(), "the large one is not over");
    release.send(()).unwrap();
    assert_eq!(large.await.unwrap(), Some(true));
    assert_eq!(receiver.take(10, true, |_| 1).await, Some(1));
}
