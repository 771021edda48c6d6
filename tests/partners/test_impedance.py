"""The impedance of a Cyton's electrodes, measured by the agent before the stream begins, on a simulated board.

The board's account knows each electrode; what the agent measures is held against it. That board and agent agree on
the current and its frequency is their one document, not a second opinion.
"""
from __future__ import annotations

import pytest

from conftest import wait_until
from test_simulate import simulate  # noqa: F401  a fixture

# Bytes that the agent writes so that a Cyton streams: stop, the questions for its firmware and its registers, start.
BARE = 4


def configure(agent, board, device: str, **settings) -> None:
    agent.configure(
        [{"serial": {"name": "eeg", "port": board.port, "protocol": device, **settings}}],
        intervals={"device": "1s"},
    )
    agent.start()


@pytest.mark.parametrize("device,channels", [("cyton", 8), ("daisy", 16)])
def test_electrodes_are_measured_and_then_the_stream_runs(agent, simulate, device, channels):  # noqa: F811
    board = simulate(device)
    configure(agent, board, device, impedance="at_start")
    measured = lambda: agent.scrape().series("neural_device_electrode_impedance_ohms", device="eeg")
    wait_until(lambda: len(measured()) == channels, 120, "the measurement")
    samples = lambda: agent.scrape().value("neural_device_samples_total", device="eeg")
    wait_until(lambda: samples() > 500, 60, "the stream after it")
    scrape = agent.scrape()
    agent.stop()
    ledger = board.ledger()
    for electrode in ledger["channels"]:
        (sample,) = scrape.series("neural_device_electrode_impedance_ohms", device="eeg", channel=str(electrode["channel"]))
        ohms = 1000 * electrode["kiloohms"]
        # 200 ohms are 1.2 microvolts: what a head puts there itself.
        assert abs(sample.value - ohms) <= 0.05 * ohms + 200, (electrode, sample)
    assert ledger["starts"] == channels + 1 and ledger["failures"] == 0, ledger
    # The firmware, defaults, and four answers a channel.
    assert ledger["answers"] == 2 + 4 * channels, ledger
    assert scrape.value("neural_device_firmware_info", device="eeg", version="v3.1.2") == 1
    assert scrape.value("neural_device_lost_packets_total", device="eeg") == 0
    assert scrape.value("neural_device_error_messages_total", device="eeg") == 0
    assert scrape.value("neural_source_errors_total", source="eeg") == 0
    agent.says(f"impedance of {channels} channels is measured")


def test_a_board_that_is_not_to_be_measured_is_only_started(agent, simulate):  # noqa: F811
    board = simulate("cyton")
    configure(agent, board, "cyton", impedance="never")
    samples = lambda: agent.scrape().value("neural_device_samples_total", device="eeg")
    wait_until(lambda: samples() > 500, 60, "the stream")
    assert not agent.scrape().series("neural_device_electrode_impedance_ohms", device="eeg")
    # What was changed beside it does not have the running stream measured.
    agent.config["sources"][0]["serial"]["impedance"] = "at_start"
    agent.write()
    before = samples()
    agent.reload()
    wait_until(lambda: samples() > before + 500, 60, "the stream after the reload")
    assert not agent.scrape().series("neural_device_electrode_impedance_ohms", device="eeg")
    agent.stop()
    assert board.ledger()["failures"] == 0


def test_never_writes_nothing_but_a_question_start_and_stop(agent, simulate):  # noqa: F811
    board = simulate("cyton")
    configure(agent, board, "cyton")
    samples = lambda: agent.scrape().value("neural_device_samples_total", device="eeg")
    wait_until(lambda: samples() > 500, 60, "the stream")
    agent.stop()
    ledger = board.ledger()
    # `s`, `V`, `?` and `b`, and `s` at the end; no `d`, `x` or `z`, which would be answered too.
    assert ledger["answers"] == 2 and ledger["heard_bytes"] == BARE + 1, ledger
