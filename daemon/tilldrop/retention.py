"""What is let go in time besides bytes: refused records, earlier versions, what reports quote.

Owns for how long each is kept, by customer, and the walk over all of them in small steps. The
worker drops what lies in data.db and sandbox.db, since it alone writes there; a delivery's moves
and reports in the ledger go last, because it is by them that it is found. Promises: a step is one
small transaction in each database; while the worker is at an import the walk stands aside; a crash
amid it costs nothing but doing a step again. Never lets a delivery's own row go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from tilldrop import journal, ledger_forgetting
from tilldrop.delivery import FINISHED, Delivery, State
from tilldrop.importer import databases
from tilldrop.ledger_reading import utcnow

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from datetime import datetime

    from tilldrop.config import Config
    from tilldrop.ledger import Ledger

FIRST_AFTER_S = 1.0  # the start itself has other things to do
EVERY_S = 3600.0  # what is kept is counted in days
PAUSE_S = 0.1  # between two steps: others have nine tenths of the worker and of the ledger
BUSY_S = 5.0
PATIENCE_S = 0.2  # a small import ends sooner
TROUBLE_S = 60.0
DELIVERIES_AT_ONCE = 100
_OVER = FINISHED | {State.BROKEN}


class Tasks(Protocol):
    """What this needs of the importer's supervisor."""

    def try_task(self, what: dict[str, Any], patience_s: float) -> dict[str, Any] | None:
        """Have the worker do it, or None if it is at something else. Raises DataUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Term:
    """For how many days something is kept. own: by customer, where that is its own; 0: for good."""

    days: int
    own: dict[str, int]

    @classmethod
    def of(cls, config: Config, key: str) -> Term:
        """Return the term that the configuration has under `limits.KEY`."""
        own = {
            name: customer.limits.said[key]
            for name, customer in config.customers.items()
            if key in customer.limits.said
        }
        return cls(getattr(config.limits, key), own)

    def before(self, now: datetime) -> dict[str, str | None]:
        """Return for each customer, and under "" for all others, what is older than that goes."""
        found = {name: _since(days, now) for name, days in {**self.own, "": self.days}.items()}
        return {
            name: None if at is None else at.isoformat(timespec="seconds")
            for name, at in found.items()
        }

    def is_past(self, delivery: Delivery, now: datetime) -> bool:
        """Tell whether a delivery has stood as it does for longer than that."""
        since = _since(self.own.get(delivery.customer, self.days), now)
        return since is not None and delivery.changed_at < since

    def latest(self, now: datetime) -> datetime | None:
        """Return from when on everybody's are kept; None: nobody's ever go."""
        terms = [days for days in (self.days, *self.own.values()) if days]
        return _since(min(terms), now) if terms else None


def _since(days: int, now: datetime) -> datetime | None:
    return now - timedelta(days=days) if days else None


class Retention:
    """The walk; `work` is one step of it, for the thread that keeps house."""

    def __init__(
        self,
        ledger: Ledger,
        tasks: Tasks,
        config_of: Callable[[], Config],
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        self._ledger = ledger
        self._tasks = tasks
        self._config_of = config_of
        self._now = now
        self._dropped = {"refused": 0, "versions": 0, "reports": 0}
        self._steps = self._walk()
        self._due_at = time.monotonic() + FIRST_AFTER_S

    def work(self) -> float:
        """Do the next step if it is due; return how long until the one after it.

        Raises what the ledger and the worker do; the walk then begins anew, a minute later.
        """
        if (left_s := self._due_at - time.monotonic()) > 0:
            return left_s
        wait_s = TROUBLE_S
        try:
            wait_s = next(self._steps)
        except StopIteration:
            wait_s = EVERY_S
        finally:
            if wait_s >= TROUBLE_S:
                self._steps = self._walk()
            self._due_at = time.monotonic() + wait_s
        return wait_s

    def _walk(self) -> Iterator[float]:
        """Go over all once; yields how long to wait before the next step."""
        self._dropped = dict.fromkeys(self._dropped, 0)
        config, now = self._config_of(), self._now()
        for what, key in (("refused", "keep_rejected_days"), ("versions", "keep_history_days")):
            before = Term.of(config, key).before(now)
            if any(before.values()):
                for path in databases.present(config.paths):
                    task = {"task": "expire", "what": what, "before": before}
                    yield from self._expire({**task, "data_path": str(path)})
        yield from self._shorten(config, Term.of(config, "keep_reports_days"), now)
        if any(self._dropped.values()):
            journal.records_expired(**self._dropped)

    def _expire(self, task: dict[str, Any]) -> Iterator[float]:
        """Have the worker drop all that is old enough in one database."""
        after: str | None = ""
        while after is not None:
            done = yield from self._asked({**task, "after": after})
            self._dropped[task["what"]] += done["dropped"]
            after = done["after"]
            yield PAUSE_S

    def _shorten(self, config: Config, term: Term, now: datetime) -> Iterator[float]:
        """Let moves and reports of old deliveries go: in the databases first, then the ledger."""
        if (latest := term.latest(now)) is None:
            return
        after, last = "", f"{latest:%y%m%d-%H%M%S}"  # as ids begin
        while found := ledger_forgetting.with_moves(self._ledger, after, last, DELIVERIES_AT_ONCE):
            after = found[-1].id
            old = [one for one in found if _is_over(one) and term.is_past(one, now)]
            yield from self._shorten_some(config, old)

    def _shorten_some(self, config: Config, old: Sequence[Delivery]) -> Iterator[float]:
        for path in databases.present(config.paths) if old else ():
            task = {"task": "expire", "what": "reports", "data_path": str(path)}
            yield from self._asked({**task, "deliveries": [one.id for one in old]})
        if old:
            self._dropped["reports"] += ledger_forgetting.shorten(self._ledger, old)
        yield PAUSE_S

    def _asked(self, task: dict[str, Any]) -> Generator[float, None, dict[str, Any]]:
        """Ask the worker as soon as it has time for it."""
        while (done := self._tasks.try_task(task, PATIENCE_S)) is None:
            yield BUSY_S
        return done


def _is_over(delivery: Delivery) -> bool:
    """Tell whether nothing more becomes of a delivery."""
    return delivery.state in _OVER and not (
        delivery.state is State.BROKEN and delivery.bytes_gone_at is None
    )
