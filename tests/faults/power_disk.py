"""An ext4 on a disk that remembers, and what is on that disk after the power has gone.

Owns the mounts, and the model of a disk with a volatile cache: what was written before the last
flush that was answered is there; of what was written later each write is kept, dropped or torn
by itself, in pieces of a sector. `None` where this user may not mount, or FUSE is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.daemon import wait_for
from tests.faults.power_device import ENTRY, FLUSH

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

DISK_BYTES = 64 * 1024**2
SECTOR_BYTES = 512
UNMOUNT_S = 20
MKFS = ("mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4")
ROOT = Path(__file__).parents[2]
# Chances that a write after the last flush is kept; the rest is dropped or torn, half each.
KEEPING = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Write:
    """A write in the log. begins: where its bytes stand in the log; ends: behind them."""

    offset: int
    begins: int
    ends: int


@dataclass(slots=True)
class Lost:
    """What became of the writes that no flush covered."""

    kept: int = 0
    dropped: int = 0
    torn: int = 0


@dataclass(frozen=True, slots=True)
class RecordedDisk:
    """A mounted ext4 whose disk remembers."""

    folder: Path
    log: Path
    device: subprocess.Popen[bytes]

    def position(self) -> int:
        """How long the log is now: all that is durable by now stands before."""
        return self.log.stat().st_size

    def settle(self) -> None:
        """Make all durable that was written so far."""
        subprocess.run(("sync", "-f", str(self.folder)), check=True)

    def be_slow(self, least_s: float, most_s: float) -> None:
        """Let every write and flush take a time in between from now on; 0, 0: none."""
        assert self.device.stdin is not None
        os.write(self.device.stdin.fileno(), f"{least_s} {most_s}\n".encode())

    def fail(self) -> None:
        """Make ext4 do what it does when its disk fails: read-only at once, open files or not."""
        subprocess.run(("mount", "-o", "remount,abort", str(self.folder)), check=True)

    def mount_again(self) -> None:
        """Mount it anew, as after a repair; nobody may be on it."""
        unmount(self.folder)
        assert _mounts(self.folder.with_name("disk"), self.folder), "it does not mount again"


def make_image(path: Path) -> bool:
    """Make an empty ext4 in a file; tell whether this machine can."""
    with path.open("wb") as file:
        file.truncate(DISK_BYTES)
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    return _runs(*MKFS, str(path), env=environment)


@contextmanager
def recorded(folder: Path, image: Path, options: str = "") -> Iterator[RecordedDisk | None]:
    """Mount an image for a while through a device that logs; the image stays as it is."""
    folder.mkdir(parents=True)
    place, log, mount = folder / "disk", folder / "log", folder / "mnt"
    place.touch()
    mount.mkdir()
    words = (sys.executable, "-m", "tests.faults.power_device", *map(str, (image, log, place)))
    with (folder / "said").open("wb") as said:
        device = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stderr=said)
    try:
        wait_for("the disk", lambda: device.poll() is not None or place.stat().st_size)
        if device.poll() is not None or not _mounts(place, mount, options):
            yield None
            return
        try:
            yield RecordedDisk(mount, log, device)
        finally:
            unmount(mount)
    finally:
        _end(device, place)


def _end(device: subprocess.Popen[bytes], place: Path) -> None:
    with suppress(AssertionError):
        unmount(place)
        device.wait(UNMOUNT_S)
    device.kill()
    device.wait()
    assert device.stdin is not None
    device.stdin.close()


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[bool]:
    """Mount a crash image for a while, as a machine that starts again would; False: it refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    if not _mounts(image, folder):
        yield False
        return
    try:
        yield True
    finally:
        unmount(folder)


def _mounts(what: Path, where: Path, options: str = "") -> bool:
    wanted = ",".join(filter(None, ("loop", options)))
    return _runs("mount", "-t", "ext4", "-o", wanted, str(what), str(where))


def unmount(place: Path) -> None:
    """Unmount once nobody is on it: a worker whose daemon was killed dies a moment later."""
    if os.path.ismount(place) or not place.is_dir():
        wait_for(f"{place} to be unmounted", lambda: _runs("umount", str(place)), UNMOUNT_S)


def _runs(*words: str, env: dict[str, str] | None = None) -> bool:
    try:
        return subprocess.run(words, check=False, capture_output=True, env=env).returncode == 0
    except FileNotFoundError:
        return False


# -- crash images ------------------------------------------------------------------------------


def crash_image(image: Path, log: Path, at: int, dice: random.Random, target: Path) -> Lost:
    """Write what is on the disk if the power goes when the log is `at` bytes long."""
    shutil.copyfile(image, target)
    text = log.read_bytes()
    durable, pending = _before(text, at)
    lost, keeping = Lost(), dice.choice(KEEPING)
    with target.open("r+b", buffering=0) as disk:
        for write in durable:
            os.pwrite(disk.fileno(), text[write.begins : write.ends], write.offset)
        for write in pending:
            for begins, ends in _left_of(write, keeping, dice, lost):
                shift = begins - write.begins
                os.pwrite(disk.fileno(), text[begins:ends], write.offset + shift)
    return lost


def _before(text: bytes, at: int) -> tuple[list[Write], list[Write]]:
    """Return the writes that a flush covers, and those behind the last flush."""
    durable: list[Write] = []
    pending: list[Write] = []
    position = 0
    while position + ENTRY.size <= min(at, len(text)):
        kind, offset, length = ENTRY.unpack_from(text, position)
        position += ENTRY.size
        if kind == FLUSH:
            durable += pending
            pending = []
        elif position + length <= at:
            pending.append(Write(offset, position, position + length))
        position += length
    return durable, pending


def _left_of(
    write: Write, keeping: float, dice: random.Random, lost: Lost
) -> Iterator[tuple[int, int]]:
    """Yield what is left of a write that no flush covers."""
    fate = dice.random()
    if fate < keeping:
        lost.kept += 1
        yield write.begins, write.ends
    elif keeping == 0 or fate < (1 + keeping) / 2:
        lost.dropped += 1
    else:
        lost.torn += 1
        for begins in range(write.begins, write.ends, SECTOR_BYTES):
            if dice.random() < 0.5:
                yield begins, min(begins + SECTOR_BYTES, write.ends)
