"""Start, reload, stop, and what outlives them, seen from outside.

Independent: nothing but the kernel (signals, sockets, /proc); senders are plain sockets.
"""
from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import PROGRAM, Scrape, free_port, stage, tcp, udp, unix, wait_until

MISTAKES = """\
listen: 127.0.0.1
lmits: {series: 10}
log:
  level: loud
  format: yaml
limits:
  series: 0
  series_per_famly: 7
histograms:
  neural_stage_duration_seconds: [1, 0.5]
intervals:
  system: soon
sources:
  - jsonl:
      name: a
      listen: udp://localhost:9000
  - statsd:
      name: a
      maping: x.yml
      gauges: sometimes
  - telepathy:
      name: b
"""


def check(file, *more: str):
    return subprocess.run([str(PROGRAM), "check", "--config", str(file), *more], capture_output=True, text=True, timeout=30)


def test_every_mistake_is_told_at_once(tmp_path):
    file = tmp_path / "config.yml"
    file.write_text(MISTAKES)
    done = check(file)
    assert done.returncode == 2, done
    said = done.stdout + done.stderr
    print(said)
    # Each with its line, and for words that are nearly right, the right one.
    for line, word in [
        (1, "127.0.0.1"),
        (2, "limits"),
        (4, "loud"),
        (5, "yaml"),
        (7, "0"),
        (8, "series_per_family"),
        (10, ""),
        (12, "soon"),
        (16, "localhost"),
        (19, "mapping"),
        (20, "sometimes"),
        (21, "telepathy"),
    ]:
        here = [text for text in said.splitlines() if f"config.yml:{line}:" in text]
        assert here, f"nothing is said about line {line}:\n{said}"
        assert word in " ".join(here) or word in said, (line, word, here)
    # The agent does not start on it, and says the same.
    started = subprocess.run([str(PROGRAM), "run", "--config", str(file)], capture_output=True, text=True, timeout=30)
    assert started.returncode == 2
    assert "series_per_family" in started.stderr


def test_what_check_prints_is_a_configuration(agent):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    printed = check(agent.file, "--print")
    assert printed.returncode == 0, printed.stderr
    again = agent.folder / "again.yml"
    again.write_text(printed.stdout)
    second = check(again, "--print")
    assert second.returncode == 0, second.stderr
    assert second.stdout == printed.stdout


def test_bad_usage(tmp_path):
    for wrong in (["--nonsense"], ["replay"], ["check", "--config", str(tmp_path / "none.yml")], ["run", "--listen", "here"]):
        done = subprocess.run([str(PROGRAM), *wrong], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and done.stderr, (wrong, done)
    for right in (["--help"], ["--version"], ["metrics"], ["man"], ["completions", "bash"], ["schema", "config"], ["schema", "events"]):
        done = subprocess.run([str(PROGRAM), *right], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout and not done.stderr, (right, done)
    assert json.loads(subprocess.run([str(PROGRAM), "schema", "config"], capture_output=True).stdout)["title"]


@pytest.mark.parametrize("ask", ["post", "sighup"])
def test_a_flood_during_100_reloads_counts_to_the_unit(agent, ask):
    port, gram = free_port(), free_port(socket.SOCK_DGRAM)
    mapping = agent.folder / "mapping.yml"
    rules = [
        "mappings:\n- {match: 'flood.*', name: flood, labels: {way: $1}}\n",
        "mappings:\n- {match: 'other.*', name: other}\n- {match: 'flood.*', name: flood, labels: {way: $1}}\n",
    ]
    mapping.write_text(rules[0])
    steady = [
        {"jsonl": {"name": "json", "listen": [f"unix:{agent.path('json.sock')}", f"tcp://127.0.0.1:{port}"]}},
        {
            "statsd": {
                "name": "statsd",
                "listen": [f"udp://127.0.0.1:{gram}", f"unixgram:{agent.path('statsd.gram')}"],
                "mapping": "mapping.yml",
            }
        },
    ]
    passing = {"jsonl": {"name": "passing", "listen": f"unix:{agent.path('passing.sock')}"}}
    agent.configure(steady)
    agent.start()
    stop = threading.Event()
    sent = dict.fromkeys(("unix", "reconnecting", "tcp", "udp", "unixgram"), 0)

    def streaming(way: str, connect, lines: int) -> None:
        block = (stage(way) + b"\n") * lines
        client = connect()
        while not stop.is_set():
            client.sendall(block)
            sent[way] += lines
            if way == "reconnecting":
                client.close()
                client = connect()
            time.sleep(0.002)
        client.close()

    def sending(way: str, client) -> None:
        with client:
            while not stop.is_set():
                for _ in range(20):
                    client.send(b"flood.%s:1|c" % way.encode())
                    sent[way] += 1
                time.sleep(0.002)

    senders = [
        threading.Thread(target=streaming, args=("unix", lambda: unix(agent.path("json.sock")), 50)),
        threading.Thread(target=streaming, args=("reconnecting", lambda: unix(agent.path("json.sock")), 5)),
        threading.Thread(target=streaming, args=("tcp", lambda: tcp(port), 50)),
        threading.Thread(target=sending, args=("udp", udp(gram))),
        threading.Thread(target=sending, args=("unixgram", unix(agent.path("statsd.gram"), socket.SOCK_DGRAM))),
    ]
    for sender in senders:
        sender.start()
    try:
        for turn in range(1, 101):
            agent.config["sources"] = steady + [passing] * (turn % 2)
            agent.config["limits"] = {"line_bytes": 65_536 + turn % 3 // 2}
            mapping.write_text(rules[turn % 2])
            agent.write()
            if ask == "post":
                status, said = agent.reload()
                assert status == 200, said
                time.sleep(0.02)
                # A source that is new is open when the answer comes.
                if turn % 2:
                    with unix(agent.path("passing.sock")) as client:
                        client.sendall(stage("passing") + b"\n")
            else:
                agent.process.send_signal(signal.SIGHUP)
                agent.until(lambda s: s.value("neural_agent_config_reloads_total") >= turn)
    finally:
        stop.set()
        for sender in senders:
            sender.join()
    json_sent = sent["unix"] + sent["reconnecting"] + sent["tcp"]
    account = agent.until_all("json", json_sent)
    assert account["events"] == json_sent, account
    account = agent.until_all("statsd", sent["udp"] + sent["unixgram"])
    assert account["faults"] == account["shed"] == 0, account
    seen = agent.scrape()
    for way in ("unix", "reconnecting", "tcp"):
        assert seen.value("neural_stage_duration_seconds_count", pipeline=way) == sent[way], way
    assert seen.value("flood_total", way="unixgram") == sent["unixgram"]
    assert seen.value("flood_total", way="udp") == sent["udp"] - account["drops"]
    if ask == "post":
        assert seen.value("neural_stage_duration_seconds_count", pipeline="passing") == 50
    assert seen.value("neural_agent_config_reloads_total") == 100
    assert seen.value("neural_agent_config_reload_failures_total") == 0
    assert seen.value("neural_source_up", source="passing") == 0


def test_a_bad_new_configuration_is_refused(agent):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    agent.start()
    client = unix(agent.path("in.sock"))
    client.sendall(stage("p") + b"\n")
    agent.until_all("in", 1)
    before = agent.scrape().value("neural_agent_config_hash")

    good = agent.config
    taken = socket.create_server(("127.0.0.1", 0))
    taken_port = taken.getsockname()[1]
    wrongs = [
        ({**good, "sorces": []}, "sources"),
        ({**good, "sources": good["sources"] + [{"jsonl": {"name": "in"}}]}, "in"),
        (
            {**good, "sources": [{"jsonl": {"name": "other", "listen": f"tcp://127.0.0.1:{taken_port}"}}]},
            str(taken_port),
        ),
        ({**good, "sources": [{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{free_port()}", "mapping": "none.yml"}}]}, "none.yml"),
    ]
    for count, (wrong, word) in enumerate(wrongs, 1):
        agent.write(wrong)
        status, said = agent.reload()
        assert status == 500 and word in said, (status, said)
        client.sendall(stage("p") + b"\n")
        agent.until_all("in", 1 + count)
    seen = agent.scrape()
    assert seen.value("neural_agent_config_reload_failures_total") == len(wrongs)
    assert seen.value("neural_agent_config_last_reload_successful") == 0
    assert seen.value("neural_agent_config_hash") == before
    agent.write({**good, "limits": {"series": 9_999}})
    status, said = agent.reload()
    assert status == 200, said
    client.sendall(stage("p") + b"\n")
    agent.until_all("in", 2 + len(wrongs))
    seen = agent.scrape()
    assert seen.value("neural_agent_config_hash") != before
    assert seen.value("neural_agent_series_limit") == 9_999
    assert seen.value("neural_agent_config_last_reload_successful") == 1
    taken.close()


def test_the_address_can_move(agent):
    agent.configure([])
    agent.start()
    old = agent.port
    agent.port = free_port()
    agent.config["listen"] = f"127.0.0.1:{agent.port}"
    agent.write()
    agent.process.send_signal(signal.SIGHUP)
    wait_until(agent.is_ready, 10, "an answer at the new address")
    with pytest.raises(OSError):
        wait_until(lambda: tcp(old).close(), 5)


@pytest.mark.parametrize("kind", ["unix", "unixgram"])
def test_a_socket_left_by_a_crash_is_no_obstacle(agent, kind):
    place = agent.path("in.sock")
    agent.configure([{"jsonl": {"name": "in", "listen": f"{kind}:{place}"}}])
    agent.start()
    agent.process.send_signal(signal.SIGKILL)
    agent.process.wait()
    assert os.path.exists(place)
    agent.start()
    with unix(place, socket.SOCK_STREAM if kind == "unix" else socket.SOCK_DGRAM) as client:
        client.send(stage("p") + b"\n")
    agent.until_all("in", 1)
    agent.stop()
    assert not os.path.exists(place), "a graceful stop takes its socket away"


def test_a_file_in_its_place_is_not_touched(agent):
    place = Path(agent.path("in.sock"))
    place.write_text("precious")
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{place}"}}])
    agent.start(ready=False)
    assert agent.process.wait(10) == 1
    agent.says(str(place))
    assert place.read_text() == "precious"


def test_a_second_agent_on_the_same_places_is_refused(agents):
    first, second = agents("first"), agents("second")
    port, gram = free_port(), free_port(socket.SOCK_DGRAM)
    listen = [f"unix:{first.path('in.sock')}", f"unixgram:{first.path('in.gram')}", f"tcp://127.0.0.1:{port}", f"udp://127.0.0.1:{gram}"]
    for agent in (first, second):
        agent.configure([{"jsonl": {"name": f"n{i}", "listen": at}} for i, at in enumerate(listen)], listen=f"127.0.0.1:{first.port}")
    first.start()
    second.start(ready=False)
    assert second.process.wait(10) == 1
    # Everything that could not be opened is told, not the first of it.
    for at in [*listen, str(first.port)]:
        second.says(at)
    with unix(first.path("in.sock")) as client:
        client.sendall(stage("p") + b"\n")
    first.until_all("n0", 1)


def test_what_was_sent_before_the_end_is_counted(agent):
    """A stop drains: what senders had handed to the kernel is recorded and counted."""
    agent.configure([{"jsonl": {"name": "in", "listen": [f"unix:{agent.path('in.sock')}", f"unixgram:{agent.path('in.gram')}"]}}])
    recording = agent.path("recording")
    agent.start(command=[str(PROGRAM), "record", "--config", str(agent.file), "--output", recording])
    with unix(agent.path("in.sock")) as stream, unix(agent.path("in.gram"), socket.SOCK_DGRAM) as gram:
        gram.setblocking(False)
        sent = 0
        stream.sendall((stage("stream") + b"\n") * 5000)
        for _ in range(200):
            try:
                gram.send(stage("gram"))
                sent += 1
            except BlockingIOError:
                break
        agent.stop()
    replayed = subprocess.run([str(PROGRAM), "replay", recording], capture_output=True, text=True, timeout=60)
    assert replayed.returncode == 0, replayed.stderr
    seen = Scrape(replayed.stdout)
    assert seen.value("neural_stage_duration_seconds_count", pipeline="stream") == 5000
    assert seen.value("neural_stage_duration_seconds_count", pipeline="gram") == sent


def test_a_stop_before_everything_is_open_is_a_stop_in_order(agent):
    agent.configure([])
    text = agent.file.read_bytes()
    agent.file.unlink()
    # It waits for its configuration, as long as this test wants.
    os.mkfifo(agent.file)
    agent.start(ready=False)

    def hears() -> bool:
        status = Path(f"/proc/{agent.process.pid}/status").read_text()
        caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)

    wait_until(hears, what="the handler of the signal")
    agent.process.send_signal(signal.SIGTERM)
    with open(agent.file, "wb") as waited_for:
        # What it reads the second time is a file.
        agent.write()
        waited_for.write(text)
    assert agent.process.wait(20) == 0, agent.told()


def test_the_daily_budget_survives_a_restart(agent):
    agent.configure(
        [{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}],
        llm={"budget": {"tokens_per_day": 1_000_000, "cost_per_day": 25}, "prices": {"m": {"prompt_per_million": 1, "completion_per_million": 2}}},
    )
    call = b'{"type":"call","model":"m","prompt_tokens":1000,"completion_tokens":500,"seconds":1}\n'

    def spend(times: int) -> None:
        with unix(agent.path("in.sock")) as client:
            client.sendall(call * times)
        agent.until_all("in", times)

    def today(seen: Scrape) -> float:
        return sum(sample.value for name, samples in seen.samples.items() if name.startswith("neural_llm_tokens_today") for sample in samples)

    if time.gmtime()[3:5] == (23, 59):
        time.sleep(61)
    agent.start()
    spend(10)
    agent.until(lambda s: today(s) == 15_000)
    agent.stop()
    agent.start()
    seen = agent.until(lambda s: today(s) == 15_000)
    assert seen.value("neural_llm_prompt_tokens_total") == 0, "counters begin again"
    spend(4)
    seen = agent.until(lambda s: today(s) == 21_000)
    cost = [s.value for name, samples in seen.samples.items() if name.startswith("neural_llm_cost_today") for s in samples]
    assert cost == [pytest.approx(14 * 0.002)]


def test_a_recording_played_again_gives_the_same_numbers(agent, tmp_path):
    port = free_port(socket.SOCK_DGRAM)
    agent.configure(
        [
            {"jsonl": {"name": "json", "listen": f"unix:{agent.path('json.sock')}"}},
            {"statsd": {"name": "statsd", "listen": f"udp://127.0.0.1:{port}"}},
        ]
    )
    recording = str(tmp_path / "recording")
    agent.start(command=[str(PROGRAM), "record", "--config", str(agent.file), "--output", recording])
    with unix(agent.path("json.sock")) as one, unix(agent.path("json.sock")) as two, udp(port) as gram:
        for i in range(500):
            # Two connections, cut in the middle of their lines.
            line = stage(f"p{i % 3}", f"s{i % 5}", seconds=0.0004 * (i % 40), outcome="error" if i % 7 == 0 else "ok") + b"\n"
            for client in (one, two):
                client.sendall(line[:30])
                client.sendall(line[30:])
            gram.send(b"lab.runs:%d|c|#half:%d\nlab.took:%d|ms" % (i, i % 2, i))
        one.sendall(b'{"type":"stage","pipeline":"p0","seconds":NaN}\n{"type":"stage"')
    agent.until_all("json", 1002)
    account = agent.until_all("statsd", 1000)
    live = agent.scrape()
    agent.stop()
    assert account["drops"] == 0
    replayed = subprocess.run([str(PROGRAM), "replay", recording], capture_output=True, text=True, timeout=60)
    assert replayed.returncode == 0, replayed.stderr
    again = Scrape(replayed.stdout)
    compared = 0
    for name, samples in live.samples.items():
        if name.startswith(("neural_stage_", "lab_")) and "peak" not in name and "lag" not in name:
            for sample in samples:
                assert again.value(name, **sample.labels) == pytest.approx(sample.value), (name, sample.labels)
                compared += 1
    assert compared > 300
    assert again.value("neural_source_errors_total") == 2


@pytest.mark.alone
def test_idle(agent):
    agent.configure(
        [
            {"jsonl": {"name": "pipeline", "listen": f"unix:{agent.path('in.sock')}"}},
            {"statsd": {"name": "statsd", "listen": f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}"}},
            {"host": {}},
            {"gpu": {}},
        ]
    )
    agent.start()
    agent.until(lambda s: s.value("neural_source_up") >= 3)
    began, cpu = time.monotonic(), agent.cpu()
    time.sleep(6)
    share = (agent.cpu() - cpu) / (time.monotonic() - began)
    status = open(f"/proc/{agent.process.pid}/status").read()
    own = int(re.search(r"^RssAnon:\s*(\d+)", status, re.M)[1]) * 1024
    print(f"idle: {agent.rss() / 2**20:.1f} MiB resident, {own / 2**20:.1f} of them its own, {share:.2%} of a core")
    # The rest is pages of the program, of which a build for debugging has twice as many.
    assert own < 10 * 2**20 and agent.rss() < 64 * 2**20
    assert share < 0.05
