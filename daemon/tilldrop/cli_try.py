"""`tilldrop try`: a full import into nothing.

Tells what a delivery of a file of the operator's would become; the import itself is `trial`'s.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tilldrop import receipts
from tilldrop.cli_context import Where, as_json
from tilldrop.cli_output import visible, write_json, write_table
from tilldrop.delivery import Delivery, State
from tilldrop.errors import FAULTS, UsageWrong
from tilldrop.mapping import Feed, match_feed
from tilldrop.rows import Report, minor_digits
from tilldrop.toml_table import nearest
from tilldrop.trial import DELIVERY, Trial, run_trial

if TYPE_CHECKING:
    from tilldrop.config_customers import Customer

EXIT_REFUSED = 65  # EX_DATAERR
_CHILD_WORDS = {"line_items": "Their lines", "tenders": "Their tenders", "taxes": "Their taxes"}


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
    tried = run_trial(where.config(), customer, feed, file, shown_name, rows)
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


def _write(tried: Trial, customer: Customer, name: str) -> None:
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
        _write_rows(tried.booked, customer.currency)
    for table, rows in tried.children.items():
        click.echo(f"\n{_CHILD_WORDS[table]}, {len(rows)} of {report.child_rows[table]}:")
        _write_rows(rows, customer.currency)


def _write_rows(rows: list[dict[str, Any]], currency: str) -> None:
    # A column that no row fills says nothing.
    names = [name for name in (rows[0] if rows else ()) if any(row[name] for row in rows)]
    head = [name.removesuffix("_minor").removesuffix("_milli") for name in names]
    write_table(head, [[_readable(row, name, currency) for name in names] for row in rows], "")


def _readable(row: dict[str, Any], name: str, currency: str) -> object:
    """Write minor units and thousandths as plain decimals."""
    if row[name] is not None and name.endswith("_minor"):
        return Decimal(row[name]).scaleb(-minor_digits(row.get("currency") or currency))
    if row[name] is not None and name.endswith("_milli"):
        return f"{Decimal(row[name]).scaleb(-3).normalize():f}"
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
