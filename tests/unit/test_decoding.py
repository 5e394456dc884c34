from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.readings import cleaned, make, rows
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "a,b\n1,é\n"


@pytest.mark.parametrize("limit", [5, 1024**2])
@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (TEXT.encode("utf-16-le"), "utf-16"),
        (TEXT.encode("utf-16-be"), "utf-16"),
        (TEXT.encode("utf-32-le"), "utf-32"),
        (TEXT.encode("utf-32-be"), "utf-32"),
        (TEXT.encode("utf-32"), "utf-32"),
        (TEXT.replace("\n", "\x85").encode("cp037"), "cp037"),
        (TEXT.replace("\n", "\r\n").encode("mac-roman"), "mac-roman"),
        (TEXT.encode("iso8859-15"), "iso-8859-15"),
    ],
)
def test_byte_order_and_line_ends_of_every_encoding_are_understood(
    tmp_path: Path, raw: bytes, encoding: str, limit: int
) -> None:
    reading = Reading(encoding=encoding)
    assert rows(cleaned(tmp_path, raw, reading, limit), reading) == [["1", "é"]]


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "shift_jis", "gb18030", "mac-roman", "koi8-r"]
)
def test_file_of_ascii_is_not_copied_in_any_encoding_that_contains_it(
    tmp_path: Path, encoding: str
) -> None:
    clean = cleaned(tmp_path, b"a,b\n1,2\n", Reading(encoding=encoding))
    assert clean.path == tmp_path / "delivery"


@pytest.mark.parametrize("limit", [4, 1024**2])
@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a,b\n1,2\n\x1a", b"a,b\n1,2\n"),
        (b"a,b\r\n1,2\r\n\x1a\r\n", b"a,b\n1,2\n"),
        (b"a,b\n1,2\x1a\x1a", b"a,b\n1,2"),
        (b"a,b\n1,\x1a2\n", b"a,b\n1,\x1a2\n"),
        (b"a,b\n\x1a\n1,2\n", b"a,b\n\x1a\n1,2\n"),
    ],
)
def test_mark_that_ends_a_dos_file_is_dropped_and_no_other(
    tmp_path: Path, raw: bytes, text: bytes, limit: int
) -> None:
    assert cleaned(tmp_path, raw, limit=limit).path.read_bytes() == text


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (
            b"\xef\xbb\xbf\r\n<!DOCTYPE html><table>",
            Fault(
                "not-text",
                seen="it is a web page or XML, whatever its name says;"
                " .csv and .xlsx are understood",
            ),
        ),
        (
            b"7z\xbc\xaf\x27\x1c\0\4",
            Fault("not-text", seen="it is packed with 7-Zip; .gz and .zip are understood"),
        ),
        (
            "a,b\n1,é\n".encode("utf-16-le"),
            Fault("encoding-wrong", field="utf-8", seen="it looks like UTF-16 without a mark"),
        ),
        (
            "a,b\n1,é\n".encode("utf-32"),
            Fault("encoding-wrong", field="utf-8", seen="it is written in UTF-32"),
        ),
    ],
)
def test_what_is_no_text_of_that_encoding_is_told_by_its_beginning(
    tmp_path: Path, raw: bytes, fault: Fault
) -> None:
    assert make(tmp_path, raw) == fault


def test_bad_byte_behind_many_good_chunks_is_named_with_its_line(tmp_path: Path) -> None:
    raw = b"a,b\r\n" + b"1,2\r\n" * 500_000 + b"1,\x93\r\n"
    fault = make(tmp_path, raw)
    assert fault == Fault("encoding-wrong", 500_002, "utf-8", "byte 93 in line 500002")
