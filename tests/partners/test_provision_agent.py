"""What the running agent does of itself: the push at start, and the files that it serves.

Independent: Debian's Prometheus, which discovers the agent over HTTP; the Grafana is played by `grafana_server`.
"""
from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import free_port, program, wait_until
from grafana_server import Grafana
from openapi import Description
from provisioning import Provision

FOLDER = "neural-exporter"


def configure(agent, **provision):
    agent.configure([{"host": {"interval": "5s"}}], provision=provision)


def test_the_agent_pushes_when_it_starts(agent, tmp_path):
    grafana = Grafana("12.2")
    token = tmp_path / "token"
    token.write_text("glsa_right")
    gone = {"mimir": {"url": f"http://127.0.0.1:{free_port()}", "tenant": "lab"}}
    target = {"grafana": {"url": grafana.url, "access": {"token_file": str(token)}, "datasource": {"url": "http://p:9090"}}}
    # The server comes later than the agent: it is waited for, and then asked once more.
    grafana.fail("GET /api/health", 503, 10)
    configure(agent, at_start=True, wait="2s", targets=[gone, target])
    agent.start()
    seen = agent.until(lambda s: s.series("neural_provision_last_success_timestamp_seconds", target="grafana"), 80)
    assert seen.value("neural_provision_objects", target="grafana", result="created") >= 2
    assert seen.value("neural_provision_objects", target="grafana", result="failed") == 0
    assert not seen.series("neural_provision_last_success_timestamp_seconds", target="mimir")
    agent.says("was not ready within 2 s")
    assert FOLDER in grafana.folders
    writes, pushes = len(grafana.writes()), agent.told().count("pushed:")
    status, _ = agent.reload()
    assert status == 200
    wait_until(lambda: agent.told().count("pushed:") > pushes, 30, "the next push")
    assert len(grafana.writes()) == writes, "a reload pushes again, and writes nothing"
    agent.stop()
    grafana.stop()
    assert grafana.violations == []


def test_agents_that_start_at_once_do_not_push_at_once(agents, tmp_path):
    """The machines of a room get their power together."""
    first: dict[str, float] = {}
    token = tmp_path / "token"
    token.write_text("glsa_right")
    servers = []
    for number in range(6):
        servers.append(grafana := Grafana("12.2"))
        grafana.before("GET /api/health", lambda name=number: first.setdefault(name, time.monotonic()))
        rig = agents(f"rig{number}")
        configure(rig, at_start=True, targets=[{"grafana": {"url": grafana.url, "access": {"token_file": str(token)}}}])
        # Counted from when each is ready: that may differ on a busy machine.
        rig.start()
        grafana.ready = time.monotonic()
    wait_until(lambda: len(first) == 6, 60, f"six pushes: {first}")
    waited = sorted(first[number] - servers[number].ready for number in range(6))
    # By chance six are within one of ten seconds in one of 17,000 runs.
    assert waited[-1] - waited[0] > 1, waited
    for grafana in servers:
        grafana.stop()


def test_a_server_is_waited_for_a_minute_unless_the_configuration_says_otherwise(tmp_path):
    for wait, seconds in ({}, 60), ({"wait": "90s"}, 90):
        grafana = Grafana("12.2")
        grafana.fail("GET /api/health", 503, 12)
        token = tmp_path / "token"
        token.write_text("glsa_right")
        config = tmp_path / "config.yml"
        target = {"grafana": {"url": grafana.url, "access": {"token_file": str(token)}}}
        config.write_text(json.dumps({"provision": {**wait, "targets": [target]}}))
        done = Provision.run(config, "plan")
        grafana.stop()
        assert done.code == 3 and f"waiting for {grafana.url} (up to {seconds} s)" in done.text, done.text


def test_an_agent_that_waits_for_a_server_stops_at_once(agent):
    gone = {"mimir": {"url": f"http://127.0.0.1:{free_port()}", "tenant": "lab"}}
    configure(agent, at_start=True, wait="1h", targets=[gone])
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="host") == 1)
    agent.stop()


def test_nothing_is_pushed_unasked(agent, tmp_path):
    out = tmp_path / "out"
    configure(agent, targets=[{"directory": {"path": str(out)}}])
    agent.start()
    agent.scrape()
    agent.stop()
    assert not out.exists()


def test_files_are_served(agent):
    configure(agent)
    agent.start()
    status, headers, page = agent.get("/provision/")
    assert status == 200 and headers["Content-Type"].startswith("text/html") and b"http_sd" in page
    status, headers, body = agent.get("/provision/rules.yml")
    assert status == 200 and headers["Content-Type"].startswith("application/yaml") and b"groups:" in body
    # What is listed can be fetched, whatever is generated: the last file of each folder and kind.
    links = [part.split(b'"')[0].decode() for part in page.split(b'href="')[1:]]
    links = [link for link in links if link.startswith("/provision/")]
    for link in {(link.rpartition("/")[0], link.rpartition(".")[2]): link for link in links}.values():
        assert agent.get(link)[0] == 200, link
    for path in ["/provision/../config.yml", "/provision/%2e%2e/config.yml", "/provision//etc/passwd", "/provision/x"]:
        assert agent.get(path)[0] == 404, path
    assert agent.request("POST", "/provision/rules.yml")[0] == 405
    assert agent.request("DELETE", "/api/v1/sd")[0] == 405
    assert agent.scrape().value("neural_agent_http_requests_total", path="/provision", status="404") == 4


def test_the_agent_is_discovered_under_the_name_it_was_asked_by(agent):
    configure(agent)
    agent.start()
    status, headers, body = agent.get("/api/v1/sd")
    assert status == 200 and headers["Content-Type"] == "application/json"
    assert json.loads(body) == [{"targets": [f"127.0.0.1:{agent.port}"], "labels": {}}]
    assert json.loads(agent.get("/api/v1/sd", {"Host": "rig-3:9612"})[2])[0]["targets"] == ["rig-3:9612"]
    assert agent.get("/api/v1/sd", {"Host": "a b"})[0] == 400


def test_prometheus_discovers_the_agent(agent, tmp_path):
    configure(agent)
    agent.start()
    port, folder = free_port(), tmp_path / "prometheus"
    folder.mkdir()
    (folder / "prometheus.yml").write_text(
        "scrape_configs:\n- job_name: neural\n  scrape_interval: 1s\n"
        f"  http_sd_configs: [{{url: 'http://127.0.0.1:{agent.port}/api/v1/sd', refresh_interval: 1s}}]\n"
    )
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)

    def up():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query=up", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return [r["value"][1] for r in result] == ["1"]

    try:
        wait_until(up, 60, "the first scrape of the discovered agent")
    finally:
        server.terminate()
        server.wait(20)


def test_the_played_grafana_is_strict():
    """What keeps the other tests honest: it notices what is not described."""
    spec = {"definitions": {"Save": {"type": "object", "required": ["uid"], "properties": {"uid": {"type": "string"}}}},
            "paths": {"/x/{id}": {"post": {"parameters": [
                {"name": "limit", "in": "query", "type": "integer"},
                {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Save"}}]}}}}
    check = Description(spec).check
    assert check("POST", "/api/x/1", {"limit": ["5"]}, {}, {"uid": "a"}) == []
    for wrong in [
        check("POST", "/api/x/1", {"limits": ["5"]}, {}, {"uid": "a"}),
        check("POST", "/api/x/1", {"limit": ["five"]}, {}, {"uid": "a"}),
        check("POST", "/api/x/1", {}, {}, None),
        check("POST", "/api/x/1", {}, {}, {}),
        check("POST", "/api/x/1", {}, {}, {"uid": 5}),
        check("POST", "/api/x/1", {}, {}, {"uid": "a", "uuid": "b"}),
        check("PUT", "/api/x/1", {}, {}, {"uid": "a"}),
        check("POST", "/api/y", {}, {}, {"uid": "a"}),
    ]:
        assert len(wrong) == 1, wrong
    server = Grafana()
    request = urllib.request.Request(server.url + "/api/dashboards", headers={"Authorization": "Bearer glsa_right"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=10)
    server.stop()
    assert server.violations
