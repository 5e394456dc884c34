"""What retention lets go of, and what accidents left behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, begin, customer, finish, folder_of, move, one, spine
from tilldrop import sweeping
from tilldrop.config import Config, Limits
from tilldrop.config_limits import OwnLimits
from tilldrop.delivery import Cause, State
from tilldrop.errors import NoLongerKept
from tilldrop.ledger_reading import utcnow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

LIMITS = Limits(reserve_bytes=0)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


def swept(
    base: Spine, now: datetime, limits: Limits = LIMITS, own: Mapping[str, int] | None = None
) -> int:
    """Sweep to the end; return how many were dropped."""
    return sum(sweeping.sweep(base.ledger, base.spool, configured(base, limits, own or {}), now))


def configured(base: Spine, limits: Limits, own: Mapping[str, int]) -> Config:
    customers = {
        name: replace(customer(name), limits=OwnLimits(keep_days=days))
        for name, days in own.items()
    }
    return replace(base.config, limits=limits, customers=customers)


@pytest.mark.parametrize(("age", "gone"), [(timedelta(days=89), False), (timedelta(days=91), True)])
def test_kept_bytes_go_after_keep_days_and_the_row_stays(
    base: Spine, age: timedelta, *, gone: bool
) -> None:
    delivery = finish(base)
    now = one(base, delivery).changed_at + age
    assert swept(base, now) == int(gone)
    assert (folder_of(base, delivery) is None) is gone
    assert (one(base, delivery).bytes_gone_at is not None) is gone
    assert one(base, delivery).state is State.IMPORTED
    assert swept(base, now) == 0


@pytest.mark.parametrize(
    ("age", "gone"), [(timedelta(hours=71), False), (timedelta(hours=73), True)]
)
def test_broken_bytes_go_after_broken_keep_hours(
    base: Spine, age: timedelta, *, gone: bool
) -> None:
    delivery = begin(base)
    move(base, delivery, State.BROKEN)
    swept(base, one(base, delivery).changed_at + age)
    assert (folder_of(base, delivery) is None) is gone


def test_what_is_not_finished_is_never_swept(base: Spine) -> None:
    arrived, held, waiting = begin(base), begin(base), begin(base)
    move(base, arrived, State.ARRIVED)
    move(base, held, State.ARRIVED, State.HELD)
    move(base, waiting, State.WAITING, reason="temporary-name")
    assert swept(base, utcnow() + timedelta(days=10_000)) == 0
    assert all(folder_of(base, each) for each in (arrived, held, waiting))


def test_bytes_that_should_be_gone_are_dropped_by_the_next_sweep(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    left = [finish(base) for _ in range(3)]
    at = utcnow()
    for delivery in left:  # and then the daemon was killed
        base.ledger.amend(delivery, State.IMPORTED, bytes_gone_at=at).result()
    steps = sweeping.sweep(
        base.ledger, base.spool, base.config, at, since=at + timedelta(seconds=1)
    )
    assert sum(steps) == 0
    assert swept(base, at) == len(left)
    assert not any(folder_of(base, each) for each in left)


def test_what_retention_has_just_let_go_of_is_not_taken_up_again(base: Spine) -> None:
    replayed, resumed = finish(base), begin(base)
    move(base, resumed, State.BROKEN)
    # What a replay and a resumption do last; both had looked before the sweep.
    swept(base, utcnow() + timedelta(days=100))
    for delivery, before, after in (
        (replayed, State.IMPORTED, State.ARRIVED),
        (resumed, State.BROKEN, State.RECEIVING),
    ):
        with pytest.raises(NoLongerKept):
            base.ledger.move(delivery, before, after, Cause.REPLAY).result()
        assert one(base, delivery).state is before


def test_files_are_kept_for_as_long_as_the_customer_wants(base: Spine) -> None:
    delivery = finish(base)
    at = base.ledger.one(delivery).changed_at
    limits = replace(LIMITS, keep_days=30)
    assert swept(base, at + timedelta(days=31), limits, {"acme": 60}) == 0
    assert swept(base, at + timedelta(days=6), limits, {"rival": 5}) == 0
    assert base.spool.path_of(delivery) is not None
    assert swept(base, at + timedelta(days=6), limits, {"acme": 5}) == 1
    assert base.spool.path_of(delivery) is None


def test_many_go_in_steps_and_what_its_customer_keeps_longer_stays(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 2)
    deliveries = [finish(base) for _ in range(7)]
    now = one(base, deliveries[-1]).changed_at + timedelta(days=100)
    assert swept(base, now, own={"acme": 101}) == 0
    steps = list(sweeping.sweep(base.ledger, base.spool, base.config, now))
    assert sum(steps) == len(deliveries)
    assert max(steps) == 2
    assert not any(folder_of(base, each) for each in deliveries)


def test_deliveries_of_one_instant_are_each_swept(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "AT_ONCE", 1)
    base.ledger._now = lambda: base.clock.at
    deliveries = [finish(base) for _ in range(3)]
    assert len({one(base, each).changed_at for each in deliveries}) == 1
    assert swept(base, base.clock.at + timedelta(days=100)) == len(deliveries)


def test_a_file_that_the_ledger_does_not_know_stays_in_kept(base: Spine) -> None:
    stranger = base.spool.kept / "260101-000000-abcdef"
    stranger.write_bytes(b"restored by hand")
    assert swept(base, utcnow() + timedelta(days=1000)) == 0
    assert stranger.exists()
