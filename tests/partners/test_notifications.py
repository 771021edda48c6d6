"""The agent notifies receivers by itself, beside Debian's Alertmanager, which is notified of the same alerts with the same settings."""
from __future__ import annotations

import datetime
import json
import re
import signal
import socket
import subprocess
import threading
import time
import zoneinfo
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from conftest import PROGRAM, free_port, program, wait_until
from test_provision_prometheus import Server

RULES = {"groups": [{"name": "own", "interval": "1s", "rules": [
    {"alert": "NeuralLevel", "expr": "level > 5", "labels": {
        "priority": "P0", "severity": "critical", "instance": "box", "job": "neural", "component": "device"},
     "annotations": {"summary": "{{ $labels.device }} is too high: {{ $value }}", "description": "It is <high> & \"loud\".",
                     "runbook_url": "http://127.0.0.1/runbooks/NeuralLevel.md"}},
    {"alert": "NeuralLevel", "expr": "level > 2", "labels": {
        "priority": "P1", "severity": "high", "instance": "box", "job": "neural", "component": "device"},
     "annotations": {"summary": "{{ $labels.device }} is high"}},
]}]}


class Played(ThreadingHTTPServer):
    """A server to which receivers are sent. It keeps what it takes, and answers with the status that the test sets."""

    daemon_threads = True

    def __init__(self):
        self.status, self.body, self.kind, self.got, self.refused = 200, b"", "text/plain", [], 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"].startswith("application/json")
                status = outer.status
                if status == 200:
                    outer.got.append((time.time(), self.path, json.loads(body)))
                else:
                    outer.refused += 1
                self.send_response(status)
                self.send_header("Content-Type", outer.kind)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def of(self, device: str, status: str = "firing") -> list[dict]:
        """Notifications to a webhook in which a device has a status."""
        return [body for _, _, body in self.got if any(a["labels"].get("device") == device and a["status"] == status for a in body["alerts"])]


@pytest.fixture
def played():
    made = [Played(), Played()]
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


class Levels:
    """Sends levels of devices to agents, and repeats them each second: a datagram may be lost."""

    def __init__(self):
        self.ports, self.levels, self.socket = {}, {}, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stopped = threading.Event()
        threading.Thread(target=self.repeat, daemon=True).start()

    def repeat(self) -> None:
        while not self.stopped.wait(1):
            self.send(dict(self.levels))

    def source(self, agent) -> dict:
        port = self.ports.setdefault(agent.folder, None) or free_port(socket.SOCK_DGRAM)
        self.ports[agent.folder] = port
        return {"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}"}}

    def send(self, levels: dict) -> None:
        for device, level in levels.items():
            for port in list(self.ports.values()):
                self.socket.sendto(f"level:{level}|g|#device:{device}".encode(), ("127.0.0.1", port))

    def set(self, **levels: float) -> None:
        self.levels.update(levels)
        self.send(levels)


@pytest.fixture
def levels():
    made = Levels()
    yield made
    made.stopped.set()


def rule_file(folder) -> str:
    file = folder / "rules.yml"
    file.write_text(json.dumps(RULES))
    return str(file)


def configure(agent, levels: Levels, folder, receivers: list, respond: dict, **alerts) -> None:
    agent.configure([levels.source(agent)], history={"interval": "1s"}, limits={"series_per_family": 3000}, respond=respond,
                    alerts={"rule_files": [rule_file(folder)], "receivers": receivers, **alerts})


def notifying(agent, levels: Levels, folder, receivers: list, **alerts) -> None:
    configure(agent, levels, folder, receivers, {"notify": True}, **alerts)


def alertmanager_of(agent, folder) -> Server:
    """Debian's Alertmanager, with the file that is generated from an agent's configuration."""
    into = folder / "generated"
    subprocess.run([str(PROGRAM), "generate", "--config", str(agent.file), "--out", str(into)], check=True, capture_output=True)
    port = free_port()
    file = into / "provisioning" / "alertmanager" / "alertmanager.yml"
    where = folder / "am"
    where.mkdir()
    return Server(where, [program("prometheus-alertmanager"), f"--config.file={file}", f"--storage.path={where}/data",
                          f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], port)


def normal(body: dict) -> dict:
    """Without what depends on the process and the moment."""
    text = json.dumps(body, sort_keys=True)
    text = re.sub(r'"generatorURL": "[^"]*"', '"generatorURL": "-"', text)
    text = re.sub(r'"externalURL": "[^"]*"', '"externalURL": "-"', text)
    text = re.sub(r'"(startsAt|endsAt)": "2[^"]*"', r'"\1": "-"', text)
    return json.loads(text)


@pytest.mark.versions
def test_a_webhook_receives_what_alertmanager_sends_it(agents, played, levels, tmp_path):
    """Grouping, news at the group's interval, ends, and inhibition of the lower priority: the same bodies at the same times."""
    own, theirs = played
    agent, other = agents("agent"), agents("other")
    notifying(agent, levels, tmp_path, [{"webhook": {"url": f"{own.url}/hook"}}])
    configure(other, levels, tmp_path, [{"webhook": {"url": f"{theirs.url}/hook"}}], {})
    server = alertmanager_of(other, tmp_path)
    try:
        configure(other, levels, tmp_path, [{"webhook": {"url": f"{theirs.url}/hook"}}], {"alertmanagers": [{"url": f"http://127.0.0.1:{server.port}"}]})
        agent.start()
        other.start()
        time.sleep(4)
        # Both rules fire of `a` and of `b`: the lower one is inhibited.
        levels.set(a=9, b=9)
        wait_until(lambda: own.got and theirs.got, 20, "the first notification")
        levels.set(c=9, a=0)
        wait_until(lambda: len(own.got) > 1 and len(theirs.got) > 1, 90, "the second one")
        levels.set(b=0, c=0)
        wait_until(lambda: len(own.got) > 2 and len(theirs.got) > 2, 90, "the last one")
        time.sleep(2)
        reasons = [body["notification_reason"] for _, _, body in own.got]
        assert set(reasons) == {"first notification", "all alerts resolved"}, reasons
        if "notification_reason" not in theirs.got[0][2]:  # before Alertmanager 0.33
            for _, _, body in own.got:
                del body["notification_reason"]
        groups = lambda played: sorted((normal(body) for _, _, body in played.got), key=lambda body: json.dumps(body, sort_keys=True))
        assert groups(own) == groups(theirs)
        for ours, their in zip(own.got, theirs.got, strict=True):
            assert abs(ours[0] - their[0]) < 3
            assert list(ours[2]) == list(their[2]), "the fields are in the same order"
            assert [list(alert) for alert in ours[2]["alerts"]] == [list(alert) for alert in their[2]["alerts"]]
        assert {body["receiver"] for _, _, body in own.got} == {"neural-p0"}
        page = agent.get("/sources")[2].decode()
        assert f"<tr><td>webhook {own.url}/hook<td class=up>takes alerts" in page, page[page.find("<h2>Notifications"):][:400]
    finally:
        server.stop()


class Pair:
    """An agent that notifies by itself, and one with the same settings beside Debian's Alertmanager, which has the generated file."""

    def __init__(self, agents, played, levels, folder, **alerts):
        self.own, self.theirs = played
        self.agent, self.other = agents("agent"), agents("other")
        receiver = lambda server: [{"webhook": {"url": f"{server.url}/hook"}}]
        notifying(self.agent, levels, folder, receiver(self.own), **alerts)
        configure(self.other, levels, folder, receiver(self.theirs), {}, **alerts)
        self.server = alertmanager_of(self.other, folder)
        url = f"http://127.0.0.1:{self.server.port}"
        configure(self.other, levels, folder, receiver(self.theirs), {"alertmanagers": [{"url": url}]}, **alerts)
        # Where `silence` finds it.
        self.settings = folder / "provision.json"
        self.settings.write_text(json.dumps({"provision": {"targets": [{"alertmanager": {"name": "am", "url": url, "config_file": str(folder / "am.yml")}}]}}))

    def start(self) -> None:
        self.agent.start()
        self.other.start()
        time.sleep(4)

    def both(self, what, seconds: float, why: str) -> None:
        wait_until(lambda: what(self.own) and what(self.theirs), seconds, why)

    def silence(self, *arguments: str) -> None:
        for file in (self.agent.file, self.settings):
            done = subprocess.run([str(PROGRAM), "silence", *arguments, "--config", str(file)], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0, done.stderr

    def times(self, device: str, status: str = "firing") -> list[list[float]]:
        """When each was sent that a device has a status."""
        of = lambda played: [at for at, _, body in played.got if any(a["labels"].get("device") == device and a["status"] == status for a in body["alerts"])]
        return [of(self.own), of(self.theirs)]

    def same(self, device: str, status: str = "firing") -> list[float]:
        ours, their = self.times(device, status)
        assert len(ours) == len(their) and all(abs(a - b) < 4 for a, b in zip(ours, their)), (ours, their)
        return ours


def clock(place: str, hours: float) -> str:
    """What a clock there reads so many hours from now."""
    return (datetime.datetime.now(zoneinfo.ZoneInfo(place)) + datetime.timedelta(hours=hours)).strftime("%H:%M")


@pytest.mark.versions
@pytest.mark.parametrize("at, location, of, quiet", [
    (-1, "UTC", "UTC", True), (2, "UTC", "UTC", False),
    # By the clock of the place, and not by that of Greenwich.
    (-1, "Asia/Kolkata", "Asia/Kolkata", True), (-1, "Asia/Kolkata", "UTC", False),
])
def test_quiet_hours_are_those_of_alertmanager(agents, played, levels, tmp_path, at, location, of, quiet):
    """`a` has a priority that is quiet then, `b` one that is not."""
    hours = {"from": clock(of, at), "to": clock(of, at + 2), "location": location, "priorities": ["P0"]}
    pair = Pair(agents, played, levels, tmp_path, quiet=hours)
    try:
        pair.start()
        levels.set(a=9, b=3)
        pair.both(lambda played: played.of("b"), 40, "the alert that is not quiet")
        time.sleep(2)
        assert [bool(times) for times in pair.times("a")] == [not quiet] * 2
        pair.same("a")
        pair.same("b")
    finally:
        pair.server.stop()


@pytest.mark.versions
def test_what_fires_when_quiet_hours_end_is_sent_then(agents, played, levels, tmp_path):
    """They end with the next minute but one: what fires on is sent by the first look of its group after that, what is over is not."""
    end = datetime.datetime.now(datetime.timezone.utc).replace(second=0, microsecond=0) + datetime.timedelta(minutes=2)
    hours = {"from": clock("UTC", -2), "to": end.strftime("%H:%M"), "priorities": ["P0"]}
    pair = Pair(agents, played, levels, tmp_path, quiet=hours)
    try:
        pair.start()
        levels.set(a=9, c=9)
        time.sleep(8)
        levels.set(c=0)
        pair.both(lambda played: played.of("a"), 200, "the end of the quiet hours")
        (at,) = pair.same("a")
        assert end.timestamp() - 1 < at < end.timestamp() + 65 and pair.times("c") == [[], []]
    finally:
        pair.server.stop()


@pytest.mark.versions
def test_what_fires_on_is_repeated_as_often_as_it_is_set(agents, played, levels, tmp_path):
    """More often than the group is looked at for news: each 60 s, so that 90 s are 120."""
    pair = Pair(agents, played, levels, tmp_path, repeat={"P0": "90s"})
    try:
        pair.start()
        levels.set(a=9)
        pair.both(lambda played: len(played.of("a")) > 1, 160, "the repetition")
        time.sleep(3)
        first, second = pair.same("a")
        assert 115 < second - first < 126
    finally:
        pair.server.stop()


@pytest.mark.versions
def test_maintenance_is_one_command_with_and_without_alertmanager(agents, played, levels, tmp_path):
    """The alerts of what is worked on are silent, those of others and those about the agent are not."""
    own = {"alert": "NeuralOwn", "expr": "level > 5", "annotations": {"summary": "its own"},
           "labels": {"priority": "P0", "severity": "critical", "instance": "box", "job": "neural", "component": "agent"}}
    file = tmp_path / "maintenance.yml"
    file.write_text(json.dumps({"groups": [{**RULES["groups"][0], "rules": [*RULES["groups"][0]["rules"], own]}]}))
    pair = Pair(agents, played, levels, tmp_path, rule_files=[str(file)])
    of = lambda played, name, device: [body for body in played.of(device) if body["groupLabels"]["alertname"] == name]
    try:
        pair.start()
        for settings in (pair.agent.file, pair.settings):
            assert subprocess.run([str(PROGRAM), "silence", "a", "--expire", "--maintenance", "--config", str(settings)], capture_output=True, text=True).stdout == "no silence of ours was there\n"
        pair.silence("a", "--maintenance", "--for", "1h", "--comment", "new electrodes")
        levels.set(a=9, b=9)
        pair.both(lambda played: of(played, "NeuralLevel", "b") and of(played, "NeuralOwn", "a"), 40, "what is not worked on")
        time.sleep(3)
        assert not of(played[0], "NeuralLevel", "a") and not of(played[1], "NeuralLevel", "a")
        pair.silence("a", "--maintenance", "--expire")
        pair.both(lambda played: of(played, "NeuralLevel", "a"), 90, "the end of the work")
    finally:
        pair.server.stop()


def test_alerts_of_other_names_reach_the_receivers(agents, played, levels, tmp_path):
    """Those of `alerts.rule_files`: by their priority, and without one by the severity that is usual elsewhere."""
    rule = lambda name, **labels: {"alert": name, "expr": "level > 5", "labels": labels, "annotations": {"summary": name}}
    file = tmp_path / "own.yml"
    file.write_text(json.dumps({"groups": [{"name": "own", "interval": "1s", "rules": [
        rule("RoomHot", severity="critical"), rule("RoomDark", priority="P0", severity="info"), rule("RoomOpen", team="lab")]}]}))
    pair = Pair(agents, played, levels, tmp_path, rule_files=[str(file)])
    try:
        pair.start()
        levels.set(a=9)
        names = lambda played: {body["groupLabels"]["alertname"]: body["receiver"] for _, _, body in played.got}
        pair.both(lambda played: len(names(played)) == 3, 100, "all three")
        assert names(pair.own) == names(pair.theirs) == {"RoomHot": "neural-p0", "RoomDark": "neural-p0", "RoomOpen": "neural-p2"}
        pair.same("a")
    finally:
        pair.server.stop()


def test_a_receiver_that_is_away_gets_everything_once_and_with_its_true_times(agent, played, levels, tmp_path):
    """Two hundred alerts in a hundred groups, while the receiver refuses; the agent is killed twice meanwhile."""
    own, _ = played
    notifying(agent, levels, tmp_path, [{"webhook": {"url": f"{own.url}/hook"}}])
    agent.start()
    time.sleep(4)
    own.status = 503
    began = time.time()
    levels.set(**{f"d{i}": 9 for i in range(100)})
    agent.until(lambda seen: seen.value("neural_agent_notification_failures_total", integration="webhook") >= 2, 60)
    agent.says("takes no alerts, they wait: it answers 503")
    agent.until(lambda seen: seen.value("neural_agent_notifications_waiting", integration="webhook") >= 100, 30)
    for _ in range(2):
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        agent.start()
        time.sleep(2)
    assert own.refused >= 3 and own.got == []
    own.status = 200
    wait_until(lambda: len(own.got) >= 100, 60, "a notification of each group")
    agent.until(lambda seen: seen.value("neural_agent_notifications_waiting", integration="webhook") == 0, 30)
    devices = [alert["labels"]["device"] for _, _, body in own.got for alert in body["alerts"]]
    assert sorted(devices) == sorted(f"d{i}" for i in range(100)), "nothing is lost and nothing comes twice"
    for _, _, body in own.got:
        started = datetime.datetime.fromisoformat(body["alerts"][0]["startsAt"]).timestamp()
        assert abs(started - began) < 5
    # Two hundred lines about alerts that fire again may be behind it.
    wait_until(lambda: "takes alerts again" in agent.log.read_text(errors="replace"), 10, "the line that it takes alerts again")


def test_a_kill_during_delivery_loses_nothing(agent, played, levels, tmp_path):
    own, _ = played
    notifying(agent, levels, tmp_path, [{"webhook": {"url": f"{own.url}/hook"}}])
    agent.start()
    time.sleep(4)
    levels.set(**{f"d{i}": 9 for i in range(300)})
    wait_until(lambda: len(own.got) > 30, 30, "some notifications")
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    time.sleep(1)
    delivered = len(own.got)
    known = len(json.loads((agent.folder / "state/notifications.json").read_text())["dispatch"]["log"])
    assert 0 < known <= delivered < 300
    agent.start()
    seen = lambda: {alert["labels"]["device"] for _, _, body in own.got for alert in body["alerts"]}
    wait_until(lambda: len(seen()) == 300, 60, "every device")
    time.sleep(3)
    # At least once: what was not yet in the file when it was killed comes twice, and nothing else.
    assert len(own.got) == 300 + delivered - known


def test_what_is_refused_for_good_is_not_repeated_at_once_and_secrets_stay_secret(agent, played, levels, tmp_path):
    own, _ = played
    own.status = 400
    own.body = b"unknown path /secret-token"
    (tmp_path / "url").write_text(f"{own.url}/secret-token\n")
    notifying(agent, levels, tmp_path, [{"webhook": {"url_file": str(tmp_path / "url")}}])
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    agent.says("takes no alerts, they wait: it answers 400", seconds=30)
    time.sleep(5)
    assert own.refused == 1
    assert "secret-token" not in agent.told() and "secret-token" not in agent.get("/")[2].decode()
    assert "secret-token" not in agent.scrape_openmetrics().text and "secret-token" not in (tmp_path / "agent/state/notifications.json").read_text()
    own.status, own.body = 200, b""
    wait_until(lambda: own.of("a"), 70, "the notification of the next interval")


@pytest.mark.versions
def test_services_are_sent_what_alertmanager_sends_them(agents, played, levels, tmp_path):
    own, theirs = played
    for server in played:
        server.body = b"ok"
    said = subprocess.run([program("prometheus-alertmanager"), "--version"], capture_output=True, text=True, check=True)
    minor = int(re.search(r"version 0\.(\d+)", said.stdout + said.stderr)[1])
    receivers, more = [], {"alertmanager": "0.28"} if minor >= 28 else {}
    for server, name in zip(played, ("own", "theirs"), strict=True):
        slack, key = tmp_path / f"{name}.slack", tmp_path / f"{name}.key"
        slack.write_text(f"{server.url}/slack\n")
        key.write_text("0123456789abcdef0123456789abcdef\n")
        receivers.append([
            {"slack": {"api_url_file": str(slack), "channel": "#lab"}},
            {"pagerduty": {"routing_key_file": str(key), "url": f"{server.url}/pagerduty"}},
            {"discord": {"url": f"{server.url}/discord"}},
            *([{"teams": {"url": f"{server.url}/teams"}}] if more else []),
        ])
    agent, other = agents("agent"), agents("other")
    notifying(agent, levels, tmp_path, receivers[0], **more)
    configure(other, levels, tmp_path, receivers[1], {}, **more)
    server = alertmanager_of(other, tmp_path)
    try:
        configure(other, levels, tmp_path, receivers[1], {"alertmanagers": [{"url": f"http://127.0.0.1:{server.port}"}]}, **more)
        agent.start()
        other.start()
        time.sleep(4)
        levels.set(a=9)
        for status in range(1, 3):
            wait_until(lambda: min(len(own.got), len(theirs.got)) >= len(receivers[0]) * status, 90, "a notification of each")
            levels.set(a=0)

        # What names the program and its address is its own; a later Alertmanager gives PagerDuty details that are no text.
        own_words = {"title_link", "fallback", "username", "client", "client_url", "source", *({"custom_details"} if more else ())}

        def sent(played) -> list:
            def clean(value):
                if isinstance(value, dict):
                    return {k: clean(v) for k, v in value.items() if v != "" and k not in own_words}
                if isinstance(value, list):
                    return [clean(v) for v in value]
                return re.sub(r"Source: .*", "Source:", value) if isinstance(value, str) else value
            return sorted((path, json.dumps(clean(body), sort_keys=True)) for _, path, body in played.got)

        assert sent(own) == sent(theirs)
        assert [path for _, path, _ in own.got].count("/pagerduty") == 2
    finally:
        server.stop()


@pytest.mark.versions
def test_silences_are_made_at_the_agent(agent, played, levels, tmp_path):
    """By the agent's own command and by amtool; they hold back what fires, survive a restart and end."""
    own, _ = played
    notifying(agent, levels, tmp_path, [{"webhook": {"url": f"{own.url}/hook"}}])
    agent.start()
    base = f"http://127.0.0.1:{agent.port}"

    def silence(*arguments: str) -> str:
        done = subprocess.run([str(PROGRAM), "silence", *arguments, "--config", str(agent.file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def amtool(*arguments: str) -> str:
        done = subprocess.run([program("amtool"), f"--alertmanager.url={base}", "silence", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    identity = silence("a", "--for", "1h").split()[0]
    other = amtool("add", "--author=me", "--comment=why", "--duration=1h", "device=b").strip()
    assert identity in silence() and {line.split()[0] for line in amtool("query", "-q").splitlines()} == {identity, other}
    agent.stop()
    agent.start()
    assert {one["id"]: one["status"]["state"] for one in json.loads(agent.get("/api/v2/silences")[2])} == {identity: "active", other: "active"}
    time.sleep(4)
    levels.set(a=9, b=9, c=9)
    wait_until(lambda: own.of("c"), 30, "the alert that nothing silences")
    assert not own.of("a") and not own.of("b")
    # What a page of another origin asks for is refused.
    assert agent.request("DELETE", f"/api/v2/silence/{identity}", {"Origin": "http://evil.example"})[0] == 403
    assert agent.request("POST", "/api/v2/silences", {"Origin": "http://evil.example"}, body=b"{}")[0] == 403
    assert agent.request("POST", "/api/v2/silences", body=b"{}")[0] == 400
    assert agent.request("DELETE", "/api/v2/silence/none")[0] == 404
    assert silence("a", "--expire").split() == [identity]
    wait_until(lambda: own.of("a"), 70, "the alert whose silence ended")
    amtool("expire", other)
    assert amtool("query", "-q") == ""


def test_both_ways_at_once_are_refused(agent, played, levels, tmp_path):
    configure(agent, levels, tmp_path, [], {"notify": True, "alertmanagers": [{"url": "http://127.0.0.1:9093"}]})
    done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True)
    assert done.returncode != 0 and "each receiver would be notified twice" in done.stdout + done.stderr


def test_what_nobody_acknowledges_reaches_who_comes_next(agent, played, levels, tmp_path):
    """The first hears of the alert, the second of the escalation alone, until somebody acknowledges the incident."""
    first, second = played
    notifying(agent, levels, tmp_path, [{"webhook": {"url": first.url}}], escalations=[{"webhook": {"url": second.url}}], interval="1s")
    agent.config["respond"]["incidents"] = {"acknowledge": {"p0": "3s", "p1": "3s"}}
    agent.write()
    agent.start()
    time.sleep(4)
    levels.set(a=9)
    wait_until(lambda: first.of("a"), 30, "the alert")
    escalated = lambda status: [a for _, _, body in second.got for a in body["alerts"] if a["status"] == status and a["labels"]["priority"] == "P0"]
    one = wait_until(lambda: escalated("firing"), 40, "the escalation")[0]
    assert one["labels"]["alertname"] == "NeuralIncidentEscalated" and one["labels"]["incident_priority"] == "P0" and one["labels"]["alert"] == "NeuralLevel"
    named = lambda server: {a["labels"]["alertname"] for _, _, body in server.got for a in body["alerts"]}
    assert named(second) == {"NeuralIncidentEscalated"} and "NeuralIncidentEscalated" not in named(first)
    for incident in json.loads(agent.get("/api/v1/incidents?state=escalated&limit=0")[2])["data"]["incidents"]:
        assert agent.request("POST", f"/api/v1/incidents/{incident['id']}/ack", body=b"by=ada")[0] == 200
    # A change of a group of P0 is told after a minute.
    wait_until(lambda: escalated("resolved"), 100, "the end of the escalation")
    assert levels.levels == {"a": 9} and not first.of("a", "resolved"), "the alert itself goes on"


@pytest.mark.versions
def test_alertmanager_sends_escalations_where_the_agent_does(agent, levels, tmp_path):
    configure(agent, levels, tmp_path, [{"webhook": {"url": "http://127.0.0.1:1/first"}}], {}, escalations=[
        {"webhook": {"url": "http://127.0.0.1:1/second", "priorities": ["P0"]}}])
    into = tmp_path / "generated"
    subprocess.run([str(PROGRAM), "generate", "--config", str(agent.file), "--out", str(into)], check=True, capture_output=True)
    file = into / "provisioning" / "alertmanager" / "alertmanager.yml"
    for name, priority, receiver in (("NeuralIncidentEscalated", "P0", "neural-escalated-p0"), ("NeuralIncidentEscalated", "P1", "neural-escalated-p1"),
                                     ("NeuralLevel", "P0", "neural-p0"), ("NeuralLevel", "P1", "neural-p1")):
        done = subprocess.run([program("amtool"), "config", "routes", "test", f"--config.file={file}", f"alertname={name}", f"priority={priority}"],
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout.strip()) == (0, receiver), done
    urls = {one["name"]: [hook["url"] for hook in one.get("webhook_configs", [])] for one in yaml.safe_load(file.read_text())["receivers"]}
    assert urls["neural-escalated-p0"] == ["http://127.0.0.1:1/second"] and urls["neural-escalated-p1"] == [] and urls["neural-p1"] == ["http://127.0.0.1:1/first"]
def test_a_program_is_run_for_each_notification(agent, levels, tmp_path):
    """It hears what a webhook hears; one that fails is run again, a bounded number of times, and one that hangs is ended."""
    took, tried, child = tmp_path / "took", tmp_path / "tried", tmp_path / "child"
    good = f"cat > {took}.new && mv {took}.new {took}; echo $NEURAL_STATUS $NEURAL_ALERT $NEURAL_PRIORITY > {took}.env; env | grep -v NEURAL_ | cut -d= -f1 > {took}.names"
    bad = f"echo try >> {tried}; echo no such thing >&2; exit 3"
    hangs = f"setsid sh -c 'echo $$ > {child}.new; mv {child}.new {child}; exec sleep 1000' & wait"
    notifying(agent, levels, tmp_path, [
        {"exec": {"command": ["sh", "-c", good]}},
        {"exec": {"command": ["sh", "-c", bad], "priorities": ["P0"]}},
        {"exec": {"command": ["sh", "-c", hangs], "timeout": "2s", "priorities": ["P0"]}},
    ])
    agent.start({"SECRET_OF_THE_AGENT": "x"})
    time.sleep(4)
    levels.set(a=9)
    wait_until(took.exists, 30, "the run of the program")
    body = json.loads(took.read_text())
    assert body["version"] == "4" and body["receiver"] == "neural-p0" and body["alerts"][0]["labels"]["device"] == "a"
    wait_until(lambda: (tmp_path / "took.names").exists(), 10, "its environment")
    assert (tmp_path / "took.env").read_text().split() == ["firing", "NeuralLevel", "P0"]
    assert "SECRET_OF_THE_AGENT" not in (tmp_path / "took.names").read_text()
    agent.says("takes no alerts, they wait: sh failed (exit status: 3), saying: no such thing", "it took more than 2 s and was ended", seconds=30)
    number = wait_until(lambda: child.exists() and int(child.read_text()), 10, "the child")
    gone = lambda: not Path(f"/proc/{number}").exists() or ") Z " in Path(f"/proc/{number}/stat").read_text()
    wait_until(gone, 10, "the end of the child")
    wait_until(lambda: len(tried.read_text().split()) == 5, 40, "five runs")
    # No sixth before the group is due again, a minute after its first flush.
    time.sleep(8)
    assert len(tried.read_text().split()) == 5
    # An Alertmanager runs no program: its file says so.
    into = tmp_path / "generated"
    subprocess.run([str(PROGRAM), "generate", "--config", str(agent.file), "--out", str(into)], check=True, capture_output=True)
    text = (into / "provisioning" / "alertmanager" / "alertmanager.yml").read_text()
    assert text.startswith("# alerts.receivers[0] is the agent's alone (respond.notify): Alertmanager runs no program.\n")
    amtool = subprocess.run([program("amtool"), "check-config", str(into / "provisioning/alertmanager/alertmanager.yml")], capture_output=True, text=True)
    assert amtool.returncode == 0, amtool.stderr
    configure(agent, levels, tmp_path, [{"exec": {"command": ["true"]}}], {})
    done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True)
    assert done.returncode != 0 and "set respond.notify: true" in done.stdout + done.stderr
