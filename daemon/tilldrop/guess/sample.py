"""A sample as the guess sees it: its columns with their values, and how it is written.

Owns `Sample` and `Column`. Promises that every record of the part that was read is there, in the
file's order, short and long ones too. Reads at most `MAX_BYTES` and `MAX_ROWS`.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tilldrop.errors import SampleUnreadable
from tilldrop.guess import dates, marks, value_words, words
from tilldrop.guess.contents import open_contents
from tilldrop.guess.dialect import Dialect, find_dialect, records
from tilldrop.guess.encodings import Encoding, decode, find_encoding
from tilldrop.importer.values import bare

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.guess.dates import Dates
    from tilldrop.guess.dialect import Row
    from tilldrop.guess.marks import Marks

MAX_BYTES = 48 * 1024**2
MAX_ROWS = 60_000
_NEARLY_ALL = 0.97


class Column:
    """One column of a sample. cells: outer blanks removed, null texts empty, in the file's order."""

    def __init__(self, at: int, name: str, cells: list[str], nulls: frozenset[str]) -> None:
        self.at = at
        self.name = name
        self.cells = cells
        self.seen = Counter(cell for cell in cells if cell)
        self.nulls = nulls
        self.numbers: list[float | None] = []
        self.places = 0
        self.unread: Counter[str] = Counter()
        self.own: Marks | None = None  # where it is not written as the others are

    @cached_property
    def filled(self) -> int:
        """Count the cells that are not empty."""
        return self.seen.total()

    @property
    def is_empty(self) -> bool:
        """Tell whether no cell holds anything."""
        return not self.seen

    @property
    def is_full(self) -> bool:
        """Tell whether every cell holds something."""
        return self.filled == len(self.cells)

    @property
    def is_number(self) -> bool:
        """Tell whether (nearly) all cells are numbers."""
        return bool(self.numbers)

    @cached_property
    def is_whole(self) -> bool:
        """Tell whether all cells are whole numbers."""
        return self.is_number and all(
            number is None or number == int(number) for number in self.numbers
        )

    @cached_property
    def dates(self) -> Dates | None:
        """Return how the cells are dates, None if they are not."""
        if self.is_empty:
            return None
        named = words.says(self.name, "date", "other-date", least=3) or self.name.startswith("#")
        return dates.find_dates(self.seen, named=named)

    @cached_property
    def time(self) -> str:
        """Return the format of times of day, "" if the cells are none."""
        named = words.says(self.name, "time", least=5)
        return dates.find_times(self.seen, named=named) if self.seen else ""

    @cached_property
    def has_negative(self) -> bool:
        """Tell whether a number is below zero."""
        return any(number is not None and number < 0 for number in self.numbers)

    @cached_property
    def is_varied(self) -> bool:
        """Tell whether a number differs from zero."""
        return any(self.numbers)

    def says(self, *roles: str, least: int = 6) -> bool:
        """Tell whether the name means one of the roles."""
        return words.says(self.name, *roles, least=least)

    def strength(self, role: str) -> int:
        """Return how surely the name means a role."""
        return words.strength(role, self.name)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read of one file. whole: nothing of it was left out.

    ragged: count of fields -> records that have so many, where that is not the header's count.
    echoes: "names" and "nothing", if some rows repeat the column names or hold no cell.
    left_out: lines that are no records (totals and the like); skip: the pattern that leaves them
    out, or footer: how many lines at the end.
    """

    path: Path
    encoding: Encoding
    dialect: Dialect
    marks: Marks
    columns: tuple[Column, ...]
    rows: int
    whole: bool
    size_bytes: int
    ragged: Counter[int] = field(default_factory=Counter)
    longer: tuple[tuple[str, ...], ...] = ()
    nulls: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    skip: str = ""
    footer: int = 0
    sheet: str = ""
    packed: str = ""
    echoes: frozenset[str] = frozenset()

    @property
    def header(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(column.name for column in self.columns)


def take_sample(path: Path) -> Sample:
    """Read a sample, unpacked if it is packed. Raises SampleUnreadable."""
    contents = open_contents(path, MAX_BYTES)
    raw = contents.raw
    encoding = find_encoding(raw)
    text = decode(raw, encoding.name)
    dialect = find_dialect(text)
    rows = list(records(text, dialect, MAX_ROWS))
    body = [row for row in rows if row.line > dialect.header_line]
    width = _width(dialect, body)
    body, echoes = _without_echoes(dialect, body)
    body, left_out, skip, footer = _without_summaries(text, dialect, body)
    if not body:
        raise SampleUnreadable(f"{path.name} holds no records, only names or lines of text")
    size = len(raw)
    whole = len(rows) < MAX_ROWS and size < MAX_BYTES
    even, ragged, longer = _even(body, width, len(dialect.header))
    columns, nulls = _columns(dialect.header[:width], even)
    found = find_numbers(columns)
    return Sample(
        path,
        encoding,
        dialect,
        found,
        columns,
        len(even),
        whole,
        size,
        ragged,
        longer,
        nulls,
        left_out,
        skip,
        footer,
        contents.sheet,
        contents.packed,
        echoes,
    )


def _even(
    body: list[Row], width: int, header: int
) -> tuple[list[list[str]], Counter[int], tuple[tuple[str, ...], ...]]:
    """Return the rows that have as many fields as the header, and what the others have."""
    usual = {width, header}
    lengths = Counter(len(row.cells) for row in body)
    ragged = Counter({size: count for size, count in lengths.items() if size not in usual})
    longer = tuple(tuple(map(bare, row.cells)) for row in body if len(row.cells) > header)
    even = [row.cells for row in body if len(row.cells) in usual]
    return even or [row.cells for row in body], ragged, longer


def _width(dialect: Dialect, body: list[Row]) -> int:
    """Count the columns without nameless empty ones at the end."""
    width = len(dialect.header)
    while (
        width
        and not dialect.header[width - 1]
        and all(len(row.cells) < width or not row.cells[width - 1].strip() for row in body)
    ):
        width -= 1
    return width


def _columns(
    header: tuple[str, ...], rows: list[list[str]]
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Lay out the cells by column; texts that mean nothing become empty where others are typed."""
    columns = []
    used: set[str] = set()
    for at, name in enumerate(header):
        cells = [bare(cells[at]) if at < len(cells) else "" for cells in rows]
        nulls = _nulls(cells)
        if nulls:
            used |= nulls
            cells = ["" if cell in nulls else cell for cell in cells]
        columns.append(Column(at, name, cells, nulls))
    everywhere = {text.casefold() for text in used}
    if everywhere:
        for column in columns:
            if any(cell.casefold() in everywhere for cell in column.seen):
                cells = ["" if cell.casefold() in everywhere else cell for cell in column.cells]
                columns[column.at] = Column(column.at, column.name, cells, column.nulls)
    return tuple(columns), tuple(sorted(used))


def _nulls(cells: list[str]) -> frozenset[str]:
    """Return the texts that mean an empty cell: odd ones out among numbers and dates."""
    seen = Counter(cell for cell in cells if cell)
    odd = {cell for cell in seen if cell.casefold() in value_words.NULLS}
    if not odd:
        return frozenset()
    rest = [cell for cell in list(seen)[:400] if cell not in odd]
    named = odd & {cell for cell in odd if cell.casefold() in {"null", "\\n", "<null>", "(null)"}}
    if not rest:
        return frozenset(named)
    typed = sum(bool(marks.body(cell)) or bool(re.match(r"\d{1,4}[-/.:]\d", cell)) for cell in rest)
    return frozenset(odd) if typed > 0.95 * len(rest) else frozenset(named)


def find_numbers(columns: tuple[Column, ...]) -> Marks:
    """Find the marks over all columns that are numbers in some form, and read the numbers."""
    maybe = []
    for column in columns:
        values = list(column.seen)
        if not values or column.time or words.says(column.name, "phone", "email"):
            continue
        good = sum(column.seen[value] for value in values if marks.body(value) is not None)
        if good >= _NEARLY_ALL * column.filled and not _is_date(column):
            maybe.append(column)
    found = marks.decide(column.seen for column in maybe)
    if found.doubt:
        found = _apart(maybe) or found
    read_numbers(tuple(maybe), found)
    return found


def _apart(columns: list[Column]) -> Marks | None:
    """See whether each column is written one way, if not all the same; the way of most is theirs."""
    own = [(column, marks.decide([column.seen])) for column in columns]
    ways = Counter(one.decimal for _, one in own if one.certain and one.evidence != marks.WHOLE)
    if len(ways) < 2 or not all(one.certain for _, one in own):
        return None
    usual = max(ways, key=lambda way: (ways[way], way == "."))
    for column, one in own:
        if one.evidence != marks.WHOLE and one.decimal != usual:
            column.own = one
    rest = marks.decide(column.seen for column in columns if column.own is None)
    return None if rest.doubt else rest


def read_numbers(columns: tuple[Column, ...], found: Marks) -> None:
    """Read the numbers of columns that are numbers in some form."""
    for column in columns:
        form = marks.form(column.own or found)
        values = list(column.seen)
        good = sum(column.seen[value] for value in values if marks.body(value) is not None)
        if not values or good < _NEARLY_ALL * column.filled:
            continue
        column.numbers, column.places, column.unread = [], 0, Counter()
        numbers: dict[str, float | None] = {"": None}
        for value, times in column.seen.items():
            number = form.read(value)
            numbers[value] = None if number is None else float(number)
            if number is None:
                column.unread[value] = times
            else:
                column.places = max(
                    column.places, marks.places(value, (column.own or found).decimal)
                )
        if column.unread.total() <= (1 - _NEARLY_ALL) * column.filled:
            column.numbers = [numbers[cell] for cell in column.cells]


def _is_date(column: Column) -> bool:
    """Tell a date from a number: both may be digits alone."""
    found = column.dates
    if found is None:
        return False
    digits = all(value.isdecimal() for value in list(column.seen)[:50])
    return (
        not digits
        or words.says(column.name, "date", "other-date", least=3)
        or (column.name.startswith("#") and len(next(iter(column.seen))) == 8)
    )


def _without_echoes(dialect: Dialect, body: list[Row]) -> tuple[list[Row], frozenset[str]]:
    """Leave out rows that repeat the column names, and rows of nothing but delimiters."""
    names = [name.strip() for name in dialect.header]
    kept, echoes = [], set()
    for row in body:
        first = row.cells[0].strip()
        if first and first != names[0]:
            kept.append(row)
            continue
        cells = [cell.strip() for cell in row.cells]
        if dialect.header_line and cells == names:
            echoes.add("names")
        elif not any(cells) and len(cells) == len(names) > 1:
            echoes.add("nothing")
        else:
            kept.append(row)
    return kept, frozenset(echoes)


def _without_summaries(
    text: str, dialect: Dialect, body: list[Row]
) -> tuple[list[Row], tuple[str, ...], str, int]:
    """Leave out the rows that sum others up, and say how a mapping leaves them out."""
    del text
    odd = [at for at, row in enumerate(body) if _is_summary(row, len(dialect.header))]
    if not odd or len(odd) > 0.2 * len(body):
        return body, (), "", 0
    glue = dialect.delimiter if dialect.delimiter not in {"", "blanks"} else " "
    lines = tuple(glue.join(body[at].cells) for at in odd)
    kept = [row for at, row in enumerate(body) if at not in set(odd)]
    starts = sorted({_start(body[at].cells) for at in odd})
    quote = f"{re.escape(dialect.quote)}?" if dialect.quote else ""
    lead = rf"[\s{re.escape(glue)}{dialect.quote}]*"
    pattern = rf"^{lead}{quote}({'|'.join(map(re.escape, starts))})\b" if all(starts) else ""
    if pattern and not any(re.match(pattern, glue.join(row.cells), re.IGNORECASE) for row in kept):
        return kept, lines, pattern, 0
    at_end = odd == list(range(len(body) - len(odd), len(body)))
    return (kept, lines, "", len(odd)) if at_end else (body, (), "", 0)


def _start(cells: list[str]) -> str:
    first = next((cell.strip() for cell in cells if cell.strip()), "")
    return re.split(r"[^\w ]", first)[0].strip()


def _is_summary(row: Row, width: int) -> bool:
    if row.cells[0] and (
        row.cells[0].isdecimal() or (len(row.cells) > 1 and row.cells[0][:1].isdecimal())
    ):
        return False
    filled = [cell.strip() for cell in row.cells if cell.strip()]
    if not filled or len(filled) > max(2, 0.6 * width):
        return not filled and False
    first = filled[0]
    if marks.body(first) is not None and len(filled) > 1:
        return False
    return words.has_word(first, value_words.SUMMARY) or bool(
        re.match(r"[-=*]{3,}|\(?\d+ rows?", first)
    )
