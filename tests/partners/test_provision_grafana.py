"""Dashboards, folders, a data source and rules into a Grafana, which is played by `grafana_server`.

Nothing here is written from the agent: the server refuses what a real one would not understand, and a test fails if
it ever had to.
"""
from __future__ import annotations

import json

import pytest
import yaml

from conftest import ROOT
from grafana_push import FOLDER, current, grafana, provision  # noqa: F401 - fixtures
from grafana_server import Grafana
from provisioning import Authority, Proxy, rules


def test_the_whole_life_of_a_push(grafana, tmp_path):
    push = provision(
        tmp_path, grafana, alerts="grafana", annotate=True, datasource={"url": "http://prometheus:9090"}
    )
    push.files.rules("device", rules("DeviceDown", "DeviceLost", **{"for": "1h30m"}))
    grafana.add("theirs", "Somebody's", tags=["neural"])
    grafana.add("neighbour", "In our folder", folder=FOLDER)

    plan = push("plan")
    assert plan.code == 3 and "create dashboard \"neural-overview\"" in plan.text, plan.text
    assert grafana.writes() == [], "a plan writes nothing"
    assert push("apply", "--dry-run").code == 3 and grafana.writes() == []

    done = push.json("apply")
    assert done.code == 0 and set(done.results().values()) == {"create"}, done.text
    assert grafana.boards["neural-overview"]["folderUid"] == FOLDER
    assert grafana.boards["neural-overview"]["history"][-1]["message"].startswith("neural-exporter ")
    assert grafana.folders[FOLDER]["title"] == "Neural"
    # What Grafana reads from files lies in the same one: two of one title are a conflict before 11.
    files = yaml.safe_load((ROOT / "provisioning/grafana/dashboards/neural-exporter.yml").read_text())["providers"]
    assert [(of["folder"], of["folderUid"]) for of in files] == [("Neural", FOLDER)]
    assert grafana.sources["neural-prometheus"]["jsonData"]["timeInterval"] == "15s"
    assert len(grafana.annotations) == 1
    if grafana.at >= (11, 6):
        group = grafana.imported["Neural"]["neural-device"]
        assert [rule.get("alert", rule.get("record")) for rule in group["rules"]] == ["DeviceDown", "DeviceLost"]
    else:
        group = grafana.groups[FOLDER, "neural-device"]
        assert [rule["title"] for rule in group["rules"]] == ["DeviceDown", "DeviceLost"]

    assert push("plan").code == 0
    before = len(grafana.writes())
    done = push.json("apply")
    assert done.code == 0 and set(done.results().values()) == {"unchanged"}, done.text
    assert len(grafana.writes()) == before, "the second push writes nothing"
    assert done.json["writes"] == 0

    # What is generated changes: one dashboard and nothing else is written.
    push.files.dashboard("neural-devices", "Devices and boards")
    plan = push("plan")
    assert plan.code == 3 and '- ' in plan.text and '+   "title": "Devices and boards"' in plan.text, plan.text
    done = push.json("apply")
    assert done.results()["neural-devices"] == "update" and done.code == 0
    assert grafana.boards["neural-devices"]["model"]["version"] == 2

    # Somebody edits one: it is not written over unless that is said.
    grafana.edit("neural-overview", lambda model: model.update(title="My overview"))
    push.files.dashboard("neural-overview", "Overview 2")
    done = push.json("apply")
    assert done.code == 1 and done.results()["neural-overview"] == "refuse", done.text
    assert grafana.boards["neural-overview"]["model"]["title"] == "My overview"
    assert push.json("apply", "--force").code == 0
    assert grafana.boards["neural-overview"]["model"]["title"] == "Overview 2"

    # An edit is noticed even where nothing new is generated.
    grafana.edit("neural-overview", lambda model: model["panels"].clear())
    assert push.json("plan").results()["neural-overview"] == "refuse"
    assert push.json("apply", "--force").code == 0

    # What is no longer generated stays until it may go.
    push.files.remove("dashboards/neural-devices.json")
    done = push.json("apply")
    assert done.code == 0 and done.results()["neural-devices"] == "leave"
    done = push.json("apply", "--prune")
    assert done.code == 0 and done.results()["neural-devices"] == "delete"
    assert set(grafana.boards) == {"neural-overview", "theirs", "neighbour"}

    # Everything of ours goes, nothing of others.
    done = push.json("destroy")
    assert done.code == 0, done.text
    assert set(grafana.boards) == {"theirs", "neighbour"}
    assert done.results()[FOLDER] == "leave" and FOLDER in grafana.folders, "a folder with their dashboard stays"
    assert grafana.sources == {} and grafana.groups == {} and not any(grafana.imported.values())
    del grafana.boards["neighbour"]
    assert push.json("destroy").results() == {FOLDER: "delete"}
    assert grafana.folders == {} and set(grafana.boards) == {"theirs"}


def test_a_folder_renamed_by_a_person_keeps_its_name(current, tmp_path):
    push = provision(tmp_path, current, alerts="import", datasource={"url": "http://p:9090"})
    push.files.rules("device", rules("DeviceDown"))
    assert push("apply").code == 0
    current.folders[FOLDER]["title"] = "Our lab"
    current.imported["Our lab"] = current.imported.pop("Neural")
    assert push("plan").code == 0


def test_a_user_with_a_password_names_the_organisation(current, tmp_path):
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    current.basic, current.org = {"robot": "open sesame"}, 7
    basic = {"basic": {"user": "robot", "password_file": str(password)}}
    push = provision(tmp_path, current, access=basic, org=7)
    assert push("apply").code == 0
    wrong = provision(tmp_path, current, "wrong", access=basic, org=8)
    done = wrong("plan")
    assert done.code == 1 and "403" in done.text and "organization" in done.text, done.text


def test_what_goes_wrong_is_told(current, tmp_path):
    push = provision(tmp_path, current)
    (tmp_path / "token").write_text("glsa_wrong")
    done = push("apply")
    assert done.code == 1 and "401" in done.text and "Invalid API key" in done.text and "token_file" in done.text
    assert "glsa_wrong" not in done.text
    (tmp_path / "token").unlink()
    done = push("apply")
    assert done.code == 1 and "cannot read the secret" in done.text
    assert current.writes() == []


def test_one_that_fails_does_not_hide_the_others(current, tmp_path):
    push = provision(tmp_path, current)
    current.fail("POST /api/dashboards/db", 422)
    done = push("apply")
    assert done.code == 1 and "partial" in done.text and "told to fail" in done.text, done.text
    assert len(current.boards) == 1
    assert push("apply").code == 0 and len(current.boards) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again(current, tmp_path, status):
    push = provision(tmp_path, current)
    current.fail("GET /api/health", 503)
    current.fail("POST /api/dashboards/db", status, 2, {"Retry-After": "0"})
    current.fail("GET /api/search", status, 1, {"Retry-After": "0"})
    assert push("apply").code == 0 and len(current.boards) == 2


def test_a_change_in_between_is_not_lost(current, tmp_path):
    push = provision(tmp_path, current)
    assert push("apply").code == 0
    push.files.dashboard("neural-overview", "Overview 2")
    edit = lambda: current.edit("neural-overview", lambda model: model.update(title="By hand"))  # noqa: E731
    current.before("POST /api/dashboards/db", edit)
    done = push.json("apply")
    assert done.code == 1 and done.results()["neural-overview"] == "refuse", done.text
    assert current.boards["neural-overview"]["model"]["title"] == "By hand"
    assert push("apply", "--force").code == 0 and current.boards["neural-overview"]["model"]["title"] == "Overview 2"


def test_a_conflict_without_a_change_is_written(current, tmp_path):
    push = provision(tmp_path, current)
    current.fail("POST /api/dashboards/db", 412)
    assert push("apply").code == 0 and len(current.boards) == 2


def test_what_is_no_json_is_shown(current, tmp_path):
    """A proxy's page in place of Grafana."""
    push = provision(tmp_path, current)
    answer = current.dispatch

    def dispatch(method, target, headers, raw):
        if "/api/search" in target:
            return 200, "<html><body>Sign in</body></html>", {}
        return answer(method, target, headers, raw)

    current.dispatch = dispatch
    done = push("plan")
    assert done.code == 1 and f"{current.url}/api/search" in done.text and "a page of HTML" in done.text, done.text


def test_objects_of_others_are_not_taken_over(current, tmp_path):
    push = provision(tmp_path, current)
    current.add("neural-overview", "Theirs")
    current.add("neural-devices", "From a file", provisioned=True)
    done = push.json("apply")
    assert done.code == 1
    assert done.results() == {FOLDER: "create", "neural-overview": "refuse", "neural-devices": "refuse"}
    done = push.json("apply", "--force")
    assert done.code == 1 and done.results()["neural-devices"] == "refuse", "a file of the server wins"
    assert current.boards["neural-overview"]["model"]["title"] == "Overview"
    assert current.boards["neural-devices"]["model"]["title"] == "From a file"


def test_a_title_that_is_taken_is_no_reason_to_take_over(tmp_path):
    server = Grafana("9.4")
    push = provision(tmp_path, server)
    assert push("apply").code == 0
    server.add("other", "Overview 2", folder=FOLDER)
    push.files.dashboard("neural-overview", "Overview 2")
    done = push("apply")
    server.stop()
    assert done.code == 1 and "another dashboard in the folder has this title" in done.text, done.text
    assert server.violations == []


def test_a_dashboard_that_was_handed_on_is_not_stored(current, tmp_path):
    push = provision(tmp_path, current)
    current.pending = True
    done = push("apply")
    assert done.code == 1 and "not stored" in done.text and current.boards == {}


def test_contact_points_and_policies_only_if_asked_for(current, tmp_path):
    current.policies = {"receiver": "grafana-default-email", "routes": [{"receiver": "theirs"}]}
    points, tree = tmp_path / "points.json", tmp_path / "tree.json"
    secret = "https://hooks.example/secret-path"
    points.write_text(json.dumps([{"name": "lab", "type": "webhook", "settings": {"url": secret}}]))
    tree.write_text(json.dumps({"receiver": "lab", "group_by": ["alertname"]}))
    push = provision(tmp_path, current, contact_points_file=str(points), policies_file=str(tree))
    done = push("apply")
    assert done.code == 1 and current.policies["receiver"] == "grafana-default-email", "one tree for everybody"
    assert current.points[0]["settings"]["url"] == secret
    done = push("apply", "--force", "--output", "json")
    assert done.code == 0 and current.policies["receiver"] == "lab"
    before = len(current.writes())
    assert push("apply").code == 0 and len(current.writes()) == before
    # Another secret: the new point is there before the old one goes.
    points.write_text(points.read_text().replace("secret-path", "secret-road"))
    plan = push("plan")
    assert plan.code == 3 and "secret" not in plan.text, plan.text
    assert "secret" not in push("apply", "--output", "json").text
    assert [point["settings"]["url"] for point in current.points] == [secret.replace("path", "road")]
    assert push("destroy").code == 0
    assert current.points == [] and current.policies["receiver"] == "grafana-default-email"


def test_a_proxy_of_the_environment_is_used(current, tmp_path):
    """The server stands in for the proxy: it is asked for another host."""
    push = provision(tmp_path, current, url="http://grafana.invalid")
    seen = []
    answer = current.dispatch

    def dispatch(method, target, headers, raw):
        seen.append(target)
        return answer(method, target.removeprefix("http://grafana.invalid"), headers, raw)

    current.dispatch = dispatch
    done = push("apply", environment={"HTTP_PROXY": current.url, "PATH": "/usr/bin:/bin"})
    assert done.code == 0, done.text
    assert all(target.startswith("http://grafana.invalid/") for target in seen), seen


def test_a_server_is_believed_by_its_authority(tmp_path):
    """A certificate of an authority of one's own: known by `ca_file`, and by nothing else."""
    authority = Authority(tmp_path / "ca")
    server = Grafana("13.0", tls=authority.server("IP:127.0.0.1"))
    ours, trusted = {"token_file": str(tmp_path / "token")}, {"ca_file": str(authority.file)}
    try:
        stranger = provision(tmp_path, server, "stranger", access=ours)
        stranger.configure(wait="2s")
        done = stranger("apply")
        assert done.code == 1 and "certificate" in done.text and "ca_file" in done.text, done.text
        assert server.asked == [], "nothing is asked before the server is believed"

        push = provision(tmp_path, server, access={**ours, **trusted})
        assert push("apply").code == 0 and len(server.boards) == 2
        assert push.json("apply").json["writes"] == 0

        # Another authority vouches for nobody here.
        other = Authority(tmp_path / "other")
        wrong = provision(tmp_path, server, "wrong", access={**ours, "ca_file": str(other.file)})
        wrong.configure(wait="2s")
        done = wrong("plan")
        assert done.code == 1 and "certificate" in done.text, done.text
        other.file.write_text("nothing\n")
        done = wrong("plan")
        assert done.code == 1 and "it must be PEM" in done.text, done.text
    finally:
        server.stop()
    assert server.violations == []


def test_a_certificate_is_for_its_name(tmp_path):
    authority = Authority(tmp_path / "ca")
    server = Grafana("13.0", tls=authority.server("DNS:grafana.example"))
    access = {"token_file": str(tmp_path / "token"), "ca_file": str(authority.file)}
    push = provision(tmp_path, server, access=access)
    push.configure(wait="2s")
    done = push("plan")
    server.stop()
    assert done.code == 1 and "grafana.example" in done.text and server.asked == [], done.text


@pytest.mark.parametrize("told", ["environment", "settings", "settings for one", "not for this one"])
def test_a_proxy_makes_a_tunnel(tmp_path, told):
    """What goes through it is TLS from end to end, for a name that only the proxy can find."""
    authority = Authority(tmp_path / "ca")
    server = Grafana("13.0", tls=authority.server("DNS:grafana.invalid", "IP:127.0.0.1"))
    proxy = Proxy(("127.0.0.1", server.server.server_port))
    access = {"token_file": str(tmp_path / "token"), "ca_file": str(authority.file)}
    environment = {"PATH": "/usr/bin:/bin", "HTTPS_PROXY": proxy.url}
    url = "https://grafana.invalid"
    match told:
        case "settings":
            access["proxy"], environment = proxy.url, {"PATH": "/usr/bin:/bin"}
        case "settings for one":
            access["proxy"], environment["HTTPS_PROXY"] = proxy.url, "http://127.0.0.1:1"
        case "not for this one":
            url, environment["NO_PROXY"] = server.url, "127.0.0.1"
    push = provision(tmp_path, server, access=access, url=url)
    done = push("apply", environment=environment)
    proxy.stop()
    server.stop()
    assert done.code == 0 and len(server.boards) == 2, done.text
    assert set(proxy.asked) == (set() if told == "not for this one" else {"CONNECT grafana.invalid:443"})
    assert server.violations == []


def test_exemplars_lead_to_traces(current, tmp_path):
    source = {"url": "http://prometheus:9090", "traces_datasource": "tempo"}
    assert provision(tmp_path, current, datasource=source)("apply").code == 0
    to = {"name": "trace_id", "datasourceUid": "tempo"}
    assert current.sources["neural-prometheus"]["jsonData"]["exemplarTraceIdDestinations"] == [to]
    source = {"url": "http://prometheus:9090", "traces_url": "http://jaeger:16686/trace/"}
    push = provision(tmp_path, current, datasource=source)
    assert push.json("apply").results()["neural-prometheus"] == "update"
    (to,) = current.sources["neural-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert to["url"] == "http://jaeger:16686/trace/${__value.raw}" and to["name"] == "trace_id"
    assert push.json("apply").json["writes"] == 0


@pytest.mark.parametrize(("version", "kind"), [("9.4", "jaeger"), ("13.0", "tempo")])
def test_a_server_of_traces_is_a_data_source_beside_that_of_metrics(tmp_path, version, kind):
    server = Grafana(version)
    source = {"url": "http://prometheus:9090", "traces": {"type": kind, "url": "http://traces:3200"}}
    push = provision(tmp_path, server, datasource=source)
    done = push("apply")
    # That it has no check of its health is no failure.
    assert done.code == 0 and "cannot query" not in done.text, done.text
    of = server.sources["neural-traces"]
    assert (of["type"], of["url"], of["name"], of["access"]) == (kind, "http://traces:3200", "Traces (neural)", "proxy")
    assert of["jsonData"].get("serviceMap") == ({"datasourceUid": "neural-prometheus"} if kind == "tempo" else None)
    to = {"name": "trace_id", "datasourceUid": "neural-traces"}
    assert server.sources["neural-prometheus"]["jsonData"]["exemplarTraceIdDestinations"] == [to]
    # What a person sets beside it stays out of the comparison; what is ours is put right.
    of["jsonData"]["tracesToLogsV2"] = {"datasourceUid": "loki"}
    assert push.json("apply").json["writes"] == 0
    of["url"] = "http://elsewhere"
    assert push("plan").code == 3
    assert push("apply", "--force").code == 0 and server.sources["neural-traces"]["url"] == "http://traces:3200"
    assert push("destroy").code == 0 and server.sources == {}
    wrong = provision(tmp_path, server, datasource={**source, "traces_datasource": "tempo"})("plan")
    assert wrong.code == 2 and "traces and traces_datasource: remove one" in wrong.text, wrong.text
    server.stop()
    assert server.violations == []


def test_targets_are_chosen_by_name(current, tmp_path):
    push = provision(tmp_path, current)
    done = push("plan", "--target", "grafan")
    assert done.code == 2 and 'unknown target "grafan"' in done.text and "targets: grafana" in done.text, done.text
    assert "unchanged" not in done.text, "a table of nothing"
    assert push("plan", "--target", "grafana").code == 3
