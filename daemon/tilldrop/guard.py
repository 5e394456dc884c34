"""Who may knock, by source address: penalties and limits before login, for all doors together.

Owns how many connections may wait for their login, in all and from one source, and what a
source has run up by failures. Promises bounded memory however many addresses knock, and that an
address on the allow-list, or a listed proxy of its own account, is never penalised. A source is an
IPv4 address or an IPv6 /64, which is what one subscriber has. Used on the daemon's loop only;
never looks at a password.

Penalties are seconds that add up; from `penalty_min_s` on the source is refused until they have
passed, and what it does meanwhile costs it nothing more, since it is not let in.
Source: OpenSSH's PerSourcePenalties, sshd_config(5).
"""

from __future__ import annotations

import heapq
import ipaddress
import time
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.config_guard import is_within

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.config_customers import Customer
    from tilldrop.config_guard import GuardSettings

IPV6_PREFIX = 64
SOURCES_MOST = 65_536  # remembered at once, 200 bytes each; the soonest forgiven is forgotten


class Offence(StrEnum):
    """What a source is penalised for; a setting of `[guard]` says how long."""

    # One for wrong passwords, unknown and disabled customers, and customers who may not come from
    # there: were they to cost differently, counting would tell which names exist.
    FAILED_LOGIN = "failed-login"
    RUBBISH = "rubbish"  # what came is not the protocol
    TIMEOUT = "timeout"  # no login in time
    NO_LOGIN = "no-login"  # went away without trying


class Refusal(StrEnum):
    """Why a connection is not let in; as in the journal."""

    PENALISED = "penalised"
    TOO_MANY_WAITING = "too-many-waiting"
    TOO_MANY_FROM_SOURCE = "too-many-from-source"


@dataclass(frozen=True, slots=True)
class Penalty:
    """What a source has run up. seconds: left now. is_refused: enough to keep it out."""

    source: str
    seconds: float
    is_refused: bool
    last: Offence


@dataclass(slots=True)
class _Record:
    until: float
    last: Offence
    is_refused: bool = False


class Pass:
    """A connection that waits for its login. end() once it is in or gone; again is fine."""

    def __init__(self, guard: Guard, source: str) -> None:
        self._guard = guard
        self.source = source
        self._is_waiting = True

    def end(self) -> None:
        """Count it as waiting no longer."""
        if self._is_waiting:
            self._is_waiting = False
            self._guard.forget_waiting(self.source)


class Guard:
    """The guard. settings_of: the settings in force now. now: seconds, never going back."""

    def __init__(
        self, settings_of: Callable[[], GuardSettings], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings_of = settings_of
        self._now = now
        self._records: dict[str, _Record] = {}
        self._waiting: Counter[str] = Counter()
        self._waiting_count = 0

    def admit(self, address: str) -> Pass | Refusal:
        """Let a new connection wait for its login, or say why not. Cost: microseconds."""
        settings = self._settings_of()
        source = source_of(address)
        if not is_within(address, settings.allow):
            record = self._record(source)
            if record is not None and record.is_refused:
                return Refusal.PENALISED
            if self._waiting[source] >= settings.max_waiting_per_source:
                return Refusal.TOO_MANY_FROM_SOURCE
        if self._waiting_count >= settings.max_waiting:
            return Refusal.TOO_MANY_WAITING
        self._waiting[source] += 1
        self._waiting_count += 1
        return Pass(self, source)

    def penalise(self, address: str, offence: Offence) -> None:
        """Note an offence; tell the operator when it is the one that shuts the source out."""
        settings = self._settings_of()
        seconds = settings.penalty_s(offence)
        # A proxy that asks after the door's health never logs in.
        if not seconds or is_within(address, settings.allow + settings.proxies):
            return
        source = source_of(address)
        now = self._now()
        record = self._record(source)
        if record is None:
            self._make_room(now)
            record = self._records[source] = _Record(now, offence)
        record.until = min(record.until + seconds, now + settings.penalty_max_s)
        record.last = offence
        left_s = record.until - now
        if not record.is_refused and left_s >= settings.penalty_min_s:
            record.is_refused = True
            journal.source_shut_out(source, offence, round(left_s))

    def forgive(self, address: str) -> bool:
        """Lift a source's penalty; False if it had none. address: of it, or the source itself."""
        return self._records.pop(source_of(address), None) is not None

    def penalties(self) -> list[Penalty]:
        """Return what is being held against whom, the longest first."""
        now = self._now()
        found = [
            Penalty(source, record.until - now, record.is_refused, record.last)
            for source, record in self._records.items()
            if record.until > now
        ]
        return sorted(found, key=lambda one: -one.seconds)

    @property
    def waiting(self) -> int:
        """How many connections wait for their login."""
        return self._waiting_count

    def forget_waiting(self, source: str) -> None:
        """Count one waiting connection out."""
        self._waiting_count -= 1
        self._waiting[source] -= 1
        if not self._waiting[source]:
            del self._waiting[source]

    def _record(self, source: str) -> _Record | None:
        """Return a source's record unless its time has passed."""
        record = self._records.get(source)
        if record is not None and record.until <= self._now():
            del self._records[source]
            return None
        return record

    def _make_room(self, now: float) -> None:
        """Forget a tenth of the sources where there are too many, those soonest forgiven."""
        if len(self._records) < SOURCES_MOST:
            return
        for source in [one for one, record in self._records.items() if record.until <= now]:
            del self._records[source]
        excess = len(self._records) - SOURCES_MOST * 9 // 10
        soonest = heapq.nsmallest(excess, self._records, key=lambda one: self._records[one].until)
        for source in soonest:
            del self._records[source]


def source_of(address: str) -> str:
    """Return the source of an address: itself, or its IPv6 network; other text as it is."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))


def why_refused(customer: Customer | None, peer: str, otherwise: str = "wrong-password") -> str:
    """Say for the operator why a login failed; the client is not told."""
    if customer is None:
        return "unknown-customer"
    if customer.disabled:
        return "disabled"
    return otherwise if customer.may_come_from(peer) else "forbidden-source"
