"""Whether all that was acknowledged is there, exactly once: in the ledger and in the rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tilldrop.delivery import State

if TYPE_CHECKING:
    from tests.daemon import Daemon

CENTS_A_ROW = 100
Acknowledged = list[tuple[str, str, str, int]]  # customer, name, store, rows


def complaints(daemon: Daemon, acknowledged: Acknowledged) -> list[str]:
    """Compare what clients remember with an idle daemon's ledger and rows; [] if all is well."""
    ledger = Counter[tuple[str, str, str]]()
    for customer in {each[0] for each in acknowledged}:
        for delivery in daemon.deliveries(customer=customer):
            if delivery.arrival_seq is not None:
                ledger[customer, delivery.name, delivery.state] += 1
    found = [
        f"{name} of {customer} was acknowledged and is imported"
        f" {ledger[customer, name, State.IMPORTED]} times"
        for customer, name, *_ in acknowledged
        if ledger[customer, name, State.IMPORTED] != 1
    ]
    return found + _about_rows(daemon, acknowledged)


def _about_rows(daemon: Daemon, acknowledged: Acknowledged) -> list[str]:
    wanted = Counter[tuple[str, str]]()
    for customer, _, store, rows in acknowledged:
        wanted[customer, store] += rows
    there = {
        (customer, store): (count, cents)
        for customer, store, count, cents in daemon.rows(
            "SELECT customer, location_id, count(*), sum(total_minor)"
            " FROM transactions GROUP BY customer, location_id"
        )
    }
    return [
        f"{customer}, store {store}: (rows, cents) are {there.get((customer, store))},"
        f" expected {(rows, rows * CENTS_A_ROW)}"
        for (customer, store), rows in wanted.items()
        if there.get((customer, store)) != (rows, rows * CENTS_A_ROW)
    ]
