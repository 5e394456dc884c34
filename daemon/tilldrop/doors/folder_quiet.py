"""Which files of a folder are quiet, and which of those still have to be taken: pure.

Owns what is remembered between two looks. A file is quiet when two looks, `quiet_s` or more
apart, found the same stamp; every other stamp in between starts that time again. Promises that
a file settled is offered again only under another stamp. Never touches a file or a clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.doors.folder_files import Stamp


@dataclass(slots=True)
class Seen:
    """One file. since: when the stamp was first seen, monotonic seconds. due_at: not before.

    settled: delivered, or refused for good. said: what the journal was told, to say it once.
    """

    stamp: Stamp
    since: float
    due_at: float
    settled: bool = False
    said: str = ""


class Quiet:
    """The files of one folder, as the looks so far found them."""

    def __init__(self, quiet_s: float) -> None:
        self._quiet_s = quiet_s
        self._seen: dict[str, Seen] = {}

    def note(self, files: dict[str, Stamp], now: float) -> None:
        """Take in what a look found."""
        earlier, self._seen = self._seen, {}
        for name, stamp in files.items():
            seen = earlier.get(name)
            if seen is None or seen.stamp != stamp:
                seen = Seen(stamp, now, now + self._quiet_s)
            self._seen[name] = seen

    def due(self, now: float) -> list[tuple[str, Seen]]:
        """Return what is to be taken, what changed longest ago first: the last one wins."""
        found = [one for one in self._seen.items() if not one[1].settled and one[1].due_at <= now]
        return sorted(found, key=lambda one: (one[1].stamp.mtime_ns, one[0]))

    def next_at(self) -> float:
        """Return when the next one will be due; infinity if none waits."""
        waiting = (seen.due_at for seen in self._seen.values() if not seen.settled)
        return min(waiting, default=math.inf)

    def start_again(self) -> None:
        """Forget all: every file is looked up anew."""
        self._seen.clear()
