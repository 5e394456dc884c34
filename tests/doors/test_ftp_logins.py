"""Who gets in by FTP, how many, and over what."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CLIENT_WITHIN_S, HOST, LATER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doors.ftp_door import FtpHere, Said


# -- passwords


def test_wrong_unknown_and_disabled_hear_the_same(ftp: FtpHere) -> None:
    wrong = ftp.answers("USER acme", "PASS wrong")
    unknown = ftp.answers("USER nobody", f"PASS {PASSWORD}")
    without_password = ftp.answers("USER acme", "PASS")
    ftp.disable("acme")
    disabled = ftp.answers("USER acme", f"PASS {PASSWORD}")
    assert wrong == ["331 Send the password.", "530 Login incorrect."]
    assert wrong == unknown == disabled == without_password


def test_connection_ends_with_the_last_wrong_password_allowed(
    open_ftp: Callable[..., FtpHere],
) -> None:
    door = open_ftp(login_attempts=2)
    tries = ["USER acme", "PASS wrong", "USER acme", "PASS wrong too", "USER acme"]
    assert door.answers(*tries)[3:] == ["421 Too many attempts to log in.", ""]


def test_right_password_on_the_last_try_allowed_is_taken(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(login_attempts=2)
    tries = ["USER acme", "PASS wrong", "USER acme", f"PASS {PASSWORD}"]
    assert door.answers(*tries)[3] == "230 Welcome."


@pytest.mark.parametrize("name", ["", "../acme", "acme\0", "a" * 1000, "Ümläut"])
def test_odd_name_is_refused_as_any_other(ftp: FtpHere, name: str) -> None:
    answers = ftp.answers(f"USER {name}", f"PASS {PASSWORD}")
    assert answers[1] in {"530 Login incorrect.", "503 Send USER first."}


def test_nothing_is_to_be_had_before_the_login(ftp: FtpHere) -> None:
    commands = ["PASV", "STOR a.csv", "LIST", "CWD /", "SITE CHMOD 1 a", "PASS x", "SIZE a"]
    assert {each[:3] for each in ftp.answers(*commands)} == {"530", "503"}


def test_user_cannot_change_within_a_session(ftp: FtpHere) -> None:
    answers = ftp.answers("USER acme", f"PASS {PASSWORD}", "USER other", "PASS x")
    assert [each[:3] for each in answers] == ["331", "230", "530", "503"]


def test_no_client_waits_for_anothers_password(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, go_on = threading.Event(), threading.Event()
    check = ftp.customers.check_password

    def slow(*words: str) -> Any:
        asked.set()
        assert go_on.wait(CLIENT_WITHIN_S)
        return check(*words)

    with ftp.client() as other:
        monkeypatch.setattr(ftp.customers, "check_password", slow)
        waiting = ftp.connected()
        waiting.putcmd("USER acme")
        waiting.getmultiline()
        waiting.putcmd(f"PASS {PASSWORD}")
        assert asked.wait(CLIENT_WITHIN_S)
        other.storbinary("STOR sales.csv", io.BytesIO(LATER))
        go_on.set()
        assert waiting.getmultiline() == "230 Welcome."
        waiting.close()


def test_no_client_waits_for_anothers_disk(ftp: FtpHere, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, go_on = threading.Event(), threading.Event()
    sync = os.fsync

    def slow(descriptor: int) -> None:
        if not syncing.is_set():
            syncing.set()
            assert go_on.wait(CLIENT_WITHIN_S)
        sync(descriptor)

    with ftp.client() as one, ftp.client() as other:
        monkeypatch.setattr("tilldrop.upload.os.fsync", slow)
        with one.transfercmd("STOR one.csv") as data:
            data.sendall(LATER)
        assert syncing.wait(CLIENT_WITHIN_S)
        assert other.nlst() == ["receipts", "transactions"]
        go_on.set()
        assert one.voidresp().startswith("226")


# -- what the operator is told


def test_journal_tells_a_session(said: Said, ftp: FtpHere) -> None:
    ftp.put(LATER)
    (ended,) = wait_for("its end", lambda: said("session.ended"))
    assert (ended["door"], ended["customer"], ended["peer"]) == ("ftp", "acme", HOST)
    assert (ended["uploads"], ended["broken"], ended["size_bytes"]) == (1, 0, len(LATER))
    assert said("session.opened")
    assert said("login.accepted")[0]["method"] == "password"
    assert said("password.in_clear")[0]["customer"] == "acme"


def test_password_over_tls_is_not_said_to_be_in_the_clear(said: Said, ftp: FtpHere) -> None:
    with ftp.client(tls=True):
        assert said("login.accepted")
    assert said("password.in_clear") == []


@pytest.mark.parametrize(
    ("name", "reason"), [("acme", "wrong-password"), ("nobody", "unknown-customer")]
)
def test_journal_tells_why_a_login_failed(said: Said, ftp: FtpHere, name: str, reason: str) -> None:
    ftp.answers(f"USER {name}", "PASS wrong")
    assert [each["reason"] for each in said("login.refused")] == [reason]


def test_right_password_from_elsewhere_hears_what_a_wrong_one_does(
    said: Said, ftp: FtpHere
) -> None:
    wrong = ftp.answers("USER acme", "PASS wrong")
    ftp.let_in_from("192.0.2.0/24")
    assert ftp.answers("USER acme", f"PASS {PASSWORD}") == wrong
    reasons = [event["reason"] for event in said("login.refused")]
    assert reasons == ["wrong-password", "forbidden-source"]
    ftp.let_in_from("127.0.0.1")
    assert ftp.answers("USER acme", f"PASS {PASSWORD}")[1][:3] == "230"
