"""Hooks: what the agent does by itself about an alert, and that it costs nothing else when that goes wrong.

Independent: programs of the system, an HTTP server of Python, the kernel's processes.
"""
from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from conftest import Agent, free_port, wait_until
from test_alerting import write_rules
from test_incidents import incidents, one, post

HIGH = {"alert": "High", "expr": "level > 5", "labels": {"severity": "critical", "priority": "P0"},
        "annotations": {"summary": "the level of {{ $labels.unit }} is {{ $value }}"}}


class Level:
    """A gauge that the test and its hooks set."""

    def __init__(self, agent: Agent, tmp_path, hooks: list[dict], **actions):
        self.port, self.agent = free_port(socket.SOCK_DGRAM), agent
        agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{self.port}"}}], history={"interval": "1s"},
                        alerts={"rule_files": [write_rules(tmp_path, HIGH, interval="1s")]},
                        respond={"actions": {"dry_run": False, **actions}, "hooks": hooks})
        # What a hook runs to end the condition.
        self.lower = ["python3", "-c", "import os, socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto("
                      f"b'level:1|g|#unit:' + os.environ['NEURAL_LABEL_UNIT'].encode(), ('127.0.0.1', {self.port}))"]

    def start(self) -> None:
        self.agent.start()
        time.sleep(3.5)

    def set(self, value: int, unit: str = "a") -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"level:%d|g|#unit:%s" % (value, unit.encode()), ("127.0.0.1", self.port))

    def audit(self, hook: str) -> list[str]:
        file = Path(self.agent.path("state")) / "actions.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [line["step"] for line in lines if line["hook"] == hook]


def test_a_hook_that_ends_the_alert_succeeded(agent, tmp_path):
    level = Level(agent, tmp_path, [])
    agent.config["respond"]["hooks"] = [{"name": "lower", "match": {"alerts": ["Hi*"]}, "exec": {"command": level.lower}},
                                        {"name": "other", "match": {"severities": ["warning"]}, "exec": {"command": ["false"]}}]
    agent.write()
    level.start()
    level.set(9)
    over = wait_until(lambda: incidents(agent, alert="High", state="resolved"), 30, "the end of the incident")[0]
    agent.until(lambda seen: seen.value("neural_actions_total", hook="lower", step="succeeded") == 1)
    assert level.audit("lower") == ["started", "ended", "succeeded"] and level.audit("other") == []
    actions = [entry for entry in over["history"] if entry["what"] == "action"]
    assert actions and actions[0]["by"] == "hook lower" and actions[0]["why"].startswith("started: run python3 -c")
    assert agent.scrape().value("neural_incident_escalations_total", reason="action_failed") == 0


def test_without_leave_a_hook_only_says_what_it_would_do(agent, tmp_path):
    level = Level(agent, tmp_path, [{"name": "touch", "exec": {"command": ["touch", str(tmp_path / "touched")]}}], dry_run=True)
    level.start()
    level.set(9)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="touch", step="dry_run") == 1, 30)
    time.sleep(1)
    assert not (tmp_path / "touched").exists() and level.audit("touch") == ["dry_run"]
    assert "it would run touch" in one(agent, alert="High")["history"][-1]["why"]


def test_what_hangs_forks_or_prints_for_ever_is_escalated_and_blocks_nothing(agent, tmp_path):
    child = tmp_path / "child"
    forks = f"setsid sh -c 'echo $$ > {child}.new; mv {child}.new {child}; exec sleep 1000' & sleep 1000"
    hooks = [{"name": name, "timeout": "2s", "exec": {"command": command}} for name, command in (
        ("hangs", ["sleep", "1000"]), ("forks", ["sh", "-c", forks]), ("prints", ["yes"]))]
    level = Level(agent, tmp_path, hooks)
    level.start()
    level.set(9)
    for name in ("hangs", "forks", "prints"):
        agent.until(lambda seen, name=name: seen.value("neural_actions_total", hook=name, step="failed") == 1, 30)
    number = int(child.read_text())
    wait_until(lambda: not Path(f"/proc/{number}").exists() or ") Z " in Path(f"/proc/{number}/stat").read_text(), 10, "the end of the child")
    escalated = wait_until(lambda: incidents(agent, alert="High", state="escalated"), 20, "the escalation")[0]
    assert any("the hook" in entry["why"] for entry in escalated["history"] if entry["what"] == "escalated")
    assert agent.scrape().value("neural_incident_escalations_total", reason="action_failed") == 1
    agent.says("an action failed: ")
    # It asserts that the end takes no longer than five seconds.
    agent.stop()


def test_a_hundred_alerts_run_three_hooks_at_a_time_and_each_once(agent, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    script = f"touch {folder}/$NEURAL_LABEL_UNIT.on; ls {folder}/*.on | wc -l >> {folder}/together; echo $NEURAL_LABEL_UNIT >> {folder}/all; sleep 0.1; rm {folder}/$NEURAL_LABEL_UNIT.on"
    level = Level(agent, tmp_path, [{"name": "count", "exec": {"command": ["sh", "-c", script]}}])
    level.start()
    for unit in range(100):
        level.set(9, f"u{unit}")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="count", step="ended") == 100, 60)
    ran = (folder / "all").read_text().split()
    assert len(ran) == 100 and len(set(ran)) == 100
    assert max(int(count) for count in (folder / "together").read_text().split()) <= 3
    # Killed while they wait for the end of their alerts: nothing is run twice.
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    agent.start()
    for unit in range(100):
        level.set(9, f"u{unit}")
    time.sleep(6)
    assert len((folder / "all").read_text().split()) == 100


def test_after_a_kill_a_hook_that_waited_is_run_and_one_that_ran_is_not_forgotten(agent, tmp_path):
    runs = tmp_path / "runs"
    script = f"echo $NEURAL_LABEL_UNIT >> {runs}; exec sleep 20"
    level = Level(agent, tmp_path, [{"name": "long", "timeout": "1m", "verify": "3s", "exec": {"command": ["sh", "-c", script]}}], at_once=1)
    level.start()
    level.set(9, "a")
    wait_until(runs.exists, 30)
    level.set(9, "b")
    wait_until(lambda: len(incidents(agent, alert="High")) == 2, 30)
    time.sleep(1)
    for life in range(2):
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        agent.start()
        for unit in "ab":
            level.set(9, unit)
        agent.until(lambda seen: seen.value("neural_actions_total", hook="long", step="interrupted") == 1, 30)
        wait_until(lambda: runs.read_text().split() == ["a", "b"], 30)
        time.sleep(1)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="long", step="failed") == 2, 30)
    assert runs.read_text().split() == ["a", "b"], "nothing is run twice"
    states = {each["labels"]["unit"]: each for each in incidents(agent, alert="High")}
    assert len(incidents(agent, alert="High")) == 2 and states["a"]["actions"] == states["b"]["actions"] == {"long": "failed"}
    assert level.audit("long") == ["started", "interrupted", "started", "interrupted", "failed", "failed"]
    # One that was over before the agent came back is not acted upon.
    level.set(1, "a")
    level.set(1, "b")
    wait_until(lambda: len(incidents(agent, alert="High", state="resolved")) == 2, 30)


def killed(agent: Agent) -> None:
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()


def test_a_kill_ends_no_cooldown_and_closes_no_breaker(agent, tmp_path):
    level = Level(agent, tmp_path, [])
    agent.config["respond"]["hooks"] = [
        {"name": "lower", "match": {"labels": {"unit": "a"}}, "cooldown": "10m", "exec": {"command": level.lower}},
        {"name": "fails", "match": {"labels": {"unit": "u*"}}, "exec": {"command": ["false"]}}]
    agent.write()
    level.start()
    level.set(9, "a")
    for unit in range(5):
        level.set(9, f"u{unit}")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="lower", step="succeeded") == 1, 30)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="fails", step="failed") == 5, 30)
    time.sleep(1)
    killed(agent)
    agent.start()
    # The alerts that fired go on; two more come.
    for unit in ("u0", "u1", "u2", "u3", "u4", "u5", "a"):
        level.set(9, unit)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="lower", step="cooling_down") == 1, 30)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="fails", step="breaker_open") == 1, 30)
    assert agent.scrape().value("neural_action_breaker_open", hook="fails") == 1
    assert level.audit("lower") == ["started", "ended", "succeeded", "cooling_down"]
    assert level.audit("fails").count("started") == 5 and level.audit("fails")[-1] == "breaker_open"
    ran = one(agent, alert="High", state="resolved")["runs"]["lower"]
    assert ran["started"] <= ran["judged"]


def test_a_file_that_takes_long_to_read_has_no_hook_run_twice(agent, disk, tmp_path):
    runs = tmp_path / "runs"
    level = Level(agent, tmp_path, [{"name": "once", "exec": {"command": ["sh", "-c", f"echo x >> {runs}"]}}])
    agent.config["state_directory"] = str(disk.place / "state")
    agent.write()
    level.start()
    level.set(9)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="once", step="ended") == 1, 30)
    time.sleep(2)
    killed(agent)
    disk.says(delay=15)
    agent.start()
    # Incidents do not wait for it, hooks do. The disk does one thing at a time: who asks for incidents would wait as well.
    agent.until(lambda seen: level.set(9) or seen.value("neural_incidents_open", state="open", incident_priority="P0") == 1, 30)
    time.sleep(2)
    assert not agent.scrape().series("neural_actions_total") and runs.read_text() == "x\n"
    disk.says()
    # The states of alerts were as slow, so that it has another start: it is the older one that goes on.
    wait_until(lambda: [each.get("actions") for each in incidents(agent, alert="High") if each["state"] == "open"] == [{"once": "ended"}], 60, "the reading")
    time.sleep(2)
    assert runs.read_text() == "x\n" and agent.scrape().value("neural_actions_total", hook="once", step="started") == 0


def test_what_is_done_and_what_is_not_is_in_the_event_log(agent, tmp_path):
    level = Level(agent, tmp_path, [], missing={"priorities": ["P0"], "escalate": True})
    agent.config["respond"]["hooks"] = [{"name": "lower", "match": {"labels": {"unit": "a"}}, "exec": {"command": level.lower}}]
    agent.config["events_log"] = {"path": str(tmp_path / "events.jsonl")}
    agent.write()
    level.start()
    level.set(9, "a")
    wait_until(lambda: incidents(agent, alert="High", state="resolved"), 30)
    level.set(9, "b")
    left = wait_until(lambda: incidents(agent, alert="High", state="escalated"), 30)[0]
    assert left["labels"]["unit"] == "b" and [entry["why"] for entry in left["history"]][1:] == ["no action is configured for it"] * 2
    seen = agent.until(lambda seen: seen.value("neural_actions_missing_total", incident_priority="P0") == 1)
    assert seen.value("neural_incident_escalations_total", reason="action_missing") == 1
    post(agent, f"/api/v1/incidents/{left['id']}/ack", b"by=ada&why=looking")
    told = lambda: [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    of = lambda unit: [one.get("step") or one["state"] for one in told() if one["event"] in ("incident", "action") and one["labels"].get("unit") == unit]
    wait_until(lambda: "acknowledged" in of("b"), 10)
    assert sorted(of("a")) == sorted(["opened", "started", "ended", "resolved", "succeeded"]) and of("a")[0] == "opened"
    assert sorted(of("b")) == sorted(["opened", "missing", "escalated", "acknowledged"])
    one_of = lambda state: next(one for one in told() if one["event"] == "incident" and one["state"] == state and one["labels"]["unit"] == "b")
    assert (one_of("acknowledged")["by"], one_of("acknowledged")["why"], one_of("opened")["incident"]) == ("ada", "looking", left["id"])
    assert all(line.startswith('{"time":"') for line in (tmp_path / "events.jsonl").read_text().splitlines())


def test_a_server_and_a_process_are_asked(agent, tmp_path):
    got: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args):
            pass

        def do_POST(self):
            assert self.headers["Content-Type"] == "application/json" and self.path == "/control/shed"
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sleeper = subprocess.Popen(["sleep", "300"], start_new_session=True)
    (tmp_path / "pid").write_text(str(sleeper.pid))
    level = Level(agent, tmp_path, [
        {"name": "ask", "http": {"url": f"http://127.0.0.1:{server.server_address[1]}/control/shed"}},
        {"name": "signal", "signal": {"signal": "USR1", "pid_file": str(tmp_path / "pid"), "process": "sleep"}},
    ])
    level.start()
    level.set(9)
    agent.until(lambda seen: seen.value("neural_actions_total", step="ended") == 2, 30)
    assert got[0]["alert"] == "High" and got[0]["labels"]["unit"] == "a" and got[0]["values"]["start"] == 9.0
    assert sleeper.wait(10) == -signal.SIGUSR1
    server.shutdown()
    server.server_close()


def test_an_alert_that_a_prometheus_raised_is_acted_on(agent, tmp_path):
    """By Alertmanager's webhook, where the agent evaluates nothing itself."""
    told = tmp_path / "told"
    many = "import sys, json; open(sys.argv[1] + '.new', 'w').write(sys.stdin.read()); import os; os.rename(sys.argv[1] + '.new', sys.argv[1]); print('o' * 50_000)"
    agent.configure([], alerts={"evaluate": False}, respond={
        "incidents": {"webhook": {"enabled": True}}, "actions": {"dry_run": False},
        "hooks": [{"name": "theirs", "match": {"alerts": ["Remote*"], "labels": {"instance": "rig-7:*"}}, "exec": {"command": ["python3", "-c", many, str(told)]}}]})
    agent.start()

    def alertmanager(status: str, instance: str) -> None:
        alert = {"status": status, "labels": {"alertname": "RemoteDown", "severity": "critical", "instance": instance}, "startsAt": "2026-11-01T00:00:00Z",
                 **({"endsAt": "2026-11-01T01:00:00Z"} if status == "resolved" else {})}
        body = json.dumps({"version": "4", "alerts": [alert]}).encode()
        wait_until(lambda: post(agent, "/api/v1/alertmanager", body, **{"Content-Type": "application/json"})[0] == 200, 20, "that it is taken")

    alertmanager("firing", "rig-8:1")
    alertmanager("firing", "rig-7:1")
    given = json.loads(wait_until(lambda: told.exists() and told.read_text(), 30, "the hook"))
    assert (given["alert"], given["labels"]["instance"], given["agent"], given["alertmanager"]) == ("RemoteDown", "rig-7:1", False, True)
    agent.until(lambda seen: seen.value("neural_actions_total", hook="theirs", step="ended") == 1, 30)
    alertmanager("resolved", "rig-7:1")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="theirs", step="succeeded") == 1, 30)
    assert agent.scrape().value("neural_actions_total", hook="theirs", step="started") == 1
    # What it printed is kept, and no more than its beginning.
    over = one(agent, alert="RemoteDown", state="resolved")
    kept = [entry["why"] for entry in over["history"] if "ooo" in entry.get("why", "")]
    assert kept and all(100 < len(why) < 2_000 for why in kept), over
    lines = [json.loads(line) for line in (Path(agent.path("state")) / "actions.jsonl").read_text().splitlines() if '"theirs"' in line]
    assert [line["step"] for line in lines] == ["started", "ended", "succeeded"] and all(len(json.dumps(line)) < 4_000 for line in lines)
    with contextlib.closing(sqlite3.connect(Path(agent.path("state")) / "incidents.db")) as db:
        record = json.loads(db.execute("SELECT record FROM incident WHERE id = ?", (over["id"],)).fetchone()[0])
    assert record["actions"] == {"theirs": "succeeded"} and record["history"] == over["history"]


def test_a_program_gets_the_incident_and_nothing_of_the_agents(agent, tmp_path):
    """No shell reads its arguments, and its environment has what is said and no more."""
    told, word = tmp_path / "told", "$(touch /tmp/never) ; `id` *"
    write = ("import json, os, sys; open(sys.argv[1] + '.new', 'w').write(json.dumps([sys.argv[2:], dict(os.environ), json.load(sys.stdin)])); "
             "os.rename(sys.argv[1] + '.new', sys.argv[1])")
    level = Level(agent, tmp_path, [{"name": "tell", "exec": {"command": [sys.executable, "-c", write, str(told), word], "environment": {"OWN": "yes"}}}])
    agent.start({"SECRET_OF_THE_AGENT": "x"})
    time.sleep(3.5)
    level.set(9)
    arguments, environment, given = json.loads(wait_until(lambda: told.exists() and told.read_text(), 30, "the run"))
    assert arguments == [word]
    own = {name: value for name, value in environment.items() if not name.startswith("NEURAL_") and name not in ("LC_CTYPE", "__PYVENV_LAUNCHER__")}
    assert set(own) == {"PATH", "OWN"} and own["OWN"] == "yes", own
    assert (environment["NEURAL_ALERT"], environment["NEURAL_SEVERITY"], environment["NEURAL_PRIORITY"], environment["NEURAL_LABEL_UNIT"]) == ("High", "critical", "P0", "a")
    assert environment["NEURAL_INCIDENT"] == given["id"] and environment["NEURAL_SUMMARY"] == "the level of a is 9" and given["labels"]["unit"] == "a"


def test_without_a_word_hooks_do_nothing_and_priorities_have_their_times(agent):
    """The defaults, as the configuration in effect says them."""
    agent.configure([])
    done = subprocess.run([agent.command()[0], "check", "--print", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    respond = yaml.safe_load(done.stdout)["respond"]
    assert respond["hooks"] == [] and respond["tasks"] == [] and respond["actions"]["dry_run"] is True and respond["actions"]["at_once"] == 3
    seconds = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    times = {name: sum(int(n) * seconds[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)) for name, text in respond["incidents"]["acknowledge"].items()}
    assert times == {"p0": 900, "p1": 3_600, "p2": 14_400, "p3": 86_400}


@pytest.mark.parametrize("hook, why", [
    ({"name": "a", "systemctl": {"unit": "sshd.service", "restart": True}}, "is not one of the units that hooks may act on"),
    ({"name": "a"}, "exactly one of exec, http, signal, systemctl and device"),
])
def test_a_hook_that_may_not_be_is_refused_with_its_place(agent, hook, why):
    agent.configure([], respond={"hooks": [hook]})
    done = subprocess.run([agent.command()[0], "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and why in done.stdout + done.stderr and "respond.hooks[0]" in done.stdout + done.stderr
