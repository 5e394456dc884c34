"""What data.db holds after deliveries, in whatever order they are booked."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from adbc_driver_manager import Error as AdbcError

from tests.unit.jobs import locked_elsewhere
from tilldrop.errors import DataBusy
from tilldrop.importer.drafts import Found, Kept, Refusals
from tilldrop.importer.schema import migrate
from tilldrop.importer.stage import Staged
from tilldrop.importer.store import Store
from tilldrop.importer.tables import DuckTables
from tilldrop.mapping import Feed, Reading
from tilldrop.rows import TRANSACTIONS, Counts, Fault, Job, Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.importer.store_standing import Booked

SQL_TYPES = {"money": "BIGINT", "count": "BIGINT", "flag": "INTEGER"}
FEED = Feed("sales", ("*.csv",), "per-transaction", 0.1, Reading(), {})
BASE = ("location_id", "transaction_id", "sold_at", "business_date", "has_time", "kind")
COLUMNS = (*BASE, "total_minor", "currency")


def read(path: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Read with another SQLite, as an analyst would; no Store is open on the file meanwhile."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


@dataclass
class Till:
    """Stages rows as a lane does and books them."""

    path: Path
    con: duckdb.DuckDBPyConnection
    reports: list[Report] = field(default_factory=list)

    def job(self, seq: int, run: int = 1, customer: str = "acme") -> Job:
        return Job(
            delivery=f"d{seq}",
            run=run,
            arrival_seq=seq,
            customer=customer,
            name="sales.csv",
            path="/nowhere/d",
            data_path=str(self.path),
            temp_dir="/nowhere",
            feed=None,
            fingerprint=None,
            zone="UTC",
            currency="EUR",
            same_as=None,
            max_record_bytes=1000,
            memory_bytes=10**9,
            threads=2,
        )

    def stage(self, rows: list[dict[str, Any]], refused: list[tuple[Any, ...]]) -> Staged:
        names = sorted({name for row in rows for name in row} | set(COLUMNS) - {"line"})
        columns = tuple(column for column in TRANSACTIONS if column.name in names)
        made = ", ".join(f"{c.name} {SQL_TYPES.get(c.kind, 'VARCHAR')}" for c in columns)
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE staged (line BIGINT, {made})")
        self.con.execute(
            "CREATE OR REPLACE TEMP TABLE refused"
            " (line BIGINT, code VARCHAR, field VARCHAR, seen VARCHAR, record VARCHAR)"
        )
        for line, row in enumerate(rows, start=2):
            values = [row.get("line", line), *(row.get(column.name) for column in columns)]
            marks = ", ".join("?" * len(values))
            self.con.execute(f"INSERT INTO staged VALUES ({marks})", values)
        kept = Kept()
        refusals = Refusals(kept, Found())
        for line, code, field_, seen, record in refused:
            refusals.refuse(Fault(code, line, field_, seen), record)
        for refusal in kept.rows:
            self.con.execute("INSERT INTO refused VALUES (?, ?, ?, ?, ?)", list(refusal))
        return Staged(
            tables=DuckTables(self.con),
            table="transactions",
            columns=columns,
            children={},
            read=len(rows),
            skipped=0,
            refused=len(refused),
            faulty=len(refused),
            repeated=0,
            transactions=len(rows),
            refunds=0,
            total_minor=0,
            refund_minor=0,
            sold_from=None,
            sold_to=None,
            faults=(),
            fault_count=0,
            warning_counts={},
            lane="fast",
        )

    def book(
        self,
        seq: int,
        *rows: dict[str, Any],
        run: int = 1,
        refused: list[tuple[Any, ...]] | None = None,
        customer: str = "acme",
    ) -> Counts:
        staged = self.stage(list(rows), refused or [])
        job = self.job(seq, run, customer)

        def conclude(booked: Booked) -> Report:
            counts = Counts(
                inserted=booked.inserted,
                updated=booked.updated,
                unchanged=booked.unchanged,
                superseded=booked.superseded,
            )
            return Report(job.delivery, job.run, "imported", counts=counts)

        with closing(Store(self.path)) as store:
            return store.book(job, staged, conclude, FEED).counts


def sale(number: str, total: int, **more: Any) -> dict[str, Any]:
    return {
        "location_id": "1",
        "transaction_id": number,
        "sold_at": "2026-01-05T13:08:00+01:00",
        "business_date": "2026-01-05",
        "has_time": 1,
        "kind": "sale",
        "total_minor": total,
        "currency": "EUR",
        **more,
    }


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    path = tmp_path / "data.db"
    migrate(path)
    with duckdb.connect() as con:
        yield Till(path, con)


def total(till: Till, number: str) -> int:
    sql = "SELECT total_minor FROM transactions WHERE transaction_id = ?"
    return int(read(till.path, sql, number)[0][0])


def test_new_rows_are_inserted_with_their_origin(till: Till) -> None:
    assert till.book(7, sale("a", 100), sale("b", -250, kind="refund")) == Counts(inserted=2)
    assert read(
        till.path,
        "SELECT customer, transaction_id, total_minor, kind, sold_at, arrival_seq, delivery, line"
        " FROM transactions ORDER BY transaction_id",
    ) == [
        ("acme", "a", 100, "sale", "2026-01-05T13:08:00+01:00", 7, "d7", 2),
        ("acme", "b", -250, "refund", "2026-01-05T13:08:00+01:00", 7, "d7", 3),
    ]


def test_each_row_is_counted_as_what_became_of_it(till: Till) -> None:
    till.book(1, sale("same", 1), sale("other", 2))
    till.book(9, sale("newer", 3))
    counts = till.book(5, sale("same", 1), sale("other", 22), sale("newer", 33), sale("new", 4))
    assert counts == Counts(inserted=1, updated=1, unchanged=1, superseded=1)
    assert [total(till, n) for n in ("same", "other", "newer", "new")] == [1, 22, 3, 4]


def test_an_empty_file_books_nothing(till: Till) -> None:
    assert till.book(1) == Counts()
    till.book(2, sale("a", 1))
    assert till.book(3) == Counts()


def test_unchanged_row_keeps_the_delivery_and_line_that_last_changed_it(till: Till) -> None:
    till.book(1, sale("a", 1, line=44))
    till.book(2, sale("a", 1, line=55))
    assert read(till.path, "SELECT delivery, line FROM transactions") == [("d1", 44)]


def test_older_delivery_released_late_loses_even_against_equal_values(till: Till) -> None:
    till.book(1, sale("a", 100))
    till.book(3, sale("a", 100))  # delivery 2 is held meanwhile
    assert till.book(2, sale("a", 200)) == Counts(superseded=1)
    assert total(till, "a") == 100


def test_null_and_value_are_different(till: Till) -> None:
    till.book(1, sale("a", 1, tender=None))
    assert till.book(2, sale("a", 1, tender="card")) == Counts(updated=1)
    assert till.book(3, sale("a", 1, tender=None)) == Counts(updated=1)
    assert till.book(4, sale("a", 1, tender=None)) == Counts(unchanged=1)


def test_columns_that_a_feed_does_not_map_are_left_alone(till: Till) -> None:
    till.book(1, sale("a", 1, tender="card", register_id="7"))
    assert till.book(2, sale("a", 2, tender="cash")) == Counts(updated=1)
    assert read(till.path, "SELECT total_minor, tender, register_id FROM transactions") == [
        (2, "cash", "7")
    ]


def test_replay_overwrites_its_own_rows(till: Till) -> None:
    till.book(1, sale("a", 1), sale("b", 1))
    assert till.book(1, sale("a", 2), sale("b", 1), run=2) == Counts(updated=1, unchanged=1)
    assert total(till, "a") == 2


def test_customers_share_no_row(till: Till) -> None:
    till.book(1, sale("a", 1))
    assert till.book(2, sale("a", 2), customer="beta") == Counts(inserted=1)
    assert total(till, "a") == 1


def test_a_quotation_mark_in_a_customers_name_is_only_a_mark(till: Till) -> None:
    till.book(1, sale("a", 1))
    name = "o'neil' OR '1'='1"
    assert till.book(2, sale("a", 2), customer=name) == Counts(inserted=1)
    assert till.book(3, sale("a", 3), customer=name) == Counts(updated=1)
    kept = read(till.path, "SELECT customer, total_minor FROM transactions ORDER BY total_minor")
    assert kept == [("acme", 1), (name, 3)]


def test_refused_records_are_kept_masked(till: Till) -> None:
    record = "7;4111 1111 1111 1111;x'; DROP TABLE transactions; --;é"
    fault = (3, "number-unreadable", "Total", "4111-1111-1111-1111", record)
    till.book(1, sale("a", 1), refused=[fault, (5, "id-empty", "No", "", "5;;")])
    assert read(till.path, "SELECT * FROM rejected_rows ORDER BY line") == [
        (
            *("acme", "d1", 1, 3, "number-unreadable", "Total", "4111-11**-****-1111"),
            "7;4111 11** **** 1111;x'; DROP TABLE transactions; --;é",
        ),
        ("acme", "d1", 1, 5, "id-empty", "No", "", "5;;"),
    ]


def test_replay_replaces_the_refused_records_of_earlier_runs(till: Till) -> None:
    till.book(1, refused=[(2, "id-empty", "No", "", ";1")])
    till.book(2, refused=[(2, "id-empty", "No", "", ";2")])
    till.book(1, sale("a", 1), run=2)
    assert read(till.path, "SELECT delivery FROM rejected_rows") == [("d2",)]


def test_report_is_found_again_by_delivery_and_run(till: Till) -> None:
    till.book(1, sale("a", 1))
    with closing(Store(till.path)) as store:
        found = store.report("d1", 1)
        assert found is not None
        assert found.counts == Counts(inserted=1)
        assert store.report("d1", 2) is None
        assert store.report("d2", 1) is None


def test_failure_in_the_middle_books_nothing(till: Till) -> None:
    till.book(1, sale("a", 1))
    staged = till.stage([sale(f"n{i}", i) for i in range(50)], [])
    till.con.execute("UPDATE staged SET transaction_id = NULL WHERE line = 30")
    store = Store(till.path)
    with closing(store), pytest.raises(AdbcError, match="NOT NULL"):
        store.book(till.job(2), staged, lambda _: Report("d2", 1, "imported"), FEED)
    assert read(till.path, "SELECT transaction_id FROM transactions") == [("a",)]
    assert read(till.path, "SELECT delivery FROM deliveries") == [("d1",)]


def test_locked_database_is_said_as_data_busy_and_the_store_still_works(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.store_connection.BUSY_TIMEOUT_MS", 50)
    report = Report("d1", 1, "rejected", reason="no-records")
    with closing(Store(till.path)) as store:
        with locked_elsewhere(till.path), pytest.raises(DataBusy):
            store.record(till.job(1), report)
        store.record(till.job(1), report)
        assert store.report("d1", 1) == report


def test_restored_backup_is_noticed(till: Till) -> None:
    with closing(Store(till.path)) as store:
        assert store.is_at(till.path)
        till.path.rename(till.path.with_suffix(".old"))
        assert not store.is_at(till.path)
        migrate(till.path)
        assert not store.is_at(till.path)


def test_missing_data_db_is_not_made_by_the_worker(tmp_path: Path) -> None:
    with pytest.raises(AdbcError):
        Store(tmp_path / "data.db")
    assert not (tmp_path / "data.db").exists()


def test_index_added_by_an_operator_does_not_hinder_imports(till: Till) -> None:
    with closing(sqlite3.connect(till.path)) as connection, connection:
        connection.execute("CREATE INDEX by_date ON transactions (business_date)")
    till.book(1, sale("a", 1), sale("b", 2))
    assert till.book(2, sale("a", 1), sale("b", 3)) == Counts(updated=1, unchanged=1)
    assert read(till.path, "PRAGMA integrity_check") == [("ok",)]
