"""The order in which ledger and spool give a customer up; what keeps a shopper away."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import replace
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.spine import Spine, claim_next, customer, spine
from tests.unit.test_visit import break_off, play, send
from tilldrop import ledger_forgetting, removals
from tilldrop.delivery import Cause, State
from tilldrop.errors import CustomerBusy, MoveRefused, UsageWrong, WorkerLost
from tilldrop.importer import databases
from tilldrop.importer.schema import migrate
from tilldrop.rows import Fault, Report
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tilldrop.visit import Visit


class Worker:
    """Stands for the worker's process: notes what it is asked, or is lost."""

    def __init__(self, *, is_lost: bool = False) -> None:
        self.is_lost = is_lost
        self.asked: list[dict[str, Any]] = []

    def task(self, what: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(what)
        if self.is_lost:
            raise WorkerLost("gone")
        return {"rows": {"transactions": 2}, "erased": {"shoppers": 1}, "rewritten": True}


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        made.configure({name: customer(name) for name in ("acme", "rival")})

        async def scene(visit: Visit) -> None:
            await send(visit, "arrived.csv")
            await send(visit, "waiting.csv.part")
            await break_off(visit, "broken.csv", b"half")
            rival = made.visit("rival")
            await send(rival, "arrived.csv")
            await rival.end()

        play(made, scene)
        yield made


def remove(built: Spine, worker: Worker) -> dict[str, Any]:
    paths = [built.config.paths.sandbox, built.config.paths.data]
    return removals.remove_customer(built.ledger, built.spool, worker, paths, "acme")


def files(built: Spine) -> int:
    spool = built.spool
    return sum(len(spool.strays(each)) for each in (spool.receiving, spool.arrived, spool.kept))


def test_removal_takes_every_state_and_leaves_the_others(built: Spine) -> None:
    worker = Worker()
    done = remove(built, worker)
    assert (done["deliveries"], done["files"], done["rows"]) == (3, 3, {"transactions": 4})
    assert [task["customer"] for task in worker.asked] == ["acme", "acme"]
    assert built.ledger.find(customer="acme") == []
    assert [one.state for one in built.ledger.find(customer="rival")] == [State.ARRIVED]
    assert files(built) == 1
    for table in ("moves", "runs"):
        sql = f"SELECT count(*) FROM {table} WHERE delivery NOT IN (SELECT id FROM deliveries)"
        assert built.ledger.rows(sql) == [(0,)]
    assert remove(built, worker)["deliveries"] == 0


def test_removal_that_lost_its_worker_is_done_again(built: Spine) -> None:
    with pytest.raises(WorkerLost):
        remove(built, Worker(is_lost=True))
    assert len(built.ledger.find(customer="acme")) == 3
    assert claim_next(built.ledger, Cause.SCAN, lambda _: True).customer == "rival"  # type: ignore[union-attr]
    assert remove(built, Worker())["deliveries"] == 3


@pytest.mark.parametrize("state", [State.RECEIVING, State.IMPORTING])
def test_customer_with_work_in_hand_is_not_removed(built: Spine, state: State) -> None:
    if state is State.RECEIVING:
        built.ledger.begin("acme", "now.csv", "sftp").result()
    else:
        claim_next(built.ledger, Cause.SCAN, lambda _: True)
    before = files(built)
    with pytest.raises(CustomerBusy):
        remove(built, Worker())
    assert files(built) == before


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_what_is_claimed_while_the_customer_is_put_aside_keeps_its_bytes(
    built: Spine, monkeypatch: pytest.MonkeyPatch, looks: int
) -> None:
    rows, look = built.ledger.rows, count(1)
    claimed: list[str] = []

    def look_and_claim(sql: str, parameters: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        found = rows(sql, parameters)
        if next(look) == looks:
            one = claim_next(built.ledger, Cause.SCAN, lambda _: True)
            claimed.extend([one.id] if one and one.customer == "acme" else [])
        return found

    monkeypatch.setattr(built.ledger, "rows", look_and_claim)
    with suppress(CustomerBusy):
        remove(built, Worker())
        assert not claimed
    assert all(built.spool.is_arrived(each) for each in claimed)


def erase(built: Spine, *drop: str) -> dict[str, Any]:
    beneath = (built.ledger, built.spool, Worker(), [built.config.paths.data])
    return removals.erase_shopper(*beneath, "acme", "C-1", ["C-1"], drop)


def test_only_ones_own_files_at_rest_are_dropped(built: Spine) -> None:
    (broken,) = built.ledger.find(customer="acme", state=State.BROKEN)
    (arrived,) = built.ledger.find(customer="acme", state=State.ARRIVED)
    (rivals,) = built.ledger.find(customer="rival")
    for _ in range(2):
        assert erase(built, broken.id)["dropped"] == [broken.id]
    assert built.ledger.one(broken.id).bytes_gone_at is not None
    with pytest.raises(MoveRefused):
        erase(built, arrived.id)
    with pytest.raises(UsageWrong):
        erase(built, rivals.id)
    assert files(built) == 3


def test_report_that_is_made_already_and_recorded_later_does_not_mention_the_person(
    built: Spine,
) -> None:
    claimed = claim_next(built.ledger, Cause.SCAN, lambda _: True)
    assert claimed is not None
    fault = Fault("time-unreadable", line=2, field="Time", seen="C-1")
    report = Report(claimed.id, 1, "imported", faults=(fault,))
    erase(built)
    built.ledger.record_report(report).result()
    assert "C-1" not in built.ledger.report(claimed.id).to_json()  # type: ignore[union-attr]
    assert built.ledger.unsaid == {}


def test_reports_of_many_deliveries_are_cleaned_step_by_step(
    built: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_forgetting, "REPORTS_AT_ONCE", 2)
    fault = Fault("time-unreadable", line=2, field="Time", seen="C-1")
    reported = []
    for who in ("acme", "acme", "rival", "acme", "acme"):
        begun = built.ledger.begin(who, "sales.csv", "sftp").result()
        for before, after in pairwise((State.RECEIVING, State.ARRIVED, State.IMPORTING)):
            built.ledger.move(begun.id, before, after, Cause.CLOSE).result()
        built.ledger.record_report(Report(begun.id, 1, "imported", faults=(fault,))).result()
        reported.append((who, begun.id))
    assert ledger_forgetting.erase_mentions(built.ledger, "acme", ["C-1"]) == 4
    reports = [(who, built.ledger.report(each)) for who, each in reported]
    named = [who for who, report in reports if report is None or "C-1" in report.to_json()]
    assert named == ["rival"]


def test_new_sandbox_knows_who_was_erased_before(built: Spine) -> None:
    paths = built.config.paths
    migrate(paths.data)
    with closing(sqlite3.connect(paths.data, isolation_level=None)) as connection:
        row = ("acme", "hash", "salt", "2026-11-21")
        connection.execute("INSERT INTO erased_shoppers VALUES (?, ?, ?, ?)", row)
    feeds = tuple(replace(each, mode="sandbox") for each in customer().feeds)
    built.configure({"acme": replace(customer(), feeds=feeds)})
    migrate(paths.sandbox)  # as a power failure may leave it
    databases.prepare(built.config)
    databases.prepare(built.config)
    with closing(sqlite3.connect(paths.sandbox)) as connection:
        assert connection.execute("SELECT * FROM erased_shoppers").fetchall() == [row]
