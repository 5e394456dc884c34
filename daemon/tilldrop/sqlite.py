"""Which SQLite this process uses: one, chosen once.

Two copies of SQLite in one process that open the same file lose each other's POSIX locks, so
the daemon and the CLI import `sqlite3` from here and nowhere else. pysqlite3 brings a current
library; where there is no wheel for it (aarch64), Python's own is used.
sqlite-utils makes the same choice in the same order.
"""

from __future__ import annotations

import importlib.util
import sqlite3 as _standard
from typing import TYPE_CHECKING

from tilldrop.errors import SqliteTooOld

if TYPE_CHECKING or importlib.util.find_spec("pysqlite3") is None:
    sqlite3 = _standard
else:
    import pysqlite3 as sqlite3

NEEDED = (3, 38, 0)  # STRICT tables, RETURNING
WAL_SOUND = (3, 51, 3)  # earlier ones can corrupt a database when a WAL is reset


def check_version() -> None:
    """Raise SqliteTooOld if the library lacks what the schema needs."""
    if sqlite3.sqlite_version_info < NEEDED:
        wanted = ".".join(map(str, NEEDED))
        raise SqliteTooOld(
            f"SQLite {sqlite3.sqlite_version} is too old: {wanted} or later is needed;"
            " install the package pysqlite3"
        )


def journal_mode() -> str:
    """Return "wal", or "delete" where this library's WAL is not sound."""
    return "wal" if sqlite3.sqlite_version_info >= WAL_SOUND else "delete"
