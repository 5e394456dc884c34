"""What column names and values say: the vocabulary applied.

`strength` tells how surely a name means a
role, 0 to 10. Names are evidence only: what they say is checked against the values elsewhere.
Never reads a file.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from tilldrop.guess.vocabulary import ROLES
from tilldrop.guess.vocabulary_more import MORE, SIGNS

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9%#]+")
_CURRENCY = re.compile(
    r"(?: in)? (?:eur|usd|gbp|chf|inr|brl|cad|aud|jpy|euros?|dollars?|us dollars?|pounds?|rs|rupees?|pln|sek|dkk|nok)$"
)
_OTHER_SCRIPT = re.compile(r"[\u0400-\u04ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTERS = str.maketrans(
    {"ß": "ss", "°": "o ", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "ı": "i", "đ": "d"}
)
_NAMELESS = re.compile(r"#\d+")

# Which of these a storno is, the amounts must tell.


@cache
def fold(name: str) -> str:
    """Return a name in small letters without accents, its words apart by single blanks."""
    if not name.isascii():
        name = _in_letters(name)
    apart = _CAMEL.sub(" ", name)
    if not _NAMELESS.fullmatch(name):
        apart = apart.replace("#", " no ")
    bare = unicodedata.normalize("NFKD", apart).encode("ascii", "ignore").decode().lower()
    return _OTHER.sub(" ", bare.replace("_", " ")).strip()


def _in_letters(name: str) -> str:
    """Put letters that no accent makes, and words in other scripts, into plain ones."""
    if _OTHER_SCRIPT.search(name):
        name = name.lower()
        for word, meaning in SIGNS:
            name = name.replace(word, f" {meaning} ")
    return name.translate(_LETTERS)


@cache
def strength(role: str, name: str) -> int:
    """Return how surely a column's name means a role: 0 to 10."""
    folded = _CURRENCY.sub("", fold(name)) or fold(name)
    joined = folded.replace(" ", "")
    for pattern, points in _compiled(role):
        if pattern.search(folded) or (joined != folded and pattern.fullmatch(joined)):
            return points
    return 0


def says(name: str, *roles: str, least: int = 6) -> bool:
    """Tell whether a name means one of the roles at least so surely."""
    return any(strength(role, name) >= least for role in roles)


def word(value: str) -> str:
    """Return a cell's value as the word sets write words: folded, blanks removed."""
    return fold(value).replace(" ", "")


def has_word(value: str, words: frozenset[str]) -> bool:
    """Tell whether a cell's value is or holds one of the words."""
    folded = fold(value)
    return folded.replace(" ", "") in words or any(one in words for one in folded.split())


def known(name: str) -> bool:
    """Tell whether a name is a word of any role."""
    return any(strength(role, name) for role in ROLES)


@cache
def _compiled(role: str) -> tuple[tuple[re.Pattern[str], int], ...]:
    return tuple(
        (re.compile(pattern), points) for pattern, points in (*MORE.get(role, ()), *ROLES[role])
    )
