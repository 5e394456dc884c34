"""A backup taken while files come in is whole, and a daemon lives on what is made of it."""

from __future__ import annotations

import json
import stat
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, sales, tilldrop, wait_for
from tilldrop import backup
from tilldrop.delivery import State
from tilldrop.errors import BackupFailed
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = "SELECT transaction_id, total_minor FROM transactions ORDER BY 1"
A_FILE = 20  # transactions


class Sender:
    """Sends file after file until it is told to stop; knows what was acknowledged."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.acknowledged = 0
        self._enough = threading.Event()
        self._client = Paramiko(Account(daemon))
        self._folder = folder
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(60)

    def _send(self) -> None:
        while not self._enough.is_set():
            local = self._folder / "next.csv"
            local.write_text(sales(self.acknowledged * A_FILE, A_FILE))
            self._client.put(local, f"day-{self.acknowledged}.csv")
            self.acknowledged += 1


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "restored")
    yield daemon
    daemon.stop()


def test_backup_under_load_is_restored_with_all_that_was_acknowledged_before(
    daemon: Daemon, restored: Daemon, tmp_path: Path
) -> None:
    kept = tmp_path / "backup"
    with Sender(daemon, tmp_path) as sender:
        daemon.wait_for_state("day-3.csv", State.IMPORTED)
        before = sender.acknowledged
        made = tilldrop(daemon.home, "backup", str(kept), "--json")
        assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["files"] >= before
    assert tilldrop(daemon.home, "backup", "--verify", str(kept)).returncode == 0
    done = tilldrop(daemon.home, "restore", str(kept), str(restored.home))
    assert done.returncode == 0, done.stderr
    restored.start()
    restored.wait_until_idle()
    names = {one.name for one in restored.deliveries() if one.state is State.IMPORTED}
    assert {f"day-{number}.csv" for number in range(before)} <= names
    rows = restored.rows(ROWS)
    assert len(rows) == A_FILE * len(names)
    assert set(rows) <= set(daemon.rows(ROWS))
    client = Paramiko(Account(restored))
    assert client.read("day-0.csv") == sales(0, A_FILE).encode()


def test_backup_writes_over_nothing(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("x")
    refused = tilldrop(daemon.home, "backup", str(tmp_path / "full"))
    assert (refused.returncode, "is not empty" in refused.stderr) == (74, True)
    assert tilldrop(daemon.home, "backup", str(tmp_path / "b")).returncode == 0
    refused = tilldrop(daemon.home, "restore", str(tmp_path / "b"), str(tmp_path / "full"))
    assert (refused.returncode, "is not empty" in refused.stderr) == (74, True)
    assert (tmp_path / "full" / "precious").read_text() == "x"


def test_what_came_while_the_backup_was_made_keeps_its_place(
    daemon: Daemon, restored: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are newer than the ledger: what comes after the restore must still win over them."""
    send(daemon, tmp_path, sales(1, 2, cents=100))
    copy = backup._copy_database

    def late(source: Path, target: Path) -> None:
        if source == daemon.paths.data:
            send(daemon, tmp_path, sales(1, 2, cents=200))
        copy(source, target)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(backup, "_copy_database", late)
        backup.back_up(daemon.paths, tmp_path / "b")
    assert tilldrop(daemon.home, "restore", str(tmp_path / "b"), str(restored.home)).returncode == 0
    restored.start()
    [late_one, first] = restored.deliveries()
    assert (late_one.state, late_one.bytes_gone_at is None) == (State.IMPORTED, False)
    assert first.bytes_gone_at is None
    assert restored.rows("SELECT DISTINCT total_minor, delivery FROM transactions") == [
        (200, late_one.id)
    ]
    send(restored, tmp_path, sales(1, 2, cents=300))
    assert restored.rows("SELECT DISTINCT total_minor FROM transactions") == [(300,)]


def send(daemon: Daemon, folder: Path, text: str) -> None:
    """Send a file and wait until it is imported."""
    before = len(daemon.deliveries("late.csv"))
    (folder / "late.csv").write_text(text)
    Paramiko(Account(daemon)).put(folder / "late.csv", "late.csv")
    wait_for("the file", lambda: len(daemon.deliveries("late.csv")) > before)
    daemon.wait_for_state("late.csv", State.IMPORTED)


def test_backup_is_for_its_owner_alone(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(sales(1, 5))
    Paramiko(Account(daemon)).put(tmp_path / "a.csv", "a.csv")
    (tmp_path / "b").mkdir(mode=0o755)
    (tmp_path / "linked.toml").write_text("# elsewhere")
    (daemon.home / "config" / "linked.toml").symlink_to(tmp_path / "linked.toml")
    made = tilldrop(daemon.home, "backup", str(tmp_path / "b"))
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o700
    state = [one for one in (tmp_path / "b" / "state").rglob("*") if one.is_file()]
    assert {stat.S_IMODE(one.stat().st_mode) for one in state} == {0o600}
    assert (tmp_path / "b" / "config" / "linked.toml").read_text() == "# elsewhere"
    assert not (tmp_path / "b" / "config" / "linked.toml").is_symlink()


def test_backup_that_breaks_off_leaves_nothing_that_looks_whole(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_copy_bytes", full)
    with pytest.raises(BackupFailed, match="No space left"):
        backup.back_up(daemon.paths, tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


def test_restore_that_breaks_off_leaves_no_home_to_start(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup.back_up(daemon.paths, tmp_path / "b")
    new = tmp_path / "new"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(backup, "_sync_tree", killed)
        with pytest.raises(KeyboardInterrupt):
            backup.restore(tmp_path / "b", new, new / "var")
    assert (new / "var" / "ledger.db").exists()
    assert tilldrop(new, "check").returncode != 0
    assert backup.verify(tmp_path / "b") == made


@pytest.mark.parametrize(
    "harm", ["no manifest", "a file is missing", "a file is short", "a damaged database"]
)
def test_backup_that_is_not_whole_is_not_restored(
    daemon: Daemon, tmp_path: Path, harm: str
) -> None:
    (tmp_path / "a.csv").write_text(sales(1, 5))
    Paramiko(Account(daemon)).put(tmp_path / "a.csv", "a.csv")
    daemon.wait_for_state("a.csv", State.IMPORTED)
    kept = tmp_path / "b"
    assert tilldrop(daemon.home, "backup", str(kept)).returncode == 0
    match harm:
        case "no manifest":
            (kept / "manifest.json").unlink()
        case "a file is missing":
            next((kept / "state" / "spool").glob("*/*")).unlink()
        case "a file is short":
            one = next((kept / "state" / "spool").glob("*/*"))
            text = one.read_bytes()
            one.unlink()  # the home's own
            one.write_bytes(text[:-1])
        case _:
            with closing(sqlite3.connect(kept / "state" / "data.db")) as connection:
                pages = connection.execute("PRAGMA page_size").fetchone()[0]
            with (kept / "state" / "data.db").open("r+b") as file:
                file.seek(pages)
                file.write(b"\xff" * pages)
    refused = tilldrop(daemon.home, "restore", str(kept), str(tmp_path / "new"))
    assert refused.returncode == 74
    assert not (tmp_path / "new").exists()
