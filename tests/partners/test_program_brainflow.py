"""BrainFlow streams to a group: what its own receiver gets is what the agent counts.

Independent: BrainFlow 5.23 itself, its synthetic board and its driver of a Cyton, each in a program of its own so that it can be
killed. Where a sender has to lie or lose, datagrams are made here with its batch of three packages.
"""
from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, free_port, wait_until

# Streams a board to a group until told to stop, and tells how many packages its own buffer got.
STREAM = r"""
import json, sys, time
order = json.loads(sys.argv[1])
from brainflow.board_shim import BoardShim, BrainFlowInputParams, BrainFlowPresets
BoardShim.disable_board_logger()
params = BrainFlowInputParams()
params.serial_port = order.get("port", "")
params.timeout = 15
# Without this its driver of a Ganglion never opens the port.
params.other_info = "fw:auto"
board = BoardShim(order["board"], params)
board.prepare_session()
board.add_streamer("streaming_board://%s:%d" % (order["group"], order["to"]), BrainFlowPresets.DEFAULT_PRESET)
for run in range(order.get("runs", 1)):
    board.start_stream(450000)
    print("streaming", flush=True)
    line = sys.stdin.readline()
    board.stop_stream()
    time.sleep(0.5)
    data = board.get_board_data()
    print(json.dumps({"packages": data.shape[1], "numbers": [int(n) for n in data[0][:3]]}), flush=True)
    if not line:
        break
    if run + 1 < order.get("runs", 1):
        sys.stdin.readline()
board.release_session()
"""

# BrainFlow's own receiver of such a stream.
RECEIVE = r"""
import json, sys, time
order = json.loads(sys.argv[1])
from brainflow.board_shim import BoardShim, BrainFlowInputParams
BoardShim.disable_board_logger()
params = BrainFlowInputParams()
params.ip_address, params.ip_port, params.master_board = order["group"], order["to"], order["board"]
board = BoardShim(-2, params)
board.prepare_session()
board.start_stream(450000)
print("listening", flush=True)
sys.stdin.readline()
data = board.get_board_data()
print(json.dumps({"packages": data.shape[1], "gaps": int(((data[0][1:] - data[0][:-1]) % 256 != 1).sum())}), flush=True)
board.stop_stream()
board.release_session()
"""


class Group:
    """A group that nobody else uses, and the programs that stream to it."""

    def __init__(self):
        self.to = free_port(socket.SOCK_DGRAM)
        self.group = f"225.{os.getpid() % 200 + 1}.{self.to % 250 + 1}.7"
        self.running: list[subprocess.Popen] = []

    def run(self, program: str, **order) -> subprocess.Popen:
        order = {"group": self.group, "to": self.to, **order}
        started = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(order)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.running.append(started)
        return started

    @staticmethod
    def says(program: subprocess.Popen, seconds: float = 90) -> str:
        assert select.select([program.stdout], [], [], seconds)[0], "BrainFlow says nothing"
        return program.stdout.readline().decode().strip()

    @staticmethod
    def tell(program: subprocess.Popen) -> None:
        program.stdin.write(b"\n")
        program.stdin.flush()

    def close(self) -> None:
        for program in self.running:
            if program.poll() is None:
                program.kill()
            program.communicate()


@pytest.fixture
def group():
    made = Group()
    yield made
    made.close()


def watch(agent, group, **settings):
    source = {"board": "synthetic", "listen": f"udp://{group.group}:{group.to}", **settings}
    agent.configure([{"brainflow": source}])
    agent.start()
    wait_until(lambda: "waiting for datagrams" in agent.told(), 20, "listening")


def of(seen, name: str, device: str = "brainflow") -> float:
    return seen.value(f"neural_device_{name}", device=device)


def sender() -> socket.socket:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
    return out


def package(number: float, stamp: float, rows: int = 32, at: int = 30) -> bytes:
    values = [float(row) for row in range(rows)]
    values[0], values[at] = number, stamp
    return struct.pack(f"<{rows}d", *values)


def three(first: int, began: float) -> bytes:
    return b"".join(package(k % 256, began + k / 250) for k in range(first, first + 3))


def test_every_package_of_the_synthetic_board_is_counted_and_its_receiver_misses_none(agent, group):
    watch(agent, group)
    receiver = group.run(RECEIVE, board=-1)
    assert group.says(receiver) == "listening"
    board = group.run(STREAM, board=-1)
    assert group.says(board) == "streaming"
    during = agent.until(lambda seen: of(seen, "samples_total") >= 2500, 60)
    group.tell(board)
    sent = json.loads(group.says(board))["packages"]
    # Packages go three at a time; what is left of them stays where it is.
    whole = sent // 3 * 3
    seen = agent.until(lambda seen: of(seen, "samples_total") >= whole, 20)
    group.tell(receiver)
    received = json.loads(group.says(receiver))
    assert received == {"packages": whole, "gaps": 0}
    assert (of(seen, "samples_total"), of(seen, "frames_total")) == (whole, whole)
    assert of(seen, "lost_packets_total") == of(seen, "duplicate_packets_total") == 0
    account = seen.account("brainflow")
    assert account == {"events": whole, "faults": 0, "shed": 0, "drops": 0}, account
    assert (of(seen, "channels"), of(seen, "nominal_rate_hertz")) == (16, 250)
    assert seen.value("neural_stream_channels", source="brainflow", stream="synthetic") == 16
    assert seen.value("neural_stream_missing_samples_total", source="brainflow") == 0
    ages = seen.value("neural_stream_sample_age_seconds_count", source="brainflow")
    assert ages > 0 and seen.value("neural_stream_sample_age_seconds_sum", source="brainflow") / ages < 1
    assert seen.value("neural_source_up", source="brainflow") == 1
    judged = [name for name in during.samples if name.startswith("neural_channel_") and during.series(name, device="brainflow")]
    assert judged, "the signal is judged"
    assert of(during, "streaming") == 1


# Board id, channels, samples that are missing if seven packets are and then three. Of a Daisy two frames are one sample, of a
# Ganglion one packet is two, but for the first of a round.
DRIVEN = {"cyton": (0, 8, [7 + 3]), "daisy": (2, 16, [3 + 1, 4 + 1, 3 + 2, 4 + 2]), "ganglion": (1, 4, [14 + 6, 14 + 5, 13 + 6, 13 + 5])}


@pytest.mark.parametrize("device", DRIVEN)
def test_brainflow_drives_a_board_and_the_agent_counts_what_it_lost(agent, group, tmp_path, device):
    number, channels, missing = DRIVEN[device]
    port = tmp_path / device
    board = subprocess.Popen(
        [str(PROGRAM), "simulate", device, "--pty", str(port), "--fault", "lose=7@2s", "--fault", "lose=3@4s"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    group.running.append(board)
    wait_until(port.exists, 20, "the simulated board")
    watch(agent, group, board=device)
    driver = group.run(STREAM, board=number, port=str(port))
    assert group.says(driver) == "streaming"
    agent.until(lambda seen: of(seen, "gaps_total") >= 2, 60)
    group.tell(driver)
    sent = json.loads(group.says(driver))["packages"] // 3 * 3
    seen = agent.until(lambda seen: of(seen, "samples_total") >= sent, 20)
    assert of(seen, "samples_total") == sent
    assert of(seen, "lost_packets_total") in missing and of(seen, "gaps_total") == 2
    assert (of(seen, "channels"), seen.account("brainflow")["faults"]) == (channels, 0)


def test_a_stream_that_is_stopped_and_started_and_a_program_that_is_killed_lose_nothing(agent, group):
    watch(agent, group)
    board = group.run(STREAM, board=-1, runs=2)
    assert group.says(board) == "streaming"
    agent.until(lambda seen: of(seen, "samples_total") >= 300, 60)
    group.tell(board)
    first = json.loads(group.says(board))["packages"]
    time.sleep(1)
    group.tell(board)
    assert group.says(board) == "streaming"
    seen = agent.until(lambda seen: of(seen, "samples_total") >= first + 300, 60)
    assert of(seen, "lost_packets_total") == 0, "numbers that begin again are no loss"
    board.send_signal(signal.SIGKILL)
    board.communicate()
    before = of(agent.scrape(), "samples_total")
    again = group.run(STREAM, board=-1)
    assert group.says(again) == "streaming"
    seen = agent.until(lambda seen: of(seen, "samples_total") >= before + 300, 60)
    assert of(seen, "lost_packets_total") == 0, "another program is no loss"
    assert seen.account("brainflow")["faults"] == 0
    agent.until(lambda seen: seen.value("neural_stream_reconnects_total", source="brainflow") == 2)


def test_loss_doubles_liars_and_a_second_sender_to_the_unit(agent, group):
    watch(agent, group)
    to = (group.group, group.to)
    out, other = sender(), sender()
    began = time.time()
    for first in range(0, 300, 3):
        if first not in (30, 33, 36, 150):
            out.sendto(three(first, began), to)
        if first in (60, 90):
            out.sendto(three(first, began), to)
    # Another board, half a package, and what is none.
    out.sendto(b"".join(package(k, began, 24, 22) for k in range(4)), to)
    out.sendto(three(300, began)[:-8], to)
    out.sendto(os.urandom(333), to)
    out.sendto(b"", to)
    out.sendto(three(300, began), to)
    # The last datagram that is sent is the last one of these.
    seen = agent.until(lambda seen: of(seen, "frames_total") >= 303 - 12 + 6 and seen.account("brainflow")["faults"] >= 4, 30)
    assert (of(seen, "samples_total"), of(seen, "frames_total")) == (291, 297)
    assert (of(seen, "lost_packets_total"), of(seen, "gaps_total")) == (12, 2)
    assert of(seen, "duplicate_packets_total") == 6
    assert seen.account("brainflow")["faults"] == 4
    # A later sender is followed, and the first is not mixed into it.
    for k in range(10):
        other.sendto(three(3 * k, began + 5), to)
        out.sendto(three(303 + 3 * k, began), to)
    seen = agent.until(lambda seen: seen.account("brainflow")["faults"] == 14 and of(seen, "samples_total") >= 321, 30)
    assert (of(seen, "samples_total"), of(seen, "lost_packets_total")) == (321, 12)
    assert seen.value("neural_source_errors_total", source="brainflow", reason="conflict") == 10


def test_datagrams_that_overtake_each_other_are_not_lost(agent, group):
    watch(agent, group)
    to, out, began = (group.group, group.to), sender(), time.time()
    rows = [three(first, began) for first in range(0, 900, 3)]
    # Where numbers begin again, three later, two for two; one is lost in between.
    rows[85], rows[86] = rows[86], rows[85]
    rows.insert(103, rows.pop(100))
    rows[150:154] = rows[152:154] + rows[150:152]
    del rows[200]
    for row in rows:
        out.sendto(row, to)
        time.sleep(0.002)
    seen = agent.until(lambda seen: of(seen, "samples_total") >= 897, 30)
    assert (of(seen, "samples_total"), of(seen, "frames_total")) == (897, 897)
    assert (of(seen, "lost_packets_total"), of(seen, "gaps_total")) == (3, 1)
    assert of(seen, "out_of_order_packets_total") == 12
    assert seen.account("brainflow")["faults"] == 0
    assert agent.until(lambda seen: seen.series("neural_stream_reconnects_total", source="brainflow"))
    assert agent.scrape().value("neural_stream_reconnects_total", source="brainflow") == 0


def test_the_agent_is_there_before_the_program_and_after_it(agent, group):
    watch(agent, group)
    seen = agent.until(lambda seen: seen.series("neural_source_up", source="brainflow"))
    assert seen.value("neural_source_up", source="brainflow") == 0
    out, began = sender(), time.time()
    for first in range(0, 750, 3):
        out.sendto(three(first, began), (group.group, group.to))
    agent.until(lambda seen: seen.value("neural_source_up", source="brainflow") == 1)
    agent.until(lambda seen: seen.value("neural_device_streaming", device="brainflow") == 0, 30)
    # After half a minute of nothing what was known of it is gone.
    agent.until(lambda seen: seen.value("neural_source_up", source="brainflow") == 0, 60)
    assert not agent.scrape().series("neural_device_streaming", device="brainflow")
    out.sendto(three(750, began), (group.group, group.to))
    seen = agent.until(lambda seen: seen.value("neural_source_up", source="brainflow") == 1 and of(seen, "samples_total") >= 753)
    assert of(seen, "samples_total") == 753 and of(seen, "lost_packets_total") == 0


def test_a_recording_plays_to_the_same_numbers(agent, group, tmp_path):
    recording = tmp_path / "recording"
    source = {"board": "synthetic", "listen": f"udp://{group.group}:{group.to}"}
    agent.configure([{"brainflow": source}])
    agent.start(command=[str(PROGRAM), "record", "--config", str(agent.file), "--output", str(recording)])
    wait_until(lambda: "waiting for datagrams" in agent.told(), 20, "listening")
    out, began = sender(), time.time()
    for first in range(0, 300, 3):
        if first != 99:
            out.sendto(three(first, began), (group.group, group.to))
    agent.until(lambda seen: of(seen, "samples_total") == 297, 30)
    agent.stop()
    agent.configure([{"replay": {"name": "again", "file": str(recording), "speed": 0}}])
    agent.start()
    seen = agent.until(lambda seen: of(seen, "samples_total", "again") == 297, 30)
    assert of(seen, "lost_packets_total", "again") == 3
