"""From a record's cells to a date and time, and from there to an instant in a zone.

Promises the same outcome for equal texts; those seen before are remembered. What formats and
clock changes mean is in `moments`. Never sees a file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tilldrop.importer import moments
from tilldrop.importer.cells import MEMO_SIZE, TEXT_MARK, Cells, Unreadable
from tilldrop.importer.moments import zone_of
from tilldrop.importer.values import BLANKS, bare, shorten
from tilldrop.sources import When
from tilldrop.spoken_zones import find_zone

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from tilldrop.importer.moments import Moment
    from tilldrop.importer.plan import Bound, Plan


class Timed(NamedTuple):
    """A moment as read. text: as written. zone: what the mapping or the row says, None if none."""

    text: str
    moment: Moment
    zone: ZoneInfo | None


TimedOf = Callable[[Cells], Timed | None]


def timed_of(bound: Bound, plan: Plan, used: set[str] | None = None) -> TimedOf:
    """Return what reads a date, or a date and time. used: takes the formats that fit."""
    if not isinstance(bound.source, When):
        raise TypeError(bound.target)
    when = bound.source
    text = _text_of(bound, when)
    formats = plan.formats_of(bound)
    mapped = zone_of(when.zone) if when.zone else None
    memo: dict[str, Timed] = {}

    def timed(cells: Cells) -> Timed | None:
        written = text(cells)
        if not written:
            return None
        try:
            return memo[written]
        except KeyError:
            moment, written_as = _read(written, formats)
            if moment is None or not moments.is_in_range(moment):
                raise _unreadable(bound, when, moment, cells, formats) from None
            if used is not None:
                used.add(written_as)
            if len(memo) > MEMO_SIZE:
                memo.clear()
            made = memo[written] = Timed(written, moment, mapped)
            return made

    return _zoned(bound, timed) if when.zone_column else timed


def _read(text: str, formats: tuple[str, ...]) -> tuple[Moment | None, str]:
    text = text.removeprefix(TEXT_MARK)
    for one in formats:
        moment = moments.read_moment(text, (one,))
        if moment is not None:
            return moment, one
    return None, ""


def _text_of(bound: Bound, when: When) -> Callable[[Cells], str]:
    """Return what puts date and times together; "" if the date is empty."""
    fixed, places = bound.fixed, bound.places
    times = places[len(places) - len(when.times) - bool(when.zone_column) :][: len(when.times)]
    if fixed and not times:
        return lambda _: fixed
    if not times:
        place = places[0]
        return lambda cells: cells[place].strip(BLANKS)

    def text(cells: Cells) -> str:
        date = fixed or cells[places[0]].strip(BLANKS)
        if not date:
            return ""
        parts = [cells[place].strip(BLANKS) for place in times]
        return f"{date} {':'.join(parts)}" if any(parts) else date

    return text


def _zoned(bound: Bound, timed: TimedOf) -> TimedOf:
    """Look the row's own zone up, where it has one."""
    place, name = bound.places[-1], bound.names[-1]

    def with_zone(cells: Cells) -> Timed | None:
        found = timed(cells)
        spoken = cells[place].strip(BLANKS)
        if found is None or not spoken:
            return found
        zone = find_zone(spoken)
        if zone is None:
            raise Unreadable("zone-unknown", name, shorten(spoken))
        return found._replace(zone=zone_of(zone))

    return with_zone


def _unreadable(
    bound: Bound, when: When, moment: Moment | None, cells: Cells, formats: tuple[str, ...]
) -> Unreadable:
    parts = [bound.fixed] if when.given else []
    names = [bound.target] if when.given else []
    for name, place in zip(bound.names, bound.places, strict=True):
        names.append(name)
        parts.append(bare(cells[place]))
    dated = 1 + len(when.times)
    text = bare(f"{parts[0]} {':'.join(parts[1:dated])}")
    if moment:
        return Unreadable("date-out-of-range", names[0], shorten(text))
    if when.times and moments.date_fits(parts[0], formats):
        seen = shorten(":".join(parts[1:dated])) or "(empty)"
        return Unreadable("time-unreadable", names[1], seen)
    return Unreadable("date-unreadable", names[0], shorten(parts[0]))


class Settled(NamedTuple):
    """An instant as stored. warning: what the customer is told of it, "" if nothing."""

    sold_at: str
    business_date: str
    has_time: int
    warning: str


class Clock:
    """Settles the moments of one target in zones."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._settled: dict[ZoneInfo, dict[str, Settled]] = {}
        self._days: dict[str, str] = {}

    def settle(self, timed: Timed, zone: ZoneInfo) -> Settled:
        """Return the instant. zone: for a moment that has none of its own. Raises Unreadable."""
        zone = timed.zone or zone
        memo = self._settled.get(zone)
        if memo is None:
            memo = self._settled[zone] = {}
        settled = memo.get(timed.text)
        if settled is None:
            sold = moments.settle_moment(timed.moment, zone)
            if sold.warning == "zone-unknown":
                seen = shorten(timed.moment.zone_word)
                raise Unreadable("zone-unknown", self._bound.name, seen)
            if len(memo) > MEMO_SIZE:
                memo.clear()
            made = (sold.sold_at, sold.business_date, int(sold.has_time), sold.warning)
            settled = memo[timed.text] = Settled(*made)
        return settled

    def business_date(self, sold_at: str, day_starts_at_min: int) -> str:
        """Return the day that a sale belongs to where days do not begin at midnight."""
        minute = sold_at[:16]
        day = self._days.get(minute)
        if day is None:
            if len(self._days) > MEMO_SIZE:
                self._days.clear()
            began = datetime.fromisoformat(minute) - timedelta(minutes=day_starts_at_min)
            day = self._days[minute] = str(began.date())
        return day
