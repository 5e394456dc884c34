"""One delivery's way from ARRIVED to its outcome, with a supervisor that does as it is told.

Longer than most, because all of it needs the same scene.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.spine import Spine, customer, spine
from tilldrop import journal
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.errors import DataBusy, DataFull, LedgerBusy, SpoolFailed, TilldropError, WorkerLost
from tilldrop.importer.dispatch import Importer
from tilldrop.ledger_reading import utcnow
from tilldrop.rows import Job, Report
from tilldrop.watch import Bell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

DEADLINE_S = 20
RETRY_AFTER_S = 0.02
BYTES = b"Store,Id\n1,2\n"


class Told:
    """Stands for the supervisor: does what the test says, else reports an import."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.does: list[Exception | Callable[[Job], Report]] = []

    def run(self, job: Job) -> Report:
        self.jobs.append(job)
        deed = self.does.pop(0) if self.does else imported
        if isinstance(deed, Exception):
            raise deed
        return deed(job)

    def run_all(self, jobs: Sequence[Job]) -> list[Report]:
        if self.does:
            raise WorkerLost("what it does was said of one job after the other")
        return [self.run(job) for job in jobs]


def imported(job: Job) -> Report:
    feed = None if job.feed is None else job.feed["name"]
    return Report(
        job.delivery, job.run, "imported", feed=feed, fingerprint=job.fingerprint, sha256="aa"
    )


class Scene:
    """A spine, an importer on it, and what it was told to do."""

    def __init__(self, base: Spine) -> None:
        self.base = base
        self.told = Told()
        self.bell = Bell()
        self.importer = Importer(base.ledger, base.spool, self.told, lambda: base.config, self.bell)

    def arrive(self, name: str = "sales.csv", who: str = "acme") -> str:
        """Bring a delivery to where a door leaves it."""
        begun = self.base.ledger.begin(who, name, "sftp").result()
        (self.base.spool.receiving / begun.id).write_bytes(BYTES)
        self.base.ledger.move(
            begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE, size_bytes=len(BYTES)
        ).result()
        self.base.spool.accept(begun.id)
        return begun.id

    def one(self, delivery_id: str) -> Delivery:
        return self.base.ledger.one(delivery_id)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            pause.wait(0.005)

    def until_state(self, delivery_id: str, state: State) -> Delivery:
        self.until(lambda: self.one(delivery_id).state is state)
        return self.one(delivery_id)

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.importer.run)
        thread.start()
        try:
            yield
        finally:
            self.importer.stop()
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def causes(self, delivery_id: str) -> list[str]:
        return [move.cause for move in self.base.ledger.moves(delivery_id)]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with spine(tmp_path) as base:
        settings = replace(base.config.importer, retry_after_s=RETRY_AFTER_S)
        base.config = replace(base.config, importer=settings)
        base.ledger._now = utcnow  # retries are waited for, so time has to pass by itself
        yield Scene(base)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[object, ...]]]:
    heard: list[tuple[str, tuple[object, ...]]] = []
    for event in ("import_finished", "delivery_held", "importer_failed", "import_failed"):
        monkeypatch.setattr(journal, event, lambda *told, event=event: heard.append((event, told)))
    return heard


def test_what_arrived_before_the_start_is_imported_and_its_bytes_are_kept(scene: Scene) -> None:
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
        scene.until((scene.base.spool.kept / delivery).exists)
    assert not scene.base.spool.is_arrived(delivery)
    assert scene.causes(delivery) == ["begin", "close", "startup", "report"]


def test_a_ring_is_the_cause_of_the_import(scene: Scene) -> None:
    with scene.running():
        first = scene.arrive()
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(first, State.IMPORTED)
    assert scene.causes(first)[2] == "watchdog"


def test_one_ring_is_enough_for_many_deliveries(scene: Scene) -> None:
    with scene.running():
        many = [scene.arrive(f"{number}.csv") for number in range(5)]
        scene.bell.ring(Cause.WATCHDOG)
        for each in many:
            scene.until_state(each, State.IMPORTED)
    assert [job.delivery for job in scene.told.jobs] == many


def test_the_job_tells_the_worker_all_it_needs(scene: Scene) -> None:
    delivery = scene.arrive("transactions/a.csv")
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    job = scene.told.jobs[0]
    assert job.feed is not None
    assert job.feed["name"] == "journal"
    assert (job.run, job.arrival_seq, job.zone, job.currency) == (1, 1, "Europe/Berlin", "EUR")
    assert job.path == str(scene.base.spool.path_arrived(delivery))
    assert job.data_path == str(scene.base.config.paths.data)


def test_a_name_that_no_feed_takes_gets_a_job_without_a_feed(scene: Scene) -> None:
    delivery = scene.arrive("notes.txt")
    scene.told.does = [lambda job: Report(job.delivery, job.run, "unclaimed", reason="no-feed")]
    with scene.running():
        scene.until_state(delivery, State.UNCLAIMED)
    assert scene.told.jobs[0].feed is None
    assert scene.one(delivery).reason == "no-feed"


def test_each_import_is_one_line_with_its_figures(
    scene: Scene, said: list[tuple[str, tuple[object, ...]]]
) -> None:
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    events = [told for event, told in said if event == "import_finished"]
    assert len(events) == 1
    assert isinstance(events[0][0], Report)
    assert events[0][0].delivery == delivery


# -- duplicates ----------------------------------------------------------------------------------


def same_as_of_last(scene: Scene, *names: str) -> str | None:
    with scene.running():
        for name in names:
            last = scene.arrive(name)
            scene.bell.ring(Cause.WATCHDOG)
            scene.until_state(last, State.IMPORTED)
    return scene.told.jobs[-1].same_as


@pytest.mark.parametrize(
    ("names", "hash_that_would_repeat"),
    [
        (("a.csv",), None),
        (("a.csv", "a.csv"), "aa"),
        (("a.csv", "b.csv", "a.csv"), None),
        (("a.csv", "transactions/b.csv", "a.csv"), "aa"),
        (("a.csv", "b.csv"), None),
    ],
    ids=["first", "again", "again-after-another", "another-feed-between", "other-name"],
)
def test_only_the_latest_import_of_the_feed_can_be_repeated(
    scene: Scene, names: tuple[str, ...], hash_that_would_repeat: str | None
) -> None:
    assert same_as_of_last(scene, *names) == hash_that_would_repeat


def test_what_is_held_in_between_makes_the_next_no_repetition(scene: Scene) -> None:
    same_as_of_last(scene, "a.csv")
    wrong = scene.arrive("a.csv")
    scene.base.ledger.move(wrong, State.ARRIVED, State.HELD, Cause.OPERATOR).result()
    # If it were a duplicate, releasing the wrong one later would let the older data win.
    assert same_as_of_last(Scene(scene.base), "a.csv") is None


def test_after_a_change_of_the_mapping_the_same_bytes_are_no_repetition(scene: Scene) -> None:
    same_as_of_last(scene, "a.csv")
    scene.importer = Scene(scene.base).importer
    changed = replace(customer(), zone="Europe/Paris")
    scene.base.configure({"acme": changed})
    second = Scene(scene.base)
    assert same_as_of_last(second, "a.csv") is None


def test_a_replay_is_never_a_repetition(scene: Scene) -> None:
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
        scene.until((scene.base.spool.kept / delivery).exists)
        scene.base.ledger.move(delivery, State.IMPORTED, State.ARRIVED, Cause.REPLAY).result()
        scene.base.spool.return_to_arrived(delivery)
        scene.bell.ring(Cause.WATCHDOG)
        scene.until(lambda: len(scene.told.jobs) == 2)
        scene.until_state(delivery, State.IMPORTED)
    assert [(job.run, job.same_as) for job in scene.told.jobs] == [(1, None), (2, None)]


# -- trouble -------------------------------------------------------------------------------------


def test_a_crash_is_tried_again_as_the_same_run_and_later(scene: Scene) -> None:
    delivery = scene.arrive()
    scene.told.does = [WorkerLost("killed")]
    with scene.running():
        final = scene.until_state(delivery, State.IMPORTED)
    assert [job.run for job in scene.told.jobs] == [1, 1]
    assert final.attempts == 0
    assert scene.causes(delivery)[2:] == ["startup", "crash", "retry", "report"]


def test_retries_wait_ever_longer(scene: Scene) -> None:
    delivery = scene.arrive()
    scene.told.does = [WorkerLost("killed"), WorkerLost("killed")]
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    moves = scene.base.ledger.moves(delivery)
    lost = [move.at for move in moves if move.cause == "crash"]
    again = [move.at for move in moves if move.cause == "retry"]
    # A wait counts from the loss; the move is written a little later.
    assert again[0] - lost[0] >= timedelta(seconds=0.9 * RETRY_AFTER_S)
    assert again[1] - lost[1] >= timedelta(seconds=1.8 * RETRY_AFTER_S)


def test_the_third_crash_holds_the_delivery_and_tells_the_operator(
    scene: Scene, said: list[tuple[str, tuple[object, ...]]]
) -> None:
    poison, later = scene.arrive("poison.csv"), scene.arrive("later.csv")
    scene.told.does = [WorkerLost("killed")] * 3
    with scene.running():
        held = scene.until_state(poison, State.HELD)
        scene.until_state(later, State.IMPORTED)
    assert (held.reason, held.attempts) == ("import-crashed", 3)
    assert scene.base.spool.is_arrived(poison)
    assert ("delivery_held", (poison, "acme", "poison.csv", "import-crashed")) in said
    # Serial per customer: the later one waited until the first was out of the way.
    assert [job.name for job in scene.told.jobs] == ["poison.csv"] * 3 + ["later.csv"]


@pytest.mark.parametrize("wait", [DataBusy("locked"), DataFull("no room")], ids=["busy", "full"])
def test_a_busy_database_or_a_full_disk_never_holds_a_delivery(
    scene: Scene, wait: TilldropError
) -> None:
    delivery = scene.arrive()
    scene.told.does = [wait] * 5
    with scene.running():
        final = scene.until_state(delivery, State.IMPORTED)
    assert final.attempts == 0
    assert len(scene.told.jobs) == 6


def test_another_customers_crash_does_not_hold_this_ones_files_up(scene: Scene) -> None:
    scene.base.configure({"acme": customer(), "best": customer("best")})
    settings = replace(scene.base.config.importer, retry_after_s=10_000.0)
    scene.base.config = replace(scene.base.config, importer=settings)
    waiting = scene.arrive("poison.csv", "acme")
    scene.told.does = [WorkerLost("killed")]
    with scene.running():
        scene.until(lambda: scene.one(waiting).attempts == 1)
        other = scene.arrive("fine.csv", "best")
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(other, State.IMPORTED)
    assert scene.one(waiting).state is State.ARRIVED


def test_a_customer_that_is_no_longer_configured_has_its_files_held(
    scene: Scene, said: list[tuple[str, tuple[object, ...]]]
) -> None:
    delivery = scene.arrive("sales.csv", "gone")
    with scene.running():
        held = scene.until_state(delivery, State.HELD)
    assert held.reason == "no-such-customer"
    assert scene.told.jobs == []
    assert said[0][0] == "delivery_held"


def test_a_bug_counts_as_a_crash_and_the_thread_goes_on(
    scene: Scene, said: list[tuple[str, tuple[object, ...]]]
) -> None:
    buggy, fine = scene.arrive("bug.csv"), scene.arrive("fine.csv")
    scene.told.does = [KeyError("bug")] * 3
    with scene.running():
        scene.until_state(buggy, State.HELD)
        scene.until_state(fine, State.IMPORTED)
    assert [event for event, _ in said].count("import_failed") == 3


def test_a_bug_between_two_imports_does_not_end_the_thread(
    scene: Scene,
    said: list[tuple[str, tuple[object, ...]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tilldrop.importer.dispatch.TROUBLE_S", 0.01)
    claim, failures = scene.base.ledger.claim, [KeyError("bug"), LedgerBusy("locked")]

    def claim_or_fail(*given: Any) -> Future[list[Delivery]]:
        if failures:
            raise failures.pop()
        return claim(*given)

    monkeypatch.setattr(scene.base.ledger, "claim", claim_or_fail)
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    assert [event for event, _ in said].count("importer_failed") == 1


def test_a_report_is_recorded_even_if_the_ledger_is_locked_at_first(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.importer.dispatch.TROUBLE_S", 0.01)
    record, failures = scene.base.ledger.record_report, [LedgerBusy("locked")] * 3

    def record_or_fail(report: Report, *, drops_bytes: bool) -> Future[Delivery]:
        if not failures:
            return record(report, drops_bytes=drops_bytes)
        refused: Future[Delivery] = Future()
        refused.set_exception(failures.pop())
        return refused

    monkeypatch.setattr(scene.base.ledger, "record_report", record_or_fail)
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
    assert len(scene.told.jobs) == 1


def test_bytes_that_cannot_be_moved_do_not_undo_the_import(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_delivery_id: str) -> None:
        raise SpoolFailed("no")

    monkeypatch.setattr(scene.base.spool, "keep", refuse)
    delivery = scene.arrive()
    with scene.running():
        scene.until_state(delivery, State.IMPORTED)
        other = scene.arrive("other.csv")
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(other, State.IMPORTED)
    assert scene.base.spool.is_arrived(delivery)


def test_bytes_that_could_not_be_put_away_are_put_away_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, refusals = scene.base.spool.keep, [SpoolFailed("no"), SpoolFailed("no"), OSError("no")]

    def refuse_first(delivery_id: str) -> None:
        if refusals:
            raise refusals.pop(0)
        keep(delivery_id)

    monkeypatch.setattr(scene.base.spool, "keep", refuse_first)
    delivery = scene.arrive()
    with scene.running():
        scene.until((scene.base.spool.kept / delivery).exists)
    assert refusals == []
    assert not scene.base.spool.is_arrived(delivery)


def test_a_stop_finishes_the_import_in_hand(scene: Scene) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(job: Job) -> Report:
        begun.set()
        assert go_on.wait(DEADLINE_S)
        return imported(job)

    scene.told.does = [slow]
    delivery, later = scene.arrive(), scene.arrive("later.csv")
    with scene.running():
        assert begun.wait(DEADLINE_S)
        scene.importer.stop()
        go_on.set()
    assert scene.one(delivery).state is State.IMPORTED
    assert scene.one(later).state is State.ARRIVED


def test_an_import_cut_short_by_the_stop_is_given_back_and_not_counted(scene: Scene) -> None:
    delivery = scene.arrive()

    def cut(_job: Job) -> Report:
        scene.importer.stop()
        lost: TilldropError = WorkerLost("the importer is stopping")
        raise lost

    scene.told.does = [cut]
    with scene.running():
        scene.until(lambda: len(scene.told.jobs) == 1)
    given_back = scene.one(delivery)
    assert (given_back.state, given_back.attempts) == (State.ARRIVED, 0)


def test_a_delivery_whose_file_is_not_in_place_yet_waits_for_its_ring(scene: Scene) -> None:
    begun = scene.base.ledger.begin("acme", "sales.csv", "sftp").result()
    (scene.base.spool.receiving / begun.id).write_bytes(BYTES)
    scene.base.ledger.move(begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
    with scene.running():
        other = scene.arrive("other.csv", "best")
        scene.bell.ring(Cause.SCAN)
        scene.until_state(other, State.HELD)  # not configured: it was looked at
        assert scene.one(begun.id).state is State.ARRIVED
        scene.base.spool.accept(begun.id)
        scene.bell.ring(Cause.WATCHDOG)
        scene.until_state(begun.id, State.IMPORTED)


def test_a_bug_met_with_several_jobs_leaves_none_of_them_undone(
    scene: Scene, said: list[tuple[str, tuple[object, ...]]]
) -> None:
    def fail(jobs: Sequence[Job]) -> list[Report]:
        raise KeyError(len(jobs))

    scene.told.run_all = fail  # type: ignore[method-assign]
    many = [scene.arrive(f"{number}.csv") for number in range(3)]
    with scene.running():
        for each in many:
            scene.until_state(each, State.IMPORTED)
    assert [job.delivery for job in scene.told.jobs] == many
    assert [scene.one(each).attempts for each in many] == [0, 0, 0]
    assert said[0][0] == "importer_failed"


def test_files_that_need_more_than_reading_are_not_imported_together(scene: Scene) -> None:
    together: list[list[str]] = []
    run_all = scene.told.run_all

    def noted(jobs: Sequence[Job]) -> list[Report]:
        together.append([job.name for job in jobs])
        return run_all(jobs)

    scene.told.run_all = noted  # type: ignore[method-assign]
    again = scene.arrive("again.csv")
    names = ["a.csv", "b.csv", "no-feed.txt", "c.csv", "d.csv", "again.csv", "e.csv", "d.csv"]
    with scene.running():
        scene.until_state(again, State.IMPORTED)
        many = [scene.arrive(name) for name in names]
        scene.bell.ring(Cause.SCAN)
        for each in many:
            scene.until_state(each, State.IMPORTED)
    # The latest import was again.csv: what is called so may be a duplicate, and so may d.csv.
    assert together == [["a.csv", "b.csv"], ["c.csv", "d.csv", "again.csv", "e.csv"]]
    assert [job.delivery for job in scene.told.jobs[1:]] == many
