"""Which customers' passwords came unencrypted, so that `tilldrop check` can say so.

Owns state/in-the-clear/: an empty file per customer, whose time is that of the last such login.
Promises that a password set later is not complained of. Never holds a password.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Paths

_FOLDER = "in-the-clear"
_PRIVATE_FOLDER_MODE = 0o700


def place(paths: Paths, customer: str) -> Path:
    """Return where it is noted of a customer."""
    return paths.state / _FOLDER / customer


def note(paths: Paths, customer: str) -> None:
    """Note that a right password has just come in the clear. Raises OSError."""
    noted_at = place(paths, customer)
    noted_at.parent.mkdir(mode=_PRIVATE_FOLDER_MODE, exist_ok=True)
    noted_at.touch()


def noted(paths: Paths, customer: str) -> datetime | None:
    """Return when the password that is set now last came in the clear. Raises OSError."""
    password = paths.keys / "customers" / f"{customer}.password"
    try:
        came_at = place(paths, customer).stat().st_mtime
        set_at = password.stat().st_mtime
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(came_at, UTC) if came_at >= set_at else None
