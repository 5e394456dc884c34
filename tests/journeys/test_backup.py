"""A backup taken while files come in is whole, and a daemon lives on what is made of it."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest

from tests.clients import Account, Paramiko
from tests.daemon import Daemon, sales, tilldrop
from tilldrop.delivery import State
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


@pytest.mark.parametrize("harm", ["no manifest", "a file is missing", "a damaged database"])
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
        case _:
            with closing(sqlite3.connect(kept / "state" / "data.db")) as connection:
                pages = connection.execute("PRAGMA page_size").fetchone()[0]
            with (kept / "state" / "data.db").open("r+b") as file:
                file.seek(pages)
                file.write(b"\xff" * pages)
    refused = tilldrop(daemon.home, "restore", str(kept), str(tmp_path / "new"))
    assert refused.returncode == 74
    assert not (tmp_path / "new").exists()
