"""What is taken out of a database for good: one shopper, or a whole customer.

Owns both erasures and `erased_shoppers`, which remembers a shopper by a salted hash alone.
Promises: each erasure is one transaction and may be done again; what rows leave behind in the file
and in its log is gone after `rewrite`. Never looks at files or at the ledger: their own sides do.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from adbc_driver_manager import Error as AdbcError

from tilldrop.importer.compile_dates import literal
from tilldrop.mentions import mentions, without

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.importer.store import Store
    from tilldrop.importer.store_connection import Connection

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
}
# Free text, in which the person may be named: table -> its key within a customer, the columns.
FREE_TEXTS = {
    "transactions": (("location_id", "transaction_id"), ("extra",)),
    "line_items": (("location_id", "transaction_id", "line_number"), ("note", "description")),
    "tenders": (("location_id", "transaction_id", "tender_number"), ("reference",)),
    "products": (("product_id",), ("extra",)),
    "stock_levels": (("location_id", "product_id"), ("extra",)),
    "locations": (("location_id",), ("extra",)),
}
FREE_COLUMNS = frozenset(column for _, columns in FREE_TEXTS.values() for column in columns)
HISTORY_KEY = ("table_name", "key_1", "key_2", "arrival_seq")
UPDATES_AT_ONCE = 500
FIND_REFUSED = (
    "SELECT rowid, concat_ws(char(10), seen, record) FROM rejected_rows"
    " WHERE customer = {customer} AND (record IS NOT NULL OR seen IS NOT NULL)"
)
BLANK_REFUSED = "UPDATE rejected_rows SET seen = NULL, record = NULL WHERE rowid IN ({ids})"
FIND_REPORTS = "SELECT delivery, run, report FROM deliveries WHERE customer = {customer}"
SET_REPORT = "UPDATE deliveries SET report = {report} WHERE delivery = {delivery} AND run = {run}"


# -- what rows leave behind ----------------------------------------------------------------------


def rewrite(data: Connection) -> bool:
    """Write the file anew without what rows left in it, and empty its log; tell whether both were.

    Overwriting what is freed is not enough: rows that moved within a page leave copies. It is not
    done where the disk has no room, or another program reads an older state.
    Cost: 0.5 s of processor time for a million rows.
    """
    try:
        data.execute("VACUUM")
        [(busy, _, _)] = data.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    except AdbcError:
        return False
    return not busy


# -- a customer ----------------------------------------------------------------------------------


def forget_customer(store: Store, customer: str) -> dict[str, int]:
    """Delete every row of a customer; returns table -> rows. Raises DataBusy (temporary).

    Cost: 2 s for a million rows.
    """
    data = store.connection
    gone: dict[str, int] = {}
    with data.transaction():
        data.execute(FORGET_STATED.format(customer=literal(customer)))
        for (table,) in data.rows(TABLES):
            sql = f"DELETE FROM {table} WHERE customer = {literal(customer)}"  # noqa: S608  escaped
            gone[table] = data.change(sql)
    return {table: rows for table, rows in gone.items() if rows}


# -- a shopper -----------------------------------------------------------------------------------


def erase_shopper(
    store: Store, customer: str, shopper: str, texts: Sequence[str]
) -> dict[str, int]:
    """Take one shopper out of every table, and remember its hash; returns what -> rows.

    texts: by which it is found where columns do not tell: its id, its mail address. Raises
    DataBusy (temporary). Cost: reads all rows of the customer.
    """
    data = store.connection
    names = {"customer": literal(customer), "shopper": literal(shopper)}
    with data.transaction():
        _remember(store, customer, shopper)
        erased = {what: data.change(sql.format(**names)) for what, sql in BY_ID.items()}
        erased["texts"] = _empty_texts(store, names, texts)
        erased["earlier_versions"] = _clean_history(store, names, shopper, texts)
        erased["rejected_rows"] = _blank_refused(store, names, texts)
        erased["reports"] = _clean_reports(store, names, texts)
    return erased


def _remember(store: Store, customer: str, shopper: str) -> None:
    named = literal(customer)
    found = store.connection.rows(FIND_SALT.format(customer=named))
    salt = str(found[0][0]) if found else secrets.token_hex(SALT_BYTES)
    digest = hashlib.sha256((salt + shopper).encode()).hexdigest()
    at = literal(datetime.now(UTC).isoformat("T", "seconds"))
    store.connection.execute(
        REMEMBER.format(customer=named, hash=literal(digest), salt=literal(salt), at=at)
    )


def _empty_texts(store: Store, names: dict[str, str], texts: Sequence[str]) -> int:
    """Empty the free texts that mention the person."""
    emptied = 0
    for table, (key, columns) in FREE_TEXTS.items():
        for column in columns:
            found = _mentioning(store, (table, column, key), names, texts)
            values = [", ".join(map(_written, row[:-1])) for row in found]
            for at in range(0, len(values), UPDATES_AT_ONCE):
                some = ", ".join(f"({one})" for one in values[at : at + UPDATES_AT_ONCE])
                emptied += store.connection.change(
                    f"UPDATE {table} SET {column} = NULL WHERE customer = {names['customer']}"  # noqa: S608  escaped
                    f" AND ({', '.join(key)}) IN (VALUES {some})",
                )
    return emptied


def _mentioning(
    store: Store,
    where: tuple[str, str, tuple[str, ...]],
    names: dict[str, str],
    texts: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Return key and value where a column mentions the person. where: table, column, key."""
    table, column, key = where
    found = store.connection.rows(
        f"SELECT {', '.join(key)}, {column} FROM {table} WHERE customer = {names['customer']}"  # noqa: S608  escaped
        f" AND {column} IS NOT NULL AND {_may_mention(column, texts)}",
    )
    return [row for row in found if mentions(row[-1], texts)]


def _may_mention(column: str, texts: Sequence[str]) -> str:
    """Return a condition that is true at least where a column mentions one of the texts."""
    if not all(text.isascii() for text in texts):
        return "true"  # SQLite's lower() knows ASCII only
    folded = (literal(json.dumps(text)[1:-1].casefold()) for text in texts)
    as_is = (literal(text.casefold()) for text in texts)
    return "(" + " OR ".join(f"instr(lower({column}), {one})" for one in {*folded, *as_is}) + ")"


def _clean_history(
    store: Store,
    names: dict[str, str],
    shopper: str,
    texts: Sequence[str],
) -> int:
    """Take the person out of earlier versions of rows, with their children."""
    changed = 0
    everything = (*texts, shopper)
    for row in _mentioning(store, ("history", "version", HISTORY_KEY), names, everything):
        cleaned = json.dumps(
            _cleaned(json.loads(row[-1]), shopper, texts),
            ensure_ascii=False,
            separators=(",", ":"),
        )
        if cleaned != row[-1]:
            place = ", ".join(map(_written, row[:-1]))
            changed += store.connection.change(
                f"UPDATE history SET version = {literal(cleaned)}"  # noqa: S608  escaped
                f" WHERE customer = {names['customer']} AND ({', '.join(HISTORY_KEY)}) = ({place})",
            )
    return changed


def _cleaned(version: Any, shopper: str, texts: Sequence[str]) -> Any:
    """Return a version with what names the person emptied; what its row is found by stays."""
    if isinstance(version, list):
        return [_cleaned(one, shopper, texts) for one in version]
    if not isinstance(version, dict):
        return version
    found: dict[str, Any] = {}
    for name, value in version.items():
        named = name == "shopper_id" and value == shopper
        named |= name in FREE_COLUMNS and isinstance(value, str) and mentions(value, texts)
        found[name] = None if named else _cleaned(value, shopper, texts)
    if version.get("shopper_id") == shopper and "extra" in found:
        found["extra"] = None
    return found


def _written(value: object) -> str:
    return str(value) if isinstance(value, int) else literal(str(value))


def _blank_refused(store: Store, names: dict[str, str], texts: Sequence[str]) -> int:
    found = store.connection.rows(FIND_REFUSED.format(**names))
    ids = [str(rowid) for rowid, record in found if mentions(record, texts)]
    if not ids:
        return 0
    return store.connection.change(BLANK_REFUSED.format(ids=", ".join(ids)))


def _clean_reports(store: Store, names: dict[str, str], texts: Sequence[str]) -> int:
    changed = 0
    for delivery, run, report in store.connection.rows(FIND_REPORTS.format(**names)):
        cleaned = without(report, texts)
        if cleaned != report:
            named = {"delivery": literal(delivery), "run": run, "report": literal(cleaned)}
            changed += store.connection.change(SET_REPORT.format(**named))
    return changed
