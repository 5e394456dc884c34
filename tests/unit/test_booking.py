"""Where a run's rows go: data.db, sandbox.db or each its part; and that no part is booked twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.jobs import FEED, HEADER, Place, locked_elsewhere
from tilldrop.errors import DataBusy
from tilldrop.importer import run
from tilldrop.importer.schema import migrate
from tilldrop.importer.worker import Worker, run_job
from tilldrop.mapping import Feed, Reading, Section
from tilldrop.rows import Counts, Job
from tilldrop.sources import FromColumn, Lookup

if TYPE_CHECKING:
    from pathlib import Path

SALES = HEADER + "".join(
    f"{location},{number},2026-01-05 13:08,{number}.00,card\n"
    for number, location in enumerate(("1", "2", "1", "3"), 1)
)
LINED = replace(FEED, sections=(Section("line_items", {"amount": FromColumn("Total")}),))
PRODUCTS = Feed(
    name="products",
    files=("products.csv",),
    rows="per-transaction",
    max_fault_share=0.1,
    reading=Reading(),
    table="products",
    sources={"product_id": FromColumn("Id"), "price": FromColumn("Price")},
)


@pytest.fixture(params=["few rows", "many"])
def place(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "many":
        monkeypatch.setattr(run, "SMALL_BYTES", -1)
    made = Place.make(tmp_path)
    migrate(tmp_path / "sandbox.db")
    return made


def sandboxed(place: Place, content: str, *live: str, seq: int = 1, **changes: Any) -> Job:
    path = str(place.root / "sandbox.db")
    return place.job(content, seq, sandbox_path=path, live_locations=live, **changes)


def in_sandbox(place: Place, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(place.root / "sandbox.db")) as connection:
        return connection.execute(sql).fetchall()


KEYS = "SELECT location_id, transaction_id FROM transactions ORDER BY 2"


def test_customer_in_sandbox_has_no_row_in_data_db(place: Place) -> None:
    report = run_job(sandboxed(place, SALES, feed=LINED))
    assert (report.outcome, report.sandbox, report.total_minor) == ("imported", True, 1000)
    assert report.counts == Counts(read=4, transactions=4, inserted=4)
    assert report.child_rows == {"line_items": 4}
    assert len(in_sandbox(place, KEYS)) == len(in_sandbox(place, "SELECT * FROM line_items")) == 4
    assert place.read(KEYS) == place.read("SELECT * FROM line_items") == []
    assert place.read("SELECT outcome FROM deliveries") == [("imported",)]


def test_live_locations_go_to_data_db_and_the_others_to_the_sandbox(place: Place) -> None:
    report = run_job(sandboxed(place, SALES, "1", "9", feed=LINED))
    assert report.sandbox
    assert report.counts == Counts(read=4, transactions=4, inserted=4)
    assert report.child_rows == {"line_items": 4}
    assert place.read(KEYS) == [("1", "1"), ("1", "3")]
    assert in_sandbox(place, KEYS) == [("2", "2"), ("3", "4")]
    lines = "SELECT transaction_id, amount_minor FROM line_items ORDER BY 1"
    assert place.read(lines) == [("1", 100), ("3", 300)]
    assert in_sandbox(place, lines) == [("2", 200), ("4", 400)]


def test_file_of_live_locations_only_is_live(place: Place) -> None:
    report = run_job(sandboxed(place, SALES, "1", "2", "3"))
    assert not report.sandbox
    assert (report.counts.inserted, len(place.read(KEYS)), in_sandbox(place, KEYS)) == (4, 4, [])


def test_master_file_of_a_customer_partly_live_goes_to_both(place: Place) -> None:
    report = run_job(sandboxed(place, "Id,Price\nA,1.00\n", "1", feed=PRODUCTS))
    assert not report.sandbox
    assert report.counts == Counts(read=1, transactions=1, inserted=1)
    ids = "SELECT product_id FROM products"
    assert place.read(ids) == in_sandbox(place, ids) == [("A",)]


def test_refused_rows_are_kept_in_data_db_once(place: Place) -> None:
    faulty = f"{SALES}1,9,never,1.00,card\n"
    report = run_job(sandboxed(place, faulty, "1", feed=replace(FEED, max_fault_share=0.5)))
    assert report.counts.rejected == 1
    assert place.read("SELECT line, code FROM rejected_rows") == [(6, "date-unreadable")]
    assert in_sandbox(place, "SELECT * FROM rejected_rows") == []


@pytest.mark.parametrize("live", [(), ("1",)])
def test_rejected_file_is_on_record_in_both(place: Place, live: tuple[str, ...]) -> None:
    report = run_job(sandboxed(place, "Store\n1\n", *live))
    assert (report.outcome, report.sandbox) == ("rejected", not live)
    recorded = "SELECT outcome FROM deliveries"
    assert place.read(recorded) == in_sandbox(place, recorded) == [("rejected",)]


@pytest.mark.parametrize("live", [(), ("1",)])
def test_run_cut_off_between_the_two_is_finished_and_nothing_counted_twice(
    place: Place, live: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.store_connection.BUSY_TIMEOUT_MS", 50)
    job = sandboxed(place, SALES, *live, feed=LINED)
    with locked_elsewhere(place.data_db), pytest.raises(DataBusy):
        run_job(job)
    assert in_sandbox(place, "SELECT outcome FROM deliveries") == [("imported",)]
    assert place.read("SELECT outcome FROM deliveries") == []
    report = run_job(job)
    assert report.counts == Counts(read=4, transactions=4, inserted=4)
    assert report.child_rows == {"line_items": 4}
    assert len(place.read(KEYS)) + len(in_sandbox(place, KEYS)) == 4
    assert run_job(job) == report


def test_part_without_rows_marks_nothing_as_gone(place: Place) -> None:
    whole = replace(FEED, complete="day")
    run_job(place.job(SALES, feed=whole))
    report = run_job(sandboxed(place, SALES, seq=2, feed=whole))
    assert report.counts.gone == 0
    assert len(place.read("SELECT 1 FROM transactions WHERE gone_in IS NULL")) == 4


def test_price_list_may_lie_on_either_side(place: Place) -> None:
    run_job(place.job("Id,Price\nA,1.00\nB,2.00\n", feed=PRODUCTS))
    run_job(sandboxed(place, "Id,Price\nB,3.00\n", seq=2, feed=PRODUCTS))
    priced = replace(
        FEED,
        columns={"price": Lookup("products", "price", "Item")},
        sources={**FEED.sources, "total": FromColumn("price")},
    )
    content = "Store,No,When,Item,Card\n1,1,2026-01-05 13:08,A,x\n1,2,2026-01-05 13:08,B,x\n"
    report = run_job(sandboxed(place, content, seq=3, feed=priced))
    assert report.total_minor == 400


def test_warm_worker_goes_from_sandbox_to_live_and_back(place: Place) -> None:
    with closing(Worker()) as worker:
        for seq, job in enumerate((SALES, SALES, SALES), 1):
            made = place.job(job, seq) if seq == 2 else sandboxed(place, job, seq=seq)
            assert worker.run(made).outcome == "imported"
            worker.rest()
    assert len(place.read(KEYS)) == len(in_sandbox(place, KEYS)) == 4


def test_new_location_in_sandbox_is_noticed_there(place: Place) -> None:
    run_job(sandboxed(place, SALES))
    report = run_job(sandboxed(place, f"{HEADER}7,1,2026-01-05 13:08,1.00,card\n", seq=2))
    assert report.warning_counts == {"location-new": 1}
    run_job(sandboxed(place, SALES, seq=3))
    live = run_job(place.job(f"{HEADER}7,1,2026-01-05 13:08,1.00,card\n", seq=4))
    assert live.warning_counts == {}


# Figures that come of booking


def test_rows_marked_as_gone_are_counted(place: Place) -> None:
    feed = replace(FEED, complete="day")
    run_job(place.job(SALES, feed=feed))
    fewer = "".join(SALES.splitlines(keepends=True)[:-2])
    report = run_job(place.job(fewer, seq=2, feed=feed))
    assert (report.counts.unchanged, report.counts.gone) == (2, 1)


def test_id_used_again_a_year_later_is_said(place: Place) -> None:
    run_job(place.job(SALES))
    report = run_job(place.job(SALES.replace("2026-01", "2027-01"), seq=2))
    assert report.warning_counts == {"id-reuse-suspected": 1}
    assert report.faults[-1].seen == "4 ids"


def test_report_in_several_currencies_names_none_and_adds_nothing_up(place: Place) -> None:
    locations = {"2": {"zone": "", "currency": "JPY", "aliases": []}}
    report = run_job(place.job(SALES, locations=locations))
    assert (report.currency, report.total_minor, report.counts.transactions) == (None, 0, 4)
    content = f"{HEADER}2,9,2026-01-05 13:08,100,card\n"
    report = run_job(place.job(content, seq=2, locations=locations))
    assert (report.currency, report.total_minor) == ("JPY", 100)
