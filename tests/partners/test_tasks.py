"""Tasks: what the agent does from time to time, and that one that goes wrong costs nothing else.

Independent: the system's files and processes, Python's gzip and SQLite.
"""
from __future__ import annotations

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from conftest import PROGRAM, wait_until
from test_alerting import write_rules
from test_time import DAY, Wall


def task(agent, *arguments: str, code: int = 0) -> str:
    done = subprocess.run([str(PROGRAM), "task", *arguments, "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stdout + done.stderr


def listed(agent) -> dict[str, dict]:
    return {one["name"]: one for one in json.loads(task(agent, "list", "--output", "json"))}


def aged(path: Path, seconds: float, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (time.time() - seconds,) * 2)
    return path


def configure(agent, tasks: list, **more) -> None:
    agent.configure([], history={"interval": "1s"}, respond={"tasks": tasks}, **more)


def test_nothing_runs_unless_it_is_configured(agent):
    agent.configure([])
    agent.start()
    assert task(agent, "list") == "no task; see respond.tasks in the configuration\n"
    assert agent.scrape().series("neural_task_overdue") == []
    assert "there is no task" in task(agent, "run", "none", code=2)


def test_each_kind_does_its_work(agent, tmp_path):
    raw, elsewhere = tmp_path / "data" / "raw", tmp_path / "elsewhere"
    old, new, theirs = aged(raw / "a" / "old", 7200), aged(raw / "a" / "new", 5), aged(elsewhere / "theirs", 7200)
    (raw / "link").symlink_to(elsewhere)
    rest = {"every": "1h", "jitter": "1h"}
    configure(agent, [
        {"name": "raw", **rest, "do": {"clean": {"folders": [str(raw)], "older_than": "1h"}}},
        {"name": "small", **rest, "do": {"compact": {}}},
        {"name": "well", **rest, "do": {"health": {}}},
        {"name": "log", **rest, "do": {"rotate": {}}},
        {"name": "own", **rest, "do": {"exec": {"command": ["sh", "-c", "echo $WORD; env >&2; test $WORD = yes"], "environment": {"WORD": "yes"}}}},
    ], events_log={"path": str(tmp_path / "events.jsonl")}, alerts={"rule_files": [write_rules(
        tmp_path, {"alert": "Low", "expr": "vector(1)", "labels": {"severity": "warning", "priority": "P2"}}, interval="1s")]})
    agent.start()
    assert "1 files with 4096 bytes were deleted" in task(agent, "run", "raw")
    assert not old.exists() and new.exists() and theirs.exists() and (raw / "link").is_symlink()
    assert "given back to the file system" in task(agent, "run", "small")
    state = Path(agent.path("state"))
    for name in ("history.db", "incidents.db"):
        if (state / name).exists():
            assert sqlite3.connect(f"file:{state / name}?mode=ro", uri=True).execute("PRAGMA quick_check").fetchone() == ("ok",)
    wait_until(lambda: "healthy" in json.loads(agent.get("/api/v1/health")[2])["status"] or "degraded" in agent.get("/api/v1/health")[2].decode(), 30, "a verdict")
    task(agent, "run", "well")
    wait_until(lambda: (tmp_path / "events.jsonl").exists(), 30, "an event")
    before = (tmp_path / "events.jsonl").read_text()
    task(agent, "run", "log")
    assert before in gzip.open(tmp_path / "events.jsonl.1.gz", "rt").read()
    shown = json.loads(task(agent, "run", "own", "--output", "json"))
    assert shown["outcome"] == "yes" and shown["failing"] is False and shown["runs"] == 1 and shown["last_success"] > 1e12
    seen = agent.until(lambda seen: seen.value("neural_task_runs_total") == 5)
    assert seen.value("neural_task_failures_total") == 0 and seen.value("neural_task_overdue") == 0
    assert abs(seen.value("neural_task_last_success_timestamp_seconds", task="own") - time.time()) < 60
    # What a page of another origin asks for is refused.
    assert agent.request("POST", "/api/v1/tasks/own/run", {"Origin": "http://evil.example"}, body=b"")[0] == 403
    assert agent.request("POST", "/api/v1/tasks/none/run", body=b"")[0] == 404
    # Another configuration, without a restart.
    configure(agent, [{"name": "other", **rest, "do": {"exec": {"command": ["true"]}}}])
    assert agent.reload()[0] == 200
    assert list(listed(agent)) == ["other"]
    agent.until(lambda seen: [one.labels["task"] for one in seen.series("neural_task_overdue")] == ["other"])


def test_one_that_hangs_or_fails_costs_itself_alone_and_is_overdue(agent, tmp_path):
    child, ran = tmp_path / "child", tmp_path / "ran"
    forks = f"setsid sh -c 'echo $$ > {child}.new; mv {child}.new {child}; exec sleep 1000' & sleep 1000"
    often = {"every": "2s", "jitter": "0s", "timeout": "2s", "expected": "4s"}
    configure(agent, [
        {"name": "hangs", **often, "do": {"exec": {"command": ["sh", "-c", forks]}}},
        {"name": "prints", **often, "do": {"exec": {"command": ["yes"]}}},
        {"name": "full", **often, "do": {"exec": {"command": ["dd", "if=/dev/zero", "of=/dev/full", "count=1"]}}},
        {"name": "gone", **often, "do": {"clean": {"folders": [str(tmp_path / "data" / "none")], "older_than": "1h"}}},
        {"name": "good", **often, "do": {"exec": {"command": ["sh", "-c", f"echo ran >> {ran}"]}}},
    ])
    agent.start()
    bad = {"hangs", "prints", "full", "gone"}
    seen = agent.until(lambda seen: {one.labels["task"] for one in seen.series("neural_task_overdue") if one.value} == bad, 40)
    assert seen.value("neural_task_failures_total", task="good") == 0 and len(ran.read_text().split()) >= 2
    outcomes = {name: one["outcome"] for name, one in listed(agent).items()}
    assert outcomes["hangs"] == "it took more than 2 s" and "more than 1048576 bytes" in outcomes["prints"]
    assert "No space left on device" in outcomes["full"] and "none" in outcomes["gone"]
    assert "gone failed: " in task(agent, "run", "gone", code=1) or listed(agent)["gone"]["running"]
    agent.says("a task failed: it took more than 2 s")
    number = int(child.read_text())
    # It asserts that the end takes no longer than five seconds.
    agent.stop()
    gone = lambda: not Path(f"/proc/{number}").exists() or ") Z " in Path(f"/proc/{number}/stat").read_text()
    wait_until(gone, 10, "the end of the child")


def test_a_restart_neither_repeats_nor_forgets(agent, tmp_path):
    ran = tmp_path / "ran"
    configure(agent, [{"name": "daily", "every": "1d", "jitter": "0s", "do": {"exec": {"command": ["sh", "-c", f"echo ran >> {ran}"]}}}])
    agent.start()
    wait_until(ran.exists, 20, "the first run")
    success = agent.until(lambda seen: seen.value("neural_task_last_success_timestamp_seconds") > 0).value("neural_task_last_success_timestamp_seconds")
    file = Path(agent.path("state")) / "tasks.json"
    wait_until(lambda: file.exists() and json.loads(file.read_text())["tasks"]["daily"]["succeeded"], 10, "the file")
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    agent.start()
    time.sleep(3)
    assert ran.read_text() == "ran\n"
    assert abs(agent.scrape().value("neural_task_last_success_timestamp_seconds") - success) < 0.01
    assert listed(agent)["daily"]["due_seconds"] > 86_000
    # The clock was two days ahead when it ran: it waits for one interval, and not for three.
    agent.stop()
    ahead = (time.time() + 2 * 86_400) * 1000
    file.write_text(json.dumps({"version": 1, "tasks": {"daily": {"started": int(ahead), "succeeded": int(ahead)}}}))
    agent.start()
    assert 86_000 < listed(agent)["daily"]["due_seconds"] <= 86_400
    # It was away for two days.
    agent.stop()
    file.write_text(json.dumps({"version": 1, "tasks": {"daily": {"started": int(ahead - 4 * 86_400_000), "succeeded": 1}}}))
    agent.start()
    wait_until(lambda: ran.read_text() == "ran\nran\n", 20, "the run that was missed")


def test_a_clock_that_is_ahead_by_more_than_a_month_deletes_nothing(agent, tmp_path):
    clock, raw = Wall(tmp_path), tmp_path / "data" / "raw"
    # Of an age that no machine has run for: what was changed since the boot is of an unknown age when the clock is set.
    old, new = aged(raw / "old", 200 * DAY), aged(raw / "new", 50 * DAY)
    clean = {"folders": [str(raw)], "older_than": "100d"}
    configure(agent, [{"name": "raw", "every": "1d", "jitter": "0s", "do": {"clean": clean}}])
    agent.start(environment=clock.environment)
    wait_until(lambda: listed(agent)["raw"]["last_success"], 20, "the first run")
    assert not old.exists() and new.exists()
    # As it is set while the agent runs, and as a machine that was off begins with it.
    for restart in (False, True, True):
        clock.set(400 * DAY)
        if restart:
            agent.stop()
            agent.start(environment=clock.environment)
            time.sleep(1)
        why = task(agent, "run", "raw", code=1) if not listed(agent)["raw"]["runs"] or not restart else listed(agent)["raw"]["outcome"]
        assert "nothing is deleted: the clock reads " in why and "more than 30 days after the last known time" in why, why
        agent.says("a task failed: nothing is deleted")
    assert new.exists()
    # The machine was off for so long, says its owner.
    configure(agent, [{"name": "raw", "every": "1d", "jitter": "0s", "do": {"clean": {**clean, "trust_clock": True}}}])
    agent.reload()
    wait_until(lambda: not new.exists() or task(agent, "run", "raw"), 20, "the run")
    assert not new.exists()
    # From then on it is known.
    newer = aged(raw / "newer", 0)
    os.utime(newer, (time.time() + 200 * DAY,) * 2)
    configure(agent, [{"name": "raw", "every": "1d", "jitter": "0s", "do": {"clean": clean}}])
    agent.reload()
    assert "1 files with" in task(agent, "run", "raw") and not newer.exists()


def test_what_cannot_be_meant_is_refused(agent):
    for given, why in (({"do": {"clean": {"folders": ["/"], "older_than": "1d"}}}, "is no whole path"),
                       ({"do": {"clean": {"folders": ["/data/raw"]}}}, "neither older_than nor max_bytes"),
                       ({"do": {"exec": {"command": []}}}, "the command is empty"),
                       ({"do": {"exec": {"command": ["x", "--password=hunter22"]}}}, None),
                       ({"do": {"dance": {}}}, "dance"),
                       ({"every": "1ms", "do": {"health": {}}}, "too short")):
        configure(agent, [{"name": "a", "every": "1h", **given}])
        done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True)
        said = done.stdout + done.stderr
        if why is None:
            assert "respond.tasks[0].do.exec.command: the configuration contains a secret" in said and "hunter22" not in said
        else:
            assert done.returncode != 0 and "respond.tasks[0]" in said and why in said, said
