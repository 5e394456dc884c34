"""A trial: a full import of a file into nothing.

Owns the databases that it is booked into and that are thrown away. What a lookup needs of the
customer's master rows is copied there first. Touches neither ledger nor spool, and reads data.db
only.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tilldrop.companions import companions_of
from tilldrop.errors import WorkerLost
from tilldrop.importer import jobs
from tilldrop.importer.schema import migrate
from tilldrop.importer.supervisor import Supervisor
from tilldrop.mapping import feed_to_json
from tilldrop.rows import CHILDREN, Job, Report
from tilldrop.sources import Lookup
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tilldrop.config import Config
    from tilldrop.config_customers import Customer
    from tilldrop.mapping import Feed

DELIVERY = "try"
_HIDDEN = frozenset({"customer", "delivery", "arrival_seq"})


@dataclass(frozen=True, slots=True)
class Trial:
    """What an import came to.

    booked, refused: rows as name -> value. children: child table -> rows of those in booked.
    """

    report: Report
    booked: list[dict[str, Any]]
    refused: list[dict[str, Any]]
    children: dict[str, list[dict[str, Any]]]


def run_trial(
    config: Config, customer: Customer, feed: Feed | None, file: Path, name: str, rows: int
) -> Trial:
    """Import a file with a worker of its own, in a folder of its own.

    name: as the customer would send it. rows: how many of the rows booked are returned; all that
    are refused are. A companion is looked for beside the file. Raises WorkerLost.
    """
    with TemporaryDirectory(prefix="tilldrop-try-") as folder:
        supervisor = Supervisor(Path(folder) / "worker.lock", config.importer)
        try:
            supervisor.start()
            job = _job(config, customer, feed, file, name)
            masters = _masters(config, customer, feed)
            trial = _run(supervisor, job, Path(folder, "first"), masters, rows)
            report = trial.report
            if feed and report.outcome == "rejected" and report.fault_count > len(report.faults):
                # Of a file that is refused whole no row is kept: a second import bears them all.
                lenient = replace(job, feed=feed_to_json(replace(feed, max_fault_share=1.0)))
                every = _run(supervisor, lenient, Path(folder, "second"), masters, 0)
                trial = replace(trial, refused=every.refused)
        except WorkerLost as lost:
            raise WorkerLost(f"the import came to no end: {lost}") from lost
        finally:
            supervisor.stop()
    return trial


def _job(config: Config, customer: Customer, feed: Feed | None, file: Path, name: str) -> Job:
    """Make the job that a delivery of this file would be; `_run` says where to."""
    beside = (file.parent / Path(one).name for one in (companions_of(feed, name) if feed else ()))
    return replace(
        jobs.draft(config, customer, feed, name),
        delivery=DELIVERY,
        path=str(file.resolve()),
        companion_path=next((str(one.resolve()) for one in beside if one.is_file()), ""),
        sandbox_path="",
        live_locations=(),
    )


_Masters = tuple[Path, str, tuple[str, ...]]


def _masters(config: Config, customer: Customer, feed: Feed | None) -> _Masters | None:
    """Return data.db, the customer and the tables in which the feed looks something up."""
    added = () if feed is None else feed.columns.values()
    tables = {one.table: None for one in added if isinstance(one, Lookup)}
    if not tables or not config.paths.data.exists():
        return None
    return config.paths.data, customer.name, tuple(tables)


def _run(
    supervisor: Supervisor, job: Job, folder: Path, masters: _Masters | None, rows: int
) -> Trial:
    """Run one job into a new data.db in a new folder."""
    folder.mkdir()
    data = folder / "data.db"
    migrate(data)
    if masters is not None:
        _copy_masters(data, *masters)
    report = supervisor.run(replace(job, data_path=str(data), temp_dir=str(folder)))
    return _found(data, report, rows)


def _copy_masters(data: Path, live: Path, customer: str, tables: Iterable[str]) -> None:
    with closing(sqlite3.connect(data, isolation_level=None, uri=True)) as connection:
        connection.execute("ATTACH ? AS live", (f"{live.as_uri()}?mode=ro",))
        for table in tables:
            connection.execute(
                f"INSERT INTO main.{table} SELECT * FROM live.{table} WHERE customer = ?",  # noqa: S608
                (customer,),
            )


def _found(path: Path, report: Report, rows: int) -> Trial:
    """Read the first rows booked, and every row refused."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row

        def read(table: str, more: str) -> list[dict[str, Any]]:
            return [_shown(row) for row in connection.execute(f"SELECT * FROM {table} {more}")]  # noqa: S608

        wanted = [child for child in CHILDREN if report.child_rows.get(child)]
        first = f"SELECT *, line AS first_line FROM transactions ORDER BY line LIMIT {rows:d}"  # noqa: S608
        same = "USING (customer, location_id, transaction_id)"
        keys = "customer, location_id, transaction_id, first_line"
        below = f"JOIN (SELECT {keys} FROM ({first})) {same} ORDER BY first_line, 4"  # noqa: S608
        return Trial(
            report=report,
            booked=read(report.table, f"WHERE delivery = 'try' ORDER BY line LIMIT {rows:d}"),
            refused=read("rejected_rows", "ORDER BY line"),
            children={child: read(child, below) for child in wanted},
        )


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    """Turn a row to a dict without what is the same in every row."""
    hidden = {*_HIDDEN, "first_line"}
    return {name: row[name] for name in row.keys() if name not in hidden}  # noqa: SIM118  a Row
