"""A start that cannot succeed ends with one clear line, an exit code, and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.daemon import MAIN_TOML, TILLDROP, Daemon

if TYPE_CHECKING:
    from pathlib import Path


# Root without its right to write everywhere.
AS_ANYONE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")


def refused(home: Path, code: int, *said: str, as_anyone: bool = False) -> None:
    """Start the daemon, which must end at once like this."""
    prefix = AS_ANYONE if as_anyone and os.geteuid() == 0 else ()
    ended = subprocess.run(
        (*prefix, str(TILLDROP), "--home", str(home), "run"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    for words in said:
        assert words in lines[0]


def test_port_in_use(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (home / "config" / "tilldrop.toml").write_text(
            MAIN_TOML.replace("port = 0", f"port = {port}")
        )
        refused(home, 71, str(port), "in use")


def test_second_daemon_on_the_same_home(daemon: Daemon) -> None:
    refused(daemon.home, 75, "in use by process", str(daemon.pid))


def test_home_not_writable(home: Path) -> None:
    home.chmod(0o500)
    try:
        refused(home, 73, str(home), as_anyone=True)
    finally:
        home.chmod(0o700)


def test_state_folder_cannot_be_made(home: Path) -> None:
    (home / "var").write_text("a file is in the way")
    refused(home, 73, "var")


def test_no_home_there(tmp_path: Path) -> None:
    refused(tmp_path / "nothing", 73, "nothing")


def test_host_key_unreadable(home: Path) -> None:
    (home / "keys" / "ssh_host_rsa_key").write_text("not a key")
    refused(home, 65, "ssh_host_rsa_key")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        pytest.param("[sftp\n", "config/tilldrop.toml:1", id="bad-toml"),
        pytest.param("[sftp]\nport = 2222\nprot = 1\n", "sftp.prot", id="unknown-key"),
        pytest.param('[sftp]\nport = "no"\n', "sftp.port", id="wrong-kind"),
    ],
)
def test_bad_configuration(home: Path, toml: str, said: str) -> None:
    (home / "config" / "tilldrop.toml").write_text(toml)
    refused(home, 78, said)


def test_database_damaged(home: Path) -> None:
    (home / "var").mkdir()
    (home / "var" / "ledger.db").write_bytes(b"this was a database " * 1000)
    refused(home, 65, "ledger.db")


def test_help_and_version_need_no_home(tmp_path: Path) -> None:
    for word in ("--help", "--version"):
        asked = subprocess.run((TILLDROP, word), cwd=tmp_path, capture_output=True, check=False)
        assert asked.returncode == 0
