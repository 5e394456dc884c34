"""config/customers/NAME.toml: one customer, its locations and its feeds.

Owns what may be said of a customer and what is wrong with it; the feeds' own language is read by
`mapping_toml`. Promises that no alias means two locations. Never opens a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tilldrop.config_guard import Network, is_within, read_networks
from tilldrop.config_limits import OwnLimits, read_own_limits
from tilldrop.mapping_toml import read_feed
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.mapping import Feed
    from tilldrop.toml_table import Table

MODES = ("live", "sandbox")
CARD_DATA = ("refuse", "mask")
_ZONE = 'a zone such as "Europe/Paris"'
_CURRENCY = 'an ISO 4217 code such as "EUR"'


@dataclass(frozen=True, slots=True)
class Location:
    """[locations."ID"]. zone, currency: "" where it has the customer's.

    aliases: other texts that files have for it; compared without case and outer blanks.
    """

    name: str = ""
    zone: str = ""
    currency: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Customer:
    """config/customers/NAME.toml. zone: IANA; currency: ISO 4217.

    mode: where its rows go, unless a feed is in sandbox by itself. live_locations: of what is in
    sandbox, the locations that are live all the same. sources: from where it may log in; none:
    from anywhere.
    """

    name: str
    disabled: bool
    zone: str
    currency: str
    finishing_rename: bool
    feeds: tuple[Feed, ...]
    mode: Literal["live", "sandbox"] = "live"
    live_locations: tuple[str, ...] = ()
    card_data: Literal["refuse", "mask"] = "refuse"
    locations: dict[str, Location] = field(default_factory=dict)
    limits: OwnLimits = field(default_factory=OwnLimits)
    sources: tuple[Network, ...] = ()

    def may_come_from(self, address: str) -> bool:
        """Tell whether it may log in from an address; "" is none."""
        return not self.sources or is_within(address, self.sources)

    def may_enter_from(self, address: str) -> bool:
        """Tell whether it may log in at all, and from there."""
        return not self.disabled and self.may_come_from(address)

    def is_in_sandbox(self, feed: Feed) -> bool:
        """Tell whether a feed's rows go to sandbox.db (but for the live locations)."""
        return "sandbox" in (self.mode, feed.mode)

    @property
    def sandboxed(self) -> tuple[str, ...]:
        """Return the names of the feeds that are in sandbox."""
        return tuple(feed.name for feed in self.feeds if self.is_in_sandbox(feed))


def read_customer(table: Table, name: str) -> Customer:
    """Read a customer's whole table; mistakes go to what the table complains to."""
    table.text("notes", "")
    customer = Customer(
        name=name,
        disabled=table.flag("disabled", default=False),
        zone=_required_zone(table),
        currency=_required_currency(table),
        finishing_rename=table.flag("finishing_rename", default=True),
        feeds=_read_feeds(table),
        mode="sandbox" if table.choice("mode", MODES, "live") == "sandbox" else "live",
        live_locations=_list(table, "live_locations", 'locations, such as ["12", "14"]'),
        card_data="mask" if table.choice("card_data", CARD_DATA, "refuse") == "mask" else "refuse",
        locations=_read_locations(table),
        limits=read_own_limits(table),
        sources=read_networks(table, "sources"),
    )
    table.end()
    return customer


def _required_zone(table: Table) -> str:
    zone = _required(table, "zone", _ZONE)
    if zone:
        _check_zone(table, zone)
    return zone


def _required_currency(table: Table) -> str:
    currency = _required(table, "currency", _CURRENCY)
    if currency:
        _check_currency(table, currency)
    return currency


def _required(table: Table, key: str, expected: str) -> str:
    """Return a text that must be there and hold something."""
    if not table.has(key):
        table.missing(key, expected)
    elif table.value(key) == "":
        table.wrong(key, expected)
    return table.text(key, "", expected)


def _check_zone(table: Table, zone: str) -> None:
    if not is_zone(zone):
        table.wrong("zone", _ZONE, nearest_zone(zone))


def _check_currency(table: Table, currency: str) -> None:
    if currency not in CURRENCIES:
        table.wrong("currency", _CURRENCY, nearest_currency(currency))


def _list(table: Table, key: str, expected: str) -> tuple[str, ...]:
    """Return one or several strings; none if the key is not there or its list is empty."""
    if not table.has(key) or table.value(key) == []:
        return ()
    return table.texts(key, expected)


# -- locations -----------------------------------------------------------------------------------


def _read_locations(table: Table) -> dict[str, Location]:
    """Read [locations."ID"], a table for each."""
    if not table.has("locations"):
        return {}
    inner = table.table("locations")
    if "" in inner.names():
        inner.complain("", 'found a location without an id; expected [locations."12"]')
    locations = {one: _read_location(inner.table(one)) for one in inner.names() if one}
    meant: dict[str, str] = {}
    for one, alias, other in _clashes(locations, meant):
        inner.complain(
            f"{one}.aliases", f'found "{alias}"; expected another, it means location "{other}"'
        )
    return locations


def _read_location(table: Table) -> Location:
    location = Location(
        name=table.text("name", ""),
        zone=table.text("zone", "", _ZONE),
        currency=table.text("currency", "", _CURRENCY),
        aliases=_list(table, "aliases", 'texts, such as ["Store 12"]'),
    )
    if location.zone:
        _check_zone(table, location.zone)
    if location.currency:
        _check_currency(table, location.currency)
    table.end()
    return location


def _clashes(
    locations: Mapping[str, Location], meant: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Find aliases that name another location already: (location, alias, the other)."""
    meant.update({_folded(one): one for one in locations})
    for one, location in locations.items():
        for alias in location.aliases:
            other = meant.setdefault(_folded(alias), one)
            if other != one:
                yield one, alias, other


def _folded(text: str) -> str:
    return text.strip().casefold()


# -- feeds ---------------------------------------------------------------------------------------


def _read_feeds(table: Table) -> tuple[Feed, ...]:
    """Read [[feeds]]; their names must differ."""
    value = table.value("feeds")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        table.wrong("feeds", "tables that begin with [[feeds]]")
        return ()
    feeds = []
    seen: dict[object, int] = {}
    for number, raw in enumerate(value, start=1):
        inner = table.inner(raw, f"feeds.{number}")
        feed = read_feed(raw, inner.complain)
        name = raw.get("name")
        if isinstance(name, str) and seen.setdefault(name.casefold(), number) != number:
            earlier = seen[name.casefold()]
            inner.complain("name", f'found "{name}"; expected another, feed {earlier} has it')
        if feed:
            feeds.append(feed)
    return tuple(feeds)
