"""Bad days: broken lines, broken clients, too many of everything. The agent stays up, bounded and honest.

Independent: the kernel (signals, sockets, /proc); clients are processes and plain sockets.
"""
from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from conftest import CLASSIC, free_port, stage, tcp, udp, unix, wait_until

MiB = 2**20


def test_a_bad_day_is_counted_by_kind(agent):
    agent.configure([{"jsonl": {"name": "bad", "listen": f"unix:{agent.path('bad.sock')}"}}])
    agent.start()
    good = stage("good")
    bad = {
        "not_finite": [
            b'{"type":"stage","pipeline":"p","stage":"s","seconds":NaN}',
            b'{"type":"stage","pipeline":"p","stage":"s","seconds":-Infinity}',
            b'{"type":"stage","pipeline":"p","stage":"s","seconds":1e999}',
        ],
        "negative": [b'{"type":"stage","pipeline":"p","stage":"s","seconds":-0.5}', b'{"type":"queue","pipeline":"p","queue":"q","depth":-1}'],
        "clock_skew": [b'{"type":"stage","pipeline":"p","stage":"s","start":100.5,"end":99.5}'],
        "encoding": [b'{"type":"stage","pipeline":"\xff\xfe","stage":"s","seconds":1}', b"\x80\x81\x82"],
        "too_long": [b'{"type":"stage","pipeline":"' + b"x" * (2 * 10**6) + b'"}', b"y" * 70_000],
        "syntax": [b"hello", b"<xml/>", b'{"type":"stage","pipeline":"p","stage":"s","seconds":1}}'],
        "missing_field": [b'{"type":"stage","pipeline":"p","seconds":1}', b"{}"],
        "bad_value": [b'{"type":"stage","pipeline":"p","stage":"s","seconds":"fast"}', b"[1,2]", b'{"type":"stage","pipeline":"","stage":"s","seconds":1}'],
        "unknown_type": [b'{"type":"telepathy","pipeline":"p"}'],
        "bad_name": [b'{"metric":"no spaces","value":1}', b'{"metric":"m","value":1,"labels":{"le":"1"}}'],
        "truncated": [b'{"type":"stage","pipeline":"p"'],
    }
    lines = []
    for kind in bad.values():
        for line in kind:
            lines += [good, line]
    lines += [good] * 5 + [b'{"type":"stage","pip']
    sent = sum(1 for line in lines if line == good)
    with unix(agent.path("bad.sock")) as client:
        # In pieces, as a network would.
        text = b"\n".join(lines)
        for start in range(0, len(text), 7_919):
            client.sendall(text[start : start + 7_919])
    account = agent.until_all("bad", len(lines))
    assert account["events"] == sent, account
    seen = agent.scrape()
    for kind, of in bad.items():
        more = 1 if kind == "truncated" else 0
        assert seen.value("neural_source_errors_total", source="bad", reason=kind) == len(of) + more, kind
    assert seen.value("neural_stage_duration_seconds_count", pipeline="good") == sent
    assert not seen.series("neural_stage_duration_seconds_count", pipeline="p")
    # Told, but not for each.
    wait_until(lambda: "not_finite" in agent.told(), 5, "a word in the log")


def test_a_bad_day_of_statsd(agent):
    port = free_port(socket.SOCK_DGRAM)
    agent.configure([{"statsd": {"name": "bad", "listen": f"udp://127.0.0.1:{port}"}}])
    agent.start()
    good = [b"ok:1|c", b"ok:2|c|@0.5", b"ok:1|c|#a:b", b"g:-4|g", b"h:1:2:3|h"]
    counted = 5 + 2
    bad = [b"ok", b"ok:", b":1|c", b"ok:1", b"ok:1|", b"ok:x|c", b"ok:1|q", b"ok:-1|c", b"ok:nan|g", b"ok:1|c|@0", b"ok:1|c|@7", b"\xff\xfe:1|c", b"_e{9,9}:a|b", b"_sc|x|9"]
    with udp(port) as client:
        for line in good + bad:
            client.send(line)
        client.send(b"\n".join(good + bad) + b"\n")
    account = agent.until_all("bad", 2 * (counted + len(bad)))
    assert account["faults"] == 2 * len(bad), account
    seen = agent.scrape()
    assert seen.value("ok_total", a="b") == 2 and seen.value("ok_total") == 2 * (1 + 4 + 1)
    agent.scrape_openmetrics()


def test_clients_that_are_killed_in_the_middle_of_a_line(agent):
    port = free_port()
    agent.configure([{"jsonl": {"name": "in", "listen": [f"unix:{agent.path('in.sock')}", f"tcp://127.0.0.1:{port}"]}}])
    agent.start()
    program = (
        "import socket, sys, time\n"
        "kind, at = sys.argv[1:3]\n"
        "s = socket.socket(socket.AF_UNIX) if kind == 'unix' else socket.socket()\n"
        "s.connect(at if kind == 'unix' else ('127.0.0.1', int(at)))\n"
        "line = sys.argv[3].encode()\n"
        "s.sendall((line + b'\\n') * 100 + line[:25])\n"
        "print('sent', flush=True)\n"
        "time.sleep(60)\n"
    )
    clients = []
    for turn in range(10):
        kind, at = ("unix", agent.path("in.sock")) if turn % 2 else ("tcp", str(port))
        command = [sys.executable, "-S", "-c", program, kind, at, stage("killed").decode()]
        clients.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    for client in clients:
        assert client.stdout.readline() == b"sent\n"
        client.send_signal(signal.SIGKILL)
        client.wait()
        client.stdout.close()
    # One more that resets its connection instead of closing it.
    rude = tcp(port)
    rude.sendall(stage("killed") + b"\n" + stage("killed")[:25])
    agent.until(lambda s: s.value("neural_stage_duration_seconds_count", pipeline="killed") == 1001)
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rude.close()
    account = agent.until_all("in", 10 * 101 + 2)
    assert account == {"events": 1001, "faults": 11, "shed": 0, "drops": 0}
    seen = agent.until(lambda s: s.value("neural_source_clients", source="in") == 0)
    assert seen.value("neural_source_errors_total", reason="truncated") == 11
    assert seen.value("neural_source_clients_accepted_total", source="in") == 11


# Opens connections, says how many, and holds them until its input ends.
CROWD = """
import resource, socket, sys
kind, at, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for _ in range(count):
    s = socket.socket(socket.AF_UNIX) if kind == "unix" else socket.socket()
    s.connect(at if kind == "unix" else ("127.0.0.1", int(at)))
    held.append(s)
print(len(held), flush=True)
sys.stdin.read()
"""


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_ten_thousand_connections(agent, kind):
    port, limit, crowd = free_port(), 500, 10_000
    at = agent.path("in.sock") if kind == "unix" else str(port)
    listen = f"unix:{at}" if kind == "unix" else f"tcp://127.0.0.1:{port}"
    agent.configure([{"jsonl": {"name": "in", "listen": listen, "connections": limit}}])
    agent.start()
    loyal = unix(at) if kind == "unix" else tcp(port)
    loyal.sendall(stage("loyal") + b"\n")
    agent.until_all("in", 1)
    before = agent.rss()
    each = min(crowd, max(100, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100), 2_500)
    crowds = []
    for start in range(0, crowd, each):
        command = [sys.executable, "-S", "-c", CROWD, kind, at, str(min(each, crowd - start))]
        crowds.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    opened = sum(int(c.stdout.readline()) for c in crowds)
    assert opened == crowd
    seen = agent.until(
        lambda s: s.value("neural_source_clients_accepted_total", source="in")
        + s.value("neural_source_clients_refused_total", source="in")
        == crowd + 1
    )
    assert seen.value("neural_source_clients", source="in") == limit
    assert seen.value("neural_source_clients_accepted_total", source="in") == limit
    assert seen.value("neural_source_clients_refused_total", source="in") == crowd + 1 - limit
    grown = agent.rss() - before
    print(f"{limit} of {crowd} connections over {kind} are held for {grown / MiB:.1f} MiB")
    assert grown < 16 * MiB
    # Whoever was there first is still heard.
    loyal.sendall(stage("loyal") + b"\n")
    agent.until_all("in", 2)
    for c in crowds:
        c.stdin.close()
        c.wait()
        c.stdout.close()
    loyal.close()
    agent.until(lambda s: s.value("neural_source_clients", source="in") == 0)
    with unix(at) if kind == "unix" else tcp(port) as late:
        late.sendall(stage("late") + b"\n")
        agent.until_all("in", 3)


@pytest.mark.alone
def test_more_connections_than_files(agent):
    """The limit of files is lower than that of connections: some are refused, which is counted and said."""
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}", "connections": 5_000}}])
    agent.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)))
    clients = [unix(agent.path("in.sock")) for _ in range(400)]
    seen = agent.until(
        lambda s: s.value("neural_source_clients_accepted_total") + s.value("neural_source_clients_refused_total") == 400
    )
    refused = int(seen.value("neural_source_clients_refused_total", source="in"))
    assert 300 <= refused < 400
    agent.says("a client was refused")
    heard = 0
    for client in clients:
        try:
            client.sendall(stage("p") + b"\n")
            heard += 1
        except BrokenPipeError:
            pass
        client.close()
    assert heard == 400 - refused
    agent.until_all("in", heard)


def test_a_burst_and_then_silence(agent):
    """More than is read at a time waits in the socket; all of it is read, though nothing comes after it."""
    port = free_port(socket.SOCK_DGRAM)
    agent.configure([{"jsonl": {"name": "in", "listen": f"udp://127.0.0.1:{port}"}}])
    agent.start()
    with udp(port) as client:
        agent.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(1_000):
                client.send(stage("burst").ljust(1_000))
        finally:
            agent.process.send_signal(signal.SIGCONT)
    account = agent.until_all("in", 1_000, 10)
    assert account["events"] > 65, account


def test_slow_and_greedy_readers_of_metrics(agent):
    agent.configure([])
    agent.start()
    # Heads that never end, bodies nobody reads, and nothing at all.
    held = [tcp(agent.port) for _ in range(60)]
    for place, client in enumerate(held):
        client.sendall([b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 50, b""][place % 3])
    assert agent.get("/metrics", {"Accept": CLASSIC}, timeout=5)[0] == 200
    status, _, _ = agent.get("/metrics" + "x" * 40_000)
    assert status in (400, 404, 414, 431)
    for client in held:
        client.close()
    assert agent.get("/-/healthy")[0] == 200


def test_readers_that_read_nothing_are_left(agent):
    agent.configure([])
    agent.start()
    held = []
    for _ in range(256):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", agent.port))
        client.sendall(b"GET /provision/dashboards/devices.json HTTP/1.1\r\nHost: a\r\n\r\n" * 40)
        held.append(client)
    # Every place is taken, and nobody will ever read.
    assert agent.get("/metrics", timeout=60)[0] == 200
    for client in held:
        client.close()


def test_idle_connections_give_way(agent):
    agent.configure([])
    agent.start()
    held = [socket.create_connection(("127.0.0.1", agent.port)) for _ in range(300)]
    # They say nothing and stay. Whoever comes now is heard all the same.
    assert agent.get("/-/ready", timeout=10)[0] == 200
    assert agent.scrape().value("neural_agent_http_connections_closed_total") >= 300 - 256
    for client in held:
        client.close()


def flood_of_names(agent, kind: str) -> int:
    sent = 0
    if kind.startswith("statsd"):
        with unix(agent.path("statsd.gram"), socket.SOCK_DGRAM) as client:
            for block in range(2_000):
                tags = [f"random{block * 50 + i}:1|c" if kind == "statsd-names" else f"one:1|c|#id:{block}-{i}" for i in range(50)]
                client.send("\n".join(tags).encode())
                sent += 50
    else:
        with unix(agent.path("in.sock")) as client:
            for block in range(1_000):
                lines = [stage(f"p{block}", f"s{i}") if kind == "stages" else json.dumps({"metric": f"m{block}_{i}", "value": 1, "type": "gauge"}).encode() for i in range(50)]
                client.sendall(b"\n".join(lines) + b"\n")
                sent += 50
    return sent


@pytest.mark.parametrize("kind", ["statsd-names", "statsd-tags", "stages", "metrics"])
def test_a_flood_of_random_names_leaves_memory_flat(agent, kind):
    agent.configure(
        [
            {"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}},
            {"statsd": {"name": "statsd", "listen": f"unixgram:{agent.path('statsd.gram')}"}},
        ],
        limits={"series": 5_000, "series_per_family": 500, "families": 400},
    )
    agent.start()
    source = "statsd" if kind.startswith("statsd") else "in"
    sent = flood_of_names(agent, kind)
    agent.until_all(source, sent)
    first = agent.rss()
    sent += flood_of_names(agent, kind)
    sent += flood_of_names(agent, kind)
    account = agent.until_all(source, sent)
    grown = agent.rss() - first
    seen = agent.scrape()
    refused = seen.value("neural_agent_series_refused_total")
    limited = seen.value("neural_source_errors_total", source=source, reason="limit")
    print(f"{kind}: {agent.rss() / MiB:.1f} MiB, grown by {grown / MiB:.1f} MiB; {account}; {refused:.0f} refused")
    assert grown < 6 * MiB
    assert agent.rss() < 64 * MiB
    assert refused + limited > sent / 2, "what has no series of its own is visible"
    assert seen.value("neural_agent_series") <= 5_000 + 100
    if kind == "stages":
        # Nothing is lost from the totals: what is beyond the limit is in one series for all of it.
        assert seen.value("neural_stage_duration_seconds_count") == sent
        assert seen.value("neural_stage_duration_seconds_count", pipeline="_other") > 0
    if kind == "statsd-tags":
        assert seen.value("one_total") == sent
    page = agent.get("/sources")[2].decode()
    assert {"statsd-tags": "one", "stages": "stage_duration"}.get(kind, "") in page, "the page of sources names the worst"
    agent.scrape_openmetrics()


TAGS = {
    # 60 kB that all mean one series: tags without a value, white space, names that are refused.
    "tags": lambda n: b"one:1|c|#" + b",".join(b"%d" % (n * 7919 + i) for i in range(6_000)),
    "accepted tags": lambda n: b"one:1|c|#" + b",".join(b"%060d" % (n * 7919 + i) for i in range(60)),
    "white space": lambda n: b'{"metric":"one","type":"counter","value":1,"labels":{%s"a":"b"}}' % (b" " * (30_000 + n)),
    "labels": lambda n: b"wide%d:1|g|#n:%d,%s" % (n % 50, n, b",".join(b"label_%d:%s" % (i, b"v" * 50) for i in range(50))),
    "sets": lambda n: b"\n".join(b"set%d:%d|s" % (i % 200, n * 1_000 + i) for i in range(1_000)),
}


@pytest.mark.parametrize("kind", TAGS)
def test_a_flood_of_long_lines_is_bounded_and_given_back(agent, kind):
    sources = [{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}]
    flooded = {"jsonl" if kind == "white space" else "statsd": {"name": "flooded", "listen": f"unix:{agent.path('flood.sock')}", "line_bytes": 65_536}}
    # The history remembers for an hour what a scrape of it met; how much that may be is its own affair.
    settings = {"expire": {"gauges": "5s"}, "history": {"enabled": False}}
    agent.configure([*sources, flooded], **settings)
    agent.start()
    agent.scrape()
    before = agent.rss()
    lines = 3_000
    longest = 0.0
    with unix(agent.path("flood.sock")) as client:
        client.settimeout(60)
        for n in range(lines):
            client.sendall(TAGS[kind](n) + b"\n")
            if n % 500 == 0:
                began = time.monotonic()
                agent.get("/metrics")
                longest = max(longest, time.monotonic() - began)
    agent.until_all("flooded", lines * (1_000 if kind == "sets" else 1))
    seen = agent.scrape()
    memory = seen.value("neural_agent_series_memory_bytes")
    print(f"{kind}: {before / MiB:.1f} MiB before, {agent.rss() / MiB:.1f} MiB after, {memory / MiB:.1f} MiB counted, longest scrape {longest:.2f} s")
    assert memory <= 64 * MiB == seen.value("neural_agent_series_memory_limit_bytes")
    assert agent.rss() < before + 140 * MiB
    # Who sent it is gone: so is what it took.
    agent.configure(sources, **settings)
    agent.process.send_signal(signal.SIGHUP)
    agent.until(lambda s: s.value("neural_agent_config_reloads_total") == 1)
    wait_until(lambda: agent.scrape() and agent.rss() < before + 8 * MiB, 120, f"less than {agent.rss() / MiB:.1f} MiB")


def test_one_sender_does_not_take_what_others_need(agent, tmp_path):
    folder = tmp_path / "prom"
    folder.mkdir()
    sources = [
        {"statsd": {"name": "greedy", "listen": f"unix:{agent.path('greedy.sock')}"}},
        {"jsonl": {"name": "modest", "listen": f"unix:{agent.path('modest.sock')}"}},
        {"textfile": {"name": "files", "directory": str(folder), "interval": "1s"}},
    ]
    agent.configure(sources, expire={"gauges": "5s"}, limits={"series": 10_000, "series_per_source": 10_000})
    agent.start()
    # Every name and every series that there is.
    (folder / "many.prom").write_text("".join(f'from_file_{i % 300}{{i="{i}"}} 1\n' for i in range(20_000)))
    (folder / "bad.prom").write_text("bad{\n")
    (folder / "good.prom").write_text("good 1\n")
    with unix(agent.path("greedy.sock")) as client:
        client.sendall(b"".join(b"name%d:1|c\n" % i for i in range(6_000)))
        client.sendall(b"".join(b"one:1|g|#i:%d\n" % i for i in range(12_000)))
        agent.until_all("greedy", 18_000)
        client.sendall(b"broken\nbroken:x|c\n")
    seen = agent.until(lambda s: s.value("neural_textfile_success", file="good.prom") == 1)
    assert seen.value("neural_textfile_success", file="bad.prom") == 0 and seen.series("neural_textfile_success", file="bad.prom")
    assert seen.value("neural_source_errors_total", source="greedy", reason="syntax") == 1
    assert not [s for s in seen.samples["neural_source_errors_total"] if s.labels["source"] == "_other"]
    # A source that is added now is as visible as one that was there first, and its metric has a name.
    agent.configure([*sources, {"jsonl": {"name": "late", "listen": f"unix:{agent.path('late.sock')}"}}], expire={"gauges": "5s"}, limits={"series": 10_000, "series_per_source": 10_000})
    agent.process.send_signal(signal.SIGHUP)
    agent.until(lambda s: s.value("neural_source_up", source="late") == 1)
    # What a removed source named is gone at once, counters and all.
    agent.configure(sources[1:], limits={"series": 10_000, "series_per_source": 10_000})
    agent.process.send_signal(signal.SIGHUP)
    seen = agent.until(lambda s: s.value("neural_agent_config_reloads_total") == 2)
    assert not seen.series("name1_total") and seen.value("neural_source_events_total", source="greedy") > 0
    with unix(agent.path("modest.sock")) as client:
        client.sendall(b'{"metric":"mine","type":"counter","value":1}\n')
        agent.until(lambda s: s.value("mine_total") == 1)


def test_the_name_of_a_file_writes_no_line_of_the_log(agent, tmp_path):
    folder = tmp_path / "prom"
    folder.mkdir()
    (folder / "a\nWARN forged \x1b[2J.prom").write_text("a{\n")
    agent.configure([{"textfile": {"name": "files", "directory": str(folder), "interval": "1s"}}])
    agent.start()
    wait_until(lambda: "forged" in agent.told(), 10, "a word in the log")
    assert all("WARN" in line and "\x1b[2J" not in line and "files" in line for line in agent.told().splitlines() if "forged" in line)


def test_two_writers_of_one_name(agent):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    agent.start()
    with unix(agent.path("in.sock")) as client:
        client.sendall(b'{"metric":"lab_thing","type":"counter","value":2}\n')
        agent.until_all("in", 1)
        client.sendall(b'{"metric":"lab_thing_total","type":"gauge","value":9}\n{"metric":"lab_thing","type":"histogram","value":9}\n')
        client.sendall(b'{"metric":"neural_stage_duration_seconds","type":"gauge","value":9}\n{"metric":"process_open_fds","type":"gauge","value":9}\n')
        client.sendall(b'{"metric":"lab_thing","type":"counter","value":3}\n')
        agent.until_all("in", 6)
    seen = agent.scrape()
    assert seen.value("lab_thing_total") == 5
    assert seen.value("neural_source_errors_total", source="in", reason="conflict") == 4
    agent.scrape_openmetrics()


def test_it_runs_through_a_storm_of_signals_and_scrapes(agent):
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}])
    agent.start()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            agent.get("/metrics")

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for _ in range(100):
        os.kill(agent.process.pid, signal.SIGHUP)
        time.sleep(0.005)
    with unix(agent.path("in.sock")) as client:
        client.sendall((stage("p") + b"\n") * 1000)
    agent.until_all("in", 1000)
    stop.set()
    for asker in askers:
        asker.join()
    agent.stop()
