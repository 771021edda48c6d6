"""A program records a board through the agent: it gets every sample, and the agent counts the same.

Independent: BrainFlow (its own driver for the Cyton), pyserial and socat as programs; the kernel's
pseudo-terminal as the line. The board is played here, as its documents describe it.
"""
from __future__ import annotations

import fcntl
import os
import random
import select
import signal
import subprocess
import threading
import time
import tty
from pathlib import Path

import numpy as np
import pytest
import serial
from brainflow.board_shim import BoardShim, BrainFlowInputParams

from conftest import PROGRAM, Agent, program, wait_until

# Volts of one count at the gain of 24, in the unit that BrainFlow gives.
MICROVOLTS = 4.5 / 24 / (2**23 - 1) * 1e6
RATE = 250


class Cyton:
    """A board on a line of its own: silent until told to start, 250 frames a second by the clock, in bursts as a
    dongle sends them."""

    def __init__(self, folder: Path):
        self.link = folder / "board"
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.symlink(os.ttyname(self.slave), self.link)
        # What it sent since it was last told to start: one row of counts a frame.
        self.samples: list[list[int]] = []
        self.frames = 0
        self.heard = b""
        self.dice = random.Random(7)
        self.streaming = False
        self.gone = False
        self.thread = threading.Thread(target=self.live)
        self.thread.start()

    def frame(self) -> bytes:
        counts = [self.dice.randrange(-(2**23), 2**23) for _ in range(8)]
        number = len(self.samples) % 256
        self.samples.append(counts)
        self.frames += 1
        body = b"".join(count.to_bytes(3, "big", signed=True) for count in counts)
        return bytes([0xA0, number]) + body + bytes(6) + b"\xc0"

    def live(self) -> None:
        due, burst = 0.0, 4
        while not self.gone:
            wait = max(0.0, due - time.monotonic()) if self.streaming else 0.05
            if select.select([self.master], [], [], wait)[0]:
                for byte in os.read(self.master, 4096):
                    self.hear(bytes([byte]))
                    if byte == ord("b"):
                        due = time.monotonic()
            if self.streaming and time.monotonic() >= due:
                os.write(self.master, b"".join(self.frame() for _ in range(burst)))
                due += burst / RATE

    def hear(self, command: bytes) -> None:
        self.heard += command
        if command == b"v":
            os.write(self.master, b"OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\nFirmware: v3.1.2\n$$$")
        elif command == b"d" and not self.streaming:
            os.write(self.master, b"updating channel settings to default$$$")
        elif command == b"b":
            self.samples, self.streaming = [], True
        elif command == b"s":
            self.streaming = False

    def unplug(self) -> None:
        if not self.gone:
            self.gone = True
            self.thread.join()
            os.close(self.slave)
            os.close(self.master)
            self.link.unlink()


@pytest.fixture
def board(tmp_path):
    cyton = Cyton(tmp_path)
    yield cyton
    cyton.unplug()


@pytest.fixture
def tapped(agent, board) -> Agent:
    """An agent that reads along, while whoever opens the link has the board."""
    source = {"name": "cyton", "port": str(board.link), "protocol": "cyton", "tap": agent.path("tap")}
    agent.configure([{"serial": source}])
    agent.start()
    wait_until(lambda: os.path.exists(agent.path("tap")), what="the tap")
    return agent


def counted(agent: Agent, frames: int) -> None:
    """The agent's own account is that of the board: every frame, none lost, no byte without a meaning."""
    seen = agent.until(lambda s: s.value("neural_device_frames_total", device="cyton") >= frames)
    assert seen.value("neural_device_frames_total", device="cyton") == frames
    assert seen.value("neural_device_samples_total", device="cyton") == frames
    for nothing in ("device_lost_packets", "device_gaps"):
        assert seen.value(f"neural_{nothing}_total", device="cyton") == 0, nothing
    assert seen.value("neural_source_errors_total", source="cyton") == 0
    assert seen.value("neural_tap_dropped_bytes_total", device="cyton") == 0
    assert seen.value("neural_tap_undecoded_bytes_total", device="cyton") == 0


def test_brainflow_records_every_sample(tapped, board):
    BoardShim.disable_board_logger()
    frames = 0
    # A second session finds the board as the first one did, and nothing of the first.
    for session in range(2):
        params = BrainFlowInputParams()
        params.serial_port = tapped.path("tap")
        shim = BoardShim(0, params)
        shim.prepare_session()
        shim.start_stream()
        streams = lambda s: s.value("neural_device_streaming", device="cyton") == 1
        tapped.until(lambda s: streams(s) and s.value("neural_tap_open", device="cyton") == 1)
        time.sleep(4)
        shim.stop_stream()
        wait_until(lambda: not board.streaming, what="the board's stop")
        data = shim.get_board_data()
        shim.release_session()
        sent = np.array(board.samples)
        # BrainFlow tells the board to stop and then reads no more: what was on its way then, is not in its data.
        came = data.shape[1]
        assert len(sent) - RATE // 2 <= came <= len(sent) and came > 3.5 * RATE, f"{len(sent)} sent, {came} recorded"
        assert np.array_equal(data[0], np.arange(came) % 256)
        assert np.allclose(data[1:9].T, sent[:came] * MICROVOLTS, rtol=1e-9, atol=1e-9)
        frames += len(sent)
        counted(tapped, frames)
        opens = lambda s: s.value("neural_tap_opens_total", device="cyton")
        closed = tapped.until(lambda s: s.value("neural_tap_open", device="cyton") == 0 and opens(s) > session)
        assert opens(closed) == session + 1
    # Everything that the board heard, BrainFlow said.
    assert set(board.heard) <= set(b"vdbs") and board.heard.count(b"b") == 2, board.heard
    delays = {s.labels["le"]: s.value for s in tapped.scrape().series("neural_tap_delay_seconds_bucket")}
    assert delays["+Inf"] > 0


def test_pyserial_and_socat_record_the_same_bytes(tapped, board):
    with serial.Serial(tapped.path("tap"), 115200, timeout=5, exclusive=True) as port:
        port.write(b"v")
        assert b"Device ID: 0x3E" in port.read_until(b"$$$")
        port.write(b"b")
        recorded = port.read(33 * 500)
        port.write(b"s")
        wait_until(lambda: not board.streaming, what="the board's stop")
        recorded += port.read(33 * (len(board.samples) - 500))
    assert [recorded[i] for i in range(0, len(recorded), 33)] == [0xA0] * len(board.samples)
    counts = [[int.from_bytes(recorded[i + k : i + k + 3], "big", signed=True) for k in range(2, 26, 3)] for i in range(0, len(recorded), 33)]
    assert counts == board.samples
    frames = len(counts)
    counted(tapped, frames)

    # The second program has never heard of serial ports.
    with subprocess.Popen([program("socat"), "-u", f"OPEN:{tapped.path('tap')},noctty", "-"], stdout=subprocess.PIPE) as socat:
        tapped.until(lambda s: s.value("neural_tap_open", device="cyton") == 1)
        with open(tapped.path("tap"), "wb", buffering=0) as other:
            other.write(b"b")
            time.sleep(2)
            other.write(b"s")
        wait_until(lambda: not board.streaming, what="the board's stop")
        want = 33 * len(board.samples)
        os.set_blocking(socat.stdout.fileno(), False)
        recorded = b""

        def all_of_it() -> bool:
            nonlocal recorded
            recorded += socat.stdout.read() or b""
            return len(recorded) >= want

        wait_until(all_of_it, what="socat's last byte")
        socat.terminate()
    counts = [[int.from_bytes(recorded[i + k : i + k + 3], "big", signed=True) for k in range(2, 26, 3)] for i in range(0, want, 33)]
    assert counts == board.samples and len(recorded) == want
    counted(tapped, frames + len(counts))


def test_an_agent_that_was_killed_leaves_a_link_that_the_next_one_replaces(tapped, board):
    tapped.process.send_signal(signal.SIGKILL)
    tapped.process.wait()
    link = Path(tapped.path("tap"))
    assert link.is_symlink()
    tapped.start()
    wait_until(link.exists, what="the tap")
    with serial.Serial(str(link), 115200, timeout=5) as port:
        port.write(b"v")
        assert port.read_until(b"$$$").endswith(b"$$$")
    tapped.stop()
    assert not link.is_symlink()


def test_a_program_sees_the_board_unplugged(tapped, board):
    with serial.Serial(tapped.path("tap"), 115200, timeout=5) as port:
        port.write(b"b")
        assert len(port.read(330)) == 330
        unplugged = time.monotonic()
        board.unplug()
        with pytest.raises(serial.SerialException):
            while True:
                assert port.read(4096), "silence in place of a line that hung up"
        tapped.until(lambda s: s.value("neural_source_up", source="cyton") == 0)
        assert time.monotonic() - unplugged < 10
    assert not os.path.lexists(tapped.path("tap"))


def others_may_run_it() -> bool:
    """Whether root can play a user who may run the program and open a terminal."""
    try:
        subprocess.run([PROGRAM, "--version"], user=65534, group=0, extra_groups=[], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return False
    return os.stat("/dev/ptmx").st_mode & 0o060 == 0o060


@pytest.mark.skipif(os.geteuid() != 0 or not others_may_run_it(), reason="only root can play another user")
def test_a_program_that_crashed_with_the_port_for_itself_locks_nobody_out(agent, board):
    """Exclusive use outlives a program on a terminal, unlike on a port, and would lock out all but root."""
    nobody = 65534
    agent.folder.chmod(0o777)
    for folder in agent.folder.parents:
        if folder != Path("/") and folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    os.chown(os.ttyname(board.slave), nobody, nobody)
    source = {"name": "cyton", "port": str(board.link), "protocol": "cyton", "tap": agent.path("tap")}
    agent.configure([{"serial": source}])
    # Terminals may be for the group of root alone.
    agent.start(user=nobody, group=0, extra_groups=[])
    wait_until(lambda: os.path.exists(agent.path("tap")), what="the tap")
    for _ in range(3):
        opened = agent.scrape().value("neural_tap_opens_total", device="cyton")
        line = os.open(agent.path("tap"), os.O_RDWR | os.O_NOCTTY)
        tty.setraw(line)
        fcntl.ioctl(line, 0x540C)  # TIOCEXCL
        # Who looked whether it is locked may have opened it too.
        agent.until(lambda s: s.value("neural_tap_opens_total", device="cyton") > opened)
        os.close(line)
        agent.until(lambda s: s.value("neural_tap_open", device="cyton") == 0)

        def opens() -> bool:
            look = "import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY))"
            return subprocess.run(["python3", "-c", look, agent.path("tap")], user=nobody, group=nobody, stderr=subprocess.DEVNULL).returncode == 0

        wait_until(opens, what="others can open it")
        agent.until(lambda s: s.value("neural_tap_open", device="cyton") == 0)


def rms(seen, channel: int, of: int = 3) -> float:
    """How much larger a channel is than another, in volts; 0 as long as that is not known."""
    volts = [seen.value("neural_channel_rms_volts", device="cyton", channel=str(c)) for c in (channel, of)]
    return volts[0] / volts[1] if volts[1] > 0 else 0.0


def test_a_gain_that_the_program_sets_is_that_of_the_volts(tapped, board):
    """The board's counts are the same for all channels; at a gain of 1 each is 24 times as many volts."""
    with serial.Serial(tapped.path("tap"), 115200, timeout=5) as port:
        # Before the stream, in pieces, and in it.
        for piece in (b"x10", b"0011", b"0Xb"):
            port.write(piece)
            time.sleep(0.1)
        tapped.until(lambda s: 20 < rms(s, 1) < 28 and 0.9 < rms(s, 2) < 1.1, 30)
        port.write(b"x2040110X")
        seen = tapped.until(lambda s: 2.5 < rms(s, 2) < 3.5 and 20 < rms(s, 1) < 28, 30)
        assert seen.value("neural_channel_railed_ratio", device="cyton", channel="1") == 0, "the rails are those of the gain"
        port.write(b"d")
        tapped.until(lambda s: 0.9 < rms(s, 1) < 1.1, 30)
        port.write(b"s")
        wait_until(lambda: not board.streaming, what="the board's stop")
    counted(tapped, board.frames)


def test_a_daisy_behind_a_tap_is_told_by_what_it_says(tapped, board):
    def states(seen) -> set:
        return {s.labels["state"] for s in seen.series("neural_port_state", device="cyton") if s.value == 1}

    with serial.Serial(tapped.path("tap"), 115200, timeout=5) as port:
        for text, state in [
            (b"OpenBCI V3 8-16 channel\nOn Board ADS1299 Device ID: 0x3E\nOn Daisy ADS1299 Device ID: 0x3E\nFirmware: v3.1.2\n$$$", "wrong_device"),
            (b"daisy removed$$$", "open"),
            (b"daisy attached16$$$", "wrong_device"),
            (b"no daisy to attach!8$$$", "open"),
        ]:
            os.write(board.master, text)
            assert port.read_until(b"$$$") == text
            tapped.until(lambda s: states(s) == {state})
    tapped.says("write `protocol: daisy`")
