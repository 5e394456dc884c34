"""Figures that the sender declares, held against what the file turned out to hold.

Owns where a declared figure is looked for and what it is compared with. Promises that a figure
that is not there, cannot be read or differs is told with both numbers. A total over rows of which
some were refused differs: it cannot be confirmed. Never decides what becomes of the file.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.companions import companion_name
from tilldrop.importer.values import BLANKS, NumberForm, shorten, to_minor
from tilldrop.rows import Fault, minor_digits

if TYPE_CHECKING:
    from tilldrop.importer.stage import Clean, Staged
    from tilldrop.mapping import Control, Feed
    from tilldrop.rows import Job

COMPANION_BYTES = 1024**2  # read of a companion: figures stand at its beginning, or it is small
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A file's own figures, by their names in a mapping. More than one: any of them will do."""

    records: tuple[int, ...]
    transactions: tuple[int, ...]
    total_minor: int
    digits: int


def control_fault(
    feed: Feed, clean: Clean, staged: Staged, job: Job, currency: str
) -> Fault | None:
    """Return what is wrong with the declared figures of a file, or None.

    currency: of its amounts. The fault's code is companion-missing, control-missing or
    control-differs, the gravest first.
    """
    if not feed.controls:
        return None
    number = NumberForm(
        (clean.reading or feed.reading).decimal, feed.reading.thousands or "", currency
    )
    found = _found(feed, staged, minor_digits(currency))
    told: dict[str, list[str]] = {}
    for control in feed.controls:
        code, seen = _compare(control, _declared(control, clean, job), found, number)
        if code:
            told.setdefault(code, []).append(seen)
    for code in ("companion-missing", "control-missing", "control-differs"):
        if code in told:
            return Fault(code, seen="; ".join(dict.fromkeys(told[code])))
    return None


def _found(feed: Feed, staged: Staged, digits: int) -> _Found:
    transactions: tuple[int, ...] = (staged.transactions,)
    if not feed.is_grouped:
        # A sender may count the rows it wrote, or the transactions that it knows.
        transactions = (staged.read - staged.skipped, staged.transactions + staged.refused)
    return _Found((staged.read,), transactions, staged.total_minor, digits)


def _declared(control: Control, clean: Clean, job: Job) -> str | Fault:
    """Return the text of a declared figure, or why there is none."""
    if control.companion:
        if not job.companion_path:
            return Fault("companion-missing", seen=companion_name(control.companion, job.name))
        texts: tuple[str, ...] = (_companion(Path(job.companion_path)),)
        pattern = control.match
    elif control.file_name:
        texts, pattern = (job.name.rpartition("/")[2],), control.file_name
    else:
        texts, pattern = (*clean.preamble, *clean.left_out), control.line
    for text in texts:
        if (found := re.search(pattern, text, re.MULTILINE)) and found[1]:
            return found[1].strip(BLANKS)
    return Fault("control-missing", seen=control.figure)


def _companion(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(COMPANION_BYTES)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return head.decode(encoding, "replace")
    try:
        return head.decode()
    except UnicodeDecodeError:
        return head.decode("latin-1")


def _compare(
    control: Control, declared: str | Fault, found: _Found, number: NumberForm
) -> tuple[str, str]:
    """Return the code of what is wrong and what to say of it; "" and "" if nothing is."""
    if isinstance(declared, Fault):
        return declared.code, declared.seen
    figure = number.read(declared)
    if figure is None:
        return "control-missing", f"{control.figure} {shorten(declared)} is not a number"
    if control.figure == "total":
        if to_minor(figure, found.digits) == found.total_minor:
            return "", ""
        has = _decimal(found.total_minor, found.digits)
    else:
        here = found.records if control.figure == "records" else found.transactions
        if figure in here:
            return "", ""
        has = str(here[0])
    return "control-differs", f"{control.figure} {shorten(declared)} declared, {has} found"


def _decimal(minor: int, digits: int) -> str:
    whole, rest = divmod(abs(minor), 10**digits)
    sign = "-" if minor < 0 else ""
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"
