"""Who may knock, by source address: penalties and limits before login, for all doors together.

Owns how many connections may wait for their login, in all and from one source, and what a
source has run up by failures. Promises bounded memory however many addresses knock, and that an
address on the allow-list, or a listed proxy of its own account, is never penalised. A source is an
IPv4 address or an IPv6 /64, which is what one subscriber has. Used on the daemon's loop only;
never looks at a password.

Penalties are seconds that add up; from `penalty_min_s` on the source is refused until they have
passed, and what it does meanwhile costs it nothing more, since it is not let in. Who is shut out
again within `penalty_max_s` is so for twice as long as the last time.
Source: OpenSSH's PerSourcePenalties, sshd_config(5).

A source from which a customer has logged in is known: where there is no room for it, it takes that
of a stranger. Where strangers fill the room, the one that has waited longest without a step forward
makes room for the next, so that a flood of silent connections shuts nobody out. A stranger that has
committed more than going away lately is a suspect: suspects make room first, and that counts as
another failed login, since in a flood of guesses few are ever heard.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import time
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.config_guard import is_within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tilldrop.config_customers import Customer
    from tilldrop.config_guard import GuardSettings

IPV6_PREFIX = 64
SOURCES_MOST = 65_536  # remembered at once, 200 bytes each; the soonest forgiven is forgotten
KNOWN_MOST = 65_536
CROWDED_AGAIN_S = 60.0  # until it is said again
REFUSED_STEP_S = 0.05  # more than twice what a password's check takes


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
    """shut_out_s: for how long the last time. forget_at: when that no longer counts.

    is_suspect: it did more than go away.
    """

    until: float
    last: Offence
    is_suspect: bool = False
    is_refused: bool = False
    shut_out_s: float = 0.0
    forget_at: float = 0.0


class Pass:
    """A connection that waits for its login. end() once it is in or gone; again is fine."""

    def __init__(self, guard: Guard, address: str) -> None:
        self._guard = guard
        self.address = address
        self.source = source_of(address)
        self._is_waiting = True
        self._leave: Callable[[], None] | None = None

    def may_be_ended(self, leave: Callable[[], None]) -> None:
        """Let the guard end it for another's sake. leave: ends the connection."""
        self._leave = leave
        self.note_step()

    def note_step(self) -> None:
        """Note that its login got on: those that did not are ended first."""
        if self._is_waiting and self._leave is not None:
            self._guard.note_step(self)

    def leave(self) -> None:
        """End the connection."""
        if self._leave is not None:
            self._leave()
        self.end()

    def note_login(self) -> None:
        """Note that a customer has logged in; it waits no longer."""
        self._guard.note_login(self.source)
        self.end()

    def end(self) -> None:
        """Count it as waiting no longer."""
        if self._is_waiting:
            self._is_waiting = False
            self._leave = None  # it holds the connection, which holds this
            self._guard.forget_waiting(self)


class Guard:
    """The guard. settings_of: the settings in force now. now: seconds, never going back."""

    def __init__(
        self, settings_of: Callable[[], GuardSettings], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings_of = settings_of
        self._now = now
        self._records: dict[str, _Record] = {}
        self._forgiven_next: list[tuple[float, str]] = []  # a heap; some of it is out of date
        self._waiting: Counter[str] = Counter()
        self._waiting_count = 0
        # Of each, the longest without a step first.
        self._strangers: OrderedDict[Pass, None] = OrderedDict()
        self._suspects: OrderedDict[Pass, None] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._crowded_at = float("-inf")

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
        if self._waiting_count >= settings.max_waiting and not self._make_way():
            return Refusal.TOO_MANY_WAITING
        self._waiting[source] += 1
        self._waiting_count += 1
        return Pass(self, address)

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
            self._make_room()
            record = self._records[source] = _Record(now, offence)
        record.until = min(max(record.until, now) + seconds, now + settings.penalty_max_s)
        record.last = offence
        record.is_suspect = record.is_suspect or offence is not Offence.NO_LOGIN
        left_s = record.until - now
        if not record.is_refused and left_s >= settings.penalty_min_s:
            left_s = min(max(left_s, 2 * record.shut_out_s), settings.penalty_max_s)
            record.until, record.is_refused, record.shut_out_s = now + left_s, True, left_s
            record.forget_at = record.until + settings.penalty_max_s
            journal.source_shut_out(source, offence, round(left_s))
        self._note_end(source, record.until)

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

    def forget_waiting(self, one: Pass) -> None:
        """Count one waiting connection out."""
        self._strangers.pop(one, None)
        self._suspects.pop(one, None)
        self._waiting_count -= 1
        self._waiting[one.source] -= 1
        if not self._waiting[one.source]:
            del self._waiting[one.source]

    def note_step(self, one: Pass) -> None:
        """Note that a waiting connection is on its way in."""
        self._strangers.pop(one, None)
        self._suspects.pop(one, None)
        if self.knows(one.address):
            return
        waiting = self._suspects if self.is_suspect(one.address) else self._strangers
        waiting[one] = None

    def note_login(self, source: str) -> None:
        """Note that a customer has logged in from there."""
        self._known[source] = None
        self._known.move_to_end(source)
        if len(self._known) > KNOWN_MOST:
            self._known.popitem(last=False)

    def recall(self, addresses: Iterable[str]) -> None:
        """Know these again, from where customers had logged in before the start."""
        for address in addresses:
            self.note_login(source_of(address))

    def knows(self, address: str) -> bool:
        """Tell whether a customer has logged in from there."""
        return source_of(address) in self._known

    def is_suspect(self, address: str) -> bool:
        """Tell whether what it has committed counts still, beyond having gone away."""
        record = self._record(source_of(address))
        return record is not None and record.is_suspect

    def _make_way(self) -> bool:
        """End the stranger's connection that got nowhere for longest; False if there is none."""
        waiting = self._suspects or self._strangers
        if not waiting:
            return False
        if self._now() >= self._crowded_at + CROWDED_AGAIN_S:
            self._crowded_at = self._now()
            journal.guard_crowded(self._waiting_count)
        longest = next(iter(waiting))
        if waiting is self._suspects:
            self.penalise(longest.address, Offence.FAILED_LOGIN)
        longest.leave()
        return True

    def _record(self, source: str) -> _Record | None:
        """Return a source's record unless nothing of it counts any more."""
        record = self._records.get(source)
        if record is None or record.until > (now := self._now()):
            return record
        if record.forget_at <= now:
            del self._records[source]
            return None
        record.is_refused = False
        return record

    def _note_end(self, source: str, until: float) -> None:
        """Note when a source is forgiven; what this makes out of date is dropped now and then."""
        heapq.heappush(self._forgiven_next, (until, source))
        if len(self._forgiven_next) > 2 * SOURCES_MOST:
            ends = [(record.until, each) for each, record in self._records.items()]
            heapq.heapify(ends)
            self._forgiven_next = ends

    def _make_room(self) -> None:
        """Forget the source that is forgiven soonest, if there are too many."""
        while len(self._records) >= SOURCES_MOST:
            until, source = heapq.heappop(self._forgiven_next)
            record = self._records.get(source)
            if record is not None and record.until <= until:
                del self._records[source]


async def even_out(began: float, step_s: float) -> None:
    """Wait until whole steps have passed since then, by the loop's clock.

    For a refusal: a file that is read for some names and not for others takes 10 to 500 us, and
    public keys may be shown by the thousand. began: when what is refused was asked for.
    """
    await asyncio.sleep(step_s - (asyncio.get_running_loop().time() - began) % step_s)


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
