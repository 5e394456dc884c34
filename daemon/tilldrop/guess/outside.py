"""The day of sales where no column holds it: in the lines before the header, in the file's name."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

from tilldrop.guess import dates
from tilldrop.guess.clocks import When
from tilldrop.guess.draft import Option, Question

if TYPE_CHECKING:
    from tilldrop.guess.dates import Dates
    from tilldrop.guess.sample import Sample


ORDER_WORDS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}


_IN_TEXT = re.compile(r"(?<!\d)(20\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?!\d)")


_LABEL_DATE = re.compile(
    r"^\W*(?P<label>[A-Za-zÀ-ÿ ]*(?:date|datum|fecha|data|day|tag|jour)[A-Za-zÀ-ÿ ]*)\W*[:;,=\t ]\W*(?P<value>\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})",
    re.IGNORECASE,
)


def dates_in(text: str) -> list[date]:
    """Return the days that stand in a text, year first."""
    found = []
    for match in _IN_TEXT.finditer(text):
        try:
            found.append(date(int(match[1]), int(match[3]), int(match[4])))
        except ValueError:
            continue
    return found


def from_outside(sample: Sample, answer: str | None) -> When | None:
    """Take the day from the preamble or the file's name; None if neither bears one."""
    rows = sample.rows
    for line in sample.dialect.preamble:
        found = _LABEL_DATE.match(line.replace('"', ""))
        if not found:
            continue
        readings = dates.find_dates(_counted(found["value"]), named=True)
        if readings is None:
            continue
        label = re.escape(found["label"].strip()).replace(r"\ ", " ")
        pattern = rf"^\W*{label}\W+(\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}})"
        return _outside(pattern, "preamble", found["value"], readings, answer, rows)
    named = _IN_TEXT.search(sample.path.name)
    if named:
        mark = named[2]
        pattern = rf"(20\d\d{re.escape(mark)}\d\d{re.escape(mark)}\d\d)"
        source = {"file_name": pattern, "format": f"YYYY{mark}MM{mark}DD"}
        text = f"no column holds dates; the file's name bears {named[0]}"
        return When(
            source, evidence=text, confidence="medium", day=[None] * rows, second=[None] * rows
        )
    return None


def _outside(
    pattern: str, where: str, value: str, readings: Dates, answer: str | None, rows: int
) -> When:
    when = When(day=[None] * rows, second=[None] * rows)
    order = answer if answer in readings.readings else ""
    if not order and len(readings.readings) == 1:
        order = next(iter(readings.readings))
    when.evidence = f"no column holds dates; the {where} bears {value}"
    if not order:
        options = tuple(
            Option(one, f"{ORDER_WORDS[one]}: {value} is {at:%-d %B %Y}")
            for one, written in readings.readings.items()
            if (at := dates.read(value, written))
        )
        when.question = Question(
            "date-order", f"The {where} says {value}. Which day is that?", options
        )
        return when
    written = readings.readings[order]
    # The next file's day may have one digit where this one has two.
    loose = (
        written[0].replace("DD", "D").replace("MM", "M")
        if "MMM" not in written[0] and "iso" not in written
        else written[0]
    )
    when.source = {where: pattern, "format": loose}
    when.confidence = "high"
    return when


def _counted(value: str) -> Counter[str]:
    """Return one value as columns count theirs."""
    return Counter([value])
