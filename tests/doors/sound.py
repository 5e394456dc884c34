"""What must hold of a door after whatever was sent to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.doors.conftest import LATER
from tilldrop.delivery import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from tests.doors.conftest import Door
    from tests.doors.ftp_door import Said

_DELIVERY = re.compile(r"[0-9A-Za-z-]+")
OF_BUGS = ("request.failed", "door.troubled")


def files(folder: Path) -> set[Path]:
    """Return every file below a folder."""
    return {path for path in folder.rglob("*") if not path.is_dir()}


def check_sound(door: Door, said: Said, caplog: pytest.LogCaptureFixture) -> Callable[[], None]:
    """Look at what is there now; return what checks later that nothing else came of it.

    That is: no traceback, no file but in the spool and there under a delivery's name alone, and a
    door that still takes an upload.
    """
    spool = door.config.paths.spool
    before = files(door.home.parent) - files(spool)

    def check() -> None:
        assert not [event for name in OF_BUGS for event in said(name)]
        assert not caplog.records
        made = files(door.home.parent) - files(spool) - before
        assert not {path for path in made if not path.is_relative_to(door.config.paths.state)}
        assert all(_DELIVERY.fullmatch(path.name) for path in files(spool))
        door.put(LATER, "still-alive.csv")
        taken = [one for one in door.deliveries(State.ARRIVED) if one.name == "still-alive.csv"]
        assert door.bytes_of(taken[-1]) == LATER

    return check
