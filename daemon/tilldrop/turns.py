"""How long the daemon's loop takes for its turns, so that a stall is seen and said.

Owns the loop itself: `new_loop` makes one whose selector takes the time of every turn, which costs
some three microseconds. A turn lasts from the moment at which the system hands over what is ready
until the loop asks again; whatever it does meanwhile, nobody else is answered. What the selector
takes longer than it was told to counts too: another thread then had the interpreter, or another
process the processor. How much of a turn was the loop's own work is kept apart, since that alone
is the daemon's doing. Never changes what the loop does.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import TYPE_CHECKING

from tilldrop import journal

if TYPE_CHECKING:
    from collections.abc import Callable

STALL_S = 0.1
SPAN_S = 60.0  # "lately": this span and the one before
SAY_AGAIN_S = 60.0


class Turns:
    """What the turns were like. now: seconds, never going back."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.longest_s = 0.0
        self.longest_work_s = 0.0
        self.stalls = 0
        self._here_s = 0.0
        self._before_s = 0.0
        self._span_ends = 0.0
        self._say_at = float("-inf")
        self._has_begun = False

    def begin(self) -> None:
        """Count from now on: before the doors are open nobody waits."""
        self._has_begun = True

    @property
    def lately_s(self) -> float:
        """The longest of the last one or two minutes."""
        self._look_at_clock(self.now())
        return max(self._here_s, self._before_s)

    def note(self, took_s: float, now: float, work_s: float = 0.0) -> None:
        """Take a turn in; tell the operator of a stall, not more than once in a while.

        work_s: how much of it was the loop's own work.
        """
        if not self._has_begun:
            return
        self.longest_work_s = max(self.longest_work_s, work_s)
        if now >= self._span_ends:
            self._look_at_clock(now)
        if took_s > self._here_s:
            self._here_s = took_s
            self.longest_s = max(self.longest_s, took_s)
        if took_s >= STALL_S:
            self.stalls += 1
            if now >= self._say_at:
                self._say_at = now + SAY_AGAIN_S
                journal.loop_stalled(round(took_s * 1000), round(work_s * 1000), self.stalls)

    def describe(self) -> dict[str, object]:
        """Return what `status` tells."""
        return {
            "longest_turn_ms": round(self.longest_s * 1000, 1),
            "longest_work_ms": round(self.longest_work_s * 1000, 1),
            "lately_ms": round(self.lately_s * 1000, 1),
            "stalls": self.stalls,
        }

    def _look_at_clock(self, now: float) -> None:
        if now >= self._span_ends:
            is_next = now < self._span_ends + SPAN_S
            self._before_s = self._here_s if is_next else 0.0
            self._here_s, self._span_ends = 0.0, now + SPAN_S


class TimedSelector(selectors.DefaultSelector):
    """The system's selector, taking the time between its calls, and its own."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self._turns = turns
        self._handed_over_at: float | None = None
        self._worked_before_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait as asked."""
        asked_at = self._turns.now()
        if self._handed_over_at is not None:
            work_s = time.thread_time() - self._worked_before_s
            self._turns.note(asked_at - self._handed_over_at, asked_at, work_s)
        ready = super().select(timeout)
        self._handed_over_at = now = self._turns.now()
        self._worked_before_s = time.thread_time()
        if timeout is not None:
            self._turns.note(now - asked_at - max(timeout, 0.0), now)
        return ready


def new_loop(turns: Turns) -> asyncio.AbstractEventLoop:
    """Make the loop that the daemon runs on."""
    return asyncio.SelectorEventLoop(TimedSelector(turns))
