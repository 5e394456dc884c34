"""The little language of date formats: its letters, and what is wrong with a format.

Owns the grammar below. Never reads a date; `importer.values` does, from `tokens()`.

    YYYY four digits    YY  two digits: 69 to 99 are 19.., 00 to 68 are 20..
    MM   two digits     M   one or two     MMM  Jan or January, any case, with or without
                                           a dot behind; in eleven languages: 15. März, 3 févr.
    DD   two digits     D   one or two
    HH   two digits     H   one or two     (0 to 23)
    hh   two digits     h   one or two     (1 to 12, needs a)
    mm   two digits     m   one or two
    ss   two digits     s   one or two     fff  one to nine digits, a fraction of a second
    a    AM PM A.M. P.M. in any case       Z    Z, +01, +0100 or +01:00
    z    a zone, last of all: EST, PDT, CEST, Europe/Paris, Eastern Time (US & Canada)

Every character that is not one of the letters A to Z stands for itself, and so does a T. What
stands between two single quotes stands for itself, too: HH'h'mm reads 14h35; '' is one quote.

Three formats have names:

    iso      2026-07-18, with " " or "T" and 12:59, 12:59:30 or 12:59:30.123 after it if there
             is a time, and Z, +02, +0200 or +02:00 (with or without a blank before it) if there
             is an offset
    epoch    seconds since 1970-01-01 00:00 UTC, digits with or without a fraction
    compact  20260718, with 1259 or 125930 after it (nothing, a blank or T between) if there is
             a time
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

NAMED = ("iso", "epoch", "compact")

# What a field tells: two fields of one role contradict each other.
_ROLES: dict[str, str] = {
    "YYYY": "year",
    "YY": "year",
    "MMM": "month",
    "MM": "month",
    "M": "month",
    "DD": "day",
    "D": "day",
    "HH": "hour",
    "H": "hour",
    "hh": "hour",
    "h": "hour",
    "mm": "minute",
    "m": "minute",
    "ss": "second",
    "s": "second",
    "fff": "fraction",
    "a": "am or pm",
    "Z": "offset",
    "z": "offset",
}
_OPEN_ENDED = frozenset({"M", "D", "H", "h", "m", "s", "fff"})  # take as many digits as they find
_TEXTUAL = frozenset({"MMM", "a", "Z", "z"})
# A run of one letter is one field, so that YYY or MMMM is a mistake and not two fields. A quote
# without its second stands for itself: D.M.'YY.
_RUN = re.compile(r"'(?P<quoted>(?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+|'")


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a format. field: a key of the grammar, "" for text that stands for itself.

    written: as it stands in the format.
    """

    field: str
    text: str
    written: str


def tokens(written: str) -> tuple[Token, ...]:
    """Split a format that is not one of NAMED. Unknown letters come out as text."""
    return tuple(map(_token, _RUN.finditer(written)))


def _token(found: re.Match[str]) -> Token:
    written, text = found[0], found["quoted"]
    if text is None:
        return Token(written if written in _ROLES else "", written, written)
    return Token("", text.replace("''", "'") or "'", written)


def quoted(text: str) -> str:
    """Write a text so that it stands for itself in a format."""
    return "'" + text.replace("'", "''") + "'" if re.search("[A-Za-z']", text) else text


def has_time(written: str) -> bool:
    """Tell whether the format holds (or, for a named one, may hold) a time of day."""
    return written in NAMED or any(_ROLES.get(token.field) == "hour" for token in tokens(written))


def check(written: str) -> str | None:
    """Say what is wrong with a format, or None."""
    if written in NAMED:
        return None
    pieces = tokens(written)
    for token in pieces:
        if not token.field and _is_letters(token.written) and token.text != "T":
            return (
                f'"{token.text}" means nothing in a date format; known are {" ".join(_ROLES)};'
                f" if it stands for itself, quote it: '{token.text}'"
            )
    roles = [_ROLES[token.field] for token in pieces if token.field]
    twice = sorted({role for role in roles if roles.count(role) > 1})
    if twice:
        return f"the {twice[0]} stands there twice"
    return _missing(roles, pieces) or _cannot_be_told_apart(pieces)


def _is_letters(text: str) -> bool:
    """Tell A to Z, which may have been meant as a field, from all that stands for itself."""
    return text.isascii() and text.isalpha()


def _missing(roles: list[str], pieces: tuple[Token, ...]) -> str | None:
    """Say which field another one needs."""
    for role, letters in (("year", "YYYY"), ("month", "MM"), ("day", "DD")):
        if role not in roles:
            return f"the {role} is missing ({letters})"
    needs = (
        ("minute", "hour"),
        ("second", "minute"),
        ("fraction", "second"),
        ("am or pm", "hour"),
    )
    for role, needed in needs:
        if role in roles and needed not in roles:
            return f"the {role} needs the {needed}"
    fields = {token.field for token in pieces}
    twelve = bool(fields & {"h", "hh"})
    if twelve and "a" not in fields:
        return "hh and h count to twelve and need a (AM or PM); HH and H count to 24"
    if "a" in fields and not twelve:
        return "AM or PM (a) goes with hh or h, which count to twelve"
    return None


def _cannot_be_told_apart(pieces: tuple[Token, ...]) -> str | None:
    """Find a field of open length with digits right behind it."""
    for token, after in pairwise(pieces):
        if token.field == "z":
            return "the zone (z) stands last"
        digits_follow = (after.field and after.field not in _TEXTUAL) or after.text[0].isdigit()
        if token.field in _OPEN_ENDED and digits_follow:
            return f"{token.text} and {after.text} need something between them"
    return None
