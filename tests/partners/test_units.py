"""Units of a real systemd: looked at by a probe; restarted, weighed and signalled by hooks.

Independent: systemd. A manager of its own runs in a name space of its own, with a control group of its own, and answers there at the socket
of the system's manager: `systemctl` asks it, and it refuses what it always refuses.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from conftest import wait_until
from test_hook_examples import EXAMPLES, Trouble
from test_incidents import incidents, told
from test_probe import HEALTHY, UNHEALTHY, probe, status

CGROUPS = [path for path in map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")) if (path / "cgroup.procs").exists()]
# The tree under /run is this name space's own. A manager of users needs no machine that it booted.
BEGIN = """
mount -t tmpfs none /run && mkdir -p /run/systemd/system /run/own && chmod 700 /run/own && ln -s /run/own/systemd/private /run/systemd/private || exit 77
XDG_RUNTIME_DIR=/run/own exec /lib/systemd/systemd --user --log-target=console --log-level=notice
"""


class Systemd:
    def __init__(self, folder: Path):
        self.log, self.groups = folder / "systemd.log", [path / f"neural-test-{os.getpid()}" for path in CGROUPS]
        for group in self.groups:
            group.mkdir()
        join = "".join(f"echo $$ > {group}/cgroup.procs && " for group in self.groups)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", join + BEGIN], stdout=log, stderr=log)
        self.into = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt"]

    def ctl(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run([*self.into, "systemctl", *words], capture_output=True, text=True, timeout=20)

    def answers(self) -> bool:
        return self.process.poll() is not None or self.ctl("is-system-running").stdout.strip() in ("running", "degraded")

    def unit(self, name: str, command: str) -> None:
        text = f"[Service]\nExecStart={command}\nKillMode=mixed\n"
        subprocess.run([*self.into, "sh", "-c", f"mkdir -p /run/own/systemd/user && cat > /run/own/systemd/user/{name}"], input=text, text=True, check=True)
        for words in (("daemon-reload",), ("start", name)):
            done = self.ctl(*words)
            assert done.returncode == 0, done.stderr

    def show(self, name: str, what: str) -> str:
        return self.ctl("show", "--value", f"--property={what}", name).stdout.strip()

    def end(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        for group in self.groups:
            for folder in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()


@pytest.fixture
def systemd(tmp_path):
    for program in ("unshare", "nsenter", "systemctl"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    if os.geteuid() or not Path("/lib/systemd/systemd").exists() or not CGROUPS:
        pytest.skip("a manager of its own needs root, systemd and control groups")
    try:
        manager = Systemd(tmp_path)
    except OSError as why:
        pytest.skip(f"no control group of its own: {why}")
    try:
        wait_until(manager.answers, 20, "the start of systemd")
        if manager.process.poll() is not None:
            pytest.skip(f"systemd does not run in a name space here: {manager.log.read_text()[-300:]}")
        yield manager
    finally:
        manager.end()


def within(agent, systemd: Systemd):
    """The agent is started where this manager is the system's."""
    command = [*systemd.into, *agent.command()]
    agent.command = lambda: command
    return agent


def test_a_probe_sees_a_unit_come_and_go(agent, systemd):
    systemd.unit("pipeline.service", "/bin/sleep 1000")
    agent.configure([probe(name, {"unit": f"{name}.service"}, interval="1s", timeout="900ms") for name in ("pipeline", "nothing")])
    within(agent, systemd).start()
    agent.until(lambda seen: (status(seen, "pipeline"), status(seen, "nothing")) == (HEALTHY, UNHEALTHY))
    systemd.ctl("stop", "pipeline.service")
    agent.until(lambda seen: status(seen, "pipeline") == UNHEALTHY)
    systemd.ctl("start", "pipeline.service")
    agent.until(lambda seen: status(seen, "pipeline") == HEALTHY)


def test_the_weight_of_a_unit_is_lowered_and_another_one_restarted(agent, systemd, tmp_path):
    hook = {**EXAMPLES["lower-cpu-weight"]}
    unit = hook["systemctl"]["unit"]
    systemd.unit(unit, "/bin/sleep 1000")
    before = systemd.show(unit, "MainPID")
    trouble = Trouble(agent, tmp_path, hook["match"]["alerts"][0], hook)
    agent.config["respond"]["actions"]["units"] = [unit, "gone.service"]
    agent.config["respond"]["hooks"] += [
        {"name": "restart", "match": hook["match"], "systemctl": {"unit": unit, "restart": True}},
        {"name": "gone", "match": hook["match"], "systemctl": {"unit": "gone.service", "restart": True}},
        {"name": "refused", "match": hook["match"], "systemctl": {"unit": unit, "properties": {"CPUWeight": "many"}}},
    ]
    agent.write()
    within(agent, systemd).start()
    time.sleep(3.5)
    trouble.level = 9
    wait_until(lambda: systemd.show(unit, "CPUWeight") == "20" and systemd.show(unit, "MainPID") not in ("0", before), 30)
    for name, why in (("gone", "gone.service not found"), ("refused", "many")):
        agent.until(lambda seen, name=name: seen.value("neural_actions_total", hook=name, step="failed") == 1, 30)
        wait_until(lambda name=name, why=why: any(why in said for said in told(agent, by=f"hook {name}", alert=trouble.alert)), 20, why)
    trouble.level = 1
    agent.until(lambda seen: seen.value("neural_actions_total", hook=hook["name"], step="succeeded") == 1, 30)
    trouble.stopped.set()
    # As the documentation says: a restart keeps it, and this ends it.
    systemd.ctl("restart", unit)
    assert systemd.show(unit, "CPUWeight") == "20"
    systemd.ctl("revert", unit)
    assert systemd.show(unit, "CPUWeight") == "[not set]"


def test_a_unit_is_signalled(agent, systemd, tmp_path):
    hook = {**EXAMPLES["drop-caches-by-signal"]}
    dropped = tmp_path / "dropped"
    script = tmp_path / "pipeline"
    # A program that the trap ran would be a process of the unit: systemd, which reads the unit's processes until there is no new one, may signal
    # that one as well, and end it before it has done anything.
    script.write_text(f"#!/bin/sh\ntrap ': > {dropped}' USR1\nwhile :; do sleep 0.1; done\n")
    script.chmod(0o755)
    systemd.unit(hook["signal"]["unit"], str(script))
    trouble = Trouble(agent, tmp_path, hook["match"]["alerts"][0], hook)
    agent.config["respond"]["actions"]["units"] = [hook["signal"]["unit"]]
    agent.write()
    within(agent, systemd).start()
    time.sleep(3.5)
    trouble.level = 9
    agent.until(lambda seen: seen.value("neural_actions_total", hook=hook["name"], step="ended") == 1, 30)
    wait_until(dropped.exists, 10, "the signal")
    trouble.level = 1
    agent.until(lambda seen: seen.value("neural_actions_total", hook=hook["name"], step="succeeded") == 1, 30)
    trouble.stopped.set()
