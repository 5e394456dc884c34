"""Payment-card numbers in customers' text: find and mask.

Owns the question "could this be a card number?": 13 to 19 digits, an issuer's prefix and
length, a right check digit; blanks or dashes may stand between groups of digits. Promises that
what it finds keeps its first six and last four digits and nothing else of it. Never refuses,
never logs. Mask before shortening: half a number passes no check.
"""

from __future__ import annotations

import re
from typing import Final

SHORTEST = 13
LONGEST = 19
FIRST_SHOWN = 6  # what a receipt or an acquirer's statement may show
LAST_SHOWN = 4

_BETWEEN = "[ \u00a0\u202f\u2010\u2011\u2012\u2013-]"
# Groups of digits with one blank or dash between them, 13 digits or more in all. RE2, which
# DuckDB uses, reads it too (`store` asks there first which records need a look).
SUSPICIOUS: Final = rf"\p{{Nd}}(?:{_BETWEEN}?\p{{Nd}}){{{SHORTEST - 1},}}"
_RUN = re.compile(SUSPICIOUS.replace(r"\p{Nd}", r"\d"))
_GROUP = re.compile(r"\d+")

# First and last prefix of an issuer's range, and the lengths it issues.
# Source: ISO/IEC 7812 issuer identification numbers as the networks publish them.
_ISSUERS: Final[tuple[tuple[str, str, range], ...]] = (
    ("1", "1", range(15, 16)),  # UATP
    ("2200", "2204", range(16, 20)),  # Mir
    ("2221", "2720", range(16, 17)),  # Mastercard
    ("300", "305", range(14, 20)),  # Diners Club
    ("3095", "3095", range(14, 20)),
    ("34", "34", range(15, 16)),  # American Express
    ("3528", "3589", range(16, 20)),  # JCB
    ("36", "36", range(14, 20)),  # Diners Club
    ("37", "37", range(15, 16)),  # American Express
    ("38", "39", range(14, 20)),  # Diners Club
    ("4", "4", range(13, 20)),  # Visa
    ("50", "50", range(13, 20)),  # Maestro, Elo, Verve
    ("51", "55", range(16, 17)),  # Mastercard
    ("56", "69", range(13, 20)),  # Maestro, Discover, UnionPay, RuPay
    ("81", "82", range(16, 20)),  # UnionPay, RuPay
    ("9792", "9792", range(16, 17)),  # Troy
)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # twice a digit, its digits added


def mask(text: str) -> str:
    """Replace the middle digits of every card number in `text` by asterisks.

    A 20-digit number holds no card number. Length and all other characters stay as they are.
    Cost: one pass of a regular expression where nothing is found.
    """
    return _RUN.sub(lambda found: _mask_run(found.group()), text)


def is_card(digits: str) -> bool:
    """Tell whether a string of digits could be a card number."""
    issued = any(
        len(digits) in lengths and first <= digits[: len(first)] <= last
        for first, last, lengths in _ISSUERS
    )
    return issued and _check_digit_fits(digits)


def _check_digit_fits(digits: str) -> bool:
    """Luhn, ISO/IEC 7812-1 annex B."""
    from_right = [int(digit) for digit in reversed(digits)]
    return (sum(from_right[::2]) + sum(_DOUBLED[digit] for digit in from_right[1::2])) % 10 == 0


def _mask_run(run: str) -> str:
    """Mask the numbers that consecutive whole groups of one run make up, longest first."""
    groups = [found.span() for found in _GROUP.finditer(run)]
    shown = list(run)
    start = 0
    while start < len(groups):
        end = _number_end(run, groups, start)
        if end is None:
            start += 1
            continue
        places = [at for first, last in groups[start:end] for at in range(first, last)]
        for at in places[FIRST_SHOWN:-LAST_SHOWN]:
            shown[at] = "*"
        start = end
    return "".join(shown)


def _number_end(run: str, groups: list[tuple[int, int]], start: int) -> int | None:
    """Return the group before which the longest number that begins at `start` ends."""
    digits = ""
    found = None
    for end in range(start, len(groups)):
        first, last = groups[end]
        digits += "".join(str(int(digit)) for digit in run[first:last])
        if len(digits) > LONGEST:
            break
        if is_card(digits):
            found = end + 1
    return found
