"""kill -9 of commands, and errors of their calls: backup, erasure, removal, going live.

Owns the course of a try. Some commands are said where no daemon runs: it is killed before, with
work left. Others beside a running daemon, while a client uploads. A call of the command, or of its
worker, is a kill or fails; then the command is said again, which must succeed, and every upload of
the home is checked. A backup that was broken off says of itself that it is none; one that was
finished holds every upload that was acknowledged before it began.
"""

from __future__ import annotations

import signal
from contextlib import closing
from typing import TYPE_CHECKING

from tests.clients import Account, Paramiko
from tests.faults.bed import BED_TOML, Bed
from tests.faults.course import Course
from tests.faults.error_sweep import errors_of
from tests.faults.tracer import UNLOCK
from tests.faults.warm import Running, Warm
from tests.faults.ways import (
    GONE,
    STUCK,
    check_erased,
    check_live,
    check_removed,
    prepare_live,
    prepare_removal,
    wait_over,
)
from tilldrop.backup import verify
from tilldrop.errors import BackupFailed, NoSuchCustomer, TilldropError
from tilldrop.ledger_reading import LedgerReader

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.tracer import Place

ENDS_WITHIN_S = 60
BESIDE = ("backup beside", "go-live")  # said while the daemon runs
VERBS = ("backup", "erase", "remove", *BESIDE)
KILLS_OF_TEN = 6


class VerbSweep(Course):
    """A course on which commands are killed, or their calls fail. Its ways are VERBS."""

    def __init__(self, folder: Path, host_keys: Path, seed: int) -> None:
        super().__init__(folder, host_keys, seed, VERBS, "none", BED_TOML)
        self._beside = Warm()
        self._backups = 0

    def close(self) -> None:
        """End everything and remove the home."""
        self._beside.close()
        super().close()

    def count(self) -> None:
        """Say each command once and do nothing to it."""
        for verb in VERBS:
            self.attempt_at(self.ready_bed(), verb, None)

    def attempt_at(self, bed: Bed, way: str, place: Place | None) -> None:
        """Try once; None: nothing is done to the command, and its calls are counted."""
        found: list[str] = []
        did = ""
        if place is not None:
            self.begin()
            can_fail = place.call != UNLOCK and self.dice.randrange(10) >= KILLS_OF_TEN
            did = self.dice.choice(errors_of(place)) if can_fail else "kill"
        try:
            found += self._go(bed, way, {place: did} if place else {})
            found += bed.said
            bed.said.clear()
        except (*GONE, TilldropError, *STUCK) as problem:
            found.append(repr(problem))
        self.blame(f"{did} of {way} at {place}", found)

    def _go(self, bed: Bed, way: str, armed: dict[Place, str]) -> list[str]:
        """Have what the command is about, say it, and judge what became of it."""
        if way == "go-live":
            prepare_live(bed)
        else:
            prepare_removal(bed)
            shoppers = bed.daemon.deliveries("shoppers.txt", bed.removed[-1])[0].id
        if way not in BESIDE:
            bed.daemon.kill()
        before = [one.name for one in bed.sent if one.acknowledged and not one.aged]
        code = self._say(bed, way, armed)
        warm = self._launcher(way)
        if not armed:
            self.learn(way, warm.counts)
        found = self._judge(bed, way, code, before)
        if not bed.is_up():
            bed.start()
        found += bed.check()
        if way == "go-live":
            check_live(bed, bed.lives[-1])
        elif way == "erase":
            check_erased(bed, bed.removed[-1])
        elif way == "remove":
            check_removed(bed, bed.removed[-1], shoppers)
        return found

    def _launcher(self, verb: str) -> Warm:
        return self._beside if verb in BESIDE else self.warm

    def _say(self, bed: Bed, verb: str, armed: dict[Place, str]) -> int:
        """Say a command and wait for its end; return its exit code."""
        self._backups += verb.startswith("backup")
        words = {
            "backup": ("backup", str(self._backup(bed))),
            "backup beside": ("backup", str(self._backup(bed))),
            "erase": ("shopper", "erase", *bed.removed[-1:], "C-1", "--drop-files", "--yes"),
            "remove": ("customer", "remove", *bed.removed[-1:], "--yes"),
            "go-live": ("go-live", *bed.lives[-1:], "--replay"),
        }[verb]
        said = ("--home", str(bed.daemon.home), *words)
        # What it writes elsewhere, a backup, lies in the bed's folder.
        who = verb.partition(" ")[0]
        log = bed.folder / "command.log"
        running = self._launcher(verb).run(said, "none", bed.folder, log, armed, who)
        return self._wait(bed, verb, running)

    def _wait(self, bed: Bed, verb: str, running: Running) -> int:
        """Wait for its end; meanwhile a client uploads, if there is a daemon."""
        if verb in BESIDE:
            with Paramiko(Account(bed.daemon, key=bed.key)).session() as session:
                bed.upload_one(session)
        code = running.wait(ENDS_WITHIN_S)
        if verb == "go-live":
            wait_over(bed)
        return code

    def _backup(self, bed: Bed) -> Path:
        return bed.folder / f"backup-{self._backups}"

    def _judge(self, bed: Bed, verb: str, code: int, before: list[str]) -> list[str]:
        """Say what is wrong with how it ended, and with saying it again."""
        found: list[str] = []
        hits = self.note(verb, self._launcher(verb).hits)
        kills = {hit.place.who for hit in hits if hit.did == "kill"}
        if code < 0 and not (code == -signal.SIGKILL and kills):
            found.append(f"{verb} ended with {code}")
        if not hits and code:
            found.append(f"nothing was done to it, and {verb} ended with {code}")
        if verb.startswith("backup"):
            found += self._judge_backup(self._backup(bed), code, before)
        if code:
            again = self._say(bed, verb, {})
            gone = verb == "remove" and again == NoSuchCustomer.exit_code  # it was through
            if again and not gone:
                found.append(f"{verb}, said again, ended with {again}")
        return found

    def _judge_backup(self, target: Path, code: int, before: list[str]) -> list[str]:
        try:
            verify(target)
        except BackupFailed as failed:
            return [] if code else [f"it ended well, and its backup is none: {failed}"]
        with closing(LedgerReader(target / "state" / "ledger.db")) as ledger:
            names = {one.name: one.id for one in ledger.find(limit=100_000)}
        missing = [name for name in before if name not in names]
        kept = {path.name for path in (target / "state" / "spool").glob("*/*")}
        missing += [name for name in before if names.get(name, "") not in kept]
        return [f"{', '.join(missing)} are not in the backup"] if missing else []
