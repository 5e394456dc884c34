"""The header of a clean text: which line it is, what its columns are called, what stands before.

Promises the same answer however the text is cut into pieces. Never reads behind the first
LINES_SEARCHED lines in search of a header.

A header that is one quoted field in which the real header stands, as some programs write it, is
taken for what it holds. Before a header in line 1 there may be a line `sep=;` for Excel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.importer.layout import cells_of_line, unfolded
from tilldrop.importer.parts import Unreadable
from tilldrop.importer.records import TEXT_KEPT_CHARS
from tilldrop.importer.values import bare, shorten
from tilldrop.mapping import FIND
from tilldrop.mapping_columns import settled_header
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.mapping import Reading

LINES_SEARCHED = 1000
LINES_OF_A_HEADER = 200  # its cells may hold line breaks; parsing so many again and again is 3 s
LINES_OF_A_CANDIDATE = 20
PREAMBLE_KEPT = 1000
_FOR_EXCEL = re.compile(rb'"?sep=.?"?\n', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """names: outer blanks removed. next_line, offset: where the records begin.

    preamble: the lines before. is_folded: it stood in one quoted field.
    """

    names: tuple[str, ...]
    next_line: int
    offset: int
    preamble: tuple[str, ...] = ()
    is_folded: bool = False


def find_header(
    head: bytes, reading: Reading, needed: tuple[str, ...], *, is_whole: bool
) -> Header | None:
    """Find the header in the beginning of a clean text; None if it is not all there.

    needed: columns to look for where the mapping says "find". is_whole: `head` is all there is.
    """
    if reading.header_line == FIND:
        return _searched(head, reading, needed, is_whole=is_whole)
    if reading.header_line == 0:
        return _unnamed(head, reading, is_whole=is_whole)
    is_for_excel = reading.header_line == 1 and _FOR_EXCEL.match(head)
    before = 1 if is_for_excel else reading.header_line - 1
    start = 0
    for _ in range(before):
        start = head.find(b"\n", start) + 1
        if not start:
            return None
    found = _cells_at(head, start, reading, is_whole=is_whole)
    if found is None:
        return None
    return _header(found, reading, head[:start], before + 1)


def missing_header(head: bytes, reading: Reading, needed: tuple[str, ...]) -> Unreadable:
    """Say why a text has no header."""
    if not head.strip(b"\n"):
        return Unreadable(Fault("file-empty"))
    if reading.header_line == FIND:
        seen = f"with {', '.join(shorten(name) for name in needed)}"
        return Unreadable(Fault("header-missing", 0, seen=seen))
    line = max(reading.header_line, 1)
    if head.count(b"\n") >= line:
        return Unreadable(Fault("quote-unclosed", line))
    return Unreadable(Fault("header-missing", line, seen=f"in line {line}"))


def _header(found: _Found, reading: Reading, before: bytes, line: int) -> Header:
    names = reading.columns or tuple(bare(cell) for cell in found.cells)
    preamble = before.decode().split("\n", PREAMBLE_KEPT)[:-1]
    return Header(
        settled_header(names, reading),
        line + found.lines,
        found.end,
        tuple(line[:TEXT_KEPT_CHARS] for line in preamble),
        found.is_folded,
    )


def _unnamed(head: bytes, reading: Reading, *, is_whole: bool) -> Header | None:
    """Make names for a file that has none; its first record says how many."""
    if reading.columns:
        return Header(settled_header(reading.columns, reading), 1, 0)
    skipped = re.compile(reading.skip_lines) if reading.skip_lines else None
    start = 0
    while start < len(head):
        found = _cells_at(head, start, reading, is_whole=is_whole)
        if found is None:
            return None
        text = head[start : found.end].decode().rstrip("\n")
        if any(bare(cell) for cell in found.cells) and not (skipped and skipped.search(text)):
            names = tuple(f"#{number}" for number in range(1, len(found.cells) + 1))
            return Header(settled_header(names, reading), 1, 0, is_folded=found.is_folded)
        start = found.end
    return None


def _searched(
    head: bytes, reading: Reading, needed: tuple[str, ...], *, is_whole: bool
) -> Header | None:
    """Find the first line that has all columns.

    Failing that, the line with most of them, at least half: what it lacks can then be told.
    """
    wanted = frozenset(_folded(name) for name in needed)
    best: Header | None = None
    most = (len(wanted) - 1) // 2
    for number, start in enumerate(_line_starts(head), 1):
        if number > LINES_SEARCHED:
            break
        found = _cells_at(head, start, reading, is_whole=is_whole)
        if found is None:
            return None
        names = frozenset(_folded(name) for name in _settled(found.cells, reading))
        has = len(wanted & names)
        if has == len(wanted) and any(names):
            return _header(found, reading, head[:start], number)
        if has > most:
            most = has
            best = _header(found, reading, head[:start], number)
    else:
        return best if is_whole else None
    if best is None:
        raise missing_header(head, reading, needed)
    return best


def _settled(cells: list[str], reading: Reading) -> tuple[str, ...]:
    return settled_header(tuple(bare(cell) for cell in cells), reading)


def _folded(name: str) -> str:
    return bare(name).casefold()


def _line_starts(head: bytes) -> Iterator[int]:
    start = 0
    while start < len(head):
        yield start
        start = head.find(b"\n", start) + 1 or len(head)


@dataclass(frozen=True, slots=True)
class _Found:
    """A record, perhaps the header. lines: how many it takes. end: where it ends."""

    cells: list[str]
    lines: int
    end: int
    is_folded: bool = False


def _cells_at(head: bytes, start: int, reading: Reading, *, is_whole: bool) -> _Found | None:
    """Return the record that begins here.

    None if there is not enough text to tell. A candidate in a search with an open quotation mark
    has no cells. Raises Unreadable (quote-unclosed).
    """
    is_search = reading.header_line == FIND
    end = start
    for lines in range(1, (LINES_OF_A_CANDIDATE if is_search else LINES_OF_A_HEADER) + 1):
        found = head.find(b"\n", end) + 1
        if end == len(head) or not (found or is_whole):
            return _Found([], lines, end) if is_search and is_whole else None
        end = found or len(head)
        text = head[start:end].decode(errors="replace")
        cells = cells_of_line(text, reading)
        if cells is not None:
            inner = unfolded(text, cells, reading)
            return _Found(inner or cells, lines, end, is_folded=inner is not None)
    if is_search:
        return _Found([], 1, end)
    raise Unreadable(Fault("quote-unclosed", head.count(b"\n", 0, start) + 1))
