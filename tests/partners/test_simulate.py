"""Simulated devices: that programs of other people take them for real, and that the agent's figures are theirs.

BrainFlow, pyOpenBCI, chordspy and bitalino are drivers of these devices. Where there is no such program
(ThinkGear, OpenEEG, SpikerBox), simulator and decoder only agree on one document.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import serial

from conftest import PROGRAM, wait_until


class Board:
    """A simulated device, and the account that it gives at the end."""

    def __init__(self, folder: Path, device: str, name: str, *options: str):
        self.device, self.name = device, name
        self.port, self.file = str(folder / name), folder / f"{name}.json"
        command = [str(PROGRAM), "simulate", device, "--pty", self.port, "--ledger", str(self.file), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(lambda: os.path.islink(self.port), 30, f"the terminal of {name}")

    def ledger(self) -> dict:
        """Ends it, if it did not end itself, and reads what it sent."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        assert self.process.wait(30) == 0
        assert not os.path.lexists(self.port), "the symlink is still there"
        return json.loads(self.file.read_text())


@pytest.fixture
def simulate(tmp_path):
    made: list[Board] = []

    def make(device: str, *options: str, name: str | None = None) -> Board:
        made.append(Board(tmp_path, device, name or device, *options))
        return made[-1]

    yield make
    for board in made:
        if board.process.poll() is None:
            board.process.kill()
            board.process.wait()


def ramp(samples: np.ndarray, channels: int, most: int = 9999) -> np.ndarray:
    """What `--signal ramp` reads, by channel."""
    return (samples[None, :] + 100 * np.arange(channels)[:, None]) % (most + 1)


# Board id of BrainFlow, device, microvolts of one count, frames a second, options.
DRIVERS = {
    "cyton": (0, "cyton", 4.5e6 / 24 / (2**23 - 1), 250, ()),
    "daisy": (2, "daisy", 4.5e6 / 24 / (2**23 - 1), 250, ()),
    "freeeeg32": (17, "freeeeg32", 2.5e6 / (2**23 - 1) / 8, 512, ()),
    "knight": (57, "knight", 4e6 / (2**15 - 1) / 12, 125, ()),
    "knight_imu": (66, "knight_imu", 4e6 / (2**15 - 1) / 12, 125, ()),
    "ganglion": (1, "ganglion", 1.2e6 / (8388607 * 1.5 * 51), 200 * 101 / 201, ()),
}


def drive(board: Board, number: int):
    """What BrainFlow's driver makes of a board in three seconds."""
    from brainflow.board_shim import BoardShim, BrainFlowInputParams

    params = BrainFlowInputParams()
    params.serial_port = board.port
    params.timeout = 15
    # Without this its Ganglion driver never opens the port.
    params.other_info = "fw:auto"
    driver = BoardShim(number, params)
    driver.prepare_session()
    driver.start_stream()
    time.sleep(3)
    driver.stop_stream()
    data = driver.get_board_data()
    driver.release_session()
    rows = BoardShim.get_package_num_channel(number), BoardShim.get_eeg_channels(number)
    return data[rows[0]].astype(int), data[rows[1]], BoardShim.get_sampling_rate(number)


def test_brainflows_drivers_accept_the_boards(simulate):
    from brainflow.board_shim import BoardShim

    BoardShim.disable_board_logger()
    boards = {name: simulate(device, "--signal", "ramp", *more) for name, (_, device, _, _, more) in DRIVERS.items()}
    with ThreadPoolExecutor(len(boards)) as pool:
        running = {name: pool.submit(drive, board, DRIVERS[name][0]) for name, board in boards.items()}
        driven = {name: run.result(60) for name, run in running.items()}
    for name, (numbers, values, rate) in driven.items():
        ledger, (_, _, scale, frames, _) = boards[name].ledger(), DRIVERS[name]
        counts = np.round(values / scale).astype(int)
        assert np.allclose(values, counts * scale, rtol=1e-5, atol=1e-6), name
        assert ledger["lost"] == ledger["unseen"] == 0 and ledger["starts"] == 1, (name, ledger)
        # By the clock; a driver takes a while to start and to stop, longer on a busy machine.
        assert abs(ledger["frames"] - ledger["seconds"] * frames) < 1, (name, ledger)
        assert len(numbers) > 1.5 * rate, (name, len(numbers), rate)
        if name == "ganglion":
            assert rate == 200 and numbers[0] == 0 and len(numbers) <= 201 / 101 * ledger["frames"] + 1
            ids = [0] + [100 + k // 2 for k in range(2, 202)]
            assert np.array_equal(numbers, np.resize(ids, len(numbers)))
            # Where a whole sample comes. In between it takes each negative difference for one more.
            whole = np.flatnonzero(numbers == 0)
            assert np.array_equal(counts[:, whole], ramp(whole, 4))
            continue
        step = 2 if name == "daisy" else 1
        assert set((np.diff(numbers) % 256).tolist()) == {step}, name
        if name == "daisy":
            # A sample is an even frame, the Daisy's, and the odd one after it, each the mean with the one before.
            assert rate == 125 and len(counts) == 16
            # The very first frame is invalid.
            even = numbers[0] + 2 * np.arange(len(numbers))[1:]
            mean = lambda at: (ramp(at, 16) + ramp(at - 1, 16)) // 2
            assert np.array_equal(counts[8:, 1:], mean(even)[8:])
            assert np.array_equal(counts[:8, 1:], mean(even + 1)[:8])
            continue
        # It may not have looked at the first ones.
        first = counts[0, 0]
        assert first % 256 == numbers[0]
        assert np.array_equal(counts, ramp(first + np.arange(len(numbers)), len(counts))), name
        if name == "cyton":
            assert first == 0 and rate == 250 and 0 <= ledger["frames"] - len(numbers) < 100


PYOPENBCI = """
import sys, types
for name in ("bluepy", "bluepy.btle"):
    sys.modules[name] = types.ModuleType(name)
for name in ("Scanner", "DefaultDelegate", "Peripheral"):
    setattr(sys.modules["bluepy.btle"], name, object)
from pyOpenBCI import OpenBCICyton
board, came = OpenBCICyton(port=sys.argv[1], timeout=2), []
def sample(one):
    came.append((one.id, one.channels_data))
    if len(came) == 500:
        board.stop_stream()
board.start_stream(sample)
assert came == [(k % 256, [k + 100 * channel for channel in range(8)]) for k in range(500)], came[:3]
"""

CHORDSPY = """
import importlib.util, sys, time
place = importlib.util.find_spec("chordspy").submodule_search_locations[0] + "/chords_serial.py"
spec = importlib.util.spec_from_file_location("chords_serial", place)
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
chords = module.Chords_USB()
assert chords.connect_hardware(sys.argv[1], 230400)
assert (chords.board, chords.num_channels) == ("UNO-R4", 6)
# What it does when it is started, with an end to it; it reads a first line as an answer.
chords.ser.write(b"START\\n")
end = time.monotonic() + 2
while time.monotonic() < end:
    chords.read_data()
first = chords.data[:, -500:]
assert (first[:, 1:] - first[:, :-1] == 1).all() and (first[1:] - first[:-1] == 100).all(), first
chords.stop_streaming()
"""

BITALINO = """
import sys, types
sys.modules["bluetooth"] = types.ModuleType("bluetooth")
from bitalino import BITalino
board = BITalino(sys.argv[1])
assert "5.2" in board.version()
board.start(1000, [0, 1, 2, 3, 4, 5])
rows = board.read(1500)
board.stop()
for k, row in enumerate(rows):
    want = [(k + 100 * at) % (1024 if at < 4 else 64) for at in range(6)]
    assert row[0] == k % 16 and list(row[5:]) == want, (k, row)
board.close()
"""


def test_the_makers_readers_accept_their_boards(simulate):
    programs = {"cyton": PYOPENBCI, "chords": CHORDSPY, "bitalino": BITALINO}
    running = {}
    for device, program in programs.items():
        board = simulate(device, "--signal", "ramp")
        command = [sys.executable, "-c", program, os.path.realpath(board.port)]
        running[board] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for board, reader in running.items():
        said, _ = reader.communicate(timeout=60)
        assert reader.returncode == 0, f"{board.device}:\n{said.decode()}"
        ledger = board.ledger()
        assert ledger["frames"] >= 500 and ledger["failures"] == 0, ledger


# Faults that a counter, or bytes between frames, show to the unit.
FAULTS = ("lose=3@1s", "garbage=37@1500ms", "lose=5@2s", "truncate@2500ms", "dropout=20ms@3s")
# Frames a second, and where their counter begins again; 0 if they are not counted.
BOARDS = {
    "cyton": (250, 256),
    "daisy": (250, 256),
    "thinkgear": (513, 0),
    "openeeg_p2": (256, 256),
    "openeeg_p3": (256, 64),
    "freeeeg32": (512, 256),
    "knight": (125, 256),
    "knight_imu": (125, 256),
    "chords": (500, 256),
    "bitalino": (1000, 16),
    "spikerbox": (5000, 0),
    # A hundred packets and a half: nearly two samples in each.
    "ganglion": (100, 101),
}


def test_the_agents_figures_are_those_of_the_ledgers(agent, simulate):
    boards = {}
    for device, (rate, _) in BOARDS.items():
        faults = FAULTS[:4] if device in ("bitalino", "ganglion") else FAULTS
        options = [option for fault in faults for option in ("--fault", fault)]
        boards[device] = simulate(device, "--frames", str(4 * rate), *options)
    # 300 packets, of which a counter of 8 bits shows 44; 256 of them are seen by time alone.
    hidden = simulate("cyton", "--fault", "lose=300@3s", "--frames", "1250", name="hidden")
    boards["hidden"] = hidden
    port = lambda board: {"name": board.name, "port": board.port, "protocol": board.device}
    agent.configure([{"serial": port(board)} for board in boards.values()])
    agent.start()

    def frames(scrape, name):
        return scrape.value("neural_device_frames_total", device=name)

    # What ends a SpikerBox's last frame is the next one, or the end.
    wanted = {name: 4 * BOARDS[name][0] - (name == "spikerbox") for name in BOARDS} | {"hidden": 1250}
    agent.until(lambda s: all(frames(s, name) >= want for name, want in wanted.items()), 60)
    agent.until(lambda s: s.value("neural_device_lost_packets_total", device="hidden") >= 300, 30)
    ledgers = {name: board.ledger() for name, board in boards.items()}
    seen = agent.until(lambda s: all(s.value("neural_source_up", source=name) == 0 for name in boards), 30)
    for name, ledger in ledgers.items():
        modulus = BOARDS.get(name, (250, 256))[1]
        assert frames(seen, name) == ledger["frames"], (name, ledger)
        lost = seen.value("neural_device_lost_packets_total", device=name)
        gaps = seen.value("neural_device_gaps_total", device=name)
        if modulus == 0:
            # Nothing that it sends tells what is missing.
            assert not seen.series("neural_device_lost_packets_total", device=name), name
        elif lost == ledger["lost"]:
            assert gaps == ledger["gaps"], (name, gaps, ledger)
        else:
            # A machine that stands still for long looks like a hole in which the counter went round. What the
            # counter says is exact all the same.
            more = lost - ledger["lost"]
            assert more > 0 and more % modulus == 0 and gaps >= ledger["gaps"], (name, lost, gaps, ledger)
        strange = seen.value("neural_source_error_bytes_total", source=name)
        assert strange == ledger["garbage_bytes"] + ledger["truncated_bytes"], (name, ledger)
        # What a Ganglion's dongle says while it is asked is no text, and no account is kept of it.
        if name != "ganglion":
            assert seen.value("neural_device_messages_total", device=name) == ledger["answers"], (name, ledger)
        assert ledger["unheard"] == 0, (name, ledger)
    assert ledgers["hidden"]["lost"] == 300 and ledgers["hidden"]["gaps"] == 1
    assert ledgers["cyton"]["lost"] == 3 + 5 + 1 + 5 and ledgers["cyton"]["gaps"] == 4


def test_what_is_lost_before_a_greeting_is_lost_and_what_a_board_did_not_send_is_not(agent, simulate):
    """A silent board is told to start once more after 5 s: one that goes on has lost what is missing, one that began again
    has not."""
    hole = simulate("cyton", "--fault", "dropout=8s@6s", "--frames", "3000", name="hole")
    reset = simulate("cyton", "--fault", "reset@6s", "--frames", "3000", name="reset")
    port = lambda board: {"name": board.name, "port": board.port, "protocol": board.device}
    agent.configure([{"serial": port(board)} for board in (hole, reset)])
    agent.start()
    of = lambda seen, board, name: seen.value(f"neural_device_{name}_total", device=board)
    agent.until(lambda s: of(s, "hole", "frames") >= 3000 and of(s, "reset", "frames") >= 3000, 60)
    agent.until(lambda s: of(s, "hole", "lost_packets") >= 2000)
    time.sleep(2)
    seen = agent.scrape()
    for board in ("hole", "reset"):
        assert seen.value("neural_port_start_commands_total", device=board, reason="silent") >= 1, board
    ledgers = [board.ledger() for board in (hole, reset)]
    assert (ledgers[0]["lost"], ledgers[0]["gaps"], ledgers[1]["lost"]) == (2000, 1, 0), ledgers
    assert (of(seen, "hole", "lost_packets"), of(seen, "hole", "gaps")) == (2000, 1)
    assert (of(seen, "reset", "lost_packets"), of(seen, "reset", "gaps")) == (0, 0)
    assert [of(seen, board.name, "frames") for board in (hole, reset)] == [ledger["frames"] for ledger in ledgers]


def test_a_cyton_is_as_its_document_says(simulate):
    board = simulate("cyton", "--seed", "7", "--signal", "zero")
    with serial.Serial(board.port, 115200, timeout=5) as port:
        port.write(b"v")
        banner = port.read_until(b"$$$")
        assert b"OpenBCI V3" in banner and b"Firmware: v3.1.2" in banner
        for command, answer in [(b"V", b"v3.1.2$$$"), (bytes([0xF0, 7]), b"Success: System is Up$$$")]:
            port.write(command)
            assert port.read_until(b"$$$") == answer
        # One channel at gain 1, with the lead-off test on its positive input.
        port.write(b"x1000000X")
        assert port.read_until(b"$$$") == b"Success: Channel set for 1$$$"
        port.write(b"z110Z")
        assert port.read_until(b"$$$") == b"Success: Lead off set for 1$$$"
        port.write(b"b")
        data = np.frombuffer(port.read(33 * 500), np.uint8).reshape(500, 33)
        port.write(b"s")
    assert (data[:, 0] == 0xA0).all() and (data[:, 32] == 0xC0).all()
    assert np.array_equal(data[:, 1], np.arange(500) % 256)
    high = data[:, 2].astype(np.int8).astype(int)
    volts = (high << 16 | data[:, 3].astype(int) << 8 | data[:, 4]) * 4.5 / (2**23 - 1)
    # 6 nA through the electrode and a resistor of 2.2 kilohms; two seconds hold about whole periods of 31.2 Hz.
    turn = np.exp(-2j * np.pi * 31.2 * np.arange(500) / 250)
    ohms = 2 * abs(np.mean(volts * turn)) / 6e-9 - 2200
    assert ohms == pytest.approx(1000 * board.ledger()["channels"][0]["kiloohms"], rel=0.01)


def test_faults_that_end_a_link(simulate, tmp_path):
    board = simulate("cyton", "--fault", "die=1s@1s", "--fault", "die@2s")
    for number in range(2):
        with serial.Serial(board.port, 115200, timeout=5) as port:
            port.write(b"b")
            came, end = 0, time.monotonic() + 20
            with pytest.raises((serial.SerialException, OSError)):
                while time.monotonic() < end:
                    came += len(port.read(33))
            # A cable that is pulled takes the last bytes along.
            assert 0 < came <= 33 * 250, came
        # It is plugged in again once, as another terminal under the same name.
        if number == 0:
            before = time.monotonic()
            wait_until(lambda: os.path.exists(board.port), 30, "the board's return")
            assert time.monotonic() - before > 0.5
    ledger = board.ledger()
    assert (ledger["readers"], ledger["starts"], ledger["lost"]) == (2, 2, 0), ledger
    off = simulate("cyton", "--fault", "off", name="off")
    with serial.Serial(off.port, 115200, timeout=5) as port:
        for command in (b"v", b"b"):
            port.write(command)
            assert port.read_until(b"$$$") == b"Failure: Communications timeout - Device failed to poll Host$$$"
    assert off.ledger()["failures"] == 2


def test_a_reader_that_leaves_stops_nothing(simulate):
    board = simulate("openeeg_p2")
    with serial.Serial(board.port, 57600, timeout=5) as port:
        assert port.read(17)[:3] == b"\xa5\x5a\x02"
    time.sleep(1)
    before = cpu(board.process.pid)
    time.sleep(1)
    assert cpu(board.process.pid) - before < 0.5
    with serial.Serial(board.port, 57600, timeout=5) as port:
        # From the middle of its day, not what nobody read.
        assert port.read(17)[:3] == b"\xa5\x5a\x02"
    ledger = board.ledger()
    assert ledger["readers"] == 2 and ledger["unheard"] > 300 and ledger["starts"] == 1, ledger


def cpu(pid: int) -> float:
    # The clock of a process by its number, as clock_getcpuclockid(3) makes it.
    return time.clock_gettime(~pid << 3 | 2)


def test_the_demo_has_a_cyton_even_where_ports_are_taken(agents, tmp_path):
    agent = agents("demo")
    (tmp_path / "run").mkdir()
    environment = {"RUNTIME_DIRECTORY": str(tmp_path / "run"), "STATE_DIRECTORY": str(tmp_path / "state")}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        try:
            taken.bind(("127.0.0.1", 8125))
        except OSError:
            pass  # Somebody else has it: as good.
        agent.start(environment, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{agent.port}"])
        seen = agent.until(lambda s: s.value("neural_device_rate_hertz", device="cyton") > 200, 30)
    assert seen.value("neural_source_up", source="cyton") == 1
    assert seen.value("neural_source_up", source="pipeline") == 1
    assert seen.value("neural_device_channels", device="cyton") == 8
    agent.says("neural_device")


def test_the_same_seed_is_the_same_bytes_and_mistakes_are_said(simulate, tmp_path):
    streams = []
    for seed in ("3", "3", "4"):
        board = simulate("knight", "--seed", seed, name=f"knight{len(streams)}")
        with serial.Serial(board.port, 115200, timeout=5) as port:
            streams.append(port.read(21 * 100))
        board.ledger()
    assert streams[0] == streams[1] != streams[2]
    (tmp_path / "mine").write_text("mine")
    for options, why in [
        (["--fault", "loose=3@1s"], "there is no fault"),
        (["--fault", "rail=9"], "there is no channel 9"),
        (["--fault", "battery=9%"], "does not tell its battery"),
        (["--board", "UNO-R4"], "boards can be chosen of chords"),
        (["--pty", str(tmp_path / "mine")], "no symlink"),
    ]:
        done = subprocess.run([str(PROGRAM), "simulate", "knight", *options], capture_output=True, timeout=30)
        assert done.returncode in (1, 2) and why in done.stderr.decode(), (options, done)
    assert (tmp_path / "mine").read_text() == "mine"
