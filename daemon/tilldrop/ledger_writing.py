"""The ledger's one writer: a thread through which every change of ledger.db goes.

Owns the writing connection. Promises: changes that wait together become one commit with
`synchronous=FULL`; a resolved future is on disk; a change that is refused, or a bug in one, leaves
the others of its commit alone. Knows nothing of deliveries: what a change does is `ledger`'s.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop import journal, ledger_schema
from tilldrop.errors import DatabaseDamaged, LedgerBusy, TilldropError
from tilldrop.ledger_locks import held_by_others
from tilldrop.ledger_reading import BUSY_TIMEOUT_MS, LedgerReader, refusal
from tilldrop.sqlite import check_version, journal_mode, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

LINGER_S = 0.02  # longer than a small file takes from its opening to its end
OWN_LOCKS_MOST = 2  # times in a row that nobody else had the lock: then it is our own
WAL_KEPT_BYTES = 8 * 1024**2  # it grows while somebody reads for long, and then gives back
GROUP_MOST = 256  # changes in one commit: bounds how long the first of them waits


@dataclass(slots=True)
class _Change:
    """A change that waits for its commit: run by the writer thread inside a savepoint."""

    apply: Callable[[sqlite3.Connection], Any]
    done: Future[Any]
    can_wait: bool  # nobody waits for it: it may share the commit of what comes next
    is_alone: bool  # no transaction may be around it


class LedgerWriter(LedgerReader):
    """Applies changes. said: what is owed to the journal once the commit is through.

    `on_stuck` is also called when the ledger is locked and no other program has the lock.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        check_version()
        self.said: list[Callable[[], object]] = []
        self._own_locks = 0
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._aside: _Change | None = None  # taken, and to be applied by itself
        self._connection = self._open_writer("rwc")
        self._thread = threading.Thread(target=self._write, name="ledger")
        self._thread.start()

    def _open_writer(self, mode: str) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,  # opened here, used by the writer thread alone
                timeout=BUSY_TIMEOUT_MS / 1000,
            )
            connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
            connection.execute("PRAGMA foreign_keys = ON")
            ledger_schema.migrate(connection)
            _check_writable(connection)
        except sqlite3.DatabaseError as error:
            raise refusal(error, self.path) from error
        return connection

    def close(self) -> None:
        """Commit what waits, end the writer thread, close all connections."""
        if self._thread.is_alive():
            self._changes.put(None)
            self._thread.join()
            self._connection.close()
        super().close()

    def submit(
        self,
        apply: Callable[[sqlite3.Connection], T],
        *,
        can_wait: bool = False,
        is_alone: bool = False,
    ) -> Future[T]:
        """Have the writer thread apply a change; for the ledger's own modules."""
        done: Future[T] = Future()
        if self.is_damaged:  # what was acknowledged now could not be found again
            done.set_exception(DatabaseDamaged(f"{self.path} is damaged; restore it from a backup"))
            return done
        self._changes.put(_Change(apply, done, can_wait, is_alone))
        return done

    def _write(self) -> None:
        """Take what waits, commit it together, until close()."""
        while (first := self._aside or self._changes.get()) is not None:
            self._aside = None
            if first.is_alone:
                self._do_alone(first)
                continue
            group = [first]
            while len(group) < GROUP_MOST and (change := self._next(group)) is not None:
                group.append(change)
            try:
                self._commit(group)
            except Exception as error:  # noqa: BLE001  a bug must not end what all wait for
                for change in group:
                    if not change.done.done():
                        change.done.set_exception(error)

    def _next(self, group: list[_Change]) -> _Change | None:
        """Return what goes into the same commit, or None."""
        patience_s = LINGER_S if all(change.can_wait for change in group) else 0
        try:
            change = (
                self._changes.get(timeout=patience_s)
                if patience_s
                else self._changes.get(block=False)
            )
        except queue.Empty:
            return None
        if change is None:
            self._changes.put(None)  # the end, for the loop outside
        elif change.is_alone:
            self._aside = change  # its turn is next: behind the end nobody would answer it
            return None
        return change

    def _do_alone(self, change: _Change) -> None:
        if not change.done.set_running_or_notify_cancel():
            return
        try:
            result = change.apply(self._connection)
        except sqlite3.DatabaseError as error:
            change.done.set_exception(refusal(error, self.path))
        except Exception as error:  # noqa: BLE001  a unit of work; its caller hears
            change.done.set_exception(error)
        else:
            change.done.set_result(result)

    def _commit(self, group: list[_Change]) -> None:
        """Apply each change in its savepoint, commit once, then answer all."""
        # From here on a client that went away can no longer cancel its change.
        group = [change for change in group if change.done.set_running_or_notify_cancel()]
        self.said.clear()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [(change, *self._apply(change)) for change in group]
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            trouble = self._refusal(error)
            # In this order: one that could not be opened again does not even tell that.
            if not isinstance(trouble, LedgerBusy) or self._connection.in_transaction:
                self._reopen()
            answers = [(change, None, trouble) for change in group]
            self.said.clear()
            self._look_whose_lock(trouble)
        else:
            self._own_locks = 0
        for change, result, refused in answers:
            if refused is None:
                change.done.set_result(result)
            else:
                change.done.set_exception(refused)
        for say in self.said:
            say()

    def _apply(self, change: _Change) -> tuple[Any, Exception | None]:
        """Run one change; its refusal, or a bug in it, leaves the others of the group alone."""
        owed = len(self.said)
        self._connection.execute("SAVEPOINT change")
        refused: Exception | None = None
        try:
            result = change.apply(self._connection)
        except Exception as error:
            # The disk, a lock or damage concern the whole group.
            if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                raise
            result, refused = None, error  # one change is a unit of work; its caller hears
            self._connection.execute("ROLLBACK TO change")
            del self.said[owed:]
        self._connection.execute("RELEASE change")
        return result, refused

    def _look_whose_lock(self, trouble: TilldropError) -> None:
        is_ours = isinstance(trouble, LedgerBusy) and not held_by_others(self.path)
        self._own_locks = self._own_locks + 1 if is_ours else 0
        if self._own_locks == OWN_LOCKS_MOST:
            self.on_stuck()

    def _reopen(self) -> None:
        """After a failed commit, neither the transaction nor its descriptors are trusted."""
        self._connection.close()
        try:
            self._connection = self._open_writer("rw")  # one that is gone is not made anew
        except TilldropError as error:
            journal.ledger_failed(str(error))


def _check_writable(connection: sqlite3.Connection) -> None:
    """Raise if nothing can be written: SQLite opens for reading alone what it may not write.

    BEGIN IMMEDIATE alone does not show it: it then begins to read.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM deliveries WHERE false")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
