"""What sweeps share: a launcher, one home after another, and the places that are counted first.

Owns the order of homes and which way is gone next: the one that was tried least for its length.
Never lets anything go wrong itself.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from tests.daemon import wait_for
from tests.faults.atlas import Atlas, Reach
from tests.faults.bed import INBOX, Bed
from tests.faults.tracer import Place
from tests.faults.warm import PR_SET_PDEATHSIG, Warm, prctl
from tests.faults.ways import WAYS, wait_over
from tilldrop import journal_lines
from tilldrop.delivery import State
from tilldrop.ledger_reading import instant_text, utcnow
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.tracer import Count, Hit

START = "start"
PASSES = 3
COMPLAINTS_MOST = 20
TELL_EVERY_S = 120
BED_UPLOADS = 150  # then a new home is begun, so that no try gets slower
LONG_AGO = timedelta(days=1000)
AMID = Place("daemon", "rename", "receiving/*", 2)


@dataclass(slots=True)
class Sweep:
    """What a sweep did. fired: faults that happened. complaints: promises broken.

    refused: ways that a client or an operator could not go to their end. ended: ends of the
    daemon that no kill was the cause of. restarts: how often it took one to put things right.
    slowest: seconds of the try that took longest, and which it was.
    """

    tried: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    uploads: int = 0
    acknowledged: int = 0
    refused: int = 0
    ended: int = 0
    restarts: int = 0
    homes: int = 0
    slowest: tuple[float, str] = (0.0, "")
    complaints: list[str] = field(default_factory=list)
    atlases: dict[str, Atlas] = field(default_factory=dict)

    def reach(self) -> Reach:
        """Say how many places were met, over all ways."""
        return sum((atlas.reach() for atlas in self.atlases.values()), Reach(0, 0, 0, 0, 0))

    def add(self, other: Sweep) -> None:
        """Take in what another sweep did at the same time."""
        for name in ("tried", "uploads", "acknowledged", "refused", "ended", "restarts", "homes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.fired += other.fired
        self.slowest = max(self.slowest, other.slowest)
        self.complaints += other.complaints
        for name, atlas in other.atlases.items():
            self.atlases.setdefault(name, Atlas()).add(atlas)

    def told(self) -> str:
        """Write one line."""
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.fired.items()))
        reach = self.reach()
        return (
            f"{self.tried} tries, {self.fired.total()} fired ({kinds});"
            f" {reach.met} of {reach.always} places ({reach.given_up} given up),"
            f" {reach.kinds_met} of {reach.kinds} kinds;"
            f" {self.uploads} uploads, {self.acknowledged} acknowledged, {self.homes} homes;"
            f" {self.refused} refused, {self.ended} ends, {self.restarts} restarts;"
            f" slowest {self.slowest[0]:.1f} s: {self.slowest[1]};"
            f" {len(self.complaints)} complaints"
        )


class Course:
    """One launcher and the home in use. ways: names of WAYS; () means all."""

    also: tuple[str, ...] = ()  # what is tried beside the ways
    share: tuple[int, int] = (0, 1)  # which of how many sweeps at a time
    not_tried: frozenset[str] = frozenset()  # names of calls

    def __init__(
        self, folder: Path, host_keys: Path, seed: int, ways: Iterable[str], bug: str, toml: str
    ) -> None:
        self._folder = folder
        self._host_keys = host_keys
        self._bug = bug
        self._toml = toml
        self.dice = random.Random(seed)
        self.ways = tuple(ways) or tuple(WAYS)
        self.warm = Warm()
        self.done = Sweep(atlases={name: Atlas() for name in (*self.ways, START)})
        self.bed: Bed | None = None
        self._began_at = time.monotonic()

    def run(self, until: float, passes: int = PASSES) -> Sweep:
        """Count the ways, then try until the monotonic clock says so or much has gone wrong."""
        for _ in range(passes):
            self.count()
        told_at = time.monotonic()
        while time.monotonic() < until and len(self.done.complaints) < COMPLAINTS_MOST:
            self.attempt()
            if time.monotonic() > told_at + TELL_EVERY_S:
                told_at = time.monotonic()
                sys.stderr.write(f"{self.done.told()}\n")
        return self.done

    def attempt(self) -> None:
        """Try once where it was tried least; leaves a running daemon or no home."""
        bed = self.ready_bed()
        way = self.least_tried()
        place = self.done.atlases[way].choose(self.dice, self.share)
        if place is not None:
            self.attempt_at(bed, way, place)

    def attempt_at(self, bed: Bed, way: str, place: Place) -> None:
        """Try once."""
        raise NotImplementedError

    def begin(self) -> None:
        """Count a try and take its time, until `blame`."""
        self.done.tried += 1
        self._began_at = time.monotonic()

    def note(self, way: str, hits: list[Hit]) -> list[Hit]:
        """Count what was killed, and where."""
        for hit in hits:
            self.done.atlases[way].met[hit.place] += 1
            suffix = " at start" if way == START else ""
            error = "" if hit.did == "kill" else f" {hit.did}"
            self.done.fired[f"{hit.place.who} {hit.place.call}{error}{suffix}"] += 1
        return hits

    def blame(self, what: str, found: list[str]) -> None:
        """End a try: note what went wrong, with what the daemon said, and leave the home."""
        took_s = round(time.monotonic() - self._began_at, 1)
        self.done.slowest = max(self.done.slowest, (took_s, what))
        if not found or self.bed is None:
            return
        said = self.bed.daemon.log_tail()
        self.done.complaints += [f"{what}: {one}" for one in found]
        sys.stderr.write(f"{what}: {found}\n{said}\n")
        self._leave_bed()

    def close(self) -> None:
        """End everything and remove the home."""
        try:
            self._leave_bed()
        finally:
            self.warm.close()

    def count(self) -> None:
        """Go each way once and do nothing to it, then start after a kill."""
        bed = self.ready_bed()
        for name in self.ways:
            prepare, drive = WAYS[name]
            prepare(bed)
            self.warm.arm({})
            drive(bed)
            self.warm.arm({})
            self.learn(name, self.warm.counts)
            if found := bed.check():
                self.blame(f"nothing was done, {name}", found)
                return
        self.kill_amid(bed)
        bed.start()
        wait_over(bed)
        self.warm.arm({})
        self.learn(START, self.warm.counts)

    def learn(self, way: str, counts: list[Count]) -> None:
        """Take in the calls of a way that nothing was done to."""
        wanted = [count for count in counts if count[1] not in self.not_tried]
        self.done.atlases[way].learn(wanted)

    def least_tried(self) -> str:
        """Return the way that was tried least for its length."""

        def share(name: str) -> float:
            atlas = self.done.atlases[name]
            return atlas.tried.total() / max(1, atlas.most.total())

        names = (*self.ways, *self.also)
        return min(self.dice.sample(names, len(names)), key=share)

    def ready_bed(self) -> Bed:
        """Return the home, with its daemon up; a new one if it holds much."""
        if self.bed is not None and len(self.bed.sent) >= BED_UPLOADS:
            self._leave_bed()
        if self.bed is None:
            folder = self._folder / f"home-{self.done.homes}"
            self.done.homes += 1
            self.bed = Bed(folder, self._host_keys, self._bug, self._toml, self.warm)
        if not self.bed.is_up():
            self.bed.start()
        return self.bed

    def kill_amid(self, bed: Bed) -> None:
        """Kill it where there is much to recover: one file taken, one half, one not yet."""
        self.warm.arm({AMID: "kill"})
        for _ in range(3):
            sent = bed.next_file()
            sent.acknowledged = True
            (bed.daemon.home / sent.name).write_bytes(sent.content)
            (bed.daemon.home / sent.name).rename(bed.daemon.home / INBOX / sent.name)
        wait_for("the kill", lambda: not bed.is_up())
        bed.daemon.wait_until_ended()
        age(bed)

    def _leave_bed(self) -> None:
        if self.bed is not None:
            self.done.uploads += len(self.bed.sent)
            self.done.acknowledged += sum(sent.acknowledged for sent in self.bed.sent)
            self.bed.end()
            self.bed = None


def age(bed: Bed) -> None:
    """Make one upload of a daemon that is down so old that its bytes are to be dropped."""
    old = next((one for one in bed.sent if not (one.aged or one.taken_back or one.replays)), None)
    found = bed.daemon.deliveries(old.name) if old is not None else []
    if old is None or not found or found[0].state is not State.IMPORTED:
        return
    path = bed.daemon.paths.spool / "kept" / found[0].id
    if not path.exists():  # the kill came before it was put away, or its bytes are gone
        return
    then = utcnow() - LONG_AGO
    connection = sqlite3.connect(bed.daemon.paths.ledger, isolation_level=None)
    try:
        connection.execute(
            "UPDATE deliveries SET changed_at = ? WHERE id = ?", (instant_text(then), found[0].id)
        )
    finally:
        connection.close()
    os.utime(path, (then.timestamp(), then.timestamp()))
    old.aged = True


Make = Callable[[Path, Path, int], Course]


def side_by_side(
    make: Make, folder: Path, keys: Path, seed: int, seconds: float, jobs: int
) -> Sweep:
    """Run several sweeps at a time, each in a process of its own, and add up what they did."""
    done = Sweep()
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = [
            pool.submit(_alone, make, folder / str(job), keys, seed + job, seconds, (job, jobs))
            for job in range(jobs)
        ]
        try:
            for one in running:
                done.add(one.result())
        except BaseException:
            for each in list(pool._processes.values()):
                each.terminate()
            raise
    return done


def _alone(
    make: Make, folder: Path, keys: Path, seed: int, seconds: float, share: tuple[int, int]
) -> Sweep:
    until = time.monotonic() + seconds
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    journal_lines.configure("auto", "warning")
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it tells each lost connection
    folder.mkdir(parents=True)
    course = make(folder, keys, seed)
    course.share = share
    try:
        return course.run(until)
    finally:
        course.close()
