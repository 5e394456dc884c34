"""What a customer is told of a feed: in words, with an example of each date.

Owns which words. A column is told once, with all that it is used for; what a feed adds to a
file's own columns is told by the columns that it is made of. Never reads a customer's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tilldrop import formats
from tilldrop.cli_output import visible
from tilldrop.guide_words import FIGURES, MASTERS, ROWS, meaning_of
from tilldrop.mapping import BLANKS, FIND, targets
from tilldrop.sources import (
    Computed,
    FirstOf,
    FromColumn,
    FromFileName,
    FromFolder,
    FromPreamble,
    Joined,
    Lookup,
    Refined,
    When,
    columns_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.mapping import Conditions, Control, Feed
    from tilldrop.sources import Source

EXAMPLE_AT = datetime(2026, 3, 14, 13, 5, 9, tzinfo=UTC)

YES, ONCE, NO = "yes", "in one row of each transaction", "may be empty"
ABSENT = "may be missing"
_FROM_FILE: dict[type, str] = {
    FromFileName: "the file's name",
    FromFolder: "the folder it is put into",
    FromPreamble: "the lines above the column names",
}
_ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 (little-endian)",
    "utf-16-be": "UTF-16 (big-endian)",
    "cp1252": "Windows-1252 (ANSI)",
    "latin-1": "ISO 8859-1 (Latin 1)",
}
_MARKS = {"\t": "tabulator", ",": "comma", ";": "semicolon", "|": "vertical bar", " ": "blank"}
_NAMED_FORMATS = {
    "iso": ("2026-03-14 13:05:09", "year, month and day first"),
    "epoch": ("1773493509", "seconds since 1970"),
    "compact": ("20260314130509", "year, month and day first"),
}
_EXAMPLES = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "DD": "%d",
    "D": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "m": "%-M",
    "ss": "%S",
    "s": "%-S",
    "fff": "000",
    "a": "%p",
    "Z": "+01:00",
    "z": "UTC",
}


@dataclass(frozen=True, slots=True)
class ColumnTold:
    """One column of a file. meanings: what it is for. needed: YES, ONCE, NO or ABSENT."""

    name: str
    meanings: tuple[str, ...]
    needed: str


@dataclass(frozen=True, slots=True)
class FeedTold:
    """One kind of file, in words. header: where column names stand, "" if there are none.

    encoding: "" of a workbook, which has no delimiter either. notes: whole sentences on what else
    counts.
    """

    name: str
    files: tuple[str, ...]
    encoding: str
    delimiter: str
    quote: str
    decimal: str
    thousands: str
    header: str
    rows: str
    columns: tuple[ColumnTold, ...]
    notes: tuple[str, ...]


def told(feed: Feed) -> FeedTold:
    """Say in words how one kind of file is expected."""
    reading = feed.reading
    encoding = _ENCODINGS.get(reading.encoding, reading.encoding)
    return FeedTold(
        name=feed.name,
        files=feed.files,
        encoding="" if _is_workbook(feed) else encoding,
        delimiter=_delimiter(feed),
        quote="" if reading.widths or reading.delimiter == BLANKS else reading.quote,
        decimal=_mark(reading.decimal),
        thousands=_mark(reading.thousands) if reading.thousands else "",
        header=_header(feed),
        rows=MASTERS.get(feed.table) or ROWS[feed.rows],
        columns=tuple(_columns(feed)),
        notes=tuple(_notes(feed)),
    )


def example(written: str) -> str:
    """Show a date format by 14 March 2026, 13:05:09 in it."""
    if written in _NAMED_FORMATS:
        value, meaning = _NAMED_FORMATS[written]
        return f"{code(value)}, {meaning}"
    value = "".join(
        EXAMPLE_AT.strftime(_EXAMPLES[token.field]) if token.field else token.text
        for token in formats.tokens(written)
    )
    return f"{code(value)}, that is {code(written)}"


def code(text: str) -> str:
    """Write a text as Markdown code that may stand in a table."""
    text = visible(text)
    fence = "`"
    while fence in text:
        fence += "`"
    padded = f" {text} " if len(fence) > 1 or text.strip() != text else text
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def _is_workbook(feed: Feed) -> bool:
    """Tell whether files are workbooks, as far as the mapping says."""
    return bool(feed.reading.sheet) or all(
        name.casefold().endswith((".xlsx", ".xls", ".ods")) for name in feed.files
    )


def _mark(text: str) -> str:
    return _MARKS.get(text) or {".": "point", "'": "apostrophe"}.get(text) or text


def _delimiter(feed: Feed) -> str:
    """Say what stands between columns."""
    if feed.reading.widths:
        widths = ", ".join(map(str, feed.reading.widths))
        return f"nothing; they are {widths} characters wide"
    if feed.reading.delimiter == BLANKS:
        return "one or more blanks"
    return _mark(feed.reading.delimiter)


def _header(feed: Feed) -> str:
    """Say where column names stand, "" if there are none."""
    line = feed.reading.header_line
    if line == FIND:
        return "in the first line that has all of those below"
    return f"in line {line}" if line else ""


def _columns(feed: Feed) -> Iterator[ColumnTold]:
    """Yield every column that the mapping reads, once, in the order of the targets."""
    shown: dict[str, str] = {}
    meanings: dict[str, list[str]] = {}
    needs: dict[str, set[str]] = {}
    for column, meaning, needed in _all_uses(feed):
        for own in _own_columns(feed, column):
            folded = _folded(own)
            shown.setdefault(folded, own)
            if meaning not in meanings.setdefault(folded, []):
                meanings[folded].append(meaning)
            needs.setdefault(folded, set()).add(needed)
    optional = {_folded(name) for name in feed.reading.optional}
    for folded, column in shown.items():
        needed = next(one for one in (YES, ONCE, NO) if one in needs[folded])
        if needed != YES and folded in optional:
            needed = ABSENT
        yield ColumnTold(column, tuple(meanings[folded]), needed)


def _all_uses(feed: Feed) -> Iterator[tuple[str, str, str]]:
    """Yield each column with what it is used for and whether it must be filled."""
    for target, kind in targets(feed.table).items():
        source = feed.sources.get(target)
        if source is not None:
            needed = _need(feed, target, source, is_key=kind.key)
            for column, meaning in _uses(meaning_of(target, feed.table), source):
                yield column, meaning, needed
    for section in feed.sections:
        for target, source in section.sources.items():
            for column, meaning in _uses(meaning_of(target, section.table), source):
                yield column, meaning, NO
    for conditions in (feed.where, feed.skip, feed.only, *(one.where for one in feed.sections)):
        for column in conditions:
            yield column, "what kind of row it is", NO


def _need(feed: Feed, target: str, source: Source, *, is_key: bool) -> str:
    """Say which rows must fill a target's columns."""
    if not _is_needed(source):
        return NO
    if is_key:
        return YES
    if target in {"total", "sold_at"} and not feed.partial:
        return ONCE if feed.is_grouped else YES
    return NO


def _own_columns(feed: Feed, column: str) -> tuple[str, ...]:
    """Return the file's own columns behind one, which the feed may have added."""
    added = {_folded(name): one for name, one in feed.columns.items()}
    found: list[str] = []
    ahead = [column]
    # A column may only use those before it, so this ends; each step takes one out of `added`.
    while ahead:
        name = ahead.pop(0)
        made = added.pop(_folded(name), None)
        if made is None:
            found.append(name)
        else:
            ahead = [made.by, *ahead] if isinstance(made, Lookup) else [*made.columns, *ahead]
    return tuple(found)


def _is_needed(source: Source) -> bool:
    """Tell whether an empty cell leaves a source empty."""
    match source:
        case Refined(default=default, source=inner):
            return not default and _is_needed(inner)
        case Computed(empty_is_zero=empty_is_zero):
            return not empty_is_zero
        case FirstOf():
            return False
    return True


def _uses(meaning: str, source: Source) -> Iterator[tuple[str, str]]:
    """Yield each column that a source reads, and what it means there."""
    match source:
        case FromColumn():
            yield source.column, meaning
        case Joined():
            parts = " and ".join(code(column) for column in source.columns)
            for column in source.columns:
                yield column, f"{meaning.partition(',')[0]} is {parts} together"
        case FirstOf():
            parts = ", ".join(code(column) for column in source.columns)
            for column in source.columns:
                yield column, f"{meaning}: the first of {parts} that is filled"
        case Computed():
            short = meaning.partition(";")[0]
            for column in source.columns:
                yield column, f"{short} is computed: {code(source.text)}"
        case Refined():
            yield from _uses(meaning + _listed(source), source.source)
        case When():
            yield from _uses_of_time(meaning, source)


def _listed(source: Refined) -> str:
    """Name the values that were agreed."""
    if not source.values:
        return ""
    values = ", ".join(code(value) for value in source.values)
    return f" ({'one of' if source.strict else 'such as'} {values})"


def _uses_of_time(meaning: str, source: When) -> Iterator[tuple[str, str]]:
    ways = " or ".join(example(one) for one in source.formats)
    times = ":".join(source.times)
    first, *others = columns_of(source)
    if source.date and times:
        yield first, f"{meaning}, the day; with a blank and {code(times)} behind it: {ways}"
    elif source.date:
        yield first, f"{meaning}: {ways}"
    else:
        others = [first, *others]
    for column in others:
        is_zone = column == source.zone_column and column not in source.times
        yield column, f"{meaning}, {'its time zone' if is_zone else 'the time'}"


def _notes(feed: Feed) -> Iterator[str]:
    """Yield what else counts, a sentence each."""
    for target, source in feed.sources.items():
        inner = source.source if isinstance(source, Refined) else source
        given = inner.given if isinstance(inner, When) else inner
        place = _FROM_FILE.get(type(given))
        if place:
            yield _sentence(f"{meaning_of(target, feed.table)} is taken from {place}")
    yield from _notes_on_rows(feed)
    for control in feed.controls:
        yield _sentence(f"{FIGURES[control.figure]} is compared with {_declared(control)}")


def _notes_on_rows(feed: Feed) -> Iterator[str]:
    """Yield which rows count and how, a sentence each."""
    if feed.reading.sheet:
        yield f"The sheet {code(feed.reading.sheet)} is read."
    if feed.reading.member:
        yield f"Of a packed file, {code(feed.reading.member)} is read."
    if feed.skip:
        yield f"Rows are left out where {_conditions(feed.skip, ' or where ')}."
    if feed.only:
        yield f"Rows are taken only where {_conditions(feed.only, ' and ')}."
    if feed.signs == "by-kind":
        yield "Amounts of a refund are written without a minus."
    if feed.complete == "day":
        yield "Each file holds whole days: what a later file of a day lacks counts as cancelled."
    if feed.complete == "all":
        yield "Each file holds everything: what a later file lacks counts as gone."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _conditions(conditions: Conditions, glue: str) -> str:
    """Say which values of which columns are meant."""
    return glue.join(
        f"{code(column)} is {' or '.join(code(one) if one else 'empty' for one in values)}"
        for column, values in conditions.items()
    )


def _declared(control: Control) -> str:
    """Say where a file declares a figure."""
    if control.companion:
        return f"the file {code(control.companion)}, sent beside it"
    return "the one in the file's name" if control.file_name else "the one that the file declares"


def _folded(column: str) -> str:
    return column.strip().casefold()
