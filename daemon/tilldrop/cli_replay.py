"""Verbs that send deliveries on or take them back: replay, hold, release, undo."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tilldrop import control, corrections
from tilldrop.cli_changes import change
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_deliveries import in_utc, since
from tilldrop.cli_output import visible, write_json
from tilldrop.errors import MoveRefused, NotRunning, UsageWrong
from tilldrop.toml_table import nearest

if TYPE_CHECKING:
    from datetime import datetime

    from tilldrop.corrections import Selection
    from tilldrop.ledger_reading import LedgerReader

LOOK_EVERY_S = 0.1
GONE_SHOWN = 10
KEPT_SHOWN = 20


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--customer", help="All of this customer's deliveries that ended, as one.")
@click.option("--feed", help="With --customer: of this feed, and what no feed took.")
@since
@click.option("--yes", is_flag=True, help="With --customer: do not ask.")
@as_json
@click.pass_obj
def replay(
    where: Where,
    ids: tuple[str, ...],
    customer: str | None,
    feed: str | None,
    since: datetime | None,
    yes: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    """Import kept files again, oldest first.

    With --customer all of its kept files are one replay: afterwards the rows are what they would
    be, had the mapping always been as it is now.
    """
    if bool(ids) == bool(customer):
        raise UsageWrong("say the ids of deliveries, or --customer")
    if ids and (feed or since):
        raise UsageWrong("--feed and --since go with --customer")
    if ids:
        _write(change(where, "replay", ids=ids)["deliveries"], "to be imported again", as_json)
        return
    done = replay_customer(where, str(customer), feed, in_utc(since), ask=not yes)
    _write(done["deliveries"], "to be imported again", as_json, gone=done["gone"])


def replay_customer(
    where: Where,
    customer: str,
    feed: str | None = None,
    since: datetime | None = None,
    *,
    ask: bool,
) -> dict[str, Any]:
    """Replay all of a customer's; say first what cannot be had any more.

    Returns deliveries (the ids, in order) and gone (ids that are no longer kept).
    """
    known = {feed.name for feed in where.customer(customer).feeds}
    if feed and feed not in known:
        raise UsageWrong(f"{customer} has no feed {feed!r}{nearest(feed, known)}")
    with closing(where.ledger()) as ledger:
        _wait_for_import(where, ledger, customer)
        selection = corrections.select(ledger, customer, feed, since)
    _tell_gone(selection)
    if not selection.chosen:
        return {"deliveries": [], "gone": [one.id for one in selection.gone]}
    if ask:
        count = plural(len(selection.chosen), "delivery")
        click.confirm(f"Import {count} of {customer} again?", abort=True, err=True)
    asked = {"customer": customer, "feed": feed, "since": since}
    done = change(where, "replay", **{key: value for key, value in asked.items() if value})
    return {**done, "gone": [one.id for one in selection.gone]}


def _wait_for_import(where: Where, ledger: LedgerReader, customer: str) -> None:
    """Wait for the customer's import in hand: it may have begun before the mapping was changed."""
    config = where.config()
    try:
        control.ask(config.paths, "status")
    except NotRunning:
        return
    deadline = time.monotonic() + config.importer.timeout_s
    while (busy := ledger.importing_of(customer)) is not None:
        if time.monotonic() > deadline:
            raise MoveRefused(f"delivery {busy} is still being imported; say it again afterwards")
        time.sleep(LOOK_EVERY_S)


def _tell_gone(selection: Selection) -> None:
    gone = selection.gone
    if not gone:
        return
    count = plural(len(gone), "delivery")
    are = "is" if len(gone) == 1 else "are"
    click.echo(f"{count} of that time {are} no longer kept; what they booked stays:", err=True)
    for delivery in gone[:GONE_SHOWN]:
        click.echo(visible(f"  {delivery.id}  {delivery.name}"), err=True)
    if len(gone) > GONE_SHOWN:
        click.echo(f"  and {len(gone) - GONE_SHOWN} more", err=True)


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def hold(where: Where, ids: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Put waiting deliveries aside until they are released."""
    _write(change(where, "hold", ids=ids)["deliveries"], "held", as_json)


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def release(where: Where, ids: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Let held deliveries be imported, also where their control figures differ."""
    _write(change(where, "release", ids=ids)["deliveries"], "released", as_json)


@click.command()
@click.argument("delivery_id", metavar="ID")
@as_json
@click.pass_obj
def undo(where: Where, delivery_id: str, as_json: bool) -> None:  # noqa: FBT001
    """Take back what one delivery changed.

    Rows that it wrote and nothing newer did go back to what they were (feeds with history = true),
    or are removed if it brought them. Tells what stays and why.
    """
    done = change(where, "undo", id=delivery_id)
    if as_json:
        write_json(done)
        return
    click.echo(f"{delivery_id} is taken back")
    click.echo(
        f"{plural(done['restored'], 'row')} restored, {plural(done['removed'], 'row')} removed"
    )
    for text in done["kept"][:KEPT_SHOWN]:
        click.echo(visible(f"stays: {text}"))
    if len(done["kept"]) > KEPT_SHOWN:
        click.echo(f"and {len(done['kept']) - KEPT_SHOWN} more that stay; --json lists all")


def _write(ids: list[str], done: str, as_json: bool, **more: object) -> None:  # noqa: FBT001
    if as_json:
        write_json({"deliveries": ids, **more})
        return
    for delivery_id in ids:
        click.echo(delivery_id)
    click.echo(f"{plural(len(ids), 'delivery')} {done}", err=True)
