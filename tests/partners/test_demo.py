"""The demo: it feeds every board that needs no hardware, and is well at first.

Independent: Debian's Prometheus, which evaluates the product's rules, and liblsl, which must read the demo's stream.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, ROOT, wait_until
from test_dashboards import ABSENT, BOARDS, filled, panels
from test_prometheus import Prometheus

# Panels that stay empty in the demo, and why.
EMPTY = {
    r"neural_stream_(clock_jumps|reconnects)": "nothing happens to its clock or its program",
    r"neural_stream_clock_drift": "told after a minute",
    r"neural_program_(output_lost|state_changes)": "no output is read, and no program begins with anything else",
    r"neural_db_query_failures|neural_(api_request_failures|check_failures)": "nothing fails yet",
    r"status=\"5xx\"|status=\"4xx\"": "few requests fail",
    r"neural_host_(network_errors|oom|raid)": "not every machine has them",
    **ABSENT,
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from conftest import Agent

    folder = tmp_path_factory.mktemp("demo")
    agent = Agent(folder)
    agent.start({"STATE_DIRECTORY": str(folder)}, command=[str(PROGRAM), "demo", "--listen", f"127.0.0.1:{agent.port}"])
    began = time.monotonic()
    (folder / "rules").mkdir()
    for file in (ROOT / "alert-rules").glob("*.yml"):
        (folder / "rules" / file.name).write_text(file.read_text())
    server = Prometheus(folder / "prometheus", agent.port, rules=folder / "rules" / "*.yml")
    yield agent, server, began
    server.stop()
    agent.stop()


@pytest.mark.parametrize("board", ["services", "program", "streams", "system"])
def test_it_feeds_the_boards_that_need_no_hardware(demo, board):
    _, server, _ = demo
    dashboard = BOARDS[board]

    def fed(panel: dict) -> bool:
        for target in panel["targets"]:
            if any(re.search(reason, target["expr"]) for reason in EMPTY):
                return True
            result = server.api("query", query=filled(dashboard, target["expr"]))["result"]
            if any(one["value"][1] != "NaN" for one in result):
                return True
        return False

    empty = list(panels(dashboard))
    end = time.monotonic() + 60
    while empty and time.monotonic() < end:
        empty = [panel for panel in empty if not fed(panel)]
        time.sleep(1)
    assert not empty, [panel["title"] for panel in empty]


def test_it_evaluates_the_rules_by_itself(demo):
    agent, _, _ = demo
    rules = lambda: [rule for group in json.loads(agent.get("/api/v1/rules")[2])["data"]["groups"] for rule in group["rules"]]
    wait_until(lambda: len(rules()) > 200 and {rule["health"] for rule in rules()} == {"ok"}, 60, "the first evaluation of all rules")
    assert agent.get("/api/v1/health")[0] in (200, 503) and json.loads(agent.get("/api/v1/health")[2])["status"] != "unknown"


def test_a_foreign_reader_of_its_session_understands_the_stream(demo, tmp_path):
    pytest.importorskip("pylsl")
    agent, _, _ = demo
    (tmp_path / "lsl.cfg").write_text(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = demo-{agent.process.pid}\nKnownPeers = {{127.0.0.1}}\n[log]\nlevel = -1\n")
    reader = (
        "import pylsl, json\n"
        "infos = pylsl.resolve_byprop('name', 'demo-eeg', timeout=20)\n"
        "inlet = pylsl.StreamInlet(infos[0])\n"
        "info = inlet.info(10)\n"
        "label = info.desc().child('channels').child('channel').child_value('label')\n"
        "offset = inlet.time_correction(10)\n"
        "pulled = [inlet.pull_sample(10) for _ in range(200)]\n"
        "marks = pylsl.StreamInlet(pylsl.resolve_byprop('name', 'demo-markers', timeout=20)[0])\n"
        "mark = marks.pull_sample(10)[0]\n"
        "print(json.dumps({'mark': mark, 'channels': info.channel_count(), 'label': label, 'offset': offset, 'stamps': [s for _, s in pulled], 'last': pulled[-1][0]}))\n"
    )
    done = subprocess.run([sys.executable, "-c", reader], capture_output=True, text=True, timeout=90, env={**os.environ, "LSLAPICFG": str(tmp_path / "lsl.cfg")})
    assert done.returncode == 0, done.stderr[-800:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["mark"] in (["stimulus"], ["response"])
    assert (told["channels"], told["label"]) == (4, "Fz") and abs(told["offset"]) < 0.01, told
    steps = [b - a for a, b in zip(told["stamps"], told["stamps"][1:])]
    assert all(abs(step - 0.01) < 1e-6 for step in steps) and all(abs(value) < 100 for value in told["last"]), told


def test_it_is_well_for_the_first_minutes(demo):
    _, server, began = demo
    # Alerts wait a while before they fire.
    time.sleep(max(0, began + 150 - time.monotonic()))
    # What this machine has to do besides is not the demo's.
    fire = server.api("query", query='ALERTS{severity!~"none|info",component!~"host|process"}')["result"]
    assert not fire, [one["metric"] for one in fire]
    bad = server.ask("sum(neural_device_bad_channels)")
    assert bad == 0 and server.ask("sum(neural_device_streaming)") >= 2
    assert time.monotonic() < began + 178, "too late to say: the story has begun"
