"""The page: what a person sees of a board, a stream and an incident, with and without a script.

Independent: simulated boards, and a reader of server-sent events of our own making, by the rules of the HTML standard.
"""
from __future__ import annotations

import html
import html.parser
import http.client
import json
import re
import shlex
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest
import yaml

from conftest import PROGRAM, Agent, program, wait_until
from test_alerting import write_rules
from test_incidents import LOST, incidents, one
from test_simulate import simulate  # noqa: F401 - a fixture


class Live:
    """Reads `/live` until it is closed."""

    def __init__(self, agent: Agent, headers: dict[str, str] | None = None, path: str = "/live"):
        self.pieces: dict[str, str] = {}
        self.events: list[tuple[float, str]] = []
        self.ended = False
        self.socket = socket.create_connection(("127.0.0.1", agent.port), timeout=30)
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{agent.port}", "Accept: text/event-stream"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        self.status = self.file.readline().decode()
        self.head = {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(": ")
            self.head[name.lower()] = value
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def chunks(self):
        while size := int(self.file.readline().strip() or b"0", 16):
            yield self.file.read(size)
            self.file.readline()

    def read(self) -> None:
        text = ""
        try:
            for chunk in self.chunks():
                text += chunk.decode()
                while "\n\n" in text:
                    event, _, text = text.partition("\n\n")
                    fields = dict(line.partition(": ")[::2] for line in event.splitlines())
                    self.events.append((time.monotonic(), fields["event"]))
                    if fields["event"] == "piece":
                        piece = json.loads(fields["data"])
                        self.pieces[piece["id"]] = piece["html"]
        except (OSError, ValueError):
            pass
        self.ended = True

    def says(self, text: str, within: float = 15) -> None:
        wait_until(lambda: any(text in piece for piece in self.pieces.values()), within, f"{text!r} on the page")

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Page(html.parser.HTMLParser):
    """The addresses that a page names, and what of it a browser would run or load."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.ids, self.inline, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[name] for name in ("href", "src", "action") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        self.inline += [(tag, name) for name in found if name.startswith("on") or name == "style"]
        if tag == "style" or tag == "script" and "src" not in found:
            self.inline.append((tag, ""))

    def handle_data(self, data):
        self.words.append(data)


def seen(agent: Agent, path: str = "/") -> str:
    status, headers, page = agent.get(path)
    assert status == 200, page
    return page.decode()


def says(agent: Agent, *texts: str) -> None:
    """Waits for a page that has all the texts: each second has its own, and a rate of 250 Hz is 249 Hz in some of them."""
    wait_until(lambda: (page := seen(agent)) and all(text in page for text in texts), 15, f"{texts} on the page")


def snapshot(agent: Agent) -> dict:
    return json.loads(seen(agent, "/api/v1/snapshot"))


def words(agent: Agent) -> str:
    return snapshot(agent)["verdict"]["words"]


def test_a_board_is_unplugged_and_plugged_in(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"})
    agent.start()
    assert "Nothing is connected yet" in seen(agent) or "board" in seen(agent)
    live = Live(agent)
    assert "200" in live.status and live.head["content-type"] == "text/event-stream"
    live.says("All is well", 60)
    live.says("250 Hz of 250 Hz", 60)
    # Without a script the page says the same.
    says(agent, "250 Hz of 250 Hz", "1 of 1 device streams, 8 of 8 channels are good.")
    went = time.monotonic()
    board.process.terminate()
    board.process.wait(20)
    live.says("Recording is in danger")
    assert time.monotonic() - went < 6
    assert "board: absent" in live.pieces["verdict"] and "Plug it in" in live.pieces["verdict"]
    assert "Recording is in danger" in seen(agent)
    simulate("cyton", name="board")
    live.says("1 of 1 device streams", 60)
    # Nothing of what was before is shown of it now.
    wait_until(lambda: "board: absent" not in live.pieces["verdict"], 30, "the return")
    live.close()


def test_an_electrode_goes_bad_and_good_again(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", "--fault", "rail=3@12s..30s", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton",
                                 "signal": {"names": ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"]}}}], history={"interval": "1s"})
    agent.start()
    live = Live(agent)
    live.says("8 of 8 channels are good", 60)
    live.says("of board is bad (", 60)
    bad = re.search(r"channel (\S+ ?C3) of board is bad \(([^)]*)\)", live.pieces["verdict"])
    assert bad, live.pieces["verdict"]
    assert "The recording needs attention" in live.pieces["verdict"] and "7 of 8 channels are good" in live.pieces["verdict"]
    card = live.pieces["device"]
    assert re.search(r'<li class=large title="\S+ ?C3: [^"]*rail', card), card
    assert card.count("<g class=large>") == 1 and card.count("<g class=ok>") == 7, "the head has it as well"
    page = seen(agent, "/card?kind=device&name=board")
    assert page.count("<tr>") == 9 and "▲ " in page
    live.says("8 of 8 channels are good", 90)
    live.close()


def test_an_incident_is_acknowledged_on_the_page(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(tmp_path, LOST, interval="1s")]}, respond={"notify": True})
    agent.start()
    agent.until(lambda now: now.value("neural_source_up", source="board") == 1)
    time.sleep(3.5)
    board.process.terminate()
    board.process.wait(20)
    opened = one(agent, alert="PlugPulled")
    page = Page(seen(agent))
    silence = f"api/v1/incidents/{opened['id']}/silence"
    assert silence in page.links and "silenced until" not in seen(agent)
    action = f"api/v1/incidents/{opened['id']}/ack"
    assert action in page.links
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html,*/*;q=0.8"}
    # A page of another origin cannot.
    assert agent.request("POST", f"/{action}", {**form, "Origin": "http://evil.example"})[0] == 403
    assert incidents(agent, state="acknowledged") == []
    client = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=20)
    client.request("POST", f"/{action}", headers={**form, "Origin": f"http://127.0.0.1:{agent.port}"})
    answer = client.getresponse()
    assert (answer.status, answer.headers["Location"]) == (303, "../../../../")
    client.close()
    assert [found["id"] for found in incidents(agent, state="acknowledged")] == [opened["id"]]
    page = seen(agent)
    assert action not in Page(page).links and "acknowledged" in page
    status, headers, _ = agent.request("POST", f"/{silence}", {"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 200 and silence not in Page(seen(agent)).links and "silenced until 20" in seen(agent)
    # Where an Alertmanager keeps silences there is nothing to press.
    agent.config["respond"] = {}
    agent.write()
    assert agent.reload()[0] == 200
    assert silence not in Page(seen(agent)).links and "silenced until" not in seen(agent)


def test_lines_to_paste_are_taken_where_they_are_pasted(agent, tmp_path):
    agent.configure([], history={"interval": "1s"})
    agent.start()
    blocks = [html.unescape(text) for text in re.findall(r"<pre><code>(.*?)</code></pre>", seen(agent, "/connect"), re.DOTALL)]
    of = lambda word: next(block for block in blocks if word in block)

    def taken(command: list[str], name: str, text: str) -> None:
        file = tmp_path / name
        file.write_text(text)
        done = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr

    taken([program("promtool"), "check", "config"], "prometheus.yml", "scrape_configs:\n" + of("job_name"))
    own, theirs = of("# alertmanager.yml").split("# alertmanager.yml")
    taken([program("amtool"), "check-config"], "alertmanager.yml", theirs)
    (tmp_path / "token").write_text("x")
    for block in (own, of("provision:").replace("/etc/neural-exporter/grafana-token", str(tmp_path / "token"))):
        taken([str(PROGRAM), "check", "--config"], "agent.yml", f"listen: 127.0.0.1:{agent.port}\n{block}")
    # What the agent's part is for: a message of that Alertmanager is taken.
    agent.config.update(yaml.safe_load(own))
    agent.write()
    assert agent.reload()[0] == 200
    body = json.dumps({"version": "4", "alerts": []}).encode()
    wait_until(lambda: agent.request("POST", "/api/v1/alertmanager", {"Content-Type": "application/json"}, body=body)[0] == 200, 10, "that it is taken")
    for line in of("status --server").splitlines():
        command = shlex.split(line)
        assert subprocess.run([str(PROGRAM), command[1], "--help"], capture_output=True, timeout=30).returncode == 0
    rules = of("rules.yml").split()[-1]
    taken([program("promtool"), "check", "rules"], "rules.yml", seen(agent, urllib.parse.urlsplit(rules).path))


def test_pages_load_nothing_from_elsewhere_and_work_behind_a_prefix(agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name='b"<o>&')
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"})
    agent.start()
    agent.until(lambda now: now.value("neural_device_streaming", device="board") == 1)
    total = 0
    for path in ["/", "/sources", "/card?kind=device&name=board", "/connect", "/alert?name=NeuralDeviceLoss", "/provision/", "/incident", "/config", "/log"]:
        status, headers, text = agent.get(path)
        page = Page(text.decode())
        assert headers["Content-Security-Policy"].startswith("default-src 'none'") and "unsafe" not in headers["Content-Security-Policy"]
        assert page.inline == [], "a strict policy refuses it"
        assert len(page.ids) == len(set(page.ids))
        for link in page.links:
            assert not re.match(r"[a-z]+:|/", link), f"{link} of {path} leaves the prefix"
            if not link.startswith(("#", "api/v1/", "../api/v1/")) and "/runbooks/" not in link:
                assert agent.get(urllib.parse.urljoin(path, link))[0] == 200, f"{link} of {path} leads nowhere"
        total += len(text)
    assert agent.get("/provision")[0] == 200, "it leads to the list"
    for asset in ["/page.css", "/page.js"]:
        total += len(agent.get(asset)[2])
    assert total < 100_000
    assert agent.get("/card?kind=device&name=nobody")[0] == 404
    assert agent.request("POST", "/live")[0] == 405 and agent.request("GET", "/live", {"Host": "evil.example"})[0] == 403


def test_what_a_client_names_is_text(agent, tmp_path):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}], history={"interval": "1s"})
    agent.start()
    evil = '<img src=x onerror=alert(1)>"\'&amp;'
    line = json.dumps({"type": "stage", "pipeline": evil, "stage": evil, "seconds": 3.0}) + "\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(agent.path("in.sock")))
        live = Live(agent)
        for _ in range(8):
            client.sendall(line.encode() * 5)
            time.sleep(0.5)
        live.says("&lt;img", 30)
    for text in [seen(agent), seen(agent, "/sources"), *live.pieces.values()]:
        page = Page(text)
        assert "x" not in page.links and page.inline == []
    link = next(link for link in Page(seen(agent)).links if link.startswith("card?kind=pipeline"))
    assert evil in "".join(Page(seen(agent, "/" + link)).words)
    live.close()


def test_many_who_look_and_one_who_does_not_read(agent, simulate):  # noqa: F811
    board = simulate("cyton", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"})
    agent.start()
    agent.until(lambda now: now.value("neural_device_streaming", device="board") == 1)
    stuck = socket.create_connection(("127.0.0.1", agent.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{agent.port}\r\n\r\n".encode())
    viewers = [Live(agent) for _ in range(50)]
    began = time.monotonic()
    wait_until(lambda: all(len(viewer.events) > 20 for viewer in viewers), 60, "the pieces")
    time.sleep(5)
    # About a look a second, for each of them, and the scrape has its place.
    for viewer in viewers:
        late = [at for at, _ in viewer.events if at > began]
        assert max(b - a for a, b in zip(late, late[1:])) < 4, "a viewer waited"
    agent.scrape()
    ends = time.monotonic()
    agent.stop(within=8)
    # Who looks does not hold up the end.
    assert time.monotonic() - ends < 4
    wait_until(lambda: all(viewer.ended for viewer in viewers), 5, "the end of the streams")
    stuck.close()


@pytest.mark.parametrize("history", [True, False])
def test_what_is_not_known_is_not_said(agent, history):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}], history={"enabled": history})
    agent.start()
    now = snapshot(agent)
    assert now["verdict"]["words"] == "Nothing is connected yet"
    assert any("history is off" in note for note in now["notes"]) is not history
    agent_card = next(card for card in now["cards"] if card["kind"] == "agent")
    assert ("Events" in [fact["label"] for fact in agent_card["facts"]]) is history or history
    assert ("What is not known" in seen(agent)) or history


def test_the_page_of_an_alert_has_its_runbook_with_what_it_asks(agent, simulate):  # noqa: F811
    board = simulate("cyton", "--fault", "lose=20%@3s..60s", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"})
    agent.start()
    page = seen(agent, "/alert?name=NeuralDeviceLoss")
    assert "<h1>NeuralDeviceLoss</h1>" in page and "It does not fire now" in page
    assert "<h2>Immediately</h2>" in page and "alert?name=NeuralDevice" in page

    def answered() -> bool:
        found = re.search(r"increase\(neural_device_lost_packets_total\[1h\]\)\s*</code></pre>\s*<ul class=values><li><b>([\d.]+)</b> <code>([^<]*)", seen(agent, "/alert?name=NeuralDeviceLoss"))
        return bool(found) and float(found[1]) > 0 and "board" in found[2]

    wait_until(answered, 40, "the values of its queries")
    wait_until(lambda: "It fires" in seen(agent, "/alert?name=NeuralDeviceLoss") or "It waits" in seen(agent, "/alert?name=NeuralDeviceLoss"), 120, "the alert")
    assert agent.get("/alert?name=../../etc/passwd")[0] == 404 and agent.get("/alert")[0] == 404


# Volts of a count of a Cyton.
COUNT = 4.5 / 24 / (2**23 - 1)


def test_signals_are_seen_where_that_is_switched_on_and_nowhere_else(agent, simulate):  # noqa: F811
    board = simulate("cyton", "--signal", "ramp", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"})
    agent.start()
    agent.until(lambda now: now.value("neural_device_streaming", device="board") == 1)
    address = "/api/v1/preview?device=board"

    def is_off() -> None:
        assert agent.get(address)[0] == 404 and "page.preview" in seen_even(address)
        assert "ten seconds" not in seen(agent, "/card?kind=device&name=board")
        live = Live(agent, path="/live?preview=board")
        wait_until(lambda: len(live.events) > 1, 15, "pieces")
        assert set(live.pieces.values()) == {""}
        live.close()

    def seen_even(path: str) -> str:
        return agent.get(path)[2].decode()

    is_off()
    agent.config["page"] = {"preview": True}
    agent.write()
    assert agent.reload()[0] == 200
    # A ramp rises by a count with each sample: a piece of 13 samples spans 12 counts, and the next one is 13 higher.
    def pieces() -> list[tuple[float, float]]:
        status, _, text = agent.get(address)
        if status != 200:
            return []
        told = json.loads(text)
        assert told["volts"] is True and told["seconds_of_a_piece"] == 0.052 and len(told["channels"]) == 8
        third = told["channels"][2]
        both = [(low, high) for low, high in zip(third["least"], third["greatest"]) if low is not None]
        # The first began in the middle, and the last goes on.
        return [(round(low / COUNT), round(high / COUNT)) for low, high in both][1:-1]

    found = wait_until(lambda: len(kept := pieces()) > 60 and kept, 30, "some seconds of the signal")
    steps = {(high - low, other - low) for (low, high), (other, _) in zip(found, found[1:]) if other > low and high > low}
    whole = [(low, high) for low, high in found if high - low == 12]
    assert (12, 13) in steps and len(whole) > len(found) * 0.9, found
    page = Page(seen(agent, "/card?kind=device&name=board"))
    assert page.inline == [] and "The last ten seconds" in page.words
    live = Live(agent, path="/live?preview=board")
    live.says("The least and the greatest of each 52 ms")
    live.close()
    assert agent.request("GET", address, {"Host": "evil.example"})[0] == 403
    assert "ramp" not in json.dumps(snapshot(agent)) and "preview" not in json.dumps(snapshot(agent))
    # Other machines see nothing unless that is said as well.
    for listen, code in (("127.0.0.1:0", 0), ("0.0.0.0:0", 2)):
        agent.write({**agent.config, "listen": listen})
        done = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
        assert done.returncode == code, done
    assert "page.preview_beyond_loopback: true" in done.stderr, done
    agent.write()
    refused = subprocess.run([str(PROGRAM), "run", "--config", str(agent.file), "--listen", "0.0.0.0:0"], capture_output=True, text=True, timeout=30)
    assert refused.returncode == 2 and "shown to other machines" in refused.stderr, refused
    agent.config["page"] = {"preview": False}
    agent.write()
    assert agent.reload()[0] == 200
    is_off()
