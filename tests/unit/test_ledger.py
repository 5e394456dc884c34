from __future__ import annotations

import threading
from contextlib import closing, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.spine import Clock, claim_next
from tilldrop.delivery import FINISHED, MOVES, Cause, State
from tilldrop.errors import (
    DatabaseDamaged,
    LedgerBusy,
    LedgerFailed,
    MoveRefused,
    NoSuchDelivery,
    SchemaTooNew,
)
from tilldrop.ledger import Ledger
from tilldrop.ledger_keeping import bytes_older_than, gone_since
from tilldrop.ledger_reading import LedgerReader
from tilldrop.ledger_writing import WAL_KEPT_BYTES, _check_writable
from tilldrop.rows import Counts, Report
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db", now=clock)
    yield opened
    opened.close()


def arrive(ledger: Ledger, customer: str = "acme", name: str = "a.csv") -> str:
    delivery = ledger.begin(customer, name, "sftp").result()
    ledger.move(delivery.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE, size_bytes=1).result()
    return delivery.id


def claim(ledger: Ledger) -> str | None:
    claimed = claim_next(ledger, Cause.WATCHDOG, lambda _: True)
    return claimed.id if claimed else None


def report(ledger: Ledger, delivery_id: str, **fields: object) -> None:
    run = ledger.one(delivery_id).run
    made = Report(delivery_id, run, "imported", feed="sales", **fields)  # type: ignore[arg-type]
    ledger.record_report(made).result()


def test_arrival_seq_follows_the_order_of_acknowledgement(ledger: Ledger) -> None:
    first = ledger.begin("acme", "first.csv", "sftp").result()
    second = ledger.begin("acme", "second.csv", "sftp").result()
    for delivery in (second, first):
        ledger.move(delivery.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
    assert ledger.one(second.id).arrival_seq == 1
    assert ledger.one(first.id).arrival_seq == 2


def test_no_move_is_possible_that_the_table_does_not_name(ledger: Ledger) -> None:
    for before in State:
        for after in set(State) - MOVES[before]:
            with pytest.raises(MoveRefused):
                ledger.move("any", before, after, Cause.OPERATOR).result()


def test_a_move_from_another_state_changes_nothing(ledger: Ledger) -> None:
    delivery_id = arrive(ledger)
    with pytest.raises(MoveRefused, match="is arrived, not receiving"):
        ledger.move(delivery_id, State.RECEIVING, State.BROKEN, Cause.LOST).result()
    assert ledger.one(delivery_id).state is State.ARRIVED
    assert [m.after for m in ledger.moves(delivery_id)] == [State.RECEIVING, State.ARRIVED]


def test_a_refused_change_leaves_the_others_of_its_commit_alone(ledger: Ledger) -> None:
    blocked = threading.Event()
    ledger.submit(lambda _: blocked.wait(10))  # holds the writer: what follows is one group
    good = ledger.begin("acme", "good.csv", "sftp")
    bad = ledger.move("nobody", State.ARRIVED, State.HELD, Cause.OPERATOR)
    also_good = ledger.begin("acme", "also.csv", "sftp")
    blocked.set()
    assert good.result().name == "good.csv"
    assert also_good.result().name == "also.csv"
    with pytest.raises(NoSuchDelivery):
        bad.result()


def test_a_bug_in_one_change_does_not_stop_the_writer(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        ledger.submit(lambda _: 1 // 0).result()
    assert arrive(ledger)


def test_each_customer_is_served_in_order_and_one_at_a_time(ledger: Ledger) -> None:
    a1, a2 = arrive(ledger, "a"), arrive(ledger, "a")
    b1 = arrive(ledger, "b")
    assert claim(ledger) == a1
    assert claim(ledger) == b1  # a is busy
    assert claim(ledger) is None
    report(ledger, a1)
    assert claim(ledger) == a2


def test_a_customer_with_a_long_queue_does_not_starve_another(ledger: Ledger) -> None:
    bulk = [arrive(ledger, "bulk") for _ in range(3)]
    small = arrive(ledger, "small")
    served = []
    for _ in range(3):
        served.append(claim(ledger))
        report(ledger, str(served[-1]))
    assert served == [bulk[0], small, bulk[1]]


def test_a_waiting_retry_holds_back_later_deliveries_of_that_customer(
    ledger: Ledger, clock: Clock
) -> None:
    first, _second = arrive(ledger), arrive(ledger)
    assert claim(ledger) == first
    due = clock.at + timedelta(minutes=5)
    ledger.move(
        first, State.IMPORTING, State.ARRIVED, Cause.CRASH, not_before=due, attempts=1
    ).result()
    assert claim(ledger) is None
    assert ledger.next_attempt_at() == due
    clock.at = due
    assert claim(ledger) == first


def test_a_delivery_whose_file_is_not_in_place_blocks_only_its_customer(ledger: Ledger) -> None:
    late, other = arrive(ledger, "a"), arrive(ledger, "b")
    claimed = claim_next(ledger, Cause.WATCHDOG, lambda delivery_id: delivery_id != late)
    assert claimed is not None
    assert claimed.id == other


def test_a_replay_keeps_its_place_in_the_order(ledger: Ledger) -> None:
    old, new = arrive(ledger), arrive(ledger)
    for delivery_id in (old, new):
        claim(ledger)
        report(ledger, delivery_id)
    ledger.move(old, State.IMPORTED, State.ARRIVED, Cause.REPLAY).result()
    replayed = ledger.one(old)
    assert replayed.arrival_seq == 1
    assert claim(ledger) == old
    assert ledger.one(old).run == 2


def test_a_lost_attempt_and_the_next_are_the_same_run(ledger: Ledger) -> None:
    delivery_id = arrive(ledger)
    claim(ledger)
    ledger.move(delivery_id, State.IMPORTING, State.ARRIVED, Cause.CRASH, attempts=1).result()
    claim(ledger)
    assert ledger.one(delivery_id).run == 1


def test_the_report_is_kept_for_each_run(ledger: Ledger) -> None:
    delivery_id = arrive(ledger)
    claim(ledger)
    report(ledger, delivery_id, counts=Counts(read=7), total_minor=-5)
    stored = ledger.report(delivery_id)
    assert stored is not None
    assert (stored.counts.read, stored.total_minor) == (7, -5)
    assert ledger.latest_import("acme", "sales") == ledger.one(delivery_id)


def test_finished_states_are_those_that_can_be_replayed() -> None:
    ended = {before for before in State if MOVES[before] <= {State.ARRIVED, State.REJECTED}}
    assert ended == FINISHED | {State.HELD}


def test_a_lock_held_by_another_program_is_named_and_passes(tmp_path: Path, ledger: Ledger) -> None:
    ledger._connection.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusy):
        ledger.begin("acme", "a.csv", "sftp").result()
    other.execute("ROLLBACK")
    other.close()
    assert ledger.begin("acme", "a.csv", "sftp").result().state is State.RECEIVING


def test_what_was_answered_is_there_for_another_process(tmp_path: Path, ledger: Ledger) -> None:
    delivery_id = arrive(ledger)
    beside = LedgerReader(tmp_path / "ledger.db")
    assert beside.one(delivery_id).state is State.ARRIVED
    assert beside.count_by_state() == {State.ARRIVED: 1}
    beside.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.db").close()
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('ledger', '999', '2030-01-01')"
        )
    connection.close()
    with pytest.raises(SchemaTooNew, match="999"):
        Ledger(tmp_path / "ledger.db")


def test_a_damaged_ledger_is_said_and_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(DatabaseDamaged, match="restore it from a backup"):
        Ledger(path)
    assert path.read_bytes().startswith(b"this is no database")


def test_what_is_asked_often_is_searched_by_index(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        arrive(ledger, f"customer{number % 5}")
    plans: list[str] = []
    rows = ledger.rows

    def explained(sql: str, parameters: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        plan = rows(f"EXPLAIN QUERY PLAN {sql}", parameters)
        plans.append(" ".join(step for *_, step in plan))
        return rows(sql, parameters)

    monkeypatch.setattr(ledger, "rows", explained)
    [delivery, *_] = ledger.find(limit=1)
    ledger.with_receipt("customer1", 10)
    for state in (State.BROKEN, State.IMPORTED):
        bytes_older_than(ledger, state, delivery.changed_at, delivery, 10)
    gone_since(ledger, None, None, 10)
    ledger.is_empty()
    ledger.in_state(State.WAITING)
    ledger.unfinished("customer1", "a.csv")
    ledger.latest_accepted("customer1", "a.csv")
    assert len(plans) == 10
    wanted = ("told", "never_renamed", "kept", "kept", "gone")
    for plan, index in zip(plans[1:], wanted, strict=False):
        assert f"deliveries_{index}" in plan
    sorted_anew = [plan for plan in plans if "TEMP B-TREE FOR ORDER BY" in plan]
    assert len(sorted_anew) == 1
    assert "deliveries_unfinished" in sorted_anew[0]  # few


def test_the_queue_is_searched_by_index(ledger: Ledger) -> None:
    for number in range(50):
        arrive(ledger, f"customer{number % 5}")
    plan = " ".join(
        row[3]
        for row in ledger.rows(
            "EXPLAIN QUERY PLAN SELECT id FROM deliveries"
            " WHERE state IN ('arrived', 'importing') AND customer = 'customer1'"
            " ORDER BY arrival_seq LIMIT 1"
        )
    )
    assert "deliveries_queue" in plan
    assert "TEMP B-TREE" not in plan


def test_a_ledger_that_is_gone_is_not_begun_anew(ledger: Ledger) -> None:
    known = arrive(ledger)
    away = ledger.path.rename(ledger.path.with_name("away"))
    ledger._connection.close()  # as after a commit that failed
    for _ in range(2):
        with pytest.raises(LedgerFailed):
            ledger.begin("acme", "b.csv", "sftp").result()
    assert not ledger.path.exists()
    away.rename(ledger.path)
    with suppress(LedgerFailed):  # the first finds that it may be opened again
        ledger.begin("acme", "c.csv", "sftp").result()
    ledger.begin("acme", "d.csv", "sftp").result()
    assert ledger.one(known).state is State.ARRIVED


def test_a_ledger_opened_for_reading_alone_is_not_taken_for_writing(
    ledger: Ledger,
) -> None:
    _check_writable(sqlite3.connect(ledger.path, isolation_level=None))
    uri = f"{ledger.path.absolute().as_uri()}?mode=ro"
    reading = sqlite3.connect(uri, uri=True, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        _check_writable(reading)


def test_the_log_gives_back_what_it_grew_by_while_somebody_read(ledger: Ledger) -> None:
    log = ledger.path.with_name("ledger.db-wal")

    def write(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS written (bytes)")
        connection.execute("INSERT INTO written VALUES (zeroblob(4 * 1024 * 1024))")

    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM deliveries").fetchall()
        for _ in range(4):
            ledger.submit(write).result()
        assert log.stat().st_size > WAL_KEPT_BYTES
    for _ in range(2):  # the first moves the log into the file, the second begins it anew
        arrive(ledger)
    assert log.stat().st_size <= WAL_KEPT_BYTES
