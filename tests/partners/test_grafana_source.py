"""The agent as Grafana's data source of the type Prometheus, without a Grafana: the requests are those that Grafana 9.4 sent
when a person saved and tested the data source, explored, opened dashboards and the list of alert rules.

Each is sent as it was, headers included, and what Grafana's code reads of the answer must be there. What newer versions ask
otherwise is named.
"""
from __future__ import annotations

import json
import re
import socket
import time
import urllib.parse

import pytest

from conftest import Agent, free_port, udp, wait_until
from grafana_push import FOLDER, grafana, provision  # noqa: F401 - a fixture
from test_history import HISTORY, samples

# What the backend of Grafana sends, and what its front end sends through the proxy of the backend.
BACKEND = {"User-Agent": "Grafana/9.4.0-pre", "X-Datasource-Uid": "neural-agent", "X-Grafana-Org-Id": "1"}
FRONT = {
    "User-Agent": "Grafana/9.4.0-pre", "Accept": "application/json, text/plain, */*", "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin", "X-Forwarded-For": "127.0.0.1, 127.0.0.1",
    "X-Grafana-Org-Id": "1", "X-Grafana-Referer": "http://127.0.0.1:3000/explore?orgId=1",
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def asked(agent: Agent):
    """Sends a request as Grafana does, and gives the data of the answer."""
    port = free_port(socket.SOCK_DGRAM)
    agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}"}}], history=HISTORY)
    agent.start()
    client = udp(port)
    for _ in range(4):
        client.send(b"hits:3|c|#device:cyton\ntemp:1.5|g|#device:daisy")
        time.sleep(0.6)
    wait_until(lambda: samples(agent, "hits_total"), 10)

    def send(method: str, path: str, headers: dict, **parameters):
        text = urllib.parse.urlencode({key.replace("match", "match[]"): value for key, value in parameters.items()}, doseq=True)
        if method == "POST":
            status, given, body = agent.request("POST", f"/api/v1/{path}", headers | FORM, body=text.encode())
        else:
            status, given, body = agent.request("GET", f"/api/v1/{path}" + (f"?{text}" if text else ""), headers)
        answer = json.loads(body)
        assert status == 200 and given["Content-Type"] == "application/json", (path, status, answer)
        assert answer["status"] == "success", answer
        return answer["data"]

    return send


def test_saving_and_testing_a_data_source(asked):
    info = asked("GET", "status/buildinfo", FRONT)
    # `application.features` would make it a Mimir; the version decides which requests follow.
    assert re.fullmatch(r"\d+\.\d+\.\d+", info["version"]) and "features" not in info
    assert asked("POST", "query", BACKEND, query="1+1", time=f"{time.time():.3f}")["result"][1] == "2"
    # Whether the server has exemplars is asked with a query that means nothing.
    now = int(time.time() * 1000)
    assert asked("POST", "query_exemplars", FRONT, query="test", start=now - 1_800_000, end=now) == []


def test_panels_are_answered(asked):
    now = int(time.time())
    matrix = asked("POST", "query_range", BACKEND, end=now, query="hits_total", start=now - 900, step=5)
    assert matrix["resultType"] == "matrix" and matrix["result"][0]["metric"]["device"] == "cyton"
    # A step in fractions of a second, as a panel of a few seconds has it.
    fine = asked("POST", "query_range", BACKEND, end=f"{now}.5", query="temp", start=now - 5, step="0.5")
    assert len(fine["result"][0]["values"]) > 2
    vector = asked("POST", "query", BACKEND, query="sum by (device) (temp)", time=now)
    assert vector["resultType"] == "vector" and vector["result"][0]["metric"] == {"device": "daisy"}


def test_variables_have_values(asked):
    now = int(time.time())
    span = {"start": now - 900, "end": now}
    # label_values(metric, label) where no version is configured.
    found = asked("POST", "series", FRONT, match="hits_total", **span)
    assert {one["device"] for one in found} == {"cyton"}
    several = asked("POST", "series", FRONT, match=["hits_total", '{__name__="temp"}'], **span)
    assert {one["device"] for one in several} == {"cyton", "daisy"}
    # The same where the data source says which version it has, and from Grafana 10 on.
    assert asked("GET", "label/device/values", FRONT, match='{__name__="temp"}', **span) == ["daisy"]
    assert asked("GET", "label/device/values", FRONT, match=["hits_total", "temp"], **span) == ["cyton", "daisy"]
    # query_result(…) and label_names().
    assert asked("POST", "query", FRONT, query='count(up{job="neural"}) > 0', time=now)["result"][0]["value"][1] == "1"
    assert {"device", "job", "instance"} <= set(asked("POST", "labels", FRONT, **span))
    # From 10 on names of labels of what a person has typed so far.
    assert "device" in asked("POST", "labels", FRONT, match='{__name__=~".*hits.*"}', **span)


def test_a_person_explores(asked):
    now = int(time.time())
    names = asked("GET", "label/__name__/values", FRONT, start=now - 900, end=now)
    assert {"hits_total", "temp", "up"} <= set(names) and names == sorted(names)
    about = asked("GET", "metadata", FRONT)
    assert all({"type", "help"} <= set(entry) for entries in about.values() for entry in entries)
    assert about["neural_agent_build"][0]["type"] == "info"
    # Grafana 11 and later limit it.
    assert len(asked("GET", "metadata", FRONT, limit=2)) == 2


def test_lists_of_rules_are_those_that_the_agent_evaluates(asked):
    rules = [rule for group in asked("GET", "rules", FRONT)["groups"] for rule in group["rules"]]
    kinds = {rule["type"] for rule in rules}
    assert len(rules) > 200 and kinds == {"alerting", "recording"} and all(rule["query"] for rule in rules)
    alerting = [rule for group in asked("GET", "rules", FRONT, type="alert")["groups"] for rule in group["rules"]]
    assert {rule["type"] for rule in alerting} == {"alerting"}
    # What Grafana's list reads of an alert.
    assert all({"state", "duration", "labels", "annotations", "alerts", "health", "lastEvaluation"} <= rule.keys() for rule in alerting)
    assert isinstance(asked("GET", "alerts", FRONT)["alerts"], list)


def test_a_push_makes_the_agent_the_data_source(grafana, tmp_path):  # noqa: F811
    push = provision(tmp_path, grafana, datasource="agent")
    push.configure("20s", listen="127.0.0.1:9700", history={"interval": "2s"})
    done = push.json("apply")
    uid = "neural-agent-127-0-0-1-9700"
    assert done.code == 0 and done.results()[uid] == "create", done.text
    source = grafana.sources[uid]
    assert (source["type"], source["url"], source["jsonData"]["timeInterval"]) == ("prometheus", "http://127.0.0.1:9700", "2s")
    assert push("plan").code == 0
    # Another agent of this machine has one of its own.
    other = provision(tmp_path, grafana, "other")
    other.configure("20s", listen="127.0.0.1:9701")
    other.targets[0]["grafana"]["datasource"] = "agent"
    other.configure("20s", listen="127.0.0.1:9701")
    assert other("apply").code == 0 and len(grafana.sources) == 2
    assert push("plan").code == 0
    assert push("destroy").code == 0 and uid not in grafana.sources and len(grafana.sources) == 1
