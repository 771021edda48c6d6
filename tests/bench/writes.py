#!/usr/bin/env python3
"""What remote write costs: CPU of the whole agent with 10,000 series each five seconds, beside one that sends nothing, and memory while the target is away.

Agents run side by side: one without a target, one for each version of the protocol to a server that takes all, and one whose target is not there.
All are sent 10,000 gauges with new values every five seconds. CPU is that of the process by its own clock, kernel time included. Only the
standard library.
"""
from __future__ import annotations

import argparse
import http.server
import socket
import threading
import time
from pathlib import Path

import measure
from measure import Agent, Machine, free_port

SERIES = 10_000
LIMITS = {"series": 40_000, "series_per_family": 40_000, "series_per_source": 20_000}


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes everything, and says so as version 2.0 wants it."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        for name, value in (("Samples", 1_000_000), ("Exemplars", 1_000_000)):
            self.send_header(f"X-Prometheus-Remote-Write-{name}-Written", str(value))
        self.end_headers()

    def log_message(self, *_):
        pass


def feed(agents: list[Agent], stop: threading.Event) -> None:
    """New values of every series, to all agents, every five seconds."""
    clients = [socket.create_connection(("127.0.0.1", int(agent.to["tcp"].rsplit(":", 1)[1]))) for agent in agents]
    turn = 0
    while not stop.wait(5 if turn else 0):
        turn += 1
        lines = "".join(f"figure:{turn + number % 97}|g|#number:{number}\n" for number in range(SERIES)).encode()
        for client in clients:
            client.sendall(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=measure.PROGRAM)
    parser.add_argument("--seconds", type=float, default=120, help="for CPU")
    parser.add_argument("--away", type=float, default=600, help="for memory, from the begin on")
    options = parser.parse_args()
    measure.PROGRAM = options.program
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/write"
    target = lambda message, url=url: {"remote_write": [{"url": url, "name": "t", "protobuf_message": message}]}
    kinds = {
        "no target": {},
        "version 1.0": target("prometheus.WriteRequest"),
        "version 2.0": target("io.prometheus.write.v2.Request"),
        "away": target("prometheus.WriteRequest", f"http://127.0.0.1:{free_port()}/write"),
    }
    agents = {kind: Agent(limits=LIMITS, **settings) for kind, settings in kinds.items()}
    stop = threading.Event()
    try:
        began, machine = time.monotonic(), Machine()
        threading.Thread(target=feed, args=(list(agents.values()), stop), daemon=True).start()
        time.sleep(20)
        before, at = {kind: agent.cpu() for kind, agent in agents.items()}, time.monotonic()
        time.sleep(options.seconds)
        took = time.monotonic() - at
        shares = {kind: (agent.cpu() - before[kind]) / 1e9 / took for kind, agent in agents.items()}
        busy = machine.busy()
        for version in ("version 1.0", "version 2.0"):
            own = shares[version] - shares["no target"]
            print(f"{SERIES:,} series each 5 s, {version}: {own:.2%} of a core, of {shares[version]:.2%} in all; the machine was {busy:.0%} busy")
        print(f"a target that is away: {shares['away'] - shares['no target']:.2%} of a core")
        time.sleep(max(0.0, options.away - (time.monotonic() - began)))
        rss = {kind: agent.rss() for kind, agent in agents.items()}
        print(
            f"after {time.monotonic() - began:.0f} s: {rss['away']:.1f} MiB resident without the target, {rss['no target']:.1f} MiB with none configured, "
            f"{rss['version 1.0']:.1f} and {rss['version 2.0']:.1f} MiB with one that takes all"
        )
        sent = "neural_remote_write_samples_total"
        assert sent in agents["version 1.0"].scrape()
    finally:
        stop.set()
        for agent in agents.values():
            agent.__exit__()


if __name__ == "__main__":
    main()
