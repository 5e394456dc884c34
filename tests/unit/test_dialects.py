"""Any table written in any dialect that the language knows comes back equal."""

from __future__ import annotations

import csv
import gzip
import io
import random
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.readings import cleaned, lines, rows
from tests.unit.test_sheets import ods, xls, xlsx
from tests.unit.test_unpack import TEXT, tarred, zipped
from tilldrop.errors import FAULTS
from tilldrop.importer.parts import Limits
from tilldrop.importer.reading import prepare
from tilldrop.importer.records import QuoteUnclosed, read_records
from tilldrop.mapping import FIND, Reading
from tilldrop.rows import Fault

ENCODINGS = {
    "utf-8": "aZ09é€漢😀\u00a0",
    "utf-8-sig": "aé€漢",
    "utf-16": "aé€漢😀\u2028",
    "utf-16-le": "aé漢😀\u0a0d",
    "utf-16-be": "aé漢\u0d0a",
    "utf-32": "aé漢😀",
    "latin-1": "aé\u00a0\u00ff",
    "cp1252": "aé€\u00a0",
    "cp850": "aéß░",
    "mac-roman": "aé√",
    "shift_jis": "aソ表漢ｱ",
    "cp932": "aソ表漢①",
    "gb18030": "a漢é😀",
    "big5": "a功漢許",
    "euc-kr": "a한글",
    "iso2022_jp": "a漢字",
    "koi8-r": "aЖя",
    "cp037": "aZé09",
    "cp500": "aZé09",
}
DELIMITERS = [",", ";", "\t", "|", "^", ":"]
BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Written:
    """A table, how it is written, and the bytes."""

    table: list[list[str]]
    reading: Reading
    raw: bytes
    at: list[int]


def letters(encoding: str, others: str) -> st.SearchStrategy[str]:
    # A Ctrl-Z or a byte that no program writes is not what a dialect is about.
    return st.text(st.sampled_from(ENCODINGS[encoding] + others), max_size=6)


@st.composite
def csv_files(draw: st.DrawFn) -> Written:
    encoding = draw(st.sampled_from([*ENCODINGS]))
    delimiter = draw(st.sampled_from(DELIMITERS))
    quote = draw(st.sampled_from(['"', "'"]))
    is_quoting = draw(st.booleans())
    breaks = "\n" + quote + delimiter if is_quoting else ""
    width = draw(st.integers(1, 4))
    cells = letters(encoding, " .-1" + breaks)
    # A record of one empty cell is a blank line, and blanks around a cell in marks are refused.
    record = st.lists(cells, min_size=width, max_size=width).filter(
        lambda record: any(record) and not any(cell[:1] == " " and quote in cell for cell in record)
    )
    table = draw(st.lists(record, max_size=6))
    names = [f"c{number}" for number in range(width)]
    before = draw(st.lists(st.sampled_from(["", "Shop 12", "Date:,1/2"]), max_size=3))
    out = io.StringIO()
    style: Literal[0, 1, 3] = csv.QUOTE_NONE
    if is_quoting:
        style = csv.QUOTE_ALL if draw(st.booleans()) else csv.QUOTE_MINIMAL
    writer = csv.writer(
        out,
        delimiter=delimiter,
        quotechar=quote if is_quoting else None,
        quoting=style,
        lineterminator="\n",
    )
    out.write("".join(f"{line}\n" for line in before))
    writer.writerow(names)
    at = []
    for cells_of_record in table:
        at.append(out.getvalue().count("\n") + 1)
        writer.writerow(cells_of_record)
    text = out.getvalue()
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    mark = draw(st.sampled_from(["", BOM])) if encoding in {"utf-8", "utf-16-le"} else ""
    raw = (mark + text.replace("\n", line_end)).encode(encoding)
    reading = Reading(
        encoding=encoding,
        delimiter=delimiter,
        quote=quote if is_quoting else "",
        header_line=draw(st.sampled_from([len(before) + 1, FIND])),
    )
    return Written(table, reading, draw(packed(raw)), at)


def packed(raw: bytes) -> st.SearchStrategy[bytes]:
    def pack(kind: str) -> bytes:
        match kind:
            case "gz":
                return gzip.compress(raw)
            case "zip":
                return zipped({"a.csv": raw}, zipfile.ZIP_STORED)
            case "tar":
                return tarred({"a.csv": raw})
        return raw

    return st.sampled_from(["", "gz", "zip", "tar"]).map(pack)


@settings(deadline=None)
@given(csv_files(), st.sampled_from([97, 1024**2]))
def test_table_in_any_dialect_comes_back_equal(written: Written, limit: int) -> None:
    needed = tuple(f"c{number}" for number in range(len(written.table[0]) if written.table else 1))
    with tempfile.TemporaryDirectory() as folder:
        clean = cleaned(Path(folder), written.raw, written.reading, limit, needed=needed)
        assert rows(clean, written.reading) == written.table
        assert lines(clean, written.reading) == written.at


@st.composite
def fixed_files(draw: st.DrawFn) -> Written:
    encoding = draw(st.sampled_from([*ENCODINGS]))
    widths = tuple(draw(st.lists(st.integers(1, 7), min_size=1, max_size=4)))
    plain = ENCODINGS[encoding].replace("\u00a0", "").replace("\u2028", "") + '",;'
    if encoding in {"cp037", "cp500"}:
        plain = "aZ09"

    def padded(record: list[str]) -> str:
        return "".join(cell.ljust(width) for cell, width in zip(record, widths, strict=True))

    record = st.tuples(*(st.text(st.sampled_from(plain), max_size=width) for width in widths))
    table = draw(st.lists(record.map(list).filter(any), max_size=6))
    text = "".join(padded(record).rstrip(" ") + "\r\n" for record in table)
    names = tuple(f"c{number}" for number in range(len(widths)))
    reading = Reading(encoding=encoding, widths=widths, header_line=0, columns=names)
    return Written(table, reading, draw(packed(text.encode(encoding))), [*range(1, len(table) + 1)])


@settings(deadline=None)
@given(fixed_files(), st.sampled_from([97, 1024**2]))
def test_table_in_fixed_widths_comes_back_equal(written: Written, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if not written.table:
            return
        clean = cleaned(Path(folder), written.raw, written.reading, limit)
        assert rows(clean) == written.table
        assert lines(clean) == written.at


WORDS = st.text(st.sampled_from("aé,;'0"), min_size=1, max_size=5)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.one_of(WORDS, WORDS.map(lambda w: f"{w} \t{w}")), min_size=3, max_size=3)),
    st.text(st.sampled_from(" \t"), min_size=1, max_size=3),
)
def test_table_between_blanks_comes_back_equal(table: list[list[str]], gap: str) -> None:
    def written(cell: str) -> str:
        return f'"{cell}"' if " " in cell else cell

    text = "".join(f"{gap.join(map(written, record))}{gap}\n" for record in [list("xyz"), *table])
    with tempfile.TemporaryDirectory() as folder:
        clean = cleaned(Path(folder), (gap + text).encode(), Reading(delimiter="blanks"))
        assert clean.header == ("x", "y", "z")
        assert rows(clean) == table


# Whatever comes: a file that can be read, or a fault


READINGS = [
    Reading(),
    Reading(encoding="utf-16", delimiter=";", header_line=FIND),
    Reading(encoding="shift_jis", delimiter="\t", header_line=0, footer_lines=1),
    Reading(encoding="cp037", widths=(1, 2)),
    Reading(encoding="iso2022_jp", delimiter="blanks", skip_lines="^a"),
    Reading(encoding="gb18030", quote="", header_line=3, skip_lines=r"\d", footer_lines=2),
]


def must_be_told(folder: Path, raw: bytes, reading: Reading) -> None:
    path = folder / "delivery"
    path.write_bytes(raw)
    limits = Limits(max_unpacked_bytes=10_000_000)
    clean, _, size_bytes = prepare(path, reading, folder, 4096, needed=("a",), limits=limits)
    assert size_bytes == len(raw)
    if isinstance(clean, Fault):
        assert clean.code in FAULTS
        return
    try:
        found = list(read_records(clean, clean.reading or reading, 4096))
    except QuoteUnclosed:
        return
    assert len(found) == clean.records


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(READINGS))
@example(b"\xff\xfe\0", READINGS[1])
@example(b"\x0e" * 40, READINGS[3])
def test_any_bytes_are_a_table_or_a_fault(raw: bytes, reading: Reading) -> None:
    with tempfile.TemporaryDirectory() as folder:
        must_be_told(Path(folder), raw, reading)


TABLE_TEXT = 'a,b\r\n1,"é\n2"\r\n3,4\r\n\r\n5;6\t7\r\nTotal,9'
WHOLE = {
    "gz": gzip.compress(TEXT * 5),
    "zip": zipped({"a.csv": TEXT * 5, "dir/b.csv": TEXT}),
    "tar": tarred({"a.csv": TEXT * 5, "b.csv": TEXT}),
    "tar-gz": gzip.compress(tarred({"a.csv": TEXT})),
    "csv": TABLE_TEXT.encode(),
    "utf-16": TABLE_TEXT.encode("utf-16"),
    "sjis": "a,b\r\n表,ソ\r\n".encode("shift_jis") * 5,
}


@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_file_is_a_table_or_a_fault(tmp_path: Path, kind: str) -> None:
    """Bytes changed, dropped and put in at chance places: 200 files of each kind."""
    dice = random.Random(kind)
    for turn in range(200):
        raw = bytearray(WHOLE[kind])
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(raw))
            match dice.randrange(4):
                case 0:
                    raw[at] = dice.randrange(256)
                case 1:
                    del raw[at : at + dice.randint(1, 9)]
                case 2:
                    raw[at:at] = dice.choice([b'"', b"\0", b"\r", b"\xff\xff\xff\xff", b"PK\1\2"])
                case _:
                    raw += raw[at : at + 40]
            raw = raw or bytearray(b"a")
        must_be_told(tmp_path, bytes(raw), READINGS[0] if turn % 2 else dice.choice(READINGS))


BOOKS = {
    "xlsx": xlsx({"S": [["a", "b"], [1, "x"]]}),
    "xls": xls({"S": [["a", "b"], [1, "x"]]}),
    "ods": ods({"S": [["a", "b"], [1, "x"]]}),
}


@pytest.mark.parametrize("kind", BOOKS)
def test_damaged_workbook_is_a_table_or_a_fault(tmp_path: Path, kind: str) -> None:
    dice = random.Random(kind)
    for _ in range(12):
        raw = bytearray(BOOKS[kind])
        for _ in range(dice.randint(1, 20)):
            raw[dice.randrange(8, len(raw))] = dice.randrange(256)
        must_be_told(tmp_path, bytes(raw), replace(READINGS[0], sheet=dice.choice(["", "S"])))
