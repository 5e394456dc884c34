"""One file while a client writes it.

Owns the descriptor of receiving/ID until the upload ends, and the knowledge of which ranges
were written. Promises: a failed write poisons the upload, so that its end is refused; nothing
is written past the size limit or into the space reserve. Bytes are gathered into large writes
that run in a thread, so that a slow disk never holds the event loop. Never moves a file and
never changes a state: `intake` does.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop.errors import (
    SpoolFailed,
    TilldropError,
    TooLarge,
    UploadHasGaps,
    UploadPoisoned,
)
from tilldrop.spool import failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Executor, Future

    from tilldrop.delivery import Delivery
    from tilldrop.spool import Spool
    from tilldrop.usage import Meter

T = TypeVar("T")

GATHER_BYTES = 512 * 1024  # one write to disk; two may be in memory at a time
# What is written is synced while the rest comes in: the end of a large upload is then soon
# answered, and no other customer's sync finds gigabytes in the disk's queue before it.
SYNC_AHEAD_BYTES = 16 * 1024**2
RANGES_MOST = 4_096  # a client that writes ever more islands is not uploading a file


class Ranges:
    """Which bytes of a file were written. `prefix`: how many without a hole from the start."""

    def __init__(self, prefix: int = 0) -> None:
        self.prefix = prefix
        self._islands: list[tuple[int, int]] = []  # beyond the prefix, sorted, apart

    def add(self, start: int, end: int) -> None:
        """Note that start <= offset < end was written. Raises UploadHasGaps past RANGES_MOST."""
        if start > self.prefix:
            self._islands.append((start, end))
            self._islands.sort()
            self._join()
            if len(self._islands) > RANGES_MOST:
                raise UploadHasGaps(f"more than {RANGES_MOST} separate ranges were written")
            return
        self.prefix = max(self.prefix, end)
        while self._islands and self._islands[0][0] <= self.prefix:
            self.prefix = max(self.prefix, self._islands.pop(0)[1])

    def _join(self) -> None:
        joined = [self._islands[0]]
        for start, end in self._islands[1:]:
            if start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        self._islands = joined

    def cut(self, size: int) -> None:
        """Forget what lies at or beyond size."""
        self.prefix = min(self.prefix, size)
        self._islands = [(s, min(e, size)) for s, e in self._islands if s < size]

    @property
    def end(self) -> int:
        """Return the offset behind the last byte written."""
        return self._islands[-1][1] if self._islands else self.prefix

    @property
    def whole(self) -> bool:
        """Say whether no hole is left."""
        return not self._islands


class Upload:
    """An open upload. Made by `Visit.open_write`; ended by `Visit.finish` or `abandon`.

    name: as the customer sees it now. mtime: what the client asked to be shown. origin: where
    the door took it from, for `LedgerReader.by_origin`. append: every write goes to the end,
    whatever offset it names. seed: id of the accepted delivery whose bytes are copied before the
    first change; an upload that never changed them is discarded. begun: the ledger's row, on its
    way. note_gap: awaited once, with the prefix, before the first write that leaves a hole.
    meter: counts what is written for the customer's limits, and holds it back.
    """

    def __init__(
        self,
        delivery_id: str,
        name: str,
        descriptor: int,
        spool: Spool,
        pool: Executor,
        max_bytes: int,
        note_gap: Callable[[int], Awaitable[object]],
        meter: Meter,
    ) -> None:
        self.delivery_id = delivery_id
        self.name = name
        self.mtime: int | None = None
        self.origin: str | None = None
        self.append = False
        self.seed: str | None = None
        self.is_seeded = False
        self.ranges = Ranges()
        self.ended = False
        self.touched = False
        self.begun: Future[Delivery] | None = None
        self.poison: TilldropError | None = None
        self._descriptor = descriptor
        self._spool = spool
        self._pool = pool
        self._max_bytes = max_bytes
        self._note_gap: Callable[[int], Awaitable[object]] | None = note_gap
        self._meter = meter
        self._gathered = bytearray()
        self._gathered_at = 0
        self._writing: asyncio.Future[None] | None = None
        self._syncing: asyncio.Future[None] | None = None
        self._unsynced_bytes = 0
        self._changes = 0  # counted when each is made, to know whether a sync came after it
        self._changes_synced = -1
        self._flights: set[asyncio.Future[Any]] = set()

    @property
    def size_bytes(self) -> int:
        """Return the size as STAT shows it."""
        return self.ranges.end

    async def write(self, offset: int, chunk: bytes) -> None:
        """Take bytes, when the customer's bandwidth lets them pass.

        Raises TooLarge, StoredTooMuch, SpoolFull, SpoolFailed, UploadHasGaps, UploadPoisoned.
        """
        self._check()
        await self._meter.let_pass(len(chunk))
        try:
            await self._change()
            start = self.size_bytes if self.append else offset
            await self._admit(start, start + len(chunk))
            if self._gathered and start != self._gathered_at + len(self._gathered):
                await self._send_off()
            if not self._gathered:
                self._gathered_at = start
            self._gathered += chunk
            self._changes += 1
            self.ranges.add(start, start + len(chunk))
            if len(self._gathered) >= GATHER_BYTES:
                await self._send_off()
        except TilldropError as error:
            self.poison = self.poison or error
            raise

    async def truncate(self, size: int) -> None:
        """Set the size: equal is fine, smaller cuts. Raises UploadHasGaps for larger."""
        self._check()
        if size == self.size_bytes:
            return
        if size > self.size_bytes:
            raise UploadHasGaps(f"cannot grow {self.delivery_id} to {size} without bytes")
        try:
            await self._change()
            await self.flush()
            await self._in_thread(lambda: os.ftruncate(self._descriptor, size))
            self._changes += 1
        except TilldropError as error:
            self.poison = self.poison or error
            raise
        self.ranges.cut(size)

    async def start_at(self, prefix: int) -> None:
        """Go on with a file of which the first prefix bytes are known to be right."""

        def cut() -> int:
            kept = min(prefix, os.fstat(self._descriptor).st_size)
            os.ftruncate(self._descriptor, kept)
            return kept

        self.ranges.prefix = await self._in_thread(cut)

    async def read(self, offset: int, size: int) -> bytes:
        """Return bytes written so far; fewer than size at the end."""
        await self.flush()
        return await self._in_thread(lambda: os.pread(self._descriptor, size, offset))

    async def flush(self) -> None:
        """Hand everything to the operating system."""
        await self._send_off()
        await self._land()

    async def sync(self) -> None:
        """Make everything durable. Raises what write raises. Again costs nothing."""
        self._check()
        if self._changes_synced == self._changes:
            return
        try:
            while self._writing is not None or self._syncing is not None:
                await self._land()
                await self._have_synced()
            chunk, at = self._take_gathered()
            changes = self._changes
            await self._in_thread(lambda: self._write_and_sync(chunk, at))
            self._changes_synced = changes
        except TilldropError as error:
            # After a failed fsync the kernel may have dropped the bytes: never trust it again.
            self.poison = self.poison or error
            raise

    async def close(self) -> None:
        """Close the descriptor; doing it again is fine.

        Waits for the threads that use it: its number is given to the next file at once.
        """
        if not self.ended:
            self.ended = True
            self._meter.end()
            if self._flights:
                await asyncio.wait(self._flights)
            os.close(self._descriptor)

    def _check(self) -> None:
        if self.poison is not None:
            raise UploadPoisoned(f"{self.delivery_id}: {self.poison}") from self.poison
        if self.ended:
            raise SpoolFailed(f"{self.delivery_id} is closed")

    async def _change(self) -> None:
        """Before the first change, copy the seed's bytes."""
        self.touched = True
        if self.seed is not None:
            seed, self.seed = self.seed, None
            await self._say_gap(0)  # after a crash nobody could tell old bytes from new ones
            copied = await self._in_thread(lambda: self._spool.copy_into(seed, self._descriptor))
            self._changes += 1
            if copied != self.ranges.prefix:  # else its end would be acknowledged with a hole
                raise SpoolFailed(f"{copied} of {self.ranges.prefix} bytes of {seed} are there")

    async def _admit(self, start: int, end: int) -> None:
        if end > self._max_bytes:
            raise TooLarge(f"{self.delivery_id} would be larger than {self._max_bytes} bytes")
        self._meter.note(max(end, self.size_bytes))
        if start > self.ranges.prefix:
            await self._say_gap(self.ranges.prefix)

    async def _say_gap(self, prefix: int) -> None:
        if self._note_gap is not None:
            note, self._note_gap = self._note_gap, None
            await note(prefix)

    async def _send_off(self) -> None:
        """Start writing what is gathered, once the write before has landed."""
        await self._land()
        chunk, at = self._take_gathered()
        if chunk:
            self._writing = self._start(lambda: self._write_out(chunk, at))
            self._unsynced_bytes += len(chunk)
        if self._unsynced_bytes >= SYNC_AHEAD_BYTES:
            self._unsynced_bytes = 0
            await self._have_synced()
            self._syncing = self._start(self._sync_ahead)

    async def _have_synced(self) -> None:
        if self._syncing is not None:
            await asyncio.shield(self._syncing)
            self._syncing = None

    def _sync_ahead(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise failure(error, f"cannot sync {self.delivery_id}") from error

    def _take_gathered(self) -> tuple[bytearray, int]:
        chunk, self._gathered = self._gathered, bytearray()
        return chunk, self._gathered_at

    async def _land(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    def _write_and_sync(self, chunk: bytearray, at: int) -> None:
        self._write_out(chunk, at)
        os.fsync(self._descriptor)

    def _write_out(self, chunk: bytearray, at: int) -> None:
        if not chunk:
            return
        self._spool.check_room(len(chunk))
        rest = memoryview(chunk)
        try:
            while rest:
                written = os.pwrite(self._descriptor, rest, at)
                rest, at = rest[written:], at + written
        except OSError as error:
            raise failure(error, f"cannot write {self.delivery_id}") from error

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.shield(self._start(work))
        except OSError as error:
            raise failure(error, f"cannot store {self.delivery_id}") from error

    def _start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Let a thread work on the descriptor, which stays open until it is done."""
        flight = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._flights.add(flight)
        flight.add_done_callback(self._flown)
        return flight

    def _flown(self, flight: asyncio.Future[Any]) -> None:
        self._flights.discard(flight)
        if not flight.cancelled():
            flight.exception()  # seen, even if the session that waited is gone
