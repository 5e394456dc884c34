"""The ledger's writing side: the only writer of ledger.db.

`Ledger` is a `LedgerWriter` that knows what may change. Promises: a resolved future is on disk; a
change of state is a compare-and-swap allowed by `delivery.MOVES`, one row in `moves`, one journal
line after the commit. Never touches the spool. Statements that take rows out: `ledger_forgetting`.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.delivery import CARD_REASONS, MOVES, Cause, Delivery, Ids, State
from tilldrop.errors import (
    MoveRefused,
    NoLongerKept,
    NoSuchDelivery,
)
from tilldrop.ledger_claiming import Turn, choose
from tilldrop.ledger_reading import (
    DETAIL,
    instant_text,
    read_delivery,
    utcnow,
)
from tilldrop.ledger_replays import pass_on
from tilldrop.ledger_writing import LedgerWriter
from tilldrop.mentions import without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from tilldrop.rows import Report
    from tilldrop.sqlite import sqlite3

BEGIN = (
    "INSERT INTO deliveries (id, customer, door, peer, name, state, began_at, changed_at)"  # noqa: S608
    f" VALUES (?, ?, ?, ?, ?, 'receiving', ?, ?) RETURNING {DETAIL}"
)
# What a column is set to, where that is not a plain value. A replay keeps its place.
NEXT_SEQ = "coalesce(arrival_seq, (SELECT coalesce(max(arrival_seq), 0) + 1 FROM deliveries))"
NEXT_RUN = "(SELECT coalesce(max(run), 0) + 1 FROM runs WHERE delivery = deliveries.id)"
KEEP_OR = "coalesce(arrived_at, ?)"
IN_WORK = frozenset({State.RECEIVING, State.WAITING, State.IMPORTING})  # never swept


class Ledger(LedgerWriter):
    """The one writer. Every method that changes something returns a future."""

    def __init__(self, path: Path, now: Callable[[], datetime] = utcnow) -> None:
        self._now = now
        self._served: dict[str, int] = {}  # customer -> tick of its last claim
        self.ids = Ids()
        # What the report of a delivery in work must not say: see `erase_mentions`.
        self.unsaid: dict[str, tuple[str, ...]] = {}
        super().__init__(path)

    # -- changes ---------------------------------------------------------------------------

    def begin(
        self, customer: str, name: str, door: str, peer: str = "", delivery_id: str | None = None
    ) -> Future[Delivery]:
        """Open a row in RECEIVING. delivery_id: made by `ids` if not given.

        Committed within LINGER_S, so that the beginning and the end of a small file share one
        commit. A file in the spool without its row is dropped at start-up.
        """
        now = self._now()
        identity = delivery_id or self.ids.next(now)

        def apply(connection: sqlite3.Connection) -> Delivery:
            began_at = instant_text(now)
            row = (identity, customer, door, peer, name, began_at, began_at)
            delivery = read_delivery(connection.execute(BEGIN, row).fetchone())
            self._note(connection, delivery, None, Cause.BEGIN, None, peer)
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
        reason: str | None = None,
    ) -> Future[list[Delivery]]:
        """Move several deliveries (id, state before, columns) in one commit: all or none."""

        def apply(connection: sqlite3.Connection) -> list[Delivery]:
            return [
                self._move(connection, one, before, after, cause, reason, columns)
                for one, before, columns in chosen
            ]

        return self.submit(apply)

    def amend(self, delivery_id: str, state: State, **columns: object) -> Future[Delivery]:
        """Change columns without a move, if the state still is the given one."""

        def apply(connection: sqlite3.Connection) -> Delivery:
            return self._update(connection, delivery_id, state, columns)[0]

        return self.submit(apply)

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

    def record_report(self, report: Report, *, drops_bytes: bool = False) -> Future[Delivery]:
        """Store a run's report and move its delivery by it: IMPORTING -> report.outcome.

        A file with card data is marked as gone in the same commit: drop its bytes afterwards.
        drops_bytes: another one, too.
        """

        def apply(connection: sqlite3.Connection) -> Delivery:
            ended_at = instant_text(self._now())
            text = without(report.to_json(), self.unsaid.get(report.delivery, ()))
            run = (report.delivery, report.run, ended_at, report.outcome, text)
            connection.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", run)
            learnt: dict[str, object] = {
                "feed": report.feed,
                "fingerprint": report.fingerprint,
                "sha256": report.sha256,
                "attempts": 0,
                "not_before": None,
                "replay": None,
            }
            if drops_bytes or report.reason in CARD_REASONS:
                learnt["bytes_gone_at"] = ended_at
            self.said.append(lambda: self.unsaid.pop(report.delivery, None))
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
        if after in (State.ARRIVED, State.RECEIVING) and before not in IN_WORK:
            self._check_kept(connection, delivery_id)
        now = instant_text(self._now())
        columns = {**columns, "state": after, "reason": reason, "changed_at": now}
        if after is State.ARRIVED:
            columns["arrived_at"] = (KEEP_OR, now)
            columns["arrival_seq"] = (NEXT_SEQ,)
        delivery, peer = self._update(connection, delivery_id, before, columns)
        if after is State.HELD and delivery.replay is not None:
            pass_on(connection, delivery)
            delivery = self._fetch(connection, delivery_id)
        self._note(connection, delivery, before, cause, reason, peer)
        return delivery

    def _check_kept(self, connection: sqlite3.Connection, delivery_id: str) -> None:
        """Refuse to take up again what retention has just let go of."""
        if self._fetch(connection, delivery_id).bytes_gone_at is not None:
            raise NoLongerKept(f"the bytes of delivery {delivery_id} are no longer kept")

    def _update(
        self,
        connection: sqlite3.Connection,
        delivery_id: str,
        state: State,
        columns: Mapping[str, object],
    ) -> tuple[Delivery, str]:
        """Compare and swap; return the delivery as it is now, and from where it came."""
        names: list[str] = []
        values: list[object] = []
        for name, value in columns.items():
            sql, *bound = value if isinstance(value, tuple) else ("?", value)
            names.append(f"{name} = {sql}")
            values.extend(instant_text(v) if isinstance(v, datetime) else v for v in bound)
        changed = connection.execute(
            f"UPDATE deliveries SET {', '.join(names)} WHERE id = ? AND state = ?"  # noqa: S608
            f" RETURNING {DETAIL}, peer",
            (*values, delivery_id, state),
        ).fetchall()
        if not changed:
            there = self._fetch(connection, delivery_id).state
            raise MoveRefused(f"delivery {delivery_id} is {there}, not {state}")
        *detail, peer = changed[0]
        return read_delivery(detail), peer

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
        peer: str,
    ) -> None:
        """Write the row in `moves` and owe the journal its line."""
        connection.execute(
            "INSERT INTO moves (delivery, before, after, cause, reason, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (delivery.id, before, delivery.state, cause, reason, instant_text(delivery.changed_at)),
        )
        self.said.append(
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
