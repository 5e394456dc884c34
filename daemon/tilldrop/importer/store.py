"""Rows to data.db: the only writer of business tables.

Owns what is committed with a run: its rows, its refused records, what is remembered of its feed
and its report, all together or not at all. Promises: the last acknowledged delivery wins, in
whatever order deliveries are booked; counts are exact. Feeds that say nothing of corrections are
booked here, as fast as SQLite takes rows; all else is `merge`'s. The schema is `schema.py`'s.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tilldrop.importer.compile_dates import literal
from tilldrop.importer.erased import Erased
from tilldrop.importer.memory import Memory
from tilldrop.importer.store_connection import Connection, busy_told
from tilldrop.importer.store_merge import is_careful, merge
from tilldrop.importer.store_replay import begin, finish
from tilldrop.importer.store_scope import Scope
from tilldrop.importer.store_sql import (
    bound_key,
    cut_children,
    keys,
    upsert_child_rows,
    upsert_rows,
)
from tilldrop.importer.store_standing import REUSED_AFTER_DAYS, Booked, Standing, look
from tilldrop.importer.store_together import append_all
from tilldrop.importer.tables import DuckTables
from tilldrop.mapping import targets
from tilldrop.rows import Report, minor_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from tilldrop.importer.memory import Remember
    from tilldrop.importer.stage import Staged
    from tilldrop.importer.store_together import Booking
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

FEEDS_KEPT = 1_000  # whose memory stays at hand
VALUES_KEPT = 100_000  # of all customers; 10 MB
DATES_COMPARED = 1_000  # rows of a file whose ids are looked at for having been used before

CONFIRM = (
    "UPDATE {table} SET arrival_seq = {seq} WHERE customer = {customer}"
    " AND {key} AND arrival_seq <= {seq}"
)
COUNT_NEWER = (
    "UPDATE {table} SET arrival_seq = arrival_seq WHERE customer = {customer}"
    " AND {key} AND arrival_seq > {seq}"
)
COUNT_REUSED = (
    "UPDATE transactions SET arrival_seq = arrival_seq WHERE customer = {customer} AND {key}"
    " AND arrival_seq = {seq} AND abs(julianday(business_date) - julianday(?)) > {days}"
)
REUSED_BY = ("location_id", "transaction_id", "business_date")
FIND_REPORT = "SELECT report FROM deliveries WHERE delivery = {delivery} AND run = {run}"
FIND_REPORTS = "SELECT delivery, run, report FROM deliveries WHERE delivery IN ({deliveries})"
ADD_REPORT = (
    "INSERT INTO deliveries"
    " (delivery, run, customer, arrival_seq, name, feed, outcome, report, at, set_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
FORGET_REFUSED = "DELETE FROM rejected_rows WHERE delivery = {delivery}"
REFUSED = ("line", "code", "field", "seen", "record")
ADD_REFUSED = (
    "INSERT INTO rejected_rows (customer, delivery, run, line, code, field, seen, record)"
    " VALUES ({customer}, {delivery}, {run}, ?, ?, ?, ?, ?)"
)
FIND_MEMORY = "SELECT memory FROM feed_layouts WHERE customer = {customer} AND feed = {feed}"
SET_MEMORY = (
    "INSERT OR REPLACE INTO feed_layouts (customer, feed, arrival_seq, delivery, memory)"
    " VALUES (?, ?, ?, ?, ?)"
)
FIND_SEEN = "SELECT value FROM seen_values WHERE customer = {customer} AND kind = {kind}"
ADD_SEEN = (
    "INSERT OR IGNORE INTO seen_values (customer, kind, value, arrival_seq, delivery)"
    " VALUES (?, ?, ?, ?, ?)"
)
LOOK_UP = "SELECT {key}, {shown} FROM {table} WHERE customer = {customer}"


class Store:
    """One open data.db."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = Connection(path)
        self._erased: dict[str, Erased] = {}
        # What data.db holds, or will hold once what is judged is booked; nobody else writes it.
        self._memories: dict[tuple[str, str], Memory] = {}
        self._seen: dict[tuple[str, str], set[str]] = {}

    def is_at(self, path: Path) -> bool:
        """Tell whether this is still the file under that name (a restored backup is another)."""
        return self.connection.is_at(path)

    def report(self, delivery: str, run: int) -> Report | None:
        """Return the report of a run that was committed, else None. Raises DataBusy."""
        with busy_told():
            sql = FIND_REPORT.format(delivery=literal(delivery), run=run)
            found = self.connection.rows(sql)
        return Report.from_json(found[0][0]) if found else None

    def reports(self, deliveries: Sequence[str]) -> dict[tuple[str, int], Report]:
        """Return all reports that were committed of these, by (delivery, run). Raises DataBusy."""
        with busy_told():
            sql = FIND_REPORTS.format(deliveries=", ".join(map(literal, deliveries)))
            found = self.connection.rows(sql)
        return {(delivery, run): Report.from_json(text) for delivery, run, text in found}

    def lookup(self, customer: str, table: str, value: str, currency: str) -> dict[str, str]:
        """Return a column of a master table by its key, as texts; "" where it is empty.

        value: as targets are written. Amounts are decimals of the currency. Rows that are gone
        are among them: what was sold still has its price. Cost: 1 s for a million rows.
        """
        target = targets(table)[value]
        digits = {"money": minor_digits(currency), "milli": 3}.get(target.kind, 0)
        shown = target.column
        if digits:
            sign = f"CASE WHEN {shown} < 0 THEN '-' ELSE '' END"
            parts = f"{sign}, abs({shown}) / {10**digits}, abs({shown}) % {10**digits}"
            shown = f"iif({shown} IS NULL, '', printf('%s%d.%0{digits}d', {parts}))"
        sql = LOOK_UP.format(
            key=keys(table)[0],
            shown=f"coalesce(CAST({shown} AS TEXT), '')",
            table=table,
            customer=literal(customer),
        )
        with busy_told():
            return dict(self.connection.rows(sql))

    def memory(self, customer: str, feed: str) -> Memory | None:
        """Return what is remembered of a feed's files, None before the first. Raises DataBusy."""
        if (customer, feed) in self._memories:
            return self._memories[customer, feed]
        with busy_told():
            sql = FIND_MEMORY.format(customer=literal(customer), feed=literal(feed))
            found = self.connection.rows(sql)
        return Memory.from_json(found[0][0]) if found else None

    def seen(self, customer: str, kind: str) -> set[str]:
        """Return the values of a kind that the customer has ever sent. Raises DataBusy."""
        if (customer, kind) in self._seen:
            return self._seen[customer, kind]
        with busy_told():
            sql = FIND_SEEN.format(customer=literal(customer), kind=literal(kind))
            found = {value for (value,) in self.connection.rows(sql)}
        self._seen[customer, kind] = found
        return found

    def expect(self, customer: str, feed: str, remember: Remember) -> None:
        """Answer from now on as if this were remembered already, until `forget`."""
        if remember.layout is not None:
            self._memories[customer, feed] = remember.layout
        for kind, values in remember.values.items():
            self.seen(customer, kind).update(values)

    def forget(self) -> None:
        """Answer again from data.db alone."""
        self._memories.clear()
        self._seen.clear()

    def has_erased(self, customer: str) -> bool:
        """Tell whether a shopper of the customer was erased on request. Raises DataBusy."""
        if customer not in self._erased:
            with busy_told():
                self._erased[customer] = Erased.of(self.connection, customer)
        return bool(self._erased[customer].hashes)

    def record(self, job: Job, report: Report) -> None:
        """Commit a report of which nothing is booked. Raises DataBusy."""
        with self.connection.transaction():
            self._begin_replay(job)
            self._finish_replay(job)
            self._add_reports(((job, report, None),))

    def book(
        self,
        job: Job,
        staged: Staged,
        conclude: Callable[[Booked], Report],
        feed: Feed,
        remember: Remember | None = None,
    ) -> Report:
        """Commit what is staged and refused, and the report that `conclude` makes.

        staged: no key twice. Raises DataBusy (temporary); on that and any other error nothing
        is booked and the connection must be closed.
        Cost: 1.9 s for a million new rows, 4 s where all exist already; 6 ms for a thousand.
        """
        staged, left_out = self._without_erased(job, staged)
        with self.connection.transaction():
            self._begin_replay(job)
            standing = look(self.connection, job, feed, staged)
            if is_careful(job, feed, standing):
                booked = merge(self.connection, job, feed, staged, standing)
            else:
                booked = self._append(job, staged, standing)
            removed = booked.removed + self._finish_replay(job)
            if job.run > 1:
                sql = FORGET_REFUSED.format(delivery=literal(job.delivery))
                self.connection.execute(sql)
            self._add_refused(job, staged)
            if remember is not None:
                self._remember(feed, [(job, remember)])
            superseded = booked.superseded + left_out
            report = conclude(replace(booked, removed=removed, superseded=superseded))
            self._add_reports(((job, report, standing.set_id),))
        if remember is not None:
            self.expect(job.customer, feed.name, remember)
        return report

    def book_all(self, runs: Sequence[Booking], feed: Feed) -> list[Report]:
        """Commit several runs of a feed, all or none; return their reports. Raises DataBusy.

        runs: of one customer, small, as they arrived, and none was done before.
        """
        staged = [(one.job, one.staged) for one in runs if one.staged is not None]
        with self.connection.transaction():
            added = append_all(self.connection, staged, feed)
            if added is None:
                return [self._book_in_turn(one, feed) for one in runs]
            set_id, booked = added
            became = iter(booked)
            reports = [one.conclude(next(became) if one.staged else Booked()) for one in runs]
            for job, rows in staged:
                self._add_refused(job, rows)
            self._remember(feed, [(one.job, one.remember) for one in runs if one.remember])
            self._add_reports(
                (one.job, report, set_id if one.staged else None)
                for one, report in zip(runs, reports, strict=True)
            )
        return reports

    def _book_in_turn(self, one: Booking, feed: Feed) -> Report:
        if one.staged is not None:
            return self.book(one.job, one.staged, one.conclude, feed, one.remember)
        report = one.conclude(Booked())
        self.record(one.job, report)
        return report

    def rest(self) -> bool:
        """Do what can wait until a report is out; tell whether there was anything to do."""
        if len(self._memories) > FEEDS_KEPT or sum(map(len, self._seen.values())) > VALUES_KEPT:
            self.forget()
        return self.connection.rest()

    def close(self) -> None:
        """Close; the last connection to a data.db also empties its WAL."""
        self.connection.close()

    def _without_erased(self, job: Job, staged: Staged) -> tuple[Staged, int]:
        """Leave out who was erased on request; tell how many rows that were."""
        if not self.has_erased(job.customer):
            return staged, 0
        assert isinstance(staged.tables, DuckTables)  # noqa: S101  `run` sees to it
        columns = frozenset(column.name for column in staged.columns)
        erased = self._erased[job.customer]
        left_out = erased.leave_out(staged.tables.con, staged.table, columns)
        return replace(staged, transactions=staged.transactions - left_out), left_out

    def _begin_replay(self, job: Job) -> None:
        if job.replay.get("first"):
            begin(self._scope(job), job.replay["seqs"])

    def _finish_replay(self, job: Job) -> int:
        return finish(self._scope(job)) if job.replay.get("last") else 0

    def _scope(self, job: Job) -> Scope:
        of_job = (job.delivery, job.arrival_seq)
        return Scope.of(self.connection, job.customer, "transactions", *of_job)

    def _append(self, job: Job, staged: Staged, standing: Standing) -> Booked:
        """Insert new rows and change those that differ, where no newer delivery wrote them.

        A row that is there with equal values keeps its `delivery` and `line`, but takes this
        arrival_seq: 1 says A, 2 says B and is held, 3 says A again; when 2 is released, its B
        must lose against 3. So every row that is there is confirmed first, which also counts
        them; SQLite itself tells only how many rows an upsert touched. It costs 2 s for a million
        rows that exist; counting by a trigger cost 4 s for a million new ones.
        """
        names = {
            "table": staged.table,
            "customer": literal(job.customer),
            "seq": job.arrival_seq,
            "key": bound_key(staged.table),
        }
        key = keys(staged.table)
        bound = staged.tables.bound
        existing = newer = reused = 0
        if standing.has_rows:
            existing = self.connection.write(CONFIRM.format(**names), bound("staged", key))
        if standing.has_rows and standing.has_newer:
            newer = self.connection.write(COUNT_NEWER.format(**names), bound("staged", key))
        if existing and "business_date" in standing.columns:
            sql = COUNT_REUSED.format(**names, days=REUSED_AFTER_DAYS)
            reused = self.connection.write(sql, bound("staged", REUSED_BY, DATES_COMPARED))
        columns = (*key, *standing.columns)
        sql = upsert_rows(staged.table, columns, job)
        touched = self.connection.write(sql, bound("staged", (*columns, "line")))
        child_rows = {
            child: self._append_children(job, staged, child, cut=existing > 0)
            for child in standing.children
        }
        inserted = staged.transactions - existing - newer
        updated = touched - inserted
        return Booked(
            *(inserted, updated, existing - updated, newer), reused=reused, child_rows=child_rows
        )

    def _append_children(self, job: Job, staged: Staged, child: str, *, cut: bool) -> int:
        """Replace the child rows of the transactions just booked; returns how many were staged."""
        if cut:
            last = staged.tables.last_numbers(child)
            self.connection.write(cut_children(child, job), last)
        columns = tuple(column.name for column in staged.children[child])
        rows = staged.tables.bound(f"staged_{child}", (*columns, "line"))
        self.connection.write(upsert_child_rows(child, columns, job), rows)
        return staged.tables.count(f"staged_{child}")

    def _remember(self, feed: Feed, of: Sequence[tuple[Job, Remember]]) -> None:
        layouts = [(job, remember.layout) for job, remember in of if remember.layout is not None]
        for job, layout in layouts[-1:]:
            of_feed = (job.customer, feed.name, job.arrival_seq, job.delivery, layout.to_json())
            self.connection.add(SET_MEMORY, of_feed)
        rows = (
            (job.customer, kind, value, job.arrival_seq, job.delivery)
            for job, remember in of
            for kind, found in remember.values.items()
            for value in found
        )
        self.connection.add(ADD_SEEN, *rows)

    def _add_refused(self, job: Job, staged: Staged) -> None:
        if staged.refused:
            of_run = {"customer": literal(job.customer), "delivery": literal(job.delivery)}
            sql = ADD_REFUSED.format(**of_run, run=job.run)
            self.connection.write(sql, staged.tables.bound("refused", REFUSED))

    def _add_reports(self, of: Iterable[tuple[Job, Report, int | None]]) -> None:
        """Store reports, each with the set of columns that its rows fill."""
        now = datetime.now(UTC).isoformat("T", "milliseconds")
        rows = (
            (
                *(job.delivery, job.run, job.customer, job.arrival_seq, job.name, report.feed),
                *(report.outcome, report.to_json(), now, set_id),
            )
            for job, report, set_id in of
        )
        self.connection.add(ADD_REPORT, *rows)
