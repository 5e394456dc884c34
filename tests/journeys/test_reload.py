"""A reload reaches what it should, drops no upload, and a configuration with mistakes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import paramiko
import pytest

from tests.clients import HOST, Account, ClientError, OpenSshSftp, Paramiko
from tests.daemon import (
    CUSTOMER_TOML,
    MAIN_TOML,
    PASSWORD,
    Daemon,
    add_customer,
    make_key,
    sales,
    tilldrop,
    wait_for,
)
from tilldrop.delivery import FINISHED, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WITHIN_S = 30
KBIT_S = "16000"  # 2 MB/s, so that the file below takes more than a second
MANY = 120_000


def by_signal(daemon: Daemon) -> None:
    """SIGHUP, and wait until it has been heard."""
    before = _answers(daemon)
    os.kill(daemon.pid, signal.SIGHUP)
    wait_for("the reload", lambda: _answers(daemon) > before, WITHIN_S)


def _answers(daemon: Daemon) -> int:
    return len(daemon.events("config.reloaded")) + len(daemon.events("config.refused"))


def by_command(daemon: Daemon) -> None:
    """`tilldrop reload`, which says all mistakes itself before it troubles the daemon."""
    tilldrop(daemon.home, "reload")


WAYS = pytest.mark.parametrize("reload", [by_signal, by_command])


def customer_toml(daemon: Daemon, name: str = "acme") -> Path:
    return daemon.home / "config" / "customers" / f"{name}.toml"


def main_toml(daemon: Daemon, text: str) -> None:
    (daemon.home / "config" / "tilldrop.toml").write_text(text)


class SlowUpload:
    """OpenSSH's sftp, paused in the middle of sending `big.csv` when the constructor returns."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.content = sales(1, MANY)
        local = folder / "big.csv"
        local.write_text(self.content)
        account = Account(daemon, key=make_key(daemon.home, "acme"))
        words = ("sftp", "-q", "-l", KBIT_S, *account.ssh_options(), "-b", "-", f"acme@{HOST}")
        self.client = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
        assert self.client.stdin is not None
        self.client.stdin.write(f"put {local} big.csv\n")
        self.client.stdin.close()
        wait_for("some bytes", lambda: self.received(daemon) > 0, WITHIN_S)
        self.client.send_signal(signal.SIGSTOP)
        assert self.received(daemon) < len(self.content)

    def finish(self) -> int:
        """Let it go on to its end; return its exit code."""
        self.client.send_signal(signal.SIGCONT)
        return self.client.wait(WITHIN_S)

    def close(self) -> None:
        """End it, whatever it was doing."""
        self.client.kill()
        self.client.wait(WITHIN_S)

    def received(self, daemon: Daemon) -> int:
        """Return how many bytes are stored."""
        files = (daemon.paths.spool / "receiving").iterdir()
        return sum(path.stat().st_size for path in files)


@pytest.mark.timeout(120)
@WAYS
def test_an_upload_in_progress_goes_on_through_reloads(
    daemon: Daemon, tmp_path: Path, reload: Callable[[Daemon], None]
) -> None:
    with closing(SlowUpload(daemon, tmp_path)) as upload:
        add_customer(daemon.home, "bakery")
        reload(daemon)
        assert len(daemon.events("config.reloaded")) == 1
        customer_toml(daemon, "bakery").write_text("zone = 1\n")
        reload(daemon)
        assert len(daemon.events("config.reloaded")) == 1
        assert upload.finish() == 0
        delivery = daemon.wait_for_state("big.csv", *FINISHED, within_s=60)
        assert (delivery.state, delivery.size_bytes) == (State.IMPORTED, len(upload.content))
        assert daemon.rows("SELECT count(*) FROM transactions") == [(MANY,)]


@WAYS
def test_mistakes_change_nothing_and_are_said(
    daemon: Daemon, tmp_path: Path, reload: Callable[[Daemon], None]
) -> None:
    add_customer(daemon.home, "bakery")
    customer_toml(daemon).write_text(CUSTOMER_TOML.replace("Europe/Paris", "Europe/Pairs"))
    main_toml(daemon, MAIN_TOML.replace("stop_grace_s = 5", "stop_grace_s = -5"))
    reload(daemon)
    assert daemon.events("config.reloaded") == []
    assert [len(said["complaints"]) for said in daemon.events("config.refused")] in ([], [2])
    local = tmp_path / "sales.csv"
    local.write_text(sales(1, 2))
    Paramiko(Account(daemon)).put(local, "sales.csv")
    daemon.wait_for_state("sales.csv", State.IMPORTED)
    with pytest.raises(ClientError):
        Paramiko(Account(daemon, "bakery")).put(local, "sales.csv")
    told = tilldrop(daemon.home, "reload")
    assert told.returncode == 78
    assert "config/tilldrop.toml:8: limits.stop_grace_s" in told.stderr
    assert "config/customers/acme.toml:1: zone" in told.stderr


@WAYS
def test_a_new_feed_takes_the_files_of_an_open_session(
    daemon: Daemon, reload: Callable[[Daemon], None]
) -> None:
    with Paramiko(Account(daemon)).session() as session:
        with session.open("day.txt", "w") as file:
            file.write(sales(1, 2))
        daemon.wait_for_state("day.txt", State.UNCLAIMED)
        with pytest.raises(OSError, match="No such folder"):
            session.open("daily/day.txt", "w")
        files = 'files = ["*.csv", "daily/*.txt"]'
        customer_toml(daemon).write_text(CUSTOMER_TOML.replace('files = "*.csv"', files))
        reload(daemon)
        assert "daily" in session.listdir()
        with session.open("daily/day.txt", "w") as file:
            file.write(sales(1, 2))
        daemon.wait_for_state("daily/day.txt", State.IMPORTED)


@WAYS
def test_limits_count_for_the_next_upload_and_not_for_the_one_in_progress(
    daemon: Daemon, reload: Callable[[Daemon], None]
) -> None:
    with Paramiko(Account(daemon)).session() as session:
        with session.open("sales.csv", "w") as file:
            file.write(sales(1, 10))
            main_toml(daemon, MAIN_TOML.replace("[limits]", "[limits]\nmax_file_bytes = 300"))
            reload(daemon)
            file.write(sales(11, 10).partition("\n")[2])
        daemon.wait_for_state("sales.csv", State.IMPORTED)
        with pytest.raises(OSError, match="larger"), session.open("later.csv", "w") as file:
            file.write(sales(1, 20))
    assert daemon.rows("SELECT count(*) FROM transactions") == [(20,)]


@WAYS
def test_a_key_and_a_password_count_at_once_and_no_longer_when_taken_away(
    daemon: Daemon, reload: Callable[[Daemon], None]
) -> None:
    key = make_key(daemon.home, "acme")
    reload(daemon)
    client = OpenSshSftp(Account(daemon, key=key))
    assert client.listing(".") == ["receipts"]
    (daemon.home / "keys" / "customers" / "acme.pub").unlink()
    (daemon.home / "keys" / "customers" / "acme.password").unlink()
    reload(daemon)
    with pytest.raises(ClientError):
        client.listing(".")
    with pytest.raises(ClientError):
        OpenSshSftp(Account(daemon)).listing(".")


@WAYS
def test_a_customer_that_is_gone_or_disabled_is_out_and_others_stay(
    daemon: Daemon, reload: Callable[[Daemon], None]
) -> None:
    for name in ("bakery", "cafe"):
        add_customer(daemon.home, name)
    reload(daemon)
    sessions = {name: _session(daemon, name) for name in ("acme", "bakery", "cafe")}
    customer_toml(daemon, "bakery").write_text("disabled = true\n" + CUSTOMER_TOML)
    customer_toml(daemon, "cafe").unlink()
    reload(daemon)
    for name in ("bakery", "cafe"):
        sessions[name].join(WITHIN_S)
        assert not sessions[name].is_active()
        with pytest.raises(paramiko.AuthenticationException):
            _session(daemon, name)
    assert sessions["acme"].is_active()
    sessions["acme"].close()


def _session(daemon: Daemon, name: str) -> paramiko.Transport:
    transport = paramiko.Transport((HOST, daemon.port))
    try:
        transport.connect(username=name, password=PASSWORD)
    except BaseException:
        transport.close()
        raise
    return transport


@WAYS
def test_folders_are_taken_up_and_left(
    daemon: Daemon, tmp_path: Path, reload: Callable[[Daemon], None]
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    added = f'\n[[folders]]\npath = "{folder}"\ncustomer = "acme"\nquiet_s = 0.1\n'
    main_toml(daemon, MAIN_TOML + added)
    reload(daemon)
    (folder / "one.csv").write_text(sales(1, 1))
    daemon.wait_for_state("one.csv", State.IMPORTED)
    main_toml(daemon, MAIN_TOML)
    reload(daemon)
    wait_for("the folder to be left", lambda: daemon.events("folder.closed"), WITHIN_S)
    (folder / "two.csv").write_text(sales(2, 1))
    reload(daemon)
    assert daemon.deliveries("two.csv") == []


def test_what_only_a_restart_changes_is_told_and_left(daemon: Daemon) -> None:
    main_toml(daemon, MAIN_TOML.replace("port = 0", "port = 0\nlogin_attempts = 1"))
    told = tilldrop(daemon.home, "reload")
    assert (told.returncode, "[sftp]" in told.stderr) == (0, True)
    assert daemon.status()["doors"]["sftp"]["port"] == daemon.port
