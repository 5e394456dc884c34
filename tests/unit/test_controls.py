"""Figures that a file declares: where they are found, what they are compared with, what follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.jobs import FEED, HEADER, Place
from tilldrop.importer.worker import run_job
from tilldrop.mapping import Control, Feed, Reading
from tilldrop.sources import FromColumn

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.rows import Report

LINES = "1,1,2026-01-05 13:08,10.50,card\n1,2,2026-01-05 13:09,-0.50,cash\n"
BOTH = "1,1,2026-01-05 13:08,10.50,card\n1,1,2026-01-05 13:08,1.00,cash\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def declared(*controls: Control, **changes: Any) -> Feed:
    reading = Reading(skip_lines="^T;", **changes)
    return replace(FEED, controls=controls, reading=reading)


RECORDS = Control("records", line=r"^T;(\d+);")
TRANSACTIONS = Control("transactions", line=r"^T;(\d+);")
TOTAL = Control("total", line=r"^T;\d+;(.*)$")


def verdict(report: Report) -> tuple[str, str | None, str]:
    return report.outcome, report.reason, report.reason_seen


@pytest.mark.parametrize("control", [RECORDS, TRANSACTIONS, TOTAL], ids=lambda one: one.figure)
def test_figure_that_agrees_lets_the_file_in(place: Place, control: Control) -> None:
    report = run_job(place.job(f"{HEADER}{LINES}T;2;10.00\n", feed=declared(control)))
    assert verdict(report) == ("imported", None, "")
    assert report.counts.inserted == 2


@pytest.mark.parametrize(
    ("control", "seen"),
    [
        (RECORDS, "records 3 declared, 2 found"),
        (TRANSACTIONS, "transactions 3 declared, 2 found"),
        (TOTAL, "total 10.01 declared, 10.00 found"),
    ],
    ids=lambda one: one.figure if isinstance(one, Control) else "",
)
def test_figure_that_differs_holds_the_file_and_books_nothing(
    place: Place, control: Control, seen: str
) -> None:
    report = run_job(place.job(f"{HEADER}{LINES}T;3;10.01\n", feed=declared(control)))
    assert verdict(report) == ("held", "control-differs", seen)
    assert (report.counts.read, report.counts.transactions, report.total_minor) == (2, 2, 1000)
    assert place.booked() == 0


def test_file_cut_short_is_held(place: Place) -> None:
    controls = (Control("records", line=r"^H;(\d+)"),)
    feed = replace(FEED, controls=controls, reading=Reading(header_line=2))
    report = run_job(place.job(f"H;3\n{HEADER}{LINES}", feed=feed))
    assert verdict(report) == ("held", "control-differs", "records 3 declared, 2 found")


def test_all_that_differs_is_told_at_once(place: Place) -> None:
    report = run_job(place.job(f"{HEADER}{LINES}T;3;9\n", feed=declared(RECORDS, TOTAL)))
    assert report.reason_seen == "records 3 declared, 2 found; total 9 declared, 10.00 found"


def test_operator_can_let_the_file_in(place: Place) -> None:
    job = place.job(f"{HEADER}{LINES}T;3;9\n", feed=declared(RECORDS))
    run_job(job)
    report = run_job(replace(job, run=2, accepts_controls=True))
    assert verdict(report) == ("imported", None, "")
    assert report.warning_counts == {"control-accepted": 1}
    assert place.booked() == 2


@pytest.mark.parametrize(
    ("trailer", "seen"),
    [("", "records"), ("T;\n", "records"), ("T;many;\n", "records many is not a number")],
)
def test_figure_that_is_not_there_holds_the_file(place: Place, trailer: str, seen: str) -> None:
    control = Control("records", line=r"^T;(\w*);?")
    report = run_job(place.job(HEADER + LINES + trailer, feed=declared(control)))
    assert verdict(report) == ("held", "control-missing", seen)


def test_figures_are_read_as_the_file_writes_numbers(place: Place) -> None:
    feed = declared(TOTAL, decimal=",", thousands=".", delimiter=";")
    content = "Store;No;When;Total;Card\n1;1;2026-01-05 13:08;1.234,50;x\nT;1;1.234,50 EUR\n"
    assert run_job(place.job(content, feed=feed)).outcome == "imported"


def test_figure_may_stand_in_the_file_name(place: Place) -> None:
    controls = (
        Control("total", file_name=r"_([\d.]+)\.csv$"),
        Control("records", file_name=r"_(\d+)_"),
    )
    feed = replace(FEED, controls=controls)
    job = place.job(HEADER + LINES, feed=feed, name="2026/sales_2_10.00.csv")
    assert run_job(job).outcome == "imported"
    report = run_job(replace(job, delivery="d2", name="sales_2_11.00.csv"))
    assert report.reason_seen == "total 11.00 declared, 10.00 found"


COMPANION = Control("records", companion="{stem}.ctl", match=r"count=(\d+)")


@pytest.mark.parametrize(
    "written",
    [b"count=2\r\n", b"\xef\xbb\xbfcount=2", "count=2".encode("utf-16"), b"caf\xe9\ncount=2\n"],
    ids=["utf-8", "mark", "utf-16", "latin-1"],
)
def test_figure_may_stand_in_a_companion(place: Place, tmp_path: Path, written: bytes) -> None:
    companion = tmp_path / "arrived" / "c1"
    companion.write_bytes(written)
    feed = replace(FEED, controls=(COMPANION,))
    job = place.job(HEADER + LINES, feed=feed, companion_path=str(companion))
    assert run_job(job).outcome == "imported"


def test_companion_that_has_not_come_is_named(place: Place) -> None:
    feed = replace(FEED, controls=(COMPANION,))
    report = run_job(place.job(HEADER + LINES, feed=feed, name="in/sales.csv"))
    assert verdict(report) == ("held", "companion-missing", "in/sales.ctl")


def test_refused_row_counts_as_a_row_but_leaves_the_total_unconfirmed(place: Place) -> None:
    content = f"{HEADER}{LINES}1,3,2026-01-05 13:09,?,cash\nT;3;12.00\n"
    feed = replace(declared(RECORDS, TRANSACTIONS), max_fault_share=0.5)
    assert run_job(place.job(content, feed=feed)).outcome == "imported"
    feed = replace(declared(RECORDS, TOTAL), max_fault_share=0.5)
    report = run_job(place.job(content, seq=2, feed=feed))
    assert verdict(report) == ("held", "control-differs", "total 12.00 declared, 10.00 found")


def test_file_with_too_many_faults_goes_back_whatever_it_declares(place: Place) -> None:
    content = f"{HEADER}1,3,2026-01-05 13:09,?,cash\nT;3;12.00\n"
    report = run_job(place.job(content, feed=declared(RECORDS)))
    assert (report.outcome, report.reason) == ("rejected", "too-many-faults")


def test_transactions_of_grouped_rows_are_counted_as_such(place: Place) -> None:
    sources = {**FEED.sources, "total": FromColumn("Total", "sum")}
    feed = replace(declared(TRANSACTIONS, TOTAL), rows="per-line", sources=sources)
    assert run_job(place.job(f"{HEADER}{BOTH}T;1;11.50\n", feed=feed)).outcome == "imported"
    report = run_job(place.job(f"{HEADER}{BOTH}T;2;11.50\n", seq=2, feed=feed))
    assert report.reason_seen == "transactions 2 declared, 1 found"


def test_yen_have_no_decimals(place: Place) -> None:
    content = f"{HEADER}1,1,2026-01-05 13:08,1050,card\nT;1;1050\n"
    job = place.job(content, feed=declared(TOTAL), currency="JPY")
    assert run_job(job).outcome == "imported"


def test_card_number_in_a_declared_figure_is_masked(place: Place) -> None:
    control = Control("records", file_name=r"_(\w+)\.csv")
    feed = replace(FEED, controls=(control,))
    job = place.job(HEADER + LINES, feed=feed, name="sales_4111111111111111.csv")
    assert "4111111111111111" not in run_job(job).to_json()
