"""The SFTP door: connections and logins.

Owns the listening socket, the host keys in use, the algorithms offered, and who gets in.
Promises that nothing but the SFTP subsystem is to be had (no shell, no command, no forwarding,
no old SCP), and that a wrong password, an unknown customer and a disabled one get the same
reply after the same work. What a session may do is decided in `sftp_session`.
"""

from __future__ import annotations

import asyncio
import hmac
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import asyncssh
from asyncssh.kex import get_kex_algs
from asyncssh.stream import SSHServerStreamSession

from tilldrop import hostkeys, journal
from tilldrop.customers import fingerprint
from tilldrop.doors.entrance import Entrance, Gate, listen
from tilldrop.doors.sftp_session import DOOR, Answers
from tilldrop.doors.sftp_wire import Wire
from tilldrop.errors import PortTaken, TooManySessions
from tilldrop.guard import Offence, why_refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from asyncssh.channel import SSHChannel

    from tilldrop.config import Config, SftpDoor
    from tilldrop.config_customers import Customer
    from tilldrop.customers import Customers
    from tilldrop.guard import Guard, Pass
    from tilldrop.intake import Intake

# What is offered, by allow-list. Nothing here rests on SHA-1, on CBC or on fewer than 2048 bits.
#
# Key exchange: curve25519 is all that clients of the last ten years need (OpenSSH, PuTTY, WinSCP,
# paramiko, libssh2 1.10); the fixed groups are for machines without it, such as JSch on Java 8.
# Not among them: the NIST curves, and group exchange, where asyncssh agrees to 1024 bits if asked.
KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes256-ctr",
    "aes192-ctr",
    "aes128-ctr",
)
# The two that are not encrypt-then-MAC are the best that curl's libssh2 1.10 and PuTTY's
# oldest kin know; a client takes its own first choice, so newer ones never use them.
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
SIGNATURES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-256",
    "rsa-sha2-512",
)

BANNER = "Tilldrop"  # without a version: that would tell what to try
BACKLOG = 128
KEEPALIVE_S = 30
KEEPALIVES_LOST = 3  # a client that vanished is noticed after two minutes
# Each takes 19 MiB and 21 ms of a core; the others wait their turn, unknown customers alike.
PASSWORDS_AT_ONCE = 2
# An agent offers all its keys in turn, and not one of them is a guess.
KEYS_TRIED_MOST = 20
SESSIONS_MOST = 10  # of one connection, as OpenSSH's MaxSessions
NAME_LOGGED_CHARS = 64
_TELLING = (asyncssh.DISC_KEY_EXCHANGE_FAILED, asyncssh.DISC_PROTOCOL_ERROR)  # of no login
_RUBBISH = (asyncssh.DISC_PROTOCOL_ERROR, asyncssh.DISC_PROTOCOL_VERSION_NOT_SUPPORTED)
STOP_WITHIN_S = 5.0


@dataclass(slots=True)
class _Arrival:
    """Whom a new socket belongs to, until its `Connection` is there."""

    address: str
    admitted: Pass
    is_met: bool = False


# Not by the socket's address: one that is reset has none any more.
_ARRIVAL: ContextVar[_Arrival] = ContextVar("arrival")


class Sftp:
    """The door. executor: runs password checks, which block. config_of: the configuration now."""

    def __init__(
        self,
        settings: SftpDoor,
        intake: Intake,
        customers: Customers,
        config_of: Callable[[], Config],
        executor: Executor,
        guard: Guard,
    ) -> None:
        self.settings = settings
        self.guard = guard
        self.intake = intake
        self.customers = customers
        self.config_of = config_of
        self.sessions = 0
        self.all_ended = asyncio.Event()
        self.all_ended.set()
        self._executor = executor
        self._turn = asyncio.Semaphore(PASSWORDS_AT_ONCE)
        self._entrance = Entrance(
            DOOR, guard, lambda: config_of().guard, float(settings.login_timeout_s)
        )
        self._gate: Gate | None = None
        self._connections: set[Connection] = set()

    async def start(self) -> int:
        """Open the door; return its port.

        Raises PortTaken, KeyUnusable. Makes missing host keys, which takes about a second.
        """
        loop = asyncio.get_running_loop()
        keys = self.config_of().paths.keys
        found = await loop.run_in_executor(self._executor, hostkeys.ensure, keys)
        options = self._options([_load(key.path) for key in found])
        try:
            listening = listen(self.settings.listen, self.settings.port, BACKLOG)
        except OSError as problem:
            where = f"{self.settings.listen}:{self.settings.port}"
            raise PortTaken(f"sftp: cannot listen on {where}: {problem.strerror}") from problem
        self._gate = Gate(self._entrance, listening, partial(self._welcome, options))
        journal.door_opened(DOOR, self.settings.listen, self._gate.port)
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
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: asyncssh.SSHServerConnection(loop, options), sock
            )
            if not arrival.is_met:
                transport.abort()
        except OSError:  # it is gone already
            sock.close()
        finally:
            if not arrival.is_met:
                admitted.end()

    def _meet(self) -> Connection:
        arrival = _ARRIVAL.get()
        arrival.is_met = True
        return Connection(self, arrival.address, arrival.admitted)

    def _options(self, host_keys: list[asyncssh.SSHKeyPair]) -> asyncssh.SSHServerConnectionOptions:
        return asyncssh.SSHServerConnectionOptions(
            server_factory=self._meet,
            server_host_keys=host_keys,
            server_version=BANNER,
            # Which are there depends on the version of `cryptography`, which will drop the groups.
            kex_algs=[each for each in KEY_EXCHANGES if each.encode() in get_kex_algs()],
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            signature_algs=SIGNATURES,
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

    def stop_accepting(self) -> None:
        """Close the door; who is in stays in. Doing it again is fine."""
        if self._gate is not None:
            self._gate.close()
            self._gate = None
            journal.door_closed(DOOR)

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

    async def check_password(self, name: str, password: str, peer: str) -> Customer | None:
        """Check a password when its turn has come."""
        async with self._turn:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._executor, self.customers.check_password, name, password, peer
            )

    def admit(self, connection: Connection) -> bool:
        """Count a new connection in, unless there are too many."""
        if len(self._connections) >= self.settings.max_connections:
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """Count a connection out."""
        self._connections.discard(connection)

    def count_session(self, change: int) -> None:
        """Count a session in (1) or out (-1)."""
        self.sessions += change
        if self.sessions:
            self.all_ended.clear()
        else:
            self.all_ended.set()


def _load(path: Path) -> asyncssh.SSHKeyPair:
    """Read a host key, to be used with our signatures alone: asyncssh would offer SHA-1 too."""
    (pair,) = asyncssh.load_keypairs([asyncssh.read_private_key(path)])
    ours = {each.encode() for each in SIGNATURES}
    pair.host_key_algorithms = [each for each in pair.host_key_algorithms if each in ours]
    return pair


class Connection(asyncssh.SSHServer):
    """One client's connection: its login, then its sessions."""

    def __init__(self, door: Sftp, peer: str, admitted: Pass) -> None:
        self._door = door
        self._pass = admitted
        self._is_turned_away = False
        self._loop = asyncio.get_running_loop()
        self._passwords_tried = 0
        self._keys_tried = 0
        self._sessions = 0
        self._claimed, self._proof = "", ("", "")  # name; method and fingerprint
        self._idle_timer: asyncio.TimerHandle | None = None
        self._active_at = 0.0
        self.customer: Customer | None = None
        self.peer = peer

    # -- login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection, unless there are too many."""
        self._conn = conn
        if not self._door.admit(self):
            self._is_turned_away = True
            journal.connection_refused(DOOR, self.peer, "too-many")
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its sessions see their own ends."""
        self._door.forget(self)
        self._pass.end()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self.customer is None:
            self._say_abandoned(exc)
            if not self._passwords_tried and not self._is_turned_away:
                self._door.guard.penalise(self.peer, _offence(exc))

    def _say_abandoned(self, exc: Exception | None) -> None:
        """Tell the operator why there was no login; a mere knock at the port is no news."""
        if self._proof[1]:
            why = "key-not-proved"
        elif isinstance(exc, asyncssh.DisconnectError) and exc.code in _TELLING:
            why = exc.reason[:1000]  # two lists of algorithms
        else:
            return
        journal.login_abandoned(DOOR, self._claimed, self.peer, why)

    def begin_auth(self, username: str) -> bool:
        """Ask for a proof of every name: False would let it in."""
        self._claimed = username[:NAME_LOGGED_CHARS]
        return True

    def password_auth_supported(self) -> bool:
        """Offer it to every name; also by keyboard-interactive, which asyncssh derives."""
        return True

    def public_key_auth_supported(self) -> bool:
        """Offer it to every name."""
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        """Check a password; the last try that is allowed ends the connection."""
        self._passwords_tried += 1
        if self._passwords_tried > self._door.settings.login_attempts:
            return False  # sent ahead, before the answer that ended the connection
        customer = await self._door.check_password(username, password, self.peer)
        if customer is not None:
            self._proof = ("password", "")
            return True
        self._door.guard.penalise(self.peer, Offence.FAILED_LOGIN)
        self._say_refused(username, "password", self._why_refused(username), None)
        if self._passwords_tried >= self._door.settings.login_attempts:
            self.hang_up("Too many attempts to log in.")
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Say whether that key is the customer's; asyncssh then checks its signature."""
        self._keys_tried += 1
        if self._keys_tried > KEYS_TRIED_MOST:
            self.hang_up("Too many attempts to log in.")
            return False
        # By default asyncssh also takes SHA-1 signatures of an RSA key, whatever is offered.
        key.all_sig_algorithms = {each.encode() for each in SIGNATURES}
        offered = key.public_data
        listed = [
            each
            for each in self._door.customers.keys(username, self.peer)
            if hmac.compare_digest(each.blob, offered)
        ]
        if not listed:
            why = self._why_refused(username, "key-not-listed")
            self._say_refused(username, "publickey", why, fingerprint(offered))
            return False
        self._proof = ("publickey", listed[0].fingerprint)
        return True

    def _why_refused(self, name: str, otherwise: str = "wrong-password") -> str:
        return why_refused(self._door.config_of().customers.get(name), self.peer, otherwise)

    def _say_refused(self, name: str, method: str, reason: str, key: str | None) -> None:
        journal.login_refused(DOOR, name[:NAME_LOGGED_CHARS], self.peer, method, reason, key)

    def auth_completed(self) -> None:
        """Let the customer in."""
        name = str(self._conn.get_extra_info("username"))
        self.customer = self._door.config_of().customers.get(name)
        self._pass.end()
        if self.customer is None:  # removed while it logged in
            self.hang_up("The account is closed.")
            return
        self.check_customer()
        method, key = self._proof
        journal.login_accepted(DOOR, name, self.peer, method, key or None)
        self.note_activity()
        self._watch_idleness()

    # -- sessions

    def session_requested(self) -> Channel | bool:
        """Open a channel for a session, unless there are too many."""
        if self.customer is None or self._sessions >= SESSIONS_MOST:
            return False
        return Channel(self)

    def answers(self, channel: asyncssh.SSHServerChannel[bytes]) -> Answers:
        """Begin a session."""
        if self.customer is None:
            raise RuntimeError("a session before its login")
        visit = self._door.intake.visit(self.customer, DOOR, self.peer)
        self._sessions += 1
        self._door.count_session(1)
        return Answers(channel, visit, self.peer, self.note_activity, self._end_session)

    def _end_session(self) -> None:
        self._sessions -= 1
        self._door.count_session(-1)

    def max_open_files(self) -> int:
        """Tell how many files a session may hold open."""
        if self.customer is None:
            raise RuntimeError("a session before its login")
        return self._door.intake.limits_of(self.customer).max_open_files

    def has_room(self) -> bool:
        """Hang up, saying why, if the customer may have no other session."""
        if self.customer is None:
            return False
        try:
            self._door.intake.check_session(self.customer)
        except TooManySessions as full:
            name, code = self.customer.name, full.code
            journal.request_refused(DOOR, name, "session", code, str(full))
            self.hang_up(full.to_customer, asyncssh.DISC_TOO_MANY_CONNECTIONS)
            return False
        return True

    def note_activity(self) -> None:
        """Note that the client did something."""
        self._active_at = self._loop.time()

    def _watch_idleness(self) -> None:
        """Hang up if nothing was asked for too long, else look again when that could be."""
        until = self._active_at + self._door.settings.idle_timeout_s
        if until <= self._loop.time():
            self.hang_up("Idle for too long.")
        else:
            self._idle_timer = self._loop.call_at(until, self._watch_idleness)

    def check_customer(self) -> None:
        """Hang up if the customer is gone or disabled by now."""
        if self.customer is None:
            return
        now = self._door.config_of().customers.get(self.customer.name)
        if now is None or not now.may_enter_from(self.peer):
            self.hang_up("The account is closed.")

    def hang_up(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """End the connection. reason: a sentence that the client may show."""
        self._conn.disconnect(code, reason)


def _offence(exc: Exception | None) -> Offence:
    """Say what an end without a login and without a password is."""
    if isinstance(exc, asyncssh.ConnectionLost) and "timeout" in exc.reason:
        return Offence.TIMEOUT
    if isinstance(exc, asyncssh.DisconnectError) and exc.code in _RUBBISH:
        return Offence.RUBBISH
    return Offence.NO_LOGIN


class Channel(SSHServerStreamSession[bytes]):
    """One channel of a connection: the SFTP subsystem or nothing."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(None)  # no factory, so neither shell nor command
        self._connection = connection

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        """Keep the channel for the session that may start on it."""
        super().connection_made(chan)
        self._channel = cast("asyncssh.SSHServerChannel[bytes]", chan)

    def subsystem_requested(self, subsystem: str) -> bool:
        """Take SFTP alone."""
        return subsystem == "sftp"

    def exception_received(self, exc: Exception) -> None:
        """Ignore signals, breaks and changes of a terminal's size: asyncssh would raise them."""

    def session_started(self) -> None:
        """Answer requests until the channel ends."""
        if not self._connection.has_room():
            return
        reader = asyncssh.SSHReader(self, self._channel)
        writer = asyncssh.SSHWriter(self, self._channel)
        answers = self._connection.answers(self._channel)
        wire = Wire(answers, reader, writer, self._connection.max_open_files())
        self._channel.get_connection().create_task(wire.run())
