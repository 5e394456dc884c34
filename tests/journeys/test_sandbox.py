"""A customer in sandbox sends through the real door, and goes live."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients import Account, OpenSshSftp
from tests.daemon import CUSTOMER_TOML, HEADER, UNFINISHED, Daemon, sales, tilldrop, wait_for
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

SANDBOX = '# Since March, until Ada has seen a week.\nmode = "sandbox"  # a pilot\n' + CUSTOMER_TOML


def write_customer(daemon: Daemon, toml: str) -> None:
    (daemon.home / "config" / "customers" / "acme.toml").write_text(toml)


@pytest.fixture
def sandboxed(idle_daemon: Daemon) -> Daemon:
    """A running daemon whose customer is in sandbox."""
    write_customer(idle_daemon, SANDBOX)
    return idle_daemon.start()


def ask(daemon: Daemon, *words: str) -> str:
    asked = tilldrop(daemon.home, *words)
    assert asked.returncode == 0, f"{words}: {asked.stderr}"
    return asked.stdout


def put(daemon: Daemon, folder: Path, name: str, text: str) -> None:
    local = folder / name
    local.write_text(text)
    OpenSshSftp(Account(daemon)).put(local, name)


def deliver(daemon: Daemon, folder: Path, name: str, text: str) -> str:
    """Send a file and wait for its import; return the delivery's id."""
    before = {one.id for one in daemon.deliveries(name)}
    put(daemon, folder, name, text)

    def imported() -> str | None:
        new = [one for one in daemon.deliveries(name) if one.id not in before]
        if not new or new[0].state in UNFINISHED:
            return None
        assert new[0].state is State.IMPORTED, f"{new[0]}: {daemon.ledger().report(new[0].id)}"
        return new[0].id

    return wait_for(f"{name} to be imported", imported)


def booked(path: Path) -> list[tuple[Any, ...]]:
    """Return the transactions of a database: location, id, amount."""
    sql = (
        "SELECT location_id, transaction_id, total_minor FROM transactions"
        " ORDER BY location_id, CAST(transaction_id AS INTEGER)"
    )
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def rows(store: str, first: int, count: int, cents: int = 100) -> list[tuple[Any, ...]]:
    return [(store, str(number), cents) for number in range(first, first + count)]


def test_what_is_in_sandbox_is_answered_as_always_and_booked_apart(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    bad = "12,9,not a day,10:30,1.00\n"
    delivery = deliver(sandboxed, tmp_path, "sales.csv", sales(1, 30) + bad)
    assert booked(sandboxed.paths.data) == []
    assert len(booked(sandboxed.paths.sandbox)) == 30
    client = OpenSshSftp(Account(sandboxed))
    local = tmp_path / "receipt.txt"
    client.batch(f"get receipts/sales.csv.{delivery}.txt {local}")
    receipt = local.read_text()
    assert receipt.startswith("ACCEPTED WITH FAULTS\n")
    assert "This was a test" in receipt
    assert "line 32" in receipt
    status = json.loads(ask(sandboxed, "status", "--json"))
    assert status["sandbox"] == {"acme": {"feeds": ["sales"], "live_locations": []}}
    assert "sandbox of acme" in ask(sandboxed, "status")


def test_after_going_live_only_what_comes_then_is_booked_in_data_db(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    deliver(sandboxed, tmp_path, "monday.csv", sales(1, 3))
    assert "is live" in ask(sandboxed, "go-live", "acme")
    deliver(sandboxed, tmp_path, "tuesday.csv", sales(10, 2))
    assert booked(sandboxed.paths.data) == rows("12", 10, 2)
    assert booked(sandboxed.paths.sandbox) == rows("12", 1, 3)
    text = (sandboxed.home / "config" / "customers" / "acme.toml").read_text()
    assert text == SANDBOX.replace('"sandbox"', '"live"')
    again = tilldrop(sandboxed.home, "go-live", "acme")
    assert again.returncode == 65
    assert "live already" in again.stderr


def test_the_file_of_the_test_sent_again_is_no_duplicate_once_live(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    deliver(sandboxed, tmp_path, "sales.csv", sales(1, 3))
    ask(sandboxed, "go-live", "acme")
    deliver(sandboxed, tmp_path, "sales.csv", sales(1, 3))
    assert booked(sandboxed.paths.data) == rows("12", 1, 3)


def test_going_live_with_replay_books_what_was_sent_as_a_test(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    deliver(sandboxed, tmp_path, "monday.csv", sales(1, 3))
    last = deliver(sandboxed, tmp_path, "again.csv", sales(2, 3, cents=200))
    done = json.loads(ask(sandboxed, "go-live", "acme", "--replay", "--json"))
    assert len(done["deliveries"]) == 2
    wait_for("the replay's last import", lambda: sandboxed.ledger().report(last, 2))
    assert booked(sandboxed.paths.data) == rows("12", 1, 1) + rows("12", 2, 3, 200)
    report = sandboxed.ledger().report(last)
    assert report is not None
    assert not report.sandbox
    assert booked(sandboxed.paths.sandbox) == []


def test_a_replay_of_live_and_sandboxed_feeds_reaches_both_databases(
    daemon: Daemon, tmp_path: Path
) -> None:
    pilot = CUSTOMER_TOML.partition("[[feeds]]")[2].replace('"sales"', '"pilot"')
    pilot = "[[feeds]]" + pilot.replace('"*.csv"', '"pilot*.csv"\nmode = "sandbox"')
    head, _, live = CUSTOMER_TOML.partition("[[feeds]]")
    write_customer(daemon, f"{head}{pilot}\n[[feeds]]{live}")
    ask(daemon, "reload")
    deliver(daemon, tmp_path, "first.csv", sales(1, 2))
    deliver(daemon, tmp_path, "pilot.csv", sales(1, 2, cents=500))
    last = deliver(daemon, tmp_path, "last.csv", sales(10, 1))
    right = pilot.replace('location_id = "Store"', 'location_id = { const = "pilot" }')
    write_customer(daemon, f"{head}{right}\n[[feeds]]{live}")
    ask(daemon, "reload")
    ask(daemon, "replay", "--customer", "acme", "--yes")
    wait_for("the replay", lambda: daemon.ledger().report(last, 2))
    assert booked(daemon.paths.sandbox) == rows("pilot", 1, 2, 500)
    assert booked(daemon.paths.data) == rows("12", 1, 2) + rows("12", 10, 1)


def test_one_location_goes_live_and_the_others_stay_in_sandbox(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    both = sales(1, 2, store="12") + sales(1, 2, store="14").removeprefix(HEADER)
    first = deliver(sandboxed, tmp_path, "monday.csv", both)
    ask(sandboxed, "go-live", "acme", "--location", "12", "--replay")
    wait_for("the replay", lambda: sandboxed.ledger().report(first, 2))
    assert booked(sandboxed.paths.data) == rows("12", 1, 2)
    assert booked(sandboxed.paths.sandbox) == rows("14", 1, 2)
    deliver(sandboxed, tmp_path, "tuesday.csv", both.replace("1.00", "3.00"))
    assert booked(sandboxed.paths.data) == rows("12", 1, 2, 300)
    assert booked(sandboxed.paths.sandbox) == rows("14", 1, 2, 300)
    again = tilldrop(sandboxed.home, "go-live", "acme", "--location", "12")
    assert again.returncode == 65
    ask(sandboxed, "go-live", "acme", "--replay")
    wait_for("the second replay", lambda: sandboxed.ledger().report(first, 3))
    sandboxed.wait_until_idle()
    assert booked(sandboxed.paths.data) == rows("12", 1, 2, 300) + rows("14", 1, 2, 300)


def test_a_sandbox_begun_by_a_reload_needs_no_restart(daemon: Daemon, tmp_path: Path) -> None:
    deliver(daemon, tmp_path, "live.csv", sales(1, 2))
    assert not daemon.paths.sandbox.exists()
    write_customer(daemon, SANDBOX)
    ask(daemon, "reload")
    deliver(daemon, tmp_path, "test.csv", sales(10, 2))
    assert booked(daemon.paths.data) == rows("12", 1, 2)
    assert booked(daemon.paths.sandbox) == rows("12", 10, 2)


def test_going_live_without_a_daemon_counts_from_its_next_start(
    sandboxed: Daemon, tmp_path: Path
) -> None:
    deliver(sandboxed, tmp_path, "monday.csv", sales(1, 3))
    assert sandboxed.stop() == 0
    assert "next start" in ask(sandboxed, "go-live", "acme", "--replay")
    sandboxed.start()
    sandboxed.wait_until_idle()
    assert booked(sandboxed.paths.data) == rows("12", 1, 3)
