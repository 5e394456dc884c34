"""`tilldrop backup` and `tilldrop restore`: a home's copy, and a home made of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tilldrop import backup
from tilldrop.cli_context import PATH, Where, as_json
from tilldrop.cli_output import size, visible, write_json, write_pairs
from tilldrop.config import MAIN_FILE, load

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.backup import Manifest


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
@as_json
def restore_backup(folder: Path, home: Path, as_json: bool) -> None:  # noqa: FBT001
    """Make a home of the backup in FOLDER. HOME must not exist, or be empty.

    The state goes where the backup's configuration says, which must be empty, too.
    """
    made = backup.verify(folder)
    # As it will be: relative paths are meant from the new home.
    state = load(folder).paths.state
    inside = state.relative_to(folder) if state.is_relative_to(folder) else None
    home = home.absolute()
    made = backup.restore(folder, home, home / inside if inside is not None else state)
    _show(made, as_json=as_json)
    if not as_json:
        click.echo(f"restored; {visible(str(home / MAIN_FILE))} is its configuration", err=True)


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
