"""One FTP session: what each request means for the customer's view, and what is answered.

Promises that 226 is answered for an upload only when it is durable, and that an upload is
finished by a proved end alone. An end of data is the only sign that FTP has of a whole file, and
a client that is killed gives the same sign. So an upload is whole if its data ended in order, it
was synced, and then, LOOK_AFTER_S after that end at the earliest, the control connection was
there still, without ABOR or QUIT on it. No name becomes a path: `Visit` deals with files.
"""

from __future__ import annotations

import asyncio
import calendar
import re
import time
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tilldrop import errors, journal, view
from tilldrop.doors.ftp_control import DOOR
from tilldrop.doors.ftp_login import Login
from tilldrop.doors.ftp_transfer import CONNECT_WITHIN_S
from tilldrop.doors.listing import FACTS, compact_time, facts, long_name
from tilldrop.errors import SeekRefused, TransferCut
from tilldrop.sharing import FAIR_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tilldrop.config_customers import Customer
    from tilldrop.doors.ftp_transfer import DataConnection
    from tilldrop.upload import Upload
    from tilldrop.view import Entry
    from tilldrop.visit import Visit

# A killed client's control connection ended up to 2.5 ms after its data connection.
LOOK_AFTER_S = 0.005
SEND_BYTES = 256 * 1024
LINES_AT_ONCE = 256  # of a listing: 2 ms
MTIME_END = 2**32  # what SFTP can show
_UTC = ZoneInfo("UTC")  # what clients take LIST's times for
_PATTERN = re.compile(r"[*?\[]")
_OPTIONS = re.compile(r"(?:-[A-Za-z1]+(?: +|$))*")  # `LIST -al`, as for ls
_WHEN = re.compile(r"([0-9]{14})(?:\.[0-9]+)? (.+)")


class Session(Login):
    """A control connection whose client, once logged in, may ask for files."""

    dtp_handler = None  # ours are made by `Control`
    visit: Visit

    def begin_session(self, customer: Customer) -> None:
        """Begin the customer's visit."""
        self.visit = self.door.intake.visit(customer, DOOR, self.peer)
        self._began = time.monotonic()
        self._broken = 0
        self._cwd = "/"
        self.door.count_session(1)
        journal.session_opened(DOOR, customer.name, self.peer)

    async def end_session(self) -> None:
        """End it: what is still open is broken."""
        if self.customer is None:
            return
        await self.visit.end()
        journal.session_ended(
            DOOR,
            self.customer.name,
            self.peer,
            uploads=self.visit.uploads_finished,
            broken=self._broken,
            size_bytes=self.visit.bytes_received,
            took_ms=round((time.monotonic() - self._began) * 1000),
        )
        self.door.count_session(-1)

    def _at(self, path: str) -> str:
        return path if path.startswith("/") else f"{self._cwd}/{path}"

    # -- uploads

    async def ftp_STOR(self, path: str) -> None:
        """Take a file; after REST, the rest of one."""
        offset, self._restart_position = self._restart_position, 0
        await self._store(path, offset, append=False)

    async def ftp_APPE(self, path: str) -> None:
        """Take the rest of a file."""
        self._restart_position = 0
        await self._store(path, 0, append=True)

    async def _store(self, path: str, offset: int, *, append: bool) -> None:
        self._check_privacy()
        self._given_up = ""
        keeps = append or offset > 0
        upload = await self.visit.open_write(self._at(path), truncate=not keeps, offset=offset)
        whole = False
        try:
            if append:
                offset = upload.size_bytes
            elif keeps:
                await upload.truncate(offset)  # the file ends where this transfer ends
            data = await self.open_data_connection(CONNECT_WITHIN_S)
            await self._receive(data, upload, offset)
            await self._prove(upload)
            await self.visit.finish(upload)
            whole = True
        finally:
            self.drop_data_connection()
            self._broken += not whole
            await self.visit.abandon(upload)  # does nothing to a finished one
        self.respond("226 Stored.")

    async def _receive(self, data: DataConnection, upload: Upload, offset: int) -> None:
        needed = self.door.settings.tls_eof == "require"
        unfair_bytes = 0
        while chunk := await data.receive(farewell_needed=needed):
            await upload.write(offset, chunk)
            offset += len(chunk)
            # A fast sender's bytes are always here already; the others get their turn.
            unfair_bytes += len(chunk)
            if unfair_bytes >= FAIR_BYTES:
                unfair_bytes = 0
                await self.visit.sharing.give_way(self.username)
            else:
                await asyncio.sleep(0)
        data.part()

    async def _prove(self, upload: Upload) -> None:
        """Look whether the client is there still. Raises TransferCut."""
        look_at = self._loop.time() + LOOK_AFTER_S
        await upload.sync()
        await asyncio.sleep(look_at - self._loop.time())
        if self.is_gone():
            raise TransferCut("the control connection ended with the data")
        if self._given_up:
            raise TransferCut(f"{self._given_up} came before the answer")

    def _check_privacy(self) -> None:
        if self.door.settings.tls == "required" and not self._private_data:
            raise errors.TlsNeeded("data in the clear")

    # -- what is read

    async def ftp_RETR(self, path: str) -> None:
        """Send a file or a receipt; after REST, the rest of it."""
        offset, self._restart_position = self._restart_position, 0
        self._check_privacy()
        reader = await self.visit.open_read(self._at(path))
        try:
            if offset > reader.size_bytes:
                raise SeekRefused(f"{offset} of {reader.size_bytes} bytes")
            self._given_up = ""
            data = await self.open_data_connection(CONNECT_WITHIN_S)
            while chunk := await reader.read(offset, SEND_BYTES):
                await data.send(chunk)
                offset += len(chunk)
            await data.end()
        finally:
            self.drop_data_connection()
            await reader.close()
        self.respond("226 Sent.")

    async def _send_lines(self, lines: Iterable[bytes]) -> None:
        self._check_privacy()
        self._given_up = ""
        try:
            data = await self.open_data_connection(CONNECT_WITHIN_S)
            async for some in _by_parts(lines):
                await data.send(b"".join(line + b"\r\n" for line in some))
            await data.end()
        finally:
            self.drop_data_connection()
        self.respond("226 Sent.")

    async def ftp_LIST(self, argument: str) -> None:
        """List a folder, a file, or what fits a pattern, as `ls -l` does."""
        entries = await self._found(_without_options(argument))
        now = time.time()
        await self._send_lines(long_name(entry, _UTC, now) for entry in entries)

    async def ftp_NLST(self, argument: str) -> None:
        """List names alone; those that a pattern found, so that RETR takes them."""
        path = _without_options(argument)
        prefix = f"{path.rpartition('/')[0]}/" if _PATTERN.search(path) and "/" in path else ""
        entries = await self._found(path)
        await self._send_lines(f"{prefix}{entry.name}".encode() for entry in entries)

    async def ftp_MLSD(self, path: str) -> None:
        """List a folder's facts. 550 for one that is missing: rclone waits for that."""
        entries = await self.visit.entries(self._at(path))
        await self._send_lines(
            f"{facts(entry, self._current_facts)} {entry.name}".encode() for entry in entries
        )

    async def _found(self, path: str) -> list[Entry]:
        """Find what a listing names. Raises NoSuchFile, NoSuchFolder."""
        folder, _, pattern = self._at(path).rpartition("/")
        if _PATTERN.search(pattern):
            entries = await self.visit.entries(folder)
            return [entry for entry in entries if fnmatchcase(entry.name, pattern)]
        entry = await self.visit.stat(self._at(path))
        return await self.visit.entries(self._at(path)) if entry.is_folder else [_bare(entry)]

    async def ftp_MLST(self, path: str) -> None:
        """Tell one name's facts."""
        entry = await self.visit.stat(self._at(path))
        name = f"/{view.resolve(self._at(path))}"
        said = facts(entry, self._current_facts)
        self.push(f"250-Facts:\r\n {said} {name}\r\n")
        self.respond("250 End.")

    async def ftp_STAT(self, argument: str) -> None:
        """Tell that all is well, or list over the control connection."""
        if not argument:
            self.respond("211 Ready.")
            return
        now = time.time()
        entries = await self._found(_without_options(argument))
        self.push("213-Listing:\r\n")
        async for some in _by_parts(long_name(entry, _UTC, now) for entry in entries):
            if self._closed:
                return
            self.push("".join(f" {line.decode()}\r\n" for line in some))
        self.respond("213 End.")

    async def ftp_SIZE(self, path: str) -> None:
        """Tell a file's size: in ASCII too, since bytes are kept as they were sent."""
        entry = await self.visit.stat(self._at(path))
        if entry.is_folder:
            raise errors.IsFolder(f"SIZE of {path!r}")
        self.respond(f"213 {entry.size_bytes}")

    async def ftp_MDTM(self, argument: str) -> None:
        """Tell a file's time. With a time before the name, as old clients have it: set it."""
        if _WHEN.fullmatch(argument):
            await self.ftp_MFMT(argument)
            return
        entry = await self.visit.stat(self._at(argument))
        if entry.is_folder:
            raise errors.IsFolder(f"MDTM of {argument!r}")
        self.respond(f"213 {compact_time(entry.mtime)}")

    # -- what is changed

    async def ftp_MFMT(self, argument: str) -> None:
        """Keep the time to be shown for a file."""
        when, path = _time_and_path(argument)
        if when is None:
            self.respond("501 Expected: MFMT YYYYMMDDHHMMSS NAME")
            return
        await self.visit.set_mtime(self._at(path), when)
        self.respond(f"213 Modify={compact_time(when)}; {path}")

    async def ftp_SITE(self, argument: str) -> None:
        """Take CHMOD, which changes nothing: modes are ours."""
        verb, _, rest = argument.partition(" ")
        path = rest.partition(" ")[2]
        if verb.upper() != "CHMOD" or not path:
            self.respond("504 Only SITE CHMOD MODE NAME is known.")
            return
        await self.visit.stat(self._at(path))
        self.respond("200 Noted.")

    async def ftp_DELE(self, path: str) -> None:
        """Discard an unfinished upload; anything delivered stays."""
        await self.visit.remove(self._at(path))
        self.respond("250 Removed.")

    async def ftp_RNFR(self, path: str) -> None:
        """Note what RNTO is to rename."""
        self._rnfr = None
        await self.visit.stat(self._at(path))
        self._rnfr = self._at(path)
        self.respond("350 Now RNTO.")

    async def ftp_RNTO(self, path: str) -> None:
        """Finish an upload that was sent under a temporary name; anything delivered stays."""
        old, self._rnfr = self._rnfr, None
        if old is None:
            self.respond("503 RNFR first.")
            return
        await self.visit.rename(old, self._at(path))
        self.respond("250 Renamed.")

    async def ftp_MKD(self, path: str) -> None:
        """Take a folder that a feed's pattern names; else say whether the name exists."""
        await self.visit.make_folder(self._at(path))
        doubled = f"/{view.resolve(self._at(path))}".replace('"', '""')
        self.respond(f'257 "{doubled}" is there.')

    async def ftp_RMD(self, path: str) -> None:
        """Refuse."""
        await self.visit.refuse_folder_change(self._at(path))

    # -- where one is, and small talk

    async def ftp_CWD(self, path: str) -> None:
        """Go to a folder."""
        entry = await self.visit.stat(self._at(path or "/"))
        if not entry.is_folder:
            raise errors.NoSuchFolder(f"{path!r} is a file")
        self._cwd = f"/{view.resolve(self._at(path or '/'))}"
        self.respond("250 Here.")

    async def ftp_CDUP(self, _line: str) -> None:
        """Go to the folder above."""
        await self.ftp_CWD("..")

    def ftp_PWD(self, _line: str) -> None:
        """Tell where one is; a quotation mark in it is doubled (RFC 959, appendix II)."""
        doubled = self._cwd.replace('"', '""')
        self.respond(f'257 "{doubled}" is where you are.')

    def ftp_REST(self, marker: str) -> None:
        """Note where the next transfer is to go on: in ASCII too, since bytes are kept."""
        if not marker.isascii() or not marker.isdecimal() or len(marker) > len(str(2**63)):
            self.respond("501 REST needs a number of bytes.")
            return
        self._restart_position = int(marker)
        self.respond(f"350 From byte {int(marker)} on.")

    def ftp_TYPE(self, line: str) -> None:
        """Agree to ASCII and binary alike: bytes are kept as they come."""
        known = line.upper().split() in (["A"], ["A", "N"], ["I"], ["L", "8"], ["L8"])
        self.respond("200 Bytes are kept as they are." if known else "504 Use TYPE I.")

    def ftp_NOOP(self, _line: str) -> None:
        """Do nothing."""
        self.respond("200 Here.")

    def ftp_FEAT(self, _line: str) -> None:
        """Tell what is there beyond RFC 959."""
        tls = ["AUTH TLS", "PBSZ", "PROT"] if self.context is not None else []
        shown = "".join(f"{fact}{'*' * (fact in self._current_facts)};" for fact in FACTS)
        rest = ["EPRT", "EPSV", "MDTM", "MFMT", f"MLST {shown}", "REST STREAM", "SIZE", "TVFS"]
        lines = "".join(f" {feature}\r\n" for feature in [*tls, *rest, "UTF8"])
        self.push(f"211-Features:\r\n{lines}")
        self.respond("211 End.")


async def _by_parts(lines: Iterable[bytes]) -> AsyncIterator[list[bytes]]:
    """Write some lines at a time, the others having their turn in between."""
    rest = iter(lines)
    while some := list(islice(rest, LINES_AT_ONCE)):
        yield some
        await asyncio.sleep(0)


def _without_options(argument: str) -> str:
    found = _OPTIONS.match(argument)
    return argument[found.end() :] if found else argument


def _time_and_path(argument: str) -> tuple[int | None, str]:
    """Read `YYYYMMDDHHMMSS NAME`; None for what is no time that can be shown."""
    found = _WHEN.fullmatch(argument)
    if found is None:
        return None, ""
    try:
        when = calendar.timegm(time.strptime(found[1], "%Y%m%d%H%M%S"))
    except ValueError:
        return None, ""
    return (when if 0 <= when < MTIME_END else None), found[2]


def _bare(entry: Entry) -> Entry:
    name = entry.name.rpartition("/")[2]
    return view.Entry(name, entry.is_folder, entry.size_bytes, entry.mtime, entry.writable)
