"""The Debian package: what is in it, and its life on a machine.

Independent: dpkg, lintian, and a systemd that is PID 1 of a machine made for the test: a tree in name spaces of its own, with a network and control
groups of its own. The tree is this machine's own system, of which nothing is changed, or what PACKAGES_ROOT names: a fresh one, of debootstrap.
"""
from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import PROGRAM, ROOT, wait_until

HIERARCHIES = sorted({path.parent for path in Path("/sys/fs/cgroup").glob("*/cgroup.procs") if not path.parent.is_symlink()}
                     if not Path("/sys/fs/cgroup/cgroup.procs").exists() else {Path("/sys/fs/cgroup")})
# Run with a root of its own in name spaces of its own. systemd mounts the control groups that it wants below the names that are there.
BOOT = """
set -e
root=$1/root
mount --make-rprivate /
mount -t tmpfs tmpfs $1
mkdir $1/changes $1/work $root
mount -t overlay overlay -o lowerdir=$2,upperdir=$1/changes,workdir=$1/work $root
mount -t proc proc $root/proc
mount -t sysfs -o ro sysfs $root/sys
mount -t tmpfs -o mode=755 tmpfs $root/sys/fs/cgroup
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup
else
    mkdir $root/sys/fs/cgroup/systemd $root/sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup $root/sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 $root/sys/fs/cgroup/unified
fi
mount -t tmpfs -o mode=755 tmpfs $root/dev
for device in null zero full random urandom tty; do touch $root/dev/$device; mount --bind /dev/$device $root/dev/$device; done
mkdir $root/dev/pts $root/dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts $root/dev/pts
ln -s pts/ptmx $root/dev/ptmx
for folder in dev/shm tmp run; do mount -t tmpfs tmpfs $root/$folder; done
chmod 755 $root/run
mkdir $root/tmp/packages
mount --bind $3 $root/tmp/packages
rm -f $root/usr/sbin/policy-rc.d
ip link set lo up
echo made
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot $root /lib/systemd/systemd --system --unit=basic.target
"""


def built(out: Path, binary: Path) -> Path:
    command = [sys.executable, ROOT / "deploy/packages/build.py", "--binary", binary, "--out", out, "--level", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


def later(package: Path, folder: Path) -> Path:
    """The same package as a later version."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "tree"], check=True)
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 99", control.read_text(), flags=re.M))
    to = package.with_name("neural-exporter_99.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", folder / "tree", to], check=True, stdout=subprocess.DEVNULL)
    return to


@pytest.fixture(scope="module")
def binary(tmp_path_factory) -> Path:
    """The program without what a debugger needs, once for all builds."""
    for name in ("dpkg-deb", "strip"):
        if not shutil.which(name):
            pytest.skip(f"there is no {name}")
    to = tmp_path_factory.mktemp("binary") / "neural-exporter"
    subprocess.run(["strip", "--strip-all", "-o", to, PROGRAM], check=True)
    return to


@pytest.fixture(scope="module")
def packages(tmp_path_factory, binary) -> list[Path]:
    """The package, and the same as a later version."""
    first = built(tmp_path_factory.mktemp("packages"), binary)
    return [first, later(first, tmp_path_factory.mktemp("later"))]


def test_the_same_sources_make_the_same_bytes(packages, binary, tmp_path):
    old = os.umask(0o077)
    try:
        again = built(tmp_path, binary)
    finally:
        os.umask(old)
    assert again.read_bytes() == packages[0].read_bytes()


def test_everything_is_in_it_and_belongs_to_root(packages):
    said = subprocess.run(["dpkg-deb", "--contents", packages[0]], capture_output=True, text=True, check=True).stdout
    modes = {}
    for line in said.splitlines():
        mode, owner, _, _, _, path = line.split(None, 5)
        assert owner == "root/root", line
        assert mode == "drwxr-xr-x" if path.endswith("/") else mode in ("-rw-r--r--", "-rwxr-xr-x"), line
        modes[path.removeprefix(".")] = mode
    for path in (
        "/etc/neural-exporter/config.yml", "/lib/systemd/system/neural-exporter.service", "/lib/systemd/system/neural-exporter-http.socket",
        "/usr/lib/sysusers.d/neural-exporter.conf", "/lib/udev/rules.d/70-neural-exporter.rules", "/usr/share/man/man1/neural-exporter.1.gz",
        "/usr/share/bash-completion/completions/neural-exporter", "/usr/share/zsh/vendor-completions/_neural-exporter",
        "/usr/share/fish/vendor_completions.d/neural-exporter.fish", "/usr/share/doc/neural-exporter/copyright",
        "/usr/share/doc/neural-exporter/THIRD-PARTY.gz", "/usr/share/doc/neural-exporter/changelog.gz",
    ):
        assert modes.get(path) == "-rw-r--r--", path
    programs = {path for path, mode in modes.items() if mode == "-rwxr-xr-x"}
    assert programs == {"/usr/bin/neural-exporter", *(f"/usr/share/neural-exporter/hooks/{name}" for name in ("delete-old-files", "record-processes"))}


def test_every_crate_has_its_licence(packages, tmp_path):
    subprocess.run(["dpkg-deb", "--extract", packages[0], tmp_path], check=True)
    text = subprocess.run(["zcat", tmp_path / "usr/share/doc/neural-exporter/THIRD-PARTY.gz"], capture_output=True, text=True, check=True).stdout
    tree = subprocess.run(["cargo", "tree", "--locked", "-e", "normal", "--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "-f", "{p}"],
                          capture_output=True, text=True, check=True, cwd=ROOT).stdout
    linked = {tuple(line.split()[:2]) for line in tree.splitlines() if "proc-macro" not in line and line} - {("neural-exporter", "v0.1.0")}
    assert len(linked) > 100
    missing = [f"{name} {version}" for name, version in linked if f"\n{name} {version.removeprefix('v')}: " not in text]
    assert not missing


def test_lintian_has_nothing_to_say(packages):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed")
    done = subprocess.run(["lintian", "--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning", packages[0]],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr


class Machine:
    """A machine with systemd as its PID 1."""

    def __init__(self, folder: Path, shared: Path):
        self.log, name = folder / "machine.log", f"neural-packages-{os.getpid()}"
        self.groups = [path / name for path in HIERARCHIES]
        for group in self.groups:
            group.mkdir()
            # A group of cpusets takes nobody before it has processors.
            for of in ("cpuset.cpus", "cpuset.mems"):
                if (group / of).exists() and (group.parent / of).read_text().strip():
                    (group / of).write_text((group.parent / of).read_text())
        (folder / "machine").mkdir()
        join = "".join(f"echo $$ > {group}/cgroup.procs && " for group in self.groups)
        spaces = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child=KILL"]
        command = [*spaces, "sh", "-c", BOOT, "boot", str(folder / "machine"), os.environ.get("PACKAGES_ROOT", "/"), str(shared)]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["sh", "-c", f"{join} exec \"$@\"", "join", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.root = folder / "machine/root"

    def first(self) -> str | None:
        """PID 1 of the machine, by its number here."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split() if self.process.poll() is None else []
        return found[0] if found else None

    def run(self, *words: object, ok: bool = True, seconds: float = 60) -> str:
        into = ["nsenter", "--target", self.first() or "1", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        assert self.first(), self.log.read_text()[-2000:]
        done = subprocess.run([*into, "chroot", str(self.root), *environment, *map(str, words)], capture_output=True, text=True, timeout=seconds)
        assert done.returncode == 0 or not ok, (words, done.stdout[-3000:], done.stderr[-3000:], self.log.read_text()[-500:])
        return done.stdout.strip()

    def is_up(self) -> bool:
        if self.process.poll() is not None:
            return True
        return "made" in self.log.read_text() and self.run("systemctl", "is-system-running", ok=False) in ("running", "degraded")

    def show(self, what: str) -> str:
        return self.run("systemctl", "show", "--value", f"--property={what}", "neural-exporter.service")

    def there(self, path: str) -> bool:
        return self.run("sh", "-c", f"test -e {path} && echo yes", ok=False) == "yes"

    def end(self) -> None:
        if first := self.first():
            os.kill(int(first), 9)
        self.process.wait(20)
        for group in self.groups:
            wait_until(lambda: not any(p.read_text().strip() for p in group.rglob("cgroup.procs")), 20, "the end of the machine")
            for folder in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
                folder.rmdir()
            group.rmdir()


@pytest.fixture
def machine(tmp_path, packages):
    if os.geteuid() or not HIERARCHIES or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        pytest.skip("a machine of its own needs root, control groups, unshare, nsenter and ip")
    try:
        made = Machine(tmp_path, packages[0].parent)
    except OSError as why:
        pytest.skip(f"no control groups of its own: {why}")
    try:
        # Whether it can be started is the affair of the machine that the tests run on.
        with contextlib.suppress(AssertionError):
            wait_until(made.is_up, 60, "the start of systemd")
        if made.process.poll() is not None or not made.is_up():
            pytest.skip(f"systemd cannot be PID 1 of a machine here: {made.log.read_text()[-300:]}")
        yield made
    finally:
        made.end()


def served(machine: Machine, path: str) -> str:
    """What the agent answers in that machine's own network, by its own program."""
    ask = f"""exec 3<>/dev/tcp/127.0.0.1/9612; printf 'GET {path} HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3; cat <&3"""
    return machine.run("bash", "-c", ask)


def test_it_is_installed_started_upgraded_removed_and_purged(machine, packages):
    first, second = (f"/tmp/packages/{package.name}" for package in packages)
    machine.run("dpkg", "--install", first)
    assert machine.show("ActiveState") == "active", machine.run("journalctl", "-u", "neural-exporter", "--no-pager")
    assert machine.run("systemctl", "is-enabled", "neural-exporter.service") == "enabled"
    status = machine.run("sh", "-c", f"grep -E '^(Uid|Gid|CapEff|NoNewPrivs|Seccomp):' /proc/{machine.show('MainPID')}/status")
    user = machine.run("id", "-u", "neural-exporter")
    assert int(user) != 0
    assert re.search(rf"^Uid:\t{user}\t{user}\t", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M), status
    assert re.search(r"^NoNewPrivs:\t1$", status, re.M) and re.search(r"^Seccomp:\t2$", status, re.M), status
    assert "dialout" in machine.run("id", "-nG", "neural-exporter") or "dialout" in machine.show("SupplementaryGroups")

    # It counts, and a reload is heard.
    assert "neural_agent_build_info" in served(machine, "/metrics")
    reloads = lambda: re.search(r"^neural_agent_config_reloads_total(?:\{[^}]*\})? (\d+)", served(machine, "/metrics"), re.M)
    before = reloads()
    machine.run("systemctl", "reload", "neural-exporter")
    wait_until(lambda: (now := reloads()) and (not before or now[1] > before[1]), 20, "the reload")

    # What the administrator wrote stays, and so does what the agent remembers.
    machine.run("sh", "-c", "echo '# mine' >> /etc/neural-exporter/config.yml")
    wait_until(lambda: machine.there("/var/lib/neural-exporter/history.db"), 30, "the history")
    inode = machine.run("stat", "-c", "%i", "/var/lib/neural-exporter/history.db")
    old = machine.show("MainPID")
    machine.run("dpkg", "--install", second)
    assert machine.show("ActiveState") == "active" and machine.show("MainPID") != old
    assert "# mine" in machine.run("cat", "/etc/neural-exporter/config.yml")
    assert machine.run("stat", "-c", "%i", "/var/lib/neural-exporter/history.db") == inode

    machine.run("dpkg", "--remove", "neural-exporter")
    assert machine.show("ActiveState") == "inactive"
    assert machine.there("/etc/neural-exporter/config.yml") and machine.there("/var/lib/neural-exporter/history.db")
    assert not machine.there("/usr/bin/neural-exporter")

    machine.run("dpkg", "--purge", "neural-exporter")
    for left in ("/etc/neural-exporter", "/var/lib/neural-exporter", "/run/neural-exporter", "/etc/systemd/system/multi-user.target.wants/neural-exporter.service",
                 "/etc/systemd/system/neural-exporter.service", "/var/lib/systemd/deb-systemd-helper-enabled/neural-exporter.service.dsh-also"):
        assert not machine.there(left), left
    assert machine.run("getent", "passwd", "neural-exporter", ok=False) == ""
    assert machine.run("getent", "group", "neural-exporter", ok=False) == ""
