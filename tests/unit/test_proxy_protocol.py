"""The PROXY header, versions 1 and 2: real ones, cut ones, wrong ones, random ones."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.proxy_protocol import (
    MOST_BYTES,
    MOST_V1_BYTES,
    V2_SIGNATURE,
    Header,
    NotProxied,
    parse,
)


def version_2(
    source: str, more: bytes = b"", *, command: int = 1, family: int | None = None
) -> bytes:
    address = ip_address(source)
    kind = family if family is not None else (0x11 if address.version == 4 else 0x21)
    body = 2 * address.packed + struct.pack("!HH", 50000, 22) + more
    return V2_SIGNATURE + struct.pack("!BBH", 0x20 | command, kind, len(body)) + body


GOOD = {
    "v1 ipv4": (b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 22\r\n", "192.0.2.7"),
    "v1 ipv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 22\r\n", "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", ""),
    "v1 unknown with addresses": (b"PROXY UNKNOWN 1 2 3 4\r\n", ""),
    "v2 ipv4": (version_2("192.0.2.7"), "192.0.2.7"),
    "v2 ipv6": (version_2("2001:db8::7"), "2001:db8::7"),
    "v2 with fields of its own": (version_2("192.0.2.7", b"\x04\x00\x01x"), "192.0.2.7"),
    "v2 local": (version_2("192.0.2.7", command=0), ""),
    "v2 unix socket": (version_2("192.0.2.7", family=0x31), ""),
}


@pytest.mark.parametrize(("raw", "address"), GOOD.values(), ids=GOOD)
def test_header_is_read_and_what_follows_is_left(raw: bytes, address: str) -> None:
    assert parse(raw + b"SSH-2.0-x\r\n") == Header(len(raw), address)


@pytest.mark.parametrize(("raw", "_address"), GOOD.values(), ids=GOOD)
def test_cut_header_asks_for_more(raw: bytes, _address: str) -> None:
    assert [parse(raw[:end]) for end in range(len(raw))] == [None] * len(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 50000\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 50000 22 1\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 50000 22\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 50000 22\r\n",
        b"PROXY TCP4 192.0.2.777 10.0.0.1 50000 22\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 99999 22\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 22\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 1 22\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * MOST_V1_BYTES,
        V2_SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x2f\x11\x00\x0c" + bytes(12),
        V2_SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
        V2_SIGNATURE + b"\x21\x11\xff\xff",
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_what_is_no_header_is_refused(raw: bytes) -> None:
    assert isinstance(parse(raw), NotProxied)


@given(
    st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda end: V2_SIGNATURE + end))
)
def test_any_bytes_get_an_answer_and_never_ask_for_too_much(raw: bytes) -> None:
    found = parse(raw)
    if isinstance(found, Header):
        assert 0 < found.size_bytes <= len(raw)
    elif found is None:
        assert len(raw) < MOST_BYTES


@given(st.text(alphabet="PROXYTCUNK46 .:0123456789abcdef\r\n", max_size=120))
def test_any_line_gets_an_answer(text: str) -> None:
    parse(b"PROXY " + text.encode())
