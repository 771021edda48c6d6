"""Acquisition programs as their clients see them: Intan RHX, and Open Ephys GUI with its ZMQ Interface.

Both were written from the programs' own source by a separate reading: what is shown with them is agreement with that,
and not with the programs. A test of each, and the laboratory of the dashboards, feed the agent from them.
"""
from __future__ import annotations

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zmq

from conftest import free_port

MAGIC = 0x2EF07A08


class OnePort:
    """A port that takes one client and does not listen while it has one, nor after, until it is told to."""

    def __init__(self):
        self.port = free_port()
        self.server: socket.socket | None = None
        self.client: socket.socket | None = None
        self.clients = 0
        self.lock = threading.Lock()

    def listen(self) -> None:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", self.port))
        server.listen(1)
        with self.lock:
            self.server = server
        threading.Thread(target=self.accept, args=(server,), daemon=True).start()

    def accept(self, server: socket.socket) -> None:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with self.lock:
            self.client, self.server = client, None
            self.clients += 1
        server.close()
        self.serve(client)
        with self.lock:
            self.client = None
        client.close()

    def serve(self, client: socket.socket) -> None:
        try:
            while client.recv(4096):
                pass
        except OSError:
            pass

    def status(self) -> str:
        with self.lock:
            return "Connected" if self.client else "Pending" if self.server else "Disconnected"

    def hang_up(self) -> None:
        """As Disconnect in the window does."""
        with self.lock:
            for open_one in (self.client, self.server):
                if open_one:
                    try:
                        open_one.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
                    open_one.close()


class Rhx(OnePort):
    """The command server, and the port of waveforms beside it."""

    def __init__(self, rate: int = 20_000):
        super().__init__()
        self.rate, self.mode, self.began, self.speed = rate, "Stop", 0.0, 1.0
        self.asked: list[str] = []
        self.hangs = threading.Event()
        self.says: bytes | None = None
        self.waveforms = OnePort()
        self.listen()

    def run(self, mode: str) -> None:
        self.mode, self.began = mode, time.monotonic()

    def serve(self, client: socket.socket) -> None:
        try:
            while read := client.recv(4096):
                while self.hangs.is_set():
                    time.sleep(0.01)
                if self.says is not None:
                    client.sendall(self.says)
                    continue
                for command in read.decode().split(";"):
                    if command.strip():
                        # In pieces, as several writes arrive.
                        for piece in self.answer(command.strip()).partition(" "):
                            client.sendall(piece.encode())
        except OSError:
            pass

    def answer(self, command: str) -> str:
        self.asked.append(command)
        verb, _, name = command.partition(" ")
        if verb != "get":
            return "Error - only get is expected here"
        if name == "currenttimestamp":
            since = time.monotonic() - self.began
            return f"Return: {-1 if self.mode == 'Stop' else int(since * self.rate * self.speed) // 128 * 128}"
        known = {
            "version": ("Version", "3.4.0"),
            "sampleratehertz": ("SampleRateHertz", str(self.rate)),
            "runmode": ("RunMode", self.mode),
            "tcpwaveformdataoutputconnectionstatus": ("TCPWaveformDataOutputConnectionStatus", self.waveforms.status()),
        }
        return "Return: {} {}".format(*known[name]) if name in known else "Unrecognized parameter"


def block(first: int, channels: int, counts=lambda channel, sample: 32768 + channel) -> bytes:
    """128 samples of a port of waveforms."""
    samples = (
        struct.pack(f"<I{channels}H", at & 0xFFFFFFFF, *(counts(channel, at) for channel in range(channels)))
        for at in range(first, first + 128)
    )
    return struct.pack("<I", MAGIC) + b"".join(samples)


class Gui:
    """The HTTP server."""

    def __init__(self, rate: float = 30_000.0):
        self.mode, self.usage, self.latency, self.asked = "IDLE", 0.25, 12.5, []
        self.rate = rate
        self.replies: dict[str, bytes] = {}
        gui = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                gui.asked.append((self.command, self.path))
                body = gui.reply(self.path)
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            do_PUT = do_POST = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, path: str) -> bytes | None:
        if path in self.replies:
            return self.replies[path]
        stream = {"name": "Rhythm", "source_id": 100, "sample_rate": self.rate, "channel_count": 16, "parameters": []}
        answers = {
            "/api/status": {"mode": self.mode},
            "/api/recording": {
                "parent_directory": "/home/somebody",
                "record_nodes": [
                    {"node_id": 102, "parent_directory": "/home/somebody", "record_engine": "BINARY",
                     "experiment_number": 2, "recording_number": 5, "is_synchronized": True},
                ],
            },
            "/api/cpu": {"usage": self.usage},
            "/api/latency": {
                "processors": [
                    {"id": 100, "name": "Source", "streams": [{"name": "Rhythm", "latency": 0.5}]},
                    {"id": 102, "name": "Record Node", "streams": [{"name": "Rhythm", "latency": self.latency}]},
                ]
            },
            "/api/processors": {
                "processors": [
                    {"id": 100, "name": "Source", "parameters": [], "predecessor": None, "streams": [stream]},
                    {"id": 102, "name": "Record Node", "parameters": [], "predecessor": 100, "streams": [stream]},
                ]
            },
        }
        return json.dumps(answers[path]).encode() if path in answers else None

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Plugin:
    """The publisher of the ZMQ Interface: channel after channel, each message with its number."""

    def __init__(self, port: int, channels: int = 3, samples: int = 100, rate: float = 30_000.0):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.channels, self.samples, self.rate = channels, samples, rate
        self.value = lambda channel, sample: 10.0 * channel
        self.message = self.sample = 0

    def wait(self) -> None:
        """Until somebody subscribes."""
        assert self.socket.poll(30_000), "nobody subscribed"
        assert self.socket.recv() == b"\x01"

    def send(self, kind: bytes, header: dict, payload: bytes) -> None:
        self.message += 1
        told = {"message_num": self.message, **header, "timestamp": int(time.time() * 1000)}
        # JUCE writes its JSON over several lines.
        self.socket.send_multipart([kind + b"\0", json.dumps(told, indent=2).encode(), payload])

    def block(self, skip: int | None = None) -> None:
        for channel in range(self.channels):
            if channel == skip:
                self.message += 1
                continue
            content = {
                "stream": "Rhythm", "channel_num": channel, "channel_name": f"CH{channel + 1}",
                "num_samples": self.samples, "sample_num": self.sample, "sample_rate": self.rate,
            }
            values = (self.value(channel, self.sample + at) for at in range(self.samples))
            payload = struct.pack(f"<{self.samples}f", *values)
            self.send(b"DATA", {"type": "data", "content": content, "data_size": len(payload)}, payload)
        self.sample += self.samples

    def event(self) -> None:
        content = {"stream": "Rhythm", "source_node": 100, "type": 3, "sample_num": self.sample}
        self.send(b"EVENT", {"type": "event", "content": content, "data_size": 10}, bytes(10))

    def close(self) -> None:
        self.socket.close()
        self.context.term()
