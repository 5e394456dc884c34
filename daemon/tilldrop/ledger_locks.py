"""Who holds a database's locks, as the kernel tells.

SQLite takes its locks with fcntl. Where the kernel fails to give one back (ENOLCK: it has no memory
to cut a lock in two), SQLite goes on holding it against itself for as long as this process has the
database open. Only reads /proc/locks: to open the file and close it again would drop every lock
that this process has on it.
"""

from __future__ import annotations

import os
from pathlib import Path

LOCKS = Path("/proc/locks")


def held_by_others(database: Path) -> bool:
    """Tell whether another process keeps writers out of a database; also if nobody can tell."""
    beside = (database, database.with_name(database.name + "-shm"))
    try:
        inodes = {str(path.stat().st_ino) for path in beside if path.exists()}
        lines = LOCKS.read_text(encoding="ascii").splitlines()
        # 1: POSIX  ADVISORY  WRITE 4711 08:01:1234 120 120
        held = (line.replace("->", "").split()[3:6] for line in lines)
        holders = {
            int(pid)
            for kind, pid, place in held
            if kind == "WRITE" and place.rpartition(":")[2] in inodes
        }
    except (OSError, ValueError):
        return True
    return bool(holders - {os.getpid()})
