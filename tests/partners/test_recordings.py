"""Recordings that end badly: on a disk that is full, in a crash, in a file that is damaged.

Independent: the kernel and its tmpfs, and this file's own reading of what a recording holds.
"""
from __future__ import annotations

import signal
import struct
import subprocess
import time

from conftest import PROGRAM, Scrape, stage, unix
from test_stuck import LIBC, jsonl, small

HEADER = struct.Struct("<QQIII")
HOLE = 2**32 - 1


def pieces(recording: bytes) -> list[tuple[int, int, bytes]]:
    """Where each piece begins, its source, and its bytes; what broke off is left out."""
    found, at = [], recording.index(b"\n", recording.index(b"\n") + 1) + 1
    while at + HEADER.size <= len(recording):
        _, _, source, _, length = HEADER.unpack_from(recording, at)
        begin = at + HEADER.size
        if begin + length > len(recording):
            break
        found.append((at, source, recording[begin : begin + length]))
        at = begin + length
    return found


def record(agent, to: str) -> None:
    agent.start(command=[str(PROGRAM), "record", "--config", str(agent.file), "--output", to])


def replay(recording) -> subprocess.CompletedProcess:
    return subprocess.run([str(PROGRAM), "replay", str(recording)], capture_output=True, text=True, timeout=120)


def stages(text: str, **labels: str) -> float:
    return Scrape(text).value("neural_stage_duration_seconds_count", **labels)


def test_a_recording_on_a_full_disk_says_so_and_goes_on(agent, tmp_path):
    agent.configure([jsonl(agent)])
    with small(tmp_path / "disk", "2m") as disk:
        recording = disk / "recording"
        record(agent, str(recording))
        block, sent = (stage("before") + b"\n") * 500, 0
        with unix(agent.path("in.sock")) as client:
            def send(until, seconds: float = 60) -> None:
                nonlocal sent
                end = time.monotonic() + seconds
                while not until(agent.scrape()):
                    assert time.monotonic() < end, agent.told()
                    client.sendall(block)
                    sent += 500
                    time.sleep(0.01)

            send(lambda s: s.value("neural_agent_recording_failing") == 1)
            agent.says("cannot write the recording", "free disk space")
            # More than memory holds meanwhile.
            send(lambda s: s.value("neural_agent_recording_dropped_reads_total") > 5)
            # Everything is counted, whatever becomes of the recording.
            agent.until_all("in", sent)
            assert LIBC.mount(b"none", str(disk).encode(), b"tmpfs", 32, b"size=256m") == 0
            agent.until(lambda s: s.value("neural_agent_recording_failing") == 0)
            client.sendall((stage("after") + b"\n") * 100)
            seen = agent.until(lambda s: s.account("in")["events"] >= sent + 100)
        agent.says("the recording continues")
        lost = seen.value("neural_agent_recording_dropped_reads_total")
        agent.process.send_signal(signal.SIGTERM)
        # Something is missing in it, and that is no success.
        assert agent.process.wait(20) != 0 and "missing in it" in agent.told(), agent.told()
        played = replay(recording)
        held = pieces(recording.read_bytes())
    assert played.returncode == 0, played.stderr
    assert f"warning: {lost:.0f} pieces are missing" in played.stderr, played.stderr
    missing = sum(struct.unpack("<IIQQ", piece)[2] for _, source, piece in held if source == HOLE)
    assert missing == lost
    there = sum(piece.count(b"\n") for _, source, piece in held if source != HOLE)
    assert 0 < there - 100 < sent and stages(played.stdout, pipeline="after") == 100
    # A line that a hole cuts is no event.
    assert there - 2 <= stages(played.stdout) <= there


def test_a_recording_whose_agent_was_killed_is_played(agent, tmp_path):
    agent.configure([jsonl(agent)])
    recording = tmp_path / "recording"
    record(agent, str(recording))
    with unix(agent.path("in.sock")) as client:
        client.sendall((stage("early") + b"\n") * 20)
        agent.until_all("in", 20)
        time.sleep(1.5)
        # It is in the file within a second, and so is what came in the middle of a flood, but for the last moment.
        client.sendall((stage("flood") + b"\n") * 50_000)
        agent.until(lambda s: s.account("in")["events"] > 20_000)
        agent.process.send_signal(signal.SIGKILL)
        agent.process.wait()
    played = replay(recording)
    assert played.returncode == 0, played.stderr
    assert stages(played.stdout, pipeline="early") == 20
    there = sum(piece.count(b"\n") for _, _, piece in pieces(recording.read_bytes()))
    assert there >= 20 and stages(played.stdout) == there
    # As a crash of the machine leaves it: in the middle of a piece.
    whole = recording.read_bytes()
    *_, (last, _, _) = pieces(whole)
    recording.write_bytes(whole[: last + HEADER.size + 1])
    played = replay(recording)
    assert played.returncode == 0 and f"begins at byte {last};" in played.stderr, played.stderr
    assert stages(played.stdout, pipeline="early") == 20


def test_a_recording_that_is_damaged_is_played_up_to_the_damage(agent, tmp_path):
    agent.configure([jsonl(agent)])
    recording = tmp_path / "recording"
    record(agent, str(recording))
    for turn in range(5):
        with unix(agent.path("in.sock")) as client:
            client.sendall((stage(f"p{turn}") + b"\n") * 10)
        agent.until_all("in", 10 * (turn + 1))
    agent.stop()
    whole = recording.read_bytes()
    assert stages(replay(recording).stdout) == 50
    at = next(begin for begin, _, piece in pieces(whole) if b'"p3"' in piece)
    recording.write_bytes(whole[: at + 24] + b"\xff\xff\xff\xff" + whole[at + 28 :])
    played = replay(recording)
    assert played.returncode != 0
    assert stages(played.stdout) == 30 and stages(played.stdout, pipeline="p2") == 10
    assert f"at byte {at}: the file is damaged" in played.stderr, played.stderr
    assert f"the {len(whole) - at} bytes from there on are not read" in played.stderr, played.stderr
    # So does a source that plays it.
    agent.configure([{"replay": {"name": "again", "file": str(recording), "speed": 0}}])
    agent.start()
    agent.until(lambda s: s.value("neural_stage_duration_seconds_count") == 30)
    agent.says(f"at byte {at}: the file is damaged")
