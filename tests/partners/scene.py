"""A laboratory in small: the demo, and an agent that has every kind of source, fed for as long as it is open.

A simulated board has bad channels and loses a frame now and then, another one is recorded through a tap, a program
records and another one is stopped now and then, a pipeline fails now and then, two cards of NVIDIA are played, and an
alert fires, so that a panel without data is the panel's fault.
"""
from __future__ import annotations

import json
import math
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import tty
import uuid

from cards import Cards
from conftest import PROGRAM, Agent, free_port, udp, unix, wait_until
from programs import Gui, Plugin, Rhx, block

RULES = """
groups:
  - name: scene
    interval: 1s
    rules:
      - {alert: NeuralWatchdog, expr: vector(1), labels: {severity: info, priority: P3, component: agent}}
      - {alert: SceneFires, expr: 'max by (job, instance, device) (neural_device_streaming) >= 0', labels: {severity: high, priority: P1, component: device}}
      - {alert: SceneWaits, expr: 'max by (job, instance, device) (neural_device_streaming) >= 0', for: 1h, labels: {severity: low, priority: P3, component: device}}
"""


# What goes wrong with the board: each kind of badness, one after the other, and now and then a lost frame.
FAULTS = [
    "lose=0.3%", "die=1s@12s", "rail=3@6s", "unplug-channel=5@4s", "flat=7@20s..40s", "hum=50:400uV@45s..60s",
    *(f"garbage=3@{second}s" for second in range(2, 300, 2)),
    *(f"duplicate@{second}s" for second in range(3, 300, 10)),
]

# Streams of liblsl: one of samples that loses some and has a NaN now and then, one that goes back in time, and markers.
STREAMS = r"""
import math, time
import pylsl
info = pylsl.StreamInfo("scene", "EEG", 4, 200, "float32", "scene-eeg")
channels = info.desc().append_child("channels")
for label in ("Fz", "Cz", "Pz", "Oz"):
    channel = channels.append_child("channel")
    channel.append_child_value("label", label).append_child_value("unit", "microvolts").append_child_value("type", "EEG")
eeg = pylsl.StreamOutlet(info)
markers = pylsl.StreamOutlet(pylsl.StreamInfo("marks", "Markers", 1, 0, "string", "scene-marks"))
stamp, n = pylsl.local_clock(), 0
while True:
    n += 1
    stamp += 1 / 200
    if n % 2000 == 0:
        stamp += 0.2
        time.sleep(0.2)
    values = [40 * math.sin(n * k / 31) for k in range(1, 5)]
    if n % 500 == 0:
        values[3] = math.nan
    eeg.push_sample(values, stamp - (0.5 if n % 1000 == 7 else 0))
    if n % 100 == 0:
        markers.push_sample(["m%d" % n])
    time.sleep(max(0.0, stamp - pylsl.local_clock()))
"""

# A board that nobody knows: two bytes, a counter, four channels, a charge and a temperature in tenths, the sum of all.
OWN = {
    "sync": [0xA5, 0x5A], "length": 15, "counter": {"offset": 2}, "rate": 250, "unit": "volts", "scale": 1e-6,
    "channels": {"offset": 3, "count": 4, "format": "int16"}, "battery": {"offset": 11, "format": "uint8", "scale": 0.01},
    "temperature": {"offset": 12, "format": "int16", "scale": 0.1}, "checksum": {"kind": "sum8"},
}

# Samples a second of the programs: few, so that it is cheap to be one.
RATE = 2000
# What Intan RHX does, and for how many seconds, again and again.
SHIFTS = [("Record", 24), ("Run", 12), ("Trigger", 6), ("Stop", 6)]


def wave(channel: int, sample: int) -> float:
    """Microvolts of an electrode; a fourth one is near a wall socket."""
    hum = 300 * math.sin(math.tau * 50 * sample / RATE) if channel == 3 else 0
    return 30 * math.sin(math.tau * (7 + channel) * sample / RATE) + random.gauss(0, 4) + hum


class Scene:
    """Starts everything; `close` ends it."""

    def __init__(self, folder):
        self.ended = threading.Event()
        self.folder = folder
        self.agent = Agent(self.make("agent"))
        self.demo = Agent(self.make("demo"))
        self.boards = [self.simulate("cyton", FAULTS), self.simulate("daisy", []), self.simulate("thinkgear", ["battery=34%"])]
        self.own, self.line = os.openpty()
        tty.setraw(self.line)
        self.session = "scene-" + uuid.uuid4().hex[:12]
        self.boards.append(self.stream())
        self.statsd = free_port(socket.SOCK_DGRAM)
        self.zmq = free_port()
        self.rhx, self.gui, self.plugin = Rhx(RATE), Gui(RATE), Plugin(self.zmq, samples=40, rate=RATE)
        vllm = os.path.join(os.path.dirname(__file__), "../fixtures/engines/vllm.in")
        (self.make("prom") / "electrodes.prom").write_text("electrode_changes 3\n")
        self.agent.configure(
            [
                {"jsonl": {"name": "pipelines", "listen": f"unix:{folder}/events.sock"}},
                {"statsd": {"name": "services", "listen": f"udp://127.0.0.1:{self.statsd}"}},
                {"host": {"interval": "1s"}},
                {"textfile": {"name": "files", "directory": str(folder / "prom"), "interval": "1s"}},
                {"process": {"interval": "1s", "scan": "1s", "groups": [{"name": "tests", "command": "pytest"}]}},
                {"serial": {"name": "cyton", "port": f"{folder}/cyton", "protocol": "cyton"}},
                {"serial": {"name": "daisy", "port": f"{folder}/daisy", "protocol": "daisy", "tap": f"{folder}/tap"}},
                {"serial": {"name": "headset", "port": f"{folder}/thinkgear", "protocol": "thinkgear"}},
                {"serial": {"name": "own", "port": os.ttyname(self.line), "protocol": "generic", "frame": OWN}},
                {"lsl": {"name": "lsl", "session": self.session, "expect": ["scene", "absent"]}},
                {"intan": {"address": f"127.0.0.1:{self.rhx.port}", "interval": "1s", "retry": "1s", "expect": "recording",
                           "waveforms": {"address": f"127.0.0.1:{self.rhx.waveforms.port}"}}},
                {"open_ephys": {"address": f"127.0.0.1:{self.gui.port}", "interval": "1s", "expect": "recording",
                                "zmq": {"address": f"127.0.0.1:{self.zmq}", "microvolts": False}}},
                {"gpu": {"interval": "1s", "pcie": True}},
                {"probe": {"name": "name", "check": {"dns": "localhost"}, "interval": "1s", "timeout": "1s"}},
                {"exec": {"name": "nothing", "command": ["/bin/false"], "interval": "1s"}},
                {"scrape": {"name": "vllm", "url": f"http://127.0.0.1:{self.serve(vllm)}/metrics", "profile": "vllm", "interval": "1s"}},
            ],
            llm={"currency": "EUR", "budget": {"tokens_per_day": 1_000_000, "cost_per_day": 5}},
            # Alerts wait for it: it is not there.
            respond={"alertmanagers": [{"url": f"http://127.0.0.1:{free_port()}"}],
                     "tasks": [{"name": "own", "every": "2s", "do": {"exec": {"command": ["true"]}}}]},
            # Neither are those that would be sent something.
            remote_write=[{"url": f"http://127.0.0.1:{free_port()}/api/v1/write", "name": "far"}],
            trace={"targets": [{"url": f"http://127.0.0.1:{free_port()}"}]},
            push=[{"url": f"http://127.0.0.1:{free_port()}", "interval": "1s"}],
        )
        self.rhx.waveforms.serve = self.acquire
        self.rhx.waveforms.listen()
        self.agent.start(Cards(self.make("cards")).library)
        runtime = folder / "run"
        runtime.mkdir()
        environment = {"RUNTIME_DIRECTORY": str(runtime), "STATE_DIRECTORY": str(folder / "state")}
        self.demo.start(environment, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{self.demo.port}"])
        self.players = [threading.Thread(target=of, daemon=True) for of in (self.record, self.work, self.publish, self.stream_own)]
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

    def simulate(self, device: str, faults: list[str]) -> subprocess.Popen:
        """A board on a terminal of its own, under its name."""
        link = self.folder / device
        wrong = [word for fault in faults for word in ("--fault", fault)]
        board = subprocess.Popen([str(PROGRAM), "simulate", device, "--pty", str(link), *wrong], stdout=subprocess.DEVNULL)
        wait_until(lambda: os.path.islink(link), 30, f"the terminal of {device}")
        return board

    def stream(self) -> subprocess.Popen:
        """Outlets of liblsl, in a session of their own."""
        file = self.folder / "lsl.cfg"
        file.write_text(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {self.session}\n[log]\nlevel = -1\n")
        return subprocess.Popen([sys.executable, "-c", STREAMS], env={**os.environ, "LSLAPICFG": str(file)})

    def stream_own(self) -> None:
        """The board that nobody knows."""
        os.set_blocking(self.own, False)
        began, number = time.monotonic(), 0
        while not self.ended.wait(0.02):
            while number < (time.monotonic() - began) * OWN["rate"]:
                number += 1
                charge, warmth = max(5, 90 - number // 1500), 310 + int(40 * (1 - math.exp(-number / 20000)))
                values = [int(wave(channel, number * RATE // OWN["rate"])) for channel in range(4)]
                body = struct.pack(">BBB4hBh", 0xA5, 0x5A, number % 256, *values, charge, warmth)
                try:
                    os.write(self.own, body + bytes([sum(body) % 256]))
                except BlockingIOError:
                    pass

    def record(self) -> None:
        """A program that records the board behind the tap."""
        tap = str(self.folder / "tap")
        wait_until(lambda: os.path.exists(tap), 30, "the tap")
        line = os.open(tap, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        os.write(line, b"b")
        while not self.ended.is_set():
            if select.select([line], [], [], 0.2)[0]:
                os.read(line, 65536)
        os.close(line)

    def acquire(self, client: socket.socket) -> None:
        """Intan RHX hands its waveforms on while it runs, and is stopped and started."""
        while not self.ended.is_set():
            for mode, seconds in SHIFTS:
                self.rhx.run(mode)
                first, end = 0, time.monotonic() + seconds
                while time.monotonic() < end and not self.ended.wait(64 / RATE):
                    now = (time.monotonic() - self.rhx.began) * RATE
                    while mode != "Stop" and first + 128 <= now:
                        try:
                            client.sendall(block(first, 4, lambda channel, at: 32768 + int(wave(channel, at) / 0.195)))
                        except OSError:
                            return
                        first += 128

    def publish(self) -> None:
        """Open Ephys records, and its plugin publishes: a message is lost now and then, and events come."""
        self.gui.mode = "RECORD"
        self.plugin.value = wave
        began, turn = time.monotonic(), 0
        while not self.ended.wait(0.01):
            while turn * self.plugin.samples < (time.monotonic() - began) * RATE:
                turn += 1
                self.plugin.block(skip=1 if turn % 400 == 0 else None)
                if turn % 50 == 0:
                    self.plugin.event()
                    self.gui.usage = 0.3 + 0.2 * math.sin(turn / 500)
                    self.gui.latency = 12 + 4 * random.random()

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
        for board in self.boards:
            board.terminate()
            board.wait(20)
        self.agent.stop()
        self.demo.stop()
        os.close(self.own)
        os.close(self.line)
        for port in (self.rhx, self.rhx.waveforms):
            port.hang_up()
        self.gui.close()
        self.plugin.close()
