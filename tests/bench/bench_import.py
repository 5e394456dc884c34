"""Importing a million rows of 12 columns, against `sqlite3 .import` of the same file.

Ours: a fresh, warm worker, as the supervisor starts it, does the whole job: hash, count, map
and check every cell, refuse 1 % faulty rows, let the last of repeated keys win, book typed rows
with counts and control total, durably. Theirs: the raw text into a table with the same key, page
size, cache, WAL and `synchronous = FULL`. The two take turns. "report" ends when the report is
there, which is after the commit; "whole" when the process has ended and data.db is one file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import tilldrop
from tests.bench.figures import record
from tilldrop.importer import schema
from tilldrop.mapping import Feed, Reading, feed_to_json
from tilldrop.rows import Counts, Job, Report
from tilldrop.sources import FromColumn, When
from tilldrop.sqlite import sqlite3

ROWS = 1_000_000
ROUNDS = 5
GOAL_PEAK_MB = 500
CACHE_KIB = 128 * 1024  # as the worker's

SOURCES = {
    "location_id": "Store",
    "transaction_id": "Receipt",
    "sold_at": "Sold at",
    "total": "Total",
    "net": "Net",
    "tax": "Tax",
    "discount": "Discount",
    "item_count": "Items",
    "register_id": "Till",
    "operator_id": "Cashier",
    "shopper_id": "Member",
    "tender": "Paid by",
}
FEED = Feed(
    name="bench",
    files=("*.csv",),
    rows="per-transaction",
    max_fault_share=0.10,
    reading=Reading(),
    sources={
        target: When(column, (), ("YYYY-MM-DD HH:mm:ss",))
        if target == "sold_at"
        else FromColumn(column)
        for target, column in SOURCES.items()
    },
)
TENDERS = ("cash", "card", "voucher", "transfer")


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, what reads it, and what importing it must come to.

    columns: the file's. key: of the table that the raw text goes to, and how many it has.
    child_rows: child table -> rows.
    """

    path: Path
    counts: Counts
    total_minor: int
    keys: int
    feed: Feed = FEED
    columns: tuple[str, ...] = tuple(SOURCES.values())
    key: tuple[str, ...] = ("Store", "Receipt")
    child_rows: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Took:
    """One import. report_s: until the figures are there; whole_s: until all is at rest."""

    report_s: float
    whole_s: float
    peak_mb: float


def main() -> None:
    """Measure, check every report, record ratios and medians."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=ROWS, help="a multiple of 1000")
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
        folder = Path(name)
        sample = write_sample(folder, given.rows)
        measure("import", folder, sample, given.rounds)


def measure(name: str, folder: Path, sample: Sample, rounds: int) -> None:
    """Let both take turns, check every report, record ratios and medians."""
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(import_with_sqlite(folder, sample))
        ours.append(import_with_worker(folder, sample))
    _record(name, sample, ours, theirs)


def write_sample(folder: Path, rows: int) -> Sample:
    """Write the file: of each 1,000 records 10 are faulty and 10 repeat an earlier key."""
    path = folder / "arrived" / "d1"
    path.parent.mkdir()
    totals: dict[str, int] = {}
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(SOURCES.values()) + "\n")
        for number in range(rows):
            place = number % 1000
            receipt = f"R{number - 500 if place >= 990 else number:09d}"
            net = number * 7919 % 30_000 + 100
            tax = net // 5
            total = f"{(net + tax) // 100}.{(net + tax) % 100:02d}"
            day, minute = number // 40_000 % 28 + 1, number % 1440
            sold_at = f"2026-{number // 1_200_000 + 1:02d}-{day:02d} {minute // 60:02d}:"
            sold_at += f"{minute % 60:02d}:{number % 60:02d}"
            if place < 5:
                total = "n/a"
            elif place < 10:
                sold_at = "2026-02-31 10:00:00"
            else:
                totals[receipt] = net + tax
            file.write(
                f"S{number // 50_000:03d},{receipt},{sold_at},{total},{net / 100:.2f},"
                f"{tax / 100:.2f},{number % 3}.00,{number % 12 + 1},T{number % 8},C{number % 60},"
                f"M{number * 31 % 90_000:06d},{TENDERS[number % 4]}\n"
            )
    good = len(totals)
    thousands = rows // 1000
    counts = Counts(
        read=rows,
        rejected=10 * thousands,
        repeated=10 * thousands,
        transactions=good,
        inserted=good,
    )
    return Sample(path, counts, sum(totals.values()), rows - counts.repeated)


def import_with_worker(folder: Path, sample: Sample) -> Took:
    """Import into a new data.db; the clock starts when the job is sent."""
    data_db = _new_database(folder, "ours.db")
    schema.migrate(data_db)
    temp = folder / "temp"
    temp.mkdir(exist_ok=True)
    os.sync()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "tilldrop.importer.worker", str(folder / "lock")],
        env={"PYTHONPATH": str(Path(tilldrop.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as worker:
        stdin, stdout = cast("IO[bytes]", worker.stdin), cast("IO[bytes]", worker.stdout)
        assert "ready" in json.loads(stdout.readline())
        began = time.monotonic()
        stdin.write(_job(sample, data_db, temp).to_json().encode() + b"\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        report_s = time.monotonic() - began
        stdin.close()
        peak_mb = _reap(worker)
        whole_s = time.monotonic() - began
    _check(Report.from_json(json.dumps(answer["report"])), sample, data_db)
    return Took(report_s, whole_s, peak_mb)


def import_with_sqlite(folder: Path, sample: Sample) -> Took:
    """Import the raw text with the sqlite3 program; a later row of the same key wins there too."""
    data_db = _new_database(folder, "theirs.db")
    columns = ", ".join(f'"{column}" TEXT' for column in sample.columns)
    key = ", ".join(f'"{column}"' for column in sample.key)
    script = f"""
PRAGMA page_size = {schema.PAGE_BYTES};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA cache_size = -{CACHE_KIB};
CREATE TABLE raw ({columns}, PRIMARY KEY ({key}) ON CONFLICT REPLACE) WITHOUT ROWID;
.import --csv --skip 1 {sample.path} raw
"""
    os.sync()
    began = time.monotonic()
    with subprocess.Popen(
        ["sqlite3", "-bail", str(data_db)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as program:
        stdin = cast("IO[bytes]", program.stdin)
        stdin.write(script.encode())
        stdin.close()
        peak_mb = _reap(program)
        took_s = time.monotonic() - began
    assert _read(data_db, "SELECT count(*) FROM raw") == (sample.keys,)
    return Took(took_s, took_s, peak_mb)


def _job(sample: Sample, data_db: Path, temp: Path) -> Job:
    return Job(
        delivery="d1",
        run=1,
        arrival_seq=1,
        customer="acme",
        name="bench.csv",
        path=str(sample.path),
        data_path=str(data_db),
        temp_dir=str(temp),
        feed=feed_to_json(sample.feed),
        fingerprint="bench",
        zone="Europe/Paris",
        currency="EUR",
        same_as=None,
        max_record_bytes=1024**2,
        memory_bytes=1024**3,
        threads=2,
    )


def _new_database(folder: Path, name: str) -> Path:
    for file in folder.glob(f"{name}*"):
        file.unlink()
    return folder / name


def _reap(process: subprocess.Popen[bytes]) -> float:
    """Wait for the process to end well; return its peak of resident memory in MB."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.args
    return usage.ru_maxrss / 1000


def _check(report: Report, sample: Sample, data_db: Path) -> None:
    """A figure counts only if the import was right."""
    assert report.counts == sample.counts, (report, sample.counts)
    assert report.total_minor == sample.total_minor, report
    booked = _read(data_db, "SELECT count(*), sum(total_minor) FROM transactions")
    assert booked == (sample.counts.inserted, sample.total_minor), booked
    for table, rows in sample.child_rows.items():
        assert _read(data_db, f"SELECT count(*) FROM {table}") == (rows,), table


def _read(path: Path, sql: str) -> tuple[object, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.execute(sql).fetchone())


def _record(name: str, sample: Sample, ours: list[Took], theirs: list[Took]) -> None:
    ratio, whole_ratio = (
        statistics.median(b.whole_s / getattr(a, part) for a, b in zip(ours, theirs, strict=True))
        for part in ("report_s", "whole_s")
    )
    report_s = statistics.median(one.report_s for one in ours)
    whole_s = statistics.median(one.whole_s for one in ours)
    sqlite_s = statistics.median(one.whole_s for one in theirs)
    peak_mb = max(one.peak_mb for one in ours)
    rows = sample.counts.read
    children = sum(sample.child_rows.values())
    more = f" and {children} rows of child tables" if children else ""
    record(
        name,
        f"{ratio:.2f} times the speed of sqlite3 .import until the report ({whole_ratio:.2f} until"
        f" all is at rest); medians of {len(ours)}, {rows} records{more}: {report_s:.2f} s"
        f" ({whole_s:.2f}), .import {sqlite_s:.2f} s;"
        f" peak {peak_mb:.0f} MB (goal under {GOAL_PEAK_MB})",
        rows=rows,
        child_rows=children,
        rounds=len(ours),
        ratio=round(ratio, 3),
        whole_ratio=round(whole_ratio, 3),
        report_s=round(report_s, 3),
        whole_s=round(whole_s, 3),
        sqlite_s=round(sqlite_s, 3),
        peak_mb=round(peak_mb),
        sqlite_peak_mb=round(max(one.peak_mb for one in theirs)),
    )


if __name__ == "__main__":
    main()
