"""Boards that are not as they should be, and programs that drive them: what they lose, and nothing else, is lost.

Independent: the makers' and BrainFlow's own drivers as programs behind the tap, and the simulators' account of what was
sent. Simulators share no code with decoders; what they do is in their makers' firmware.
"""
from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from conftest import wait_until
from test_simulate import simulate  # noqa: F401  (a fixture)


def of(seen, name: str, device: str) -> float:
    return seen.value(f"neural_device_{name}", device=device)


def watch(agent, *boards, **settings) -> None:
    port = lambda board: {"name": board.name, "port": board.port, "protocol": board.device, **settings}
    agent.configure([{"serial": port(board)} for board in boards])
    agent.start()


def test_a_board_that_sends_half_of_what_its_name_says_loses_nothing(agent, simulate):
    # 250 Hz under a name for 500, three bursts a second; one with a stall in the first seconds, one that loses 300.
    slow = ("--board", "UNO-R4", "--fault", "drift=-500000ppm", "--fault", "burst=300ms")
    slow_board = simulate("chords", *slow, "--frames", "3750", name="slow")
    stalls = simulate("chords", *slow[:4], "--fault", "burst=700ms@1s..1400ms", *slow[4:], "--frames", "3750", name="stalls")
    loses = simulate("chords", *slow, "--fault", "lose=300@5s", "--frames", "3750", name="loses")
    boards = [slow_board, stalls, loses]
    watch(agent, *boards)
    seen = agent.until(lambda s: all(of(s, "frames_total", board.name) >= 3750 for board in boards), 60)
    agent.until(lambda s: of(s, "lost_packets_total", "loses") >= 300, 60)
    # What is judged is judged by then.
    time.sleep(17)
    seen = agent.scrape()
    for board in boards:
        ledger = board.ledger()
        assert of(seen, "frames_total", board.name) == ledger["frames"] == 3750, ledger
        assert of(seen, "lost_packets_total", board.name) == ledger["lost"], (board.name, ledger)
        assert of(seen, "gaps_total", board.name) == ledger["gaps"], (board.name, ledger)
        assert of(seen, "nominal_rate_hertz", board.name) == 500


def test_a_rate_that_is_low_is_said_to_be_and_can_be_set(agent, simulate):
    low = simulate("chords", "--fault", "drift=-500000ppm", name="low")
    said = simulate("chords", "--fault", "drift=-500000ppm", name="said")
    port = lambda board, **more: {"serial": {"name": board.name, "port": board.port, "protocol": "chords", **more}}
    agent.configure([port(low), port(said, rate=250)])
    agent.start()
    near = lambda value, want: abs(value - want) < 0.05
    agent.until(lambda s: near(of(s, "rate_ratio", "low"), 0.5) and near(of(s, "rate_ratio", "said"), 1.0), 40)
    seen = agent.scrape()
    assert (of(seen, "nominal_rate_hertz", "low"), of(seen, "nominal_rate_hertz", "said")) == (500, 250)
    assert of(seen, "lost_packets_total", "low") == of(seen, "lost_packets_total", "said") == 0


def test_firmware_that_reads_until_a_second_of_silence_starts(agent, simulate):
    boards = [simulate("chords", "--commands", how, name=how) for how in ("silence", "lines")]
    watch(agent, *boards)
    seen = agent.until(lambda s: all(of(s, "samples_total", board.name) > 500 for board in boards), 30)
    for board in boards:
        assert of(seen, "messages_total", board.name) == 1, "it was asked for its name once"
        assert board.ledger()["starts"] == 1


BITALINO = """
import sys, time, types
sys.modules["bluetooth"] = types.ModuleType("bluetooth")
from bitalino import BITalino
board = BITalino(sys.argv[1])
for rate, channels, rows in [(1000, [0, 2], 1500), (1000, [0, 2], 1111), (1000, [4], 700), (100, [0, 1, 2, 3, 4, 5], 150)]:
    board.start(rate, channels)
    read = 0
    while read < rows:
        some = board.read(10)
        assert some.shape[1] == 5 + len(channels), some.shape
        read += len(some)
    board.stop()
    # What was on the way is not for the next stream.
    time.sleep(0.3)
    board.socket.reset_input_buffer()
board.close()
"""


@pytest.mark.parametrize("faults", [(), ("lose=7@1s", "lose=3@2s")], ids=["whole", "lossy"])
def test_a_program_starts_a_bitalino_again_and_with_other_channels(agent, simulate, faults):
    board = simulate("bitalino", *(option for fault in faults for option in ("--fault", fault)))
    tap = agent.path("tap")
    watch(agent, board, tap=tap)
    wait_until(lambda: os.path.exists(tap), what="the tap")
    agent.until(lambda s: s.value("neural_source_up", source="bitalino") == 1)
    reader = subprocess.run([sys.executable, "-c", BITALINO, os.path.realpath(tap)], capture_output=True, timeout=60)
    if not faults:
        assert reader.returncode == 0, reader.stderr.decode()
    time.sleep(1)
    seen = agent.scrape()
    ledger = board.ledger()
    assert ledger["starts"] == 4 and ledger["lost"] == (10 if faults else 0), ledger
    assert of(seen, "frames_total", "bitalino") == ledger["frames"], ledger
    assert of(seen, "samples_total", "bitalino") == ledger["frames"], ledger
    assert of(seen, "lost_packets_total", "bitalino") == ledger["lost"], ledger
    assert (of(seen, "channels", "bitalino"), of(seen, "nominal_rate_hertz", "bitalino")) == (6, 100)
    assert seen.value("neural_source_errors_total", source="bitalino") == 0


@pytest.mark.parametrize("faults", [(), ("lose=5@1500ms", "lose=2@4s")], ids=["whole", "lossy"])
def test_ganglions_of_any_firmware_begin_and_begin_again(agent, simulate, faults):
    options = tuple(option for fault in faults for option in ("--fault", fault))
    boards = [
        simulate("ganglion", "--firmware", firmware, "--frames", "600", *options, name=f"g{firmware.replace('.', '')}")
        for firmware in ("2", "3.0.0", "3.0.1", "3.0.2")
    ]
    watch(agent, *boards)
    seen = agent.until(lambda s: all(of(s, "frames_total", board.name) >= 600 for board in boards), 60)
    for board in boards:
        ledger = board.ledger()
        assert of(seen, "frames_total", board.name) == ledger["frames"] == 600
        assert of(seen, "lost_packets_total", board.name) == ledger["lost"] == (7 if faults else 0), (board.name, ledger)


GANGLION = """
import sys, time
from brainflow.board_shim import BoardShim, BrainFlowInputParams
BoardShim.disable_board_logger()
params = BrainFlowInputParams()
params.serial_port, params.timeout, params.other_info = sys.argv[1], 15, "fw:auto"
board = BoardShim(1, params)
board.prepare_session()
for seconds in (1.4, 2.6, 1.2):
    board.start_stream()
    time.sleep(seconds)
    board.stop_stream()
board.release_session()
"""


@pytest.mark.parametrize("firmware", ["2", "3.0.0", "3.0.2"])
def test_brainflow_stops_a_ganglion_within_a_round_and_starts_it_again(agent, simulate, firmware):
    board = simulate("ganglion", "--firmware", firmware, "--fault", "lose=4@2s")
    tap = agent.path("tap")
    watch(agent, board, tap=tap)
    wait_until(lambda: os.path.exists(tap), what="the tap")
    reader = subprocess.run([sys.executable, "-c", GANGLION, tap], capture_output=True, timeout=90)
    assert reader.returncode == 0, reader.stderr.decode()
    time.sleep(1)
    seen, ledger = agent.scrape(), board.ledger()
    assert ledger["starts"] == 3 and ledger["lost"] == 4, ledger
    assert of(seen, "frames_total", "ganglion") == ledger["frames"], ledger
    assert of(seen, "lost_packets_total", "ganglion") == ledger["lost"], ledger
