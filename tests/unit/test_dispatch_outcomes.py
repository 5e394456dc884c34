"""What becomes of a delivery that is held, bears card data, or waits for its companion."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import FEEDS, customer, spine
from tests.unit.test_dispatch import RETRY_AFTER_S, Scene
from tilldrop import corrections, housekeeping
from tilldrop.delivery import Cause, State
from tilldrop.importer import dispatch
from tilldrop.ledger_reading import utcnow
from tilldrop.mapping import Control
from tilldrop.rows import Job, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTROL = Control("records", companion="{stem}.ctl", match=r"(\d+)")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with spine(tmp_path) as base:
        settings = replace(base.config.importer, retry_after_s=RETRY_AFTER_S)
        base.config = replace(base.config, importer=settings)
        base.ledger._now = utcnow
        yield Scene(base)


def ask_for_companions(scene: Scene) -> None:
    feeds = (replace(FEEDS[0], controls=(CONTROL,)), *FEEDS[1:])
    scene.base.configure({"acme": replace(customer(), feeds=feeds)})


def says(reason: str, outcome: str = "held") -> Callable[[Job], Report]:
    return lambda job: Report(
        job.delivery,
        job.run,
        outcome,  # type: ignore[arg-type]  # one of the outcomes
        reason=reason,
        feed="sales",
    )


# -- held ----------------------------------------------------------------------------------------


def test_what_is_held_for_its_figures_stays_ready_and_its_release_accepts_them(
    scene: Scene,
) -> None:
    delivery = scene.arrive()
    scene.told.does = [says("control-differs")]
    with scene.running():
        held = scene.until_state(delivery, State.HELD)
        assert (held.reason, held.attempts) == ("control-differs", 0)
        assert scene.base.spool.is_arrived(delivery)
        later = scene.arrive("later.csv")
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(later, State.IMPORTED)
        corrections.release(scene.base.ledger, scene.base.spool, [delivery])
        scene.bell.ring(Cause.OPERATOR)
        scene.until_state(delivery, State.IMPORTED)
    first, _, released = scene.told.jobs
    assert (first.accepts_controls, released.accepts_controls) == (False, True)
    assert (first.run, released.run) == (1, 2)


# -- card data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["card-data", "card-track-data", "card-code"])
def test_bytes_with_card_data_are_gone_once_the_report_is_recorded(
    scene: Scene, reason: str
) -> None:
    delivery = scene.arrive()
    scene.told.does = [says(reason, "rejected")]
    with scene.running():
        rejected = scene.until_state(delivery, State.REJECTED)
        scene.until(lambda: scene.base.spool.path_of(delivery) is None)
    assert rejected.bytes_gone_at is not None


def test_bytes_with_card_data_are_gone_after_a_crash_before_they_could_be(scene: Scene) -> None:
    delivery = scene.arrive()
    ledger = scene.base.ledger
    ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    ledger.record_report(Report(delivery, 1, "rejected", reason="card-data")).result()
    assert scene.base.spool.is_arrived(delivery)
    housekeeping.recover(ledger, scene.base.spool)
    assert scene.base.spool.path_of(delivery) is None


def test_the_masked_copy_takes_the_place_of_the_bytes(scene: Scene, tmp_path: Path) -> None:
    delivery = scene.arrive()
    masked = tmp_path / "masked"
    masked.write_bytes(b"Store,Note\n12,400000******0002\n")

    def mask(job: Job) -> Report:
        return Report(job.delivery, job.run, "imported", masked=1, masked_path=str(masked))

    scene.told.does = [mask]
    with scene.running():
        scene.until((scene.base.spool.kept / delivery).exists)
    assert (scene.base.spool.kept / delivery).read_bytes().endswith(b"0002\n")
    assert not masked.exists()
    assert scene.base.spool.strays(scene.base.spool.receiving) == []


def test_a_masked_copy_that_was_put_in_place_before_a_crash_changes_nothing(
    scene: Scene, tmp_path: Path
) -> None:
    delivery = scene.arrive()
    before = scene.base.spool.path_arrived(delivery).read_bytes()
    scene.base.spool.put_in_place(delivery, tmp_path / "is not there any more")
    assert scene.base.spool.path_arrived(delivery).read_bytes() == before


def test_bytes_whose_masked_copy_is_lost_are_dropped(scene: Scene, tmp_path: Path) -> None:
    """As in a restored home: the report was in the backup, the copy that it names was not."""
    delivery = scene.arrive()
    numbers = hashlib.sha256(scene.base.spool.path_arrived(delivery).read_bytes()).hexdigest()

    def mask(job: Job) -> Report:
        report = Report(job.delivery, job.run, "imported", masked=1, sha256=numbers)
        return replace(report, masked_path=str(tmp_path / "lost"))

    scene.told.does = [mask]
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
        scene.until(lambda: scene.base.spool.path_of(delivery) is None)
    assert scene.one(delivery).bytes_gone_at is not None


# -- companions ----------------------------------------------------------------------------------


def test_a_companion_is_not_imported_and_is_told_to_the_job_of_its_file(scene: Scene) -> None:
    ask_for_companions(scene)
    companion, delivery = scene.arrive("a.ctl"), scene.arrive("a.csv")
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    screened, job = scene.told.jobs
    assert (screened.delivery, screened.feed) == (companion, None)
    assert job.delivery == delivery
    assert job.companion_path == str(scene.base.spool.kept / companion)
    after = scene.one(companion)
    assert (after.state, after.feed, after.is_companion) == (
        State.IMPORTED,
        "sales:companion",
        True,
    )


def test_a_companion_with_card_data_is_refused_and_counts_for_nothing(scene: Scene) -> None:
    ask_for_companions(scene)
    companion, delivery = scene.arrive("a.ctl"), scene.arrive("a.csv")
    scene.told.does = [says("card-data", "rejected")]
    with scene.running():
        scene.until_state(companion, State.REJECTED)
        scene.until(lambda: scene.one(delivery).reason == "companion-missing")
    assert scene.base.spool.path_of(companion) is None


def test_a_file_waits_for_its_companion_and_finds_it_behind_itself(scene: Scene) -> None:
    ask_for_companions(scene)
    delivery = scene.arrive("a.csv")
    with scene.running():
        scene.until(lambda: scene.one(delivery).reason == "companion-missing")
        companion = scene.arrive("a.ctl")
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(delivery, State.IMPORTED)
    job = scene.told.jobs[0]
    assert job.delivery == delivery
    assert job.companion_path.endswith(companion)
    assert scene.one(delivery).attempts == 0


def test_a_file_whose_companion_never_comes_is_put_to_the_worker_without(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "COMPANION_TRIES", 2)
    ask_for_companions(scene)
    delivery = scene.arrive("a.csv")
    scene.told.does = [says("companion-missing")]
    with scene.running():
        scene.until_state(delivery, State.HELD)
    (job,) = scene.told.jobs
    assert job.companion_path == ""
    assert scene.causes(delivery).count("retry") >= 2


def test_what_is_held_for_its_figures_is_tried_again_when_its_companion_comes(
    scene: Scene,
) -> None:
    ask_for_companions(scene)
    scene.arrive("a.ctl")
    differs, other = scene.arrive("a.csv"), scene.arrive("b.csv")
    scene.base.ledger.move(
        other, State.ARRIVED, State.HELD, Cause.OPERATOR, reason="held-by-operator"
    ).result()
    scene.told.does = [says("no-feed", "unclaimed"), says("control-differs")]
    with scene.running():
        scene.until_state(differs, State.HELD)
        right = scene.arrive("a.ctl")
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(differs, State.IMPORTED)
    assert scene.told.jobs[-1].companion_path.endswith(right)
    assert not scene.told.jobs[-1].accepts_controls
    assert "companion" in scene.causes(differs)
    assert scene.one(other).state is State.HELD


# -- replay --------------------------------------------------------------------------------------


def test_jobs_of_a_replay_know_their_part_and_later_ones_know_of_none(scene: Scene) -> None:
    with scene.running():
        for name in ("a.csv", "b.csv", "c.csv"):
            delivery = scene.arrive(name)
            scene.bell.ring(Cause.WATCHDOG)
            scene.until_state(delivery, State.IMPORTED)
        scene.until((scene.base.spool.kept / delivery).exists)
        selection = corrections.select(scene.base.ledger, "acme")
        corrections.replay_customer(scene.base.ledger, scene.base.spool, "acme", selection)
        scene.bell.ring(Cause.REPLAY)
        scene.until(lambda: len(scene.told.jobs) == 6)
        scene.until(lambda: scene.base.ledger.in_replay("acme") == 0)
    parts = [job.replay for job in scene.told.jobs[3:]]
    assert parts == [
        {"first": True, "last": False, "seqs": [1, 2, 3]},
        {"first": False, "last": False, "seqs": []},
        {"first": False, "last": True, "seqs": []},
    ]
    assert scene.one(delivery).replay is None
