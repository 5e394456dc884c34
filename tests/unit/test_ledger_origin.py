"""What a delivery was made of is remembered with it, and an older ledger learns to."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlite_utils import Database

from tilldrop import ledger_schema
from tilldrop.delivery import Cause, State
from tilldrop.ledger import Ledger
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORIGIN = "folder:2049:7:10:1700000000000000000"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


def begun(ledger: Ledger, customer: str = "acme") -> str:
    return ledger.begin(customer, "sales.csv", "folder").result().id


def arrive(ledger: Ledger, identity: str) -> None:
    moving = ledger.move(identity, State.RECEIVING, State.ARRIVED, Cause.CLOSE, origin=ORIGIN)
    moving.result()


def test_a_delivery_is_found_by_its_origin_from_its_acceptance_on(ledger: Ledger) -> None:
    identity = begun(ledger)
    assert ledger.by_origin("acme", ORIGIN) is None
    arrive(ledger, identity)
    found = ledger.by_origin("acme", ORIGIN)
    assert found is not None
    assert found.id == identity
    assert ledger.by_origin("acme", ORIGIN + "1") is None


def test_an_origin_counts_for_its_customer_alone(ledger: Ledger) -> None:
    arrive(ledger, begun(ledger))
    assert ledger.by_origin("bakery", ORIGIN) is None


def test_what_was_broken_off_is_not_found_by_its_origin(ledger: Ledger) -> None:
    identity = begun(ledger)
    columns = {"origin": ORIGIN}
    ledger.move(identity, State.RECEIVING, State.WAITING, Cause.CLOSE, **columns).result()
    assert ledger.by_origin("acme", ORIGIN) is not None
    ledger.move(identity, State.WAITING, State.BROKEN, Cause.GRACE).result()
    assert ledger.by_origin("acme", ORIGIN) is None


def test_looking_up_an_origin_reads_an_index(ledger: Ledger) -> None:
    plan = ledger.rows(
        "EXPLAIN QUERY PLAN SELECT id FROM deliveries WHERE origin = ? AND customer = ?",
        (ORIGIN, "acme"),
    )
    assert "deliveries_by_origin" in plan[0][-1]


def test_a_ledger_of_the_first_schema_is_brought_forward(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        ledger_schema.STEPS.apply(Database(connection), stop_before="002")
        connection.execute(
            "INSERT INTO deliveries (id, customer, door, peer, name, state, began_at, changed_at)"
            " VALUES ('d1', 'acme', 'sftp', '', 'a.csv', 'broken', '2026-01-01', '2026-01-01')"
        )
        connection.commit()
    with closing(Ledger(path)) as ledger:
        told = ledger.rows("SELECT id, origin, accepted, replay FROM deliveries")
        assert told == [("d1", None, 0, None)]
