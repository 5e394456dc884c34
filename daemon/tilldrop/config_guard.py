"""The settings of `[guard]`: limits before login, penalties, trusted addresses.

Owns their defaults and what is said of a wrong one. Never counts anything: `guard` does.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from tilldrop.toml_table import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.toml_table import Table

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# key -> lowest and highest value that makes sense
RANGES: dict[str, tuple[int, int]] = {
    "guard.max_waiting": (1, 100_000),
    "guard.max_waiting_per_source": (1, 100_000),
    "guard.failed_login_s": (0, 3600),
    "guard.rubbish_s": (0, 3600),
    "guard.timeout_s": (0, 3600),
    "guard.no_login_s": (0, 3600),
    "guard.penalty_min_s": (1, 3600),
    "guard.penalty_max_s": (1, 7 * 24 * 3600),
}


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """[guard]. Times in seconds; a penalty of 0 is none.

    max_waiting: connections before login, in all. allow: never penalised. proxies: those that
    say whom they speak for (PROXY protocol).
    """

    max_waiting: int = 200
    max_waiting_per_source: int = 20
    failed_login_s: int = 5
    rubbish_s: int = 10
    timeout_s: int = 10
    no_login_s: int = 1
    penalty_min_s: int = 15
    penalty_max_s: int = 600
    allow: tuple[Network, ...] = ()
    proxies: tuple[Network, ...] = ()

    def penalty_s(self, offence: str) -> int:
        """Return what an offence costs. offence: as in `guard.Offence`."""
        return int(getattr(self, f"{offence.replace('-', '_')}_s"))


DEFAULT = GuardSettings()


def read_guard(table: Table) -> GuardSettings:
    """Read [guard]."""
    inner = table.table("guard")
    values: dict[str, object] = {}
    for field in fields(GuardSettings):
        if isinstance(field.default, int):
            values[field.name] = inner.whole(
                field.name, field.default, *RANGES[f"guard.{field.name}"]
            )
        else:
            values[field.name] = read_networks(inner, field.name)
    settings = GuardSettings(**values)  # type: ignore[arg-type]  # each made by its field's type
    if settings.penalty_min_s > settings.penalty_max_s:
        inner.wrong("penalty_min_s", f"at most penalty_max_s ({settings.penalty_max_s})")
    inner.end()
    return settings


def read_networks(table: Table, key: str) -> tuple[Network, ...]:
    """Read a list of addresses and networks."""
    expected = 'addresses or networks such as ["192.0.2.7", "2001:db8::/32"]'
    if not table.has(key) or table.value(key) == []:
        return ()
    found: list[Network] = []
    for text in table.texts(key, expected):
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as wrong:
            table.complain(key, f"found {show(text)}; expected {expected}: {wrong}")
    return tuple(found)


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Tell whether an address lies in one of several networks; what is no address lies in none."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in network for network in networks)
