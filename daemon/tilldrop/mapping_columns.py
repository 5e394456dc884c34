"""Which columns of a file a feed reads, and by what names it knows them.

Never looks at a file: a header is a tuple of names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.mapping import folded
from tilldrop.sources import Lookup, columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.mapping import Feed, Reading
    from tilldrop.sources import Source


def columns_needed(feed: Feed) -> tuple[str, ...]:
    """Return the names of all columns that a file of the feed must have, each once.

    Columns that [feeds.columns] adds are not among them, those that they are made of are; nor
    are optional ones.
    """
    optional = {folded(name.strip()) for name in feed.reading.optional}
    return tuple(name for name in columns_mapped(feed) if folded(name.strip()) not in optional)


def columns_mapped(feed: Feed) -> tuple[str, ...]:
    """Return the names of all columns that a feed reads where a file has them, each once."""
    made: list[str] = []
    for source in _all_sources(feed):
        made += columns_of(source)
    for conditions in (feed.skip, feed.only, feed.where, *(one.where for one in feed.sections)):
        made += conditions
    for column in feed.columns.values():
        made += (column.by,) if isinstance(column, Lookup) else column.columns
    made += feed.reading.fill_down
    added = {folded(name.strip()) for name in feed.columns}
    once = {folded(name.strip()): name for name in reversed(made)}
    return tuple(name for folded, name in reversed(once.items()) if folded not in added)


def settled_header(header: tuple[str, ...], reading: Reading) -> tuple[str, ...]:
    """Return a header with other names of a column replaced by the one that is mapped."""
    settled = list(header)
    places = {folded(name.strip()): at for at, name in reversed([*enumerate(header)])}
    for wanted, others in reading.other_names.items():
        names = [folded(name.strip()) for name in (wanted, *others)]
        if found := [places[name] for name in names if name in places]:
            settled[found[0]] = wanted
    return tuple(settled)


def _all_sources(feed: Feed) -> Iterator[Source]:
    yield from feed.sources.values()
    for section in feed.sections:
        yield from section.sources.values()
