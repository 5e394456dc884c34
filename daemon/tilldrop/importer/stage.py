"""The values that pass between the importer's steps: reading, mapping, storing.

Owns `Context`, `Clean` and `Staged`. Promises that all are plain and frozen, but for the tables
that hold the rows. Never opens a file or a database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tilldrop.importer.arrow import Rows, Stream
    from tilldrop.mapping import Reading
    from tilldrop.rows import Column, Fault


@dataclass(frozen=True, slots=True)
class Context:
    """What a file's meaning depends on besides the file and its feed.

    zone: IANA name. currency: ISO 4217. name: the file's name as the customer sees it.
    locations: id -> zone, currency and aliases, as in `Job.locations`.
    temp_dir: private to this run; what is written there may stay until the run ends.
    """

    zone: str
    currency: str
    name: str
    temp_dir: Path
    max_record_bytes: int
    locations: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clean:
    """A file brought to UTF-8 with LF line ends, without byte-order mark and NUL.

    path: the original where it was so already, else a copy in the run's temporary folder.
    header: column names, outer blanks removed; "#1", "#2", ... where the file has none.
    first_record_line, data_offset: physical line and byte where the records begin.
    records: counted without the csv module; blank lines are no records.
    odd: the file has what only the careful lane reads exactly (line breaks within cells,
    blank lines between records, records too long, blanks around quotation marks).
    quoted: there is a quotation mark among the records.
    has_odd_blanks: there may be blanks other than spaces within cells.
    preamble: the lines before the header; left_out: those that `skip_lines` or `footer_lines`
    left out. Both as text, the first 1000.
    reading: how the clean file is written, where that differs from the feed's own (a workbook or
    a fixed-width file becomes comma-separated); None: as the feed says.
    encoding: what the bytes were decoded from.
    members: of an archive of several, the first line of each here, the same line there, its name.
    """

    path: Path
    header: tuple[str, ...]
    first_record_line: int
    data_offset: int
    records: int
    odd: bool
    quoted: bool
    has_odd_blanks: bool
    warnings: tuple[Fault, ...]
    preamble: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    reading: Reading | None = None
    encoding: str = "utf-8"
    members: tuple[tuple[int, int, str], ...] = ()

    def place(self, line: int) -> str:
        """Say where a line stands in an archive of several files, "" in any other."""
        for here, there, name in reversed(self.members):
            if line >= here:
                return f"line {line - here + there} of {name}"
        return ""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows by where they were: at one of these locations if `is_inside`, else at none of them."""

    locations: tuple[str, ...]
    is_inside: bool


class Tables(Protocol):
    """The rows that a lane left: tables `staged`, `refused` and `staged_<table>`."""

    def bound(self, table: str, columns: Sequence[str], limit: int | None = None) -> Rows | Stream:
        """Return columns of a table, to be bound to a statement."""

    def last_numbers(self, child: str) -> Rows | Stream:
        """Return each staged transaction's key and the number of its last row in a child table."""

    def count(self, table: str) -> int:
        """Return how many rows a table has."""

    def count_again(self, *, has_total: bool) -> tuple[int, int, int]:
        """Return rows staged, the sum of their totals, and records refused."""

    def different(self, wanted: Sequence[tuple[str, str]], limit: int) -> list[set[str]]:
        """Return for each (table, column) the values there, at most so many."""

    def set_aside(self, children: Sequence[str]) -> None:
        """Keep the tables, so that parts of them can take their places."""

    def choose(self, part: Part, children: Sequence[str]) -> int:
        """Let the tables hold a part of what was set aside; count the rows staged."""


@dataclass(frozen=True, slots=True)
class Staged:
    """What a lane found in a file. tables: where the rows are.

    table: what `staged` holds rows of. columns: of `staged`, in the order of `rows.TABLES`; last
    may come `extra` (JSON text).
    children: child table -> the columns of `staged_<table>`, which holds the rows of the
    transactions in `staged`; a table that the feed maps is there, if need be without rows.
    read: records. skipped: left out by `skip` and `only`. refused: rows of `refused`; faulty:
    those with a fault of their own.
    repeated: records overtaken by a later one with the same key.
    transactions: rows of `staged`. sold_from, sold_to: smallest and largest `sold_at` text.
    faults: the first `FAULTS_KEPT` by line; where they are fewer, warnings follow.
    fault_count: all faults, warnings not counted. warning_counts: code -> how often.
    formats: of the dates' formats those that read at least one record, where a feed has several.
    """

    tables: Tables = field(compare=False, repr=False)
    table: str
    columns: tuple[Column, ...]
    children: dict[str, tuple[Column, ...]]
    read: int
    skipped: int
    refused: int
    faulty: int
    repeated: int
    transactions: int
    refunds: int
    total_minor: int
    refund_minor: int
    sold_from: str | None
    sold_to: str | None
    faults: tuple[Fault, ...]
    fault_count: int
    warning_counts: dict[str, int]
    lane: Literal["fast", "careful"]
    formats: tuple[str, ...] = ()
