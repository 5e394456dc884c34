"""The way to a door: the guard is asked, and a load balancer says whom it speaks for.

Owns what happens to a socket between the kernel's accept and the door's protocol. Promises that
a source that is shut out costs no more than a closed socket, that only listed proxies are
believed, and that one which says nothing is not waited for longer than a login may take.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

from tilldrop import journal, proxy_protocol
from tilldrop.config_guard import is_within
from tilldrop.guard import Pass, Refusal
from tilldrop.proxy_protocol import Header

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeAlias

    from tilldrop.config_guard import GuardSettings
    from tilldrop.guard import Guard

    # Takes the socket, the client's address (not a proxy's), and its pass.
    Welcome: TypeAlias = Callable[[socket.socket, str, Pass], Coroutine[Any, Any, None]]

TOO_MANY = "Too many connections, please come again later."  # are logged in
ACCEPTED_AT_ONCE = 8  # each is some work; then the others get their turn
ACCEPT_AGAIN_S = 1.0  # after the system had no descriptor left, say


class Entrance:
    """Lets new connections of one door in. within_s: how long a proxy may take for its header."""

    def __init__(
        self, door: str, guard: Guard, settings_of: Callable[[], GuardSettings], within_s: float
    ) -> None:
        self.door = door
        self._guard = guard
        self._settings_of = settings_of
        self._within_s = within_s
        self._behind: set[asyncio.Task[None]] = set()  # proxies that have not said for whom
        self._welcomed: set[asyncio.Task[None]] = set()

    def take(self, sock: socket.socket, peer: str, welcome: Welcome) -> None:
        """Let a new connection in or close it; a listed proxy's says first for whom it is."""
        if is_within(peer, self._settings_of().proxies):
            _begin(self._meet_proxy(sock, peer, welcome), self._behind)
        else:
            self._let_in(sock, peer, welcome)

    def close(self) -> None:
        """Let go of those who have not said whom they speak for; who was let in stays in."""
        for task in self._behind:
            task.cancel()

    async def _meet_proxy(self, sock: socket.socket, proxy: str, welcome: Welcome) -> None:
        client = None
        try:
            client = await self._client_behind(sock, proxy)
        finally:
            if client is None:
                sock.close()
        if client is not None:
            self._let_in(sock, client, welcome)

    def _let_in(self, sock: socket.socket, address: str, welcome: Welcome) -> None:
        admitted = self._admit(address)
        if admitted is None:
            sock.close()
        else:
            _begin(welcome(sock, address, admitted), self._welcomed)

    def _admit(self, address: str) -> Pass | None:
        """Ask the guard; None: it says no, and the journal has why."""
        found = self._guard.admit(address)
        if isinstance(found, Refusal):
            if found is not Refusal.PENALISED:  # which was said when it began
                journal.connection_refused(self.door, address, found)
            return None
        return found

    async def _client_behind(self, sock: socket.socket, proxy: str) -> str | None:
        """Read a proxy's header; return whom it speaks for, or None if it says nothing valid.

        sock: non-blocking; only the header is taken from it. A proxy that speaks for itself (a
        health check) is its own client.
        """
        try:
            async with asyncio.timeout(self._within_s):
                header = await _read_header(sock)
        except (OSError, TimeoutError):
            header = None
        if header is None:
            journal.connection_refused(self.door, proxy, "no-proxy-header")
            return None
        return plain(header.address) if header.address else proxy


def plain(peer: str) -> str:
    """Return an address without the form that IPv4 takes on an IPv6 socket."""
    address = ipaddress.ip_address(peer)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or peer)


def _begin(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    begun = asyncio.get_running_loop().create_task(work)
    tasks.add(begun)
    begun.add_done_callback(tasks.discard)


async def _read_header(sock: socket.socket) -> Header | None:
    """Read exactly a header; None if what comes is none."""
    loop = asyncio.get_running_loop()
    head = b""
    while True:
        found = proxy_protocol.parse(head)
        if isinstance(found, Header):
            return found
        if found is not None:
            return None
        # Byte by byte at first: what follows the header belongs to the door's protocol.
        more = await loop.sock_recv(sock, _wanted(head))
        if not more:
            return None
        head += more


def _wanted(head: bytes) -> int:
    """Return how many bytes surely belong to the header still."""
    if len(head) >= proxy_protocol.V2_HEADER_BYTES and head.startswith(proxy_protocol.V2_SIGNATURE):
        length = int.from_bytes(head[proxy_protocol.V2_HEADER_BYTES - 2 :][:2], "big")
        return max(1, proxy_protocol.V2_HEADER_BYTES + length - len(head))
    return 1


class Gate:
    """A listening socket whose connections are admitted before anything is spent on them."""

    def __init__(self, entrance: Entrance, listening: socket.socket, welcome: Welcome) -> None:
        self._entrance = entrance
        self._listening = listening
        self._welcome = welcome
        self._loop = asyncio.get_running_loop()
        self._listening.setblocking(False)  # noqa: FBT003  the standard library's way
        self._loop.add_reader(listening.fileno(), self._accept)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listening.getsockname()[1])

    def close(self) -> None:
        """Listen no longer; who was let in stays in."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        self._entrance.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as problem:
                journal.door_troubled(self._entrance.door, str(problem))
                self._loop.remove_reader(self._listening.fileno())
                self._loop.call_later(ACCEPT_AGAIN_S, self._accept_again)
                return
            sock.setblocking(False)  # noqa: FBT003
            self._entrance.take(sock, plain(str(address[0])), self._welcome)

    def _accept_again(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)
