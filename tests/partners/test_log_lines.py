"""What the log says of a running acquisition: changes of channels, losses, and a summary."""
from __future__ import annotations

import datetime
import gzip
import json
import re
import socket
import subprocess
import time

import yaml

from conftest import PROGRAM, stage, wait_until
from test_alerting import LOST, eeg, recorder, write_rules  # noqa: F401 - a fixture
from test_notifications import levels  # noqa: F401 - a fixture
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
    assert " WARN " in line and "railed" in line and not [o for o in others if o[0] - bad < 9.9], (line, others)
    good, line = lines(agent, "channel 3 of board is good again")[0]
    assert " INFO " in line and good >= bad + 9.9
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


def test_a_summary_has_every_figure_of_what_runs(agent, simulated, tmp_path):  # noqa: F811
    """Window, stages, throughput, errors, cache, tokens of the budget, queues, devices, alerts and incidents."""
    link, place = simulated("cyton", "--fault", "rail=3@4s..60s", "--fault", "lose=2%"), agent.path("in.sock")
    rule = {"alert": "Failing", "expr": "rate(neural_stage_failures_total[10s]) > 0", "labels": {"severity": "critical", "priority": "P2"}}
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{place}"}}, *serial(link, protocol="cyton")], history={"interval": "1s"},
                    log={"level": "info", "summary": "10s"}, llm={"budget": {"tokens_per_day": 1_000_000}},
                    alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]})
    agent.start()
    figures = {"events": r"[\d,]+", "refused": r"[\d,]+", "devices streaming": "1", "packets lost": r"[\d,]+", "bad channels": "1", "stage runs": r"[\d,]+",
               "runs per second": r"[\d.]+", "failed": r"[\d,]+", "p95 of the slowest stage": r"[\d.]+ ms", "items queued": "7", "cache hits": "75.0 %",
               "tokens today": r"[\d,]+", "token budget used": r"\d+.\d %", "alerts firing": r"\d+", "incidents open": r"\d+"}
    missing, end = [], time.monotonic() + 90
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place)
        while time.monotonic() < end:
            for event in ({"type": "queue", "pipeline": "p", "queue": "q", "depth": 7, "limit": 32}, {"type": "cache", "pipeline": "p", "cache": "c", "hits": 3, "misses": 1},
                          {"type": "call", "model": "m", "prompt_tokens": 900, "completion_tokens": 100, "seconds": 1}):
                client.sendall(json.dumps(event).encode() + b"\n")
            client.sendall((stage("p") + b"\n") * 20 + stage("p", outcome="error") + b"\nnoise\n")
            said = [line for _, line in lines(agent, "summary of 10s: ")]
            missing = [name for name, value in figures.items() if not said or not re.search(rf"(: |, ){name} {value}(,|$)", said[-1])]
            if not missing:
                break
            time.sleep(0.2)
    assert not missing, (missing, said[-1:])
    line = said[-1]
    number = lambda name: float(re.search(rf"(?:: |, ){name} ([\d,.]+)", line)[1].rstrip(",").replace(",", ""))
    assert abs(number("runs per second") * 10 - number("stage runs")) <= 0.1 * number("stage runs") + 2, line
    assert abs(number("token budget used") - number("tokens today") / 10_000) < 1, line
    times = [at for at, _ in lines(agent, "summary of 10s: ")]
    assert all(9 < later - earlier < 20 for earlier, later in zip(times, times[1:])), times


def test_without_a_word_there_is_a_summary_each_ten_minutes(agent):
    agent.configure([])
    del agent.config["log"]
    agent.write()
    done = subprocess.run([PROGRAM, "check", "--print", "--config", agent.file], capture_output=True, text=True, timeout=30)
    assert yaml.safe_load(done.stdout)["log"]["summary"] in ("600s", "10m", "10m0s"), done


def test_an_alert_that_flaps_has_a_line_in_ten_seconds(agent, levels, tmp_path):  # noqa: F811
    rule = {"alert": "Flaps", "expr": "level > 5", "labels": {"severity": "critical"}}
    agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]},
                    events_log={"path": str(tmp_path / "events.jsonl")})
    agent.start()
    levels.set(a=1)
    for turn in range(12):
        levels.set(a=9 if turn % 2 == 0 else 1)
        time.sleep(2.2)
    wait_until(lambda: "over" in lines(agent, "alert=\"Flaps\"")[-1][1], 30, "the last word")
    said = lines(agent, "alert=\"Flaps\"")
    gaps = [later - earlier for (earlier, _), (later, _) in zip(said, said[1:])]
    assert 2 <= len(said) <= 5 and min(gaps) > 8.5, said
    assert [("fires" in line) for _, line in said] == [turn % 2 == 0 for turn in range(len(said))], said
    # The event log has each change.
    told = [json.loads(line)["state"] for line in (tmp_path / "events.jsonl").read_text().splitlines() if '"Flaps"' in line and '"event":"alert"' in line]
    assert len(told) >= 8 and told == ["firing", "resolved"] * (len(told) // 2), told


def test_a_summary_can_be_left_out_and_its_time_is_checked(agent):
    agent.configure([], log={"level": "info", "summary": "5s"})
    done = subprocess.run([PROGRAM, "check", "--config", agent.file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "log.summary" in done.stdout + done.stderr, done
    agent.configure([], log={"level": "info", "summary": "0s"})
    done = subprocess.run([PROGRAM, "check", "--config", agent.file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done


def told(agent, name: str = "events.jsonl") -> list[dict]:
    file = agent.folder / name
    text = gzip.decompress(file.read_bytes()).decode() if name.endswith(".gz") else file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def states(events: list[dict], event: str, **labels) -> list[str]:
    return [one["state"] for one in events if one["event"] == event and all(one.get(name) == value for name, value in labels.items())]


def test_the_event_log_has_what_changed(agent, recorder, simulated, tmp_path):  # noqa: F811
    link = simulated("cyton", "--fault", "rail=3@4s..14s", "--fault", "lose=2%")
    agent.configure(
        [eeg(recorder.port), *serial(link, protocol="cyton")],
        history={"interval": "1s"},
        alerts={"rule_files": [write_rules(tmp_path, LOST, interval="1s")]},
        events_log={"path": "events.jsonl", "max_bytes": "64kB"},
    )
    agent.start()
    wait_until(lambda: "streaming" in states(told(agent), "device", device="board"), 30, "the stream")
    wait_until(lambda: states(told(agent), "channel", channel="3")[-1:] == ["good"], 60, "the recovery")
    recorder.hang_up()
    wait_until(lambda: states(told(agent), "alert", state="firing") and states(told(agent), "source", source="eeg")[-1] == "down", 20, "the alert")
    agent.stop()
    events = told(agent)
    # How it is in the first second, then each change.
    assert states(events, "source", source="eeg") in (["up", "down"], ["down", "up", "down"])
    assert states(events, "source", source="board")[-1] == "up"
    assert any("railed" in state for state in states(events, "channel", device="board", channel="3"))
    assert [one for one in events if one["event"] == "alert" and one["labels"]["alertname"] == "LinkLost" and one["summary"].startswith("eeg on ")]
    lost = sum(one["count"] for one in events if one["event"] == "lost_packets" and one["device"] == "board")
    assert lost > 10 and lost == int(lost)
    times = [one["time"] for one in events]
    # An alert has the time of the scrape that its rule looked at.
    moments = [datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() for time in times]
    assert all(later > earlier - 2 for earlier, later in zip(moments, moments[1:])), times
    assert (agent.folder / "events.jsonl").stat().st_mode & 0o777 == 0o600


def test_the_event_log_is_rotated_and_a_full_place_costs_lines_alone(agent, tmp_path):
    place = agent.path("in.sock")
    agent.configure(
        [{"jsonl": {"name": "in", "listen": f"unix:{place}"}}],
        events_log={"path": str(tmp_path / "there" / "events.jsonl"), "max_bytes": "2kB", "keep": 2},
    )
    (tmp_path / "there").write_text("a file in the place of the folder")
    agent.start()
    agent.until(lambda seen: seen.value("neural_agent_event_log_failing") == 1)
    agent.says("the event log cannot be written to")
    (tmp_path / "there").unlink()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(place)
        seen = agent.until(lambda seen: seen.value("neural_agent_event_log_failing") == 0, 30)
        assert seen.value("neural_agent_event_log_dropped_lines_total") == 0
        for number in range(60):
            for step in ("started", "ended"):
                client.sendall(json.dumps({"type": "session", "pipeline": f"p{number % 4}", "step": step}).encode() + b"\n")
            time.sleep(1.1 if number % 6 == 0 else 0.02)
    wait_until(lambda: (tmp_path / "there" / "events.jsonl.1.gz").exists(), 20, "the rotation")
    agent.stop()
    files = sorted(file.name for file in (tmp_path / "there").iterdir())
    assert set(files) <= {"events.jsonl", "events.jsonl.1.gz", "events.jsonl.2.gz"}, files
    lines = gzip.decompress((tmp_path / "there" / "events.jsonl.1.gz").read_bytes()).decode().splitlines()
    assert len(lines) > 5 and all(json.loads(line)["time"] for line in lines)
