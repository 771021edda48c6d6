"""Incidents: of the agent's own rules, and of what a Prometheus raised, by Alertmanager's webhook.

Independent: Debian's Prometheus and Alertmanager, SQLite as Python has it, the kernel and its tmpfs.
"""
from __future__ import annotations

import contextlib
import csv
import io
import json
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from conftest import PROGRAM, Agent, free_port, program, wait_until
from test_alerting import Eeg, eeg, recorder, write_rules  # noqa: F401 - a fixture
from test_history import small
from test_provision_prometheus import Server
from test_simulate import simulate  # noqa: F401 - a fixture
from test_time import Wall

LOST = {"alert": "PlugPulled", "expr": 'neural_source_up{source="board"} == 0',
        "labels": {"severity": "critical", "priority": "P0"},
        "annotations": {"summary": "{{ $labels.source }} is away", "runbook_url": "http://lab/runbooks/PlugPulled"}}
MANY = {"alert": "Many", "expr": "level > 5", "labels": {"severity": "warning"}}


def cli(agent: Agent, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([str(PROGRAM), "incidents", *arguments, "--config", str(agent.file)],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def incidents(agent: Agent, query: str = "limit=0", /, **fields) -> list[dict]:
    status, _, body = agent.get(f"/api/v1/incidents?{query}")
    assert status == 200, body
    found = json.loads(body)["data"]["incidents"]
    return [one for one in found if all(one.get(name) == value for name, value in fields.items())]


def told(agent: Agent, by: str | None = None, **fields) -> list[str]:
    """What is in the history of such incidents. A step of a hook is counted before it is there: who reads it waits for it."""
    entries = [entry for one in incidents(agent, **fields) for entry in one["history"]]
    return [entry.get("why", "") for entry in entries if by in (None, entry["by"])]


def one(agent: Agent, /, **fields) -> dict:
    found = wait_until(lambda: incidents(agent, **fields), 30, f"an incident with {fields}")
    assert len(found) == 1, found
    return found[0]


def post(agent: Agent, path: str, body: bytes = b"", **headers) -> tuple[int, str]:
    status, _, answer = agent.request("POST", path, {"Content-Type": "application/x-www-form-urlencoded", **headers}, body=body)
    return status, answer.decode()


def test_a_pulled_plug_is_acknowledged_resolved_and_exported(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(tmp_path, LOST, interval="1s")]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="board") == 1)
    time.sleep(3.5)
    assert "no incident" in cli(agent, "list", "--all") and incidents(agent, alert="PlugPulled") == []
    went = time.time()
    board.process.terminate()
    board.process.wait(20)
    opened = one(agent, alert="PlugPulled")
    assert (opened["state"], opened["priority"], opened["labels"]["source"]) == ("open", "P0", "board")
    assert opened["values"] == {"start": 0.0, "worst": 0.0, "end": 0.0}
    assert time.time() - went < 20 and opened["history"][0]["what"] == "opened"
    agent.until(lambda seen: seen.value("neural_incidents_open", state="open", incident_priority="P0") == 1
                and seen.value("neural_incidents_total", alert="PlugPulled", severity="critical") == 1)
    page = agent.get("/")[2].decode()
    assert "<h2>Incidents</h2>" in page and f"api/v1/incidents/{opened['id']}" in page and "board is away" in page

    number = opened["id"][:8]
    assert number in cli(agent) and "board is away" in cli(agent, "list", "--priority", "P0")
    assert "acknowledged by ada: I look" in cli(agent, "ack", number, "--by", "ada", "--why", "I look") or "ada" in cli(agent, "show", number)
    shown = cli(agent, "show", number)
    assert "state         acknowledged" in shown and "acknowledged by ada: I look" in shown and "runbook_url   http://lab" in shown
    agent.until(lambda seen: seen.value("neural_incident_acknowledge_duration_seconds_count", incident_priority="P0") == 1)
    assert "is not the number" in cli(agent, "ack", "../reload", code=2)
    assert "no incident has the number ffff" in cli(agent, "ack", "ffff", code=1)

    # It is plugged in again: the alert is over, and so is the incident.
    simulate("cyton", name="board")
    agent.until(lambda seen: seen.value("neural_source_up", source="board") == 1, 60)
    over = wait_until(lambda: incidents(agent, alert="PlugPulled", state="resolved"), 20, "the end")[0]
    assert [entry["what"] for entry in over["history"]] == ["opened", "acknowledged", "resolved"] and "by_hand" not in over
    agent.until(lambda seen: seen.value("neural_incident_resolve_duration_seconds_count", incident_priority="P0") == 1
                and seen.value("neural_incidents_open", state="acknowledged", incident_priority="P0") == 0)
    assert "resolved already" in cli(agent, "resolve", number, code=1)

    rows = list(csv.DictReader(io.StringIO(cli(agent, "export", "--output", "csv"))))
    (row,) = [row for row in rows if row["alert"] == "PlugPulled"]
    assert (row["number"], row["state"], row["summary"], row["acknowledged"] != "") == (over["id"], "resolved", "board is away", True)
    exported = json.loads(cli(agent, "export"))["incidents"]
    assert over in exported
    figures = json.loads(cli(agent, "stats", "--output", "json"))
    assert figures["by_severity"]["critical"] >= 1 and figures["seconds_to_acknowledge"]["count"] == 1
    assert "by_alert" not in cli(agent, "stats") and "PlugPulled" in cli(agent, "stats")
    with contextlib.closing(sqlite3.connect(Path(agent.path("state")) / "incidents.db")) as db:
        assert json.loads(db.execute("SELECT record FROM incident WHERE id = ?", (over["id"],)).fetchone()[0]) == over


def test_no_page_of_another_origin_acknowledges(agent, recorder, tmp_path):  # noqa: F811
    rule = {**LOST, "expr": 'neural_source_up{source="eeg"} == 0'}
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]},
                    respond={"incidents": {"webhook": {"enabled": True}}})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    recorder.hang_up()
    opened = one(agent, alert="PlugPulled")
    ack = f"/api/v1/incidents/{opened['id']}/ack"
    for path in (ack, ack.replace("/ack", "/resolve"), "/api/v1/alertmanager"):
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            status, said = post(agent, path, b"by=eve", **headers)
            assert status == 403, (path, headers, said)
        assert agent.get(path)[0] == 405
    assert agent.get("/api/v1/incidents", {"Host": "evil.example"})[0] == 403
    assert incidents(agent, alert="PlugPulled")[0]["state"] == "open"
    # The agent's own page may.
    status, said = post(agent, ack, b"by=ada&why=here", Origin=f"http://127.0.0.1:{agent.port}")
    data = json.loads(said)["data"]
    assert status == 200 and data["state"] == "acknowledged" and data["kept"] is True
    for query in ("state=gone", "priority=P9", "from=yesterday", "limit=-1"):
        assert agent.get(f"/api/v1/incidents?{query}")[0] == 400, query
    assert post(agent, f"/api/v1/incidents/{'0' * 16}/ack")[0] == 404


def test_killed_at_any_moment_what_was_acknowledged_is_kept(agent, recorder, tmp_path):  # noqa: F811
    rule = {**LOST, "expr": 'neural_source_up{source="eeg"} == 0'}
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    recorder.hang_up()
    opened = one(agent, alert="PlugPulled")
    assert json.loads(post(agent, f"/api/v1/incidents/{opened['id']}/ack", b"by=ada")[1])["data"]["kept"] is True
    for _ in range(3):
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        agent.start()
        kept = one(agent, alert="PlugPulled")
        assert (kept["id"], kept["state"]) == (opened["id"], "acknowledged")
        # The rules are evaluated again: it is the same incident still.
        time.sleep(4.5)
        assert one(agent, alert="PlugPulled")["state"] == "acknowledged"
    # It ends while the agent is away.
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    again = Eeg(recorder.port)
    agent.start()
    wait_until(lambda: incidents(agent, alert="PlugPulled", state="resolved"), 30, "the end")
    again.hang_up()


def test_a_full_disk_costs_what_cannot_be_written_and_is_said(agent, recorder, tmp_path):  # noqa: F811
    rule = {**LOST, "expr": 'neural_source_up{source="eeg"} == 0'}
    with small(tmp_path / "disk", "900k") as disk:
        agent.configure([eeg(recorder.port)], history={"interval": "1s"}, state_directory=str(disk),
                        alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]})
        agent.start()
        agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
        time.sleep(3.5)
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 512)
        recorder.hang_up()
        opened = one(agent, alert="PlugPulled")
        # What is left of the last page of the journal takes some writes more.
        for turn in range(200):
            data = json.loads(post(agent, f"/api/v1/incidents/{opened['id']}/ack", b"by=ada&why=" + b"y" * 900)[1])["data"]
            assert data["state"] == "acknowledged"
            if not data["kept"]:
                break
        assert not data["kept"]
        agent.until(lambda seen: seen.value("neural_incidents_file_failing") == 1)
        agent.says("incidents are kept in memory alone: ", "the disk is full")
        assert "Incidents are kept in memory only" in agent.get("/")[2].decode()
        assert "not on disk yet" in subprocess.run([str(PROGRAM), "incidents", "ack", opened["id"], "--config", str(agent.file)],
                                                   capture_output=True, text=True, timeout=30).stderr
        filler.unlink()
        agent.until(lambda seen: seen.value("neural_incidents_file_failing") == 0, 60)
        agent.says("incidents are written again to ")
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        agent.start()
        assert one(agent, alert="PlugPulled")["state"] == "acknowledged"
        agent.stop()


MESSAGE = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "Away", "severity": "critical", "device": "a"},
                                       "startsAt": "2026-11-01T00:00:00Z"}]}


def alone(agent: Agent, **settings) -> None:
    """Incidents by Alertmanager's messages alone: no history writes to the disk."""
    agent.configure([], history={"enabled": False}, respond={"incidents": {"webhook": {"enabled": True}, **settings.pop("incidents", {})}}, **settings)


def send(agent: Agent, message: dict) -> None:
    # 503 while the file is read.
    taken = lambda: post(agent, "/api/v1/alertmanager", json.dumps(message).encode(), **{"Content-Type": "application/json"})[0] == 200
    wait_until(taken, 20, "that it is taken")


def test_a_disk_that_became_read_only_is_known_before_an_incident_has_to_be_written(agent, disk):
    alone(agent, state_directory=str(disk.place / "state"))
    agent.start()
    wait_until(lambda: (disk.place / "state" / "incidents.db").exists(), 10)
    agent.until(lambda seen: seen.value("neural_incidents_file_failing") == 0)
    mount = lambda how: subprocess.run(["mount", "-o", f"remount,bind,{how}", str(disk.place)], capture_output=True).returncode == 0
    wait_until(lambda: mount("ro"), 20, "the closing of the file")
    agent.until(lambda seen: seen.value("neural_incidents_file_failing") == 1, 40)
    agent.says("incidents are kept in memory alone: ", "its file system is read-only")
    # It is not taken for well by the next look.
    time.sleep(7)
    assert agent.scrape().value("neural_incidents_file_failing") == 1 and "incidents are written again" not in agent.told()
    assert mount("rw")
    agent.until(lambda seen: seen.value("neural_incidents_file_failing") == 0, 40)
    agent.says("incidents are written again to ")


def test_a_clock_that_is_ahead_by_more_than_a_month_removes_no_incident(agent, tmp_path):
    clock = Wall(tmp_path)
    alone(agent, incidents={"keep": "100d"})
    agent.start(environment=clock.environment)
    over = {**MESSAGE, "alerts": [{**MESSAGE["alerts"][0], "status": "resolved", "endsAt": "2026-11-01T01:00:00Z"}]}
    send(agent, MESSAGE)
    send(agent, over)
    known = one(agent, alert="Away", state="resolved")["id"]
    time.sleep(3)
    agent.stop()
    clock.set(int(200 * 86_400))
    agent.start(environment=clock.environment)
    agent.says("no incident is removed because of its age: the clock reads ")
    time.sleep(2)
    assert one(agent, alert="Away")["id"] == known
    agent.stop()
    # One that was off for as long as it may be, and then some: in steps of a clock that is right it goes.
    for days in (25, 50, 75):
        clock.set(days * 86_400)
        agent.start(environment=clock.environment)
        send(agent, {**MESSAGE, "alerts": [{**MESSAGE["alerts"][0], "labels": {**MESSAGE["alerts"][0]["labels"], "device": f"d{days}"},
                                            "startsAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(clock.now()))}]})
        time.sleep(3)
        agent.stop()
    clock.set(101 * 86_400)
    agent.start(environment=clock.environment)
    wait_until(lambda: known not in [each["id"] for each in incidents(agent)], 20, "the removal")


def test_a_thousand_alerts_at_once_are_a_thousand_incidents(agent, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}"}}], history={"interval": "1s"},
                    limits={"series_per_family": 2000}, alerts={"rule_files": [write_rules(tmp_path, MANY, interval="1s")]})
    agent.start()
    time.sleep(3.5)

    def send(value: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for i in range(1000):
                sender.sendto(b"level:%d|g|#unit:%d" % (value, i), ("127.0.0.1", port))
                if i % 50 == 0:
                    time.sleep(0.01)

    send(9)
    wait_until(lambda: len(incidents(agent, alert="Many")) == 1000, 30, "a thousand incidents")
    send(11)
    wait_until(lambda: all(each["values"]["worst"] == 11 for each in incidents(agent, alert="Many")), 30, "the worst value")
    send(7)
    wait_until(lambda: all(each["values"]["end"] == 7 for each in incidents(agent, alert="Many")), 30, "the last value")
    send(1)
    wait_until(lambda: len(incidents(agent, alert="Many", state="resolved")) == 1000, 30, "their ends")
    found = incidents(agent, alert="Many")
    assert len({each["labels"]["unit"] for each in found}) == 1000 and len({each["id"] for each in found}) == 1000
    assert [json.loads(text) for text in {json.dumps(each["values"]) for each in found}] == [{"start": 9.0, "worst": 11.0, "end": 7.0}]
    seen = agent.until(lambda seen: seen.value("neural_incident_resolve_duration_seconds_count", incident_priority="P2") == 1000)
    assert seen.value("neural_incidents_total", alert="Many") == 1000 and seen.value("neural_incidents_dropped_total") == 0
    assert len(incidents(agent, "alert=Many")) == 100, "a list without a limit is short"
    figures = json.loads(agent.get("/api/v1/incidents/stats")[2])["data"]
    assert figures["most_frequent"] == {"alert": "Many", "count": 1000}


@pytest.fixture
def fleet(tmp_path):
    """Prometheus and Alertmanager, which posts to the agent."""
    servers = []

    def make(agent: Agent, rules: str, job: str, scraped: int, token: str | None = None) -> Server:
        for name in ("alertmanager", "prometheus"):
            (tmp_path / name).mkdir()
        ports = [free_port(), free_port()]
        hook: dict = {"url": f"http://127.0.0.1:{agent.port}/api/v1/alertmanager", "send_resolved": True}
        if token:
            hook["http_config"] = {"authorization": {"credentials": token}}
        (tmp_path / "alertmanager" / "alertmanager.yml").write_text(json.dumps({
            "route": {"receiver": "agent", "group_wait": "1s", "group_interval": "1s", "group_by": ["..."]},
            "receivers": [{"name": "agent", "webhook_configs": [hook]}],
        }))
        servers.append(Server(tmp_path / "alertmanager", [
            program("prometheus-alertmanager"), f"--config.file={tmp_path}/alertmanager/alertmanager.yml",
            f"--storage.path={tmp_path}/alertmanager/data", f"--web.listen-address=127.0.0.1:{ports[0]}", "--cluster.listen-address="], ports[0]))
        (tmp_path / "prometheus" / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports[0]}"]}]}]},
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}],
        }))
        servers.append(Server(tmp_path / "prometheus", [
            program("prometheus"), f"--config.file={tmp_path}/prometheus/prometheus.yml", f"--storage.tsdb.path={tmp_path}/prometheus/data",
            f"--web.listen-address=127.0.0.1:{ports[1]}"], ports[1]))
        return servers[0]

    yield make
    for server in servers:
        server.stop()


def test_what_a_prometheus_raised_becomes_an_incident(agent, fleet, tmp_path):
    """The agent evaluates nothing: one agent serves a fleet."""
    (tmp_path / "token").write_text("s3cret-token\n")
    agent.configure([], alerts={"evaluate": False}, respond={"incidents": {"webhook": {"enabled": True, "token_file": str(tmp_path / "token")}}})
    agent.start()
    target = free_port()
    rules = write_rules(tmp_path, {"alert": "TargetDown", "expr": "up == 0", "labels": {"severity": "critical"},
                                   "annotations": {"summary": "{{ $labels.instance }} is down"}}, interval="1s")
    fleet(agent, rules, "fleet", target, "s3cret-token")
    opened = one(agent, alert="TargetDown")
    assert (opened["state"], opened["priority"], opened["agent"], opened["alertmanager"]) == ("open", "P1", False, True)
    assert opened["annotations"]["summary"] == f"127.0.0.1:{target} is down"
    assert post(agent, "/api/v1/alertmanager", b"{}")[0] == 401
    assert post(agent, "/api/v1/alertmanager", b"{}", Authorization="Bearer s3cret-tokem")[0] == 401
    assert post(agent, "/api/v1/alertmanager", b"{}", Authorization="Bearer s3cret-token")[0] == 400
    with socket.create_server(("127.0.0.1", target)) as listener:
        listener.settimeout(30)
        until = time.monotonic() + 30
        while not incidents(agent, alert="TargetDown", state="resolved"):
            assert time.monotonic() < until, "Alertmanager never said that it is over"
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: 4\r\nConnection: close\r\n\r\na 1\n")
    over = one(agent, alert="TargetDown")
    assert [entry["what"] for entry in over["history"]] == ["opened", "resolved"] and over["history"][1]["by"] == "alertmanager"
    assert "s3cret" not in agent.told()


def test_an_alert_of_both_is_one_incident(agent, fleet, recorder, tmp_path):  # noqa: F811
    rule = {**LOST, "expr": 'neural_source_up{source="eeg"} == 0'}
    rules = write_rules(tmp_path, rule, interval="1s")
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [rules]},
                    respond={"incidents": {"webhook": {"enabled": True}}})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    fleet(agent, rules, "neural", agent.port)
    time.sleep(3)
    recorder.hang_up()
    both = wait_until(lambda: incidents(agent, alert="PlugPulled", agent=True, alertmanager=True), 30, "both say so")
    assert len(incidents(agent, alert="PlugPulled")) == 1 and [entry["what"] for entry in both[0]["history"]] == ["opened", "joined"]
    again = Eeg(recorder.port)
    wait_until(lambda: incidents(agent, alert="PlugPulled", state="resolved"), 60, "the end")
    # What Alertmanager says of it afterwards opens no other one.
    time.sleep(6)
    assert len(incidents(agent, alert="PlugPulled")) == 1
    again.hang_up()


def test_what_nobody_acknowledges_is_escalated_and_raises_an_alert(agent, recorder, tmp_path):  # noqa: F811
    rule = {**LOST, "expr": 'neural_source_up{source="eeg"} == 0'}
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]},
                    respond={"incidents": {"acknowledge": {"p0": "2s"}}})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    recorder.hang_up()
    escalated = wait_until(lambda: incidents(agent, alert="PlugPulled", state="escalated"), 30, "the escalation")[0]
    assert escalated["history"][-1]["why"] == "not acknowledged within 2 s, the time of P0"
    agent.says("an incident is escalated: eeg is away: not acknowledged within 2 s")

    def raised() -> list[dict]:
        all_ = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
        return [a for a in all_ if a["labels"]["alertname"] == "NeuralIncidentEscalated" and a["state"] == "firing"]

    wait_until(lambda: {a["labels"]["priority"] for a in raised()} == {"P0", "P1"}, 40, "the alert of the escalation")
    assert {a["labels"]["alert"] for a in raised()} == {"PlugPulled"}
    assert agent.scrape().value("neural_incident_escalations_total", reason="unacknowledged") == 1
    assert incidents(agent, alert="NeuralIncidentEscalated") == [], "an escalation is no incident"
    assert post(agent, f"/api/v1/incidents/{escalated['id']}/ack", b"by=ada")[0] == 200
    wait_until(lambda: raised() == [], 40, "the end of the alert of the escalation")


def test_without_rules_and_messages_nothing_is_kept(agent):
    agent.configure([], alerts={"evaluate": False})
    agent.start()
    status, _, body = agent.get("/api/v1/incidents")
    assert status == 404 and b"no incidents are kept" in body
    assert post(agent, "/api/v1/alertmanager", b"{}")[0] == 404
    assert not (Path(agent.path("state")) / "incidents.db").exists()
    # A reload begins.
    agent.config["respond"] = {"incidents": {"webhook": {"enabled": True}}}
    agent.write()
    assert agent.reload()[0] == 200
    wait_until(lambda: agent.get("/api/v1/incidents")[0] == 200, 10, "incidents after the reload")
    message = {"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A", "severity": "critical"}}]}
    wait_until(lambda: post(agent, "/api/v1/alertmanager", json.dumps(message).encode())[0] == 200, 10, "a message")
    assert one(agent, alert="A")["state"] == "open"
