"""The last acknowledged delivery wins: always."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.clients import Account, OpenSshSftp
from tests.daemon import CUSTOMER_TOML, Daemon, add_customer, sales, tilldrop, wait_for
from tilldrop.delivery import Delivery, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Another program holds the database's write lock for a while."""
    words = (sys.executable, "-c", LOCK, str(database))
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"locked\n"
        yield
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def put(daemon: Daemon, folder: Path, name: str, text: str, customer: str = "acme") -> None:
    local = folder / name
    local.write_text(text)
    OpenSshSftp(Account(daemon, customer)).put(local, name)


def totals(daemon: Daemon, customer: str = "acme") -> list[int]:
    sql = "SELECT total_minor FROM transactions WHERE customer = ? ORDER BY transaction_id"
    return [row[0] for row in daemon.rows(sql, customer)]


def began_importing(daemon: Daemon, delivery: Delivery) -> list[str]:
    moves = daemon.ledger().moves(delivery.id)
    return [move.cause for move in moves if move.after is State.IMPORTING]


def test_a_waiting_retry_holds_back_later_deliveries_of_its_customer_alone(
    daemon: Daemon, tmp_path: Path
) -> None:
    add_customer(daemon.home, "other", CUSTOMER_TOML)
    assert tilldrop(daemon.home, "customer", "enable", "other").returncode == 0
    with locked(daemon.paths.data):
        put(daemon, tmp_path, "first.csv", sales(1, 3))
        put(daemon, tmp_path, "second.csv", sales(1, 3, cents=200))
        tried = wait_for(
            "the first import to be tried and put off",
            lambda: next((d for d in daemon.deliveries("first.csv") if d.not_before), None),
        )
        assert tried.state in (State.ARRIVED, State.IMPORTING)
        (second,) = daemon.deliveries("second.csv")
        assert (second.state, second.run) == (State.ARRIVED, 0)
    first = daemon.wait_for_state("first.csv", State.IMPORTED)
    second = daemon.wait_for_state("second.csv", State.IMPORTED)
    assert totals(daemon) == [200, 200, 200]
    ends = [daemon.ledger().moves(each.id)[-1].at for each in (first, second)]
    assert ends == sorted(ends)
    assert len(began_importing(daemon, second)) == 1


def test_a_replayed_older_delivery_does_not_beat_a_newer_one(
    daemon: Daemon, tmp_path: Path
) -> None:
    put(daemon, tmp_path, "old.csv", sales(1, 3))
    old = daemon.wait_for_state("old.csv", State.IMPORTED)
    put(daemon, tmp_path, "new.csv", sales(2, 3, cents=200))
    daemon.wait_for_state("new.csv", State.IMPORTED)
    asked = tilldrop(daemon.home, "replay", old.id)
    assert asked.returncode == 0, asked.stderr
    wait_for("the second run", lambda: daemon.ledger().report(old.id, 2))
    assert totals(daemon) == [100, 200, 200, 200]


def test_replay_applies_a_changed_mapping(daemon: Daemon, tmp_path: Path) -> None:
    put(daemon, tmp_path, "sales.csv", sales(1, 3))
    delivery = daemon.wait_for_state("sales.csv", State.IMPORTED)
    toml = CUSTOMER_TOML.replace('total = "Total"', 'total = { expr = "Total * 2" }')
    (daemon.home / "config" / "customers" / "acme.toml").write_text(toml)
    os.kill(daemon.pid, 1)  # SIGHUP: read the configuration again
    wait_for("the new mapping to be read", lambda: daemon.events("config.reloaded"))
    asked = tilldrop(daemon.home, "replay", delivery.id)
    assert asked.returncode == 0, asked.stderr
    report = wait_for("the second run", lambda: daemon.ledger().report(delivery.id, 2))
    assert (report.outcome, report.counts.updated) == ("imported", 3)
    assert totals(daemon) == [200, 200, 200]


def test_a_held_delivery_is_imported_once_released(daemon: Daemon, tmp_path: Path) -> None:
    with locked(daemon.paths.data):
        put(daemon, tmp_path, "sales.csv", sales(1, 3))
        delivery = wait_for(
            "the import to be put off",
            lambda: next((d for d in daemon.deliveries("sales.csv") if d.not_before), None),
        )

        def hold() -> bool:
            # The next attempt may be running just now: then it cannot be held yet.
            return tilldrop(daemon.home, "hold", delivery.id).returncode == 0

        wait_for("it to be held", hold)
    assert daemon.wait_for_state("sales.csv", State.HELD)
    put(daemon, tmp_path, "later.csv", sales(10, 1))
    daemon.wait_for_state("later.csv", State.IMPORTED)
    assert tilldrop(daemon.home, "release", delivery.id).returncode == 0
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    assert len(totals(daemon)) == 4
