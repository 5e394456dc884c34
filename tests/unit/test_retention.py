"""What is kept for a time goes by itself, in small steps, and never in an import's way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.unit.spine import Spine, claim_next, customer, spine
from tests.unit.test_visit import play, send
from tilldrop import ledger_forgetting, retention
from tilldrop.config_limits import OwnLimits
from tilldrop.delivery import Cause, State
from tilldrop.errors import LedgerFailed, WorkerLost
from tilldrop.importer import databases
from tilldrop.importer.worker import do_task
from tilldrop.ledger_reading import utcnow
from tilldrop.retention import EVERY_S, TROUBLE_S, Retention
from tilldrop.rows import Counts, Fault, Report
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.delivery import Delivery

STEPS_MOST = 100


class Worker:
    """Does tasks as the worker's process does, in this one. busy: how often it has no time."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.asked: list[dict[str, Any]] = []

    def try_task(self, what: dict[str, Any], _patience_s: float) -> dict[str, Any] | None:
        if self.busy:
            self.busy -= 1
            return None
        self.asked.append(what)
        return do_task(what)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spine]:
    """Two customers with an imported delivery each; bakery's is kept for good."""
    monkeypatch.setattr(retention, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(retention, "PAUSE_S", 0.0)
    monkeypatch.setattr(retention, "BUSY_S", 0.0)
    with spine(tmp_path, keep_reports_days=30, keep_rejected_days=30) as made:
        made.clock.at = utcnow()  # as the ids of deliveries are made
        ever = OwnLimits(keep_reports_days=0, keep_rejected_days=0)
        bakery = replace(customer("bakery"), limits=ever)
        made.configure({"acme": customer("acme"), "bakery": bakery})
        databases.prepare(made.config)
        for name in ("acme", "bakery"):

            async def scene(_visit: object, name: str = name) -> None:
                visit = made.visit(name)
                await send(visit, "sales.csv")
                await visit.end()

            play(made, scene)
            book(made, made.ledger.find(customer=name)[0])
        yield made


def book(base: Spine, delivery: Delivery) -> None:
    """Import a delivery as far as its reports go."""
    claimed = claim_next(base.ledger, Cause.WATCHDOG, lambda _: True)
    assert claimed is not None
    assert claimed.id == delivery.id
    fault = Fault("date-unreadable", 3, "Date", "Ada Lovelace")
    counts = Counts(read=3, rejected=1, inserted=2)
    report = Report(
        *(delivery.id, claimed.run, "imported"), counts=counts, faults=(fault,), fault_count=1
    )
    base.ledger.record_report(report).result()
    with closing(sqlite3.connect(base.config.paths.data)) as data:
        data.execute(
            "INSERT INTO deliveries (delivery, run, customer, arrival_seq, name, outcome, report,"
            " at) VALUES (?, ?, ?, ?, ?, 'imported', ?, ?)",
            (
                *(delivery.id, claimed.run, delivery.customer, delivery.arrival_seq),
                *(delivery.name, report.to_json(), base.clock().isoformat()),
            ),
        )
        data.execute(
            "INSERT INTO rejected_rows (customer, delivery, run, line, code, record)"
            " VALUES (?, ?, ?, 3, 'date-unreadable', 'Ada Lovelace')",
            (delivery.customer, delivery.id, claimed.run),
        )
        data.commit()


def walk(base: Spine, worker: Worker | None = None) -> None:
    """Do all steps of one walk."""
    keeper = Retention(base.ledger, worker or Worker(), lambda: base.config, base.clock)
    for _ in range(STEPS_MOST):
        if keeper.work() == EVERY_S:
            return
    raise AssertionError("the walk does not end")


def quoted(base: Spine) -> set[tuple[str, str]]:
    """Return where the person is still named: (customer, where)."""
    found = {
        (one.customer, "ledger")
        for one in base.ledger.find()
        if "Ada" in (base.ledger.report(one.id) or Report("", 0, "imported")).to_json()
    }
    with closing(sqlite3.connect(base.config.paths.data)) as data:
        for table in ("deliveries", "rejected_rows"):
            text = "report" if table == "deliveries" else "record"
            sql = f"SELECT customer FROM {table} WHERE {text} LIKE '%Ada%'"
            found |= {(name, table) for (name,) in data.execute(sql)}
    return found


BAKERYS = {("bakery", "ledger"), ("bakery", "deliveries"), ("bakery", "rejected_rows")}
ALL = BAKERYS | {("acme", where) for _, where in BAKERYS}


def test_what_is_young_enough_stays(base: Spine) -> None:
    base.clock.at += timedelta(days=29)
    worker = Worker()
    walk(base, worker)
    assert quoted(base) == ALL


def test_each_customers_records_go_when_its_own_term_ends(base: Spine) -> None:
    base.clock.at += timedelta(days=31)
    with structlog.testing.capture_logs() as events:
        walk(base)
        walk(base)
    assert quoted(base) == BAKERYS
    [said] = [event for event in events if event["event"] == "records.expired"]
    assert (said["refused"], said["versions"], said["reports"]) == (1, 0, 1)


def test_the_delivery_itself_stays_with_its_counts_and_may_be_replayed(base: Spine) -> None:
    base.clock.at += timedelta(days=31)
    walk(base)
    [delivery] = base.ledger.find(customer="acme")
    assert (delivery.state, delivery.name) == (State.IMPORTED, "sales.csv")
    assert base.ledger.moves(delivery.id) == []
    report = base.ledger.report(delivery.id)
    assert report is not None
    assert (report.counts.inserted, report.fault_count, report.faults) == (2, 1, ())
    base.ledger.move(delivery.id, State.IMPORTED, State.ARRIVED, Cause.REPLAY).result()
    again = claim_next(base.ledger, Cause.REPLAY, lambda _: True)
    assert again is not None
    assert again.run == delivery.run + 1  # else the worker would answer with the old report


def test_a_report_that_is_damaged_does_not_keep_the_others(base: Spine) -> None:
    [delivery] = base.ledger.find(customer="acme")
    base.ledger.submit(
        lambda connection: connection.execute(
            "INSERT INTO runs SELECT delivery, 2, ended_at, outcome, '{}' FROM runs"
            " WHERE delivery = ?",
            (delivery.id,),
        )
    ).result()
    base.clock.at += timedelta(days=31)
    walk(base)
    assert base.ledger.moves(delivery.id) == []
    first = base.ledger.report(delivery.id, 1)
    assert first is not None
    assert first.faults == ()


def test_what_is_replayed_just_now_keeps_its_story(base: Spine) -> None:
    base.clock.at += timedelta(days=31)
    [delivery] = base.ledger.find(customer="acme")
    base.ledger.move(delivery.id, State.IMPORTED, State.ARRIVED, Cause.REPLAY).result()
    assert ledger_forgetting.shorten(base.ledger, [delivery]) == 0
    walk(base)
    assert len(base.ledger.moves(delivery.id)) > 1


def test_a_crash_between_the_databases_and_the_ledger_is_made_up_for(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    base.clock.at += timedelta(days=31)

    def fail(*_: object) -> int:
        raise LedgerFailed("the disk")

    with monkeypatch.context() as broken:
        broken.setattr(ledger_forgetting, "shorten", fail)
        with pytest.raises(LedgerFailed):
            walk(base)
    assert quoted(base) == BAKERYS | {("acme", "ledger")}
    walk(base)
    assert quoted(base) == BAKERYS


def test_while_the_worker_has_no_time_nothing_is_forced_on_it(base: Spine) -> None:
    base.clock.at += timedelta(days=31)
    worker = Worker(busy=5)
    walk(base, worker)
    assert worker.busy == 0
    assert quoted(base) == BAKERYS


def test_after_trouble_the_walk_begins_anew_a_while_later(base: Spine) -> None:
    base.clock.at += timedelta(days=31)

    class Lost(Worker):
        def try_task(self, what: dict[str, Any], patience_s: float) -> dict[str, Any] | None:
            if not self.busy:
                return super().try_task(what, patience_s)
            self.busy -= 1
            raise WorkerLost("gone")

    keeper = Retention(base.ledger, Lost(busy=1), lambda: base.config, base.clock)
    with pytest.raises(WorkerLost):
        keeper.work()
    assert 0 < keeper.work() <= TROUBLE_S
    assert quoted(base) == ALL
    keeper._due_at = 0
    while keeper.work() < TROUBLE_S:
        pass
    assert quoted(base) == BAKERYS


def test_nothing_is_asked_of_the_worker_where_all_is_kept_for_good(base: Spine) -> None:
    limits = replace(
        base.config.limits, keep_rejected_days=0, keep_history_days=0, keep_reports_days=0
    )
    base.config = replace(base.config, limits=limits)
    base.clock.at += timedelta(days=10_000)
    worker = Worker()
    walk(base, worker)
    assert worker.asked == []
    assert quoted(base) == ALL
