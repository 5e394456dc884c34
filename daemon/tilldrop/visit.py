"""One client session: what a customer asks of its view, carried out.

`Visit` stands beneath both doors. What a request means is decided by `view`, which is pure;
here the answer is put into effect. Owns the uploads that its session has open. Promises:
methods raise TilldropError only. Never speaks a protocol.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tilldrop import journal, view
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.errors import (
    DeliveredStays,
    MoveRefused,
    NoSuchDelivery,
    NoSuchFile,
    ReadOnly,
    SeekRefused,
    ShuttingDown,
    TilldropError,
    TooManyOpen,
    UploadHasGaps,
    UploadPoisoned,
    UploadTaken,
)
from tilldrop.ledger_reading import utcnow
from tilldrop.looking import Look
from tilldrop.upload import Upload

if TYPE_CHECKING:
    from tilldrop.config_customers import Customer
    from tilldrop.intake import Intake

EMPTY = "empty"
TEMPORARY_NAME = "temporary-name"
MTIME_TRIES = 5  # an import passes through two states; more means something else is wrong


class Visit(Look):
    """One client session. All methods raise TilldropError only; paths are as clients write them.

    peer: source address, for the ledger. counts: as one of the customer's sessions.
    """

    def __init__(
        self, intake: Intake, customer: Customer, door: str, peer: str, *, counts: bool = True
    ) -> None:
        super().__init__(intake, customer, door, peer)
        self._counts = counts
        intake.usage.count_session(customer.name, int(counts))
        self._closed_here: set[str] = set()
        self.uploads_finished = 0
        self.bytes_received = 0

    # -- writing -----------------------------------------------------------------------------

    async def open_write(
        self, path: str, *, truncate: bool, append: bool = False, offset: int = 0
    ) -> Upload:
        """Open a name for writing, by the rules of `view.open_write`.

        append: every write goes to the end. offset: where a REST wants to go on.
        Raises ShuttingDown, TooManyOpen, TooManyUploads, StoredTooMuch, NameRefused,
        NoSuchFolder, IsFolder, ReadOnly, SpoolFull, SpoolFailed, UploadTaken, NoLongerKept,
        SeekRefused.
        """
        if not self._intake.taking:
            raise ShuttingDown("the daemon is stopping")
        customer = self.customer
        limits = self._intake.limits_of(customer)
        if len(self._open) >= limits.max_open_files:
            raise TooManyOpen(f"{len(self._open)} files are open")
        name = view.resolve(path)
        await self._check_place(name)
        found = await self._intake.in_thread(lambda: self._prepare(name, truncate=truncate))
        if isinstance(found, view.Resume):
            upload = await self._resume(name, found)
        else:
            upload = self._begin(name, *found)
        upload.append = append
        self._open.append(upload)
        self._intake.uploads.add(upload)
        if offset > upload.size_bytes:
            await self.abandon(upload)
            raise SeekRefused(f"cannot go on at {offset}: {upload.size_bytes} bytes are stored")
        self._note_folder(name)
        return upload

    def _prepare(self, name: str, *, truncate: bool) -> view.Resume | tuple[view.Begin, str, int]:
        """Decide, and make the file of a new delivery: one trip to a thread for an opening."""
        self._spool.check_room()
        customer = self.customer
        limits = self._intake.limits_of(customer)
        self._intake.usage.check_room(customer, limits)
        decision = view.open_write(self._known(name), truncate=truncate)
        if isinstance(decision, view.Resume):
            return decision
        self._intake.usage.count_upload(customer, limits)
        delivery_id = self._ledger.ids.next(utcnow())
        return decision, delivery_id, self._spool.open_new(delivery_id)

    def _begin(self, name: str, decision: view.Begin, delivery_id: str, descriptor: int) -> Upload:
        upload = self._upload(delivery_id, name, descriptor, 0)
        # Waited for at the end of the upload, so that opening a file costs no commit.
        upload.begun = self._ledger.begin(
            self._customer.name, name, self._door, self._peer, delivery_id
        )
        if decision.seed is not None:
            upload.seed = decision.seed.id
            upload.is_seeded = True
            upload.ranges.prefix = decision.seed.size_bytes
        return upload

    async def _resume(self, name: str, decision: view.Resume) -> Upload:
        delivery, keep_bytes = decision.delivery, decision.keep_bytes
        # Until the file is cut there, what lies behind may have holes.
        moving = self._ledger.move(
            delivery.id, delivery.state, State.RECEIVING, Cause.RESUME, gap_from=keep_bytes
        )
        try:
            await asyncio.wrap_future(moving)
        except MoveRefused as error:
            raise UploadTaken(f"{delivery.id} was resumed elsewhere") from error
        try:
            descriptor = await self._intake.in_thread(lambda: self._spool.open_again(delivery.id))
            upload = self._upload(delivery.id, name, descriptor, delivery.size_bytes)
            upload.mtime = delivery.mtime
            await upload.start_at(keep_bytes)
        except TilldropError:
            # Else it would be received by nobody until the next start.
            as_before = (delivery.id, State.RECEIVING, State.BROKEN, Cause.LOST)
            broken = self._ledger.move(*as_before, size_bytes=keep_bytes, gap_from=None)
            with suppress(TilldropError):  # start-up does it again
                await asyncio.wrap_future(broken)
            raise
        self._ledger.amend(delivery.id, State.RECEIVING, gap_from=None)
        return upload

    def _upload(self, delivery_id: str, name: str, descriptor: int, stored: int) -> Upload:
        """Open an upload. stored: how many bytes of it the ledger knows already."""
        customer = self.customer
        limits = self._intake.limits_of(customer)
        return Upload(
            delivery_id,
            name,
            descriptor,
            self._spool,
            self._intake.pool,
            limits.max_file_bytes,
            lambda prefix: asyncio.wrap_future(
                self._ledger.amend(delivery_id, State.RECEIVING, gap_from=prefix)
            ),
            self._intake.usage.meter(customer, limits, stored),
        )

    async def finish(self, upload: Upload) -> None:
        """Take an upload whose end is proved; returns once it is durable.

        An empty one, or one under a temporary name, waits for what comes next.
        Raises UploadPoisoned, UploadHasGaps, SpoolFull, SpoolFailed, LedgerBusy, LedgerFailed;
        then the upload has become broken. Cost: one fsync of the file, one ledger commit,
        one rename, two of folders. Goes on to its end even if the caller is cancelled.
        """
        self._open.remove(upload)  # the session's end leaves it alone from here on
        await asyncio.shield(asyncio.ensure_future(self._finish(upload)))

    async def _finish(self, upload: Upload) -> None:
        try:
            if upload.poison is not None:
                raise UploadPoisoned(str(upload.poison)) from upload.poison
            if not upload.ranges.whole:
                raise UploadHasGaps(f"{upload.delivery_id}: bytes from {upload.ranges.prefix} on")
            if upload.seed is not None and not upload.touched:
                await self._discard_untouched(upload, upload.seed)
                return
            await upload.sync()
            await upload.close()
            await self._commit(upload)
        except TilldropError as refused:
            await self._break_off(upload)
            if isinstance(refused, NoSuchDelivery) and upload.begun is not None:
                await asyncio.wrap_future(upload.begun)  # says why there is no row
            raise
        finally:
            self._intake.uploads.discard(upload)
        self.bytes_received += upload.size_bytes

    async def _commit(self, upload: Upload) -> None:
        # Not awaiting `begun` first: it stands before this in the writer's queue, and waiting for
        # it would wait for LINGER_S and a commit of its own.
        size = upload.size_bytes
        columns = {
            "size_bytes": size,
            "mtime": upload.mtime,
            "name": upload.name,
            "gap_from": None,
            "origin": upload.origin,
        }
        temporary = self.customer.finishing_rename and view.is_temporary(upload.name)
        if size and not temporary:
            await self._intake.accept(upload.delivery_id, State.RECEIVING, Cause.CLOSE, **columns)
            self._note_delivered(upload.name)
            return
        why = TEMPORARY_NAME if temporary else EMPTY
        waiting = self._ledger.move(
            upload.delivery_id, State.RECEIVING, State.WAITING, Cause.CLOSE, reason=why, **columns
        )
        await asyncio.wrap_future(waiting)
        self._intake.on_waiting()

    def _note_delivered(self, name: str) -> None:
        self._closed_here.add(name)
        self.uploads_finished += 1

    async def _discard_untouched(self, upload: Upload, seed: str) -> None:
        """Drop an upload that was opened on a delivered file and never written to."""
        await upload.close()
        if upload.mtime is not None:
            await self._show_mtime(await self._one(seed), upload.mtime)
        await self._discard(upload.delivery_id, State.RECEIVING)

    async def discard(self, upload: Upload) -> None:
        """End an upload that its own door gives up: BROKEN, and nothing of it is kept.

        Raises LedgerBusy, LedgerFailed, SpoolFailed. Does nothing once it has ended.
        """
        if upload in self._open:
            self._open.remove(upload)
            await asyncio.shield(asyncio.ensure_future(self._give_up(upload)))

    async def _give_up(self, upload: Upload) -> None:
        try:
            await upload.close()
            await self._discard(upload.delivery_id, State.RECEIVING)
        finally:
            self._intake.uploads.discard(upload)

    async def abandon(self, upload: Upload) -> None:
        """End an upload whose end was not proved: it is BROKEN and may be resumed."""
        if upload in self._open:
            self._open.remove(upload)
            await asyncio.shield(asyncio.ensure_future(self._break_off(upload)))

    async def _break_off(self, upload: Upload) -> None:
        """Record how much is there. Start-up does it again if this cannot."""
        prefix = upload.ranges.prefix
        try:
            if upload.poison is not None or upload.is_seeded:
                prefix = 0  # what is on disk cannot be told
            elif not upload.ended:
                await upload.flush()
                await upload.truncate(prefix)
            broken = self._ledger.move(
                upload.delivery_id,
                State.RECEIVING,
                State.BROKEN,
                Cause.LOST,
                size_bytes=prefix,
                name=upload.name,
                gap_from=None,
            )
            await asyncio.wrap_future(broken)
        except TilldropError as error:
            journal.upload_abandon_failed(upload.delivery_id, error.code, str(error))
            if isinstance(error, NoSuchDelivery):
                # Its beginning was never recorded, so nobody else would ever free the room.
                await self._intake.in_thread(lambda: self._spool.drop(upload.delivery_id))
        finally:
            await upload.close()
            self._intake.uploads.discard(upload)

    # -- changing names and attributes ---------------------------------------------------------

    async def rename(self, old: str, new: str) -> None:
        """Give an unfinished upload its final name: the proof of its end.

        Raises DeliveredStays, UploadBroken, NoSuchFile, FolderFixed, ReadOnly, and what accept
        raises.
        """
        source, target = view.resolve(old), view.resolve(new)
        if await self._is_folder(source):
            raise view.refuse_folder_change(source)
        if source.startswith(view.RECEIPTS + "/"):
            raise ReadOnly("receipts are read-only")
        await self._check_place(target)
        self._note_folder(target)
        known = await self._intake.in_thread(lambda: self._known(source))
        delivery = view.rename(source, known)
        if delivery is None:
            upload = next(u for u in reversed(self._open) if u.name == source)
            upload.name = target
            return
        if view.is_temporary(target) and self.customer.finishing_rename:
            await asyncio.wrap_future(self._ledger.amend(delivery.id, State.WAITING, name=target))
            return
        await asyncio.shield(
            self._intake.accept(delivery.id, State.WAITING, Cause.RENAME, name=target)
        )
        self._note_delivered(target)

    async def remove(self, path: str) -> None:
        """Discard an unfinished upload; a delivered file stays.

        Raises DeliveredStays, NoSuchFile, ReadOnly, FolderFixed.
        """
        name = view.resolve(path)
        if await self._is_folder(name):
            raise view.refuse_folder_change(name)
        if name.startswith(view.RECEIPTS + "/"):
            raise ReadOnly("receipts are read-only")
        waiting = await self._intake.in_thread(self._waiting_names)
        known = await self._intake.in_thread(lambda: self._known(name))
        try:
            delivery = view.remove(name, known, waiting)
        except DeliveredStays:
            if name in self._closed_here and known.accepted is not None:
                journal.sender_withdrew(known.accepted.id, self._customer.name, name)
            raise
        if delivery is not None:
            await self._discard(delivery.id, delivery.state)

    def _waiting_names(self) -> list[str]:
        found = self._ledger.unfinished(self._customer.name)
        return [d.name for d in found if d.state is State.WAITING]

    async def _discard(self, delivery_id: str, state: State) -> None:
        """Forget an unfinished upload: BROKEN, its bytes gone."""
        if state is not State.BROKEN:
            await asyncio.wrap_future(
                self._ledger.move(
                    delivery_id, state, State.BROKEN, Cause.REMOVE, bytes_gone_at=utcnow()
                )
            )
        else:
            await asyncio.wrap_future(
                self._ledger.amend(delivery_id, state, bytes_gone_at=utcnow())
            )
        await self._intake.in_thread(lambda: self._spool.drop(delivery_id))

    async def set_mtime(self, path: str, mtime: int) -> None:
        """Keep a time as the name's shown time. Raises NoSuchFile; folders take it silently."""
        name = view.resolve(path)
        if await self._is_folder(name):
            return
        if name.startswith(view.RECEIPTS + "/"):
            await self._receipt_of(name)
            return
        own = next((u for u in reversed(self._open) if u.name == name), None)
        if own is not None:
            own.mtime = mtime
            return
        known = await self._intake.in_thread(lambda: self._known(name))
        delivery = view.shown(known)
        if delivery is None and view.folders(self.customer).suggests(name):
            return
        if delivery is None:
            raise NoSuchFile(f"no delivery is called {name!r}")
        await self._show_mtime(delivery, mtime)

    async def _show_mtime(self, delivery: Delivery, mtime: int) -> None:
        """Amend whatever state the delivery is in by now: an import may be moving it."""
        for _ in range(MTIME_TRIES):
            try:
                await asyncio.wrap_future(
                    self._ledger.amend(delivery.id, delivery.state, mtime=mtime)
                )
            except MoveRefused:
                delivery = await self._one(delivery.id)
            else:
                return

    async def _one(self, delivery_id: str) -> Delivery:
        return await self._intake.in_thread(lambda: self._ledger.one(delivery_id))

    async def make_folder(self, path: str) -> None:
        """Answer MKDIR. One that fits a feed's pattern is remembered, and is nothing else.

        Raises NameExists, which lets mirroring clients go on, and FolderFixed.
        """
        name = view.resolve(path)
        is_file = bool(name) and await self._is_file(name)
        view.make_folder(name, view.folders(self.customer), is_file=is_file)
        self._intake.note_folder(self._customer.name, name)

    async def refuse_folder_change(self, path: str) -> None:
        """Answer RMDIR: always FolderFixed."""
        raise view.refuse_folder_change(view.resolve(path))

    async def end(self) -> None:
        """End the session: what is still open is broken. Doing it again is fine."""
        if self._counts:
            self._counts = False
            self._intake.usage.count_session(self._customer.name, -1)
        for upload in list(self._open):
            await self.abandon(upload)
