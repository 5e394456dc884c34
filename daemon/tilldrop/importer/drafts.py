"""Rows on their way from Python to where they are settled.

Into tables of DuckDB they go by way of temporary CSV files; those of a small file stay in Python.
Owns `Found`, what a lane notes on its way. Promises that rows of a large file cost no memory until
DuckDB reads them, and that no card number gets into a refused record. Never opens a customer's
file.
"""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from tilldrop.importer.cards import mask
from tilldrop.rows import FAULTS_KEPT, TABLES, Column, ColumnKind, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.evaluate import Good, Row
    from tilldrop.importer.plan import Plan

BUFFER_BYTES = 8 * 1024**2  # DuckDB's own choice is 32 MB, which a small file pays for as well
REFUSED = {
    "line": "BIGINT",
    "code": "VARCHAR",
    "field": "VARCHAR",
    "seen": "VARCHAR",
    "record": "VARCHAR",
}
_TYPES: dict[ColumnKind, str] = {
    "money": "BIGINT",
    "count": "BIGINT",
    "milli": "BIGINT",
    "flag": "INTEGER",
}
NUMBERS = {"line_items": "line_number", "tenders": "tender_number", "taxes": "tax_number"}
# What a thing costs and a tax's rate are the same whether it is sold or taken back.
_NEVER_TURNED = frozenset({"unit_price_minor", "rate_milli"})


@dataclass(slots=True)
class Found:
    """What a lane has found so far. faulty: records with a fault of their own."""

    read: int = 0
    skipped: int = 0
    repeated: int = 0
    faulty: int = 0
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    warning_counts: Counter[str] = field(default_factory=Counter)
    formats: tuple[str, ...] = ()

    def warn(self, warnings: Iterable[Fault]) -> None:
        """Take note of warnings, which come in any order."""
        for warning in warnings:
            self.warning_counts[warning.code] += 1
            self.warnings.append(warning)
            if len(self.warnings) > 10 * FAULTS_KEPT:
                self.warnings = first(self.warnings)


def first(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first that a receipt lists."""
    return heapq.nsmallest(FAULTS_KEPT, faults, key=lambda fault: (fault.line, fault.code))


class Rows:
    """A temporary CSV file of rows on their way into DuckDB."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self.longest_chars = 0
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the last rows."""
        self._file.close()

    def add(self, row: Sequence[object]) -> None:
        """Write one row; None becomes NULL."""
        self.longest_chars = max(self.longest_chars, self._writer.writerow(row))
        self.count += 1


class Kept:
    """A few rows that stay as they are."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def close(self) -> None:
        """Nothing is open."""

    def add(self, row: Sequence[object]) -> None:
        """Take one row."""
        self.rows.append(tuple(row))


Sink = TypeVar("Sink", Rows, Kept)


class Refusals(Generic[Sink]):
    """Refused records: counted, the first faults kept, all of them on their way to `refused`."""

    def __init__(self, rows: Sink, found: Found) -> None:
        self.rows: Sink = rows
        self._found = found

    def refuse(self, fault: Fault, text: str, *, own: bool = True) -> None:
        """Refuse a record. own: the fault is the record's own, not another row's."""
        found = self._found
        found.refused += 1
        found.faulty += own
        found.faults.append(fault)
        if len(found.faults) > 10 * FAULTS_KEPT:
            found.faults = first(found.faults)
        self.rows.add((fault.line, fault.code, fault.field, mask(fault.seen), mask(text)))


class Drafts(Generic[Sink]):
    """Where the careful lane puts rows until the file is read.

    make: of a name, where rows go. rows: the transactions. children: of each table that the feed
    maps, without key; first comes the line that the transaction will have in `staged`.
    """

    def __init__(
        self, plan: Plan, found: Found, make: Callable[[str], Sink], *, has_extra: bool
    ) -> None:
        self.has_extra = has_extra
        self.has_negated = plan.feed.signs == "by-kind"
        self.plan = plan
        self.rows: Sink = make("rows")
        self.refusals: Refusals[Sink] = Refusals(make("refused"), found)
        self.children: dict[str, Sink] = {table: make(table) for table in plan.children}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rows.close()
        self.refusals.rows.close()
        for rows in self.children.values():
            rows.close()

    def add(self, good: Good, extra: str | None) -> None:
        """Add a transaction."""
        if not (self.has_extra or self.has_negated):
            self.rows.add(good.row)
            return
        self.add_row(good.row, extra, negated=good.negated)

    def add_row(self, row: Row, extra: str | None, *, negated: bool = False) -> None:
        """Add a row. negated: its children's signs are to be turned."""
        more: tuple[object, ...] = (extra,) if self.has_extra else ()
        if self.has_negated:
            more = (*more, negated)
        self.rows.add((*row, *more))

    def add_child(self, parent: int, table: str, row: list[Any]) -> None:
        """Add a child: line, number, values."""
        self.children[table].add((parent, *row))


def load_drafts(con: DuckDBPyConnection, drafts: Drafts[Rows]) -> None:
    """Make `candidates`, `refused` and `drafted_<table>` of what was written."""
    negated = {"negated": "BOOLEAN"} if drafts.has_negated else {}
    types = row_types(drafts.plan, has_extra=drafts.has_extra)
    load(con, "candidates", drafts.rows, types | negated)
    load_refused(con, drafts.refusals)
    for table, rows in drafts.children.items():
        types = {"parent": "BIGINT", "line": "BIGINT", NUMBERS[table]: "BIGINT"}
        load(con, f"drafted_{table}", rows, types | types_of(drafts.plan.children[table]))


def settle_children(con: DuckDBPyConnection, drafts: Drafts[Rows]) -> dict[str, tuple[Column, ...]]:
    """Make `staged_<table>` of the children of transactions in `staged`; return the columns."""
    settled = {}
    turned = " LEFT JOIN candidates AS c ON c.line = d.parent" if drafts.has_negated else ""
    for table, columns in drafts.plan.children.items():
        names = "".join(
            f", {_signed(column, turns=drafts.has_negated)} AS {column.name}" for column in columns
        )
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE staged_{table} AS SELECT d.line, s.location_id,"  # noqa: S608
            f" s.transaction_id, d.{NUMBERS[table]}{names} FROM drafted_{table} AS d"
            f" JOIN staged AS s ON s.line = d.parent{turned}"
        )
        settled[table] = child_columns(table, columns)
    return settled


def child_columns(table: str, columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """Return the columns of `staged_<table>`. columns: those that the sections map."""
    return (*(column for column in TABLES[table] if column.key), *columns)


def is_turned(column: Column) -> bool:
    """Tell whether a child's value changes its sign with that of its transaction."""
    return column.kind in {"money", "milli"} and column.name not in _NEVER_TURNED


def _signed(column: Column, *, turns: bool) -> str:
    if turns and is_turned(column):
        return f"CASE WHEN c.negated THEN -d.{column.name} ELSE d.{column.name} END"
    return f"d.{column.name}"


def load(con: DuckDBPyConnection, table: str, rows: Rows, types: dict[str, str]) -> None:
    """Make a temporary table of what a closed `Rows` wrote; an empty text becomes NULL."""
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    if not rows.count:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
        return
    _copy(con, table, "*", rows, types)


def load_refused(con: DuckDBPyConnection, refusals: Refusals[Rows]) -> None:
    """Make `refused` of what was refused, its rows being closed."""
    if not refusals.rows.count:
        load(con, "refused", refusals.rows, REFUSED)
        return
    texts = ", ".join(f"coalesce({name}, '') AS {name}" for name in REFUSED if name != "line")
    _copy(con, "refused", f"line, {texts}", refusals.rows, REFUSED)


def _copy(
    con: DuckDBPyConnection, table: str, selected: str, rows: Rows, types: dict[str, str]
) -> None:
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    longest_bytes = 4 * rows.longest_chars + 1024
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT {selected} FROM read_csv(?,"  # noqa: S608
        " auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"',"
        f" strict_mode = true, parallel = false, max_line_size = {longest_bytes},"
        f" buffer_size = {max(BUFFER_BYTES, 2 * longest_bytes)}, columns = {{{columns}}})",
        [str(rows.path)],
    )


def row_types(plan: Plan, *, has_extra: bool = False) -> dict[str, str]:
    """Return the columns of `staged` with their DuckDB types."""
    extra = {"extra": "VARCHAR"} if has_extra else {}
    return {"line": "BIGINT"} | types_of(plan.columns) | extra


def types_of(columns: Iterable[Column]) -> dict[str, str]:
    """Return columns with their DuckDB types."""
    return {column.name: _TYPES.get(column.kind, "VARCHAR") for column in columns}
