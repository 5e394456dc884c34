"""Faults that last: each by name, to be played on a home of its own.

Owns the scenes on a small disk: full, read-only, and a ledger that is locked. None where this
machine cannot play a scene.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.daemon import wait_for
from tests.faults import (
    scenes_clock,
    scenes_damage,
    scenes_disk,
    scenes_net,
    scenes_unlock,
    scenes_watch,
)
from tests.faults.bed import Bed
from tests.faults.disk import Disk, disk
from tests.faults.scene import SCENE_TOML, SETTLE_S, Scene, held, locked, settle, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DISK_BYTES = 24 * 1024**2
# A file whose rows need more room in data.db than the disk has left: its bytes are there already.
BIG_ROWS = 60_000


@contextmanager
def on_small_disk(folder: Path, keys: Path, where: str) -> Iterator[tuple[Bed, Disk] | None]:
    """Lay out a home of which a part lies on a small disk, and start its daemon, for a while."""
    bed = Bed(folder, keys, "none", SCENE_TOML)
    with disk(bed.daemon.home / where, DISK_BYTES) as small:
        if small is None:
            yield None
            return
        bed.daemon.start()
        try:
            yield bed, small
        finally:
            bed.daemon.kill()


def full_disk(folder: Path, keys: Path) -> Scene | None:
    """Fill the disk while an import is due and uploads come; empty it again."""
    with on_small_disk(folder, keys, "var") as there:
        if there is None:
            return None
        bed, small = there
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        with locked(bed.daemon.paths.data):  # so that it is not imported yet
            big = upload(bed, BIG_ROWS)
            filling = small.fill()
        fired = 0
        try:
            found = [] if big.acknowledged else ["the big file was refused while there was room"]
            fired += sum(not upload(bed).acknowledged for _ in range(3))
            wait_for("the import to be put off", lambda: _put_off(bed), SETTLE_S)
            fired += _put_off(bed)
        finally:
            filling.unlink()
        return Scene(fired, found + settle(bed) + held(bed))


def read_only(folder: Path, keys: Path) -> Scene | None:
    """Make the spool's disk read-only, as the kernel does with a failing one; then writable."""
    with on_small_disk(folder, keys, "var/spool") as there:
        if there is None:
            return None
        bed, small = there
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        wait_for("the disk to be read-only", lambda: small.remount("ro"), SETTLE_S)
        fired = sum(not upload(bed).acknowledged for _ in range(3))
        wait_for("the disk to be writable", lambda: small.remount("rw"), SETTLE_S)
        return Scene(fired, settle(bed))


def locked_ledger(folder: Path, keys: Path) -> Scene | None:
    """Let another process hold the ledger's lock for longer than the daemon waits for it."""
    bed = Bed(folder, keys, "none", SCENE_TOML)
    bed.daemon.start()
    try:
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        with locked(bed.daemon.paths.ledger):
            fired = int(not upload(bed).acknowledged)
        return Scene(fired, settle(bed))
    finally:
        bed.daemon.kill()


def _put_off(bed: Bed) -> int:
    why = "no room"
    return sum(why in str(event["why"]) for event in bed.daemon.events("import.put_off"))


SCENES: dict[str, Callable[[Path, Path], Scene | None]] = {
    "full disk": full_disk,
    "read-only spool": read_only,
    "locked ledger": locked_ledger,
    "failed unlock": scenes_unlock.failed_unlock,
    "slow disk": scenes_disk.slow_disk,
    "failed disk": scenes_disk.failed_disk,
    "read-only home": scenes_disk.read_only_for_a_while,
    "damaged data": scenes_damage.damaged_data,
    "jumping clock": scenes_clock.jumping_clock,
    "vanished clients": scenes_net.vanished_clients,
    "overflowing watch": scenes_watch.overflowing_watch,
}


def play(name: str, folder: Path, host_keys: Path) -> Scene | None:
    """Play a scene on a new home beneath the folder; None if this machine cannot."""
    return SCENES[name](folder, host_keys)
