"""The gate that a delivery passes before anything of it is stored: it may hold no card data.

Promises that a file with card data is refused or, where the customer's `card_data` says "mask",
replaced by a copy without it, before a row or a rejected row is written; magnetic-stripe data and
verification codes are refused in every mode. One rule for all: see docs/card-data.md.
"""

from __future__ import annotations

import codecs
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tilldrop.importer import card_columns, card_scan
from tilldrop.importer.card_masking import write_masked
from tilldrop.importer.cards import mask
from tilldrop.importer.parts import Limits
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.importer.card_scan import Findings
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

_LIKELY_DELIMITERS = ",;\t|"
_LOOK_BYTES = 64 * 1024
_MEMBERS_LOOKED_AT = 200  # each is unpacked by itself
_PARTS_OF_WORKBOOKS = frozenset({"[Content_Types].xml", "mimetype"})
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
    if found.fault is None:
        leaves_out = feed.reading.member and clean.reading is None
        return Screened(clean, _look_at_members(job, temp_dir, feed) if leaves_out else None)
    if job.card_data != "mask" or found.fault.code != "card-data":
        return Screened(clean, found.fault)
    return _masked(job, feed, clean, found, read, temp_dir) or Screened(clean, found.fault)


def screen_unclaimed(job: Job, temp_dir: Path, feed: Feed | None = None) -> Fault | None:
    """Look for card data in a delivery that no feed takes or that cannot be read.

    It is unpacked and decoded as far as that can be done unasked; else its bytes are looked at as
    they are. temp_dir: private to the run.
    """
    clean = _read_unasked(job, temp_dir)
    if isinstance(clean, Clean):
        return _look_unasked(clean, feed, job)
    text, delimiter = _as_text(Path(job.path))
    fault = _look(text, Reading(delimiter=delimiter), feed, job).fault
    return fault or _look_at_members(job, temp_dir, feed)


def _read_unasked(job: Job, temp_dir: Path, member: str = "") -> Clean | Fault:
    path = Path(job.path)
    reading = Reading(encoding=_likely_encoding(path), member=member)
    return prepare(path, reading, temp_dir, job.max_record_bytes, limits=_limits(job))[0]


def _look_unasked(clean: Clean, feed: Feed | None, job: Job) -> Fault | None:
    if clean.reading is not None:
        return _look(clean, clean.reading, feed, job).fault
    text, delimiter = _as_text(clean.path)
    return _look(text, Reading(delimiter=delimiter), feed, job).fault


def _look_at_members(job: Job, temp_dir: Path, feed: Feed | None) -> Fault | None:
    """Look at each member of a ZIP by itself, as they may differ or not all be taken."""
    try:
        with zipfile.ZipFile(job.path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return None
    if _PARTS_OF_WORKBOOKS & set(names):
        return None
    with TemporaryDirectory(dir=temp_dir) as folder:
        for name in names[:_MEMBERS_LOOKED_AT]:
            clean = _read_unasked(job, Path(folder), escape(name))
            if isinstance(clean, Clean) and (fault := _look_unasked(clean, feed, job)):
                return replace(fault, seen=f"{fault.seen} of {mask(name)}")
    return None


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
