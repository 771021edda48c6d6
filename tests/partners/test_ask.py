"""Who answers questions of the past: a server that is named, one that the configuration names, the agent, its file.

Independent: Prometheus, and VictoriaMetrics where `make newer` brought it. Mimir and Thanos are in no package here: what stands for them is a
front before a real Prometheus with what their sources ask of a request: the prefix, the tenant, the token, a form with its type. It is
written from Mimir's `pkg/api/api.go` and dskit's `user.ExtractOrgIDFromHTTPRequest`, and Thanos' `--web.route-prefix`.
"""
from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import PROGRAM, Agent, free_port, wait_until
from provisioning import Authority
from test_history import samples, start
from test_prometheus import Prometheus

TOKEN = "a-very-secret-token"


class Front:
    """What stands before a Prometheus in a cluster."""

    def __init__(self, port: int, prefix: str = "", tenant: str = "", token: str = "", context: ssl.SSLContext | None = None):
        self.down = False
        front = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def refuse(self, status: int, text: str):
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if front.down:
                    return self.refuse(502, "<html><h1>502 Bad Gateway</h1></html>")
                if token and self.headers.get("Authorization") != f"Bearer {token}":
                    return self.refuse(401, f"no: {self.headers.get('Authorization')} is wrong")
                if not self.path.startswith(f"{prefix}/api/v1/"):
                    return self.refuse(404, "404 page not found\n")
                if tenant and not self.headers.get("X-Scope-OrgID"):
                    return self.refuse(401, "no org id\n")
                if tenant and self.headers["X-Scope-OrgID"] != tenant:
                    # A tenant without data has no series.
                    text = json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}})
                    return self.refuse(200, text)
                # As Go's ParseForm: a body of another type has no parameters.
                if self.headers.get("Content-Type") != "application/x-www-form-urlencoded":
                    body = b""
                ask = urllib.request.Request(
                    f"http://127.0.0.1:{port}{self.path[len(prefix):]}", body, {"Content-Type": "application/x-www-form-urlencoded"}
                )
                try:
                    with urllib.request.urlopen(ask, timeout=10) as answer:
                        status, text = answer.status, answer.read()
                except urllib.error.HTTPError as refused:
                    status, text = refused.code, refused.read()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.server.server_port}{prefix}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def scraped(agent: Agent, tmp_path):
    """An agent, and a Prometheus that scrapes it and adds a label."""
    start(agent)
    agent.start()
    folder = tmp_path / "prometheus"
    server = Prometheus(folder, agent.port, labels={"site": "lab"})
    wait_until(lambda: server.ask('up{site="lab"} == 1'), 30, "the first scrape")
    wait_until(lambda: samples(agent, "up"), 10)
    yield agent, server
    server.stop()


def query(agent: Agent, *arguments: str, **environment) -> subprocess.CompletedProcess:
    command = [PROGRAM, "query", *arguments, "--config", str(agent.file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def asking(agent: Agent, url: str, **more) -> None:
    """Has the configuration name a server. The agent runs on with the one it has."""
    agent.write(agent.config | {"ask": {"prometheus": {"url": url, **more}}})


def test_the_server_of_the_configuration_is_asked_and_bridged(scraped):
    agent, server = scraped
    # Of itself the agent has no site.
    told = query(agent, 'up{site="lab"}')
    assert (told.returncode, told.stdout) == (0, "no series\n"), told
    url = f"http://127.0.0.1:{server.port}"
    asking(agent, url)
    told = query(agent, 'up{site="lab"}')
    assert told.returncode == 0 and told.stdout.split()[-1] == "1" and not told.stderr, told
    checked = subprocess.run([PROGRAM, "check", "--live", "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
    assert re.search(rf"ask.prometheus.*{url}.*answers", checked.stdout), checked
    # The server's own words for what is wrong, and it is not asked elsewhere.
    told = query(agent, "label_replace(up, 'a', '$1', 'job', '(')")
    assert told.returncode in (1, 2) and "answered by" not in told.stderr and "regular expression" in told.stderr, told
    server.stop()
    told = query(agent, "up")
    assert told.returncode == 0 and told.stdout.split()[-1] == "1" and "site" not in told.stdout, told
    assert f"note: answered by http://127.0.0.1:{agent.port}, because cannot reach {url}" in told.stderr, told
    checked = subprocess.run([PROGRAM, "check", "--live", "--config", str(agent.file)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 1 and "cannot reach" in checked.stdout, checked
    # Without the agent its file answers.
    at = time.time()
    agent.stop()
    told = query(agent, "up", "--at", f"{at:.0f}")
    assert told.returncode == 0 and told.stdout.split()[-1] == "1", told
    assert "note: answered by the file" in told.stderr and "; and cannot reach" in told.stderr, told
    (agent.folder / "state/history.db").rename(agent.folder / "away")
    told = query(agent, "up")
    assert told.returncode == 1 and told.stderr.count("cannot reach") == 2, told


def test_a_cluster_is_asked_with_prefix_tenant_token_and_certificate(scraped, tmp_path):
    agent, server = scraped
    authority = Authority(tmp_path / "ca")
    front = Front(server.port, "/prometheus", "lab", TOKEN, authority.server("IP:127.0.0.1"))
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    ask = ["--server", front.url, "--tenant", "lab", "--token-file", str(token), "--ca-file", str(authority.file)]

    def told(*arguments: str, without: str = "", **change: str) -> subprocess.CompletedProcess:
        words = list(ask)
        for key, value in change.items():
            words[words.index(f"--{key.replace('_', '-')}") + 1] = value
        if without:
            place = words.index(without)
            del words[place : place + 2]
        done = query(agent, 'up{site="lab"}', *words, *arguments)
        # A token is shown by nobody, not even where a server repeats it.
        assert TOKEN not in done.stdout + done.stderr
        return done

    try:
        done = told()
        assert done.returncode == 0 and done.stdout.split()[-1] == "1", done
        done = told("--last", "1m", "--step", "1s", "--output", "json")
        assert json.loads(done.stdout)["resultType"] == "matrix", done
        for done, words in [
            (told(without="--tenant"), "no org id"),
            (told(without="--ca-file"), "certificate"),
            (told(without="--token-file"), "401"),
            (told(server=front.url.removesuffix("/prometheus")), "404"),
        ]:
            assert done.returncode == 1 and words in done.stderr, done
        assert told(tenant="other").stdout == "no series\n"
        wrong = tmp_path / "wrong"
        wrong.write_text(TOKEN + "-but-old")
        done = told(token_file=str(wrong))
        assert done.returncode == 1 and "no: Bearer *** is wrong" in done.stderr, done
        # The same from the configuration, and what is refused is not bridged: it has to be set right.
        access = {"token_file": str(token), "ca_file": str(authority.file)}
        asking(agent, front.url, tenant="lab", access=access)
        done = query(agent, 'up{site="lab"}')
        assert done.returncode == 0 and done.stdout.split()[-1] == "1" and not done.stderr, done
        asking(agent, front.url, access=access)
        done = query(agent, "up")
        assert done.returncode == 1 and "no org id" in done.stderr, done
        # A proxy in front of a server that is down.
        asking(agent, front.url, tenant="lab", access=access)
        front.down = True
        done = query(agent, "up")
        assert done.returncode == 0 and "note: answered by" in done.stderr and "502" in done.stderr, done
    finally:
        front.stop()


def test_a_configuration_that_cannot_be_right_is_refused(agent: Agent):
    agent.configure([])
    for server, words in [
        ({"url": "prometheus:9090"}, "scheme http or https"),
        ({}, "url"),
        ({"url": "http://p", "tenant": "a/b"}, "is not the name of a tenant"),
        ({"url": "http://p", "token": "x"}, "token"),
        ({"url": "http://p", "access": {"token_file": "a", "basic": {"user": "u", "password_file": "b"}}}, "token_file and a basic user"),
    ]:
        agent.write(agent.config | {"ask": {"prometheus": server}})
        checked = subprocess.run([PROGRAM, "check", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
        assert checked.returncode and words in checked.stdout + checked.stderr, (server, checked)


@pytest.mark.versions
def test_victoria_metrics_answers_the_same_questions(agent: Agent, tmp_path):
    if not shutil.which("victoria-metrics"):
        pytest.skip("victoria-metrics is not there: see `make newer`")
    start(agent)
    agent.start()
    (tmp_path / "scrape.yml").write_text(json.dumps({
        "scrape_configs": [{"job_name": "neural", "scrape_interval": "1s", "static_configs": [{"targets": [f"127.0.0.1:{agent.port}"]}]}]
    }))
    address = f"127.0.0.1:{free_port()}"
    with open(tmp_path / "log", "wb") as log:
        database = subprocess.Popen(
            ["victoria-metrics", f"-storageDataPath={tmp_path}/data", f"-httpListenAddr={address}", f"-promscrape.config={tmp_path}/scrape.yml",
             "-search.latencyOffset=0s"],
            stdout=log, stderr=log,
        )
    try:
        ask = lambda *words: query(agent, *words, "--server", f"http://{address}")
        told = wait_until(lambda: (told := ask("up")).stdout.endswith("1\n") and told, 60, "the first scrape")
        assert told.returncode == 0, told
        for words in (["up", "--last", "1m", "--step", "1s"], ["up", "--output", "json"], ["sum(up) > bool 0", "--output", "csv"]):
            told = ask(*words)
            assert told.returncode == 0 and told.stdout, told
        # The agent's own samples in the form that the database imports.
        agent.stop()
        export = [PROGRAM, "history", "export", "--as", "jsonl", "--match", "neural_agent_build_info", "--config", str(agent.file)]
        lines = subprocess.run(export, capture_output=True, timeout=30).stdout.replace(b'"neural"', b'"imported"')
        urllib.request.urlopen(urllib.request.Request(f"http://{address}/api/v1/import", lines), timeout=10).read()
        # They ended with the agent; what they were before is there.
        last = 'last_over_time(neural_agent_build_info{job="imported"}[5m])'
        wait_until(lambda: "version" in ask(last).stdout, 30, "the import")
    finally:
        database.kill()
        database.wait(20)
