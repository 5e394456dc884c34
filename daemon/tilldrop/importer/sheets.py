"""Workbooks (.xlsx, .xlsb, .xls, .ods) to a CSV file.

Promises that a workbook is read within `Limits`, in a child process that dies of what is too
much for it (`sheet_child`), and that whatever it dies of is a fault of the file. Never runs
macros or formulas: cells have the values that were last saved.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilldrop.importer import layout
from tilldrop.importer.parts import Unreadable, refused
from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from tilldrop.importer.parts import Limits
    from tilldrop.mapping import Reading

CELLS_MOST = 20_000_000  # a full sheet of twenty columns
TIMEOUT_S = 600  # where the machine is busy with other things
CPU_S = 30  # calamine loops for ever on some damaged files
CPU_BYTES_A_S = 200_000  # packed bytes; 1,500,000 were measured
TOLD_CHARS = 2_000  # of what the child said last
_CHILD = Path(__file__).with_name("sheet_child.py")
_OUT_OF_MEMORY = (b"memory allocation of", b"MemoryError")
_PANIC = b"PanicException"
_TOO_LONG = "the workbook takes too long to be read"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet as CSV. rows: those with cells, as the workbook has them."""

    path: Path
    name: str
    rows: int


def convert(path: Path, reading: Reading, folder: Path, limits: Limits) -> Sheet:
    """Write the sheet that is asked for to a file in `folder`.

    Raises Unreadable: sheet-missing, unpack-failed, unpacked-too-large.
    Cost: 60 ms, and 2 s and 90 MB of the child's memory for a million cells.
    """
    out = folder / "sheet.csv"
    order = {
        "out": str(out),
        "sheet": reading.sheet,
        "decimal": reading.decimal,
        "max_cells": CELLS_MOST,
        "max_bytes": limits.max_unpacked_bytes,
    }
    answer = _ask(path, order, limits)
    return Sheet(out, answer["sheet"], answer["rows"])


def read_all(path: Path, max_cells: int, limits: Limits) -> dict[str, list[list[str]]]:
    """Return the cells of all sheets, by name; those with more than max_cells are left out.

    Raises Unreadable: unpack-failed, unpacked-too-large.
    """
    answer = _ask(path, {"all": True, "max_cells": max_cells}, limits)
    sheets: dict[str, list[list[str]]] = answer["sheets"]
    return sheets


def _ask(path: Path, order: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Have a child do it. Raises Unreadable."""
    own = {
        "path": str(path),
        "memory_bytes": limits.memory_bytes,
        "cpu_s": CPU_S + path.stat().st_size // CPU_BYTES_A_S,
    }
    try:
        child = subprocess.run(  # noqa: S603  our own file
            [sys.executable, "-I", str(_CHILD), json.dumps(own | order)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise refused(_TOO_LONG) from error
    answer = _answer(child)
    if "code" in answer:
        raise Unreadable(Fault(answer["code"], 0, answer["field"], shorten(answer["seen"])))
    return answer


def _answer(child: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """Read the answer, or tell by its end what was wrong with the workbook.

    Raises RuntimeError where that was not the workbook: a bug, a full disk, a kill from outside.
    """
    if child.returncode == 0:
        answer: dict[str, Any] = json.loads(child.stdout)
        return answer
    if child.returncode == -signal.SIGXCPU:
        raise refused(_TOO_LONG)
    if any(said in child.stderr for said in _OUT_OF_MEMORY):
        seen = "a cell stands far off, or the sheet is too large"
        raise Unreadable(Fault("unpacked-too-large", seen=seen))
    if _PANIC in child.stderr or child.returncode in {-signal.SIGSEGV, -signal.SIGABRT}:
        raise refused("the workbook is damaged")
    ended = child.stderr.decode(errors="replace")[-TOLD_CHARS:]
    raise RuntimeError(f"a workbook was not read, status {child.returncode}: {ended}")


def as_converted(reading: Reading, sheet: str) -> Reading:
    """Return how the CSV is to be read. sheet: its real name, by which a workbook is known."""
    return replace(
        layout.as_rewritten(reading),
        header_line=reading.header_line,
        columns=reading.columns,
        skip_lines=reading.skip_lines,
        footer_lines=reading.footer_lines,
        sheet=sheet,
    )
