"""The importer's thread: takes what has arrived, has the worker import it, records what it says.

Owns the way of one delivery from ARRIVED to its outcome, and the retries. Promises:
- every claimed delivery ends in a state from which somebody goes on: its outcome, ARRIVED at a
  later time, or HELD with an alert; a bug here counts as a crash of the import, never ends the
  thread;
- an import whose report was not recorded (worker or daemon died) is tried again as the same run,
  so that a worker that had committed answers with the report it stored, and counts stay true;
- bytes that hold card data are dropped once the report is recorded;
- only crashes count towards HELD. A database that is busy, damaged or out of reach, a disk that
  is full, and a daemon that ended do not: the worker is a process of its own, so a file that
  kills it cannot take the daemon along. A file that the disk does not give is waited for, too, but
  not for ever: its customer's next ones wait behind it;
- bytes that could not be put away after their import are put away later.
Never reads a delivery's bytes and never opens data.db.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop import journal, mapping
from tilldrop.companions import companion_feed, companions_of
from tilldrop.delivery import CONTROL_REASONS, Cause, Delivery, State
from tilldrop.errors import (
    BytesUnreadable,
    DataDamaged,
    DataUnavailable,
    NoSuchCustomer,
    TilldropError,
    WorkerLost,
)
from tilldrop.importer.claimed import ClaimedJobs
from tilldrop.importer.putting_away import PuttingAway
from tilldrop.ledger_reading import utcnow
from tilldrop.rows import Job, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from datetime import datetime

    from tilldrop.config import Config
    from tilldrop.importer.asked import Bell, Runs
    from tilldrop.ledger import Ledger
    from tilldrop.mapping import Feed
    from tilldrop.spool import Spool

IMPORT_CRASHED = "import-crashed"
# These do not pass by themselves.
FOR_A_PERSON = (DataDamaged.code, DataUnavailable.code, BytesUnreadable.code)
OF_ONE_FILE = (BytesUnreadable, WorkerLost)  # the others may be imported meanwhile
UNREADABLE_TRIES = 12  # half an hour, as configured; then others of the customer go on
COMPANION_MISSING = "companion-missing"
COMPANION_TRIES = 10  # then the file is held, and goes on when its companion comes
TRY_AGAIN = (State.HELD, State.ARRIVED, Cause.COMPANION)
BACK_OFF_MOST_S = 300.0  # a retry is never further away than this
TROUBLE_S = 1.0  # if the ledger cannot be written: until it is asked again
RECHECK_S = 30.0  # while something is due whose file is not in place: nobody may ring for it
# Of a backlog of small files so many are claimed at once, 0.1 s of one customer's at most: each by
# itself, or where they share a commit in data.db, too.
BATCH_MOST = 16
TOGETHER_MOST = 64
BATCH_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class _Done:
    """An import that the worker has reported. awaited_by: feeds whose files wait for this one."""

    delivery: Delivery
    report: Report
    took_ms: int
    awaited_by: tuple[Feed, ...]


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
        self._tries: dict[str, int] = {}
        self._putting_away = PuttingAway(ledger, spool)
        self._done: list[_Done] = []  # imported, but not recorded yet
        self._ahead: list[Delivery] = []  # claimed in the commit of the last reports
        self._goes_together = True  # those of the last batch did
        self._jobs = ClaimedJobs(ledger, spool, config_of)
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
        self._give_back_all(self._ahead)

    def _turn(self, cause: Cause) -> Cause:
        """Import what is next, or wait if nothing is ready; return what the next turn is for."""
        self._putting_away.try_again()
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
            is_done = self._putting_away.is_done
            return None if is_done else self._config_of().importer.retry_after_s
        if due <= asked_at:
            return RECHECK_S
        # A clock that was set back must not make it sleep for as long.
        return min(max(0.0, (due - self._now()).total_seconds()), BACK_OFF_MOST_S)

    def _import_next(self, cause: Cause) -> bool:
        """Import one delivery, or a few small ones of a customer; False if none is ready.

        Their reports are recorded together, and the next are claimed in the same commit: beside
        busy doors a commit takes longer than a small file's import. A customer's deliveries are
        imported in their order: where one has to wait, those behind it do so too.
        """
        batch, self._ahead = self._ahead or self._claim(cause).result(), []
        left, goes_on, singly = deque(batch), True, 0
        while left and goes_on and not self._stopping.is_set():
            jobs = [] if singly else self._jobs_together(left, cause)
            singly = max(0, singly - 1)
            self._goes_together = bool(jobs)
            if not jobs:
                goes_on = self._goes_on(left.popleft(), cause)
            elif lost := self._import_together(left, jobs):
                goes_on, singly = isinstance(lost, OF_ONE_FILE), len(jobs)
        self._give_back_all(left)
        self._record_all(cause, ahead=not self._stopping.is_set())
        return bool(batch)

    def _claim(self, cause: Cause) -> Future[list[Delivery]]:
        most = TOGETHER_MOST if self._goes_together else BATCH_MOST
        return self._ledger.claim(cause, self._spool.is_arrived, most, BATCH_BYTES)

    def _jobs_together(self, left: deque[Delivery], cause: Cause) -> list[Job]:
        """Return the jobs of the first of these that may share a commit; none: one by one."""
        try:
            jobs = self._jobs.together(left)
            if jobs and self._done:  # what is not recorded yet may be what one of them repeats
                self._record_all(cause, ahead=False)
                jobs = self._jobs.together(left)
        except Exception:  # noqa: BLE001  of whichever it is, its own turn tells
            journal.importer_failed()
            return []
        return jobs

    def _import_together(
        self, left: deque[Delivery], jobs: list[Job]
    ) -> DataUnavailable | WorkerLost | None:
        """Import the first deliveries in one commit and take them away.

        Returns what kept it from that. Which of them a worker cannot stand shows one by one.
        """
        began = time.monotonic()
        try:
            reports = self._supervisor.run_all(jobs)
        except (BytesUnreadable, WorkerLost) as lost:
            return lost
        except DataUnavailable as wait:
            self._after_wait(left.popleft(), wait)
            return wait
        except Exception as error:  # noqa: BLE001  the edge of a unit of work
            journal.importer_failed()
            return WorkerLost(repr(error))
        took_ms = int((time.monotonic() - began) * 1000 / len(jobs))
        for report in reports:
            self._done.append(_Done(left.popleft(), report, took_ms, ()))
        return None

    def _goes_on(self, delivery: Delivery, cause: Cause) -> bool:
        """Import a delivery; tell whether those behind it may be imported too."""
        try:
            return self._import(delivery, cause)
        except Exception as error:  # noqa: BLE001  the edge of a unit of work
            self._failed(delivery, error)
            return False

    def _failed(self, delivery: Delivery, error: Exception) -> None:
        journal.import_failed(delivery.id, delivery.customer, delivery.name)
        self._after_crash(delivery, repr(error))

    def _import(self, delivery: Delivery, cause: Cause) -> bool:
        customer = self._config_of().customers.get(delivery.customer)
        if customer is None:
            self._hold(delivery, NoSuchCustomer.code, delivery.attempts)
            return False
        began = time.monotonic()
        belongs_to = companion_feed(customer.feeds, delivery.name)
        feed = None if belongs_to else mapping.match_feed(customer.feeds, delivery.name)
        is_known = any(one.delivery.name == delivery.name for one in self._done)
        if self._done and (is_known or self._jobs.may_be_again(delivery, feed)):
            self._record_all(cause, ahead=False)
        job = self._jobs.job(delivery, customer, feed)
        if feed is not None and not job.companion_path and self._awaits_companion(delivery, feed):
            return False
        try:
            report = self._run(job, belongs_to)
        except DataUnavailable as wait:
            self._after_wait(delivery, wait)
            return False
        except WorkerLost as lost:
            self._after_crash(delivery, str(lost))
            return False
        is_companion = belongs_to is not None and report.outcome == "imported"
        awaited_by = customer.feeds if is_companion else ()
        took_ms = int((time.monotonic() - began) * 1000)
        self._done.append(_Done(delivery, report, took_ms, awaited_by))
        return belongs_to is None

    def _record_all(self, cause: Cause, *, ahead: bool) -> None:
        """Record the reports there are. ahead: claim what is next in the same commit."""
        done, self._done = self._done, []
        # All of them wait at once, and so share a commit.
        begun: list[tuple[_Done, Future[Delivery]]] = []
        for one in done:
            try:
                begun.append((one, self._begin_record(one)))
            except Exception as error:  # noqa: BLE001  the edge of a unit of work
                self._failed(one.delivery, error)
        claimed = self._claim(cause) if ahead and done else None
        for one, first in begun:
            try:
                self._record(one, first, cause)
            except Exception as error:  # noqa: BLE001  the edge of a unit of work
                self._failed(one.delivery, error)
        if claimed is not None and claimed.exception() is None:  # else the next turn says it
            self._ahead = claimed.result()

    def _begin_record(self, one: _Done) -> Future[Delivery]:
        self._tries.pop(one.delivery.id, None)
        if one.report.masked_path:
            # Ahead of the ledger: a crash in between must not leave the numbers in the spool.
            self._spool.put_in_place(one.delivery.id, Path(one.report.masked_path))
        return self._ledger.record_report(one.report, drops_bytes=self._has_lost_mask(one.report))

    def _has_lost_mask(self, report: Report) -> bool:
        """Tell whether the masked copy is gone, as in a restored home, and the bytes are not it."""
        return bool(report.masked_path) and self._spool.holds(report.delivery, str(report.sha256))

    def _record(self, one: _Done, first: Future[Delivery], cause: Cause) -> None:
        attempts = iter((first,))
        delivery, report = one.delivery, one.report
        recorded = self._insist(lambda: next(attempts, None) or self._begin_record(one))
        if recorded is None:
            return  # start-up takes the run up again; the worker has its report
        self.last_import = recorded
        journal.import_finished(
            report, delivery.customer, delivery.name, cause, delivery.attempts + 1, one.took_ms
        )
        self._putting_away.take(recorded)
        if one.awaited_by:
            self._release_for(delivery, one.awaited_by)

    # -- companions ------------------------------------------------------------------------------

    def _run(self, job: Job, belongs_to: str | None) -> Report:
        """Have a file imported; a companion books nothing, but is screened like any other."""
        report = self._supervisor.run(job)
        if belongs_to is None or report.outcome == "rejected":
            return report
        return Report(job.delivery, job.run, "imported", feed=belongs_to)

    def _awaits_companion(self, delivery: Delivery, feed: Feed) -> bool:
        """Give a delivery back for a while if the file that declares its figures has not come."""
        names = companions_of(feed, delivery.name)
        tries = self._tries.get(delivery.id, 0) + 1
        if not names or delivery.accepted or tries > COMPANION_TRIES:
            return False
        self._tries[delivery.id] = tries
        wait_s = self._config_of().importer.retry_after_s
        why = f"{names[0]} has not come"
        journal.import_put_off(delivery.id, delivery.customer, delivery.name, why, wait_s)
        self._give_back(delivery, Cause.RETRY, COMPANION_MISSING, delivery.attempts, wait_s)
        return True

    def _release_for(self, companion: Delivery, feeds: tuple[Feed, ...]) -> None:
        """Have files looked at again that are held for the figures which now have come."""
        for held in self._ledger.in_state(State.HELD):
            if held.customer != companion.customer or held.reason not in CONTROL_REASONS:
                continue
            feed = mapping.match_feed(feeds, held.name)
            if feed is not None and companion.name in companions_of(feed, held.name):
                self._insist(partial(self._ledger.move, held.id, *TRY_AGAIN))

    def _after_wait(self, delivery: Delivery, wait: DataUnavailable) -> None:
        """Try again later, and not count it: it is not the file's fault."""
        times = self._tries.get(delivery.id, 0) + 1
        self._tries[delivery.id] = times
        if isinstance(wait, BytesUnreadable) and times >= UNREADABLE_TRIES:
            self._hold(delivery, IMPORT_CRASHED, delivery.attempts)
            return
        wait_s = self._back_off_s(times)
        if wait.code in FOR_A_PERSON:
            journal.importer_troubled(wait.code, str(wait))  # which a person must mend
        journal.import_put_off(delivery.id, delivery.customer, delivery.name, str(wait), wait_s)
        self._give_back(delivery, Cause.RETRY, wait.code, delivery.attempts, wait_s)

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

    def _give_back_all(self, deliveries: Iterable[Delivery]) -> None:
        """Give back what was claimed and not begun."""
        for one in deliveries:
            again = (one.id, State.IMPORTING, State.ARRIVED, Cause.RETRY)
            self._insist(partial(self._ledger.move, *again, attempts=one.attempts))

    def _hold(self, delivery: Delivery, reason: str, attempts: int) -> None:
        self._tries.pop(delivery.id, None)
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
