"""A laboratory in small: the demo, and an agent that has every kind of source, fed for as long as it is open.

A board on a pseudo-terminal loses a frame now and then, a pipeline fails now and then, and an alert fires, so
that a panel without data is the panel's fault.
"""
from __future__ import annotations

import json
import os
import pty
import random
import socket
import threading
import time
import tty

from conftest import PROGRAM, Agent, free_port, udp, unix

RULES = """
groups:
  - name: scene
    interval: 1s
    rules:
      - {alert: SceneFires, expr: 'max by (job, instance, device) (neural_device_streaming) >= 0', labels: {severity: high, priority: P1, component: device}}
      - {alert: SceneWaits, expr: 'max by (job, instance, device) (neural_device_streaming) >= 0', for: 1h, labels: {severity: low, priority: P3, component: device}}
"""


def cyton(number: int, level: float) -> bytes:
    """One frame of an OpenBCI Cyton (Cyton Data Format)."""
    counts = [int(random.gauss(0, 2000) + level * channel) & 0xFFFFFF for channel in range(8)]
    body = b"".join(count.to_bytes(3, "big") for count in counts)
    return bytes([0xA0, number % 256]) + body + bytes(6) + b"\xc0"


class Scene:
    """Starts everything; `close` ends it."""

    def __init__(self, folder):
        self.ended = threading.Event()
        self.folder = folder
        self.agent = Agent(self.make("agent"))
        self.demo = Agent(self.make("demo"))
        self.board, board = pty.openpty()
        tty.setraw(self.board)
        tty.setraw(board)
        self.statsd = free_port(socket.SOCK_DGRAM)
        vllm = os.path.join(os.path.dirname(__file__), "../fixtures/engines/vllm.in")
        self.agent.configure(
            [
                {"jsonl": {"name": "pipelines", "listen": f"unix:{folder}/events.sock"}},
                {"statsd": {"name": "services", "listen": f"udp://127.0.0.1:{self.statsd}"}},
                {"host": {"interval": "1s"}},
                {"process": {"interval": "1s", "scan": "1s", "groups": [{"name": "tests", "command": "pytest"}]}},
                {"serial": {"name": "cyton", "port": os.ttyname(board), "baud": 115200, "protocol": "cyton"}},
                {"exec": {"name": "nothing", "command": ["/bin/false"], "interval": "1s"}},
                {"scrape": {"name": "vllm", "url": f"http://127.0.0.1:{self.serve(vllm)}/metrics", "profile": "vllm", "interval": "1s"}},
            ],
            llm={"currency": "EUR", "budget": {"tokens_per_day": 1_000_000, "cost_per_day": 5}},
        )
        self.agent.start()
        runtime = folder / "run"
        runtime.mkdir()
        environment = {"RUNTIME_DIRECTORY": str(runtime), "STATE_DIRECTORY": str(folder / "state")}
        self.demo.start(environment, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{self.demo.port}"])
        self.players = [threading.Thread(target=of, daemon=True) for of in (self.stream, self.work)]
        for player in self.players:
            player.start()

    def make(self, name: str):
        folder = self.folder / name
        folder.mkdir()
        return folder

    def serve(self, file: str) -> int:
        """An engine: a file over HTTP."""
        text = open(file, "rb").read()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.2)

        def answer():
            while not self.ended.is_set():
                try:
                    client, _ = listener.accept()
                except TimeoutError:
                    continue
                with client:
                    client.settimeout(2)
                    try:
                        client.recv(65536)
                        head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n"
                        client.sendall(f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
                    except OSError:
                        pass
            listener.close()

        threading.Thread(target=answer, daemon=True).start()
        return listener.getsockname()[1]

    def stream(self) -> None:
        """The board: 250 frames a second in groups of ten, of which one of three hundred is lost."""
        os.set_blocking(self.board, False)
        number, due = 0, time.monotonic()
        while not self.ended.is_set():
            frames = []
            for _ in range(10):
                number += 1
                if number % 300:
                    frames.append(cyton(number, 1000 * random.random()))
            if number % 500 == 0:
                frames.append(b"\x01\x02\x03")
            try:
                os.write(self.board, b"".join(frames))
            except BlockingIOError:
                pass
            due += 0.04
            time.sleep(max(0.0, due - time.monotonic()))

    def work(self) -> None:
        """Pipelines and services."""
        events = unix(str(self.folder / "events.sock"))
        checks = udp(self.statsd)
        dice = random.Random(7)
        turn = 0
        while not self.ended.is_set():
            turn += 1
            fails = turn % 40 == 0
            outcome = {"outcome": "error", "error": "timeout"} if fails else {"outcome": "ok"}
            lines = [
                {"type": "stage", "pipeline": "p300", "stage": stage, "seconds": usual * dice.uniform(0.5, 2),
                 "items": 8, "end": time.time(), "trace": f"{turn + 1:032x}", **outcome}
                for stage, usual in (("filter", 0.004), ("features", 0.02), ("classify", 0.04))
            ]
            lines += [
                {"type": "queue", "pipeline": "p300", "queue": "epochs", "depth": turn % 9, "limit": 32},
                {"type": "cache", "pipeline": "p300", "cache": "filters", "hits": 3, "misses": 1},
                {"type": "call", "model": "writer", "prompt_tokens": 200, "completion_tokens": 60, "cost": 0.001,
                 "seconds": dice.uniform(0.4, 2), "first_token_seconds": dice.uniform(0.1, 0.3),
                 "cache_hit": turn % 4 == 0, **outcome},
                {"type": "quality", "pipeline": "p300", "ratio": 0.93},
                {"type": "accuracy", "pipeline": "p300", "model": "lda", "ratio": 0.82},
                {"type": "request", "service": "api", "method": "GET", "route": "/trials/{id}",
                 "status": 500 if fails else 404 if turn % 13 == 0 else 200, "seconds": dice.uniform(0.01, 0.3)},
                {"type": "query", "database": "trials", "operation": "select", "seconds": dice.uniform(0.001, 0.1), **outcome},
                {"type": "session", "pipeline": "p300", "step": "started"},
                {"type": "session", "pipeline": "p300", "step": "failed" if turn % 7 == 0 else "ended", "seconds": 60 * dice.random() + 1},
            ]
            if fails:
                lines.append({"type": "error", "pipeline": "p300", "error": "config"})
            # One of sixty lines is no JSON.
            text = "\n".join(json.dumps(line) for line in lines) + ("\n{\n" if turn % 5 == 0 else "\n")
            try:
                events.sendall(text.encode())
                checks.send(b"_sc|storage|0\n_sc|license|1\n_sc|network|0")
            except OSError:
                return
            time.sleep(0.05)

    def close(self) -> None:
        self.ended.set()
        for player in self.players:
            player.join()
        self.agent.stop()
        self.demo.stop()
