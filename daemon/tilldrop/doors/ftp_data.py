"""How an FTP session comes by its data connections: PASV and PORT, 150, and their end.

Owns the order in which the client's call, its wish and its change of mind may come. What goes over
a data connection is `ftp_session`'s, how it is told whole is `ftp_transfer`'s.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING

from tilldrop import errors
from tilldrop.doors.ftp_control import Control
from tilldrop.errors import TransferCut

if TYPE_CHECKING:
    from tilldrop.doors.ftp_transfer import DataConnection


class Data(Control):
    """A control connection that may have a data connection beside it."""

    def take_data_connection(self, data: DataConnection) -> None:
        """Take the client's call of our passive port."""
        self._dtp_acceptor = None
        self.data_channel = data
        self._stop_waiting()

    def give_port_back(self) -> None:
        """Close a passive port that nobody has called."""
        self._shutdown_connecting_dtp()

    def ftp_PASV(self, line: str) -> None:
        """Open a port, unless its reply cannot tell the address."""
        if ":" in self.local_ip:
            self.respond("522 Use EPSV: this is IPv6.")
        else:
            super().ftp_PASV(line)

    def _make_eport(self, ip: str, port: int) -> None:
        # Java's clients write IPv6 addresses in full, and pyftpdlib compares them as texts.
        try:
            ip = str(ipaddress.ip_address(ip))
        except ValueError:
            self.respond("501 That is not an address.")
        else:
            super()._make_eport(ip, port)

    def ftp_ABOR(self, _line: str) -> None:
        """Close what waits for a transfer. One under way was cut when ABOR came in."""
        self.drop_data_connection()
        self.give_port_back()
        self.respond("226 Nothing is transferred any more.")

    def ftp_QUIT(self, _line: str) -> None:
        """Part."""
        self.respond("221 Goodbye.")
        self.close_when_done()

    def drop_data_connection(self) -> None:
        """Close it, if there is one."""
        if self.data_channel is not None:
            self.data_channel.close()
            self.data_channel = None

    async def open_data_connection(self, stall_s: float) -> DataConnection:
        """Answer 150 and come together with the client. Raises NoDataConnection, TransferCut."""
        active, self._dtp_connector = self._dtp_connector, None
        if active is not None:
            self.data_channel = await active.call()
        elif self.data_channel is None and self._dtp_acceptor is None:
            raise errors.NoDataConnection("neither PASV nor PORT went before")
        # Before the client has called our port: some call it only after this.
        self.respond("150 Ready.")
        # What ended it may have come before this, when there was nothing to end yet.
        if self.data_channel is None and not self._closed and self._given_up != "ABOR":
            self._arrival = self._loop.create_future()
            try:
                async with asyncio.timeout(stall_s):
                    await self._arrival
            except TimeoutError as problem:
                self.give_port_back()
                raise errors.NoDataConnection("the client did not call") from problem
        if self.data_channel is None or self.is_gone():
            raise TransferCut(self._given_up or "the control connection ended")
        data = self.data_channel
        if self._private_data and self.context is not None:
            await data.secure(self.context)
        return data
