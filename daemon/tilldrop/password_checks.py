"""Passwords of those who knock, checked off the loop: strangers' apart from all others.

Owns the threads. Promises that a password from where a customer has logged in never waits for a
stranger's; that strangers', however many guess, take a bounded number of threads, which give way
to whatever else wants a processor, and those of suspects come last; and that one whose client is
gone before its turn is not checked. Used on the daemon's loop only.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tilldrop.config_customers import Customer
    from tilldrop.customers import Customers
    from tilldrop.guard import Guard

# Each takes 19 MiB and 21 ms of a core; one core is left to those who are in.
CHECKS_AT_ONCE = 2 if (os.cpu_count() or 1) > 2 else 1  # noqa: PLR2004
STRANGERS_NICE = 10  # the importer's worker has 5


class PasswordChecks:
    """Checks customers' passwords; the guard says who is a stranger, and who a suspect."""

    def __init__(self, customers: Customers, guard: Guard) -> None:
        self._customers = customers
        self._guard = guard
        self._known = ThreadPoolExecutor(CHECKS_AT_ONCE, "password")
        self._strangers = ThreadPoolExecutor(
            CHECKS_AT_ONCE, "stranger", initializer=_give_way, initargs=(STRANGERS_NICE,)
        )
        self._under_way = 0
        # Strangers who wait for their turn, and suspects, who wait behind them.
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())

    async def customer_of(self, name: str, password: str, peer: str) -> Customer | None:
        """Return the customer whose password this is, if it may log in from there; else None."""
        loop = asyncio.get_running_loop()
        check = partial(self._customers.check_password, name, password, peer)
        if self._guard.knows(peer):
            return await loop.run_in_executor(self._known, check)
        async with self._turn(is_suspect=self._guard.is_suspect(peer)):
            return await loop.run_in_executor(self._strangers, check)

    def close(self) -> None:
        """Check nothing more; wait for those that are being checked."""
        for threads in (self._known, self._strangers):
            threads.shutdown(cancel_futures=True)

    @asynccontextmanager
    async def _turn(self, *, is_suspect: bool) -> AsyncIterator[None]:
        """Wait for a stranger's turn."""
        if self._under_way >= CHECKS_AT_ONCE:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[is_suspect].append(mine)
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._end_turn()
                raise
        else:
            self._under_way += 1
        try:
            yield
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        """Hand the turn to the next, if anybody waits."""
        for waiting in self._waiting:
            while waiting:
                if not (following := waiting.popleft()).done():
                    following.set_result(None)
                    return
        self._under_way -= 1


def _give_way(nice: int) -> None:
    """Let all others have the processor before this thread."""
    with suppress(OSError):  # a container or a unit may forbid it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
