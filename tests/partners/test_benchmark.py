"""Benchmarks: a planted slowdown is found, graded and named, quiet hours are quiet, and a real Prometheus says the same.

Independent: Debian's promtool and Prometheus, which have the same samples; the statistics module of Python.
"""
from __future__ import annotations

import bisect
import json
import math
import pathlib
import random
import statistics
import subprocess
import time
import urllib.request

import pytest
import yaml

from conftest import PROGRAM, Agent, free_port, program, wait_until

#: Seconds from one sample to the next.
STEP = 15
BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25]
STAGES = {"filter": 0.004, "classify": 0.036}
#: Hours after the one that is recorded in which nothing changes.
QUIET = 10
#: Limits that the load of this machine never passes.
AT_EASE = {"host_cpu": 1.0, "host_cpu_critical": 1.0, "host_memory": 1.0, "host_memory_critical": 1.0}


class Past:
    """Hours of a pipeline. In the last one a stage is slower by 30 %, and one of ten runs of the other fails."""

    def __init__(self, end: int):
        self.end = end
        self.start = end - (QUIET + 2) * 3600
        self.slow = end - 3600
        chance = random.Random(1)
        self.lines: dict[str, list[str]] = {}
        labels = 'instance="box",job="neural"'
        times = range(self.start, end + 1, STEP)
        self.put("neural_agent_build_info", labels, [(at, 1) for at in times])
        self.put("process_start_time_seconds", labels, [(at, self.start - 86_400) for at in times])
        #: The mean of each minute, by stage: what the agent's points are.
        self.sums: dict[str, list[tuple[int, int, float]]] = {}
        for stage, usual in STAGES.items():
            mood, count, total, failed, buckets = 0.0, 0, 0.0, 0, [0] * len(BOUNDS)
            rows = []
            for at in times:
                # A load that resembles itself from moment to moment.
                mood = 0.8 * mood + 0.05 * chance.gauss(0, 1)
                mean = usual * math.exp(mood) * (1.3 if stage == "classify" and at > self.slow else 1.0)
                for _ in range(40):
                    seconds = mean * chance.lognormvariate(0, 0.2)
                    count, total = count + 1, total + seconds
                    place = bisect.bisect_left(BOUNDS, seconds)
                    for above in range(place, len(BOUNDS)):
                        buckets[above] += 1
                if stage == "filter" and at > self.slow:
                    failed += 4
                rows.append((at, count, total, failed, list(buckets)))
            of = f'{labels},pipeline="bci",stage="{stage}"'
            family = "neural_stage_duration_seconds"
            self.put(family + "_count", of, [(row[0], row[1]) for row in rows])
            self.put(family + "_sum", of, [(row[0], row[2]) for row in rows])
            for place, bound in enumerate(BOUNDS):
                self.put(family + "_bucket", f'{of},le="{bound}"', [(row[0], row[4][place]) for row in rows])
            self.put(family + "_bucket", f'{of},le="+Inf"', [(row[0], row[1]) for row in rows])
            if failed:
                self.put("neural_stage_failures_total", of, [(row[0], row[3]) for row in rows if row[3]])
            self.sums[stage] = [(row[0], row[1], row[2]) for row in rows]

    def put(self, name: str, labels: str, samples) -> None:
        self.lines.setdefault(name, []).extend(f"{name}{{{labels}}} {value!r} {at}" for at, value in samples)

    def text(self) -> str:
        return "\n".join(line for name in self.lines for line in self.lines[name]) + "\n# EOF\n"

    def minutes(self, stage: str, start: int, end: int) -> list[float]:
        """The mean duration in each minute, as `rate(sum) / rate(count)` has it: of the samples within the minute."""
        out = []
        for until in range(end - (end - start) // 60 * 60 + 60, end + 1, 60):
            inside = [row for row in self.sums[stage] if until - 60 < row[0] <= until]
            (_, first, low), (_, last, high) = inside[0], inside[-1]
            out.append((high - low) / (last - first))
        return out


def run(agent: Agent, *arguments: str, rc: int | None = 0) -> str:
    done = subprocess.run([PROGRAM, *arguments, "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
    assert rc is None or done.returncode == rc, (done.returncode, done.stdout, done.stderr)
    return done.stdout + (done.stderr if rc != 0 else "")


def hour(past: Past, number: int) -> list[str]:
    # Beside the times of samples: whether one on the edge belongs to a range differs between the generations of Prometheus.
    start = past.start + number * 3600 + 7
    return ["--from", str(start), "--to", str(start + 3600)]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    past = Past(int(time.time()) // STEP * STEP - 30)
    samples = folder / "samples.txt"
    samples.write_text(past.text())
    blocks = folder / "data"
    subprocess.run([program("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, blocks], check=True, capture_output=True, timeout=120)
    (folder / "prometheus.yml").write_text("{}\n")
    port = free_port()
    server = subprocess.Popen(
        [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={blocks}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    )
    (folder / "agent").mkdir()
    agent = Agent(folder / "agent")
    agent.configure([], history={"interval": "1s"}, alerts={"evaluate": True, "limits": AT_EASE}, benchmarks={"baselines": ["good", "nowhere"], "every": "1m"})
    run(agent, "history", "import", str(samples))
    agent.start()

    def ready() -> bool:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    wait_until(ready, 60, "the start of Prometheus")
    told = run(agent, "benchmark", "record", "good", *hour(past, 0), "--note", "before the new electrode")
    assert "mean duration of classify of bci" in told
    yield agent, past, f"http://127.0.0.1:{port}"
    agent.stop()
    server.terminate()
    server.wait(30)


def rows(found: dict, outcome: str) -> dict[str, dict]:
    return {f"{row['metric']} {row['labels'].get('stage', '')}": row for row in found["rows"] if row["outcome"] == outcome}


def test_the_numbers_are_those_of_the_samples(box):
    agent, past, _ = box
    kept = json.loads(run(agent, "benchmark", "show", "good", "--output", "json"))
    assert kept["note"] == "before the new electrode" and kept["verdict"] == "All was well"
    for stage in STAGES:
        [line] = [line for line in kept["lines"] if line["metric"] == "stage_duration" and line["labels"]["stage"] == stage]
        minutes = past.minutes(stage, past.start + 7, past.start + 3607)
        assert line["count"] == len(minutes) == 60
        for key, expected in [
            ("mean", statistics.fmean(minutes)),
            ("median", statistics.median(minutes)),
            ("min", min(minutes)),
            ("max", max(minutes)),
            ("standard_deviation", statistics.stdev(minutes)),
            ("p95", statistics.quantiles(minutes, n=100, method="inclusive")[94]),
            ("p99", statistics.quantiles(minutes, n=100, method="inclusive")[98]),
        ]:
            assert line[key] == pytest.approx(expected, rel=1e-9), (stage, key)


def test_a_planted_slowdown_is_found_graded_and_named(box):
    agent, past, server = box
    slow = hour(past, QUIET + 1)
    found = json.loads(run(agent, "benchmark", "compare", "good", *slow, "--output", "json", rc=3))
    worse = rows(found, "degraded")
    assert set(worse) == {"stage_duration classify", "stage_failures filter"}, worse.keys()
    row = worse["stage_duration classify"]
    assert 0.25 < row["change"] < 0.36 and row["severity"] == "info" and row["confidence"] > 0.999, row
    assert worse["stage_failures filter"]["severity"] == "critical" and worse["stage_failures filter"]["baseline"] == 0
    assert worse["stage_failures filter"]["current"] == pytest.approx(0.1, rel=0.05)
    text = run(agent, "benchmark", "compare", "good", *slow, rc=3)
    assert text.startswith("✖ 2 regressions in ") and "mean duration of classify of bci" in text
    # The same stage is where the time goes.
    report = json.loads(run(agent, "report", *slow, "--format", "json"))
    assert report["bottlenecks"][0]["labels"]["stage"] == "classify"
    # Prometheus has the same samples, and the benchmark may be a file.
    file = agent.folder / "good.json"
    file.write_text(run(agent, "benchmark", "export", "good"))
    done = subprocess.run([PROGRAM, "benchmark", "compare", "--file", file, *slow, "--server", server, "--output", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    theirs = rows(json.loads(done.stdout), "degraded")
    assert set(theirs) == set(worse)
    for key, ours in worse.items():
        for number in ("baseline", "current", "exceeds", "confidence"):
            assert theirs[key][number] == pytest.approx(ours[number], rel=1e-9), (key, number)
    # Only what is so bad fails a job that says so.
    run(agent, "benchmark", "compare", "good", *slow, "--fail-on", "critical", rc=3)
    alone = run(agent, "benchmark", "record", "stages", *hour(past, 0), "--match", "metric=stage_duration")
    assert "percentile" not in alone
    run(agent, "benchmark", "compare", "stages", *slow, "--fail-on", "warning", rc=0)
    run(agent, "benchmark", "compare", "stages", *slow, rc=3)


def test_ten_quiet_hours_have_none(box):
    agent, past, _ = box
    for number in range(1, QUIET + 1):
        found = json.loads(run(agent, "benchmark", "compare", "good", *hour(past, number), "--output", "json"))
        assert found["status"] == "healthy" and not rows(found, "degraded"), found["rows"]
        assert len(rows(found, "stable")) == 5


def test_a_bad_hour_is_no_baseline(box):
    agent, past, _ = box
    slow = hour(past, QUIET + 1)
    said = run(agent, "benchmark", "record", "bad", *slow, rc=1)
    assert "not recorded" in said and "filter of bci failed in 10 %" in said and "--allow-bad" in said
    status, _, body = post(agent, "/api/v1/benchmarks", f"name=bad&start={slow[1]}&end={slow[3]}")
    assert status == 409 and json.loads(body)["errorType"] == "not_well", body
    assert "bad" not in run(agent, "benchmark", "list")
    run(agent, "benchmark", "record", "bad", *slow, "--allow-bad")
    assert "failed in 10 %" in run(agent, "benchmark", "list")
    run(agent, "benchmark", "delete", "bad")
    assert "there is no benchmark bad" in run(agent, "benchmark", "delete", "bad", rc=1)


def post(agent: Agent, path: str, form: str, **headers: str):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return agent.request("POST", path, {**kind, **headers}, body=form.encode())


def test_the_api_records_compares_and_removes(box):
    agent, past, _ = box
    first, slow = hour(past, 0), hour(past, QUIET + 1)
    status, _, body = post(agent, "/api/v1/benchmarks", f"name=api&start={first[1]}&end={first[3]}")
    assert status == 200 and json.loads(body)["data"]["lines"] >= 6, body
    assert post(agent, "/api/v1/benchmarks", f"name=api&start={first[1]}&end={first[3]}")[0] == 409
    assert post(agent, "/api/v1/benchmarks", f"name=api&replace=true&start={first[1]}&end={first[3]}")[0] == 200
    status, _, body = agent.get(f"/api/v1/benchmarks/api/compare?start={slow[1]}&end={slow[3]}")
    found = json.loads(body)["data"]
    own = json.loads(run(agent, "benchmark", "compare", "good", *slow, "--output", "json", rc=3))
    assert [(row["metric"], row["exceeds"]) for row in found["rows"]] == [(row["metric"], row["exceeds"]) for row in own["rows"]]
    # No page of another origin changes anything, and a name leads nowhere.
    for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        assert post(agent, "/api/v1/benchmarks", "name=x", **headers)[0] == 403
        assert agent.request("DELETE", "/api/v1/benchmarks/api", headers)[0] == 403
    assert agent.request("DELETE", "/api/v1/benchmarks/..%2Fhistory")[0] == 400
    for form in ("", "name=../x", "name=x&start=9&end=1", "name=x&window=soon", "name=x&match=device"):
        assert post(agent, "/api/v1/benchmarks", form)[0] == 400, form
    for document in (b"{", b"[]", b'{"version":9}'):
        assert agent.request("POST", "/api/v1/benchmarks", {"Content-Type": "application/json"}, body=document)[0] == 400
    assert agent.request("DELETE", "/api/v1/benchmarks/api")[0] == 200
    assert agent.get("/api/v1/benchmarks/api")[0] == 404


def test_what_is_exported_is_imported(box):
    agent, _, _ = box
    text = run(agent, "benchmark", "export", "good")
    file = agent.folder / "copy.json"
    file.write_text(text)
    run(agent, "benchmark", "import", str(file), "--name", "copy")
    assert "already" in run(agent, "benchmark", "import", str(file), "--name", "copy", rc=1)
    run(agent, "benchmark", "import", str(file), "--name", "copy", "--replace")
    one, two = json.loads(text), json.loads(run(agent, "benchmark", "export", "copy"))
    assert {**one, "name": ""} == {**two, "name": ""}
    file.write_text(text.replace('"version": 1', '"version": 7'))
    assert "version 7" in run(agent, "benchmark", "import", str(file), "--name", "copy2", rc=1)
    run(agent, "benchmark", "delete", "copy")


def test_the_agent_compares_by_itself_and_an_alert_fires(box):
    agent, past, _ = box
    worse = lambda seen, metric, stage: seen.value("neural_baseline_regression_ratio", baseline="good", metric=metric, pipeline="bci", stage=stage)
    seen = agent.until(lambda seen: worse(seen, "stage_duration", "classify") > 0, 100)
    assert 1.0 < worse(seen, "stage_duration", "classify") < 1.5
    assert worse(seen, "stage_duration", "filter") == 0 and worse(seen, "stage_failures", "filter") > 2
    assert 1.25 < seen.value("neural_baseline_ratio", baseline="good", metric="stage_duration", pipeline="bci", stage="classify") < 1.4
    assert seen.value("neural_baseline_failing", baseline="good") == 0 and seen.value("neural_baseline_failing", baseline="nowhere") == 1
    assert abs(seen.value("neural_baseline_compared_timestamp_seconds", baseline="good") - time.time()) < 90
    agent.says("cannot be compared with the baseline nowhere: there is no benchmark", "worse than the baseline")
    firing = lambda: [alert for alert in json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"] if alert["labels"]["alertname"] == "NeuralBaselineRegression"]
    alerts = wait_until(firing, 90, "the alert")
    assert {alert["labels"]["metric"] for alert in alerts} == {"stage_failures"}
    told = json.loads(run(agent, "regressions", "--output", "json", rc=3))["regressions"]
    assert {(one["metric"], one["labels"]["stage"], one["severity"]) for one in told} >= {("stage_duration", "classify", "info"), ("stage_failures", "filter", "critical")}
    assert "now" in run(agent, "regressions", rc=3).splitlines()[0]
    status, _, body = agent.get("/api/v1/regressions?hours=2")
    assert status == 200 and {one["metric"] for one in json.loads(body)["data"]["regressions"]} == {one["metric"] for one in told}
    # Before the agent was there nothing was compared, which is not that nothing was worse.
    assert "Nothing is known" in run(agent, "regressions", "--server", box[2], rc=1)
    for hours in ("0", "169", "x", "NaN"):
        assert agent.get(f"/api/v1/regressions?hours={hours}")[0] == 400
    # A name that the configuration does not have any more is not shown, and one that it has now is compared.
    agent.config["benchmarks"]["baselines"] = []
    agent.write()
    assert agent.reload()[0] == 200
    assert not agent.scrape().series("neural_baseline_ratio") and not agent.scrape().series("neural_baseline_failing")


def test_the_example_of_a_ci_job_is_true():
    """Its commands are ones that the program takes."""
    job = yaml.safe_load((pathlib.Path(__file__).parents[2] / "deploy/examples/ci-benchmark.yml").read_text())
    steps = [step["run"] for one in job["jobs"].values() for step in one["steps"] if "run" in step]
    commands = [line.split() for step in steps for line in step.splitlines() if line.strip().startswith("neural-exporter benchmark")]
    assert commands
    for command in commands:
        arguments = command[1 : command.index(">>")]
        done = subprocess.run([PROGRAM, *arguments, "--server", "http://127.0.0.1:1"], capture_output=True, text=True, timeout=30)
        assert done.returncode != 2, (command, done.stderr)
