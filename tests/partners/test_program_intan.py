"""Intan RHX: what a program like it answers and hands on is what the agent counts.

Nothing independent can be installed. The simulator in `programs` was written from the program's source by a separate reading,
so this shows agreement with that, and not with the program: one client a port, a port that stops to listen when it has
one, answers without ends, a window that hangs.
"""
from __future__ import annotations

import socket
import struct
import time

import pytest

from conftest import Agent, wait_until
from programs import MAGIC, Rhx, block


@pytest.fixture
def rhx():
    program = Rhx()
    yield program
    program.hang_up()
    program.waveforms.hang_up()


def watch(agent: Agent, rhx: Rhx, **settings) -> None:
    source = {"address": f"127.0.0.1:{rhx.port}", "interval": "200ms", "retry": "500ms", "timeout": "1s", **settings}
    agent.configure([{"intan": source}])
    agent.start()


def state(seen) -> str:
    return next((s.labels["state"] for s in seen.series("neural_program_state", source="intan") if s.value == 1), "")


def test_what_it_does_is_told(agent: Agent, rhx: Rhx):
    watch(agent, rhx, expect="recording")
    seen = agent.until(lambda seen: state(seen) == "idle")
    assert seen.series("neural_program_info", program="intan", version="3.4.0")
    assert seen.value("neural_program_expected_state") == 0
    assert seen.value("neural_program_nominal_rate_hertz") == 20_000
    for mode, told, expected in [("Run", "acquiring", 0), ("Trigger", "waiting", 0), ("Record", "recording", 1)]:
        rhx.run(mode)
        seen = agent.until(lambda seen: state(seen) == told)
        assert seen.value("neural_program_expected_state") == expected
        assert seen.value("neural_program_state_changes_total", state=told) == 1
    rhx.mode = "Stop"
    seen = agent.until(lambda seen: state(seen) == "idle")
    assert seen.value("neural_program_state_changes_total", state="idle") == 2
    # It was connected to once, and asked for nothing but to tell.
    assert rhx.clients == 1 and all(command.startswith("get ") for command in rhx.asked)


def test_its_own_count_tells_whether_it_keeps_up(agent: Agent, rhx: Rhx):
    rhx.speed = 0.5
    rhx.run("Run")
    watch(agent, rhx)
    seen = agent.until(lambda seen: seen.series("neural_program_rate_ratio"), 30)
    assert seen.value("neural_program_rate_ratio") == pytest.approx(0.5, abs=0.05)
    assert seen.value("neural_program_samples_total") > 0


def test_a_port_that_another_client_has_is_left_alone(agent: Agent, rhx: Rhx):
    with socket.create_connection(("127.0.0.1", rhx.port)) as own:
        wait_until(lambda: rhx.status() == "Connected")
        watch(agent, rhx)
        seen = agent.until(lambda seen: seen.value("neural_source_poll_failures_total", source="intan") >= 2)
        assert seen.value("neural_source_up", source="intan") == 0 and rhx.clients == 1
        own.sendall(b"get runmode;")
        assert own.recv(100)
    # It listens again when somebody says so.
    wait_until(lambda: rhx.status() == "Disconnected")
    rhx.listen()
    agent.until(lambda seen: seen.value("neural_source_up", source="intan") == 1)
    # And after the agent has left.
    agent.stop()
    wait_until(lambda: rhx.status() == "Disconnected")


def test_a_connection_that_is_not_kept_leaves_the_port(agent: Agent, rhx: Rhx):
    watch(agent, rhx, keep=False)
    agent.until(lambda seen: state(seen) == "idle")
    wait_until(lambda: rhx.status() == "Disconnected")
    rhx.run("Record")
    rhx.listen()
    agent.until(lambda seen: state(seen) == "recording")


def test_a_window_that_hangs_is_waited_for(agent: Agent, rhx: Rhx):
    watch(agent, rhx)
    agent.until(lambda seen: state(seen) == "idle")
    rhx.hangs.set()
    agent.until(lambda seen: seen.value("neural_source_up", source="intan") == 0)
    asked = len(rhx.asked)
    rhx.run("Record")
    rhx.hangs.clear()
    agent.until(lambda seen: state(seen) == "recording")
    assert rhx.clients == 1 and len(rhx.asked) > asked
    rhx.hang_up()
    agent.until(lambda seen: seen.value("neural_source_up", source="intan") == 0)


def test_another_server_on_its_port_is_a_fault(agent: Agent, rhx: Rhx):
    rhx.says = b"x" * 10_000
    watch(agent, rhx)
    agent.until(
        lambda seen: seen.value("neural_source_errors_total", source="intan", reason="too_long") >= 1
        and seen.value("neural_source_up", source="intan") == 0
    )


def test_waveforms_are_counted_to_the_block(agent: Agent, rhx: Rhx):
    rhx.run("Run")
    sent = []

    def serve(client: socket.socket) -> None:
        first = 128 * 50
        for number in range(40):
            if number == 10:
                first += 128 * 7
            if number == 20:
                client.sendall(b"between")
            if number == 30:
                first = 0
            whole = block(first, 4)
            # In uneven pieces.
            client.sendall(whole[:1000])
            client.sendall(whole[1000:])
            first += 128
            sent.append(number)
            time.sleep(0.002)
        while client.recv(100):
            pass

    rhx.waveforms.serve = serve
    rhx.waveforms.listen()
    watch(agent, rhx, waveforms={"address": f"127.0.0.1:{rhx.waveforms.port}"})
    device = "intan:waveforms"
    seen = agent.until(lambda seen: seen.value("neural_device_samples_total", device=device) == 40 * 128)
    assert seen.value("neural_device_lost_packets_total", device=device) == 7
    assert seen.value("neural_device_channels", device=device) == 4
    assert seen.value("neural_device_nominal_rate_hertz", device=device) == 20_000
    assert seen.value("neural_source_error_bytes_total", source=device) == len(b"between")
    assert len(sent) == 40 and rhx.waveforms.clients == 1
    seen = agent.until(lambda seen: seen.value("neural_program_output_connected", output="waveforms") == 1)
    assert not seen.series("neural_program_output_connected", output="spikes")


def test_waveforms_are_left_alone_unless_asked_for(agent: Agent, rhx: Rhx):
    rhx.waveforms.listen()
    watch(agent, rhx)
    agent.until(lambda seen: state(seen) == "idle")
    with socket.create_connection(("127.0.0.1", rhx.waveforms.port)):
        wait_until(lambda: rhx.waveforms.status() == "Connected")
    assert rhx.waveforms.clients == 1


def test_a_stream_that_is_none_is_a_fault(agent: Agent, rhx: Rhx):
    def serve(client: socket.socket) -> None:
        client.sendall(struct.pack("<I", MAGIC) + bytes(3_000_000))
        while client.recv(100):
            pass

    rhx.waveforms.serve = serve
    rhx.waveforms.listen()
    watch(agent, rhx, waveforms={"address": f"127.0.0.1:{rhx.waveforms.port}", "rate": 30_000})
    source = "intan:waveforms"
    agent.until(lambda seen: seen.value("neural_source_error_bytes_total", source=source) > 2_900_000, 60)
    assert agent.alive()
