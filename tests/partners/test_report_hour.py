"""A time with two boards, a pipeline and faults at known times: every number of the report is what the senders know, and what a real
Prometheus says. A minute and a half; REPORT_SECONDS=3600 makes it an hour, with trends.

Independent: the ledgers of the simulated boards, Debian's Prometheus.
"""
from __future__ import annotations

import json
import os
import random
import socket
import time

import pytest

from conftest import Agent, wait_until
from test_prometheus import Prometheus
from test_report import report, row, section
from test_simulate import Board

SECONDS = int(os.environ.get("REPORT_SECONDS", "90"))
#: The usual duration of a run, by stage. From the middle on the last one takes 30 % longer, and one of five runs of the first fails.
STAGES = {"filter": 0.004, "features": 0.009, "classify": 0.024}
#: Runs a second.
RATE = 10


def when(share: float) -> int:
    return int(SECONDS * share)


class Pipeline:
    """Runs as they would be reported, and their account."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.chance = random.Random(2)
        self.runs = self.failed = 0
        self.spent = dict.fromkeys(STAGES, 0.0)

    def run(self, late: bool) -> None:
        self.runs += 1
        for stage, usual in STAGES.items():
            seconds = round(usual * (1.3 if late and stage == "classify" else 1.0) * self.chance.uniform(0.9, 1.1), 9)
            fails = late and stage == "filter" and self.runs % 5 == 0
            self.failed += fails
            self.spent[stage] += seconds
            event = {"type": "stage", "pipeline": "bci", "stage": stage, "seconds": seconds, **({"ok": False, "error": "late"} if fails else {})}
            self.socket.sendall(json.dumps(event).encode() + b"\n")


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hour")
    (folder / "agent").mkdir()
    agent = Agent(folder / "agent")
    ports = {name: str(folder / name) for name in ("cyton", "knight")}
    agent.configure(
        [{"serial": {"name": name, "port": port, "protocol": name}} for name, port in ports.items()]
        + [{"jsonl": {"name": "events", "listen": f"unix:{folder}/events.sock"}}],
        history={"interval": "1s"},
    )
    faults = [f"lose=25@{when(0.2)}s", f"lose=400@{when(0.6)}s", f"rail=3@{when(0.3)}s..{when(0.3) + 20}s"]
    boards = {
        "cyton": Board(folder, "cyton", "cyton", *(word for fault in faults for word in ("--fault", fault)), "--seconds", str(SECONDS)),
        "knight": Board(folder, "knight", "knight", "--fault", f"lose=40@{when(0.5)}s", "--seconds", str(SECONDS)),
    }
    origin = time.time()
    agent.start()
    server = Prometheus(folder / "prometheus", agent.port)
    pipeline = Pipeline(f"{folder}/events.sock")
    began = time.time()
    while (past := time.time() - began) < SECONDS - 2:
        pipeline.run(past > SECONDS / 2)
        time.sleep(max(0.0, began + pipeline.runs / RATE - time.time()))
    ended = time.time()
    for board in boards.values():
        board.process.wait(60)
    # What was sent is in a scrape of both.
    time.sleep(4)
    times = ["--from", str(origin), "--to", str(time.time()), "--format", "json"]
    yield {
        "boards": boards,
        "pipeline": pipeline,
        "seconds": ended - began,
        "own": json.loads(report(*times, "--config", str(agent.file))),
        "theirs": json.loads(report(*times, "--server", f"http://127.0.0.1:{server.port}")),
    }
    server.stop()
    agent.stop()


@pytest.mark.parametrize("who", ["own", "theirs"])
def test_every_number_is_what_the_senders_know(hour, who):
    found, pipeline = hour[who], hour["pipeline"]
    for name, board in hour["boards"].items():
        ledger, device = board.ledger(), row(found, "devices", device=name)
        assert (device["samples"], device["lost"]) == (ledger["frames"], ledger["lost"]), (name, device, ledger)
        assert device["loss"] == pytest.approx(ledger["lost"] / (ledger["lost"] + ledger["frames"]), rel=1e-9)
        assert device["gaps"] == (2 if name == "cyton" else 1)
        # The longest gap is what was lost at once, at the board's rate, and the time of one sample.
        gap = 401 / 250 if name == "cyton" else 41 / 125
        assert device["longest_gap"] == pytest.approx(gap, abs=0.06), (name, device)
        # A second in which packets were lost has a lower rate.
        assert device["rate"] == pytest.approx(device["nominal_rate"] * (1 - device["loss"]), rel=0.02)
        assert device.get("reconnects", 0) == 0
    channels = {one["labels"]["channel"]: one["values"] for one in section(found, "channels") if one["labels"]["device"] == "cyton"}
    bad = (1 - channels["3"]["good"]) * SECONDS
    assert 17 < bad < 27 and channels["3"]["reason"] == "railed", channels["3"]
    assert all(of["good"] > 1 - 3 / SECONDS for channel, of in channels.items() if channel != "3"), channels
    for stage, spent in pipeline.spent.items():
        of = row(found, "stages", pipeline="bci", stage=stage)
        assert of["runs"] == pipeline.runs
        assert of["mean"] == pytest.approx(spent / pipeline.runs, rel=1e-9)
        assert of["failures"] == (pipeline.failed if stage == "filter" else 0)
        assert of["share"] == pytest.approx(spent / sum(pipeline.spent.values()), rel=1e-9)
    of = row(found, "pipelines", pipeline="bci")
    assert of["runs"] == pipeline.runs and of["duration"] == pytest.approx(sum(pipeline.spent.values()) / pipeline.runs, rel=1e-9)
    assert of["runs_mean"] == pytest.approx(RATE, rel=0.3 if SECONDS < 600 else 0.02)
    assert of["well"] == pytest.approx(1 - pipeline.failed / (3 * pipeline.runs), rel=1e-9)
    [bottleneck] = found["bottlenecks"]
    assert bottleneck["labels"]["stage"] == "classify"
    assert bottleneck["gain"] == pytest.approx(pipeline.spent["classify"] / pipeline.runs / 2, rel=1e-9)
    assert found["verdict"]["status"] != "healthy"
    said = " ".join(one["text"] for one in found["verdict"]["sentences"])
    if SECONDS < 600:
        assert "cyton lost" in said and "channel 3 of cyton was good for" in said, said
    assert "filter of bci failed in" in said
    assert row(found, "agent").get("dropped", 0) == 0


@pytest.mark.skipif(SECONDS < 1200, reason="too short for a trend: REPORT_SECONDS=3600")
@pytest.mark.parametrize("who", ["own", "theirs"])
def test_what_became_slower_rises_and_nothing_else_does(hour, who):
    trends = {(one["key"], one["labels"].get("stage") or one["labels"].get("device")): one for one in hour[who]["trends"]}
    slow = trends["stage_duration", "classify"]
    assert slow["course"] == "rising" and 0.2 < slow["change"] < 0.5, slow
    assert trends["stage_failures", "filter"]["course"] == "rising"
    for key in [("stage_duration", "filter"), ("stage_duration", "features"), ("device_rate", "cyton"), ("device_rate", "knight"), ("pipeline_runs", None)]:
        assert trends[key]["course"] == "stable", trends[key]


def test_both_have_the_same_tables_and_numbers(hour):
    own, theirs = hour["own"], hour["theirs"]
    # That server has no rules.
    named = lambda of: [one["name"] for one in of["sections"] if one["name"] != "alerts"]
    assert named(own) == named(theirs)
    exact = {"samples", "lost", "loss", "gaps", "longest_gap", "runs", "mean", "failures", "failure_ratio", "share", "duration", "well"}
    compared = 0
    for one in own["sections"]:
        if one["name"] == "alerts":
            continue
        for ours in one["rows"]:
            of = row(theirs, one["name"], **ours["labels"])
            for key in exact & ours["values"].keys():
                assert of[key] == pytest.approx(ours["values"][key], rel=1e-9), (one["name"], ours["labels"], key)
                compared += 1
    assert compared > 25
