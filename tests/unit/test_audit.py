"""The audit log: every kind of tampering shows, and nothing waits for it."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tilldrop import audit
from tilldrop.audit import GENESIS, Audit
from tilldrop.errors import DatabaseDamaged
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 3, 14, 10, 30, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


def login(number: int) -> dict[str, object]:
    return {
        "event": "login.accepted",
        "level": "info",
        "customer": f"c{number % 2}",
        "peer": "192.0.2.7",
    }


def fill(path: Path, count: int) -> None:
    log = Audit(path, lambda: 400, lambda: START)
    for number in range(count):
        log.note(login(number))
    log.close()


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


def test_entries_are_kept_in_order_and_verified(path: Path) -> None:
    fill(path, 50)
    fill(path, 50)
    found = audit.verify(path)
    assert (found.entries, found.first, found.last, found.broken_at) == (100, 1, 100, None)
    assert [one.seq for one in audit.read(path)] == list(range(1, 101))
    assert len(audit.read(path, customer="c1", event="login")) == 50
    assert audit.read(path, event="delivery") == []
    assert audit.read(path, since="2027") == []
    first = audit.read(path)[0]
    assert first.what == {"customer": "c0", "peer": "192.0.2.7"}


@pytest.mark.parametrize(
    ("harm", "broken_at"),
    [
        ("UPDATE entries SET what = replace(what, 'c1', 'c9') WHERE seq = 8", 8),
        ("UPDATE entries SET at = '2020-01-01' WHERE seq = 8", 8),
        ("UPDATE entries SET event = 'login.refused' WHERE seq = 8", 8),
        ("DELETE FROM entries WHERE seq = 8", 9),
        ("DELETE FROM entries WHERE seq < 8", 8),
        ("UPDATE entries SET hash = (SELECT hash FROM entries WHERE seq = 7) WHERE seq = 8", 8),
        ("UPDATE entries SET seq = seq + 1 WHERE seq = 20", 21),
    ],
    ids=["what", "when", "which event", "one taken out", "the beginning", "hash", "number"],
)
def test_tampering_shows_from_where_it_was_done(path: Path, harm: str, broken_at: int) -> None:
    fill(path, 20)
    change(path, harm)
    assert audit.verify(path).broken_at == broken_at


def test_cut_end_shows_against_a_head_that_was_noted(path: Path) -> None:
    fill(path, 20)
    head = audit.verify(path).head
    assert audit.has(path, 20, head)
    change(path, "DELETE FROM entries WHERE seq > 15")
    assert audit.verify(path).broken_at is None
    assert not audit.has(path, 20, head)


def test_old_entries_are_let_go_and_the_chain_holds(path: Path) -> None:
    fill(path, 20)
    assert audit.prune(path, 400, START + timedelta(days=399)) == 0
    assert audit.prune(path, 400, START + timedelta(days=401)) == 20
    fill(path, 3)
    found = audit.verify(path)
    assert (found.entries, found.first, found.broken_at) == (3, 21, None)
    change(path, "DELETE FROM entries WHERE seq = 21")
    assert audit.verify(path).broken_at == 22


def test_only_what_someone_did_is_kept(path: Path) -> None:
    log = Audit(path, lambda: 400, lambda: START)
    log.note({"event": "worker.said", "text": "x"})
    log.note({"event": "login.refused", "customer": "a"})
    log.close()
    assert [one.event for one in audit.read(path)] == ["login.refused"]


def test_two_programs_may_write_at_once(path: Path) -> None:
    log = Audit(path, lambda: 400, lambda: START)
    for number in range(30):
        log.note(login(number))
        audit.append(path, "operator.ran", {"words": ["hold", str(number)]})
    log.close()
    found = audit.verify(path)
    assert (found.entries, found.broken_at) == (60, None)


def test_empty_log_is_in_order(path: Path) -> None:
    fill(path, 0)
    assert audit.verify(path) == audit.Verdict(0, 0, 0, GENESIS, None)


def test_log_that_is_none_is_told(path: Path) -> None:
    with pytest.raises(DatabaseDamaged):
        audit.verify(path)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseDamaged):
        audit.read(path)
