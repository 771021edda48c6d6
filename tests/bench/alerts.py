#!/usr/bin/env python3
"""From a change to Alertmanager's answer, and what the evaluation of all rules costs on average.

Programs that are recorded go, and the alert of each is accepted: the time is taken when the connection is closed and when the request with
the alert has been answered, in one process, which plays both ends. Several programs take turns, because the agent waits ever longer
before it connects again; no two go within a quarter of a second. Prometheus stands beside where there is one, with the same rule,
looking each second. 100 rounds take three minutes.

`--share SECONDS` measures the other thing: two agents with the same series for so long, one of which evaluates the rules that ship.
Only the standard library.
"""
from __future__ import annotations

import argparse
import datetime
import json
import re
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from measure import Machine, free_port

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "target/dist/neural-exporter"
MARK = bytes.fromhex("8E45584396C9864CAF4A98BBF6C91450")
RULE = {"alert": "LinkLost", "expr": 'neural_source_up{source=~"eeg.+"} == 0'}
# With more of them more changes would come than the agent looks at at once: twenty in a row, then two a second.
PROGRAMS = 8
APART = 0.25
PATIENCE = 30.0


def greeting() -> bytes:
    body = struct.pack("<Id", 1, 2000.0) + struct.pack("<d", 0.1) + b"Ch1\0"
    return MARK + struct.pack("<II", 24 + len(body), 1) + body


class Manager:
    """An Alertmanager that takes everything, and knows when it answered what."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        # By source: when, and whether it fires.
        self.seen: dict[str, list[tuple[float, bool]]] = {}
        self.news = threading.Condition()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _ = self.listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        rest = b""
        while True:
            while b"\r\n\r\n" not in rest:
                more = client.recv(65536)
                if not more:
                    return
                rest += more
            head, rest = rest.split(b"\r\n\r\n", 1)
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            while len(rest) < length:
                rest += client.recv(65536)
            body, rest = rest[:length], rest[length:]
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            now, wall = time.perf_counter(), time.time()
            with self.news:
                for alert in json.loads(body):
                    if alert["labels"]["alertname"] == "LinkLost":
                        self.seen.setdefault(alert["labels"]["source"], []).append((now, parse(alert["endsAt"]) > wall + 1))
                self.news.notify_all()

    def wait(self, source: str, since: float, firing: bool, seconds: float) -> float | None:
        """When it was first told of a source that it fires, or not any more."""
        end = time.perf_counter() + seconds

        def told() -> float | None:
            return next((at for at, fires in self.seen.get(source, []) if at >= since and fires == firing), None)

        with self.news:
            self.news.wait_for(lambda: told() is not None, max(0.0, end - time.perf_counter()))
            return told()


def parse(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Run:
    """What the programs that go and come back have in common."""

    def __init__(self, rounds: int, own: Manager, other: Manager | None) -> None:
        self.left, self.own, self.other = rounds, own, other
        self.lock, self.turn = threading.Lock(), threading.Lock()
        self.times: list[float] = []
        self.theirs: list[float] = []
        self.lost = 0

    def next(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0


class Program(threading.Thread):
    """Greets whoever connects, goes, and comes back on the same port."""

    def __init__(self, name: str, run: Run) -> None:
        super().__init__(daemon=True)
        self.source, self.run_of, self.port = name, run, free_port()

    def come(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.client, _ = self.listener.accept()
        self.client.sendall(greeting())

    def run(self) -> None:
        run, gone = self.run_of, None
        while run.next():
            self.come()
            # It is back when both say so; the first time there was no alert.
            for manager in [run.own, run.other]:
                if manager and gone is not None:
                    manager.wait(self.source, gone, False, PATIENCE)
            time.sleep(2.5 if gone is None else 1.0)
            with run.turn:
                self.listener.close()
                gone = time.perf_counter()
                self.client.close()
                time.sleep(APART)
            at = run.own.wait(self.source, gone, True, PATIENCE)
            with run.lock:
                if at is None:
                    run.lost += 1
                else:
                    run.times.append((at - gone) * 1000)
            if run.other and (at := run.other.wait(self.source, gone, True, PATIENCE)):
                with run.lock:
                    run.theirs.append((at - gone) * 1000)


def send_series(port: int, count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for i in range(count):
            sender.sendto(f"beside_{i % 50}:{i}|g|#i:{i}".encode(), ("127.0.0.1", port))


def prometheus_beside(folder: Path, port: int, other: Manager) -> subprocess.Popen:
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules1.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{other.port}"]}]}]},
        "scrape_configs": [{"job_name": "neural", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }))
    (folder / "rules1.yml").write_text(json.dumps({"groups": [{"name": "own", "interval": "1s", "rules": [RULE]}]}))
    return subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{free_port()}"],
        stderr=subprocess.DEVNULL)


def latency(program: str, rounds: int, series: int, folder: Path) -> None:
    own, other = Manager(), Manager() if shutil.which("prometheus") else None
    run = Run(rounds, own, other)
    programs = [Program(f"eeg{i}", run) for i in range(PROGRAMS)]
    port, statsd = free_port(), free_port(socket.SOCK_DGRAM)
    (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "own", "interval": "30s", "rules": [RULE]}]}))
    (folder / "config.yml").write_text(json.dumps({
        "listen": f"127.0.0.1:{port}", "state_directory": str(folder / "state"),
        "sources": [{"rda": {"name": one.source, "address": f"127.0.0.1:{one.port}"}} for one in programs]
        + [{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{statsd}"}}],
        "alerts": {"rule_files": ["rules.yml"]},
        "respond": {"alertmanagers": [{"url": f"http://127.0.0.1:{own.port}"}]},
    }))
    (folder / "state").mkdir()
    agent = subprocess.Popen([program, "run", "--config", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
    prometheus = prometheus_beside(folder, port, other) if other else None
    try:
        time.sleep(4)
        send_series(statsd, series)
        machine = Machine()
        for one in programs:
            one.start()
            time.sleep(0.7)
        for one in programs:
            one.join()
        for who, of in [("the agent", run.times), ("Prometheus, each second", run.theirs)]:
            if of:
                of.sort()
                print(f"{who}: {len(of)} alerts, p50 {statistics.median(of):.1f} ms, p99 {of[-(-len(of) * 99 // 100) - 1]:.1f} ms, longest {of[-1]:.1f} ms")
        print(f"not seen within {PATIENCE:.0f} s: {run.lost}; the machine was busy to {machine.busy() * 100:.0f} %")
    finally:
        agent.terminate()
        agent.wait()
        if prometheus:
            prometheus.terminate()
            prometheus.wait()


def cpu(process: subprocess.Popen) -> float:
    """Seconds of CPU to the nanosecond: what runs for less than a tick of the kernel is in it, and threads that ended."""
    # The clock of a process by its number, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime(~process.pid << 3 | 2)


def scrape(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        text = b""
        while more := client.recv(65536):
            text += more
    return text.decode()


def value(port: int, name: str) -> float:
    return sum(float(found) for found in re.findall(rf"^{name}(?:{{.*}})? (\S+)", scrape(port), re.M))


def pipelines(places: list[str], stages: int, ended: threading.Event) -> None:
    """Sends what rules look at: stages, queues, caches and calls of models, each second, the same to all."""
    lines = [{"type": "stage", "pipeline": f"p{i % 4}", "stage": f"s{i}", "seconds": 0.01} for i in range(stages)]
    lines += [{"type": "queue", "pipeline": f"p{i}", "queue": "q", "depth": 1, "limit": 32} for i in range(4)]
    lines += [{"type": "cache", "pipeline": f"p{i}", "cache": "c", "hits": 3, "misses": 1} for i in range(4)]
    lines += [{"type": "call", "model": f"m{i}", "prompt_tokens": 90, "completion_tokens": 10, "seconds": 1} for i in range(4)]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    clients = []
    for place in places:
        clients.append(socket.socket(socket.AF_UNIX))
        clients[-1].connect(place)
    while not ended.wait(1):
        for client in clients:
            client.sendall(body)


def share(program: str, seconds: float, series: int, folder: Path) -> None:
    """Two agents side by side, so that what else the machine does concerns both."""
    agents, ended = {}, threading.Event()
    for evaluates in (True, False):
        own = folder / str(evaluates)
        (own / "state").mkdir(parents=True)
        port, place = free_port(), str(own / "in.sock")
        (own / "config.yml").write_text(json.dumps({
            "listen": f"127.0.0.1:{port}", "state_directory": str(own / "state"), "alerts": {"evaluate": evaluates},
            "sources": [{"jsonl": {"name": "in", "listen": f"unix:{place}"}}, {"host": {}}],
        }))
        process = subprocess.Popen([program, "run", "--config", str(own / "config.yml")], stderr=subprocess.DEVNULL)
        agents[evaluates] = process, port, place
    try:
        time.sleep(5)
        # A stage is some twenty series.
        threading.Thread(target=pipelines, args=([place for _, _, place in agents.values()], series // 20, ended), daemon=True).start()
        # The first evaluation looks at everything anew.
        time.sleep(15)
        rules, spent = "neural_agent_rule_evaluations_total", "neural_agent_rule_evaluation_seconds_total"
        machine, began = Machine(), time.monotonic()
        before = {on: cpu(process) for on, (process, _, _) in agents.items()}
        counts = [value(agents[True][1], name) for name in (rules, spent)]
        time.sleep(seconds)
        went = time.monotonic() - began
        used = {on: (cpu(process) - before[on]) / went * 100 for on, (process, _, _) in agents.items()}
        evaluated, took = [value(agents[True][1], name) - at for name, at in zip((rules, spent), counts)]
        held = sum(not line.startswith("#") for line in scrape(agents[True][1]).splitlines())
        print(f"{went:.0f} s, a scrape of {held} series: {used[True]:.2f} % of a core with the rules, {used[False]:.2f} % without: {used[True] - used[False]:.2f} %")
        print(f"{evaluated:.0f} evaluations of rules took {took * 1000:.0f} ms, {took / went * 100:.2f} % of a core; the machine was busy to {machine.busy() * 100:.0f} %")
    finally:
        ended.set()
        for process, _, _ in agents.values():
            process.terminate()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=str(PROGRAM))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--series", type=int, default=1000, help="series beside")
    parser.add_argument("--share", type=float, metavar="SECONDS", help="measure what the rules that ship cost, in place of times")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="alerts-") as name:
        if args.share:
            share(args.program, args.share, args.series, Path(name))
        else:
            latency(args.program, args.rounds, args.series, Path(name))


if __name__ == "__main__":
    main()
