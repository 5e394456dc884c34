"""Files that others put into a folder: found, opened, read, put away.

Owns the system calls. Promises that nothing but a regular file is ever opened for reading, that
no symbolic link below the folder is followed and no pipe waited for, and that a file is moved
or deleted only while it is the one that was delivered. All functions block: a share may hang.
Never writes to a file, never knows a ledger.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.view import is_temporary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

DELIVERED = "delivered"  # where `after = "move"` puts originals
CHUNK_BYTES = 512 * 1024
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# NONBLOCK: opening a pipe would wait for its writer. It changes nothing for a regular file.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NotAFileError(OSError):
    """What was a regular file when it was listed is none now."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a file is known again by; another stamp is another delivery."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Take it from what the system tells of a file."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

    @property
    def origin(self) -> str:
        """Return it as the ledger keeps it."""
        return f"folder:{self.device}:{self.inode}:{self.size_bytes}:{self.mtime_ns}"

    @property
    def mtime_s(self) -> int:
        """Return the time of the last change, whole seconds since 1970."""
        return self.mtime_ns // 1_000_000_000


@dataclass(frozen=True, slots=True)
class Listing:
    """What a folder holds. files: name -> stamp, without those under temporary names.

    folders: those that were looked into, "" being the folder itself -> (device, inode).
    """

    files: dict[str, Stamp]
    folders: dict[str, tuple[int, int]]


def folders_below(root: Path, fits: Callable[[str], bool]) -> list[str]:
    """Return the folders below that fit, links left out; what does not fit is not looked into.

    Raises OSError for the folder itself. Cost: one listing for each.
    """
    found: list[str] = []
    ahead = [""]
    while ahead:
        above = ahead.pop()
        try:
            with os.scandir(root / above) as entries:
                inside = [each.name for each in entries if each.is_dir(follow_symlinks=False)]
        except OSError:
            if not above:
                raise
            continue  # gone since it was listed
        fitting = [path for name in inside if fits(path := f"{above}/{name}".lstrip("/"))]
        found += fitting
        ahead += fitting
    return found


def look(root: Path, folders: Iterable[str]) -> Listing:
    """List a folder, and those below it that are named. One that is not there is left out.

    Raises OSError for the folder itself. Cost: one stat a file.
    """
    files: dict[str, Stamp] = {}
    seen: dict[str, tuple[int, int]] = {}
    for folder in ("", *folders):
        try:
            with _opened(root, folder) as descriptor:
                here = os.fstat(descriptor)
                seen[folder] = here.st_dev, here.st_ino
                for name, stamp in _regular_files(descriptor):
                    files[f"{folder}/{name}" if folder else name] = stamp
        except OSError:
            if not folder:
                raise
    return Listing(files, seen)


def _regular_files(folder: int) -> Iterator[tuple[str, Stamp]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # gone since
                if entry.is_file(follow_symlinks=False) and not is_temporary(entry.name):
                    yield entry.name, Stamp.of(entry.stat(follow_symlinks=False))


@contextmanager
def _opened(root: Path, folder: str) -> Iterator[int]:
    """Open a folder below root, following no link on the way from there."""
    descriptor = os.open(root, _FOLDER_FLAGS)
    try:
        for part in folder.split("/") if folder else ():
            below = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


class Original:
    """One file, open for reading; name: relative to root. Raises OSError, NotAFileError."""

    def __init__(self, root: Path, name: str) -> None:
        folder, _, last = name.rpartition("/")
        with _opened(root, folder) as within:
            self._descriptor = os.open(last, _FILE_FLAGS, dir_fd=within)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise NotAFileError(f"{name} is no regular file")

    def stamp(self) -> Stamp:
        """Return what it is now."""
        return Stamp.of(os.fstat(self._descriptor))

    def read(self, offset: int) -> bytes:
        """Return the next CHUNK_BYTES; b"" at the end."""
        return os.pread(self._descriptor, CHUNK_BYTES, offset)

    def sha256(self) -> str:
        """Read all of it."""
        hashed, offset = hashlib.sha256(), 0
        while chunk := self.read(offset):
            hashed.update(chunk)
            offset += len(chunk)
        return hashed.hexdigest()

    def has_writer(self) -> bool:
        """Say whether somebody has it open for writing, as far as the system tells.

        A read lease is granted only if nobody has. It is given back at once, because whoever
        opens the file meanwhile waits for that. Source: fcntl(2), "Leases". Without CAP_LEASE
        only for files of our own user; not on network mounts, which must not be asked.
        """
        # A lease that is broken sends a signal: SIGIO, which would end us, unless another is set.
        fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored by default
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        except OSError:
            return False  # not ours, or a file system without leases: cannot be told
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def delete(root: Path, name: str, stamp: Stamp) -> bool:
    """Delete a file unless it has changed. Raises OSError."""
    folder, _, last = name.rpartition("/")
    with _opened(root, folder) as within:
        if not _is_same(within, last, stamp):
            return False
        os.unlink(last, dir_fd=within)
    return True


def move(root: Path, name: str, stamp: Stamp, delivery: str) -> str | None:
    """Move a file to `delivered/` beside it; return its name there, None if it has changed.

    A name that is taken gets the delivery's id behind it. Raises OSError.
    """
    folder, _, last = name.rpartition("/")
    with _opened(root, folder) as within:
        if not _is_same(within, last, stamp):
            return None
        with suppress(FileExistsError):
            os.mkdir(DELIVERED, dir_fd=within)
        target = os.open(DELIVERED, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=within)
        try:
            new = f"{last}.{delivery}" if _exists(target, last) else last
            os.rename(last, new, src_dir_fd=within, dst_dir_fd=target)
        finally:
            os.close(target)
    return f"{folder}/{DELIVERED}/{new}" if folder else f"{DELIVERED}/{new}"


def _is_same(folder: int, name: str, stamp: Stamp) -> bool:
    try:
        return Stamp.of(os.stat(name, dir_fd=folder, follow_symlinks=False)) == stamp
    except FileNotFoundError:
        return False


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
