"""Who gets in by SFTP, and to what."""

from __future__ import annotations

import errno
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import paramiko
import pytest

from tests.daemon import PASSWORD, make_key, wait_for
from tests.doors.conftest import HOST, Door
from tilldrop import errors
from tilldrop.delivery import State
from tilldrop.errors import PortTaken

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doors.ftp_door import Said


def _refusal(door: Door, name: str, password: str) -> str:
    """Return all that a client hears when its password is not taken."""
    words = ["ssh", *door.ssh_options(None), f"{name}@{HOST}"]
    ended = door.run(*door.typing(None), *words, SSHPASS=password)
    assert ended.returncode
    return ended.stderr.replace(name, "NAME")


# passwords


def test_wrong_unknown_and_disabled_hear_the_same(door: Door) -> None:
    wrong = _refusal(door, "acme", "wrong")
    unknown = _refusal(door, "nobody", PASSWORD)
    door.disable("acme")
    disabled = _refusal(door, "acme", PASSWORD)
    assert "Permission denied (publickey,keyboard-interactive,password)" in wrong
    assert wrong == unknown == disabled


def test_right_password_from_elsewhere_hears_what_a_wrong_one_does(
    door: Door, said: Said, key: Path
) -> None:
    wrong = _refusal(door, "acme", "wrong")
    door.let_in_from("192.0.2.0/24")
    assert _refusal(door, "acme", PASSWORD) == wrong
    assert door.sftp_batch("pwd", key=key).returncode
    reasons = [event["reason"] for event in said("login.refused")]
    assert set(reasons) == {"wrong-password", "forbidden-source"}
    assert {e["method"] for e in said("login.refused") if e["reason"] == "forbidden-source"} == {
        "password",
        "publickey",
    }
    door.let_in_from("192.0.2.0/24", "127.0.0.0/8")
    assert door.sftp_batch("pwd").returncode == 0
    assert door.sftp_batch("pwd", key=key).returncode == 0


def test_session_too_many_is_told_so_and_goes(door: Door, said: Said) -> None:
    door.limit(max_sessions=1)

    ends: list[str] = []

    class Listener(asyncssh.SSHClient):
        def connection_lost(self, exc: Exception | None) -> None:
            ends.append(str(exc))

    async def another() -> None:
        async with await door.connect(client_factory=Listener) as connection:
            await connection.start_sftp_client()

    with door.paramiko() as session:
        with pytest.raises(asyncssh.SFTPConnectionLost):
            door.do(another())
        assert ends == [f"{errors.TooManySessions.to_customer} (error 12)"]
        assert session.listdir("receipts") == []
    wait_for("its end", lambda: not door.sftp.sessions)
    assert door.sftp_batch("pwd").returncode == 0
    assert [event["code"] for event in said("request.refused")] == ["too-many-sessions"]


def test_password_is_taken_by_keyboard_interactive_too(door: Door) -> None:
    options = [
        each.replace("=password", "=keyboard-interactive") for each in door.ssh_options(None)
    ]
    words = ["sftp", "-q", *options, f"acme@{HOST}"]
    ended = door.run(*door.typing(None), *words, typed="pwd\n", SSHPASS=PASSWORD)
    assert "Remote working directory: /" in ended.stdout


def test_connection_ends_with_the_last_wrong_password_allowed(door: Door) -> None:
    tries = iter(["wrong", "wrong too", PASSWORD])

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str | None:
            return next(tries)

    async def guess() -> None:
        await door.connect(password=None, client_factory=Guesser, preferred_auth=["password"])

    with pytest.raises(asyncssh.DisconnectError, match=r"Too many attempts to log in\."):
        door.do(guess())
    assert next(tries) == PASSWORD  # never asked for, though it is right


def test_right_password_on_the_last_try_allowed_is_taken(door: Door) -> None:
    tries = iter(["wrong", PASSWORD])

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str | None:
            return next(tries)

    async def guess() -> None:
        options = {"client_factory": Guesser, "preferred_auth": ["password"]}
        async with await door.connect(password=None, **options):
            pass

    door.do(guess())


def test_name_alone_lets_nobody_in(door: Door) -> None:
    with paramiko.Transport((HOST, door.port)) as transport:
        transport.start_client(timeout=10)
        with pytest.raises(paramiko.BadAuthenticationType):
            transport.auth_none("acme")


# keys


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_customers_key_lets_it_in(door: Door, kind: str) -> None:
    ended = door.sftp_batch("pwd", key=make_key(door.home, "acme", kind))
    assert ended.returncode == 0, ended.stderr


def test_key_made_by_puttygen_lets_its_customer_in(door: Door, tmp_path: Path) -> None:
    secret, listed = tmp_path / "acme.ppk", door.home / "keys" / "customers" / "acme.pub"
    (tmp_path / "none").touch()
    words = ("puttygen", "-q", "-t", "ed25519", "-o", str(secret))
    assert door.run(*words, "--new-passphrase", str(tmp_path / "none")).returncode == 0
    assert door.run("puttygen", str(secret), "-O", "public", "-o", str(listed)).returncode == 0
    assert listed.read_text().startswith("---- BEGIN SSH2 PUBLIC KEY ----")
    ended = door.psftp("pwd", login=("-i", str(secret)))
    assert "Remote directory is /" in ended.stdout, ended.stderr


def test_another_customers_key_does_not(door: Door) -> None:
    other = make_key(door.home, "other")
    ended = door.sftp_batch("pwd", key=other)
    assert ended.returncode
    assert "Permission denied" in ended.stderr


def test_key_of_a_disabled_customer_does_not(door: Door, key: Path) -> None:
    assert door.sftp_batch("pwd", key=key).returncode == 0
    door.disable("acme")
    assert "Permission denied" in door.sftp_batch("pwd", key=key).stderr


def test_sha_1_signature_of_an_rsa_key_is_not_taken(door: Door) -> None:
    key = asyncssh.read_private_key(make_key(door.home, "acme", "rsa"))

    async def sign_in(algorithm: str) -> None:
        options: dict[str, Any] = {"password": None, "signature_algs": [algorithm]}
        keypair = asyncssh.load_keypairs([key])[0]
        keypair.set_sig_algorithm(algorithm.encode())
        async with asyncssh.connect(
            HOST,
            door.port,
            username="acme",
            known_hosts=None,
            config=None,
            client_keys=[keypair],
            server_host_key_algs=["ssh-ed25519"],
            **options,
        ):
            pass

    door.do(sign_in("rsa-sha2-256"))
    with pytest.raises(asyncssh.PermissionDenied):
        door.do(sign_in("ssh-rsa"))


@pytest.mark.parametrize(
    "offer",
    [
        "HostKeyAlgorithms=ssh-rsa",
        "KexAlgorithms=ecdh-sha2-nistp256",
        "KexAlgorithms=diffie-hellman-group14-sha1",
        "KexAlgorithms=diffie-hellman-group-exchange-sha256",
        "Ciphers=aes128-cbc",
        "MACs=hmac-sha1 -oCiphers=aes128-ctr",
    ],
)
def test_client_of_weak_algorithms_alone_is_turned_away(door: Door, offer: str) -> None:
    ended = door.run("sftp", *f"-o{offer}".split(), *door.ssh_options(None), f"acme@{HOST}")
    assert "Unable to negotiate" in ended.stderr


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")  # from cryptography 50 on
@pytest.mark.parametrize(
    "offer",
    [
        "HostKeyAlgorithms=rsa-sha2-256",
        "KexAlgorithms=diffie-hellman-group14-sha256",
        "Ciphers=aes128-ctr -oMACs=hmac-sha2-256",
        "Ciphers=chacha20-poly1305@openssh.com",
    ],
)
def test_client_of_older_but_sound_algorithms_gets_in(door: Door, key: Path, offer: str) -> None:
    ended = door.run("sftp", *f"-o{offer}".split(), *door.ssh_options(key), f"acme@{HOST}")
    assert ended.returncode == 0, ended.stderr


# what there is besides SFTP: nothing


@pytest.mark.parametrize(
    "words",
    [
        ["ssh", "HOST"],
        ["ssh", "-tt", "HOST"],
        ["ssh", "HOST", "id"],
        ["ssh", "-s", "HOST", "netconf"],
        ["ssh", "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:9", "HOST"],
        ["ssh", "-W", "127.0.0.1:9", "HOST"],
        ["scp", "-O", "/etc/hostname", "HOST:hostname"],
    ],
    ids=["shell", "terminal", "command", "subsystem", "remote-forward", "forward", "old-scp"],
)
def test_nothing_but_sftp_is_to_be_had(door: Door, key: Path, words: list[str]) -> None:
    called = [each.replace("HOST", f"acme@{HOST}") for each in words[1:]]
    ended = door.run(words[0], *door.ssh_options(key), *called)
    assert ended.returncode
    assert ended.stdout == ""
    assert door.deliveries() == []


# limits


def _is_over(session: paramiko.SFTPClient) -> bool:
    channel = session.get_channel()
    return channel is None or channel.closed


def test_connections_beyond_the_limit_are_closed_and_later_ones_are_not(door: Door) -> None:
    async def fill() -> None:
        held = [await door.connect() for _ in range(door.sftp.settings.max_connections)]
        with pytest.raises((asyncssh.ConnectionLost, OSError)):
            await door.connect()
        for each in held:
            each.close()
            await each.wait_closed()

    door.do(fill())
    assert door.sftp_batch("pwd", password=PASSWORD).returncode == 0


def test_idle_connection_is_ended(door: Door) -> None:
    door.sftp.settings = replace(door.sftp.settings, idle_timeout_s=1)
    with door.paramiko() as session:
        wait_for("the idle connection to end", lambda: _is_over(session))


def test_customer_disabled_by_a_reload_loses_its_connection(door: Door) -> None:
    with door.paramiko() as session:
        door.call(door.sftp.reload)
        session.listdir("/")
        door.disable("acme")
        door.call(door.sftp.reload)
        wait_for("the connection to end", lambda: _is_over(session))


def test_stopping_ends_sessions_and_breaks_what_is_open(door: Door) -> None:
    with door.paramiko() as session:
        file = session.open("a.csv", "wb")
        file.write(b"half")
        file.flush()
        door.wait_for_state(State.RECEIVING)
        assert door.sftp.sessions == 1
        door.do(door.sftp.stop())
        assert door.sftp.sessions == 0
    assert door.only().state is State.BROKEN


def test_closed_door_keeps_those_who_are_in(door: Door) -> None:
    with door.paramiko() as session:
        door.call(door.sftp.stop_accepting)
        with socket.socket() as latecomer:
            assert latecomer.connect_ex((HOST, door.port)) == errno.ECONNREFUSED
        with session.open("a.csv", "wb") as file:
            file.write(b"whole")
    assert door.only().state is State.ARRIVED


def test_port_in_use_is_said_in_one_line(door: Door) -> None:
    second = door.another(replace(door.config, sftp=replace(door.config.sftp, port=door.port)))
    with pytest.raises(PortTaken, match=r"^sftp: cannot listen on 127\.0\.0\.1:\d+: .*in use$"):
        door.do(second.start())


def test_session_that_ends_before_it_began_leaves_its_siblings_alone(door: Door) -> None:
    async def siblings() -> None:
        async with await door.connect() as connection:
            sftp = await connection.start_sftp_client()
            async with sftp.open("a.csv", "wb") as file:
                await file.write(b"first half ")
                writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
                writer.write_eof()
                assert await reader.read() == b""
                await file.write(b"second half")

    door.do(siblings())
    assert door.bytes_of(door.only()) == b"first half second half"
