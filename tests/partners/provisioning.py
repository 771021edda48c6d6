"""Files to push, and the command that pushes them. The files are small and have the shapes of the generated ones."""
from __future__ import annotations

import json
import socket
import socketserver
import ssl
import subprocess
import threading
from pathlib import Path

from conftest import PROGRAM

RUNBOOK = "https://runbooks.example/DeviceDown"


def dashboard(uid: str, title: str, **more) -> dict:
    return {
        "uid": uid,
        "title": title,
        "tags": ["neural"],
        "schemaVersion": 39,
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": [{"id": 1, "type": "stat", "title": "Sources", "gridPos": {"x": 0, "y": 0, "w": 24, "h": 8}}],
        **more,
    }


def rules(*names: str, expr: str = "up == 0", **more) -> dict:
    """One group with an alert for each name, and a recording rule."""
    alerts = [
        {
            "alert": name,
            "expr": expr,
            "labels": {"severity": "critical"},
            "annotations": {"summary": "it is down", "runbook_url": RUNBOOK},
            **more,
        }
        for name in names
    ]
    return {"record": "job:up:sum", "expr": "sum by (job) (up)"}, *alerts


class Files:
    """A folder as `generate` would leave it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()

    def dashboard(self, uid: str, title: str, **more) -> None:
        model = json.dumps(dashboard(uid, title, **more), indent=2)
        self.write(f"dashboards/{uid}.json", model + "\n")

    def rules(self, name: str, group_rules, interval: str = "1s") -> None:
        """JSON is YAML."""
        groups = {"groups": [{"name": f"neural-{name}", "interval": interval, "rules": list(group_rules)}]}
        self.write(f"alert-rules/{name}.yml", json.dumps(groups, indent=1) + "\n")


class Authority:
    """A certificate authority of our own, and servers that it vouches for. Made by OpenSSL."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.file = folder, folder / "ca.pem"
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=A lab",
                     "-keyout", "ca.key", "-out", "ca.pem",
                     "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")

    def openssl(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def server(self, *names: str) -> ssl.SSLContext:
        """A context for a server of these names, as `IP:127.0.0.1`."""
        (self.folder / "names").write_text("subjectAltName=" + ",".join(names) + "\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a server", "-keyout", "key.pem", "-out", "request.pem")
        self.openssl("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", "2", "-extfile", "names", "-out", "certificate.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "key.pem")
        return context


class Proxy:
    """A proxy that makes tunnels, and remembers where to. It can send every tunnel to one place."""

    def __init__(self, to: tuple[str, int] | None = None):
        self.asked: list[str] = []
        proxy = self

        class Tunnel(socketserver.StreamRequestHandler):
            def handle(self):
                first = self.rfile.readline().decode()
                while self.rfile.readline().strip():
                    pass
                proxy.asked.append(first.split(" HTTP")[0])
                method, target, _ = first.split()
                if method != "CONNECT":
                    self.wfile.write(b"HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")
                    return
                host, _, port = target.rpartition(":")
                with socket.create_connection(to or (host, int(port)), 10) as there:
                    self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=self.copy, args=(there, self.connection), daemon=True)
                    back.start()
                    self.copy(self.connection, there)
                    back.join(10)

            @staticmethod
            def copy(source, drain):
                try:
                    while data := source.recv(65536):
                        drain.sendall(data)
                    drain.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Done:
    """What a run of the command said."""

    def __init__(self, process: subprocess.CompletedProcess):
        self.code = process.returncode
        self.text = process.stdout + process.stderr
        self.json = json.loads(process.stdout) if process.stdout.startswith("{") else None

    def results(self) -> dict[str, str]:
        """What became of each object, by its name."""
        def word(step: dict) -> str:
            return "failed" if step.get("failure") else step["action"]

        return {step["name"]: word(step) for step in self.json["outcomes"]}


class Provision:
    """`neural-exporter provision` with a configuration of its own."""

    def __init__(self, folder: Path, *targets: dict, wait: str = "20s"):
        folder.mkdir(parents=True, exist_ok=True)
        self.files = Files(folder / "generated")
        self.config = folder / "config.yml"
        self.targets = list(targets)
        self.configure(wait)

    def configure(self, wait: str, **more) -> None:
        self.config.write_text(json.dumps({"provision": {"wait": wait, "targets": self.targets}, **more}))

    def __call__(self, deed: str, *more: str, environment: dict | None = None, before: str | None = None) -> Done:
        return self.run(self.config, deed, "--from", str(self.files.folder), *more, environment=environment, before=before)

    @staticmethod
    def run(config: Path, deed: str, *more: str, environment: dict | None = None, before: str | None = None) -> Done:
        """`before` is done by a shell in a name space of mounts of its own, and then the command."""
        command = [str(PROGRAM), "provision", deed, "--config", str(config), *more]
        if before is not None:
            command = ["unshare", "--mount", "sh", "-ec", before + '\nexec "$@"', "sh", *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        print(done.stdout, done.stderr)
        return Done(done)

    def json(self, deed: str, *more: str) -> Done:
        return self(deed, "--output", "json", *more)
