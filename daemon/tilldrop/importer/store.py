"""Rows to data.db: the only writer of business tables.

Owns the worker's connection to data.db and the SQL that only SQLite understands. Promises: a
run's rows, its refused records and its report are committed together or not at all; the last
acknowledged delivery wins, in whatever order deliveries are booked; counts are exact. Never
imports sqlite3: two copies of SQLite in one process lose each other's locks. The schema is
`schema.py`'s.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adbc_driver_manager import Error as AdbcError
from adbc_driver_sqlite import dbapi

from tilldrop.errors import DataBusy
from tilldrop.importer.cards import SUSPICIOUS, mask
from tilldrop.importer.compile_dates import literal
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.stage import Staged
    from tilldrop.rows import Job

BUSY_TIMEOUT_MS = 5_000  # as long as another program may hold the lock before a job is put off
CACHE_KIB = 128 * 1024  # a million rows are 130 MB of pages; 16 MB: twice as slow if shuffled
WAL_KEPT_BYTES = 8 * 1024**2  # what SQLite's own automatic checkpoint would let it grow to
SETTINGS = (
    "synchronous = FULL",
    f"cache_size = -{CACHE_KIB}",
    # Moving the WAL into the file costs 0.3 s for a million rows; rest() does it after the
    # report has gone out. The commit is durable without.
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {WAL_KEPT_BYTES}",
)
MASKED_AT_ONCE = 500  # records of up to a megabyte each

KEY = ("customer", "location_id", "transaction_id")
PROVENANCE = ("arrival_seq", "delivery", "line")

# The customer, the delivery and its arrival_seq stand in these as literals: a value that is
# bound for each row costs 0.06 s in a million rows, and one bound by a query costs 1 ms.
HAS_ROWS = (
    "SELECT EXISTS (SELECT 1 FROM transactions WHERE customer = {customer}),"
    " EXISTS (SELECT 1 FROM deliveries"
    " WHERE customer = {customer} AND arrival_seq > {seq} AND outcome = 'imported')"
)
CONFIRM = (
    "UPDATE transactions SET arrival_seq = {seq} WHERE customer = {customer}"
    " AND location_id = ? AND transaction_id = ? AND arrival_seq <= {seq}"
)
COUNT_NEWER = (
    "UPDATE transactions SET arrival_seq = arrival_seq WHERE customer = {customer}"
    " AND location_id = ? AND transaction_id = ? AND arrival_seq > {seq}"
)
STAGED_KEYS = "SELECT location_id, transaction_id FROM staged"
FIND_REPORT = "SELECT report FROM deliveries WHERE delivery = {delivery} AND run = {run}"
ADD_REPORT = (
    "INSERT INTO deliveries"
    " (delivery, run, customer, arrival_seq, name, feed, outcome, report, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FORGET_REFUSED = "DELETE FROM rejected_rows WHERE delivery = ?"
REFUSED = "SELECT ?::VARCHAR, ?::VARCHAR, ?::BIGINT, line, code, field, seen, record FROM refused"
ADD_REFUSED = (
    "INSERT INTO rejected_rows (customer, delivery, run, line, code, field, seen, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of the staged rows. Their sum is the number of rows staged."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0


class Store:
    """One open data.db. `con`, where asked for, only carries values to and from it as Arrow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(path)
        # mode=rw: a missing data.db is an error, not an empty database.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self._connection = dbapi.connect(uri, autocommit=True)
        self._cursor = self._connection.cursor()
        try:
            for setting in SETTINGS:
                self._cursor.execute(f"PRAGMA {setting}")
            self._cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        except BaseException:
            self.close()
            raise

    def is_at(self, path: Path) -> bool:
        """Tell whether this is still the file under that name (a restored backup is another)."""
        return self.path == path and self._identity == _identity(path)

    def report(self, con: DuckDBPyConnection, delivery: str, run: int) -> Report | None:
        """Return the report of a run that was committed, else None. Raises DataBusy."""
        with _busy_told():
            found = self._rows(con, FIND_REPORT.format(delivery=literal(delivery), run=run))
        return Report.from_json(found[0][0]) if found else None

    def record(self, con: DuckDBPyConnection, job: Job, report: Report) -> None:
        """Commit a report of which nothing is booked. Raises DataBusy."""
        with self._transaction():
            self._add_report(con, job, report)

    def book(
        self,
        con: DuckDBPyConnection,
        job: Job,
        staged: Staged,
        conclude: Callable[[Booked], Report],
    ) -> Report:
        """Commit what `con` has in `staged` and `refused`, and the report that `conclude` makes.

        staged: no key twice. Raises DataBusy (temporary); on that and any other error nothing
        is booked and the connection must be closed.
        Cost: 1.9 s for a million new rows, 4 s where all exist already; 6 ms for a thousand.
        """
        columns = tuple(column.name for column in staged.columns)
        if staged.refused:
            _mask_refused(con)
        with self._transaction():
            booked = self._upsert(con, job, columns, staged.transactions)
            if job.run > 1:
                self._write(con, FORGET_REFUSED, "SELECT ?::VARCHAR", (job.delivery,))
            if staged.refused:
                self._write(con, ADD_REFUSED, REFUSED, (job.customer, job.delivery, job.run))
            report = conclude(booked)
            self._add_report(con, job, report)
        return report

    def rest(self) -> bool:
        """Do what can wait until a report is out; tell whether there was anything to do.

        Keeps the WAL short and gives the page cache back. Never waits for a lock.
        """
        wal = self.path.with_name(self.path.name + "-wal")
        if not wal.exists() or wal.stat().st_size <= WAL_KEPT_BYTES:
            return False
        self._cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._cursor.execute("PRAGMA shrink_memory")
        return True

    def close(self) -> None:
        """Close; the last connection to a data.db also empties its WAL."""
        self._cursor.close()
        self._connection.close()

    def _upsert(
        self, con: DuckDBPyConnection, job: Job, columns: Sequence[str], staged_rows: int
    ) -> Booked:
        """Insert new rows and change those that differ, where no newer delivery wrote them.

        A row that is there with equal values keeps its `delivery` and `line`, but takes this
        arrival_seq: 1 says A, 2 says B and is held, 3 says A again; when 2 is released, its B
        must lose against 3. So every row that is there is confirmed first, which also counts
        them; SQLite itself tells only how many rows an upsert touched. It costs 2 s for a million
        rows that exist; counting by a trigger cost 4 s for a million new ones.
        """
        here = {"customer": literal(job.customer), "seq": job.arrival_seq}
        has_rows, has_newer = self._rows(con, HAS_ROWS.format(**here))[0]
        existing = newer = 0
        if has_rows:
            existing = self._write(con, CONFIRM.format(**here), STAGED_KEYS)
        if has_rows and has_newer:
            newer = self._write(con, COUNT_NEWER.format(**here), STAGED_KEYS)
        bound = f"SELECT {', '.join(columns)}, line FROM staged"  # noqa: S608  our column names
        touched = self._write(con, upsert_sql(columns, job), bound)
        inserted = staged_rows - existing - newer
        updated = touched - inserted
        return Booked(inserted, updated, existing - updated, newer)

    def _add_report(self, con: DuckDBPyConnection, job: Job, report: Report) -> None:
        values = (
            *(job.delivery, job.run, job.customer, job.arrival_seq, job.name, report.feed),
            *(report.outcome, report.to_json(), datetime.now(UTC).isoformat("T", "milliseconds")),
        )
        self._write(con, ADD_REPORT, f"SELECT {', '.join('?' * len(values))}", values)

    def _rows(self, con: DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
        """Run a query that has nothing to bind."""
        self._cursor.execute(sql)
        return con.from_arrow(self._cursor.fetch_arrow()).fetchall()

    def _write(
        self, con: DuckDBPyConnection, sql: str, bound: str, values: Sequence[object] = ()
    ) -> int:
        """Run a statement once for each row of the DuckDB query `bound`; count the rows touched.

        The rows stream over as Arrow: none becomes a Python object.
        """
        self._cursor.executemany(sql, con.sql(bound, params=list(values)))
        return self._cursor.rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _busy_told():
            try:
                self._cursor.execute("BEGIN IMMEDIATE")
                yield
                self._cursor.execute("COMMIT")
            except BaseException:
                # A failed executemany() keeps the rows before the failure: seen with ADBC 1.13.
                with suppress(AdbcError):
                    self._cursor.execute("ROLLBACK")
                raise


def upsert_sql(columns: Sequence[str], job: Job) -> str:
    """Return the statement that books one row; `columns` and the line are bound, in that order.

    It touches only the columns that the feed maps, never a row with a higher arrival_seq, and
    does not rewrite a row whose values are equal.
    """
    names = ("customer", *columns, "line", "arrival_seq", "delivery")
    mapped = [name for name in columns if name not in KEY]
    takes = ", ".join(f"{name} = excluded.{name}" for name in (*mapped, *PROVENANCE))
    differs = " OR ".join(f"t.{name} IS NOT excluded.{name}" for name in mapped)
    return (
        f"INSERT INTO transactions AS t ({', '.join(names)})"  # noqa: S608  names and literals
        f" VALUES ({literal(job.customer)}, {', '.join('?' * len(columns))}, ?,"
        f" {job.arrival_seq}, {literal(job.delivery)})"
        f" ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {takes}"
        f" WHERE t.arrival_seq <= excluded.arrival_seq AND ({differs})"
    )


def _mask_refused(con: DuckDBPyConnection) -> None:
    """Mask card numbers in `refused`; only records with enough digits in a row are looked at."""
    last = -1
    while found := con.execute(
        "SELECT rowid, seen, record FROM refused WHERE rowid > ?"
        " AND regexp_matches(concat_ws(chr(10), seen, record), ?) ORDER BY rowid LIMIT ?",
        [last, SUSPICIOUS, MASKED_AT_ONCE],
    ).fetchall():
        masked = [
            [at for at, _, _ in found],
            [seen and mask(seen) for _, seen, _ in found],
            [record and mask(record) for _, _, record in found],
        ]
        con.execute(
            "UPDATE refused SET seen = m.seen, record = m.record FROM (SELECT"
            " unnest(?::BIGINT[]) AS at, unnest(?::VARCHAR[]) AS seen,"
            " unnest(?::VARCHAR[]) AS record) AS m WHERE refused.rowid = m.at",
            masked,
        )
        last = found[-1][0]


@contextmanager
def _busy_told() -> Iterator[None]:
    """Turn SQLite's "database is locked" into DataBusy."""
    try:
        yield
    except AdbcError as error:
        if "locked" in str(error):
            raise DataBusy("another program keeps data.db locked") from error
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
