"""Finding payment-card data in a clean file, wherever it stands.

Promises that no number is ever put into a fault or a log, only where it stands. A file without
13 digits in a row, blanks and dashes not counted, costs one pass at memory speed; only numbers
that are found are looked at one by one. What counts as a card, `cards` and `card_columns` say.
Never changes a file.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.importer import card_columns
from tilldrop.importer.card_columns import CARD_WORDS, ID_WORDS, Evidence
from tilldrop.importer.cards import (
    CARD_GROUPS,
    LONGEST,
    SHORTEST,
    is_barcode,
    is_card,
    is_usual,
    mask,
    numbers_in,
)
from tilldrop.importer.records import TEXT_KEPT_CHARS, QuoteUnclosed, read_records
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.importer.card_columns import Known, Standing
    from tilldrop.importer.stage import Clean
    from tilldrop.mapping import Reading

CHUNK_BYTES = 1024**2
PLACES_KEPT = 100
SHOWN_LINES = 3
NUMBERS_WEIGHED = 20_000  # that are no cards; past them they tell no more of their columns
PROVEN = 1_000  # so many numbers of a length that are no cards
_MOSTLY_BARCODES = 0.9
_OVERLAP = 64  # longer than any number with its blanks

# Bytes of the blanks and dashes that may stand within a number, in UTF-8. As bytes of other
# characters go with them, a chunk may be looked at for nothing.
_GAPS = b" -\xc2\xa0\xe2\x80\xaf\x90\x91\x92\x93"
_DIGITS = b"0123456789"
_FOLDED = bytes.maketrans(_DIGITS, b"0" * 10)
_FOLDED_GAPS = bytes.maketrans(_DIGITS + _GAPS, b"0" * 10 + b"-" * len(_GAPS))
_ENOUGH = b"0" * SHORTEST
# What a number in groups has that a date with a time does not; a gap has one to three bytes.
_GROUPED = tuple(
    pattern.replace(b"-", b"-" * size)
    for pattern in (b"0000-000", b"0-00-00-00-00-00-0", b"0-000-000-000-0")
    for size in (1, 2, 3)
)
# Dots stand between groups of four alone: anywhere else they are decimal places and dates.
_DOTTED_ENOUGH = b"0000.0000.0000.0"
_DOTTED = re.compile(rb"(?<![0-9.])([0-9]{4})\.([0-9]{4})\.([0-9]{4})\.([0-9]{1,4})(?![0-9.])")
_GAP = rb"(?: |-|\xc2\xa0|\xe2\x80[\x90-\x93\xaf])"
_RUN = re.compile(rb"[0-9](?:" + _GAP + rb"?[0-9]){" + str(SHORTEST - 1).encode() + rb",}")
_PLAIN_RUN = re.compile(rb"[0-9]+")
# ISO/IEC 7813: number, name and expiry between carets; number, =, expiry, service code.
_TRACK_1 = re.compile(rb"[Bb]([0-9]{13,19})\^[^\^\r\n]{2,30}\^[0-9]{4}")
_TRACK_2 = re.compile(rb"([0-9]{13,19})[=D][0-9]{2}(?:0[1-9]|1[0-2])[0-9]{3,}")
_CODE = re.compile(r"[0-9]{3,4}")
_LAST_WORD = re.compile(r"([^\W\d_]+)[^\w]*$")
_PLAIN, _AS_ON_CARDS, _OTHERWISE = "plain", "as on cards", "otherwise"
_Bucket = tuple[int, "Standing", str, int]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found. fault: the worst of it; its `seen` tells lines, never digits.

    count: card numbers (cells, not distinct ones). runs: as they stand in the file.
    """

    fault: Fault | None = None
    count: int = 0
    runs: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(slots=True)
class _Hits:
    """Where the numbers of one bucket stand that may be cards."""

    evidence: Evidence = field(default_factory=Evidence)
    runs: set[str] = field(default_factory=set, repr=False)
    lines: list[int] = field(default_factory=list)
    count: int = 0

    def add(self, run: str, line: int) -> None:
        self.count += 1
        self.runs.add(run)
        if len(self.lines) < PLACES_KEPT:
            self.lines.append(line)


@dataclass(frozen=True, slots=True)
class _Found:
    """A run of digits. before, after: what stands beside it in its cell."""

    line: int
    column: int
    run: bytes
    before: bytes
    after: bytes


def scan(clean: Clean, reading: Reading, known: Known, max_record_bytes: int) -> Findings:
    """Look for card data in a clean file and in the lines that its reading left out.

    reading: how the clean file is written. known: what the mapping says of its columns.
    Cost: 0.06 s for 100 MB without long numbers; 2 s for a million of them.
    """
    codes = _find_codes(clean, reading, max_record_bytes)
    if codes:
        return Findings(codes)
    if not _is_suspicious(clean):
        return Findings()
    if (track := _find_track(_chunks(clean))) is not None:
        return Findings(track)
    for most in (NUMBERS_WEIGHED, None):
        # Line breaks within cells: no line has all its cells.
        weighing = _Weighing(most)
        if clean.odd and clean.quoted:
            found = _in_records(clean, reading, max_record_bytes, weighing)
        else:
            found = _in_lines(_chunks(clean), reading, clean.first_record_line, weighing)
        findings = weighing.conclude(found, clean.header, known)
        if findings.fault is None or not weighing.left_out:
            break
    return findings


def _is_suspicious(clean: Clean) -> bool:
    """Tell whether 13 digits stand in a row anywhere, blanks and dashes not counted."""
    if any(_has_enough(line.encode()) for line in clean.left_out):
        return True
    with clean.path.open("rb", buffering=0) as file:
        before = b""
        while chunk := file.read(CHUNK_BYTES):
            if _has_enough(before + chunk):
                return True
            before = chunk[-_OVERLAP:]
    return False


def _chunks(clean: Clean) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of a file, cut at line ends, that hold 13 digits in a row, and their line."""
    left_out = "\n".join(clean.left_out).encode()
    if left_out and _has_enough(left_out):
        yield 0, left_out
    line = 1
    with clean.path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            chunk += file.readline()
            if _has_enough(chunk):
                yield line, _with_dashes(chunk)
            line += chunk.count(b"\n")


def _has_enough(text: bytes) -> bool:
    folded = text.translate(_FOLDED, _GAPS)
    return _ENOUGH in folded or _DOTTED_ENOUGH in folded


def _with_dashes(text: bytes) -> bytes:
    """Return numbers in dotted groups of four as they would be with dashes."""
    return _DOTTED.sub(rb"\1-\2-\3-\4", text) if _DOTTED_ENOUGH in text.translate(_FOLDED) else text


def _runs(text: bytes, of: _Weighing) -> Iterator[tuple[int, int]]:
    """Yield where long numbers that are to be weighed begin and end, those in one piece first."""
    folded = text.translate(_FOLDED_GAPS)
    find, match, enough = folded.find, _PLAIN_RUN.match, of.enough
    at = find(enough)
    while at >= 0:
        found = match(text, at)
        end = found.end() if found else at + SHORTEST
        if of.wants(text[at:end]):
            yield at, end
        at = find(enough, end)
    if any(map(folded.__contains__, _GROUPED)):
        for run in _RUN.finditer(text):
            if not run[0].isdigit():
                yield run.span()


def _find_track(chunks: Iterator[tuple[int, bytes]]) -> Fault | None:
    for first_line, chunk in chunks:
        patterns = [_TRACK_1] if b"^" in chunk else []
        folded = chunk.translate(_FOLDED)
        if _ENOUGH + b"=" in folded or _ENOUGH + b"D" in folded:
            patterns.append(_TRACK_2)
        for pattern in patterns:
            for found in pattern.finditer(chunk):
                if is_card(found[1]):
                    line = first_line + chunk.count(b"\n", 0, found.start())
                    return Fault("card-track-data", line, "the line", f"line {line}")
    return None


def _find_codes(clean: Clean, reading: Reading, max_record_bytes: int) -> Fault | None:
    """Find the first verification code in a column that is named so."""
    columns = [at for at, name in enumerate(clean.header) if card_columns.holds_codes(name)]
    if not columns:
        return None
    try:
        for record in read_records(clean, reading, max_record_bytes):
            for at in columns:
                if at < len(record.cells) and _CODE.fullmatch(record.cells[at].strip()):
                    return Fault("card-code", record.line, clean.header[at], f"line {record.line}")
    except QuoteUnclosed:
        return None  # the file is refused whole for that
    return None


def _in_lines(
    chunks: Iterator[tuple[int, bytes]], reading: Reading, first_record_line: int, of: _Weighing
) -> Iterator[_Found]:
    """Find runs of digits where each line has all its cells."""
    delimiter, quote = reading.delimiter.encode(), reading.quote.encode()
    for first_line, chunk in chunks:
        line, counted = first_line, 0
        for start, end in _runs(chunk, of):
            line += _lines_between(chunk, counted, start)
            counted = start
            before = chunk[chunk.rfind(b"\n", 0, start) + 1 : start]
            column, head = _place(before, delimiter, quote)
            if line < first_record_line:
                column = -1
            tail = chunk[end : end + _OVERLAP].split(b"\n", 1)[0].split(delimiter, 1)[0]
            yield _Found(line, column, chunk[start:end], head[-_OVERLAP:], tail)


def _lines_between(chunk: bytes, one: int, other: int) -> int:
    if one <= other:
        return chunk.count(b"\n", one, other)
    return -chunk.count(b"\n", other, one)


def _place(before: bytes, delimiter: bytes, quote: bytes) -> tuple[int, bytes]:
    """Return the column in which a line goes on behind `before`, and what its cell begins with."""
    if not quote or quote not in before:
        return before.count(delimiter), before[before.rfind(delimiter) + len(delimiter) :]
    parts = before.split(quote)
    column = sum(part.count(delimiter) for part in parts[::2])
    is_within = len(parts) % 2 == 0
    return column, parts[-1] if is_within else parts[-1].rsplit(delimiter, 1)[-1]


def _in_records(
    clean: Clean, reading: Reading, max_record_bytes: int, of: _Weighing
) -> Iterator[_Found]:
    """Find runs of digits in records that may run over several lines."""
    try:
        for record in read_records(clean, reading, max_record_bytes):
            if len(record.text) < TEXT_KEPT_CHARS and not _has_enough(record.text.encode()):
                continue
            for column, cell in enumerate(record.cells or [record.text]):
                raw = _with_dashes(cell.encode())
                if not _has_enough(raw):
                    continue
                for start, end in _runs(raw, of):
                    head, tail = raw[max(0, start - _OVERLAP) : start], raw[end : end + _OVERLAP]
                    yield _Found(record.line, column, raw[start:end], head, tail)
    except QuoteUnclosed:
        return


class _Weighing:
    """Sorts the numbers by column and form, and decides of each sort.

    most: how many numbers that are no cards are weighed, None: all. left_out: some were not; then
    unusual numbers (see `cards.is_usual`) of a length that others are full of are left out too.
    enough: digits in one piece that are looked for; one more where those of 13 are barcodes.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._weighed = 0
        self._lengths: Counter[int] = Counter()  # of unusual numbers, those that are no cards
        self._barcodes = 0  # of 13 digits
        self._hits: dict[_Bucket, _Hits] = {}
        self.enough = _ENOUGH
        self.left_out = False

    def wants(self, run: bytes) -> bool:
        """Tell whether a run in one piece is to be weighed."""
        if self._most is None or self._weighed < self._most:
            return True
        if is_usual(run):
            if is_card(run):
                return True
        elif self._lengths[len(run)] < PROVEN and is_card(run):
            return True
        self.left_out = True
        if self._barcodes > _MOSTLY_BARCODES * self._lengths[SHORTEST] > PROVEN:
            self.enough = _ENOUGH + b"0"
        return False

    def conclude(self, found: Iterator[_Found], header: tuple[str, ...], known: Known) -> Findings:
        """Weigh all numbers and report the columns that hold cards."""
        for one in found:
            self._weigh(one)
        guilty = []
        for (column, standing, form, _), hits in self._hits.items():
            named = 0 <= column < len(header)
            kind = card_columns.kind_of(header[column], known) if named else "other"
            in_groups = form == _AS_ON_CARDS
            if card_columns.are_cards(kind, standing, hits.evidence, in_card_groups=in_groups):
                name = header[column] if named else f"line {hits.lines[0]}"
                guilty.append((name, hits))
        return _report(guilty)

    def _weigh(self, one: _Found) -> None:
        form, digits = _form(one.run)
        card = _card_in(one.run, digits, form)
        self._weighed += not card
        before, after = one.before.decode(errors="replace"), one.after.decode(errors="replace")
        standing = _standing(before, after)
        if standing is None:
            return
        is_other = is_barcode(digits)
        if form == _PLAIN and not is_usual(digits):
            self._lengths[len(digits)] += is_other or not card
            self._barcodes += is_other and len(digits) == SHORTEST
        if is_other and standing != "card":
            card = b""
        number = card or digits
        hits = self._hits.setdefault((one.column, standing, form, len(number)), _Hits())
        if not self.left_out or not hits.evidence.cards:
            hits.evidence.add(number, may_be_card=bool(card))
        if card:
            hits.add(one.run.decode(), one.line)


def _standing(before: str, after: str) -> Standing | None:
    """Tell how a run stands in its cell; None: as a part of something that is no card number."""
    head, tail = before.strip(" '\"=\t\ufeff"), after.strip(" '\"\t")
    last_word = _LAST_WORD.search(before)
    word = last_word[1].casefold() if last_word else ""
    if word in CARD_WORDS:
        return "card"
    if not head and not tail:
        return "alone"
    if before[-1:].isalnum() or before[-1:] in tuple("_/+=.,@&?-") or after[:1].isalnum():
        return None
    if re.match(r"[.,][0-9]*[1-9]|[_@]\w|[/-][^\W\d]", after):
        return None
    return None if word in ID_WORDS and head.rstrip(" :#.=\t").casefold().endswith(word) else "text"


def _form(run: bytes) -> tuple[str, bytes]:
    """Return how a run is grouped, and its digits."""
    if run.isdigit():
        return _PLAIN, run
    groups = _PLAIN_RUN.findall(run)
    lengths = tuple(map(len, groups))
    return _AS_ON_CARDS if lengths in CARD_GROUPS else _OTHERWISE, b"".join(groups)


def _card_in(run: bytes, digits: bytes, form: str) -> bytes:
    """Return the digits of the card number that a run may be, or hold; b"" if there is none."""
    if form != _OTHERWISE and SHORTEST <= len(digits) <= LONGEST and is_card(digits):
        return digits
    if form == _PLAIN:
        return b""
    # Dates and other numbers may stand beside it; only what looks like a card counts then, and
    # what stands in one piece was found already.
    cards = (one for _, one in numbers_in(run.decode()) if is_usual(one) and one not in run)
    return next(cards, b"")


def _report(guilty: list[tuple[str, _Hits]]) -> Findings:
    if not guilty:
        return Findings()
    guilty = [(mask(name), hits) for name, hits in guilty]
    name, first = min(guilty, key=lambda one: one[1].lines[0])
    lines = sorted({line for _, bucket in guilty for line in bucket.lines})
    count = sum(bucket.count for _, bucket in guilty)
    shown = ", ".join(f"line {line}" for line in lines[:SHOWN_LINES])
    more = f", {count} in all" if count > SHOWN_LINES else ""
    others = sorted({other for other, _ in guilty} - {name})
    also = f"; also in {', '.join(others)}" if others else ""
    runs = frozenset(run for _, bucket in guilty for run in bucket.runs)
    return Findings(Fault("card-data", first.lines[0], name, shown + more + also), count, runs)
