"""Rows among what other deliveries said: the careful way of booking.

For feeds that keep a history, claim to be complete, ignore older states, know a transaction
without its location, or share a table with other feeds; and for replays. The rows are brought
into SQLite first and compared there as sets. Promises: the end is the same in whatever order
deliveries are booked, the order in which they arrived; `store` commits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.importer import store_gone, store_history, store_layers, store_moved, store_replay
from tilldrop.importer.store_layers import Layers, children_of, parents_of
from tilldrop.importer.store_restore import dropped_since, restore_stale
from tilldrop.importer.store_scope import NOTHING, Scope, load, unload
from tilldrop.importer.store_sql import (
    differs,
    insert,
    keys,
    number,
    on_conflict,
    takes,
    upsert_child_from,
)
from tilldrop.importer.store_standing import REUSED_AFTER_DAYS, Booked, Standing

if TYPE_CHECKING:
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store_connection import Connection
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

FIND_BEFORE = (
    "UPDATE incoming AS i SET before ="
    " (SELECT arrival_seq FROM {table} AS t WHERE t.customer = {customer} AND {matches})"
)
MASK_NEWER = "UPDATE incoming SET mask = {nothing} WHERE before > {seq}"
COMPARE_AS_OF = (
    "UPDATE incoming AS i SET {change} WHERE before > 0 AND unixepoch(as_of) {than}"
    " (SELECT unixepoch(t.as_of) FROM transactions AS t"
    " WHERE t.customer = {customer} AND {matches})"
)
UPSERT = (
    "{insert} SELECT {customer}, {columns}, line, {seq}, {delivery} FROM incoming"
    " WHERE mask = {mask} {on_conflict} {takes}"
    " arrival_seq = max(t.arrival_seq, excluded.arrival_seq),"
    " delivery = iif({late}, t.delivery, excluded.delivery),"
    " line = iif({late}, t.line, excluded.line),"
    " replaced = iif({late} OR t.arrival_seq = 0, t.replaced, t.delivery)"
    " WHERE ({differs}) OR t.arrival_seq = 0"
)
# An older delivery that fills what no newer one did is not who changed the row last; but one
# whose `as_of` is newer is.
LATE = "t.arrival_seq > excluded.arrival_seq"
CHILDREN_FROM_INCOMING = (
    "SELECT {customer}, {columns}, line, {delivery} FROM incoming_{child}"
    " WHERE ({key}) IN (SELECT {key} FROM incoming WHERE mask = {mask})"
)
CUT_CHILDREN = (
    "DELETE FROM {child} AS c WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM incoming WHERE mask = {mask})"
    " AND {number} > (SELECT count(*) FROM incoming_{child} AS n WHERE {matches})"
)
COUNT_CHILDREN = (
    "SELECT count(*) FROM incoming_{child}"
    " WHERE ({key}) IN (SELECT {key} FROM incoming WHERE mask = {mask})"
)
CONFIRM = (
    "UPDATE {table} SET arrival_seq = {seq} WHERE customer = {customer}"
    " AND ({key}) IN (SELECT {key} FROM incoming) AND arrival_seq > 0 AND arrival_seq < {seq}"
)
COUNT = (
    "SELECT count(*) FILTER (WHERE mask = {nothing}), count(*) FILTER (WHERE ignored = 1),"
    " count(*) FILTER (WHERE before IS NULL AND mask <> {nothing}) FROM incoming"
)
COUNT_REUSED = (
    "SELECT count(*) FROM incoming AS i CROSS JOIN transactions AS t ON t.customer = {customer}"
    " AND {matches} WHERE i.mask = 0 AND i.before > 0"
    " AND abs(julianday(t.business_date) - julianday(i.business_date)) > {days}"
)


def is_careful(job: Job, feed: Feed, standing: Standing) -> bool:
    """Tell whether a delivery has to be merged; else `store` may append it."""
    return bool(
        standing.shares
        or standing.has_claims
        or standing.is_replaying
        or job.replay
        or standing.was_booked
        or feed.history
        or feed.complete
        or feed.older == "ignore"
        or (feed.table == "transactions" and "location_id" not in feed.key)
        or (standing.children and standing.has_newer)
    )


def merge(
    data: Connection,
    job: Job,
    feed: Feed,
    staged: Staged,
    standing: Standing,
) -> Booked:
    """Book the staged rows, within the transaction of `data`."""
    merging = _Merge(
        Scope.of(data, job.customer, staged.table, job.delivery, job.arrival_seq),
        job,
        feed,
        staged,
        standing,
    )
    return merging.run()


@dataclass(frozen=True, slots=True)
class _Merge:
    scope: Scope
    job: Job
    feed: Feed
    staged: Staged
    standing: Standing

    @property
    def mine(self) -> frozenset[str]:
        return frozenset((*self.standing.columns, *self.standing.children))

    def run(self) -> Booked:
        scope, standing = self.scope, self.standing
        is_replay_of_one = standing.was_booked and not self.job.replay
        if is_replay_of_one:
            store_replay.begin_own(scope)
        load(scope, self.staged, standing)
        dropped = store_moved.settle(scope, standing) if self._is_moving else 0
        found = self._mask()
        superseded, ignored, inserted = scope.rows(COUNT, nothing=NOTHING)[0]
        reused = self._count_reused()
        as_before = store_replay.clear_incoming(scope, standing.columns)
        touched, child_rows = self._book(found)
        gone = self._confirm()
        unload(scope, standing)
        removed = lost = 0
        if is_replay_of_one:
            restore_stale(scope)
            lost = store_replay.count_lost(scope) if dropped_since(scope) else 0
            removed = store_replay.finish_own(scope)
        superseded += dropped
        updated = touched - inserted - as_before
        unchanged = self.staged.transactions - inserted - updated - superseded
        return Booked(
            *(inserted, updated, unchanged, superseded, ignored, gone, removed, reused),
            child_rows,
            lost,
        )

    @property
    def _is_moving(self) -> bool:
        return self.scope.table == "transactions" and "location_id" not in self.feed.key

    def _mask(self) -> Layers:
        """Mark what newer deliveries stated, or older ones of a newer state."""
        scope = self.scope
        scope.execute(FIND_BEFORE, matches=scope.matches("t", "i"))
        found = Layers({}, {})
        cleared = 0
        ignores = self.feed.older == "ignore"
        if self.standing.shares or ignores:
            store_layers.enter_bases(scope, only_unknown=ignores)
            found = store_layers.layers(scope, self.mine)
            if self.standing.has_newer:
                store_layers.mask_newer(scope, found)
            cleared = ~found.bits_with("as_of")
        else:
            scope.execute(MASK_NEWER, nothing=NOTHING)
        if ignores and "as_of" in self.standing.columns:
            matches = scope.matches("t", "i")
            newer = f"mask = mask & {cleared}"
            scope.execute(COMPARE_AS_OF, change=newer, than=">", matches=matches)
            older = f"mask = {NOTHING}, ignored = 1"
            scope.execute(COMPARE_AS_OF, change=older, than="<", matches=matches)
        store_layers.close_covered(scope, found, self.mine)
        return found

    def _count_reused(self) -> int:
        if self.scope.table != "transactions" or "business_date" not in self.standing.columns:
            return 0
        matches = self.scope.matches("t", "i")
        return self.scope.number(COUNT_REUSED, matches=matches, days=REUSED_AFTER_DAYS)

    def _book(self, found: Layers) -> tuple[int, dict[str, int]]:
        """Write what each row may still be filled with. Returns rows touched and child rows."""
        scope = self.scope
        mapped = {
            child: tuple(column.name for column in self.staged.children[child])
            for child in self.standing.children
        }
        touched, child_rows = 0, dict.fromkeys(mapped, 0)
        for mask in store_layers.masks(scope):
            columns = self.mine - found.covered(mask)
            if self.feed.history:
                store_history.save(scope, mask, columns, mapped)
            touched += self._upsert(mask, parents_of(columns, scope.table))
            for child in children_of(columns):
                child_rows[child] += self._replace_children(mask, child, mapped[child])
        return touched, child_rows

    def _upsert(self, mask: int, filled: tuple[str, ...]) -> int:
        table = self.scope.table
        columns = (*keys(table), *filled)
        return self.scope.change(
            UPSERT,
            insert=insert(table, columns),
            on_conflict=on_conflict(table),
            columns=", ".join(columns),
            takes=takes(filled) + "," if filled else "",
            differs=differs(filled, "t", "excluded"),
            late="0" if self.feed.older == "ignore" else LATE,
            mask=mask,
        )

    def _replace_children(self, mask: int, child: str, mapped: tuple[str, ...]) -> int:
        scope = self.scope
        matches = "n.location_id = c.location_id AND n.transaction_id = c.transaction_id"
        scope.execute(CUT_CHILDREN, child=child, mask=mask, number=number(child), matches=matches)
        rows = scope.fill(CHILDREN_FROM_INCOMING, columns=", ".join(mapped), child=child, mask=mask)
        scope.execute("{upsert}", upsert=upsert_child_from(child, mapped, rows))
        return scope.number(COUNT_CHILDREN, child=child, mask=mask)

    def _confirm(self) -> int:
        """Note that the rows were stated and what is claimed. Returns how many rows are gone."""
        scope, standing = self.scope, self.standing
        scope.execute(CONFIRM)
        if standing.shares or self.feed.older == "ignore":
            store_layers.state(scope, standing.set_id)
        # A record that was refused may be one of the rows that seem to lack.
        is_complete = self.feed.complete and not self.staged.refused
        gone = store_gone.claim(scope, self.feed.complete) if is_complete else 0
        if standing.has_claims or is_complete:
            store_gone.judge_incoming(scope)
        return gone
