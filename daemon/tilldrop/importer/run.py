"""One run: from a delivery's bytes to its committed report.

Promises: a run is committed whole or not at all; a run that was committed is not done again,
its stored report is returned; what cannot be counted twice alike is not booked. Never opens a
connection, never touches the ledger.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.importer import careful, engine, fast
from tilldrop.importer.cards import mask
from tilldrop.importer.plan import mapping_faults
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean, Context, Staged
from tilldrop.importer.store import Booked, Store
from tilldrop.mapping import Feed, feed_from_json
from tilldrop.rows import Counts, Fault, Job, Outcome, Report

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

COUNT_AGAIN = (
    "SELECT count(*), coalesce(sum(total_minor), 0), (SELECT count(*) FROM refused) FROM staged"
)


def run(job: Job, con: DuckDBPyConnection, store: Store, temp_dir: Path) -> Report:
    """Import a delivery with these connections and return its report.

    con: locked DuckDB without tables; tables are left in it. temp_dir: empty, private; files
    are left in it.
    Raises DataBusy (temporary); nothing is booked then, nor on any other error.
    """
    began = time.monotonic()
    if (stored := store.report(con, job.delivery, job.run)) is not None:
        return stored
    draft, staged = _judge(job, con, temp_dir)

    def conclude(booked: Booked) -> Report:
        counts = replace(
            draft.counts,
            inserted=booked.inserted,
            updated=booked.updated,
            unchanged=booked.unchanged,
            superseded=booked.superseded,
        )
        return replace(draft, counts=counts, took_ms=round(1000 * (time.monotonic() - began)))

    if staged is not None:
        return store.book(con, job, staged, conclude)
    report = conclude(Booked())
    store.record(con, job, report)
    return report


def _judge(job: Job, con: DuckDBPyConnection, temp_dir: Path) -> tuple[Report, Staged | None]:
    """Read and map the file. Returns the report but for its last counts, and what to book."""
    draft = Report(job.delivery, job.run, "imported", currency=job.currency)
    path = Path(job.path)
    if job.feed is None:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        draft = replace(draft, sha256=sha256, size_bytes=path.stat().st_size)
        return _refused(draft, "unclaimed", Fault("no-feed", seen=job.name)), None
    feed = feed_from_json(job.feed)
    clean, sha256, size_bytes = prepare(path, feed.reading, temp_dir, job.max_record_bytes)
    draft = replace(
        draft, feed=feed.name, fingerprint=job.fingerprint, sha256=sha256, size_bytes=size_bytes
    )
    if sha256 == job.same_as:
        return _refused(draft, "duplicate", Fault("same-again")), None
    if isinstance(clean, Fault):
        return _refused(draft, "rejected", clean), None
    at = Context(job.zone, job.currency, job.name, temp_dir, job.max_record_bytes)
    staged = mapping_faults(clean, feed, at) or _stage(con, clean, feed, at)
    if isinstance(staged, Fault):
        return _refused(draft, "rejected", staged), None
    return _weigh(draft, staged, feed)


def _refused(draft: Report, outcome: Outcome, fault: Fault) -> Report:
    """Report a file of which nothing is booked, for one reason."""
    fault = replace(fault, seen=mask(fault.seen))
    rejected = outcome == "rejected"
    return replace(
        draft,
        outcome=outcome,
        reason=fault.code,
        reason_seen=fault.seen,
        faults=(fault,) if rejected else (),
        fault_count=int(rejected),
    )


def _stage(con: DuckDBPyConnection, clean: Clean, feed: Feed, at: Context) -> Staged | Fault:
    """Map the records in the fast lane; in the careful lane if that one's counts are in doubt."""
    if clean.records == 0:
        return Fault("no-records")
    quick = fast.stage(con, clean, feed, at)
    if quick is not None and _adds_up(con, clean, feed, quick):
        return quick
    engine.drop_all(con)
    exact = careful.stage(con, clean, feed, at)
    if isinstance(exact, Fault) or _adds_up(con, clean, feed, exact):
        return exact
    return Fault("counts-disagree")


def _adds_up(con: DuckDBPyConnection, clean: Clean, feed: Feed, staged: Staged) -> bool:
    """Tell whether every record counted on the raw bytes was booked, refused or overtaken."""
    found: list[tuple[int, ...]] = con.execute(COUNT_AGAIN).fetchall()
    rows, total_minor, refused = found[0]
    good = staged.read - staged.refused - staged.repeated
    return (
        (rows, total_minor, refused) == (staged.transactions, staged.total_minor, staged.refused)
        and staged.read == clean.records
        # Lines of one transaction become one row, so there the sum is a bound only.
        and (rows <= good and bool(rows) == bool(good) if feed.rows == "per-line" else rows == good)
    )


def _weigh(draft: Report, staged: Staged, feed: Feed) -> tuple[Report, Staged | None]:
    """Refuse the file if too many of its records are faulty, else take its figures over."""
    draft = replace(
        draft,
        counts=Counts(read=staged.read, rejected=staged.refused, repeated=staged.repeated),
        faults=tuple(replace(fault, seen=mask(fault.seen)) for fault in staged.faults),
        fault_count=staged.fault_count,
        warning_counts=staged.warning_counts,
        lane=staged.lane,
    )
    if staged.faulty / staged.read > feed.max_fault_share:
        # Rounded up: a share past 10 % must not read as "10 %".
        percent = math.ceil(1000 * staged.faulty / staged.read) / 10
        seen = f"{percent:g} %"
        reason = "too-many-faults"
        return replace(draft, outcome="rejected", reason=reason, reason_seen=seen), None
    counts = replace(draft.counts, transactions=staged.transactions, refunds=staged.refunds)
    return replace(
        draft,
        counts=counts,
        total_minor=staged.total_minor,
        refund_minor=staged.refund_minor,
        sold_from=staged.sold_from,
        sold_to=staged.sold_to,
    ), staged
