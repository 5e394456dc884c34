"""One FTP control connection: its commands in their order, and its end.

Promises that commands are answered one after the other; that one which waits (for a password
check, a disk) holds nobody else up; that ABOR and the end of the connection reach a transfer at
once; and that verbs which are not in `VERBS` do not exist. Data connections are in `ftp_data`,
logins in `ftp_login`, what files and folders are asked for in `ftp_session`.
"""

from __future__ import annotations

import asyncio
import inspect
import re
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from pyftpdlib import ioloop  # noqa: F401  before its handlers: imports asyncore without a warning
from pyftpdlib.handlers.ftp.control import FTPHandler

from tilldrop import errors, journal
from tilldrop.doors.ftp_replies import LOGIN, VERBS, WORD, reply_to
from tilldrop.doors.ftp_tls import TlsChannel
from tilldrop.doors.ftp_transfer import ActiveAddress, DataConnection, PassivePort
from tilldrop.doors.listing import FACTS
from tilldrop.errors import NameRefused, TilldropError
from tilldrop.guard import Offence

if TYPE_CHECKING:
    from tilldrop.config_customers import Customer
    from tilldrop.doors.ftp import Ftp, Listener
    from tilldrop.guard import Pass

DOOR = "ftp"
GREETING = "220 Tilldrop"  # without a version: that would tell what to try
RUBBISH_MOST = 5  # commands that FTP does not know, before a login
LINE_MOST_BYTES = 2048
LINES_MOST = 64  # sent ahead of their answers
NAME_LOGGED_CHARS = 64
TCP_ESTABLISHED = 1  # linux/tcp_states.h; TCP_INFO begins with the state
# Telnet's Interrupt and Synch, which clients put before ABOR (RFC 959, 4.1.3). No UTF-8 has 0xFF.
_TELNET = re.compile(rb"\xff[\xf0-\xff]")

_TLS_VERBS = frozenset({"AUTH", "PBSZ", "PROT"})
_SECRETS = frozenset({"PASS", "USER"})


class Control(TlsChannel, FTPHandler):  # type: ignore[misc]
    """One client's control connection. implicit: TLS from the first byte."""

    # pyftpdlib's own
    username: str
    _in_buffer: list[bytes]
    _in_buffer_len: int
    _dtp_acceptor: PassivePort | None
    _dtp_connector: ActiveAddress | None
    _restart_position: int
    _current_facts: list[str]
    data_channel: DataConnection | None

    timeout = 0  # the idle timer is ours, since pyftpdlib's knows no command that waits
    active_dtp = ActiveAddress
    passive_dtp = PassivePort

    def __init__(self, conn: socket.socket, server: Listener, loop: Any) -> None:
        self.door: Ftp = server.door
        settings = self.door.settings
        self.stall_s = float(settings.idle_timeout_s)
        self.passive_range = settings.passive_range
        self.masquerade_address = settings.masquerade_address
        self.context = self.door.context  # of now: a renewed one is for those who come later
        self.customer: Customer | None = None
        self._implicit = server.implicit
        self._loop = asyncio.get_running_loop()
        self._lines: deque[bytes | None] = deque()  # None: it was too long
        self._answering: asyncio.Task[None] | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._given_up = ""
        self._tries = 0
        self._pass: Pass | None = None
        self._offence: Offence | None = None
        self._unknown_verbs = 0
        self._private_data = False
        self._refused_last: tuple[str, str] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._came_at = self._active_at = self._loop.time()
        self.peer = ""
        super().__init__(conn, server, loop)
        self._available_facts = list(FACTS)
        self._current_facts = list(FACTS)
        self.peer = self.remote_ip.removeprefix("::ffff:")

    def __repr__(self) -> str:
        # pyftpdlib's own looks into what is not there.
        return f"<{DOOR} {self.peer}>"

    @property
    def local_ip(self) -> str:
        """The address of ours that the client called."""
        return str(self.socket.getsockname()[0]).removeprefix("::ffff:")

    @property
    def who(self) -> str:
        """The name that the client gave, to be logged."""
        return self.username[:NAME_LOGGED_CHARS]

    # -- the connection

    def welcome(self, peer: str, admitted: Pass) -> None:
        """Greet the client, once it is secured if that is to be its first act.

        peer: its address, which behind a proxy is not the socket's.
        """
        self.peer, self._pass = peer, admitted
        admitted.may_be_ended(self.close)
        # pyftpdlib lets PORT name this address alone: the proxy's would open the net behind it.
        self.remote_ip = peer
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._watch_idleness()
        if self._implicit and self.context is not None:
            self._private_data = True
            self.secure(self.context)
        else:
            self.respond(GREETING)

    def note_step(self) -> None:
        """Note that its login gets on."""
        if self._pass is not None:
            self._pass.note_step()

    def note_login(self) -> None:
        """Count it in, and where it came from as known."""
        if self._pass is not None:
            self._pass.note_login()
        self.end_waiting()

    def end_waiting(self) -> None:
        """Count it among those who are in, whose time is another."""
        if self._pass is not None:
            self._pass.end()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._watch_idleness()

    def on_secured(self) -> None:
        """Greet a client of the implicit port; others were greeted before."""
        if self._implicit:
            self.respond(GREETING)

    def on_handshake_failed(self, why: str) -> None:
        """Tell the operator: a certificate that is not listed ends here."""
        journal.connection_refused(DOOR, self.peer, f"tls: {why}")

    def on_stranger(self, address: str) -> None:
        """Tell the operator that someone else called a data port."""
        journal.connection_refused(DOOR, address, "not-the-client")

    def close(self) -> None:
        """End the connection, its transfer, and then its session."""
        if self._closed:
            return
        self.say_farewell()
        if self._pass is not None:
            self._pass.end()
            if self.customer is None and not self._tries:
                offence = self._offence or Offence.NO_LOGIN
                self.door.guard.penalise(self.peer, offence)
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().close()
        self.data_channel = None  # pyftpdlib deletes it
        self._stop_waiting()
        self.door.forget(self, self._loop.create_task(self._end()))

    async def _end(self) -> None:
        if self._answering is not None:
            await self._answering
        await self.end_session()

    async def end_session(self) -> None:
        """End what the login began."""

    def is_gone(self) -> bool:
        """Tell whether the client has ended its side, even behind bytes that were not read yet."""
        if self._closed:
            return True
        state = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return bool(state[0] != TCP_ESTABLISHED)

    def hang_up(self, reason: str) -> None:
        """End the connection with a reason that the client may show."""
        self.respond(f"421 {reason}")
        self.close_when_done()

    def check_customer(self) -> None:
        """Hang up if the customer is gone or disabled by now."""
        if self.customer is not None:
            now = self.door.config_of().customers.get(self.customer.name)
            if now is None or not now.may_enter_from(self.peer):
                self.hang_up("The account is closed.")

    def _watch_idleness(self) -> None:
        """Hang up if nothing was asked for too long, else look again when that could be."""
        settings = self.door.settings
        until = self._active_at + settings.idle_timeout_s
        if self.customer is None:
            until = self._came_at + settings.login_timeout_s  # whatever is said meanwhile
        elif self._answering is not None:
            until = self._loop.time() + settings.idle_timeout_s  # a transfer has its own
        if until <= self._loop.time():
            self._idle_timer = None
            self._offence = Offence.TIMEOUT
            self._hang_up_hard("Idle for too long.")
        else:
            self._idle_timer = self._loop.call_at(until, self._watch_idleness)

    def _hang_up_hard(self, reason: str) -> None:
        # Nothing can be said while hands are shaken, nor to one who does not read.
        if self._shaking or self._closing:
            self.close()
        else:
            self.hang_up(reason)
            self._idle_timer = self._loop.call_later(self.stall_s, self.close)

    # -- commands in their order

    def collect_incoming_data(self, data: bytes) -> None:
        """Take a part of a line.

        Of one that is too long pyftpdlib drops what has come and obeys the rest as another.
        """
        self._in_buffer_len += len(data)
        if self._in_buffer_len <= LINE_MOST_BYTES:
            self._in_buffer.append(data)

    def found_terminator(self) -> None:
        """Take a line; answer it when its turn has come."""
        line = _TELNET.sub(b"", b"".join(self._in_buffer))
        is_whole = self._in_buffer_len <= LINE_MOST_BYTES
        self._in_buffer, self._in_buffer_len = [], 0
        self._active_at = self._loop.time()
        self.door.intake.sharing.note(self.username or self.peer)
        if self._closed or self._closing:
            return
        verb = line.split(b" ", 1)[0].upper()
        if self._answering is not None and verb in (b"ABOR", b"QUIT"):
            self.give_up(verb.decode())
        self._lines.append(line if is_whole else None)
        if len(self._lines) > LINES_MOST:
            self._lines.clear()
            self.hang_up("Too many commands ahead of their answers.")
        elif self._answering is None:
            self._answering = self._loop.create_task(self._answer_all())

    def forget_lines(self) -> None:
        """Drop what has come and was not answered: whole lines, and the beginning of one."""
        self._lines.clear()
        self._in_buffer, self._in_buffer_len = [], 0

    def give_up(self, verb: str) -> None:
        """Note that the client does not wait for its transfer's answer.

        ABOR cuts the transfer. QUIT ahead of the answer lets it come to its end, which is not
        believed: Python's ftplib sends it when its user's program fails amid an upload.
        """
        self._given_up = verb
        if verb == "ABOR":
            if self.data_channel is not None:
                self.data_channel.close("ABOR")
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        """Let go of who waits for the client's call of our passive port."""
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    async def _answer_all(self) -> None:
        while self._lines and not self._closed and not self._closing:
            await self._answer(self._lines.popleft())
        self._answering = None

    async def _answer(self, line: bytes | None) -> None:
        if line is None:
            self.respond("500 The command is too long.")
            return
        word, _, argument = line.partition(b" ")
        verb = word.decode("ascii", "replace").upper()
        try:
            await self._carry_out(verb, argument)
        except TilldropError as error:
            self.refuse(verb, error)
        except Exception:  # noqa: BLE001  the edge of a unit of work: one command
            journal.request_failed(DOOR, self.who, verb)
            self.respond(f"451 {TilldropError.to_customer}")

    async def _carry_out(self, verb: str, argument: bytes) -> None:
        if verb not in VERBS or (verb in _TLS_VERBS and self.context is None):
            self.respond("502 This command is not supported here.")
            self._note_rubbish()
        elif LOGIN in VERBS[verb] and self.customer is None:
            self.respond("530 Log in first.")
        elif WORD in VERBS[verb] and not argument:
            self.respond("501 This command needs an argument.")
        else:
            answer = getattr(self, f"ftp_{verb}")(_text(verb, argument))
            if inspect.isawaitable(answer):
                await answer

    def _note_rubbish(self) -> None:
        """Hang up on one who speaks no FTP at all: a browser, a scanner."""
        self._unknown_verbs += 1
        if self.customer is None and self._unknown_verbs >= RUBBISH_MOST:
            self._offence = Offence.RUBBISH
            self.hang_up("This is an FTP server.")

    def refuse(self, request: str, error: TilldropError) -> None:
        """Answer with a refusal; say it to the operator, once for a row of the same."""
        said = (request, error.code)
        if said != self._refused_last and not isinstance(error, errors.NoSuchFile):
            journal.request_refused(DOOR, self.who, request, error.code, str(error), self.peer)
        self._refused_last = said
        self.respond(reply_to(error))

    def respond(self, resp: str, logfun: object = None) -> None:  # noqa: ARG002  pyftpdlib's
        """Send a reply, if there still is someone to read it.

        pyftpdlib repeats arguments, of which a newline would make two replies.
        """
        if not self._closed:
            line = "".join(each if each.isprintable() else "?" for each in resp)
            self.push(f"{line}\r\n")

    def respond_w_warning(self, resp: str) -> None:
        """Send a reply."""
        self.respond(resp)

    def log(self, *_words: object, **_more: object) -> None:
        """Keep pyftpdlib from saying what the journal says."""

    def log_exception(self, instance: object) -> None:  # noqa: ARG002  pyftpdlib's
        """Say a bug to the operator."""
        journal.request_failed(DOOR, self.who, "")


def _text(verb: str, argument: bytes) -> str:
    if verb in _SECRETS:
        return argument.decode(errors="replace")  # then it is simply a wrong one
    try:
        return argument.decode()
    except UnicodeDecodeError as problem:
        raise NameRefused("not UTF-8") from problem
