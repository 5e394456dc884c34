"""The audit log: who did what, from where, when, with what result; chained by hashes.

Owns audit.db and, beside it, audit.head: number and hash of the last entry. Each entry's hash
covers the entry and the hash before it, so that none can be changed, taken out or put in without
`verify` seeing it from there on. That the end was cut off, or the whole log lost, shows against
audit.head and against any head noted elsewhere, which the daemon says in its journal; the next
entry then tells of the gap. Never holds a secret: it gets what the journal gets. What of that is
kept, `audit_noting` decides.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tilldrop.errors import DatabaseDamaged, SchemaTooNew
from tilldrop.sqlite import journal_mode, sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

BUSY_TIMEOUT_S = 30.0
GENESIS = "0" * 64
GAP = "audit.gap"  # entries are missing before this one
PRUNED = "audit.pruned"  # older ones were let go, up to the number that it says
OPENED, CLOSED = "audit.opened", "audit.closed"
OWN_MODE = 0o600
SCHEMA = 1  # PRAGMA user_version

_ENTRIES = (
    "CREATE TABLE IF NOT EXISTS entries (seq INTEGER PRIMARY KEY, at TEXT NOT NULL,"
    " event TEXT NOT NULL, what TEXT NOT NULL, hash TEXT NOT NULL) STRICT"
)
_ANCHOR = "CREATE TABLE IF NOT EXISTS anchor (seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT"
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?)"
# The one before the first that is young. One that a wrong clock dated back, as at a start before
# the network's time is known, must not take younger ones along; one dated ahead holds none back.
_LAST_OLD = (
    "SELECT seq, hash FROM entries WHERE at < ?1 AND seq < coalesce((SELECT min(seq) FROM entries"
    " WHERE at BETWEEN ?1 AND ?2), 9e18) ORDER BY seq DESC LIMIT 1"
)
RECENT_DAYS = 30
RECENT_ENTRIES = 100_000  # 0.2 s
_PEERS = (
    "SELECT json_extract(what, '$.peer') AS peer, max(seq) FROM entries"
    " WHERE seq > (SELECT max(seq) FROM entries) - ? AND at >= ? AND event = 'login.accepted'"
    " GROUP BY peer HAVING peer IS NOT NULL ORDER BY max(seq)"
)


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

    first, last: of the entries there are, 0 if none. head: the last one's hash. cut_after: the
    last entry of a log whose end is missing. gaps: entries that tell of others that were lost.
    """

    entries: int
    first: int
    last: int
    head: str
    broken_at: int | None = None
    cut_after: int | None = None
    gaps: tuple[int, ...] = ()


def append(path: Path, event: str, what: Mapping[str, Any]) -> None:
    """Write one entry now, beside a running daemon. Raises DatabaseDamaged."""
    write(path, [(now_text(datetime.now(UTC)), event, canonical(what))])


def write(path: Path, entries: Iterable[tuple[str, str, str]]) -> tuple[int, str]:
    """Write entries (at, event, what as `canonical` has it) in one commit; return the head.

    One that tells of a gap comes first, if the log does not go as far as was noted. Raises
    DatabaseDamaged, SchemaTooNew. Cost: one commit.
    """
    entries = list(entries)
    with _opened(path) as connection:
        with _transaction(connection):
            _check_schema(connection, path)
            connection.execute(_ENTRIES)
            connection.execute(_ANCHOR)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
            lost = _lost(connection, _noted(path))
            if lost and entries:
                entries.insert(0, (entries[0][0], GAP, canonical(lost)))
                _go_on_from(connection, lost)
            written = _chain(connection, entries)
        _note_head(path, written)
    return written


def check_schema(path: Path) -> None:
    """Raise SchemaTooNew if a newer version wrote the log. What else is odd, writing says."""
    with suppress(DatabaseDamaged), _reading(path) as connection:
        _check_schema(connection, path)


def read(
    path: Path, *, since: str = "", customer: str = "", event: str = "", last: int = 0
) -> list[Entry]:
    """Return entries, oldest first. since: ISO 8601, inclusive. event: its beginning.

    last: only the last so many of those; 0: all.
    """
    with _reading(path) as connection:
        rows = connection.execute(
            "SELECT seq, at, event, what FROM entries WHERE at >= ? AND event GLOB ? || '*'"
            " AND (? = '' OR json_extract(what, '$.customer') = ?) ORDER BY seq DESC LIMIT ?",
            (since, event, customer, customer, last or -1),
        )
        found = [Entry(seq, at, name, json.loads(what)) for seq, at, name, what in rows]
    return found[::-1]


def recent_peers(path: Path, now: datetime) -> list[str]:
    """Return from where customers have logged in within RECENT_DAYS, the latest last.

    Raises DatabaseDamaged. Looks at the last RECENT_ENTRIES alone.
    """
    since = now_text(now - timedelta(days=RECENT_DAYS))
    with _reading(path) as connection:
        return [peer for peer, _ in connection.execute(_PEERS, (RECENT_ENTRIES, since))]


def verify(path: Path) -> Verdict:
    """Follow the chain from its beginning, or from where older entries were let go.

    Raises DatabaseDamaged. Cost: 3 s for a million entries.
    """
    noted = _noted(path)  # first: the log may grow meanwhile
    with _reading(path) as connection:
        connection.execute("BEGIN")
        anchor = connection.execute("SELECT seq, hash FROM anchor").fetchone()
        before_seq, before = anchor or (0, GENESIS)
        first, entries, broken_at = 0, 0, None
        gaps, is_explained = [], anchor is None
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
            if event == GAP:
                gaps.append(seq)
            if not is_explained and event in (GAP, PRUNED):
                is_explained = json.loads(what).get("until") == anchor[0]
        cut = _lost(connection, noted) is not None
    if not is_explained and broken_at is None:
        broken_at = first  # what came before was taken out, and not by `prune`
    last = before_seq if entries else 0
    return Verdict(entries, first, last, before, broken_at, last if cut else None, tuple(gaps))


def has(path: Path, seq: int, digest: str) -> bool:
    """Tell whether the entry of that number has that hash: a head noted earlier still stands."""
    with _reading(path) as connection:
        return _stands(connection, seq, digest)


def head(path: Path) -> tuple[int, str]:
    """Return number and hash of the last entry there was. Raises DatabaseDamaged."""
    with _reading(path) as connection:
        return _head(connection)


def was_closed(path: Path) -> bool:
    """Tell whether the daemon that wrote last ended the log in order; also where it is empty."""
    with _reading(path) as connection:
        last = connection.execute(
            "SELECT event FROM entries WHERE event IN (?, ?) ORDER BY seq DESC LIMIT 1",
            (OPENED, CLOSED),
        ).fetchone()
    return last is None or last[0] == CLOSED


def prune(path: Path, keep_days: int, now: datetime) -> int:
    """Let go of entries older than that; the chain then begins with the last of them.

    An entry says so: else its beginning could be cut off by anyone. Raises DatabaseDamaged.
    """
    until = now_text(now - timedelta(days=keep_days))
    with _opened(path) as connection:
        with _transaction(connection):
            last = connection.execute(_LAST_OLD, (until, now_text(now))).fetchone()
            if last is None:
                return 0
            told = canonical({"until": last[0]})
            written = _chain(connection, [(now_text(now), PRUNED, told)])
            connection.execute("DELETE FROM anchor")
            connection.execute("INSERT INTO anchor VALUES (?, ?)", last)
            gone = connection.execute("DELETE FROM entries WHERE seq <= ?", last[:1]).rowcount
        _note_head(path, written)
    return int(gone)


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


def canonical(what: Mapping[str, Any]) -> str:
    """Write an entry's fields as they are hashed."""
    return _CANONICAL.encode(what)


def now_text(at: datetime) -> str:
    """Write an instant as entries have it."""
    return at.isoformat(timespec="milliseconds")


# -- the chain -----------------------------------------------------------------------------------


def _chain(
    connection: sqlite3.Connection, entries: Iterable[tuple[str, str, str]]
) -> tuple[int, str]:
    seq, before = _head(connection)
    for at, event, what in entries:
        seq += 1
        before = _hash(before, seq, at, event, what)
        connection.execute(_INSERT, (seq, at, event, what, before))
    return seq, before


def _head(connection: sqlite3.Connection) -> tuple[int, str]:
    last = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
    anchor = connection.execute("SELECT seq, hash FROM anchor").fetchone()
    return last or anchor or (0, GENESIS)


def _hash(before: str, seq: int, at: str, event: str, what: str) -> str:
    whole = "\n".join((before, str(seq), at, event, what))
    return hashlib.sha256(whole.encode()).hexdigest()


# -- the head that was noted ---------------------------------------------------------------------


def _noted(path: Path) -> tuple[int, str] | None:
    """Return the last head that was noted beside the log; None if there is none."""
    try:
        seq, _, head = path.with_suffix(".head").read_text("ascii").strip().partition(":")
    except (OSError, ValueError):
        return None
    is_one = seq.isdecimal() and int(seq) > 0 and len(head) == len(GENESIS)
    return (int(seq), head) if is_one else None


def _note_head(path: Path, head: tuple[int, str]) -> None:
    """Note how far the log goes. After the commit: a head that is too old still stands."""
    noted = path.with_suffix(".head")
    # A name of its own: the daemon and a command may both be at it, and root's may be killed.
    beside = noted.with_suffix(f".head.{os.getpid()}")
    with suppress(OSError):  # the log itself is written
        beside.write_text(f"{head[0]}:{head[1]}\n", "ascii")
        beside.chmod(OWN_MODE)
        _give_to_owner_of(path.parent, beside)  # root's command must not take it from the daemon
        beside.replace(noted)


def _lost(
    connection: sqlite3.Connection, noted: tuple[int, str] | None
) -> dict[str, object] | None:
    """Say which entries are missing, if the log does not go as far as was noted."""
    if noted is None or _stands(connection, *noted):
        return None
    until, head = noted
    last, _ = _head(connection)
    return {"since": min(last, until - 1) + 1, "until": until, "head": head}


def _go_on_from(connection: sqlite3.Connection, lost: dict[str, object]) -> None:
    """Let a log that is new take up the numbers of the one that is gone."""
    if _head(connection) == (0, GENESIS):
        connection.execute("INSERT INTO anchor VALUES (?, ?)", (lost["until"], lost["head"]))


def _stands(connection: sqlite3.Connection, seq: int, head: str) -> bool:
    found = connection.execute("SELECT hash FROM entries WHERE seq = ?", (seq,)).fetchone()
    anchor = connection.execute("SELECT seq, hash FROM anchor").fetchone()
    if found is not None or anchor is None:
        return bool(found == (head,))
    return bool(seq < anchor[0] or (seq, head) == anchor)


# -- the database --------------------------------------------------------------------------------


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    [found] = connection.execute("PRAGMA user_version").fetchone()
    if found > SCHEMA:
        raise SchemaTooNew(
            f"{path.name} has schema {found}, which this version does not know;"
            " run the newer Tilldrop that wrote it, or restore a backup"
        )


def _make(path: Path) -> None:
    """Make a log that is not there, for the folder's owner: root may note before the daemon does.

    What SQLite makes beside it, it gives to the log's owner itself.
    """
    with suppress(OSError):  # it is there, or SQLite says why it cannot be
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWN_MODE)
        try:
            _give_to_owner_of(path.parent, descriptor)
        finally:
            os.close(descriptor)


def _give_to_owner_of(folder: Path, file: Path | int) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        _make(path)
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
