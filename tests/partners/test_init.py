"""A configuration that is written from what is there, and the agent that runs on it.

Independent: liblsl streams, and a server that answers as vLLM does, on vLLM's port.
"""
from __future__ import annotations

import http.server
import os
import pty
import socket
import subprocess
import threading

import pytest
import yaml

from conftest import PROGRAM
from test_lsl import lab  # noqa: F401 - a fixture

VLLM = b"# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{model_name=\"m\"} 1\n"


@pytest.fixture
def engine():
    """A server on one of the ports that engines listen on, whichever is free."""
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            assert self.path == "/metrics"
            self.send_response(200)
            self.send_header("Content-Length", str(len(VLLM)))
            self.end_headers()
            self.wfile.write(VLLM)

        def log_message(self, *_):
            pass

    for port in (8000, 8002, 8080, 2242, 3000, 30000):
        try:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Metrics)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield port
        server.shutdown()
        server.server_close()
        return
    pytest.skip("every port that engines listen on is taken")


def init(*words: str, within=None) -> subprocess.CompletedProcess:
    return subprocess.run([str(PROGRAM), "init", *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=within)


def test_what_is_there_becomes_a_configuration(agent, lab, engine, tmp_path):  # noqa: F811
    outlet = lab.outlet(name="eeg", type="EEG", count=200)
    # Where a FieldTrip buffer would listen: it is named, and not connected to.
    program = socket.socket()
    program.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        program.bind(("127.0.0.1", 1972))
        program.listen()
    except OSError:
        program = None
    file = tmp_path / "found.yml"
    done = init(str(file), "--session", lab.session)
    assert done.returncode == 0 and "check --live" in done.stdout, done
    text = file.read_text()
    sources = yaml.safe_load(text)["sources"]
    streams = [source["lsl"] for source in sources if "lsl" in source]
    assert [(one["session"], one["streams"][0]["name"]) for one in streams] == [(lab.session, "eeg")]
    engines = [source["scrape"] for source in sources if "scrape" in source]
    assert {"name": "vllm", "url": f"http://127.0.0.1:{engine}/metrics", "profile": "vllm"} in engines
    if program:
        assert "# - fieldtrip: {name: fieldtrip}" in text
        program.setblocking(False)
        with pytest.raises(BlockingIOError):
            program.accept()
        program.close()
    checked = subprocess.run([str(PROGRAM), "check", "--config", str(file)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked
    # The agent runs on it.
    agent.configure([source for source in sources if "lsl" in source or "scrape" in source])
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source=engines[0]["name"]) == 1)
    agent.until(lambda seen: seen.value("neural_device_samples_total", device=f"{streams[0]['name']}/eeg") > 0, 40)
    lab.done(outlet)


def test_a_file_that_is_there_stays(tmp_path):
    assert init("--no-streams", within=tmp_path).returncode == 0
    file = tmp_path / "neural-exporter.yml"
    file.write_text("mine: true\n")
    done = init("--no-streams", within=tmp_path)
    assert done.returncode == 2 and "--force" in done.stderr and file.read_text() == "mine: true\n"
    assert init("--no-streams", "--force", within=tmp_path).returncode == 0 and "sources:" in file.read_text()
    shown = init("--no-streams", "-", within=tmp_path)
    assert shown.returncode == 0 and yaml.safe_load(shown.stdout)["listen"] == "127.0.0.1:9612"
    refused = init("--no-streams", str(tmp_path / "none" / "x.yml"))
    assert refused.returncode == 1 and "cannot be written" in refused.stderr


@pytest.mark.parametrize("answer, rc", [("n", 2), ("", 2), ("y", 0)])
def test_at_a_terminal_it_asks(tmp_path, answer, rc):
    file = tmp_path / "neural-exporter.yml"
    file.write_text("mine: true\n")
    own, terminal = pty.openpty()
    done = subprocess.Popen([str(PROGRAM), "init", "--no-streams"], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    os.write(own, answer.encode() + b"\n")
    _, said = done.communicate(timeout=60)
    os.close(own)
    os.close(terminal)
    assert "is there already; overwrite it? [y/N]" in said and done.returncode == rc, said
    assert (file.read_text() == "mine: true\n") == (rc == 2)
