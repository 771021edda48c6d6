"""What the agent remembers, over kills, disks and clocks, and the API that it answers with.

Independent: Debian's promtool and Prometheus, SQLite as Python has it, libfaketime, the kernel and its tmpfs.
"""
from __future__ import annotations

import contextlib
import json
import random
import socket
import sqlite3
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from conftest import PROGRAM, Agent, free_port, program, stage, udp, unix, wait_until
from test_stuck import small
from test_time import Wall

HISTORY = {"interval": "1s", "flush": "1s"}


def start(agent: Agent, history: dict | None = None, **more) -> int:
    """Starts the agent with a counter that can be driven; its port."""
    port = free_port(socket.SOCK_DGRAM)
    agent.configure(
        [{"statsd": {"name": "s", "listen": f"udp://127.0.0.1:{port}"}}], history={**HISTORY, **(history or {})}, **more
    )
    return port


def ask(agent: Agent, path: str, **parameters) -> dict:
    status, headers, body = agent.get(f"/api/v1/{path}?" + urllib.parse.urlencode(parameters, doseq=True))
    answer = json.loads(body)
    assert headers["Content-Type"] == "application/json"
    assert (status == 200) == (answer["status"] == "success"), (status, answer)
    return answer


def data(agent: Agent, path: str, **parameters):
    answer = ask(agent, path, **parameters)
    assert answer["status"] == "success", answer
    return answer["data"]


def samples(agent: Agent, selector: str, span: str = "1h", at: float | None = None) -> list[tuple[float, float]]:
    """The samples of the one series that a selector names."""
    parameters = {"query": f"{selector}[{span}]"} | ({"time": at} if at else {})
    result = data(agent, "query", **parameters)["result"]
    assert len(result) <= 1, result
    return [(t, float(v)) for one in result for t, v in one["values"]]


def test_what_is_remembered_is_what_was_scraped(agent: Agent):
    port = start(agent)
    agent.start()
    client = udp(port)
    wait_until(lambda: samples(agent, "up"), 10)
    for _ in range(8):
        client.send(b"hits:3|c\ntemp:1.5|g")
        time.sleep(0.5)
    wait_until(lambda: [v for _, v in samples(agent, "hits_total")][-1:] == [24.0], 10)
    seen = samples(agent, "hits_total")
    assert [v for _, v in seen] == sorted(v for _, v in seen)
    # As a Prometheus would have labelled it, once a second.
    (series,) = data(agent, "series", **{"match[]": "hits_total"})
    assert series == {"__name__": "hits_total", "job": "neural", "instance": f"127.0.0.1:{agent.port}"}
    gaps = [round(b - a, 3) for (a, _), (b, _) in zip(seen, seen[1:])]
    assert sorted(gaps)[len(gaps) // 2] == 1.0, gaps
    # A gauge that nobody renews ends with it, and what ended is not there any longer.
    assert data(agent, "query", query="temp")["result"]
    assert data(agent, "query", query="sum(rate(hits_total[1m])) > 0")["result"]


def test_promtool_asks_as_it_asks_a_prometheus(agent: Agent):
    start(agent)
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    server = f"http://127.0.0.1:{agent.port}"

    def promtool(*arguments: str) -> str:
        done = subprocess.run([program("promtool"), "query", *arguments], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "=> 1 @" in promtool("instant", server, "up")
    now = time.time()
    assert "up{" in promtool("range", f"--start={now - 60:.0f}", f"--end={now + 1:.0f}", "--step=1s", server, "up")
    assert "neural_agent_build_info" in promtool("series", "--match={job=\"neural\"}", server)
    assert "neural" in promtool("labels", server, "job").split()
    wrong = subprocess.run([program("promtool"), "query", "instant", server, "up{"], capture_output=True, text=True, timeout=30)
    assert wrong.returncode and "parse error" in wrong.stderr, wrong


def test_the_api_answers_as_prometheus_does(agent: Agent):
    start(agent)
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    # What Grafana asks of a data source before it asks anything else.
    assert data(agent, "status/buildinfo")["version"].startswith("3.")
    assert {"__name__", "instance", "job"} <= set(data(agent, "labels"))
    assert "up" in data(agent, "label/__name__/values")
    assert data(agent, "label/__name__/values", **{"match[]": "up"}) == ["up"]
    (build,) = data(agent, "metadata", metric="neural_agent_build")["neural_agent_build"]
    assert build["type"] == "info" and build["help"]
    assert data(agent, "format_query", query="sum  by(a)(rate(b[5m]))") == "sum by (a) (rate(b[5m]))"
    assert data(agent, "status/tsdb")["headStats"]["numSeries"] > 40
    assert ask(agent, "labels", limit=1)["warnings"] == ["results truncated due to limit"]
    # A form, as Grafana sends long queries.
    form = urllib.parse.urlencode({"query": "up", "time": time.time()}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{agent.port}/api/v1/query", data=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.loads(answer.read())["data"]["result"][0]["value"][1] == "1"
    for path, parameters, status, kind, words in [
        ("query", {"query": "up{"}, 400, "bad_data", "parse error"),
        ("query", {"query": "up", "time": "noon"}, 400, "bad_data", 'invalid parameter "time"'),
        ("query_range", {"query": "up", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "end timestamp must not be before start time"),
        ("query_range", {"query": "up", "start": 1, "end": 2, "step": 0}, 400, "bad_data", "zero or negative query resolution step"),
        ("query_range", {"query": "up", "start": 0, "end": 1e6, "step": 1}, 400, "bad_data", "11,000 points"),
        ("series", {}, 400, "bad_data", "no match[] parameter provided"),
        ("query", {"query": 'label_replace(up, "a", "$1", "job", "(")'}, 422, "execution", "regular expression"),
    ]:
        code, _, body = agent.get(f"/api/v1/{path}?" + urllib.parse.urlencode(parameters))
        answer = json.loads(body)
        assert (code, answer["status"], answer["errorType"]) == (status, "error", kind), (path, parameters, code, answer)
        assert words in answer["error"], answer
    assert agent.get("/api/v1/nothing")[0] == 404


def test_a_page_of_another_origin_learns_nothing_by_another_name(agent: Agent):
    start(agent)
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    assert agent.get("/api/v1/query?query=up", {"Host": "rebound.example"})[0] == 403


def test_killed_at_any_moment_it_keeps_what_it_wrote(agent: Agent):
    """Each run counts up; what a run had written two flushes before it was killed is there in the end."""
    port = start(agent)
    kept: dict[float, float] = {}
    rounds = 12
    for turn in range(rounds):
        agent.start()
        client = udp(port)
        end = time.monotonic() + 2.2 + random.random() * 2
        while time.monotonic() < end:
            client.send(b"hits:1|c")
            time.sleep(0.02)
        now = time.time()
        seen = {t: v for t, v in samples(agent, "hits_total", "10m")}
        # Acknowledged: older than one flush and the scrape that it waits for.
        kept |= {t: v for t, v in seen.items() if t < now - 2.5}
        missing = [t for t in kept if t not in seen]
        assert not missing, f"round {turn}: {missing} of {len(kept)}"
        agent.process.kill()
        agent.process.wait()
    assert len(kept) > rounds
    agent.start()
    assert "damaged" not in agent.told()


def test_a_full_disk_costs_history_alone_and_is_named(agent: Agent, tmp_path):
    with small(tmp_path / "disk", "700k") as disk:
        full_disk(agent, disk)
        agent.stop()


def full_disk(agent: Agent, disk: Path) -> None:
    port = start(agent, state_directory=str(disk))
    agent.start()
    wait_until(lambda: samples(agent, "up"), 10)
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
    agent.until(lambda s: s.value("neural_history_file_failing") == 1, 30)
    agent.says("the history is kept in memory alone", "the disk is full")
    assert b"The history is kept in memory only" in agent.get("/")[2]
    began = time.time()
    client = udp(port)
    client.send(b"hits:7|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total")][-1:] == [7.0], 10)
    filler.unlink()
    agent.until(lambda s: s.value("neural_history_file_failing") == 0, 60)
    agent.says("the history is written again")
    time.sleep(2.5)
    agent.process.kill()
    agent.process.wait()
    agent.start()
    # What was taken while the disk was full is in the file all the same.
    wait_until(lambda: [v for t, v in samples(agent, "hits_total") if t >= began - 1][-1:] == [7.0], 10)


def test_a_file_that_is_cut_or_has_turned_bits_never_stops_the_agent(agent: Agent):
    start(agent)
    file = Path(agent.path("state")) / "history.db"
    dice = random.Random(7)
    for turn in range(6):
        agent.start()
        wait_until(lambda: len(samples(agent, "up", "30s")) >= 3, 15)
        time.sleep(1.2)
        agent.process.kill()
        agent.process.wait()
        whole = file.read_bytes()
        if turn % 2:
            file.write_bytes(whole[: dice.randrange(len(whole))])
        else:
            bytes_ = bytearray(whole)
            for _ in range(200):
                bytes_[dice.randrange(len(bytes_))] ^= 1 << dice.randrange(8)
            file.write_bytes(bytes_)
    agent.start()
    wait_until(lambda: len(samples(agent, "up", "10s")) >= 2, 15)
    assert agent.scrape().value("neural_history_file_failing") == 0
    # Values are right or missing, never others.
    assert {v for _, v in samples(agent, "up")} <= {1.0}


def test_a_clock_that_is_set_back_an_hour_costs_nothing_that_was_written_since(agent: Agent, tmp_path):
    clock = Wall(tmp_path)
    port = start(agent)
    agent.start(environment=clock.environment)
    client = udp(port)
    client.send(b"hits:1|c")
    wait_until(lambda: samples(agent, "hits_total"), 10)
    clock.set(-3600)
    back = time.time() - 3600
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "5m", at=back + 8)][-1:] == [2.0], 15)
    clock.set(0)
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total", "5m", at=time.time())][-1:] == [3.0], 15)
    assert [v for _, v in samples(agent, "hits_total", "5m", at=back + 8)][-1:] == [2.0]
    times = [t for t, _ in samples(agent, "up", "2h", at=time.time())]
    assert times == sorted(set(times))


def test_the_second_agent_on_a_folder_says_so(agents):
    one, two = agents("one"), agents("two")
    start(one, state_directory=one.path("state"))
    start(two, state_directory=one.path("state"))
    one.start()
    wait_until(lambda: samples(one, "up"), 10)
    two.start()
    two.says("another agent writes it")
    wait_until(lambda: samples(two, "up"), 10)


def test_another_program_that_looks_into_the_file_takes_nothing_from_it(agent: Agent):
    port = start(agent)
    agent.start()
    client = udp(port)
    client.send(b"hits:1|c")
    wait_until(lambda: samples(agent, "hits_total"), 15)
    path = Path(agent.path("state")) / "history.db"
    wait_until(lambda: path.exists() and Path(f"{path}-wal").exists(), 15)
    time.sleep(2)
    # The last program that closes such a file ends its journal: while the agent has it open, nobody else is the last.
    with contextlib.closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM scrape").fetchone()[0] > 0
    assert Path(f"{path}-wal").exists()
    client.send(b"hits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "hits_total")][-1:] == [2.0], 15)
    time.sleep(2.5)
    agent.process.kill()
    agent.process.wait()
    agent.start()
    wait_until(lambda: 2.0 in [v for _, v in samples(agent, "hits_total")], 15)


def test_the_file_is_what_sqlite_reads(agent: Agent):
    start(agent)
    agent.start()
    wait_until(lambda: len(samples(agent, "up")) >= 3, 15)
    agent.stop()
    with sqlite3.connect(Path(agent.path("state")) / "history.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (names,) = db.execute("SELECT count(*) FROM series WHERE name = 'up'").fetchone()
        assert names == 1


def query(agent: Agent, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([PROGRAM, "query", *arguments, "--config", str(agent.file)], capture_output=True, text=True, timeout=30)


def test_the_command_asks_the_agent_and_any_server(agent: Agent, agents):
    start(agent)
    agent.start()
    # A change, such as a source that comes up, is looked at out of turn.
    wait_until(lambda: (seen := samples(agent, "up")) and seen[-1][0] - seen[0][0] > 2, 15)
    told = query(agent, "up")
    assert (told.returncode, told.stdout.split()[-1]) == (0, "1"), told
    told = query(agent, "up", "--last", "1m", "--step", "1s")
    assert told.returncode == 0 and any(block in told.stdout for block in "▁▂▃▄▅▆▇█"), told
    assert len(query(agent, "up", "--last", "1m", "--step", "1s", "--output", "csv").stdout.splitlines()) >= 2
    assert json.loads(query(agent, "up", "--output", "json").stdout)["resultType"] == "vector"
    # Asked of another server by its address.
    other = agents("other")
    start(other)
    told = query(other, "up", "--server", f"http://127.0.0.1:{agent.port}")
    assert told.returncode == 0 and str(agent.port) in told.stdout, told
    for arguments, code, words in [
        (["up{"], 2, "parse error"),
        (["label_replace(up, 'a', '$1', 'job', '(')"], 1, "regular expression"),
        (["up", "--server", "http://127.0.0.1:9"], 1, "cannot reach"),
        (["up", "--step", "1s"], 2, "--last"),
    ]:
        told = query(agent, *arguments)
        assert told.returncode == code and words in told.stderr, (arguments, told)


def test_what_is_exported_is_what_promtool_reads(agent: Agent, tmp_path):
    start(agent)
    agent.start()
    wait_until(lambda: len(samples(agent, "up")) >= 3, 15)
    agent.stop()
    told = subprocess.run([PROGRAM, "history", "export", "--match", "up", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert told.returncode == 0 and told.stdout.endswith("# EOF\n"), told
    file = tmp_path / "samples"
    file.write_text(told.stdout)
    made = subprocess.run([program("promtool"), "tsdb", "create-blocks-from", "openmetrics", file, tmp_path / "blocks"], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made
    shown = subprocess.run([PROGRAM, "history", "--output", "json", "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert json.loads(shown.stdout)["series"] > 40


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_exported_and_imported_answers_the_same(agent: Agent, agents, tmp_path, form):
    port = start(agent, **{"expire": {"gauges": "2s"}})
    agent.start()
    client = udp(port)
    client.send(b"brief:1.25|g|#who:a\"b,c\nhits:1|c")
    wait_until(lambda: [v for _, v in samples(agent, "brief")], 10)
    wait_until(lambda: not data(agent, "query", query="brief")["result"], 20)
    at = time.time()
    agent.stop()
    export = subprocess.run([PROGRAM, "history", "export", "--as", form, "--config", str(agent.file)], capture_output=True, text=True, timeout=30)
    assert export.returncode == 0 and "brief" in export.stdout, export
    file = tmp_path / "samples"
    file.write_text(export.stdout + "no sample\n")
    other = agents("other")
    start(other)
    took = subprocess.run([PROGRAM, "history", "import", str(file), "--config", str(other.file)], capture_output=True, text=True, timeout=30)
    assert took.returncode == 0 and "; 1 lines are no samples" in took.stderr, took
    again = subprocess.run([PROGRAM, "history", "export", "--as", form, "--config", str(other.file)], capture_output=True, text=True, timeout=30)
    lines = lambda text: sorted(text.splitlines())
    assert lines(again.stdout) == lines(export.stdout)
    other.start()
    # The file is opened by a thread of its own.
    wait_until(lambda: samples(other, "brief", "5m", at=at), 10, "the opening of the file")
    # What ended has ended: without the mark it would be there for five minutes.
    assert not data(other, "query", query="brief", time=at)["result"]
    assert data(other, "query", query="hits_total", time=at)["result"]


def test_exemplars_of_the_past_are_found(agent: Agent):
    start(agent)
    agent.configure([{"jsonl": {"name": "in", "listen": f"unix:{agent.path('in.sock')}"}}], history=HISTORY)
    agent.start()
    with unix(agent.path("in.sock")) as client:
        for trace in ("a" * 32, "b" * 32, "c" * 32):
            client.sendall(stage("p", seconds=0.02, trace=trace) + b"\n")
            time.sleep(1.5)
    found = lambda **more: data(agent, "query_exemplars", query="rate(neural_stage_duration_seconds_bucket[5m])", **more)
    wait_until(lambda: found() and len(found()[0]["exemplars"]) == 3, 10)
    (one,) = found(start=time.time() - 60, end=time.time())
    assert one["seriesLabels"]["pipeline"] == "p" and one["seriesLabels"]["job"] == "neural"
    assert [exemplar["labels"] for exemplar in one["exemplars"]] == [{"trace_id": letter * 32} for letter in "abc"]
    assert all(exemplar["value"] == "0.02" for exemplar in one["exemplars"])
    assert found(start=0, end=1) == []
    # Nothing is not an error.
    assert data(agent, "query_exemplars", query="nothing_bucket") == []
