"""What a record says of a transaction's lines, tenders and taxes.

Promises that rows of one table are numbered from 1 within their transaction in the order of the
file, and of the mapping within a record. Never sees a file or a database.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from tilldrop.importer import values
from tilldrop.importer.cells import Cells, Meets, Unreadable, amount_of, meets
from tilldrop.importer.evaluate import Terms, fault, finisher, taker
from tilldrop.importer.values import BLANKS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tilldrop.importer.cells import AmountOf, Numbers
    from tilldrop.importer.plan import BoundSection, Plan
    from tilldrop.rows import Column, Fault

_WITH_AMOUNT = frozenset({"tenders", "taxes"})


class Child(NamedTuple):
    """A row as read. section: its place in the mapping. number: within its transaction."""

    section: int
    line: int
    number: int
    values: list[Any]


class Counted:
    """How many children a transaction has so far, and which sections gave them."""

    __slots__ = ("numbers", "sections")

    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self.sections: set[int] = set()


class _Section:
    """One section's columns: how they are read, and where they stand in the table's rows."""

    def __init__(
        self, section: BoundSection, columns: Sequence[Column], plan: Plan, numbers: Numbers
    ) -> None:
        self.table = section.table
        self.once = section.once
        self.meets: Meets | None = meets(section.where, plan) if section.where else None
        self.places = tuple({place for one in section.bounds for place in one.places})
        amounts = [one for one in section.bounds if one.column.name == "amount_minor"]
        self.amount: AmountOf | None = None
        if amounts and section.table in _WITH_AMOUNT:
            self.amount = amount_of(amounts[0], numbers)
        slots = {column.name: slot for slot, column in enumerate(columns)}
        self.takers: tuple[tuple[int, Callable[[Cells], Any]], ...] = tuple(
            (slots[one.column.name], taker(one, plan, numbers)) for one in section.bounds
        )
        self.finishers = tuple(
            (slots[one.column.name], made) for one in section.bounds if (made := finisher(one))
        )
        self.width = len(columns)

    def read(self, cells: Cells) -> list[Any] | None:
        """Return the row's values, None if the record has no such row. Raises Unreadable."""
        if self.meets is not None and not self.meets(cells):
            return None
        if self.amount is not None:
            if not self.amount(cells):
                return None
        elif self.places and not any(cells[place].strip(BLANKS) for place in self.places):
            return None
        found: list[Any] = [None] * self.width
        for slot, take in self.takers:
            found[slot] = take(cells)
        return found


class Sections:
    """Reads the children of one feed's transactions."""

    def __init__(self, plan: Plan, numbers: Numbers) -> None:
        self._sections = tuple(
            _Section(one, plan.children[one.table], plan, numbers) for one in plan.sections
        )

    def read(self, line: int, cells: Cells, counted: Counted) -> list[Child]:
        """Return a record's children. counted: of its transaction. Raises Unreadable."""
        found = []
        for at, section in enumerate(self._sections):
            if section.once and at in counted.sections:
                continue
            row = section.read(cells)
            if row is None:
                continue
            if section.once:
                counted.sections.add(at)
            counted.numbers[section.table] += 1
            found.append(Child(at, line, counted.numbers[section.table], row))
        return found

    def finish(self, child: Child, terms: Terms) -> tuple[str, list[Any]]:
        """Return the table and line, number, values as stored. Raises Unreadable."""
        section = self._sections[child.section]
        row = child.values
        for slot, made in section.finishers:
            if row[slot] is not None:
                row[slot] = made(row[slot], terms)
        return section.table, [child.line, child.number, *row]

    def judge(self, line: int, cells: Cells, terms: Terms) -> Fault | None:
        """Return the first fault of a record's children, if they have one."""
        try:
            with values.exactly():
                for child in self.read(line, cells, Counted()):
                    self.finish(child, terms)
        except Unreadable as wrong:
            return fault(wrong, line)
        return None
