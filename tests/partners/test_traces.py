"""Spans that the agent sends arrive at a receiver that is not ours: ids, parents and times are right, and what is not taken is counted.

Independent: OpenTelemetry's SDK as a sender, its protobuf messages with a strict check as the receiver, grpcio, http.server.
"""
from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service, trace_service_pb2_grpc as service_grpc
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from conftest import free_port, wait_until
from test_alerting import write_rules

SECOND = 1_000_000_000
NOW = 1_800_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Receiver:
    """Takes spans over both transports, answers what it is told to, and checks each message to its last field."""

    def __init__(self):
        self.spans, self.requests, self.faults, self.answers = [], [], [], []
        self.lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.requests.append((time.monotonic(), self.path, dict(self.headers), body))
                    status, headers, answer = receiver.answers.pop(0) if receiver.answers else (200, {}, b"")
                if status == 200:
                    packed = self.headers.get("Content-Encoding") == "gzip"
                    receiver.take(gzip.decompress(body) if packed else body)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"

        class Servicer(service_grpc.TraceServiceServicer):
            def Export(self, request, context):
                with receiver.lock:
                    receiver.requests.append((time.monotonic(), "grpc", dict(context.invocation_metadata()), b""))
                    code = receiver.answers.pop(0) if receiver.answers else None
                if code:
                    context.abort(code, "not now")
                receiver.take(request.SerializeToString())
                return service.ExportTraceServiceResponse()

        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        service_grpc.add_TraceServiceServicer_to_server(Servicer(), self.server)
        self.grpc_url = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def take(self, body: bytes) -> None:
        request = service.ExportTraceServiceRequest.FromString(body)
        with self.lock:
            for resource in request.resource_spans:
                attributes = {one.key: one.value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.check(span, attributes)
                        self.spans.append((attributes["service.name"].string_value, span))

    def check(self, span, resource) -> None:
        """What opentelemetry-proto says of each field."""
        whole = len(span.trace_id) == 16 and any(span.trace_id) and len(span.span_id) == 8 and any(span.span_id)
        parent = len(span.parent_span_id) in (0, 8)
        times = 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        events = all(span.start_time_unix_nano <= one.time_unix_nano <= span.end_time_unix_nano and one.name for one in span.events)
        keys = [one.key for one in span.attributes]
        known = all(len(UnknownFieldSet(one)) == 0 for one in (span, span.status, *span.events, *span.attributes))
        named = span.name and resource.get("service.name") and len(set(keys)) == len(keys)
        valued = all(one.value.WhichOneof("value") for one in span.attributes)
        if not (whole and parent and times and events and known and named and valued):
            self.faults.append(span)

    def until(self, count: int, seconds: float = 30) -> list:
        end = time.monotonic() + seconds
        while len(self.spans) < count:
            assert time.monotonic() < end, (len(self.spans), count, self.faults)
            time.sleep(0.05)
        assert self.faults == []
        return self.spans

    def close(self):
        self.http.shutdown()
        self.server.stop(0)


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


def sending(agent, *targets, **trace):
    """An agent that takes lines and OTLP, and sends to these targets."""
    agent.otlp = free_port()
    sources = [{"jsonl": {"name": "lines", "listen": [f"unix:{agent.path('events.sock')}"]}}, {"otlp": {"listen": [f"tcp://127.0.0.1:{agent.otlp}"]}}]
    agent.configure(sources, trace={"interval": "100ms", "targets": list(targets), **trace})
    return agent.start()


def say(agent, *events) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect(agent.path("events.sock"))
        stream.sendall("".join(json.dumps(event) + "\n" for event in events).encode())


def stage(number: int, **more) -> dict:
    end = NOW + number
    return {"type": "stage", "pipeline": "decoder", "stage": "classify", "start": end - 0.25, "end": end, "trace": f"00-{TRACE}-{PARENT}-01", **more}


def dropped(seen, reason: str) -> float:
    return seen.value("neural_agent_trace_dropped_spans_total", reason=reason)


def value_of(span, key: str):
    value = next(one.value for one in span.attributes if one.key == key)
    return getattr(value, value.WhichOneof("value"))


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_events_and_spans_come_out_with_their_parents_and_times(agent, receiver, way, tmp_path):
    (tmp_path / "token").write_text("hunter2\n")
    (tmp_path / "tenant").write_text("lab")
    target = {"url": receiver.grpc_url if way == "grpc" else receiver.url, "protocol": way}
    target |= {"access": {"token_file": str(tmp_path / "token")}, "headers": {"x-scope-orgid": {"value_file": str(tmp_path / "tenant")}}}
    sending(agent, target)
    say(
        agent,
        stage(0, items=3),
        stage(1, error="timeout"),
        {"type": "request", "service": "api", "method": "GET", "route": "/x", "status": 503, "seconds": 0.5, "end": NOW, "trace": TRACE},
        {"type": "stage", "pipeline": "decoder", "stage": "filter", "seconds": 0.1},
    )
    tracers = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    tracers.add_span_processor(SimpleSpanProcessor(trace_exporter.OTLPSpanExporter(endpoint=f"http://127.0.0.1:{agent.otlp}/v1/traces")))
    tracer = tracers.get_tracer("lib", "1.2")
    caller = SpanContext(int(TRACE, 16), int(PARENT, 16), is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("vendor", "x:1")]))
    within = set_span_in_context(NonRecordingSpan(caller))
    with tracer.start_as_current_span("outer", within, attributes={"a": [1, 2], "b": "x"}) as outer:
        with tracer.start_as_current_span("inner", attributes={"neural.stage": "classify"}) as inner:
            inner.add_event("seen")
    tracers.shutdown()
    spans = receiver.until(5)
    by_name = {(name, span.name, bool(span.events)): span for name, span in spans}
    whole = by_name["decoder", "classify", False]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (TRACE, PARENT)
    assert whole.end_time_unix_nano == NOW * SECOND
    assert whole.end_time_unix_nano - whole.start_time_unix_nano == pytest.approx(0.25 * SECOND, abs=1000)
    assert value_of(whole, "neural.items") == 3
    # Of all traces each is sent: it stands for itself.
    assert whole.trace_state == "ot=th:0"
    failed = by_name["decoder", "classify", True]
    assert (failed.status.code, failed.status.message, failed.events[0].name) == (2, "timeout", "exception")
    request = by_name["api", "GET /x", True]
    assert (request.parent_span_id, request.kind, value_of(request, "http.response.status_code")) == (b"", 2, 503)
    passed = {span.name: span for name, span in spans if name == "shop"}
    for of in (outer, inner):
        span, context = passed[of.name], of.get_span_context()
        assert (int.from_bytes(span.trace_id), int.from_bytes(span.span_id)) == (context.trace_id, context.span_id)
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (of.start_time, of.end_time)
    assert passed["outer"].trace_state == passed["inner"].trace_state == "vendor=x:1"
    assert int.from_bytes(passed["inner"].parent_span_id) == outer.get_span_context().span_id
    assert len(value_of(passed["outer"], "a").values) == 2 and passed["inner"].events[0].name == "seen"
    headers = {name.lower(): value for name, value in receiver.requests[0][2].items()}
    assert (headers["authorization"], headers["x-scope-orgid"]) == ("Bearer hunter2", "lab")
    seen = agent.until(lambda seen: seen.value("neural_agent_trace_sent_spans_total") == 5)
    assert seen.value("neural_agent_trace_dropped_spans_total") == 0 and "hunter2" not in agent.told()
    # What was collected a moment ago is sent before the agent ends.
    say(agent, *(stage(number) for number in range(50)))
    agent.until_all("lines", 54)
    agent.stop()
    assert len(receiver.until(55)) == 55


def test_what_a_target_does_not_take_is_counted_to_the_span(agent, receiver):
    partial = service.ExportTraceServiceResponse()
    partial.partial_success.rejected_spans = 2
    partial.partial_success.error_message = "two are too old"
    receiver.answers = [
        (429, {"Retry-After": "2"}, b""),
        (200, {}, partial.SerializeToString()),
        (400, {}, b""),
    ]
    sending(agent, {"url": receiver.url})
    say(agent, *(stage(number) for number in range(5)))
    seen = agent.until(lambda seen: dropped(seen, "rejected") == 2)
    assert seen.value("neural_agent_trace_sent_spans_total") == 3
    (first, *_), (second, *_) = receiver.requests
    assert second - first >= 2
    assert re.search("two are too old", agent.told())
    say(agent, *(stage(number) for number in range(7)))
    seen = agent.until(lambda seen: dropped(seen, "rejected") == 9)
    assert len(receiver.requests) == 3, "a 400 is not sent again"
    assert seen.value("neural_agent_trace_failures_total") == 2
    assert seen.value("neural_agent_trace_sent_spans_total") + seen.value("neural_agent_trace_dropped_spans_total") == 12


def test_a_dead_target_costs_its_queue_alone_and_a_reload_ends_it(agent, receiver):
    dead = f"http://127.0.0.1:{free_port()}"
    sending(agent, {"url": receiver.url}, {"url": dead, "compression": "none"}, queue={"memory": "1MiB", "disk": 0})
    count = 0
    while count < 40_000:
        say(agent, *(stage(number) for number in range(4_000)))
        count += 4_000
        agent.until_all("lines", count)
    of = {"target": dead}
    lost = lambda seen: seen.value("neural_agent_trace_dropped_spans_total", reason="queue_full", **of)
    waits = lambda seen: seen.value("neural_agent_trace_waiting_spans", **of)
    seen = agent.until(lambda seen: lost(seen) + waits(seen) == count)
    assert lost(seen) > 0 and 0 < seen.value("neural_agent_trace_queue_bytes", place="memory", **of) <= 1 << 20
    receiver.until(count)
    agent.until(lambda seen: seen.value("neural_agent_trace_sent_spans_total", target=receiver.url) == count)
    assert seen.value("neural_agent_trace_failing", **of) == 1
    # Without the dead one: what waits for it is dropped, and counted.
    del agent.config["trace"]["targets"][1]
    agent.write()
    assert agent.reload()[0] == 200
    seen = agent.until(lambda seen: lost(seen) + seen.value("neural_agent_trace_dropped_spans_total", reason="stopped", **of) == count)
    assert not seen.series("neural_agent_trace_waiting_spans", **of)
    say(agent, stage(0))
    receiver.until(count + 1)


def test_what_waits_on_disk_outlives_a_restart(agent, receiver):
    port = free_port()
    sending(agent, {"url": f"http://127.0.0.1:{port}"})
    say(agent, *(stage(number) for number in range(100)))
    agent.until(lambda seen: seen.value("neural_agent_trace_waiting_spans") == 100)
    agent.stop()
    receiver.http.shutdown()
    receiver.http.server_close()
    receiver.http = ThreadingHTTPServer(("127.0.0.1", port), receiver.http.RequestHandlerClass)
    threading.Thread(target=receiver.http.serve_forever, daemon=True).start()
    agent.start()
    assert len(receiver.until(100)) == 100
    agent.until(lambda seen: seen.value("neural_agent_trace_waiting_spans") == 0)


def test_a_session_is_a_root_span(agent, receiver):
    sending(agent, {"url": receiver.url}, sampling={"ratio": 0, "slower_than": 0})
    say(agent, {"type": "session", "pipeline": "decoder", "name": "P07", "step": "started"})
    agent.until(lambda seen: seen.value("neural_sessions_started_total") == 1)
    say(agent, stage(0), {"type": "session", "pipeline": "decoder", "name": "P07", "step": "ended"})
    (name, span), = receiver.until(1)
    assert (name, span.name, span.parent_span_id, value_of(span, "neural.session.state")) == ("decoder", "session", b"", "ended")
    assert b"P07" not in span.SerializeToString()
    agent.until(lambda seen: seen.value("neural_agent_trace_unsampled_spans_total") == 1)


class Posts(ThreadingHTTPServer):
    """Takes any request, and keeps its headers and its JSON."""

    def __init__(self):
        self.got: list[tuple[dict, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def about(self, device: str) -> list[dict]:
        """The headers of what was said of a device."""
        return [headers for headers, body in self.got if f'"device":"{device}"' in body.replace('": "', '":"')]


@pytest.mark.parametrize("to", ["webhook", "alertmanager"])
def test_notifications_belong_to_the_session_that_is_open(agent, receiver, to, tmp_path):
    posts = Posts()
    rule = {"alert": "NeuralLevel", "expr": "level > 5", "labels": {"priority": "P0", "severity": "critical", "component": "device"}}
    alerts, respond = {"rule_files": [write_rules(tmp_path, rule, interval="1s")]}, {"alertmanagers": [{"url": posts.url}]}
    ran = tmp_path / "ran"
    if to == "webhook":
        respond = {"notify": True}
        program = {"command": ["sh", "-c", f'grep -q \'"device":"during"\' && env | grep ^TRACE | sort > {ran}']}
        alerts["receivers"] = [{"webhook": {"url": f"{posts.url}/hook"}}, {"exec": program}]
    sending(agent, {"url": receiver.url}, sampling={"ratio": 0})
    agent.config |= {"history": {"interval": "1s"}, "alerts": alerts, "respond": respond}
    agent.write()
    agent.reload()
    level = lambda device: say(agent, {"metric": "level", "type": "gauge", "value": 9, "labels": {"device": device}})
    level("before")
    wait_until(lambda: posts.about("before"), 40, "the alert before the session")
    assert all("traceparent" not in headers and "tracestate" not in headers for headers in posts.about("before"))
    say(agent, {"type": "session", "pipeline": "decoder", "step": "started"})
    agent.until(lambda seen: seen.value("neural_sessions_started_total") == 1)
    time.sleep(1.5)
    level("during")
    headers = wait_until(lambda: posts.about("during"), 100, "the alert in the session")[0]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", headers["traceparent"]) and headers["tracestate"] == "ot=th:0"
    if to == "webhook":
        wait_until(lambda: ran.exists() and ran.read_text().count("\n") == 2, 100, "the program")
        assert ran.read_text() == f"TRACEPARENT={headers['traceparent']}\nTRACESTATE=ot=th:0\n"
    say(agent, {"type": "session", "pipeline": "decoder", "step": "ended"})
    (_, span), = receiver.until(1)
    assert headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" and span.trace_state == "ot=th:0"
    agent.until(lambda seen: seen.value("neural_agent_trace_sent_spans_total") == 1)
    posts.shutdown()
    posts.server_close()
