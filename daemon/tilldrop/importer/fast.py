"""The fast lane: DuckDB reads and maps a whole file in a few statements.

Promises the careful lane's rows, faults and figures, or None: whatever DuckDB refuses, computes
inexactly or reads otherwise than Python goes to the careful lane. A record that SQL does not
find good is judged by `evaluate`, so there is one opinion on what is wrong with it.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import duckdb

from tilldrop.importer import moments, values
from tilldrop.importer.cells import Unreadable
from tilldrop.importer.compile import (
    can_be_plain,
    candidates_sql,
    grouped_sql,
    mapped_sql,
    numbered,
    warnings_sql,
)
from tilldrop.importer.compile_children import children_sql
from tilldrop.importer.compile_dates import NotInSqlError, literal
from tilldrop.importer.drafts import (
    BUFFER_BYTES,
    Found,
    Refusals,
    Rows,
    child_columns,
    load_refused,
)
from tilldrop.importer.evaluate import Evaluation
from tilldrop.importer.evaluate_children import Sections
from tilldrop.importer.plan import lay
from tilldrop.importer.records import TEXT_KEPT_CHARS, fit, parse_line
from tilldrop.importer.settle import KEY, overtake, settle
from tilldrop.mapping import is_plain
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Clean, Context, Staged
    from tilldrop.mapping import Feed
    from tilldrop.rows import Column

_FACTS = (
    "SELECT count(*), count(*) FILTER (ok), min(sold) FILTER (ok), max(sold) FILTER (ok),"  # noqa: S608
    f" count(DISTINCT hash({KEY})) FILTER (ok) FROM mapped"
)
HALF_GOOD = 0.5  # a file with more faults than this is likely refused; it need not be quick


def stage(con: duckdb.DuckDBPyConnection, clean: Clean, feed: Feed, at: Context) -> Staged | None:
    """Map a clean file into `staged`, `staged_<table>` and `refused`; None if it is too hard.

    The header was checked (`plan.mapping_faults`).
    Cost: 1.4 s for a million records, 10 ms for a thousand.
    """
    if clean.odd or not is_plain(feed) or any(any(one.values()) for one in at.locations.values()):
        return None
    plan = lay(clean, feed, at)
    for in_short in (True, False):
        if in_short and not can_be_plain(plan, clean):
            continue
        try:
            return _stage(con, clean, plan, at, is_plain=in_short)
        except NotInSqlError:
            continue
        except duckdb.Error:
            return None
    return None


def _stage(
    con: duckdb.DuckDBPyConnection, clean: Clean, plan: Plan, at: Context, *, is_plain: bool
) -> Staged:
    """Do it in SQL. Raises NotInSqlError where SQL does not find good what Python does."""
    query = mapped_sql(plan, clean, _read_csv(plan, clean, at), is_plain=is_plain)
    con.execute(f"CREATE OR REPLACE TEMP TABLE mapped AS {query}", [str(clean.path)])
    rows, good, first, last, different = con.execute(_FACTS).fetchall()[0]
    if rows != clean.records or good < HALF_GOOD * rows:
        raise NotInSqlError("counts")
    if is_plain and plan.is_grouped and good < rows:
        # A faulty record's key refuses others, and here it is not trimmed.
        raise NotInSqlError("keys")
    found = Found(read=rows)
    found.warn(clean.warnings)
    with Rows(at.temp_dir / "refused.csv") as refused:
        refusals = Refusals(refused, found)
        if good < rows:
            _refuse(con, clean, plan, refusals)
    load_refused(con, refusals)
    if len(plan.formats) > 1:
        forms = con.execute("SELECT DISTINCT form FROM mapped WHERE ok ORDER BY form").fetchall()
        found.formats = tuple(plan.formats[form] for (form,) in forms if form is not None)
    table = numbered(clean)
    if plan.is_grouped:
        _group(con, plan, found, table)
        table = "grouped"
    elif different < good:
        overtake(con, plan, found, f"(SELECT * FROM {table} WHERE ok)")  # noqa: S608
    if plan.is_grouped and found.refused and any(one.once for one in plan.sections):
        # Which record is the first one that counts takes all records before it.
        raise NotInSqlError("once")
    span = moments.changes(plan.zone, first.date(), last.date()) if good else (0, [])
    _warn_of_changes(con, plan, found, table, span[1])
    staged = settle(con, plan, found, "fast", f"({candidates_sql(plan, table, *span)})")
    return replace(staged, children=_stage_children(con, clean, plan))


def _stage_children(
    con: duckdb.DuckDBPyConnection, clean: Clean, plan: Plan
) -> dict[str, tuple[Column, ...]]:
    """Make `staged_<table>` of the sections; return the tables' columns."""
    staged = {}
    for table, columns in plan.children.items():
        query = children_sql(plan, table, numbered(clean))
        con.execute(f"CREATE OR REPLACE TEMP TABLE staged_{table} AS {query}")
        staged[table] = child_columns(table, columns)
    return staged


def _read_csv(plan: Plan, clean: Clean, at: Context) -> str:
    """Return the call that reads the file.

    Two threads only where a line end can be nothing but a record's end. With `store_rejects`
    they were seen to lose rows without a word; it is not used, and the rows are counted.
    """
    reading = plan.reading
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(clean.header)))
    longest = max(2 * at.max_record_bytes, 1024)
    quote = literal(reading.quote)
    return (
        f"read_csv(?, auto_detect = false, header = false, skip = {clean.first_record_line - 1},"
        f" delim = {literal(reading.delimiter)}, quote = {quote}, escape = {quote},"
        f" strict_mode = true, parallel = {not clean.quoted}, max_line_size = {longest},"
        f" buffer_size = {max(BUFFER_BYTES, 2 * longest)}, columns = {{{columns}}})"
    )


def _refuse(
    con: duckdb.DuckDBPyConnection, clean: Clean, plan: Plan, refusals: Refusals[Rows]
) -> None:
    """Let Python say what is wrong with the records that SQL did not find good."""
    rows = numbered(clean)
    faulty = con.execute(f"SELECT line, 0 FROM {rows} WHERE NOT ok").fetchall()  # noqa: S608
    wanted: dict[int, int] = dict(faulty)
    if plan.is_grouped:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE poisoned AS SELECT {KEY}, min(line) AS faulty_line"  # noqa: S608
            f" FROM {rows} WHERE NOT ok GROUP BY ALL"
        )
        siblings = f"SELECT line, faulty_line FROM {rows} JOIN poisoned USING ({KEY}) WHERE ok"  # noqa: S608
        wanted |= dict(con.execute(siblings).fetchall())
    evaluation = Evaluation(plan)
    sections = Sections(plan, evaluation.numbers) if plan.sections else None
    for line, text in _texts(clean, sorted(wanted)):
        shown = text[:TEXT_KEPT_CHARS]
        if wanted[line]:
            fault = Fault("transaction-incomplete", line, seen=str(wanted[line]))
            refusals.refuse(fault, shown, own=False)
        else:
            refusals.refuse(_judge(evaluation, sections, plan, line, text), shown)


def _texts(clean: Clean, lines: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield the physical lines that are asked for in order; each is a record of its own."""
    with clean.path.open("rb") as file:
        file.seek(clean.data_offset)
        at = clean.first_record_line
        for line in lines:
            text = next(islice(file, line - at, None), b"")
            at = line + 1
            yield line, text.removesuffix(b"\n").decode()


def _judge(
    evaluation: Evaluation, sections: Sections | None, plan: Plan, line: int, text: str
) -> Fault:
    """Return a record's fault. Raises NotInSqlError where Python finds none, or is in doubt."""
    cells = fit(parse_line(text, plan.reading) or [], plan.width)
    if len(cells) != plan.width:
        raise NotInSqlError(text)
    if plan.is_grouped:
        try:
            evaluation.read_key(cells)
        except Unreadable:
            # Without a key the record's neighbours are suspects, which takes their order.
            raise NotInSqlError(text) from None
    outcome = evaluation.judge(line, cells)
    if outcome is None and sections is not None:
        outcome = sections.judge(line, cells, evaluation.places.terms(""))
    if outcome is None:
        raise NotInSqlError(text)
    return outcome


def _group(con: duckdb.DuckDBPyConnection, plan: Plan, found: Found, rows: str) -> None:
    """Join the lines of each transaction; one that lacks something is left to Python."""
    others = f" ANTI JOIN poisoned USING ({KEY})" if found.refused else ""
    sql = grouped_sql(plan, rows + others)
    con.execute(f"CREATE OR REPLACE TEMP TABLE grouped AS {sql}")
    odd = con.execute(
        "SELECT line, transaction_id, complete FROM grouped WHERE differs OR NOT complete"
    ).fetchall()
    name = plan.transaction.names[0]
    for line, seen, is_complete in odd:
        if not is_complete:
            raise NotInSqlError(seen)
        if plan.has_one_time:
            warning = Fault("timestamps-differ", line, name, values.shorten(seen), warning=True)
            found.warn((warning,))


def _warn_of_changes(
    con: duckdb.DuckDBPyConnection,
    plan: Plan,
    found: Found,
    table: str,
    changes: list[moments.Change],
) -> None:
    """Warn of times that the clocks skipped or showed twice."""
    if changes:
        rows = con.execute(warnings_sql(plan, table, changes)).fetchall()
        name = plan.sold_at.names[0]
        found.warn(Fault(code, line, name, seen, warning=True) for line, code, seen in rows)
