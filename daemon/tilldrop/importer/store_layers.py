"""Which columns of a row a delivery may still fill, where several feeds fill one table.

Every feed fills a set of columns and child tables. Of each row the newest delivery of every set
is kept in `stated`, so that a delivery that is booked late fills what no newer one did: each
column has the value of the last delivery, by arrival, whose feed fills it. Owns `stated`, and the
layers: distinct sets, a bit each. Where one feed fills a table, its row's arrival_seq says it all,
unless older states are ignored: then `stated` has the delivery that gave the present one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tilldrop.importer.store_scope import NOTHING, Scope
from tilldrop.importer.store_sql import PARENTS, values
from tilldrop.rows import CHILDREN

SETS = (
    "SELECT set_id, columns FROM column_sets WHERE customer = {customer} AND table_name = '{table}'"
)
LAST_BIT = 60  # of an integer of SQLite's; layers beyond share it, so that less is filled in
FIND_BASES = (
    "CREATE TEMP TABLE bases AS SELECT arrival_seq, (SELECT set_id FROM deliveries AS d"
    " WHERE d.customer = {customer} AND d.arrival_seq = b.arrival_seq AND d.set_id IS NOT NULL"
    " ORDER BY run DESC LIMIT 1) AS set_id"
    " FROM (SELECT DISTINCT before AS arrival_seq FROM incoming WHERE before > 0) AS b"
)
# The first release did not note which columns a feed filled: all that there were.
ADD_WHOLE_SET = (
    "INSERT OR IGNORE INTO column_sets (customer, table_name, feed, columns)"
    " VALUES ({customer}, '{table}', '', '{columns}')"
)
USE_WHOLE_SET = (
    "UPDATE bases SET set_id = (SELECT set_id FROM column_sets WHERE customer = {customer}"
    " AND table_name = '{table}' AND feed = '') WHERE set_id IS NULL"
)
# A row that was booked while one feed filled the table is not in `stated` yet.
STATE_BASES = (
    "INSERT INTO stated (set_id, key_1, key_2, arrival_seq)"
    " SELECT b.set_id, {stated_key}, b.arrival_seq FROM incoming AS i"
    " CROSS JOIN bases AS b ON b.arrival_seq = i.before WHERE {which}"
    " ON CONFLICT DO UPDATE SET arrival_seq = max(arrival_seq, excluded.arrival_seq)"
    " WHERE excluded.arrival_seq > arrival_seq"
)
NOT_STATED = (
    "NOT EXISTS (SELECT 1 FROM stated AS s WHERE s.set_id IN ({sets})"
    " AND (s.key_1, s.key_2) = ({stated_key}))"
)
MASK = (
    "UPDATE incoming AS i SET mask = mask | {bit} WHERE EXISTS (SELECT 1 FROM stated AS s"
    " WHERE s.set_id = {set_id} AND (s.key_1, s.key_2) = ({stated_key}) AND s.arrival_seq > {seq})"
)
STATE = (
    "INSERT INTO stated (set_id, key_1, key_2, arrival_seq)"
    " SELECT {set_id}, {stated_key}, {seq} FROM incoming AS i WHERE mask <> {nothing}"
    " ON CONFLICT DO UPDATE SET arrival_seq = excluded.arrival_seq"
)
FORGET_COVERED = (
    "DELETE FROM stated WHERE set_id = {set_id} AND arrival_seq < {seq}"
    " AND (key_1, key_2) IN (SELECT {stated_key} FROM incoming AS i WHERE mask <> {nothing})"
)


@dataclass(frozen=True, slots=True)
class Layers:
    """Sets of columns and child tables. sets: set_id -> its columns; bits: set_id -> its bit."""

    sets: dict[int, frozenset[str]]
    bits: dict[int, int]

    def covered(self, mask: int) -> frozenset[str]:
        """Return the columns of all layers in a mask."""
        found: frozenset[str] = frozenset()
        for set_id, bit in self.bits.items():
            if mask & bit:
                found |= self.sets[set_id]
        return found

    def bits_with(self, column: str) -> int:
        """Return the mask of the layers that have a column."""
        found = 0
        for set_id, bit in self.bits.items():
            if column in self.sets[set_id]:
                found |= bit
        return found


def layers(scope: Scope, mine: frozenset[str] | None = None) -> Layers:
    """Return the layers of the scope's table; only what they have in common with `mine`."""
    sets = {set_id: frozenset(json.loads(text)) for set_id, text in scope.rows(SETS)}
    if mine is not None:
        sets = {set_id: columns & mine for set_id, columns in sets.items()}
    distinct = sorted({columns for columns in sets.values() if columns}, key=sorted)
    bit_of = {columns: 1 << min(at, LAST_BIT) for at, columns in enumerate(distinct)}
    return Layers(sets, {set_id: bit_of[columns] for set_id, columns in sets.items() if columns})


def enter_bases(scope: Scope, *, only_unknown: bool) -> None:
    """Note in `stated` what is only known by the rows' own arrival_seq.

    only_unknown: leave the rows that are there; their last statement may have been ignored.
    """
    scope.execute(FIND_BASES)
    if scope.number("SELECT count(*) FROM bases WHERE set_id IS NULL"):
        scope.execute(ADD_WHOLE_SET, columns=json.dumps(values(scope.table)))
        scope.execute(USE_WHOLE_SET)
    key = scope.stated_key("i")
    sets = ", ".join(map(str, set_ids(scope)))
    not_stated = scope.fill(NOT_STATED, sets=sets, stated_key=key)
    scope.execute(STATE_BASES, stated_key=key, which=not_stated if only_unknown else "true")
    scope.execute("DROP TABLE temp.bases")


def mask_newer(scope: Scope, found: Layers) -> None:
    """Mark in `incoming` what newer deliveries stated of each row."""
    for set_id, bit in found.bits.items():
        scope.execute(MASK, set_id=set_id, bit=bit, stated_key=scope.stated_key("i"))


def close_covered(scope: Scope, found: Layers, mine: frozenset[str]) -> None:
    """Mark with NOTHING the rows of which newer deliveries stated all that this one states."""
    for mask in masks(scope):
        if mask and mine <= found.covered(mask):
            close = "UPDATE incoming SET mask = {nothing} WHERE mask = {mask}"
            scope.execute(close, mask=mask, nothing=NOTHING)


def masks(scope: Scope) -> list[int]:
    """Return the masks that occur, but for NOTHING."""
    sql = "SELECT DISTINCT mask FROM incoming WHERE mask <> {nothing} ORDER BY mask"
    return [int(mask) for (mask,) in scope.rows(sql, nothing=NOTHING)]


def state(scope: Scope, set_id: int) -> None:
    """Note that the delivery stated its rows; forget older statements of no more columns."""
    key = scope.stated_key("i")
    scope.execute(STATE, set_id=set_id, stated_key=key, nothing=NOTHING)
    found = layers(scope)
    for other, columns in found.sets.items():
        if other != set_id and columns <= found.sets[set_id]:
            scope.execute(FORGET_COVERED, set_id=other, stated_key=key, nothing=NOTHING)


def set_ids(scope: Scope) -> list[int]:
    """Return the sets of the scope's table and customer."""
    return [set_id for (set_id, _) in scope.rows(SETS)]


def all_tables(scope: Scope) -> list[Scope]:
    """Return the same scope for every table that has keys of its own."""
    return [
        Scope(scope.data, scope.customer, table, scope.delivery, scope.seq) for table in PARENTS
    ]


def parents_of(columns: frozenset[str], table: str) -> tuple[str, ...]:
    """Return the columns of a set that are the table's own, in its order."""
    return tuple(name for name in values(table) if name in columns)


def children_of(columns: frozenset[str]) -> tuple[str, ...]:
    """Return the child tables of a set."""
    return tuple(child for child in CHILDREN if child in columns)
