#!/usr/bin/env python3
"""How long the agent and a Prometheus take for the same questions over the same samples, each over HTTP, one after the other.

Every generated rule at one time, and every query of every panel over six hours with the step that Grafana takes for a panel of 1,000 pixels.
`make measure` runs it where the partner tests can run; it prints a line of JSON for each figure. NEURAL_EXPORTER names the program.
"""
from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "partners"))

import test_promql  # noqa: E402

HOURS = 6
ROUNDS = 5
# Samples of more than six hours, and the present: the last of them.
test_promql.COUNT = HOURS * 3600 // test_promql.STEP + 40
NOW = test_promql.BASE + test_promql.COUNT * test_promql.STEP - 20


def took(server: http.client.HTTPConnection, path: str, parameters: dict) -> float:
    """Milliseconds for an answer, read to its end, on a connection that is kept: what it costs to ask weighs as little as it can."""
    began = time.perf_counter()
    server.request("GET", f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    answer = server.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"{server.port}: {answer.status} for {parameters['query']}")
    return (time.perf_counter() - began) * 1000


def beside(pair: test_promql.Pair, questions: list[tuple[str, dict]], name: str) -> None:
    servers = {who: http.client.HTTPConnection("127.0.0.1", port, 60) for who, port in (("ours", pair.agent.port), ("theirs", pair.port))}
    times = {who: [[] for _ in questions] for who in servers}
    for _ in range(ROUNDS):
        # In turn, so that what else runs on the machine concerns both.
        for place, (path, parameters) in enumerate(questions):
            for who, server in servers.items():
                times[who][place].append(took(server, path, parameters))
    middle = {who: [statistics.median(of) for of in all_of] for who, all_of in times.items()}
    for who in servers:
        print(json.dumps({"name": f"{name}: ms of all, {who}", "value": sum(middle[who])}))
    print(json.dumps({"name": f"{name}: number", "value": len(questions)}))
    slower = sorted(((a - b, a, b, parameters["query"]) for a, b, (_, parameters) in zip(middle["ours"], middle["theirs"], questions)), reverse=True)
    print(json.dumps({"name": f"{name}: slower ones", "value": sum(a > b * 1.2 + 0.3 for _, a, b, _ in slower)}))
    for more, a, b, text in slower[:8]:
        print(f"{a:8.2f} ms, Prometheus {b:8.2f} ms: {' '.join(text.split())[:200]}", file=sys.stderr)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="measure-") as folder:
        pair = test_promql.Pair(Path(folder))
        try:
            at = [("query", {"query": text, "time": NOW}) for text in test_promql.rules()]
            beside(pair, at, "rules beside Prometheus")
            step = max(15, HOURS * 3600 // 1000)
            over = {"start": NOW - HOURS * 3600, "end": NOW, "step": step}
            panels = [("query_range", {"query": text, **over}) for text in test_promql.queries()]
            beside(pair, panels, "panels beside Prometheus")
        finally:
            pair.close()


if __name__ == "__main__":
    main()
