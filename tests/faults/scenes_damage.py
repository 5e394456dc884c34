"""Scenes of databases that are damaged beneath a running daemon, deep inside, and put back.

Owns the damage: rubbish over rows, in pages that are not read when the database is opened.
"""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from typing import TYPE_CHECKING

from tests.daemon import tilldrop, wait_for
from tests.faults.bed import Bed
from tests.faults.scene import SCENE_TOML, SETTLE_S, Scene, held, settle, upload
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES = 4096
LEAVES = (b"\x0a", b"\x0d")  # SQLite's file format: pages of an index, of a table
FILES, ROWS = 4, 500
SOLD_AT = b"2026-03-14T10:30"  # in every row of `sales`


def damage(path: Path, holding: bytes = b"") -> bytes:
    """Write rubbish over rows that hold something, beneath what is read at first.

    Returns the whole file as it is then.
    """
    with closing(sqlite3.connect(path)) as connection:  # else the WAL has the pages still
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        roots = {root for (root,) in connection.execute("SELECT rootpage FROM sqlite_schema")}
    sound = path.read_bytes()
    content = bytearray(sound)
    with path.open("r+b") as file:
        for start in range(PAGE_BYTES, len(content), PAGE_BYTES):
            page = content[start : start + PAGE_BYTES]
            is_root = start // PAGE_BYTES + 1 in roots
            if not is_root and page[:1] in LEAVES and holding in page:
                content[start + 8 : start + PAGE_BYTES] = os.urandom(PAGE_BYTES - 8)
                file.seek(start)
                file.write(content[start : start + PAGE_BYTES])
    assert content != sound, "nothing lies deep enough"
    return bytes(content)


def damaged_data(folder: Path, keys: Path) -> Scene | None:
    """Damage data.db; uploads wait until it is put back from a backup, and none is held."""
    bed = Bed(folder, keys, "none", SCENE_TOML)
    data = bed.daemon.paths.data
    bed.daemon.start()
    try:
        for _ in range(FILES):
            upload(bed, ROWS)
        wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
        assert tilldrop(bed.daemon.home, "backup", str(folder / "backup")).returncode == 0
        # The worker has all of it in memory still, as one that runs for weeks has not.
        bed.daemon.stop()
        damaged = damage(data, SOLD_AT)
        bed.daemon.start()
        found = [] if upload(bed, ROWS).acknowledged else ["an upload was refused meanwhile"]
        wait_for("the damage to be said", lambda: _said(bed), SETTLE_S)
        fired = _said(bed)
        bed.daemon.stop()
        found += [] if data.read_bytes()[: len(damaged)] == damaged else ["it was written to"]
        shutil.copyfile(folder / "backup" / "state" / data.name, data)
        for beside in ("-wal", "-shm"):
            data.with_name(data.name + beside).unlink(missing_ok=True)
        bed.daemon.start()
        return Scene(fired, found + settle(bed) + held(bed))
    finally:
        bed.daemon.kill()


def _said(bed: Bed) -> int:
    return sum(one["code"] == "data-damaged" for one in bed.daemon.events("importer.troubled"))
