"""A machine without a clock of its own begins in 1970, and learns the time while the agent runs: nothing is removed, nothing took 56 years.

Independent: libfaketime, Python's SQLite, the system's files.
"""
from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from pathlib import Path

from conftest import PROGRAM, wait_until
from test_actions import HIGH
from test_alerting import seconds, write_rules
from test_incidents import incidents, one
from test_notifications import Levels, levels, played  # noqa: F401 - fixtures
from test_tasks import aged, listed, task
from test_time import DAY, Wall

# What may fire when a clock is set by half a century: that it was.
OF_THE_CLOCK = {"NeuralHostClockUnsynchronised", "NeuralHostClockOffset"}
RULE = {**HIGH, "alert": "NeuralHigh", "labels": {"severity": "critical", "priority": "P0", "component": "device", "job": "neural", "instance": "box"}}


def firing(agent) -> set[str]:
    answer = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
    return {alert["labels"]["alertname"] for alert in answer if alert["state"] == "firing"}


def silence(agent, *arguments: str) -> str:
    done = subprocess.run([str(PROGRAM), "silence", *arguments, "--config", str(agent.file)], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **agent.wall.environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


def states(agent) -> list[str]:
    return [each["status"]["state"] for each in json.loads(agent.get("/api/v2/silences")[2])]


def test_a_machine_that_begins_in_1970_learns_the_time(agent, levels, played, tmp_path):  # noqa: F811
    wall, data = Wall(tmp_path), tmp_path / "data" / "raw"
    agent.wall = wall
    known, own = aged(data / "known", 400 * DAY), played[0]
    often = {"every": "1d", "jitter": "0s"}
    agent.configure(
        [levels.source(agent)], history={"interval": "1s"},
        alerts={"rule_files": [write_rules(tmp_path, RULE, interval="1s")], "receivers": [{"webhook": {"url": own.url}}],
                "quiet": {"from": "00:00", "to": "00:01", "location": "UTC"}},
        respond={"notify": True, "actions": {"dry_run": False}, "incidents": {"acknowledge": {"p0": "10m"}},
                 "hooks": [{"name": "once", "match": {"alerts": ["NeuralHigh"]}, "cooldown": "1h", "verify": "30m",
                            "exec": {"command": ["sh", "-c", f"echo ran >> {tmp_path}/ran"]}}],
                 "tasks": [{"name": "raw", **often, "do": {"clean": {"folders": [str(data)], "older_than": "100d"}}},
                           {"name": "fine", **often, "do": {"exec": {"command": ["true"]}}}]})
    wall.set(-int(time.time()) + 7_200)
    assert time.gmtime(wall.now()).tm_year == 1970
    agent.start(environment=wall.environment)
    levels.set(a=9, b=9, c=1)
    opened = wait_until(lambda: {each["labels"]["device"]: each for each in incidents(agent, alert="NeuralHigh")} if len(incidents(agent, alert="NeuralHigh")) == 2 else None, 40, "the incidents")
    wait_until(lambda: own.of("a") and own.of("b"), 40, "the notifications")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="once", step="ended") == 2, 30)
    # One of them is over before the clock is right.
    levels.set(b=1)
    over = wait_until(lambda: incidents(agent, alert="NeuralHigh", state="resolved"), 30, "its end")[0]
    silence(agent, "c", "--for", "1h")
    assert states(agent) == ["active"]
    # Nothing is deleted while nobody knows the time; the run failed and says so.
    wait_until(lambda: listed(agent)["fine"]["last_success"], 30)
    assert "nothing is deleted: the clock reads 1970" in wait_until(lambda: listed(agent)["raw"]["outcome"], 30) and known.exists()
    agent.says("no incident is removed because of its age: the clock reads 1970")
    # Files that somebody writes now have times of 1970.
    fresh = data / "fresh"
    fresh.write_bytes(b"x" * 1000)
    os.utime(fresh, (wall.now(),) * 2)
    before = firing(agent)

    wall.set(0)
    time.sleep(8)
    (still,) = incidents(agent, alert="NeuralHigh", state="open")
    assert still["id"] == opened["a"]["id"] and abs(seconds(still["started"]) - time.time()) < 300, still
    assert [each["id"] for each in incidents(agent, alert="NeuralHigh", state="resolved")] == [over["id"]], "one that was over is not forgotten"
    seen = agent.scrape()
    assert seen.value("neural_incident_escalations_total") == 0 and (tmp_path / "ran").read_text() == "ran\nran\n"
    assert firing(agent) - before <= OF_THE_CLOCK, firing(agent) - before
    assert states(agent) == ["active"], "a silence of an hour holds for an hour"
    levels.set(c=9)
    wait_until(lambda: len(incidents(agent, alert="NeuralHigh", state="open")) == 2, 30)
    time.sleep(8)
    assert not own.of("c") and (tmp_path / "ran").read_text() == "ran\n" * 3
    assert seen.value("neural_task_overdue") == 0
    # Tasks look each minute when nothing is due.
    agent.until(lambda seen: abs(seen.value("neural_task_last_success_timestamp_seconds", task="fine") - time.time()) < 300, 90)
    # What the clock dated wrongly stays, what is old goes.
    assert "1 files with" in task(agent, "run", "raw") and fresh.exists() and not known.exists()
    # An end takes as long as it took.
    levels.set(a=1, c=1)
    wait_until(lambda: len(incidents(agent, alert="NeuralHigh", state="resolved")) == 3, 60, "the ends")
    seen = agent.until(lambda seen: seen.value("neural_incident_resolve_duration_seconds_count", incident_priority="P0") == 3)
    assert seen.value("neural_incident_resolve_duration_seconds_sum", incident_priority="P0") < 600
    wait_until(lambda: own.of("a", "resolved"), 90, "the notice of the end")
    told = [alert for body in own.of("a", "resolved") for alert in body["alerts"] if alert["labels"]["device"] == "a"]
    assert told[-1]["startsAt"] > "2026", told
    assert json.loads(agent.get("/api/v1/health")[2])["status"] in ("healthy", "degraded")
    # As somebody finds it who comes later: the spans of the wrong clock are kept, and so are the incidents.
    agent.stop()
    agent.start()
    assert len(incidents(agent, alert="NeuralHigh")) == 3
    assert "0 files with" in task(agent, "run", "raw") and fresh.exists()
    with contextlib.closing(sqlite3.connect(Path(agent.path("state")) / "incidents.db")) as db:
        assert db.execute("SELECT count(*) FROM incident").fetchone()[0] >= 3


def test_a_machine_that_was_off_and_begins_in_1970_goes_on_where_it_was(agent, levels, played, tmp_path):  # noqa: F811
    """What its files say is of a clock that was right: it does not go along when the clock is set."""
    wall, own = Wall(tmp_path), played[0]
    agent.wall = wall
    agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, RULE, interval="1s")], "receivers": [{"webhook": {"url": own.url}}]},
                    respond={"notify": True, "actions": {"dry_run": False}, "incidents": {"acknowledge": {"p0": "20m"}},
                             "hooks": [{"name": "once", "match": {"alerts": ["NeuralHigh"]}, "exec": {"command": ["sh", "-c", f"echo ran >> {tmp_path}/ran"]}}]})
    agent.start(environment=wall.environment)
    levels.set(a=9)
    known = one(agent, alert="NeuralHigh")
    wait_until(lambda: own.of("a"), 40, "the notification")
    agent.until(lambda seen: seen.value("neural_actions_total", hook="once", step="ended") == 1, 30)
    silence(agent, "b", "--for", "1h")
    time.sleep(2)
    agent.stop()
    # As if it had been booted then: the agent's own boot was earlier, so that 1970 is an hour or so after it.
    wall.set(-int(time.time()) + 7_200)
    agent.start(environment=wall.environment)
    time.sleep(6)
    wall.set(0)
    time.sleep(6)
    (still,) = incidents(agent, alert="NeuralHigh", state="open")
    assert still["id"] == known["id"] and still["started"] == known["started"], (still, known)
    assert (tmp_path / "ran").read_text() == "ran\n" and agent.scrape().value("neural_incident_escalations_total") == 0
    assert states(agent) == ["active"]
    levels.set(a=1)
    over = wait_until(lambda: incidents(agent, alert="NeuralHigh", state="resolved"), 30, "the end")[0]
    assert 0 <= seconds(over["resolved"]) - seconds(over["started"]) < 600, over
    wait_until(lambda: own.of("a", "resolved"), 90, "the notice of the end")
    assert len(own.of("a")) == 1, "it is told once"
