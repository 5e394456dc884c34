"""What is old enough goes from a database in small steps; undo and replay say what they miss."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.bookings import Sent, Till, copy_of_fresh
from tests.unit.test_store_orders import WITH_LINES
from tests.unit.test_undo import sale
from tilldrop.errors import DataDamaged
from tilldrop.importer import expiring
from tilldrop.importer.expiring import expire_refused, expire_versions, shorten_reports
from tilldrop.importer.worker import do_task
from tilldrop.rows import Counts, Fault, Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT = replace(WITH_LINES, history=True)
THEN, CUTOFF = "2026-01-05T13:00:00+00:00", "2026-02-01T00:00:00+00:00"
LATER = "2099-01-01T00:00:00+00:00"
OLD, OLD_TOO, NEW = "260105-130800-aaaaa", "260106-130800-aaaaa", "260301-130800-aaaaa"


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    till = Till(copy_of_fresh(tmp_path, "data.db"), None)
    yield till
    till.close()


def refuse(till: Till, delivery: str, customer: str = "acme", at: str = "", rows: int = 3) -> None:
    """Put in a run with refused records. at: when it ended, unless when the delivery began."""
    at = at or f"20{delivery[:2]}-{delivery[2:4]}-{delivery[4:6]}T13:08:01.000+00:00"
    report = Report(delivery, 1, "imported", faults=(Fault("id-empty", seen="Ada"),))
    data = till.store.connection
    data.add(
        "INSERT INTO deliveries (delivery, run, customer, arrival_seq, name, outcome, report, at)"
        " VALUES (?, 1, ?, 1, 'sales.csv', 'imported', ?, ?)",
        (delivery, customer, report.to_json(), at),
    )
    data.add(
        "INSERT INTO rejected_rows (customer, delivery, run, line, code, record)"
        " VALUES (?, ?, 1, ?, 'id-empty', 'Ada Lovelace')",
        *((customer, delivery, line) for line in range(2, 2 + rows)),
    )


def left(till: Till) -> dict[str, int]:
    till.close()
    return dict(till.read("SELECT delivery, count(*) FROM rejected_rows GROUP BY delivery"))


def test_refused_records_go_once_their_run_is_old_enough(till: Till) -> None:
    for delivery in (OLD, NEW):
        refuse(till, delivery)
    refuse(till, OLD_TOO, at="2026-02-03T00:00:00.000+00:00")  # replayed since
    assert expire_refused(till.store, {"": CUTOFF}).after is None
    assert left(till) == {OLD_TOO: 3, NEW: 3}


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ({"": None}, {OLD, OLD_TOO}),
        ({"": CUTOFF, "acme": None}, {OLD}),
        ({"": None, "acme": CUTOFF}, {OLD_TOO}),
        ({"": "2020-01-01T00:00:00+00:00", "acme": CUTOFF}, {OLD_TOO}),
    ],
)
def test_each_customer_has_its_own_term(
    till: Till, before: dict[str, str | None], kept: set[str]
) -> None:
    refuse(till, OLD, "acme")
    refuse(till, OLD_TOO, "bakery")
    expire_refused(till.store, before)
    assert left(till).keys() == kept


def test_many_refused_records_go_in_steps_of_which_none_is_large(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "ROWS_AT_ONCE", 4)
    monkeypatch.setattr(expiring, "DELIVERIES_AT_ONCE", 2)
    for day in range(10, 20):
        customer = "bakery" if day % 3 == 0 else "acme"
        refuse(till, f"2601{day}-130800-aaaaa", customer, rows=day % 7)
    after: str | None = ""
    steps = 0
    while after is not None:
        done = expire_refused(till.store, {"": CUTOFF, "bakery": None}, after)
        assert done.dropped <= 4
        after = done.after
        steps += 1
        assert steps < 50
    assert left(till) == {
        "260112-130800-aaaaa": 5,
        "260115-130800-aaaaa": 1,
        "260118-130800-aaaaa": 4,
    }


def test_versions_go_in_steps_and_that_they_went_is_remembered(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "ROWS_AT_ONCE", 2)
    for seq in (1, 2, 3):
        till.book(Sent(seq, KEPT, tuple(sale(f"{n}", seq, seq) for n in range(3))))
    till.store.connection.execute(f"UPDATE history SET at = '{THEN}' WHERE arrival_seq = 2")
    assert expire_versions(till.store, {"": CUTOFF, "acme": None}).dropped == 0
    assert expire_versions(till.store, {"": CUTOFF}).after == ""
    assert expire_versions(till.store, {"": CUTOFF}).after is None
    till.close()
    assert till.read("SELECT DISTINCT arrival_seq FROM history") == [(3,)]
    assert till.read("SELECT * FROM versions_dropped") == [("acme", 2, THEN)]


def test_undo_says_that_the_version_is_no_longer_kept_and_leaves_the_row(till: Till) -> None:
    first, second = (Sent(seq, KEPT, (sale("1", seq * 100, seq * 100),)) for seq in (1, 2))
    till.book(first)
    till.book(second)
    expire_versions(till.store, {"": LATER})
    undone = till.undo(second)
    assert (undone.restored, undone.removed) == (0, 0)
    [why] = undone.kept
    assert "no longer kept (limits.keep_history_days)" in why
    till.close()
    assert till.read("SELECT total_minor FROM transactions") == [(200,)]


def test_undo_of_what_came_after_the_dropped_versions_is_as_exact_as_ever(till: Till) -> None:
    sent = [Sent(seq, KEPT, (sale("1", seq * 100, seq * 100),)) for seq in (1, 2, 3)]
    till.book(sent[0])
    till.book(sent[1])
    expire_versions(till.store, {"": LATER})
    till.book(sent[2])
    undone = till.undo(sent[2])
    assert (undone.restored, undone.kept) == (1, ())
    till.close()
    assert till.read("SELECT total_minor, delivery FROM transactions") == [(200, "d2")]


@pytest.mark.parametrize("is_dropped", [False, True])
def test_replay_counts_rows_whose_version_is_no_longer_kept(
    till: Till, *, is_dropped: bool
) -> None:
    till.book(Sent(1, KEPT, (sale("1", 100, 100), sale("2", 100, 100))))
    second = Sent(2, KEPT, (sale("1", 200, 200), sale("2", 200, 200)))
    till.book(second)
    if is_dropped:
        expire_versions(till.store, {"": LATER})
    booked = till.book(replace(second, rows=second.rows[:1]), run=2)
    till.close()
    there = till.read("SELECT transaction_id, total_minor FROM transactions ORDER BY 1")
    assert there == ([("1", 200)] if is_dropped else [("1", 200), ("2", 100)])
    assert booked.lost == int(is_dropped)


def test_a_damaged_database_is_said_to_be_damaged_and_crashes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    path.write_bytes(b"no database at all" * 100)
    task = {"task": "expire", "what": "versions", "before": {"": CUTOFF}, "data_path": str(path)}
    with pytest.raises(DataDamaged):
        do_task(task)


def test_a_short_report_has_its_counts_and_no_word_of_the_file(till: Till) -> None:
    counts = Counts(read=9, rejected=1, inserted=8)
    fault = Fault("date-unreadable", 3, "Date", "Ada Lovelace")
    full = Report(OLD, 1, "imported", counts=counts, faults=(fault,), fault_count=1)
    refuse(till, OLD)
    till.store.connection.add("UPDATE deliveries SET report = ?", (full.to_json(),))
    assert shorten_reports(till.store, [OLD, NEW]) == 1
    assert shorten_reports(till.store, [OLD]) == 1  # again, after a crash
    found = till.store.report(OLD, 1)
    assert found == replace(full, faults=())
    till.close()
    [(text, inserted)] = till.read("SELECT report, report ->> '$.counts.inserted' FROM deliveries")
    assert "Ada" not in text
    assert inserted == 8
    assert len(text) < len(full.to_json()) / 2
