"""Which amount is a transaction's total, by arithmetic where there is any.

Promises: figures that stand in every row of a transaction are not summed; an amount without its
tax is not taken for one with it; where two amounts are as likely, it asks.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilldrop.guess import proofs
from tilldrop.guess.amounts import Amounts, Total, ask_total
from tilldrop.guess.doubts import ask_cents, settle_discount, settle_tax
from tilldrop.guess.draft import Option, Question
from tilldrop.guess.made_up import make_total
from tilldrop.guess.money import Money, find_money, shared
from tilldrop.guess.proofs import Product, Relation, written

if TYPE_CHECKING:
    from tilldrop.guess.draft import Answers
    from tilldrop.guess.sample import Column

_FINAL = ("total", "line-amount", "gross", "net")
_ADDED = ("tax", "discount", "tip", "shipping", "service", "rounding", "refunded")
_SURE = 8
_CLEAR = 2


def find_total(columns: tuple[Column, ...], groups: list[list[int]], answers: Answers) -> Total:
    """Find the total. groups: rows of every transaction, all of one row where rows are such."""
    several = [rows_of for rows_of in groups if len(rows_of) > 1]
    money = find_money(columns, several)
    looked = set(proofs.thin(len(groups)))
    some = [group for at, group in enumerate(groups) if at in looked]
    figures = Amounts(
        money,
        sorted(row for group in some for row in group)[: 2 * proofs.MOST_ROWS],
        [group[0] for group in some],
        some,
        bool(several),
        answers,
        _labels(columns),
    )
    given = answers.take("total")
    if given is not None:
        return _answered(given, columns, figures)
    return _chosen(_without_running(figures))


def _labels(columns: tuple[Column, ...]) -> list[str]:
    """Return what was sold, by row."""
    for role in ("sku", "product", "description"):
        for column in columns:
            if column.strength(role) >= 6 and column.is_full and len(column.seen) < column.filled:
                return column.cells
    return []


def _answered(given: str, columns: tuple[Column, ...], figures: Amounts) -> Total:
    """Take the column or expression that was said."""
    names = {column.name.casefold(): column for column in columns}
    column = names.get(given.strip().casefold())
    money = next((one for one in figures.money if column and one.name == column.name), None)
    if column is None:
        made = {"expr": given, "empty": "0"}
        return Total(made, "as answered", "high", line_amount=made, money=tuple(figures.money))
    source: object = column.name
    if figures.grouped and money and money.is_head:
        source = {"column": column.name, "take": "first"}
    line = column.name if not money or not money.is_head else None
    return Total(
        source, "as answered", "high", (column.name,), line_amount=line, money=tuple(figures.money)
    )


def _without_running(figures: Amounts) -> Amounts:
    """Leave out columns that are the running sum of another."""
    amounts = [one for one in figures.money if one.role not in {"quantity", "unit-price", "rate"}]
    running = set()
    for one in amounts:
        if one.role in {"tax", "discount", "tip"}:
            continue
        numbers = one.numbers[: proofs.MOST_ROWS]
        for other in amounts:
            if other is not one and proofs.is_running(numbers, other.numbers[: proofs.MOST_ROWS]):
                running.add(one.name)
    kept = [one for one in figures.money if one.name not in running]
    return replace(figures, money=kept)


def _chosen(figures: Amounts) -> Total:
    finals = [one for one in figures.money if one.role in _FINAL]
    heads = [one for one in finals if one.is_head]
    lines = [one for one in finals if not one.is_head]
    if figures.grouped and heads:
        return _of_heads(heads, lines, figures)
    if finals:
        return _of_amounts(finals, figures)
    return make_total(figures)


# Figures of the whole transaction, in each or the first of its rows


def _of_heads(heads: list[Money], lines: list[Money], figures: Amounts) -> Total:
    ranked = _ranked(heads, _head_relations(figures), figures.heads)
    best = ranked[0][1]
    line, proof = _sum_proof(best, lines, figures)
    where = "in its first row alone" if best.run == "first" else "in each of its rows"
    evidence = f"{best.name} stands {where}, so it is taken once"
    related = [one for one in _head_relations(figures) if one.whole == best.name]
    if proof:
        evidence += f"; {proof}"
    if related:
        evidence += f"; it is {_told(related[0])}"
    rival = _rival(ranked, figures.heads)
    if rival and not proof:
        return ask_total(ranked, figures, evidence)
    if _low_name(best) and not (proof or related):
        return ask_total(ranked, figures, evidence)
    doubt = None if related or best.role == "total" else settle_tax(best, figures, figures.heads)
    if doubt:
        return doubt
    sure = bool(proof or related) or best.points >= 9
    return Total(
        {"column": best.name, "take": "first"},
        evidence,
        "high" if sure else "medium",
        (best.name,),
        line_amount=line,
        money=tuple(figures.money),
    )


def _low_name(one: Money) -> bool:
    return one.role in {"net", "paid"} or one.points < 7


def _head_relations(figures: Amounts) -> list[Relation]:
    heads = [one for one in figures.money if one.is_head]
    wholes = [one for one in heads if one.role in _FINAL]
    parts = [one for one in heads if one.role in _ADDED]
    return proofs.find_relations(wholes, parts, figures.heads)


def _sum_proof(head: Money, lines: list[Money], figures: Amounts) -> tuple[object, str]:
    """Look for the amount of a line whose sum is the head."""
    totals = [head.numbers[group[0]] for group in figures.groups]
    extras = [
        one
        for one in figures.money
        if one.role in {"tax", "discount", "discount-rate"} and not one.is_head
    ]
    options: list[tuple[object, str, list[float | None]]] = []
    for line in lines:
        options.append((line.name, f"the sum of {line.name}", line.numbers))
        for extra in extras:
            if extra.role in {"tax", "discount"}:
                sign = 1 if extra.role == "tax" else -1
                made = proofs.add(line.numbers, [(extra.numbers, sign)])
                mark = "+" if sign > 0 else "-"
                text = f"{written(line.name)} {mark} {written(extra.name)}"
                options.append(({"expr": text}, f"the sum of {text}", made))
    everything = list(range(len(head.numbers)))
    for quantity in shared(figures.money, ("quantity",)):
        for price in shared(figures.money, ("unit-price",)):
            for text, made, _ in proofs.forms(quantity, price, extras, everything):
                options.append(({"expr": text}, f"the sum of {text}", made))
    for source, text, numbers in options:
        sums = [sum(numbers[row] or 0.0 for row in group) for group in figures.groups]
        share = proofs.agrees(totals, list(sums), 0.05)
        if share >= 0.95:
            return source, f"it is {text} ({share:.0%} of the transactions)"
    return (lines[0].name if lines else None), ""


# Amounts of rows


def _of_amounts(finals: list[Money], figures: Amounts) -> Total:
    rows = figures.rows
    extras = [
        one for one in figures.money if one.role in {*_ADDED, "discount-rate"} and not one.is_head
    ]
    relations = proofs.find_relations(finals, shared(extras, _ADDED), rows)
    products = proofs.find_products(
        shared(figures.money, ("quantity",)),
        shared(figures.money, ("unit-price",)),
        extras,
        finals,
        rows,
    )
    ranked = _ranked(
        finals, relations, rows, {one.amount for one in products}, grouped=figures.grouped
    )
    best = ranked[0][1]
    related = [one for one in relations if one.whole == best.name]
    multiplied = [one for one in products if one.amount == best.name]
    evidence = _row_evidence(best, related, multiplied, grouped=figures.grouped)
    weak = best.points < 7 and not (related or multiplied)
    weak = weak or _may_count(best, figures, related, multiplied)
    if best.role == "paid" or weak or _rival(ranked, rows):
        return ask_total(ranked, figures, evidence)
    if best.alike and not multiplied:
        return _of_alike(best, figures)
    settled = settle_tax(best, figures, rows, related, multiplied) or settle_discount(
        best, figures, related, multiplied
    )
    if settled:
        return settled
    return _taken(best, figures, evidence, related, multiplied)


def _of_alike(best: Money, figures: Amounts) -> Total:
    """Ask whether an amount that is the same in all rows of a sale is the sale's."""
    answer = figures.answers.take("take")
    if answer is None and figures.answers.take("repeats") == "lines":
        answer = "sum"
    money = tuple(figures.money)
    if answer in {"first", "sum"}:
        source = {"column": best.name, "take": answer}
        line = best.name if answer == "sum" else None
        return Total(source, "as answered", "high", (best.name,), line_amount=line, money=money)
    several = sum(len(group) > 1 for group in figures.groups)
    text = f"{best.name} is the same in all rows of each of the {several} sales that have several. What is it?"
    options = (
        Option("first", "the whole sale's: it counts once"),
        Option("sum", "each row's: they are added"),
    )
    return Total(question=Question("take", text, options), evidence=text, money=money)


def _taken(
    best: Money,
    figures: Amounts,
    evidence: str,
    related: list[Relation],
    multiplied: list[Product],
) -> Total:
    """Take an amount that nothing is to be added to or taken off."""
    whole = ask_cents(best)
    if whole and figures.answers.take("cents") is None:
        return Total(question=whole, evidence=evidence, money=tuple(figures.money))
    returned = _given_back(best, figures)
    if returned is not None:
        return returned
    sure = best.points >= _SURE or related or multiplied
    source: object = best.name
    if whole and figures.answers.take("cents") == "cents":
        source = {"expr": f"{written(best.name)} * 0.01"}
    odd = not multiplied and _is_contradicted(best, figures)
    confidence = "high" if sure and best.points >= 7 and not odd else "medium"
    evidence += f"; yet it is not {odd}" if odd else ""
    return Total(
        source, evidence, confidence, (best.name,), line_amount=source, money=tuple(figures.money)
    )


def _may_count(
    best: Money, figures: Amounts, related: list[Relation], multiplied: list[Product]
) -> bool:
    """Tell whether an amount may be a count: small whole numbers beside other money."""
    numbers = sorted(abs(number) for number in best.numbers if number)
    if related or multiplied or not best.column.is_whole or not numbers or best.column.places:
        return False
    others = [
        one for one in figures.money if one is not best and one.role not in {"quantity", "rate"}
    ]
    return numbers[len(numbers) // 2] <= 20 and bool(others)


def _given_back(best: Money, figures: Amounts) -> Total | None:
    """Take off what is given back in a column of its own, in rows without a sale."""
    for other in figures.money:
        if other.role != "refunded" or other.run != best.run:
            continue
        rows = [row for row in range(len(other.numbers)) if other.numbers[row]]
        alone = [row for row in rows if not best.numbers[row]]
        if not rows or len(alone) < 0.95 * len(rows):
            continue
        mark = "+" if other.column.has_negative else "-"
        made = {"expr": f"{written(best.name)} {mark} {written(other.name)}", "empty": "0"}
        text = f"{other.name} stands in rows in which {best.name} is nothing, so these are refunds"
        names = (best.name, other.name)
        return Total(made, text, "medium", names, line_amount=made, money=tuple(figures.money))
    return None


def _is_contradicted(best: Money, figures: Amounts) -> str:
    """Return quantity times price where there are such columns that should make the amount."""
    quantities = shared(figures.money, ("quantity",))
    prices = shared(figures.money, ("unit-price",))
    if len(quantities) == 1 and len(prices) == 1 and prices[0].points >= _SURE and not best.is_head:
        return f"{written(quantities[0].name)} * {written(prices[0].name)}"
    return ""


def _row_evidence(
    best: Money, related: list[Relation], multiplied: list[Product], *, grouped: bool
) -> str:
    text = f"{best.name} is " + (
        "summed over the rows of a transaction" if grouped else "the amount by its name"
    )
    if related:
        text += f"; it is {_told(related[0])}"
    if multiplied:
        text += f"; it is {multiplied[0].text} in {multiplied[0].share:.1%} of the rows"
    return text


def _told(relation: Relation) -> str:
    parts = "".join(f" {'+' if sign > 0 else '-'} {name}" for name, sign in relation.parts)
    return f"{relation.base}{parts} in {relation.share:.1%} of the rows"


def _ranked(
    finals: list[Money],
    relations: list[Relation],
    rows: list[int],
    multiplied: set[str] | None = None,
    *,
    grouped: bool = False,
) -> list[tuple[float, Money]]:
    """Order amounts by how likely they are the total."""
    scored = []
    for one in finals:
        points: float = {"net": 3.0, "gross": 8.0, "paid": 2.0}.get(one.role, one.points)
        if one.role == "line-amount" and not grouped:
            points -= 2
        if grouped and one.role == "line-amount":
            points += 1
        points += 3 * any(relation.whole == one.name for relation in relations)
        points -= 5 * any(relation.base == one.name for relation in relations)
        points += 1.5 * (one.name in (multiplied or set()))
        filled = sum(one.numbers[row] is not None for row in rows) / max(1, len(rows))
        points -= 6 * (filled < 0.5)
        scored.append((points, one))
    return sorted(scored, key=lambda pair: -pair[0])


def _rival(ranked: list[tuple[float, Money]], rows: list[int]) -> Money | None:
    """Return the second best if it is about as good and differs."""
    if len(ranked) < 2:
        return None
    (first, best), (second, other) = ranked[:2]
    if first - second >= _CLEAR:
        return None
    same = proofs.agrees(proofs.at(best.numbers, rows), proofs.at(other.numbers, rows))
    return other if same < 0.999 else None


# No amount: quantity times price
