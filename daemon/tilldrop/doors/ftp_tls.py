"""TLS on an FTP connection that is open already: AUTH TLS, or from its first byte.

Promises that the handshake holds nobody up, and that a peer which goes away without a farewell
is a peer that went away. pyftpdlib's own TLS wants pyOpenSSL, which cannot tell the two ends of
a data connection apart as surely; Python's `ssl` can, and is there anyway.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from pyftpdlib import ioloop

if TYPE_CHECKING:
    import socket


def wrapped(sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Put TLS over a connected, non-blocking socket; its handshake is still to be made."""
    return context.wrap_socket(
        sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )


class TlsChannel(ioloop.AsyncChat):  # type: ignore[misc]
    """A control connection that may turn to TLS."""

    # pyftpdlib's own
    socket: Any
    ac_in_buffer: bytes

    _shaking = False
    secured = False

    def secure(self, context: ssl.SSLContext) -> None:
        """Begin TLS. What the client sent ahead in the clear is dropped.

        An attacker in between could have put it there, to be obeyed as if it were secured
        (as with STARTTLS, CVE-2011-0411).
        """
        self.ac_in_buffer = b""
        try:
            self.socket = wrapped(self.socket, context)
        except OSError:  # gone already
            self.close()
            return
        self._shaking = True
        self._shake_hands()

    def on_secured(self) -> None:
        """Take notice that the connection is secured."""

    def on_handshake_failed(self, why: str) -> None:
        """Take notice that client and server do not come to terms."""

    def _shake_hands(self) -> None:
        try:
            self.socket.do_handshake()
        except ssl.SSLWantReadError:
            self.ioloop.modify(self._fileno, self.ioloop.READ)
        except ssl.SSLWantWriteError:
            self.ioloop.modify(self._fileno, self.ioloop.WRITE)
        except OSError as problem:
            self._shaking = False
            self.on_handshake_failed(getattr(problem, "reason", None) or type(problem).__name__)
            self.close()
        else:
            self._shaking = False
            self.secured = True
            self.ioloop.modify(self._fileno, self.ioloop.READ)
            self._wanted_io_events = self.ioloop.READ
            self.on_secured()

    def handle_read_event(self) -> None:
        """Go on with the handshake, or read."""
        if self._shaking:
            self._shake_hands()
        else:
            super().handle_read_event()

    def handle_write_event(self) -> None:
        """Go on with the handshake, or write."""
        if self._shaking:
            self._shake_hands()
        else:
            super().handle_write_event()

    def writable(self) -> Any:
        """Tell whether there is anything to write."""
        return self._shaking or super().writable()

    def recv(self, buffer_size: int) -> bytes:
        """Receive; b"" at the end."""
        try:
            return bytes(super().recv(buffer_size))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as problem:
            raise BlockingIOError from problem
        except ssl.SSLError:  # without a farewell, or nonsense
            self.handle_close()
            return b""

    def send(self, data: bytes) -> int:
        """Send what goes at once; return how much did."""
        try:
            return int(super().send(data))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except ssl.SSLError:
            self.handle_close()
            return 0

    def say_farewell(self) -> None:
        """End TLS properly, as far as that goes at once."""
        if self.secured:
            self.secured = False
            try:
                self.socket.unwrap()
            except (OSError, ValueError):
                return  # its answer is not waited for; or the peer is gone
