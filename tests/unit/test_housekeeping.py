"""What the last end left is put right, waits end, old bytes go: the file follows the ledger."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest
import structlog

from tests.unit.spine import Spine, begin, claim_next, finish, folder_of, move, one, spine
from tilldrop import housekeeping, ledger_keeping, sweeping
from tilldrop.config import Limits
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.errors import DatabaseDamaged
from tilldrop.housekeeping import Housekeeping, end_waits, place_arrived, recover
from tilldrop.ledger_reading import utcnow
from tilldrop.rows import Report
from tilldrop.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tilldrop.ledger import Ledger

DEADLINE_S = 20
LIMITS = Limits(reserve_bytes=0, empty_grace_s=10, temporary_name_wait_s=100)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


# -- start-up ------------------------------------------------------------------------------------


def test_an_acknowledged_file_still_in_receiving_is_moved_on(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.ARRIVED)
    recover(base.ledger, base.spool)
    assert (one(base, delivery).state, folder_of(base, delivery)) == (State.ARRIVED, "arrived")


def test_an_import_that_was_in_hand_is_done_again_and_not_counted_as_a_crash(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.ARRIVED, State.IMPORTING)
    base.spool.accept(delivery)
    recover(base.ledger, base.spool)
    after = one(base, delivery)
    assert (after.state, after.attempts) == (State.ARRIVED, 0)
    assert base.ledger.moves(delivery)[-1].cause == "startup"


@pytest.mark.parametrize(
    ("gap_from", "prefix"), [(None, 9), (4, 4), (20, 9)], ids=["no-gap", "gap", "gap-behind-end"]
)
def test_an_upload_that_was_open_is_broken_with_what_surely_is_there(
    base: Spine, gap_from: int | None, prefix: int
) -> None:
    delivery = begin(base, b"123456789")
    base.ledger.amend(delivery, State.RECEIVING, gap_from=gap_from).result()
    recover(base.ledger, base.spool)
    after = one(base, delivery)
    assert (after.state, after.size_bytes, after.gap_from) == (State.BROKEN, prefix, None)


def test_an_upload_of_which_nothing_was_stored_is_broken_and_empty(base: Spine) -> None:
    begun = base.ledger.begin("acme", "sales.csv", "sftp").result()
    recover(base.ledger, base.spool)
    assert (one(base, begun.id).state, one(base, begun.id).size_bytes) == (State.BROKEN, 0)


def test_a_finished_file_still_in_arrived_is_kept(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.ARRIVED, State.IMPORTING)
    base.ledger.record_report(Report(delivery, 1, "imported")).result()
    base.spool.accept(delivery)
    recover(base.ledger, base.spool)
    assert (one(base, delivery).state, folder_of(base, delivery)) == (State.IMPORTED, "kept")


def test_a_replay_that_was_cut_short_gets_its_file_back(base: Spine) -> None:
    delivery = finish(base)
    move(base, delivery, State.ARRIVED, cause=Cause.REPLAY)
    recover(base.ledger, base.spool)
    assert folder_of(base, delivery) == "arrived"


def test_a_delivery_whose_bytes_are_nowhere_is_held_so_that_later_ones_go_on(base: Spine) -> None:
    lost, fine = begin(base), begin(base, name="later.csv")
    move(base, lost, State.ARRIVED)
    move(base, fine, State.ARRIVED)
    (base.spool.receiving / lost).unlink()
    recover(base.ledger, base.spool)
    assert (one(base, lost).state, one(base, lost).reason) == (State.HELD, "bytes-missing")
    claimed = claim_next(base.ledger, Cause.STARTUP, base.spool.is_arrived)
    assert claimed is not None
    assert claimed.id == fine


def test_a_file_that_was_never_recorded_is_dropped(base: Spine) -> None:
    (base.spool.receiving / "261121-120000-aaaaa").write_bytes(b"x")
    recover(base.ledger, base.spool)
    assert base.spool.strays(base.spool.receiving) == []


def test_a_discarded_upload_loses_its_bytes(base: Spine) -> None:
    delivery = begin(base)
    base.ledger.move(
        delivery, State.RECEIVING, State.BROKEN, Cause.REMOVE, bytes_gone_at=utcnow()
    ).result()
    recover(base.ledger, base.spool)
    assert folder_of(base, delivery) is None


def test_what_waits_or_is_broken_or_held_stays_as_it_is(base: Spine) -> None:
    waiting, broken, held = begin(base), begin(base), begin(base)
    move(base, waiting, State.WAITING, reason="temporary-name")
    move(base, broken, State.BROKEN)
    move(base, held, State.ARRIVED, State.HELD)
    base.spool.accept(held)
    before = [one(base, each) for each in (waiting, broken, held)]
    recover(base.ledger, base.spool)
    assert [one(base, each) for each in (waiting, broken, held)] == before
    assert [folder_of(base, each) for each in (waiting, broken, held)] == [
        "receiving",
        "receiving",
        "arrived",
    ]


def test_recovering_twice_changes_nothing_more(base: Spine) -> None:
    arrived, importing, receiving, finished = begin(base), begin(base), begin(base), finish(base)
    move(base, arrived, State.ARRIVED)
    move(base, importing, State.ARRIVED, State.IMPORTING)
    recover(base.ledger, base.spool)
    everything = (arrived, importing, receiving, finished)
    before = [(one(base, each), folder_of(base, each)) for each in everything]
    recover(base.ledger, base.spool)
    assert [(one(base, each), folder_of(base, each)) for each in everything] == before


# -- the scan ------------------------------------------------------------------------------------


def test_the_scan_leaves_a_file_to_the_session_that_is_just_moving_it(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.ARRIVED)
    assert not place_arrived(base.ledger, base.spool, lambda each: each == delivery)
    assert folder_of(base, delivery) == "receiving"
    assert place_arrived(base.ledger, base.spool, lambda _: False)
    assert folder_of(base, delivery) == "arrived"


def test_the_scan_finds_nothing_where_nothing_waits(base: Spine) -> None:
    finish(base)
    assert not place_arrived(base.ledger, base.spool, lambda _: False)


def test_ledger_that_was_lost_is_not_begun_anew_beside_the_files_it_knew(base: Spine) -> None:
    recover(base.ledger, base.spool)  # nothing anywhere: a new home
    (base.spool.kept / "261121-120000-abcde").write_bytes(b"sales")
    with pytest.raises(DatabaseDamaged, match="knows no delivery"):
        recover(base.ledger, base.spool)
    begin(base)
    recover(base.ledger, base.spool)


# -- waits ---------------------------------------------------------------------------------------


def test_an_empty_file_arrives_when_its_grace_is_over(base: Spine) -> None:
    delivery = begin(base, b"")
    move(base, delivery, State.WAITING, reason="empty")
    ends_at = one(base, delivery).changed_at + timedelta(seconds=LIMITS.empty_grace_s)
    early = ends_at - timedelta(seconds=1)
    assert end_waits(base.ledger, base.spool, LIMITS, early) == ends_at
    assert one(base, delivery).state is State.WAITING
    assert end_waits(base.ledger, base.spool, LIMITS, ends_at) is None
    assert (one(base, delivery).state, folder_of(base, delivery)) == (State.ARRIVED, "arrived")


def test_an_empty_file_does_not_wait_for_a_clock_that_was_set_back(base: Spine) -> None:
    delivery = begin(base, b"")
    move(base, delivery, State.WAITING, reason="empty")
    an_hour_back = one(base, delivery).changed_at - timedelta(hours=1)
    assert end_waits(base.ledger, base.spool, LIMITS, an_hour_back) is None
    assert one(base, delivery).state is State.ARRIVED


def test_a_temporary_name_that_stays_breaks_off_and_can_still_be_resumed(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.WAITING, reason="temporary-name")
    ends_at = one(base, delivery).changed_at + timedelta(seconds=LIMITS.temporary_name_wait_s)
    assert end_waits(base.ledger, base.spool, LIMITS, ends_at) is None
    after = one(base, delivery)
    assert (after.state, after.reason, after.size_bytes) == (State.BROKEN, "never-renamed", 0)
    assert folder_of(base, delivery) == "receiving"


# -- the thread ----------------------------------------------------------------------------------


class Kept:
    """Housekeeping as a thread, with the rings it gave."""

    def __init__(self, base: Spine, scan_interval_s: float) -> None:
        limits = replace(LIMITS, empty_grace_s=0.1)
        importer = replace(base.config.importer, scan_interval_s=scan_interval_s)
        base.config = replace(base.config, limits=limits, importer=importer)
        base.ledger._now = utcnow
        self.rings: list[Cause] = []
        self.watch = Watch(base.spool.arrived, self.rings.append, polling=False)
        self.keeper = Housekeeping(
            base.ledger,
            base.spool,
            base.intake,
            self.watch,
            lambda: base.config,
            self.rings.append,
        )
        self.thread = threading.Thread(target=self.keeper.run)

    def __enter__(self) -> Self:
        self.watch.start()
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.keeper.stop()
        self.thread.join(DEADLINE_S)
        self.watch.stop()
        assert not self.thread.is_alive()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.005)


def test_a_wait_ends_promptly_without_any_scan(base: Spine) -> None:
    with Kept(base, scan_interval_s=0) as kept:
        delivery = begin(base, b"")
        move(base, delivery, State.WAITING, reason="empty")
        kept.keeper.wake()
        began = time.monotonic()
        until(lambda: one(base, delivery).state is State.ARRIVED)
        assert time.monotonic() - began < 1
        until(lambda: Cause.WATCHDOG in kept.rings)
    assert Cause.SCAN not in kept.rings


def test_the_scan_rings_for_what_the_watch_did_not_tell(base: Spine) -> None:
    delivery = begin(base)
    move(base, delivery, State.ARRIVED)
    with Kept(base, scan_interval_s=0.05) as kept:
        until(lambda: Cause.SCAN in kept.rings)
    assert folder_of(base, delivery) == "arrived"


def test_a_pass_that_fails_does_not_end_the_thread(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.housekeeping.TROUBLE_S", 0.01)
    failures: list[Exception] = [KeyError("bug"), OSError("disk")]
    in_state = base.ledger.in_state

    def fail_first(state: State) -> list[Delivery]:
        if state is State.WAITING and failures:
            raise failures.pop()
        return in_state(state)

    monkeypatch.setattr(base.ledger, "in_state", fail_first)
    with Kept(base, scan_interval_s=0):
        delivery = begin(base, b"")
        move(base, delivery, State.WAITING, reason="empty")
        until(lambda: one(base, delivery).state is State.ARRIVED)
    assert failures == []


def test_a_sweep_goes_on_step_after_step(base: Spine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    base.clock.at -= timedelta(days=100)
    deliveries = [finish(base) for _ in range(4)]
    with structlog.testing.capture_logs() as events, Kept(base, scan_interval_s=0):
        until(lambda: not any(folder_of(base, each) for each in deliveries))
        until(lambda: any(one["event"] == "bytes.swept" for one in events))
    assert [one["deliveries"] for one in events if one["event"] == "bytes.swept"] == [4]


def test_bytes_that_the_last_daemon_left_are_looked_for_once(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[datetime | None] = []
    gone_since = ledger_keeping.gone_since

    def noted(ledger: Ledger, since: datetime | None, *page: Any) -> list[Delivery]:
        looked.append(since)
        return gone_since(ledger, since, *page)

    monkeypatch.setattr(ledger_keeping, "gone_since", noted)
    monkeypatch.setattr(housekeeping, "SWEEP_INTERVAL_S", 0.1)
    with Kept(base, scan_interval_s=0):
        until(lambda: len(looked) > 1)
    assert looked[0] is None
    assert looked[1] is not None
