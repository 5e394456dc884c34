"""Replays: rows that a former mapping made give way to what the present one makes.

A replay of many deliveries marks all rows that they stated as stale, by a negative arrival_seq;
they stay readable. A delivery that states a stale row makes it anew, so that no column of the
former mapping stays; what is stale at the end goes. What deliveries outside the replay stated of
such a row, and another feed's columns, stay (`stated` knows them). So the end is what it would be
had the present mapping been there when the first of them came.
A replay of one delivery does the same with the rows that this delivery alone had written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.store_gone import forget_claims
from tilldrop.importer.store_history import forget_replayed
from tilldrop.importer.store_layers import all_tables, layers, set_ids
from tilldrop.importer.store_scope import NOTHING
from tilldrop.importer.store_sql import differs, values
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.importer.store_scope import Scope

MAKE_STALE = (
    "UPDATE {table} SET arrival_seq = -arrival_seq, replaced = CASE WHEN replaced IN"
    " (SELECT delivery FROM deliveries WHERE customer = {customer} AND arrival_seq IN ({seqs}))"
    " THEN NULL ELSE replaced END"
    " WHERE customer = {customer} AND arrival_seq IN ({seqs})"
)
FORGET_STATED = "DELETE FROM stated WHERE set_id IN ({sets}) AND arrival_seq IN ({seqs})"
MAKE_OWN_STALE = (
    "UPDATE {table} SET arrival_seq = -arrival_seq"
    " WHERE customer = {customer} AND arrival_seq = {seq} AND delivery = {delivery}"
)
# Rows that the delivery found as they were belong to the one that wrote them.
STEP_BACK = (
    "UPDATE {table} AS t SET arrival_seq = max(coalesce((SELECT max(s.arrival_seq)"
    " FROM stated AS s WHERE s.set_id IN ({sets})"
    " AND (s.key_1, s.key_2) = ({stated_key})), 0), (SELECT min(d.arrival_seq)"
    " FROM deliveries AS d WHERE d.delivery = t.delivery))"
    " WHERE customer = {customer} AND arrival_seq = {seq} AND delivery <> {delivery}"
    " AND delivery IN (SELECT delivery FROM deliveries WHERE customer = {customer})"
)
STALE_INCOMING = "SELECT {key}, 0 AS kept FROM incoming WHERE before < 0 AND mask <> {nothing}"
STALE = "SELECT {key}, 0 AS kept FROM {table} WHERE customer = {customer} AND arrival_seq "
KEEP = (
    "UPDATE stale AS i SET kept = kept | {bit} WHERE EXISTS (SELECT 1 FROM stated AS s"
    " WHERE s.set_id = {set_id} AND (s.key_1, s.key_2) = ({stated_key}))"
)
DROP_CHILDREN = (
    "DELETE FROM {child} WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM stale WHERE kept = {kept})"
)
DROP = (
    "DELETE FROM {table} WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM stale WHERE kept = 0)"
)
# The row stays, for what it `replaced`; arrival_seq 0 says that nobody has stated it.
EMPTY = (
    "UPDATE {table} SET {emptied}line = 0, arrival_seq = 0 WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM stale WHERE kept = 0)"
)
COUNT_AS_BEFORE = (
    "SELECT count(*) FROM stale AS s CROSS JOIN incoming AS i ON {i_matches}"
    " CROSS JOIN {table} AS t ON t.customer = {customer} AND {t_matches}"
    " WHERE s.kept = 0 AND NOT ({differs})"
)
STRIP = (
    "UPDATE {table} AS t SET {emptied}line = 0, replaced = NULL,"
    " (arrival_seq, delivery) = (SELECT s.arrival_seq, coalesce((SELECT min(d.delivery)"
    " FROM deliveries AS d WHERE d.customer = {customer} AND d.arrival_seq = s.arrival_seq),"
    " t.delivery) FROM stated AS s WHERE s.set_id IN ({sets})"
    " AND (s.key_1, s.key_2) = ({stated_key}) ORDER BY s.arrival_seq DESC LIMIT 1)"
    " WHERE customer = {customer} AND ({key}) IN (SELECT {key} FROM stale WHERE kept = {kept})"
)

LOST = (
    "SELECT count(*) FROM {table} WHERE customer = {customer} AND arrival_seq = -{seq}"
    " AND replaced IS NOT NULL"
)


def begin(scope: Scope, seqs: Sequence[int]) -> None:
    """Make stale what these deliveries stated, in every table."""
    listed = ", ".join(map(str, seqs))
    for one in all_tables(scope):
        one.execute(MAKE_STALE, seqs=listed)
        one.execute(FORGET_STATED, seqs=listed, sets=", ".join(map(str, set_ids(one))))
        forget_claims(one, listed)
    forget_replayed(scope, listed)
    scope.execute("INSERT OR IGNORE INTO replaying (customer) VALUES ({customer})")


def begin_own(scope: Scope) -> None:
    """Make stale what the scope's delivery alone wrote, in every table."""
    for one in all_tables(scope):
        sets = ", ".join(map(str, set_ids(one)))
        one.execute(MAKE_OWN_STALE)
        one.execute(FORGET_STATED, seqs=one.seq, sets=sets)
        one.execute(STEP_BACK, sets=sets, stated_key=one.stated_key("t"))
        forget_claims(one, str(one.seq))


def clear_incoming(scope: Scope, columns: Sequence[str]) -> int:
    """Empty the stale rows that the delivery is about to state with these columns.

    Returns how many of them it states as they were.
    """
    stale = _Stale(scope, STALE_INCOMING)
    others = [f"t.{name} IS NOT NULL" for name in values(scope.table) if name not in columns]
    as_before = scope.number(
        COUNT_AS_BEFORE,
        i_matches=scope.matches("i", "s"),
        t_matches=scope.matches("t", "i"),
        differs=" OR ".join((differs(columns, "t", "i"), *others)),
    )
    stale.strip()
    emptied = "".join(f"{name} = NULL, " for name in values(scope.table))
    scope.execute(EMPTY, emptied=emptied)
    stale.end()
    return as_before


def finish(scope: Scope) -> int:
    """Remove what no delivery of the replay stated, in every table; returns how many rows."""
    scope.execute("DELETE FROM replaying WHERE customer = {customer}")
    return sum(_drop(one, STALE + "< 0") for one in all_tables(scope))


def count_lost(scope: Scope) -> int:
    """Count rows that are about to be removed although something was there before."""
    return scope.number(LOST)


def finish_own(scope: Scope) -> int:
    """Remove what the replay of one delivery no longer states; returns how many rows."""
    return sum(_drop(one, STALE + "= -{seq}") for one in all_tables(scope))


def _drop(scope: Scope, which: str) -> int:
    """Remove stale rows; those that others stated too lose only what those did not."""
    stale = _Stale(scope, which)
    stale.strip()
    removed = scope.change(DROP)
    stale.end()
    return removed


class _Stale:
    """The temporary table `stale`: keys of stale rows, with the layers that others stated."""

    def __init__(self, scope: Scope, which: str) -> None:
        self._scope = scope
        self._layers = layers(scope)
        scope.execute("CREATE TEMP TABLE stale AS " + which, nothing=NOTHING)
        for set_id, bit in self._layers.bits.items():
            scope.execute(KEEP, set_id=set_id, bit=bit, stated_key=scope.stated_key("i"))

    def strip(self) -> None:
        """Leave only what others stated; of rows that nobody else did, drop the children."""
        scope = self._scope
        sets = ", ".join(map(str, self._layers.bits))
        for (kept,) in scope.rows("SELECT DISTINCT kept FROM stale"):
            covered = self._layers.covered(kept)
            for child in CHILDREN if scope.table == "transactions" else ():
                if child not in covered:
                    scope.execute(DROP_CHILDREN, child=child, kept=kept)
            emptied = [f"{name} = NULL, " for name in values(scope.table) if name not in covered]
            if kept:
                scope.execute(
                    STRIP,
                    emptied="".join(emptied),
                    sets=sets,
                    stated_key=scope.stated_key("t"),
                    kept=kept,
                )

    def end(self) -> None:
        """Forget them."""
        self._scope.execute("DROP TABLE temp.stale")
