"""The agent as a service of systemd: its words, its sockets, its units.

Independent: systemd-analyze. systemd itself does not run here; its side of the two protocols is
played by plain sockets, as sd_notify(3) and sd_listen_fds(3) describe them.
"""
from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, ROOT, free_port, program, stage, tcp, udp, unix, wait_until


class Manager:
    """The end of the notify socket that systemd holds."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.heard: list[dict[str, str]] = []

    def listen(self) -> None:
        self.socket.settimeout(0)
        while True:
            try:
                datagram = self.socket.recv(65536).decode()
            except BlockingIOError:
                return
            self.heard.append(dict(line.split("=", 1) for line in datagram.splitlines()))

    def hears(self, word: str, value: str = "1", after: int = 0, seconds: float = 10):
        """The place of the next message that says this, waiting for it."""

        def there():
            self.listen()
            return next((i for i, m in enumerate(self.heard) if i >= after and m.get(word) == value), None) is not None

        wait_until(there, seconds, f"{word}={value} (heard: {self.heard})")
        return next(i for i, m in enumerate(self.heard) if i >= after and m.get(word) == value)


def test_it_tells_systemd_how_it_is(agent):
    manager = Manager(agent.path("notify"))
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    agent.start({"NOTIFY_SOCKET": agent.path("notify"), "WATCHDOG_USEC": "4000000"})
    ready = manager.hears("READY")
    assert "STATUS" in manager.heard[ready]

    # Signs of life, at least twice in the time of the watchdog.
    first = manager.hears("WATCHDOG", after=ready)
    began = time.monotonic()
    second = manager.hears("WATCHDOG", after=first + 1)
    manager.hears("WATCHDOG", after=second + 1)
    assert time.monotonic() - began < 4

    for ask in (lambda: agent.process.send_signal(signal.SIGHUP), lambda: agent.reload()):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        at = len(manager.heard)
        ask()
        reloading = manager.hears("RELOADING", after=at)
        since = int(manager.heard[reloading]["MONOTONIC_USEC"])
        assert before <= since <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        manager.hears("READY", after=reloading + 1)

    # A reload that is refused ends, too.
    agent.write({"listen": 7})
    at = len(manager.heard)
    agent.process.send_signal(signal.SIGHUP)
    manager.hears("READY", after=manager.hears("RELOADING", after=at) + 1)

    at = len(manager.heard)
    agent.stop()
    manager.hears("STOPPING", after=at)


def test_no_signs_of_life_without_a_watchdog(agent):
    manager = Manager(agent.path("notify"))
    agent.configure([])
    agent.start({"NOTIFY_SOCKET": agent.path("notify")})
    manager.hears("READY")
    time.sleep(1.5)
    manager.listen()
    assert not any("WATCHDOG" in message for message in manager.heard)


def test_it_is_ready_only_when_everything_is_bound(agents):
    first, second = agents("first"), agents("second")
    first.configure([{"jsonl": {"name": "in", "listen": f"unix:{first.path('in.sock')}"}}])
    first.start()
    manager = Manager(second.path("notify"))
    second.configure([{"jsonl": {"name": "in", "listen": f"unix:{first.path('in.sock')}"}}])
    second.start({"NOTIFY_SOCKET": second.path("notify")}, ready=False)
    assert second.process.wait(10) == 1
    manager.listen()
    assert not any("READY" in message for message in manager.heard)


# Puts the sockets where sd_listen_fds(3) has them, then becomes the agent.
ACTIVATE = """
import os, sys
held, names, command = sys.argv[1].split(","), sys.argv[2], sys.argv[3:]
held = [os.dup2(int(fd), 60 + i) for i, fd in enumerate(held)]
for place, fd in enumerate(held):
    os.dup2(fd, 3 + place, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def test_systemd_can_open_every_listener(agent):
    held = {}
    held["http"] = socket.create_server(("127.0.0.1", 0))
    held["statsd"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    held["statsd"].bind(("127.0.0.1", 0))
    held["events"] = socket.socket(socket.AF_UNIX)
    held["events"].bind(agent.path("events"))
    held["events"].listen(100)
    held["remote"] = socket.create_server(("127.0.0.1", 0))
    held["grams"] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    held["grams"].bind(agent.path("grams"))
    agent.port = held["http"].getsockname()[1]
    agent.configure(
        [
            {"jsonl": {"name": "events", "listen": ["systemd:events", "systemd:remote", "systemd:grams"]}},
            {"statsd": {"name": "statsd", "listen": "systemd:statsd"}},
        ],
        listen="systemd:http",
    )
    fds = [s.fileno() for s in held.values()]

    def start():
        command = [sys.executable, "-c", ACTIVATE, ",".join(map(str, fds)), ":".join(held), *agent.command()]
        agent.start(command=command, pass_fds=fds)

    # What is sent before it runs waits in the socket, and is counted.
    early = unix(agent.path("events"))
    early.sendall(stage("early") + b"\n")
    start()
    early.close()
    with tcp(held["remote"].getsockname()[1]) as client:
        client.sendall(stage("tcp") + b"\n")
    with unix(agent.path("grams"), socket.SOCK_DGRAM) as client:
        client.send(stage("gram"))
    with udp(held["statsd"].getsockname()[1]) as client:
        client.send(b"activated:3|c")
    agent.until_all("events", 3)
    agent.until_all("statsd", 1)
    seen = agent.scrape()
    for pipeline in ("early", "tcp", "gram"):
        assert seen.value("neural_stage_duration_seconds_count", pipeline=pipeline) == 1
    assert seen.value("activated_total") == 3

    # A reload keeps sockets that it could not open again.
    agent.config["limits"] = {"series": 10_000}
    agent.write()
    status, said = agent.reload()
    assert status == 200, said
    with udp(held["statsd"].getsockname()[1]) as client:
        client.send(b"activated:3|c")
    agent.until_all("statsd", 2)

    # They outlive the agent: nothing that is sent between two runs is lost.
    agent.stop()
    with udp(held["statsd"].getsockname()[1]) as client:
        client.send(b"activated:4|c")
    late = unix(agent.path("events"))
    late.sendall(stage("late") + b"\n")
    start()
    late.close()
    agent.until(lambda s: s.value("activated_total") == 4)
    agent.until(lambda s: s.value("neural_stage_duration_seconds_count", pipeline="late") == 1)


def test_a_socket_that_systemd_did_not_pass_is_named(agent):
    agent.configure([{"statsd": {"name": "statsd", "listen": "systemd:nothing"}}])
    agent.start(ready=False)
    assert agent.process.wait(10) == 1
    agent.says("nothing")


def version() -> int:
    said = subprocess.run([program("systemd-analyze"), "--version"], capture_output=True, text=True).stdout
    return int(re.search(r"systemd (\d+)", said)[1])


@pytest.fixture
def units(tmp_path):
    """The units as they would be installed, with a program that is there."""
    folder = tmp_path / "units"
    folder.mkdir()
    shipped = ROOT / "deploy/systemd"
    text = (shipped / "neural-exporter.service").read_text()
    if version() < 253:
        drop_in = (shipped / "neural-exporter.service.d/systemd-252.conf").read_text()
        text = text.replace("Type=notify-reload\n", "") + drop_in.split("[Service]", 1)[1].join(["\n[Service]", ""])
    text = text.replace("/usr/bin/neural-exporter", str(PROGRAM))
    (folder / "neural-exporter.service").write_text(text)
    for unit in (shipped / "socket-activation").glob("*.socket"):
        shutil.copy(unit, folder)
    return folder


def test_the_units_are_right(units):
    files = sorted(str(file) for file in units.iterdir())
    done = subprocess.run([program("systemd-analyze"), "verify", *files], capture_output=True, text=True, timeout=60)
    # What it has to say of units of this machine is not about ours.
    said = [line for line in (done.stdout + done.stderr).splitlines() if "neural-exporter" in line]
    assert done.returncode == 0 and not said, said


def test_the_service_is_hardened(units):
    command = [program("systemd-analyze"), "security", "--offline=true", "--threshold=22", str(units / "neural-exporter.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # 1.9 by systemd 252; other versions weigh a little differently.
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_shipped_configurations_are_right():
    for file in ("config.example.yml", "systemd/socket-activation/config.yml"):
        done = subprocess.run([str(PROGRAM), "check", "--config", str(ROOT / "deploy" / file)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (file, done.stdout + done.stderr)
    scrape = ROOT / "deploy/prometheus/scrape.yml"
    done = subprocess.run([program("promtool"), "check", "config", str(scrape)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
