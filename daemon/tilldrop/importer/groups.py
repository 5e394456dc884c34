"""Records of one file that make transactions together.

Promises that a transaction is written whole or not at all: a faulty record refuses all of its
transaction, and one whose transaction cannot be told also those of the records before and after
it. Memory grows with the number of transactions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.cells import Unreadable, meets
from tilldrop.importer.evaluate import Evaluation, Key, Values, differ, fault
from tilldrop.importer.evaluate_children import Child, Counted, Sections
from tilldrop.importer.records import read_records
from tilldrop.importer.selected import Extras, extra_text, has_cells
from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.importer.drafts import Drafts, Found, Sink
    from tilldrop.importer.plan import Plan
    from tilldrop.importer.records import Record
    from tilldrop.importer.stage import Clean


class _Group:
    """The records of one transaction so far.

    values: None until a record that fills the transaction was seen. differs: they bear different
    times. pending: children whose currency is not known yet.
    """

    __slots__ = ("counted", "differs", "extra", "line", "lines", "pending", "values")

    def __init__(self, line: int) -> None:
        self.line = line
        self.lines = [line]
        self.values: Values | None = None
        self.differs = False
        self.counted = Counted()
        self.pending: list[Child] = []
        self.extra: dict[str, str] = {}


class Groups:
    """Groups records by transaction."""

    def __init__(self, plan: Plan, evaluation: Evaluation, kept: tuple[str, ...]) -> None:
        self._plan = plan
        self._evaluation = evaluation
        self._sections = Sections(plan, evaluation.numbers) if plan.sections else None
        self._fills = meets(plan.feed.where, plan) if plan.feed.where else None
        self._extras = Extras(plan, kept)
        # What a child's amounts are rounded to may stand in a later record.
        self._waits = "currency" in plan.bounds
        self._groups: dict[Key, _Group] = {}
        # Transactions that are refused whole -> the line of the faulty record.
        self._poisoned: dict[Key, int] = {}
        self._faulty: dict[int, Fault] = {}

    def write(
        self, records: Iterator[Record], drafts: Drafts[Sink], clean: Clean, found: Found
    ) -> None:
        """Read the records; write whole transactions and refused records."""
        self._group(records, drafts)
        for key, group in self._groups.items():
            if key not in self._poisoned:
                self._finish(key, group, drafts, found)
        if self._faulty:
            self._refuse(drafts, clean)

    def _group(self, records: Iterator[Record], drafts: Drafts[Sink]) -> None:
        last_key: Key | None = None
        lost_line = 0
        for record in records:
            key = self._key_of(record)
            if key is None:
                # Which transaction it belongs to is unknown; its neighbours' are suspects.
                lost_line = record.line
                if last_key:
                    self._poison(last_key, lost_line)
                last_key = None
                continue
            if lost_line:
                self._poison(key, lost_line)
            last_key, lost_line = key, 0
            try:
                self._take(key, record, drafts)
            except Unreadable as wrong:
                self._faulty[record.line] = fault(wrong, record.line)
                self._poison(key, record.line)

    def _key_of(self, record: Record) -> Key | None:
        """Return a record's key, None if it cannot be told; take note of its fault."""
        broken = record.broken
        try:
            if broken is None or has_cells(record):
                key = self._evaluation.read_key(record.cells)
                if broken is not None:
                    self._faulty[record.line] = broken
                    self._poison(key, record.line)
                return key
        except Unreadable as wrong:
            broken = broken or fault(wrong, record.line)
        self._faulty[record.line] = broken
        return None

    def _take(self, key: Key, record: Record, drafts: Drafts[Sink]) -> None:
        """Add a record to its transaction. Raises Unreadable."""
        if record.broken is not None:
            return
        cells, line = record.cells, record.line
        fills = self._fills is None or self._fills(cells)
        group = self._groups.get(key)
        values = self._evaluation.read_values(cells, key[0]) if fills else None
        counted = group.counted if group else Counted()
        children = self._sections.read(line, cells, counted) if self._sections else ()
        if group is None:
            group = self._groups[key] = _Group(line)
            group.counted = counted
        else:
            group.lines.append(line)
        if values is not None:
            if group.values is None:
                group.values = values
            else:
                group.differs = group.differs or differ(group.values[0], values[0])
                self._evaluation.join(group.values, values)
        if self._extras:
            group.extra = self._extras.read(cells) | group.extra
        if children:
            group.pending += children
        if group.pending and (not self._waits or (group.values and group.values[4])):
            self._write_children(key, group, drafts)

    def _write_children(self, key: Key, group: _Group, drafts: Drafts[Sink]) -> None:
        """Write the children so far. Raises Unreadable."""
        currency = group.values[4] if group.values else None
        terms = self._evaluation.terms(key[0], currency)
        pending, group.pending = group.pending, []
        for child in pending:
            if self._sections is not None:
                drafts.add_child(group.line, *self._sections.finish(child, terms))

    def _finish(self, key: Key, group: _Group, drafts: Drafts[Sink], found: Found) -> None:
        try:
            values = group.values or [None] * len(self._evaluation.adds)
            good = self._evaluation.finish(group.line, key, values)
            self._write_children(key, group, drafts)
        except Unreadable as wrong:
            self._faulty[group.line] = fault(wrong, group.line)
            self._poisoned[key] = group.line
            return
        drafts.add(good, extra_text(group.extra))
        if good.warning:
            found.warn((self._evaluation.time_warning(group.line, values, good.warning),))
        if group.differs and self._plan.has_one_time:
            name = self._plan.transaction.name
            seen = shorten(key[1])
            found.warn((Fault("timestamps-differ", group.line, name, seen, warning=True),))

    def _poison(self, key: Key, line: int) -> None:
        self._poisoned[key] = min(line, self._poisoned.get(key, line))

    def _refuse(self, drafts: Drafts[Sink], clean: Clean) -> None:
        """Write the faulty records and all others of their transactions, in a second reading."""
        siblings = {
            line: self._poisoned[key]
            for key, group in self._groups.items()
            if key in self._poisoned
            for line in group.lines
        }
        for record in read_records(clean, self._plan.reading, self._plan.at.max_record_bytes):
            wrong = self._faulty.get(record.line)
            if wrong:
                drafts.refusals.refuse(wrong, record.text)
            elif record.line in siblings:
                seen = str(siblings[record.line])
                wrong = Fault("transaction-incomplete", record.line, seen=seen)
                drafts.refusals.refuse(wrong, record.text, own=False)
