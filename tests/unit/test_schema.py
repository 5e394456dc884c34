"""The schema of data.db: fresh, brought forward, and as analysts read it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from tilldrop.errors import SchemaTooNew
from tilldrop.importer.schema import PAGE_BYTES, migrate
from tilldrop.rows import CHILDREN, MINOR_DIGITS, TABLES, minor_digits

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {"money": "INTEGER", "count": "INTEGER", "milli": "INTEGER", "flag": "INTEGER"}
OF_CHILDREN = [("delivery", "TEXT"), ("line", "INTEGER")]
PROVENANCE = [("arrival_seq", "INTEGER"), *OF_CHILDREN] + [
    (name, "TEXT") for name in ("extra", "gone_in", "replaced")
]


def read(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def write(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for sql in statements:
            connection.execute(sql)


def add(path: Path, table: str, **row: object) -> None:
    """Insert a row as if a delivery had stated it."""
    row = {"customer": "acme", "delivery": "d1", "line": 2, **row}
    if table not in CHILDREN:
        row = {"arrival_seq": 1, **row}
    marks = ", ".join("?" * len(row))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values())
        )


def sale(path: Path, number: str, **row: object) -> None:
    key = {"location_id": "1", "transaction_id": number}
    add(path, "transactions", **key, **{"business_date": "2026-01-05", **row})


def schema(path: Path) -> list[tuple[Any, ...]]:
    sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    return read(path, sql)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    migrate(path)
    return path


def first_release(path: Path) -> None:
    """Make a data.db as the first release left it, with rows."""
    text = (files("tilldrop") / "sql" / "data-001.sql").read_text(encoding="utf-8")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(text)
        connection.execute(
            "CREATE TABLE _sqlite_migrations"
            " (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"
        )
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('data', '001', '2026-01-01')"
        )
        tenders = ("cash", "card", None)
        connection.executemany(
            "INSERT INTO transactions (customer, location_id, transaction_id, total_minor,"
            " currency, tender, arrival_seq, delivery, line) VALUES"
            " ('acme', ?, ?, ?, 'EUR', ?, ?, ?, 2)",
            [(str(n % 3), f"t{n}", n, tenders[n % 3], n, f"d{n}") for n in range(99)],
        )
        connection.execute(
            "INSERT INTO deliveries VALUES ('d1', 1, 'acme', 1, 'a.csv', 's', 'imported', '{}', '')"
        )


def test_data_db_of_the_first_release_comes_forward(tmp_path: Path, path: Path) -> None:
    old = tmp_path / "old.db"
    first_release(old)
    before = read(old, "SELECT * FROM transactions")
    migrate(old)
    fresh = [row for row in schema(path) if "_sqlite_migrations" not in row[2]]
    assert [row for row in schema(old) if "_sqlite_migrations" not in row[2]] == fresh
    assert [row[:22] for row in read(old, "SELECT * FROM transactions")] == before
    assert {row[22:] for row in read(old, "SELECT * FROM transactions")} == {(None,) * 10}
    assert read(old, "SELECT delivery, set_id FROM deliveries") == [("d1", None)]
    assert read(old, "PRAGMA integrity_check") == [("ok",)]
    write(old, "UPDATE transactions SET total_minor = NULL WHERE transaction_id = 't1'")
    migrate(old)


def test_locations_and_tenders_of_the_first_release_are_no_news(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    first_release(old)
    migrate(old)
    assert read(old, "SELECT kind, value FROM seen_values ORDER BY kind, value") == [
        ("location", "0"),
        ("location", "1"),
        ("location", "2"),
        ("tender", "card"),
        ("tender", "cash"),
    ]


def test_what_an_operator_added_is_kept_when_the_schema_comes_forward(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    first_release(old)
    write(
        old,
        "CREATE INDEX by_date ON transactions (business_date)",
        "CREATE VIEW daily AS SELECT count(*) AS count FROM transactions",
    )
    migrate(old)
    assert read(old, "SELECT * FROM daily") == [(99,)]
    assert read(old, "SELECT name FROM sqlite_schema WHERE name = 'by_date'") == [("by_date",)]
    assert read(old, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("table", TABLES)
def test_table_has_the_columns_of_the_catalogue(path: Path, table: str) -> None:
    wanted = [(column.name, KINDS.get(column.kind, "TEXT")) for column in TABLES[table]]
    provenance = OF_CHILDREN if table in CHILDREN else PROVENANCE
    found = read(path, f"SELECT name, type FROM pragma_table_info('{table}')")
    assert sorted(found) == sorted([("customer", "TEXT"), *wanted, *provenance])
    keys = ["customer", *(column.name for column in TABLES[table] if column.key)]
    sql = f"SELECT name FROM pragma_table_info('{table}') WHERE pk ORDER BY pk"
    assert [name for (name,) in read(path, sql)] == keys
    needed = {"customer", *keys, *(name for name, _ in provenance[:-3] or OF_CHILDREN)}
    sql = f"SELECT name FROM pragma_table_info('{table}') WHERE \"notnull\""
    assert {name for (name,) in read(path, sql)} == needed


def test_rows_lie_in_the_order_of_their_key_and_the_file_is_in_wal_mode(path: Path) -> None:
    for table in TABLES:
        sql = "SELECT wr, strict FROM pragma_table_list WHERE name = ?"
        assert read(path, sql, table) == [(1, 1)]
    assert read(path, "PRAGMA page_size") == [(PAGE_BYTES,)]
    assert read(path, "PRAGMA journal_mode") == [("wal",)]


def test_migrating_again_changes_nothing(path: Path) -> None:
    sale(path, "a", total_minor=1)
    before = schema(path)
    migrate(path)
    assert schema(path) == before
    assert read(path, "SELECT total_minor FROM transactions") == [(1,)]


def test_newer_schema_is_refused(path: Path) -> None:
    write(
        path,
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('data', '999', '2030-01-01')",
    )
    with pytest.raises(SchemaTooNew, match="999"):
        migrate(path)


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    [
        ("EUR", 12345, 123.45),
        ("EUR", -5, -0.05),
        ("JPY", 12345, 12345.0),
        ("KWD", 12345, 12.345),
        ("CLF", 12345, 1.2345),
        ("EUR", 999_999_999_999_999, 9_999_999_999_999.99),
    ],
)
def test_views_show_amounts_in_the_decimals_of_the_transaction_s_currency(
    path: Path, currency: str, minor: int, shown: float
) -> None:
    sale(path, "a", total_minor=minor, net_minor=minor, currency=currency)
    key = {"location_id": "1", "transaction_id": "a"}
    add(path, "line_items", **key, line_number=1, amount_minor=minor, quantity_milli=1500)
    add(path, "tenders", **key, tender_number=1, amount_minor=minor)
    add(path, "taxes", **key, tax_number=1, amount_minor=minor, rate_milli=7700)
    assert read(path, "SELECT total, net, tip FROM transactions_decimal") == [(shown, shown, None)]
    sql = "SELECT amount, quantity, currency FROM line_items_decimal"
    assert read(path, sql) == [(shown, 1.5, currency)]
    assert read(path, "SELECT amount, business_date FROM tenders_decimal") == [
        (shown, "2026-01-05")
    ]
    assert read(path, "SELECT amount, rate FROM taxes_decimal") == [(shown, 7.7)]


def test_amounts_without_a_currency_are_in_the_customer_s(path: Path) -> None:
    write(path, "INSERT INTO customers VALUES ('acme', 'JPY', 'UTC')")
    add(path, "products", product_id="p", price_minor=300, cost_minor=None)
    sale(path, "a", total_minor=300)
    assert read(path, "SELECT price, currency, cost FROM products_decimal") == [
        (300.0, "JPY", None)
    ]
    assert read(path, "SELECT total, currency FROM transactions_decimal") == [(300.0, "JPY")]


def test_views_know_every_currency_without_cents(path: Path) -> None:
    for currency in [*MINOR_DIGITS, "USD"]:
        sale(path, currency, total_minor=1_000_000, currency=currency)
    found = read(path, "SELECT currency, total FROM transactions_decimal")
    assert dict(found) == {c: 1_000_000 / 10 ** minor_digits(c) for c in [*MINOR_DIGITS, "USD"]}


@pytest.mark.parametrize("table", TABLES)
def test_view_has_every_column_and_leaves_out_what_is_gone(path: Path, table: str) -> None:
    key = {column.name: "1" for column in TABLES[table] if column.key}
    for at, gone in enumerate((None, "d2")):
        key = dict.fromkeys(key, f"{at}")
        if table in CHILDREN:
            ids = {name: key[name] for name in ("location_id", "transaction_id")}
            add(path, "transactions", **ids, gone_in=gone)
            add(path, table, **{**key, next(reversed(key)): 1})
        else:
            add(path, table, **key, gone_in=gone)
    with closing(sqlite3.connect(path)) as connection:
        cursor = connection.execute(f"SELECT * FROM {table}_decimal")
        names = {column[0] for column in cursor.description}
        assert len(cursor.fetchall()) == 1
    wanted = {c.name.removesuffix("_minor").removesuffix("_milli") for c in TABLES[table]}
    assert wanted | {"customer", "delivery", "line"} <= names


def test_orphans_are_what_no_master_has_brought(path: Path) -> None:
    sale(path, "a", shopper_id="s1", total_minor=1)
    sale(path, "b", shopper_id="s2", total_minor=1, business_date="2026-01-07")
    sale(path, "c", shopper_id="s2", gone_in="d9", business_date="2026-01-09")
    for number, product in (("a", "p1"), ("a", "p2"), ("b", "p2"), ("b", None)):
        at = read(path, "SELECT count(*) FROM line_items")[0][0]
        key = {"location_id": "1", "transaction_id": number, "line_number": at}
        add(path, "line_items", **key, product_id=product)
    assert read(path, "SELECT * FROM orphans") == []  # no master was ever sent
    add(path, "products", product_id="p1")
    add(path, "shoppers", shopper_id="s1", gone_in="d5")
    add(path, "locations", location_id="9", customer="beta")
    assert read(path, "SELECT * FROM orphans ORDER BY missing") == [
        ("acme", "product", "p2", 2, "2026-01-05", "2026-01-07", "1/a"),
        ("acme", "shopper", "s2", 1, "2026-01-07", "2026-01-07", "1/b"),
    ]
    add(path, "locations", location_id="2")
    assert read(path, "SELECT id, rows FROM orphans WHERE missing = 'location'") == [("1", 2)]


def test_orphans_are_also_payments_without_their_order(path: Path) -> None:
    sale(path, "a", total_minor=1)
    sale(path, "b")
    for number in (1, 2):
        key = {"location_id": "1", "transaction_id": "b", "tender_number": number}
        add(path, "tenders", **key, amount_minor=100)
    assert read(path, "SELECT missing, id, rows, example FROM orphans") == [
        ("order", "b", 2, "1/b")
    ]
