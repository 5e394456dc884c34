"""The time of day of a sale, in whatever columns it stands, and where `when` puts what it finds.

Promises that times which a format cannot read as they are (digits without their leading zeros, a
date with a midnight behind it) are made readable by an added column, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.guess import dates, words

if TYPE_CHECKING:
    from tilldrop.guess.dates import Dates
    from tilldrop.guess.draft import Question
    from tilldrop.guess.sample import Column


@dataclass(slots=True)
class When:
    """When sales were. source: as TOML has it, None if unknown or asked.

    day, second: by row, for testing ids. column, time: the columns it is made of.
    """

    source: object = None
    column: Column | None = None
    time: Column | None = None
    evidence: str = ""
    confidence: str = "low"
    question: Question | None = None
    day: list[int | None] = field(default_factory=list)
    second: list[int | None] = field(default_factory=list)
    missing: bool = False
    zone: str = ""
    has_time: bool = False
    padded: str = ""
    clock: str = ""
    columns: dict[str, object] = field(default_factory=dict)


def cut_midnights(
    when: When, column: Column, found: Dates, written: tuple[str, ...], columns: tuple[Column, ...]
) -> None:
    """Cut off a time that is midnight in all rows, where another column holds the time."""
    if not found.has_time or len(written) != 1 or time_column(columns, column) is None:
        return
    ends = {value.replace("T", " ").partition(" ")[2] for value in column.seen}
    if all(re.fullmatch(r"0?0:00(:00(\.0+)?)?", end) for end in ends):
        mark = "T" if "T" in next(iter(column.seen)) else " "
        name = f"day of {column.name}"
        when.columns = {name: {"sql": f"split_part({_quoted(column.name)}, '{mark}', 1)"}}


def pad_times(when: When, columns: tuple[Column, ...]) -> None:
    """Fill up times that are digits without their leading zeros."""
    for column in columns:
        if (
            column.strength("time") < 8
            or not column.is_whole
            or not column.is_full
            or column.has_negative
        ):
            continue
        longest = max(len(value) for value in column.seen)
        width = 4 if longest <= 4 else 6
        written = "HHmm" if width == 4 else "HHmmss"
        values = [value.zfill(width) for value in column.seen]
        if (
            longest > 6
            or longest < 3
            or not all(dates.read(f"20000101{one}", ("compact",)) for one in values)
        ):
            continue
        when.time, when.clock, when.padded = column, written, f"padded {column.name}"
        when.columns = {when.padded: {"sql": f"lpad({_quoted(column.name)}, {width}, '0')"}}
        return


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def day_part(written: str) -> str:
    """Return a format without its time."""
    return written if written == "iso" else re.split(r"[ T]H", written)[0]


def joined(day: str, clock: str) -> str:
    """Return the format of a date and a time; the named ones hold usual times already."""
    if day == "iso":
        return day if clock in {"HH:mm", "HH:mm:ss"} else f"YYYY-MM-DD {clock}"
    if day == "compact":
        return day if clock in {"HHmm", "HHmmss"} else f"YYYYMMDD {clock}"
    return f"{day} {clock}"


def time_column(columns: tuple[Column, ...], column: Column) -> Column | None:
    """Return the column of times beside a column of dates."""
    maybe = [
        one
        for one in columns
        if one.time
        and one is not column
        and one.filled >= 0.97 * column.filled
        and (one.says("time", least=5) or one.name.startswith("#"))
    ]
    ranked = sorted(
        maybe, key=lambda one: (-one.strength("time") + 8 * one.says("other-date"), one.at)
    )
    return ranked[0] if ranked else None


def hours_apart(columns: tuple[Column, ...]) -> list[Column] | None:
    """Return columns of hour and minute apart."""
    by_name = {words.fold(one.name): one for one in columns if one.is_whole and one.is_full}
    for hour, minute in (
        ("hour", "minute"),
        ("stunde", "minute"),
        ("heure", "minute"),
        ("hora", "minuto"),
        ("ora", "minuto"),
    ):
        if hour in by_name and minute in by_name:
            return [by_name[hour], by_name[minute]]
    return None
