"""The careful lane: the csv module, one record at a time, exact decimals, exact lines.

Promises the same rows as the fast lane for every file that the fast lane takes, and an answer
for every other: it alone knows all of the mapping language. Memory grows with the number of
transactions where records are grouped, with nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer import values
from tilldrop.importer.cells import Unreadable
from tilldrop.importer.drafts import Drafts, Found, Kept, Rows, load_drafts
from tilldrop.importer.evaluate import Evaluation, Key, fault
from tilldrop.importer.evaluate_children import Counted, Sections
from tilldrop.importer.evaluate_masters import MasterEvaluation
from tilldrop.importer.few import settle_few
from tilldrop.importer.groups import Groups
from tilldrop.importer.plan import lay
from tilldrop.importer.records import QuoteUnclosed
from tilldrop.importer.selected import Extras, extra_text, select
from tilldrop.importer.settle import overtake, settle
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.drafts import Sink
    from tilldrop.importer.plan import Plan
    from tilldrop.importer.records import Record
    from tilldrop.importer.selected import Columns
    from tilldrop.importer.stage import Clean, Context, Staged
    from tilldrop.mapping import Feed


def stage(
    con: DuckDBPyConnection | None,
    clean: Clean,
    feed: Feed,
    at: Context,
    extra: Columns | None = None,
    kept: tuple[str, ...] = (),
) -> Staged | Fault:
    """Map a clean file into `staged`, `staged_<table>` and `refused`, or refuse it whole.

    con: takes the tables; None: the file is small, and its rows stay in Python.
    extra: columns that are not the file's own. kept: names of columns that nothing maps and that
    are kept as JSON in `extra`. The header was checked (`plan.mapping_faults`).
    Cost: 21 s for a million records of twelve columns.
    """
    plan = lay(clean, feed, at, extra.names if extra else ())
    found = Found()
    found.warn(clean.warnings)
    if con is None:
        few: Drafts[Kept] = Drafts(plan, found, lambda _: Kept(), has_extra=bool(kept))
        unclosed = _read(clean, few, found, extra, kept)
        return unclosed or settle_few(plan, found, few)
    folder = at.temp_dir
    many = Drafts(plan, found, lambda name: Rows(folder / f"{name}.csv"), has_extra=bool(kept))
    if unclosed := _read(clean, many, found, extra, kept):
        return unclosed
    load_drafts(con, many)
    if not plan.is_grouped:
        overtake(con, plan, found, "candidates")
    return settle(con, plan, found, "careful", "candidates", many)


def _read(
    clean: Clean,
    drafts: Drafts[Sink],
    found: Found,
    extra: Columns | None,
    kept: tuple[str, ...],
) -> Fault | None:
    """Read and map all records; return why that cannot be done."""
    plan = drafts.plan
    try:
        with values.exactly(), drafts:
            records = select(plan, clean, found, extra)
            if plan.table != "transactions":
                _write_masters(plan, records, drafts, kept)
            elif plan.is_grouped:
                evaluation = Evaluation(plan)
                Groups(plan, evaluation, kept).write(records, drafts, clean, found)
                found.formats = evaluation.formats()
            else:
                found.formats = _write(plan, records, drafts, found, kept)
    except QuoteUnclosed as unclosed:
        return Fault("quote-unclosed", unclosed.line)
    return None


def _write(
    plan: Plan, records: Iterator[Record], drafts: Drafts[Sink], found: Found, kept: tuple[str, ...]
) -> tuple[str, ...]:
    """Every record is a transaction. Returns the formats of dates that were read."""
    evaluation = Evaluation(plan)
    sections = Sections(plan, evaluation.numbers) if plan.sections else None
    extras = Extras(plan, kept)
    renamed = _Renamed() if plan.feed.number_repeats else None
    for record in records:
        line, cells = record.line, record.cells
        if record.broken is not None:
            drafts.refusals.refuse(record.broken, record.text)
            continue
        try:
            key = evaluation.read_key(cells)
            if renamed:
                key = renamed.rename(key)
            own = evaluation.read_values(cells, key[0])
            good = evaluation.finish(line, key, own)
            if sections:
                terms = evaluation.terms(key[0], own[4])
                children = sections.read(line, cells, Counted())
                finished = [sections.finish(child, terms) for child in children]
                for table, row in finished:
                    drafts.add_child(line, table, row)
        except Unreadable as wrong:
            drafts.refusals.refuse(fault(wrong, line), record.text)
            continue
        drafts.add(good, extra_text(extras.read(cells)) if extras else None)
        if good.warning:
            found.warn((evaluation.time_warning(line, own, good.warning),))
    return evaluation.formats()


class _Renamed:
    """Gives the second, third ... transaction of one id a name of its own."""

    def __init__(self) -> None:
        self._taken: dict[Key, int] = {}

    def rename(self, key: Key) -> Key:
        """Return the key, or one with -2, -3 ... behind the id, that was not given before."""
        number = self._taken.get(key, 0) + 1
        self._taken[key] = number
        while number > 1 and (key[0], f"{key[1]}-{number}") in self._taken:
            number += 1
        if number == 1:
            return key
        self._taken[key] = number
        made = (key[0], f"{key[1]}-{number}")
        self._taken[made] = 1
        return made


def _write_masters(
    plan: Plan, records: Iterator[Record], drafts: Drafts[Sink], kept: tuple[str, ...]
) -> None:
    """Every record is a row of a master."""
    evaluation = MasterEvaluation(plan)
    extras = Extras(plan, kept)
    for record in records:
        try:
            if record.broken is not None:
                drafts.refusals.refuse(record.broken, record.text)
                continue
            row = evaluation.read(record.line, record.cells)
        except Unreadable as wrong:
            drafts.refusals.refuse(fault(wrong, record.line), record.text)
            continue
        drafts.add_row(row, extra_text(extras.read(record.cells)) if extras else None)
