"""Cards of NVIDIA that are not there: the library of their driver, played (`nvml/played.c`), and a reader of it that is
NVIDIA's own (`nvml/reader.py`).

What is shown with them is that the agent reads that library as NVIDIA's bindings do. Constants and layouts of structures
are those bindings' too: the header that the library is compiled with is made from them. No driver was ever asked.
"""
from __future__ import annotations

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pynvml

from conftest import program

HERE = Path(__file__).resolve().parent / "nvml"
STRUCTURES = ["c_nvmlUtilization_t", "c_nvmlMemory_v2_t", "c_nvmlProcessInfo_v2_t", "c_nvmlEventData_t"]
NAMES = {
    ctypes.c_uint: "unsigned int",
    ctypes.c_int: "int",
    ctypes.c_ulonglong: "unsigned long long",
    pynvml.c_nvmlDevice_t: "void *",
}


def header() -> str:
    """Constants and structures of NVIDIA's bindings, in C."""
    lines = []
    for name, value in sorted(vars(pynvml).items()):
        if name.lower().startswith("nvml") and type(value) is int:
            lines.append(f"#define {name} {value:#x}{'ull' if value > 0x7FFFFFFF else ''}")
    for name in STRUCTURES:
        of = getattr(pynvml, name)
        fields = " ".join(f"{NAMES[kind]} {field};" for field, kind in of._fields_)
        lines.append(f"typedef struct {{ {fields} }} {name};")
        lines.append(f"_Static_assert(sizeof({name}) == {ctypes.sizeof(of)}, \"{name}\");")
        for field, _ in of._fields_:
            lines.append(f"_Static_assert(__builtin_offsetof({name}, {field}) == {getattr(of, field).offset}, \"{name}.{field}\");")
    return "\n".join(lines) + "\n"


class Cards:
    """The played library in a folder of its own, what it is told to answer, and NVIDIA's reader of it."""

    def __init__(self, folder: Path):
        (folder / "nvml.h").write_text(header())
        self.script = folder / "script"
        self.library = {"LD_LIBRARY_PATH": str(folder)}
        # For a test that says what happens.
        self.scripted = {**self.library, "PLAYED_NVML": str(self.script)}
        self.lines: list[str] = []
        self.reader: subprocess.Popen | None = None
        command = [program("cc"), "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{folder}"]
        subprocess.run([*command, "-o", str(folder / "libnvidia-ml.so.1"), str(HERE / "played.c")], check=True)

    def say(self, *lines: str) -> None:
        """Says what happens from now on."""
        self.lines = list(lines)
        new = self.script.with_suffix(".new")
        new.write_text("\n".join(lines) + "\n")
        new.rename(self.script)

    def add(self, *lines: str) -> None:
        """Says what happens besides."""
        self.say(*self.lines, *lines)

    def read(self) -> dict[tuple, float]:
        """What NVIDIA's bindings read now, by the name and labels of its metric."""
        if self.reader is None:
            self.reader = subprocess.Popen(
                [sys.executable, str(HERE / "reader.py")], env={"PATH": "/usr/bin:/bin", **self.scripted},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
        self.reader.stdin.write("?\n")
        self.reader.stdin.flush()
        series = json.loads(self.reader.stdout.readline())
        return {(name, *sorted(labels.items())): value for name, labels, value in series}

    def close(self) -> None:
        if self.reader is not None:
            self.reader.stdin.close()
            self.reader.wait(20)
            self.reader.stdout.close()
