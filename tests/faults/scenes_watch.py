"""A scene of a watch that is told too much: the kernel's queue overflows, and an event is lost.

Owns the moment. strace holds the one thread that reads the queue, so that all others go on: the
queue fills up with folders, which ring no bell, and a file is acknowledged whose event finds no
room. That the rescan has found it, and not some other event, is the cause that the ledger notes.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.daemon import MAIN_TOML, wait_for
from tests.faults.bed import Bed
from tests.faults.promises import complaints
from tests.faults.scene import SETTLE_S, Scene, upload
from tilldrop.delivery import Cause, State

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUED_MOST = Path("/proc/sys/fs/inotify/max_queued_events")
MANY = 100_000  # more than the kernel's queue holds unless told otherwise: 16,384
POLLING = ("poll_schedule", "do_poll", "do_sys_poll")  # by the kernel's version
HELD_US = 600_000_000
LOST = 3


def overflowing_watch(
    folder: Path, keys: Path, bug: str = "none", strays: int = MANY, queue: int | None = None
) -> Scene | None:
    """Lose the events of some uploads. queue: how many the kernel holds, if not as it is."""
    # No scan by the clock: what is found was found by the watch or for its overflow.
    bed = Bed(folder, keys, bug, MAIN_TOML)
    try:
        with _queue_of(queue) as is_set:
            if not is_set:
                return None
            bed.daemon.start()
        upload(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        with _held_reader(bed.daemon.pid) as reader:
            _fill(bed.daemon.paths.spool / "arrived", strays)
            lost = [upload(bed) for _ in range(LOST)]
            found = [f"{one.name} was refused" for one in lost if not one.acknowledged]
            waiting = [bed.daemon.deliveries(one.name)[0] for one in lost]
            found += [f"{one.name} is {one.state}" for one in waiting if one.state != "arrived"]
        wait_for("the queue to be read", lambda: _waits(reader), SETTLE_S)
        _ring(bed)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        causes = [_cause_of_import(bed, one.name) for one in lost]
        # Those behind it in the queue are imported in one go, for whatever rang last.
        if causes[0] != Cause.SCAN:
            found.append(f"found for its {causes[0]}, not by a scan")
        return Scene(LOST, found + complaints(bed.daemon, bed.sent))
    finally:
        bed.daemon.kill()


def _cause_of_import(bed: Bed, name: str) -> str:
    (delivery,) = bed.daemon.deliveries(name)
    moves = bed.daemon.ledger().moves(delivery.id)
    return next(move.cause for move in moves if move.after is State.IMPORTING)


@contextmanager
def _queue_of(most: int | None) -> Iterator[bool]:
    """Have watches that begin now hold so many events; False: this user may not."""
    if most is None:
        yield True
        return
    if not os.access(QUEUED_MOST, os.W_OK):
        yield False
        return
    before = QUEUED_MOST.read_text()
    try:
        QUEUED_MOST.write_text(str(most))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(OSError):
            QUEUED_MOST.write_text(before)


@contextmanager
def _held_reader(pid: int) -> Iterator[Path]:
    """Hold the thread that reads the queue at its next read; yield where /proc tells of it."""
    tasks = Path(f"/proc/{pid}/task")
    (reader,) = wait_for("the reader", lambda: [one for one in tasks.iterdir() if _waits(one)])
    inject = f"inject=read:delay_enter={HELD_US}"
    words = ("strace", "-e", "trace=read", "-e", inject, "-o", "/dev/null", "-p", reader.name)
    holder = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait_for("strace to be attached", lambda: _traced(reader), SETTLE_S)
        yield reader
    finally:
        holder.kill()
        holder.wait()


def _traced(task: Path) -> bool:
    return "TracerPid:\t0\n" not in (task / "status").read_text()


def _waits(task: Path) -> bool:
    """Tell whether a thread waits in poll(2), as the reader does while there is nothing."""
    return (task / "wchan").read_text().startswith(POLLING)


def _fill(arrived: Path, strays: int) -> None:
    for number in range(strays):
        (arrived / f"stray-{number}").mkdir()
    for number in range(strays):
        (arrived / f"stray-{number}").rmdir()


def _ring(bed: Bed) -> None:
    """Let an event come that has nothing to do with the uploads."""
    stray = bed.daemon.paths.spool / "arrived" / "stray"
    stray.touch()
    stray.unlink()
