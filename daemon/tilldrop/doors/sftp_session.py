"""One SFTP session: what each request means for the customer's view, and what is answered.

Owns `REPLIES`, the table of errors and status codes. Promises that an upload is finished by
`finish` alone, that every method of asyncssh's server is decided here (a test compares the
two), and that no name becomes a path. Never touches a file: `Visit` does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import asyncssh

from tilldrop import errors, journal, view
from tilldrop.doors.listing import long_name, mode
from tilldrop.errors import NotSupported, TilldropError
from tilldrop.reader import Reader
from tilldrop.upload import Upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from tilldrop.view import Entry
    from tilldrop.visit import Visit

DOOR = "sftp"
READ_MOST_BYTES = 255 * 1024  # as OpenSSH's server; a shorter answer is allowed to any READ
_OWNER_ID = 1000

NEUTRAL = TilldropError.to_customer

REPLIES: dict[type[TilldropError], int] = {
    TilldropError: asyncssh.FX_FAILURE,  # whatever is not said more exactly below
    errors.NoSuchFile: asyncssh.FX_NO_SUCH_FILE,
    errors.NoSuchFolder: asyncssh.FX_NO_SUCH_FILE,
    errors.NoLongerKept: asyncssh.FX_NO_SUCH_FILE,
    errors.NameRefused: asyncssh.FX_PERMISSION_DENIED,
    errors.DeliveredStays: asyncssh.FX_PERMISSION_DENIED,
    errors.FolderFixed: asyncssh.FX_PERMISSION_DENIED,
    errors.ReadOnly: asyncssh.FX_PERMISSION_DENIED,
    errors.NotSupported: asyncssh.FX_OP_UNSUPPORTED,
}


def reply_to(error: TilldropError) -> asyncssh.SFTPError:
    """Turn an error into the status that the client gets."""
    code = next(REPLIES[kind] for kind in type(error).__mro__ if kind in REPLIES)
    return asyncssh.SFTPError(code, error.to_customer)


class Listing:
    """The names of an open folder that have not been asked for yet.

    names: written one by one as they are asked for; 20,000 at once held everybody up for 0.2 s.
    """

    def __init__(self, names: Iterable[asyncssh.SFTPName]) -> None:
        self._names = iter(names)

    def __aiter__(self) -> Listing:
        return self

    async def __anext__(self) -> asyncssh.SFTPName:
        for name in self._names:
            return name
        raise StopAsyncIteration


class Answers(asyncssh.SFTPServer):
    """What one session's requests mean. Every method of the base is here: an allow-list.

    note_activity: called for each packet, for the idle timer. on_end: called once, at the end.
    """

    def __init__(
        self,
        channel: asyncssh.SSHServerChannel[bytes],
        visit: Visit,
        peer: str,
        note_activity: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        super().__init__(channel)
        self.note_activity = note_activity
        self._visit = visit
        self._name = visit.customer.name
        self._peer = peer
        self._on_end = on_end
        self._began = time.monotonic()
        self._broken = 0
        self._ended = False
        self._refused_last: tuple[str, str] | None = None
        journal.session_opened(DOOR, self._name, peer)

    # -- fair shares

    def note_request(self) -> None:
        """Note that the customer asked for something other than to take its bytes."""
        self._visit.sharing.note(self._name)

    async def give_way(self) -> None:
        """Let others have their turn."""
        await self._visit.sharing.give_way(self._name)

    # -- files

    async def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Reader | Upload:
        """Open for reading or writing. The mode that `attrs` may ask for is ignored."""
        name = _text(path)
        if not pflags & asyncssh.FXF_WRITE:
            return await self._visit.open_read(name)
        creates = pflags & asyncssh.FXF_CREAT
        exclusive = creates and pflags & asyncssh.FXF_EXCL
        if exclusive or not creates:
            await self._check_existence(name, wanted=not creates)
        return await self._visit.open_write(
            name,
            truncate=bool(pflags & asyncssh.FXF_TRUNC),
            append=bool(pflags & asyncssh.FXF_APPEND),
        )

    async def _check_existence(self, name: str, *, wanted: bool) -> None:
        try:
            await self._visit.stat(name)
        except errors.NoSuchFile:
            if wanted:
                raise
        else:
            if not wanted:
                raise errors.NameExists(f"{name!r} exists")

    async def open56(
        self, path: bytes, desired_access: int, flags: int, attrs: asyncssh.SFTPAttrs
    ) -> object:
        """Refuse: a request of SFTP 5 and 6."""
        raise NotSupported("open56")

    async def finish(self, file_obj: object) -> None:
        """Answer an explicit CLOSE: the proof that an upload is whole."""
        file = _file(file_obj)
        if not isinstance(file, Upload):
            await file.close()
            return
        try:
            await self._visit.finish(file)
        except TilldropError:
            self._broken += 1
            raise

    async def close(self, file_obj: object) -> None:
        """End a file without a CLOSE request: an upload is broken."""
        file = _file(file_obj)
        if isinstance(file, Upload):
            self._broken += 1
            await self._visit.abandon(file)
        else:
            await file.close()

    async def read(self, file_obj: object, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; b"" at the end."""
        file = _file(file_obj)
        if offset >= file.size_bytes:
            return b""
        return await file.read(offset, min(size, READ_MOST_BYTES))

    async def write(self, file_obj: object, offset: int, data: bytes) -> int:
        """Take bytes at `offset`."""
        await _upload(file_obj).write(offset, data)
        return len(data)

    async def fsync(self, file_obj: object) -> None:
        """Make durable what was written so far."""
        file = _file(file_obj)
        if isinstance(file, Upload):
            await file.sync()

    async def lock(self, file_obj: object, offset: int, length: int, flags: int) -> None:
        """Refuse."""
        raise NotSupported("lock")

    async def unlock(self, file_obj: object, offset: int, length: int) -> None:
        """Refuse."""
        raise NotSupported("unlock")

    # -- attributes

    async def stat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """Tell size and time of a name."""
        return _attrs(await self._visit.stat(_text(path)))

    async def lstat(self, path: bytes) -> asyncssh.SFTPAttrs:
        """Tell the same: there are no links."""
        return await self.stat(path)

    async def fstat(self, file_obj: object) -> asyncssh.SFTPAttrs:
        """Tell the size of an open file."""
        file = _file(file_obj)
        own = file.mtime if isinstance(file, Upload) else None
        mtime = int(time.time()) if own is None else own
        entry = view.Entry(
            "", is_folder=False, size_bytes=file.size_bytes, mtime=mtime, writable=True
        )
        return _attrs(entry)

    async def setstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Keep the time to be shown; ignore mode and owner; refuse another size."""
        name = _text(path)
        if attrs.size is not None or attrs.mtime is None:
            entry = await self._visit.stat(name)
            if attrs.size not in (None, entry.size_bytes):
                raise errors.DeliveredStays(f"setstat of {name!r} to {attrs.size} bytes")
        if attrs.mtime is not None:
            await self._visit.set_mtime(name, attrs.mtime)

    async def lsetstat(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Do the same: there are no links."""
        await self.setstat(path, attrs)

    async def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> None:
        """Cut an open upload or keep its time; ignore mode and owner."""
        file = _file(file_obj)
        if isinstance(file, Upload):
            if attrs.size is not None:
                await file.truncate(attrs.size)
            if attrs.mtime is not None:
                file.mtime = attrs.mtime
        elif attrs.size not in (None, file.size_bytes):
            raise errors.DeliveredStays("fsetstat of a file open for reading")

    async def statvfs(self, path: bytes) -> asyncssh.SFTPVFSAttrs:
        """Refuse: how full the disk is concerns the operator."""
        raise NotSupported("statvfs")

    async def fstatvfs(self, file_obj: object) -> asyncssh.SFTPVFSAttrs:
        """Refuse."""
        raise NotSupported("fstatvfs")

    # -- names

    async def listing(self, path: bytes) -> Listing:
        """Return the names in a folder."""
        zone = ZoneInfo(self._visit.customer.zone)
        now = time.time()
        entries = await self._visit.entries(_text(path))
        return Listing(
            asyncssh.SFTPName(entry.name.encode(), long_name(entry, zone, now), _attrs(entry))
            for entry in entries
        )

    def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        """Refuse: `Wire` asks `listing`, so that a missing folder is said at once."""
        raise NotSupported("scandir")

    async def realpath(self, path: bytes) -> bytes:
        """Resolve a path without looking whether it exists."""
        return f"/{view.resolve(_text(path))}".encode()

    async def remove(self, path: bytes) -> None:
        """Remove an unfinished upload; anything delivered stays."""
        await self._visit.remove(_text(path))

    async def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Finish an upload that was sent under a temporary name; anything delivered stays."""
        await self._visit.rename(_text(oldpath), _text(newpath))

    async def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """Do the same: a name may be delivered again."""
        await self.rename(oldpath, newpath)

    async def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> None:
        """Take a folder that a feed's pattern names; else say whether the name exists."""
        await self._visit.make_folder(_text(path))

    async def rmdir(self, path: bytes) -> None:
        """Refuse."""
        await self._visit.refuse_folder_change(_text(path))

    async def readlink(self, path: bytes) -> bytes:
        """Refuse: there are no links."""
        raise NotSupported("readlink")

    async def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse."""
        raise NotSupported("symlink")

    async def link(self, oldpath: bytes, newpath: bytes) -> None:
        """Refuse."""
        raise NotSupported("link")

    def map_path(self, path: bytes) -> bytes:
        """Refuse: no name ever becomes a path."""
        raise NotSupported("map_path")

    def reverse_map_path(self, path: bytes) -> bytes:
        """Refuse."""
        raise NotSupported("reverse_map_path")

    # -- the session

    async def exit(self) -> None:
        """End the session: what is still open is broken. Doing it again is fine."""
        if self._ended:
            return
        self._ended = True
        await self._visit.end()
        journal.session_ended(
            DOOR,
            self._name,
            self._peer,
            uploads=self._visit.uploads_finished,
            broken=self._broken,
            size_bytes=self._visit.bytes_received,
            took_ms=round((time.monotonic() - self._began) * 1000),
        )
        self._on_end()
        # Without a status, OpenSSH's scp takes a good upload for a failed one.
        self.channel.exit(0)

    def refuse(self, request: str, error: TilldropError) -> asyncssh.SFTPError:
        """Say a refusal to the operator, once for a row of the same, and return the reply."""
        said = (request, error.code)
        if said != self._refused_last and not isinstance(error, errors.NoSuchFile):
            journal.request_refused(DOOR, self._name, request, error.code, str(error), self._peer)
        self._refused_last = said
        return reply_to(error)

    def fail(self, request: str) -> asyncssh.SFTPError:
        """Say a bug to the operator, with the traceback, and return a reply that says nothing."""
        journal.request_failed(DOOR, self._name, request)
        return asyncssh.SFTPFailure(NEUTRAL)


def _attrs(entry: Entry) -> asyncssh.SFTPAttrs:
    return asyncssh.SFTPAttrs(
        size=entry.size_bytes,
        uid=_OWNER_ID,
        gid=_OWNER_ID,
        permissions=mode(entry),
        atime=entry.mtime,
        mtime=entry.mtime,
    )


def _text(path: bytes) -> str:
    try:
        return path.decode()
    except UnicodeDecodeError as problem:
        raise errors.NameRefused("the name is not UTF-8") from problem


def _file(file_obj: object) -> Reader | Upload:
    if not isinstance(file_obj, Reader | Upload):
        raise TypeError(f"not a file of this session: {type(file_obj)}")
    return file_obj


def _upload(file_obj: object) -> Upload:
    if not isinstance(file_obj, Upload):
        raise NotSupported("a write to a file that is open for reading")
    return file_obj
