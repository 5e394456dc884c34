"""The SFTP door: its listening socket and who may be on it.

Owns the listening socket, the host keys in use, the algorithms offered, and who gets in.
Promises that nothing but the SFTP subsystem is to be had (no shell, no command, no forwarding,
no old SCP), and that a wrong password, an unknown customer and a disabled one get the same
reply after the same work. What a session may do is decided in `sftp_session`.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import asyncssh
from asyncssh.kex import get_kex_algs

from tilldrop import hostkeys, journal, listening
from tilldrop.doors.entrance import Entrance, Gate
from tilldrop.doors.sftp_algorithms import MODERN
from tilldrop.doors.sftp_connection import Connection
from tilldrop.doors.sftp_session import DOOR
from tilldrop.doors.sftp_transport import Transport
from tilldrop.errors import PortTaken

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tilldrop.config import Config, SftpDoor
    from tilldrop.customers import Customers
    from tilldrop.doors.sftp_algorithms import Algorithms
    from tilldrop.guard import Guard, Pass
    from tilldrop.intake import Intake
    from tilldrop.listening import Listen
    from tilldrop.password_checks import PasswordChecks

BANNER = "Tilldrop"  # without a version: that would tell what to try
KEEPALIVE_S = 30
KEEPALIVES_LOST = 3  # a client that vanished is noticed after two minutes
# Read from the system at a time; asyncio's 256 KiB made the copying below nine times the bytes.
READ_BYTES = 64 * 1024
STOP_WITHIN_S = 5.0


@dataclass(slots=True)
class _Arrival:
    """Whom a new socket belongs to, until its `Connection` is there."""

    address: str
    admitted: Pass
    met: Connection | None = None


# Not by the socket's address: one that is reset has none any more.
_ARRIVAL: ContextVar[_Arrival] = ContextVar("arrival")


class Sftp:
    """The door. config_of: the configuration now."""

    def __init__(
        self,
        settings: SftpDoor,
        intake: Intake,
        customers: Customers,
        config_of: Callable[[], Config],
        checks: PasswordChecks,
        guard: Guard,
        algorithms: Algorithms = MODERN,
        *,
        listen: Listen = listening.listen,
    ) -> None:
        self.settings = settings
        self.algorithms = algorithms
        self._name = f"{DOOR}-legacy" if algorithms.is_legacy else DOOR
        self.guard = guard
        self.intake = intake
        self.customers = customers
        self.config_of = config_of
        self.sessions = 0
        self.all_ended = asyncio.Event()
        self.all_ended.set()
        self.checks = checks
        self._listen = listen
        self._entrance = Entrance(
            DOOR, guard, lambda: config_of().guard, float(settings.login_timeout_s)
        )
        self._gate: Gate | None = None
        self._connections: set[Connection] = set()
        self._inside: set[Connection] = set()  # of them, those that are logged in

    async def start(self) -> int:
        """Open the door; return its port.

        Raises PortTaken, KeyUnusable. Makes missing host keys, which takes about a second.
        """
        found = await asyncio.to_thread(hostkeys.ensure, self.config_of().paths.keys)
        # An RSA key is proved when it is loaded, which takes a while.
        loaded = [await asyncio.to_thread(self._load, key.path) for key in found]
        options = self._options(loaded)
        try:
            sock = self._listen(self._name, self.settings.listen, self.settings.port)
        except OSError as problem:
            where = f"{self.settings.listen}:{self.settings.port}"
            raise PortTaken(
                f"{self._name}: cannot listen on {where}: {problem.strerror}"
            ) from problem
        self._gate = Gate(self._entrance, sock, partial(self._welcome, options))
        journal.door_opened(self._name, self.settings.listen, self._gate.port)
        return self._gate.port

    async def _welcome(
        self,
        options: asyncssh.SSHServerConnectionOptions,
        sock: socket.socket,
        address: str,
        admitted: Pass,
    ) -> None:
        """Begin SSH on a socket whose client was let in."""
        loop = asyncio.get_running_loop()
        arrival = _Arrival(address, admitted)
        _ARRIVAL.set(arrival)  # of this task, in which alone asyncssh makes this `Connection`
        connection = None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: Transport(loop, options), sock
            )
            # asyncssh copies all that has come for each packet that it takes out of it.
            transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # of asyncio's own
            # The task's context lives as long as the last timer made in it.
            connection, arrival.met = arrival.met, None
            if connection is None:
                transport.abort()
            else:
                connection.transport = transport
        except OSError:  # it is gone already
            sock.close()
        finally:
            if connection is None:
                admitted.end()

    def _meet(self) -> Connection:
        arrival = _ARRIVAL.get()
        arrival.met = Connection(self, arrival.address, arrival.admitted)
        return arrival.met

    def _options(self, host_keys: list[asyncssh.SSHKeyPair]) -> asyncssh.SSHServerConnectionOptions:
        ours = self.algorithms
        return asyncssh.SSHServerConnectionOptions(
            server_factory=self._meet,
            server_host_keys=host_keys,
            server_version=BANNER,
            # Which are there depends on the version of `cryptography`, which will drop the groups.
            kex_algs=[each for each in ours.key_exchanges if each.encode() in get_kex_algs()],
            encryption_algs=ours.ciphers,
            mac_algs=ours.macs,
            signature_algs=ours.signatures,
            compression_algs=["none"],
            login_timeout=self.settings.login_timeout_s,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=KEEPALIVES_LOST,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            allow_scp=False,
            line_editor=False,
            agent_forwarding=False,
            x11_forwarding=False,
            encoding=None,
        )

    def _load(self, path: Path) -> asyncssh.SSHKeyPair:
        """Read a host key, to be used with our signatures alone: asyncssh would offer SHA-1 too."""
        (pair,) = asyncssh.load_keypairs([asyncssh.read_private_key(path)])
        ours = {each.encode() for each in self.algorithms.signatures}
        pair.host_key_algorithms = [each for each in pair.host_key_algorithms if each in ours]
        return pair

    def stop_accepting(self) -> None:
        """Close the door; who is in stays in. Doing it again is fine."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None
            journal.door_closed(self._name)

    async def stop(self) -> None:
        """Close the door and end every session; what is still open becomes broken."""
        self.stop_accepting()
        for connection in list(self._connections):
            connection.hang_up("The server is restarting.")
        try:
            await asyncio.wait_for(self.all_ended.wait(), STOP_WITHIN_S)
        except TimeoutError:
            journal.sessions_left(DOOR, self.sessions)

    def reload(self) -> None:
        """End the connections of customers that are gone or disabled by now."""
        for connection in list(self._connections):
            connection.check_customer()

    @property
    def is_full(self) -> bool:
        """Whether nobody else may log in. Those who wait for that are the guard's to count."""
        return len(self._inside) >= self.settings.max_connections

    def admit(self, connection: Connection) -> bool:
        """Take a new connection, unless there are too many."""
        if self.is_full:
            return False
        self._connections.add(connection)
        return True

    def let_in(self, connection: Connection) -> bool:
        """Count a connection that has logged in, unless there are too many by now."""
        if self.is_full:
            return False
        if connection in self._connections:  # else it went while its password was checked
            self._inside.add(connection)
        return True

    def connections_of(self, customer: str) -> int:
        """Count a customer's connections, with sessions on them or not."""
        found = [each.customer for each in self._connections]
        return sum(each is not None and each.name == customer for each in found)

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)
        self._inside.discard(connection)

    def count_session(self, change: int) -> None:
        """Count a session in (1) or out (-1)."""
        self.sessions += change
        if self.sessions:
            self.all_ended.clear()
        else:
            self.all_ended.set()
