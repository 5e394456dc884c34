"""Sections of a mapping to SQL: a transaction's lines, tenders and taxes in the fast lane.

Promises that what these expressions make of a record that is `ok` is what `evaluate_children`
makes of it. Never runs anything.

In `mapped`, `p0`, `p1`, ... tell whether a record has a row of that section, and `s0_sku` ... hold
the row's columns, amounts rounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer import values
from tilldrop.importer.compile_cells import amount_sql, minor_sql, text_sql
from tilldrop.importer.drafts import NUMBERS

if TYPE_CHECKING:
    from tilldrop.importer.plan import BoundSection, Plan
    from tilldrop.rows import Column


def sections_sql(plan: Plan) -> str:
    """Return the columns that `mapped` has for sections, each with a comma before it."""
    parts = []
    for at, section in enumerate(plan.sections):
        parts.append(f"{_present(plan, section)} AS p{at}")
        for one in section.bounds:
            if one.digits is None:
                made = text_sql(one)
            else:
                made = minor_sql(amount_sql(plan, one), one.digits)
            parts.append(f"{made} AS s{at}_{one.column.name}")
    return "".join(f", {part}" for part in parts)


def in_range(plan: Plan) -> list[str]:
    """Return what must hold of a record's amounts in sections."""
    return [
        f"coalesce(abs(s{at}_{one.column.name}) < {values.MINOR_LIMIT}, true)"
        for at, section in enumerate(plan.sections)
        for one in section.bounds
        if one.digits is not None
    ]


def children_sql(plan: Plan, table: str, rows: str) -> str:
    """Return the query for `staged_<table>`, to be run when `staged` is there.

    rows: `mapped`, numbered.
    """
    columns = plan.children[table]
    parts = [
        _section_sql(plan, at, columns, rows)
        for at, section in enumerate(plan.sections)
        if section.table == table
    ]
    names = "".join(f", {column.name}" for column in columns)
    order = "row_number() OVER (PARTITION BY parent ORDER BY line, section)"
    if not plan.is_grouped and len(parts) == 1:
        order = "1"
    return (
        f"SELECT line, location_id, transaction_id, {order} AS {NUMBERS[table]}{names}"  # noqa: S608
        f" FROM ({' UNION ALL '.join(parts)})"
    )


def _section_sql(plan: Plan, at: int, columns: tuple[Column, ...], rows: str) -> str:
    section = plan.sections[at]
    own = {one.column.name for one in section.bounds}
    names = "".join(
        f", m.s{at}_{column.name} AS {column.name}"
        if column.name in own
        else f", NULL AS {column.name}"
        for column in columns
    )
    join = "m.line = s.line"
    if plan.is_grouped:
        join = "m.location_id = s.location_id AND m.transaction_id = s.transaction_id"
    once = ""
    if section.once and plan.is_grouped:
        once = " QUALIFY row_number() OVER (PARTITION BY s.line ORDER BY m.line) = 1"
    return (
        f"SELECT m.line, s.line AS parent, {at} AS section, s.location_id, s.transaction_id{names}"  # noqa: S608
        f" FROM {rows} AS m JOIN staged AS s ON {join} WHERE m.p{at}{once}"
    )


def _present(plan: Plan, section: BoundSection) -> str:
    """Tell whether a record has such a row, as `evaluate_children` does."""
    amounts = [one for one in section.bounds if one.column.name == "amount_minor"]
    if amounts and section.table != "line_items":
        return f"coalesce({amount_sql(plan, amounts[0])} <> 0, false)"
    places = sorted({place for one in section.bounds for place in one.places})
    return f"({' OR '.join(f't{place} IS NOT NULL' for place in places) or 'true'})"
