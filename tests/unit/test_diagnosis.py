"""What a refused file seems to be: renamed columns, another delimiter, encoding, date format."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.jobs import FEED, HEADER, Place, sales
from tilldrop.importer.diagnosis import explain_encoding, explain_values
from tilldrop.importer.renamings import renamings
from tilldrop.importer.worker import run_job
from tilldrop.mapping import FIND, Reading
from tilldrop.rows import Fault
from tilldrop.sources import FromColumn

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.mapping import Feed
    from tilldrop.rows import Report

LINE = "1,7,2026-01-05 13:08,1.00,card\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def refused(place: Place, content: str | bytes, feed: Feed = FEED, seq: int = 1) -> Report:
    report = run_job(place.job(content, seq=seq, feed=feed))
    assert report.outcome == "rejected"
    return report


@pytest.mark.parametrize(
    ("header", "lacks", "renamed"),
    [
        ("Store,No,When,Grand Total,Card", "Total", "; Total may now be called Grand Total"),
        ("Branch,No,When,Total,Card", "Store", "; Store may now be called Branch"),
        ("Store,No,When,XYZ,Card", "Total", ""),
    ],
    ids=["same words", "same meaning", "nothing alike"],
)
def test_header_that_lacks_a_column_is_shown_beside_the_expected_one(
    place: Place, header: str, lacks: str, renamed: str
) -> None:
    report = refused(place, f"{header}\n{LINE}")
    expected = "Store, No, Total, When, Card"
    found = header.replace(",", ", ")
    seen = f"{lacks} (expected: {expected}; found: {found}{renamed})"
    assert (report.reason, report.reason_seen) == ("header-lacks", seen)
    assert report.faults[0].line == 1


def test_unlike_name_in_the_place_of_the_missing_one_is_found_by_what_was_remembered(
    place: Place,
) -> None:
    run_job(place.job(sales(1)))
    report = refused(place, f"Store,No,When,XYZ,Card\n{LINE}", seq=2)
    assert report.reason_seen.endswith("; Total may now be called XYZ)")


def test_column_that_stood_beside_the_missing_one_is_not_its_new_name(place: Place) -> None:
    more = "".join(line.strip() + ",9\n" for line in sales(2).splitlines())
    run_job(place.job(more.replace("Card,9", "Card,Amount")))
    report = refused(place, f"Store,No,When,Card,Amount\n{LINE}", seq=2)
    assert "called" not in report.reason_seen


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (sales(3).replace(",", ";"), "the file seems to be separated by semicolons"),
        (sales(3).replace(",", "\t"), "the file seems to be separated by tabulators"),
        (sales(3).replace(",", "|"), "the file seems to be separated by bars"),
        ("Export of today\n\n" + sales(3), "the column names seem to stand in line 3"),
    ],
    ids=["semicolons", "tabulators", "bars", "preamble"],
)
def test_file_written_in_another_way_is_recognised(place: Place, content: str, seems: str) -> None:
    report = refused(place, content)
    assert report.reason == "header-lacks"
    assert f"; {seems})" in report.reason_seen


FINDING = replace(FEED, reading=Reading(header_line=FIND))


def test_line_that_comes_nearest_to_the_header_is_compared(place: Place) -> None:
    content = "Export,of,today,x,y\r\n\r\nStore,No,When,Betrag,Card\r\n" + LINE
    report = refused(place, content, FINDING)
    assert (report.reason, report.faults[0].line) == ("header-lacks", 3)
    assert report.reason_seen == (
        "Total (expected: Store, No, Total, When, Card; found: Store, No, When, Betrag, Card;"
        " Total may now be called Betrag)"
    )


def test_header_is_recognised_behind_another_delimiter(place: Place) -> None:
    report = refused(place, "Export\n" + sales(3).replace(",", ";"), FINDING)
    assert report.reason == "header-missing"
    assert report.reason_seen.endswith("; the file seems to be separated by semicolons")


def test_file_with_nothing_like_a_header_is_said_to_have_none(place: Place) -> None:
    report = refused(place, "some\nother,Total\nfile\n", FINDING)
    assert (report.reason, report.reason_seen) == (
        *("header-missing", "with Store, No, Total, When, Card"),
    )


def test_accented_column_read_in_the_wrong_encoding_is_recognised(place: Place) -> None:
    sources = {**FEED.sources, "total": FromColumn("Größe")}
    feed = replace(FEED, sources=sources, reading=Reading(encoding="cp1252"))
    report = refused(place, sales(1).replace("Total", "Größe"), feed)
    assert "the file seems to be written in utf-8" in report.reason_seen


@pytest.mark.parametrize(
    ("content", "encoding", "seems"),
    [
        ("café".encode("cp1252"), "utf-8", "cp1252"),
        ("café".encode("utf-16"), "utf-8", "utf-16"),
        ("cafes".encode("utf-16-le"), "utf-8", "utf-16-le"),
        ("cafes".encode("utf-16-be"), "utf-8", "utf-16-be"),
        ("café".encode(), "ascii", "utf-8"),
        (b"\xef\xbb\xbfcaf\xe9", "ascii", "utf-8"),
    ],
)
def test_encoding_of_a_file_that_cannot_be_decoded_is_told(
    tmp_path: Path, content: bytes, encoding: str, seems: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    fault = Fault("encoding-wrong", 3, encoding, "byte e9")
    told = explain_encoding(fault, path, Reading(encoding=encoding))
    assert told == replace(fault, seen=f"byte e9; it seems to be {seems}")


def test_wrong_encoding_is_told_by_a_whole_run(place: Place) -> None:
    report = refused(place, (HEADER + "1,é,2026-01-05 13:08,1.00,card\n").encode("cp1252"))
    assert report.reason == "encoding-wrong"
    assert report.reason_seen.endswith("; it seems to be cp1252")


@pytest.mark.parametrize("content", [b"PK\x03\x04\xff", b"\x1f\x8b\xff\xfe"])
def test_nothing_is_said_of_the_bytes_of_a_packed_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    fault = Fault("encoding-wrong", seen="byte ff")
    assert explain_encoding(fault, path, Reading()) == fault


@pytest.mark.parametrize(
    ("old", "new", "seems"),
    [
        ("2026-01-05", "05.01.2026", "dates like 05.01.2026 13:08 seem to be D.M.YYYY HH:mm"),
        ("2026-01-05", "25/01/2026", "dates like 25/01/2026 13:08 seem to be D/M/YYYY HH:mm"),
        ("1.00", '"1,00"', "numbers like 1,00 seem to have a comma before the decimals"),
        ("1.00", '"1.001,00"', "numbers like 1.001,00 seem to have a comma before the decimals"),
    ],
)
def test_file_of_unreadable_dates_or_numbers_is_told_what_they_seem_to_be(
    place: Place, old: str, new: str, seems: str
) -> None:
    report = refused(place, sales(20).replace(old, new))
    assert report.reason == "too-many-faults"
    assert [one.seen.partition(",")[0] for one in report.faults if one.warning] or not seems
    (warning,) = [one for one in report.faults if one.warning]
    assert warning.code == "layout-changed"
    assert warning.seen.startswith(seems)


def test_nothing_is_said_of_values_that_are_like_nothing_known() -> None:
    faults = [Fault("date-unreadable", line, "When", "yesterday") for line in range(5)]
    assert explain_values(faults, FEED, "EUR") is None
    assert explain_values([], FEED, "EUR") is None


@pytest.mark.parametrize(
    ("lost", "header", "found"),
    [
        ("Total", ("Betrag",), "Betrag"),
        ("Total", ("TOTAL_AMOUNT", "Tax"), "TOTAL_AMOUNT"),
        ("ReceiptNo", ("Receipt No.", "Date"), "Receipt No."),
        ("Created at", ("Created At (UTC)", "Paid at"), "Created At (UTC)"),
        ("Prénom", ("prenom",), "prenom"),
        ("Qty", ("Quantity", "Price"), "Quantity"),
        ("Total", ("Shelf",), None),
        ("Total", ("", " "), None),
    ],
)
def test_likely_new_name(lost: str, header: tuple[str, ...], found: str | None) -> None:
    assert renamings([lost], header, [lost], ()) == ({lost: found} if found else {})


def test_one_column_is_the_new_name_of_one_missing_column_only() -> None:
    found = renamings(["Total", "Amount"], ["Grand Total"], ["Total", "Amount"], ())
    assert found in ({"Total": "Grand Total"}, {"Amount": "Grand Total"})


ENCODINGS = ("utf-8", "utf-16", "cp1252", "shift_jis", "mac-roman")
HEADERS = st.lists(
    st.sampled_from(
        [HEADER, HEADER.replace(",", ";"), HEADER.lower(), LINE, "\u00e9,Total\n", "\n"]
    )
)


@settings(max_examples=30, deadline=None)
@given(
    lines=HEADERS,
    tail=st.binary(max_size=30),
    written=st.sampled_from(ENCODINGS),
    read=st.sampled_from(ENCODINGS),
    header_line=st.sampled_from([0, 1, 2, FIND]),
)
def test_no_file_is_too_odd_to_be_explained(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[str],
    tail: bytes,
    written: str,
    read: str,
    header_line: int,
) -> None:
    place = Place.make(tmp_path_factory.mktemp("place"))
    feed = replace(FEED, reading=Reading(encoding=read, header_line=header_line))
    content = "".join(lines).encode(written, "replace") + tail
    assert run_job(place.job(content, feed=feed)).outcome in {"imported", "rejected"}


@given(st.lists(st.text(max_size=8), max_size=6), st.lists(st.text(max_size=8), max_size=6))
def test_no_header_is_too_odd_to_be_compared(missing: list[str], header: list[str]) -> None:
    found = renamings(missing, header, missing, header[::-1])
    assert set(found) <= set(missing)
    assert set(found.values()) <= set(header)


def test_another_delimiter_is_recognised_though_a_column_was_renamed_too(place: Place) -> None:
    content = sales(3).replace("Total", "Betrag").replace(",", ";")
    report = refused(place, content)
    assert report.reason_seen.endswith("; the file seems to be separated by semicolons)")


def test_file_that_is_no_table_is_not_compared_name_by_name(place: Place) -> None:
    report = refused(place, '{"Store": 1}\n{"Store": 2}\n')
    assert report.reason == "header-lacks"
    assert "may now be called" not in report.reason_seen


def test_encoding_that_is_named_already_is_not_named_again(place: Place) -> None:
    report = refused(place, sales(1).encode("utf-16"))
    assert report.reason == "encoding-wrong"
    assert report.faults[0].seen.casefold().count("utf-16") == 1
