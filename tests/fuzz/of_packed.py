"""Targets of packed files, workbooks, mapping documents, and the guess, which reads them all."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
import zlib
from contextlib import contextmanager, suppress
from datetime import date
from typing import TYPE_CHECKING

import xlsxwriter

from tests.fuzz.target import MAPPINGS, SEED_MOST_BYTES, Target, bend, bend_table, inputs
from tilldrop.errors import TilldropError
from tilldrop.guess.build import build
from tilldrop.guess.draft import Answers, Draft
from tilldrop.guess.figures import feeds_of
from tilldrop.guess.sample import take_sample
from tilldrop.guess.write import to_toml
from tilldrop.importer.parts import Limits
from tilldrop.importer.reading import prepare
from tilldrop.mapping import Reading
from tilldrop.mapping_document import (
    FILE_COLUMNS,
    FILES_SHEET,
    TABLE_COLUMNS,
    VALUE_COLUMNS,
    VALUES_SHEET,
)
from tilldrop.mapping_document_reading import read_document

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXT = b"Store,No,Total\n1,1,5.00\n1,2,6.00\n"
LIMITS = Limits(max_unpacked_bytes=4 * 1024**2, max_unpack_ratio=100, memory_bytes=256 * 1024**2)
TODAY = date(2026, 3, 14)
MAX_RECORD_BYTES = 4000
_XML_NUMBER = re.compile(rb'(?<=[">A-Z])[0-9]+(?=["<])')


# -- archives and workbooks


@contextmanager
def begin_packed(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Take a file out of whatever it is packed in: its text or a fault, within the limits."""
    path, folder = home / "delivery", home / "temp"
    folder.mkdir()

    def one(raw: bytes) -> None:
        for left in folder.iterdir():
            left.unlink()
        path.write_bytes(raw)
        _, _, size_bytes = prepare(path, Reading(), folder, MAX_RECORD_BYTES, limits=LIMITS)
        assert size_bytes == len(raw)
        written = sum(left.stat().st_size for left in folder.iterdir())
        assert written <= 2 * LIMITS.max_unpacked_bytes, written

    yield one


def packed_seeds() -> list[bytes]:
    """Return a text packed in each way that is understood."""
    whole = gzip.compress(TEXT, mtime=0)
    return [
        TEXT,
        whole,
        whole + whole,
        whole[:-5],
        _zip({"a.csv": TEXT}),
        _zip({"a.csv": TEXT, "b/b.csv": TEXT, ".DS_Store": b"x"}, zipfile.ZIP_STORED),
        _zip({"x.gz": whole}),
        _tar({"a.csv": TEXT, "b.csv": TEXT}),
        gzip.compress(_tar({"a.csv": TEXT}), mtime=0),
        gzip.compress(bytes(100_000), mtime=0),
    ]


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def bend_packed(dice: random.Random, raw: bytes) -> bytes:
    """Change a packed file from outside, or what is in it and pack it again."""
    if dice.random() < 0.4:
        return bend(dice, raw)
    if raw.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error):
            return gzip.compress(bend_packed(dice, gzip.decompress(raw)), mtime=0)
    if raw.startswith(b"PK"):
        with suppress(OSError, zipfile.BadZipFile, *_BROKEN):
            return _bend_zip(dice, raw)
    return bend_table(dice, raw) if raw.isascii() else bend(dice, raw)


_BROKEN = (RuntimeError, ValueError, OverflowError, EOFError, NotImplementedError, zlib.error)


def _bend_zip(dice: random.Random, raw: bytes) -> bytes:
    """Change a member of a ZIP; the parts of workbooks by their numbers."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    if not members:
        return bend(dice, raw)
    name = dice.choice(sorted(members))
    content = members[name]
    match dice.randrange(5):
        case 0:
            members[dice.choice(("../x", "a" * 300, "__MACOSX/x", name + "/", "é", ""))] = content
        case 1:
            del members[name]
        case 2:
            found = list(_XML_NUMBER.finditer(content))
            if found:
                place = dice.choice(found)
                number = dice.choice((b"0", b"-1", b"1048577", b"99999999999", b"1e308", b"NaN"))
                members[name] = content[: place.start()] + number + content[place.end() :]
        case _:
            members[name] = bend(dice, content)
    return _zip(members)


def workbook_seeds() -> list[bytes]:
    """Return small workbooks, of the tests and of one's own making."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet("Sales")
        sheet.write_row(0, 0, ["Store", "No", "Total"])
        sheet.write_row(1, 0, [1, "x", 5.25])
        sheet.write_datetime(2, 2, date(2026, 1, 5), book.add_format({"num_format": "d/m/yy"}))
    found = [path.read_bytes() for path in sorted(MAPPINGS.glob("*/input.xls*"))]
    return [out.getvalue(), *(each for each in found if len(each) <= SEED_MOST_BYTES)]


# -- mapping documents


@contextmanager
def begin_document(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Read a mapping document: refused, or TOML that the mapping's own reader takes."""
    path = home / "document.xlsx"

    def one(raw: bytes) -> None:
        path.write_bytes(raw)
        try:
            found = read_document(path)
        except TilldropError:
            return
        for complaint in found.complaints:
            assert complaint.text.isprintable(), complaint
        if not found.complaints:
            feeds, wrong = feeds_of(found.toml)
            assert feeds
            assert not wrong, wrong

    yield one


def document_seeds() -> list[bytes]:
    """Return a small document that is filled in."""
    chosen = ("transactions", "", "sales*.csv", "line item", "semicolon", "UTF-8", 1, "comma")
    fields = (
        ("location_id", "", "", "Branch"),
        ("transaction_id", "", "", "Date + No"),
        ("total", "", "", "", "", "Quantity * [Unit Price]"),
        ("sold_at", "", "", "Date + Time", "", "", "DD.MM.YYYY HH:mm"),
        ("channel", "", "", "", "store"),
        ("kind", "", "", "Type"),
    )
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        for name, head, rows in (
            (FILES_SHEET, tuple(FILE_COLUMNS), [chosen]),
            ("transactions", TABLE_COLUMNS, fields),
            ("line_items", TABLE_COLUMNS, [("description", "", "", "Item")]),
            (VALUES_SHEET, VALUE_COLUMNS, [("kind", "Return", "refund")]),
        ):
            sheet = book.add_worksheet(name)
            for number, row in enumerate((head, *rows)):
                sheet.write_row(number, 0, row)
    return [out.getvalue()]


# -- the guess


@contextmanager
def begin_guess(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Guess a mapping: refused, or TOML that is a mapping or has its questions open."""
    path = home / "sample.csv"

    def one(raw: bytes) -> None:
        path.write_bytes(raw)
        draft = Draft("sales", ["*.csv"], path.name)
        try:
            made = build(take_sample(path), draft, Answers({}), TODAY)
        except TilldropError:
            return
        feeds, wrong = feeds_of(to_toml([made.draft]))
        assert made.draft.is_open or feeds or wrong
        for feed in feeds:
            assert feed.name

    yield one


TARGETS = (
    Target(
        "packed",
        "gzip, ZIP and tar: taken out, within limits",
        begin_packed,
        packed_seeds,
        bend_packed,
        4096,
    ),
    Target(
        "workbook",
        "workbooks, each read in a process of its own",
        begin_packed,
        workbook_seeds,
        bend_packed,
        20_000,
        60,
    ),
    Target(
        "document",
        "mapping documents that retailers fill in",
        begin_document,
        document_seeds,
        bend_packed,
        20_000,
        60,
    ),
    Target("guess", "the guess, on any bytes", begin_guess, inputs, bend_table, 8192, 60),
)
