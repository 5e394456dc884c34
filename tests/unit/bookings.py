"""Deliveries as values, booked into a real data.db, and what the end must be, in plain Python."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilldrop.importer.drafts import REFUSED
from tilldrop.importer.few import FewTables, Table
from tilldrop.importer.schema import migrate
from tilldrop.importer.stage import Staged
from tilldrop.importer.store import Store
from tilldrop.importer.tables import DuckTables
from tilldrop.importer.undo import Undone, undo
from tilldrop.mapping import Feed, Reading
from tilldrop.rows import CHILDREN, TABLES, Column, Job, Report
from tilldrop.sources import FromColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import duckdb

    from tilldrop.importer.store_standing import Booked

SQL_TYPES = {"money": "BIGINT", "count": "BIGINT", "milli": "BIGINT", "flag": "INTEGER"}
EXTRA = Column("extra", "text")
NUMBERS = {"line_items": "line_number", "tenders": "tender_number", "taxes": "tax_number"}

Row = dict[str, Any]
Children = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Kind:
    """A feed: what it fills and how it corrects."""

    name: str = "sales"
    columns: tuple[str, ...] = ("business_date", "total_minor")
    children: Children = field(default_factory=dict)
    table: str = "transactions"
    shares: bool = False
    complete: str = ""
    older: str = "overwrite"
    history: bool = False
    key: tuple[str, ...] = ("location_id", "transaction_id")

    def feed(self) -> Feed:
        targets = {name.removesuffix("_minor"): FromColumn(name) for name in self.columns}
        return replace(
            Feed(self.name, ("*",), "per-transaction", 0.1, Reading(), dict(targets)),
            table=self.table,  # type: ignore[arg-type]
            complete=self.complete,  # type: ignore[arg-type]
            older=self.older,  # type: ignore[arg-type]
            history=self.history,
            key=self.key,
        )

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(column.name for column in TABLES[self.table] if column.key)


@dataclass(frozen=True)
class Sent:
    """A delivery. rows: with key and columns; "line_items" ...: lists of rows without a key."""

    seq: int
    kind: Kind
    rows: tuple[Row, ...]

    @property
    def id(self) -> str:
        return f"d{self.seq}"

    def keyed(self) -> dict[tuple[str, ...], Row]:
        return {tuple(row[name] for name in self.kind.keys): row for row in self.rows}


class Till:
    """Stages rows as a lane does, and books them. con: None for rows that stay in Python.

    The worker's SQLite and the one that reads are two libraries: only one has the file open.
    """

    def __init__(self, path: Path, con: duckdb.DuckDBPyConnection | None) -> None:
        self.path = path
        self.con = con
        self._store: Store | None = None

    @property
    def store(self) -> Store:
        if self._store is None:
            self._store = Store(self.path)
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def undo(self, sent: Sent) -> Undone:
        return undo(self.store, "acme", sent.id, sent.seq)

    def refuse(self, sent: Sent, run: int, replay: Row | None = None) -> None:
        """Record a run of which nothing was booked."""
        job = self.job(sent, run, replay)
        self.store.record(job, Report(sent.id, run, "rejected"))

    def job(self, sent: Sent, run: int = 1, replay: Row | None = None) -> Job:
        return Job(
            delivery=sent.id,
            run=run,
            arrival_seq=sent.seq,
            customer="acme",
            name="sales.csv",
            path="/nowhere/d",
            data_path=str(self.path),
            temp_dir="/nowhere",
            feed=None,
            fingerprint=None,
            zone="UTC",
            currency="EUR",
            same_as=None,
            max_record_bytes=1000,
            memory_bytes=10**9,
            threads=2,
            shares_transactions=sent.kind.shares,
            replay=replay or {},
        )

    def book(self, sent: Sent, run: int = 1, replay: Row | None = None, refused: int = 0) -> Booked:
        staged = self.stage(sent, refused)
        found: list[Booked] = []

        def conclude(booked: Booked) -> Report:
            found.append(booked)
            report = Report(sent.id, run, "imported", feed=sent.kind.name)
            counts = replace(report.counts, inserted=booked.inserted, updated=booked.updated)
            return replace(report, counts=counts)

        job = self.job(sent, run, replay)
        self.store.book(job, staged, conclude, sent.kind.feed())
        return found[0]

    def stage(self, sent: Sent, refused: int = 0) -> Staged:
        kind = sent.kind
        named = {*kind.keys, *kind.columns}
        columns = tuple(c for c in (*TABLES[kind.table], EXTRA) if c.name in named)
        tables = FewTables({}) if self.con is None else DuckTables(self.con)
        _fill(tables, "staged", columns, list(enumerate(sent.rows, start=2)))
        beyond = len(sent.rows) + 2
        _put(tables, "refused", REFUSED, [(beyond + n, "id-empty", *"abc") for n in range(refused)])
        children = {}
        for child, names in kind.children.items():
            of_child = {"location_id", "transaction_id", NUMBERS[child], *names}
            children[child] = tuple(c for c in TABLES[child] if c.name in of_child)
            rows = [
                (at, {**row, **one, NUMBERS[child]: number})
                for at, row in enumerate(sent.rows, start=2)
                for number, one in enumerate(row[child], start=1)
            ]
            _fill(tables, f"staged_{child}", children[child], rows)
        return Staged(
            tables=tables,
            table=kind.table,
            columns=columns,
            children=children,
            read=len(sent.rows),
            skipped=0,
            refused=refused,
            faulty=0,
            repeated=0,
            transactions=len(sent.rows),
            refunds=0,
            total_minor=0,
            refund_minor=0,
            sold_from=None,
            sold_to=None,
            faults=(),
            fault_count=0,
            warning_counts={},
            lane="careful",
        )

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read with another SQLite, as an analyst would."""
        self.close()
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()

    def state(self, table: str = "transactions") -> dict[tuple[str, ...], Row]:
        """Return all rows by key with what has a value, without who wrote them."""
        keys = [column.name for column in TABLES[table] if column.key]
        self.close()
        left_out = {*keys, "customer", "delivery", "line", "replaced"}
        with closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            found = {
                tuple(row[name] for name in keys): {
                    name: row[name]
                    for name in row.keys()  # noqa: SIM118  sqlite3.Row is no mapping
                    if name not in left_out and row[name] is not None
                }
                for row in connection.execute(f"SELECT * FROM {table}")
            }
        if table == "transactions":
            for child in CHILDREN:
                for key, one in self.state(child).items():
                    found[key[:2]].setdefault(child, []).append(one)
        return found


def _fill(
    tables: FewTables | DuckTables,
    name: str,
    columns: Sequence[Column],
    rows: list[tuple[int, Row]],
) -> None:
    types = {"line": "BIGINT"} | {c.name: SQL_TYPES.get(c.kind, "VARCHAR") for c in columns}
    values = [(line, *(row.get(column.name) for column in columns)) for line, row in rows]
    _put(tables, name, types, values)


def _put(
    tables: FewTables | DuckTables,
    name: str,
    types: dict[str, str],
    values: Sequence[tuple[Any, ...]],
) -> None:
    if isinstance(tables, FewTables):
        tables.tables[name] = Table(types, list(values))
        return
    made = ", ".join(f"{column} {kind}" for column, kind in types.items())
    tables.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({made})")
    for bound in values:
        tables.con.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(bound))})", bound)


def expected(deliveries: Iterable[Sent]) -> dict[tuple[str, ...], Row]:
    """Return what `Till.state` must be: every delivery in the order of arrival, one by one."""
    rows: dict[tuple[str, ...], Row] = {}
    for sent in sorted(deliveries, key=lambda one: one.seq):
        for key, row in sent.keyed().items():
            _state(rows, sent, key, row)
        if sent.kind.complete:
            _mark_gone(rows, sent)
    return {
        key: {name: value for name, value in row.items() if value not in (None, [])}
        for key, row in rows.items()
    }


def _state(rows: dict[tuple[str, ...], Row], sent: Sent, key: tuple[str, ...], row: Row) -> None:
    kind = sent.kind
    if "location_id" not in kind.key:
        for other in [one for one in rows if one[1] == key[1] and one != key]:
            rows[key] = rows.pop(other)
    there = rows.setdefault(key, {})
    there["arrival_seq"] = sent.seq
    there["gone_in"] = None
    if (
        kind.older == "ignore"
        and (there.get("as_of") or "") > (row.get("as_of") or "")
        and row.get("as_of")
    ):
        return
    for name in kind.columns:
        there[name] = row.get(name)
    for child, names in kind.children.items():
        there[child] = [
            {name: one[name] for name in names if one.get(name) is not None} for one in row[child]
        ]


def _mark_gone(rows: dict[tuple[str, ...], Row], sent: Sent) -> None:
    stated = sent.keyed()
    days = {(row.get("location_id"), row.get("business_date")) for row in sent.rows}
    for key, row in rows.items():
        claimed = sent.kind.complete == "all" or (key[0], row.get("business_date")) in days
        if claimed and key not in stated and not row["gone_in"]:
            row["gone_in"] = sent.id


def copy_of_fresh(folder: Path, name: str) -> Path:
    """Return a new data.db; made once in a folder and copied."""
    fresh = folder / "fresh.db"
    if not fresh.exists():
        migrate(fresh)
        with closing(sqlite3.connect(fresh)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = folder / name
    shutil.copyfile(fresh, path)
    return path
