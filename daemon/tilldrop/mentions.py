"""Where a person is mentioned: in a text, in a report, in a kept file.

Owns what counts as a mention: a cell that is one of the texts looked for, or, for texts of four
characters and more, that text between other signs. Looks into packed files and workbooks, and at
the encodings that tills use. Never changes a file, never opens a database.
"""

from __future__ import annotations

import gzip
import json
import re
import zipfile
import zlib
from contextlib import closing
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

ERASED = "(erased)"
LONG_ENOUGH = 4  # shorter texts stand within other words and numbers by chance
CHUNK_BYTES = 1024**2
_ENCODINGS = ("utf-8", "cp1252", "utf-16-le", "utf-16-be")
_CELL_ENDS = ',;|\t\r\n"<>'  # <>: a workbook's cells


class NotLookedIntoError(Exception):
    """A file that cannot be unpacked, or unpacks to more than may be looked at."""


def mentions(text: str, texts: Sequence[str]) -> bool:
    """Tell whether a record mentions one of the texts."""
    return any(_pattern(one).search(text) for one in texts)


def without(report: str, texts: Sequence[str]) -> str:
    """Return a report's JSON in which what was seen in cells mentions none of the texts."""
    if not any(one in report or json.dumps(one)[1:-1] in report for one in texts):
        return report
    plain = json.loads(report)
    for fault in plain.get("faults", ()):
        seen = fault.get("seen") if isinstance(fault, dict) else None
        if isinstance(seen, str) and mentions(seen, texts):
            fault["seen"] = ERASED
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def is_mentioned_in(path: Path, texts: Sequence[str], most_bytes: int) -> bool:
    """Tell whether a kept file mentions one of the texts, whatever it is packed in.

    most_bytes: so much is looked at. Raises NotLookedIntoError, OSError. Cost: reads it once.
    """
    patterns = [one for text in texts for one in _byte_patterns(text)]
    longest = max(len(one.encode("utf-16-le")) for one in texts) + 4
    left = most_bytes
    try:
        for stream in _streams(path):
            tail = b"\n"
            with closing(stream):
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


def _streams(path: Path) -> Iterator[IO[bytes]]:
    """Yield what is in a file: itself, or what it is packed of."""
    with path.open("rb") as file:
        head = file.read(4)
    if head[:2] == b"\x1f\x8b":
        yield cast("IO[bytes]", gzip.open(path))  # noqa: SIM115  closed by who reads it
    elif head == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                yield archive.open(member)
    else:
        yield path.open("rb")
