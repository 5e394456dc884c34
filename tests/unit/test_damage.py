"""Databases that are damaged deep inside: said, left as they are, and nothing is staked on them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.faults.scenes_damage import damage
from tests.unit.jobs import Place, sales
from tests.unit.test_worker import child
from tilldrop.delivery import Cause, State
from tilldrop.errors import DatabaseDamaged, DataDamaged, DataUnavailable
from tilldrop.importer.worker import run_job
from tilldrop.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

MANY = 2_000


def test_nothing_is_acknowledged_on_a_ledger_that_was_found_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger(path)) as ledger:
        for number in range(200):
            begun = ledger.begin("acme", f"sales-{number}.csv", "sftp")
        begun.result()
    damaged = damage(path)
    with closing(Ledger(path)) as ledger:  # what is read at first is sound
        with pytest.raises(DatabaseDamaged, match=r"ledger\.db is damaged"):
            ledger.find(limit=1000)
        with pytest.raises(DatabaseDamaged, match=r"ledger\.db is damaged"):
            ledger.begin("acme", "later.csv", "sftp").result()
    assert path.read_bytes() == damaged


def test_change_that_meets_damage_says_so_and_so_does_the_next(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(Ledger(path)) as ledger:
        begun = [ledger.begin("acme", f"{n}.csv", "sftp") for n in range(200)]
        ids = [one.result().id for one in begun]
    damage(path)
    with closing(Ledger(path)) as ledger:
        for _ in range(2):
            move = ledger.move(ids[50], State.RECEIVING, State.ARRIVED, Cause.CLOSE)
            with pytest.raises(DatabaseDamaged, match=r"ledger\.db is damaged"):
                move.result()


def changed() -> str:
    """Return the sales of `sales(MANY)`, each of another amount: every row is to be written."""
    return sales(MANY).replace(",1.00,", ",2.00,")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path)


def test_damaged_data_db_books_nothing_and_stays_as_it_is(place: Place) -> None:
    run_job(place.job(sales(MANY)))
    damaged = damage(place.data_db)
    with pytest.raises(DataDamaged):
        run_job(place.job(changed(), seq=2))
    assert place.data_db.read_bytes() == damaged


def test_child_says_that_data_db_is_damaged(place: Place) -> None:
    run_job(place.job(sales(MANY)))
    damage(place.data_db)
    with child(place.lock) as one:
        one.hear()
        assert one.ask(place.job(changed(), seq=2)) == {"error": "data-damaged"}


def test_a_table_of_tables_that_is_damaged_is_damage_too(place: Place) -> None:
    run_job(place.job(sales(MANY)))
    whole = place.data_db.read_bytes()
    assert b"CREATE TABLE" in whole
    place.data_db.write_bytes(whole.replace(b"CREATE TABLE", b"CREATE TANGO"))
    with pytest.raises(DataDamaged):
        run_job(place.job(changed(), seq=2))


def test_data_db_that_is_out_of_reach_is_waited_for(place: Place) -> None:
    run_job(place.job(sales(MANY)))
    aside = place.data_db.rename(place.data_db.with_suffix(".aside"))
    with pytest.raises(DataUnavailable, match="failed to open"):
        run_job(place.job(changed(), seq=2))
    with child(place.lock) as one:
        one.hear()
        assert one.ask(place.job(changed(), seq=2)) == {"error": "data-unavailable"}
        assert not place.data_db.exists()
        aside.rename(place.data_db)
        assert one.ask(place.job(changed(), seq=2))["report"]["outcome"] == "imported"
