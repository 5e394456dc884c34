"""The ledger's reading side: every question that anyone asks of ledger.db.

`LedgerReader` serves the daemon and, beside it, the CLI: a read-only connection for each
thread. Never writes. SQL that only SQLite understands stays in the ledger's files and `sql/`.
"""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop.delivery import Delivery, State
from tilldrop.errors import (
    DatabaseDamaged,
    LedgerBusy,
    LedgerFailed,
    NoSuchDelivery,
    TilldropError,
)
from tilldrop.rows import Report
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000  # longest a door may wait for another program's lock
# Of each thread's connection. Every commit by another empties it, so that a larger one keeps no
# more; but one look through the ledger filled 2 MB for good, twenty times.
CACHE_KIB = 256
DETAIL = (
    "id, arrival_seq, customer, door, name, state, size_bytes, gap_from, mtime, began_at,"
    " arrived_at, changed_at, run, attempts, not_before, feed, reason, sha256, fingerprint,"
    " bytes_gone_at, accepted, replay"
)
_COLUMNS = tuple(DETAIL.split(", "))
_FIELDS = DETAIL.split(", ")
UNFINISHED = "state IN ('receiving', 'waiting', 'broken')"
TOLD = "state NOT IN ('receiving', 'waiting', 'broken', 'arrived', 'importing')"
QUEUED = "state IN ('arrived', 'importing')"
# One row a customer: the head of its queue, by jumping from customer to customer in the index; left
# to itself, SQLite walks through all that wait.
_QUEUES = f"deliveries INDEXED BY deliveries_queue WHERE {QUEUED}"
HEADS = f"""
WITH RECURSIVE waiting_for (customer) AS (
    SELECT min(customer) FROM {_QUEUES}
    UNION ALL
    SELECT (SELECT min(customer) FROM {_QUEUES} AND customer > w.customer)
    FROM waiting_for AS w WHERE w.customer IS NOT NULL
)
SELECT {DETAIL} FROM deliveries WHERE id IN (
    SELECT (SELECT id FROM deliveries WHERE {QUEUED} AND customer = w.customer
            ORDER BY arrival_seq LIMIT 1)
    FROM waiting_for AS w WHERE w.customer IS NOT NULL)
"""  # noqa: S608  no value from outside is in the text

# Names are found by steps in the index, each beyond the last: ?1 the customer, ?2 what they begin
# with. U+10FFFF is in no name, so nothing lies behind it that begins alike.
_NEXT_NAME = (
    "(SELECT name FROM deliveries WHERE customer = ?1 AND arrival_seq IS NOT NULL"
    " AND name > {} AND name < ?2 || char(0x10FFFF) ORDER BY name LIMIT 1)"
)
_STEPS = (
    f"WITH RECURSIVE n (name) AS (SELECT {_NEXT_NAME.format('?2')}"  # noqa: S608  our own text
    f" UNION ALL SELECT {_NEXT_NAME} FROM n WHERE n.name IS NOT NULL)"
)
_TAIL = "substr(n.name, length(?2) + 1)"
_NAMES = _STEPS.format("n.name")
# Of what lies in folders further down, one name each.
_NAMES_INSIDE = _STEPS.format(
    f"iif(instr({_TAIL}, '/'), substr(n.name, 1, length(?2) + instr({_TAIL}, '/'))"
    " || char(0x10FFFF), n.name)"
)


def utcnow() -> datetime:
    """Return the present instant, aware UTC."""
    return datetime.now(UTC)


def instant_text(at: datetime) -> str:
    """Write an instant so that text order is time order."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def read_delivery(row: Sequence[Any]) -> Delivery:
    """Read a row that was selected with DETAIL."""
    fields = dict(zip(_COLUMNS, row, strict=True))
    fields["state"] = State(fields["state"])
    for name in ("began_at", "arrived_at", "changed_at", "not_before", "bytes_gone_at"):
        fields[name] = _instant(fields[name])
    return Delivery(**fields)


@dataclass(frozen=True, slots=True)
class Move:
    """One change of state, as it was logged. before: None at the beginning."""

    before: State | None
    after: State
    cause: str
    reason: str | None
    at: datetime


class LedgerReader:
    """Reads the ledger, beside the daemon or within it; a connection for each thread.

    on_stuck: called, by any thread, when SQLite holds locks against this very process: only a new
    one gets out of that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_damaged = False  # as far as was seen
        self.on_stuck: Callable[[], object] = lambda: None
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def rows(self, sql: str, parameters: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        """Run one query on this thread's connection and fetch all of it."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self._open_reader()
            return connection.execute(sql, tuple(parameters)).fetchall()
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.DatabaseError) -> TilldropError:
        """Name what SQLite said, and remember damage."""
        named = refusal(error, self.path)
        if isinstance(named, DatabaseDamaged):
            if not self.is_damaged and self._is_sound():
                # SQLite calls it damage, too, when the disk once failed to give a page (EIO).
                return LedgerFailed(f"{self.path.name}: {error}; looked at again, it is sound")
            self.is_damaged = True
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_PROTOCOL:
            self.on_stuck()  # a mark that readers set stays locked: SQLite tried for ten seconds
        return named

    def _is_sound(self) -> bool:
        """Look at the whole file. Cost: 0.4 s for 100,000 deliveries."""
        try:
            with closing(
                sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)
            ) as it:
                return bool(it.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
        except sqlite3.DatabaseError:
            return False

    def _open_reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self.path.resolve().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # close() comes from another thread
            timeout=BUSY_TIMEOUT_MS / 1000,
        )
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._opened.append(connection)
        self._local.connection = connection
        return connection

    def _deliveries(self, condition: str, parameters: Iterable[object] = ()) -> list[Delivery]:
        sql = f"SELECT {DETAIL} FROM deliveries WHERE {condition}"  # noqa: S608
        return [read_delivery(row) for row in self.rows(sql, parameters)]

    def one(self, delivery_id: str) -> Delivery:
        """Return one delivery. Raises NoSuchDelivery."""
        found = self._deliveries("id = ?", (delivery_id,))
        if not found:
            raise NoSuchDelivery(f"the ledger has no delivery {delivery_id!r}")
        return found[0]

    def find(
        self,
        customer: str | None = None,
        state: State | None = None,
        name: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """Return deliveries that fit all that is given, newest first: by id, which is by time."""
        wanted = {"customer = ?": customer, "state = ?": state, "name = ?": name}
        given = {sql: value for sql, value in wanted.items() if value is not None}
        if since is not None:
            given["began_at >= ?"] = instant_text(since)
        condition = " AND ".join(given) or "1"
        found = self._deliveries(f"{condition} ORDER BY id DESC LIMIT ?", (*given.values(), limit))
        return sorted(found, key=lambda one: (one.began_at, one.id), reverse=True)

    def is_empty(self) -> bool:
        """Tell whether no delivery was ever begun."""
        return not self.rows("SELECT 1 FROM deliveries LIMIT 1")

    def in_state(self, state: State) -> list[Delivery]:
        """Return all deliveries in one state, in order of arrival, then of beginning."""
        return self._deliveries("state = ? ORDER BY arrival_seq, began_at", (state,))

    def ids_in_state(self, state: State) -> list[str]:
        """Return the ids of all deliveries in one state, in order of arrival. Cost: 1 us each."""
        sql = "SELECT id FROM deliveries WHERE state = ? ORDER BY arrival_seq"
        return [delivery_id for (delivery_id,) in self.rows(sql, (state,))]

    def ids_of(self, customer: str) -> list[str]:
        """Return the ids of all deliveries of a customer. Cost: 64 bytes each, 1 KB as `find`."""
        sql = "SELECT id FROM deliveries WHERE customer = ?"
        return [delivery_id for (delivery_id,) in self.rows(sql, (customer,))]

    def latest_accepted(self, customer: str, name: str) -> Delivery | None:
        """Return the last acknowledged delivery of a name."""
        condition = "customer = ? AND name = ? AND arrival_seq IS NOT NULL"
        condition += " ORDER BY arrival_seq DESC LIMIT 1"
        return next(iter(self._deliveries(condition, (customer, name))), None)

    def by_origin(self, customer: str, origin: str) -> Delivery | None:
        """Return the latest delivery that a door took from there and that was not broken off."""
        condition = "origin = ? AND customer = ? AND state NOT IN ('receiving', 'broken')"
        condition += " ORDER BY began_at DESC, id DESC LIMIT 1"
        return next(iter(self._deliveries(condition, (origin, customer))), None)

    def accepted_names(self, customer: str, folder: str | None = None) -> list[Delivery]:
        """Return the last acknowledged delivery of every name.

        folder: only of those in it; "" is the root. Cost: three steps in the index for each name
        there and one for each folder in it, however many deliveries a name has had.
        """
        prefix = f"{folder}/" if folder else ""
        names, here = (
            (_NAMES, "1") if folder is None else (_NAMES_INSIDE, f"instr({_TAIL}, '/') = 0")
        )
        detail = ", ".join(f"d.{column}" for column in _COLUMNS)
        sql = (
            f"{names} SELECT {detail} FROM n CROSS JOIN deliveries AS d"  # noqa: S608  our text
            " ON d.arrival_seq = (SELECT max(arrival_seq) FROM deliveries WHERE customer = ?1"
            f" AND name = n.name AND arrival_seq IS NOT NULL) WHERE {here}"
        )
        return [read_delivery(row) for row in self.rows(sql, (customer, prefix))]

    def accepted_folders(self, customer: str, folder: str) -> list[str]:
        """Return an acknowledged name of each folder that is directly in a folder; "" is the root.

        Cost: as `accepted_names`.
        """
        prefix = f"{folder}/" if folder else ""
        sql = f"{_NAMES_INSIDE} SELECT name FROM n WHERE instr({_TAIL}, '/') > 0"  # noqa: S608
        return [name for (name,) in self.rows(sql, (customer, prefix))]

    def unfinished(self, customer: str, name: str | None = None) -> list[Delivery]:
        """Return what is being received, waits or broke off, latest change last."""
        condition = f"{UNFINISHED} AND customer = ? AND bytes_gone_at IS NULL"
        if name is None:
            return self._deliveries(condition + " ORDER BY changed_at", (customer,))
        return self._deliveries(condition + " AND name = ? ORDER BY changed_at", (customer, name))

    def has_inside(self, customer: str, folder: str) -> bool:
        """Say whether anything was ever delivered into a folder, or is unfinished there."""
        inside = "name >= ?2 || '/' AND name < ?2 || '0'"  # 0 is the sign that follows a slash
        sql = (
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE customer = ?1"  # noqa: S608  our text
            f" AND arrival_seq IS NOT NULL AND {inside}) OR EXISTS (SELECT 1 FROM deliveries"
            f" WHERE {UNFINISHED} AND customer = ?1 AND bytes_gone_at IS NULL AND {inside})"
        )
        return bool(self.rows(sql, (customer, folder))[0][0])

    def stored_bytes(self, customer: str) -> int:
        """Return how many bytes of a customer are kept. Cost: each of its deliveries once."""
        sql = (
            "SELECT coalesce(sum(size_bytes), 0) FROM deliveries"
            " WHERE customer = ? AND bytes_gone_at IS NULL AND "
        )
        halves = ("arrival_seq IS NOT NULL", UNFINISHED)  # each has its index
        return sum(int(self.rows(sql + half, (customer,))[0][0]) for half in halves)

    def count_begun(self, customer: str, since: datetime) -> int:
        """Return how many uploads a customer began since. Cost: all that began since then."""
        sql = "SELECT count(*) FROM deliveries WHERE id >= ? AND customer = ?"
        first_id = f"{since.astimezone(UTC):%y%m%d-%H%M%S}"  # as a delivery's id begins
        return int(self.rows(sql, (first_id, customer))[0][0])

    def with_receipt(self, customer: str, limit: int) -> list[Delivery]:
        """Return the last deliveries about which there is something to tell, newest first."""
        last = " ORDER BY changed_at DESC LIMIT ?"
        told = self._deliveries(f"customer = ? AND {TOLD}{last}", (customer, limit))
        never_renamed = "state = 'broken' AND reason = 'never-renamed' AND customer = ?"
        told += self._deliveries(never_renamed + last, (customer, limit))
        return sorted(told, key=lambda one: one.changed_at, reverse=True)[:limit]

    def latest_import(self, customer: str, feed: str) -> Delivery | None:
        """Return the delivery with the highest arrival_seq imported in that feed."""
        condition = (
            "state = 'imported' AND customer = ? AND feed = ? ORDER BY arrival_seq DESC LIMIT 1"
        )
        return next(iter(self._deliveries(condition, (customer, feed))), None)

    def came_between(self, first: Delivery, last: Delivery, feed: str) -> bool:
        """Say whether anything else of that feed, or of none yet, arrived between the two.

        Also true if they did not arrive in that order. Duplicates change nothing, so they do
        not count.
        """
        sql = (
            "SELECT ?1 >= ?2 OR EXISTS (SELECT 1 FROM deliveries WHERE customer = ?3"
            " AND arrival_seq > ?1 AND arrival_seq < ?2 AND state <> 'duplicate'"
            " AND coalesce(feed, ?4) = ?4)"
        )
        parameters = (first.arrival_seq, last.arrival_seq, last.customer, feed)
        return bool(self.rows(sql, parameters)[0][0])

    def in_replay(self, customer: str) -> int:
        """Return how many of a customer's deliveries wait for their part of a replay."""
        sql = "SELECT count(*) FROM deliveries WHERE replay IS NOT NULL AND customer = ?"
        return int(self.rows(f"{sql} AND {QUEUED}", (customer,))[0][0])

    def importing_of(self, customer: str) -> str | None:
        """Return which delivery of a customer is being imported just now."""
        sql = "SELECT id FROM deliveries WHERE state = 'importing' AND customer = ?"
        found = self.rows(sql, (customer,))
        return str(found[0][0]) if found else None

    def next_attempt_at(self) -> datetime | None:
        """Return when the earliest waiting retry is due; None if none waits.

        Only of those that are first in their customer's queue: all others wait for them.
        """
        sql = f"SELECT min(not_before) FROM ({HEADS}) WHERE state = 'arrived'"  # noqa: S608
        return _instant(self.rows(sql)[0][0])

    def report(self, delivery_id: str, run: int | None = None) -> Report | None:
        """Return the report of one run, or of the latest that ended."""
        sql = "SELECT report FROM runs WHERE delivery = ?"
        sql += " ORDER BY run DESC LIMIT 1" if run is None else " AND run = ?"
        found = self.rows(sql, (delivery_id,) if run is None else (delivery_id, run))
        return Report.from_json(found[0][0]) if found else None

    def was_imported(self, delivery_id: str) -> bool:
        """Say whether any run of a delivery booked it, whatever became of it later."""
        sql = "SELECT EXISTS (SELECT 1 FROM runs WHERE delivery = ? AND outcome = 'imported')"
        return bool(self.rows(sql, (delivery_id,))[0][0])

    def moves(self, delivery_id: str) -> list[Move]:
        """Return every state that a delivery went through, first to last."""
        sql = "SELECT before, after, cause, reason, at FROM moves WHERE delivery = ? ORDER BY seq"
        return [
            Move(State(b) if b else None, State(a), c, r, datetime.fromisoformat(at))
            for b, a, c, r, at in self.rows(sql, (delivery_id,))
        ]

    def count_by_state(self) -> dict[State, int]:
        """Return how many deliveries stand in each state; states with none are left out."""
        sql = "SELECT state, count(*) FROM deliveries GROUP BY state"
        return {State(state): count for state, count in self.rows(sql)}

    def close(self) -> None:
        """Close every thread's reading connection."""
        while self._opened:
            self._opened.pop().close()


def refusal(error: sqlite3.DatabaseError, path: Path) -> TilldropError:
    """Name what SQLite said."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerBusy(f"{path.name} stayed locked by another program for {BUSY_TIMEOUT_MS} ms")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DatabaseDamaged(f"{path} is damaged ({error}); restore it from a backup")
    return LedgerFailed(f"{path.name}: {error}")
