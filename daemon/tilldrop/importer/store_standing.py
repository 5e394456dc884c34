"""What data.db knows of a customer before a delivery is booked, and what became of its rows.

Owns `Standing`, `Booked` and the sets of columns that feeds fill. Never changes a business row.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.store_sql import keys

if TYPE_CHECKING:
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store_connection import Connection
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

REUSED_AFTER_DAYS = 300  # tills that begin again do so once a year at most

# What a feed that maps no date or total cannot know of a transaction.
_OF_SOLD_AT = frozenset({"sold_at", "has_time", "business_date"})
_OF_TOTAL = frozenset({"total_minor", "kind", "currency"})

ASK = (
    "SELECT EXISTS (SELECT 1 FROM {table} WHERE customer = {customer}),"
    " EXISTS (SELECT 1 FROM deliveries"
    " WHERE customer = {customer} AND arrival_seq > {seq} AND outcome = 'imported'),"
    " EXISTS (SELECT 1 FROM claims WHERE customer = {customer} AND table_name = '{table}'),"
    " EXISTS (SELECT 1 FROM replaying WHERE customer = {customer}),"
    " EXISTS (SELECT 1 FROM column_sets"
    " WHERE customer = {customer} AND table_name = '{table}' AND feed <> {feed}),"
    " EXISTS (SELECT 1 FROM customers"
    " WHERE customer = {customer} AND currency = {currency} AND zone = {zone}),"
    " EXISTS (SELECT 1 FROM deliveries"
    " WHERE delivery = {delivery} AND outcome IN ('imported', 'undone')),"
    " (SELECT set_id FROM column_sets WHERE customer = {customer} AND table_name = '{table}'"
    " AND feed = {feed} AND columns = {columns})"
)
ADD_SET = (
    "INSERT INTO column_sets (customer, table_name, feed, columns)"
    " VALUES ({customer}, '{table}', {feed}, {columns})"
)
SET_TERMS = (
    "INSERT INTO customers (customer, currency, zone) VALUES ({customer}, {currency}, {zone})"
    " ON CONFLICT (customer) DO UPDATE SET currency = excluded.currency, zone = excluded.zone"
)


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of the staged rows.

    inserted + updated + unchanged + superseded are the rows staged; a transaction of which only
    lines, tenders or taxes changed counts as unchanged. superseded: a newer delivery wrote that
    key; those of them that are `ignored` bear an older `as_of` than what is stored.
    gone: rows marked as gone. removed: rows that a replay found to come from the former mapping
    only. reused: rows whose id belonged to a sale of a far-off day. child_rows: child table -> rows
    staged for what was not superseded. lost: of those removed, rows that older deliveries had
    filled and whose version from then is no longer kept.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    ignored: int = 0
    gone: int = 0
    removed: int = 0
    reused: int = 0
    child_rows: dict[str, int] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """A delivery's feed among what is booked already.

    columns: those it fills, without its key; children: child tables it fills. set_id: of both.
    has_rows: the customer has rows in the table. has_newer: a newer delivery was imported.
    has_claims: some feed of the table was complete. is_replaying: a replay is under way.
    was_booked: an earlier run of the delivery was.
    shares: other feeds fill the same table.
    """

    columns: tuple[str, ...]
    children: tuple[str, ...]
    set_id: int
    has_rows: bool
    has_newer: bool
    has_claims: bool
    is_replaying: bool
    was_booked: bool
    shares: bool


def columns_of(staged: Staged, feed: Feed) -> tuple[str, ...]:
    """Return the columns of `staged` that the feed fills, with those of the key."""
    drop: frozenset[str] = frozenset()
    if feed.partial and staged.table == "transactions":
        if "sold_at" not in feed.sources:
            drop |= _OF_SOLD_AT
        if "total" not in feed.sources:
            drop |= _OF_TOTAL
        drop -= feed.sources.keys()
    return tuple(column.name for column in staged.columns if column.name not in drop)


def look(data: Connection, job: Job, feed: Feed, staged: Staged) -> Standing:
    """Say where a delivery stands; enters its set of columns and its customer's terms if new."""
    children = tuple(staged.children)
    columns = tuple(name for name in columns_of(staged, feed) if name not in keys(staged.table))
    text = json.dumps(sorted((*columns, *children)), separators=(",", ":"))
    names = {
        "table": staged.table,
        "customer": literal(job.customer),
        "seq": job.arrival_seq,
        "delivery": literal(job.delivery),
        "feed": literal(feed.name),
        "columns": literal(text),
        "currency": literal(job.currency),
        "zone": literal(job.zone),
    }
    found = data.rows(ASK.format(**names))[0]
    has_rows, has_newer, has_claims, is_replaying, other_sets, knows_terms, was_booked, set_id = (
        found
    )
    if not knows_terms:
        data.execute(SET_TERMS.format(**names))
    if set_id is None:
        data.execute(ADD_SET.format(**names))
        set_id = data.rows("SELECT last_insert_rowid()")[0][0]
    shares = job.shares_transactions if staged.table == "transactions" else bool(other_sets)
    return Standing(
        *(columns, children, set_id, bool(has_rows), bool(has_newer), bool(has_claims)),
        *(bool(is_replaying), bool(was_booked), shares),
    )
