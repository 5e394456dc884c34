from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.readings import cleaned, lines, make, rows
from tilldrop.mapping import FIND, Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path

REPORT = b"Report:,Z48\nDate:,3/9/2015\n\nOrder ID,Total ,When\n1,2.50,x\n"


@pytest.mark.parametrize(
    "needed", [("Total", "order id"), (" WHEN",), ("Order ID", "Total", "When"), ()]
)
@pytest.mark.parametrize("limit", [32, 1024**2])
def test_header_is_found_wherever_it_stands(
    tmp_path: Path, needed: tuple[str, ...], limit: int
) -> None:
    if not needed:
        raw, line = REPORT[REPORT.index(b"\n\n") :], 3
    else:
        raw, line = REPORT, 4
    clean = cleaned(tmp_path, raw, Reading(header_line=FIND), limit, needed=needed)
    assert clean.header == ("Order ID", "Total", "When")
    assert (clean.first_record_line, lines(clean)) == (line + 1, [line + 1])
    assert rows(clean) == [["1", "2.50", "x"]]


def test_lines_before_the_header_are_kept(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, REPORT, Reading(header_line=4))
    assert clean.preamble == ("Report:,Z48", "Date:,3/9/2015", "")


def test_line_with_most_of_the_columns_is_taken_so_that_the_rest_can_be_named(
    tmp_path: Path,
) -> None:
    needed = ("Order ID", "Amount", "When")
    clean = cleaned(tmp_path, REPORT, Reading(header_line=FIND), needed=needed)
    assert clean.header == ("Order ID", "Total", "When")


@pytest.mark.parametrize("raw", [REPORT, b"x\n" * 3000, b"x\n" * 999 + b"Amount,Shop\n1,2\n" * 2])
def test_header_that_is_nowhere_is_said_with_what_was_looked_for(
    tmp_path: Path, raw: bytes
) -> None:
    needed = ("Amount", "Shop", "Till")
    if b"Amount" in raw:
        assert cleaned(tmp_path, raw, Reading(header_line=FIND), needed=needed).preamble
        return
    fault = make(tmp_path, raw, Reading(header_line=FIND), needed=needed)
    assert fault == Fault("header-missing", seen="with Amount, Shop, Till")


def test_header_behind_a_thousand_lines_is_not_found(tmp_path: Path) -> None:
    raw = b"x\n" * 1000 + b"Amount,Shop\n1,2\n"
    fault = make(tmp_path, raw, Reading(header_line=FIND), needed=("Amount", "Shop"))
    assert fault == Fault("header-missing", seen="with Amount, Shop")


def test_open_quotation_mark_in_the_preamble_hides_no_header(tmp_path: Path) -> None:
    raw = b'"Monday\nId,Total\n1,2\n'
    clean = cleaned(tmp_path, raw, Reading(header_line=FIND), needed=("Id", "Total"))
    assert (clean.header, rows(clean)) == (("Id", "Total"), [["1", "2"]])


def test_found_header_may_have_line_breaks_in_its_cells(tmp_path: Path) -> None:
    raw = b'Shop 12\nId,"Total\nin EUR"\n1,2\n'
    clean = cleaned(tmp_path, raw, Reading(header_line=FIND), needed=("Id", "Total\nin EUR"))
    assert (clean.first_record_line, rows(clean)) == (4, [["1", "2"]])


def test_header_in_one_quoted_field_is_unfolded(tmp_path: Path) -> None:
    raw = b'"id,""date"",""in, all"""\r\n7,"2019",2\r\n'
    clean = cleaned(tmp_path, raw)
    assert (clean.header, rows(clean)) == (("id", "date", "in, all"), [["7", "2019", "2"]])
    assert clean.odd is False


def test_records_in_one_quoted_field_are_unfolded_where_the_header_is(tmp_path: Path) -> None:
    raw = b'"id,""name"",total"\r\n"7,""a, b"",2"\r\n"8,c,3"\r\n9,d,4\r\n"x"\r\n"1,2"\r\n'
    clean = cleaned(tmp_path, raw)
    assert rows(clean) == [["7", "a, b", "2"], ["8", "c", "3"], ["9", "d", "4"], ["x"], ["1,2"]]


@pytest.mark.parametrize("first", [b"sep=;\r\n", b'"SEP=;"\n'])
def test_line_that_tells_excel_the_delimiter_is_no_header(tmp_path: Path, first: bytes) -> None:
    clean = cleaned(tmp_path, first + b"a;b\n1;2\n", Reading(delimiter=";"))
    assert (clean.header, clean.first_record_line) == (("a", "b"), 3)


def test_lines_within_one_quoted_field_are_no_header_of_several(tmp_path: Path) -> None:
    assert cleaned(tmp_path, b'"a,b\n1,2"\n3\n').header == ("a,b\n1,2",)


def test_only_column_with_a_quoted_name_stays_one(tmp_path: Path) -> None:
    assert cleaned(tmp_path, b'"Total"\n1\n').header == ("Total",)


@pytest.mark.parametrize(
    ("raw", "header_line", "first"),
    [(b"1,2\n3,4\n", 0, 1), (b"x y\n1,2\n3,4\n", 1, 2), (b"\n\n1,2\n3,4\n", 2, 3)],
)
def test_names_given_in_the_mapping_are_the_columns(
    tmp_path: Path, raw: bytes, header_line: int, first: int
) -> None:
    reading = Reading(header_line=header_line, columns=("Date", "Amount"))
    clean = cleaned(tmp_path, raw, reading)
    assert clean.header == ("Date", "Amount")
    assert (clean.first_record_line, rows(clean)) == (first, [["1", "2"], ["3", "4"]])


def test_first_record_says_how_many_columns_a_nameless_file_has(tmp_path: Path) -> None:
    reading = Reading(header_line=0, skip_lines="^#")
    clean = cleaned(tmp_path, b"# made by till\n\n1,2,3\n", reading)
    assert (clean.header, rows(clean)) == (("#1", "#2", "#3"), [["1", "2", "3"]])
    assert (clean.first_record_line, lines(clean)) == (1, [3])


def test_column_known_by_another_name_gets_its_own(tmp_path: Path) -> None:
    reading = Reading(header_line=FIND, other_names={"Discount": ("Discnt",)})
    clean = cleaned(tmp_path, b"v2\nId,Discnt\n1,2\n", reading, needed=("Id", "Discount"))
    assert clean.header == ("Id", "Discount")


def test_quotation_mark_left_open_in_the_header_is_told_soon(tmp_path: Path) -> None:
    raw = b'"id,total\n' + b"1,2\n" * 200_000
    assert make(tmp_path, raw) == Fault("quote-unclosed", 1)
