"""The ledger's schema and its migrations, owned by sqlite-utils.

Promises: `migrate` brings any released schema forward and refuses a newer one. Never reads a
delivery. The text of each step lies in `sql/`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from tilldrop.errors import SchemaTooNew

if TYPE_CHECKING:
    from tilldrop.sqlite import sqlite3

STEPS = Migrations("ledger")
KNOWN = frozenset({"001", "002", "003", "004"})


@STEPS(name="001")
def deliveries_moves_runs(db: Database) -> None:
    """Make the three tables of the first release."""
    _run(db, "ledger-001.sql")


@STEPS(name="002")
def origin(db: Database) -> None:
    """Let a door remember where a delivery's bytes came from."""
    _run(db, "ledger-002.sql")


@STEPS(name="003")
def accepted_replay(db: Database) -> None:
    """Remember what an operator let in, and which deliveries are replayed together."""
    _run(db, "ledger-003.sql")


@STEPS(name="004")
def told(db: Database) -> None:
    """Find receipts, and bytes that are old, by index."""
    _run(db, "ledger-004.sql")


def _run(db: Database, file: str) -> None:
    text = (files("tilldrop") / "sql" / file).read_text(encoding="utf-8")
    # executescript() would commit the migration's transaction before its own record is written.
    statement = ""
    for line in text.splitlines(keepends=True):
        statement += line
        if line.rstrip().endswith(";"):
            db.conn.execute(statement)
            statement = ""


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing. Raises SchemaTooNew if a step is applied that we do not know."""
    db = Database(connection)
    if newer := sorted({step.name for step in STEPS.applied(db)} - KNOWN):
        raise SchemaTooNew(
            f"the ledger has schema step {newer[-1]}, which this version does not know;"
            " run the newer Tilldrop that wrote it, or restore a backup"
        )
    STEPS.apply(db)
