"""An unlock that the kernel refuses: SQLite then holds its lock against itself.

Owns the scene: in one upload after the other an F_UNLCK on the ledger fails, each time another one.
Until the daemon is a new process nothing can be committed; so it must see that nobody else has the
lock, and end itself so that its service starts it again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tests.clients import Account, Paramiko
from tests.daemon import wait_for
from tests.faults.error_sweep import ErrorSweep
from tests.faults.scene import Scene
from tests.faults.tracer import CAN_TRACE, UNLOCK, Place
from tests.faults.ways import GONE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.bed import Bed

SEED = 20260314
PLACES = (1, 3, 5)
ENDS_WITHIN_S = 90


class UnlockSweep(ErrorSweep):
    """A course on which unlocks of the ledger fail."""

    def after_error(self, bed: Bed) -> None:
        """Send until one is taken, or the daemon has ended itself."""
        wait_for("it to take one or end", lambda: not bed.is_up() or _takes(bed), ENDS_WITHIN_S)


def _takes(bed: Bed) -> bool:
    with suppress(*GONE), Paramiko(Account(bed.daemon, key=bed.key)).session() as session:
        return bed.upload_one(session).acknowledged
    return False


def failed_unlock(folder: Path, keys: Path) -> Scene | None:
    """Fail unlocks of the ledger in uploads; fired counts those after which the daemon ended."""
    if not CAN_TRACE:
        return None
    folder.mkdir(parents=True)
    sweep = UnlockSweep(folder, keys, SEED, ("sftp",))
    try:
        for number in PLACES:
            place = Place("daemon", UNLOCK, "ledger.db-shm", number)
            sweep.attempt_at(sweep.ready_bed(), "sftp", place, "ENOLCK")
        return Scene(sweep.done.ended, sweep.done.complaints)
    finally:
        sweep.close()
