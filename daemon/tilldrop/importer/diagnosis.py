"""Why a file does not fit its mapping: what is said beyond the bare fault.

Promises to change no verdict: it only adds what the file seems to be. It reads the beginning of
the file again, and only of one that is refused. Never raises on a customer's bytes.
"""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tilldrop.importer.moments import read_moment
from tilldrop.importer.plan import fold
from tilldrop.importer.records import parse_line
from tilldrop.importer.renamings import renamings
from tilldrop.importer.values import NumberForm, bare
from tilldrop.mapping import FIND
from tilldrop.mapping_columns import columns_needed
from tilldrop.rows import Fault
from tilldrop.sources import When

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tilldrop.importer.memory import Memory
    from tilldrop.importer.stage import Clean
    from tilldrop.mapping import Feed, Reading

HEAD_BYTES = 64 * 1024
LINES_LOOKED_AT = 30
HEADER_SHOWN_CHARS = 400
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabulators", "|": "bars", "^": "^ signs"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_PACKED = (b"PK\x03\x04", b"\x1f\x8b", b"\xd0\xcf\x11\xe0")  # zip and xlsx, gzip, xls
_DATES = ("YYYY-MM-DD", "D/M/YYYY", "M/D/YYYY", "D.M.YYYY", "D-M-YYYY", "YYYY/MM/DD", "YYYYMMDD")
_TIMES = ("", " HH:mm", " HH:mm:ss", " h:mm A", " h:mm:ss A")
COMMON_FORMATS = ("iso", *(f"{date}{time}" for date in _DATES for time in _TIMES))
MOSTLY = 0.9  # of the values seen, where something is said of all


def explain_header(fault: Fault, clean: Clean, feed: Feed, memory: Memory | None) -> Fault:
    """Say of a file that lacks columns what it seems to be instead."""
    needed = columns_needed(feed)
    missing = _lost(needed, clean.header)
    if fault.code != "header-lacks" or not missing:
        return fault
    text = _read_head(clean.path).decode(errors="replace")
    reading = clean.reading or feed.reading
    seems = _other_delimiter(text, reading, missing) or _mojibake(clean.header, feed, missing)
    seems = seems or _header_elsewhere(text, reading, needed)
    return replace(fault, seen=_difference(needed, clean.header, memory, seems))


def explain_search(fault: Fault, path: Path, feed: Feed, memory: Memory | None) -> Fault:
    """Say of a file in which no header was found by its columns which line comes nearest."""
    head = _read_head(path)
    if (
        fault.code != "header-missing"
        or feed.reading.header_line != FIND
        or head.startswith(_PACKED)
    ):
        return fault
    needed = columns_needed(feed)
    text = head.decode(feed.reading.encoding, errors="replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if seems := _other_delimiter(text, feed.reading, needed):
        return replace(fault, seen=f"{fault.seen}; {seems}")
    lines = [parse_line(line, feed.reading) or [] for line in text.split("\n")]
    fitting = [len(needed) - len(_lost(needed, cells)) for cells in lines]
    if max(fitting) < len(needed) / 2:
        return fault
    line = fitting.index(max(fitting))
    header = tuple(bare(cell) for cell in lines[line])
    return Fault("header-lacks", line + 1, seen=_difference(needed, header, memory, ""))


def explain_encoding(fault: Fault, path: Path, reading: Reading) -> Fault:
    """Say of a file that could not be decoded what it seems to be written in."""
    head = _read_head(path)
    if fault.code != "encoding-wrong" or head.startswith(_PACKED):
        return fault
    seems = _other_encoding(head, reading.encoding)
    if not seems or seems in fault.seen.casefold():
        return fault
    return replace(fault, seen=f"{fault.seen}; it seems to be {seems}")


def written_as_utf8(path: Path, encoding: str) -> bool:
    """Tell whether a file that is read in a one-byte encoding is in fact UTF-8.

    Nothing fails then: two odd letters are read where one accented letter stands.
    """
    if encoding.startswith("utf"):
        return False
    head = _read_head(path)
    return not head.isascii() and _is_utf8(head)


def explain_values(faults: Sequence[Fault], feed: Feed, currency: str) -> Fault | None:
    """Return a warning of how dates or numbers seem to be written, where most are unreadable."""
    by_code = Counter(fault.code for fault in faults)
    if not by_code:
        return None
    code = by_code.most_common(1)[0][0]
    seen = [fault.seen for fault in faults if fault.code == code]
    if code == "date-unreadable":
        return _other_dates(seen, feed)
    return _other_decimal(seen, feed, currency) if code == "number-unreadable" else None


def _read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _lost(needed: Sequence[str], header: Sequence[str]) -> list[str]:
    folded = {fold(name) for name in header}
    return [name for name in needed if fold(name) not in folded]


def _difference(
    needed: Sequence[str], header: Sequence[str], memory: Memory | None, seems: str
) -> str:
    """Show what is missing, both headers, and what it seems to be, if need be by the names."""
    missing = _lost(needed, header)
    if not seems and len(header) > 1:  # else it is no table that we could compare with
        renamed = renamings(missing, header, needed, memory.header if memory else ())
        seems = ", ".join(f"{lost} may now be called {name}" for lost, name in renamed.items())
    told = [
        f"expected: {_shown(needed)}",
        f"found: {_shown([name for name in header if name]) or 'none'}",
        *([seems] if seems else []),
    ]
    return f"{', '.join(missing)} ({'; '.join(told)})"


def _shown(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= HEADER_SHOWN_CHARS else f"{text[: HEADER_SHOWN_CHARS - 1]}\u2026"


def _other_delimiter(text: str, reading: Reading, missing: Sequence[str]) -> str:
    lost = {fold(name) for name in missing}
    for line in _lines(text):
        for delimiter, called in DELIMITERS.items():
            if delimiter == reading.delimiter:
                continue
            cells = parse_line(line, replace(reading, delimiter=delimiter)) or []
            found = lost & {fold(cell) for cell in cells}
            if found and len(found) >= len(lost) / 2 and len(cells) > 1:
                return f"the file seems to be separated by {called}"
    return ""


def _header_elsewhere(text: str, reading: Reading, needed: Sequence[str]) -> str:
    wanted = {fold(name) for name in needed}
    for number, line in enumerate(_lines(text), 1):
        if wanted <= {fold(cell) for cell in parse_line(line, reading) or []}:
            return f"the column names seem to stand in line {number}"
    return ""


def _lines(text: str) -> Iterator[str]:
    yield from text.split("\n", LINES_LOOKED_AT)[:LINES_LOOKED_AT]


def _mojibake(header: Sequence[str], feed: Feed, missing: Sequence[str]) -> str:
    """Recognise accented letters of UTF-8 that were read as two characters each."""
    if feed.reading.encoding.startswith("utf"):
        return ""
    read_again = set()
    for name in header:
        try:
            read_again.add(fold(name.encode(feed.reading.encoding).decode("utf-8")))
        except UnicodeError:
            continue
    has_one = any(fold(name) in read_again for name in missing)
    return "the file seems to be written in utf-8" if has_one else ""


def _other_encoding(head: bytes, encoding: str) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name if name != encoding else ""
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) > len(head) // 8:
        return "utf-16-le" if odd > even else "utf-16-be"
    if _is_utf8(head):
        return "" if encoding.startswith("utf-8") else "utf-8"
    # Whether it is one of these cannot be told from the others; it is what most systems write.
    return "cp1252" if encoding != "cp1252" else ""


def _is_utf8(head: bytes) -> bool:
    try:
        # A whole head may end within a letter, a shorter file may not.
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD_BYTES)
    except UnicodeDecodeError:
        return False
    return True


def _other_dates(seen: Sequence[str], feed: Feed) -> Fault | None:
    agreed = [
        one
        for source in feed.sources.values()
        if isinstance(source, When)
        for one in source.formats
    ]
    for form in COMMON_FORMATS:
        if form in agreed:
            continue
        fitting = sum(read_moment(text, (form,)) is not None for text in seen)
        if fitting >= MOSTLY * len(seen):
            told = f"dates like {seen[0]} seem to be {form}, agreed is {' or '.join(agreed)}"
            return Fault("layout-changed", seen=told, warning=True)
    return None


def _other_decimal(seen: Sequence[str], feed: Feed, currency: str) -> Fault | None:
    decimal = "," if feed.reading.decimal == "." else "."
    for thousands in ("", feed.reading.decimal, " "):
        form = NumberForm(decimal, thousands, currency)
        if sum(form.read(text) is not None for text in seen) >= MOSTLY * len(seen):
            called = "a comma" if decimal == "," else "a point"
            told = f"numbers like {seen[0]} seem to have {called} before the decimals"
            return Fault("layout-changed", seen=told, warning=True)
    return None
