#!/usr/bin/env python3
"""What spans cost that are sent by OTLP over HTTP as protobuf: CPU of the whole agent, its history and rules included.

First as many as one connection sends, then 10,000 a second. Spans have five attributes and are of twenty names, one in fifty failed. CPU is
that of the process by its own clock, kernel time included. Only the standard library.
"""
from __future__ import annotations

import argparse
import http.client
import re
import statistics
import struct
import time
from pathlib import Path

import measure
from measure import Agent, Machine, free_port


def varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def attribute(number: int, key: str, value: str) -> bytes:
    return field(number, field(1, key.encode()) + field(2, field(1, value.encode())))


def span(number: int, now: int, attributes: int) -> bytes:
    took = number % 100 * 1_000_000
    return b"".join([
        field(1, (number + 1).to_bytes(16, "big")),
        field(2, (number + 1).to_bytes(8, "big")),
        field(4, (number + 7).to_bytes(8, "big")),
        field(5, f"GET /route/{number % 20}".encode()),
        b"\x30\x02\x39" + struct.pack("<Q", now - took) + b"\x41" + struct.pack("<Q", now),
        *(attribute(9, f"http.attribute.{at}", f"value {at}") for at in range(attributes)),
        field(15, b"\x18\x02" if number % 50 == 0 else b""),
    ])


def request(spans: int, attributes: int) -> bytes:
    now = time.time_ns()
    scope = field(2, b"".join(field(2, span(number, now, attributes)) for number in range(spans)))
    return field(1, field(1, attribute(1, "service.name", "shop")) + scope)


def send(port: int, body: bytes, spans: int, seconds: float, rate: int = 0) -> tuple[int, float]:
    """Sends the same request again and again. Says how many spans went, and in how many seconds."""
    to, sent, began = http.client.HTTPConnection("127.0.0.1", port), 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if rate and sent > passed * rate:
            time.sleep(sent / rate - passed)
            continue
        to.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        answer = to.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        sent += spans
    to.close()
    return sent, time.monotonic() - began


def counted(agent: Agent) -> int:
    return sum(int(float(value)) for value in re.findall(r"^neural_span_duration_seconds_count\{.*\} (\S+)", agent.scrape(), re.M))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=measure.PROGRAM)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--attributes", type=int, default=5)
    options = parser.parse_args()
    measure.PROGRAM = options.program
    port = free_port()
    with Agent(sources=[{"otlp": {"listen": f"tcp://127.0.0.1:{port}"}}]) as agent:
        sent, machine = 0, Machine()
        for what, spans, rate in (("all that is sent, 500 in a request", 500, 0), ("10,000 a second, 100 in a request", 100, 10_000)):
            body = request(spans, options.attributes)
            sent += send(port, body, spans, 2, rate)[0]
            agent.settle()
            each, shares, rates = [], [], []
            for _ in range(options.rounds):
                before = agent.cpu()
                number, seconds = send(port, body, spans, options.seconds, rate)
                agent.settle()
                cpu = (agent.cpu() - before) / 1e9
                sent += number
                each.append(cpu / number * 1e6)
                shares.append(cpu / seconds)
                rates.append(number / seconds)
            assert counted(agent) == sent, (counted(agent), sent)
            one = statistics.median(each)
            print(
                f"{what}: {statistics.median(rates):,.0f} spans/s, {len(body) / spans:.0f} bytes each; {one:.2f} [{min(each):.2f}-{max(each):.2f}] us of CPU a span, "
                f"{1e6 / one:,.0f} a second and core; {statistics.median(shares):.2%} of a core"
            )
        print(f"{sent:,} spans sent and counted; {agent.rss():.1f} MiB resident; the machine was {machine.busy():.0%} busy")


if __name__ == "__main__":
    main()
