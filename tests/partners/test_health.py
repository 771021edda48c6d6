"""One verdict over everything: `/api/v1/health`, `status` and the page, as what they watch breaks and is well again."""
from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import time

from conftest import PROGRAM, free_port, wait_until
from test_doctor import doctor
from test_probe import probe
from test_prometheus import Prometheus
from test_alerting import LOST, Eeg, eeg, recorder, write_rules  # noqa: F401 - a fixture
from test_notifications import levels  # noqa: F401 - a fixture

OF_SOURCE = {**LOST, "labels": {"severity": "critical", "priority": "P0", "component": "source"}}


def health(agent, query: str = "") -> tuple[int, dict]:
    status, headers, body = agent.get(f"/api/v1/health{query}")
    assert headers["Content-Type"].startswith("application/json")
    return status, json.loads(body)


def status(agent, *more: str) -> tuple[int, str, str]:
    done = subprocess.run([PROGRAM, "status", "--config", agent.file, *more], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def components(verdict: dict) -> dict[tuple[str, str], str]:
    return {(one["component"], one["name"]): one["status"] for one in verdict["components"]}


def test_a_link_that_goes_and_comes_back(agent, recorder, tmp_path):  # noqa: F811
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, OF_SOURCE, interval="1s")]})
    code, _, why = status(agent)
    assert code == 3 and "cannot reach" in why, why
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    wait_until(lambda: health(agent)[1]["status"] == "healthy", 20, "health")
    answered, verdict = health(agent)
    assert answered == 200 and components(verdict)[("source", "eeg")] == "healthy" and ("agent", "") in components(verdict)
    assert verdict["notes"] == [] and not any("reasons" in one for one in verdict["components"])
    code, text, _ = status(agent)
    assert code == 0 and re.search("✔ source +eeg +healthy", text), text
    recorder.hang_up()
    wait_until(lambda: health(agent)[0] == 503, 10, "the loss")
    verdict = health(agent)[1]
    assert verdict["status"] == "unhealthy" and components(verdict)[("source", "eeg")] == "unhealthy"
    assert verdict["components"][0]["name"] == "eeg", "the worst is first"
    (reason,) = [one for one in verdict["components"][0]["reasons"] if one["alert"] == "LinkLost"]
    assert reason["summary"].startswith("eeg on ") and (reason["severity"], reason["priority"]) == ("critical", "P0")
    code, text, _ = status(agent)
    assert code == 2 and "unhealthy" in text.splitlines()[0] and "P0 since" in text and "eeg on " in text, text
    code, text, _ = status(agent, "--output", "json")
    assert code == 2 and json.loads(text)["status"] == "unhealthy"
    assert b"class=down href=\"api/v1/health\">unhealthy<" in agent.get("/sources")[2]
    again = Eeg(recorder.port)
    try:
        wait_until(lambda: components(health(agent)[1])[("source", "eeg")] == "healthy", 20, "the return")
        assert status(agent)[0] in (0, 1)
    finally:
        again.hang_up()


def test_each_status_has_its_exit_code(agent, levels, tmp_path):  # noqa: F811
    """As a Nagios plugin: 0 healthy, 1 degraded, 2 unhealthy, 3 unknown or no answer."""
    rule = lambda name, above, severity: {"alert": name, "expr": f"level > {above}", "labels": {"severity": severity, "component": "own"}}
    agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [
        write_rules(tmp_path, rule("Told", 1, "info"), rule("High", 5, "warning"), rule("TooHigh", 8, "critical"), interval="1s")]})
    # No agent runs; then one starts.
    code, text, why = status(agent)
    assert (code, text) == (3, "") and "cannot reach" in why, why
    agent.start()
    for level, answered, (code, word) in ((0, 200, (0, "healthy")), (3, 200, (0, "healthy")), (6, 200, (1, "degraded")), (9, 503, (2, "unhealthy")),
                                          (6, 200, (1, "degraded")), (0, 200, (0, "healthy"))):
        levels.set(a=level)
        wait_until(lambda level=level, word=word: agent.scrape().value("level") == level and health(agent)[1]["status"] == word, 30, word)
        assert health(agent)[0] == answered
        for form in ("text", "json"):
            got, text, why = status(agent, "--output", form)
            said = text.split(" is ")[1].split()[0] if form == "text" else json.loads(text)["status"]
            assert (got, said) == (code, word), (text, why)
    # One that hangs, one that is no agent, and questions that nobody can answer are unknown, not unhealthy.
    agent.process.send_signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        code, text, why = status(agent)
        assert (code, text) == (3, "") and why and "does not answer within 8 s" in why and time.monotonic() - began < 20, why
    finally:
        agent.process.send_signal(signal.SIGCONT)
    for wrong in (["--window", "soon"], ["--window", "0s"], ["--nothing"], ["--server", "http://127.0.0.1:1"], ["--server", "nowhere"]):
        code, text, why = status(agent, *wrong)
        assert (code, text) == (3, "") and why, (wrong, code, text, why)
    assert status(agent, "--help")[0] == 0
    (tmp_path / "wrong.yml").write_text("listen: [")
    done = subprocess.run([PROGRAM, "status", "--config", tmp_path / "wrong.yml"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 3 and "wrong.yml" in done.stderr, done


def test_what_nobody_knows_is_not_healthy(agent, recorder):  # noqa: F811
    for settings, why in (({"alerts": {"evaluate": False}}, "alerts.evaluate: true"), ({"history": {"enabled": False}}, "history.enabled: true")):
        agent.configure([eeg(recorder.port)], **settings)
        agent.start()
        agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
        answered, verdict = health(agent)
        assert (answered, verdict["status"]) == (503, "unknown") and why in verdict["notes"][0], verdict
        assert set(components(verdict).values()) <= {"unknown"}
        code, text, _ = status(agent)
        assert code == 3 and why in text, text
        agent.stop()


def test_the_alerts_of_a_prometheus_are_those_of_the_verdict(agent, recorder, tmp_path):  # noqa: F811
    """The agent evaluates nothing, and another one of the fleet is lost: what counts is what the server says of this one."""
    rules = write_rules(tmp_path, OF_SOURCE, {**OF_SOURCE, "alert": "Theirs", "expr": "vector(1)", "labels": {**OF_SOURCE["labels"], "instance": "another:1"}},
                        interval="1s")
    port = free_port()
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, ask={"prometheus": {"url": f"http://127.0.0.1:{port}"}},
                    alerts={"evaluate": False, "rule_files": [rules]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    wait_until(lambda: "cannot reach" in " ".join(health(agent)[1]["notes"]) or "refused" in " ".join(health(agent)[1]["notes"]), 20, "the refusal")
    answered, verdict = health(agent)
    assert (answered, verdict["status"]) == (503, "unknown") and verdict["evaluated_by"] == f"http://127.0.0.1:{port}", verdict
    server = Prometheus(tmp_path / "prometheus", agent.port, rules=rules, port=port)
    try:
        wait_until(lambda: health(agent)[1]["status"] == "healthy", 40, "health")
        answered, verdict = health(agent)
        assert answered == 200 and components(verdict)[("source", "eeg")] == "healthy" and verdict["notes"] == [], verdict
        assert f"by the alerts of http://127.0.0.1:{port}" in status(agent)[1] and status(agent)[0] == 0
        # An expert would see that the agent's own rules are not there.
        rules_there = doctor(agent.file)["ask.prometheus", f"rules of http://127.0.0.1:{port}"]
        assert rules_there["verdict"] == "warning" and "alerts are not loaded there" in rules_there["message"], rules_there
        recorder.hang_up()
        wait_until(lambda: health(agent)[0] == 503, 30, "the loss")
        verdict = health(agent)[1]
        assert components(verdict)[("source", "eeg")] == "unhealthy" and [one["alert"] for one in verdict["components"][0]["reasons"]] == ["LinkLost"]
        assert status(agent)[0] == 2
        page = agent.get("/sources")[2].decode()
        assert f"unhealthy</a>, by the alerts of http://127.0.0.1:{port}</p>" in page
        # One that hangs costs no answer its time.
        server.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: any("does not answer within 5 s" in note for note in health(agent)[1]["notes"]), 30, "that it hangs")
        at = time.monotonic()
        assert health(agent)[1]["status"] == "unknown" and time.monotonic() - at < 2
        server.process.send_signal(signal.SIGCONT)
        wait_until(lambda: health(agent)[1]["status"] == "unhealthy", 30, "its return")
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.stop()


def test_the_availability_of_what_a_probe_looks_at_is_an_objective(agent):
    with socket.create_server(("127.0.0.1", 0)) as server:
        agent.configure([probe("up", {"tcp": "127.0.0.1:%d" % server.getsockname()[1]}),
                         probe("down", {"tcp": f"127.0.0.1:{free_port()}"})], history={"interval": "1s"})
        agent.start()
        found = lambda: {one["name"]: one for one in health(agent)[1]["objectives"]}
        wait_until(lambda: {"up", "down"} <= set(found()), 90, "the objectives")
        kept = found()
        assert (kept["up"]["kept"], kept["up"]["budget_left"], kept["up"]["target"]) == (1.0, 1.0, 0.99), kept
        assert kept["down"]["kept"] < 0.2 and kept["down"]["budget_left"] < -50, kept
        _, text, _ = status(agent)
        assert "objective  up" in text and "100.000 % of the time not unhealthy, 99 % wanted" in text, text
        rules = {rule["name"] for group in json.loads(agent.get("/api/v1/rules")[2])["data"]["groups"] for rule in group["rules"]}
        assert {"NeuralProbeBudgetBurn", "source:neural_probe_unhealthy:ratio_rate3d"} <= rules


def test_objectives_are_those_of_what_was_sent(agent):
    """One run in twenty is slow and none fails: 95 % are fast, where 99 % are wanted."""
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    agent.start()
    assert health(agent)[1]["objectives"] == []
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(agent.path("in.sock"))
        end = time.monotonic() + 75
        while time.monotonic() < end:
            for place in range(20):
                seconds = 3.0 if place == 7 else 0.001
                client.sendall(json.dumps({"type": "stage", "pipeline": "p", "stage": "s", "seconds": seconds}).encode() + b"\n")
            time.sleep(0.5)
    found = {one["objective"]: one for one in health(agent)[1]["objectives"]}
    assert all(one["name"] == "p/s" and one["window"] == "30d" for one in found.values()) and len(found) == 2
    fast, right = found["runs within the stage's time"], found["runs without an error"]
    assert abs(fast["kept"] - 0.95) < 0.01 and fast["target"] == 0.99 and -5.0 < fast["budget_left"] < -3.0, fast
    assert (right["kept"], right["budget_left"]) == (1.0, 1.0), right
    assert health(agent, "?window=1h")[1]["objectives"][0]["window"] == "1h"
    assert health(agent, "?window=0s")[0] == 400 and health(agent, "?window=soon")[0] == 400
    _, text, _ = status(agent)
    assert "% runs within the stage's time, 99 % wanted" in text, text


def on_a_terminal(agent, *words: str, **environment: str) -> str:
    """What a person sees who runs this."""
    ours, theirs = pty.openpty()
    kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen([str(PROGRAM), *words, "--config", str(agent.file)], stdout=theirs, stderr=theirs, env={**kept, **environment}) as run:
        os.close(theirs)
        text = b""
        try:
            while piece := os.read(ours, 65536):
                text += piece
        except OSError:
            # It ended, and nobody has the terminal open any more.
            pass
        run.wait(30)
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


def test_colours_are_for_a_terminal_alone(agent):
    agent.configure([{"host": {"name": "host"}}], history={"interval": "1s"})
    agent.start()
    wait_until(lambda: health(agent)[1]["status"] == "healthy", 30, "health")
    for words in (["status"], ["top", "--once"], ["incidents", "list", "--all"], ["query", "up"], ["doctor"]):
        plain = subprocess.run([str(PROGRAM), *words, "--config", str(agent.file)], capture_output=True, text=True, timeout=60).stdout
        assert "\x1b" not in plain, words
        assert "\x1b" not in on_a_terminal(agent, *words, NO_COLOR="1"), words
        if words[0] in ("status", "top", "doctor"):
            assert "\x1b[32m" in on_a_terminal(agent, *words, NO_COLOR=""), words
    # All say the same of what is well.
    for words in (["status"], ["top", "--once"]):
        assert "✔" in subprocess.run([str(PROGRAM), *words, "--config", str(agent.file)], capture_output=True, text=True, timeout=60).stdout
