"""Samples whose rows have more fields than the header: which columns are still safe.

Promises that a column is called safe only if, in every row that is too long, its cell is of the
kind that it is in the others; a file of which no row fits is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column, Sample


@dataclass(frozen=True, slots=True)
class Damage:
    """What stray delimiters broke. loose_from: the first column not to be read; "" if none.

    refusal: why nothing can be read.
    """

    loose_from: str = ""
    refusal: str = ""
    evidence: str = ""
    safe: int = 0


def find_damage(sample: Sample) -> Damage | None:
    """Return what is broken, None if nothing is worth telling."""
    broken = sample.ragged.total()
    if not broken:
        return None
    total = sample.rows if sample.rows != broken else broken
    width = len(sample.dialect.header)
    shorter = sum(count for size, count in sample.ragged.items() if size < width)
    longer = broken - shorter
    everything = sample.rows + broken if sample.rows != broken else broken
    if sample.rows == broken or broken > 0.8 * everything:
        sizes = ", ".join(str(size) for size in sorted(sample.ragged))
        return Damage(
            refusal=f"the header names {width} columns and the rows have {sizes} fields: texts or decimal"
            " commas with the delimiter in them stand there without quotation marks, so no amount can be"
            " told from its neighbour. Ask for an export with quotation marks or another delimiter."
        )
    del total
    if longer < max(1, 0.002 * everything) or shorter > longer:
        return Damage(evidence=f"{broken} rows have another number of fields and will be refused")
    safe = _safe(sample)
    if safe < 1:
        return Damage(evidence=f"{broken} rows have another number of fields and will be refused")
    name = sample.columns[safe].name if safe < len(sample.columns) else ""
    text = f"{longer} rows have too many fields; in all of them the columns before {name} are as in the others"
    return Damage(name, "", text, safe)


def _safe(sample: Sample) -> int:
    """Return how many columns at the left hold the same kind of values in the long rows."""
    safe = 0
    for at, column in enumerate(sample.columns):
        cells = [row[at] for row in sample.longer if at < len(row)]
        kind = _kind(column)
        if kind == "free":
            # A free text may be where the stray delimiter stands; a typed column behind it that
            # still fits says it is not.
            continue
        fits = sum(_fits(column, kind, cell) for cell in cells)
        # A list may have values that only the long rows hold.
        if fits < (0.8 if kind == "listed" else 1.0) * len(cells):
            break
        safe = at + 1
    return safe


def _kind(column: Column) -> str:
    if column.is_number:
        return "number"
    if column.dates and not column.dates.unread:
        return "date"
    if column.is_empty:
        return "free"
    lengths = {len(value) for value in column.seen}
    if len(lengths) == 1 and all(value.isalnum() for value in column.seen):
        return "code"
    if len(column.seen) <= 0.3 * column.filled:
        return "listed"
    return "free"


def _fits(column: Column, kind: str, cell: str) -> bool:
    if not cell or cell.casefold() == "null":
        return True
    if kind == "number":
        return cell.replace(".", "", 1).replace(",", "", 1).lstrip("-").isdigit()
    if kind == "date":
        sample = next(iter(column.seen))
        return (
            len(cell) >= 6
            and sum(char.isdigit() for char in cell) >= 4
            and abs(len(cell) - len(sample)) <= 4
        )
    if kind == "code":
        return len(cell) == len(next(iter(column.seen))) and cell.isalnum()
    return cell in column.seen
