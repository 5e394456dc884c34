"""What the SFTP doors offer: sound algorithms, and old ones behind a door of their own."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from tests.daemon import make_home
from tests.doors.conftest import CLIENT_WITHIN_S, HOST, MAIN_TOML, Door
from tests.doors.request_tables import MANUAL
from tests.doors.sftp_packets import text
from tilldrop.delivery import State
from tilldrop.doors.sftp import Sftp
from tilldrop.doors.sftp_algorithms import (
    LEGACY,
    MODERN,
    OLD_CIPHERS,
    OLD_KEY_EXCHANGES,
    OLD_MACS,
    OLD_SIGNATURES,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.doors.ftp_door import Said

OLD = (
    "KexAlgorithms=diffie-hellman-group14-sha1",
    "HostKeyAlgorithms=ssh-rsa",
    "PubkeyAcceptedAlgorithms=ssh-rsa",
    "Ciphers=aes128-cbc",
    "MACs=hmac-sha1",
)


def audit(port: int) -> dict[str, Any]:
    """Return what ssh-audit finds."""
    words = [sys.executable, "-W", "ignore", "-m", "ssh_audit.ssh_audit", "-j"]
    ended = subprocess.run(
        [*words, "--skip-rate-test", "-p", str(port), HOST],
        capture_output=True,
        text=True,
        timeout=CLIENT_WITHIN_S,
        check=False,  # it ends with 2 or 3 where there are warnings
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def explained() -> set[tuple[str, str]]:
    """Return the warnings that the manual explains."""
    section = MANUAL.read_text().split("## What ssh-audit says", 1)[1].split("\n## ", 1)[0]
    lines = [line.split("`") for line in section.splitlines() if line.startswith("| `")]
    return {(cells[1], cells[3]) for cells in lines}


def test_ssh_audit_fails_nothing_and_warns_of_what_is_explained(door: Door) -> None:
    door.config = replace(door.config, sftp=replace(door.config.sftp, max_connections=100))
    found = audit(door.port)
    said = {
        (kind, one["algorithm"], text)
        for group in ("kex", "key", "enc", "mac")
        for one in found[group]
        for kind in ("fail", "warn")
        for text in one.get("notes", {}).get(kind, [])
    }
    assert not [one for one in said if one[0] == "fail"]
    assert {(name, text) for _, name, text in said} == explained()


def test_ecdsa_host_key_that_was_taken_over_is_offered(tmp_path: Path, host_keys: Path) -> None:
    keys = tmp_path / "keys"
    shutil.copytree(host_keys, keys)
    ecdsa = keys / "ssh_host_ecdsa_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", ecdsa], check=True)
    door = Door(make_home(tmp_path / "home", keys, MAIN_TOML))
    try:
        ended = door.run(
            "sftp",
            "-oHostKeyAlgorithms=ecdsa-sha2-nistp256",
            *door.ssh_options(None),
            f"acme@{HOST}",
            typed="",
        )
        assert "Host key verification failed" not in ended.stderr
        assert "no matching host key" not in ended.stderr
    finally:
        door.close()


# -- what is put in between client and server: Terrapin, CVE-2023-48795

KEXINIT, IGNORE, ECDH_INIT, ECDH_REPLY = 20, 2, 30, 31
POINT = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()


def ssh_packet(payload: bytes) -> bytes:
    """Frame what is sent before keys are agreed upon (RFC 4253, 6)."""
    padding = 8 - (5 + len(payload)) % 8 + 8
    return struct.pack("!IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)


def kexinit(*, is_strict: bool) -> bytes:
    """Offer what the attack needs, with or without the mark of a client that is mended."""
    kex = b"curve25519-sha256" + b",kex-strict-c-v00@openssh.com" * is_strict
    ciphers, macs = [b"chacha20-poly1305@openssh.com"] * 2, [b"hmac-sha2-256"] * 2
    lists = [kex, b"ssh-ed25519", *ciphers, *macs, b"none", b"none", b"", b""]
    return bytes([KEXINIT]) + bytes(16) + b"".join(text(one) for one in lists) + bytes(5)


def kinds_answered(port: int, *packets: bytes) -> list[int]:
    """Send packets in the clear; return what came until the key exchange was answered or ended."""
    with socket.create_connection((HOST, port), CLIENT_WITHIN_S) as sock:
        sock.sendall(b"SSH-2.0-x\r\n" + b"".join(map(ssh_packet, packets)))
        stream = sock.makefile("rb")
        stream.readline()
        found: list[int] = []
        while ECDH_REPLY not in found and (head := stream.read(4)):
            found.append(stream.read(int.from_bytes(head, "big"))[1])
    return found


def test_what_is_injected_into_a_strict_key_exchange_ends_it(door: Door) -> None:
    injected = bytes([IGNORE]) + text(b"")
    exchange = bytes([ECDH_INIT]) + text(POINT)
    for is_strict, between in ((True, []), (True, [injected]), (False, []), (False, [injected])):
        found = kinds_answered(door.port, kexinit(is_strict=is_strict), *between, exchange)
        assert found[0] == KEXINIT
        assert (ECDH_REPLY in found) == (not (is_strict and between)), (is_strict, between, found)


# -- old tills


@contextmanager
def legacy(door: Door) -> Iterator[int]:
    """Open a door for old tills beside the usual one; return its port."""
    shared = (door.intake, door.customers, lambda: door.config, door._checks, door.guard)

    async def made() -> tuple[Sftp, int]:
        old = Sftp(door.config.sftp, *shared, LEGACY)
        return old, await old.start()

    opened, port = door.do(made())
    yield port
    door.do(opened.stop())


def put(door: Door, local: Path, key: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Upload a file with OpenSSH's sftp as a till that knows those algorithms alone."""
    batch = door.home / "batch"
    batch.write_text(f"put {local} sales.csv\n")
    words = [f"-o{one}" for one in options]
    return door.run("sftp", *words, *door.ssh_options(key), "-b", str(batch), f"acme@{HOST}")


# What broke in practice, and what no till is so old as to need.
NEVER = ("arcfour", "blowfish", "cast128", "none", "md5", "group1-", "dss", "96", "nistp")


def offered(found: dict[str, Any]) -> dict[str, set[str]]:
    """Return the algorithms that ssh-audit was offered, by sort, but for marks that are none."""
    return {
        group: {one["algorithm"] for one in found[group] if not one["algorithm"].startswith("kex-")}
        for group in ("kex", "key", "enc", "mac")
    }


def test_ssh_audit_finds_at_the_legacy_door_what_old_tills_need_and_nothing_older(
    door: Door,
) -> None:
    door.config = replace(door.config, sftp=replace(door.config.sftp, max_connections=100))
    with legacy(door) as port:
        found = audit(port)
    there, usual = offered(found), offered(audit(door.port))
    added = {group: there[group] - usual[group] for group in there}
    assert added == {
        "kex": set(OLD_KEY_EXCHANGES),
        "key": set(OLD_SIGNATURES),
        "enc": set(OLD_CIPHERS),
        "mac": set(OLD_MACS),
    }
    assert all(usual[group] <= there[group] for group in there)
    assert there["enc"] == {*MODERN.ciphers, *OLD_CIPHERS}
    every = [name for names in there.values() for name in names]
    assert [name for name in every if any(bad in name for bad in NEVER)] == []
    failed = {
        one["algorithm"]
        for group in there
        for one in found[group]
        if one.get("notes", {}).get("fail")
    }
    assert failed <= {name for names in added.values() for name in names}


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")  # from cryptography 50 on
def test_old_till_gets_in_by_the_legacy_door_and_is_named(
    door: Door, key: Path, local: Path, said: Said
) -> None:
    with legacy(door) as port:
        usual, door.port = door.port, port
        ended = put(door, local, key, *OLD[:2], *OLD[3:])
        door.port = usual
    assert ended.returncode == 0, ended.stderr
    assert door.only().state is State.ARRIVED
    [warning] = said("login.was_legacy")
    assert warning["level"] == "warning"
    assert (warning["customer"], warning["peer"]) == ("acme", HOST)
    assert "OpenSSH" in warning["client"]


@pytest.mark.parametrize("option", [OLD[0], OLD[1], OLD[3], OLD[4]])
def test_none_of_its_algorithms_is_had_at_the_usual_door(
    door: Door, key: Path, local: Path, option: str
) -> None:
    offer = [option, "Ciphers=aes128-ctr"] if option.startswith("MACs") else [option]
    ended = put(door, local, key, *offer)
    assert ended.returncode
    assert "no matching" in ended.stderr
    assert door.deliveries() == []
