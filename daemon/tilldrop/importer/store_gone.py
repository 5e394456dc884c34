"""Rows that a complete file no longer has: marked, never deleted.

A file that claims to hold whole days, or a whole master, leaves its claims in `claims`. A row is
gone if a claim on its day is newer than the newest delivery that stated it, and `gone_in` names
the first such claim; so it does not matter in which order deliveries are booked. Owns `claims`
and `gone_in`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.importer.store_scope import Scope

GONE = (
    "(SELECT c.delivery FROM claims AS c WHERE c.customer = {{customer}}"
    " AND c.table_name = '{{table}}' AND c.location_id = {location} AND c.business_date = {day}"
    " AND c.arrival_seq > t.arrival_seq ORDER BY c.arrival_seq LIMIT 1)"
)
GONE_DAY = GONE.format(location="t.location_id", day="t.business_date")
GONE_ALL = GONE.format(location="''", day="''")
CLAIM_DAYS = (
    "INSERT OR REPLACE INTO claims"
    " (customer, table_name, location_id, business_date, arrival_seq, delivery)"
    " SELECT DISTINCT {customer}, '{table}', location_id, business_date, {seq}, {delivery}"
    " FROM incoming WHERE business_date IS NOT NULL"
)
CLAIM_ALL = (
    "INSERT OR REPLACE INTO claims"
    " (customer, table_name, location_id, business_date, arrival_seq, delivery)"
    " VALUES ({customer}, '{table}', '', '', {seq}, {delivery})"
)
JUDGE = (
    "UPDATE {table} AS t SET gone_in = {gone}"
    " WHERE t.customer = {customer} AND t.arrival_seq > 0 AND t.gone_in IS NOT {gone} AND {which}"
)
CLAIMED_DAYS = (
    "t.arrival_seq < {seq} AND (t.location_id, t.business_date) IN"
    " (SELECT location_id, business_date FROM claims WHERE customer = {customer}"
    " AND table_name = '{table}' AND arrival_seq = {seq})"
)
FIND_CLAIMS = (
    "CREATE TEMP TABLE unclaimed AS SELECT * FROM claims"
    " WHERE customer = {customer} AND table_name = '{table}' AND arrival_seq IN ({seqs})"
)
FORGET_CLAIMS = (
    "DELETE FROM claims"
    " WHERE customer = {customer} AND table_name = '{table}' AND arrival_seq IN ({seqs})"
)
COUNT_GONE = (
    "SELECT count(*) FROM {table} AS t WHERE t.customer = {customer} AND t.gone_in = {delivery}"
)
COUNT_ALL_GONE = "SELECT count(*) FROM {table} WHERE customer = {customer} AND gone_in IS NOT NULL"


def claim(scope: Scope, complete: str) -> int:
    """Enter what a complete delivery claims and mark the rows that it lacks; returns how many."""
    days = complete == "day"
    scope.execute(CLAIM_DAYS if days else CLAIM_ALL)
    _judge(scope, CLAIMED_DAYS if days else "t.arrival_seq < {seq}")
    return scope.number(COUNT_GONE)


def judge_incoming(scope: Scope) -> None:
    """Mark or unmark the rows that the delivery stated."""
    _judge(scope, "({key_of_t}) IN (SELECT {key} FROM incoming)")


def judge_touched(scope: Scope, keys_in: str) -> None:
    """Mark or unmark the rows whose keys a temporary table holds."""
    _judge(scope, f"({{key_of_t}}) IN (SELECT {{key}} FROM temp.{keys_in})")  # noqa: S608


def count_gone(scope: Scope) -> int:
    """Return how many rows of the scope's table are gone."""
    return scope.number(COUNT_ALL_GONE)


def forget_claims(scope: Scope, seqs: str) -> None:
    """Drop the claims of deliveries, in the scope's table, and judge their rows anew.

    seqs: as a list for SQL, or a query.
    """
    scope.execute(FIND_CLAIMS, seqs=seqs)
    if scope.number("SELECT count(*) FROM temp.unclaimed"):
        scope.execute(FORGET_CLAIMS, seqs=seqs)
        _judge(scope, "t.gone_in IN (SELECT delivery FROM temp.unclaimed)")
    scope.execute("DROP TABLE temp.unclaimed")


def _judge(scope: Scope, which: str) -> None:
    gone = GONE_DAY if scope.table == "transactions" else GONE_ALL
    key_of_t = ", ".join(f"t.{name}" for name in scope.key.split(", "))
    scope.execute(JUDGE, gone=scope.fill(gone), which=scope.fill(which, key_of_t=key_of_t))
