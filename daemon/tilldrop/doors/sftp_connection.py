"""One client's SSH connection: its login, its limits, and the channels on it.

Promises that every name is asked for a proof, that a wrong password, an unknown customer and a
disabled one get the same reply, that its pass is given back however the connection ends, and that
a channel is the SFTP subsystem or nothing. The listening socket and the algorithms are `sftp`'s.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING, cast

import asyncssh
from asyncssh.stream import SSHServerStreamSession

from tilldrop import journal
from tilldrop.doors.entrance import TOO_MANY
from tilldrop.doors.sftp_session import DOOR, Answers
from tilldrop.doors.sftp_transport import Writer
from tilldrop.doors.sftp_wire import Wire
from tilldrop.errors import TooManySessions
from tilldrop.guard import REFUSED_STEP_S, Offence, even_out, why_refused
from tilldrop.public_keys import fingerprint

if TYPE_CHECKING:
    from asyncssh.channel import SSHChannel

    from tilldrop.config_customers import Customer
    from tilldrop.doors.sftp import Sftp
    from tilldrop.guard import Pass

# An agent offers all its keys in turn, and not one of them is a guess.
KEYS_TRIED_MOST = 20
KEY_REFUSED_STEP_S = 0.005  # an agent's keys may not take long; looking one up takes 0.5 ms
SESSIONS_MOST = 10  # of one connection, as OpenSSH's MaxSessions
STARTING_MOST = 3  # channels on which no session has begun: each may hold a window of bytes
SPARE_CONNECTIONS = 10  # beyond a customer's sessions: those that are just beginning or ending
# An answer goes out in packets of the size that the client wants, each of which costs 13 us. A
# single READ from one who wanted a byte at a time held everybody up for 3.5 s.
PACKET_LEAST_BYTES = 256
NAME_LOGGED_CHARS = 64
_TELLING = (asyncssh.DISC_KEY_EXCHANGE_FAILED, asyncssh.DISC_PROTOCOL_ERROR)  # of no login
_RUBBISH = (asyncssh.DISC_PROTOCOL_ERROR, asyncssh.DISC_PROTOCOL_VERSION_NOT_SUPPORTED)


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
        self.starting = 0  # channels on which no session has begun
        self._claimed, self._proof = "", ("", "")  # name; method and fingerprint
        self._idle_timer: asyncio.TimerHandle | None = None
        self._active_at = 0.0
        self.customer: Customer | None = None
        self.peer = peer
        self.transport: asyncio.Transport | None = None

    # -- login

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Take the connection, unless there are too many."""
        self._conn = conn
        self._note_step()
        self._pass.may_be_ended(self._end_for_another)
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
        self._untie()

    def _untie(self) -> None:
        """Undo where asyncssh and asyncio hold themselves: `garbage` tells why."""
        vars(self._conn)["_recv_handler"] = None
        if self.transport is not None:
            vars(self.transport)["_read_ready_cb"] = None
            self.transport = None

    def _end_for_another(self) -> None:
        self._conn.abort()

    def _note_step(self) -> None:
        """Note that its login gets on."""
        self._pass.note_step()
        self._door.intake.sharing.note(self.peer)

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
        self._note_step()
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
        began = self._loop.time()
        try:
            customer = await self._door.checks.customer_of(username, password, self.peer)
        except asyncio.CancelledError:  # gone, or the next password came; the work is done
            self._door.guard.penalise(self.peer, Offence.NO_LOGIN)
            raise
        if customer is not None:
            self._proof = ("password", "")
            return True
        self._door.guard.penalise(self.peer, Offence.FAILED_LOGIN)
        self._say_refused(username, "password", self._why_refused(username), None)
        await even_out(began, REFUSED_STEP_S)
        if self._passwords_tried >= self._door.settings.login_attempts:
            self.hang_up("Too many attempts to log in.")
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Say whether that key is the customer's; asyncssh then checks its signature."""
        self._keys_tried += 1
        if self._keys_tried > KEYS_TRIED_MOST:
            self.hang_up("Too many attempts to log in.")
            return False
        began = self._loop.time()
        # By default asyncssh also takes SHA-1 signatures of an RSA key, whatever is offered.
        key.all_sig_algorithms = {each.encode() for each in self._door.algorithms.signatures}
        offered = key.public_data
        listed = [
            each
            for each in self._door.customers.keys(username, self.peer)
            if hmac.compare_digest(each.blob, offered)
        ]
        if not listed:
            why = self._why_refused(username, "key-not-listed")
            self._say_refused(username, "publickey", why, fingerprint(offered))
            await even_out(began, KEY_REFUSED_STEP_S)
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
        self._pass.note_login()
        if self.customer is None:  # removed while it logged in
            self.hang_up("The account is closed.")
            return
        if not self._door.let_in(self):
            journal.connection_refused(DOOR, self.peer, "too-many")
            self.hang_up(TOO_MANY, asyncssh.DISC_TOO_MANY_CONNECTIONS)
            return
        self.check_customer()
        self._check_connections(self.customer)
        method, key = self._proof
        journal.login_accepted(DOOR, name, self.peer, method, key or None)
        if self._door.algorithms.is_legacy:
            journal.login_was_legacy(DOOR, name, self.peer, self._client())
        self.note_activity()
        self._watch_idleness()

    def _check_connections(self, customer: Customer) -> None:
        """Hang up if the customer holds more connections than it may have sessions."""
        most = self._door.intake.limits_of(customer).max_sessions
        held = self._door.connections_of(customer.name)
        if most and held > most + SPARE_CONNECTIONS:
            self._refuse_session(customer.name, TooManySessions(f"{held} connections"))

    def _client(self) -> str:
        return str(self._conn.get_extra_info("client_version"))[:NAME_LOGGED_CHARS]

    # -- sessions

    def session_requested(self) -> Channel | bool:
        """Open a channel for a session, unless there are too many."""
        is_full = self._sessions >= SESSIONS_MOST or self.starting >= STARTING_MOST
        return False if self.customer is None or is_full else Channel(self)

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
            self._refuse_session(self.customer.name, full)
            return False
        return True

    def _refuse_session(self, name: str, full: TooManySessions) -> None:
        journal.request_refused(DOOR, name, "session", full.code, str(full), self.peer)
        self.hang_up(full.to_customer, asyncssh.DISC_TOO_MANY_CONNECTIONS)

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
        self._is_starting = True
        connection.starting += 1

    def connection_made(self, chan: SSHChannel[bytes]) -> None:
        """Keep the channel for the session that may start on it."""
        super().connection_made(chan)
        self._channel = cast("asyncssh.SSHServerChannel[bytes]", chan)
        if vars(chan)["_send_pktsize"] < PACKET_LEAST_BYTES:
            self._connection.hang_up("The packets wanted are too small.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out, if no session began on it."""
        self._note_started()
        super().connection_lost(exc)

    def _note_started(self) -> None:
        if self._is_starting:
            self._is_starting = False
            self._connection.starting -= 1

    def subsystem_requested(self, subsystem: str) -> bool:
        """Take SFTP alone."""
        return subsystem == "sftp"

    def exception_received(self, exc: Exception) -> None:
        """Ignore signals, breaks and changes of a terminal's size: asyncssh would raise them."""

    def session_started(self) -> None:
        """Answer requests until the channel ends."""
        self._note_started()
        if not self._connection.has_room():
            return
        reader = asyncssh.SSHReader(self, self._channel)
        writer = Writer(self, self._channel)
        answers = self._connection.answers(self._channel)
        wire = Wire(answers, reader, writer, self._connection.max_open_files())
        self._channel.get_connection().create_task(self._answer(wire))

    async def _answer(self, wire: Wire) -> None:
        await wire.run()
        if self._exception is not None:  # it holds the frames that it went through, and they it
            self._exception.__traceback__ = None
