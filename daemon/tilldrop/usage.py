"""What each customer has in use: stored bytes, uploads of the day, sessions, bandwidth.

Owns the counts that limits are compared with, and what each limit's passing raises. The ledger is
asked when a customer is first met and from time to time; in between, what happens here is added,
so that an upload costs no query. Promises that bandwidth holds back the session that waits, and
no other. Never stops anything by itself: whoever asks gets the refusal.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tilldrop.errors import StoredTooMuch, TooManySessions, TooManyUploads
from tilldrop.ledger_reading import utcnow

if TYPE_CHECKING:
    from collections.abc import Callable

    from tilldrop.config import Limits
    from tilldrop.config_customers import Customer
    from tilldrop.ledger_reading import LedgerReader

LOOK_AGAIN_S = 60.0  # retention and operators give room back
LOOK_WHEN_FULL_S = 1.0
# A customer of a million files is summed up in a second: not more than one in so many seconds.
LOOK_SHARE = 100
BURST_S = 1.0  # of bandwidth that was not used just now


@dataclass(slots=True)
class _Account:
    """One customer's stored bytes. open_bytes: what open uploads added since they began."""

    stored_bytes: int = 0
    open_bytes: int = 0
    looked_at: float = float("-inf")
    look_took_s: float = 0.0
    day: date = date.min
    begun: int = 0
    free_at: float = 0.0


class Usage:
    """The counts of all customers. now: aware UTC. Safe to be used from several threads."""

    def __init__(self, ledger: LedgerReader, now: Callable[[], datetime] = utcnow) -> None:
        self._ledger = ledger
        self._now = now
        self._lock = threading.Lock()
        self._accounts: dict[str, _Account] = {}
        self._sessions: Counter[str] = Counter()

    # -- sessions

    def check_session(self, customer: Customer, limits: Limits) -> None:
        """Raise TooManySessions if the customer may open no other."""
        if limits.max_sessions and self._sessions[customer.name] >= limits.max_sessions:
            raise TooManySessions(f"{customer.name} has {limits.max_sessions} sessions")

    def count_session(self, customer: str, change: int) -> None:
        """Count a session in (1) or out (-1)."""
        self._sessions[customer] += change
        if not self._sessions[customer]:
            del self._sessions[customer]

    # -- uploads

    def check_room(self, customer: Customer, limits: Limits) -> None:
        """Raise StoredTooMuch if nothing more may be stored. May ask the ledger: it blocks."""
        if not limits.max_stored_bytes:
            return
        account = self._account(customer.name)
        self._look(customer.name, account, LOOK_AGAIN_S)
        if self._is_full(account, limits):
            self._look(customer.name, account, LOOK_WHEN_FULL_S)
        if self._is_full(account, limits):
            most = limits.max_stored_bytes
            raise StoredTooMuch(f"{customer.name} has stored all of its {most} bytes")

    def count_upload(self, customer: Customer, limits: Limits) -> None:
        """Count an upload that begins. Raises TooManyUploads. May ask the ledger: it blocks.

        The day is one of the customer's zone.
        """
        if not limits.max_uploads_a_day:
            return
        now = self._now().astimezone(ZoneInfo(customer.zone))
        account = self._account(customer.name)
        if account.day != now.date():
            midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
            begun = self._ledger.count_begun(customer.name, midnight)
            with self._lock:
                account.day, account.begun = now.date(), begun
        with self._lock:
            if account.begun >= limits.max_uploads_a_day:
                most = limits.max_uploads_a_day
                raise TooManyUploads(f"{customer.name} began {most} uploads today")
            account.begun += 1

    def meter(self, customer: Customer, limits: Limits, size_bytes: int) -> Meter:
        """Begin to measure an upload that has so many bytes in the ledger already."""
        return Meter(self, customer.name, limits, size_bytes)

    def grow(self, customer: str, by_bytes: int, most_bytes: int) -> None:
        """Count bytes of an open upload. Raises StoredTooMuch, and then counts nothing."""
        account = self._account(customer)
        with self._lock:
            after = account.stored_bytes + account.open_bytes + by_bytes
            if most_bytes and by_bytes > 0 and after > most_bytes:
                raise StoredTooMuch(f"{customer} would store more than {most_bytes} bytes")
            account.open_bytes += by_bytes

    def settle(self, customer: str, by_bytes: int) -> None:
        """Count bytes of an upload that has ended as stored."""
        account = self._account(customer)
        with self._lock:
            account.open_bytes -= by_bytes
            account.stored_bytes += by_bytes

    def book_time(self, customer: str, by_bytes: int, bandwidth_bytes_s: int) -> float:
        """Return for how many seconds these bytes have to wait, and let later ones wait longer."""
        account = self._account(customer)
        now = time.monotonic()
        with self._lock:
            free_at = max(account.free_at, now - BURST_S)
            account.free_at = free_at + by_bytes / bandwidth_bytes_s
        return max(0.0, account.free_at - now)

    # -- the ledger's word

    def _account(self, customer: str) -> _Account:
        with self._lock:
            return self._accounts.setdefault(customer, _Account())

    @staticmethod
    def _is_full(account: _Account, limits: Limits) -> bool:
        return account.stored_bytes + account.open_bytes >= limits.max_stored_bytes

    def _look(self, customer: str, account: _Account, after_s: float) -> None:
        """Ask the ledger unless that was done a short while ago."""
        began = time.monotonic()
        if began - account.looked_at < max(after_s, account.look_took_s * LOOK_SHARE):
            return
        account.looked_at = began  # first: the others need not ask too
        stored = self._ledger.stored_bytes(customer)
        with self._lock:
            account.stored_bytes = stored
            account.look_took_s = time.monotonic() - began


class Meter:
    """Measures one open upload."""

    def __init__(self, usage: Usage, customer: str, limits: Limits, size_bytes: int) -> None:
        self._usage = usage
        self._customer = customer
        self._most_bytes = limits.max_stored_bytes
        self._bandwidth_bytes_s = limits.bandwidth_bytes_s
        self._before_bytes = size_bytes
        self._counted_bytes = 0

    def note(self, size_bytes: int) -> None:
        """Count the upload at its size now. Raises StoredTooMuch."""
        by_bytes = max(size_bytes - self._before_bytes, 0) - self._counted_bytes
        if by_bytes:
            self._usage.grow(self._customer, by_bytes, self._most_bytes)
            self._counted_bytes += by_bytes

    async def let_pass(self, count_bytes: int) -> None:
        """Wait until the customer's bandwidth has room; all of its sessions share it."""
        if self._bandwidth_bytes_s:
            wait_s = self._usage.book_time(self._customer, count_bytes, self._bandwidth_bytes_s)
            if wait_s > 0:
                await asyncio.sleep(wait_s)

    def end(self) -> None:
        """Count what was written as stored; again is fine."""
        counted, self._counted_bytes = self._counted_bytes, 0
        if counted:
            self._usage.settle(self._customer, counted)
