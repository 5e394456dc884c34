"""One run: from a delivery's bytes to its committed report.

Promises: a run is committed whole or not at all; a run that was committed is not done again,
its stored report is returned; what cannot be counted twice alike is not booked. Never opens a
connection, never touches the ledger.
"""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.errors import FAULTS
from tilldrop.importer import booking, careful, diagnosis, fast
from tilldrop.importer.booking import Ready, Stores
from tilldrop.importer.card_screen import screen, screen_unclaimed
from tilldrop.importer.cards import mask
from tilldrop.importer.columns import Columns, ColumnsFailed
from tilldrop.importer.controls import control_fault
from tilldrop.importer.engine import drop_all
from tilldrop.importer.notices import kept_columns, notice
from tilldrop.importer.parts import Limits
from tilldrop.importer.plan import mapping_faults
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean, Context, Staged
from tilldrop.mapping import Feed, feed_from_json
from tilldrop.mapping_columns import columns_needed
from tilldrop.rows import Counts, Fault, Job, Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Callable

    from duckdb import DuckDBPyConnection

    from tilldrop.importer.memory import Memory

    Engine = Callable[[], DuckDBPyConnection]

# Up to here a file is read in Python in less time than DuckDB takes to plan its queries.
SMALL_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True)
class _Run:
    """What all steps of a run need."""

    job: Job
    engine: Engine
    stores: Stores
    feed: Feed
    at: Context
    began: float

    def memory(self) -> Memory | None:
        """Return what is remembered of the feed."""
        leading = self.stores.leading(self.job)
        return leading.memory(self.job.customer, self.feed.name)

    def lookup(self, table: str, value: str) -> dict[str, str]:
        """Return a column of a master table; where rows are in sandbox, both databases count."""
        # A replay may have sandbox.db open for its own ends.
        sandbox = self.stores.sandbox if self.job.sandbox_path else None
        stores = (self.stores.live, sandbox)
        found: dict[str, str] = {}
        for store in stores:
            if store is not None:
                found |= store.lookup(self.job.customer, table, value, self.job.currency)
        return found


def run(job: Job, engine: Engine, stores: Stores, temp_dir: Path) -> Report:
    """Import a delivery with these connections and return its report.

    engine: returns a locked DuckDB without tables; tables are left in it. temp_dir: empty, private;
    files are left in it.
    Raises DataBusy (temporary); nothing is booked then, nor on any other error.
    """
    if (stored := stores.live.report(job.delivery, job.run)) is not None:
        return stored
    feed = None if job.feed is None else feed_from_json(job.feed)
    judged = judge(job, engine, stores, temp_dir, feed)
    if isinstance(judged, Ready):
        return booking.book(job, stores, judged)
    booking.record(job, stores, judged)
    return judged


def judge(
    job: Job, engine: Engine, stores: Stores, temp_dir: Path, feed: Feed | None
) -> Ready | Report:
    """Read and map the file. Returns what to book, or the report of why nothing is.

    engine, temp_dir: as for `run`. feed: the job's.
    """
    began = time.monotonic()
    judged = _judged(job, engine, stores, temp_dir, feed, began)
    if isinstance(judged, Ready):
        return judged
    return replace(judged, took_ms=round(1000 * (time.monotonic() - began)))


def _judged(
    job: Job, engine: Engine, stores: Stores, temp_dir: Path, feed: Feed | None, began: float
) -> Ready | Report:
    draft = Report(job.delivery, job.run, "imported", currency=job.currency)
    path = Path(job.path)
    if feed is None:
        return _unclaimed(job, draft, temp_dir)

    def read(file: Path) -> tuple[Clean | Fault, str, int]:
        return prepare(
            *(file, feed.reading, temp_dir, job.max_record_bytes),
            needed=columns_needed(feed),
            limits=Limits(job.max_unpacked_bytes, job.max_unpack_ratio, job.memory_bytes),
        )

    clean, sha256, size_bytes = read(path)
    draft = replace(draft, feed=feed.name, fingerprint=job.fingerprint, table=feed.table)
    draft = replace(draft, sha256=sha256, size_bytes=size_bytes, backfill=feed.backfill)
    draft = replace(draft, sandbox=bool(job.sandbox_path) and not job.live_locations)
    screened = screen(job, feed, clean, lambda file: read(file)[0], temp_dir)
    if screened.fault is not None:
        return _refused(draft, "rejected", screened.fault)
    draft = replace(draft, masked=screened.masked, masked_path=screened.masked_path)
    clean = screened.clean
    if sha256 == job.same_as:
        return _refused(draft, "duplicate", Fault("same-again"))
    at = Context(*(job.zone, job.currency, job.name, temp_dir, job.max_record_bytes), job.locations)
    of = _Run(job, engine, stores, feed, at, began)
    if isinstance(clean, Fault):
        fault = diagnosis.explain_encoding(clean, path, feed.reading)
        fault = diagnosis.explain_search(fault, path, feed, of.memory())
        return _refused(draft, "rejected", fault)
    if screened.warning is not None:
        clean = replace(clean, warnings=(screened.warning, *clean.warnings))
    return _map(of, draft, clean)


def _unclaimed(job: Job, draft: Report, temp_dir: Path) -> Report:
    """Report a file that no feed takes; it is hashed and looked through for cards only."""
    path = Path(job.path)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    draft = replace(draft, sha256=sha256, size_bytes=path.stat().st_size)
    if (fault := screen_unclaimed(job, temp_dir)) is not None:
        return _refused(draft, "rejected", fault)
    return _refused(draft, "unclaimed", Fault("no-feed", seen=job.name))


def _refused(draft: Report, outcome: Outcome, fault: Fault) -> Report:
    """Report a file of which nothing is booked, for one reason."""
    fault = replace(fault, seen=mask(fault.seen))
    counts_as_fault = outcome in {"rejected", "held"}
    return replace(
        draft,
        outcome=outcome,
        reason=fault.code,
        reason_seen=fault.seen,
        faults=(fault, *draft.faults) if counts_as_fault else (),
        fault_count=draft.fault_count + counts_as_fault,
    )


def _map(of: _Run, draft: Report, clean: Clean) -> Ready | Report:
    memory = of.memory()
    fault = mapping_faults(clean, of.feed, of.at, tuple(of.feed.columns))
    if fault is not None:
        fault = diagnosis.explain_header(fault, clean, of.feed, memory)
        return _refused(draft, "rejected", fault)
    staged = _stage(of, clean, kept_columns(of.feed, clean, memory))
    if isinstance(staged, Fault):
        return _refused(draft, "rejected", staged)
    weighed = _placed(_weigh(of, _told(of, draft, staged), clean, staged), clean)
    if weighed.outcome != "imported":
        return weighed
    leading = of.stores.leading(of.job)
    warnings, remember = notice(leading, of.job, of.feed, clean, staged, memory)
    warnings = tuple(replace(one, seen=mask(one.seen)) for one in warnings)
    return Ready(booking.warned(weighed, warnings), of.feed, staged, remember, of.began)


def _stage(of: _Run, clean: Clean, kept: tuple[str, ...]) -> Staged | Fault:
    """Map the records in the fast lane; in the careful lane if that one's counts are in doubt."""
    if clean.records == 0:
        return Fault("no-records")
    con = None if _is_small(of, clean) else of.engine()
    if con is not None and not (kept or of.feed.columns):
        quick = fast.stage(con, clean, of.feed, of.at)
        if quick is not None and _adds_up(of, clean, quick):
            return quick
        drop_all(con)
    try:
        extra = Columns(of.feed, clean, of.lookup) if of.feed.columns else None
        exact = careful.stage(con, clean, of.feed, of.at, extra, kept)
    except ColumnsFailed as failed:
        return failed.fault
    if isinstance(exact, Fault) or _adds_up(of, clean, exact):
        return exact
    return Fault("counts-disagree")


def _is_small(of: _Run, clean: Clean) -> bool:
    """Tell whether a file's rows may stay in Python. Who was erased is looked for in DuckDB."""
    has_erased = any(store.has_erased(of.job.customer) for store in of.stores.all())
    return clean.path.stat().st_size <= SMALL_BYTES and not has_erased


def _adds_up(of: _Run, clean: Clean, staged: Staged) -> bool:
    """Tell whether every record counted on the raw bytes was booked, refused or overtaken."""
    has_total = any(column.name == "total_minor" for column in staged.columns)
    rows, total_minor, refused = staged.tables.count_again(has_total=has_total)
    good = staged.read - staged.skipped - staged.refused - staged.repeated
    return (
        (rows, total_minor, refused) == (staged.transactions, staged.total_minor, staged.refused)
        and staged.read == clean.records
        # Records of one transaction become one row, so there the sum is a bound only.
        and (rows <= good and bool(rows) == bool(good) if of.feed.is_grouped else rows == good)
    )


def _told(of: _Run, draft: Report, staged: Staged) -> Report:
    """Take over the figures of what was read."""
    counts = Counts(
        read=staged.read,
        skipped=staged.skipped,
        rejected=staged.refused,
        repeated=staged.repeated,
    )
    return replace(
        draft,
        counts=counts,
        currency=_currency(of, staged),
        faults=tuple(replace(fault, seen=mask(fault.seen)) for fault in staged.faults),
        fault_count=staged.fault_count,
        warning_counts=dict(staged.warning_counts),
        lane=staged.lane,
    )


def _placed(report: Report, clean: Clean) -> Report:
    """Say of each fault in which file of an archive it is."""

    def placed(fault: Fault) -> Fault:
        place = mask(clean.place(fault.line)) if fault.line else ""
        if place and "{seen}" in FAULTS[fault.code]:
            return replace(fault, seen=f"{fault.seen} ({place})")
        return replace(fault, field=f"{fault.field} ({place})") if place else fault

    return replace(report, faults=tuple(map(placed, report.faults)))


def _currency(of: _Run, staged: Staged) -> str | None:
    """Return what all amounts are in, None if they are in several currencies."""
    own = any(one.get("currency") for one in of.job.locations.values())
    has_column = any(column.name == "currency" for column in staged.columns)
    if not has_column or not (own or "currency" in of.feed.sources):
        return of.job.currency
    [found] = staged.tables.different([("staged", "currency")], 2)
    if not found:
        return of.job.currency
    return found.pop() if len(found) == 1 else None


def _weigh(of: _Run, draft: Report, clean: Clean, staged: Staged) -> Report:
    """Refuse the file if too many of its records are faulty, hold it if its figures differ."""
    counted = staged.read - staged.skipped
    if counted and staged.faulty / counted > of.feed.max_fault_share:
        # Rounded up: a share past 10 % must not read as "10 %".
        percent = math.ceil(1000 * staged.faulty / counted) / 10
        seems = diagnosis.explain_values(draft.faults, of.feed, of.job.currency)
        draft = booking.warned(draft, (seems,) if seems else ())
        reason, seen = "too-many-faults", f"{percent:g} %"
        return replace(draft, outcome="rejected", reason=reason, reason_seen=seen)
    # Amounts in several currencies have no sum.
    adds_up = draft.currency is not None
    draft = replace(
        draft,
        counts=replace(draft.counts, transactions=staged.transactions, refunds=staged.refunds),
        total_minor=staged.total_minor if adds_up else 0,
        refund_minor=staged.refund_minor if adds_up else 0,
        sold_from=staged.sold_from,
        sold_to=staged.sold_to,
    )
    currency = draft.currency or of.job.currency
    differs = control_fault(of.feed, clean, staged, of.job, currency)
    if differs is None:
        return draft
    if of.job.accepts_controls:
        seen = mask(differs.seen)
        return booking.warned(draft, (Fault("control-accepted", seen=seen, warning=True),))
    return _refused(draft, "held", differs)
