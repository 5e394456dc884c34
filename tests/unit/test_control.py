"""What an operator asks of the daemon, over the socket and by the verbs themselves."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.spine import Spine, claim_next, spine
from tilldrop import control, corrections
from tilldrop.config import Paths
from tilldrop.delivery import Cause, State
from tilldrop.errors import (
    ConfigInvalid,
    MoveRefused,
    NoLongerKept,
    NoSuchDelivery,
    NotRunning,
    TilldropError,
    UsageWrong,
)
from tilldrop.rows import Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.control import Verb

DEADLINE_S = 20


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


def arrive(base: Spine, who: str = "acme") -> str:
    begun = base.ledger.begin(who, "sales.csv", "sftp").result()
    (base.spool.receiving / begun.id).write_bytes(b"x")
    base.ledger.move(begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE).result()
    base.spool.accept(begun.id)
    return begun.id


def finish(
    base: Spine, outcome: Outcome = "imported", feed: str | None = "sales", who: str = "acme"
) -> str:
    delivery = record(base, arrive(base, who), outcome, feed)
    base.spool.keep(delivery)
    return delivery


def record(
    base: Spine, delivery: str, outcome: Outcome = "imported", feed: str | None = "sales"
) -> str:
    """Import a delivery, in the ledger alone."""
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.record_report(Report(delivery, 1, outcome, feed=feed)).result()
    return delivery


def state(base: Spine, delivery: str) -> State:
    return base.ledger.one(delivery).state


# -- the verbs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["imported", "rejected", "duplicate", "unclaimed"])
def test_a_replay_brings_a_finished_delivery_back_with_its_bytes(
    base: Spine, outcome: Outcome
) -> None:
    delivery = finish(base, outcome)
    place = base.ledger.one(delivery).arrival_seq
    assert corrections.replay(base.ledger, base.spool, [delivery]) == [delivery]
    assert state(base, delivery) is State.ARRIVED
    assert base.spool.is_arrived(delivery)
    assert base.ledger.one(delivery).arrival_seq == place


def test_a_replay_right_after_the_import_lets_the_bytes_be_put_away_first(base: Spine) -> None:
    delivery = record(base, arrive(base))
    with ThreadPoolExecutor(1) as thread:
        replaying = thread.submit(corrections.replay, base.ledger, base.spool, [delivery])
        with pytest.raises(TimeoutError):
            replaying.result(0.1)
        base.spool.keep(delivery)  # what the importer does last
        assert replaying.result(DEADLINE_S) == [delivery]
    assert state(base, delivery) is State.ARRIVED
    assert base.spool.is_arrived(delivery)


def test_a_replay_does_not_wait_for_ever_for_a_disk_that_moves_nothing(
    base: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corrections, "PUT_AWAY_WITHIN_S", 0.05)
    delivery = record(base, arrive(base))
    assert corrections.replay(base.ledger, base.spool, [delivery]) == [delivery]
    assert base.spool.is_arrived(delivery)


def test_replays_are_done_in_the_order_of_arrival(base: Spine) -> None:
    first, second, third = finish(base), finish(base), finish(base)
    assert corrections.replay(base.ledger, base.spool, [third, first, second, first]) == [
        first,
        second,
        third,
    ]


def test_one_that_cannot_be_replayed_leaves_the_others_alone(base: Spine) -> None:
    fine, waiting, gone = finish(base), arrive(base), finish(base)
    base.spool.drop(gone)
    with pytest.raises(MoveRefused, match="is arrived"):
        corrections.replay(base.ledger, base.spool, [fine, waiting])
    with pytest.raises(NoLongerKept):
        corrections.replay(base.ledger, base.spool, [fine, gone])
    with pytest.raises(NoSuchDelivery):
        corrections.replay(base.ledger, base.spool, [fine, "261121-000000-xxxxx"])
    assert state(base, fine) is State.IMPORTED


def test_what_to_replay_is_found_by_customer_feed_and_time(base: Spine) -> None:
    old = finish(base)
    later = base.ledger.one(old).began_at + timedelta(microseconds=1)
    other_feed, unclaimed = finish(base, feed="journal"), finish(base, "unclaimed", feed=None)
    finish(base, "duplicate")
    finish(base, who="best")
    arrive(base)
    find = corrections.select
    assert find(base.ledger, "acme").ids == [old, other_feed, unclaimed]
    assert find(base.ledger, "acme", feed="sales").ids == [old, unclaimed]
    assert find(base.ledger, "acme", since=later).ids == [other_feed, unclaimed]
    assert find(base.ledger, "nobody").ids == []


def test_a_held_delivery_is_passed_over_until_it_is_released(base: Spine) -> None:
    delivery = arrive(base)
    assert corrections.hold(base.ledger, [delivery]) == [delivery]
    assert claim_next(base.ledger, Cause.SCAN, base.spool.is_arrived) is None
    assert corrections.release(base.ledger, base.spool, [delivery]) == [delivery]
    claimed = claim_next(base.ledger, Cause.SCAN, base.spool.is_arrived)
    assert claimed is not None
    assert claimed.id == delivery


def test_a_released_delivery_has_all_its_attempts_again(base: Spine) -> None:
    delivery = arrive(base)
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.move(
        delivery, State.IMPORTING, State.HELD, Cause.CRASH, reason="import-crashed", attempts=3
    ).result()
    corrections.release(base.ledger, base.spool, [delivery])
    after = base.ledger.one(delivery)
    assert (after.attempts, after.not_before, after.reason) == (0, None, None)


def test_only_what_waits_is_held_and_only_what_is_held_is_released(base: Spine) -> None:
    delivery = finish(base)
    with pytest.raises(MoveRefused):
        corrections.hold(base.ledger, [delivery])
    with pytest.raises(MoveRefused):
        corrections.release(base.ledger, base.spool, [delivery])


def test_of_several_none_is_held_if_one_cannot_be(base: Spine) -> None:
    waiting, finished = arrive(base), finish(base)
    with pytest.raises(MoveRefused):
        corrections.hold(base.ledger, [waiting, finished])
    assert state(base, waiting) is State.ARRIVED


class Tasks:
    """Stands for the supervisor: notes what it is asked, and says what the test wants."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def task(self, what: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(what)
        return {"restored": 1, "removed": 2, "kept": ["a newer delivery wrote it"], "known": 3}


def test_a_customers_replay_is_one_and_bears_its_order(base: Spine) -> None:
    first, second, third = finish(base), finish(base), finish(base)
    chosen = corrections.select(base.ledger, "acme")
    corrections.replay_customer(base.ledger, base.spool, "acme", chosen)
    parts = [json.loads(str(base.ledger.one(each).replay)) for each in (first, second, third)]
    assert [(part["first"], part["last"], part["seqs"]) for part in parts] == [
        (True, False, [1, 2, 3]),
        (False, False, []),
        (False, True, []),
    ]
    with pytest.raises(MoveRefused, match="under way, 3 still"):
        corrections.replay_customer(base.ledger, base.spool, "acme", chosen)


def test_what_a_replay_cannot_have_any_more_is_told(base: Spine) -> None:
    gone, kept = finish(base), finish(base)
    never_booked = finish(base, "rejected")
    for each in (gone, never_booked):
        state_now = base.ledger.one(each).state
        base.ledger.amend(each, state_now, bytes_gone_at=base.clock()).result()
    selection = corrections.select(base.ledger, "acme")
    assert [one.id for one in selection.chosen] == [kept]
    assert [one.id for one in selection.gone] == [gone]


def test_what_was_taken_back_and_companions_are_no_part_of_a_replay(base: Spine) -> None:
    taken_back, kept = finish(base), finish(base)
    finish(base, feed="sales:companion")
    corrections.undo(base.ledger, base.spool, Tasks(), [base.config.paths.data], taken_back)
    assert corrections.select(base.ledger, "acme").ids == [kept]


def test_an_undo_asks_for_each_database_and_rejects_the_delivery(base: Spine) -> None:
    delivery, tasks = finish(base), Tasks()
    paths = base.config.paths
    done = corrections.undo(base.ledger, base.spool, tasks, [paths.sandbox, paths.data], delivery)
    assert [(asked["data_path"], asked["elsewhere"]) for asked in tasks.asked] == [
        (str(paths.sandbox), None),
        (str(paths.data), 3),
    ]
    assert tasks.asked[0]["arrival_seq"] == 1
    assert (done["restored"], done["removed"], len(done["kept"])) == (2, 4, 2)
    after = base.ledger.one(delivery)
    assert (after.state, after.reason) == (State.REJECTED, "undone")
    with pytest.raises(MoveRefused, match="booked nothing"):
        corrections.undo(base.ledger, base.spool, tasks, [paths.data], delivery)


def hold_for_control(base: Spine) -> str:
    delivery = arrive(base)
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.record_report(Report(delivery, 1, "held", reason="control-differs")).result()
    return delivery


def test_an_undo_of_what_is_held_only_rejects_it(base: Spine) -> None:
    delivery, tasks = hold_for_control(base), Tasks()
    corrections.undo(base.ledger, base.spool, tasks, [base.config.paths.data], delivery)
    assert (state(base, delivery), tasks.asked) == (State.REJECTED, [])
    assert (base.spool.kept / delivery).exists()


@pytest.mark.parametrize("then", [State.HELD, State.REJECTED, State.UNCLAIMED])
def test_what_an_earlier_run_booked_is_taken_back_after_a_replay_that_booked_nothing(
    base: Spine, then: State
) -> None:
    tasks = Tasks()
    delivery = finish(base)
    corrections.replay(base.ledger, base.spool, [delivery])
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.move(delivery, State.IMPORTING, then, Cause.REPORT).result()
    done = corrections.undo(base.ledger, base.spool, tasks, [base.config.paths.data], delivery)
    assert (done["removed"], len(tasks.asked)) == (2, 1)
    assert state(base, delivery) is State.REJECTED
    with pytest.raises(MoveRefused):
        corrections.undo(base.ledger, base.spool, tasks, [base.config.paths.data], delivery)


def test_a_replay_waits_for_an_undo_that_is_under_way(base: Spine) -> None:
    delivery = finish(base)
    begun, may_end = threading.Event(), threading.Event()

    class Slow(Tasks):
        def task(self, what: dict[str, Any]) -> dict[str, Any]:
            begun.set()
            assert may_end.wait(DEADLINE_S)
            return super().task(what)

    async def scene() -> None:
        base.config.paths.data.touch()
        beneath = (base.ledger, base.spool, Slow(), lambda: base.config)
        verbs = control.delivery_verbs(*beneath, lambda _: None)
        undoing = asyncio.ensure_future(verbs["undo"]({"id": delivery}))
        await asyncio.to_thread(begun.wait, DEADLINE_S)
        replaying = asyncio.ensure_future(verbs["replay"]({"ids": [delivery]}))
        await asyncio.wait({replaying}, timeout=0.1)  # enough, if it did not wait
        may_end.set()
        await undoing
        await replaying

    asyncio.run(scene())
    assert [move.after for move in base.ledger.moves(delivery)][-2:] == ["rejected", "arrived"]


def test_a_customers_replay_includes_what_is_being_imported_by_the_former_mapping(
    base: Spine,
) -> None:
    delivery = arrive(base)
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()

    async def scene() -> object:
        beneath = (base.ledger, base.spool, Tasks(), lambda: base.config)
        verbs = control.delivery_verbs(*beneath, lambda _: None)
        replaying = asyncio.ensure_future(verbs["replay"]({"customer": "acme"}))
        await asyncio.wait({replaying}, timeout=0.1)  # enough, if it did not wait
        base.ledger.record_report(Report(delivery, 1, "imported", feed="sales")).result()
        base.spool.keep(delivery)
        return await replaying

    assert asyncio.run(scene()) == {"deliveries": [delivery]}


def test_a_replay_begins_with_the_first_that_is_imported_and_ends_by_an_undo_too(
    base: Spine,
) -> None:
    first, second, last = finish(base), finish(base), finish(base)
    chosen = corrections.select(base.ledger, "acme")
    corrections.replay_customer(base.ledger, base.spool, "acme", chosen)
    begins = base.ledger.one(first).replay
    corrections.hold(base.ledger, [first, last])
    parts = [json.loads(str(base.ledger.one(each).replay)) for each in (first, second, last)]
    assert [part["first"] for part in parts] == [False, True, False]
    assert parts[1]["seqs"] == json.loads(str(begins))["seqs"]
    tasks = Tasks()
    corrections.undo(base.ledger, base.spool, tasks, [base.config.paths.data], last)
    assert [asked["ends_replay"] for asked in tasks.asked] == [True]


def test_a_release_accepts_the_figures_and_a_replay_looks_at_them_again(base: Spine) -> None:
    released, replayed = hold_for_control(base), hold_for_control(base)
    corrections.release(base.ledger, base.spool, [released])
    corrections.replay(base.ledger, base.spool, [replayed])
    assert [base.ledger.one(each).accepted for each in (released, replayed)] == [1, 0]
    assert state(base, replayed) is State.ARRIVED


def test_a_release_of_what_was_held_by_hand_accepts_nothing(base: Spine) -> None:
    delivery = arrive(base)
    corrections.hold(base.ledger, [delivery])
    corrections.release(base.ledger, base.spool, [delivery])
    assert base.ledger.one(delivery).accepted == 0


# -- the socket ----------------------------------------------------------------------------------


@contextmanager
def listening(paths: Paths, verbs: dict[str, Verb]) -> Iterator[None]:
    """Serve the verbs from a thread of its own, as the daemon's loop does."""
    paths.run.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    served = control.Control(paths.run, verbs)
    asyncio.run_coroutine_threadsafe(served.start(), loop).result(DEADLINE_S)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(served.stop(), loop).result(DEADLINE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "var")


async def echo(request: dict[str, Any]) -> object:
    return request


def test_an_answer_comes_back_as_it_was_given(paths: Paths) -> None:
    with listening(paths, {"echo": echo}):
        asked = {"ids": ["a", "ü\n"], "since": None, "customer": "acme"}
        assert control.ask(paths, "echo", **asked) == asked


@pytest.mark.parametrize(
    "error", [ConfigInvalid("one\ntwo"), NoSuchDelivery("what?")], ids=["config", "delivery"]
)
def test_a_known_error_is_raised_where_it_was_asked(paths: Paths, error: TilldropError) -> None:
    async def refuse(_request: dict[str, Any]) -> object:
        raise error

    with listening(paths, {"refuse": refuse}), pytest.raises(type(error)) as caught:
        control.ask(paths, "refuse")
    assert str(caught.value) == str(error)


def test_a_bug_is_told_without_its_inside_and_the_daemon_goes_on(paths: Paths) -> None:
    async def trip(_request: dict[str, Any]) -> object:
        raise KeyError("inside")

    with listening(paths, {"trip": trip, "echo": echo}):
        with pytest.raises(TilldropError, match="a bug was met") as caught:
            control.ask(paths, "trip")
        assert "inside" not in str(caught.value)
        assert control.ask(paths, "echo") == {}


def test_an_unknown_verb_is_refused(paths: Paths) -> None:
    with listening(paths, {}), pytest.raises(UsageWrong):
        control.ask(paths, "dance")


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[1]\n",
        b"\xff\n",
        b'{"do": ["echo"]}\n',
        b'{"do": "echo", "ids": "a"}\n',
        b'{"do": "echo", "ids": [["a"]]}\n',
        b'{"do": "echo", "customer": ["acme"]}\n',
        b'{"do": "echo", "since": 5}\n',
        b'{"do": "echo", "sudo": "yes"}\n',
    ],
)
def test_what_is_no_request_is_refused(paths: Paths, line: bytes) -> None:
    with listening(paths, {"echo": echo}), socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(DEADLINE_S)
        asking.connect(str(paths.run / control.SOCKET))
        asking.sendall(line)
        answer = json.loads(asking.makefile("rb").readline())
    assert answer["error"] == "usage-wrong"


def test_without_a_daemon_the_answer_is_that_none_runs(paths: Paths) -> None:
    with pytest.raises(NotRunning):
        control.ask(paths, "status")
    with listening(paths, {}):
        pass
    with pytest.raises(NotRunning):
        control.ask(paths, "status")


def test_a_socket_that_a_killed_daemon_left_is_taken_over(paths: Paths) -> None:
    paths.run.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(paths.run / control.SOCKET))
    with pytest.raises(NotRunning):
        control.ask(paths, "echo")
    with listening(paths, {"echo": echo}):
        assert control.ask(paths, "echo") == {}


def test_only_the_owner_may_ask(paths: Paths) -> None:
    with listening(paths, {}):
        mode = (paths.run / control.SOCKET).stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_home_with_a_long_path_has_a_socket_too(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    paths = Paths(deep, deep / "var")
    with listening(paths, {"echo": echo}):
        assert control.ask(paths, "echo") == {}


# -- the verbs over the socket -------------------------------------------------------------------


def test_deliveries_are_replayed_held_and_released_over_the_socket(
    base: Spine, paths: Paths
) -> None:
    rings: list[Cause] = []
    verbs = control.delivery_verbs(
        base.ledger, base.spool, Tasks(), lambda: base.config, rings.append
    )
    first, second = finish(base), finish(base, feed="journal")
    with listening(paths, verbs):
        assert control.ask(paths, "replay", customer="acme", feed="journal") == {
            "deliveries": [second]
        }
        assert control.ask(paths, "replay", ids=(first,)) == {"deliveries": [first]}
        assert control.ask(paths, "hold", ids=[first]) == {"deliveries": [first]}
        assert control.ask(paths, "release", ids=[first]) == {"deliveries": [first]}
    # No file moves at the release or at a replay of what is held, so no watch will ring.
    assert rings == [Cause.REPLAY, Cause.REPLAY, Cause.OPERATOR]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "no-such-customer"),
        ({"customer": "nobody"}, "no-such-customer"),
        ({"customer": "acme", "feed": "none"}, "usage-wrong"),
        ({"customer": "acme", "since": "yesterday"}, "usage-wrong"),
        ({"ids": "abc"}, "usage-wrong"),
        ({"ids": [1]}, "usage-wrong"),
        ({"ids": ["261121-000000-xxxxx"]}, "no-such-delivery"),
    ],
)
def test_a_replay_of_what_is_not_there_is_refused(
    base: Spine, paths: Paths, asked: dict[str, object], code: str
) -> None:
    verbs = control.delivery_verbs(
        base.ledger, base.spool, Tasks(), lambda: base.config, lambda _: None
    )
    with listening(paths, verbs), pytest.raises(TilldropError) as caught:
        control.ask(paths, "replay", **asked)
    assert caught.value.code == code
