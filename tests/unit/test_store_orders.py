"""In whatever order deliveries are booked, the end is that of the order in which they came."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from tests.unit.bookings import Children, Kind, Row, Sent, Till, copy_of_fresh, expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEDS = range(int(os.environ.get("TILLDROP_SEEDS", "3")))  # more takes long

LINES: Children = {"line_items": ("sku", "amount_minor")}
PAID: Children = {"tenders": ("method", "amount_minor")}
PLAIN = Kind(columns=("business_date", "total_minor", "tender"))
WITH_LINES = replace(PLAIN, children={**LINES, "taxes": ("name", "amount_minor")})
ORDERS = Kind("orders", ("business_date", "total_minor", "status"), LINES, shares=True)
PAYMENTS = Kind("payments", ("tip_minor",), PAID, shares=True)
OVERLAP = Kind("closing", ("total_minor", "tip_minor", "channel"), LINES | PAID, shares=True)
KEYS_ONLY = Kind("paid", (), PAID, shares=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        yield con


class Chance:
    """Random deliveries over few keys and few values, so that they meet."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, name: str) -> Any:
        pick = self.random.choice
        if name == "business_date":
            return pick(["2026-01-05", "2026-01-06"])
        if name == "as_of":
            return pick(["2026-01-05T10:00:00+01:00", "2026-01-05T11:00:00+01:00"])
        if name.endswith(("_minor", "_milli", "_count")):
            return pick([None, 100, 200])
        return pick([None, "a", "b"])

    def row(self, kind: Kind) -> Row:
        row = {name: self.value(name) for name in kind.columns}
        for child, names in kind.children.items():
            count = self.random.randrange(3)
            row[child] = [{name: self.value(name) for name in names} for _ in range(count)]
        return row

    def sent(self, seq: int, kind: Kind) -> Sent:
        keys = [(place, number) for place in "12" for number in "abc"]
        chosen = self.random.sample(keys, self.random.randint(1, 4))
        if "location_id" not in kind.key:
            chosen = list({number: (place, number) for place, number in chosen}.values())
        named = [dict(zip(kind.keys, key, strict=True)) for key in chosen]
        return Sent(seq, kind, tuple({**key, **self.row(kind)} for key in named))

    def some(self, kinds: list[Kind], count: int = 6) -> list[Sent]:
        return [self.sent(seq, self.random.choice(kinds)) for seq in range(1, count + 1)]

    def shuffled(self, deliveries: list[Sent]) -> list[Sent]:
        return self.random.sample(deliveries, len(deliveries))


CASES = {
    "one feed": [PLAIN],
    "one feed with children": [WITH_LINES],
    "disjoint columns": [ORDERS, PAYMENTS],
    "overlapping columns": [ORDERS, PAYMENTS, OVERLAP],
    "only children": [ORDERS, KEYS_ONLY],
    "history": [replace(WITH_LINES, history=True)],
    "history of shared rows": [replace(ORDERS, history=True), replace(OVERLAP, history=True)],
    "whole days": [replace(WITH_LINES, complete="day")],
    "whole days of one of two": [replace(ORDERS, complete="day"), PAYMENTS],
    "newest state": [replace(WITH_LINES, columns=("as_of", "total_minor"), older="ignore")],
    "id alone": [replace(WITH_LINES, key=("transaction_id",))],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kinds", CASES.values(), ids=CASES.keys())
def test_late_deliveries_end_as_if_booked_in_order_of_arrival(
    kinds: list[Kind], seed: int, folder: Path, con: duckdb.DuckDBPyConnection
) -> None:
    chance = Chance(seed)
    deliveries = chance.some(kinds)
    till = Till(copy_of_fresh(folder, "late.db"), con if seed % 2 else None)
    for sent in chance.shuffled(deliveries):
        booked = till.book(sent)
        counted = booked.inserted + booked.updated + booked.unchanged + booked.superseded
        assert counted == len(sent.rows)
        assert min(booked.inserted, booked.updated, booked.unchanged, booked.superseded) >= 0
    assert till.state() == expected(deliveries)


# What these go by is not what a changed mapping is about.
KEYS_MATTER = {"newest state", "id alone"}


def changed(kind: Kind, chance: Chance) -> Kind:
    """Return the feed as a later mapping has it: other columns, other children."""
    columns = ("business_date", "total_minor", "tip_minor", "status", "channel")
    kept = tuple(name for name in columns if chance.random.random() < 0.6)
    if "business_date" in kind.columns:  # what is whole goes by the day
        kept = tuple(dict.fromkeys(("business_date", *kept)))
    children = {
        child: names for child, names in (LINES | PAID).items() if chance.random.random() < 0.6
    }
    return replace(kind, columns=kept, children=children)


def read_again(sent: Sent, kind: Kind, chance: Chance) -> Sent:
    """Return what the same file gives with another mapping: other values, some ids other."""
    rows = []
    for row in sent.rows:
        key = {name: row[name] for name in kind.keys}
        if chance.random.random() < 0.3:
            key[kind.keys[-1]] += "-new"
        rows.append({**key, **chance.row(kind)})
    return replace(sent, kind=kind, rows=tuple(rows))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "name", [name for name in CASES if name not in {"newest state", "id alone"}]
)
def test_replay_ends_as_if_the_new_mapping_had_always_been_there(
    name: str, seed: int, folder: Path, con: duckdb.DuckDBPyConnection
) -> None:
    chance = Chance(seed)
    deliveries = chance.some(CASES[name])
    till = Till(copy_of_fresh(folder, "replay.db"), con if seed % 2 else None)
    for sent in chance.shuffled(deliveries):
        till.book(sent)
    kinds = {kind.name: changed(kind, chance) for kind in CASES[name]}
    again = [read_again(sent, kinds[sent.kind.name], chance) for sent in deliveries]
    newer = [chance.sent(seq, chance.random.choice(list(kinds.values()))) for seq in (7, 8)]
    for at, sent in enumerate(again):
        first, last = at == 0, at == len(again) - 1
        seqs = [one.seq for one in again] if first else []
        till.book(sent, 2, {"first": first, "last": last, "seqs": seqs})
        if at == 2:
            till.book(newer[0])
    till.book(newer[1])
    assert till.state() == expected([*again, *newer])
    assert till.read("SELECT * FROM replaying") == []


@pytest.mark.parametrize("seed", SEEDS)
def test_delivery_refused_in_a_replay_leaves_no_row(
    seed: int, folder: Path, con: duckdb.DuckDBPyConnection
) -> None:
    chance = Chance(seed)
    deliveries = chance.some([WITH_LINES], 3)
    till = Till(copy_of_fresh(folder, "refused.db"), con if seed % 2 else None)
    for sent in deliveries:
        till.book(sent)
    out = chance.random.randrange(3)
    for at, sent in enumerate(deliveries):
        replay = {"first": at == 0, "last": at == 2, "seqs": [1, 2, 3] if at == 0 else []}
        if at == out:
            till.refuse(sent, 2, replay)
        else:
            till.book(sent, 2, replay)
    assert till.state() == expected([one for at, one in enumerate(deliveries) if at != out])
