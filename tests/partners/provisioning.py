"""Files to push, and the command that pushes them. The files are small and have the shapes of the generated ones."""
from __future__ import annotations

import json
import subprocess
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
        self.write(f"provisioning/grafana/dashboards/{uid}.json", model + "\n")

    def rules(self, name: str, group_rules, interval: str = "1s") -> None:
        """JSON is YAML."""
        groups = {"groups": [{"name": f"neural-{name}", "interval": interval, "rules": list(group_rules)}]}
        self.write(f"alert-rules/{name}.yml", json.dumps(groups, indent=1) + "\n")


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
        self.config.write_text(json.dumps({"provision": {"wait": wait, "targets": self.targets}}))

    def __call__(self, deed: str, *more: str, environment: dict | None = None) -> Done:
        command = [str(PROGRAM), "provision", deed, "--config", str(self.config), "--from", str(self.files.folder)]
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, env=environment)
        print(done.stdout, done.stderr)
        return Done(done)

    def json(self, deed: str, *more: str) -> Done:
        return self(deed, "--output", "json", *more)
