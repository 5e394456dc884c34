"""Which delivery is imported next: the queues of all customers, and whose turn it is.

Promises that a customer's deliveries are chosen in the order in which they arrived, and customers
in turns. Never changes a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from tilldrop.delivery import Delivery, State
from tilldrop.ledger_reading import DETAIL, HEADS, QUEUED, read_delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from tilldrop.sqlite import sqlite3

# Those that wait behind a delivery.
BEHIND = f"""
SELECT {DETAIL} FROM deliveries WHERE {QUEUED} AND customer = ? AND arrival_seq > ?
ORDER BY arrival_seq LIMIT ?
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Turn:
    """What choosing depends on. ready: tells whether a delivery's file is in place.

    served: customer -> a number that is larger the later it was chosen last.
    """

    now: datetime
    ready: Callable[[str], bool]
    served: Mapping[str, int]

    def can_begin(self, one: Delivery) -> bool:
        """Tell whether a delivery may be imported now; of a clock set back, nothing is waited."""
        due = one.not_before is None or one.not_before <= self.now or one.changed_at > self.now
        return one.state is State.ARRIVED and due and self.ready(one.id)


def choose(
    connection: sqlite3.Connection, turn: Turn, most: int, small_bytes: int
) -> list[Delivery]:
    """Return the delivery that is next, with small ones of the same customer that follow it.

    most: so many in all, and one that is larger than small_bytes only by itself.
    Cost: a row for each customer with a queue, and those returned.
    """
    heads = [read_delivery(row) for row in connection.execute(HEADS)]
    heads.sort(key=lambda head: (turn.served.get(head.customer, 0), head.arrival_seq))
    head = next(filter(turn.can_begin, heads), None)
    if head is None:
        return []
    if most == 1 or head.size_bytes > small_bytes:
        return [head]
    behind = connection.execute(BEHIND, (head.customer, head.arrival_seq, most - 1))
    return [
        head,
        *takewhile(
            lambda one: one.size_bytes <= small_bytes and turn.can_begin(one),
            map(read_delivery, behind),
        ),
    ]
