"""What the SFTP door takes from the private side of asyncssh, against the version installed.

All in memory. A failure here after an update of asyncssh means: read what changed in its
`SFTPServerHandler` before anything else.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, cast

import asyncssh
import pytest
from asyncssh.constants import (
    FXP_CLOSE,
    FXP_EXTENDED,
    FXP_INIT,
    FXP_LINK,
    FXP_OPEN,
    FXP_OPENDIR,
    FXP_READDIR,
    FXP_STAT,
    FXP_STATUS,
    FXP_WRITE,
)
from asyncssh.logging import logger
from asyncssh.packet import Byte, SSHPacket, String, UInt32, UInt64

from tilldrop.doors.sftp_algorithms import SIGNATURES
from tilldrop.doors.sftp_session import Answers, Listing, reply_to
from tilldrop.doors.sftp_wire import Wire
from tilldrop.errors import DeliveredStays, TilldropError

if TYPE_CHECKING:
    from collections.abc import Callable

INIT = Byte(FXP_INIT) + UInt32(3)
HANDLE = bytes(4)  # the first that asyncssh gives
SECRET = "secret/of/this/machine"


class Recorder:
    """Stands for `Answers`: notes what it is called for."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.trouble: Exception | None = None

    def note_activity(self) -> None:
        """Nothing to note."""

    def note_request(self) -> None:
        """Nobody else is there."""

    async def give_way(self) -> None:
        """Nobody else is there."""

    async def open(self, path: bytes, _pflags: int, _attrs: asyncssh.SFTPAttrs) -> str:
        return path.decode()

    async def write(self, file: str, offset: int, chunk: bytes) -> int:
        self.calls.append(("write", file, offset, chunk))
        return len(chunk)

    async def finish(self, file: str) -> None:
        self.calls.append(("finish", file))

    async def close(self, file: str) -> None:
        self.calls.append(("close", file))
        if self.trouble is not None:
            raise self.trouble

    async def listing(self, path: bytes) -> Listing:
        return Listing([asyncssh.SFTPName(path + b"%d" % n, b"-") for n in range(300)])

    async def stat(self, _path: bytes) -> asyncssh.SFTPAttrs:
        assert self.trouble is not None
        raise self.trouble

    async def exit(self) -> None:
        if ("exit",) not in self.calls:
            self.calls.append(("exit",))

    def refuse(self, _request: str, error: TilldropError) -> asyncssh.SFTPError:
        return reply_to(error)

    def fail(self, request: str) -> asyncssh.SFTPError:
        self.calls.append(("fail", request))
        return asyncssh.SFTPFailure("neutral")


class Ends:
    """Both ends of a channel without a connection."""

    def __init__(self, sent: bytes) -> None:
        self.reader = asyncio.StreamReader()
        self.reader.feed_data(sent)
        self.reader.feed_eof()
        self.reader.logger = logger  # type: ignore[attr-defined]
        self.reader.get_extra_info = lambda _name, default: default  # type: ignore[attr-defined]
        self.written = b""
        self.closed = False
        self.channel = self

    def write(self, chunk: bytes) -> None:
        self.written += chunk

    async def drain(self) -> None:
        """All is taken at once."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def _packet(payload: bytes) -> bytes:
    return UInt32(len(payload)) + payload


def _request(kind: int, number: int, *fields: bytes) -> bytes:
    return _packet(Byte(kind) + UInt32(number) + b"".join(fields))


def _open(number: int, name: str) -> bytes:
    write_and_create = UInt32(asyncssh.FXF_WRITE | asyncssh.FXF_CREAT)
    return _request(FXP_OPEN, number, String(name), write_and_create, UInt32(0))


def _write(number: int, chunk: bytes, tail: bytes = b"", handle: bytes = HANDLE) -> bytes:
    return _request(FXP_WRITE, number, String(handle), UInt64(0), String(chunk), tail)


def _session(*requests: bytes, answers: Recorder | None = None) -> tuple[Recorder, list[SSHPacket]]:
    """Let a session live through these bytes and the end of the channel; return the replies."""
    recorder = answers or Recorder()

    async def live() -> bytes:
        ends = Ends(b"".join(requests))
        reader, writer = cast("Any", ends.reader), cast("Any", ends)
        await Wire(cast("Answers", recorder), reader, writer, max_open_files=4).run()
        assert ends.closed
        return ends.written

    stream = SSHPacket(asyncio.run(live()))
    replies = []
    while stream:
        replies.append(SSHPacket(stream.get_string()))
    assert recorder.calls[-1] == ("exit",)
    return recorder, replies


def _status(reply: SSHPacket) -> tuple[int, str]:
    assert reply.get_byte() == FXP_STATUS
    reply.get_uint32()
    return reply.get_uint32(), reply.get_string().decode()


# the proof of an end


def test_explicit_close_finishes_the_file() -> None:
    recorder, replies = _session(
        _packet(INIT), _open(1, "a"), _request(FXP_CLOSE, 2, String(HANDLE))
    )
    assert recorder.calls == [("finish", "a"), ("exit",)]
    assert _status(replies[2])[0] == asyncssh.FX_OK


def test_end_of_channel_with_files_open_finishes_none() -> None:
    recorder, _ = _session(_packet(INIT), _open(1, "a"), _open(2, "b"))
    assert recorder.calls == [("close", "a"), ("close", "b"), ("exit",)]


def test_packet_cut_off_finishes_nothing() -> None:
    cut = _request(FXP_CLOSE, 2, String(HANDLE))[:-1]
    recorder, _ = _session(_packet(INIT), _open(1, "a"), cut)
    assert recorder.calls == [("close", "a"), ("exit",)]


def test_file_whose_end_fails_does_not_keep_the_others_from_theirs() -> None:
    recorder = Recorder()
    recorder.trouble = OSError(5, SECRET)
    _session(_packet(INIT), _open(1, "a"), _open(2, "b"), answers=recorder)
    assert recorder.calls == [
        ("close", "a"),
        ("fail", "session"),
        ("close", "b"),
        ("fail", "session"),
        ("exit",),
    ]


def test_file_is_closed_once_and_no_other_handle_is_taken() -> None:
    close = _request(FXP_CLOSE, 2, String(HANDLE))
    recorder, replies = _session(_packet(INIT), _open(1, "a"), close, close)
    assert recorder.calls == [("finish", "a"), ("exit",)]
    assert _status(replies[3])[0] == asyncssh.FX_FAILURE


@pytest.mark.parametrize("sent", [b"", b"\0\0", _packet(INIT)[:-1]], ids=["none", "some", "most"])
def test_end_of_channel_before_its_first_packet_ends_that_session_alone(sent: bytes) -> None:
    recorder, replies = _session(sent)  # an exception here would end the whole connection
    assert (recorder.calls, replies) == ([("exit",)], [])


# padded writes


@pytest.mark.parametrize("tail", [b"", b"\0", b"old bytes" * 1000], ids=["none", "one", "many"])
def test_write_is_cut_to_the_length_it_declares(tail: bytes) -> None:
    recorder, replies = _session(_packet(INIT), _open(1, "a"), _write(2, b"chunk", tail))
    assert recorder.calls[0] == ("write", "a", 0, b"chunk")
    assert _status(replies[2])[0] == asyncssh.FX_OK


@pytest.mark.parametrize(
    "fields",
    [
        (String(HANDLE), UInt64(0), UInt32(6), b"chunk"),
        (String(HANDLE), UInt64(0), UInt32(0xFFFFFFFF), b"chunk"),
        (String(HANDLE), UInt64(0)),
        (UInt32(0xFFFFFFFF), b"chunk"),
        (),
    ],
    ids=["one-short", "far-short", "no-chunk", "long-handle", "nothing"],
)
def test_write_shorter_than_it_declares_is_refused(fields: tuple[bytes, ...]) -> None:
    recorder, replies = _session(_packet(INIT), _open(1, "a"), _request(FXP_WRITE, 2, *fields))
    assert _status(replies[2])[0] == asyncssh.FX_BAD_MESSAGE
    assert [call[0] for call in recorder.calls] == ["close", "exit"]


# what a client is told


@pytest.mark.parametrize(
    ("trouble", "code", "text"),
    [
        (RuntimeError(SECRET), asyncssh.FX_FAILURE, "neutral"),
        (FileNotFoundError(2, SECRET), asyncssh.FX_FAILURE, "neutral"),
        (NotImplementedError(SECRET), asyncssh.FX_FAILURE, "neutral"),
        (DeliveredStays(SECRET), asyncssh.FX_PERMISSION_DENIED, DeliveredStays.to_customer),
    ],
    ids=lambda each: type(each).__name__,
)
def test_text_of_an_exception_never_reaches_the_client(
    trouble: Exception, code: int, text: str
) -> None:
    recorder = Recorder()
    recorder.trouble = trouble
    asked = _request(FXP_STAT, 1, String("a"))
    _, replies = _session(_packet(INIT), asked, answers=recorder)
    assert _status(replies[1]) == (code, text)


def test_server_announces_neither_its_version_nor_what_it_refuses() -> None:
    _, (version,) = _session(_packet(INIT))
    payload = version.get_full_payload()
    assert b"limits@openssh.com" in payload
    for word in (b"vendor-id", b"AsyncSSH", b"copy-data", b"hardlink", b"statvfs", b"ranges"):
        assert word not in payload


@pytest.mark.parametrize(
    "asked",
    [
        _request(FXP_LINK, 1, String("a"), String("b"), Byte(0)),
        _request(FXP_EXTENDED, 1, String("copy-data"), String(HANDLE)),
        _request(FXP_EXTENDED, 1, String("hardlink@openssh.com"), String("a"), String("b")),
        _request(FXP_EXTENDED, 1, String("statvfs@openssh.com"), String("/")),
        _request(99, 1),
    ],
    ids=["link", "copy-data", "hardlink", "statvfs", "unknown"],
)
def test_request_that_is_not_on_the_list_is_unsupported(asked: bytes) -> None:
    recorder, replies = _session(_packet(INIT), asked)
    assert _status(replies[1])[0] == asyncssh.FX_OP_UNSUPPORTED
    assert recorder.calls == [("exit",)]


def test_folder_of_many_names_is_told_in_several_replies_and_then_ends() -> None:
    read = [_request(FXP_READDIR, 2, String(HANDLE)) for _ in range(4)]
    opened = _request(FXP_OPENDIR, 1, String("n"))
    _, replies = _session(_packet(INIT), opened, *read)
    counts = []
    for reply in replies[2:5]:
        reply.get_byte()
        reply.get_uint32()
        counts.append(reply.get_uint32())
    assert sum(counts) == 300
    assert _status(replies[5])[0] == asyncssh.FX_EOF


# what a new version could add


def test_every_method_of_the_stock_server_is_decided() -> None:
    undecided = {
        name
        for name, member in vars(asyncssh.SFTPServer).items()
        if inspect.isfunction(member) and not name.startswith("_") and name not in vars(Answers)
    }
    # These reckon with what they are given and touch nothing.
    assert undecided == {"convert_attrs", "format_group", "format_longname", "format_user"}


def test_rsa_key_narrowed_to_our_signatures_takes_no_sha_1() -> None:
    secret = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key = secret.convert_to_public()
    verify: Callable[[str], bool] = lambda algorithm: key.verify(  # noqa: E731
        b"message", secret.sign(b"message", algorithm.encode())
    )
    assert verify("ssh-rsa")  # so the narrowing is needed
    key.all_sig_algorithms = {each.encode() for each in SIGNATURES}
    assert not verify("ssh-rsa")
    assert verify("rsa-sha2-256")
    assert verify("rsa-sha2-512")
