"""The rows of several small files in one statement, where each file had statements of its own.

Owns the way of files whose rows are all new, which is what files of tills are. Promises that what
is booked and counted is what booking one file after the other comes to: where any row is there
already, or a feed has to be merged, nothing is done and the caller is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adbc_driver_manager import Error as AdbcError

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.few import FewTables, joined
from tilldrop.importer.store_merge import is_careful
from tilldrop.importer.store_sql import insert, insert_child, keys
from tilldrop.importer.store_standing import Booked, look

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tilldrop.importer.memory import Remember
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store_connection import Connection
    from tilldrop.importer.store_standing import Standing
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job, Report

IS_THERE = "UNIQUE constraint failed"


@dataclass(frozen=True, slots=True)
class Booking:
    """One of several runs of a feed. staged: None if only its report is to be stored.

    conclude: makes the report of what became of the rows.
    """

    job: Job
    staged: Staged | None
    conclude: Callable[[Booked], Report]
    remember: Remember | None = None


def append_all(
    data: Connection, files: Sequence[tuple[Job, Staged]], feed: Feed
) -> tuple[int | None, list[Booked]] | None:
    """Insert the rows of several files, of first runs and in the order of their arrival.

    Returns the id of their set of columns and what became of each file's rows; None, and nothing
    was done, if they have to be booked one by one. Belongs into a transaction.
    """
    if not files:
        return None, []
    first_job, first = files[0]
    parts = [one.tables for _, one in files if isinstance(one.tables, FewTables)]
    if len(parts) < len(files) or any(_shape(one) != _shape(first) for _, one in files):
        return None
    standing = look(data, first_job, feed, first)
    if is_careful(first_job, feed, standing):
        return None
    data.execute("SAVEPOINT together")
    try:
        _insert(data, [job for job, _ in files], parts, first, standing)
    except AdbcError as error:
        if IS_THERE not in str(error):
            raise
        data.execute("ROLLBACK TO together")
        return None
    return standing.set_id, [_booked(one) for _, one in files]


def _shape(staged: Staged) -> object:
    return staged.table, staged.columns, staged.children


def _booked(staged: Staged) -> Booked:
    child_rows = {child: staged.tables.count(f"staged_{child}") for child in staged.children}
    return Booked(inserted=staged.transactions, child_rows=child_rows)


def _insert(
    data: Connection,
    jobs: Sequence[Job],
    parts: Sequence[FewTables],
    first: Staged,
    standing: Standing,
) -> None:
    customer = literal(jobs[0].customer)
    columns = (*keys(first.table), *standing.columns)
    named = [(job.arrival_seq, job.delivery) for job in jobs]
    marks = ", ".join("?" * (len(columns) + 3))
    sql = f"{insert(first.table, columns)} VALUES ({customer}, {marks})"
    data.write(sql, joined(parts, "staged", (*columns, "line"), named))
    for child in standing.children:
        columns = tuple(column.name for column in first.children[child])
        marks = ", ".join("?" * (len(columns) + 2))
        sql = f"{insert_child(child, columns)} VALUES ({customer}, {marks})"
        named_child = [(job.delivery,) for job in jobs]
        data.write(sql, joined(parts, f"staged_{child}", (*columns, "line"), named_child))
