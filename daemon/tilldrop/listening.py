"""Listening sockets that outlive a restart: systemd keeps them, and hands them to the next life.

Owns what the environment says of passed sockets (sd_listen_fds(3)) and what is left with systemd
(its file descriptor store, sd_notify(3)). Promises that who calls between two lives waits in the
kernel's queue instead of being refused; that a socket is taken over only if it is bound to just
what the configuration says; and that nobody waits at one that no door asks for any more. Where
there is no systemd it opens sockets and no more.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from tilldrop import journal
from tilldrop.sd_notify import forget_socket, keep_socket

if TYPE_CHECKING:
    from collections.abc import Callable

    # Takes the listener's name, address and port; 0: any port. Raises OSError.
    Listen: TypeAlias = Callable[[str, str, int], socket.socket]

FIRST_PASSED = 3  # SD_LISTEN_FDS_START
# Everyone who was in may come back while the doors are closed; the kernel drops who finds it full.
BACKLOG = 1024


class Sockets:
    """The sockets of one life: those passed to it, and those that it opens."""

    def __init__(self) -> None:
        self._passed = _take_passed()

    def listen(self, name: str, address: str, port: int) -> socket.socket:
        """Take over the socket of that name if it is bound to just that, else open it.

        One that is opened is left with systemd, too. Raises OSError.
        """
        mine = [sock for passed, sock in self._passed if passed == name]
        found = next((sock for sock in mine if _is_bound(sock, address, port)), None)
        self._passed = [each for each in self._passed if each[1] is not found]
        self._give_up(name)
        if found is not None:
            found.listen(BACKLOG)
            journal.socket_taken_over(name)
            return found
        opened = listen(name, address, port)
        keep_socket(name, opened)
        return opened

    def give_up_rest(self) -> None:
        """Close what no door asked for, so that nobody waits there for an answer."""
        for name in {name for name, _ in self._passed}:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        """Close what is left of that name, with systemd as well.

        Not by a close alone: systemd has it open still, and its port could not be had before
        systemd, in its own time, has closed it.
        """
        for sock in [sock for passed, sock in self._passed if passed == name]:
            journal.socket_given_up(name)
            with suppress(OSError):  # it was no listening socket
                sock.shutdown(socket.SHUT_RDWR)
            forget_socket(name)
            sock.close()
        self._passed = [each for each in self._passed if each[0] != name]


def listen(_name: str, address: str, port: int) -> socket.socket:
    """Open a listening socket; IPv6 addresses take IPv4 as well only if they are "::".

    Raises OSError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        listening.bind((address, port))
        listening.listen(BACKLOG)
    except BaseException:
        with suppress(OSError):
            listening.close()
        raise
    return listening


def _take_passed() -> list[tuple[str, socket.socket]]:
    """Return the sockets passed to this process, with their names; ask once.

    What is no socket is closed. No child gets any of them, nor is told of them.
    """
    meant = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    found: list[tuple[str, socket.socket]] = []
    for place in range(int(count) if meant and count.isdecimal() else 0):
        descriptor = FIRST_PASSED + place
        try:
            os.set_inheritable(descriptor, False)  # noqa: FBT003  the standard library's way
            sock = socket.socket(fileno=descriptor)
        except OSError:
            with suppress(OSError):  # it may be none at all
                os.close(descriptor)
            continue
        found.append((names[place] if place < len(names) else "", sock))
    return found


def _is_bound(sock: socket.socket, address: str, port: int) -> bool:
    """Say whether `listen` would have made this very socket."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if sock.family != family or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    if family == socket.AF_INET6:
        v6_only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        if bool(v6_only) != (address != "::"):
            return False
    host, bound = sock.getsockname()[:2]
    return ipaddress.ip_address(host) == ipaddress.ip_address(address) and port in (0, bound)
