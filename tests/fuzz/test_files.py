"""Malformed files by the hundred through the importer's worker: no crash, no hang, nothing left."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from tests.unit.jobs import Place, sales
from tilldrop.importer.worker import Worker

if TYPE_CHECKING:
    from pathlib import Path

FILES = 150
SEED = 20260314
FILE_WITHIN_S = 20
OUTCOMES = {"imported", "rejected", "duplicate", "held"}
BITS = (
    b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\x1f\x8b", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"=1+1", b"1e999", b"-0", b"NaN",
    b"99999999999999999999.99", b"2026-02-30", b"0000-00-00", b"\xc3\x28", b"'" * 50, b"," * 500,
)  # fmt: skip


def malformed(dice: random.Random) -> bytes:
    """Damage a good file: change, drop, repeat and put in, or cut it off."""
    raw = bytearray(sales(dice.randint(0, 30)).encode())
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(raw) + 1)
        match dice.randrange(5):
            case 0:
                raw[at : at + 1] = dice.randbytes(1)
            case 1:
                del raw[at : at + dice.randint(1, 40)]
            case 2:
                raw[at:at] = raw[at : at + dice.randint(1, 200)]
            case 3 if dice.random() < 0.2:
                del raw[at:]
            case _:
                raw[at:at] = dice.choice(BITS)
    return bytes(raw)


def test_malformed_files_are_imported_or_refused_with_a_reason(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    dice = random.Random(SEED)
    seen: set[str] = set()
    threads = threading.active_count()
    worker = Worker()
    try:
        for seq in range(1, FILES + 1):
            report = worker.run(place.job(malformed(dice), seq))
            assert report.outcome in OUTCOMES, report
            assert report.reason or report.outcome == "imported", report
            assert "Traceback" not in repr(report)
            worker.rest()
            left = [path for path in place.temp.rglob("*") if path.is_file()]
            assert not left, "temporary files stay"
            seen.add(report.outcome)
    finally:
        worker.close()
    assert {"imported", "rejected"} <= seen
    assert threading.active_count() <= threads + 1
