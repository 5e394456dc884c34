"""Which deliveries are claimed together; a backlog ends as if they were taken one by one."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Clock, customer, spine
from tests.unit.test_dispatch import Scene
from tilldrop.delivery import Cause, State
from tilldrop.errors import DataBusy, WorkerLost
from tilldrop.importer import dispatch
from tilldrop.ledger import Ledger
from tilldrop.ledger_reading import HEADS, utcnow
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tilldrop.delivery import Delivery
    from tilldrop.rows import Job

SMALL_BYTES = 100


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db", now=clock)
    yield opened
    opened.close()


def arrive(ledger: Ledger, customer: str = "acme", size_bytes: int = 1) -> str:
    begun = ledger.begin(customer, "a.csv", "sftp").result()
    arrived = (State.RECEIVING, State.ARRIVED, Cause.CLOSE)
    ledger.move(begun.id, *arrived, size_bytes=size_bytes).result()
    return begun.id


def claim(ledger: Ledger, most: int = 9, unready: str = "") -> list[str]:
    found = ledger.claim(Cause.SCAN, lambda one: one != unready, most, SMALL_BYTES).result()
    assert all(one.state is State.IMPORTING for one in found)
    return [one.id for one in found]


def test_small_deliveries_of_a_customer_are_claimed_together_in_their_order(
    ledger: Ledger,
) -> None:
    first, _, second, third = (arrive(ledger, who) for who in ("acme", "beta", "acme", "acme"))
    assert claim(ledger, most=2) == [first, second]
    assert ledger.one(third).state is State.ARRIVED


def test_customers_have_turns(ledger: Ledger) -> None:
    first, second, other = arrive(ledger), arrive(ledger), arrive(ledger, "beta")
    assert claim(ledger, most=1) == [first]
    assert claim(ledger) == [other]
    assert claim(ledger) == []  # acme's first is being imported
    assert ledger.one(second).state is State.ARRIVED


def test_to_find_who_is_next_costs_no_look_at_those_behind(ledger: Ledger) -> None:
    plan = [row[3] for row in ledger.rows(f"EXPLAIN QUERY PLAN {HEADS}")]
    through_queue = [step for step in plan if "deliveries_queue" in step]
    assert len(through_queue) == 3
    assert not any("deliveries_by_state" in step or "SCAN deliveries" in step for step in plan)


def test_a_large_delivery_is_claimed_alone(ledger: Ledger) -> None:
    small, large, behind = arrive(ledger), arrive(ledger, size_bytes=101), arrive(ledger)
    assert claim(ledger) == [small]
    ledger.move(small, State.IMPORTING, State.HELD, Cause.OPERATOR).result()
    assert claim(ledger) == [large]
    assert ledger.one(behind).state is State.ARRIVED


def test_none_is_claimed_past_one_that_has_to_wait(ledger: Ledger, clock: Clock) -> None:
    first, late, _ = (arrive(ledger) for _ in range(3))
    assert claim(ledger, unready=late) == [first]
    ledger.move(first, State.IMPORTING, State.HELD, Cause.OPERATOR).result()
    assert claim(ledger, most=1) == [late]
    due = clock.at + timedelta(minutes=5)
    back = (State.IMPORTING, State.ARRIVED, Cause.RETRY)
    ledger.move(late, *back, not_before=due).result()
    assert claim(ledger) == []


# -- a backlog -----------------------------------------------------------------------------------


class Fate:
    """What becomes of each delivery, by its number: the same, however they are taken."""

    def __init__(self, scene: Scene, seed: int) -> None:
        chance = random.Random(seed)
        self.names = [chance.choice(["a.csv", "b.csv", "c.csv"]) for _ in range(25)]
        self.bytes = [chance.choice(["same", "other"]) for _ in self.names]
        self.outcomes = chance.choices(["imported", "rejected", "held"], [8, 1, 1], k=25)
        self.losses = [
            chance.choice([None] * 8 + [WorkerLost("x"), DataBusy("x")]) for _ in "x" * 25
        ]
        self.ids = [scene.arrive(name) for name in self.names]
        self.done: list[tuple[int, str]] = []
        scene.told.run = self.run  # type: ignore[method-assign]
        scene.told.run_all = self.run_all  # type: ignore[method-assign]

    def run_all(self, jobs: Sequence[Job]) -> list[Report]:
        for number in (self.ids.index(job.delivery) for job in jobs):
            loss = self.losses[number]
            if isinstance(loss, DataBusy):
                self.losses[number] = None
            if loss is not None:
                raise loss
        return [self.run(job) for job in jobs]

    def run(self, job: Job) -> Report:
        number = self.ids.index(job.delivery)
        loss, self.losses[number] = self.losses[number], None
        if loss is not None:
            raise loss
        sha256 = hashlib.sha256(self.bytes[number].encode()).hexdigest()
        outcome = "duplicate" if sha256 == job.same_as else self.outcomes[number]
        self.done.append((number, outcome))
        feed = None if job.feed is None else job.feed["name"]
        return Report(
            job.delivery,
            job.run,
            outcome,  # type: ignore[arg-type]
            feed=feed,
            fingerprint=job.fingerprint,
            sha256=sha256,
        )


def drained(folder: Path, seed: int) -> tuple[list[tuple[int, str]], list[str], int]:
    """Let a backlog be imported; return what was done in order, the states, and the commits."""
    folder.mkdir()
    with spine(folder) as base:
        settings = replace(base.config.importer, retry_after_s=0.001)
        base.config = replace(base.config, importer=settings, customers={"acme": customer("acme")})
        base.ledger._now = utcnow  # retries are waited for
        scene = Scene(base)
        fate = Fate(scene, seed)
        claims = 0
        real = base.ledger.claim

        def counted(*given: object) -> object:
            nonlocal claims
            claims += 1
            return real(*given)  # type: ignore[arg-type]

        base.ledger.claim = counted  # type: ignore[method-assign,assignment]
        with scene.running():
            scene.until(lambda: len(fate.done) == len(fate.ids) and is_quiet(scene, fate.ids))
        states = [scene.one(one).state.value for one in fate.ids]
        return fate.done, states, claims


def is_quiet(scene: Scene, ids: list[str]) -> bool:
    busy = {State.ARRIVED, State.IMPORTING}
    found: list[Delivery] = [scene.one(one) for one in ids]
    return all(one.state not in busy for one in found)


@pytest.mark.parametrize("seed", range(3))
def test_a_backlog_ends_as_if_deliveries_were_taken_one_by_one(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = drained(tmp_path / "together", seed)
    for most in ("BATCH_MOST", "TOGETHER_MOST"):
        monkeypatch.setattr(dispatch, most, 1)
    alone = drained(tmp_path / "alone", seed)
    assert together[:2] == alone[:2]
    assert [number for number, _ in together[0]] == list(range(25))
    assert "duplicate" in together[1]
    assert together[2] < alone[2]


def test_what_was_claimed_is_given_back_at_a_stop(tmp_path: Path) -> None:
    with spine(tmp_path) as base:
        scene = Scene(base)
        ids = [scene.arrive(f"{number}.csv") for number in range(4)]

        def stop_then_report(job: Job) -> Report:
            scene.importer.stop()
            return Report(job.delivery, job.run, "imported")

        scene.told.does = [stop_then_report]
        with scene.running():
            scene.until_state(ids[0], State.IMPORTED)
        assert [scene.one(one).state for one in ids[1:]] == [State.ARRIVED] * 3
        assert len(scene.told.jobs) == 1
