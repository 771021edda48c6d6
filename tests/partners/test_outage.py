"""A thousand alerts at once while Debian's Alertmanager is away, and an agent that is killed meanwhile and during the delivery.

`OUTAGE=600` has the server away for ten minutes; the suite has less patience.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import free_port, program, wait_until
from test_alerting import seconds, write_rules
from test_provision_prometheus import Server

OUTAGE = float(os.environ.get("OUTAGE", "15"))
MANY = 1_000


class Receiver(ThreadingHTTPServer):
    """A webhook that remembers each alert it is notified of, by its unit."""

    request_queue_size = 128

    def __init__(self):
        self.firing: list[dict] = []
        self.resolved: list[dict] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_POST(self):
                for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
                    if alert["labels"]["alertname"] == "Many":
                        (outer.firing if alert["status"] == "firing" else outer.resolved).append(alert)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Units:
    """A program that says again and again how a thousand units are."""

    def __init__(self, port: int):
        self.port, self.level, self.first, self.going = port, 9, None, True
        self.thread = threading.Thread(target=self.send, daemon=True)
        self.thread.start()

    def send(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect(("127.0.0.1", self.port))
            while self.going:
                for i in range(0, MANY, 20):
                    lines = "\n".join(f"level:{self.level}|g|#unit:{unit}" for unit in range(i, i + 20))
                    try:
                        sender.send(lines.encode())
                    except ConnectionRefusedError:
                        pass  # the agent is being started
                    time.sleep(0.005)
                self.first = self.first or time.time()
                time.sleep(0.5)


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


def test_a_thousand_alerts_outlive_an_outage_and_two_kills(agent, receiver, tmp_path):
    folder, port, statsd = tmp_path / "alertmanager", free_port(), free_port(socket.SOCK_DGRAM)
    folder.mkdir()
    url = f"http://127.0.0.1:{receiver.server_address[1]}/"
    (folder / "alertmanager.yml").write_text(json.dumps({
        "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "1s", "group_interval": "5s", "repeat_interval": "4h"},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": url, "send_resolved": True}]}],
    }))

    def alertmanager() -> Server:
        return Server(folder, [program("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
                               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="], port)

    def arrived() -> int:
        return len(server.get("/api/v2/alerts?filter=alertname%3D%22Many%22"))

    agent.configure([{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{statsd}"}}], history={"interval": "1s"}, limits={"series_per_family": 2000},
                    alerts={"rule_files": [write_rules(tmp_path, {"alert": "Many", "expr": "level > 5"}, interval="1s")]},
                    respond={"alertmanagers": [{"url": f"http://127.0.0.1:{port}"}]})
    agent.start()
    units = Units(statsd)
    waiting = "neural_agent_notifications_waiting"
    agent.until(lambda seen: seen.value(waiting) >= MANY, 60)
    # It has no summary: the log says which one it is all the same.
    agent.says("an alert fires: {", "unit=")
    fired, slowest, killed = time.time(), 0.0, False
    while time.time() < fired + OUTAGE:
        began = time.monotonic()
        agent.scrape()
        slowest = max(slowest, time.monotonic() - began)
        if not killed and time.time() > fired + OUTAGE / 2:
            killed = True
            agent.process.send_signal(signal.SIGKILL)
            agent.process.wait()
            agent.start()
        time.sleep(0.2)
    agent.until(lambda seen: seen.value(waiting) >= MANY, 60)
    assert agent.scrape().value("neural_agent_notifications_dropped_total") == 0
    assert agent.scrape().value("neural_agent_alerts", state="firing") >= MANY

    server = alertmanager()
    try:
        # Killed as soon as the first arrived.
        wait_until(arrived, 60, "the first alerts")
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
        agent.start()
        wait_until(lambda: arrived() == MANY, 60, "all alerts")
        agent.until(lambda seen: seen.value(waiting) == 0, 60)
        wait_until(lambda: len(receiver.firing) >= MANY, 120, "a notification of each")
        time.sleep(6)
        of_unit = Counter(alert["labels"]["unit"] for alert in receiver.firing)
        assert len(of_unit) == MANY and set(of_unit.values()) == {1}, of_unit.most_common(3)
        late = max(abs(seconds(alert["startsAt"]) - units.first) for alert in receiver.firing)
        assert late < 15, f"a time is {late:.0f} s off"
        assert receiver.resolved == []

        units.level, over = 1, time.time()
        wait_until(lambda: len(receiver.resolved) >= MANY, 120, "the end of each")
        time.sleep(6)
        of_unit = Counter(alert["labels"]["unit"] for alert in receiver.resolved)
        assert len(of_unit) == MANY and set(of_unit.values()) == {1}, of_unit.most_common(3)
        assert max(abs(seconds(alert["endsAt"]) - over) for alert in receiver.resolved) < 15
        assert len(receiver.firing) == MANY
        print(f"away for {OUTAGE:.0f} s; the slowest scrape meanwhile took {slowest * 1e3:.0f} ms")
        assert slowest < 5
    finally:
        units.going = False
        units.thread.join()
        server.stop()
