"""FTP's login, and TLS before it (RFC 959, RFC 4217).

Promises that a wrong password, an unknown customer, a disabled one and one from where it may not
come hear the same after the same work, and that where TLS is required no password is taken without
it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.doors.entrance import TOO_MANY
from tilldrop.doors.ftp_control import DOOR
from tilldrop.doors.ftp_data import Data
from tilldrop.errors import TooManySessions
from tilldrop.guard import REFUSED_STEP_S, Offence, even_out

if TYPE_CHECKING:
    from tilldrop.config_customers import Customer
    from tilldrop.doors.ftp import Proof


class Login(Data):
    """A control connection whose client may log in."""

    _checking: asyncio.Task[Proof | None] | None = None

    def ftp_USER(self, name: str) -> None:
        """Note the name; whether there is such a customer is not told."""
        if self.customer is not None:
            self.respond("530 Already logged in.")
        elif self.door.settings.tls == "required" and not self.secured:
            self.respond("530 Passwords are taken over TLS only: AUTH TLS first.")
        else:
            self.username = name
            self.note_step()
            self.respond("331 Send the password.")

    async def ftp_PASS(self, password: str) -> None:
        """Log in by a client certificate, if one was shown and is the customer's, or a password."""
        if self.customer is not None or not self.username:
            self.respond("503 Send USER first.")
            return
        began = self._loop.time()
        certificate = self.socket.getpeercert(binary_form=True) if self.secured else None
        self._checking = self._loop.create_task(
            self.door.check(self.username, password, certificate, self.peer)
        )
        await asyncio.wait({self._checking})
        if self._checking.cancelled():  # the client is gone
            return
        proof = self._checking.result()
        if proof is not None:
            if not self._has_room(proof.customer):
                return
            self.customer = proof.customer
            self.note_login()
            journal.login_accepted(DOOR, self.username, self.peer, proof.method, proof.key)
            self.begin_session(proof.customer)  # before anything is waited for: it is counted here
            if not self.secured:
                await self.door.note_in_clear(self.username, self.peer)
            self.respond("230 Welcome.")
            self.check_customer()  # it may have been disabled while its password was checked
            return
        self.door.guard.penalise(self.peer, Offence.FAILED_LOGIN)
        reason = self.door.why_refused(self.username, self.peer)
        journal.login_refused(DOOR, self.who, self.peer, "password", reason, None)
        self.username = ""
        self._tries += 1
        await even_out(began, REFUSED_STEP_S)
        if self._tries >= self.door.settings.login_attempts:
            self.hang_up("Too many attempts to log in.")
        else:
            self.respond("530 Login incorrect.")

    def close(self) -> None:
        """End the connection; a password that waits for its turn is not checked any more."""
        is_checking = self._checking is not None and not self._closed and self._checking.cancel()
        if is_checking and self._tries:  # else that is the price of every end without a login
            self.door.guard.penalise(self.peer, Offence.NO_LOGIN)
        super().close()

    def _has_room(self, customer: Customer) -> bool:
        """Hang up, saying why, if neither the customer nor the door may have another session."""
        why = TOO_MANY
        try:
            self.door.intake.check_session(customer)
        except TooManySessions as full:
            journal.request_refused(DOOR, customer.name, "session", full.code, str(full), self.peer)
            why = full.to_customer
        else:
            if self.door.let_in(self):
                return True
            journal.connection_refused(DOOR, self.peer, "too-many")
        self.end_waiting()
        self._tries += 1  # it did try, so going away is no offence
        self.hang_up(why)
        return False

    def begin_session(self, customer: Customer) -> None:
        """Begin what the login is for."""

    # -- TLS (RFC 4217)

    def ftp_AUTH(self, kind: str) -> None:
        """Turn to TLS."""
        if self.secured:
            self.respond("503 TLS is on already.")
        elif self.context is None or kind.upper() not in {"TLS", "TLS-C", "TLS-P", "SSL"}:
            self.respond("504 Use AUTH TLS.")
        else:
            self.respond("234 Begin TLS.")
            self.forget_lines()
            if self.customer is None:
                self.username = ""
            self.secure(self.context)

    def ftp_PBSZ(self, _size: str) -> None:
        """Agree to no buffer, which is all that TLS knows."""
        self.respond("200 PBSZ=0" if self.secured else "503 AUTH TLS first.")

    def ftp_PROT(self, level: str) -> None:
        """Choose whether data is protected."""
        if not self.secured:
            self.respond("503 AUTH TLS first.")
        elif level.upper() == "P":
            self._private_data = True
            self.respond("200 Data is protected.")
        elif level.upper() != "C":
            self.respond("536 Use PROT P.")
        elif self.door.settings.tls == "required":
            self.respond("534 Data must be protected.")
        else:
            self._private_data = False
            self.respond("200 Data is not protected.")
