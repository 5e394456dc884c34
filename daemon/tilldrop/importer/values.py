"""What a cell means: blanks and numbers. The reference that both lanes follow.

Promises exact decimals, never floats, and that a cell is either wholly read or not at all. The
patterns made here are in the syntax that Python's `re` and RE2 (DuckDB) share, so that both
lanes accept the same cells. Never raises on a customer's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, localcontext
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from tilldrop.importer.cards import mask

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

SEEN_CHARS = 60
MINOR_LIMIT = 10**15  # an amount at or above it is a mistake, and sums of them fit 64 bits
MAX_DIGITS = 30  # before and after the decimal sign; longer is no amount

# A blank, the breaks, and the blanks that spreadsheets put between thousands.
BLANKS = " \t\n\r\v\f\u00a0\u202f\u2007\u2009"
_GAP = "[ \t\u00a0\u202f\u2007\u2009]*"
_SIGN = "[+\\-\u2212]"
_MONEY_SIGNS = "[$\u00a2-\u00a5\u20a0-\u20cf\u0e3f\ufdfc]"
_MONEY_WORDS = ("[A-Z]{1,2}[$]", "kr", "z\u0142", "K\u010d", "Ft", "lei", "Rs", "Fr")
_THOUSANDS = {" ": "[ \u00a0\u202f\u2007\u2009]", "'": "['\u2019]"}

# Every step of an expression stays exact: 30 digits a factor leave room for 60 factors.
_EXACT = Context(prec=4000, traps=[Inexact, InvalidOperation])

_PLAIN = re.compile(f"-?[0-9]{{1,{MAX_DIGITS}}}(?:[.][0-9]{{1,{MAX_DIGITS}}})?")
_ROUNDING = Context(prec=4000, traps=[InvalidOperation])


def bare(cell: str) -> str:
    """Return a cell without outer blanks."""
    return cell.strip(BLANKS)


def shorten(text: str) -> str:
    """Make a cell fit to be shown: cards masked, control characters escaped, 60 characters."""
    # Masked whole: part of a card number would not be known as one. Long cells are cut first,
    # well behind what is shown.
    shown = mask(text[: 4 * SEEN_CHARS])
    shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    return shown if len(shown) <= SEEN_CHARS else shown[: SEEN_CHARS - 1] + "\u2026"


def _escaped(char: str) -> str:
    return char if char == "\u00a0" else char.encode("unicode_escape").decode("ascii")


# Numbers


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How a feed writes numbers. decimal: "." or ",". thousands: "" or one character."""

    decimal: str
    thousands: str
    currency: str

    @cache  # noqa: B019  there are as many as mappings
    def pattern(self, whole: int = MAX_DIGITS, fraction: int = MAX_DIGITS) -> str:
        """Return the pattern of a number with at most so many digits; outer blanks removed."""
        mark = re.escape(self.decimal)
        digits = f"[0-9]{{1,{whole}}}"
        if self.thousands:
            group = _THOUSANDS.get(self.thousands, re.escape(self.thousands))
            grouped = f"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}}){{1,{whole // 3 - 1}}}"
            digits = f"(?:{digits}|{grouped})"
        number = f"(?:{digits}(?:{mark}[0-9]{{0,{fraction}}})?|{mark}[0-9]{{1,{fraction}}})"
        code = "".join(f"[{letter}{letter.lower()}]" for letter in self.currency)
        money = f"(?:{_MONEY_SIGNS}|{'|'.join((code, *_MONEY_WORDS))})"
        forms = (
            f"(?:{_SIGN}{_GAP})?(?:{money}{_GAP})?{number}",
            f"(?:{_SIGN}{_GAP})?{number}{_GAP}{money}",
            f"{money}{_GAP}{_SIGN}{_GAP}{number}",
            f"(?:{money}{_GAP})?{number}{_GAP}{_SIGN}",
            f"{number}{_GAP}{_SIGN}{_GAP}{money}",
            f"{number}{_GAP}{money}{_GAP}{_SIGN}",
            f"(?:{money}{_GAP})?[(]{_GAP}{number}{_GAP}[)]",
            f"[(]{_GAP}{number}{_GAP}[)]{_GAP}{money}",
            f"[(]{_GAP}{money}{_GAP}{number}{_GAP}[)]",
            f"[(]{_GAP}{number}{_GAP}{money}{_GAP}[)]",
        )
        return "|".join(forms)

    def read(self, cell: str) -> Decimal | None:
        """Return the number in a cell, None if it is not one. cell: outer blanks removed."""
        if self.decimal == "." and _PLAIN.fullmatch(cell):
            return Decimal(cell)
        if not compiled(self.pattern()).fullmatch(cell):
            return None
        digits = "".join(char for char in cell if char in "0123456789" or char == self.decimal)
        number = Decimal(digits.replace(self.decimal, "."))
        return -number if any(sign in cell for sign in "-\u2212(") else number


@lru_cache(maxsize=20_000)  # amounts are few, and this is called for every one
def to_minor(amount: Decimal, minor_digits: int) -> int | None:
    """Round to minor units, half away from zero; None if that is out of range."""
    if amount.adjusted() > MAX_DIGITS:
        return None
    minor = int(amount.scaleb(minor_digits, _ROUNDING).to_integral_value(ROUND_HALF_UP, _ROUNDING))
    return minor if -MINOR_LIMIT < minor < MINOR_LIMIT else None


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern once."""
    return re.compile(pattern)


def exactly() -> AbstractContextManager[Context]:
    """Let all arithmetic within be exact; past 4000 digits it raises decimal.Inexact."""
    return localcontext(_EXACT)


def compute(tree: tuple[object, ...], value_of: Callable[[str], Decimal]) -> Decimal:
    """Evaluate an `expression.Tree` exactly.

    value_of: a column's value. Raises decimal.Inexact past 4000 digits.
    """
    with localcontext(_EXACT):
        return _evaluate(tree, value_of)


def _evaluate(tree: tuple[object, ...], value_of: Callable[[str], Decimal]) -> Decimal:
    match tree:
        case ("number", str(text)):
            return Decimal(text)
        case ("column", str(name)):
            return value_of(name)
        case ("negate", tuple(operand)):
            return -_evaluate(operand, value_of)
        case ("+", tuple(left), tuple(right)):
            return _evaluate(left, value_of) + _evaluate(right, value_of)
        case ("-", tuple(left), tuple(right)):
            return _evaluate(left, value_of) - _evaluate(right, value_of)
        case ("*", tuple(left), tuple(right)):
            return _evaluate(left, value_of) * _evaluate(right, value_of)
    raise ValueError(tree)
