"""What is remembered of a feed's files, so that a change can be noticed.

Owns `Memory` and `Remember`: plain values that `notices` makes and `store` keeps. Never opens a
file or a database.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

RECENT_FILES = 5  # whose locations are remembered
RECENT_LOCATIONS = 500  # a file with more is left out: too much to keep for each feed
TENDERS = 200  # likewise


@dataclass(frozen=True, slots=True)
class Memory:
    """What the files of a feed looked like. arrival_seq: of the newest that was booked.

    first: the columns of the first file; told: new ones since then that were reported.
    header, encoding, delimiter: of the newest. formats: date formats that any file used.
    recent: the locations in each of the last RECENT_FILES files, the newest last. tenders: the
    payment methods of all files, as far as they are few. Both are among the values seen.
    """

    arrival_seq: int
    first: tuple[str, ...]
    header: tuple[str, ...]
    encoding: str
    delimiter: str
    told: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    recent: tuple[tuple[str, ...], ...] = ()
    tenders: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Memory:
        """Read what `to_json` wrote."""
        raw: dict[str, Any] = json.loads(text)
        for name in ("first", "header", "told", "formats", "tenders"):
            raw[name] = tuple(raw.get(name, ()))
        raw["recent"] = tuple(map(tuple, raw["recent"]))
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class Remember:
    """What a run adds to what is remembered. layout: None leaves it as it is.

    values: kind ("location", "tender") -> values never seen before.
    """

    layout: Memory | None = None
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
