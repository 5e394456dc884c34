"""The gate that a delivery passes before anything of it is stored: it may hold no card data.

Promises that a file with card data is refused or, where the customer's `card_data` says "mask",
replaced by a copy without it, before a row or a rejected row is written; magnetic-stripe data and
verification codes are refused in every mode. One rule for all: see docs/card-data.md.
"""

from __future__ import annotations

import codecs
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tilldrop.importer import card_columns, card_scan
from tilldrop.importer.card_masking import write_masked
from tilldrop.importer.cards import mask
from tilldrop.importer.parts import CHUNK_BYTES, Hashed, Limits, Part, Unreadable
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean
from tilldrop.importer.unpack import PEEK_BYTES, Place, unpack
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.importer.card_scan import Findings
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

_LIKELY_DELIMITERS = ",;\t|"
_LOOK_BYTES = 64 * 1024
_MEMBERS_LOOKED_AT = 200
_SHEETS_LOOKED_AT = 30
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Screened:
    """What may be gone on with.

    clean: the delivery, or its masked copy, or why it cannot be read. fault: why nothing of it
    may be stored. warning: what was masked. masked: numbers masked; masked_path: the copy that is
    to be kept instead of the delivery, "" if none.
    """

    clean: Clean | Fault
    fault: Fault | None = None
    warning: Fault | None = None
    masked: int = 0
    masked_path: str = ""


def screen(
    job: Job,
    feed: Feed,
    clean: Clean | Fault,
    read: Callable[[Path], Clean | Fault],
    temp_dir: Path,
) -> Screened:
    """Look for card data in a delivery and mask it, if that is wanted.

    clean: as `prepare` made it, or its fault. read: prepares another file in the same way.
    temp_dir: private to the run; a masked copy goes to `job.temp_dir`, as it must outlive the run.
    """
    if isinstance(clean, Fault):
        return Screened(clean, screen_unclaimed(job, temp_dir, feed))
    found = _look(clean, clean.reading or feed.reading, feed, job)
    if found.fault is None and clean.reading is not None:
        return Screened(clean, _look_at_sheets(Path(job.path), job, feed, temp_dir, clean))
    if found.fault is None:
        leaves_out = bool(feed.reading.member)
        return Screened(clean, _look_at_members(job, temp_dir, feed) if leaves_out else None)
    if job.card_data != "mask" or found.fault.code != "card-data":
        return Screened(clean, found.fault)
    return _masked(job, feed, clean, found, read, temp_dir) or Screened(clean, found.fault)


def screen_unclaimed(job: Job, temp_dir: Path, feed: Feed | None = None) -> Fault | None:
    """Look for card data in a delivery that no feed takes or that cannot be read.

    It is unpacked and decoded as far as that can be done unasked; else its bytes are looked at as
    they are. temp_dir: private to the run.
    """
    path = Path(job.path)
    clean = _read_unasked(path, job, temp_dir)
    if isinstance(clean, Clean):
        return _look_unasked(path, clean, feed, job, temp_dir)
    text, delimiter = _as_text(path)
    fault = _look(text, Reading(delimiter=delimiter), feed, job).fault
    return fault or _look_at_members(job, temp_dir, feed)


def _read_unasked(path: Path, job: Job, temp_dir: Path, sheet: str = "") -> Clean | Fault:
    reading = Reading(encoding=_likely_encoding(path), sheet=sheet)
    return prepare(path, reading, temp_dir, job.max_record_bytes, limits=_limits(job))[0]


def _look_unasked(
    path: Path, clean: Clean, feed: Feed | None, job: Job, temp_dir: Path
) -> Fault | None:
    if clean.reading is not None:
        fault = _look(clean, clean.reading, feed, job).fault
        return fault or _look_at_sheets(path, job, feed, temp_dir, clean)
    text, delimiter = _as_text(clean.path)
    return _look(text, Reading(delimiter=delimiter), feed, job).fault


def _look_at_sheets(
    path: Path, job: Job, feed: Feed | None, temp_dir: Path, read: Clean
) -> Fault | None:
    """Look at the sheets of a workbook that were not read. Cost: 60 ms for each, and one more."""
    assert read.reading is not None  # noqa: S101  for the type checker
    with TemporaryDirectory(dir=temp_dir) as folder:
        for number in range(1, _SHEETS_LOOKED_AT + 1):
            sheet = _read_unasked(path, job, Path(folder), str(number))
            if isinstance(sheet, Fault) and sheet.code == "sheet-missing":
                break
            if isinstance(sheet, Fault) or sheet.reading is None:
                continue
            name = sheet.reading.sheet
            if name != read.reading.sheet and (
                fault := _look(sheet, sheet.reading, feed, job).fault
            ):
                return replace(fault, seen=f"{fault.seen} of sheet {mask(name)}")
    return None


def _look_at_members(job: Job, temp_dir: Path, feed: Feed | None) -> Fault | None:
    """Look at each member of an archive by itself, as they may differ or not all be taken."""
    path = Path(job.path)
    with TemporaryDirectory(dir=temp_dir) as name, ExitStack() as stack:
        folder = Path(name)
        (inner := folder / "inner").mkdir()
        file = stack.enter_context(path.open("rb"))
        place = Place(path, folder, "", _limits(job), CHUNK_BYTES, stack)
        try:
            opened = unpack(place, Hashed(file), file.peek(PEEK_BYTES))
        except Unreadable:
            return None
        for part in opened.parts[:_MEMBERS_LOOKED_AT] if opened.is_packed else ():
            member = _written(part, folder / "one")
            clean = _read_unasked(member, job, inner) if member else None
            if isinstance(clean, Clean) and member:
                fault = _look_unasked(member, clean, feed, job, inner)
                if fault is not None:
                    return replace(fault, seen=f"{fault.seen} of {mask(part.name)}")
    return None


def _written(part: Part, path: Path) -> Path | None:
    """Write a member to a file; None if it cannot be read."""
    try:
        with path.open("wb") as file:
            while chunk := part.read():
                file.write(chunk)
    except Unreadable:
        return None
    return path


def _limits(job: Job) -> Limits:
    return Limits(job.max_unpacked_bytes, job.max_unpack_ratio, job.memory_bytes)


def _likely_encoding(path: Path) -> str:
    """Tell UTF-16 by its mark; all else has its digits as one byte each."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in _UTF_16_MARKS else "latin-1"


def _look(clean: Clean, reading: Reading, feed: Feed | None, job: Job) -> Findings:
    known = card_columns.known_of(feed) if feed else card_columns.Known()
    return card_scan.scan(clean, reading, known, job.max_record_bytes)


def _masked(
    job: Job,
    feed: Feed,
    clean: Clean,
    found: Findings,
    read: Callable[[Path], Clean | Fault],
    temp_dir: Path,
) -> Screened | None:
    """Mask, read the copy, and make sure that nothing is left in it."""
    target = Path(job.temp_dir) / f"{job.delivery}.masked"
    if not write_masked(Path(job.path), feed.reading, found.runs, target, _limits(job), temp_dir):
        return None
    again = read(target)
    if isinstance(again, Fault) or again.records != clean.records:
        return None
    if _look(again, again.reading or feed.reading, feed, job).fault is not None:
        return None
    assert found.fault is not None  # noqa: S101  for the type checker
    warning = replace(found.fault, code="card-masked", warning=True)
    return Screened(again, None, warning, found.count, str(target))


def _as_text(path: Path) -> tuple[Clean, str]:
    """Take a file for lines of text, and guess its delimiter."""
    with path.open("rb") as file:
        first = file.readline(_LOOK_BYTES)
    text = first.decode(errors="replace")
    delimiter = max(_LIKELY_DELIMITERS, key=Counter(text).__getitem__)
    names = (name.strip(' "') for name in text.strip("\ufeff\r\n").split(delimiter))
    clean = Clean(
        path=path,
        header=tuple(names),
        first_record_line=2,
        data_offset=len(first),
        records=0,
        odd=False,
        quoted=False,
        has_odd_blanks=False,
        warnings=(),
    )
    return clean, delimiter
