"""Rules into a ruler that takes them over HTTP, which is played by `ruler_server`."""
from __future__ import annotations

import pytest

from provisioning import Provision, rules
from ruler_server import Ruler


@pytest.fixture
def ruler():
    server = Ruler()
    yield server
    server.stop()


@pytest.fixture
def loki():
    server = Ruler(prefix="/loki/api/v1/rules")
    yield server
    server.stop()


def writes(ruler: Ruler) -> int:
    return sum(method != "GET" for method, _ in ruler.asked)


def test_the_whole_life_of_a_push(ruler, tmp_path):
    theirs = {"name": "theirs", "rules": [{"record": "a", "expr": "b"}]}
    ruler.tenants["lab"] = {"neural-exporter": {"theirs": theirs}, "other": {"theirs": theirs}}
    push = Provision(tmp_path / "push", {"mimir": {"url": ruler.url, "tenant": "lab"}})
    push.files.rules("device", rules("DeviceDown", **{"for": "1h30m"}))
    push.files.rules("pipeline", [{"record": "x:y:sum", "expr": "sum(y)"}])
    ruler.busy = 1
    assert push("plan").code == 3 and writes(ruler) == 0
    assert push("apply").code == 0
    mine = ruler.tenants["lab"]["neural-exporter"]
    assert {"theirs", "neural-device", "neural-pipeline"} < set(mine)

    before = writes(ruler)
    assert push("plan").code == 0 and push("apply").code == 0 and writes(ruler) == before

    mine["neural-pipeline"]["rules"][0]["expr"] = "sum(z)"
    push.files.rules("pipeline", [{"record": "x:y:sum", "expr": "sum(w)"}])
    done = push.json("apply")
    assert done.code == 1 and done.results()["neural-pipeline"] == "refuse"
    assert push("apply", "--force").code == 0 and push("plan").code == 0

    push.files.remove("alert-rules/pipeline.yml")
    assert push.json("apply").results()["neural-pipeline"] == "leave"
    assert push("apply", "--prune").code == 0
    assert push("destroy").code == 0
    assert ruler.tenants["lab"] == {"neural-exporter": {"theirs": theirs}, "other": {"theirs": theirs}}


def test_one_group_that_is_wrong_does_not_hide_the_others(ruler, tmp_path):
    push = Provision(tmp_path / "push", {"mimir": {"url": ruler.url, "tenant": "lab"}})
    push.files.rules("bad", rules("Broken", expr="up ==== 0"))
    push.files.rules("good", rules("DeviceDown"))
    done = push("apply")
    assert done.code == 1 and "could not parse expression" in done.text and "partial" in done.text, done.text
    assert "neural-good" in ruler.tenants["lab"]["neural-exporter"]


def test_what_is_missing_is_told(ruler, tmp_path):
    nobody = Provision(tmp_path / "nobody", {"mimir": {"url": ruler.url}})
    nobody.files.rules("device", rules("DeviceDown"))
    done = nobody("plan")
    assert done.code == 1 and "no org id" in done.text, done.text
    elsewhere = Provision(tmp_path / "elsewhere", {"mimir": {"url": ruler.url, "tenant": "lab", "prefix": "/api/v1/rules"}})
    elsewhere.files.rules("device", rules("DeviceDown"))
    done = elsewhere("plan")
    assert done.code == 1 and "the prefix is right" in done.text, done.text
    wrong = Provision(tmp_path / "wrong", {"mimir": {"url": ruler.url, "tenant": "lab", "prefix": "/loki/api/v1/rules"}})
    wrong.files.rules("device", rules("DeviceDown"))
    asked = len(ruler.asked)
    done = wrong("apply")
    assert done.code == 1 and "`loki:`" in done.text and len(ruler.asked) == asked, done.text


def test_loki_gets_rules_over_logs_alone(loki, tmp_path):
    push = Provision(tmp_path / "push", {"loki": {"url": loki.url, "tenant": "lab"}})
    push.files.rules("device", rules("DeviceDown"))
    push.files.rules("loki/agent", rules("LogErrors", expr='count_over_time({unit="a"} |= `ERROR` [5m]) > 0'))
    assert push("plan").code == 3 and writes(loki) == 0
    done = push("apply")
    assert done.code == 0 and "loki" in done.text, done.text
    mine = loki.tenants["lab"]["neural-exporter"]
    assert set(mine) - {"neural-exporter-marks"} == {"neural-loki/agent"}
    before = writes(loki)
    assert push("apply").code == 0 and writes(loki) == before
    assert push("destroy").code == 0 and not loki.tenants["lab"]["neural-exporter"]


def test_what_is_generated_reaches_loki(loki, tmp_path):
    config = tmp_path / "config.yml"
    config.write_text(
        "alerts: {logs: '{app=\"neural\"}', runbooks: 'https://wiki/run', severities: three}\n"
        f"provision: {{targets: [{{loki: {{url: '{loki.url}', tenant: lab, namespace: lab}}}}]}}\n"
    )
    done = Provision.run(config, "apply")
    assert done.code == 0, done.text
    group = loki.tenants["lab"]["lab"]["neural-agent-log"]
    assert {rule["alert"] for rule in group["rules"]} == {"NeuralLogCannotStart", "NeuralLogErrors", "NeuralLogPanic"}
    assert all('{app="neural"}' in rule["expr"] for rule in group["rules"])
    assert group["rules"][0]["annotations"]["runbook_url"] == "https://wiki/run/NeuralLogCannotStart.md"


def test_a_ruler_that_reads_files_says_where_they_go(loki, tmp_path):
    loki.local = "/loki/rules"
    push = Provision(tmp_path / "push", {"loki": {"url": loki.url, "tenant": "lab"}})
    push.files.rules("loki/agent", rules("LogErrors", expr='count_over_time({unit="a"} |= `ERROR` [5m]) > 0'))
    for deed in ("plan", "apply"):
        done = push(deed)
        assert done.code == 1 and "its store is `local`" in done.text and "into /loki/rules/lab" in done.text, done.text
