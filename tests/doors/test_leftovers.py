"""A connection that is over leaves nothing behind that only garbage collection would find."""

from __future__ import annotations

import ftplib
import gc
import io
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import paramiko
import pytest
from asyncssh import SSHServerConnection
from asyncssh.channel import SSHChannel

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CONTENT, HOST, Door
from tilldrop.doors.ftp_control import Control
from tilldrop.doors.ftp_transfer import DataConnection
from tilldrop.doors.sftp_connection import Channel, Connection
from tilldrop.doors.sftp_session import Answers
from tilldrop.doors.sftp_wire import Wire
from tilldrop.upload import Upload
from tilldrop.visit import Visit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.doors.ftp_door import FtpHere

SERVED = (
    *(SSHServerConnection, SSHChannel, Connection, Channel, Wire, Answers),
    *(Control, DataConnection, Visit, Upload),
)


def served() -> list[object]:
    """Return all objects that serve a client, or did and were not let go."""
    return [one for one in gc.get_objects() if isinstance(one, SERVED)]


@contextmanager
def nothing_left() -> Iterator[None]:
    """Fail if what is done meanwhile leaves any of them behind; other tests may have."""
    gc.collect()
    before = served()

    def is_all_gone() -> bool:
        known = {id(one) for one in before}
        return all(id(one) in known for one in served())

    gc.disable()
    try:
        yield
        wait_for("nothing is left", is_all_gone)
    finally:
        gc.enable()


def knock(door: Door) -> None:
    socket.create_connection((HOST, door.port)).close()


def guess(door: Door) -> None:
    with paramiko.Transport((HOST, door.port)) as transport, suppress(paramiko.SSHException):
        transport.connect(username="acme", password="wrong")


def deliver(door: Door) -> None:
    with door.paramiko() as session:
        session.listdir(".")
        with session.open("a.csv", "wb") as file:
            file.write(CONTENT)
        with session.open("a.csv", "rb") as file:
            assert file.read() == CONTENT
        with pytest.raises(PermissionError):
            session.remove("a.csv")


def vanish(door: Door) -> None:
    with door.paramiko() as session:
        session.open("b.csv", "wb").write(CONTENT)
        channel = session.get_channel()
        assert channel is not None
        channel.get_transport().sock.close()


@pytest.mark.parametrize("client", [knock, guess, deliver, vanish])
def test_ended_sftp_connection_is_gone(door: Door, client: Callable[[Door], None]) -> None:
    with nothing_left():
        client(door)
        wait_for("nobody is served", lambda: not door.sftp.sessions)


@pytest.mark.parametrize("tls", [False, True])
def test_ended_ftp_connection_is_gone(open_ftp: Callable[..., FtpHere], *, tls: bool) -> None:
    door = open_ftp()
    with nothing_left():
        with door.client(tls=tls) as client:
            client.storbinary("STOR a.csv", io.BytesIO(CONTENT))
            assert "a.csv" in client.nlst()
            with pytest.raises(ftplib.error_perm):
                client.delete("a.csv")
        knock(door)
        cut = door.connected(tls=tls)
        cut.login("acme", PASSWORD)
        cut.transfercmd("STOR b.csv").close()
        cut.close()
        wait_for("nobody is served", lambda: not door.ftp.sessions)
