"""What may still be wrong with an amount: tax on top, a discount to come off, cents.

Promises that only rows settle these; where they do not, it is asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tilldrop.guess import proofs, words
from tilldrop.guess.amounts import Amounts, Total
from tilldrop.guess.draft import Option, Question
from tilldrop.guess.proofs import Product, Relation, written

if TYPE_CHECKING:
    from tilldrop.guess.money import Money


# Currencies without hundredths, and how amounts in units are written but hundredths never are.
_WHOLE_CURRENCY = re.compile(r"\b(?:jpy|yen|krw|vnd|dong|clp|pyg|isk|xaf|xof|fcfa|ugx|rwf)$")
_IN_UNITS = re.compile(r"[$€£¥₹]|\d[,.'\u2019 ]\d{3}\b")


def settle_tax(
    best: Money,
    figures: Amounts,
    rows: list[int],
    related: list[Relation] | None = None,
    multiplied: list[Product] | None = None,
) -> Total | None:
    """See whether the amount holds its tax; add the tax where it does not, ask where unknown."""
    taxes = _taxes_beside(best, figures)
    parts = {name for relation in related or [] for name, _ in relation.parts}
    parts |= {name for product in multiplied or [] for name in product.uses}
    if not taxes or any(tax.name in parts for tax in taxes) or _is_gross(best):
        return None
    amounts = proofs.at(best.numbers, rows)
    sums = proofs.add([0.0] * len(rows), [(proofs.at(tax.numbers, rows), 1) for tax in taxes])
    found = proofs.tax_within(amounts, sums)
    if found == "within" and best.role != "net":
        return None
    if found != "on top" and best.role == "total" and best.points >= 9:
        return None
    given = figures.answers.take("tax")
    if given == "within":
        return None
    is_bare = (best.role == "net" and found != "within") or (found == "on top" and best.points < 9)
    if given == "on top" or is_bare:
        return _with_tax(best, taxes, figures, given=bool(given), found=found)
    expression = " + ".join(written(one.name) for one in [best, *taxes])
    options = (
        Option("within", f"{best.name} is what was paid"),
        Option("on top", f"{expression} was paid"),
    )
    text = f"Is {taxes[0].name} part of {best.name}, or does it come on top?"
    question = Question("tax", text, options)
    evidence = f"{best.name} has a tax beside it"
    return Total(question=question, evidence=evidence, money=tuple(figures.money))


def _taxes_beside(best: Money, figures: Amounts) -> list[Money]:
    """Return the taxes that stand where the amount does."""
    return [
        one
        for one in figures.money
        if one.role == "tax"
        and one.is_head == best.is_head
        and any(one.numbers)
        and one.name != best.name
    ]


def _with_tax(
    best: Money, taxes: list[Money], figures: Amounts, *, given: bool, found: str
) -> Total:
    """Add the taxes to an amount without them."""
    added = {"expr": " + ".join(written(one.name) for one in [best, *taxes]), "empty": "0"}
    if best.is_head:
        added["take"] = "first"
    how = ", as the usual rates show" if found else " by its name"
    why = "as answered" if given else f"{best.name} is without tax{how}"
    confidence = "high" if given or found else "medium"
    names = tuple(one.name for one in [best, *taxes])
    line = None if best.is_head else added
    return Total(added, why, confidence, names, line_amount=line, money=tuple(figures.money))


def _is_gross(one: Money) -> bool:
    return one.role == "gross" or one.column.says("gross", least=9)


def settle_discount(
    best: Money, figures: Amounts, related: list[Relation], multiplied: list[Product]
) -> Total | None:
    """Ask where rows prove that an amount is the one before a discount."""
    discounts = [
        one
        for one in figures.money
        if one.role in {"discount", "discount-rate"} and not one.is_head and any(one.numbers)
    ]
    used = {name for product in multiplied for name in product.uses}
    used |= {name for relation in related for name, _ in relation.parts}
    open_ones = [one for one in discounts if one.name not in used]
    if not open_ones or not multiplied:
        return None
    discount = open_ones[0]
    counting = [row for row in figures.rows if discount.numbers[row]]
    plain = [row for row in counting if best.numbers[row] is not None]
    if not plain:
        return None
    given = figures.answers.take("discount")
    if given == "off":
        return None
    text = f"{written(best.name)} * (1 - {written(discount.name)})"
    if discount.role == "discount":
        mark = "+" if discount.column.has_negative else "-"
        text = f"{written(best.name)} {mark} {written(discount.name)}"
    money = tuple(figures.money)
    if given == "subtract":
        made = {"expr": text, "empty": "0"}
        names = (best.name, discount.name)
        return Total(made, "as answered", "high", names, line_amount=made, money=money)
    options = (
        Option("subtract", f"{text} was paid"),
        Option("off", f"{best.name} was paid, the discount is off already"),
    )
    text = (
        f"{best.name} is {multiplied[0].text} also where there is a {discount.name}. What was paid?"
    )
    evidence = f"{best.name} is the amount before {discount.name}"
    return Total(question=Question("discount", text, options), evidence=evidence, money=money)


def ask_cents(best: Money) -> Question | None:
    """Ask where whole numbers look like cents."""
    numbers = [abs(number) for number in best.numbers if number]
    if not best.column.is_whole or len(numbers) < 12 or best.column.places:
        return None
    if _WHOLE_CURRENCY.search(words.fold(best.name)) or any(
        map(_IN_UNITS.search, best.column.seen)
    ):
        return None
    odd = sum(number % 5 != 0 for number in numbers) / len(numbers)
    middle = sorted(numbers)[len(numbers) // 2]
    if middle < 150 or odd < 0.2:
        return None
    return Question(
        "cents",
        f"{best.name} holds whole numbers such as {int(numbers[0])}: are these cents?",
        (Option("cents", "hundredths of the currency"), Option("whole", "the currency's own unit")),
    )
