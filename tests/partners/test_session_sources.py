"""Sessions that a recording program and a stream begin and end by themselves: their reports have the right times and counts.

Independent: liblsl as pylsl brings it, in a program of its own; the Open Ephys GUI as `programs` plays it, with libzmq as its publisher.
"""
from __future__ import annotations

import json
import time

import pytest

from conftest import free_port, wait_until
from programs import Gui, Plugin
from test_lsl import lab  # noqa: F401 - a fixture
from test_report import row
from test_sessions import files, sessions

# From what happens to the second in which the agent looks, on a machine that has other work.
LATE = 3.0


def filed(reports) -> dict:
    wait_until(lambda: len(files(reports)) == 2, 60, "the report")
    [name] = [name for name in files(reports) if name.endswith(".json")]
    return json.loads((reports / name).read_text())


def opened(agent, origin: str) -> dict:
    found = wait_until(lambda: sessions(agent, f"?state=open&origin={origin}")["sessions"], 30, "the session")
    return found[0]


def lost(report: dict, **labels) -> list[dict]:
    return [gap for gap in report["gaps"] if gap["kind"] == "lost" and gap["labels"] == labels]


def test_a_recording_program_that_stops_has_the_report_of_what_it_recorded(agent, tmp_path):
    reports, gui, port = tmp_path / "reports", Gui(rate=1000.0), free_port()
    plugin = Plugin(port, rate=1000.0)
    reports.mkdir()
    source = {"name": "ephys", "expect": "recording", "address": f"127.0.0.1:{gui.port}", "interval": "200ms", "zmq": {"address": f"127.0.0.1:{port}"}}
    agent.configure([{"open_ephys": source}], history={"interval": "1s"},
                    reports={"folder": str(reports), "sessions": ["program"], "shortest": "2s"})
    gui.mode = "ACQUIRE"
    agent.start()
    plugin.wait()

    def blocks(number: int, skip: int | None = None) -> None:
        for at in range(number):
            plugin.block(skip=1 if at == skip else None)
            time.sleep(0.1)

    # What was before the recording, and comes after it, is not of it.
    blocks(10)
    time.sleep(2)
    assert sessions(agent, "?origin=program")["sessions"] == []
    began = time.time()
    gui.mode = "RECORD"
    one = opened(agent, "program")
    assert (one["name"], one["of"]) == ("ephys", "ephys")
    time.sleep(4)
    blocks(20)
    hole = time.time()
    blocks(30, skip=2)
    time.sleep(2)
    ended = time.time()
    gui.mode = "ACQUIRE"
    time.sleep(6)
    blocks(10)
    report = filed(reports)
    gui.close()
    plugin.close()
    session = report["session"]
    assert (session["origin"], session["state"], session["name"], session["id"]) == ("program", "ended", "ephys", one["id"])
    assert 0 <= session["start"] / 1000 - began < LATE and 0 <= session["end"] / 1000 - ended < LATE, (session, began, ended)
    assert session["seconds"] == pytest.approx(ended - began, abs=LATE)
    device = row(report, "devices", device="ephys:zmq")
    assert (device["samples"], device["lost"]) == (49 * 100, 100), device
    program = row(report, "programs", source="ephys")
    assert (program["recorded"], program["as_expected"]) == (1, 1), program
    said = [one["text"] for one in report["verdict"]["sentences"]]
    assert not [text for text in said if "in the state" in text] and any("ephys:zmq lost" in text for text in said), said
    [gap] = lost(report, device="ephys:zmq")
    assert gap["lost"] == 100 and gap["seconds"] == pytest.approx(0.1)
    assert gap["from"] / 1000 < hole + 0.5 and hole <= gap["to"] / 1000 < hole + LATE and gap["to"] - gap["from"] < 1_500, (gap, hole)
    [kept] = sessions(agent, "?origin=program")["sessions"]
    assert kept["report"] == {"state": "written", "files": files(reports)}


def test_a_stream_that_ends_has_the_report_of_what_it_sent(agent, lab, tmp_path):  # noqa: F811
    reports = tmp_path / "reports"
    reports.mkdir()
    agent.configure([{"lsl": {"name": "lsl", "session": lab.session, "expect": ["EEG"]}}], history={"interval": "1s"},
                    reports={"folder": str(reports), "sessions": ["stream"], "shortest": "2s"})
    agent.start()
    began = time.time()
    outlet = lab.outlet(name="EEG", count=1501, hold=[1, 701], holes=[701], hole=0.2)
    assert lab.says(outlet) == "holding"
    one = opened(agent, "stream")
    assert one["name"] == "EEG" and 0 <= one["start"] / 1000 - began < 30
    # The first sample was before the time that the report is about.
    time.sleep(4)
    lab.go_on(outlet)
    assert lab.says(outlet) == "holding"
    hole = time.time()
    lab.go_on(outlet)
    lab.done(outlet)
    agent.until(lambda seen: seen.value("neural_device_samples_total", device="lsl/EEG") == 1501)
    ended = time.time()
    # It ends by itself, as a program does that was closed.
    outlet.communicate(timeout=30)
    report = filed(reports)
    session = report["session"]
    assert (session["origin"], session["state"], session["name"]) == ("stream", "ended", "EEG")
    assert session["start"] == one["start"] and 0 <= session["end"] / 1000 - ended < LATE, (session, ended)
    assert session["seconds"] == pytest.approx((session["end"] - session["start"]) / 1000, abs=0.1)
    assert row(report, "devices", device="lsl/EEG")["samples"] == 1500
    stream = row(report, "streams", stream="EEG")
    assert (stream["missing"], stream["gaps"], stream["reconnects"]) == (50, 1, 0), stream
    [gap] = [gap for gap in report["gaps"] if gap["kind"] == "lost" and gap["labels"].get("stream") == "EEG"]
    assert gap["lost"] == 50 and hole - 1 <= gap["to"] / 1000 < hole + LATE and gap["to"] - gap["from"] < 1_500, (gap, hole)
    assert row(report, "expected_streams", stream="EEG")["present"] == 1
    [kept] = sessions(agent, "?origin=stream")["sessions"]
    assert kept["report"] == {"state": "written", "files": files(reports)}
