"""What a session sees: listings, sizes, receipts, bytes to read back.

`Look` reads the ledger for `view`, which decides. Promises: methods raise TilldropError only;
nothing of another customer is ever looked up. Never changes anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tilldrop import journal, receipts, view
from tilldrop.delivery import Delivery, State
from tilldrop.errors import IsFolder, NoSuchFile, NoSuchFolder, TilldropError
from tilldrop.reader import FileReader, Reader
from tilldrop.view import Entry, Known

if TYPE_CHECKING:
    from tilldrop.config_customers import Customer
    from tilldrop.intake import Intake
    from tilldrop.sharing import Sharing
    from tilldrop.upload import Upload

RECEIPTS_LISTED = 1_000  # newest; older ones are still read by name


class Look:
    """The reading half of a session; paths are as clients write them."""

    def __init__(self, intake: Intake, customer: Customer, door: str, peer: str) -> None:
        self._door = door
        self._peer = peer
        self._intake = intake
        self._ledger = intake.ledger
        self._spool = intake.spool
        self._customer = customer
        self._open: list[Upload] = []  # the session's own uploads show their present size

    @property
    def sharing(self) -> Sharing:
        """How the loop is shared with other sessions."""
        return self._intake.sharing

    @property
    def customer(self) -> Customer:
        """Return the customer as configured now: a reload reaches open sessions."""
        return self._intake.config_of().customers.get(self._customer.name, self._customer)

    def _known(self, name: str) -> Known:
        own = next((u.size_bytes for u in reversed(self._open) if u.name == name), None)
        customer = self._customer.name
        unfinished = [
            d for d in self._ledger.unfinished(customer, name) if d.state is not State.RECEIVING
        ]
        return Known(
            own_size=own,
            unfinished=unfinished[-1] if unfinished else None,
            accepted=self._ledger.latest_accepted(customer, name),
        )

    async def stat(self, path: str) -> Entry:
        """Answer STAT, LSTAT, SIZE, MLST. Raises NoSuchFile, NameRefused."""
        name = view.resolve(path)
        if await self._is_folder(name):
            return _folder(name)
        if name.startswith(view.RECEIPTS + "/"):
            delivery = await self._receipt_of(name)
            text = await self._intake.in_thread(lambda: self._receipt_text(delivery))
            return _receipt_entry(name, delivery, text)
        known = await self._intake.in_thread(lambda: self._known(name))
        try:
            return view.stat(name, known, int(time.time()))
        except NoSuchFile:
            if view.folders(self.customer).suggests(name):
                return _folder(name)
            raise

    async def _is_folder(self, name: str) -> bool:
        """Say whether a folder of that name is there: named, made, or holding something."""
        known = view.folders(self.customer)
        if name == "" or name in known.named:
            return True
        if not known.fits(name):
            return False
        if any(each == name or each.startswith(f"{name}/") for each in self._made(known)):
            return True
        customer = self._customer.name
        return await self._intake.in_thread(lambda: self._ledger.has_inside(customer, name))

    def _made(self, known: view.Folders) -> set[str]:
        """Return the folders that fit and are there without anything delivered."""
        made = {each for each in self._intake.folders_made(self._customer.name) if known.fits(each)}
        return made | known.held(upload.name for upload in self._open)

    async def _check_place(self, name: str) -> None:
        """Raise unless a file may be written there, by the rules of `view.check_place`."""
        known = view.folders(self.customer)
        view.check_place(name, known)
        if not known.patterns:
            return
        if await self._is_folder(name):
            raise IsFolder(f"{name} is a folder")
        for folder in view.parents(name):
            if folder not in known.named and await self._is_file(folder):
                raise NoSuchFolder(f"{folder!r} is a file")

    async def _is_file(self, name: str) -> bool:
        known = await self._intake.in_thread(lambda: self._known(name))
        return known.own_size is not None or view.shown(known) is not None

    def _note_folder(self, name: str) -> None:
        folder = name.rpartition("/")[0]
        if folder and view.folders(self.customer).fits(folder):
            self._intake.note_folder(self._customer.name, folder)

    async def entries(self, path: str) -> list[Entry]:
        """Return a folder's entries, folders first. Raises NoSuchFolder."""
        folder = view.resolve(path)
        if not await self._is_folder(folder) and not (await self.stat(path)).is_folder:
            raise NoSuchFolder(f"{folder!r} is a file")
        if folder == view.RECEIPTS:
            return await self._intake.in_thread(self._receipt_entries)
        return await self._intake.in_thread(lambda: self._entries(folder))

    def _entries(self, folder: str) -> list[Entry]:
        """Read what the ledger knows of the names in a folder, and of folders."""
        customer = self._customer.name
        accepted = {d.name: d for d in self._ledger.accepted_names(customer, folder)}
        unfinished = {
            d.name: d for d in self._ledger.unfinished(customer) if d.state is not State.RECEIVING
        }
        own = {upload.name: upload.size_bytes for upload in self._open}
        names = {**accepted, **unfinished, **own}
        known_folders = view.folders(self.customer)
        made = self._made(known_folders)
        above = {each for one in made for each in view.parents(one) if known_folders.fits(each)}
        held = self._ledger.accepted_folders(customer, folder) if known_folders.patterns else []
        there = known_folders.named | made | above | known_folders.held([*held, *unfinished])
        entries = [_folder(name) for name in sorted(view.inside(folder, there))]
        now = int(time.time())
        for tail in sorted(view.inside(folder, names)):
            name = f"{folder}/{tail}" if folder else tail
            known = Known(own.get(name), unfinished.get(name), accepted.get(name))
            if name not in there and (known.own_size is not None or view.shown(known) is not None):
                entries.append(_renamed(view.stat(name, known, now), tail))
        return entries

    def _receipt_entries(self) -> list[Entry]:
        entries = []
        for delivery in self._ledger.with_receipt(self._customer.name, RECEIPTS_LISTED):
            name = receipts.name_for(delivery)
            entry = _receipt_entry(name, delivery, self._receipt_text(delivery))
            entries.append(_renamed(entry, name.rpartition("/")[2]))
        return entries

    async def _receipt_of(self, path: str) -> Delivery:
        """Find the delivery that a receipt's name ends with."""
        delivery_id = path.removesuffix(".txt").rpartition(".")[2]
        try:
            delivery = await self._intake.in_thread(lambda: self._ledger.one(delivery_id))
        except TilldropError as error:
            raise NoSuchFile(f"no receipt {path!r}") from error
        if delivery.customer != self._customer.name or receipts.name_for(delivery) != path:
            raise NoSuchFile(f"no receipt {path!r}")
        return delivery

    def _receipt_text(self, delivery: Delivery) -> bytes:
        report = self._ledger.report(delivery.id)
        return receipts.render(delivery, report).encode()

    async def open_read(self, path: str) -> Reader:
        """Open a name or a receipt for reading. Raises NoSuchFile, IsFolder, NoLongerKept."""
        name = view.resolve(path)
        if await self._is_folder(name):
            raise IsFolder(f"{name or '/'} is a folder")
        if name.startswith(view.RECEIPTS + "/"):
            delivery = await self._receipt_of(name)
            customer = self._customer.name
            journal.receipt_read(delivery.id, customer, self._door, self._peer)
            return Reader(await self._intake.in_thread(lambda: self._receipt_text(delivery)))
        known = await self._intake.in_thread(lambda: self._known(name))
        delivery = view.open_read(name, known)
        descriptor = await self._intake.in_thread(lambda: self._spool.open_to_read(delivery.id))
        if descriptor is None:
            raise NoSuchFile(f"the bytes of {delivery.id} are missing")
        journal.file_read(delivery.id, delivery.customer, delivery.name, self._door, self._peer)
        return FileReader(self._intake, descriptor, delivery.size_bytes)


def _folder(name: str) -> Entry:
    return Entry(
        name.rpartition("/")[2] or name,
        is_folder=True,
        size_bytes=0,
        mtime=int(time.time()),
        writable=False,
    )


def _renamed(entry: Entry, name: str) -> Entry:
    return Entry(name, entry.is_folder, entry.size_bytes, entry.mtime, entry.writable)


def _receipt_entry(name: str, delivery: Delivery, text: bytes) -> Entry:
    at = int(delivery.changed_at.timestamp())
    return Entry(name, is_folder=False, size_bytes=len(text), mtime=at, writable=False)
