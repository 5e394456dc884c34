"""Where a run's rows are booked: data.db, sandbox.db, or each its part.

Owns how the figures of what was booked come into the report. Promises that a run of which only the
sandbox's part was committed is finished, and not repeated, when it is done again: sandbox.db is
written first, and data.db says whether the run is done. Refused records are kept in data.db.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.rows import FAULTS_KEPT, Counts, Fault, Report

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tilldrop.importer.memory import Remember
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store import Store
    from tilldrop.importer.store_standing import Booked
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

NOTHING = "false"
ALL = "true"


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


def record(con: DuckDBPyConnection, job: Job, stores: Stores, report: Report) -> None:
    """Commit a report of which nothing is booked. Raises DataBusy."""
    sandbox = stores.sandbox
    if sandbox is not None and sandbox.report(con, job.delivery, job.run) is None:
        sandbox.record(con, job, report)
    stores.live.record(con, job, report)


def book(con: DuckDBPyConnection, job: Job, stores: Stores, ready: Ready) -> Report:
    """Commit the staged rows and the report, which is returned. Raises DataBusy.

    con: with the staged tables; other tables may be there under these names afterwards.
    """
    if stores.sandbox is None:
        return stores.live.book(
            *(con, job, ready.staged),
            lambda booked: _concluded(ready.draft, booked, ready.began),
            *(ready.feed, ready.remember),
        )
    return _book_parts(con, job, stores.live, stores.sandbox, ready)


def _book_parts(
    con: DuckDBPyConnection, job: Job, live: Store, sandbox: Store, ready: Ready
) -> Report:
    tables = ("staged", *(f"staged_{child}" for child in ready.staged.children))
    for table in tables:
        _set_aside(con, table)
    in_sandbox, in_live = _conditions(job, ready.staged)
    rows = _choose(con, tables, in_sandbox)
    draft = replace(ready.draft, sandbox=rows > 0 and in_live != ALL)

    first = sandbox.report(con, job.delivery, job.run)
    if first is None:
        first = sandbox.book(
            *(con, job, replace(ready.staged, transactions=rows, refused=0)),
            lambda booked: _concluded(draft, booked, ready.began),
            *(_feed_of(ready.feed, rows), ready.remember),
        )
    before = replace(first, counts=draft.counts, child_rows={}) if in_live == ALL else first
    rows = _choose(con, tables, in_live)
    return live.book(
        *(con, job, replace(ready.staged, transactions=rows)),
        lambda booked: _concluded(before, booked, ready.began),
        *(_feed_of(ready.feed, rows), ready.remember),
    )


def _conditions(job: Job, staged: Staged) -> tuple[str, str]:
    """Return which rows go to sandbox.db and which to data.db."""
    if not job.sandbox_path:
        return NOTHING, ALL  # sandbox.db is open for the replay alone
    if not job.live_locations:
        return ALL, NOTHING
    if all(column.name != "location_id" for column in staged.columns):
        return ALL, ALL  # what belongs to no location is needed on both sides
    live = f"location_id IN ({', '.join(map(literal, job.live_locations))})"
    return f"NOT {live}", live


def _feed_of(feed: Feed, rows: int) -> Feed:
    """Let a part without rows claim nothing: the file itself did not come empty."""
    return feed if rows else replace(feed, complete="")


def _set_aside(con: DuckDBPyConnection, table: str) -> None:
    """Give a table another name, so that parts of it can take its place."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE whole_{table} AS FROM {table}")
    views = con.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name = ? AND NOT internal", [table]
    ).fetchall()
    con.execute(f"DROP {'VIEW' if views[0][0] else 'TABLE'} {table}")


def _choose(con: DuckDBPyConnection, tables: tuple[str, ...], condition: str) -> int:
    """Let the tables hold the rows that meet a condition; count those of the first."""
    for table in tables:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS FROM whole_{table} WHERE {condition}")
    found: list[tuple[int]] = con.execute("SELECT count(*) FROM staged").fetchall()
    return found[0][0]


def _concluded(before: Report, booked: Booked, began: float) -> Report:
    """Add to a report what became of the rows."""
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
        )
        if number
    ]
    took_ms = round(1000 * (time.monotonic() - began))
    report = replace(before, counts=counts, child_rows=child_rows, took_ms=took_ms)
    return warned(report, tuple(warnings))
