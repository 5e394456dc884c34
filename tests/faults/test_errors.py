"""No fault that lasts loses, doubles or breaks an upload, and none stops the daemon for good.

The short scenes; `make faults` plays all.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, make_home, sales, tilldrop
from tests.faults.bed import Bed, forget
from tests.faults.scene import SCENE_TOML, upload
from tests.faults.scenes import play
from tests.faults.scenes_watch import overflowing_watch
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHORT = ("full disk", "read-only spool", "locked ledger")  # the others take longer: make faults
PAGE_BYTES = 4096
STRAYS, QUEUE = 2_000, 16

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def beds() -> Iterator[list[Bed]]:
    """Beds whose daemons are gone when the test is over."""
    made: list[Bed] = []
    yield made
    for bed in made:
        bed.daemon.kill()


@pytest.mark.parametrize("name", SHORT)
def test_what_lasts_for_a_while_loses_nothing(tmp_path: Path, host_keys: Path, name: str) -> None:
    played = play(name, tmp_path, host_keys)
    if played is None:
        pytest.skip("this machine cannot play it: see the scene")
    assert played.complaints == []
    assert played.fired > 0


@pytest.mark.parametrize("database", ["ledger.db", "data.db"])
def test_damaged_database_is_said_and_left_as_it_is_and_a_backup_brings_it_back(
    tmp_path: Path, host_keys: Path, database: str
) -> None:
    daemon = Daemon(make_home(tmp_path / "home", host_keys)).start()
    path = daemon.paths.state / database
    try:
        _send(daemon)
        assert tilldrop(daemon.home, "backup", str(tmp_path / "backup")).returncode == 0
    finally:
        daemon.stop()
    _damage(path)
    before = path.read_bytes()

    refused = tilldrop(daemon.home, "run")
    assert refused.returncode == 65, refused.stderr
    assert database in refused.stderr
    assert path.read_bytes() == before

    home = tmp_path / "restored"
    assert tilldrop(daemon.home, "restore", str(tmp_path / "backup"), str(home)).returncode == 0
    restored = Daemon(home).start()
    try:
        assert restored.rows("SELECT count(*) FROM transactions") == [(3,)]
        assert [one.state for one in restored.deliveries()] == [State.IMPORTED]
    finally:
        restored.kill()


def test_file_whose_event_was_lost_is_found_by_the_scan_that_follows(
    tmp_path: Path, host_keys: Path
) -> None:
    played = overflowing_watch(tmp_path, host_keys, "none", STRAYS, QUEUE)
    if played is None:
        pytest.skip("this user may not make the kernel's queue short")
    assert played.complaints == []
    assert played.fired > 0


def test_without_that_scan_it_would_wait_for_another_file(tmp_path: Path, host_keys: Path) -> None:
    played = overflowing_watch(tmp_path, host_keys, "overflow-unheard", STRAYS, QUEUE)
    if played is None:
        pytest.skip("this user may not make the kernel's queue short")
    assert played.complaints == ["found for its watchdog, not by a scan"]


def test_client_that_falls_silent_loses_its_session_and_nothing_else(
    tmp_path: Path, host_keys: Path, beds: list[Bed]
) -> None:
    """No FIN ever comes, as of a till whose cable was pulled: silence alone must end it."""
    toml = SCENE_TOML.replace("[sftp]\n", "[sftp]\nidle_timeout_s = 10\n")
    beds.append(Bed(tmp_path, host_keys, "none", toml))
    daemon = beds[0].daemon.start()
    with Paramiko(Account(daemon, key=beds[0].key)).session() as sftp:
        file = sftp.open("sales.csv", "wb", bufsize=0)
        file.write(sales(1, 3).encode())
        assert daemon.wait_for_state("sales.csv", State.BROKEN).state is State.BROKEN
        assert daemon.status()["doors"]["sftp"]["sessions"] == 0
        forget(file)
    assert upload(beds[0]).acknowledged


def _send(daemon: Daemon) -> None:
    with (
        Paramiko(Account(daemon)).session() as sftp,
        sftp.open("sales.csv", "wb") as file,
    ):
        file.write(sales(1, 3).encode())
    daemon.wait_for_state("sales.csv", State.IMPORTED)


def _damage(path: Path) -> None:
    """Write rubbish over the page that lists the tables, as a torn write leaves it."""
    with closing(sqlite3.connect(path)) as connection:  # else the WAL may mend it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(PAGE_BYTES - 100))
