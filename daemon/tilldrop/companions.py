"""Companions: small files that declare the figures of another file.

Owns how a feed's `companion` template becomes a name, and which names are companions. A name
that is one is not imported by itself. Never opens a file.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tilldrop.delivery import COMPANION
from tilldrop.mapping import takes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.mapping import Feed


def companion_name(template: str, name: str) -> str:
    """Return what a file's companion is called.

    template: as in `mapping.Control.companion`, "{stem}.ctl". name: as in `Delivery.name`. A
    template without a folder means the file's own: "in/a.csv" belongs to "in/a.ctl".
    """
    path = PurePosixPath(name)
    filled = template.replace("{name}", path.name).replace("{stem}", path.stem)
    return filled if "/" in template else str(path.with_name(filled))


def companions_of(feed: Feed, name: str) -> tuple[str, ...]:
    """Return the names of all companions that a feed asks of a file."""
    return tuple({companion_name(one, name): None for one in _templates(feed)})


def companion_feed(feeds: tuple[Feed, ...], name: str) -> str | None:
    """Return what to write as the feed of a companion, or None if the name is none's.

    The name is one if it fits a template with anything in its gaps, in the folder of any file.
    """
    last = PurePosixPath(name).name
    for feed in feeds:
        for template in _templates(feed):
            pattern = _escaped(template).replace("{name}", "*").replace("{stem}", "*")
            if takes((pattern,), name if "/" in template else last):
                return f"{feed.name}{COMPANION}"
    return None


def _templates(feed: Feed) -> Iterator[str]:
    return (control.companion for control in feed.controls if control.companion)


def _escaped(template: str) -> str:
    """Take the meaning from what is a wildcard in a pattern."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in template)
