"""The FTP door: its listeners, who gets in, and how many.

Owns the listening sockets (one for FTP and explicit TLS, one for implicit TLS if it is on) and
the certificate in use. Promises that a wrong password, an unknown customer and a disabled one
get the same reply after the same work, and that there are never more connections than allowed,
in all and from one source. What a connection may ask is decided in `ftp_control` and
`ftp_session`. pyftpdlib answers on the daemon's own loop: see `ftp_loop`.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pyftpdlib import ioloop  # noqa: F401  before its servers: imports asyncore without a warning
from pyftpdlib.servers import FTPServer

from tilldrop import certificates, in_the_clear, journal, listening
from tilldrop.doors.entrance import TOO_MANY, Entrance, plain
from tilldrop.doors.ftp_control import DOOR
from tilldrop.doors.ftp_loop import SharedLoop
from tilldrop.doors.ftp_session import Session
from tilldrop.errors import KeyUnusable, PortTaken
from tilldrop.guard import why_refused

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.config_ftp import FtpDoor
    from tilldrop.customers import Customers
    from tilldrop.guard import Guard, Pass
    from tilldrop.intake import Intake
    from tilldrop.listening import Listen
    from tilldrop.password_checks import PasswordChecks

STOP_WITHIN_S = 5.0
ACCEPT_AGAIN_S = 1.0  # after the system had no descriptor left, say
FULL = f"421 {TOO_MANY}\r\n".encode()


@dataclass(frozen=True, slots=True)
class Proof:
    """How a customer proved who it is. key: its certificate's fingerprint, if by one."""

    customer: Customer
    method: str
    key: str | None


class Ftp:
    """The door. config_of: the configuration now.

    port, implicit_port: where it listens, once it does; 0: it does not.
    context: for TLS connections that begin now, None if TLS is off.
    """

    def __init__(
        self,
        settings: FtpDoor,
        intake: Intake,
        customers: Customers,
        config_of: Callable[[], Config],
        checks: PasswordChecks,
        guard: Guard,
        *,
        listen: Listen = listening.listen,
    ) -> None:
        self.settings = settings
        self.guard = guard
        self.intake = intake
        self.customers = customers
        self.config_of = config_of
        self.sessions = 0
        self.port = 0
        self.implicit_port = 0
        self.context: ssl.SSLContext | None = None
        self.checks = checks
        self._listen = listen
        self._entrance = Entrance(
            DOOR, guard, lambda: config_of().guard, float(settings.login_timeout_s)
        )
        self._loop: SharedLoop | None = None
        self.listeners: list[Listener] = []
        self._connections: set[Session] = set()
        self._inside: set[Session] = set()  # of them, those that are logged in
        self._sources: Counter[str] = Counter()
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Open the door; return its port.

        Raises PortTaken, KeyUnusable. Makes a missing certificate.
        """
        logging.getLogger("pyftpdlib").handlers = [ToJournal(logging.WARNING)]
        logging.getLogger("pyftpdlib").propagate = False
        if self.settings.tls != "off":
            self.context = await asyncio.to_thread(self._make_context)
        self._loop = SharedLoop(asyncio.get_running_loop())
        self.port = self._open(self.settings.port, implicit=False)
        if self.settings.implicit_port and self.context is not None:
            self.implicit_port = self._open(self.settings.implicit_port, implicit=True)
        return self.port

    def _open(self, port: int, *, implicit: bool) -> int:
        name, address = "ftps" if implicit else DOOR, self.settings.listen
        try:
            sock = self._listen(name, address, port)
        except OSError as problem:
            self.stop_accepting()
            text = f"ftp: cannot listen on {address}:{port}: {problem.strerror}"
            raise PortTaken(text) from problem
        listener = Listener(sock, self, self._loop, implicit=implicit)
        self.listeners.append(listener)
        bound = int(listener.address[1])
        journal.door_opened(name, address, bound)
        return bound

    def _make_context(self) -> ssl.SSLContext:
        paths = self.config_of().paths
        certificate = paths.home / self.settings.certificate
        key = paths.home / self.settings.private_key
        try:
            certificates.ensure(certificate, key, self.settings.masquerade_address)
        except OSError as problem:
            why = f"cannot be made: {problem.strerror}"
            raise KeyUnusable(f"{certificate} and {key}: {why}") from problem
        return certificates.context(certificate, key, paths.keys)

    def stop_accepting(self) -> None:
        """Close the door; who is in stays in. Doing it again is fine."""
        if self.listeners:
            journal.door_closed(DOOR)
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        self._entrance.close()

    async def stop(self) -> None:
        """Close the door and end every session; what is still open becomes broken."""
        self.stop_accepting()
        for connection in list(self._connections):
            connection.hang_up("The server is restarting.")
            connection.close()
        if self._endings:
            _, left = await asyncio.wait(self._endings, timeout=STOP_WITHIN_S)
            if left:
                journal.sessions_left(DOOR, len(left))
        if self._loop is not None:
            self._loop.close()

    def reload(self) -> None:
        """Take a renewed certificate; end the connections of customers that are gone by now."""
        if self.context is not None:
            try:
                self.context = self._make_context()
            except KeyUnusable as problem:
                journal.certificate_refused(self.settings.certificate, str(problem))
        for connection in list(self._connections):
            connection.check_customer()

    # -- connections

    def take(self, sock: socket.socket, peer: str, listener: Listener) -> None:
        """Take a new connection; one of a listed proxy says first whom it is for."""
        self._entrance.take(sock, peer, partial(self._welcome, listener))

    async def _welcome(
        self, listener: Listener, sock: socket.socket, source: str, admitted: Pass
    ) -> None:
        """Begin FTP, unless there are too many connections."""
        if self.is_full or self._sources[source] >= self.settings.max_per_source:
            why = "too-many" if self.is_full else "too-many-from-source"
            journal.connection_refused(DOOR, source, why)
            admitted.end()
            sock.settimeout(0)
            if not listener.implicit:
                with suppress(OSError):  # it is gone already
                    sock.send(FULL)
            sock.close()
            return
        try:
            connection = Session(sock, listener, self._loop)
        except BaseException:
            admitted.end()
            raise
        if connection.connected:
            self._connections.add(connection)
            self._sources[source] += 1
            connection.welcome(source, admitted)
        else:
            admitted.end()

    @property
    def is_full(self) -> bool:
        """Whether nobody else may log in. Those who wait for that are the guard's to count."""
        return len(self._inside) >= self.settings.max_connections

    def let_in(self, connection: Session) -> bool:
        """Count a connection that has logged in, unless there are too many by now."""
        if self.is_full:
            return False
        if connection in self._connections:  # else it went while its password was checked
            self._inside.add(connection)
        return True

    def forget(self, connection: Session, ending: asyncio.Task[None]) -> None:
        """Count a connection out; its session ends when its uploads are settled."""
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        if connection in self._connections:
            self._connections.discard(connection)
            self._inside.discard(connection)
            self._sources[connection.peer] -= 1
            if not self._sources[connection.peer]:
                del self._sources[connection.peer]

    def count_session(self, change: int) -> None:
        """Count a session in (1) or out (-1)."""
        self.sessions += change

    # -- logins

    async def check(
        self, name: str, password: str, certificate: bytes | None, peer: str
    ) -> Proof | None:
        """Check a certificate if there is one, else the password when its turn has come."""
        config = self.config_of()
        customer = config.customers.get(name)
        if customer is not None and not customer.may_enter_from(peer):
            customer = None  # and the work goes on, as for one that is unknown
        if certificate is not None and customer is not None:
            proves = partial(certificates.proves, certificate, name, config.paths.keys)
            if await asyncio.to_thread(proves):
                return Proof(customer, "certificate", certificates.fingerprint(certificate))
        found = await self.checks.customer_of(name, password, peer)
        return Proof(found, "password", None) if found is not None else None

    async def note_in_clear(self, name: str, peer: str) -> None:
        """Tell the operator that a right password came unencrypted."""
        journal.password_in_clear(DOOR, name, peer)
        note = partial(in_the_clear.note, self.config_of().paths, name)
        with suppress(OSError):  # the journal has it
            await asyncio.to_thread(note)

    def why_refused(self, name: str, peer: str) -> str:
        """Say for the operator why a login failed; the client is not told."""
        return why_refused(self.config_of().customers.get(name), peer)


class Listener(FTPServer):  # type: ignore[misc]
    """A listening socket. implicit: its connections begin with TLS."""

    max_cons = 0  # counted by the door

    def __init__(
        self, sock: socket.socket, door: Ftp, loop: SharedLoop | None, *, implicit: bool
    ) -> None:
        self.door = door
        self.implicit = implicit
        super().__init__(sock, Session, ioloop=loop, backlog=listening.BACKLOG)

    def handle_accepted(self, sock: socket.socket, addr: tuple[Any, ...]) -> None:
        """Hand a new connection to the door."""
        self.door.take(sock, plain(str(addr[0])), self)

    def handle_error(self) -> None:
        """Go on listening; pyftpdlib would close the door for good."""
        journal.door_troubled(DOOR, traceback.format_exc())
        self.del_channel()
        self.call_later(ACCEPT_AGAIN_S, self._accept_again)

    def _accept_again(self) -> None:
        if self in self.door.listeners:  # else closed, and its number may be another socket's
            self.add_channel()


class ToJournal(logging.Handler):
    """What pyftpdlib logs as a warning or worse."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it in the journal."""
        journal.door_troubled(DOOR, record.getMessage())
