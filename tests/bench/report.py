#!/usr/bin/env python3
"""How long a report and a comparison take, asked of the agent's history: a day of about 1,000 series with a sample each 15 s.

The series are those of one scrape of `neural-exporter demo`; counters grow and gauges move at random. Only the standard library.
"""
from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from measure import free_port

PROGRAM = Path(__file__).resolve().parents[2] / "target/dist/neural-exporter"
STEP = 15
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


def fetched(url: str, headers: dict[str, str] | None = None) -> bytes:
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=60).read()


def serving(url: str) -> None:
    for _ in range(100):
        try:
            fetched(url + "/-/ready")
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"{url} does not answer")


def scraped(program: Path) -> list[tuple[str, str, float]]:
    """Name, labels and value of each series of the demo after 20 seconds."""
    url = f"http://127.0.0.1:{free_port()}"
    demo = subprocess.Popen([program, "demo", "--listen", url.removeprefix("http://")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    serving(url)
    time.sleep(20)
    text = fetched(url + "/metrics", OPENMETRICS).decode()
    demo.terminate()
    demo.wait(20)
    lines = (re.match(r"([a-zA-Z_:][\w:]*)(?:\{(.*?)\})? (\S+)", line) for line in text.splitlines())
    return [(found[1], found[2] or "", float(found[3])) for found in lines if found]


def write(path: Path, series: list[tuple[str, str, float]], end: int, hours: int) -> None:
    chance = random.Random(1)
    with open(path, "w") as out:
        for name, labels, base in series:
            own = ",".join(part for part in (labels, 'instance="box"', 'job="neural"') if part)
            grows, now = re.search(r"_(total|count|sum|bucket)$", name), base
            still = base in (0.0, 1.0) or "timestamp" in name or "start_time" in name
            for at in range(end - hours * 3600, end + 1, STEP):
                if grows:
                    by = base / 20 * STEP * chance.uniform(0.9, 1.1)
                    now += by if name.endswith("_sum") else round(by)
                elif not still:
                    now = base * chance.uniform(0.95, 1.05)
                out.write(f"{name}{{{own}}} {now!r} {at}\n")
        out.write("# EOF\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    folder, port = Path(tempfile.mkdtemp()), free_port()
    try:
        series = scraped(options.program)
        end = int(time.time()) // STEP * STEP - 60
        write(folder / "samples", series, end, options.hours)
        config = folder / "config.yml"
        history = {"max_bytes": "1GB", "keep": f"{options.hours + 24}h"}
        config.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "state_directory": str(folder / "state"), "sources": [], "history": history}))
        subprocess.run([options.program, "history", "import", "--config", config, folder / "samples"], check=True)
        agent = subprocess.Popen([options.program, "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        serving(url)
        form = f"name=day&start={end - 3600}&end={end}&allow_bad=true".encode()
        urllib.request.urlopen(f"{url}/api/v1/benchmarks", form, timeout=60).read()
        print(f"{len(series)} series, a sample each {STEP} s; medians of {options.rounds}")
        for what, path in [
            *((f"report of {window}", f"/api/v1/report?window={window}&end={end}") for window in ("1h", "6h", f"{options.hours}h")),
            ("comparison of 30m", f"/api/v1/benchmarks/day/compare?window=30m&end={end}"),
        ]:
            took = []
            for _ in range(options.rounds):
                began = time.perf_counter()
                body = fetched(url + path)
                took.append(time.perf_counter() - began)
            print(f"{what:20} {statistics.median(took) * 1e3:8.1f} ms  {len(body):8} bytes")
        agent.terminate()
        agent.wait(20)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
