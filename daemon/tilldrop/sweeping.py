"""The end of what is kept: bytes that retention lets go, and files that accidents left behind.

Promises: the ledger says first that bytes are gone, then the file goes; so a replay or a resumption
that takes a delivery up at that moment wins or is told. A sweep goes in steps, and what one step
holds does not depend on how much there is. Never touches the ledger's rows (retention.py does).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from tilldrop.delivery import FINISHED, Delivery, State
from tilldrop.errors import MoveRefused, NoSuchDelivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tilldrop.config import Limits
    from tilldrop.ledger import Ledger
    from tilldrop.spool import Spool

AT_ONCE = 100  # they share a commit, for which uploads wait: 14 ms
UNRECORDED_FOR = timedelta(hours=1)  # the row of an upload is there within milliseconds


def sweep(
    ledger: Ledger,
    spool: Spool,
    limits: Limits,
    now: datetime,
    own_keep_days: Mapping[str, int] | None = None,
) -> Iterator[int]:
    """Drop the bytes of broken uploads and of finished deliveries that are old enough.

    own_keep_days: customer -> for how many days its files are kept, where that is its own.
    The ledger's rows stay. Yields after each step how many were dropped in it.
    """
    own = own_keep_days or {}
    for found in _pages(ledger, State.BROKEN, now - timedelta(hours=limits.broken_keep_hours)):
        yield _drop(ledger, spool, found, now)
    shortest = min((limits.keep_days, *own.values()))
    for state in sorted(FINISHED):
        for found in _pages(ledger, state, now - timedelta(days=shortest)):
            old = [
                one
                for one in found
                if one.changed_at < now - timedelta(days=own.get(one.customer, limits.keep_days))
            ]
            yield _drop(ledger, spool, old, now)
    _drop_unrecorded(ledger, spool, now - UNRECORDED_FOR)
    yield _drop_orphans(ledger, spool, now - timedelta(days=shortest))


def _pages(ledger: Ledger, state: State, before: datetime) -> Iterator[Sequence[Delivery]]:
    last: Delivery | None = None
    while found := ledger.bytes_older_than(state, before, last, AT_ONCE):
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


def _drop_orphans(ledger: Ledger, spool: Spool, before: datetime) -> int:
    """Drop kept bytes that the ledger says are gone: the daemon ended between the two.

    Cost: the names of all that is kept; of what is older than `before`, a look into the ledger.
    """
    dropped = 0
    last = f"{before:%y%m%d-%H%M%S}"  # as ids begin
    for name in spool.names(spool.kept):
        if name < last and _says_gone(ledger, name):
            spool.drop(name)
            dropped += 1
    return dropped


def _says_gone(ledger: Ledger, delivery_id: str) -> bool:
    try:
        return ledger.one(delivery_id).bytes_gone_at is not None
    except NoSuchDelivery:
        return False


def _drop_unrecorded(ledger: Ledger, spool: Spool, before: datetime) -> None:
    """Drop files whose beginning was never recorded: they are in the way on a full disk."""
    for name in spool.strays(spool.receiving):
        with suppress(FileNotFoundError):  # a session just moved it
            if (spool.receiving / name).stat().st_mtime < before.timestamp():
                try:
                    ledger.one(name)
                except NoSuchDelivery:
                    spool.drop(name)
