"""How a file is written, [feeds.read], read from TOML.

Owns which encodings, marks and line numbers are taken. Used by `mapping_toml` alone.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from tilldrop import patterns
from tilldrop.mapping import BLANKS, FIND, Reading
from tilldrop.toml_table import nearest, show

if TYPE_CHECKING:
    from tilldrop.toml_table import Table

# Whatever files of tills were seen in, and their neighbours; not each codec of Python, of which
# some are no character sets.
ENCODINGS = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"),
    *("latin-1", "iso-8859-2", "iso-8859-5", "iso-8859-7", "iso-8859-9", "iso-8859-15"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("cp437", "cp850", "cp852", "cp858", "cp866", "cp932", "koi8-r", "mac-roman"),
    *("shift_jis", "euc-jp", "gb18030", "big5", "euc-kr"),
)
# What stands in [[feeds]] itself, and is often written below the header of another table.
FEED_KEYS = frozenset(
    {
        *("name", "files", "preset", "table", "rows", "partial", "key", "skip", "only", "signs"),
        *("day_starts_at", "complete", "older", "history", "extra", "mode", "backfill"),
        *("max_fault_share", "read", "columns", "map", "line_items", "tenders", "taxes"),
        *("control", "not_cards"),
    }
)
ABOVE = "[[feeds]] itself"
_MAX_LINE = 1000
_MAX_WIDTH = 100_000


def read_reading(table: Table) -> Reading:
    """Read [feeds.read]."""
    delimiter = table.text("delimiter", ",")
    if delimiter.casefold() in {"tab", BLANKS}:
        delimiter = "\t" if delimiter.casefold() == "tab" else BLANKS
    columns = _read_columns(table)
    reading = Reading(
        encoding=_read_encoding(table),
        delimiter=delimiter,
        quote=table.text("quote", '"'),
        header_line=_read_header_line(table, 0 if columns else 1),
        columns=columns,
        widths=_read_widths(table),
        skip_lines=_read_skip_lines(table),
        footer_lines=table.whole("footer_lines", 0, 0, _MAX_LINE),
        fill_down=read_names(table, "fill_down"),
        empty=_read_empty(table),
        loose_from=_read_name(table, "loose_from"),
        optional=read_names(table, "optional"),
        other_names=_read_other_names(table),
        decimal=table.choice("decimal", (".", ","), "."),
        thousands=table.choice("thousands", ("", ",", ".", "'", " "), ""),
        member=_read_name(table, "member"),
        sheet=_read_sheet(table),
    )
    _check_marks(table, reading)
    _check_columns(table, reading)
    table.end(FEED_KEYS, ABOVE)
    return reading


def read_names(table: Table, key: str) -> tuple[str, ...]:
    """Read a list of columns' names that need not be there."""
    if not table.has(key):
        return ()
    return tuple(name.strip() for name in table.texts(key, "a column's name, or a list of them"))


def _read_other_names(table: Table) -> dict[str, tuple[str, ...]]:
    """Read what else columns are called."""
    inner = table.table("other_names")
    return {name.strip(): read_names(inner, name) for name in inner.names()}


def _read_encoding(table: Table) -> str:
    """Read a character set by any name that Python knows it by."""
    found = table.text("encoding", "utf-8")
    known = {codecs.lookup(name).name: name for name in ENCODINGS} | {"utf-8-sig": "utf-8"}
    try:
        name = known.get(codecs.lookup(found).name)
    except (LookupError, ValueError):
        name = None
    if name is None:
        listed = ", ".join(ENCODINGS)
        table.wrong("encoding", f"one of {listed}", nearest(found, ENCODINGS))
        return "utf-8"
    return name


def _read_header_line(table: Table, default: int) -> int:
    """Read the number of a line, or "find"."""
    found = table.value("header_line")
    if isinstance(found, str):
        if found == "find":
            return FIND
        table.wrong("header_line", f'a whole number from 0 to {_MAX_LINE}, or "find"')
        return default
    return table.whole("header_line", default, 0, _MAX_LINE)


def _read_columns(table: Table) -> tuple[str, ...]:
    """Read the names of the columns of a file that has none."""
    names = read_names(table, "columns")
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        first = seen.setdefault(name.casefold(), number)
        if first != number:
            both = f"columns {first} and {number}"
            table.complain("columns", f"found {show(name)} as {both}; expected each name once")
    return names


def _read_widths(table: Table) -> tuple[int, ...]:
    """Read how many characters each column takes."""
    if not table.has("widths"):
        return ()
    found = table.value("widths")
    widths = found if isinstance(found, list) else []
    if widths and all(type(width) is int and 0 < width <= _MAX_WIDTH for width in widths):
        return tuple(widths)
    table.complain("widths", "expected a list of whole numbers above 0, one for each column")
    return ()


def _read_skip_lines(table: Table) -> str:
    """Read the pattern of lines to leave out."""
    pattern = _read_name(table, "skip_lines", strip=False)
    complaint = patterns.check(pattern, groups=None)
    if complaint:
        table.complain("skip_lines", f"{show(pattern)}: {complaint}")
    return pattern


def _read_empty(table: Table) -> tuple[str, ...]:
    """Read the texts that mean an empty cell."""
    if not table.has("empty"):
        return ()
    return tuple(one.strip() for one in table.texts("empty", "a text such as NULL, or a list"))


def _read_name(table: Table, key: str, *, strip: bool = True) -> str:
    """Read a text that is not empty if it is there."""
    found = table.text(key, "")
    if table.has(key) and isinstance(table.value(key), str) and not found.strip():
        table.wrong(key, "a text that is not empty")
    return found.strip() if strip else found


def _read_sheet(table: Table) -> str:
    """Read the name of a sheet, or its number, from 1."""
    found = table.value("sheet")
    if isinstance(found, int) and not isinstance(found, bool):
        return str(table.whole("sheet", 1, 1, _MAX_LINE))
    return _read_name(table, "sheet")


def _check_marks(table: Table, reading: Reading) -> None:
    """Complain of marks that cannot be told apart."""
    if reading.delimiter != BLANKS and not _is_mark(reading.delimiter):
        expected = 'one character that is no letter or digit, "tab" or "blanks"'
        table.wrong("delimiter", expected, nearest(reading.delimiter, ("tab", BLANKS)))
    if reading.quote and not _is_mark(reading.quote):
        table.wrong("quote", 'one character that is no letter or digit, or "" for none')
    elif reading.quote == reading.delimiter:
        table.wrong("quote", "another character than the delimiter")
    if reading.thousands == reading.decimal:
        where = "thousands" if table.has("thousands") else "decimal"
        table.wrong(where, "different characters for thousands and decimal")


def _check_columns(table: Table, reading: Reading) -> None:
    """Complain of what contradicts `columns` and `widths`."""
    if reading.columns and reading.header_line == FIND:
        table.wrong("header_line", "a number, because `columns` names the columns")
    if not reading.widths:
        return
    if table.has("delimiter"):
        table.complain("delimiter", "a file of fixed width (`widths`) has none; leave it out")
    if reading.columns and len(reading.columns) != len(reading.widths):
        there = f"{len(reading.columns)} columns and {len(reading.widths)} widths"
        table.complain("widths", f"found {there}; expected one width for each column")


def _is_mark(text: str) -> bool:
    """Tell whether a text can separate or quote fields."""
    return len(text) == 1 and not text.isalnum() and text not in "\r\n\0"
