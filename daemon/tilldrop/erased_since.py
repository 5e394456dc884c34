"""What a restored backup brings back: customers and shoppers that were taken out after it was made.

Compares a restored home with one that knows of the removals: the home as it was, or a newer backup.
A shopper is known there by a salted hash alone, and is found by trying the ids that came back.
Promises that who was erased is not booked again by files to come. Erases nothing by itself.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING

from tilldrop import audit
from tilldrop.errors import HomeUnusable
from tilldrop.importer import schema
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

ROWS = ("data.db", "sandbox.db")
_ERASED = "SELECT customer, hash, salt, at FROM erased_shoppers"
_REMEMBER = "INSERT OR IGNORE INTO erased_shoppers (customer, hash, salt, at) VALUES (?, ?, ?, ?)"
_SHOPPERS = (
    "SELECT shopper_id FROM shoppers WHERE customer = ?1"
    " UNION SELECT shopper_id FROM transactions WHERE customer = ?1 AND shopper_id IS NOT NULL"
)


def removed_customers(state: Path, knowing: Path, since: str) -> list[str]:
    """Return customers of a state that were removed after an instant (ISO 8601, UTC) elsewhere."""
    log = knowing / "audit.db"
    if not log.exists():
        raise HomeUnusable(f"there is no {log}, which tells who was removed")
    removed = {
        str(one.what["customer"]) for one in audit.read(log, since=since, event="customer.removed")
    }
    with closing(_reading(state / "ledger.db")) as ledger:
        there = {name for (name,) in ledger.execute("SELECT DISTINCT customer FROM deliveries")}
    return sorted(removed & there)


def erased_shoppers(state: Path, knowing: Path) -> list[tuple[str, str]]:
    """Return (customer, shopper's id) of those who came back, and remember that they are erased.

    Raises what `schema.migrate` does. Cost: one hash for each shopper of such a customer.
    """
    with closing(_reading(knowing / ROWS[0])) as known:
        erased = known.execute(_ERASED).fetchall()
    found: set[tuple[str, str]] = set()
    for name in ROWS if erased else ():
        path = state / name
        if not path.exists():
            continue
        schema.migrate(path)  # an older backup has no place to remember them
        with closing(sqlite3.connect(path, isolation_level=None)) as rows:
            rows.executemany(_REMEMBER, erased)
            for customer in {one[0] for one in erased}:
                hashes = {(salt, digest) for who, digest, salt, _ in erased if who == customer}
                ids = [shopper for (shopper,) in rows.execute(_SHOPPERS, (customer,))]
                found |= {(customer, shopper) for shopper in ids if _is_among(shopper, hashes)}
    return sorted(found)


def _is_among(shopper: str, hashes: set[tuple[str, str]]) -> bool:
    salts = {salt for salt, _ in hashes}
    return any(
        (salt, hashlib.sha256((salt + shopper).encode()).hexdigest()) in hashes for salt in salts
    )


def _reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
