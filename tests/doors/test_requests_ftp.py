"""docs/requests.md, walked on a real FTP door with every odd argument."""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from tests.daemon import PASSWORD, add_customer
from tests.doors.conftest import CUSTOMER_TOML, HOST
from tests.doors.odd_names import ODD_NAMES
from tests.doors.request_tables import VERDICTS, rows
from tests.doors.sound import check_sound
from tilldrop.config import load
from tilldrop.doors.ftp_replies import VERBS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.doors.ftp_door import FtpHere, Said
    from tests.doors.request_tables import Row

Tls: TypeAlias = Literal["", "explicit", "implicit"]

WITHIN_S = 30
TOO_LONG = 2048  # such a line gets 500, whatever its verb
PLAIN = (b"sales.csv", b"new.csv", b"/", b"transactions", b"till-7", b"sales.csv.part", b"")
ARGUMENTS: dict[str, tuple[bytes, ...]] = {
    "USER": (b"acme", b"nobody"),
    "PASS": (PASSWORD.encode(), b"wrong"),
    "TYPE": (b"A", b"A N", b"I", b"L 8", b"E", b"L 7"),
    "STRU": (b"F", b"R", b"P"),
    "MODE": (b"S", b"B", b"C", b"Z"),
    "ALLO": (b"100", b"100 R 10"),
    "REST": (b"0", b"100"),
    "PORT": (b"127,0,0,1,200,10", b"127,0,0,1,0,22", b"10,0,0,1,200,10", b"1,2,3"),
    "EPRT": (b"|1|127.0.0.1|51210|", b"|1|127.0.0.1|22|", b"|1|10.0.0.1|51210|", b"|3|x|1|"),
    "EPSV": (b"", b"1", b"2", b"ALL"),
    "OPTS": (b"UTF8 ON", b"UTF-8 ON", b"MLST size;", b"MLST", b"HASH MD5"),
    "AUTH": (b"GSSAPI", b"KERBEROS_V4"),
    "PBSZ": (b"0",),
    "PROT": (b"P", b"C", b"E"),
    "SITE": (b"CHMOD 777 sales.csv", b"CHMOD 777 none.csv", b"UTIME 2026 a", b"EXEC id", b"HELP"),
    "MDTM": (b"20260314103000 sales.csv", b"20269999999999 sales.csv"),
    "MFMT": (b"20260314103000 sales.csv", b"20269999999999 sales.csv", b"20260314103000 none"),
    "MKD": (b"till-9",),  # a file is called till-7 once it was the name behind an RNTO
    "XMKD": (b"till-9",),
    "LIST": (b"-la", b"-R /", b"*.csv"),
    "NLST": (b"-la", b"*.csv"),
    "STAT": (b"-la /",),
    "ABOR": (b"",),
}
PART = b"RNFR sales.csv.part"
LASTING = ("PORT", "PASV", "EPRT", "EPSV", "CWD", "XCWD")  # would hold for the verbs behind them
FEW_NAMES = (b"a.csv/b.csv", b"\xc3\x28.csv", b"a\x00b.csv", b"=1+1.csv", b"e" * 4096, b"f" * 300)
BEFORE_LOGIN = ("USER", "PASS", "QUIT", "NOOP", "SYST", "FEAT", "OPTS", "AUTH", "PBSZ", "PROT")
_END = re.compile(rb"([0-9]{3}) [^\r\n]*\r\n")


class Lines:
    """A control connection of which every byte is ours; called again if the door ends it."""

    def __init__(self, door: FtpHere, *, login: bool, tls: Tls) -> None:
        self._door, self._login, self._tls = door, login, tls
        self.connect()

    def connect(self) -> None:
        """Connect, and log in if that is wanted."""
        is_implicit = self._tls == "implicit"
        port = self._door.ftp.implicit_port if is_implicit else self._door.port
        sock = socket.create_connection((HOST, port), WITHIN_S)
        if self._tls == "explicit":
            assert sock.recv(100).startswith(b"220 ")
            sock.sendall(b"AUTH TLS\r\n")
            assert sock.recv(100).startswith(b"234 ")
        self._sock = self._door.trusting().wrap_socket(sock) if self._tls else sock
        self._lines = self._sock.makefile("rb")
        if self._tls != "explicit":
            self.reply()
        if self._login:
            self.say(b"USER acme")
            assert self.say(b"PASS " + PASSWORD.encode()) == "230"

    def say(self, line: bytes) -> str:
        """Send a line and return the code of its reply."""
        self._sock.sendall(line + b"\r\n")
        code = self.reply()
        if code in {"221", "421"}:
            self.again()
        return code

    def again(self) -> None:
        """Hang up and connect again."""
        self.close()
        self.connect()

    def reply(self) -> str:
        """Return the code of the next reply, the last line of one that has several."""
        while line := self._lines.readline():
            if found := _END.fullmatch(line):
                return found[1].decode()
        return ""

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._sock.close()


@contextmanager
def lines(door: FtpHere, *, login: bool = True, tls: Tls = "") -> Iterator[Lines]:
    """Connect for a test."""
    opened = Lines(door, login=login, tls=tls)
    yield opened
    opened.close()


def arguments(verb: str, names: tuple[bytes, ...]) -> list[bytes]:
    """Return what to send behind a verb; a newline ends a line, so that none is among them."""
    if verb == "QUIT":
        return [b"", b"now", b"\xff"]  # each takes a login
    found = [*ARGUMENTS.get(verb, ()), *PLAIN, *names]
    return [one for one in found if b"\r\n" not in one]


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def walk(door: FtpHere, table: list[Row], names: tuple[bytes, ...], tls: Tls) -> None:
    """Send every verb of a table with every argument, and compare what is answered."""
    add_customer(door.home, "acme", CUSTOMER_TOML.replace('"*.csv",', '"*.csv", "till-*/*.csv",'))
    door.config = replace(door.config, customers=load(door.home).customers)
    wrong: dict[str, set[str]] = defaultdict(set)
    with lines(door, tls=tls) as client:
        for name in ("sales.csv", "sales.csv.part"):
            door.put(b"Store,Id\n", name)
        for row in table:
            seen: set[str] = set()
            for argument in arguments(row.first, names):
                if row.first == "RNTO" and client.say(PART) != "350":
                    door.put(b"Store,Id\n", "sales.csv.part")  # the one before took it
                    assert client.say(PART) == "350"
                line = b" ".join([row.first.encode(), argument]) if argument else row.first.encode()
                code = client.say(line)
                assert (code == "500") == (len(line) > TOO_LONG), line
                seen |= {code} - {"500"}
            wrong[row.first] |= seen ^ row.replies
            if any(code[0] in "123" or code == "425" for code in seen) == row.is_refused:
                wrong[row.first].add(row.verdict)
            if row.first == "DELE":
                door.put(b"Store,Id\n", "sales.csv.part")
            if row.first in LASTING:
                client.again()
    missing = {verb: replies for verb, replies in wrong.items() if replies}
    assert not missing, str(missing)


def test_every_verb_is_answered_as_the_table_says_whatever_its_argument(
    ftp: FtpHere, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    check_sound_after = check_sound(ftp, said, caplog)
    walk(ftp, rows("FTP requests"), ODD_NAMES, "")
    check_sound_after()


@pytest.mark.parametrize("tls", ["explicit", "implicit"])
def test_over_tls_the_same_is_answered_but_for_what_concerns_tls(
    open_ftp: Callable[..., FtpHere], said: Said, caplog: pytest.LogCaptureFixture, tls: Tls
) -> None:
    door = open_ftp(implicit_port=_free_port())
    check_sound_after = check_sound(door, said, caplog)
    others = {row.first: row for row in rows("FTP requests over TLS")}
    table = [others.get(row.first, row) for row in rows("FTP requests")]
    assert set(others) <= {row.first for row in table}
    walk(door, table, FEW_NAMES, tls)
    check_sound_after()


def test_before_the_login_hardly_anything_is_answered(
    ftp: FtpHere, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    check_sound_after = check_sound(ftp, said, caplog)
    with lines(ftp, login=False) as client:
        for row in rows("FTP requests"):
            if row.first in BEFORE_LOGIN:
                continue
            expected = "530" if row.first in VERBS else "502"
            for argument in (b"sales.csv", b"\xff", b"..", b"\x00"):
                code = client.say(row.first.encode() + b" " + argument)
                assert code in {expected, "421"}, row.first  # 421: too much of what is no FTP
    check_sound_after()


def test_every_row_has_a_verdict_and_a_reply() -> None:
    table = rows("FTP requests")
    assert all(row.verdict in VERDICTS and row.replies for row in table)
    assert set(VERBS) <= {row.first for row in table}
