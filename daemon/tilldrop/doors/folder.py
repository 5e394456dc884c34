"""The folder door: files that POS software or a mounted share puts into a folder.

Owns a task for each `[[folders]]`. A file that is quiet is copied through the same intake as an
upload, never moved into the spool: its writer may have it open still. Promises that the original
is moved or deleted only once the copy is acknowledged, that a file is delivered once however
often the daemon starts (the ledger keeps where it came from in the commit that accepts it), and
that a file which changed is delivered again. A folder that is not there is waited for.
Never opens what is no regular file.
"""

from __future__ import annotations

import asyncio
import functools
import time
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from tilldrop import journal, mapping, view
from tilldrop.doors.folder_files import (
    DELIVERED,
    Original,
    Stamp,
    delete,
    folders_below,
    look,
    move,
)
from tilldrop.doors.folder_quiet import Quiet, Seen
from tilldrop.errors import MoveRefused, TilldropError, TooLarge
from tilldrop.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.config_folders import FolderDoor
    from tilldrop.delivery import Cause, Delivery
    from tilldrop.intake import Intake
    from tilldrop.visit import Visit

T = TypeVar("T")

DOOR = "folder"
LOOK_EVERY_S = 30.0  # an event may be lost, a share be mounted over the folder that is watched
LOOK_PAUSE_S = 0.1  # a till that writes a thousand files rings a thousand times
TROUBLE_S = 5.0
# A program that never closes its file must not keep it from us for ever: what was taken too
# early is put right by the delivery that follows its next change.
HELD_OPEN_MOST_S = 600.0
STOP_WITHIN_S = 5.0  # a share that hangs may not hold up the stop


class Folders:
    """The door. executor: runs what may block on a share. sessions: folders at work right now."""

    def __init__(
        self,
        intake: Intake,
        config_of: Callable[[], Config],
        executor: Executor,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self.intake = intake
        self.config_of = config_of
        self.executor = executor
        self.look_every_s = look_every_s
        self.taking = True
        self.sessions = 0
        self._attended: dict[FolderDoor, tuple[Folder, asyncio.Task[None]]] = {}

    async def start(self) -> int:
        """Attend to every folder that is configured. Returns 0: there is no port."""
        self.reload()
        return 0

    def reload(self) -> None:
        """Take up folders that are new, leave those that are gone, look at all others again."""
        wanted = self.config_of().folders if self.taking else ()
        for settings in set(self._attended) - set(wanted):
            self._attended.pop(settings)[1].cancel()
        for settings in wanted:
            if settings in self._attended:
                self._attended[settings][0].look_again()
            else:
                folder = Folder(self, settings)
                self._attended[settings] = folder, asyncio.create_task(folder.attend())

    def describe(self) -> list[dict[str, object]]:
        """Say of each folder whose it is, and whether its files are taken or why not."""
        return [folder.describe() for folder, _ in self._attended.values()]

    def stop_accepting(self) -> None:
        """Begin no more deliveries; the one in hand goes on."""
        self.taking = False

    async def stop(self) -> None:
        """Leave all folders; a file that is being copied is taken at the next start."""
        self.stop_accepting()
        tasks = [task for _, task in self._attended.values()]
        self._attended.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_WITHIN_S)


class Folder:
    """One folder: looked at when something rings, when a file is due, and every now and then."""

    def __init__(self, door: Folders, settings: FolderDoor) -> None:
        self._door = door
        self._settings = settings
        self._path = str(settings.path)
        self._quiet = Quiet(settings.quiet_s)
        self._woken = asyncio.Event()
        self._watches: dict[tuple[str, tuple[int, int]], Watch] = {}
        self._is_open: bool | None = None
        self._missed = ""
        self._said = ""
        self._checked_at = time.monotonic()

    def describe(self) -> dict[str, object]:
        """Say how it stands: {"path", "customer", "open", "why"}."""
        about = {"path": self._path, "customer": self._settings.customer}
        return {**about, "open": bool(self._is_open), "why": self._missed}

    def look_again(self) -> None:
        """Look anew at everything: customers and limits may be others now."""
        self._quiet.start_again()
        self._woken.set()

    async def attend(self) -> None:
        """Take what comes, until cancelled."""
        try:
            while True:
                self._woken.clear()
                wait_s = await self._attempt()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), wait_s)
                await asyncio.sleep(LOOK_PAUSE_S)
        finally:
            await asyncio.shield(self._watch({}))
            if self._is_open:
                journal.folder_closed(self._path, self._settings.customer)

    async def _attempt(self) -> float:
        """Look once; return how long until the next look, if nothing rings."""
        try:
            return await self._look()
        except OSError as error:
            await self._miss(str(error.strerror or error))
            return self._door.look_every_s
        except TilldropError as error:
            if self._said != str(error):
                journal.folder_troubled(self._path, self._settings.customer, error.code, str(error))
            self._said = str(error)
        except Exception:  # noqa: BLE001  the edge of a unit of work: one look
            journal.folder_failed(self._path, self._settings.customer)
        return TROUBLE_S

    async def _look(self) -> float:
        customer = self._door.config_of().customers.get(self._settings.customer)
        if customer is None or customer.disabled:
            await self._miss("the customer is disabled")
            return self._door.look_every_s
        found = await self._in_thread(lambda: look(self._settings.path, self._folders(customer)))
        # Of the folders that only fit a pattern there may be thousands: they are looked at.
        named = {"", *view.folders(customer).named}
        await self._watch({name: which for name, which in found.folders.items() if name in named})
        if not self._is_open:
            journal.folder_opened(self._path, self._settings.customer)
        self._is_open, self._missed = True, ""
        wanted = self._settings.files
        files = found.files.items()
        self._quiet.note(
            {name: stamp for name, stamp in files if not wanted or mapping.takes(wanted, name)},
            time.monotonic(),
        )
        if due := self._quiet.due(time.monotonic()):
            await self._take_all(customer, due)
        self._said = ""
        left_s = self._quiet.next_at() - time.monotonic()
        return max(0.0, min(left_s, self._door.look_every_s))

    def _folders(self, customer: Customer) -> list[str]:
        """Return the folders below this one that feeds name, or that fit a feed's pattern."""
        not_ours = {view.RECEIPTS} | ({DELIVERED} if self._settings.after == "move" else set())
        known = view.folders(customer)
        fitting = folders_below(self._settings.path, known.takes_files) if known.patterns else []
        both = sorted({*known.named, *fitting})
        return [folder for folder in both if not_ours.isdisjoint(folder.split("/"))]

    async def _miss(self, why: str) -> None:
        """Say once that nothing is taken from here, and stop watching."""
        await self._watch({})
        if self._is_open is not False:
            journal.folder_missed(self._path, self._settings.customer, why)
        self._is_open, self._missed = False, why

    # -- watching ------------------------------------------------------------------------------

    async def _watch(self, folders: dict[str, tuple[int, int]]) -> None:
        """Watch exactly these folders; one that was replaced or mounted over is another."""
        wanted = set(folders.items())
        for gone in set(self._watches) - wanted:
            await self._in_thread(self._watches.pop(gone).stop)
        for new in wanted - set(self._watches):
            path = self._settings.path / new[0]
            polling = self._settings.polling
            self._watches[new] = Watch(path, self._ringer(), polling=polling, writes=True)
            await self._in_thread(self._watches[new].start)
            self._woken.set()  # what came after the look and before the watch rang nothing
        if self._watches and time.monotonic() - self._checked_at > self._door.look_every_s:
            self._checked_at = time.monotonic()
            for watch in self._watches.values():
                await self._in_thread(watch.check)

    def _ringer(self) -> Callable[[Cause], None]:
        loop = asyncio.get_running_loop()

        def ring(_: Cause) -> None:
            with suppress(RuntimeError):  # the loop has ended; watchdog's thread not yet
                loop.call_soon_threadsafe(self._woken.set)

        return ring

    # -- taking --------------------------------------------------------------------------------

    async def _take_all(self, customer: Customer, due: list[tuple[str, Seen]]) -> None:
        visit = self._door.intake.visit(customer, DOOR, self._path)
        began = time.monotonic()
        self._door.sessions += 1
        try:
            for name, seen in due:
                if self._door.taking:
                    await self._take(visit, name, seen)
        finally:
            self._door.sessions -= 1
            if visit.uploads_finished:
                took_ms = int((time.monotonic() - began) * 1000)
                counts = visit.uploads_finished, 0, visit.bytes_received
                journal.session_ended(DOOR, customer.name, self._path, *counts, took_ms)

    async def _take(self, visit: Visit, name: str, seen: Seen) -> None:
        """Deliver one file unless that was done, and put the original away."""
        try:
            delivery = await self._delivered(name, seen.stamp)
            if delivery is None:
                delivery = await self._deliver(visit, name, seen)
        except FileNotFoundError:
            return  # the next look finds it gone
        except OSError as error:
            self._put_off(name, seen, str(error.strerror or error))
            return
        except TilldropError as error:
            if error.temporary:
                raise
            where = self._path, self._settings.customer
            journal.original_refused(*where, name, error.code, str(error))
            seen.settled = True
            return
        if delivery is not None:
            seen.settled = True
            await self._put_away(name, seen.stamp, delivery)

    async def _delivered(self, name: str, stamp: Stamp) -> str | None:
        """Return the delivery that this file became earlier, if it did."""
        intake, customer = self._door.intake, self._settings.customer
        known = await intake.in_thread(lambda: intake.ledger.by_origin(customer, stamp.origin))
        if known is not None:
            return known.id
        # A share that was mounted anew may number its files differently, and a restored backup
        # does. Taking all of it again would lay old data over what came since by other doors.
        latest = await intake.in_thread(lambda: self._latest(name))
        alike = (
            latest is not None
            and latest.door == DOOR
            and (latest.size_bytes, latest.mtime) == (stamp.size_bytes, stamp.mtime_s)
        )
        if latest is None or not alike or latest.sha256 != await self._hash(name):
            return None
        with suppress(MoveRefused):  # it is being replayed; hash it again at the next start
            moving = intake.ledger.amend(latest.id, latest.state, origin=stamp.origin)
            await asyncio.wrap_future(moving)
        journal.original_recognised(self._path, customer, name, latest.id)
        return latest.id

    def _latest(self, name: str) -> Delivery | None:
        return self._door.intake.ledger.latest_accepted(self._settings.customer, view.resolve(name))

    async def _hash(self, name: str) -> str:
        def hashed() -> str:
            original = Original(self._settings.path, name)
            try:
                return original.sha256()
            finally:
                original.close()

        return await self._in_thread(hashed)

    async def _deliver(self, visit: Visit, name: str, seen: Seen) -> str | None:
        """Copy a file through the intake; None if it is not to be had yet."""
        largest = self._door.intake.limits_of(visit.customer).max_file_bytes
        if seen.stamp.size_bytes > largest:
            raise TooLarge(f"{name} has {seen.stamp.size_bytes} bytes, more than {largest}")
        original = await self._in_thread(lambda: Original(self._settings.path, name))
        try:
            if await self._is_held_open(original, seen):
                self._put_off(name, seen, "somebody has it open for writing")
                return None
            delivery = await self._copy(visit, name, seen.stamp, original)
            if delivery is None:
                self._put_off(name, seen, "it changed while it was copied")
            return delivery
        finally:
            await self._in_thread(original.close)

    async def _is_held_open(self, original: Original, seen: Seen) -> bool:
        # On a network mount a lease is refused whether there is a writer or not.
        if self._settings.polling or time.monotonic() - seen.since > HELD_OPEN_MOST_S:
            return False
        return await self._in_thread(original.has_writer)

    async def _copy(self, visit: Visit, name: str, stamp: Stamp, original: Original) -> str | None:
        """Copy what is open; None if it is not, or does not stay, what the stamp says."""
        upload = await visit.open_write(name, truncate=True)
        try:
            offset = 0
            while chunk := await self._in_thread(functools.partial(original.read, offset)):
                await upload.write(offset, chunk)
                offset += len(chunk)
                if offset > stamp.size_bytes:
                    break  # it grows; and may do so as fast as we read
            if offset != stamp.size_bytes or await self._in_thread(original.stamp) != stamp:
                return None
            upload.origin = stamp.origin
            upload.mtime = stamp.mtime_s
            await visit.finish(upload)
        finally:
            await visit.discard(upload)
        return upload.delivery_id

    async def _put_away(self, name: str, stamp: Stamp, delivery: str) -> None:
        """Move or delete the original of an acknowledged delivery, if that is wanted."""
        where = self._path, self._settings.customer, name
        root = self._settings.path
        try:
            if self._settings.after == "move":
                to = await self._in_thread(lambda: move(root, name, stamp, delivery))
                if to is not None:
                    journal.original_moved(*where, to)
            elif self._settings.after == "delete" and await self._in_thread(
                lambda: delete(root, name, stamp)
            ):
                journal.original_deleted(*where)
        except OSError as error:
            journal.original_stays(*where, str(error.strerror or error))

    def _put_off(self, name: str, seen: Seen, why: str) -> None:
        """Try this file again later; say why, once."""
        seen.due_at = time.monotonic() + max(self._settings.quiet_s, LOOK_PAUSE_S)
        if seen.said != why:
            seen.said = why
            journal.original_put_off(self._path, self._settings.customer, name, why)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._door.executor, work)
