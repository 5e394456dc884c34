"""The loop's turns are timed, whoever takes long, and a stall is said once in a while."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tests.unit.test_guard import Clock
from tilldrop import journal
from tilldrop.turns import STALL_S, Turns, new_loop

if TYPE_CHECKING:
    import pytest

BUSY_S = 0.15


def lived(turns: Turns, busy_s: float) -> None:
    async def live() -> None:
        await asyncio.sleep(0)
        time.sleep(busy_s)  # noqa: ASYNC251  what a stall is
        await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=lambda: new_loop(turns)) as runner:
        runner.run(live())


def test_turn_that_takes_long_is_seen_and_said() -> None:
    turns = Turns()
    turns.begin()
    lived(turns, BUSY_S)
    told = turns.describe()
    assert turns.longest_s >= BUSY_S
    assert turns.longest_work_s < turns.longest_s  # it only slept
    assert told["stalls"] == turns.stalls
    assert turns.stalls >= 1
    assert told["lately_ms"] == told["longest_turn_ms"]


def test_what_comes_before_the_beginning_does_not_count() -> None:
    turns = Turns()
    lived(turns, BUSY_S)
    assert turns.longest_s == 0


def test_lately_is_this_minute_and_the_one_before() -> None:
    clock = Clock()
    turns = Turns(clock)
    turns.begin()
    turns.note(0.05, clock.now)
    clock.now += 61
    turns.note(0.02, clock.now)
    assert turns.lately_s == 0.05
    clock.now += 60
    assert turns.lately_s == 0.02
    clock.now += 600
    assert turns.lately_s == 0
    assert turns.longest_s == 0.05


def test_stalls_are_counted_each_and_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int, int]] = []
    monkeypatch.setattr(journal, "loop_stalled", lambda *words: said.append(words))
    clock = Clock()
    turns = Turns(clock)
    turns.begin()
    for _ in range(3):
        turns.note(STALL_S, clock.now)
        clock.now += 1
    clock.now += 60
    turns.note(2 * STALL_S, clock.now)
    assert said == [(100, 0, 1), (200, 0, 4)]
