"""FTP's data connections: how they come about, and how their end is told from a break.

Owns the socket of one transfer. Promises that `receive` returns b"" only at an end that the
client meant, as far as the wire tells: a reset, a stall and (if so configured) a TLS stream
without its farewell raise TransferCut instead. Never answers a request.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pyftpdlib import ioloop

from tilldrop.doors.ftp_tls import wrapped
from tilldrop.errors import NoDataConnection, TransferCut

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# pyftpdlib against vsftpd, 512 MB: 1.24 times its rate with 256 KiB at a time, 0.61 with 16.
RECEIVE_BYTES = 256 * 1024
TLS_RECORD_BYTES = 16 * 1024
CONNECT_WITHIN_S = 30.0
_END_BY_FIN = "UNEXPECTED_EOF_WHILE_READING"  # OpenSSL 3; a reset has no reason
_TCP_CLOSE = 7  # netinet/tcp.h
PASSIVE_OPEN_S = 60  # a port that nobody called is given back


class DataConnection:
    """One transfer's connection. stall_s: no byte for so long, and it is cut."""

    def __init__(self, sock: socket.socket, session: Any) -> None:
        sock.settimeout(0)
        self.connected = True  # asked for by pyftpdlib
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._stall_s: float = session.stall_s
        self._waiter: asyncio.Future[None] | None = None
        self._why = ""
        self._without_farewell = False

    async def secure(self, context: ssl.SSLContext) -> None:
        """Shake hands. Raises TransferCut."""
        if self.connected:
            self._socket = _wrapped_without_tickets(self._socket, context)
            await self._when_ready(self._socket.do_handshake)

    async def receive(self, *, farewell_needed: bool) -> bytes:
        """Return what came, b"" at the end. Raises TransferCut.

        farewell_needed: an end of TLS without close_notify is a break.
        """
        chunk = await self._when_ready(self._take)
        if not chunk and self._without_farewell and farewell_needed:
            raise TransferCut("the TLS connection ended without close_notify")
        return chunk

    def _take(self) -> bytes:
        if not isinstance(self._socket, ssl.SSLSocket):
            return self._socket.recv(RECEIVE_BYTES)
        # OpenSSL hands out a record at a time; many at once cost fewer turns of the loop.
        taken = bytearray()
        while len(taken) < RECEIVE_BYTES and not self._without_farewell:
            # Looked at before: at an end without a farewell OpenSSL sends an alert, which a client
            # that is gone already answers with a reset.
            was_reset = _was_reset(self._socket)
            try:
                record = self._socket.recv(TLS_RECORD_BYTES)
            except ssl.SSLEOFError as problem:
                # Python calls a reset an end, too; then the last bytes may never have come.
                if was_reset or problem.reason != _END_BY_FIN:
                    raise TransferCut("the data connection was reset") from problem
                self._without_farewell = True
                break
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if not taken:
                    raise
                break
            if not record:
                break
            taken += record
        return bytes(taken)

    def part(self) -> None:
        """Close it after all was received. ftplib waits for our farewell before it asks on."""
        if isinstance(self._socket, ssl.SSLSocket) and self.connected:
            with suppress(OSError, ValueError):
                self._socket.unwrap()
        self.close("ended")

    async def send(self, chunk: bytes) -> None:
        """Send all of it. Raises TransferCut."""
        rest = memoryview(chunk)

        def send_some() -> int:
            return self._socket.send(rest)

        while rest:
            rest = rest[await self._when_ready(send_some, writing=True) :]

    async def end(self) -> None:
        """End what was sent so that the client knows it is whole. Raises TransferCut."""
        if isinstance(self._socket, ssl.SSLSocket):
            await self._when_ready(self._say_farewell)
        self.close("ended")

    def _say_farewell(self) -> None:
        try:
            self._socket.unwrap()  # type: ignore[attr-defined]
        except ssl.SSLWantReadError:
            return  # sent; the client's own is not waited for

    def close(self, why: str = "the control connection ended") -> None:
        """Close it; who waits for it gets TransferCut with that reason. Again is fine."""
        if not self.connected:
            return
        self.connected = False
        self._why = why
        # Before the close: the next socket may get the same number.
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _when_ready(self, attempt: Callable[[], T], *, writing: bool = False) -> T:
        """Do what the socket would block at, once it does not. Raises TransferCut."""
        while True:
            if not self.connected:
                raise TransferCut(self._why)
            try:
                return attempt()
            except ssl.SSLWantReadError:
                await self._wait(writing=False)
            except ssl.SSLWantWriteError:
                await self._wait(writing=True)
            except BlockingIOError:
                await self._wait(writing=writing)
            except OSError as problem:
                raise TransferCut(f"{type(problem).__name__}: {problem.strerror}") from problem

    async def _wait(self, *, writing: bool) -> None:
        waiter = self._waiter = self._loop.create_future()
        add = self._loop.add_writer if writing else self._loop.add_reader
        remove = self._loop.remove_writer if writing else self._loop.remove_reader
        add(self._socket, _wake, waiter)
        try:
            async with asyncio.timeout(self._stall_s):
                await waiter
        except TimeoutError as problem:
            raise TransferCut(f"nothing came or went for {self._stall_s} s") from problem
        finally:
            if self.connected:
                remove(self._socket)


def _wrapped_without_tickets(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    # A client that only sends never reads the tickets that a TLS 1.3 server sends by itself;
    # closing over unread bytes is a reset (RFC 1122, 4.2.2.13), which throws away what is on its
    # way. lftp 4.9, curl 7.88 and rclone 1.75 lost a third of 150 KB. The control connection
    # gives its own tickets, by which data connections are resumed.
    tickets = context.num_tickets
    context.num_tickets = 0
    try:
        return wrapped(sock, context)
    finally:
        context.num_tickets = tickets


def _was_reset(sock: socket.socket) -> bool:
    # The first byte of tcp_info is the state: CLOSE_WAIT after the peer's FIN, CLOSE after a RST.
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class ActiveAddress:
    """Where the client waits for a call, as PORT or EPRT said. Called at the transfer."""

    def __init__(self, ip: str, port: int, session: Any) -> None:
        self._address = (ip, port)
        self._session = session
        session.respond("200 That address will be called.")

    async def call(self) -> DataConnection:
        """Connect. Raises NoDataConnection."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        calling = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            # From the address that the client called, which may be one of several of ours.
            calling.bind((self._session.local_ip, 0))
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await asyncio.get_running_loop().sock_connect(calling, self._address)
        except OSError as problem:
            calling.close()
            raise NoDataConnection(f"cannot call {self._address}: {problem}") from problem
        return DataConnection(calling, self._session)

    def close(self) -> None:
        """Nothing is open yet."""


class PassivePort(ioloop.Acceptor):  # type: ignore[misc]
    """A port of ours that waits for the client's call."""

    def __init__(self, session: Any, extmode: bool = False) -> None:  # noqa: FBT001, FBT002
        super().__init__(ioloop=session.ioloop)
        self._session = session
        ip = session.local_ip
        try:
            self._listen(ip, session.passive_range)
        except NoDataConnection:
            self.close()
            raise
        port = self.socket.getsockname()[1]
        if extmode:
            session.respond(f"229 Call that port (|||{port}|).")
        else:
            shown = (session.masquerade_address or ip).replace(".", ",")
            session.respond(f"227 Call that address ({shown},{port // 256},{port % 256}).")
        self.call_later(PASSIVE_OPEN_S, session.give_port_back)

    def _listen(self, ip: str, ports: range) -> None:
        """Take a port of the range; never another, which a firewall would shut."""
        self.create_socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
        self.set_reuse_addr()
        first = secrets.randbelow(len(ports))
        for port in (*ports[first:], *ports[:first]):
            try:
                self.bind((ip, port))
                self.listen(1)
            except OSError:
                continue
            return
        raise NoDataConnection("every port of ftp.passive_ports is taken")

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """Take the client's own call; a stranger's is dropped without a word.

        pyftpdlib's own class answers 425 out of turn, which the client takes for its next reply.
        """
        if addr[0] != self._session.peer:
            sock.close()
            self._session.on_stranger(str(addr[0]))
            return
        self.close()
        self._session.take_data_connection(DataConnection(sock, self._session))
