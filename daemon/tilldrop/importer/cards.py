"""Payment-card numbers in customers' text: find and mask.

Owns the question "could this be a card number?": 13 to 19 digits, an issuer's prefix and
length, a right check digit; blanks or dashes may stand between groups of digits. Promises that
what it finds keeps its first six and last four digits and nothing else of it. Never refuses,
never logs; whether a file holds cards, `card_scan` decides. Mask before shortening: half a number
passes no check.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST = 13
LONGEST = 19
FIRST_SHOWN = 6  # what a receipt or an acquirer's statement may show
LAST_SHOWN = 4

_EAN_DIGITS = (13, 14)
NAME_MASK = "x"  # an asterisk is no sign for a file's name
# How digits stand in groups on cards.
CARD_GROUPS: Final = frozenset(
    {(4, 4, 4, last) for last in range(1, 5)}
    | {(4, 4, 4, 4, last) for last in range(1, 4)}
    | {(4, 6, 5), (4, 6, 4), (6, 13), (8, 8), (4, 3, 3, 3)}
)

_BETWEEN = "[ \u00a0\u202f\u2010\u2011\u2012\u2013-]"
# Groups of digits with one blank or dash between them, 13 digits or more in all. RE2, which
# DuckDB uses, reads it too (`store` asks there first which records need a look).
SUSPICIOUS: Final = rf"\p{{Nd}}(?:{_BETWEEN}?\p{{Nd}}){{{SHORTEST - 1},}}"
_RUN = re.compile(SUSPICIOUS.replace(r"\p{Nd}", r"\d"))
_GROUP = re.compile(r"\d+")
_NAME_RUN = re.compile(r"(?<![0-9])[0-9](?:[ _-]?[0-9]){12,18}(?![0-9])")
# A day of these years, as a till writes it into a name: what holds one is made of shop and time.
_DAY = re.compile(
    r"20[123]\d(?:0[1-9]|1[012])(?:0[1-9]|[12]\d|3[01])"
    r"|(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[012])20[123]\d"
)

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
# Prefixes and lengths of nearly all cards in use; the rest of the ranges above is rare, and long
# numbers of other kinds fall into it.
_USUAL: Final[tuple[tuple[str, str, tuple[int, ...]], ...]] = (
    ("2200", "2204", (16,)),
    ("2221", "2720", (16,)),
    ("300", "305", (14,)),
    ("34", "34", (15,)),
    ("3528", "3589", (16,)),
    ("36", "36", (14,)),
    ("37", "37", (15,)),
    ("38", "39", (14,)),
    ("4", "4", (16, 19)),
    ("51", "55", (16,)),
    ("6011", "6011", (16,)),
    ("62", "62", (16, 19)),
    ("644", "649", (16,)),
    ("65", "65", (16,)),
    ("9792", "9792", (16,)),
)
# Twice a digit, its digits added, as ASCII.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def _by_prefix(issuers: Iterable[tuple[str, str, Iterable[int]]]) -> tuple[int, ...]:
    """Make a table: the first four digits -> a bit for each length that is issued."""
    table = [0] * 10_000
    for first, last, lengths in issuers:
        bits = sum(1 << length for length in lengths)
        low, high = int(first.ljust(4, "0")), int(last.ljust(4, "9"))
        for prefix in range(low, high + 1):
            table[prefix] |= bits
    return tuple(table)


_LENGTHS = _by_prefix(_ISSUERS)
_USUAL_LENGTHS = _by_prefix(_USUAL)


def mask(text: str) -> str:
    """Replace the middle digits of every card number in `text` by asterisks.

    A 20-digit number holds no card number. Length and all other characters stay as they are.
    Cost: one pass of a regular expression where nothing is found.
    """
    return _RUN.sub(lambda found: mask_run(found.group()), text)


def mask_name(name: str) -> str:
    """Mask card numbers in a file's name, where nothing but the name tells what they are.

    Only those of usual cards, in one piece or in groups as on cards, in which no day stands: till
    exports are named by shop, day and time, and one number in ten passes the check digit.
    """
    return _NAME_RUN.sub(lambda found: _name_run(found.group()), name)


def _name_run(run: str) -> str:
    groups = _GROUP.findall(run)
    digits = "".join(groups)
    in_form = len(groups) == 1 or tuple(map(len, groups)) in CARD_GROUPS
    number = digits.encode("ascii")
    if not in_form or not (is_usual(number) and is_card(number)) or _DAY.search(digits):
        return run
    shown = list(run)
    for at in [at for at, char in enumerate(run) if char.isdecimal()][FIRST_SHOWN:-LAST_SHOWN]:
        shown[at] = NAME_MASK
    return "".join(shown)


def is_card(digits: bytes) -> bool:
    """Tell whether ASCII digits could be a card number: range, length and check digit."""
    return _is_issued(digits, _LENGTHS) and _check_digit_fits(digits)


def is_usual(digits: bytes) -> bool:
    """Tell whether a card number is of a network and length that most cards have."""
    return _is_issued(digits, _USUAL_LENGTHS)


def is_barcode(digits: bytes) -> bool:
    """Tell whether an unusual number has a right EAN-13 or GTIN-14 check digit."""
    if len(digits) not in _EAN_DIGITS or is_usual(digits):
        return False
    added = 3 * sum(digits[-2::-2]) + sum(digits[-1::-2]) - ord("0") * _weights(len(digits))
    return added % 10 == 0


def _weights(length: int) -> int:
    """Return the sum of a barcode's weights, 1 and 3 in turn from the right."""
    return 3 * (length // 2) + (length + 1) // 2


def _is_issued(digits: bytes, table: tuple[int, ...]) -> bool:
    return bool(digits) and table[int(digits[:4])] >> len(digits) & 1 == 1


def _check_digit_fits(digits: bytes) -> bool:
    """Luhn, ISO/IEC 7812-1 annex B."""
    added = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_DOUBLED))
    return (added - ord("0") * len(digits)) % 10 == 0


def mask_run(run: str) -> str:
    """Mask the numbers in one run of digits, blanks and dashes."""
    shown = list(run)
    for places, _ in numbers_in(run):
        for at in places[FIRST_SHOWN:-LAST_SHOWN]:
            shown[at] = "*"
    return "".join(shown)


def numbers_in(run: str) -> Iterator[tuple[list[int], bytes]]:
    """Yield the card numbers that consecutive whole groups of a run make up, longest first.

    Of each: where its digits stand in the run, and the digits in ASCII.
    """
    groups = [found.span() for found in _GROUP.finditer(run)]
    texts = [b"%d" % int(char) for char in run if char.isdecimal()]
    starts = [0]
    for first, last in groups:
        starts.append(starts[-1] + last - first)
    digits = b"".join(texts)
    start = 0
    while start < len(groups):
        end = _number_end(digits, starts, start)
        if end is None:
            start += 1
            continue
        places = [at for first, last in groups[start:end] for at in range(first, last)]
        yield places, digits[starts[start] : starts[end]]
        start = end


def _number_end(digits: bytes, starts: list[int], start: int) -> int | None:
    """Return the group before which the longest number that begins at `start` ends."""
    for end in range(len(starts) - 1, start, -1):
        length = starts[end] - starts[start]
        if SHORTEST <= length <= LONGEST and is_card(digits[starts[start] : starts[end]]):
            return end
    return None
