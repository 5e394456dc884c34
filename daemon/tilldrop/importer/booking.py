"""Where a run's rows are booked: data.db, sandbox.db, or each its part.

Owns how the figures of what was booked come into the report. Promises that a run of which only the
sandbox's part was committed is finished, and not repeated, when it is done again: sandbox.db is
written first, and data.db says whether the run is done. Refused records are kept in data.db.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilldrop.importer.stage import Part
from tilldrop.rows import FAULTS_KEPT, Counts, Fault, Report

if TYPE_CHECKING:
    from tilldrop.importer.memory import Remember
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store import Store
    from tilldrop.importer.store_standing import Booked
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

NOTHING = Part((), is_inside=True)
ALL = Part((), is_inside=False)


@dataclass(frozen=True, slots=True)
class Stores:
    """The databases of one job.

    sandbox: None if all of it is live, but for the first and last job of a replay.
    """

    live: Store
    sandbox: Store | None = None

    def all(self) -> tuple[Store, ...]:
        """Return those that are open."""
        return (self.live,) if self.sandbox is None else (self.live, self.sandbox)

    def leading(self, job: Job) -> Store:
        """Return the one that knows what the customer's files were like before."""
        if self.sandbox is None or job.live_locations or not job.sandbox_path:
            return self.live
        return self.sandbox


@dataclass(frozen=True, slots=True)
class Ready:
    """What is to be booked, and all of its report but what becomes of the rows.

    began: `time.monotonic()` when the run began.
    """

    draft: Report
    feed: Feed
    staged: Staged
    remember: Remember
    began: float


def warned(report: Report, warnings: tuple[Fault, ...]) -> Report:
    """Add warnings to a report, each of which stands for itself."""
    if not warnings:
        return report
    counts = report.warning_counts | {warning.code: 1 for warning in warnings}
    faults = (*report.faults[: FAULTS_KEPT - len(warnings)], *warnings)
    return replace(report, faults=faults, warning_counts=counts)


def record(job: Job, stores: Stores, report: Report) -> None:
    """Commit a report of which nothing is booked. Raises DataBusy."""
    sandbox = stores.sandbox
    if sandbox is not None and sandbox.report(job.delivery, job.run) is None:
        sandbox.record(job, report)
    stores.live.record(job, report)


def book(job: Job, stores: Stores, ready: Ready) -> Report:
    """Commit the staged rows and the report, which is returned. Raises DataBusy.

    There may be other rows in the staged tables afterwards.
    """
    if stores.sandbox is None:
        return stores.live.book(
            *(job, ready.staged),
            lambda booked: concluded(ready.draft, booked, ready.began),
            *(ready.feed, ready.remember),
        )
    return _book_parts(job, stores.live, stores.sandbox, ready)


def _book_parts(job: Job, live: Store, sandbox: Store, ready: Ready) -> Report:
    tables, children = ready.staged.tables, tuple(ready.staged.children)
    tables.set_aside(children)
    in_sandbox, in_live = _parts(job, ready.staged)
    rows = tables.choose(in_sandbox, children)
    draft = replace(ready.draft, sandbox=rows > 0 and in_live != ALL)

    first = sandbox.report(job.delivery, job.run)
    if first is None:
        first = sandbox.book(
            *(job, replace(ready.staged, transactions=rows, refused=0)),
            lambda booked: concluded(draft, booked, ready.began),
            *(_feed_of(ready.feed, rows), ready.remember),
        )
    before = replace(first, counts=draft.counts, child_rows={}) if in_live == ALL else first
    rows = tables.choose(in_live, children)
    return live.book(
        *(job, replace(ready.staged, transactions=rows)),
        lambda booked: concluded(before, booked, ready.began),
        *(_feed_of(ready.feed, rows), ready.remember),
    )


def _parts(job: Job, staged: Staged) -> tuple[Part, Part]:
    """Return which rows go to sandbox.db and which to data.db."""
    if not job.sandbox_path:
        return NOTHING, ALL  # sandbox.db is open for the replay alone
    if not job.live_locations:
        return ALL, NOTHING
    if all(column.name != "location_id" for column in staged.columns):
        return ALL, ALL  # what belongs to no location is needed on both sides
    live = tuple(job.live_locations)
    return Part(live, is_inside=False), Part(live, is_inside=True)


def _feed_of(feed: Feed, rows: int) -> Feed:
    """Let a part without rows claim nothing: the file itself did not come empty."""
    return feed if rows else replace(feed, complete="")


def concluded(before: Report, booked: Booked, began: float) -> Report:
    """Add to a report what became of the rows. began: as `Ready` has it."""
    counts: Counts = replace(
        before.counts,
        inserted=before.counts.inserted + booked.inserted,
        updated=before.counts.updated + booked.updated,
        unchanged=before.counts.unchanged + booked.unchanged,
        superseded=before.counts.superseded + booked.superseded,
        gone=before.counts.gone + booked.gone,
        removed=before.counts.removed + booked.removed,
    )
    child_rows = dict(before.child_rows)
    for child, rows in booked.child_rows.items():
        child_rows[child] = child_rows.get(child, 0) + rows
    warnings = [
        Fault(code, seen=f"{number} {noun if number == 1 else noun + 's'}", warning=True)
        for code, number, noun in (
            ("older-ignored", booked.ignored, "row"),
            ("id-reuse-suspected", booked.reused, "id"),
            ("versions-gone", booked.lost, "row"),
        )
        if number
    ]
    took_ms = round(1000 * (time.monotonic() - began))
    report = replace(before, counts=counts, child_rows=child_rows, took_ms=took_ms)
    return warned(report, tuple(warnings))
