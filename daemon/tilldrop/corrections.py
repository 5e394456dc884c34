"""What an operator changes about deliveries: replay, hold, release, undo.

Owns the rules of each: from which state it may be done, and what must still be kept. Plain
functions of ledger and spool, used by the running daemon (`control`) and, without one, by the
CLI. Promises that all deliveries of a request are looked at before the first is moved. Never
imports anything: it rings no bell.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tilldrop import journal
from tilldrop.delivery import CONTROL_REASONS, FINISHED, UNDONE, Cause, Delivery, State
from tilldrop.errors import MoveRefused, NoLongerKept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from tilldrop.ledger import Ledger
    from tilldrop.ledger_reading import LedgerReader
    from tilldrop.spool import Spool

HELD_BY_OPERATOR = "held-by-operator"
FIND_MOST = 1_000_000
PUT_AWAY_WITHIN_S = 5.0  # after the import's commit; a matter of milliseconds
LOOK_EVERY_S = 0.005


class Tasks(Protocol):
    """What an undo needs of the importer's supervisor."""

    def task(self, what: dict[str, Any]) -> dict[str, Any]:
        """Have the worker do it. Raises WorkerLost, DataBusy."""
        ...


@dataclass(frozen=True, slots=True)
class Selection:
    """What a customer's replay comes to: its deliveries in order, and those it cannot have."""

    chosen: tuple[Delivery, ...]
    gone: tuple[Delivery, ...]

    @property
    def ids(self) -> list[str]:
        """Return the ids of those that are chosen."""
        return [delivery.id for delivery in self.chosen]


# -- replay --------------------------------------------------------------------------------------


def select(
    ledger: LedgerReader, customer: str, feed: str | None = None, since: datetime | None = None
) -> Selection:
    """Find a customer's finished deliveries to replay, in order of arrival.

    feed: only what was read as that feed, and what no feed took; None: all. since: begun then or
    later. Left out are duplicates (what they repeat is replayed), what an operator took back,
    and companions, which book nothing. gone: imported once, and no longer kept.
    """
    found = sorted(ledger.find(customer=customer, since=since, limit=FIND_MOST), key=_place)
    wanted = [
        delivery
        for delivery in found
        if delivery.state in FINISHED - {State.DUPLICATE}
        and delivery.reason != UNDONE
        and not delivery.is_companion
        and (feed is None or delivery.feed in {feed, None})
    ]
    return Selection(
        chosen=tuple(one for one in wanted if one.bytes_gone_at is None),
        gone=tuple(one for one in wanted if one.bytes_gone_at and one.state is State.IMPORTED),
    )


def replay_customer(ledger: Ledger, spool: Spool, customer: str, selection: Selection) -> list[str]:
    """Replay a customer's deliveries as one: rows that none of them states again will be gone.

    Returns the ids in order. Raises MoveRefused if a replay of the customer is under way, and
    what `replay` raises.
    """
    if left := ledger.in_replay(customer):
        raise MoveRefused(f"a replay of {customer} is under way, {left} still to be imported")
    for delivery in selection.chosen:
        _check_kept(spool, delivery)
    _await_put_away(spool, selection.chosen)
    return _send_on(ledger, spool, selection.chosen, _parts(selection.chosen))


def replay(ledger: Ledger, spool: Spool, ids: Iterable[str]) -> list[str]:
    """Have deliveries imported once more, each by itself, in the order in which they arrived.

    Returns the ids in that order. Ring the importer's bell afterwards: a file that was held has
    not moved. Raises NoSuchDelivery, MoveRefused (neither finished nor held for its control
    figures), NoLongerKept, SpoolFailed.
    """
    chosen = _in_order(ledger, ids)
    for delivery in chosen:
        looked_at = delivery.state is State.HELD and delivery.reason in CONTROL_REASONS
        if delivery.state not in FINISHED and not looked_at:
            raise MoveRefused(f"delivery {delivery.id} is {delivery.state}, so it is not replayed")
        _check_kept(spool, delivery)
    _await_put_away(spool, chosen)
    return _send_on(ledger, spool, chosen, [None] * len(chosen))


def _await_put_away(spool: Spool, chosen: Iterable[Delivery]) -> None:
    """Let the importer's last rename come first: after the replay it would take the file away."""
    deadline = time.monotonic() + PUT_AWAY_WITHIN_S
    for delivery in chosen:
        while delivery.state in FINISHED and spool.is_arrived(delivery.id):
            if time.monotonic() > deadline:
                return  # the disk refuses the rename: the file is where the replay wants it
            time.sleep(LOOK_EVERY_S)


def _parts(chosen: Sequence[Delivery]) -> list[str | None]:
    """Write for each delivery what it is of the replay: `Job.replay`.

    Only the first bears all places in the order: in every one they would grow with the square.
    """
    last = len(chosen) - 1
    return [
        json.dumps(
            {
                "first": number == 0,
                "last": number == last,
                "seqs": [one.arrival_seq for one in chosen] if number == 0 else [],
            }
        )
        for number in range(len(chosen))
    ]


def _send_on(
    ledger: Ledger, spool: Spool, chosen: Sequence[Delivery], parts: Sequence[str | None]
) -> list[str]:
    """Move deliveries to ARRIVED in one commit, then their files."""
    moves = [(one.id, one.state, {"replay": part}) for one, part in zip(chosen, parts, strict=True)]
    ledger.move_all(moves, State.ARRIVED, Cause.REPLAY).result()
    ids = [delivery.id for delivery in chosen]
    # As at an arrival, the ledger first: the rename rings the bell, and start-up and the scan
    # finish it if it does not come to that.
    spool.return_all(ids)
    return ids


# -- hold and release ----------------------------------------------------------------------------


def hold(ledger: Ledger, ids: Iterable[str]) -> list[str]:
    """Put deliveries aside that wait for their import. Raises NoSuchDelivery, MoveRefused."""
    chosen = _in_order(ledger, ids)
    nothing: dict[str, object] = {}
    moves = [(delivery.id, State.ARRIVED, nothing) for delivery in chosen]
    ledger.move_all(moves, State.HELD, Cause.OPERATOR, HELD_BY_OPERATOR).result()
    return [delivery.id for delivery in chosen]


def release(ledger: Ledger, spool: Spool, ids: Iterable[str]) -> list[str]:
    """Let held deliveries be imported, as if they had never failed.

    What is held for its control figures is let in although they differ, now and in any replay.
    Ring the importer's bell afterwards: no file moves. Raises NoSuchDelivery, MoveRefused,
    NoLongerKept.
    """
    chosen = _in_order(ledger, ids)
    for delivery in chosen:
        if delivery.state is not State.HELD:
            raise MoveRefused(f"delivery {delivery.id} is {delivery.state}, not held")
        _check_kept(spool, delivery)
    moves = [(delivery.id, State.HELD, _fresh(delivery)) for delivery in chosen]
    ledger.move_all(moves, State.ARRIVED, Cause.OPERATOR).result()
    return [delivery.id for delivery in chosen]


def _fresh(delivery: Delivery) -> dict[str, object]:
    accepted = int(delivery.accepted or delivery.reason in CONTROL_REASONS)
    return {"attempts": 0, "not_before": None, "accepted": accepted}


# -- undo ----------------------------------------------------------------------------------------


def undo(
    ledger: Ledger, spool: Spool, tasks: Tasks, databases: Iterable[Path], delivery_id: str
) -> dict[str, Any]:
    """Take back what one delivery changed, where nothing newer did; it is rejected afterwards.

    databases: sandbox.db if there is one, then data.db. Returns delivery, restored and removed
    (rows) and kept (why some stay, a text each). What is held and was never imported had changed
    nothing: it is only rejected. A replay that ends with it ends. May be done again after a crash
    amid it. Raises NoSuchDelivery, MoveRefused (neither held nor ever imported), DataBusy,
    WorkerLost.
    """
    delivery = ledger.one(delivery_id)
    # A replay may have been refused or held since, which leaves what an earlier run booked.
    has_booked = ledger.was_imported(delivery.id) and delivery.reason != UNDONE
    if delivery.state is not State.HELD and not (delivery.state in FINISHED and has_booked):
        raise MoveRefused(f"delivery {delivery.id} is {delivery.state}: it has booked nothing")
    done: dict[str, Any] = {"delivery": delivery.id, "restored": 0, "removed": 0, "kept": []}
    if has_booked or _ends_replay(delivery):
        _take_back(tasks, delivery, list(databases), done)
    ledger.move(
        delivery.id, delivery.state, State.REJECTED, Cause.OPERATOR, reason=UNDONE, replay=None
    ).result()
    if spool.is_arrived(delivery.id):
        spool.keep(delivery.id)
    journal.delivery_undone(delivery.id, done["restored"], done["removed"], len(done["kept"]))
    return done


def _take_back(
    tasks: Tasks, delivery: Delivery, databases: Sequence[Path], done: dict[str, Any]
) -> None:
    """Undo in each database; the last is data.db, whose report knows of all rows."""
    known = 0
    for path in databases:
        part = tasks.task(
            {
                "task": "undo",
                "customer": delivery.customer,
                "delivery": delivery.id,
                "arrival_seq": delivery.arrival_seq,
                "data_path": str(path),
                "elsewhere": known if path == databases[-1] else None,
                "ends_replay": _ends_replay(delivery),
            }
        )
        known += part["known"]
        for key in ("restored", "removed", "kept"):
            done[key] += part[key]


def _ends_replay(delivery: Delivery) -> bool:
    return bool(json.loads(delivery.replay or "{}").get("last"))


def _in_order(ledger: LedgerReader, ids: Iterable[str]) -> list[Delivery]:
    return sorted((ledger.one(each) for each in dict.fromkeys(ids)), key=_place)


def _place(delivery: Delivery) -> int:
    return delivery.arrival_seq or 0


def _check_kept(spool: Spool, delivery: Delivery) -> None:
    if delivery.bytes_gone_at is not None or spool.path_of(delivery.id) is None:
        raise NoLongerKept(f"the bytes of delivery {delivery.id} are no longer kept")
