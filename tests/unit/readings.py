"""Deliveries written, prepared and read back, for the tests of reading."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from tilldrop.importer.reading import prepare
from tilldrop.importer.records import read_records
from tilldrop.importer.stage import Clean
from tilldrop.mapping import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.importer.parts import Limits
    from tilldrop.rows import Fault

MAX_RECORD_BYTES = 1024**2


def make(
    folder: Path,
    raw: bytes,
    reading: Reading | None = None,
    limit: int = MAX_RECORD_BYTES,
    *,
    needed: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> Clean | Fault:
    """Prepare a delivery; its bytes stay, and their hash and size are those of all of them."""
    path = folder / "delivery"
    path.write_bytes(raw)
    temp = folder / "temp"
    temp.mkdir(exist_ok=True)
    clean, sha256, size_bytes = prepare(
        path, reading or Reading(), temp, limit, needed=needed, limits=limits
    )
    assert path.read_bytes() == raw
    assert sha256 == hashlib.sha256(raw).hexdigest()
    assert size_bytes == len(raw)
    return clean


def cleaned(
    folder: Path,
    raw: bytes,
    reading: Reading | None = None,
    limit: int = MAX_RECORD_BYTES,
    *,
    needed: tuple[str, ...] = (),
    limits: Limits | None = None,
) -> Clean:
    """Prepare a delivery that can be read."""
    clean = make(folder, raw, reading, limit, needed=needed, limits=limits)
    assert isinstance(clean, Clean), clean
    return clean


def rows(clean: Clean, reading: Reading | None = None) -> list[list[str]]:
    """Return the cells of all records; there are as many as were counted."""
    found = list(read_records(clean, clean.reading or reading or Reading(), MAX_RECORD_BYTES))
    assert [record.broken for record in found] == [None] * clean.records
    return [record.cells for record in found]


def lines(clean: Clean, reading: Reading | None = None) -> list[int]:
    """Return the line of each record."""
    found = read_records(clean, clean.reading or reading or Reading(), MAX_RECORD_BYTES)
    return [record.line for record in found]
