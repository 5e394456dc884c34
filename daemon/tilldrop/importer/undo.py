"""Taking one delivery back.

Promises: what nothing newer has stated is as it was before the delivery, where that is known, and
what could not be taken back is said; all in one transaction. Taking back twice changes nothing
more. A row that the delivery made is removed with its children; one that it changed goes back to
the version kept by `history = true`; one that it found as it was belongs to the delivery before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.importer.store_gone import count_gone, forget_claims, judge_touched
from tilldrop.importer.store_layers import all_tables, set_ids
from tilldrop.importer.store_replay import STEP_BACK, finish
from tilldrop.importer.store_restore import dropped_since, has_version, restore
from tilldrop.importer.store_scope import Scope
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from tilldrop.importer.store import Store

# What became of a row that the delivery stated.
VERSIONED, FOUND, MADE, UNKNOWN, NEWER, CAME_BACK = range(6)
FIND = (
    "CREATE TEMP TABLE judged AS SELECT {key}, 0 AS mask, CASE WHEN EXISTS ({version})"
    " THEN {versioned} WHEN t.delivery <> {delivery}{children_changed} THEN {found}"
    " WHEN t.delivery = {delivery} AND t.replaced IS NULL AND NOT EXISTS (SELECT 1"
    " FROM stated AS s WHERE s.set_id IN ({sets}) AND (s.key_1, s.key_2) = ({stated_key})"
    " AND s.arrival_seq <> {seq}) THEN {made} ELSE {unknown} END AS way"
    " FROM {table} AS t WHERE t.customer = {customer} AND t.arrival_seq = {seq}"
)
# Rows of which a newer delivery of another feed stated a part.
FIND_SHARED = (
    "INSERT INTO judged SELECT {key}, 0, iif(EXISTS ({version}), {versioned}, {newer})"
    " FROM {table} AS t WHERE t.customer = {customer} AND t.arrival_seq > {seq}"
    " AND ({stated_key}) IN (SELECT s.key_1, s.key_2 FROM stated AS s"
    " WHERE s.set_id IN ({sets}) AND s.arrival_seq = {seq})"
)
# What a later version shows of a row that this delivery made: before it, there was nothing.
ENTER_NOTHING = (
    "INSERT OR IGNORE INTO history"
    " (customer, table_name, key_1, key_2, arrival_seq, delivery, at, version)"
    " SELECT customer, table_name, key_1, key_2, {seq}, {delivery}, at, '{{}}' FROM history AS h"
    " WHERE customer = {customer} AND table_name = '{table}' AND arrival_seq > {seq}"
    " AND version ->> '$.delivery' = {delivery} AND version ->> '$.replaced' IS NULL"
    " AND (key_1, key_2) IN (SELECT s.key_1, s.key_2 FROM stated AS s"
    " WHERE s.set_id IN ({sets}) AND s.arrival_seq = {seq})"
    " AND NOT EXISTS (SELECT 1 FROM json_each(version, '$.stated') AS e"
    " WHERE e.value ->> 1 <> {seq})"
)
UNCHANGED_CHILD = (
    " AND NOT EXISTS (SELECT 1 FROM {child} AS c WHERE c.customer = t.customer"
    " AND c.location_id = t.location_id AND c.transaction_id = t.transaction_id"
    " AND c.delivery = {delivery})"
)
REMOVE = (
    "DELETE FROM {of} WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM judged WHERE way = {made})"
)
TAKE = "CREATE TEMP TABLE taken AS SELECT {key}, mask FROM judged WHERE way = {way}"
FORGET_STATED = (
    "DELETE FROM stated WHERE set_id IN ({sets}) AND arrival_seq = {seq} AND (key_1, key_2)"
    " IN (SELECT {stated_key} FROM judged AS j WHERE way IN ({found}, {made}))"
)
MARK = (
    "UPDATE deliveries SET outcome = 'undone'"
    " WHERE delivery = {delivery} AND customer = {customer} AND outcome = 'imported'"
)
FORGET = (
    "DELETE FROM rejected_rows WHERE delivery = {delivery}",
    "DELETE FROM seen_values WHERE customer = {customer} AND delivery = {delivery}",
)
OVERWRITTEN = (
    "SELECT coalesce(max((report ->> '$.counts.inserted') + (report ->> '$.counts.updated')), 0)"
    " FROM deliveries WHERE delivery = {delivery} AND customer = {customer}"
)
NO_VERSION = (
    "{count} rows of {table} keep what it stated: their earlier version is not known,"
    " because the feed does not say history = true"
)
VERSION_DROPPED = (
    "{count} rows of {table} keep what it stated: their earlier version is no longer kept"
    " (limits.keep_history_days)"
)
HAS_NEWER = "{count} rows of {table} keep what it stated: newer deliveries filled other columns"
ALL_NEWER = "at least {count} rows are as newer deliveries left them"


@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back.

    restored, removed: rows, without children. kept: why others not. known: rows of which it is
    known what became of them.
    """

    restored: int
    removed: int
    kept: tuple[str, ...]
    known: int = field(default=0, compare=False)


def undo(
    store: Store,
    customer: str,
    delivery: str,
    arrival_seq: int,
    *,
    elsewhere: int | None = 0,
    ends_replay: bool = False,
) -> Undone:
    """Take a delivery back. Raises DataBusy (temporary); nothing is changed then.

    elsewhere: `known` of another database in which it had rows too;
    None: this one's report does not tell how many rows there were. ends_replay: a replay of the
    customer has come to its end with this delivery.
    Cost: reads all rows of the customer once.
    """
    scope = Scope.of(store.connection, customer, "transactions", delivery, arrival_seq)
    restored = removed = known = 0
    kept: list[str] = []
    with store.connection.transaction():
        changed = scope.number(OVERWRITTEN)
        for one in all_tables(scope):
            ways = _take_back(one)
            restored += ways[VERSIONED] + ways[CAME_BACK]
            removed += ways[MADE]
            known += sum(ways.values()) - ways[FOUND] - ways[CAME_BACK]
            if ways[UNKNOWN]:
                why = VERSION_DROPPED if dropped_since(scope) else NO_VERSION
                kept.append(why.format(count=ways[UNKNOWN], table=one.table))
            if ways[NEWER]:
                kept.append(HAS_NEWER.format(count=ways[NEWER], table=one.table))
        was_done = bool(scope.change(MARK))
        if was_done and elsewhere is not None and changed > known + elsewhere:
            kept.append(ALL_NEWER.format(count=changed - known - elsewhere))
        for sql in FORGET:
            scope.execute(sql)
        removed += finish(scope) if ends_replay else 0
    return Undone(restored, removed, tuple(kept), known)


def _take_back(scope: Scope) -> dict[int, int]:
    """Take one table's rows back; returns how many went which way."""
    is_parent = scope.table == "transactions"
    sets = ", ".join(map(str, set_ids(scope)))
    key = scope.stated_key("t")
    were_gone = count_gone(scope)
    names = {"versioned": VERSIONED, "found": FOUND, "made": MADE, "unknown": UNKNOWN}
    scope.execute(ENTER_NOTHING, sets=sets)
    changed = "".join(UNCHANGED_CHILD.replace("{child}", child) for child in CHILDREN)
    scope.execute(
        FIND,
        version=has_version(scope, "t"),
        children_changed=scope.fill(changed) if is_parent else "",
        sets=sets,
        stated_key=key,
        **names,
    )
    scope.execute(
        FIND_SHARED,
        version=has_version(scope, "t"),
        sets=sets,
        stated_key=key,
        versioned=VERSIONED,
        newer=NEWER,
    )
    found = dict(scope.rows("SELECT way, count(*) FROM judged GROUP BY way"))
    ways = {way: int(found.get(way, 0)) for way in range(5)}
    if any(ways.values()):
        _carry_out(scope, sets)
    forget_claims(scope, str(scope.seq))
    ways[CAME_BACK] = max(0, were_gone - count_gone(scope))
    scope.execute("DROP TABLE temp.judged")
    return ways


def _carry_out(scope: Scope, sets: str) -> None:
    scope.execute(TAKE, way=VERSIONED)
    restore(scope)
    scope.execute("DROP TABLE temp.taken")
    for of in (scope.table, *(CHILDREN if scope.table == "transactions" else ())):
        scope.execute(REMOVE, of=of, made=MADE)
    key = scope.stated_key("j")
    scope.execute(FORGET_STATED, sets=sets, stated_key=key, found=FOUND, made=MADE)
    scope.execute(TAKE, way=FOUND)
    scope.execute(STEP_BACK, sets=sets, stated_key=scope.stated_key("t"))
    judge_touched(scope, "taken")
    scope.execute("DROP TABLE temp.taken")
