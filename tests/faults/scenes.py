"""Faults that last: a full disk, a read-only one, a locked ledger; and what must hold after.

Owns each fault's beginning and end and what is asked in between. A scene runs on a bed whose
state lies on a small disk of its own; it returns complaints, [] if all promises were kept.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko

from tests.clients import Account, ClientError, Paramiko
from tests.daemon import MAIN_TOML, sales, wait_for
from tests.faults.disk import Disk, disk
from tests.faults.error_sweep import is_tidy
from tests.faults.kill_sweep import Bed, close
from tests.faults.promises import Sent, complaints
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DISK_BYTES = 24 * 1024**2
SCENE_TOML = MAIN_TOML.replace("scan_interval_s = 0 ", "scan_interval_s = 1 ")
SETTLE_S = 30
# A file whose rows need more room in data.db than the disk has left: its bytes are there already.
BIG_ROWS = 60_000


@dataclass(slots=True)
class Scene:
    """What a scene saw. fired: how often the fault was met by a client or an import."""

    fired: int
    complaints: list[str]


def upload(bed: Bed, rows: int = 5) -> Sent:
    """Upload one file; refused if `acknowledged` is False afterwards."""
    number = len(bed.sent)
    sent = Sent(f"sales-{number}.csv", sales(1, rows, f"s{number}").encode(), f"s{number}")
    bed.sent.append(sent)
    try:
        with (
            Paramiko(Account(bed.daemon, key=bed.key)).session() as sftp,
            sftp.open(sent.name, "wb") as file,
        ):
            file.set_pipelined(pipelined=True)
            file.write(sent.content)
            file.flush()
            close(sftp, file)
    except (OSError, EOFError, paramiko.SSHException, ClientError):
        return sent
    sent.acknowledged = True
    return sent


def settle(bed: Bed) -> list[str]:
    """Wait until the daemon is idle, upload once more, check everything."""
    found: list[str] = []
    process = bed.daemon.process
    assert process is not None
    if process.poll() is not None:
        found.append(f"the daemon ended with {bed.daemon.wait_until_ended()}")
        bed.daemon.start()
    after = upload(bed)
    if not after.acknowledged:
        found.append("an upload after the fault was refused")
    wait_for("the daemon to be idle after the fault", bed.is_idle, SETTLE_S)
    if not is_tidy(bed):  # the next start drops what the ledger could not record
        bed.daemon.stop()
        bed.daemon.start()
    return found + complaints(bed.daemon, bed.sent)


def full_disk(bed: Bed, small: Disk) -> Scene:
    """Fill the disk while an import is due and uploads come; empty it again."""
    upload(bed)
    wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
    with locked(bed.daemon.paths.data):  # so that it is not imported yet
        big = upload(bed, BIG_ROWS)
        filling = small.fill()
    fired = 0
    try:
        found = [] if big.acknowledged else ["the big file was refused while there was room"]
        for _ in range(3):
            refused = not upload(bed).acknowledged
            fired += refused
        wait_for("the import to be put off", lambda: _put_off(bed), SETTLE_S)
        fired += _put_off(bed)
    finally:
        filling.unlink()
    return Scene(fired, found + settle(bed) + _held(bed))


def read_only(bed: Bed, small: Disk) -> Scene:
    """Make the spool's disk read-only, as the kernel does with a failing one; then writable."""
    upload(bed)
    wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
    wait_for("the disk to be read-only", lambda: small.remount("ro"), SETTLE_S)
    fired = sum(not upload(bed).acknowledged for _ in range(3))
    wait_for("the disk to be writable", lambda: small.remount("rw"), SETTLE_S)
    return Scene(fired, settle(bed))


def locked_ledger(bed: Bed, _: Disk) -> Scene:
    """Let another process hold the ledger's lock for longer than the daemon waits for it."""
    upload(bed)
    wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
    with locked(bed.daemon.paths.ledger):
        fired = int(not upload(bed).acknowledged)
    return Scene(fired, settle(bed))


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Hold a database's write lock, as another program would."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def _put_off(bed: Bed) -> int:
    why = "no room"
    return sum(why in str(event["why"]) for event in bed.daemon.events("import.put_off"))


def _held(bed: Bed) -> list[str]:
    held = (one for one in bed.daemon.deliveries() if one.state is State.HELD)
    return [f"{one.name} is held: {one.reason}" for one in held]


# name -> the scene, and what of the home lies on the small disk ("": none is needed).
SCENES: dict[str, tuple[Callable[[Bed, Disk], Scene], str]] = {
    "full disk": (full_disk, "var"),
    "read-only spool": (read_only, "var/spool"),
    "locked ledger": (locked_ledger, ""),
}


def play(name: str, folder: Path, host_keys: Path) -> Scene | None:
    """Play a scene on a new home beneath the folder; None if this user may not mount a disk."""
    scene, where = SCENES[name]
    bed = Bed(folder, host_keys, "none", SCENE_TOML)
    with disk(bed.daemon.home / where, DISK_BYTES) if where else nullcontext() as small:
        if where and small is None:
            return None
        bed.daemon.start()
        try:
            return scene(bed, small or Disk(folder))
        finally:
            bed.daemon.kill()
