"""The job that is made of a delivery: all that the worker must know, from the configuration.

Owns which settings of a customer, a feed and the home cross the pipe. Promises that the
fingerprint changes with all that decides which rows a file becomes and where they go. Never
looks into ledger or spool: what only they know is put in by the caller.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tilldrop import mapping
from tilldrop.rows import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.mapping import Feed


def draft(config: Config, customer: Customer, feed: Feed | None, name: str) -> Job:
    """Return a job without its delivery: delivery, run, arrival_seq and path are to be put in.

    feed: what takes the name, None if nothing does. Rows go where the customer's mode says.
    """
    in_sandbox = feed is not None and customer.is_in_sandbox(feed)
    return Job(
        delivery="",
        run=1,
        arrival_seq=1,
        customer=customer.name,
        name=name,
        path="",
        data_path=str(config.paths.data),
        temp_dir=str(config.paths.state / "temp"),
        feed=None if feed is None else mapping.feed_to_json(feed),
        fingerprint=None if feed is None else fingerprint(customer, feed),
        zone=customer.zone,
        currency=customer.currency,
        same_as=None,
        max_record_bytes=config.limits.max_record_bytes,
        memory_bytes=config.importer.memory_bytes,
        threads=config.importer.threads,
        sandbox_path=str(config.paths.sandbox) if in_sandbox else "",
        live_locations=customer.live_locations if in_sandbox else (),
        locations=_locations(customer),
        shares_transactions=_shares_transactions(customer, feed),
        card_data=customer.card_data,
        max_unpacked_bytes=config.limits.max_unpacked_bytes,
        max_unpack_ratio=config.limits.max_unpack_ratio,
    )


class Drafts:
    """Drafts that were made, as long as the configuration is the same: one costs 0.2 ms."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._made: dict[tuple[str, str], Job] = {}

    def of(self, config: Config, customer: Customer, feed: Feed | None) -> Job:
        """Return the draft for a feed, without a name."""
        if config is not self._config:
            self._config, self._made = config, {}
        key = (customer.name, "" if feed is None else feed.name)
        if key not in self._made:
            self._made[key] = draft(config, customer, feed, "")
        return self._made[key]


def fingerprint(customer: Customer, feed: Feed) -> str:
    """Return what tells whether the same bytes would become the same rows in the same place."""
    target = ["sandbox", *customer.live_locations] if customer.is_in_sandbox(feed) else "live"
    context = (customer.zone, customer.currency, _locations(customer), target)
    return mapping.fingerprint(feed, *context)


def _locations(customer: Customer) -> dict[str, dict[str, Any]]:
    """Return what the worker must know of each location; its name is for people."""
    return {
        one: {
            "zone": location.zone,
            "currency": location.currency,
            "aliases": list(location.aliases),
        }
        for one, location in customer.locations.items()
    }


def _shares_transactions(customer: Customer, feed: Feed | None) -> bool:
    """Tell whether another feed fills transactions too."""
    return feed is not None and any(
        other.table == feed.table == "transactions" and other.name != feed.name
        for other in customer.feeds
    )


def jobs_to_json(jobs: Sequence[Job]) -> str:
    """Return one line of JSON of several jobs that are much alike: the first, and what differs."""
    first = jobs[0]
    each = [
        {
            name: value
            for name in Job.__slots__
            if (value := getattr(job, name)) is not (common := getattr(first, name))
            and value != common
        }
        for job in jobs
    ]
    whole = {"draft": asdict(first), "each": each}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


def jobs_from(plain: dict[str, Any]) -> list[Job]:
    """Make the jobs of which `jobs_to_json` wrote these values."""
    return [Job(**plain["draft"] | own) for own in plain["each"]]
