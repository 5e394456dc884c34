"""The work on one sample: what the steps of a guess have found so far, and hand to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess import value_words, words
from tilldrop.guess.groups import Facts
from tilldrop.guess.sample import Column

if TYPE_CHECKING:
    from datetime import date

    from tilldrop.guess.amounts import Total
    from tilldrop.guess.clocks import When
    from tilldrop.guess.draft import Answers, Draft
    from tilldrop.guess.groups import Identity
    from tilldrop.guess.kinds import Kinds
    from tilldrop.guess.mixed import Mixed
    from tilldrop.guess.places import Place
    from tilldrop.guess.sample import Sample


class Build:
    """The parts of one guess, filled in one after the other."""

    def __init__(self, sample: Sample, draft: Draft, answers: Answers, today: date) -> None:
        self.sample = sample
        self.draft = draft
        self.answers = answers
        self.today = today
        self.columns = sample.columns
        self.rows = sample.rows
        self.when: When
        self.place: Place
        self.kinds: Kinds
        self.identity: Identity | None = None
        self.total: Total
        self.mixed: Mixed | None = None
        self.groups: list[list[int]] = []
        self.once = False  # rows of one id repeat each other word for word


def facts_of(made: Build, location: Column | None) -> Facts:
    """Return what rows of one sale share."""
    register = by_role(made, "register")
    kind = next(
        (
            column
            for column in made.columns
            if column.says("kind")
            and 2 <= len(column.seen) <= 12
            and any(words.has_word(value, value_words.REFUND) for value in column.seen)
        ),
        None,
    )
    return Facts(made.when.day, made.when.second, location, register, None, kind)


def by_role(made: Build, role: str) -> Column | None:
    """Return the column that surely has a role, in all rows."""
    found = [
        column
        for column in made.columns
        if column.strength(role) >= 8 and column.is_full and not column.dates and not column.places
    ]
    return max(found, key=lambda column: (column.strength(role), -column.at), default=None)


def part_of(columns: tuple[Column, ...], rows: list[int]) -> tuple[Column, ...]:
    """Return columns with some of their rows."""
    if columns and len(rows) == len(columns[0].cells):
        return columns
    parts = []
    for column in columns:
        part = Column(column.at, column.name, [column.cells[row] for row in rows], column.nulls)
        part.numbers = [column.numbers[row] for row in rows] if column.numbers else []
        part.places, part.unread, part.own = column.places, column.unread, column.own
        parts.append(part)
    return tuple(parts)
