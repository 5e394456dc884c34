"""A disk that remembers: one file, served through FUSE, that logs every write and every flush.

usage: python -m tests.faults.power_device IMAGE LOG PLACE   (as root; ends when it is unmounted)

Owns the file at PLACE, on which a loop device is set up; IMAGE is its content at first and stays
as it is. Each request is in LOG before it is answered, so that whatever a file system has been
told to be durable stands in LOG before whoever was told so can act. A request is answered before
the next is read: a flush covers exactly the writes that stand before it.
On its standard input it takes lines `LEAST MOST` in seconds: from then on every write and flush
takes a time in between.
Speaks the kernel's protocol itself: a library for one file that cannot be opened twice would be
longer. Source: linux/include/uapi/linux/fuse.h, protocol 7.31.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import random
import select
import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WRITE, FLUSH = b"w", b"f"
ENTRY = struct.Struct("=cQI")  # kind, offset, length; a write's bytes follow

_MOST_BYTES = 1024**2
_ROOM_BYTES = _MOST_BYTES + 4096
_HEADER = struct.Struct("=IIQQIIIHH")  # length, request, unique, node, uid, gid, pid, ...
_ANSWER = struct.Struct("=IiQ")
_INIT = struct.Struct("=IIIIHHIIHHII24x")
_ATTRIBUTES = struct.Struct("=QII" + "QQQQQQIIIIIIIIII")
_OPEN = struct.Struct("=QII")
_ASKED = struct.Struct("=QQI")  # handle, offset, size: how reads and writes begin
_WRITE_HEADER_BYTES = 40
_DIRECT_IO = 1  # no page cache in between: the order of the log is the order of the disk
_BIG_WRITES, _MANY_PAGES = 1 << 5, 1 << 22
_PLAIN_FILE = 0o100600
_GETATTR, _SETATTR, _OPENED, _READ, _WRITTEN, _RELEASED = 3, 4, 14, 15, 16, 18
_FSYNC, _FLUSHED, _INITIAL, _ACCESS = 20, 25, 26, 34
_UNANSWERED = frozenset({2, 36, 38, 42})  # forget, interrupt, destroy, forget many
_CACHED_S = 3600


@dataclass(slots=True)
class Device:
    """The file's bytes, in memory, and the log of what changed them."""

    content: mmap.mmap
    log: int
    least_s: float = 0.0
    most_s: float = 0.0

    def answer(self, request: int, body: memoryview) -> bytes:
        """Do what the kernel asks; raises OSError for what a plain file does not need."""
        answers: dict[int, Callable[[memoryview], bytes]] = {
            _INITIAL: self._initial,
            _GETATTR: self._attributes,
            _SETATTR: self._attributes,
            _OPENED: lambda _: _OPEN.pack(0, _DIRECT_IO, 0),
            _READ: self._read,
            _WRITTEN: self._write,
            _FSYNC: self._flush,
            _FLUSHED: lambda _: b"",  # close(2), which is no flush of the disk
            _RELEASED: lambda _: b"",
            _ACCESS: lambda _: b"",
        }
        if request not in answers:
            raise OSError(errno.EOPNOTSUPP if request == 43 else errno.ENOSYS, "")
        return answers[request](body)

    def _initial(self, body: memoryview) -> bytes:
        major, minor, ahead = struct.unpack_from("=III", body)
        flags = _BIG_WRITES | _MANY_PAGES
        pages = _MOST_BYTES // mmap.PAGESIZE
        return _INIT.pack(
            major, min(minor, 31), ahead, flags, 16, 12, _MOST_BYTES, 1, pages, 0, 0, 0
        )

    def _attributes(self, _: memoryview) -> bytes:
        size = len(self.content)
        times = (0,) * 6
        ids = (_PLAIN_FILE, 1, os.getuid(), os.getgid(), 0, 4096, 0)
        return _ATTRIBUTES.pack(_CACHED_S, 0, 0, 1, size, size // 512, *times, *ids)

    def _read(self, body: memoryview) -> bytes:
        _, offset, size = _ASKED.unpack_from(body)
        return self.content[offset : offset + size]

    def _write(self, body: memoryview) -> bytes:
        _, offset, size = _ASKED.unpack_from(body)
        written = body[_WRITE_HEADER_BYTES : _WRITE_HEADER_BYTES + size]
        self._linger()
        self.content[offset : offset + size] = bytes(written)
        os.writev(self.log, [ENTRY.pack(WRITE, offset, size), written])
        return struct.pack("=II", size, 0)

    def _flush(self, _: memoryview) -> bytes:
        self._linger()
        os.write(self.log, ENTRY.pack(FLUSH, 0, 0))
        return b""

    def _linger(self) -> None:
        """Be as slow as was last asked for."""
        if select.select([0], [], [], 0)[0] and (said := os.read(0, 1024)):
            self.least_s, self.most_s = map(float, said.splitlines()[-1].split())
        if self.most_s:
            time.sleep(random.uniform(self.least_s, self.most_s))


def serve(image: Path, log: Path, place: Path) -> None:
    """Mount the file at `place` and serve it until it is unmounted."""
    with image.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE)
    device = Device(content, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    kernel = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    _mount(kernel, place)
    room = bytearray(_ROOM_BYTES)
    with contextlib.suppress(BrokenPipeError):
        while (count := _next(kernel, room)) is not None:
            _serve_one(device, kernel, memoryview(room)[:count])


def _next(kernel: int, room: bytearray) -> int | None:
    """Read the next request; None once the file is unmounted."""
    try:
        return os.readv(kernel, [room])
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


def _serve_one(device: Device, kernel: int, asked: memoryview) -> None:
    _, request, unique, *_ = _HEADER.unpack_from(asked)
    if request in _UNANSWERED:
        return
    refused, said = 0, b""
    try:
        said = device.answer(request, asked[_HEADER.size :])
    except OSError as error:
        refused = -(error.errno or errno.EIO)
    os.writev(kernel, [_ANSWER.pack(_ANSWER.size + len(said), refused, unique), said])


def _mount(kernel: int, place: Path) -> None:
    options = f"fd={kernel},rootmode={_PLAIN_FILE:o},user_id={os.getuid()},group_id={os.getgid()}"
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(b"tilldrop-disk", bytes(place), b"fuse", 0, options.encode()) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:4]))
