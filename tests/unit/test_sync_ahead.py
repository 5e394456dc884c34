"""A large upload is synced while it comes in, and what fails then is not forgotten at its end."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, spine
from tilldrop.delivery import State
from tilldrop.errors import TilldropError
from tilldrop.upload import SYNC_AHEAD_BYTES, Upload

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = os.urandom(1024**2)
CHUNKS = 2 * SYNC_AHEAD_BYTES // len(CHUNK) + 3


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


async def write(upload: Upload, chunks: int) -> None:
    for number in range(chunks):
        await upload.write(upload.size_bytes, CHUNK[number:] + CHUNK[:number])


def test_large_upload_is_whole(built: Spine) -> None:
    async def session() -> None:
        visit = built.visit()
        upload = await visit.open_write("large.csv", truncate=True)
        await write(upload, CHUNKS)
        await visit.finish(upload)

    asyncio.run(session())
    [delivery] = built.ledger.find(customer="acme")
    assert delivery.state is State.ARRIVED
    whole = b"".join(CHUNK[number:] + CHUNK[:number] for number in range(CHUNKS))
    stored = built.spool.path_arrived(delivery.id).read_bytes()
    assert hashlib.sha256(stored).digest() == hashlib.sha256(whole).digest()


def test_sync_that_failed_on_the_way_refuses_the_end(built: Spine) -> None:
    async def session() -> None:
        visit = built.visit()
        upload = await visit.open_write("large.csv", truncate=True)
        real = os.dup(upload._descriptor)
        nowhere = os.open(os.devnull, os.O_RDWR)  # takes what is written, and cannot be synced
        os.dup2(nowhere, upload._descriptor)
        os.close(nowhere)
        # The second is begun once the first is known to have failed.
        with pytest.raises(TilldropError):
            await write(upload, CHUNKS)
        os.dup2(real, upload._descriptor)
        os.close(real)
        with pytest.raises(TilldropError):
            await visit.finish(upload)

    asyncio.run(session())
    [delivery] = built.ledger.find(customer="acme")
    assert delivery.state is State.BROKEN
