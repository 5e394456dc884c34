"""A mapping laid over one file's header: which column of the file gives which of ours.

Owns the faults that concern a file as a whole and can be told from its header, its name and the
lines before its header. Both lanes work by the same `Plan`. Never reads a record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tilldrop.importer.moments import zone_of
from tilldrop.importer.values import BLANKS, NumberForm
from tilldrop.mapping import Feed, targets
from tilldrop.mapping_columns import columns_needed, settled_header
from tilldrop.rows import CHILDREN, TABLES, Column, Fault, minor_digits
from tilldrop.sources import (
    Computed,
    Constant,
    FromColumn,
    FromFileName,
    FromFolder,
    FromPreamble,
    Refined,
    Source,
    When,
    columns_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from tilldrop.importer.stage import Clean, Context
    from tilldrop.mapping import Conditions, Reading

HEADER_SHOWN_CHARS = 400  # of the columns found, where one is missing

# Columns of a transaction that follow from others unless they are mapped; they stand first.
_ALWAYS = 8
_FROM_TOTAL = frozenset({"kind", "total_minor", "currency"})
_FROM_SOLD_AT = frozenset({"sold_at", "business_date", "has_time"})

_Given = FromFileName | FromFolder | FromPreamble


@dataclass(frozen=True, slots=True)
class Bound:
    """A target laid over a header. column: the one it fills. source: without refinement.

    names, places: the columns it takes, as the file writes them, and their indexes.
    fixed: what it says of the whole file, "" if it takes columns.
    digits: minor digits of an amount in the customer's currency, None for anything else.
    adds: its values are added over the rows of one transaction.
    refined: what is done to its value, None if nothing.
    """

    target: str
    column: Column
    source: Source
    names: tuple[str, ...]
    places: tuple[int, ...]
    fixed: str
    digits: int | None
    adds: bool
    refined: Refined | None = None

    @property
    def name(self) -> str:
        """What a fault of it is said of."""
        return self.names[0] if self.names else self.target


@dataclass(frozen=True, slots=True)
class BoundSection:
    """A section laid over a header. bounds: in the order of the table's columns."""

    table: str
    bounds: tuple[Bound, ...]
    where: Conditions
    once: bool


@dataclass(frozen=True)
class Plan:
    """A feed laid over a header.

    header: with the columns that were added. width: how many fields a record has without them.
    absent: the index of the empty cell that stands for columns the file may lack, None if all
    are there. places: column name as the feed writes it -> index.
    bounds: by column, in the order of the table.
    """

    feed: Feed
    at: Context
    reading: Reading
    formats_too: tuple[str, ...]
    header: tuple[str, ...]
    width: int
    absent: int | None
    places: dict[str, int]
    bounds: dict[str, Bound]
    sections: tuple[BoundSection, ...]

    @property
    def table(self) -> str:
        """The table whose rows are staged."""
        return self.feed.table

    @property
    def is_grouped(self) -> bool:
        """Tell whether several records make one transaction."""
        return self.feed.is_grouped

    @property
    def has_one_time(self) -> bool:
        """Tell whether all records of a transaction should bear the same time; payments do not."""
        return self.feed.rows != "per-payment"

    @property
    def key(self) -> tuple[str, ...]:
        """The key columns of the table."""
        return tuple(column.name for column in TABLES[self.table] if column.key)

    @property
    def currency(self) -> str:
        """The customer's."""
        return self.at.currency

    @cached_property
    def number(self) -> NumberForm:
        """How numbers are written, with or without the customer's currency."""
        return NumberForm(self.reading.decimal, self.reading.thousands, self.at.currency)

    @property
    def location(self) -> Bound:
        """Where a transaction was."""
        return self.bounds["location_id"]

    @property
    def transaction(self) -> Bound:
        """Its id."""
        return self.bounds["transaction_id"]

    @property
    def sold_at(self) -> Bound:
        """Its time."""
        return self.bounds["sold_at"]

    @property
    def total(self) -> Bound:
        """Its total."""
        return self.bounds["total_minor"]

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats of its time."""
        return self.formats_of(self.sold_at)

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its time where neither the value nor the location says."""
        source = self.sold_at.source
        return zone_of((isinstance(source, When) and source.zone) or self.at.zone)

    def formats_of(self, bound: Bound) -> tuple[str, ...]:
        """Return the formats of a date."""
        return (*bound.source.formats, *self.formats_too) if isinstance(bound.source, When) else ()

    @cached_property
    def optional(self) -> tuple[Bound, ...]:
        """What is mapped beyond the columns that always stand first, in their order."""
        names = [column.name for column in self.columns]
        first = {column.name for column in TABLES["transactions"][:_ALWAYS]}
        return tuple(self.bounds[name] for name in names if name in self.bounds.keys() - first)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `staged`."""
        mapped = set(self.bounds)
        if self.table == "transactions":
            if "total_minor" in mapped:
                mapped |= _FROM_TOTAL
            if "sold_at" in mapped:
                mapped |= _FROM_SOLD_AT
            if {*self.feed.key} - {"location_id", "transaction_id"}:
                mapped.add("receipt_number")
        return tuple(column for column in TABLES[self.table] if column.name in mapped)

    @cached_property
    def children(self) -> dict[str, tuple[Column, ...]]:
        """Child table -> the columns that the sections map, key and number left out."""
        found = {}
        for table in CHILDREN:
            sections = [one for one in self.sections if one.table == table]
            mapped = {bound.column.name for one in sections for bound in one.bounds}
            if sections:
                found[table] = tuple(column for column in TABLES[table] if column.name in mapped)
        return found

    @cached_property
    def amounts(self) -> dict[str, Bound]:
        """The targets that are amounts or counts, by column."""
        found = {name: one for name, one in self.bounds.items() if one.digits is not None}
        if "total_minor" not in found:
            return found
        return {"total_minor": found.pop("total_minor")} | found


def fold(name: str) -> str:
    """Return a column's name as names are compared."""
    return name.strip(BLANKS).casefold()


def mapping_faults(
    clean: Clean, feed: Feed, at: Context, added: tuple[str, ...] = ()
) -> Fault | None:
    """Return what keeps the file as a whole from being mapped, or None.

    added: names of columns that are not the file's own.
    """
    folded = list(_places(clean, feed, added))
    all_folded = [fold(name) for name in settled_header(clean.header, feed.reading)]
    needed = {fold(name): name for name in columns_needed(feed)}
    missing = [name for name in needed if name not in folded]
    line = clean.first_record_line - 1 if feed.reading.header_line else 0
    if missing:
        return Fault("header-lacks", line=line, seen=_lacking(missing, needed, clean.header))
    maybe = {fold(name): name for name in feed.reading.optional}
    for name, written in (maybe | needed).items():
        if all_folded.count(name) > 1 and (name in needed or _is_used(feed, name)):
            return Fault("header-repeats", line=line, field=written, seen=written)
    for target, source in _all_sources(feed):
        given = _given(source)
        if given and not _default(source) and not _found(given, clean, at):
            code = "preamble-lacks-value" if isinstance(given, FromPreamble) else "name-lacks-value"
            seen = "" if isinstance(given, FromPreamble) else at.name
            return Fault(code, field=target, seen=seen)
    if not clean.records:
        return Fault("no-records", line=line)
    return None


def lay(clean: Clean, feed: Feed, at: Context, added: tuple[str, ...] = ()) -> Plan:
    """Lay a feed over a header that `mapping_faults` found nothing wrong with."""
    binder = _Binder(clean, feed, at, added)
    bounds = {one.column.name: one for one in binder.bind(feed.table, feed.sources, grouped=True)}
    sections = tuple(
        BoundSection(
            one.table, binder.bind(one.table, one.sources, grouped=False), one.where, one.once
        )
        for one in feed.sections
    )
    places = {
        name: binder.place(name)
        for conditions in (feed.skip, feed.only, feed.where, *(one.where for one in feed.sections))
        for name in conditions
    } | {name: binder.place(name) for name in feed.reading.fill_down}
    for one in (*bounds.values(), *(one for section in sections for one in section.bounds)):
        places |= zip(columns_of(one.source), one.places, strict=True)
    reading = clean.reading or feed.reading
    # What a workbook's dates were written as; a text file's are as the feed says.
    is_book = clean.reading is not None and bool(clean.reading.sheet)
    return Plan(
        feed=feed,
        at=at,
        reading=reading,
        formats_too=("iso",) if is_book else (),
        header=binder.header,
        width=len(clean.header),
        absent=binder.absent,
        places=places,
        bounds={
            column.name: bounds[column.name]
            for column in TABLES[feed.table]
            if column.name in bounds
        },
        sections=sections,
    )


class _Binder:
    """Finds columns in a header. absent: as in `Plan`, known when all was bound."""

    def __init__(self, clean: Clean, feed: Feed, at: Context, added: tuple[str, ...]) -> None:
        self._clean = clean
        self._at = at
        self._folded = _places(clean, feed, added)
        self.header = (*clean.header, *added)
        self.absent: int | None = None

    def place(self, name: str) -> int:
        """Return a column's index; of one that the file may lack, that of an empty cell."""
        found = self._folded.get(fold(name))
        if found is None:
            found = self.absent = len(self.header)
        return found

    def bind(self, table: str, sources: dict[str, Source], *, grouped: bool) -> tuple[Bound, ...]:
        """Bind targets, in the order of the table's columns."""
        kinds = targets(table)
        columns = {column.name: at for at, column in enumerate(TABLES[table])}
        bound = [
            self._bind(
                target, TABLES[table][columns[kinds[target].column]], source, grouped=grouped
            )
            for target, source in sources.items()
        ]
        return tuple(sorted(bound, key=lambda one: columns[one.column.name]))

    def _bind(self, target: str, column: Column, source: Source, *, grouped: bool) -> Bound:
        refined = source if isinstance(source, Refined) else None
        inner = refined.source if refined else source
        places = tuple(self.place(name) for name in columns_of(inner))
        given = _given(source)
        fixed = inner.value if isinstance(inner, Constant) else ""
        names = zip(columns_of(inner), places, strict=True)
        return Bound(
            target=target,
            column=column,
            source=inner,
            names=tuple(self.header[at] if at < len(self.header) else one for one, at in names),
            places=places,
            fixed=_found(given, self._clean, self._at) if given else fixed,
            digits={"money": minor_digits(self._at.currency), "count": 0, "milli": 3}.get(
                column.kind
            ),
            adds=grouped and isinstance(inner, FromColumn | Computed) and inner.take == "sum",
            refined=refined,
        )


def _places(clean: Clean, feed: Feed, added: tuple[str, ...]) -> dict[str, int]:
    """Return folded name -> index of the columns that may be read."""
    header = (*settled_header(clean.header, feed.reading), *added)
    folded = {fold(name): place for place, name in enumerate(header)}
    # "" names no column here, though a column's name may be empty.
    loose_from = len(header)
    if feed.reading.loose_from:
        loose_from = folded.get(fold(feed.reading.loose_from), loose_from)
    return {
        name: place
        for name, place in folded.items()
        if place < loose_from or place >= len(clean.header)
    }


def _all_sources(feed: Feed) -> Iterator[tuple[str, Source]]:
    yield from feed.sources.items()
    for section in feed.sections:
        yield from section.sources.items()


def _is_used(feed: Feed, folded: str) -> bool:
    names = (name for _, source in _all_sources(feed) for name in columns_of(source))
    return any(fold(name) == folded for name in names)


def _given(source: Source) -> _Given | None:
    """Return what a source takes from the whole file, None if it takes columns."""
    if isinstance(source, Refined):
        return _given(source.source)
    if isinstance(source, When):
        return source.given
    return source if isinstance(source, _Given) else None


def _default(source: Source) -> str:
    return source.default if isinstance(source, Refined) else ""


def _found(given: _Given, clean: Clean, at: Context) -> str:
    """Return what the pattern's group finds, "" if nothing."""
    folder, _, name = at.name.rpartition("/")
    texts: tuple[str, ...] = (name,)
    if isinstance(given, FromFolder):
        texts = (folder,)
    elif isinstance(given, FromPreamble):
        texts = clean.preamble
    for text in texts:
        if found := re.search(given.pattern, text):
            return (found[1] or "").strip(BLANKS)
    return ""


def _lacking(missing: list[str], needed: dict[str, str], header: tuple[str, ...]) -> str:
    found = ", ".join(name for name in header if name) or "none"
    if len(found) > HEADER_SHOWN_CHARS:
        found = found[: HEADER_SHOWN_CHARS - 1] + "\u2026"
    return f"{', '.join(needed[name] for name in missing)} (found: {found})"
