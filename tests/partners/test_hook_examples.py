"""The hooks that ship, run as the agent runs them."""
from __future__ import annotations

import os
import subprocess
import time

import pytest

from conftest import ROOT

HOOKS = ROOT / "deploy" / "hooks"


def run(hook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([HOOKS / hook, *arguments], capture_output=True, text=True, timeout=20, env={"PATH": os.environ["PATH"], **environment})


def test_old_files_are_deleted_where_it_was_said_and_nowhere_else(tmp_path):
    outside, scratch = tmp_path / "outside", tmp_path / "scratch"
    (scratch / "deep er").mkdir(parents=True)
    outside.mkdir()
    old = time.time() - 30 * 86_400

    def file(path, kilobytes: int, is_old: bool):
        path.write_bytes(b"x" * kilobytes * 1024)
        if is_old:
            os.utime(path, (old, old))
        return path

    gone = [file(scratch / "a", 20, True), file(scratch / "deep er" / "b\nc", 20, True)]
    kept = [file(scratch / "new", 20, False), file(scratch / "small", 4, True), file(outside / "a", 20, True)]
    (scratch / "link").symlink_to(outside)
    (scratch / "link-to-file").symlink_to(outside / "a")
    done = run("delete-old-files", "14", "10", str(scratch))
    assert done.returncode == 0 and str(scratch / "a") in done.stdout, done.stderr
    assert not any(path.exists() for path in gone) and all(path.exists() for path in kept)
    assert (scratch / "link").is_symlink() and (scratch / "deep er").is_dir()


@pytest.mark.parametrize("arguments", [
    [], ["14", "10"], ["x", "10", "FOLDER"], ["14", "-1", "FOLDER"], ["14", "10", "/"], ["14", "10", "relative"],
    ["14", "10", "/tmp"], ["14", "10", "FOLDER", "/no/such/folder"], ["14", "10", "LINK"],
])
def test_what_is_not_named_well_deletes_nothing(tmp_path, arguments):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    file = folder / "a"
    file.write_bytes(b"x" * 20_480)
    os.utime(file, (0, 0))
    named = [str(folder) if a == "FOLDER" else str(tmp_path / "link") if a == "LINK" else a for a in arguments]
    done = run("delete-old-files", *named)
    assert done.returncode == 2 and done.stderr and file.exists(), done


def test_the_processes_that_use_the_machine_are_recorded():
    for alert, column in (("NeuralHostMemory", "RSS"), ("NeuralHostCpu", "%CPU")):
        done = run("record-processes", NEURAL_ALERT=alert)
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and column in lines[0] and 2 < len(lines) <= 11, done
    assert run("record-processes", NEURAL_ALERT="NeuralGpuBusy").returncode == 0
