"""Every alert that is generated fires and ends at the times at which promtool and Debian's Prometheus have it fire and end.

The cases are those of the generated unit tests. Each series of them ends with a staleness mark, and each case is looked at once a minute
until long after, so that `for`, `keep_firing_for` and the end are in it. promtool says what it finds; `test-rules`, which evaluates as
the agent does, has to find the same at each minute. A real server then plays all cases at once, thirty times as fast and faster.
"""
from __future__ import annotations

import bisect
import json
import re
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

from conftest import PROGRAM, ROOT, free_port, program
from test_provision_prometheus import Server

FILES = sorted((ROOT / "alert-rules/tests").glob("*.yml"))
MINUTE = 60
# Cases that take longer than so many minutes, and up to so many, how much faster than the clock a server plays them, and by how many minutes it may
# differ: scrape and evaluation are a step apart, and a step is shorter the faster it goes.
LENGTHS = [(0, 60, 30, 2), (60, 230, 120, 4), (230, 600, 150, 6)]


def values(text: str) -> list[float | None]:
    """What promtool makes of the notation of its series; None where there is no sample."""
    made: list[float | None] = []
    for item in str(text).split():
        if item in ("_", "stale"):
            made.append(None)
        elif times := re.fullmatch(r"_x(\d+)", item):
            made.extend([None] * int(times[1]))
        elif times := re.fullmatch(r"(.+?)(?:([+-][\d.e]+))?x(\d+)", item):
            made.extend(float(times[1]) + float(times[2] or 0) * at for at in range(int(times[3]) + 1))
        else:
            made.append(float(item))
    return made


def minutes(text: str) -> int:
    """A duration of Prometheus, in minutes."""
    return sum(int(n) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[unit] for n, unit in re.findall(r"(\d+)([smhd])", text)) // MINUTE


def groups(file) -> list[dict]:
    """Of the rules that a file of tests is about."""
    named = yaml.safe_load(file.read_text())["rule_files"]
    return [group for name in named for group in yaml.safe_load((file.parent / name).read_text())["groups"]]


def whole(expr: str, recorded: dict[str, str]) -> str:
    """The expression, and those of the series in it that a rule records."""
    named = {name for name in re.findall(r"\w+(?::\w+)+", expr) if name in recorded}
    return " ".join([expr, *(whole(recorded[name], recorded) for name in named)])


def after(rule: dict, expr: str) -> int:
    """Minutes until an alert is over that no sample feeds any more: the ranges that it looks back over, and how long it is kept."""
    ranges = [minutes(text) for text in re.findall(r"\[(\w+)", expr)]
    return min(max([5, *ranges]), 400) + minutes(rule.get("keep_firing_for", "")) + minutes(rule.get("for", "")) + 7


def cases(file) -> list[dict]:
    """The tests of a file with an end, each looked at once a minute."""
    all_rules = [rule for group in groups(file) for rule in group["rules"]]
    rules = {rule["alert"]: rule for rule in all_rules if "alert" in rule}
    made, recorded = [], {rule["record"]: rule["expr"] for rule in all_rules if "record" in rule}
    old = " version 2." in subprocess.run([program("promtool"), "--version"], capture_output=True, text=True).stdout
    for test in yaml.safe_load(file.read_text())["tests"]:
        (question,) = test["alert_rule_test"]
        rule = rules[question["alertname"]]
        expr = whole(rule["expr"], recorded)
        if old and re.search(r"\w:\w+(\{[^}]*\})?\[", expr):
            # A series that a rule records has its samples at the time of the evaluation, which is the border of a range.
            print(f"not asked of Prometheus 2: {test['name']}")
            continue
        # A scrape that misses a series ends it, and so does the file.
        ended = [re.sub(r"\b_x(\d+)", lambda m: f"stale _x{int(m[1]) - 1}", str(s["values"])) for s in test["input_series"]]
        series = [{"series": s["series"], "values": f"_ {text} stale"} for s, text in zip(test["input_series"], ended)]
        last = max(len(values(s["values"])) for s in series) + after(rule, expr)
        # No sample lies on the border of a range: Prometheus 2 has it in the range, Prometheus 3 has not.
        assert test["interval"] == "1m"
        made.append({"name": test["name"], "interval": "59999ms", "input_series": series, "alert": question["alertname"], "last": last})
    return made


def suite(file, tests: list[dict], expected) -> str:
    """A file for promtool, with what is expected of each case at each of its minutes."""
    original = yaml.safe_load(file.read_text())
    rules = [str((file.parent / name).resolve()) for name in original["rule_files"]]
    asked = [
        {
            **{key: test[key] for key in ("name", "interval", "input_series")},
            "alert_rule_test": [
                {"eval_time": f"{minute}m", "alertname": test["alert"], "exp_alerts": expected(test, minute)} for minute in range(test["last"])
            ],
        }
        for test in tests
    ]
    return yaml.dump({**original, "rule_files": rules, "tests": asked}, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def pairs(text: str) -> dict[str, str]:
    """The labels of `{a="b", c="d"}`."""
    return {name: json.loads(value) for name, value in re.findall(r'([a-zA-Z_]\w*)=("(?:[^"\\]|\\.)*")', text)}


def found_by_promtool(file, tests: list[dict], tmp_path) -> dict[tuple[str, int], list[dict]]:
    """What fires in each case at each minute. No alert has the labels that are expected, so that promtool names all it found."""
    path = tmp_path / f"asked-{file.name}"
    path.write_text(suite(file, tests, lambda test, minute: [{"exp_labels": {"nothing": "has this"}}]))
    said = subprocess.run([program("promtool"), "test", "rules", str(path)], capture_output=True, text=True, timeout=300)
    found: dict[tuple[str, int], list[dict]] = {}
    for block in re.split(r"\n(?=    name: )", said.stdout + said.stderr):
        head = re.search(r"name: (.*),\n\s+alertname: .*, time: (\S+), ", block)
        if not head:
            continue
        minute = sum(int(n) * {"h": 60, "m": 1, "s": 0, "d": 1440}[unit] for n, unit in re.findall(r"(\d+)([dhms])", head[2]))
        got = block.split("got:", 1)[1]
        alerts = re.findall(r"Labels:(\{.*\})\s+Annotations:(\{.*\})", got)
        found[head[1], minute] = [{"exp_labels": {k: v for k, v in pairs(labels).items() if k != "alertname"}, "exp_annotations": pairs(about)} for labels, about in alerts]
    assert len(found) == sum(test["last"] for test in tests), said.stdout[:2000]
    return found


def episodes(firing: list[bool]) -> list[tuple[int, int]]:
    """First and last of each run of true ones."""
    made, began = [], None
    for at, fires in enumerate([*firing, False]):
        if fires and began is None:
            began = at
        elif not fires and began is not None:
            made.append((began, at - 1))
            began = None
    return made


def joined(some: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Episodes, without gaps of so many minutes and less."""
    made: list[tuple[int, int]] = []
    for began, ended in some:
        if made and began - made[-1][1] - 1 <= gap:
            made[-1] = made[-1][0], ended
        else:
            made.append((began, ended))
    return made


@pytest.mark.versions
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_alerts_fire_and_end_when_promtool_says(file, tmp_path):
    tests = cases(file)
    if not tests:
        pytest.skip("no case can be compared with Prometheus 2")
    found = found_by_promtool(file, tests, tmp_path)
    path = tmp_path / file.name
    path.write_text(suite(file, tests, lambda test, minute: found[test["name"], minute]))
    done = subprocess.run([PROGRAM, "test-rules", str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.stdout + done.stderr)[:4000]
    for test in tests:
        seen = episodes([bool(found[test["name"], minute]) for minute in range(test["last"])])
        if test["name"].endswith((" fires", " is worse")):
            assert seen, f"{test['name']}: it never fires"
            # What needs no series, or fires because there is none, does not end.
            assert seen[-1][1] < test["last"] - 1 or test["alert"] in ENDLESS, f"{test['name']}: it does not end: {seen}"
    # One wrong minute is seen.
    name, minute = next(key for key, alerts in found.items() if alerts)
    path.write_text(suite(file, tests, lambda test, at: [] if (test["name"], at) == (name, minute) else found[test["name"], at]))
    assert subprocess.run([PROGRAM, "test-rules", str(path)], capture_output=True, timeout=300).returncode == 1


ENDLESS = {"NeuralWatchdog", "NeuralAgentAbsent"}
# What the server cannot be asked thirty times as fast, or not for all cases at once.
NOT_PLAYED = {
    "NeuralWatchdog": "it has no instance by which cases are told apart",
    "NeuralAgentAbsent": "it looks at all instances together",
}


def duration(text: str, speed: int) -> str:
    milliseconds = sum(int(n) * {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdw])", text))
    return f"{milliseconds // speed}ms"


def closed(text: str, at: int) -> int:
    """The place behind the bracket that closes the one at `at`."""
    depth = 0
    for place in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    raise AssertionError(text)


def faster(expr: str, speed: int) -> str:
    """The expression with times that are shorter; what it finds per second is per slow second."""
    expr = re.sub(r"\[([0-9a-z]+)(?::([0-9a-z]*))?\]", lambda m: f"[{duration(m[1], speed)}" + ("" if m[2] is None else f":{m[2] and duration(m[2], speed)}") + "]", expr)
    expr = re.sub(r"offset ([0-9a-z]+)", lambda m: f"offset {duration(m[1], speed)}", expr)
    made, at = "", 0
    for call in re.finditer(r"\b(rate|irate|deriv)\(", expr):
        if call.start() < at:
            raise AssertionError(f"one within another: {expr}")
        end = closed(expr, call.end() - 1)
        made += f"{expr[at:call.start()]}({expr[call.start():end]} / {speed})"
        at = end
    made += expr[at:]
    return re.sub(r"(predict_linear\([^()]*\], )([^()]+)\)", rf"\1(\2) / {speed})", made)


class Player(ThreadingHTTPServer):
    """All cases as one target: each scrape is the next minute."""

    def __init__(self, series: list[tuple[str, list[float | None]]]):
        self.minute, self.times, self.series = -1, [], series
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                outer.minute += 1
                outer.times.append(time.time())
                lines = [f"{name} {values[outer.minute]!r}" for name, values in outer.series if outer.minute < len(values) and values[outer.minute] is not None]
                body = ("\n".join(lines) + "\n").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def test_every_case_is_played_but_those_that_say_why_not():
    """What the real server is not asked, by name and number."""
    all_of = [test["name"] for file in FILES for test in yaml.safe_load(file.read_text())["tests"]]
    asked = [test for file in FILES for test in cases(file)]
    played = [test for test in asked if test["alert"] not in NOT_PLAYED and test["last"] <= LENGTHS[-1][1]]
    left = sorted(set(all_of) - {test["name"] for test in played})
    print(f"{len(played)} of {len(all_of)} cases are played to a server; not: {', '.join(left)}")
    # Of Prometheus 2 those are not asked that look back over a recorded series: its ranges have both borders.
    borders = {"NeuralStageRegression", "NeuralStageLatencyAnomaly"}
    assert {name.split(" ")[0] for name in left} <= borders | set(NOT_PLAYED), left


@pytest.mark.versions
@pytest.mark.parametrize("more, most, speed, apart", [
    pytest.param(*of, id=f"{of[1]}-minutes", marks=[pytest.mark.alone] if of[2] > 120 else []) for of in LENGTHS])
def test_alerts_fire_and_end_when_the_server_says(tmp_path, more, most, speed, apart):
    """All cases of a length, at once; a step more or less is the distance of scrape and evaluation."""
    series, wanted, rules = [], [], {}
    for file in FILES:
        tests = [test for test in cases(file) if more < test["last"] <= most]
        found = found_by_promtool(file, tests, tmp_path) if tests else {}
        for test in tests:
            if test["alert"] in NOT_PLAYED:
                continue
            instance = f"case{len(wanted)}"
            for s in test["input_series"]:
                name = s["series"].replace("'", '"').replace('instance="lab:9612"', f'instance="{instance}"')
                assert instance in name, s
                series.append((name, values(s["values"])))
            firing = [bool(found[test["name"], minute]) for minute in range(test["last"])]
            wanted.append((test["name"], test["alert"], instance, episodes(firing), test["last"]))
        rules.update({group["name"]: group for group in groups(file)})
    for group in rules.values():
        group.pop("interval", None)
        for rule in group["rules"]:
            rule["expr"] = faster(rule["expr"], speed)
            for key in ("for", "keep_firing_for"):
                if key in rule:
                    rule[key] = duration(rule[key], speed)
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": list(rules.values())}))
    player, port = Player(series), free_port()
    step = f"{MINUTE * 1000 // speed}ms"
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": step, "scrape_timeout": step, "evaluation_interval": step},
        "rule_files": [str(tmp_path / "rules.yml")],
        "scrape_configs": [{"job_name": "neural", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{player.server_address[1]}"]}]}],
    }))
    server = Server(tmp_path, [program("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                               f"--query.lookback-delta={5 * MINUTE * 1000 // speed}ms", f"--web.listen-address=127.0.0.1:{port}"], port)
    try:
        last = max(of[4] for of in wanted)
        while player.minute < last:
            time.sleep(1)
            assert server.process.poll() is None
        query = urllib.parse.urlencode({"query": 'ALERTS{alertstate="firing"}', "start": player.times[0], "end": player.times[-1], "step": step})
        answer = server.get(f"/api/v1/query_range?{query}")["data"]["result"]
        unwell = [rule for group in server.get("/api/v1/rules")["data"]["groups"] for rule in group["rules"] if rule["health"] != "ok"]
        assert not unwell, unwell[0]
    finally:
        server.stop()
        player.shutdown()
    times = player.times

    def minute_of(at: float) -> int:
        """The scrape that is nearest: a server that is late plays on from there."""
        place = min(bisect.bisect(times, at), len(times) - 1)
        return min((place - 1, place), key=lambda of: abs(times[of] - at)) if place else place

    seen: dict[tuple[str, str], set[int]] = {}
    for one in answer:
        key = one["metric"].get("instance", ""), one["metric"]["alertname"]
        seen.setdefault(key, set()).update(minute_of(at) for at, _ in one["values"])
    wrong = []
    for name, alert, instance, expected, length in wanted:
        got = episodes([minute in seen.get((instance, alert), ()) for minute in range(length)])
        # Where a step is less than a second, an evaluation that is late leaves one without a sample.
        got = joined(got, apart - 2)
        if len(got) != len(expected) or any(abs(a - b) > apart for pair in zip(got, expected) for a, b in zip(*pair)):
            wrong.append(f"{name}: promtool and the agent {expected}, the server {got}")
    assert not wrong, "\n".join(wrong)
    print(f"{len(wanted)} cases of {more} to {most} minutes, {speed} times as fast")
    assert wanted
