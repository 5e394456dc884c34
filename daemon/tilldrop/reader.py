"""What a customer reads back: a receipt or a delivery's bytes.

Owns the descriptor of a file that is read. Reads in a thread. Never writes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.intake import Intake


class Reader:
    """Bytes that are in memory: a receipt."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size_bytes = len(content)

    async def read(self, offset: int, size: int) -> bytes:
        """Return up to size bytes from offset; b"" at the end."""
        return self._content[offset : offset + size]

    async def close(self) -> None:
        """Nothing to do."""


class FileReader(Reader):
    """Bytes of a delivery, read in a thread; the file may move meanwhile."""

    def __init__(self, intake: Intake, descriptor: int, size_bytes: int) -> None:
        super().__init__(b"")
        self._intake = intake
        self._descriptor = descriptor
        self.size_bytes = size_bytes

    async def read(self, offset: int, size: int) -> bytes:
        """Return up to size bytes from offset; b"" at the end."""
        return await self._intake.in_thread(lambda: os.pread(self._descriptor, size, offset))

    async def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)
