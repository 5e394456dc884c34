"""Upgrades: a database of any earlier step comes forward with its rows; a newer one is refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlite_utils import Database

from tests.daemon import Daemon, sales
from tilldrop import ledger_schema
from tilldrop.delivery import State
from tilldrop.importer import schema as data_schema
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlite_utils.migrations import Migrations

EX_DATAERR = 65
ROWS = 3
VALUES = {"TEXT": "x", "INTEGER": 1, "REAL": 1.0, "BLOB": b"x", "ANY": "x"}
# What a column takes, where not any text or number will do.
FITTING = {"state": "imported"}


def migrate_ledger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        ledger_schema.migrate(connection)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database: its steps, and what brings a file forward."""

    steps: Migrations
    known: frozenset[str]
    migrate: Callable[[Path], None]


KINDS = {
    "ledger": Kind(ledger_schema.STEPS, ledger_schema.KNOWN, migrate_ledger),
    "data": Kind(data_schema.STEPS, data_schema.KNOWN, data_schema.migrate),
}
# (kind, the last step that the old file has)
EARLIER = [(name, step) for name, kind in KINDS.items() for step in sorted(kind.known)[:-1]]


def make_old(path: Path, name: str, step: str) -> None:
    """Make a database as the program of that step left it."""
    kind = KINDS[name]
    later = sorted(each for each in kind.known if each > step)
    with closing(sqlite3.connect(path)) as connection:
        kind.steps.apply(Database(connection), stop_before=later[0])


def base_tables(connection: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%sqlite_%'"
    return [str(name) for (name,) in connection.execute(sql)]


def columns(connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    sql = 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_info(?) ORDER BY name'
    return connection.execute(sql, (table,)).fetchall()


def fill(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Put a row into every table; return the tables with their columns."""
    filled = {}
    for table in base_tables(connection):
        found = {name: kind for name, kind, *_ in columns(connection, table)}
        row = {name: FITTING.get(name, VALUES[kind]) for name, kind in found.items()}
        marks = ", ".join("?" * len(row))
        sql = f"INSERT OR REPLACE INTO {table} ({', '.join(row)}) VALUES ({marks})"
        connection.execute(sql, list(row.values()))
        filled[table] = list(row)
    connection.commit()
    return filled


def rows(connection: sqlite3.Connection, filled: dict[str, list[str]]) -> dict[str, set[Any]]:
    return {
        table: set(connection.execute(f"SELECT {', '.join(names)} FROM {table}"))
        for table, names in filled.items()
    }


def shape(connection: sqlite3.Connection) -> dict[str, Any]:
    """Say what a database is made of, whatever way it came to be so."""
    sql = "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type = ? ORDER BY name"
    listed = {kind: connection.execute(sql, (kind,)).fetchall() for kind in ("index", "view")}
    return listed | {table: columns(connection, table) for table in base_tables(connection)}


@pytest.mark.parametrize(("name", "step"), EARLIER)
def test_every_earlier_schema_comes_forward_with_its_rows(
    tmp_path: Path, name: str, step: str
) -> None:
    old, fresh = tmp_path / "old.db", tmp_path / "fresh.db"
    make_old(old, name, step)
    with closing(sqlite3.connect(old)) as connection:
        filled = fill(connection)
        before = rows(connection, filled)
    assert all(before.values())
    KINDS[name].migrate(old)
    KINDS[name].migrate(fresh)
    with closing(sqlite3.connect(old)) as after, closing(sqlite3.connect(fresh)) as new:
        # A step may add rows of its own (currencies, values seen), but none may go or change.
        kept = rows(after, filled)
        assert [table for table, each in before.items() if not each <= kept[table]] == []
        assert shape(after) == shape(new)
        assert after.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_home_of_the_first_schema_is_taken_up_where_it_was(idle_daemon: Daemon) -> None:
    daemon = idle_daemon
    daemon.start()
    daemon.stop()  # has made the folders
    ledger = daemon.paths.ledger
    for path in (ledger, daemon.paths.data):
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
    make_old(ledger, "ledger", "001")
    make_old(daemon.paths.data, "data", "001")
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute(
            "INSERT INTO deliveries (id, arrival_seq, customer, door, peer, name, state,"
            " size_bytes, began_at, arrived_at, changed_at)"
            " VALUES ('260101-000000-aaaaa', 1, 'acme', 'sftp', '', 'old.csv', 'arrived',"
            " ?, ?, ?, ?)",
            (len(sales(1, ROWS)), *["2026-01-01T00:00:00+00:00"] * 3),
        )
        connection.commit()
    (daemon.paths.spool / "arrived" / "260101-000000-aaaaa").write_text(sales(1, ROWS))
    daemon.start().wait_for_state("old.csv", State.IMPORTED)
    assert daemon.rows("SELECT count(*), sum(total_minor) FROM transactions") == [(ROWS, 300)]


@pytest.mark.parametrize("name", KINDS)
def test_a_daemon_that_is_older_than_its_home_refuses_it_and_changes_nothing(
    idle_daemon: Daemon, name: str
) -> None:
    daemon = idle_daemon
    path = daemon.paths.ledger if name == "ledger" else daemon.paths.data
    path.parent.mkdir(exist_ok=True)
    KINDS[name].migrate(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES (?, '999', '2030-01-01')",
            (name,),
        )
        connection.commit()
        before = shape(connection)
    assert daemon.launch().wait_until_ended() == EX_DATAERR
    assert "999" in daemon.log_tail()
    with closing(sqlite3.connect(path)) as connection:
        assert shape(connection) == before
