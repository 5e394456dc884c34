"""The end of what is kept: bytes that retention lets go, and files that accidents left behind.

Promises: the ledger says first that bytes are gone, then the file goes; so a replay or a resumption
that takes a delivery up at that moment wins or is told. A sweep goes in steps, and what one step
holds does not depend on how much there is. Never touches the ledger's rows (retention.py does).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from tilldrop import ledger_keeping
from tilldrop.delivery import FINISHED, Delivery, State
from tilldrop.errors import MoveRefused, NoSuchDelivery
from tilldrop.retention import Term

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from tilldrop.config import Config
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool

AT_ONCE = 100  # they share a commit, for which uploads wait: 14 ms
UNRECORDED_FOR = timedelta(hours=1)  # the row of an upload is there within milliseconds


def sweep(
    ledger: Ledger,
    spool: Spool,
    config: Config,
    now: datetime,
    since: datetime | None = None,
) -> Iterator[int]:
    """Drop the bytes of broken uploads and of finished deliveries that are old enough.

    since: from when on bytes that went may have been left behind; None: at any time.
    The ledger's rows stay. Yields after each step how many were dropped in it.
    """
    older = partial(ledger_keeping.bytes_older_than, ledger)
    broken_before = now - timedelta(hours=config.limits.broken_keep_hours)
    for found in _pages(partial(older, State.BROKEN, broken_before)):
        yield _drop(ledger, spool, found, now)
    term = Term.of(config, "keep_days")
    before = term.latest(now)
    for state in sorted(FINISHED) if before else ():
        for found in _pages(partial(older, state, before)):
            yield _drop(ledger, spool, [one for one in found if term.is_past(one, now)], now)
    _drop_unrecorded(ledger, spool, now - UNRECORDED_FOR)
    for found in _pages(partial(ledger_keeping.gone_since, ledger, since)):
        yield _drop_left(spool, found)


def _pages(
    read: Callable[[Delivery | None, int], Sequence[Delivery]],
) -> Iterator[Sequence[Delivery]]:
    last: Delivery | None = None
    while found := read(last, AT_ONCE):
        yield found
        last = found[-1]


def _drop(ledger: Ledger, spool: Spool, old: Sequence[Delivery], now: datetime) -> int:
    # First, because a replay or a resumption may be taking one up right now.
    noted = [(one, ledger.amend(one.id, one.state, bytes_gone_at=now)) for one in old]
    dropped = 0
    for delivery, change in noted:
        with suppress(MoveRefused):
            change.result()
            spool.drop(delivery.id)
            dropped += 1
    return dropped


def _drop_left(spool: Spool, gone: Sequence[Delivery]) -> int:
    """Drop bytes that the ledger says are gone: the daemon ended between the two."""
    left = [one.id for one in gone if spool.path_of(one.id) is not None]
    for delivery_id in left:
        spool.drop(delivery_id)
    return len(left)


def _drop_unrecorded(ledger: Ledger, spool: Spool, before: datetime) -> None:
    """Drop files whose beginning was never recorded: they are in the way on a full disk."""
    for name in spool.strays(spool.receiving):
        with suppress(FileNotFoundError):  # a session just moved it
            if (spool.receiving / name).stat().st_mtime < before.timestamp():
                try:
                    ledger.one(name)
                except NoSuchDelivery:
                    spool.drop(name)
