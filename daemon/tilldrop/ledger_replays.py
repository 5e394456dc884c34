"""Which delivery begins a customer's replay, if the one that was to begin it is put aside.

Owns that change of `deliveries.replay`. Promises that a replay begins with the first of its
deliveries that is imported: one that began it later would make stale what the others had stated,
and nothing would end it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.delivery import Delivery
    from tilldrop.sqlite import sqlite3

NEXT = (
    "SELECT id, replay FROM deliveries WHERE customer = ? AND replay IS NOT NULL"
    " AND state IN ('arrived', 'importing') AND arrival_seq > ? ORDER BY arrival_seq LIMIT 1"
)
SET = "UPDATE deliveries SET replay = ? WHERE id = ?"


def pass_on(connection: sqlite3.Connection, held: Delivery) -> None:
    """Let the next delivery of a replay begin it in the place of one that is held."""
    part = json.loads(held.replay or "{}")
    after = connection.execute(NEXT, (held.customer, held.arrival_seq)).fetchone()
    if not part.get("first") or after is None:
        return
    delivery_id, replay = after
    begins = {"first": True, "seqs": part["seqs"]}
    connection.execute(SET, (json.dumps(json.loads(replay) | begins), delivery_id))
    connection.execute(SET, (json.dumps(part | {"first": False, "seqs": []}), held.id))
