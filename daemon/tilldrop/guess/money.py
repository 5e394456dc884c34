"""The columns of amounts: what each may be by its name, and how it runs through a transaction.

Owns `Money`. Promises that numbers which are ids, codes, dates or places are no amounts. Never
chooses among amounts; `totals` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tilldrop.guess.words import fold, strength

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

Run = Literal["row", "varies", "repeated", "first"]

_NO_AMOUNT = re.compile(
    r"\b(?:year|month|day|hour|minute|week|quarter|age|zip|postal|postcode|plz|latitude|longitude"
    r"|lat|lng|lon|weight|grams|kg|size|square|feet|port|version|table|covers|guests|jahr|monat"
    r"|stunde|annee|mois|ano|mes|anno|mese|jaar|maand|rating|stars|number of (?:guests|covers))\b"
)
_AFTER = re.compile(r"\b(?:after|discounted|nach|apres|tras|dopo|apos|na)\b.*|\bdiscounted\b")
_NUMBERS = re.compile(
    r"\b(?:id|ids|code|nr|no|num|number|nummer|numero|key|uuid|guid|phone|index|rank|team|barcode|ean)$"
    r"|^(?:id|no|nr|num|number|code)\b"
)
_OF_RATE = re.compile(r"\d ?%")  # what is taxed at one of several rates: a part
# Where a name means two of these equally, the one that stands first is meant.
_ASIDE = ("cost", "balance", "refunded", "change", "rounding", "tip", "fee", "shipping", "service")
_MEANT = ("line-amount", "total", "quantity", "unit-price", "net", "gross", "paid")
_NOT_MONEY = ("location", "register", "operator", "shopper", "product", "barcode", "sku", "line")
FEW_GROUPS = 3


@dataclass(frozen=True, slots=True)
class Money:
    """A column of numbers. role: by name, "" if it says nothing. points: how surely.

    run: "row" where rows are transactions; else whether its value varies within a transaction,
    is repeated in each of its rows or stands in its first row alone.
    """

    column: Column
    role: str
    points: int
    run: Run = "row"
    alike: bool = False  # the same in all rows of each transaction, which may be by chance

    @property
    def name(self) -> str:
        """Return the column's name."""
        return self.column.name

    @property
    def numbers(self) -> list[float | None]:
        """Return the column's numbers by row."""
        return self.column.numbers

    @property
    def is_head(self) -> bool:
        """Tell whether it is a figure of the transaction as a whole."""
        return self.run in {"repeated", "first"}


def role_of(name: str, column: Column) -> tuple[str, int]:  # noqa: PLR0911  a list of precedences
    """Return what a column of numbers is by its name, and how surely; "" if it does not say."""
    points = {role: strength(role, name) for role in (*_ASIDE, *_MEANT, "tax", "discount", "rate")}
    after = bool(_AFTER.search(fold(name)))
    if _OF_RATE.search(fold(name)):
        return "rate", 9
    if points["rate"] >= 8 and not points["total"] >= 9 and "tax" not in fold(name)[:4]:
        return ("discount-rate", 9) if points["discount"] else ("rate", 9)
    if points["discount"] and not after:
        small = all(number is None or 0 <= number <= 1 for number in column.numbers)
        return ("discount-rate" if small and column.places else "discount", points["discount"])
    if (
        points["unit-price"] >= 8
        and points["total"] < 9
        and points["line-amount"] < 9
        and not points["cost"]
    ):
        return "unit-price", points["unit-price"]
    if points["tax"] and points["net"]:
        return "net", 9
    if points["tax"] and points["gross"]:
        return "total", 9
    if points["tax"]:
        return ("rate", 9) if points["rate"] and not column.places else ("tax", points["tax"])
    aside = max(_ASIDE, key=lambda role: points[role])
    meant = max(_MEANT, key=lambda role: points[role])
    if points[aside] >= 7 and points[aside] >= points[meant] - 2:
        return aside, points[aside]
    if points["net"] >= 9 and points["total"] < 9:
        return "net", points["net"]
    return (meant, points[meant]) if points[meant] else ("", 0)


def find_money(columns: tuple[Column, ...], groups: list[list[int]]) -> list[Money]:
    """Return all columns that may be amounts, quantities or prices.

    groups: the rows of each transaction that has several, [] where rows are transactions.
    """
    found = []
    for column in columns:
        if not column.is_number or (not column.is_varied and column.strength("total") < 7):
            continue
        role, points = role_of(column.name, column)
        if column.is_whole and _NUMBERS.search(fold(column.name)) and role != "quantity":
            continue
        if _NO_AMOUNT.search(fold(column.name)) and points < 9:
            continue
        other = max(strength(one, column.name) for one in _NOT_MONEY)
        numbering = max(other, column.strength("transaction") if column.is_whole else 0)
        if numbering >= 6 and numbering >= points:
            continue
        if role == "quantity" and not column.is_whole and column.places > 3:
            role = ""
        run = _run(column, groups)
        found.append(Money(column, role, points, run, run == "varies" and _alike(column, groups)))
    return found


def _alike(column: Column, groups: list[list[int]]) -> bool:
    return bool(groups) and all(len({column.cells[row] for row in rows}) == 1 for rows in groups)


def _run(column: Column, groups: list[list[int]]) -> Run:
    """Tell how a column runs through the rows of a transaction."""
    if len(groups) < 1:
        return "row"
    first = repeated = filled = 0
    for rows in groups:
        cells = [column.cells[row] for row in rows]
        if not any(cells):
            continue
        filled += 1
        first += bool(cells[0]) and not any(cells[1:])
        repeated += len(set(cells)) == 1
    if not filled:
        return "varies"
    if first >= 0.95 * filled:
        return "first"
    # A coincidence in few groups proves nothing, unless the name says it.
    enough = FEW_GROUPS if column.strength("total") >= 9 else 4 * FEW_GROUPS
    if repeated >= 0.99 * filled and (filled >= enough or column.strength("total") >= 10):
        return "repeated"
    return "varies"


def shared(ones: list[Money], roles: tuple[str, ...]) -> list[Money]:
    """Return those of certain roles."""
    return [one for one in ones if one.role in roles]
