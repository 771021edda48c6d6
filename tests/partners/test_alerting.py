"""The agent evaluates rules by itself and notifies Debian's Alertmanager, alone and beside Debian's Prometheus."""
from __future__ import annotations

import datetime
import json
import signal
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import free_port, program, wait_until
from test_program_rda import Recorder, start
from test_provision_prometheus import Server, alertmanager  # noqa: F401 - a fixture

LOST = {"alert": "LinkLost", "expr": 'neural_source_up{source="eeg"} == 0', "labels": {"severity": "critical"},
        "annotations": {"summary": "{{ $labels.source }} on {{ $labels.instance }} is away"}}


class Eeg(Recorder):
    """A recorder that greets everyone at once."""

    def __init__(self, port: int = 0):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.clients, self.met = [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                client.sendall(start())
            except OSError:
                return
            self.clients.append(client)

    def hang_up(self) -> None:
        """The program goes: nobody listens, and every connection ends."""
        # Closing alone would not wake the thread that accepts.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()


@pytest.fixture
def recorder():
    made = Eeg()
    yield made
    if made.listener.fileno() >= 0:
        made.hang_up()


def eeg(port: int) -> dict:
    return {"rda": {"name": "eeg", "address": f"127.0.0.1:{port}"}}


def write_rules(folder, *rules, interval: str = "5s") -> str:
    file = folder / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "own", "interval": interval, "rules": list(rules)}]}))
    return str(file)


def alerts(server: Server, **labels) -> list[dict]:
    found = server.get("/api/v2/alerts")
    return [a for a in found if all(a["labels"].get(name) == value for name, value in labels.items())]


def seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_what_changes_is_notified_at_once(agent, alertmanager, recorder, tmp_path):  # noqa: F811
    """The history looks once a minute: what arrives within seconds was evaluated because it happened."""
    agent.configure(
        [eeg(recorder.port)],
        history={"interval": "60s"},
        alerts={"rule_files": [write_rules(tmp_path, LOST, {**LOST, "alert": "LinkLostFor", "for": "3s"}, interval="60s")]},
        respond={"alertmanagers": [{"url": alertmanager.url}]},
    )
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    time.sleep(4)
    assert alerts(alertmanager, alertname="LinkLost") == []
    went = time.time()
    recorder.hang_up()
    wait_until(lambda: alerts(alertmanager, alertname="LinkLost"), 10, "the alert")
    (alert,) = alerts(alertmanager, alertname="LinkLost")
    assert abs(seconds(alert["startsAt"]) - went) < 5
    assert alert["annotations"]["summary"] == f"eeg on 127.0.0.1:{agent.port} is away"
    assert alert["labels"] == {"alertname": "LinkLost", "severity": "critical", "source": "eeg", "job": "neural",
                               "instance": f"127.0.0.1:{agent.port}"}
    agent.says("an alert fires: eeg on 127.0.0.1:", "LinkLost")
    page = agent.get("/sources")[2].decode()
    assert f"eeg on 127.0.0.1:{agent.port} is away" in agent.get("/")[2].decode()
    assert "firing<td>" in page and "<td class=danger>" in page and f"eeg on 127.0.0.1:{agent.port} is away" in page
    # A time of waiting ends when it ends, and not at the next look.
    wait_until(lambda: alerts(alertmanager, alertname="LinkLostFor"), 15, "the alert that waits")
    (waited,) = alerts(alertmanager, alertname="LinkLostFor")
    assert 2.9 < seconds(waited["startsAt"]) - seconds(alert["startsAt"]) < 8
    # What is over is said at once as well.
    again = Eeg(recorder.port)
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1, 60)
    wait_until(lambda: not alerts(alertmanager, alertname="LinkLost"), 10, "the end of the alert")
    agent.says("an alert is over: ", seconds=20)
    again.hang_up()


def test_the_series_of_alerts_are_in_the_history(agent, recorder, tmp_path):
    agent.configure([eeg(recorder.port)], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(tmp_path, LOST, {"record": "own:up", "expr": "sum(neural_source_up)"})]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    base = f"http://127.0.0.1:{agent.port}"

    def ask(expr: str) -> str:
        return subprocess.run([program("promtool"), "query", "instant", base, expr], capture_output=True, text=True, timeout=20).stdout

    wait_until(lambda: "own:up => 1 @" in ask("own:up"), 20, "a recorded series")
    recorder.hang_up()
    wait_until(lambda: 'alertstate="firing"' in ask('ALERTS{alertname="LinkLost"}'), 20, "the series of the alert")
    answer = json.loads(agent.get("/api/v1/alerts")[2])
    (alert,) = [a for a in answer["data"]["alerts"] if a["labels"]["alertname"] == "LinkLost"]
    assert alert["state"] == "firing" and alert["value"] == "0e+00"
    rules = json.loads(agent.get("/api/v1/rules?type=alert&rule_name[]=LinkLost")[2])["data"]["groups"]
    assert [(group["name"], rule["state"], rule["health"]) for group in rules for rule in group["rules"]] == [("own", "firing", "ok")]
    assert agent.scrape().value("neural_agent_alerts", state="firing") >= 1


@pytest.mark.versions
def test_beside_a_prometheus_there_is_one_alert(agent, alertmanager, recorder, tmp_path):  # noqa: F811
    """Both evaluate the same rules, over the same agent: Alertmanager sees each alert once."""
    at_site = {"summary": LOST["annotations"]["summary"] + " at {{ $externalLabels.site }}"}
    rules = write_rules(tmp_path, {**LOST, "annotations": at_site}, interval="1s")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    port = free_port()
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [rules], "external_labels": {"site": "lab"}},
                    respond={"alertmanagers": [{"url": alertmanager.url}]})
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s", "external_labels": {"site": "lab"}},
        "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
        "scrape_configs": [{"job_name": "neural", "static_configs": [{"targets": [f"127.0.0.1:{agent.port}"]}]}],
    }))
    server = Server(folder, [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                             f"--web.listen-address=127.0.0.1:{port}"], port)
    try:
        agent.start()
        agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
        recorder.hang_up()

        def firing() -> bool:
            of_server = server.get("/api/v1/alerts")["data"]["alerts"]
            own = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
            both = [[a for a in some if a["labels"]["alertname"] == "LinkLost" and a["state"] == "firing"] for some in (of_server, own)]
            if not all(both):
                return False
            assert both[0][0]["labels"] == both[1][0]["labels"] and both[0][0]["annotations"] == both[1][0]["annotations"]
            return True

        wait_until(firing, 30, "the alert in both")
        sent = 'prometheus_notifications_sent_total{alertmanager="http://127.0.0.1:%d/api/v2/alerts"} ' % alertmanager.port
        wait_until(lambda: sent + "0" not in server.get("/metrics").decode() and sent in server.get("/metrics").decode(), 30, "a notice of the server")
        (one,) = alerts(alertmanager, alertname="LinkLost")
        assert one["labels"]["site"] == "lab" and one["annotations"]["summary"].endswith(" is away at lab")
    finally:
        server.stop()


def prometheus_of(folder, agent, rules: str, managers: list[str] = ()) -> Server:
    """Debian's Prometheus, which scrapes an agent and evaluates the same rules, each second."""
    folder.mkdir()
    port = free_port()
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}, "rule_files": [rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(managers)}]}]},
        "scrape_configs": [{"job_name": "neural", "static_configs": [{"targets": [f"127.0.0.1:{agent.port}"]}]}],
    }))
    return Server(folder, [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                           f"--web.listen-address=127.0.0.1:{port}"], port)


def shape(value):
    """What an answer is made of: keys and kinds, and the texts that are not times."""
    if isinstance(value, dict):
        # When something was, and how long it took; a later server says when an alert is kept.
        return {key: shape(of) for key, of in value.items() if key not in ("evaluationTime", "lastEvaluation", "activeAt", "file", "keepFiringSince")}
    if isinstance(value, list):
        return [shape(of) for of in value]
    return value if isinstance(value, (str, bool)) or value is None else float(value)


@pytest.mark.versions
def test_rules_and_alerts_are_told_in_the_form_of_prometheus(agent, recorder, tmp_path):
    lost = {**LOST, "keep_firing_for": "1s"}
    rules = write_rules(tmp_path, {"record": "own:up", "expr": "sum(neural_source_up)", "labels": {"team": "eeg"}}, lost,
                        {**LOST, "alert": "LinkLostFor", "for": "1h"}, {**LOST, "alert": "Never", "expr": "neural_source_up > 5"}, interval="1s")
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [rules]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    server = prometheus_of(tmp_path / "prometheus", agent, rules)
    try:
        recorder.hang_up()

        def both(path: str) -> tuple[dict, dict]:
            own, theirs = json.loads(agent.get(path)[2]), server.get(path)
            assert own["status"] == theirs["status"] == "success"
            return own["data"], theirs["data"]

        def own_group(data: dict) -> list[dict]:
            return [group for group in data["groups"] if group["name"] == "own"]

        def states(data: dict) -> list[str]:
            return [alert["state"] for group in own_group(data) for rule in group["rules"] for alert in rule.get("alerts", [])]

        wait_until(lambda: all(sorted(states(data)) == ["firing", "pending"] for data in both("/api/v1/rules")), 60, "the alerts in both")
        for path in ("/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?type=record"):
            own, theirs = (shape(own_group(data)) for data in both(path))
            assert own == theirs, path
            ours, their = (own_group(data)[0] for data in both(path))
            assert set(their) <= set(ours) and ours["file"].endswith("rules.yml")
            for one, other in zip(ours["rules"], their["rules"], strict=True):
                assert abs(seconds(one["lastEvaluation"]) - seconds(other["lastEvaluation"])) < 10 and one["evaluationTime"] > 0
        own, theirs = (sorted((shape(alert) for alert in data["alerts"] if alert["labels"]["alertname"].startswith("LinkLost")), key=str) for data in both("/api/v1/alerts"))
        assert own == theirs
        # Newer servers know more parameters: the agent takes them.
        found = json.loads(agent.get("/api/v1/rules?rule_name[]=Never&rule_group[]=own")[2])["data"]["groups"]
        assert [rule["name"] for group in found for rule in group["rules"]] == ["Never"]
    finally:
        server.stop()


@pytest.mark.versions
def test_beside_a_prometheus_each_of_a_hundred_alerts_is_told_once(agent, tmp_path):
    """Both send the same alerts to one Alertmanager, which tells a webhook: once that each fires, once that it is over."""
    # That file imports this one.
    from test_outage import Receiver

    receiver, port, statsd = Receiver(), free_port(), free_port(socket.SOCK_DGRAM)
    rules = write_rules(tmp_path, {"alert": "Many", "expr": "level > 5", "labels": {"severity": "high"}}, interval="1s")
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(json.dumps({
        "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "3s", "group_interval": "10s", "repeat_interval": "4h"},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": f"http://127.0.0.1:{receiver.server_address[1]}/", "send_resolved": True}]}]}))
    manager = Server(folder, [program("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
                              f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], port)
    agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{statsd}"}}], history={"interval": "1s"}, alerts={"rule_files": [rules]},
                    respond={"alertmanagers": [{"url": f"http://127.0.0.1:{port}"}]})
    agent.start()
    server = prometheus_of(tmp_path / "prometheus", agent, rules, [f"127.0.0.1:{port}"])
    level, stopped = [9], threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stopped.wait(0.5):
                for unit in range(100):
                    sender.sendto(b"level:%d|g|#unit:%d" % (level[0], unit), ("127.0.0.1", statsd))

    threading.Thread(target=send, daemon=True).start()
    try:
        wait_until(lambda: len({alert["labels"]["unit"] for alert in receiver.firing}) == 100, 60, "each alert")
        sent = lambda: server.get("/metrics").decode().split('prometheus_notifications_sent_total{alertmanager="http://127.0.0.1:%d/api/v2/alerts"} ' % port)[1].split("\n")[0]
        wait_until(lambda: float(sent()) >= 100, 60, "that the server sent them as well")
        wait_until(lambda: agent.scrape().value("neural_agent_notifications_total") >= 100, 60, "that the agent sent them")
        time.sleep(12)
        level[0] = 1
        wait_until(lambda: len({alert["labels"]["unit"] for alert in receiver.resolved}) == 100, 90, "the end of each")
        time.sleep(12)
        for told in (receiver.firing, receiver.resolved):
            assert len(told) == 100, (len(told), "each once, not twice")
    finally:
        stopped.set()
        server.stop()
        manager.stop()
        receiver.shutdown()
        receiver.server_close()


class Played(ThreadingHTTPServer):
    """An Alertmanager that keeps what it is sent, and refuses it while it is told to."""

    def __init__(self):
        self.refuses, self.got = False, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/api/v2/alerts" and self.headers["Content-Type"] == "application/json"
                if not outer.refuses:
                    outer.got.extend((time.time(), alert) for alert in json.loads(body))
                self.send_response(503 if outer.refuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, name: str) -> list[dict]:
        return [alert for _, alert in self.got if alert["labels"]["alertname"] == name]


@pytest.fixture
def played():
    made = Played()
    yield made
    made.shutdown()
    made.server_close()


def test_an_alert_waits_for_a_server_that_is_away(agent, recorder, played, tmp_path):
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, LOST)]},
                    respond={"alertmanagers": [{"url": f"http://127.0.0.1:{played.server_address[1]}"}]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    played.refuses = True
    went = time.time()
    recorder.hang_up()
    agent.until(lambda seen: seen.value("neural_agent_notifications_waiting") >= 1)
    agent.until(lambda seen: seen.value("neural_agent_notification_failures_total") >= 2, 30)
    agent.says("takes no alerts, they wait: ")
    # Killed meanwhile: who comes after it delivers it, with its true times.
    wait_until(lambda: "LinkLost" in (tmp_path / "agent" / "state" / "alerts.json").read_text() if (tmp_path / "agent" / "state" / "alerts.json").exists() else False, 10, "the state on disk")
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    time.sleep(3)
    played.refuses = False
    agent.start()
    wait_until(lambda: played.of("LinkLost"), 30, "the alert")
    # The program went within the agent's first seconds, in which rules are not evaluated yet.
    assert abs(seconds(played.of("LinkLost")[0]["startsAt"]) - went) < 4
    agent.until(lambda seen: seen.value("neural_agent_notifications_waiting") == 0)


def test_a_server_that_never_answers_holds_nobody_up(agent, recorder, played, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, LOST)]},
                        respond={"alertmanagers": [{"url": f"http://127.0.0.1:{port}"} for port in (silent.getsockname()[1], played.server_address[1])]})
        agent.start()
        agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
        time.sleep(3)
        recorder.hang_up()
        wait_until(lambda: played.of("LinkLost"), 10, "the alert at the other server")
        began = time.monotonic()
        assert agent.reload()[0] == 200 and time.monotonic() - began < 5
        # It asserts that the end takes no longer than five seconds.
        agent.stop()


def test_a_thousand_alerts_at_once_are_delivered_once(agent, played, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    many = {"alert": "Many", "expr": "level > 5"}
    agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}"}}], history={"interval": "1s"},
                    limits={"series_per_family": 2000}, alerts={"rule_files": [write_rules(tmp_path, many, interval="1s")]},
                    respond={"alertmanagers": [{"url": f"http://127.0.0.1:{played.server_address[1]}"}]})
    agent.start()
    time.sleep(3.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for i in range(1000):
            sender.sendto(b"level:9|g|#unit:%d" % i, ("127.0.0.1", port))
            if i % 50 == 0:
                time.sleep(0.01)
    wait_until(lambda: len(played.of("Many")) >= 1000, 30, "a thousand alerts")
    time.sleep(3)
    units = [alert["labels"]["unit"] for alert in played.of("Many")]
    assert len(units) == 1000 and len(set(units)) == 1000
    assert agent.scrape().value("neural_agent_notifications_dropped_total") == 0


def test_a_wait_goes_on_after_a_restart(agent, recorder, played, tmp_path):
    agent.configure([eeg(recorder.port)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, {**LOST, "for": "12s"})]},
                    respond={"alertmanagers": [{"url": f"http://127.0.0.1:{played.server_address[1]}"}]})
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    recorder.hang_up()
    agent.until(lambda seen: seen.value("neural_agent_alerts", state="pending") >= 1)
    began = time.time()
    time.sleep(6)
    went = time.time()
    agent.stop()
    agent.start()
    away = time.time() - went
    wait_until(lambda: played.of("LinkLost"), 30, "the alert")
    # The time away does not count; the six seconds before it do.
    assert time.time() - began < 12 + away + 3, "it waited again from the beginning"


def test_a_reload_takes_other_rules_and_keeps_the_states(agent, recorder, played, tmp_path):
    url = f"http://127.0.0.1:{played.server_address[1]}"
    own = {"history": {"interval": "1s"}, "respond": {"alertmanagers": [{"url": url}]}}
    agent.configure([eeg(recorder.port)], alerts={"rule_files": [write_rules(tmp_path, LOST)]}, **own)
    agent.start()
    agent.until(lambda seen: seen.value("neural_source_up", source="eeg") == 1)
    recorder.hang_up()
    wait_until(lambda: played.of("LinkLost"), 20, "the alert")
    began = played.of("LinkLost")[0]["startsAt"]
    # A file that is wrong is refused, with its line, and the old rules run on.
    write_rules(tmp_path, {**LOST, "expr": "neural_source_up =="})
    status, said = agent.reload()
    assert status == 500 and "rules.yml:1:" in said and "could not parse expression" in said
    write_rules(tmp_path, LOST, {**LOST, "alert": "Second"})
    assert agent.reload()[0] == 200
    wait_until(lambda: played.of("Second"), 20, "the alert of the new rule")
    wait_until(lambda: len(played.of("LinkLost")) > 1, 90, "the next notice")
    assert {alert["startsAt"] for alert in played.of("LinkLost")} == {began}


def test_where_a_server_evaluates_the_agent_does_not(agent, tmp_path):
    agent.configure([], provision={"targets": [{"prometheus": {"url": "http://127.0.0.1:9", "rules_directory": str(tmp_path)}}]},
                    respond={"alertmanagers": [{"url": "http://127.0.0.1:9"}]})
    agent.start()
    agent.says("nobody is notified: the agent evaluates no rules")
    assert json.loads(agent.get("/api/v1/rules")[2])["data"]["groups"] == []


def test_every_generated_rule_is_evaluated_without_an_error(agent):
    agent.configure([], history={"interval": "1s"})
    agent.start()
    agent.until(lambda seen: seen.value("neural_agent_rule_evaluations_total") > 200)
    groups = json.loads(agent.get("/api/v1/rules")[2])["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) > 200 and {rule["health"] for rule in rules} == {"ok"}
    assert agent.scrape().value("neural_agent_rule_evaluation_failures_total") == 0
