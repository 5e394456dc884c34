"""The PROXY protocol, versions 1 and 2: whom a load balancer speaks for.

Owns the parsing of its header. Promises an answer for every byte string: a header, "more bytes
are needed", or a refusal; never more than MOST_BYTES are asked for. Never reads a socket.
Source: "The PROXY protocol", versions 1 & 2, as published with HAProxy 2.9, sections 2.1 and 2.2.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

MOST_V1_BYTES = 107
MOST_BYTES = 16 + 1024  # addresses and a load balancer's own fields; the protocol allows 64 KiB
V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2_HEADER_BYTES = 16

_V1 = b"PROXY "
_LOCAL, _PROXY = 0, 1
_VERSION_2 = 2
_TCP4, _TCP6 = 0x11, 0x21
_V1_FIELDS = 6
_PORT_END = 65536


@dataclass(frozen=True, slots=True)
class Header:
    """A header. size_bytes: how much of the stream it is.

    address: the client's; "" if the proxy speaks for itself (a health check) or does not say.
    """

    size_bytes: int
    address: str


@dataclass(frozen=True, slots=True)
class NotProxied:
    """What came is no header."""

    why: str


class _Refused(Exception):
    pass


def parse(head: bytes) -> Header | NotProxied | None:
    """Parse the beginning of a stream; None: more bytes are needed."""
    try:
        if head.startswith(V2_SIGNATURE):
            return _parse_v2(head)
        if head.startswith(_V1):
            return _parse_v1(head)
    except _Refused as refused:
        return NotProxied(str(refused))
    if V2_SIGNATURE.startswith(head) or _V1.startswith(head):
        return None
    return NotProxied("no PROXY header")


def _parse_v1(head: bytes) -> Header | None:
    end = head.find(b"\r\n", 0, MOST_V1_BYTES)
    if end < 0:
        _refuse_if(len(head) >= MOST_V1_BYTES, "the line is too long")
        return None
    fields = head[:end].decode("latin-1").split(" ")
    if fields[1] == "UNKNOWN":
        return Header(end + 2, "")
    is_known = len(fields) == _V1_FIELDS and fields[1] in {"TCP4", "TCP6"}
    _refuse_if(not is_known, "a line of another form")
    _refuse_if(not all(_is_port(field) for field in fields[4:]), "a port is none")
    try:
        addresses = [ipaddress.ip_address(field) for field in fields[2:4]]
    except ValueError as problem:
        raise _Refused("an address is none") from problem
    is_family = all(f"TCP{address.version}" == fields[1] for address in addresses)
    _refuse_if(not is_family, "an address of another family")
    return Header(end + 2, str(addresses[0]))


def _parse_v2(head: bytes) -> Header | None:
    if len(head) < V2_HEADER_BYTES:
        return None
    version_command, family, length = struct.unpack_from("!BBH", head, len(V2_SIGNATURE))
    size_bytes = V2_HEADER_BYTES + length
    version, command = divmod(version_command, 16)
    is_known = version == _VERSION_2 and command in {_LOCAL, _PROXY}
    _refuse_if(not is_known, "an unknown version or command")
    _refuse_if(size_bytes > MOST_BYTES, "the header is too long")
    if len(head) < size_bytes:
        return None
    width = {_TCP4: 4, _TCP6: 16}.get(family)
    if command == _LOCAL or width is None:
        return Header(size_bytes, "")
    _refuse_if(length < 2 * width + 4, "the addresses are cut off")
    source = head[V2_HEADER_BYTES : V2_HEADER_BYTES + width]
    return Header(size_bytes, str(ipaddress.ip_address(source)))


def _refuse_if(is_wrong: bool, why: str) -> None:  # noqa: FBT001  reads as a sentence
    if is_wrong:
        raise _Refused(why)


def _is_port(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len("65535")
    return is_number and int(text) < _PORT_END
