"""`tilldrop backup` and `tilldrop restore`: a home's copy, and a home made of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tilldrop import audit, backup, erased_since
from tilldrop.cli_audit import ran_by
from tilldrop.cli_context import PATH, Where, as_json
from tilldrop.cli_output import size, visible, write_json, write_pairs
from tilldrop.config import MAIN_FILE, load

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.backup import Manifest


BROUGHT_BACK = (
    "customers removed and shoppers erased after it was made are in it again; --since OLD-HOME"
    " names them"
)


@click.command("backup")
@click.argument("folder", type=PATH)
@click.option("--verify", is_flag=True, help="Check a backup that is there; write nothing.")
@as_json
@click.pass_obj
def write_backup(where: Where, folder: Path, verify: bool, as_json: bool) -> None:  # noqa: FBT001
    """Write a backup of this home into a new FOLDER; the daemon may run.

    It holds everything: databases, kept files, configuration, password hashes and private host
    keys. Keep it as safe as the home itself.
    """
    made = backup.verify(folder) if verify else backup.back_up(where.config().paths, folder)
    _show(made, as_json=as_json)


@click.command("restore")
@click.argument("folder", type=PATH)
@click.argument("home", type=PATH)
@click.option("--since", "knowing", type=PATH, help="A home or backup that knows who was erased.")
@as_json
def restore_backup(folder: Path, home: Path, knowing: Path | None, as_json: bool) -> None:  # noqa: FBT001
    """Make a home of the backup in FOLDER. HOME must not exist, or be empty.

    The state goes where the backup's configuration says, which must be empty, too. --since names
    who was removed or erased after the backup was made, and is in it again.
    """
    made = backup.verify(folder)
    # As it will be: relative paths are meant from the new home.
    state = load(folder).paths.state
    inside = state.relative_to(folder) if state.is_relative_to(folder) else None
    home = home.absolute()
    state = home / inside if inside is not None else state
    made = backup.restore(folder, home, state)
    what = {"backup": str(folder), "made_at": made.made_at, "by": ran_by()}
    audit.append(state / backup.AUDIT, "backup.restored", what)
    again = _who_is_back(state, knowing, made.made_at) if knowing else None
    if as_json:
        write_json(asdict(made) if again is None else {**asdict(made), "again": again})
        return
    _show(made, as_json=False)
    for words in again or ():
        click.echo(visible(f"is in it again: tilldrop --home {home} {' '.join(words)}"))
    if again is None:
        click.echo(BROUGHT_BACK, err=True)
    click.echo(f"restored; {visible(str(home / MAIN_FILE))} is its configuration", err=True)


def _who_is_back(state: Path, knowing: Path, since: str) -> list[list[str]]:
    """Return the command that takes each one out again who was, before."""
    is_backup = (knowing / backup.MANIFEST).exists()
    known = knowing / backup.STATE if is_backup else load(knowing).paths.state
    customers = erased_since.removed_customers(state, known, since)
    shoppers = erased_since.erased_shoppers(state, known)
    return [
        *(["customer", "remove", name] for name in customers),
        *(
            ["shopper", "erase", name, shopper, "--drop-files"]
            for name, shopper in shoppers
            if name not in customers
        ),
    ]


def _show(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        write_json(manifest)
        return
    write_pairs(
        [
            ("made at", manifest.made_at),
            ("version", manifest.version),
            ("deliveries", manifest.deliveries),
            ("files", manifest.files),
            ("size", size(manifest.size_bytes)),
        ]
    )
