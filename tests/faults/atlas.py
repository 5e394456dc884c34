"""The places at which a way can be made to go wrong: counted, never written down by hand.

Owns how often each call was made on a way that nothing was done to, and which of these places
were met by a fault. Its choice is a place that was not met yet; one that was tried often in vain is
given up, and told of. Once all are met or given up it is the place that was tried least; the dice
choose among equals.
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


VAIN_MOST = 8  # tries at a place that was never met; then it is left to what time is over
VAIN_MOST_RARE = 2  # at one that only some undisturbed passes had


@dataclass(frozen=True, slots=True)
class Reach:
    """How much of a way was met. always: the places that every undisturbed pass has.

    given_up: how many of them were tried VAIN_MOST times or oftener and never met.
    """

    always: int
    met: int
    given_up: int
    kinds: int
    kinds_met: int

    def __add__(self, other: Reach) -> Reach:
        """Return the sum of two ways."""
        return Reach(
            self.always + other.always,
            self.met + other.met,
            self.given_up + other.given_up,
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
    _known: list[tuple[Place, bool, int]] = field(default_factory=list)  # always; its share

    def learn(self, counts: Iterable[Count]) -> None:
        """Take in a pass that nothing was done to."""
        found = Counter({(who, call, file): number for who, call, file, number in counts})
        self.least = found & self.least if self.passes else Counter(found)
        self.most |= found
        self.passes += 1
        self._known = []

    def add(self, other: Atlas) -> None:
        """Take in what another course found out about this way."""
        if other.passes:
            self.least = self.least & other.least if self.passes else other.least
        self.most |= other.most
        self.passes += other.passes
        self.tried += other.tried
        self.met += other.met
        self._known = []

    def places(self, counted: Counter[tuple[str, str, str]]) -> list[Place]:
        """Return every place that a count stands for."""
        return [
            Place(*kind, number)
            for kind, count in sorted(counted.items())
            for number in range(1, count + 1)
        ]

    def choose(self, dice: random.Random, share: tuple[int, int] = (0, 1)) -> Place | None:
        """Return the place to be tried next; None if there is none.

        share: (number, of how many) sweeps at a time; each takes places of its own first.
        """
        number, shares = share
        ranked: dict[tuple[bool, bool, bool, int], list[Place]] = {}
        for place, always, mark in self._places():
            tried = self.tried[place]
            over = place in self.met or tried >= (VAIN_MOST if always else VAIN_MOST_RARE)
            rank = (over, not over and mark % shares != number, not over and not always, tried)
            ranked.setdefault(rank, []).append(place)
        if not ranked:
            return None
        chosen = dice.choice(ranked[min(ranked)])
        self.tried[chosen] += 1
        return chosen

    def any(self, dice: random.Random) -> Place | None:
        """Return a place by the dice alone, which is no try at it; None if there is none."""
        known = self._places()
        return dice.choice(known)[0] if known else None

    def _places(self) -> list[tuple[Place, bool, int]]:
        if not self._known:
            self._known = [
                (place, place.number <= self.least[kind], crc32(repr(place).encode()))
                for place in self.places(self.most)
                for kind in [(place.who, place.call, place.file)]
            ]
        return self._known

    def reach(self) -> Reach:
        """Say how much was met."""
        always = self.places(self.least)
        missed = [place for place in always if place not in self.met]
        given_up = sum(self.tried[place] >= VAIN_MOST for place in missed)
        kinds = {place.kind for place in always}
        met = {place.kind for place in self.met}
        number = len(always)
        return Reach(number, number - len(missed), given_up, len(kinds), len(kinds & met))

    def missed(self) -> list[tuple[Place, int]]:
        """Return the places of every pass that no fault met, and how often each was tried."""
        always = self.places(self.least)
        return [(place, self.tried[place]) for place in always if place not in self.met]
