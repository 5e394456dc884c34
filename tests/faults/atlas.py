"""The places at which a way can be made to go wrong: counted, never written down by hand.

Owns how often each call was made on a way that nothing was done to, and which of these places
were met by a fault. Its choice is the place that was tried least; the dice choose among equals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from tests.faults.tracer import Place

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from tests.faults.tracer import Count


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of a way was met. always: the places that every undisturbed pass has."""

    always: int
    met: int
    kinds: int
    kinds_met: int

    def __add__(self, other: Reach) -> Reach:
        """Return the sum of two ways."""
        return Reach(
            self.always + other.always,
            self.met + other.met,
            self.kinds + other.kinds,
            self.kinds_met + other.kinds_met,
        )


@dataclass(slots=True)
class Atlas:
    """The places of one way. most, least: calls of each kind in the passes that were counted."""

    most: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    least: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    passes: int = 0
    tried: Counter[Place] = field(default_factory=Counter)
    met: Counter[Place] = field(default_factory=Counter)

    def learn(self, counts: Iterable[Count]) -> None:
        """Take in a pass that nothing was done to."""
        found = Counter({(who, call, file): number for who, call, file, number in counts})
        self.least = found & self.least if self.passes else Counter(found)
        self.most |= found
        self.passes += 1

    def add(self, other: Atlas) -> None:
        """Take in what another course found out about this way."""
        if other.passes:
            self.least = self.least & other.least if self.passes else other.least
        self.most |= other.most
        self.passes += other.passes
        self.tried += other.tried
        self.met += other.met

    def places(self, counted: Counter[tuple[str, str, str]]) -> list[Place]:
        """Return every place that a count stands for."""
        return [
            Place(*kind, number)
            for kind, count in sorted(counted.items())
            for number in range(1, count + 1)
        ]

    def choose(self, dice: random.Random, share: tuple[int, int] = (0, 1)) -> Place | None:
        """Return a place that was tried least; None if there is none.

        share: (number, of how many) sweeps at a time; each takes places of its own first.
        """
        number, shares = share

        def tried(place: Place) -> tuple[int, bool]:
            return self.tried[place], crc32(repr(place).encode()) % shares != number

        places = {place: tried(place) for place in self.places(self.most)}
        if not places:
            return None
        least = min(places.values())
        chosen = dice.choice([place for place, rank in places.items() if rank == least])
        self.tried[chosen] += 1
        return chosen

    def reach(self) -> Reach:
        """Say how much was met."""
        always = self.places(self.least)
        kinds = {place.kind for place in always}
        met = {place.kind for place in self.met}
        return Reach(
            len(always), sum(place in self.met for place in always), len(kinds), len(kinds & met)
        )

    def missed(self) -> Counter[str]:
        """Return how many places of each kind, among those of every pass, no fault met."""
        return Counter(place.kind for place in self.places(self.least) if place not in self.met)
