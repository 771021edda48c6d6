"""Clocks that are set while devices stream. Independent: libfaketime, which sets the wall clock of one process and lets
its other clocks run on, as settimeofday does for a machine."""
from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

from conftest import PROGRAM, Scrape, unix
from test_simulate import simulate  # noqa: F401  A fixture.

HOUR, DAY = 3600, 86_400


class Wall:
    """The wall clock of a process, as far as it is off."""

    def __init__(self, folder: Path):
        self.file = folder / "faketime"
        self.set(0)
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert found, "faketime is not installed; `make partners` installs it"
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            # The name changed with version 0.9.10.
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        self.off = seconds
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        os.rename(new, self.file)

    def now(self) -> float:
        return time.time() + self.off


def test_a_wall_clock_that_is_set_loses_nothing_and_a_replay_says_the_same(agent, simulate, tmp_path):  # noqa: F811
    board, wall = simulate("cyton"), Wall(tmp_path)
    agent.configure([
        {"serial": {"name": "eeg", "port": board.port, "protocol": "cyton"}},
        {"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}},
    ])
    recording = agent.path("recording")
    command = [str(PROGRAM), "record", "--config", str(agent.file), "--output", recording]
    agent.start(command=command, environment=wall.environment)
    of = lambda seen, name: seen.value(f"neural_device_{name}", device="eeg")
    agent.until(lambda s: of(s, "frames_total") > 1000)
    call = {"type": "call", "model": "m", "prompt_tokens": 200, "completion_tokens": 50}
    with unix(agent.path("in.sock")) as client:
        client.sendall(json.dumps(call).encode() + b"\n")
        agent.until(lambda s: s.value("neural_llm_tokens_today") == 250)
        sent = time.monotonic()
        # Forward and back, and none of it over midnight forward unless that is said.
        evening = DAY - time.time() % DAY
        steps = [2, 5, 0, -5, HOUR if evening > HOUR + 60 else -HOUR, -DAY, 0]
        for step in steps:
            wall.set(step)
            for _ in range(3):
                time.sleep(0.7)
                seen = agent.scrape()
                told = {name: of(seen, name) for name in ("lost_packets_total", "gaps_total", "rate_hertz", "longest_gap_seconds", "streaming")}
                assert told["lost_packets_total"] == told["gaps_total"] == 0, (step, told)
                assert abs(told["rate_hertz"] - 250) < 5 and told["streaming"] == 1, (step, told)
                assert told["longest_gap_seconds"] < 1, (step, told)
            # A source that is quiet is quiet for as long as it is: this is what its alert asks for.
            quiet = seen.value("neural_agent_time_seconds") - seen.value("neural_source_last_event_timestamp_seconds", source="in")
            assert abs(quiet - (time.monotonic() - sent)) < 3, (step, quiet)
            loaded = seen.value("neural_agent_time_seconds") - seen.value("neural_agent_config_last_reload_success_timestamp_seconds")
            assert 0 < loaded < time.monotonic() - sent + 60, (step, loaded)
            # What is read by people says what the clock says.
            assert abs(of(seen, "last_sample_timestamp_seconds") - wall.now()) < 1.5, (step, wall.now())
            assert seen.value("neural_llm_tokens_today") == 250, step
        wall.set(2 * DAY)
        agent.until(lambda s: s.value("neural_llm_tokens_today") == 0)
    agent.stop()
    live = board.ledger()
    assert live["lost"] == 0 and live["unheard"] == 0, live
    replayed = subprocess.run([str(PROGRAM), "replay", recording], capture_output=True, text=True, timeout=60)
    assert replayed.returncode == 0, replayed.stderr
    again = Scrape(replayed.stdout)
    assert of(again, "lost_packets_total") == of(again, "gaps_total") == 0
    assert of(again, "frames_total") == live["frames"], live
    assert abs(of(again, "rate_hertz") - 250) < 5 and of(again, "longest_gap_seconds") < 1


def test_what_is_lost_while_the_clock_is_set_is_lost(agent, simulate, tmp_path):  # noqa: F811
    """300 packets, of which a counter of 8 bits shows 44: the others are seen by a clock that is not set."""
    board, wall = simulate("cyton", "--fault", "lose=300@6s", "--frames", "2250"), Wall(tmp_path)
    agent.configure([{"serial": {"name": "eeg", "port": board.port, "protocol": "cyton"}}])
    agent.start(environment=wall.environment)
    of = lambda seen, name: seen.value(f"neural_device_{name}", device="eeg")
    agent.until(lambda s: of(s, "frames_total") >= 1450)
    # In the middle of the hole.
    time.sleep(0.5)
    wall.set(-HOUR)
    agent.until(lambda s: of(s, "frames_total") >= 2250, 30)
    seen = agent.until(lambda s: of(s, "lost_packets_total") >= 300)
    assert (of(seen, "lost_packets_total"), of(seen, "gaps_total")) == (300, 1)
