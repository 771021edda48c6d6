"""`check --live`: what the configuration names, looked for on this machine.

Independent: sockets, files, groups and pseudo-terminals of the kernel, and an HTTP server of Python's.
"""
from __future__ import annotations

import json
import os
import pty
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from conftest import PROGRAM, free_port


def check(agent, *more):
    done = subprocess.run(
        [str(PROGRAM), "check", "--config", str(agent.file), *more], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def live(agent):
    code, out, err = check(agent, "--live", "--output", "json")
    report = json.loads(out)
    assert err == "" and report["problems"] == [], (out, err)
    return code, {(f["path"], f["subject"]): (f["verdict"], f["message"], f.get("hint")) for f in report["live"]}


@pytest.fixture
def metrics():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(b"x 1\n")

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()


def test_what_is_there_is_fine(agent, metrics):
    port = free_port(socket.SOCK_DGRAM)
    master, line = pty.openpty()
    agent.configure(
        [
            {"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}", "receive_buffer": 4096}},
            {"jsonl": {"name": "j", "listen": f"unix:{agent.path('new/events.sock')}", "group": "root"}},
            {"scrape": {"name": "engine", "url": metrics}},
            {"serial": {"name": "b", "port": os.ttyname(line), "protocol": "openeeg_p2"}},
            {"textfile": {"name": "t", "directory": str(agent.folder)}},
            {"exec": {"name": "e", "command": ["true"]}},
        ]
    )
    os.close(line)
    code, found = live(agent)
    assert code == 0 and {verdict for verdict, _, _ in found.values()} <= {"ok"}, found
    assert found["sources[2].scrape", "engine"][1] == "answers with metrics"
    # Nothing is left behind, and the text says the same.
    assert not os.path.exists(agent.path("new"))
    code, out, _ = check(agent, "--live")
    assert code == 0 and out.count("\nok ") + out.startswith("ok ") == len(found) and "fine (6 sources" in out, out
    # Beside the agent that runs with it, what it has is no fault.
    agent.start()
    code, found = live(agent)
    assert code == 0, [(key, seen) for key, seen in found.items() if seen[0] != "ok"]
    assert found["sources[0].statsd", f"udp://127.0.0.1:{port}"][1] == "in use while a neural-exporter runs"
    os.close(master)


def test_what_is_not_there_is_named_with_what_to_do(agent):
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", 0))
    port, closed = taken.getsockname()[1], free_port()
    with open("/proc/sys/net/core/rmem_max") as most:
        beyond = 2 * int(most.read())
    agent.configure(
        [
            {"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}", "receive_buffer": beyond}},
            {"jsonl": {"name": "j", "listen": "unix:/dev/null/none/events.sock", "group": "nobody-has-this"}},
            {"scrape": {"name": "engine", "url": f"http://127.0.0.1:{closed}/metrics"}},
            {"serial": {"name": "b", "port": "/dev/serial/by-id/none", "protocol": "cyton", "tap": "/dev/null/none/tap"}},
            {"textfile": {"name": "t", "directory": "/nowhere"}},
            {"exec": {"name": "e", "command": ["no-such-program"]}},
            {"statsd": {"name": "far", "listen": f"tcp://192.0.2.1:{closed}"}},
        ],
        provision={"targets": [{"prometheus": {"url": f"http://127.0.0.1:{closed}", "rules_directory": str(agent.folder)}}]},
    )
    code, found = live(agent)
    assert code == 1
    wanted = {
        ("sources[0].statsd", f"udp://127.0.0.1:{port}"): ("failed", "in use", "ss -lunp"),
        ("sources[0].statsd", "receive_buffer"): ("warning", "rmem_max", "sysctl -w"),
        ("sources[1].jsonl", "unix:/dev/null/none/events.sock"): ("failed", "", "must be able to write"),
        ("sources[1].jsonl", "group nobody-has-this"): ("failed", "no such group", "groupadd"),
        ("sources[2].scrape", "engine"): ("failed", "cannot scrape", None),
        ("sources[3].serial", "/dev/serial/by-id/none"): ("failed", "is not there", "plug it in"),
        ("sources[3].serial", "/dev/null/none/tap"): ("failed", "cannot be made", "write in"),
        ("sources[4].textfile", "/nowhere"): ("failed", "cannot be read", "create it"),
        ("sources[5].exec", "no-such-program"): ("failed", "no such program", "install it"),
        ("sources[6].statsd", f"tcp://192.0.2.1:{closed}"): ("failed", "cannot assign", "address of this machine"),
        ("provision.targets[0].prometheus", "prometheus"): ("failed", "", None),
    }
    for key, (verdict, message, hint) in wanted.items():
        assert key in found, (key, found)
        seen = found[key]
        assert seen[0] == verdict and message in seen[1] and (hint is None or hint in seen[2]), (key, seen)
    code, out, err = check(agent, "--live")
    assert code == 1 and "FAILED" in out and "in the configuration cannot be used" in err, (out, err)
    assert "fine" not in out, out


def test_an_agent_that_runs_is_known_as_one(agent):
    agent.configure([])
    agent.start()
    code, found = live(agent)
    assert code == 0 and found["listen", f"127.0.0.1:{agent.port}"][1] == "a running neural-exporter serves it", found


def test_options_before_a_command_are_not_lost(agent):
    agent.configure([])
    done = subprocess.run([str(PROGRAM), "--config", "/none.yml", "check"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and "cannot be used with" in done.stderr, done


def test_mistakes_as_json(agent):
    agent.file.write_text("listen: []\nsources: [{statsd: {listen: [], mapping: none.yml}}]\n")
    code, out, err = check(agent, "--output", "json")
    told = [(p["line"], p["path"]) for p in json.loads(out)["problems"]]
    assert code == 2 and err == "" and told == [(1, "listen"), (2, "sources[0].statsd.listen"), (2, "sources[0].statsd.mapping")]


def test_a_level_that_is_none_is_refused(agent):
    agent.configure([])
    done = subprocess.run(
        [str(PROGRAM), "run", "--config", str(agent.file), "--log", "loud"], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 2 and "unknown level" in done.stderr and "one of error, warn" in done.stderr, done.stderr


def test_every_list_has_the_same_option_for_json():
    for command in (["metrics"], ["devices", "--no-streams"]):
        done = subprocess.run([str(PROGRAM), *command, "--output", "json"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and json.loads(done.stdout), done
