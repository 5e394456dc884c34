"""`tilldrop guard`: who is shut out for failing too often, and letting them in again.

The penalties are in the running daemon's memory, so both verbs ask it.
"""

from __future__ import annotations

import click

from tilldrop import control
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_output import write_json, write_table


@click.group("guard")
def guard_group() -> None:
    """Show and lift penalties of source addresses."""


@guard_group.command("list")
@as_json
@click.pass_obj
def list_penalties(where: Where, as_json: bool) -> None:  # noqa: FBT001
    """List the sources that have failed lately, and which are shut out."""
    found = control.ask(where.config().paths, "guard-list")
    if as_json:
        write_json(found)
        return
    rows = [
        (one["source"], "yes" if one["is_refused"] else "", round(one["seconds"]), one["last"])
        for one in found["penalties"]
    ]
    write_table(("SOURCE", "SHUT OUT", "SECONDS", "LAST OFFENCE"), rows, "nobody has failed lately")


@guard_group.command("clear")
@click.argument("source", required=False)
@click.option("--all", "everybody", is_flag=True, help="Lift the penalties of all sources.")
@click.pass_obj
def clear_penalties(where: Where, source: str | None, everybody: bool) -> None:  # noqa: FBT001
    """Lift the penalty of an address (of IPv6, of its /64), or of all."""
    if bool(source) == everybody:
        raise click.UsageError("name an address, or say --all")
    found = control.ask(where.config().paths, "guard-clear", source=source or "")
    click.echo(f"{plural(len(found['forgiven']), 'source')} forgiven", err=True)
