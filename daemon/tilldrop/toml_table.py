"""Reading one TOML table: every value checked, every mistake said, none of them fatal.

`Table` hands out values of the asked type, within bounds, or their default after a complaint;
`end()` complains of keys that nobody asked for. A complaint is (key path, text); where that is
in the file, `line_of` knows. Never opens a file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping

Complain = Callable[[str, str], None]

_SEEN_CHARS = 60
_WORD = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_"'-]+)*)\s*=""")


def nearest(found: str, choices: Iterable[str]) -> str:
    """Return '; did you mean "x"?' for the choice most like `found`, or "" if none is."""
    folded = {choice.casefold(): choice for choice in choices}
    close = difflib.get_close_matches(found.casefold(), folded, n=1, cutoff=0.6)
    return f'; did you mean "{folded[close[0]]}"?' if close else ""


def show(value: object) -> str:
    """Write a TOML value for a complaint: shortened, with its type where that is the news."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        shown = value if len(value) <= _SEEN_CHARS else value[:_SEEN_CHARS] + "..."
        return f'"{printable(shown)}"'
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return f"{value} (a date or time)"


def printable(text: str) -> str:
    """Escape what a terminal would obey or not show."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")


class Table:
    """One table of a TOML file. failed: how many complaints came through it so far."""

    def __init__(self, raw: Mapping[str, object], complain: Complain, path: str = "") -> None:
        self._raw = raw
        self._complain = complain
        self._path = path
        self._asked: dict[str, None] = {}
        self.failed = 0

    def complain(self, key: str, text: str) -> None:
        """Say a mistake at a key of this table; "" is the table itself."""
        self.failed += 1
        self._complain(".".join(part for part in (self._path, key) if part), printable(text))

    def has(self, key: str) -> bool:
        """Tell whether the key is there."""
        self._asked[key] = None
        return key in self._raw

    def names(self) -> tuple[str, ...]:
        """Return the keys that are there."""
        return tuple(self._raw)

    def value(self, key: str) -> object:
        """Return the raw value or None."""
        self._asked[key] = None
        return self._raw.get(key)

    def wrong(self, key: str, expected: str, hint: str = "") -> None:
        """Complain of the value that is there."""
        self.complain(key, f"found {show(self.value(key))}; expected {expected}{hint}")

    def missing(self, key: str, expected: str) -> None:
        """Complain that a key is not there."""
        self._asked[key] = None
        self.complain(key, f"missing; expected {expected}")

    def text(self, key: str, default: str, expected: str = "a text") -> str:
        """Return a string."""
        if not self.has(key):
            return default
        value = self.value(key)
        if isinstance(value, str):
            return value
        self.wrong(key, expected)
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        if not self.has(key):
            return default
        value = self.value(key)
        if isinstance(value, bool):
            return value
        self.wrong(key, "true or false")
        return default

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """Return one of several words."""
        if not self.has(key):
            return default
        value = self.value(key)
        if isinstance(value, str) and value in choices:
            return value
        quoted = ", ".join(f'"{choice}"' for choice in choices)
        listed = f"one of {quoted}" if len(choices) > 1 else quoted
        hint = nearest(value, choices) if isinstance(value, str) else ""
        self.wrong(key, listed, hint)
        return default

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """Return a whole number from low to high."""
        if not self.has(key):
            return default
        value = self.value(key)
        # A bool is an int in Python, but not in TOML.
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.wrong(key, f"a whole number from {low} to {high}")
        return default

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Return a number from low to high, with or without decimals."""
        if not self.has(key):
            return default
        value = self.value(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        self.wrong(key, f"a number from {low:g} to {high:g}")
        return default

    def texts(self, key: str, expected: str) -> tuple[str, ...]:
        """Return one or several strings, none of them empty; () after a complaint."""
        value = self.value(key)
        if value is None:
            self.missing(key, expected)
            return ()
        several = value if isinstance(value, list) else [value]
        if several and all(isinstance(one, str) and one.strip() for one in several):
            return tuple(several)
        odd = [one for one in several if not (isinstance(one, str) and one.strip())]
        self.complain(key, f"found {show(odd[0]) if odd else 'an empty list'}; expected {expected}")
        return ()

    def table(self, key: str) -> Table:
        """Return a table inside this one, empty if it is not there or is none."""
        value = self.value(key)
        if value is not None and not isinstance(value, Mapping):
            self.wrong(key, f"the table [{key}]")
        return self.inner(value if isinstance(value, Mapping) else {}, key)

    def inner(self, raw: Mapping[str, object], key: str) -> Table:
        """Wrap a table that stands somewhere below this one; its complaints count here too."""
        return Table(raw, self.complain, key)

    def end(self, elsewhere: Collection[str] = (), place: str = "") -> None:
        """Complain of every key that nobody asked for.

        elsewhere: keys that would be right in `place`.
        """
        for key in self._raw:
            if key not in self._asked and key in elsewhere:
                self.complain(key, f"unknown key here; it belongs to {place}")
            elif key not in self._asked:
                hint = nearest(key, self._asked)
                known = "" if hint else "; known are " + ", ".join(self._asked)
                self.complain(key, f"unknown key{hint}{known}")


def line_of(text: str, path: str) -> int:
    """Find the line (from 1) of a key path such as "feeds.2.map.total" in a TOML text.

    Arrays of tables count from 1. Where the key itself is not there, the line of the nearest
    table or key above it; 0 if there is none. Reads line by line, which is exact for all that
    people write by hand; a key inside an inline table is found at its line.
    """
    lines = _lines(text)
    parts = path.split(".")
    while parts:
        found = lines.get(tuple(parts))
        if found:
            return found
        parts.pop()
    return 0


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Map each key path of a TOML text to its line."""
    found: dict[tuple[str, ...], int] = {}
    tables: dict[tuple[str, ...], int] = {}  # array of tables -> how many so far
    table: tuple[str, ...] = ()
    closing = ""
    # Not splitlines(): it ends lines at U+0085 and U+2028 too, as TOML does not.
    for number, line in enumerate(text.split("\n"), start=1):
        if closing:
            closing = "" if closing in line else closing
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header:
            path = _numbered(_split(header[2]), tables)
            if header[1] == "[[":
                tables[path] = tables.get(path, 0) + 1
                path = (*path, str(tables[path]))
            table = path
            found.setdefault(table, number)
        elif key:
            found.setdefault((*table, *_split(key[1])), number)
            closing = _opens(line[key.end() :])
    return found


def _opens(value: str) -> str:
    """Return the mark that ends a string of several lines which opens here, or ""."""
    for mark in ('"""', "'''"):
        if value.lstrip().startswith(mark) and value.count(mark) == 1:
            return mark
    return ""


def _split(dotted: str) -> tuple[str, ...]:
    """Split a dotted key, quotes removed."""
    parts = re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)
    return tuple(part if _WORD.fullmatch(part) else part[1:-1] for part in parts)


def _numbered(path: tuple[str, ...], tables: dict[tuple[str, ...], int]) -> tuple[str, ...]:
    """Insert the number of the current table of each array that the path goes through."""
    numbered: tuple[str, ...] = ()
    for index, part in enumerate(path):
        numbered = (*numbered, part)
        if numbered in tables and index < len(path) - 1:
            numbered = (*numbered, str(tables[numbered]))
    return numbered
