"""VictoriaMetrics and its vmalert, which fetch from the running agent what they need: targets, and rules over HTTP.

`make newer` brings them; they are not installed otherwise.
"""
from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from conftest import PROGRAM, Agent, free_port, wait_until

pytestmark = pytest.mark.versions

PROGRAMS = ("victoria-metrics", "vmalert")


def fetch(url: str, **query: str):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=20) as answer:
        return answer.read()


@pytest.fixture
def demo(tmp_path):
    for name in ("agent", "run"):
        (tmp_path / name).mkdir()
    demo = Agent(tmp_path / "agent")
    environment = {"RUNTIME_DIRECTORY": str(tmp_path / "run"), "STATE_DIRECTORY": str(tmp_path / "state")}
    demo.start(environment, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{demo.port}"])
    yield f"http://127.0.0.1:{demo.port}"
    demo.stop()


@pytest.fixture
def victoria(demo, tmp_path):
    """The database and the ruler, each at its URL."""
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip("victoria-metrics or vmalert is not there: see `make newer`")
    targets = {"job_name": "neural", "scrape_interval": "1s", "http_sd_configs": [{"url": f"{demo}/api/v1/sd"}]}
    (tmp_path / "scrape.yml").write_text(json.dumps({"scrape_configs": [targets]}))
    database, ruler = (f"127.0.0.1:{free_port()}" for _ in PROGRAMS)
    log = open(tmp_path / "log", "wb")
    commands = [
        ["victoria-metrics", f"-storageDataPath={tmp_path}/data", f"-httpListenAddr={database}",
         f"-promscrape.config={tmp_path}/scrape.yml"],
        ["vmalert", f"-rule={demo}/provision/rules.yml", f"-datasource.url=http://{database}", f"-httpListenAddr={ruler}",
         f"-remoteWrite.url=http://{database}", "-notifier.blackhole", "-evaluationInterval=2s"],
    ]
    running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
    yield f"http://{database}", f"http://{ruler}", running
    for process in running:
        # What they would write at their end is nobody's.
        process.kill()
        process.wait(20)


def test_rules_are_fetched_and_evaluated(demo, victoria):
    database, ruler, running = victoria
    served = [rule for group in yaml.safe_load(fetch(f"{demo}/provision/rules.yml"))["groups"] for rule in group["rules"]]

    def evaluated():
        assert all(process.poll() is None for process in running), "one of them ended"
        try:
            groups = json.loads(fetch(f"{ruler}/api/v1/rules"))["data"]["groups"]
        except OSError:
            return None
        rules = [rule for group in groups for rule in group["rules"]]
        late = [rule for rule in rules if rule["lastEvaluation"].startswith("0001")]
        return rules if rules and not late else None

    rules = wait_until(evaluated, 200, "the evaluation of every rule")
    assert len(rules) == len(served) > 150
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule.get("lastError")] == []
    assert "NeuralWatchdog" in {rule["name"] for rule in rules if rule.get("state") == "firing"}

    def rate():
        found = json.loads(fetch(f"{database}/api/v1/query", query="neural_device_rate_hertz{job='neural'}"))["data"]["result"]
        return found and abs(float(found[0]["value"][1]) - 250) < 5

    wait_until(rate, 60, "the rate of the simulated board")
