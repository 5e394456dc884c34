"""The FTP door in the running daemon: from a client to rows, and what the operator is told."""

from __future__ import annotations

import ftplib
import io
import json
import signal
import ssl
from typing import TYPE_CHECKING

import pytest

from tests.daemon import PASSWORD, Daemon, sales, tilldrop, wait_for
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FTP_TOML = """
[ftp]
enabled = true
listen = "127.0.0.1"
port = 0
"""


@pytest.fixture
def serving(home: Path) -> Iterator[Daemon]:
    """A running daemon whose FTP door is open."""
    main = home / "config" / "tilldrop.toml"
    main.write_text(main.read_text() + FTP_TOML)
    daemon = Daemon(home).start()
    yield daemon
    daemon.kill()


def _client(daemon: Daemon, *, tls: bool) -> ftplib.FTP:
    context = ssl.create_default_context(cafile=str(daemon.home / "keys" / "ftp.crt"))
    context.check_hostname = False
    client = ftplib.FTP_TLS(context=context) if tls else ftplib.FTP()
    client.connect("127.0.0.1", daemon.status()["doors"]["ftp"]["port"], timeout=20)
    client.login("acme", PASSWORD)
    return client


def test_upload_by_ftp_becomes_rows_and_a_receipt(serving: Daemon) -> None:
    with _client(serving, tls=True) as client:
        client.storbinary("STOR sales.csv", io.BytesIO(sales(1, 3).encode()))
        serving.wait_for_state("sales.csv", State.IMPORTED)
        assert serving.rows("SELECT count(*), sum(total_minor) FROM transactions") == [(3, 300)]
        (receipt,) = client.nlst("receipts")
        back = io.BytesIO()
        client.retrbinary(f"RETR receipts/{receipt}", back.write)
    assert b"3" in back.getvalue()
    assert tilldrop(serving.home, "check").stderr == ""


def test_check_names_whose_password_came_in_the_clear_until_it_has_another(
    serving: Daemon,
) -> None:
    _client(serving, tls=False).quit()
    warned = json.loads(tilldrop(serving.home, "check", "--json").stdout)["warnings"]
    assert [each.split(" (")[0] for each in warned] == ["acme sent its password unencrypted by FTP"]
    changed = tilldrop(
        serving.home, "customer", "passwd", "acme", "--password-stdin", typed="another-one\n"
    )
    assert changed.returncode == 0, changed.stderr
    assert json.loads(tilldrop(serving.home, "check", "--json").stdout)["warnings"] == []


def test_upload_goes_on_through_a_reload_and_an_orderly_stop(serving: Daemon) -> None:
    content = sales(1, 1000).encode()
    client = _client(serving, tls=True)
    with client.transfercmd("STOR sales.csv") as data:
        data.sendall(content[:9_000])
        wait_for("an upload", lambda: serving.status()["open_uploads"])
        assert tilldrop(serving.home, "reload").returncode == 0
        assert serving.process is not None
        serving.process.send_signal(signal.SIGTERM)
        wait_for("its being said", lambda: serving.events("service.stopping"))
        data.sendall(content[9_000:])
    assert client.voidresp() == "226 Stored."
    client.close()
    assert serving.wait_until_ended() == 0
    assert serving.deliveries("sales.csv")[0].size_bytes == len(content)
