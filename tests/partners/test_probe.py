"""Probes: what others depend on, looked at from outside and told as it is.

Independent: Python's HTTP server, with TLS of a CA that the test makes, sockets, processes and `/proc` of the kernel, and the test's own clock.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conftest import PROGRAM, free_port, wait_until
from provisioning import Authority
from test_stuck import silent

HEALTHY, DEGRADED, UNHEALTHY, UNKNOWN = 0, 1, 2, 3


class Service:
    """A server whose answer can be set."""

    def __init__(self, context=None):
        service = self
        self.status, self.wait, self.body, self.seen = 200, 0.0, b"fine\n", []

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self):
                service.seen.append((self.path, self.headers))
                time.sleep(service.wait)
                with contextlib.suppress(OSError):
                    self.send_response(service.status)
                    if service.status == 302:
                        self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", str(len(service.body)))
                    self.end_headers()
                    self.wfile.write(service.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.server.daemon_threads = True
        # A client that does not believe the certificate leaves in the middle of the handshake.
        self.server.handle_error = lambda *_: None
        self.port = self.server.server_port
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def services():
    made = []

    def make(context=None):
        made.append(Service(context))
        return made[-1]

    yield make
    for one in made:
        one.close()


def probe(name: str, check: dict, **more) -> dict:
    return {"probe": {"name": name, "check": check, "interval": "200ms", "timeout": "200ms", "failures": 2, **more}}


def status(scrape, name: str) -> float | None:
    found = scrape.series("neural_probe_status", source=name)
    return found[0].value if found else None


def up(scrape, name: str) -> float:
    return scrape.value("neural_source_up", source=name)


def test_an_endpoint_with_tls_is_believed_by_its_own_authority_alone(agent, services, tmp_path):
    authority = Authority(tmp_path)
    service = services(authority.server("DNS:localhost"))
    (tmp_path / "token").write_text("s3cret\n")
    url = f"https://localhost:{service.port}/health"
    http = {"url": url, "ca_file": str(tmp_path / "ca.pem"), "bearer_token_file": str(tmp_path / "token")}
    agent.configure([
        probe("trusted", {"http": http}, timeout="2s", interval="2s", critical=True),
        probe("stranger", {"http": {"url": url}}, timeout="2s", interval="2s", failures=1),
        probe("plain", {"http": {"url": f"http://localhost:{service.port}/health"}}, timeout="2s", interval="2s", failures=1),
    ])
    agent.start()
    seen = agent.until(lambda s: status(s, "trusted") == HEALTHY and status(s, "stranger") == UNHEALTHY and status(s, "plain") == UNHEALTHY)
    assert {path for path, _ in service.seen} == {"/health"}
    assert all(headers["Authorization"] == "Bearer s3cret" for _, headers in service.seen)
    # The target is down, the source is not: the same fact must not fire two alerts.
    for name in ("trusted", "stranger", "plain"):
        assert up(seen, name) == 1 and seen.value("neural_source_poll_failures_total", source=name) == 0
        assert seen.value("neural_probe_critical", source=name) == float(name == "trusted")
    agent.says("probe is unhealthy", "certificate")
    # Without the token no attempt can be made, and nothing is known.
    (tmp_path / "token").unlink()
    seen = agent.until(lambda s: status(s, "trusted") == UNKNOWN)
    assert up(seen, "trusted") == 0


def test_status_redirects_and_latency(agent, services):
    service = services()
    url = f"http://127.0.0.1:{service.port}/health"
    agent.configure([
        probe("any", {"http": {"url": url}}, degraded="100ms", timeout="1s", interval="1s"),
        probe("moved", {"http": {"url": url, "status": [302, 503]}}, timeout="1s", interval="1s"),
    ])
    agent.start()
    agent.until(lambda s: status(s, "any") == HEALTHY and status(s, "moved") == UNHEALTHY)
    service.status = 302
    agent.until(lambda s: status(s, "any") == UNHEALTHY and status(s, "moved") == HEALTHY)
    assert all(path == "/health" for path, _ in service.seen), "no redirect is followed"
    agent.says("it answers 302 Found, to /elsewhere")
    service.status, service.wait = 200, 0.3
    seen = agent.until(lambda s: status(s, "any") == DEGRADED)
    assert 0.3 <= seen.value("neural_probe_duration_seconds", source="any") < 1
    assert seen.value("neural_probe_success", source="any") == 1, "late is not wrong"
    service.wait = 0
    agent.until(lambda s: status(s, "any") == HEALTHY)
    # Each change is said once, however many attempts there are.
    time.sleep(2)
    assert agent.told().count("probe is degraded") == 1


def test_what_accepts_and_never_answers_costs_an_attempt_and_no_thread(agent):
    # The kernel accepts for it; nobody reads.
    silent = socket.create_server(("127.0.0.1", 0), backlog=4096)
    address = "127.0.0.1:%d" % silent.getsockname()[1]
    local = socket.socket(socket.AF_UNIX)
    local.bind(agent.path("queue.sock"))
    local.listen(1)
    closed = free_port()
    agent.configure([
        probe("http", {"http": {"url": f"http://{address}/"}}),
        probe("tcp", {"tcp": address}),
        probe("refused", {"tcp": f"127.0.0.1:{closed}"}),
        probe("queue", {"unix": "queue.sock"}),
        probe("nothing", {"unix": "nothing.sock"}),
        probe("name", {"dns": "localhost"}),
        probe("noname", {"dns": "no-such-name.invalid"}),
    ])
    agent.start()
    bad = ("http", "refused", "queue", "nothing", "noname")
    agent.until(lambda s: all(status(s, name) == UNHEALTHY for name in bad) and all(status(s, name) == HEALTHY for name in ("tcp", "name")))
    before = len(list(Path(f"/proc/{agent.process.pid}/task").iterdir()))
    files = len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir()))
    time.sleep(3)
    assert len(list(Path(f"/proc/{agent.process.pid}/task").iterdir())) <= before + 3
    assert len(list(Path(f"/proc/{agent.process.pid}/fd").iterdir())) <= files + 6
    seen = agent.scrape()
    assert all(up(seen, name) == 1 for name in bad)
    assert not seen.series("neural_probe_duration_seconds", source="http"), "it never answered"
    # The port is taken, and accepts what waited.
    with socket.create_server(("127.0.0.1", closed)):
        threading.Thread(target=lambda: [local.accept() for _ in range(1000)], daemon=True).start()
        agent.until(lambda s: status(s, "refused") == HEALTHY and status(s, "queue") == HEALTHY)
    agent.until(lambda s: status(s, "refused") == UNHEALTHY)
    silent.close()
    local.close()


def test_a_command_that_hangs_and_forks_leaves_nothing_behind(agent, tmp_path):
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\nsetsid sleep 987654 &\necho $! >> {tmp_path}/children\nsleep 987654\n")
    script.chmod(0o755)
    word = tmp_path / "word"
    word.write_text("0")
    plugin = ["sh", "-c", f"echo 'LAB {os.getpid()} - text | rta=1ms'; exit $(cat {word})"]
    agent.configure([
        probe("hangs", {"command": [str(script)]}, timeout="500ms", interval="500ms"),
        probe("plugin", {"command": plugin}, timeout="2s", interval="2s", failures=1),
    ])
    agent.start()
    agent.until(lambda s: status(s, "hangs") == UNHEALTHY and status(s, "plugin") == HEALTHY)
    for code, state, is_up in (("1", DEGRADED, 1), ("2", UNHEALTHY, 1), ("3", UNKNOWN, 0), ("0", HEALTHY, 1)):
        word.write_text(code)
        seen = agent.until(lambda s: status(s, "plugin") == state)
        assert up(seen, "plugin") == is_up
    agent.says(f"exit status: 2, saying: LAB {os.getpid()} - text | rta=1ms")

    def running() -> list[str]:
        """The children that live, but for the last attempt's."""
        ids = (tmp_path / "children").read_text().split()
        assert len(ids) > 3
        return [one for one in ids[:-1] if b"987654" in read(one)]

    def read(pid: str) -> bytes:
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""

    wait_until(lambda: not running(), 10, "the end of what the command started")
    agent.stop()
    last = (tmp_path / "children").read_text().split()[-1]
    wait_until(lambda: b"987654" not in read(last), 10, "the end of the last child")


def test_a_disk_that_never_answers_holds_one_thread_for_each_path(agent, tmp_path):
    with silent(tmp_path / "disk") as disk:
        agent.configure([probe("unix", {"unix": str(disk / "socket")}), probe("command", {"command": [str(disk / "check")]}), probe("name", {"dns": "localhost"})])
        agent.start()
        agent.until(lambda s: status(s, "unix") == UNHEALTHY and up(s, "command") == 0 and s.value("neural_source_polls_total", source="command") > 1)
        threads = lambda: [(task / "comm").read_text().strip() for task in Path(f"/proc/{agent.process.pid}/task").iterdir()]
        before = threads().count("aside")
        time.sleep(3)
        # The look-up of the name has one as well, for a moment.
        assert 2 <= threads().count("aside") <= before + 1 <= 4
        assert status(agent.scrape(), "name") == HEALTHY
        agent.says("no answer within 0.2 s")
        agent.stop()


def test_a_process_is_found_by_its_program_and_missed_when_it_is_killed(agent, tmp_path):
    recorder = tmp_path / "LabRecorderOfThisTest"
    shutil.copy(shutil.which("sleep"), recorder)
    agent.configure([
        probe("recorder", {"process": recorder.name}, critical=True),
        probe("unit", {"unit": "neural-pipeline"}),
    ])
    agent.start()
    agent.until(lambda s: status(s, "recorder") == UNHEALTHY)
    if not Path("/run/systemd/system").is_dir():
        seen = agent.until(lambda s: s.value("neural_source_polls_total", source="unit") > 2)
        assert (status(seen, "unit"), up(seen, "unit")) == (UNKNOWN, 0)
        agent.says("systemd does not run here")
    process = subprocess.Popen([recorder, "1000"])
    agent.until(lambda s: status(s, "recorder") == HEALTHY)
    process.kill()
    # Nobody has taken note of its end yet: it is still listed, as a zombie.
    agent.until(lambda s: status(s, "recorder") == UNHEALTHY)
    assert Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1].startswith("Z")
    process.wait()
    agent.says("no process of LabRecorderOfThisTest runs")


def test_the_time_in_each_state_is_that_of_the_clock(agent, services):
    service = services()
    agent.configure([probe("p", {"http": {"url": f"http://127.0.0.1:{service.port}/"}}, failures=1)])
    agent.start()
    spent = lambda s, state: s.value("neural_probe_state_seconds_total", source="p", state=state)
    agent.until(lambda s: status(s, "p") == HEALTHY)
    begun, first = time.monotonic(), agent.scrape()
    time.sleep(3)
    service.status = 500
    agent.until(lambda s: status(s, "p") == UNHEALTHY)
    turned = time.monotonic()
    time.sleep(2)
    service.status = 200
    agent.until(lambda s: status(s, "p") == HEALTHY)
    ended, last = time.monotonic(), agent.scrape()
    grew = {state: spent(last, state) - spent(first, state) for state in ("healthy", "degraded", "unhealthy", "unknown")}
    # An interval, and what a busy machine takes to look, on either side.
    assert grew["healthy"] == pytest.approx(turned - begun, abs=0.7), grew
    assert grew["unhealthy"] == pytest.approx(ended - turned, abs=0.7), grew
    assert grew["degraded"] == grew["unknown"] == 0
    assert sum(grew.values()) == pytest.approx(ended - begun, abs=0.7)
    # A source that is configured no more has no state; what was added up stays.
    agent.configure([])
    assert agent.reload()[0] == 200
    agent.until(lambda s: status(s, "p") is None)


def test_one_fact_is_one_alert_and_at_once(agent, services):
    service = services()
    http = {"http": {"url": f"http://127.0.0.1:{service.port}/"}}
    agent.configure(
        [
            probe("vital", http, critical=True),
            probe("useful", http),
            probe("broken", {"command": ["/nowhere/at/all"]}, critical=True),
        ],
        alerts={"evaluate": True},
    )
    agent.start()

    def alerts() -> dict[str, set]:
        answer = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
        found: dict[str, set] = {}
        for one in answer:
            labels = one["labels"]
            found.setdefault(labels.get("source", ""), set()).add((labels["alertname"], labels["severity"], one["state"]))
        return found

    agent.until(lambda s: status(s, "vital") == HEALTHY and status(s, "useful") == HEALTHY)
    # What no probe can look at is the source's alert, and waits for its minute.
    down = ("NeuralSourceDown", "high", "pending")
    wait_until(lambda: down in alerts().get("broken", ()), 30, "the alert of the source")
    assert not [name for name, *_ in alerts()["broken"] if not name.startswith("NeuralSource")]
    assert not alerts().keys() & {"vital", "useful"}
    service.status = 500
    agent.until(lambda s: status(s, "vital") == UNHEALTHY and status(s, "useful") == UNHEALTHY)
    begun = time.monotonic()
    high, critical = (("NeuralProbeUnhealthy", severity, "firing") for severity in ("high", "critical"))
    wait_until(lambda: alerts().get("vital") == {high, critical} and alerts().get("useful") == {high}, 10, "the alerts")
    assert time.monotonic() - begun < 5, "the group is evaluated every 15 s, this is not waited for"
    health = json.loads(agent.get("/api/v1/health")[2])
    probes = {one["name"]: one["status"] for one in health["components"] if one["component"] == "probe"}
    assert (probes["vital"], probes["useful"]) == ("unhealthy", "degraded")


def test_it_is_looked_at_once_before_it_is_started(agent, services):
    service = services()
    url = f"http://127.0.0.1:{service.port}/health"
    agent.configure([
        probe("well", {"http": {"url": url}}, timeout="5s", interval="5s"),
        probe("down", {"tcp": f"127.0.0.1:{free_port()}"}),
        probe("broken", {"command": ["/nowhere/at/all"]}),
    ])
    done = subprocess.run([PROGRAM, "check", "--config", agent.file, "--live", "--output", "json"], capture_output=True, text=True, timeout=60)
    found = {one["subject"]: one for one in json.loads(done.stdout)["live"]}
    assert {name: found[name]["verdict"] for name in ("well", "down", "broken")} == {"well": "ok", "down": "warning", "broken": "failed"}
    assert len(service.seen) == 1
    assert found["down"]["message"].startswith("cannot connect to 127.0.0.1:") and "/nowhere/at/all" in found["broken"]["message"]


@pytest.mark.parametrize(("check", "more", "wrong"), [
    ({"tcp": "host"}, {}, "host:port"),
    ({"dns": "127.0.0.1"}, {}, "is an address already"),
    ({"command": []}, {}, "empty"),
    ({"unit": "*.service"}, {}, "no name of a unit"),
    ({"process": "/usr/bin/x"}, {}, "without its folder"),
    ({"http": {"url": "ftp://host/"}}, {}, "http or https"),
    ({"http": {"url": "http://h/", "ca_file": "missing.pem"}}, {}, "missing.pem"),
    ({"tcp": "h:1"}, {"timeout": "1m"}, "longer than the interval"),
    ({"tcp": "h:1"}, {"degraded": "3s"}, "not below the timeout"),
    ({"tcp": "h:1"}, {"failures": 0}, "failures"),
    ({"tcp": "h:1"}, {"interval": "50ms"}, "the shortest interval is 100ms"),
    ({"ping": "h"}, {}, "ping"),
])
def test_a_configuration_that_is_wrong_is_refused(agent, check, more, wrong):
    agent.configure([{"probe": {"name": "p", "check": check, **more}}])
    done = subprocess.run([PROGRAM, "check", "--config", agent.file], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and wrong in done.stdout + done.stderr, (done.stdout, done.stderr)
