"""`[ftp]` of config/tilldrop.toml: the FTP door's settings.

Owns their defaults, their limits and what is said of a wrong one. Never opens anything.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.toml_table import Table

_PORT_MOST = 65535
_PORT_RANGE = re.compile(r"([0-9]{4,5})-([0-9]{4,5})")
_A_DAY_S = 24 * 3600
RANGES: dict[str, tuple[int, int]] = {
    "ftp.port": (0, _PORT_MOST),
    "ftp.implicit_port": (0, _PORT_MOST),
    "ftp.login_timeout_s": (1, 3600),
    "ftp.idle_timeout_s": (10, _A_DAY_S),
    "ftp.login_attempts": (1, 100),
    "ftp.max_connections": (1, 100_000),
    "ftp.max_per_source": (1, 100_000),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "ftp.tls": ("off", "optional", "required"),
    "ftp.tls_eof": ("accept", "require"),
}


@dataclass(frozen=True, slots=True)
class FtpDoor:
    """[ftp]. port 0: the system picks; implicit_port 0: none. Times in seconds.

    certificate, private_key: relative to the home, or absolute. passive_ports: "50000-50099", or
    "" for any. masquerade_address: what PASV tells behind NAT, "" for the real one.
    """

    # Closed unless asked for: passwords may come in the clear, and SFTP needs no second door.
    enabled: bool = False
    listen: str = "0.0.0.0"  # noqa: S104  a door faces the world
    port: int = 2121
    implicit_port: int = 0
    tls: str = "optional"
    tls_eof: str = "accept"
    certificate: str = "keys/ftp.crt"
    private_key: str = "keys/ftp.key"
    passive_ports: str = ""
    masquerade_address: str = ""
    login_timeout_s: int = 20
    idle_timeout_s: int = 300
    login_attempts: int = 4
    max_connections: int = 500
    max_per_source: int = 16  # rclone opens up to twelve

    @property
    def passive_range(self) -> range:
        """The ports to choose from; (0,) lets the system choose."""
        found = _PORT_RANGE.fullmatch(self.passive_ports)
        return range(int(found[1]), int(found[2]) + 1) if found else range(1)


DEFAULT = FtpDoor()


def check_ftp(table: Table, ftp: FtpDoor, is_address: Callable[[str], bool]) -> None:
    """Complain of texts that are there and make no sense."""
    inner = table.table("ftp")
    if not is_address(ftp.listen):
        inner.wrong("listen", 'an address such as "0.0.0.0", "::" or "127.0.0.1"')
    if ftp.passive_ports and not _is_port_range(ftp.passive_ports):
        inner.wrong("passive_ports", 'first and last port from 1024 on, such as "50000-50099"')
    if ftp.masquerade_address and not _is_ipv4(ftp.masquerade_address):
        inner.wrong("masquerade_address", 'an IPv4 address such as "203.0.113.7"')
    if ftp.implicit_port and ftp.tls == "off":
        inner.wrong("implicit_port", '0, since tls is "off"')
    if ftp.implicit_port and ftp.implicit_port == ftp.port:
        inner.wrong("implicit_port", "another port than that of ftp.port")
    for key, path in (("certificate", ftp.certificate), ("private_key", ftp.private_key)):
        if not path.strip() or "\0" in path:
            inner.wrong(key, "a file, absolute or relative to the home")


def _is_port_range(text: str) -> bool:
    found = _PORT_RANGE.fullmatch(text)
    # Below 1024 a port is not to be had without rights.
    return found is not None and 1024 <= int(found[1]) <= int(found[2]) <= _PORT_MOST  # noqa: PLR2004


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
