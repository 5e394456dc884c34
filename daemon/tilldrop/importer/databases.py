"""The databases of a home: data.db always, sandbox.db if anything is or was in sandbox.

Owns when they are made and brought forward. Never opened while the worker has them open for the
first time: data.db is prepared before the worker starts, sandbox.db before the first job for it.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tilldrop.errors import DataUnavailable, HomeUnusable
from tilldrop.importer import schema
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Config, Paths


# A full or failing disk. SQLite calls it an I/O error where it has no room for a WAL's index.
_PASSING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM)
_NOT_KNOWN = "SELECT * FROM data.erased_shoppers EXCEPT SELECT * FROM main.erased_shoppers"


def prepare(config: Config) -> None:
    """Make or bring forward what the worker will open. Raises what `schema.migrate` does.

    DataUnavailable (temporary) if the disk is full or fails, HomeUnusable if a file cannot be made
    or opened.
    """
    _migrate(config.paths.data)
    if config.paths.sandbox.exists():
        _make_sandbox(config.paths)  # a power failure may have left it without who was erased
    prepare_sandbox(config)


def prepare_sandbox(config: Config) -> None:
    """Make sandbox.db if it is needed and not there. Raises as `prepare`."""
    needed = any(customer.sandboxed for customer in config.customers.values())
    if needed and not config.paths.sandbox.exists():
        _make_sandbox(config.paths)


def _make_sandbox(paths: Paths) -> None:
    """Make or bring forward sandbox.db; let it know who was erased before it was made."""
    _migrate(paths.sandbox)
    if not paths.data.exists():
        return
    with closing(sqlite3.connect(paths.sandbox, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS data", (str(paths.data),))
        missing = connection.execute(_NOT_KNOWN).fetchall()  # usually none: no lock is needed
        connection.executemany("INSERT OR IGNORE INTO erased_shoppers VALUES (?, ?, ?, ?)", missing)


def present(paths: Paths) -> list[Path]:
    """Return the databases in which a delivery may have changed something, data.db last."""
    return [path for path in (paths.sandbox, paths.data) if path.exists()]


def _migrate(path: Path) -> None:
    try:
        schema.migrate(path)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING:
            # The service is started again and again, until there is room.
            raise DataUnavailable(f"{path}: {error}") from error
        raise HomeUnusable(f"{path}: {error}") from error
