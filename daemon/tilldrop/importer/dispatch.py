"""The importer's thread: takes what has arrived, has the worker import it, records what it says.

Owns the way of one delivery from ARRIVED to its outcome, and the retries. Promises:
- every claimed delivery ends in a state from which somebody goes on: its outcome, ARRIVED at a
  later time, or HELD with an alert; a bug here counts as a crash of the import, never ends the
  thread;
- an import whose report was not recorded (worker or daemon died) is tried again as the same run,
  so that a worker that had committed answers with the report it stored, and counts stay true;
- bytes that hold card data are dropped once the report is recorded;
- only crashes count towards HELD. A database that is busy, a disk that is full, and a daemon
  that ended do not: the worker is a process of its own, so a file that kills it cannot take the
  daemon along;
- bytes that could not be put away after their import are put away later.
Never reads a delivery's bytes and never opens data.db.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tilldrop import journal, mapping
from tilldrop.companions import companion_feed, companions_of
from tilldrop.delivery import CONTROL_REASONS, Cause, Delivery, State
from tilldrop.errors import (
    DataBusy,
    DataFull,
    NoSuchCustomer,
    NoSuchDelivery,
    SpoolFailed,
    TilldropError,
    WorkerLost,
)
from tilldrop.importer import jobs
from tilldrop.ledger_reading import utcnow
from tilldrop.rows import Job, Report

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import datetime

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.ledger import Ledger
    from tilldrop.mapping import Feed
    from tilldrop.spool import Spool

IMPORT_CRASHED = "import-crashed"
COMPANION_MISSING = "companion-missing"
COMPANION_TRIES = 10  # then the file is held, and goes on when its companion comes
TRY_AGAIN = (State.HELD, State.ARRIVED, Cause.COMPANION)
BACK_OFF_MOST_S = 300.0  # a retry is never further away than this
# If the ledger cannot be written: how long until it is asked again.
TROUBLE_S = 1.0
# While something is due but its file is not in place, nobody may ring when it comes.
RECHECK_S = 30.0


class Runs(Protocol):
    """What the importer needs of the supervisor."""

    def run(self, job: Job) -> Report:
        """Import one file. Raises WorkerLost, DataBusy, DataFull."""
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
        self._tries: dict[str, int] = {}
        self._left: dict[str, Delivery] = {}  # reported, but their bytes are not put away yet
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
        self._put_away_left()
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
            return self._config_of().importer.retry_after_s if self._left else None
        if due <= asked_at:
            return RECHECK_S
        # A clock that was set back must not make it sleep for as long.
        return min(max(0.0, (due - self._now()).total_seconds()), BACK_OFF_MOST_S)

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
        customer = self._config_of().customers.get(delivery.customer)
        if customer is None:
            self._hold(delivery, NoSuchCustomer.code, delivery.attempts)
            return
        began = time.monotonic()
        belongs_to = companion_feed(customer.feeds, delivery.name)
        feed = None if belongs_to else mapping.match_feed(customer.feeds, delivery.name)
        job = self._job(delivery, customer, feed)
        if feed is not None and not job.companion_path and self._awaits_companion(delivery, feed):
            return
        try:
            report = self._run(job, belongs_to)
        except (DataBusy, DataFull) as wait:
            self._after_wait(delivery, wait)
        except WorkerLost as lost:
            self._after_crash(delivery, str(lost))
        else:
            self._record(delivery, report, cause, int((time.monotonic() - began) * 1000))
            if belongs_to is not None and report.outcome == "imported":
                self._release_for(delivery, customer.feeds)

    def _job(self, delivery: Delivery, customer: Customer, feed: Feed | None) -> Job:
        job = jobs.draft(self._config_of(), customer, feed, delivery.name)
        return replace(
            job,
            delivery=delivery.id,
            run=delivery.run,
            arrival_seq=delivery.arrival_seq or 0,
            path=str(self._spool.path_arrived(delivery.id)),
            same_as=self._same_as(delivery, feed, job.fingerprint),
            companion_path=self._companion_path(delivery, feed),
            accepts_controls=bool(delivery.accepted),
            replay=self._replay(delivery),
        )

    def _replay(self, delivery: Delivery) -> dict[str, Any]:
        """Return `Job.replay`: its first and last job begin and end it in both databases."""
        if delivery.replay is None:
            return {}
        part: dict[str, Any] = json.loads(delivery.replay)
        sandbox = self._config_of().paths.sandbox
        if (part["first"] or part["last"]) and sandbox.exists():
            part["sandbox_path"] = str(sandbox)
        return part

    def _companion_path(self, delivery: Delivery, feed: Feed | None) -> str:
        """Return where the latest file is that declares this one's figures; "" if none is kept."""
        for name in () if feed is None else companions_of(feed, delivery.name):
            latest = self._ledger.latest_accepted(delivery.customer, name)
            path = None if latest is None else self._spool.path_of(latest.id)
            if path is not None:
                return str(path)
        return ""

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
        self._tries.pop(delivery.id, None)
        if report.masked_path:
            # Ahead of the ledger: a crash in between must not leave the numbers in the spool.
            self._spool.put_in_place(delivery.id, Path(report.masked_path))
        recorded = self._insist(lambda: self._ledger.record_report(report))
        if recorded is None:
            return  # start-up takes the run up again; the worker has its report
        self.last_import = recorded
        journal.import_finished(
            report, delivery.customer, delivery.name, cause, delivery.attempts + 1, took_ms
        )
        try:
            self._put_away(recorded)
        except (TilldropError, OSError) as error:
            self._left[recorded.id] = recorded
            code = error.code if isinstance(error, TilldropError) else SpoolFailed.code
            journal.bytes_not_moved(delivery.id, code, str(error))

    def _put_away_left(self) -> None:
        """Try again what could not be put away; a delivery that has moved on is let go."""
        for left in list(self._left.values()):
            with suppress(TilldropError, OSError):  # said when it failed first
                if self._stands_in(left.id, left.state):
                    self._put_away(left)
                del self._left[left.id]

    def _stands_in(self, delivery_id: str, state: State) -> bool:
        try:
            return self._ledger.one(delivery_id).state is state
        except NoSuchDelivery:
            return False

    def _put_away(self, recorded: Delivery) -> None:
        """Move the bytes to where the delivery's state wants them; what is held stays."""
        if recorded.bytes_gone_at is not None:
            self._spool.drop(recorded.id)
            journal.card_data_dropped(
                recorded.id, recorded.customer, recorded.name, str(recorded.reason)
            )
        elif recorded.state is State.HELD:
            reason = str(recorded.reason)
            journal.delivery_held(recorded.id, recorded.customer, recorded.name, reason)
        else:
            self._spool.keep(recorded.id)

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

    def _after_wait(self, delivery: Delivery, wait: DataBusy | DataFull) -> None:
        """Try again later, and not count it: it is not the file's fault."""
        times = self._tries.get(delivery.id, 0) + 1
        self._tries[delivery.id] = times
        wait_s = self._back_off_s(times)
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
