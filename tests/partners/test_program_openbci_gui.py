"""The OpenBCI GUI's networking widget, played here as its source (`NetworkStreamOut.pde`) writes: the GUI needs a screen.

So this shows that the agent reads what that document says, and no more than that.
"""
from __future__ import annotations

import json
import math
import socket
import time

from conftest import free_port, udp, wait_until


def message(kind: str, data) -> bytes:
    return json.dumps({"type": kind, "data": data}, separators=(",", ":")).encode() + b"\r\n"


def rows(first: int, count: int = 10, channels: int = 8) -> list:
    return [[round(40 * math.sin(2 * math.pi * 10 * k / 250) + channel, 4) for k in range(first, first + count)] for channel in range(channels)]


def watch(agent, port: int, **settings):
    agent.configure([{"openbci_gui": {"listen": f"udp://127.0.0.1:{port}", **settings}}])
    agent.start()
    wait_until(lambda: "waiting for datagrams" in agent.told(), 20, "listening")


def of(seen, name: str) -> float:
    return seen.value(f"neural_device_{name}", device="openbci_gui")


def test_samples_and_messages_are_counted(agent):
    port = free_port(socket.SOCK_DGRAM)
    watch(agent, port)
    with udp(port) as gui:
        began = time.monotonic()
        for number in range(150):
            gui.send(message("timeSeriesRaw", rows(10 * number)))
            if number % 10 == 0:
                gui.send(message("bandPower", [[0.1, 0.2, 0.3, 0.4, 0.5]] * 8))
                gui.send(message("focus", 1))
            ahead = began + number * 0.04 - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)
    seen = agent.until(lambda seen: of(seen, "samples_total") >= 1500 and seen.value("neural_source_other_messages_total") >= 30)
    assert (of(seen, "samples_total"), of(seen, "frames_total")) == (1500, 150)
    assert seen.value("neural_source_other_messages_total", source="openbci_gui") == 30
    # It has neither numbers nor times: a zero would be an invented one.
    assert not seen.series("neural_device_lost_packets_total", device="openbci_gui")
    assert (of(seen, "channels"), of(seen, "nominal_rate_hertz")) == (8, 250)
    assert seen.account("openbci_gui") == {"events": 180, "faults": 0, "shed": 0, "drops": 0}
    assert seen.value("neural_stream_channels", source="openbci_gui", stream="timeSeriesRaw") == 8
    offsets = seen.series("neural_channel_offset_volts", device="openbci_gui")
    assert not offsets or max(sample.value for sample in offsets) < 20e-6, "microvolts, not volts"


def test_what_is_no_message_is_a_fault(agent):
    port = free_port(socket.SOCK_DGRAM)
    watch(agent, port)
    wrong = [
        b'{"type":"timeSeriesRaw","data":[[1,2',
        b'{"type":"timeSeriesRaw","data":[[NaN]]}',
        message("timeSeriesRaw", [[1, 2], [3]]),
        message("elsewhere", [[1]]),
        b"\xff\xfe\xfd",
        b'{"type":"timeSeriesRaw"}',
        b"[" * 60_000,
    ]
    with udp(port) as gui:
        for text in wrong:
            gui.send(text)
        gui.send(message("timeSeriesRaw", rows(0)))
    seen = agent.until(lambda seen: of(seen, "samples_total") >= 10)
    assert seen.account("openbci_gui")["faults"] == len(wrong)
    sent = sum(len(text) for text in wrong) + len(message("timeSeriesRaw", rows(0)))
    assert seen.value("neural_source_received_bytes_total", source="openbci_gui") == sent


def test_a_port_that_another_program_has_is_left_to_it(agent):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        other.settimeout(20)
        port = other.getsockname()[1]
        watch_anyway = [{"openbci_gui": {"listen": f"udp://127.0.0.1:{port}"}}]
        agent.configure(watch_anyway)
        agent.start()
        agent.until(lambda seen: "another program listens there" in agent.told())
        with udp(port) as gui:
            gui.send(message("timeSeriesRaw", rows(0)))
        assert b"timeSeriesRaw" in other.recv(65_536), "it is that program's"
        assert agent.scrape().value("neural_source_up", source="openbci_gui") == 0
    # Once it is free, it is read.
    def heard(seen):
        with udp(port) as gui:
            try:
                gui.send(message("timeSeriesRaw", rows(0)))
            except ConnectionRefusedError:
                pass
        return of(seen, "samples_total") > 0

    agent.until(heard, 60)


def test_an_older_gui_sends_one_sample_a_datagram(agent):
    """`W_Networking.pde` up to 5.1: `{"type":"eeg","data":[…]}`."""
    port = free_port(socket.SOCK_DGRAM)
    watch(agent, port)
    with udp(port) as gui:
        for number in range(500):
            gui.send(message("eeg", [round(40 * math.sin(number / 4) + channel, 4) for channel in range(8)]))
            time.sleep(0.004)
    seen = agent.until(lambda seen: of(seen, "samples_total") >= 500)
    assert (of(seen, "samples_total"), of(seen, "frames_total"), of(seen, "channels")) == (500, 500, 8)
    assert seen.account("openbci_gui") == {"events": 500, "faults": 0, "shed": 0, "drops": 0}
