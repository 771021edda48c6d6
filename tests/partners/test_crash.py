"""Agents are killed again and again while everything that they keep is being written; what they keep is whole each time.

Independent: SQLite and JSON as Python has them. `make crash` kills 1,000 times.
"""
from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import sqlite3
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from conftest import Agent, free_port, stage, udp, unix, wait_until
from test_alerting import write_rules
from test_incidents import incidents, post
from test_sessions import sessions

# Kills in all, and agents that are killed beside each other.
KILLS, AT_ONCE = int(os.environ.get("CRASH_KILLS", "24")), 4
HIGH = {"alert": "NeuralLevel", "expr": "level > 5", "labels": {"severity": "high", "priority": "P1", "component": "device"}}
CALL = b'{"type":"call","model":"m","prompt_tokens":10,"seconds":0.1}\n'
# A line of the log that says so of a file means that a kill has damaged it.
DAMAGED = ("damaged", "panicked", "cannot read", "could not be read", "set aside", "starts at zero")


class Killed:
    """An agent that keeps everything that an agent can keep, and is killed at random moments, its start included."""

    def __init__(self, agent: Agent, seed: int):
        self.agent, self.dice, self.failed = agent, random.Random(seed), ""
        self.statsd, self.state = free_port(socket.SOCK_DGRAM), Path(agent.path("state"))
        # What was seen in the files after a kill, by file: from then on it is there.
        self.kept: dict[str, set] = {}
        self.tokens = self.made = self.sent = self.newest = 0
        self.day = ""
        reports, away = agent.folder / "reports", f"http://127.0.0.1:{free_port()}"
        reports.mkdir()
        agent.configure(
            [{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{self.statsd}"}}, {"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}],
            history={"interval": "1s", "flush": "1s"}, reports={"folder": str(reports), "shortest": "0s"},
            alerts={"rule_files": [write_rules(agent.folder, HIGH, interval="1s")]}, trace={"targets": [{"url": away}], "queue": {"memory": "1MiB"}},
            respond={"notify": True, "tasks": [{"name": "own", "every": "1s", "do": {"exec": {"command": ["true"]}}}]},
            remote_write=[{"name": "away", "url": f"{away}/write"}],
        )

    def load(self) -> None:
        """What is sent to it and asked of it, as far as it answers: it may be starting."""
        with contextlib.suppress(OSError):
            level = udp(self.statsd)
            level.send(b"level:%d|g|#device:%d" % (self.dice.choice([1, 9]), self.dice.randrange(3)))
        with contextlib.suppress(OSError), unix(self.agent.path("in.sock")) as client:
            self.sent += 10 * 20
            client.sendall(CALL * 20 + (stage("p", trace=f"{self.dice.getrandbits(128):032x}") + b"\n") * 600)
        # The agent keeps a thousand sessions.
        if self.dice.random() > 0.2:
            return
        self.made += 1
        with contextlib.suppress(OSError):
            post(self.agent, f"/api/v1/sessions?name=s{self.made}")
            post(self.agent, f"/api/v1/sessions/s{self.made - 1}/stop")
            until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
            body = {"matchers": [{"name": "device", "value": f"d{self.made}", "isRegex": False}], "startsAt": until[:11] + "00:00:00Z", "endsAt": until, "createdBy": "t", "comment": "t"}
            self.agent.request("POST", "/api/v2/silences", {"Content-Type": "application/json"}, body=json.dumps(body).encode(), timeout=5)

    def look(self) -> None:
        """What is in the files. Each is whole, and what was in it is in it."""
        seen: dict[str, set] = {}
        names = sorted(path.name for path in self.state.iterdir()) if self.state.exists() else []
        assert len(names) < 30, names
        for name in names:
            if name.endswith(".json"):
                held = json.loads((self.state / name).read_text())
                if name == "sessions.json":
                    seen[name] = {one["name"] for one in held["sessions"]}
                if name == "notifications.json":
                    seen[name] = {one["id"] for one in held.get("silences", [])}
                if name == "day.json":
                    tokens = held["tokens"]
                    assert held["day"] != self.day or self.tokens <= tokens, held
                    assert tokens <= self.sent, f"{tokens} of {self.sent}"
                    self.day, self.tokens = held["day"], tokens
            elif name.startswith("remote-write."):
                int((self.state / name).read_text())
        with tempfile.TemporaryDirectory() as copy:
            # What a scrape was is in chunks after the next start.
            newest = "SELECT max(time) FROM (SELECT time FROM scrape UNION SELECT end FROM chunk) HAVING count(*) > 0"
            for name, ask in [("history.db", newest), ("incidents.db", "SELECT id FROM incident")]:
                if name not in names:
                    continue
                for file in self.state.glob(f"{name}*"):
                    shutil.copy(file, copy)
                with contextlib.closing(sqlite3.connect(Path(copy) / name)) as db:
                    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                    with contextlib.suppress(sqlite3.OperationalError):
                        seen[name] = {one for (one,) in db.execute(ask)}
        newest = max(seen.pop("history.db", {0}), default=0)
        assert self.newest <= newest, f"the newest scrape was of {self.newest}, and is of {newest}"
        self.newest = newest
        for name, before in self.kept.items():
            assert before <= seen.get(name, set()), f"{name} lost {sorted(before - seen.get(name, set()))[:5]}"
        self.kept |= seen

    def run(self, kills: int) -> None:
        try:
            for _ in range(kills):
                self.agent.start(ready=False)
                # The totals of the day are kept each 30 s.
                end = time.monotonic() + (33 if self.dice.random() < 0.02 else self.dice.random() ** 2 * 4)
                while time.monotonic() < end:
                    self.load()
                    time.sleep(min(0.1, max(end - time.monotonic(), 0)))
                assert self.agent.process.poll() is None, "it ended by itself"
                self.agent.process.kill()
                self.agent.process.wait()
                self.look()
        except Exception as why:
            self.failed = f"{why!r}: {self.agent.told()}"


def test_whenever_it_is_killed_all_its_files_are_whole(agents):
    all_of = [Killed(agents(f"agent{number}"), number) for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: one.run(KILLS // AT_ONCE), all_of))
    for one in all_of:
        assert not one.failed, one.failed
        agent = one.agent
        agent.start()
        agent.until(lambda seen: seen.value("neural_history_file_failing") == 0 and seen.value("neural_history_samples", place="file") >= 0)
        log = agent.log.read_text(errors="replace")
        assert not [line for line in log.splitlines() if any(word in line for word in DAMAGED)], agent.told()
        assert one.kept["sessions.json"] <= {session["name"] for session in sessions(agent, "?limit=1000")["sessions"]}
        wait_until(lambda: one.kept.get("incidents.db", set()) <= {incident["id"] for incident in incidents(agent)}, 20)
        silences = {silence["id"] for silence in json.loads(agent.get("/api/v2/silences")[2])}
        assert one.kept["notifications.json"] <= silences
        agent.stop(10)
        print({name: len(held) for name, held in one.kept.items()}, one.tokens)
    assert sum(len(one.kept.get("incidents.db", ())) for one in all_of) and all(len(one.kept["sessions.json"]) > 3 for one in all_of)
