#!/usr/bin/env python3
"""Outlets of liblsl that push in real time, for `measure.py --only streams`. Needs pylsl and numpy.

Prints "ready" when they can be found. With --seconds it waits until each of them is read, pushes for so long, and prints how
many samples of each stream that were, and how late the latest chunk was; without, it is there until its input ends.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--channels", type=int, default=32)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--chunk", type=float, default=0.02, help="seconds of one push")
    parser.add_argument("--session", default="measure")
    parser.add_argument("--seconds", type=float, default=0)
    o = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as file:
        file.write(f"[multicast]\nResolveScope = machine\n[lab]\nSessionID = {o.session}\n[log]\nlevel = -1\n")
        file.flush()
        os.environ["LSLAPICFG"] = file.name
        import numpy
        import pylsl

        def outlet(number: int) -> pylsl.StreamOutlet:
            info = pylsl.StreamInfo(f"s{number}", "EEG", o.channels, o.rate, "float32", f"measure-{number}")
            channels = info.desc().append_child("channels")
            for k in range(o.channels):
                channels.append_child("channel").append_child_value("label", f"C{k}").append_child_value("unit", "microvolts")
            return pylsl.StreamOutlet(info)

        outlets = [outlet(number) for number in range(o.streams)]
        print("ready", flush=True)
        if not o.seconds:
            sys.stdin.read()
            return
        while not all(one.have_consumers() for one in outlets):
            time.sleep(0.01)
        size = max(1, round(o.rate * o.chunk))
        # Chunks that are not alike: noise of some microvolts, and a wave.
        noise = numpy.random.default_rng(7).normal(0, 20, (8, size, o.channels)).astype(numpy.float32)
        began, pushed, late = pylsl.local_clock(), 0, 0.0
        while pushed < o.seconds * o.rate:
            due = began + (pushed + size) / o.rate
            now = pylsl.local_clock()
            if now < due:
                time.sleep(due - now)
            late = max(late, now - due)
            values = noise[pushed // size % len(noise)]
            for one in outlets:
                one.push_chunk(values, due)
            pushed += size
        print(json.dumps({"pushed": pushed, "late": late, "cpu": time.process_time()}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
