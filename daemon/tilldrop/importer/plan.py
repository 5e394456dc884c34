"""A mapping laid over one file's header: which column of the file gives which of ours.

Owns the faults that concern a file as a whole and can be told from its header and name. Both
lanes work by the same `Plan`. Never reads a record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.importer.moments import zone_of
from tilldrop.importer.values import BLANKS, NumberForm
from tilldrop.mapping import (
    Computed,
    Constant,
    Feed,
    FromColumn,
    FromFileName,
    Joined,
    Reading,
    SoldAt,
    Source,
    Target,
    targets,
)
from tilldrop.rows import TRANSACTIONS, Column, Fault, minor_digits

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tilldrop.importer.stage import Clean, Context

HEADER_SHOWN_CHARS = 400  # of the columns found, where one is missing

# Columns that follow from the four required targets; they stand first in TRANSACTIONS.
_ALWAYS = 8


@dataclass(frozen=True, slots=True)
class Bound:
    """A target laid over a header. column: the one it fills.

    names, places: the columns it takes, as the file writes them, and their indexes.
    fixed: its value where that is the same for the whole file, else "".
    digits: minor digits of an amount, None for anything else.
    adds: its values are added over the rows of one transaction.
    """

    column: Column
    source: Source
    names: tuple[str, ...]
    places: tuple[int, ...]
    fixed: str
    digits: int | None
    adds: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A feed laid over a header. places: column name as the feed writes it -> index."""

    reading: Reading
    width: int
    is_grouped: bool
    places: dict[str, int]
    number: NumberForm
    formats: tuple[str, ...]
    zone: ZoneInfo
    currency: str
    location: Bound
    transaction: Bound
    sold_at: Bound
    total: Bound
    optional: tuple[Bound, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `staged`."""
        return (*TRANSACTIONS[:_ALWAYS], *(one.column for one in self.optional))

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """All targets."""
        return (self.location, self.transaction, self.sold_at, self.total, *self.optional)

    @property
    def amounts(self) -> dict[str, Bound]:
        """The targets that are amounts or counts, by column."""
        return {one.column.name: one for one in self.bounds if one.digits is not None}


def fold(name: str) -> str:
    """Return a column's name as names are compared."""
    return name.strip(BLANKS).casefold()


def columns_of(source: Source) -> tuple[str, ...]:
    """Return the names of the columns that a source needs."""
    match source:
        case FromColumn(column=column):
            return (column,)
        case Joined(columns=columns) | Computed(columns=columns):
            return columns
        case SoldAt(date=date, time=time):
            return (date, time) if time else (date,)
    return ()


def mapping_faults(clean: Clean, feed: Feed, at: Context) -> Fault | None:
    """Return what keeps the file as a whole from being mapped, or None."""
    folded = [fold(name) for name in clean.header]
    needed = {fold(name): name for source in feed.sources.values() for name in columns_of(source)}
    missing = [name for name in needed if name not in folded]
    line = feed.reading.header_line
    if missing:
        return Fault("header-lacks", line=line, seen=_lacking(missing, needed, clean.header))
    for name, written in needed.items():
        if folded.count(name) > 1:
            return Fault("header-repeats", line=line, field=written, seen=written)
    for target, source in feed.sources.items():
        if isinstance(source, FromFileName) and not _found_in_name(source, at.name):
            return Fault("name-lacks-value", field=target, seen=at.name)
    if not clean.records:
        return Fault("no-records", line=line)
    return None


def lay(header: tuple[str, ...], feed: Feed, at: Context) -> Plan:
    """Lay a feed over a header that `mapping_faults` found nothing wrong with."""
    sold_at = feed.sources["sold_at"]
    if not isinstance(sold_at, SoldAt):
        raise TypeError(feed.name)
    folded = {fold(name): place for place, name in enumerate(header)}
    kinds = targets()
    bound = {
        target: _bind(kinds[target], source, folded, header, at)
        for target, source in feed.sources.items()
    }
    by_column = {one.column.name: one for one in bound.values()}
    return Plan(
        reading=feed.reading,
        width=len(header),
        is_grouped=feed.rows == "per-line",
        places={
            name: place
            for one in bound.values()
            for name, place in zip(columns_of(one.source), one.places, strict=True)
        },
        number=NumberForm(feed.reading.decimal, feed.reading.thousands, at.currency),
        formats=sold_at.formats,
        zone=zone_of(sold_at.zone or at.zone),
        currency=at.currency,
        location=bound["location_id"],
        transaction=bound["transaction_id"],
        sold_at=bound["sold_at"],
        total=bound["total"],
        optional=tuple(
            by_column[column.name] for column in TRANSACTIONS[_ALWAYS:] if column.name in by_column
        ),
    )


def _bind(
    target: Target,
    source: Source,
    folded: dict[str, int],
    header: tuple[str, ...],
    at: Context,
) -> Bound:
    places = tuple(folded[fold(name)] for name in columns_of(source))
    fixed = source.value if isinstance(source, Constant) else ""
    if isinstance(source, FromFileName):
        fixed = _found_in_name(source, at.name)
    return Bound(
        column=next(column for column in TRANSACTIONS if column.name == target.column),
        source=source,
        names=tuple(header[place] for place in places),
        places=places,
        fixed=fixed,
        digits={"money": minor_digits(at.currency), "count": 0}.get(target.kind),
        adds=isinstance(source, FromColumn | Computed) and source.take == "sum",
    )


def _found_in_name(source: FromFileName, name: str) -> str:
    """Return what the pattern's group finds in the last part of a name, "" if nothing."""
    found = re.search(source.pattern, name.rsplit("/", 1)[-1])
    return (found[1] or "").strip(BLANKS) if found else ""


def _lacking(missing: list[str], needed: dict[str, str], header: tuple[str, ...]) -> str:
    found = ", ".join(name for name in header if name) or "none"
    if len(found) > HEADER_SHOWN_CHARS:
        found = found[: HEADER_SHOWN_CHARS - 1] + "\u2026"
    return f"{', '.join(needed[name] for name in missing)} (found: {found})"
