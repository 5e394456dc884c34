"""Dates in a sample: every format that reads all values, and what tells day from month.

Promises that a format is proposed only if `importer.moments` reads the values with it, and that
day and month are told apart by evidence. Never decides by what is usual in a country.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from tilldrop import formats
from tilldrop.importer.moments import is_in_range, read_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

ORDERS = ("ymd", "dmy", "mdy")
_MAX_SHAPES = 4
_TOLERATED = 0.02  # values that are no dates, of a column that is one
_FAULTY = 0.1  # the same where the column is named so and they are dates in no other order either
_TWO = 2
_EPOCH = re.compile(r"(?:9[4-9]|1\d\d|20\d|21\d)\d{7}(?:\.\d{1,9})?")
_COMPACT = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[ T]?[0-2]\d[0-5]\d(?:[0-5]\d)?)?"
)
_SIX_EIGHT = re.compile(r"\d{6}|\d{8}")
_ISO = re.compile(r"\d{4}-\d\d-\d\d.*")
_CLOCK = (
    r"(?:(?P<gap>[ T,]{1,2}|, )(?P<hour>\d{1,2})(?P<mark>[:.]| ?[hH] ?)(?P<minute>\d\d)"
    r"(?:(?P<mark2>[:.])(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<agap> ?)(?P<half>[AaPp]\.?[Mm]\.?)?"
    r"(?P<zgap> ?)(?P<zone>Z|[+-]\d\d(?::?\d\d)?|[A-Z]{2,4}T)?)?"
)
# A month's name; a dot that ends its short form belongs to it.
_WORD = r"[^\W\d_]{3,12}(?:\.(?= ))?"
_DATE = re.compile(
    rf"(?P<a>\d{{4}}|\d{{1,2}})(?P<s1>[-/. ]|\. )(?P<b>\d{{1,2}}|{_WORD})(?P<s2>[-/. ]|, ?|\. )(?P<c>\d{{4}}|\d{{1,2}})"
    + _CLOCK
)
_MONTH_FIRST = re.compile(
    rf"(?P<a>{_WORD})(?P<s1>[ -/.])(?P<b>\d{{1,2}})(?P<s2>,? |[-/.])(?P<c>\d{{4}}|\d\d)" + _CLOCK
)
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?P<mark>[:.]| ?[hH] ?)(?P<minute>\d\d)(?:(?P<mark2>[:.])(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?(?P<agap> ?)(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_DIGITS_TIME = re.compile(r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?")


@dataclass(frozen=True, slots=True)
class Dates:
    """A column of dates. readings: order -> the formats that read every value.

    unread: values that no format reads, with how often; few. has_time: all have a time of day.
    """

    readings: dict[str, tuple[str, ...]]
    has_time: bool
    has_offset: bool = False
    unread: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Order:
    """How day and month were told apart. order: "" if they were not."""

    order: str
    evidence: str
    confidence: str


def find_dates(seen: Counter[str], *, named: bool, answered: bool = False) -> Dates | None:
    """Return how a column's values are dates, None if they are none.

    seen: value -> how often. named: the column's name says date; digits alone count only then.
    answered: the column was said to be the date; half of it may be unreadable.
    """
    values = list(seen)
    probe = values[:: max(1, len(values) // 40)][:40]
    least = 0.5 if answered else 0.8 if named else 0.9
    if not probe or sum(_looks(value, named=named) for value in probe) < least * len(probe):
        return None
    shapes: dict[str, list[str]] = {}
    for value in values:
        shapes.setdefault(_shape(value), []).append(value)
    if len(shapes) > 60:
        return None
    ways = [_formats(group, named=named) for group in _merged(shapes)]
    written = {order: _together(order, ways) for order in ORDERS}
    return _proved(seen, written, 0.5 if answered else _FAULTY if named else _TOLERATED)


def _together(order: str, ways: list[dict[str, list[str]]]) -> tuple[str, ...]:
    """Return the formats of an order; where shapes are mixed, also those that have one order only."""
    open_ones = [way for way in ways if order in way]
    if not open_ones:
        return ()
    fixed = [way for way in ways if len(way) == 1 and order not in way]
    mixed = fixed if any(len(way) > 1 for way in open_ones) else []
    own = [one for way in open_ones for one in way[order]]
    others = [one for way in mixed for found in way.values() for one in found]
    return tuple(dict.fromkeys([*own, *others]))


def find_times(seen: Counter[str], *, named: bool) -> str:
    """Return the format of a column of times of day, "" if it is none."""
    values = list(seen)
    if not values:
        return ""
    first = [_TIME.fullmatch(value) for value in values]
    if all(first):
        found = first[0]
        if found is None or (not named and found["mark"] != ":"):
            return ""
        halves = {bool(one and one["half"]) for one in first}
        seconds = {bool(one and one["second"]) for one in first}
        if len(halves) == 1 and len(seconds) == 1:
            hours = {len(one["hour"]) for one in first if one}
            written = _clock_format(found, two=hours == {2})
            ok = all(
                read_moment(f"2000-01-01 {value}", (f"YYYY-MM-DD {written}",)) for value in values
            )
            return written if ok else ""
        return ""
    lengths = {len(value) for value in values}
    if (
        named
        and len(lengths) == 1
        and lengths <= {4, 6}
        and all(map(_DIGITS_TIME.fullmatch, values))
    ):
        return "HHmm" if lengths == {4} else "HHmmss"
    return ""


def read(value: str, written: tuple[str, ...]) -> datetime | None:
    """Return the wall-clock time of a value, None if it has none."""
    moment = read_moment(value, written)
    return moment.local if moment and is_in_range(moment) else None


def tell_order(
    values: Sequence[str], dates: Dates, siblings: Iterable[str], named: Iterable[date], today: date
) -> Order:
    """Tell day from month. values: in the file's order.

    siblings: orders of other columns that are not in doubt; named: dates that the file's name or
    its preamble bear.
    """
    orders = [order for order in ORDERS if dates.readings.get(order)]
    if len(orders) == 1:
        return Order(orders[0], _only(orders[0], values), "high")
    told = {one for one in siblings if one in orders}
    if len(told) == 1:
        return Order(
            told.pop(), "another column of this file can be read in this order only", "high"
        )
    days = {
        order: [
            one.date() for one in (read(value, dates.readings[order]) for value in values) if one
        ]
        for order in orders
    }
    if set(orders) == {"dmy", "mdy"} and all(re.match(r"\d+\.\d+\.", one) for one in values[:50]):
        return Order("dmy", "written with dots, where the day comes first", "medium")
    if len({tuple(one) for one in days.values()}) == 1:
        return Order(orders[0], "every order gives the same dates here", "medium")
    return (
        _by_named(days, set(named))
        or _by_order(days)
        or _by_density(days)
        or _by_future(days, today)
        or Order("", "", "low")
    )


def _only(order: str, values: Sequence[str]) -> str:
    past = [
        value
        for value in values
        if any(12 < int(part) <= 31 for part in re.findall(r"\d+", value[:8])[:2])
    ]
    if order == "ymd" or not past:
        return "no other order reads every value"
    return f'"{past[0]}" can be read in no other order'


def _by_named(days: dict[str, list[date]], named: set[date]) -> Order | None:
    if not named:
        return None
    fits = [
        order
        for order, found in days.items()
        if found and set(found) & named and len(set(found)) <= 40 and _near(set(found), named)
    ]
    if len(fits) == 1:
        return Order(
            fits[0], "only so the dates fit the date in the file's name or preamble", "high"
        )
    return None


def _near(found: set[date], named: set[date]) -> bool:
    return any(abs((one - day).days) <= 31 for day in named for one in (min(found), max(found)))


def _by_order(days: dict[str, list[date]]) -> Order | None:
    """Take the order under which the rows run with time, the other way round or not."""
    shares = {}
    for order, found in days.items():
        steps = [(b - a).days for a, b in pairwise(found) if a != b]
        if len(steps) < 4:
            return None
        up = sum(step > 0 for step in steps) / len(steps)
        shares[order] = max(up, 1 - up)
    best = max(shares, key=lambda one: shares[one])
    rest = max(share for order, share in shares.items() if order != best)
    if shares[best] > 0.995 and rest < 0.95:
        return Order(best, "only in this order do the rows run with time", "high")
    return None


def _by_density(days: dict[str, list[date]]) -> Order | None:
    """Take the order that gives days in a row where another gives one day of each month."""
    fill = {}
    for order, found in days.items():
        once = set(found)
        if len(once) < 4:
            return None
        fill[order] = len(once) / ((max(once) - min(once)).days + 1)
    best = max(fill, key=lambda one: fill[one])
    rest = max(share for order, share in fill.items() if order != best)
    if fill[best] > 0.6 and rest < 0.15:
        return Order(best, "only in this order do the days follow each other", "high")
    return None


def _by_future(days: dict[str, list[date]], today: date) -> Order | None:
    past = [order for order, found in days.items() if found and (max(found) - today).days <= 1]
    if len(past) == 1:
        return Order(past[0], "in the other order sales would lie in the future", "medium")
    return None


def _looks(value: str, *, named: bool) -> bool:
    if _ISO.fullmatch(value) or _DATE.fullmatch(value) or _MONTH_FIRST.fullmatch(value):
        return True
    if _COMPACT.fullmatch(value):
        return True
    return named and bool(_EPOCH.fullmatch(value) or _SIX_EIGHT.fullmatch(value))


def _shape(value: str) -> str:
    shape = re.sub(r"\d+", lambda run: "9" if len(run[0]) <= 2 else str(len(run[0])) + "#", value)
    shape = re.sub(r"\b[AaPp]\.?[Mm]\b\.?", "a", shape)
    return re.sub(r"[^\W\d_]{2,}(?:\.(?= ))?", "x", shape)


def _merged(shapes: dict[str, list[str]]) -> list[list[str]]:
    """Return the groups of values of one shape, the largest first."""
    return sorted(shapes.values(), key=len, reverse=True)[:_MAX_SHAPES]


def _formats(values: list[str], *, named: bool) -> dict[str, list[str]]:
    """Return formats by order for values of one shape."""
    first = values[0]
    if all(map(_ISO.fullmatch, values)) and all(read_moment(one, ("iso",)) for one in values[:50]):
        return {"ymd": ["iso"]}
    if all(map(_COMPACT.fullmatch, values)):
        return {"ymd": ["compact"]}
    if named and all(map(_EPOCH.fullmatch, values)):
        return {"ymd": ["epoch"]}
    if _SIX_EIGHT.fullmatch(first):
        year = "YYYY" if len(first) == 8 else "YY"
        return {"ymd": [f"{year}MMDD"], "dmy": [f"DDMM{year}"], "mdy": [f"MMDD{year}"]}
    months = [_MONTH_FIRST.fullmatch(value) for value in values]
    if all(months) and months[0]:
        return {"mdy": [_worded(months[0], values)]}
    found = [_DATE.fullmatch(value) for value in values]
    whole = [one for one in found if one]
    return _numbered(whole) if len(whole) == len(found) else {}


def _worded(found: re.Match[str], values: list[str]) -> str:
    year = "YYYY" if len(found["c"]) == 4 else "YY"
    del values
    return f"MMM{found['s1']}D{found['s2']}{year}{_clock(found, two=False)}"


def _numbered(found: list[re.Match[str]]) -> dict[str, list[str]]:
    one = found[0]
    two = _is_padded(found, "hour")
    clock = _clock(one, two=two)
    ends = ("b", "c") if len(one["a"]) == 4 else ("a", "b")
    padded = all(len(each[end]) == _TWO or _is_word(each[end]) for each in found for end in ends)
    padded = padded and any(_is_padded(found, end) for end in ends)
    s1, s2 = one["s1"], one["s2"]
    worded = _is_word(one["b"])

    def part(letter: str) -> str:
        if worded and letter == "M":
            return "MMM"
        return letter * 2 if padded else letter

    if len(one["a"]) == 4:
        return {"ymd": [f"YYYY{s1}{part('M')}{s2}{part('D')}{clock}"]}
    year = "YYYY" if len(one["c"]) == 4 else "YY"
    orders = {"dmy": [f"{part('D')}{s1}{part('M')}{s2}{year}{clock}"]}
    if not worded:
        orders["mdy"] = [f"{part('M')}{s1}{part('D')}{s2}{year}{clock}"]
        if year == "YY":
            orders["ymd"] = [f"YY{s1}{part('M')}{s2}{part('D')}{clock}"]
    return orders


def _are_dates(values: Counter[str], written: dict[str, tuple[str, ...]]) -> bool:
    """Tell whether values are dates in another order, which casts doubt on all of them."""
    every = {one for found in written.values() for one in found if formats.check(one) is None}
    return any(read_moment(value, tuple(every)) for value in values)


def _is_word(part: str) -> bool:
    return part[0].isalpha()


def _is_padded(found: list[re.Match[str]], group: str) -> bool:
    """Tell whether a part has two digits always, and a zero at its head sometimes."""
    parts = [each[group] or "00" for each in found]
    return all(len(one) == _TWO for one in parts) and any(one[0] == "0" for one in parts)


def _clock(found: re.Match[str], *, two: bool) -> str:
    return f"{found['gap']}{_clock_format(found, two=two)}" + _zone(found) if found["hour"] else ""


def _clock_format(found: re.Match[str], *, two: bool) -> str:
    hour = "h" if found["half"] else "H"
    written = f"{hour * 2 if two else hour}{formats.quoted(found['mark'])}mm"
    if found["second"]:
        written += f"{found['mark2']}ss" + (".fff" if found["fraction"] else "")
    return written + (f"{found['agap']}a" if found["half"] else "")


def _zone(found: re.Match[str]) -> str:
    zone = found["zone"]
    if not zone:
        return ""
    letter = "Z" if zone == "Z" or zone[0] in "+-" else "z"
    return f"{found['zgap']}{letter}"


def _proved(seen: Counter[str], written: dict[str, tuple[str, ...]], most: float) -> Dates | None:
    """Keep the orders whose formats read (nearly) every value. most: the share that may be none."""
    readings: dict[str, tuple[str, ...]] = {}
    unread: Counter[str] = Counter()
    with_time = offsets = 0
    fewest = None
    for order, found in written.items():
        usable = tuple(one for one in found if formats.check(one) is None)
        if not usable:
            continue
        missed: Counter[str] = Counter()
        timed = zoned = 0
        for value, times in seen.items():
            moment = read_moment(value, usable)
            if moment is None or not is_in_range(moment):
                missed[value] = times
            else:
                timed += moment.has_time
                zoned += moment.offset_s is not None or moment.is_utc
        share = missed.total() / seen.total()
        if share > most or (fewest is not None and missed.total() > fewest):
            continue
        if share > _TOLERATED and most <= _FAULTY and _are_dates(missed, written):
            continue
        if fewest is not None and missed.total() < fewest:
            readings = {}
        fewest = missed.total()
        readings[order] = usable
        unread, with_time, offsets = missed, timed, zoned
    if not readings:
        return None
    return Dates(readings, with_time == len(seen) - len(unread), offsets > 0, unread)
