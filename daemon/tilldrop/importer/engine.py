"""The DuckDB connection that reads customers' files: locked down before it sees one.

Promises: what `connect` returns opens files below the named folders only, fetches no extension
and cannot be told otherwise. Never opens data.db.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from tilldrop.rows import Job

# DuckDB counts only what it reserves itself: with a limit of 512 MB it was seen at 600 MB, and
# the page cache of data.db and the interpreter come on top.
MEMORY_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Terms:
    """What a connection may do; a connection serves all jobs that have equal terms.

    spool: the folder of the delivery's bytes. temp_dir: for copies and for spilling.
    """

    spool: str
    temp_dir: str
    memory_bytes: int
    threads: int

    @classmethod
    def of(cls, job: Job) -> Terms:
        """Return the terms under which a job is done."""
        return cls(
            spool=str(Path(job.path).parent),
            temp_dir=job.temp_dir,
            memory_bytes=job.memory_bytes,
            threads=job.threads,
        )


def connect(terms: Terms) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that may read the spool and use the temporary folder.

    Cost: 25 ms. What an earlier process spilled and left is removed.
    """
    spill = Path(terms.temp_dir) / "spill"
    shutil.rmtree(spill, ignore_errors=True)
    connection = duckdb.connect(
        config={
            "threads": terms.threads,
            "memory_limit": f"{int(terms.memory_bytes * MEMORY_SHARE)}B",
            "temp_directory": str(spill),
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
        }
    )
    # DuckDB resolves links before it compares, so the folders must be real names. That order
    # is the only one: the folders cannot be set in connect(), nor after the lock.
    allowed = [os.path.realpath(folder) for folder in (terms.spool, terms.temp_dir)]
    connection.execute("SET allowed_directories = ?", [allowed])
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def drop_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Drop every table and view that a job left, so that the next begins with none."""
    found = connection.execute(
        "SELECT 'VIEW', view_name FROM duckdb_views() WHERE NOT internal"
        " UNION ALL SELECT 'TABLE', table_name FROM duckdb_tables()"
    ).fetchall()
    for kind, name in found:
        connection.execute(f'DROP {kind} "{name}"')
