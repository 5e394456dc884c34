"""How many FTP connections there may be, for how long, and with whom."""

from __future__ import annotations

import errno
import ftplib
import io
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CLIENT_WITHIN_S, HOST, LATER
from tilldrop.config_guard import GuardSettings
from tilldrop.delivery import State
from tilldrop.doors.ftp import Ftp
from tilldrop.errors import PortTaken
from tilldrop.guard import Offence
from tilldrop.intake import POOL_THREADS
from tilldrop.password_checks import CHECKS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doors.ftp_door import FtpHere, Said


def test_one_source_cannot_take_all_connections(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(max_per_source=2)
    with door.client(), door.client():
        with pytest.raises(ftplib.error_temp, match=r"^421 Too many connections"):
            door.connected()
        other = ftplib.FTP()
        other.connect(HOST, door.port, CLIENT_WITHIN_S, source_address=("127.0.0.2", 0))
        other.close()
    wait_for("their ends", lambda: not door.ftp._sources)
    with door.client():
        pass


def test_connections_are_counted_in_all(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(max_connections=1)
    with door.client(), pytest.raises(ftplib.error_temp, match=r"^421"):
        door.connected()


def test_who_does_not_log_in_is_shown_out(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(login_timeout_s=0.2)
    client = door.connected()
    assert client.getline() == "421 Idle for too long."
    client.close()
    wait_for("its end", lambda: not door.ftp._connections)


def test_who_asks_nothing_is_shown_out(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(idle_timeout_s=0.4)
    with door.client() as client:
        assert client.getline() == "421 Idle for too long."
    wait_for("its end", lambda: not door.ftp._connections)


def test_upload_that_goes_on_is_not_idle(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(idle_timeout_s=1.0)
    with door.client() as client:
        data = client.transfercmd("STOR sales.csv")
        for _ in range(8):
            data.sendall(b"x")
            threading.Event().wait(0.25)  # time that passes is what this is about
        data.close()
        assert client.voidresp().startswith("226")


def test_too_many_commands_ahead_end_the_connection(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(
        ftp.customers, "check_password", lambda *_: go_on.wait(CLIENT_WITHIN_S) and None
    )
    with socket.create_connection((HOST, ftp.port), CLIENT_WITHIN_S) as plain:
        plain.recv(100)
        plain.sendall(b"USER acme\r\nPASS x\r\n" + b"NOOP\r\n" * 100)
        assert b"421 Too many commands" in plain.makefile("rb").read()
    go_on.set()


def test_password_of_one_who_is_gone_is_not_checked(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    checked: list[str] = []

    def slow(name: str, *_: str) -> None:
        checked.append(name)
        go_on.wait(CLIENT_WITHIN_S)

    monkeypatch.setattr(ftp.customers, "check_password", slow)
    for number in range(CHECKS_AT_ONCE + 5):
        with socket.create_connection((HOST, ftp.port), CLIENT_WITHIN_S) as plain:
            plain.recv(100)
            plain.sendall(f"USER guess{number}\r\nPASS x\r\n".encode())
            lines = plain.makefile("rb")
            assert lines.readline().startswith(b"331")
            if number < CHECKS_AT_ONCE:
                wait_for("its check", lambda: len(checked) > number)  # noqa: B023
    wait_for("their ends", lambda: not ftp.ftp._connections)
    go_on.set()
    wait_for("the last sessions' ends", lambda: not ftp.ftp._endings)
    assert checked == [f"guess{number}" for number in range(CHECKS_AT_ONCE)]


def test_password_whose_answer_is_not_awaited_has_its_price(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    ftp.config = replace(ftp.config, guard=GuardSettings(failed_login_s=0, no_login_s=7))
    client = ftp.connected()
    with pytest.raises(ftplib.error_perm):
        client.login("acme", "wrong")
    monkeypatch.setattr(
        ftp.customers, "check_password", lambda *_: go_on.wait(CLIENT_WITHIN_S) and None
    )
    client.sendcmd("USER acme")
    client.putcmd("PASS other")
    (control,) = ftp.ftp._connections
    wait_for("its check", lambda: control._checking is not None and not control._checking.done())
    client.close()
    try:
        (penalty,) = wait_for("the price", ftp.guard.penalties)
    finally:
        go_on.set()
    assert 0 < penalty.seconds <= 7
    assert penalty.last is Offence.NO_LOGIN


@pytest.mark.parametrize("farewell", [b"", b"ABOR\r\n"], ids=["goes", "gives-up"])
def test_client_that_ends_a_transfer_while_it_is_opened_is_not_waited_for(
    ftp: FtpHere, farewell: bytes
) -> None:
    go_on = threading.Event()
    with ftp.client() as client:
        assert client.sock is not None
        client.sendcmd("EPSV")
        for _ in range(POOL_THREADS):  # the disk is slow
            ftp.intake.pool.submit(go_on.wait, CLIENT_WITHIN_S)
        client.sock.sendall(b"STOR sales.csv\r\n")
        (control,) = ftp.ftp._connections
        wait_for("the upload to be opened", lambda: control._answering)
        client.sock.sendall(farewell)
        if not farewell:
            client.close()
        wait_for("the end to be seen", lambda: control._given_up or control._closed)
        go_on.set()
        # Well below the 30 s in which a client may call the port.
        wait_for("the end of the transfer", lambda: control._answering is None, 15)


def test_customer_that_is_disabled_is_shown_out_at_a_reload(ftp: FtpHere) -> None:
    with ftp.client() as client:
        ftp.disable("acme")
        ftp.call(ftp.ftp.reload)
        assert client.getline() == "421 The account is closed."


def test_door_that_cannot_accept_for_a_moment_goes_on_later(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    monkeypatch.setattr("tilldrop.doors.ftp.ACCEPT_AGAIN_S", 0.05)
    (listener,) = ftp.ftp.listeners

    def fail() -> None:
        monkeypatch.undo()
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(listener, "accept", fail)
    with ftp.client():
        assert "Too many open files" in said("door.troubled")[0]["text"]


def test_taken_port_is_said_clearly(ftp: FtpHere) -> None:
    config = replace(ftp.config, ftp=replace(ftp.config.ftp, port=ftp.port))
    second = Ftp(config.ftp, ftp.intake, ftp.customers, lambda: config, ftp._checks, ftp.guard)
    with pytest.raises(PortTaken, match=rf"ftp: cannot listen on {HOST}:{ftp.port}: Address"):
        ftp.do(second.start())


def test_stop_ends_sessions_and_leaves_open_uploads_broken(ftp: FtpHere) -> None:
    with (
        ftp.client() as client,
        ftp.client() as idle,
        client.transfercmd("STOR sales.csv") as data,
    ):
        data.sendall(LATER)
        wait_for("an upload", lambda: ftp.intake.uploads)
        ftp.do(ftp.ftp.stop())
        assert idle.getline() == "421 The server is restarting."
        assert ftp.only().state is State.BROKEN
    assert ftp.ftp.sessions == 0


# -- data connections


def test_data_port_is_for_the_client_alone(ftp: FtpHere, said: Said) -> None:
    with ftp.client() as client:
        host, port = client.makepasv()
        with socket.create_connection((host, port), CLIENT_WITHIN_S, ("127.0.0.2", 0)) as stranger:
            assert stranger.recv(1) == b""
        with socket.create_connection((host, port), CLIENT_WITHIN_S) as data:
            client.sendcmd("STOR sales.csv")
            data.sendall(LATER)
        client.voidresp()
    assert [each["peer"] for each in said("connection.refused")] == ["127.0.0.2"]


@pytest.mark.parametrize(
    "command",
    [
        "PORT 127,0,0,2,200,1",
        "PORT 127,0,0,1,0,22",
        "PORT 1,2,3",
        "EPRT |1|127.0.0.2|51201|",
        "EPRT |1|example.org|51201|",
        "EPRT |2|::1|51201|",
        "EPRT nonsense",
    ],
)
def test_nobody_else_is_called(ftp: FtpHere, command: str) -> None:
    with ftp.client() as client, pytest.raises(ftplib.error_perm, match=r"^501|^522"):
        client.sendcmd(command)


def test_passive_ports_are_those_of_the_setting_and_no_others(
    open_ftp: Callable[..., FtpHere],
) -> None:
    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    door = open_ftp(passive_ports=f"{port}-{port}", masquerade_address="203.0.113.7")
    with door.client() as client, door.client() as other:
        assert client.sendcmd("PASV").endswith(f"(203,0,113,7,{port // 256},{port % 256}).")
        assert client.sendcmd("EPSV") == f"229 Call that port (|||{port}|)."
        with pytest.raises(ftplib.error_temp, match=r"^425 No data connection"):
            other.sendcmd("EPSV")
        client.sendcmd("ABOR")
        assert other.sendcmd("EPSV") == f"229 Call that port (|||{port}|)."


def test_door_serves_ipv6_too(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(listen="::")
    for host, active in (("::1", False), ("::1", True), (HOST, False), (HOST, True)):
        client = ftplib.FTP()
        client.connect(host, door.port, CLIENT_WITHIN_S)
        client.login("acme", PASSWORD)
        client.set_pasv(not active)
        client.storbinary("STOR sales.csv", io.BytesIO(LATER))
        if host == "::1":
            with pytest.raises(ftplib.error_perm, match=r"^522 Use EPSV"):
                client.sendcmd("PASV")
            with socket.create_server(("::1", 0), family=socket.AF_INET6) as waiting:
                port = waiting.getsockname()[1]
                assert client.sendcmd(f"EPRT |2|0:0:0:0:0:0:0:1|{port}|").startswith("200")
        client.close()
    assert [each.state for each in door.deliveries()] == [State.ARRIVED] * 4


def test_sessions_of_a_customer_are_counted_over_all_its_connections(ftp: FtpHere) -> None:
    ftp.limit(max_sessions=1)
    with ftp.client():
        other = ftp.connected()
        with pytest.raises(ftplib.error_temp, match=r"^421 Too many sessions of this account"):
            other.login("acme", PASSWORD)
        other.close()
    wait_for("its end", lambda: not ftp.ftp.sessions)
    with ftp.client():
        pass
    assert not ftp.guard.penalties()


@pytest.mark.parametrize(
    ("own", "reply"),
    [
        ({"max_file_bytes": 10}, "552 The file is larger"),
        ({"max_stored_bytes": 10}, "452 The storage for this account is used up"),
        ({"max_uploads_a_day": 1}, "450 Too many uploads today"),
    ],
)
def test_limit_of_a_customer_has_its_reply(ftp: FtpHere, own: dict[str, int], reply: str) -> None:
    ftp.limit(**own)
    with ftp.client() as client:
        client.storbinary("STOR a.csv", io.BytesIO(b"1234567890"))
        with pytest.raises(ftplib.Error, match=f"^{reply}"):
            client.storbinary("STOR b.csv", io.BytesIO(LATER))
    assert [each.name for each in ftp.deliveries(State.ARRIVED)] == ["a.csv"]


def test_full_disk_refuses_uploads_for_now(ftp: FtpHere) -> None:
    ftp.spool.reserve_bytes = 1 << 60
    with ftp.client() as client, pytest.raises(ftplib.error_temp, match=r"^452 Storage is full"):
        client.storbinary("STOR a.csv", io.BytesIO(LATER))
    ftp.spool.reserve_bytes = 0
    ftp.put(LATER)
    assert ftp.only().state is State.ARRIVED
