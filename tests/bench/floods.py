#!/usr/bin/env python3
"""Every flood that once made the agent grow, in turn, against one agent; then everything expires, and it must be as small as before.

Only the standard library and this machine. `make soak` runs it for SECONDS_OF_SOAK; rates are bounded, so that it is the
tables that are tried and not the processor. Says the memory before and after, the most in between, and the longest scrape;
ends with 1 if more than 5 MB stayed.
"""
from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import re
import select
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("NEURAL_EXPORTER", ROOT / "target/dist/neural-exporter"))
MiB = 2**20
# Bytes a second of one flood, and what may stay of all.
RATE = 4 * MiB
STAYS = 5e6


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Agent:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.udp, self.tcp = free_port(socket.SOCK_DGRAM), free_port()
        (folder / "prom").mkdir()
        quiet = [{"jsonl": {"name": "quiet", "listen": f"unix:{folder}/quiet.sock"}}]
        flooded = [
            {"statsd": {"name": "udp", "listen": f"udp://127.0.0.1:{self.udp}"}},
            {"statsd": {"name": "tcp", "listen": f"tcp://127.0.0.1:{self.tcp}", "line_bytes": 65_536}},
            {"jsonl": {"name": "events", "listen": f"unix:{folder}/events.sock"}},
            {"textfile": {"name": "files", "directory": f"{folder}/prom", "interval": "2s"}},
            {"lsl": {"name": "lsl", "session": "floods"}},
        ]
        self.quiet, self.all = quiet, quiet + flooded
        self.configure(self.all)
        self.log = open(folder / "log", "ab")
        self.process = subprocess.Popen([PROGRAM, "run", "--config", folder / "config.yml"], stderr=self.log)
        self.most, self.longest = 0.0, 0.0
        end = time.monotonic() + 30
        while True:
            try:
                self.scrape()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit("the agent does not start") from None
                time.sleep(0.1)

    def configure(self, sources: list) -> None:
        config = {"listen": f"127.0.0.1:{self.port}", "state_directory": f"{self.folder}/state", "expire": {"gauges": "20s"}, "sources": sources}
        new = self.folder / "config.new"
        new.write_text(json.dumps(config))
        new.rename(self.folder / "config.yml")

    def reload(self, sources: list) -> None:
        self.configure(sources)
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/-/reload", method="POST"), timeout=30).read()

    def scrape(self) -> str:
        began = time.monotonic()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        self.longest = max(self.longest, time.monotonic() - began)
        return text

    def value(self, text: str, name: str) -> float:
        return sum(float(v) for v in re.findall(rf"^{name}(?:\{{[^\n]*\}})? (\S+)$", text, re.M))

    def rss(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        rss = int(re.search(r"^VmRSS:\s*(\d+)", status, re.M)[1]) * 1024
        self.most = max(self.most, rss)
        return rss

    def kept(self) -> str:
        """What counts as kept, and is bounded."""
        text = self.scrape()
        held = self.value(text, "neural_agent_series_memory_bytes")
        return f"{self.value(text, 'neural_agent_series'):.0f} series of {held / 1e6:.2f} MB, a scrape of {len(text) / 1e6:.2f} MB"

    def log_bytes(self) -> int:
        return (self.folder / "log").stat().st_size


class Pace:
    """Bounds bytes a second."""

    def __init__(self, until: float) -> None:
        self.began, self.until, self.sent = time.monotonic(), until, 0

    def more(self, count: int) -> bool:
        self.sent += count
        ahead = self.sent / RATE - (time.monotonic() - self.began)
        if ahead > 0:
            time.sleep(ahead)
        return time.monotonic() < self.until


def stream(agent: Agent, kind: str, lines, until: float) -> None:
    """Sends lines, and connects again where the agent hangs up."""
    pace = Pace(until)
    client = socket.socket(socket.AF_UNIX) if kind == "events" else socket.socket()
    client.settimeout(30)
    client.connect(f"{agent.folder}/events.sock" if kind == "events" else ("127.0.0.1", agent.tcp))
    with client:
        while True:
            block = b"".join(itertools.islice(lines, 20))
            client.sendall(block)
            if not pace.more(len(block)):
                return


def long_tags(agent: Agent, until: float) -> None:
    """60 kB of tags, each time others, that all mean one series."""
    lines = (b"one:1|c|#" + b",".join(b"%d" % random.randrange(10**9) for _ in range(6000)) + b"\n" for _ in itertools.count())
    stream(agent, "tcp", lines, until)


def tags_in_short(agent: Agent, until: float) -> None:
    """The same within what is accepted: 60 tags without a value."""
    lines = (b"one:1|c|#" + b",".join(b"%060d" % random.randrange(10**9) for _ in range(60)) + b"\n" for _ in itertools.count())
    stream(agent, "tcp", lines, until)


def white_space(agent: Agent, until: float) -> None:
    lines = (b'{"metric":"one_more","type":"counter","value":1,"labels":{%s"a":%s"b"}}\n' % (b" " * random.randrange(30_000), b" " * random.randrange(30_000)) for _ in itertools.count())
    stream(agent, "events", lines, until)


def datagrams(agent: Agent, until: float) -> None:
    pace = Pace(until)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", agent.udp))
        while True:
            line = b"one_too:1|c|#" + b",".join(b"%0100d" % random.randrange(10**9) for _ in range(40))
            with contextlib.suppress(OSError):
                client.send(line)
            if not pace.more(len(line)):
                return


def wide_series(agent: Agent, until: float) -> None:
    """Series of 60 labels, as gauges, counters and histograms."""
    def line(number: int) -> bytes:
        tags = b",".join(b"label_%d:%s" % (i, b"v" * 50) for i in range(59))
        return b"wide%d:1|%s|#n:%d,%s\n" % (number % 50, random.choice([b"g", b"c", b"h"]), number % 20_000, tags)

    stream(agent, "tcp", map(line, itertools.count()), until)


def many_labels(agent: Agent, until: float) -> None:
    """JSON lines of 8,000 labels."""
    labels = b",".join(b'"l%d":1' % i for i in range(5_500))
    line = b'{"metric":"many","value":1,"labels":{%s}}\n' % labels
    stream(agent, "events", itertools.repeat(line), until)


def names(agent: Agent, until: float) -> None:
    lines = (b"name%d:1|%s\n" % (random.randrange(10**7), random.choice([b"g", b"c", b"h", b"s"])) for _ in itertools.count())
    stream(agent, "tcp", lines, until)


def stages(agent: Agent, until: float) -> None:
    lines = (b'{"type":"stage","pipeline":"p%d","stage":"%s","seconds":0.1,"error":"e%d"}\n' % (random.randrange(10**6), b"s" * random.randrange(1, 300), random.randrange(10**6)) for _ in itertools.count())
    stream(agent, "events", lines, until)


def sets(agent: Agent, until: float) -> None:
    lines = (b"set%d:%d|s\n" % (random.randrange(200), random.randrange(10**9)) for _ in itertools.count())
    stream(agent, "tcp", lines, until)


def files(agent: Agent, until: float) -> None:
    """A file of 40,000 series, and one with a line end in its name."""
    folder = agent.folder / "prom"
    bad = folder / "a\nWARN forged.prom"
    turn = 0
    while time.monotonic() < until:
        turn += 1
        (folder / "many.prom").write_text("".join(f'from_file_{turn % 5}_{i % 3000}{{i="{i}"}} 1\n' for i in range(40_000)))
        bad.write_text("x{\n")
        time.sleep(2)
    for file in folder.iterdir():
        file.unlink()


def crowd(agent: Agent, until: float) -> None:
    """Connections that hold half a line each."""
    while time.monotonic() < until:
        held = []
        for _ in range(400):
            with contextlib.suppress(OSError):
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(5)
                client.connect(f"{agent.folder}/events.sock")
                client.sendall(b'{"type":"' + b"x" * 50_000)
                held.append(client)
        time.sleep(1)
        for client in held:
            client.close()


def outlets(agent: Agent, until: float) -> None:
    """300 streams with hostile names, that are there and that nobody can connect to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outlet:
        for port in range(16_572, 16_604):
            with contextlib.suppress(OSError):
                outlet.bind(("127.0.0.1", port))
                break
        while time.monotonic() < until:
            if not select.select([outlet], [], [], 0.2)[0]:
                continue
            words, sender = outlet.recvfrom(4096)
            asked = words.decode(errors="replace").split("\r\n")
            if asked[0] != "LSL:shortinfo" or len(asked) < 3:
                continue
            port, number = asked[2].split()
            for stream_number in range(300):
                name = f"&#10;ERROR forged {stream_number} " + "n" * 150
                info = (
                    f"<?xml version='1.0'?><info><name>{name}</name><type>EEG</type><channel_count>8</channel_count>"
                    f"<channel_format>float32</channel_format><source_id>s{stream_number}</source_id><nominal_srate>100</nominal_srate>"
                    f"<version>1.1</version><created_at>1</created_at><uid>{random.getrandbits(64):016x}-{stream_number}</uid>"
                    f"<session_id>floods</session_id><hostname>here</hostname><v4address/><v4data_port>9</v4data_port>"
                    f"<v4service_port>9</v4service_port><desc/></info>"
                )
                with contextlib.suppress(OSError):
                    outlet.sendto(f"{number}\r\n{info}".encode(), (sender[0], int(port)))


FLOODS = [long_tags, tags_in_short, white_space, datagrams, wide_series, many_labels, names, stages, sets, files, crowd, outlets]


def watched(agent: Agent, flood, seconds: float) -> None:
    log, done = agent.log_bytes(), threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            agent.rss()
            agent.scrape()

    watcher = threading.Thread(target=look)
    agent.most, agent.longest = 0.0, 0.0
    watcher.start()
    try:
        flood(agent, time.monotonic() + seconds)
    finally:
        done.set()
        watcher.join()
    text = agent.scrape()
    held = agent.value(text, "neural_agent_series_memory_bytes")
    print(
        f"{flood.__name__:14} {seconds:4.0f} s: RSS at most {agent.most / 1e6:6.1f} MB, series {agent.value(text, 'neural_agent_series'):7.0f} of {held / 1e6:5.1f} MB, "
        f"longest scrape {agent.longest * 1000:5.0f} ms ({len(text) / 1e6:.1f} MB), log {(agent.log_bytes() - log) / 1000:.1f} kB",
        flush=True,
    )


def settled(agent: Agent, patience: float) -> float:
    """The memory when nothing is done any more, and what can expire has."""
    agent.reload(agent.quiet)
    end, least = time.monotonic() + patience, agent.rss()
    while time.monotonic() < end:
        time.sleep(5)
        agent.scrape()
        least = min(least, agent.rss())
    return least


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120, help="of all floods together")
    parser.add_argument("--round", type=float, default=60, help="seconds of one round of all of them")
    parser.add_argument("--settle", type=float, default=240, help="seconds in which everything expires")
    parser.add_argument("--only", choices=[flood.__name__ for flood in FLOODS], action="append")
    o = parser.parse_args()
    floods = [flood for flood in FLOODS if not o.only or flood.__name__ in o.only]
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM} is not built; `make soak` builds it")
    with tempfile.TemporaryDirectory(prefix="floods-") as folder:
        agent = Agent(Path(folder))
        try:
            # What is bounded and stays, as the counters of the catalogue, has what it may have before it is measured.
            for flood in floods + floods:
                watched(agent, flood, 5)
            before = settled(agent, o.settle)
            print(f"before: {before / 1e6:.1f} MB; {agent.kept()}", flush=True)
            peak, longest, log = 0.0, 0.0, agent.log_bytes()
            end = time.monotonic() + o.seconds
            while time.monotonic() < end:
                agent.reload(agent.all)
                for flood in floods:
                    watched(agent, flood, min(o.round, o.seconds) / len(floods))
                    peak, longest = max(peak, agent.most), max(longest, agent.longest)
            log = agent.log_bytes() - log
            after = settled(agent, o.settle)
            kept = agent.kept()
        finally:
            agent.process.terminate()
            agent.process.wait(30)
    print(
        f"RSS {before / 1e6:.1f} MB before, {peak / 1e6:.1f} MB at most, {after / 1e6:.1f} MB after {o.seconds:.0f} s of floods "
        f"({after / 1e6 - before / 1e6:+.1f} MB); {kept}; "
        f"longest scrape {longest * 1000:.0f} ms; log {log / 1000:.0f} kB"
    )
    return 1 if after - before > STAYS else 0


if __name__ == "__main__":
    raise SystemExit(main())
