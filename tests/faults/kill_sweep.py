"""kill -9 of the daemon or its worker at each system call of each way, and what must hold after.

Owns the course of a try: a way is driven on a running daemon until the call that is armed is
reached and its process killed; the daemon is started again, mostly with a kill somewhere in its
recovery, and in the recovery from that; at last nothing is done to it, and every upload of the
home so far is checked. What was asked and not answered is asked again. Which calls there are is
counted first, on passes that nothing is done to. Only kills that fired are counted.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from tests.daemon import is_alive, wait_for
from tests.faults.bed import BED_TOML, Bed
from tests.faults.course import START, Course, age
from tests.faults.ways import GONE, STUCK, WAYS, wait_over
from tilldrop.errors import TilldropError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.daemon import Daemon
    from tests.faults.tracer import Hit, Place

DEATH_S = 30
CHAIN_MOST = 4  # starts with a kill, one after another
AGED_ONE_IN = 4


class KillSweep(Course):
    """A course on which processes are killed."""

    also = (START,)

    def __init__(
        self, folder: Path, host_keys: Path, seed: int, ways: Iterable[str] = (), bug: str = "none"
    ) -> None:
        super().__init__(folder, host_keys, seed, ways, bug, BED_TOML)

    def attempt_at(self, bed: Bed, way: str, place: Place) -> None:
        """Try once."""
        self.begin()
        found: list[str] = []
        try:
            if way == START:
                self.kill_amid(bed)
                found += self._start_at(bed, place)
            else:
                WAYS[way][0](bed)
                self.warm.arm({place: "kill"})
                found += self._drive(bed, way)
            if not bed.is_up():
                found += self._start_again(bed)
            found += bed.check()
        except (*GONE, TilldropError, *STUCK) as problem:
            found.append(repr(problem))
        self.blame(f"killed in {way} at {place}", found)

    def _drive(self, bed: Bed, way: str) -> list[str]:
        refusal: Exception | None = None
        try:
            WAYS[way][1](bed)
        except (*GONE, TilldropError) as problem:
            refusal = problem
        hits = self.note(way, self.warm.arm({}))
        if refusal is not None and not hits:
            return [f"nothing was done to it, and {refusal!r}"]
        return self._ended(bed, hits)

    def _ended(self, bed: Bed, hits: list[Hit]) -> list[str]:
        """Have a daemon that was killed be over; say if it ended otherwise."""
        if not any(hit.place.who == "daemon" for hit in hits) and bed.is_up():
            return []
        code = bed.daemon.wait_until_ended(DEATH_S)
        if code == -signal.SIGKILL or (code > 0 and any(h.place.who == "worker" for h in hits)):
            return []
        return [f"it ended with {code}"]

    def _start_again(self, bed: Bed) -> list[str]:
        """Start it until it is up, with kills in one recovery after another."""
        found: list[str] = []
        for _ in range(self.dice.randint(0, CHAIN_MOST)):
            place = self.done.atlases[START].any(self.dice)
            if place is None:
                break
            bed.daemon.kill()
            if not self.dice.randrange(AGED_ONE_IN):
                age(bed)
            found += self._start_at(bed, place)
        if not bed.is_up():
            bed.start()
        return found

    def _start_at(self, bed: Bed, place: Place) -> list[str]:
        """Start it with a kill somewhere in its recovery; leave it down if it met it."""
        code = bed.start({place: "kill"})
        if code is None:
            try:
                wait_over(bed)
            except GONE:
                wait_for("it to have ended", lambda: not bed.is_up(), DEATH_S)
        hits = self.note(START, self.warm.arm({}))
        if bed.is_up() and not any(hit.place.who == "daemon" for hit in hits):
            return []
        code = bed.daemon.wait_until_ended(DEATH_S) if code is None else code
        workers = any(hit.place.who == "worker" for hit in hits)
        if code == -signal.SIGKILL or (workers and code > 0):
            return []
        return [f"start, {place}: it ended with {code}"]


def kill_worker(daemon: Daemon, after_s: float) -> bool:
    """kill -9 the importer's worker at a moment from now; tell whether it was there to be hit."""
    pid = wait_for("a worker", daemon.worker_pid)
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline:
        pass  # a sleep would be too coarse for the moment that is meant
    if not is_alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    return True
