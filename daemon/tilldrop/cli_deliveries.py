"""Verbs that look at deliveries: list, show, what a customer sees, the bytes themselves.

All of them read the ledger and the spool beside the running daemon, or without it.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import click

from tilldrop import receipts
from tilldrop.cli_context import PATH, Where, as_json
from tilldrop.cli_output import size, visible, write_json, write_pairs, write_table
from tilldrop.delivery import Delivery, State
from tilldrop.errors import NoLongerKept, NoSuchDelivery
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.ledger_reading import Move

_DAY = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
since = click.option("--since", type=_DAY, help="Only what began then or later, UTC.")


@click.command()
@click.option("--customer", help="Only this customer's.")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only these.")
@click.option("--name", help="Only files of this name.")
@since
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@as_json
@click.pass_obj
def deliveries(
    where: Where,
    customer: str | None,
    state: str | None,
    name: str | None,
    since: datetime | None,
    limit: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """List deliveries, newest first."""
    if customer is not None:
        where.customer(customer)
    found = where.ledger().find(
        customer=customer,
        state=State(state) if state else None,
        name=name,
        since=in_utc(since),
        limit=limit,
    )
    if as_json:
        write_json(found)
        return
    head = ("DELIVERY", "CUSTOMER", "NAME", "STATE", "SIZE", "BEGAN", "RUN", "FEED", "REASON")
    rows = [
        (d.id, d.customer, d.name, d.state, size(d.size_bytes), d.began_at, d.run, d.feed, d.reason)
        for d in found
    ]
    write_table(head, rows, "no deliveries")


@click.command()
@click.argument("delivery_id", metavar="ID")
@click.option("--run", type=click.IntRange(1), help="The report of this run, not the latest.")
@as_json
@click.pass_obj
def show(where: Where, delivery_id: str, run: int | None, as_json: bool) -> None:  # noqa: FBT001
    """Show one delivery: its states and its receipt."""
    ledger = where.ledger()
    delivery = ledger.one(delivery_id)
    report = ledger.report(delivery_id, run)
    if run is not None and report is None:
        raise NoSuchDelivery(f"delivery {delivery_id} has no report of a run {run}")
    moves = ledger.moves(delivery_id)
    if as_json:
        write_json({"delivery": delivery, "moves": moves, "report": report})
        return
    write_pairs(_pairs(delivery))
    click.echo()
    _write_moves(moves)
    click.echo()
    click.echo(receipts.render(delivery, report), nl=False)


@click.command()
@click.argument("name", metavar="CUSTOMER")
@as_json
@click.pass_obj
def files(where: Where, name: str, as_json: bool) -> None:  # noqa: FBT001
    """List a customer's files as it sees them.

    The latest delivery of every name, and uploads that are not finished.
    """
    where.customer(name)
    ledger = where.ledger()
    found = sorted(ledger.accepted_names(name) + ledger.unfinished(name), key=lambda d: d.name)
    if as_json:
        write_json(found)
        return
    rows = [
        (d.name, size(d.size_bytes), d.state, d.arrived_at or d.began_at, d.id, d.reason)
        for d in found
    ]
    write_table(("NAME", "SIZE", "STATE", "ARRIVED", "DELIVERY", "REASON"), rows, "no files")


@click.command()
@click.argument("delivery_id", metavar="ID")
@click.option("-o", "--output", type=PATH, help="Write to this file; it must not exist.")
@click.pass_obj
def fetch(where: Where, delivery_id: str, output: Path | None) -> None:
    """Write the bytes of a delivery to stdout or a file."""
    delivery = where.ledger().one(delivery_id)
    limits = where.config().limits
    path = Spool(where.config().paths.spool, limits.reserve_bytes).path_of(delivery_id)
    if path is None:
        raise NoLongerKept(f"the bytes of {delivery_id} ({visible(delivery.name)}) are gone")
    with path.open("rb") as source:
        if output is None:
            _copy(source, sys.stdout.buffer)
        else:
            with output.open("xb") as target:
                _copy(source, target)


def in_utc(written: datetime | None) -> datetime | None:
    """Take a date from the command line as UTC."""
    return written.replace(tzinfo=UTC) if written else None


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    shutil.copyfileobj(source, target, 1024 * 1024)


def _pairs(delivery: Delivery) -> list[tuple[str, object]]:
    """List what is known of a delivery."""
    d = delivery
    return [
        ("delivery", d.id),
        ("customer", d.customer),
        ("name", d.name),
        ("door", d.door),
        ("state", d.state),
        ("reason", d.reason),
        ("size", f"{size(d.size_bytes)} ({d.size_bytes} bytes)"),
        ("began", d.began_at),
        ("arrived", d.arrived_at),
        ("place in order", d.arrival_seq),
        ("feed", d.feed),
        ("run", d.run),
        ("failed attempts", d.attempts or None),
        ("next attempt", d.not_before),
        ("control figures", "accepted by an operator" if d.accepted else None),
        ("replay", "the next run is part of one" if d.replay else None),
        ("sha256", d.sha256),
        ("mapping", d.fingerprint),
        ("bytes gone", d.bytes_gone_at),
    ]


def _write_moves(moves: list[Move]) -> None:
    rows = [(move.at, move.before or "", move.after, move.cause, move.reason) for move in moves]
    write_table(("AT", "FROM", "TO", "CAUSE", "REASON"), rows, "its moves are no longer kept")
