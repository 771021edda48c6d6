"""The manifests, as Kubernetes' own tools read them.

Independent: `kubectl kustomize`, which needs no cluster.
"""
from __future__ import annotations

import json
import shutil
import subprocess

import pytest
import yaml

from conftest import PROGRAM, ROOT

BOARDS = sorted((ROOT / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> list[dict]:
    """Every object of the manifests as `generate` writes them."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    out = tmp_path_factory.mktemp("generated")
    (out / "config.yml").write_text("{}\n")
    subprocess.run([PROGRAM, "generate", "--config", out / "config.yml", "--out", out], check=True, capture_output=True)
    made = subprocess.run(["kubectl", "kustomize", out / "provisioning/kubernetes"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def test_every_dashboard_is_a_config_map_with_the_label_of_the_sidecar(built):
    maps = [of for of in built if of["metadata"]["name"].startswith("neural-dashboard-")]
    assert [of["kind"] for of in maps] == ["ConfigMap"] * len(BOARDS)
    for board in BOARDS:
        (one,) = [of for of in maps if of["metadata"]["name"] == f"neural-dashboard-{board.stem}"]
        assert one["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert one["metadata"]["annotations"]["grafana_folder"] == "Neural"
        assert one["metadata"]["namespace"] == "neural"
        assert json.loads(one["data"][board.name]) == json.loads(board.read_text())


def test_everything_that_the_kustomization_names_is_there(built):
    kinds = {of["kind"] for of in built}
    assert {"Namespace", "ConfigMap", "DaemonSet", "Service", "ServiceMonitor", "PrometheusRule"} <= kinds, kinds
