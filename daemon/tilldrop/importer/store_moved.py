"""Transactions whose id alone makes them the same one, at whatever location.

For feeds whose `key` lacks location_id: where the same id was booked at another location, the
transaction moves to where the last delivery, by arrival, has it. Cost: a look-up for each row and
each location of the customer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.store_layers import set_ids
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from tilldrop.importer.store_scope import Scope
    from tilldrop.importer.store_standing import Standing

INDEX = "CREATE INDEX temp.incoming_by_id ON incoming (transaction_id, line)"
DROP_REPEATED = (
    "DELETE FROM incoming AS i WHERE EXISTS (SELECT 1 FROM incoming AS o"
    " WHERE o.transaction_id = i.transaction_id AND o.line > i.line)"
)
DROP_THEIR_CHILDREN = (
    "DELETE FROM incoming_{child} WHERE ({key}) NOT IN (SELECT {key} FROM incoming)"
)
# Each location is found by a look-up: DISTINCT would read all rows of the customer.
FIND_PLACES = (
    "CREATE TEMP TABLE places AS WITH RECURSIVE place (id) AS ("
    "SELECT min(location_id) FROM transactions WHERE customer = {customer} UNION ALL"
    " SELECT (SELECT min(location_id) FROM transactions"
    " WHERE customer = {customer} AND location_id > id) FROM place WHERE id IS NOT NULL)"
    " SELECT id FROM place WHERE id IS NOT NULL"
)
FIND_ELSEWHERE = (
    "CREATE TEMP TABLE elsewhere AS SELECT i.location_id AS here, t.location_id AS there,"
    " t.transaction_id, t.arrival_seq, 0 AS goes FROM incoming AS i CROSS JOIN places AS p"
    " CROSS JOIN transactions AS t ON t.customer = {customer} AND t.location_id = p.id"
    " AND t.transaction_id = i.transaction_id WHERE t.location_id <> i.location_id"
)
FOLLOW_NEWER = (
    "UPDATE {into} AS i SET location_id = (SELECT e.there FROM elsewhere AS e"
    " WHERE e.transaction_id = i.transaction_id AND e.arrival_seq > {seq} LIMIT 1)"
    " WHERE transaction_id IN (SELECT transaction_id FROM elsewhere WHERE arrival_seq > {seq})"
)
FORGET_NEWER = (
    "DELETE FROM elsewhere WHERE transaction_id IN"
    " (SELECT transaction_id FROM elsewhere WHERE arrival_seq > {seq})"
)
CHOOSE = (
    "UPDATE elsewhere AS e SET goes = NOT EXISTS (SELECT 1 FROM transactions AS t"
    " WHERE t.customer = {customer} AND t.location_id = e.here"
    " AND t.transaction_id = e.transaction_id) AND NOT EXISTS (SELECT 1 FROM elsewhere AS o"
    " WHERE o.transaction_id = e.transaction_id"
    " AND (abs(o.arrival_seq), o.there) > (abs(e.arrival_seq), e.there))"
)
DROP = (
    "DELETE FROM {of} WHERE customer = {customer} AND ({key}) IN"
    " (SELECT there, transaction_id FROM elsewhere WHERE NOT goes)"
)
DROP_STATED = (
    "DELETE FROM stated WHERE set_id IN ({sets}) AND (key_1, key_2) IN"
    " (SELECT there, transaction_id FROM elsewhere WHERE NOT goes)"
)
MOVE = (
    "UPDATE {of} AS t SET location_id = (SELECT e.here FROM elsewhere AS e WHERE e.goes"
    " AND e.there = t.location_id AND e.transaction_id = t.transaction_id)"
    " WHERE customer = {customer} AND ({key}) IN"
    " (SELECT there, transaction_id FROM elsewhere WHERE goes)"
)
MOVE_STATED = (
    "UPDATE stated AS s SET key_1 = (SELECT e.here FROM elsewhere AS e WHERE e.goes"
    " AND e.there = s.key_1 AND e.transaction_id = s.key_2)"
    " WHERE set_id IN ({sets}) AND (key_1, key_2) IN"
    " (SELECT there, transaction_id FROM elsewhere WHERE goes)"
)
NOTE_MOVED = (
    "UPDATE incoming AS i SET moved_from = (SELECT e.there FROM elsewhere AS e WHERE e.goes"
    " AND e.here = i.location_id AND e.transaction_id = i.transaction_id)"
)


def settle(scope: Scope, standing: Standing) -> int:
    """Bring stored and incoming rows of the same id to one location.

    Returns how many incoming rows a later one of the same file overtook.
    """
    scope.execute(INDEX)
    dropped = scope.change(DROP_REPEATED)
    for child in standing.children:
        scope.execute(DROP_THEIR_CHILDREN, child=child)
    scope.execute(FIND_PLACES)
    scope.execute(FIND_ELSEWHERE)
    scope.execute("CREATE INDEX temp.elsewhere_by_id ON elsewhere (transaction_id)")
    for into in ("incoming", *(f"incoming_{child}" for child in standing.children)):
        scope.execute(FOLLOW_NEWER, into=into)
    scope.execute(FORGET_NEWER)
    scope.execute(CHOOSE)
    sets = ", ".join(map(str, set_ids(scope)))
    scope.execute(DROP_STATED, sets=sets)
    scope.execute(MOVE_STATED, sets=sets)
    for of in ("transactions", *CHILDREN):
        scope.execute(DROP, of=of)
        scope.execute(MOVE, of=of)
    scope.execute(NOTE_MOVED)
    scope.execute("DROP TABLE temp.elsewhere")
    scope.execute("DROP TABLE temp.places")
    return dropped
