"""`tilldrop service`: what the system's service manager must be told about this home.

Owns the text of the drop-in for systemd. Never writes a file: where it goes is root's affair.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilldrop.config import SYSTEM_STATE

if TYPE_CHECKING:
    from tilldrop.cli_context import Where
    from tilldrop.config import Config

# What the unit hides: ProtectHome=tmpfs, PrivateTmp=yes.
HIDDEN = tuple(Path(each) for each in ("/home", "/root", "/run/user", "/tmp", "/var/tmp"))  # noqa: S108

_DROP_IN = """\
# Made by `tilldrop service drop-in`; make it anew when [[folders]] or paths.state change.
# A minus: a folder that is not there when the service starts does not keep it from starting.
[Service]
"""


@click.group("service")
def service_group() -> None:
    """Prepare Tilldrop's life as a service."""


@service_group.command("drop-in")
@click.pass_obj
def drop_in(where: Where) -> None:
    """Print what lets the systemd service into its folders.

    The unit sees /home and /tmp empty and may write nowhere but in its state and its keys. Put
    this into /etc/systemd/system/tilldrop.service.d/folders.conf, then `systemctl daemon-reload`
    and restart.
    """
    click.echo(drop_in_for(where.config()), nl=False)


def drop_in_for(config: Config) -> str:
    """Return the drop-in: a line for each folder that the unit by itself keeps the daemon from."""
    wanted = [(folder.path, folder.after != "keep") for folder in config.folders]
    if not config.paths.state.is_relative_to(SYSTEM_STATE):
        wanted.insert(0, (config.paths.state, True))
    return _DROP_IN + "".join(_line(path, writable=writable) for path, writable in wanted)


def _line(path: Path, *, writable: bool) -> str:
    if any(path.is_relative_to(hidden) for hidden in HIDDEN):
        return f"{'BindPaths' if writable else 'BindReadOnlyPaths'}={_quoted(path)}\n"
    return f"ReadWritePaths={_quoted(path)}\n" if writable else ""


def _quoted(path: Path) -> str:
    """Quote a path as systemd.syntax(7) and the specifiers of systemd.unit(5) want it."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"-{escaped}"'
