"""What a target is made of, read from TOML: one source of [feeds.map] or of a section.

Owns which source which target takes, and what is said of a wrong one. Used by `mapping_toml`
and `mapping_toml_sections`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from tilldrop import expression, formats, patterns
from tilldrop.mapping import KINDS, Target
from tilldrop.rows import TABLES
from tilldrop.sources import (
    Case,
    Computed,
    Constant,
    FirstOf,
    FromColumn,
    FromFileName,
    FromFolder,
    FromPreamble,
    Joined,
    Refined,
    Source,
    Take,
    When,
)
from tilldrop.toml_table import Table, nearest, show
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

COLUMN = "a column's name"
WHEN = 'a table such as { date = "Date", format = "D/M/YYYY" }'
AMOUNTS = frozenset({"money", "count", "milli"})
DATES = frozenset({"instant", "day"})
_NUMBER = 'a number as text, such as "0" or "-1.50"'

# Whatever was complained of stands for this, and nobody will see it.
_NOTHING = Constant("")
_FROM_FILE: dict[str, Callable[[str], FromFileName | FromFolder | FromPreamble]] = {
    "file_name": FromFileName,
    "folder": FromFolder,
    "preamble": FromPreamble,
}
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source stands. grouped: several records may make one row of `table`."""

    table: str
    grouped: bool


def read_source(table: Table, name: str, target: Target, place: Place) -> Source:
    """Read what one target is made of. name: the target as mappings write it."""
    if target.kind in DATES:
        return _read_when(table, name, target)
    value = table.value(name)
    if isinstance(value, str):
        value = {"column": value}
    if not isinstance(value, Mapping):
        table.wrong(name, f"{COLUMN} or a table")
        return _NOTHING
    inner = table.inner(cast("Mapping[str, object]", value), name)
    shape = one_shape(inner, _shapes(target, place))
    if not shape:
        return _NOTHING
    source = _read_shape(inner, shape, target, place)
    if _tells_rows_apart(target, place):
        if place.table == "transactions":
            inner.flag("number_repeats", default=False)
        if inner.has("default"):
            inner.complain("default", "all rows without an id would become one; leave it out")
    source = _read_refinements(inner, source, target)
    inner.end()
    _check_words(inner, name, source, place)
    return source


def one_shape(inner: Table, shapes: tuple[str, ...]) -> str:
    """Return which one of several keys a table has; "" after a complaint."""
    there = [shape for shape in shapes if inner.has(shape)]
    if len(there) == 1:
        return there[0]
    keys = there or inner.names()
    found = " and ".join(keys) if keys else "an empty table"
    hint = "" if there else nearest(found, shapes)
    inner.complain("", f"found {found}; expected one of {', '.join(shapes)}{hint}")
    return ""


def read_column(table: Table, key: str) -> str:
    """Read a column's name that must be there."""
    if not table.has(key):
        table.missing(key, COLUMN)
        return ""
    name = table.text(key, "", COLUMN).strip()
    if not name and isinstance(table.value(key), str):
        table.wrong(key, COLUMN)
    return name


def read_pattern(inner: Table, key: str) -> str:
    """Read a regular expression with one group."""
    pattern = inner.text(key, "", "a regular expression with one group")
    if isinstance(inner.value(key), str):
        complaint = patterns.check(pattern)
        if complaint:
            inner.complain(key, f"{show(pattern)}: {complaint}")
    return pattern


def _tells_rows_apart(target: Target, place: Place) -> bool:
    """Tell the last key column of a table, which must differ from record to record."""
    keys = [column.name for column in TABLES[place.table] if column.key]
    return target.key and target.column == keys[-1]


def _shapes(target: Target, place: Place) -> tuple[str, ...]:
    """List the keys of which a source's table has exactly one."""
    if target.kind in AMOUNTS:
        return ("column", "const", "expr")
    shapes = ("column", "first_of", "join", "const", "file_name", "folder", "preamble")
    if _tells_rows_apart(target, place):
        # The same id in every row would leave one row of the whole file.
        return tuple(shape for shape in shapes if shape != "const")
    return shapes


def _read_shape(inner: Table, shape: str, target: Target, place: Place) -> Source:
    """Read a source of known shape."""
    match shape:
        case "column":
            return FromColumn(read_column(inner, "column"), _read_take(inner, target, place))
        case "expr":
            return _read_expression(inner, _read_take(inner, target, place))
        case "const":
            return _read_constant(inner, target)
        case "first_of":
            return FirstOf(_read_several(inner, "first_of"))
        case "join":
            return Joined(_read_several(inner, "join"), inner.text("with", "-"))
    return _FROM_FILE[shape](read_pattern(inner, shape))


def _read_take(inner: Table, target: Target, place: Place) -> Take:
    """Read how several records of one transaction become one value."""
    if not place.grouped:
        if inner.has("take"):
            inner.complain(
                "take", "found where each record is a row; expected it where records are grouped"
            )
        return "first"
    choices = ("sum", "first") if target.kind in AMOUNTS else ("first",)
    return cast("Take", inner.choice("take", choices, choices[0]))


def _read_expression(inner: Table, take: Take) -> Source:
    """Read { expr = "..." }."""
    text = inner.text("expr", "", 'an expression such as "Quantity * Price"')
    empty = inner.choice("empty", ("0",), "")
    if not isinstance(inner.value("expr"), str):
        return _NOTHING
    parsed = expression.parse(text)
    if isinstance(parsed, expression.Mistake):
        inner.complain("expr", f"{show(text)}, character {parsed.position}: {parsed.text}")
        return _NOTHING
    return Computed(text, parsed.tree, parsed.columns, take, empty_is_zero=empty == "0")


def _read_constant(inner: Table, target: Target) -> Source:
    """Read { const = "..." }."""
    value = inner.text("const", "", _NUMBER if target.kind in AMOUNTS else "a text")
    if isinstance(inner.value("const"), str):
        _check_text(inner, "const", value, target)
    return Constant(value)


def _check_text(inner: Table, key: str, value: str, target: Target) -> None:
    """Complain of a value in the mapping itself that its target cannot take."""
    if not value.strip():
        inner.wrong(key, "a text that is not empty")
    elif target.kind in AMOUNTS and not _DECIMAL.fullmatch(value):
        inner.wrong(key, _NUMBER)
    elif target.kind == "count" and "." in value:
        inner.wrong(key, "a whole number as text")


def _read_several(inner: Table, key: str) -> tuple[str, ...]:
    """Read two or more columns' names."""
    columns = inner.texts(key, "a list of two or more columns, none of them empty")
    if len(columns) == 1:
        inner.complain(key, "found one column; expected a list of two or more")
    return tuple(column.strip() for column in columns)


def _read_refinements(inner: Table, source: Source, target: Target) -> Source:
    """Read what is done to a value once it is there."""
    default = inner.text("default", "", _NUMBER if target.kind in AMOUNTS else "a text")
    if isinstance(inner.value("default"), str):
        _check_text(inner, "default", default, target)
    if target.kind in AMOUNTS:
        return Refined(source, default=default) if default else source
    values = _read_values(inner)
    refined = Refined(
        source,
        match=read_pattern(inner, "match") if inner.has("match") else "",
        case=cast("Case", inner.choice("case", ("upper", "lower"), "")),
        values=values,
        strict=inner.flag("strict", default=False),
        default=default,
    )
    if refined.strict and not inner.has("values"):
        inner.complain("strict", "found without `values`; expected the values that are agreed")
    return source if refined == Refined(source) else refined


def _read_values(inner: Table) -> dict[str, str]:
    """Read { values = { found = "made" } }."""
    values: dict[str, str] = {}
    seen: dict[str, str] = {}
    table = inner.table("values")
    for found in table.names():
        values[found.strip()] = table.text(found, "")
        first = seen.setdefault(found.strip().casefold(), found)
        if first != found:
            table.complain(found, f'found it as "{first}" too; case and outer blanks do not count')
    return values


def _check_words(inner: Table, name: str, source: Source, place: Place) -> None:
    """Complain of values in the mapping that are not among the words of their target."""
    if place.table not in {"transactions", "locations"}:
        return
    for key, text in _said(source):
        if name == "kind" and text not in KINDS:
            listed = ", ".join(f'"{kind}"' for kind in KINDS)
            said = f"one of {listed}{nearest(text, KINDS)}"
        elif name == "currency" and text not in CURRENCIES:
            said = f'an ISO 4217 code such as "EUR"{nearest_currency(text)}'
        elif name == "zone" and not is_zone(text):
            said = f'a zone such as "Europe/Paris"{nearest_zone(text)}'
        else:
            continue
        inner.complain(key, f"found {show(text)}; expected {said}")


def _said(source: Source) -> Iterator[tuple[str, str]]:
    """Yield each value that the mapping itself gives, with its key."""
    if isinstance(source, Constant) and source.value:
        yield "const", source.value
    if isinstance(source, Refined):
        yield from _said(source.source)
        yield from ((f"values.{found}", made) for found, made in source.values.items() if made)
        if source.default:
            yield "default", source.default


def _read_when(table: Table, name: str, target: Target) -> Source:
    """Read { date = ..., time = ..., format = ..., zone = ... }."""
    if not isinstance(table.value(name), Mapping):
        table.wrong(name, WHEN)
        return _NOTHING
    inner = table.table(name)
    shape = _shape_of_when(inner)
    date, given = "", None
    if shape in _FROM_FILE:
        given = _FROM_FILE[shape](read_pattern(inner, shape))
    else:
        date = read_column(inner, "date")
    times: tuple[str, ...] = ()
    zone = zone_column = ""
    if target.kind == "instant":
        if inner.has("time"):
            columns = inner.texts("time", "a column's name, or a list such as hour and minute")
            times = tuple(column.strip() for column in columns)
        zone, zone_column = _read_zone(inner)
    written = _read_formats(inner, with_time=bool(times))
    inner.end()
    return When(date, times, written, zone, zone_column, given)


def _shape_of_when(inner: Table) -> str:
    """Return where the date is; a table with none of them lacks `date`."""
    shapes = ("date", *_FROM_FILE)
    there = [shape for shape in shapes if inner.has(shape)]
    if len(there) > 1:
        return one_shape(inner, shapes) or there[0]
    return there[0] if there else "date"


def _read_formats(inner: Table, *, with_time: bool) -> tuple[str, ...]:
    """Read one or several date formats."""
    written = inner.texts("format", 'a date format such as "D/M/YYYY HH:mm", or a list of them')
    for one in written:
        complaint = formats.check(one)
        if complaint is None and with_time and not formats.has_time(one):
            complaint = "the hour is missing (HH), though `time` names a column"
        if complaint:
            inner.complain("format", f"{show(one)}: {complaint}")
    return written


def _read_zone(inner: Table) -> tuple[str, str]:
    """Read a zone's name, or the column that has one: one of the two is empty."""
    if isinstance(inner.value("zone"), Mapping):
        table = inner.table("zone")
        column = read_column(table, "column")
        table.end()
        return "", column
    zone = inner.text("zone", "", "a zone's name or { column = ... }")
    if zone and not is_zone(zone):
        inner.wrong("zone", 'a zone such as "Europe/Paris"', nearest_zone(zone))
    return zone, ""
