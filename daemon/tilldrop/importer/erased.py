"""What keeps an erased shopper from coming back with a file that is imported later.

Owns the comparison of staged rows with `erased_shoppers`, by salted hashes: it is not known who
they are. Costs nothing where nobody was erased. Never writes a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilldrop.importer.compile_dates import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from tilldrop.importer.store_connection import Connection

# sha256() of DuckDB gives what hashlib's hexdigest() does.
_HASHED = "list_contains($hashes, sha256($salt || {}))"
_ANY_HASHED = "list_has_any(list_transform({}, lambda x: sha256($salt || trim(x))), $hashes)"
_CELLS = "regexp_split_to_array(concat_ws(chr(10), seen, record), '[,;|\\t\\n\"]')"
_VALUES = 'regexp_extract_all(extra, \'"((?:[^"\\\\]|\\\\.)*)"\', 1)'


@dataclass(frozen=True, slots=True)
class Erased:
    """A customer's erased shoppers. hashes: none if it has none."""

    salt: str = ""
    hashes: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Connection, customer: str) -> Erased:
        """Read what is remembered. Cost: 50 us."""
        sql = f"SELECT salt, hash FROM erased_shoppers WHERE customer = {literal(customer)}"  # noqa: S608  escaped
        found = data.rows(sql)
        return cls(found[0][0], tuple(digest for _, digest in found)) if found else cls()

    def leave_out(self, con: DuckDBPyConnection, table: str, columns: frozenset[str]) -> int:
        """Take erased shoppers out of `staged` and `refused`; returns how many rows are gone.

        A shopper's own row is gone, a sale of it bears no shopper.
        """
        if not self.hashes:
            return 0
        self._change(con, "refused", _ANY_HASHED.format(_CELLS), ("seen", "record"))
        if table == "shoppers":
            return self._drop(con, _HASHED.format("shopper_id"))
        ours = [name for name in ("shopper_id", "extra") if name in columns]
        tests = {"shopper_id": _HASHED.format("shopper_id"), "extra": _ANY_HASHED.format(_VALUES)}
        if table == "transactions" and ours:
            found = " OR ".join(f"coalesce({tests[name]}, false)" for name in ours)
            self._change(con, "staged", found, tuple(ours))
        return 0

    @property
    def _known(self) -> dict[str, Any]:
        return {"salt": self.salt, "hashes": list(self.hashes)}

    def _drop(self, con: DuckDBPyConnection, condition: str) -> int:
        count = self._count(con, "staged", condition)
        if count:
            kept = f"SELECT * FROM staged WHERE NOT ({condition})"  # noqa: S608  ours
            self._replace(con, "staged", kept)
        return count

    def _change(
        self, con: DuckDBPyConnection, table: str, condition: str, columns: tuple[str, ...]
    ) -> None:
        if self._count(con, table, condition):
            emptied = ", ".join(
                f"CASE WHEN {condition} THEN NULL ELSE {name} END AS {name}" for name in columns
            )
            self._replace(con, table, f"SELECT * REPLACE ({emptied}) FROM {table}")  # noqa: S608

    def _count(self, con: DuckDBPyConnection, table: str, condition: str) -> int:
        sql = f"SELECT count(*) FROM {table} WHERE {condition}"  # noqa: S608  ours
        found: list[tuple[int]] = con.execute(sql, self._known).fetchall()
        return found[0][0]

    def _replace(self, con: DuckDBPyConnection, table: str, query: str) -> None:
        """Let a table, which may be a view, be what a query makes of it."""
        con.execute(f"CREATE OR REPLACE TEMP TABLE without_erased AS {query}", self._known)
        views = con.execute(
            "SELECT count(*) FROM duckdb_views() WHERE view_name = ? AND NOT internal", [table]
        ).fetchall()
        con.execute(f"DROP {'VIEW' if views[0][0] else 'TABLE'} {table}")
        con.execute(f"ALTER TABLE without_erased RENAME TO {table}")
