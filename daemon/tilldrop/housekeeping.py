"""What time and accidents leave to be done: start-up, the reconciling scan, waits that end.

Owns the comparison of ledger and spool. Each function is one pass and may be repeated at any
time; `Housekeeping` is the thread that repeats them. The rule throughout: the ledger says where
a delivery stands, and the file follows it. Promises: nothing acknowledged is ever dropped except
by retention (sweeping.py). Never imports anything: it rings the bell.
"""

from __future__ import annotations

import math
import threading
import time
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.delivery import FINISHED, Cause, Delivery, State
from tilldrop.errors import (
    BytesMissing,
    DatabaseDamaged,
    MoveRefused,
    NoSuchDelivery,
    TilldropError,
)
from tilldrop.ledger_reading import utcnow
from tilldrop.sweeping import sweep
from tilldrop.visit import EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime

    from tilldrop.config import Config, Limits
    from tilldrop.intake import Intake
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool
    from tilldrop.watch import Watch

NEVER_RENAMED = "never-renamed"
WATCH_CHECK_S = 5.0  # how long a dead watch may go unseen
SWEEP_INTERVAL_S = 3600.0  # retention is counted in hours and days
CLOCK_LEEWAY = timedelta(days=1)  # a clock may be set back
SWEEP_PAUSE_S = 0.05  # between two steps: uploads want commits, too
TROUBLE_S = 5.0  # after a pass that failed


# -- start-up ------------------------------------------------------------------------------------


def recover(ledger: Ledger, spool: Spool) -> None:
    """Put right what the daemon's last end left behind. Before any door opens.

    Raises LedgerBusy, LedgerFailed, DatabaseDamaged. Cost: every file in receiving/ and
    arrived/ once, every delivery in work once.
    """
    _check_not_anew(ledger, spool)
    for delivery in ledger.in_state(State.IMPORTING):
        # Not counted as a crash of the import: its worker is another process.
        _move(ledger, delivery, State.ARRIVED, Cause.STARTUP)
    for delivery in ledger.in_state(State.RECEIVING):
        prefix = spool.size_receiving(delivery.id)
        if delivery.gap_from is not None:
            prefix = min(prefix, delivery.gap_from)
        _move(ledger, delivery, State.BROKEN, Cause.STARTUP, size_bytes=prefix, gap_from=None)
    place_arrived(ledger, spool, lambda _: False)
    for name in set(spool.strays(spool.arrived)).difference(ledger.ids_in_state(State.ARRIVED)):
        if (known := _known(ledger, name)) is not None and known.state in FINISHED:
            # Marked as gone: refused for its card data, and not yet dropped.
            _follow(spool.keep if known.bytes_gone_at is None else spool.drop, known)
    _drop_strays(ledger, spool)


def _check_not_anew(ledger: Ledger, spool: Spool) -> None:
    """Refuse a ledger without deliveries beside a spool with some: it was lost and made anew.

    Raises DatabaseDamaged. Whoever removes a customer removes its files first, its rows last.
    """
    if ledger.is_empty() and any(chain(spool.names(spool.kept), spool.names(spool.arrived))):
        raise DatabaseDamaged(
            f"{ledger.path} knows no delivery, and {spool.kept.parent} holds some: it was lost;"
            " restore it from a backup"
        )


def _drop_strays(ledger: Ledger, spool: Spool) -> None:
    """Drop files that no delivery needs: begun but never recorded, or discarded."""
    for name in spool.strays(spool.receiving):
        known = _known(ledger, name)
        if known is None or known.bytes_gone_at is not None:
            spool.drop(name)


def _known(ledger: Ledger, delivery_id: str) -> Delivery | None:
    try:
        return ledger.one(delivery_id)
    except NoSuchDelivery:
        return None


# -- the reconciling scan ------------------------------------------------------------------------


def place_arrived(ledger: Ledger, spool: Spool, is_settling: Callable[[str], bool]) -> bool:
    """See to it that the file of every ARRIVED delivery lies in arrived/.

    is_settling: whether a session is about to do so itself. A delivery whose bytes are nowhere
    is HELD, so that the customer's later ones go on. Returns whether any is ready.
    """
    ready = False
    there = set(spool.strays(spool.arrived))
    for delivery_id in ledger.ids_in_state(State.ARRIVED):
        if delivery_id in there:
            ready = True
            continue
        if not spool.is_arrived(delivery_id) and not is_settling(delivery_id):
            _place(ledger, spool, delivery_id)
        ready = ready or spool.is_arrived(delivery_id)
    return ready


def _place(ledger: Ledger, spool: Spool, delivery_id: str) -> None:
    delivery = _known(ledger, delivery_id)
    if delivery is None or delivery.state is not State.ARRIVED:
        return  # imported since the list was read
    where = spool.path_of(delivery.id)
    if where is None and not spool.is_arrived(delivery.id):
        if _move(ledger, delivery, State.HELD, Cause.SCAN, reason=BytesMissing.code):
            journal.delivery_held(delivery.id, delivery.customer, delivery.name, BytesMissing.code)
    elif where == spool.receiving / delivery.id:
        _follow(spool.accept, delivery)
    elif where == spool.kept / delivery.id:
        _follow(spool.return_to_arrived, delivery)


def _follow(move_file: Callable[[str], None], delivery: Delivery) -> None:
    """Move a file to where its delivery stands; a refusal is logged and tried again later."""
    try:
        move_file(delivery.id)
    except TilldropError as error:
        journal.bytes_not_moved(delivery.id, error.code, str(error))


def _move(
    ledger: Ledger,
    delivery: Delivery,
    after: State,
    cause: Cause,
    reason: str | None = None,
    **columns: int | None,
) -> bool:
    """Move a delivery unless it has moved on meanwhile."""
    try:
        ledger.move(delivery.id, delivery.state, after, cause, reason=reason, **columns).result()
    except MoveRefused:
        return False
    return True


# -- waits that end ------------------------------------------------------------------------------


def end_waits(ledger: Ledger, spool: Spool, limits: Limits, now: datetime) -> datetime | None:
    """End the waits that lasted long enough; return when the next one will have.

    An empty file that nobody opened again is whole: it arrives, and the importer refuses it.
    A file whose temporary name stayed is not: it breaks off, and may still be resumed.
    """
    pending: list[datetime] = []
    for delivery in ledger.in_state(State.WAITING):
        is_empty = delivery.reason == EMPTY
        wait_s = limits.empty_grace_s if is_empty else limits.temporary_name_wait_s
        ends_at = delivery.changed_at + timedelta(seconds=wait_s)
        was_set_back = delivery.changed_at > now  # else an hour back is an hour more to wait
        if ends_at > now and not (is_empty and was_set_back):
            pending.append(ends_at)
        elif not is_empty:
            _move(ledger, delivery, State.BROKEN, Cause.GRACE, reason=NEVER_RENAMED)
        elif _move(ledger, delivery, State.ARRIVED, Cause.GRACE):
            _follow(spool.accept, delivery)
    return min(pending, default=None)


# -- the thread ----------------------------------------------------------------------------------


class Housekeeping:
    """Repeats the passes, each when it is due. run() is the thread's body.

    more: another pass: does what is due, returns in how many seconds something will be.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        intake: Intake,
        watch: Watch,
        config_of: Callable[[], Config],
        ring: Callable[[Cause], None],
        now: Callable[[], datetime] = utcnow,
        more: Callable[[], float] | None = None,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._intake = intake
        self._watch = watch
        self._config_of = config_of
        self._ring = ring
        self._now = now
        self._more = (more,) if more else ()
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._done_at: dict[str, float] = {}
        self._swept_until: datetime | None = None
        self._sweeping = self._sweep_steps()

    def wake(self) -> None:
        """Look again: a delivery has begun to wait, or the limits have changed."""
        self._woken.set()

    def stop(self) -> None:
        """Let run() return."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Do what is due, wait until something is; until stop()."""
        passes = (self._end_waits, self._check_watch, self._scan, self._sweep, *self._more)
        while not self._stopping.is_set():
            self._woken.clear()
            self._woken.wait(min(self._attempt(one_pass) for one_pass in passes))
        self._sweeping.close()

    def _attempt(self, one_pass: Callable[[], float]) -> float:
        """Do one pass if it is due; return how long until it is again."""
        try:
            return one_pass()
        except TilldropError as error:
            journal.housekeeping_troubled(error.code, str(error))
        except Exception:  # noqa: BLE001  the edge of a unit of work: one pass
            journal.housekeeping_failed()
        return TROUBLE_S

    def _end_waits(self) -> float:
        now = self._now()
        next_at = end_waits(self._ledger, self._spool, self._config_of().limits, now)
        return SWEEP_INTERVAL_S if next_at is None else max(0.0, (next_at - now).total_seconds())

    def _check_watch(self) -> float:
        return self._every("watch", WATCH_CHECK_S, self._watch.check)

    def _scan(self) -> float:
        def work() -> None:
            if place_arrived(self._ledger, self._spool, self._intake.is_settling):
                self._ring(Cause.SCAN)

        interval_s = self._config_of().importer.scan_interval_s
        return self._every("scan", interval_s, work) if interval_s else SWEEP_INTERVAL_S

    def _sweep(self) -> float:
        """Take the next step of a sweep; begin one if it is due."""
        left_s = self._every("sweep", SWEEP_INTERVAL_S, self._begin_sweep)
        return left_s if next(self._sweeping, None) is None else SWEEP_PAUSE_S

    def _begin_sweep(self) -> None:
        self._sweeping = self._sweep_steps()

    def _sweep_steps(self) -> Generator[int, None, None]:
        config, now, dropped = self._config_of(), self._now(), 0
        try:
            for count in sweep(self._ledger, self._spool, config, now, self._swept_until):
                dropped += count
                yield count
        finally:
            if dropped:
                journal.bytes_swept(dropped)
        self._swept_until = now - CLOCK_LEEWAY

    def _every(self, what: str, interval_s: float, work: Callable[[], None]) -> float:
        """Do work unless it was done less than interval_s ago; return what is left of that."""
        now = time.monotonic()
        left_s = self._done_at.get(what, -math.inf) + interval_s - now
        if left_s > 0:
            return left_s
        self._done_at[what] = now
        work()
        return interval_s
