"""The fail2ban filter finds whoever failed to log in, and nobody that a client made up."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.clients import HOST
from tests.daemon import Daemon, wait_for

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "systemd/fail2ban"
FORGED = 'x", "peer": "198.51.100.1", "event": "login.refused", "y": "'

needs_fail2ban = pytest.mark.skipif(
    shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed"
)


def banned(log: Path, tmp_path: Path, root: Path) -> list[str]:
    """Return the addresses that the filter finds, one for each line that counts."""
    # fail2ban-regex takes a filter by its name's end.
    copy = shutil.copy(root / FOLDER / "filter.conf", tmp_path / "tilldrop.conf")
    words = ("fail2ban-regex", "--raw", "--out", "ip", str(log), str(copy))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if line.strip()]


def fail(daemon: Daemon, name: str) -> None:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with pytest.raises(paramiko.AuthenticationException):
            client.connect(HOST, daemon.port, name, "wrong", allow_agent=False, look_for_keys=False)


@needs_fail2ban
def test_each_failed_login_counts_once_for_its_real_source(
    daemon: Daemon, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    for name in ("acme", FORGED):
        fail(daemon, name)
    wait_for("two refusals", lambda: len(daemon.events("login.refused")) >= 2)
    assert banned(daemon.log, tmp_path, pytestconfig.rootpath) == [HOST, HOST]


@needs_fail2ban
@pytest.mark.parametrize(
    ("event", "found"),
    [
        ({"source": "192.0.2.7", "offence": "rubbish", "event": "source.shut_out"}, ["192.0.2.7"]),
        ({"source": "2001:db8::/64", "event": "source.shut_out", "x": 1}, ["2001:db8::"]),
        ({"door": "sftp", "customer": "a", "peer": "192.0.2.7", "event": "login.accepted"}, []),
        (
            {
                "door": "sftp",
                "customer": "a",
                "peer": "192.0.2.7",
                "reason": "key-not-listed",
                "event": "login.refused",
            },
            [],
        ),
    ],
    ids=["shut out", "shut out, IPv6", "a good login", "a key that is not listed"],
)
def test_what_counts(
    event: dict[str, object], found: list[str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    line = json.dumps({**event, "level": "info", "timestamp": "2026-03-14T10:30:00.000000Z"})
    log = tmp_path / "daemon.log"
    log.write_text(line + "\n")
    assert banned(log, tmp_path, pytestconfig.rootpath) == found


def test_jail_uses_the_filter(pytestconfig: pytest.Config) -> None:
    jail = configparser.ConfigParser()
    jail.read(pytestconfig.rootpath / FOLDER / "jail.conf")
    assert jail["tilldrop"]["filter"] == "tilldrop"
