"""Clients that other people wrote: the agent must understand what they really send.

Independent: the packages `statsd` and `datadog` from the Python package index, unchanged.
"""
from __future__ import annotations

import socket

import pytest
import statsd as pypi_statsd
from datadog.dogstatsd import DogStatsd

from conftest import free_port


@pytest.fixture
def listening(agent):
    agent.udp, agent.tcp = free_port(socket.SOCK_DGRAM), free_port()
    agent.configure(
        [
            {
                "statsd": {
                    "name": "clients",
                    "listen": [
                        f"udp://127.0.0.1:{agent.udp}",
                        f"tcp://127.0.0.1:{agent.tcp}",
                        f"unixgram:{agent.path('statsd.gram')}",
                        f"unix:{agent.path('statsd.sock')}",
                    ],
                }
            }
        ]
    )
    return agent.start()


def speak(client) -> None:
    for _ in range(10):
        client.incr("packets")
    client.incr("packets", 5)
    client.gauge("queue", 7.5)
    client.gauge("queue", 2, delta=True)
    client.gauge("queue", -1.5, delta=True)
    client.gauge("below", -3)
    client.timing("latency", 320)
    client.timing("latency", 40.5)
    client.set("subjects", "one")
    client.set("subjects", "two")
    client.set("subjects", "one")
    with client.pipeline() as pipe:
        for _ in range(100):
            pipe.incr("packed")
        pipe.timing("packed_latency", 10)


@pytest.mark.parametrize("way", ["udp", "tcp", "unix"])
def test_statsd_of_the_package_index(listening, way):
    agent = listening
    if way == "udp":
        client = pypi_statsd.StatsClient("127.0.0.1", agent.udp, prefix=f"{way}.lab")
    elif way == "tcp":
        client = pypi_statsd.TCPStatsClient("127.0.0.1", agent.tcp, prefix=f"{way}.lab")
    else:
        client = pypi_statsd.UnixSocketStatsClient(agent.path("statsd.sock"), prefix=f"{way}.lab")
    speak(client)
    client.close()
    # A negative gauge is sent by this client as 0 and then -3.
    seen = agent.until(lambda s: s.value(f"{way}_lab_packed_latency_count") == 1)
    assert seen.value(f"{way}_lab_packets_total") == 15
    assert seen.value(f"{way}_lab_queue") == 8
    assert seen.value(f"{way}_lab_below") == -3
    assert seen.value(f"{way}_lab_latency_count") == 2
    assert seen.value(f"{way}_lab_latency_sum") == pytest.approx(0.3605)
    assert seen.value(f"{way}_lab_packed_total") == 100
    agent.until(lambda s: s.value(f"{way}_lab_subjects") == 2)
    assert seen.account("clients")["faults"] == 0


def test_sampled_counters_are_scaled(listening):
    agent = listening
    client = pypi_statsd.StatsClient("127.0.0.1", agent.udp)
    lines = []
    send = client._send
    client._send = lambda line: (lines.append(line), send(line))
    for _ in range(1000):
        client.incr("sampled", rate=0.25)
        client.timing("sampled_time", 100, rate=0.5)
    client.close()
    counted = sum(line.startswith("sampled:") for line in lines)
    timed = len(lines) - counted
    assert 150 < counted < 350 and 400 < timed < 600, "the client samples by chance"
    agent.until_all("clients", len(lines))
    seen = agent.scrape()
    assert seen.value("sampled_total") == counted * 4
    assert seen.value("sampled_time_count") == timed * 2
    assert seen.value("sampled_time_sum") == pytest.approx(timed * 2 * 0.1)


@pytest.mark.parametrize("way", ["udp", "unixgram", "buffered"])
def test_dogstatsd_of_the_package_index(listening, way):
    agent = listening
    options = {
        "disable_telemetry": True,
        "namespace": way,
        "constant_tags": ["rig:north"],
        "disable_buffering": way != "buffered",
    }
    if way == "unixgram":
        # Without a timeout this client drops what the socket cannot take at once.
        client = DogStatsd(socket_path=agent.path("statsd.gram"), socket_timeout=5, **options)
    else:
        client = DogStatsd(host="127.0.0.1", port=agent.udp, **options)
    for i in range(50):
        client.increment("windows", 2, tags=["stage:fft", f"half:{i % 2}"])
    client.decrement("level", 0)
    client.gauge("impedance", 4800.5, tags=["electrode:Cz", "half:1"])
    client.histogram("batch", 16, tags=["stage:fft"])
    client.histogram("batch", 32, tags=["stage:fft"])
    client.distribution("spread", 0.25)
    client.timing("took", 250)
    for subject in ("a", "b", "c", "a"):
        client.set("subjects", subject)
    with client.timed("timed"):
        pass
    client.flush()
    client.event("amplifier lost", "the cable\nwas pulled | twice", alert_type="error", tags=["rig:north"])
    client.service_check("amplifier.reachable", DogStatsd.WARNING, message="weak")
    client.flush()
    client.close_socket()

    # The service check is sent last, and every way of sending keeps the order.
    seen = agent.until(lambda s: any("amplifier" in line and "reachable" in line for line in s.text.splitlines()))
    for half in "01":
        assert seen.value(f"{way}_windows_total", rig="north", stage="fft", half=half) == 50
    assert seen.value(f"{way}_impedance", electrode="Cz", rig="north") == 4800.5
    assert seen.value(f"{way}_batch_count", stage="fft") == 2
    assert seen.value(f"{way}_batch_sum", stage="fft") == 48
    assert seen.value(f"{way}_spread_sum") == 0.25
    assert seen.value(f"{way}_took_sum") == pytest.approx(0.25)
    assert seen.value(f"{way}_timed_count") == 1
    assert seen.value("statsd_events_total", alert_type="error") == 1
    checks = [s for s in seen.text.splitlines() if "amplifier" in s and "reachable" in s]
    assert checks, seen.text
    agent.until(lambda s: s.value(f"{way}_subjects") == 3)
    account = seen.account("clients")
    assert account["faults"] == 0, seen.text


def test_a_mapping_file_names_and_labels(agent):
    port = free_port(socket.SOCK_DGRAM)
    (agent.folder / "mapping.yml").write_text(
        "mappings:\n"
        "- match: 'lab.*.stage.*.latency'\n"
        "  name: lab_stage_latency_seconds\n"
        "  observer_type: histogram\n"
        "  histogram_options: {buckets: [0.01, 0.1, 1]}\n"
        "  labels: {rig: $1, stage: $2}\n"
        "- match: 'noise\\.(.*)'\n"
        "  match_type: regex\n"
        "  action: drop\n"
        "  name: dropped\n"
    )
    agent.configure(
        [{"statsd": {"name": "mapped", "listen": f"udp://127.0.0.1:{port}", "mapping": "mapping.yml"}}]
    )
    agent.start()
    client = pypi_statsd.StatsClient("127.0.0.1", port)
    for ms in (5, 50, 500):
        client.timing("lab.north.stage.fft.latency", ms)
    client.incr("noise.anything")
    client.incr("last")
    client.close()
    seen = agent.until(lambda s: s.value("last_total") == 1)
    of = {"rig": "north", "stage": "fft"}
    for le, count in (("0.01", 1), ("0.1", 2), ("1.0", 3), ("+Inf", 3)):
        found = [s for s in seen.series("lab_stage_latency_seconds_bucket", **of) if float(s.labels["le"]) == float(le)]
        assert [s.value for s in found] == [count], (le, found)
    assert not [name for name in seen.samples if name.startswith(("noise", "dropped"))]
    # What a rule drops is dropped on purpose, and counted as that.
    assert seen.account("mapped") == {"events": 4, "faults": 0, "shed": 1, "drops": 0}, seen.account("mapped")
