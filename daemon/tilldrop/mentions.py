"""Where a person is mentioned: in a text, in a report, in a kept file.

Owns what counts as a mention: a cell that is one of the texts looked for, or, for texts of four
characters and more, that text between other signs. Looks into packed files and workbooks, and at
the encodings that tills use. Never changes a file, never opens a database.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import re
import unicodedata
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ERASED = "(erased)"
LONG_ENOUGH = 4  # shorter texts stand within other words and numbers by chance
CHUNK_BYTES = 1024**2
_ENCODINGS = ("utf-8", "cp1252", "cp1250", "cp850", "mac-roman", "utf-16-le", "utf-16-be")
_QUOTING = frozenset({"seen", "field", "reason_seen"})  # of reports: what the file said
_DEEPEST = 3  # a packed workbook in an archive
_INNER_MOST_BYTES = 64 * 1024**2
_CELL_ENDS = ',;|\t\r\n"<>'  # <>: a workbook's cells


class NotLookedIntoError(Exception):
    """A file that cannot be unpacked, or unpacks to more than may be looked at."""


def mentions(text: str, texts: Sequence[str]) -> bool:
    """Tell whether a record mentions one of the texts."""
    return any(_pattern(one).search(text) for one in texts)


def without(report: str, texts: Sequence[str]) -> str:
    """Return a report's JSON in which what was seen in the file mentions none of the texts."""
    folded = report.casefold()
    if not any(one.casefold() in folded or _in_json(one).casefold() in folded for one in texts):
        return report
    plain = json.loads(report)
    quotes = [plain, *(fault for fault in plain.get("faults", ()) if isinstance(fault, dict))]
    changed = False
    for quote in quotes:
        for name in _QUOTING & quote.keys():
            if isinstance(quote[name], str) and mentions(quote[name], texts):
                quote[name], changed = ERASED, True
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")) if changed else report


def _in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def is_mentioned_in(path: Path, texts: Sequence[str], most_bytes: int) -> bool:
    """Tell whether a kept file mentions one of the texts, whatever it is packed in.

    most_bytes: so much is looked at. Raises NotLookedIntoError, OSError. Cost: reads it once.
    """
    forms = dict.fromkeys(form for text in texts for form in _forms(text))
    patterns = list(dict.fromkeys(one for form in forms for one in _byte_patterns(form)))
    longest = max(len(one.encode("utf-16-le")) for one in forms) + 4
    left = most_bytes
    try:
        with path.open("rb") as file:
            for stream in _streams(file, _DEEPEST):
                tail = b"\n"
                while chunk := stream.read(CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise NotLookedIntoError("it unpacks to more than is looked at")
                    window = tail + chunk
                    if any(pattern.search(window) for pattern in patterns):
                        return True
                    tail = window[-longest:]
                if any(pattern.search(tail + b"\n") for pattern in patterns):
                    return True
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as odd:
        raise NotLookedIntoError(str(odd)) from odd
    return False


def _forms(text: str) -> Iterator[str]:
    """Yield a text as it may be written: composed or not, within XML, within JSON."""
    for form in ("NFC", "NFD"):
        plain = unicodedata.normalize(form, text)
        yield from (plain, html.escape(plain), html.escape(plain, quote=False), _in_json(plain))


def _pattern(text: str) -> re.Pattern[str]:
    escaped = re.escape(text)
    if len(text) >= LONG_ENOUGH:
        return re.compile(rf"(?<!\w){escaped}(?!\w)", re.IGNORECASE)
    ends = re.escape(_CELL_ENDS)
    return re.compile(rf"(?:^|[{ends}])\s*{escaped}\s*(?:$|[{ends}])", re.IGNORECASE)


def _byte_patterns(text: str) -> Iterator[re.Pattern[bytes]]:
    """Yield what finds a text in bytes, in each encoding; wide ones by the text alone."""
    for encoding in _ENCODINGS:
        try:
            found = re.escape(text.encode(encoding))
        except UnicodeEncodeError:
            continue
        if encoding.startswith("utf-16"):
            yield re.compile(found)
        elif len(text) >= LONG_ENOUGH:
            yield re.compile(rb"(?<![A-Za-z0-9_])" + found + rb"(?![A-Za-z0-9_])", re.IGNORECASE)
        else:
            ends = re.escape(_CELL_ENDS).encode()
            yield re.compile(rb"[" + ends + rb"][ ]*" + found + rb"[ ]*[" + ends + rb"]")


def _streams(file: IO[bytes], depth: int) -> Iterator[IO[bytes]]:
    """Yield what is in a file: itself, or what it is packed of. depth: of archives in archives."""
    head = file.read(4)
    file.seek(0)
    is_zip = head == b"PK\x03\x04"
    if not is_zip and head[:2] != b"\x1f\x8b":
        yield file
    elif not depth:
        raise NotLookedIntoError("there are too many archives in one another")
    elif is_zip:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                with archive.open(member) as packed:
                    yield from _streams(_seekable(packed), depth - 1)
    else:
        with gzip.open(file) as packed:
            yield from _streams(_seekable(cast("IO[bytes]", packed)), depth - 1)


def _seekable(packed: IO[bytes]) -> IO[bytes]:
    """Return a member; an archive of its own in memory, where one can go about in it."""
    if packed.read(4)[:2] not in (b"PK", b"\x1f\x8b"):
        packed.seek(0)
        return packed
    packed.seek(0)
    inner = io.BytesIO(packed.read(_INNER_MOST_BYTES + 1))
    if inner.getbuffer().nbytes > _INNER_MOST_BYTES:
        raise NotLookedIntoError("an archive within it is too large")
    return inner
