"""What a proposed mapping makes of its samples: a trial import of each, in their order.

Owns the database that it is booked into and thrown away. Promises that the figures come from the
same importer that will book deliveries.
"""

from __future__ import annotations

import tomllib
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tilldrop.config import ImporterSettings, Limits
from tilldrop.importer.schema import migrate
from tilldrop.importer.supervisor import Supervisor
from tilldrop.mapping import Feed, feed_to_json, fingerprint
from tilldrop.mapping_toml import read_feed
from tilldrop.rows import Job, Report, minor_digits
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable

CUSTOMER = "guess"
_FAULTY = 0.02


@dataclass(frozen=True, slots=True)
class Figures:
    """What was booked in all. reports: of each file, in their order. sums: decimal texts."""

    reports: tuple[Report, ...] = ()
    transactions: int = 0
    total: str = "0"
    refunds: int = 0
    refund_total: str = "0"
    first: str = ""
    last: str = ""
    locations: tuple[tuple[str, int, str], ...] = ()
    children: dict[str, int] | None = None


def feeds_of(written: str) -> tuple[list[Feed], list[str]]:
    """Return the feeds of a TOML text and what is wrong with it."""
    wrong: list[str] = []

    def complain(key: str, said: str) -> None:
        wrong.append(f"{key}: {said}")

    raw = tomllib.loads(written).get("feeds", [])
    feeds = [feed for one in raw if (feed := read_feed(one, complain)) is not None]
    return feeds, wrong


def try_feeds(pairs: Iterable[tuple[Feed, Path]], zone: str, currency: str) -> Figures:
    """Import files into nothing. pairs: feed and file, master files first. Raises WorkerLost."""
    pairs = list(pairs)
    with TemporaryDirectory(prefix="tilldrop-guess-") as folder:
        data = Path(folder, "data.db")
        migrate(data)
        supervisor = Supervisor(Path(folder, "worker.lock"), ImporterSettings())
        reports = []
        try:
            supervisor.start()
            shares = sum(feed.table == "transactions" for feed, _ in pairs) > 1
            for number, (feed, file) in enumerate(pairs, 1):
                job = _job(number, feed, file, zone, currency)
                place = {"data_path": str(data), "temp_dir": folder, "shares_transactions": shares}
                reports.append(supervisor.run(replace(job, **place)))  # type: ignore[arg-type]
        finally:
            supervisor.stop()
        return _read(data, tuple(reports), currency)


def is_doubtful(report: Report) -> bool:
    """Tell whether a trial speaks against the mapping."""
    return report.outcome != "imported" or report.fault_count > _FAULTY * max(1, report.counts.read)


def _job(number: int, feed: Feed, file: Path, zone: str, currency: str) -> Job:
    limits, settings = Limits(), ImporterSettings()
    return Job(
        delivery=f"guess-{number}",
        run=1,
        arrival_seq=number,
        customer=CUSTOMER,
        name=file.name,
        path=str(file.resolve()),
        data_path="",
        temp_dir="",
        feed=feed_to_json(feed),
        fingerprint=fingerprint(feed, zone, currency),
        zone=zone,
        currency=currency,
        same_as=None,
        max_record_bytes=limits.max_record_bytes,
        memory_bytes=settings.memory_bytes,
        threads=settings.threads,
        card_data="mask",
    )


def _read(data: Path, reports: tuple[Report, ...], currency: str) -> Figures:
    """Read what was booked."""
    with closing(sqlite3.connect(data)) as connection:
        rows = connection.execute(
            "SELECT location_id, coalesce(currency, ?), kind, sum(total_minor), count(*), min(sold_at),"
            " max(sold_at) FROM transactions GROUP BY 1, 2, 3, total_minor < 0",
            (currency,),
        ).fetchall()
        children = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in (
                "line_items",
                "tenders",
                "taxes",
                "products",
                "shoppers",
                "locations",
                "stock_levels",
            )
        }
    return _summed(rows, reports, {table: count for table, count in children.items() if count})


def _summed(rows: list[Any], reports: tuple[Report, ...], children: dict[str, int]) -> Figures:
    total = refunds = Decimal(0)
    count = refund_count = 0
    places: dict[str, tuple[int, Decimal]] = {}
    for place, code, kind, minor, times, _, _ in rows:
        amount = Decimal(minor or 0).scaleb(-minor_digits(code))
        if kind == "void":
            continue
        total += amount
        count += times
        if kind == "refund" or (minor or 0) < 0:
            refunds += amount
            refund_count += times
        before = places.get(place, (0, Decimal(0)))
        places[place] = (before[0] + times, before[1] + amount)
    return Figures(
        reports,
        count,
        str(total),
        refund_count,
        str(refunds),
        min((row[5] for row in rows if row[5]), default=""),
        max((row[6] for row in rows if row[6]), default=""),
        tuple((place, times, str(amount)) for place, (times, amount) in sorted(places.items())),
        children,
    )
