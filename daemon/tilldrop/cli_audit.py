"""`tilldrop audit`: who did what, and whether the record of it is whole.

Also notes what operators do with this command: every verb that changes something, with who ran
it and how it ended. No secret stands on a command line of ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilldrop import audit
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_output import write_json, write_table
from tilldrop.control import user_name
from tilldrop.errors import AuditBroken, HomeUnusable, TilldropError, UsageWrong

if TYPE_CHECKING:
    from collections.abc import Sequence

# Verbs that change something; the first word of a group stands for all of it.
CHANGING = frozenset(
    {
        *("customer", "replay", "hold", "release", "undo", "go-live", "reload", "restore"),
        *("backup", "guard", "shopper", "fetch"),
    }
)
READING = frozenset({("guard", "list"), ("customer", "list"), ("customer", "guide")})
# Verbs whose words, behind the customer, name a person.
NAMING = frozenset({("shopper", "erase")})
_WITH_VALUE = "--home"
GAPS_SHOWN = 10


@click.group("audit")
def audit_group() -> None:
    """Read and verify the audit log."""


@audit_group.command("list")
@click.option("--customer", default="", help="Of this customer only.")
@click.option("--event", default="", help='Of events that begin so, such as "login".')
@click.option("--since", default="", metavar="TIME", help="From this instant on, ISO 8601, UTC.")
@click.option(
    "--limit", type=click.IntRange(0), default=1000, show_default=True, help="The last; 0: all."
)
@as_json
@click.pass_obj
def list_entries(
    where: Where,
    customer: str,
    event: str,
    since: str,
    limit: int,
    as_json: bool,  # noqa: FBT001
) -> None:
    """List what was done, oldest first."""
    most = limit + 1 if limit else 0
    found = audit.read(_log(where), since=since, customer=customer, event=event, last=most)
    if limit and len(found) > limit:
        found = found[1:]
        click.echo(f"only the last {limit} are listed: see --since and --limit", err=True)
    if as_json:
        write_json(found)
        return
    rows = [(one.seq, one.at, one.event, _said(one.what)) for one in found]
    write_table(("SEQ", "AT", "EVENT", "WHAT"), rows, "nothing was done")


@audit_group.command("verify")
@click.option("--head", metavar="SEQ:HASH", help="A head noted earlier, which must still stand.")
@as_json
@click.pass_obj
def verify_entries(where: Where, head: str | None, as_json: bool) -> None:  # noqa: FBT001
    """Check that no entry was changed, taken out or put in, and that the end is there.

    Whoever can write the log and the head noted beside it can cut off the end all the same: keep
    heads elsewhere. The daemon writes one to its journal every hour and when it stops
    (audit.sealed). Exits 65 if the log is broken.
    """
    path = _log(where)
    found = audit.verify(path)
    if as_json:
        write_json(found)
    if found.broken_at is not None:
        raise AuditBroken(f"entry {found.broken_at} does not follow from those before it")
    if found.cut_after is not None:
        raise AuditBroken(f"the log went on after entry {found.cut_after}: its end was cut off")
    if head is not None:
        seq, _, digest = head.partition(":")
        if not seq.isdecimal() or not audit.has(path, int(seq), digest):
            raise AuditBroken(f"entry {seq} is not the one noted: the end was cut off or replaced")
    if not as_json:
        click.echo(f"{plural(found.entries, 'entry')} in order; head {found.last}:{found.head}")
        for gap in found.gaps[-GAPS_SHOWN:]:
            click.echo(f"entry {gap} tells of others that are missing")


def _log(where: Where) -> Path:
    """Return where the log is. Raises HomeUnusable if none was ever begun."""
    path = where.config().paths.audit
    if not path.exists() and not path.with_suffix(".head").exists():
        raise HomeUnusable("there is no audit log yet")
    return path


def note_operator(words: Sequence[str], status: int) -> None:
    """Note a verb that changed something. words: the command line behind the program's name."""
    plain = [word for word in words if not word.startswith("-")]
    home = None
    if _WITH_VALUE in words[:-1]:
        home = words[words.index(_WITH_VALUE) + 1]
        plain.remove(home)
    if not plain or plain[0] not in CHANGING or tuple(plain[:2]) in READING or "-h" in words:
        return
    try:
        path = Where(Path(home) if home else None).config().paths.audit
        if path.parent.is_dir():
            what = {"words": _told(words, plain, status), "by": ran_by(), "status": status}
            audit.append(path, "operator.ran", what)
    except HomeUnusable:
        return  # where there is no home, there is no log
    except TilldropError as problem:
        click.echo(f"tilldrop: not noted in the audit log: {problem}", err=True)


def _told(words: Sequence[str], plain: Sequence[str], status: int) -> list[str]:
    """Return what of a command line is noted."""
    if status == UsageWrong.exit_code:
        return [*plain[:2], "..."]  # a word too many may be a password
    if tuple(plain[:2]) in NAMING:
        at = words.index(plain[1]) + 2  # who it is, by id or otherwise, is to be forgotten
        return [*words[:at], "..."]
    return list(words)


def ran_by() -> str:
    """Return who ran the command, as the system knows it; behind sudo also as sudo says."""
    ran_by = user_name(os.getuid())
    before = os.environ.get("SUDO_USER")
    return f"{before} as {ran_by}" if before and before != ran_by else ran_by


def _said(what: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in what.items() if value not in (None, ""))
