"""What a customer's view answers by FTP: to look, to change, and to ask for what is not given."""

from __future__ import annotations

import ftplib
import inspect
import io
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.doors.conftest import CONTENT, LATER
from tilldrop import errors
from tilldrop.delivery import State
from tilldrop.doors.ftp_replies import REPLIES, VERBS, reply_to
from tilldrop.doors.ftp_session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.ftp_door import FtpHere


def _listed(client: ftplib.FTP, command: str) -> list[str]:
    lines: list[str] = []
    client.retrlines(command, lines.append)
    return lines


# -- what a delivered file and a folder do not take


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        ("DELE sales.csv", 550, errors.DeliveredStays),
        ("DELE missing.csv", 550, errors.NoSuchFile),
        ("DELE receipts/a.txt", 550, errors.ReadOnly),
        ("RNFR missing.csv", 550, errors.NoSuchFile),
        ("MKD new", 550, errors.FolderFixed),
        ("XMKD new", 550, errors.FolderFixed),
        ("MKD transactions", 550, errors.NameExists),
        ("MKD sales.csv", 550, errors.NameExists),
        ("MKD receipts/x", 550, errors.FolderFixed),
        ("MKD at-1/2/3", 550, errors.FolderFixed),
        ("RMD day-1", 550, errors.FolderFixed),
        ("DELE day-1", 550, errors.NoSuchFile),
        ("STOR at-1/2/3/PaymentDetails.csv", 550, errors.NoSuchFolder),
        ("STOR sales.csv/2/PaymentDetails.csv", 550, errors.NoSuchFolder),
        ("RMD transactions", 550, errors.FolderFixed),
        ("XRMD transactions", 550, errors.FolderFixed),
        ("CWD missing", 550, errors.NoSuchFile),
        ("CWD sales.csv", 550, errors.NoSuchFolder),
        ("STOR receipts/a.txt", 550, errors.ReadOnly),
        ("STOR nowhere/a.csv", 550, errors.NoSuchFolder),
        ("STOR transactions", 550, errors.IsFolder),
        ("APPE transactions", 550, errors.IsFolder),
        ("STOR a\\b.csv", 553, errors.NameRefused),
        ("STOR a\tb.csv", 553, errors.NameRefused),
        ("STOR " + "x" * 300, 553, errors.NameRefused),
        ("RETR missing.csv", 550, errors.NoSuchFile),
        ("RETR transactions", 550, errors.IsFolder),
        ("SIZE missing.csv", 550, errors.NoSuchFile),
        ("SIZE transactions", 550, errors.IsFolder),
        ("MDTM missing.csv", 550, errors.NoSuchFile),
        ("MDTM transactions", 550, errors.IsFolder),
        ("MFMT 20200101000000 missing.csv", 550, errors.NoSuchFile),
        ("MLST missing.csv", 550, errors.NoSuchFile),
        ("MLSD missing", 550, errors.NoSuchFile),
        ("MLSD sales.csv", 550, errors.NoSuchFolder),
        ("LIST missing", 550, errors.NoSuchFile),
        ("LIST -la missing", 550, errors.NoSuchFile),
        ("NLST missing", 550, errors.NoSuchFile),
        ("STAT missing", 550, errors.NoSuchFile),
        ("SITE CHMOD 644 missing.csv", 550, errors.NoSuchFile),
    ],
)
def test_refusal_says_why(
    ftp: FtpHere, command: str, code: int, error: type[errors.TilldropError]
) -> None:
    ftp.put(CONTENT)
    with ftp.client() as client:
        with pytest.raises(ftplib.Error) as refusal:
            client.sendcmd(command)
        assert str(refusal.value) == f"{code} {error.to_customer}"
        assert client.size("sales.csv") == len(CONTENT)  # the session goes on
    assert ftp.only().state is State.ARRIVED


def test_delivered_file_cannot_be_renamed(ftp: FtpHere) -> None:
    ftp.put(CONTENT)
    with ftp.client() as client, pytest.raises(ftplib.error_perm, match=r"^550 Delivered files"):
        client.rename("sales.csv", "b.csv")
    assert ftp.only().name == "sales.csv"


def test_upload_under_a_temporary_name_arrives_with_its_rename(ftp: FtpHere) -> None:
    ftp.put(LATER)
    ftp.put(CONTENT, "sales.csv.filepart")
    with ftp.client() as client:
        client.delete("sales.csv")  # how an upload program makes room: does nothing
        client.rename("sales.csv.filepart", "sales.csv")
        assert client.size("sales.csv") == len(CONTENT)
    assert [each.state for each in ftp.deliveries()] == [State.ARRIVED] * 2
    assert ftp.bytes_of(ftp.deliveries()[-1]) == CONTENT


def test_file_sent_again_is_a_new_delivery(ftp: FtpHere) -> None:
    ftp.put(CONTENT)
    ftp.put(LATER)
    back = io.BytesIO()
    with ftp.client() as client:
        client.retrbinary("RETR sales.csv", back.write)
    assert len(ftp.deliveries()) == 2
    assert back.getvalue() == LATER


def test_name_that_is_not_utf_8_is_refused(ftp: FtpHere) -> None:
    with ftp.client() as client:
        client.encoding = "latin-1"
        with pytest.raises(ftplib.error_perm, match=r"^553 That file name is not accepted"):
            client.storbinary("STOR umsatz-\xfc.csv", io.BytesIO(LATER))
    assert ftp.deliveries() == []


def test_bug_is_answered_neutrally_and_the_session_goes_on(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_words: object) -> None:
        raise RuntimeError("/home/of/tilldrop")

    with ftp.client() as client:
        monkeypatch.setattr("tilldrop.visit.Visit.stat", fail)
        with pytest.raises(ftplib.error_temp, match=r"^451 The server could not do that\.$"):
            client.sendcmd("SIZE a.csv")
        assert client.pwd() == "/"


# -- verbs


@pytest.mark.parametrize(
    "verb", ["STOU", "REIN", "HELP", "SMNT", "ACCT", "CCC", "XSHA256", "__class__"]
)
def test_verb_that_is_not_listed_is_not_there(ftp: FtpHere, verb: str) -> None:
    with ftp.client() as client, pytest.raises(ftplib.error_perm, match=r"^502"):
        client.sendcmd(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_every_listed_verb_answers(verb: str) -> None:
    assert inspect.isfunction(getattr(Session, f"ftp_{verb}"))


def test_harmless_requests_are_agreed_to(ftp: FtpHere) -> None:
    ftp.put(LATER)
    with ftp.client() as client:
        for command in (
            "NOOP",
            "SYST",
            "ALLO 100",
            "MODE S",
            "STRU F",
            "TYPE A",
            "TYPE A N",
            "TYPE L 8",
            "OPTS UTF8 ON",
            "STAT",
            "SITE CHMOD 4777 sales.csv",
        ):
            assert client.sendcmd(command)[0] == "2", command
        for command in ("TYPE E", "MODE B", "STRU R", "SITE EXEC ls", "SITE CHMOD 644"):
            with pytest.raises(ftplib.error_perm, match=r"^504"):
                client.sendcmd(command)
        with pytest.raises(ftplib.error_perm, match=r"^501"):
            client.sendcmd("STOR")


def _all_errors(kind: type[errors.TilldropError]) -> list[type[errors.TilldropError]]:
    below = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return below + [deeper for each in below for deeper in _all_errors(each)]


MET_BY_CUSTOMERS = [
    each
    for each in _all_errors(errors.TilldropError)
    if each.to_customer != errors.TilldropError.to_customer
]


@pytest.mark.parametrize("error", MET_BY_CUSTOMERS)
def test_reply_says_whether_trying_again_can_help(error: type[errors.TilldropError]) -> None:
    again = error.temporary or error is errors.MoveRefused
    assert reply_to(error("why"))[0] == ("4" if again else "5")
    assert set(map(type, REPLIES.values())) == {int}


# -- looking


def test_listings_show_names_sizes_and_times(ftp: FtpHere) -> None:
    for name in ("Umsätze März.csv", "transactions/öl & brot.csv"):
        ftp.put(b"12345", name)
    with ftp.client() as client:
        client.sendcmd("MFMT 20170714023959 Umsätze März.csv")
        listed = _listed(client, "LIST -al")
        folder = r"drwx------    1 customer customer        0 \w{3} [ \d]\d \d\d:\d\d receipts"
        assert re.fullmatch(folder, listed[0])
        assert "-rw-------    1 customer customer        5 Jul 14  2017 Umsätze März.csv" in listed
        assert _listed(client, "NLST") == ["receipts", "transactions", "Umsätze März.csv"]
        assert _listed(client, "NLST transactions") == ["öl & brot.csv"]
        assert _listed(client, "LIST transactions/öl & brot.csv")[0].endswith(" öl & brot.csv")
        facts = dict(client.mlsd())
        receipts = dict(facts["receipts"])
        assert len(receipts.pop("modify")) == len("YYYYMMDDhhmmss")
        assert receipts == {"type": "dir", "perm": "cel"}
        shown = {"type": "file", "size": "5", "modify": "20170714023959", "perm": "arw"}
        assert facts["Umsätze März.csv"] == shown
        told = client.sendcmd("MLST Umsätze März.csv").splitlines()[1]
        assert told == " type=file;size=5;modify=20170714023959;perm=arw; /Umsätze März.csv"
        assert client.sendcmd("OPTS MLST size;modify;") == "200 MLST OPTS size;modify;"
        assert dict(client.mlsd())["receipts"].keys() == {"modify"}
        assert " MLST type;size*;modify*;perm;" in client.sendcmd("FEAT").splitlines()
        assert "Umsätze März.csv" in client.sendcmd("STAT -l")


def test_patterns_find_names_for_mget(ftp: FtpHere) -> None:
    for name in ("a.csv", "b.csv", "transactions/c.csv"):
        ftp.put(LATER, name)
    with ftp.client() as client:
        assert _listed(client, "NLST *.csv") == ["a.csv", "b.csv"]
        assert _listed(client, "NLST transactions/*.csv") == ["transactions/c.csv"]
        assert _listed(client, "NLST [b]*") == ["b.csv"]
        assert _listed(client, "NLST *.txt") == []
        assert len(_listed(client, "LIST *.csv")) == 2


def test_folders_are_walked_as_usual(ftp: FtpHere) -> None:
    with ftp.client() as client:
        client.cwd("transactions")
        assert client.pwd() == "/transactions"
        client.storbinary("STOR a.csv", io.BytesIO(LATER))
        assert _listed(client, "NLST") == ["a.csv"]
        assert client.size("../transactions/a.csv") == len(LATER)
        client.cwd("..")
        assert client.pwd() == "/"
        client.cwd("../../receipts/../transactions/.")
        assert client.sendcmd("XPWD") == '257 "/transactions" is where you are.'
        client.sendcmd("XCUP")
        client.sendcmd("CWD")
        assert client.pwd() == "/"
    assert ftp.only().name == "transactions/a.csv"


def test_folder_that_a_feed_names_by_a_pattern_may_be_made_and_filled(
    ftp: FtpHere, tmp_path: Path
) -> None:
    with ftp.client() as client:
        assert client.mkd("day-2026.03.14") == "/day-2026.03.14"
        assert client.sendcmd("XMKD day-2026.03.14").startswith("257 ")
        assert client.sendcmd("MLST day-2026.03.14").splitlines()[1].startswith(" type=dir;")
        assert _listed(client, "NLST day-2026.03.14") == []
        assert "day-2026.03.14" in _listed(client, "NLST")
        client.cwd("day-20260315")  # not even made
        client.storbinary("STOR CheckDetails.csv", io.BytesIO(LATER))
        assert _listed(client, "NLST") == ["CheckDetails.csv"]
        client.cwd("/at-paris")
        client.mkd("20260314")
        client.storbinary("STOR 20260314/PaymentDetails.csv", io.BytesIO(LATER))
    names = [each.name for each in ftp.deliveries()]
    assert names == ["day-20260315/CheckDetails.csv", "at-paris/20260314/PaymentDetails.csv"]
    out = tmp_path / "out" / "day-7"
    out.mkdir(parents=True)
    (out / "CheckDetails.csv").write_bytes(LATER)
    for _ in range(2):  # the second time there is nothing to do
        ended = ftp.lftp(f"mirror -R {out.parent} /")
        assert ended.returncode == 0, ended.stderr
    assert [each.name for each in ftp.deliveries()][2:] == ["day-7/CheckDetails.csv"]


def test_time_that_a_client_sets_is_kept(ftp: FtpHere) -> None:
    ftp.put(LATER)
    with ftp.client() as client:
        said = client.sendcmd("MFMT 20200229120000 sales.csv")
        assert said == "213 Modify=20200229120000; sales.csv"
        assert client.sendcmd("MDTM sales.csv") == "213 20200229120000"
        client.sendcmd("MDTM 20200301000000 sales.csv")  # as clients before MFMT have it
        assert client.sendcmd("MDTM sales.csv") == "213 20200301000000"
        for time in ("20200230000000", "2020", "19691231235959", "22000101000000"):
            with pytest.raises(ftplib.error_perm, match=r"^501"):
                client.sendcmd(f"MFMT {time} sales.csv")
    assert ftp.only().mtime == 1_583_020_800


def test_delivered_file_is_read_back_from_anywhere(ftp: FtpHere) -> None:
    ftp.put(CONTENT)
    with ftp.client(tls=True) as client:
        for offset in (0, 5, len(CONTENT)):
            back = io.BytesIO()
            client.retrbinary("RETR sales.csv", back.write, rest=offset)
            assert back.getvalue() == CONTENT[offset:]
        with pytest.raises(ftplib.error_perm, match=r"^554"):
            client.retrbinary("RETR sales.csv", print, rest=len(CONTENT) + 1)
        for marker in ("-1", "x", "²", "9" * 30):
            with pytest.raises(ftplib.error_perm, match=r"^501"):
                client.sendcmd(f"REST {marker}")


def test_rclone_sends_an_unchanged_file_once(ftp: FtpHere, local: Path) -> None:
    os.utime(local, (1_600_000_000, 1_600_000_000))
    for _ in range(2):
        ended = ftp.rclone("copyto", str(local), ":ftp:sales.csv")
        assert ended.returncode == 0, ended.stderr
    assert ftp.only().mtime == 1_600_000_000


def test_lftp_mirrors_both_ways(ftp: FtpHere, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    (out / "transactions").mkdir(parents=True)
    (out / "Umsätze März.csv").write_bytes(LATER)
    (out / "transactions" / "b.csv").write_bytes(CONTENT)
    for _ in range(2):  # the second time there is nothing to do
        ended = ftp.lftp(f"mirror -R {out} /")
        assert ended.returncode == 0, ended.stderr
    assert len(ftp.deliveries()) == 2
    ended = ftp.lftp(f"mirror -x receipts / {back}")
    assert ended.returncode == 0, ended.stderr
    assert (back / "Umsätze März.csv").read_bytes() == LATER
    assert (back / "transactions" / "b.csv").read_bytes() == CONTENT
