"""A run from bytes to report, for feeds that say more than the plain ones; and tasks beside it."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.jobs import FEED, HEADER, Place, locked_elsewhere, sales
from tests.unit.test_supervisor import supervised
from tests.unit.test_worker import child, patched
from tilldrop.config import ImporterSettings
from tilldrop.errors import DataBusy, WorkerLost
from tilldrop.importer import careful, fast, run
from tilldrop.importer.worker import do_task, run_job
from tilldrop.mapping import Feed, Reading, Section
from tilldrop.rows import Counts
from tilldrop.sources import Constant, FromColumn, Sql

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


STOCK = Feed(
    name="stock",
    files=("stock.csv",),
    rows="per-transaction",
    max_fault_share=0.1,
    reading=Reading(),
    table="stock_levels",
    sources={
        "location_id": FromColumn("Shop"),
        "product_id": FromColumn("Item"),
        "quantity": FromColumn("Left"),
    },
)


def test_records_left_out_are_counted_apart_and_do_not_dilute_the_faults(place: Place) -> None:
    # One faulty record of two that count is half of them, not a sixth.
    void = "1,9,2026-01-05 13:08,void,x\n" * 4
    feed = replace(FEED, skip={"Card": ("x",)})
    report = run_job(place.job(sales(2, faulty=1) + void, feed=feed))
    assert (report.outcome, report.reason_seen) == ("rejected", "50 %")
    assert (report.counts.read, report.counts.skipped, report.counts.rejected) == (6, 4, 1)


def test_file_of_which_all_is_left_out_is_imported_empty_and_that_is_said(place: Place) -> None:
    feed = replace(FEED, only={"Card": ("cash",)})
    report = run_job(place.job(sales(3), feed=feed))
    assert report.outcome == "imported"
    assert report.counts == Counts(read=3, skipped=3)
    assert [one.seen for one in report.faults] == ["all 3 rows are such as the mapping leaves out"]


def test_master_file_is_told_by_its_table_and_counted_like_sales(place: Place) -> None:
    content = "Shop,Item,Left\n1,A,5\n1,B,2.5\n1,A,4\n"
    report = run_job(place.job(content, feed=STOCK, name="stock.csv"))
    assert (report.table, report.outcome) == ("stock_levels", "imported")
    assert report.counts == Counts(read=3, repeated=1, transactions=2, inserted=2)
    assert place.read("SELECT product_id, quantity_milli FROM stock_levels") == [
        ("A", 4000),
        ("B", 2500),
    ]


def test_feed_without_a_total_is_reconciled_by_its_rows(place: Place) -> None:
    tenders = Section("tenders", {"method": FromColumn("Card"), "amount": FromColumn("Total")})
    sources = {name: FEED.sources[name] for name in ("location_id", "transaction_id")}
    feed = replace(FEED, partial=True, sources=sources, sections=(tenders,))
    report = run_job(place.job(sales(3), feed=feed))
    assert (report.outcome, report.total_minor) == ("imported", 0)
    assert report.counts == Counts(read=3, transactions=3, inserted=3)
    assert report.child_rows == {"tenders": 3}


def losing(con: DuckDBPyConnection, *rest: Any) -> Any:
    """Lose a row after it was counted."""
    staged = STAGE(con, *rest)
    con.execute("CREATE OR REPLACE TEMP TABLE fewer AS FROM staged LIMIT 1")
    views = con.execute(
        "SELECT count(*) FROM duckdb_views() WHERE view_name = 'staged' AND NOT internal"
    ).fetchall()
    con.execute(f"DROP {'VIEW' if views[0][0] else 'TABLE'} staged")
    con.execute("CREATE TEMP TABLE staged AS FROM fewer")
    return staged


STAGE = careful.stage


@pytest.mark.parametrize(
    ("feed", "content"),
    [
        (STOCK, "Shop,Item,Left\n1,A,5\n1,B,2.5\n"),
        (replace(FEED, sections=(Section("taxes", {"amount": Constant("1")}),)), sales(3)),
        (replace(FEED, skip={"Card": ("x",)}), sales(3)),
    ],
    ids=["master", "children", "skip"],
)
def test_row_lost_on_the_way_books_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, feed: Feed, content: str
) -> None:
    monkeypatch.setattr(run, "SMALL_BYTES", -1)
    monkeypatch.setattr(fast, "stage", lambda *_: None)
    monkeypatch.setattr(careful, "stage", losing)
    report = run_job(place.job(content, feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "counts-disagree")
    assert place.read(f"SELECT count(*) FROM {feed.table}") == [(0,)]


def test_expression_takes_the_careful_lane_and_plain_feeds_the_fast_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SMALL_BYTES", -1)
    feed = replace(FEED, columns={"till": Sql("Card || '!'", ("Card",))})
    feed = replace(feed, sources={**FEED.sources, "register_id": FromColumn("till")})
    assert run_job(place.job(sales(2))).lane == "fast"
    assert run_job(place.job(sales(2), seq=2, feed=feed)).lane == "careful"
    assert place.read("SELECT DISTINCT register_id FROM transactions") == [("card!",)]


def test_expression_that_eats_memory_costs_the_worker_and_not_the_machine(place: Place) -> None:
    grown = "Card"
    for _ in range(8):
        grown = f"replace({grown}, 'x', 'xxxxxxxxxx')"
    feed = replace(FEED, columns={"till": Sql(grown, ("Card",))})
    feed = replace(feed, sources={**FEED.sources, "register_id": FromColumn("till")})
    settings = ImporterSettings(memory_bytes=400 * 1024**2)
    with supervised(place, settings) as supervisor:
        with pytest.raises(WorkerLost, match="MiB of memory"):
            supervisor.run(place.job(f"{HEADER}1,1,2026-01-05 13:08,1.00,{'x' * 50}\n", feed=feed))
        assert supervisor.run(place.job(sales(3), seq=2)).counts.inserted == 3


def test_column_that_an_expression_needs_is_missed_by_its_own_name(place: Place) -> None:
    feed = replace(FEED, columns={"till": Sql("Terminal || 'x'", ("Terminal",))})
    feed = replace(feed, sources={**FEED.sources, "register_id": FromColumn("till")})
    report = run_job(place.job(sales(2), feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "header-lacks")
    assert report.reason_seen.startswith("Terminal (expected: ")


def test_packed_file_is_unpacked_within_its_limits(place: Place) -> None:
    packed = gzip.compress((HEADER + "1,1,2026-01-05 13:08,1.00,card\n" * 2_000_000).encode())
    report = run_job(place.job(packed, max_unpacked_bytes=10_000_000))
    assert (report.outcome, report.reason) == ("rejected", "unpacked-too-large")
    assert report.size_bytes == len(packed)


# Tasks


def undo(place: Place, seq: int, **changes: object) -> dict[str, object]:
    return {
        "task": "undo",
        "data_path": str(place.data_db),
        "customer": "acme",
        "delivery": f"d{seq}",
        "arrival_seq": seq,
        "elsewhere": 0,
        "ends_replay": False,
        **changes,
    }


def test_undo_takes_back_what_a_delivery_made(place: Place) -> None:
    run_job(place.job(sales(2)))
    run_job(place.job(sales(3), seq=2))
    done = do_task(undo(place, 2))
    assert (done["removed"], tuple(done["kept"])) == (1, ())
    assert place.booked() == 2


def test_child_does_tasks_between_jobs(place: Place) -> None:
    with child(place.lock) as one:
        one.hear()
        one.ask(place.job(sales(2)))
        one.stdin.write(json.dumps(undo(place, 1)).encode() + b"\n")
        one.stdin.flush()
        assert one.hear()["done"]["removed"] == 2
        assert place.booked() == 0
        assert one.ask(place.job(sales(4), seq=2))["report"]["counts"]["inserted"] == 4


def test_child_says_that_data_db_is_busy_to_a_task_too(place: Place) -> None:
    with child(place.lock, *patched("store_connection.BUSY_TIMEOUT_MS = 50")) as one:
        one.hear()
        one.ask(place.job(sales(2)))
        with locked_elsewhere(place.data_db):
            one.stdin.write(json.dumps(undo(place, 1)).encode() + b"\n")
            one.stdin.flush()
            assert one.hear() == {"error": "data-busy"}
        assert place.booked() == 2


def test_unknown_task_is_a_crash_and_not_the_end_of_the_child(place: Place) -> None:
    with child(place.lock) as one:
        one.hear()
        one.stdin.write(json.dumps(undo(place, 1, task="forget")).encode() + b"\n")
        one.stdin.flush()
        assert "ValueError: forget" in one.hear()["crash"]
        assert one.ask(place.job(sales(1)))["report"]["outcome"] == "imported"


def test_locked_database_is_no_bug_of_a_task(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilldrop.importer.store_connection.BUSY_TIMEOUT_MS", 50)
    run_job(place.job(sales(2)))
    with locked_elsewhere(place.data_db), pytest.raises(DataBusy):
        do_task(undo(place, 1))
