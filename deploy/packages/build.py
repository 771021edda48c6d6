#!/usr/bin/env python3
"""Packages of a program that is already built: `build.py --binary target/dist/neural-exporter --out target/packages`.

It makes the tree of files and has dpkg-deb pack it. cargo-deb would be compiled for minutes wherever a package is built; dpkg-deb is on every
Debian, and the same tree serves other formats. The bytes depend on nothing but the binary, this repository and SOURCE_DATE_EPOCH (by default
the time of the last commit).
"""
from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
from email.utils import formatdate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "deploy/packages"
NAME = "neural-exporter"
MAINTAINER = "The neural-exporter maintainers <neural-exporter@users.noreply.github.com>"
# e_machine of ELF.
MACHINES = {62: "amd64", 183: "arm64", 40: "armhf"}

# Where each file goes, and its mode. A folder goes with all that is in it.
FILES = [
    ("deploy/packages/config.yml", "etc/neural-exporter/config.yml", 0o644),
    ("deploy/systemd/neural-exporter.sysusers", "usr/lib/sysusers.d/neural-exporter.conf", 0o644),
    ("deploy/systemd/socket-activation/neural-exporter-events.socket", "lib/systemd/system/neural-exporter-events.socket", 0o644),
    ("deploy/systemd/socket-activation/neural-exporter-http.socket", "lib/systemd/system/neural-exporter-http.socket", 0o644),
    ("deploy/systemd/socket-activation/neural-exporter-statsd.socket", "lib/systemd/system/neural-exporter-statsd.socket", 0o644),
    ("deploy/udev/70-neural-exporter.rules", "lib/udev/rules.d/70-neural-exporter.rules", 0o644),
    ("deploy/hooks/delete-old-files", "usr/share/neural-exporter/hooks/delete-old-files", 0o755),
    ("deploy/hooks/record-processes", "usr/share/neural-exporter/hooks/record-processes", 0o755),
    ("deploy/hooks/hooks.yml", "usr/share/neural-exporter/hooks/hooks.yml", 0o644),
    ("deploy/config.schema.json", "usr/share/neural-exporter/config.schema.json", 0o644),
    ("deploy/events.schema.json", "usr/share/neural-exporter/events.schema.json", 0o644),
    ("deploy/pack.schema.json", "usr/share/neural-exporter/pack.schema.json", 0o644),
    ("deploy/config.example.yml", "usr/share/doc/neural-exporter/examples/config.example.yml", 0o644),
    ("deploy/systemd/socket-activation/config.yml", "usr/share/doc/neural-exporter/examples/socket-activation.yml", 0o644),
    ("deploy/packs", "usr/share/doc/neural-exporter/examples/packs", 0o644),
]
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/neural-exporter",
    "zsh": "usr/share/zsh/vendor-completions/_neural-exporter",
    "fish": "usr/share/fish/vendor_completions.d/neural-exporter.fish",
}

OVERRIDES = """# No library of the system: a translation of it into Rust, which the reader of YAML is made of.
neural-exporter: embedded-library libyaml *
"""


def say(*command: object) -> bytes:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, cwd=ROOT).stdout


def epoch() -> int:
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return int(given) if given else int(say("git", "log", "-1", "--format=%ct"))


class Tree:
    """The files as they are installed, below a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def put(self, path: str, data: bytes | str, mode: int = 0o644) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode)

    def put_gz(self, path: str, data: bytes | str) -> None:
        self.put(path + ".gz", gzip.compress(data.encode() if isinstance(data, str) else data, 9, mtime=0))

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def settle(self, seconds: int) -> None:
        """Modes of folders, and one time for everything, whatever the umask and the clock are."""
        for path in [self.folder, *self.folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)
        for path in [*self.folder.rglob("*"), self.folder]:
            os.utime(path, (seconds, seconds))


def unit() -> str:
    """The unit for systemd 252 as well: what the drop-in for it changes is in the unit."""
    shipped = ROOT / "deploy/systemd"
    dropped = (shipped / "neural-exporter.service.d/systemd-252.conf").read_text().split("[Service]\n")[1].strip()
    text = (shipped / "neural-exporter.service").read_text()
    text = text[text.index("[Unit]"):]
    told = re.compile(r"^# Readiness, .*\nType=notify-reload$", re.M)
    assert told.search(text), "the unit has no Type=notify-reload"
    return told.sub(lambda _: "# The form that systemd 252 knows as well.\n" + dropped, text)


def crates() -> list[dict]:
    """The crates that are linked into the program, by name."""
    told = json.loads(say("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"))
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    seen, ahead = set(), [told["resolve"]["root"]]
    while ahead:
        one = ahead.pop()
        if one in seen:
            continue
        seen.add(one)
        ahead += [to["pkg"] for to in nodes[one]["deps"] if any(kind["kind"] is None for kind in to["dep_kinds"])]
    seen.discard(told["resolve"]["root"])
    return sorted((of for of in told["packages"] if of["id"] in seen), key=lambda of: (of["name"], of["version"]))


def third_party() -> str:
    """Every licence text of what is linked in, each once, under the crates that have it."""
    texts: dict[str, list[str]] = {}
    out = ["What is linked into neural-exporter, and its licences.\n\n"]
    for of in crates():
        label = f"{of['name']} {of['version']}"
        out.append(f"{label}: {of['license'] or 'see its text'}\n")
        folder = Path(of["manifest_path"]).parent
        for file in sorted(folder.iterdir()):
            if file.is_file() and re.match(r"(?i)(licen[sc]e|copying|notice|unlicense|copyright)", file.name):
                texts.setdefault(file.read_text(errors="replace").replace("\r\n", "\n").strip(), []).append(label)
    for text, who in texts.items():
        out.append(f"\n{'=' * 80}\n{', '.join(dict.fromkeys(who))}\n{'-' * 80}\n{text}\n")
    return "".join(out)


def copyright_text() -> str:
    mit = (ROOT / "LICENSE-MIT").read_text()
    owner = re.search(r"^Copyright.*$", mit, re.M)
    body = "\n".join(f" {line}" if line.strip() else " ." for line in mit[mit.index("Permission"):].strip().splitlines())
    return f"""Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: {NAME}
Comment: Crates that are linked in have licences of their own:
 /usr/share/doc/{NAME}/THIRD-PARTY.gz has each of them, with its text.

Files: *
Copyright: {owner[0].removeprefix("Copyright").strip() if owner else "the authors of neural-exporter"}
License: MIT or Apache-2.0

License: MIT
{body}

License: Apache-2.0
 On Debian, the text of this licence is in /usr/share/common-licenses/Apache-2.0.
"""


def fill(tree: Tree, binary: Path, runs: Path, version: str, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stripped = Path(folder) / NAME
        subprocess.run(["strip", "--strip-all", "-o", stripped, binary], check=True)
        tree.put("usr/bin/neural-exporter", stripped.read_bytes(), 0o755)
    for source, to, mode in FILES:
        at = ROOT / source
        for file in sorted(at.iterdir()) if at.is_dir() else [at]:
            tree.put(f"{to}/{file.name}" if at.is_dir() else to, file.read_bytes(), mode)
    tree.put("lib/systemd/system/neural-exporter.service", unit())
    for shell, to in COMPLETIONS.items():
        tree.put(to, say(runs, "completions", shell))
    tree.put_gz("usr/share/man/man1/neural-exporter.1", say(runs, "man"))
    docs = "usr/share/doc/neural-exporter"
    tree.put(f"{docs}/copyright", copyright_text())
    tree.put_gz(f"{docs}/THIRD-PARTY", third_party())
    tree.put_gz(f"{docs}/CHANGELOG.md", (ROOT / "CHANGELOG.md").read_bytes())
    tree.put(f"usr/share/lintian/overrides/{NAME}", OVERRIDES)
    tree.put_gz(f"{docs}/changelog", f"{NAME} ({version}) stable; urgency=medium\n\n  * What changed: /usr/share/doc/{NAME}/CHANGELOG.md.gz\n\n"
                                     f" -- {MAINTAINER}  {formatdate(seconds)}\n")


def debian(tree: Tree, binary: bytes, version: str, seconds: int, out: Path, level: int) -> Path:
    """The control files beside the tree, and the package of both."""
    machine = MACHINES[int.from_bytes(binary[18:20], "little")]
    # The newest symbol that the program asks of the C library says which one it needs.
    minor = max(int(found) for found in re.findall(rb"GLIBC_2\.(\d+)", binary))
    files = tree.files()
    size = sum((file.stat().st_size + 1023) // 1024 for file in files) + sum(1 for path in tree.folder.rglob("*") if path.is_dir())
    control = Tree(tree.folder / "DEBIAN")
    sums = "".join(f"{hashlib.md5(file.read_bytes()).hexdigest()}  {file.relative_to(tree.folder)}\n" for file in files
                   if not str(file.relative_to(tree.folder)).startswith("etc/"))
    control.put("md5sums", sums)
    control.put("conffiles", "/etc/neural-exporter/config.yml\n")
    for script in ("postinst", "prerm", "postrm"):
        control.put(script, (HERE / "debian" / script).read_bytes(), 0o755)
    control.put("control", f"""Package: {NAME}
Version: {version}
Architecture: {machine}
Maintainer: {MAINTAINER}
Installed-Size: {size}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.{minor}), libgcc-s1 (>= 4.2), systemd | systemd-sysusers
Recommends: udev
Section: science
Priority: optional
Description: Health of neural pipelines and acquisition devices as OpenMetrics
 A small agent beside an amplifier or a neural pipeline. It reads what is
 there already (serial boards, LSL streams, recording programs, JSON lines,
 StatsD, OpenTelemetry) and tells Prometheus whether the signal is whole, every
 electrode good, the stages fast and the machine well. It has a page, alerts
 and a month of history of its own.
 .
 The service runs as a user of its own in a sandbox, and listens at loopback
 alone until its configuration says otherwise.
""")
    tree.settle(seconds)
    package = out / f"{NAME}_{version}_{machine}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--threads-max=1", "-Zxz", f"-z{level}", "--build", tree.folder, package],
                   check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SOURCE_DATE_EPOCH": str(seconds)})
    shutil.rmtree(control.folder)
    return package


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--binary", type=Path, default=ROOT / "target/dist/neural-exporter")
    ask.add_argument("--runs", type=Path, help="a build of the same sources that runs here, if --binary is for another machine")
    ask.add_argument("--out", type=Path, default=ROOT / "target/packages")
    ask.add_argument("--version", help="instead of that of Cargo.toml")
    ask.add_argument("--level", type=int, default=6, help="of xz; 0 is quick")
    given = ask.parse_args()
    version = given.version or tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["version"]
    seconds = epoch()
    binary = given.binary.resolve()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "tree")
        fill(tree, binary, (given.runs or binary).resolve(), version, seconds)
        print(debian(tree, (tree.folder / "usr/bin/neural-exporter").read_bytes(), version, seconds, out, given.level))


if __name__ == "__main__":
    main()
