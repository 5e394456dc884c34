"""Mapping to SQL: what the fast lane asks DuckDB for.

Promises that a row marked `ok` means what `evaluate` says it means. Whatever SQL cannot tell
exactly is not `ok`, and Python looks at that record: these expressions may refuse too much,
never too little. Never runs anything.

`mapped` has one row for each record, in the file's order: ok, location_id, transaction_id, sold
(wall clock), has_time, offset_s (of a time that names its own), form (which format it is in, if
there are several), then total_minor, the optional columns and what `compile_children` adds. Where
records are grouped, the transaction's own amounts are exact decimals, not yet rounded; `grouped`
then has one row for each transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer import compile_children, moments, values
from tilldrop.importer.compile_cells import (
    FRACTION_DIGITS,
    WHOLE_DIGITS,
    amount_sql,
    minor_sql,
    text_sql,
)
from tilldrop.importer.compile_dates import date_steps, literal
from tilldrop.sources import Computed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.importer.moments import Change
    from tilldrop.importer.plan import Bound, Plan
    from tilldrop.importer.stage import Clean


def can_be_plain(plan: Plan, clean: Clean) -> bool:
    """Tell whether most rows may be good without trimming and with plain numbers only."""
    return not clean.has_odd_blanks and not plan.number.thousands


def mapped_sql(plan: Plan, clean: Clean, read_csv: str, *, is_plain: bool) -> str:
    """Return the query that makes `mapped`.

    read_csv: the call that reads the file into c0, c1, ... as VARCHAR.
    is_plain: cells with outer blanks and numbers with more than digits and a decimal sign are
    not `ok`. Such a query is planned in half the time, which is most of what a small file takes.
    Raises NotInSqlError.
    """
    children = [one for section in plan.sections for one in section.bounds]
    needed = _places((*plan.bounds.values(), *children))
    amounts = _places(_all_amounts(plan))
    bare = _bare if clean.has_odd_blanks else _without_spaces
    cells = [f"c{place}" if is_plain else bare(f"c{place}") for place in needed]
    named = ", ".join(f"{cell} AS t{place}" for cell, place in zip(cells, needed, strict=True))
    numbers = ", ".join(
        f"{_number(plan, place, is_plain=is_plain)} AS n{place}" for place in amounts
    )
    readable = _readable(plan, is_plain=is_plain)
    form = "form, " if len(plan.formats) > 1 else ""
    made = f"{form}{_targets(plan)}{compile_children.sections_sql(plan)}"
    # Each step is a query around the one before, so that what it makes is computed once.
    steps = (
        f"SELECT {named} FROM {read_csv}",  # noqa: S608  our column names, bound path
        f"SELECT *, {numbers}",
        *date_steps(plan),
        f"SELECT {readable} AS readable, sold, has_time, offset_s, {made}",
        f"SELECT * EXCLUDE (readable), {_ok(plan)} AS ok",
    )
    return _nested(steps)


def numbered(clean: Clean) -> str:
    """Return `mapped` with physical lines, to select from.

    DuckDB keeps insertion order and numbers rows from 0, also where it reads with two threads;
    a window function would keep it to one.
    """
    return f"(SELECT rowid + {clean.first_record_line} AS line, * FROM mapped)"  # noqa: S608


def grouped_sql(plan: Plan, rows: str) -> str:
    """Return the query that makes `grouped`. rows: numbered ones, those to be grouped.

    `complete` is false where a date or a total is missing or an amount is out of range;
    `differs` tells that there were several times.
    """
    joined = [_joined(one) for one in (plan.total, *plan.optional)]
    minor = [f"{minor_sql(name, one.digits or 0)} AS {name}" for name, one in plan.amounts.items()]
    own = "coalesce(offset_s, -1)"  # no zone is a second off
    dated = "FILTER (sold IS NOT NULL)"
    differs = f"min(sold) <> max(sold) OR min({own}) {dated} <> max({own}) {dated}"
    complete = _all_true(("sold IS NOT NULL", "total_minor IS NOT NULL", *_in_range(plan)))
    group = (
        "SELECT min(line) AS line, location_id, transaction_id, arg_min(sold, line) AS sold,"  # noqa: S608
        f" arg_min(has_time, line) {dated} AS has_time, arg_min({own}, line) {dated} AS own,"
        f" coalesce({differs}, false) AS differs, {', '.join(joined)} FROM {rows}"
        " GROUP BY location_id, transaction_id"
    )
    amounts = ", ".join(plan.amounts)
    rounded = f"SELECT * EXCLUDE ({amounts}, own), nullif(own, -1) AS offset_s, {', '.join(minor)}"
    return _nested((group, rounded, f"SELECT *, {complete} AS complete"))


def candidates_sql(plan: Plan, table: str, start_s: int, changes: list[Change]) -> str:
    """Return the query that gives `staged` its columns.

    table: `grouped`, or numbered rows. start_s, changes: the zone's offsets over the file's span.
    """
    offset = literal(moments.offset_text(start_s))
    clock = "sold"
    if changes:
        branches = [f"WHEN sold < {_timestamp(one.until)} THEN" for one in changes]
        texts = [literal(moments.offset_text(one.before_s)) for one in changes]
        pairs = " ".join(f"{when} {text}" for when, text in zip(branches, texts, strict=True))
        offset = f"CASE {pairs} ELSE {literal(moments.offset_text(changes[-1].after_s))} END"
        clock = _shifted(changes)
    own = (
        "CASE WHEN offset_s < 0 THEN '-' ELSE '+' END"
        " || printf('%02d:%02d', abs(offset_s) // 3600, abs(offset_s) // 60 % 60)"
    )
    optional = "".join(f", {one.column.name}" for one in plan.optional)
    return (
        "SELECT line, location_id, transaction_id,"  # noqa: S608  column names and literals
        f" CASE WHEN offset_s IS NULL THEN strftime({clock}, '%Y-%m-%dT%H:%M:%S') || {offset}"
        f" ELSE strftime(sold, '%Y-%m-%dT%H:%M:%S') || {own} END AS sold_at,"
        " strftime(sold, '%Y-%m-%d') AS business_date, has_time::INTEGER AS has_time,"
        " CASE WHEN total_minor < 0 THEN 'refund' ELSE 'sale' END AS kind, total_minor,"
        f" {literal(plan.currency)} AS currency{optional} FROM {table}"
        f" WHERE {'complete' if plan.is_grouped else 'ok'}"
    )


def warnings_sql(plan: Plan, table: str, changes: list[Change]) -> str:
    """Return the query for rows whose time was skipped or happened twice: line, code, seen."""
    skipped = _within((one.until, one.until_after) for one in changes if one.is_forward)
    twice = _within((one.until_after, one.until) for one in changes if not one.is_forward)
    return (
        f"SELECT line, CASE WHEN {skipped} THEN 'time-skipped' ELSE 'time-ambiguous' END,"  # noqa: S608
        f" strftime(sold, '%Y-%m-%d %H:%M') FROM {table} WHERE has_time AND offset_s IS NULL"
        f" AND ({skipped} OR {twice}) AND {'complete' if plan.is_grouped else 'ok'}"
    )


def _nested(steps: Iterable[str]) -> str:
    query = ""
    for step in steps:
        query = f"{step} FROM ({query})" if query else step
    return query


def _all_amounts(plan: Plan) -> list[Bound]:
    """Return all that is read as a number."""
    children = [one for section in plan.sections for one in section.bounds]
    return [one for one in (*plan.amounts.values(), *children) if one.digits is not None]


def _places(bounds: Iterable[Bound]) -> list[int]:
    return sorted({place for one in bounds for place in one.places})


def _without_spaces(cell: str) -> str:
    """Remove outer spaces; NULL if nothing is left. Most cells have none, and trim is slow."""
    has_space = f"prefix({cell}, ' ') OR suffix({cell}, ' ')"
    return f"nullif(CASE WHEN {has_space} THEN trim({cell}) ELSE {cell} END, '')"


def _bare(cell: str) -> str:
    """Remove outer blanks of all kinds; NULL if nothing is left."""
    blanks = literal(values.BLANKS)
    has_blank = f"regexp_matches({cell}, {literal(f'^[{values.BLANKS}]|[{values.BLANKS}]$')})"
    return f"nullif(CASE WHEN {has_blank} THEN trim({cell}, {blanks}) ELSE {cell} END, '')"


def _number(plan: Plan, place: int, *, is_plain: bool) -> str:
    """Read a DECIMAL(18,6), NULL if there is no number or too long a one."""
    cell, mark = f"t{place}", plan.number.decimal
    form = f"-?[0-9]{{1,{WHOLE_DIGITS}}}(?:[{mark}][0-9]{{1,{FRACTION_DIGITS}}})?"
    plain = f"WHEN regexp_full_match({cell}, {literal(form)}) THEN {_decimal(cell, mark)}"
    if is_plain:
        return f"CASE {plain} END"
    form = plan.number.pattern(WHOLE_DIGITS, FRACTION_DIGITS)
    digits = _decimal(f"regexp_replace({cell}, '[^0-9{mark}]', '', 'g')", mark)
    sign = f"CASE WHEN regexp_matches({cell}, '[-\u2212(]') THEN -1 ELSE 1 END"
    return (
        f"CASE {plain} WHEN regexp_full_match({cell}, {literal(form)})"
        f" THEN CAST({digits} * {sign} AS DECIMAL(18,6)) END"
    )


def _decimal(digits: str, mark: str) -> str:
    digits = digits if mark == "." else f"replace({digits}, {literal(mark)}, '.')"
    return f"TRY_CAST({digits} AS DECIMAL(18,6))"


def _targets(plan: Plan) -> str:
    """Return the columns of `mapped`, amounts rounded if the row is a whole transaction."""
    texts = [one for one in plan.bounds.values() if one.digits is None and one is not plan.sold_at]
    parts = [f"{text_sql(one)} AS {one.column.name}" for one in texts]
    for name, one in plan.amounts.items():
        amount = amount_sql(plan, one)
        if not plan.is_grouped:
            # 64 bits do for a cell, and take a quarter of the time.
            width = 38 if isinstance(one.source, Computed) else 18
            amount = minor_sql(amount, one.digits or 0, width)
        parts.append(f"{amount} AS {name}")
    return ", ".join(parts)


def _readable(plan: Plan, *, is_plain: bool) -> str:
    """Tell whether every cell that is not empty was read, as far as NULL cannot tell."""
    places = _places(_all_amounts(plan))
    terms = [f"(n{place} IS NOT NULL OR t{place} IS NULL)" for place in places]
    if is_plain:
        children = (one for section in plan.sections for one in section.bounds)
        bounds = (*plan.bounds.values(), *children)
        texts = [one for one in bounds if one.digits is None and one is not plan.sold_at]
        padded = (f"prefix(t{place}, ' ') OR suffix(t{place}, ' ')" for place in _places(texts))
        terms += [f"coalesce(NOT ({term}), true)" for term in padded]
    if plan.is_grouped:
        terms.append(f"(sold IS NOT NULL OR t{plan.sold_at.places[0]} IS NULL)")
        # An expression of which a part is empty is a fault; one that is empty whole is not.
        empty = " AND ".join(f"t{place} IS NULL" for place in plan.total.places)
        full = " AND ".join(f"t{place} IS NOT NULL" for place in plan.total.places)
        terms.append(f"(({empty}) OR ({full}))")
    return _all_true(terms)


def _ok(plan: Plan) -> str:
    terms = ["readable", "location_id IS NOT NULL", "transaction_id IS NOT NULL"]
    if not plan.is_grouped:
        terms += ["sold IS NOT NULL", "total_minor IS NOT NULL", *_in_range(plan)]
    return _all_true((*terms, *compile_children.in_range(plan)))


def _in_range(plan: Plan) -> list[str]:
    return [f"coalesce(abs({name}) < {values.MINOR_LIMIT}, true)" for name in plan.amounts]


def _all_true(terms: Iterable[str]) -> str:
    return f"coalesce({' AND '.join(terms)}, false)"


def _joined(bound: Bound) -> str:
    """Add amounts that are to be added; of all else take the first that is not empty."""
    name = bound.column.name
    return f"sum({name}) AS {name}" if bound.adds else f"arg_min({name}, line) AS {name}"


def _timestamp(at: object) -> str:
    return f"TIMESTAMP '{at}'"


def _within(spans: Iterable[tuple[object, object]]) -> str:
    terms = [f"sold >= {_timestamp(first)} AND sold < {_timestamp(end)}" for first, end in spans]
    return f"({' OR '.join(terms) or 'false'})"


def _shifted(changes: list[Change]) -> str:
    """Add as much as was skipped to a time that the clocks jumped over."""
    branches = " ".join(
        f"WHEN {_within([(one.until, one.until_after)])}"
        f" THEN sold + INTERVAL {one.after_s - one.before_s} SECOND"
        for one in changes
        if one.is_forward
    )
    return f"CASE {branches} ELSE sold END" if branches else "sold"
