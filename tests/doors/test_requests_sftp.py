"""docs/requests.md, walked on a real SFTP door with every odd name."""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.daemon import add_customer
from tests.doors.conftest import CUSTOMER_TOML
from tests.doors.odd_names import ODD_NAMES
from tests.doors.request_tables import VERDICTS, Row, rows
from tests.doors.sftp_packets import (
    EXTENDED,
    NO_ATTRS,
    Packets,
    logged_in,
    name_of,
    packets,
    text,
)
from tests.doors.sound import check_sound
from tilldrop.config import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doors.conftest import Door
    from tests.doors.ftp_door import Said

SUCCESS = frozenset({"OK", "HANDLE", "NAME", "ATTRS", "DATA", "EXTENDED_REPLY"})
READS, WRITES = 0x1, 0x2 | 0x8 | 0x10  # of OPEN: WRITE, CREAT, TRUNC
OPEN, CLOSE, READ, WRITE, FSTAT, FSETSTAT = 3, 4, 5, 6, 8, 10
OPENDIR, READDIR, MKDIR, SETSTAT = 11, 12, 14, 9
LSTAT, REALPATH, STAT = 7, 16, 17
RENAME, SYMLINK, LINK, BLOCK, UNBLOCK = 18, 20, 21, 22, 23
RENAMES = {RENAME, b"posix-rename@openssh.com"}
TWO_NAMES = {RENAME, SYMLINK, b"posix-rename@openssh.com", b"hardlink@openssh.com"}
ATTRS_TOO = {SETSTAT, MKDIR, b"lsetstat@openssh.com"}
OF_HANDLES = {
    CLOSE: b"",
    READ: struct.pack("!QI", 0, 100),
    WRITE: struct.pack("!Q", 0) + text(b"bytes"),
    FSTAT: b"",
    FSETSTAT: NO_ATTRS,
    READDIR: b"",
    BLOCK: struct.pack("!QQI", 0, 1, 1),
    UNBLOCK: struct.pack("!QQ", 0, 1),
    b"fsync@openssh.com": b"",
    b"fstatvfs@openssh.com": b"",
}
ALONE = {b"limits@openssh.com"}


def kind_of(row: Row) -> int | bytes:
    """Return a request's code, or the name of an extension."""
    return int(row.first) if row.first.isdecimal() else row.first.encode()


def bodies(kind: int | bytes, name: bytes) -> list[bytes]:
    """Write the request's fields with that name in each place where one can be."""
    named = text(name)
    if kind in ALONE:
        return [b""]
    if kind in TWO_NAMES:
        return [named + text(b"b.csv"), text(b"sales.csv") + named]
    if kind == LINK:
        return [named + text(b"b.csv") + b"\1", text(b"a.csv") + named + b"\0"]
    if kind in ATTRS_TOO:
        return [named + NO_ATTRS]
    if kind == OPEN:
        return [named + struct.pack("!I", flags) + NO_ATTRS for flags in (READS, WRITES)]
    return [named + OF_HANDLES.get(kind, b"")]


def asked(session: Packets, kind: int | bytes, body: bytes) -> str:
    """Ask and name the answer; a file or folder that it opened is closed."""
    code, body = (EXTENDED, text(kind) + body) if isinstance(kind, bytes) else (kind, body)
    answer = session.ask(code, body)
    if name_of(answer) == "HANDLE":
        session.ask(CLOSE, answer[5:])
    return name_of(answer)


def of_handles(session: Packets, kind: int | bytes) -> list[str]:
    """Ask the request of every sort of handle that there is."""
    answers = []
    for opens, body in (
        (OPEN, text(b"handles.csv") + struct.pack("!I", WRITES) + NO_ATTRS),
        (OPEN, text(b"sales.csv") + struct.pack("!I", READS) + NO_ATTRS),
        (OPENDIR, text(b"/")),
    ):
        handle = session.handle(opens, body)
        answers.append(asked(session, kind, handle + OF_HANDLES[kind]))
        session.ask(CLOSE, handle)
    return answers


def test_every_request_is_answered_as_the_table_says_whatever_the_name(
    door: Door, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    add_customer(door.home, "acme", CUSTOMER_TOML.replace('"*.csv",', '"*.csv", "till-*/*.csv",'))
    door.config = load(door.home)
    check_sound_after = check_sound(door, said, caplog)
    table = rows("SFTP requests")
    wrong: dict[str, set[str]] = defaultdict(set)
    with logged_in(door.port) as transport, packets(transport) as session:
        session.begin()
        for row in table:
            door.put(b"Store,Id\n", "sales.csv")  # which a request may have taken or renamed
            kind = kind_of(row)
            seen = of_handles(session, kind) if kind in OF_HANDLES else []
            if kind in RENAMES:
                door.put(b"Store,Id\n", "sales.csv.part")
                seen.append(asked(session, kind, text(b"sales.csv.part") + text(b"sales.csv")))
            for name in (b"sales.csv", b"new.csv", b"/", b"transactions", b"till-7", *ODD_NAMES):
                seen += [asked(session, kind, body) for body in bodies(kind, name)]
            wrong[row.name] |= set(seen) ^ row.replies
            if bool(SUCCESS & set(seen)) == row.is_refused:
                wrong[row.name].add(row.verdict)
    assert not {name: replies for name, replies in wrong.items() if replies}
    check_sound_after()


@pytest.mark.parametrize("version", [0, 1, 2, 3, 4, 5, 6, 2**32 - 1])
def test_whatever_version_a_client_asks_for_it_gets_3(door: Door, version: int) -> None:
    with logged_in(door.port) as transport, packets(transport) as session:
        assert session.begin(version)[:5] == struct.pack("!BI", 2, 3)
        session.handle(OPEN, text(b"sales.csv") + struct.pack("!I", WRITES) + NO_ATTRS)


# How versions 4 to 6 write what version 3 writes otherwise, and what they alone have.
TYPED = NO_ATTRS + b"\1"
OF_LATER_VERSIONS: dict[int, tuple[bytes, ...]] = {
    OPEN: (
        text(b"v.csv") + struct.pack("!I", WRITES) + TYPED,
        text(b"v.csv") + struct.pack("!II", 0x2, 0x2) + TYPED,
        text(b"sales.csv") + struct.pack("!II", 0x1, 0x2) + TYPED,
    ),
    LSTAT: (text(b"sales.csv") + NO_ATTRS,),
    FSTAT: (text(b"\0\0\0\0") + NO_ATTRS,),
    SETSTAT: (text(b"sales.csv") + TYPED,),
    FSETSTAT: (text(b"\0\0\0\0") + TYPED,),
    MKDIR: (text(b"till-7") + TYPED,),
    REALPATH: (text(b"/") + b"\2" + text(b"sales.csv"),),
    STAT: (text(b"sales.csv") + struct.pack("!I", 0xFD),),
    RENAME: (text(b"sales.csv") + text(b"b.csv") + struct.pack("!I", 0x3),),
    LINK: (text(b"v.csv") + text(b"sales.csv") + b"\1",),
    BLOCK: (text(b"\0\0\0\0") + struct.pack("!QQI", 0, 1, 0x1C0),),
    UNBLOCK: (text(b"\0\0\0\0") + struct.pack("!QQ", 0, 1),),
}


def test_client_that_speaks_a_later_version_all_the_same_is_answered(
    door: Door, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    check_sound_after = check_sound(door, said, caplog)
    door.put(b"Store,Id\n", "sales.csv")
    table = {row.first: row for row in rows("SFTP requests")}
    with logged_in(door.port) as transport:
        for version in (4, 5, 6):
            with packets(transport) as session:
                session.begin(version)
                for kind, forms in OF_LATER_VERSIONS.items():
                    seen = {asked(session, kind, body) for body in forms}
                    assert seen <= table[str(kind)].replies | {"BAD_MESSAGE"}, (version, kind, seen)
                assert asked(session, OPENDIR, text(b"/")) == "HANDLE"
    assert door.bytes_of(door.deliveries()[0]) == b"Store,Id\n"
    check_sound_after()


@pytest.mark.parametrize(
    "make",
    [
        lambda code: struct.pack("!BI", code, 7),
        lambda code: struct.pack("!BI", code, 7) + b"\xff\xff\xff\xff",
        lambda code: struct.pack("!BI", code, 7) + b"\0" * 5000,
    ],
    ids=["no-fields", "length-beyond-the-end", "zeros"],
)
def test_every_code_that_a_packet_can_have_gets_an_answer(
    door: Door, said: Said, caplog: pytest.LogCaptureFixture, make: Callable[[int], bytes]
) -> None:
    check_sound_after = check_sound(door, said, caplog)
    with logged_in(door.port) as transport, packets(transport) as session:
        session.begin()
        for code in [code for code in range(256) if not 101 <= code <= 105 and code != 201]:
            session.send(make(code))
            answer = session.receive()
            assert answer[1:5] == struct.pack("!I", 7), code
    check_sound_after()


def test_every_row_has_a_verdict_and_a_reply() -> None:
    table = rows("SFTP requests")
    assert all(row.verdict in VERDICTS and row.replies for row in table)
    codes = {int(row.first) for row in table if row.first.isdecimal()}
    assert codes == set(range(3, 24))  # those of versions 3 to 6; INIT has a test of its own
