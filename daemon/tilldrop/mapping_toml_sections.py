"""The tables below a feed, read from TOML: its map, sections, columns more and control figures.

Owns how `repeat` and `{n}` become several sections. Used by `mapping_toml` alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from tilldrop import sql_expression
from tilldrop.mapping import (
    Conditions,
    Control,
    Feed,
    Section,
    Target,
    required_targets,
    targets,
)
from tilldrop.mapping_toml_reading import ABOVE, FEED_KEYS
from tilldrop.mapping_toml_sources import (
    COLUMN,
    DATES,
    WHEN,
    Place,
    one_shape,
    read_column,
    read_pattern,
    read_source,
)
from tilldrop.rows import CHILDREN
from tilldrop.sources import Lookup, Sql, columns_of
from tilldrop.toml_table import nearest, show

if TYPE_CHECKING:
    from tilldrop.sources import Source
    from tilldrop.toml_table import Table

_MAX_REPEAT = 99
_MASTERS = ("products", "shoppers", "locations")
_FIGURES = ("records", "transactions", "total")
_COMPANION = re.compile(r"\{(.*?)\}")


def read_map(table: Table, feed: Feed) -> tuple[dict[str, Source], Conditions]:
    """Read [feeds.map] and the `where` in it. feed: what was read so far."""
    if not table.has("map"):
        table.missing("map", "the table [feeds.map]")
        return {}, {}
    inner = table.table("map")
    where = read_conditions(inner, "where") if feed.table == "transactions" else {}
    if where and not feed.is_grouped:
        inner.complain("where", "found where each record is a row; expected `only` in [[feeds]]")
    place = Place(feed.table, grouped=feed.is_grouped)
    sources: dict[str, Source] = {}
    for name, target in targets(feed.table).items():
        if inner.has(name):
            sources[name] = read_source(inner, name, target, place)
        elif name in required_targets(feed):
            inner.missing(name, _example(target))
    inner.end(FEED_KEYS, ABOVE)
    return sources, where


def read_conditions(table: Table, key: str) -> Conditions:
    """Read which values of which columns take or leave a record."""
    if not table.has(key):
        return {}
    inner = table.table(key)
    conditions: Conditions = {}
    for column in inner.names():
        value = inner.value(column)
        several: list[object] = value if isinstance(value, list) else [value]
        texts = tuple(one for one in several if isinstance(one, str))
        if not column.strip():
            inner.complain(column, f"found an empty name; expected {COLUMN}")
        elif several and texts == tuple(several):
            conditions[column.strip()] = texts
        else:
            inner.wrong(column, 'a text or a list of texts; "" is an empty cell')
    return conditions


def read_sections(table: Table, feed: Feed) -> tuple[Section, ...]:
    """Read [feeds.line_items], [feeds.tenders] and [feeds.taxes], each once or several times."""
    sections: list[Section] = []
    for name in CHILDREN:
        if not table.has(name):
            continue
        value = table.value(name)
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(one, Mapping) for one in several):
            table.wrong(name, f"the table [feeds.{name}], or several [[feeds.{name}]]")
        elif feed.table != "transactions":
            table.complain(name, f'found with table = "{feed.table}"; only transactions have them')
        else:
            for number, raw in enumerate(several, start=1):
                key = f"{name}.{number}" if isinstance(value, list) else name
                sections += _read_repeated(table, raw, name, key)
    return tuple(sections)


def _read_repeated(
    table: Table, raw: Mapping[str, object], name: str, key: str
) -> tuple[Section, ...]:
    """Read a section, as many times as its `repeat` says."""
    written = table.inner(raw, key)
    if not written.has("repeat"):
        if "{n}" in str(raw):
            written.complain("repeat", "missing; expected a number, as {n} stands in the section")
        return (_read_section(written, name),)
    times = written.whole("repeat", 1, 1, _MAX_REPEAT)
    if "{n}" not in str(raw):
        written.complain("repeat", "found without {n}; expected {n} in a column's name")
    sections = []
    for n in range(1, times + 1):
        numbered = table.inner(cast("Mapping[str, object]", _numbered(raw, str(n))), key)
        numbered.has("repeat")
        sections.append(_read_section(numbered, name))
        if numbered.failed:
            break  # the others have the same mistakes
    return tuple(sections)


def _numbered(value: object, n: str) -> object:
    """Put a number for {n} wherever it stands."""
    if isinstance(value, str):
        return value.replace("{n}", n)
    if isinstance(value, list):
        return [_numbered(one, n) for one in value]
    if isinstance(value, Mapping):
        return {_numbered(key, n): _numbered(one, n) for key, one in value.items()}
    return value


def _read_section(inner: Table, name: str) -> Section:
    """Read one section. name: of its table."""
    inner.has("repeat")
    where = read_conditions(inner, "where")
    once = inner.flag("once", default=False)
    place = Place(name, grouped=False)
    sources = {
        target: read_source(inner, target, kind, place)
        for target, kind in targets(name).items()
        if inner.has(target)
    }
    inner.end(FEED_KEYS, ABOVE)
    if not inner.failed and not any(columns_of(source) for source in sources.values()):
        expected = "at least one target that takes a column, or no record would give a row"
        inner.complain("", f"found {', '.join(sources) or 'no target'}; expected {expected}")
    return Section(name, sources, where, once)


def read_columns(table: Table) -> dict[str, Lookup | Sql]:
    """Read [feeds.columns]; each may use those above it."""
    columns: dict[str, Lookup | Sql] = {}
    inner = table.table("columns")
    below = {name.strip().casefold(): None for name in inner.names()}
    for name in inner.names():
        if not name.strip():
            inner.complain(name, "found an empty name; expected a name for the column")
        if not isinstance(inner.value(name), Mapping):
            inner.wrong(name, '{ lookup = "products.price", by = "Item" } or { sql = "..." }')
            continue
        one = inner.table(name)
        shape = one_shape(one, ("lookup", "sql"))
        if not shape:
            continue
        made = _read_lookup(one) if shape == "lookup" else _read_sql(one)
        one.end()
        used = (made.by,) if isinstance(made, Lookup) else made.columns
        for column in used:
            if column and column.strip().casefold() in below:
                one.complain(shape, f"found {show(column)}, which is made below or here itself")
        below.pop(name.strip().casefold(), None)
        columns[name.strip()] = made
    return columns


def _read_lookup(inner: Table) -> Lookup:
    """Read { lookup = "products.price", by = "Item" }."""
    written = inner.text("lookup", "", 'a table and its column, such as "products.price"')
    by = read_column(inner, "by")
    table, _, column = written.partition(".")
    if not isinstance(inner.value("lookup"), str):
        return Lookup("", "", by)
    if table not in _MASTERS:
        listed = ", ".join(_MASTERS)
        inner.wrong("lookup", f"TABLE.COLUMN of one of {listed}{nearest(table, _MASTERS)}")
        return Lookup("", "", by)
    known = [name for name, target in targets(table).items() if not target.key]
    if column not in known:
        listed = ", ".join(known)
        inner.wrong("lookup", f"a column of {table}: {listed}{nearest(column, known)}")
    return Lookup(table, column, by)


def _read_sql(inner: Table) -> Sql:
    """Read { sql = "..." }."""
    written = inner.text("sql", "", "a DuckDB expression")
    if not isinstance(inner.value("sql"), str):
        return Sql("", ())
    columns, complaint = sql_expression.check(written)
    if complaint:
        inner.complain("sql", f"{show(written)}: {complaint}")
    return Sql(written, columns)


def read_controls(table: Table, feed: Feed) -> tuple[Control, ...]:
    """Read [feeds.control]."""
    inner = table.table("control")
    controls = []
    figures = _FIGURES if feed.table == "transactions" else ("records",)
    for figure in figures:
        if not inner.has(figure):
            continue
        if not isinstance(inner.value(figure), Mapping):
            inner.wrong(figure, "a table such as { line = '^T;([0-9]+)' }")
            continue
        controls.append(_read_control(inner.table(figure), figure))
    inner.end()
    return tuple(controls)


def _read_control(inner: Table, figure: str) -> Control:
    """Read where one declared figure stands."""
    shape = one_shape(inner, ("line", "file_name", "companion"))
    control = Control(figure)
    if shape == "line":
        control = Control(figure, line=read_pattern(inner, "line"))
    elif shape == "file_name":
        control = Control(figure, file_name=read_pattern(inner, "file_name"))
    elif shape == "companion":
        if not inner.has("match"):
            inner.missing("match", "a regular expression with one group")
        match = read_pattern(inner, "match") if inner.has("match") else ""
        control = Control(figure, companion=_read_companion(inner), match=match)
    if shape:
        inner.end()
    return control


def _read_companion(inner: Table) -> str:
    """Read the name of the file that belongs to a file."""
    name = inner.text("companion", "", 'a name such as "{stem}.ctl"')
    if not isinstance(inner.value("companion"), str):
        return name
    unknown = [one for one in _COMPANION.findall(name) if one not in {"name", "stem"}]
    if unknown:
        inner.complain("companion", f"found {{{unknown[0]}}}; expected {{name}} or {{stem}}")
    elif name == "{name}" or not name.strip() or "\\" in name or name.startswith("/"):
        inner.wrong("companion", 'the name of another file, such as "{stem}.ctl"')
    return name


def _example(target: Target) -> str:
    """Say what a required target may be made of."""
    return WHEN if target.kind in DATES else f'{COLUMN}, such as "Total"'
