"""The audit log: who did what, from where, when, with what result; chained by hashes.

Owns audit.db. Each entry's hash covers the entry and the hash before it, so that none can be
changed, taken out or put in without `verify` seeing it from there on; that the end was cut off
shows against a head noted elsewhere, which the daemon says in its journal now and then. Promises
that noting never waits for the disk. Never holds a secret: it gets what the journal gets.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilldrop import journal
from tilldrop.errors import DatabaseDamaged
from tilldrop.ledger_reading import utcnow
from tilldrop.sqlite import journal_mode, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

# Of what the journal says. The rest is about the machine, not about what anyone did.
AUDITED = frozenset(
    {
        *("login.accepted", "login.refused", "password.in_clear", "key.refused"),
        *("source.shut_out", "source.forgiven", "request.refused", "sender.withdrew"),
        *("delivery.moved", "delivery.undone", "card_data.dropped", "bytes.swept"),
        *("config.reloaded", "config.refused", "certificate.refused", "host_key.made"),
        *("service.started", "service.stopping", "operator.ran", "shopper.erased"),
        "customer.removed",
    }
)
BUSY_TIMEOUT_S = 30.0
BATCH_MOST = 1000
LINGER_S = 0.5  # what a kill -9 may cost; the journal has it then
LOOK_AFTER_S = 24 * 3600.0
GENESIS = "0" * 64
_NOT_KEPT = frozenset({"event", "level", "timestamp"})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq    INTEGER PRIMARY KEY,
    at     TEXT NOT NULL,
    event  TEXT NOT NULL,
    what   TEXT NOT NULL,
    hash   TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS anchor (seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done. at: UTC, ISO 8601. what: the event's fields."""

    seq: int
    at: str
    event: str
    what: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. broken_at: the first entry that does not follow from those before it.

    first, last: of the entries there are, 0 if none. head: the last one's hash.
    """

    entries: int
    first: int
    last: int
    head: str
    broken_at: int | None


class Audit:
    """The log, open for writing. One thread writes; entries of the same moment share a commit.

    keep_days_of: how long entries are kept. Raises DatabaseDamaged.
    """

    def __init__(
        self, path: Path, keep_days_of: Callable[[], int], now: Callable[[], datetime] = utcnow
    ) -> None:
        self._path = path
        self._keep_days_of = keep_days_of
        self._now = now
        self._queue: queue.SimpleQueue[tuple[str, str, str] | None] = queue.SimpleQueue()
        with _opened(path) as connection:
            connection.executescript(_SCHEMA)
        self._thread = threading.Thread(target=self._write_all, name="audit", daemon=True)
        self._thread.start()

    def note(self, event: Mapping[str, Any]) -> None:
        """Take an event of the journal, if it is one to keep. Returns at once."""
        name = str(event.get("event"))
        if name in AUDITED:
            what = {key: value for key, value in event.items() if key not in _NOT_KEPT}
            self._queue.put((self._at(), name, _canonical(what)))

    def close(self) -> None:
        """Write what was noted, and end."""
        self._queue.put(None)
        self._thread.join()

    def _at(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    def _write_all(self) -> None:
        ending = False
        look_after_at = time.monotonic()
        while not ending:
            try:
                if time.monotonic() >= look_after_at:
                    look_after_at = time.monotonic() + LOOK_AFTER_S
                    self._look_after()
                ending = self._write_batch(look_after_at - time.monotonic())
            except DatabaseDamaged as error:
                journal.audit_failed(str(error))
        with suppress(DatabaseDamaged):  # said before
            self._look_after()

    def _write_batch(self, wait_s: float) -> bool:
        """Write what was noted by now; tell whether that was all there will be."""
        try:
            batch = [self._queue.get(timeout=max(0.0, wait_s))]
        except queue.Empty:
            return False
        # A commit for each entry would take the disk from those who wait for it: uploads.
        until = time.monotonic() + LINGER_S
        while len(batch) < BATCH_MOST and batch[-1] is not None:
            try:
                batch.append(self._queue.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        entries = [one for one in batch if one is not None]
        try:
            if entries:
                _append(self._path, entries)
        except DatabaseDamaged as error:
            journal.audit_failed(str(error))  # and the end is not missed for it
        return None in batch

    def _look_after(self) -> None:
        """Let go of what is old, and say the head where it is kept by someone else."""
        prune(self._path, self._keep_days_of(), self._now())
        seq, head = _last(self._path)
        journal.audit_sealed(seq, head)


def append(path: Path, event: str, what: Mapping[str, Any]) -> None:
    """Write one entry now, beside a running daemon. Raises DatabaseDamaged."""
    with _opened(path) as connection:
        connection.executescript(_SCHEMA)
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    _append(path, [(at, event, _canonical(dict(what)))])


def read(path: Path, *, since: str = "", customer: str = "", event: str = "") -> list[Entry]:
    """Return entries, oldest first. since: ISO 8601, inclusive. event: its beginning."""
    with _reading(path) as connection:
        rows = connection.execute(
            "SELECT seq, at, event, what FROM entries WHERE at >= ? AND event GLOB ? || '*'"
            " AND (? = '' OR json_extract(what, '$.customer') = ?) ORDER BY seq",
            (since, event, customer, customer),
        )
        return [Entry(seq, at, name, json.loads(what)) for seq, at, name, what in rows]


def verify(path: Path) -> Verdict:
    """Follow the chain from its beginning, or from where older entries were removed.

    Raises DatabaseDamaged. Cost: 3 s for a million entries.
    """
    with _reading(path) as connection:
        anchor = connection.execute("SELECT seq, hash FROM anchor").fetchone()
        before_seq, before = anchor or (0, GENESIS)
        first, entries, broken_at = 0, 0, None
        for seq, at, event, what, found in connection.execute(
            "SELECT seq, at, event, what, hash FROM entries ORDER BY seq"
        ):
            first = first or seq
            entries += 1
            if broken_at is None and (
                seq != before_seq + 1 or found != _hash(before, seq, at, event, what)
            ):
                broken_at = seq
            before_seq, before = seq, found
    return Verdict(entries, first, before_seq if entries else 0, before, broken_at)


def has(path: Path, seq: int, head: str) -> bool:
    """Tell whether the entry of that number has that hash: a head noted earlier still stands."""
    with _reading(path) as connection:
        found = connection.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
        anchor = connection.execute("SELECT seq FROM anchor").fetchone()
    return found == (head,) or bool(anchor and seq < anchor[0])


def prune(path: Path, keep_days: int, now: datetime) -> int:
    """Remove entries older than that; the chain then begins with the last one removed."""
    until = (now - timedelta(days=keep_days)).isoformat(timespec="milliseconds")
    with _opened(path) as connection, _transaction(connection):
        last = connection.execute(
            "SELECT seq, hash FROM entries WHERE at < ? ORDER BY seq DESC LIMIT 1", (until,)
        ).fetchone()
        if last is None:
            return 0
        connection.execute("DELETE FROM anchor")
        connection.execute("INSERT INTO anchor VALUES (?, ?)", last)
        return int(connection.execute("DELETE FROM entries WHERE seq <= ?", last[:1]).rowcount)


def _last(path: Path) -> tuple[int, str]:
    """Return number and hash of the last entry there was."""
    with _reading(path) as connection:
        return _head(connection)


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    last = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    anchor = connection.execute("SELECT seq, hash FROM anchor").fetchone()
    return last or anchor or (0, GENESIS)


def _append(path: Path, entries: Iterable[tuple[str, str, str]]) -> None:
    with _opened(path) as connection, _transaction(connection):
        seq, before = _head(connection)
        for at, event, what in entries:
            seq += 1
            before = _hash(before, seq, at, event, what)
            connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?)", (seq, at, event, what, before)
            )


def _hash(before: str, seq: int, at: str, event: str, what: str) -> str:
    whole = "\n".join((before, str(seq), at, event, what))
    return hashlib.sha256(whole.encode()).hexdigest()


def _canonical(what: dict[str, Any]) -> str:
    return json.dumps(what, sort_keys=True, separators=(",", ":"), default=str)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(
            sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        ) as connection:
            connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
    except sqlite3.DatabaseError as error:
        raise DatabaseDamaged(f"{path}: {error}") from error


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open it as it is. Raises DatabaseDamaged, also where there is none."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise DatabaseDamaged(f"{path}: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
