"""Versions that were overwritten, for feeds with `history = true`.

Owns `history`: one row for each delivery that changed a row, with the row as it was before, its
child rows and what had been stated of it, as JSON. Promises: a version is kept with the change or
neither. Never restores one: that is `undo`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.store_layers import children_of, parents_of, set_ids
from tilldrop.importer.store_sql import differs, keys, number, values
from tilldrop.rows import CHILDREN

if TYPE_CHECKING:
    from tilldrop.importer.store_scope import Scope

PROVENANCE = ("arrival_seq", "delivery", "line", "gone_in", "replaced")
SAVE = (
    "INSERT OR REPLACE INTO history"
    " (customer, table_name, key_1, key_2, arrival_seq, delivery, at, version)"
    " SELECT {customer}, '{table}', {stated_key}, {seq}, {delivery}, {at}, {version}"
    " FROM incoming AS i CROSS JOIN {table} AS t ON t.customer = {customer} AND {matches}"
    " WHERE i.mask = {mask} AND i.before > 0"
    " AND (i.moved_from IS NOT NULL OR {differs}{children_differ})"
)
# Of a replay: versions that the former mapping made are none.
FORGET_REPLAYED = (
    "DELETE FROM history WHERE customer = {customer} AND arrival_seq IN ({seqs})"
    " AND abs(version ->> '$.arrival_seq') IN ({seqs})"
)


def save(
    scope: Scope, mask: int, columns: frozenset[str], mapped: dict[str, tuple[str, ...]]
) -> None:
    """Keep the rows of `incoming` with that mask that the delivery is about to change.

    columns: those that it will fill, with child tables. mapped: child table -> its columns in
    `incoming_<child>`.
    """
    parents = parents_of(columns, scope.table)
    changes = [_child_differs(child, mapped[child]) for child in children_of(columns)]
    scope.execute(
        SAVE,
        stated_key=scope.stated_key("t"),
        at=literal(datetime.now(UTC).isoformat("T", "seconds")),
        version=_version(scope),
        matches=scope.matches("t", "i"),
        mask=mask,
        differs=differs(parents, "t", "i"),
        children_differ="".join(f" OR {change}" for change in changes),
    )


def forget_replayed(scope: Scope, seqs: str) -> None:
    """Drop the versions that deliveries about to be replayed made of one another's rows."""
    scope.execute(FORGET_REPLAYED, seqs=seqs)


def _version(scope: Scope) -> str:
    """Return the SQL that makes a version of row `t` of `incoming` row `i`."""
    names = (*keys(scope.table), *values(scope.table), *PROVENANCE)
    parts = [f"'{name}', t.{name}" for name in names]
    if scope.table == "transactions":
        parts[0] = "'location_id', coalesce(i.moved_from, t.location_id)"
        parts += [f"'{child}', {_child_version(scope, child)}" for child in CHILDREN]
    sets = ", ".join(map(str, set_ids(scope)))
    parts.append(
        "'stated', (SELECT json_group_array(json_array(s.set_id, s.arrival_seq))"  # noqa: S608
        f" FROM stated AS s WHERE s.set_id IN ({sets})"
        f" AND (s.key_1, s.key_2) = ({scope.stated_key('t')}))"
    )
    return f"json_object({', '.join(parts)})"


def _child_version(scope: Scope, child: str) -> str:
    names = (number(child), *values(child), "delivery", "line")
    fields = ", ".join(f"'{name}', c.{name}" for name in names)
    return (
        f"(SELECT json_group_array(json_object({fields})) FROM {child} AS c"  # noqa: S608
        f" WHERE c.customer = {scope.customer} AND c.location_id = t.location_id"
        " AND c.transaction_id = t.transaction_id)"
    )


def _child_differs(child: str, mapped: tuple[str, ...]) -> str:
    """Return the condition that a transaction's child rows are not those that are there."""
    of_t = "{0}.location_id = t.location_id AND {0}.transaction_id = t.transaction_id"
    there = f"{child} AS c WHERE c.customer = t.customer AND {of_t.format('c')}"
    coming = f"incoming_{child} AS n WHERE {of_t.format('n')}"
    changes = " OR ".join(
        f"c.{name} IS NOT n.{name}" if name in mapped else f"c.{name} IS NOT NULL"
        for name in values(child)
    )
    at = number(child)
    return (
        f"(SELECT count(*) FROM {there}) <> (SELECT count(*) FROM {coming})"  # noqa: S608
        f" OR EXISTS (SELECT 1 FROM {there} AND NOT EXISTS"
        f" (SELECT 1 FROM {coming} AND n.{at} = c.{at} AND NOT ({changes})))"
    )
