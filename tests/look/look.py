"""Pictures of the generated dashboards, to be looked at: drawn with Grafana's own components from what a real
Prometheus has of a small laboratory. Nothing is judged here; a person does that.

    npm install --prefix DIR --legacy-peer-deps @grafana/ui@13.2.2 @grafana/data@13.2.2 react@19 react-dom@19 esbuild
    python tests/look/look.py --modules DIR/node_modules --out DIR/look [--seconds 240] [--board devices]

It needs what the tests in `tests/partners` need, and Chromium. Lines, numbers, bars and tables are Grafana's; what
`@grafana/ui` does not have (states, cells, heat, pie, dials) is drawn plainly, with Grafana's colours and legends.
"""
from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "partners"))

from scene import RULES, Scene  # noqa: E402
from test_dashboards import FILES, filled  # noqa: E402
from test_prometheus import Prometheus  # noqa: E402


# Widths of a browser at which a person may look: a phone, a laptop, a desk.
WIDTHS = (390, 1280, 1920)
# Ranges that a person may choose, in seconds.
RANGES = (1800, 3 * 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600)
# Below this width Grafana puts all panels below each other.
PHONE = 769
# Steps that Grafana rounds to, each with the first that is rounded to it, in milliseconds (`roundInterval` of @grafana/data).
STEPS = [
    (750, 1000), (1500, 2000), (3500, 5000), (7500, 10_000), (12_500, 15_000), (17_500, 20_000), (25_000, 30_000), (45_000, 60_000),
    (90_000, 120_000), (210_000, 300_000), (450_000, 600_000), (750_000, 900_000), (1_050_000, 1_200_000), (1_500_000, 1_800_000),
    (2_700_000, 3_600_000), (5_400_000, 7_200_000), (9_000_000, 10_800_000), (16_200_000, 21_600_000), (32_400_000, 43_200_000),
]


def pixels(panel: dict, width: int) -> float:
    """What a panel has inside, in a browser of that width."""
    share = 1 if width < PHONE else panel["gridPos"]["w"] / 24
    return share * (width - 32) - 8 - 16


def step_of(panel: dict, width: int, window: float, scraped: float = 1) -> float:
    """Seconds between two points, as Grafana asks for them."""
    wish = 1000 * window / (panel.get("maxDataPoints") or pixels(panel, width))
    rounded = [step for first, step in STEPS if first <= wish]
    return max(scraped, (rounded or [500])[-1] / 1000)


def refused(panel: dict, width: int, window: float) -> str | None:
    """Why Grafana 9 to 13 does not draw a panel, if it does not: `StatusHistoryPanel` wants two pixels a point."""
    points = window // step_of(panel, width, window) + 1
    if panel["type"] != "status-history" or points <= pixels(panel, width) / 2:
        return None
    return f"{panel['title']}: {points:.0f} points over {window} s are too many for a browser of {width} pixels"


def asked(server: Prometheus, board: dict, panel: dict, end: float, window: int) -> dict:
    """A panel with what its queries gave."""
    for width in WIDTHS:
        for why in filter(None, (refused(panel, width, of) for of in RANGES)):
            raise SystemExit(why)
    step = int(step_of(panel, 1280, window))
    results = []
    for target in panel["targets"]:
        expr = filled(board, target["expr"], f"{max(15, step + 1)}s", f"{window}s")
        try:
            if target["instant"]:
                found = server.api("query", query=expr, time=str(end))["result"]
            else:
                found = server.api("query_range", query=expr, start=str(end - window), end=str(end), step=str(step))["result"]
        except urllib.error.HTTPError as answer:
            raise SystemExit(f"{panel['title']}: {expr}: {answer.read().decode()}") from answer
        results.append(found)
    return {**panel, "results": results}


def collected(seconds: int) -> dict:
    """Every dashboard, with data of so many seconds."""
    folder = Path(tempfile.mkdtemp(prefix="look-"))
    scene, boards = Scene(folder), {}
    (folder / "rules.yml").write_text(RULES)
    server = Prometheus(folder / "prometheus", scene.agent.port, scene.demo.port, rules=folder / "rules.yml")
    try:
        time.sleep(seconds)
        end = time.time() - 2
        window = seconds - 5
        for file in FILES:
            board = json.loads(file.read_text())
            for panel in board["panels"]:
                if panel["type"] == "row":
                    panel["panels"] = [asked(server, board, inner, end, window) for inner in panel["panels"]]
            board["panels"] = [panel if panel["type"] == "row" else asked(server, board, panel, end, window) for panel in board["panels"]]
            board["range"] = {"from": (end - window) * 1000, "to": end * 1000}
            boards[file.stem] = board
    finally:
        server.stop()
        scene.close()
        shutil.rmtree(folder, ignore_errors=True)
    return boards


def height(board: dict, width: int) -> int:
    """Of the whole page with every row open, in pixels; Grafana's rows of 30 with gaps of 8."""
    if width < PHONE:
        every = [one for panel in board["panels"] for one in [panel, *panel.get("panels", [])]]
        return sum(one["gridPos"]["h"] for one in every) * 38 + 160
    units = 0
    for panel in board["panels"]:
        place = panel["gridPos"]
        units = max(units, place["y"] + place["h"])
        inner = panel.get("panels", [])
        units += sum({one["gridPos"]["y"]: one["gridPos"]["h"] for one in inner}.values())
    return units * 38 + 160


def main() -> None:
    wish = argparse.ArgumentParser()
    wish.add_argument("--modules", type=Path, required=True)
    wish.add_argument("--out", type=Path, required=True)
    wish.add_argument("--seconds", type=int, default=240)
    wish.add_argument("--board", action="append")
    wish.add_argument("--keep", action="store_true", help="draw the data of the last time again")
    wish = wish.parse_args()
    wish.out.mkdir(parents=True, exist_ok=True)
    data = wish.out / "boards.json"
    if not wish.keep:
        data.write_text(json.dumps(collected(wish.seconds)))
    boards = json.loads(data.read_text())

    shutil.copy(HERE / "index.html", wish.out)
    bundle = ["esbuild", str(HERE / "page.jsx"), "--bundle", "--format=esm", "--loader:.svg=dataurl", "--loader:.ttf=empty", "--jsx=automatic",
              "--define:process.env.NODE_ENV=\"production\"", "--define:global=window", f"--outfile={wish.out}/page.js", "--log-level=error"]
    bundle[0] = str(wish.modules / ".bin" / "esbuild")
    subprocess.run(bundle, check=True, env={**os.environ, "NODE_PATH": str(wish.modules)})

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(wish.out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    for name, board in boards.items():
        if wish.board and name not in wish.board:
            continue
        for width in WIDTHS:
            picture = wish.out / f"{name}-{width}.png"
            with tempfile.TemporaryDirectory() as profile:
                subprocess.run([
                    browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
                    f"--user-data-dir={profile}", f"--window-size={width},{height(board, width)}", "--virtual-time-budget=20000",
                    f"--screenshot={picture}", f"http://127.0.0.1:{server.server_port}/index.html?board={name}&width={width}",
                ], check=True, capture_output=True, timeout=180)
            print(picture)
    server.shutdown()


if __name__ == "__main__":
    main()
