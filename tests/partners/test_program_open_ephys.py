"""Open Ephys GUI: what its HTTP server answers, and what its ZMQ Interface publishes, is what the agent counts.

Independent: libzmq, as pyzmq brings it, is the publisher. The answers and the messages' contents are those of a simulator
in `programs`, written from the GUI's and the plugin's source by a separate reading: they show agreement with that, not with the GUI.
"""
from __future__ import annotations

import socket
import struct
import threading

import pytest
import zmq

from conftest import Agent, free_port, wait_until
from programs import Gui, Plugin

READ_ONLY = {"/api/status", "/api/recording", "/api/cpu", "/api/latency", "/api/processors"}


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
    assert seen.value("neural_program_expected_state") == 0
    gui.mode = "RECORD"
    seen = agent.until(lambda seen: state(seen) == "recording")
    assert seen.value("neural_program_expected_state") == 1
    assert seen.value("neural_program_cpu_ratio") == 0.25
    assert seen.value("neural_program_latency_seconds", processor="102 Record Node", stream="Rhythm") == 0.0125
    assert seen.value("neural_program_recording_number", node="102") == 5
    assert seen.value("neural_program_experiment_number", node="102") == 2
    assert seen.value("neural_program_synchronized", node="102") == 1
    [stream] = seen.series("neural_stream_nominal_rate_hertz", source="open_ephys")
    assert (stream.labels["stream"], stream.value) == ("Rhythm", 30_000)
    # The chain is asked for seldom, and what it said stays until then.
    asked = len(gui.asked)
    wait_until(lambda: len(gui.asked) > asked + 8)
    assert "/api/processors" not in {path for _, path in gui.asked[asked : asked + 8]}
    assert agent.scrape().series("neural_stream_nominal_rate_hertz", stream="Rhythm")
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
    agent.until(
        lambda seen: seen.value("neural_source_errors_total", source="open_ephys", reason=kind) >= 2
        and seen.value("neural_source_up", source="open_ephys") == 0
    )
    gui.replies = {}
    agent.until(lambda seen: state(seen) == "idle")


def test_a_program_that_ends_and_comes_back(agent: Agent, gui: Gui):
    watch(agent, gui)
    agent.until(lambda seen: state(seen) == "idle")
    gui.close()
    seen = agent.until(lambda seen: seen.value("neural_source_up", source="open_ephys") == 0)
    assert not seen.series("neural_program_state")
    # What the alert of a program that is down hangs on stays.
    assert seen.value("neural_program_state_changes_total", state="idle") == 1


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
    # One block lacks a channel, and is missing as a whole.
    seen = agent.until(lambda seen: seen.value("neural_device_samples_total", device=device) == 49 * 100)
    assert seen.value("neural_device_lost_packets_total", device=device) == 100 + 70
    assert seen.value("neural_device_channels", device=device) == 3
    holds = lambda seen: seen.value("neural_stream_markers_total", stream="Rhythm") == 1
    seen = agent.until(lambda seen: holds(seen) and seen.value("neural_program_output_lost_messages_total") == 1)
    assert seen.value("neural_stream_missing_samples_total", stream="Rhythm") == 170
    assert seen.value("neural_stream_gaps_total", stream="Rhythm") == 2
    assert [s.labels["label"] for s in seen.series("neural_stream_channel_info")] == ["CH1", "CH2", "CH3"]
    # Three messages a block; none is told twice.
    assert 0 < seen.value("neural_stream_sample_age_seconds_count", stream="Rhythm") <= 150
    assert seen.value("neural_source_error_bytes_total", source=device) > 0
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
    for total in (500, 1000):
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
        (b"\x01\x05DATA\0\x01\x50{", "truncated"),
    ],
)
def test_a_peer_that_lies_is_a_fault_and_a_closed_connection(agent: Agent, gui: Gui, after: bytes, kind: str):
    liar = Liar(after)
    watch(agent, gui, zmq={"address": f"127.0.0.1:{liar.port}"})
    agent.until(lambda seen: seen.value("neural_source_errors_total", source="open_ephys:zmq", reason=kind) >= 1, 40)
    wait_until(lambda: liar.ended >= 1)
    agent.until(lambda seen: state(seen) == "idle")
    liar.server.close()
