"""`tilldrop audit`: who did what, and whether the record of it is whole.

Also notes what operators do with this command: every verb that changes something, with who ran
it and how it ended. No secret stands on a command line of ours.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilldrop import audit
from tilldrop.cli_context import Where, as_json, plural
from tilldrop.cli_output import write_json, write_table
from tilldrop.errors import AuditBroken, TilldropError

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


@click.group("audit")
def audit_group() -> None:
    """Read and verify the audit log."""


@audit_group.command("list")
@click.option("--customer", default="", help="Of this customer only.")
@click.option("--event", default="", help='Of events that begin so, such as "login".')
@click.option("--since", default="", metavar="TIME", help="From this instant on, ISO 8601, UTC.")
@as_json
@click.pass_obj
def list_entries(where: Where, customer: str, event: str, since: str, as_json: bool) -> None:  # noqa: FBT001
    """List what was done, oldest first."""
    found = audit.read(where.config().paths.audit, since=since, customer=customer, event=event)
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
    """Check that no entry was changed, taken out or put in.

    That the end was cut off shows only against a head that was noted elsewhere: the daemon writes
    it to its journal once a day and when it stops (audit.sealed). Exits 65 if the log is broken.
    """
    path = where.config().paths.audit
    found = audit.verify(path)
    if as_json:
        write_json(found)
    if found.broken_at is not None:
        raise AuditBroken(f"entry {found.broken_at} does not follow from those before it")
    if head is not None:
        seq, _, digest = head.partition(":")
        if not seq.isdecimal() or not audit.has(path, int(seq), digest):
            raise AuditBroken(f"entry {seq} is not the one noted: the end was cut off or replaced")
    if not as_json:
        click.echo(f"{plural(found.entries, 'entry')} in order; head {found.last}:{found.head}")


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
            said = list(words)
            if tuple(plain[:2]) in NAMING:
                at = words.index(plain[1]) + 2  # who it is, by id or otherwise, is to be forgotten
                said = [*words[:at], "..."]
            what = {"words": said, "by": _who(), "status": status}
            audit.append(path, "operator.ran", what)
    except TilldropError as problem:
        click.echo(f"tilldrop: not noted in the audit log: {problem}", err=True)


def _who() -> str:
    """Return who ran the command, also behind sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _said(what: dict[str, object]) -> str:
    return " ".join(f"{name}={value}" for name, value in what.items() if value not in (None, ""))
