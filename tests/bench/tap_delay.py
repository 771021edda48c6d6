#!/usr/bin/env python3
"""Measures what a tap adds to the way of a byte, and prints it as a table.

Side by side in one run: each piece is written to a pseudo-terminal and read from its other side, once directly
and once through the agent, at the load of a Cyton behind an FTDI chip and of a line at 921600 bits a second, with
an idle agent and with one that is flooded with StatsD. Only the standard library; only this machine. What is added
is the difference; scheduling is in both, and on a busy machine it is most of it.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
import tty
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Bytes of one piece, and seconds from one to the next.
LOADS = {"Cyton, 4 frames every 16 ms": (132, 0.016), "921600 bits/s, 92 bytes every 1 ms": (92, 0.001)}


class Line:
    """A device's end of a line, and the name of the other."""

    def __init__(self) -> None:
        self.device, self.other = os.openpty()
        tty.setraw(self.other)
        self.name = os.ttyname(self.other)


def passes(device: int, program: int, piece: bytes) -> int:
    """Nanoseconds that a piece takes from the device to the program."""
    began = time.perf_counter_ns()
    os.write(device, piece)
    came = b""
    while len(came) < len(piece):
        if not select.select([program], [], [], 10)[0]:
            raise SystemExit("a byte did not come within 10 s")
        came += os.read(program, 65536)
    took = time.perf_counter_ns() - began
    if came != piece:
        raise SystemExit("what came is not what was sent")
    return took


def measure(direct: Line, tapped: Line, program: int, size: int, pause: float, seconds: float):
    times: tuple[list[int], list[int]] = ([], [])
    pieces = [os.urandom(size) for _ in range(256)]
    due = time.monotonic()
    end = due + seconds
    while due < end:
        piece = pieces[len(times[0]) % 256]
        # Each goes first in every second round.
        both = [(0, direct.device, direct.other), (1, tapped.device, program)]
        for at, device, reader in both if len(times[0]) % 2 else reversed(both):
            times[at].append(passes(device, reader, piece))
        due = max(due + pause, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
    return [sorted(of) for of in times]


def quantile(of: list[int], q: float) -> float:
    """Microseconds."""
    return of[min(len(of) - 1, int(len(of) * q))] / 1e3


def own_account(port: int) -> str:
    """The agent's own histogram: the bucket that holds the 99th percentile."""
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    buckets = re.findall(r'neural_tap_delay_seconds_bucket\{le="([^"]+)".*\} ([0-9.e+]+)', text)
    total = float(buckets[-1][1])
    bound = next(le for le, count in buckets if float(count) >= 0.99 * total)
    lost = sum(float(n) for n in re.findall(r"^neural_tap_(?:dropped|unseen)_bytes_total\{.*\} ([0-9.e+]+)", text, re.M))
    return f"the agent's own p99 at most {bound} s of {total:.0f}, {lost:.0f} bytes dropped or unseen"


def flood(port: int) -> None:
    """Sends until it is killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as to:
        pack = b"\n".join(b"flood_c_%04d:1|c" % n for n in range(60))
        while True:
            try:
                to.sendto(pack, ("127.0.0.1", port))
            except OSError:
                time.sleep(0.001)


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=ROOT / "target/dist/neural-exporter")
    parser.add_argument("--seconds", type=float, default=20, help="length of each measurement")
    parser.add_argument("--flood", type=int, help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.flood:
        flood(o.flood)
    direct, tapped = Line(), Line()
    with tempfile.TemporaryDirectory(prefix="tap-") as folder:
        port, statsd = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
        link, config = Path(folder, "tap"), Path(folder, "config.yml")
        config.write_text(json.dumps({
            "listen": f"127.0.0.1:{port}",
            "state_directory": folder,
            "log": {"level": "error"},
            "sources": [
                {"statsd": {"listen": f"udp://127.0.0.1:{statsd}"}},
                {"serial": {"name": "board", "port": tapped.name, "baud": 921600, "protocol": "cyton", "tap": str(link)}},
            ],
        }))
        agent = subprocess.Popen([o.program, "run", "--config", config])
        try:
            while not link.exists():
                if agent.poll() is not None:
                    raise SystemExit("the agent does not start")
                time.sleep(0.05)
            program = os.open(link, os.O_RDWR | os.O_NOCTTY)
            time.sleep(0.5)
            print("| load | direct p50, p99, max | tapped p50, p99, max | added p50, p99 |\n| --- | --- | --- | --- |")
            for busy in (False, True):
                sender = subprocess.Popen([sys.executable, __file__, "--flood", str(statsd)]) if busy else None
                for name, (size, pause) in LOADS.items():
                    plain, through = measure(direct, tapped, program, size, pause, o.seconds)
                    show = lambda of: ", ".join(f"{quantile(of, q):.0f}" for q in (0.5, 0.99, 1))
                    added = ", ".join(f"**{quantile(through, q) - quantile(plain, q):.0f}**" for q in (0.5, 0.99))
                    print(f"| {name}{', StatsD flood' if busy else ''} | {show(plain)} µs | {show(through)} µs | {added} µs |", flush=True)
                if sender:
                    sender.kill()
                    sender.wait()
            print(f"\n{own_account(port)}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        finally:
            agent.terminate()
            agent.wait(20)


if __name__ == "__main__":
    main()
