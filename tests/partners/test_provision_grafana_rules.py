"""Rules, mute timings and roles at a Grafana, which is played by `grafana_server`: what real ones refuse in these versions.

Each test is of something that a real 9.4 refused, or that the source of a later one does.
"""
from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from conftest import PROGRAM
from grafana_push import FOLDER, current, grafana, provision, roles  # noqa: F401 - fixtures
from grafana_server import Grafana
from provisioning import Provision, rules
from ruler_server import Ruler

NIGHT = """apiVersion: 1
muteTimes:
  - orgId: 1
    name: neural-quiet
    time_intervals:
      - times: [{start_time: '20:00', end_time: '24:00'}, {start_time: '00:00', end_time: '07:00'}]
        location: Europe/Berlin
      - weekdays: [saturday, sunday]
        location: Europe/Berlin
"""
TIMINGS = "provisioning/grafana/alerting/neural-exporter.yml"


def test_rules_that_somebody_edited_stay(grafana, tmp_path):
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://prometheus:9090"})
    push.files.rules("device", rules("DeviceDown"))
    assert push("apply").code == 0
    if grafana.at >= (11, 6):
        grafana.imported["Neural"]["neural-device"]["rules"][0]["expr"] = "up < 1"
    else:
        grafana.groups[FOLDER, "neural-device"]["rules"][0]["data"][0]["model"]["expr"] = "up < 1"
    push.files.rules("device", rules("DeviceDown", "DeviceLost"))
    done = push.json("apply")
    assert done.code == 1 and done.results()["neural-device"] == "refuse", done.text
    assert push.json("apply", "--force").code == 0 and push("plan").code == 0


LOCKED = "failed to update alert rules: database is locked"


def test_a_locked_database_is_waited_for(grafana, tmp_path):
    """SQLite, which is what Grafana comes with: another request holds it for a moment."""
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown", "DeviceLost"))
    grafana.fail("POST /api/dashboards/db", 500, 2, message="Failed to save dashboard")
    grafana.fail("(PUT|POST) /api/(v1/provisioning/folder|convert)", 500, 2, message=LOCKED)
    grafana.fail("POST /api/folders", 500, 1, message="Folder API error")
    done = push.json("apply")
    assert done.code == 0 and set(done.results().values()) == {"create"}, done.text
    assert push("apply").code == 0


def test_writers_of_contact_points_that_cross_try_again(grafana, tmp_path):
    """Contact points, quiet hours and policies are one object, which two writers find changed under their hands."""
    points, tree = tmp_path / "points.json", tmp_path / "tree.json"
    points.write_text(json.dumps([{"name": name, "type": "webhook", "settings": {"url": "http://127.0.0.1:9/"}} for name in ("lab", "night")]))
    tree.write_text(json.dumps({"receiver": "lab", "routes": [{"receiver": "night", "mute_time_intervals": ["neural-quiet"]}]}))
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://p:9090"}, contact_points_file=str(points), policies_file=str(tree))
    push.files.rules("device", rules("DeviceDown"))
    push.files.write(TIMINGS, NIGHT)
    grafana.crossed = 2
    done = push("apply")
    assert done.code == 0 and len(grafana.points) == 2 and grafana.policies["receiver"] == "lab", done.text
    assert push("plan").code == 0 and push("destroy").code == 0 and (grafana.points, grafana.timings) == ([], {})


def test_a_database_that_stays_locked_is_given_up(current, tmp_path):
    push = provision(tmp_path, current)
    assert push("apply").code == 0
    push.files.dashboard("neural-overview", "Overview 2")
    current.fail("POST /api/dashboards/db", 500, 100, message="Failed to save dashboard")
    before = len(current.writes())
    done = push("apply")
    assert done.code == 1 and "Failed to save dashboard" in done.text, done.text
    assert 5 < len(current.writes()) - before <= 10
    # What has another reason is not tried again.
    current.failures.clear()
    current.fail("POST /api/dashboards/db", 500, 100, message="plugin crashed")
    before = len(current.writes())
    assert push("apply").code == 1 and len(current.writes()) == before + 1


def test_fifty_that_push_at_once_end_well(grafana, tmp_path):
    """Each of them finds nothing there, and writes what the others write."""
    pushes = []
    for number in range(50):
        push = provision(tmp_path, grafana, f"rig{number}", alerts="grafana", datasource={"url": "http://p:9090"})
        push.files.rules("device", rules("DeviceDown", "DeviceLost"))
        push.files.rules("other", rules("OtherDown"))
        pushes.append(push)
    grafana.locked = 7 if grafana.major < 10 else 0
    with ThreadPoolExecutor(50) as pool:
        done = list(pool.map(lambda push: push.json("apply"), pushes))
    bad = [run.text for run in done if run.code != 0]
    assert bad == []
    assert len(grafana.boards) == 2 and set(grafana.folders) == {FOLDER} and len(grafana.sources) == 1
    made = [name for run in done for name, what in run.results().items() if what == "create"]
    assert made.count("neural-overview") == 1, "one of them made it"
    assert push.json("apply").json["writes"] == 0
    if grafana.at < (11, 6):
        assert sorted(title for key in grafana.groups for title in (r["title"] for r in grafana.groups[key]["rules"])) == [
            "DeviceDown", "DeviceLost", "OtherDown"]


def test_intervals_are_what_the_scheduler_takes(grafana, tmp_path):
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown", **{"for": "15s"}), interval="15s")
    push.files.rules("disk", rules("DiskFull"), interval="1m")
    plan = push("plan")
    told = "evaluated every 20 s and not every 15s, because Grafana's scheduler takes multiples of 10 s: neural-device"
    assert plan.code == 3 and plan.text.count(told) == 1 and "neural-disk" not in plan.text.split(told)[1].split("\n")[0]
    assert push("apply").code == 0
    if grafana.at >= (11, 6):
        group = grafana.imported["Neural"]["neural-device"]
        assert group["interval"] == "20s" and group["rules"][0]["for"] == "15s"
    else:
        group = grafana.groups[FOLDER, "neural-device"]
        assert group["interval"] == 20 and group["rules"][0]["for"] == "15s"
    assert push("plan").code == 0


def test_numbers_in_texts_are_expanded(grafana, tmp_path):
    """`$value` is a sentence in Grafana: "{{ $value | humanize }}" would be sent as it stands."""
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown", annotations={"summary": "{{ $value | humanize }} of {{ $labels.device }}"}))
    assert push("apply").code == 0
    if grafana.at >= (11, 6):
        rule = grafana.imported["Neural"]["neural-device"]["rules"][0]
    else:
        rule = grafana.groups[FOLDER, "neural-device"]["rules"][0]
    told = "{{ with $values.query }}{{ .Value | humanize }}{{ end }} of {{ $labels.device }}"
    assert rule["annotations"]["summary"] == told
    assert push("plan").code == 0


def test_what_a_server_drops_is_no_edit(grafana, tmp_path):
    """Older ones do not know `keep_firing_for`; where it is kept, a change of it is an edit."""
    push = provision(tmp_path, grafana, alerts="rule_groups", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown", keep_firing_for="5m", **{"for": "1m"}))
    assert push("apply").code == 0
    kept = "keep_firing_for" in grafana.groups[FOLDER, "neural-device"]["rules"][0]
    assert kept == (grafana.major >= 12)
    assert push("plan").code == 0 and push.json("apply").json["writes"] == 0
    push.files.rules("device", rules("DeviceDown", keep_firing_for="5m", **{"for": "2m"}))
    done = push.json("apply")
    assert done.code == 0 and done.results()["neural-device"] == "update", done.text
    rule = grafana.groups[FOLDER, "neural-device"]["rules"][0]
    rule["keep_firing_for" if kept else "for"] = "9m"
    assert push.json("plan").results()["neural-device"] == "refuse"
    assert push("apply", "--force").code == 0
    assert push("destroy").code == 0 and grafana.groups == {} and grafana.folders == {}


def test_a_push_that_broke_off_is_gone_on_with(tmp_path):
    """9.x takes new rules one by one: half a group is no edit by hand."""
    server = Grafana("9.4")
    push = provision(tmp_path, server, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown", "DeviceLost"))
    server.before("POST .*alert-rules", lambda: server.fail("POST .*alert-rules", 422))
    assert push("apply").code == 1
    server.failures.clear()
    server.before("PUT .*rule-groups", lambda: server.fail("PUT .*rule-groups/neural-device", 422, 2))
    assert push("apply").code == 1
    server.failures.clear()
    assert push("apply").code == 0 and push("plan").code == 0
    titles = [rule["title"] for rule in server.groups[FOLDER, "neural-device"]["rules"]]
    assert titles == ["DeviceDown", "DeviceLost"]
    server.stop()
    assert server.violations == []


def test_an_editor_pushes_boards(grafana, tmp_path):
    push = roles(tmp_path, grafana, "Editor", "boards")
    assert push("plan").code == 3
    assert push("apply").code == 0 and len(grafana.boards) == 2 and FOLDER in grafana.folders
    assert push("plan").code == 0 and push.json("apply").json["writes"] == 0
    assert push("destroy").code == 0 and grafana.boards == {} and grafana.folders == {}


def test_rules_need_the_role_that_is_said(grafana, tmp_path):
    """Boards are pushed where rules may not be; which permission is missing is said once."""
    grafana.sources["prom"] = {"uid": "prom", "name": "Prometheus", "version": 1, "readOnly": False}
    push = roles(tmp_path, grafana, "Editor", "rules", alerts="rule_groups", alerts_datasource="prom")
    push.files.rules("device", rules("DeviceDown"))
    push.files.rules("other", rules("OtherDown"))
    done = push("apply")
    assert len(grafana.boards) == 2, done.text
    if grafana.major >= 11:
        assert done.code == 0 and push("plan").code == 0 and len(grafana.groups) == 2, done.text
        assert push("destroy").code == 0 and grafana.groups == {}
    else:
        assert done.code == 1 and done.text.count("alert.provisioning:read") == 1, done.text
        results = push.json("destroy")
        assert results.code == 1 and results.results()["neural-device"] == "refuse", results.text


def test_the_check_says_what_may_not_be_read(tmp_path):
    server = Grafana("9.4")
    push = roles(tmp_path, server, "Editor", "rules", alerts="rule_groups", alerts_datasource="prom")
    push.targets.append({"directory": {"path": str(tmp_path / "out")}})
    push.configure(wait="20s")
    done = subprocess.run([PROGRAM, "check", "--config", push.config, "--live", "--output", "json"], capture_output=True, text=True)
    found = next(finding for finding in json.loads(done.stdout)["live"] if finding["path"].startswith("provision.targets[0]"))
    server.stop()
    assert found["verdict"] == "failed" and "alert.provisioning:read" in found["message"], found


def test_contact_points_need_the_role_that_is_said(grafana, tmp_path):
    points = tmp_path / "points.json"
    points.write_text(json.dumps([{"name": "lab", "type": "webhook", "settings": {"url": "http://127.0.0.1:9/"}}]))
    push = roles(tmp_path, grafana, "Editor", "points", contact_points_file=str(points))
    done = push("apply")
    assert len(grafana.boards) == 2, done.text
    if grafana.major >= 11:
        assert done.code == 0 and len(grafana.points) == 1 and push("destroy").code == 0 and grafana.points == []
    else:
        assert done.code == 1 and "no contact point is pushed" in done.text and "alert.provisioning:read" in done.text
    assert provision(tmp_path, grafana, "admin", contact_points_file=str(points))("apply").code == 0


def test_a_viewer_is_told_what_is_missing(current, tmp_path):
    done = roles(tmp_path, current, "Viewer", "boards")("apply")
    assert done.code == 1 and "folders:create" in done.text and "role Editor" in done.text, done.text
    assert current.boards == {}
    done = roles(tmp_path, current, "Editor", "source", datasource={"url": "http://p:9090"})("apply")
    assert done.code == 1 and "datasources:create" in done.text and "role Admin" in done.text, done.text
    assert len(current.boards) == 2


def test_a_data_source_that_works_is_not_doubted(grafana, tmp_path):
    push = provision(tmp_path, grafana, datasource={"url": "http://p:9090"})
    done = push("apply")
    assert done.code == 0 and "cannot query it" not in done.text, done.text


def test_a_data_source_that_does_not_work_is_told(tmp_path):
    server = Grafana("9.4")
    server.unreachable["neural-prometheus"] = 'Post "http://p:9090/api/v1/query": dial tcp: no such host'
    done = provision(tmp_path, server, datasource={"url": "http://p:9090"})("apply")
    server.stop()
    assert done.code == 0 and "Grafana cannot query it yet" in done.text and "no such host" in done.text, done.text


def test_a_server_that_records_nothing_takes_alerts_alone(grafana, tmp_path):
    """`[recording_rules] enabled` is off by default: an import with one is refused."""
    push = provision(tmp_path, grafana, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown"))
    push.files.rules("rates", [{"record": "job:up:rate", "expr": "rate(up[5m])"}])
    assert push("apply").code == 0
    names = grafana.imported.get("Neural", {}) if grafana.at >= (11, 6) else {name for _, name in grafana.groups}
    assert set(names) - {"neural-exporter-marks"} == {"neural-device"}


def test_one_server_evaluates(current, tmp_path):
    """Where Grafana evaluates the alerts, the others get the recording rules; where nobody records, it is refused."""
    push = provision(tmp_path, current, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown"))
    push.files.rules("needs", rules("Needs", expr="job:up:sum < 1"))
    plan = push("plan", "--output", "json")
    assert plan.results()["neural-needs"] == "refuse" and plan.results()["neural-device"] == "create", plan.text
    assert "Needs needs job:up:sum, which no target records" in push("plan").text
    done = push("apply")
    assert done.code == 1 and set(current.imported["Neural"]) == {"neural-device", "neural-exporter-marks"}, done.text

    out, ruler = tmp_path / "out", Ruler()
    push.targets += [{"directory": {"path": str(out)}}, {"mimir": {"url": ruler.url, "tenant": "lab"}}]
    push.configure(wait="20s")
    assert push("apply").code == 0 and push("plan").code == 0
    ruler.stop()
    assert "neural-needs" in current.imported["Neural"]
    mimir = ruler.tenants["lab"]["neural-exporter"]
    recorded = [rule for name in ("neural-device", "neural-needs") for rule in mimir[name]["rules"]]
    assert all("record" in rule for rule in recorded) and recorded
    assert "DeviceDown" not in (out / "alert-rules/device.yml").read_text()
    assert "job:up:sum" in (out / "alert-rules/device.yml").read_text()


def test_who_evaluated_before_is_not_forgotten(grafana, tmp_path):
    """Rules that stay where another server evaluates now would notify a second time."""
    ruler = Ruler()
    mimir = {"mimir": {"url": ruler.url, "tenant": "lab"}}
    push = provision(tmp_path, grafana, datasource={"url": "http://p:9090"})
    push.targets.append(mimir)
    push.files.rules("device", rules("DeviceDown"))
    push.files.rules("quiet", [rule for rule in rules("Quiet") if "alert" in rule])

    def evaluate(by: str):
        push.targets[0]["grafana"]["alerts"] = by
        push.configure(wait="20s")

    evaluate("none")
    assert push("apply").code == 0 and "neural-quiet" in ruler.tenants["lab"]["neural-exporter"]
    evaluate("grafana")
    done = push("apply")
    assert done.code == 0 and "Grafana evaluates the alert rules now" in done.text, done.text
    assert "neural-quiet" in ruler.tenants["lab"]["neural-exporter"]
    done = push("apply", "--prune")
    assert done.code == 0 and "notify a second time" not in done.text, done.text
    assert "neural-quiet" not in ruler.tenants["lab"]["neural-exporter"]
    evaluate("none")
    done = push("apply")
    assert done.code == 0 and "another server evaluates the alert rules now" in done.text, done.text
    done = push("apply", "--prune")
    assert done.code == 0 and "same alerts.job" in done.text, "they may be those of another agent"
    assert grafana.groups or any(grafana.imported.values())
    assert push("apply", "--prune", "--force").code == 0 and grafana.groups == {} and not any(grafana.imported.values())
    assert "neural-quiet" in ruler.tenants["lab"]["neural-exporter"]
    assert push("plan").code == 0 and "notify a second time" not in push("plan").text
    evaluate("grafana")
    assert push("apply").code == 0
    evaluate("none")
    for command in (["destroy", "--dry-run"], ["destroy"]):
        done = push(*command)
        assert done.code == (3 if "--dry-run" in command else 0), done.text
        assert grafana.sources and grafana.folders, "what they ask, and where they lie"
        assert "rule group \"neural-device\"\n  with alerts: none" in done.text and "same alerts.job; --force removes them" in done.text, done.text
        assert grafana.groups or any(grafana.imported.values()), "the alerts of another agent go on"
    assert push("destroy", "--force").code == 0 and grafana.groups == {} and not any(grafana.imported.values())
    assert grafana.sources == {} and grafana.folders == {}
    ruler.stop()


def test_what_is_left_is_listed(tmp_path):
    server = Grafana("9.4")
    push = provision(tmp_path, server, alerts="grafana", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown"))
    push.files.write(TIMINGS, NIGHT)
    server.add("neural-devices", "Theirs")
    server.timings["neural-quiet"] = {"name": "neural-quiet", "time_intervals": [], "provenance": ""}
    assert push("apply").code == 1
    done = push.json("destroy")
    left = {step["name"]: step["why"] for step in done.json["outcomes"] if step["action"] == "leave"}
    assert set(left) == {"neural-devices", "neural-quiet"} and done.code == 0, done.text
    assert all("not ours" in why for why in left.values())
    assert set(server.boards) == {"neural-devices"} and server.folders == {} and server.groups == {}
    server.stop()


def test_the_tree_of_a_fresh_server_is_nobodys(grafana, tmp_path):
    points, tree = tmp_path / "points.json", tmp_path / "tree.json"
    points.write_text(json.dumps([{"name": "lab", "type": "webhook", "settings": {"url": "http://127.0.0.1:9/"}}]))
    tree.write_text(json.dumps({"receiver": "lab", "group_by": ["alertname"]}))
    push = provision(tmp_path, grafana, contact_points_file=str(points), policies_file=str(tree))
    done = push("apply")
    assert done.code == 0 and grafana.policies["receiver"] == "lab", done.text
    assert push("plan").code == 0
    assert push("destroy").code == 0 and grafana.policies["receiver"] == "grafana-default-email"
    grafana.policies = {"receiver": "grafana-default-email", "group_by": ["device"]}
    assert push("apply").code == 1 and grafana.policies["group_by"] == ["device"], "somebody's tree stays"


def test_quiet_hours_are_those_of_the_settings(grafana, tmp_path):
    """From the configuration to the server, through the files that are generated."""
    token, config = tmp_path / "token", tmp_path / "config.yml"
    token.write_text("glsa_right")
    target = {"url": grafana.url, "access": {"token_file": str(token)}, "alerts": "grafana",
              "datasource": {"url": "http://prometheus:9090"}}

    def run(deed: str, quiet: dict | None, **more):
        alerts = {"quiet": quiet} if quiet else {}
        # Somebody must have the recording rules.
        targets = [{"grafana": {**target, **more}}, {"directory": {"path": str(tmp_path / "out")}}]
        config.write_text(json.dumps({"alerts": alerts, "provision": {"targets": targets}}))
        return Provision.run(config, deed, "--output", "json")

    night = {"from": "20:00", "to": "07:00", "weekends": True, "location": "Europe/Berlin"}
    assert run("apply", night).code == 0
    first, second = grafana.timings["neural-quiet"]["time_intervals"]
    assert [(time["start_time"], time["end_time"]) for time in first["times"]] == [("20:00", "24:00"), ("00:00", "07:00")]
    assert first["location"] == "Europe/Berlin" and second["weekdays"] == ["saturday", "sunday"]
    assert run("apply", night).json["writes"] == 0
    done = run("apply", {**night, "to": "06:00"})
    assert done.results()["neural-quiet"] == "update" and done.json["writes"] >= 1
    # Without alerts of its own it has no use for them, and a token for dashboards may not see them.
    asked = len([path for _, path in grafana.asked if "mute" in path])
    run("plan", night, alerts="none")
    assert len([path for _, path in grafana.asked if "mute" in path]) == asked
    assert run("apply", None).results()["neural-quiet"] == "leave"
    assert run("destroy", None).code == 0 and grafana.timings == {}


def test_mute_timings_of_others_stay(current, tmp_path):
    tree = tmp_path / "tree.json"
    tree.write_text(json.dumps({"receiver": "lab", "routes": [{"receiver": "lab", "mute_time_intervals": ["neural-quiet"]}]}))
    points = tmp_path / "points.json"
    points.write_text(json.dumps([{"name": "lab", "type": "webhook", "settings": {"url": "http://127.0.0.1:9095/"}}]))
    current.timings["weekend"] = {"name": "weekend", "time_intervals": [], "provenance": ""}
    push = provision(tmp_path, current, contact_points_file=str(points), policies_file=str(tree))
    push.files.write(TIMINGS, NIGHT)
    assert push("apply", "--force").code == 0, "the policy names what was made just before it"
    assert push("apply").code == 0
    # Made in the browser: nobody's but theirs.
    current.timings["neural-quiet"]["provenance"] = ""
    current.timings["neural-quiet"]["time_intervals"] = []
    assert push.json("plan").results()["neural-quiet"] == "refuse"
    current.timings["neural-quiet"]["provenance"] = "file"
    assert push.json("apply", "--force").results()["neural-quiet"] == "refuse", "a file of the server wins"
    current.timings["neural-quiet"]["provenance"] = "api"
    # A policy that somebody else has now keeps it.
    current.policies = {"receiver": "theirs", "routes": [{"receiver": "theirs", "mute_time_intervals": ["neural-quiet"]}]}
    done = push("destroy")
    assert done.code == 1 and "a policy still uses it" in done.text and "neural-quiet" in current.timings, done.text
    current.policies = {"receiver": "theirs"}
    assert push("destroy").code == 0 and set(current.timings) == {"weekend"}
