"""The last step of an acknowledgement, for several uploads at the same time."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, spine
from tilldrop import spool as spool_module
from tilldrop.arrivals import Arrivals
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.errors import LedgerFailed, ShuttingDown, SpoolFailed, TilldropError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE_S = 20


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as base:
        yield base


def moved(built: Spine, name: str, *, has_file: bool = True) -> Future[Delivery]:
    begun = built.ledger.begin("acme", name, "sftp").result()
    if has_file:
        (built.spool.receiving / begun.id).write_bytes(b"x")
    return built.ledger.move(begun.id, State.RECEIVING, State.ARRIVED, Cause.CLOSE)


async def ends(arrivals: Arrivals, moves: list[Future[Delivery]]) -> list[Delivery | BaseException]:
    waiting = (arrivals.after(each) for each in moves)
    return await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE_S)


def test_those_that_wait_together_share_the_syncs_which_follow_all_renames(
    built: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    sync = spool_module._sync_folder

    def counted(folder: Path) -> None:
        synced.append((folder.name, len(list(built.spool.arrived.iterdir()))))
        sync(folder)

    monkeypatch.setattr(spool_module, "_sync_folder", counted)
    moves = [moved(built, f"{number}.csv") for number in range(5)]
    with ThreadPoolExecutor(1) as pool:
        all_wait = threading.Event()
        pool.submit(all_wait.wait, PATIENCE_S)
        arrivals = Arrivals(built.spool, pool)

        async def wait_for_all() -> list[Delivery | BaseException]:
            for each in moves:
                await asyncio.wrap_future(each)
            waiting = asyncio.ensure_future(ends(arrivals, moves))
            await asyncio.sleep(0)  # each of the five has begun to wait
            await asyncio.sleep(0)
            all_wait.set()
            return await waiting

        assert asyncio.run(wait_for_all()) == [each.result() for each in moves]
    assert synced == [("arrived", 5), ("receiving", 5)]


def test_one_whose_file_is_gone_or_whose_commit_failed_takes_no_other_along(built: Spine) -> None:
    refused: Future[Delivery] = Future()
    refused.set_exception(LedgerFailed("no"))
    gone, good = moved(built, "gone.csv", has_file=False), moved(built, "good.csv")
    with ThreadPoolExecutor(2) as pool:
        found = asyncio.run(ends(Arrivals(built.spool, pool), [gone, refused, good]))
    assert [type(one) for one in found] == [SpoolFailed, LedgerFailed, Delivery]
    assert built.spool.is_arrived(good.result().id)


def test_no_upload_is_acknowledged_if_the_folders_cannot_be_synced(
    built: Spine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise SpoolFailed(f"cannot sync {folder.name}")

    monkeypatch.setattr(spool_module, "_sync_folder", fail)
    moves = [moved(built, f"{number}.csv") for number in range(3)]
    with ThreadPoolExecutor(2) as pool:
        found = asyncio.run(ends(Arrivals(built.spool, pool), moves))
    assert [str(one) for one in found] == ["cannot sync arrived"] * 3


def test_all_who_come_after_the_end_are_told_so(built: Spine) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    arrivals = Arrivals(built.spool, pool)
    for number in range(2):
        [found] = asyncio.run(ends(arrivals, [moved(built, f"{number}.csv")]))
        assert isinstance(found, ShuttingDown)
        assert isinstance(found, TilldropError)
