"""The rules over the agent's log: before Grafana's own grammar of LogQL, and before lines that the agent wrote.

Independent: `@grafana/lezer-logql`, which Grafana's editor reads queries with. A Loki is not among the packages that
the tests can install, so no rule was evaluated by one; which lines a rule counts is found here with Python's own
regular expressions.
"""
from __future__ import annotations

import json
import re
import signal
import subprocess

import pytest
import yaml

from conftest import ROOT, npm, wait_until

RULES = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load((ROOT / "alert-rules/loki/agent.yml").read_text())["groups"]
    for rule in group["rules"]
}
PARSE = """
const { parser } = require("@grafana/lezer-logql");
const wrong = JSON.parse(process.argv[1]).filter((text) => {
  let bad = false;
  parser.parse(text).iterate({ enter: (node) => { bad ||= node.type.isError; } });
  return bad;
});
console.log(JSON.stringify(wrong));
"""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Those of some queries that are no LogQL."""
    folder = tmp_path_factory.mktemp("logql")
    npm(folder, "@grafana/lezer-logql@0.4.2", "@lezer/lr@1", "@lezer/common@1")

    def ask(queries: list[str]) -> list[str]:
        done = subprocess.run(["node", "-e", PARSE, json.dumps(queries)], cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_every_query_is_logql(wrong):
    pages = "".join((ROOT / f"alert-rules/runbooks/{name}.md").read_text() for name in RULES)
    queries = re.findall(r"```logql\n(.*)\n```", pages)
    assert len(queries) > len(RULES) and set(RULES.values()) < set(queries)
    # What marks our groups in a ruler stands between them.
    assert wrong([*queries, "vector(0) > 1"]) == []
    assert wrong(["count_over_time({unit=\"a\"} |~ [5m]) > 0", "up == 0 unless {"]) != []


def counts(alert: str, line: str) -> bool:
    """Whether a rule counts a line."""
    (how, what), = re.findall(r"} (\|[=~]) `([^`]*)` \[", RULES[alert])
    return what in line if how == "|=" else re.search(what, line) is not None


@pytest.mark.parametrize("form", ["text", "json", "journal"])
def test_errors_of_a_running_agent_are_counted_and_nothing_else(agent, form):
    log = {"format": "json" if form == "json" else "text"}
    agent.configure([], log=log)
    agent.start({"JOURNAL_STREAM": "8:1"} if form == "journal" else None)
    lines = lambda: agent.log.read_text().splitlines()  # noqa: E731
    assert not any(counts(alert, line) for alert in RULES for line in lines()), lines()
    agent.configure([{"serial": 1}], log=log)
    agent.process.send_signal(signal.SIGHUP)
    found = lambda: [line for line in lines() if counts("NeuralLogErrors", line)]  # noqa: E731
    wait_until(found, 30, "the error")
    assert len(found()) == 1 and "not reloaded" in found()[0], lines()
    assert not any(counts(alert, line) for alert in RULES if alert != "NeuralLogErrors" for line in lines())


def test_an_agent_that_cannot_start_is_counted(agent):
    agent.configure([{"serial": 1}])
    agent.start(ready=False)
    assert agent.process.wait(30) == 2
    lines = agent.log.read_text().splitlines()
    assert sum(counts("NeuralLogCannotStart", line) for line in lines) == 1, lines
    assert not any(counts("NeuralLogErrors", line) for line in lines)
