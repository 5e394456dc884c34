"""The ledger's writing side: the only writer of ledger.db.

`Ledger` is a `LedgerReader` with one thread through which every change goes; those that wait
together become one commit with `synchronous=FULL`. Promises: a resolved future is on disk; a change
of state is a compare-and-swap allowed by `delivery.MOVES`, one row in `moves`, one journal line
after the commit. Never touches the spool. Statements that take rows out: `ledger_forgetting`.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop import journal, ledger_schema
from tilldrop.delivery import CARD_REASONS, MOVES, Cause, Delivery, State, new_id
from tilldrop.errors import (
    DatabaseDamaged,
    LedgerBusy,
    MoveRefused,
    NoSuchDelivery,
    TilldropError,
)
from tilldrop.ledger_claiming import Turn, choose
from tilldrop.ledger_reading import (
    BUSY_TIMEOUT_MS,
    DETAIL,
    LedgerReader,
    instant_text,
    read_delivery,
    refusal,
    utcnow,
)
from tilldrop.sqlite import check_version, journal_mode, sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from tilldrop.rows import Report

T = TypeVar("T")

LINGER_S = 0.02  # longer than a small file takes from its opening to its end
GROUP_MOST = 256  # changes in one commit: bounds how long the first of them waits
# What a column is set to, where that is not a plain value. A replay keeps its place.
NEXT_SEQ = "coalesce(arrival_seq, (SELECT coalesce(max(arrival_seq), 0) + 1 FROM deliveries))"
NEXT_RUN = "(SELECT coalesce(max(run), 0) + 1 FROM runs WHERE delivery = deliveries.id)"
KEEP_OR = "coalesce(arrived_at, ?)"


@dataclass(slots=True)
class _Change:
    """A change that waits for its commit: run by the writer thread inside a savepoint."""

    apply: Callable[[sqlite3.Connection], Any]
    done: Future[Any]
    can_wait: bool  # nobody waits for it: it may share the commit of what comes next
    is_alone: bool  # no transaction may be around it


class Ledger(LedgerReader):
    """The one writer. Every method that changes something returns a future or waits for it."""

    def __init__(self, path: Path, now: Callable[[], datetime] = utcnow) -> None:
        super().__init__(path)
        check_version()
        self._now = now
        self._served: dict[str, int] = {}  # customer -> tick of its last claim
        self._said: list[Callable[[], None]] = []  # journal lines owed after the commit
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._aside: _Change | None = None  # taken, and to be applied by itself
        self._connection = self._open_writer()
        self._thread = threading.Thread(target=self._write, name="ledger")
        self._thread.start()

    def _open_writer(self) -> sqlite3.Connection:
        try:
            connection = sqlite3.connect(
                self.path,
                isolation_level=None,
                check_same_thread=False,  # opened here, used by the writer thread alone
                timeout=BUSY_TIMEOUT_MS / 1000,
            )
            connection.execute(f"PRAGMA journal_mode = {journal_mode()}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            ledger_schema.migrate(connection)
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

    # -- changes ---------------------------------------------------------------------------

    def begin(
        self, customer: str, name: str, door: str, peer: str = "", delivery_id: str | None = None
    ) -> Future[Delivery]:
        """Open a row in RECEIVING. delivery_id: made by `delivery.new_id` if not given.

        Committed within LINGER_S, so that the beginning and the end of a small file share one
        commit. A file in the spool without its row is dropped at start-up.
        """
        now = self._now()
        identity = delivery_id or new_id(now)

        def apply(connection: sqlite3.Connection) -> Delivery:
            connection.execute(
                "INSERT INTO deliveries (id, customer, door, peer, name, state, began_at,"
                " changed_at) VALUES (?, ?, ?, ?, ?, 'receiving', ?, ?)",
                (identity, customer, door, peer, name, instant_text(now), instant_text(now)),
            )
            delivery = self._fetch(connection, identity)
            self._note(connection, delivery, None, Cause.BEGIN, None)
            return delivery

        return self.submit(apply, can_wait=True)

    def move(
        self,
        delivery_id: str,
        before: State,
        after: State,
        cause: Cause,
        *,
        reason: str | None = None,
        **columns: object,
    ) -> Future[Delivery]:
        """Change the state, if it still is `before`; columns change with it.

        A move to ARRIVED gives the next arrival_seq to a delivery that has none.
        The future raises MoveRefused (another state, or no such move), NoSuchDelivery,
        LedgerBusy, LedgerFailed. Cost: shares one commit with all that wait.
        """
        return self.submit(
            lambda connection: self._move(
                connection, delivery_id, before, after, cause, reason, columns
            )
        )

    def move_all(
        self,
        chosen: Iterable[tuple[str, State, Mapping[str, object]]],
        after: State,
        cause: Cause,
    ) -> Future[list[Delivery]]:
        """Move several deliveries (id, state before, columns) in one commit: all or none."""

        def apply(connection: sqlite3.Connection) -> list[Delivery]:
            return [
                self._move(connection, one, before, after, cause, None, columns)
                for one, before, columns in chosen
            ]

        return self.submit(apply)

    def amend(self, delivery_id: str, state: State, **columns: object) -> Future[Delivery]:
        """Change columns without a move, if the state still is the given one."""

        def apply(connection: sqlite3.Connection) -> Delivery:
            self._update(connection, delivery_id, state, columns)
            return self._fetch(connection, delivery_id)

        return self.submit(apply)

    def claim_next(self, cause: Cause, ready: Callable[[str], bool]) -> Delivery | None:
        """Take the next delivery to import, and wait for the commit; see `claim`."""
        return next(iter(self.claim(cause, ready).result()), None)

    def claim(
        self, cause: Cause, ready: Callable[[str], bool], most: int = 1, small_bytes: int = 0
    ) -> Future[list[Delivery]]:
        """Take the next delivery to import: ARRIVED -> IMPORTING; or the next few of a customer.

        most, small_bytes: so many are taken, one after the other as they arrived, as long as none
        is larger; of others one, and none if nothing can be imported now.

        Its run is one more than the last that reported. An attempt that was lost has the same
        number as the next, so that the worker can say what it had already committed.

        Serial per customer, in arrival_seq order: a customer whose head is being imported,
        waits for its retry (until the clock is set back at most), or is not `ready` (its file is
        not in place yet) is passed over. Among the others, the one served longest ago comes first.
        """

        def apply(connection: sqlite3.Connection) -> list[Delivery]:
            turn = Turn(self._now(), ready, self._served)
            chosen = choose(connection, turn, most, small_bytes)
            if chosen:
                self._served[chosen[0].customer] = max(self._served.values(), default=0) + 1
            moved = (State.ARRIVED, State.IMPORTING, cause, None)
            columns = {"run": (NEXT_RUN,), "not_before": None}
            return [self._move(connection, one.id, *moved, columns) for one in chosen]

        return self.submit(apply)

    def record_report(self, report: Report) -> Future[Delivery]:
        """Store a run's report and move its delivery by it: IMPORTING -> report.outcome.

        A file with card data is marked as gone in the same commit: drop its bytes afterwards.
        """

        def apply(connection: sqlite3.Connection) -> Delivery:
            ended_at = instant_text(self._now())
            run = (report.delivery, report.run, ended_at, report.outcome, report.to_json())
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", run)
            learnt: dict[str, object] = {
                "feed": report.feed,
                "fingerprint": report.fingerprint,
                "sha256": report.sha256,
                "attempts": 0,
                "not_before": None,
                "replay": None,
            }
            if report.reason in CARD_REASONS:
                learnt["bytes_gone_at"] = ended_at
            return self._move(
                connection,
                report.delivery,
                State.IMPORTING,
                State(report.outcome),
                Cause.REPORT,
                report.reason,
                learnt,
            )

        return self.submit(apply)

    # -- the writer thread -----------------------------------------------------------------

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
            self._commit(group)

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
        try:
            change.done.set_result(change.apply(self._connection))
        except sqlite3.DatabaseError as error:
            change.done.set_exception(refusal(error, self.path))

    def _commit(self, group: list[_Change]) -> None:
        """Apply each change in its savepoint, commit once, then answer all."""
        # From here on a client that went away can no longer cancel its change.
        group = [change for change in group if change.done.set_running_or_notify_cancel()]
        self._said.clear()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            answers = [(change, *self._apply(change)) for change in group]
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            trouble = self._refusal(error)
            if self._connection.in_transaction or not isinstance(trouble, LedgerBusy):
                self._reopen()
            answers = [(change, None, trouble) for change in group]
            self._said.clear()
        for change, result, refused in answers:
            if refused is None:
                change.done.set_result(result)
            else:
                change.done.set_exception(refused)
        for say in self._said:
            say()

    def _apply(self, change: _Change) -> tuple[Any, Exception | None]:
        """Run one change; its refusal, or a bug in it, leaves the others of the group alone."""
        owed = len(self._said)
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
            del self._said[owed:]
        self._connection.execute("RELEASE change")
        return result, refused

    def _reopen(self) -> None:
        """After a failed commit, neither the transaction nor its descriptors are trusted."""
        self._connection.close()
        try:
            self._connection = self._open_writer()
        except TilldropError as error:
            journal.ledger_failed(str(error))

    def _move(
        self,
        connection: sqlite3.Connection,
        delivery_id: str,
        before: State,
        after: State,
        cause: Cause,
        reason: str | None,
        columns: Mapping[str, object],
    ) -> Delivery:
        if after not in MOVES[before]:
            raise MoveRefused(f"no delivery moves from {before} to {after}")
        now = instant_text(self._now())
        columns = {**columns, "state": after, "reason": reason, "changed_at": now}
        if after is State.ARRIVED:
            columns["arrived_at"] = (KEEP_OR, now)
            columns["arrival_seq"] = (NEXT_SEQ,)
        self._update(connection, delivery_id, before, columns)
        delivery = self._fetch(connection, delivery_id)
        self._note(connection, delivery, before, cause, reason)
        return delivery

    def _update(
        self,
        connection: sqlite3.Connection,
        delivery_id: str,
        state: State,
        columns: Mapping[str, object],
    ) -> None:
        """Compare and swap."""
        names: list[str] = []
        values: list[object] = []
        for name, value in columns.items():
            sql, *bound = value if isinstance(value, tuple) else ("?", value)
            names.append(f"{name} = {sql}")
            values.extend(instant_text(v) if isinstance(v, datetime) else v for v in bound)
        changed = connection.execute(
            f"UPDATE deliveries SET {', '.join(names)} WHERE id = ? AND state = ?",  # noqa: S608
            (*values, delivery_id, state),
        ).rowcount
        if changed == 0:
            there = self._fetch(connection, delivery_id).state
            raise MoveRefused(f"delivery {delivery_id} is {there}, not {state}")

    def _fetch(self, connection: sqlite3.Connection, delivery_id: str) -> Delivery:
        sql = f"SELECT {DETAIL} FROM deliveries WHERE id = ?"  # noqa: S608
        row = connection.execute(sql, (delivery_id,)).fetchone()
        if row is None:
            raise NoSuchDelivery(f"the ledger has no delivery {delivery_id!r}")
        return read_delivery(row)

    def _note(
        self,
        connection: sqlite3.Connection,
        delivery: Delivery,
        before: State | None,
        cause: Cause,
        reason: str | None,
    ) -> None:
        """Write the row in `moves` and owe the journal its line."""
        connection.execute(
            "INSERT INTO moves (delivery, before, after, cause, reason, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (delivery.id, before, delivery.state, cause, reason, instant_text(delivery.changed_at)),
        )
        sql = "SELECT peer FROM deliveries WHERE id = ?"
        [peer] = connection.execute(sql, (delivery.id,)).fetchone()
        self._said.append(
            lambda: journal.delivery_moved(
                delivery.id,
                delivery.customer,
                delivery.name,
                before or "",
                delivery.state,
                cause,
                reason,
                peer,
            )
        )
