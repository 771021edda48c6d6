"""TLS, users and certificates of clients, by the web configuration that Prometheus and its exporters read.

Independent: curl, OpenSSL's client and Python's, Debian's Prometheus as scraper, and the examples of exporter-toolkit as they
stand in its documentation.
"""
from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest

from conftest import PROGRAM, free_port, program, wait_until
from provisioning import Authority

# By crypt(3): "secret", with the least cost that is usual, and with the cost of the example.
ALICE = "$2y$05$tAeZykWQp6jvLjIL8jbzi.I8c90Aow8BLQpXZr4gTfveBGPqODTyu"

# docs/web-configuration.md of exporter-toolkit calls this the sample; unchanged but for its comments.
SAMPLE = """\
tls_server_config:
  cert_file: server.crt
  key_file: server.key
basic_auth_users:
  alice: $2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze
  bob: $2y$10$hLqFl9jSjoAAy95Z/zw8Ye8wkdMBM8c5Bn1ptYqP/AXyV0.oy0S8m
rate_limit:
  interval: "1s" # time interval between two requests, set to 0 to disable rate limiter
  burst: 20 # and permits a burst of up to 20 requests.
"""


class Web:
    """An agent with a web configuration beside its certificates."""

    def __init__(self, agent, text: str):
        self.agent, self.authority = agent, Authority(agent.folder / "web")
        self.folder, self.file = self.authority.folder, self.authority.folder / "web.yml"
        self.authority.server("DNS:localhost", "IP:127.0.0.1")
        self.certificate("server", "certificate.pem", "key.pem")
        self.write(text)
        agent.configure([], web_config=str(self.file))
        self.url = f"https://127.0.0.1:{agent.port}"

    def certificate(self, name: str, certificate: str, key: str) -> None:
        os.replace(self.folder / certificate, self.folder / f"{name}.crt")
        os.replace(self.folder / key, self.folder / f"{name}.key")

    def client(self, name: str, *names: str) -> None:
        self.authority.server(*names)
        self.certificate(name, "certificate.pem", "key.pem")

    def write(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)

    def start(self):
        self.agent.start(ready=False)
        wait_until(lambda: b"HTTPS" in self.plain() or not self.agent.alive(), 30, "the agent's start")
        assert self.agent.alive(), self.agent.told()
        return self

    def plain(self) -> bytes:
        """What is answered to who speaks without TLS."""
        try:
            with socket.create_connection(("127.0.0.1", self.agent.port), 5) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                return client.recv(4096)
        except OSError:
            return b""

    def curl(self, path: str, *more: str, code: int = 0) -> str:
        done = subprocess.run(
            [program("curl"), "-sS", "--max-time", "10", "--cacert", self.authority.file, self.url + path, *more],
            capture_output=True, text=True, timeout=20,
        )
        assert done.returncode == code, (done.returncode, done.stderr, self.agent.told())
        return done.stdout

    def status(self, path: str, *more: str) -> int:
        return int(self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *more))

    def value(self, name: str, *more: str) -> float | None:
        lines = self.curl("/metrics", *more).splitlines()
        values = [float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)]
        return values[0] if values else None

    def s_client(self, *more: str) -> str:
        done = subprocess.run(
            [program("openssl"), "s_client", "-connect", f"127.0.0.1:{self.agent.port}", "-CAfile", self.authority.file, *more],
            input=b"", capture_output=True, timeout=20,
        )
        return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"


def test_tls_and_users_are_what_clients_expect(agent):
    web = Web(agent, TLS + f"basic_auth_users: {{alice: {ALICE}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n").start()
    assert web.plain().startswith(b"HTTP/1.1 400 ") and b"Client sent an HTTP request to an HTTPS server." in web.plain()
    assert [web.status(path) for path in ("/metrics", "/", "/-/healthy")] == [401] * 3
    assert web.status("/metrics", "-u", "alice:wrong") == web.status("/metrics", "-u", "eve:secret") == 401
    user = ("-u", "alice:secret")
    seen = web.curl("/metrics", *user, "-o", "/dev/null", "-D", "-", "-w", "%{http_version}", "--http2")
    assert seen.endswith("2") and "x-frame-options: deny" in seen.lower() and "HTTP/2 200" in seen
    assert web.curl("/-/healthy", *user, "-o", "/dev/null", "-w", "%{http_version}", "--http1.1") == "1.1"
    # Everything of the page over HTTP/2, as a browser asks: many at once over one connection, and a stream that goes on.
    many = web.curl("/page.css", *user, "--http2", "-Z", *[f"{web.url}{path}" for path in ("/", "/sources", "/config", "/metrics")], "-w", "%{http_code} ", "-o", "/dev/null")
    assert many.count("200") >= 1
    live = subprocess.run(
        [program("curl"), "-sS", "--http2", "--cacert", web.authority.file, *user, "--max-time", "3", f"{web.url}/live"], capture_output=True, timeout=20
    )
    assert b"data:" in live.stdout or live.returncode == 28
    # A page of another origin changes nothing, though its browser knows the password.
    reload = ("-X", "POST", "/-/reload")
    assert web.status("/-/reload", "-X", "POST", *user, "-H", "Origin: https://evil.example") == 403
    assert web.status("/-/reload", "-X", "POST") == 401
    assert web.status("/-/reload", "-X", "POST", *user) == 200, reload
    # OpenSSL's client: the versions, and what is agreed on.
    assert "TLSv1.3" in web.s_client("-tls1_3") and "Verify return code: 0 (ok)" in web.s_client()
    assert "ECDHE-RSA-AES256-GCM-SHA384" in web.s_client("-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384")
    assert "ALPN protocol: h2" in web.s_client("-alpn", "h2,http/1.1")
    for old in (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA")):
        assert "alert" in web.s_client(*old)
    assert web.value('neural_agent_tls_handshake_failures_total{reason="incompatible"}', *user) == 2
    assert web.value('neural_agent_tls_handshake_failures_total{reason="plain"}', *user) >= 2
    ends = web.value("neural_agent_certificate_expiry_timestamp_seconds", *user)
    assert abs(ends - time.time() - 2 * 86400) < 3600
    # The agent's own commands.
    (web.folder / "password").write_text("secret\n")
    mine = ["--config", agent.file, "--ca-file", web.authority.file]
    ask = lambda *more: subprocess.run([PROGRAM, "status", *mine, *more], capture_output=True, text=True, timeout=30)
    known = ask("--user", "alice", "--password-file", web.folder / "password")
    assert known.stdout and not known.stderr, known
    assert "401" in ask().stderr
    # Of `doctor` only what it says of the agent is looked at: the machine is whose it is.
    doctor = lambda *more: subprocess.run([PROGRAM, "doctor", *mine, *more, "--output", "json"], capture_output=True, text=True, timeout=60).stdout
    of_agent = lambda text: {one["verdict"] for one in json.loads(text) if one["path"] == "agent"}
    assert of_agent(doctor()) == {"skipped"} and "skipped" not in of_agent(doctor("--user", "alice", "--password-file", web.folder / "password"))
    assert agent.told().count("serving https://") == 1


def test_wrong_passwords_cost_bounded_time_and_keep_nobody_out(agent):
    web = Web(agent, TLS)
    hashed = subprocess.run(["perl", "-e", 'print crypt("right", q($2y$08$gWXgTdCFBvQhrCQRzBJOUu))'], capture_output=True, text=True, check=True).stdout
    web.write(TLS + f"basic_auth_users: {{prometheus: {hashed}}}\n")
    web.start()
    context = ssl.create_default_context(cafile=str(web.authority.file))
    guess = lambda password: b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic " + base64.b64encode(f"prometheus:{password}".encode()) + b"\r\n\r\n"
    guessing = []
    for number in range(60):
        client = context.wrap_socket(socket.create_connection(("127.0.0.1", agent.port), 10), server_hostname="localhost")
        client.sendall(guess(f"wrong{number}"))
        guessing.append(client)
    began, before = time.monotonic(), agent.cpu()
    # Some wait for their turn, one after the other; those that are too many are told so.
    first = {client: client.recv(64).split()[1] for client in guessing[40:]}
    assert set(first.values()) <= {b"401", b"429"} and b"429" in first.values()
    assert web.status("/metrics", "-u", "prometheus:right") in (200, 429)
    wait_until(lambda: web.status("/metrics", "-u", "prometheus:right") == 200, 30, "a scrape with the right password")
    spent, passed = agent.cpu() - before, time.monotonic() - began
    assert spent < 0.5 * passed + 1.5, f"{spent} s of CPU in {passed} s"
    # Known from then on: no guess keeps it out.
    for client in guessing:
        client.close()
    assert web.status("/metrics", "-u", "prometheus:right") == 200


def prometheus(folder, target: int, **job):
    """Debian's server, which scrapes one target over TLS."""
    folder.mkdir()
    port = free_port()
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [{"job_name": "neural", "scheme": "https", "static_configs": [{"targets": [f"localhost:{target}"]}], **job}]}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    log = open(folder / "log", "wb")
    process = subprocess.Popen(
        [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=log, stderr=log,
    )

    def up():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/targets", timeout=2) as answer:
                targets = json.load(answer)["data"]["activeTargets"]
        except OSError:
            return None
        return [(one["health"], one["lastError"]) for one in targets if one["health"] != "unknown"] or None

    return process, up


def test_prometheus_scrapes_with_a_password_and_with_a_certificate(agent, tmp_path):
    strict = (
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: ca.pem\n"
        "  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [prometheus.lab]\n"
    )
    web = Web(agent, strict + f"basic_auth_users: {{alice: {ALICE}}}\n")
    web.client("scraper", "DNS:prometheus.lab")
    web.client("other", "DNS:other.lab")
    web.start()
    show = lambda name: ("--cert", web.folder / f"{name}.crt", "--key", web.folder / f"{name}.key")
    tls = {"ca_file": str(web.authority.file), "cert_file": str(web.folder / "scraper.crt"), "key_file": str(web.folder / "scraper.key")}
    server, up = prometheus(tmp_path / "good", agent.port, tls_config=tls, basic_auth={"username": "alice", "password": "secret"})
    bad, down = prometheus(tmp_path / "bad", agent.port, tls_config={"ca_file": tls["ca_file"]}, basic_auth={"username": "alice", "password": "secret"})
    try:
        wait_until(lambda: up() == [("up", "")], 60, "a scrape by Prometheus")
        health, why = wait_until(down, 60, "a scrape without a certificate")[0]
        assert health == "down" and "tls: " in why and "certificate" in why, why
    finally:
        for process in (server, bad):
            process.kill()
            process.wait()
    assert web.status("/metrics", *show("scraper"), "-u", "alice:secret") == 200
    assert web.status("/metrics", *show("scraper")) == 401
    failed = subprocess.run([program("curl"), "-sS", "--cacert", web.authority.file, *show("other"), web.url], capture_output=True, timeout=20)
    assert failed.returncode in (35, 56) and b"alert" in failed.stderr
    count = lambda reason: web.value(f'neural_agent_tls_handshake_failures_total{{reason="{reason}"}}', *show("scraper"), "-u", "alice:secret")
    assert count("certificate_missing") >= 1 and count("certificate_rejected") == 1


def test_a_broken_file_keeps_the_old_one_and_a_change_is_taken_over(agent):
    web = Web(agent, TLS).start()
    serial = lambda: [line for line in web.s_client("-showcerts").splitlines() if line.startswith("-----BEGIN") or len(line) == 64][1:3]
    first = serial()
    assert web.value("neural_agent_web_config_last_reload_successful") == 1
    web.write("tls_server_config: {cert_file: server.crt, key_file: none.key}\n")
    agent.says(f"{web.file}:1:", "tls_server_config.key_file: cannot read", "the previous one stays active", seconds=20)
    assert web.value("neural_agent_web_config_last_reload_successful") == 0
    assert web.value("neural_agent_web_config_reload_failures_total") == 1
    assert "The web configuration was not reloaded" in web.curl("/")
    assert serial() == first
    # A reload of the whole configuration is refused for it as well.
    assert web.status("/-/reload", "-X", "POST") == 500
    # Another certificate, and its key a moment later.
    web.authority.server("DNS:localhost", "IP:127.0.0.1")
    web.certificate("server", "certificate.pem", "key.pem")
    web.write(TLS + f"basic_auth_users: {{alice: {ALICE}}}\n")
    wait_until(lambda: web.status("/metrics") == 401, 20, "the new file")
    assert serial() != first and web.status("/metrics", "-u", "alice:secret") == 200
    assert web.value("neural_agent_web_config_last_reload_successful", "-u", "alice:secret") == 1
    # TLS can be switched off, too.
    web.write("")
    wait_until(lambda: agent.get("/-/healthy")[0] == 200, 20, "plain HTTP")


def test_unfinished_handshakes_leave_a_place_for_a_scrape(agent):
    web = Web(agent, TLS).start()
    context = ssl.create_default_context(cafile=str(web.authority.file))
    kept = context.wrap_socket(socket.create_connection(("127.0.0.1", agent.port), 10), server_hostname="localhost")
    held = []
    for number in range(500):
        client = socket.create_connection(("127.0.0.1", agent.port), 10)
        client.sendall(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b"\x16")
        held.append(client)
    began = time.monotonic()
    assert web.status("/metrics") == 200 and time.monotonic() - began < 5
    kept.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert kept.recv(64).startswith(b"HTTP/1.1 200"), "who was connected before is still"
    assert web.value("neural_agent_http_connections_closed_total") >= 300
    for client in held:
        client.close()


def test_the_examples_of_exporter_toolkit_are_taken_as_they_are(agent):
    web = Web(agent, SAMPLE)
    check = lambda *more: subprocess.run([PROGRAM, "check", "--config", agent.file, *more], capture_output=True, text=True, timeout=60)
    assert check().returncode == 0, check()
    web.start()
    answers = [web.status("/-/healthy") for _ in range(25)]
    assert answers[:15] == [401] * 15 and 429 in answers, answers
    other = web.folder / "other.yml"
    other.write_text("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  min_version: TLS10\nbasic_auth_users:\n  john: doe\n")
    wrong = check("--web.config.file", other)
    assert wrong.returncode == 2 and f"{other}:6:9: basic_auth_users.john: it is not the hash of a password by bcrypt" in wrong.stderr, wrong
    other.write_text(TLS)
    agent.configure([], listen=f"0.0.0.0:{free_port()}")
    live = json.loads(check("--web.config.file", other, "--live", "--output", "json").stdout)["live"]
    said = {one["path"]: (one["verdict"], one["message"]) for one in live}
    assert said["listen"] == ("warning", "other machines reach it without authentication"), live
    assert said["web_config"][0] == "warning" and said["web_config"][1].startswith("expires in"), live


def test_beyond_loopback_without_tls_is_said(agent):
    agent.configure([], listen=f"0.0.0.0:{agent.port}")
    agent.start()
    agent.says(f"Other machines reach 0.0.0.0:{agent.port} without TLS and without authentication.")
    assert b"without TLS and without authentication" in agent.get("/")[2]
