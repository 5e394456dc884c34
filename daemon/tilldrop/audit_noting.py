"""What the daemon notes in the audit log: which events, how many of a kind, and by which thread.

Promises that noting never waits for the disk, and that nothing is lost unsaid: what cannot be
written now is kept and tried again; of more than can be kept, and of an end that was not in order,
an entry tells. What anybody may bring about as often as he likes is noted one by one up to a rate,
and summed up beyond it, so that guessing passwords does not fill the disk. Never decides what an
event says.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tilldrop import audit, journal
from tilldrop.errors import DatabaseDamaged, TilldropError
from tilldrop.ledger_reading import utcnow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

# Of what the journal says. The rest is about the machine, not about what anyone did.
AUDITED = frozenset(
    {
        *("login.accepted", "login.refused", "password.in_clear", "key.refused"),
        *("password.replaced", "keys.changed", "source.shut_out", "source.forgiven"),
        *("request.refused", "sender.withdrew", "file.read", "receipt.read"),
        *("delivery.moved", "delivery.undone", "card_data.dropped", "bytes.swept"),
        "records.expired",
        *("config.reloaded", "config.refused", "certificate.refused", "host_key.made"),
        *("service.started", "service.stopping", "operator.asked", "shopper.erased"),
        "customer.removed",
    }
)
# Of a delivery's way, the ledger keeps every step; here stands what somebody did, and its end.
PASSED_THROUGH = frozenset({"receiving", "importing"})
# What a client can bring about without end, and what tells its cases apart.
REPEATABLE = {
    "login.refused": "reason",
    "source.shut_out": "offence",
    "request.refused": "code",
    "sender.withdrew": "customer",
    "file.read": "customer",
    "receipt.read": "customer",
}
BURST = 200  # of each such event
REFILL_A_MINUTE = 10.0  # 5.8 million entries in 400 days, 1.7 GB, if one is tried all the time
SUM_UP_AFTER_S = 60.0
CASES_KEPT = 100
BATCH_MOST = 1000
KEPT_MOST = 10_000  # while the log cannot be written
LINGER_S = 0.5  # what a kill -9 may cost; the journal has it then
RETRY_S = 1.0
LOOK_AFTER_S = 3600.0
_NOT_KEPT = frozenset({"event", "level", "timestamp"})
_Noted = tuple[str, str, str]


class Audit:
    """The log, open for writing. One thread writes; entries of the same moment share a commit.

    keep_days_of: how long entries are kept. A log that cannot be written is said in the journal.
    """

    def __init__(
        self, path: Path, keep_days_of: Callable[[], int], now: Callable[[], datetime] = utcnow
    ) -> None:
        self._path = path
        self._keep_days_of = keep_days_of
        self._now = now
        self._queue: queue.SimpleQueue[_Noted | None] = queue.SimpleQueue()
        self._repeated = _Repeated()
        self._kept: list[_Noted] = []  # to be written
        self._lost = 0  # of those that came while no more could be kept
        self.is_failing = False
        self._look_after_at = time.monotonic()
        self._open()
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._thread.start()

    def note(self, event: Mapping[str, Any]) -> None:
        """Take an event of the journal, if it is one to keep. Returns at once."""
        name = str(event.get("event"))
        if name not in AUDITED or event.get("after") in PASSED_THROUGH:
            return
        if name not in REPEATABLE or self._repeated.admits(name, str(event.get(REPEATABLE[name]))):
            what = {key: value for key, value in event.items() if key not in _NOT_KEPT}
            self._put(name, what)

    def close(self) -> None:
        """Write what was noted, and end."""
        self._sum_up()
        self._put(audit.CLOSED, {})
        self._queue.put(None)
        self._thread.join()

    def _put(self, name: str, what: Mapping[str, object]) -> None:
        self._queue.put((self._at(), name, audit.canonical(what)))

    def _at(self) -> str:
        return audit.now_text(self._now())

    def _open(self) -> None:
        with suppress(DatabaseDamaged):  # there is none yet, or it is said by the first writing
            if not audit.was_closed(self._path):
                self._put(audit.GAP, {"why": "not closed in order", "lost_most_s": LINGER_S})
        self._put(audit.OPENED, {})

    # -- the thread ------------------------------------------------------------------------

    def _write_all(self) -> None:
        ending = False
        while not ending:
            ending = self._take()
            if self._repeated.is_due():
                self._sum_up()
            self._write_kept()
            if time.monotonic() >= self._look_after_at:
                self._look_after_at = time.monotonic() + LOOK_AFTER_S
                self._look_after()
        self._look_after()
        if self._kept or self._lost:
            journal.audit_failed(f"{len(self._kept) + self._lost} entries are here only")

    def _take(self) -> bool:
        """Take over what was noted by now; tell whether that was all there will be."""
        wait_s = RETRY_S if self._kept else self._look_after_at - time.monotonic()
        wait_s = min(wait_s, SUM_UP_AFTER_S)
        # A commit for each entry would take the disk from those who wait for it: uploads.
        until = time.monotonic() + max(0.0, wait_s)
        for taken in range(BATCH_MOST):
            try:
                one = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return False
            if one is None:
                return True
            if len(self._kept) < KEPT_MOST:
                self._kept.append(one)
            else:
                self._lost += 1
            if not taken:
                until = time.monotonic() + LINGER_S
        return False

    def _write_kept(self) -> None:
        """Write what is there; if that cannot be, keep it. Said once until it can be again."""
        if not self._kept:
            return
        gap = (self._at(), audit.GAP, audit.canonical({"why": "not written", "lost": self._lost}))
        try:
            audit.write(self._path, [*self._kept, gap] if self._lost else self._kept)
        except TilldropError as error:
            if not self.is_failing:
                journal.audit_failed(str(error))
            self.is_failing = True
        else:
            self._kept, self._lost, self.is_failing = [], 0, False

    def _look_after(self) -> None:
        """Let go of what is old, and say the head where it is kept by someone else."""
        with suppress(DatabaseDamaged):  # the next writing says so
            audit.prune(self._path, self._keep_days_of(), self._now())
            found = audit.head(self._path)
            journal.audit_sealed(*found)

    def _sum_up(self) -> None:
        for what in self._repeated.sums():
            self._put("audit.summed", what)


class _Repeated:
    """Which events come one by one, and how many did not. Asked by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = dict.fromkeys(REPEATABLE, float(BURST))
        self._filled_at = time.monotonic()
        self._summed: Counter[tuple[str, str]] = Counter()
        self._since = self._filled_at

    def admits(self, event: str, case: str) -> bool:
        """Tell whether an event is noted by itself; else it is counted."""
        with self._lock:
            now = time.monotonic()
            gained = (now - self._filled_at) * REFILL_A_MINUTE / 60
            self._left = {name: min(BURST, left + gained) for name, left in self._left.items()}
            self._filled_at = now
            if self._left[event] >= 1:
                self._left[event] -= 1
                return True
            if not self._summed:
                self._since = now
            known = (event, case) in self._summed or len(self._summed) < CASES_KEPT
            self._summed[event, case if known else "others"] += 1
            return False

    def is_due(self) -> bool:
        """Tell whether there is something to be summed up, for long enough."""
        with self._lock:
            return bool(self._summed) and time.monotonic() - self._since >= SUM_UP_AFTER_S

    def sums(self) -> list[dict[str, object]]:
        """Return what was counted, and begin anew."""
        with self._lock:
            summed, self._summed = self._summed, Counter()
        return [
            {"summed": event, REPEATABLE[event]: case, "count": count}
            for (event, case), count in summed.items()
        ]
