"""The agent as a program, restarted for each test on its own addresses.

Everything here sees it only from outside: its sockets, its HTTP, its signals, /proc. What a test
calls independent is what was written by other people: clients, servers, parsers.
"""
from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import parser as classic
from prometheus_client.openmetrics import parser as openmetrics

from disk import Disk

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("NEURAL_EXPORTER", "target/debug/neural-exporter"))
PROGRAM = PROGRAM if PROGRAM.is_absolute() else ROOT / PROGRAM
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# Seconds a sender waits for an agent that does not read.
PATIENCE = 30
CLASSIC = "text/plain; version=0.0.4"


# Ports below those that the kernel gives out by itself, each once and by chance: no connection of a test and no other
# question can take the one that still waits for its server. Of several processes that run tests each has its own.
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
KERNELS = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
OURS = range(20_000, KERNELS if KERNELS > 25_000 else 32_768)
PORTS = iter(random.sample(OURS[PROCESS::PROCESSES], len(OURS[PROCESS::PROCESSES])))


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of this host that nobody has, and that is given to nobody else."""
    for port in PORTS:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("every port was given away")


def wait_until(true, seconds: float = 20.0, what: str = "it"):
    """Asks until the answer is true, and gives the answer."""
    end = time.monotonic() + seconds
    while True:
        answer = true()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.05)


class Scrape:
    """The samples of one scrape, as an independent parser understood them."""

    def __init__(self, text: str, families=None):
        self.text = text
        self.families = list(families if families is not None else classic.text_string_to_metric_families(text))
        self.samples = {}
        for family in self.families:
            for sample in family.samples:
                self.samples.setdefault(sample.name, []).append(sample)

    def series(self, name: str, **labels: str):
        return [
            sample
            for sample in self.samples.get(name, [])
            if all(sample.labels.get(label) == value for label, value in labels.items())
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of every series with these labels; 0 if there is none."""
        return sum(sample.value for sample in self.series(name, **labels))

    def account(self, source: str) -> dict[str, float]:
        """Where everything went that was sent to a source."""
        parts = {
            "events": "neural_source_events_total",
            "faults": "neural_source_errors_total",
            "shed": "neural_source_dropped_events_total",
            "drops": "neural_source_kernel_drops_total",
        }
        return {part: self.value(name, source=source) for part, name in parts.items()}


class Agent:
    """One run of the program, or several of them with the same folder and configuration."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.port = free_port()
        self.config = {}
        self.process: subprocess.Popen | None = None
        self.log = folder / "log"
        self.file = folder / "config.yml"

    # what it is told

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def configure(self, sources: list, **settings) -> None:
        """Writes the configuration. JSON is YAML."""
        self.config = {
            "listen": f"127.0.0.1:{self.port}",
            "state_directory": self.path("state"),
            "log": {"level": "info"},
            "sources": sources,
            **settings,
        }
        self.write()

    def write(self, config: dict | None = None) -> None:
        text = json.dumps(self.config if config is None else config, indent=1)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.rename(self.file)

    # its life

    def command(self) -> list[str]:
        return [str(PROGRAM), "run", "--config", str(self.file)]

    def start(self, environment: dict[str, str] | None = None, ready: bool = True, command=None, **popen):
        env = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS")}
        env.update(environment or {})
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command or self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=env, **popen
            )
        if ready:
            wait_until(self.is_ready, 30, "the agent's start")
        return self

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.told()}")
        try:
            return self.get("/-/ready", timeout=2)[0] == 200
        except OSError:
            return False

    def told(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def stop(self, within: float = 5.0) -> None:
        """Asks it to end, which must take no longer than it says."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired as late:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the agent did not stop within {within} s:\n{self.told()}") from late
        assert code == 0, f"the agent ended with {code}:\n{self.told()}"

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    # what it answers

    def request(self, method: str, path: str, headers=None, timeout: float = 20, body: bytes | None = None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method, headers=headers or {}, data=body
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.headers, refused.read()

    def get(self, path: str, headers=None, timeout: float = 20):
        return self.request("GET", path, headers, timeout)

    def reload(self) -> tuple[int, str]:
        status, _, body = self.request("POST", "/-/reload")
        return status, body.decode()

    def scrape(self) -> Scrape:
        status, headers, body = self.get("/metrics", {"Accept": CLASSIC})
        assert status == 200 and headers["Content-Type"].startswith("text/plain"), headers
        return Scrape(body.decode())

    def scrape_openmetrics(self) -> Scrape:
        status, headers, body = self.get("/metrics", {"Accept": OPENMETRICS})
        assert status == 200 and headers["Content-Type"].startswith("application/openmetrics-text"), headers
        text = body.decode()
        return Scrape(text, openmetrics.text_string_to_metric_families(text))

    def until(self, holds, seconds: float = 20.0) -> Scrape:
        """Scrapes until the scrape is as it should be, and gives it."""
        end = time.monotonic() + seconds
        while True:
            seen = self.scrape()
            if holds(seen):
                return seen
            if time.monotonic() > end:
                lines = [line for line in seen.text.splitlines() if line.startswith(("neural_source_", "neural_stream_"))]
                raise AssertionError("not seen in time; sources say:\n" + "\n".join(lines) + "\n" + self.told())
            time.sleep(0.1)

    def says(self, *texts: str, seconds: float = 10.0) -> None:
        """Waits until these are in the log: it is written a moment after what it tells of is counted."""
        end = time.monotonic() + seconds
        while missing := [text for text in texts if text not in self.told()]:
            assert time.monotonic() < end, f"the log does not say {missing}:\n{self.told()}"
            time.sleep(0.05)

    def until_all(self, source: str, sent: int, seconds: float = 30.0) -> dict[str, float]:
        """Waits until everything that was sent is accounted for, and gives the account. More than was sent is never right."""
        seen = self.until(lambda s: sum(s.account(source).values()) >= sent, seconds)
        account = seen.account(source)
        assert sum(account.values()) == sent, f"{sent} were sent; {account}"
        return account

    # what it costs

    def rss(self) -> int:
        """Resident memory, bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu(self) -> float:
        """Seconds of CPU so far, of threads that ended too."""
        # The clock of a process by its number, as clock_getcpuclockid(3) makes it.
        return time.clock_gettime(~self.process.pid << 3 | 2)


@pytest.fixture
def agents(tmp_path):
    """Makes agents. Those that still run at the end must stop when they are asked to."""
    made: list[Agent] = []

    def make(name: str = "agent") -> Agent:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Agent(folder))
        return made[-1]

    yield make
    failed = []
    for agent in made:
        if agent.alive():
            try:
                agent.stop()
            except AssertionError as why:
                failed.append(str(why))
    assert not failed, "\n".join(failed)


@pytest.fixture
def agent(agents) -> Agent:
    """One agent, not yet configured."""
    return agents()


@pytest.fixture
def disk(tmp_path):
    """A disk that can be made slow, full, read-only or broken."""
    disk = Disk(tmp_path / "mount", tmp_path / "files")
    yield disk
    disk.end()


def program(name: str) -> str:
    """A program that this suite needs."""
    path = shutil.which(name)
    assert path, f"{name} is not installed; `make partners` installs it"
    return path


def npm(folder: Path, *packages: str) -> Path:
    """A folder with packages of npm; skips where they cannot be had."""
    command = shutil.which("npm")
    if not command:
        pytest.skip(f"there is no npm, so {packages[0]} was not asked")
    done = subprocess.run([command, "install", "--prefix", folder, "--no-audit", "--no-fund", *packages], capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot install {packages[0]}: {done.stderr[-200:]}")
    return folder / "node_modules"


def stage(pipeline: str, name: str = "s", seconds: float = 0.02, **more) -> bytes:
    """One stage event, without its line end."""
    event = {"type": "stage", "pipeline": pipeline, "stage": name, "seconds": seconds, **more}
    return json.dumps(event, separators=(",", ":")).encode()


def unix(path: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A connected Unix socket."""
    client = socket.socket(socket.AF_UNIX, kind)
    client.settimeout(PATIENCE)
    client.connect(path)
    return client


def udp(port: int) -> socket.socket:
    """A connected UDP socket."""
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", port))
    return client


def tcp(port: int) -> socket.socket:
    """A connected TCP socket."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE)
