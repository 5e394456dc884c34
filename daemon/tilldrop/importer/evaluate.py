"""What a record means, in Python: the reference for every fault a record can have.

Owns the order in which a record is looked at: key, date, amounts, the rest; its first fault is
the one reported. Promises exact decimals. Never sees a file or a database.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING

from tilldrop.importer import values
from tilldrop.importer.plan import Optional, Plan, columns_of
from tilldrop.importer.values import Moment, bare, shorten
from tilldrop.mapping import Computed, FromColumn, Joined, Source
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    key = []
    for target, code in (("location_id", "location-empty"), ("transaction_id", "id-empty")):
        text = plan.fixed.get(target) or _text(plan, plan.feed.sources[target], cells)
        if not text:
            return Fault(code, line, _first_empty(plan, plan.feed.sources[target], cells, target))
        key.append(text)
    return key[0], key[1]


def read_values(plan: Plan, line: int, cells: Sequence[str]) -> Values | Fault:
    """Return all that is not the key."""
    moment = _read_moment(plan, line, cells)
    if isinstance(moment, Fault):
        return moment
    total = _read_total(plan, line, cells)
    if isinstance(total, Fault):
        return total
    others: list[str | Decimal | None] = []
    for one in plan.optional:
        value = _read_optional(plan, one, line, cells)
        if isinstance(value, Fault):
            return value
        others.append(value)
    return Values(moment, total, tuple(others))


def join(plan: Plan, earlier: Values, later: Values) -> Values:
    """Join two records of one transaction."""
    sources = (plan.total, *(one.source for one in plan.optional))
    total, *others = (
        _joined(plan, source, first, second)
        for source, first, second in zip(
            sources, (earlier.total, *earlier.others), (later.total, *later.others), strict=True
        )
    )
    moment = earlier.moment or later.moment
    return Values(moment, total if isinstance(total, Decimal) else None, tuple(others))


def finish(plan: Plan, line: int, key: Key, found: Values) -> Good | Fault:
    """Round, settle the time, and make the row of a whole transaction."""
    if found.moment is None:
        return Fault("date-empty", line, plan.heading(plan.sold_at.date))
    if found.total is None:
        return Fault("total-empty", line, plan.heading(columns_of(plan.total)[0]))
    total = values.to_minor(found.total, plan.digits)
    if total is None:
        return _out_of_range(plan, line, plan.total, found.total)
    others: list[str | int | None] = []
    for one, value in zip(plan.optional, found.others, strict=True):
        if isinstance(value, Decimal):
            minor = values.to_minor(value, one.digits or 0)
            if minor is None:
                return _out_of_range(plan, line, one.source, value)
            others.append(minor)
        else:
            others.append(value)
    sold = values.settle_moment(found.moment, plan.zone)
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


def _text(plan: Plan, source: Source, cells: Sequence[str]) -> str | None:
    """Return the text of a source, None if it or a part of it is empty."""
    parts = [bare(cells[plan.place(name)]) for name in columns_of(source)]
    if not all(parts):
        return None
    return source.glue.join(parts) if isinstance(source, Joined) else parts[0]


def _first_empty(plan: Plan, source: Source, cells: Sequence[str], target: str) -> str:
    empty = (name for name in columns_of(source) if not bare(cells[plan.place(name)]))
    name = next(empty, None)
    return plan.heading(name) if name else target


def _read_moment(plan: Plan, line: int, cells: Sequence[str]) -> Moment | Fault | None:
    names = columns_of(plan.sold_at)
    parts = [bare(cells[plan.place(name)]) for name in names]
    if not parts[0]:
        return None
    text = bare(" ".join(parts))
    moment = values.read_moment(text, plan.sold_at.formats)
    if moment is None:
        is_time = len(parts) > 1 and values.date_fits(parts[0], plan.sold_at.formats)
        code, at = ("time-unreadable", 1) if is_time else ("date-unreadable", 0)
        return Fault(code, line, plan.heading(names[at]), shorten(parts[at]))
    if not values.is_in_range(moment):
        return Fault("date-out-of-range", line, plan.heading(names[0]), shorten(text))
    return moment


def _read_total(plan: Plan, line: int, cells: Sequence[str]) -> Decimal | Fault | None:
    """Return the amount; an expression of which only a part is there is a fault."""
    names = columns_of(plan.total)
    empty = [name for name in names if not bare(cells[plan.place(name)])]
    amount = _read_amount(plan, plan.total, line, cells)
    if amount is None and len(empty) < len(names):
        return Fault("total-empty", line, plan.heading(empty[0]))
    return amount


def _read_optional(
    plan: Plan, one: Optional, line: int, cells: Sequence[str]
) -> str | Decimal | Fault | None:
    if one.digits is not None:
        return _read_amount(plan, one.source, line, cells)
    return plan.fixed.get(one.name) or _text_or_none(plan, one.source, cells)


def _text_or_none(plan: Plan, source: Source, cells: Sequence[str]) -> str | None:
    return _text(plan, source, cells) if columns_of(source) else None


def _read_amount(
    plan: Plan, source: Source, line: int, cells: Sequence[str]
) -> Decimal | Fault | None:
    """Return an amount, None if any of its cells is empty."""
    amounts: dict[str, Decimal] = {}
    for name in columns_of(source):
        cell = bare(cells[plan.place(name)])
        if not cell:
            continue
        number = plan.number.read(cell)
        if number is None:
            return Fault("number-unreadable", line, plan.heading(name), shorten(cell))
        amounts[name] = number
    if len(amounts) < len(columns_of(source)):
        return None
    if isinstance(source, FromColumn):
        return amounts[source.column]
    if not isinstance(source, Computed):
        raise TypeError(source)
    try:
        return values.compute(source.tree, amounts.__getitem__)
    except DecimalException:
        return Fault("amount-out-of-range", line, source.text)


def _joined(plan: Plan, source: Source, earlier: _Value, later: _Value) -> _Value:
    """Add amounts that are to be added; of all else take the first that is not empty."""
    if isinstance(earlier, Decimal) and isinstance(later, Decimal) and plan.adds(source):
        return values.add([earlier, later])
    return later if earlier is None else earlier


def _out_of_range(plan: Plan, line: int, source: Source, amount: Decimal) -> Fault:
    name = source.text if isinstance(source, Computed) else plan.heading(columns_of(source)[0])
    return Fault("amount-out-of-range", line, name, shorten(format(amount, "f")))


def _time_warning(plan: Plan, line: int, moment: Moment, code: str) -> Fault | None:
    if not code:
        return None
    seen = moment.local.isoformat(" ", "minutes")
    return Fault(code, line, plan.heading(plan.sold_at.date), seen, warning=True)
