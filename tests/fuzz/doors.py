"""Fuzz both doors of a real daemon: `python -m tests.fuzz.doors SECONDS [SEED]`.

Owns what is sent: mutated SFTP packets after a login, raw bytes before one, FTP command lines,
connections left half-open, headers of the PROXY protocol; what depends on answers stands in
`door_scenes`. Promises that a seed repeats a run, and that it fails if the daemon logs a bug, ends,
answers a healthy client no more, stores a file anywhere but in its spool, or keeps sessions,
descriptors or memory. Never sends what would be a valid upload of its own.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from tests.daemon import MAIN_TOML, PASSWORD, Daemon, make_home, sales, wait_for
from tests.doors.odd_names import ODD_NAMES
from tests.doors.request_tables import rows
from tests.doors.sftp_packets import logged_in, packets, text
from tests.fuzz import door_scenes
from tests.fuzz.target import bend
from tilldrop import hostkeys, proxy_protocol
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = "127.0.0.1"
PROXY = "127.0.0.9"  # a source that is a listed proxy
WITHIN_S = 20
ANSWER_WITHIN_S = 0.2  # rubbish often has no answer
PACKETS_A_SESSION = 200
LINES_A_SESSION = 200
HALF_OPEN_MOST = 50
KEPT_DESCRIPTORS = 24  # readers of the ledger, one a thread; the worker's pipes
GROWN_MOST_MB = 60  # what the allocator keeps: 42 MB after a minute, and after four no more
GIVEN_BACK_S = 60
ODD = [name[:300] for name in ODD_NAMES]
BUGS = ("request.failed", "door.troubled", "bug.met")
TOML = f"""
[ftp]
enabled = true
listen = "{HOST}"
port = 0

[guard]
allow = ["{HOST}"]
proxies = ["{PROXY}"]
max_waiting_per_source = 1000
max_waiting = 1000
"""


@dataclass(frozen=True)
class Used:
    """What the daemon's process holds."""

    descriptors: int
    memory_mb: int
    sessions: int


# -- what is sent


def sftp_after_login(rng: random.Random, daemon: Daemon) -> int:
    """Send a session's worth of packets, some of them valid, and read what comes."""
    sent = 0
    with logged_in(daemon.port) as transport, packets(transport) as session:
        session.begin(rng.choice([3, 3, 3, 0, 6, 2**32 - 1]))
        session.channel.settimeout(ANSWER_WITHIN_S)
        for _ in range(PACKETS_A_SESSION):
            payload = _packet(rng)
            with suppress(OSError):
                session.channel.sendall(
                    payload if rng.random() < 0.005 else text(payload)  # now and then unframed
                )
            sent += 1
            if session.channel.closed:
                break
            while session.channel.recv_ready():
                session.channel.recv(1 << 16)
    return sent


def _packet(rng: random.Random) -> bytes:
    kind = rng.choice([*range(3, 24), 200, 200, rng.randrange(256)])
    name = rng.choice(ODD_NAMES) if rng.random() < 0.5 else b"fuzzed.tmp"
    handle = struct.pack("!I", rng.choice([0, 1, 2, 99]))
    first = rng.choice([name, handle])
    rest = rng.choice([b"", struct.pack("!II", 0x1A, 0), struct.pack("!QI", 0, 3) + b"abc"])
    whole = struct.pack("!BI", kind, rng.randrange(2**32)) + text(first) + rest
    if kind == 200:
        extension = rng.choice([b"posix-rename@openssh.com", b"limits@openssh.com", b"x"])
        whole = whole[:5] + text(extension) + whole[5:]
    return bend(rng, whole, ODD) if rng.random() < 0.7 else whole


def bytes_before_login(rng: random.Random, daemon: Daemon) -> int:
    """Send what is no SSH or nearly so."""
    version = b"SSH-2.0-fuzz\r\n"
    kexinit = struct.pack("!IB", 60, 4) + b"\x14" + rng.randbytes(58)
    seed = rng.choice([version, version + kexinit, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\2\0"])
    _exchange(daemon.port, bend(rng, seed, ODD) + rng.randbytes(rng.randrange(2000)))
    return 1


def ftp_lines(rng: random.Random, daemon: Daemon) -> int:
    """Send FTP command lines with and without a login, and odd arguments."""
    verbs = [row.first.encode() for row in rows("FTP requests")]
    head = b"USER acme\r\nPASS " + PASSWORD.encode() + b"\r\n"
    lines = [
        rng.choice(verbs) + b" " + bend(rng, rng.choice(ODD_NAMES), ODD)
        for _ in range(LINES_A_SESSION)
    ]
    body = b"".join(
        line + rng.choice([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"])
        for line in lines
        if line.split(b" ")[0] != b"QUIT"
    )
    _exchange(_ftp_port(daemon), (head if rng.random() < 0.8 else b"") + body)
    return len(lines)


def proxy_headers(rng: random.Random, daemon: Daemon) -> int:
    """Send headers of the PROXY protocol, valid and not, as the listed proxy."""
    v1 = b"PROXY TCP4 203.0.113.9 127.0.0.1 40000 22\r\n"
    v2 = proxy_protocol.V2_SIGNATURE + struct.pack("!BBH", 0x21, 0x11, 12) + bytes(12)
    seed = rng.choice([v1, v2])
    head = bend(rng, seed, ODD) if rng.random() < 0.8 else seed
    port = rng.choice([daemon.port, _ftp_port(daemon)])
    _exchange(port, head + rng.randbytes(rng.randrange(50)), source=PROXY)
    return 1


def half_open(rng: random.Random, daemon: Daemon, held: list[socket.socket]) -> int:
    """Connect, say little or nothing, and stay; those who stayed longest go, some by a reset."""
    port = rng.choice([daemon.port, _ftp_port(daemon)])
    sock = socket.create_connection((HOST, port), WITHIN_S)
    sock.sendall(rng.choice([b"", b"S", b"SSH-2.0-x\r\n", b"USER", b"AUTH TLS\r\n", b"\r"]))
    held.append(sock)
    if len(held) > HALF_OPEN_MOST:
        oldest = held.pop(0)
        if rng.random() < 0.5:
            oldest.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        oldest.close()
    return 1


def _exchange(port: int, sent: bytes, source: str = HOST) -> None:
    """Send bytes and read until nothing comes any more."""
    with socket.create_connection((HOST, port), WITHIN_S, (source, 0)) as sock, suppress(OSError):
        sock.sendall(sent)
        sock.settimeout(ANSWER_WITHIN_S)
        while sock.recv(1 << 16):
            pass


def _close(held: list[socket.socket]) -> None:
    for sock in held:
        sock.close()


def _ftp_port(daemon: Daemon) -> int:
    port: int = daemon.status()["doors"]["ftp"]["port"]
    return port


# -- how it is judged


@contextmanager
def daemon_in(folder: Path) -> Iterator[Daemon]:
    """Start a daemon with both doors in an empty folder."""
    hostkeys.ensure(folder / "made")
    daemon = Daemon(make_home(folder / "home", folder / "made", MAIN_TOML + TOML)).start()
    try:
        yield daemon
    finally:
        daemon.stop()


def fuzz(daemon: Daemon, seconds: float, seed: int) -> Counter[str]:
    """Send for so long; return how much of each sort. Raises AssertionError at a failure."""
    rng = random.Random(seed)
    held: list[socket.socket] = []
    sorts: dict[str, Callable[[], int]] = {}
    done: Counter[str] = Counter()
    before = _outside_spool(daemon)
    base = used(daemon)
    with ExitStack() as ends:
        ends.callback(_close, held)
        sorts = {
            "sftp packets": lambda: sftp_after_login(rng, daemon),
            "sftp requests": lambda: door_scenes.sftp_sessions(rng, daemon.port),
            "raw": lambda: bytes_before_login(rng, daemon),
            "ftp lines": lambda: ftp_lines(rng, daemon),
            "ftp transfers": lambda: door_scenes.ftp_session(rng, _ftp_port(daemon)),
            "ftp tls": lambda: door_scenes.ftp_tls(rng, _ftp_port(daemon)),
            "proxy headers": lambda: proxy_headers(rng, daemon),
            "half-open": lambda: half_open(rng, daemon, held),
        }
        turns = cycle(rng.sample(sorted(sorts), len(sorts)))
        for name in sorts:
            done[name] += sorts[name]()
        base = replace(base, memory_mb=used(daemon).memory_mb)  # first use of everything
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = next(turns)
            done[name] += sorts[name]()
    _check(daemon, before, seed)
    _check_base(daemon, base, seed)
    return done


def _check(daemon: Daemon, before: set[Path], seed: int) -> None:
    text_of_log = daemon.log.read_text(errors="replace")
    for name in BUGS:
        assert not daemon.events(name), f"seed {seed}: {daemon.events(name)[:3]}"
    assert "Traceback" not in text_of_log, f"seed {seed}: {daemon.log_tail()}"
    assert not _outside_spool(daemon) - before, f"seed {seed}: {_outside_spool(daemon) - before}"
    with closing(paramiko.Transport((HOST, daemon.port))) as transport:
        transport.connect(username="acme", password=PASSWORD)
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        with client.open("healthy.csv", "w") as file:
            file.write(sales(1, 5))
    daemon.wait_for_state("healthy.csv", State.IMPORTED)


def used(daemon: Daemon) -> Used:
    """Say what the daemon holds now."""
    proc = Path("/proc") / str(daemon.pid)
    [memory] = re.findall(r"VmRSS:\s+(\d+) kB", (proc / "status").read_text())
    doors = daemon.status()["doors"].values()
    sessions = sum(door["sessions"] for door in doors)
    return Used(len(list((proc / "fd").iterdir())), int(memory) // 1024, sessions)


def _check_base(daemon: Daemon, base: Used, seed: int) -> None:
    """See that all is given back: sessions and descriptors, and memory but for what is kept."""

    def given_back() -> bool:
        now = used(daemon)
        return not now.sessions and now.descriptors <= base.descriptors + KEPT_DESCRIPTORS

    wait_for(f"seed {seed}: sessions to end and descriptors to be closed", given_back, GIVEN_BACK_S)
    grown_mb = used(daemon).memory_mb - base.memory_mb
    assert grown_mb < GROWN_MOST_MB, f"seed {seed}: {grown_mb} MB more"
    sys.stdout.write(f"{grown_mb:>9,} MB more, {base} before, {used(daemon)} now\n")


def _outside_spool(daemon: Daemon) -> set[Path]:
    """Return files in the home but for the state, which is the daemon's own, and its log."""
    found = {path for path in daemon.home.parent.rglob("*") if path.is_file()}
    return {path for path in found if not path.is_relative_to(daemon.paths.state)} - {daemon.log}


def main(words: list[str]) -> None:
    """Fuzz for as long as said and print what was sent."""
    seconds = float(words[0])
    seed = int(words[1]) if len(words) > 1 else random.SystemRandom().randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    with tempfile.TemporaryDirectory() as folder, daemon_in(Path(folder)) as daemon:
        for name, count in sorted(fuzz(daemon, seconds, seed).items()):
            sys.stdout.write(f"{count:>9,} {name}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
