"""What is taken out of a database because it was kept for long enough.

Owns three sorts: refused records, versions in `history`, and what reports quote of files. Each
call is one small transaction, so that an import waits for some milliseconds at most, and may be
done again. Promises: what is not old enough stays, and what undo and replay miss afterwards is
noted in `versions_dropped`. Never decides for how long: the daemon's `retention` does.

before: customer -> an instant as text, older than which goes; None: its are kept for good. "" says
it of customers that are not named.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tilldrop.importer.store import Store

    Before = Mapping[str, str | None]

ROWS_AT_ONCE = 1_000  # 6 ms of versions, 32 ms of records of which each delivery has three
DELIVERIES_AT_ONCE = 2_000  # to be looked at: 7 ms
# Steps in the index from delivery to delivery. Ids are instants, so that the oldest come first.
WALK = (
    "WITH RECURSIVE d (delivery, n) AS ("
    "SELECT (SELECT min(delivery) FROM rejected_rows WHERE delivery > {after}), 1 UNION ALL"
    " SELECT (SELECT min(r.delivery) FROM rejected_rows AS r WHERE r.delivery > d.delivery), n + 1"
    " FROM d WHERE d.delivery IS NOT NULL AND n < {most})"
    " SELECT delivery, (SELECT r.customer FROM rejected_rows AS r WHERE r.delivery = d.delivery),"
    " coalesce((SELECT max(e.at) FROM deliveries AS e WHERE e.delivery = d.delivery), '')"
    " FROM d WHERE delivery < {last}"
)
DROP_REFUSED = (
    "DELETE FROM rejected_rows WHERE rowid IN (SELECT rowid FROM rejected_rows"
    " WHERE delivery = {delivery} ORDER BY run, line LIMIT {most})"
)
WITH_HISTORY = (
    "WITH RECURSIVE c (customer) AS (SELECT min(customer) FROM history UNION ALL"
    " SELECT (SELECT min(h.customer) FROM history AS h WHERE h.customer > c.customer)"
    " FROM c WHERE c.customer IS NOT NULL) SELECT customer FROM c WHERE customer IS NOT NULL"
)
OLD_VERSIONS = (
    "(SELECT customer, table_name, key_1, key_2, arrival_seq{more} FROM history"
    " WHERE customer = {customer} AND at < {before}"
    " ORDER BY at, table_name, key_1, key_2, arrival_seq LIMIT {most})"
)
NOTE_DROPPED = (
    "INSERT INTO versions_dropped (customer, arrival_seq, at)"
    " SELECT customer, max(arrival_seq), max(at) FROM {versions} GROUP BY customer"
    " ON CONFLICT DO UPDATE SET arrival_seq = max(arrival_seq, excluded.arrival_seq),"
    " at = max(at, excluded.at)"
)
DROP_VERSIONS = (
    "DELETE FROM history WHERE (customer, table_name, key_1, key_2, arrival_seq) IN {versions}"
)
FIND_REPORTS = "SELECT delivery, run, report FROM deliveries WHERE delivery IN ({listed})"
SET_REPORT = "UPDATE deliveries SET report = ? WHERE delivery = ? AND run = ?"


@dataclass(frozen=True, slots=True)
class Expired:
    """What one step did. dropped: rows. after: from where the next one goes on; None: the end."""

    dropped: int
    after: str | None


def expire_refused(store: Store, before: Before, after: str = "") -> Expired:
    """Drop refused records of runs that ended before; after: where the step before ended."""
    latest = max((each for each in before.values() if each), default=None)
    if latest is None:
        return Expired(0, None)
    last = f"{datetime.fromisoformat(latest):%y%m%d-%H%M%S}"
    limits = {"after": literal(after), "last": literal(last), "most": DELIVERIES_AT_ONCE}
    dropped = 0
    with store.connection.transaction():
        found = store.connection.rows(WALK.format(**limits))
        for delivery, customer, at in found:
            if not _is_old(at, before, customer):
                after = delivery
                continue
            most = ROWS_AT_ONCE - dropped
            sql = DROP_REFUSED.format(delivery=literal(delivery), most=most)
            dropped += store.connection.change(sql)
            if dropped == ROWS_AT_ONCE:
                return Expired(dropped, after)
            after = delivery
    return Expired(dropped, after if len(found) == DELIVERIES_AT_ONCE else None)


def expire_versions(store: Store, before: Before) -> Expired:
    """Drop versions that were overwritten before, of each customer up to ROWS_AT_ONCE."""
    dropped, is_end = 0, True
    with store.connection.transaction():
        for (customer,) in store.connection.rows(WITH_HISTORY):
            if (until := before.get(customer, before[""])) is None:
                continue
            names = {"customer": literal(customer), "before": literal(until), "most": ROWS_AT_ONCE}
            store.connection.execute(
                NOTE_DROPPED.format(versions=OLD_VERSIONS.format(more=", at", **names))
            )
            versions = OLD_VERSIONS.format(more="", **names)
            gone = store.connection.change(DROP_VERSIONS.format(versions=versions))
            dropped += gone
            is_end &= gone < ROWS_AT_ONCE
    return Expired(dropped, None if is_end else "")


def shorten_reports(store: Store, deliveries: Sequence[str]) -> int:
    """Take out of the reports of deliveries what they quote; returns how many reports."""
    listed = ", ".join(map(literal, deliveries))
    with store.connection.transaction():
        found = store.connection.rows(FIND_REPORTS.format(listed=listed))
        short = [
            (Report.from_json(text).to_short_json(), delivery, run) for delivery, run, text in found
        ]
        return store.connection.add(SET_REPORT, *short)


def _is_old(at: str, before: Before, customer: str) -> bool:
    until = before.get(customer, before[""])
    return until is not None and at < until
