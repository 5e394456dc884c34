"""How a sample is written: delimiter, quotation marks, header line, lines that are no records.

Promises that the records that come out are read as a delivery's will be, with their physical
lines. Says what speaks for a dialect, and in `ragged` what speaks against it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING

from tilldrop.guess import marks, words

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS = (",", ";", "\t", "|", "^", "~")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", "^": "^", "~": "~", "": "none"}
_PROBE_LINES = 600
_HEADER_LINES = 40
_TITLES = 10
_BESIDE = re.compile(r"(?<!\d),|,(?!\d)")
_DATE_LIKE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}:\d\d(:\d\d)?.*")

csv.field_size_limit(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One record. line: its first physical line."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the records are cut. delimiter: "blanks" for runs of them, "" with widths.

    header_line: 0 if there is none. unfolded: the header is one quoted field.
    """

    delimiter: str
    quote: str = '"'
    header_line: int = 1
    header: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    evidence: str = ""
    header_evidence: str = ""
    certain: bool = True
    unfolded: bool = False
    preamble: tuple[str, ...] = ()
    lengths: Counter[int] = field(default_factory=Counter)


def find_dialect(text: str) -> Dialect:
    """Return how a text is written. text: line ends as they are, no byte-order mark."""
    lines = text.splitlines()[:_PROBE_LINES]
    scored = [
        (score, delimiter, quote, lengths)
        for delimiter in DELIMITERS
        for quote in ('"', "")
        if quote or '"' in text
        for score, lengths in [_score(lines, delimiter, quote)]
    ]
    # Without quotation marks only where they are plainly no quotation marks.
    score, delimiter, quote, lengths = max(
        scored, key=lambda one: one[0] * (1.0 if one[2] else 0.8)
    )
    if score < 0.5:
        return _without_delimiter(lines)
    share = lengths.most_common(1)[0][1] / max(1, lengths.total())
    evidence = (
        f"{_NAMES[delimiter]}: {lengths.most_common(1)[0][0]} fields in {share:.0%} of the rows"
    )
    base = Dialect(delimiter, quote, evidence=evidence, lengths=lengths, certain=share > 0.9)
    return _with_header(base, list(records(text, base, _PROBE_LINES)), lines)


def records(text: str, dialect: Dialect, limit: int) -> Iterator[Row]:
    """Yield the first records of a text, blank lines left out, from its first line on."""
    if dialect.delimiter in {"", "blanks"}:
        yield from _cut(text, dialect, limit)
        return
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
    )
    before = 0
    for count, cells in enumerate(reader):
        if count >= limit + _HEADER_LINES:
            return
        line, before = before + 1, reader.line_num
        if cells:
            yield Row(line, cells)


def _cut(text: str, dialect: Dialect, limit: int) -> Iterator[Row]:
    """Yield records of fixed width or with runs of blanks between their fields."""
    for number, line in enumerate(io.StringIO(text), 1):
        if number > limit + _HEADER_LINES:
            return
        bare = line.rstrip("\r\n")
        if not bare.strip():
            continue
        if dialect.widths:
            yield Row(number, _slices(bare, dialect.widths))
        else:
            yield Row(number, bare.split())


def _slices(line: str, widths: tuple[int, ...]) -> list[str]:
    cells, at = [], 0
    for number, width in enumerate(widths):
        end = len(line) if number == len(widths) - 1 else at + width
        cells.append(line[at:end].strip())
        at += width
    return cells


def _score(lines: list[str], delimiter: str, quote: str) -> tuple[float, Counter[int]]:
    """Score how well a delimiter cuts the lines: even counts of many fields."""
    text = "\n".join(lines)
    if delimiter not in text:
        return 0.0, Counter()
    base = Dialect(delimiter, quote)
    try:
        lengths = Counter(len(row.cells) for row in records(text, base, _PROBE_LINES))
    except csv.Error:
        return 0.0, Counter()
    if not lengths:
        return 0.0, lengths
    fields, times = max(lengths.items(), key=lambda one: (one[1], one[0]))
    if set(lengths) == {1}:
        return 0.0, lengths
    if fields == 1:
        fields, times = max(((f, t) for f, t in lengths.items() if f > 1), key=lambda one: one[1])
    if fields == 2 and delimiter == "," and not _BESIDE.search(text):
        return 0.0, lengths  # a decimal mark, never anything but digits around it
    share = times / lengths.total()
    # Quotation marks that join lines make records fewer; such a reading must be worth it.
    swallowed = 1 - lengths.total() / max(1, sum(1 for line in lines if line.strip()))
    near = (
        sum(count for size, count in lengths.items() if abs(size - fields) <= 4) / lengths.total()
    )
    even = max(share, 0.6 * near) if fields > 8 else share
    points = even * even * log2(fields + 1) * (1 - 0.7 * max(0.0, swallowed))
    return points + (0.01 if quote else 0.0), lengths


def _without_delimiter(lines: list[str]) -> Dialect:
    """Cut by blanks or widths; one column if neither does."""
    full = [line for line in lines if line.strip()]
    counts = Counter(len(line.split()) for line in full)
    fields, times = counts.most_common(1)[0] if counts else (0, 0)
    text = "\n".join(lines)
    # A title before the table has other words; behind it, every line must be cut alike.
    titles = next((at for at, line in enumerate(full) if len(line.split()) == fields), 0)
    if fields > 1 and titles <= _TITLES and len(full) - titles > 2 and times == len(full) - titles:
        evidence = f"runs of blanks: {fields} fields in every line" + " of the table" * bool(titles)
        base = Dialect("blanks", "", evidence=evidence, lengths=Counter({fields: times}))
        return _with_header(base, list(records(text, base, _PROBE_LINES)), lines)
    widths = _widths(full)
    if len(widths) > 1:
        evidence = f"fixed width: the same {len(widths) - 1} gaps of blanks in all lines"
        base = Dialect("", "", widths=widths, evidence=evidence, certain=False)
        return _with_header(base, list(records(text, base, _PROBE_LINES)), lines)
    base = Dialect(",", '"', evidence="no delimiter was found", certain=False)
    return _with_header(base, list(records(text, base, _PROBE_LINES)), lines)


def _widths(lines: list[str]) -> tuple[int, ...]:
    """Return the widths that gaps common to all lines cut; the gap belongs to the field before."""
    longest = max(map(len, lines), default=0)
    if len(lines) < 3 or min(map(len, lines)) < 0.5 * longest:
        return ()
    padded = [line.ljust(longest) for line in lines]
    blank = [all(line[at] == " " for line in padded) for at in range(longest)]
    starts = [at for at in range(longest) if not blank[at] and (at == 0 or blank[at - 1])]
    edges = [0, *starts[1:], longest]
    return tuple(after - before for before, after in pairwise(edges))


# The header


def _with_header(base: Dialect, rows: list[Row], lines: list[str]) -> Dialect:
    """Find the line of the column names among the first records."""
    body = Counter(len(row.cells) for row in rows[1:]) or Counter(len(row.cells) for row in rows)
    usual = max(body.items(), key=lambda one: (one[1], one[0]))[0] if body else 0
    for at, row in enumerate(rows[:_HEADER_LINES]):
        cells, unfolded = row.cells, False
        if len(cells) == 1 and usual > 1 and base.delimiter in cells[0]:
            inner = next(csv.reader([cells[0]], delimiter=base.delimiter), [])
            if len(inner) >= usual:
                cells, unfolded = inner, True
        names = tuple(cell.strip() for cell in cells)
        why = _is_header(names, rows[at + 1 : at + 41], usual)
        if why:
            return _found(base, row, names, lines, why, unfolded=unfolded)
        if _is_record(row.cells, usual):
            break
    first = next((row for row in rows if len(row.cells) == usual), None)
    evidence = "no line holds column names: the first row looks like all others"
    del first
    names = tuple(f"#{number}" for number in range(1, usual + 1))
    return _replace(base, 0, names, evidence, (), unfolded=False)


def _found(
    base: Dialect, row: Row, names: tuple[str, ...], lines: list[str], why: str, *, unfolded: bool
) -> Dialect:
    preamble = tuple(lines[: row.line - 1])
    evidence = f"line {row.line} {why}"
    if unfolded:
        evidence += ", all within one pair of quotation marks"
    return _replace(base, row.line, names, evidence, preamble, unfolded=unfolded)


def _replace(
    base: Dialect,
    line: int,
    names: tuple[str, ...],
    evidence: str,
    preamble: tuple[str, ...],
    *,
    unfolded: bool,
) -> Dialect:
    return Dialect(
        base.delimiter,
        base.quote,
        line,
        names,
        base.widths,
        base.evidence,
        evidence,
        base.certain,
        unfolded,
        preamble,
        base.lengths,
    )


def _is_header(names: tuple[str, ...], below: list[Row], usual: int) -> str:
    """Say why a record holds column names, "" if it does not."""
    filled = [name for name in names if name]
    if len(filled) < max(2, 0.7 * min(usual, len(names))) or len(names) < 0.8 * usual:
        return ""
    values = sum(_is_value(name) for name in filled)
    if values > 0.1 * len(filled) or len({name.casefold() for name in filled}) < 0.8 * len(filled):
        return ""
    if any(len(name) > 80 for name in filled):
        return ""
    wellknown = sum(words.known(name) for name in filled)
    if wellknown >= max(2, 0.3 * len(filled)):
        return f"holds {wellknown} known column names"
    differ = 0
    for at, name in enumerate(names):
        under = [row.cells[at].strip() for row in below if at < len(row.cells)]
        filled_below = [cell for cell in under if cell]
        if name and filled_below and sum(map(_is_value, filled_below)) > 0.8 * len(filled_below):
            differ += 1
    return f"holds texts where {differ} columns below hold numbers or dates" if differ else ""


def _is_record(cells: list[str], usual: int) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return len(cells) == usual and len(filled) >= 0.6 * usual and any(map(_is_value, filled))


def _is_value(cell: str) -> bool:
    text = cell.strip()
    return bool(_DATE_LIKE.fullmatch(text)) or (marks.body(text) is not None)
