"""Records of a clean file, read by the csv module with their physical lines and raw text.

Promises that every record is told, whole or broken, and that nothing is swallowed: a quoted
field that never ends stops the reading with `QuoteUnclosed`. Holds one record at a time.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self

from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.importer.stage import Clean
    from tilldrop.mapping import Reading

_NO_LIMIT = 2**31 - 1
TEXT_KEPT_CHARS = 10_000  # of a refused record


class QuoteUnclosed(Exception):
    """A quoted field that begins in record `line` has no end."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


@dataclass(frozen=True, slots=True)
class Record:
    """One record. line: the first of its physical lines. text: as it stands in the file.

    broken: why it has no cells.
    """

    line: int
    text: str
    cells: list[str]
    broken: Fault | None = None


class _TooLong(Exception):
    pass


class _Unfinished(Exception):
    pass


class _Lines:
    """Physical lines for the csv reader; remembers those of the record under way."""

    def __init__(self, file: BinaryIO, line: int, max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._taken_bytes = 0
        self.next_line = line
        self.taken: list[str] = []
        self.has_ended = False

    def begin(self) -> None:
        self.taken = []
        self._taken_bytes = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._max_bytes + 1)
        if not line:
            self.has_ended = True
            raise StopIteration
        self.next_line += 1
        self._taken_bytes += len(line)
        # A line that was cut may end within a character.
        self.taken.append(line.decode(errors="replace"))
        if self._taken_bytes > self._max_bytes:
            while line and not line.endswith(b"\n"):
                line = self._file.readline(self._max_bytes)
            raise _TooLong
        return self.taken[-1]


def read_records(clean: Clean, reading: Reading, max_record_bytes: int) -> Iterator[Record]:
    """Yield the records of a clean file in order.

    Raises QuoteUnclosed. Cost: 2 s for a million records.
    """
    blank_then_quote = _blank_then_quote(reading)
    with clean.path.open("rb") as file:
        file.seek(clean.data_offset)
        lines = _Lines(file, clean.first_record_line, max_record_bytes)
        cells_of = _reader(lines, reading)
        while True:
            lines.begin()
            line = lines.next_line
            broken = None
            try:
                cells = next(cells_of)
            except StopIteration:
                return
            except (_TooLong, csv.Error) as error:
                if len(lines.taken) > 1 or lines.has_ended:
                    raise QuoteUnclosed(line) from error
                cells, broken = [], _fault(error, line, lines.taken[0], max_record_bytes)
            if not cells and not broken:
                continue
            text = lines.taken[0] if len(lines.taken) == 1 else "".join(lines.taken)
            text = text[:TEXT_KEPT_CHARS].removesuffix("\n")
            if reading.quote and reading.quote in text and blank_then_quote.search(text):
                broken = broken or _stray(line, text, cells, reading)
            yield Record(line, text, cells, broken)


def parse_line(text: str, reading: Reading) -> list[str] | None:
    """Return the cells of one record, None if a quoted field is open at its end. Lenient."""

    def lines() -> Iterator[str]:
        yield text
        raise _Unfinished

    try:
        return next(_reader(lines(), reading, is_strict=False))
    except _Unfinished:
        return None


def fit(cells: list[str], width: int) -> list[str]:
    """Drop empty fields beyond the header: what a delimiter at the end of a row makes."""
    if len(cells) > width and not any(cells[width:]):
        return cells[:width]
    return cells


def count_fault(line: int, fields: int, width: int) -> Fault:
    """Say that a record has too many or too few fields."""
    noun = "field" if fields == 1 else "fields"
    return Fault("field-count", line, seen=f"{fields} {noun} where {width} are expected")


def _reader(
    lines: Iterator[str], reading: Reading, *, is_strict: bool = True
) -> Iterator[list[str]]:
    # Records are limited before they get here; the csv module's own limit is for the process.
    csv.field_size_limit(_NO_LIMIT)
    if not reading.quote:
        return csv.reader(lines, delimiter=reading.delimiter, quoting=csv.QUOTE_NONE)
    return csv.reader(lines, delimiter=reading.delimiter, quotechar=reading.quote, strict=is_strict)


def _fault(error: Exception, line: int, text: str, max_record_bytes: int) -> Fault:
    if isinstance(error, _TooLong):
        return Fault("record-too-long", line, seen=f"{max_record_bytes} bytes")
    return Fault("quote-stray", line, seen=shorten(text.rstrip("\n")))


def _blank_then_quote(reading: Reading) -> re.Pattern[str]:
    return re.compile(f"(?:^|{re.escape(reading.delimiter)}) +{re.escape(reading.quote)}")


def _stray(line: int, text: str, cells: list[str], reading: Reading) -> Fault | None:
    """Refuse blanks before a quoted field: readers do not agree on what they mean."""
    if any(cell[:1] == " " and cell.lstrip(" ")[:1] == reading.quote for cell in cells):
        return Fault("quote-stray", line, seen=shorten(text))
    return None
