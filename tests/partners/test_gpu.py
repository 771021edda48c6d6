"""Cards of NVIDIA, from the library of their driver to the scrape, compared with what NVIDIA's own Python bindings read
of the same library at the same moment.

Independent: nvidia-ml-py. The library is played, with the layouts of those bindings (`cards.py`); no driver was asked, and
what a real one answers when a card is lost is as NVIDIA documents it.
"""
from __future__ import annotations

import os
import re
import subprocess
import time

import pynvml
import pytest

from cards import Cards
from conftest import ROOT, Scrape, wait_until

LOST = pynvml.NVML_ERROR_GPU_IS_LOST
REFUSED = pynvml.NVML_ERROR_NOT_SUPPORTED
# A process that cannot be: Linux ends at 4194304.
NOBODY = 4194305
SOURCE = {"name": "cards", "interval": "100ms", "pcie": True, "amd": False}
# Idle, busy, slowed down by its power, and by heat.
MOMENTS = [1200.0, 1212.3, 1226.9, 1230.0, 100_027.5]


@pytest.fixture
def cards(tmp_path):
    folder = tmp_path / "library"
    folder.mkdir()
    made = Cards(folder)
    made.say("now 1212.3")
    yield made
    made.close()


def start(agent, cards):
    agent.configure([{"gpu": SOURCE}])
    return agent.start(cards.scripted)


def seen(scrape: Scrape, with_counters: bool = True) -> dict[tuple, float]:
    """What the agent tells of cards, by name and labels."""
    told = {}
    for name, samples in scrape.samples.items():
        if name.startswith("neural_gpu_") and (with_counters or not name.endswith("_total")):
            for sample in samples:
                labels = {k: v for k, v in sample.labels.items() if k != "source"}
                told[name, *sorted(labels.items())] = sample.value
    return told


def agree(agent, cards, with_counters: bool = True) -> dict[tuple, float]:
    """Waits until both read the same, and gives it. Nothing moves meanwhile: the time stands still."""
    wanted = {k: v for k, v in cards.read().items() if with_counters or not k[0].endswith("_total")}
    end = time.monotonic() + 20
    while (told := seen(agent.scrape(), with_counters)) != pytest.approx(wanted, rel=1e-9):
        if time.monotonic() > end:
            lines = [f"{k}: {told.get(k)} and not {wanted.get(k)}" for k in sorted({*told, *wanted}) if told.get(k) != wanted.get(k)]
            raise AssertionError("the agent does not tell what NVIDIA's bindings read:\n" + "\n".join(lines) + "\n" + agent.told())
        time.sleep(0.05)
    return wanted


def names(told: dict[tuple, float], gpu: str) -> set[str]:
    return {key[0] for key in told if ("gpu", gpu) in key}


def test_every_reading_is_what_nvidias_bindings_read(agent, cards):
    holder = f"process 0 compute {os.getpid()} 4096000 python"
    start(agent, cards)
    agree(agent, cards)
    cards.add("xid 0 13", holder)
    for moment in MOMENTS:
        cards.add(f"now {moment}")
        told = agree(agent, cards)
    listed = set(re.findall(r"`(neural_gpu_\w+)`", (ROOT / "METRICS.md").read_text()))
    assert len(listed) > 15 and names(told, "0") == listed, "the first card tells everything"
    refused = {"encoder_utilization_ratio", "decoder_utilization_ratio", "power_limit_watts", "energy_joules_total", "fan_speed_ratio",
               "memory_errors_total", "xid_errors_total", "pcie_received_bytes_per_second", "pcie_transmitted_bytes_per_second", "process_memory_bytes"}
    assert listed - names(told, "1") == {f"neural_gpu_{name}" for name in refused}, "what the second one refuses is absent"


def test_the_moments_differ(cards):
    """Otherwise the test above would show less than it says."""
    readings = []
    for moment in MOMENTS:
        cards.say(f"now {moment}")
        readings.append(cards.read())
    first = readings[0]
    still = [key for key in first if key[0] != "neural_gpu_info" and all(one[key] == first[key] for one in readings)]
    never = {"clock_setting", "sync_boost", "hardware_thermal", "power_brake", "display_clock_setting"}
    still = [key for key in still if not never & set(dict(key[1:]).values())]
    assert {key[0] for key in still} == {"neural_gpu_awake", "neural_gpu_memory_size_bytes", "neural_gpu_power_limit_watts",
                                         "neural_gpu_throttled"}, still
    # The second card is never hot.
    assert all(("gpu", "1") in key for key in still if key[0] == "neural_gpu_throttled"), still


GAUGES = {
    "nvmlDeviceGetUtilizationRates": {"utilization_ratio", "memory_controller_utilization_ratio"},
    "nvmlDeviceGetEncoderUtilization": {"encoder_utilization_ratio"},
    "nvmlDeviceGetDecoderUtilization": {"decoder_utilization_ratio"},
    "nvmlDeviceGetMemoryInfo_v2": {"memory_size_bytes", "memory_used_bytes"},
    "nvmlDeviceGetTemperature": {"temperature_celsius"},
    "nvmlDeviceGetPowerUsage": {"power_watts"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_watts"},
    "nvmlDeviceGetClockInfo": {"clock_hertz"},
    "nvmlDeviceGetNumFans": {"fan_speed_ratio"},
    "nvmlDeviceGetFanSpeed_v2": {"fan_speed_ratio"},
    "nvmlDeviceGetCurrentClocksThrottleReasons": {"throttled"},
    "nvmlDeviceGetPcieThroughput": {"pcie_received_bytes_per_second", "pcie_transmitted_bytes_per_second"},
}


def test_what_is_refused_is_absent_and_nothing_else(agent, cards):
    start(agent, cards)
    whole = agree(agent, cards, with_counters=False)
    # The last code is one that nobody's list has.
    codes = [REFUSED, pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_UNKNOWN, 4711]
    for turn, (function, missing) in enumerate(GAUGES.items()):
        cards.say("now 1212.3", f"answer 0 {function} {codes[turn % len(codes)]}")
        told = agree(agent, cards, with_counters=False)
        assert names(whole, "0") - names(told, "0") == {f"neural_gpu_{name}" for name in missing}, function
        assert names(told, "1") == names(whole, "1"), function


def test_holders_of_memory_by_name(agent, cards):
    cards.say(
        "now 1212.3",
        # It computes and draws: in both lists, with the same memory.
        f"process 0 compute {os.getpid()} 1000 /usr/bin/python",
        f"process 0 graphics {os.getpid()} 1000 /usr/bin/python",
        # Two of one name, and one whose memory the driver does not tell.
        f"process 0 compute {NOBODY} 300 /opt/engine/vllm",
        f"process 0 compute {NOBODY + 1} 40 /opt/other/vllm",
        f"process 0 graphics {NOBODY + 2} -1 /usr/lib/Xorg",
        f"process 1 graphics {NOBODY} 5 /opt/engine/vllm",
    )
    start(agent, cards)
    agree(agent, cards)
    held = {(s.labels["gpu"], s.labels["process"]): s.value for s in agent.scrape().samples["neural_gpu_process_memory_bytes"]}
    own = open(f"/proc/{os.getpid()}/comm").read().strip()
    assert held == {("0", own): 1000, ("0", "vllm"): 340, ("1", "vllm"): 5}


def xids(scrape: Scrape) -> dict[tuple[str, str], float]:
    return {(s.labels["gpu"], s.labels["xid"]): s.value for s in scrape.samples.get("neural_gpu_xid_errors_total", [])}


def test_errors_of_the_driver_are_counted_by_card_and_number(agent, cards):
    cards.say("now 1212.3", "xid 0 31")
    start(agent, cards)
    assert xids(agent.scrape()) == {}, "what was before is not counted"
    agree(agent, cards)
    # 999 is the driver's word for an error whose number it does not know.
    cards.add("xid 0 13", "xid 1 48", "xid 0 13", "xid 0 999")
    agent.until(lambda s: xids(s) == {("0", "13"): 2, ("0", "999"): 1, ("1", "48"): 1})
    agree(agent, cards)


@pytest.mark.parametrize("function", ["nvmlDeviceRegisterEvents", "nvmlDeviceGetSupportedEventTypes"])
def test_a_card_that_reports_no_errors_does_not_silence_the_other(agent, cards, function):
    cards.say("now 1212.3", f"answer 1 {function} {REFUSED}")
    start(agent, cards)
    agent.until(lambda s: s.series("neural_gpu_awake", gpu="1"))
    cards.add("xid 1 48", "xid 0 13")
    agent.until(lambda s: xids(s) == {("0", "13"): 1})


# Where a lost card is noticed: the driver hands it out no more; or does, and answers nothing; or remembers its name.
HANDED = "answer 1 nvmlDeviceGetHandleByIndex_v2 0"
WAYS = {"at-once": [], "handed-out": [HANDED], "remembered": [HANDED, "answer 1 nvmlDeviceGetUUID 0", "answer 1 nvmlDeviceGetName 0"]}


@pytest.mark.parametrize("way", WAYS)
def test_a_lost_card_is_gone_and_the_other_goes_on(agent, cards, way):
    start(agent, cards)
    before = agree(agent, cards)
    cards.say("now 1212.3", f"answer 1 * {LOST}", *WAYS[way])
    # What the card was called stays, so that one can tell which is gone, and what was counted; nothing else.
    gone = agent.until(lambda s: names(seen(s), "1") == {"neural_gpu_info"})
    assert names(seen(gone), "0") == names(before, "0")
    assert gone.value("neural_source_up", source="cards") == 1
    cards.add("now 1226.9", "xid 0 79")
    agent.until(lambda s: xids(s) == {("0", "79"): 1} and s.value("neural_gpu_utilization_ratio", gpu="0") == 0.89)
    # It was reset, and is there again with all it tells.
    cards.say("now 1226.9", "xid 0 79")
    agent.until(lambda s: names(seen(s), "1") == names(before, "1"))
    cards.add("xid 1 48")
    agent.until(lambda s: xids(s) == {("0", "79"): 1, ("1", "48"): 1})
    assert agent.alive()


def test_a_card_that_comes_later_is_read_and_listened_to(agent, cards):
    cards.say("now 1212.3", "cards 1")
    start(agent, cards)
    agree(agent, cards)
    cards.say("now 1212.3")
    agent.until(lambda s: s.series("neural_gpu_awake", gpu="1"))
    cards.add("xid 1 48")
    agent.until(lambda s: xids(s) == {("1", "48"): 1})


@pytest.mark.parametrize("lines", [[f"answer * * {pynvml.NVML_ERROR_DRIVER_NOT_LOADED}"], [f"answer * * {pynvml.NVML_ERROR_UNINITIALIZED}"],
                                   [f"answer 0 * {LOST}", f"answer 1 * {LOST}"]], ids=["unloaded", "uninitialized", "all-lost"])
def test_a_driver_that_goes_takes_its_cards_along_and_comes_back(agent, cards, lines):
    start(agent, cards)
    before = agree(agent, cards)
    cards.say("now 1212.3", *lines)
    gone = agent.until(lambda s: s.value("neural_source_up", source="cards") == 0)
    # What was counted stays; of what is now nothing.
    gone = agent.until(lambda s: all(key[0].endswith("_total") for key in seen(s)))
    assert {k: v for k, v in before.items() if k[0].endswith("_total")} == pytest.approx(seen(gone), rel=1e-9)
    # The log says why.
    wait_until(lambda: re.search(r"source is down.*NVIDIA", agent.told()), what="the reason")
    cards.say("now 1226.9")
    # It is looked for again after five minutes, or when one asks for it.
    agent.configure([{"gpu": {**SOURCE, "interval": "110ms"}}])
    assert agent.reload()[0] == 200
    agree(agent, cards)
    agent.until(lambda s: s.value("neural_source_up", source="cards") == 1)


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, 4711])
def test_a_driver_that_does_not_start_is_said_once(agent, cards, code):
    cards.say("now 1212.3", f"answer * nvmlInit_v2 {code}")
    start(agent, cards)
    wait_until(lambda: "the driver of NVIDIA does not answer" in agent.told(), 20, "the reason")
    assert seen(agent.scrape()) == {}
    assert agent.scrape().value("neural_source_up", source="cards") == 0


def test_a_driver_that_hangs_holds_nothing_up(agent, cards):
    start(agent, cards)
    agree(agent, cards)
    cards.add("answer 0 nvmlDeviceGetPowerUsage -1")
    agent.until(lambda s: s.value("neural_source_up", source="cards") == 0, 40)
    cards.say("now 1226.9")
    agree(agent, cards)
    cards.add("answer 0 nvmlDeviceGetPowerUsage -1")
    time.sleep(0.5)
    agent.stop()


def test_a_library_without_its_functions_is_no_driver(agent, cards):
    """As one of another age would be: it is there, and has none of the names."""
    library = cards.script.parent / "libnvidia-ml.so.1"
    library.unlink()
    subprocess.run(["cc", "-shared", "-o", str(library), "-x", "c", "/dev/null"], check=True)
    start(agent, cards)
    wait_until(lambda: "no graphics processor to read" in agent.told(), 20, "the reason")
    assert seen(agent.scrape()) == {}
