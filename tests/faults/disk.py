"""A small file system of its own for a home's state, to be filled, emptied and made read-only.

Owns the mount, in this mount namespace; `None` where the kernel does not let this user mount.
"""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted tmpfs."""

    folder: Path

    def fill(self) -> Path:
        """Use up all room; return the file to remove when there is to be some again."""
        path = self.folder / "full"
        with path.open("ab", buffering=0) as file:
            size = FILL_BYTES
            while size:
                try:
                    file.write(b"x" * size)
                except OSError:
                    size //= 2
        return path

    def remount(self, how: str) -> bool:
        """Make it "ro" or "rw"; tell whether the kernel did it (not while files are written)."""
        words = ("mount", "-o", f"remount,{how}", str(self.folder))
        return subprocess.run(words, check=False, capture_output=True).returncode == 0


@contextmanager
def disk(folder: Path, size_bytes: int) -> Iterator[Disk | None]:
    """Mount a small disk at a folder, for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "none", str(folder))
    try:
        mounted = subprocess.run(words, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        # Lazily: a reader of a failed test may still be there.
        subprocess.run(("umount", "--lazy", str(folder)), check=True)
