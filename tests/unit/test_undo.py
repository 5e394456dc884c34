"""Taking a delivery back: what it changed goes, what nobody can know is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.unit.bookings import Kind, Row, Sent, Till, copy_of_fresh, expected
from tests.unit.test_store_orders import ORDERS, OVERLAP, PAYMENTS, SEEDS, WITH_LINES, Chance
from tilldrop.importer.undo import Undone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEPT = replace(WITH_LINES, history=True)
SHARED = [replace(kind, history=True) for kind in (ORDERS, PAYMENTS, OVERLAP)]


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with duckdb.connect() as con:
        till = Till(copy_of_fresh(tmp_path, "data.db"), con)
        yield till
        till.close()


def sale(number: str, total: int, *lines: int, **more: object) -> Row:
    return {
        "location_id": "1",
        "transaction_id": number,
        "business_date": "2026-01-05",
        "total_minor": total,
        "line_items": [{"sku": "a", "amount_minor": amount} for amount in lines],
        "taxes": [],
        **more,
    }


def without_seq(state: dict[tuple[str, ...], Row]) -> dict[tuple[str, ...], Row]:
    """Leave out who stated a row last: of a row found as it was, only who wrote it is known."""
    return {
        key: {name: value for name, value in row.items() if name != "arrival_seq"}
        for key, row in state.items()
    }


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kinds", [[KEPT], SHARED], ids=["one feed", "three feeds"])
def test_with_history_all_is_as_if_the_delivery_had_not_come(
    kinds: list[Kind], seed: int, till: Till
) -> None:
    chance = Chance(seed)
    deliveries = chance.some(kinds)
    for sent in deliveries:
        till.book(sent)
    out = chance.random.choice(deliveries)
    till.undo(out)
    left = [sent for sent in deliveries if sent is not out]
    assert without_seq(till.state()) == without_seq(expected(left))
    before = till.state()
    assert till.undo(out) == Undone(0, 0, ())
    assert till.state() == before


@pytest.mark.parametrize("seed", SEEDS)
def test_without_history_a_row_goes_or_stays_whole_and_what_stays_is_said(
    seed: int, till: Till
) -> None:
    chance = Chance(seed)
    deliveries = chance.some([WITH_LINES])
    for sent in deliveries:
        till.book(sent)
    out = chance.random.choice(deliveries)
    undone = till.undo(out)
    found = without_seq(till.state())
    all_in = without_seq(expected(deliveries))
    without = without_seq(expected([sent for sent in deliveries if sent is not out]))
    stays = {key for key in all_in if found.get(key) != without.get(key)}
    assert {key: found.get(key) for key in stays} == {key: all_in[key] for key in stays}
    assert {key: found.get(key) for key in all_in.keys() - stays} == {
        key: without.get(key) for key in all_in.keys() - stays
    }
    assert undone.removed == len(all_in) - len(found)
    assert bool([text for text in undone.kept if "history" in text]) == bool(stays)


def test_rows_that_a_newer_delivery_stated_stay(till: Till) -> None:
    first = Sent(1, KEPT, (sale("a", 100, 60, 40), sale("b", 50)))
    till.book(first)
    till.book(Sent(2, KEPT, (sale("a", 120, 120),)))
    undone = till.undo(first)
    assert undone.removed == 1
    assert undone.kept == ("at least 1 rows are as newer deliveries left them",)
    assert set(till.state()) == {("1", "a")}


def test_version_before_comes_back_with_its_lines(till: Till) -> None:
    till.book(Sent(1, KEPT, (sale("a", 100, 60, 40),)))
    before = till.state()
    wrong = Sent(2, KEPT, (sale("a", 999, 999),))
    till.book(wrong)
    assert till.undo(wrong) == Undone(1, 0, ())
    assert till.state() == before
    assert till.read("SELECT delivery, line FROM transactions") == [("d1", 2)]
    assert till.read("SELECT * FROM history") == []


def test_what_was_gone_comes_back(till: Till) -> None:
    whole = replace(WITH_LINES, complete="day")
    till.book(Sent(1, whole, (sale("a", 1), sale("b", 2))))
    second = Sent(2, whole, (sale("a", 1),))
    assert till.book(second).gone == 1
    assert till.undo(second) == Undone(1, 0, ())
    assert till.undo(second) == Undone(0, 0, ())
    assert till.read("SELECT transaction_id, gone_in FROM transactions") == [
        ("a", None),
        ("b", None),
    ]


def test_delivery_that_was_taken_back_can_be_replayed(till: Till) -> None:
    sent = Sent(1, WITH_LINES, (sale("a", 100, 100),))
    till.book(sent)
    before = till.state()
    till.undo(sent)
    assert till.state() == {}
    till.book(sent, 2)
    assert till.state() == before


def test_moved_transaction_goes_back_to_its_location(till: Till) -> None:
    kind = replace(KEPT, key=("transaction_id",))
    till.book(Sent(1, kind, (sale("a", 100, 100),)))
    before = till.state()
    moved = Sent(2, kind, ({**sale("a", 100, 100), "location_id": "2"},))
    till.book(moved)
    assert set(till.state()) == {("2", "a")}
    till.undo(moved)
    assert till.state() == before


@pytest.mark.parametrize("kind", [KEPT, WITH_LINES], ids=["history", "no history"])
def test_after_a_replay_nothing_of_the_former_mapping_comes_back(kind: Kind, till: Till) -> None:
    first, second = Sent(1, kind, (sale("a", 1, 1),)), Sent(2, kind, (sale("a", 2, 2),))
    till.book(first)
    till.book(second)
    other = replace(first, rows=(sale("other", 1, 1),))
    till.book(other, 2, {"first": True, "last": False, "seqs": [1, 2]})
    till.book(second, 2, {"first": False, "last": True, "seqs": []})
    assert till.undo(second) == Undone(0, 1, ())
    assert set(till.state()) == {("1", "other")}
