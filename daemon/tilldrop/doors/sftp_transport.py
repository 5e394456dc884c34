"""What one SSH connection may cost: asyncssh's own, with bounds where it has none.

Owns how much a stranger may send, and whether a client takes what it is sent. Promises that who
is not logged in yet can neither flood us with packets nor have keys exchanged again and again,
and that no answer is made while those before it are not taken, in the channel's window or on the
wire: asyncssh keeps them all in memory. A customer's flood is read with pauses, in which others
have their turn. Never looks into a packet.

Leans on private names of asyncssh: `tests/doors/test_floods.py` fails if a new version of
it behaves differently.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import asyncssh

if TYPE_CHECKING:
    from asyncssh.connection import SSHServerConnectionOptions
    from asyncssh.session import DataType

# Packets without content cost 10 us each, and more once they are enciphered. Fifteen connections of
# one stranger that sent nothing else held everybody's login up for three seconds. A key exchange
# takes 2 to 4 KB, a login that shows 20 keys with their certificates 50.
EXCHANGE_BYTES_MOST = 16 * 1024
LOGIN_BYTES_MOST = 64 * 1024
# What comes at once takes less than 1 ms of a customer's bulk upload, and 40 to 130 ms of a flood.
HEAVY_S = 0.01
HEAVY_REST = 10  # so many times as long a flood waits before more of it is read


class Transport(asyncssh.SSHServerConnection):
    """One client's connection."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, options: SSHServerConnectionOptions
    ) -> None:
        super().__init__(loop, options)
        self._stranger_bytes = 0
        self._is_sent = asyncio.Event()
        self._is_sent.set()

    def data_received(self, data: bytes, datatype: DataType = None) -> None:
        """Take what came; hang up on a stranger who sends more than a login takes."""
        if not self._auth_complete:
            self._stranger_bytes += len(data)
            most = LOGIN_BYTES_MOST if self._session_id else EXCHANGE_BYTES_MOST
            if self._stranger_bytes > most:
                self._force_close(asyncssh.ProtocolError("More came than a login takes"))
                return
        transport, began = self._transport, time.thread_time()
        super().data_received(data, datatype)
        spent_s = time.thread_time() - began
        if spent_s > HEAVY_S and transport is not None:
            transport.pause_reading()
            self._loop.call_later(spent_s * HEAVY_REST, transport.resume_reading)

    def _send_kexinit(self) -> None:
        if self._session_id and not self._auth_complete:
            raise asyncssh.ProtocolError("Keys are exchanged once before the login")
        super()._send_kexinit()

    def pause_writing(self) -> None:
        """Note that the system takes no more for now."""
        self._is_sent.clear()

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._is_sent.set()

    def connection_lost(self, exc: Exception | None = None) -> None:
        """Let go of who waits."""
        self._is_sent.set()
        super().connection_lost(exc)

    async def until_sent(self) -> None:
        """Wait until the system has taken nearly all that was written, or the end."""
        await self._is_sent.wait()


class Writer(asyncssh.SSHWriter[bytes]):
    """What a channel's answers are written to."""

    async def drain(self) -> None:
        """Wait until the client has taken nearly all that was written, or the end.

        An end raises nothing: what the client had asked before it counts.
        """
        with suppress(OSError, asyncssh.Error):
            await super().drain()
        await cast("Transport", self.get_extra_info("connection")).until_sent()
