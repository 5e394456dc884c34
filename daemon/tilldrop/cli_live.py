"""Verbs about what is booked where: go-live and orphans.

`go-live` edits the customer's file and has the daemon read it; `orphans` reads data.db beside it.
Never writes a database.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from tilldrop import control, home_files
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_output import visible, write_json, write_table
from tilldrop.cli_replay import replay_customer
from tilldrop.errors import AlreadyLive, HomeUnusable, NotRunning, UsageWrong
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config_customers import Customer


@click.command("go-live")
@click.argument("name", metavar="CUSTOMER")
@click.option("--location", "wanted", multiple=True, help="Only this location; may be repeated.")
@click.option("--replay", "again", is_flag=True, help="Import its kept files again.")
@as_json
@click.pass_obj
def go_live(where: Where, name: str, wanted: tuple[str, ...], again: bool, as_json: bool) -> None:  # noqa: FBT001
    """Book a customer's files in data.db from now on.

    Takes a customer, or the feeds of it that are, out of the sandbox; with --location only those
    locations. Writes it into the customer's file, whose comments stay, and has the running daemon
    read it. What was booked in sandbox.db stays there, unless --replay is said, which may be said
    again of what is live already.
    """
    customer = where.customer(name)
    done: dict[str, Any] = {"deliveries": [], "gone": []}
    try:
        locations = _to_go_live(customer, wanted)
    except AlreadyLive:
        _reloaded(where)  # who said it first may have been cut off before the daemon heard of it
        if not again:
            raise
        locations = wanted
    else:
        text = home_files.customer_live(where.home(), name, locations)
        home_files.write_customer(where.home(), name, text)
        runs = _reloaded(where)
        if not as_json:
            _tell(customer, locations, runs=runs, again=again)
    if again:
        done = replay_customer(where, name, ask=False)
    if as_json:
        feeds = [] if locations else customer.sandboxed
        write_json({"customer": name, "feeds": feeds, "locations": locations, **done})
    elif again:
        click.echo(f"{plural(len(done['deliveries']), 'delivery')} to be imported again")


def _to_go_live(customer: Customer, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids of the locations that are meant. Raises AlreadyLive."""
    if customer.mode == "live" and not customer.sandboxed:
        raise AlreadyLive(f"{customer.name} is live already: nothing of it is in sandbox")
    aliases = {
        alias.strip().casefold(): one
        for one, location in customer.locations.items()
        for alias in location.aliases
    }
    locations = tuple({aliases.get(one.strip().casefold(), one): None for one in wanted})
    if empty := [one for one in locations if not one.strip()]:
        raise UsageWrong(f"a location cannot be called {empty[0]!r}")
    if live := [one for one in locations if one in customer.live_locations]:
        raise AlreadyLive(f"{customer.name}: location {', '.join(live)} is live already")
    return locations


def _reloaded(where: Where) -> bool:
    """Have the running daemon read the change; False if none runs."""
    try:
        control.ask(where.config().paths, "reload")
    except NotRunning:
        return False
    return True


def _tell(customer: Customer, locations: tuple[str, ...], *, runs: bool, again: bool) -> None:
    when = "from now on" if runs else "from the daemon's next start on"
    if locations:
        are = "is" if len(locations) == 1 else "are"
        live = customer.live_locations
        before = f", as {', '.join(live)} {'is' if len(live) == 1 else 'are'}" if live else ""
        text = f"{customer.name}: {', '.join(locations)} {are} booked in data.db {when}{before}"
        click.echo(visible(text + "; its other locations stay in sandbox.db"))
    else:
        feeds = ", ".join(customer.sandboxed) or "its feeds"
        click.echo(f"{customer.name} is live: {feeds} booked in data.db {when}")
    if not again:
        click.echo(
            "what came before stays in sandbox.db; to book that too:"
            f" tilldrop replay --customer {customer.name}"
        )


# -- orphans -------------------------------------------------------------------------------------


@click.command()
@click.argument("name", metavar="[CUSTOMER]", required=False)
@click.option("--sandbox", is_flag=True, help="Of what is booked in sandbox.db.")
@as_json
@click.pass_obj
def orphans(where: Where, name: str | None, sandbox: bool, as_json: bool) -> None:  # noqa: FBT001
    """List products, shoppers and locations that rows name and no master file brought.

    Only of customers who send such a master file at all. Also listed are orders of which only
    payments, or another part, have come.
    """
    if name is not None:
        where.customer(name)
    paths = where.config().paths
    found = _orphans(paths.sandbox if sandbox else paths.data, name)
    if as_json:
        write_json(found)
        return
    head = ("CUSTOMER", "MISSING", "ID", "ROWS", "FIRST DAY", "LAST DAY", "EXAMPLE")
    write_table(head, [tuple(row.values()) for row in found], "no orphans")


def _orphans(path: Path, name: str | None) -> list[dict[str, Any]]:
    if not path.exists():
        raise HomeUnusable(f"there is no {path} yet")
    sql = (
        "SELECT customer, missing, id, rows, first_day, last_day, example FROM orphans"
        " WHERE ?1 IS NULL OR customer = ?1 ORDER BY customer, missing, rows DESC, id"
    )
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, (name,))]
    except sqlite3.OperationalError as error:
        raise HomeUnusable(f"{path}: {error}; the daemon's start brings it forward") from error
