"""OpenTelemetry's own SDKs send to the agent, over each transport, and every number is found again.

Independent: the SDKs and exporters for Python and JavaScript, unchanged, and the protobuf runtime that they bring.
"""
from __future__ import annotations

import gzip
import http.client
import json
import logging
import math
import subprocess

import pytest
from google.protobuf import json_format
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics, trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.http import Compression, metric_exporter, trace_exporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

from conftest import free_port, npm, program

SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND


@pytest.fixture
def listening(agent):
    agent.http, agent.grpc = free_port(), free_port()
    listen = [f"tcp://127.0.0.1:{agent.http}", f"tcp://127.0.0.1:{agent.grpc}"]
    agent.configure([{"otlp": {"listen": listen, "body_limit": "64KiB"}}])
    return agent.start()


def exporters(agent, way: str, **metrics):
    """Of traces, metrics and logs."""
    if way == "grpc":
        to = {"endpoint": f"http://127.0.0.1:{agent.grpc}", "insecure": True}
        return grpc_traces.OTLPSpanExporter(**to), grpc_metrics.OTLPMetricExporter(**to, **metrics), GrpcLogs(**to)
    packed = {"compression": Compression.Gzip if way == "gzip" else Compression.NoCompression}
    to = lambda signal: {"endpoint": f"http://127.0.0.1:{agent.http}/v1/{signal}", **packed}
    return (
        trace_exporter.OTLPSpanExporter(**to("traces")),
        metric_exporter.OTLPMetricExporter(**to("metrics"), **metrics),
        OTLPLogExporter(**to("logs")),
    )


WAYS = ["http", "gzip", "grpc"]


def bucket(seen, name: str, bound: float, **labels) -> float:
    """What a histogram has up to a bound, however that is written."""
    found = [one for one in seen.series(f"{name}_bucket", **labels) if float(one.labels["le"]) == bound]
    assert len(found) == 1, (name, bound, found)
    return found[0].value


@pytest.mark.parametrize("way", WAYS)
def test_spans_and_records_of_the_sdk(listening, way):
    agent = listening
    resource = Resource.create({"service.name": "shop", "service.namespace": "lab"})
    spans, _, records = exporters(agent, way)
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    tracer = tracers.get_tracer("test")
    traces = []
    for number in range(300):
        start = NOW + number * SECOND
        span = tracer.start_span("GET /item", kind=SpanKind.SERVER, start_time=start, context=trace.set_span_in_context(trace.INVALID_SPAN))
        if number % 10 == 0:
            span.set_status(Status(StatusCode.ERROR, "no"))
        traces.append(f"{span.get_span_context().trace_id:032x}")
        span.end(start + (number + 1) * 1_000_000)
    for number in range(50):
        attributes = {"neural.pipeline": "decoder", "neural.stage": "classify", "neural.items": 4}
        span = tracer.start_span("classify", attributes=attributes, start_time=NOW)
        span.end(NOW + 20_000_000)
    tracers.shutdown()
    logs = LoggerProvider(resource=resource)
    logs.add_log_record_processor(BatchLogRecordProcessor(records))
    logger = logging.getLogger(f"otlp-{way}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(LoggingHandler(logger_provider=logs))
    for number in range(30):
        logger.warning("secret %d", number)
    for _ in range(7):
        logger.error("secret")
    logs.shutdown()
    account = agent.until_all("otlp", 300 + 50 + 37)
    assert account["events"] == 387, account
    seen = agent.scrape()
    of = dict(service="lab/shop", span="GET /item", kind="server")
    assert seen.value("neural_span_duration_seconds_count", **of) == 300
    assert seen.value("neural_span_duration_seconds_sum", **of) == pytest.approx(sum(range(1, 301)) / 1000)
    assert bucket(seen, "neural_span_duration_seconds", 0.1, **of) == 100
    assert seen.value("neural_span_failures_total", **of) == 30
    stage = dict(pipeline="decoder", stage="classify")
    assert seen.value("neural_stage_duration_seconds_count", **stage) == 50
    assert seen.value("neural_stage_duration_seconds_sum", **stage) == pytest.approx(1.0)
    assert seen.value("neural_stage_items_total", **stage) == 200
    assert seen.value("neural_log_records_total", service="lab/shop", severity="warn") == 30
    assert seen.value("neural_log_records_total", service="lab/shop", severity="error") == 7
    assert "secret" not in seen.text
    marked = [line for line in agent.scrape_openmetrics().text.splitlines() if "neural_span_duration" in line and "trace_id" in line]
    assert marked and all(any(f'trace_id="{one}"' in line for one in traces) for line in marked)


@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
@pytest.mark.parametrize("way", WAYS)
def test_metrics_of_the_sdk(listening, way, temporality):
    agent = listening
    delta = temporality == "delta"
    prefer = {kind: AggregationTemporality.DELTA for kind in (Counter, Histogram)} if delta else None

    def process(rounds: int):
        _, metrics, _ = exporters(agent, way, preferred_temporality=prefer)
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)
        exponential = View(instrument_name="wait", aggregation=ExponentialBucketHistogramAggregation())
        resource = Resource.create({"service.name": "shop"})
        meters = MeterProvider([reader], resource=resource, views=[exponential], shutdown_on_exit=False)
        meter = meters.get_meter("test")
        requests = meter.create_counter("http.requests", unit="{request}", description="Requests")
        payload = meter.create_counter("payload", unit="By")
        active = meter.create_up_down_counter("active")
        load = meter.create_gauge("load", unit="1")
        duration = meter.create_histogram("http.duration", unit="s", explicit_bucket_boundaries_advisory=[0.1, 1, 10])
        wait = meter.create_histogram("wait", unit="s")
        for round in range(rounds):
            for method, times in (("GET", 5), ("PUT", 2)):
                requests.add(times, {"http.method": method})
            payload.add(0.5)
            active.add(3)
            active.add(-1)
            load.set(0.25 * (round + 1))
            for value in (0.05, 0.5, 5, 50):
                duration.record(value)
            for value in (0.3, 0.5, 3.0, 700.0):
                wait.record(value)
            assert meters.force_flush()
        meters.shutdown()

    def holds(seen, rounds: int) -> None:
        service = dict(service="shop")
        assert seen.value("http_requests_total", http_method="GET", **service) == 5 * rounds
        assert seen.value("http_requests_total", http_method="PUT", **service) == 2 * rounds
        assert seen.value("payload_bytes_total", **service) == 0.5 * rounds
        for bound, count in ((0.1, 1), (1, 2), (10, 3), (math.inf, 4)):
            assert bucket(seen, "http_duration_seconds", bound, **service) == count * rounds, bound
        assert seen.value("http_duration_seconds_sum", **service) == pytest.approx(55.55 * rounds)
        for bound, count in ((0.25, 0), (0.5, 2), (2, 2), (4, 3), (512, 3), (math.inf, 4)):
            assert bucket(seen, "wait_seconds", bound, **service) == count * rounds, bound
        assert seen.value("wait_seconds_sum", **service) == pytest.approx(703.8 * rounds)

    process(3)
    seen = agent.scrape()
    holds(seen, 3)
    assert seen.value("active", service="shop") == 6
    assert seen.value("load_ratio", service="shop") == 0.75
    # The process starts again: what it counts continues from where the first one ended.
    process(2)
    holds(agent.scrape(), 5)
    # A reload of the source counts nothing twice, and a third process continues.
    agent.config["sources"][0]["otlp"]["span_names"] = 7
    agent.write()
    assert agent.reload()[0] == 200
    process(1)
    seen = agent.scrape()
    holds(seen, 6)
    assert seen.account("otlp")["faults"] == 0
    assert "# HELP http_requests_total Requests" in seen.text or "# HELP http_requests Requests" in seen.text


def request() -> ExportTraceServiceRequest:
    body = ExportTraceServiceRequest()
    resource = body.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = resource.scope_spans.add()
    for number in range(20):
        span = scope.spans.add(name=f"GET /{number % 2}", kind=2, trace_id=bytes([number + 1] * 16), span_id=bytes([number + 1] * 8))
        span.start_time_unix_nano, span.end_time_unix_nano = NOW, NOW + 10_000_000
        span.attributes.add(key="http.request.method").value.string_value = "GET"
        span.status.code = 2 if number == 0 else 0
    return body


def otlp_json(body) -> bytes:
    """As OTLP has it: ids in hexadecimal digits, enumerations as numbers."""
    said = json_format.MessageToDict(body, use_integers_for_enums=True)
    for resource in said["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span, real in zip(scope["spans"], body.resource_spans[0].scope_spans[0].spans):
                span["traceId"], span["spanId"] = real.trace_id.hex(), real.span_id.hex()
                span["not yet known"] = {"deep": [1, None]}
    return json.dumps(said).encode()


def post(agent, path: str, body: bytes, **headers):
    link = http.client.HTTPConnection("127.0.0.1", agent.http, timeout=20)
    link.request("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = link.getresponse()
    seen = answer.status, answer.headers.get_content_type(), answer.read()
    link.close()
    return seen


def test_both_forms_count_the_same(listening):
    agent = listening
    body = request()
    protobuf, text = body.SerializeToString(), otlp_json(body)
    kind = "application/x-protobuf"
    assert post(agent, "/v1/traces", protobuf, Content_Type=kind) == (200, kind, b"")
    assert post(agent, "/v1/traces", text, Content_Type="application/json") == (200, "application/json", b"{}")
    packed = post(agent, "/v1/traces", gzip.compress(text), Content_Type="application/json", Content_Encoding="gzip")
    assert packed[0] == 200
    seen = agent.until(lambda s: s.account("otlp")["events"] == 60)
    for name, failed in (("GET /0", 3), ("GET /1", 0)):
        of = dict(service="shop", span=name, kind="server")
        assert seen.value("neural_span_duration_seconds_count", **of) == 30
        assert seen.value("neural_span_failures_total", **of) == failed


def test_what_does_not_count_is_said_and_counted(listening):
    agent = listening
    kind = "application/x-protobuf"
    body = request()
    spans = body.resource_spans[0].scope_spans[0].spans
    spans[0].end_time_unix_nano = NOW - 1
    spans[1].start_time_unix_nano = 0
    spans[2].end_time_unix_nano = 2**64 - 1
    status, _, answer = post(agent, "/v1/traces", body.SerializeToString(), Content_Type=kind)
    partial = ExportTraceServiceResponse.FromString(answer).partial_success
    assert status == 200 and partial.rejected_spans == 3 and "ends before it begins" in partial.error_message
    whole = body.SerializeToString()
    for cut in (1, len(whole) // 2, len(whole) - 1):
        assert post(agent, "/v1/traces", whole[:cut], Content_Type=kind)[0] == 400
    assert post(agent, "/v1/traces", whole, Content_Type="text/plain")[0] == 415
    assert post(agent, "/v1/traces", bytes(100_000), Content_Type=kind)[0] == 413
    assert post(agent, "/v1/traces", gzip.compress(bytes(10_000_000)), Content_Type=kind, Content_Encoding="gzip")[0] == 413
    assert post(agent, "/v1/traces", whole, Content_Type=kind, Origin="http://evil.example")[0] == 403
    many = ExportMetricsServiceRequest()
    point = many.resource_metrics.add().scope_metrics.add().metrics.add(name="m").gauge.data_points.add(as_int=1)
    for number in range(10_000 // 8):
        point.attributes.add(key=f"k{number}").value.string_value = "v"
    assert post(agent, "/v1/metrics", many.SerializeToString(), Content_Type=kind)[0] == 200
    seen = agent.until(lambda s: s.account("otlp")["events"] == 17)
    reasons = dict(clock_skew=1, missing_field=1, bad_value=2, syntax=3, unknown_type=1, too_long=2, limit=1)
    for reason, count in reasons.items():
        assert seen.value("neural_source_errors_total", source="otlp", reason=reason) == count, reason
    assert agent.alive()


SCRIPT = """
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { resourceFromAttributes } = require('@opentelemetry/resources');
const [traces, metrics, way, port] = process.argv.slice(2);
const { OTLPTraceExporter } = require(traces);
const { OTLPMetricExporter } = require(metrics);
const at = (signal) => ({ url: way === 'grpc' ? `http://127.0.0.1:${port}` : `http://127.0.0.1:${port}/v1/${signal}` });
(async () => {
  const resource = resourceFromAttributes({ 'service.name': 'js' });
  const tracers = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(at('traces')))] });
  const tracer = tracers.getTracer('test');
  for (let i = 0; i < 40; i++) {
    const start = 1800000000000 + i * 1000;
    const span = tracer.startSpan(`${way} work`, { kind: 1, startTime: start });
    if (i % 4 === 0) span.setStatus({ code: 2 });
    span.end(start + 20);
  }
  await tracers.shutdown();
  const reader = new PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter(at('metrics')), exportIntervalMillis: 3600000 });
  const meters = new MeterProvider({ resource, readers: [reader] });
  const meter = meters.getMeter('test');
  meter.createCounter(`${way}.jobs`).add(11);
  const seconds = meter.createHistogram(`${way}.job`, { unit: 's', advice: { explicitBucketBoundaries: [1, 2] } });
  [0.5, 1.5, 2.5].forEach((value) => seconds.record(value));
  await meters.shutdown();
})().catch((why) => { console.error(why); process.exit(1); });
"""


def test_the_sdk_for_javascript(listening, tmp_path):
    agent = listening
    exporter = "@opentelemetry/exporter-{}-otlp-{}"
    ways = ["http", "proto", "grpc"]
    names = [exporter.format(signal, way) for signal in ("trace", "metrics") for way in ways]
    npm(tmp_path, "@opentelemetry/api", "@opentelemetry/sdk-trace-node", "@opentelemetry/sdk-metrics", "@opentelemetry/resources", *names)
    script = tmp_path / "send.js"
    script.write_text(SCRIPT)
    for way in ways:
        port = agent.grpc if way == "grpc" else agent.http
        command = [program("node"), script, exporter.format("trace", way), exporter.format("metrics", way), way, str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        seen = agent.scrape()
        of = dict(service="js", span=f"{way} work", kind="server")
        assert seen.value("neural_span_duration_seconds_count", **of) == 40, way
        assert seen.value("neural_span_duration_seconds_sum", **of) == pytest.approx(0.8)
        assert seen.value("neural_span_failures_total", **of) == 10
        assert seen.value(f"{way}_jobs_total", service="js") == 11
        for bound, count in ((1, 1), (2, 2), (math.inf, 3)):
            assert bucket(seen, f"{way}_job_seconds", bound, service="js") == count
        assert seen.value(f"{way}_job_seconds_sum", service="js") == 4.5
    assert agent.scrape().account("otlp")["faults"] == 0
