"""The way into both doors: nothing of a connection is left over, whenever and however it ends."""

from __future__ import annotations

import ftplib
import ipaddress
import socket
import struct
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import HOST, MAX_CONNECTIONS, Door

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.doors.ftp_door import FtpHere, Said

WITHIN_S = 30
CLIENT = "127.0.0.2"  # whom the proxy at 127.0.0.1 speaks for
HOME_NET = ipaddress.ip_network("127.0.0.0/8")
NETWORKS = (ipaddress.ip_network(HOST),)
BUSY_S = 0.2  # time for a reset to arrive while the loop looks elsewhere


def connected(door: Door, head: bytes = b"") -> socket.socket:
    sock = socket.create_connection((HOST, door.port), WITHIN_S)
    sock.sendall(head)
    return sock


def greeted(door: Door, head: bytes = b"") -> bool:
    with connected(door, head) as sock:
        return not is_let_go(sock)


def is_let_go(sock: socket.socket) -> bool:
    """Tell whether the door ended it without a word; with bytes left unread that is a reset."""
    try:
        return sock.recv(100) == b""
    except ConnectionResetError:
        return True


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextmanager
def not_allowed(door: Door, **settings: object) -> Iterator[None]:
    """Take this machine off the list of those that are never penalised."""
    before = door.config
    guard = replace(before.guard, allow=(), **settings)  # type: ignore[arg-type]
    door.config = replace(before, guard=guard)
    yield
    door.config = before


def knock_and_be_gone(door: Door, times: int) -> None:
    """Connect and reset while the loop is busy, so that it only ever meets closed sockets."""

    def be_busy() -> None:
        for _ in range(times):
            reset(connected(door))
        time.sleep(BUSY_S)

    door.call(be_busy)


def test_sftp_client_that_is_gone_before_ssh_begins_leaves_nothing(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    knock_and_be_gone(door, 30)
    wait_for("a greeting", lambda: greeted(door))
    wait_for("nobody to wait", lambda: door.guard.waiting == 0)
    assert not caplog.records


def test_ftp_client_that_is_gone_before_its_greeting_leaves_nothing(
    ftp: FtpHere, said: Said
) -> None:
    knock_and_be_gone(ftp, 30)
    assert greeted(ftp)
    wait_for("nobody to wait", lambda: ftp.guard.waiting == 0)
    assert not said("door.troubled")


def test_client_that_is_gone_before_it_hears_that_ftp_is_full_does_not_stop_the_door(
    open_ftp: Callable[..., FtpHere], said: Said
) -> None:
    ftp = open_ftp(max_connections=1)
    with ftp.client():
        knock_and_be_gone(ftp, 3)
        assert greeted(ftp)  # the 421
    wait_for("nobody to wait", lambda: ftp.guard.waiting == 0)
    assert not said("door.troubled")


def test_ftp_login_has_its_time_however_much_is_chattered(
    open_ftp: Callable[..., FtpHere],
) -> None:
    ftp = open_ftp(login_timeout_s=1)
    began = time.monotonic()
    with connected(ftp) as sock:
        said = b""
        while b"421" not in said and time.monotonic() < began + WITHIN_S:
            sock.sendall(b"NOOP\r\n")
            said = sock.recv(1000)
            time.sleep(0.05)  # a client that takes its time; not waited for anything
    assert b"421" in said
    assert time.monotonic() < began + 5


def test_who_is_turned_away_because_the_door_is_full_is_not_penalised(door: Door) -> None:
    with not_allowed(door), ExitStack() as inside:
        for _ in range(MAX_CONNECTIONS):
            inside.enter_context(door.paramiko())
        for _ in range(3):
            assert not greeted(door)
        assert door.guard.penalties() == []


def test_strangers_who_wait_do_not_fill_a_door(
    door: Door, open_ftp: Callable[..., FtpHere]
) -> None:
    ftp = open_ftp(max_connections=1)
    with ExitStack() as waiting:
        for _ in range(MAX_CONNECTIONS):
            assert waiting.enter_context(connected(door)).recv(100)
            assert waiting.enter_context(connected(ftp)).recv(100)
        with door.paramiko() as session:
            session.listdir("/")
        with ftp.client() as client:
            assert client.pwd() == "/"


def test_who_waits_while_the_last_place_is_taken_is_turned_away_at_its_login(
    open_ftp: Callable[..., FtpHere], door: Door, said: Said
) -> None:
    ftp = open_ftp(max_connections=1)
    late = ftp.connected()
    with not_allowed(ftp), ftp.client():
        with pytest.raises(ftplib.error_temp, match="421 Too many connections"):
            late.login("acme", PASSWORD)
        assert ftp.guard.penalties() == []
    late.close()
    door.sftp.settings = replace(door.sftp.settings, max_connections=1)
    transport = paramiko.Transport((HOST, door.port))
    transport.start_client(timeout=WITHIN_S)
    with not_allowed(door), door.paramiko():
        with suppress(paramiko.SSHException, EOFError):
            transport.auth_password("acme", PASSWORD)
        wait_for("its end", lambda: not transport.is_active())
        assert [each["reason"] for each in said("connection.refused")] == ["too-many"] * 2
        assert door.guard.penalties() == []
    transport.close()


def test_who_goes_while_its_password_is_checked_keeps_no_place(
    open_ftp: Callable[..., FtpHere],
) -> None:
    ftp = open_ftp(max_connections=1)
    for _ in range(3):
        with connected(ftp, f"USER acme\r\nPASS {PASSWORD}\r\n".encode()) as sock:
            assert sock.recv(100)
            reset(sock)
    wait_for("their ends", lambda: not ftp.ftp._connections and not ftp.ftp.sessions)
    with ftp.client() as client:
        assert client.pwd() == "/"


@pytest.mark.parametrize(
    ("address", "reply"), [(CLIENT, b"200"), (HOST, b"501")], ids=["client", "proxy"]
)
def test_behind_a_proxy_port_calls_the_client_and_never_the_proxy(
    ftp: FtpHere, address: str, reply: bytes
) -> None:
    ftp.config = replace(ftp.config, guard=replace(ftp.config.guard, proxies=NETWORKS))
    header = f"PROXY TCP4 {CLIENT} {HOST} 40000 21\r\n".encode()
    with connected(ftp, header + b"USER acme\r\nPASS ahoy-there\r\n") as sock:
        lines = sock.makefile("rb")
        assert [lines.readline()[:3] for _ in range(3)] == [b"220", b"331", b"230"]
        sock.sendall(f"PORT {address.replace('.', ',')},200,10\r\n".encode())
        assert lines.readline()[:3] == reply


def v2(command: int, address: bytes) -> bytes:
    family = {0: 0, 4: 0x11, 16: 0x21}[len(address)]
    rest = address * 2 + b"\0\x16\0\x16" if address else b""
    signature = b"\r\n\r\n\x00\r\nQUIT\n"
    return signature + struct.pack("!BBH", 0x20 | command, family, len(rest)) + rest


@pytest.mark.parametrize("kind", ["sftp", "ftp"])
def test_health_checks_of_a_proxy_never_shut_it_out(
    kind: str, request: pytest.FixtureRequest
) -> None:
    door: Door = request.getfixturevalue("door" if kind == "sftp" else "ftp")
    with not_allowed(door, proxies=NETWORKS, penalty_min_s=2):
        for _ in range(6):
            assert greeted(door, v2(0, b""))
            wait_for("its end", lambda: door.guard.waiting == 0)
        assert door.guard.penalties() == []


def test_ipv4_address_in_ipv6_form_that_a_proxy_tells_is_the_ipv4_address(
    door: Door, said: Said
) -> None:
    mapped = ipaddress.ip_address(f"::ffff:{CLIENT}").packed
    with not_allowed(door, proxies=NETWORKS, max_waiting_per_source=1):
        with connected(door, v2(1, ipaddress.ip_address(CLIENT).packed)) as first:
            assert first.recv(100)
            assert not greeted(door, v2(1, mapped))
        wait_for("its end", lambda: door.guard.waiting == 0)
    [refused] = said("connection.refused")
    assert refused["peer"] == CLIENT


def test_proxy_that_has_said_nothing_is_let_go_when_the_door_closes(door: Door) -> None:
    door.config = replace(door.config, guard=replace(door.config.guard, proxies=NETWORKS))
    with connected(door, b"PROXY ") as silent:
        wait_for("it to be taken", lambda: door.sftp._entrance._behind)
        door.call(door.sftp.stop_accepting)
        assert is_let_go(silent)
