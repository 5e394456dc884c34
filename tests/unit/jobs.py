"""Jobs for the importer's worker: a home of folders, files of sales, the feed that reads them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilldrop.importer.schema import migrate
from tilldrop.mapping import Feed, Reading, feed_to_json
from tilldrop.rows import Job
from tilldrop.sources import FromColumn, When

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "Store,No,When,Total,Card\n"
FEED = Feed(
    name="sales",
    files=("*.csv",),
    rows="per-transaction",
    max_fault_share=0.10,
    reading=Reading(),
    sources={
        "location_id": FromColumn("Store"),
        "transaction_id": FromColumn("No"),
        "total": FromColumn("Total"),
        "sold_at": When("When", (), ("YYYY-MM-DD HH:mm",)),
        "tender": FromColumn("Card"),
    },
)


def sales(count: int, *, faulty: int = 0) -> str:
    """Return a file of `count` sales of 1.00 each, the first `faulty` of them without a total."""
    lines = (
        f"1,{number},2026-01-05 13:08,{'?' if number < faulty else '1.00'},card\n"
        for number in range(count)
    )
    return HEADER + "".join(lines)


@dataclass(frozen=True)
class Place:
    """A spool folder, a temporary folder and a data.db."""

    root: Path

    @property
    def data_db(self) -> Path:
        return self.root / "data.db"

    @property
    def temp(self) -> Path:
        return self.root / "temp"

    @property
    def lock(self) -> Path:
        return self.root / "worker.lock"

    @classmethod
    def make(cls, root: Path) -> Place:
        place = cls(root)
        (root / "arrived").mkdir()
        place.temp.mkdir()
        migrate(place.data_db)
        return place

    def job(
        self, content: str | bytes, seq: int = 1, feed: Feed | None = FEED, **changes: Any
    ) -> Job:
        """Write a delivery and return the job to import it."""
        path = self.root / "arrived" / f"d{seq}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        job = Job(
            delivery=f"d{seq}",
            run=1,
            arrival_seq=seq,
            customer="acme",
            name="sales.csv",
            path=str(path),
            data_path=str(self.data_db),
            temp_dir=str(self.temp),
            feed=None if feed is None else feed_to_json(feed),
            fingerprint="f",
            zone="Europe/Paris",
            currency="EUR",
            same_as=None,
            max_record_bytes=1024**2,
            memory_bytes=1024**3,
            threads=2,
        )
        return replace(job, **changes)

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read data.db as an analyst would; this process must not have it open otherwise."""
        with closing(sqlite3.connect(self.data_db)) as connection:
            return connection.execute(sql, values).fetchall()

    def booked(self, customer: str = "acme") -> int:
        """Count the customer's transactions."""
        sql = "SELECT count(*) FROM transactions WHERE customer = ?"
        return int(self.read(sql, customer)[0][0])


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked_elsewhere(path: Path) -> Iterator[None]:
    """Hold the write lock in another process: in one, two SQLites do not see each other's."""
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield
        assert other.stdin is not None
        other.stdin.close()
        assert other.wait(timeout=10) == 0
