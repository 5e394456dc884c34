"""Walks over all objects are made when few would wait for them, and not left out for ever."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from tests.unit.test_guard import Clock
from tilldrop.garbage import ANYWAY_AFTER_S, FEW_SESSIONS, Garbage

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ring:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


def grown_old() -> weakref.ref[Ring]:
    """Make garbage that Python's own walks over what is young have passed by."""
    ring = Ring()
    gc.collect(1)
    return weakref.ref(ring)


def test_garbage_waits_while_many_sessions_are_open_and_then_goes() -> None:
    clock = Clock()
    garbage = Garbage(clock)
    left = grown_old()
    assert not garbage.look(FEW_SESSIONS + 1)
    gc.collect(1)
    assert left() is not None
    assert garbage.look(FEW_SESSIONS)
    assert left() is None


def test_service_that_is_never_quiet_is_walked_once_in_a_while() -> None:
    clock = Clock()
    garbage = Garbage(clock)
    clock.now += ANYWAY_AFTER_S
    left = grown_old()
    assert garbage.look(10 * FEW_SESSIONS)
    assert left() is None
    assert not garbage.look(10 * FEW_SESSIONS)


def test_python_itself_walks_only_over_what_is_young() -> None:
    Garbage(Clock())
    walked = gc.get_stats()[2]["collections"]
    kept: list[list[int]] = [[] for _ in range(500_000)]
    assert gc.get_stats()[1]["collections"]
    assert gc.get_stats()[2]["collections"] == walked
    assert len(kept) == 500_000
