"""The page in a browser: what is seen without scrolling, at every width, dark and light, without a script, by keyboard and by a screen reader.

Independent: Debian's Chromium, driven by Playwright, and axe-core.
"""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import time
import urllib.parse

import pytest

from conftest import Agent, wait_until
from test_alerting import write_rules
from test_incidents import incidents, one
from test_page import snapshot
from test_simulate import simulate  # noqa: F811,F401 - a fixture

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the page is not seen in a browser")
Axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core is not installed").Axe
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed: the page is not seen in a browser")

# Milliseconds that a browser may take for anything.
PATIENCE = 30_000
SIZES = [(390, 844, "dark"), (768, 1024, "light"), (1280, 800, "dark"), (1920, 1080, "light"), (390, 844, "light"), (1280, 800, "light")]
NAMES = ["Fp1", "Fp2", "C3", "C4", "P3", "P4", "O1", "O2"]
GONE = {"alert": "Gone", "expr": 'label_replace(neural_source_up{source="board"} == 0, "device", "$1", "source", "(.+)")', "labels": {"severity": "critical", "priority": "P0", "component": "device"},
        "annotations": {"summary": "{{ $labels.device }} is gone", "runbook_url": "http://127.0.0.1:9612/runbooks/ALinkThatIsLongerThanAPhoneIsWide.md"}}


@pytest.fixture(scope="module")
def browser():
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*options, "--disable-dev-shm-usage"], timeout=120_000)
        yield browser
        browser.close()


class Tab:
    """A tab that remembers what went wrong in it, and what it asked of whom."""

    def __init__(self, browser, agent: Agent, width: int = 1280, height: int = 800, scheme: str = "light", script: bool = True):
        self.root, self.script = f"http://127.0.0.1:{agent.port}/", script
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=script)
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.wrong, self.asked = [], []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: str = "") -> None:
        answer = self.page.goto(urllib.parse.urljoin(self.root, path), wait_until="load")
        assert answer.status == 200, f"{path}: {answer.status}"

    def says(self, *texts: str, within: float = 30) -> None:
        """Waits until it shows all of these, and loads it again each time if it has no script."""
        def shown() -> bool:
            if not self.script:
                self.page.reload(wait_until="load")
            words = self.page.inner_text("body")
            return all(text in words for text in texts)

        wait_until(shown, within, f"{texts} in the browser")

    def is_clean(self) -> None:
        """Nothing was loaded from elsewhere, and neither the script nor the policy complained."""
        elsewhere = [url for url in self.asked if not url.startswith((self.root, "data:"))]
        assert elsewhere == [] and self.wrong == [], (elsewhere, self.wrong)

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

    def close(self) -> None:
        self.context.close()


@contextlib.contextmanager
def tab(browser, agent: Agent, *size, **options):
    made = Tab(browser, agent, *size, **options)
    try:
        yield made
        made.is_clean()
    finally:
        made.close()


def watch(agent: Agent, board, tmp_path, **settings) -> None:
    """An agent with a board, a pipeline, and a rule that fires at once where the board is gone."""
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton", "signal": {"names": NAMES}}},
                     {"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}, {"host": {"name": "host"}}],
                    history={"interval": "1s"}, alerts={"rule_files": [write_rules(tmp_path, GONE, interval="1s")]}, **settings)
    agent.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(agent.path("in.sock")))
        line = {"type": "stage", "pipeline": "decode", "stage": "a-stage-with-a-rather-long-name.of.its.own", "seconds": 0.004}
        client.sendall((json.dumps(line) + "\n").encode() * 20)
    agent.until(lambda seen: seen.value("neural_device_streaming", device="board") == 1)


def pages(agent: Agent) -> list[str]:
    """The address of every page."""
    cards = [f"card?{urllib.parse.urlencode({'kind': card['kind'], 'name': card['name']})}" for card in snapshot(agent)["cards"]]
    opened = [f"incident?id={found['id']}" for found in incidents(agent)[:1]]
    return ["", *cards, *opened, "incident", "alert?name=NeuralDeviceLoss", "sources", "connect", "config", "log", "provision/"]


def test_every_page_at_every_width_dark_and_light(browser, agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    watch(agent, board, tmp_path)
    wait_until(lambda: any(card["name"] == "board" and card["parts"] for card in snapshot(agent)["cards"]), 30, "the channels")
    board.process.terminate()
    board.process.wait(20)
    one(agent, alert="Gone")
    for width, height, scheme in SIZES:
        with tab(browser, agent, width, height, scheme) as seen:
            for path in pages(agent):
                seen.open(path)
                assert not seen.scrolls_sideways(), f"{path} scrolls sideways at {width}"
                assert seen.page.locator("h1").count() == 1, path
                # Colours and structure are the same at every width: two look at them.
                if (width, scheme) in [(390, "dark"), (1280, "light")]:
                    found = Axe().run(seen.page).response["violations"]
                    bad = [(one["id"], one["nodes"][0]["html"][:200], one["nodes"][0]["failureSummary"]) for one in found if one["impact"] in ("serious", "critical")]
                    assert bad == [], f"{path} at {width}, {scheme}: {bad}"


def test_the_first_screen_has_the_verdict_what_to_do_and_since_when(browser, agent, simulate, tmp_path):  # noqa: F811
    """And a board that goes and comes back is seen by everybody who looks, with a script and without."""
    board = simulate("cyton", name="board")
    watch(agent, board, tmp_path)
    with contextlib.ExitStack() as tabs:
        looks = [tabs.enter_context(tab(browser, agent, *size)) for size in SIZES[:4]]
        looks.append(tabs.enter_context(tab(browser, agent, 390, 844, "light", script=False)))
        for look in looks:
            look.open()
            look.says("1 of 1 device streams, 8 of 8 channels are good", within=60)
        board.process.terminate()
        board.process.wait(20)
        for look in looks:
            look.says("Recording is in danger", "Plug it in", " for ")
            height = look.page.viewport_size["height"]
            verdict = look.page.locator(".verdict")
            for part in ("h1", ".sentences > li >> nth=0", ".sentences >> nth=0 >> .quiet >> nth=0"):
                box = verdict.locator(part).bounding_box()
                assert box and box["y"] >= 0 and box["y"] + box["height"] <= height, f"{part} is below the first screen: {box}"
            assert verdict.evaluate("element => element.getBoundingClientRect().width") > 300
        assert all(title.startswith("Recording is in danger") for title in [look.page.title() for look in looks])
        simulate("cyton", name="board")
        for look in looks:
            look.says("1 of 1 device streams", within=60)
            wait_until(lambda look=look: "absent" not in look.page.inner_text(".verdict"), 30, "the return")


def test_an_electrode_goes_bad_and_good_again(browser, agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", "--fault", "rail=3@15s..30s", name="board")
    watch(agent, board, tmp_path, page={"preview": True})
    with tab(browser, agent, 390, 844, "dark") as look, tab(browser, agent, 1280, 800, "light", script=False) as plain:
        look.open()
        plain.open()
        look.says("8 of 8 channels are good", within=60)
        see_the_signal(browser, agent)
        look.says("C3 of board is bad", within=60)
        # The worst of its reasons: it is at the rail, and does not change there.
        cell = look.page.locator("#device .cells li.large")
        assert "C3" in cell.inner_text() and "⊤" in cell.inner_text(), "colour is not the only sign"
        assert look.page.locator("#device .head g.large").count() == 1
        assert look.page.locator("#device .legend").inner_text() == "⊤ railed"
        plain.says("C3 of board is bad", within=10)
        look.says("8 of 8 channels are good", within=60)
        assert look.page.locator("#device .cells li:not(.ok)").count() == look.page.locator("#device .legend").count() == 0


def see_the_signal(browser, agent: Agent) -> None:
    """Where the configuration permits it, a device's page shows the signal, and goes on to."""
    with tab(browser, agent, 1280, 800, "dark") as screen:
        screen.open("card?kind=device&name=board")
        assert screen.page.locator("#preview figure").count() == 8 and "C3" in screen.page.inner_text("#preview")
        shape = screen.page.locator("#preview path").first.get_attribute("d")
        wait_until(lambda: screen.page.locator("#preview path").first.get_attribute("d") != shape, 15, "the next second of the signal")
        assert not screen.scrolls_sideways()


def focused(look: Tab) -> dict:
    return look.page.evaluate(
        "() => { const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();"
        " return {tag: at.tagName, text: at.textContent.trim() || at.name, outline: style.outlineStyle, width: box.width, top: box.top, bottom: box.bottom}; }")


def tab_to(look: Tab, text: str, most: int = 80) -> None:
    """Presses Tab until what has this text has the focus, and sees that each stop can be seen."""
    for _ in range(most):
        look.page.keyboard.press("Tab")
        at = focused(look)
        if at["tag"] == "BODY":
            # The round begins again, or a new page has just come.
            continue
        assert at["outline"] != "none" and at["width"] > 1 and at["bottom"] > 0, f"the focus cannot be seen at {at}"
        if text in at["text"]:
            return
    raise AssertionError(f"{text} is not reached by {most} times Tab")


def test_an_incident_is_acknowledged_and_silenced_by_keyboard_alone(browser, agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    watch(agent, board, tmp_path, respond={"notify": True})
    board.process.terminate()
    board.process.wait(20)
    opened = one(agent, alert="Gone")
    with tab(browser, agent, 1280, 800, "dark") as look:
        look.open()
        look.page.keyboard.press("Tab")
        assert focused(look)["text"] == "Skip to the content"
        tab_to(look, opened["id"][:8])
        look.page.keyboard.press("Enter")
        look.page.wait_for_url("**/incident?id=*")
        look.says("board is gone", "not yet")
        tab_to(look, "Acknowledge")
        look.page.keyboard.press("Enter")
        wait_until(lambda: incidents(agent, alert="Gone", state="acknowledged"), 15, "the acknowledgement")
        look.page.wait_for_url("**/incident?id=*")
        wait_until(lambda: look.page.locator("form[action$=ack]").count() == 0, 15, "the button's end")
        tab_to(look, "Silence")
        look.page.keyboard.press("Enter")
        look.page.get_by_text("Silenced until").wait_for()
    found = json.loads(agent.get("/api/v2/silences")[2])
    assert [one["status"]["state"] for one in found] == ["active"]
    matched = {one["name"]: (one["value"], one["isRegex"], one["isEqual"]) for one in found[0]["matchers"]}
    assert matched == {name: (value, False, True) for name, value in opened["labels"].items()}
    # A page of another origin cannot.
    form = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", "Origin": "http://evil.example"}
    assert agent.request("POST", f"/api/v1/incidents/{opened['id']}/silence", form)[0] == 403
    assert agent.request("POST", f"/api/v1/incidents/{opened['id']}/silence?for=never")[0] == 400


def test_an_incident_is_acknowledged_without_a_script(browser, agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    watch(agent, board, tmp_path)
    board.process.terminate()
    board.process.wait(20)
    opened = one(agent, alert="Gone")
    with tab(browser, agent, 390, 844, "light", script=False) as look:
        look.open()
        look.page.get_by_role("button", name="Acknowledge").first.click()
        wait_until(lambda: incidents(agent, alert="Gone", state="acknowledged"), 15, "the acknowledgement")
        look.says("acknowledged")
        look.page.get_by_role("link", name=opened["id"][:8]).click()
        look.page.wait_for_url("**/incident?id=*")
        assert "acknowledged" in look.page.inner_text("body") and look.page.get_by_role("button", name="Silence").count() == 0


def test_an_agent_that_does_not_answer_is_said_to_be_silent(browser, agent, simulate, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    watch(agent, board, tmp_path)
    look = Tab(browser, agent)
    try:
        look.open()
        look.says("1 of 1 device streams", within=60)
        assert look.page.locator("#stale").is_hidden()
        agent.stop()
        look.page.locator("#stale").wait_for(state="visible")
        time.sleep(1)
        assert "1 of 1 device streams" in look.page.inner_text(".verdict"), "what was seen before stays"
        agent.start()
        look.page.locator("#stale").wait_for(state="hidden")
    finally:
        look.close()
