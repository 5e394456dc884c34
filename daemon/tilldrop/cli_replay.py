"""Verbs that send deliveries on: replay, hold, release.

The running daemon does it when asked. Without one the same functions of `control` work here,
under the home's lock, and the daemon's next start goes on from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tilldrop import control
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_deliveries import in_utc, since
from tilldrop.cli_output import write_json
from tilldrop.errors import NotRunning, UsageWrong
from tilldrop.ledger import Ledger
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from datetime import datetime


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--customer", help="All of this customer's deliveries that ended.")
@click.option("--feed", help="With --customer: of this feed, and what no feed took.")
@since
@as_json
@click.pass_obj
def replay(
    where: Where,
    ids: tuple[str, ...],
    customer: str | None,
    feed: str | None,
    since: datetime | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    """Import kept files again, oldest first."""
    if bool(ids) == bool(customer):
        raise UsageWrong("say the ids of deliveries, or --customer")
    if ids and (feed or since):
        raise UsageWrong("--feed and --since go with --customer")
    if customer:
        known = {feed.name for feed in where.customer(customer).feeds}
        if feed and feed not in known:
            raise UsageWrong(f"{customer} has no feed {feed!r}")
        asked = {"customer": customer, "feed": feed, "since": in_utc(since)}
        done = _ask(where, "replay", {key: value for key, value in asked.items() if value})
    else:
        done = _ask(where, "replay", {"ids": ids})
    _write(done, "to be imported again", as_json=as_json)


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def hold(where: Where, ids: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Put waiting deliveries aside until they are released."""
    _write(_ask(where, "hold", {"ids": ids}), "held", as_json=as_json)


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@as_json
@click.pass_obj
def release(where: Where, ids: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
    """Let held deliveries be imported."""
    _write(_ask(where, "release", {"ids": ids}), "released", as_json=as_json)


def _write(ids: list[str], done: str, *, as_json: bool) -> None:
    if as_json:
        write_json({"deliveries": ids})
        return
    for delivery_id in ids:
        click.echo(delivery_id)
    click.echo(f"{plural(len(ids), 'delivery')} {done}", err=True)


def _ask(where: Where, do: str, what: dict[str, Any]) -> list[str]:
    """Have the daemon do it, or do it here while none runs; return the ids in order."""
    try:
        answer: dict[str, list[str]] = control.ask(where.config().paths, do, **what)
    except NotRunning:
        return _do_here(where, do, what)
    return answer["deliveries"]


def _do_here(where: Where, do: str, what: dict[str, Any]) -> list[str]:
    """Do what the daemon would. Raises AlreadyRunning if one has started meanwhile."""
    # Slow to import, and needed only without a daemon.
    from tilldrop import service  # noqa: PLC0415

    config = where.config()
    where.ledger().close()  # raises if there is none: this is no way to begin one
    service.make_folders(config.paths)
    with service.locked(config.paths):
        ledger = Ledger(config.paths.ledger)
        try:
            return _done_with(ledger, Spool(config.paths.spool, 0), do, what)
        finally:
            ledger.close()


def _done_with(ledger: Ledger, spool: Spool, do: str, what: dict[str, Any]) -> list[str]:
    if do == "hold":
        return control.hold(ledger, what["ids"])
    if do == "release":
        return control.release(ledger, spool, what["ids"])
    ids = what.get("ids")
    if ids is None:
        ids = control.to_replay(ledger, what["customer"], what.get("feed"), what.get("since"))
    return control.replay(ledger, spool, ids)
