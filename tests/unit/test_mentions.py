"""What counts as a mention of a person, in a cell, a report, a file."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from tilldrop.mentions import (
    CHUNK_BYTES,
    ERASED,
    NotLookedIntoError,
    is_mentioned_in,
    mentions,
    without,
)

if TYPE_CHECKING:
    from pathlib import Path

MOST = 10 * CHUNK_BYTES


@pytest.mark.parametrize(
    ("record", "text", "found"),
    [
        ("12,C-1001,2026", "C-1001", True),
        ("paid by C-1001.", "C-1001", True),
        ("12,c-1001,2026", "C-1001", True),
        ("12,C-10011,2026", "C-1001", False),
        ("12,XC-1001,2026", "C-1001", False),
        ("ada@example.net;1", "ada@example.net", True),
        ("nada@example.net;1", "ada@example.net", False),
        ("1,7,2", "7", True),
        ("7", "7", True),
        ('1,"7",2', "7", True),
        ("1, 7 ,2", "7", True),
        ("1,77,2", "7", False),
        ("till 7", "7", False),  # too short to be looked for within a cell
        ("Zoë", "Zoë", True),
    ],
)
def test_mention_is_a_cell_or_a_long_word(record: str, text: str, found: bool) -> None:  # noqa: FBT001
    assert mentions(record, [text]) is found


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("text", ["Zoë Müller", "C7"])
def test_file_is_searched_in_every_encoding(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(f"a,{text},b\n".encode(encoding))
    assert is_mentioned_in(path, [text], MOST)
    assert not is_mentioned_in(path, ["Nobody At All"], MOST)


@pytest.mark.parametrize("before", [0, CHUNK_BYTES - 3, CHUNK_BYTES, 2 * CHUNK_BYTES - 1])
@pytest.mark.parametrize("text", ["C-1001", "C7"])
def test_mention_across_what_is_read_at_once_is_found(
    tmp_path: Path, before: int, text: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"," * before + f"\n{text}".encode())
    assert is_mentioned_in(path, [text], MOST)


def test_packed_files_and_workbooks_are_looked_into(tmp_path: Path) -> None:
    packed, archive, book = (tmp_path / name for name in ("a.gz", "a.zip", "a.xlsx"))
    packed.write_bytes(gzip.compress(b"x,C-1001,y\n"))
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("one.csv", "x\n")
        made.writestr("two.csv", "x,C-1001,y\n")
    with xlsxwriter.Workbook(book) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write(0, 0, "C-1001")
        sheet.write(1, 0, "C7")
    for path in (packed, archive, book):
        assert is_mentioned_in(path, ["C-1001"], MOST)
        assert not is_mentioned_in(path, ["C-2002"], MOST)
    assert is_mentioned_in(book, ["C7"], MOST)


def test_what_cannot_be_looked_into_is_said(tmp_path: Path) -> None:
    cut, bomb = tmp_path / "cut.gz", tmp_path / "bomb.gz"
    cut.write_bytes(gzip.compress(b"x" * 100_000)[:50])
    bomb.write_bytes(gzip.compress(b"\0" * 2 * MOST))
    for path in (cut, bomb):
        with pytest.raises(NotLookedIntoError):
            is_mentioned_in(path, ["C-1001"], MOST)


def test_report_keeps_all_but_what_it_quotes() -> None:
    faults = [{"code": "date-unreadable", "line": 3, "seen": "C-1001"}, {"seen": "other"}]
    report = json.dumps({"faults": faults, "delivery": "d"})
    cleaned = json.loads(without(report, ["C-1001"]))
    assert [fault["seen"] for fault in cleaned["faults"]] == [ERASED, "other"]
    assert cleaned["delivery"] == "d"
    assert without(report, ["C-2002"]) is report


def test_archives_in_archives_and_escaped_texts_are_looked_into(tmp_path: Path) -> None:
    book = io.BytesIO()
    with xlsxwriter.Workbook(book) as workbook:
        workbook.add_worksheet().write(0, 0, "Ada & Sons")
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("book.xlsx", book.getvalue())
        made.writestr("note.json", json.dumps({"by": "Zoë Müller"}))
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(inner.getvalue()))
    assert is_mentioned_in(packed, ["Ada & Sons"], MOST)
    assert is_mentioned_in(packed, ["Zoë Müller"], MOST)
    assert not is_mentioned_in(packed, ["Ada & Co"], MOST)


def test_report_is_cleaned_in_all_that_it_quotes() -> None:
    fault = {"code": "column-missing", "field": "Ada Lovelace", "seen": "ADA LOVELACE, x"}
    report = json.dumps({"faults": [fault], "reason_seen": "of ada lovelace", "feed": "sales"})
    cleaned = json.loads(without(report, ["Ada Lovelace"]))
    assert cleaned["faults"] == [{"code": "column-missing", "field": ERASED, "seen": ERASED}]
    assert (cleaned["reason_seen"], cleaned["feed"]) == (ERASED, "sales")
