"""The fast lane: DuckDB reads and maps a whole file in a few statements.

Promises the careful lane's rows, faults and figures, or None: whatever DuckDB refuses, computes
inexactly or reads otherwise than Python goes to the careful lane. A record that SQL does not
find good is judged by `evaluate`, so there is one opinion on what is wrong with it.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import duckdb

from tilldrop.importer import values
from tilldrop.importer.compile import (
    candidates_sql,
    grouped_sql,
    mapped_sql,
    numbered_sql,
    warnings_sql,
)
from tilldrop.importer.compile_dates import NotInSqlError, literal
from tilldrop.importer.evaluate import evaluate, read_key, read_values
from tilldrop.importer.plan import lay
from tilldrop.importer.records import TEXT_KEPT_CHARS, fit, parse_line
from tilldrop.importer.settle import BUFFER_BYTES, Found, Refusals, load_refused, settle
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Clean, Context, Staged
    from tilldrop.mapping import Feed

HALF_BAD = 0.5  # a file with more faults than this is refused; it need not be quick


def stage(con: duckdb.DuckDBPyConnection, clean: Clean, feed: Feed, at: Context) -> Staged | None:
    """Map a clean file into `staged` and `refused`; None if this file needs the careful lane.

    The header was checked (`plan.mapping_faults`).
    Cost: 1 s for a million records, 5 ms for a hundred.
    """
    if clean.odd:
        return None
    try:
        plan = lay(clean.header, feed, at)
        return _stage(con, clean, plan, at)
    except (NotInSqlError, duckdb.Error):
        return None


def _stage(con: duckdb.DuckDBPyConnection, clean: Clean, plan: Plan, at: Context) -> Staged | None:
    query = mapped_sql(plan, clean, _read_csv(plan, clean, at))
    con.execute(f"CREATE OR REPLACE TEMP TABLE mapped AS {query}", [str(clean.path)])
    con.execute(f"CREATE OR REPLACE TEMP VIEW numbered AS {numbered_sql(clean)}")
    counted = con.execute("SELECT count(*), count(*) FILTER (NOT ok) FROM mapped").fetchall()
    rows, faulty = counted[0]
    if rows != clean.records or faulty > HALF_BAD * rows:
        return None
    found = Found(read=rows)
    found.warn(clean.warnings)
    with Refusals(at.temp_dir / "refused.csv", found) as refusals:
        if faulty:
            _refuse(con, clean, plan, refusals)
    load_refused(con, refusals)
    table = "numbered"
    if plan.is_grouped:
        table = "grouped"
        _group(con, plan, faulty=bool(faulty))
    _settle_times(con, plan, table, found)
    return settle(con, plan, found, "fast")


def _read_csv(plan: Plan, clean: Clean, at: Context) -> str:
    """Return the call that reads the file.

    Two threads only where a line end can be nothing but a record's end. With `store_rejects`
    they were seen to lose rows without a word; it is not used, and the rows are counted.
    """
    reading = plan.feed.reading
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(clean.header)))
    longest = max(2 * at.max_record_bytes, 1024)
    quote = literal(reading.quote)
    return (
        f"read_csv(?, auto_detect = false, header = false, skip = {clean.first_record_line - 1},"
        f" delim = {literal(reading.delimiter)}, quote = {quote}, escape = {quote},"
        f" strict_mode = true, parallel = {not clean.quoted}, max_line_size = {longest},"
        f" buffer_size = {max(BUFFER_BYTES, 2 * longest)}, columns = {{{columns}}})"
    )


def _refuse(con: duckdb.DuckDBPyConnection, clean: Clean, plan: Plan, refusals: Refusals) -> None:
    """Let Python say what is wrong with the records that SQL did not find good."""
    wanted: dict[int, int] = dict.fromkeys(
        (line for (line,) in con.execute("SELECT line FROM numbered WHERE NOT ok").fetchall()), 0
    )
    if plan.is_grouped:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE poisoned AS SELECT location_id, transaction_id,"
            " min(line) AS faulty_line FROM numbered WHERE NOT ok GROUP BY ALL"
        )
        wanted |= dict(
            con.execute(
                "SELECT line, faulty_line FROM numbered JOIN poisoned"
                " USING (location_id, transaction_id) WHERE ok"
            ).fetchall()
        )
    for line, text in _texts(clean, sorted(wanted)):
        shown = text[:TEXT_KEPT_CHARS]
        if wanted[line]:
            fault = Fault("transaction-incomplete", line, seen=str(wanted[line]))
            refusals.refuse(fault, shown, own=False)
        else:
            refusals.refuse(_judge(plan, line, text), shown)


def _texts(clean: Clean, lines: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield the physical lines that are asked for in order; each is a record of its own."""
    with clean.path.open("rb") as file:
        file.seek(clean.data_offset)
        at = clean.first_record_line
        for line in lines:
            text = next(islice(file, line - at, None), b"")
            at = line + 1
            yield line, text.removesuffix(b"\n").decode()


def _judge(plan: Plan, line: int, text: str) -> Fault:
    """Return a record's fault. Raises NotInSqlError where Python finds none, or is in doubt."""
    cells = fit(parse_line(text, plan.feed.reading) or [], len(plan.header))
    if len(cells) != len(plan.header):
        raise NotInSqlError(text)
    if not plan.is_grouped:
        outcome = evaluate(plan, line, cells)
        if isinstance(outcome, Fault):
            return outcome
        raise NotInSqlError(text)
    # Without a key the record's neighbours are suspects, which takes the order of records.
    if isinstance(read_key(plan, line, cells), Fault):
        raise NotInSqlError(text)
    found = read_values(plan, line, cells)
    if isinstance(found, Fault):
        return found
    raise NotInSqlError(text)


def _group(con: duckdb.DuckDBPyConnection, plan: Plan, *, faulty: bool) -> None:
    """Join the lines of each transaction; one that lacks something is left to Python."""
    others = " ANTI JOIN poisoned USING (location_id, transaction_id)" if faulty else ""
    sql = grouped_sql(plan, "numbered" + others)
    con.execute(f"CREATE OR REPLACE TEMP TABLE grouped AS {sql}")
    incomplete = con.execute("SELECT 1 FROM grouped WHERE NOT complete LIMIT 1").fetchall()
    if incomplete:
        raise NotInSqlError("incomplete")


def _settle_times(con: duckdb.DuckDBPyConnection, plan: Plan, table: str, found: Found) -> None:
    """Make `candidates`, in which every time has its offset; warn where clocks went on or back."""
    good = "complete" if plan.is_grouped else "ok"
    sql = f"SELECT min(sold), max(sold) FROM {table} WHERE {good}"  # noqa: S608  our names
    first, last = con.execute(sql).fetchall()[0]
    start_s = 0
    changes: list[values.Change] = []
    if isinstance(first, datetime):
        start_s, changes = values.changes(plan.zone, first.date(), last.date())
    sql = candidates_sql(plan, table, start_s, changes)
    con.execute(f"CREATE OR REPLACE TEMP VIEW candidates AS {sql}")
    name = plan.heading(plan.sold_at.date)
    if changes:
        rows = con.execute(warnings_sql(plan, table, changes)).fetchall()
        found.warn(Fault(code, line, name, seen, warning=True) for line, code, seen in rows)
    if plan.is_grouped:
        rows = con.execute("SELECT line, transaction_id FROM grouped WHERE differs").fetchall()
        name = plan.id_heading
        code = "timestamps-differ"
        found.warn(
            Fault(code, line, name, values.shorten(seen), warning=True) for line, seen in rows
        )
