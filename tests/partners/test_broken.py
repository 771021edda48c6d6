"""A laboratory that is well, and then is not: what the boards say of it. Each number must be green while it is well and
red, and right, while it is not.

Independent: Debian's Prometheus, which is asked the panels' own queries. The colour is read from the panel's own thresholds.
"""
from __future__ import annotations

import json
import re
import time

import pytest
import yaml

from conftest import ROOT, Agent, free_port, tcp, udp, wait_until
from programs import Rhx
from test_dashboards import BOARDS, filled, panels
from test_prometheus import Prometheus
from test_simulate import simulate  # noqa: F401  (a fixture)



def panel(board: str, title: str) -> dict:
    (one,) = [one for one in panels(BOARDS[board]) if one["title"] == title]
    return one


def colour(steps: list[dict], value: float) -> str:
    return [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]


class Eyes:
    """Reads panels as a person does."""

    def __init__(self, server: Prometheus, reach: str = "1h"):
        self.server, self.reach = server, reach

    def asked(self, board: str, title: str) -> list[tuple[dict, float, dict]]:
        """Labels and value of each series that is there now, and the query that gave it."""
        found = []
        for target in panel(board, title)["targets"]:
            expr = filled(BOARDS[board], target["expr"], reach=self.reach)
            result = self.server.api("query", query=expr)["result"]
            found += [(one["metric"], float(one["value"][1]), target) for one in result]
        return [one for one in found if one[1] == one[1]]

    def stat(self, board: str, title: str) -> tuple[str, str] | None:
        """What a number says, and in which colour."""
        found = self.asked(board, title)
        if not found:
            return None
        ((labels, value, target),) = found
        one = panel(board, title)
        text = f"{value:g}"
        if one["options"]["textMode"] == "name":
            text = re.sub(r"\{\{(\w+)\}\}", lambda name: labels[name[1]], target["legendFormat"])
        return text, colour(one["fieldConfig"]["defaults"]["thresholds"]["steps"], value)

    def says(self, board: str, title: str, *want: str) -> None:
        wait_until(lambda: self.stat(board, title) in [tuple(want)], 60, f"{board}, {title}: {want}, but {self.stat(board, title)}")

    def rows(self, board: str, title: str) -> list[dict]:
        """The rows of a table, merged as Grafana does and in the order in which it shows them."""
        one = panel(board, title)
        renamed = one["transformations"][-1]["options"]["renameByName"]
        several = len(one["targets"]) > 1
        rows: list[dict] = []
        for labels, value, target in self.asked(board, title):
            column = renamed.get(f"Value #{target['refId']}" if several else "Value")
            cells = {**labels, **({column: value} if column else {})}
            row = next((row for row in rows if all(row.get(name, text) == text for name, text in labels.items())), None)
            if row is None:
                rows.append(row := {})
            row.update(cells)
        for order in reversed(one["options"]["sortBy"]):
            lowest = [row for row in rows if order["displayName"] not in row]
            there = [row for row in rows if order["displayName"] in row]
            there.sort(key=lambda row: row[order["displayName"]], reverse=order["desc"])
            # What is nothing comes before every number.
            rows = there + lowest if order["desc"] else lowest + there
        return rows


def test_a_lost_device_and_bad_electrodes_are_seen(agents, simulate, tmp_path):
    well = simulate("daisy", name="well")
    lost = simulate("cyton", name="lost")
    agent = agents()
    rhx = Rhx(2000)
    rhx.run("Record")
    port = lambda board, **more: {"serial": {"name": board.name, "port": board.port, "protocol": board.device, **more}}
    names = ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"]
    agent.configure([
        port(well),
        port(lost, signal={"names": names}),
        {"intan": {"address": f"127.0.0.1:{rhx.port}", "interval": "1s", "retry": "1s", "expect": "recording"}},
    ])
    agent.start()
    server = Prometheus(tmp_path / "prometheus", agent.port)
    try:
        eyes = Eyes(server)
        for board in ("overview", "devices"):
            streaming = "Devices streaming" if board == "overview" else "Streaming now"
            eyes.says(board, streaming, "2 of 2", "green")
        eyes.says("devices", "Connected devices", "2 of 2", "green")
        eyes.says("overview", "Recording", "1 of 1", "green")
        eyes.says("overview", "Bad channels", "0 of 24", "green")
        eyes.says("channels", "Bad channels", "0 of 24", "green")

        # A cable is pulled. What is left is not all that there should be.
        lost.process.terminate()
        lost.process.wait(20)
        for board in ("overview", "devices"):
            streaming = "Devices streaming" if board == "overview" else "Streaming now"
            eyes.says(board, streaming, "1 of 2", "red")
        eyes.says("devices", "Connected devices", "1 of 2", "red")
        for board in ("overview", "devices"):
            first, *_ = rows = eyes.rows(board, "Devices")
            assert (first["device"], first["Port"], first["Streams"]) == ("lost", 4, -1) and "Rate" not in first, rows
        # Somebody stops the recording.
        rhx.run("Stop")
        eyes.says("overview", "Recording", "0 of 1", "red")

        # It comes back, and two of its electrodes are off.
        again = simulate("cyton", "--fault", "unplug-channel=3", "--fault", "rail=6", name="lost")
        eyes.says("devices", "Connected devices", "2 of 2", "green")
        eyes.says("overview", "Bad channels", "2 of 24", "red")
        first, second, *_ = rows = [row for row in eyes.rows("channels", "Channels") if row["device"] == "lost"]
        assert {first["channel_name"], second["channel_name"]} == {"3 C3", "6 P4"}, rows
        states = next(o for o in panel("channels", "Channels")["fieldConfig"]["overrides"] if o["matcher"]["options"] == "Why")
        words = next(p["value"][0]["options"] for p in states["properties"] if p["id"] == "mappings")
        assert words[f"{(first if first['channel_name'] == '6 P4' else second)['Why']:g}"]["text"] == "railed"
        assert all("Why" not in row for row in rows[2:]), rows

        # Bad for so much of the time that was judged, however short that is.
        time.sleep(20)
        seen = agent.scrape()
        judged = seen.value("neural_device_assessed_seconds_total", device="lost")
        worst = {labels["channel_name"]: share for labels, share, _ in eyes.asked("channels", "Bad for longest") if labels["device"] == "lost"}
        for channel, called in (("3", "3 C3"), ("6", "6 P4")):
            share = seen.value("neural_channel_bad_seconds_total", device="lost", channel=channel) / judged
            assert share > 0.25 and worst[called] == pytest.approx(share, abs=0.15), (worst, share)
        assert worst.get("1 Fp1", 0) < 0.1, worst
        # A session's account.
        account = {row["device"]: row for row in eyes.rows("devices", "Devices over the selected time")}
        assert account["lost"]["Reconnects"] >= 0.9 and account["well"].get("Reconnects", 0) == 0, account
        # While it is away it tells nothing: that is no time in which it streamed.
        for column in ("Port open", "Streamed"):
            assert account["lost"][column] < account["well"][column] - 0.03, (column, account)
        assert account["well"]["Port open"] > 0.95, account
        again.process.terminate()
    finally:
        server.stop()
        rhx.hang_up()


def test_channels_are_in_the_order_of_the_device(agents, simulate, tmp_path):
    agent = agents()
    board = simulate("daisy", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "daisy", "signal": {"names": ["Fp1", "Fp2"]}}}])
    agent.start()
    server = Prometheus(tmp_path / "prometheus", agent.port)
    try:
        # The other target is what an empty panel says.
        target, _ = panel("channels", "Quality of channels")["targets"]
        expr = filled(BOARDS["channels"], target["expr"])
        wait_until(lambda: len(server.api("query", query=expr)["result"]) == 16, 60, "16 channels")
        now = time.time()
        series = server.api("query_range", query=expr, start=str(now - 5), end=str(now), step="1")["result"]
        names = [re.sub(r"\{\{(\w+)\}\}", lambda name: one["metric"][name[1]], target["legendFormat"].replace("${machine_first} ", "")) for one in series]
        assert names == ["01 Fp1", "02 Fp2", *(f"{number:02}" for number in range(3, 17))]
    finally:
        server.stop()


def test_costs_of_two_currencies_are_two_numbers(agents, tmp_path):
    labs = {}
    for currency, cost in (("EUR", 3.0), ("USD", 5.0)):
        agent = agents(currency)
        port = free_port()
        agent.configure([{"jsonl": {"name": "pipelines", "listen": f"tcp://127.0.0.1:{port}"}}], llm={"currency": currency})
        agent.start()
        line = {"type": "call", "model": "writer", "prompt_tokens": 1, "completion_tokens": 1, "cost": cost, "seconds": 1, "outcome": "ok"}
        with tcp(port) as sender:
            sender.sendall(json.dumps(line).encode() + b"\n")
        labs[currency] = agent
    server = Prometheus(tmp_path / "prometheus", *(agent.port for agent in labs.values()))
    try:
        costs = lambda: {labels["currency"]: cost for labels, cost, _ in Eyes(server).asked("inference", "Cost today")}
        wait_until(lambda: costs() == {"EUR": 3.0, "USD": 5.0}, 30, "two costs")
        (target,) = panel("inference", "Cost today")["targets"]
        assert target["legendFormat"] == "{{currency}}"
    finally:
        server.stop()


def test_an_error_budget_that_burns_is_red(agents, tmp_path):
    agent = agents()
    port = free_port()
    agent.configure([{"jsonl": {"name": "pipelines", "listen": f"tcp://127.0.0.1:{port}"}}])
    agent.start()
    rules = yaml.safe_load((ROOT / "alert-rules/pipeline.yml").read_text())
    (slo,) = [group for group in rules["groups"] if group["name"] == "neural-slo"]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{**slo, "interval": "1s"}]}))
    server = Prometheus(tmp_path / "prometheus", agent.port, rules=tmp_path / "rules.yml")
    try:
        eyes = Eyes(server)
        left = lambda stage: next((row for row in eyes.rows("processing", "Error budget left, 30 days") if row["stage"] == stage), {})
        title = "Error budget left, 30 days"

        def seen(stage: str, column: str) -> str | None:
            value = left(stage).get(column)
            own = next(o for o in panel("processing", title)["fieldConfig"]["overrides"] if o["matcher"]["options"] == column)
            steps = next(p["value"]["steps"] for p in own["properties"] if p["id"] == "thresholds")
            return None if value is None else colour(steps, value)

        with tcp(port) as sender:
            for turn in range(200):
                for stage, seconds, outcome in (("sound", 0.01, "ok"), ("slow", 0.01 if turn % 2 else 5.0, "ok"), ("fails", 0.01, "ok" if turn % 2 else "error")):
                    line = {"type": "stage", "pipeline": "p", "stage": stage, "seconds": seconds, "outcome": outcome}
                    if outcome == "error":
                        line["error"] = "timeout"
                    sender.sendall(json.dumps(line).encode() + b"\n")
                time.sleep(0.05)
                if turn > 60 and turn % 10 == 0 and seen("fails", "Failures") == "red":
                    break
            wait_until(lambda: seen("slow", "Slow runs") == "red" and seen("fails", "Failures") == "red", 30, f"red: {left('slow')} {left('fails')}")
            assert seen("sound", "Slow runs") == seen("sound", "Failures") == "green", left("sound")
            assert seen("slow", "Failures") == "green" and seen("fails", "Slow runs") == "green"
            burn = {labels["stage"]: value for labels, value, _ in eyes.asked("processing", "Burn rate, slow runs")}
            assert burn["slow"] > 14.4 > 1 > burn["sound"], burn
    finally:
        server.stop()
