"""Several small files of one customer and feed: read one after the other, committed together.

Owns which files may go this way. Promises what `run` promises of each, and that of their reports
all are committed or none; whoever asks may then do them one by one. A commit and the statements
around it cost more than all that is done to a till's file.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

from tilldrop.importer import booking, run
from tilldrop.importer.booking import Ready
from tilldrop.importer.store_together import Booking
from tilldrop.mapping import feed_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tilldrop.importer.booking import Stores
    from tilldrop.rows import Job, Report


class NotTogether(Exception):
    """One of the files is larger than it seemed, or its customer's rows need a closer look."""


def run_all(jobs: Sequence[Job], stores: Stores, empty_folder: Callable[[], Path]) -> list[Report]:
    """Import deliveries of one customer and feed, in their order; return the committed reports.

    jobs: of first runs, all live, none part of a replay. empty_folder: makes the private folder
    of a run. Raises NotTogether, and what `run.run` raises; nothing is booked then.
    """
    live = stores.live
    wanted = {(job.delivery, job.run) for job in jobs}
    done = live.reports(tuple(job.delivery for job in jobs))
    if done.keys() - wanted:
        raise NotTogether  # another run was booked, whose rows may have to go
    feed = feed_from_json(jobs[0].feed or {})
    bookings = []
    for job in jobs:
        if (job.delivery, job.run) in done:
            continue
        judged = run.judge(job, _too_large, stores, empty_folder(), feed)
        if isinstance(judged, Ready):
            live.expect(job.customer, feed.name, judged.remember)
        bookings.append(_booking(job, judged))
    if bookings:
        made = live.book_all(bookings, feed)
        done |= {(report.delivery, report.run): report for report in made}
    return [done[job.delivery, job.run] for job in jobs]


def _booking(job: Job, judged: Ready | Report) -> Booking:
    if isinstance(judged, Ready):
        conclude = partial(booking.concluded, judged.draft, began=judged.began)
        return Booking(job, judged.staged, conclude, judged.remember)
    return Booking(job, None, lambda _: judged)


def _too_large() -> NoReturn:
    """Refuse a database to read with: its tables are those of one file."""
    raise NotTogether
