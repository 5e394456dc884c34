"""What happens between the copies that a backup is made of does not make it lie."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, spine
from tilldrop import backup
from tilldrop.delivery import Cause, State
from tilldrop.errors import BackupFailed
from tilldrop.importer.schema import migrate
from tilldrop.rows import Report
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CARD = b"Store,Note\n12,4000000000000002\n"
ADD = (
    "INSERT INTO deliveries (delivery, run, customer, arrival_seq, name, feed, outcome, report, at)"
    " VALUES (?, ?, 'acme', 1, 'a.csv', 'sales', ?, ?, '2026-11-21')"
)


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path / "home") as made:
        migrate(made.config.paths.data)
        yield made


@pytest.fixture(autouse=True)
def _home(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()


def write(base: Spine, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(base.config.paths.data, isolation_level=None)) as connection:
        connection.execute(sql, values)


def report(base: Spine, one: Report, outcome: str = "") -> None:
    """Have the worker's report in data.db."""
    write(base, ADD, one.delivery, one.run, outcome or one.outcome, one.to_json())


def back_up(
    base: Spine, target: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None]
) -> Path:
    """Make a backup; meanwhile happens between the copies of the ledger and of the rows."""
    copy = backup._copy_database

    def late(source: Path, target: Path) -> None:
        if source == base.config.paths.data:
            meanwhile()
        copy(source, target)

    monkeypatch.setattr(backup, "_copy_database", late)
    backup.back_up(base.config.paths, target)
    backup.verify(target)
    return target / "state"


def in_ledger(state: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(state / "ledger.db")) as ledger:
        return ledger.execute("SELECT state, reason, bytes_gone_at FROM deliveries").fetchall()


def begin(base: Spine, content: bytes = CARD) -> str:
    begun = base.ledger.begin("acme", "a.csv", "sftp").result()
    (base.spool.receiving / begun.id).write_bytes(content)
    return begun.id


def finish(base: Spine, delivery: str) -> None:
    base.ledger.move(delivery, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.record_report(Report(delivery, 1, "imported", feed="sales")).result()
    base.spool.accept(delivery)
    base.spool.keep(delivery)


@pytest.mark.parametrize("how", ["refused", "masked"])
def test_card_data_that_went_meanwhile_is_not_kept(
    base: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    delivery = begin(base)
    refused = Report(delivery, 1, "rejected", reason="card-data", size_bytes=len(CARD))
    masked = Report(delivery, 1, "imported", masked=1, masked_path="x", size_bytes=len(CARD))
    one = refused if how == "refused" else masked
    state = back_up(base, tmp_path / "b", monkeypatch, lambda: report(base, one))
    [(_, _, gone_at)] = in_ledger(state)
    assert gone_at is not None
    assert [path for path in state.rglob(delivery) if path.is_file()] == []


def test_delivery_that_was_taken_back_meanwhile_is_so_in_the_backup(
    base: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = begin(base)
    finish(base, delivery)
    one = Report(delivery, 1, "imported", feed="sales")
    state = back_up(base, tmp_path / "b", monkeypatch, lambda: report(base, one, "undone"))
    assert in_ledger(state) == [("rejected", "undone", None)]


def test_replay_or_erasure_that_begins_meanwhile_makes_it_no_backup(
    base: Spine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sql in (
        "INSERT INTO replaying (customer) VALUES ('acme')",
        "INSERT INTO erased_shoppers VALUES ('acme', 'hash', 'salt', '2026-11-21')",
    ):
        with monkeypatch.context() as only, pytest.raises(BackupFailed, match="make it again"):
            back_up(base, tmp_path / "b", only, lambda sql=sql: write(base, sql))  # type: ignore[misc]
        assert list((tmp_path / "b").iterdir()) == []
        write(base, "DELETE FROM replaying")
    back_up(base, tmp_path / "b", monkeypatch, lambda: None)
