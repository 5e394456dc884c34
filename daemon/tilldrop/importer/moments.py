"""What a date and a time mean, and which instant they are in a zone.

Promises that a text is either wholly read or not at all, and one documented outcome for the
hours that clocks skip or repeat. The patterns made here are in the syntax that Python's `re`
and RE2 (DuckDB) share, so that both lanes accept the same texts. The formats' grammar is in
`tilldrop.formats`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from tilldrop import formats
from tilldrop.importer.values import compiled
from tilldrop.month_names import months_by_name
from tilldrop.spoken_zones import find_offset_s, find_zone

FIRST_YEAR = 1900
LAST_YEAR = 2200


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time as written.

    offset_s: seconds east of UTC, None if the cell names none.
    is_utc: `local` is UTC, to be told in the feed's zone.
    zone_word: the zone that the cell names, "" if none.
    """

    local: datetime
    has_time: bool
    offset_s: int | None = None
    is_utc: bool = False
    zone_word: str = ""


_FIELDS = {
    "YYYY": "(?P<year>[0-9]{4})",
    "YY": "(?P<short_year>[0-9]{2})",
    "MMM": "(?P<month_name>%s)[.]?",
    "MM": "(?P<month>0[1-9]|1[0-2])",
    "M": "(?P<month>1[0-2]|0?[1-9])",
    "DD": "(?P<day>0[1-9]|[12][0-9]|3[01])",
    "D": "(?P<day>[12][0-9]|3[01]|0?[1-9])",
    "HH": "(?P<hour>[01][0-9]|2[0-3])",
    "H": "(?P<hour>1[0-9]|2[0-3]|0?[0-9])",
    "hh": "(?P<hour>0[1-9]|1[0-2])",
    "h": "(?P<hour>1[0-2]|0?[1-9])",
    "mm": "(?P<minute>[0-5][0-9])",
    "m": "(?P<minute>[1-5][0-9]|0?[0-9])",
    "ss": "(?P<second>[0-5][0-9])",
    "s": "(?P<second>[1-5][0-9]|0?[0-9])",
    "fff": "(?P<fraction>[0-9]{1,9})",
    "a": "(?P<half>[AaPp](?:[Mm]|[.][Mm][.]))",
    "Z": "(?P<offset>[Zz]|[+\\-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)",
    "z": "(?P<zone_word>[A-Za-z(].*)",
}
_CLOCK = "(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])"
_NAMED = {
    "iso": (
        "(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])-(?P<day>0[1-9]|[12][0-9]|3[01])"
        f"(?:[ T]{_CLOCK}(?:[.](?P<fraction>[0-9]{{1,9}}))?)?(?: ?{_FIELDS['Z']})?)?"
    ),
    "compact": (
        "(?P<year>[0-9]{4})(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12][0-9]|3[01])"
        "(?:[ T]?(?P<hour>[01][0-9]|2[0-3])(?P<minute>[0-5][0-9])(?P<second>[0-5][0-9])?)?"
    ),
    "epoch": "(?P<epoch>[0-9]{1,11})(?:[.][0-9]{1,9})?",
}


@cache
def date_pattern(written: str) -> str:
    """Return the pattern of a date format, with Python's named groups."""
    if written in _NAMED:
        return _NAMED[written]
    return "".join(
        _FIELDS[token.field].replace("%s", _month_names()) if token.field else re.escape(token.text)
        for token in formats.tokens(written)
    )


def read_moment(text: str, written: tuple[str, ...]) -> Moment | None:
    """Read a date by the first format that fits. text: outer blanks removed."""
    for one in written:
        found = compiled(date_pattern(one)).fullmatch(text)
        moment = _moment(found.groupdict()) if found else None
        if moment:
            return moment
    return None


def date_fits(text: str, written: tuple[str, ...]) -> bool:
    """Tell whether the part before the time is a date of one of the formats."""
    return read_moment(text, tuple(date_part(one) for one in written)) is not None


def date_part(written: str) -> str:
    """Return a format without its time."""
    if written in formats.NAMED:
        return written
    text = ""
    for token in formats.tokens(written):
        if token.field in {"HH", "H", "hh", "h", "a", "Z", "z"}:
            break
        text += token.written
    return text.rstrip(" T")


def is_in_range(moment: Moment) -> bool:
    """Tell whether the year is one in which a till may have rung."""
    return FIRST_YEAR <= moment.local.year <= LAST_YEAR


@cache
def _month_names() -> str:
    """Return the pattern of a month's name in any case, long names first."""
    names = sorted(months_by_name(), key=len, reverse=True)
    return "|".join(
        "".join(f"[{char.upper()}{char}]" if char.isalpha() else char for char in name)
        for name in names
    )


def _moment(found: dict[str, str | None]) -> Moment | None:
    """Make a moment of a pattern's groups; None for a day that does not exist."""
    if found.get("epoch"):
        at = datetime.fromtimestamp(int(found["epoch"] or 0), UTC).replace(tzinfo=None)
        return Moment(at, has_time=True, is_utc=True)
    hour = found.get("hour")
    try:
        local = datetime(  # noqa: DTZ001  wall-clock time; the zone comes later
            _year(found),
            _month(found),
            int(found["day"] or 0),
            _hour(hour, found.get("half")),
            int(found.get("minute") or 0),
            int(found.get("second") or 0),
        )
    except ValueError:
        return None
    word = found.get("zone_word") or ""
    return Moment(local, hour is not None, _offset_s(found.get("offset")), zone_word=word)


def _year(found: dict[str, str | None]) -> int:
    short = found.get("short_year")
    if short is None:
        return int(found["year"] or 0)
    return int(short) + (1900 if int(short) >= 69 else 2000)  # noqa: PLR2004  as POSIX has it


def _month(found: dict[str, str | None]) -> int:
    name = found.get("month_name")
    if name is None:
        return int(found["month"] or 0)
    return months_by_name()[name.lower()]


def _hour(hour: str | None, half: str | None) -> int:
    if half is None:
        return int(hour or 0)
    return int(hour or 0) % 12 + (12 if half[0] in "Pp" else 0)


def _offset_s(text: str | None) -> int | None:
    if text is None:
        return None
    if text in "Zz":
        return 0
    digits = text[1:].replace(":", "").ljust(4, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if text[0] == "-" else seconds


# Zones


@dataclass(frozen=True, slots=True)
class Sold:
    """A moment as stored.

    warning: "", "time-skipped" or "time-ambiguous"; "zone-unknown" is a fault.
    """

    sold_at: str
    business_date: str
    has_time: bool
    warning: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a zone's offset. until: the wall clock, as it ran before, at the change."""

    until: datetime
    before_s: int
    after_s: int

    @property
    def is_forward(self) -> bool:
        """Tell whether wall-clock time was skipped, not repeated."""
        return self.after_s > self.before_s

    @property
    def until_after(self) -> datetime:
        """The wall clock, as it runs afterwards, at the change."""
        return self.until + timedelta(seconds=self.after_s - self.before_s)


@cache
def zone_of(name: str) -> ZoneInfo:
    """Return a zone; the configuration was checked, so the name exists."""
    return ZoneInfo(name)


def settle_moment(moment: Moment, zone: ZoneInfo) -> Sold:
    """Give a moment its offset; documented outcomes where clocks go forward or back.

    A skipped hour: as much is added as was skipped. A repeated hour: the first.
    """
    local, warning = moment.local, ""
    if moment.zone_word:
        return _settle_in_word(moment, zone)
    if moment.is_utc:
        aware = local.replace(tzinfo=UTC).astimezone(zone)
        local, offset = aware.replace(tzinfo=None), _offset_of(aware)
        return Sold(instant_text(local, offset), str(local.date()), moment.has_time, "")
    day = str(local.date())
    if moment.offset_s is not None:
        return Sold(instant_text(local, moment.offset_s), day, moment.has_time, "")
    all_day = _offset_all_day(zone, local.date())
    if all_day:
        return Sold(local.isoformat(timespec="seconds") + all_day, day, moment.has_time, "")
    first = _offset_of(local.replace(tzinfo=zone, fold=0))
    second = _offset_of(local.replace(tzinfo=zone, fold=1))
    if first < second:
        local += timedelta(seconds=second - first)
        first, warning = second, "time-skipped"
    elif first > second:
        warning = "time-ambiguous"
    warning = warning if moment.has_time else ""
    return Sold(instant_text(local, first), day, moment.has_time, warning)


def _settle_in_word(moment: Moment, zone: ZoneInfo) -> Sold:
    """Settle a moment whose cell names a zone; the feed's own zone knows its own names best."""
    word = moment.zone_word
    plain = replace(moment, zone_word="")
    for fold in (0, 1):
        aware = moment.local.replace(tzinfo=zone, fold=fold)
        if (aware.tzname() or "").upper() == word.upper():
            return settle_moment(replace(plain, offset_s=_offset_of(aware)), zone)
    offset_s, named = find_offset_s(word), find_zone(word)
    if offset_s is not None:
        return settle_moment(replace(plain, offset_s=offset_s), zone)
    if named is not None:
        return settle_moment(plain, zone_of(named))
    return Sold("", "", moment.has_time, "zone-unknown")


@lru_cache(maxsize=10_000)
def _offset_all_day(zone: ZoneInfo, day: date) -> str:
    """Return the offset of a day on which, and around which, no clock changes; else ""."""
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    offsets = {_offset_at(noon + timedelta(hours=hours), zone) for hours in range(-30, 31)}
    return offset_text(offsets.pop()) if len(offsets) == 1 else ""


def instant_text(local: datetime, offset_s: int) -> str:
    """Return ISO 8601 with offset, whole seconds."""
    return local.isoformat(timespec="seconds") + offset_text(offset_s)


def offset_text(offset_s: int) -> str:
    """Return "+01:00"; offsets before standard time have seconds."""
    sign = "-" if offset_s < 0 else "+"
    minutes, seconds = divmod(abs(offset_s), 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{seconds:02}" if seconds else text


def changes(zone: ZoneInfo, first: date, last: date) -> tuple[int, list[Change]]:
    """Return the offset at the beginning of `first` and the changes up to the end of `last`.

    Cost: a look at each day, 0.1 s for the three centuries that are in range.
    """
    at = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=2)
    end = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=3)
    offset_s = start_s = _offset_at(at, zone)
    found = []
    while at < end:
        after = at + timedelta(days=1)
        if _offset_at(after, zone) != offset_s:
            moment = _change_between(at, after, zone)
            new_s = _offset_at(moment, zone)
            until = moment.replace(tzinfo=None) + timedelta(seconds=offset_s)
            found.append(Change(until, offset_s, new_s))
            offset_s = new_s
        at = after
    return start_s, found


def _change_between(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """Find the second from which the offset is no longer that of `low`."""
    before_s = _offset_at(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if _offset_at(middle, zone) == before_s:
            low = middle
        else:
            high = middle
    return high


def _offset_at(instant: datetime, zone: ZoneInfo) -> int:
    return _offset_of(instant.astimezone(zone))


def _offset_of(aware: datetime) -> int:
    return int((aware.utcoffset() or timedelta()).total_seconds())
