"""The last step of both lanes: from candidate rows to `staged`, `refused` and the figures.

Owns the rule that of several records with one key the last one wins. Promises that no key stands
twice in `staged`. Never opens a customer's file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from tilldrop.importer.drafts import Found, Rows, first, row_types, settle_children
from tilldrop.importer.stage import Staged
from tilldrop.importer.tables import DuckTables
from tilldrop.importer.values import shorten
from tilldrop.rows import FAULTS_KEPT, Column, Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.drafts import Drafts
    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Tables

# A view is planned anew for each of its five uses, 1 ms each: up to so many records take less
# to be copied once.
SMALL_RECORDS = 20_000
KEY = "location_id, transaction_id"
_EXTRA = Column("extra", "text")


class Sums(NamedTuple):
    """The figures of what is staged; those whose columns are not there are 0 or None."""

    transactions: int
    refunds: int
    total_minor: int
    refund_minor: int
    sold_from: str | None
    sold_to: str | None


def settle(
    con: DuckDBPyConnection,
    plan: Plan,
    found: Found,
    lane: Literal["fast", "careful"],
    candidates: str,
    drafts: Drafts[Rows] | None = None,
) -> Staged:
    """Make `staged` of the candidates that no later one overtakes, and add up.

    candidates: what to select the columns of `staged` from, `overtake` having been called.
    drafts: where the children are, if there are any.
    Cost: 0.1 s for a million rows.
    """
    has_extra = drafts is not None and drafts.has_extra
    names = ", ".join(row_types(plan, has_extra=has_extra))
    _make_staged(con, found, f"SELECT {names} FROM {candidates}")  # noqa: S608  our own names
    children = {} if drafts is None else settle_children(con, drafts)
    sums = Sums(*con.execute(_sums_sql(plan)).fetchall()[0])
    return concluded(plan, found, lane, sums, children, DuckTables(con), has_extra=has_extra)


def concluded(
    plan: Plan,
    found: Found,
    lane: Literal["fast", "careful"],
    sums: Sums,
    children: dict[str, tuple[Column, ...]],
    tables: Tables,
    *,
    has_extra: bool,
) -> Staged:
    """Put together what a lane found."""
    faults = first(found.faults)
    return Staged(
        tables=tables,
        table=plan.table,
        columns=(*plan.columns, _EXTRA) if has_extra else plan.columns,
        children=children,
        read=found.read,
        skipped=found.skipped,
        refused=found.refused,
        faulty=found.faulty,
        repeated=found.repeated,
        transactions=sums.transactions,
        refunds=sums.refunds,
        total_minor=int(sums.total_minor),
        refund_minor=int(sums.refund_minor),
        sold_from=sums.sold_from,
        sold_to=sums.sold_to,
        faults=(*faults, *first(found.warnings)[: FAULTS_KEPT - len(faults)]),
        fault_count=found.refused,
        warning_counts=dict(sorted(found.warning_counts.items())),
        lane=lane,
        formats=found.formats,
    )


def _make_staged(con: DuckDBPyConnection, found: Found, rows: str) -> None:
    """Make `staged` of the rows that no later one overtakes."""
    if found.repeated:
        rows += " WHERE line NOT IN (SELECT line FROM overtaken)"
    if found.read <= SMALL_RECORDS:
        con.execute(f"CREATE OR REPLACE TEMP TABLE settled AS {rows}")
        rows = "FROM settled"
    con.execute(f"CREATE OR REPLACE TEMP VIEW staged AS {rows}")


def _sums_sql(plan: Plan) -> str:
    """Return the query for `Sums`."""
    names = {column.name for column in plan.columns} if plan.table == "transactions" else set()
    refunds = "kind = 'refund'" if "kind" in names else "false"
    total = "total_minor" if "total_minor" in names else "0"
    sold_at = "sold_at" if "sold_at" in names else "NULL"
    return (
        f"SELECT count(*), count(*) FILTER ({refunds}), coalesce(sum({total}), 0),"  # noqa: S608
        f" coalesce(sum({total}) FILTER ({refunds}), 0), min({sold_at}), max({sold_at})"
        " FROM staged"
    )


def overtake(con: DuckDBPyConnection, plan: Plan, found: Found, keys: str) -> None:
    """List in `overtaken` the lines that a later one with the same key replaces.

    keys: what to select line and key from. Cost: 0.1 s for a million rows.
    """
    key, shown = ", ".join(plan.key), plan.key[-1]
    # Hashes are quicker to tell apart than keys; where one stands twice, the keys decide.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE twice AS SELECT hash({key}) AS key FROM {keys}"  # noqa: S608
        " GROUP BY key HAVING count(*) > 1"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE suspects AS SELECT line, {key} FROM {keys}"  # noqa: S608
        f" WHERE hash({key}) IN (SELECT key FROM twice)"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE overtaken AS SELECT line, {shown} FROM suspects"  # noqa: S608
        f" JOIN (SELECT {key}, max(line) AS last FROM suspects GROUP BY ALL) USING ({key})"
        " WHERE line < last"
    )
    seen = con.execute(
        f"SELECT line, {shown}, count(*) OVER () FROM overtaken ORDER BY line LIMIT ?",  # noqa: S608
        [FAULTS_KEPT],
    ).fetchall()
    tell_overtaken(plan, found, [one[:2] for one in seen], seen[0][2] if seen else 0)


def tell_overtaken(
    plan: Plan, found: Found, seen: Sequence[tuple[int, str]], repeated: int
) -> None:
    """Warn of records that a later one replaces. seen: line and key of the first of them."""
    name = plan.bounds[plan.key[-1]].name
    found.warn(
        Fault("key-repeated", line, name, shorten(text), warning=True) for line, text in seen
    )
    if repeated:
        found.repeated = repeated
        found.warning_counts["key-repeated"] = repeated
