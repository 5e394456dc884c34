"""What is taken out of the ledger for good: a customer, what is said of a person, what is old.

Owns these statements. Promises that a customer's rows go in one commit, and only while nothing of
it is received, waits for its import or is imported. What rows leave behind in the file and in its
log is gone after `rewrite`. Never touches a file: bytes are dropped before their rows.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from tilldrop.delivery import Cause, State
from tilldrop.errors import CustomerBusy, LedgerBusy, LedgerFailed, MoveRefused
from tilldrop.ledger_reading import instant_text
from tilldrop.mentions import without
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.delivery import Delivery
    from tilldrop.ledger import Ledger
    from tilldrop.ledger_reading import LedgerReader
    from tilldrop.sqlite import sqlite3

CUSTOMER_REMOVED = "customer-removed"
_BUSY = "state IN ('receiving', 'waiting', 'arrived', 'importing')"
REPORTS_AT_ONCE = 500
# The order of the join is fixed: along the runs, each once in all steps together.
_REPORTS = (
    "SELECT r.delivery, r.run, r.report FROM runs AS r"
    " CROSS JOIN deliveries AS d ON d.id = r.delivery"
    " WHERE (r.delivery, r.run) > (?, ?) AND d.customer = ? ORDER BY r.delivery, r.run LIMIT ?"
)
_OF_CUSTOMER = "delivery IN (SELECT id FROM deliveries WHERE customer = ?)"


def put_aside(ledger: Ledger, customer: str) -> list[str]:
    """See to it that nothing of a customer moves any more; return the ids of its deliveries.

    Raises CustomerBusy if something is being received or imported.
    """
    after = {State.ARRIVED: State.HELD, State.WAITING: State.BROKEN}
    # All states at one moment: what is claimed later is refused its move, and so is met here.
    busy = f"SELECT id, state FROM deliveries WHERE customer = ? AND {_BUSY}"  # noqa: S608
    for delivery, state in ledger.rows(busy, (customer,)):
        there = State(state)
        if there not in after:
            raise CustomerBusy(f"{delivery} of {customer} is {there}")
        moved = ledger.move(delivery, there, after[there], Cause.OPERATOR, reason=CUSTOMER_REMOVED)
        try:
            moved.result()
        except MoveRefused as refused:
            raise CustomerBusy(f"{delivery} of {customer} has moved on") from refused
    return ledger.ids_of(customer)


def forget(ledger: Ledger, customer: str) -> int:
    """Delete a customer's deliveries with all that is known of them; returns how many.

    Raises CustomerBusy if something still moves.
    """

    def apply(connection: sqlite3.Connection) -> int:
        sql = f"SELECT count(*) FROM deliveries WHERE customer = ? AND {_BUSY}"  # noqa: S608
        if connection.execute(sql, (customer,)).fetchone()[0]:
            raise CustomerBusy(f"something of {customer} is received or imported")
        for table in ("runs", "moves"):
            connection.execute(f"DELETE FROM {table} WHERE {_OF_CUSTOMER}", (customer,))  # noqa: S608
        gone = connection.execute("DELETE FROM deliveries WHERE customer = ?", (customer,)).rowcount
        return int(gone)

    return ledger.submit(apply).result()


def erase_mentions(ledger: Ledger, customer: str, texts: Sequence[str]) -> int:
    """Take texts out of what reports of a customer's deliveries say was seen; returns how many.

    Also out of those that the worker has made and the ledger has not recorded yet. Goes in steps,
    between which uploads are acknowledged.
    """
    ledger.submit(partial(_say_no_more, ledger, customer, texts)).result()
    changed, after = 0, ("", 0)
    while found := ledger.rows(_REPORTS, (*after, customer, REPORTS_AT_ONCE)):
        cleaned = [(without(report, texts), *key, report) for *key, report in found]
        changes = [one for one in cleaned if one[0] != one[-1]]
        if changes:
            ledger.submit(partial(_put, changes)).result()
        changed += len(changes)
        after = found[-1][:2]
    return changed


def _say_no_more(
    ledger: Ledger, customer: str, texts: Sequence[str], connection: sqlite3.Connection
) -> None:
    sql = "SELECT id FROM deliveries WHERE customer = ? AND state = 'importing'"
    for (delivery,) in connection.execute(sql, (customer,)):
        ledger.unsaid[delivery] = (*ledger.unsaid.get(delivery, ()), *texts)


def _put(changes: Sequence[tuple[str, str, int, str]], connection: sqlite3.Connection) -> None:
    """Put cleaned reports in place of those that were read; one that was shortened says nothing."""
    connection.executemany(
        "UPDATE runs SET report = ? WHERE delivery = ? AND run = ? AND report = ?", changes
    )


def with_moves(ledger: LedgerReader, after: str, last: str, most: int) -> list[Delivery]:
    """Return the oldest deliveries whose moves are known, between two ids. Cost: `most` of them."""
    sql = (
        "WITH RECURSIVE d (id, n) AS (SELECT (SELECT min(delivery) FROM moves"
        " WHERE delivery > ?1), 1 UNION ALL SELECT (SELECT min(m.delivery) FROM moves AS m"
        " WHERE m.delivery > d.id), n + 1 FROM d WHERE d.id IS NOT NULL AND n < ?3)"
        " SELECT id FROM d WHERE id < ?2"
    )
    return [ledger.one(found) for (found,) in ledger.rows(sql, (after, last, most))]


def shorten(ledger: Ledger, deliveries: Sequence[Delivery]) -> int:
    """Forget the moves of deliveries, and what their reports quote; returns how many of them.

    One that has moved since it was read is left alone. Cost: 14 ms for a hundred, in which
    uploads wait for their acknowledgement.
    """

    def apply(connection: sqlite3.Connection) -> int:
        return sum(_shorten(connection, each) for each in deliveries)

    return ledger.submit(apply).result()


def _shorten(connection: sqlite3.Connection, delivery: Delivery) -> bool:
    there = "SELECT 1 FROM deliveries WHERE id = ? AND state = ? AND changed_at = ?"
    as_read = (delivery.id, delivery.state, instant_text(delivery.changed_at))
    if not connection.execute(there, as_read).fetchone():
        return False
    connection.execute("DELETE FROM moves WHERE delivery = ?", (delivery.id,))
    sql = "SELECT run, report FROM runs WHERE delivery = ?"
    for run, report in connection.execute(sql, (delivery.id,)).fetchall():
        with suppress(ValueError, TypeError, KeyError):  # one that is damaged stays as it is
            short = Report.from_json(report).to_short_json()
            connection.execute(
                "UPDATE runs SET report = ? WHERE delivery = ? AND run = ?",
                (short, delivery.id, run),
            )
    return True


def rewrite(ledger: Ledger) -> bool:
    """Write the ledger's file anew without what rows left in it, and empty its log.

    Overwriting what is freed is not enough: rows that moved within a page leave copies. Returns
    False if the disk has no room for it, or another program reads an older state.
    Cost: 0.8 s of processor time for 100,000 deliveries, while uploads wait for their
    acknowledgement.
    """

    def apply(connection: sqlite3.Connection) -> bool:
        connection.execute("VACUUM")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    try:
        return ledger.submit(apply, is_alone=True).result()
    except (LedgerBusy, LedgerFailed):
        return False
