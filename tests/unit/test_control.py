"""What an operator asks of the daemon, over the socket and by the verbs themselves."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.spine import Spine, spine
from tilldrop import control
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
    delivery = arrive(base, who)
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.record_report(Report(delivery, 1, outcome, feed=feed)).result()
    base.spool.keep(delivery)
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
    assert control.replay(base.ledger, base.spool, [delivery]) == [delivery]
    assert state(base, delivery) is State.ARRIVED
    assert base.spool.is_arrived(delivery)
    assert base.ledger.one(delivery).arrival_seq == place


def test_replays_are_done_in_the_order_of_arrival(base: Spine) -> None:
    first, second, third = finish(base), finish(base), finish(base)
    assert control.replay(base.ledger, base.spool, [third, first, second, first]) == [
        first,
        second,
        third,
    ]


def test_one_that_cannot_be_replayed_leaves_the_others_alone(base: Spine) -> None:
    fine, waiting, gone = finish(base), arrive(base), finish(base)
    base.spool.drop(gone)
    with pytest.raises(MoveRefused, match="is arrived"):
        control.replay(base.ledger, base.spool, [fine, waiting])
    with pytest.raises(NoLongerKept):
        control.replay(base.ledger, base.spool, [fine, gone])
    with pytest.raises(NoSuchDelivery):
        control.replay(base.ledger, base.spool, [fine, "261121-000000-xxxxx"])
    assert state(base, fine) is State.IMPORTED


def test_what_to_replay_is_found_by_customer_feed_and_time(base: Spine) -> None:
    old = finish(base)
    later = base.ledger.one(old).began_at + timedelta(microseconds=1)
    other_feed, unclaimed = finish(base, feed="journal"), finish(base, "unclaimed", feed=None)
    finish(base, "duplicate")
    finish(base, who="best")
    arrive(base)
    find = control.to_replay
    assert find(base.ledger, "acme") == [old, other_feed, unclaimed]
    assert find(base.ledger, "acme", feed="sales") == [old, unclaimed]
    assert find(base.ledger, "acme", since=later) == [other_feed, unclaimed]
    assert find(base.ledger, "nobody") == []


def test_a_held_delivery_is_passed_over_until_it_is_released(base: Spine) -> None:
    delivery = arrive(base)
    assert control.hold(base.ledger, [delivery]) == [delivery]
    assert base.ledger.claim_next(Cause.SCAN, base.spool.is_arrived) is None
    assert control.release(base.ledger, base.spool, [delivery]) == [delivery]
    claimed = base.ledger.claim_next(Cause.SCAN, base.spool.is_arrived)
    assert claimed is not None
    assert claimed.id == delivery


def test_a_released_delivery_has_all_its_attempts_again(base: Spine) -> None:
    delivery = arrive(base)
    base.ledger.move(delivery, State.ARRIVED, State.IMPORTING, Cause.SCAN).result()
    base.ledger.move(
        delivery, State.IMPORTING, State.HELD, Cause.CRASH, reason="import-crashed", attempts=3
    ).result()
    control.release(base.ledger, base.spool, [delivery])
    after = base.ledger.one(delivery)
    assert (after.attempts, after.not_before, after.reason) == (0, None, None)


def test_only_what_waits_is_held_and_only_what_is_held_is_released(base: Spine) -> None:
    delivery = finish(base)
    with pytest.raises(MoveRefused):
        control.hold(base.ledger, [delivery])
    with pytest.raises(MoveRefused):
        control.release(base.ledger, base.spool, [delivery])


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
        assert control.ask(paths, "echo", ids=["a"], deep={"b": None}) == {
            "ids": ["a"],
            "deep": {"b": None},
        }


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


@pytest.mark.parametrize("line", [b"\n", b"not json\n", b"[1]\n", b"\xff\n"])
def test_what_is_no_request_is_refused(paths: Paths, line: bytes) -> None:
    with listening(paths, {}), socket.socket(socket.AF_UNIX) as asking:
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
    verbs = control.delivery_verbs(base.ledger, base.spool, lambda: base.config, rings.append)
    first, second = finish(base), finish(base, feed="journal")
    with listening(paths, verbs):
        assert control.ask(paths, "replay", customer="acme", feed="journal") == {
            "deliveries": [second]
        }
        assert control.ask(paths, "replay", ids=(first,)) == {"deliveries": [first]}
        assert control.ask(paths, "hold", ids=[first]) == {"deliveries": [first]}
        assert control.ask(paths, "release", ids=[first]) == {"deliveries": [first]}
    assert rings == [Cause.OPERATOR]  # no file moved at the release, so no watch will ring


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
    verbs = control.delivery_verbs(base.ledger, base.spool, lambda: base.config, lambda _: None)
    with listening(paths, verbs), pytest.raises(TilldropError) as caught:
        control.ask(paths, "replay", **asked)
    assert caught.value.code == code
