"""A mapping laid over one file's header: which column of the file gives which of ours.

Owns the faults that concern a file as a whole and can be told from its header and name. Both
lanes work by the same `Plan`. Never reads a record.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.importer.values import BLANKS, NumberForm, zone_of
from tilldrop.mapping import (
    REQUIRED,
    Computed,
    Constant,
    Feed,
    FromColumn,
    FromFileName,
    Joined,
    SoldAt,
    Source,
    column_of,
)
from tilldrop.rows import TRANSACTIONS, Column, Fault, minor_digits

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tilldrop.importer.stage import Clean, Context

HEADER_SHOWN_CHARS = 400  # of the columns found, where one is missing

# Columns that follow from the four required targets; they stand first in TRANSACTIONS.
_ALWAYS = 8


@dataclass(frozen=True, slots=True)
class Optional:
    """A target that need not be mapped. digits: minor digits of an amount, None for text."""

    name: str
    column: Column
    source: Source
    digits: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A feed laid over a header. places: folded column name -> index of the field.

    fixed: target -> its value, where that is the same for the whole file.
    """

    feed: Feed
    header: tuple[str, ...]
    places: dict[str, int]
    fixed: dict[str, str]
    number: NumberForm
    zone: ZoneInfo
    currency: str
    digits: int
    sold_at: SoldAt
    total: FromColumn | Computed
    optional: tuple[Optional, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of `staged`."""
        return (*TRANSACTIONS[:_ALWAYS], *(one.column for one in self.optional))

    @property
    def id_heading(self) -> str:
        """The name of the transaction id's first column."""
        return self.heading(columns_of(self.feed.sources["transaction_id"])[0])

    @property
    def is_grouped(self) -> bool:
        """Tell whether rows of one transaction are grouped."""
        return self.feed.rows == "per-line"

    def place(self, name: str) -> int:
        """Return the index of a column."""
        return self.places[fold(name)]

    def heading(self, name: str) -> str:
        """Return a column's name as the file writes it."""
        return self.header[self.place(name)]

    def adds(self, source: Source) -> bool:
        """Tell whether this source's values are added over the rows of one transaction."""
        return isinstance(source, FromColumn | Computed) and source.take == "sum"


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
    sources = feed.sources
    sold_at, total = sources["sold_at"], sources["total"]
    if not isinstance(sold_at, SoldAt) or not isinstance(total, FromColumn | Computed):
        raise TypeError(feed.name)
    fixed = {
        target: _found_in_name(source, at.name)
        if isinstance(source, FromFileName)
        else source.value
        for target, source in sources.items()
        if isinstance(source, FromFileName | Constant)
    }
    return Plan(
        feed=feed,
        header=header,
        places={fold(name): index for index, name in enumerate(header)},
        fixed=fixed,
        number=NumberForm(feed.reading.decimal, feed.reading.thousands, at.currency),
        zone=zone_of(sold_at.zone or at.zone),
        currency=at.currency,
        digits=minor_digits(at.currency),
        sold_at=sold_at,
        total=total,
        optional=_optional(sources, minor_digits(at.currency)),
    )


def _optional(sources: dict[str, Source], digits: int) -> tuple[Optional, ...]:
    named = {column_of(target): target for target in sources if target not in REQUIRED}
    kinds: dict[str, int | None] = {"money": digits, "count": 0}
    return tuple(
        Optional(named[column.name], column, sources[named[column.name]], kinds.get(column.kind))
        for column in TRANSACTIONS
        if column.name in named
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
