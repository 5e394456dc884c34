"""A folder's listing shows the last delivery of every name, and costs names, not deliveries."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tilldrop import ledger_schema
from tilldrop.ledger_reading import LedgerReader
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

AT = "2026-01-05T13:08:00.000000+00:00"
# Neighbours of the slash in the order of signs, folders that begin alike, files called as folders.
NAMES = [
    *("a.csv", "a", "a/", "a0", "a-", "a.", "b/a.csv", "b/c/d.csv", "b/c.csv", "b0", "b-x", "bb/x"),
    *("é/ü.csv", "é.csv", "éa/x", "日本/売上.csv", "\U0001f6d2/x.csv", "%", "_", "'", "x" * 200),
]
STEPS_COUNTED = 10  # of SQLite's machine, between two counts


def filled(path: Path, deliveries: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Make a ledger of (customer, name); return the last arrival_seq of each."""
    last: dict[tuple[str, str], int] = {}
    with closing(sqlite3.connect(path)) as connection:
        ledger_schema.migrate(connection)
        for seq, (customer, name) in enumerate(deliveries, start=1):
            connection.execute(
                "INSERT INTO deliveries (id, arrival_seq, customer, door, peer, name, state,"
                " began_at, arrived_at, changed_at) VALUES (?, ?, ?, 'sftp', '', ?, 'imported',"
                " ?, ?, ?)",
                (f"260105-130800-{seq:05}", seq, customer, name, AT, AT, AT),
            )
            last[customer, name] = seq
        connection.commit()
    return last


@pytest.mark.parametrize("folder", ["", "a", "b", "b/c", "é", "日本", "\U0001f6d2", "nowhere"])
def test_each_folder_lists_the_last_delivery_of_what_lies_in_it(
    tmp_path: Path, folder: str
) -> None:
    dice = random.Random(7)
    given = [(dice.choice(("acme", "bakery")), dice.choice(NAMES)) for _ in range(300)]
    last = filled(tmp_path / "ledger.db", given)
    prefix = f"{folder}/" if folder else ""
    tails = {
        name[len(prefix) :]: seq
        for (customer, name), seq in last.items()
        if customer == "acme" and name.startswith(prefix) and name != prefix
    }
    with closing(LedgerReader(tmp_path / "ledger.db")) as ledger:
        listed = {one.name: one.arrival_seq for one in ledger.accepted_names("acme", folder)}
        below = {
            one[len(prefix) :].split("/")[0] for one in ledger.accepted_folders("acme", folder)
        }
        every = {one.name: one.arrival_seq for one in ledger.accepted_names("acme")}
    assert listed == {prefix + tail: seq for tail, seq in tails.items() if "/" not in tail}
    assert below == {tail.split("/")[0] for tail in tails if "/" in tail}
    assert every == {name: seq for (customer, name), seq in last.items() if customer == "acme"}


def steps_of_a_listing(path: Path, folder: str) -> int:
    """Count what SQLite does for a listing."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with closing(LedgerReader(path)) as ledger:
        ledger.rows("SELECT 1")
        ledger._local.connection.set_progress_handler(count, STEPS_COUNTED)
        assert ledger.accepted_names("acme", folder)
        ledger.accepted_folders("acme", folder)
    return counted


@pytest.mark.parametrize("folder", ["", "shop"])
def test_a_listing_costs_the_same_however_often_each_name_was_sent(
    tmp_path: Path, folder: str
) -> None:
    names = [f"{place}day-{day}.csv" for place in ("", "shop/", "other/") for day in range(5)]
    once = [("acme", name) for name in names]
    filled(tmp_path / "once.db", once)
    filled(tmp_path / "often.db", once * 60)
    base = steps_of_a_listing(tmp_path / "once.db", folder)
    assert steps_of_a_listing(tmp_path / "often.db", folder) <= base + 2
