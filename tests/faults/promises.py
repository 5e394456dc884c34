"""What must hold of every upload, whatever was killed when.

Owns the comparison of what a client remembers with ledger, spool and rows. Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.delivery import FINISHED, Delivery, State
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.daemon import Daemon

UNFINISHED = frozenset({State.RECEIVING, State.WAITING, State.BROKEN})
# Where a file may lie while the daemon is idle, by the state of its delivery.
BELONGS = {"receiving": UNFINISHED, "arrived": frozenset({State.HELD}), "kept": FINISHED}
CENTS_A_ROW = 100


@dataclass(slots=True)
class Sent:
    """An upload as the client remembers it. acknowledged: its last reply was positive.

    replays: how often an operator asked for one; taken_back: whether one was told that it is
    undone; aged: whether it was made so old that its bytes may not be kept. resumable: whether it
    may be sent in several parts, or again by whoever sent it.
    """

    name: str
    content: bytes
    store: str
    acknowledged: bool = False
    replays: int = 0
    taken_back: bool | None = False
    aged: bool = False
    resumable: bool = False

    @property
    def rows(self) -> int:
        """How many transactions it holds."""
        return self.content.count(b"\n") - 1


@dataclass(frozen=True, slots=True)
class Booked:
    """What data.db holds. rows: store -> count and cents. runs: delivery -> outcome, inserted."""

    rows: dict[str, tuple[int, int]]
    runs: dict[str, list[tuple[str, int]]]


def complaints(daemon: Daemon, sent: list[Sent]) -> list[str]:
    """Check every upload against an idle daemon's ledger, spool and rows; [] if all is well."""
    deliveries = daemon.deliveries()
    by_name: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        by_name.setdefault(delivery.name, []).append(delivery)
    booked = _booked(daemon)
    found: list[str] = []
    for each in sent:
        accepted = [d for d in by_name.get(each.name, []) if d.arrival_seq is not None]
        found += _about_ledger(each, accepted, daemon.paths.spool / "kept")
        found += _about_rows(each, accepted, booked)
    everybodys = daemon.ledger().find(limit=100_000)
    found += _about_spool(daemon.paths.spool, {d.id: d.state for d in everybodys})
    for path in (daemon.paths.ledger, daemon.paths.data):
        found += _about_database(path)
    return found


def _booked(daemon: Daemon) -> Booked:
    rows = daemon.rows(
        "SELECT location_id, count(*), sum(total_minor) FROM transactions GROUP BY location_id"
    )
    runs: dict[str, list[tuple[str, int]]] = {}
    for delivery, outcome, inserted in daemon.rows(
        "SELECT delivery, outcome, json_extract(report, '$.counts.inserted') FROM deliveries"
    ):
        runs.setdefault(delivery, []).append((outcome, inserted))
    return Booked({store: (count, cents) for store, count, cents in rows}, runs)


def _about_ledger(sent: Sent, accepted: list[Delivery], kept: Path) -> Iterator[str]:
    if sent.acknowledged and len(accepted) != 1:
        yield f"{sent.name} was acknowledged and is in the ledger {len(accepted)} times"
    if len(accepted) > 1:
        yield f"{sent.name} was uploaded once and accepted {len(accepted)} times"
    for delivery in accepted:
        wanted = State.REJECTED if sent.taken_back else State.IMPORTED
        if delivery.state is not wanted:
            yield f"{sent.name} is {delivery.state}, not {wanted}"
        path = kept / delivery.id
        if sent.aged:
            if path.exists() or delivery.bytes_gone_at is None:
                yield f"{sent.name} is older than anything that is kept and is there still"
        elif not path.exists():
            yield f"{sent.name} is accepted but its bytes are gone"
        elif path.read_bytes() != sent.content:
            yield f"{sent.name}: the bytes kept are not the bytes sent"


def _about_rows(sent: Sent, accepted: list[Delivery], booked: Booked) -> Iterator[str]:
    rows = sent.rows if accepted and not sent.taken_back else 0
    wanted, found = (rows, rows * CENTS_A_ROW), booked.rows.get(sent.store, (0, 0))
    if found != wanted:
        yield f"{sent.name}: (rows, cents) are {found}, expected {wanted}"
    for delivery in accepted:
        runs = booked.runs.get(delivery.id, [])
        again = runs[1:] == [("imported", 0)] * len(runs[1:]) and len(runs) <= 1 + sent.replays
        outcome = "undone" if sent.taken_back else "imported"
        if runs[:1] != [(outcome, sent.rows)] or not again:
            yield f"{sent.name} was imported like this: {runs}"


def _about_spool(spool: Path, state_of: dict[str, State]) -> Iterator[str]:
    for folder, states in BELONGS.items():
        for path in (spool / folder).iterdir():
            state = state_of.get(path.name)
            if state not in states:
                yield f"{folder}/{path.name} lies there and its delivery is {state}"


def _about_database(path: Path) -> Iterator[str]:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        said = connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()
    if said != [("ok",)]:
        yield f"{path.name}: {said}"
