"""The agent's PromQL beside a real Prometheus: the same samples in both, the same answers.

Independent: Prometheus, whichever is installed. Both get the samples from one text of OpenMetrics: Prometheus as blocks that promtool
makes, the agent by `history import`. Asked are every generated rule, every query of every board, and `tests/promql/expressions.txt`.
"""
from __future__ import annotations

import json
import math
import random
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import yaml

from conftest import PROGRAM, ROOT, Agent, free_port, program, wait_until
from test_dashboards import BOARDS, filled, panels

pytestmark = pytest.mark.versions

BASE, STEP, COUNT = 1_700_000_000, 15, 480
EXPRESSIONS = [line for line in (ROOT / "tests/promql/expressions.txt").read_text().splitlines() if line and not line.startswith("#")]
# A relative difference that the order of additions may make.
CLOSE = 1e-9


class Text:
    """Samples as OpenMetrics, a family at a time."""

    def __init__(self, seed: int, resets: bool):
        self.dice, self.resets = random.Random(seed), resets
        self.families: dict[str, list[str]] = {}

    def add(self, name: str, labels: dict[str, str], values: list[float | None], late: float = 0.0) -> None:
        text = ",".join(f'{label}="{value}"' for label, value in labels.items())
        rows = self.families.setdefault(name, [])
        for place, value in enumerate(values):
            if value is not None:
                number = "NaN" if math.isnan(value) else "+Inf" if value == math.inf else "-Inf" if value == -math.inf else repr(value)
                rows.append(f"{name}{{{text}}} {number} {BASE + place * STEP + late:.3f}")

    def counter(self, rate: float, resets: float = 0.0, gaps: float = 0.0) -> list[float | None]:
        value, out = self.dice.random() * 5 + (0 if self.resets else 10_000), []
        for _ in range(COUNT):
            begins = self.dice.random() < resets and self.resets
            value = self.dice.random() if begins else value + self.dice.expovariate(1 / rate)
            out.append(None if self.dice.random() < gaps else round(value, 6))
        return out

    def write(self, file: Path) -> None:
        with open(file, "w") as out:
            for name, rows in self.families.items():
                # Untyped, so that any name goes.
                out.write(f"# TYPE {name} unknown\n" + "\n".join(rows) + "\n")
            out.write("# EOF\n")


def off_grid(dice: random.Random) -> float:
    """How late a series is scraped: no time of a query, and no whole second, meets a sample. Before 3.0 a window was closed on both sides."""
    return (dice.randrange(0, 1400) * 10 + 5) / 1000


def made_up(text: Text) -> None:
    """What the expressions of the list ask for: gaps, resets, histograms, values that are no numbers."""
    dice = text.dice
    late = lambda: off_grid(dice)
    for job in ("agent", "eeg"):
        for instance in ("a:9090", "b:9090", "c:9090"):
            of = {"job": job, "instance": instance}
            for device in ("cyton", "rda"):
                text.add("packets_total", of | {"device": device}, text.counter(3, 0.004, 0.02), late())
            text.add("up", of, [dice.choice([1.0, 1.0, 1.0, 0.0]) if i < 400 or instance != "c:9090" else None for i in range(COUNT)], late())
            text.add("temperature_celsius", of | {"sensor": "cpu"}, [round(40 + 10 * math.sin(i / 30) + dice.gauss(0, 1), 4) for i in range(COUNT)], late())
            text.add("temperature_celsius", of | {"sensor": "gpu"}, [None if (i // 60) % 3 == 1 else round(60 + dice.gauss(0, 3), 4) for i in range(COUNT)], late())
            bounds, off, total = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.5", "1", "+Inf"), late(), 0.0
            first = 0 if text.resets else 1000
            counts, rows, sums = dict.fromkeys(bounds, 0), {bound: [] for bound in bounds}, []
            for _ in range(COUNT):
                for value in (dice.lognormvariate(-3.5, 1) for _ in range(dice.randrange(6))):
                    total += value
                    for bound in bounds:
                        counts[bound] += value <= float(bound)
                for bound in bounds:
                    rows[bound].append(float(counts[bound] + first * (bounds.index(bound) + 1)))
                sums.append(round(total, 6))
            for bound in bounds:
                text.add("latency_seconds_bucket", of | {"le": bound}, rows[bound], off)
            text.add("latency_seconds_sum", of, sums, off)
            text.add("latency_seconds_count", of, rows["+Inf"], off)
    for kind, value in {
        "nan": lambda i: math.nan if i % 3 == 0 else float(i),
        "inf": lambda i: math.inf if i % 5 == 0 else float(-i),
        "const": lambda i: 3.5,
        "neg": lambda i: -i * 0.1,
        "sparse": lambda i: float(i) if i % 37 == 0 else None,
    }.items():
        text.add("odd", {"k": kind}, [value(i) for i in range(COUNT)])
    text.add("info_metric", {"job": "agent", "version": "1.2", "instance": "a:9090"}, [1.0] * COUNT)
    text.add("info_metric", {"job": "eeg", "version": "1.3", "instance": "b:9090"}, [1.0] * COUNT)


def of_the_agent(text: Text, scrape: str) -> None:
    """A course for each series that a scrape shows: counters grow and begin again, gauges wander."""
    dice, ranks = text.dice, {}
    for line in scrape.splitlines():
        found = re.match(r"([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)$", line)
        if not found or found[1] in text.families and found[1] == "up":
            continue
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or "")) | {"job": "neural", "instance": "lab:9612"}
        start = float(found[3])
        if re.search(r"_(total|bucket|count|sum)$", found[1]):
            # Buckets of one histogram grow in the same proportion, so that they stay in order.
            family = found[1] + str({k: v for k, v in labels.items() if k != "le"})
            pace = random.Random(family)
            begins = pace.randrange(COUNT)
            ranks[family] = ranks.get(family, 0) + 1
            share, value, values = 1 + abs(start) + ranks[family], 0.0 if text.resets else 1000.0, []
            for place in range(COUNT):
                value = 0.0 if place == begins and text.resets else value + pace.randrange(4)
                values.append(round(value * share, 3))
        else:
            values = [start if start in (0, 1) or dice.random() < 0.5 else round(start * (1 + dice.random() / 10), 5) for _ in range(COUNT)]
        text.add(found[1], labels, values, off_grid(dice))


class Pair:
    """A Prometheus and an agent that hold the same."""

    def __init__(self, folder: Path):
        version = subprocess.run([program("prometheus"), "--version"], capture_output=True, text=True, timeout=30)
        self.version = tuple(int(part) for part in re.search(r"version (\d+)\.(\d+)", version.stdout + version.stderr).groups())
        # How far rates reach beyond a sample that is close to zero is another since 3.0.
        text = Text(7, resets=self.version >= (3, 0))
        made_up(text)
        port = free_port()
        demo = subprocess.Popen([PROGRAM, "demo", "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            page = f"http://127.0.0.1:{port}/metrics"

            def is_full():
                try:
                    scrape = urllib.request.urlopen(page, timeout=5).read().decode()
                except OSError:
                    return None
                return scrape if "neural_channel_quality" in scrape or scrape.count("\n") > 1200 else None

            of_the_agent(text, wait_until(is_full, 60, "a full scrape of the demo"))
        finally:
            demo.terminate()
            demo.wait(20)
        samples = folder / "samples.txt"
        text.write(samples)
        blocks = folder / "data"
        subprocess.run([program("promtool"), "tsdb", "create-blocks-from", "openmetrics", samples, blocks], check=True, capture_output=True, timeout=300)
        (folder / "prometheus.yml").write_text("global: {evaluation_interval: 1m}\n")
        self.port = free_port()
        self.log = open(folder / "log", "wb")
        self.process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={blocks}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--log.level=warn",
            ],
            stdout=self.log,
            stderr=self.log,
        )
        (folder / "agent").mkdir()
        self.agent = Agent(folder / "agent")
        self.agent.configure([])
        took = subprocess.run(
            [PROGRAM, "history", "--config", str(self.agent.file), "import", samples], capture_output=True, text=True, timeout=300
        )
        assert took.returncode == 0 and "; 0 lines" in took.stderr, took
        self.agent.start()
        wait_until(lambda: self.is_ready(), 60, "the start of Prometheus")

    def is_ready(self) -> bool:
        assert self.process.poll() is None, "Prometheus ended"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    def theirs(self, path: str, parameters: dict) -> dict:
        return ask(self.port, path, parameters)

    def ours(self, path: str, parameters: dict) -> dict:
        return ask(self.agent.port, path, parameters)

    def close(self) -> None:
        self.agent.stop()
        self.process.terminate()
        self.process.wait(30)


def ask(port: int, path: str, parameters: dict) -> dict:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return json.load(refused)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    pair = Pair(tmp_path_factory.mktemp("pair"))
    yield pair
    pair.close()


def is_close(one: str, other: str) -> bool:
    a, b = float(one), float(other)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= CLOSE * max(abs(a), abs(b), 1e-3)


def difference(expression: str, ours: dict, theirs: dict) -> str | None:
    """What is different in two answers, if anything is."""
    if ours["status"] != theirs["status"]:
        return f"{theirs.get('error', 'an answer')} became {ours.get('error', 'an answer')}"
    if ours["status"] == "error":
        return None
    one, other = ours["data"], theirs["data"]
    if one["resultType"] != other["resultType"]:
        return f"a {other['resultType']} became a {one['resultType']}"
    if one["resultType"] == "scalar":
        return None if is_close(one["result"][1], other["result"][1]) else f"{other['result']} became {one['result']}"
    if one["resultType"] == "string":
        return None if one["result"] == other["result"] else f"{other['result']} became {one['result']}"
    field = "value" if one["resultType"] == "vector" else "values"
    key = lambda series: json.dumps(series["metric"], sort_keys=True)
    mine, other = ({key(s): [s[field]] if field == "value" else s[field] for s in answer["result"]} for answer in (one, other))
    if re.search(r"\b(top|bottom)k\b", expression):
        # Which of those with the same value are taken is nobody's promise.
        order = lambda sample: (sample[0], math.isnan(float(sample[1])), float(sample[1]))
        values = lambda found: sorted((sample for samples in found.values() for sample in samples), key=order)
        pairs = list(zip(values(mine), values(other)))
        same = len(values(mine)) == len(values(other)) and all(a[0] == b[0] and is_close(a[1], b[1]) for a, b in pairs)
        return None if same else "other values"
    if mine.keys() != other.keys():
        return f"missing {sorted(other.keys() - mine.keys())[:2]}, too many {sorted(mine.keys() - other.keys())[:2]}"
    for series, samples in other.items():
        if [t for t, _ in samples] != [t for t, _ in mine[series]]:
            return f"{series}: other times"
        for (t, want), (_, got) in zip(samples, mine[series]):
            if not is_close(got, want):
                return f"{series}: {want} became {got} at {t}"
    return None


def times() -> list[float]:
    dice = random.Random(3)
    return [BASE + dice.randrange(300, 7100) + dice.choice([0.001, 0.003, 0.007]) for _ in range(10)]


def on_the_edge(pair: Pair, expression: str, path: str, parameters: dict) -> bool:
    """Whether a rank lies on the edge of two buckets: the last bit of a sum, which is added up in nobody's order, decides which one it is.

    A share that is a little less or a little more gives both answers; ours must be one of them.
    """
    if not (share := re.search(r"histogram_quantile\((0\.\d+)", expression)):
        return False
    ours = pair.ours(path, parameters)
    for by in (-1e-9, 1e-9):
        moved = expression.replace(share[0], f"histogram_quantile({float(share[1]) + by:.12f}")
        if not difference(expression, ours, pair.theirs(path, {**parameters, "query": moved})):
            return True
    return False


def differences(pair: Pair, expressions) -> list[str]:
    """What differs, for each expression at ten times and over two ranges."""
    found = []
    for expression in expressions:
        questions = [("query", {"query": expression, "time": f"{t:.3f}"}) for t in times()]
        for start, end, step in [(BASE + 600.001, BASE + 7300.001, 97.01), (BASE - 300.007, BASE + 9000.003, 601.01)]:
            questions.append(("query_range", {"query": expression, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": step}))
        for path, parameters in questions:
            what = difference(expression, pair.ours(path, parameters), pair.theirs(path, parameters))
            if what and not on_the_edge(pair, expression, path, parameters):
                found.append(f"{expression}\n    {parameters}: {what}")
                break
    return found


# What Prometheus itself answers otherwise since 3.0: names behind atan2, deviations of NaN, a name, `@` with the range of
# a function, subqueries whose first time is that of the window's edge, and rates of what is close to zero.
CHANGED_IN_3 = [r"\batan2\b", r"\bstd(dev|var) .*\bodd\b", r"\bholt_winters\b", r"^predict_linear\(.*@", r"\[1h:15s\] @", r"(rate|increase)\(\(rate\("]
# A parameter of topk that is NaN at a step is no error for a while.
CHANGED_SINCE_3 = [r"\bholt_winters\b", r"k.*\(scalar\(count\(up\)\)/2"]
# What depends on the processor that Prometheus runs on: `int64(NaN)`.
OF_THE_PROCESSOR = [r"^(day_of_\w+|hour|minute|month|year|days_in_month)\(odd\)"]


def comparable(pair: Pair, expressions: list[str]) -> list[str]:
    skipped = OF_THE_PROCESSOR + (CHANGED_IN_3 if pair.version < (3, 0) else CHANGED_SINCE_3)
    return [one for one in expressions if not any(re.search(pattern, one) for pattern in skipped)]


def test_the_expressions_of_the_list(pair):
    asked = comparable(pair, EXPRESSIONS)
    assert len(asked) > 600
    found = differences(pair, asked)
    assert not found, f"{len(found)} of {len(asked)} differ:\n" + "\n".join(found[:60])


def rules() -> list[str]:
    found = []
    for file in sorted((ROOT / "alert-rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            found += [str(rule["expr"]) for rule in group["rules"]]
    return sorted(set(found))


def test_every_rule(pair):
    asked = comparable(pair, rules())
    assert len(asked) > 150
    found = differences(pair, asked)
    assert not found, f"{len(found)} of {len(asked)} differ:\n" + "\n".join(found[:60])


# Series with the highest totals, of which something else is drawn: `A and on (...) topk(5, B)`.
HIGHEST = re.compile(r"(\band on \([^)]*\) (?:top|bottom)k\()\d+")


def queries() -> list[str]:
    """Every query of every panel, with its variables filled. Which of two series with the same total is chosen is nobody's promise, and
    what is drawn of them differs: all are chosen here."""
    asked = {filled(board, target["expr"], rate="2m") for board in BOARDS.values() for panel in panels(board) for target in panel["targets"]}
    return sorted(HIGHEST.sub(r"\g<1>1000", query) for query in asked)


def test_every_query_of_every_board(pair):
    asked = comparable(pair, queries())
    assert len(asked) > 300
    found = differences(pair, asked)
    assert not found, f"{len(found)} of {len(asked)} differ:\n" + "\n".join(found[:60])
