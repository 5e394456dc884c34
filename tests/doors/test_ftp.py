"""The FTP door and real clients: every way an upload can end."""

from __future__ import annotations

import ftplib
import io
import os
import signal
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.daemon import PASSWORD, wait_for
from tests.doors.conftest import CONTENT, HOST, LATER
from tilldrop import errors
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.doors.ftp_door import FtpHere

RESET = struct.pack("ii", 1, 0)  # SO_LINGER that makes close() a reset


# -- finished


def _by_ftplib(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        assert client.storbinary("STOR sales.csv", io.BytesIO(CONTENT)).startswith("226")


def _by_ftplib_tls(door: FtpHere, _local: Path) -> None:
    with door.client(tls=True) as client:
        client.storbinary("STOR sales.csv", io.BytesIO(CONTENT))


def _by_ftplib_active(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        client.set_pasv(False)
        client.storbinary("STOR sales.csv", io.BytesIO(CONTENT))


def _by_eprt(door: FtpHere, _local: Path) -> None:
    with door.client() as client, socket.create_server((HOST, 0)) as waiting:
        client.sendcmd(f"EPRT |1|{HOST}|{waiting.getsockname()[1]}|")
        client.sendcmd("STOR sales.csv")
        data, _ = waiting.accept()
        with data:
            data.sendall(CONTENT)
        client.voidresp()


def _by_appending_to_nothing(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        client.storbinary("APPE sales.csv", io.BytesIO(CONTENT))


def _by_curl(door: FtpHere, local: Path) -> None:
    ended = door.curl("-T", str(local), "sales.csv")
    assert ended.returncode == 0, ended.stderr


def _by_curl_tls(door: FtpHere, local: Path) -> None:
    ended = door.curl("--ssl-reqd", "-T", str(local), "sales.csv")
    assert ended.returncode == 0, ended.stderr


def _by_curl_active(door: FtpHere, local: Path) -> None:
    ended = door.curl("--ftp-port", "-", "-T", str(local), "sales.csv")
    assert ended.returncode == 0, ended.stderr


def _by_lftp(door: FtpHere, local: Path) -> None:
    ended = door.lftp(f"put {local} -o sales.csv")
    assert ended.returncode == 0, ended.stderr


def _by_lftp_under_a_temporary_name(door: FtpHere, local: Path) -> None:
    ended = door.lftp(f"put {local} -o sales.csv", **{"xfer:use-temp-file": "yes"})
    assert ended.returncode == 0, ended.stderr


def _by_lftp_mirror(door: FtpHere, local: Path) -> None:
    folder = local.parent / "out"
    folder.mkdir()
    local.rename(folder / "sales.csv")
    ended = door.lftp(f"mirror -R {folder} /")
    assert ended.returncode == 0, ended.stderr


def _by_rclone(door: FtpHere, local: Path) -> None:
    ended = door.rclone("copyto", str(local), ":ftp:sales.csv")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "send",
    [
        _by_ftplib,
        _by_ftplib_tls,
        _by_ftplib_active,
        _by_eprt,
        _by_appending_to_nothing,
        _by_curl,
        _by_curl_tls,
        _by_curl_active,
        _by_lftp,
        _by_lftp_under_a_temporary_name,
        _by_lftp_mirror,
        _by_rclone,
    ],
)
def test_finished_upload_arrives_whole(
    ftp: FtpHere, local: Path, send: Callable[[FtpHere, Path], None]
) -> None:
    send(ftp, local)
    delivery = ftp.only()
    assert (delivery.name, delivery.state, delivery.door) == ("sales.csv", State.ARRIVED, "ftp")
    assert ftp.bytes_of(delivery) == CONTENT


def test_upload_by_implicit_tls_arrives(open_ftp: Callable[..., FtpHere], local: Path) -> None:
    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    door = open_ftp(implicit_port=port, tls="required")
    ended = door.curl("-T", str(local), "sales.csv", scheme="ftps")
    assert ended.returncode == 0, ended.stderr
    assert door.bytes_of(door.only()) == CONTENT


def test_ascii_keeps_the_bytes_as_sent(ftp: FtpHere) -> None:
    odd = b"unix\nwindows\r\nmac\rlast\r"
    with ftp.client() as client:
        client.voidcmd("TYPE A N")
        with client.transfercmd("STOR sales.csv") as data:
            data.sendall(odd)
        client.voidresp()
        back = io.BytesIO()
        client.retrbinary("RETR sales.csv", back.write)
    assert ftp.bytes_of(ftp.only()) == odd == back.getvalue()


def test_large_file_over_tls_arrives_whole(ftp: FtpHere, tmp_path: Path) -> None:
    local = tmp_path / "large.csv"
    local.write_bytes(os.urandom(7_900_000))
    ended = ftp.curl("--ssl-reqd", "-T", str(local), "large.csv")
    assert ended.returncode == 0, ended.stderr
    assert ftp.bytes_of(ftp.only()) == local.read_bytes()


def test_many_files_in_one_session_all_arrive(ftp: FtpHere) -> None:
    with ftp.client() as client:
        for number in range(50):
            client.storbinary(f"STOR {number}.csv", io.BytesIO(LATER))
    assert [each.state for each in ftp.deliveries()] == [State.ARRIVED] * 50


# -- not finished


def _is_receiving(door: FtpHere) -> bool:
    files = list((door.config.paths.spool / "receiving").iterdir())
    return bool(files) and files[0].stat().st_size > 0


@pytest.mark.parametrize("tls", [(), ("--ssl-reqd",)], ids=["plain", "tls"])
def test_killed_client_is_not_imported(ftp: FtpHere, tmp_path: Path, tls: tuple[str, ...]) -> None:
    local = tmp_path / "large.csv"
    local.write_bytes(bytes(7_000_000))
    words = ["curl", "-sS", *tls, "--cacert", str(ftp.certificate), "-u", f"acme:{PASSWORD}"]
    words += ["--limit-rate", "2M", "-T", str(local), f"ftp://{HOST}:{ftp.port}/large.csv"]
    client = ftp.start(*words)
    assert client.stdin is not None
    wait_for("some bytes", lambda: _is_receiving(ftp))
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    client.stdin.close()
    broken = ftp.wait_for_state(State.BROKEN)
    assert 0 < broken.size_bytes < 7_000_000


def _abort(client: ftplib.FTP, data: socket.socket) -> None:
    client.putcmd("ABOR")
    assert client.getmultiline().startswith("426")
    assert client.getmultiline().startswith("226")
    data.close()


def _abort_as_telnet_has_it(client: ftplib.FTP, data: socket.socket) -> None:
    assert client.sock is not None
    client.sock.sendall(b"\xff\xf4\xff\xf2ABOR\r\n")
    assert client.getmultiline().startswith("426")
    assert client.getmultiline().startswith("226")
    data.close()


def _reset_data(client: ftplib.FTP, data: socket.socket) -> None:
    data.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    data.close()
    with pytest.raises(ftplib.error_temp, match=r"^426"):
        client.voidresp()


def _close_control_first(client: ftplib.FTP, data: socket.socket) -> None:
    client.close()
    data.close()


def _close_control_alone(client: ftplib.FTP, _data: socket.socket) -> None:
    client.close()


def _close_both_as_a_dying_process(client: ftplib.FTP, data: socket.socket) -> None:
    data.close()
    client.close()


def _reset_control(client: ftplib.FTP, data: socket.socket) -> None:
    assert client.sock is not None
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    data.close()
    client.close()


def _quit_without_waiting(client: ftplib.FTP, data: socket.socket) -> None:
    data.close()
    client.putcmd("QUIT")
    assert client.getmultiline().startswith("426")
    assert client.getmultiline().startswith("221")


def _end_control_behind_a_command(client: ftplib.FTP, data: socket.socket) -> None:
    # Bytes that were not read yet hide the end from a peek.
    assert client.sock is not None
    client.putcmd("NOOP")
    client.sock.shutdown(socket.SHUT_WR)
    data.close()


@pytest.mark.parametrize(
    "end",
    [
        _abort,
        _abort_as_telnet_has_it,
        _reset_data,
        _close_control_first,
        _close_control_alone,
        _close_both_as_a_dying_process,
        _reset_control,
        _quit_without_waiting,
        _end_control_behind_a_command,
    ],
)
def test_upload_without_a_proved_end_is_broken(
    ftp: FtpHere, end: Callable[[ftplib.FTP, socket.socket], None]
) -> None:
    with ftp.client() as client:
        data = ftp.half_sent(client)
        end(client, data)
        broken = ftp.wait_for_state(State.BROKEN)
        data.close()
    assert broken.size_bytes == 50_000


@pytest.mark.parametrize(
    ("tls_eof", "state"), [("accept", State.ARRIVED), ("require", State.BROKEN)]
)
def test_tls_cut_without_a_farewell_is_what_the_setting_says(
    open_ftp: Callable[..., FtpHere], tls_eof: str, state: State
) -> None:
    door = open_ftp(tls_eof=tls_eof)
    with door.client(tls=True) as client:
        data = door.half_sent(client)
        data.shutdown(socket.SHUT_RDWR)
        data.close()
        door.wait_for_state(state)
        assert client.getline()[:3] == ("226" if state is State.ARRIVED else "426")


def test_tls_with_a_farewell_is_whole_where_one_is_required(
    open_ftp: Callable[..., FtpHere], local: Path
) -> None:
    door = open_ftp(tls_eof="require")
    for send in (_by_curl_tls, _by_ftplib_tls, _by_lftp):
        send(door, local)
    assert [each.state for each in door.deliveries()] == [State.ARRIVED] * 3


def test_program_that_fails_amid_its_upload_leaves_it_broken(ftp: FtpHere) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 50_000:
                raise RuntimeError("the till is on fire")
            return super().read(min(size or 0, 10_000))

    def run_its_program() -> None:
        with ftp.connected() as client:  # leaving it sends QUIT
            client.login("acme", PASSWORD)
            client.storbinary("STOR sales.csv", Failing(CONTENT))

    with pytest.raises(ftplib.error_temp, match=r"^426"):
        run_its_program()
    assert 0 < ftp.wait_for_state(State.BROKEN).size_bytes < len(CONTENT)


def test_client_that_never_calls_the_port_hears_so(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tilldrop.doors.ftp_session.CONNECT_WITHIN_S", 0.05)
    with ftp.client() as client:
        client.sendcmd("PASV")
        assert client.sendcmd("STOR sales.csv").startswith("150")
        with pytest.raises(ftplib.error_temp, match=r"^425 No data connection"):
            client.voidresp()
        with pytest.raises(ftplib.error_temp, match=r"^425"):
            client.sendcmd("STOR sales.csv")  # and no PASV before it
    assert {each.state for each in ftp.deliveries()} == {State.BROKEN}


def test_stalled_upload_is_cut(open_ftp: Callable[..., FtpHere]) -> None:
    door = open_ftp(idle_timeout_s=0.2)
    with door.client() as client:
        data = door.half_sent(client)
        with pytest.raises(ftplib.error_temp, match=r"^426"):
            client.voidresp()
        data.close()
    door.wait_for_state(State.BROKEN)


# -- what fails on the way


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LedgerFailed("no"), "451"),
        (errors.SpoolFull("no"), "452"),
        (errors.UploadPoisoned("no"), "451"),
        (RuntimeError("/home/of/tilldrop"), "451"),
    ],
)
def test_upload_that_cannot_be_kept_is_not_acknowledged(
    ftp: FtpHere, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    async def fail(*_words: object) -> None:
        raise error

    monkeypatch.setattr("tilldrop.visit.Visit.finish", fail)
    with ftp.client() as client:
        with pytest.raises(ftplib.error_temp) as refused:
            client.storbinary("STOR sales.csv", io.BytesIO(CONTENT))
        assert str(refused.value).startswith(code)
        assert "/home" not in str(refused.value)
        assert ftp.only().state is State.BROKEN
        monkeypatch.undo()
        client.storbinary("STOR later.csv", io.BytesIO(LATER))  # the session goes on


def test_file_past_the_limit_is_refused_and_the_door_goes_on(ftp: FtpHere) -> None:
    with ftp.client() as client:
        client.voidcmd("TYPE I")
        data = client.transfercmd("STOR large.csv")
        with pytest.raises(OSError, match=r"reset|pipe"):
            data.sendall(bytes(50_000_000))
        data.close()
        with pytest.raises(ftplib.error_perm, match=r"^552"):
            client.voidresp()
        client.storbinary("STOR large.csv", io.BytesIO(bytes(8_000_000)))
    assert [each.state for each in ftp.deliveries()] == [State.BROKEN, State.ARRIVED]
