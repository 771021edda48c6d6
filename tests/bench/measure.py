#!/usr/bin/env python3
"""Drives the installed build from outside and prints what it costs, as the table in the README.

`make measure` builds what it needs. Only the standard library, but for streams, which pylsl makes in a process of its own
(`make partners` installs it; without it they are left out); only this machine; a few minutes.
CPU is the agent's own, from the clock of its process, so that the sender's is not in it and a busy
machine matters little. Latencies and losses do depend on what else runs: the table says how much did.
Every figure is the median of several rounds, with the least and the greatest.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "target" / os.environ.get("PROFILE", "dist")
PROGRAM = BUILT / "neural-exporter"
FLOOD = BUILT / "examples/flood"
MiB = 2**20
ACCOUNT = ("source_events", "source_errors", "source_dropped_events", "source_kernel_drops")


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Machine:
    """How much of the machine others used while something was measured."""

    def __init__(self) -> None:
        self.began = self.read()

    @staticmethod
    def read() -> tuple[float, float]:
        with open("/proc/stat") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
        return sum(fields) - fields[3] - fields[4], sum(fields)

    def busy(self) -> float:
        busy, total = self.read()
        return (busy - self.began[0]) / max(1.0, total - self.began[1])


class Agent:
    """The agent with one source for each way in."""

    def __init__(self, **settings) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="measure-")
        at = Path(self.folder.name)
        self.port, tcp, udp = free_port(), free_port(), free_port(socket.SOCK_DGRAM)
        self.to = {
            "udp": f"udp://127.0.0.1:{udp}",
            "tcp": f"tcp://127.0.0.1:{tcp}",
            "unixgram": f"unixgram:{at}/statsd.gram",
            "unix": f"unix:{at}/events.sock",
        }
        config = {
            "listen": f"127.0.0.1:{self.port}",
            "state_directory": f"{at}/state",
            "log": {"level": "error"},
            "sources": [
                {"statsd": {"name": "udp", "listen": self.to["udp"]}},
                {"statsd": {"name": "tcp", "listen": self.to["tcp"]}},
                {"statsd": {"name": "unixgram", "listen": self.to["unixgram"]}},
                {"jsonl": {"name": "unix", "listen": self.to["unix"]}},
            ],
        } | settings
        (at / "config.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen([PROGRAM, "run", "--config", at / "config.yml"])
        end = time.monotonic() + 20
        while True:
            try:
                self.scrape()
                return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise SystemExit("the agent does not start") from None
                time.sleep(0.05)

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.folder.cleanup()

    def tasks(self):
        return Path(f"/proc/{self.process.pid}/task").iterdir()

    def cpu(self, but: str = "") -> int:
        """Nanoseconds of CPU so far, of threads that ended too; but for that of threads of a name, which do not end."""
        # The clock of a process by its number, as clock_getcpuclockid(3) makes it.
        whole = time.clock_gettime_ns(~self.process.pid << 3 | 2)
        left_out = (task for task in self.tasks() if but and (task / "comm").read_text().strip() == but)
        return whole - sum(int((task / "schedstat").read_text().split()[0]) for task in left_out)

    def status(self, key: str, of: Path | None = None) -> int:
        text = ((of or Path(f"/proc/{self.process.pid}")) / "status").read_text()
        return int(re.search(rf"^{key}:\s*(\d+)", text, re.M)[1])

    def rss(self) -> float:
        return self.status("VmRSS") * 1024 / MiB

    def wakeups(self) -> int:
        return sum(self.status("voluntary_ctxt_switches", task) for task in self.tasks())

    def settle(self) -> None:
        """Waits until it has nothing more to do."""
        last = self.cpu()
        for _ in range(200):
            time.sleep(0.05)
            now = self.cpu()
            if now - last < 500_000:
                return
            last = now

    def scrape(self) -> str:
        with Client(self.port) as client:
            return client.get().decode()

    def account(self, source: str) -> dict[str, float]:
        text = self.scrape()
        pattern = r'^neural_{}_total{{[^}}]*source="{}"[^}}]*}} (\S+)'
        return {
            what: sum(float(v) for v in re.findall(pattern.format(what, source), text, re.M)) for what in ACCOUNT
        }


class Client:
    """HTTP on one connection, with as little of its own cost as this language allows."""

    def __init__(self, port: int, gzip: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        packed = b"Accept-Encoding: gzip\r\n" if gzip else b""
        self.request = b"GET /metrics HTTP/1.1\r\nHost: measure\r\nAccept: text/plain\r\n" + packed + b"\r\n"
        self.buffer = bytearray(32 * MiB)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def get(self) -> bytes:
        self.socket.sendall(self.request)
        view, got = memoryview(self.buffer), 0
        while True:
            n = self.socket.recv_into(view[got:])
            if n == 0:
                raise ConnectionError("closed")
            got += n
            body = self.buffer.find(b"\r\n\r\n", 0, min(got, 4096))
            if body >= 0:
                break
        length = int(re.search(rb"(?i)content-length: (\d+)", self.buffer[:body])[1])
        end = body + 4 + length
        while got < end:
            n = self.socket.recv_into(view[got:])
            if n == 0:
                raise ConnectionError("closed")
            got += n
        return bytes(view[body + 4 : end])


def flood(to: str, **options) -> dict[str, float]:
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    done = subprocess.run([FLOOD, "--to", to, *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class Round:
    """One flood: what was sent, what was counted, what it cost."""

    def __init__(self, agent: Agent, source: str, **options) -> None:
        before = agent.account(source)
        agent.settle()
        cpu = agent.cpu()
        self.sent = flood(agent.to[source], **options)
        agent.settle()
        self.cpu = agent.cpu() - cpu
        # The kernel is asked once a second what it dropped.
        for _ in range(30):
            after = agent.account(source)
            self.parts = {what: after[what] - before[what] for what in ACCOUNT}
            if source != "udp" or self.parts["source_events"] + self.parts["source_kernel_drops"] * options.get("pack", 1) >= self.sent["lines"]:
                break
            time.sleep(0.1)
        self.counted = self.parts["source_events"]
        self.rate = self.sent["lines"] / self.sent["seconds"]
        self.loss = 1 - self.counted / self.sent["lines"]
        self.ns = self.cpu / max(1.0, self.counted)
        lost = self.parts["source_kernel_drops"] * options.get("pack", 1)
        self.exact = self.counted + lost == self.sent["lines"]


def spread(values, digits: int = 2, unit: str = "") -> str:
    middle = statistics.median(values)
    return f"**{middle:,.{digits}f}**{unit} [{min(values):,.{digits}f}–{max(values):,.{digits}f}]"


def thousand(rate: float) -> str:
    return f"{rate / 1e6:.2f} M" if rate >= 1e6 else f"{rate / 1e3:.0f} k"


ROWS: list[tuple[str, str, str]] = []


def row(path: str, figure: str, aim: str) -> None:
    ROWS.append((path, figure, aim))
    print(f"{path}: {figure} (aim {aim})", flush=True)


def single_lines(o) -> None:
    with Agent() as agent:
        flood(agent.to["udp"], seconds=1, rate=100_000)
        best = 0.0
        for rate in (100_000, 200_000, 400_000, 600_000, 800_000, 0):
            rounds = [Round(agent, "udp", rate=rate, seconds=o.seconds) for _ in range(o.rounds)]
            loss = statistics.median(r.loss for r in rounds)
            offered = statistics.median(r.rate for r in rounds)
            counted = statistics.median(r.counted / r.sent["seconds"] for r in rounds)
            if loss == 0 and all(r.exact for r in rounds):
                best = max(best, offered)
            wanted = thousand(rate) if rate else "all the sender can do"
            figure = f"{thousand(offered)}/s sent, {thousand(counted)}/s counted, loss {loss:.3%}"
            if not all(r.exact for r in rounds):
                figure += " (NOT all accounted for)"
            figure += f", {spread([r.ns / 1000 for r in rounds])} µs CPU a line"
            row(f"StatsD over UDP, one line a datagram, {wanted}", figure, "800 k/s, 0.7 µs" if rate in (800_000, 0) else "–")
        row("the same: most lines a second without loss", f"**{thousand(best)}/s**", "800 k/s")


def packed(o) -> None:
    cases = [
        ("UDP, 20 a datagram, untagged", "udp", dict(pack=20, rate=1_000_000), "0.25 µs"),
        ("UDP, 20 a datagram, 3 tags", "udp", dict(pack=20, rate=1_000_000, shape="tagged"), "0.4 µs"),
        ("TCP, untagged", "tcp", dict(pack=200), "0.25 µs"),
        ("TCP, 3 tags", "tcp", dict(pack=200, shape="tagged"), "0.4 µs"),
        ("Unix datagrams, 20 each, untagged", "unixgram", dict(pack=20), "0.25 µs"),
        ("Unix datagrams, 20 each, 3 tags", "unixgram", dict(pack=20, shape="tagged"), "0.4 µs"),
        ("Unix datagrams, one line each", "unixgram", {}, "–"),
        ("timers over TCP, into histograms", "tcp", dict(pack=200, shape="timer"), "–"),
    ]
    with Agent() as agent:
        for title, source, options, aim in cases:
            rounds = [Round(agent, source, seconds=o.seconds, **options) for _ in range(o.rounds)]
            figure = f"{spread([r.ns / 1000 for r in rounds])} µs CPU a line at {thousand(statistics.median(r.rate for r in rounds))}/s"
            loss = statistics.median(r.loss for r in rounds)
            row(f"StatsD over {title}", figure + (f", loss {loss:.3%}" if loss else ""), aim)


def stages(o) -> None:
    with Agent() as agent:
        rounds = [Round(agent, "unix", pack=200, shape="stage", seconds=o.seconds) for _ in range(o.rounds)]
        ns = [r.ns for r in rounds]
        figure = f"{spread(ns, 0)} ns CPU an event = **{1e3 / statistics.median(ns):.2f} M/s** a core; {thousand(statistics.median(r.rate for r in rounds))}/s end to end"
        row("JSON stage events over a Unix stream, to histograms", figure, "2.0 M/s a core")


def scrapes(o) -> None:
    for series, aims in ((10_000, ("1.0 ms", "1.5 ms")), (100_000, ("25 ms, below 120 MiB", "–"))):
        with Agent(limits={"series": 400_000, "series_per_family": 400_000, "series_per_source": 200_000, "memory": "512MiB"}) as agent:
            flood(agent.to["tcp"], shape="gauge", names=series, pack=100, lines=series)
            for _ in range(100):
                held = len(re.findall(r"^flood_gauge", agent.scrape(), re.M))
                if held >= series:
                    break
                time.sleep(0.1)
            assert held == series, f"{held} of {series} series are there"
            for gzip, aim in zip((False, True), aims):
                count = 300 if series == 10_000 else 60
                p50, p99, cpu, size = [], [], [], 0
                for _ in range(o.rounds):
                    with Client(agent.port, gzip) as client:
                        for _ in range(10):
                            size = len(client.get())
                        agent.settle()
                        began, times = agent.cpu(), []
                        for _ in range(count):
                            clock = time.perf_counter_ns()
                            client.get()
                            times.append((time.perf_counter_ns() - clock) / 1e6)
                        cpu.append((agent.cpu() - began) / count / 1e6)
                    times.sort()
                    p50.append(times[count // 2])
                    p99.append(times[min(count - 1, count * 99 // 100)])
                figure = f"p50 {spread(p50)} ms, p99 {spread(p99)} ms, {spread(cpu)} ms CPU, {size / 1e6:.2f} MB"
                if not gzip:
                    figure += f", {agent.rss():.1f} MiB resident after"
                row(f"scrape of {series:,} series, {'gzip' if gzip else 'plain'}", figure, aim)


def scrape_under_load(o) -> None:
    """How long a line waits while scrapes are written: sent with its time, seen in the clock lag."""
    with Agent() as agent:
        flood(agent.to["tcp"], shape="gauge", names=10_000, pack=100, lines=10_000)
        agent.settle()
        rounds = []
        for scraping in (False, True):
            sender = subprocess.Popen([FLOOD, "--to", agent.to["unix"], "--shape", "stage", "--pack", "200", "--seconds", str(o.seconds)], stdout=subprocess.PIPE)
            with Client(agent.port) as client:
                while sender.poll() is None:
                    if scraping:
                        client.get()
                    time.sleep(0.02)
            sent = json.loads(sender.stdout.read())
            rounds.append(sent["lines"] / sent["seconds"])
        row("JSON events while 10,000 series are scraped 50 times a second", f"{thousand(rounds[1])}/s, beside {thousand(rounds[0])}/s without scrapes ({rounds[1] / rounds[0]:.2f})", "–")


def idle(o) -> None:
    port = free_port(socket.SOCK_DGRAM)
    defaults = [{"jsonl": {}}, {"statsd": {"listen": f"udp://127.0.0.1:{port}"}}, {"host": {}}, {"gpu": {}}]
    with tempfile.TemporaryDirectory() as folder:
        defaults[0]["jsonl"] = {"listen": f"unix:{folder}/events.sock"}
        with Agent(sources=defaults) as agent:
            time.sleep(10)
            clock, cpu, wakeups = time.monotonic(), agent.cpu(), agent.wakeups()
            time.sleep(o.idle_seconds)
            passed = time.monotonic() - clock
            share = (agent.cpu() - cpu) / 1e9 / passed
            woken = (agent.wakeups() - wakeups) / passed
            figure = f"**{agent.rss():.1f} MiB** resident, **{share:.3%}** of a core, {woken:.1f} wake-ups a second, {agent.status('Threads')} threads"
            row(f"idle on the defaults for {passed:.0f} s", figure, "10 MiB, 0.2 %")


def soak(o) -> None:
    with Agent() as agent:
        flood(agent.to["unix"], shape="stage", rate=10_000, pack=10, seconds=5)
        agent.settle()
        rss, cpu, machine = agent.rss(), agent.cpu(), Machine()
        sent = flood(agent.to["unix"], shape="stage", rate=10_000, pack=10, seconds=o.soak_seconds)
        share = (agent.cpu() - cpu) / 1e9 / sent["seconds"]
        agent.settle()
        figure = f"**{share:.2%}** of a core; {rss:.1f} MiB before, {agent.rss():.1f} MiB after; {sent['lines']:,} sent"
        counted = agent.account("unix")["source_events"]
        figure += f", {counted:,.0f} counted in all"
        row(f"10,000 events a second for {sent['seconds']:.0f} s", figure, "below 3 %, memory flat")
        print(f"(the machine was {machine.busy():.0%} busy)")


def boards(o) -> None:
    """So many simulated Cytons, each on a line of its own, then one of them is pulled."""
    number = 64
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        links = [f"{folder}/cyton-{n}" for n in range(number)]
        simulated = [
            subprocess.Popen([PROGRAM, "simulate", "cyton", "--pty", link, "--latency-timer", o.latency_timer, "--seed", str(n)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            for n, link in enumerate(links)
        ]
        try:
            while not all(Path(link).exists() for link in links):
                time.sleep(0.05)
            with Agent(sources=[]) as agent:
                bare = agent.rss()
            sources = [{"serial": {"name": f"cyton-{n}", "port": link, "protocol": "cyton"}} for n, link in enumerate(links)]
            with Agent(sources=sources) as agent:
                time.sleep(8)
                clock, cpu, machine = time.monotonic(), agent.cpu(), Machine()
                before = sum(map(float, re.findall(r"^neural_device_frames_total\{.*\} (\S+)", agent.scrape(), re.M)))
                time.sleep(o.board_seconds)
                after = sum(map(float, re.findall(r"^neural_device_frames_total\{.*\} (\S+)", agent.scrape(), re.M)))
                passed = time.monotonic() - clock
                share = (agent.cpu() - cpu) / 1e9 / passed
                rate = (after - before) / passed / number
                each = (agent.rss() - bare) * MiB / number / 1000
                figure = f"**{share:.2%}** of a core, {share * 1e6 / rate / number:.2f} us a packet; {rate:.1f} packets/s each; {each:.0f} kB a board (the machine was {machine.busy():.0%} busy)"
                row(f"{number} Cytons judged, chips' timers at {o.latency_timer}", figure, "5 %, 200 kB")
                simulated[0].kill()
                pulled = time.monotonic()
                while 'neural_source_up{source="cyton-0"} 1' in agent.scrape():
                    time.sleep(0.005)
                row("from a pulled plug to `neural_source_up 0`", f"**{(time.monotonic() - pulled) * 1000:.0f} ms**", "1 s")
        finally:
            for process in simulated:
                process.kill()
                process.wait(10)


class Viewers:
    """So many browsers that follow the page: each reads its stream of events, and nothing of it is looked at."""

    def __init__(self, port: int, number: int) -> None:
        request = b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n"
        self.sockets = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(number)]
        for one in self.sockets:
            one.sendall(request)
            status = one.recv(64 * 1024)
            if not status.startswith(b"HTTP/1.1 200 "):
                raise SystemExit(f"the page's stream answers {status[:100]!r}")

    def watch(self, seconds: float) -> int:
        """Reads for so long, and gives the bytes that came."""
        end, got = time.monotonic() + seconds, 0
        with selectors.DefaultSelector() as ready:
            for one in self.sockets:
                ready.register(one, selectors.EVENT_READ)
            while (left := end - time.monotonic()) > 0:
                for key, _ in ready.select(left):
                    data = key.fileobj.recv(1 << 20)
                    if not data:
                        raise SystemExit("the page's stream ended")
                    got += len(data)
        return got

    def close(self) -> None:
        for one in self.sockets:
            one.close()


def viewers(o) -> None:
    """The page of two boards of 32 channels, judged: followed by nobody, by one browser and by fifty, in turn. What the threads cost that
    read the boards is left out: it depends on how the machine wakes them, by more than what is measured."""
    counts = (0, 1, 50)
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        links = [f"{folder}/board-{n}" for n in range(2)]
        simulated = [subprocess.Popen([PROGRAM, "simulate", "freeeeg32", "--pty", link, "--seed", str(n)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for n, link in enumerate(links)]
        try:
            while not all(Path(link).exists() for link in links):
                time.sleep(0.05)
            sources = [{"serial": {"name": f"board-{n}", "port": link, "protocol": "freeeeg32"}} for n, link in enumerate(links)]
            with Agent(sources=sources) as agent:
                time.sleep(20)
                shares, sent, machine = {n: [] for n in counts}, {n: [] for n in counts}, Machine()
                for _ in range(o.rounds):
                    for number in counts:
                        watching = Viewers(agent.port, number)
                        watching.watch(2)
                        clock, cpu = time.monotonic(), agent.cpu("serial")
                        got = watching.watch(o.view_seconds)
                        passed = time.monotonic() - clock
                        shares[number].append((agent.cpu("serial") - cpu) / 1e7 / passed)
                        sent[number].append(got / max(1, number) / passed / 1000)
                        watching.close()
                figure = " / ".join(spread(shares[number]) for number in counts) + f" % of a core; {spread(sent[1], 1)} kB/s a viewer (the machine was {machine.busy():.0%} busy)"
                row("the page with 64 channels judged: nobody looks / one viewer / fifty", figure, "0.5 % a viewer")
        finally:
            for process in simulated:
                process.kill()
                process.wait(10)


class Outlets:
    """Streams of liblsl, from a process of their own."""

    def __init__(self, python: str, **options) -> None:
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        script = Path(__file__).with_name("outlets.py")
        self.process = subprocess.Popen([python, script, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline().strip() == "ready", "no outlets"

    def __enter__(self) -> Outlets:
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait(20)

    def said(self) -> dict[str, float]:
        return json.loads(self.process.stdout.readline())


def streams(o) -> None:
    """Many streams judged, one large stream, and streams that are only looked for."""
    # Without an interpreter there is nothing to run, which is an error of another kind than a module that is missing.
    ready = shutil.which(o.python) and not subprocess.run([o.python, "-c", "import pylsl, numpy"], capture_output=True).returncode
    if not ready:
        print(f"streams are left out: {o.python} has no pylsl and numpy; `make .venv/ready` installs them")
        return

    def total(agent: Agent, name: str) -> float:
        return sum(map(float, re.findall(rf"^neural_{name}_total\{{.*\}} (\S+)", agent.scrape(), re.M)))

    def followed(number: int, channels: int, rate: int, seconds: float, cores: set[int] | None, aim: str) -> None:
        session = f"measure-{os.getpid()}-{number}"
        source = {"lsl": {"name": "lsl", "session": session}}
        with Agent(sources=[source]) as agent:
            if cores:
                for task in agent.tasks():
                    os.sched_setaffinity(int(task.name), cores)
            warm = 8
            with Outlets(o.python, streams=number, channels=channels, rate=rate, session=session, seconds=warm + seconds + 2) as outlets:
                while total(agent, "device_samples") < number * rate * warm:
                    time.sleep(0.1)
                clock, cpu, machine, before = time.monotonic(), agent.cpu(), Machine(), total(agent, "device_samples")
                time.sleep(seconds)
                passed = time.monotonic() - clock
                share = (agent.cpu() - cpu) / 1e9 / passed
                each = (total(agent, "device_samples") - before) / passed / number
                told = outlets.said()
                pushed = told["pushed"] * number
                for _ in range(100):
                    counted = total(agent, "device_samples")
                    if counted >= pushed:
                        break
                    time.sleep(0.1)
                wrong = f"{total(agent, 'stream_missing_samples'):.0f} missing, {total(agent, 'source_errors'):.0f} faults"
                figure = (
                    f"**{share:.1%}** of a core, {share * 1e9 / each / number / channels:.2f} ns a value; {each:,.0f} samples/s each; "
                    f"{counted:,.0f} of {pushed:,} counted, {wrong}; {agent.rss():.0f} MiB resident (the outlets were {told['late']:.2f} s late at most, the machine {machine.busy():.0%} busy)"
                )
                where = f"{number} streams" if number > 1 else "one stream"
                row(f"LSL, {where} of {channels:,} channels at {rate:,} Hz, all judged", figure, aim)

    followed(64, 32, 1000, o.stream_seconds, None, "25 %")
    followed(1, 1024, 30_000, o.stream_seconds, {0}, "one core, none missing")
    session = f"measure-{os.getpid()}-present"
    with Outlets(o.python, streams=64, session=session), Agent(sources=[{"lsl": {"name": "lsl", "session": session, "mode": "presence"}}]) as agent:
        time.sleep(15)
        found = float(re.search(r"^neural_streams\{.*\} (\S+)", agent.scrape(), re.M)[1])
        clock, cpu = time.monotonic(), agent.cpu()
        time.sleep(o.stream_seconds * 2)
        share = (agent.cpu() - cpu) / 1e9 / (time.monotonic() - clock)
        row(f"LSL, {found:.0f} streams, `mode: presence`", f"**{share:.3%}** of a core", "0.1 %")


HISTORY = BUILT / "examples/history"


def figures(command: list, **more) -> dict[str, float]:
    """What a program measured, a line of JSON for each figure; what it says for people is shown."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, **more)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed")
    return {one["name"]: one["value"] for one in map(json.loads, done.stdout.splitlines())}


def history(o) -> None:
    """What the agent's memory costs; its clock is simulated, so that hours take seconds."""
    of = figures([HISTORY, "bytes"])
    for name, what in (("demo", "the demo's pipeline and a board"), ("64 channels", "a stream of 64 channels")):
        figure = f"**{of[f'{name}: bytes a sample on disk']:.2f}** bytes a sample on disk, {of[f'{name}: bytes a sample in memory']:.2f} in memory, {of[f'{name}: bytes a sample on disk, channels']:.2f} of channels; {of[f'{name}: series']:.0f} series"
        row(f"history of an hour of {what}, a scrape each 5 s", figure, "1.3 bytes")
    of = figures([HISTORY, "append"])
    row("history, 10,000 series each 5 s, taken and written", f"**{of['append: share of a core']:.2%}** of a core, {of['append: ms a scrape']:.1f} ms a scrape", "0.5 %")
    of = figures([HISTORY, "stall"])
    figure = " / ".join(f"longest {of[f'stall: longest ms {how}']:.2f} ms, one in 1,000 above {of[f'stall: ms of one in 1,000 {how}']:.2f} ms {how} a scrape of 10,000 series each 100 ms" for how in ("with", "without"))
    row("an event while the history scrapes", figure, "2 ms")
    of = figures([HISTORY, "memory"])
    row("history of an hour of 1,000 series in memory", f"**{of['memory: MiB resident']:.2f} MiB** resident, {of['memory: MiB of samples']:.2f} MiB of samples", "2 MiB")
    of = figures([HISTORY, "rules"])
    row(f"every generated rule ({of['rules: number']:.0f}) at one time over {of['rules: series']:.0f} series", f"**{of['rules: ms of all']:.1f} ms** for all", "15 ms")
    of = figures([HISTORY, "disk"])
    figure = ", ".join(f"{name} **{of[f'disk: ms of {name} over 24 h']:.2f} ms**" for name in ("a series", "its rate", "rates of 50 series, summed"))
    row("1,000 points over 24 h from disk", figure, "5 ms")


def remembering(o) -> None:
    """An idle agent with and without its history, and how soon one with a large file answers."""
    used = {}
    for enabled in (False, True):
        port = free_port(socket.SOCK_DGRAM)
        sources = [{"statsd": {"listen": f"udp://127.0.0.1:{port}"}}, {"host": {}}]
        with Agent(sources=sources, history={"enabled": enabled}) as agent:
            time.sleep(10)
            clock, cpu = time.monotonic(), agent.cpu()
            time.sleep(o.idle_seconds)
            used[enabled] = agent.rss(), (agent.cpu() - cpu) / 1e9 / (time.monotonic() - clock)
    (less, quiet), (more, busy) = used[False], used[True]
    row(f"idle for {o.idle_seconds:.0f} s with its history and without", f"**{more - less:.1f} MiB** more: {more:.1f} and {less:.1f} MiB; {busy:.3%} and {quiet:.3%} of a core", "3 MiB")
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        size = figures([HISTORY, "large", "--folder", folder])["large: MB"]
        times = {}
        for state in ("empty", folder):
            times[state] = [Started(folder if state == folder else f"{folder}/empty-{n}").ms for n in range(5)]
        row(f"from its start to the first scrape, with a file of {size:.0f} MB", f"**{statistics.median(times[folder]):.0f} ms** [{min(times[folder]):.0f}–{max(times[folder]):.0f}]; without a file {statistics.median(times['empty']):.0f} ms", "200 ms")


class Started:
    """How long a start takes until a scrape is answered, ms."""

    def __init__(self, state: str) -> None:
        with tempfile.TemporaryDirectory(prefix="measure-") as folder:
            port = free_port()
            file = Path(folder) / "config.yml"
            file.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "state_directory": state, "log": {"level": "error"}, "sources": []}))
            began = time.perf_counter()
            process = subprocess.Popen([PROGRAM, "run", "--config", file])
            while True:
                try:
                    with Client(port) as client:
                        client.get()
                    break
                except OSError:
                    time.sleep(0.001)
            self.ms = (time.perf_counter() - began) * 1000
            process.terminate()
            process.wait(20)


def beside(o) -> None:
    """The agent's answers beside those of a Prometheus that holds the same samples."""
    ready = shutil.which(o.python) and shutil.which("prometheus") and not subprocess.run([o.python, "-c", "import pytest, yaml, prometheus_client"], capture_output=True).returncode
    if not ready:
        print("questions beside Prometheus are left out: `make programs .venv/ready` installs what they need")
        return
    of = figures([o.python, Path(__file__).with_name("beside_prometheus.py")], env={**os.environ, "NEURAL_EXPORTER": str(PROGRAM)})
    for name, what in (("rules", "every generated rule at one time"), ("panels", "every query of every panel over 6 h")):
        name += " beside Prometheus"
        ours, theirs = of[f"{name}: ms of all, ours"], of[f"{name}: ms of all, theirs"]
        figure = f"{ours:.0f} ms beside {theirs:.0f} ms of Prometheus: **{ours / theirs:.2f}** of it; {of[f'{name}: slower ones']:.0f} of {of[f'{name}: number']:.0f} are slower"
        row(f"{what} over HTTP", figure, "not slower")


PARTS = {"history": history, "remembering": remembering, "beside": beside, "boards": boards, "viewers": viewers, "streams": streams, "single": single_lines, "packed": packed, "stages": stages, "scrapes": scrapes, "load": scrape_under_load, "idle": idle, "soak": soak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append", help="one part alone; can be given again")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each figure")
    parser.add_argument("--seconds", type=float, default=3, help="length of a flood")
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--board-seconds", type=float, default=20)
    parser.add_argument("--view-seconds", type=float, default=20)
    parser.add_argument("--latency-timer", default="16ms", help="of the simulated boards: 16ms as delivered, or 1ms")
    parser.add_argument("--stream-seconds", type=float, default=20)
    parser.add_argument("--python", default=str(ROOT / ".venv/bin/python"), help="an interpreter with pylsl and numpy, for streams")
    parser.add_argument("--soak-seconds", type=float, default=60)
    o = parser.parse_args()
    asked = set(o.only or PARTS)
    examples = {FLOOD: asked - {"boards", "viewers", "streams", "idle", "history", "remembering", "beside"}, HISTORY: asked & {"history", "remembering"}}
    for needed in (PROGRAM, *(example for example, used in examples.items() if used)):
        if not needed.exists():
            raise SystemExit(f"{needed} is not built; `make measure` builds it")
    machine = Machine()
    for part in o.only or PARTS:
        PARTS[part](o)
    cores = os.cpu_count()
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = model[1] if model else "unknown processor"
    print(f"\n{cores} cores, {model}, Linux {os.uname().release}, rmem_default {Path('/proc/sys/net/core/rmem_default').read_text().strip()}; program {PROGRAM.stat().st_size / 1e6:.1f} MB; machine {machine.busy():.0%} busy over all\n")
    print("| path | measured: median [least–greatest] | aim |\n| --- | --- | --- |")
    for path, figure, aim in ROWS:
        print(f"| {path} | {figure} | {aim} |")


if __name__ == "__main__":
    main()
