"""The careful lane: the csv module, one record at a time, exact decimals, exact lines.

Promises the same rows as the fast lane for every file that the fast lane takes, and an answer
for every other. Memory grows with the number of transactions where lines are grouped, with
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tilldrop.importer.evaluate import (
    Good,
    Key,
    Values,
    differ,
    evaluate,
    finish,
    join,
    read_key,
    read_values,
)
from tilldrop.importer.plan import lay
from tilldrop.importer.records import QuoteUnclosed, Record, count_fault, fit, read_records
from tilldrop.importer.settle import (
    Found,
    Refusals,
    Rows,
    load,
    load_refused,
    overtake,
    row_types,
    settle,
)
from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.plan import Plan
    from tilldrop.importer.stage import Clean, Context, Staged
    from tilldrop.mapping import Feed


def stage(con: DuckDBPyConnection, clean: Clean, feed: Feed, at: Context) -> Staged | Fault:
    """Map a clean file into `staged` and `refused`, or say why it is refused whole.

    The header was checked (`plan.mapping_faults`).
    Cost: 30 s for a million records of twelve columns.
    """
    plan = lay(clean.header, feed, at)
    found = Found()
    found.warn(clean.warnings)
    try:
        with (
            Rows(at.temp_dir / "rows.csv") as rows,
            Refusals(at.temp_dir / "refused.csv", found) as refusals,
        ):
            if plan.is_grouped:
                _Groups(plan, clean, at, found).write(rows, refusals)
            else:
                _write(plan, clean, at, found, rows, refusals)
    except QuoteUnclosed as unclosed:
        return Fault("quote-unclosed", unclosed.line)
    load(con, "candidates", rows, row_types(plan))
    load_refused(con, refusals)
    if not plan.is_grouped:
        overtake(con, plan, found, "candidates")
    return settle(con, plan, found, "careful", "candidates")


def _records(plan: Plan, clean: Clean, at: Context, found: Found) -> Iterator[Record]:
    """Yield the records, broken where their fields do not fit the header; count them."""
    width = plan.width
    for record in read_records(clean, plan.reading, at.max_record_bytes):
        found.read += 1
        cells = fit(record.cells, width)
        if record.broken is None and len(cells) != width:
            yield replace(record, broken=count_fault(record.line, len(cells), width))
        else:
            yield replace(record, cells=cells) if cells is not record.cells else record


def _write(
    plan: Plan, clean: Clean, at: Context, found: Found, rows: Rows, refusals: Refusals
) -> None:
    """Every record is a transaction."""
    for record in _records(plan, clean, at, found):
        outcome = record.broken or evaluate(plan, record.line, record.cells)
        if isinstance(outcome, Good):
            rows.add(outcome.row)
            if outcome.warning:
                found.warn((outcome.warning,))
        else:
            refusals.refuse(outcome, record.text)


@dataclass(slots=True)
class _Group:
    """The records of one transaction so far. differs: they bear different times."""

    line: int
    values: Values
    lines: list[int] = field(default_factory=list)
    differs: bool = False


class _Groups:
    """Lines of a file, grouped by transaction.

    poisoned: transactions that are refused whole -> the line of the faulty record.
    """

    def __init__(self, plan: Plan, clean: Clean, at: Context, found: Found) -> None:
        self._plan = plan
        self._clean = clean
        self._at = at
        self._found = found
        self._groups: dict[Key, _Group] = {}
        self._poisoned: dict[Key, int] = {}
        self._faulty: dict[int, Fault] = {}

    def write(self, rows: Rows, refusals: Refusals) -> None:
        """Read the file; write whole transactions and refused records."""
        self._group()
        for key, group in self._groups.items():
            if key in self._poisoned:
                continue
            outcome = finish(self._plan, group.line, key, group.values)
            if isinstance(outcome, Fault):
                self._faulty[group.line] = outcome
                self._poisoned[key] = group.line
                continue
            rows.add(outcome.row)
            self._found.warn(self._warnings(key, group, outcome))
        if self._faulty:
            self._refuse(refusals)

    def _group(self) -> None:
        last_key: Key | None = None
        lost_line = 0
        for record in _records(self._plan, self._clean, self._at, self._found):
            key = record.broken or read_key(self._plan, record.line, record.cells)
            if isinstance(key, Fault):
                # Which transaction it belongs to is unknown; its neighbours' are suspects.
                self._faulty[record.line] = key
                lost_line = record.line
                if last_key:
                    self._poison(last_key, lost_line)
                last_key = None
                continue
            if lost_line:
                self._poison(key, lost_line)
            last_key, lost_line = key, 0
            self._take(key, record)

    def _take(self, key: Key, record: Record) -> None:
        values = read_values(self._plan, record.line, record.cells)
        if isinstance(values, Fault):
            self._faulty[record.line] = values
            self._poison(key, record.line)
            return
        group = self._groups.get(key)
        if group is None:
            self._groups[key] = _Group(record.line, values, [record.line])
            return
        group.lines.append(record.line)
        group.differs = group.differs or differ(group.values.moment, values.moment)
        group.values = join(self._plan, group.values, values)

    def _poison(self, key: Key, line: int) -> None:
        self._poisoned[key] = min(line, self._poisoned.get(key, line))

    def _refuse(self, refusals: Refusals) -> None:
        """Write the faulty records and all others of their transactions, in a second reading."""
        siblings = {
            line: self._poisoned[key]
            for key, group in self._groups.items()
            if key in self._poisoned
            for line in group.lines
        }
        for record in read_records(self._clean, self._plan.reading, self._at.max_record_bytes):
            fault = self._faulty.get(record.line)
            if fault:
                refusals.refuse(fault, record.text)
            elif record.line in siblings:
                seen = str(siblings[record.line])
                fault = Fault("transaction-incomplete", record.line, seen=seen)
                refusals.refuse(fault, record.text, own=False)

    def _warnings(self, key: Key, group: _Group, good: Good) -> Iterator[Fault]:
        if good.warning:
            yield good.warning
        if group.differs:
            name = self._plan.transaction.names[0]
            yield Fault("timestamps-differ", group.line, name, shorten(key[1]), warning=True)
