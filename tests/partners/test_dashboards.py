"""Every query of every dashboard, asked of a real Prometheus that scrapes real agents; and the files against
Grafana's own schemas, where those are at hand.

Independent: Debian's Prometheus server, and the JSON Schemas of grafana-foundation-sdk. They are looked for in
the folder that GRAFANA_SCHEMAS names (`jsonschema/` of that project, Apache-2.0).
"""
from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
from pathlib import Path

import pytest

from conftest import ROOT, wait_until
from scene import RULES, Scene
from test_prometheus import Prometheus

pytestmark = pytest.mark.versions

sys.path.append(str(ROOT / "tests" / "look"))
FILES = sorted((ROOT / "dashboards").glob("*.json"))
BOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}

# Metrics that the scene cannot have, and why. A query that names one of them may have no data.
ABSENT = {
    r"neural_device_firmware_info": "told when a board restarts, or is asked",
    r"neural_provision_": "told when the agent pushes",
    r"neural_stream_clock_drift": "told after a minute",
    r"neural_device_electrode_impedance": "measured when a board starts, if a setting asks for it",
    r"neural_port_(usb|latency_timer|line_errors|waiting)": "a pseudo-terminal has no bus and no driver that counts",
    r"neural_port_start_commands": "a port is opened before the first scrape",
    r"neural_device_clock_drift": "told after two minutes",
    r"neural_host_temperature": "a container has no sensors",
    r"neural_host_(disk|pressure)": "not every kernel tells a container",
    r"neural_host_filesystem_stalled": "told when a file server is gone",
    r"neural_host_cpu_core": "a setting asks for it",
    r"neural_host_(tcp_retransmits|udp_overflows|sockets|tcp_connections|memory_dirty|memory_cached)": "not every kernel tells a container",
    r"neural_process_(read|written)_bytes": "needs a right that tests may lack",
    r"neural_agent_series_refused": "no family is full",
    r"neural_agent_(tls_handshake|certificate_expiry)": "the agents of the scene speak plain HTTP; test_tls.py has them",
    r"neural_source_(kernel_drops|receive_buffer)": "counted where the socket tells",
    r"neural_engine_": "as the recorded engine had it",
    r"neural_device_lost_samples": "told of devices that lose a part of a packet",
    r"neural_incidents_escalated|neural_incident_(acknowledge|resolve)_duration": "no incident of the scene is old enough, acknowledged or over",
    r"neural_baseline_": "the scene has no baseline; test_benchmark.py has",
    r"neural_span_|neural_log_records|neural_otlp_": "nothing of the scene sends OTLP; test_otlp.py has",
    r"neural_action(s|_breaker)": "the scene has no hooks",
    r"neural_device_(error_)?messages": "drawn while a board says something",
    r"stage:neural_stage_|source:neural_probe_": "made by rules that the scene has not",
}


def panels(dashboard: dict):
    for panel in dashboard["panels"]:
        yield from (panel["panels"] if panel["type"] == "row" else [panel])


def filled(dashboard: dict, text: str, rate: str = "8s", reach: str = "1h") -> str:
    """The text as Grafana asks it when everything is chosen."""
    text = text.replace("$__rate_interval", rate).replace("$__interval", rate).replace("$__range", reach)
    for variable in dashboard["templating"]["list"]:
        # Alone, or with nothing as the other choice.
        every = variable.get("allValue", "")
        text = text.replace(f'"${variable["name"]}"', f'"{every}"').replace(f'"${variable["name"]}|"', f'"{every}|"')
    assert "$" not in re.sub(r'"\$1"', "", text), text
    return text


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene")
    scene = Scene(folder)
    rules = folder / "rules.yml"
    rules.write_text(RULES)
    server = Prometheus(folder / "prometheus", scene.agent.port, scene.demo.port, rules=rules)
    wait_until(lambda: server.ask("sum(neural_device_rate_hertz)"), 60, "a rate")
    yield server
    server.stop()
    scene.close()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_query_has_data(watched, file):
    dashboard = json.loads(file.read_text())
    asked = {}
    for panel in panels(dashboard):
        for target in panel["targets"]:
            expr = filled(dashboard, target["expr"])
            if target["expr"].startswith(("vector(-1) unless on () (", "(vector(-1) and on () (")):
                # Only where nothing else is; it must parse all the same.
                watched.api("query", query=expr)
                continue
            asked[f"{panel['title']} {target['refId']}"] = expr
    for annotation in dashboard["annotations"]["list"]:
        if "expr" in annotation:
            # What may be empty must parse all the same.
            watched.api("query", query=filled(dashboard, annotation["expr"]))
    empty = dict(asked)
    end = time.monotonic() + 90
    while empty and time.monotonic() < end:
        for name, expr in list(empty.items()):
            try:
                result = watched.api("query", query=expr)["result"]
            except urllib.error.HTTPError as refused:
                raise AssertionError(f"{name}: {expr}\n{refused.read().decode()}") from refused
            known = any(re.search(metric, expr) for metric in ABSENT)
            if any(sample["value"][1] != "NaN" for sample in result) or known:
                del empty[name]
        time.sleep(0.5)
    assert not empty, "without data:\n" + "\n".join(f"{name}: {expr}" for name, expr in empty.items())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_variable_has_values(watched, file):
    dashboard = json.loads(file.read_text())
    for variable in dashboard["templating"]["list"]:
        query = variable.get("definition")
        if query is None or any(re.search(metric, query) for metric in ABSENT):
            continue
        if query.startswith("query_result("):
            # Words where there are more machines than one, nothing where there are not: with two machines more than two say it.
            inner = filled(dashboard, query).removeprefix("query_result(").removesuffix(")")
            assert "> 1" in inner and watched.api("query", query=inner.replace("> 1", "> 2"))["result"] == []
            several, = watched.api("query", query=inner)["result"]
            shown = {"shown_machine": "· {{instance}}", "machine_first": "{{instance}} ·"}[variable["name"]]
            assert several["metric"] == {"shown": shown}
            assert re.search(variable["regex"].strip("/"), f'{{shown="{shown}"}} 2 1700000000000').group(1) == shown
            continue
        metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", filled(dashboard, query)).groups()

        def there() -> bool:
            return any(label in one for one in watched.api("series", **{"match[]": metric}))

        # What rules make is there when they were evaluated.
        wait_until(there, 60, f"{variable['name']}: {query}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_grafana_draws_every_status_history(file):
    import look  # not above: it takes the boards from here

    cells = [panel for panel in panels(json.loads(file.read_text())) if panel["type"] == "status-history"]
    for panel in cells:
        for width in look.WIDTHS:
            for window in look.RANGES:
                assert look.refused(panel, width, window) is None
        # As many points as pixels are what Grafana itself asks for.
        assert "too many" in look.refused({**panel, "maxDataPoints": None}, 1280, 3 * 3600)
        assert "too many" in look.refused({**panel, "maxDataPoints": 150}, 390, 3 * 3600)
    assert cells or file.stem != "channels"


def relaxed(name: str) -> dict:
    """A schema, without what it has against correct dashboards.

    It is stricter than Grafana in five places: links of fields, what a matcher and an override hold, the query
    of a variable, and options of cells, of which a plain one fits several forms.
    """
    folder = os.environ.get("GRAFANA_SCHEMAS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("GRAFANA_SCHEMAS names no folder with Grafana's JSON Schemas, so no file was checked against them")
    schema = json.loads((Path(folder) / f"{name}.jsonschema.json").read_text())
    for holder, key in (("FieldConfig", "links"), ("MatcherConfig", "options"), ("DynamicConfigValue", "value"), ("VariableModel", "query")):
        properties = schema["definitions"].get(holder, {}).get("properties", {})
        if name == "dashboard" and key in properties:
            properties[key] = {}
    cells = schema["definitions"].get("TableCellOptions", {})
    if "oneOf" in cells:
        cells["anyOf"] = cells.pop("oneOf")
    return schema


def faults(schema: dict, part: str, value) -> list[str]:
    jsonschema = pytest.importorskip("jsonschema")
    whole = {**schema, "$ref": f"#/definitions/{part}"}
    whole.pop("oneOf", None)
    found = jsonschema.Draft7Validator(whole).iter_errors(value)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in found]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_fit_the_schemas(file):
    dashboard = json.loads(file.read_text())
    told = faults(relaxed("dashboard"), "Dashboard", dashboard)
    query = relaxed("prometheus")
    kinds: dict[str, dict] = {}
    for panel in panels(dashboard):
        name = panel["type"].replace("-", "")
        schema = kinds.setdefault(name, relaxed(name))
        at = panel["title"]
        told += [f"{at}: options: {fault}" for fault in faults(schema, "Options", panel["options"])]
        if "FieldConfig" in schema["definitions"]:
            custom = panel["fieldConfig"]["defaults"]["custom"]
            told += [f"{at}: custom: {fault}" for fault in faults(schema, "FieldConfig", custom)]
        for target in panel["targets"]:
            told += [f"{at}: {fault}" for fault in faults(query, "Dataquery", target)]
    assert not told, "\n".join(told)
