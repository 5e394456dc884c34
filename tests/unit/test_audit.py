"""The audit log: every kind of tampering shows, and nothing waits for it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon import wait_for
from tilldrop import audit, audit_noting
from tilldrop.audit import CLOSED, GAP, GENESIS, OPENED, PRUNED
from tilldrop.audit_noting import BURST, Audit
from tilldrop.errors import DatabaseDamaged, SchemaTooNew
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
    """Write so many entries, without those of a log that is opened and closed."""
    audit.write(
        path,
        [
            (audit.now_text(START), "login.accepted", audit.canonical(login(number)))
            for number in range(count)
        ],
    )


def test_recent_peers_are_those_of_logins_the_latest_last(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(event: str, peer: str, days: int = 0) -> None:
        at = audit.now_text(START + timedelta(days=days))
        audit.write(path, [(at, event, audit.canonical({"event": event, "peer": peer}))])

    with pytest.raises(DatabaseDamaged):
        audit.recent_peers(path, START)
    write("login.accepted", "192.0.2.1", days=-31)
    for peer in ("192.0.2.2", "192.0.2.3", "2001:db8::1", "192.0.2.2"):
        write("login.accepted", peer)
    write("login.refused", "198.51.100.1")
    assert audit.recent_peers(path, START) == ["192.0.2.3", "2001:db8::1", "192.0.2.2"]
    monkeypatch.setattr(audit, "RECENT_ENTRIES", 3)
    assert audit.recent_peers(path, START) == ["2001:db8::1", "192.0.2.2"]


def opened(path: Path) -> Audit:
    return Audit(path, lambda: 400, lambda: START)


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(sql)


def events(path: Path) -> list[str]:
    return [one.event for one in audit.read(path)]


def told(path: Path, event: str) -> list[dict[str, Any]]:
    return [one.what for one in audit.read(path, event=event)]


def wait_for_entries(path: Path, count: int) -> None:
    def look() -> bool:
        with suppress(DatabaseDamaged):  # not begun yet
            return len(audit.read(path)) >= count
        return False

    wait_for(f"{count} entries", look)


# -- the chain -----------------------------------------------------------------------------------


def test_entries_are_kept_in_order_and_verified(path: Path) -> None:
    fill(path, 50)
    fill(path, 50)
    found = audit.verify(path)
    assert (found.entries, found.first, found.last) == (100, 1, 100)
    assert (found.broken_at, found.cut_after, found.gaps) == (None, None, ())
    assert [one.seq for one in audit.read(path)] == list(range(1, 101))
    assert len(audit.read(path, customer="c1", event="login")) == 50
    assert audit.read(path, event="delivery") == []
    assert audit.read(path, since="2027") == []
    assert [one.seq for one in audit.read(path, last=2)] == [99, 100]


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


def test_beginning_that_nobody_let_go_is_missed_also_with_an_anchor(path: Path) -> None:
    fill(path, 20)
    change(path, "INSERT INTO anchor SELECT seq, hash FROM entries WHERE seq = 7")
    change(path, "DELETE FROM entries WHERE seq <= 7")
    assert audit.verify(path).broken_at == 8


def test_end_that_was_cut_off_is_missed(path: Path) -> None:
    fill(path, 20)
    head = audit.verify(path).head
    assert audit.has(path, 20, head)
    change(path, "DELETE FROM entries WHERE seq > 15")
    found = audit.verify(path)
    assert (found.broken_at, found.cut_after) == (None, 15)
    assert not audit.has(path, 20, head)


def test_next_entry_tells_of_the_end_that_was_cut_off(path: Path) -> None:
    fill(path, 20)
    change(path, "DELETE FROM entries WHERE seq > 15")
    fill(path, 1)
    found = audit.verify(path)
    assert (found.entries, found.broken_at, found.cut_after, found.gaps) == (17, None, None, (16,))
    [gap] = told(path, GAP)
    assert (gap["since"], gap["until"]) == (16, 20)


def test_log_that_was_removed_is_begun_anew_and_says_so(path: Path) -> None:
    fill(path, 20)
    path.unlink()
    fill(path, 2)
    found = audit.verify(path)
    assert (found.entries, found.first, found.last) == (3, 21, 23)
    assert (found.broken_at, found.cut_after, found.gaps) == (None, None, (21,))
    assert (told(path, GAP)[0]["since"], told(path, GAP)[0]["until"]) == (1, 20)


def test_old_entries_are_let_go_and_the_chain_holds(path: Path) -> None:
    fill(path, 20)
    assert audit.prune(path, 400, START + timedelta(days=399)) == 0
    assert audit.prune(path, 400, START + timedelta(days=401)) == 20
    fill(path, 3)
    found = audit.verify(path)
    assert (found.entries, found.first, found.broken_at, found.gaps) == (4, 21, None, ())
    assert told(path, PRUNED) == [{"until": 20}]
    change(path, "DELETE FROM entries WHERE seq = 21")
    assert audit.verify(path).broken_at == 22


def test_log_is_verified_by_two_while_it_is_written(path: Path) -> None:
    fill(path, 500)
    with ThreadPoolExecutor(2) as reading:
        found = [reading.submit(audit.verify, path) for _ in range(6)]
        for _ in range(20):
            fill(path, 5)
    assert {(one.result().broken_at, one.result().cut_after) for one in found} == {(None, None)}
    assert audit.verify(path).entries == 600


def test_empty_log_is_in_order(path: Path) -> None:
    fill(path, 0)
    assert audit.verify(path) == audit.Verdict(0, 0, 0, GENESIS)


def test_log_of_a_newer_version_is_refused(path: Path) -> None:
    fill(path, 1)
    audit.check_schema(path)
    change(path, f"PRAGMA user_version = {audit.SCHEMA + 1}")
    with pytest.raises(SchemaTooNew):
        audit.check_schema(path)
    with pytest.raises(SchemaTooNew):
        fill(path, 1)


def test_log_that_is_none_is_told(path: Path) -> None:
    with pytest.raises(DatabaseDamaged):
        audit.verify(path)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseDamaged):
        audit.read(path)


# -- noting --------------------------------------------------------------------------------------


def test_only_what_someone_did_is_kept(path: Path) -> None:
    log = opened(path)
    log.note({"event": "worker.said", "text": "x"})
    log.note({"event": "delivery.moved", "after": "importing"})
    log.note(login(1))
    log.close()
    assert events(path) == [OPENED, "login.accepted", CLOSED]
    assert audit.read(path)[1].what == {"customer": "c1", "peer": "192.0.2.7"}


def test_two_programs_may_write_at_once(path: Path) -> None:
    log = opened(path)
    for number in range(30):
        log.note(login(number))
        audit.append(path, "operator.ran", {"words": ["hold", str(number)]})
    log.close()
    found = audit.verify(path)
    assert (found.entries, found.broken_at, found.gaps) == (62, None, ())


def test_log_that_was_not_closed_says_what_may_be_missing(path: Path) -> None:
    fill(path, 1)
    audit.append(path, OPENED, {})
    log = opened(path)
    log.close()
    opened(path).close()
    assert events(path)[1:] == [OPENED, GAP, OPENED, CLOSED, OPENED, CLOSED]


def test_log_that_cannot_be_written_is_written_once_it_can(path: Path) -> None:
    log = opened(path)
    wait_for_entries(path, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE entries RENAME TO away")
        connection.execute("CREATE VIEW entries AS SELECT * FROM away")
        log.note(login(1))
        log.note(login(2))
        said = wait_for("the failure", lambda: log.is_failing or None)
        connection.execute("DROP VIEW entries")
        connection.execute("ALTER TABLE away RENAME TO entries")
    log.close()
    assert said
    assert events(path) == [OPENED, "login.accepted", "login.accepted", CLOSED]
    assert audit.verify(path).broken_at is None


def test_more_than_can_be_kept_is_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_noting, "KEPT_MOST", 3)
    log = opened(path)
    for number in range(9):
        log.note(login(number))
    log.close()
    assert [gap["lost"] for gap in told(path, GAP)] == [8]  # the closing is one of them
    assert len(audit.read(path)) == 4


def test_log_that_was_removed_while_it_is_written_goes_on_with_a_gap(path: Path) -> None:
    log = opened(path)
    wait_for_entries(path, 1)
    for beside in path.parent.glob("audit.db*"):
        beside.unlink()
    log.note(login(1))
    log.close()
    assert events(path) == [GAP, "login.accepted", CLOSED]
    assert audit.verify(path).gaps == (2,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_log_that_root_begins_is_the_daemons(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)
    audit.append(path, "operator.ran", {})
    made = {each.stat().st_uid for each in path.parent.iterdir()}
    assert (made, path.stat().st_mode & 0o777) == ({65534}, 0o600)


def test_entry_that_a_wrong_clock_dated_back_takes_no_younger_ones_along(path: Path) -> None:
    old, ahead = START - timedelta(days=90), START + timedelta(days=900)
    dates = [old, ahead, old, START, datetime(1970, 1, 1, tzinfo=UTC), START]
    audit.write(path, [(audit.now_text(at), f"e{n}", "{}") for n, at in enumerate(dates)])
    assert audit.prune(path, 30, START + timedelta(hours=1)) == 3  # one dated ahead holds none back
    assert events(path) == ["e3", "e4", "e5", PRUNED]
    assert audit.verify(path).broken_at is None


def test_guesses_are_noted_one_by_one_and_then_summed_up(path: Path) -> None:
    log = opened(path)
    for number in range(5 * BURST):
        reason = "unknown" if number % 2 else "wrong-password"
        log.note({"event": "login.refused", "peer": f"192.0.2.{number}", "reason": reason})
    log.note(login(1))
    log.close()
    assert len(told(path, "login.refused")) == BURST
    assert len(told(path, "login.accepted")) == 1
    sums = told(path, "audit.summed")
    assert {one["summed"] for one in sums} == {"login.refused"}
    assert {one["reason"] for one in sums} == {"unknown", "wrong-password"}
    assert sum(one["count"] for one in sums) == 4 * BURST
