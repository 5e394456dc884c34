"""What one customer may have in use, and that others do not feel it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, customer, spine
from tests.unit.test_visit import break_off, deliveries, play, send
from tilldrop import usage as module
from tilldrop.config import Limits
from tilldrop.config_limits import OwnLimits
from tilldrop.delivery import State
from tilldrop.errors import (
    StoredTooMuch,
    TooLarge,
    TooManyOpen,
    TooManySessions,
    TooManyUploads,
    UploadPoisoned,
)
from tilldrop.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.visit import Visit


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


def limit(built: Spine, **own: int) -> None:
    """Give acme limits of its own; rival has those for all."""
    acme = replace(customer(), limits=OwnLimits(**own))
    built.configure({"acme": acme, "rival": customer("rival")})


def test_own_limits_beat_those_for_all(built: Spine) -> None:
    limit(built, max_file_bytes=5, max_sessions=0)
    acme, rival = (built.intake.limits_of(one) for one in built.config.customers.values())
    assert (acme.max_file_bytes, acme.max_sessions) == (5, 0)
    assert (acme.max_open_files, rival) == (Limits().max_open_files, built.config.limits)


def test_file_size_and_open_files_are_the_customers_own(built: Spine) -> None:
    limit(built, max_file_bytes=10, max_open_files=1)

    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("a.csv", truncate=True)
        with pytest.raises(TooManyOpen):
            await visit.open_write("b.csv", truncate=True)
        with pytest.raises(TooLarge):
            await upload.write(0, b"x" * 11)
        rival = built.visit("rival")
        await send(rival, "a.csv", b"x" * 11)
        await rival.end()

    play(built, scene)


def test_stored_bytes_are_counted_over_files_and_open_uploads(built: Spine) -> None:
    limit(built, max_stored_bytes=100)

    async def scene(visit: Visit) -> None:
        await send(visit, "a.csv", b"x" * 40)
        one = await visit.open_write("b.csv", truncate=True)
        await one.write(0, b"x" * 40)
        two = await visit.open_write("c.csv", truncate=True)
        with pytest.raises(StoredTooMuch):
            await two.write(0, b"x" * 21)
        with pytest.raises(UploadPoisoned):
            await visit.finish(two)
        await one.write(40, b"x" * 20)
        await visit.finish(one)
        with pytest.raises(StoredTooMuch):
            await visit.open_write("d.csv", truncate=True)
        rival = built.visit("rival")
        await send(rival, "a.csv", b"x" * 101)
        await rival.end()

    play(built, scene)
    assert [one.state for one in deliveries(built, "b.csv")] == [State.ARRIVED]


def test_room_is_there_again_once_files_are_gone(
    built: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_WHEN_FULL_S", 0.0)
    monkeypatch.setattr(module, "LOOK_SHARE", 0)
    limit(built, max_stored_bytes=50)

    async def scene(visit: Visit) -> None:
        await send(visit, "a.csv", b"x" * 50)
        with pytest.raises(StoredTooMuch):
            await visit.open_write("b.csv", truncate=True)
        (delivery,) = deliveries(built, "a.csv")
        at = datetime.now(UTC)
        built.ledger.amend(delivery.id, delivery.state, bytes_gone_at=at).result()
        await send(visit, "b.csv", b"x" * 50)

    play(built, scene)


def test_what_is_resumed_is_not_counted_twice(built: Spine) -> None:
    limit(built, max_stored_bytes=100)

    async def scene(visit: Visit) -> None:
        await break_off(visit, "a.csv", b"x" * 60)
        upload = await visit.open_write("a.csv", truncate=False)
        await upload.write(60, b"x" * 40)
        await visit.finish(upload)

    play(built, scene)
    assert built.ledger.stored_bytes("acme") == 100


def test_uploads_of_a_day_are_counted_also_after_a_restart(built: Spine) -> None:
    limit(built, max_uploads_a_day=3)

    async def scene(visit: Visit) -> None:
        for name in ("a.csv", "b.csv", "c.csv"):
            await send(visit, name)
        with pytest.raises(TooManyUploads):
            await visit.open_write("d.csv", truncate=True)
        built.intake.usage = Usage(built.ledger)
        with pytest.raises(TooManyUploads):
            await visit.open_write("d.csv", truncate=True)
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        built.intake.usage = Usage(built.ledger, now=lambda: tomorrow)
        await send(visit, "d.csv")

    play(built, scene)


def test_empty_upload_and_its_second_opening_are_one(built: Spine) -> None:
    limit(built, max_uploads_a_day=1)

    async def scene(visit: Visit) -> None:
        await send(visit, "a.csv", b"")
        await send(visit, "a.csv", b"content")

    play(built, scene)


def test_sessions_are_counted_until_their_end(built: Spine) -> None:
    limit(built, max_sessions=2)
    acme = built.config.customers["acme"]

    async def scene(visit: Visit) -> None:
        second = built.visit()
        with pytest.raises(TooManySessions):
            built.intake.check_session(acme)
        built.intake.check_session(built.config.customers["rival"])
        await second.end()
        await second.end()
        built.intake.check_session(acme)
        folder = built.intake.visit(acme, "folder", "/in")  # nobody logged in for that
        built.intake.check_session(acme)
        await folder.end()
        assert visit.uploads_finished == 0

    play(built, scene)
    assert not built.intake.usage._sessions


def test_zero_is_no_limit(built: Spine) -> None:
    limit(built, max_stored_bytes=0, max_uploads_a_day=0, max_sessions=0, bandwidth_bytes_s=0)

    async def scene(visit: Visit) -> None:
        built.intake.check_session(visit.customer)
        for name in ("a.csv", "b.csv"):
            await send(visit, name)

    play(built, scene)


def test_bandwidth_is_shared_by_a_customers_uploads_and_holds_back_nobody_else(
    built: Spine,
) -> None:
    limit(built, bandwidth_bytes_s=200_000)
    took: dict[str, float] = {}

    async def timed(visit: Visit, name: str, size: int) -> None:
        began = time.monotonic()
        upload = await visit.open_write(name, truncate=True)
        for offset in range(0, size, 20_000):
            await upload.write(offset, b"x" * 20_000)
        await visit.finish(upload)
        took[name] = time.monotonic() - began

    async def scene(visit: Visit) -> None:
        rival = built.visit("rival")
        loop = asyncio.get_running_loop()
        stalls: list[float] = []

        async def watch() -> None:
            while True:
                before = loop.time()
                await asyncio.sleep(0.01)
                stalls.append(loop.time() - before - 0.01)

        watching = asyncio.create_task(watch())
        slow = [timed(visit, f"slow-{number}.csv", 200_000) for number in range(2)]
        await asyncio.gather(*slow, timed(rival, "quick.csv", 200_000))
        watching.cancel()
        await rival.end()
        assert max(stalls) < 0.5  # a busy machine; a second was slept in sessions

    play(built, scene)
    # 400,000 bytes at 200,000 a second, of which the first second's were free.
    assert max(took["slow-0.csv"], took["slow-1.csv"]) > 0.9
    assert took["quick.csv"] < max(took.values()) / 2
