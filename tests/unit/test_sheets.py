from __future__ import annotations

import datetime as dt
import io
import zipfile
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest
import xlsxwriter
import xlwt

from tests.unit.readings import cleaned, lines, make, rows
from tests.unit.test_unpack import zipped
from tilldrop.importer import sheets
from tilldrop.importer.parts import Limits
from tilldrop.mapping import FIND, Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TABLE: list[list[Any]] = [
    ["Report", "of today"],
    [],
    ["When", "Total", "Note", "Paid"],
    [dt.datetime(2026, 1, 5, 13, 7, 3), 12.3, "a, b\nc", True],  # noqa: DTZ001
    [dt.date(2026, 1, 6), 5901234123457, "", False],
    [],
    [dt.time(13, 5), 1e-7, 'say "x"', True],
]
TEXTS = [
    ["2026-01-05 13:07:03", "12.3", "a, b c", "TRUE"],
    ["2026-01-06", "5901234123457", "", "FALSE"],
    ["13:05:00", "0.0000001", 'say "x"', "TRUE"],
]
FORMATS = {dt.datetime: "yyyy-mm-dd hh:mm:ss", dt.date: "yyyy-mm-dd", dt.time: "hh:mm:ss"}

Sheets = dict[str, list[list[Any]]]


def xlsx(sheets: Sheets, hidden: str = "") -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    formats = {kind: book.add_format({"num_format": form}) for kind, form in FORMATS.items()}
    for name, table in sheets.items():
        sheet = book.add_worksheet(name)
        if name == hidden:
            sheet.hide()
        else:
            sheet.activate()
            sheet.set_first_sheet()
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                if cell != "":
                    sheet.write(row, column, cell, formats.get(type(cell)))
    book.close()
    return out.getvalue()


def xls(sheets: Sheets, hidden: str = "") -> bytes:
    book = xlwt.Workbook()
    styles = {kind: xlwt.easyxf(num_format_str=form) for kind, form in FORMATS.items()}
    for name, table in sheets.items():
        sheet = book.add_sheet(name)
        sheet.visibility = int(name == hidden)
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                if cell != "":
                    sheet.write(row, column, cell, styles.get(type(cell), xlwt.Style.default_style))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def ods(sheets: Sheets, hidden: str = "") -> bytes:
    """Write the least that is an OpenDocument spreadsheet."""
    assert not hidden
    tables = "".join(
        f'<table:table table:name="{escape(name)}">'
        + "".join(f"<table:table-row>{ods_cells(cells)}</table:table-row>" for cells in table)
        + '<table:table-row table:number-rows-repeated="1000000"><table:table-cell'
        ' table:number-columns-repeated="16384"/></table:table-row></table:table>'
        for name, table in sheets.items()
    )
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    return zipped(
        {
            "mimetype": b"application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": b"<manifest/>",
            "content.xml": (
                f'<?xml version="1.0"?><office:document-content{spaces}><office:body>'
                f"<office:spreadsheet>{tables}</office:spreadsheet></office:body>"
                "</office:document-content>"
            ).encode(),
        },
        zipfile.ZIP_STORED,
    )


def ods_cells(cells: list[Any]) -> str:
    return "".join(map(ods_cell, cells)) or "<table:table-cell/>"


def ods_cell(cell: object) -> str:
    match cell:
        case "":
            return "<table:table-cell/>"
        case bool():
            kind = f'"boolean" office:boolean-value="{str(cell).lower()}"'
        case int() | float():
            kind = f'"float" office:value="{cell!r}"'
        case dt.date():
            kind = f'"date" office:date-value="{cell.isoformat()}"'
        case dt.time():
            kind = f'"time" office:time-value="PT{cell:%H}H{cell:%M}M{cell:%S}S"'
        case _:
            kind = '"string"'
    shown = "</text:p><text:p>".join(escape(str(cell)).split("\n"))
    return f"<table:table-cell office:value-type={kind}><text:p>{shown}</text:p></table:table-cell>"


WRITERS = pytest.mark.parametrize("write", [xlsx, xls, ods])


@WRITERS
def test_workbook_is_read_row_by_row(tmp_path: Path, write: Callable[..., bytes]) -> None:
    reading = Reading(header_line=FIND, encoding="cp1252", delimiter=";", quote="'")
    clean = cleaned(tmp_path, write({"Sales": TABLE}), reading, needed=("Total", "When"))
    assert clean.header == ("When", "Total", "Note", "Paid")
    assert rows(clean, reading) == TEXTS
    assert lines(clean, reading) == [4, 5, 7]
    assert clean.preamble == ("Report,of today,,", "")
    assert clean.reading is not None
    assert clean.reading.sheet == "Sales"


@WRITERS
@pytest.mark.parametrize(
    ("sheet", "first"), [("", "1"), ("two", "2"), (" TWO ", "2"), ("2", "2"), ("3", "3")]
)
def test_sheet_is_taken_by_name_or_number(
    tmp_path: Path, write: Callable[..., bytes], sheet: str, first: str
) -> None:
    raw = write({name: [["a"], [n]] for n, name in enumerate(["One", "Two", "3rd"], 1)})
    assert rows(cleaned(tmp_path, raw, Reading(sheet=sheet))) == [[first]]


@pytest.mark.parametrize("write", [xlsx, xls])
def test_hidden_sheet_is_not_the_first(tmp_path: Path, write: Callable[..., bytes]) -> None:
    raw = write({"Lists": [["x"], [9]], "Sales": [["a"], [1]]}, hidden="Lists")
    assert rows(cleaned(tmp_path, raw)) == [["1"]]
    assert rows(cleaned(tmp_path, raw, Reading(sheet="Lists"))) == [["9"]]


@WRITERS
def test_sheet_that_is_not_there_is_said_with_those_that_are(
    tmp_path: Path, write: Callable[..., bytes]
) -> None:
    fault = make(tmp_path, write({"One": [[1]], "Two": [[2]]}), Reading(sheet="Sales"))
    assert fault == Fault("sheet-missing", field="Sales", seen="One, Two")


@WRITERS
def test_number_is_written_as_the_feed_writes_numbers(
    tmp_path: Path, write: Callable[..., bytes]
) -> None:
    table: list[list[Any]] = [
        ["n", "t"],
        *([n, "12,50"] for n in (0.1 + 0.2, -2.5, 3.0, 1e15, 9007199254740991, 0)),
    ]
    clean = cleaned(tmp_path, write({"S": table}), Reading(decimal=","))
    found = ["0,3", "-2,5", "3", "1000000000000000", "9007199254740991", "0"]
    assert rows(clean) == [[number, "12,50"] for number in found]


def test_lines_are_left_out_of_a_sheet_like_of_any_file(tmp_path: Path) -> None:
    table: list[list[Any]] = [["a", "b"], [1, 2], ["Total", 2], [3, 4], [], ["Sum", 6], ["End", ""]]
    reading = Reading(skip_lines="^Total", footer_lines=2)
    clean = cleaned(tmp_path, xlsx({"S": table}), reading)
    assert (rows(clean), lines(clean)) == ([["1", "2"], ["3", "4"]], [2, 4])
    assert clean.left_out == ("Total,2", "Sum,6", "End,")


def test_sheet_without_names_has_those_of_the_mapping(tmp_path: Path) -> None:
    reading = Reading(header_line=0, columns=("x", "y"))
    clean = cleaned(tmp_path, xlsx({"S": [[1, 2], [3, 4]]}), reading)
    assert (clean.header, rows(clean)) == (("x", "y"), [["1", "2"], ["3", "4"]])


def test_formula_and_error_are_what_was_saved(tmp_path: Path) -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["a", "b"])
    sheet.write_formula(1, 0, "=1+1", None, 2)
    sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")
    book.close()
    assert rows(cleaned(tmp_path, out.getvalue())) == [["2", ""]]


@pytest.mark.parametrize("pack", ["gz", "zip"])
def test_packed_workbook_is_read(tmp_path: Path, pack: str) -> None:
    import gzip  # noqa: PLC0415

    raw = xlsx({"S": [["a"], [1]]})
    packed = gzip.compress(raw) if pack == "gz" else zipped({"sales.xlsx": raw})
    assert rows(cleaned(tmp_path, packed)) == [["1"]]


def test_cell_far_off_is_refused_and_costs_no_memory(tmp_path: Path) -> None:
    table = [["a"], [1]]
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True})
    sheet = book.add_worksheet()
    for row, cells in enumerate(table):
        sheet.write_row(row, 0, cells)
    sheet.write(1_048_575, 16_383, "x")
    book.close()
    fault = make(tmp_path, out.getvalue())
    assert isinstance(fault, Fault)
    assert fault.code == "unpacked-too-large"


def test_sheet_larger_than_the_limits_is_refused(tmp_path: Path) -> None:
    raw = xlsx({"S": [["a"], *([f"cell number {n}"] for n in range(2000))]})
    fault = make(tmp_path, raw, limits=Limits(max_unpacked_bytes=20_000, max_unpack_ratio=1000))
    assert isinstance(fault, Fault)
    assert fault.code == "unpacked-too-large"


@pytest.mark.parametrize("write", [xlsx, xls, ods])
def test_damaged_workbook_is_a_fault(tmp_path: Path, write: Callable[..., bytes]) -> None:
    raw = write({"S": TABLE})
    for cut in (600, len(raw) // 3, len(raw) // 2, len(raw) - 30):
        fault = make(tmp_path, raw[:cut])
        assert isinstance(fault, Fault), cut
        assert fault.code == "unpack-failed"
    flipped = bytearray(raw)
    for at in range(700, len(raw), len(raw) // 9):
        flipped[at] ^= 0x5A
    make(tmp_path, bytes(flipped))


def test_workbook_that_makes_its_reader_loop_for_ever_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "CPU_S", 1)
    with zipfile.ZipFile(io.BytesIO(ods({"S": [["a"], [1]]}))) as whole:
        members = {name: whole.read(name) for name in whole.namelist()}
    members["content.xml"] = members["content.xml"].replace(b"</table:table>", b"</tab/")
    raw = zipped(members, zipfile.ZIP_STORED)
    fault = Fault("unpack-failed", seen="the workbook takes too long to be read")
    assert make(tmp_path, raw) == fault


def test_reading_that_fails_for_no_fault_of_the_workbook_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheets, "_CHILD", tmp_path / "gone.py")
    with pytest.raises(RuntimeError, match=r"gone\.py"):
        make(tmp_path, xlsx({"S": [["a"], [1]]}))


def test_empty_sheet_is_an_empty_file(tmp_path: Path) -> None:
    assert make(tmp_path, xlsx({"S": []})) == Fault("file-empty")
