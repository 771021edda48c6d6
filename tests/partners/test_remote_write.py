"""What is sent by remote write is what the history has, over an outage and a kill, and a receiver is treated as the specification says.

Independent: Prometheus and VictoriaMetrics as receivers; a played receiver that answers with what the test says and holds each request against
the specification with protobuf's own library (`write_requests`).
"""
from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import pytest

from conftest import Agent, free_port, program, unix, stage, wait_until
from write_requests import V1, V2, Request

FAST = {"interval": "1s", "flush": "1s"}
# Seconds of the outage; by hand 300, with the history as it is by default.
OUTAGE = float(os.environ.get("OUTAGE", "4"))


class Receiver:
    """A server whose answers are given; it keeps what it was sent."""

    def __init__(self, *answers, then=(204, {})):
        self.answers, self.then, self.got = list(answers), then, []
        own = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers = own.answers.pop(0) if own.answers else own.then
                received = {name.lower(): value for name, value in self.headers.items()}
                own.got.append((time.monotonic(), status, received, body))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/write"

    def requests(self) -> list[Request]:
        """Those that it took, each held against the specification."""
        return [Request(headers, body) for _, status, headers, body in list(self.got) if status < 300]


def target(url: str, **more) -> dict:
    return {"url": url, "name": "t", "queue_config": {"max_backoff": "200ms", "max_samples_per_send": 100_000}, **more}


def written(agent: Agent, name: str, **labels) -> float:
    return agent.scrape().value(f"neural_remote_write_{name}", target="t", **labels)


def test_a_receiver_is_asked_again_where_that_may_help_and_nowhere_else(agent: Agent):
    # The second request says what families are; samples do not wait for it.
    receiver = Receiver((204, {}), (500, {}), (500, {}), (503, {}), (429, {"Retry-After": "2"}), (204, {}), (400, {}))
    agent.configure([], history=FAST, remote_write=[target(receiver.url, headers={"X-Lab": "one"}, tenant="lab")])
    agent.start()
    wait_until(lambda: len(receiver.got) >= 8, 30, "the requests")
    statuses = [status for _, status, *_ in receiver.got[:8]]
    assert statuses == [204, 500, 500, 503, 429, 204, 400, 204]
    times, bodies = [at for at, *_ in receiver.got], [body for *_, body in receiver.got]
    assert bodies[2] == bodies[3] == bodies[4] == bodies[5], "the same request is sent again"
    assert len(set(bodies[i] for i in (0, 1, 2, 6, 7))) == 5, "what was rejected is not, nor is what explains"
    assert times[5] - times[4] >= 2, "Retry-After is waited for"
    headers = receiver.got[1][2]
    assert headers["content-encoding"] == "snappy"
    assert headers["content-type"] == f"application/x-protobuf;proto={V1}"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert headers["user-agent"].startswith("neural-exporter/")
    assert (headers["x-lab"], headers["x-scope-orgid"]) == ("one", "lab")
    assert written(agent, "retries_total") == 3
    assert written(agent, "dropped_samples_total", reason="rejected") > 100
    assert written(agent, "samples_total") > 100
    assert Request(receiver.got[1][2], receiver.got[1][3]).metadata["neural_history_series"].type == 2
    assert all(request.series for request in receiver.requests())


def test_who_does_not_know_the_second_version_gets_the_first(agent: Agent):
    receiver = Receiver((415, {}))
    agent.configure([], history=FAST, remote_write=[target(receiver.url, protobuf_message=V2)])
    agent.start()
    wait_until(lambda: len(receiver.got) >= 3, 20, "the requests")
    kinds = [(headers["content-type"].split("proto=")[1], status) for _, status, headers, _ in receiver.got[:3]]
    assert kinds == [(V2, 415), (V1, 204), (V1, 204)]
    assert written(agent, "dropped_samples_total", reason="rejected") == 0


def test_what_a_receiver_says_that_it_wrote_is_counted(agent: Agent):
    receiver = Receiver(then=(204, {"X-Prometheus-Remote-Write-Samples-Written": "7"}))
    agent.configure([], history=FAST, remote_write=[target(receiver.url, protobuf_message=V2)])
    agent.start()
    wait_until(lambda: len(receiver.got) >= 3, 20, "the requests")
    assert {headers["content-type"].split("proto=")[1] for _, _, headers, _ in receiver.got} == {V2}
    sent = agent.until(lambda scrape: scrape.value("neural_remote_write_samples_total", target="t") >= 14)
    assert sent.value("neural_remote_write_samples_total", target="t") % 7 == 0
    assert sent.value("neural_remote_write_dropped_samples_total", target="t", reason="not_written") > 100


@pytest.mark.parametrize("message", [V1, V2])
def test_every_request_is_as_the_specification_says(agent: Agent, message: str):
    taken = {f"X-Prometheus-Remote-Write-{name}-Written": "1000000" for name in ("Samples", "Exemplars")}
    receiver = Receiver(then=(204, taken))
    path = agent.path("events")
    relabel = [
        {"source_labels": ["source"], "regex": "p", "target_label": "source", "replacement": ""},
        {"source_labels": ["__name__"], "regex": "(neural_stage_.*)", "target_label": "a_new_one", "replacement": "$1"},
    ]
    queue = {"max_samples_per_send": 50}
    settings = target(receiver.url, protobuf_message=message, write_relabel_configs=relabel, queue_config=queue)
    agent.configure([{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}], history=FAST, remote_write=[settings], exposition={"created": True})
    agent.start()
    for trace in "abc":
        seen = len(receiver.got)
        unix(path).sendall(stage("p", trace=trace * 32) + b"\n")
        wait_until(lambda: any(one for request in receiver.requests()[seen:] for *_, one, _ in request.series), 10, "the exemplar")
    requests = receiver.requests()
    assert all(len(request.series) <= 50 for request in requests)
    series = [one for request in requests for one in request.series]
    traces = [own["trace_id"] for _, _, exemplars, _ in series for own, value, _ in exemplars if value == 0.02]
    assert traces == ["a" * 32, "b" * 32, "c" * 32], "each once and in order"
    ours = [one for one in series if one[0]["__name__"] == "neural_source_events_total" and "source" not in one[0]]
    assert ours and ours[0][0]["instance"] == f"127.0.0.1:{agent.port}"
    counts = [one for one in series if one[0]["__name__"] == "neural_stage_duration_seconds_count"]
    assert counts and all(one[0]["a_new_one"] == one[0]["__name__"] for one in counts)
    if message == V2:
        began = agent.scrape_openmetrics().value("neural_stage_duration_seconds_created", pipeline="p", stage="s")
        starts = {sample.start_timestamp for *_, one in counts for sample in one.samples} | {one.created_timestamp for *_, one in counts}
        assert starts == {began * 1000}
        assert counts[-1][3].metadata.type == 3
        gauges = [one for one in series if one[0]["__name__"] in ("up", "neural_source_up", "neural_stage_duration_seconds_created")]
        assert {one[0]["__name__"] for one in gauges} == {"up", "neural_source_up", "neural_stage_duration_seconds_created"}
        assert not any(sample.start_timestamp for *_, one in gauges for sample in one.samples)
    assert written(agent, "exemplars_total") == written(agent, "exemplars_total", result="sent") == 3


class Server:
    """A real server that takes remote write."""

    def __init__(self, name: str, folder, port: int, *flags: str):
        self.folder, self.port = folder, port
        folder.mkdir(exist_ok=True)
        (folder / "prometheus.yml").write_text("global: {scrape_interval: 1s}\n")
        address = f"127.0.0.1:{port}"
        self.command = {
            "prometheus": [
                f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address={address}", "--web.enable-remote-write-receiver", "--log.level=warn",
            ],
            "victoria-metrics": [
                f"-storageDataPath={folder}/data", f"-httpListenAddr={address}", "-search.latencyOffset=0s",
                "-search.disableCache", "-search.maxStalenessInterval=5m",
            ],
        }[name]
        self.command = [program(name), *self.command, *flags]
        self.path = "/-/ready" if name == "prometheus" else "/health"
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=open(self.folder / "log", "ab"))
        wait_until(self.ready, 60, "the start of the server")

    def ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path}", timeout=2).status == 200
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def samples(self, selector: str) -> list:
        return samples(f"http://127.0.0.1:{self.port}", selector)


def samples(root: str, selector: str) -> list:
    query = urllib.parse.urlencode({"query": f"{selector}[{600 + int(OUTAGE)}s]"})
    with urllib.request.urlopen(f"{root}/api/v1/query?{query}", timeout=10) as answer:
        result = json.load(answer)["data"]["result"]
    # VictoriaMetrics shows the marks of staleness, as NaN.
    return sorted((sorted(one["metric"].items()), [v for v in one["values"] if v[1] != "NaN"]) for one in result)


def knows(name: str, message: str) -> None:
    """Skips where the server is not there or does not know the version."""
    if name != "prometheus" and not shutil.which(name):
        pytest.skip(f"{name} is not there: see `make newer`")
    said = subprocess.run([program(name), "--version"], capture_output=True, text=True)
    if message == V2 and " version 2." in said.stdout + said.stderr:
        pytest.skip("this Prometheus does not know the second version: see `make newer`")


@pytest.mark.versions
@pytest.mark.parametrize("message", [V1, V2])
def test_a_prometheus_has_the_exemplars_and_knows_when_counters_began(agent: Agent, tmp_path, message: str):
    knows("prometheus", message)
    features = "exemplar-storage" + (",created-timestamp-zero-ingestion" if message == V2 else "")
    server = Server("prometheus", tmp_path / "server", free_port(), f"--enable-feature={features}")
    try:
        path = agent.path("events")
        agent.configure(
            [{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}],
            history=FAST,
            remote_write=[target(f"http://127.0.0.1:{server.port}/api/v1/write", protobuf_message=message)],
            exposition={"created": True},
        )
        agent.start()
        wait_until(lambda: written(agent, "samples_total"), 10, "the first samples")
        roots = [f"http://127.0.0.1:{port}" for port in (agent.port, server.port)]
        selector = 'neural_stage_duration_seconds_bucket{pipeline="p"}'
        for trace in "abc":
            unix(path).sendall(stage("p", trace=trace * 32) + b"\n")
            wait_until(lambda: trace * 32 in str(exemplars(roots[1], selector)), 10, f"the exemplar {trace} there")
        ours, theirs = (exemplars(root, selector) for root in roots)
        assert ours == theirs and len(ours) == 3
        if message == V2:
            # The server puts a zero where a counter began.
            began = agent.scrape_openmetrics().value("neural_stage_duration_seconds_created", pipeline="p", stage="s")
            (count,) = server.samples('neural_stage_duration_seconds_count{pipeline="p"}')
            assert count[1][0] == [began, "0"] and count[1][1][1] == "1", count
    finally:
        server.stop()


def exemplars(root: str, selector: str) -> list:
    query = urllib.parse.urlencode({"query": selector, "start": time.time() - 600, "end": time.time() + 60})
    with urllib.request.urlopen(f"{root}/api/v1/query_exemplars?{query}", timeout=10) as answer:
        result = json.load(answer)["data"]
    all = [(one["seriesLabels"], each["labels"], float(each["value"]), each["timestamp"]) for one in result for each in one["exemplars"]]
    return sorted((sorted(series.items()), sorted(own.items()), value, round(at, 3)) for series, own, value, at in all)


@pytest.mark.versions
@pytest.mark.parametrize("message", [V1, V2])
@pytest.mark.parametrize("name", ["prometheus", "victoria-metrics"])
def test_a_server_has_what_the_history_has_over_an_outage_and_a_kill(agent: Agent, tmp_path, name: str, message: str):
    knows(name, message)
    server = Server(name, tmp_path / "server", free_port())
    try:
        path = agent.path("events")
        agent.configure(
            [{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}],
            history=FAST if OUTAGE < 60 else {},
            remote_write=[target(f"http://127.0.0.1:{server.port}/api/v1/write", protobuf_message=message)],
        )
        agent.start()
        began = time.time()
        selector = 'neural_source_events_total{source="p"}'
        root = f"http://127.0.0.1:{agent.port}"
        wait_until(lambda: server.samples(selector), 20, "the first samples")
        server.stop()
        outage = time.time()
        for events in range(1, 4):
            unix(path).sendall(stage("d") + b"\n")
            # Each is in a scrape of its own.
            wait_until(lambda: float(samples(root, selector)[0][1][-1][1]) == events, 10, "the event in the history")

        def lasts(share: float) -> bool:
            # After a start the history is empty for a moment.
            return any(values[-1][0] > outage + share * OUTAGE for _, values in samples(root, selector))

        wait_until(lambda: lasts(1 if OUTAGE < 60 else 0.5), OUTAGE + 10, "the begin of the outage")
        agent.process.kill()
        agent.process.wait()
        agent.start()
        wait_until(lambda: lasts(1), OUTAGE + 10, "the outage")
        agent.until(lambda scrape: scrape.value("neural_remote_write_retries_total", target="t") > 0)
        server.start()

        def both() -> tuple[list, list]:
            """Everything that the history and the server have of the two lives, but for what is under way."""
            until = time.time() - 3
            cut = lambda all: [
                (labels, [v for v in values if began < v[0] < until]) for labels, values in all
            ]
            return cut(samples(root, selector)), cut(server.samples(selector))

        def equal() -> bool:
            own, there = both()
            return any(v[0] > outage and v[1] == "2" for v in own[0][1]) and own == there

        try:
            wait_until(equal, 30, "the same samples")
        except AssertionError:
            own, there = both()
            # What differs is shown.
            assert own == there, agent.told()
            raise
        assert agent.scrape().value("neural_remote_write_dropped_samples_total", target="t", reason="rejected") == 0
        assert agent.scrape().value("neural_remote_write_lost_seconds_total", target="t") == 0
    finally:
        server.stop()
