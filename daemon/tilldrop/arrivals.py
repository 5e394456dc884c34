"""The last step of an acknowledgement: committed files come into the spool's arrived/.

Owns who waits for it. Promises that a delivery's file is renamed, and both folders are synced
after that, before its waiting ends; those that wait at the same time share the two syncs. Never
changes a state.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tilldrop.errors import ShuttingDown

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from tilldrop.delivery import Delivery
    from tilldrop.spool import Spool

    Waiting = tuple[Delivery, asyncio.Future[Delivery]]


class Arrivals:
    """Takes deliveries to arrived/, in one thread of the pool at a time."""

    def __init__(self, spool: Spool, pool: Executor) -> None:
        self._spool = spool
        self._pool = pool
        self._lock = threading.Lock()
        self._waiting: list[Waiting] = []
        self._is_moving = False

    async def after(self, moved: Future[Delivery]) -> Delivery:
        """Wait for a delivery's commit, and then until its file has arrived.

        Raises what the commit raises, SpoolFull, SpoolFailed, ShuttingDown.
        """
        arrived: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        # Straight from the thread that committed: the loop is asked once, when all is done.
        moved.add_done_callback(lambda it: self._take(it, arrived))
        return await arrived

    def _take(self, moved: Future[Delivery], arrived: asyncio.Future[Delivery]) -> None:
        if (error := moved.exception()) is not None:
            _tell([(arrived, error)])
            return
        with self._lock:
            self._waiting.append((moved.result(), arrived))
            begins, self._is_moving = not self._is_moving, True
        if begins:
            try:
                self._pool.submit(self._move_all)
            except RuntimeError:  # the pool's, after its shutdown
                stopping = ShuttingDown("the daemon is stopping")
                while group := self._next():
                    _tell([(waiting, stopping) for _, waiting in group])

    def _move_all(self) -> None:
        while group := self._next():
            try:
                refused = self._spool.accept_all([delivery.id for delivery, _ in group])
            except Exception as bug:  # noqa: BLE001  it must not end what all wait for
                _tell([(arrived, bug) for _, arrived in group])
            else:
                _tell([(arrived, refused.get(one.id, one)) for one, arrived in group])

    def _next(self) -> list[Waiting]:
        with self._lock:
            group, self._waiting = self._waiting, []
            self._is_moving = bool(group)
        return group


def _tell(told: list[tuple[asyncio.Future[Delivery], Delivery | BaseException]]) -> None:
    """End the waiting of all these, on their loop."""
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        told[0][0].get_loop().call_soon_threadsafe(_end_all, told)


def _end_all(told: list[tuple[asyncio.Future[Delivery], Delivery | BaseException]]) -> None:
    for arrived, what in told:
        if arrived.done():
            continue
        if isinstance(what, BaseException):
            arrived.set_exception(what)
        else:
            arrived.set_result(what)
