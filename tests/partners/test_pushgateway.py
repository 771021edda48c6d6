"""A Pushgateway of Debian gets what a scrape shows, and forgets it if asked; `run --once` prints or pushes, and ends.

Independent: Debian's prometheus-pushgateway.
"""
from __future__ import annotations

import json
import subprocess
import urllib.request

import pytest
from conftest import PROGRAM, Agent, free_port, program, stage, unix, wait_until


class Gateway:
    def __init__(self, tmp_path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [program("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn", f"--persistence.file={tmp_path}/kept"],
            stderr=open(tmp_path / "gateway.log", "ab"),
        )
        wait_until(lambda: self.get("/-/ready") is not None, 20, "the start of the gateway")

    def get(self, path: str):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def groups(self) -> list[dict]:
        return json.loads(self.get("/api/v1/metrics"))["data"]

    def labels(self) -> list[dict]:
        return [group["labels"] for group in self.groups()]

    def value(self, name: str) -> float:
        """Of the one series of this family."""
        (group,) = self.groups()
        (metric,) = group[name]["metrics"]
        return float(metric["value"])


@pytest.fixture
def gateway(tmp_path):
    running = Gateway(tmp_path)
    yield running
    running.process.terminate()
    running.process.wait(10)


def pushes(agent: Agent, result: str, url: str) -> float:
    return agent.scrape().value("neural_pushgateway_pushes_total", target=url, result=result)


def test_what_was_sent_until_the_end_is_there_and_stays(agent: Agent, gateway):
    path = agent.path("events")
    key = {"instance": "rig/1", "room": ""}
    agent.configure(
        [{"jsonl": {"name": "p", "listen": [f"unix:{path}"]}}],
        push=[{"url": gateway.url, "job": "session", "grouping_key": key, "interval": "1s"}],
    )
    agent.start()
    wait_until(gateway.groups, 10, "the first push")
    assert gateway.labels() == [{"job": "session", **key}]
    assert gateway.get("/metrics").count('push_failure_time_seconds{instance="rig/1",job="session",room=""} 0') == 1
    agent.until(lambda scrape: pushes(agent, "success", gateway.url) >= 2)
    # All of it is read before the last push.
    unix(path).sendall(b"".join(stage("d") + b"\n" for _ in range(500)))
    agent.stop()
    assert gateway.labels() == [{"job": "session", **key}]
    assert gateway.value("neural_source_events_total") == 500


def test_a_group_is_deleted_at_a_clean_end_if_that_is_asked_for_and_not_after_a_kill(agent: Agent, gateway):
    agent.configure([], push=[{"url": gateway.url, "interval": "1s", "delete_at_end": True}])
    agent.start()
    wait_until(gateway.groups, 10, "the first push")
    agent.process.kill()
    agent.process.wait()
    assert len(gateway.groups()) == 1
    agent.start()
    agent.stop()
    assert gateway.groups() == []


def test_a_gateway_that_is_away_or_refuses_costs_nothing_else_and_is_counted(agent: Agent, gateway):
    away, gone = f"http://127.0.0.1:{free_port()}", f"{gateway.url}/nowhere"
    agent.configure([], push=[{"url": url, "interval": "1s"} for url in (away, gone, gateway.url)])
    agent.start()
    agent.until(lambda scrape: all(pushes(agent, "failure", url) >= 2 for url in (away, gone)))
    assert pushes(agent, "success", gateway.url) >= 1 and pushes(agent, "failure", gateway.url) == 0
    agent.stop()
    log = agent.told()
    assert log.count(f"nothing was pushed to {gone}: it answered 404") == 1 and log.count(f"nothing was pushed to {away}") == 1


def once(*arguments: str, config: str = "sources: []\n", tmp_path) -> subprocess.CompletedProcess:
    file = tmp_path / "once.yml"
    file.write_text(config)
    return subprocess.run(
        [PROGRAM, "run", "--once", "--config", str(file), *arguments], capture_output=True, text=True, timeout=60
    )


def test_one_run_prints_what_a_scrape_shows(tmp_path):
    (tmp_path / "batch.prom").write_text("batch_rows_total 7\n")
    config = f"sources: [{{textfile: {{name: batch, directory: {tmp_path}, interval: 1s}}}}]\nstate_directory: {tmp_path}\n"
    done = once("--for", "2s", config=config, tmp_path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("batch_rows_total")] == ['batch_rows_total{source="batch"} 7']
    said = subprocess.run([program("promtool"), "check", "metrics"], input=done.stdout, text=True, capture_output=True)
    assert said.returncode in (0, 3), said.stderr


def test_one_run_pushes_or_says_why_not(gateway, tmp_path):
    done = once("--for", "500ms", "--push", gateway.url, tmp_path=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert gateway.labels() == [{"job": "neural"}]
    away = f"http://127.0.0.1:{free_port()}"
    done = once("--for", "500ms", "--push", away, tmp_path=tmp_path)
    assert done.returncode == 1 and f"cannot push to {away}" in done.stderr
    for wrong in ("gateway:9091", "ftp://gateway", "http://"):
        done = once("--push", wrong, tmp_path=tmp_path)
        assert done.returncode == 2 and "--push" in done.stderr, wrong
    assert subprocess.run([PROGRAM, "run", "--push", away], capture_output=True).returncode == 2
