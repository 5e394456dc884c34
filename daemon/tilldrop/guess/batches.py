"""Samples of one feed taken together: several days or shops of the same export.

Promises that files are only taken together if they are written alike, with the same columns, and
their names differ in digits alone; what one of them cannot tell, another may.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tilldrop.guess.sample import Column, find_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.guess.sample import Sample


@dataclass(frozen=True, slots=True)
class Batch:
    """Files of one feed, and their records in one sample."""

    paths: tuple[Path, ...]
    sample: Sample

    @property
    def told(self) -> str:
        """Name the files as a reader knows them."""
        more = len(self.paths) - 1
        return self.paths[0].name + (f" and {more} more" if more else "")


def gather_batches(samples: list[Sample]) -> list[Batch]:
    """Take samples of one feed together, in the order of the first of each."""
    alike: dict[tuple[object, ...], list[Sample]] = {}
    for sample in samples:
        dialect = sample.dialect
        written = (
            dialect.delimiter,
            dialect.quote,
            dialect.header_line,
            sample.footer,
            sample.sheet,
        )
        name = re.sub(r"\d+", "0", sample.path.name)
        key = (name, sample.header, sample.encoding.name, *written)
        alike.setdefault(key, []).append(sample)
    return [Batch(tuple(one.path for one in found), _merged(found)) for found in alike.values()]


def _merged(samples: list[Sample]) -> Sample:
    """Return one sample with the records of all."""
    first = samples[0]
    if len(samples) == 1:
        return first
    columns = tuple(
        Column(
            column.at,
            column.name,
            [cell for one in samples for cell in one.columns[column.at].cells],
            frozenset().union(*(one.columns[column.at].nulls for one in samples)),
        )
        for column in first.columns
    )
    return replace(
        first,
        columns=columns,
        marks=find_numbers(columns),
        rows=sum(one.rows for one in samples),
        whole=all(one.whole for one in samples),
        size_bytes=sum(one.size_bytes for one in samples),
        ragged=sum((one.ragged for one in samples), Counter()),
        longer=tuple(row for one in samples for row in one.longer),
        nulls=tuple(sorted({text for one in samples for text in one.nulls})),
        left_out=tuple(line for one in samples for line in one.left_out),
        skip=next((one.skip for one in samples if one.skip), ""),
        echoes=frozenset().union(*(one.echoes for one in samples)),
    )
