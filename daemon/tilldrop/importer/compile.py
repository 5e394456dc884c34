"""Mapping to SQL: what the fast lane asks DuckDB for.

Promises that a row marked `ok` means what `evaluate` says it means. Whatever SQL cannot tell
exactly is not `ok`, and Python looks at that record: these expressions may refuse too much,
never too little. Never runs anything.

`mapped` has one row for each record, in the file's order: ok, location_id, transaction_id, sold
(wall clock), has_time, offset_s (of a time that names its own), then total_minor and the
optional columns; in a per-line feed total and the optional amounts are exact decimals. `numbered`
is the same with `line`; `grouped` has one row for each transaction of a per-line feed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer import values
from tilldrop.importer.compile_dates import date_steps, literal
from tilldrop.importer.plan import columns_of
from tilldrop.mapping import Computed, FromColumn, Joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Clean
    from tilldrop.importer.values import Change
    from tilldrop.mapping import Source

# Cells up to this long fit DECIMAL(18,6), which DuckDB holds in 64 bits.
WHOLE_DIGITS = 12
FRACTION_DIGITS = 6


def mapped_sql(plan: Plan, clean: Clean, read_csv: str) -> str:
    """Return the query that makes `mapped`.

    read_csv: the call that reads the file into c0, c1, ... as VARCHAR. Raises NotInSqlError.
    """
    bare = _bare if clean.has_odd_blanks else _without_spaces
    needed = _places(plan, plan.feed.sources.values())
    amounts = _places(plan, _amounts(plan).values())
    raw = ", ".join(f"c{index}" for index in needed)
    cells = ", ".join(f"{bare(f'c{index}')} AS t{index}" for index in needed)
    numbers = ", ".join(f"{_number(plan, f't{index}')} AS n{index}" for index in amounts)
    # Each step is a query around the one before, so that what it makes is computed once.
    steps = (
        f"SELECT {raw} FROM {read_csv}",  # noqa: S608  our column names, bound path
        f"SELECT {cells}",
        f"SELECT *, {numbers}",
        *date_steps(plan),
        f"SELECT {_readable(plan)} AS readable, sold, has_time, offset_s, {_targets(plan)}",
        f"SELECT * EXCLUDE (readable), {_ok(plan)} AS ok",
    )
    return _nested(steps)


def numbered_sql(clean: Clean) -> str:
    """Return the query that gives `mapped` its physical lines.

    DuckDB keeps insertion order and numbers rows from 0, also where it reads with two threads;
    a window function would keep it to one.
    """
    return f"SELECT rowid + {clean.first_record_line} AS line, * FROM mapped"  # noqa: S608


def grouped_sql(plan: Plan, rows: str) -> str:
    """Return the query that makes `grouped` of rows of `numbered`.

    `complete` is false where a date or a total is missing or an amount is out of range;
    `differs` tells that there were several times.
    """
    joined = [_joined(plan, plan.total, "total")]
    joined += [_joined(plan, one.source, one.column.name) for one in plan.optional]
    minor = [f"{_minor(name, digits)} AS {_stored(name)}" for name, digits in _digits(plan).items()]
    own = "coalesce(offset_s, -1)"  # no zone is a second off
    dated = "FILTER (sold IS NOT NULL)"
    differs = f"min(sold) <> max(sold) OR min({own}) {dated} <> max({own}) {dated}"
    complete = _all_true(("sold IS NOT NULL", "total_minor IS NOT NULL", *_in_range(plan)))
    group = (
        "SELECT min(line) AS line, location_id, transaction_id, arg_min(sold, line) AS sold,"
        f" arg_min(has_time, line) {dated} AS has_time, arg_min({own}, line) {dated} AS own,"
        f" coalesce({differs}, false) AS differs, {', '.join(joined)} FROM {rows}"
        " GROUP BY location_id, transaction_id"
    )
    amounts = ", ".join(_amounts(plan))
    rounded = f"SELECT * EXCLUDE ({amounts}, own), nullif(own, -1) AS offset_s, {', '.join(minor)}"
    return _nested((group, rounded, f"SELECT *, {complete} AS complete"))


def candidates_sql(plan: Plan, table: str, start_s: int, changes: list[Change]) -> str:
    """Return the query that gives `staged` its columns.

    table: `numbered` or `grouped`. start_s, changes: the zone's offsets over the file's span.
    """
    offset = literal(values.offset_text(start_s))
    clock = "sold"
    if changes:
        branches = [f"WHEN sold < {_timestamp(one.until)} THEN" for one in changes]
        texts = [literal(values.offset_text(one.before_s)) for one in changes]
        pairs = " ".join(f"{when} {text}" for when, text in zip(branches, texts, strict=True))
        offset = f"CASE {pairs} ELSE {literal(values.offset_text(changes[-1].after_s))} END"
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


def _places(plan: Plan, sources: Iterable[Source]) -> list[int]:
    return sorted({plan.place(name) for source in sources for name in columns_of(source)})


def _amounts(plan: Plan) -> dict[str, Source]:
    """Return the sources of amounts by the name they have in a per-line `mapped`."""
    optional = {one.column.name: one.source for one in plan.optional if one.digits is not None}
    return {"total": plan.total, **optional}


def _digits(plan: Plan) -> dict[str, int]:
    optional = {one.column.name: one.digits for one in plan.optional if one.digits is not None}
    return {"total": plan.digits, **optional}


def _stored(name: str) -> str:
    return "total_minor" if name == "total" else name


def _without_spaces(cell: str) -> str:
    """Remove outer spaces; NULL if nothing is left. Most cells have none, and trim is slow."""
    has_space = f"prefix({cell}, ' ') OR suffix({cell}, ' ')"
    return f"nullif(CASE WHEN {has_space} THEN trim({cell}) ELSE {cell} END, '')"


def _bare(cell: str) -> str:
    """Remove outer blanks of all kinds; NULL if nothing is left."""
    blanks = literal(values.BLANKS)
    has_blank = f"regexp_matches({cell}, {literal(f'^[{values.BLANKS}]|[{values.BLANKS}]$')})"
    return f"nullif(CASE WHEN {has_blank} THEN trim({cell}, {blanks}) ELSE {cell} END, '')"


def _number(plan: Plan, cell: str) -> str:
    """Read a DECIMAL(18,6), NULL if there is no number or too long a one."""
    mark = plan.number.decimal
    plain = f"-?[0-9]{{1,{WHOLE_DIGITS}}}(?:[{mark}][0-9]{{1,{FRACTION_DIGITS}}})?"
    any_form = plan.number.pattern(WHOLE_DIGITS, FRACTION_DIGITS)
    digits = f"regexp_replace({cell}, '[^0-9{mark}]', '', 'g')"
    cast = "TRY_CAST(replace({}, {}, '.') AS DECIMAL(18,6))"
    sign = f"CASE WHEN regexp_matches({cell}, '[-\u2212(]') THEN -1 ELSE 1 END"
    return (
        f"CASE WHEN regexp_full_match({cell}, {literal(plain)})"
        f" THEN {cast.format(cell, literal(mark))}"
        f" WHEN regexp_full_match({cell}, {literal(any_form)})"
        f" THEN CAST({cast.format(digits, literal(mark))} * {sign} AS DECIMAL(18,6)) END"
    )


def _text(plan: Plan, source: Source, target: str) -> str:
    if target in plan.fixed:
        return literal(plan.fixed[target])
    cells = [f"t{plan.place(name)}" for name in columns_of(source)]
    glue = source.glue if isinstance(source, Joined) else ""
    return f" || {literal(glue)} || ".join(cells)


def _amount(plan: Plan, source: Source) -> str:
    if isinstance(source, FromColumn):
        return f"n{plan.place(source.column)}"
    if isinstance(source, Computed):
        return _arithmetic(plan, source.tree)
    raise TypeError(source)


def _arithmetic(plan: Plan, tree: tuple[object, ...]) -> str:
    """Compute in 128 bits, where the scales of factors add up; DuckDB says if they do not fit."""
    match tree:
        case ("number", str(text)):
            return f"CAST({literal(text)} AS DECIMAL(38,{len(text.partition('.')[2])}))"
        case ("column", str(name)):
            return f"CAST(n{plan.place(name)} AS DECIMAL(38,{FRACTION_DIGITS}))"
        case ("negate", tuple(operand)):
            return f"(- {_arithmetic(plan, operand)})"
        case ("+" | "-" | "*" as sign, tuple(left), tuple(right)):
            return f"({_arithmetic(plan, left)} {sign} {_arithmetic(plan, right)})"
    raise ValueError(tree)


def _minor(amount: str, digits: int, width: int = 38) -> str:
    """Round half away from zero, as DuckDB's casts between decimals do."""
    return f"CAST(CAST({amount} AS DECIMAL({width},{digits})) * {10**digits} AS BIGINT)"


def _targets(plan: Plan) -> str:
    """Return the columns of `mapped`, amounts rounded if the row is a whole transaction."""
    sources = plan.feed.sources
    parts = [f"{_text(plan, sources[name], name)} AS {name}" for name in _KEY]
    for name, digits in _digits(plan).items():
        amount = _amount(plan, _amounts(plan)[name])
        if plan.is_grouped:
            parts.append(f"{amount} AS {name}")
        else:
            # 64 bits do for a cell, and take a quarter of the time.
            width = 18 if isinstance(_amounts(plan)[name], FromColumn) else 38
            parts.append(f"{_minor(amount, digits, width)} AS {_stored(name)}")
    parts += [
        f"{_text(plan, one.source, one.name)} AS {one.column.name}"
        for one in plan.optional
        if one.digits is None
    ]
    return ", ".join(parts)


_KEY = ("location_id", "transaction_id")


def _readable(plan: Plan) -> str:
    """Tell whether every cell that is not empty was read, as far as NULL cannot tell."""
    places = _places(plan, _amounts(plan).values())
    terms = [f"(n{index} IS NOT NULL OR t{index} IS NULL)" for index in places]
    if plan.is_grouped:
        terms.append(f"(sold IS NOT NULL OR t{plan.place(plan.sold_at.date)} IS NULL)")
        # An expression of which a part is empty is a fault; one that is empty whole is not.
        total = _places(plan, [plan.total])
        empty = " AND ".join(f"t{index} IS NULL" for index in total)
        full = " AND ".join(f"t{index} IS NOT NULL" for index in total)
        terms.append(f"(({empty}) OR ({full}))")
    return _all_true(terms)


def _ok(plan: Plan) -> str:
    terms = ["readable", *(f"{name} IS NOT NULL" for name in _KEY)]
    if not plan.is_grouped:
        terms += ["sold IS NOT NULL", "total_minor IS NOT NULL", *_in_range(plan)]
    return _all_true(terms)


def _in_range(plan: Plan) -> list[str]:
    return [
        f"coalesce(abs({_stored(name)}) < {values.MINOR_LIMIT}, true)" for name in _digits(plan)
    ]


def _all_true(terms: Iterable[str]) -> str:
    return f"coalesce({' AND '.join(terms)}, false)"


def _joined(plan: Plan, source: Source, name: str) -> str:
    """Add amounts that are to be added; of all else take the first that is not empty."""
    if plan.adds(source):
        return f"sum({name}) AS {name}"
    return f"arg_min({name}, line) AS {name}"


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
