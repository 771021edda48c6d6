#!/usr/bin/env python3
"""From a change to Alertmanager's answer: a program that is recorded goes, and the alert of it is accepted.

The time is taken when the connection is closed and when the request with the alert has been answered, in one process, which plays both
ends. Prometheus stands beside it where there is one, with the same rule, looking each second. Only the standard library; a few minutes.
"""
from __future__ import annotations

import argparse
import datetime
import json
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
RULE = {"alert": "LinkLost", "expr": 'neural_source_up{source="eeg"} == 0'}


def greeting() -> bytes:
    body = struct.pack("<Id", 1, 2000.0) + struct.pack("<d", 0.1) + b"Ch1\0"
    return MARK + struct.pack("<II", 24 + len(body), 1) + body


class Program:
    """Greets whoever connects; goes and comes back on the same port."""

    def __init__(self) -> None:
        self.port = free_port()

    def come(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.client, _ = self.listener.accept()
        self.client.sendall(greeting())

    def go(self) -> float:
        self.listener.close()
        now = time.perf_counter()
        self.client.close()
        return now


class Manager:
    """An Alertmanager that takes everything, and knows when it answered what."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.seen: list[tuple[float, bool]] = []
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
            now = time.perf_counter()
            wall = time.time()
            for alert in json.loads(body):
                if alert["labels"]["alertname"] == "LinkLost":
                    self.seen.append((now, parse(alert["endsAt"]) > wall + 1))

    def wait(self, since: float, firing: bool, seconds: float) -> float | None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for at, fires in self.seen:
                if at >= since and fires == firing:
                    return at
            time.sleep(0.0005)
        return None


def parse(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def up(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        text = b""
        while more := client.recv(65536):
            text += more
    return b'neural_source_up{source="eeg"} 1' in text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=str(PROGRAM))
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--series", type=int, default=1000, help="series beside")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="alerts-") as name:
        folder = Path(name)
        program, own, other = Program(), Manager(), Manager()
        port, statsd = free_port(), free_port(socket.SOCK_DGRAM)
        (folder / "rules.yml").write_text(json.dumps({"groups": [{"name": "own", "interval": "30s", "rules": [RULE]}]}))
        (folder / "config.yml").write_text(json.dumps({
            "listen": f"127.0.0.1:{port}", "state_directory": str(folder / "state"),
            "sources": [{"rda": {"name": "eeg", "address": f"127.0.0.1:{program.port}"}}, {"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{statsd}"}}],
            "alerts": {"rule_files": ["rules.yml"]},
            "respond": {"alertmanagers": [{"url": f"http://127.0.0.1:{own.port}"}]},
        }))
        (folder / "state").mkdir()
        agent = subprocess.Popen([args.program, "run", "--config", str(folder / "config.yml")], stderr=subprocess.DEVNULL)
        prometheus = None
        if shutil.which("prometheus"):
            (folder / "prometheus.yml").write_text(json.dumps({
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(folder / "rules1.yml")],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{other.port}"]}]}]},
                "scrape_configs": [{"job_name": "neural", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
            }))
            (folder / "rules1.yml").write_text(json.dumps({"groups": [{"name": "own", "interval": "1s", "rules": [RULE]}]}))
            prometheus = subprocess.Popen(
                ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{free_port()}"],
                stderr=subprocess.DEVNULL)
        try:
            time.sleep(4)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for i in range(args.series):
                    sender.sendto(f"beside_{i % 50}:{i}|g|#i:{i}".encode(), ("127.0.0.1", statsd))
            machine = Machine()
            times, theirs, lost = [], [], 0
            for _ in range(args.rounds):
                program.come()
                while not up(port):
                    time.sleep(0.02)
                # Longer than what two servers that look each second need to see that it is back.
                time.sleep(2.5 if prometheus else 1.0)
                went = program.go()
                at = own.wait(went, True, 10)
                if at is None:
                    lost += 1
                else:
                    times.append((at - went) * 1000)
                if prometheus and (at := other.wait(went, True, 10)):
                    theirs.append((at - went) * 1000)
            for who, of in [("the agent", times), ("Prometheus, each second", theirs)]:
                if of:
                    of.sort()
                    print(f"{who}: {len(of)} alerts, p50 {statistics.median(of):.1f} ms, p99 {of[int(len(of) * 0.99)]:.1f} ms, longest {of[-1]:.1f} ms")
            print(f"not seen within 10 s: {lost}; the machine was busy to {machine.busy() * 100:.0f} %")
        finally:
            agent.terminate()
            agent.wait()
            if prometheus:
                prometheus.terminate()
                prometheus.wait()


if __name__ == "__main__":
    main()
