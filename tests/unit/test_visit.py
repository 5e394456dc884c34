"""A session's requests against a real ledger and a real spool.

Longer than most, since every request of the view stands here in one order.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, claim_next, customer, spine
from tilldrop import delivery as delivery_module
from tilldrop.delivery import Cause, Ids, State
from tilldrop.errors import (
    DeliveredStays,
    FolderFixed,
    MoveRefused,
    NoSuchFile,
    ReadOnly,
    SeekRefused,
    ShuttingDown,
    SpoolFailed,
    SpoolFull,
    TooLarge,
    TooManyOpen,
    UploadBroken,
    UploadHasGaps,
    UploadPoisoned,
    UploadTaken,
)
from tilldrop.rows import Report
from tilldrop.view import Resume

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tilldrop.delivery import Delivery
    from tilldrop.visit import Visit


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        yield made


def play(built: Spine, scene: Callable[[Visit], Coroutine[object, object, None]]) -> None:
    """Run one session from its beginning to its end."""

    async def session() -> None:
        visit = built.visit()
        try:
            await scene(visit)
        finally:
            await visit.end()

    asyncio.run(session())


async def send(visit: Visit, name: str, content: bytes = b"a,b\n1,2\n") -> None:
    upload = await visit.open_write(name, truncate=True)
    await upload.write(0, content)
    await visit.finish(upload)


async def break_off(visit: Visit, name: str, content: bytes) -> None:
    upload = await visit.open_write(name, truncate=True)
    await upload.write(0, content)
    await visit.abandon(upload)


async def read(visit: Visit, name: str) -> bytes:
    reader = await visit.open_read(name)
    content = await reader.read(0, 1_000_000)
    await reader.close()
    return content


def deliveries(built: Spine, name: str) -> list[Delivery]:
    return sorted(built.ledger.find(name=name), key=lambda d: d.began_at)


def test_an_acknowledged_upload_is_in_arrived_and_in_the_ledger(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"content")
        (delivery,) = deliveries(built, "sales.csv")
        assert delivery.state is State.ARRIVED
        assert delivery.size_bytes == 7
        assert built.spool.path_arrived(delivery.id).read_bytes() == b"content"
        assert await read(visit, "/sales.csv") == b"content"
        assert (await visit.stat("sales.csv")).size_bytes == 7

    play(built, scene)


def test_a_second_upload_of_a_name_is_a_second_delivery(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"one")
        await send(visit, "sales.csv", b"three")
        assert [d.state for d in deliveries(built, "sales.csv")] == [State.ARRIVED] * 2
        assert await read(visit, "sales.csv") == b"three"

    play(built, scene)


def test_uploads_at_the_same_time_are_apart_and_the_last_to_finish_is_shown(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        other = built.visit()
        first = await visit.open_write("sales.csv", truncate=True)
        second = await other.open_write("sales.csv", truncate=True)
        await first.write(0, b"first, longer")
        await second.write(0, b"second")
        await other.finish(second)
        assert (await other.stat("sales.csv")).size_bytes == 6
        assert (await visit.stat("sales.csv")).size_bytes == 13  # its own
        await visit.finish(first)
        assert await read(other, "sales.csv") == b"first, longer"
        await other.end()

    play(built, scene)


def test_a_session_that_ends_leaves_its_open_upload_broken(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"half of i")

    play(built, scene)
    (delivery,) = deliveries(built, "sales.csv")
    assert (delivery.state, delivery.size_bytes) == (State.BROKEN, 9)


def test_a_broken_upload_is_resumed_where_it_broke(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await break_off(visit, "sales.csv", b"hello, ")
        assert (await visit.stat("sales.csv")).size_bytes == 7
        upload = await visit.open_write("sales.csv", truncate=False, offset=7)
        await upload.write(7, b"world")
        await visit.finish(upload)
        assert await read(visit, "sales.csv") == b"hello, world"
        (delivery,) = deliveries(built, "sales.csv")
        assert delivery.state is State.ARRIVED

    play(built, scene)


def test_a_resumption_that_fails_leaves_the_upload_broken(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await break_off(visit, "sales.csv", b"0123")
        (delivery,) = deliveries(built, "sales.csv")
        bytes_there = built.spool.receiving / delivery.id
        bytes_there.rename(bytes_there.with_suffix(".away"))
        with pytest.raises(SpoolFailed):
            await visit.open_write("sales.csv", truncate=False)
        bytes_there.with_suffix(".away").rename(bytes_there)
        upload = await visit.open_write("sales.csv", truncate=False)
        assert upload.size_bytes == 4

    play(built, scene)


def test_what_was_delivered_is_never_gone_on_with_from_bytes_that_are_gone(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"monday\n")
        (delivered,) = deliveries(built, "sales.csv")
        upload = await visit.open_write("sales.csv", truncate=False, append=True)
        built.spool.drop(delivered.id)  # as retention may, at that moment
        with pytest.raises(SpoolFailed):
            await upload.write(0, b"tuesday\n")
        with pytest.raises(UploadPoisoned):
            await visit.finish(upload)
        assert deliveries(built, "sales.csv")[1].state is State.BROKEN

    play(built, scene)


def test_two_sessions_cannot_resume_the_same_upload(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await break_off(visit, "sales.csv", b"hello, ")
        (delivery,) = deliveries(built, "sales.csv")
        other = built.visit()
        both_saw = Resume(delivery, keep_bytes=7)  # before either took it
        await other.open_write("sales.csv", truncate=False)
        with pytest.raises(UploadTaken):
            await visit._resume("sales.csv", both_saw)
        await other.end()
        assert built.ledger.one(delivery.id).state is State.BROKEN

    play(built, scene)


def test_only_the_part_before_a_hole_counts_as_stored(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"0123")
        await upload.write(8, b"89")
        (receiving,) = deliveries(built, "sales.csv")
        assert receiving.gap_from == 4  # known before the hole exists, for a crash
        with pytest.raises(UploadHasGaps):
            await visit.finish(upload)
        (delivery,) = deliveries(built, "sales.csv")
        assert (delivery.state, delivery.size_bytes, delivery.gap_from) == (State.BROKEN, 4, None)
        assert (built.spool.receiving / delivery.id).read_bytes() == b"0123"

    play(built, scene)


def test_writes_in_any_order_make_a_whole_file(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        for offset, chunk in ((4, b"45"), (0, b"01"), (6, b"67"), (2, b"23")):
            await upload.write(offset, chunk)
        await visit.finish(upload)
        assert await read(visit, "sales.csv") == b"01234567"

    play(built, scene)


def test_going_on_with_a_delivered_file_seeds_a_new_delivery(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"monday\n")
        upload = await visit.open_write("sales.csv", truncate=False, append=True)
        await upload.write(0, b"tuesday\n")
        await visit.finish(upload)
        assert await read(visit, "sales.csv") == b"monday\ntuesday\n"
        first, second = deliveries(built, "sales.csv")
        assert built.spool.path_arrived(first.id).read_bytes() == b"monday\n"
        assert second.size_bytes == 15

    play(built, scene)


def test_opening_a_delivered_file_without_writing_delivers_nothing(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"monday\n")
        upload = await visit.open_write("sales.csv", truncate=False)
        upload.mtime = 86_400
        await visit.finish(upload)
        assert [d.state for d in deliveries(built, "sales.csv")] == [State.ARRIVED, State.BROKEN]
        entry = await visit.stat("sales.csv")
        assert (entry.size_bytes, entry.mtime) == (7, 86_400)

    play(built, scene)


def test_an_empty_upload_waits_for_its_second_open(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"")
        (waiting,) = deliveries(built, "sales.csv")
        assert (waiting.state, waiting.reason) == (State.WAITING, "empty")
        await send(visit, "sales.csv", b"content")
        (delivery,) = deliveries(built, "sales.csv")
        assert (delivery.id, delivery.state) == (waiting.id, State.ARRIVED)

    play(built, scene)


@pytest.mark.parametrize("temporary", ["sales.csv.filepart", ".in.sales.csv.", "sales.csv.part"])
def test_a_rename_from_a_temporary_name_is_the_end(built: Spine, temporary: str) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"yesterday")
        await send(visit, temporary, b"today")
        assert [d.state for d in deliveries(built, temporary)] == [State.WAITING]
        await visit.remove("sales.csv")  # makes room, as upload programs do: answered OK
        await visit.rename(temporary, "sales.csv")
        assert await read(visit, "sales.csv") == b"today"
        assert [d.state for d in deliveries(built, "sales.csv")] == [State.ARRIVED] * 2
        with pytest.raises(NoSuchFile):
            await visit.stat(temporary)

    play(built, scene)


def test_temporary_names_can_be_final_if_the_customer_says_so(built: Spine) -> None:
    built.configure({"acme": customer(finishing_rename=False)})

    async def scene(visit: Visit) -> None:
        await send(visit, "sales.tmp")
        assert [d.state for d in deliveries(built, "sales.tmp")] == [State.ARRIVED]

    play(built, scene)


def test_a_broken_upload_cannot_take_its_final_name(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await break_off(visit, "sales.csv.part", b"half")
        with pytest.raises(UploadBroken):
            await visit.rename("sales.csv.part", "sales.csv")

    play(built, scene)


def test_delivered_files_can_be_neither_renamed_nor_removed(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv", b"content")
        with pytest.raises(DeliveredStays):
            await visit.rename("sales.csv", "other.csv")
        with pytest.raises(DeliveredStays):
            await visit.remove("sales.csv")
        assert await read(visit, "sales.csv") == b"content"

    play(built, scene)


def test_an_unfinished_upload_may_be_discarded(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv.part", b"wait")
        await break_off(visit, "stock.csv", b"brok")
        for name in ("sales.csv.part", "stock.csv"):
            await visit.remove(name)
            with pytest.raises(NoSuchFile):
                await visit.stat(name)
        assert built.spool.strays(built.spool.receiving) == []

    play(built, scene)


def test_folders_and_receipts_are_fixed(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        names = [entry.name for entry in await visit.entries("/")]
        assert names == ["receipts", "transactions"]
        for path in ("transactions", "receipts", "/"):
            with pytest.raises(FolderFixed):
                await visit.remove(path)
        with pytest.raises(FolderFixed):
            await visit.refuse_folder_change("new")
        with pytest.raises(ReadOnly):
            await visit.open_write("receipts/x.txt", truncate=True)

    play(built, scene)


def test_the_shown_time_is_the_one_the_client_set(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv")
        await visit.set_mtime("sales.csv", 1_000_000)
        assert (await visit.stat("sales.csv")).mtime == 1_000_000
        (listed,) = [e for e in await visit.entries("") if e.name == "sales.csv"]
        assert listed.mtime == 1_000_000

    play(built, scene)


def test_a_receipt_is_listed_and_read_by_its_customer_alone(built: Spine) -> None:
    built.configure({name: customer(name) for name in ("acme", "rival")})

    async def scene(visit: Visit) -> None:
        await send(visit, "sales.csv")
        (delivery,) = deliveries(built, "sales.csv")
        claim_next(built.ledger, Cause.WATCHDOG, lambda _: True)
        built.ledger.record_report(Report(delivery.id, 1, "imported")).result()
        (entry,) = await visit.entries("receipts")
        assert entry.name == f"sales.csv.{delivery.id}.txt"
        text = await read(visit, f"receipts/{entry.name}")
        assert len(text) == entry.size_bytes
        assert b"sales.csv" in text
        rival = built.visit("rival")
        assert await rival.entries("receipts") == []
        with pytest.raises(NoSuchFile):
            await rival.stat(f"receipts/{entry.name}")
        with pytest.raises(NoSuchFile):
            await rival.stat("sales.csv")

    play(built, scene)


def test_a_failed_write_poisons_the_upload(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"some bytes")
        built.spool.reserve_bytes = 1 << 60  # the disk is full from here on
        with pytest.raises(SpoolFull):
            await visit.finish(upload)
        built.spool.reserve_bytes = 0
        with pytest.raises((UploadPoisoned, SpoolFailed)):
            await upload.write(10, b"more")
        assert [d.state for d in deliveries(built, "sales.csv")] == [State.BROKEN]
        with pytest.raises(NoSuchFile):  # what is on disk cannot be told, so nothing is resumed
            await visit.stat("sales.csv")

    play(built, scene)


def test_a_ledger_that_cannot_commit_means_no_acknowledgement(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"some bytes")
        built.ledger.move(
            upload.delivery_id, State.RECEIVING, State.BROKEN, Cause.OPERATOR
        ).result()
        with pytest.raises(MoveRefused, match="is broken, not receiving"):
            await visit.finish(upload)
        assert built.spool.strays(built.spool.arrived) == []

    play(built, scene)


def test_limits_are_kept(tmp_path: Path) -> None:
    with spine(tmp_path, max_file_bytes=10, max_open_files=2) as built:

        async def scene(visit: Visit) -> None:
            upload = await visit.open_write("sales.csv", truncate=True)
            with pytest.raises(TooLarge):
                await upload.write(8, b"12345")
            with pytest.raises(UploadPoisoned):
                await visit.finish(upload)
            for name in ("a.csv", "b.csv"):
                await visit.open_write(name, truncate=True)
            with pytest.raises(TooManyOpen):
                await visit.open_write("c.csv", truncate=True)

        play(built, scene)


def test_going_on_beyond_what_is_stored_is_refused(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await break_off(visit, "sales.csv", b"1234")
        with pytest.raises(SeekRefused):
            await visit.open_write("sales.csv", truncate=False, offset=9)
        assert (await visit.stat("sales.csv")).size_bytes == 4

    play(built, scene)


def test_sizes_can_be_confirmed_and_cut_but_not_grown(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"12345678")
        await upload.truncate(8)
        await upload.truncate(5)
        with pytest.raises(UploadHasGaps):
            await upload.truncate(6)
        await visit.finish(upload)
        assert await read(visit, "sales.csv") == b"12345"

    play(built, scene)


def test_a_stopping_daemon_finishes_what_is_open_and_takes_nothing_new(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        built.intake.stop_taking()
        with pytest.raises(ShuttingDown):
            await visit.open_write("late.csv", truncate=True)
        await upload.write(0, b"content")
        draining = asyncio.ensure_future(built.intake.drain(grace_s=30))
        await visit.finish(upload)
        await draining
        assert [d.state for d in deliveries(built, "sales.csv")] == [State.ARRIVED]

    play(built, scene)


def test_a_client_that_leaves_during_the_acknowledgement_does_not_undo_it(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("sales.csv", truncate=True)
        await upload.write(0, b"content")
        finishing = asyncio.ensure_future(visit.finish(upload))
        await asyncio.sleep(0)
        finishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await finishing
        await built.intake.drain(grace_s=10)
        (delivery,) = deliveries(built, "sales.csv")
        assert delivery.state is State.ARRIVED
        assert built.spool.is_arrived(delivery.id)

    play(built, scene)


def test_no_two_uploads_of_a_second_get_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "_ID_RANDOM_CHARS", 1)
    ids, now = Ids(), datetime(2026, 11, 21, 20, 45, 12, tzinfo=UTC)
    assert len({ids.next(now) for _ in range(32)}) == 32  # all that there are
    assert ids.next(now + timedelta(seconds=1)).startswith("261121-204513-")
