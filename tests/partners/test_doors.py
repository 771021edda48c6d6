"""Who is let in, and what nobody is told: connections, other pages, other names, secrets.

Independent: plain sockets, urllib, /proc. The canary is one word that stands wherever a configuration can hold a
secret, and is then looked for in everything that the program says.
"""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from conftest import PROGRAM, free_port, stage, tcp, unix, wait_until

CANARY = "c4naryS3cr3t0123456789"


def ask(agent, request: bytes) -> bytes:
    with tcp(agent.port) as client:
        client.settimeout(20)
        client.sendall(request)
        return client.recv(65536)


def test_no_connection_that_is_held_keeps_a_scrape_out(agent):
    agent.configure([])
    agent.start()
    for hold in (b"", b"GET /metrics HT", b"GET /provision/dashboards/devices.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40,
                 b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"):
        held = []
        for _ in range(257):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", agent.port))
            client.sendall(hold)
            held.append(client)
        began = time.monotonic()
        assert agent.get("/metrics", timeout=10)[0] == 200
        assert time.monotonic() - began < 5, hold
        for client in held:
            client.close()


def test_a_head_that_does_not_end_is_not_waited_for(agent):
    agent.configure([])
    agent.start()
    with tcp(agent.port) as slow:
        slow.settimeout(20)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 20:
                slow.sendall(b"GET /metrics HTTP/1.1\r\nX: " if time.monotonic() - began < 1 else b"y")
                time.sleep(0.5)
                slow.setblocking(False)
                try:
                    if slow.recv(1) == b"":
                        break
                except BlockingIOError:
                    pass
                slow.setblocking(True)
        except OSError:
            pass
        assert 8 < time.monotonic() - began < 16
    assert agent.scrape().value("neural_agent_http_connections_closed_total") == 1


def test_a_page_of_another_origin_and_another_name_change_nothing(agent):
    agent.configure([], http={"hosts": ["lab.example.org"]})
    agent.start()
    before = agent.scrape().value("neural_agent_config_reloads_total")
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}, {"Host": "127.0.0.1.evil.example"}):
        for method in ("POST", "PUT"):
            status, _, body = agent.request(method, "/-/reload", headers)
            assert status == 403 and b"http.hosts" in body, (headers, body)
    for path in ("/", "/provision/"):
        assert agent.get(path, {"Host": "evil.example"})[0] == 403, path
        assert agent.get(path, {"Host": "lab.example.org"})[0] == 200, path
    assert agent.get("/metrics", {"Host": "evil.example"})[0] == 200
    assert agent.get("/runbooks/NeuralDeviceLoss.md", {"Host": "rig.lab"})[0] == 200
    assert agent.scrape().value("neural_agent_config_reloads_total") == before
    name = socket.gethostname()
    for headers in ({}, {"Host": f"localhost:{agent.port}"}, {"Host": f"{name}:1"}, {"Host": "lab.example.org"},
                    {"Origin": f"http://127.0.0.1:{agent.port}", "Sec-Fetch-Site": "same-origin"},
                    {"Origin": "https://lab.example.org"}):
        assert agent.request("POST", "/-/reload", headers)[0] == 200, headers
    # The names are those of the configuration that is in effect.
    agent.config["http"] = {"hosts": []}
    agent.write()
    assert agent.reload()[0] == 200
    assert agent.get("/", {"Host": "lab.example.org"})[0] == 403


def test_chunked_bodies_are_read_to_their_end(agent):
    agent.configure([])
    agent.start()
    with tcp(agent.port) as client:
        client.settimeout(20)
        for _ in range(3):
            client.sendall(b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
            time.sleep(0.1)
            client.sendall(b"cde\r\n0\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
    long = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + b"x" * 0x20000
    assert ask(agent, long).startswith(b"HTTP/1.1 413")


def secrets(folder: Path, refused: int, script: str) -> dict:
    """A canary in every setting that can hold one."""
    url = f"http://me:{CANARY}@127.0.0.1:{refused}/metrics?token={CANARY}"
    servers = {"url": f"http://127.0.0.1:{refused}/{CANARY}", "access": {"proxy": f"http://me:{CANARY}@127.0.0.1:{refused}"}}
    return {
        "sources": [
            {"scrape": {"name": "scrape", "url": url, "headers": {"X-Api-Key": CANARY}, "interval": "200ms", "timeout": "200ms"}},
            {"scrape": {"name": "key", "url": f"http://127.0.0.1:{refused}/{CANARY}", "interval": "200ms", "timeout": "200ms"}},
            {"exec": {
                "name": "exec", "interval": "5s", "timeout": "5s",
                "command": ["sh", "-c", script, f"--password={CANARY}", "-u", f"me:{CANARY}", "--token", CANARY],
                "environment": {"API_KEY": CANARY, "PLAIN": f"also-{CANARY}"},
            }},
        ],
        "alerts": {
            "runbooks": f"http://me:{CANARY}@lab/runbooks/",
            "grafana": f"https://me:{CANARY}@lab/grafana",
            "watchdog": f"https://hc-ping.com/{CANARY}",
            "alertmanager": "0.28",
            "receivers": [
                {"webhook": {"url": f"http://relay/x/{CANARY}"}},
                {"discord": {"url": f"https://discord.com/api/webhooks/1/{CANARY}"}},
                {"teams": {"url": f"https://prod-1.westus.logic.azure.com/workflows/x?sig={CANARY}"}},
            ],
        },
        "provision": {
            "at_start": True, "wait": "1s",
            "targets": [
                {"grafana": {"name": "grafana", **servers, "datasource": {
                    "url": f"http://me:{CANARY}@prometheus:9090", "traces_url": f"http://me:{CANARY}@jaeger/trace/"}}},
                {"prometheus": {"name": "prometheus", **servers, "rules_directory": str(folder)}},
                {"mimir": {**servers}},
                {"loki": {**servers}},
                {"alertmanager": {"name": "alertmanager", **servers, "config_file": str(folder / "alertmanager.yml")}},
            ],
        },
    }


def test_no_secret_is_told(agent, tmp_path):
    refused = free_port()
    agent.configure([])
    agent.config.update(secrets(tmp_path, refused, 'echo "cannot sign in with $API_KEY and $PLAIN at http://me:$API_KEY@h $3" >&2; exit 1'))
    agent.config["log"]["level"] = "debug"
    agent.write()
    agent.start()
    agent.until(lambda s: s.value("neural_source_poll_failures_total") > 5 or "at h" in agent.told(), 20)
    said = {"log": None}

    def seen(what: str, text) -> None:
        text = text.decode(errors="replace") if isinstance(text, bytes) else text
        assert CANARY not in text, f"{what} tells it: …{text[max(0, text.find(CANARY) - 200):][:260]}…"
        said[what] = text

    seen("/", agent.get("/")[2])
    page = agent.get("/sources")[2]
    seen("/sources", page)
    assert b"***" in page and b"sh -c" in page
    seen("/metrics", agent.get("/metrics")[2])
    listed = agent.get("/provision/")[2]
    seen("/provision/", listed)
    for part in listed.decode().split('href="')[1:]:
        path = urllib.parse.urljoin("/provision/", part.split('"')[0])
        seen(path, agent.get(path)[2])
    for path in ("/api/v1/snapshot", "/card?kind=agent&name=", "/alert?name=NeuralDeviceLoss", "/connect", "/config", "/log", "/incident"):
        status, _, text = agent.get(path)
        assert status == 200, (path, text)
        seen(path, text)
    assert "***" in said["/provision/provisioning/alertmanager/alertmanager.yml"]
    assert said["/config"].count("***") > 10

    def run(*words: str) -> str:
        done = subprocess.run([str(PROGRAM), *words, "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
        text = done.stdout + done.stderr
        seen(" ".join(words), text)
        return text

    printed = run("check", "--print")
    assert printed.count("***") > 10
    noted = run("check")
    for at in ("sources[0].scrape.url", "sources[0].scrape.headers.X-Api-Key", "sources[1].scrape.url", "sources[2].exec.command",
               "sources[2].exec.environment.API_KEY", "sources[2].exec.environment.PLAIN", "alerts.runbooks", "alerts.grafana",
               "alerts.watchdog", "alerts.receivers[0].url", "alerts.receivers[1].url", "alerts.receivers[2].url",
               "provision.targets[0].grafana.url", "provision.targets[0].grafana.access.proxy",
               "provision.targets[0].grafana.datasource.url", "provision.targets[0].grafana.datasource.traces_url",
               "provision.targets[3].loki.url", "provision.targets[4].alertmanager.url"):
        assert f"note: {at}: the configuration contains a secret" in noted, at
    run("provision", "plan")
    run("provision", "apply")
    run("provision", "status")
    # What is wrong is told without it, too.
    for part in ({"headers": f"X-Api-Key: {CANARY}"}, {"headers": {"X-Api-Key": [CANARY]}}, {"url": [CANARY]}, {"url": f"http//me:{CANARY}@h"},
                 {"url": f"ftp://me:{CANARY}@h/"}, {"url": f"http://me:{CANARY}@h:x/"}, {"url": "http://h", "headers": {"Cookie": CANARY}},
                 {"url": "http://h", "headers": {"X": f"{CANARY}\n"}}, {"interval": f"token={CANARY}"}):
        agent.write({**agent.config, "sources": [{"scrape": {"name": "a", "url": "http://h/", **part}}]})
        run("check")
        status, told = agent.reload()
        assert status == 500
        seen("reload", told)
        seen("/config", agent.get("/config")[2])
        assert "The last reload was refused" in said["/config"]
    seen("/log", agent.get("/log")[2])
    agent.stop()
    seen("the log", agent.log.read_text(errors="replace"))
    assert "cannot sign in with ***" in said["the log"], said["the log"][-3000:]


def test_a_secret_in_a_file_is_sent_and_not_told(agent, tmp_path):
    heard = []
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    names = {"url": f"http://127.0.0.1:{port}/metrics?key={CANARY}", "key": CANARY, "password": "pa:ss", "env": "3"}
    for name, text in names.items():
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    agent.configure([
        {"scrape": {"name": "s", "url_file": str(tmp_path / "url"), "headers": {"X-Api-Key": {"value_file": str(tmp_path / "key")}},
                    "basic": {"user": "me", "password_file": str(tmp_path / "password")}}},
        {"exec": {"name": "e", "command": ["sh", "-c", "echo from_file $N"], "interval": "5s", "timeout": "5s",
                  "environment": {"N": {"value_file": str(tmp_path / "env")}}}},
    ])
    agent.start()
    server.settimeout(20)
    peer, _ = server.accept()
    with peer, server:
        heard = peer.recv(65536).decode()
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\nConnection: close\r\n\r\nfrom_url 4\n")
    assert f"GET /metrics?key={CANARY} " in heard and f"x-api-key: {CANARY}" in heard.lower().replace(CANARY.lower(), CANARY)
    assert "Basic bWU6cGE6c3M=" in heard
    agent.until(lambda s: s.value("from_file") == 3 and s.value("from_url") == 4)
    page = agent.get("/sources")[2].decode()
    assert CANARY not in page and str(tmp_path / "url") in page
    noted = subprocess.run([str(PROGRAM), "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
    assert noted.returncode == 0 and "note:" not in noted.stderr, noted


def test_demos_leave_an_agent_alone(agent, agents, tmp_path):
    """Two demos at once beside an agent on the usual places: each has everything of its own, and nothing is left."""
    run, state = tmp_path / "run", tmp_path / "state"
    for folder in (run, state):
        folder.mkdir()
    # The path of a socket has no more than 107 bytes, and pytest's folders are deep where several processes run tests.
    scratch = Path(tempfile.mkdtemp(prefix="demos-"))
    environment = {"RUNTIME_DIRECTORY": str(run), "STATE_DIRECTORY": str(state), "TMPDIR": str(scratch)}
    agent.start(environment, command=[str(PROGRAM), "run", "--listen", f"127.0.0.1:{agent.port}"])
    demos = []
    for name in ("one", "two"):
        log = open(tmp_path / name, "wb")
        demos.append(subprocess.Popen([str(PROGRAM), "demo"], stdout=log, stderr=log, env={**os.environ, **environment}))
    try:
        ports = []
        for name in ("one", "two"):
            def guide(log=tmp_path / name, demo=demos[len(ports)]) -> str:
                text = log.read_text()
                assert demo.poll() is None, f"the demo ended with {demo.returncode}: {text}"
                return text if "Ctrl-C" in text else ""
            told = wait_until(guide, 90, "a demo")
            ports.append(int(told.split("http://127.0.0.1:")[1].split("/")[0]))
        assert len({*ports, agent.port}) == 3
        for port in ports:
            def stages(port=port) -> float:
                text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
                return "neural_stage_duration_seconds_count" in text and "neural_llm_calls" in text
            wait_until(stages, 30, "a stage of the demo")
        folders = list(scratch.iterdir())
        assert len(folders) == 2 and all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
        # What is sent to the agent is the agent's, and the demos' is not.
        with unix(str(run / "events.sock")) as client:
            client.sendall(stage("mine") + b"\n")
        seen = agent.until(lambda s: s.value("neural_source_events_total", source="pipeline") == 1)
        assert [s.labels["pipeline"] for s in seen.series("neural_stage_duration_seconds_count")] == ["mine"]
        assert seen.value("neural_source_clients", source="pipeline") <= 1
    finally:
        for demo in demos:
            demo.send_signal(signal.SIGTERM)
        codes = [demo.wait(10) for demo in demos]
    assert codes == [0, 0]
    scratch.rmdir()
    agent.stop()
    kept = list(state.iterdir())
    assert all(file.suffix != ".json" or "cost" not in file.read_text() or json.loads(file.read_text())["tokens"] == 0 for file in kept), kept


def test_an_empty_variable_and_a_port_alone(agent, tmp_path):
    environment = {"NEURAL_EXPORTER_CONFIG": "", "RUNTIME_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": str(tmp_path)}
    done = subprocess.run([str(PROGRAM), "check"], env={**os.environ, **environment}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    agent.start(environment, command=[str(PROGRAM), "run", f"--web.listen-address=:{agent.port}"])
    with socket.create_connection((socket.gethostbyname(socket.gethostname()), agent.port), 10) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
        assert client.recv(15).startswith(b"HTTP/1.")
    assert subprocess.run([str(PROGRAM), "check", "--config", ""], capture_output=True, timeout=30).returncode == 2
