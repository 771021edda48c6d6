"""Debian's Alertmanagers as the agent reaches them: several, below a prefix, with passwords and certificates, slow, gone and back.

Independent: Debian's Alertmanager and Prometheus, OpenSSL.
"""
from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from conftest import ROOT, free_port, program, wait_until
from provisioning import Authority
from test_alerting import Played, played, seconds, write_rules  # noqa: F401 - a fixture
from test_notifications import levels  # noqa: F401 - a fixture
from test_provision_prometheus import Server

pytestmark = pytest.mark.versions

PASSWORD = "s3cret-of-the-test"
# What bcrypt makes of it.
HASH = "$2b$05$abcdefghijklmnopqrstuujsWknM8pfBPdRxoOJt8hu.sWw2vTXTq"
QUIET = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
HIGH = {"alert": "High", "expr": "level > 5", "labels": {"severity": "critical"}}


class Alertmanager:
    """Debian's, with or without a prefix, a password and a certificate."""

    def __init__(self, folder, prefix: str = "", password: bool = False, authority: Authority | None = None):
        folder.mkdir()
        self.folder, self.port, self.prefix, self.password, self.authority = folder, free_port(), prefix, password, authority
        (folder / "alertmanager.yml").write_text(json.dumps(QUIET))
        web: dict = {}
        if password:
            web["basic_auth_users"] = {"agent": HASH}
        if authority:
            authority.server("IP:127.0.0.1")
            for name in ("certificate.pem", "key.pem"):
                (folder / name).write_bytes((authority.folder / name).read_bytes())
            web["tls_server_config"] = {"cert_file": "certificate.pem", "key_file": "key.pem"}
        (folder / "web.yml").write_text(json.dumps(web))
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}{self.prefix}"

    def start(self) -> Alertmanager:
        command = [program("prometheus-alertmanager"), f"--config.file={self.folder}/alertmanager.yml", f"--storage.path={self.folder}/data",
                   f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=", f"--web.config.file={self.folder}/web.yml",
                   f"--web.external-url={self.url}", f"--web.route-prefix={self.prefix or '/'}"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        wait_until(self.ready, 60, "the start of Alertmanager")
        return self

    def ready(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.get("/-/ready") is not None
        except OSError:
            return False

    def get(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path)
        if self.password:
            request.add_header("Authorization", "Basic " + b64encode(f"agent:{PASSWORD}".encode()).decode())
        context = ssl.create_default_context(cafile=str(self.authority.file)) if self.authority else None
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return answer.read()

    def alerts(self, name: str = "High") -> list[dict]:
        return [one for one in json.loads(self.get("/api/v2/alerts")) if one["labels"]["alertname"] == name]

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture
def managers(tmp_path):
    made = []

    def make(name: str, **more) -> Alertmanager:
        made.append(Alertmanager(tmp_path / name, **more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def sent(agent, url: str, what: str = "neural_agent_notifications_total") -> float:
    return agent.scrape().value(what, integration="alertmanager", receiver=url)


def test_each_of_several_is_reached_as_it_wants_to_be(agent, managers, levels, tmp_path):  # noqa: F811
    authority, other = Authority(tmp_path / "authority"), Authority(tmp_path / "other")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "wrong").write_text("n0t-the-password\n")
    basic = lambda file: {"basic": {"user": "agent", "password_file": str(tmp_path / file)}}
    prefixed = managers("prefixed", prefix="/am").start()
    guarded = managers("guarded", password=True).start()
    both = managers("both", prefix="/monitoring/am", password=True, authority=authority).start()
    refused, strange = managers("refused", password=True).start(), managers("strange", authority=other).start()
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(guarded.url + "/api/v2/alerts", timeout=10)
    access = {prefixed: {}, guarded: basic("password"), both: {**basic("password"), "ca_file": str(authority.file)},
              refused: basic("wrong"), strange: {"ca_file": str(authority.file)}}
    agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, HIGH, interval="1s")]},
                    respond={"alertmanagers": [{"url": one.url, "access": of} for one, of in access.items()]})
    agent.start()
    levels.set(a=9)
    for one in (prefixed, guarded, both):
        (alert,) = wait_until(one.alerts, 60, f"the alert at {one.url}")
        assert alert["labels"]["device"] == "a"
        assert wait_until(lambda one=one: sent(agent, one.url), 10, "the count") >= 1
        assert sent(agent, one.url, "neural_agent_notification_failures_total") == 0
    # Those that are reached in a wrong way hold up no other, and each says what is wrong.
    agent.says(f"alertmanager {refused.url} takes no alerts, they wait: 401: Unauthorized", f"alertmanager {strange.url} takes no alerts, they wait: ",
               "invalid peer certificate", seconds=30)
    for one in (refused, strange):
        assert one.alerts() == [] and sent(agent, one.url) == 0
        assert sent(agent, one.url, "neural_agent_notifications_waiting") >= 1
    levels.set(a=1)
    for one in (prefixed, guarded, both):
        # Not a minute later: an end that is ahead of Alertmanager's clock would be taken for none.
        wait_until(lambda one=one: not one.alerts(), 45, f"the end at {one.url}")
    # With the right password it gets what there is.
    (tmp_path / "wrong").write_text(PASSWORD)
    levels.set(b=9)
    assert agent.reload()[0] == 200
    (alert,) = wait_until(refused.alerts, 60, "the alert with the other password")
    assert alert["labels"]["device"] == "b"
    seen = agent.told() + agent.scrape_openmetrics().text + agent.get("/sources")[2].decode() + agent.get("/")[2].decode()
    assert PASSWORD not in seen and "n0t-the" not in seen and b64encode(f"agent:{PASSWORD}".encode()).decode() not in seen


def test_one_that_is_slow_is_asked_again_and_one_that_forgot_is_told_again(agent, managers, levels, tmp_path):  # noqa: F811
    real = managers("real")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as slow:
        port = slow.getsockname()[1]
        agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, HIGH, interval="1s")]},
                        respond={"resend_delay": "5s", "alertmanagers": [{"url": f"http://127.0.0.1:{port}", "timeout": "1s"}, {"url": real.url}]})
        agent.start()
        levels.set(a=9)
        # One takes connections and never answers, the other is not there yet: both are tried again and again.
        agent.until(lambda seen: all(seen.value("neural_agent_notification_failures_total", receiver=url) >= 2
                                     for url in (f"http://127.0.0.1:{port}", real.url)), 60)
        agent.says(f"alertmanager http://127.0.0.1:{port} takes no alerts, they wait: it does not answer within 1 s", f"alertmanager {real.url} takes no alerts")
        went = time.time()
        real.start()
        (alert,) = wait_until(real.alerts, 60, "the alert")
        assert seconds(alert["startsAt"]) < went, "the true time"
        agent.says(f"alertmanager {real.url} takes alerts again")
        # Its memory is gone when it is killed: it hears of the alert at the next notice.
        real.kill()
        real.start()
        (again,) = wait_until(real.alerts, 60, "the alert, another time")
        assert again["startsAt"] == alert["startsAt"]


def test_notices_come_when_and_say_until_when_as_those_of_prometheus(agent, managers, levels, tmp_path):  # noqa: F811
    """The same rules, each in front of an Alertmanager of its own and one that writes down what it is sent: when alerts are sent again, until
    when they are valid, and that their end is told again. The delay is shorter than the minute that both have by default."""
    resend, slow = 6, 20
    rules = tmp_path / "two.yml"
    rules.write_text(json.dumps({"groups": [
        {"name": "quick", "interval": "1s", "rules": [HIGH]},
        {"name": "slow", "interval": f"{slow}s", "rules": [{**HIGH, "alert": "Slow"}]}]}))
    own, theirs = managers("own").start(), managers("theirs").start()
    heard = {"own": Played(), "theirs": Played()}
    place = {name: f"127.0.0.1:{one.server_address[1]}" for name, one in heard.items()}
    folder, port = tmp_path / "prometheus", free_port()
    folder.mkdir()
    agent.configure([levels.source(agent)], history={"interval": "1s"}, alerts={"rule_files": [str(rules)]},
                    respond={"resend_delay": f"{resend}s", "alertmanagers": [{"url": own.url}, {"url": f"http://{place['own']}"}]})
    (folder / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "rule_files": [str(rules)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{theirs.port}", place["theirs"]]}]}]},
        "scrape_configs": [{"job_name": "neural", "static_configs": [{"targets": [f"127.0.0.1:{agent.port}"]}]}],
    }))
    agent.start()
    server = Server(folder, [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                             f"--web.listen-address=127.0.0.1:{port}", f"--rules.alert.resend-delay={resend}s"], port)
    api: dict[str, dict[str, tuple[float, float]]] = {"own": {}, "theirs": {}}

    def look() -> None:
        """Until when each Alertmanager holds an alert valid, and when it heard of it, by its own API."""
        for name, manager in (("own", own), ("theirs", theirs)):
            for alert in ("High", "Slow"):
                for one in manager.alerts(alert):
                    api[name][alert] = (seconds(one["updatedAt"]), seconds(one["endsAt"]))

    def notices(name: str, alert: str, over: bool) -> list[tuple[float, float]]:
        """When each came, and its end."""
        with_ends = [(at, seconds(one["endsAt"])) for at, one in heard[name].got if one["labels"]["alertname"] == alert]
        return [(at, end) for at, end in with_ends if (end <= at + 1) == over]

    try:
        levels.set(a=9)
        enough = lambda over, quick, slow: all(len(notices(name, "High", over)) >= quick and len(notices(name, "Slow", over)) >= slow for name in heard)
        wait_until(lambda: look() or enough(False, 4, 2), 120, "four notices and two")
        look()
        for name in heard:
            for alert, delay in (("High", resend), ("Slow", slow)):
                got = notices(name, alert, False)
                valid = [end - at for at, end in got]
                assert all(4 * delay - 8 < each <= 4 * delay + 0.5 for each in valid), (name, alert, valid)
                updated, ends = api[name][alert]
                assert 4 * delay - 8 < ends - updated <= 4 * delay + 0.5, (name, alert, ends - updated)
            # What is evaluated each second is sent again at the first look after the delay.
            times = [at for at, _ in notices(name, "High", False)]
            gaps = sorted(later - earlier for earlier, later in zip(times, times[1:]))
            assert resend - 2 < gaps[len(gaps) // 2] < resend + 6, (name, gaps)
        starts = {name: {one["startsAt"] for _, one in heard[name].got if one["labels"]["alertname"] == "High"} for name in heard}
        assert len(starts["own"]) == len(starts["theirs"]) == 1, starts
        levels.set(a=1)
        wait_until(lambda: enough(True, 3, 1), 120, "three notices of the end")
        for name in heard:
            ends = {end for _, end in notices(name, "High", True)}
            assert len(ends) == 1, (name, "the end is the same in each notice", ends)
            times = [at for at, _ in notices(name, "High", True)]
            assert times[2] - times[0] > 2 * resend - 4, (name, times)
        wait_until(lambda: not own.alerts() and not theirs.alerts(), 20, "the end in both")
    finally:
        server.stop()
        for one in heard.values():
            one.shutdown()
            one.server_close()


@pytest.mark.parametrize("by", ["alertmanager", "webhook"])
def test_what_cannot_be_delivered_is_said_where_people_look(agent, levels, tmp_path, by):  # noqa: F811
    """The alert that ships, but that it waits for ten seconds and not for ten minutes."""
    port, undelivered, summary = free_port(), "NeuralAlertsUndelivered", "Alerts do not reach a receiver"
    url = f"http://127.0.0.1:{port}"
    (shipped,) = [one for group in yaml.safe_load((ROOT / "alert-rules/agent.yml").read_text())["groups"] for one in group["rules"]
                  if one.get("alert") == undelivered]
    assert shipped["for"] == "10m"
    level = {**HIGH, "alert": "NeuralLevel", "labels": {"severity": "medium", "priority": "P0", "component": "own"}}
    rules = write_rules(tmp_path, level, {**shipped, "for": "10s"}, interval="1s")
    direct = {"notify": True} if by == "webhook" else {"resend_delay": "5s", "alertmanagers": [{"url": url}]}
    receivers = {"receivers": [{"webhook": {"url": url + "/hook"}}]} if by == "webhook" else {}
    agent.configure([levels.source(agent)], history={"interval": "1s"}, respond=direct, alerts={"rule_files": [rules], "off": [undelivered], **receivers})
    agent.start()

    def reasons() -> list[dict]:
        verdict = json.loads(agent.get("/api/v1/health")[2])
        return [reason for one in verdict["components"] if one["component"] == "agent" for reason in one.get("reasons", []) if reason["alert"] == undelivered]

    def state() -> set[str]:
        answer = json.loads(agent.get("/api/v1/alerts")[2])["data"]["alerts"]
        return {one["state"] for one in answer if one["labels"]["alertname"] == undelivered}

    def card() -> str:
        """How the card of the agent is drawn on the first page."""
        return re.search(r"<section id=agent>.*?<article class=\"card (\w+)\">", agent.get("/")[2].decode(), re.S)[1]

    time.sleep(5)
    # An Alertmanager is told of the watchdog at once.
    assert reasons() == [] and state() <= {"pending"} and card() == "ok"
    levels.set(a=9)
    wait_until(lambda: state() == {"firing"}, 90, "that it fires")
    assert [(one["severity"], one["summary"]) for one in wait_until(reasons, 10)] == [("high", summary)]
    assert json.loads(agent.get("/api/v1/health")[2])["status"] == "degraded"
    wait_until(lambda: summary in agent.get("/")[2].decode() and card() != "ok", 20, "the page")
    agent.says(f"an alert fires: {summary}", "takes no alerts, they wait: ", seconds=20)
    seen = agent.scrape()
    assert seen.value("neural_agent_notifications_waiting", integration=by) >= 1 and seen.value("neural_agent_notification_failures_total", integration=by) >= 1
    done = subprocess.run([agent.command()[0], "query", f'ALERTS{{alertname="{undelivered}",alertstate="firing"}}', "--config", str(agent.file)],
                          capture_output=True, text=True, timeout=30)
    assert undelivered in done.stdout, done
    # The receiver is back.
    with Taking(port) as taking:
        wait_until(lambda: any('"NeuralLevel"' in body for body in taking.bodies), 120, "the delivery")
        agent.until(lambda seen: seen.value("neural_agent_notifications_waiting", integration=by) == 0, 120)
        wait_until(lambda: state() == set() and not reasons(), 120, "the end of the alert")
        wait_until(lambda: card() == "ok", 20, "that the page is well again")
        agent.says(f"an alert is over: {summary}", "takes alerts again", seconds=30)


class Taking:
    """A server that takes whatever it is sent."""

    def __init__(self, port: int):
        outer, self.bodies = self, []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_POST(self):
                outer.bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)

    def __enter__(self) -> Taking:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_without_a_word_alerts_are_sent_again_each_minute(agent):
    """Prometheus' default, which is the agent's."""
    agent.configure([])
    done = subprocess.run([agent.command()[0], "check", "--print", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["respond"]["resend_delay"] in ("60s", "1m", "1m0s"), done.stdout
