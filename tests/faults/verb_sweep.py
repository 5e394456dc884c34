"""kill -9 of commands that work while no daemon runs: backup, erasure, removal.

Owns the course of a try: the daemon is killed with work left, the command is started and killed at
one of its calls, or its worker's; then it is said again, which must succeed, the daemon is started,
and every upload of the home is checked. A backup that was killed says of itself that it is none.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.faults.bed import BED_TOML, Bed
from tests.faults.course import Course
from tests.faults.ways import GONE, STUCK, check_erased, check_removed, prepare_removal
from tilldrop.backup import verify
from tilldrop.errors import BackupFailed, NoSuchCustomer, TilldropError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.tracer import Place

ENDS_WITHIN_S = 60
VERBS = ("backup", "erase", "remove")


class VerbSweep(Course):
    """A course on which commands are killed. Its ways are VERBS."""

    def __init__(self, folder: Path, host_keys: Path, seed: int) -> None:
        super().__init__(folder, host_keys, seed, VERBS, "none", BED_TOML)
        self._backups = 0

    def count(self) -> None:
        """Say each command once and do nothing to it."""
        for verb in VERBS:
            bed = self.ready_bed()
            self.attempt_at(bed, verb, None)

    def attempt_at(self, bed: Bed, way: str, place: Place | None) -> None:
        """Try once; None: nothing is done to the command, and its calls are counted."""
        found: list[str] = []
        try:
            prepare_removal(bed)
            shoppers = bed.daemon.deliveries("shoppers.txt", bed.removed[-1])[0].id
            bed.daemon.kill()
            code = self._say(bed, way, {place: "kill"} if place else {})
            if place is None:
                self.learn(way)
            else:
                self.done.tried += 1
                found += self._judge(bed, way, code)
            bed.start()
            found += bed.check()
            if way == "erase":
                check_erased(bed, bed.removed[-1])
            elif way == "remove":
                check_removed(bed, bed.removed[-1], shoppers)
            found += bed.said
        except (*GONE, TilldropError, *STUCK) as problem:
            found.append(repr(problem))
        self.blame(f"{way} killed at {place}", found)

    def _say(self, bed: Bed, verb: str, armed: dict[Place, str]) -> int:
        """Say a command and wait for its end; return its exit code."""
        name = bed.removed[-1]
        self._backups += verb == "backup"
        words = {
            "backup": ("backup", str(bed.folder / f"backup-{self._backups}")),
            "erase": ("shopper", "erase", name, "C-1", "--drop-files", "--yes"),
            "remove": ("customer", "remove", name, "--yes"),
        }[verb]
        home = bed.daemon.home
        said = ("--home", str(home), *words)
        # What it writes elsewhere, a backup, lies in the bed's folder.
        running = self.warm.run(said, "none", bed.folder, bed.daemon.log, armed, verb)
        return running.wait(ENDS_WITHIN_S)

    def _judge(self, bed: Bed, verb: str, code: int) -> list[str]:
        """Say what is wrong with how it ended, and with saying it again."""
        found: list[str] = []
        hits = self.note(verb, self.warm.hits)
        if code != (-signal.SIGKILL if hits else 0) and not any(
            hit.place.who == "worker" for hit in hits
        ):
            found.append(f"{verb} ended with {code}")
        if verb == "backup":
            target = bed.folder / f"backup-{self._backups}"
            try:
                verify(target)
            except BackupFailed:
                if code == 0:
                    found.append("it ended well, and its backup is none")
        if code:
            again = self._say(bed, verb, {})
            gone = verb == "remove" and again == NoSuchCustomer.exit_code  # it was through
            if again and not gone:
                found.append(f"{verb}, said again, ended with {again}")
        return found
