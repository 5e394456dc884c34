"""The schema of data.db and its migrations, owned by sqlite-utils.

Promises: `migrate` makes a new data.db or brings any released one forward, and refuses a newer
one. Never reads or writes a business row, and is never imported by the worker: the worker's
SQLite is another library. The text of each step lies in `sql/`.
"""

from __future__ import annotations

import re
from contextlib import closing
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from tilldrop.errors import DatabaseDamaged, DataBusy, SchemaTooNew
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES: Final = 8192  # a million rows: as fast as 16384, a little faster than 4096
BUSY_TIMEOUT_S: Final = 5.0
STEPS: Final = Migrations("data")
KNOWN: Final = frozenset({"001", "002", "003", "004", "005"})


@STEPS(name="001")
def transactions_deliveries_rejected(db: Database) -> None:
    """Make what the first release has."""
    _execute_text(db, "data-001.sql")


@STEPS(name="002")
def every_table(db: Database) -> None:
    """Add the other tables, and let a transaction wait for its total."""
    _execute_text(db, "data-002.sql")
    _drop_not_null(db, "transactions", "total_minor")


@STEPS(name="003")
def erased_shoppers(db: Database) -> None:
    """Remember who was erased."""
    _execute_text(db, "data-003.sql")


@STEPS(name="004")
def orphans_of_parts(db: Database) -> None:
    """List transactions of which only a part has come."""
    _execute_text(db, "data-004.sql")


@STEPS(name="005")
def ends_of_history(db: Database) -> None:
    """Find versions by their age, and remember that some were dropped."""
    _execute_text(db, "data-005.sql")


def migrate(path: Path) -> None:
    """Make or bring forward data.db; it is in WAL mode afterwards.

    Raises SchemaTooNew if a step is applied that we do not know, DataBusy (temporary) if another
    program keeps it locked, DatabaseDamaged if it is not a sound database.
    """
    try:
        with closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            # Both only before the first table; afterwards the file keeps them.
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _apply(Database(connection))
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise DataBusy(f"{path} is locked by another program") from error
        raise
    except sqlite3.DatabaseError as error:
        raise DatabaseDamaged(f"{path}: {error}") from error


def _apply(db: Database) -> None:
    applied = {step.name for step in STEPS.applied(db)}
    if newer := sorted(applied - KNOWN):
        raise SchemaTooNew(
            f"data.db has schema step {newer[-1]}, which this version does not know;"
            " run the newer Tilldrop that wrote it, or restore a backup"
        )
    STEPS.apply(db)


def _drop_not_null(db: Database, table: str, column: str) -> None:
    """Let a column be empty, without writing its table anew.

    Source: sqlite.org/lang_altertable.html, section 7: for what does not change the rows on disk.
    """
    before: str = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", [table]).fetchone()[0]
    after = re.sub(rf"(\b{column}\s+\w+) NOT NULL", r"\1", before, count=1)
    version: int = db.execute("PRAGMA schema_version").fetchone()[0]
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?", [after, table])
    db.execute(f"PRAGMA schema_version = {version + 1}")
    db.execute("PRAGMA writable_schema = RESET")


def _execute_text(db: Database, name: str) -> None:
    """Run a file's statements one by one: executescript() would commit the migration first."""
    statement = ""
    for line in (files("tilldrop") / "sql" / name).read_text(encoding="utf-8").splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""
