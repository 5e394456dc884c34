"""Uploads that broke off, and how FTP clients resume them."""

from __future__ import annotations

import ftplib
import io
from typing import TYPE_CHECKING

import pytest

from tests.doors.conftest import CONTENT
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.doors.ftp_door import FtpHere


def _break_off(door: FtpHere) -> None:
    with door.client() as client:
        door.half_sent(client).close()
        client.close()
    door.wait_for_state(State.BROKEN)


def _by_rest(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        assert client.size("sales.csv") == 50_000
        client.storbinary("STOR sales.csv", io.BytesIO(CONTENT[50_000:]), rest=50_000)


def _by_rest_a_little_before(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        client.storbinary("STOR sales.csv", io.BytesIO(CONTENT[40_000:]), rest=40_000)


def _by_appe(door: FtpHere, _local: Path) -> None:
    with door.client() as client:
        client.storbinary("APPE sales.csv", io.BytesIO(CONTENT[50_000:]))


def _by_curl_resuming(door: FtpHere, local: Path) -> None:
    ended = door.curl("-C", "-", "-T", str(local), "sales.csv")
    assert ended.returncode == 0, ended.stderr


def _by_lftp_continuing(door: FtpHere, local: Path) -> None:
    ended = door.lftp(f"put -c {local} -o sales.csv")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "resume",
    [_by_rest, _by_rest_a_little_before, _by_appe, _by_curl_resuming, _by_lftp_continuing],
)
def test_broken_upload_is_resumed_where_it_broke_off(
    ftp: FtpHere, local: Path, resume: Callable[[FtpHere, Path], None]
) -> None:
    _break_off(ftp)
    resume(ftp, local)
    assert ftp.bytes_of(ftp.wait_for_state(State.ARRIVED)) == CONTENT


def test_resuming_beyond_what_is_stored_is_refused(ftp: FtpHere) -> None:
    _break_off(ftp)
    with ftp.client() as client, pytest.raises(ftplib.error_perm, match=r"^554"):
        client.storbinary("STOR sales.csv", io.BytesIO(b"x"), rest=50_001)
    assert ftp.wait_for_state(State.BROKEN).size_bytes == 50_000


def test_appending_to_a_delivered_file_is_a_new_delivery(ftp: FtpHere) -> None:
    ftp.put(b"one\n")
    with ftp.client() as client:
        client.storbinary("APPE sales.csv", io.BytesIO(b"two\n"))
    first, second = ftp.deliveries()
    assert (ftp.bytes_of(first), ftp.bytes_of(second)) == (b"one\n", b"one\ntwo\n")


def test_resumed_file_ends_where_the_transfer_ends(ftp: FtpHere) -> None:
    ftp.put(b"one\ntwo\nthree\n")
    with ftp.client() as client:
        client.storbinary("STOR sales.csv", io.BytesIO(b"2\n"), rest=4)
    assert ftp.bytes_of(ftp.deliveries()[-1]) == b"one\n2\n"
