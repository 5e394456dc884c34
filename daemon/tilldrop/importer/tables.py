"""The rows of one file on their way to data.db, in DuckDB: tables of one connection.

Owns what is asked of `staged`, `refused` and `staged_<table>` once they are made. Promises that no
row becomes a Python object on the way. Where a file is small, `few` answers in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.store_sql import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.arrow import Stream
    from tilldrop.importer.stage import Part

_COUNT = "SELECT count(*), {total}, (SELECT count(*) FROM refused) FROM staged"
_LAST = (
    "SELECT s.location_id, s.transaction_id, coalesce(max(c.{number}), 0) FROM staged AS s"
    " LEFT JOIN staged_{child} AS c USING (location_id, transaction_id)"
    " GROUP BY s.location_id, s.transaction_id"
)
_IS_VIEW = "SELECT count(*) FROM duckdb_views() WHERE view_name = ? AND NOT internal"


class DuckTables:
    """What a lane left in a connection; see `stage.Tables`."""

    def __init__(self, con: DuckDBPyConnection) -> None:
        self.con = con

    def bound(self, table: str, columns: Sequence[str], limit: int | None = None) -> Stream:
        """Return columns of a table, to be bound to a statement."""
        only = "" if limit is None else f" LIMIT {limit}"
        return self.con.sql(f"SELECT {', '.join(columns)} FROM {table}{only}")  # noqa: S608  ours

    def last_numbers(self, child: str) -> Stream:
        """Return each staged transaction's key and the number of its last row in a child table."""
        return self.con.sql(_LAST.format(number=number(child), child=child))

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        found: tuple[int, ...] = self.con.sql(f"SELECT count(*) FROM {table}").fetchall()[0]  # noqa: S608
        return found[0]

    def count_again(self, *, has_total: bool) -> tuple[int, int, int]:
        """Return rows staged, the sum of their totals, and records refused."""
        total = "coalesce(sum(total_minor), 0)" if has_total else "0"
        found = self.con.execute(_COUNT.format(total=total)).fetchall()[0]
        return found[0], int(found[1]), found[2]

    def different(self, wanted: Sequence[tuple[str, str]], limit: int) -> list[set[str]]:
        """Return for each (table, column) the values there, at most so many."""
        # One query: planning one takes as long as a small file's rows.
        each = (
            f"(FROM (SELECT DISTINCT {place}, {column} FROM {table}"  # noqa: S608  ours
            f" WHERE {column} IS NOT NULL) LIMIT {limit})"
            for place, (table, column) in enumerate(wanted)
        )
        found: list[set[str]] = [set() for _ in wanted]
        for place, value in self.con.execute(" UNION ALL ".join(each)).fetchall():
            found[place].add(value)
        return found

    def set_aside(self, children: Sequence[str]) -> None:
        """Keep the tables under other names, so that parts of them can take their places."""
        for table in ("staged", *(f"staged_{child}" for child in children)):
            self.con.execute(f"CREATE OR REPLACE TEMP TABLE whole_{table} AS FROM {table}")
            views = self.con.execute(_IS_VIEW, [table]).fetchall()
            self.con.execute(f"DROP {'VIEW' if views[0][0] else 'TABLE'} {table}")

    def choose(self, part: Part, children: Sequence[str]) -> int:
        """Let the tables hold a part of what was set aside; count the rows staged."""
        condition = str(not part.is_inside)
        if part.locations:
            inside = f"location_id IN ({', '.join(map(literal, part.locations))})"
            condition = inside if part.is_inside else f"NOT {inside}"
        for table in ("staged", *(f"staged_{child}" for child in children)):
            self.con.execute(
                f"CREATE OR REPLACE TEMP TABLE {table} AS FROM whole_{table} WHERE {condition}"
            )
        return self.count("staged")
