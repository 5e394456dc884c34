"""One delivery's place in one table: what the statements of a correction are made for.

Owns `Scope` and the temporary tables that hold a delivery's rows within SQLite, where they are
joined with what is stored. Never decides what becomes of a row.

`incoming` has the delivery's rows by key, with their line and
  before: the arrival_seq of the row that is there; NULL: none; negative: from before a replay.
  mask: a bit for each layer (see `store_layers`) that a newer delivery stated; NOTHING: it may
  change nothing.
  ignored: 1 if that is because of an older `as_of`.
  moved_from: the location where the row was, if it came from another.
`incoming_<child>` has its child rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.store_sql import keys

if TYPE_CHECKING:
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store_connection import Connection
    from tilldrop.importer.store_standing import Standing

NOTHING = -1


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows, of which table, for which delivery. customer, delivery: as literals."""

    data: Connection
    customer: str
    table: str
    delivery: str
    seq: int

    @classmethod
    def of(
        cls,
        data: Connection,
        customer: str,
        table: str,
        delivery: str,
        seq: int,
    ) -> Scope:
        """Make one of plain texts."""
        return cls(data, literal(customer), table, literal(delivery), seq)

    @property
    def key(self) -> str:
        """The table's key columns, without the customer, as a list for SQL."""
        return ", ".join(keys(self.table))

    def fill(self, sql: str, **more: object) -> str:
        """Put the names that every statement needs into it."""
        return sql.format(
            customer=self.customer,
            table=self.table,
            delivery=self.delivery,
            seq=self.seq,
            key=self.key,
            **more,
        )

    def execute(self, sql: str, **more: object) -> None:
        """Run a statement."""
        self.data.execute(self.fill(sql, **more))

    def change(self, sql: str, **more: object) -> int:
        """Run a statement; count the rows changed."""
        return self.data.change(self.fill(sql, **more))

    def rows(self, sql: str, **more: object) -> list[tuple[Any, ...]]:
        """Run a query."""
        return self.data.rows(self.fill(sql, **more))

    def number(self, sql: str, **more: object) -> int:
        """Run a query for one number."""
        return int(self.rows(sql, **more)[0][0])

    def matches(self, left: str, right: str) -> str:
        """Return the condition that two rows have the same key, apart from the customer."""
        return " AND ".join(f"{left}.{name} = {right}.{name}" for name in keys(self.table))

    def stated_key(self, alias: str) -> str:
        """Return what key_1 and key_2 of a row are."""
        first, *rest = (f"{alias}.{name}" for name in keys(self.table))
        return f"{first}, {rest[0] if rest else literal('')}"


def load(scope: Scope, staged: Staged, standing: Standing) -> None:
    """Bring the staged rows to where they can be joined with what is stored."""
    columns = (*keys(scope.table), *standing.columns)
    scope.execute(
        "CREATE TEMP TABLE incoming ({columns}, line, before, mask NOT NULL DEFAULT 0,"
        " ignored NOT NULL DEFAULT 0, moved_from, PRIMARY KEY ({key})) WITHOUT ROWID",
        columns=", ".join(columns),
    )
    _copy(scope, "incoming", staged, "staged", columns)
    for child in standing.children:
        columns = tuple(column.name for column in staged.children[child])
        scope.execute(
            "CREATE TEMP TABLE incoming_{child} ({columns}, line, PRIMARY KEY ({child_key}))"
            " WITHOUT ROWID",
            child=child,
            columns=", ".join(columns),
            child_key=", ".join(keys(child)),
        )
        _copy(scope, f"incoming_{child}", staged, f"staged_{child}", columns)


def unload(scope: Scope, standing: Standing) -> None:
    """Drop what `load` made."""
    for name in ("incoming", *(f"incoming_{child}" for child in standing.children)):
        scope.execute("DROP TABLE temp.{name}", name=name)


def _copy(scope: Scope, to: str, staged: Staged, source: str, columns: tuple[str, ...]) -> None:
    named = (*columns, "line")
    marks = ", ".join("?" * len(named))
    insert = f"INSERT INTO temp.{to} ({', '.join(named)}) VALUES ({marks})"  # noqa: S608  our names
    scope.data.write(insert, staged.tables.bound(source, named))
