"""A clock that jumps moves nothing: order, retries and waits hold."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, claim_next, spine
from tilldrop.delivery import Cause, Delivery, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = timedelta(days=1)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as built:
        yield built


def arrive(base: Spine, name: str) -> Delivery:
    begun = base.ledger.begin("acme", name, "sftp").result()
    return base.ledger.move(begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()


def claim(base: Spine) -> Delivery | None:
    return claim_next(base.ledger, Cause.WATCHDOG, lambda _: True)


def test_files_are_imported_in_the_order_of_their_arrival_though_the_clock_went_back(
    base: Spine,
) -> None:
    names = []
    for number in range(4):
        arrive(base, f"{number}.csv")
        base.clock.at -= DAY
    while (claimed := claim(base)) is not None:
        names.append(claimed.name)
        base.ledger.move(claimed.id, State.IMPORTING, State.HELD, Cause.OPERATOR).result()
    assert names == ["0.csv", "1.csv", "2.csv", "3.csv"]


@pytest.mark.parametrize("jump", [-DAY, timedelta(hours=-2)], ids=["a day", "two hours"])
def test_retry_put_off_before_the_clock_went_back_is_done_at_once(
    base: Spine, jump: timedelta
) -> None:
    arrive(base, "sales.csv")
    claimed = claim(base)
    assert claimed is not None
    not_before = base.clock.at + timedelta(minutes=5)
    base.ledger.move(
        claimed.id, State.IMPORTING, State.ARRIVED, Cause.RETRY, not_before=not_before
    ).result()
    assert claim(base) is None
    base.clock.at += jump
    assert claim(base) is not None


def test_ids_stay_apart_when_the_clock_stands_still_or_goes_back(base: Spine) -> None:
    at = base.clock.at
    found = set()
    for _ in range(50):
        base.clock.at = at
        found.add(base.ledger.begin("acme", "sales.csv", "sftp").result().id)
    assert len(found) == 50
