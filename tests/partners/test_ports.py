"""Ports that come and go: the agent's ports as the kernel, socat and other programs see them.

Independent: pseudo-terminals of the kernel and of socat, locks of other processes, file modes.
"""
from __future__ import annotations

import grp
import json
import os
import pty
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
from pathlib import Path

import pytest

from conftest import PROGRAM, Agent, program, stage, wait_until

# Gone, and back, are seen within a second, as the figures that are printed show; a loaded machine may need more.
PATIENT = 4.0
STATES = {"absent", "ambiguous", "busy", "not_permitted", "failed", "open", "silent", "wrong_device"}


class Board:
    """A pseudo-terminal behind a link that stays the same, as udev makes for a device."""

    def __init__(self, link):
        self.link = link
        self.master, line = pty.openpty()
        tty.setraw(line)
        self.name = os.ttyname(line)
        os.close(line)
        new = f"{link}.new"
        os.symlink(self.name, new)
        os.rename(new, link)

    def write(self, data: bytes) -> None:
        os.write(self.master, data)

    def unplug(self) -> None:
        os.unlink(self.link)
        os.close(self.master)


def state(scrape, device="board") -> str:
    """The one state that is 1."""
    series = scrape.series("neural_port_state", device=device)
    assert {s.labels["state"] for s in series} in (set(), STATES), series
    on = [s.labels["state"] for s in series if s.value == 1]
    assert len(on) <= 1, on
    return on[0] if on else "none"


def up(scrape) -> float:
    return scrape.value("neural_source_up", source="board")


def seconds_until(agent, holds) -> float:
    """How long it takes until a scrape is as it should be."""
    began = time.monotonic()
    agent.until(holds)
    return time.monotonic() - began


def serial(link, **settings) -> list:
    return [{"serial": {"name": "board", "port": str(link), **settings}}]


def test_a_port_comes_goes_and_comes_back_under_another_number(agent):
    link = agent.path("board")
    agent.configure(serial(link))
    agent.start()
    agent.until(lambda s: state(s) == "absent")
    board = Board(link)
    back = seconds_until(agent, lambda s: up(s) == 1)
    board.write(stage("p") + b"\n")
    agent.until_all("board", 1)

    first, gone = board.name, []
    board.unplug()
    gone.append(seconds_until(agent, lambda s: up(s) == 0))
    # The number is taken by somebody else meanwhile.
    other = pty.openpty()
    again = Board(link)
    assert again.name != first
    backs = [back, seconds_until(agent, lambda s: up(s) == 1)]
    again.write(stage("p") + b"\n")
    seen = agent.until(lambda s: s.value("neural_source_events_total", source="board") == 2)
    assert seen.value("neural_port_disconnects_total", device="board", reason="unplugged") == 1
    assert seen.value("neural_port_reconnects_total", device="board", reason="unplugged") == 1
    assert seen.value("neural_port_reconnects_total", device="board") == 1

    # A link that leads elsewhere now is another device too, though the old line still stands.
    third = Board(link)
    agent.until(lambda s: s.value("neural_port_reconnects_total", device="board") == 2)
    third.write(stage("p") + b"\n")
    agent.until(lambda s: s.value("neural_source_events_total", source="board") == 3)
    os.close(again.master)
    third.unplug()
    gone.append(seconds_until(agent, lambda s: up(s) == 0))
    for fd in other:
        os.close(fd)
    print(f"gone after {max(gone):.2f} s, back after {max(backs):.2f} s")
    assert max(gone) < PATIENT and max(backs) < PATIENT, (gone, backs)
    agent.says("is gone: ")


def test_a_port_of_socat_that_ends(agent):
    link = agent.path("board")
    agent.configure(serial(link))
    agent.start()
    command = [program("socat"), "-", f"pty,raw,echo=0,link={link}"]
    for number in range(1, 4):
        socat = subprocess.Popen(command, stdin=subprocess.PIPE)
        agent.until(lambda s: up(s) == 1)
        socat.stdin.write(stage("p") + b"\n")
        socat.stdin.flush()
        agent.until(lambda s: s.value("neural_source_events_total", source="board") == number)
        socat.send_signal(signal.SIGKILL)
        socat.wait()
        agent.until(lambda s: up(s) == 0)
        # A program that is killed leaves its link.
        os.unlink(link)
    agent.until(lambda s: state(s) == "absent" and s.value("neural_port_disconnects_total", device="board") == 3)


@pytest.mark.alone
def test_a_port_that_is_gone_costs_nothing(agent):
    link = agent.path("board")
    agent.configure(serial(link))
    agent.start()
    board = Board(link)
    agent.until(lambda s: up(s) == 1)
    os.close(board.master)
    agent.until(lambda s: up(s) == 0)
    before = agent.cpu()
    time.sleep(3)
    used = agent.cpu() - before
    print(f"{used * 1000:.0f} ms of CPU in 3 s without the device")
    assert used < 0.6


LOCK = """
import fcntl, os, sys, termios, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
if sys.argv[2] == "lock":
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
if sys.argv[2] == "exclusive":
    fcntl.ioctl(fd, termios.TIOCEXCL)
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["lock", "exclusive", "open"])
def test_a_port_that_another_program_has_is_left_to_it(agent, how):
    """Root may open what is held by TIOCEXCL; that a program is seen to have it must be enough."""
    link = agent.path("board")
    board = Board(link)
    holder = subprocess.Popen([sys.executable, "-c", LOCK, link, how], stdout=subprocess.PIPE)
    try:
        holder.stdout.readline()
        agent.configure(serial(link))
        agent.start()
        seen = agent.until(lambda s: state(s) == "busy")
        assert up(seen) == 0
        wait_until(lambda: f"(pid {holder.pid})" in agent.told(), what="the holder's name")
    finally:
        holder.kill()
        holder.wait()
    agent.until(lambda s: state(s) == "open" and up(s) == 1)
    board.write(stage("p") + b"\n")
    agent.until_all("board", 1)
    board.unplug()


def test_a_port_that_may_not_be_opened():
    if os.getuid() != 0:
        pytest.skip("only root can run the agent as somebody else")
    nobody = 65534
    # Not below the folder of this session, which is root's alone.
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, nobody, nobody)
        agent = Agent(Path(folder))
        link = agent.path("board")
        board = Board(link)
        os.chown(board.name, 0, 20)
        os.chmod(board.name, 0o660)
        agent.configure(serial(link))
        program = shutil.copy(PROGRAM, folder)
        command = [program, "run", "--config", str(agent.file)]
        agent.start(command=command, user=nobody, group=nobody, extra_groups=[])
        try:
            agent.until(lambda s: state(s) == "not_permitted")
            wait_until(lambda: "usermod" in agent.told(), what="the advice")
            said = agent.told()
            dialout, user = grp.getgrgid(20).gr_name, pwd.getpwuid(nobody).pw_name
            assert f"sudo usermod -aG {dialout} {user}" in said, said
            assert "nogroup" not in said and "/etc/udev/rules.d/" not in said, said
            # As soon as it may, it does.
            os.chmod(board.name, 0o666)
            agent.until(lambda s: state(s) == "open")
            board.unplug()
        finally:
            agent.stop()


def test_a_recording_of_a_port_gives_the_same_numbers(agent, tmp_path):
    link = agent.path("board")
    agent.configure(serial(link, protocol="knight"))
    recording = str(tmp_path / "port.rec")
    board = Board(link)
    agent.start(command=[str(PROGRAM), "record", "--config", str(agent.file), "--output", recording])
    agent.until(lambda s: up(s) == 1)
    frames = [bytes([0xA0, n]) + bytes(18) + b"\xc0" for n in range(200)]
    del frames[100:103]
    for start in range(0, len(frames), 8):
        board.write(b"".join(frames[start : start + 8]))
        time.sleep(0.01)
    seen = agent.until(lambda s: s.value("neural_device_frames_total", device="board") == len(frames))
    assert seen.value("neural_device_lost_packets_total", device="board") == 3
    agent.stop()
    board.unplug()
    played = subprocess.run([str(PROGRAM), "replay", recording], capture_output=True, text=True, check=True)
    assert f'neural_device_frames_total{{device="board"}} {len(frames)}\n' in played.stdout
    assert 'neural_device_lost_packets_total{device="board"} 3\n' in played.stdout


def fake_port(root, name="ttyUSB0", serial="DN0096XY"):
    """A bridge as sysfs shows it."""
    place = root / "sys/devices/usb1/1-1.2"
    port = place / "1-1.2:1.0" / name
    node = port / "tty" / name
    for folder in (node, root / "sys/class/tty", root / "sys/bus/usb-serial/devices", root / "dev", root / "proc"):
        folder.mkdir(parents=True, exist_ok=True)
    (place / "idVendor").write_text("0403\n")
    (place / "idProduct").write_text("6015\n")
    (place / "product").write_text("FT231X USB UART\n")
    (place / "serial").write_text(serial + "\n")
    (port.parent / "bInterfaceNumber").write_text("00\n")
    (port / "latency_timer").write_text("16\n")
    (node / "device").symlink_to(port)
    (root / "sys/class/tty" / name).symlink_to(node)
    (root / "sys/bus/usb-serial/devices" / name).symlink_to(port)
    (root / "dev" / name).symlink_to("/dev/null")


def test_devices_are_listed_and_watched(tmp_path):
    command = [str(PROGRAM), "devices", "--no-streams", "--root", str(tmp_path)]
    (tmp_path / "sys/class/tty").mkdir(parents=True)
    none = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "no serial port" in none.stdout and "dmesg" in none.stdout
    none = subprocess.run([*command, "--output", "json"], capture_output=True, text=True, check=True)
    assert json.loads(none.stdout) == {"devices": []}

    watch = subprocess.Popen([*command, "--watch", "--output", "json"], stdout=subprocess.PIPE, text=True)
    try:
        fake_port(tmp_path)
        change = json.loads(watch.stdout.readline())
        assert change["change"] in ("appeared", "changed")
        assert change["device"]["node"].endswith("dev/ttyUSB0")
        (tmp_path / "sys/class/tty/ttyUSB0").unlink()
        while change["change"] != "left":
            change = json.loads(watch.stdout.readline())
    finally:
        watch.terminate()
    assert watch.wait(10) == 0

    (tmp_path / "sys/class/tty/ttyUSB0").symlink_to(tmp_path / "sys/devices/usb1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0")
    one = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "OpenBCI dongle" in one and "DN0096XY" in one and "16 ms" in one, one
    found = json.loads(subprocess.run([*command, "--output", "json"], capture_output=True, text=True, check=True).stdout)
    assert found["devices"][0]["usb"]["id"] == "0403:6015"
    # What it suggests is a configuration.
    file = tmp_path / "config.yml"
    file.write_text("sources:\n  " + found["devices"][0]["config"] + "\n")
    checked = subprocess.run([str(PROGRAM), "check", "--config", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_a_port_is_said_once(tmp_path):
    file = tmp_path / "config.yml"
    for wrong, why in [
        ({"name": "a"}, "says no port"),
        ({"name": "a", "usb": {}}, "any device would fit"),
        ({"name": "a", "port": "/dev/ttyUSB0", "usb": {"serial": "X"}}, "already given by its path"),
        ({"name": "a", "usb": {"id": "403:15"}}, "write it like \"0403:6015\""),
    ]:
        file.write_text(json.dumps({"sources": [{"serial": wrong}]}))
        checked = subprocess.run([str(PROGRAM), "check", "--config", str(file)], capture_output=True, text=True)
        assert checked.returncode == 2 and why in checked.stderr, (wrong, checked.stderr)


@pytest.fixture
def simulated(tmp_path):
    made = []

    def make(device: str, *options: str) -> str:
        link = str(tmp_path / f"{device}.port")
        made.append(subprocess.Popen([str(PROGRAM), "simulate", device, "--pty", link, *options], stdout=subprocess.DEVNULL))
        wait_until(lambda: os.path.islink(link), 30, f"the terminal of {device}")
        return link

    yield make
    for process in made:
        process.kill()
        process.wait()


@pytest.mark.parametrize("device,protocol,says", [("daisy", "cyton", "it has a Daisy"), ("cyton", "daisy", "it has no Daisy")])
def test_a_daisy_and_a_cyton_are_told_apart(agent, simulated, device, protocol, says):
    """Their frames are the same; the board's registers are not."""
    agent.configure(serial(simulated(device), protocol=protocol))
    agent.start()
    seen = agent.until(lambda s: state(s) == "wrong_device")
    assert seen.value("neural_device_messages_total", device="board") >= 2
    agent.says(says, f"write `protocol: {device}`")
    agent.configure(serial(agent.config["sources"][0]["serial"]["port"], protocol=device))
    agent.process.send_signal(signal.SIGHUP)
    agent.until(lambda s: state(s) == "open" and s.value("neural_device_samples_total", device="board") > 500)


@pytest.mark.parametrize("fault,says", [("off", "looking for a headset"), ("off@8s", "looking for a headset"), ("status-only", "status packets without raw values")])
def test_a_headset_that_talks_and_brings_no_samples_is_silent(agent, simulated, fault, says):
    agent.configure(serial(simulated("thinkgear", "--fault", fault), protocol="thinkgear", baud=57600))
    agent.start()
    if "@" in fault:
        agent.until(lambda s: state(s) == "open" and s.value("neural_device_samples_total", device="board") > 500)
    agent.until(lambda s: state(s) == "silent", 30)
    agent.says(f"reports `{says}`")
    time.sleep(7)
    assert state(agent.scrape()) == "silent", "and it stays so"


def test_what_a_dongle_without_a_headset_says_is_quoted(agent):
    link = agent.path("board")
    board = Board(link)
    agent.configure(serial(link, protocol="thinkgear", baud=57600))
    agent.start()
    agent.until(lambda s: state(s) == "open")
    for _ in range(9):
        board.write(bytes.fromhex("AAAA03D4010129"))
        time.sleep(1)
    agent.until(lambda s: state(s) == "silent")
    agent.says("`looking for a headset`")
    board.unplug()
