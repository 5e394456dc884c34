"""A delivery's own bytes with card numbers masked: what is kept, and imported, instead of them.

Promises that the copy differs in the masked digits alone, in the delivery's own encoding, and
that what cannot be masked so is not masked at all: workbooks, and archives of several members.
A file packed alone is kept unpacked. Never logs, never touches the original.
"""

from __future__ import annotations

import codecs
import io
import os
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO, cast

from tilldrop.importer.cards import SUSPICIOUS, mask_run
from tilldrop.importer.parts import CHUNK_BYTES, Hashed, Limits, Part, Unreadable
from tilldrop.importer.unpack import PEEK_BYTES, Place, unpack

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.mapping import Reading

_RUN = re.compile(SUSPICIOUS.replace(r"\p{Nd}", "[0-9]"))
_PIECE = re.compile("[0-9]+")
_LINES_CHARS = 256 * 1024


def write_masked(
    original: Path,
    reading: Reading,
    runs: frozenset[str],
    target: Path,
    limits: Limits,
    temp_dir: Path,
) -> bool:
    """Write a copy of a delivery in which the card numbers in `runs` are masked.

    runs: as `card_scan.Findings` has them. temp_dir: private to the run. Returns False, and
    leaves no file, where the delivery cannot be masked in its own form.
    """
    with ExitStack() as stack:
        file = stack.enter_context(original.open("rb"))
        start = file.peek(PEEK_BYTES)
        place = Place(original, temp_dir, "", limits, CHUNK_BYTES, stack)
        try:
            opened = unpack(place, Hashed(file), start)
            if opened.workbook or len(opened.parts) != 1:
                return False
            _copy(opened.parts[0], reading.encoding, runs, target)
        except (Unreadable, UnicodeError):
            target.unlink(missing_ok=True)
            return False
    _sync_folder(target.parent)
    return True


def _sync_folder(folder: Path) -> None:
    """Make the copy outlive a power cut: once the report names it, the original gives way to it."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _copy(part: Part, encoding: str, runs: frozenset[str], target: Path) -> None:
    """Decode, mask and encode a part, some lines at a time."""
    errors = "surrogateescape" if codecs.lookup(encoding).name == "utf-8" else "strict"
    raw = io.BufferedReader(cast("io.RawIOBase", _Raw(part)), CHUNK_BYTES)
    with (
        io.TextIOWrapper(cast("BinaryIO", raw), encoding, errors, newline="") as source,
        target.open("w", encoding=encoding, errors=errors, newline="") as copy,
    ):
        while lines := source.readlines(_LINES_CHARS):
            text = "".join(lines)
            copy.write(_RUN.sub(lambda found: _masked(found[0], runs), text))
        copy.flush()
        os.fsync(copy.fileno())


def _masked(run: str, runs: frozenset[str]) -> str:
    """Mask a run, if it was found, or a piece of it that was."""
    is_found = run in runs or any(piece in runs for piece in _PIECE.findall(run))
    return mask_run(run) if is_found else run


class _Raw(io.RawIOBase):
    """A part as Python's text layer wants to read it."""

    def __init__(self, part: Part) -> None:
        self._chunks = part.again()
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
