"""The job that is made of a claimed delivery, with what only ledger and spool know.

Owns where a companion's bytes are and which hash would make a delivery a duplicate. Never changes
a state, never moves a file.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilldrop.companions import companion_feed, companions_of
from tilldrop.importer.jobs import Drafts
from tilldrop.mapping import match_feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.delivery import Delivery
    from tilldrop.ledger import Ledger
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job
    from tilldrop.spool import Spool


class ClaimedJobs:
    """Makes jobs of deliveries that the importer has claimed."""

    def __init__(self, ledger: Ledger, spool: Spool, config_of: Callable[[], Config]) -> None:
        self._ledger = ledger
        self._spool = spool
        self._config_of = config_of
        self._drafts = Drafts()

    def job(self, delivery: Delivery, customer: Customer, feed: Feed | None) -> Job:
        """Return a delivery's job. feed: what takes its name, None if nothing does."""
        job = self._drafts.of(self._config_of(), customer, feed)
        return replace(
            job,
            name=delivery.name,
            delivery=delivery.id,
            run=delivery.run,
            arrival_seq=delivery.arrival_seq or 0,
            path=str(self._spool.path_arrived(delivery.id)),
            same_as=self._same_as(delivery, feed, job.fingerprint),
            companion_path=self._companion_path(delivery, feed),
            accepts_controls=bool(delivery.accepted),
            replay=self._replay(delivery),
        )

    def together(self, deliveries: Iterable[Delivery]) -> list[Job]:
        """Return the jobs of the first of these that may share a commit; none if it is but one.

        deliveries: of one customer, small, as they arrived. Those that share a commit are first
        tries of first runs of one feed, all live, and none of them can be a duplicate: none has
        the name of one before it, nor, but for the first, of the latest import.
        """
        head, *behind = deliveries
        customer = self._config_of().customers.get(head.customer)
        feed = None if customer is None else _simple_feed(head, customer)
        if customer is None or feed is None or not behind:
            return []
        latest = self._ledger.latest_import(customer.name, feed.name)
        names = {head.name, "" if latest is None else latest.name}
        chosen = [head]
        for delivery in behind:
            if delivery.name in names or _simple_feed(delivery, customer) is not feed:
                break
            names.add(delivery.name)
            chosen.append(delivery)
        if len(chosen) == 1:
            return []
        first = self.job(head, customer, feed)
        return [first, *(self._like(first, delivery) for delivery in chosen[1:])]

    def _like(self, job: Job, delivery: Delivery) -> Job:
        return replace(
            job,
            name=delivery.name,
            delivery=delivery.id,
            arrival_seq=delivery.arrival_seq or 0,
            path=str(self._spool.path_arrived(delivery.id)),
            same_as=None,
        )

    def _replay(self, delivery: Delivery) -> dict[str, Any]:
        """Return `Job.replay`: its first and last job begin and end it in both databases."""
        if delivery.replay is None:
            return {}
        part: dict[str, Any] = json.loads(delivery.replay)
        sandbox = self._config_of().paths.sandbox
        if (part["first"] or part["last"]) and sandbox.exists():
            part["sandbox_path"] = str(sandbox)
        return part

    def _companion_path(self, delivery: Delivery, feed: Feed | None) -> str:
        """Return where the latest file is that declares this one's figures; "" if none is kept."""
        for name in () if feed is None else companions_of(feed, delivery.name):
            latest = self._ledger.latest_accepted(delivery.customer, name)
            path = None if latest is None else self._spool.path_of(latest.id)
            if path is not None:
                return str(path)
        return ""

    def _same_as(
        self, delivery: Delivery, feed: Feed | None, fingerprint: str | None
    ) -> str | None:
        """Return the hash that would make this delivery a duplicate.

        Only the feed's latest import counts, and only if nothing else of that feed came in
        between: a file sent again after a wrong one is imported, whether the wrong one was
        imported, or is held or refused and may be let in later. A later run was asked for by
        an operator and is never a duplicate.
        """
        if feed is None or delivery.run > 1 or delivery.arrival_seq is None:
            return None
        latest = self._ledger.latest_import(delivery.customer, feed.name)
        if latest is None or latest.name != delivery.name or latest.fingerprint != fingerprint:
            return None
        came_between = self._ledger.came_between(latest, delivery, feed.name)
        return None if came_between else latest.sha256

    def may_be_again(self, delivery: Delivery, feed: Feed | None) -> bool:
        """Tell whether the reports of those before must be recorded ahead of `job`.

        They decide whether it is a duplicate only if the latest import there is has its name.
        """
        if feed is None or delivery.run > 1:
            return False
        latest = self._ledger.latest_import(delivery.customer, feed.name)
        return latest is not None and latest.name == delivery.name


def _simple_feed(delivery: Delivery, customer: Customer) -> Feed | None:
    """Return the feed of a delivery that needs nothing but to be read and booked."""
    is_first = delivery.run == 1 and not (delivery.attempts or delivery.replay or delivery.accepted)
    if not is_first or companion_feed(customer.feeds, delivery.name):
        return None
    feed = match_feed(customer.feeds, delivery.name)
    if feed is None or feed.columns or customer.is_in_sandbox(feed):
        return None
    return None if companions_of(feed, delivery.name) else feed
