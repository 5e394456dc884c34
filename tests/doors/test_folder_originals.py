"""The folder door and what lies in its folders: put away, never touched, refused, missing."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon import sales, wait_for
from tests.doors.till import WITHIN_S, Till
from tilldrop.delivery import State
from tilldrop.doors import folder_files
from tilldrop.doors.folder_files import NotAFileError, Original, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    """A folder whose door the test opens itself."""
    made = Till(tmp_path)
    yield made
    made.close()
    made.ledger.close()


# -- what becomes of originals -------------------------------------------------------------------


def test_delivered_originals_are_moved_and_no_earlier_one_is_overwritten(till: Till) -> None:
    till.configure('after = "move"')
    till.open()
    for number in (1, 2):
        path = till.write("sales.csv", sales(number, 1))
        till.wait_for_event("original.moved", number)
        assert not path.exists()
    first, second = till.deliveries()
    there = {each.name: each.read_text() for each in (till.folder / "delivered").iterdir()}
    assert there == {"sales.csv": sales(1, 1), f"sales.csv.{second.id}": sales(2, 1)}
    assert till.bytes_of(first) == sales(1, 1)
    till.settle()


def test_an_original_is_deleted_after_its_acknowledgement_and_not_before(till: Till) -> None:
    till.configure('after = "delete"')
    till.spool.reserve_bytes = 2**62  # full
    path = till.write("sales.csv", sales(1, 2))
    till.open()
    (said,) = till.wait_for_event("folder.troubled")
    assert said["code"] == "spool-full"
    assert path.exists()
    till.spool.reserve_bytes = 0
    till.reload()
    (delivery,) = till.wait_for(1)
    wait_for("the original to go", lambda: not path.exists())
    assert till.bytes_of(delivery) == sales(1, 2)


def test_a_delivered_original_that_an_end_left_behind_goes_at_the_next_start(till: Till) -> None:
    path = till.write("sales.csv", sales(1, 2))
    till.open()
    till.wait_for(1)  # the daemon dies here, before it deletes
    till.close()
    till.configure('after = "delete"')
    till.open()
    wait_for("the original to go", lambda: not path.exists())
    assert len(till.deliveries()) == 1


def _move(folder: Path, name: str, delivered: Stamp) -> str | None:
    return folder_files.move(folder, name, delivered, "261121-204512-k7x2q")


@pytest.mark.parametrize("put_away", [folder_files.delete, _move])
def test_an_original_that_has_changed_is_not_put_away(tmp_path: Path, put_away: Any) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("one")
    delivered = Stamp.of(path.stat())
    path.write_text("one and two")
    assert not put_away(tmp_path, "sales.csv", delivered)
    assert path.read_text() == "one and two"


def test_an_original_that_cannot_be_put_away_is_said_once_and_delivered_once(till: Till) -> None:
    till.configure('after = "move"')
    (till.folder / "delivered").symlink_to("/tmp")
    till.write("sales.csv", sales(1, 2))
    till.open()
    till.wait_for_event("original.stays")
    till.settle()
    assert len([e for e in till.events("original.stays") if e["name"] == "sales.csv"]) == 1


# -- never touched -------------------------------------------------------------------------------


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _dangling(path: Path, _: Path) -> None:
    path.symlink_to("nowhere")


def _pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


def _folder(path: Path, target: Path) -> None:
    path.mkdir()
    shutil.copy(target, path / "inner.csv")


def _device(path: Path, _: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: reading it has no end


ODD = pytest.mark.parametrize("make", [_link, _dangling, _pipe, _socket, _folder, _device])


@ODD
def test_what_is_no_regular_file_is_not_taken(till: Till, make: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(sales(1, 1))
    make(till.folder / "odd.csv", secret)
    till.open()
    till.settle()


@ODD
def test_what_is_put_in_a_files_place_between_look_and_opening_is_not_read(
    tmp_path: Path, make: Any
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret")
    folder = tmp_path / "export"
    folder.mkdir()
    make(folder / "odd.csv", secret)
    with pytest.raises((NotAFileError, OSError)):
        Original(folder, "odd.csv")


def test_a_link_in_place_of_a_feeds_folder_is_not_followed(till: Till, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "day.csv").write_text(sales(1, 1))
    (till.folder / "transactions").symlink_to(elsewhere)
    till.open()
    till.settle()
    with pytest.raises(NotADirectoryError):
        Original(till.folder, "transactions/day.csv")


# -- refused, missing, stopped -------------------------------------------------------------------


def test_a_name_that_is_not_accepted_is_said_once_and_holds_up_no_other(till: Till) -> None:
    till.write("bad\\name.csv", sales(1, 1))
    (till.folder / os.fsdecode(b"caf\xe9.csv")).write_text(sales(1, 1))
    till.open()
    till.settle()
    assert [event["code"] for event in till.events("original.refused")] == ["name-refused"] * 2


def test_a_file_beyond_the_limit_is_refused_before_a_byte_is_copied(till: Till) -> None:
    with (till.folder / "huge.csv").open("wb") as file:
        file.truncate(5_000_001)
    till.open()
    (said,) = till.wait_for_event("original.refused")
    assert said["code"] == "too-large"
    assert till.deliveries(*State) == []


def test_a_folder_that_is_not_there_is_said_once_and_waited_for(till: Till) -> None:
    till.folder.rmdir()
    till.open(look_every_s=0.05)
    till.wait_for_event("folder.missed")
    till.folder.mkdir()
    till.write("sales.csv", sales(1, 1))
    till.wait_for(1)
    assert len(till.events("folder.missed")) == 1
    assert len(till.events("folder.opened")) == 1


def test_a_folder_that_was_replaced_is_watched_anew(till: Till) -> None:
    till.open(look_every_s=0.2)
    till.wait_for_event("folder.opened")
    till.folder.rename(till.folder.with_name("old"))
    till.wait_for_event("folder.missed")
    till.folder.mkdir()
    till.wait_for_event("folder.opened", 2)
    till.write("sales.csv", sales(1, 1))
    till.wait_for(1)


def test_a_disabled_customers_files_wait_until_it_is_enabled(till: Till) -> None:
    till.disable(disabled=True)
    till.write("sales.csv", sales(1, 1))
    till.open()
    (said,) = till.wait_for_event("folder.missed")
    assert "disabled" in said["why"]
    assert till.deliveries(*State) == []
    till.disable(disabled=False)
    till.reload()
    till.wait_for(1)


def test_a_reload_takes_up_new_folders_and_leaves_old_ones(till: Till, tmp_path: Path) -> None:
    till.open()
    till.wait_for_event("folder.opened")
    old, till.folder = till.folder, tmp_path / "another"
    till.folder.mkdir()
    till.configure()
    till.reload()
    till.wait_for_event("folder.closed")
    (old / "old.csv").write_text(sales(1, 1))
    till.write("new.csv", sales(2, 1))
    assert [one.name for one in till.wait_for(1)] == ["new.csv"]
    till.settle()


def test_a_copy_cut_off_by_the_stop_is_taken_at_the_next_start(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = till.write("sales.csv", sales(1, 50_000))
    reading, go_on = threading.Event(), threading.Event()
    read = Original.read

    def slowly(self: Original, offset: int) -> bytes:
        if offset:
            reading.set()
            go_on.wait(WITHIN_S)
        return read(self, offset)

    monkeypatch.setattr(Original, "read", slowly)
    till.open()
    assert reading.wait(WITHIN_S)
    till._loop.call_soon_threadsafe(till._enough.set)
    wait_for("the copy to be given up", lambda: till.deliveries(State.BROKEN))
    go_on.set()
    till.close()
    assert till.deliveries() == []
    monkeypatch.undo()
    till.open()
    (delivery,) = till.wait_for(1)
    assert till.bytes_of(delivery) == path.read_text()
