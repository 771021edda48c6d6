"""A log that nobody reads, disks that are full, file systems that never answer: the data goes on.

Independent: the kernel. Its pipes, `/dev/full`, small tmpfs, and file systems of FUSE whose program says nothing.
"""
from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, free_port, stage, unix, wait_until
from test_alerting import write_rules

LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2
# An alert that fires is a line of the log as well, whenever it likes.
NO_ALERTS = {"alerts": {"evaluate": False}}


def mount(kind: str, place: str, options: str) -> None:
    if LIBC.mount(b"neural-test", place.encode(), kind.encode(), 0, options.encode()):
        pytest.skip(f"{kind} cannot be mounted: {os.strerror(ctypes.get_errno())}; run this as root")


@contextlib.contextmanager
def silent(place):
    """A file system that never answers."""
    place.mkdir()
    try:
        device = os.open("/dev/fuse", os.O_RDWR)
    except OSError as why:
        pytest.skip(f"there is no FUSE: {why}")
    mount("fuse", str(place), f"fd={device},rootmode=40000,user_id=0,group_id=0")
    try:
        yield place
    finally:
        os.close(device)
        LIBC.umount2(str(place).encode(), DETACH)


@contextlib.contextmanager
def small(place, size: str):
    """A disk with little room."""
    place.mkdir()
    mount("tmpfs", str(place), f"size={size}")
    try:
        yield place
    finally:
        LIBC.umount2(str(place).encode(), DETACH)


def jsonl(agent) -> dict:
    return {"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}


def is_counted(agent, before: int = 0) -> int:
    with unix(agent.path("in.sock")) as client:
        client.sendall((stage("p") + b"\n") * 10)
    agent.until_all("in", before + 10)
    return before + 10


def start(agent, stderr) -> None:
    agent.process = subprocess.Popen(agent.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)
    wait_until(agent.is_ready, 30, "the agent's start")


def lost(agent) -> dict[str, float]:
    return {s.labels["reason"]: s.value for s in agent.scrape().series("neural_agent_log_lines_dropped_total")}


def chatter(agent) -> None:
    """Makes the agent log a line."""
    agent.request("POST", "/-/reload")


@pytest.mark.parametrize("ends", ["full", "closed"])
def test_a_log_that_cannot_be_written(agent, ends):
    agent.configure([jsonl(agent)], **NO_ALERTS)
    if ends == "full":
        with open("/dev/full", "wb") as full:
            start(agent, full)
    else:
        reader, writer = os.pipe()
        start(agent, writer)
        os.close(writer)
        os.close(reader)
    for _ in range(3):
        chatter(agent)
    is_counted(agent)
    agent.until(lambda s: s.value("neural_agent_log_lines_dropped_total", reason="write_failed") >= 3)
    # What would say so is lost as well, and is not said again and again.
    before = lost(agent)
    time.sleep(3)
    assert lost(agent) == before
    agent.stop()


def test_a_log_whose_disk_fills_up_and_is_made_room_on(agent, tmp_path):
    agent.configure([jsonl(agent)], **NO_ALERTS)
    with small(tmp_path / "disk", "64k") as disk:
        with open(disk / "log", "ab") as log:
            start(agent, log)
        (disk / "ballast").write_bytes(b"x" * 8192)
        with contextlib.suppress(OSError), open(disk / "rest", "wb", buffering=0) as rest:
            while rest.write(b"x" * 4096):
                pass
        for _ in range(200):
            chatter(agent)
        is_counted(agent)
        agent.until(lambda s: s.value("neural_agent_log_lines_dropped_total", reason="write_failed") > 0)
        (disk / "rest").unlink()
        (disk / "ballast").unlink()
        chatter(agent)
        wait_until(lambda: b"log lines were dropped" in (disk / "log").read_bytes(), 10, "the word of it")
        said = [line for line in (disk / "log").read_text().splitlines() if "log lines were dropped" in line]
        time.sleep(1.5)
        assert f"lines={lost(agent)['write_failed']:.0f}" in said[0], said
        agent.stop()
        # The last words are there.
        assert "stopping" in (disk / "log").read_text().splitlines()[-1]


def test_a_log_that_nobody_reads(agent):
    agent.configure([jsonl(agent)], log={"level": "trace"})
    reader, writer = os.pipe()
    # It is full before the agent says its first word.
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    start(agent, writer)
    os.close(writer)
    for _ in range(20):
        chatter(agent)
    is_counted(agent)
    agent.stop()
    os.close(reader)


def test_a_log_that_is_read_late_says_what_is_missing(agent):
    agent.configure([jsonl(agent)], **NO_ALERTS)
    reader, writer = os.pipe()
    start(agent, writer)
    os.close(writer)
    agent.write({f"nonsense{n}": n for n in range(500)})

    def full() -> bool:
        for _ in range(5):
            chatter(agent)
        return lost(agent).get("queue_full", 0) > 0

    wait_until(full, 120, "the end of the queue")
    text = b""
    os.set_blocking(reader, False)

    def told() -> bool:
        nonlocal text
        with contextlib.suppress(BlockingIOError):
            while more := os.read(reader, 1 << 16):
                text += more
        return b"log lines were dropped" in text

    wait_until(told, 20, "the word of it")
    agent.stop()
    told()
    os.close(reader)
    assert b"stopping" in text.splitlines()[-1]


def test_a_mount_that_never_answers_holds_nobody_else(agent, tmp_path):
    """Files of metrics, a token, a program and the mount itself: all on it, and beside each a good one."""
    good, quick = tmp_path / "good", tmp_path / "quick"
    good.mkdir()
    (good / "a.prom").write_text("good_metric 1\n")
    quick.write_text("#!/bin/sh\necho quick_metric 2\n")
    quick.chmod(0o755)
    with silent(tmp_path / "dead") as dead:
        every = {"interval": "200ms"}
        asks = f"http://127.0.0.1:{agent.port}/metrics"
        sources = [jsonl(agent)]
        sources += [{"textfile": {"name": f"t{n}", "directory": str(dead), **every}} for n in range(20)]
        sources += [{"exec": {"name": f"e{n}", "command": [str(dead / "program")], "interval": "1s", "timeout": "1s"}} for n in range(3)]
        sources += [
            {"scrape": {"name": "token", "url": asks, "bearer_token_file": str(dead / "token"), "interval": "1s", "timeout": "1s"}},
            {"scrape": {"name": "itself", "url": asks, "keep": ["neural_agent_time_seconds"], **every}},
            {"textfile": {"name": "files", "directory": str(good), **every}},
            {"exec": {"name": "quick", "command": [str(quick)], **every}},
            {"host": {"name": "host", "exclude_filesystems": "^(proc|sysfs|cgroup2?)$", **every}},
        ]
        agent.configure(sources)
        agent.start()
        agent.until(lambda s: s.value("neural_host_filesystem_stalled") == 1, 30)
        time.sleep(12)
        seen = agent.scrape()
        up = {s.labels["source"]: s.value for s in seen.series("neural_source_up")}
        assert [up[name] for name in ("itself", "files", "quick", "host")] == [1] * 4, (up, agent.told())
        assert not any(up[name] for name in [*(f"t{n}" for n in range(20)), "e0", "token"]), up
        assert seen.value("good_metric") == 1 and seen.value("quick_metric") == 2
        assert any(s.labels["mount"] == "/" for s in seen.series("neural_host_filesystem_size_bytes")), "no root"
        # Each path has one thread at most: the folder, the program, the token, the mount.
        tasks = [open(f"/proc/{agent.process.pid}/task/{t}/comm").read().strip() for t in os.listdir(f"/proc/{agent.process.pid}/task")]
        assert tasks.count("aside") <= 6, tasks
        # The reason names the path, on the page too.
        page = agent.get("/sources")[2].decode()
        assert f"from {dead}" in page, page
        before = is_counted(agent)
        # The generated files, and a reload.
        assert agent.get("/provision/rules.yml")[0] == 200
        assert agent.reload()[0] == 200
        is_counted(agent, before)
        agent.stop()


def test_a_reload_that_reads_from_a_mount_that_never_answers(agent, tmp_path):
    agent.configure([jsonl(agent)])
    agent.start()
    with silent(tmp_path / "dead") as dead:
        for source in (
            {"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", "mapping": str(dead / "m.yml")}},
            {"scrape": {"name": "s", "url": "https://127.0.0.1:1/", "ca_file": str(dead / "ca.pem")}},
        ):
            agent.configure([jsonl(agent), source])
            agent.process.send_signal(signal.SIGHUP)
            time.sleep(1)
            is_counted(agent, int(agent.scrape().account("in")["events"]))
            agent.until(lambda s: s.value("neural_agent_config_last_reload_successful") == 0, 20)
            agent.says(str(dead))
            agent.configure([jsonl(agent)])
            # The thread that is stuck has the turn, so this is refused as well, until the mount is gone.
        agent.stop(8)


def test_state_on_a_mount_that_never_answers(agent, tmp_path):
    with silent(tmp_path / "dead") as dead:
        agent.configure([jsonl(agent)], state_directory=str(dead / "state"))
        agent.start()
        agent.says(str(dead))
        with unix(agent.path("in.sock")) as client:
            client.sendall(b'{"type":"llm","pipeline":"p","model":"m","prompt_tokens":5,"completion_tokens":5}\n')
        time.sleep(1)
        agent.stop(8)


def test_secrets_of_receivers_on_a_mount_that_never_answers(agent, tmp_path):
    """They are read for each notification: as many as there could be threads for all that waits."""
    rules = write_rules(tmp_path, {"alert": "NeuralAlways", "expr": "vector(1)", "labels": {"severity": "critical", "priority": "P0"}}, interval="1s")
    asks = f"http://127.0.0.1:{agent.port}/metrics"
    every = {"interval": "200ms"}
    sources = [
        {"scrape": {"name": "itself", "url": asks, "keep": ["neural_agent_time_seconds"], **every}},
        {"exec": {"name": "quick", "command": ["echo", "quick_metric 2"], **every}},
    ]
    with silent(tmp_path / "dead") as dead:
        receivers = [{"webhook": {"url_file": str(dead / f"url{n}")}} for n in range(18)]
        receivers += [{"email": {"to": "a@b.example", "from": "c@d.example", "smarthost": "127.0.0.1:1", "require_tls": False,
                                 "username": "me", "password_file": str(dead / "password")}}]
        agent.configure(sources, history={"interval": "1s"}, respond={"notify": True},
                        alerts={"rule_files": [rules], "receivers": receivers})
        agent.start()
        agent.says(f"from {dead / 'url0'}", seconds=40)
        agent.says(f"from {dead / 'password'}", seconds=40)
        seen = agent.scrape()
        time.sleep(3)
        later = agent.scrape()
        assert [later.value("neural_source_up", source=name) for name in ("itself", "quick")] == [1, 1], agent.told()
        for name in ("itself", "quick"):
            polls = [s.value("neural_source_polls_total", source=name) for s in (seen, later)]
            assert polls[1] > polls[0], (name, polls)
        assert agent.get("/sources")[0] == 200
        agent.stop(12)


def test_a_pipe_in_the_place_of_what_is_kept(agent):
    os.mkdir(agent.path("state"))
    os.mkfifo(agent.path("state/day.json"))
    os.mkdir(agent.path("files"))
    os.mkfifo(agent.path("files/a.prom"))
    agent.configure([jsonl(agent), {"textfile": {"name": "files", "directory": agent.path("files"), "interval": "200ms"}}])
    agent.start()
    agent.says("day.json", "not a file")
    agent.until(lambda s: s.series("neural_textfile_success", file="a.prom"))
    assert agent.scrape().value("neural_textfile_success", file="a.prom") == 0
    is_counted(agent)
    agent.stop()


IDLE = """
import socket, sys
held = []
for _ in range(int(sys.argv[2])):
    try:
        c = socket.socket(socket.AF_UNIX); c.connect(sys.argv[1]); held.append(c)
    except OSError:
        break
print(len(held), flush=True)
sys.stdin.read()
"""


def test_idle_senders_leave_room_for_a_scrape(agent):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}", "connections": 5_000}}])
    agent.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
    crowds = [
        subprocess.Popen([sys.executable, "-S", "-c", IDLE, agent.path("in.sock"), "550"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    assert sum(int(crowd.stdout.readline()) for crowd in crowds) == 1_100
    seen = agent.until(
        lambda s: s.value("neural_source_clients_accepted_total") + s.value("neural_source_clients_refused_total") == 1_100
    )
    assert seen.value("neural_source_clients_refused_total", source="in") > 300
    agent.says("LimitNOFILE")
    # As many as are served at once find a place.
    held = [socket.create_connection(("127.0.0.1", agent.port), 5) for _ in range(200)]
    assert agent.get("/metrics", timeout=5)[0] == 200
    for one in held:
        one.close()
    for crowd in crowds:
        crowd.stdin.close()
        crowd.wait()
        crowd.stdout.close()


def test_the_limit_of_files_is_raised_and_commands_do_not_see_it(agent):
    agent.configure([{"exec": {"name": "limit", "command": ["sh", "-c", "sleep 0.3; echo limit $(ulimit -n)"], "interval": "1s"}}])
    agent.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2048)))
    assert agent.until(lambda s: s.value("process_max_fds") > 0).value("process_max_fds") == 2048
    assert agent.until(lambda s: s.series("limit")).value("limit") == 256


OVERSTATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="in:x:y:z")
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("number", ["9", "1000000", "-3", "many"])
def test_more_sockets_are_announced_than_passed(agent, number):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(agent.path("in.sock"))
    listener.listen()
    pair = socket.socketpair()
    source = {"jsonl": {"name": "in", "listen": "systemd:in" if number.isdigit() else f"unix:{agent.path('other.sock')}"}}
    agent.configure([source])
    os.set_inheritable(pair[0].fileno(), True)
    command = [sys.executable, "-S", "-c", OVERSTATED, str(listener.fileno()), number, *agent.command()]
    agent.start(command=command, pass_fds=[listener.fileno(), pair[0].fileno()])
    if number.isdigit():
        is_counted(agent)
        agent.says("are ignored")
    # What is not ours is as open as before.
    assert any(os.path.exists(f"/proc/{agent.process.pid}/fd/{fd}") and os.readlink(f"/proc/{agent.process.pid}/fd/{fd}") == os.readlink(f"/proc/self/fd/{pair[0].fileno()}") for fd in os.listdir(f"/proc/{agent.process.pid}/fd"))
    assert "panicked" not in agent.told()
    agent.stop()
