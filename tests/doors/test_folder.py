"""The folder door on real folders: what is taken, when, and that it is taken once."""

from __future__ import annotations

import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon import Daemon, sales, tilldrop
from tests.doors.till import WITHIN_S, Till
from tilldrop import doors
from tilldrop.delivery import State
from tilldrop.doors.folder_files import Listing, Original, Stamp, look
from tilldrop.doors.folder_quiet import Quiet

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


# -- taken ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("polling", [False, True], ids=["inotify", "polling"])
def test_a_quiet_file_is_delivered_as_it_is_and_stays(till: Till, *, polling: bool) -> None:
    till.configure(f"polling = {str(polling).lower()}")
    till.open(look_every_s=600)  # events alone must do
    till.wait_for_event("folder.opened")
    path = till.write("sales.csv", sales(1, 3))
    (delivery,) = till.wait_for(1)
    assert (delivery.name, delivery.door, delivery.customer) == ("sales.csv", "folder", "acme")
    assert delivery.size_bytes == len(sales(1, 3))
    assert delivery.mtime == int(path.stat().st_mtime)
    assert till.bytes_of(delivery) == path.read_text() == sales(1, 3)


def test_a_file_that_comes_between_the_first_look_and_the_watch_is_taken(
    till: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_and_put(root: Path, folders: list[str]) -> Listing:
        found = look(root, folders)
        if "sales.csv" not in found.files:
            till.write("sales.csv", sales(1, 3))
        return found

    monkeypatch.setattr(doors.folder, "look", look_and_put)
    till.open(look_every_s=600)
    till.wait_for(1)


def test_what_lies_there_at_the_start_is_taken_what_changed_longest_ago_first(till: Till) -> None:
    for number, name in enumerate(("c.csv", "a.csv", "b.csv")):
        path = till.write(name, sales(number, 1))
        os.utime(path, (1_700_000_000 + number,) * 2)
    till.open()
    assert [one.name for one in till.wait_for(3)] == ["c.csv", "a.csv", "b.csv"]


def test_only_files_that_a_pattern_names_are_taken(till: Till) -> None:
    till.configure('files = ["*.CSV"]')
    till.write("sales.txt", sales(1, 1))
    till.write("sales.csv", sales(1, 1))
    till.open()
    assert [one.name for one in till.wait_for(1)] == ["sales.csv"]
    till.settle()


def test_a_temporary_name_is_left_alone_until_the_rename(till: Till) -> None:
    till.open()
    path = till.write("sales.csv.tmp", sales(1, 2))
    till.write(".sales.csv.x1y2", sales(1, 2))
    till.settle()
    path.rename(till.folder / "sales.csv")
    assert [one.name for one in till.wait_for(2)] == ["zz-last.csv", "sales.csv"]


def test_folders_that_feeds_name_are_looked_into_and_no_others(till: Till) -> None:
    till.write("transactions/day.csv", sales(1, 1))
    till.write("archive/day.csv", sales(1, 1))
    till.open()
    assert [one.name for one in till.wait_for(1)] == ["transactions/day.csv"]
    till.write("transactions/later.csv", sales(2, 1))
    assert [one.name for one in till.wait_for(2)][1] == "transactions/later.csv"
    till.settle()


# -- not before it is quiet ----------------------------------------------------------------------


def stamp(mtime_ns: int = 1, size_bytes: int = 10, inode: int = 7) -> Stamp:
    return Stamp(1, inode, size_bytes, mtime_ns)


def test_a_file_is_due_when_two_looks_far_enough_apart_found_the_same() -> None:
    quiet = Quiet(quiet_s=10)
    quiet.note({"a": stamp()}, now=100)
    assert quiet.due(109.9) == []
    assert quiet.next_at() == 110
    quiet.note({"a": stamp()}, now=110)
    assert [name for name, _ in quiet.due(110)] == ["a"]


@pytest.mark.parametrize(
    "other",
    [stamp(mtime_ns=2), stamp(size_bytes=11), stamp(inode=8)],
    ids=["time", "size", "inode"],
)
def test_every_change_starts_the_wait_again(other: Stamp) -> None:
    quiet = Quiet(quiet_s=10)
    quiet.note({"a": stamp()}, now=100)
    quiet.note({"a": other}, now=109)
    assert quiet.due(118.9) == []
    assert [seen.stamp for _, seen in quiet.due(119)] == [other]


def test_a_settled_file_is_due_again_only_under_another_stamp() -> None:
    quiet = Quiet(quiet_s=10)
    quiet.note({"a": stamp()}, now=100)
    ((_, seen),) = quiet.due(110)
    seen.settled = True
    quiet.note({"a": stamp()}, now=200)
    assert quiet.due(300) == []
    quiet.note({"a": stamp(size_bytes=11)}, now=300)
    assert [name for name, _ in quiet.due(310)] == ["a"]


def test_a_file_that_somebody_has_open_for_writing_waits_for_its_end(till: Till) -> None:
    till.open()
    with (till.folder / "sales.csv").open("w") as file:
        file.write(sales(1, 2))
        file.flush()
        (said,) = till.wait_for_event("original.put_off")
        assert "open for writing" in said["why"]
        file.write("12,9,2026-03-14,10:30,1.00\n")
    (delivery,) = till.wait_for(1)
    assert till.bytes_of(delivery).endswith("12,9,2026-03-14,10:30,1.00\n")
    assert len(till.events("original.put_off")) == 1


def test_asking_for_a_writer_neither_holds_one_up_nor_ends_us(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x")
    original = Original(tmp_path, "a.csv")
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            path.open("a").close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        answers = {original.has_writer() for _ in range(20_000)}
    finally:
        stop.set()
        writer.join(WITHIN_S)
        original.close()
    assert answers == {True, False}  # and no signal has ended this process


@pytest.mark.parametrize(
    "content", [sales(1, 3), sales(1, 1), sales(8, 2)], ids=["longer", "shorter", "as-long"]
)
def test_a_file_that_changes_while_it_is_copied_is_taken_whole_afterwards(
    till: Till, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    path = till.write("sales.csv", sales(1, 2))
    read = Original.read
    changed = threading.Event()

    def read_and_change(self: Original, offset: int) -> bytes:
        chunk = read(self, offset)
        if not changed.is_set():
            changed.set()
            path.write_text(content)
        return chunk

    monkeypatch.setattr(Original, "read", read_and_change)
    till.open()
    (delivery,) = till.wait_for(1)
    assert till.bytes_of(delivery) == content
    (given_up,) = till.deliveries(State.BROKEN)
    assert given_up.bytes_gone_at is not None


# -- once, and again after a change --------------------------------------------------------------


def test_a_restart_delivers_nothing_again(till: Till) -> None:
    till.write("sales.csv", sales(1, 2))
    till.open()
    till.wait_for(1)
    till.close()
    till.open()
    till.settle()


def test_another_name_for_a_delivered_file_is_no_delivery(till: Till) -> None:
    path = till.write("sales.csv", sales(1, 2))
    till.open()
    till.wait_for(1)
    path.rename(till.folder / "done.csv")
    (till.folder / "linked.csv").hardlink_to(till.folder / "done.csv")
    till.settle()


def _append(path: Path) -> None:
    with path.open("a") as file:
        file.write("12,9,2026-03-14,10:30,1.00\n")


def _rewrite(path: Path) -> None:
    path.write_text(sales(5, 3))


def _replace(path: Path) -> None:
    new = path.with_name("new.tmp")
    new.write_text(sales(6, 3))
    new.rename(path)


def _touch(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("change", [_append, _rewrite, _replace, _touch])
def test_a_changed_file_is_a_new_delivery(till: Till, change: Any) -> None:
    path = till.write("sales.csv", sales(1, 2))
    till.open()
    till.wait_for(1)
    change(path)
    first, second = till.wait_for(2)
    assert (first.name, second.name) == ("sales.csv", "sales.csv")
    assert till.bytes_of(first) == sales(1, 2)
    assert till.bytes_of(second) == path.read_text()
    till.settle()


def _renumber(path: Path, content: str) -> None:
    """Give a file another inode and the same time, as a share that is mounted anew may."""
    copy = path.with_name(".copy")
    shutil.copy2(path, copy)
    copy.write_text(content)
    shutil.copystat(path, copy)
    assert copy.stat().st_ino != path.stat().st_ino
    copy.rename(path)


@pytest.mark.parametrize(
    ("content", "deliveries"),
    [(sales(1, 2), 1), (sales(3, 2), 2)],
    ids=["same-bytes", "other-bytes"],
)
def test_an_inode_that_changed_is_a_delivery_only_with_other_bytes(
    till: Till, content: str, deliveries: int
) -> None:
    path = till.write("sales.csv", sales(1, 2))
    till.open()
    (delivery,) = till.wait_for(1)
    till.close()
    hashed = Original(till.folder, "sales.csv")
    till.ledger.amend(delivery.id, State.ARRIVED, sha256=hashed.sha256()).result()  # as imports do
    hashed.close()
    _renumber(path, content)
    till.open()
    till.wait_for(deliveries)
    if deliveries == 1:
        till.wait_for_event("original.recognised")
    till.settle()


# -- the whole way -------------------------------------------------------------------------------


def test_files_in_a_folder_become_rows_and_none_twice_over_kills(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon, folder = idle_daemon, tmp_path / "export"
    folder.mkdir()
    with (daemon.home / "config" / "tilldrop.toml").open("a") as file:
        file.write(f'\n[[folders]]\npath = "{folder}"\ncustomer = "acme"\nquiet_s = 0.1\n')
    daemon.start()
    (folder / "sales.csv").write_text(sales(1, 3))
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    about = {"path": str(folder), "customer": "acme", "open": True, "why": ""}
    assert daemon.status()["folders"] == [about]
    assert f"{folder}: watched" in tilldrop(daemon.home, "status").stdout
    assert daemon.rows("SELECT count(*), sum(total_minor) FROM transactions") == [(3, 300)]
    daemon.kill()
    (folder / "later.csv").write_text(sales(4, 2))
    daemon.start()
    daemon.wait_for_state("later.csv", State.IMPORTED)
    assert [one.name for one in daemon.deliveries()] == ["later.csv", "sales.csv"]
    assert daemon.rows("SELECT count(*), sum(total_minor) FROM transactions") == [(5, 500)]
    assert daemon.stop() == 0


def test_folders_that_fit_a_feeds_pattern_are_looked_into(till: Till) -> None:
    toml = till.home / "config" / "customers" / "acme.toml"
    toml.write_text(toml.read_text().replace('["*.csv",', '["*.csv", "*/*/Check*.csv",'))
    till.configure()
    (till.folder / "paris" / "0314").mkdir(parents=True)
    (till.folder / "link").symlink_to(till.folder / "paris")
    (till.folder / "paris" / "0314" / "Check.csv").write_text(sales(1, 3))
    (till.folder / "paris" / "0314" / "deeper").mkdir()
    (till.folder / "paris" / "0314" / "deeper" / "Check.csv").write_text(sales(1, 3))
    till.open()
    till.write("sales.csv", sales(9, 1))
    found = {one.name for one in till.wait_for(2)}
    assert found == {"paris/0314/Check.csv", "sales.csv"}
    (till.folder / "paris" / "0315").mkdir()
    (till.folder / "paris" / "0315" / "Check.csv").write_text(sales(5, 3))
    assert till.wait_for(3)[-1].name == "paris/0315/Check.csv"
