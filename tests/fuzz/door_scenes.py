"""Clients that know the protocol and misuse it: what they do depends on what they were answered.

Owns the scenes of `tests.fuzz.doors` that come after a login or into TLS. Promises that each ends
by itself, and checks on the way what must never be: an answer to a request that was not asked, or
a command obeyed that came before TLS.
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import paramiko

from tests.daemon import PASSWORD
from tests.doors.sftp_packets import EXTENDED, HANDLE, NO_ATTRS, Packets, logged_in, packets, text

if TYPE_CHECKING:
    import random

HOST = "127.0.0.1"
WITHIN_S = 20
STEPS = 60
AHEAD_MOST = 16  # requests whose answers are not waited for
OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT, OPENDIR, READDIR = 3, 4, 5, 6, 8, 10, 11, 12
REMOVE = 13
NAMES = (b"f1.tmp", b"f2.tmp", b"transactions/f3.csv.part", b"f4.filepart", b"nowhere/f5.csv")
OFFSETS = (0, 1, 3, 70_000, 2**31, 2**32, 2**63 - 1, 2**64 - 1)
SIZES = (0, 1, 3, 4096, 2**31 - 1, 2**32 - 1)
FLAGS = (0x1, 0x2, 0x3, 0x1A, 0x0A, 0x06, 0x2A, 0xFFFFFFFF)
_PORT = re.compile(rb"\(\|\|\|(\d+)\|\)")
_PIECES = (b"", b"x", b"Store,Id\n1,2\n" * 50, b"\0" * 70_000)


# -- SFTP


class Session:
    """One SFTP session, and the handles that it has or had."""

    def __init__(self, wire: Packets, dice: random.Random) -> None:
        self._wire, self._dice = wire, dice
        self._handles: list[bytes] = [text(struct.pack("!I", 99))]
        self._waiting: list[int] = []
        self._id = 0

    def step(self) -> None:
        """Ask for something, perhaps without waiting for its answer."""
        self._id += 1
        kind, body = self._request()
        self._wire.send(struct.pack("!BI", kind, self._id) + body)
        self._waiting.append(self._id)
        while len(self._waiting) > self._dice.randrange(AHEAD_MOST):
            self._answer()

    def _request(self) -> tuple[int, bytes]:
        dice = self._dice
        handle, name = dice.choice(self._handles), text(dice.choice(NAMES))
        offset = struct.pack("!Q", dice.choice(OFFSETS))
        extension = text(dice.choice((b"fsync@openssh.com", b"copy-data", b"check-file-handle")))
        opening = (OPEN, name + struct.pack("!I", dice.choice(FLAGS)) + NO_ATTRS)
        writing = (WRITE, handle + offset + text(dice.choice(_PIECES)))
        return dice.choice(
            (
                *(opening, opening, writing, writing),
                (READ, handle + offset + struct.pack("!I", dice.choice(SIZES))),
                (dice.choice((FSTAT, READDIR)), handle),
                (FSETSTAT, handle + struct.pack("!I", 1) + offset),
                (OPENDIR, text(b"/")),
                (EXTENDED, extension + handle),
                (CLOSE, handle),
                (REMOVE, name),
            )
        )

    def _answer(self) -> None:
        answer = self._wire.receive()
        if not answer:
            raise EOFError
        number = int.from_bytes(answer[1:5], "big")
        assert number in self._waiting, (number, self._waiting)
        self._waiting.remove(number)
        if answer[0] == HANDLE:
            self._handles.append(answer[5:])


def sftp_sessions(dice: random.Random, port: int) -> int:
    """Misuse two sessions of one connection in turn, and leave them in any way."""
    with logged_in(port) as transport, packets(transport) as one, packets(transport) as two:
        for wire in (one, two):
            wire.begin(dice.choice((3, 4, 5, 6)))
        sessions = [Session(wire, dice) for wire in (one, two)]
        done = 0
        with suppress(EOFError, OSError, paramiko.SSHException):
            while done < STEPS:
                dice.choice(sessions).step()
                done += 1
        return done


# -- FTP


class Line:
    """An FTP control connection, in the clear or not."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection((HOST, port), WITHIN_S)
        self._read = b""
        self.reply()

    def say(self, *lines: bytes) -> bytes:
        """Send lines at once and return the first reply."""
        self.sock.sendall(b"".join(line + b"\r\n" for line in lines))
        return self.reply()

    def reply(self) -> bytes:
        """Return a reply. Raises EOFError."""
        while True:
            line, end, rest = self._read.partition(b"\r\n")
            if end:
                self._read = rest
                if re.match(rb"[0-9]{3} ", line):
                    return line
            else:
                more = self.sock.recv(1 << 16)
                if not more:
                    raise EOFError
                self._read += more

    def secure(self, context: ssl.SSLContext, ahead: bytes) -> None:
        """Turn to TLS, with bytes in the clear right behind the command."""
        self.sock.sendall(b"AUTH TLS\r\n" + ahead)
        assert self.reply().startswith(b"234")
        self.sock = context.wrap_socket(self.sock)


def ftp_session(dice: random.Random, port: int) -> int:
    """Log in, perhaps over TLS, and misuse transfers."""
    line = Line(port)
    done = 0
    with suppress(EOFError, OSError, ssl.SSLError):
        if dice.random() < 0.4:
            line.secure(trusting(), b"")
        assert line.say(b"USER acme").startswith(b"331")
        if not line.say(b"PASS " + PASSWORD.encode()).startswith(b"230"):
            raise EOFError
        while done < STEPS // 12:
            _transfer(dice, line)
            done += 1
    _leave(dice, line.sock)
    return done


def _transfer(dice: random.Random, line: Line) -> None:
    """Begin a transfer and end it in some way that is not the usual one."""
    found = _PORT.search(line.say(b"EPSV"))
    name = dice.choice(NAMES)
    verb = dice.choice((b"STOR ", b"STOR ", b"APPE ", b"RETR ", b"LIST ", b"MLSD "))
    behind = [dice.choice((b"NOOP", b"ABOR", b"\xff\xf4\xff\xf2ABOR", b"QUIT", b"PWD"))]
    calls = found is not None and dice.random() < 0.9
    data = socket.create_connection((HOST, int(found[1])), WITHIN_S) if found and calls else None
    line.sock.sendall(verb + name + b"\r\n")
    with suppress(OSError):
        if data is not None:
            data.sendall(dice.choice(_PIECES))
    ahead = behind * dice.randrange(3)
    line.sock.sendall(b"".join(each + b"\r\n" for each in ahead))
    if data is not None:
        _leave(dice, data)
    else:
        line.sock.sendall(b"ABOR\r\n")
    line.sock.settimeout(0.1)
    with suppress(TimeoutError):
        while True:
            line.reply()
    line.sock.settimeout(WITHIN_S)


def _leave(dice: random.Random, sock: socket.socket) -> None:
    """Close a connection: in order, half, or by a reset."""
    with suppress(OSError):
        match dice.randrange(3):
            case 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case 1:
                sock.shutdown(socket.SHUT_WR)
    sock.close()


def ftp_tls(dice: random.Random, port: int) -> int:
    """Begin TLS with commands, halves of them or rubbish before, within and instead of it."""
    line = Line(port)
    ahead = dice.choice((b"", b"USER evil\r\n", b"DELE ", b"NOOP\r\nQU", b"\r", b"X" * 3000))
    with suppress(EOFError, OSError, ssl.SSLError):
        match dice.randrange(4):
            case 0:
                line.secure(trusting(), ahead)
                assert line.say(b"NOOP").startswith(b"200"), ahead  # nothing of it is left
            case 1:
                line.say(b"AUTH TLS")
                line.sock.sendall(b"\x16\x03\x01" + dice.randbytes(dice.randrange(300)))
                line.sock.settimeout(0.2)
                line.sock.recv(100)
            case 2:
                line.secure(trusting(), b"")
                line.sock.sendall(b"NOOP\r\n" * dice.randrange(5))
                raw = line.sock.detach() if dice.random() < 0.3 else -1
                if raw >= 0:
                    socket.socket(fileno=raw).close()  # without a farewell
            case _:
                line.say(b"AUTH TLS")
                _half_a_handshake(dice, line.sock)
    _leave(dice, line.sock)
    return 1


def _half_a_handshake(dice: random.Random, sock: socket.socket) -> None:
    """Send the beginning of a real client's hello, damaged or cut off."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing)
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = bytearray(outgoing.read())
    for _ in range(dice.randrange(4)):
        hello[dice.randrange(len(hello))] ^= 1 << dice.randrange(8)
    sock.sendall(hello[: dice.randrange(len(hello) + 1)])


def trusting() -> ssl.SSLContext:
    """Return a client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
