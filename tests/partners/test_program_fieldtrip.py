"""The FieldTrip buffer, from the socket to the scrape.

The buffer is played here, as `message.h` describes the questions and answers; the bytes in tests/fixtures/fieldtrip,
against which the decoder is tested, are answers of the reference server, which other people wrote.
"""
from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from conftest import wait_until

CHANNELS, RATE = 4, 250
HEADER, SAMPLES, OK, ERROR = 0x201, 0x202, 0x204, 0x205


class Buffer:
    """Keeps the last samples; answers everyone."""

    def __init__(self, keeps: int = 100_000):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        # What is there before the agent comes is not its to count.
        self.keeps, self.samples, self.events = keeps, 5000, 0
        self.there = True
        self.clients: list[socket.socket] = []
        self.asked: list[int] = []
        # What is answered in place of the truth, once.
        self.lie = None
        self.deaf = False
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.clients.append(client)
            threading.Thread(target=self.serve, args=[client], daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        try:
            self.talk(client)
        except OSError:
            pass

    def talk(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as questions:
            while len(head := questions.read(8)) == 8:
                version, command, size = struct.unpack("<HHI", head)
                assert version == 1
                words = struct.unpack(f"<{size // 4}I", questions.read(size))
                self.asked.append(command)
                if self.deaf:
                    continue
                answer, self.lie = self.lie or self.answer(command, words), None
                client.sendall(answer)

    def answer(self, command: int, words) -> bytes:
        if command == HEADER and self.there:
            return said(OK, struct.pack("<IIIfII", CHANNELS, self.samples, self.events, RATE, 9, 0))
        first, last = words if words else (0, 0)
        if command == SAMPLES and max(0, self.samples - self.keeps) <= first <= last < self.samples:
            values = [k % 500 + channel for k in range(first, last + 1) for channel in range(CHANNELS)]
            body = struct.pack(f"<{len(values)}f", *values)
            return said(OK, struct.pack("<IIII", CHANNELS, last - first + 1, 9, len(body)) + body)
        return said(ERROR, b"")

    def run(self, seconds: float) -> None:
        """Takes samples in, as an amplifier's program brings them."""
        for _ in range(round(seconds * 25)):
            self.samples += RATE // 25
            time.sleep(0.04)

    def drop(self) -> None:
        while self.clients:
            client = self.clients.pop()
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def said(command: int, body: bytes) -> bytes:
    return struct.pack("<HHI", 1, command, len(body)) + body


@pytest.fixture
def buffer():
    made = Buffer()
    yield made
    made.listener.close()
    made.drop()


@pytest.fixture
def watched(agent, buffer):
    agent.configure([{"fieldtrip": {"name": "ft", "address": f"127.0.0.1:{buffer.port}"}}])
    return agent.start()


def met(agent) -> None:
    agent.until(lambda s: s.series("neural_stream_nominal_rate_hertz", source="ft"))


def seen(agent, samples: int):
    return agent.until(lambda s: s.value("neural_device_samples_total", device="ft") == samples)


def test_every_sample_that_comes_is_counted_once(watched, buffer):
    met(watched)
    # Another client is served meanwhile.
    with socket.create_connection(("127.0.0.1", buffer.port)) as other:
        buffer.run(3)
        other.sendall(struct.pack("<HHI", 1, HEADER, 0))
        assert struct.unpack("<HH", other.recv(4)) == (1, OK)
    buffer.events = 3
    scrape = seen(watched, 750)
    scrape = watched.until(
        lambda s: s.value("neural_stream_markers_total", source="ft") == 3
        and len(s.series("neural_channel_quality_ratio", device="ft")) == CHANNELS
    )
    assert scrape.value("neural_source_up", source="ft") == 1
    assert scrape.value("neural_device_lost_packets_total", device="ft") == 0
    assert scrape.account("ft")["faults"] == 0
    # It asks for nothing but the header and samples, a few times a second.
    assert set(buffer.asked) == {HEADER, SAMPLES}


def test_a_buffer_without_a_header_is_waited_for(watched, buffer):
    buffer.there = False
    wait_until(lambda: len(buffer.asked) > 3, what="some questions")
    scrape = watched.scrape()
    assert scrape.value("neural_source_up", source="ft") == 1
    assert scrape.account("ft")["faults"] == 0
    buffer.there = True
    met(watched)


def test_what_was_thrown_away_before_it_was_read_is_counted(watched, buffer):
    met(watched)
    buffer.run(1)
    seen(watched, 250)
    # The agent is held up no longer than the buffer holds samples; then it is.
    buffer.keeps = 100
    buffer.samples += 1000
    lost = lambda s: s.value("neural_device_lost_packets_total", device="ft")
    watched.until(lambda s: lost(s) == 1000 and s.value("neural_device_samples_total", device="ft") == 250)
    # More than ten seconds at once.
    buffer.keeps = 100_000
    buffer.samples += 4000
    scrape = seen(watched, 250 + 2500)
    assert scrape.value("neural_device_lost_packets_total", device="ft") == 1000 + 1500


def test_a_buffer_that_is_started_anew_is_met_again(watched, buffer):
    met(watched)
    buffer.run(1)
    seen(watched, 250)
    buffer.samples = 0
    buffer.drop()
    scrape = watched.until(lambda s: s.value("neural_stream_reconnects_total", source="ft") == 1)
    buffer.run(1)
    scrape = seen(watched, 500)
    assert scrape.value("neural_device_lost_packets_total", device="ft") == 0


@pytest.mark.parametrize(
    "lie, kind",
    [
        (struct.pack("<HHI", 1, OK, 100 << 20), "too_long"),
        (said(OK, struct.pack("<IIIfII", 1 << 30, 0, 0, RATE, 9, 0)), "bad_value"),
        (said(OK, struct.pack("<IIIfII", CHANNELS, 0, 0, float("nan"), 9, 0)), "bad_value"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "syntax"),
    ],
)
def test_a_liar_is_a_counted_fault_and_left(watched, buffer, lie, kind):
    met(watched)
    buffer.lie = lie
    scrape = watched.until(lambda s: s.value("neural_source_errors_total", source="ft", reason=kind) == 1)
    assert scrape.value("neural_source_error_bytes_total", source="ft") == len(lie)
    watched.until(lambda s: s.value("neural_stream_reconnects_total", source="ft") == 1)
    buffer.run(1)
    seen(watched, 250)


def test_one_who_does_not_answer_is_left(watched, buffer):
    met(watched)
    buffer.deaf = True
    watched.until(lambda s: s.value("neural_source_up", source="ft") == 0, 30)
    buffer.deaf = False
    watched.until(lambda s: s.value("neural_source_up", source="ft") == 1)
