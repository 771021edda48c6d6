"""The documentation, done: every command in a shell block is run, every program in it is compiled or run, every
configuration is checked.

Independent: the shell, socat, Python, a C++ compiler. What is not run stands in NOT_RUN with the reason.
"""
from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, ROOT, unix
from provisioning import Authority

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
# The beginning of a line, and why it is not run here.
NOT_RUN = {
    "cargo run": "it builds the program, which is there",
    "make ": "it is what runs this test",
    "sudo apt": "it changes this machine; test_packages.py installs the package in one of its own",
    "neural-exporter status": "its exit code is how things are; test_health.py runs it",
    "neural-exporter incidents": "it needs an agent and its incidents; test_incidents.py runs it",
    "neural-exporter benchmark": "it needs an agent and an hour; test_benchmark.py runs it",
    "neural-exporter report --session": "it needs an agent and its sessions; test_sessions.py runs it",
    "neural-exporter silence": "it needs an Alertmanager or notifications; test_notifications.py runs it",
    "neural-exporter provision": "it needs servers; test_provision_*.py runs it against some",
}
# Of a password, as `htpasswd -nBC 10` writes it.
HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
# Commands that run until they are stopped.
UNTIL_STOPPED = ["neural-exporter run", "neural-exporter demo", "neural-exporter simulate"]


def blocks(kind: str) -> list:
    found = []
    for page in PAGES:
        for number, (language, text) in enumerate(BLOCK.findall(page.read_text())):
            if language == kind:
                found.append(pytest.param(text, id=f"{page.stem}-{number}"))
    assert found or kind not in ("sh", "yaml"), f"no block of {kind} in any page"
    return found


def commands() -> list:
    found = []
    for page in PAGES:
        for language, text in BLOCK.findall(page.read_text()):
            if language == "sh":
                lines = text.replace("\\\n", " ").splitlines()
                lines = [line.split("  #")[0].strip() for line in lines]
                found += [pytest.param(line, id=f"{page.stem}: {line}") for line in lines if line and not line.startswith("#")]
    assert len(found) > 8, found
    return found


@pytest.fixture
def place(tmp_path):
    """A folder with the program in its PATH and the configuration that the guide for the lab saves."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "neural-exporter").symlink_to(PROGRAM)
    saved = re.search(r"Save this as `([\w.]+)`.*?```yaml\n(.*?)```", (ROOT / "docs/lab.md").read_text(), re.S)
    (tmp_path / saved[1]).write_text(saved[2])
    environment = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("NEURAL_EXPORTER_CONFIG", None)
    return tmp_path, environment


@pytest.mark.parametrize("line", commands())
def test_commands(line, place, agent):
    folder, environment = place
    for begin, why in NOT_RUN.items():
        if line.startswith(begin):
            pytest.skip(why)
    if "8125" in line:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", 8125))
            except OSError:
                pytest.skip("another program has the port 8125")
    listens = any(word in line for word in ("socat", "$EVENTS"))
    if listens:
        socket_file = agent.path("events.sock")
        agent.configure([{"jsonl": {"name": "pipeline", "listen": f"unix:{socket_file}"}}, {"statsd": {"name": "statsd", "listen": "udp://127.0.0.1:8125"}}])
        agent.start()
        environment["EVENTS"] = socket_file
    if "127.0.0.1:9612/api" in line or "9612 " in line or line.startswith(("neural-exporter history", "neural-exporter query", "neural-exporter report")):
        agent.configure([], state_directory=str(folder / ".local/state/neural-exporter"), history={"interval": "1s", "flush": "1s"})
        (folder / "samples.txt").write_text("up 1 1764460800\n# EOF\n")
        agent.start()
        time.sleep(3)
        if line.startswith("neural-exporter history"):
            agent.stop()
        if line.startswith(("neural-exporter query", "neural-exporter report")):
            line += f" --server http://127.0.0.1:{agent.port}"
        line = line.replace("127.0.0.1:9612", f"127.0.0.1:{agent.port}")
    if any(line.startswith(begin) for begin in UNTIL_STOPPED):
        process = subprocess.Popen(["bash", "-c", f"exec {line}"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(3)
        assert process.poll() in (None, 0), process.stdout.read()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
        assert process.returncode == 0, said
        return
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    if listens:
        agent.until(lambda seen: seen.value("neural_source_events_total") == 1)


def with_web_config(folder, text: str) -> str:
    """A configuration with a web configuration beside it, and the certificate that it names. One of the two is shown."""
    authority = Authority(folder)
    authority.server("DNS:localhost")
    for made, name in [("certificate.pem", "server.crt"), ("key.pem", "server.key")]:
        (folder / made).rename(folder / name)
    shown = text.startswith("# web.yml")
    # A hash is shown by its beginning.
    web = text.replace("$2y$10$…", HASH) if shown else "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
    (folder / "web.yml").write_text(web)
    return "web_config: web.yml\n" if shown else text


@pytest.mark.parametrize("text", blocks("yaml"))
def test_configurations(text, place):
    folder, environment = place
    if "scrape_configs" in text:
        (folder / "prometheus.yml").write_text(text)
        done = subprocess.run(["promtool", "check", "config", "prometheus.yml"], cwd=folder, capture_output=True, text=True, timeout=60)
    elif text.startswith("# alertmanager.yml"):
        pytest.skip("a part of another program's file; test_incidents.py has whole ones")
    else:
        if "web_config" in text or text.startswith("# web.yml"):
            text = with_web_config(folder, text)
        (folder / "config.yml").write_text(text)
        done = subprocess.run(["neural-exporter", "check", "--config", "config.yml"], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", blocks("python"))
def test_python(text, agent):
    if "opentelemetry" in text:
        pytest.skip("it sends over OTLP; test_otlp.py does")
    listen = agent.path("events.sock")
    agent.configure([{"jsonl": {"name": "pipeline", "listen": f"unix:{listen}"}}])
    agent.start()
    done = subprocess.run([sys.executable, "-c", text], env={**os.environ, "EVENTS": listen}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    agent.until(lambda seen: seen.value("neural_stage_duration_seconds_count", pipeline="decoder", stage="classify") == 1)


@pytest.mark.parametrize("text", blocks("cpp"))
def test_cpp(text, agent, tmp_path):
    compiler = shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("there is no C++ compiler")
    (tmp_path / "send.cpp").write_text(text)
    subprocess.run([compiler, "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-o", tmp_path / "send", tmp_path / "send.cpp"], check=True, timeout=120)
    listen = agent.path("events.sock")
    agent.configure([{"jsonl": {"name": "pipeline", "listen": f"unix:{listen}"}}])
    agent.start()
    subprocess.run([tmp_path / "send", listen], check=True, timeout=20)
    agent.until(lambda seen: seen.value("neural_stage_duration_seconds_count", pipeline="decoder", stage="filter") == 1)
    unix(listen).close()
