"""What a cell means: numbers, dates and zones. The reference that both lanes follow.

Promises exact decimals, never floats, and that a cell is either wholly read or not at all. The
patterns made here are in the syntax that Python's `re` and RE2 (DuckDB) share, so that both
lanes accept the same cells. Never raises on a customer's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, Inexact, InvalidOperation, localcontext
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tilldrop import formats
from tilldrop.importer.cards import mask

if TYPE_CHECKING:
    from collections.abc import Callable

SEEN_CHARS = 60
MINOR_LIMIT = 10**15  # an amount at or above it is a mistake, and sums of them fit 64 bits
FIRST_YEAR = 1900
LAST_YEAR = 2200
MAX_DIGITS = 30  # before and after the decimal sign; longer is no amount

# A blank, the breaks, and the blanks that spreadsheets put between thousands.
BLANKS = " \t\n\r\v\f\u00a0\u202f\u2007\u2009"
_GAP = "[ \t\u00a0\u202f\u2007\u2009]*"
_SIGN = "[+\\-\u2212]"
_MONEY_SIGNS = "[$\u00a2-\u00a5\u20a0-\u20cf\u0e3f\ufdfc]"
_MONEY_WORDS = ("[A-Z]{1,2}[$]", "kr", "z\u0142", "K\u010d", "Ft", "lei", "Rs", "Fr")
_THOUSANDS = {" ": "[ \u00a0\u202f\u2007\u2009]", "'": "['\u2019]"}

# Every step of an expression stays exact: 30 digits a factor leave room for 60 factors.
_EXACT = Context(prec=4000, traps=[Inexact, InvalidOperation])

_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


def bare(cell: str) -> str:
    """Return a cell without outer blanks."""
    return cell.strip(BLANKS)


def shorten(text: str) -> str:
    """Make a cell fit to be shown: cards masked, control characters escaped, 60 characters."""
    # Masked whole: part of a card number would not be known as one. Long cells are cut first,
    # well behind what is shown.
    shown = mask(text[: 4 * SEEN_CHARS])
    shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    return shown if len(shown) <= SEEN_CHARS else shown[: SEEN_CHARS - 1] + "\u2026"


def _escaped(char: str) -> str:
    return char if char == "\u00a0" else char.encode("unicode_escape").decode("ascii")


# Numbers


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How a feed writes numbers. decimal: "." or ",". thousands: "" or one character."""

    decimal: str
    thousands: str
    currency: str

    def pattern(self, whole: int = MAX_DIGITS, fraction: int = MAX_DIGITS) -> str:
        """Return the pattern of a number with at most so many digits; outer blanks removed."""
        mark = re.escape(self.decimal)
        digits = f"[0-9]{{1,{whole}}}"
        if self.thousands:
            group = _THOUSANDS.get(self.thousands, re.escape(self.thousands))
            grouped = f"[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}}){{1,{whole // 3 - 1}}}"
            digits = f"(?:{digits}|{grouped})"
        number = f"(?:{digits}(?:{mark}[0-9]{{0,{fraction}}})?|{mark}[0-9]{{1,{fraction}}})"
        code = "".join(f"[{letter}{letter.lower()}]" for letter in self.currency)
        money = f"(?:{_MONEY_SIGNS}|{'|'.join((code, *_MONEY_WORDS))})"
        forms = (
            f"(?:{_SIGN}{_GAP})?(?:{money}{_GAP})?{number}",
            f"(?:{_SIGN}{_GAP})?{number}{_GAP}{money}",
            f"{money}{_GAP}{_SIGN}{_GAP}{number}",
            f"(?:{money}{_GAP})?{number}{_GAP}{_SIGN}",
            f"{number}{_GAP}{_SIGN}{_GAP}{money}",
            f"{number}{_GAP}{money}{_GAP}{_SIGN}",
            f"(?:{money}{_GAP})?[(]{_GAP}{number}{_GAP}[)]",
            f"[(]{_GAP}{number}{_GAP}[)]{_GAP}{money}",
            f"[(]{_GAP}{money}{_GAP}{number}{_GAP}[)]",
            f"[(]{_GAP}{number}{_GAP}{money}{_GAP}[)]",
        )
        return "|".join(forms)

    def read(self, cell: str) -> Decimal | None:
        """Return the number in a cell, None if it is not one. cell: outer blanks removed."""
        if not _number_regex(self).fullmatch(cell):
            return None
        digits = "".join(char for char in cell if char in "0123456789" or char == self.decimal)
        number = Decimal(digits.replace(self.decimal, "."))
        return -number if any(sign in cell for sign in "-\u2212(") else number


@cache
def _number_regex(form: NumberForm) -> re.Pattern[str]:
    return re.compile(form.pattern())


def to_minor(amount: Decimal, minor_digits: int) -> int | None:
    """Round to minor units, half away from zero; None if that is out of range."""
    with localcontext(_EXACT) as context:
        context.traps[Inexact] = False
        minor = amount.scaleb(minor_digits).quantize(Decimal(1), ROUND_HALF_UP)
    return int(minor) if abs(minor) < MINOR_LIMIT else None


def compute(tree: tuple[object, ...], value_of: Callable[[str], Decimal]) -> Decimal:
    """Evaluate an `expression.Tree` exactly.

    value_of: a column's value. Raises decimal.Inexact past 4000 digits.
    """
    with localcontext(_EXACT):
        return _evaluate(tree, value_of)


def add(amounts: list[Decimal]) -> Decimal:
    """Add exactly."""
    with localcontext(_EXACT):
        return sum(amounts, Decimal(0))


def _evaluate(tree: tuple[object, ...], value_of: Callable[[str], Decimal]) -> Decimal:
    match tree:
        case ("number", str(text)):
            return Decimal(text)
        case ("column", str(name)):
            return value_of(name)
        case ("negate", tuple(operand)):
            return -_evaluate(operand, value_of)
        case ("+", tuple(left), tuple(right)):
            return _evaluate(left, value_of) + _evaluate(right, value_of)
        case ("-", tuple(left), tuple(right)):
            return _evaluate(left, value_of) - _evaluate(right, value_of)
        case ("*", tuple(left), tuple(right)):
            return _evaluate(left, value_of) * _evaluate(right, value_of)
    raise ValueError(tree)


# Dates


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time as written.

    offset_s: seconds east of UTC, None if the cell names none.
    is_utc: `local` is UTC, to be told in the feed's zone.
    """

    local: datetime
    has_time: bool
    offset_s: int | None = None
    is_utc: bool = False


_FIELDS = {
    "YYYY": "(?P<year>[0-9]{4})",
    "YY": "(?P<short_year>[0-9]{2})",
    "MMM": "(?P<month_name>%s)",
    "MM": "(?P<month>0[1-9]|1[0-2])",
    "M": "(?P<month>1[0-2]|0?[1-9])",
    "DD": "(?P<day>0[1-9]|[12][0-9]|3[01])",
    "D": "(?P<day>[12][0-9]|3[01]|0?[1-9])",
    "HH": "(?P<hour>[01][0-9]|2[0-3])",
    "H": "(?P<hour>1[0-9]|2[0-3]|0?[0-9])",
    "hh": "(?P<hour>0[1-9]|1[0-2])",
    "h": "(?P<hour>1[0-2]|0?[1-9])",
    "mm": "(?P<minute>[0-5][0-9])",
    "ss": "(?P<second>[0-5][0-9])",
    "fff": "(?P<fraction>[0-9]{1,9})",
    "a": "(?P<half>[AaPp](?:[Mm]|[.][Mm][.]))",
    "Z": "(?P<offset>[Zz]|[+\\-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)",
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


def check_format(written: str) -> str | None:
    """Say what is wrong with a date format, or None."""
    return formats.check(written)


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
        found = _compiled(date_pattern(one)).fullmatch(text)
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
        if token.field in {"HH", "H", "hh", "h", "a", "Z"}:
            break
        text += token.text
    return text.rstrip(" T")


def is_in_range(moment: Moment) -> bool:
    """Tell whether the year is one in which a till may have rung."""
    return FIRST_YEAR <= moment.local.year <= LAST_YEAR


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _month_names() -> str:
    """Return the pattern of a month's name in any case, long names first."""
    names = [name for month in _MONTHS for name in dict.fromkeys((month, month[:3]))]
    return "|".join("".join(f"[{char.upper()}{char.lower()}]" for char in name) for name in names)


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
    return Moment(local, hour is not None, _offset_s(found.get("offset")))


def _year(found: dict[str, str | None]) -> int:
    short = found.get("short_year")
    if short is None:
        return int(found["year"] or 0)
    return int(short) + (1900 if int(short) >= 69 else 2000)  # noqa: PLR2004  as POSIX has it


def _month(found: dict[str, str | None]) -> int:
    name = found.get("month_name")
    if name is None:
        return int(found["month"] or 0)
    return next(at for at, month in enumerate(_MONTHS, 1) if month[:3].lower() == name[:3].lower())


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
    """A moment as stored. warning: "", "time-skipped" or "time-ambiguous"."""

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
    if moment.is_utc:
        aware = local.replace(tzinfo=UTC).astimezone(zone)
        local, offset = aware.replace(tzinfo=None), _offset_of(aware)
        return Sold(instant_text(local, offset), str(local.date()), moment.has_time, "")
    day = str(local.date())
    if moment.offset_s is not None:
        return Sold(instant_text(local, moment.offset_s), day, moment.has_time, "")
    first = _offset_of(local.replace(tzinfo=zone, fold=0))
    second = _offset_of(local.replace(tzinfo=zone, fold=1))
    if first < second:
        local += timedelta(seconds=second - first)
        first, warning = second, "time-skipped"
    elif first > second:
        warning = "time-ambiguous"
    warning = warning if moment.has_time else ""
    return Sold(instant_text(local, first), day, moment.has_time, warning)


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
