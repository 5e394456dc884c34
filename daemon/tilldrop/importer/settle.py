"""The last step of both lanes: from candidate rows to `staged`, `refused` and the figures.

Owns the tables' shapes and the rule that of several records with one key the last one wins.
Promises that no key stands twice in `staged`. Never opens a customer's file.
"""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

from tilldrop.importer.stage import Staged
from tilldrop.importer.values import shorten
from tilldrop.rows import FAULTS_KEPT, ColumnKind, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.plan import Plan

BUFFER_BYTES = 8 * 1024**2  # DuckDB's own choice is 32 MB, which a small file pays for as well
# A view is planned anew for each of its five uses, 1 ms each: up to so many records take less
# to be copied once.
SMALL_RECORDS = 20_000
_REFUSED = {
    "line": "BIGINT",
    "code": "VARCHAR",
    "field": "VARCHAR",
    "seen": "VARCHAR",
    "record": "VARCHAR",
}
_TYPES: dict[ColumnKind, str] = {"money": "BIGINT", "count": "BIGINT", "flag": "INTEGER"}
KEY = "location_id, transaction_id"


@dataclass(slots=True)
class Found:
    """What a lane has found so far. faulty: records with a fault of their own."""

    read: int = 0
    repeated: int = 0
    faulty: int = 0
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    warning_counts: Counter[str] = field(default_factory=Counter)

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
        self._file.close()

    def add(self, row: Sequence[object]) -> None:
        """Write one row; None becomes NULL."""
        self.longest_chars = max(self.longest_chars, self._writer.writerow(row))
        self.count += 1


class Refusals(Rows):
    """Refused records: counted, the first faults kept, all of them on their way to `refused`."""

    def __init__(self, path: Path, found: Found) -> None:
        super().__init__(path)
        self._found = found

    def refuse(self, fault: Fault, text: str, *, own: bool = True) -> None:
        """Refuse a record. own: the fault is the record's own, not another row's."""
        found = self._found
        found.refused += 1
        found.faulty += own
        found.faults.append(fault)
        if len(found.faults) > 10 * FAULTS_KEPT:
            found.faults = first(found.faults)
        self.add((fault.line, fault.code, fault.field, fault.seen, text))


def load(con: DuckDBPyConnection, table: str, rows: Rows, types: dict[str, str]) -> None:
    """Make a temporary table of what a closed `Rows` wrote; an empty text becomes NULL."""
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    if not rows.count:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
        return
    _copy(con, table, "*", rows, types)


def load_refused(con: DuckDBPyConnection, refusals: Refusals) -> None:
    """Make `refused` of what a closed `Refusals` wrote."""
    if not refusals.count:
        load(con, "refused", refusals, _REFUSED)
        return
    texts = ", ".join(f"coalesce({name}, '') AS {name}" for name in _REFUSED if name != "line")
    _copy(con, "refused", f"line, {texts}", refusals, _REFUSED)


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


def row_types(plan: Plan) -> dict[str, str]:
    """Return the columns of `staged` with their DuckDB types."""
    return {"line": "BIGINT"} | {
        column.name: _TYPES.get(column.kind, "VARCHAR") for column in plan.columns
    }


def settle(
    con: DuckDBPyConnection,
    plan: Plan,
    found: Found,
    lane: Literal["fast", "careful"],
    candidates: str,
) -> Staged:
    """Make `staged` of the candidates that no later one overtakes, and add up.

    candidates: what to select the columns of `staged` from, `overtake` having been called.
    Cost: 0.1 s for a million rows.
    """
    names = ", ".join(row_types(plan))
    winners = " WHERE line NOT IN (SELECT line FROM overtaken)" if found.repeated else ""
    rows = f"SELECT {names} FROM {candidates}{winners}"  # noqa: S608  our own names
    if found.read <= SMALL_RECORDS:
        con.execute(f"CREATE OR REPLACE TEMP TABLE settled AS {rows}")
        rows = "FROM settled"
    con.execute(f"CREATE OR REPLACE TEMP VIEW staged AS {rows}")
    sums = con.execute(
        "SELECT count(*), count(*) FILTER (total_minor < 0), coalesce(sum(total_minor), 0),"
        " coalesce(sum(total_minor) FILTER (total_minor < 0), 0), min(sold_at), max(sold_at)"
        " FROM staged"
    ).fetchall()
    transactions, refunds, total_minor, refund_minor, sold_from, sold_to = sums[0]
    faults = first(found.faults)
    return Staged(
        columns=plan.columns,
        read=found.read,
        refused=found.refused,
        faulty=found.faulty,
        repeated=found.repeated,
        transactions=transactions,
        refunds=refunds,
        total_minor=int(total_minor),
        refund_minor=int(refund_minor),
        sold_from=sold_from,
        sold_to=sold_to,
        faults=(*faults, *first(found.warnings)[: FAULTS_KEPT - len(faults)]),
        fault_count=found.refused,
        warning_counts=dict(sorted(found.warning_counts.items())),
        lane=lane,
    )


def overtake(con: DuckDBPyConnection, plan: Plan, found: Found, keys: str) -> None:
    """List in `overtaken` the lines that a later one with the same key replaces.

    keys: what to select line and key from. Cost: 0.1 s for a million rows.
    """
    # Hashes are quicker to tell apart than keys; where one stands twice, the keys decide.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE twice AS SELECT hash({KEY}) AS key FROM {keys}"  # noqa: S608
        " GROUP BY key HAVING count(*) > 1"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE suspects AS SELECT line, {KEY} FROM {keys}"  # noqa: S608
        f" WHERE hash({KEY}) IN (SELECT key FROM twice)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE overtaken AS SELECT line, transaction_id FROM suspects"  # noqa: S608
        f" JOIN (SELECT {KEY}, max(line) AS last FROM suspects GROUP BY ALL) USING ({KEY})"
        " WHERE line < last"
    )
    shown = con.execute(
        "SELECT line, transaction_id, count(*) OVER () FROM overtaken ORDER BY line LIMIT ?",
        [FAULTS_KEPT],
    ).fetchall()
    name = plan.transaction.names[0]
    for line, seen, repeated in shown:
        found.warn((Fault("key-repeated", line, name, shorten(seen), warning=True),))
        found.repeated = repeated
        found.warning_counts["key-repeated"] = repeated
