"""The text of a sample, whatever it is packed in.

Owns what a guess looks at of an archive or a workbook: the first member or sheet. Promises to
read no more than it was told. What holds no text is refused with the reason.
"""

from __future__ import annotations

import codecs
import re
import zlib
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tilldrop.errors import FAULTS, SampleUnreadable
from tilldrop.importer.reading import prepare
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path

_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_NO_TEXT = (b"%PDF", b"SQLite format 3", b"{\\rtf", b"\x28\xb5\x2f\xfd")
_JSON = re.compile(rb"[\[\s]*\{\s*\"[^\"]*\"\s*:")
_MAX_RECORD_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Contents:
    """raw: text in some encoding. sheet: of a workbook. packed: what it was packed in, in words."""

    raw: bytes
    sheet: str = ""
    packed: str = ""


def open_contents(path: Path, most_bytes: int) -> Contents:
    """Return the beginning of a sample's text. Raises SampleUnreadable."""
    with path.open("rb") as file:
        raw = file.read(most_bytes)
    if raw.startswith(_NO_TEXT):
        raise SampleUnreadable(f"{path.name} holds no table of text")
    if not raw.strip():
        raise SampleUnreadable(f"{path.name} is empty")
    if not raw.startswith(_PACKED):
        _refuse_markup(path.name, raw)
        return Contents(raw)
    if raw.startswith(_PACKED[0]):
        unpacked = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(raw, most_bytes)
        return Contents(unpacked, packed="packed with gzip")
    return _prepared(path, most_bytes)


def _refuse_markup(name: str, raw: bytes) -> None:
    """Refuse what is text, but no table of lines and columns."""
    start = raw[:4096].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    kind = ""
    if start.startswith((b"<!doctype html", b"<html", b"<table")):
        kind = "HTML, a web page (some tills call it .xls)"
    elif start.startswith((b"<?xml", b"<")) and b">" in start:
        kind = "XML"
    elif _JSON.match(start):
        kind = "JSON"
    if kind:
        raise SampleUnreadable(f"{name} holds {kind}; ask for an export as CSV, text or a workbook")


def _prepared(path: Path, most_bytes: int) -> Contents:
    """Let the importer unpack it. header_line 0: every line is a record."""
    with TemporaryDirectory(prefix="tilldrop-guess-") as folder:
        from pathlib import Path as _Path  # noqa: PLC0415

        found = None
        for encoding in ("utf-8", "cp1252"):
            reading = Reading(header_line=0, encoding=encoding)
            found, _, _ = prepare(path, reading, _Path(folder), _MAX_RECORD_BYTES)
            if not isinstance(found, Fault):
                break
        if found is None or isinstance(found, Fault):
            raise SampleUnreadable(f"{path.name}: {_said(found)}")
        with found.path.open("rb") as file:
            raw = file.read(most_bytes)
        sheet = found.reading.sheet if found.reading is not None else ""
        return Contents(raw, sheet, f'the sheet "{sheet}" of a workbook' if sheet else "an archive")


def _said(fault: Fault | None) -> str:
    if fault is None:
        return "it cannot be read"
    return FAULTS.get(fault.code, fault.code).format(field=fault.field, seen=fault.seen)
