"""Small files that share a commit end as if they had been imported one after the other."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.jobs import FEED, HEADER, Place, sales
from tests.unit.test_supervisor import supervised
from tilldrop.errors import WorkerLost
from tilldrop.importer import store_together
from tilldrop.importer.store import Store
from tilldrop.importer.worker import Worker, run_job
from tilldrop.mapping import Feed
from tilldrop.mapping import Section as ChildSection
from tilldrop.sources import FromColumn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tilldrop.rows import Job, Report

LINED = replace(FEED, sections=(ChildSection("line_items", {"amount": FromColumn("Total")}),))
FEEDS = {
    "plain": FEED,
    "with lines": LINED,
    "grouped": replace(LINED, rows="per-line"),
    "with history": replace(FEED, history=True),
    "complete": replace(FEED, complete="day"),
    "extra": replace(FEED, extra="all"),
}
TABLES = (
    *("transactions", "line_items", "rejected_rows", "history", "claims", "stated"),
    *("feed_layouts", "seen_values", "column_sets", "customers"),
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return made(tmp_path)


def made(folder: Path) -> Place:
    folder.mkdir(exist_ok=True)
    return Place.make(folder)


def run_all(jobs: list[Job]) -> list[Report]:
    with closing(Worker()) as worker:
        reports = worker.run_all(jobs)
        worker.rest()
        return reports


def file_of(chance: random.Random, first: int) -> str:
    """Write a till's file: mostly new sales, some sent before, some faulty, now and then odd."""
    if chance.random() < 0.1:
        return chance.choice(["", HEADER, "Shop,Id\n1,2\n", HEADER + '1,"5,x\n'])
    header = HEADER.rstrip() + chance.choice(["\n", "\n", ",Note\n"])
    tail = ",n" if "Note" in header else ""
    lines = []
    for number in range(first, first + chance.randint(1, 12)):
        total = chance.choice(["1.00"] * 30 + ["?", "-2.50"])
        till, card = chance.randint(1, 4), chance.choice(["card", "cash", "coupon"])
        lines.append(f"{till},{number},2026-01-05 13:08,{total},{card}{tail}\n")
    return header + "".join(lines)


def told(report: Report) -> Report:
    return replace(report, took_ms=0)


def content(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    """Read all but the times at which it was written."""
    found = {}
    for table in TABLES:
        names = [row[1] for row in place.read(f"PRAGMA table_info({table})") if row[1] != "at"]
        found[table] = sorted(place.read(f"SELECT {', '.join(names)} FROM {table}"), key=repr)
    columns = "delivery, run, arrival_seq, outcome, set_id"
    return found | {"deliveries": place.read(f"SELECT {columns} FROM deliveries ORDER BY 1")}


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
@pytest.mark.parametrize("step", [13, 2], ids=["all rows are new", "rows come again"])
def test_files_end_as_if_imported_one_after_the_other(
    tmp_path: Path, feed: Feed, step: int
) -> None:
    chance = random.Random(f"{feed}{step}")
    files = [file_of(chance, number * step) for number in range(15)] + [HEADER]
    alone, shared = made(tmp_path / "alone"), made(tmp_path / "shared")
    one_by_one = [told(run_job(alone.job(text, n + 1, feed))) for n, text in enumerate(files)]
    jobs = [shared.job(text, n + 1, feed) for n, text in enumerate(files)]
    together = [told(one) for group in (jobs[:3], jobs[3:13], jobs[13:]) for one in run_all(group)]
    assert together == one_by_one
    assert content(shared) == content(alone)
    assert {one.outcome for one in together} == {"imported", "rejected"}


def test_new_rows_of_several_files_are_one_statement(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked: list[int] = []
    insert = store_together._insert

    def counted(*given: Any) -> None:
        insert(*given)
        booked.append(len(given[1]))

    monkeypatch.setattr(store_together, "_insert", counted)
    monkeypatch.setattr(Store, "book", None)  # which would book them one by one
    jobs = [place.job(sales(3).replace("\n1,", f"\n{n},"), n) for n in range(1, 6)]
    assert [report.counts.inserted for report in run_all(jobs)] == [3] * 5
    assert booked == [5]


def test_what_a_file_says_first_is_no_news_in_the_next_of_the_same_commit(place: Place) -> None:
    run_job(place.job(HEADER + "1,1,2026-01-05 13:08,1.00,card\n", 1))
    files = [f"{till},9,2026-01-05 13:08,1.00,card\n" for till in (2, 3, 4, 5, 6, 7, 8, 2)]
    reports = run_all([place.job(HEADER + text, n) for n, text in enumerate(files, 2)])
    assert ["location-new" in one.warning_counts for one in reports] == [True] * 7 + [False]


def test_runs_that_were_committed_before_are_not_done_again(place: Place) -> None:
    jobs = [place.job(sales(3).replace("\n1,", f"\n{n},"), n) for n in range(1, 5)]
    before = run_all(jobs[1:3])
    again = run_all(jobs)
    assert again[1:3] == before
    assert place.booked() == 12


def odd_one(place: Place) -> Job:
    """Return the job of a file that is larger than it seems: 200 KB once it is unpacked."""
    import gzip  # noqa: PLC0415  for this one alone

    return place.job(gzip.compress(sales(9_000).encode()), 2, name="sales.csv.gz")


def another_run(place: Place) -> Job:
    """Return the job of a first run of which a second was booked: the ledger was restored."""
    run_job(place.job(sales(2), 2, run=2))
    return place.job(sales(2), 2)


@pytest.mark.parametrize("odd", [odd_one, another_run])
def test_what_cannot_share_a_commit_is_imported_by_itself(
    place: Place, monkeypatch: pytest.MonkeyPatch, odd: Callable[[Place], Job]
) -> None:
    alone: list[str] = []
    run_it = Worker.run

    def noted(of: Worker, job: Job) -> Report:
        alone.append(job.delivery)
        return run_it(of, job)

    monkeypatch.setattr(Worker, "run", noted)
    middle = odd(place)
    alone.clear()
    first, last = (place.job(sales(1).replace("\n1,", f"\n{n},"), n) for n in (1, 3))
    assert [one.outcome for one in run_all([first, middle, last])] == ["imported"] * 3
    assert alone == ["d1", "d2", "d3"]


def test_nothing_is_booked_if_one_of_them_fails(place: Place) -> None:
    jobs = [place.job(sales(3).replace("\n1,", f"\n{n},"), n) for n in range(1, 4)]
    lost = replace(jobs[2], path=str(place.root / "gone"))
    with pytest.raises(FileNotFoundError):
        run_all([*jobs[:2], lost])
    assert place.booked() == 0
    assert len(run_all(jobs)) == 3


def test_the_worker_answers_several_jobs_at_once(place: Place) -> None:
    jobs = [place.job(sales(3).replace("\n1,", f"\n{n},"), n) for n in range(1, 5)]
    with supervised(place) as supervisor:
        assert [one.delivery for one in supervisor.run_all(jobs)] == ["d1", "d2", "d3", "d4"]
        with pytest.raises(WorkerLost, match="No such file"):
            supervisor.run_all([replace(jobs[0], delivery="d9", path=str(place.root / "gone"))])
        assert supervisor.run(place.job(sales(1), 5)).counts.unchanged == 1
    assert place.booked() == 12
