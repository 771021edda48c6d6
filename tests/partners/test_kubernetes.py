"""The manifests, as Kubernetes' own tools read them.

Independent: `kubectl kustomize`, which needs no cluster.
"""
from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT

BOARDS = sorted((ROOT / "provisioning/grafana/dashboards").glob("*.json"))


def built(folder: str) -> list[dict]:
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    made = subprocess.run(["kubectl", "kustomize", str(ROOT / folder)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def test_every_dashboard_is_a_config_map_with_the_label_of_the_sidecar():
    maps = [of for of in built("provisioning/kubernetes") if of["metadata"]["name"].startswith("neural-dashboard-")]
    assert [of["kind"] for of in maps] == ["ConfigMap"] * len(BOARDS)
    for board in BOARDS:
        (one,) = [of for of in maps if of["metadata"]["name"] == f"neural-dashboard-{board.stem}"]
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Neural"
        assert one["metadata"]["namespace"] == "neural"
        assert json.loads(one["data"][board.name]) == json.loads(board.read_text())


def test_everything_that_the_kustomization_names_is_there():
    kinds = {of["kind"] for of in built("provisioning/kubernetes")}
    assert {"Namespace", "ConfigMap", "DaemonSet", "Service", "ServiceMonitor", "PrometheusRule"} <= kinds, kinds
