"""A delivery and the states it goes through: one table.

Owns `MOVES`. Every change of state is one of these moves; `ledger.move()` makes it a
compare-and-swap, one row in `moves`, one journal line. Nothing here touches a disk.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

# Crockford's base 32 without look-alikes; five of them make 33 million.
_ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_RANDOM_CHARS = 5


class State(StrEnum):
    """Where a delivery stands."""

    RECEIVING = "receiving"  # a client is writing it
    WAITING = "waiting"  # closed, but under a temporary name or empty
    BROKEN = "broken"  # its end was never proved; may be resumed
    ARRIVED = "arrived"  # whole, synced, acknowledged
    IMPORTING = "importing"  # the worker has it
    IMPORTED = "imported"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    UNCLAIMED = "unclaimed"  # no feed takes a file of that name
    HELD = "held"  # an operator must release it


class Cause(StrEnum):
    """What made a delivery move."""

    BEGIN = "begin"
    CLOSE = "close"
    RENAME = "rename"
    LOST = "lost"  # the end of the transfer was not proved
    RESUME = "resume"
    STARTUP = "startup"
    GRACE = "grace"  # waited long enough
    WATCHDOG = "watchdog"
    SCAN = "scan"
    RETRY = "retry"
    REPORT = "report"
    CRASH = "crash"
    OPERATOR = "operator"
    REPLAY = "replay"
    REMOVE = "remove"  # the client discarded what it had not finished
    COMPANION = "companion"  # the file that declares its figures has come


MOVES: dict[State, frozenset[State]] = {
    State.RECEIVING: frozenset({State.ARRIVED, State.WAITING, State.BROKEN}),
    State.WAITING: frozenset({State.ARRIVED, State.RECEIVING, State.BROKEN}),
    State.BROKEN: frozenset({State.RECEIVING}),
    State.ARRIVED: frozenset({State.IMPORTING, State.HELD}),
    State.IMPORTING: frozenset(
        {
            State.IMPORTED,
            State.REJECTED,
            State.DUPLICATE,
            State.UNCLAIMED,
            State.ARRIVED,  # temporary trouble: try again at not_before
            State.HELD,  # third crash, or other figures than the file declares
        }
    ),
    State.IMPORTED: frozenset({State.ARRIVED, State.REJECTED}),  # rejected: undone
    # Undone, too, where an earlier run had booked something.
    State.REJECTED: frozenset({State.ARRIVED, State.REJECTED}),
    State.DUPLICATE: frozenset({State.ARRIVED}),
    State.UNCLAIMED: frozenset({State.ARRIVED, State.REJECTED}),
    State.HELD: frozenset({State.ARRIVED, State.REJECTED}),
}

ACCEPTED = frozenset(set(State) - {State.RECEIVING, State.WAITING, State.BROKEN})
FINISHED = frozenset({State.IMPORTED, State.REJECTED, State.DUPLICATE, State.UNCLAIMED})

UNDONE = "undone"  # the reason of a delivery that an operator took back
# Reasons for which a file is held until an operator accepts its figures.
CONTROL_REASONS = frozenset({"control-differs", "control-missing", "companion-missing"})
# Reasons for which a file's bytes are not kept.
CARD_REASONS = frozenset({"card-data", "card-track-data", "card-code"})
# What follows a feed's name in the `feed` of a companion, which itself books nothing.
COMPANION = ":companion"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One uploaded file: its row in the ledger.

    arrival_seq: place in the order of acknowledgement, None until then.
    name: as the customer sees it, relative to its root ("sales.csv", "transactions/a.csv").
    size_bytes: whole size once accepted or waiting; contiguous prefix while broken.
    gap_from: smallest offset from which the bytes on disk may have holes; None: no holes.
    mtime: what the client's utime asked to be shown, seconds since 1970; else None.
    run: number of the latest import attempt, 0 before the first.
    attempts: failed attempts in a row. not_before: earliest next attempt.
    bytes_gone_at: when the bytes were removed: by retention, or because they held card numbers.
    accepted: an operator let it in although the figures that it declares differ.
    replay: JSON of `Job.replay` for its next run, None if that is of no replay.
    """

    id: str
    arrival_seq: int | None
    customer: str
    door: str
    name: str
    state: State
    size_bytes: int
    gap_from: int | None
    mtime: int | None
    began_at: datetime
    arrived_at: datetime | None
    changed_at: datetime
    run: int
    attempts: int
    not_before: datetime | None
    feed: str | None
    reason: str | None
    sha256: str | None
    fingerprint: str | None
    bytes_gone_at: datetime | None
    accepted: int = 0
    replay: str | None = None

    @property
    def is_companion(self) -> bool:
        """Tell whether it was taken as the file that declares another's figures."""
        return self.feed is not None and self.feed.endswith(COMPANION)


class Ids:
    """Makes delivery ids: readable, sortable by second, safe in any file name, and none twice.

    By chance alone, 200 uploads a second would share one within the hour. For any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._second = ""
        self._given: set[str] = set()  # in that second

    def next(self, now: datetime) -> str:
        """Make one, e.g. "261121-204512-k7x2q". now: aware UTC."""
        second = f"{now:%y%m%d-%H%M%S}"
        with self._lock:
            if second != self._second:
                self._second, self._given = second, set()
            while (tail := _random_tail()) in self._given:
                pass
            self._given.add(tail)
        return f"{second}-{tail}"


def _random_tail() -> str:
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_RANDOM_CHARS))
