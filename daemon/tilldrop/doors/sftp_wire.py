"""The SFTP request loop: asyncssh's, with what an upload's proof of end needs.

Owns the list of requests that are taken; any other is answered as unsupported. Promises that
`Answers.finish` is called for an explicit CLOSE request and for nothing else, that no
exception's text reaches a customer, that one file's failing end does not keep the others from
theirs, and that the end of one session leaves its connection's other sessions alone.

Leans on private names of asyncssh: `tests/doors/test_sftp_canary.py` fails if a new version
of it behaves differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh.constants import (
    FXP_CLOSE,
    FXP_FSETSTAT,
    FXP_FSTAT,
    FXP_INIT,
    FXP_LSTAT,
    FXP_MKDIR,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READ,
    FXP_READDIR,
    FXP_READLINK,
    FXP_REALPATH,
    FXP_REMOVE,
    FXP_RENAME,
    FXP_RMDIR,
    FXP_SETSTAT,
    FXP_STAT,
    FXP_SYMLINK,
    FXP_WRITE,
)
from asyncssh.packet import PacketDecodeError, SSHPacket
from asyncssh.sftp import SFTPHandler, SFTPInvalidHandle, SFTPLimits, SFTPServerHandler

from tilldrop.errors import TilldropError, TooManyOpen
from tilldrop.sharing import FAIR_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tilldrop.doors.sftp_session import Answers

SFTP_VERSION = 3  # what every client speaks; OpenSSH's server offers no other

# As OpenSSH's server tells clients that ask; they then send 255 KiB at a time, not 32.
PACKET_MOST_BYTES = 256 * 1024
CHUNK_MOST_BYTES = 255 * 1024

FOLDERS_OPEN_MOST = 16

# A window of bytes may hold 60,000 requests, which outlived their connection, and a daemon that
# was told to stop, by minutes. Clients send 64 to 128 ahead of their answers.
ANSWERED_AFTER_END = 256


# What clients are told. Not among them: copy-data and hardlink (they change files behind a
# CLOSE), statvfs (the disk is the operator's), vendor-id (it names the version).
EXTENSIONS = [
    (b"posix-rename@openssh.com", b"1"),
    (b"fsync@openssh.com", b"1"),
    (b"lsetstat@openssh.com", b"1"),
    (b"limits@openssh.com", b"1"),
]


class Wire(SFTPServerHandler):
    """One SFTP session's requests, answered by `Answers`."""

    _server: Answers

    def __init__(
        self,
        server: Answers,
        reader: asyncssh.SSHReader[bytes],
        writer: asyncssh.SSHWriter[bytes],
        max_open_files: int,
    ) -> None:
        super().__init__(server, reader, writer, SFTP_VERSION)
        self._packet_handlers = _REQUESTS
        self._extensions = EXTENSIONS
        self._max_open_files = max_open_files
        self._unfair_bytes = 0
        self._has_begun = False
        self._after_end = 0

    async def run(self) -> None:
        """Answer requests until the channel ends, however it ends."""
        try:
            await super().run()
        except EOFError:
            # Stock asyncssh lets this out when the channel ends before INIT, which ends the
            # whole connection with its other sessions.
            await self._cleanup(None)
        except Exception:  # noqa: BLE001  the edge of a session
            self._server.fail("session")
            await self._cleanup(None)
        finally:
            await self._server.exit()

    async def recv_packet(self) -> SSHPacket:
        """Receive a packet; cut a WRITE to the length that it declares.

        pkg/sftp 1.13.0 to 1.13.5 (rclone 1.60) sends WRITEs with a tail of old bytes, which
        draft-ietf-secsh-filexfer-13 section 4 wants ignored and asyncssh refuses.
        """
        if self._writer is not None:
            await self._writer.drain()  # else a client that takes no answers fills the memory
            self._after_end += self._writer.channel.is_closing()
            if self._after_end > ANSWERED_AFTER_END:
                raise EOFError
        packet = await super().recv_packet()
        self._server.note_activity()
        payload = packet.get_full_payload()
        if payload[:1] != _WRITE:
            self._server.note_request()
        self._unfair_bytes += len(payload)
        if self._unfair_bytes >= FAIR_BYTES:
            self._unfair_bytes = 0
            await self._server.give_way()
        is_first, self._has_begun = not self._has_begun, True
        if is_first and payload[:1] == _INIT:
            # asyncssh would agree to an older version, which it does not know.
            return SSHPacket(_INIT + SFTP_VERSION.to_bytes(4, "big") + payload[5:])
        return SSHPacket(_trimmed(payload)) if payload[:1] == _WRITE else packet

    async def _cleanup(self, exc: Exception | None) -> None:
        """End the session. Stock asyncssh calls `close` here as if the client had asked."""
        files = list(self._file_handles.values())
        self._file_handles = {}
        self._dir_handles = {}
        for file in files:
            try:
                await self._server.close(file)
            except Exception:  # noqa: BLE001  the other files' ends must come too
                self._server.fail("session")
        await self._server.exit()
        await SFTPHandler._cleanup(self, exc)  # noqa: SLF001  past SFTPServerHandler's

    async def answer_close(self, packet: SSHPacket) -> None:
        """Answer CLOSE: the one proof that an upload is whole."""
        handle = packet.get_string()
        packet.check_end()
        if self._dir_handles.pop(handle, None) is not None:
            return
        file = self._file_handles.pop(handle, None)
        if file is None:
            raise SFTPInvalidHandle("Invalid file handle")
        await self._server.finish(file)

    async def answer_opendir(self, packet: SSHPacket) -> bytes:
        """Answer OPENDIR, looking at once whether there is such a folder."""
        path = packet.get_string()
        packet.check_end()
        if len(self._dir_handles) >= FOLDERS_OPEN_MOST:
            raise TooManyOpen(f"{FOLDERS_OPEN_MOST} folders are open")
        listing = await self._server.listing(path)
        handle = self._get_next_handle()
        self._dir_handles[handle] = listing
        return handle

    async def answer_limits(self, packet: SSHPacket) -> SFTPLimits:
        """Answer `limits@openssh.com`."""
        packet.check_end()
        return SFTPLimits(
            PACKET_MOST_BYTES, CHUNK_MOST_BYTES, CHUNK_MOST_BYTES, self._max_open_files
        )


_INIT = bytes([FXP_INIT])
_WRITE = bytes([FXP_WRITE])
_HANDLE_AT = 5  # behind type and request id
_OFFSET_BYTES = 8
_LENGTH_BYTES = 4


def _trimmed(payload: bytes) -> bytes:
    """Cut a WRITE to its declared end; one that is too short is left to be refused."""
    behind_handle = _HANDLE_AT + _LENGTH_BYTES
    handle_bytes = int.from_bytes(payload[_HANDLE_AT:behind_handle], "big")
    length_at = behind_handle + handle_bytes + _OFFSET_BYTES
    chunk_at = length_at + _LENGTH_BYTES
    end = chunk_at + int.from_bytes(payload[length_at:chunk_at], "big")
    return payload if len(payload) <= end else payload[:end]


def _guarded(request: str, answer: Callable[..., Awaitable[object]]) -> object:
    """Wrap the answer to a request: whatever it raises becomes a reply that reveals nothing.

    asyncssh itself would send the text of any exception, and of an OSError its meaning.
    """

    async def answer_guarded(wire: Wire, packet: SSHPacket) -> object:
        try:
            return await answer(wire, packet)
        except (asyncssh.SFTPError, PacketDecodeError):
            raise  # asyncssh's own, about the packet's form
        except TilldropError as error:
            raise wire._server.refuse(request, error) from error  # noqa: SLF001
        except Exception as error:
            raise wire._server.fail(request) from error  # noqa: SLF001

    return answer_guarded


# What asyncssh answers by its own method, `_process_` and the name, which calls `Answers`.
_STOCK_REQUESTS: dict[int | bytes, str] = {
    FXP_OPEN: "open",
    FXP_READ: "read",
    FXP_WRITE: "write",
    FXP_LSTAT: "lstat",
    FXP_FSTAT: "fstat",
    FXP_SETSTAT: "setstat",
    FXP_FSETSTAT: "fsetstat",
    FXP_READDIR: "readdir",
    FXP_REMOVE: "remove",
    FXP_MKDIR: "mkdir",
    FXP_RMDIR: "rmdir",
    FXP_REALPATH: "realpath",
    FXP_STAT: "stat",
    FXP_RENAME: "rename",
    FXP_READLINK: "readlink",
    FXP_SYMLINK: "symlink",
    b"posix-rename@openssh.com": "posix_rename",
    b"fsync@openssh.com": "fsync",
    b"lsetstat@openssh.com": "lsetstat",
}

_REQUESTS: dict[int | bytes, Any] = {
    FXP_CLOSE: _guarded("close", Wire.answer_close),
    FXP_OPENDIR: _guarded("opendir", Wire.answer_opendir),
    b"limits@openssh.com": _guarded("limits", Wire.answer_limits),
    **{
        kind: _guarded(name, getattr(SFTPServerHandler, f"_process_{name}"))
        for kind, name in _STOCK_REQUESTS.items()
    },
}
