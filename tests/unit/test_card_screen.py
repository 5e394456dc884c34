"""What becomes of a delivery with card data, through the worker's whole run."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
import xlsxwriter

from tests.unit.jobs import FEED, HEADER, Place
from tilldrop.importer.worker import run_job
from tilldrop.mapping import Reading

VISA = "4111111111111111"
MASKED = "411111******1111"
GOOD = f"{HEADER}1,1,2026-01-05 13:08,1.00,cash\n"
TEXT = f"{HEADER}1,1,2026-01-05 13:08,1.00,cash\n1,2,2026-01-05 13:09,?,card {VISA}\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def workbook(text: str) -> bytes:
    made = BytesIO()
    book = xlsxwriter.Workbook(made)
    sheet = book.add_worksheet()
    for row, line in enumerate(text.splitlines()):
        sheet.write_row(row, 0, line.split(","))
    book.close()
    return made.getvalue()


def everything(place: Place) -> str:
    """All that is stored in data.db, as text."""
    tables = [name for (name,) in place.read("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return "".join(repr(place.read(f"SELECT * FROM {table}")) for table in tables)


def test_file_is_refused_and_nothing_of_it_stored(place: Place) -> None:
    report = run_job(place.job(TEXT))
    assert (report.outcome, report.reason) == ("rejected", "card-data")
    assert [(fault.code, fault.line, fault.field) for fault in report.faults] == [
        ("card-data", 3, "Card")
    ]
    assert VISA not in report.to_json()
    assert place.booked() == 0
    assert place.read("SELECT count(*) FROM rejected_rows") == [(0,)]
    assert VISA not in everything(place)


def test_masked_file_is_imported_and_its_masked_copy_named_for_keeping(place: Place) -> None:
    feed = replace(FEED, max_fault_share=0.5)
    job = place.job(TEXT, feed=feed, card_data="mask")
    report = run_job(job)
    assert (report.outcome, report.counts.inserted, report.counts.rejected) == ("imported", 1, 1)
    assert report.masked == 1
    assert report.warning_counts == {"card-masked": 1}
    assert Path(report.masked_path).read_text() == TEXT.replace(VISA, MASKED)
    assert Path(job.path).read_text() == TEXT
    assert VISA not in everything(place)
    assert MASKED in everything(place)


def test_masked_copy_is_imported_to_the_same_rows_later(place: Place) -> None:
    text = f"{HEADER}1,1,2026-01-05 13:08,1.00,card {VISA}\n"
    first = run_job(place.job(text, card_data="mask"))
    again = run_job(place.job(Path(first.masked_path).read_bytes(), 2, card_data="mask"))
    assert (again.outcome, again.masked, again.counts.unchanged) == ("imported", 0, 1)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le", "latin-1", "shift_jis"])
def test_copy_keeps_the_encoding_and_all_else(place: Place, encoding: str) -> None:
    text = f"{HEADER}1,1,2026-01-05 13:08,1.00,{VISA}\r\n"
    feed = replace(FEED, reading=Reading(encoding=encoding))
    report = run_job(place.job(text.encode(encoding), feed=feed, card_data="mask"))
    assert report.outcome == "imported"
    with Path(report.masked_path).open(encoding=encoding, newline="") as copy:
        assert copy.read().removeprefix("\ufeff") == text.replace(VISA, MASKED)


def test_copy_keeps_mark_blanks_and_dashes(place: Place) -> None:
    text = f"\ufeff{HEADER}1,1,2026-01-05 13:08,1.00,4111-1111 1111-1111\r\n"
    report = run_job(place.job(text, card_data="mask"))
    kept = Path(report.masked_path).read_bytes().decode()
    assert kept == text.replace("4111-1111 1111-1111", "4111-11** ****-1111")


def test_number_with_its_expiry_beside_it_is_masked(place: Place) -> None:
    text = f"{HEADER}1,1,2026-01-05 13:08,1.00,{VISA}-1227\n"
    report = run_job(place.job(text, card_data="mask"))
    assert (report.outcome, report.masked) == ("imported", 1)
    assert Path(report.masked_path).read_text() == text.replace(VISA, MASKED)


def test_packed_file_is_kept_unpacked_and_masked(place: Place) -> None:
    zipped = BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("sales.csv", TEXT)
    feed = replace(FEED, max_fault_share=0.5)
    for seq, packed in enumerate((gzip.compress(TEXT.encode()), zipped.getvalue()), 1):
        report = run_job(place.job(packed, seq, feed=feed, card_data="mask"))
        assert (report.outcome, report.masked) == ("imported", 1)
        assert Path(report.masked_path).read_text() == TEXT.replace(VISA, MASKED)


def test_workbook_with_cards_is_refused_also_where_others_are_masked(place: Place) -> None:
    report = run_job(place.job(workbook(TEXT), card_data="mask"))
    assert (report.outcome, report.reason, report.masked_path) == ("rejected", "card-data", "")
    assert VISA not in everything(place)


@pytest.mark.parametrize("mode", ["refuse", "mask"])
def test_stripe_and_codes_are_refused_in_every_mode(place: Place, mode: str) -> None:
    stripe = f"{HEADER}1,1,2026-01-05 13:08,1.00,;{VISA}=27121010000000000000?\n"
    report = run_job(place.job(stripe, card_data=mode))
    assert (report.outcome, report.reason) == ("rejected", "card-track-data")
    codes = f"{HEADER.strip()},CVV\n1,1,2026-01-05 13:08,1.00,card,123\n"
    report = run_job(place.job(codes, 2, card_data=mode))
    assert (report.outcome, report.reason) == ("rejected", "card-code")
    assert place.booked() == 0


def test_file_that_no_feed_takes_or_none_can_read_is_screened_too(place: Place) -> None:
    assert run_job(place.job(TEXT, feed=None)).reason == "card-data"
    unreadable = replace(FEED, reading=Reading(header_line=9))
    assert run_job(place.job(TEXT, 2, feed=unreadable)).reason == "card-data"
    harmless = run_job(place.job(TEXT.replace(VISA, "17"), 3, feed=None))
    assert (harmless.outcome, harmless.reason) == ("unclaimed", "no-feed")


@pytest.mark.parametrize(
    "content",
    [gzip.compress(TEXT.encode()), workbook(TEXT), TEXT.encode("utf-16")],
    ids=["packed", "workbook", "utf-16"],
)
def test_file_that_no_feed_takes_is_screened_whatever_it_is_packed_in(
    place: Place, content: bytes
) -> None:
    assert run_job(place.job(content, feed=None)).reason == "card-data"
    unreadable = replace(FEED, reading=Reading(header_line=9))
    assert run_job(place.job(content, 2, feed=unreadable)).reason == "card-data"


def zipped(members: dict[str, str]) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return made.getvalue()


def test_member_of_an_archive_that_the_feed_does_not_take_is_screened_too(place: Place) -> None:
    sold = f"{HEADER}1,1,2026-01-05 13:08,1.00,cash\n"
    feed = replace(FEED, reading=Reading(member="sales*.csv"))
    content = zipped({"sales.csv": sold, "[1] paid.csv": f"Name,Paid by\nAda,{VISA}\n"})
    report = run_job(place.job(content, feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "card-data")
    assert report.faults[0].seen == "line 2 of [1] paid.csv"
    harmless = zipped({"sales.csv": sold, "paid.csv": "Name,Paid by\nAda,cash\n"})
    assert run_job(place.job(harmless, 2, feed=feed)).counts.inserted == 1


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_member_of_a_tar_that_the_feed_does_not_take_is_screened_too(
    place: Place, mode: Literal["w", "w:gz"]
) -> None:
    made = BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        for name, text in (("sales.csv", GOOD), ("notes.txt", f"card {VISA}\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, BytesIO(text.encode()))
    feed = replace(FEED, reading=Reading(member="sales*.csv"))
    report = run_job(place.job(made.getvalue(), feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "card-data")
    assert "notes.txt" in report.faults[0].seen
    assert VISA not in everything(place)


@pytest.mark.parametrize("wanted", ["", "Sales"])
def test_sheet_that_the_feed_does_not_read_is_screened_too(place: Place, wanted: str) -> None:
    made = BytesIO()
    with xlsxwriter.Workbook(made) as book:
        for name, text in (("Sales", GOOD), ("Empty", ""), ("Notes", f"Card No\n{VISA}\n")):
            sheet = book.add_worksheet(name)
            for row, line in enumerate(text.splitlines()):
                sheet.write_row(row, 0, line.split(","))
    feed = replace(FEED, reading=Reading(sheet=wanted))
    report = run_job(place.job(made.getvalue(), feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "card-data")
    assert "of sheet Notes" in report.faults[0].seen
    assert run_job(place.job(made.getvalue(), 2, feed=None)).reason == "card-data"


def test_workbook_in_an_archive_is_screened_too(place: Place) -> None:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("sales.csv", GOOD)
        archive.writestr("cards.xlsx", workbook(TEXT))
    feed = replace(FEED, reading=Reading(member="sales*.csv"))
    assert run_job(place.job(made.getvalue(), feed=feed)).reason == "card-data"


def test_archive_whose_members_differ_is_screened_member_by_member(place: Place) -> None:
    content = zipped({"a.csv": f"{HEADER}1,1,2026-01-05 13:08,1.00,x\n", "b.csv": f"A\n{VISA}\n"})
    assert run_job(place.job(content)).reason == "card-data"
    assert run_job(place.job(content, 2, feed=None)).reason == "card-data"


def test_file_sent_again_is_screened_before_it_counts_as_a_duplicate(place: Place) -> None:
    first = run_job(place.job(TEXT))
    again = run_job(place.job(TEXT, 2, same_as=first.sha256))
    assert again.reason == "card-data"


def test_column_that_nothing_maps_is_screened(place: Place) -> None:
    text = f"{HEADER.strip()},Extra\n1,1,2026-01-05 13:08,1.00,card,{VISA}\n"
    assert run_job(place.job(text)).reason == "card-data"
    report = run_job(place.job(text, 2, feed=replace(FEED, extra="all"), card_data="mask"))
    assert report.outcome == "imported"
    assert place.read("SELECT extra FROM transactions") == [(f'{{"Extra":"{MASKED}"}}',)]


@pytest.mark.parametrize("mode", ["refuse", "mask"])
def test_column_said_to_hold_no_cards_is_let_in_as_it_is(place: Place, mode: str) -> None:
    text = f"{HEADER.strip()}, Order Ref \n1,1,2026-01-05 13:08,1.00,card,{VISA}\n"
    feed = replace(FEED, extra="all", not_cards=("order ref",))
    report = run_job(place.job(text, feed=feed, card_data=mode))
    assert (report.outcome, report.masked) == ("imported", 0)
    assert place.read("SELECT extra FROM transactions") == [(f'{{"Order Ref":"{VISA}"}}',)]


def test_column_said_to_hold_no_cards_vouches_for_itself_alone(place: Place) -> None:
    feed = replace(FEED, not_cards=("Order Ref", "CVV"))
    header = f"{HEADER.strip()},Order Ref,CVV\n"
    beside = f"{header}1,1,2026-01-05 13:08,1.00,{VISA},{VISA},\n"
    report = run_job(place.job(beside, feed=feed))
    assert [(fault.code, fault.field) for fault in report.faults] == [("card-data", "Card")]
    stripe = f"{header}1,1,2026-01-05 13:08,1.00,card,;{VISA}=27121010000000000000?,\n"
    assert run_job(place.job(stripe, 2, feed=feed)).reason == "card-track-data"
    code = f"{header}1,1,2026-01-05 13:08,1.00,card,{VISA},123\n"
    assert run_job(place.job(code, 3, feed=feed)).reason == "card-code"
