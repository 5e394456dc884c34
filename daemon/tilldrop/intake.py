"""Intake: the order of acknowledgement, and what all sessions share.

Owns that order and the threads for disk work. A finished upload is, in this order: synced;
committed to the ledger as ARRIVED; renamed into the spool's arrived/; both folders synced;
answered. Once that answer is given nothing takes the delivery back; any error on the way is
raised and becomes a failure reply. Never looks into a file.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop.arrivals import Arrivals
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.sharing import Sharing
from tilldrop.spool import failure
from tilldrop.usage import Usage
from tilldrop.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.config import Config, Limits
    from tilldrop.config_customers import Customer
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool
    from tilldrop.upload import Upload

T = TypeVar("T")

DRAIN_LOOK_S = 0.05
POOL_THREADS = 8  # disk work at a time; more only queue at the disk
FOLDERS_MADE_MOST = 1_000  # of one customer, remembered while they are empty
NO_SESSION = frozenset({"folder"})  # doors through which nobody logs in


class Intake:
    """What all sessions share. config_of: the configuration in force now.

    on_waiting: called when a delivery begins to wait, for whoever keeps the time.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        config_of: Callable[[], Config],
        on_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.ledger = ledger
        self.spool = spool
        self.config_of = config_of
        self.on_waiting = on_waiting
        self.pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="spool")
        self._arrivals = Arrivals(spool, self.pool)
        self.taking = True
        self.uploads: set[Upload] = set()
        self.usage = Usage(ledger)
        self.sharing = Sharing()
        self._made: dict[str, OrderedDict[str, None]] = {}
        self._settling: set[str] = set()

    def visit(self, customer: Customer, door: str, peer: str) -> Visit:
        """Begin a session of an admitted customer; see `check_session`."""
        counts = door not in NO_SESSION
        return Visit(self, customer, door, peer, counts=counts)

    def check_session(self, customer: Customer) -> None:
        """Raise TooManySessions if the customer may not have another."""
        self.usage.check_session(customer, self.limits_of(customer))

    def limits_of(self, customer: Customer) -> Limits:
        """Return the limits that hold for a customer now."""
        return self.config_of().limits_of(customer)

    # -- folders that customers made, which are nowhere else while they are empty

    def note_folder(self, customer: str, folder: str) -> None:
        """Remember a folder that was made or written into; the oldest are forgotten."""
        made = self._made.setdefault(customer, OrderedDict())
        made[folder] = None
        made.move_to_end(folder)
        while len(made) > FOLDERS_MADE_MOST:
            made.popitem(last=False)

    def folders_made(self, customer: str) -> frozenset[str]:
        """Return the folders that a customer made since the daemon began."""
        return frozenset(self._made.get(customer, ()))

    def stop_taking(self) -> None:
        """Refuse new uploads; those that are open go on."""
        self.taking = False

    async def drain(self, grace_s: float) -> None:
        """Wait until no upload is open, at most that long."""
        deadline = time.monotonic() + grace_s
        while (self.uploads or self._settling) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(DRAIN_LOOK_S)  # once in the daemon's life; an Event buys nothing

    def close(self) -> None:
        """End the threads; what they have in hand is finished first."""
        self.pool.shutdown()

    def is_settling(self, delivery_id: str) -> bool:
        """Say whether a session is between this delivery's commit and its answer."""
        return delivery_id in self._settling

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run disk or ledger reading off the event loop."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work)
        except OSError as error:
            raise failure(error, "the spool failed") from error

    async def accept(self, delivery: str, before: State, cause: Cause, **columns: Any) -> Delivery:
        """Commit a synced file as ARRIVED, move it to arrived/, sync the folders."""
        self._settling.add(delivery)
        try:
            moved = self.ledger.move(delivery, before, State.ARRIVED, cause, **columns)
            return await self._arrivals.after(moved)
        finally:
            self._settling.discard(delivery)
