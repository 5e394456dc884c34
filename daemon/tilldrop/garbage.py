"""When Python looks for objects that hold each other in a ring: when hardly anybody waits.

Python walks all that lives to find them, a microsecond an object, and does so whenever a quarter
more has come to live: while a thousand clients log in, several times for 0.2 seconds, in which
nobody is answered. So what was there at the start is never walked again, and the walk over all
that came since is ours to time; those over what is young, which take a few milliseconds, stay
Python's. What a session leaves must therefore go without any walk: doors undo the rings of a
connection when it ends, and tests look that nothing of it is left.
"""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FEW_SESSIONS = 200  # some 40 ms
ANYWAY_AFTER_S = 24 * 3600.0  # for a service that is never quiet
NEVER = 2**31 - 1


class Garbage:
    """This process's walks; what is there now is left out of them. now: seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        gc.collect()
        gc.freeze()
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, NEVER)
        self._walked_at = now()

    def look(self, sessions: int) -> bool:
        """Walk if few sessions would wait for it, or if it has not been done for long."""
        now = self._now()
        if sessions > FEW_SESSIONS and now < self._walked_at + ANYWAY_AFTER_S:
            return False
        gc.collect()
        self._walked_at = now
        return True
