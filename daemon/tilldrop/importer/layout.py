"""Lines that are no records, and records that are no CSV.

Owns `skip_lines` and `footer_lines`, fixed widths and runs of blanks: clean text in, clean text
out. Promises that the lines which remain keep their numbers: one that is left out becomes a
blank line, or is cut off at the end. Both work on physical lines, also within quotation marks.
Never holds more than a chunk, a line and the lines of the footer.

In fixed widths a line that ends early has empty cells; the last field takes what is left of the
line. Cells lose their outer blanks. Between runs of blanks, a field in quotation marks may hold
blanks; a mark that is not closed in its line is a character like any other.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from functools import cache
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from tilldrop.importer.records import TEXT_KEPT_CHARS, parse_line
from tilldrop.importer.values import BLANKS as OUTER_BLANKS
from tilldrop.mapping import BLANKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from tilldrop.mapping import Reading

    # Clean text, and whether it is the next bytes of the original.
    Texts: TypeAlias = Iterator[tuple[bytes, bool]]

LEFT_OUT_KEPT = 1000
_GAP = " \t"
# What these mean depends on whether a line stands alone.
_NEEDS_THE_LINE_ALONE = re.compile(r"\\[AZz]|\(\?|[*+?}]\+")


def is_rewritten(reading: Reading) -> bool:
    """Tell whether the records have to be written anew to be CSV."""
    return bool(reading.widths) or reading.delimiter == BLANKS


def as_rewritten(reading: Reading) -> Reading:
    """Return how the rewritten text is to be read."""
    return replace(
        reading,
        encoding="utf-8",
        delimiter=",",
        quote='"',
        header_line=1,
        columns=(),
        widths=(),
        skip_lines="",
        footer_lines=0,
        member="",
        sheet="",
    )


def cells_of_line(text: str, reading: Reading) -> list[str] | None:
    """Return the cells of one record, None if a quoted field is open at its end."""
    if is_rewritten(reading):
        return splitter(reading)(text.removesuffix("\n"))
    return parse_line(text, reading)


def unfolded(text: str, cells: list[str], reading: Reading) -> list[str] | None:
    """Return the cells within the one quoted field that a record is; None if it is not such."""
    if len(cells) != 1 or not reading.quote or not text.startswith(reading.quote):
        return None
    if "\n" in cells[0]:
        return None
    inner = cells_of_line(cells[0], reading)
    return inner if inner and len(inner) > 1 else None


def splitter(reading: Reading) -> Callable[[str], list[str]]:
    """Return what splits a line into cells; a blank line has none."""
    if not reading.widths:
        return lambda line: _between_blanks(line.strip(_GAP), reading.quote)
    ends: list[int | None] = [*accumulate(reading.widths, initial=0)]
    ends[-1] = None
    bounds = [slice(start, end) for start, end in pairwise(ends)]

    def cut(line: str) -> list[str]:
        cells = [line[bound].strip(OUTER_BLANKS) for bound in bounds]
        return cells if any(cells) else []

    return cut


def _between_blanks(line: str, quote: str) -> list[str]:
    if not line:
        return []
    if not quote or quote not in line:
        return re.split(f"[{_GAP}]+", line)
    twice = quote * 2
    return [
        found[1].replace(twice, quote) if found[1] is not None else found[0]
        for found in _field(quote).finditer(line)
    ]


@cache
def _field(quote: str) -> re.Pattern[str]:
    mark = re.escape(quote)
    quoted = f"{mark}((?:[^{mark}]|{mark}{mark})*){mark}(?![^{_GAP}])"
    return re.compile(f"{quoted}|[^{_GAP}]+")


class Body:
    """What becomes of the text behind a header.

    left_out: the lines that were, at most LEFT_OUT_KEPT; left_out_count: all. records: those
    that were written anew.
    """

    def __init__(self, reading: Reading, max_record_bytes: int) -> None:
        self._reading = reading
        self._max_bytes = max_record_bytes
        self._split = splitter(reading)
        self.left_out: list[str] = []
        self.left_out_count = 0
        self.records = 0

    def pass_on(self, texts: Texts, folded: int = 0) -> Texts:
        """Yield the text as it is to be read.

        folded: how many cells the header has, if it stood in one quoted field: so may records.
        """
        reading = self._reading
        if not (reading.skip_lines or reading.footer_lines or is_rewritten(reading) or folded):
            return texts
        texts = whole_lines(texts, self._max_bytes)
        if folded:
            texts = self._unfolded(texts, folded)
        if reading.skip_lines:
            texts = self._skipped(texts, reading.skip_lines)
        if reading.footer_lines:
            texts = self._without_footer(texts, reading.footer_lines)
        return self._rewritten(texts) if is_rewritten(reading) else texts

    def _unfolded(self, blocks: Texts, width: int) -> Texts:
        quote = self._reading.quote
        for block, same in blocks:
            if not block.startswith(quote.encode()) and f"\n{quote}".encode() not in block:
                yield block, same
                continue
            lines = block.decode(errors="replace").split("\n")
            for at, line in enumerate(lines):
                cells = cells_of_line(line, self._reading) if line.startswith(quote) else None
                if cells and len(unfolded(line, cells, self._reading) or ()) == width:
                    lines[at] = cells[0]
            yield "\n".join(lines).encode(), False

    def _skipped(self, blocks: Texts, pattern: str) -> Texts:
        search = re.compile(pattern).search
        anywhere = None
        if not _NEEDS_THE_LINE_ALONE.search(pattern):
            anywhere = re.compile(pattern, re.MULTILINE).search
        for block, same in blocks:
            text = block.decode(errors="replace")
            if anywhere and not anywhere(text):
                yield block, same
                continue
            lines = text.split("\n")
            wanted = lines.copy()
            for at, line in enumerate(lines):
                if line and search(line):
                    self._leave_out(line)
                    wanted[at] = ""
            changed = wanted != lines
            yield ("\n".join(wanted).encode() if changed else block), same and not changed

    def _without_footer(self, blocks: Texts, count: int) -> Texts:
        held, held_same = b"", True
        for block, same in blocks:
            whole, held_same = held + block, held_same and same
            cut = _last_lines(whole, count)
            if cut:
                yield whole[:cut], held_same
            held = whole[cut:]
        for line in held.decode(errors="replace").split("\n"):
            if line:
                self._leave_out(line)
        if held:
            yield b"", False

    def _leave_out(self, line: str) -> None:
        self.left_out_count += 1
        if len(self.left_out) < LEFT_OUT_KEPT:
            self.left_out.append(line[:TEXT_KEPT_CHARS])

    def _rewritten(self, blocks: Texts) -> Texts:
        for block, _ in blocks:
            text = block.decode(errors="replace")
            is_ended = text.endswith("\n")
            rows = [self._cells(line) for line in text.removesuffix("\n").split("\n")]
            written = csv_text(rows)
            yield (written if is_ended else written.removesuffix("\n")).encode(), False

    def _cells(self, line: str) -> list[str]:
        if 4 * len(line) > self._max_bytes and len(line.encode()) > self._max_bytes:
            self.records += 1
            return [line]
        cells = self._split(line)
        self.records += bool(cells)
        return cells


def csv_text(rows: Iterable[list[str]]) -> str:
    """Return rows as CSV; a row without cells is a blank line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def whole_lines(texts: Texts, max_bytes: int) -> Texts:
    """Yield blocks of whole lines; of a line that is too long only the beginning."""
    held, is_same, is_dropping = b"", True, False
    for text, same in texts:
        is_same = is_same and same
        rest = text
        if is_dropping:
            end = text.find(b"\n")
            if end < 0:
                continue
            rest, is_dropping = text[end:], False
        whole = held + rest
        cut = whole.rfind(b"\n") + 1
        if cut:
            yield whole[:cut], is_same
        held = whole[cut:]
        if len(held) > max_bytes:
            is_dropping, is_same = True, False
            yield held[: max_bytes + 1], False
            held = b""
    if held:
        yield held, is_same


def _last_lines(text: bytes, count: int) -> int:
    """Return where the last `count` lines that are not blank begin; 0 if there are no more."""
    at = len(text)
    while count and at:
        before = text.rfind(b"\n", 0, at - 1) + 1
        count -= text[before:at] != b"\n"
        at = before
    return at
