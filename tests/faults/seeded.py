"""Starts the daemon with one bug planted, to prove that the fault tests would find it.

usage: python tests/faults/seeded.py SEED tilldrop-arguments...

SEED "none" plants nothing: then this is the command `tilldrop`, which also lets a tracer attach
where the kernel forbids it to strangers. The bugs stand here and not in the daemon, which has no
switch for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilldrop import cli
from tilldrop.errors import LedgerFailed, NoSuchDelivery
from tilldrop.importer.supervisor import Supervisor
from tilldrop.intake import Intake
from tilldrop.ledger_writing import LedgerWriter
from tilldrop.sqlite import sqlite3
from tilldrop.upload import Upload
from tilldrop.visit import Visit
from tilldrop.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.delivery import Cause, Delivery, State
    from tilldrop.rows import Job, Report

PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = ctypes.c_ulong(-1)
# Long enough that the client has the false answer before the omitted step is done after all.
LATE_S = 0.3

_LATE: set[asyncio.Task[Any]] = set()


def never_synced() -> None:
    """The bytes are handed to the kernel and acknowledged, but never forced to disk."""
    Upload.sync = Upload.flush  # type: ignore[method-assign]


def acknowledged_before_sync() -> None:
    """The answer goes out first; sync, commit and rename follow."""
    finish = Visit.finish

    async def finish_late(self: Visit, upload: Upload) -> None:
        _later(lambda: finish(self, upload))

    Visit.finish = finish_late  # type: ignore[method-assign]


def acknowledged_before_commit() -> None:
    """The file is synced and acknowledged; commit and rename follow."""
    accept = Intake.accept

    async def accept_late(
        self: Intake, delivery: str, before: State, cause: Cause, **columns: Any
    ) -> None:
        _later(lambda: accept(self, delivery, before, cause, **columns))

    Intake.accept = accept_late  # type: ignore[method-assign,assignment]


def committed_after_rename() -> None:
    """The file is in arrived/ before the ledger knows that it arrived."""

    async def accept(
        self: Intake, delivery: str, before: State, cause: Cause, **columns: Any
    ) -> Delivery:
        await self.in_thread(lambda: self.spool.accept(delivery))
        after = type(before).ARRIVED
        return await asyncio.wrap_future(
            self.ledger.move(delivery, before, after, cause, **columns)
        )

    Intake.accept = accept  # type: ignore[method-assign]


def state_before_rows() -> None:
    """A delivery is imported by what a rehearsal on a copy reports; its rows are booked later."""
    run = Supervisor.run

    def run_late(self: Supervisor, job: Job) -> Report:
        copy = Path(job.data_path).with_name("rehearsal.db")
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(job.data_path)) as data:
            data.execute("VACUUM INTO ?", (str(copy),))
        report = run(self, replace(job, data_path=str(copy)))
        kept = Path(job.path).parents[1] / "kept" / Path(job.path).name
        later = threading.Timer(LATE_S, run, (self, replace(job, path=str(kept))))
        later.daemon = True
        later.start()
        return report

    Supervisor.run = run_late  # type: ignore[method-assign]
    Supervisor.run_all = lambda self, jobs: [  # type: ignore[method-assign]
        self.run(job) for job in jobs
    ]


def close_trusted() -> None:
    """A file that the library closed because the client vanished counts as whole."""
    abandon = Visit.abandon

    async def abandon_trusting(self: Visit, upload: Upload) -> None:
        if upload.poison is None and upload.ranges.whole and not upload.ended:
            await self.finish(upload)
        else:
            await abandon(self, upload)

    Visit.abandon = abandon_trusting  # type: ignore[method-assign]


def sync_error_ignored() -> None:
    """The disk says that the bytes could not be made durable, and nobody listens."""
    write_out = Upload._write_out

    def sync_anyway(self: Upload, chunk: bytearray, at: int) -> None:
        write_out(self, chunk, at)
        with contextlib.suppress(OSError):
            os.fsync(self._descriptor)

    Upload._write_and_sync = sync_anyway  # type: ignore[method-assign]


def commit_error_ignored() -> None:
    """The ledger says that it could not commit, and the upload is acknowledged all the same."""
    accept = Intake.accept

    async def accept_anyway(
        self: Intake, delivery: str, before: State, cause: Cause, **columns: Any
    ) -> None:
        with contextlib.suppress(LedgerFailed, NoSuchDelivery):
            await accept(self, delivery, before, cause, **columns)

    Intake.accept = accept_anyway  # type: ignore[method-assign,assignment]


def ledger_never_synced() -> None:
    """The ledger's commits are handed to the kernel and never forced to disk."""
    open_writer = LedgerWriter._open_writer

    def open_careless(self: LedgerWriter, mode: str) -> sqlite3.Connection:
        connection = open_writer(self, mode)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    LedgerWriter._open_writer = open_careless  # type: ignore[method-assign]


def overflow_unheard() -> None:
    """The kernel says that events were lost, and nobody looks what came."""
    Watch._overflowed = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005


def _later(work: Callable[[], Any]) -> None:
    async def wait_and_work() -> None:
        await asyncio.sleep(LATE_S)
        await work()

    task = asyncio.ensure_future(wait_and_work())
    _LATE.add(task)
    task.add_done_callback(_LATE.discard)


SEEDS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "never-synced": never_synced,
    "acknowledged-before-sync": acknowledged_before_sync,
    "acknowledged-before-commit": acknowledged_before_commit,
    "committed-after-rename": committed_after_rename,
    "state-before-rows": state_before_rows,
    "close-trusted": close_trusted,
    "sync-error-ignored": sync_error_ignored,
    "commit-error-ignored": commit_error_ignored,
    "ledger-never-synced": ledger_never_synced,
    "overflow-unheard": overflow_unheard,
}


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
    SEEDS[sys.argv.pop(1)]()
    cli.main()
