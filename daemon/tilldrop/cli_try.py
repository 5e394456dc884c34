"""`tilldrop try`: a full import into nothing.

Runs the importer's worker on a file of the operator's, into a data.db that is thrown away, and
tells what a delivery of that file would become. Touches neither ledger nor data.db nor spool.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from tilldrop import receipts
from tilldrop.cli_context import Where, as_json
from tilldrop.cli_output import visible, write_json, write_table
from tilldrop.delivery import Delivery, State
from tilldrop.errors import FAULTS, UsageWrong, WorkerLost
from tilldrop.importer.schema import migrate
from tilldrop.importer.supervisor import Supervisor
from tilldrop.mapping import Feed, feed_to_json, fingerprint, match_feed
from tilldrop.rows import Job, Report, minor_digits
from tilldrop.sqlite import sqlite3
from tilldrop.toml_table import nearest

if TYPE_CHECKING:
    from tilldrop.config import Config, Customer

EXIT_REFUSED = 65  # EX_DATAERR
DELIVERY = "try"
_HIDDEN = frozenset({"customer", "delivery", "arrival_seq"})


@dataclass(frozen=True, slots=True)
class _Tried:
    """What an import came to. booked, refused: rows as name -> value."""

    report: Report
    booked: list[dict[str, Any]]
    refused: list[dict[str, Any]]


@click.command("try")
@click.argument("customer_name", metavar="CUSTOMER")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--feed", "feed_name", help="Use this feed, whatever the file is called.")
@click.option("--name", help="Take the file as if it were sent under this name.")
@click.option("--rows", type=click.IntRange(0), default=10, show_default=True, help="Rows shown.")
@as_json
@click.pass_context
def try_file(
    context: click.Context,
    customer_name: str,
    file: Path,
    feed_name: str | None,
    name: str | None,
    rows: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Import a file into nothing.

    Shows its receipt, every fault and the first rows that would be booked.
    Exits 0 if a delivery of it would be imported, 65 if not.
    """
    where: Where = context.obj
    customer = where.customer(customer_name)
    shown_name = name or file.name
    feed = _feed(customer, feed_name, shown_name)
    tried = _import(where.config(), customer, feed, file, shown_name, rows)
    if as_json:
        write_json(asdict(tried))
    else:
        _write(tried, customer, shown_name)
    context.exit(0 if tried.report.outcome == "imported" else EXIT_REFUSED)


def _feed(customer: Customer, feed_name: str | None, name: str) -> Feed | None:
    """Return the feed asked for, else the one that takes the name."""
    if feed_name is None:
        return match_feed(customer.feeds, name)
    feeds = {feed.name: feed for feed in customer.feeds}
    if feed_name not in feeds:
        raise UsageWrong(f"{customer.name} has no feed {feed_name!r}{nearest(feed_name, feeds)}")
    return feeds[feed_name]


def _import(
    config: Config, customer: Customer, feed: Feed | None, file: Path, name: str, rows: int
) -> _Tried:
    """Import the file with a worker of its own, in a folder of its own."""
    with TemporaryDirectory(prefix="tilldrop-try-") as folder:
        supervisor = Supervisor(Path(folder) / "worker.lock", config.importer)
        try:
            supervisor.start()
            job = _job(config, customer, feed, file, name)
            tried = _run(supervisor, job, Path(folder, "first"), rows)
            report = tried.report
            if feed and report.outcome == "rejected" and report.fault_count > len(report.faults):
                # Of a file that is refused whole no row is kept: a second import bears them all.
                lenient = replace(job, feed=feed_to_json(replace(feed, max_fault_share=1.0)))
                every = _run(supervisor, lenient, Path(folder, "second"), 0)
                tried = replace(tried, refused=every.refused)
        except WorkerLost as lost:
            raise WorkerLost(f"the import came to no end: {lost}") from lost
        finally:
            supervisor.stop()
    return tried


def _job(config: Config, customer: Customer, feed: Feed | None, file: Path, name: str) -> Job:
    """Make the job that a delivery of this file would be; `_run` says where to."""
    return Job(
        delivery=DELIVERY,
        run=1,
        arrival_seq=1,
        customer=customer.name,
        name=name,
        path=str(file.resolve()),
        data_path="",
        temp_dir="",
        feed=feed_to_json(feed) if feed else None,
        fingerprint=fingerprint(feed, customer.zone, customer.currency) if feed else None,
        zone=customer.zone,
        currency=customer.currency,
        same_as=None,
        max_record_bytes=config.limits.max_record_bytes,
        memory_bytes=config.importer.memory_bytes,
        threads=config.importer.threads,
    )


def _run(supervisor: Supervisor, job: Job, folder: Path, rows: int) -> _Tried:
    """Run one job into a new data.db in a new folder."""
    folder.mkdir()
    data = folder / "data.db"
    migrate(data)
    report = supervisor.run(replace(job, data_path=str(data), temp_dir=str(folder)))
    return _Tried(report, *_booked(data, rows))


def _booked(path: Path, rows: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Read the first rows booked, and every row refused."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        booked = connection.execute(
            "SELECT * FROM transactions ORDER BY line LIMIT ?", (rows,)
        ).fetchall()
        refused = connection.execute("SELECT * FROM rejected_rows ORDER BY line").fetchall()
    return [_shown(row) for row in booked], [_shown(row) for row in refused]


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    """Turn a row to a dict without what is the same in every row."""
    return {name: row[name] for name in row.keys() if name not in _HIDDEN}  # noqa: SIM118  a Row


def _write(tried: _Tried, customer: Customer, name: str) -> None:
    """Print the receipt, all faults that it has no room for, and the rows."""
    report = tried.report
    click.echo(receipts.render(_delivery(report, customer, name), report), nl=False)
    if report.fault_count > len(report.faults):
        click.echo("\nEvery refused row:")
        for row in tried.refused:
            text = FAULTS.get(row["code"], row["code"])
            reason = text.format(field=row["field"], seen=row["seen"])
            click.echo(visible(f"  line {row['line']}: {reason}"))
    if tried.booked:
        click.echo(f"\nThe first {len(tried.booked)} of {report.counts.transactions} rows:")
        # A column that no row fills says nothing.
        names = [name for name in tried.booked[0] if any(row[name] for row in tried.booked)]
        head = [name.removesuffix("_minor") for name in names]
        write_table(head, [[_readable(row, name) for name in names] for row in tried.booked], "")


def _readable(row: dict[str, Any], name: str) -> object:
    """Write minor units as plain decimals."""
    if name.endswith("_minor") and row[name] is not None:
        return Decimal(row[name]).scaleb(-minor_digits(row["currency"]))
    return row[name]


def _delivery(report: Report, customer: Customer, name: str) -> Delivery:
    """Make the delivery that a receipt speaks of."""
    now = datetime.now(UTC)
    return Delivery(
        id=DELIVERY,
        arrival_seq=1,
        customer=customer.name,
        door=DELIVERY,
        name=name,
        state=State(report.outcome),
        size_bytes=report.size_bytes,
        gap_from=None,
        mtime=None,
        began_at=now,
        arrived_at=now,
        changed_at=now,
        run=1,
        attempts=0,
        not_before=None,
        feed=report.feed,
        reason=report.reason,
        sha256=report.sha256,
        fingerprint=report.fingerprint,
        bytes_gone_at=None,
    )
