"""What a transaction has besides its required columns, and its lines and tenders.

Promises that an optional column is mapped only if every cell of it can be read, so that none of
them can make a record faulty.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tilldrop.guess import words
from tilldrop.zones import CURRENCIES

if TYPE_CHECKING:
    from tilldrop.guess.draft import Draft
    from tilldrop.guess.money import Money
    from tilldrop.guess.sample import Column

_TEXTS = (
    ("register_id", "register", 8),
    ("operator_id", "operator", 8),
    ("shopper_id", "shopper", 6),
    ("channel", "channel", 7),
)
_AMOUNTS = (
    ("net", "net"),
    ("tax", "tax"),
    ("discount", "discount"),
    ("tip", "tip"),
    ("shipping", "shipping"),
    ("service_charge", "service"),
    ("refunded", "refunded"),
)
_LINE_TEXTS = (
    ("product_id", "product", 7),
    ("sku", "sku", 9),
    ("barcode", "barcode", 9),
    ("description", "description", 6),
    ("category", "category", 7),
)
_SIGNS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}


def put_extras(
    draft: Draft, columns: tuple[Column, ...], money: tuple[Money, ...], taken: set[str]
) -> None:
    """Map what is beyond doubt. taken: columns that other targets have."""
    for target, role, least in _TEXTS:
        if target in draft.map:
            continue
        column = _best(columns, role, least, taken)
        if column is not None:
            draft.put(target, _text(column, target), "by its name", "high")
            taken.add(column.name)
    tender = _best(columns, "tender", 8, taken)
    if tender is not None and len(tender.seen) <= 60 and not tender.is_number:
        draft.put("tender", tender.name, f"{len(tender.seen)} values", "high")
    _put_amounts(draft, money, taken)
    currency = next(
        (
            one
            for one in columns
            if one.says("currency", least=9) and set(one.seen) <= CURRENCIES and one.seen
        ),
        None,
    )
    if currency is not None:
        if currency.is_full:
            draft.put("currency", currency.name, f"{', '.join(sorted(currency.seen)[:5])}", "high")
        draft.currency = next(iter(currency.seen)) if len(currency.seen) == 1 else ""
    else:
        draft.currency = _sign(money)


def _put_amounts(draft: Draft, money: tuple[Money, ...], taken: set[str]) -> None:
    for target, role in _AMOUNTS:
        ones = [
            one
            for one in money
            if one.role == role and one.name not in taken and not one.column.unread
        ]
        if len(ones) != 1 or any(not _is_money(one) for one in ones):
            continue
        one = ones[0]
        source: object = one.name
        if one.is_head:
            source = {"column": one.name, "take": "first"}
        draft.put(target, source, "by its name", "high")


def _is_money(one: Money) -> bool:
    return one.points >= 7 and one.role != "rate"


def _best(columns: tuple[Column, ...], role: str, least: int, taken: set[str]) -> Column | None:
    maybe = [
        one
        for one in columns
        if one.strength(role) >= least
        and not one.is_empty
        and one.name not in taken
        and not one.dates
        and not one.places
        and one.name
        and not (role == "operator" and one.says("shopper", "category"))
    ]
    return max(maybe, key=lambda one: (one.strength(role), -one.at), default=None)


def _text(column: Column, target: str) -> object:
    """Return the source of an id, cleaned where numbers were written as decimals."""
    values = list(column.seen)[:2000]
    if (
        target == "shopper_id"
        and values
        and all(re.fullmatch(r"\d+\.0", value) for value in values)
    ):
        return {"column": column.name, "match": r"(\d+)\.0"}
    if target == "shopper_id" and column.seen.get("0", 0) > 0.02 * column.filled:
        return {"column": column.name, "match": r"0*([1-9]\w*)"}
    return column.name


def _sign(money: tuple[Money, ...]) -> str:
    """Return the currency whose sign stands in the amounts, "" if none does."""
    for one in money:
        for value in list(one.column.seen)[:20]:
            for sign, code in _SIGNS.items():
                if sign in value:
                    return code
    return ""


def put_lines(
    draft: Draft,
    columns: tuple[Column, ...],
    money: tuple[Money, ...],
    amount: object,
    where: dict[str, list[str]],
) -> None:
    """Add the section of line items, if the rows name products."""
    section: dict[str, object] = {}
    used: set[str] = set()
    for target, role, least in _LINE_TEXTS:
        column = _best(columns, role, least, used)
        if column is not None and column.says("category", least=7) == (target == "category"):
            section[target] = column.name
            used.add(column.name)
    if not {"product_id", "sku", "barcode", "description"} & section.keys():
        return
    for target, role, places in (("quantity", "quantity", 3), ("unit_price", "unit-price", 9)):
        ones = [
            one
            for one in money
            if one.role == role and not one.column.unread and one.column.places <= places
        ]
        if ones:
            section[target] = max(ones, key=lambda one: one.points).name
    source = amount
    if isinstance(source, dict):
        source = {key: value for key, value in source.items() if key != "take"}
    if source:
        section["amount"] = source
    if where:
        section["where"] = where
    draft.sections.append(("line_items", section))


def put_tenders(
    draft: Draft, columns: tuple[Column, ...], amount: object, where: dict[str, list[str]]
) -> bool:
    """Add the section of payments where each row is one; tell whether it is."""
    tender = _best(columns, "tender", 8, set())
    if tender is None or not amount:
        return False
    section: dict[str, object] = {"method": tender.name, "amount": amount}
    if where:
        section["where"] = where
    draft.sections.append(("tenders", section))
    return True


def is_itemised(columns: tuple[Column, ...]) -> bool:
    """Tell whether rows name products."""
    return any(
        one.says("product", "sku", "barcode", "description", least=7)
        and not one.is_empty
        and not words.says(one.name, "tender", least=8)
        for one in columns
    )
