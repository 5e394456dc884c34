"""The importer's thread: takes what has arrived, has the worker import it, records what it says.

Owns the way of one delivery from ARRIVED to its outcome, and the retries. Promises:
- every claimed delivery ends in a state from which somebody goes on: its outcome, ARRIVED at a
  later time, or HELD with an alert; a bug here counts as a crash of the import, never ends the
  thread;
- an import whose report was not recorded (worker or daemon died) is tried again as the same run,
  so that a worker that had committed answers with the report it stored, and counts stay true;
- only crashes count towards HELD. A database that is busy, and a daemon that ended, do not:
  the worker is a process of its own, so a file that kills it cannot take the daemon along.
Never reads a delivery's bytes and never opens data.db.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from tilldrop import journal, mapping
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.errors import DataBusy, NoSuchCustomer, TilldropError, WorkerLost
from tilldrop.ledger_reading import utcnow
from tilldrop.rows import Job, Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from tilldrop.config import Config, Customer
    from tilldrop.ledger import Ledger
    from tilldrop.mapping import Feed
    from tilldrop.spool import Spool

IMPORT_CRASHED = "import-crashed"
BACK_OFF_MOST_S = 300.0  # a retry is never further away than this
# If the ledger cannot be written: how long until it is asked again.
TROUBLE_S = 1.0
# While something is due but its file is not in place, nobody may ring when it comes.
RECHECK_S = 30.0


class Runs(Protocol):
    """What the importer needs of the supervisor."""

    def run(self, job: Job) -> Report:
        """Import one file. Raises WorkerLost, DataBusy."""
        ...


class Bell(Protocol):
    """What wakes the importer: `watch.Bell`."""

    def ring(self, cause: Cause) -> None:
        """Wake the importer."""
        ...

    def wait(self, timeout_s: float | None) -> Cause | None:
        """Wait for a ring and take it."""
        ...


class Importer:
    """Imports one delivery after the other, until it is stopped. run() is the thread's body."""

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        supervisor: Runs,
        config_of: Callable[[], Config],
        bell: Bell,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._supervisor = supervisor
        self._config_of = config_of
        self._bell = bell
        self._now = now
        self._stopping = threading.Event()
        self._busy_in_a_row: dict[str, int] = {}
        self.last_import: Delivery | None = None

    def run(self) -> None:
        """Import whatever is ready, then wait for the bell or the next retry; until stop()."""
        cause = Cause.STARTUP
        while not self._stopping.is_set():
            try:
                cause = self._turn(cause)
            except TilldropError as error:
                journal.importer_troubled(error.code, str(error))
                self._stopping.wait(TROUBLE_S)
            except Exception:  # noqa: BLE001  a bug must not end the thread that all wait for
                journal.importer_failed()
                self._stopping.wait(TROUBLE_S)

    def _turn(self, cause: Cause) -> Cause:
        """Import one delivery, or wait if none is ready; return what the next turn is for."""
        asked_at = self._now()
        if self._import_next(cause):
            return self._bell.wait(0) or cause
        return self._bell.wait(self._patience_s(asked_at)) or Cause.RETRY

    def stop(self) -> None:
        """Let run() return after the import in hand."""
        self._stopping.set()
        self._bell.ring(Cause.OPERATOR)

    def _patience_s(self, asked_at: datetime) -> float | None:
        """Return how long there is surely nothing to do, None: until the bell rings."""
        due = self._ledger.next_attempt_at()
        if due is None:
            return None
        if due <= asked_at:
            return RECHECK_S
        return max(0.0, (due - self._now()).total_seconds())

    def _import_next(self, cause: Cause) -> bool:
        """Import one delivery; False if none is ready."""
        delivery = self._ledger.claim_next(cause, self._spool.is_arrived)
        if delivery is None:
            return False
        try:
            self._import(delivery, cause)
        except Exception as error:  # noqa: BLE001  the edge of a unit of work
            journal.import_failed(delivery.id, delivery.customer, delivery.name)
            self._after_crash(delivery, repr(error))
        return True

    def _import(self, delivery: Delivery, cause: Cause) -> None:
        config = self._config_of()
        customer = config.customers.get(delivery.customer)
        if customer is None:
            self._hold(delivery, NoSuchCustomer.code, delivery.attempts)
            return
        began = time.monotonic()
        job = self._job(delivery, customer, config)
        try:
            report = self._supervisor.run(job)
        except DataBusy as busy:
            self._after_busy(delivery, str(busy))
        except WorkerLost as lost:
            self._after_crash(delivery, str(lost))
        else:
            self._record(delivery, report, cause, int((time.monotonic() - began) * 1000))

    def _job(self, delivery: Delivery, customer: Customer, config: Config) -> Job:
        feed = mapping.match_feed(customer.feeds, delivery.name)
        marks = (customer.zone, customer.currency)
        fingerprint = None if feed is None else mapping.fingerprint(feed, *marks)
        return Job(
            delivery=delivery.id,
            run=delivery.run,
            arrival_seq=delivery.arrival_seq or 0,
            customer=delivery.customer,
            name=delivery.name,
            path=str(self._spool.path_arrived(delivery.id)),
            data_path=str(config.paths.data),
            temp_dir=str(config.paths.state / "temp"),
            feed=None if feed is None else mapping.feed_to_json(feed),
            fingerprint=fingerprint,
            zone=customer.zone,
            currency=customer.currency,
            same_as=self._same_as(delivery, feed, fingerprint),
            max_record_bytes=config.limits.max_record_bytes,
            memory_bytes=config.importer.memory_bytes,
            threads=config.importer.threads,
        )

    def _same_as(
        self, delivery: Delivery, feed: Feed | None, fingerprint: str | None
    ) -> str | None:
        """Return the hash that would make this delivery a duplicate.

        Only the feed's latest import counts, and only if nothing else of that feed came in
        between: a file sent again after a wrong one is imported, whether the wrong one was
        imported, or is held or refused and may be let in later. A later run was asked for by
        an operator and is never a duplicate.
        """
        if feed is None or delivery.run > 1 or delivery.arrival_seq is None:
            return None
        latest = self._ledger.latest_import(delivery.customer, feed.name)
        if latest is None or latest.name != delivery.name or latest.fingerprint != fingerprint:
            return None
        came_between = self._ledger.came_between(latest, delivery, feed.name)
        return None if came_between else latest.sha256

    def _record(self, delivery: Delivery, report: Report, cause: Cause, took_ms: int) -> None:
        self._busy_in_a_row.pop(delivery.id, None)
        recorded = self._insist(lambda: self._ledger.record_report(report))
        if recorded is None:
            return  # start-up takes the run up again; the worker has its report
        self.last_import = recorded
        journal.import_finished(
            report, delivery.customer, delivery.name, cause, delivery.attempts + 1, took_ms
        )
        try:
            self._spool.keep(delivery.id)
        except TilldropError as error:
            journal.bytes_not_moved(delivery.id, error.code, str(error))  # start-up does it again

    def _after_busy(self, delivery: Delivery, why: str) -> None:
        times = self._busy_in_a_row.get(delivery.id, 0) + 1
        self._busy_in_a_row[delivery.id] = times
        wait_s = self._back_off_s(times)
        journal.import_put_off(delivery.id, delivery.customer, delivery.name, why, wait_s)
        self._give_back(delivery, Cause.RETRY, DataBusy.code, delivery.attempts, wait_s)

    def _after_crash(self, delivery: Delivery, why: str) -> None:
        if self._stopping.is_set():
            # The worker may have been ended by our own stop: not the file's fault.
            self._give_back(delivery, Cause.RETRY, WorkerLost.code, delivery.attempts, 0)
            return
        attempts = delivery.attempts + 1
        if attempts >= self._config_of().importer.attempts:
            self._hold(delivery, IMPORT_CRASHED, attempts)
            return
        wait_s = self._back_off_s(attempts)
        journal.import_put_off(delivery.id, delivery.customer, delivery.name, why, wait_s)
        self._give_back(delivery, Cause.CRASH, WorkerLost.code, attempts, wait_s)

    def _back_off_s(self, times: int) -> float:
        return min(self._config_of().importer.retry_after_s * 2.0 ** (times - 1), BACK_OFF_MOST_S)

    def _give_back(
        self, delivery: Delivery, cause: Cause, reason: str, attempts: int, wait_s: float
    ) -> None:
        self._insist(
            lambda: self._ledger.move(
                delivery.id,
                State.IMPORTING,
                State.ARRIVED,
                cause,
                reason=reason,
                attempts=attempts,
                not_before=self._now() + timedelta(seconds=wait_s),
            )
        )

    def _hold(self, delivery: Delivery, reason: str, attempts: int) -> None:
        self._busy_in_a_row.pop(delivery.id, None)
        held = self._insist(
            lambda: self._ledger.move(
                delivery.id,
                State.IMPORTING,
                State.HELD,
                Cause.CRASH if reason == IMPORT_CRASHED else Cause.OPERATOR,
                reason=reason,
                attempts=attempts,
            )
        )
        if held is not None:
            journal.delivery_held(delivery.id, delivery.customer, delivery.name, reason)

    def _insist(self, change: Callable[[], Future[Delivery]]) -> Delivery | None:
        """Have a change committed, again and again while the ledger is only in trouble.

        None: it could not be before the daemon stops, or the ledger says that it never can.
        """
        while True:
            try:
                return change().result()
            except TilldropError as error:
                journal.importer_troubled(error.code, str(error))
                if not error.temporary or self._stopping.wait(TROUBLE_S):
                    return None
