"""What the tests of a push to Grafana share: the played servers, and pushes to them."""
from __future__ import annotations

import pytest

from grafana_server import Grafana
from provisioning import Provision

FOLDER = "neural-exporter"
VERSIONS = ["9.4", "11.6", "12.2", "13.0"]


@pytest.fixture(params=VERSIONS)
def grafana(request):
    server = Grafana(request.param, root="/grafana")
    yield server
    server.stop()
    assert server.violations == []


@pytest.fixture
def current():
    """One version, where the version makes no difference."""
    server = Grafana("13.0")
    yield server
    server.stop()
    assert server.violations == []


def provision(tmp_path, server: Grafana, name: str = "push", **settings) -> Provision:
    token = tmp_path / "token"
    token.write_text("glsa_right\n")
    target = {"url": server.url, "access": {"token_file": str(token)}, **settings}
    made = Provision(tmp_path / name, {"grafana": target})
    made.files.dashboard("neural-overview", "Overview")
    made.files.dashboard("neural-devices", "Devices")
    return made


def roles(tmp_path, server: Grafana, role: str, name: str, **settings) -> Provision:
    """A push with the token of a role."""
    token = tmp_path / f"token-{role}"
    token.write_text(f"glsa_{role}")
    server.roles[f"glsa_{role}"] = role
    return provision(tmp_path, server, name, access={"token_file": str(token)}, **settings)
