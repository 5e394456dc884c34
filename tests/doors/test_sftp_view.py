"""What a customer's view answers by SFTP: to look, to change, and to ask for what is not given."""

from __future__ import annotations

import asyncio
import os
import re
import stat
from typing import TYPE_CHECKING, Any, cast
from zoneinfo import ZoneInfo

import asyncssh
import pytest

from tests.doors.conftest import CONTENT, LATER, Door
from tilldrop import errors
from tilldrop.delivery import State
from tilldrop.doors.listing import long_name
from tilldrop.doors.sftp_session import reply_to
from tilldrop.view import Entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import paramiko


# -- what a delivered file and a folder do not take


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: s.remove("sales.csv"), errors.DeliveredStays),
        (lambda s: s.rename("sales.csv", "b.csv"), errors.DeliveredStays),
        (lambda s: s.posix_rename("sales.csv", "b.csv"), errors.DeliveredStays),
        (lambda s: s.truncate("sales.csv", 5), errors.DeliveredStays),
        (lambda s: s.mkdir("new"), errors.FolderFixed),
        (lambda s: s.rmdir("transactions"), errors.FolderFixed),
        (lambda s: s.rename("transactions", "b"), errors.FolderFixed),
        (lambda s: s.mkdir("transactions"), errors.NameExists),
        (lambda s: s.mkdir("sales.csv"), errors.NameExists),
        (lambda s: s.mkdir("receipts/x"), errors.FolderFixed),
        (lambda s: s.mkdir("at-1/2/3"), errors.FolderFixed),
        (lambda s: s.rmdir("day-1"), errors.FolderFixed),
        (lambda s: s.rename("at-1/b", "b"), errors.NoSuchFile),
        (lambda s: s.open("at-1/2/3/PaymentDetails.csv", "wb"), errors.NoSuchFolder),
        (lambda s: s.open("sales.csv/2/PaymentDetails.csv", "wb"), errors.NoSuchFolder),
        (lambda s: s.symlink("sales.csv", "b.csv"), errors.NotSupported),
        (lambda s: s.readlink("sales.csv"), errors.NotSupported),
        (lambda s: s.open("receipts/a.txt", "wb"), errors.ReadOnly),
        (lambda s: s.open("nowhere/a.csv", "wb"), errors.NoSuchFolder),
        (lambda s: s.open("transactions", "wb"), errors.IsFolder),
        (lambda s: s.open("a\nb.csv", "wb"), errors.NameRefused),
        (lambda s: s.open("a\\b.csv", "wb"), errors.NameRefused),
        (lambda s: s.open("x" * 300, "wb"), errors.NameRefused),
        (lambda s: s.open("missing.csv", "rb"), errors.NoSuchFile),
        (lambda s: s.open("missing.csv", "r+"), errors.NoSuchFile),
        (lambda s: s.stat("missing.csv"), errors.NoSuchFile),
        (lambda s: s.listdir("missing"), errors.NoSuchFile),
    ],
)
def test_refusal_says_why(
    door: Door, change: Callable[[paramiko.SFTPClient], object], error: type[errors.TilldropError]
) -> None:
    door.put(CONTENT)
    with door.paramiko() as session:
        with pytest.raises(OSError) as refusal:  # noqa: PT011  the text is compared below
            change(session)
        assert error.to_customer in str(refusal.value)
        assert session.stat("sales.csv").st_size == len(CONTENT)  # the session goes on
    assert door.only().state is State.ARRIVED


def test_name_that_is_not_utf_8_is_refused(door: Door) -> None:
    async def send() -> None:
        async with door.session(path_encoding=None) as sftp:
            await sftp.open(b"umsatz-\xfc.csv", "wb")

    with pytest.raises(asyncssh.SFTPPermissionDenied, match="file name is not accepted"):
        door.do(send())
    assert door.deliveries() == []


def test_bug_is_answered_neutrally_and_the_session_goes_on(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_words: Any) -> None:
        raise RuntimeError("/home/of/tilldrop")

    with door.paramiko() as session:
        monkeypatch.setattr("tilldrop.visit.Visit.stat", fail)
        with pytest.raises(OSError, match=r"^The server could not do that\.$"):
            session.stat("a.csv")
        assert session.normalize(".") == "/"


# -- attributes


def test_time_that_a_client_sets_is_shown_and_mode_and_owner_are_ignored(door: Door) -> None:
    door.put(CONTENT)
    with door.paramiko() as session:
        session.utime("sales.csv", (1_600_000_000, 1_600_000_000))
        session.chmod("sales.csv", 0o4777)
        session.chown("sales.csv", 0, 0)
        session.truncate("sales.csv", len(CONTENT))  # equal: nothing to do
        found = session.stat("sales.csv")
        assert (found.st_mtime, found.st_size) == (1_600_000_000, len(CONTENT))
        assert found.st_mode == stat.S_IFREG | 0o600
        assert str(session.lstat("sales.csv")) == str(found)


def test_setting_attributes_of_a_name_that_is_not_there_is_refused(door: Door) -> None:
    with door.paramiko() as session:
        with pytest.raises(FileNotFoundError):
            session.chmod("a.csv", 0o600)
        with pytest.raises(FileNotFoundError):
            session.utime("a.csv", (1, 1))
        with pytest.raises(FileNotFoundError):
            session.truncate("a.csv", 0)


def test_rclone_sends_an_unchanged_file_once(door: Door, local: Path) -> None:
    os.utime(local, (1_600_000_000, 1_600_000_000))
    for _ in range(2):
        assert door.rclone("copyto", str(local), ":sftp:sales.csv").returncode == 0
    assert len(door.deliveries()) == 1


def test_open_upload_can_be_cut_but_not_stretched(door: Door) -> None:
    with door.paramiko() as session, session.open("a.csv", "wb") as file:
        file.write(CONTENT)
        file.truncate(1000)
        assert file.stat().st_size == 1000
        with pytest.raises(OSError, match="Parts of the file are missing"):
            file.truncate(2000)
        file.utime((1_600_000_000, 1_600_000_000))
        file.chmod(0o777)
    assert door.bytes_of(door.only()) == CONTENT[:1000]
    assert door.only().mtime == 1_600_000_000


def test_client_may_ask_for_its_bytes_to_be_synced(door: Door) -> None:
    async def send() -> None:
        async with door.session() as sftp, sftp.open("a.csv", "wb") as file:
            await file.write(CONTENT)
            await file.fsync()
            (path,) = (door.config.paths.spool / "receiving").iterdir()
            assert await asyncio.to_thread(path.read_bytes) == CONTENT

    door.do(send())


# -- looking


def test_listing_reads_like_ls(door: Door, tmp_path: Path) -> None:
    for name in ("Umsätze März.csv", "transactions/öl & brot.csv"):
        local = tmp_path / "x"
        local.write_bytes(b"12345")
        os.utime(local, (1_500_000_000, 1_500_000_000))
        assert door.sftp_batch(f'put -p {local} "{name}"').returncode == 0
    said = door.sftp_batch("ls -l", "ls -l transactions").stdout
    assert "-rw-------    1 customer customer        5 Jul 14  2017 Umsätze März.csv\n" in said
    assert "        5 Jul 14  2017 öl & brot.csv\n" in said
    folder = r"drwx------    1 customer customer        0 \w{3} [ \d]\d \d\d:\d\d transactions\n"
    assert re.search(folder, said)
    assert "Umsätze März.csv" in door.psftp("ls").stdout
    with door.paramiko() as session:
        assert sorted(session.listdir("/")) == ["Umsätze März.csv", "receipts", "transactions"]
        found = {each.filename: each for each in session.listdir_attr("/")}
        assert stat.S_ISDIR(found["receipts"].st_mode or 0)
        assert found["Umsätze März.csv"].st_size == 5


NEW_YEAR = 1_767_222_000  # 2025-12-31 23:00 UTC: already the first of January in Paris


@pytest.mark.parametrize(
    ("seconds_ago", "when"),
    [
        (0, "Jan  1 00:00"),
        (60, "Dec 31 23:59"),
        (200 * 86_400, "Jun 15  2025"),
        (-60, "Jan  1  2026"),  # a clock ahead: `ls` shows the year
    ],
)
def test_listing_tells_times_in_the_customers_zone(seconds_ago: int, when: str) -> None:
    entry = Entry("ä b.csv", False, 7, NEW_YEAR - seconds_ago, True)  # noqa: FBT003
    line = long_name(entry, ZoneInfo("Europe/Paris"), NEW_YEAR).decode()
    assert line == f"-rw-------    1 customer customer        7 {when} ä b.csv"


def test_every_error_has_a_reply_that_says_what_the_customer_may_know() -> None:
    kinds: list[type[errors.TilldropError]] = [
        errors.TilldropError,
        *errors.TilldropError.__subclasses__(),
    ]
    assert len(kinds) > 30
    for kind in kinds:
        reply = reply_to(kind("/srv/tilldrop/ledger.db"))
        assert reply.reason == kind.to_customer
        assert reply.code in range(asyncssh.FX_NO_SUCH_FILE, asyncssh.FX_OP_UNSUPPORTED + 1)


def test_delivered_file_is_read_back(door: Door, tmp_path: Path) -> None:
    door.put(CONTENT)
    back = tmp_path / "back"
    assert door.sftp_batch(f"get sales.csv {back}").returncode == 0
    assert back.read_bytes() == CONTENT


def test_folders_are_walked_as_usual(door: Door) -> None:
    with door.paramiko() as session:
        session.chdir("transactions")
        assert session.getcwd() == "/transactions"
        with session.open("a.csv", "wb") as file:
            file.write(LATER)
        assert session.listdir(".") == ["a.csv"]
        assert session.normalize("../../x/./../transactions") == "/transactions"
        assert session.stat("/").st_mode == stat.S_IFDIR | 0o700
    assert door.only().name == "transactions/a.csv"


def test_folder_that_a_feed_names_by_a_pattern_may_be_made_and_filled(
    door: Door, tmp_path: Path
) -> None:
    with door.paramiko() as session:
        assert sorted(session.listdir("/")) == ["receipts", "transactions"]
        for _ in range(2):
            session.mkdir("day-2026.03.14")
        assert stat.S_ISDIR(session.stat("day-2026.03.14").st_mode or 0)
        assert session.listdir("day-2026.03.14") == []
        session.mkdir("at-paris")
        session.mkdir("at-paris/20260314")
        session.chmod("at-paris", 0o755)
        session.utime("at-paris", (1, 1))
        session.chdir("at-paris/20260314")
        with session.open("PaymentDetails.csv", "wb") as file:
            file.write(LATER)
        assert session.listdir("/at-paris") == ["20260314"]
    assert door.only().name == "at-paris/20260314/PaymentDetails.csv"
    local = tmp_path / "day-7"
    local.mkdir()
    (local / "CheckDetails.csv").write_bytes(LATER)
    ended = door.sftp_batch(f"put -r {local}", "mkdir day-7", "cd day-7", "ls -l")
    assert ended.returncode == 0, ended.stderr
    assert "CheckDetails.csv" in ended.stdout
    os.utime(local / "CheckDetails.csv", (1_600_000_000, 1_600_000_000))
    for _ in range(2):
        copied = door.rclone("copy", str(tmp_path), ":sftp:", "--include", "day-7/*")
        assert copied.returncode == 0, copied.stderr
    names = [each.name for each in door.deliveries()]
    assert names.count("day-7/CheckDetails.csv") == 2  # rclone's second time there is nothing to do


def test_reading_past_the_end_is_the_end(door: Door) -> None:
    door.put(LATER)

    async def read(offset: int) -> str | bytes:
        async with door.session() as sftp:
            file = await sftp.open("sales.csv", "rb")
            return await file.read(100, offset)

    for offset in (len(LATER), 2**40, 2**63, 2**64 - 101):
        assert door.do(read(offset)) == b""
    assert door.do(read(5)) == LATER[5:105]


def test_signals_and_breaks_leave_a_session_alone(door: Door) -> None:
    async def send() -> None:
        async with door.session() as sftp, sftp.open("a.csv", "wb") as file:
            reader = sftp._handler._reader
            channel = cast("asyncssh.SSHClientChannel[bytes]", reader and reader.channel)
            await file.write(b"first half ")
            channel.send_signal("TERM")
            channel.send_break(100)
            channel.change_terminal_size(80, 25)
            await file.write(b"second half")

    door.do(send())
    assert door.bytes_of(door.only()) == b"first half second half"


def test_many_small_files_in_one_session_all_arrive(door: Door) -> None:
    with door.paramiko() as session:
        for number in range(50):
            with session.open(f"{number}.csv", "wb") as file:
                file.write(LATER)
    assert [each.state for each in door.deliveries()] == [State.ARRIVED] * 50
