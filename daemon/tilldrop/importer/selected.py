"""The records of a clean file as a mapping sees them: made to fit, filled, chosen.

Owns the order: fields that do not fit the header, columns that were added, texts that mean empty,
cells that repeat the one above, `skip` and `only`. Promises that every record is counted and
that those left out are counted as such. Holds one record at a time.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tilldrop.importer.cells import meets
from tilldrop.importer.plan import fold
from tilldrop.importer.records import count_fault, fit, read_records
from tilldrop.importer.values import BLANKS, bare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tilldrop.importer.cells import Cells
    from tilldrop.importer.drafts import Found
    from tilldrop.importer.plan import Plan
    from tilldrop.importer.records import Record
    from tilldrop.importer.stage import Clean


# What a record is broken for by a column that was added.
_WITH_CELLS = frozenset({"lookup-missing", "sql-failed"})


class Columns(Protocol):
    """Columns that are not the file's own."""

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in order."""

    def widen(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield every record with as many cells more; broken where a value cannot be had."""


def select(plan: Plan, clean: Clean, found: Found, added: Columns | None) -> Iterator[Record]:
    """Yield the records that the mapping takes. Those that are broken come out as well.

    Raises QuoteUnclosed.
    """
    records = _filled(plan, _fitted(plan, clean, found))
    if added is not None:
        records = added.widen(records)
    left_out = meets(plan.feed.skip, plan, every=False) if plan.feed.skip else None
    taken = meets(plan.feed.only, plan) if plan.feed.only else None
    if plan.absent is None and left_out is None and taken is None:
        yield from records
        return
    for record in records:
        cells = record.cells
        if plan.absent is not None:
            cells.append("")
        if has_cells(record) and ((left_out and left_out(cells)) or (taken and not taken(cells))):
            found.skipped += 1
            continue
        yield record


def has_cells(record: Record) -> bool:
    """Tell whether a record has all its cells, so that it can be asked for its key."""
    return record.broken is None or record.broken.code in _WITH_CELLS


def _fitted(plan: Plan, clean: Clean, found: Found) -> Iterator[Record]:
    """Yield the records, broken where their fields do not fit the header; count them."""
    width, is_loose = plan.width, bool(plan.feed.reading.loose_from)
    for record in read_records(clean, plan.reading, plan.at.max_record_bytes):
        found.read += 1
        cells = record.cells
        if len(cells) == width or record.broken is not None:
            yield record
            continue
        cells = cells[:width] if is_loose else fit(cells, width)
        if len(cells) != width:
            broken = count_fault(record.line, len(cells), width)
            yield replace(record, broken=broken)
        else:
            yield replace(record, cells=cells)


def _filled(plan: Plan, records: Iterator[Record]) -> Iterator[Record]:
    """Clear cells that mean empty, then repeat what stands above where the mapping says so."""
    steps: list[Callable[[Cells], None]] = []
    if plan.feed.reading.empty:
        steps.append(_emptier(plan))
    if plan.feed.reading.fill_down:
        steps.append(_filler(plan))
    if not steps:
        yield from records
        return
    for record in records:
        if record.broken is None:
            for step in steps:
                step(record.cells)
        yield record


def _emptier(plan: Plan) -> Callable[[Cells], None]:
    empty = frozenset(bare(text).casefold() for text in plan.feed.reading.empty)
    places = tuple(range(plan.width))

    def clear(cells: Cells) -> None:
        for place in places:
            if cells[place].strip(BLANKS).casefold() in empty:
                cells[place] = ""

    return clear


def _filler(plan: Plan) -> Callable[[Cells], None]:
    places = {plan.places[name] for name in plan.feed.reading.fill_down}
    above = dict.fromkeys((place for place in places if place < plan.width), "")

    def fill(cells: Cells) -> None:
        for place, text in above.items():
            if cells[place].strip(BLANKS):
                above[place] = cells[place]
            else:
                cells[place] = text

    return fill


class Extras:
    """The columns of a record that nothing maps and that are kept all the same."""

    def __init__(self, plan: Plan, kept: tuple[str, ...]) -> None:
        wanted = {fold(name) for name in kept}
        self._places = tuple(
            (name, place) for place, name in enumerate(plan.header) if fold(name) in wanted
        )

    def __bool__(self) -> bool:
        return bool(self._places)

    def read(self, cells: Cells) -> dict[str, str]:
        """Return name -> text of those that are not empty."""
        return {name: text for name, place in self._places if (text := bare(cells[place]))}


def extra_text(extra: dict[str, str]) -> str | None:
    """Return what is stored of them."""
    return json.dumps(extra, ensure_ascii=False, separators=(",", ":")) if extra else None
