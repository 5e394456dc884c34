"""A workbook's sheet to CSV, in a process of its own: `python -I sheet_child.py ORDER`.

Owns calamine. ORDER is JSON: path, out, sheet, decimal, max_cells, max_bytes, memory_bytes, cpu_s;
the answer is JSON on stdout: {"sheet", "rows", "lines"} or {"code", "field", "seen"}, a fault. With
"all" in it nothing is written, and the answer is {"sheets"}: the cells of each by its name. Any
other end is the workbook's doing (calamine panics, no memory, no time), or else ours.
Promises to take no more memory and to write no more bytes than it was told: calamine holds a
sheet whole, and a cell far off makes it ask for all cells in between, so its end comes as an
abort. Imports nothing of ours, so that it starts in 50 ms.

A row is a line of the same number; a row without cells is a blank line, and such rows are dropped
at the end. Whole numbers are written as such, others with the fifteen digits that Excel shows,
without an exponent. Line breaks within a cell become a blank. Dates are ISO.
"""

from __future__ import annotations

import csv
import ctypes
import datetime as dt
import json
import re
import resource
import signal
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import python_calamine as calamine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXACT_WHOLE = 2**53  # beyond it, doubles skip whole numbers

_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def main(order: dict[str, Any]) -> dict[str, Any]:
    """Convert; return the answer."""
    _limit(order)
    try:
        with calamine.load_workbook(order["path"]) as workbook:
            return _read_all(workbook, order) if "all" in order else _convert(workbook, order)
    except calamine.PasswordError:
        return _fault("unpack-failed", "the workbook is encrypted with a password")
    except calamine.CalamineError as error:
        return _fault("unpack-failed", f"the workbook is damaged ({error})")
    except MemoryError:
        return _fault("unpacked-too-large", "the sheet is too large")


def _convert(workbook: calamine.CalamineWorkbook, order: dict[str, Any]) -> dict[str, Any]:
    """Write the sheet that is wanted."""
    names = _names(workbook)
    name = _wanted(names, order["sheet"])
    if name is None:
        return _fault("sheet-missing", ", ".join(names), order["sheet"])
    sheet = workbook.get_sheet_by_name(name)
    if sheet.total_height * sheet.total_width > order["max_cells"]:
        return _fault("unpacked-too-large", f"more than {order['max_cells']} cells")
    rows, lines = _write(sheet, order)
    return {"sheet": name, "rows": rows, "lines": lines}


def _read_all(workbook: calamine.CalamineWorkbook, order: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of all sheets but those that are too large."""
    sheets = {name: workbook.get_sheet_by_name(name) for name in _names(workbook)}
    return {
        "sheets": {
            name: list(_rows(sheet, "."))
            for name, sheet in sheets.items()
            if sheet.total_height * sheet.total_width <= order["max_cells"]
        }
    }


def _limit(order: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # One that is at its limits is expected to die of it.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (order["cpu_s"], order["cpu_s"] + 5))
    resource.setrlimit(resource.RLIMIT_AS, (order["memory_bytes"], order["memory_bytes"]))


def _fault(code: str, seen: str, field: str = "") -> dict[str, Any]:
    return {"code": code, "field": field, "seen": seen}


def _names(workbook: calamine.CalamineWorkbook) -> list[str]:
    """Return the sheets of cells, visible ones first."""
    sheets = [
        sheet for sheet in workbook.sheets_metadata if sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]
    sheets.sort(key=lambda sheet: sheet.visible != calamine.SheetVisibleEnum.Visible)
    return [sheet.name for sheet in sheets]


def _wanted(names: list[str], sheet: str) -> str | None:
    """Find a sheet by its name or by its number among those that can be seen."""
    if not sheet:
        return names[0] if names else None
    for name in names:
        if name.strip().casefold() == sheet.strip().casefold():
            return name
    if sheet.isascii() and sheet.isdigit() and 1 <= int(sheet) <= len(names):
        return names[int(sheet) - 1]
    return None


def _write(sheet: calamine.CalamineSheet, order: dict[str, Any]) -> tuple[int, int]:
    """Write the rows; return how many have cells, and the lines up to the last of them."""
    rows = lines = blank = 0
    with open(order["out"], "w", encoding="utf-8", newline="", errors="replace") as file:  # noqa: PTH123
        out = csv.writer(file, lineterminator="\n")
        for cells in _rows(sheet, order["decimal"]):
            if not any(cells):
                blank += 1
                continue
            out.writerows([[]] * blank)
            out.writerow(cells)
            rows, lines, blank = rows + 1, lines + blank + 1, 0
            if file.tell() > order["max_bytes"]:
                raise MemoryError
    return rows, lines


def _rows(sheet: calamine.CalamineSheet, decimal: str) -> Iterator[list[str]]:
    text_of: dict[type, Callable[[Any], str]] = {
        str: _line,
        bool: lambda cell: "TRUE" if cell else "FALSE",
        int: str,
        float: _number if decimal == "." else lambda cell: _number(cell).replace(".", decimal),
        dt.date: str,
        dt.datetime: lambda cell: _rounded(cell).isoformat(sep=" "),
        dt.time: lambda cell: _rounded(dt.datetime.combine(dt.date.min, cell)).time().isoformat(),
        dt.timedelta: _duration,
    }
    for row in sheet.iter_rows():
        yield [text_of[type(cell)](cell) for cell in row]


def _line(cell: str) -> str:
    return _BREAKS.sub(" ", cell)


def _number(value: float) -> str:
    if value.is_integer() and abs(value) < EXACT_WHOLE:
        return str(int(value))
    text = f"{value:.15g}"
    return format(Decimal(text), "f") if "e" in text else text


def _duration(cell: dt.timedelta) -> str:
    minutes, seconds = divmod(round(cell.total_seconds()), 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"


def _rounded(moment: dt.datetime) -> dt.datetime:
    """Round to the second: a spreadsheet's times are fractions of a day."""
    if moment.year == dt.MAXYEAR:
        return moment.replace(microsecond=0)
    return (moment + dt.timedelta(microseconds=500_000)).replace(microsecond=0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(json.loads(sys.argv[1]))))
