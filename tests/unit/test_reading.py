from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from tests.unit.readings import MAX_RECORD_BYTES, cleaned, make
from tilldrop.importer.records import QuoteUnclosed, read_records
from tilldrop.importer.stage import Clean
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path


def test_clean_file_is_not_copied(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, "a,b\n1,é\n".encode())
    assert clean == Clean(
        path=tmp_path / "delivery",
        header=("a", "b"),
        first_record_line=2,
        data_offset=4,
        records=1,
        odd=False,
        quoted=False,
        has_odd_blanks=False,
        warnings=(),
    )
    assert not list((tmp_path / "temp").iterdir())


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        ("a,b\r\n1,é\r\n".encode(), "utf-8"),
        ("a,b\r1,é\r".encode(), "utf-8"),
        ("\ufeffa,b\n1,é\n".encode(), "utf-8"),
        ("a,b\r\n1,é\r\n".encode("utf-16"), "utf-16"),
        ("\ufeffa,b\n1,é\n".encode("utf-16-be"), "utf-16"),
        ("a,b\n1,é\n".encode("utf-16-le"), "utf-16-le"),
        ("\ufeffa,b\n1,é\n".encode("utf-16-be"), "utf-16-be"),
        ("a,b\n1,é\n".encode("cp1252"), "cp1252"),
        ("a,b\n1,é\n".encode("latin-1"), "latin-1"),
    ],
)
def test_every_encoding_and_line_end_comes_out_as_utf8_with_lf(
    tmp_path: Path, raw: bytes, encoding: str
) -> None:
    clean = cleaned(tmp_path, raw, Reading(encoding=encoding))
    assert clean.path.read_bytes() == "a,b\n1,é\n".encode()
    assert (clean.header, clean.records, clean.data_offset) == (("a", "b"), 1, 4)


@pytest.mark.parametrize("limit", [5, 7, 11, 64])
def test_chunk_boundaries_change_nothing(tmp_path: Path, limit: int) -> None:
    """Chunks are no longer than the longest record allowed, so a small limit cuts anywhere."""
    raw = '\ufeffa,b\r\né,"1"\r\n2,\r\n€,"4"\r\n'.encode()
    clean = cleaned(tmp_path, raw, limit=max(limit, 5))
    assert clean.path.read_bytes() == 'a,b\né,"1"\n2,\n€,"4"\n'.encode()
    assert clean.records == 3


@pytest.mark.parametrize(
    ("raw", "encoding", "fault"),
    [
        (b"", "utf-8", Fault("file-empty")),
        (b"\xef\xbb\xbf", "utf-8", Fault("file-empty")),
        (b"a,b\n1,\0\n", "utf-8", Fault("nul-bytes", 2)),
        ("a,b\n1,\0\n".encode("utf-16"), "utf-16", Fault("nul-bytes")),
        (
            b"a,b\r\n1,2\r\n1,\x93\r\n",
            "utf-8",
            Fault("encoding-wrong", 3, "utf-8", "byte 93 in line 3"),
        ),
        (b"a,b\n1,\x81\n", "cp1252", Fault("encoding-wrong", 2, "cp1252", "byte 81 in line 2")),
        (
            "a,b\n1,2".encode("utf-16-le") + b"x",
            "utf-16-le",
            Fault("encoding-wrong", 2, "utf-16-le", "it ends within a character"),
        ),
        (
            "a,b\n".encode("utf-16"),
            "utf-8",
            Fault("encoding-wrong", field="utf-8", seen="it is written in UTF-16"),
        ),
        (
            b"PK\x03\x04junk",
            "utf-8",
            Fault("unpack-failed", seen="it is damaged (File is not a zip file)"),
        ),
        (b"%PDF-1.7", "latin-1", Fault("not-text", seen="it is a PDF document")),
        (
            bytes(range(1, 32)) * 9,
            "latin-1",
            Fault("not-text", seen="it is full of control characters"),
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(
    tmp_path: Path, raw: bytes, encoding: str, fault: Fault
) -> None:
    assert make(tmp_path, raw, Reading(encoding=encoding)) == fault


@pytest.mark.parametrize(
    ("raw", "header_line", "header", "first_record_line", "records"),
    [
        (b' a ;"b"\n1;2\n', 1, ("a", "b"), 2, 1),
        (b'x\n"y\na;b\n1;2\n3;4\n', 3, ("a", "b"), 4, 2),
        (b"\n\na;b\n1;2\n", 3, ("a", "b"), 4, 1),
        (b'"a\nA";b\n1;2\n', 1, ("a\nA", "b"), 3, 1),
        (b"1;2;3\n", 0, ("#1", "#2", "#3"), 1, 1),
        (b"a;b\n", 1, ("a", "b"), 2, 0),
        (b"a;b", 1, ("a", "b"), 2, 0),
    ],
)
def test_header_is_found_on_its_line(
    tmp_path: Path,
    raw: bytes,
    header_line: int,
    header: tuple[str, ...],
    first_record_line: int,
    records: int,
) -> None:
    clean = cleaned(tmp_path, raw, Reading(delimiter=";", header_line=header_line))
    assert clean.header == header
    assert (clean.first_record_line, clean.records) == (first_record_line, records)


def test_missing_header_line_is_said(tmp_path: Path) -> None:
    fault = make(tmp_path, b"a,b\n1,2\n", Reading(header_line=5))
    assert fault == Fault("header-missing", 5, seen="in line 5")


@pytest.mark.parametrize(
    ("body", "records", "odd"),
    [
        (b"1,2\n3,4\n", 2, False),
        (b"1,2\n3,4", 2, False),
        (b"1,2\n\n3,4\n", 2, True),
        (b"\n1,2\n", 1, True),
        (b"1,2\n\n\n", 1, False),
        (b'"1","2"\n"""3""",""\n', 2, False),
        (b'1,"2\n3"\n4,5\n', 2, True),
        (b'1,"2\n\n3"\n', 1, True),
        (b'1,2"\n3,4"\n', 2, True),
        (b'1, "2"\n', 1, True),
        (b'1,"2" \n', 1, True),
        (b'1,", "\n', 1, False),
        (b'1,"2" x\n3,4\n', 2, False),
    ],
)
def test_records_are_counted_on_the_bytes(
    tmp_path: Path, body: bytes, records: int, odd: object
) -> None:
    clean = cleaned(tmp_path, b"a,b\n" + body)
    assert (clean.records, clean.odd) == (records, odd)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b'1,"2\n', 2),
        (b'1,2\n3,"4\n5,6\n', 3),
        (b'1,2\n3,"4\n5,"6"\n7,8\n', 3),
        (b'1,"2\n3",4,"5\n6\n', 3),
    ],
)
def test_quote_that_is_never_closed_is_found_where_it_opens(
    tmp_path: Path, body: bytes, line: int
) -> None:
    assert make(tmp_path, b"a,b\n" + body) == Fault("quote-unclosed", line)


def test_last_line_without_end_is_a_warning(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, b"a,b\n1,2\n3,4")
    assert clean.warnings == (Fault("last-line-unterminated", 3, warning=True),)


def test_line_of_three_million_characters_is_one_faulty_record(tmp_path: Path) -> None:
    raw = b"a,b\n1,2\n" + b"x" * 3_000_000 + b"\n3,4\n"
    tracemalloc.start()
    clean = cleaned(tmp_path, raw)
    records = list(read_records(clean, Reading(), MAX_RECORD_BYTES))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clean.records == len(records) == 3
    assert [record.broken and record.broken.code for record in records] == [
        None,
        "record-too-long",
        None,
    ]
    assert [record.line for record in records] == [2, 3, 4]
    assert peak_bytes < 16 * MAX_RECORD_BYTES


def test_header_of_three_million_characters_is_refused(tmp_path: Path) -> None:
    fault = make(tmp_path, b"x" * 3_000_000 + b"\n")
    assert isinstance(fault, Fault)
    assert fault.code == "record-too-long"


def test_records_keep_their_lines_and_text(tmp_path: Path) -> None:
    raw = b'a,b\r\n1,"x\r\ny"\r\n\r\n2,"z" q\r\n3,"4"\r\n'
    clean = cleaned(tmp_path, raw)
    records = list(read_records(clean, Reading(), MAX_RECORD_BYTES))
    assert [(record.line, record.text, record.cells) for record in records] == [
        (2, '1,"x\ny"', ["1", "x\ny"]),
        (5, '2,"z" q', []),
        (6, '3,"4"', ["3", "4"]),
    ]
    assert records[1].broken == Fault("quote-stray", 5, seen='2,"z" q')


def test_reader_never_swallows_the_rest_of_a_file(tmp_path: Path) -> None:
    clean = cleaned(tmp_path, b'a,b\n1,2"\n3,4\n')
    clean.path.write_bytes(b'a,b\n1,"2\n3,4\n')
    with pytest.raises(QuoteUnclosed) as unclosed:
        list(read_records(clean, Reading(), MAX_RECORD_BYTES))
    assert unclosed.value.line == 2
