"""A disk that can be made slow, full, read-only or broken while a program uses it: a file system of FUSE, whose files lie in a folder.

Independent: the kernel, which asks over its own protocol (`include/uapi/linux/fuse.h`, 7.31) what this answers. One request at a time; no
links, no attributes beside the usual ones. Run as a program it serves one mount until that is gone; `Disk` is its remote control.
"""
from __future__ import annotations

import ctypes
import errno
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2
LOOKUP, FORGET, GETATTR, SETATTR, MKDIR, UNLINK, RMDIR, RENAME = 1, 2, 3, 4, 9, 10, 11, 12
OPEN, READ, WRITE, STATFS, RELEASE, FSYNC, FLUSH, INIT = 14, 15, 16, 17, 18, 20, 25, 26
OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, ACCESS, CREATE, INTERRUPT, DESTROY, BATCH_FORGET = 27, 28, 29, 30, 34, 35, 36, 38, 42
RENAME2 = 45
# What changes something, and so waits or fails as it is said.
WRITES = {SETATTR, MKDIR, UNLINK, RMDIR, RENAME, RENAME2, WRITE, CREATE}
LONGEST = 1 << 17


class Server:
    def __init__(self, device: int, folder: Path, says: Path):
        self.device, self.folder, self.says = device, folder, says
        self.paths, self.numbers, self.files = {1: ""}, {"": 1}, {}

    def at(self, number: int, name: bytes = b"") -> str:
        return os.path.join(self.paths[number], os.fsdecode(name.rstrip(b"\0"))) if name else self.paths[number]

    def number(self, path: str) -> int:
        if path not in self.numbers:
            self.numbers[path] = max(self.paths) + 1
            self.paths[self.numbers[path]] = path
        return self.numbers[path]

    def attributes(self, path: str) -> bytes:
        of = os.lstat(self.folder / path)
        times = [of.st_atime_ns, of.st_mtime_ns, of.st_ctime_ns]
        return struct.pack(
            "<QQQQQQIIIIIIIIII", self.number(path), of.st_size, of.st_blocks, *(t // 10**9 for t in times), *(t % 10**9 for t in times),
            of.st_mode, of.st_nlink, of.st_uid, of.st_gid, 0, 4096, 0,
        )

    def entry(self, path: str) -> bytes:
        attributes = self.attributes(path)
        return struct.pack("<QQQQII", self.number(path), 0, 0, 0, 0, 0) + attributes

    def opened(self, path: str, flags: int, mode: int = 0o600) -> bytes:
        # The kernel appends by itself; a file that is only written is read as well where a page is.
        flags = (flags & ~(os.O_APPEND | os.O_ACCMODE)) | (os.O_RDWR if flags & os.O_ACCMODE else os.O_RDONLY)
        file = os.open(self.folder / path, flags, mode)
        self.files[file] = path
        return struct.pack("<QII", file, 0, 0)

    def answer(self, code: int, node: int, body: bytes) -> bytes:
        if code == INIT:
            # 7.31; large writes, no more than one at a time in the background.
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 16, 1 << 5, 12, 9, LONGEST, 1, 0, 0, 0)
        if code == LOOKUP:
            return self.entry(self.at(node, body))
        if code == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self.attributes(self.at(node))
        if code == SETATTR:
            valid, _, _, size = struct.unpack_from("<IIQQ", body)
            path = self.folder / self.at(node)
            if valid & 8:
                os.truncate(path, size)
            if valid & 1:
                os.chmod(path, struct.unpack_from("<I", body, 68)[0] & 0o7777)
            return struct.pack("<QII", 0, 0, 0) + self.attributes(self.at(node))
        if code == MKDIR:
            path = self.at(node, body[8:])
            os.mkdir(self.folder / path, 0o700)
            return self.entry(path)
        if code == UNLINK:
            os.unlink(self.folder / self.at(node, body))
            self.numbers.pop(self.at(node, body), None)
            return b""
        if code == RMDIR:
            os.rmdir(self.folder / self.at(node, body))
            return b""
        if code in (RENAME, RENAME2):
            head = 8 if code == RENAME else 16
            (to,) = struct.unpack_from("<Q", body)
            old, new = body[head:].split(b"\0")[:2]
            one, other = self.at(node, old), self.at(to, new)
            os.rename(self.folder / one, self.folder / other)
            number = self.numbers.pop(one, None)
            if number:
                self.numbers[other], self.paths[number] = number, other
            return b""
        if code == OPEN:
            return self.opened(self.at(node), struct.unpack_from("<I", body)[0] & ~(os.O_CREAT | os.O_EXCL))
        if code == CREATE:
            flags, mode = struct.unpack_from("<II", body)
            path = self.at(node, body[16:])
            opened = self.opened(path, flags | os.O_CREAT, mode & 0o777)
            return self.entry(path) + opened
        if code == READ:
            file, offset, size = struct.unpack_from("<QQI", body)
            return os.pread(file, size, offset)
        if code == WRITE:
            file, offset, size = struct.unpack_from("<QQI", body)
            return struct.pack("<II", os.pwrite(file, body[40 : 40 + size], offset), 0)
        if code == STATFS:
            return struct.pack("<QQQQQIII4x24x", 1 << 20, 1 << 19, 1 << 19, 1 << 16, 1 << 15, 4096, 255, 4096)
        if code == RELEASE:
            (file,) = struct.unpack_from("<Q", body)
            self.files.pop(file, None)
            os.close(file)
            return b""
        if code in (FSYNC, FLUSH, RELEASEDIR, FSYNCDIR, ACCESS):
            return b""
        if code == OPENDIR:
            return struct.pack("<QII", 0, 0, 0)
        if code == READDIR:
            _, offset, size = struct.unpack_from("<QQI", body)
            out = b""
            for place, name in enumerate([b".", b"..", *map(os.fsencode, sorted(os.listdir(self.folder / self.at(node))))]):
                one = struct.pack("<QQII", place + 1, place + 1, len(name), 0) + name
                one += bytes(-len(one) % 8)
                if place >= offset and len(out) + len(one) <= size:
                    out += one
            return out
        raise OSError(errno.ENOSYS, "")

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self.device, LONGEST + 4096)
            except OSError as why:
                if why.errno == errno.EINTR:
                    continue
                return
            _, code, unique, node = struct.unpack_from("<IIQQ", request)
            if code in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            delay, error = self.says.read_text().split()
            try:
                if code in WRITES:
                    time.sleep(float(delay))
                    if int(error):
                        raise OSError(int(error), "")
                out, status = self.answer(code, node, request[40:]), 0
            except OSError as why:
                out, status = b"", -(why.errno or errno.EIO)
            except KeyError:
                out, status = b"", -errno.ESTALE
            try:
                os.write(self.device, struct.pack("<IiQ", 16 + len(out), status, unique) + out)
            except OSError:
                pass
            if code == DESTROY:
                return


class Disk:
    """A mount of such a file system, and what is to happen on it."""

    def __init__(self, place: Path, files: Path):
        import pytest  # The server needs none.

        self.place, self.files, self.said = place, files, files.with_suffix(".says")
        place.mkdir()
        files.mkdir()
        self.says()
        try:
            device = os.open("/dev/fuse", os.O_RDWR)
        except OSError as why:
            pytest.skip(f"there is no FUSE: {why}")
        options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
        if LIBC.mount(b"neural-test", str(place).encode(), b"fuse", 0, options.encode()):
            os.close(device)
            pytest.skip(f"fuse cannot be mounted: {os.strerror(ctypes.get_errno())}; run this as root")
        self.server = subprocess.Popen([sys.executable, "-S", __file__, str(device), str(files), str(self.said)], pass_fds=[device])
        os.close(device)

    def says(self, delay: float = 0.0, error: int = 0) -> None:
        """What each write waits for, in seconds, and what it fails with."""
        new = self.said.with_suffix(".new")
        new.write_text(f"{delay} {error}")
        new.rename(self.said)

    def end(self) -> None:
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        LIBC.umount2(str(self.place).encode(), DETACH)


if __name__ == "__main__":
    Server(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])).serve()
