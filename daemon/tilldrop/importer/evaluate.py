"""What a record of a transaction means: the reference for every fault a record can have.

Owns the order in which a record is looked at: key, date, amounts, the rest; its first fault is
the one reported. Promises exact decimals, where `values.exactly` is in force. Never sees a file
or a database.
"""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from tilldrop.importer import values
from tilldrop.importer.cells import (
    Cells,
    Numbers,
    TextOf,
    Unreadable,
    amount_of,
    currency_of,
    first_empty,
    kind_of,
    minor,
    text_of,
)
from tilldrop.importer.instants import Clock, Timed, timed_of
from tilldrop.importer.moments import zone_of
from tilldrop.importer.values import bare
from tilldrop.rows import Fault, minor_digits
from tilldrop.sources import Computed

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal
    from zoneinfo import ZoneInfo

    from tilldrop.importer.plan import Bound, Plan

Key = tuple[str, str]
# By slot: sold_at, total, business_date, kind, currency, then `Evaluation.others`. None: empty.
Values = list[Any]
Row = tuple[str | int | None, ...]
_SLOTS = ("sold_at", "total_minor", "business_date", "kind", "currency")


class Terms(NamedTuple):
    """What amounts and times of one transaction are told in."""

    zone: ZoneInfo
    currency: str
    digits: int


class Good(NamedTuple):
    """A row to stage: the plan's columns. negated: its signs were turned.

    warning: what its time deserves, "" if nothing.
    """

    row: Row
    negated: bool
    warning: str


class Places:
    """The locations of one feed: aliases, zones and currencies."""

    def __init__(self, plan: Plan) -> None:
        at = plan.at
        self._plan = plan
        self._terms: dict[str, Terms] = {}
        self._ids = {
            bare(alias).casefold(): location
            for location, one in at.locations.items()
            for alias in one.get("aliases") or ()
        }

    def named(self, text: TextOf) -> TextOf:
        """Return what reads a location's id, aliases resolved."""
        ids = self._ids
        if not ids:
            return text

        def location(cells: Cells) -> str | None:
            found = text(cells)
            return ids.get(found.casefold(), found) if found else None

        return location

    def terms(self, location: str) -> Terms:
        """Return a location's zone and currency, else the customer's."""
        found = self._terms.get(location)
        if found is None:
            own, at = self._plan.at.locations.get(location, {}), self._plan.at
            currency = own.get("currency") or at.currency
            zone = zone_of(own.get("zone") or at.zone)
            found = self._terms[location] = Terms(zone, currency, minor_digits(currency))
        return found


def taker(
    bound: Bound, plan: Plan, numbers: Numbers, used: set[str] | None = None
) -> Callable[[Cells], Any]:
    """Return what reads a target's value: a text, an amount or a `Timed`; None if empty.

    used: takes the formats of dates that were read.
    """
    if bound.column.kind in {"instant", "day"}:
        return timed_of(bound, plan, used)
    return text_of(bound) if bound.digits is None else amount_of(bound, numbers)


def finisher(bound: Bound) -> Callable[[Any, Terms], str | int] | None:
    """Return what makes a value that `taker` read fit to be stored; None if it is so already."""
    digits = bound.digits
    match bound.column.kind:
        case "money":
            return lambda amount, terms: minor(bound, amount, terms.digits)
        case "count" | "milli":
            return lambda amount, _: minor(bound, amount, digits or 0)
        case "instant" | "day" as kind:
            settle = Clock(bound).settle
            part = 1 if kind == "day" else 0
            return lambda timed, terms: settle(timed, terms.zone)[part]
    return None


class Evaluation:
    """Reads the records of one feed of transactions. others: targets behind the first slots."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.numbers = Numbers(plan)
        self.places = Places(plan)
        bounds = plan.bounds
        self._used: set[str] = set()
        self._location = self.places.named(text_of(plan.location))
        self._transaction = text_of(plan.transaction)
        self._is_required = not plan.feed.partial
        self.others = tuple(
            bounds.get(column.name) or replace(plan.transaction, column=column)
            for column in plan.columns
            if column.name not in {*_SLOTS, "location_id", "transaction_id", "has_time"}
        )
        takers = [self._slot_taker(bounds.get(name)) for name in _SLOTS]
        self._takers = (*takers, *(taker(one, plan, self.numbers) for one in self.others))
        self._currency_at = takers[4]
        self._switches = "currency" in bounds or any(
            one.get("currency") for one in plan.at.locations.values()
        )
        total_adds = "total_minor" in bounds and plan.total.adds
        self.adds = (False, total_adds, False, False, False, *(one.adds for one in self.others))
        self._finishers = tuple(
            (slot, made)
            for slot, one in enumerate(self.others, len(_SLOTS))
            if (made := finisher(one))
        )
        self._money_slots = tuple(
            slot
            for slot, one in enumerate(self.others, len(_SLOTS))
            if one.column.kind in {"money", "milli"}
        )
        self._clock = Clock(plan.sold_at) if "sold_at" in bounds else None
        self._day = finisher(bounds["business_date"]) if "business_date" in bounds else None
        self._by_kind = plan.feed.signs == "by-kind"
        self._day_starts_at_min = plan.feed.day_starts_at_min
        self._chosen = self._choose()
        self._key_parts = self._make_key_parts()

    def _slot_taker(self, bound: Bound | None) -> Callable[[Cells], Any]:
        if bound is None:
            return lambda _: None
        if bound.column.name == "kind":
            return kind_of(bound)
        if bound.column.name == "currency":
            return currency_of(bound)
        used = self._used if bound.column.name == "sold_at" else None
        take = taker(bound, self._plan, self.numbers, used)
        if bound.column.name == "total_minor" and isinstance(bound.source, Computed):
            return _whole(bound, take)
        return take

    def _choose(self) -> Callable[[Row], Row] | None:
        """Return what takes the plan's columns of all that a row may have; None if all."""
        first = ("location_id", "transaction_id", "sold_at", "business_date", "has_time", "kind")
        made = (*first, "total_minor", "currency", *(one.column.name for one in self.others))
        wanted = [column.name for column in self._plan.columns]
        if list(made) == wanted:
            return None
        chosen: Callable[[Row], Row] = itemgetter(0, *(1 + made.index(name) for name in wanted))
        return chosen

    def _make_key_parts(self) -> tuple[tuple[str, TextOf], ...]:
        """Return what the id begins with where the feed's key says more than the id."""
        parts: list[tuple[str, TextOf]] = []
        for column in self._plan.feed.key:
            bound = self._plan.bounds.get(column)
            if column in {"location_id", "transaction_id"}:
                continue
            if column in {"business_date", "kind"}:
                is_day = column == "business_date"
                at = bound or self._plan.bounds.get("sold_at" if is_day else "total_minor")
                part = self._day_part if is_day else self._kind_part
                parts.append(((at or self._plan.transaction).name, part))
            elif bound:
                parts.append((bound.name, text_of(bound)))
        return tuple(parts)

    def _day_part(self, cells: Cells) -> str | None:
        day, timed = self._takers[2](cells), self._takers[0](cells)
        if day is None and timed is None:
            return None
        terms = self.places.terms(self._location(cells) or "")
        return self._days(timed, day, terms)[1]

    def _kind_part(self, cells: Cells) -> str | None:
        found: str | None = self._takers[3](cells)
        total = self._takers[1](cells)
        return found or (None if total is None else _kind_by_sign(total))

    def read_key(self, cells: Cells) -> Key:
        """Return location and transaction id. Raises Unreadable."""
        location = self._location(cells)
        if not location:
            raise Unreadable("location-empty", first_empty(self._plan.location, cells))
        transaction = self._transaction(cells)
        if not transaction:
            raise Unreadable("id-empty", first_empty(self._plan.transaction, cells))
        if not self._key_parts:
            return location, transaction
        parts = [(name, part(cells)) for name, part in self._key_parts]
        for name, text in parts:
            if not text:
                raise Unreadable("id-empty", name)
        return location, "/".join([*(text or "" for _, text in parts), transaction])

    def read_values(self, cells: Cells, location: str) -> Values:
        """Return all that is not the key. Raises Unreadable."""
        if self._switches:
            own = self._currency_at(cells)
            self.numbers.use(own or self.places.terms(location).currency)
        return [take(cells) for take in self._takers]

    def join(self, earlier: Values, later: Values) -> None:
        """Add to the values of one transaction those of a later record."""
        for slot, value in enumerate(later):
            if value is None:
                continue
            first = earlier[slot]
            if first is None:
                earlier[slot] = value
            elif self.adds[slot]:
                earlier[slot] = first + value

    def terms(self, location: str, currency: str | None) -> Terms:
        """Return a transaction's zone and currency. currency: what its records say."""
        terms = self.places.terms(location)
        if currency is None or currency == terms.currency:
            return terms
        return Terms(terms.zone, currency, minor_digits(currency))

    def finish(self, line: int, key: Key, found: Values) -> Good:
        """Round, settle the time, and make the row of a whole transaction. Raises Unreadable.

        found: is changed. Cost: with reading it, 8 µs for twelve columns.
        """
        timed, total, day, kind, currency = found[:5]
        terms = self.terms(key[0], currency)
        if self._is_required:
            if timed is None:
                raise Unreadable("date-empty", self._plan.sold_at.name)
            if total is None:
                raise Unreadable("total-empty", self._plan.total.name)
        total_minor = None if total is None else minor(self._plan.total, total, terms.digits)
        for slot, made in self._finishers:
            value = found[slot]
            if value is not None:
                found[slot] = made(value, terms)
        sold_at, business_date, has_time, warning = self._days(timed, day, terms)
        if kind is None and total_minor is not None:
            kind = "refund" if total_minor < 0 else "sale"
        negated = self._by_kind and kind == "refund" and (total_minor or 0) > 0
        if negated and total_minor is not None:
            total_minor = -total_minor
            for slot in self._money_slots:
                found[slot] = None if found[slot] is None else -found[slot]
        dated = (sold_at, business_date, has_time)
        row = (line, *key, *dated, kind, total_minor, terms.currency, *found[5:])
        return Good(self._chosen(row) if self._chosen else row, negated, warning)

    def _days(
        self, timed: Timed | None, day: Timed | None, terms: Terms
    ) -> tuple[str | None, str | None, int | None, str]:
        """Return sold_at, business_date, has_time, and a warning."""
        sold_at, business_date, has_time, warning = None, None, None, ""
        if timed is not None and self._clock is not None:
            sold = self._clock.settle(timed, terms.zone)
            sold_at, business_date, has_time, warning = sold
            if self._day_starts_at_min and has_time:
                business_date = self._clock.business_date(sold_at, self._day_starts_at_min)
        if day is not None and self._day is not None:
            business_date = str(self._day(day, terms))
        return sold_at, business_date, has_time, warning

    def time_warning(self, line: int, found: Values, code: str) -> Fault:
        """Return what is told of a time that the clocks skipped or showed twice."""
        seen = found[0].moment.local.isoformat(" ", "minutes")
        return Fault(code, line, self._plan.sold_at.name, seen, warning=True)

    def formats(self) -> tuple[str, ...]:
        """Return which formats of `sold_at` were met so far, if there are several."""
        if "sold_at" not in self._plan.bounds or len(self._plan.formats) == 1:
            return ()
        return tuple(one for one in self._plan.formats if one in self._used)

    def judge(self, line: int, cells: Cells) -> Fault | None:
        """Return the first fault of a record that may be a transaction by itself, if it has one."""
        try:
            with values.exactly():
                key = self.read_key(cells)
                found = self.read_values(cells, key[0])
                if not self._plan.is_grouped:
                    self.finish(line, key, found)
        except Unreadable as wrong:
            return fault(wrong, line)
        return None


def fault(wrong: Unreadable, line: int) -> Fault:
    """Return what a record is refused for."""
    return Fault(wrong.code, line, wrong.field, wrong.seen)


def _whole(bound: Bound, amount: Callable[[Cells], Decimal | None]) -> TextOf:
    """Make an expression of which only a part is there a fault."""

    def whole(cells: Cells) -> Any:
        found = amount(cells)
        if found is None and any(bare(cells[place]) for place in bound.places):
            raise Unreadable("total-empty", first_empty(bound, cells))
        return found

    return whole


def _kind_by_sign(total: Decimal) -> str:
    return "refund" if total < 0 else "sale"


def differ(earlier: Timed | None, later: Timed | None) -> bool:
    """Tell whether two records of one transaction bear different times."""
    if earlier is None or later is None or earlier is later:
        return False
    first, second = earlier.moment, later.moment
    return replace(first, has_time=True) != replace(second, has_time=True)
