"""The gate that a delivery passes before anything of it is stored: it may hold no card data.

Promises that a file with card data is refused or, where the customer's `card_data` says "mask",
replaced by a copy without it, before a row or a rejected row is written; magnetic-stripe data and
verification codes are refused in every mode. One rule for all: see docs/card-data.md.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.importer import card_columns, card_scan
from tilldrop.importer.card_masking import write_masked
from tilldrop.importer.parts import Limits
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
        return Screened(clean, screen_unclaimed(job, feed))
    found = _look(clean, clean.reading or feed.reading, feed, job)
    if found.fault is None:
        return Screened(clean)
    if job.card_data != "mask" or found.fault.code != "card-data":
        return Screened(clean, found.fault)
    return _masked(job, feed, clean, found, read, temp_dir) or Screened(clean, found.fault)


def screen_unclaimed(job: Job, feed: Feed | None = None) -> Fault | None:
    """Look for card data in a delivery that no feed takes or that cannot be read.

    Looked at are its bytes as they are, if they are text with ASCII digits.
    """
    text, delimiter = _as_text(Path(job.path))
    return _look(text, Reading(delimiter=delimiter), feed, job).fault


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
    limits = Limits(job.max_unpacked_bytes, job.max_unpack_ratio, job.memory_bytes)
    if not write_masked(Path(job.path), feed.reading, found.runs, target, limits, temp_dir):
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
