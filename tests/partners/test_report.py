"""Reports: every number beside what the senders know they sent, and the same report asked of a real Prometheus.

Independent: the ledger of the simulated board, Debian's Prometheus, sqlite3's and html's own readers of what is written.
"""
from __future__ import annotations

import csv
import html
import html.parser
import io
import json
import re
import socket
import subprocess
import time

import pytest

from conftest import PROGRAM, Agent, wait_until
from test_prometheus import Prometheus
from test_simulate import Board

RUNS = 2_000
#: Seconds of a run, by stage; one of 20 runs of the second stage fails.
STAGES = {"filter": 0.004, "classify": 0.036}


def report(*arguments: str, rc: int = 0) -> str:
    done = subprocess.run([PROGRAM, "report", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == rc, done.stderr
    return done.stdout if rc == 0 else done.stderr


def section(found: dict, name: str) -> list[dict]:
    return next((one["rows"] for one in found["sections"] if one["name"] == name), [])


def row(found: dict, name: str, **labels: str) -> dict:
    [one] = [one for one in section(found, name) if all(one["labels"].get(key) == value for key, value in labels.items())]
    return one["values"]


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A board that loses 300 packets and rails an electrode, a pipeline, and a Prometheus that saw all of it."""
    folder = tmp_path_factory.mktemp("session")
    (folder / "agent").mkdir()
    board = Board(folder, "cyton", "board", "--fault", "lose=300@6s", "--fault", "rail=3@8s..14s", "--signal", "eeg", "--frames", "5000")
    agent = Agent(folder / "agent")
    agent.configure(
        [
            {"serial": {"name": "board", "port": board.port, "protocol": "cyton"}},
            {"jsonl": {"name": "events", "listen": f"unix:{folder}/events.sock"}},
        ],
        history={"interval": "1s"},
    )
    began = time.time()
    agent.start()
    server = Prometheus(folder / "prometheus", agent.port)
    lines = []
    for run in range(RUNS):
        for stage, seconds in STAGES.items():
            failed = {"ok": False, "error": "late"} if stage == "classify" and run % 20 == 0 else {}
            lines.append(json.dumps({"type": "stage", "pipeline": "bci", "stage": stage, "seconds": seconds, **failed}))
    with socket.socket(socket.AF_UNIX) as events:
        events.connect(f"{folder}/events.sock")
        events.sendall(("\n".join(lines) + "\n").encode())
    # The board sends 5,000 packets, loses 300 beside them, and is silent then.
    wait_until(lambda: agent.scrape().value("neural_device_frames_total", device="board") >= 5_000, 60, "the end of the board")
    time.sleep(4)
    ended = time.time()
    times = ["--from", str(began), "--to", str(ended), "--format", "json"]
    yield {
        "agent": agent,
        "board": board,
        "own": json.loads(report(*times, "--config", str(agent.file))),
        "theirs": json.loads(report(*times, "--server", f"http://127.0.0.1:{server.port}")),
        "times": times,
    }
    server.stop()
    agent.stop()
    board.process.kill()


def test_every_count_is_what_was_sent(session):
    ledger = session["board"].ledger()
    for found in (session["own"], session["theirs"]):
        device = row(found, "devices", device="board")
        assert device["samples"] == ledger["frames"] and device["lost"] == ledger["lost"], (device, ledger)
        assert device["loss"] == pytest.approx(300 / 5_300)
        assert device["gaps"] == 1
        for stage, seconds in STAGES.items():
            of = row(found, "stages", pipeline="bci", stage=stage)
            assert of["runs"] == RUNS
            assert of["mean"] == pytest.approx(seconds, rel=1e-6)
            assert of["failures"] == (RUNS // 20 if stage == "classify" else 0)
            assert of["share"] == pytest.approx(seconds / sum(STAGES.values()), rel=1e-6)
        assert row(found, "agent").get("errors", 0) == 0
        # The electrode was bad for six seconds of about twenty, and no other was.
        channels = {one["labels"]["channel"]: one["values"] for one in section(found, "channels")}
        assert 0.5 < channels["3"]["good"] < 0.85 and channels["3"]["reason"] == "railed", channels["3"]
        assert all(of["good"] > 0.9 for channel, of in channels.items() if channel != "3"), channels
        assert found["verdict"]["words"] == "Data was lost or is bad"
        said = " ".join(one["text"] for one in found["verdict"]["sentences"])
        assert "board lost 5.66 % of its packets" in said and "channel 3 of board was good for" in said
        [bottleneck] = found["bottlenecks"]
        assert bottleneck["labels"]["stage"] == "classify" and bottleneck["gain"] == pytest.approx(0.018, rel=1e-6)


def test_a_prometheus_gives_the_same_report(session):
    own, theirs = session["own"], session["theirs"]
    assert [one["name"] for one in own["sections"]] == [one["name"] for one in theirs["sections"]]
    # What is counted is the same to the last one; what is averaged was looked at at other moments.
    exact = {"samples", "lost", "loss", "gaps", "reconnects", "runs", "mean", "failures", "failure_ratio", "share", "sessions", "events", "errors", "dropped"}
    compared = 0
    for one in own["sections"]:
        for ours in one["rows"]:
            of = row(theirs, one["name"], **ours["labels"])
            for key in exact & ours["values"].keys():
                if one["name"] == "agent" and key == "events":
                    continue
                assert of[key] == pytest.approx(ours["values"][key], rel=1e-9), (one["name"], key)
                compared += 1
    assert compared > 15


def test_every_form_is_read_by_others(session):
    agent, times = session["agent"], session["times"][:4]
    common = [*times, "--config", str(agent.file)]
    lines = list(csv.DictReader(io.StringIO(report(*common, "--format", "csv"))))
    [lost] = [line for line in lines if line["section"] == "devices" and line["key"] == "lost"]
    assert (lost["labels"], lost["value"], lost["status"]) == ("device=board", "300", "unhealthy")

    class Page(html.parser.HTMLParser):
        words: list[str] = []
        loads: list[str] = []

        def handle_starttag(self, tag, attributes):
            self.loads += [value for name, value in attributes if name in ("src", "href")]

        def handle_data(self, data):
            self.words.append(data)

    text = report(*common, "--format", "html")
    page = Page()
    page.feed(text)
    assert len(text) < 300_000 and not page.loads and "<script" not in text
    assert "300" in page.words and any("board lost 5.66 % of its packets" in word for word in page.words)
    for form in ("text", "md"):
        said = report(*common, "--format", form)
        assert "board lost 5.66 % of its packets" in said and "classify of bci takes 90 %" in said


def test_the_api_gives_the_same(session):
    agent = session["agent"]
    start, end = session["times"][1], session["times"][3]
    status, headers, body = agent.get(f"/api/v1/report?start={start}&end={end}")
    found = json.loads(body)
    assert status == 200 and row(found, "devices", device="board")["lost"] == 300
    assert row(found, "stages", stage="filter") == row(session["own"], "stages", stage="filter")
    status, headers, body = agent.get(f"/api/v1/report?start={start}&end={end}&format=html&pipeline=other")
    assert status == 200 and headers["content-type"].startswith("text/html") and b"classify" not in body and b"board" in body
    assert "unsafe-inline" not in headers["content-security-policy"].replace("style-src 'unsafe-inline'", "")
    # The page leads to one.
    status, _, page = agent.get("/")
    [link] = re.findall(r'href="(api/v1/report[^"]*)"', page.decode())
    status, headers, body = agent.get("/" + html.unescape(link))
    assert status == 200 and headers["content-type"].startswith("text/html") and b"board" in body
    for query in ("format=pdf", "window=0", "start=5&end=4", "window=yesterday"):
        status, _, body = agent.get(f"/api/v1/report?{query}")
        assert status == 400 and json.loads(body)["errorType"] == "bad_data", (query, body)


def test_what_nobody_watched_is_not_told_as_well(session, tmp_path):
    agent = session["agent"]
    # An hour before the agent was there.
    start = float(session["times"][1])
    found = json.loads(report("--from", str(start - 7_200), "--to", str(start - 3_600), "--format", "json", "--config", str(agent.file)))
    assert found["verdict"]["words"] == "Nothing is known of this time" and found["sections"] == []
    # Of a time that it saw the end of, that is said.
    found = json.loads(report("--from", str(start - 600), "--to", session["times"][3], "--format", "json", "--config", str(agent.file)))
    assert any("nothing is known: the agent did not run" in one["text"] for one in found["verdict"]["sentences"])
    assert row(found, "devices", device="board")["lost"] == 300


def test_mistakes_are_named(tmp_path):
    assert "--from is not before --to" in report("--from", "5", "--to", "4", rc=2)
    assert "write 2026-11-29T14:03:00Z" in report("--from", "yesterday", rc=2)
    assert "--last" in report("--from", "5", "--last", "1h", rc=2)
    why = report("--server", "http://127.0.0.1:1", rc=1)
    assert "127.0.0.1:1" in why
