"""Bytes on their way out of a delivery: hashed, counted against limits, read anew if need be.

Owns `Part`, one text file's bytes, and `Limits`. Promises that no more comes out of a packed file
than `Limits` says, checked as the bytes come and not on what an archive says of itself.
`Unreadable` is how the steps of reading give up; it never leaves `reading.prepare`.
"""

from __future__ import annotations

import errno
import hashlib
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_BYTES = 1024**2
FREE_BYTES = 16 * 1024**2  # so much may come out of any file: small ones may be very repetitive

# What zipfile and zlib raise on damaged bytes.
BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    EOFError,
    struct.error,
    zlib.error,
)


class Unreadable(Exception):
    """The file cannot be read; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.code)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Limits:
    """What may come out of a packed file. max_unpack_ratio: unpacked to packed bytes.

    memory_bytes: what reading a workbook may take; it is done in a process of its own.
    """

    max_unpacked_bytes: int = 4 * 1024**3
    max_unpack_ratio: int = 200
    memory_bytes: int = 1024**3


class Stream(Protocol):
    """What bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Hashed:
    """A file whose bytes are hashed as they pass, up to the end by `drain`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(size)
        self.digest.update(chunk)
        self.size_bytes += len(chunk)
        return chunk

    def drain(self) -> None:
        """Hash what was not asked for."""
        while self.read(CHUNK_BYTES):
            pass


class Budget:
    """How much may still be unpacked. packed_bytes: the size of the delivery."""

    def __init__(self, limits: Limits, packed_bytes: int) -> None:
        self._limits = limits
        self._ratio_bytes = max(limits.max_unpack_ratio * packed_bytes, FREE_BYTES)
        self._spent_bytes = 0

    def spend(self, size_bytes: int) -> None:
        """Take note of unpacked bytes. Raises Unreadable past a limit."""
        self._spent_bytes += size_bytes
        if self._spent_bytes > self._limits.max_unpacked_bytes:
            seen = f"more than {self._limits.max_unpacked_bytes} bytes"
        elif self._spent_bytes > self._ratio_bytes:
            seen = f"more than {self._limits.max_unpack_ratio} times its size"
        else:
            return
        raise Unreadable(Fault("unpacked-too-large", seen=seen))


class Part:
    """One text file's bytes, in chunks. name: within an archive, else "".

    opening: begins it anew. stream: the first reading, if that is to be another. budget: None
    where nothing is unpacked.
    """

    def __init__(
        self,
        opening: Callable[[], Stream],
        chunk_bytes: int,
        *,
        name: str = "",
        stream: Stream | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._opening = opening
        self._stream = stream
        self._chunk_bytes = chunk_bytes
        self._budget = budget
        self._ahead = b""
        self.name = name
        self.size_bytes = 0

    def peek(self, size_bytes: int) -> bytes:
        """Return the beginning, which read() will return again: so much, or all there is."""
        while len(self._ahead) < size_bytes and (chunk := self._next()):
            self._ahead += chunk
        return self._ahead

    def read(self) -> bytes:
        """Return the next chunk, b"" at the end. Raises Unreadable."""
        chunk = self._ahead or self._next()
        self._ahead = b""
        self.size_bytes += len(chunk)
        return chunk

    def again(self) -> Iterator[bytes]:
        """Yield the chunks from the beginning, without touching the reading under way."""
        stream = self._opening()
        while chunk := stream.read(self._chunk_bytes):
            yield chunk

    def _next(self) -> bytes:
        try:
            if self._stream is None:
                self._stream = self._opening()
            chunk = self._stream.read(self._chunk_bytes)
        except OSError as error:
            # A damaged archive may send us to a place that no file has.
            if self._budget is None or error.errno not in {None, errno.EINVAL}:
                raise
            raise damaged(error) from error
        except BROKEN as error:
            raise damaged(error) from error
        if self._budget:
            self._budget.spend(len(chunk))
        return chunk


def refused(why: str) -> Unreadable:
    """Say why a packed file is not unpacked."""
    return Unreadable(Fault("unpack-failed", seen=why))


def damaged(error: Exception) -> Unreadable:
    """Say that a packed file is damaged, in the words of what found it."""
    return refused(f"it is damaged ({shorten(str(error))})")
