"""The terminal view, in a terminal.

Independent: tmux, which has the terminal, presses the keys and reads the screen.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from conftest import PROGRAM, Agent, wait_until
from test_alerting import write_rules
from test_incidents import LOST, incidents, one
from test_simulate import simulate  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux")


class Terminal:
    """A terminal of 80 by 24 in which a command runs."""

    def __init__(self, folder, *command: str, columns: int = 80, lines: int = 24):
        self.socket, self.code = str(folder / "tmux"), folder / "code"
        # Its shell says how the command ended, and the screen is then as it was before.
        shell = " ".join(f"'{word}'" for word in command) + f"; echo $? > '{self.code}'; echo the end; sleep 60"
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), "sh", "-c", shell)

    def tmux(self, *words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "NO_COLOR")} | {"LC_ALL": "C.UTF-8"}
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *words], capture_output=True, text=True, timeout=20, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def says(self, text: str, within: float = 20) -> str:
        last = ""

        def there() -> bool:
            nonlocal last
            last = self.screen()
            return text in last

        try:
            wait_until(there, within, f"{text!r} on the screen")
        except AssertionError as late:
            raise AssertionError(f"{late}:\n{last}") from late
        return last

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, timeout=20)


@pytest.fixture
def terminal(tmp_path):
    made = []

    def make(*command: str, **size) -> Terminal:
        made.append(Terminal(tmp_path, *command, **size))
        return made[-1]

    yield make
    for one_of_them in made:
        one_of_them.close()


def top(agent: Agent, *options: str) -> list[str]:
    return [str(PROGRAM), "top", "--server", f"http://127.0.0.1:{agent.port}", *options]


def once(agent: Agent) -> tuple[int, str]:
    # The other name of the option is the same.
    command = [word.replace("--server", "--url") for word in top(agent, "--once")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "\x1b" not in done.stdout, "a file has no colours"
    return done.returncode, done.stdout + done.stderr


def test_a_board_is_watched_in_a_terminal(agent, simulate, terminal, tmp_path):  # noqa: F811
    board = simulate("cyton", name="board")
    agent.configure([{"serial": {"name": "board", "port": board.port, "protocol": "cyton"}}], history={"interval": "1s"},
                    alerts={"rule_files": [write_rules(tmp_path, LOST, interval="1s")]})
    agent.start()
    wait_until(lambda: "250 Hz of 250 Hz" in once(agent)[1] and once(agent)[0] == 0, 60, "a healthy board")
    screen = terminal(*top(agent))
    screen.says("All is well")
    shown = screen.says("streams")
    assert all(len(line) <= 80 for line in shown.splitlines()) and "q quit" in shown.splitlines()[23]
    # Opened, and back.
    screen.press("/")
    screen.press("b", "o", "a", "r", "d")
    screen.says("filter: board")
    screen.press("Enter", "Enter")
    assert "Quality" in screen.says("Lost in the last minute")
    # What has no room is below.
    screen.press(*["Down"] * 20)
    screen.says("RMS")
    screen.press("Escape")
    screen.says("only \"board\"")
    screen.press("Escape")
    # The plug is pulled while it is watched.
    board.process.terminate()
    board.process.wait(20)
    screen.says("Recording is in danger")
    screen.says("board: absent")
    code, text = once(agent)
    assert code == 2 and "Plug it in" in text, text
    opened = one(agent, alert="PlugPulled")
    screen.says(opened["id"][:8])
    screen.press("/")
    screen.press(*"incident")
    screen.press("Enter", "a")
    screen.says("acknowledged by")
    wait_until(lambda: [found["id"] for found in incidents(agent, state="acknowledged")] == [opened["id"]], 10, "the acknowledgement")
    # An agent that is gone is said, and what was seen stays.
    agent.stop()
    screen.says("no answer, this is what was seen before")
    assert "Recording is in danger" in screen.screen()
    screen.press("q")
    screen.says("the end")
    assert screen.code.read_text().strip() == "0"
    # The terminal is as it was before.
    assert "Recording" not in screen.screen()
    assert once(agent)[0] == 3


@pytest.mark.parametrize("columns,lines", [(20, 5), (80, 24), (200, 60)])
def test_every_size_is_drawn(agent, terminal, columns, lines):
    agent.configure([{"host": {}}], history={"interval": "1s"})
    agent.start()
    screen = terminal(*top(agent), columns=columns, lines=lines)
    # What the verdict is depends on how busy the machine is.
    screen.says("q quit")
    for keys in (["Enter"], ["Down"] * 5, ["Escape"], ["End"], ["Up"], ["s"], ["s"]):
        screen.press(*keys)
        time.sleep(0.2)
    screen.press("q")
    screen.says("the end")
    assert screen.code.read_text().strip() == "0"


def test_without_a_terminal_it_says_so(agent):
    agent.configure([])
    agent.start()
    done = subprocess.run(top(agent), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "--once" in done.stderr, done
