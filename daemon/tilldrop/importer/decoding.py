"""Bytes to clean text: UTF-8, LF line ends, no byte-order mark, no NUL.

Promises one streaming pass in any encoding that Python decodes incrementally, and that text
which is clean already is passed on as it is and marked as the same. Never guesses an encoding:
only the byte order of UTF-16 and UTF-32, where there is no mark.

CR LF, CR and LF all end a line, and NEL in EBCDIC. A Ctrl-Z that ends the file, as DOS wrote it,
is dropped.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tilldrop.importer.parts import Unreadable
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.importer.parts import Part

CONTROL_SHARE = 0.05  # of the first chunk; text has none but breaks, tabulators and escapes
ZERO_SHARE = 0.2  # of the first bytes; in UTF-16 nearly every second one is zero
LOOK_BYTES = 4096

_TEXT_CONTROLS = b"\t\n\v\f\r\x1a\x1b"
_NO_CONTROLS = bytes(byte for byte in range(256) if byte >= ord(" ") or byte in _TEXT_CONTROLS)
_DOS_END = b"\x1a"
_NOT_TEXT = (
    (b"PK\x03\x04", "it is a ZIP archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel or Word document"),
    (b"\x1f\x8b", "it is packed with gzip"),
    (b"%PDF", "it is a PDF document"),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd; .gz and .zip are understood"),
    (b"7z\xbc\xaf\x27\x1c", "it is packed with 7-Zip; .gz and .zip are understood"),
    (b"Rar!\x1a\x07", "it is packed with RAR; .gz and .zip are understood"),
    (b"BZh", "it is packed with bzip2; .gz and .zip are understood"),
    (b"\xfd7zXZ", "it is packed with xz; .gz and .zip are understood"),
    (b"SQLite format 3", "it is a database"),
    (b"PAR1", "it is a Parquet file"),
    (b"{\\rtf", "it is a word processor's document"),
    (b"-----BEGIN PGP", "it is encrypted with PGP"),
)
_MARKUP = (b"<!doctype html", b"<html", b"<table", b"<?xml", b"<head", b"<meta")
_WITH_ESCAPES = ("iso2022", "hz", "utf-7")
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def clean_text(part: Part, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """Yield a part's text, and of each piece whether it is the same bytes as in the part.

    Raises Unreadable: not-text, encoding-wrong, nul-bytes.
    """
    return _without_dos_end(_with_line_feeds(_decoded(part, encoding)))


@dataclass(frozen=True, slots=True)
class _Traits:
    """What an encoding is like.

    has_ascii: ASCII characters are single bytes of their own value, as long as no escape says
    otherwise. keeps_ascii: there are no escapes either, so ASCII bytes need no decoding.
    """

    name: str
    has_ascii: bool
    keeps_ascii: bool
    is_wide: bool


@cache
def _traits(encoding: str) -> _Traits:
    name = codecs.lookup(encoding).name
    ascii_text = bytes(byte for byte in range(128) if byte)
    return _Traits(
        name,
        has_ascii=b'a,1"\n'.decode(name, "replace") == 'a,1"\n',
        keeps_ascii=not name.startswith(_WITH_ESCAPES)
        and ascii_text.decode(name, "replace") == ascii_text.decode("ascii"),
        is_wide=name.startswith(("utf-16", "utf-32")),
    )


def _decoded(part: Part, encoding: str) -> Iterator[tuple[bytes, bool]]:
    """Yield UTF-8."""
    traits = _traits(encoding)
    chunk = part.read()
    _refuse_what_is_no_text(chunk, encoding, traits)
    codec = _in_order(traits.name, chunk)
    decoder = codecs.getincrementaldecoder(codec)()
    is_first = True
    while True:
        if traits.has_ascii:
            _refuse_nul(part, chunk, codec)
        if traits.keeps_ascii and chunk and chunk.isascii() and not decoder.getstate()[0]:
            text, same = chunk, True
        else:
            text, same = _decode(part, chunk, decoder, encoding, codec), codec == "utf-8"
        if is_first and text.startswith(codecs.BOM_UTF8):
            text, same = text[len(codecs.BOM_UTF8) :], False
        yield text, same
        if not chunk:
            return
        is_first = is_first and not text
        chunk = part.read()


def _in_order(codec: str, chunk: bytes) -> str:
    """Settle the byte order where neither the encoding's name nor a mark says it."""
    if codec not in {"utf-16", "utf-32"}:
        return codec
    if chunk.startswith(_UTF16_MARKS if codec == "utf-16" else _UTF32_MARKS):
        return codec
    width = 2 if codec == "utf-16" else 4
    look = chunk[:LOOK_BYTES]
    is_big = look[::width].count(0) > look[width - 1 :: width].count(0)
    return f"{codec}-{'be' if is_big else 'le'}"


def _decode(
    part: Part, chunk: bytes, decoder: codecs.IncrementalDecoder, encoding: str, codec: str
) -> bytes:
    held, _ = decoder.getstate()
    try:
        text = decoder.decode(chunk, final=not chunk)
    except UnicodeDecodeError as error:
        offset = part.size_bytes - len(chunk) - len(held) + error.start
        line = line_at(part, offset, codec)
        if not chunk:
            seen = "it ends within a character"
        else:
            seen = f"byte {error.object[error.start]:02X} in line {line}"
        raise Unreadable(Fault("encoding-wrong", line, encoding, seen)) from error
    except UnicodeError as error:
        raise Unreadable(Fault("encoding-wrong", field=encoding, seen="it is broken")) from error
    traits = _traits(encoding)
    if not traits.has_ascii:
        if "\0" in text:
            raise Unreadable(Fault("nul-bytes"))
        if not traits.is_wide:
            text = text.replace("\x85", "\n")
    return text.encode("utf-8", "replace")


def line_at(part: Part, offset: int, encoding: str) -> int:
    """Return the line in which a byte of a part stands; only asked when it is bad."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    feeds = returns = 0
    for chunk in part.again():
        text = decoder.decode(chunk[:offset])
        feeds += text.count("\n")
        returns += text.count("\r")
        offset -= len(chunk)
        if offset <= 0:
            break
    return 1 + max(feeds, returns)


def _refuse_nul(part: Part, chunk: bytes, encoding: str) -> None:
    if b"\0" in chunk:
        offset = part.size_bytes - len(chunk) + chunk.index(b"\0")
        raise Unreadable(Fault("nul-bytes", line_at(part, offset, encoding)))


def _refuse_what_is_no_text(chunk: bytes, encoding: str, traits: _Traits) -> None:
    for start, what in _NOT_TEXT:
        if chunk.startswith(start):
            raise Unreadable(Fault("not-text", seen=what))
    if not traits.has_ascii:
        return
    look = chunk[:LOOK_BYTES]
    if look.lstrip(codecs.BOM_UTF8 + b" \r\n\t").lower().startswith(_MARKUP):
        seen = "it is a web page or XML, whatever its name says; .csv and .xlsx are understood"
        raise Unreadable(Fault("not-text", seen=seen))
    for marks, what in ((_UTF32_MARKS, "UTF-32"), (_UTF16_MARKS, "UTF-16")):
        if look.startswith(marks) and not (marks is _UTF32_MARKS and len(look) == len(marks[0])):
            raise Unreadable(
                Fault("encoding-wrong", field=encoding, seen=f"it is written in {what}")
            )
    if _looks_like_utf16(look):
        raise Unreadable(
            Fault("encoding-wrong", field=encoding, seen="it looks like UTF-16 without a mark")
        )
    controls = len(chunk.translate(None, _NO_CONTROLS))
    if controls > CONTROL_SHARE * len(chunk) and b"\0" not in chunk:
        raise Unreadable(Fault("not-text", seen="it is full of control characters"))


def _looks_like_utf16(look: bytes) -> bool:
    even, odd = look[::2].count(0), look[1::2].count(0)
    return max(even, odd) > ZERO_SHARE * len(look) and not min(even, odd)


def _with_line_feeds(texts: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
    """Turn CR LF and CR into LF."""
    held = b""
    for text, same in texts:
        if not held and b"\r" not in text:
            yield text, same
            continue
        whole = held + text
        held = b"\r" if whole.endswith(b"\r") else b""
        whole = whole[: len(whole) - len(held)]
        if whole.count(b"\r") == whole.count(b"\r\n"):
            yield whole.translate(None, b"\r"), False
        else:
            yield whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), False
    if held:
        yield b"\n", False


def _without_dos_end(texts: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
    """Drop Ctrl-Z from the end of the text."""
    held, held_same = b"", True
    for text, same in texts:
        if not text:
            continue
        whole, whole_same = (held + text, held_same and same) if held else (text, same)
        held, held_same = b"", True
        if whole[-1:] == _DOS_END or whole[-2:] == _DOS_END + b"\n":
            body = whole.rstrip(_DOS_END + b"\n")
            cut = whole.index(_DOS_END, len(body))
            whole, held, held_same = whole[:cut], whole[cut:], whole_same
        yield whole, whole_same
    if held:
        yield b"", False
