"""From a record's cells to a text or an amount: a function is made once for each target.

Promises that a value is either wholly read, empty (None), or `Unreadable` with the fault that the
record is refused for. Texts and numbers seen before are remembered, as many as `MEMO_SIZE`.
Never sees a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import TYPE_CHECKING

from tilldrop.importer import values
from tilldrop.importer.values import BLANKS, NumberForm, bare, shorten
from tilldrop.mapping import KINDS
from tilldrop.sources import Computed, Constant, FirstOf, FromColumn, Joined, Refined
from tilldrop.zones import CURRENCIES

if TYPE_CHECKING:
    from tilldrop.importer.plan import Bound, Plan
    from tilldrop.mapping import Conditions

MEMO_SIZE = 20_000  # entries, a few MB; most columns have fewer different values

TEXT_MARK = "'"  # what spreadsheets put before a number or a date that is to stay a text

Cells = list[str]
TextOf = Callable[[Cells], str | None]
AmountOf = Callable[[Cells], Decimal | None]
Meets = Callable[[Cells], bool]


class Unreadable(Exception):
    """What a record is refused for: a fault without its line."""

    def __init__(self, code: str, field: str, seen: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.seen = seen


# Texts


def text_of(bound: Bound) -> TextOf:
    """Return what reads a text."""
    text = _raw_text(bound)
    return text if bound.refined is None else _refined(bound.refined, bound.name, text)


def _raw_text(bound: Bound) -> TextOf:
    places = bound.places
    match bound.source:
        case FromColumn():
            place = places[0]
            return lambda cells: cells[place].strip(BLANKS) or None
        case FirstOf():
            return lambda cells: next(filter(None, (bare(cells[place]) for place in places)), None)
        case Joined(glue=glue):

            def joined(cells: Cells) -> str | None:
                parts = [cells[place].strip(BLANKS) for place in places]
                return glue.join(parts) if all(parts) else None

            return joined
    fixed = bound.fixed or None
    return lambda _: fixed


def _refined(refined: Refined, name: str, text: TextOf) -> TextOf:
    """Do to a text what the mapping says, in the order that `sources.Refined` gives."""
    listed = {bare(before).casefold(): after for before, after in refined.values.items()}
    memo: dict[str | None, str | None] = {None: refined.default or None}

    def refine(raw: str) -> str:
        value = raw
        if refined.match:
            found = re.search(refined.match, value)
            value = bare(found[1] or "") if found else ""
        if refined.case:
            value = value.upper() if refined.case == "upper" else value.lower()
        if not value:
            return ""
        after = listed.get(value.casefold())
        if after is None and refined.strict:
            raise Unreadable("value-unlisted", name, shorten(raw))
        return value if after is None else after

    def read(cells: Cells) -> str | None:
        raw = text(cells)
        try:
            return memo[raw]
        except KeyError:
            made = memo[raw] = refine(raw or "") or refined.default or None
            if len(memo) > MEMO_SIZE:
                _forget(memo)
            return made

    return read


def _forget(memo: dict[str | None, str | None]) -> None:
    empty = memo[None]
    memo.clear()
    memo[None] = empty


def first_empty(bound: Bound, cells: Cells) -> str:
    """Return the name of the first column of a target that is empty."""
    pairs = zip(bound.names, bound.places, strict=True)
    return next((name for name, place in pairs if not bare(cells[place])), bound.name)


def kind_of(bound: Bound) -> TextOf:
    """Return what reads a transaction's kind."""
    text = text_of(bound)
    known: dict[str | None, str | None] = {None: None}
    known.update((kind, kind) for kind in KINDS)

    def kind(cells: Cells) -> str | None:
        found = text(cells)
        if found in known:
            return known[found]
        if found and found.lower() in known:
            return found.lower()
        raise Unreadable("value-unlisted", bound.name, shorten(found or ""))

    return kind


def currency_of(bound: Bound) -> TextOf:
    """Return what reads a currency."""
    text = text_of(bound)

    def currency(cells: Cells) -> str | None:
        found = text(cells)
        if found is None or found in CURRENCIES:
            return found
        if found.upper() in CURRENCIES:
            return found.upper()
        raise Unreadable("currency-unknown", bound.name, shorten(found))

    return currency


# Amounts


class Numbers:
    """Reads numbers as one feed writes them, with or without the currency in use."""

    def __init__(self, plan: Plan) -> None:
        self._reading = plan.reading
        self._memos: dict[str, dict[str, Decimal | None]] = {}
        self._currency = ""
        self.use(plan.currency)

    def use(self, currency: str) -> None:
        """Take another currency's sign beside the numbers from now on."""
        if currency == self._currency:
            return
        self._currency = currency
        self._form = NumberForm(self._reading.decimal, self._reading.thousands, currency)
        self._memo = self._memos.setdefault(currency, {"": None})

    def read(self, cell: str, name: str) -> Decimal | None:
        """Return the number in a cell, None if that is empty. Raises Unreadable."""
        try:
            return self._memo[cell]
        except KeyError:
            text = cell.strip(BLANKS)
            number = self._form.read(text.removeprefix(TEXT_MARK)) if text else None
            if number is None and text:
                raise Unreadable("number-unreadable", name, shorten(text)) from None
            if len(self._memo) > MEMO_SIZE:
                self._memo.clear()
            self._memo[cell] = number
            return number


def amount_of(bound: Bound, numbers: Numbers) -> AmountOf:
    """Return what reads an amount, a count or a quantity."""
    amount = _raw_amount(bound, numbers)
    if bound.refined is None or not bound.refined.default:
        return amount
    default = Decimal(bound.refined.default)

    def with_default(cells: Cells) -> Decimal | None:
        found = amount(cells)
        return default if found is None else found

    return with_default


def _raw_amount(bound: Bound, numbers: Numbers) -> AmountOf:
    read, name = numbers.read, bound.name
    match bound.source:
        case FromColumn():
            place = bound.places[0]
            return lambda cells: read(cells[place], name)
        case Computed():
            return _computed(bound, bound.source, numbers)
        case Constant(value=value):
            fixed = Decimal(value)
            return lambda _: fixed
    text = _raw_text(bound)
    return lambda cells: read(text(cells) or "", name)


def _computed(bound: Bound, source: Computed, numbers: Numbers) -> AmountOf:
    read = numbers.read
    pairs = tuple(zip(bound.names, bound.places, strict=True))

    def amount(cells: Cells) -> Decimal | None:
        amounts = [read(cells[place], name) for name, place in pairs]
        if source.empty_is_zero and any(one is not None for one in amounts):
            amounts = [one or Decimal(0) for one in amounts]
        full = [one for one in amounts if one is not None]
        if len(full) < len(amounts):
            return None
        named = dict(zip(source.columns, full, strict=True))
        try:
            return values.compute(source.tree, named.__getitem__)
        except DecimalException:
            raise Unreadable("amount-out-of-range", source.text) from None

    return amount


def minor(bound: Bound, amount: Decimal, digits: int) -> int:
    """Round to minor units. Raises Unreadable."""
    found = values.to_minor(amount, digits)
    if found is None:
        name = bound.source.text if isinstance(bound.source, Computed) else bound.name
        raise Unreadable("amount-out-of-range", name, shorten(format(amount, "f")))
    return found


# Conditions


def meets(conditions: Conditions, plan: Plan, *, every: bool = True) -> Meets:
    """Return what tells whether a record's cells are as listed, in every column or in any."""
    wanted = [
        (plan.places[name], frozenset(bare(text).casefold() for text in texts))
        for name, texts in conditions.items()
    ]
    if len(wanted) == 1:
        [(only_place, only_texts)] = wanted
        return lambda cells: cells[only_place].strip(BLANKS).casefold() in only_texts
    join = all if every else any
    return lambda cells: join(bare(cells[place]).casefold() in texts for place, texts in wanted)
