"""A total where no column is named as one: quantity times price, or the one column of amounts."""

from __future__ import annotations

from tilldrop.guess import proofs
from tilldrop.guess.amounts import Amounts, Total, ask_total
from tilldrop.guess.draft import Option, Question
from tilldrop.guess.money import Money, shared
from tilldrop.guess.proofs import written


def make_total(figures: Amounts) -> Total:
    """Make a total of quantity and price, or ask."""
    quantities = shared(figures.money, ("quantity",))
    prices = shared(figures.money, ("unit-price",))
    if not prices:
        return _unnamed(figures)
    price = max(prices, key=lambda one: one.points)
    if not quantities:
        return _of_prices(price, figures)
    quantity = max(quantities, key=lambda one: one.points)
    return _of_products(price, quantity, figures)


def _of_products(price: Money, quantity: Money, figures: Amounts) -> Total:
    """Multiply quantity and price, unless the price is a line's; ask of what is beside them."""
    if proofs.is_of_line(price.numbers, quantity.numbers, figures.labels):
        return _of_lines(price, quantity, figures)
    extras = [
        one
        for one in figures.money
        if one.role in {"discount-rate", "discount", "tax"} and any(one.numbers) and not one.is_head
    ]
    expression = f"{written(quantity.name)} * {written(price.name)}"
    names = [quantity.name, price.name]
    confidence, why = "high", f"there is no total; {expression} is what a row comes to"
    rates = [one for one in extras if one.role == "discount-rate"]
    if len(rates) == 1:
        expression += f" * (1 - {written(rates[0].name)})"
        names.append(rates[0].name)
        confidence = "medium"
        why += f"; {rates[0].name} holds shares between 0 and 1, which are taken off"
    open_ones = [one for one in extras if one.role in {"discount", "tax"}]
    for one in open_ones:
        answer = figures.answers.take(one.role)
        if answer is None:
            return _ask_extra(expression, one, figures)
        if answer in {"subtract", "on top"}:
            minus = one.role == "discount" and not one.column.has_negative
            expression += f" {'-' if minus else '+'} {written(one.name)}"
            names.append(one.name)
    source = {"expr": expression}
    if open_ones:
        source["empty"] = "0"
    return Total(
        source, why, confidence, tuple(names), line_amount=dict(source), money=tuple(figures.money)
    )


def _of_lines(price: Money, quantity: Money, figures: Amounts) -> Total:
    """Take a price that is the line's already."""
    text = f"{price.name} is the line's: it grows with {quantity.name} for the same goods"
    others = tuple(one for one in figures.money if one is not price)
    name = price.name
    return Total(name, text, "medium", (name,), line_amount=name, money=others)


def _ask_extra(expression: str, one: Money, figures: Amounts) -> Total:
    if one.role == "tax":
        question = Question(
            "tax",
            f"Is {one.name} part of {expression}, or does it come on top?",
            (
                Option("within", f"{expression} was paid"),
                Option("on top", f"{expression} + {written(one.name)} was paid"),
            ),
        )
    else:
        question = Question(
            "discount",
            f"Is {one.name} still to be taken off {expression}?",
            (Option("subtract", "yes"), Option("off", "no, the price is the one after it")),
        )
    return Total(question=question, evidence="there is no total", money=tuple(figures.money))


def _of_prices(price: Money, figures: Amounts) -> Total:
    others = [one for one in figures.money if one.role == "" and not one.column.is_whole]
    if others or price.points < 8:
        return ask_total([(0.0, one) for one in [price, *others]], figures, "there is no total")
    added = [one for one in shared(figures.money, ("shipping", "service")) if any(one.numbers)]
    if added:
        return _ask_added(price, added, figures)
    evidence = f"{price.name} is the only amount, and there is no quantity"
    return Total(
        price.name,
        evidence,
        "medium",
        (price.name,),
        line_amount=price.name,
        money=tuple(figures.money),
    )


def _ask_added(price: Money, added: list[Money], figures: Amounts) -> Total:
    """Ask whether what stands beside the only price was paid too."""
    every = " + ".join(written(one.name) for one in [price, *added])
    options = (Option(every, "all was paid to the shop"), Option(price.name, "the goods alone"))
    text = f"There is no total. Does {added[0].name} count as well as {price.name}?"
    question = Question("total", text, options, free=True)
    return Total(question=question, evidence="there is no total", money=tuple(figures.money))


def _unnamed(figures: Amounts) -> Total:
    """Choose among numbers whose names say nothing."""
    unknown = [one for one in figures.money if one.role in {"", "paid"}]
    amounts = [one for one in unknown if one.column.places == 2] or [
        one for one in unknown if one.column.places
    ]
    if not amounts:
        return Total(missing=True, evidence="no column holds amounts", money=tuple(figures.money))
    wholes = [one for one in unknown if one.column.is_whole]
    proven = proofs.find_products(wholes, amounts, [], amounts, figures.rows)
    if len({one.amount for one in proven}) == 1 and len(amounts) == 2:
        name = proven[0].amount
        evidence = f"{name} is {proven[0].text} in {proven[0].share:.1%} of the rows"
        money = tuple(figures.money)
        return Total(name, evidence, "medium", (name,), line_amount=name, unnamed=True, money=money)
    if len(amounts) == 1:
        name = amounts[0].name
        source: object = {"column": name, "take": "first"} if amounts[0].is_head else name
        return Total(
            source,
            f"{name} is the only column of amounts",
            "medium",
            (name,),
            unnamed=True,
            money=tuple(figures.money),
        )
    return ask_total([(0.0, one) for one in amounts], figures, "several columns hold amounts")
