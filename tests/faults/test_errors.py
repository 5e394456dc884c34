"""No error of the disk loses, doubles or breaks an upload, and none stops the daemon for good.

The short runs of `make test`; `make faults` runs the long ones. The same harness must catch each
planted bug, else its silence would mean nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, make_home, sales, tilldrop, wait_for
from tests.faults.error_sweep import ERROR_TOML, Error, ErrorSweep, attempt, error_sweep
from tests.faults.kill_sweep import Bed, forget
from tests.faults.promises import complaints
from tests.faults.scenes import SCENES, play, upload
from tilldrop.delivery import State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator

SWEEP_S = 8.0
SWEEP_SEED = 20260314
INJECTED_AT_LEAST = 1  # on a machine busy with other tests; alone about 15
SEEDED_TRIES = 20  # which thread syncs what is chance; seen to take up to six
PAGE_BYTES = 4096
BURST = 100

pytestmark = pytest.mark.xdist_group("faults")


@pytest.fixture
def beds() -> Iterator[list[Bed]]:
    """Beds whose daemons are gone when the test is over."""
    made: list[Bed] = []
    yield made
    for bed in made:
        bed.daemon.kill()


def test_no_error_of_a_system_call_loses_or_doubles_an_upload(
    tmp_path: Path, host_keys: Path, beds: list[Bed]
) -> None:
    beds.append(Bed(tmp_path, host_keys, "none", ERROR_TOML))
    done = error_sweep(beds[0], SWEEP_SEED, time.monotonic() + SWEEP_S)
    assert done.complaints == [], done.told()
    assert done.fired.total() >= INJECTED_AT_LEAST, done.told()


@pytest.mark.parametrize(
    ("bug", "path", "said"),
    [
        ("sync-error-ignored", "", "was acknowledged, and this failed: "),
        ("commit-error-ignored", "ledger.db-wal", "was acknowledged and is in the ledger 0 times"),
    ],
)
def test_sweep_catches_an_error_that_is_ignored(
    tmp_path: Path, host_keys: Path, beds: list[Bed], bug: str, path: str, said: str
) -> None:
    beds.append(Bed(tmp_path, host_keys, bug, ERROR_TOML))
    beds[0].daemon.start()
    done = ErrorSweep()
    for when in range(1, SEEDED_TRIES):
        attempt(beds[0], Error("daemon", "fsync", "EIO", when, path), done)
        if any(said in complaint for complaint in done.complaints):
            return
    pytest.fail(f"{done.told()} {done.complaints}")


@pytest.mark.parametrize("name", SCENES)
def test_what_lasts_for_a_while_loses_nothing(tmp_path: Path, host_keys: Path, name: str) -> None:
    played = play(name, tmp_path, host_keys)
    if played is None:
        pytest.skip("this user may not mount a small disk")
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


QUEUED_MOST = "/proc/sys/fs/inotify/max_queued_events"


def test_overflow_of_the_watch_is_noticed_and_the_daemon_goes_on(
    tmp_path: Path, host_keys: Path, beds: list[Bed]
) -> None:
    """A hundred files while the daemon stands still and the kernel's queue holds two events."""
    queued_most = Path(QUEUED_MOST)
    if not os.access(queued_most, os.W_OK):
        pytest.skip("this user may not make the kernel's queue short")
    before = queued_most.read_text()
    beds.append(Bed(tmp_path, host_keys, "none", ERROR_TOML))
    try:
        queued_most.write_text("2")  # read by the kernel when a watch begins
        beds[0].daemon.start()
    except OSError:
        pytest.skip("this user may not make the kernel's queue short")
    finally:
        with contextlib.suppress(OSError):
            queued_most.write_text(before)
    daemon = beds[0].daemon
    strays = [daemon.paths.spool / "arrived" / f"stray-{number}" for number in range(BURST)]
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for stray in strays:
            stray.touch()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    wait_for("the overflow to be noticed", lambda: daemon.events("watch.overflowed"))
    for stray in strays:
        stray.unlink()
    assert upload(beds[0]).acknowledged
    wait_for("it to be imported", beds[0].is_idle)
    assert complaints(daemon, beds[0].sent) == []


def test_client_that_falls_silent_loses_its_session_and_nothing_else(
    tmp_path: Path, host_keys: Path, beds: list[Bed]
) -> None:
    """No FIN ever comes, as of a till whose cable was pulled: silence alone must end it."""
    toml = ERROR_TOML.replace("[sftp]\n", "[sftp]\nidle_timeout_s = 10\n")
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
