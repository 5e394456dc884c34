"""SFTP and FTP clients of the load: many in one process, each from an address of its own.

Owns how a session is begun and how one file is sent slowly or at once. An upload has returned only
when its last reply was positive; anything else raises.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Protocol

import asyncssh

from tests.clients import HOST
from tests.daemon import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Sequence

REPLY_WITHIN_S = 120.0
_PASSIVE = re.compile(r"\(\|\|\|([0-9]+)\|\)")


class Refused(Exception):
    """The server said no, or hung up."""


class Session(Protocol):
    """A session that is logged in."""

    async def put(self, name: str, content: bytes, pieces: int = 1, pause_s: float = 0) -> None:
        """Upload a file, in so many pieces with pauses between them."""

    async def end(self) -> None:
        """Part."""


class SftpSession:
    """One SFTP session."""

    def __init__(self, connection: asyncssh.SSHClientConnection, sftp: asyncssh.SFTPClient) -> None:
        self._connection = connection
        self._sftp = sftp

    async def put(self, name: str, content: bytes, pieces: int = 1, pause_s: float = 0) -> None:
        """Upload a file."""
        file = await self._sftp.open(name, "wb")
        for piece in _cut(content, pieces):
            await file.write(piece)
            await asyncio.sleep(pause_s)
        await file.close()

    async def end(self) -> None:
        """Part."""
        self._connection.close()
        await self._connection.wait_closed()


async def sftp(
    port: int, customer: str, source: str, key: str = "", password: str = PASSWORD
) -> SftpSession:
    """Log in by key if there is one, else by password. Raises Refused."""
    try:
        connection = await asyncssh.connect(
            HOST,
            port,
            local_addr=(source, 0),
            username=customer,
            password=None if key else password,
            client_keys=[key] if key else None,
            preferred_auth="publickey" if key else "password",
            known_hosts=None,
            agent_path=None,
            config=None,
            # The cheapest for the client, whose processor the daemon shares.
            encryption_algs=["aes128-gcm@openssh.com"],
            keepalive_interval=0,
            connect_timeout=REPLY_WITHIN_S,
        )
    except (OSError, asyncssh.Error) as problem:
        raise Refused(f"{type(problem).__name__}: {problem}") from problem
    return SftpSession(connection, await connection.start_sftp_client())


class FtpSession:
    """One FTP session."""

    def __init__(
        self, source: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._source = source
        self._reader = reader
        self._writer = writer

    async def ask(self, line: str, *wanted: str) -> str:
        """Send a command and return its reply. Raises Refused if it is none of those wanted."""
        self._writer.write(f"{line}\r\n".encode())
        return await self.hear(*wanted)

    async def hear(self, *wanted: str) -> str:
        """Return the next reply. Raises Refused."""
        async with asyncio.timeout(REPLY_WITHIN_S):
            reply = (await self._reader.readline()).decode()
        if not reply.startswith(wanted):
            raise Refused(reply.strip() or "hung up")
        return reply

    async def put(self, name: str, content: bytes, pieces: int = 1, pause_s: float = 0) -> None:
        """Upload a file."""
        passive = _PASSIVE.search(await self.ask("EPSV", "229"))
        assert passive is not None
        _, data = await asyncio.open_connection(HOST, int(passive[1]), local_addr=(self._source, 0))
        await self.ask(f"STOR {name}", "150")
        for piece in _cut(content, pieces):
            data.write(piece)
            await data.drain()
            await asyncio.sleep(pause_s)
        data.close()
        await data.wait_closed()
        await self.hear("226")

    async def end(self) -> None:
        """Part."""
        await self.ask("QUIT", "221")
        self._writer.close()


async def ftp(port: int, customer: str, source: str, password: str = PASSWORD) -> FtpSession:
    """Log in. Raises Refused."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port, local_addr=(source, 0))
        session = FtpSession(source, reader, writer)
        await session.hear("220")
        await session.ask(f"USER {customer}", "331")
        await session.ask(f"PASS {password}", "230")
    except OSError as problem:
        raise Refused(f"{type(problem).__name__}: {problem}") from problem
    except Refused:
        writer.close()
        raise
    return session


def address(net: int, number: int) -> str:
    """Return one of the loopback's addresses, of which a /16 has 65,000."""
    return f"127.{net}.{number // 250}.{number % 250 + 1}"


def _cut(content: bytes, pieces: int) -> Sequence[bytes]:
    size = -(-len(content) // pieces)
    return [content[at : at + size] for at in range(0, len(content), size)]
