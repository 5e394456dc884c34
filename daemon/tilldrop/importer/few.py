"""The rows of one small file on their way to data.db, in Python: no database plans a query.

Owns the last step of the careful lane for a small file. Promises what `settle` promises, with the
same rows and figures; a query of DuckDB costs more than all that is done here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilldrop.importer import arrow
from tilldrop.importer.drafts import (
    NUMBERS,
    REFUSED,
    child_columns,
    is_turned,
    row_types,
    types_of,
)
from tilldrop.importer.settle import Sums, concluded, tell_overtaken
from tilldrop.rows import FAULTS_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tilldrop.importer.drafts import Drafts, Found, Kept
    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Part, Staged

Row = tuple[Any, ...]
_TEXT = "VARCHAR"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of columns. types: by name, in their order."""

    types: dict[str, str]
    rows: list[Row]

    def places(self, columns: Sequence[str]) -> list[int]:
        """Return where columns stand in a row."""
        names = list(self.types)
        return [names.index(column) for column in columns]


@dataclass(slots=True)
class FewTables:
    """What the careful lane left of a small file; see `stage.Tables`."""

    tables: dict[str, Table]
    _whole: dict[str, Table] = field(default_factory=dict)

    def bound(self, table: str, columns: Sequence[str], limit: int | None = None) -> arrow.Rows:
        """Return columns of a table, to be bound to a statement."""
        of = self.tables[table]
        rows = of.rows[:limit]
        chosen = [[row[place] for row in rows] for place in of.places(columns)]
        return arrow.of_columns(chosen, [of.types[column] == _TEXT for column in columns])

    def last_numbers(self, child: str) -> arrow.Rows:
        """Return each staged transaction's key and the number of its last row in a child table."""
        last = dict.fromkeys(self._keys("staged"), 0)
        numbers = self.tables[f"staged_{child}"]
        [place] = numbers.places([NUMBERS[child]])
        for key, row in zip(self._keys(f"staged_{child}"), numbers.rows, strict=True):
            last[key] = max(last[key], row[place])
        columns = list(zip(*((*key, number) for key, number in last.items()), strict=True))
        return arrow.of_columns(columns or [(), (), ()], [True, True, False])

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        return len(self.tables[table].rows)

    def count_again(self, *, has_total: bool) -> tuple[int, int, int]:
        """Return rows staged, the sum of their totals, and records refused."""
        total = sum(filter(None, self.column("staged", "total_minor"))) if has_total else 0
        return self.count("staged"), total, self.count("refused")

    def different(self, wanted: Sequence[tuple[str, str]], limit: int) -> list[set[str]]:
        """Return for each (table, column) the values there, at most so many."""
        values = (set(self.column(table, column)) - {None} for table, column in wanted)
        return [set(list(found)[:limit]) for found in values]

    def set_aside(self, children: Sequence[str]) -> None:
        """Keep the tables, so that parts of them can take their places."""
        names = ("staged", *(f"staged_{child}" for child in children))
        self._whole = {name: self.tables[name] for name in names}

    def choose(self, part: Part, children: Sequence[str]) -> int:  # noqa: ARG002  those set aside
        """Let the tables hold a part of what was set aside; count the rows staged."""
        for name, table in self._whole.items():
            rows = table.rows
            if part.locations:
                [place] = table.places(["location_id"])
                rows = [row for row in rows if (row[place] in part.locations) == part.is_inside]
            elif part.is_inside:
                rows = []
            self.tables[name] = Table(table.types, rows)
        return self.count("staged")

    def column(self, table: str, column: str) -> Iterator[Any]:
        """Yield a column's values, in the order of the file."""
        [place] = self.tables[table].places([column])
        return (row[place] for row in self.tables[table].rows)

    def _keys(self, table: str) -> Iterator[Row]:
        of = self.tables[table]
        location, transaction = of.places(["location_id", "transaction_id"])
        return ((row[location], row[transaction]) for row in of.rows)


def joined(
    parts: Sequence[FewTables],
    table: str,
    columns: Sequence[str],
    added: Sequence[Sequence[str | int]],
) -> arrow.Rows:
    """Return columns of a table of several files, to be bound to a statement.

    added: for each file what stands behind each of its rows.
    """
    first = parts[0].tables[table]
    places = first.places(columns)
    rows = [
        (*(row[place] for place in places), *more)
        for part, more in zip(parts, added, strict=True)
        for row in part.tables[table].rows
    ]
    is_text = [first.types[column] == _TEXT for column in columns]
    is_text += [isinstance(one, str) for one in added[0]]
    return arrow.of_columns(list(zip(*rows, strict=True)) or [()] * len(is_text), is_text)


def settle_few(plan: Plan, found: Found, drafts: Drafts[Kept]) -> Staged:
    """Stage the rows that no later one overtakes, and add up."""
    types = row_types(plan, has_extra=drafts.has_extra)
    drafted = drafts.rows.rows
    if not plan.is_grouped:
        drafted = _last_of_each(plan, found, list(types), drafted)
    rows = [_stored(row[: len(types)]) for row in drafted]
    tables = FewTables(
        {"staged": Table(types, rows), "refused": Table(REFUSED, drafts.refusals.rows.rows)}
    )
    children = {}
    for table, columns in plan.children.items():
        children[table] = child_columns(table, columns)
        child_types = {"line": "BIGINT"} | types_of(children[table])
        tables.tables[f"staged_{table}"] = Table(
            child_types, list(_children(drafts, table, drafted))
        )
    return concluded(
        plan, found, "careful", _sums(plan, tables), children, tables, has_extra=drafts.has_extra
    )


def _last_of_each(plan: Plan, found: Found, names: list[str], rows: list[Row]) -> list[Row]:
    """Return the rows that no later one with the same key overtakes; tell of the others."""
    places = [names.index(name) for name in plan.key]
    last = {tuple(row[place] for place in places): row for row in rows}
    if len(last) == len(rows):
        return rows
    kept = {row[0] for row in last.values()}
    overtaken = sorted((row[0], row[places[-1]]) for row in rows if row[0] not in kept)
    tell_overtaken(plan, found, overtaken[:FAULTS_KEPT], len(overtaken))
    return [row for row in rows if row[0] in kept]


def _stored(row: Row) -> Row:
    """Return a row as it is stored: an empty text is none."""
    return tuple(None if value == "" else value for value in row)


def _children(drafts: Drafts[Kept], table: str, parents: list[Row]) -> Iterator[Row]:
    """Yield the child rows of transactions that are there, under their key."""
    turned = [is_turned(column) for column in drafts.plan.children[table]]
    by_line = {row[0]: row for row in parents}
    for line_of_parent, line, number, *found in drafts.children[table].rows:
        parent = by_line.get(line_of_parent)
        if parent is None:
            continue
        values = found
        if drafts.has_negated and parent[-1]:
            values = [
                -one if turns and one is not None else one
                for one, turns in zip(found, turned, strict=True)
            ]
        yield _stored((line, parent[1], parent[2], number, *values))


def _sums(plan: Plan, tables: FewTables) -> Sums:
    names = {column.name for column in plan.columns} if plan.table == "transactions" else set()

    def values(name: str) -> list[Any]:
        return list(tables.column("staged", name)) if name in names else []

    totals = [total or 0 for total in values("total_minor")]
    is_refund = [kind == "refund" for kind in values("kind")]
    refunds = [total for total, refund in zip(totals, is_refund, strict=False) if refund]
    times = [time for time in values("sold_at") if time]
    return Sums(
        tables.count("staged"),
        sum(is_refund),
        sum(totals),
        sum(refunds),
        min(times, default=None),
        max(times, default=None),
    )
