"""What is taken out of a database for good: one shopper, or a whole customer.

Owns both erasures and `erased_shoppers`, which remembers a shopper by a salted hash alone.
Promises: each erasure is one transaction and may be done again; what is freed is overwritten, in
the file and in its log. Never looks at files or at the ledger: their own sides do.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.mentions import mentions, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.store import Store

SALT_BYTES = 16
# Every table of the schema that knows customers, also those that later schemas bring.
TABLES = (
    "SELECT m.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c"
    " WHERE m.type = 'table' AND c.name = 'customer' ORDER BY m.name"
)
OF_CUSTOMER = "SELECT set_id FROM column_sets WHERE customer = {customer}"
FORGET_STATED = f"DELETE FROM stated WHERE set_id IN ({OF_CUSTOMER})"  # noqa: S608  our own text
FIND_SALT = "SELECT salt FROM erased_shoppers WHERE customer = {customer} LIMIT 1"
REMEMBER = (
    "INSERT OR IGNORE INTO erased_shoppers (customer, hash, salt, at)"
    " VALUES ({customer}, {hash}, {salt}, {at})"
)
# What knows the shopper by its id -> what becomes of it.
BY_ID = {
    "shoppers": "DELETE FROM shoppers WHERE customer = {customer} AND shopper_id = {shopper}",
    "stated": f"DELETE FROM stated WHERE set_id IN ({OF_CUSTOMER} AND table_name = 'shoppers')"  # noqa: S608
    " AND key_1 = {shopper}",
    "versions": "DELETE FROM history WHERE customer = {customer} AND table_name = 'shoppers'"
    " AND key_1 = {shopper}",
    "transactions": "UPDATE transactions SET shopper_id = NULL, extra = NULL"
    " WHERE customer = {customer} AND shopper_id = {shopper}",
    "transaction_versions": "UPDATE history"
    " SET version = json_set(version, '$.shopper_id', NULL, '$.extra', NULL)"
    " WHERE customer = {customer} AND table_name = 'transactions'"
    " AND version ->> '$.shopper_id' = {shopper}",
}
# Columns that no feed maps may hold the person all the same.
BY_EXTRA = (
    "UPDATE transactions SET extra = NULL WHERE customer = {customer} AND extra IS NOT NULL"
    " AND EXISTS (SELECT 1 FROM json_each(extra) AS e WHERE trim(e.value) IN ({texts}))"
)
BY_EXTRA_OF_VERSION = (
    "UPDATE history SET version = json_set(version, '$.extra', NULL) WHERE customer = {customer}"
    " AND table_name = 'transactions' AND EXISTS (SELECT 1"
    " FROM json_each(coalesce(version ->> '$.extra', '{{}}')) AS e"
    " WHERE trim(e.value) IN ({texts}))"
)
FIND_REFUSED = (
    "SELECT rowid, concat_ws(char(10), seen, record) FROM rejected_rows"
    " WHERE customer = {customer} AND (record IS NOT NULL OR seen IS NOT NULL)"
)
BLANK_REFUSED = "UPDATE rejected_rows SET seen = NULL, record = NULL WHERE rowid IN ({ids})"
FIND_REPORTS = "SELECT delivery, run, report FROM deliveries WHERE customer = {customer}"
SET_REPORT = "UPDATE deliveries SET report = {report} WHERE delivery = {delivery} AND run = {run}"


# -- a customer ----------------------------------------------------------------------------------


def forget_customer(store: Store, con: DuckDBPyConnection, customer: str) -> dict[str, int]:
    """Delete every row of a customer; returns table -> rows. Raises DataBusy (temporary).

    con: only carries values. Cost: 2 s for a million rows.
    """
    data = store.connection
    data.execute("PRAGMA secure_delete = ON")
    gone: dict[str, int] = {}
    with data.transaction():
        data.execute(FORGET_STATED.format(customer=literal(customer)))
        for (table,) in data.rows(con, TABLES):
            sql = f"DELETE FROM {table} WHERE customer = {literal(customer)}"  # noqa: S608  escaped
            gone[table] = data.change(con, sql)
    data.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {table: rows for table, rows in gone.items() if rows}


# -- a shopper -----------------------------------------------------------------------------------


def erase_shopper(
    store: Store, con: DuckDBPyConnection, customer: str, shopper: str, texts: Sequence[str]
) -> dict[str, int]:
    """Take one shopper out of every table, and remember its hash; returns what -> rows.

    texts: by which it is found where columns do not tell: its id, its mail address. Raises
    DataBusy (temporary). Cost: reads all rows of the customer.
    """
    data = store.connection
    data.execute("PRAGMA secure_delete = ON")
    names = {"customer": literal(customer), "shopper": literal(shopper)}
    names["texts"] = ", ".join(map(literal, texts))
    with data.transaction():
        _remember(store, con, customer, shopper)
        erased = {what: data.change(con, sql.format(**names)) for what, sql in BY_ID.items()}
        erased["extra"] = data.change(con, BY_EXTRA.format(**names))
        erased["extra"] += data.change(con, BY_EXTRA_OF_VERSION.format(**names))
        erased["rejected_rows"] = _blank_refused(store, con, names, texts)
        erased["reports"] = _clean_reports(store, con, names, texts)
    data.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return erased


def _remember(store: Store, con: DuckDBPyConnection, customer: str, shopper: str) -> None:
    named = literal(customer)
    found = store.connection.rows(con, FIND_SALT.format(customer=named))
    salt = str(found[0][0]) if found else secrets.token_hex(SALT_BYTES)
    digest = hashlib.sha256((salt + shopper).encode()).hexdigest()
    at = literal(datetime.now(UTC).isoformat("T", "seconds"))
    store.connection.execute(
        REMEMBER.format(customer=named, hash=literal(digest), salt=literal(salt), at=at)
    )


def _blank_refused(
    store: Store, con: DuckDBPyConnection, names: dict[str, str], texts: Sequence[str]
) -> int:
    found = store.connection.rows(con, FIND_REFUSED.format(**names))
    ids = [str(rowid) for rowid, record in found if mentions(record, texts)]
    if not ids:
        return 0
    return store.connection.change(con, BLANK_REFUSED.format(ids=", ".join(ids)))


def _clean_reports(
    store: Store, con: DuckDBPyConnection, names: dict[str, str], texts: Sequence[str]
) -> int:
    changed = 0
    for delivery, run, report in store.connection.rows(con, FIND_REPORTS.format(**names)):
        cleaned = without(report, texts)
        if cleaned != report:
            named = {"delivery": literal(delivery), "run": run, "report": literal(cleaned)}
            changed += store.connection.change(con, SET_REPORT.format(**named))
    return changed
