"""What FTPS speaks: TLS 1.2 and 1.3, with forward secrecy and no CBC."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.doors.conftest import CLIENT_WITHIN_S, HOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doors.ftp_door import FtpHere

GOOD = re.compile(r"TLS_|ECDHE-(ECDSA|RSA)-(AES(128|256)-GCM|CHACHA20)")


def _client(version: ssl.TLSVersion, ciphers: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")  # what this client may do is up to the test
    context.minimum_version = context.maximum_version = version
    return context


def _spoken(door: FtpHere, context: ssl.SSLContext) -> str:
    """Return the cipher agreed upon, "" if there is none."""
    client = door.connected()
    assert client.sock is not None
    try:
        client.sendcmd("AUTH TLS")
        with context.wrap_socket(client.sock, server_hostname=HOST) as secured:
            return (secured.cipher() or ("", "", 0))[0]
    except (ssl.SSLError, ConnectionError):
        return ""
    finally:
        client.close()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_tls_before_1_2_is_not_spoken(ftp: FtpHere, version: ssl.TLSVersion) -> None:
    assert _spoken(ftp, _client(version, "ALL")) == ""


def test_of_tls_1_2_only_what_is_strong_is_spoken(ftp: FtpHere) -> None:
    every = [one["name"] for one in _client(ssl.TLSVersion.TLSv1_2, "ALL").get_ciphers()]
    of_1_2 = [name for name in every if not name.startswith("TLS_")]
    spoken = {name for name in of_1_2 if _spoken(ftp, _client(ssl.TLSVersion.TLSv1_2, name))}
    assert len(of_1_2) > 20
    assert spoken
    assert all(GOOD.match(name) for name in spoken), spoken


def test_tls_1_3_is_spoken(ftp: FtpHere) -> None:
    assert GOOD.match(_spoken(ftp, _client(ssl.TLSVersion.TLSv1_3, "ALL")))


def test_client_that_was_made_to_fall_back_is_told_so(ftp: FtpHere) -> None:
    for words, is_spoken in (((), True), (("-fallback_scsv",), False)):
        target = ("-connect", f"{HOST}:{ftp.port}", "-starttls", "ftp", "-tls1_2")
        ended = ftp.run("openssl", "s_client", *target, *words, typed="Q\n")
        assert ("inappropriate fallback" in ended.stderr) == (not is_spoken), ended.stderr
        assert ("Cipher is ECDHE" in ended.stdout) == is_spoken, ended.stdout


@pytest.mark.skipif(not shutil.which("sslscan"), reason="sslscan is not installed")
def test_sslscan_finds_nothing_weak(open_ftp: Callable[..., FtpHere]) -> None:
    ftp = open_ftp(max_connections=100, max_per_source=100)
    words = ["sslscan", "--no-colour", "--starttls-ftp", f"{HOST}:{ftp.port}"]
    said = subprocess.run(
        words, capture_output=True, text=True, timeout=CLIENT_WITHIN_S, check=True
    ).stdout
    enabled = re.findall(r"^(\S+) +enabled", said, re.MULTILINE)
    accepted = re.findall(r"^(?:Preferred|Accepted) +\S+ +\d+ bits +(\S+)", said, re.MULTILINE)
    assert enabled == ["TLSv1.2", "TLSv1.3"], said
    assert accepted
    assert all(GOOD.match(name) for name in accepted), accepted
    assert "not vulnerable to heartbleed" in said
    assert "renegotiation not supported" in said
