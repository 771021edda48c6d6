"""The life of a push from the first plan to the last destroy, the same at the played Grafana and at a real one.

GRAFANA_URL names a real one and GRAFANA_ADMIN its administrator (admin:admin if it is not set); without the first these
tests are skipped, and say so. Nothing of ours may be left in it when they end; what others have there is not touched.
"""
from __future__ import annotations

import base64
import json
import os
import secrets
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from grafana_push import FOLDER, VERSIONS
from grafana_server import Grafana
from provisioning import Provision, rules

NIGHT = """apiVersion: 1
muteTimes:
  - orgId: 1
    name: neural-quiet
    time_intervals:
      - times: [{start_time: '20:00', end_time: '24:00'}, {start_time: '00:00', end_time: '07:00'}]
        location: Europe/Berlin
"""


class Played:
    """The played server, and what a person does in its browser."""

    def __init__(self, version: str):
        self.server = Grafana(version)
        self.url = self.server.url
        # As SQLite does while the server evaluates.
        self.server.locked = 11 if self.server.major < 10 else 0
        # As it happens where fifty write at once.
        self.server.crossed = 5
        self.rules_for_editors = self.server.major >= 11

    def token(self, role: str) -> str:
        self.server.roles[f"glsa_{role}"] = role
        return f"glsa_{role}"

    def edit(self, uid: str) -> None:
        self.server.edit(uid, lambda model: model.update(title="By hand"))

    def left(self) -> list:
        server = self.server
        imported = [name for groups in server.imported.values() for name in groups]
        marks = [mark["id"] for mark in server.annotations]
        return [*server.folders, *server.boards, *server.sources, *server.groups, *imported, *server.points, *server.timings, *marks]

    def marks(self) -> list[str]:
        return [mark["text"] for mark in self.server.annotations]

    def stop(self) -> None:
        self.server.stop()
        assert self.server.violations == []


class Real:
    """A real server. Tokens are of service accounts, which go when the test ends."""

    def __init__(self):
        self.url = os.environ["GRAFANA_URL"].rstrip("/")
        self.admin = os.environ.get("GRAFANA_ADMIN", "admin:admin")
        self.accounts, self.tokens = [], {}
        version = self.ask("GET", "/api/health")["version"]
        print("a real Grafana", version)
        self.rules_for_editors = int(version.split(".")[0]) >= 11
        self.before = self.left()

    def ask(self, method: str, path: str, body=None):
        headers = {"Authorization": "Basic " + base64.b64encode(self.admin.encode()).decode(), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def token(self, role: str) -> str:
        """One for each role."""
        if role not in self.tokens:
            self.tokens[role] = self.account(role)
        return self.tokens[role]

    def account(self, role: str) -> str:
        account = self.ask("POST", "/api/serviceaccounts", {"name": f"test-{role}-{secrets.token_hex(4)}", "role": role})
        self.accounts.append(account["id"])
        return self.ask("POST", f"/api/serviceaccounts/{account['id']}/tokens", {"name": secrets.token_hex(4)})["key"]

    def edit(self, uid: str) -> None:
        there = self.ask("GET", f"/api/dashboards/uid/{uid}")
        board = {**there["dashboard"], "title": "By hand"}
        self.ask("POST", "/api/dashboards/db", {"dashboard": board, "folderUid": there["meta"]["folderUid"]})

    def left(self) -> list:
        boards = [board["uid"] for board in self.ask("GET", "/api/search?limit=5000")]
        sources = [source["uid"] for source in self.ask("GET", "/api/datasources")]
        alerting = "/api/v1/provisioning"
        alerts = [rule["uid"] for rule in self.ask("GET", f"{alerting}/alert-rules")]
        points = [point["uid"] for point in self.ask("GET", f"{alerting}/contact-points")]
        timings = [timing["name"] for timing in self.ask("GET", f"{alerting}/mute-timings")]
        return sorted([*boards, *sources, *alerts, *points, *timings, *self.marks()])

    def marks(self) -> list[str]:
        return [mark["text"] for mark in self.ask("GET", "/api/annotations?tags=neural-exporter&matchAny=true&limit=5000")]

    def stop(self) -> None:
        for account in self.accounts:
            self.ask("DELETE", f"/api/serviceaccounts/{account}")
        assert self.left() == self.before


@pytest.fixture(params=[*VERSIONS, "real"])
def server(request):
    if request.param == "real" and not os.environ.get("GRAFANA_URL"):
        pytest.skip("no real Grafana: GRAFANA_URL is not set")
    server = Real() if request.param == "real" else Played(request.param)
    yield server
    server.stop()


def push_of(tmp_path, server, role: str, name: str = "push", **settings) -> Provision:
    token = tmp_path / f"token-{name}"
    token.write_text(server.token(role))
    push = Provision(tmp_path / name, {"grafana": {"url": server.url, "access": {"token_file": str(token)}, **settings}})
    push.files.dashboard("neural-test-overview", "Test overview")
    push.files.dashboard("neural-test-devices", "Test devices")
    push.files.rules("device", rules("DeviceDown", "DeviceLost", keep_firing_for="5m", **{"for": "1m30s"}), interval="15s")
    push.files.rules("disk", rules("DiskFull", annotations={"summary": "{{ $value | humanize }}"}), interval="1m")
    push.files.write("provisioning/grafana/alerting/neural-exporter.yml", NIGHT)
    return push


def everything(tmp_path) -> dict:
    points = tmp_path / "points.json"
    points.write_text(json.dumps([{"name": "neural-test", "type": "webhook", "settings": {"url": "http://127.0.0.1:9/"}}]))
    source = {"uid": "neural-test", "name": "Test (neural)", "url": "http://127.0.0.1:9090"}
    return {"alerts": "grafana", "datasource": source, "annotate": True, "contact_points_file": str(points)}


def test_an_admin_leaves_nothing_unexplained(server, tmp_path):
    push = push_of(tmp_path, server, "Admin", **everything(tmp_path))
    plan = push("plan")
    assert plan.code == 3 and "evaluated every 20 s and not every 15s" in plan.text, plan.text
    done = push.json("apply")
    assert done.code == 0 and set(done.results().values()) == {"create"}, done.text
    again = push.json("apply")
    assert again.code == 0 and set(again.results().values()) == {"unchanged"} and again.json["writes"] == 0, again.text
    assert len(server.marks()) == 1, "a push that changes nothing is not marked"
    plan = push("plan")
    assert plan.code == 0 and "nothing to do" in plan.text, plan.text

    # What is generated changes: a rule that is there, one that is new, and one that goes.
    push.files.rules("device", rules("DeviceDown", "DeviceSlow", keep_firing_for="5m", **{"for": "2m"}), interval="15s")
    done = push.json("apply")
    assert done.code == 0 and done.results()["neural-device"] == "update", done.text
    assert push("plan").code == 0

    server.edit("neural-test-devices")
    plan = push("plan")
    assert plan.code == 3 and "By hand" in plan.text and "it was edited since it was written" in plan.text, plan.text
    done = push.json("destroy")
    assert done.code == 1 and done.results()["neural-test-devices"] == "refuse", done.text
    assert done.results()[FOLDER] == "leave"
    assert server.marks() == [], "what was marked is gone, and its end is not marked"
    assert push("destroy", "--force").code == 0
    assert push.json("destroy").json["writes"] == 0


def test_an_editor_leaves_nothing_unexplained(server, tmp_path):
    push = push_of(tmp_path, server, "Editor")
    assert push("plan").code == 3
    assert push("apply").code == 0
    assert push.json("apply").json["writes"] == 0 and push("plan").code == 0
    server.edit("neural-test-devices")
    assert push.json("plan").results()["neural-test-devices"] == "refuse"
    assert push("destroy", "--force").code == 0
    assert push.json("destroy").json["writes"] == 0

    # Rules are the business of another role before Grafana 11, and boards are pushed all the same.
    push = push_of(tmp_path, server, "Editor", "rules", alerts="rule_groups", alerts_datasource="neural-test")
    with_source = push_of(tmp_path, server, "Admin", "source", datasource=everything(tmp_path)["datasource"])
    assert with_source("apply").code == 0
    done = push("apply")
    if server.rules_for_editors:
        assert done.code == 0 and push("plan").code == 0 and push("destroy").code == 0
    else:
        assert done.code == 1 and "alert.provisioning:read" in done.text and "no rule group is pushed" in done.text, done.text
    assert with_source("destroy").code == 0


def test_fifty_leave_one_set_of_objects(server, tmp_path):
    settings = everything(tmp_path)
    pushes = [push_of(tmp_path, server, "Admin", f"rig{number}", **settings) for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        done = list(pool.map(lambda push: push.json("apply"), pushes))
    assert [run.text for run in done if run.code != 0] == []
    made = [name for run in done for name, what in run.results().items() if what == "create"]
    assert made.count("neural-test-overview") == 1, "one of them made it"
    again = pushes[-1].json("apply")
    assert again.code == 0 and again.json["writes"] == 0, again.text
    assert pushes[0]("destroy").code == 0
