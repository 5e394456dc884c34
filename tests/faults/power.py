"""The power goes: what a real ext4 holds afterwards, at any moment of a real daemon's life.

Owns the images that are made of a recording, and what is asked of each: it is mounted, the
daemon started on it, and every promise checked of what was acknowledged before the power went.
Of every fourth image that start is recorded as well, and the power goes again in the middle of it.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.daemon import UNFINISHED, Daemon, wait_for
from tests.faults.bed import WarmDaemon
from tests.faults.power_disk import crash_image, mounted, recorded
from tests.faults.power_recording import BACKUP, Recording, configured, record
from tests.faults.promises import Sent, complaints
from tests.faults.warm import Warm
from tilldrop import audit
from tilldrop.errors import DatabaseDamaged, NotRunning, TilldropError
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPLOADS = 40  # by each door, twice in a recording
IMAGES_A_RECORDING = 60
START_S = 120  # on a machine busy with other things; alone about one
IDLE_S = 120
AGAIN_EVERY = 4
# Where in the log the power goes: at an answer, when most is at stake, or anywhere.
AT_AN_ANSWER = 0.6
BEYOND_AN_ANSWER_BYTES = 64 * 1024
# How the recorded ext4 is mounted; without order, data may follow what speaks of it.
WAYS_TO_MOUNT = ("", "data=writeback", "", "commit=1")


@dataclass(slots=True)
class PowerRun:
    """What was tried. images: power losses; again: those in the start after another.

    answers: acknowledged uploads and commands that were looked for, over all images.
    fates: what became of writes that no flush covered.
    """

    recordings: int = 0
    images: int = 0
    again: int = 0
    unmounted: int = 0
    uploads: int = 0
    answers: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)

    def told(self) -> str:
        """Write one line."""
        fates = ", ".join(f"{count} {name}" for name, count in sorted(self.fates.items()))
        return (
            f"{self.images} power losses in {self.recordings} recordings, {self.again} of them"
            f" while starting again ({self.unmounted} that ext4 itself did not survive);"
            f" writes after the last flush: {fates};"
            f" {self.uploads} uploads, looked for {self.answers} times after their answer;"
            f" {len(self.complaints)} complaints"
        )


@dataclass(slots=True)
class Cutter:
    """Makes images of one recording and judges them."""

    recording: Recording
    folder: Path
    dice: random.Random
    run: PowerRun
    warm: Warm

    def cut(self) -> int:
        """Choose where the power goes."""
        recording = self.recording
        answers = [*recording.acknowledged.values(), *(one.at for one in recording.written)]
        if answers and self.dice.random() < AT_AN_ANSWER:
            beyond = self.dice.choice((0, self.dice.randint(0, BEYOND_AN_ANSWER_BYTES)))
            return min(self.dice.choice(answers) + beyond, recording.ends)
        return self.dice.randint(recording.begins, recording.ends)

    def attempt(self, at: int, *, again: bool) -> None:
        """Let the power go there and see what is left; again: and once more in the start."""
        image = self._image(self.recording.image, self.recording.log, at)
        where = f"power lost at byte {at} of {self.recording.log}"
        if not again:
            self._tell(where, self._judged(image, at))
            return
        with recorded(self._place("again"), image) as disk:
            if disk is None:
                self.run.unmounted += 1
                return
            begins = disk.position()
            self._tell(where, list(self._checked(disk.folder, at)))
            ends = disk.position()
        second = self.dice.randint(begins, ends)
        self.run.again += 1
        twice = self._image(image, disk.log, second)
        if not self.run.complaints:
            image.unlink()
        self._tell(f"{where}, and at {second} of the start", self._judged(twice, at))

    def _tell(self, where: str, found: list[str]) -> None:
        self.run.complaints += [f"{where}: {complaint}" for complaint in found]

    def _image(self, image: Path, log: Path, at: int) -> Path:
        self.run.images += 1
        target = self._place("image")
        lost = crash_image(image, log, at, self.dice, target)
        self.run.fates.update({"kept": lost.kept, "dropped": lost.dropped, "torn": lost.torn})
        return target

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}-{self.run.images}"

    def _judged(self, image: Path, at: int) -> list[str]:
        with mounted(image, self._place("mnt")) as there:
            if not there:
                self.run.unmounted += 1
                return []
            found = list(self._checked(self._place("mnt"), at))
        if not found:
            image.unlink()
        return found

    def _checked(self, disk: Path, at: int) -> Iterator[str]:
        sent = self.recording.remembered(at)
        self.run.answers += sum(one.acknowledged for one in sent)
        yield from about_files(self.recording, at, configured(disk))
        yield from after_a_start(WarmDaemon(disk / "home", warm=self.warm), sent)


def after_a_start(daemon: Daemon, sent: list[Sent]) -> Iterator[str]:
    """Start the daemon on what is left, let it come to rest, check all promises."""
    try:
        daemon.launch()
        wait_for("it to be up or over", lambda: _answers(daemon), START_S)
        daemon.wait_until_up()
        wait_for("the daemon to be idle", lambda: _is_idle(daemon), IDLE_S)
        yield from complaints(daemon, sent)
        verdict = wait_for("the audit log to be begun", lambda: _audited(daemon), IDLE_S)
        if verdict.broken_at is not None:
            yield f"the audit log's chain is broken at {verdict.broken_at}"
    except (AssertionError, TilldropError, sqlite3.Error, OSError) as problem:
        yield f"{type(problem).__name__}: {problem}"
    finally:
        daemon.kill()


def _answers(daemon: Daemon) -> bool:
    assert daemon.process is not None
    if daemon.process.poll() is not None:
        return True
    try:
        return bool(daemon.status())
    except NotRunning:
        return False


def _audited(daemon: Daemon) -> audit.Verdict | None:
    """Verify the audit log, once it is there: it is written a moment after what it tells of."""
    with suppress(DatabaseDamaged):  # no file, or no table in it yet
        return audit.verify(daemon.paths.audit)
    return None


def _is_idle(daemon: Daemon) -> bool:
    counts = daemon.ledger().count_by_state()
    arrived = daemon.paths.spool / "arrived"
    return not any(counts.get(state) for state in UNFINISHED) and not any(arrived.iterdir())


def about_files(recording: Recording, at: int, there: dict[str, bytes]) -> Iterator[str]:
    """Check what commands had written: the last that was answered, or one that came later."""
    names = {name for one in recording.written for name in one.files}
    for name in sorted(names):
        changes = [one for one in recording.written if name in one.files]
        before = [one for one in changes if one.at <= at]
        fitting = [one.files[name] for one in changes if one.at > at]
        fitting.append(before[-1].files[name] if before else None)
        if not before and name.startswith(BACKUP):
            continue  # half a backup has no manifest, and is none
        if there.get(name) not in fitting:
            command = before[-1].command if before else "nobody"
            yield f"{name} is not as `{command}` left it, nor as a later command did"


def power(folder: Path, keys: Path, seed: int, seconds: float, bug: str = "none") -> PowerRun:
    """Record and cut until the time is over or a promise is broken."""
    run, dice = PowerRun(), random.Random(seed)
    until = time.monotonic() + seconds
    with closing(Warm()) as warm:
        while time.monotonic() < until and not run.complaints:
            options = WAYS_TO_MOUNT[run.recordings % len(WAYS_TO_MOUNT)]
            place = folder / f"recording-{run.recordings}"
            recording = record(place, keys, UPLOADS, bug, options, warm, long=True)
            if recording is None:
                break
            run.recordings += 1
            run.uploads += len(recording.sent)
            cutter = Cutter(recording, place, dice, run, warm)
            for number in range(IMAGES_A_RECORDING):
                if time.monotonic() >= until or run.complaints:
                    break
                cutter.attempt(cutter.cut(), again=number % AGAIN_EVERY == AGAIN_EVERY - 1)
            if not run.complaints:
                shutil.rmtree(place)
    return run
