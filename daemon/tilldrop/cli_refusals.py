"""`tilldrop why-refused`: where the journal comes from, and how the answer is printed.

What it means stands in `refusals`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from tilldrop import refusals
from tilldrop.cli_context import PATH, Where, as_json
from tilldrop.cli_output import instant, visible, write_json
from tilldrop.errors import HomeUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tilldrop.ledger_reading import LedgerReader
    from tilldrop.refusals import Heard, Trouble

UNIT = "tilldrop"
PEERS_SHOWN = 3


@click.command("why-refused")
@click.argument("name")
@click.option("--log", type=PATH, help="The daemon's JSON lines, - for stdin; else journalctl.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="How far back."
)
@as_json
@click.pass_obj
def why_refused(where: Where, name: str, log: Path | None, days: int, as_json: bool) -> None:  # noqa: FBT001
    """Tell why a customer could not log in or upload, and what to do.

    From the daemon's journal, from the ledger, and from the customer's files here. NAME is the
    name that was used to log in: it need not be a customer's.
    """
    config = where.config()
    after = datetime.now(UTC) - timedelta(days=days)
    with _journal(log, days) as lines:
        heard = refusals.listen(lines, name, after)
    found = refusals.troubles(name, config, heard, _ledger(where))
    if as_json:
        write_json(found)
        return
    if not heard.lines:
        click.echo("the journal has no events of that time; what follows is without it", err=True)
    _write(name, heard, found)


@contextmanager
def _journal(log: Path | None, days: int) -> Iterator[Iterable[str]]:
    """Open the journal: a file, stdin, or what systemd keeps; none if it keeps nothing."""
    if log is not None and str(log) == "-":
        yield sys.stdin
    elif log is not None:
        with log.open(encoding="utf-8", errors="replace") as file:
            yield file
    elif program := shutil.which("journalctl"):
        words = (program, "-u", UNIT, "-o", "cat", "--no-pager", f"--since=-{days}d")
        with subprocess.Popen(  # noqa: S603  our own words
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
        ) as reading:
            yield reading.stdout or ()
    else:
        click.echo("there is no journalctl here; say --log FILE", err=True)
        yield ()


def _ledger(where: Where) -> LedgerReader | None:
    try:
        return where.ledger()
    except HomeUnusable:
        return None


def _write(name: str, heard: Heard, found: tuple[Trouble, ...]) -> None:
    if heard.accepted_at:
        click.echo(f"{name} logged in last at {instant(heard.accepted_at)}")
    for one in found:
        at = f"{instant(one.at)}  " if one.at else ""
        times = f", {one.times} times" if one.times > 1 else ""
        peers = ", ".join(one.peers[:PEERS_SHOWN])
        more = len(one.peers) - PEERS_SHOWN
        source = f", from {peers}" + (f" and {more} more" if more > 0 else "") if peers else ""
        click.echo(visible(f"{at}{one.what}{times}{source}"))
        click.echo(visible(f"    {one.to_do}"))
    if not found:
        since = f" since {instant(heard.since)}" if heard.since else ""
        click.echo(f"nothing was refused to {name}{since}")
