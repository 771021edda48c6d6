"""What a machine lacks, found by looking, with what mends it.

Independent: the kernel: a small disk, a network that is switched off, datagrams that it drops.
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess

import pytest
import yaml

from conftest import PROGRAM, free_port, wait_until
from test_stuck import small

def doctor(file, *words: str, within=(), code: int | None = None) -> dict[tuple[str, str], dict]:
    command = [*within, str(PROGRAM), "doctor", "--config", str(file), "--output", "json", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    found = json.loads(done.stdout)
    failed = any(one["verdict"] == "failed" for one in found)
    assert done.returncode == (1 if failed else 0), done
    assert all("hint" in one for one in found if one["verdict"] in ("warning", "failed")), found
    return {(one["path"], one["subject"]): one for one in found}

def of(found, path: str) -> dict:
    return next(one for (at, _), one in found.items() if at == path)

def config(tmp_path, **settings):
    file = tmp_path / "doctor.yml"
    file.write_text(yaml.safe_dump({"listen": f"127.0.0.1:{free_port()}", "sources": [{"host": {"name": "host"}}],
                                    "state_directory": str(tmp_path / "state"), **settings}))
    return file

def test_a_machine_is_looked_at(tmp_path):
    found = doctor(config(tmp_path))
    assert of(found, "LSL")["verdict"] == "ok" and of(found, "disk")["verdict"] in ("ok", "warning", "failed")
    synchronised = "NTPSynchronized=yes" in (shutil.which("timedatectl") and subprocess.run(
        ["timedatectl", "show"], capture_output=True, text=True, timeout=20).stdout or "")
    if synchronised:
        assert of(found, "clock")["verdict"] == "ok"
    assert of(found, "agent")["verdict"] == "skipped" and "start it" in of(found, "agent")["hint"]
    shown = subprocess.run([str(PROGRAM), "doctor", "--config", str(tmp_path / "doctor.yml")], capture_output=True, text=True, timeout=60)
    assert shown.stdout.splitlines()[-1].startswith(("everything", "something"))

def test_a_full_disk_and_a_network_that_is_off(tmp_path):
    with small(tmp_path / "disk", "8m") as disk:
        found = doctor(config(tmp_path, state_directory=str(disk / "state")))
        assert of(found, "disk")["verdict"] == "failed" and "du -x" in of(found, "disk")["hint"]
    if os.geteuid():
        pytest.skip("a network is switched off by root alone")
    found = doctor(config(tmp_path), within=["unshare", "--net"])
    assert of(found, "LSL")["verdict"] == "warning" and "known_peers" in of(found, "LSL")["hint"]

def test_a_server_that_is_away_is_named_with_what_to_do(tmp_path):
    away = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "token").write_text("x")
    (tmp_path / "rules").mkdir()
    # That each failure has a hint is asserted for all of them.
    found = doctor(config(tmp_path, ask={"prometheus": {"url": away}}, provision={"targets": [
        {"prometheus": {"url": away, "rules_directory": str(tmp_path / "rules")}}, {"grafana": {"url": away, "access": {"token_file": str(tmp_path / "token")}}}]}))
    for path in ("ask.prometheus", "provision.targets[0].prometheus", "provision.targets[1].grafana"):
        assert of(found, path)["verdict"] == "failed" and "check that it runs" in of(found, path)["hint"], found

def test_a_configuration_with_mistakes_is_told_by_check(tmp_path):
    file = tmp_path / "wrong.yml"
    file.write_text("listne: 127.0.0.1:9612\n")
    done = subprocess.run([str(PROGRAM), "doctor", "--config", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "listen" in done.stderr and "neural-exporter check" in done.stderr

def test_the_running_agent_is_asked(agent, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    agent.configure([{"statsd": {"name": "statsd", "listen": f"udp://127.0.0.1:{port}"}}], history={"interval": "1s"})
    agent.start()
    found = doctor(agent.file)
    assert of(found, "agent")["verdict"] == "ok" and of(found, "listen")["message"] == "a running neural-exporter serves it"
    good = agent.file.read_text()
    agent.file.write_text(good + "unknown: 1\n")
    assert agent.reload()[0] == 500
    agent.file.write_text(good)
    agent.until(lambda seen: seen.value("neural_agent_config_last_reload_successful") == 0)

    def warned() -> bool:
        return "last reload failed" in of(doctor(agent.file), "agent")["message"]

    wait_until(warned, 15, "the word of the failed reload")
