"""The worker's connection to data.db, by ADBC: the one SQLite of this process.

Owns its settings. Values cross to and from SQLite as Arrow. Promises: what happens in
`transaction` is committed together or not at all. Never imports sqlite3: two copies of SQLite in
one process lose each other's locks.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb
from adbc_driver_manager import Error as AdbcError
from adbc_driver_sqlite import dbapi

from tilldrop.errors import DataBusy, DataFull
from tilldrop.importer import arrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BUSY_TIMEOUT_MS = 5_000  # as long as another program may hold the lock before a job is put off
CACHE_KIB = 128 * 1024  # a million rows are 130 MB of pages; 16 MB: twice as slow if shuffled
FULL = "database or disk is full"  # SQLITE_FULL; ADBC tells no codes
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NO_ROOM_TEXTS = (FULL, *map(os.strerror, NO_ROOM))
# CORRUPT, also in the page of the tables themselves, and NOTADB.
DAMAGED_TEXTS = (
    "disk image is malformed",
    "malformed database schema",
    "file is not a database",
)
FAILING_TEXTS = (  # IOERR, READONLY, CANTOPEN; the last are ADBC's words for CANTOPEN
    "disk I/O error",
    "attempt to write a readonly database",
    "unable to open database file",
    "failed to open 'file:",
)
# The system's own trouble; a file's content cannot be the reason for any of them.
SYSTEM_FAILS = (errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
ROOM_LEAST_BYTES = 64 * 1024  # two pages and a WAL index: with less even opening it fails
WAL_KEPT_BYTES = 8 * 1024**2  # what SQLite's own automatic checkpoint would let it grow to
SETTINGS = (
    "synchronous = FULL",
    f"cache_size = -{CACHE_KIB}",
    # Moving the WAL into the file costs 0.3 s for a million rows; rest() does it after the
    # report has gone out. The commit is durable without.
    "wal_autocheckpoint = 0",
    f"journal_size_limit = {WAL_KEPT_BYTES}",
)


class Connection:
    """One open data.db."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(path)
        self._is_within = False
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

    def execute(self, sql: str) -> None:
        """Run a statement that has nothing to bind. Cost: 5 us and its work."""
        self._cursor.execute(sql)

    def change(self, sql: str) -> int:
        """Run a statement that has nothing to bind; count the rows changed."""
        self._cursor.execute(sql)
        return int(self.rows("SELECT changes()")[0][0])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query that has nothing to bind. Cost: 30 us and its work."""
        self._cursor.execute(sql)
        return arrow.read(self._cursor.fetch_arrow())

    def write(self, sql: str, bound: arrow.Rows | arrow.Stream) -> int:
        """Run a statement once for each bound row; count the rows touched."""
        self._cursor.executemany(sql, bound)
        return int(self._cursor.rowcount)

    def add(self, sql: str, *rows: Sequence[object]) -> int:
        """Run a statement once for each of a few rows; count the rows touched."""
        return self.write(sql, arrow.of_rows(rows)) if rows else 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what happens within, or on any error nothing. Raises DataBusy, DataFull.

        One within another is a part of it.
        """
        if self._is_within:
            yield
            return
        self._is_within = True
        with busy_told():
            try:
                self._cursor.execute("BEGIN IMMEDIATE")
                yield
                self._cursor.execute("COMMIT")
            except BaseException:
                # A failed executemany() keeps the rows before the failure: seen with ADBC 1.13.
                with suppress(AdbcError):
                    self._cursor.execute("ROLLBACK")
                raise
            finally:
                self._is_within = False

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


@contextmanager
def busy_told() -> Iterator[None]:
    """Turn SQLite's "database is locked" into DataBusy, "disk is full" into DataFull."""
    try:
        yield
    except AdbcError as error:
        if "locked" in str(error):
            raise DataBusy("another program keeps data.db locked") from error
        if FULL in str(error):
            raise DataFull("the disk of data.db is full") from error
        raise


def is_full(error: BaseException, folders: tuple[Path, ...]) -> bool:
    """Tell whether an error means that a disk has no room: SQLite's, DuckDB's or the system's.

    folders: where there must be room. SQLite says no more than "disk I/O error" where it cannot
    even make the WAL's index, so the disk is asked too.
    """
    if isinstance(error, OSError):
        return error.errno in NO_ROOM
    if not isinstance(error, (AdbcError, duckdb.Error)):
        return False
    if any(text in str(error) for text in NO_ROOM_TEXTS):
        return True
    return "I/O error" in str(error) and any(map(_is_without_room, folders))


def is_damaged(error: BaseException) -> bool:
    """Tell whether SQLite says that a database is malformed. ADBC tells no codes."""
    return isinstance(error, AdbcError) and any(text in str(error) for text in DAMAGED_TEXTS)


def is_failing(error: BaseException) -> bool:
    """Tell whether SQLite cannot get at a database: it is the disk's fault, not the file's."""
    return isinstance(error, AdbcError) and any(text in str(error) for text in FAILING_TEXTS)


def is_unreadable(error: BaseException) -> bool:
    """Tell whether the system, or DuckDB for it, says that a file cannot be had for now."""
    if isinstance(error, duckdb.IOException):
        return any(os.strerror(number) in str(error) for number in SYSTEM_FAILS)
    return isinstance(error, OSError) and error.errno in SYSTEM_FAILS


def _is_without_room(folder: Path) -> bool:
    try:
        space = os.statvfs(folder)
    except OSError:
        return False
    return space.f_bavail * space.f_frsize < ROOM_LEAST_BYTES


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
