"""Clients that cost next to nothing: on two cores, what a bench itself takes is missing elsewhere.

`Sftp` writes the packets of an upload to OpenSSH's `ssh`, which does the rest; `Ftp` speaks on
plain sockets. Each is one session. `put` returns when the daemon has acknowledged, and raises
`Refused` if it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import TYPE_CHECKING, Protocol, Self

from tests.clients import HOST, Account

if TYPE_CHECKING:
    from types import TracebackType

_INIT, _OPEN, _CLOSE, _WRITE = 1, 3, 4, 6
_VERSION, _STATUS, _HANDLE = 2, 101, 102
_WRITE_CREATE_TRUNCATE = 0x1A
_OK = 0
_SFTP_3 = struct.pack(">I", 3)


class Refused(Exception):
    """The daemon's answer was another than the one that was waited for."""


class Sender(Protocol):
    """One session that uploads."""

    async def __aenter__(self) -> Self:
        """Connect and log in."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """End the session."""

    async def put(self, name: str, content: bytes) -> None:
        """Upload a file."""


class Sftp:
    """A session of OpenSSH's `ssh`, whose subsystem is spoken to through its pipes."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def __aenter__(self) -> Self:
        target = f"{self._account.customer}@{HOST}"
        words = (*self._account.prefix(), "ssh", *self._account.ssh_options(), "-s", target, "sftp")
        pipe = asyncio.subprocess.PIPE
        self._ssh = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, env={"SSHPASS": self._account.password}
        )
        assert self._ssh.stdin
        assert self._ssh.stdout
        self._out, self._in = self._ssh.stdin, self._ssh.stdout
        self._out.write(_packet(_INIT, _SFTP_3))
        await self._answer(_VERSION)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._out.close()
        await self._ssh.wait()

    async def put(self, name: str, content: bytes) -> None:
        """Upload a file: an opening, then its bytes and its end at once."""
        wanted = struct.pack(">II", _WRITE_CREATE_TRUNCATE, 0)
        self._out.write(_packet(_OPEN, b"\0\0\0\1" + _string(name.encode()) + wanted))
        handle = (await self._answer(_HANDLE))[4:]
        chunk = handle + struct.pack(">Q", 0) + _string(content)
        self._out.write(
            _packet(_WRITE, b"\0\0\0\2" + chunk) + _packet(_CLOSE, b"\0\0\0\3" + handle)
        )
        for _ in range(2):
            (status,) = struct.unpack_from(">I", await self._answer(_STATUS), 4)
            if status != _OK:
                raise Refused(f"{name}: status {status}")

    async def _answer(self, wanted: int) -> bytes:
        (size,) = struct.unpack(">I", await self._in.readexactly(4))
        packet = await self._in.readexactly(size)
        if packet[0] != wanted:
            raise Refused(f"packet {packet[0]} instead of {wanted}: {packet!r}")
        return packet[1:]


def _packet(kind: int, body: bytes) -> bytes:
    return struct.pack(">IB", len(body) + 1, kind) + body


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


class Ftp:
    """A control connection; each file has a data connection of its own."""

    def __init__(self, account: Account, port: int) -> None:
        self._account = account
        self._port = port

    async def __aenter__(self) -> Self:
        self._in, self._out = await asyncio.open_connection(HOST, self._port)
        await self._answer(b"220")
        await self._ask(f"USER {self._account.customer}", b"331")
        await self._ask(f"PASS {self._account.password}", b"230")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._out.close()
        with contextlib.suppress(ConnectionError):
            await self._out.wait_closed()

    async def put(self, name: str, content: bytes) -> None:
        """Upload a file through a passive port."""
        where = await self._ask("EPSV", b"229")
        _, data = await asyncio.open_connection(HOST, int(where.split(b"|")[3]))
        self._out.write(f"STOR {name}\r\n".encode())
        data.write(content)
        data.close()
        await self._answer(b"150", b"125")
        await self._answer(b"226")

    async def _ask(self, line: str, *wanted: bytes) -> bytes:
        self._out.write(f"{line}\r\n".encode())
        return await self._answer(*wanted)

    async def _answer(self, *wanted: bytes) -> bytes:
        line = await self._in.readline()
        if line[:3] not in wanted:
            raise Refused(f"{line!r} instead of {wanted}")
        return line
