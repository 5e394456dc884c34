"""Scenes of clients that vanish without a word: the cable is pulled, and no FIN ever comes.

Owns a network of its own for the daemon, with a cable to each of two places: those who vanish are
at one, the next client at the other. None where this user may not make one, or `ip` is missing.
"""

from __future__ import annotations

import ftplib
import os
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko

from tests.daemon import PASSWORD, sales, wait_for
from tests.faults.bed import Bed, forget
from tests.faults.promises import Sent, complaints
from tests.faults.scene import SCENE_TOML, SETTLE_S, Scene, held
from tilldrop.delivery import State

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

IDLE_S = 10  # the least that may be set
VICTIMS = 4
LISTEN = f'listen = "0.0.0.0"\nidle_timeout_s = {IDLE_S}'
NET_TOML = (
    SCENE_TOML.replace('listen = "127.0.0.1"', LISTEN).replace(
        "[limits]\n", f"[limits]\nmax_sessions = {VICTIMS}\n"
    )
    + f"\n[ftp]\nenabled = true\nport = 0\ntls = 'off'\n{LISTEN}\n"
)
BIG_ROWS = 150_000  # 5 MB: more than a server may send to a client that reads nothing
CONNECT_S = 20
GONE = (OSError, EOFError, paramiko.SSHException, ftplib.Error)


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace with two cables. near, far: the daemon's addresses at either."""

    name: str
    near: str
    far: str

    def pull(self) -> None:
        """Pull the cable of those at the far end: nothing they or the daemon send arrives."""
        _ip("link", "set", f"{self.name}f", "down")


def _ip(*words: str) -> None:
    subprocess.run(("ip", *words), check=True, capture_output=True)


@contextmanager
def network() -> Iterator[Network | None]:
    """Make a network of its own, for a while."""
    number = os.getpid() % 250
    made = Network(f"td{os.getpid()}", f"10.231.{number}.1", f"10.232.{number}.1")
    try:
        _ip("netns", "add", made.name)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        for end, address in (("n", made.near), ("f", made.far)):
            ours, theirs = f"{made.name}{end}", f"{made.name}{end}d"
            _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", made.name)
            _ip("addr", "add", f"{address}00/24", "dev", ours)
            _ip("link", "set", ours, "up")
            _ip("-n", made.name, "addr", "add", f"{address}/24", "dev", theirs)
            _ip("-n", made.name, "link", "set", theirs, "up")
        _ip("-n", made.name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "delete", made.name)


def vanished_clients(folder: Path, keys: Path) -> Scene | None:
    """All sessions that a customer may have vanish in the middle of what they do."""
    with network() as net:
        if net is None:
            return None
        bed = Bed(folder, keys, "none", NET_TOML)
        bed.daemon.command = ("ip", "netns", "exec", net.name, *bed.daemon.command)
        bed.daemon.start()
        try:
            return _play(bed, net)
        finally:
            bed.daemon.kill()


def _play(bed: Bed, net: Network) -> Scene:
    big = Sent("big.csv", sales(1, BIG_ROWS, "big").encode(), "big")
    bed.sent.append(big)
    with _sftp(bed, net.near) as sftp:
        _deliver(sftp, big)
    wait_for("the big file to be imported", bed.is_idle, SETTLE_S)
    with ExitStack() as vanished:
        _upload_and_stop(vanished.enter_context(_sftp(bed, net.far)))
        _read_and_stop(vanished.enter_context(_sftp(bed, net.far)))
        vanished.enter_context(_store_and_stop(vanished.enter_context(_ftp(bed, net.far))))
        vanished.enter_context(_ftp(bed, net.far))
        fired = _sessions(bed)
        found = [] if not _can_log_in(bed, net.near) else ["the sessions were not all taken"]
        net.pull()
        wait_for("the sessions to be ended", lambda: _sessions(bed) == 0, SETTLE_S)
    for name in ("by-sftp.csv", "by-ftp.csv"):
        found += [] if _state(bed, name) is State.BROKEN else [f"{name} is {_state(bed, name)}"]
    after = Sent("after.csv", sales(1, 5, "after").encode(), "after")
    bed.sent.append(after)
    with _sftp(bed, net.near) as sftp:
        _deliver(sftp, after)
    wait_for("the daemon to be idle", bed.is_idle, SETTLE_S)
    return Scene(fired, found + complaints(bed.daemon, bed.sent) + held(bed))


def _sessions(bed: Bed) -> int:
    doors = bed.daemon.status()["doors"]
    return int(doors["sftp"]["sessions"]) + int(doors["ftp"]["sessions"])


def _state(bed: Bed, name: str) -> State:
    return bed.daemon.deliveries(name)[0].state


def _can_log_in(bed: Bed, address: str) -> bool:
    with suppress(*GONE), _sftp(bed, address):
        return True
    return False


@contextmanager
def _sftp(bed: Bed, address: str) -> Iterator[paramiko.SFTPClient]:
    with paramiko.Transport((address, bed.daemon.port)) as transport:
        transport.banner_timeout = CONNECT_S
        transport.connect(username="acme", password=PASSWORD)
        sftp = paramiko.SFTPClient.from_transport(transport)
        assert sftp is not None
        yield sftp


@contextmanager
def _ftp(bed: Bed, address: str) -> Iterator[ftplib.FTP]:
    with suppress(*GONE), ftplib.FTP() as ftp:
        ftp.connect(address, bed.daemon.status()["doors"]["ftp"]["port"], CONNECT_S)
        ftp.login("acme", PASSWORD)
        yield ftp


def _deliver(sftp: paramiko.SFTPClient, sent: Sent) -> None:
    with sftp.open(sent.name, "wb") as file:
        file.set_pipelined(pipelined=True)
        file.write(sent.content)
    sent.acknowledged = True


def _upload_and_stop(sftp: paramiko.SFTPClient) -> None:
    file = sftp.open("by-sftp.csv", "wb", bufsize=0)
    file.write(sales(1, 3).encode())
    forget(file)


def _read_and_stop(sftp: paramiko.SFTPClient) -> None:
    """Ask for all of a big file at once and never take it: the server's answers pile up."""
    file = sftp.open("big.csv", "rb")
    file.prefetch(len(sales(1, BIG_ROWS, "big")))
    forget(file)


def _store_and_stop(ftp: ftplib.FTP) -> socket.socket:
    """Begin an upload; return its data connection: closed, it would be the file's end."""
    connection = ftp.transfercmd("STOR by-ftp.csv")
    connection.sendall(sales(1, 3).encode())
    return connection
