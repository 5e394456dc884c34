"""The spool: where the bytes of deliveries wait, and the only mover of files.

Owns three folders on one file system, in which a file's name is its delivery's id:
`receiving/` (being written, waiting or broken off), `arrived/` (acknowledged, to be imported)
and `kept/` (imported or refused; kept for reading back and replay). A client's own name for a
file never becomes a path. Promises: a move into `arrived/` is one rename followed by an fsync of
both folders.
Never looks into a file, never knows a state.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from tilldrop.errors import SpoolFailed, SpoolFull, SpoolSplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
COPY_CHUNK_BYTES = 8 * 1024**2


class Spool:
    """Files of deliveries. root: made if missing. reserve_bytes: free space never used up."""

    def __init__(self, root: Path, reserve_bytes: int) -> None:
        self.receiving = root / "receiving"
        self.arrived = root / "arrived"
        self.kept = root / "kept"
        self.reserve_bytes = reserve_bytes
        for folder in (root, self.receiving, self.arrived, self.kept):
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        if len({_mount_of(f) for f in (self.receiving, self.arrived, self.kept)}) > 1:
            raise SpoolSplit(f"{root}: receiving, arrived and kept must lie on one file system")

    def check_room(self, wanted_bytes: int = 0) -> None:
        """Raise SpoolFull if less than the reserve would be free after writing that much."""
        space = os.statvfs(self.receiving)
        if space.f_bavail * space.f_frsize - wanted_bytes < self.reserve_bytes:
            raise SpoolFull(f"less than {self.reserve_bytes} bytes are free in {self.receiving}")

    def open_new(self, delivery_id: str) -> int:
        """Create receiving/ID and return its descriptor, open for reading and writing."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return _opened(self.receiving / delivery_id, flags)

    def open_again(self, delivery_id: str) -> int:
        """Open receiving/ID, which was broken off or waits, for reading and writing."""
        return _opened(self.receiving / delivery_id, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)

    def copy_into(self, delivery_id: str, descriptor: int) -> int:
        """Copy the bytes of another delivery to an open new file; return how many.

        Raises SpoolFailed if they are gone, SpoolFull.
        """
        copied = 0
        reader = self.open_to_read(delivery_id)
        if reader is None:
            raise SpoolFailed(f"the bytes of {delivery_id} are missing")
        try:
            while count := os.copy_file_range(reader, descriptor, COPY_CHUNK_BYTES):
                copied += count
        except OSError as error:
            raise failure(error, f"cannot copy {delivery_id}") from error
        finally:
            os.close(reader)
        return copied

    def accept(self, delivery_id: str) -> None:
        """Receiving -> arrived. Doing it again after it was done is fine."""
        self._move(delivery_id, self.receiving, self.arrived)

    def accept_all(self, delivery_ids: Sequence[str]) -> dict[str, SpoolFull | SpoolFailed]:
        """Receiving -> arrived for several: each a rename, all of them one sync of each folder.

        Returns why, of those that did not come to be there durably.
        """
        refused: dict[str, SpoolFull | SpoolFailed] = {}
        for delivery_id in delivery_ids:
            try:
                self._move(delivery_id, self.receiving, self.arrived, durable=False)
            except (SpoolFull, SpoolFailed) as error:
                refused[delivery_id] = error
        try:
            for folder in (self.arrived, self.receiving):
                _sync_folder(folder)
        except (SpoolFull, SpoolFailed) as error:
            refused = {one: type(error)(str(error)) for one in delivery_ids} | refused
        return refused

    def keep(self, delivery_id: str) -> None:
        """Arrived -> kept. Doing it again is fine.

        Not synced: if a power failure undoes it, start-up does it again.
        """
        self._move(delivery_id, self.arrived, self.kept, durable=False)

    def return_to_arrived(self, delivery_id: str) -> None:
        """Kept -> arrived: rings the importer's bell. Doing it again is fine."""
        self._move(delivery_id, self.kept, self.arrived)

    def return_all(self, delivery_ids: Iterable[str]) -> None:
        """Kept -> arrived for many: each a rename, all of them one sync."""
        for delivery_id in delivery_ids:
            self._move(delivery_id, self.kept, self.arrived, durable=False)
        for folder in (self.arrived, self.kept):
            _sync_folder(folder)

    def is_arrived(self, delivery_id: str) -> bool:
        """Say whether the importer may read it."""
        return (self.arrived / delivery_id).exists()

    def path_arrived(self, delivery_id: str) -> Path:
        """Where the importer reads it."""
        return self.arrived / delivery_id

    def path_of(self, delivery_id: str) -> Path | None:
        """Return where the bytes are now; None if they are gone. They may move on at once."""
        return next((path for path in self._places(delivery_id) if path.exists()), None)

    def open_to_read(self, delivery_id: str) -> int | None:
        """Open the bytes, wherever they are; None if they are gone."""
        for path in self._places(delivery_id):
            with suppress(FileNotFoundError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return None

    def _places(self, delivery_id: str) -> tuple[Path, ...]:
        """Return where bytes may be, in an order in which a file that moves is not missed."""
        forth_and_back = (self.receiving, self.arrived, self.kept, self.arrived)
        return tuple(folder / delivery_id for folder in forth_and_back)

    def size_receiving(self, delivery_id: str) -> int:
        """Return the size on disk of an unfinished upload, 0 if there is none."""
        try:
            return (self.receiving / delivery_id).stat().st_size
        except FileNotFoundError:
            return 0

    def strays(self, folder: Path) -> list[str]:
        """Return the names of all files in one of the spool's folders, in order."""
        return sorted(self.names(folder))

    def names(self, folder: Path) -> Iterator[str]:
        """Yield the names of all files in a folder, in no order: kept/ may hold millions."""
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_file())

    def holds(self, delivery_id: str, sha256: str) -> bool:
        """Say whether the bytes are there and have that hash. Cost: reads them."""
        descriptor = self.open_to_read(delivery_id)
        if descriptor is None:
            return False
        with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256

    def put_in_place(self, delivery_id: str, source: Path) -> None:
        """Let a file take the place of a delivery's bytes; nothing if it did so already.

        source: on any file system. The bytes that were there are gone afterwards.
        """
        target = self.path_of(delivery_id)
        if target is None or not source.exists():
            return
        beside = self.receiving / f"{delivery_id}.new"  # a stray there is dropped at start-up
        try:
            shutil.copyfile(source, beside)
            beside.chmod(FILE_MODE)
            _sync(beside)
            beside.replace(target)
            source.unlink()
        except OSError as error:
            raise failure(error, f"cannot replace {delivery_id}") from error
        for folder in (target.parent, self.receiving):
            _sync_folder(folder)

    def drop(self, delivery_id: str) -> None:
        """Remove the bytes, wherever they are; retention and discarded uploads."""
        for path in self._places(delivery_id):
            path.unlink(missing_ok=True)

    def sync_drops(self) -> None:
        """Make it durable that files were dropped. Cost: three fsyncs. Raises SpoolFailed."""
        for folder in (self.receiving, self.arrived, self.kept):
            _sync_folder(folder)

    def _move(self, delivery_id: str, source: Path, target: Path, *, durable: bool = True) -> None:
        try:
            (source / delivery_id).rename(target / delivery_id)
        except FileNotFoundError as error:
            if not (target / delivery_id).exists():
                raise SpoolFailed(f"the bytes of {delivery_id} are missing") from error
        except OSError as error:
            raise failure(error, f"cannot move {delivery_id} to {target.name}") from error
        for folder in (target, source) if durable else ():
            _sync_folder(folder)


def _mount_of(folder: Path) -> tuple[int, str]:
    """Tell file systems apart, and mounts of one: rename(2) does not go from one to another."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError), open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as told:  # noqa: PTH123  not a file
            mount = next((line for line in told if line.startswith("mnt_id:")), "")
            return os.fstat(descriptor).st_dev, mount
        return os.fstat(descriptor).st_dev, ""
    finally:
        os.close(descriptor)


def _opened(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags, FILE_MODE)
    except OSError as error:
        raise failure(error, f"cannot open {path.name}") from error


def _sync_folder(folder: Path) -> None:
    try:
        _sync(folder)
    except OSError as error:
        raise failure(error, f"cannot sync {folder.name}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def failure(error: OSError, what: str) -> SpoolFull | SpoolFailed:
    """Name an operating system's refusal: no room, or anything else."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return SpoolFull(f"{what}: {error.strerror}")
    return SpoolFailed(f"{what}: {error.strerror}")
