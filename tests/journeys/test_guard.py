"""Who fails again and again is shut out of every door; who is let in by a proxy is known."""

from __future__ import annotations

import ftplib
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.clients import HOST, Account, Paramiko
from tests.daemon import MAIN_TOML, PASSWORD, Daemon, make_home, sales, tilldrop, wait_for
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[[str], Daemon]

WITHIN_S = 30
FTP_TOML = '\n[ftp]\nenabled = true\nlisten = "127.0.0.1"\nport = 0\n'
GUARD_TOML = "\n[guard]\npenalty_min_s = 15\nfailed_login_s = 10\n"
PROXY_TOML = f'{GUARD_TOML}proxies = ["127.0.0.1"]\n'
STRANGER = "203.0.113.9"


@pytest.fixture
def start(tmp_path: Path, host_keys: Path, request: pytest.FixtureRequest) -> Start:
    def started(toml: str) -> Daemon:
        home = make_home(tmp_path / "home", host_keys, MAIN_TOML + FTP_TOML + toml)
        daemon = Daemon(home).start()
        request.addfinalizer(daemon.stop)
        return daemon

    return started


def ftp_port(daemon: Daemon) -> int:
    return int(daemon.status()["doors"]["ftp"]["port"])


def greeting(port: int, head: bytes = b"", source: str = HOST) -> bytes:
    """Return what a door says first; b"" if it hangs up without a word."""
    with socket.create_connection((HOST, port), WITHIN_S, (source, 0)) as sock:
        sock.sendall(head)
        try:
            return sock.recv(100)
        except ConnectionResetError:
            return b""


def fail_by_ftp(daemon: Daemon, times: int) -> None:
    with closing(ftplib.FTP(timeout=WITHIN_S)) as client:
        client.connect(HOST, ftp_port(daemon))
        for _ in range(times):
            with pytest.raises(ftplib.error_perm):
                client.login("acme", "wrong")


def test_who_was_known_is_so_after_a_restart(start: Start) -> None:
    daemon = start("\n[guard]\nmax_waiting = 1\n")
    with Paramiko(Account(daemon)).session() as client:
        client.listdir(".")
    daemon.stop()
    daemon.start()
    with socket.create_connection((HOST, daemon.port), WITHIN_S) as waiting:
        assert waiting.recv(100)
        assert greeting(daemon.port, source="127.0.0.2") == b""  # a stranger would have been ended


def test_failures_at_one_door_shut_all_doors_until_forgiven(start: Start) -> None:
    daemon = start(GUARD_TOML)
    assert greeting(daemon.port).startswith(b"SSH-2.0-")
    fail_by_ftp(daemon, 2)
    assert greeting(daemon.port) == b""
    assert greeting(ftp_port(daemon)) == b""
    assert greeting(daemon.port, source="127.0.0.2").startswith(b"SSH-2.0-")
    listed = json.loads(tilldrop(daemon.home, "guard", "list", "--json").stdout)
    penalty, *_ = listed["penalties"]  # the worst first
    assert (penalty["source"], penalty["is_refused"], penalty["last"]) == (
        HOST,
        True,
        "failed-login",
    )
    assert "failed-login" in tilldrop(daemon.home, "guard", "list").stdout
    assert tilldrop(daemon.home, "guard", "clear", HOST).returncode == 0
    Paramiko(Account(daemon)).listing("/")
    [shut] = daemon.events("source.shut_out")
    assert (shut["source"], shut["offence"]) == (HOST, "failed-login")


def test_a_customer_who_is_in_stays_in_while_its_source_is_shut_out(start: Start) -> None:
    daemon = start(GUARD_TOML)
    with closing(paramiko.SSHClient()) as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(HOST, daemon.port, "acme", PASSWORD, allow_agent=False, look_for_keys=False)
        fail_by_ftp(daemon, 2)
        assert greeting(daemon.port) == b""
        with client.open_sftp() as sftp, sftp.open("a.csv", "w") as file:
            file.write(sales(1, 5))
    daemon.wait_for_state("a.csv", State.IMPORTED)


def test_what_is_no_ssh_is_an_offence(start: Start) -> None:
    daemon = start("\n[guard]\nrubbish_s = 20\n")
    with socket.create_connection((HOST, daemon.port), WITHIN_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n" + b"x" * 10_000 + b"\r\n\r\n")
        while sock.recv(1000):
            pass
    wait_for("the penalty", lambda: daemon.events("source.shut_out"))
    assert greeting(daemon.port) == b""


def test_only_so_many_may_wait_for_their_login(start: Start) -> None:
    daemon = start("\n[guard]\nmax_waiting_per_source = 3\n")
    waiting = [socket.create_connection((HOST, daemon.port), WITHIN_S) for _ in range(3)]
    try:
        assert [sock.recv(4) for sock in waiting] == [b"SSH-"] * 3
        assert greeting(daemon.port) == b""
        assert greeting(ftp_port(daemon)) == b""
    finally:
        for sock in waiting:
            sock.close()
    wait_for("room again", lambda: greeting(daemon.port).startswith(b"SSH-"))


def test_client_behind_a_proxy_is_the_one_that_is_penalised(start: Start) -> None:
    daemon = start(PROXY_TOML)
    header = f"PROXY TCP4 {STRANGER} {HOST} 40000 22\r\n".encode()
    assert greeting(daemon.port, header).startswith(b"SSH-2.0-")
    for _ in range(2):
        with socket.create_connection((HOST, ftp_port(daemon)), WITHIN_S) as sock:
            sock.sendall(header)
            lines = sock.makefile("rb")
            assert lines.readline().startswith(b"220")
            sock.sendall(b"USER acme\r\nPASS wrong\r\n")
            assert [lines.readline()[:3] for _ in range(2)] == [b"331", b"530"]
    assert {event["peer"] for event in daemon.events("login.refused")} == {STRANGER}
    assert greeting(daemon.port, header) == b""
    other = header.replace(STRANGER.encode(), b"203.0.113.10")
    assert greeting(daemon.port, other).startswith(b"SSH-2.0-")


def test_login_and_upload_through_a_proxy(start: Start) -> None:
    daemon = start(PROXY_TOML)
    sock = socket.create_connection((HOST, daemon.port), WITHIN_S)
    sock.sendall(f"PROXY TCP4 {STRANGER} {HOST} 40000 22\r\n".encode())
    with closing(paramiko.Transport(sock)) as transport:
        transport.connect(username="acme", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client.open("a.csv", "w") as file:
            file.write(sales(1, 5))
    daemon.wait_for_state("a.csv", State.IMPORTED)
    assert daemon.events("login.accepted")[0]["peer"] == STRANGER


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH_9.2\r\n", b"PROXY NONSENSE\r\n"])
def test_listed_proxy_that_sends_no_header_is_hung_up_on(start: Start, head: bytes) -> None:
    daemon = start(PROXY_TOML)
    assert greeting(daemon.port, head) == b""
    [refused] = daemon.events("connection.refused")
    assert refused["reason"] == "no-proxy-header"


def test_who_is_no_listed_proxy_is_not_believed(start: Start) -> None:
    daemon = start(GUARD_TOML)
    header = f"PROXY TCP4 {STRANGER} {HOST} 40000 22\r\n".encode()
    greeting(daemon.port, header)
    with socket.create_connection((HOST, ftp_port(daemon)), WITHIN_S) as sock:
        lines = sock.makefile("rb")
        sock.sendall(header + b"USER acme\r\nPASS wrong\r\n")
        assert [lines.readline()[:3] for _ in range(4)] == [b"220", b"502", b"331", b"530"]
    assert {event["peer"] for event in daemon.events("login.refused")} == {HOST}
