"""The hooks that ship: each condition is provoked, and the hook ends it.

Independent: programs of the system. The pipeline is played: it takes what its control endpoint takes and refuses the rest.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from conftest import PROGRAM, ROOT, free_port, wait_until
from test_alerting import write_rules
from test_incidents import incidents

HOOKS = ROOT / "deploy" / "hooks"


def run(hook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([HOOKS / hook, *arguments], capture_output=True, text=True, timeout=20, env={"PATH": os.environ["PATH"], **environment})


def test_old_files_are_deleted_where_it_was_said_and_nowhere_else(tmp_path):
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    (scratch / "deep er").mkdir(parents=True)
    outside.mkdir()
    old = time.time() - 30 * 86_400

    def file(path, kilobytes: int, is_old: bool):
        path.write_bytes(b"x" * kilobytes * 1024)
        if is_old:
            os.utime(path, (old, old))
        return path

    gone = [file(scratch / "a", 20, True), file(scratch / "deep er" / "b\nc", 20, True)]
    kept = [file(scratch / "new", 20, False), file(scratch / "small", 4, True), file(outside / "a", 20, True)]
    (scratch / "link").symlink_to(outside)
    (scratch / "link-to-file").symlink_to(outside / "a")
    done = run("delete-old-files", "14", "10", str(scratch))
    assert done.returncode == 0 and str(scratch / "a") in done.stdout, done.stderr
    assert not any(path.exists() for path in gone) and all(path.exists() for path in kept)
    assert (scratch / "link").is_symlink() and (scratch / "deep er").is_dir()


def test_where_all_is_old_the_clock_is_doubted_and_nothing_is_deleted(tmp_path):
    scratch, other = tmp_path / "scratch", tmp_path / "other"
    for folder in (scratch, other):
        folder.mkdir()
        (folder / "a").write_bytes(b"x" * 20_480)
        os.utime(folder / "a", (time.time() - 30 * 86_400,) * 2)
    (other / "new").touch()
    done = run("delete-old-files", "14", "10", str(scratch), str(other))
    assert done.returncode == 1 and "is the clock right" in done.stderr and (scratch / "a").exists(), done
    assert done.stdout.split() == [str(other / "a")] and not (other / "a").exists()


@pytest.mark.parametrize("arguments", [
    [], ["14", "10"], ["x", "10", "FOLDER"], ["14", "-1", "FOLDER"], ["14", "10", "/"], ["14", "10", "relative"],
    ["14", "10", "/tmp"], ["14", "10", "FOLDER", "/no/such/folder"], ["14", "10", "LINK"],
])
def test_what_is_not_named_well_deletes_nothing(tmp_path, arguments):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    file = folder / "a"
    file.write_bytes(b"x" * 20_480)
    os.utime(file, (0, 0))
    named = [str(folder) if a == "FOLDER" else str(tmp_path / "link") if a == "LINK" else a for a in arguments]
    done = run("delete-old-files", *named)
    assert done.returncode == 2 and done.stderr and file.exists(), done


def test_the_processes_that_use_the_machine_are_recorded():
    for alert, column in (("NeuralHostMemory", "RSS"), ("NeuralHostCpu", "%CPU")):
        done = run("record-processes", NEURAL_ALERT=alert)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and column in lines[0] and 2 < len(lines) <= 11, done
    assert run("record-processes", NEURAL_ALERT="NeuralGpuBusy").returncode == 0


EXAMPLES = {hook["name"]: hook for hook in yaml.safe_load((HOOKS / "hooks.yml").read_text())["respond"]["hooks"]}


class Trouble:
    """A gauge that is too high until what causes it ends, and a rule with the name of an alert that ships, which sees that within a second."""

    def __init__(self, agent, tmp_path, alert: str, hook: dict, severity: str = "critical"):
        self.agent, self.level, self.stopped = agent, 1, threading.Event()
        self.port = free_port(socket.SOCK_DGRAM)
        rule = {"alert": alert, "expr": "trouble > 5", "labels": {"severity": severity, "priority": "P0"}}
        agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{self.port}"}}], history={"interval": "1s"},
                        alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]},
                        respond={"actions": {"dry_run": False}, "hooks": [hook]})
        self.alert, self.hook = alert, hook["name"]
        threading.Thread(target=self.send, daemon=True).start()

    def send(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not self.stopped.wait(0.3):
                sender.sendto(b"trouble:%d|g" % self.level, ("127.0.0.1", self.port))

    def provoke(self) -> dict:
        """Begins, and gives the incident once it is over and the hook is said to have ended it."""
        self.agent.start()
        time.sleep(3.5)
        self.level = 9
        over = wait_until(lambda: incidents(self.agent, alert=self.alert, state="resolved"), 40, "the end of the incident")
        self.agent.until(lambda seen: seen.value("neural_actions_total", hook=self.hook, step="succeeded") == 1)
        assert self.agent.scrape().value("neural_incident_escalations_total") == 0
        self.stopped.set()
        number = over[0]["id"]
        return wait_until(lambda: [one for one in incidents(self.agent, id=number) if one["actions"][self.hook] == "succeeded"], 10, "its record")[0]


class Pipeline(ThreadingHTTPServer):
    """A control endpoint: one request that it knows, as JSON with the alert that it is about."""

    daemon_threads = True

    def __init__(self, path: str, alert: str, act, refusals: int = 0):
        self.refusals, outer = refusals, self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self):
                self.answer(405)

            def do_POST(self):
                if self.path != path:
                    return self.answer(404)
                try:
                    incident = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                    known = self.headers["Content-Type"] == "application/json" and incident["alert"] == alert and incident["state"] == "open"
                except (KeyError, TypeError, ValueError):
                    known = False
                if not known:
                    return self.answer(400)
                outer.refusals -= 1
                if outer.refusals >= 0:
                    return self.answer(503)
                act()
                self.answer(202)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.mark.parametrize("name", [name for name, hook in EXAMPLES.items() if "http" in hook])
def test_the_pipeline_is_asked_and_the_condition_ends(agent, tmp_path, name):
    hook = json.loads(json.dumps(EXAMPLES[name]))
    path = "/" + hook["http"]["url"].split("/", 3)[3]
    alert = hook["match"]["alerts"][0]
    trouble = Trouble(agent, tmp_path, alert, hook)
    # One that is repeated is refused as often as it may be.
    pipeline = Pipeline(path, alert, lambda: setattr(trouble, "level", 1), refusals=min(hook.get("retries", 0), 2))
    hook["http"]["url"] = f"http://127.0.0.1:{pipeline.server_address[1]}{path}"
    agent.write()
    over = trouble.provoke()
    assert over["actions"] == {name: "succeeded"}, over
    assert sum("retried" in entry.get("why", "") for entry in over["history"]) == min(hook.get("retries", 0), 2)
    pipeline.shutdown()
    pipeline.server_close()


def test_a_signal_is_a_request_as_well(agent, tmp_path):
    hook = json.loads(json.dumps(EXAMPLES["drop-caches-by-signal"]))
    dropped, ready = tmp_path / "dropped", tmp_path / "ready"
    script = f"import pathlib, signal; signal.signal(signal.SIGUSR1, lambda *_: pathlib.Path('{dropped}').touch()); pathlib.Path('{ready}').touch()\nwhile True: signal.pause()"
    pipeline = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    wait_until(ready.exists)
    process = open(f"/proc/{pipeline.pid}/comm").read().strip()
    (tmp_path / "pid").write_text(str(pipeline.pid))
    hook["signal"] = {"signal": hook["signal"]["signal"], "pid_file": str(tmp_path / "pid"), "process": process}
    trouble = Trouble(agent, tmp_path, "NeuralHostMemory", hook)
    threading.Thread(target=lambda: (wait_until(dropped.exists, 60), setattr(trouble, "level", 1)), daemon=True).start()
    trouble.provoke()
    assert pipeline.poll() is None
    pipeline.send_signal(signal.SIGKILL)
    pipeline.wait()


@pytest.mark.parametrize("name", ["delete-old-files", "record-processes"])
def test_programs_are_run_and_the_condition_ends(agent, tmp_path, name):
    hook = json.loads(json.dumps(EXAMPLES[name]))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    old = scratch / "old"
    (scratch / "new").touch()
    old.write_bytes(b"x" * (2 << 20))
    os.utime(old, (0, 0))
    command = hook["exec"]["command"]
    hook["exec"]["command"] = [str(HOOKS / name), *[str(scratch) if word.startswith("/data") else word for word in command[1:]]]
    trouble = Trouble(agent, tmp_path, hook["match"]["alerts"][0], hook)
    done = (lambda: not old.exists()) if name == "delete-old-files" else (
        lambda: agent.alive() and any(one["actions"].get(name) == "ended" for one in incidents(agent, alert=trouble.alert) if "actions" in one))
    threading.Thread(target=lambda: (time.sleep(4), wait_until(done, 60), setattr(trouble, "level", 1)), daemon=True).start()
    over = trouble.provoke()
    said = " ".join(entry.get("why", "") for entry in over["history"] if entry["what"] == "action")
    assert (str(old) if name == "delete-old-files" else "nvidia-smi") in said, over


def test_the_examples_are_a_configuration_that_does_nothing_yet(agent, tmp_path):
    document = yaml.safe_load((HOOKS / "hooks.yml").read_text())
    agent.configure([], respond=document["respond"])
    done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert document["respond"]["actions"]["dry_run"] is True and not any("dry_run" in hook for hook in EXAMPLES.values())
    # Each alert that a hook is for is one that ships.
    ship = {rule["alert"] for file in (ROOT / "alert-rules").glob("*.yml") for group in yaml.safe_load(file.read_text()).get("groups", [])
            for rule in group["rules"] if "alert" in rule}
    assert {alert for hook in EXAMPLES.values() for alert in hook["match"]["alerts"]} <= ship
