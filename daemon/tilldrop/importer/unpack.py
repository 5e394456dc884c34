"""What a delivery's bytes are packed in: gzip, ZIP, tar, a workbook, or nothing.

Owns the containers. They are known by their first bytes, whatever their name. Promises that a
member's name never becomes a path, and that all that is written is one file of our own naming in
the run's folder, for a packed tar or workbook. Never unpacks an archive within an archive, nor
an encrypted one.

The members of an archive are read in the order of their names. What systems put in unasked
(`__MACOSX/`, names that begin with a dot, `Thumbs.db`) is left out.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from tilldrop.importer.parts import (
    BROKEN,
    CHUNK_BYTES,
    Budget,
    Hashed,
    Limits,
    Part,
    Stream,
    Unreadable,
    damaged,
    refused,
)
from tilldrop.importer.values import shorten
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import ExitStack
    from pathlib import Path

_Found = TypeVar("_Found")

PEEK_BYTES = 1024
MOST_MEMBERS = 10_000
DIRECTORY_BYTES = 16 * 1024**2  # a ZIP's list of members is read at once
NAMES_SHOWN = 5

_GZIP = b"\x1f\x8b"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TAR_AT, _TAR = 257, b"ustar"
_ARCHIVES = (_GZIP, *_ZIP, b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")

_WORKBOOKS = {"xl/workbook.xml", "xl/workbook.bin"}
_DOCUMENTS = {"word/document.xml": "a Word document", "ppt/presentation.xml": "a presentation"}
_OPEN_SHEET = b"application/vnd.oasis.opendocument.spreadsheet"
_ENCRYPTED = 0x1
_HEADERS_A_MEMBER = 4  # of a tar: names that are too long, times, folders
_TOO_MANY = f"it has more than {MOST_MEMBERS} members"
_CUT_SHORT = "it ends too early, so it may be cut short"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others cannot be unpacked bit by bit
_END, _END_BYTES, _COMMENT_BYTES = b"PK\x05\x06", 22, 2**16
_END_64, _END_64_BYTES, _LOCATOR_BYTES = b"PK\x06\x06", 56, 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where a delivery is unpacked.

    folder: private to the run. member: pattern of the members wanted, "" for all. stack: closes
    what is opened.
    """

    path: Path
    folder: Path
    member: str
    limits: Limits
    chunk_bytes: int
    stack: ExitStack

    def budget(self) -> Budget:
        """Return a fresh budget."""
        return Budget(self.limits, self.path.stat().st_size)


@dataclass(frozen=True, slots=True)
class Opened:
    """What is in a delivery: text files in the order in which they are read, or a workbook.

    is_packed: the texts are not the delivery's own bytes.
    """

    parts: tuple[Part, ...] = ()
    workbook: Path | None = None
    is_packed: bool = True


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    opening: Callable[[], Stream]


def unpack(place: Place, hashed: Hashed, start: bytes) -> Opened:
    """Find out what a delivery is. start: its first PEEK_BYTES; hashed: not yet read.

    Raises Unreadable: unpack-failed, unpacked-too-large, member-missing, not-text.
    """
    if start.startswith(_GZIP):
        return _gunzip(place, hashed)
    if start.startswith(_ZIP):
        hashed.drain()
        return _unzip(place)
    if start.startswith(_OLE):
        hashed.drain()
        return Opened(workbook=place.path)
    if _is_tar(start):
        hashed.drain()
        return _untar(place, place.path)
    part = Part(_opening(place, place.path), place.chunk_bytes, stream=hashed)
    return Opened((part,), is_packed=False)


def _opening(place: Place, path: Path) -> Callable[[], BinaryIO]:
    return lambda: place.stack.enter_context(path.open("rb"))


def _is_tar(start: bytes) -> bool:
    return start.startswith(_TAR, _TAR_AT)


def _spool(part: Part, folder: Path) -> Path:
    """Write a part to a file, for what cannot be read in one go."""
    path = folder / "member"
    with path.open("wb") as file:
        while chunk := part.read():
            file.write(chunk)
    return path


# gzip


class _Gunzip:
    """Bytes out of a gzip stream, of several joined ones too, never more than asked for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(wbits=31)
        self._packed = b""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes. Raises Unreadable, zlib.error."""
        while True:
            if not self._packed:
                self._packed = self._stream.read(CHUNK_BYTES)
            if self._inflate.eof and not self._begin_next():
                return b""
            if not self._packed:
                # What is left may be waiting within.
                text = self._inflate.decompress(b"", size)
                if not text and not self._inflate.eof:
                    raise refused(_CUT_SHORT)
            else:
                text = self._inflate.decompress(self._packed, size)
                self._packed = self._inflate.unconsumed_tail or self._inflate.unused_data
            if text:
                return text

    def _begin_next(self) -> bool:
        """Go on with what stands behind the end of a stream; zeros may fill up a tape's block."""
        while self._packed and not self._packed.strip(b"\0"):
            self._packed = self._stream.read(CHUNK_BYTES)
        self._packed = self._packed.lstrip(b"\0")
        if not self._packed:
            return False
        if not self._packed.startswith(_GZIP[: len(self._packed)]):
            raise refused("something follows behind its end")
        self._inflate = zlib.decompressobj(wbits=31)
        return True


def _gunzip(place: Place, hashed: Hashed) -> Opened:
    opening = _opening(place, place.path)
    part = Part(
        lambda: _Gunzip(opening()),
        place.chunk_bytes,
        stream=_Gunzip(hashed),
        budget=place.budget(),
    )
    start = part.peek(PEEK_BYTES)
    if not _is_tar(start):
        return _texts_or_workbook(place, (part,))
    path = _spool(part, place.folder)
    hashed.drain()
    return _untar(place, path)


# ZIP


def _unzip(place: Place) -> Opened:
    file = place.stack.enter_context(place.path.open("rb"))
    archive = _zip(place, file)
    names = {info.filename for info in archive.infolist()}
    if _is_workbook(archive, names):
        # The library unpacks it whole.
        place.budget().spend(sum(info.file_size for info in archive.infolist()))
        return Opened(workbook=place.path)
    for name, what in _DOCUMENTS.items():
        if name in names:
            raise Unreadable(Fault("not-text", seen=f"it is {what}"))
    infos = _chosen(
        {i.filename: i for i in archive.infolist() if not i.filename.endswith("/")}, place.member
    )
    for info in infos.values():
        if info.flag_bits & _ENCRYPTED:
            raise refused("it is encrypted with a password; send it without one")
        if info.compress_type not in _METHODS:
            raise refused("it is packed in an unusual way; only stored and deflated are understood")
    members = [_Member(name, _zip_opening(archive, info)) for name, info in infos.items()]
    return _texts_or_workbook(place, _parts(place, members))


def _zip_opening(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], Stream]:
    return lambda: archive.open(info)


def _zip(place: Place, file: BinaryIO) -> zipfile.ZipFile:
    """Read the list of members, if it is not too long to be read at once."""
    if _directory_bytes(file) > DIRECTORY_BYTES:
        raise refused("its list of members is too long")
    try:
        archive = place.stack.enter_context(zipfile.ZipFile(file))
    except (OSError, *BROKEN) as error:
        raise damaged(error) from error
    if len(archive.infolist()) > MOST_MEMBERS:
        raise refused(_TOO_MANY)
    return archive


def _directory_bytes(file: BinaryIO) -> int:
    """Return how long a ZIP says that its list of members is. Source: APPNOTE.TXT 4.3.14, 16."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _COMMENT_BYTES - _LOCATOR_BYTES - _END_64_BYTES))
    tail = file.read()
    at = tail.rfind(_END)
    at_64 = tail.rfind(_END_64)
    found = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if at_64 >= 0:
        found = max(found % 0xFFFF_FFFF, int.from_bytes(tail[at_64 + 40 : at_64 + 48], "little"))
    return found


def _is_workbook(archive: zipfile.ZipFile, names: set[str]) -> bool:
    if names & _WORKBOOKS:
        return True
    if not {"mimetype", "content.xml"} <= names:
        return False
    try:
        with archive.open("mimetype") as file:
            return file.read(len(_OPEN_SHEET)) == _OPEN_SHEET
    except (OSError, *BROKEN) as error:
        raise damaged(error) from error


# tar


def _untar(place: Place, path: Path) -> Opened:
    found = {}
    with path.open("rb") as file:
        for info in _tar_members(file):
            found[info.name] = (info.offset_data, info.size)
            if len(found) > MOST_MEMBERS:
                raise refused(_TOO_MANY)
    opening = _opening(place, path)
    members = [
        _Member(name, _Slice.opening(opening, at, size))
        for name, (at, size) in _chosen(found, place.member).items()
    ]
    return _texts_or_workbook(place, _parts(place, members))


def _tar_members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the files of a tar by its plain headers: tarfile itself reads extended ones whole."""
    at = 0
    end = file.seek(0, 2)
    for _ in range(_HEADERS_A_MEMBER * MOST_MEMBERS):
        file.seek(at)
        header = file.read(tarfile.BLOCKSIZE)
        if header == bytes(tarfile.BLOCKSIZE):
            return
        if len(header) < tarfile.BLOCKSIZE:
            raise refused(_CUT_SHORT)
        try:
            info = tarfile.TarInfo.frombuf(header, "utf-8", "replace")
        except (tarfile.HeaderError, ValueError) as error:
            raise damaged(error) from error
        info.offset_data = at + tarfile.BLOCKSIZE
        at = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if info.size < 0 or info.offset_data + info.size > end:
            raise refused(_CUT_SHORT)
        if info.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
            yield info
    raise refused(_TOO_MANY)


class _Slice:
    """Some bytes of a file."""

    def __init__(self, file: BinaryIO, at: int, size: int) -> None:
        self._file = file
        self._file.seek(at)
        self._left = size

    @classmethod
    def opening(cls, opening: Callable[[], BinaryIO], at: int, size: int) -> Callable[[], Stream]:
        """Return what begins to read them."""
        return lambda: cls(opening(), at, size)

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        chunk = self._file.read(min(size, self._left))
        self._left -= len(chunk)
        return chunk


# Members


def _chosen(found: dict[str, _Found], member: str) -> dict[str, _Found]:
    """Return the members that are wanted, by name."""
    wanted = {name: one for name, one in found.items() if _is_wanted(name, member)}
    if not wanted and not found:
        raise refused("it is empty")
    if not wanted:
        raise Unreadable(Fault("member-missing", field=member or "*", seen=_listed(found)))
    return dict(sorted(wanted.items(), key=lambda item: (item[0].casefold(), item[0])))


def _is_wanted(name: str, member: str) -> bool:
    folders = name.replace("\\", "/").split("/")
    last = folders[-1].casefold()
    if any(one == "__MACOSX" or (one.startswith(".") and one.strip(".")) for one in folders):
        return False
    if last in {"thumbs.db", "desktop.ini"}:
        return False
    pattern = member.casefold()
    return not member or fnmatchcase(last, pattern) or fnmatchcase(name.casefold(), pattern)


def _listed(names: Iterable[str]) -> str:
    all_names = sorted(names)
    shown = [shorten(name) for name in all_names[:NAMES_SHOWN]]
    return ", ".join(shown) + (", ..." if len(all_names) > NAMES_SHOWN else "")


def _parts(place: Place, members: list[_Member]) -> tuple[Part, ...]:
    budget = place.budget()
    return tuple(
        Part(member.opening, place.chunk_bytes, name=member.name, budget=budget)
        for member in members
    )


def _texts_or_workbook(place: Place, parts: tuple[Part, ...]) -> Opened:
    """Refuse archives within an archive; take a workbook out, if it is alone."""
    if len(parts) > 1:
        return Opened(parts)
    start = parts[0].peek(PEEK_BYTES)
    if start.startswith(_OLE):
        return Opened(workbook=_spool(parts[0], place.folder))
    if start.startswith(_ZIP):
        path = _spool(parts[0], place.folder)
        inner = _unzip(Place(path, place.folder, "", place.limits, place.chunk_bytes, place.stack))
        if inner.workbook:
            return inner
    if start.startswith(_ARCHIVES) or _is_tar(start):
        raise refused("there is an archive within the archive")
    return Opened(parts)
