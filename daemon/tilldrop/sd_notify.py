"""What systemd is told of the daemon, if it started us and wants to know: sd_notify(3).

Owns nothing. Promises never to wait for systemd.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(text: str, *passed: socket.socket) -> None:
    """Tell systemd, if it started us and wants to know. passed: goes with it, and stays open."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.settimeout(0)  # who does not listen must not hold the daemon up
        telling.connect(address)
        socket.send_fds(telling, [text.encode()], [each.fileno() for each in passed])


def keep_socket(name: str, listening: socket.socket) -> None:
    """Have systemd keep a socket over a restart; FileDescriptorStoreMax= says if it does."""
    notify(f"FDSTORE=1\nFDNAME={name}", listening)


def forget_socket(name: str) -> None:
    """Have systemd close the sockets of that name."""
    notify(f"FDSTOREREMOVE=1\nFDNAME={name}")


def ping_interval_s() -> float | None:
    """Return how often systemd wants a sign of life, halved as it advises; None: never."""
    wanted_us = os.environ.get("WATCHDOG_USEC", "")
    meant = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(wanted_us) / 2_000_000 if meant and wanted_us.isdecimal() else None
