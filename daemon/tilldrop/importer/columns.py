"""Columns that a mapping adds to a file's own: looked up in earlier master files, or computed.

Promises that an added value depends on its record and on the master rows alone, that a record
whose value cannot be had is broken and not silently empty, and that expressions run on a
connection that has no file, no network and no table. Holds a few thousand records at a time.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import duckdb

from tilldrop import sql_expression
from tilldrop.importer.plan import fold
from tilldrop.importer.values import bare, shorten
from tilldrop.mapping import targets
from tilldrop.rows import Fault
from tilldrop.sources import Lookup, Sql
from tilldrop.sql_expression import quoted, selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tilldrop.importer.records import Record
    from tilldrop.importer.stage import Clean
    from tilldrop.mapping import Feed

BATCH_RECORDS = 2_000
BATCH_CHARS = 4 * 1024**2  # records may be a megabyte each
NUMBERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "DECIMAL", "DOUBLE", "FLOAT"}
)

# What an added column has for one record; None is empty.
Made = str | Fault | None
Cells = list[str]


class ColumnsFailed(Exception):
    """An expression cannot be worked out for any record; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class _Maker(Protocol):
    def make(self, connection: duckdb.DuckDBPyConnection, rows: Sequence[Cells]) -> list[Made]:
        """Return a value for each row."""


class Columns:
    """The added columns of one run. names: as the mapping has them, in its order.

    A column may use the file's columns and those added before it; of two with one name it is
    the added one. read_lookup: (table, value) -> key -> value, texts, decimals with a point.
    Raises ColumnsFailed on an expression that is not allowed.
    """

    def __init__(
        self,
        feed: Feed,
        clean: Clean,
        read_lookup: Callable[[str, str], dict[str, str]],
    ) -> None:
        self.names = tuple(feed.columns)
        self._width = len(clean.header)
        decimal = (clean.reading or feed.reading).decimal
        places = {fold(name): place for place, name in enumerate(clean.header)}
        makers: list[_Maker] = []
        for name, source in feed.columns.items():
            makers.append(
                _found(source, places, read_lookup, decimal)
                if isinstance(source, Lookup)
                else _computed(name, source, places, decimal)
            )
            places[fold(name)] = self._width + len(makers) - 1
        self._makers = tuple(makers)

    def widen(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield the records in order, each with a cell more for every name.

        A record that is broken already stays so; one whose value cannot be had becomes so.
        Raises ColumnsFailed.
        """
        batch: list[Record] = []
        chars = 0
        with closing(sql_expression.connect()) as connection:
            for record in records:
                batch.append(record)
                chars += len(record.text)
                if len(batch) >= BATCH_RECORDS or chars >= BATCH_CHARS:
                    yield from self._widened(connection, batch)
                    batch, chars = [], 0
            yield from self._widened(connection, batch)

    def _widened(
        self, connection: duckdb.DuckDBPyConnection, batch: Sequence[Record]
    ) -> Iterator[Record]:
        width = self._width
        rows = [[*one.cells[:width], *[""] * (width - len(one.cells))] for one in batch]
        broken = [one.broken for one in batch]
        for maker in self._makers:
            whole = [place for place, fault in enumerate(broken) if fault is None]
            made = maker.make(connection, [rows[place] for place in whole])
            for row in rows:
                row.append("")
            for place, value in zip(whole, made, strict=True):
                if isinstance(value, Fault):
                    broken[place] = replace(value, line=batch[place].line)
                else:
                    rows[place][-1] = value or ""
        for record, cells, fault in zip(batch, rows, broken, strict=True):
            yield replace(record, cells=cells, broken=fault)


@dataclass(frozen=True, slots=True)
class _Found:
    """Values of a master file, by key. by: the column with the key; place: None if it lacks."""

    by: str
    place: int | None
    values: dict[str, str]

    def make(self, _connection: duckdb.DuckDBPyConnection, rows: Sequence[Cells]) -> list[Made]:
        if self.place is None:
            return [None] * len(rows)
        return [self._value(bare(row[self.place])) for row in rows]

    def _value(self, key: str) -> Made:
        if not key:
            return None
        value = self.values.get(key)
        if value is None:
            return Fault("lookup-missing", field=self.by, seen=shorten(key))
        return value


def _found(
    source: Lookup,
    places: dict[str, int],
    read_lookup: Callable[[str, str], dict[str, str]],
    decimal: str,
) -> _Found:
    target = targets(source.table)[source.value]
    values = read_lookup(source.table, source.value)
    if target.kind in {"money", "milli"} and decimal != ".":
        values = {key: value.replace(".", decimal) for key, value in values.items()}
    return _Found(source.by, places.get(fold(source.by)), values)


@dataclass(frozen=True, slots=True)
class _Expression:
    """A checked expression. columns: those it names; places: None for one that the file lacks.

    decimal: how the file writes numbers, so that a computed one reads like the file's own.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    places: tuple[int | None, ...]
    decimal: str

    def make(self, connection: duckdb.DuckDBPyConnection, rows: Sequence[Cells]) -> list[Made]:
        if not rows:
            return []
        cells = [
            [None if place is None else bare(row[place]) or None for row in rows]
            for place in self.places
        ]
        unnested = ", ".join(f"unnest(?::VARCHAR[]) AS {quoted(name)}" for name in self.columns)
        try:
            found = self._run(connection, f"FROM (SELECT {unnested})", cells)
        except duckdb.Error as error:
            seen = shorten(str(error).splitlines()[0])
            raise ColumnsFailed(Fault("sql-failed", field=self.name, seen=seen)) from error
        return [
            self._failed([column[at] for column in cells]) if failed else value
            for at, (value, failed) in enumerate(found)
        ]

    def _run(
        self, connection: duckdb.DuckDBPyConnection, source: str, cells: list[list[str | None]]
    ) -> list[tuple[str | None, bool]]:
        """Return (value, whether it failed) for each row."""
        nothing = ", ".join(f"NULL::VARCHAR AS {quoted(name)}" for name in self.columns)
        described = f"DESCRIBE SELECT ({self.text}\n) AS value FROM (SELECT {nothing})"  # noqa: S608  judged by check
        kind = connection.execute(described).fetchall()[0][1]
        is_number = kind.partition("(")[0] in NUMBERS
        query = f"SELECT {selected(self.text, shielded=True)} {source}"
        found = connection.execute(query, cells).fetchall()
        if not is_number or self.decimal == ".":
            return found
        return [(value and value.replace(".", self.decimal), failed) for value, failed in found]

    def _failed(self, cells: Sequence[str | None]) -> Fault:
        named = (
            f"{name} {cell or '(empty)'}" for name, cell in zip(self.columns, cells, strict=True)
        )
        return Fault("sql-failed", field=self.name, seen=shorten(", ".join(named)))


def _computed(name: str, source: Sql, places: dict[str, int], decimal: str) -> _Expression:
    # Checked when the configuration was loaded; what runs here is judged here.
    columns, complaint = sql_expression.check(source.text)
    if complaint:
        raise ColumnsFailed(Fault("sql-failed", field=name, seen=complaint))
    at = tuple(places.get(fold(column)) for column in columns)
    return _Expression(name, source.text, columns, at, decimal)
