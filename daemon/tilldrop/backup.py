"""Backups: a home's databases, bytes, configuration and keys, taken while the daemon runs.

Promises that what a backup holds fits together: the ledger is taken first, then the bytes of
every delivery it knows, then the business rows. So rows may be newer than the ledger, never the
other way round, and a delivery whose import the ledger does not know yet is asked for again at
the first start, when the worker finds its report. Never changes the home it reads.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from tilldrop.errors import BackupFailed
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Paths

MANIFEST = "manifest.json"
LEDGER, DATA, SANDBOX, AUDIT = "ledger.db", "data.db", "sandbox.db", "audit.db"
STATE = "state"
FOLDERS = ("config", "keys")  # of a home
SPOOL_FOLDERS = ("kept", "arrived", "receiving")
PRIVATE_FOLDER_MODE = 0o700
BUSY_TIMEOUT_S = 30.0

_BYTES_WANTED = "SELECT id FROM deliveries WHERE bytes_gone_at IS NULL ORDER BY id"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. files: deliveries whose bytes it holds."""

    version: str
    made_at: str
    deliveries: int
    files: int
    size_bytes: int


def back_up(paths: Paths, target: Path) -> Manifest:
    """Write a backup of a home into a new folder; the daemon may run.

    target: must not exist, or be empty. Raises BackupFailed; what was written then is no backup,
    which the missing manifest tells. Cost: as copying all kept files; those are hard links
    where the target lies on the spool's file system, since delivered bytes never change.
    """
    made_at = datetime.now(UTC)
    try:
        _make_empty(target)
        state = target / STATE
        state.mkdir(mode=PRIVATE_FOLDER_MODE)
        _copy_database(paths.ledger, state / LEDGER)
        deliveries, files = _copy_bytes(state / LEDGER, paths.spool, state / "spool")
        _copy_database(paths.data, state / DATA)
        for optional in (paths.sandbox, paths.audit):
            if optional.exists():
                _copy_database(optional, state / optional.name)
        for name in FOLDERS:
            if (paths.home / name).is_dir():
                shutil.copytree(paths.home / name, target / name, symlinks=True)
        manifest = Manifest(
            version=version("tilldrop"),
            made_at=made_at.isoformat(timespec="seconds"),
            deliveries=deliveries,
            files=files,
            size_bytes=sum(one.stat().st_size for one in target.rglob("*") if one.is_file()),
        )
        _sync_tree(target)
        # Last: a folder without it is no backup.
        (target / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
        _sync_tree(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{target}: {error}") from error
    return manifest


def verify(backup: Path) -> Manifest:
    """Check that a backup is whole: sound databases, every file that the ledger wants.

    Raises BackupFailed saying what is wrong. Cost: reads both databases.
    """
    try:
        manifest = Manifest(**json.loads((backup / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise BackupFailed(f"{backup} is no whole backup: {error}") from error
    state = backup / STATE
    for name in (LEDGER, DATA, SANDBOX, AUDIT):
        if name in {LEDGER, DATA} or (state / name).exists():
            _check_database(state / name)
    found = sum(1 for one in (state / "spool").glob("*/*") if one.is_file())
    if found != manifest.files:
        raise BackupFailed(f"{backup} has {found} of {manifest.files} files")
    return manifest


def restore(backup: Path, home: Path, state: Path) -> Manifest:
    """Make a home of a backup. home, state: must not exist, or be empty; state may lie in home.

    Raises BackupFailed; nothing that was there is overwritten.
    """
    manifest = verify(backup)
    try:
        _make_empty(home)
        for name in FOLDERS:
            if (backup / name).is_dir():
                shutil.copytree(backup / name, home / name, symlinks=True)
        _make_empty(state)
        shutil.copytree(backup / STATE, state, dirs_exist_ok=True)
        _sync_tree(home)
        _sync_tree(state)
    except OSError as error:
        raise BackupFailed(f"{home}: {error}") from error
    return manifest


def _make_empty(folder: Path) -> None:
    folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BackupFailed(f"{folder} is not empty")


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database as it is at this moment; writers go on meanwhile."""
    uri = f"{source.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute("VACUUM INTO ?", [str(target)])


def _check_database(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupFailed(f"{path}: {error}") from error
    if found != "ok":
        raise BackupFailed(f"{path}: {found}")


def _copy_bytes(ledger: Path, spool: Path, target: Path) -> tuple[int, int]:
    """Copy the bytes of all deliveries; return how many there are and how many have bytes."""
    for name in SPOOL_FOLDERS:
        (target / name).mkdir(mode=PRIVATE_FOLDER_MODE, parents=True)
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        wanted = [row[0] for row in connection.execute(_BYTES_WANTED)]
    files = sum(_copy_delivery(spool, target, delivery) for delivery in wanted)
    return len(wanted), files


def _copy_delivery(spool: Path, target: Path, delivery: str) -> bool:
    """Copy one delivery's bytes from whichever folder they lie in, moving on meanwhile."""
    for _ in SPOOL_FOLDERS:  # a file moves at most that often
        for name in SPOOL_FOLDERS:
            source, copy = spool / name / delivery, target / name / delivery
            try:
                if name == "receiving":
                    shutil.copy2(source, copy)  # it may still grow
                else:
                    _link_or_copy(source, copy)
            except FileNotFoundError:
                continue
            return True
    return False


def _link_or_copy(source: Path, copy: Path) -> None:
    try:
        os.link(source, copy)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copy2(source, copy)


def _sync_tree(folder: Path) -> None:
    """Make all of a folder durable."""
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
