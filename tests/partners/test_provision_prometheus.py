"""Rules into Debian's Prometheus and routes into Debian's Alertmanager, and what reaches a webhook in the end.

Independent: both servers, promtool and amtool. A proxy between them and the agent counts what is asked.
"""
from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import free_port, program, wait_until
from provisioning import RUNBOOK, Provision, rules

pytestmark = pytest.mark.versions

QUIET = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"


class Server:
    """A program that serves HTTP, and the proxy before it."""

    def __init__(self, folder, command: list[str], port: int):
        self.port = port
        self.log = folder / "log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        wait_until(self.ready, 60, f"the start of {command[0]}")
        self.asked: list[tuple[str, str]] = []
        self.proxy = self.counting()

    def ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get("/-/ready") is not None
        except OSError:
            return False

    def get(self, path: str):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            text = answer.read()
            return json.loads(text) if text[:1] in (b"{", b"[") else text

    def counting(self) -> ThreadingHTTPServer:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self):
                outer.asked.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                client = http.client.HTTPConnection("127.0.0.1", outer.port, timeout=60)
                client.request(self.command, self.path, body, dict(self.headers))
                said = client.getresponse()
                text = said.read()
                self.send_response(said.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer

        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        return proxy

    @property
    def url(self) -> str:
        """Through the proxy."""
        return f"http://127.0.0.1:{self.proxy.server_port}"

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.asked if method != "GET"]

    def stop(self) -> None:
        self.proxy.shutdown()
        self.proxy.server_close()
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()


@pytest.fixture
def alertmanager(tmp_path):
    folder = tmp_path / "alertmanager"
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(QUIET)
    port = free_port()
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    server = Server(folder, command, port)
    server.folder = folder
    yield server
    server.stop()


@pytest.fixture
def prometheus(tmp_path, alertmanager, request):
    folder = tmp_path / "prometheus"
    (folder / "rules").mkdir(parents=True)
    port = free_port()
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules/*.yml]\n"
        f"alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager.port}']}}]}}]}}\n"
        f"scrape_configs: [{{job_name: gone, static_configs: [{{targets: ['127.0.0.1:{free_port()}']}}]}}]\n"
    )
    command = [
        program("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    if getattr(request, "param", True):
        command.append("--web.enable-lifecycle")
    server = Server(folder, command, port)
    server.folder = folder
    yield server
    server.stop()


def target(server: Server, **more) -> dict:
    return {"prometheus": {"url": server.url, "rules_directory": str(server.folder / "rules"), **more}}


def groups(server: Server) -> dict[str, int]:
    return {group["name"]: len(group["rules"]) for group in server.get("/api/v1/rules")["data"]["groups"]}


def written(folder) -> dict:
    return {file.name: (file.stat().st_mtime_ns, file.read_text()) for file in folder.iterdir()}


def test_rules_are_loaded_once(prometheus, tmp_path):
    theirs = prometheus.folder / "rules" / "theirs.yml"
    theirs.write_text("groups: [{name: theirs, rules: [{record: a, expr: vector(1)}]}]\n")
    push = Provision(tmp_path / "push", target(prometheus))
    push.files.rules("device", rules("DeviceDown", "DeviceLost"))
    push.files.rules("pipeline", rules("PipelineSlow"))
    assert push("plan").code == 3 and prometheus.writes() == []
    done = push.json("apply")
    assert done.code == 0, done.text
    assert groups(prometheus) == {"theirs": 1, "neural-device": 3, "neural-pipeline": 2}
    assert prometheus.writes() == [("POST", "/-/reload")]

    before = written(prometheus.folder / "rules")
    assert push("plan").code == 0
    done = push.json("apply")
    assert done.code == 0 and set(done.results().values()) == {"unchanged"}
    assert written(prometheus.folder / "rules") == before
    assert prometheus.writes() == [("POST", "/-/reload")], "the second push writes nothing"

    # By hand: refused, then forced.
    mine = prometheus.folder / "rules" / "neural-exporter-device.yml"
    mine.write_text(mine.read_text().replace("up == 0", "up == 2"))
    done = push.json("apply")
    assert done.code == 1 and done.results()["neural-exporter-device.yml"] == "refuse"
    assert "up == 2" in mine.read_text()
    assert push("apply", "--force").code == 0 and "up == 0" in mine.read_text()

    push.files.remove("alert-rules/pipeline.yml")
    assert push.json("apply").results()["neural-exporter-pipeline.yml"] == "leave"
    assert push("apply", "--prune").code == 0
    assert groups(prometheus) == {"theirs": 1, "neural-device": 3}
    assert push("destroy").code == 0
    assert groups(prometheus) == {"theirs": 1}
    assert [file.name for file in (prometheus.folder / "rules").iterdir()] == ["theirs.yml"]


def test_two_deployments_do_not_overwrite_each_other(prometheus, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus))
    push.files.rules("device", rules("DeviceDown"))
    assert push("apply").code == 0
    second = Provision(tmp_path / "second", target(prometheus))
    second.configure("20s", alerts={"job": "rig2"})
    second.files.rules("device", rules("DeviceDown", expr="up == 2"))
    done = second("plan")
    assert done.code == 3 and "0 to do, 1 refused" in done.text and "another alerts.job" in done.text, done.text
    assert "a rules_directory of its own" in done.text
    before = written(prometheus.folder / "rules")
    assert second("apply").code == 1 and second("destroy").code == 0
    assert written(prometheus.folder / "rules") == before and push("plan").code == 0
    assert second("apply", "--force").code == 0 and push("plan").code == 3
    assert second("destroy").code == 0 and groups(prometheus) == {}


def test_rules_that_are_wrong_are_not_written(prometheus, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus))
    push.files.rules("good", rules("DeviceDown"))
    push.files.rules("bad", rules("Broken", expr="up ==== 0"))
    done = push("apply")
    assert done.code == 1 and "partial" in done.text and "promtool says" in done.text, done.text
    assert "parse error" in done.text
    assert [file.name for file in (prometheus.folder / "rules").iterdir()] == ["neural-exporter-good.yml"]
    assert groups(prometheus) == {"neural-good": 2}


def test_rules_that_the_server_refuses_are_taken_back(prometheus, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus))
    push.files.rules("device", rules("DeviceDown"))
    assert push("apply").code == 0
    before = written(prometheus.folder / "rules")
    # Without promtool the server is the first to see it.
    blind = Provision(tmp_path / "push", target(prometheus, promtool="no-such-promtool"))
    blind.files.rules("device", rules("DeviceDown", expr="up ==== 0"))
    blind.files.rules("second", rules("Second"))
    done = blind("apply")
    assert done.code == 1 and "the server does not load them: 500" in done.text, done.text
    assert "the files are as before, and the server has reloaded them" in done.text
    after = written(prometheus.folder / "rules")
    assert {name: text for name, (_, text) in after.items()} == {name: text for name, (_, text) in before.items()}
    assert groups(prometheus) == {"neural-device": 2}
    assert prometheus.get("/api/v1/status/runtimeinfo")["data"]["reloadConfigSuccess"] is True


def test_rules_that_cannot_be_evaluated_are_taken_back(prometheus, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus, verify="30s"))
    many = 'vector(1) + on() (label_replace(vector(1), "a", "1", "", "") or label_replace(vector(1), "a", "2", "", ""))'
    push.files.rules("device", [{"record": "job:x:sum", "expr": many}])
    done = push("apply")
    assert done.code == 1 and "cannot be evaluated" in done.text and "job:x:sum" in done.text, done.text
    assert groups(prometheus) == {} and list((prometheus.folder / "rules").iterdir()) == []


def test_a_folder_that_is_not_read_is_noticed(prometheus, tmp_path):
    elsewhere = prometheus.folder / "elsewhere"
    elsewhere.mkdir()
    push = Provision(tmp_path / "push", target(prometheus, rules_directory=str(elsewhere)))
    push.files.rules("device", rules("DeviceDown"))
    done = push("apply")
    assert done.code == 1 and f"must name {elsewhere}/*.yml" in done.text, done.text
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("prometheus", [False], indirect=True)
def test_a_server_that_may_not_be_reloaded(prometheus, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus))
    push.files.rules("device", rules("DeviceDown"))
    done = push("apply")
    assert done.code == 1 and "--web.enable-lifecycle" in done.text and "kill -HUP" in done.text, done.text
    assert written(prometheus.folder / "rules") and "partial: 1 written, 1 refused or failed" in done.text, "the tally is true"
    assert push("plan").code == 3, "what is not loaded is not done"
    os.kill(prometheus.process.pid, signal.SIGHUP)
    wait_until(lambda: groups(prometheus) == {"neural-device": 2}, 20, "the reload")
    assert push("plan").code == 0


def test_servers_that_are_down_are_told(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    gone = {"prometheus": {"url": f"http://127.0.0.1:{free_port()}", "rules_directory": str(folder)}}
    push = Provision(tmp_path / "push", gone, {"directory": {"path": str(tmp_path / "out")}}, wait="3s")
    push.files.rules("device", rules("DeviceDown"))
    done = push("apply")
    assert done.code == 1 and "was not ready within 3 s" in done.text and "partial" in done.text, done.text
    assert f"waiting for {gone['prometheus']['url']} (up to 3 s)" in done.text, "nobody waits without a word"
    assert (tmp_path / "out" / "alert-rules" / "device.yml").exists(), "the other target is served"
    assert list(folder.iterdir()) == []


def test_a_proxy_of_the_environment_is_named_and_not_asked_for_this_machine(prometheus, tmp_path):
    dead = f"http://127.0.0.1:{free_port()}"
    environment = {"HTTP_PROXY": dead, "PATH": os.environ["PATH"]}
    push = Provision(tmp_path / "push", target(prometheus), wait="1s")
    push.files.rules("device", rules("DeviceDown"))
    assert push("apply", environment=environment).code == 0
    push = Provision(tmp_path / "far", target(prometheus, url="http://prometheus.invalid"), wait="1s")
    push.files.rules("device", rules("DeviceDown"))
    done = push("plan", environment=environment)
    assert done.code == 1 and f"through the proxy {dead} of the environment" in done.text, done.text


def test_a_folder_of_files(tmp_path):
    out = tmp_path / "out"
    push = Provision(tmp_path / "push", {"directory": {"path": str(out)}})
    push.files.rules("device", rules("DeviceDown"))
    push.files.dashboard("neural", "Overview")
    (out / "alert-rules").mkdir(parents=True)
    (out / "alert-rules" / "mine.yml").write_text("mine")
    assert push("apply").code == 0 and push("plan").code == 0
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    assert push("apply").code == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()} == before
    (out / "alert-rules" / "device.yml").write_text("edited")
    assert push("apply").code == 1 and (out / "alert-rules" / "device.yml").read_text() == "edited"
    assert push("destroy", "--force").code == 0
    assert [file for file in out.rglob("*") if file.is_file()] == [out / "alert-rules" / "mine.yml"]


class Webhook:
    """Hears of alerts."""

    def __init__(self):
        outer = self
        self.heard: list[dict] = []

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_POST(self):
                outer.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook():
    made = Webhook()
    yield made
    made.stop()


def routes(url: str) -> str:
    return json.dumps({
        "route": {"receiver": "persons", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "persons", "webhook_configs": [{"url": url}]}],
    })


def manager(server: Server) -> dict:
    return {"alertmanager": {"url": server.url, "config_file": str(server.folder / "alertmanager.yml")}}


def test_an_alert_reaches_a_person(prometheus, alertmanager, webhook, tmp_path):
    push = Provision(tmp_path / "push", target(prometheus), manager(alertmanager))
    push.files.rules("device", rules("DeviceDown"))
    push.files.write("provisioning/alertmanager/alertmanager.yml", routes(webhook.url))
    file = alertmanager.folder / "alertmanager.yml"

    # The file is somebody else's, and what is in it is nobody's business.
    file.write_text(QUIET.replace("nobody\n", "theirs\n") + "    webhook_configs: [{url: 'http://hooks/very-secret'}]\n")
    done = push("apply")
    assert done.code == 1 and "theirs" in file.read_text(), done.text
    assert "provisioning/alertmanager/fragment.yml" in done.text
    original, copy = file.read_text(), file.with_name("alertmanager.yml.before-neural")
    assert not copy.exists()
    plan = push("plan", "--force")
    assert plan.code == 3 and "very-secret" not in plan.text and "<secret>" in plan.text, plan.text
    done = push("apply", "--force")
    assert done.code == 0 and f"kept in {copy}" in done.text and copy.read_text() == original, done.text
    heard = wait_until(lambda: list(webhook.heard), 60, "the alert")
    alert = heard[0]["alerts"][0]
    assert alert["labels"]["alertname"] == "DeviceDown" and alert["status"] == "firing"
    assert alert["annotations"]["runbook_url"] == RUNBOOK

    before, writes = file.stat().st_mtime_ns, len(alertmanager.writes())
    assert push("apply").code == 0
    assert file.stat().st_mtime_ns == before and len(alertmanager.writes()) == writes

    # One that amtool refuses is not written; one that the server refuses is taken back.
    push.files.write("provisioning/alertmanager/alertmanager.yml", '{"route": {"receiver": "gone"}, "receivers": []}')
    done = push("apply")
    assert done.code == 1 and "amtool says" in done.text and file.stat().st_mtime_ns == before, done.text
    blind = dict(manager(alertmanager)["alertmanager"], amtool="no-such-amtool")
    done = Provision(tmp_path / "push", {"alertmanager": blind})("apply")
    assert done.code == 1 and "the server does not load it" in done.text and "reloaded it" in done.text, done.text
    assert "persons" in alertmanager.get("/api/v2/status")["config"]["original"]

    push = Provision(tmp_path / "push", target(prometheus), manager(alertmanager))
    push.files.write("provisioning/alertmanager/alertmanager.yml", routes(webhook.url))
    done = push("destroy")
    assert done.code == 0 and "is restored" in done.text, done.text
    assert file.read_text() == original and not copy.exists()
    assert "theirs" in alertmanager.get("/api/v2/status")["config"]["original"] and groups(prometheus) == {}


def test_a_device_is_silenced(alertmanager, tmp_path):
    push = Provision(tmp_path / "push", manager(alertmanager))

    def silence(*words: str) -> subprocess.CompletedProcess:
        from conftest import PROGRAM

        command = [str(PROGRAM), "silence", "--config", str(push.config), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    def active() -> list[dict]:
        return [s for s in alertmanager.get("/api/v2/silences") if s["status"]["state"] == "active"]

    theirs = {"matchers": [{"name": "device", "value": "a", "isRegex": False, "isEqual": True}],
              "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z", "createdBy": "her", "comment": "c"}
    ask = urllib.request.Request(f"http://127.0.0.1:{alertmanager.port}/api/v2/silences", json.dumps(theirs).encode(),
                                 {"Content-Type": "application/json"})
    urllib.request.urlopen(ask, timeout=10).close()
    done = silence("a", "--for", "2h", "--comment", "new electrodes")
    assert done.returncode == 0, done.stderr
    assert silence("a", "--for", "3h", "--comment", "still").returncode == 0
    mine = [s for s in active() if s["createdBy"] == "neural-exporter"]
    assert len(mine) == 1 and mine[0]["comment"] == "still", "one silence for a device"
    listed = silence()
    assert 'device="a"' in listed.stdout and "still" in listed.stdout
    assert silence("a", "--expire").returncode == 0
    assert [s["createdBy"] for s in active()] == ["her"]


mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def left(folder) -> set:
    return {file.name for file in folder.iterdir() if file.name not in ("data", "log")}


def test_a_link_to_the_configuration_stays_a_link(alertmanager, webhook, tmp_path):
    """As a configuration is kept in a repository, or in a folder of the distribution."""
    named, real = alertmanager.folder / "alertmanager.yml", tmp_path / "kept" / "am.yml"
    real.parent.mkdir()
    named.rename(real)
    named.symlink_to(real)
    original = QUIET.replace("nobody\n", "theirs\n")
    real.write_text(original)
    real.chmod(0o640)
    os.chown(real, 12345, 54321) if os.geteuid() == 0 else None
    about = (real.stat().st_mode, real.stat().st_uid, real.stat().st_gid)
    push = Provision(tmp_path / "push", manager(alertmanager))
    push.files.write("provisioning/alertmanager/alertmanager.yml", routes(webhook.url))
    assert push("apply", "--force").code == 0
    assert named.is_symlink() and "persons" in real.read_text()
    assert (real.stat().st_mode, real.stat().st_uid, real.stat().st_gid) == about
    assert push("destroy").code == 0
    assert named.is_symlink() and real.read_text() == original
    assert (real.stat().st_mode, real.stat().st_uid, real.stat().st_gid) == about
    assert left(real.parent) == {"am.yml"} and not any(".before-neural" in name for name in left(alertmanager.folder))


@mounts
@pytest.mark.parametrize("closed", [False, True])
def test_a_configuration_that_is_mounted_is_written_where_it_stands(alertmanager, webhook, tmp_path, closed):
    """As a container has it: `-v ./alertmanager.yml:/etc/alertmanager/alertmanager.yml`, with the rest read-only."""
    file = alertmanager.folder / "alertmanager.yml"
    original, number = file.read_text(), file.stat().st_ino
    before = f"mount --bind {file} {file}"
    if closed:
        before = f"mount --bind {file.parent} {file.parent}\nmount --bind {file} {file}\nmount -o remount,bind,ro {file.parent}"
    push = Provision(tmp_path / "push", manager(alertmanager))
    push.files.write("provisioning/alertmanager/alertmanager.yml", routes(webhook.url))
    names = left(file.parent)
    done = push("apply", before=before)
    assert done.code == 0 and "overwritten in place" in done.text, done.text
    assert file.stat().st_ino == number and "persons" in file.read_text()
    assert "persons" in alertmanager.get("/api/v2/status")["config"]["original"]
    assert left(file.parent) == names, "nothing is left behind"
    assert push("apply", before=before).text.count("written where") == 0, "what is there is not written again"
    assert push("destroy", before=before).code == 0
    assert "persons" not in file.read_text() and left(file.parent) == names
    assert original


@mounts
def test_an_original_that_cannot_be_replaced_leaves_no_copy_behind(alertmanager, webhook, tmp_path):
    file = alertmanager.folder / "alertmanager.yml"
    original = QUIET.replace("nobody\n", "theirs\n")
    file.write_text(original)
    names = left(file.parent)
    push = Provision(tmp_path / "push", manager(alertmanager))
    push.files.write("provisioning/alertmanager/alertmanager.yml", routes(webhook.url))
    done = push("apply", "--force", before=f"mount --bind {file} {file}\nmount -o remount,bind,ro {file}")
    assert done.code == 1 and "nothing written" in done.text, done.text
    assert file.read_text() == original and left(file.parent) == names


def test_rule_files_can_be_read_by_the_server_whatever_the_umask(prometheus, tmp_path):
    out = tmp_path / "out"
    push = Provision(tmp_path / "push", target(prometheus), {"directory": {"path": str(out)}})
    push.files.rules("device", rules("DeviceDown"))
    before = os.umask(0o077)
    try:
        assert push("apply").code == 0
    finally:
        os.umask(before)
    files = [*prometheus.folder.glob("**/neural-exporter-*.yml"), out / "alert-rules" / "device.yml"]
    assert len(files) == 2 and all(file.stat().st_mode & 0o777 == 0o644 for file in files)
    assert (out / "alert-rules").stat().st_mode & 0o777 == 0o755


def test_rules_that_are_not_evaluated_yet_are_said_once(prometheus, tmp_path):
    target = {"url": prometheus.url, "rules_directory": str(prometheus.folder / "rules"), "verify": "0s"}
    push = Provision(tmp_path / "push", {"prometheus": target})
    for name in ["a", "b", "c"]:
        push.files.rules(name, rules(f"{name.upper()}Down"), interval="2h")
    done = push("apply")
    told = f"6 rules are loaded and not evaluated yet; look again in 7200 s at {prometheus.url}/rules"
    assert done.code == 0 and done.text.count("not evaluated yet") == 1 and told in done.text, done.text
