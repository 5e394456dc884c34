"""A feed as written in TOML, read with every mistake reported.

Owns what is accepted where in the grammar that `mapping` gives. What is wrong is complained
of, and a placeholder stands in for it that nobody will see: with one complaint there is no feed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from tilldrop import expression, formats
from tilldrop.mapping import (
    REQUIRED,
    Computed,
    Constant,
    Feed,
    FromColumn,
    FromFileName,
    Joined,
    Reading,
    Rows,
    SoldAt,
    Source,
    Take,
    Target,
    targets,
)
from tilldrop.toml_table import Complain, Table, nearest, show
from tilldrop.zones import is_zone, nearest_zone

ENCODINGS = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1")
FEED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_HEADER_LINE = 1000
_COLUMN = "a column's name"
_SOLD_AT = 'a table such as { date = "Date", format = "D/M/YYYY" }'


def read_feed(raw: Mapping[str, object], complain: Complain) -> Feed | None:
    """Read one [[feeds]] table; None if anything is wrong with it.

    complain(key path within the table, what was found and expected): called for each mistake.
    """
    table = Table(raw, complain)
    name = table.text("name", "")
    if not table.has("name"):
        table.missing("name", 'a name, such as "sales"')
    elif isinstance(raw["name"], str) and not FEED_NAME.fullmatch(name):
        table.wrong("name", "up to 64 letters, digits, - and _")
    rows = cast("Rows", table.choice("rows", ("per-transaction", "per-line"), "per-transaction"))
    feed = Feed(
        name=name,
        files=read_files(table),
        rows=rows,
        max_fault_share=table.number("max_fault_share", 0.10, 0, 1),
        reading=_read_reading(table.table("read")),
        sources=_read_sources(table, per_line=rows == "per-line"),
    )
    table.end()
    return None if table.failed else feed


def read_files(table: Table) -> tuple[str, ...]:
    """Read the name patterns."""
    patterns = table.texts("files", 'a pattern such as "sales*.csv", or a list of them')
    for pattern in patterns:
        folder, slash, _ = pattern.rpartition("/")
        parts = pattern.split("/")
        if any(part in {"", ".", ".."} for part in parts) or "\\" in pattern:
            expected = 'a name within the customer\'s root, such as "sales*.csv" or "daily/*.csv"'
        elif slash and re.search(r"[*?\[]", folder):
            expected = "wildcards after the last / only, because a folder has one name"
        elif parts[0].casefold() == "receipts" and slash:
            expected = "another folder: receipts/ is where receipts stand"
        elif not pattern.isprintable() or pattern != pattern.strip():
            expected = "visible characters without blanks around them"
        else:
            continue
        table.complain("files", f"found {show(pattern)}; expected {expected}")
    return patterns


def _read_reading(table: Table) -> Reading:
    """Read [feeds.read]."""
    delimiter = table.text("delimiter", ",")
    delimiter = "\t" if delimiter.casefold() == "tab" else delimiter
    reading = Reading(
        encoding=table.choice("encoding", ENCODINGS, "utf-8"),
        delimiter=delimiter,
        quote=table.text("quote", '"'),
        header_line=table.whole("header_line", 1, 0, _MAX_HEADER_LINE),
        decimal=table.choice("decimal", (".", ","), "."),
        thousands=table.choice("thousands", ("", ",", ".", "'", " "), ""),
    )
    if not _is_mark(delimiter):
        table.wrong("delimiter", 'one character that is no letter or digit, or "tab"')
    if reading.quote and not _is_mark(reading.quote):
        table.wrong("quote", 'one character that is no letter or digit, or "" for none')
    elif reading.quote == delimiter:
        table.wrong("quote", "another character than the delimiter")
    if reading.thousands == reading.decimal:
        where = "thousands" if table.has("thousands") else "decimal"
        table.wrong(where, "different characters for thousands and decimal")
    table.end()
    return reading


def _is_mark(text: str) -> bool:
    """Tell whether a text can separate or quote fields."""
    return len(text) == 1 and not text.isalnum() and text not in "\r\n\0"


def _read_sources(feed: Table, *, per_line: bool) -> dict[str, Source]:
    """Read [feeds.map]."""
    if not feed.has("map"):
        feed.missing("map", "the table [feeds.map]")
        return {}
    table = feed.table("map")
    sources: dict[str, Source] = {}
    for name, target in targets().items():
        if table.has(name):
            sources[name] = _read_source(table, name, target, per_line=per_line)
        elif name in REQUIRED:
            table.missing(name, _SOLD_AT if name == "sold_at" else f'{_COLUMN}, such as "Total"')
    table.end()
    return sources


def _read_source(table: Table, name: str, target: Target, *, per_line: bool) -> Source:
    """Read what one target is made of."""
    value = table.value(name)
    if name == "sold_at":
        return _read_sold_at(table)
    if isinstance(value, str):
        value = {"column": value}
    if not isinstance(value, Mapping):
        table.wrong(name, f"{_COLUMN} or a table")
        return Constant("")
    shapes = _shapes(name, target)
    there = [shape for shape in shapes if shape in value]
    inner = table.inner(cast("Mapping[str, object]", value), name)
    if len(there) != 1:
        found = " and ".join(value) if value else "an empty table"
        listed = ", ".join(shapes)
        hint = "" if there else nearest(found, shapes)
        inner.complain("", f"found {found}; expected one of {listed}{hint}")
        return Constant("")
    source = _read_shape(inner, there[0], target, per_line=per_line)
    inner.end()
    return source


def _shapes(name: str, target: Target) -> tuple[str, ...]:
    """List the keys of which a source's table has exactly one."""
    if target.kind != "text":
        return ("column", "expr")
    if name == "transaction_id":
        # The same id in every row would leave one transaction of the whole file.
        return ("column", "join", "file_name")
    return ("column", "join", "file_name", "const")


def _read_shape(inner: Table, shape: str, target: Target, *, per_line: bool) -> Source:
    """Read a source of known shape."""
    match shape:
        case "column":
            return FromColumn(_read_column(inner, "column"), _read_take(inner, target, per_line))
        case "expr":
            return _read_expression(inner, _read_take(inner, target, per_line))
        case "file_name":
            return _read_pattern(inner)
        case "join":
            return _read_join(inner)
    value = inner.text("const", "")
    if isinstance(inner.value("const"), str) and not value.strip():
        inner.wrong("const", "a text that is not empty")
    return Constant(value)


def _read_column(table: Table, key: str) -> str:
    """Read a column's name."""
    name = table.text(key, "", _COLUMN).strip()
    if not name and isinstance(table.value(key), str):
        table.wrong(key, _COLUMN)
    return name


def _read_take(inner: Table, target: Target, per_line: bool) -> Take:  # noqa: FBT001
    """Read how several rows of one transaction become one value."""
    summed = target.kind in {"money", "count"}
    if inner.has("take") and not per_line:
        inner.complain("take", 'only feeds with rows = "per-line" can say take')
    choices = ("sum", "first") if summed else ("first",)
    return cast("Take", inner.choice("take", choices, "sum" if summed and per_line else "first"))


def _read_expression(inner: Table, take: Take) -> Source:
    """Read { expr = "..." }."""
    text = inner.text("expr", "", 'an expression such as "Quantity * Price"')
    if not isinstance(inner.value("expr"), str):
        return Constant("")
    parsed = expression.parse(text)
    if isinstance(parsed, expression.Mistake):
        inner.complain("expr", f"{show(text)}, character {parsed.position}: {parsed.text}")
        return Constant("")
    return Computed(text, parsed.tree, parsed.columns, take)


def _read_pattern(inner: Table) -> Source:
    """Read { file_name = "..." }."""
    pattern = inner.text("file_name", "", "a regular expression with one group")
    if not isinstance(inner.value("file_name"), str):
        return Constant("")
    try:
        groups = re.compile(pattern).groups
    except re.error as wrong:
        where = "" if wrong.pos is None else f", character {wrong.pos + 1}"
        inner.complain("file_name", f"{show(pattern)}{where}: {wrong.msg}")
        return Constant("")
    if groups != 1:
        inner.wrong("file_name", f"one group in parentheses, not {groups or 'none'}")
    return FromFileName(pattern)


def _read_join(inner: Table) -> Source:
    """Read { join = [...], with = "-" }."""
    columns = inner.texts("join", "a list of two or more columns, none of them empty")
    if len(columns) == 1:
        inner.complain("join", "found one column; expected a list of two or more")
    return Joined(tuple(column.strip() for column in columns), inner.text("with", "-"))


def _read_sold_at(table: Table) -> Source:
    """Read { date = ..., time = ..., format = ..., zone = ... }."""
    if not isinstance(table.value("sold_at"), Mapping):
        table.wrong("sold_at", _SOLD_AT)
        return Constant("")
    inner = table.table("sold_at")
    if not inner.has("date"):
        inner.missing("date", _COLUMN)
    date = _read_column(inner, "date")
    time = _read_column(inner, "time") if inner.has("time") else ""
    written = inner.texts("format", 'a date format such as "D/M/YYYY HH:mm", or a list of them')
    for one in written:
        complaint = formats.check(one)
        if complaint is None and time and not formats.has_time(one):
            complaint = "the hour is missing (HH), though `time` names a column"
        if complaint:
            inner.complain("format", f"{show(one)}: {complaint}")
    zone = inner.text("zone", "")
    if zone and not is_zone(zone):
        inner.wrong("zone", 'a zone such as "Europe/Paris"', nearest_zone(zone))
    inner.end()
    return SoldAt(date, time, written, zone)
