"""Dates that are counts: milliseconds since 1970, and the days that spreadsheets count.

Promises that only a column named as a date is read so. What the language of mappings has no
format for is put into one that it has by an added column.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tilldrop.guess.clocks import When

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column, Sample

_MILLISECONDS = re.compile(r"(?:9[4-9]|1\d\d|20\d|21\d)\d{10}")  # 1999 to 2038
_DAYS = re.compile(r"(?:3[4-9]|4\d|5[0-4])\d{3}(?:\.\d+)?")  # 1993 to 2050
_SURE = 8
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  wall-clock time
_DAY_NOUGHT = datetime(1899, 12, 30)  # noqa: DTZ001  what spreadsheets count from


def find_counted(sample: Sample) -> When | None:
    """Return when sales were, if a column counts it; None if none does."""
    columns = [
        one
        for one in sample.columns
        if one.strength("date") >= _SURE and not one.says("other-date", least=9) and one.is_full
    ]
    for column in sorted(columns, key=lambda one: (-one.strength("date"), one.at)):
        if all(map(_MILLISECONDS.fullmatch, column.seen)):
            return _of_milliseconds(column)
        if all(map(_DAYS.fullmatch, column.seen)):
            return _of_days(column)
    return None


def _of_milliseconds(column: Column) -> When:
    sql = f"CAST(TRY_CAST({_quoted(column.name)} AS BIGINT) // 1000 AS VARCHAR)"
    name = f"seconds of {column.name}"
    text = f"{column.name} counts milliseconds since 1970"
    source: dict[str, object] = {"date": name, "format": "epoch"}
    when = When(source, column, evidence=text, confidence="high", has_time=True)
    when.columns = {name: {"sql": sql}}
    _lay_out(when, [_EPOCH + timedelta(milliseconds=int(cell)) for cell in column.cells])
    return when


def _of_days(column: Column) -> When:
    timed = any("." in value for value in column.seen)
    written = "%Y-%m-%d %H:%M:%S" if timed else "%Y-%m-%d"
    seconds = f"round(TRY_CAST({_quoted(column.name)} AS DOUBLE) * 86400)"
    start = "TIMESTAMP '1899-12-30 00:00:00'"
    sql = f"strftime({start} + to_seconds(CAST({seconds} AS BIGINT)), '{written}')"
    name = f"day of {column.name}"
    text = f"{column.name} counts days as spreadsheets do"
    source: dict[str, object] = {"date": name, "format": "iso"}
    when = When(source, column, evidence=text, confidence="medium", has_time=timed)
    when.columns = {name: {"sql": sql}}
    _lay_out(when, [_DAY_NOUGHT + timedelta(days=float(cell)) for cell in column.cells])
    return when


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _lay_out(when: When, moments: list[datetime]) -> None:
    """Work out day and second of each row."""
    when.day = [at.toordinal() for at in moments]
    when.second = [
        at.hour * 3600 + at.minute * 60 + at.second if when.has_time else None for at in moments
    ]
