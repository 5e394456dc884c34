"""What one client may cost the others: floods before the login, answers that nobody takes."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import paramiko
import pytest
from paramiko.message import Message

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import HOST, Door
from tests.doors.sftp_packets import (
    HANDLE,
    INIT,
    NO_ATTRS,
    VERSION,
    logged_in,
    name_of,
    packets,
    text,
)
from tilldrop import guard
from tilldrop.config_guard import GuardSettings
from tilldrop.doors import (
    ftp_login,
    ftp_session,
    sftp_connection,
    sftp_session,
    sftp_transport,
    sftp_wire,
)
from tilldrop.doors.sftp_connection import PACKET_LEAST_BYTES, STARTING_MOST
from tilldrop.doors.sftp_transport import EXCHANGE_BYTES_MOST

if TYPE_CHECKING:
    from tests.doors.ftp_door import FtpHere, Said
    from tilldrop.view import Entry

WITHIN_S = 30
IGNORE = struct.pack("!IBB", 12, 6, 2) + bytes(10)  # an SSH packet that says nothing
OPEN, READ, OPENDIR, READDIR, STAT, FXF_READ = 3, 5, 11, 12, 17, 1
READ_BYTES = 255 * 1024
FLOOD = 32  # answers of READ_BYTES: 8 MB
BUFFERED_MOST = 2 * 1024**2


# before the login


def test_stranger_who_floods_is_hung_up_on(door: Door, said: Said) -> None:
    with socket.create_connection((HOST, door.port), WITHIN_S) as sock:
        sock.sendall(b"SSH-2.0-flood\r\n" + IGNORE * (EXCHANGE_BYTES_MOST // len(IGNORE)))
        with suppress(ConnectionError):
            while sock.recv(4096):
                pass
    wait_for("its end", lambda: said("login.abandoned"))
    assert said("login.abandoned")[0]["reason"] == "More came than a login takes"


def test_stranger_exchanges_keys_once(door: Door, said: Said) -> None:
    with closing(paramiko.Transport((HOST, door.port))) as stranger:
        stranger.start_client(timeout=WITHIN_S)
        with pytest.raises((paramiko.SSHException, EOFError)):
            stranger.renegotiate_keys()
    wait_for("its end", lambda: said("login.abandoned"))
    assert said("login.abandoned")[0]["reason"] == "Keys are exchanged once before the login"


def test_customer_may_have_keys_exchanged_again(door: Door) -> None:
    with logged_in(door.port) as transport:
        transport.renegotiate_keys()
        session = paramiko.SFTPClient.from_transport(transport)
        assert session is not None
        assert session.listdir("receipts") == []


def test_password_whose_answer_is_not_awaited_has_its_price(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = threading.Event()
    monkeypatch.setattr(
        door.customers, "check_password", lambda *_: checked.wait(WITHIN_S) and None
    )
    door.config = replace(door.config, guard=GuardSettings(failed_login_s=0, no_login_s=7))
    with closing(paramiko.Transport((HOST, door.port))) as stranger:
        stranger.start_client(timeout=WITHIN_S)
        asked = Message()
        asked.add_byte(b"\x05")
        asked.add_string("ssh-userauth")
        stranger._send_message(asked)  # type: ignore[attr-defined]
        for word in ("one", "two"):
            tried = Message()
            tried.add_byte(b"\x32")
            for field in ("acme", "ssh-connection", "password"):
                tried.add_string(field)
            tried.add_boolean(b=False)
            tried.add_string(word)
            stranger._send_message(tried)  # type: ignore[attr-defined]
        try:
            wait_for("the price of the first", door.guard.penalties)
        finally:
            checked.set()
    assert door.guard.penalties()[0].last is guard.Offence.NO_LOGIN


# names tell nothing by the time that their refusal takes


def test_refusal_ends_with_a_whole_step(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def refuse(passed_s: float) -> None:
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as patched:
            patched.setattr(loop, "time", lambda: 100.0 + passed_s)
            await guard.even_out(100.0, 0.25)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for passed_s in (0.0, 0.0625, 0.3125):
        asyncio.run(refuse(passed_s))
    assert slept == [0.25, 0.1875, 0.1875]


@pytest.mark.parametrize("name", ["acme", "nobody"])
def test_every_refusal_by_sftp_is_evened_out(
    door: Door, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _steps(monkeypatch, sftp_connection)
    mine = paramiko.ECDSAKey.generate()
    for proof in ({"pkey": mine}, {"password": "wrong"}):
        with closing(paramiko.Transport((HOST, door.port))) as stranger:
            stranger.start_client(timeout=WITHIN_S)
            with pytest.raises(paramiko.AuthenticationException):
                _log_in(stranger, name, proof)
    assert steps == [sftp_connection.KEY_REFUSED_STEP_S, guard.REFUSED_STEP_S]


@pytest.mark.parametrize("name", ["acme", "nobody"])
def test_every_refusal_by_ftp_is_evened_out(
    ftp: FtpHere, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = _steps(monkeypatch, ftp_login)
    with socket.create_connection((HOST, ftp.port), WITHIN_S) as sock:
        lines = sock.makefile("rb")
        sock.sendall(f"USER {name}\r\nPASS wrong\r\n".encode())
        assert [lines.readline()[:3] for _ in range(3)] == [b"220", b"331", b"530"]
    assert steps == [guard.REFUSED_STEP_S]


def _steps(monkeypatch: pytest.MonkeyPatch, door: Any) -> list[float]:
    steps: list[float] = []

    async def note(_began: float, step_s: float) -> None:
        steps.append(step_s)

    monkeypatch.setattr(door, "even_out", note)
    return steps


def _log_in(stranger: paramiko.Transport, name: str, proof: dict[str, Any]) -> None:
    if "pkey" in proof:
        stranger.auth_publickey(name, proof["pkey"])
    else:
        stranger.auth_password(name, proof["password"])


# after the login


def test_answers_that_the_channel_has_no_room_for_are_not_made(door: Door) -> None:
    door.put(os.urandom(READ_BYTES))
    assert door.do(_flood(door, window=4096)) < BUFFERED_MOST


def test_answers_that_are_not_read_off_the_wire_are_not_made(door: Door) -> None:
    door.put(os.urandom(READ_BYTES))
    assert door.do(_flood(door, window=1 << 30)) < BUFFERED_MOST


async def _flood(door: Door, window: int) -> int:
    """Ask for much and take none of it; return how much the door holds for us, at most."""
    held = 0
    async with await door.connect() as connection:
        options: dict[str, Any] = {"window": window, "encoding": None}
        writer, reader, _ = await connection.open_session(subsystem="sftp", **options)
        writer.write(text(struct.pack("!BI", INIT, 3)))
        assert (await _packet(reader))[0] == VERSION
        asked = text(b"sales.csv") + struct.pack("!I", FXF_READ) + NO_ATTRS
        writer.write(text(struct.pack("!BI", OPEN, 1) + asked))
        answer = await _packet(reader)
        assert answer[0] == HANDLE
        transport = vars(connection)["_transport"]
        transport.pause_reading()
        read = struct.pack("!BI", READ, 2) + answer[5:] + struct.pack("!QI", 0, READ_BYTES)
        writer.write(text(read) * FLOOD)
        async with door.session() as other:  # each of its turns is one of the flood's as well
            for _ in range(FLOOD):
                async with other.open("sales.csv", "rb") as file:
                    await file.read()
                held = max(held, _held(door))
        transport.resume_reading()
    return held


async def _packet(reader: Any) -> bytes:
    size = int.from_bytes(await reader.readexactly(4), "big")
    return bytes(await reader.readexactly(size))


def _held(door: Door) -> int:
    """Return how many bytes of answers are in memory."""
    found = 0
    for one in vars(door.sftp)["_connections"]:
        connection = vars(vars(one)["_conn"])
        if connection["_transport"] is not None:
            found += connection["_transport"].get_write_buffer_size()
        found += sum(each._send_buf_len for each in connection["_channels"].values())
    return found


def test_packets_of_a_byte_are_refused(door: Door) -> None:
    async def ask(packet_bytes: int) -> int:
        async with await door.connect() as connection:
            options: dict[str, Any] = {"max_pktsize": packet_bytes, "encoding": None}
            writer, reader, _ = await connection.open_session(subsystem="sftp", **options)
            writer.write(text(struct.pack("!BI", INIT, 3)))
            answer = await _packet(reader)
        return answer[0]

    assert door.do(ask(PACKET_LEAST_BYTES)) == VERSION
    with pytest.raises((asyncssh.Error, OSError, EOFError)):
        door.do(ask(PACKET_LEAST_BYTES - 1))


def test_channels_without_a_session_are_few(door: Door) -> None:
    with logged_in(door.port) as transport:
        channels = [transport.open_session(timeout=WITHIN_S) for _ in range(STARTING_MOST)]
        with pytest.raises(paramiko.ChannelException):
            transport.open_session(timeout=WITHIN_S)
        channels[0].invoke_subsystem("sftp")
        channels.append(transport.open_session(timeout=WITHIN_S))
        with pytest.raises(paramiko.ChannelException):
            transport.open_session(timeout=WITHIN_S)
        channels.pop().close()
        wait_for("room again", lambda: _opens(transport))


def _opens(transport: paramiko.Transport) -> bool:
    try:
        transport.open_session(timeout=WITHIN_S)
    except paramiko.ChannelException:
        return False
    return True


def test_connections_without_a_session_are_few(
    door: Door, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_connection, "SPARE_CONNECTIONS", 1)
    door.limit(max_sessions=1)
    with logged_in(door.port), logged_in(door.port), closing(_third(door)) as third:
        wait_for("its end", lambda: not third.is_active())
    assert [event["code"] for event in said("request.refused")] == ["too-many-sessions"]
    wait_for("the ends of all", lambda: not door.sftp._connections)
    with door.paramiko() as session:
        assert session.listdir("receipts") == []


def _third(door: Door) -> paramiko.Transport:
    transport = paramiko.Transport((HOST, door.port))
    with suppress(paramiko.SSHException, EOFError):
        transport.connect(username="acme", password=PASSWORD)
    return transport


def test_flood_of_a_customer_is_read_with_pauses(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with logged_in(door.port) as transport:
        monkeypatch.setattr(sftp_transport, "HEAVY_S", 0.0)
        monkeypatch.setattr(sftp_transport, "HEAVY_REST", 10_000)
        transport.send_ignore(4)
        wait_for("a pause", lambda: not any(each.is_reading() for each in _transports(door)))
        wait_for("its end", lambda: all(each.is_reading() for each in _transports(door)))


def _transports(door: Door) -> list[asyncio.Transport]:
    found = [vars(vars(one)["_conn"])["_transport"] for one in vars(door.sftp)["_connections"]]
    return [each for each in found if each is not None]


def test_requests_that_outlive_their_connection_are_few(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_wire, "ANSWERED_AFTER_END", 5)
    asked: list[bytes] = []
    going_on = asyncio.Event()

    async def stat(_answers: object, path: bytes) -> asyncssh.SFTPAttrs:
        asked.append(path)
        await going_on.wait()
        return asyncssh.SFTPAttrs()

    monkeypatch.setattr(sftp_session.Answers, "stat", stat)
    with logged_in(door.port) as transport, packets(transport) as session:
        session.begin()
        for number in range(100):
            session.send(struct.pack("!BI", STAT, number) + text(b"a"))
        wait_for("the first", lambda: asked)
    wait_for("the connection's end", lambda: not vars(door.sftp)["_connections"])
    door.call(going_on.set)
    wait_for("the session's end", lambda: not door.sftp.sessions)
    assert len(asked) == 1 + 5


# listings


def test_names_of_a_folder_are_written_as_they_are_asked_for(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def note(entry: Entry, *_: object) -> bytes:
        written.append(entry.name)
        return b""

    monkeypatch.setattr(sftp_session, "long_name", note)
    with logged_in(door.port) as transport, packets(transport) as session:
        session.begin()
        folder = session.handle(OPENDIR, text(b"/"))
        assert written == []
        assert name_of(session.ask(READDIR, folder)) == "NAME"
    assert "receipts" in written


def test_others_have_their_turn_while_a_listing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftp_session, "LINES_AT_ONCE", 2)
    turns: list[object] = []

    async def another() -> None:
        for _ in range(3):
            turns.append("another")
            await asyncio.sleep(0)

    async def write() -> None:
        beside = asyncio.create_task(another())
        async for some in ftp_session._by_parts(iter([b"a", b"b", b"c", b"d", b"e"])):
            turns.append(some)  # noqa: PERF401  others append in between
        await beside

    asyncio.run(write())
    assert turns == [[b"a", b"b"], "another", [b"c", b"d"], "another", [b"e"], "another"]
