"""Small files that nobody else may read: password hashes and host keys.

Promises that a reader sees the old content or the new, never half of it and never with a
wider mode. Never reads one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SECRET_MODE = 0o600
PUBLIC_MODE = 0o644


def write_whole(path: Path, content: bytes, mode: int = SECRET_MODE) -> None:
    """Replace or make `path`, durably, for the owner of the folder it lies in.

    Raises OSError. Cost: two fsyncs. Source: rename(2), atomic within one folder.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123  a descriptor, not a path
            os.fchmod(descriptor, mode)  # the umask may have narrowed it
            _give_to_folder_owner(descriptor, path.parent)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.rename(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def rename(path: Path, name: Path) -> None:
    """Give a file another name in its folder, durably. Raises OSError."""
    path.rename(name)
    _sync_folder(name.parent)


def remove(path: Path) -> None:
    """Remove a file, durably: it is not back after a power loss. Raises OSError."""
    path.unlink()
    _sync_folder(path.parent)


def _give_to_folder_owner(descriptor: int, folder: Path) -> None:
    # An operator may run the CLI as root while the daemon runs as its own user: a file of
    # root's, readable by its owner alone, would lock the daemon out of its own keys.
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
