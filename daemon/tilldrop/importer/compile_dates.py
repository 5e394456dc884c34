"""Date formats to SQL: the part of a compiled mapping that reads `sold_at`.

Promises that what it reads is what `moments.read_moment` reads; every format is guarded by that
module's own pattern. What it leaves NULL, Python looks at. Never runs anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tilldrop import formats
from tilldrop.importer import moments

if TYPE_CHECKING:
    from tilldrop.importer.plan import Plan


class NotInSqlError(Exception):
    """This feed or file needs the careful lane; nothing is wrong with it."""


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


_STRPTIME = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%m",
    "DD": "%d",
    "D": "%d",
    "HH": "%H",
    "H": "%H",
    "hh": "%I",
    "h": "%I",
    "mm": "%M",
    "m": "%M",
    "ss": "%S",
    "s": "%S",
    "fff": "%f",
    "a": "%p",
}
_OFFSET = "(?:[Zz]|[+\\-][0-9]{2}(?::?[0-9]{2})?)$"
_NAMED_GROUP = re.compile(r"\(\?P<\w+>")


def date_steps(plan: Plan) -> tuple[str, ...]:
    """Return the steps that make sold, has_time and offset_s of the cells t0, t1, ...

    Where there are several formats, `form` tells which one it is. Raises NotInSqlError where
    a format cannot be read in SQL.
    """
    date, *time = (f"t{place}" for place in plan.sold_at.places)
    text = date + "".join(f" || coalesce(' ' || {cell}, '')" for cell in time)
    written = plan.formats
    zoned = [index for index, one in enumerate(written) if _has_offset(one)]
    offset = _offset_text(written, zoned) if zoned else "''"
    readings = ", ".join(f"{_reading(one)} AS l{index}" for index, one in enumerate(written))
    local = ", ".join(f"l{index}" for index in range(len(written)))
    timed = " ".join(
        f"WHEN l{index} IS NOT NULL THEN {_timed(one)}" for index, one in enumerate(written)
    )
    named = " ".join(
        f"WHEN l{index} IS NOT NULL THEN {_offset_s() if index in zoned else 'NULL'}"
        for index in range(len(written))
    )
    first, last = f"DATE '{moments.FIRST_YEAR}-01-01'", f"DATE '{moments.LAST_YEAR + 1}-01-01'"
    chosen = f"coalesce({local})"
    if any("fff" in one or one == "iso" for one in written):
        chosen = f"date_trunc('second', {chosen})"
    forms = " ".join(f"WHEN l{index} IS NOT NULL THEN {index}" for index in range(len(written)))
    beside = f"(CASE {timed} END) AS has_time, CAST(CASE {named} END AS INTEGER) AS offset_s"
    if len(written) > 1:
        beside += f", CAST(CASE {forms} END AS UTINYINT) AS form"
    return (
        f"SELECT *, {text} AS d",
        f"SELECT *, {offset} AS o",
        f"SELECT *, {_body(zoned)} AS b",
        f"SELECT *, {readings}",
        f"SELECT *, {chosen} AS local, {beside}",
        f"SELECT *, CASE WHEN local >= {first} AND local < {last} THEN local END AS sold",
    )


def _has_offset(written: str) -> bool:
    """Tell whether a format may name an offset, which SQL finds only at the end."""
    if written in formats.NAMED:
        return written == "iso"
    fields = [token.field for token in formats.tokens(written)]
    if "Z" in fields[:-1] or "z" in fields:
        raise NotInSqlError(written)
    return "Z" in fields


def _offset_text(written: tuple[str, ...], zoned: list[int]) -> str:
    """Find the offset at the end of d; '' if it has none."""
    found = f"regexp_extract(d, {literal(_OFFSET)})"
    if any(written[index] != "iso" for index in zoned):
        return found
    # Most have none, and the shape tells without a search.
    bare = "length(d) <= 16 OR (length(d) = 19 AND substr(d, 17, 1) = ':')"
    return f"CASE WHEN {bare} THEN '' ELSE {found} END"


def _body(zoned: list[int]) -> str:
    """Take the offset off d, which strptime would read in its own way."""
    return "CASE WHEN o = '' THEN d ELSE left(d, length(d) - length(o)) END" if zoned else "d"


def _offset_s() -> str:
    digits = "CAST(substr(o, 2, 2) AS INTEGER) * 3600"
    minutes = "CASE WHEN length(o) > 3 THEN CAST(right(o, 2) AS INTEGER) * 60 ELSE 0 END"
    sign = "CASE WHEN left(o, 1) = '-' THEN -1 ELSE 1 END"
    seconds = f"{sign} * ({digits} + {minutes})"
    return f"CASE o WHEN '' THEN NULL WHEN 'Z' THEN 0 WHEN 'z' THEN 0 ELSE {seconds} END"


def _guard(written: str) -> str:
    """Tell in SQL whether d has the shape of a format."""
    pattern = _NAMED_GROUP.sub("(?:", moments.date_pattern(written))
    # DuckDB's clock has six places; a longer fraction is left to Python.
    pattern = pattern.replace("[0-9]{1,9}", "[0-9]{1,6}")
    return f"regexp_full_match(d, {literal(pattern)})"


def _timed(written: str) -> str:
    if written == "iso":
        return "length(d) > 10"
    if written == "compact":
        return "length(d) > 8"
    return "true" if formats.has_time(written) else "false"


def _reading(written: str) -> str:
    """Read the wall clock that d shows if it is written in this format, else NULL."""
    if written == "epoch":
        raise NotInSqlError(written)
    if written == "iso":
        value = "TRY_CAST(rtrim(b) AS TIMESTAMP)"
    elif written == "compact":
        value = _compact()
    else:
        value = _strptime(written)
    return f"CASE WHEN {_guard(written)} THEN {value} END"


def _compact() -> str:
    lengths = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 13: "%Y%m%d %H%M", 14: "%Y%m%d%H%M%S"}
    lengths[15] = "%Y%m%d %H%M%S"
    text = "replace(d, 'T', ' ')"
    whens = " ".join(
        f"WHEN {length} THEN try_strptime({text}, '{form}')" for length, form in lengths.items()
    )
    return f"CASE length(d) {whens} END"


def _strptime(written: str) -> str:
    text, form = "b", ""
    for token in formats.tokens(written):
        if token.field == "MMM":
            text = f"regexp_replace({text}, '([A-Za-z]{{3}})[A-Za-z]+', '\\1')"
        if token.field == "a":
            text = f"regexp_replace({text}, '([AaPp])[.]([Mm])[.]', '\\1\\2')"
        form += _STRPTIME.get(token.field, "") if token.field else token.text.replace("%", "%%")
    return f"try_strptime({text}, {literal(form)})"
