"""Folders that a feed names by a pattern, in a session on a real ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.unit.spine import Spine, customer, spine
from tests.unit.test_visit import break_off, play, read, send
from tilldrop.errors import FolderFixed, IsFolder, NameExists, NoSuchFile, NoSuchFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.visit import Visit

FILES = ("*.csv", "*/CheckDetails.csv", "*/*/PaymentDetails.csv", "weekly/*.csv")


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Spine]:
    with spine(tmp_path) as made:
        acme = customer()
        made.configure({"acme": replace(acme, feeds=(replace(acme.feeds[0], files=FILES),))})
        yield made


async def listed(visit: Visit, folder: str = "/") -> list[str]:
    entries = await visit.entries(folder)
    return [f"{each.name}/" if each.is_folder else each.name for each in entries]


def test_listing_shows_named_folders_and_those_that_hold_something(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        assert await listed(visit) == ["receipts/", "weekly/"]
        await send(visit, "20260314/CheckDetails.csv")
        await send(visit, "20260315/12/PaymentDetails.csv")
        await send(visit, "sales.csv")
        folders = ["20260314/", "20260315/", "receipts/", "weekly/"]
        assert await listed(visit) == [*folders, "sales.csv"]
        assert await listed(visit, "20260314") == ["CheckDetails.csv"]
        assert await listed(visit, "20260315") == ["12/"]
        assert await listed(visit, "20260315/12") == ["PaymentDetails.csv"]
        other = built.visit()  # another session sees the same
        assert await listed(other) == [*folders, "sales.csv"]
        await other.end()

    play(built, scene)


def test_made_folder_is_there_and_made_again_in_peace(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        with pytest.raises(NoSuchFile):
            await visit.stat("2026.03.14")
        for _ in range(2):
            await visit.make_folder("2026.03.14")
        assert (await visit.stat("2026.03.14")).is_folder
        assert await listed(visit, "2026.03.14") == []
        assert "2026.03.14/" in await listed(visit)
        await visit.make_folder("20260316/12")
        assert await listed(visit, "20260316") == ["12/"]
        with pytest.raises(IsFolder):
            await visit.open_write("2026.03.14", truncate=True)
        for name in ("receipts", "weekly", "/"):
            with pytest.raises(NameExists):
                await visit.make_folder(name)
        with pytest.raises(FolderFixed):
            await visit.make_folder("a/b/c")
        with pytest.raises(FolderFixed):
            await visit.refuse_folder_change("2026.03.14")

    play(built, scene)
    assert built.ledger.find() == []


def test_folder_that_fits_is_entered_and_written_without_being_made(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        assert (await visit.stat("20260314")).is_folder
        assert await listed(visit, "20260314") == []
        assert await listed(visit) == ["receipts/", "weekly/"]
        await visit.set_mtime("20260314", 1)
        await send(visit, "20260314/CheckDetails.csv", b"content")
        assert await read(visit, "20260314/CheckDetails.csv") == b"content"
        for change in (visit.remove("20260314"), visit.rename("20260314", "20260315")):
            with pytest.raises(FolderFixed):
                await change
        with pytest.raises(IsFolder):
            await visit.open_write("20260314", truncate=True)

    play(built, scene)


def test_name_of_a_file_is_no_folder_whatever_fits(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        with pytest.raises(NoSuchFile):
            await visit.stat("sales.csv")  # or programs would put files into it
        await send(visit, "sales.csv")
        await send(visit, "EXPORT")
        for name in ("sales.csv", "EXPORT"):
            assert not (await visit.stat(name)).is_folder
            with pytest.raises(NameExists):
                await visit.make_folder(name)
            with pytest.raises(NoSuchFolder):
                await visit.entries(name)
            with pytest.raises(NoSuchFolder):
                await visit.open_write(f"{name}/CheckDetails.csv", truncate=True)

    play(built, scene)


def test_folder_with_a_dot_is_there_while_it_holds_something(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        upload = await visit.open_write("store.12/CheckDetails.csv", truncate=True)
        assert (await visit.stat("store.12")).is_folder
        await upload.write(0, b"a")
        await visit.finish(upload)
        await break_off(visit, "store.13/CheckDetails.csv", b"half")

    play(built, scene)
    built.intake._made.clear()  # as after a restart

    async def later(visit: Visit) -> None:
        for name in ("store.12", "store.13"):
            assert (await visit.stat(name)).is_folder

    play(built, later)


def test_rename_may_finish_an_upload_in_such_a_folder(built: Spine) -> None:
    async def scene(visit: Visit) -> None:
        await send(visit, "20260314/CheckDetails.csv.part", b"whole")
        await visit.rename("20260314/CheckDetails.csv.part", "20260314/CheckDetails.csv")
        assert await read(visit, "20260314/CheckDetails.csv") == b"whole"

    play(built, scene)


def test_made_folders_of_one_customer_are_not_anothers(built: Spine) -> None:
    built.configure(
        {**built.config.customers, "rival": replace(built.config.customers["acme"], name="rival")}
    )

    async def scene(visit: Visit) -> None:
        await visit.make_folder("2026.03.14")
        rival = built.visit("rival")
        with pytest.raises(NoSuchFile):
            await rival.stat("2026.03.14")
        await rival.end()

    play(built, scene)


def test_folders_made_are_forgotten_past_a_thousand(built: Spine) -> None:
    for number in range(1_005):
        built.intake.note_folder("acme", f"f{number}")
    assert len(built.intake.folders_made("acme")) == 1_000
    assert "f0" not in built.intake.folders_made("acme")
