"""Errors of single system calls in the daemon or its worker, and what must hold after.

Owns the course of a try: one call of a way, or of a start, is answered with an error; the way is
driven as far as it goes; then nothing is done any more, one more upload must succeed, what was
asked and not answered is asked again, and every upload of the home so far is checked. A call that
failed on the bytes of an upload must have cost that upload its positive answer. Only errors that
were really answered are counted.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.clients import Account, Paramiko
from tests.daemon import wait_for
from tests.faults.bed import BED_TOML, Bed
from tests.faults.course import START, Course
from tests.faults.tracer import UNLOCK
from tests.faults.ways import GONE, STUCK, WAYS, StillBusyError, wait_over
from tilldrop.errors import NotRunning, TilldropError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.faults.promises import Sent
    from tests.faults.tracer import Hit, Place

# The reconciling scan puts right what an error left undone; a real one runs every minute.
ERROR_TOML = BED_TOML.replace("scan_interval_s = 0 ", "scan_interval_s = 1 ")
SETTLE_S = 3  # then the daemon is restarted
SETTLE_MOST_S = 60
_DISK = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
# What each call may fail with, by its page of the manual; others of CALLS: EIO.
ERRORS: dict[str, tuple[str, ...]] = {
    "write": _DISK[:3],
    "pwrite64": _DISK[:3],
    "fsync": _DISK,
    "openat": (*_DISK, "EMFILE", "ENFILE", "ENOMEM"),
    "rename": (*_DISK, "ENOMEM"),
    "mkdir": (*_DISK, "ENOMEM"),
    "unlink": ("EIO", "EROFS", "ENOMEM"),
    "unlinkat": ("EIO", "EROFS", "ENOMEM"),
    "rmdir": ("EIO", "EROFS", "EBUSY"),
    "ftruncate": ("EIO", "EROFS", "EFBIG"),
    "pread64": ("EIO", "EINTR"),
    "fcntl lock": ("ENOLCK", "EIO"),
    "flock": ("ENOLCK", "EIO"),
}
OF_SOCKETS = ("ECONNRESET", "EPIPE", "ENOBUFS")
OF_BYTES = frozenset({"fsync", "pwrite64", "write", "ftruncate"})


class ErrorSweep(Course):
    """A course on which calls fail."""

    also = (START,)
    # Linux fails it only where memory is so short that one lock cannot be cut in two. What comes
    # of it takes the daemon a quarter of a minute: `scenes_unlock`.
    not_tried = frozenset({UNLOCK})

    def __init__(
        self, folder: Path, host_keys: Path, seed: int, ways: Iterable[str] = (), bug: str = "none"
    ) -> None:
        super().__init__(folder, host_keys, seed, ways, bug, ERROR_TOML)

    def attempt_at(self, bed: Bed, way: str, place: Place, error: str = "") -> None:
        """Try once."""
        self.begin()
        error = error or self.dice.choice(errors_of(place))
        before = len(bed.sent)
        found: list[str] = []
        try:
            hits = self._meet(bed, way, place, error)
            found += self._go_on(bed)
            found += bed.check()
            found += about_answers(bed, bed.sent[before:], hits)
        except (*GONE, TilldropError, *STUCK) as problem:
            found.append(repr(problem))
        self.blame(f"{error} in {way} at {place}", found)

    def _meet(self, bed: Bed, way: str, place: Place, error: str) -> list[Hit]:
        """Go a way on which one call fails; return what failed."""
        if way == START:
            bed.daemon.kill()
            with contextlib.suppress(NotRunning):
                if self._start(bed, {place: error}) is None:
                    wait_over(bed)
        else:
            WAYS[way][0](bed)
            self.warm.arm({place: error})
            bed.patience_s = SETTLE_S
            try:
                WAYS[way][1](bed)
            except (*GONE, TilldropError):
                self.done.refused += 1
            except StillBusyError:
                pass  # judged once nothing is done any more
            finally:
                bed.patience_s = SETTLE_MOST_S
        hits = self.warm.arm({})
        for hit in hits:
            self.done.atlases[way].met[hit.place] += 1
            self.done.fired[f"{hit.place.who} {hit.place.call} {hit.did}"] += 1
        return hits

    def _start(self, bed: Bed, armed: dict[Place, str]) -> int | None:
        """Start the daemon; its first answer may be that it could not do what was asked."""
        try:
            return bed.start(armed)
        except TilldropError:
            self.done.refused += 1
            bed.daemon.wait_until_up()
            return None

    def after_error(self, bed: Bed) -> None:
        """Do what is to be done before the daemon must take more."""

    def _go_on(self, bed: Bed) -> Iterator[str]:
        """See that the daemon is up, or comes up as its service would bring it, and takes more."""
        self.after_error(bed)
        if not bed.is_up():
            self.done.ended += 1
            if bed.daemon.process is not None and bed.daemon.wait_until_ended() == 0:
                yield "it ended as if it had been asked to"
            bed.start()
        with Paramiko(Account(bed.daemon, key=bed.key)).session() as session:
            bed.upload_one(session)
        try:
            wait_for("the daemon to be tidy", lambda: bed.is_idle() and is_tidy(bed), SETTLE_S)
        except AssertionError:
            # What an error left undone is done at the next start at the latest.
            self.done.restarts += 1
            bed.daemon.stop()
            bed.start()
            wait_over(bed)


def errors_of(place: Place) -> tuple[str, ...]:
    """Return what a call may fail with."""
    if place.file in {"socket", "pipe"}:
        return OF_SOCKETS if place.file == "socket" else ("EPIPE",)
    return ERRORS.get(place.call, ("EIO",))


def is_tidy(bed: Bed) -> bool:
    """Tell whether every file in receiving/ has its delivery."""
    known = {one.id for one in bed.daemon.deliveries()}
    return all(path.name in known for path in (bed.daemon.paths.spool / "receiving").iterdir())


def about_answers(bed: Bed, sent: list[Sent], hits: list[Hit]) -> Iterator[str]:
    """An upload whose bytes met an error must not have been acknowledged."""
    names = {one.id: one.name for one in bed.daemon.deliveries()}
    acknowledged = {one.name for one in sent if one.acknowledged and not one.resumable}
    for hit in hits:
        name = names.get(hit.path.rpartition("/")[2])
        if hit.place.call in OF_BYTES and "/receiving/" in hit.path and name in acknowledged:
            yield f"{name} was acknowledged, and this failed: {hit.place.kind} with {hit.did}"
