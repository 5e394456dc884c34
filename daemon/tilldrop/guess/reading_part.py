"""The [feeds.read] table of a guess: what differs from the defaults, with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.importer.cards import mask

if TYPE_CHECKING:
    from tilldrop.guess.draft import Draft
    from tilldrop.guess.sample import Sample

_WRITTEN = {"\t": "tab"}


def put_reading(sample: Sample, draft: Draft) -> None:
    """Write how the sample is read."""
    dialect, read = sample.dialect, draft.read
    if sample.packed:
        draft.choose("read.packed", sample.packed, "high")
    if sample.sheet:
        _put_header(sample, draft)
        put_numbers(sample, draft)
        return
    if sample.encoding.name != "utf-8":
        read["encoding"] = sample.encoding.name
    draft.choose(
        "read.encoding",
        f"{sample.encoding.name}: {sample.encoding.evidence}",
        _mild(sample.encoding.confidence),
    )
    if dialect.widths:
        read["widths"] = list(dialect.widths)
    elif dialect.delimiter != ",":
        read["delimiter"] = _WRITTEN.get(dialect.delimiter, dialect.delimiter)
    draft.choose("read.delimiter", dialect.evidence, "high" if dialect.certain else "medium")
    if not dialect.quote and dialect.delimiter not in {"", "blanks"}:
        read["quote"] = ""
    _put_header(sample, draft)
    put_numbers(sample, draft)
    if sample.nulls:
        read["empty"] = list(sample.nulls)
        draft.choose("read.empty", "they stand among numbers and dates", "high")
    if sample.skip:
        read["skip_lines"] = f"(?i){sample.skip}"
        draft.choose("read.skip_lines", f'"{sample.left_out[0][:60]}" sums others up', "high")
    if sample.footer:
        read["footer_lines"] = sample.footer
        draft.choose(
            "read.footer_lines", f'the file ends with "{sample.left_out[-1][:60]}"', "medium"
        )


def note_cards(sample: Sample, draft: Draft) -> None:
    """Tell of columns that hold card numbers, for which deliveries are refused."""
    for column in sample.columns:
        cards = sum(times for value, times in column.seen.items() if mask(value) != value)
        # Of other numbers of that length, one in ten has the same check digit.
        if cards and cards > 0.5 * column.filled:
            draft.notes.append(
                f"{column.name} holds card numbers in {cards} rows. Such files are refused, unless the"
                ' customer has card_data = "mask"; better is an export without them.'
            )


def _put_header(sample: Sample, draft: Draft) -> None:
    line = sample.dialect.header_line
    if line != 1:
        draft.read["header_line"] = line
    draft.choose("read.header_line", sample.dialect.header_evidence, "high" if line else "medium")


def _mild(confidence: str) -> str:
    """Pass over a doubt about the encoding: it may spoil names, never figures."""
    return "high" if confidence == "medium" else confidence


def put_numbers(sample: Sample, draft: Draft) -> None:
    """Write how the sample's numbers are read."""
    marks, read = sample.marks, draft.read
    if marks.decimal != ".":
        read["decimal"] = marks.decimal
    if marks.thousands:
        read["thousands"] = marks.thousands
    draft.choose("read.decimal", marks.evidence, "high" if marks.certain else "low")
