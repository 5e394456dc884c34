"""One at a time in a home: its state's folders, and the lock on them.

Owns the folders' being there and `tilldrop.lock`. Promises that of all who would change ledger
and spool, the daemon or a command without one, one alone holds the lock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tilldrop.errors import AlreadyRunning, HomeUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.config import Paths

PRIVATE_FOLDER_MODE = 0o700
LOCK = "tilldrop.lock"


def make_folders(paths: Paths) -> None:
    """Make the folders for state. Raises HomeUnusable."""
    for folder in (paths.state, paths.run, paths.spool):
        try:
            folder.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeUnusable(f"{folder} cannot be made: {error.strerror}") from error
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise HomeUnusable(f"{folder} is not writable by this user")


@contextmanager
def locked(paths: Paths) -> Iterator[None]:
    """Hold the home's lock: whoever has it may change ledger and spool.

    Raises AlreadyRunning, HomeUnusable. The kernel lets go of it however the holder ends.
    """
    path = paths.run / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(OSError):  # for people only, and a full disk must not keep us from starting
            os.pwrite(descriptor, f"{os.getpid():<10}\n".encode("ascii"), 0)
        yield
    except BlockingIOError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        raise AlreadyRunning(f"{paths.home} is in use by process {holder or '?'}") from error
    finally:
        os.close(descriptor)
