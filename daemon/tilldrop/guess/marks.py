"""Numbers in a sample: which mark is the decimal one, over all columns together.

Promises that a mark is called certain only if some value can be read in no other way. Reading
itself is `importer.values`'s, so that a sample is read as a delivery will be.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.importer.values import NumberForm

if TYPE_CHECKING:
    from collections.abc import Iterable

_MONEY = r"(?:[A-Z]{0,3}[$]|[€£¥₹¢]|[A-Z]{3}|kr|zł|Kč|Ft|lei|Rs|Fr)\.?"
_SYMBOL = re.compile(r"[$€£¥₹]")
_SPACE = r"[ \u00a0\u202f\u2007\u2009]"
_SHAPE = re.compile(
    rf"[(]?{_SPACE}*[-+−]?{_SPACE}*(?:{_MONEY})?{_SPACE}*[-+−]?"
    rf"(?P<body>\d[\d.,'’ \u00a0\u202f\u2007\u2009]*\d|\d|[.,]\d+)[.,]?"
    rf"{_SPACE}*(?:{_MONEY})?{_SPACE}*[-+−)]?"
)
_ONE = re.compile(r"(\d*)([.,])(\d+)")
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:([.,'’ \u00a0\u202f\u2007\u2009])\d{3})(?:\1\d{3})*")
_GROUPED_FRACTION = re.compile(
    r"[1-9]\d{0,2}(?:([.,'’ \u00a0\u202f\u2007\u2009])\d{3})(?:\1\d{3})*([.,])\d+"
)
_BLANKS = " \u00a0\u202f\u2007\u2009"
_THOUSAND = 3


WHOLE = "all numbers are whole"


@dataclass(frozen=True, slots=True)
class Marks:
    """How numbers are written. certain: no other reading fits. doubt: what is not known."""

    decimal: str = "."
    thousands: str = ""
    certain: bool = True
    evidence: str = WHOLE
    doubt: str = ""


def body(value: str) -> str | None:
    """Return the digits and marks of what may be a number, None if it is none in any form."""
    if value.isdecimal() and value.isascii():
        return value
    found = _SHAPE.fullmatch(value)
    if found is None:
        return None
    text = found["body"]
    if text.isdecimal() or _ONE.fullmatch(text):
        return text
    return text if _GROUPED.fullmatch(text) or _GROUPED_FRACTION.fullmatch(text) else None


def decide(columns: Iterable[Counter[str]]) -> Marks:
    """Find the marks from the values of all columns that are numbers in some form.

    Each column: value -> how often; only columns of which nearly all values are numbers.
    """
    proofs: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    ambiguous: Counter[str] = Counter()
    always: list[str] = []
    for seen in columns:
        unproven = 0
        for value, times in seen.items():
            text = body(value)
            if text is None or text.isdecimal():
                continue
            proof = _proof(text)
            if proof:
                proofs[proof] += times
                examples.setdefault(proof, value)
            else:
                unproven += times
                ambiguous[next(char for char in text if not char.isdecimal())] += times
        if seen and unproven == seen.total():
            always.append(next(iter(seen)))
    return _conclude(proofs, examples, ambiguous, always)


def _proof(text: str) -> tuple[str, str] | None:
    """Return (decimal, thousands) that a value proves; "" for a mark it says nothing of."""
    both = _GROUPED_FRACTION.fullmatch(text)
    if both and both[1] != both[2]:
        return both[2], _thousands(both[1])
    one = _ONE.fullmatch(text)
    if one and (len(one[3]) != _THOUSAND or len(one[1]) > _THOUSAND or one[1] in {"", "0"}):
        return one[2], ""
    if one and one[1].startswith("0"):
        return one[2], ""
    grouped = _GROUPED.fullmatch(text)
    if grouped and (not one or grouped[1] not in ".,"):
        return ("." if grouped[1] == "," else "," if grouped[1] == "." else ""), _thousands(
            grouped[1]
        )
    return None


def _thousands(mark: str) -> str:
    if mark in _BLANKS:
        return " "
    return "'" if mark in "'’" else mark


def _conclude(
    proofs: Counter[tuple[str, str]],
    examples: dict[tuple[str, str], str],
    ambiguous: Counter[str],
    always: list[str],
) -> Marks:
    decimals: Counter[str] = Counter()
    thousands: Counter[str] = Counter()
    for (decimal, mark), times in proofs.items():
        decimals[decimal] += times if decimal else 0
        thousands[mark] += times if mark else 0
    decimal = max(decimals, key=lambda mark: decimals[mark], default="")
    others = [one for one in thousands if one != decimal]
    mark = max(others, key=lambda one: thousands[one], default="")
    seen = next((text for proof, text in examples.items() if proof[0] == decimal), "")
    if decimals["."] and decimals[","]:
        share = decimals[decimal] / decimals.total()
        text = f"{decimals['.']} values need a decimal point, {decimals[',']} a decimal comma"
        return Marks(decimal, mark, share > 0.999, text, "" if share > 0.999 else text)
    if decimal:
        other = "," if decimal == "." else "."
        if not mark and ambiguous[other]:
            # No price is written with three decimals always: "$ 40,000" is forty thousand.
            odd = next((one for one in always if other in one and not _SYMBOL.search(one)), "")
            if odd:
                text = f'beside "{seen}" there are values such as "{odd}", all with three digits behind the mark'
                return Marks(decimal, other, certain=False, evidence=text, doubt=text)
            mark = other
        return Marks(decimal, mark, certain=True, evidence=f'"{seen}" can be read in no other way')
    if not ambiguous:
        return Marks(thousands=mark) if mark else Marks()
    only = max(ambiguous, key=lambda one: ambiguous[one])
    doubt = f'"{only}" may be the decimal mark or stand between thousands: there are only three digits behind it'
    return Marks(only, "", certain=False, evidence=doubt, doubt=doubt)


def form(marks: Marks, currency: str = "EUR") -> NumberForm:
    """Return the reader that a delivery will be read with."""
    return NumberForm(marks.decimal, marks.thousands, currency)


def places(value: str, decimal: str) -> int:
    """Count the digits behind the decimal mark."""
    _, mark, behind = value.rpartition(decimal)
    return sum(char.isdecimal() for char in behind) if mark else 0
