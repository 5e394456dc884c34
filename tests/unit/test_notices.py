"""What is noticed of a file that is not like the ones before, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from tests.unit.jobs import FEED, HEADER, Place
from tilldrop.importer.memory import Memory, Remember
from tilldrop.importer.worker import run_job
from tilldrop.mapping import Feed, Reading, Section
from tilldrop.sources import FromColumn, When

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.rows import Report


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def sales(*locations: str, tender: str = "card", more: str = "") -> str:
    """Return a file with a sale at each location. more: a further column."""
    header = HEADER.replace("\n", f",{more}\n") if more else HEADER
    cell = ",kept" if more else ""
    lines = (
        f"{location},{number},2026-01-05 13:08,1.00,{tender}{cell}\n"
        for number, location in enumerate(locations)
    )
    return header + "".join(lines)


def said(report: Report) -> dict[str, str]:
    """Return the notices of a report."""
    assert report.outcome == "imported", report
    assert {one.code for one in report.faults if one.warning} == report.warning_counts.keys()
    return {one.code: one.seen for one in report.faults if one.warning}


def test_first_file_of_a_feed_is_like_nothing_before(place: Place) -> None:
    assert said(run_job(place.job(sales("1", "2", more="Shelf")))) == {}


def test_second_feed_of_a_customer_says_nothing_of_its_first_file(place: Place) -> None:
    run_job(place.job(sales("1")))
    feed = replace(FEED, name="other")
    assert said(run_job(place.job(sales("2", tender="cash"), seq=2, feed=feed))) == {}


# Columns


@pytest.mark.parametrize("extra", ["new", "all"])
def test_new_column_is_kept_and_said_once(place: Place, extra: Literal["new", "all"]) -> None:
    feed = replace(FEED, extra=extra)
    run_job(place.job(sales("1"), feed=feed))
    second = run_job(place.job(sales("1", more="Shelf"), seq=2, feed=feed))
    third = run_job(place.job(sales("1", "1", more="Shelf"), seq=3, feed=feed))
    assert (said(second), said(third)) == ({"column-new": "Shelf"}, {})
    assert place.read("SELECT extra FROM transactions") == [('{"Shelf":"kept"}',)] * 2


def test_columns_of_the_first_file_that_nothing_maps_are_kept_only_if_all_are(
    place: Place,
) -> None:
    run_job(place.job(sales("1", more="Shelf")))
    feed = replace(FEED, extra="all")
    run_job(place.job(sales("2", more="Shelf"), seq=2, customer="other", feed=feed))
    assert place.read("SELECT extra FROM transactions ORDER BY location_id") == [
        (None,),
        ('{"Shelf":"kept"}',),
    ]


def test_new_column_that_is_not_to_be_kept_is_said_all_the_same(place: Place) -> None:
    feed = replace(FEED, extra="none")
    run_job(place.job(sales("1"), feed=feed))
    report = run_job(place.job(sales("1", more="Shelf"), seq=2, feed=feed))
    assert said(report) == {"layout-changed": "it has new columns, which are not kept: Shelf"}
    assert place.read("SELECT extra FROM transactions") == [(None,)]


def test_other_order_and_case_of_columns_is_no_change(place: Place) -> None:
    run_job(place.job(sales("1")))
    content = "card, WHEN,no,TOTAL,store\nx,2026-01-05 13:08,7,1.00,1\n"
    report = run_job(place.job(content, seq=2, customer="acme"))
    assert said(report) == {"tender-new": "x"}


def test_column_that_the_mapping_takes_up_is_kept_no_longer(place: Place) -> None:
    run_job(place.job(sales("1")))
    feed = replace(FEED, sources={**FEED.sources, "register_id": FromColumn("shelf")})
    run_job(place.job(sales("1", more="Shelf"), seq=2, feed=feed))
    found = place.read("SELECT extra, register_id FROM transactions")
    assert found == [(None, "kept")]


def test_optional_column_that_is_gone_is_said(place: Place) -> None:
    reading = Reading(optional=("Shelf",))
    sources = {**FEED.sources, "register_id": FromColumn("Shelf")}
    feed = replace(FEED, reading=reading, sources=sources)
    run_job(place.job(sales("1", more="Shelf"), feed=feed))
    report = run_job(place.job(sales("1"), seq=2, feed=feed))
    assert said(report) == {"layout-changed": "without Shelf, which earlier files had"}


# Layout


def test_change_of_the_delimiter_is_said(place: Place) -> None:
    run_job(place.job(sales("1")))
    feed = replace(FEED, reading=Reading(delimiter=";"))
    report = run_job(place.job(sales("1").replace(",", ";"), seq=2, feed=feed))
    assert said(report) == {"layout-changed": "separated by semicolons, before by commas"}


def test_change_of_the_encoding_is_said(place: Place) -> None:
    run_job(place.job(sales("1")))
    feed = replace(FEED, reading=Reading(encoding="utf-16"))
    report = run_job(place.job(sales("1").encode("utf-16"), seq=2, feed=feed))
    assert said(report) == {"layout-changed": "in utf-16, before in utf-8"}


def test_utf_8_that_is_read_as_something_else_is_said(place: Place) -> None:
    feed = replace(FEED, reading=Reading(encoding="cp1252"))
    run_job(place.job(sales("1", tender="café").encode("cp1252"), feed=feed))
    report = run_job(place.job(sales("1", tender="café"), seq=2, feed=feed))
    assert said(report)["layout-changed"] == "it seems to be in utf-8, but is read as cp1252"


def test_change_of_the_date_format_is_said_once(place: Place) -> None:
    formats = ("YYYY-MM-DD HH:mm", "D.M.YYYY HH:mm", "D/M/YYYY HH:mm")
    feed = replace(FEED, sources={**FEED.sources, "sold_at": When("When", (), formats)})
    run_job(place.job(sales("1"), feed=feed))
    other = sales("1").replace("2026-01-05", "5.1.2026")
    second = run_job(place.job(other, seq=2, feed=feed))
    third = run_job(place.job(other, seq=3, feed=feed))
    assert said(second) == {"layout-changed": "dates like D.M.YYYY HH:mm, before YYYY-MM-DD HH:mm"}
    assert said(third) == {}


# Locations and payment methods


def test_location_never_seen_before_is_said_once(place: Place) -> None:
    run_job(place.job(sales("1", "2")))
    second = run_job(place.job(sales("1", "3", "4"), seq=2))
    third = run_job(place.job(sales("1", "3"), seq=3))
    assert (said(second), said(third)) == ({"location-new": "3, 4"}, {})


def test_many_new_locations_are_counted(place: Place) -> None:
    run_job(place.job(sales("1")))
    report = run_job(place.job(sales(*(f"{number:02d}" for number in range(10, 23))), seq=2))
    assert said(report)["location-new"] == "10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 3 more"


def test_location_known_from_another_feed_or_a_list_of_locations_is_not_new(place: Place) -> None:
    run_job(place.job(sales("1")))
    run_job(place.job(sales("2"), seq=2, feed=replace(FEED, name="other")))
    listed = Feed(
        name="locations",
        files=("locations.csv",),
        rows="per-transaction",
        max_fault_share=0.1,
        reading=Reading(),
        table="locations",
        sources={"location_id": FromColumn("Id")},
    )
    run_job(place.job("Id\n1\n", seq=3, feed=listed))
    assert said(run_job(place.job("Id\n1\n3\n", seq=4, feed=listed))) == {}
    assert said(run_job(place.job(sales("1", "2", "3"), seq=5))) == {}


def test_location_that_falls_silent_as_another_appears_is_a_renumbering(place: Place) -> None:
    for seq in (1, 2, 3):
        run_job(place.job(sales("1", "2", f"3{seq}"), seq=seq))
    report = run_job(place.job(sales("1", "12"), seq=4))
    assert said(report) == {"location-renumbered": "2 fell silent, 12 appeared"}


def test_files_of_one_location_each_are_no_renumbering(place: Place) -> None:
    for seq, location in enumerate(("1", "2", "3", "4"), 1):
        run_job(place.job(sales(location), seq=seq))
    assert said(run_job(place.job(sales("5"), seq=5))) == {"location-new": "5"}


def test_payment_method_never_seen_before_is_booked_and_said_once(place: Place) -> None:
    run_job(place.job(sales("1")))
    second = run_job(place.job(sales("1", tender="Bitcoin"), seq=2))
    third = run_job(place.job(sales("1", tender="Bitcoin"), seq=3))
    assert (said(second), said(third)) == ({"tender-new": "Bitcoin"}, {})
    assert place.read("SELECT tender FROM transactions") == [("Bitcoin",)]


def test_payment_method_of_a_tender_row_counts_too(place: Place) -> None:
    tenders = Section("tenders", {"method": FromColumn("Card"), "amount": FromColumn("Total")})
    sources = {name: one for name, one in FEED.sources.items() if name != "tender"}
    feed = replace(FEED, sections=(tenders,), sources=sources)
    run_job(place.job(sales("1"), feed=feed))
    report = run_job(place.job(sales("1", tender="Bitcoin"), seq=2, feed=feed))
    assert said(report) == {"tender-new": "Bitcoin"}


def test_historical_load_says_nothing_of_locations_and_methods_but_knows_them(
    place: Place,
) -> None:
    run_job(place.job(sales("1")))
    old = replace(FEED, backfill=True)
    report = run_job(place.job(sales("2", tender="cheque"), seq=2, feed=old))
    assert (said(report), report.backfill) == ({}, True)
    assert said(run_job(place.job(sales("2", tender="cheque"), seq=3))) == {}


def test_column_of_far_too_many_values_is_no_list_of_methods(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.notices.MAX_VALUES", 2)
    run_job(place.job(sales("1")))
    lines = "".join(f"1,{n},2026-01-05 13:08,1.00,ref {n}\n" for n in range(3))
    assert said(run_job(place.job(HEADER + lines, seq=2))) == {}
    assert place.read("SELECT value FROM seen_values WHERE kind = 'tender'") == [("card",)]


# What is remembered


def test_older_file_changes_nothing_of_what_is_remembered(place: Place) -> None:
    run_job(place.job(sales("1")))
    run_job(place.job(sales("1", more="Shelf"), seq=3))
    older = run_job(place.job(sales("2"), seq=2))
    assert said(older) == {}
    assert said(run_job(place.job(sales("1", "2", more="Shelf"), seq=4))) == {}


def test_replay_of_the_newest_file_says_nothing_again(place: Place) -> None:
    run_job(place.job(sales("1")))
    job = place.job(sales("2", more="Shelf"), seq=2)
    run_job(job)
    again = run_job(replace(job, run=2))
    assert said(again) == {}
    assert place.read("SELECT extra FROM transactions WHERE location_id = '2'") == [
        ('{"Shelf":"kept"}',)
    ]


@pytest.mark.parametrize("refused", ["1,7\0,2026-01-05 13:08,1.00,x", "1,7,never,1.00,x"])
def test_file_of_which_nothing_is_booked_is_not_remembered(place: Place, refused: str) -> None:
    run_job(place.job(sales("1")))
    content = f"{HEADER.strip()},Shelf\n{refused},y\n"
    assert run_job(place.job(content, seq=2)).outcome == "rejected"
    report = run_job(place.job(sales("1", more="Shelf"), seq=3))
    assert said(report) == {"column-new": "Shelf"}


def test_notices_find_room_beside_a_hundred_faults(place: Place) -> None:
    run_job(place.job(sales("1")))
    faulty = "".join(f"1,{number},never,1.00,card\n" for number in range(200))
    feed = replace(FEED, max_fault_share=1.0)
    report = run_job(place.job(sales("9") + faulty, seq=2, feed=feed))
    assert said(report) == {"location-new": "9"}
    assert len(report.faults) == 100


def test_memory_survives_its_way_to_the_database() -> None:
    memory = Memory(
        *(3, ("a", "b"), ("a",), "utf-8", ",", ("b",), ("iso",)), (("1",), ("1", "2")), ("card",)
    )
    assert Memory.from_json(memory.to_json()) == memory
    assert Remember() == Remember(None, {})
