"""The SFTP door and real clients: every way an upload can end, and what a view answers."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import asyncssh
import paramiko
import pytest

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CONTENT, HOST, LATER, Door
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# -- finished


def _by_sftp(door: Door, local: Path, key: Path | None) -> None:
    ended = door.sftp_batch(f"put {local} sales.csv", key=key)
    assert ended.returncode == 0, ended.stderr


def _by_sftp_keeping_times(door: Door, local: Path, key: Path | None) -> None:
    ended = door.sftp_batch(f"put -p {local} sales.csv", key=key)
    assert ended.returncode == 0, ended.stderr


def _by_scp(door: Door, local: Path, key: Path | None) -> None:
    words = ["scp", "-s", "-p", *door.ssh_options(key), str(local), f"acme@{HOST}:sales.csv"]
    ended = door.run(*door.typing(key), *words, SSHPASS=PASSWORD)
    assert ended.returncode == 0, ended.stderr


def _by_rclone(door: Door, local: Path, key: Path | None) -> None:
    ended = door.rclone("copyto", str(local), ":sftp:sales.csv", key=key)
    assert ended.returncode == 0, ended.stderr


def _by_paramiko(door: Door, local: Path, key: Path | None) -> None:
    secret = paramiko.Ed25519Key.from_private_key_file(str(key)) if key else None
    with paramiko.Transport((HOST, door.port)) as transport:
        transport.connect(username="acme", password=None if key else PASSWORD, pkey=secret)
        session = paramiko.SFTPClient.from_transport(transport)
        assert session is not None
        session.put(str(local), "sales.csv")  # asks for the size afterwards


def _by_psftp(door: Door, local: Path, key: Path | None) -> None:
    login: tuple[str, ...] = ("-pw", PASSWORD)
    if key:
        secret = key.with_suffix(".ppk")
        made = door.run("puttygen", str(key), "-O", "private", "-o", str(secret))
        assert made.returncode == 0, made.stderr
        login = ("-i", str(secret))
    ended = door.psftp(f"put {local} sales.csv", login=login)
    assert ended.returncode == 0, ended.stderr


def _by_curl(door: Door, local: Path, key: Path | None) -> None:
    login = ["--key", str(key), "--pubkey", f"{key}.pub", "-u", "acme:"]
    words = ["curl", "-sS", "-k", "-T", str(local), f"sftp://{HOST}:{door.port}/sales.csv"]
    ended = door.run(*words, *(login if key else ["-u", f"acme:{PASSWORD}"]))
    if ended.returncode == 1:
        pytest.fail("curl here has no SFTP: use the one of Debian's package curl")
    assert ended.returncode == 0, ended.stderr


def _by_lftp(door: Door, local: Path, key: Path | None) -> None:
    connect = " ".join(["ssh", "-a", "-x", *door.ssh_options(key)])
    script = f'set sftp:connect-program "{connect}"; put {local} -o sales.csv'
    words = ["lftp", "-u", f"acme,{PASSWORD}", "-e", f"{script}; bye", f"sftp://{HOST}"]
    ended = door.run(*words)
    assert ended.returncode == 0, ended.stderr


CLIENTS = [
    _by_sftp,
    _by_sftp_keeping_times,
    _by_scp,
    _by_rclone,
    _by_paramiko,
    _by_psftp,
    _by_curl,
    _by_lftp,
]


@pytest.mark.parametrize("put", CLIENTS, ids=lambda each: each.__name__.removeprefix("_by_"))
@pytest.mark.parametrize("login", ["password", "key"])
def test_upload_arrives_as_it_was_sent(
    door: Door,
    local: Path,
    put: Callable[[Door, Path, Path | None], None],
    login: str,
    request: pytest.FixtureRequest,
) -> None:
    put(door, local, request.getfixturevalue("key") if login == "key" else None)
    delivery = door.only()
    assert (delivery.state, delivery.name, delivery.door) == (State.ARRIVED, "sales.csv", "sftp")
    assert delivery.size_bytes == len(CONTENT)
    assert door.bytes_of(delivery) == CONTENT


@pytest.mark.parametrize("size", [32_769, 65_536, 1_000_003])
def test_padded_writes_of_old_rclone_leave_no_padding(
    door: Door, tmp_path: Path, size: int
) -> None:
    local = tmp_path / "sales.csv"
    local.write_bytes(os.urandom(size))
    _by_rclone(door, local, None)
    assert door.bytes_of(door.only()) == local.read_bytes()


def test_file_is_acknowledged_only_when_it_has_arrived(door: Door) -> None:
    with door.paramiko() as session:
        file = session.open("a.csv", "wb")
        file.write(CONTENT)
        file.flush()
        assert door.only().state is State.RECEIVING
        file.close()
        assert door.only().state is State.ARRIVED


# -- not finished


def _is_receiving(door: Door) -> bool:
    files = list((door.config.paths.spool / "receiving").iterdir())
    return bool(files) and files[0].stat().st_size > 0


@pytest.mark.parametrize("victim", ["all", "sftp"])
def test_killed_client_leaves_a_broken_upload(
    door: Door, key: Path, tmp_path: Path, victim: str
) -> None:
    local = tmp_path / "large.csv"
    local.write_bytes(bytes(7_000_000))
    # At 16 Mbit/s it takes 3.5 s, so that it is killed on the way.
    words = ["sftp", "-q", "-l", "16000", *door.ssh_options(key), f"acme@{HOST}"]
    client = door.start(*words)
    assert client.stdin is not None
    client.stdin.write(f"put {local} large.csv\n".encode())
    client.stdin.flush()
    wait_for("some bytes", lambda: _is_receiving(door))
    if victim == "all":
        os.killpg(client.pid, signal.SIGKILL)
    else:
        client.kill()  # its ssh then ends the channel in good order
    client.wait()
    client.stdin.close()
    broken = door.wait_for_state(State.BROKEN)
    assert 0 < broken.size_bytes < 7_000_000


def _drop_connection(session: paramiko.SFTPClient) -> None:
    transport = session.get_channel().get_transport()  # type: ignore[union-attr]
    transport.sock.close()


def _end_channel(session: paramiko.SFTPClient) -> None:
    session.get_channel().shutdown_write()  # type: ignore[union-attr]


def _close_channel(session: paramiko.SFTPClient) -> None:
    session.get_channel().close()  # type: ignore[union-attr]


def _log_out(session: paramiko.SFTPClient) -> None:
    session.get_channel().get_transport().close()  # type: ignore[union-attr]


@pytest.mark.parametrize("end", [_drop_connection, _end_channel, _close_channel, _log_out])
def test_session_that_ends_with_the_file_open_leaves_it_broken(
    door: Door, end: Callable[[paramiko.SFTPClient], None]
) -> None:
    with door.paramiko() as session:
        file = session.open("a.csv", "wb")
        file.write(CONTENT)
        file.stat()  # so that every write is answered
        end(session)
        broken = door.wait_for_state(State.BROKEN)
    assert broken.size_bytes == len(CONTENT)


def test_broken_upload_is_resumed_where_it_broke_off(door: Door, local: Path) -> None:
    with door.paramiko() as session:
        file = session.open("sales.csv", "wb")
        file.write(CONTENT[:50_000])
        file.stat()
        _end_channel(session)
        door.wait_for_state(State.BROKEN)
    ended = door.sftp_batch("ls -l sales.csv", f"reput {local} sales.csv")
    assert ended.returncode == 0, ended.stderr
    assert " 50000 " in ended.stdout
    assert door.bytes_of(door.wait_for_state(State.ARRIVED)) == CONTENT


def test_curl_appends_to_a_broken_upload(door: Door, local: Path) -> None:
    with door.paramiko() as session:
        file = session.open("sales.csv", "wb")
        file.write(CONTENT[:50_000])
        file.stat()
        _end_channel(session)
        door.wait_for_state(State.BROKEN)
    local.write_bytes(CONTENT[50_000:])
    words = ["curl", "-sS", "-k", "-a", "-T", str(local), "-u", f"acme:{PASSWORD}"]
    ended = door.run(*words, f"sftp://{HOST}:{door.port}/sales.csv")
    assert ended.returncode == 0, ended.stderr
    assert door.bytes_of(door.wait_for_state(State.ARRIVED)) == CONTENT


def test_writes_out_of_order_that_join_up_are_a_whole_file(door: Door) -> None:
    async def send() -> None:
        async with door.session() as sftp, sftp.open("a.csv", "wb") as file:
            for at in (60_000, 0, 30_000, 90_000):
                await file.write(CONTENT[at : at + 30_000], at)

    door.do(send())
    assert door.bytes_of(door.only()) == CONTENT[:120_000]


def test_file_with_a_gap_is_refused_and_broken(door: Door) -> None:
    async def send() -> None:
        async with door.session() as sftp, sftp.open("a.csv", "wb") as file:
            await file.write(b"beginning")
            await file.write(b"end", 100)

    with pytest.raises(asyncssh.SFTPFailure, match="Parts of the file are missing"):
        door.do(send())
    assert door.only().state is State.BROKEN
    assert door.only().size_bytes == len(b"beginning")


def test_file_past_the_limit_is_refused_and_the_door_goes_on(door: Door, tmp_path: Path) -> None:
    local = tmp_path / "large.csv"
    local.write_bytes(bytes(8_000_001))
    assert door.sftp_batch(f"put {local} large.csv").returncode
    assert door.only().state is State.BROKEN
    local.write_bytes(bytes(8_000_000))
    assert door.sftp_batch(f"put {local} large.csv").returncode == 0


def test_file_at_an_absurd_offset_takes_no_room(door: Door) -> None:
    for offset in (2**40, 2**63, 2**64 - 6):

        async def send(at: int) -> None:
            async with door.session() as sftp, sftp.open("a.csv", "wb") as file:
                await file.write(b"bytes", at)

        with pytest.raises(asyncssh.SFTPFailure, match=r"larger than|send it again"):
            door.do(send(offset))
    assert {each.state for each in door.deliveries()} == {State.BROKEN}


def test_more_open_files_than_allowed_are_refused(door: Door) -> None:
    with door.paramiko() as session:
        files = [session.open(f"{n}.csv", "wb") for n in range(4)]
        with pytest.raises(OSError, match="Too many open files"):
            session.open("5.csv", "wb")
        files[0].close()
        session.open("5.csv", "wb").close()


# -- the last upload wins


def test_file_sent_again_is_a_new_delivery(door: Door) -> None:
    door.put(CONTENT)
    door.put(LATER)
    assert [each.state for each in door.deliveries()] == [State.ARRIVED] * 2
    with door.paramiko() as session, session.open("sales.csv", "rb") as file:
        assert file.read() == LATER


def test_same_name_may_not_be_wanted_new(door: Door) -> None:
    door.put(CONTENT)
    with door.paramiko() as session, pytest.raises(OSError, match="already something"):
        session.open("sales.csv", "wx")


def test_upload_under_a_temporary_name_arrives_with_its_rename(door: Door, local: Path) -> None:
    ended = door.sftp_batch(
        f"put {local} sales.csv.filepart", "rename sales.csv.filepart sales.csv"
    )
    assert ended.returncode == 0, ended.stderr
    delivery = door.only()
    assert (delivery.name, delivery.state) == ("sales.csv", State.ARRIVED)


def test_rename_onto_a_delivered_name_delivers_it_again(door: Door) -> None:
    door.put(CONTENT)
    with door.paramiko() as session:
        with session.open("sales.csv.filepart", "wb") as file:
            file.write(LATER)
        session.remove("sales.csv")  # how an upload program makes room: does nothing
        session.rename("sales.csv.filepart", "sales.csv")
    assert [each.name for each in door.deliveries()] == ["sales.csv", "sales.csv"]
    assert door.bytes_of(door.deliveries()[-1]) == LATER
