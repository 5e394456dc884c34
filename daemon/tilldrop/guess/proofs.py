"""Arithmetic over the rows of a sample: which amount is made of which.

Promises that a relation is only told if nearly all rows bear it out and each part of it counts in
some row. Works on floats: it compares, it never books.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.guess.money import Money

Numbers = list[float | None]

MOST_ROWS = 3000
ENOUGH = 0.97
_MOST_TAXED = 1000
_RATES = (
    *(2.1, 2.5, 2.6, 3, 3.8, 4, 4.8, 5, 5.5, 6, 6.25, 6.5, 6.625, 7, 7.25, 7.5, 7.7, 8, 8.1, 8.25),
    *(8.5, 8.75, 8.875, 9, 9.25, 9.5, 10, 10.25, 12, 13, 13.5, 14, 14.975, 15, 16, 17, 18, 19, 20),
    *(21, 22, 23, 24, 25, 25.5, 26, 27, 28),
)


@dataclass(frozen=True, slots=True)
class Relation:
    """whole = base + the signed parts, in `share` of the rows."""

    whole: str
    base: str
    parts: tuple[tuple[str, int], ...]
    share: float


@dataclass(frozen=True, slots=True)
class Product:
    """How quantity and price make an amount. text: the expression. amount: "" if none matches.

    uses: the discounts and taxes in it.
    """

    text: str
    amount: str
    share: float
    uses: tuple[str, ...]


def written(name: str) -> str:
    """Write a column's name for an expression."""
    plain = name.isidentifier() and name.isascii()
    return name if plain else f"[{name}]"


def agrees(left: Numbers, right: Numbers, slack: float = 0.0) -> float:
    """Return in which share of the rows that have both two figures are the same to the cent."""
    both = [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    if not both:
        return 0.0
    good = sum(abs(a - b) <= 0.0101 + slack + 1e-6 * abs(a) for a, b in both)
    return good / len(both)


def thin(rows: int) -> list[int]:
    """Return which rows to look at: all of few, of many some from all over."""
    step = max(1, rows // MOST_ROWS)
    return list(range(0, rows, step))


def at(numbers: Numbers, rows: list[int]) -> Numbers:
    """Return the numbers of some rows."""
    return [numbers[row] for row in rows]


def find_relations(wholes: list[Money], parts: list[Money], rows: list[int]) -> list[Relation]:
    """Find amounts that are another amount plus or minus taxes, discounts and the like."""
    figures = {one.name: at(one.numbers, rows) for one in [*wholes, *parts]}
    useful = [one for one in parts if any(figures[one.name])][:6]
    found = []
    for whole, base in product(wholes, wholes):
        if whole.name == base.name:
            continue
        best = _relation(whole.name, base.name, useful, figures)
        if best:
            found.append(best)
    return found


def _relation(
    whole: str, base: str, parts: list[Money], figures: dict[str, Numbers]
) -> Relation | None:
    for size in range(1, min(4, len(parts)) + 1):
        for chosen in combinations(parts, size):
            pairs = tuple((one.name, _sign(one, figures[one.name])) for one in chosen)
            made = add(figures[base], [(figures[name], sign) for name, sign in pairs])
            share = agrees(figures[whole], made)
            if share >= ENOUGH:
                return Relation(whole, base, pairs, share)
    return None


def _sign(part: Money, figures: Numbers) -> int:
    """Return -1 for what a total is less by: a discount, however it is signed, lessens it."""
    if part.role in {"discount", "refunded"}:
        return -1 if sum(number or 0.0 for number in figures) > 0 else 1
    return 1


def add(base: Numbers, parts: list[tuple[Numbers, int]]) -> Numbers:
    """Add signed columns; an empty part counts as 0, an empty base stays empty."""
    made: Numbers = []
    for row, start in enumerate(base):
        if start is None:
            made.append(None)
            continue
        made.append(start + sum(sign * (numbers[row] or 0.0) for numbers, sign in parts))
    return made


def find_products(
    quantities: list[Money],
    prices: list[Money],
    extras: list[Money],
    amounts: list[Money],
    rows: list[int],
) -> list[Product]:
    """Find how quantity times price makes an amount, the simplest way first for each amount."""
    found: list[Product] = []
    for quantity, price in product(quantities, prices):
        for text, made, uses in forms(quantity, price, extras, rows):
            for amount in amounts:
                if amount.name in {quantity.name, price.name, *uses}:
                    continue
                figures = at(amount.numbers, rows)
                if not any(figures) or any(one.amount == amount.name for one in found):
                    continue
                slack = 0.005 * 10 if amount.column.places <= 1 else 0.0
                share = agrees(figures, made, slack)
                if share >= ENOUGH and _tells(
                    figures, at(quantity.numbers, rows), at(price.numbers, rows)
                ):
                    found.append(Product(text, amount.name, share, uses))
    return found


def _tells(amount: Numbers, quantity: Numbers, price: Numbers) -> bool:
    """Tell whether a match is no coincidence: some quantity or the amounts differ from the price."""
    del quantity
    return (
        any(
            a is not None and p is not None and abs(a - p) > 0.01
            for a, p in zip(amount, price, strict=True)
        )
        or len(set(amount)) > 1
    )


def forms(
    quantity: Money, price: Money, extras: list[Money], rows: list[int]
) -> list[tuple[str, Numbers, tuple[str, ...]]]:
    """Return expressions for a line's amount with their figures, the simplest first."""
    times = [
        None if q is None or p is None else q * p
        for q, p in zip(at(quantity.numbers, rows), at(price.numbers, rows), strict=True)
    ]
    base = f"{written(quantity.name)} * {written(price.name)}"
    made: list[tuple[str, Numbers, tuple[str, ...]]] = [(base, times, ())]
    for extra in extras:
        figures = at(extra.numbers, rows)
        name = written(extra.name)
        if not any(figures):
            continue
        if extra.role == "discount-rate":
            part = _scaled(times, figures, 1.0)
            made.append((f"{base} * (1 - {name})", part, (extra.name,)))
        elif extra.role == "discount":
            made.append((f"{base} - {name}", add(times, [(figures, -1)]), (extra.name,)))
            made.append((f"{base} + {name}", add(times, [(figures, 1)]), (extra.name,)))
            made.append(
                (f"{base} * (1 - {name} * 0.01)", _scaled(times, figures, 0.01), (extra.name,))
            )
        elif extra.role == "tax":
            made.append((f"{base} + {name}", add(times, [(figures, 1)]), (extra.name,)))
    taxes = [one for one in extras if one.role == "tax" and any(at(one.numbers, rows))]
    for text, numbers, uses in list(made[1:]):
        for tax in taxes:
            if tax.name not in uses:
                figures = at(tax.numbers, rows)
                both = (*uses, tax.name)
                made.append((f"{text} + {written(tax.name)}", add(numbers, [(figures, 1)]), both))
    return made


def _scaled(times: Numbers, rates: Numbers, scale: float) -> Numbers:
    return [
        None if value is None else value * (1 - scale * (rate or 0.0))
        for value, rate in zip(times, rates, strict=True)
    ]


def tax_within(amounts: Numbers, taxes: Numbers) -> str:
    """Tell whether taxes are part of the amounts: "within", "on top", or "" if rows do not tell.

    The tax of each row is compared with what the usual rates make, both ways; the way under
    which few rates explain all rows is right.
    """
    pairs = [
        (abs(a), abs(t))
        for a, t in zip(amounts, taxes, strict=True)
        if a and t is not None and a * t >= 0
    ]
    taxed = [(a, t) for a, t in pairs if t > 0.02 and a > 0.2]
    taxed = taxed[:: 1 + len(taxed) // _MOST_TAXED]
    if len(taxed) < 3:
        return ""
    on_top = _explained(taxed, lambda a, rate: a * rate)
    within = _explained(taxed, lambda a, rate: a * rate / (1 + rate))
    if on_top >= ENOUGH and within < 0.8:
        return "on top"
    if within >= ENOUGH and on_top < 0.8:
        return "within"
    return ""


def _explained(taxed: list[tuple[float, float]], tax_of: object) -> float:
    """Return the share of rows that the best three usual rates explain to the cent."""
    left = taxed
    for _ in range(3):
        best: list[tuple[float, float]] = left
        for percent in _RATES:
            rate = percent / 100
            missed = [
                (a, t)
                for a, t in left
                if abs(t - tax_of(a, rate)) > 0.0051 + 1e-4 * t  # type: ignore[operator]
            ]
            if len(missed) < len(best):
                best = missed
        left = best
        if not left:
            break
    return 1 - len(left) / len(taxed)


def is_of_line(prices: Numbers, quantities: Numbers, labels: list[str]) -> bool:
    """Tell whether a price is a line's, not a piece's: twice as much where two are bought."""
    single: dict[str, set[float]] = {}
    for label, price, quantity in zip(labels, prices, quantities, strict=False):
        if label and price and quantity == 1:
            single.setdefault(label, set()).add(round(price, 4))
    lines = pieces = 0
    for label, price, quantity in zip(labels, prices, quantities, strict=False):
        if not price or not quantity or quantity < 2 or not 0 < len(single.get(label, ())) <= 5:
            continue
        of_piece = any(abs(one - price) <= 0.0051 for one in single[label])
        of_line = any(abs(one * quantity - price) <= 0.0051 * quantity for one in single[label])
        pieces += of_piece and not of_line
        lines += of_line and not of_piece
    return lines >= 5 and lines >= 9 * pieces


def is_running(balance: Numbers, amount: Numbers) -> bool:
    """Tell whether one column is the running sum of another."""
    steps = [
        abs(b1 - b0 - a1) <= 0.0101 or abs(b0 - b1 - a0) <= 0.0101
        for b0, b1, a0, a1 in zip(balance, balance[1:], amount, amount[1:], strict=False)
        if b0 is not None and b1 is not None and a0 is not None and a1 is not None
    ]
    moving = len({number for number in balance if number is not None}) > 3
    return moving and len(steps) >= 4 and sum(steps) >= 0.9 * len(steps)
