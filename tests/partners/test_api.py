"""The API: the document against the server, the routes of the systems that the agent replaces, and the clients of the documentation.

Independent: schemathesis, jsonschema, Node (Playwright's), Python.
"""
from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import playwright
import pytest

from conftest import ROOT, unix, wait_until

NODE = Path(playwright.__file__).parent / "driver/node"
# How long schemathesis looks: `make api` has it look for ten minutes.
SECONDS = int(os.environ.get("SCHEMATHESIS_SECONDS", "40"))


@pytest.fixture
def lab(agent):
    """An agent with a pipeline that runs and fails, a cache, a model, a queue and a service."""
    agent.configure(
        [
            {"jsonl": {"name": "pipeline", "listen": [f"unix:{agent.path('events.sock')}"]}},
            {"host": {"interval": "1s"}},
            {"process": {"interval": "1s", "groups": [{"name": "agent", "command": "neural-exporter"}]}},
        ],
        history={"interval": "1s", "flush": "1s"},
        pipelines=[{"name": "decoder", "stages": ["filter", "classify"], "queues": ["epochs"]}],
        respond={
            "notify": True,
            "tasks": [{"name": "tidy", "every": "1h", "do": {"compact": {}}}],
            "incidents": {"webhook": {"enabled": True}},
        },
    )
    agent.start()
    return agent


def feed(agent, rounds: int = 4) -> None:
    """Ten runs a round of two stages, 20 and 80 ms, one in ten of which fails; a second apart."""
    for _ in range(rounds):
        lines = []
        for run in range(10):
            outcome = {"outcome": "error", "error": "timeout"} if run == 0 else {}
            lines.append({"type": "stage", "pipeline": "decoder", "stage": "filter", "seconds": 0.02})
            lines.append({"type": "stage", "pipeline": "decoder", "stage": "classify", "seconds": 0.08, **outcome})
        lines.append({"type": "cache", "pipeline": "decoder", "cache": "epochs", "hits": 3, "misses": 1})
        lines.append({"type": "queue", "pipeline": "decoder", "queue": "epochs", "depth": 7})
        lines.append({"type": "call", "model": "llama", "prompt_tokens": 100, "completion_tokens": 50, "cost": 0.01})
        lines.append({"type": "request", "service": "api", "method": "GET", "route": "/x", "status": 200, "seconds": 0.5})
        with unix(agent.path("events.sock")) as events:
            events.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())
        time.sleep(1.2)


def ask(agent, path: str, method: str = "GET", body=None, status: int = 200, **headers):
    sent = None if body is None else json.dumps(body).encode()
    if sent is not None:
        headers.setdefault("Content-Type", "application/json")
    got, head, text = agent.request(method, path, headers, body=sent)
    assert got == status, (path, got, text[:500])
    kind = head.get("Content-Type", "")
    return json.loads(text) if "json" in kind else text.decode()


def near(value, wanted: float, share: float = 0.02) -> bool:
    return value is not None and abs(value - wanted) <= share * abs(wanted)


def test_the_old_routes_answer_their_examples(lab):
    """Each route with the query and the body that its system documents."""
    feed(lab)
    document = ask(lab, "/api/v1/openapi.json")

    def held(path: str, method: str = "GET", body=None, template: str | None = None):
        answer = ask(lab, path, method, body)
        operation = document["paths"][template or path.split("?")[0]][method.lower()]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(answer, {**schema, "components": document["components"]})
        return answer

    dashboard = held("/api/performance/dashboard")["data"]
    assert dashboard["metrics"]["memory_used_ratio"]["current"] > 0
    assert held("/api/performance/export/dashboard")["exported_at"]
    system = held("/api/performance/system")["data"]
    total = sum(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal")) * 1024
    memory = system["memory"]
    assert near(memory["usage_bytes"] / memory["usage_percent"] * 100, total), memory
    assert near(system["load_average"]["15min"], os.getloadavg()[2], 0.2) and system["cpu_percent"] is not None
    # The page asks of groups of processes what their last survey found.
    of_agent = lambda: held("/api/performance/services/agent", template="/api/performance/services/{name}")["data"]
    wait_until(lambda: of_agent()["threads"] is not None, 30, "the survey of processes")
    service = of_agent()
    assert service["threads"] >= 1 and service["requests"]["count"] is None
    service = held("/api/performance/services/api", template="/api/performance/services/{name}")["data"]
    assert service["requests"]["count"] == 4 and service["requests"]["errors"] in (0, None) and service["threads"] is None
    problem = ask(lab, "/api/performance/services/nothing", status=404)
    assert "nothing" in problem["detail"] and problem["status"] == 404

    stored = {"name": "app.active_users", "value": 150.0, "metric_type": "gauge", "service_name": "application", "tags": {"site": "a"}}
    assert held("/api/performance/metrics", "POST", stored)["data"]["name"] == "app_active_users"
    assert lab.scrape().value("app_active_users", service="application", site="a") == 150
    query = "/api/performance/metrics?metric_name=app.active_users&service_name=application&hours=24&limit=10"
    [*rows] = wait_until(lambda: held(query)["data"]["metrics"], what="the metric in the history")
    assert rows[0]["value"] == 150 and rows[0]["service_name"] == "application" and rows[0]["tags"]["site"] == "a"
    rows = held("/api/performance/metrics?metric_name=neural_queue_depth&limit=3")["data"]["metrics"]
    times = [row["timestamp"] for row in rows]
    assert len(rows) == 3 and times == sorted(times, reverse=True) and rows[0]["value"] == 7, rows
    assert held("/api/performance/metrics?hours=168&limit=10000")["data"]["count"] > 200
    assert held("/api/performance/metrics?metric_name=nothing")["data"]["count"] == 0

    text = ask(lab, "/api/performance/prometheus")
    assert isinstance(text, str) and "neural_stage_duration_seconds_bucket" in text
    health = held("/api/performance/health")["data"]
    assert health["monitoring_active"] and near(health["collection_interval"], 1, 0.3) and health["last_collection"]
    assert held("/api/performance/cleanup?retention_days=30", "POST")["data"] == {"deleted_records": 0, "retention_days": 30}

    live = held("/api/metrics/realtime")
    assert near(live["averageLatency"], 100) and near(live["errorRate"], 5) and near(live["cacheHitRate"], 75), live
    assert live["queueDepth"] == 7 and live["currentThroughput"] > 0
    report = held("/api/metrics/report?window=30")
    assert report["timeWindowMinutes"] == 30 and near(report["averageTotalTime"], 100), report
    stages = report["stageBreakdown"]
    assert near(stages["classify"]["averageDuration"], 80) and near(stages["classify"]["count"], 40, 0.05), stages
    assert near(stages["classify"]["errorRate"], 10) and stages["filter"]["errorCount"] == 0
    assert near(report["cacheEfficiency"]["hitRate"], 75) and near(report["tokenUsage"]["totalTokens"], 600, 0.05)
    assert report["queueMetrics"]["currentDepth"] == 7 and report["queueMetrics"]["maxDepth"] == 7
    issues = held("/api/metrics/issues")
    assert all(issue["severity"] in ("warning", "critical") for issue in issues)


def test_the_old_routes_of_benchmarks(agent):
    """Recorded, listed, read and compared, with the bodies that their system documents; a bad time is not recorded."""
    agent.configure([{"jsonl": {"name": "pipeline", "listen": [f"unix:{agent.path('events.sock')}"]}}], history={"interval": "1s", "flush": "1s"})
    agent.start()

    def runs(seconds: float, took: float, **more) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            line = {"type": "stage", "pipeline": "decoder", "stage": "classify", "seconds": took, **more}
            with unix(agent.path("events.sock")) as events:
                events.sendall((json.dumps(line) + "\n").encode() * 5)
            time.sleep(0.2)

    body = {"name": "production_baseline", "duration_minutes": 60, "services": ["decoder"]}
    where = "/api/performance/benchmarks"
    runs(8, 0.02)
    made = ask(agent, where, "POST", body)
    assert made["message"] == "Benchmark 'production_baseline' created successfully" and made["data"]["lines"], made
    assert all(line["labels"].get("pipeline") == "decoder" for line in made["data"]["lines"])
    listed = ask(agent, where)["data"]
    assert listed["count"] == 1 and listed["benchmarks"][0]["name"] == "production_baseline"
    # Numbers that are read again may differ in their last digit.
    near_all = lambda one, other: [(line["metric"], line["labels"], round(line["mean"], 9)) for line in one] == [
        (line["metric"], line["labels"], round(line["mean"], 9)) for line in other]
    read = ask(agent, f"{where}/production_baseline")["data"]
    assert read["end"] == made["data"]["end"] and near_all(read["lines"], made["data"]["lines"])
    wanted = {"baseline_name": "production_baseline", "duration_minutes": 30}
    compared = ask(agent, f"{where}/production_baseline/compare", "POST", wanted)["data"]
    assert compared["benchmark"] == "production_baseline" and compared["rows"], compared
    regressions = ask(agent, "/api/performance/regressions?hours=24")["data"]
    assert regressions == {"regressions": [], "count": 0, "analysis_period_hours": 24, "baselines": []}
    ask(agent, f"{where}/nothing", status=404)
    ask(agent, f"{where}/nothing/compare", "POST", wanted, status=404)
    ask(agent, where, "POST", {"name": "../x"}, status=400)
    ask(agent, where, "POST", {"name": "x", "duration_minutes": 0}, status=400)
    ask(agent, where, "POST", body, status=403, **{"X-Forwarded-For": "10.0.0.9"})
    ask(agent, "/api/performance/regressions?hours=169", status=400)
    # Nothing is replaced unless that is asked for.
    taken = ask(agent, where, "POST", body, status=409)
    assert "production_baseline already" in taken["detail"] and '"replace": true' in taken["detail"], taken
    kept = lambda: ask(agent, f"{where}/production_baseline")["data"]["end"]
    assert kept() == made["data"]["end"]
    again = ask(agent, where, "POST", {**body, "replace": True})["data"]
    assert again["end"] > made["data"]["end"] and kept() == again["end"]
    # Runs that fail are no baseline.
    runs(4, 0.02, outcome="error", error="x")
    problem = ask(agent, where, "POST", {"name": "bad"}, status=409)
    assert "well" in problem["detail"], problem
    assert ask(agent, where)["data"]["count"] == 1


def test_what_is_wrong_is_refused_in_one_form(lab):
    for path in [
        "/api/performance/metrics?hours=0",
        "/api/performance/metrics?hours=169",
        "/api/performance/metrics?limit=10001",
        "/api/performance/metrics?limit=ten",
        "/api/metrics/report?window=0",
        "/api/v1/devices?limit=0",
        "/api/v1/pipelines?offset=-1",
    ]:
        problem = ask(lab, path, status=400)
        assert set(problem) == {"type", "title", "status", "detail"} and problem["title"] == "Bad Request", problem
    metric = {"name": "x", "value": 1, "service_name": "s"}
    post = lambda body, status: ask(lab, "/api/performance/metrics", "POST", body, status=status)
    post({**metric, "metric_type": "rate"}, 400)
    post({**metric, "metric_type": "counter", "value": -1}, 400)
    post({**metric, "name": "1x"}, 400)
    post({"name": "x"}, 400)
    post(metric, 200)
    # What is known as a gauge does not become a counter.
    post({**metric, "metric_type": "counter"}, 400)
    ask(lab, "/api/performance/metrics", "POST", metric, status=415, **{"Content-Type": "text/plain"})
    ask(lab, "/api/performance/cleanup?retention_days=0", "POST", status=400)
    ask(lab, "/api/performance/cleanup?retention_days=366", "POST", status=400)
    status, head, _ = lab.request("DELETE", "/api/performance/metrics")
    assert status == 405 and head["Allow"] == "GET, HEAD, POST"
    ask(lab, "/api/v1/devices", status=406, Accept="text/html")
    ask(lab, "/api/v1/nothing", status=404)
    ask(lab, "/api/v1/devices/nothing", status=404)


def test_only_programs_of_this_machine_write(lab):
    metric = {"name": "x", "value": 1, "service_name": "s"}
    for path in ["/api/performance/metrics", "/api/performance/cleanup"]:
        for headers in [
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"X-Forwarded-For": "10.0.0.9"},
        ]:
            problem = ask(lab, path, "POST", metric, status=403, **headers)
            assert problem["title"] == "Forbidden"
    # An address of this machine that is not loopback: who asks there may be anybody.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address but loopback")
    lab.config["listen"] = [f"127.0.0.1:{lab.port}", f"{address}:{lab.port}"]
    lab.write()
    assert lab.reload()[0] == 200
    with socket.create_connection((address, lab.port)) as far:
        body = json.dumps(metric).encode()
        head = f"POST /api/performance/metrics HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        far.sendall(head.encode() + body)
        assert far.recv(4096).startswith(b"HTTP/1.1 403")
    assert lab.scrape().value("x") == 0


def test_components_are_data(lab):
    feed(lab, 3)
    [pipeline] = ask(lab, "/api/v1/pipelines")["pipelines"]
    one = ask(lab, "/api/v1/pipelines/decoder")
    assert pipeline["name"] == one["name"] == "decoder" and pipeline["data_quality_ratio"] is None
    stages = {stage["id"]: stage for stage in one["stages"]}
    assert 0.05 <= stages["classify"]["p95_seconds"] <= 0.1 and near(stages["classify"]["failed_ratio"], 0.1, 0.05), stages
    page = ask(lab, "/api/v1/devices?limit=1")
    assert page["devices"] == [] and page["total"] == 0 and page["next_offset"] is None
    live = ask(lab, "/api/v1/realtime")
    assert near(live["latency_seconds"], 0.1) and live["devices"] == 0 and live["tokens_used_ratio"] is None
    # As events: one at once, and one each second.
    with socket.create_connection(("127.0.0.1", lab.port)) as stream:
        stream.settimeout(10)
        stream.sendall(b"GET /api/v1/realtime HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        text = b""
        while text.count(b"event: realtime") < 3:
            text += stream.recv(65536)
    assert b"text/event-stream" in text
    told = [json.loads(line[6:]) for line in text.decode().splitlines() if line.startswith("data: ") and line.endswith("}")]
    assert told and set(told[0]) == set(live)
    # Who has it already gets it no second time.
    status, head, _ = lab.get("/api/v1/openapi.json")
    assert lab.get("/api/v1/openapi.json", {"If-None-Match": head["ETag"]})[0] == 304
    assert lab.get("/api/v1/snapshot")[1]["ETag"].startswith('W/"')


def test_old_samples_go_when_that_is_asked_for(agent):
    agent.configure([], history={"interval": "1s", "flush": "1s"})
    agent.start()
    agent.stop()
    now = int(time.time())
    days = [20, 12, 9, 3]
    lines = "".join(f'old_thing{{of="{day}"}} {day} {now - day * 86_400}\n' for day in days) + "# EOF\n"
    file = Path(agent.path("samples.txt"))
    file.write_text(lines)
    done = subprocess.run([*agent.command()[:1], "history", "import", str(file), "--config", str(agent.file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    agent.start()

    def left() -> list:
        found = ask(agent, "/api/v1/query?query=old_thing%5B30d%5D")["data"]["result"]
        return [int(series["metric"]["of"]) for series in found]

    # The file is read from when its thread has opened it.
    wait_until(lambda: sorted(left(), reverse=True) == days, 20, "the samples of the file")
    done = ask(agent, "/api/performance/cleanup?retention_days=10", "POST")["data"]
    assert done["deleted_records"] == 2 and sorted(left()) == [3, 9], (done, left())
    [row] = ask(agent, "/api/performance/metrics?metric_name=old_thing&hours=168")["data"]["metrics"]
    assert row["value"] == 3
    assert ask(agent, "/api/performance/cleanup?retention_days=10", "POST")["data"]["deleted_records"] == 0


BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("language", ["python", "typescript"])
def test_the_clients_record_what_they_are_told(language, agent, tmp_path):
    [text] = [text for kind, text in BLOCK.findall((ROOT / "docs/api.md").read_text()) if kind == language]
    file = tmp_path / f"client.{'py' if language == 'python' else 'mts'}"
    file.write_text(text)
    listen = agent.path("events.sock")
    agent.configure([{"jsonl": {"name": "pipeline", "listen": f"unix:{listen}"}}])
    agent.start()
    command = [sys.executable, file] if language == "python" else [NODE, "--no-warnings", file]
    environment = {**os.environ, "EVENTS": listen}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    want = {
        "python": [
            ("neural_stage_duration_seconds_count", {"stage": "classify"}, 1),
            ("neural_stage_duration_seconds_sum", {"stage": "inference"}, 0.012),
            ("neural_stage_items_total", {"stage": "inference"}, 8),
            ("neural_stage_duration_seconds_sum", {"stage": "preprocessing"}, 0.002),
            ("neural_stage_duration_seconds_sum", {"stage": "quantization"}, 0.001),
            ("neural_cache_lookups_total", {"cache": "default"}, 2),
            ("neural_cache_hits_total", {"cache": "default"}, 1),
            ("neural_pipeline_errors_total", {"error": "timeout"}, 1),
            ("neural_data_quality_ratio", {"pipeline": "decoder"}, 0.93),
            ("app_active_users", {"service": "application"}, 150),
            ("reservoir_spectral_radius", {"collector": "reservoir"}, 0.9),
        ],
        "typescript": [
            ("neural_stage_duration_seconds_sum", {"stage": "preprocess"}, 0.12),
            ("neural_stage_duration_seconds_sum", {"stage": "classify"}, 0.85),
            ("neural_cache_lookups_total", {"cache": "classify"}, 1),
            ("neural_cache_hits_total", {"cache": "classify"}, 0),
            ("neural_llm_completion_tokens_total", {"model": "classify"}, 450),
            ("neural_llm_cost_total", {"model": "classify"}, 0.0023),
            ("neural_llm_completion_tokens_total", {"model": "llama"}, 120),
            ("neural_stage_failures_total", {"stage": "total"}, 1),
            ("neural_stage_duration_seconds_sum", {"stage": "total"}, 1.5),
            ("neural_queue_depth", {"queue": "signals"}, 23),
        ],
    }[language]
    for name, labels, value in want:
        agent.until(lambda seen: abs(seen.value(name, **labels) - value) < 1e-9)
    assert agent.scrape().value("neural_source_errors_total") == 0
    # A program does not wait for an agent that is not there, and does not fail.
    agent.stop()
    began = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr and time.monotonic() - began < 10, done.stderr


def test_the_document_tells_what_the_server_does(lab, tmp_path):
    """Schemathesis sends what the document permits and what it does not, and reads each answer."""
    feed(lab, 2)
    report = tmp_path / "report.txt"
    with report.open("w") as out:
        done = subprocess.run(
            [
                Path(sys.executable).parent / "schemathesis", "--config-file", ROOT / "tests/partners/schemathesis.toml", "run",
                f"http://127.0.0.1:{lab.port}/api/v1/openapi.json", "--max-time", str(SECONDS), "--phases", "coverage,fuzzing",
                "--exclude-path", "/-/reload", "--request-timeout", "40", "--continue-on-failure", "--no-color", "--warnings", "off",
            ],
            stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, timeout=SECONDS * 3 + 120,
        )
    text = report.read_text()
    assert done.returncode == 0, text[-20_000:]
    cases = re.search(r"(\d[\d,]*) generated", text)
    assert cases and int(cases[1].replace(",", "")) > 500, text[-2000:]
    assert lab.alive() and "panic" not in lab.told()
