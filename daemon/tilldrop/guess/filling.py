"""Cells that stand in the first row of a transaction alone and mean the rows below too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess.sample import Column

if TYPE_CHECKING:
    from tilldrop.guess.work import Build


def fill_down(made: Build) -> None:
    """See whether the first row of a transaction alone bears its id or its location."""
    leaders = [
        column
        for column in made.columns
        if column.strength("transaction") >= 7 and column.is_full and not column.places
    ]
    for leader in leaders[:1]:
        _fill_places(made, leader)
    ids = [
        column
        for column in made.columns
        if column.strength("transaction") >= 9
        and 0.1 * made.rows < column.filled < 0.97 * made.rows
        and column.cells[0]
        and len(column.seen) == column.filled
    ]
    if not ids or any(
        column.strength("transaction") >= 9 and column.is_full for column in made.columns
    ):
        return
    _fill_from(made, ids[0])


def _fill_from(made: Build, leader: Column) -> None:
    """Repeat the id, and what stands with it alone, in the rows below."""
    filled: list[str] = []
    columns = []
    for column in made.columns:
        typed = (
            column is leader
            or column.dates
            or column.time
            or column.says("location", "register", least=8)
        )
        if typed and _stands_with(column, leader):
            filled.append(column.name)
            columns.append(Column(column.at, column.name, _downward(column.cells), column.nulls))
        else:
            columns.append(column)
    made.columns = tuple(columns)
    made.draft.read["fill_down"] = filled
    text = (
        f"{leader.name} is empty in {made.rows - leader.filled} rows, which belong to the one above"
    )
    made.draft.choose("read.fill_down", text, "high")


def _fill_places(made: Build, leader: Column) -> None:
    """Repeat a location that stands in the first row of each transaction alone."""
    starts = [at for at in range(made.rows) if not at or leader.cells[at] != leader.cells[at - 1]]
    columns = list(made.columns)
    filled = []
    for at, column in enumerate(columns):
        if (
            not column.says("location", "register", least=8)
            or column.is_full
            or len(starts) == made.rows
        ):
            continue
        if column.filled >= len(starts) and all(column.cells[row] for row in starts):
            filled.append(column.name)
            columns[at] = Column(column.at, column.name, _downward(column.cells), column.nulls)
    if filled:
        made.columns = tuple(columns)
        made.draft.read["fill_down"] = filled
        text = f"{filled[0]} stands in the first row of each {leader.name} alone"
        made.draft.choose("read.fill_down", text, "high")


def _stands_with(column: Column, leader: Column) -> bool:
    pairs = zip(column.cells, leader.cells, strict=True)
    return column is leader or (bool(column.seen) and all(not cell or lead for cell, lead in pairs))


def _downward(cells: list[str]) -> list[str]:
    filled, last = [], ""
    for cell in cells:
        last = cell or last
        filled.append(last)
    return filled
