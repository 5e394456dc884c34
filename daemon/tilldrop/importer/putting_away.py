"""Where a delivery's bytes go once its import is recorded.

Owns the deliveries whose bytes could not be put away yet. Promises that they are put away later,
and that those of a delivery which has moved on meanwhile are left alone. Never changes a state.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tilldrop import journal
from tilldrop.delivery import Delivery, State
from tilldrop.errors import NoSuchDelivery, SpoolFailed, TilldropError

if TYPE_CHECKING:
    from tilldrop.ledger_reading import LedgerReader
    from tilldrop.spool import Spool


class PuttingAway:
    """Moves bytes to where their delivery's state wants them."""

    def __init__(self, ledger: LedgerReader, spool: Spool) -> None:
        self._ledger = ledger
        self._spool = spool
        self._left: dict[str, Delivery] = {}

    @property
    def is_done(self) -> bool:
        """Say whether nothing is left to be put away."""
        return not self._left

    def take(self, recorded: Delivery) -> None:
        """Put a delivery's bytes away, or say why not and do it later."""
        try:
            self._put_away(recorded)
        except (TilldropError, OSError) as error:
            self._left[recorded.id] = recorded
            code = error.code if isinstance(error, TilldropError) else SpoolFailed.code
            journal.bytes_not_moved(recorded.id, code, str(error))

    def try_again(self) -> None:
        """Put away what could not be; a delivery that has moved on is let go."""
        for left in list(self._left.values()):
            with suppress(TilldropError, OSError):  # said when it failed first
                if self._stands_in(left.id, left.state):
                    self._put_away(left)
                del self._left[left.id]

    def _stands_in(self, delivery_id: str, state: State) -> bool:
        try:
            return self._ledger.one(delivery_id).state is state
        except NoSuchDelivery:
            return False

    def _put_away(self, recorded: Delivery) -> None:
        """Keep the bytes, drop those with card data; what is held stays."""
        if recorded.bytes_gone_at is not None:
            self._spool.drop(recorded.id)
            journal.card_data_dropped(
                recorded.id, recorded.customer, recorded.name, str(recorded.reason)
            )
        elif recorded.state is State.HELD:
            reason = str(recorded.reason)
            journal.delivery_held(recorded.id, recorded.customer, recorded.name, reason)
        else:
            self._spool.keep(recorded.id)
