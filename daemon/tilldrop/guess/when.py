"""When a sale was made: which column, which format, and day and month told apart or asked.

Never takes a delivery's, a payment's or a print's date for the sale's where there is another.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tilldrop.guess import dates, tongues, words
from tilldrop.guess.clocks import (
    When,
    cut_midnights,
    day_part,
    hours_apart,
    joined,
    pad_times,
    time_column,
)
from tilldrop.guess.counted_dates import find_counted
from tilldrop.guess.draft import Option, Question
from tilldrop.guess.outside import ORDER_WORDS, dates_in, from_outside

if TYPE_CHECKING:
    from datetime import date

    from tilldrop.guess.dates import Dates
    from tilldrop.guess.sample import Column, Sample

_AMERICAN = re.compile(
    r"\b(?:[PMCE][SD]T|AK[SD]T|HST|US/|America/|Eastern|Pacific|Mountain|Central)\b"
)


_NAMED = 8


def find_when(sample: Sample, answer: str | None, named: str | None, today: date) -> When:
    """Find date and time. answer: the order said; named: the column said."""
    columns = _ordered(sample.columns, sample.rows, named)
    if not columns:
        return find_counted(sample) or from_outside(sample, answer) or _faulty(sample)
    column = columns[0]
    found = column.dates or _read_as_said(column)
    if found is None:
        return When(missing=True)
    if (
        len(columns) > 1
        and named is None
        and _points(columns[1]) == _points(column)
        and _points(column) < 9
    ):
        options = tuple(Option(one.name, f"such as {next(iter(one.seen))}") for one in columns[:5])
        question = Question("date", "Which column is the time of the sale?", options)
        when = _read(column, found, sample, answer, today)
        when.source, when.question = None, question
        return when
    when = _read(column, found, sample, answer, today)
    if named is None and _points(column) < 0:
        text = f"{column.name} is the only date, and by its name not the sale's. Is it to count as such?"
        option = Option(column.name, "yes")
        when.source, when.question = None, Question("date", text, (option,), free=True)
    return when


def _ordered(columns: tuple[Column, ...], rows: int, named: str | None) -> list[Column]:
    """Return the columns of dates, the likeliest first."""
    if named is not None:
        return [
            column
            for column in columns
            if column.name.casefold() == named.casefold()
            and (column.dates or _read_as_said(column))
        ]
    maybe = [
        column
        for column in columns
        if column.dates
        and not column.is_number
        and column.filled >= 0.2 * rows
        and not column.says("zone", "shopper", "phone", "barcode", "product", least=8)
    ]
    return sorted(
        maybe,
        key=lambda one: (
            -_points(one),
            -one.filled,
            not (one.dates and one.dates.has_time),
            one.at,
        ),
    )


def _read_as_said(column: Column) -> Dates | None:
    return dates.find_dates(column.seen, named=True, answered=True)


def _faulty(sample: Sample) -> When:
    """Ask of a column that is named as the date, though many of its values are none."""
    when = When(missing=True, day=[None] * sample.rows, second=[None] * sample.rows)
    when.evidence = "no column holds dates"
    column = max(sample.columns, key=_points, default=None)
    found = _read_as_said(column) if column is not None and _points(column) >= _NAMED else None
    if column is None or found is None:
        return when
    other = next(iter(found.unread), "")
    text = (
        f"{found.unread.total()} of {column.filled} values of {column.name} are written otherwise than"
        f" the others, such as {other!r}. Is it the date all the same, and are these rows refused?"
    )
    when.missing, when.question = (
        False,
        Question("date", text, (Option(column.name, "yes"),), free=True),
    )
    return when


def _points(column: Column) -> int:
    points = column.strength("date")
    return points - 11 if column.says("other-date", least=9) else points


def _read(column: Column, found: Dates, sample: Sample, answer: str | None, today: date) -> When:
    when = When(column=column)
    cells = [cell for cell in column.cells if cell]
    order = _order(column, found, sample, answer, today, cells)
    written = found.readings.get(order.order) or next(iter(found.readings.values()))
    cut_midnights(when, column, found, written, sample.columns)
    when.time = None if found.has_time and not when.columns else time_column(sample.columns, column)
    if not found.has_time and when.time is None:
        pad_times(when, sample.columns)
    hours = None if found.has_time or when.time else hours_apart(sample.columns)
    _lay_out(when, column, written, timed=found.has_time, apart=hours is not None)
    when.evidence = f"{column.name}: {order.evidence}"
    when.confidence = order.confidence if not found.unread else "medium"
    if found.unread:
        value, times = next(iter(found.unread.items()))
        when.evidence += (
            f"; {found.unread.total()} values are no dates, such as {value!r} ({times})"
        )
    if _points(column) < 3:
        when.confidence = "medium"
    if not order.order:
        when.source, when.question = None, _order_question(column, found, cells)
        return when
    when.source = _source(when, column, found, written, hours, sample)
    return when


def _source(
    when: When,
    column: Column,
    found: Dates,
    written: tuple[str, ...],
    hours: list[Column] | None,
    sample: Sample,
) -> dict[str, object]:
    """Write date, time and zone as a feed has them."""
    source: dict[str, object] = {
        "date": next(iter(when.columns), column.name)
        if when.columns and not when.padded
        else column.name
    }
    form = list(written)
    if when.columns and not when.padded:
        form = [day_part(one) for one in form]
    if when.padded:
        source["time"] = when.padded
        form = [joined(one, when.clock) for one in form]
    elif when.time is not None:
        source["time"] = when.time.name
        form = [joined(one, when.time.time) for one in form]
    elif hours:
        source["time"] = [one.name for one in hours]
        form = [joined(one, "H:m") for one in form]
    source["format"] = form[0] if len(form) == 1 else form
    zone = _zone_column(sample.columns)
    if zone is not None and not found.has_offset:
        source["zone"] = {"column": zone.name}
        when.zone = zone.name
    return source


def _order(
    column: Column, found: Dates, sample: Sample, answer: str | None, today: date, cells: list[str]
) -> dates.Order:
    if answer in found.readings:
        return dates.Order(answer or "", "as answered", "high")
    siblings = [
        next(iter(other.dates.readings))
        for other in sample.columns
        if other is not column
        and other.dates
        and len(other.dates.readings) == 1
        and "ymd" not in other.dates.readings
    ]
    outside = dates_in(sample.path.name) + [
        day for line in sample.dialect.preamble for day in dates_in(line)
    ]
    told = dates.tell_order(cells, found, siblings, outside, today)
    if told.order and told.confidence != "low":
        return told
    by_day = _by_weekday(column, found, sample.columns)
    if by_day:
        return by_day
    return _by_speech(found, sample) or told


def _by_weekday(column: Column, found: Dates, columns: tuple[Column, ...]) -> dates.Order | None:
    """Take the order that agrees with a column of weekdays."""
    for other in columns:
        names = {words.word(value) for value in other.seen}
        if (
            not names
            or len(names) > 7
            or not all(any(one in day for day in tongues.WEEKDAYS) for one in names)
        ):
            continue
        shares = {}
        for order, written in found.readings.items():
            pairs = [
                (at, words.word(day))
                for cell, day in zip(column.cells[:2000], other.cells[:2000], strict=True)
                if cell and day and (at := dates.read(cell, written))
            ]
            good = sum(day in tongues.WEEKDAYS[at.weekday()] for at, day in pairs)
            shares[order] = good / max(1, len(pairs))
        best = max(shares, key=lambda one: shares[one])
        if shares[best] > 0.99 and sum(share > 0.5 for share in shares.values()) == 1:
            return dates.Order(best, f"only so the days are those of {other.name}", "high")
    return None


def _by_speech(found: Dates, sample: Sample) -> dates.Order | None:
    """Go by the language or by American zones: likely, not certain."""
    if set(found.readings) != {"dmy", "mdy"}:
        return None
    tongue = tongues.language(sample.header)
    if tongue:
        return dates.Order(
            "dmy", f"day and month could be swapped; the column names are {tongue}", "medium"
        )
    zone = _zone_column(sample.columns)
    if zone is not None and all(_AMERICAN.search(value) for value in zone.seen):
        text = f"day and month could be swapped; {zone.name} names American zones"
        return dates.Order("mdy", text, "medium")
    return None


def _order_question(column: Column, found: Dates, cells: list[str]) -> Question:
    options = []
    for order, written in found.readings.items():
        at = dates.read(cells[0], written)
        options.append(
            Option(order, f"{ORDER_WORDS[order]}: {cells[0]} is {at:%-d %B %Y}" if at else order)
        )
    text = f"{column.name} can be read in several ways. Which is right?"
    return Question("date-order", text, tuple(options))


def _lay_out(
    when: When, column: Column, written: tuple[str, ...], *, timed: bool, apart: bool
) -> None:
    """Work out day and second of each row. apart: hour and minute stand in columns of their own."""
    known: dict[str, tuple[int | None, int | None]] = {"": (None, None)}
    clock: dict[str, int | None] = {"": None}
    when.has_time = timed or when.time is not None or apart
    for row, cell in enumerate(column.cells):
        if cell not in known:
            at = dates.read(cell, written)
            known[cell] = (
                (at.toordinal(), at.hour * 3600 + at.minute * 60 + at.second)
                if at
                else (None, None)
            )
        day, second = known[cell]
        if when.time is not None:
            text = when.time.cells[row]
            if text not in clock:
                if when.padded:
                    at = dates.read(f"20000101{text.zfill(len(when.clock))}", ("compact",))
                else:
                    at = dates.read(f"2000-01-01 {text}", (f"YYYY-MM-DD {when.time.time}",))
                clock[text] = at.hour * 3600 + at.minute * 60 + at.second if at else None
            second = clock[text]
        elif not timed:
            second = None
        when.day.append(day)
        when.second.append(second)


def _zone_column(columns: tuple[Column, ...]) -> Column | None:
    return next(
        (one for one in columns if one.says("zone", least=9) and one.filled and not one.is_number),
        None,
    )
