"""What is noticed about a file beside its rows: that it is not like the ones before.

Owns which changes are said and what is remembered for the next file. Promises that no change is
said of a feed's first file, of an older file than the newest one booked, or twice of the same
thing, and that a historical load raises no word of locations and payment methods. A notice never
changes what is booked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tilldrop.importer.cards import mask
from tilldrop.importer.diagnosis import DELIMITERS, written_as_utf8
from tilldrop.importer.memory import RECENT_FILES, RECENT_LOCATIONS, TENDERS, Memory, Remember
from tilldrop.importer.plan import fold
from tilldrop.mapping_columns import columns_mapped
from tilldrop.rows import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tilldrop.importer.stage import Clean, Staged
    from tilldrop.importer.store import Store
    from tilldrop.mapping import Feed
    from tilldrop.rows import Job

LISTED = 10  # of what is new; the number of the others is told
# More payment methods or locations in one file than anybody has: the column holds something else.
MAX_VALUES = 2_000
FILES_TO_JUDGE = 3  # before a location that is missing is said to have fallen silent


def kept_columns(feed: Feed, clean: Clean, memory: Memory | None) -> tuple[str, ...]:
    """Return the columns of a file whose cells are to be kept in `extra`."""
    if feed.extra == "none":
        return ()
    unmapped = _unmapped(feed, clean)
    return unmapped if feed.extra == "all" else _since_first(unmapped, memory)


def notice(
    store: Store,
    job: Job,
    feed: Feed,
    clean: Clean,
    staged: Staged,
    memory: Memory | None,
) -> tuple[tuple[Fault, ...], Remember]:
    """Compare a file that is about to be booked with what is remembered of its feed.

    Returns warnings, and what to remember.
    Cost: 2 ms for a small file; 30 ms for a million rows.
    """
    here = _values(staged)
    unseen = {
        kind: tuple(sorted(set(values) - store.seen(job.customer, kind)))
        for kind, values in here.items()
        if not set(values) <= _known(kind, memory)
    }
    new_columns = _new_columns(feed, clean, memory)
    warnings = list(_nothing_left(staged))
    if memory is not None and job.arrival_seq > memory.arrival_seq:
        formats = staged.formats
        warnings += _layout_changes(Path(job.path), feed, clean, formats, memory, new_columns)
        if not feed.backfill and feed.table != "locations":
            warnings += _new_values(unseen, here.get("location", ()), memory)
    is_newest = memory is None or job.arrival_seq >= memory.arrival_seq
    layout = _remembered(job, feed, clean, staged.formats, memory, new_columns, here)
    found = {kind: values for kind, values in unseen.items() if values}
    return tuple(warnings), Remember(layout if is_newest else None, found)


def _values(staged: Staged) -> dict[str, tuple[str, ...]]:
    """Return the different locations and payment methods; a kind with too many is left out."""
    columns = {column.name for column in staged.columns}
    tenders = {column.name for column in staged.children.get("tenders", ())}
    wanted = [("location", "staged", "location_id")] if "location_id" in columns else []
    wanted += [("tender", "staged", "tender")] if "tender" in columns else []
    wanted += [("tender", "staged_tenders", "method")] if "method" in tenders else []
    if not wanted:
        return {}
    found: dict[str, set[str]] = {}
    different = staged.tables.different([one[1:] for one in wanted], MAX_VALUES + 1)
    for (kind, _, _), values in zip(wanted, different, strict=True):
        found.setdefault(kind, set()).update(map(mask, values))
    return {
        kind: tuple(sorted(values))
        for kind, values in found.items()
        if 0 < len(values) <= MAX_VALUES
    }


def _known(kind: str, memory: Memory | None) -> set[str]:
    """Return values of a kind that need not be looked up: the feed's files had them before."""
    if memory is None:
        return set()
    return set(memory.tenders) if kind == "tender" else set().union(*memory.recent)


def _unmapped(feed: Feed, clean: Clean) -> tuple[str, ...]:
    """Return the columns that no part of the mapping reads, as the header has them."""
    mapped = {fold(name) for name in columns_mapped(feed)}
    loose_from = fold(feed.reading.loose_from)
    found: dict[str, str] = {}
    for name in clean.header:
        if loose_from and fold(name) == loose_from:
            break
        if fold(name) and fold(name) not in mapped:
            found.setdefault(fold(name), name)
    return tuple(found.values())


def _nothing_left(staged: Staged) -> Iterator[Fault]:
    """Say so if `skip` and `only` left nothing of a file: their words may have changed."""
    if staged.read and staged.skipped == staged.read:
        seen = f"all {staged.read} rows are such as the mapping leaves out"
        yield Fault("layout-changed", seen=seen, warning=True)


def _since_first(columns: Sequence[str], memory: Memory | None) -> tuple[str, ...]:
    if memory is None:
        return ()
    first = {fold(name) for name in memory.first}
    return tuple(name for name in columns if fold(name) not in first)


def _new_columns(feed: Feed, clean: Clean, memory: Memory | None) -> tuple[str, ...]:
    """Return the columns to tell of: new since the first file, and not told before."""
    told = {fold(name) for name in memory.told} if memory else set()
    new = _since_first(_unmapped(feed, clean), memory)
    return tuple(name for name in new if fold(name) not in told)


def _layout_changes(
    path: Path,
    feed: Feed,
    clean: Clean,
    formats: tuple[str, ...],
    memory: Memory,
    new_columns: tuple[str, ...],
) -> Iterator[Fault]:
    if new_columns and feed.extra != "none":
        yield Fault("column-new", seen=_listed(new_columns), warning=True)
    changes = list(_changes(path, feed, clean, formats, memory))
    if new_columns and feed.extra == "none":
        changes.append(f"it has new columns, which are not kept: {_listed(new_columns)}")
    if changes:
        yield Fault("layout-changed", seen="; ".join(changes), warning=True)


def _changes(
    path: Path, feed: Feed, clean: Clean, formats: tuple[str, ...], memory: Memory
) -> Iterator[str]:
    delimiter = (clean.reading or feed.reading).delimiter
    if delimiter != memory.delimiter:
        yield f"separated by {_called(delimiter)}, before by {_called(memory.delimiter)}"
    if clean.encoding != memory.encoding:
        yield f"in {clean.encoding}, before in {memory.encoding}"
    elif written_as_utf8(path, clean.encoding):
        yield f"it seems to be in utf-8, but is read as {clean.encoding}"
    new = [one for one in formats if one not in memory.formats]
    if new and memory.formats:
        yield f"dates like {' and '.join(new)}, before {' and '.join(memory.formats)}"
    header, before = ({fold(name) for name in one} for one in (clean.header, memory.header))
    lost = [name for name in feed.reading.optional if fold(name) in before - header]
    if lost:
        yield f"without {_listed(lost)}, which earlier files had"


def _called(delimiter: str) -> str:
    return DELIMITERS.get(delimiter, f'"{delimiter}"' if len(delimiter) == 1 else delimiter)


def _new_values(
    unseen: dict[str, tuple[str, ...]], locations: tuple[str, ...], memory: Memory
) -> Iterator[Fault]:
    new = unseen.get("location", ())
    silent = _silent(locations, memory)
    if new and silent:
        seen = f"{_listed(silent)} fell silent, {_listed(new)} appeared"
        yield Fault("location-renumbered", seen=seen, warning=True)
    elif new:
        yield Fault("location-new", seen=_listed(new), warning=True)
    if unseen.get("tender"):
        yield Fault("tender-new", seen=_listed(unseen["tender"]), warning=True)


def _silent(locations: tuple[str, ...], memory: Memory) -> tuple[str, ...]:
    """Return the locations that every recent file had and this one has not."""
    if len(memory.recent) < FILES_TO_JUDGE:
        return ()
    always = set.intersection(*map(set, memory.recent))
    return tuple(sorted(always - set(locations)))


def _remembered(
    job: Job,
    feed: Feed,
    clean: Clean,
    formats: tuple[str, ...],
    memory: Memory | None,
    new_columns: tuple[str, ...],
    here: dict[str, tuple[str, ...]],
) -> Memory:
    recent = memory.recent if memory else ()
    locations = here.get("location", ())
    tenders = tuple(sorted({*(memory.tenders if memory else ()), *here.get("tender", ())}))
    # A replay of the newest file is no further file.
    if 0 < len(locations) <= RECENT_LOCATIONS and _is_further(job, memory):
        recent = (*recent, locations)[-RECENT_FILES:]
    return Memory(
        arrival_seq=job.arrival_seq,
        first=memory.first if memory else clean.header,
        header=clean.header,
        encoding=clean.encoding,
        delimiter=(clean.reading or feed.reading).delimiter,
        told=(*(memory.told if memory else ()), *new_columns),
        formats=tuple(dict.fromkeys((*(memory.formats if memory else ()), *formats))),
        recent=recent,
        tenders=tenders if len(tenders) <= TENDERS else (),
    )


def _is_further(job: Job, memory: Memory | None) -> bool:
    return memory is None or job.arrival_seq > memory.arrival_seq


def _listed(values: Sequence[str]) -> str:
    """Name the first of them and count the others."""
    text = ", ".join(values[:LISTED])
    more = len(values) - LISTED
    return f"{text} and {more} more" if more > 0 else text
