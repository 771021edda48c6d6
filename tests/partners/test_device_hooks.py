"""Hooks that ask a board: its stream is started again, its port is opened again, and through a tap nothing is asked.

The board is a simulated Cyton whose stream stalls: a start command alone, which the agent sends by itself, does not help it.
"""
from __future__ import annotations

import json
import os
import subprocess
import time

import pytest
import serial

from conftest import wait_until
from test_alerting import write_rules
from test_incidents import incidents, told
from test_simulate import simulate  # noqa: F401 - a fixture

STALLED = {"alert": "Stalled", "expr": 'neural_device_streaming{device="board"} == 0', "labels": {"severity": "critical", "priority": "P0"}}


def configure(agent, folder, board, *hooks: dict, rule: dict = STALLED, **source) -> None:
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton", **source}}], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(folder, rule, interval="1s")]},
                    respond={"actions": {"dry_run": False}, "hooks": list(hooks)})


def checked(agent) -> tuple[int, str]:
    done = subprocess.run([agent.command()[0], "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("ask", ["restart_stream", "reconnect"])
def test_a_stream_that_stalls_goes_again_and_the_incident_ends(agent, simulate, tmp_path, ask):  # noqa: F811
    board = simulate("cyton", "--fault", "stall@6s", name="board")
    hook = {"name": "again", "match": {"alerts": ["Stalled"]}, "device": {"ask": ask}, "verify": "60s"}
    configure(agent, tmp_path, board)
    agent.start()
    commands = lambda seen, reason: seen.value("neural_port_start_commands_total", device="board", reason=reason)
    streams = lambda seen: seen.value("neural_device_streaming", device="board") == 1
    agent.until(streams, 30)
    # The agent's own start command does not end it.
    agent.until(lambda seen: commands(seen, "silent") >= 1, 60)
    time.sleep(2)
    seen = agent.scrape()
    assert not streams(seen) and (commands(seen, "opened"), commands(seen, "requested")) == (1, 0)
    assert len(incidents(agent, alert="Stalled", state="open")) == 1
    configure(agent, tmp_path, board, hook)
    assert agent.reload()[0] == 200
    agent.until(streams, 60)
    wait_until(lambda: incidents(agent, alert="Stalled", state="resolved"), 30, "the end of the incident")
    seen = agent.until(lambda seen: seen.value("neural_actions_total", hook="again", step="succeeded") == 1)
    # The board may stream, the alert be over and the step be counted before the incident has in its history what the hook did.
    did = "its stop and start commands" if ask == "restart_stream" else "is closed and opened again"
    over = {"alert": "Stalled", "state": "resolved"}
    wait_until(lambda: did in " ".join(told(agent, **over)), 20, did)
    if ask == "restart_stream":
        assert any("restart the stream of the device" in why for why in told(agent, **over)), told(agent, **over)
        assert (commands(seen, "opened"), commands(seen, "requested")) == (1, 1)
    else:
        assert (commands(seen, "opened"), commands(seen, "requested")) == (2, 0)
    # Nothing was unplugged.
    assert seen.value("neural_port_disconnects_total", device="board") == 0 and seen.value("neural_source_up", source="board") == 1
    frames = seen.value("neural_device_frames_total", device="board")
    agent.until(lambda seen: seen.value("neural_device_frames_total", device="board") > frames + 500, 30)
    agent.stop()
    assert board.ledger()["starts"] == 2


@pytest.mark.parametrize("ask", ["restart_stream", "reconnect"])
def test_through_a_tap_it_is_refused_and_nothing_is_written(agent, simulate, tmp_path, ask):  # noqa: F811
    board, tap = simulate("cyton", "--fault", "stall@6s", name="board"), agent.path("tap")
    hook = {"name": "again", "match": {"alerts": ["Stalled"]}, "device": {"ask": ask}}
    configure(agent, tmp_path, board, hook, tap=tap)
    agent.start()
    wait_until(lambda: os.path.exists(tap), 30, "the tap")
    with serial.Serial(tap, 115_200, timeout=0.2) as program:
        program.write(b"b")
        end = time.monotonic() + 60
        failed = lambda: agent.scrape().value("neural_actions_total", hook="again", step="failed") == 1
        while not failed():
            assert time.monotonic() < end, agent.told()
            program.read(4096)
        why = "board is read through a tap: nothing is written to it"
        wait_until(lambda: why in " ".join(told(agent, alert="Stalled")), 20, why)
        wait_until(lambda: incidents(agent, alert="Stalled", state="escalated"), 20, "the escalation")
    assert agent.scrape().value("neural_port_start_commands_total") == 0
    agent.stop()
    ledger = board.ledger()
    # The one byte that the program wrote.
    assert (ledger["heard_bytes"], ledger["starts"]) == (1, 1), ledger


def test_what_cannot_be_asked_is_refused_with_its_place(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    for source, more, why in (("board", {"tap": agent.path("tap")}, "board cannot be asked: it is read through a tap"),
                              ("other", {}, 'there is no source "other"'), ("board", {}, None)):
        configure(agent, tmp_path, board, {"name": "again", "device": {"ask": "reconnect", "source": source}}, **more)
        code, said = checked(agent)
        assert (code, said) == (0, said) if why is None else code == 2 and why in said and "respond.hooks[0].device.source" in said, said
    agent.config["sources"].append({"statsd": {"name": "s"}})
    agent.config["respond"]["hooks"][0]["device"]["source"] = "s"
    agent.write()
    code, said = checked(agent)
    assert code == 2 and "s cannot be asked: it reads no serial port" in said, said


def test_a_device_that_is_not_open_fails_the_hook_at_once(agent, tmp_path):
    rule = {**STALLED, "expr": "vector(1)", "labels": {**STALLED["labels"], "device": "board"}}
    agent.configure([{"serial": {"name": "board", "port": str(tmp_path / "nothing"), "protocol": "cyton"}}], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(tmp_path, rule, interval="1s")]},
                    respond={"actions": {"dry_run": False}, "hooks": [{"name": "again", "match": {"alerts": ["Stalled"]}, "device": {"ask": "reconnect"}}]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_actions_total", hook="again", step="failed") == 1, 30)
    file = tmp_path / "agent" / "state" / "actions.jsonl"
    steps = wait_until(lambda: [json.loads(line) for line in file.read_text().splitlines()][1:], 10, "the audit")
    assert 'no port of a source "board" is open' in json.dumps(steps, ensure_ascii=False).replace('\\"', '"'), steps
