"""docs/requests.md, walked on a real FTP door with every odd argument."""

from __future__ import annotations

import re
import socket
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.daemon import PASSWORD, add_customer
from tests.doors.conftest import CUSTOMER_TOML, HOST
from tests.doors.odd_names import ODD_NAMES
from tests.doors.request_tables import VERDICTS, rows
from tests.doors.sound import check_sound
from tilldrop.config import load
from tilldrop.doors.ftp_replies import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from tests.doors.ftp_door import FtpHere, Said

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
    "LIST": (b"-la", b"-R /", b"*.csv"),
    "NLST": (b"-la", b"*.csv"),
    "STAT": (b"-la /",),
    "ABOR": (b"",),
}
BEFORE_LOGIN = ("USER", "PASS", "QUIT", "NOOP", "SYST", "FEAT", "OPTS", "AUTH", "PBSZ", "PROT")
_END = re.compile(rb"([0-9]{3}) [^\r\n]*\r\n")


class Lines:
    """A control connection of which every byte is ours; called again if the door ends it."""

    def __init__(self, port: int, *, login: bool) -> None:
        self._port, self._login = port, login
        self.connect()

    def connect(self) -> None:
        """Connect, and log in if that is wanted."""
        self._sock = socket.create_connection((HOST, self._port), WITHIN_S)
        self._lines = self._sock.makefile("rb")
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
def lines(door: FtpHere, *, login: bool = True) -> Iterator[Lines]:
    """Connect for a test."""
    opened = Lines(door.port, login=login)
    yield opened
    opened.close()


def arguments(verb: str) -> list[bytes]:
    """Return what to send behind a verb; a newline ends a line, so that none is among them."""
    if verb == "QUIT":
        return [b"", b"now", b"\xff"]  # each takes a login
    found = [*ARGUMENTS.get(verb, ()), *PLAIN, *ODD_NAMES]
    return [one for one in found if b"\r\n" not in one]


def test_every_verb_is_answered_as_the_table_says_whatever_its_argument(
    ftp: FtpHere, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    add_customer(ftp.home, "acme", CUSTOMER_TOML.replace('"*.csv",', '"*.csv", "till-*/*.csv",'))
    ftp.config = replace(ftp.config, customers=load(ftp.home).customers)
    check_sound_after = check_sound(ftp, said, caplog)
    wrong: dict[str, set[str]] = defaultdict(set)
    with lines(ftp) as client:
        for row in rows("FTP requests"):
            for name in () if row.is_refused else ("sales.csv", "sales.csv.part"):
                ftp.put(b"Store,Id\n", name)
            client.again()  # else PASV and PORT would hold for the verbs that come after
            seen: set[str] = set()
            for argument in arguments(row.first):
                if row.first == "RNTO":
                    client.say(b"RNFR sales.csv.part")
                line = b" ".join([row.first.encode(), argument]) if argument else row.first.encode()
                code = client.say(line)
                assert (code == "500") == (len(line) > TOO_LONG), line
                seen |= {code} - {"500"}
            wrong[row.first] |= seen ^ row.replies
            if any(code[0] in "123" or code == "425" for code in seen) == row.is_refused:
                wrong[row.first].add(row.verdict)
    assert not {verb: replies for verb, replies in wrong.items() if replies}
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
