"""What the log says of a running acquisition: changes of channels, losses, and a summary."""
from __future__ import annotations

import datetime
import re
import socket
import subprocess
import time

from conftest import PROGRAM, stage, wait_until
from test_ports import serial, simulated  # noqa: F401 - a fixture


def lines(agent, pattern: str) -> list[tuple[float, str]]:
    """Lines of the log that have this, with their times."""
    found = [line for line in agent.log.read_text().splitlines() if re.search(pattern, line)]
    return [(datetime.datetime.fromisoformat(line.split(" ")[0].replace("Z", "+00:00")).timestamp(), line) for line in found]


def test_channels_that_turn_bad_and_packets_that_are_lost(agent, simulated):  # noqa: F811
    link = simulated("cyton", "--fault", "rail=3@4s..16s", "--fault", "lose=2%")
    agent.configure(serial(link, protocol="cyton"))
    agent.start()
    wait_until(lambda: lines(agent, "channel 3 of board is good again"), 60, "the recovery of channel 3")
    (bad, line), *others = lines(agent, r"channel.* 3\b.* of board (is|are) bad")
    assert " WARN " in line and "railed" in line and not [o for o in others if o[0] - bad < 10], (line, others)
    good, line = lines(agent, "channel 3 of board is good again")[0]
    assert " INFO " in line and good >= bad + 10
    # Losses: at most a line in ten seconds, and together what was counted.
    wait_until(lambda: len(lines(agent, r"board lost [\d,]+ packet")) >= 3, 60, "three lines of losses")
    losses = lines(agent, r"board lost [\d,]+ packet")
    counted = agent.scrape().value("neural_device_lost_packets_total", device="board")
    gaps = [later - earlier for (earlier, _), (later, _) in zip(losses, losses[1:])]
    assert min(gaps) > 9, gaps
    said = sum(int(re.search(r"lost ([\d,]+) packet", line)[1].replace(",", "")) for _, line in losses)
    # What was lost since the last line is not said yet: 5 a second, and the line may have waited for the machine.
    assert counted - 100 <= said <= counted, (said, counted)


def test_a_summary_says_what_was_sent(agent):
    place = agent.path("in.sock")
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{place}"}}], history={"interval": "1s"}, log={"level": "info", "summary": "10s"})
    agent.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place)
        client.sendall((stage("p") + b"\n") * 10)
        end = time.monotonic() + 25
        while time.monotonic() < end:
            client.sendall((stage("p") + b"\n") * 40)
            time.sleep(0.2)
    (_, line), *_ = lines(agent, "summary of 10s: ")[1:]
    events = int(re.search(r"events ([\d,]+),", line)[1].replace(",", ""))
    runs = int(re.search(r"stage runs ([\d,]+),", line)[1].replace(",", ""))
    # Forty each fifth of a second, as well as the machine lets the sender.
    assert 1000 < events <= 2200 and 1000 < runs <= 2200, line
    assert "p95 of the slowest stage" in line and "devices" not in line and "cache" not in line, line


def test_a_summary_can_be_left_out_and_its_time_is_checked(agent):
    agent.configure([], log={"level": "info", "summary": "5s"})
    done = subprocess.run([PROGRAM, "check", "--config", agent.file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "log.summary" in done.stdout + done.stderr, done
    agent.configure([], log={"level": "info", "summary": "0s"})
    done = subprocess.run([PROGRAM, "check", "--config", agent.file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
