"""Versions from `history` put back where they were.

Works on a temporary table `taken` of keys: rows whose last statement is taken back. Only the
columns and child tables that the delivery filled, and no newer one since, go back to what they
were. Owns nothing; `undo` and replays say which rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.store_gone import judge_touched
from tilldrop.importer.store_history import PROVENANCE
from tilldrop.importer.store_layers import Layers, children_of, layers, parents_of, set_ids
from tilldrop.importer.store_sql import number, values
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from tilldrop.importer.store_scope import Scope

SETS_OF_DELIVERY = "SELECT DISTINCT set_id FROM deliveries WHERE delivery = {delivery}"
TAKE_STALE = (
    "CREATE TEMP TABLE taken AS SELECT {key}, 0 AS mask FROM {table} AS t"
    " WHERE t.customer = {customer} AND t.arrival_seq = -{seq} AND EXISTS ({version})"
)
VERSION = (
    "SELECT 1 FROM history AS h WHERE h.customer = {{customer}} AND h.table_name = '{{table}}'"
    " AND (h.key_1, h.key_2) = ({key}) AND h.arrival_seq = {{seq}}"
)
MASK = (
    "UPDATE taken AS i SET mask = mask | {bit} WHERE EXISTS (SELECT 1 FROM stated AS s"
    " WHERE s.set_id = {set_id} AND (s.key_1, s.key_2) = ({stated_key}) AND s.arrival_seq > {seq})"
)
PUT_BACK = (
    "UPDATE {table} AS t SET ({columns}) = (SELECT {picked} FROM history AS h"
    " WHERE h.customer = {customer} AND h.table_name = '{table}'"
    " AND (h.key_1, h.key_2) = ({stated_key}) AND h.arrival_seq = {seq})"
    " WHERE customer = {customer} AND ({key}) IN (SELECT {key} FROM taken WHERE {which_taken})"
    " AND {which}"
)
DROP_CHILDREN = (
    "DELETE FROM {child} WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM taken WHERE mask = {mask})"
)
PUT_CHILDREN_BACK = (
    "INSERT INTO {child} (customer, location_id, transaction_id, {columns})"
    " SELECT {customer}, i.location_id, i.transaction_id, {picked} FROM taken AS i"
    " CROSS JOIN history AS h ON h.customer = {customer} AND h.table_name = '{table}'"
    " AND (h.key_1, h.key_2) = ({stated_key}) AND h.arrival_seq = {seq}"
    " CROSS JOIN json_each(h.version, '$.{child}') AS e WHERE i.mask = {mask}"
)
FORGET_STATED = (
    "DELETE FROM stated WHERE set_id IN ({sets}) AND arrival_seq = {seq}"
    " AND (key_1, key_2) IN (SELECT {stated_key} FROM taken AS i)"
)
STATE_AGAIN = (
    "INSERT OR IGNORE INTO stated (set_id, key_1, key_2, arrival_seq)"
    " SELECT e.value ->> 0, h.key_1, h.key_2, e.value ->> 1 FROM taken AS i"
    " CROSS JOIN history AS h ON h.customer = {customer} AND h.table_name = '{table}'"
    " AND (h.key_1, h.key_2) = ({stated_key}) AND h.arrival_seq = {seq}"
    " CROSS JOIN json_each(h.version, '$.stated') AS e"
)
RAISE_SEQ = (
    "UPDATE {table} AS t SET arrival_seq = max(t.arrival_seq, coalesce((SELECT"
    " max(s.arrival_seq) FROM stated AS s WHERE s.set_id IN ({sets})"
    " AND (s.key_1, s.key_2) = ({stated_key})), 0))"
    " WHERE customer = {customer} AND ({key}) IN (SELECT {key} FROM taken)"
)
WENT_FROM = (
    "SELECT h.version ->> '$.location_id' FROM history AS h WHERE h.customer = {{customer}}"
    " AND h.table_name = 'transactions' AND h.key_1 = {alias}.{first}"
    " AND h.key_2 = {alias}.{second} AND h.arrival_seq = {{seq}}"
)
MOVE_BACK = (
    "UPDATE OR IGNORE {of} AS t SET {first} = ({from_}) WHERE {whose}"
    " AND ({first}, {second}) IN (SELECT location_id, transaction_id FROM taken)"
    " AND {first} <> ({from_})"
)
FORGET_VERSIONS = (
    "DELETE FROM history WHERE customer = {customer} AND table_name = '{table}'"
    " AND arrival_seq = {seq} AND (key_1, key_2) IN (SELECT {stated_key} FROM taken AS i)"
)

DROPPED = "SELECT 1 FROM versions_dropped WHERE customer = {customer} AND arrival_seq >= {seq}"


def has_version(scope: Scope, alias: str) -> str:
    """Return the query that finds what the delivery overwrote of a row, if that was kept."""
    return scope.fill(VERSION.format(key=scope.stated_key(alias)))


def dropped_since(scope: Scope) -> bool:
    """Tell whether versions of the delivery, or of a newer one, were dropped for their age."""
    return bool(scope.rows(DROPPED))


def restore_stale(scope: Scope) -> None:
    """Of a replay of one delivery: put back what it overwrote and no longer states."""
    scope.execute(TAKE_STALE, version=has_version(scope, "t"))
    restore(scope)
    scope.execute("DROP TABLE temp.taken")


def restore(scope: Scope) -> None:
    """Put back the versions of all rows in `taken`, each of which has one."""
    found = layers(scope)
    key = scope.stated_key("i")
    for set_id, bit in found.bits.items():
        scope.execute(MASK, set_id=set_id, bit=bit, stated_key=key)
    filled = _filled(scope, found)
    for (mask,) in scope.rows("SELECT DISTINCT mask FROM taken"):
        columns = filled - found.covered(mask)
        _put_back(scope, parents_of(columns, scope.table), f"mask = {mask}")
        for child in children_of(columns):
            _put_children_back(scope, child, mask)
    # Of a row that a newer delivery stated too, that one remains the last.
    _put_back(scope, PROVENANCE, "1", f"abs(t.arrival_seq) = {scope.seq}")
    sets = ", ".join(map(str, set_ids(scope)))
    scope.execute(FORGET_STATED, sets=sets, stated_key=key)
    scope.execute(STATE_AGAIN, stated_key=key)
    scope.execute(RAISE_SEQ, sets=sets, stated_key=scope.stated_key("t"))
    if scope.table == "transactions":
        _move_back(scope, sets)
    scope.execute(FORGET_VERSIONS, stated_key=key)
    judge_touched(scope, "taken")


def _filled(scope: Scope, found: Layers) -> frozenset[str]:
    """Return the columns and child tables that the delivery filled."""
    filled: frozenset[str] = frozenset()
    for (set_id,) in scope.rows(SETS_OF_DELIVERY):
        filled |= found.sets.get(set_id, frozenset())
    return filled or frozenset((*values(scope.table), *CHILDREN))


def _put_back(scope: Scope, columns: tuple[str, ...], which_taken: str, which: str = "1") -> None:
    if columns:
        scope.execute(
            PUT_BACK,
            columns=", ".join(columns),
            picked=", ".join(f"h.version ->> '$.{name}'" for name in columns),
            stated_key=scope.stated_key("t"),
            which_taken=which_taken,
            which=which,
        )


def _put_children_back(scope: Scope, child: str, mask: int) -> None:
    names = (number(child), *values(child), "delivery", "line")
    scope.execute(DROP_CHILDREN, child=child, mask=mask)
    scope.execute(
        PUT_CHILDREN_BACK,
        child=child,
        columns=", ".join(names),
        picked=", ".join(f"e.value ->> '$.{name}'" for name in names),
        stated_key=scope.stated_key("i"),
        mask=mask,
    )


def _move_back(scope: Scope, sets: str) -> None:
    """Bring a transaction back to the location where it was, unless one is there."""
    of_customer = scope.fill("customer = {customer}")
    for of in ("transactions", *CHILDREN):
        names = {"first": "location_id", "second": "transaction_id"}
        from_ = scope.fill(WENT_FROM.format(alias="t", **names))
        scope.execute(MOVE_BACK, of=of, whose=of_customer, from_=from_, **names)
    names = {"first": "key_1", "second": "key_2"}
    from_ = scope.fill(WENT_FROM.format(alias="t", **names))
    scope.execute(MOVE_BACK, of="stated", whose=f"set_id IN ({sets})", from_=from_, **names)
