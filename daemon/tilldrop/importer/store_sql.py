"""The SQL that books rows, as text made from `rows.TABLES`.

Owns the names of a table's keys and values and the statements over them. Never runs one.
The customer, the delivery and its arrival_seq stand in them as literals: a value that is bound
for each row costs 0.06 s in a million rows, and one bound by a query costs 1 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.rows import CHILDREN, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tilldrop.rows import Job

PARENTS = tuple(table for table in TABLES if table not in CHILDREN)


def keys(table: str) -> tuple[str, ...]:
    """Return a table's key columns, without `customer`."""
    return tuple(column.name for column in TABLES[table] if column.key)


def values(table: str) -> tuple[str, ...]:
    """Return the columns of a table that a delivery states, without those of its key."""
    named = tuple(column.name for column in TABLES[table] if not column.key)
    return named if table in CHILDREN else (*named, "extra")


def number(child: str) -> str:
    """Return the column that numbers a child table's rows within their transaction."""
    return keys(child)[-1]


def bound_key(table: str) -> str:
    """Return the condition that a row has the key that is bound, apart from the customer."""
    return " AND ".join(f"{name} = ?" for name in keys(table))


def differs(columns: Iterable[str], left: str, right: str) -> str:
    """Return the condition that any column differs; an empty one differs from any value."""
    return " OR ".join(f"{left}.{name} IS NOT {right}.{name}" for name in columns) or "0"


def upsert_rows(table: str, columns: Sequence[str], job: Job) -> str:
    """Return the statement that books one row; `columns` and the line are bound, in that order.

    It touches only these columns, never a row with a higher arrival_seq, and does not rewrite a
    row whose values are equal.
    """
    marks = f"({literal(job.customer)}, {', '.join('?' * len(columns))}, ?,"
    row = f"VALUES {marks} {job.arrival_seq}, {literal(job.delivery)})"
    mapped = [name for name in columns if name not in keys(table)]
    return (
        f"{insert(table, columns)} {row} {on_conflict(table)}"
        f" {takes((*mapped, 'arrival_seq', 'delivery', 'line'))}, replaced = t.delivery"
        f" WHERE t.arrival_seq <= excluded.arrival_seq AND ({differs(mapped, 't', 'excluded')})"
    )


def insert(table: str, columns: Sequence[str]) -> str:
    """Return the beginning of a statement that books rows into a table `t`."""
    return f"INSERT INTO {table} AS t (customer, {', '.join(columns)}, line, arrival_seq, delivery)"


def insert_child(child: str, columns: Sequence[str]) -> str:
    """Return the beginning of a statement that books rows into a child table `c`."""
    return f"INSERT INTO {child} AS c (customer, {', '.join(columns)}, line, delivery)"


def on_conflict(table: str) -> str:
    """Return the beginning of what becomes of a row that is there."""
    return f"ON CONFLICT (customer, {', '.join(keys(table))}) DO UPDATE SET"


def takes(columns: Iterable[str]) -> str:
    """Return the assignments of what comes to what is there."""
    return ", ".join(f"{name} = excluded.{name}" for name in columns)


def upsert_child_rows(child: str, columns: Sequence[str], job: Job) -> str:
    """Return the statement that books one child row; `columns` and the line are bound."""
    row = f"VALUES ({literal(job.customer)}, {', '.join('?' * len(columns))}, ?, "
    return upsert_child_from(child, columns, f"{row}{literal(job.delivery)})")


def upsert_child_from(child: str, columns: Sequence[str], rows: str) -> str:
    """Return the statement that books the child rows that `rows` yields, if they differ.

    They are replaced as a whole: a column that is not among `columns` becomes empty.
    rows: VALUES or SELECT of the customer, `columns`, the line and the delivery.
    """
    return (
        f"{insert_child(child, columns)} {rows}"
        f" {on_conflict(child)} {takes((*values(child), 'delivery', 'line'))}"
        f" WHERE ({differs(values(child), 'c', 'excluded')})"
    )


def cut_children(child: str, job: Job) -> str:
    """Return the statement that drops a transaction's child rows beyond a number.

    Bound: location_id, transaction_id and the number of the last that stays.
    """
    return (
        f"DELETE FROM {child} WHERE customer = {literal(job.customer)}"  # noqa: S608
        f" AND location_id = ? AND transaction_id = ? AND {number(child)} > ?"
    )
