"""Backups: a home's databases, bytes, configuration and keys, taken while the daemon runs.

Promises that what a backup holds fits together: the ledger is taken first, then the bytes of
every delivery it knows, then the business rows. So rows may be newer than the ledger, never the
other way round. A delivery whose import the ledger does not know yet is asked for again at the
first start, when the worker finds its report; one that came later is entered into the ledger's
copy, without its bytes: else its rows would be of nobody, and what comes next would get its place
in the order. Never changes the home it reads. What breaks off is taken away, or has no manifest.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

from tilldrop.delivery import CARD_REASONS
from tilldrop.errors import BackupFailed
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tilldrop.config import Paths

MANIFEST = "manifest.json"
LEDGER, DATA, SANDBOX, AUDIT = "ledger.db", "data.db", "sandbox.db", "audit.db"
STATE = "state"
FOLDERS = ("config", "keys")  # of a home
SPOOL_FOLDERS = ("kept", "arrived", "receiving")
PRIVATE_FOLDER_MODE = 0o700
PRIVATE_UMASK = 0o077
BUSY_TIMEOUT_S = 30.0

_BYTES_WANTED = (
    "SELECT id, state IN ('receiving', 'waiting', 'broken') FROM deliveries"
    " WHERE bytes_gone_at IS NULL ORDER BY id"
)
# The newest run of each delivery whose rows are newer than the ledger.
_NEWER = (
    "SELECT d.delivery, d.arrival_seq, d.customer, d.name, d.outcome, d.run, d.feed, d.report, d.at"
    " FROM rows.deliveries AS d LEFT JOIN deliveries AS l ON l.id = d.delivery"
    " WHERE (l.id IS NULL OR l.arrival_seq IS NULL) AND d.run ="
    " (SELECT max(run) FROM rows.deliveries AS e WHERE e.delivery = d.delivery)"
)
_ENTER = (
    "INSERT OR IGNORE INTO deliveries (id, arrival_seq, customer, door, peer, name, state, run,"
    " feed, reason, sha256, size_bytes, began_at, arrived_at, changed_at, bytes_gone_at)"
    " VALUES (:id, :seq, :customer, 'backup', '', :name, :outcome, :run, :feed, :reason, :sha256,"
    " :size, :at, :at, :at, :gone)"
)
_ENTER_RUNS = (
    "INSERT OR IGNORE INTO runs (delivery, run, ended_at, outcome, report)"
    " SELECT d.delivery, d.run, d.at, d.outcome, d.report FROM rows.deliveries AS d"
    " JOIN deliveries AS l ON l.id = d.delivery WHERE l.state NOT IN ('arrived', 'importing')"
)
# Replays of which the rows know and the ledger does not: nothing would end them.
_BEGUN = (
    "SELECT customer FROM rows.replaying EXCEPT"
    " SELECT customer FROM deliveries WHERE replay IS NOT NULL"
)
# What was taken back since the ledger was copied.
_TAKE_BACK = (
    "UPDATE deliveries SET state = 'rejected', reason = 'undone'"
    " WHERE state = 'imported' AND EXISTS (SELECT 1 FROM rows.deliveries AS d"
    " WHERE d.delivery = deliveries.id AND d.run >= deliveries.run AND d.outcome = 'undone')"
)
_DATABASE_FILES = ("-wal", "-shm", "-journal")  # may come and go by reading


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

    target: must not exist, or be empty; only its owner may look into it afterwards. Raises
    BackupFailed, and leaves nothing there; what a kill leaves is no backup, which the missing
    manifest tells. Cost: as copying all kept files; those are hard links where the target lies on
    the spool's file system, since delivered bytes never change.
    """
    made_at = datetime.now(UTC)
    _make_empty(target)
    before = os.umask(PRIVATE_UMASK)
    try:
        manifest = _write(paths, target, made_at)
    except (OSError, sqlite3.Error, shutil.Error, BackupFailed) as error:
        for left in target.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        raise _failed(target, error) from error
    finally:
        os.umask(before)
    return manifest


def _write(paths: Paths, target: Path, made_at: datetime) -> Manifest:
    state = target / STATE
    state.mkdir(mode=PRIVATE_FOLDER_MODE)
    erased = _erased(paths.data)
    _copy_database(paths.ledger, state / LEDGER)
    _copy_bytes(state / LEDGER, paths.spool, state / "spool")
    _copy_database(paths.data, state / DATA)
    _check_fits(state / LEDGER, state / DATA, erased)
    for optional in (paths.sandbox, paths.audit):
        if optional.exists():
            _copy_database(optional, state / optional.name)
    for rows in (state / DATA, state / SANDBOX):
        if rows.exists():
            _enter_newer(state / LEDGER, rows, state / "spool")
    for name in FOLDERS:
        if (paths.home / name).is_dir():
            # What is linked to from here is not there when it is restored elsewhere.
            shutil.copytree(paths.home / name, target / name, ignore_dangling_symlinks=True)
    with closing(sqlite3.connect(state / LEDGER)) as ledger:
        deliveries = ledger.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    manifest = Manifest(
        version=version("tilldrop"),
        made_at=made_at.isoformat(timespec="seconds"),
        deliveries=deliveries,
        files=_count_files(state),
        size_bytes=_size(target),
    )
    _sync_tree(target)
    # Last: a folder without it is no backup.
    (target / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    _sync(target / MANIFEST)
    _sync(target)
    return manifest


def verify(backup: Path) -> Manifest:
    """Check that a backup is whole: sound databases, every file that the ledger wants.

    Raises BackupFailed saying what is wrong. Cost: reads both databases.
    """
    try:
        manifest = Manifest(**json.loads((backup / MANIFEST).read_text()))
    except (OSError, ValueError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        raise BackupFailed(f"{backup} is no whole backup: {MANIFEST}: {why}") from error
    state = backup / STATE
    for name in (LEDGER, DATA, SANDBOX, AUDIT):
        if name in {LEDGER, DATA} or (state / name).exists():
            _check_database(state / name)
    found = _count_files(state)
    if found != manifest.files:
        raise BackupFailed(f"{backup} has {found} of {manifest.files} files")
    size = _size(backup)
    if size != manifest.size_bytes:
        raise BackupFailed(f"{backup} has {size} of {manifest.size_bytes} bytes")
    return manifest


def restore(backup: Path, home: Path, state: Path) -> Manifest:
    """Make a home of a backup. home, state: must not exist, or be empty; state may lie in home.

    The configuration comes last: what was broken off is no home, so that no daemon begins anew
    there. Raises BackupFailed; nothing that was there is overwritten.
    """
    manifest = verify(backup)
    _check_empty(home)
    _check_empty(state)
    before = os.umask(PRIVATE_UMASK)
    try:
        _make_empty(home)
        _make_empty(state)
        with _synced_at_once(state):
            shutil.copytree(backup / STATE, state, dirs_exist_ok=True)
        for name in reversed(FOLDERS):
            if (backup / name).is_dir():
                shutil.copytree(backup / name, home / f"{name}.new")
                _sync_tree(home / f"{name}.new")
                (home / f"{name}.new").rename(home / name)
        _sync(home)
    except (OSError, shutil.Error) as error:
        raise _failed(home, error) from error
    finally:
        os.umask(before)
    return manifest


def _make_empty(folder: Path) -> None:
    _check_empty(folder)
    try:
        folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(PRIVATE_FOLDER_MODE)
    except OSError as error:
        raise _failed(folder, error) from error


def _check_empty(folder: Path) -> None:
    try:
        if folder.exists() and any(folder.iterdir()):
            raise BackupFailed(f"{folder} is not empty; choose another, or move away what is there")
    except OSError as error:
        raise _failed(folder, error) from error


def _failed(folder: Path, error: Exception) -> BackupFailed:
    if isinstance(error, OSError) and error.strerror:
        return BackupFailed(f"{error.filename or folder}: {error.strerror}")
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        _, target, why = error.args[0][0]  # of as many as there are files
        return BackupFailed(f"{target}: {why}")
    return BackupFailed(f"{folder}: {error}")


def _count_files(state: Path) -> int:
    return sum(1 for one in (state / "spool").glob("*/*") if one.is_file())


def _size(backup: Path) -> int:
    """Return what all of a backup comes to, but for its manifest."""
    return sum(
        one.stat().st_size
        for one in backup.rglob("*")
        if one.is_file() and one != backup / MANIFEST and not one.name.endswith(_DATABASE_FILES)
    )


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


def _erased(data: Path) -> set[tuple[str, str]]:
    """Return who was erased: customer and hash."""
    with closing(sqlite3.connect(f"{data.as_uri()}?mode=ro", uri=True)) as connection:
        if not _has(connection, "erased_shoppers"):  # of an earlier version
            return set()
        return set(connection.execute("SELECT customer, hash FROM erased_shoppers"))


def _has(connection: sqlite3.Connection, table: str, column: str = "customer") -> bool:
    sql = "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?) WHERE name = ?)"
    return bool(connection.execute(sql, (table, column)).fetchone()[0])


def _check_fits(ledger: Path, data: Path, erased: set[tuple[str, str]]) -> None:
    """Raise BackupFailed if something began meanwhile of which the ledger's copy knows nothing."""
    if _erased(data) != erased:
        raise BackupFailed("a shopper was erased meanwhile, and is still in it: make it again")
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("ATTACH ? AS rows", (f"{data.as_uri()}?mode=ro",))
        is_old = not _has(connection, "replaying") or not _has(connection, "deliveries", "replay")
        begun = [] if is_old else connection.execute(_BEGUN).fetchall()
    if begun:
        raise BackupFailed(f"a replay of {begun[0][0]} began meanwhile: make it again")


def _copy_bytes(ledger: Path, spool: Path, target: Path) -> None:
    """Copy the bytes of all deliveries of which the ledger's copy says that they are there."""
    for name in SPOOL_FOLDERS:
        (target / name).mkdir(mode=PRIVATE_FOLDER_MODE, parents=True)
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
        wanted = connection.execute(_BYTES_WANTED).fetchall()
    for delivery, is_unfinished in wanted:
        _copy_delivery(spool, target, delivery, is_unfinished=bool(is_unfinished))


def _copy_delivery(spool: Path, target: Path, delivery: str, *, is_unfinished: bool) -> None:
    """Copy one delivery's bytes from whichever folder they lie in, moving on meanwhile.

    What had not ended when the ledger was copied lies where its row wants it.
    """
    for _ in SPOOL_FOLDERS:  # a file moves at most that often
        for name in SPOOL_FOLDERS:
            source = spool / name / delivery
            copy = target / ("receiving" if is_unfinished else name) / delivery
            try:
                if name == "receiving":
                    shutil.copy2(source, copy)  # it may still grow
                else:
                    _link_or_copy(source, copy)
            except FileNotFoundError:
                continue
            return


def _enter_newer(ledger: Path, rows: Path, spool: Path) -> None:
    """Enter into the ledger's copy the deliveries that only the rows' copy knows."""
    uri = f"{ledger.as_uri()}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS rows", (f"{rows.as_uri()}?mode=ro",))
        connection.execute("BEGIN")
        for one in connection.execute(_NEWER).fetchall():
            delivery, seq, customer, name, outcome, run, feed, text, at = one
            report = json.loads(text)
            entered = {
                "id": delivery,
                "seq": seq,
                "customer": customer,
                "name": name,
                "run": run,
                "outcome": outcome,
                "feed": feed,
                "at": at,
                "reason": report.get("reason"),
                "sha256": report.get("sha256"),
                "size": report["size_bytes"],
            }
            may_stay = report["reason"] not in CARD_REASONS and not report["masked"]
            is_whole = _keep_if_whole(spool, delivery, report["size_bytes"], may_stay=may_stay)
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery,))  # unfinished
            connection.execute(_ENTER, {**entered, "gone": None if is_whole else at})
        connection.execute(_ENTER_RUNS)
        connection.execute(_TAKE_BACK)
        connection.execute("COMMIT")


def _keep_if_whole(spool: Path, delivery: str, size_bytes: int, *, may_stay: bool) -> bool:
    """Keep the bytes of an upload that ended meanwhile, if all of them were copied.

    may_stay: they hold no card data; what the worker put in their place was not copied.
    """
    copied = spool / "receiving" / delivery
    if not copied.exists():
        return False
    if copied.stat().st_size != size_bytes or not may_stay:
        copied.unlink()
        return False
    copied.rename(spool / "kept" / delivery)
    return True


def _link_or_copy(source: Path, copy: Path) -> None:
    try:
        os.link(source, copy)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        shutil.copy2(source, copy)


def _sync_tree(folder: Path) -> None:
    """Make all of a folder durable.

    A file that is linked has been so since it was acknowledged. To sync each of 100,000 again took
    half a minute alone, and minutes beside uploads, whose own syncs then wait.
    """
    for path in (*folder.rglob("*"), folder):
        if path.is_dir() or path.stat().st_nlink == 1:
            _sync(path)


@contextmanager
def _synced_at_once(folder: Path) -> Iterator[None]:
    """Make durable what is written within, by one sync of the folder's whole file system.

    Of 100,000 files each by itself it took minutes. Errors since this began are told: syncfs(2).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
