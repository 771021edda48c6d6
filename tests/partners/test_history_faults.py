"""What the agent remembers when it is killed, when its disk fails in every way that a disk can, and when the clock is set.

Independent: the kernel, its ext4, tmpfs, loop devices and FUSE; SQLite as Python has it; libfaketime.
"""
from __future__ import annotations

import contextlib
import datetime
import errno
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import Agent, udp, wait_until
from test_alerting import write_rules
from test_history import ask, samples, start
from test_incidents import incidents, post
from test_time import Wall

# Kills in all, and agents that are killed beside each other.
KILLS, AT_ONCE = 200, 4


class Killed:
    """An agent that counts what is sent to it and is killed at random moments, its start and its end included."""

    def __init__(self, agent: Agent, seed: int):
        self.agent, self.dice, self.port = agent, random.Random(seed), start(agent)
        # Times, ms, of scrapes that another program has seen in the file: they are acknowledged; and what was counted then.
        self.written: set[int] = set()
        self.values: dict[int, float] = {}
        self.failed = ""

    def send(self, until: threading.Event) -> None:
        client = udp(self.port)
        while not until.wait(0.005):
            with contextlib.suppress(OSError):
                client.send(b"hits:1|c\nnoise:%d|g" % self.dice.randrange(10**6))

    def look(self) -> None:
        """Who is killed within a moment of its start answers nothing, and has no file."""
        with contextlib.suppress(OSError, AssertionError):
            self.values |= {round(t * 1000): v for t, v in samples(self.agent, "hits_total")}
        file = Path(self.agent.path("state")) / "history.db"
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            self.written |= {time for (time,) in db.execute("SELECT time FROM scrape")}

    def run(self, kills: int) -> None:
        for _ in range(kills):
            self.agent.start(ready=False)
            time.sleep(self.dice.random() ** 2 * 2.5)
            self.look()
            if self.agent.process.poll() is not None:
                self.failed = f"it ended by itself: {self.agent.told()}"
                return
            self.agent.process.kill()
            self.agent.process.wait()


def test_killed_two_hundred_times_it_keeps_what_it_wrote_and_doubles_nothing(agents):
    all_of = [Killed(agents(f"agent{number}"), number) for number in range(AT_ONCE)]
    end = threading.Event()
    senders = [threading.Thread(target=one.send, args=(end,)) for one in all_of]
    killers = [threading.Thread(target=one.run, args=(KILLS // AT_ONCE,)) for one in all_of]
    for thread in senders + killers:
        thread.start()
    for thread in killers:
        thread.join()
    end.set()
    for thread in senders:
        thread.join()
    for one in all_of:
        assert not one.failed, one.failed
        agent = one.agent
        agent.start()
        wait_until(lambda: len(samples(agent, "up")) > len(one.written), 20)
        assert agent.scrape().value("neural_history_file_failing") == 0
        log = agent.log.read_text()
        assert "damaged" not in log and "could not be read" not in log and "panicked" not in log, agent.told()
        times = [round(t * 1000) for t, _ in samples(agent, "up")]
        assert times == sorted(set(times))
        missing = one.written - set(times)
        assert len(one.written) > 20 and not missing, f"{len(missing)} of {len(one.written)} scrapes are missing"
        hits = {round(t * 1000): v for t, v in samples(agent, "hits_total")}
        acknowledged = {t: v for t, v in one.values.items() if t in one.written}
        assert len(acknowledged) > 10
        assert {t: hits.get(t) for t in acknowledged} == acknowledged
        agent.stop()
        with contextlib.closing(sqlite3.connect(Path(agent.path("state")) / "history.db")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def failing(agent: Agent) -> bool:
    return agent.scrape().value("neural_history_file_failing") == 1


def counts(agent: Agent, client, number: int) -> None:
    """What is sent now is counted, and can be asked for in a moment."""
    client.send(b"hits:%d|c" % number)
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m")][-1:] == [float(number)], 10)


def survives(agent: Agent, began: float, numbers: list[int]) -> None:
    """After a kill the file has what was counted since `began`."""
    time.sleep(2.5)
    agent.process.kill()
    agent.process.wait()
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    # While the file is opened, answers say that it is missing in them.
    wait_until(lambda: "warnings" not in ask(agent, "query", query="hits_total[1h]"), 20)
    seen = {v for t, v in samples(agent, "hits_total") if t >= began}
    assert {float(sum(numbers[: place + 1])) for place in range(len(numbers))} <= seen, (seen, agent.told())


def command(*words) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(map(str, words))}: {done.stderr.strip()[-200:]}; a file system of its own needs root and loop devices")


@pytest.fixture
def ext4(tmp_path):
    """A disk with ext4: the loop device and where it is mounted."""
    for program in ("mkfs.ext4", "losetup", "mount"):
        if not shutil.which(program):
            pytest.skip(f"there is no {program}")
    image, place = tmp_path / "image", tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(32 << 20)
    command("mkfs.ext4", "-q", image)
    found = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"no loop device: {found.stderr.strip()}")
    device = found.stdout.strip()
    place.mkdir()
    try:
        command("mount", device, place)
        yield device, place
    finally:
        subprocess.run(["umount", "-l", str(place)], capture_output=True)
        subprocess.run(["losetup", "--detach", device], capture_output=True)


def test_a_disk_that_becomes_read_only_costs_history_on_disk_until_it_is_mounted_again(agent: Agent, ext4):
    device, place = ext4
    port = start(agent, state_directory=str(place / "state"))
    agent.start()
    client, began = udp(port), time.time()
    counts(agent, client, 1)
    time.sleep(2.5)
    # What ext4 does at an error of its disk: every write is refused, though files are open for writing.
    command("mount", "-o", "remount,abort", place)
    wait_until(lambda: failing(agent), 30)
    # The kernel says EROFS to a write and EIO to a flush; which comes first is chance.
    agent.says("the history is kept in memory alone")
    assert re.search("Read-only|disk I/O error", agent.told()), agent.told()
    assert b"The history is kept in memory only" in agent.get("/")[2]
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m")][-1:] == [2.0], 10)
    # The agent does not hold the disk: it can be unmounted, checked and mounted.
    wait_until(lambda: subprocess.run(["umount", str(place)], capture_output=True).returncode == 0, 20, "the unmounting")
    subprocess.run(["fsck.ext4", "-p", device], capture_output=True)
    command("mount", device, place)
    agent.until(lambda s: s.value("neural_history_file_failing") == 0, 90)
    agent.says("the history is written again")
    survives(agent, began - 1, [1, 1])


def test_a_slow_disk_costs_nothing_but_time(agent: Agent, disk):
    port = start(agent, state_directory=str(disk.place / "state"))
    agent.start()
    client, began = udp(port), time.time()
    counts(agent, client, 1)
    disk.says(delay=3)
    agent.until(lambda s: s.value("neural_history_file_failing") == 1, 60)
    agent.says("the disk of the history is too slow")
    # Nothing waits for it: neither what is sent, nor a scrape, nor a question of what memory has.
    for _ in range(5):
        at = time.monotonic()
        client.send(b"hits:1|c")
        agent.scrape()
        data = samples(agent, "hits_total", "10s")
        assert time.monotonic() - at < 1.5 and data, data
        time.sleep(1)
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m")][-1:] == [6.0], 10)
    disk.says()
    agent.until(lambda s: s.value("neural_history_file_failing") == 0, 60)
    agent.says("the disk of the history is fast enough again")
    times = [round(t) for t, _ in samples(agent, "up", "2m")]
    # A scrape that is late on a busy machine leaves one out; one that waited for the disk would leave out three.
    assert max(b - a for a, b in zip(times, times[1:])) <= 3, "scrapes were left out while the disk was slow"
    assert agent.scrape().value("neural_history_scrapes_lost_total") == 0
    survives(agent, began - 1, [1, 1, 1, 1, 1, 1])


def held(agent: Agent) -> list[str]:
    """The files that the agent has open."""
    found = []
    for fd in Path(f"/proc/{agent.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(os.readlink(fd))
    return found


def test_an_agent_ends_in_time_on_a_slow_disk(agent: Agent, disk):
    start(agent, state_directory=str(disk.place / "state"))
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    # This disk does one thing at a time: with both files under way it would take twice as long. What is not written is not open.
    wait_until(lambda: (disk.place / "state/incidents.db").exists() and not any("incidents." in file for file in held(agent)), 20, "the closing of the incidents")
    disk.says(delay=4)
    time.sleep(2)
    # It gives up after two seconds, and the kernel lets a process go when the writes that are under way are done: two of four seconds.
    agent.stop(14)
    agent.says("what was not written is lost")


def test_files_that_wait_for_a_slow_disk_are_ended_at_the_same_time(agent: Agent, disk, tmp_path):
    rule = {"alert": "High", "expr": "level > 5", "labels": {"severity": "critical"}}
    port = start(agent, state_directory=str(disk.place / "state"), alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]})
    agent.start()
    client = udp(port)
    client.send(b"level:9|g")
    known = wait_until(lambda: incidents(agent, alert="High"), 20, "the incident")[0]["id"]
    disk.says(delay=4)
    # Both have something to write, and each is waited for two seconds. How long the kernel holds the process after that is the disk's.
    post(agent, f"/api/v1/incidents/{known}/ack", b"by=kim")
    time.sleep(2)
    agent.stop(30)
    ended = {}
    for line in agent.told().splitlines():
        for what in ("stopping", "the incidents' file takes longer than 2 s", "the history's file takes longer than 2 s"):
            if what in line:
                ended.setdefault(what, datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")))
    assert len(ended) == 3 and max(ended.values()) - ended["stopping"] < datetime.timedelta(seconds=3.5), ended


@pytest.mark.parametrize("error", ["EIO", "EROFS", "ENOSPC", "EDQUOT"])
def test_a_disk_with_errors_is_named_and_written_again_when_it_has_none(agent: Agent, disk, error):
    port = start(agent, state_directory=str(disk.place / "state"))
    agent.start()
    client, began = udp(port), time.time()
    counts(agent, client, 1)
    time.sleep(1.5)
    disk.says(error=getattr(errno, error))
    agent.until(lambda s: s.value("neural_history_file_failing") == 1, 30)
    agent.says("the history is kept in memory alone")
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m")][-1:] == [2.0], 10)
    disk.says()
    agent.until(lambda s: s.value("neural_history_file_failing") == 0, 60)
    survives(agent, began - 1, [1, 1])


def test_a_disk_that_is_unplugged_costs_what_is_older_than_memory(agent: Agent, disk):
    port = start(agent, state_directory=str(disk.place / "state"))
    agent.start()
    client, began = udp(port), time.time()
    counts(agent, client, 1)
    time.sleep(2.5)
    disk.end()
    agent.says("it was removed, or its disk was", seconds=60)
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m")][-1:] == [2.0], 10)
    # The folder below the mount is as good as any other.
    agent.until(lambda s: s.value("neural_history_file_failing") == 0, 60)
    assert (disk.place / "state/history.db").exists()
    survives(agent, began - 1, [1, 1])


def test_a_clock_that_is_set_forward_and_back_loses_and_doubles_nothing(agent: Agent, tmp_path):
    clock = Wall(tmp_path)
    port = start(agent)
    agent.start(environment=clock.environment)
    client, began = udp(port), time.time()
    counts(agent, client, 1)
    for place, ahead in enumerate((3600, 400 * 86_400, -3600, 0), 2):
        clock.set(ahead)
        client.send(b"hits:1|c")
        then = lambda: time.time() + ahead
        wait_until(lambda: [v for _, v in samples(agent, "hits_total", "1m", at=then())][-1:] == [float(place)], 15)
        time.sleep(2)
    agent.process.kill()
    agent.process.wait()
    agent.start(environment=clock.environment)
    wait_until(lambda: samples(agent, "up", "1m", at=time.time()), 10)
    # Each time has its own, and the present none of another.
    for at, value in ((began + 3600, 2.0), (began + 400 * 86_400, 3.0), (began - 3600, 4.0)):
        # The file is opened by a thread of its own.
        wait_until(lambda at=at: samples(agent, "hits_total", "2m", at=at + 60), 10)
        seen = samples(agent, "hits_total", "2m", at=at + 60)
        assert value in [v for _, v in seen] and len({t for t, _ in seen}) == len(seen), (at, seen)
    seen = samples(agent, "hits_total", "50m", at=time.time())
    assert {1.0, 5.0} <= {v for _, v in seen} <= {1.0, 5.0} and [t for t, _ in seen] == sorted({t for t, _ in seen}), seen


def test_a_disk_that_never_answers_holds_up_who_asks_of_it_alone(agent: Agent, disk):
    """What is asked of the past is on it, and more ask than there could be threads for all that waits. A command that is started meanwhile
    hangs as well: the kernel closes the agent's files in it, and asks the disk for that."""
    asks = f"http://127.0.0.1:{agent.port}/metrics"
    sources = [
        {"exec": {"name": "command", "command": ["echo", "quick_metric 2"], "interval": "200ms", "timeout": "1s"}},
        {"scrape": {"name": "itself", "url": asks, "keep": ["neural_agent_time_seconds"], "interval": "200ms"}},
    ]
    agent.configure(sources, history={"interval": "1s"}, state_directory=str(disk.place / "state"))
    agent.start()
    wait_until(lambda: len(samples(agent, "up")) > 2, 20)
    agent.process.kill()
    agent.process.wait()
    # Memory is empty.
    agent.start()
    wait_until(lambda: "warnings" not in ask(agent, "query", query="up"), 20)
    disk.server.send_signal(signal.SIGSTOP)
    try:
        past = "/api/v1/query?query=count_over_time(quick_metric[20h])&timeout=1s"
        asked = ("/alert?name=NeuralChannelBad", "/card?kind=agent&name=", past, "/api/v1/incidents?limit=0", "/incident", "/", "/sources")
        for path in asked * 6:
            with contextlib.suppress(OSError):
                agent.get(path, timeout=0.2)
        agent.until(lambda s: s.value("neural_source_up", source="command") == 0, 20)
        before = agent.scrape()
        time.sleep(3)
        after = agent.scrape()
        polls = [s.value("neural_source_polls_total", source="itself") for s in (before, after)]
        assert polls[1] > polls[0] + 3 and after.value("neural_source_up", source="itself") == 1, (polls, agent.told())
        # Who asks of it is told so, and does not wait for ever.
        for path in ("/alert?name=NeuralChannelBad", "/api/v1/incidents?limit=0"):
            status, _, body = agent.get(path, timeout=15)
            assert status == 503 and b"wait for the disk" in body, (path, status, body)
    finally:
        disk.server.send_signal(signal.SIGCONT)
    wait_until(lambda: agent.get("/", timeout=20)[0] == 200, 40)
    agent.until(lambda s: s.value("neural_source_up", source="command") == 1, 40)
