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
REFUSED = {
    "line": "BIGINT",
    "code": "VARCHAR",
    "field": "VARCHAR",
    "seen": "VARCHAR",
    "record": "VARCHAR",
}
_TYPES: dict[ColumnKind, str] = {"money": "BIGINT", "count": "BIGINT", "flag": "INTEGER"}
_KEY = "location_id, transaction_id"


@dataclass(slots=True)
class Found:
    """What a lane has found so far. faulty: records with a fault of their own."""

    read: int = 0
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
    """Make a temporary table of what a closed `Rows` wrote; an empty text is NULL."""
    columns = ", ".join(f"{name} {kind}" for name, kind in types.items())
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} ({columns})")
    if not rows.count:
        return
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    longest_bytes = 4 * rows.longest_chars + 1024
    con.execute(
        f"INSERT INTO {table} SELECT * FROM read_csv(?, auto_detect = false, header = false,"  # noqa: S608
        " delim = ',', quote = '\"', escape = '\"', strict_mode = true, parallel = false,"
        f" max_line_size = {longest_bytes}, buffer_size = {max(BUFFER_BYTES, 2 * longest_bytes)},"
        f" columns = {{{columns}}})",
        [str(rows.path)],
    )


def load_refused(con: DuckDBPyConnection, refusals: Refusals) -> None:
    """Make `refused` of what a closed `Refusals` wrote."""
    load(con, "refused", refusals, REFUSED)
    if refusals.count:
        con.execute(
            "UPDATE refused SET field = coalesce(field, ''), seen = coalesce(seen, ''),"
            " record = coalesce(record, '')"
        )


def row_types(plan: Plan) -> dict[str, str]:
    """Return the columns of `staged` with their DuckDB types."""
    return {"line": "BIGINT"} | {
        column.name: _TYPES.get(column.kind, "VARCHAR") for column in plan.columns
    }


def settle(
    con: DuckDBPyConnection, plan: Plan, found: Found, lane: Literal["fast", "careful"]
) -> Staged:
    """Make `staged` of the relation `candidates`, which has its columns, and add up.

    Cost: 0.3 s for a million rows.
    """
    repeated = 0 if plan.is_grouped else _overtake(con, plan, found)
    names = ", ".join(row_types(plan))
    winners = " WHERE line NOT IN (SELECT line FROM overtaken)" if repeated else ""
    con.execute(f"CREATE OR REPLACE TEMP VIEW staged AS SELECT {names} FROM candidates{winners}")  # noqa: S608
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
        repeated=repeated,
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


def _overtake(con: DuckDBPyConnection, plan: Plan, found: Found) -> int:
    """List in `overtaken` the lines that a later one with the same key replaces."""
    # Hashes are quicker to tell apart than keys; where one stands twice, the keys decide.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE twice AS SELECT hash({_KEY}) AS key FROM candidates"  # noqa: S608
        " GROUP BY key HAVING count(*) > 1"
    )
    if not con.execute("SELECT 1 FROM twice LIMIT 1").fetchall():
        return 0
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE suspects AS SELECT line, {_KEY} FROM candidates"  # noqa: S608
        f" WHERE hash({_KEY}) IN (SELECT key FROM twice)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE overtaken AS SELECT line, transaction_id FROM suspects"  # noqa: S608
        f" JOIN (SELECT {_KEY}, max(line) AS last FROM suspects GROUP BY ALL) USING ({_KEY})"
        " WHERE line < last"
    )
    shown = con.execute(
        "SELECT line, transaction_id FROM overtaken ORDER BY line LIMIT ?", [FAULTS_KEPT]
    ).fetchall()
    repeated = con.execute("SELECT count(*) FROM overtaken").fetchall()[0][0]
    name = plan.id_heading
    found.warn(
        Fault("key-repeated", line, name, shorten(seen), warning=True) for line, seen in shown
    )
    if repeated:
        found.warning_counts["key-repeated"] = repeated
    return int(repeated)
