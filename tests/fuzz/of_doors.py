"""Targets of what the doors understand, without what protects it: no SSH below, no password.

Both doors stand on a real intake, ledger and spool in this process. A request that is no request
may end its session, and nothing else; afterwards no upload, task or descriptor is left.
"""

from __future__ import annotations

import asyncio
import io
import re
import struct
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncssh.logging import logger

from tests.doors.conftest import CUSTOMER_TOML, HOST, MAIN_TOML
from tests.doors.odd_names import ODD_NAMES
from tests.doors.request_tables import rows
from tests.doors.sftp_packets import text
from tests.fuzz.target import Target, bend
from tilldrop import journal_lines
from tilldrop.config import load
from tilldrop.customers import Customers
from tilldrop.doors.ftp import Ftp, Proof
from tilldrop.doors.sftp_session import Answers
from tilldrop.doors.sftp_wire import Wire
from tilldrop.guard import Guard
from tilldrop.intake import Intake
from tilldrop.ledger import Ledger
from tilldrop.password_checks import PasswordChecks
from tilldrop.spool import Spool

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterator

WITHIN_S = 10
NEW_HOME_AFTER = 400  # inputs; a ledger that grows makes each next one slower
BUGS = ("request.failed", "door.troubled", "Traceback")
NO_ATTRS = struct.pack("!I", 0)
OPENED = re.compile(rb"\(127,0,0,1,(\d+),(\d+)\)|\(\|\|\|(\d+)\|\)")
SENT = b"Store,Id\n1,2\n"


class House:
    """An intake on a home of its own, made anew now and then; and what the journal said."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._numbers = count(1)
        self.said = io.StringIO()
        journal_lines.configure("json", "info", self.said)
        self.move()

    def move(self) -> None:
        """Make a home and an intake on it."""
        home = self._home / f"home{next(self._numbers)}"
        (home / "config" / "customers").mkdir(parents=True)
        (home / "config" / "tilldrop.toml").write_text(MAIN_TOML)
        (home / "config" / "customers" / "acme.toml").write_text(CUSTOMER_TOML)
        config = load(home)
        door = replace(config.ftp, listen=HOST, port=0, masquerade_address=HOST, tls="off")
        self.config = replace(config, ftp=door)
        self.config.paths.state.mkdir()
        self.ledger = Ledger(self.config.paths.ledger)
        spool = Spool(self.config.paths.spool, 0)
        self.intake = Intake(self.ledger, spool, lambda: self.config)

    def close(self) -> None:
        """Close them."""
        self.intake.close()
        self.ledger.close()

    def check(self) -> None:
        """See that nothing is left of the last input, and that it met no bug."""
        said = self.said.getvalue()
        self.said.seek(0)
        self.said.truncate()
        assert not any(bug in said for bug in BUGS), said
        assert not self.intake.uploads
        outside = [path for path in self.config.paths.home.rglob("*") if path.is_file()]
        state = self.config.paths.state
        made = [path for path in outside if not path.is_relative_to(state)]
        assert len(made) == len(("tilldrop.toml", "acme.toml")), made


def _runs(house: House, work: Callable[[bytes], Coroutine[Any, Any, None]]) -> Iterator[Any]:
    """Give what runs each input to its end, and moves house now and then."""
    done = count(1)

    def one(raw: bytes) -> None:
        runner.run(work(raw))
        house.check()
        if next(done) % NEW_HOME_AFTER == 0:
            house.close()
            house.move()

    with asyncio.Runner() as runner:
        yield one
        house.close()


# -- SFTP


class _Packets:
    """Both ends of a channel: what was sent, and what is answered. Also asyncssh's channel."""

    logger = logger

    def __init__(self, sent: bytes) -> None:
        self._sent = io.BytesIO(sent)
        self.answered = bytearray()
        self.channel = self

    async def readexactly(self, size: int) -> bytes:
        found = self._sent.read(size)
        if len(found) < size:
            raise asyncio.IncompleteReadError(found, size)
        return found

    def write(self, raw: bytes) -> None:
        self.answered += raw

    async def drain(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str, default: object = None) -> object:
        return default

    def get_connection(self) -> None:
        return None

    def close(self) -> None:
        pass

    def exit(self, _status: int) -> None:
        pass


@contextmanager
def begin_sftp(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Answer a stream of packets: one answer for each request, none else."""
    house = House(home)

    async def work(raw: bytes) -> None:
        visit = house.intake.visit(house.config.customers["acme"], "sftp", HOST)
        wire = _Packets(raw)
        ends = (wire, visit, HOST, lambda: None, lambda: None)
        answers = Answers(*ends)  # type: ignore[arg-type]
        async with asyncio.timeout(WITHIN_S):
            await Wire(answers, wire, wire, 4).run()  # type: ignore[arg-type]
        asked = [packet[1:5] for packet in framed(raw)[1:]]
        answered = [packet[1:5] for packet in framed(bytes(wire.answered))[1:]]
        assert len(answered) <= len(asked)
        assert set(answered) <= set(asked), (answered, asked)

    yield from _runs(house, work)


def framed(raw: bytes) -> list[bytes]:
    """Cut a stream into its packets; what is cut off at its end is one too."""
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def bend_packets(dice: random.Random, raw: bytes) -> bytes:
    """Change packets and their order; now and then their frames."""
    if dice.random() < 0.1:
        return bend(dice, raw)
    found = framed(raw) or [b"\1\0\0\0\3"]
    at = dice.randrange(len(found))
    match dice.randrange(7):
        case 0:
            del found[at]
        case 1:
            found.insert(at, found[dice.randrange(len(found))])
        case 2:
            found.append(found.pop(at))
        case 3:
            found.insert(at, dice.choice(sftp_requests(dice.choice(ODD_NAMES))))
        case 4:
            kind = dice.choice((*range(3, 24), 200, dice.randrange(256)))
            found[at] = bytes([kind]) + found[at][1:]
        case _:
            found[at] = bend(dice, found[at])
    return b"".join(text(packet) for packet in found)


def sftp_requests(name: bytes) -> list[bytes]:
    """Return each request once, with that name, of the handle that comes first, and of no other."""
    handle = text(struct.pack("!I", 0))
    named, other = text(name), text(b"b.csv")
    bodies = {
        3: named + struct.pack("!I", 0x1A) + NO_ATTRS,
        6: handle + struct.pack("!Q", 0) + text(SENT),
        5: handle + struct.pack("!QI", 0, 100),
        10: handle + struct.pack("!IQ", 1, 5),
        8: handle,
        4: handle,
        11: text(b"/"),
        12: text(struct.pack("!I", 1)),
        9: named + struct.pack("!III", 8, 1, 2),
        14: named + NO_ATTRS,
        18: named + other,
    }
    plain = dict.fromkeys((7, 13, 15, 16, 17, 19), named)
    extended = [
        text(extension) + rest
        for extension, rest in (
            (b"posix-rename@openssh.com", named + other),
            (b"fsync@openssh.com", handle),
            (b"limits@openssh.com", b""),
            (b"lsetstat@openssh.com", named + NO_ATTRS),
            (b"copy-data", handle),
        )
    ]
    whole = [*(bodies | plain).items(), *((200, body) for body in extended)]
    return [bytes([kind]) + struct.pack("!I", at) + body for at, (kind, body) in enumerate(whole)]


def sftp_seeds() -> list[bytes]:
    """Return sessions that ask everything once."""
    begin = text(b"\1\0\0\0\3")
    names = (b"sales.csv", b"sales.csv.part", b"transactions/x.csv", b"../x", b"receipts")
    sessions = [begin + b"".join(text(one) for one in sftp_requests(name)) for name in names]
    return [*sessions, text(b"\1\0\0\0\6"), begin]


# -- FTP


class _Open(Ftp):
    """A door that lets everyone in: hashing a password would take longer than all else."""

    async def check(self, name: str, *_others: object) -> Proof | None:
        customer = self.config_of().customers.get(name)
        return None if customer is None else Proof(customer, "password", None)

    def is_busy(self) -> bool:
        """Tell whether a command is being answered, but for one that waits for its data."""
        return any(
            each._answering is not None and each._arrival is None for each in self._connections
        )


@contextmanager
def begin_ftp(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Answer lines, and take the data connections that they ask for."""
    house = House(home)
    # Made once: it makes a hash, which took half of each input's time.
    customers = Customers(house.config.paths.keys, lambda: house.config)

    async def work(raw: bytes) -> None:
        guard = Guard(lambda: house.config.guard)
        before = _sockets()
        checks = PasswordChecks(customers, guard)
        door = _Open(house.config.ftp, house.intake, customers, lambda: house.config, checks, guard)
        await door.start()
        async with asyncio.timeout(WITHIN_S):
            await _converse(door, raw)
        await door.stop()
        checks.close()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()
        assert _sockets() == before

    yield from _runs(house, work)


def _sockets() -> int:
    """Count what a connection would leave; the ledger opens its readers as it needs them."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this very listing
            found += str(each.readlink()).startswith("socket:")
    return found


async def _converse(door: _Open, raw: bytes) -> None:
    """Send lines, call the ports that are named, and go when the last line has its answer.

    Or when nothing is answered any more: waiting for that alone took a third of the time.
    """
    reader, writer = await asyncio.open_connection(HOST, door.port)
    writer.write(raw + b"\r\n" + LAST + b"\r\n")
    calls: list[asyncio.Task[None]] = []
    answered = b""
    with suppress(ConnectionError, TimeoutError):
        while not reader.at_eof() and LAST not in answered:
            async with asyncio.timeout(None if door.is_busy() else 0.02):
                answered = await reader.read(1 << 16)
            for found in OPENED.finditer(answered):
                port = int(found[3] or int(found[1]) * 256 + int(found[2]))
                calls.append(asyncio.create_task(_call(port)))
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    for call in calls:
        await call


async def _call(port: int) -> None:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(SENT)
        writer.write_eof()
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.read()
        writer.close()
        await writer.wait_closed()


LAST = b"XLAST"  # no verb, and named in its refusal
LOGIN = b"USER acme\r\nPASS x\r\n"
FTP_SESSIONS = (
    b"EPSV\r\nSTOR sales.csv\r\nSIZE sales.csv\r\nMDTM sales.csv\r\nMLST sales.csv\r\n",
    b"PASV\r\nLIST\r\nPASV\r\nNLST -la\r\nEPSV\r\nMLSD\r\nSTAT /\r\n",
    b"EPSV\r\nSTOR a.csv.part\r\nRNFR a.csv.part\r\nRNTO a.csv\r\nRETR a.csv\r\n",
    b"REST 5\r\nEPSV\r\nAPPE a.csv\r\nABOR\r\nDELE a.csv.part\r\nSITE CHMOD 644 a.csv\r\n",
    b"PORT 127,0,0,1,4,1\r\nEPRT |1|127.0.0.1|1025|\r\nTYPE I\r\nOPTS UTF8 ON\r\nQUIT\r\n",
    b"EPSV\r\nSTOR a.csv\r\n\xff\xf4\xffABOR\r\nNOOP\r\n",
)


def bend_lines(dice: random.Random, raw: bytes) -> bytes:
    """Change command lines and their order."""
    lines = raw.split(b"\r\n")
    at = dice.randrange(len(lines))
    match dice.randrange(6):
        case 0:
            lines[at] = bend(dice, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines.insert(at, lines[dice.randrange(len(lines))])
        case 3:
            verb = dice.choice(rows("FTP requests")).first.encode()
            lines.insert(at, verb + b" " + dice.choice(ODD_NAMES))
        case 4:
            session = dice.choice(FTP_SESSIONS)
            lines[at:at] = session.split(b"\r\n")
        case _:
            lines[at] = lines[at].partition(b" ")[0] + b" " + dice.choice(ODD_NAMES)
    return b"\r\n".join(lines)


TARGETS = (
    Target(
        "sftp",
        "SFTP packets of a session, on a real intake",
        begin_sftp,
        sftp_seeds,
        bend_packets,
        8192,
    ),
    Target(
        "ftp",
        "FTP lines and data connections, on a real intake",
        begin_ftp,
        lambda: [LOGIN + session for session in FTP_SESSIONS],
        bend_lines,
        4096,
    ),
)
