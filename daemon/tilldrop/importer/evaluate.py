"""What a record means, in Python: the reference for every fault a record can have.

Owns the order in which a record is looked at: key, date, amounts, the rest; its first fault is
the one reported. Promises exact decimals. Never sees a file or a database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING

from tilldrop.importer import moments, values
from tilldrop.importer.values import bare, shorten
from tilldrop.mapping import Computed, Joined
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.importer.moments import Moment
    from tilldrop.importer.plan import Bound, Plan

Key = tuple[str, str]
Row = tuple[str | int | None, ...]
_Value = str | Decimal | None


@dataclass(frozen=True, slots=True)
class Values:
    """What a record, or several of one transaction, say besides their key. None: empty."""

    moment: Moment | None
    total: Decimal | None
    others: tuple[_Value, ...]


@dataclass(frozen=True, slots=True)
class Good:
    """A row to stage: line, then the plan's columns. warning: what its time deserves, if any."""

    row: Row
    warning: Fault | None


def read_key(plan: Plan, line: int, cells: Sequence[str]) -> Key | Fault:
    """Return location and transaction id."""
    location = _text(plan.location, cells)
    if not location:
        return Fault("location-empty", line, _first_empty(plan.location, cells))
    transaction = _text(plan.transaction, cells)
    if not transaction:
        return Fault("id-empty", line, _first_empty(plan.transaction, cells))
    return location, transaction


def read_values(plan: Plan, line: int, cells: Sequence[str]) -> Values | Fault:
    """Return all that is not the key."""
    moment = _read_moment(plan, line, cells)
    if isinstance(moment, Fault):
        return moment
    total = _read_total(plan, line, cells)
    if isinstance(total, Fault):
        return total
    others: list[_Value] = []
    for one in plan.optional:
        if one.digits is None:
            others.append(_text(one, cells))
            continue
        amount = _read_amount(plan, one, line, cells)
        if isinstance(amount, Fault):
            return amount
        others.append(amount)
    return Values(moment, total, tuple(others))


def join(plan: Plan, earlier: Values, later: Values) -> Values:
    """Join two records of one transaction."""
    total, *others = (
        _joined(one, first, second)
        for one, first, second in zip(
            (plan.total, *plan.optional),
            (earlier.total, *earlier.others),
            (later.total, *later.others),
            strict=True,
        )
    )
    moment = earlier.moment or later.moment
    return Values(moment, total if isinstance(total, Decimal) else None, tuple(others))


def finish(plan: Plan, line: int, key: Key, found: Values) -> Good | Fault:
    """Round, settle the time, and make the row of a whole transaction."""
    if found.moment is None:
        return Fault("date-empty", line, plan.sold_at.names[0])
    if found.total is None:
        return Fault("total-empty", line, plan.total.names[0])
    total = values.to_minor(found.total, plan.total.digits or 0)
    if total is None:
        return _out_of_range(plan.total, line, found.total)
    others: list[str | int | None] = []
    for one, value in zip(plan.optional, found.others, strict=True):
        if not isinstance(value, Decimal):
            others.append(value)
            continue
        minor = values.to_minor(value, one.digits or 0)
        if minor is None:
            return _out_of_range(one, line, value)
        others.append(minor)
    sold = moments.settle_moment(found.moment, plan.zone)
    kind = "refund" if total < 0 else "sale"
    timed = (sold.sold_at, sold.business_date, int(sold.has_time))
    row = (line, *key, *timed, kind, total, plan.currency, *others)
    return Good(row, _time_warning(plan, line, found.moment, sold.warning))


def evaluate(plan: Plan, line: int, cells: Sequence[str]) -> Good | Fault:
    """Return the row of a record that is a transaction by itself, or its first fault."""
    key = read_key(plan, line, cells)
    if isinstance(key, Fault):
        return key
    found = read_values(plan, line, cells)
    if isinstance(found, Fault):
        return found
    return finish(plan, line, key, found)


def differ(earlier: Moment | None, later: Moment | None) -> bool:
    """Tell whether two records of one transaction bear different times."""
    if earlier is None or later is None:
        return False
    return replace(earlier, has_time=True) != replace(later, has_time=True)


def _text(bound: Bound, cells: Sequence[str]) -> str | None:
    """Return a text, None if it or a part of it is empty."""
    if bound.fixed:
        return bound.fixed
    if len(bound.places) == 1:
        return bare(cells[bound.places[0]]) or None
    parts = [bare(cells[place]) for place in bound.places]
    if isinstance(bound.source, Joined) and all(parts):
        return bound.source.glue.join(parts)
    return None


def _first_empty(bound: Bound, cells: Sequence[str]) -> str:
    """Return the name of the first column of a target that is empty."""
    pairs = zip(bound.names, bound.places, strict=True)
    return next((name for name, place in pairs if not bare(cells[place])), bound.column.name)


def _read_moment(plan: Plan, line: int, cells: Sequence[str]) -> Moment | Fault | None:
    parts = [bare(cells[place]) for place in plan.sold_at.places]
    if not parts[0]:
        return None
    text = bare(" ".join(parts))
    moment = moments.read_moment(text, plan.formats)
    if moment is None:
        is_time = len(parts) > 1 and moments.date_fits(parts[0], plan.formats)
        code, at = ("time-unreadable", 1) if is_time else ("date-unreadable", 0)
        return Fault(code, line, plan.sold_at.names[at], shorten(parts[at]) or "(empty)")
    if not moments.is_in_range(moment):
        return Fault("date-out-of-range", line, plan.sold_at.names[0], shorten(text))
    return moment


def _read_total(plan: Plan, line: int, cells: Sequence[str]) -> Decimal | Fault | None:
    """Return the amount; an expression of which only a part is there is a fault."""
    amount = _read_amount(plan, plan.total, line, cells)
    if amount is None and any(bare(cells[place]) for place in plan.total.places):
        return Fault("total-empty", line, _first_empty(plan.total, cells))
    return amount


def _read_amount(
    plan: Plan, bound: Bound, line: int, cells: Sequence[str]
) -> Decimal | Fault | None:
    """Return an amount, None if any of its cells is empty."""
    amounts: list[Decimal] = []
    for name, place in zip(bound.names, bound.places, strict=True):
        cell = bare(cells[place])
        number = plan.number.read(cell)
        if number is not None:
            amounts.append(number)
        elif cell:
            return Fault("number-unreadable", line, name, shorten(cell))
    if len(amounts) < len(bound.places):
        return None
    if not isinstance(bound.source, Computed):
        return amounts[0]
    named = dict(zip(bound.source.columns, amounts, strict=True))
    try:
        return values.compute(bound.source.tree, named.__getitem__)
    except DecimalException:
        return Fault("amount-out-of-range", line, bound.source.text)


def _joined(bound: Bound, earlier: _Value, later: _Value) -> _Value:
    """Add amounts that are to be added; of all else take the first that is not empty."""
    if bound.adds and isinstance(earlier, Decimal) and isinstance(later, Decimal):
        return values.add([earlier, later])
    return later if earlier is None else earlier


def _out_of_range(bound: Bound, line: int, amount: Decimal) -> Fault:
    name = bound.source.text if isinstance(bound.source, Computed) else bound.names[0]
    return Fault("amount-out-of-range", line, name, shorten(format(amount, "f")))


def _time_warning(plan: Plan, line: int, moment: Moment, code: str) -> Fault | None:
    if not code:
        return None
    seen = moment.local.isoformat(" ", "minutes")
    return Fault(code, line, plan.sold_at.names[0], seen, warning=True)
