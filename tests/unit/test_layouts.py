from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.readings import MAX_RECORD_BYTES, cleaned, lines, make, rows
from tilldrop.importer.records import read_records
from tilldrop.mapping import FIND, Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = [8, MAX_RECORD_BYTES]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("raw", "pattern", "found", "at", "left_out"),
    [
        (b"a,b\n1,2\nTotal,3\n4,5\n", "^Total", [["1", "2"], ["4", "5"]], [2, 4], ("Total,3",)),
        (b"a,b\n1,2\nEOF", "^EOF$", [["1", "2"]], [2], ("EOF",)),
        (b"a,b\n#\n#\n1,2\n", r"\A#", [["1", "2"]], [4], ("#", "#")),
        (b"a,b\n1,2\n3,4\n", "^x", [["1", "2"], ["3", "4"]], [2, 3], ()),
        (b"a,b\n1,2\n3,4\n", "(?i)^TOTAL", [["1", "2"], ["3", "4"]], [2, 3], ()),
        (b"a,b\r\n1,2\r\n-\r\n", "-$", [["1", "2"]], [2], ("-",)),
    ],
)
def test_lines_are_left_out_by_pattern_and_the_others_keep_their_numbers(
    tmp_path: Path,
    raw: bytes,
    pattern: str,
    found: list[list[str]],
    at: list[int],
    left_out: tuple[str, ...],
    limit: int,
) -> None:
    clean = cleaned(tmp_path, raw, Reading(skip_lines=pattern), limit)
    assert (rows(clean), lines(clean), clean.left_out) == (found, at, left_out)


def test_file_of_which_no_line_is_left_out_is_not_copied(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, b"a,b\n1,2\n", Reading(skip_lines="^Total"))
    assert clean.path == tmp_path / "delivery"


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize(
    ("raw", "count", "found", "left_out"),
    [
        (b"a,b\n1,2\nT,1\n", 1, [["1", "2"]], ("T,1",)),
        (b"a,b\n1,2\nT,1", 1, [["1", "2"]], ("T,1",)),
        (b"a,b\n1,2\n\nT,1\n\nEnd\n\n\n", 2, [["1", "2"]], ("T,1", "End")),
        (b"a,b\n1,2\n", 3, [], ("1,2",)),
        (b"a,b\n", 3, [], ()),
    ],
)
def test_lines_at_the_end_are_left_out(
    tmp_path: Path,
    raw: bytes,
    count: int,
    found: list[list[str]],
    left_out: tuple[str, ...],
    limit: int,
) -> None:
    clean = cleaned(tmp_path, raw, Reading(footer_lines=count), limit)
    assert (rows(clean), clean.left_out, clean.records) == (found, left_out, len(found))


@pytest.mark.parametrize("limit", [40, MAX_RECORD_BYTES])
def test_fixed_widths_are_cut_by_characters(tmp_path: Path, limit: int) -> None:
    raw = ' Id  Name  Total\r\n  1  Zoë    2.50\r\n\r\n 22  O"K   13.00 €\r\n333  x\r\n'.encode()
    clean = cleaned(tmp_path, raw, Reading(widths=(5, 6, 5)), limit)
    assert clean.header == ("Id", "Name", "Total")
    assert rows(clean) == [["1", "Zoë", "2.50"], ["22", 'O"K', "13.00 €"], ["333", "x", ""]]
    assert lines(clean) == [2, 4, 5]


def test_fixed_widths_and_a_preamble_keep_their_lines(tmp_path: Path) -> None:
    reading = Reading(widths=(3, 3), header_line=FIND, footer_lines=1, encoding="cp1252")
    raw = b"Shop: 12\n\nId Tot\n1  2\n\x80  4\nEnd\n"
    clean = cleaned(tmp_path, raw, reading, needed=("Id", "Tot"))
    assert (rows(clean), lines(clean)) == ([["1", "2"], ["€", "4"]], [4, 5])
    assert (clean.preamble, clean.left_out) == (("Shop: 12", ""), ("End",))


@pytest.mark.parametrize("limit", [40, MAX_RECORD_BYTES])
def test_runs_of_blanks_bound_cells(tmp_path: Path, limit: int) -> None:
    raw = b' id  date\tvalue\n 00001 19970101   11.77\n2 "a ""b"" c"  \t 3\n4 5" x\n   \n'
    clean = cleaned(tmp_path, raw, Reading(delimiter="blanks"), limit)
    assert clean.header == ("id", "date", "value")
    assert rows(clean) == [["00001", "19970101", "11.77"], ["2", 'a "b" c', "3"], ["4", '5"', "x"]]
    assert clean.reading == Reading()


def test_open_quotation_mark_between_blanks_is_a_character(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, b'" a\n"x 1\n', Reading(delimiter="blanks"))
    assert (clean.header, rows(clean)) == (('"', "a"), [['"x', "1"]])


def test_ragged_rows_of_blanks_are_told_and_not_mended(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, b"a b\n1 2 3\n4\n", Reading(delimiter="blanks"))
    assert rows(clean) == [["1", "2", "3"], ["4"]]


@pytest.mark.parametrize("reading", [Reading(widths=(1, 1)), Reading(delimiter="blanks")])
def test_line_that_is_too_long_stays_one_broken_record(tmp_path: Path, reading: Reading) -> None:
    raw = b"ab\n12\n" + "é1".encode() * 3_000_000 + b"\n34\n"
    clean = cleaned(tmp_path, raw, reading)
    found = list(read_records(clean, clean.reading or reading, MAX_RECORD_BYTES))
    assert [record.broken and record.broken.code for record in found] == [
        None,
        "record-too-long",
        None,
    ]
    assert [record.line for record in found] == [2, 3, 4]


def test_fixed_width_file_without_text_is_empty(tmp_path: Path) -> None:
    assert make(tmp_path, b"\n\n", Reading(widths=(1, 2))) == Fault("file-empty")
