"""The databases of a home: data.db always, sandbox.db if anything is or was in sandbox.

Owns when they are made and brought forward. Never opened while the worker has them open for the
first time: data.db is prepared before the worker starts, sandbox.db before the first job for it.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from tilldrop.errors import HomeUnusable
from tilldrop.importer import schema
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Config, Paths


def prepare(config: Config) -> None:
    """Make or bring forward what the worker will open. Raises what `schema.migrate` does.

    HomeUnusable if a file cannot be made or opened.
    """
    _migrate(config.paths.data)
    if config.paths.sandbox.exists():
        _migrate(config.paths.sandbox)
    prepare_sandbox(config)


def prepare_sandbox(config: Config) -> None:
    """Make sandbox.db if it is needed and not there. Raises as `prepare`."""
    needed = any(customer.sandboxed for customer in config.customers.values())
    if needed and not config.paths.sandbox.exists():
        _migrate(config.paths.sandbox)
        _remember_erased(config.paths)


def _remember_erased(paths: Paths) -> None:
    """Let a new sandbox.db know who was erased before it was made."""
    if not paths.data.exists():
        return
    with closing(sqlite3.connect(paths.sandbox, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS data", (str(paths.data),))
        connection.execute("INSERT INTO erased_shoppers SELECT * FROM data.erased_shoppers")


def present(paths: Paths) -> list[Path]:
    """Return the databases in which a delivery may have changed something, data.db last."""
    return [path for path in (paths.sandbox, paths.data) if path.exists()]


def _migrate(path: Path) -> None:
    try:
        schema.migrate(path)
    except sqlite3.Error as error:
        raise HomeUnusable(f"{path}: {error}") from error
