"""What the agent writes, read by parsers that other people wrote, and what others write, read by the agent.

Independent: both parsers and the exporter of Python's `prometheus_client`, and promtool.
"""
from __future__ import annotations

import gzip
import json
import math
import socket
import subprocess
import threading

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Enum,
    Gauge,
    Histogram,
    Info,
    Summary,
    parser as classic,
    start_http_server,
)
from prometheus_client.openmetrics import parser as openmetrics

from conftest import CLASSIC, OPENMETRICS, PROGRAM, free_port, program, stage, udp, unix


def promtool_says(text: bytes) -> str:
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, timeout=60)
    said = done.stdout.decode() + done.stderr.decode()
    return said if done.returncode == 0 else f"exit status {done.returncode}\n{said}"


@pytest.fixture
def demo(agents, tmp_path):
    """The demo, on sockets of its own."""
    agent = agents("demo")
    runtime = tmp_path / "run"
    runtime.mkdir()
    environment = {"RUNTIME_DIRECTORY": str(runtime), "STATE_DIRECTORY": str(tmp_path / "state")}
    agent.start(environment, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{agent.port}"])
    agent.until(lambda s: s.value("neural_stage_duration_seconds_count") > 20, 30)
    return agent


def test_the_demo_is_clean(demo):
    # Long enough for everything that is derived once a second, or read every five.
    demo.until(lambda s: s.series("neural_stage_peak_rate_hertz") and s.series("neural_llm_calls_total"), 30)
    status, headers, text = demo.get("/metrics", {"Accept": CLASSIC})
    assert promtool_says(text) == ""
    names = {family.name for family in classic.text_string_to_metric_families(text.decode())}
    strict = demo.scrape_openmetrics()
    assert "neural_stage_duration_seconds" in names and len(names) > 60
    # The stricter format has the same metrics under the same names, but for what only one of them can say.
    assert len({family.name for family in strict.families}) >= len(names) - 2
    assert strict.text.endswith("# EOF\n")


def test_the_demo_says_what_it_shows(demo):
    told = demo.told()
    assert f"http://127.0.0.1:{demo.port}/" in told and "socat" in told
    status, headers, page = demo.get("/sources")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert b"href=metrics" in page and b"jsonl" in page


def test_negotiation_and_compression(agent):
    agent.configure([])
    agent.start()
    for accept, kind in [
        (None, "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        (CLASSIC, "text/plain; version=0.0.4"),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text;version=0.0.1;q=0.2,text/plain;version=0.0.4;q=0.9", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"),
    ]:
        status, headers, body = agent.get("/metrics", {"Accept": accept} if accept else {})
        assert status == 200 and headers["Content-Type"].startswith(kind), (accept, headers["Content-Type"])
        assert body.endswith(b"# EOF\n") == kind.startswith("application"), accept
    status, headers, packed = agent.get("/metrics", {"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip"
    assert b"neural_agent_build" in gzip.decompress(packed)
    assert agent.request("POST", "/metrics")[0] == 405
    assert agent.get("/nothing")[0] == 404
    assert agent.get("/-/healthy")[0] == 200


ODD = ['"quoted"', "back\\slash", "new\nline", "tab\tbed", "ünïcödé", "脳", "{a=\"b\"}", "# HELP", " spaces ", "\u2028", "a" * 300, "a" * 300 + "b"]


def cut(value: str) -> str:
    """A value over the limit: its beginning and a hash of the whole (FNV-1a)."""
    hashed = 0xCBF29CE484222325
    for byte in value.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64
    return f"{value[:239]}#{hashed:016x}"


def test_odd_label_values_survive_both_formats(agent):
    port = free_port(socket.SOCK_DGRAM)
    agent.configure(
        [
            {"jsonl": {"name": "odd", "listen": f"unix:{agent.path('odd.sock')}"}},
            {"statsd": {"name": "tags", "listen": f"udp://127.0.0.1:{port}"}},
        ]
    )
    agent.start()
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    lines = []
    for value in ODD:
        lines.append(stage(value, value, outcome="error", error=value, trace=trace, items=3))
        lines.append(json.dumps({"metric": "lab_odd", "type": "gauge", "value": 1.5, "labels": {"v": value}}).encode())
        lines.append(json.dumps({"metric": "lab_odd_things", "type": "counter", "value": 2, "labels": {"v": value}}).encode())
        lines.append(json.dumps({"metric": "lab_odd_spread", "type": "histogram", "value": 0.3, "labels": {"v": value}}).encode())
    lines.append(json.dumps({"metric": "lab_tiny", "value": 5e-324}).encode())
    lines.append(json.dumps({"metric": "lab_huge", "value": 1.7976931348623157e308}).encode())
    lines.append(json.dumps({"metric": "lab_deep", "value": -0.1}).encode())
    with unix(agent.path("odd.sock")) as client:
        client.sendall(b"\n".join(lines) + b"\n")
    with udp(port) as client:
        client.send("lab.tagged-name.with/odd+things:1|c|#ключ:значение,plain,a.b:c d".encode())
    agent.until_all("tags", 1)
    agent.until_all("odd", len(lines))
    plain, strict = agent.scrape(), agent.scrape_openmetrics()
    for seen in (plain, strict):
        for value in ODD:
            kept = value if len(value.encode()) <= 256 else cut(value)
            assert seen.value("neural_stage_duration_seconds_count", pipeline=kept, stage=kept) == 1, value
            assert seen.value("neural_stage_errors_total", error=kept) == 1, value
            assert seen.value("lab_odd", v=kept) == 1.5
            assert seen.value("lab_odd_things_total", v=kept) == 2
            assert seen.value("lab_odd_spread_count", v=kept) == 1
        assert seen.value("lab_tiny") == 5e-324
        assert seen.value("lab_huge") == 1.7976931348623157e308
        assert seen.value("lab_deep") == -0.1
    # The two that are too long are still two, and each series says that it was cut.
    assert plain.value("neural_agent_label_values_truncated_total") >= 6
    exemplars = [s.exemplar for s in strict.samples["neural_stage_duration_seconds_bucket"] if s.exemplar]
    assert exemplars and all(e.labels == {"trace_id": trace} and e.value == 0.02 for e in exemplars)


def test_created_series_are_understood(agent):
    agent.configure(
        [{"jsonl": {"name": "made", "listen": f"unix:{agent.path('made.sock')}"}}], exposition={"created": True}
    )
    agent.start()
    with unix(agent.path("made.sock")) as client:
        client.sendall(stage("p") + b"\n")
    agent.until_all("made", 1)
    strict = agent.scrape_openmetrics()
    assert strict.series("neural_stage_duration_seconds_created", pipeline="p"), strict.text


def test_scraped_values_come_through(agent):
    registry = CollectorRegistry()
    counter = Counter("engine_requests", "Requests", ["model"], registry=registry)
    counter.labels('odd "name"\\').inc(41.5)
    counter.labels("b").inc(7)
    Gauge("engine_temperature_celsius", "How warm", registry=registry).set(-12.25)
    Gauge("engine_unknowable", "Not a number", registry=registry).set(math.nan)
    spread = Histogram("engine_latency_seconds", "Latency", buckets=(0.1, 1, 10), registry=registry)
    for seconds in (0.05, 0.5, 0.5, 5, 50):
        spread.observe(seconds)
    summary = Summary("engine_size_bytes", "Sizes", registry=registry)
    summary.observe(100)
    summary.observe(20)
    Info("engine_build", "Build", registry=registry).info({"version": "1.2"})
    Enum("engine_state", "State", states=["idle", "busy"], registry=registry).state("busy")
    Gauge("unwanted_thing", "Not asked for", registry=registry).set(1)
    port = free_port()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    try:
        agent.configure(
            [
                {
                    "scrape": {
                        "name": "engine",
                        "url": f"http://127.0.0.1:{port}/metrics",
                        "interval": "200ms",
                        "timeout": "150ms",
                        "keep": ["engine_.*"],
                        "labels": {"rig": "north"},
                    }
                }
            ]
        )
        agent.start()
        seen = agent.until(lambda s: s.value("engine_requests_total", model="b") == 7)
        assert seen.value("engine_requests_total", model='odd "name"\\') == 41.5
        assert seen.value("engine_temperature_celsius", rig="north") == -12.25
        assert math.isnan(seen.value("engine_unknowable"))
        for le, count in (("0.1", 1), ("1.0", 3), ("10.0", 4), ("+Inf", 5)):
            found = [s for s in seen.series("engine_latency_seconds_bucket") if float(s.labels["le"]) == float(le)]
            assert [s.value for s in found] == [count], (le, found)
        assert seen.value("engine_latency_seconds_sum") == pytest.approx(56.05)
        assert seen.value("engine_size_bytes_sum") == 120 and seen.value("engine_size_bytes_count") == 2
        assert seen.value("engine_state", engine_state="busy") == 1
        assert seen.value("engine_state", engine_state="idle") == 0
        assert seen.value("engine_build_info", version="1.2") == 1
        assert not seen.series("unwanted_thing")
        assert seen.value("neural_source_up", source="engine") == 1
        # The next answer replaces the last one: nothing is added twice.
        counter.labels("b").inc()
        agent.until(lambda s: s.value("engine_requests_total", model="b") == 8)
        agent.scrape_openmetrics()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    gone = agent.until(
        lambda s: s.value("neural_source_up", source="engine") == 0 and s.value("neural_source_poll_success", source="engine") == 0
    )
    assert not gone.series("engine_temperature_celsius"), "the last value of a vanished thing is not shown"


def test_an_agent_can_be_scraped_by_an_agent(agents):
    first, second = agents("first"), agents("second")
    first.configure([{"jsonl": {"name": "in", "listen": f"unix:{first.path('in.sock')}"}}])
    first.start()
    with unix(first.path("in.sock")) as client:
        client.sendall(b"\n".join(stage("far", seconds=s) for s in (0.001, 0.02, 3.0)) + b"\n")
    first.until_all("in", 3)
    second.configure(
        [
            {
                "scrape": {
                    "name": "relay",
                    "url": f"http://127.0.0.1:{first.port}/metrics",
                    "interval": "200ms",
                    "timeout": "150ms",
                    "relabel": [
                        {"source_labels": ["__name__"], "regex": "neural_(.*)", "target_label": "__name__", "replacement": "far_$1"}
                    ],
                }
            }
        ]
    )
    second.start()
    seen = second.until(lambda s: s.value("far_stage_duration_seconds_count", pipeline="far") == 3)
    assert seen.value("far_stage_duration_seconds_sum", pipeline="far") == pytest.approx(3.021)
    # Both have process metrics: those of the agent that answers have no labels.
    strict = second.scrape_openmetrics()
    assert [s.labels for s in strict.series("process_cpu_seconds_total")] == [{}, {"source": "relay"}]
    assert strict.value("process_open_fds", source="relay") > 0
    assert not strict.series("neural_source_errors_total")
    assert strict.value("neural_source_events_total", source="relay") > 0


def test_scrapes_during_a_load_parse_and_never_go_back(agent):
    agent.configure([{"jsonl": {"name": "load", "listen": f"unix:{agent.path('load.sock')}"}}])
    agent.start()
    stop = threading.Event()
    sent = [0]

    def send() -> None:
        with unix(agent.path("load.sock")) as client:
            while not stop.is_set():
                block = [stage(f"p{i % 7}", f"s{(sent[0] + i) % 11}", 0.001 * (i % 50)) for i in range(200)]
                client.sendall(b"\n".join(block) + b"\n")
                sent[0] += len(block)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        last = 0.0
        for turn in range(15):
            seen = agent.scrape_openmetrics() if turn % 2 else agent.scrape()
            count = seen.value("neural_stage_duration_seconds_count")
            assert count >= last
            last = count
            # Within a series a scrape is of one moment: the last bucket is the count.
            inf = {(s.labels["pipeline"], s.labels["stage"]): s.value for s in seen.series("neural_stage_duration_seconds_bucket", le="+Inf")}
            for s in seen.series("neural_stage_duration_seconds_count"):
                assert inf[s.labels["pipeline"], s.labels["stage"]] == s.value
    finally:
        stop.set()
        sender.join()
    agent.until_all("load", sent[0])
