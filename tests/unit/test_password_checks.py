"""Whose password is checked when: a flood of guesses keeps nobody waiting who is known."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, cast

import pytest

from tilldrop.config_guard import GuardSettings
from tilldrop.guard import Guard, Offence, Pass
from tilldrop.password_checks import CHECKS_AT_ONCE, STRANGERS_NICE, PasswordChecks

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from tilldrop.customers import Customers

KNOWN = "192.0.2.7"
SUSPECT = "192.0.2.66"
WITHIN_S = 20


class Slow:
    """Customers whose passwords take until they are let through."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.checked: list[str] = []
        self.nice: dict[str, int] = {}

    def check_password(self, name: str, _password: str, peer: str) -> None:
        self.checked.append(name)
        self.nice[name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        if peer != KNOWN:
            assert self.go_on.wait(WITHIN_S)


class Scene:
    """Checks of slow passwords, behind a guard that knows one source and suspects another."""

    def __init__(self) -> None:
        guard = Guard(GuardSettings)
        known = guard.admit(KNOWN)
        assert isinstance(known, Pass)
        known.note_login()
        guard.penalise(SUSPECT, Offence.FAILED_LOGIN)
        self.customers = Slow()
        self.checks = PasswordChecks(cast("Customers", self.customers), guard)

    async def begin(self, name: str, peer: str) -> asyncio.Task[object]:
        begun: asyncio.Task[object] = asyncio.create_task(
            self.checks.customer_of(name, "secret", peer)
        )
        await asyncio.sleep(0)  # it has taken its place
        return begun

    async def fill(self) -> list[asyncio.Task[object]]:
        """Take all of the strangers' turns."""
        return [await self.begin(f"first{n}", f"198.51.100.{n}") for n in range(CHECKS_AT_ONCE)]


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.customers.go_on.set()
    made.checks.close()


def within(work: Coroutine[object, object, None]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(WITHIN_S):
            await work

    asyncio.run(timed())


def test_known_source_does_not_wait_for_strangers(scene: Scene) -> None:
    async def live() -> None:
        first = await scene.fill()
        await (await scene.begin("known", KNOWN))
        assert not any(one.done() for one in first)
        scene.customers.go_on.set()
        await asyncio.gather(*first)

    within(live())


def test_suspects_come_after_all_other_strangers(scene: Scene) -> None:
    async def live() -> None:
        tasks = await scene.fill()
        tasks.append(await scene.begin("suspect", SUSPECT))
        tasks.append(await scene.begin("stranger", "203.0.113.1"))
        scene.customers.go_on.set()
        await asyncio.gather(*tasks)

    within(live())
    order = scene.customers.checked
    assert set(order[:-2]) == {f"first{n}" for n in range(CHECKS_AT_ONCE)}
    assert order[-2:] == ["stranger", "suspect"]


def test_who_goes_before_its_turn_is_not_checked_and_keeps_no_turn(scene: Scene) -> None:
    async def live() -> None:
        tasks = await scene.fill()
        gone = await scene.begin("gone", "203.0.113.1")
        late = await scene.begin("late", "203.0.113.2")
        gone.cancel()
        scene.customers.go_on.set()
        await asyncio.gather(*tasks, late)
        for again in range(2 * CHECKS_AT_ONCE):
            await (await scene.begin(f"again{again}", "203.0.113.3"))

    within(live())
    assert "gone" not in scene.customers.checked


def test_turn_is_not_lost_with_one_who_goes_as_it_comes(scene: Scene) -> None:
    async def live() -> None:
        tasks = await scene.fill()
        going = await scene.begin("going", "203.0.113.1")
        scene.customers.go_on.set()
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        going.cancel()
        await asyncio.gather(*tasks, going, return_exceptions=True)
        await (await scene.begin("next", "203.0.113.2"))

    within(live())
    assert "next" in scene.customers.checked


def test_strangers_threads_give_way(scene: Scene) -> None:
    async def live() -> None:
        scene.customers.go_on.set()
        await (await scene.begin("known", KNOWN))
        await (await scene.begin("stranger", "203.0.113.1"))

    within(live())
    assert scene.customers.nice == {"known": os.nice(0), "stranger": STRANGERS_NICE}


def test_strangers_are_checked_where_threads_may_not_give_way(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    async def live() -> None:
        scene.customers.go_on.set()
        await (await scene.begin("stranger", "203.0.113.1"))

    monkeypatch.setattr(os, "setpriority", refuse)
    within(live())
    assert scene.customers.checked == ["stranger"]
