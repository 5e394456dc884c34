"""Files that mix rows of several types: the sale itself, its lines, its payments.

Promises that rows of one type are only taken for the sale if, in nearly every transaction, its
amount is the sum of the others'. Adding them all would double the total.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

_MOST = 0.95
_FEW, _MANY = 2, 10


_NO_TYPES = (
    "tender",
    "status",
    "operator",
    "description",
    "product",
    "sku",
    "category",
    "shopper",
    "location",
)
_NO_AMOUNTS = (
    "transaction",
    "shopper",
    "product",
    "sku",
    "barcode",
    "location",
    "register",
    "operator",
    "line",
)


@dataclass(frozen=True, slots=True)
class Mixed:
    """The types. head: of the sale itself; lines, payments: of its parts."""

    column: Column
    amount: Column
    head: tuple[str, ...]
    lines: tuple[str, ...]
    payments: tuple[str, ...]
    evidence: str


def find_mixed(columns: tuple[Column, ...], groups: list[list[int]]) -> Mixed | None:
    """Find a column of types and an amount that prove each other, None if there is none."""
    several = [rows for rows in groups if len(rows) > 1][:3000]
    if len(several) < _FEW:
        return None
    for column in columns:
        if (
            not _FEW <= len(column.seen) <= _MANY
            or column.is_number
            or column.dates
            or not column.is_full
        ):
            continue
        if column.says(*_NO_TYPES, least=6) and not column.says("kind", least=7):
            continue
        for amount in columns:
            # A number of the shopper's stands in each row too, and is as equal as can be.
            if amount.is_number and amount.places and not amount.says(*_NO_AMOUNTS):
                found = _proved(column, amount, columns, several, groups)
                if found:
                    return found
    return None


def suspects(columns: tuple[Column, ...], groups: list[list[int]]) -> Column | None:
    """Return a column of row types that varies within transactions, proven or not."""
    several = [rows for rows in groups if len(rows) > 1][:3000]
    for column in columns:
        if _FEW <= len(column.seen) <= _MANY and column.is_full and not column.is_number:
            named = column.says("kind") and not column.says(
                "category", "product", "description", "tender"
            )
            varied = sum(len({column.cells[row] for row in rows}) > 1 for rows in several)
            if named and several and varied > 0.5 * len(several):
                return column
    return None


def _proved(
    column: Column,
    amount: Column,
    columns: tuple[Column, ...],
    groups: list[list[int]],
    every: list[list[int]],
) -> Mixed | None:
    if all(len({amount.cells[row] for row in rows}) == 1 for rows in groups):
        return None  # a figure of the whole sale, in each of its rows
    sums = [_sums(column, amount, rows) for rows in groups]
    for head in column.seen:
        there = [one for one in sums if head in one]
        single = sum(sum(column.cells[row] == head for row in rows) == 1 for rows in groups)
        borne = sum(any(column.cells[row] == head for row in rows) for rows in every)
        if single < _MOST * len(groups) or borne < _MOST * len(every):
            continue
        parts = [other for other in column.seen if other != head and _equal(there, head, other)]
        if not parts:
            continue
        items = tuple(one for one in parts if _has_items(one, column, columns))
        rest = tuple(one for one in parts if one not in items)
        evidence = (
            f"rows with {column.name} = {head} hold in {amount.name} what those with"
            f" {', '.join(parts)} add up to"
        )
        return Mixed(column, amount, (head,), items, rest, evidence)
    return None


def _sums(column: Column, amount: Column, rows: list[int]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        number = amount.numbers[row]
        if number is not None:
            kind = column.cells[row]
            found[kind] = found.get(kind, 0.0) + number
    return found


def _equal(sums: list[dict[str, float]], head: str, other: str) -> bool:
    both = [one for one in sums if head in one and other in one]
    if len(both) < _MOST * len(sums) or len(both) < _FEW:
        return False
    good = sum(abs(one[head] - one[other]) <= 0.0501 for one in both)
    return good >= _MOST * len(both) and len({one[head] for one in both}) > 1


def _has_items(kind: str, column: Column, columns: tuple[Column, ...]) -> bool:
    """Tell whether rows of a type name products."""
    rows = [row for row, cell in enumerate(column.cells) if cell == kind]
    return any(
        one.says("product", "sku", "barcode", "description")
        and sum(bool(one.cells[row]) for row in rows) > 0.5 * len(rows)
        for one in columns
    )
