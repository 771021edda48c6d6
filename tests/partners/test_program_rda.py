"""BrainVision Recorder's Remote Data Access, from the socket to the scrape.

The Recorder is played here, as `RDA.h` describes its messages; the bytes in tests/fixtures/rda, against which the decoder
is tested, were sent by the RDA server of FieldTrip's buffer, which other people wrote. A real Recorder was never asked.
"""
from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from conftest import wait_until

MARK = bytes.fromhex("8E45584396C9864CAF4A98BBF6C91450")
CHANNELS, RATE, POINTS = 4, 500, 10


def message(kind: int, body: bytes) -> bytes:
    return MARK + struct.pack("<II", 24 + len(body), kind) + body


def start() -> bytes:
    names = b"".join(b"Ch%d\0" % k for k in range(CHANNELS))
    return message(1, struct.pack("<Id", CHANNELS, 1e6 / RATE) + struct.pack(f"<{CHANNELS}d", *[0.1] * CHANNELS) + names)


def data(block: int, markers: int = 0) -> bytes:
    values = [10 * (POINTS * block + point) % 1000 + channel for point in range(POINTS) for channel in range(CHANNELS)]
    text = b"Stimulus\0S  1\0"
    marker = struct.pack("<IIIi", 16 + len(text), 3, 1, -1) + text
    body = struct.pack("<III", block, POINTS, markers) + struct.pack(f"<{len(values)}f", *values) + marker * markers
    return message(4, body)


class Recorder:
    """Serves everyone who connects what the test sends."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.clients: list[socket.socket] = []
        self.met = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.met += 1
            self.clients.append(client)

    def send(self, what: bytes) -> None:
        for client in list(self.clients):
            client.sendall(what)

    def drop(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def blocks(self, numbers, markers: int = 0) -> None:
        for number in numbers:
            self.send(data(number, markers))
            time.sleep(POINTS / RATE)


@pytest.fixture
def recorder():
    made = Recorder()
    yield made
    made.listener.close()
    made.drop()


@pytest.fixture
def watched(agent, recorder):
    agent.configure([{"rda": {"name": "rec", "address": f"127.0.0.1:{recorder.port}"}}])
    agent.start()
    wait_until(lambda: recorder.clients, what="a connection")
    return agent


def seen(agent, samples: int):
    return agent.until(lambda s: s.value("neural_device_samples_total", device="rec") == samples)


def test_every_block_is_counted_and_every_one_that_is_missing(watched, recorder):
    recorder.send(start())
    recorder.blocks(range(1, 101))
    recorder.blocks(range(104, 154), markers=1)
    scrape = seen(watched, 150 * POINTS)
    assert scrape.value("neural_source_up", source="rec") == 1
    assert scrape.value("neural_device_lost_packets_total", device="rec") == 3 * POINTS
    assert scrape.value("neural_stream_missing_samples_total", source="rec") == 3 * POINTS
    assert scrape.value("neural_stream_gaps_total", source="rec") == 1
    assert scrape.value("neural_stream_markers_total", source="rec") == 50
    assert scrape.value("neural_stream_nominal_rate_hertz", source="rec") == RATE
    assert scrape.account("rec")["faults"] == 0
    # Two seconds and more of signal were judged.
    assert len(scrape.series("neural_channel_quality_ratio", device="rec")) == CHANNELS


def test_a_recorder_that_ends_and_starts_again_is_met_again(watched, recorder):
    recorder.send(start())
    recorder.blocks(range(1, 11))
    seen(watched, 100)
    recorder.drop()
    watched.until(lambda s: s.value("neural_source_up", source="rec") == 0)
    wait_until(lambda: recorder.clients, what="another connection")
    recorder.send(start())
    recorder.blocks(range(1, 11))
    seen(watched, 200)
    # What the stream is is told once a second.
    scrape = watched.until(lambda s: s.value("neural_stream_reconnects_total", source="rec") == 1)
    assert scrape.value("neural_source_up", source="rec") == 1
    assert scrape.value("neural_device_lost_packets_total", device="rec") == 0


@pytest.mark.parametrize(
    "lie, kind, wrong",
    [
        (MARK + struct.pack("<II", 100 << 20, 4), "too_long", 24),
        (b"GET / HTTP/1.1\r\nHost: me\r\n\r\n" + b" " * 8, "syntax", 36),
        (message(1, struct.pack("<Id", 1 << 30, 2000.0)), "bad_value", 36),
    ],
)
def test_a_liar_is_a_counted_fault_and_left(watched, recorder, lie, kind, wrong):
    recorder.send(start())
    recorder.blocks(range(1, 6))
    seen(watched, 50)
    before = recorder.met
    recorder.send(lie)
    scrape = watched.until(lambda s: s.value("neural_source_errors_total", source="rec", reason=kind) == 1)
    assert scrape.value("neural_source_error_bytes_total", source="rec") == wrong
    wait_until(lambda: recorder.met > before, what="another connection")
    # The one that lied is gone from this end too.
    recorder.clients = recorder.clients[-1:]
    recorder.send(start())
    recorder.blocks(range(1, 6))
    seen(watched, 100)


def test_one_who_stops_in_mid_message_is_left(watched, recorder):
    recorder.send(start())
    recorder.blocks(range(1, 6))
    recorder.send(data(6)[:100])
    before = recorder.met
    wait_until(lambda: recorder.met > before, 30, "another connection")
    scrape = watched.until(lambda s: s.value("neural_source_errors_total", source="rec", reason="truncated") == 1)
    assert scrape.value("neural_source_error_bytes_total", source="rec") == 100
    assert scrape.value("neural_device_samples_total", device="rec") == 50
