"""Rows that repeat each other: the same sale exported twice, or lines that are alike.

Promises that amounts are neither added twice nor left out once without a question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess.draft import Option, Question
from tilldrop.guess.groups import gather

if TYPE_CHECKING:
    from tilldrop.guess.work import Build


def settle_repeats(made: Build) -> None:
    """Ask where all rows of one id are alike in every column, wherever there are several."""
    identity = made.identity
    if identity is None or identity.column is None or identity.doubt or not identity.trial.multi:
        return
    several = [rows for rows in gather(identity.keys).values() if len(rows) > 1]
    cells = [column.cells for column in made.columns]
    if any(len({tuple(one[row] for one in cells) for row in rows}) > 1 for rows in several):
        return
    answer = made.answers.take("repeats")
    if answer is None:
        more = sum(len(rows) - 1 for rows in several)
        name = identity.column.name
        text = (
            f"{more} rows repeat another one of the same {name} word for word. Is that one sale,"
            " written twice, or are these several goods of it?"
        )
        options = (Option("once", "one sale: it counts once"), Option("lines", "goods: all count"))
        made.draft.ask(Question("repeats", text, options))
    made.once = answer != "lines"
