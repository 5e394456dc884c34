"""The values that pass between the importer's steps: reading, mapping, storing.

Owns `Context`, `Clean` and `Staged`. Promises that all are plain and frozen. Never opens a
file or a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.rows import Column, Fault


@dataclass(frozen=True, slots=True)
class Context:
    """What a file's meaning depends on besides the file and its feed.

    zone: IANA name. currency: ISO 4217. name: the file's name as the customer sees it.
    temp_dir: private to this run; what is written there may stay until the run ends.
    """

    zone: str
    currency: str
    name: str
    temp_dir: Path
    max_record_bytes: int


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


@dataclass(frozen=True, slots=True)
class Staged:
    """What a lane found in a file; the rows are in the connection's `staged` and `refused`.

    columns: of `staged`, in the order of `rows.TRANSACTIONS`.
    read: records. refused: rows of `refused`; faulty: those with a fault of their own.
    repeated: records overtaken by a later one with the same key.
    transactions: rows of `staged`. sold_from, sold_to: smallest and largest `sold_at` text.
    faults: the first `FAULTS_KEPT` by line; where they are fewer, warnings follow.
    fault_count: all faults, warnings not counted. warning_counts: code -> how often.
    """

    columns: tuple[Column, ...]
    read: int
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
