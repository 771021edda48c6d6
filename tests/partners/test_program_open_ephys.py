"""Open Ephys GUI: what its HTTP server answers, and what its ZMQ Interface publishes, is what the agent counts.

Independent: libzmq, as pyzmq brings it, is the publisher. The answers and the messages' contents are those of a simulator
written here from the GUI's and the plugin's source by a separate reading: they show agreement with that, not with the GUI.
"""
from __future__ import annotations

import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import zmq

from conftest import Agent, free_port, wait_until

READ_ONLY = {"/api/status", "/api/recording", "/api/cpu", "/api/latency", "/api/processors"}


class Gui:
    """The HTTP server."""

    def __init__(self):
        self.mode, self.usage, self.asked = "IDLE", 0.25, []
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
        stream = {"name": "Rhythm", "source_id": 100, "sample_rate": 30000.0, "channel_count": 16, "parameters": []}
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
                    {"id": 102, "name": "Record Node", "streams": [{"name": "Rhythm", "latency": 12.5}]},
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

    def __init__(self, port: int, channels: int = 3, samples: int = 100):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.socket.bind(f"tcp://127.0.0.1:{port}")
        self.channels, self.samples = channels, samples
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
                "num_samples": self.samples, "sample_num": self.sample, "sample_rate": 30000.0,
            }
            payload = struct.pack(f"<{self.samples}f", *([10.0 * channel] * self.samples))
            self.send(b"DATA", {"type": "data", "content": content, "data_size": len(payload)}, payload)
        self.sample += self.samples

    def event(self) -> None:
        content = {"stream": "Rhythm", "source_node": 100, "type": 3, "sample_num": self.sample}
        self.send(b"EVENT", {"type": "event", "content": content, "data_size": 10}, bytes(10))

    def close(self) -> None:
        self.socket.close()
        self.context.term()


@pytest.fixture
def gui():
    program = Gui()
    yield program
    program.close()


def watch(agent: Agent, gui: Gui, **settings) -> None:
    source = {"address": f"127.0.0.1:{gui.port}", "interval": "200ms", "timeout": "2s", **settings}
    agent.configure([{"open_ephys": source}])
    agent.start()


def state(seen) -> str:
    return next((s.labels["state"] for s in seen.series("neural_program_state", source="open_ephys") if s.value == 1), "")


def test_what_it_does_is_told(agent: Agent, gui: Gui):
    watch(agent, gui, expect="recording")
    seen = agent.until(lambda seen: state(seen) == "idle")
    assert not seen.series("neural_program_cpu_ratio") and not seen.series("neural_program_latency_seconds")
    gui.mode = "ACQUIRE"
    seen = agent.until(lambda seen: state(seen) == "acquiring")
    assert seen.value("neural_program_as_expected") == 0
    gui.mode = "RECORD"
    seen = agent.until(lambda seen: state(seen) == "recording")
    assert seen.value("neural_program_as_expected") == 1
    assert seen.value("neural_program_cpu_ratio") == 0.25
    assert seen.value("neural_program_latency_seconds", processor="102 Record Node", stream="Rhythm") == 0.0125
    assert seen.value("neural_program_recording", node="102") == 5
    assert seen.value("neural_program_experiment", node="102") == 2
    assert seen.value("neural_program_synchronized", node="102") == 1
    [stream] = seen.series("neural_stream_nominal_rate_hertz", source="open_ephys")
    assert (stream.labels["stream"], stream.value) == ("Rhythm", 30_000)
    # Nobody's name, and nothing that changes anything.
    assert "somebody" not in seen.text
    assert {verb for verb, _ in gui.asked} == {"GET"} and {path for _, path in gui.asked} == READ_ONLY


def test_an_older_program_tells_less(agent: Agent, gui: Gui):
    gui.replies = {"/api/cpu": None, "/api/latency": None}
    gui.mode = "RECORD"
    watch(agent, gui)
    seen = agent.until(lambda seen: state(seen) == "recording")
    assert not seen.series("neural_program_cpu_ratio")
    assert seen.value("neural_source_up", source="open_ephys") == 1


@pytest.mark.parametrize(
    "body, kind",
    [(b"<html>", "syntax"), (b'{"mode":"NAP"}', "bad_value"), (b"{}", "missing_field"), (b" " * 5_000_000, "too_long")],
)
def test_what_is_no_answer_is_a_fault(agent: Agent, gui: Gui, body: bytes, kind: str):
    gui.replies = {"/api/status": body}
    watch(agent, gui)
    seen = agent.until(lambda seen: seen.value("neural_source_faults_total", source="open_ephys", kind=kind) >= 2)
    assert seen.value("neural_source_up", source="open_ephys") == 0
    gui.replies = {}
    agent.until(lambda seen: state(seen) == "idle")


def test_a_program_that_ends_and_comes_back(agent: Agent, gui: Gui):
    watch(agent, gui)
    agent.until(lambda seen: state(seen) == "idle")
    gui.close()
    seen = agent.until(lambda seen: seen.value("neural_source_up", source="open_ephys") == 0)
    assert not seen.series("neural_program_state")
    # What the alert of a program that is down hangs on stays.
    assert seen.value("neural_program_changes_total", state="idle") == 1


def test_a_published_stream_is_counted_to_the_message(agent: Agent, gui: Gui):
    port = free_port()
    plugin = Plugin(port)
    watch(agent, gui, zmq={"address": f"127.0.0.1:{port}"})
    plugin.wait()
    for number in range(50):
        plugin.block(skip=1 if number == 20 else None)
        if number == 30:
            plugin.event()
        if number == 40:
            plugin.sample += 70
    device = "open_ephys:zmq"
    # The first block may have begun before the connection; one lacks a channel, and is missing as a whole.
    seen = agent.until(lambda seen: seen.value("neural_device_samples_total", device=device) == 48 * 100)
    assert seen.value("neural_device_lost_packets_total", device=device) == 100 + 70
    assert seen.value("neural_device_channels", device=device) == 3
    holds = lambda seen: seen.value("neural_stream_markers_total", stream="Rhythm") == 1
    seen = agent.until(lambda seen: holds(seen) and seen.value("neural_program_output_lost_messages_total") == 1)
    assert seen.value("neural_stream_missing_samples_total", stream="Rhythm") == 170
    assert seen.value("neural_stream_gaps_total", stream="Rhythm") == 2
    assert [s.labels["label"] for s in seen.series("neural_stream_channel_info")] == ["CH1", "CH2", "CH3"]
    assert seen.value("neural_stream_sample_age_seconds_count", stream="Rhythm") > 0
    assert seen.value("neural_source_fault_bytes_total", source=device) > 0
    # Another reader loses nothing by it.
    other = plugin.context.socket(zmq.SUB)
    other.connect(f"tcp://127.0.0.1:{port}")
    other.subscribe(b"")
    plugin.wait()
    plugin.block()
    assert other.poll(10_000) and other.recv_multipart()[0] == b"DATA\0"
    other.close(linger=0)
    plugin.close()


def test_a_program_that_acquires_nothing_is_not_left(agent: Agent, gui: Gui):
    port = free_port()
    plugin = Plugin(port)
    watch(agent, gui, zmq={"address": f"127.0.0.1:{port}"})
    plugin.wait()
    # Longer than a peer may stall within a message.
    assert not plugin.socket.poll(7_000), "the agent subscribed again"
    assert agent.scrape().value("neural_source_up", source="open_ephys:zmq") == 1
    plugin.close()


def test_a_plugin_that_is_started_anew(agent: Agent, gui: Gui):
    port = free_port()
    device = "open_ephys:zmq"
    watch(agent, gui, zmq={"address": f"127.0.0.1:{port}"})
    for total in (400, 800):
        plugin = Plugin(port)
        plugin.wait()
        for _ in range(5):
            plugin.block()
        agent.until(lambda seen: seen.value("neural_device_samples_total", device=device) == total)
        plugin.close()
        agent.until(lambda seen: seen.value("neural_source_up", source=device) == 0)
    seen = agent.scrape()
    assert seen.value("neural_device_lost_packets_total", device=device) == 0
    assert seen.value("neural_program_output_lost_messages_total") == 0


class Liar:
    """Something that speaks ZMTP by hand, once, and remembers how it ended."""

    def __init__(self, after: bytes):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.after, self.ended = after, 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        greeting = (b"\xff" + bytes(8) + b"\x7f\x03\x00NULL").ljust(64, b"\0")
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            with client:
                client.sendall(greeting + b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB" + self.after)
                client.settimeout(30)
                try:
                    while client.recv(1000):
                        pass
                    self.ended += 1
                except OSError:
                    self.ended += 1


@pytest.mark.parametrize(
    "after, kind",
    [
        # A header of 100 MB, a payload that is not what its header says, a stall within a message.
        (b"\x01\x05DATA\0\x03" + struct.pack(">Q", 100_000_000), "too_long"),
        (b"\x01\x05DATA\0\x01\x02{}\x00\x04abcd", "missing_field"),
        (b"\x01\x05DATA\0\x01\x50{", "cut"),
    ],
)
def test_a_peer_that_lies_is_a_fault_and_a_closed_connection(agent: Agent, gui: Gui, after: bytes, kind: str):
    liar = Liar(after)
    watch(agent, gui, zmq={"address": f"127.0.0.1:{liar.port}"})
    agent.until(lambda seen: seen.value("neural_source_faults_total", source="open_ephys:zmq", kind=kind) >= 1, 40)
    wait_until(lambda: liar.ended >= 1)
    agent.until(lambda seen: state(seen) == "idle")
    liar.server.close()
