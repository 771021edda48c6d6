"""Streams of the Lab Streaming Layer: what liblsl sends is what the agent counts.

Independent: liblsl as pylsl brings it, and another version of it as mne-lsl does, in programs of their own, so that each
can be killed. Where a peer has to lie, it is played here over plain sockets, as the documents describe the wire.
"""
from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

import pytest

from conftest import PROGRAM, Agent, Scrape, wait_until

NUMBERS = ["float32", "double64", "int32", "int16", "int8", "int64"]

# What one outlet does, told as JSON. It waits until somebody reads, pushes, says "done", and stays.
OUTLET = r"""
import json, sys, time
order = json.loads(sys.argv[1])
import pylsl
info = pylsl.StreamInfo(order["name"], order.get("type", "EEG"), order.get("channels", 4), order.get("rate", 250),
                        order.get("format", "float32"), order.get("id", "id-" + order["name"]))
if order.get("unit"):
    channels = info.desc().append_child("channels")
    for k in range(order.get("channels", 4)):
        channel = channels.append_child("channel")
        channel.append_child_value("label", "C%d" % (k + 1))
        channel.append_child_value("unit", order["unit"])
        channel.append_child_value("type", "EEG")
outlet = pylsl.StreamOutlet(info)
exec(order.get("extra", ""))
print("ready", flush=True)
if order.get("count"):
    while not outlet.have_consumers():
        time.sleep(0.01)
text = order.get("format") == "string"
n, width = 0, order.get("channels", 4)
def push(stamp):
    global n
    value = ["m%d" % n + "x" * (300 if n % 7 == 0 else 0)] * width if text else [n % 100 - k for k in range(width)]
    outlet.push_sample(value, stamp)
    n += 1
rate = order.get("rate", 250) or 50
stamp = pylsl.local_clock()
holes = set(order.get("holes", []))
began = time.monotonic()
while n < order.get("count", 0):
    if n in order.get("hold", []):
        print("holding", flush=True)
        sys.stdin.readline()
        began = time.monotonic() - n / rate
    if n in holes:
        stamp += order["hole"]
        time.sleep(order.get("sleep", 0))
        began += order.get("sleep", 0)
    push(stamp)
    stamp += 1 / rate
    ahead = began + n / rate - time.monotonic()
    if ahead > 0 and not order.get("hurry"):
        time.sleep(ahead)
print("done", flush=True)
while order.get("forever"):
    push(pylsl.local_clock()); time.sleep(1 / rate)
sys.stdin.read()
"""

# The same of mne-lsl, a stream of each format in one program: chunks of an array, each with the time of its last sample.
CHUNKS = r"""
import json, sys, time
order = json.loads(sys.argv[1])
import numpy as np
from mne_lsl.lsl import StreamInfo, StreamOutlet, library_version, local_clock
width, rate, outlets = 4, 250, {}
for form in order["formats"]:
    called = "float64" if form == "double64" else form
    info = StreamInfo(form, "EEG", width, rate, called, "mne-" + form)
    info.set_channel_names(["C%d" % (k + 1) for k in range(width)])
    info.set_channel_types("eeg")
    info.set_channel_units("microvolts")
    outlets[called] = StreamOutlet(info)
marks = StreamOutlet(StreamInfo("string", "Markers", 1, 0, "string", "mne-marks"))
print("ready", flush=True)
while not (marks.has_consumers and all(outlet.has_consumers for outlet in outlets.values())):
    time.sleep(0.01)
for k in range(order["marks"]):
    marks.push_sample(["m%d" % k])
began = local_clock()
for k in range(0, order["count"], 25):
    for called, outlet in outlets.items():
        values = (np.arange(25 * width).reshape(25, width) % 100).astype(called)
        outlet.push_chunk(values, timestamp=began + (k + 24) / rate)
    time.sleep(max(0, began + (k + 25) / rate - local_clock()))
print("done %d" % library_version(), flush=True)
sys.stdin.read()
"""

# Streams that lose nothing, each odd in its own way; and one that loses. All at once, each in a thread of its own.
ODD = r"""
import sys, threading, time
import pylsl
RATE, COUNT = 250, 3000
def until(when):
    time.sleep(max(0, when - time.monotonic()))
def groups(push, began, size):
    for first in range(0, COUNT, size):
        until(began + (first + size) / RATE)
        for _ in range(size):
            push(0.0)
def stall(push, began):
    for k in range(COUNT):
        made = began + k / RATE
        until(max(made, began + 1500 / RATE + 0.6) if 1500 <= k < 1650 else made)
        push(0.0)
def stamped(push, began, stamp, rate=RATE):
    zero = pylsl.local_clock()
    for k in range(COUNT * rate // RATE):
        until(began + k / rate)
        told = stamp(k, zero)
        if told is not None:
            push(told)
swap = lambda k: k // 24 * 24 + (k + 12) % 24
HOW = {
    "grouped": lambda push, began: groups(push, began, 50),
    "seconds": lambda push, began: groups(push, began, 250),
    "stalled": stall,
    "milli": lambda push, began: stamped(push, began, lambda k, zero: (zero + k / RATE) * 1e3),
    "micro": lambda push, began: stamped(push, began, lambda k, zero: (zero + k / RATE) * 1e6),
    "swapped": lambda push, began: stamped(push, began, lambda k, zero: zero + swap(k) / RATE),
    "forth": lambda push, began: stamped(push, began, lambda k, zero: zero + k / RATE - (2 if 1000 <= k < 1500 else 0)),
    "slow": lambda push, began: stamped(push, began, lambda k, zero: zero + k / 125, 125),
    "lossy": lambda push, began: stamped(push, began, lambda k, zero: None if 1000 <= k < 1100 else zero + k / RATE),
}
outlets = {name: pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", 2, RATE, "float32", "id-" + name)) for name in HOW}
print("ready", flush=True)
while not all(outlet.have_consumers() for outlet in outlets.values()):
    time.sleep(0.01)
began = time.monotonic() + 0.2
def run(name):
    HOW[name](lambda stamp: outlets[name].push_sample([1.0, 2.0], stamp), began)
threads = [threading.Thread(target=run, args=[name]) for name in HOW]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done", flush=True)
sys.stdin.read()
"""

# An outlet that waits for its readers, and what that costs its program.
WAITS = r"""
import sys, time
import pylsl
info = pylsl.StreamInfo("waits", "EEG", 1000, 500, "float32", "id-waits")
outlet = pylsl.StreamOutlet(info, transport_flags=pylsl.transp_sync_blocking)
print("ready", flush=True)
value = [1.0] * 1000
longest = 0.0
for line in sys.stdin:
    for _ in range(int(line)):
        began = time.monotonic()
        outlet.push_sample(value)
        longest = max(longest, time.monotonic() - began)
    print("%d %.3f" % (outlet.have_consumers(), longest), flush=True)
"""

# An inlet that opens the stream and never reads, with as little room as can be asked for.
SLOW = r"""
import sys
import pylsl
(found,) = pylsl.resolve_byprop("name", sys.argv[1], timeout=20)
inlet = pylsl.StreamInlet(found, max_buflen=1)
inlet.open_stream()
print("open", flush=True)
sys.stdin.read()
"""


class Lab:
    """Outlets of one session, which nobody else sees."""

    def __init__(self, folder):
        self.folder = folder
        self.session = "test-" + uuid.uuid4().hex[:12]
        # How far streams can be seen, and what runs a program elsewhere.
        self.scope, self.within = "machine", []
        self.running: list[subprocess.Popen] = []

    def start(self, text: str, word: str, says: str, version: int = 110, more: str = "") -> subprocess.Popen:
        """A program of liblsl, which says a word when it is there."""
        file = self.folder / f"lsl-{version}-{len(self.running)}.cfg"
        tuning = "[tuning]\nUseProtocolVersion = 100\n" if version == 100 else ""
        file.write_text(
            f"[multicast]\nResolveScope = {self.scope}\n[lab]\nSessionID = {self.session}\n[log]\nlevel = -1\n{tuning}{more}"
        )
        program = subprocess.Popen(
            [*self.within, sys.executable, "-c", text, word],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "LSLAPICFG": str(file)},
        )
        self.running.append(program)
        assert self.says(program) == says
        return program

    def outlet(self, version: int = 110, more: str = "", **order) -> subprocess.Popen:
        return self.start(OUTLET, json.dumps(order), "ready", version, more)

    def chunks(self, version: int = 110, **order) -> subprocess.Popen:
        """Outlets of mne-lsl."""
        return self.start(CHUNKS, json.dumps(order), "ready", version)

    def many(self, count: int) -> None:
        """Outlets in one program."""
        extra = f"more = [pylsl.StreamOutlet(pylsl.StreamInfo('s%d' % k, 'EEG', 1, 10, 'float32', 'id%d' % k)) for k in range({count - 1})]"
        self.outlet(name="first", extra=extra)

    @staticmethod
    def says(program: subprocess.Popen, seconds: float = 60) -> str:
        assert select.select([program.stdout], [], [], seconds)[0], "the outlet says nothing"
        return program.stdout.readline().decode().strip()

    def go_on(self, program: subprocess.Popen) -> None:
        """Lets an outlet go on that holds."""
        program.stdin.write(b"\n")
        program.stdin.flush()

    def done(self, program: subprocess.Popen) -> None:
        assert self.says(program) == "done"

    @staticmethod
    def end(program: subprocess.Popen, with_signal=signal.SIGKILL) -> None:
        if program.poll() is None:
            program.send_signal(with_signal)
        program.communicate()

    def close(self) -> None:
        for program in self.running:
            self.end(program)


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    made.close()


def watch(agent: Agent, lab: Lab, **settings) -> Agent:
    agent.configure([{"lsl": {"name": "lsl", "session": lab.session, **settings}}])
    return agent.start()


def samples(seen, stream: str) -> float:
    return seen.value("neural_device_samples_total", device=f"lsl/{stream}")


def whole(seen, stream: str) -> None:
    """Nothing was missing, and no byte was without a meaning."""
    assert seen.value("neural_source_errors_total", source=f"lsl/{stream}") == 0
    for nothing in ("gaps", "missing_samples", "out_of_order_samples", "not_finite_values"):
        assert seen.value(f"neural_stream_{nothing}_total", stream=stream) == 0, nothing


@pytest.mark.parametrize("version", [110, 100])
def test_every_format_is_counted_to_the_sample(agent, lab, version):
    count = 700
    outlets = [lab.outlet(version, name=form, format=form, count=count) for form in NUMBERS]
    outlets.append(lab.outlet(version, name="string", type="Markers", format="string", rate=0, channels=2, count=50))
    watch(agent, lab)
    for outlet in outlets:
        lab.done(outlet)
    seen = agent.until(
        lambda s: all(samples(s, form) >= count for form in NUMBERS)
        and s.value("neural_stream_markers_total", stream="string") >= 50
    )
    for form in NUMBERS:
        assert samples(seen, form) == count, form
        whole(seen, form)
        assert seen.series("neural_stream_info", stream=form, format=form, content="EEG")
    assert seen.value("neural_stream_markers_total", stream="string") == 50
    whole(seen, "string")
    # The greeting is an answer of the outlet, and an event like any other.
    assert seen.value("neural_source_events_total", source="lsl/string") == 51
    assert seen.value("neural_streams", source="lsl") == 7
    # A stream without a rate has no share of it.
    assert not seen.series("neural_device_rate_ratio", device="lsl/string")
    assert seen.value("neural_stream_nominal_rate_hertz", stream="string") == 0


@pytest.mark.parametrize("version", [110, 100])
def test_another_liblsl_is_counted_to_the_sample(agent, lab, version):
    count = 500
    outlets = lab.chunks(version, formats=NUMBERS, count=count, marks=50)
    watch(agent, lab)
    assert lab.says(outlets) == "done 117", "not the version of liblsl that pylsl does not have"
    seen = agent.until(
        lambda s: all(samples(s, form) >= count for form in NUMBERS)
        and s.value("neural_stream_markers_total", stream="string") >= 50
    )
    for form in NUMBERS:
        assert samples(seen, form) == count, form
        whole(seen, form)
        assert seen.value("neural_stream_irregular_samples_total", stream=form) == 0
        assert seen.series("neural_stream_channel_info", stream=form, channel="4", label="C4", unit="microvolts")
    assert seen.value("neural_stream_markers_total", stream="string") == 50


def test_a_slow_reader_beside_the_agent_costs_it_nothing(agent, lab):
    count = 20_000
    outlet = lab.outlet(name="EEG", channels=64, rate=5000, count=count, hold=[0])
    lab.start(SLOW, "EEG", "open")
    watch(agent, lab)
    assert lab.says(outlet) == "holding"
    agent.until(lambda s: s.value("neural_source_up", source="lsl/EEG") == 1)
    lab.go_on(outlet)
    lab.done(outlet)
    seen = agent.until(lambda s: samples(s, "EEG") >= count)
    assert samples(seen, "EEG") == count
    whole(seen, "EEG")


def wait_until_still(agent: Agent, stream: str, seconds: float = 60) -> float:
    """The number of samples, when no more come."""
    last, since = -1.0, time.monotonic()
    end = since + seconds
    while time.monotonic() - since < 2:
        now = samples(agent.scrape(), stream)
        if now != last:
            last, since = now, time.monotonic()
        assert time.monotonic() < end, "the stream never ends"
        time.sleep(0.1)
    return last


@pytest.mark.alone
def test_what_a_slow_agent_misses_is_counted(agent, lab):
    """LSL drops what a reader does not fetch, and says nothing: timestamps tell the number."""
    count, width, rate = 60_000, 64, 2000
    outlet = lab.outlet(name="EEG", channels=width, rate=rate, format="double64", count=count, hold=[4000, count - 4000], hurry=True)
    watch(agent, lab)
    # The first samples are read; the agent sleeps while the others are pushed, in far less time than they stand for.
    agent.until(lambda s: samples(s, "EEG") == 4000)
    assert lab.says(outlet) == "holding"
    agent.process.send_signal(signal.SIGSTOP)
    try:
        lab.go_on(outlet)
        assert lab.says(outlet) == "holding"
    finally:
        agent.process.send_signal(signal.SIGCONT)
    # What comes after a gap says how long it was.
    wait_until_still(agent, "EEG")
    lab.go_on(outlet)
    lab.done(outlet)
    missing = "neural_stream_missing_samples_total"
    # What is missing is told once a second.
    seen = agent.until(lambda s: s.value(missing, stream="EEG") > 0 and samples(s, "EEG") + s.value(missing, stream="EEG") >= count)
    assert samples(seen, "EEG") + seen.value(missing, stream="EEG") == count
    assert seen.value("neural_stream_gaps_total", stream="EEG") >= 1
    assert seen.value("neural_source_errors_total", source="lsl/EEG") == 0


def test_a_stream_over_ipv6_alone(agent, lab):
    if not os.path.exists("/proc/net/if_inet6") or " lo" not in open("/proc/net/if_inet6").read():
        pytest.skip("this machine has no IPv6")
    outlet = lab.outlet(more="[ports]\nIPv6 = force\n", name="sixth", count=300)
    watch(agent, lab)
    lab.done(outlet)
    seen = agent.until(
        lambda s: samples(s, "sixth") >= 300 and s.series("neural_stream_clock_offset_seconds", stream="sixth"), 40
    )
    assert samples(seen, "sixth") == 300
    whole(seen, "sixth")


def listed(lab: Lab, *more: str, within=()) -> dict:
    command = [*within, str(PROGRAM), "devices", "--output", "json", "--root", str(lab.folder), "--session", lab.session, *more]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


class Machines:
    """Two machines in small: namespaces of the network with a cable between them."""

    def __init__(self):
        self.held = []
        for name in ("here", "there"):
            command = ["unshare", "--net", "--uts", "sh", "-c", f"hostname {name}; ip link set lo up; echo up; read end"]
            self.held.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            assert self.held[-1].stdout.readline() == b"up\n"
        here, there = (str(held.pid) for held in self.held)
        run = lambda *words: subprocess.run(words, check=True, capture_output=True)  # noqa: E731
        run("ip", "link", "add", "cable", "netns", here, "type", "veth", "peer", "name", "cable", "netns", there)
        for place, address in ((0, "10.98.76.1/24"), (1, "10.98.76.2/24")):
            run(*self.within(place), "ip", "address", "add", address, "dev", "cable")
            run(*self.within(place), "ip", "link", "set", "cable", "up")
        # The one is also in a network that everything goes to, as the office's; the cable is the laboratory's.
        for words in ("link add office type veth peer name socket", "link set socket up", "address add 10.98.77.1/24 dev office", "link set office up",
                      "route add default dev office"):
            run(*self.within(0), "ip", *words.split())
        # An address of IPv6 is used when nobody else turned out to have it.
        tentative = lambda: b"tentative" in run(*self.within(0), "ip", "-6", "address").stdout  # noqa: E731
        wait_until(lambda: not tentative(), what="addresses of IPv6")

    def within(self, place: int) -> list[str]:
        return ["nsenter", "--net", "--uts", "--target", str(self.held[place].pid)]

    def close(self) -> None:
        for held in self.held:
            held.communicate(b"\n")


@pytest.fixture
def machines():
    try:
        made = Machines()
    except (AssertionError, OSError, subprocess.CalledProcessError) as why:
        pytest.skip(f"no namespaces of the network can be made here, so streams of another machine were not seen: {why}")
    yield made
    made.close()


@pytest.mark.parametrize(
    ("more", "settings"),
    [
        ("", {"scope": "link"}),
        ("", {"scope": "site"}),
        ("", {"known_peers": ["10.98.76.2"]}),
        ("[ports]\nIPv6 = force\n", {"scope": "link"}),
        ("[ports]\nIPv6 = disable\n", {"scope": "link"}),
        ("[ports]\nIPv6 = disable\n", {"scope": "site"}),
    ],
    ids=["link", "site", "peer", "ipv6", "ipv4-link", "ipv4-site"],
)
def test_streams_of_another_machine(agent, lab, machines, more, settings):
    lab.scope, lab.within = "site", machines.within(1)
    outlet = lab.outlet(more=more, name="far", count=300)
    if "scope" in settings:
        (far,) = listed(lab, "--scope", settings["scope"], within=machines.within(0))["streams"]
        assert f'"scope":"{settings["scope"]}"' in far["config"]
        assert far["host"] == "there" and far["address"].startswith(("fe80::", "10.98.76.2")), far
    agent.configure([{"lsl": {"name": "lsl", "session": lab.session, **settings}}])
    agent.start(ready=False, command=[*machines.within(0), *agent.command()])
    lab.done(outlet)
    ask = [*machines.within(0), sys.executable, "-c", "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())"]

    def seen() -> Scrape:
        return Scrape(subprocess.run([*ask, f"http://127.0.0.1:{agent.port}/metrics"], capture_output=True, text=True, check=True).stdout)

    last = wait_until(lambda: (lambda s: samples(s, "far") >= 300 and s.series("neural_stream_clock_offset_seconds") and s)(seen()))
    assert samples(last, "far") == 300
    whole(last, "far")
    assert [s.labels["stream"] for s in last.series("neural_stream_info")] == ["far"]


def test_streams_are_listed_and_watched(lab):
    assert listed(lab) == {"devices": [], "streams": []}
    lab.outlet(name="EEG", channels=8, rate=250, id="amp-7")
    lab.outlet(name="marks", type="Markers", format="string", channels=1, rate=0)
    eeg, marks = listed(lab)["streams"]
    assert (eeg["name"], eeg["type"], eeg["channels"], eeg["format"], eeg["rate"]) == ("EEG", "EEG", 8, "float32", 250)
    assert (eeg["source_id"], eeg["host"], eeg["protocol"]) == ("amp-7", socket.gethostname(), "1.10")
    assert eeg["address"] in ("127.0.0.1", "::1")
    assert (marks["name"], marks["format"], marks["rate"]) == ("marks", "string", 0)
    assert listed(lab, "--no-streams") == {"devices": []}
    # What it suggests is a configuration.
    file = lab.folder / "config.yml"
    file.write_text("sources:\n  " + eeg["config"] + "\n")
    checked = subprocess.run([str(PROGRAM), "check", "--config", str(file)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    command = [str(PROGRAM), "devices", "--root", str(lab.folder), "--session", lab.session]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "EEG  EEG, 8 channels, float32, 250 Hz" in text and "marks  Markers, 1 channel, string, no rate" in text

    watch = subprocess.Popen([*command, "--watch", "--output", "json"], stdout=subprocess.PIPE, text=True)
    try:
        first = {json.loads(watch.stdout.readline())["stream"]["name"] for _ in range(2)}
        assert first == {"EEG", "marks"}
        third = lab.outlet(name="third")
        change = json.loads(watch.stdout.readline())
        assert (change["change"], change["stream"]["name"]) == ("appeared", "third")
        lab.end(third)
        change = json.loads(watch.stdout.readline())
        assert (change["change"], change["stream"]["name"]) == ("left", "third")
    finally:
        watch.terminate()
    assert watch.wait(10) == 0


def test_other_settings_are_the_same_stream(agent, lab):
    watch(agent, lab, mode="presence")
    first = lab.outlet(name="EEG", channels=8, rate=250)
    agent.until(lambda s: s.value("neural_stream_channels", stream="EEG") == 8)
    lab.end(first)
    # It is back before anybody noticed.
    lab.outlet(name="EEG", channels=16, rate=500)
    seen = agent.until(lambda s: s.value("neural_stream_channels", stream="EEG") == 16, 40)
    seen = agent.until(lambda s: s.value("neural_streams", source="lsl") == 1, 40)
    assert [s.labels["stream"] for s in seen.series("neural_stream_info")] == ["EEG"]
    assert seen.value("neural_stream_nominal_rate_hertz", stream="EEG") == 500


def test_a_new_id_at_each_start_keeps_the_name(agent, lab):
    watch(agent, lab, mode="presence", expect=["EEG"])
    wait_until(lambda: "an expected stream is missing" in agent.told(), 30)
    for start in range(3):
        outlet = lab.outlet(name="EEG", channels=8, rate=250 + start, id=f"made-up-{start}")
        agent.until(lambda s: s.value("neural_stream_nominal_rate_hertz", stream="EEG") == 250 + start, 40)
        lab.end(outlet)
    assert {s.labels["stream"] for s in agent.scrape().series("neural_stream_info")} <= {"EEG"}
    agent.says("an expected stream is present")
    assert "#2" not in agent.told()


@pytest.mark.parametrize("mode", ["presence", "full"])
def test_an_heir_of_another_shape_keeps_the_name(agent, lab, liar, mode):
    watch(agent, lab, mode=mode)
    first = lab.outlet(name="EEG", channels=8, rate=250)
    agent.until(lambda s: s.series("neural_stream_info", stream="EEG", format="float32"))
    # Another machine has one of this name now: who came after it would be told by its machine, too.
    liar("EEG")
    agent.until(lambda s: s.series("neural_stream_info", stream="EEG", machine="here"))
    lab.end(first)
    lab.outlet(name="EEG", type="EMG", channels=2, rate=500, format="int16")
    seen = agent.until(lambda s: s.series("neural_stream_info", format="int16") and s.value("neural_source_up", source="lsl/EEG") == 1, 40)
    what = ("stream", "machine", "content", "format")
    told = sorted(tuple(s.labels.get(label, "") for label in what) for s in seen.series("neural_stream_info"))
    # What the one before was is said no longer.
    assert told == [("EEG", "", "EMG", "int16"), ("EEG", "here", "EEG", "float32")]
    channels = {s.labels.get("machine", ""): s.value for s in seen.series("neural_stream_channels", stream="EEG")}
    assert channels == {"": 2, "here": 2}


def test_a_stream_that_streams(agent, lab):
    lab.outlet(name="EEG", rate=250, channels=8, unit="microvolts", forever=True)
    watch(agent, lab, expect=["EEG", "Gaze"])
    seen = agent.until(
        lambda s: s.value("neural_stream_sample_age_seconds_count", stream="EEG") > 50
        and s.series("neural_stream_rate_ratio", stream="EEG")
        and s.series("neural_channel_quality_ratio", device="lsl/EEG"),
        60,
    )
    assert seen.value("neural_source_up", source="lsl/EEG") == 1
    assert seen.value("neural_stream_present", stream="EEG") == 1
    assert [s.value for s in seen.series("neural_stream_present", stream="Gaze")] == [0]
    # One machine has one clock.
    assert abs(seen.value("neural_stream_clock_offset_seconds", stream="EEG")) < 0.01
    rtt = seen.value("neural_stream_clock_round_trip_seconds", stream="EEG")
    assert 0 < rtt < 0.1
    assert seen.value("neural_stream_clock_uncertainty_seconds", stream="EEG") == pytest.approx(rtt / 2)
    ages = {s.labels["le"]: s.value for s in seen.series("neural_stream_sample_age_seconds_bucket", stream="EEG")}
    count = seen.value("neural_stream_sample_age_seconds_count", stream="EEG")
    assert ages["1.0"] > 0.9 * count, ages
    assert seen.series("neural_stream_channel_info", stream="EEG", channel="8", label="C8", unit="microvolts")
    # No label says which start of the program it was.
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}", seen.text)


def test_stamps_of_another_clock_are_told(agent, lab):
    """The usual mistake, and a program's own clock that is a little ahead; one beside them stamps as it should."""
    lab.outlet(name="day", forever=True, extra="pylsl.local_clock = time.time")
    lab.outlet(name="own", forever=True, extra="right = pylsl.local_clock; pylsl.local_clock = lambda: right() + 7.5")
    lab.outlet(name="EEG", forever=True)
    watch(agent, lab)
    ahead, age = "neural_stream_future_samples_total", "neural_stream_sample_age_seconds_count"
    seen = agent.until(
        lambda s: all(s.value(ahead, stream=wrong) > 50 for wrong in ("day", "own")) and s.value(age, stream="EEG") > 50
    )
    assert seen.value(ahead, stream="EEG") == 0
    assert not seen.series(age, stream="day") and not seen.series(age, stream="own")


def test_holes_are_told_by_timestamps(agent, lab):
    holes = {"holes": [300, 600], "hole": 0.5, "count": 1000, "rate": 200}
    outlet = lab.outlet(name="holes", hurry=True, **holes)
    lab_pause = lab.outlet(name="pause", rate=100, count=400, holes=[200], hole=2.0, sleep=2.0)
    watch(agent, lab)
    lab.done(outlet)
    lab.done(lab_pause)
    seen = agent.until(lambda s: samples(s, "holes") >= 1000 and samples(s, "pause") >= 400)
    # Of each stream its state is told once a second.
    gaps = lambda s, stream: s.value("neural_stream_gaps_total", stream=stream)
    seen = agent.until(
        lambda s: gaps(s, "pause") >= 1 and gaps(s, "holes") >= 2 and s.value("neural_device_longest_gap_seconds", device="lsl/pause") > 1.5
    )
    assert samples(seen, "holes") == 1000 and samples(seen, "pause") == 400
    assert seen.value("neural_stream_gaps_total", stream="holes") == 2
    assert seen.value("neural_stream_missing_samples_total", stream="holes") == 200
    assert seen.value("neural_stream_gaps_total", stream="pause") == 1
    assert seen.value("neural_stream_missing_samples_total", stream="pause") == 200


def test_what_is_odd_is_not_lost(agent, lab):
    odd = lab.start(ODD, "odd", "ready")
    watch(agent, lab)
    lab.done(odd)
    counts = {"slow": 1500, "lossy": 2900}
    names = ["grouped", "seconds", "stalled", "milli", "micro", "swapped", "forth", "slow", "lossy"]
    seen = agent.until(lambda s: all(samples(s, name) >= counts.get(name, 3000) for name in names))
    seen = agent.until(lambda s: s.value("neural_stream_missing_samples_total", stream="lossy") > 0)
    time.sleep(2)
    seen = agent.scrape()
    of = lambda what, name: seen.value(f"neural_stream_{what}", stream=name)  # noqa: E731
    for name in names:
        lost = 100 if name == "lossy" else 0
        assert samples(seen, name) == counts.get(name, 3000), name
        assert (of("missing_samples_total", name), of("gaps_total", name)) == (lost, lost // 100), name
        assert of("wrong_timestamp_unit", name) == (name in ("milli", "micro")), name
    for name, least in [("grouped", 2000), ("seconds", 2000), ("stalled", 100)]:
        assert of("irregular_samples_total", name) > least, name
    assert of("out_of_order_samples_total", "swapped") == 125 and of("out_of_order_samples_total", "forth") == 1
    assert of("rate_ratio", "slow") == pytest.approx(0.5, abs=0.01)
    # 100 of the 2,000 to 2,500 periods that the rate is measured over.
    assert of("rate_ratio", "lossy") == pytest.approx(0.955, abs=0.01)
    for name in ("milli", "micro"):
        # What is not in seconds has no age and no rate.
        assert not seen.series("neural_stream_rate_ratio", stream=name)
        assert of("future_samples_total", name) < 60, name


def test_who_waits_for_its_readers_is_not_held_up(agent, lab):
    waits = lab.start(WAITS, "", "ready")

    def push(count: int) -> tuple[bool, float]:
        waits.stdin.write(b"%d\n" % count)
        waits.stdin.flush()
        read, longest = lab.says(waits).split()
        return read == "1", float(longest)

    watch(agent, lab)
    agent.until(
        lambda s: s.value("neural_stream_blocking", stream="waits") == 1
        and s.value("neural_source_up", source="lsl/waits") == 1
        and s.series("neural_stream_info", stream="waits", format="float32")
    )
    agent.process.send_signal(signal.SIGSTOP)
    try:
        # As much as no buffer of a socket holds.
        read, longest = push(10_000)
    finally:
        agent.process.send_signal(signal.SIGCONT)
    assert not read and longest < 1, longest
    seen = agent.scrape()
    assert not seen.series("neural_device_samples_total", device="lsl/waits")
    assert agent.told().count("it is watched without its samples") == 1
    agent.stop()
    # Who is asked to reads it.
    watch(agent, lab, read_blocking=True)
    agent.until(lambda s: s.value("neural_stream_blocking", stream="waits") == 1)
    wait_until(lambda: push(1)[0], 20)
    push(500)
    seen = agent.until(lambda s: samples(s, "waits") >= 500)
    whole(seen, "waits")


def test_an_outlet_that_copies_is_read(agent, lab):
    outlet = lab.outlet(name="EEG", forever=True)
    watch(agent, lab)
    seen = agent.until(lambda s: samples(s, "EEG") > 100 and s.series("neural_stream_blocking", stream="EEG"))
    assert seen.value("neural_stream_blocking", stream="EEG") == 0
    # It was asked beside its reader: that costs its program nothing, and its reader no sample.
    ticks = lambda: sum(map(int, open(f"/proc/{outlet.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    before = ticks()
    time.sleep(2)
    assert ticks() - before < os.sysconf("SC_CLK_TCK"), "a thread of its program goes round"
    later = agent.until(lambda s: samples(s, "EEG") > samples(seen, "EEG") + 200)
    whole(later, "EEG")


def test_an_outlet_is_killed_and_comes_back(agent, lab):
    watch(agent, lab, expect=["EEG"])
    missing = agent.until(lambda s: s.series("neural_stream_present", stream="EEG"))
    assert missing.value("neural_stream_present", stream="EEG") == 0
    # A slow start: the agent was there first.
    first = lab.outlet(name="EEG", count=300)
    lab.done(first)
    agent.until(lambda s: samples(s, "EEG") == 300 and s.value("neural_stream_present", stream="EEG") == 1)
    lab.end(first)
    agent.until(lambda s: s.value("neural_source_up", source="lsl/EEG") == 0)
    second = lab.outlet(name="EEG", count=200)
    lab.done(second)
    seen = agent.until(lambda s: samples(s, "EEG") >= 500)
    assert samples(seen, "EEG") == 500
    seen = agent.until(lambda s: s.value("neural_stream_reconnects_total", stream="EEG") == 1)
    assert seen.value("neural_source_up", source="lsl/EEG") == 1
    assert len(seen.series("neural_device_samples_total")) == 1, "a restart is no other stream"
    lab.end(second)
    agent.until(lambda s: s.value("neural_stream_present", stream="EEG") == 0 and not s.series("neural_stream_info", stream="EEG"), 40)


def test_a_refusal_is_no_return(agent, lab, liar):
    sample = b"\x02" + struct.pack("<dff", 1.0, 1.0, 2.0)
    first = liar("EEG")
    first.answer = first.greeting() + first.patterns() + sample
    watch(agent, lab)
    agent.until(lambda s: samples(s, "EEG") == 1)
    # Somebody listens where the stream was, and does not have it.
    first.answer = b"LSL/110 404 Not found\r\n\r\n"
    first.hang_up()
    # What asked whether it waits for readers, what read, and what was refused.
    wait_until(lambda: first.closed >= 3, what="a refusal")
    first.close()
    second = liar("EEG")
    second.answer = second.greeting() + second.patterns() + 2 * sample
    agent.until(lambda s: samples(s, "EEG") >= 3, 40)
    seen = agent.until(
        lambda s: s.value("neural_stream_reconnects_total", stream="EEG") >= 1 and s.value("neural_source_other_messages_total", source="lsl/EEG") >= 2
    )
    assert seen.value("neural_stream_reconnects_total", stream="EEG") == 1
    assert samples(seen, "EEG") == 3 and seen.value("neural_source_up", source="lsl/EEG") == 1
    # It is a link that ended, and no command of a device that failed.
    assert not seen.series("neural_device_error_messages_total", device="lsl/EEG") or seen.value(
        "neural_device_error_messages_total", device="lsl/EEG") == 0
    assert seen.value("neural_source_errors_total", source="lsl/EEG") == 0


def test_two_streams_of_one_name_are_two(agent, lab):
    outlets = [lab.outlet(name="twin", id=name, count=count) for name, count in [("a", 100), ("b", 250)]]
    watch(agent, lab)
    for outlet in outlets:
        lab.done(outlet)
    seen = agent.until(lambda s: samples(s, "twin") + samples(s, "twin#2") >= 350)
    assert sorted([samples(seen, "twin"), samples(seen, "twin#2")]) == [100, 250]
    seen = agent.until(lambda s: s.value("neural_streams_duplicate_name", source="lsl") == 2)
    assert seen.value("neural_streams_duplicate_id", source="lsl") == 0
    lab.outlet(name="other", id="a")
    agent.until(lambda s: s.value("neural_streams_duplicate_id", source="lsl") == 2)


def test_streams_of_one_name_keep_their_order(agent, lab):
    ids = ["third", "first", "second"]
    for channels, name in enumerate(ids, 1):
        lab.outlet(name="user1", id=name, channels=channels)
    found = listed(lab)["streams"]
    assert [one["source_id"] for one in found] == sorted(ids)
    assert len({one["config"] for one in found}) == 3 and all(one["source_id"] in one["config"] for one in found)
    for start in range(3):
        watch(agent, lab, mode="presence")
        seen = agent.until(lambda s: len(s.series("neural_stream_channels")) == 3)
        channels = [seen.value("neural_stream_channels", stream=name) for name in ("user1", "user1#2", "user1#3")]
        assert channels == [2, 3, 1], start
        agent.stop()
    # Each line finds exactly the one that it was printed for.
    file = lab.folder / "lines.yml"
    agent.configure([{"lsl": json.loads(one["config"].removeprefix("- lsl: "))} for one in found])
    assert file.parent.exists()
    agent.start()
    seen = agent.until(lambda s: len(s.series("neural_stream_channels")) == 3)
    told = {s.labels["source"]: s.value for s in seen.series("neural_stream_channels")}
    assert sorted(told.values()) == [1, 2, 3] and len(told) == 3, told


def test_more_streams_than_there_are_ports(agent, lab):
    # Each takes two of the 32 ports, one for each version of IP; the last ones listen anywhere.
    lab.many(40)
    watch(agent, lab, mode="presence")
    seen = agent.until(lambda s: s.value("neural_streams", source="lsl") == 40)
    assert len(seen.series("neural_stream_info")) == 40
    assert seen.value("neural_streams_over_limit", source="lsl") == 0


def test_a_look_is_no_account(agent, lab):
    lab.outlet(name="EEG", rate=200, channels=2, unit="uV", forever=True)
    watch(agent, lab, mode="decimate")
    seen = agent.until(
        lambda s: s.series("neural_stream_effective_rate_hertz", stream="EEG")
        and s.series("neural_channel_quality_ratio", device="lsl/EEG", channel="2"),
        40,
    )
    assert 100 < seen.value("neural_stream_effective_rate_hertz", stream="EEG") < 300
    assert not seen.series("neural_device_samples_total", device="lsl/EEG")
    assert not seen.series("neural_device_rate_hertz", device="lsl/EEG")
    assert seen.value("neural_source_up", source="lsl/EEG") == 1
    # Each look is a connection, and none of them a return.
    assert seen.value("neural_stream_reconnects_total", stream="EEG") == 0
    read = seen.value("neural_source_received_bytes_total", source="lsl/EEG")
    time.sleep(3)
    later = agent.scrape()
    # Between looks nothing is read, and what was seen stays.
    assert later.value("neural_source_received_bytes_total", source="lsl/EEG") == read
    assert later.series("neural_channel_quality_ratio", device="lsl/EEG", channel="2")
    assert later.series("neural_stream_effective_rate_hertz", stream="EEG")


def test_presence_opens_no_connection(agent, lab):
    outlet = lab.outlet(name="EEG", forever=True)
    markers = lab.outlet(name="marks", type="Markers", format="string", channels=1, rate=0, count=20)
    watch(agent, lab, mode="presence", streams=[{"type": "EEG"}, {"type": "Markers", "mode": "markers"}])
    lab.done(markers)
    seen = agent.until(
        lambda s: s.value("neural_stream_markers_total", stream="marks") == 20
        and s.series("neural_stream_clock_offset_seconds", stream="EEG")
    )
    assert seen.value("neural_source_up", source="lsl/EEG") == 1
    assert seen.value("neural_stream_channels", stream="EEG") == 4
    assert not seen.series("neural_device_samples_total", device="lsl/EEG")
    table = subprocess.run(["ss", "-tnp"], capture_output=True, text=True).stdout if os.path.exists("/usr/bin/ss") else ""
    ours = [line for line in table.splitlines() if f"pid={agent.process.pid}," in line and f"pid={outlet.pid}," in line]
    assert not ours, ours
    connections = open(f"/proc/{agent.process.pid}/net/tcp").read() + open(f"/proc/{outlet.pid}/net/tcp6").read()
    inodes = {os.readlink(f"/proc/{outlet.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{outlet.pid}/fd")}
    open_to_outlet = [
        line for line in connections.splitlines() if len(line.split()) > 9
        and line.split()[3] == "01" and f"socket:[{line.split()[9]}]" in inodes
    ]
    assert not open_to_outlet


def test_only_what_is_wanted_is_followed(agent, lab):
    outlets = [lab.outlet(name=name, id=name, count=0) for name in ("one", "two")]
    watch(agent, lab, streams=[{"source_id": "two"}])
    seen = agent.until(lambda s: s.series("neural_stream_info", stream="two") and s.value("neural_streams") == 2)
    assert not seen.series("neural_stream_info", stream="one")
    assert len(outlets) == 2


class Liar:
    """An outlet over plain sockets. It answers to questions as it is told to, on one of the known ports."""

    def __init__(self, lab: Lab, name: str, answer: bytes | None = None, ahead: float = 0.0, full: bytes | None = None,
                 info: str | None = None, channels: int = 2, version: str = "1.10", encoding: str = "utf-8"):
        self.encoding = encoding
        self.udp, self.tcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
        for port in range(16603, 16580, -1):
            try:
                self.udp.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
        else:
            raise AssertionError("no port is free")
        self.tcp.bind(("127.0.0.1", 0))
        self.tcp.listen()
        self.uid, self.ahead, self.answer, self.full = str(uuid.uuid4()), ahead, answer, full
        self.connections, self.closed, self.gone = 0, 0, False
        self.peers: list[socket.socket] = []
        self.info = info or (
            f"<?xml version='1.0'?><info><name>{name}</name><type>EEG</type><channel_count>{channels}</channel_count>"
            f"<channel_format>float32</channel_format><source_id>liar</source_id><nominal_srate>100</nominal_srate>"
            f"<version>{version}</version><created_at>1</created_at><uid>{self.uid}</uid>"
            f"<session_id>{lab.session}</session_id><hostname>here</hostname>"
            f"<v4data_port>{self.tcp.getsockname()[1]}</v4data_port>"
            f"<v4service_port>{self.udp.getsockname()[1]}</v4service_port><desc/></info>"
        )
        self.threads = [threading.Thread(target=to, daemon=True) for to in (self.tell, self.serve)]
        for thread in self.threads:
            thread.start()

    def tell(self) -> None:
        while not self.gone:
            if not select.select([self.udp], [], [], 0.1)[0]:
                continue
            words, sender = self.udp.recvfrom(4096)
            came = time.monotonic() + self.ahead
            lines = words.decode().split("\r\n")
            if lines[0] == "LSL:shortinfo":
                port, number = lines[2].split()
                self.udp.sendto(f"{number}\r\n{self.info}".encode(self.encoding), (sender[0], int(port)))
            elif lines[0] == "LSL:timedata":
                self.udp.sendto(f" {lines[1]} {came} {time.monotonic() + self.ahead}".encode(), sender)

    def greeting(self) -> bytes:
        return f"LSL/110 200 OK\r\nUID: {self.uid}\r\nByte-Order: 1234\r\nData-Protocol-Version: 110\r\n\r\n".encode()

    def patterns(self) -> bytes:
        return b"".join(b"\x02" + struct.pack("<dff", 123456.789, k, -k - 1) for k in (4, 2))

    def serve(self) -> None:
        while not self.gone:
            if select.select([self.tcp], [], [], 0.1)[0]:
                threading.Thread(target=self.talk, args=[self.tcp.accept()[0]], daemon=True).start()

    def talk(self, peer: socket.socket) -> None:
        with peer:
            asked = peer.recv(4096)
            if asked.startswith(b"LSL:fullinfo"):
                try:
                    peer.sendall(self.info.encode(self.encoding) if self.full is None else self.full)
                except OSError:
                    pass
                return
            self.connections += 1
            self.peers.append(peer)
            try:
                peer.sendall(self.greeting() + self.patterns() if self.answer is None else self.answer)
                peer.settimeout(60)
                while peer.recv(4096):
                    pass
            except OSError:
                pass
            self.closed += 1

    def hang_up(self) -> None:
        """Ends every connection."""
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.gone = True
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()


@pytest.fixture
def liar(lab):
    made = []

    def make(*what, **how):
        made.append(Liar(lab, *what, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()


def faults(seen, source: str, kind: str) -> float:
    return seen.value("neural_source_errors_total", source=source, reason=kind)


def test_liars_are_counted_and_left(agent, lab, liar):
    sample = b"\x02" + struct.pack("<dff", 1.0, 1.0, 2.0)
    count = liar("count", channels=3)
    stall = liar("stall")
    stall.answer = stall.greeting() + stall.patterns() + sample + sample[:7]
    endless = liar("endless", answer=b"x" * (8 << 20))
    old = liar("old", version="1.0", answer=b"\x7f\x01\x09\x04" + struct.pack("<I", 100_000_000) + b"<info>" * 100_000)
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><info><name>&b;</name></info>"
    liar("bomb", info=bomb)
    big = liar("big", full=b"<info>" + b" " * (100 << 20))
    honest = lab.outlet(name="honest", count=500)
    watch(agent, lab)
    lab.done(honest)
    seen = agent.until(
        lambda s: faults(s, "lsl/count", "bad_value") >= 2
        and faults(s, "lsl/stall", "truncated") >= 1
        and faults(s, "lsl/endless", "too_long") >= 2
        and faults(s, "lsl/old", "too_long") >= 2
        and faults(s, "lsl/big", "too_long") >= 1
        and faults(s, "lsl", "syntax") >= 2
        and samples(s, "honest") >= 500,
        60,
    )
    assert samples(seen, "honest") == 500
    whole(seen, "honest")
    wait_until(lambda: min(one.closed for one in (count, stall, endless, old)) >= 1, what="closed connections")
    # A liar is not asked in a hurry.
    assert max(one.connections for one in (count, endless, old)) < 30
    assert agent.rss() < 200 << 20
    assert big.connections >= 1 and agent.alive()


def test_a_clock_that_is_ahead_and_is_set(agent, lab, liar):
    ahead = liar("ahead", ahead=5.0)
    watch(agent, lab)
    offset = "neural_stream_clock_offset_seconds"
    seen = agent.until(lambda s: s.series(offset, stream="ahead"))
    doubt = seen.value("neural_stream_clock_uncertainty_seconds", stream="ahead")
    # What is added to its timestamps.
    assert abs(seen.value(offset, stream="ahead") + 5.0) <= doubt + 1e-4
    assert seen.value("neural_stream_clock_jumps_total", stream="ahead") == 0
    ahead.ahead = 7.5
    seen = agent.until(lambda s: s.value("neural_stream_clock_jumps_total", stream="ahead") >= 1, 40)
    seen = agent.until(lambda s: abs(s.value(offset, stream="ahead") + 7.5) < 0.1, 40)
    assert seen.value("neural_stream_clock_jumps_total", stream="ahead") <= 2


def test_what_can_be_read_is_kept(agent, lab, liar):
    """Descriptions of programs that write as their country does, and that nobody checked."""
    comma = liar("comma", version="1,1000000000000")
    latin = liar("M\u00fcller", encoding="latin-1")
    long = liar("long")
    channels = "".join(f"<channel><label>{label}</label><unit>{unit}</unit></channel>" for label, unit in (("x" * 200, "MicroVolts"), ("Cz", "\u00b5V")))
    long.full = long.info.replace("<desc/>", f"<desc><channels>{channels}</channels></desc>").encode("latin-1")
    for one in (comma, latin, long):
        one.answer = one.greeting() + one.patterns() + b"\x02" + struct.pack("<dff", 1.0, 1.0, 2.0)
    watch(agent, lab)
    seen = agent.until(lambda s: all(samples(s, name) == 1 for name in ("comma", "M\u00fcller", "long")))
    assert seen.series("neural_stream_channel_info", stream="long", channel="1", label="x" * 128, unit="MicroVolts")
    assert seen.series("neural_stream_channel_info", stream="long", channel="2", label="Cz", unit="\u00b5V")
    for one, field in ((comma, "<version>"), (latin, "<name>"), (long, "<label>")):
        place = one.udp.getsockname() if one is not long else one.tcp.getsockname()
        said = lambda: [line for line in agent.told().splitlines() if f"{place[0]}:{place[1]}" in line and field in line]
        wait_until(said, what=f"a word of {field}")
        assert len(said()) == 1, agent.told()
