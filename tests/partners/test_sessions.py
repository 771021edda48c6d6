"""Sessions: their reports beside what the senders know, read by jsonschema, a real Prometheus and a browser; kept over a kill.

Independent: the ledger of the simulated board, Debian's Prometheus, jsonschema, Chromium and axe-core.
"""
from __future__ import annotations

import copy
import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import PROGRAM, Agent, wait_until
from test_notifications import Played
from test_prometheus import Prometheus
from test_report import row, section
from test_simulate import Board

NAME = "sub-01_ses-01_task-rest"


def cli(*arguments: str, rc: int = 0) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == rc, done.stderr + done.stdout
    return done.stdout if rc == 0 else done.stderr


def sessions(agent: Agent, query: str = "") -> dict:
    status, _, body = agent.get(f"/api/v1/sessions{query}")
    assert status == 200, body
    return json.loads(body)["data"]


def send(path: pathlib.Path, *lines: dict) -> None:
    with socket.socket(socket.AF_UNIX) as events:
        events.connect(str(path))
        events.sendall("".join(json.dumps(line) + "\n" for line in lines).encode())


def event(step: str, name: str | None = None, **more) -> dict:
    return {"type": "session", "pipeline": "bci", "step": step, **({"name": name} if name else {}), **more}


def fails(seen, operation: str) -> float:
    return seen.value("neural_agent_reports_failing", operation=operation)


def files(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session told by a pipeline, in which a board loses 300 packets and rails an electrode; a Prometheus saw it."""
    folder = tmp_path_factory.mktemp("sessions")
    (folder / "agent").mkdir()
    reports = folder / "reports"
    reports.mkdir()
    agent = Agent(folder / "agent")
    board = Board(folder, "cyton", "board", "--fault", "lose=300@12s", "--fault", "rail=3@14s..20s", "--signal", "eeg", "--frames", "6000")
    names = ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"]
    agent.configure(
        [
            {"serial": {"name": "board", "port": board.port, "protocol": "cyton", "signal": {"names": names}}},
            {"jsonl": {"name": "events", "listen": f"unix:{folder}/events.sock"}},
        ],
        history={"interval": "1s"}, reports={"folder": str(reports), "shortest": "2s"},
    )
    agent.start()
    server = Prometheus(folder / "prometheus", agent.port)
    # What it does not see begin it cannot count.
    server.becomes("up", 1)
    send(folder / "events.sock", event("started", NAME))
    began = time.time()
    wait_until(lambda: agent.scrape().value("neural_device_frames_total", device="board") >= 6_000, 90, "the end of the board")
    time.sleep(3)
    send(folder / "events.sock", event("ended", NAME))
    wait_until(lambda: len(files(reports)) == 2, 30, "the report")
    # The file is there a moment before the session has it.
    wait_until(lambda: sessions(agent)["sessions"][0]["report"]["state"] == "written", 10, "that the session has its report")
    [one] = sessions(agent)["sessions"]
    yield {"agent": agent, "board": board, "reports": reports, "session": one, "server": server, "began": began, "folder": folder}
    server.stop()
    agent.stop()
    board.process.kill()


def test_the_report_is_filed_beside_the_recording_and_its_numbers_are_the_ledgers(recorded):
    assert files(recorded["reports"]) == [f"{NAME}_quality.html", f"{NAME}_quality.json"]
    found = json.loads((recorded["reports"] / f"{NAME}_quality.json").read_text())
    one, ledger = recorded["session"], recorded["board"].ledger()
    assert (found["kind"], found["session"]["id"], found["session"]["name"]) == ("neural-exporter report", one["id"], NAME)
    assert one["state"] == "ended" and one["report"]["state"] == "written" and abs(one["start"] / 1000 - recorded["began"]) < 3
    device = row(found, "devices", device="board")
    # The board is opened by the agent before the session is told: what it sent in the seconds before is not of the session.
    assert 3_000 < device["samples"] <= ledger["frames"] and device["lost"] == ledger["lost"] == 300
    lost = [gap for gap in found["gaps"] if gap["kind"] == "lost"]
    # They are lost at once, and may be seen by two scrapes.
    assert sum(gap["lost"] for gap in lost) == 300 and len(lost) <= 2
    assert sum(gap["seconds"] for gap in lost) == pytest.approx(300 / 250) and lost[0]["labels"] == {"device": "board"}
    assert found["usable"]["answer"] == "no" and "board lost" in found["usable"]["sentence"]
    silent = [gap for gap in found["gaps"] if gap["kind"] == "silent"]
    # Scrapes are a second apart.
    assert silent and found["end"] - silent[-1]["to"] < 1_500, "it fell silent before the session ended"
    assert all(gap["to"] - gap["from"] < 1_500 for gap in lost), lost
    strips = {strip["labels"]["channel"]: strip["parts"] for strip in found["strips"]}
    assert len(strips) == 8
    assert any(part["bad"] > 0.3 and "railed" in part["reason"] for part in strips["3"])
    assert all(part["bad"] < 0.2 for channel, parts in strips.items() if channel != "3" for part in parts)
    recorded["agent"].until(lambda seen: seen.value("neural_agent_reports_written_total") == 1, 5)
    assert NAME.encode() not in recorded["agent"].get("/metrics")[2], "a name is no label"


def test_the_published_schema_takes_it_and_refuses_what_is_wrong(recorded):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(cli("schema", "report"))
    status, _, served = recorded["agent"].get("/api/v1/report/schema")
    assert status == 200 and json.loads(served) == schema
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    right = json.loads((recorded["reports"] / f"{NAME}_quality.json").read_text())
    check.validate(right)
    for change in (
        lambda it: it.pop("usable"),
        lambda it: it["usable"].update(answer="perhaps"),
        lambda it: it.update(kind="another"),
        lambda it: it.update(version=2),
        lambda it: it["session"].update(start="yesterday"),
        lambda it: it["gaps"][0].pop("from"),
        lambda it: it["gaps"][0].update(kind="late"),
        lambda it: it["strips"][0]["parts"][0].update(bad=1.5),
        lambda it: it["sections"][0]["rows"][0].update(values={"samples": [1]}),
    ):
        wrong = copy.deepcopy(right)
        change(wrong)
        assert list(check.iter_errors(wrong)), change


def test_by_hand_and_from_a_prometheus_it_is_the_same(recorded):
    agent, filed = recorded["agent"], json.loads((recorded["reports"] / f"{NAME}_quality.json").read_text())
    config = ["--config", str(agent.file), "--format", "json"]
    asked = [json.loads(cli("report", "--session", which, *config)) for which in ("last", NAME, recorded["session"]["id"][:8])]
    theirs = json.loads(cli("report", "--session", NAME, *config, "--server", f"http://127.0.0.1:{recorded['server'].port}"))
    for found in (*asked, theirs):
        assert found["session"]["id"] == filed["session"]["id"] and (found["start"], found["end"]) == (filed["start"], filed["end"])
        of, ours = row(found, "devices", device="board"), row(filed, "devices", device="board")
        assert of["lost"] == ours["lost"] == 300 and of["gaps"] == ours["gaps"]
        # The value at the begin is that of the scrape before, which each made at another moment of a second.
        assert abs(of["samples"] - ours["samples"]) <= 1.5 * 250, (found["source"], of["samples"], ours["samples"])
        assert sum(gap["lost"] for gap in found["gaps"] if gap["kind"] == "lost") == 300, (found["source"], found["gaps"])
        assert {strip["labels"]["channel"] for strip in found["strips"]} == set("12345678")
    status, _, body = agent.get("/api/v1/report?session=last")
    assert status == 200 and json.loads(body)["session"]["name"] == NAME
    for query in ("session=none", "session=last&window=1h"):
        status, _, body = agent.get(f"/api/v1/report?{query}")
        assert status == 400 and json.loads(body)["errorType"] == "bad_data"
    assert "no session" in cli("report", "--session", "none", "--config", str(agent.file), rc=1)


def test_the_page_opens_offline_prints_and_is_read_aloud(recorded, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    chromium = shutil.which("chromium") or pytest.skip("chromium is not installed")
    file = recorded["reports"] / f"{NAME}_quality.html"
    assert file.stat().st_size < 300_000
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=[*options, "--disable-dev-shm-usage"], timeout=120_000)
        for width, scheme in ((390, "dark"), (1280, "light")):
            context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True)
            page = context.new_page()
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            page.goto(file.as_uri())
            assert asked == [file.as_uri()], "it loads nothing"
            assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), width
            assert page.locator("svg.head").count() == 1 and page.locator(".strips tr").count() == 8
            found = axe.run(page)
            assert found.violations_count == 0, found.generate_report()
            if os.environ.get("LOOK"):
                page.screenshot(path=f"{os.environ['LOOK']}/session-{width}-{scheme}.png", full_page=True)
            context.close()
        page = browser.new_page()
        page.goto(file.as_uri())
        paper = page.pdf(format="A4")
        if os.environ.get("LOOK"):
            pathlib.Path(os.environ["LOOK"], "session.pdf").write_bytes(paper)
        assert paper.startswith(b"%PDF") and paper.count(b"/Type /Page\n") + paper.count(b"/Type/Page\n") <= 8
        browser.close()


def test_a_name_is_a_name_and_no_file_is_overwritten(agent, tmp_path):
    reports = tmp_path / "reports"
    reports.mkdir()
    agent.configure([{"jsonl": {"name": "events", "listen": f"unix:{tmp_path}/events.sock"}}], history={"interval": "1s"},
                    reports={"folder": str(reports), "shortest": "0s", "formats": ["json"]})
    agent.start()
    for _ in range(2):
        send(tmp_path / "events.sock", event("started", "../../../tmp/x\n<b>"), event("ended", seconds=60))
    wait_until(lambda: len(files(reports)) == 2, 30, "two reports")
    first, second = files(reports)
    assert first.endswith("_tmp-x-b-2.json") or second.endswith("_tmp-x-b-2.json"), (first, second)
    mine = reports / f"{NAME}_quality.json"
    mine.write_text("mine")
    send(tmp_path / "events.sock", event("started", NAME), event("ended", NAME))
    wait_until(lambda: (reports / f"{NAME}_desc-2_quality.json").exists(), 30, "another name")
    assert mine.read_text() == "mine"


def test_what_is_open_outlives_a_kill_and_a_folder_that_is_gone_costs_itself(agent, tmp_path):
    reports = tmp_path / "reports"
    agent.configure([{"jsonl": {"name": "events", "listen": f"unix:{tmp_path}/events.sock"}}], history={"interval": "1s"},
                    reports={"folder": str(reports), "shortest": "0s"})
    agent.start()
    config = ["--config", str(agent.file)]
    cli("session", "start", "rest", *config)
    assert "is open already" in cli("session", "start", "rest", *config, rc=1)
    send(tmp_path / "events.sock", event("started"))
    wait_until(lambda: len(sessions(agent, "?state=open")["sessions"]) == 2, 10, "two sessions")
    wait_until(lambda: "bci" in (agent.folder / "state" / "sessions.json").read_text() if (agent.folder / "state").exists() else True, 10, "the file")
    time.sleep(1)
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait(10)
    agent.start()
    assert {one["name"] for one in sessions(agent, "?state=open")["sessions"]} == {"rest", "bci"}
    cli("session", "stop", *config)
    agent.until(lambda seen: fails(seen, "session") == 1 and seen.value("neural_agent_report_failures_total") >= 1)
    [one] = sessions(agent, "?state=ended")["sessions"]
    assert one["report"]["state"] == "waiting" and "no such folder" in one["report"]["why"]
    assert agent.get("/-/healthy")[0] == 200
    reports.mkdir()
    wait_until(lambda: len(files(reports)) == 2, 60, "the report, tried again")
    agent.until(lambda seen: fails(seen, "session") == 0)
    agent.until(lambda seen: fails(seen, "cleanup") == 0, 60)
    listed = cli("session", "list", *config)
    assert "rest" in listed and "_rest.html" in listed and "bci" in listed
    # A page of the list after the other.
    page = sessions(agent, "?limit=1")
    assert page["sessions"][0]["name"] == "bci" and sessions(agent, f"?limit=1&before={page['next']}")["sessions"][0]["name"] == "rest"
    for query in ("limit=0", "limit=1001", "state=late"):
        assert agent.get(f"/api/v1/sessions?{query}")[0] == 400


@pytest.mark.parametrize("error", ["ENOSPC", "EROFS"])
def test_a_folder_that_is_full_or_read_only_is_seen(agent, disk, tmp_path, error):
    """In a metric, the log, the lists and an alert, for sessions and for the report of each day; all is written when there is room."""
    agent.configure([{"jsonl": {"name": "events", "listen": f"unix:{tmp_path}/events.sock"}}], history={"interval": "1s"},
                    reports={"folder": str(disk.place), "shortest": "0s", "every": "day"})
    agent.start()
    config = ["--config", str(agent.file)]
    wait_until(lambda: len(files(disk.files)) == 2, 60, "the report of the day")

    def waits() -> set[str]:
        found = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
        return {one["labels"]["operation"] for one in found if one["labels"]["alertname"] == "NeuralReportsFailing"}

    disk.says(error=getattr(errno, error))
    send(tmp_path / "events.sock", event("started", "rest"), event("ended", seconds=60))
    agent.until(lambda seen: fails(seen, "session") == 1, 30)
    agent.says("a report is not written, it is tried again")
    said = os.strerror(getattr(errno, error)).lower()
    assert said in cli("task", "run", "report-of-day", *config, rc=1).lower()
    agent.until(lambda seen: fails(seen, "schedule") == 1)
    wait_until(lambda: waits() == {"session", "schedule"}, 60, "the alert")
    [one] = sessions(agent)["sessions"]
    assert one["report"]["state"] == "waiting" and said in one["report"]["why"].lower(), one
    assert len(files(disk.files)) == 2 and agent.get("/-/healthy")[0] == 200
    disk.says()
    wait_until(lambda: len(files(disk.files)) == 4, 60, "the report, tried again")
    assert not [name for name in files(disk.files) if name.startswith(".")]
    cli("task", "run", "report-of-day", *config)
    agent.until(lambda seen: all(fails(seen, operation) == 0 for operation in ("session", "schedule", "cleanup")))
    wait_until(lambda: not waits(), 60, "the end of the alert")


def test_a_report_of_each_day_goes_to_the_folder_and_a_receiver(agent, tmp_path):
    reports, hook = tmp_path / "reports", Played()
    reports.mkdir()
    agent.configure([{"host": {"name": "host"}}], history={"interval": "1s"},
                    reports={"folder": str(reports), "every": "day", "receivers": [{"webhook": {"url": hook.url}}]})
    agent.start()
    wait_until(lambda: any(name.endswith("_day.html") for name in files(reports)), 30, "the report")
    wait_until(lambda: hook.got, 30, "the notification")
    hook.shutdown()
    _, _, message = hook.got[0]
    assert message["commonLabels"]["alertname"] == "NeuralReport" and message["commonAnnotations"]["summary"]


def test_mistakes_say_what_to_do(agent):
    for reports, said in (
        ({"every": "day"}, "reports.folder"),
        ({"receivers": [{"webhook": {"url": "http://127.0.0.1:1"}}], "folder": "/tmp"}, "reports.every"),
        ({"folder": "/tmp", "sessions": ["evnt"]}, "event"),
    ):
        agent.configure([], reports=reports)
        assert said in cli("check", "--config", str(agent.file), rc=2)
