"""What is sent as OTLP metrics is what a scrape shows, and a receiver is treated as the specification says.

Independent: the messages of OpenTelemetry's own Python package, read by protobuf's library.
"""
from __future__ import annotations

import gzip
import http.server
import threading
import time

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.metrics.v1 import metrics_pb2

from conftest import Agent, stage, unix, wait_until
from write_requests import known

FAST = {"interval": "1s", "flush": "1s"}
CUMULATIVE = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE


class Collector:
    """A receiver of OTLP whose answers are given; each request is held against the specification."""

    def __init__(self, *answers, then=(200, {}, b"")):
        self.answers, self.then, self.got = list(answers), then, []
        own = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, answer = own.answers.pop(0) if own.answers else own.then
                received = {name.lower(): value for name, value in self.headers.items()}
                own.got.append((time.monotonic(), status, self.path, received, body))
                self.send_response(status)
                for name, value in {"Content-Type": "application/x-protobuf", **headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def requests(self) -> list:
        return [read(headers, body) for _, status, _, headers, body in list(self.got) if status == 200]

    def points(self, name: str, **attributes) -> list:
        """The points of a metric with these attributes, and what the metric is."""
        found = []
        for request in self.requests():
            for metric in all_metrics(request):
                if metric.name == name:
                    data = getattr(metric, metric.WhichOneof("data"))
                    found += [(metric, point) for point in data.data_points if texts(point.attributes).items() >= attributes.items()]
        return found


def texts(attributes) -> dict:
    assert len({one.key for one in attributes}) == len(attributes), "a key twice"
    assert all(one.value.WhichOneof("value") == "string_value" for one in attributes)
    return {one.key: one.value.string_value for one in attributes}


def read(headers: dict, body: bytes):
    """A request, held against what the protocol and its data model say."""
    assert headers["content-encoding"] == "gzip" and headers["content-type"] == "application/x-protobuf"
    assert headers["user-agent"].startswith("neural-exporter/") and "x-prometheus-remote-write-version" not in headers
    request = service.ExportMetricsServiceRequest()
    request.ParseFromString(gzip.decompress(body))
    known(request)
    assert request.resource_metrics
    for resource in request.resource_metrics:
        own = texts(resource.resource.attributes)
        (scope,) = resource.scope_metrics
        # What rules make may be of no instance, or of none at all.
        whole = own.keys() == {"service.name", "service.instance.id"} and all(own.values())
        assert whole or all(":" in metric.name or metric.name.startswith("ALERTS") for metric in scope.metrics)
        assert scope.scope.name == "neural-exporter" and scope.scope.version
        for metric in scope.metrics:
            metric_is_lawful(metric)
    return request


def metric_is_lawful(metric) -> None:
    kind = metric.WhichOneof("data")
    data = getattr(metric, kind)
    assert metric.name and data.data_points and texts(metric.metadata).keys() == {"prometheus.type"}
    if kind in ("sum", "histogram"):
        assert data.aggregation_temporality == CUMULATIVE
    before = {}
    for point in data.data_points:
        attributes = texts(point.attributes)
        assert not {"__name__", "job", "instance"} & attributes.keys()
        key = tuple(sorted(attributes.items()))
        assert point.time_unix_nano > before.get(key, 0), "in order"
        before[key] = point.time_unix_nano
        assert point.start_time_unix_nano <= point.time_unix_nano
        if point.flags & metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
            assert kind not in ("sum", "gauge") or point.WhichOneof("value") is None
        elif kind == "histogram":
            assert sum(point.bucket_counts) == point.count and len(point.bucket_counts) == len(point.explicit_bounds) + 1
            assert list(point.explicit_bounds) == sorted(set(point.explicit_bounds))
        elif kind in ("sum", "gauge"):
            assert point.WhichOneof("value") == "as_double"


def target(url: str, **more) -> dict:
    queue = {"max_backoff": "200ms", "max_samples_per_send": 100_000}
    return {"url": url, "name": "t", "protobuf_message": "otlp", "queue_config": queue, **more}


def written(agent: Agent, name: str, **labels) -> float:
    return agent.scrape().value(f"neural_remote_write_{name}", target="t", **labels)


def test_every_number_of_a_scrape_is_found_again(agent: Agent):
    collector, path = Collector(), agent.path("events")
    token = agent.path("token")
    with open(token, "w") as file:
        file.write("secret\n")
    settings = target(collector.url, authorization={"credentials_file": str(token)}, headers={"X-Lab": "one"}, queue_config={"max_samples_per_send": 40})
    agent.configure([{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}], history=FAST, remote_write=[settings])
    agent.start()
    unix(path).sendall(stage("p", trace="a" * 32) + b"\n")
    wait_until(lambda: any(point.exemplars for _, point in collector.points("neural_stage_duration_seconds")), 15, "the exemplar")
    _, _, where, headers, _ = collector.got[0]
    assert (where, headers["authorization"], headers["x-lab"]) == ("/v1/metrics", "Bearer secret", "one")

    # The histogram: buckets, sum, count, begin, exemplar, unit.
    scrape = agent.scrape_openmetrics()
    metric, point = collector.points("neural_stage_duration_seconds", pipeline="p", stage="s")[-1]
    assert (metric.unit, texts(metric.metadata)) == ("s", {"prometheus.type": "histogram"}) and metric.description
    assert point.sum == scrape.value("neural_stage_duration_seconds_sum", pipeline="p", stage="s")
    assert point.count == scrape.value("neural_stage_duration_seconds_count", pipeline="p", stage="s") == 1
    below = 0
    for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts):
        below += count
        le = "+Inf" if bound == float("inf") else str(bound)
        assert below == scrape.value("neural_stage_duration_seconds_bucket", pipeline="p", stage="s", le=le)
    (exemplar,) = [one for _, point in collector.points("neural_stage_duration_seconds") for one in point.exemplars]
    assert exemplar.trace_id == b"\xaa" * 16 and exemplar.as_double == 0.02
    assert point.start_time_unix_nano > time.time_ns() - 60e9

    # A counter and a gauge.
    metric, point = collector.points("neural_source_events_total", source="p")[-1]
    assert metric.WhichOneof("data") == "sum" and metric.sum.is_monotonic
    assert point.as_double == scrape.value("neural_source_events_total", source="p") == 1
    metric, point = collector.points("neural_source_up", source="p")[-1]
    assert metric.WhichOneof("data") == "gauge" and point.as_double == 1
    # Every family of a scrape arrives, under the name that its series have there.
    ends = {"counter": "_total", "info": "_info"}
    kinds = dict(line.split()[2:4] for line in scrape.text.splitlines() if line.startswith("# TYPE "))
    shown = {name + ends.get(kind, "") for name, kind in kinds.items() if f"\n{name}" in scrape.text}
    assert len(shown) > 50
    sent = lambda: {metric.name for request in collector.requests() for metric in all_metrics(request)}
    wait_until(lambda: not shown - sent(), 10, "every family")
    assert all(len(all_points(request)) <= 40 for request in collector.requests())
    assert written(agent, "dropped_samples_total") == 0
    assert written(agent, "exemplars_total", result="sent") == 1


def all_metrics(request) -> list:
    return [metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics]


def all_points(request) -> list:
    return [point for metric in all_metrics(request) for point in getattr(metric, metric.WhichOneof("data")).data_points]


def test_a_receiver_is_asked_again_where_the_specification_says_and_nowhere_else(agent: Agent):
    partial = service.ExportMetricsServiceResponse(partial_success={"rejected_data_points": 7, "error_message": "seven of them"})
    # A google.rpc.Status with a message.
    busy = b"\x12\x08too busy"
    collector = Collector(
        (503, {}, busy), (502, {}, b""), (429, {"Retry-After": "2"}, b""), (200, {}, partial.SerializeToString()), (500, {}, b""), (413, {}, b""),
    )
    agent.configure([], history=FAST, remote_write=[target(collector.url + "/custom")])
    agent.start()
    wait_until(lambda: len(collector.got) >= 7, 30, "the requests")
    statuses = [status for _, status, *_ in collector.got[:7]]
    assert statuses == [503, 502, 429, 200, 500, 413, 200]
    times, bodies = [at for at, *_ in collector.got], [body for *_, body in collector.got]
    assert bodies[0] == bodies[1] == bodies[2] == bodies[3], "the same request is sent again"
    assert len({bodies[i] for i in (3, 4, 5, 6)}) == 4, "what is refused is not"
    assert times[3] - times[2] >= 2, "Retry-After is waited for"
    assert {path for _, _, path, *_ in collector.got} == {"/custom"}
    lost = len(all_points(read(*collector.got[4][3:]))) + len(all_points(read(*collector.got[5][3:])))
    agent.until(lambda scrape: scrape.value("neural_remote_write_dropped_samples_total", target="t", reason="rejected") == lost)
    assert written(agent, "dropped_samples_total", reason="not_written") == 7
    assert written(agent, "retries_total") == 3
    assert "remote write to t is tried again until it succeeds" in agent.told() and "503: too busy" in agent.told()
    assert "t does not take 7 samples: seven of them" in agent.told()


def test_a_series_that_ends_has_a_point_without_a_value(agent: Agent):
    collector, path = Collector(), agent.path("events")
    source = {"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}
    agent.configure([source], history=FAST, remote_write=[target(collector.url)])
    agent.start()
    wait_until(lambda: collector.points("neural_source_up", source="p"), 15, "the source")
    agent.configure([], history=FAST, remote_write=[target(collector.url)])
    assert agent.reload()[0] == 200

    def ended() -> bool:
        points = collector.points("neural_source_up", source="p")
        return points[-1][1].flags == metrics_pb2.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK

    wait_until(ended, 15, "the end")


def test_what_a_collector_missed_is_sent_after_a_kill(agent: Agent):
    collector, path = Collector(then=(503, {}, b"")), agent.path("events")
    agent.configure([{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}], history=FAST, remote_write=[target(collector.url)])
    agent.start()
    agent.until(lambda scrape: scrape.value("neural_remote_write_retries_total", target="t") > 0)
    began = time.time_ns()
    wait_until(lambda: time.time_ns() > began + 4e9, 10, "an outage")
    agent.process.kill()
    agent.process.wait()
    killed = time.time_ns()
    agent.start()
    collector.then = (200, {}, b"")

    def times() -> list:
        return [point.time_unix_nano for _, point in collector.points("neural_source_up", source="p")]

    wait_until(lambda: any(at > killed for at in times()), 20, "the second life")
    of = times()
    assert len([at for at in of if began < at < killed]) >= 2 and of == sorted(set(of))
