"""From an empty machine to a person who is told: everything that is generated is pushed, the cable of a simulated
board is pulled, and the alert comes with a page that says what to do. Then everything is taken away again.

Independent: Debian's Prometheus and Alertmanager. The board is the simulator that BrainFlow's driver accepts; the
Grafana is played by `grafana_server`.
"""
from __future__ import annotations

import json
import os
import subprocess
import urllib.request

import pytest

from conftest import PROGRAM, free_port, program, wait_until
from grafana_server import Grafana
from provisioning import Done
from test_provision_prometheus import Server, Webhook, alertmanager, groups, written  # noqa: F401 - a fixture

THEIRS = "groups: [{name: theirs, rules: [{record: a, expr: vector(1)}]}]\n"


@pytest.fixture
def webhook():
    made = Webhook()
    yield made
    made.stop()


@pytest.fixture
def grafana():
    server = Grafana("12.2")
    server.add("theirs", "Somebody's")
    yield server
    server.stop()
    assert server.violations == []


@pytest.fixture
def prometheus(tmp_path, agent, alertmanager):  # noqa: F811
    folder = tmp_path / "prometheus"
    (folder / "rules").mkdir(parents=True)
    (folder / "rules" / "theirs.yml").write_text(THEIRS)
    port = free_port()

    def job(name: str, at: int) -> dict:
        return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]}

    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
        "scrape_configs": [job("neural", agent.port), job("prometheus", port)],
    }))
    command = [
        program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
    ]
    server = Server(folder, command, port)
    server.folder = folder
    yield server
    server.stop()


@pytest.fixture
def cyton(tmp_path):
    link = tmp_path / "cyton"
    board = subprocess.Popen([str(PROGRAM), "simulate", "cyton", "--pty", str(link)], stdout=subprocess.DEVNULL)
    wait_until(lambda: os.path.islink(link), 30, "the terminal of the board")
    board.link = link
    yield board
    board.kill()
    board.wait()


def rules(prometheus: Server) -> list[dict]:
    """Every rule of ours that the server has."""
    all_of = prometheus.get("/api/v1/rules")["data"]["groups"]
    return [rule for group in all_of if group["name"] != "theirs" for rule in group["rules"]]


def test_a_pulled_plug_reaches_a_person(agent, cyton, prometheus, alertmanager, grafana, webhook, tmp_path):  # noqa: F811
    token = tmp_path / "token"
    token.write_text("glsa_right")
    agent.configure(
        [{"serial": {"name": "cyton", "port": str(cyton.link), "protocol": "cyton"}}],
        alerts={
            "runbooks": f"http://127.0.0.1:{agent.port}/runbooks/",
            "interval": "2s",
            "receivers": [{"webhook": {"url": webhook.url}}],
        },
        provision={"wait": "20s", "targets": [
            {"grafana": {"url": grafana.url, "access": {"token_file": str(token)},
                         "datasource": {"url": f"http://127.0.0.1:{prometheus.port}"}}},
            {"prometheus": {"url": prometheus.url, "rules_directory": str(prometheus.folder / "rules")}},
            {"alertmanager": {"url": alertmanager.url, "config_file": str(alertmanager.folder / "alertmanager.yml")}},
        ]},
    )

    def provision(deed: str, *more: str) -> Done:
        command = [str(PROGRAM), "provision", deed, "--config", str(agent.file), "--output", "json", *more]
        done = Done(subprocess.run(command, capture_output=True, text=True, timeout=120))
        print(deed, done.code, done.text[-3000:] if done.code not in (0, 3) else "")
        return done

    def places() -> dict:
        """Every file that a push may write."""
        of_manager = alertmanager.folder / "alertmanager.yml"
        return {**written(prometheus.folder / "rules"), "alertmanager": (of_manager.stat().st_mtime_ns, of_manager.read_text())}

    def writes() -> list:
        return prometheus.writes() + alertmanager.writes() + grafana.writes()

    before = places()
    agent.start()
    agent.until(lambda seen: seen.value("neural_device_streaming", device="cyton") == 1)

    # From nothing.
    assert provision("plan").code == 3 and writes() == [] and places() == before
    done = provision("apply")
    assert done.code == 0 and set(done.results().values()) == {"create"}, done.text
    out = tmp_path / "generated"
    subprocess.run([str(PROGRAM), "generate", "--config", str(agent.file), "--out", str(out)], check=True, capture_output=True)
    boards = {json.loads(file.read_text())["uid"] for file in (out / "dashboards").glob("*.json")}
    assert len(boards) >= 10 and set(grafana.boards) == boards | {"theirs"}
    said = {alert["name"] for alert in rules(prometheus) if alert["type"] == "alerting"}
    assert {"NeuralDeviceUnplugged", "NeuralPortBusy", "NeuralTapDropped", "NeuralSignalQuality"} <= said and len(said) > 100
    wait_until(lambda: {rule["health"] for rule in rules(prometheus)} == {"ok"}, 60, "the evaluation of every rule")

    # Once more: nothing to do, and nothing is done.
    pushed, asked = places(), writes()
    assert provision("plan").code == 0
    done = provision("apply")
    assert done.code == 0 and set(done.results().values()) == {"unchanged"} and done.json["writes"] == 0, done.text
    assert places() == pushed and writes() == asked

    # The plug.
    cyton.kill()
    cyton.link.unlink()
    agent.until(lambda seen: seen.value("neural_source_up", source="cyton") == 0)

    def told() -> dict | None:
        alerts = [alert for message in list(webhook.heard) for alert in message["alerts"]]
        return next((alert for alert in alerts if alert["labels"]["alertname"] == "NeuralDeviceUnplugged"), None)

    alert = wait_until(told, 120, "the alert")
    assert alert["status"] == "firing"
    assert (alert["labels"]["device"], alert["labels"]["priority"]) == ("cyton", "P0"), alert
    assert "cyton" in alert["annotations"]["summary"]
    # What the notification leads to: the dashboard of the Grafana of the configuration, with the board chosen.
    assert alert["annotations"]["dashboard_url"].startswith(f"{grafana.url}/d/neural-device")
    assert "var-device=cyton" in alert["annotations"]["dashboard_url"]
    assert alert["annotations"]["dashboard_url"].split("/d/")[1].split("?")[0] in grafana.boards
    link = alert["annotations"]["runbook_url"]
    assert link == f"http://127.0.0.1:{agent.port}/runbooks/NeuralDeviceUnplugged.md"
    with urllib.request.urlopen(link, timeout=10) as answer:
        page = answer.read().decode()
    assert answer.status == 200 and "# NeuralDeviceUnplugged" in page and "## Immediately" in page

    # Everything of ours goes, and nothing else.
    done = provision("destroy")
    assert done.code == 0, done.text
    assert groups(prometheus) == {"theirs": 1}
    assert written(prometheus.folder / "rules") == {"theirs.yml": before["theirs.yml"]}
    assert places()["alertmanager"][1] == before["alertmanager"][1]
    assert set(grafana.boards) == {"theirs"} and grafana.folders == {} and grafana.sources == {}
    asked = writes()
    assert provision("destroy").code == 0 and writes() == asked, "there is nothing left to remove"
