"""SFTP packets made by hand, valid or not, over a real SSH connection."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko

from tests.daemon import PASSWORD
from tests.doors.conftest import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHIN_S = 30
INIT, VERSION, EXTENDED, HANDLE = 1, 2, 200, 102
NO_ATTRS = struct.pack("!I", 0)
KINDS = {2: "VERSION", 102: "HANDLE", 103: "DATA", 104: "NAME", 105: "ATTRS", 201: "EXTENDED_REPLY"}
STATUSES = [
    "OK",
    "EOF",
    "NO_SUCH_FILE",
    "PERMISSION_DENIED",
    "FAILURE",
    "BAD_MESSAGE",
    "NO_CONNECTION",
    "CONNECTION_LOST",
    "OP_UNSUPPORTED",
]
STATUS = 101


def text(value: bytes) -> bytes:
    """Write a string as the protocol has it."""
    return struct.pack("!I", len(value)) + value


class Packets:
    """A session of which every byte is ours."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.channel = channel
        self._id = 0

    def send(self, payload: bytes) -> None:
        """Send a packet with a right length."""
        self.channel.sendall(text(payload))

    def receive(self) -> bytes:
        """Receive a packet; b"" at the end."""
        head = self._exactly(4)
        return self._exactly(int.from_bytes(head, "big")) if head else b""

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            more = self.channel.recv(size - len(got))
            if not more:
                return b""
            got += more
        return got

    def begin(self, version: int = 3) -> bytes:
        """Send INIT and return the answer."""
        self.send(struct.pack("!BI", INIT, version))
        return self.receive()

    def ask(self, kind: int, body: bytes) -> bytes:
        """Send a request and return its answer, whose id is the request's."""
        self._id += 1
        self.send(struct.pack("!BI", kind, self._id) + body)
        answer = self.receive()
        assert answer[1:5] == struct.pack("!I", self._id), answer
        return answer

    def handle(self, kind: int, body: bytes) -> bytes:
        """Send OPEN or OPENDIR and return the handle, as later requests have it."""
        answer = self.ask(kind, body)
        assert answer[0] == HANDLE, name_of(answer)
        return answer[5:]


def name_of(answer: bytes) -> str:
    """Say what an answer is: a status by its name, else its kind."""
    if answer[0] == STATUS:
        return STATUSES[int.from_bytes(answer[5:9], "big")]
    return KINDS[answer[0]]


@contextmanager
def logged_in(port: int, name: str = "acme") -> Iterator[paramiko.Transport]:
    """Log in and open no session yet."""
    transport = paramiko.Transport((HOST, port))
    try:
        transport.connect(username=name, password=PASSWORD)
        yield transport
    finally:
        transport.close()


@contextmanager
def packets(transport: paramiko.Transport) -> Iterator[Packets]:
    """Open an SFTP session that has sent nothing yet."""
    channel = transport.open_session(timeout=WITHIN_S)
    channel.settimeout(WITHIN_S)
    channel.invoke_subsystem("sftp")
    try:
        yield Packets(channel)
    finally:
        channel.close()
