"""Which deliveries' bytes retention has to look at: queries, a page at a time.

Each returns the first of what is behind `after`, so that memory does not depend on how many there
are. Never changes a row and never touches a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.ledger_reading import DETAIL, instant_text, read_delivery

if TYPE_CHECKING:
    from datetime import datetime

    from tilldrop.delivery import Delivery, State
    from tilldrop.ledger_reading import LedgerReader

_OLDER = f"""
SELECT {DETAIL} FROM deliveries
WHERE state = ? AND bytes_gone_at IS NULL AND changed_at < ? AND (changed_at, id) > (?, ?)
ORDER BY changed_at, id LIMIT ?
"""  # noqa: S608
_GONE = f"""
SELECT {DETAIL} FROM deliveries
WHERE bytes_gone_at IS NOT NULL AND (bytes_gone_at, id) > (?, ?)
ORDER BY bytes_gone_at, id LIMIT ?
"""  # noqa: S608


def bytes_older_than(
    ledger: LedgerReader, state: State, before: datetime, after: Delivery | None, most: int
) -> list[Delivery]:
    """Return deliveries in a state since before that instant whose bytes are still there.

    The oldest first. after: the last one that was seen.
    """
    seen = (instant_text(after.changed_at), after.id) if after else ("", "")
    found = ledger.rows(_OLDER, (state, instant_text(before), *seen, most))
    return [read_delivery(row) for row in found]


def gone_since(
    ledger: LedgerReader, since: datetime | None, after: Delivery | None, most: int
) -> list[Delivery]:
    """Return deliveries whose bytes are gone, since that instant; the first gone first.

    after: the last one that was seen.
    """
    at, last = (after.bytes_gone_at, after.id) if after else (since, "")
    found = ledger.rows(_GONE, (instant_text(at) if at else "", last, most))
    return [read_delivery(row) for row in found]
