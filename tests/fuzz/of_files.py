"""Targets of files and their mappings: the compiler, the reader, both lanes, whole imports.

An input is a mapping in TOML, a rule, and the file below it, so that what was found can be read.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.fuzz.target import (
    RULE,
    Target,
    bend_mapping,
    bend_mapping_and_table,
    mapped_files,
    parse,
)
from tilldrop.config import Config, ImporterSettings, Limits, LogSettings, Paths, SftpDoor
from tilldrop.config_customers import read_customer
from tilldrop.importer import careful, engine, fast, jobs, reading
from tilldrop.importer.columns import Columns, ColumnsFailed
from tilldrop.importer.parts import CHUNK_BYTES
from tilldrop.importer.parts import Limits as UnpackLimits
from tilldrop.importer.plan import mapping_faults
from tilldrop.importer.reading import prepare
from tilldrop.importer.records import QuoteUnclosed, read_records
from tilldrop.importer.schema import migrate
from tilldrop.importer.stage import Clean, Context, Staged
from tilldrop.importer.worker import Worker
from tilldrop.mapping import feed_from_json, feed_to_json, fingerprint
from tilldrop.mapping_columns import columns_needed
from tilldrop.rows import Fault, Job, Report
from tilldrop.sqlite import sqlite3
from tilldrop.toml_table import Table, line_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tilldrop.config_customers import Customer
    from tilldrop.importer.few import FewTables
    from tilldrop.mapping import Feed

MAX_RECORD_BYTES = 4000
MEMORY_BYTES = 512 * 1024**2
UNPACK = UnpackLimits(8 * 1024**2, 200, MEMORY_BYTES)
CELLS = ("1", "2026-01-05 10:30", "5.00", "05/01/2026", "x", "", "A", "10:30")
NEW_DATABASE_AFTER = 200  # imports; else looking at them would take longer and longer


@dataclass(frozen=True)
class Given:
    """What an input says. sent_as: the file's name."""

    customer: Customer
    feed: Feed
    sent_as: str
    raw: bytes

    def job(self, home: Path) -> Job:
        """Return the job that is made of it."""
        limits = Limits(max_record_bytes=MAX_RECORD_BYTES)
        settings = (SftpDoor(), limits, ImporterSettings(threads=1), LogSettings())
        config = Config(Paths(home, home), *settings, customers={})
        job = jobs.draft(config, self.customer, self.feed, self.sent_as)
        unpacked = UNPACK.max_unpacked_bytes
        return replace(job, max_unpacked_bytes=unpacked, memory_bytes=MEMORY_BYTES)


def read(raw: bytes) -> Given | None:
    """Read an input; None if the mapping is refused, which must come with a complaint."""
    text, _, table = raw.partition(RULE)
    toml = parse(text)
    if toml is None:
        return None
    sent_as = toml.pop("sent_as", "")
    toml = {"zone": "Europe/Paris", "currency": "EUR", **toml}
    complaints: list[tuple[str, str]] = []
    customer = read_customer(Table(toml, lambda *said: complaints.append(said)), "acme")
    for key, said in complaints:
        assert isinstance(key, str)
        assert said.isprintable(), said
        assert 0 <= line_of(text.decode(), key) <= text.count(b"\n") + 1
    if complaints or not customer.feeds:
        return None
    feed = customer.feeds[0]
    name = sent_as if isinstance(sent_as, str) and sent_as else "sales.csv"
    return Given(customer, feed, name, table)


class Bed:
    """Where files are read. folder: of the run, emptied before each."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "temp"
        self.folder.mkdir()
        self.path = home / "delivery"
        terms = engine.Terms(str(home), str(self.folder), MEMORY_BYTES, 1)
        self.con = engine.connect(terms)

    def prepared(self, given: Given) -> Clean | Fault:
        """Write the file and read it, in a folder without what the last one left."""
        for path in self.folder.iterdir():
            path.unlink()
        self.path.write_bytes(given.raw)
        clean, _, size_bytes = prepare(
            *(self.path, given.feed.reading, self.folder, MAX_RECORD_BYTES),
            needed=columns_needed(given.feed),
            limits=UNPACK,
        )
        assert size_bytes == len(given.raw)
        assert self.path.read_bytes() == given.raw
        return clean

    def context(self, given: Given) -> Context:
        """Return what the file's meaning depends on."""
        job = given.job(self.home)
        return Context(
            *(job.zone, job.currency, job.name, self.folder, MAX_RECORD_BYTES), job.locations
        )

    def look(self, staged: Staged) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of what a lane left."""
        tables = ["staged", "refused", *(f"staged_{table}" for table in staged.children)]
        return {
            table: self.con.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            for table in tables
        }


# -- the mapping compiler


@contextmanager
def begin_mapping(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Read, keep and compile a mapping; run what was compiled on a file that has its columns."""
    bed = Bed(home)

    def one(text: bytes) -> None:
        given = read(text)
        if given is None:
            return
        for feed in given.customer.feeds:
            assert feed_from_json(feed_to_json(feed)) == feed
            assert fingerprint(feed) == fingerprint(feed_from_json(feed_to_json(feed)))
        compare(bed, replace(given, raw=_file_for(given.feed)))

    yield one


def _file_for(feed: Feed) -> bytes:
    """Write a small file that has the columns of a mapping."""
    form = feed.reading
    mark = " " if form.delimiter == "blanks" else form.delimiter
    names = form.columns or columns_needed(feed)
    rows = [
        [CELLS[(at * 3 + row) % len(CELLS)].replace(mark, "") for at in range(len(names))]
        for row in range(8)
    ]
    head = [names] if form.header_line else []
    lines = [mark.join(cells) for cells in [*head, *rows]]
    before = "\n" * max(form.header_line - 1, 0)
    return (before + "\n".join(lines) + "\n").encode(form.encoding, "replace")


# -- the header and dialect reader


@contextmanager
def begin_reading(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Bring a file to clean text: as many records as counted, wherever its chunks end."""
    bed = Bed(home)

    def one(raw: bytes) -> None:
        given = read(raw)
        if given is None:
            return
        found = _read_in_chunks(bed, given, CHUNK_BYTES)
        in_small = _read_in_chunks(bed, given, 5 + len(raw) % 9)
        # What is no text, and which way round its bytes stand, is told by the first chunk.
        if given.feed.reading.encoding not in {"utf-16", "utf-32"} and found and in_small:
            assert found == in_small, (found, in_small)

    yield one


def _read_in_chunks(bed: Bed, given: Given, chunk_bytes: int) -> tuple[object, ...]:
    """Return all that reading found, () for a fault; chunks have no setting."""
    vars(reading)["CHUNK_BYTES"] = chunk_bytes
    try:
        clean = bed.prepared(given)
    finally:
        vars(reading)["CHUNK_BYTES"] = CHUNK_BYTES
    if isinstance(clean, Fault):
        return ()
    plain = replace(clean, path=Path(), odd=False, quoted=False, has_odd_blanks=False)
    return (plain, clean.path.read_bytes(), _records(clean, given.feed))


def _records(clean: Clean, feed: Feed) -> object:
    form = clean.reading or feed.reading
    try:
        found = list(read_records(clean, form, MAX_RECORD_BYTES))
    except QuoteUnclosed as unclosed:
        return unclosed.line
    assert len(found) == clean.records, (len(found), clean.records)
    return [(each.line, each.cells) for each in found]


# -- both lanes


@contextmanager
def begin_lanes(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Map a file in both lanes: they leave the same, or the fast one steps aside."""
    bed = Bed(home)

    def one(raw: bytes) -> None:
        given = read(raw)
        if given is not None:
            compare(bed, given)

    yield one


def compare(bed: Bed, given: Given) -> None:
    """Map a file in both lanes and compare what they leave."""
    clean = bed.prepared(given)
    at = bed.context(given)
    if isinstance(clean, Fault) or mapping_faults(clean, given.feed, at, tuple(given.feed.columns)):
        return
    quick = None if given.feed.columns else fast.stage(bed.con, clean, given.feed, at)
    quick_rows = bed.look(quick) if quick else {}
    engine.drop_all(bed.con)
    try:
        extra = Columns(given.feed, clean, lambda *_: {}) if given.feed.columns else None
        exact = careful.stage(bed.con, clean, given.feed, at, extra)
    except ColumnsFailed:
        return
    _compare_few(bed, given, clean, exact)
    if isinstance(exact, Staged):
        rows = bed.look(exact)
        assert exact.read == clean.records
        assert exact.transactions == len(rows["staged"])
        assert exact.refused == len(rows["refused"])
    if quick is not None and _adds_up(quick, clean, quick_rows, given.feed):
        assert isinstance(exact, Staged), exact
        assert quick_rows == rows
        # Only one lane knows in which format a faulty record's date was written.
        assert set(quick.formats) <= set(exact.formats)
        assert replace(quick, lane="careful", formats=exact.formats) == exact
    engine.drop_all(bed.con)


def _compare_few(bed: Bed, given: Given, clean: Clean, exact: Staged | Fault) -> None:
    """Map the file as small ones are, without DuckDB: it comes to the same."""
    extra = Columns(given.feed, clean, lambda *_: {}) if given.feed.columns else None
    few = careful.stage(None, clean, given.feed, bed.context(given), extra)
    assert few == exact, (few, exact)
    if isinstance(few, Staged) and isinstance(exact, Staged):
        tables = cast("FewTables", few.tables).tables
        for name, rows in bed.look(exact).items():
            assert sorted(tables[name].rows, key=repr) == sorted(rows, key=repr), name


def _adds_up(staged: Staged, clean: Clean, rows: dict[str, Any], feed: Feed) -> bool:
    """Tell whether an import would take what the fast lane left: `run` asks the same."""
    good = staged.read - staged.skipped - staged.refused - staged.repeated
    found = len(rows["staged"])
    return staged.read == clean.records and (found <= good if feed.is_grouped else found == good)


# -- whole imports


class Importing:
    """A worker on a database, which is made anew now and then."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.arrived = home / "arrived"
        self.arrived.mkdir()
        self.worker = Worker()
        self._numbers = count(1)
        self._done = 0

    def renew(self) -> None:
        """Begin with an empty database now and then."""
        if self._done % NEW_DATABASE_AFTER == 0:
            self.worker.close()
            for name in ("data.db", "sandbox.db"):
                for path in self.home.glob(f"{name}*"):
                    path.unlink()
                migrate(self.home / name)
        self._done += 1

    def run(self, given: Given) -> Report:
        """Import a file under a number of its own."""
        number = next(self._numbers)
        path = self.arrived / f"d{number}"
        path.write_bytes(given.raw)
        job = replace(
            given.job(self.home), delivery=f"d{number}", arrival_seq=number, path=str(path)
        )
        report = self.worker.run(job)
        self.worker.rest()
        path.unlink()
        left = [one for one in (self.home / "temp").rglob("*") if one.is_file()]
        assert not [one for one in left if one.parent.name != "spill"]
        return report

    def rows(self, table: str) -> Counter[tuple[Any, ...]]:
        """Return what is booked, but for what tells when it was."""
        sql = f"SELECT * FROM {table}"
        with closing(sqlite3.connect(self.home / "data.db")) as connection:
            cursor = connection.execute(sql)
            names = [each[0] for each in cursor.description]
            keep = [at for at, name in enumerate(names) if name not in _TOLD_ANEW]
            return Counter(tuple(row[at] for at in keep) for row in cursor)


_TOLD_ANEW = {"arrival_seq", "delivery", "delivery_id", "rowid"}
OUTCOMES = {"imported", "rejected", "duplicate", "held"}


@contextmanager
def begin_import(home: Path) -> Iterator[Callable[[bytes], None]]:
    """Import a file twice: each ends with a reason or with rows, and the second changes nothing."""
    (home / "temp").mkdir()
    importing = Importing(home)

    def one(raw: bytes) -> None:
        given = read(raw)
        if given is None:
            return
        importing.renew()
        report = importing.run(given)
        assert report.outcome in OUTCOMES, report
        assert report.reason or report.outcome == "imported", report
        assert "Traceback" not in repr(report)
        counts = report.counts
        assert counts.read >= counts.skipped + counts.rejected + counts.repeated
        if report.outcome == "imported":
            _import_again(importing, given, report)

    with closing(importing.worker):
        yield one


def _import_again(importing: Importing, given: Given, first: Report) -> None:
    before = importing.rows(given.feed.table)
    again = importing.run(given)
    assert again.outcome == "imported", again
    assert (
        replace(again.counts, inserted=0, updated=0, unchanged=0)
        == replace(first.counts, inserted=0, updated=0, unchanged=0)
        or given.feed.complete
    ), (first.counts, again.counts)
    assert (again.counts.inserted, again.counts.updated) == (0, 0), again.counts
    assert importing.rows(given.feed.table) == before


TARGETS = (
    Target(
        "mapping",
        "the mapping compiler: TOML to feed, feed to SQL, both lanes on a file of its columns",
        begin_mapping,
        lambda: [raw.partition(RULE)[0] for raw in mapped_files()],
        bend_mapping,
    ),
    Target(
        "reading",
        "header, dialect, decoding and layout: a file to clean text, in large and in small chunks",
        begin_reading,
        mapped_files,
        bend_mapping_and_table,
        most_bytes=8192,
    ),
    Target(
        "lanes",
        "both lanes on one file leave the same rows, faults and figures",
        begin_lanes,
        mapped_files,
        bend_mapping_and_table,
        most_bytes=8192,
    ),
    Target(
        "import",
        "a whole import with its bookings, twice",
        begin_import,
        mapped_files,
        bend_mapping_and_table,
        most_bytes=8192,
    ),
)
