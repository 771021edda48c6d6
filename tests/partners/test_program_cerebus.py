"""A Cerebus, played here: the agent's account of its packets, beside a reader of other people.

No amplifier was at hand. What is sent is put together from the headers of CereLink; pycbsdk 0.4, in which the authors of CereLink read
an amplifier in Python, listens to the same broadcast and has to find the same packets in it. So packets are read as two sides
read them; that an amplifier sends such packets is in the documents alone.
"""
from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import sys
import time

import pytest

from conftest import free_port, wait_until

EVERYONE = "127.255.255.255"

# A reader of the same packets, as its own example uses it, without asking the amplifier for anything.
READER = r"""
import json, sys, time
order = json.loads(sys.argv[1])
from pycbsdk import cbsdk
from pycbsdk.cbhw.packet.common import CBPacketType
params = cbsdk.create_params(inst_addr="127.0.0.1", inst_port=order["device"], client_addr=order["everyone"],
                             client_port=order["port"], protocol=order["protocol"])
device = cbsdk.get_device(params)
seen = {"samples": 0, "first": None, "last": None, "monitors": 0, "sent": 0, "beats": 0, "channels": 0}
def group(packet):
    seen["samples"] += 1
    seen["last"] = packet.header.time
    seen["first"] = seen["first"] or packet.header.time
    seen["channels"] = len(packet.data)
def monitor(packet):
    seen["monitors"] += 1
    seen["sent"] += packet.sentpkts
def beat(packet):
    seen["beats"] += 1
cbsdk.register_group_callback(device, 2, group)
cbsdk.register_config_callback(device, CBPacketType.SYSPROTOCOLMONITOR, monitor)
cbsdk.register_config_callback(device, CBPacketType.SYSHEARTBEAT, beat)
cbsdk.connect(device, startup_sequence=False)
time.sleep(1)
print("listening", flush=True)
for line in sys.stdin:
    print(json.dumps({**seen, "packets": device.pkts_received}), flush=True)
"""


def head(protocol: str, at: int, channel: int, kind: int, body: bytes) -> bytes:
    words = len(body) // 4
    if protocol == "3.11":
        return struct.pack("<IHBB", at & 0xFFFFFFFF, channel, kind, words) + body
    if protocol == "4.0":
        return struct.pack("<QHBHBH", at, channel, kind, words, 0, 0) + body
    return struct.pack("<QHHHBB", at, channel, kind, words, 0, 0) + body


class Amplifier:
    """Sends beats of 10 ms: a heartbeat, ten samples of four channels at 1 kHz, a spike, and how many packets that were."""

    PACKETS = 13

    def __init__(self, protocol: str = "4.1", port: int | None = None, unit: int = 30):
        self.protocol, self.unit = protocol, unit
        self.port = port or free_port(socket.SOCK_DGRAM)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.number = 0
        self.sent = 0

    def beat(self, without: tuple[int, ...] = (), aloud: bool = True) -> bytes:
        at = 1_000_000 + self.number * 10 * self.unit
        make = lambda offset, channel, kind, body: head(self.protocol, at + offset, channel, kind, body)
        packets = [make(0, 0x8000, 0x00, b"")]
        packets += [make(k * self.unit, 0, 2, struct.pack("<4h", k, -k, self.number % 100, 7)) for k in range(10)]
        packets.append(make(5 * self.unit, 3, 1, struct.pack("<3f2h48h", 0, 0, 0, 99, -99, *range(48))))
        counter = struct.pack("<I", self.number) if self.protocol not in ("3.11", "4.0") else b""
        packets.append(make(10 * self.unit - 1, 0x8000, 0x01, struct.pack("<I", self.PACKETS) + counter))
        self.number += 1
        datagram = b"".join(packet for place, packet in enumerate(packets) if place not in without)
        if aloud:
            self.sent += self.PACKETS - len(without)
            self.socket.sendto(datagram, (EVERYONE, self.port))
        return datagram

    def answer(self) -> None:
        """The channels of the group, as the amplifier answers anyone who asks: three, so that its packets have one value more."""
        body = struct.pack("<II16sII4H", 1, 2, b"1 kHz", 30, 3, 1, 2, 3, 0)
        self.socket.sendto(head(self.protocol, 999_999, 0x8000, 0x30, body), (EVERYONE, self.port))
        self.sent += 1

    def beats(self, count: int, pause: float = 0.002) -> None:
        for _ in range(count):
            self.beat()
            time.sleep(pause)


def watch(agent, amplifier: Amplifier, **settings):
    agent.configure([{"cerebus": {"listen": f"udp://{EVERYONE}:{amplifier.port}", **settings}}])
    agent.start()
    wait_until(lambda: "waiting for datagrams" in agent.told(), 20, "listening")


def of(seen, name: str, device: str = "cerebus") -> float:
    return seen.value(f"neural_device_{name}", device=device)


@pytest.fixture
def reader():
    made: list[subprocess.Popen] = []

    def make(amplifier: Amplifier):
        order = {"protocol": amplifier.protocol, "port": amplifier.port, "everyone": EVERYONE, "device": free_port(socket.SOCK_DGRAM)}
        program = subprocess.Popen(
            [sys.executable, "-c", READER, json.dumps(order)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        made.append(program)
        assert listen(program) == "listening"
        return program

    yield make
    for program in made:
        program.kill()
        program.communicate()


def listen(program: subprocess.Popen, seconds: float = 60) -> str:
    assert select.select([program.stdout], [], [], seconds)[0], "the reader says nothing"
    return program.stdout.readline().decode().strip()


def tells(program: subprocess.Popen) -> dict:
    program.stdin.write(b"\n")
    program.stdin.flush()
    return json.loads(listen(program))


@pytest.mark.parametrize("protocol", ["3.11", "4.0", "4.1"])
def test_a_reader_of_other_people_finds_the_same_packets(agent, reader, protocol):
    amplifier = Amplifier(protocol)
    watch(agent, amplifier)
    other = reader(amplifier)
    amplifier.answer()
    amplifier.beats(200)
    # The packets of a group are counted for another device, a moment later.
    agent.until(lambda seen: of(seen, "frames_total") >= amplifier.sent and of(seen, "samples_total", "cerebus:1000") >= 2000, 30)
    end = time.monotonic() + 30
    while (heard := tells(other))["packets"] < amplifier.sent and time.monotonic() < end:
        time.sleep(0.1)
    seen = agent.scrape()
    assert heard["packets"] == amplifier.sent == of(seen, "frames_total") == 2601
    assert heard["samples"] == of(seen, "samples_total", "cerebus:1000") == 2000
    assert heard["beats"] == of(seen, "samples_total") == 200
    assert (heard["monitors"], heard["sent"]) == (200, 2600)
    assert heard["channels"] == of(seen, "channels", "cerebus:1000") == 3
    assert heard["last"] - heard["first"] == 1999 * 30
    assert of(seen, "lost_packets_total") == of(seen, "lost_packets_total", "cerebus:1000") == 0
    account = seen.account("cerebus")
    assert account == {"events": 2601, "faults": 0, "shed": 0, "drops": 0}, account


def test_loss_is_exact_for_all_packets_and_for_samples(agent):
    amplifier = Amplifier()
    watch(agent, amplifier, volts_per_count=0.25e-6)
    amplifier.beats(100)
    lost = samples = 0
    for number in range(300):
        if number in (50, 120, 121):
            # A datagram, and two in a row: their monitors are lost with them.
            amplifier.beat(aloud=False)
            lost, samples = lost + 13, samples + 10
        elif number in (70, 200):
            # Two samples and a spike.
            amplifier.beat(without=(4, 5, 11))
            lost, samples = lost + 3, samples + 2
        else:
            amplifier.beat()
        time.sleep(0.002)
    amplifier.beats(50)
    wanted = 450 * 10 - samples
    seen = agent.until(lambda seen: of(seen, "frames_total") >= amplifier.sent and of(seen, "samples_total", "cerebus:1000") >= wanted, 30)
    assert of(seen, "frames_total") == amplifier.sent
    assert (of(seen, "lost_packets_total"), of(seen, "gaps_total")) == (lost, 4)
    assert of(seen, "samples_total", "cerebus:1000") == wanted
    assert of(seen, "lost_packets_total", "cerebus:1000") == samples
    assert seen.account("cerebus")["faults"] == seen.account("cerebus")["drops"] == 0
    # What the stream is is told once a second.
    agent.until(lambda seen: seen.value("neural_stream_channels", source="cerebus", stream="1000") == 4)
    # Nothing of the amplifier's is taken for a fault of the agent's, and a restart is none of both.
    again = Amplifier(port=amplifier.port)
    again.beats(100)
    seen = agent.until(lambda seen: of(seen, "frames_total") >= amplifier.sent + again.sent, 30)
    assert of(seen, "lost_packets_total") == lost
    agent.until(lambda seen: seen.value("neural_stream_reconnects_total", source="cerebus") == 1)


def test_datagrams_that_overtake_each_other_are_not_lost(agent):
    amplifier = Amplifier()
    watch(agent, amplifier)
    rows = [amplifier.beat(aloud=False) for _ in range(300)]
    rows[50], rows[51] = rows[51], rows[50]
    rows.insert(103, rows.pop(100))
    rows[150:154] = rows[152:154] + rows[150:152]
    del rows[200]
    for row in rows:
        amplifier.socket.sendto(row, (EVERYONE, amplifier.port))
        time.sleep(0.002)
    seen = agent.until(lambda seen: of(seen, "frames_total") >= 299 * 13 and of(seen, "samples_total", "cerebus:1000") >= 2990, 30)
    assert (of(seen, "lost_packets_total"), of(seen, "gaps_total")) == (13, 1)
    assert (of(seen, "lost_packets_total", "cerebus:1000"), of(seen, "samples_total", "cerebus:1000")) == (10, 2990)
    assert of(seen, "out_of_order_packets_total", "cerebus:1000") == 40
    agent.until(lambda seen: seen.series("neural_stream_reconnects_total", source="cerebus"))
    assert agent.scrape().value("neural_stream_reconnects_total", source="cerebus") == 0


def test_lies_are_faults_and_never_more(agent):
    amplifier = Amplifier()
    watch(agent, amplifier)
    amplifier.beats(20)
    to = (EVERYONE, amplifier.port)
    right = amplifier.beat(aloud=False)
    amplifier.number -= 1
    # A packet of a quarter of a megabyte, one cut short, noise, an empty datagram, the longest there is.
    for lie in (
        struct.pack("<QHHHBB", 5, 1, 1, 0xFFFF, 0, 0),
        right[:-3],
        b"\xa5" * 700,
        b"",
        b"\x00" * 65_000,
    ):
        amplifier.socket.sendto(lie, to)
    seen = agent.until(lambda seen: seen.account("cerebus")["faults"] >= 4, 30)
    assert agent.alive()
    amplifier.beats(20)
    before = of(seen, "frames_total")
    seen = agent.until(lambda seen: of(seen, "frames_total") >= before + 20 * 13, 30)
    assert seen.account("cerebus")["drops"] == 0


def test_an_address_that_is_not_there_yet_is_waited_for(agent):
    agent.configure([{"cerebus": {"listen": "udp://198.51.100.255:51002"}}])
    agent.start()
    agent.until(lambda seen: seen.series("neural_source_up", source="cerebus"))
    agent.says("no interface of this machine has the address 198.51.100.255")
