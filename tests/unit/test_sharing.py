"""A bulk upload gives way to others who ask for something, and to nobody else."""

from __future__ import annotations

from tests.unit.test_guard import Clock
from tilldrop.sharing import RECENT_S, Sharing


def test_alone_nobody_shares() -> None:
    sharing = Sharing(Clock())
    assert not sharing.is_shared("bulky")
    sharing.note("bulky")
    assert not sharing.is_shared("bulky")


def test_others_share_for_a_moment_after_they_asked() -> None:
    clock = Clock()
    sharing = Sharing(clock)
    sharing.note("small")
    sharing.note("bulky")
    assert sharing.is_shared("bulky")
    assert sharing.is_shared("small")
    clock.now += 2 * RECENT_S
    assert not sharing.is_shared("bulky")


def test_who_asks_again_and_again_is_not_another() -> None:
    clock = Clock()
    sharing = Sharing(clock)
    sharing.note("small")
    for _ in range(5):
        clock.now += RECENT_S / 2
        sharing.note("bulky")
    assert not sharing.is_shared("bulky")
