from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.unit.readings import MAX_RECORD_BYTES, cleaned, lines, make, rows
from tilldrop.importer.parts import FREE_BYTES, Limits
from tilldrop.importer.reading import prepare
from tilldrop.mapping import Reading
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"a,b\r\n1,\xc3\xa9\r\n3,4\r\n"
ROWS = [["1", "é"], ["3", "4"]]
PLENTY = b"a,b\n" + b"1,2\n" * (8 * 1024**2)


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return out.getvalue()


def tarred(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    return out.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(TEXT),
        gzip.compress(TEXT[:7]) + gzip.compress(TEXT[7:]),
        gzip.compress(TEXT) + b"\0" * 700,
        zipped({"sales.csv": TEXT}),
        zipped({"sales.csv": TEXT}, zipfile.ZIP_STORED),
        zipped({"exports/": b"", "exports/sales.csv": TEXT}),
        zipped({"__MACOSX/._sales.csv": b"\0\5\x16\7", ".DS_Store": b"x", "sales.csv": TEXT}),
        tarred({"sales.csv": TEXT}),
        tarred({"./exports/sälés.csv": TEXT}),
        tarred({"x" * 150: TEXT}, tarfile.GNU_FORMAT),
        gzip.compress(tarred({"sales.csv": TEXT})),
    ],
    ids=[
        *("gz", "gz-joined", "gz-padded", "zip", "zip-stored", "zip-folder", "zip-of-a-mac"),
        *("tar", "tar-pax", "tar-long-name", "tar-gz"),
    ],
)
@pytest.mark.parametrize("limit", [7, MAX_RECORD_BYTES])
def test_packed_file_is_read_as_if_it_were_not(tmp_path: Path, raw: bytes, limit: int) -> None:
    clean = cleaned(tmp_path, raw, limit=limit)
    assert clean.path.read_bytes() == "a,b\n1,é\n3,4\n".encode()
    assert (clean.header, clean.records, clean.first_record_line) == (("a", "b"), 2, 2)
    assert rows(clean) == ROWS


def test_packed_file_in_another_encoding_names_the_line_of_a_bad_byte(tmp_path: Path) -> None:
    raw = gzip.compress(b"a,b\r\n1,2\r\n3,\x81\r\n")
    fault = Fault("encoding-wrong", 3, "cp1252", "byte 81 in line 3")
    assert make(tmp_path, raw, Reading(encoding="cp1252")) == fault


def test_members_are_joined_in_the_order_of_their_names(tmp_path: Path) -> None:
    raw = zipped({"b.csv": b"\xef\xbb\xbfA ,b\r\n3,4", "a.csv": b"a,b\n1,2\n", "c.csv": b""})
    clean = cleaned(tmp_path, raw)
    assert rows(clean) == [["1", "2"], ["3", "4"]]
    assert lines(clean) == [2, 3]
    assert clean.warnings == (Fault("last-line-unterminated", 3, warning=True),)
    assert [clean.place(line) for line in (2, 3)] == ["line 2 of a.csv", "line 2 of b.csv"]


def test_each_member_loses_its_own_preamble_and_footer(tmp_path: Path) -> None:
    members = {f"{n}.csv": f"Store {n}\na,b\n{n},2\nT,{n}\n".encode() for n in (1, 2)}
    reading = Reading(header_line=2, footer_lines=1)
    clean = cleaned(tmp_path, zipped(members), reading)
    assert rows(clean, reading) == [["1", "2"], ["2", "2"]]
    assert (clean.preamble, clean.left_out) == (("Store 1",), ("T,1", "T,2"))


@pytest.mark.parametrize("pattern", ["sales*.csv", "SALES-?.CSV", "*/sales-1.csv"])
def test_only_the_members_asked_for_are_read(tmp_path: Path, pattern: str) -> None:
    raw = zipped({"readme.txt": b"hello", "exports/sales-1.csv": TEXT})
    clean = cleaned(tmp_path, raw, Reading(member=pattern))
    assert rows(clean) == ROWS


def test_name_of_a_member_is_no_path(tmp_path: Path) -> None:
    raw = zipped({"../../evil.csv": TEXT, "/etc/evil.csv": b"a,b\n5,6\n"})
    clean = cleaned(tmp_path, raw)
    assert rows(clean) == [*ROWS, ["5", "6"]]
    written = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(written) == ["clean.csv", "delivery"]


def test_nameless_member_is_a_fault_and_no_error(tmp_path: Path) -> None:
    raw = bytearray(zipped({"x": TEXT}))
    at = raw.index(b"PK\1\2")
    raw[at + 28], raw[at + 30] = 0, 1  # its name of one byte becomes an extra field
    fault = make(tmp_path, bytes(raw))
    assert isinstance(fault, Fault)
    assert fault.code == "unpack-failed"


def flagged(raw: bytes) -> bytes:
    """Set the flag of encryption in both headers of the only member."""
    at = raw.index(b"PK\1\2")
    head = bytearray(raw)
    head[6] |= 1
    head[at + 8] |= 1
    return bytes(head)


@pytest.mark.parametrize(
    ("raw", "member", "fault"),
    [
        (zipped({}), "", Fault("unpack-failed", seen="it is empty")),
        (
            zipped({"a.txt": b"x"}),
            "*.csv",
            Fault("member-missing", field="*.csv", seen="a.txt"),
        ),
        (
            zipped({"a.csv": b"a,b\n1,2\n", "b.csv": b"a,c\n1,2\n"}),
            "",
            Fault("members-differ", seen="b.csv begins with other columns"),
        ),
        (
            flagged(zipped({"a.csv": TEXT})),
            "",
            Fault("unpack-failed", seen="it is encrypted with a password; send it without one"),
        ),
        (
            zipped({"a.csv": TEXT}, zipfile.ZIP_LZMA),
            "",
            Fault(
                "unpack-failed",
                seen="it is packed in an unusual way; only stored and deflated are understood",
            ),
        ),
        (
            zipped({"a.zip": zipped({"a.csv": TEXT})}),
            "",
            Fault("unpack-failed", seen="there is an archive within the archive"),
        ),
        (
            gzip.compress(gzip.compress(TEXT)),
            "",
            Fault("unpack-failed", seen="there is an archive within the archive"),
        ),
        (
            zipped({"a.csv": TEXT, "b.gz": gzip.compress(TEXT)}),
            "",
            Fault("not-text", seen="it is packed with gzip"),
        ),
        (
            gzip.compress(TEXT)[:-9],
            "",
            Fault("unpack-failed", seen="it ends too early, so it may be cut short"),
        ),
        (
            gzip.compress(TEXT) + b"and more",
            "",
            Fault("unpack-failed", seen="something follows behind its end"),
        ),
        (
            gzip.compress(tarred({"a.csv": TEXT})[:525]),
            "",
            Fault("unpack-failed", seen="it ends too early, so it may be cut short"),
        ),
        (
            tarred({"a.csv": TEXT})[:1024],
            "",
            Fault("unpack-failed", seen="it ends too early, so it may be cut short"),
        ),
        (
            zipped({"word/document.xml": b"<x/>"}),
            "",
            Fault("not-text", seen="it is a Word document"),
        ),
        (gzip.compress(b""), "", Fault("file-empty")),
        (zipped({"a.csv": b"", "b.csv": b"\n"}), "", Fault("file-empty")),
    ],
    # Never of the bytes: gzip writes the time into them, and two workers must agree on names.
    ids=lambda value: f"{value.code} {value.seen}"[:40] if isinstance(value, Fault) else "",
)
def test_what_cannot_be_unpacked_is_refused_and_says_why(
    tmp_path: Path, raw: bytes, member: str, fault: Fault
) -> None:
    assert make(tmp_path, raw, Reading(member=member)) == fault


@pytest.mark.parametrize(
    "raw",
    [
        gzip.compress(PLENTY),
        zipped({"a.csv": PLENTY}),
        zipped({f"{n}.csv": PLENTY[: 1024**2] for n in range(40)}),
        gzip.compress(tarred({"a.csv": PLENTY})),
        zipped({"inner.zip": zipped({"a.csv": PLENTY}, zipfile.ZIP_STORED)}),
        zipped({"xl/workbook.xml": b"", "xl/sheet.xml": PLENTY}),
    ],
    ids=["gz", "zip", "zip-of-many", "tar-gz", "zip-in-zip", "workbook"],
)
@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        (Limits(max_unpack_ratio=20), "more than 20 times its size"),
        (Limits(max_unpacked_bytes=5_000_000, max_unpack_ratio=10**6), "more than 5000000 bytes"),
    ],
    ids=["ratio", "size"],
)
def test_bomb_is_stopped_at_the_limit(
    tmp_path: Path, raw: bytes, limits: Limits, seen: str
) -> None:
    assert make(tmp_path, raw, limits=limits) == Fault("unpacked-too-large", seen=seen)
    written = sum(path.stat().st_size for path in (tmp_path / "temp").iterdir())
    assert written <= FREE_BYTES + MAX_RECORD_BYTES


def test_size_that_an_archive_states_is_not_believed(tmp_path: Path) -> None:
    """The list of members says ten bytes where there are 32 MB."""
    raw = bytearray(zipped({"a.csv": PLENTY}))
    at = raw.index(b"PK\1\2")
    raw[at + 24 : at + 28] = (10).to_bytes(4, "little")
    fault = make(tmp_path, bytes(raw))
    assert fault == Fault("unpack-failed", seen="it is damaged (Bad CRC-32 for file 'a.csv')")


def test_list_of_members_that_would_fill_memory_is_not_read(tmp_path: Path) -> None:
    raw = zipped({f"{'x' * 2000}{n}": b"" for n in range(9000)})
    fault = Fault("unpack-failed", seen="its list of members is too long")
    assert make(tmp_path, raw) == fault


def test_archive_of_too_many_members_is_refused(tmp_path: Path) -> None:
    raw = tarred({f"{n}.csv": b"" for n in range(10_001)}, tarfile.USTAR_FORMAT)
    assert make(tmp_path, raw) == Fault("unpack-failed", seen="it has more than 10000 members")
    folder = tarfile.TarInfo("folder/")
    folder.type = tarfile.DIRTYPE
    raw = folder.tobuf() * 40_001
    assert make(tmp_path, raw) == Fault("unpack-failed", seen="it has more than 10000 members")


def test_every_cut_of_an_archive_is_a_fault_and_no_error(tmp_path: Path) -> None:
    whole = [
        gzip.compress(TEXT * 9),
        zipped({"a.csv": TEXT * 9, "b.csv": TEXT}),
        gzip.compress(tarred({"a.csv": TEXT})),
    ]
    path = tmp_path / "delivery"
    for raw in whole:
        for size in range(3, len(raw) - 1, 3):
            path.write_bytes(raw[:size])
            result, _, size_bytes = prepare(path, Reading(), tmp_path, MAX_RECORD_BYTES)
            assert isinstance(result, Fault), (raw[:4], size)
            assert size_bytes == size
