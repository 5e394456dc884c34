"""Fair shares of the loop: whoever sends much waits while others are asking for little.

Owns who asked for something a moment ago. A bulk upload whose bytes are here already never waits
for anything, so that every step of another customer's login or small file would wait behind a part
of it. Promises that a bulk upload which is alone is never held up. Used on the daemon's loop only.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FAIR_BYTES = 256 * 1024  # a millisecond or two of the loop by SFTP, less by FTP
# Between two such portions, while others are at it: less than 50 MB/s are left to the bulk upload.
PAUSE_S = 0.005
RECENT_S = 0.05  # longer than a small upload waits for the disk between two of its requests


class Sharing:
    """Who asked when. now: seconds, never going back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._latest = ""
        self._latest_at = self._another_at = float("-inf")

    def note(self, who: str) -> None:
        """Note a request that is no part of a bulk upload. who: a customer, or an address."""
        if who != self._latest:
            self._latest, self._another_at = who, self._latest_at
        self._latest_at = self._now()

    def is_shared(self, who: str) -> bool:
        """Tell whether anybody else asked for something a moment ago."""
        at = self._another_at if who == self._latest else self._latest_at
        return self._now() - at < RECENT_S

    async def give_way(self, who: str) -> None:
        """Let others have their turn, after FAIR_BYTES of a bulk upload."""
        await asyncio.sleep(PAUSE_S if self.is_shared(who) else 0)
