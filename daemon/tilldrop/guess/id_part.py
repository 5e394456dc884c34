"""The id of a guess as the feed says it: bare, joined, or a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess.draft import Option, Question
from tilldrop.guess.extras import is_itemised
from tilldrop.guess.unnumbered import write_numbered
from tilldrop.guess.work import by_role

if TYPE_CHECKING:
    from tilldrop.guess.groups import Identity
    from tilldrop.guess.work import Build


def write_id(made: Build) -> None:
    """Write the id, or ask for it."""
    draft, identity = made.draft, made.identity
    if identity is None or identity.column is None:
        write_numbered(made)
        return
    if identity.doubt:
        text = f"{identity.doubt}. Which columns together number the transactions? (with commas)"
        draft.ask(
            Question("id", text, (Option("rows", "none: each row is a transaction"),), free=True)
        )
        return
    confidence = identity.confidence
    evidence = f"{identity.column.name}: {identity.evidence}"
    if identity.trial.is_unique and _looks_like_lines(made):
        draft.ask(_line_question(made, identity))
        return
    if "transaction_id" in draft.map:
        draft.choose("map.transaction_id", evidence, "high")
        return
    day_too = identity.with_day or _may_restart(made, identity)
    if day_too and not identity.with_day:
        evidence += "; the numbers are small and of one day, so the date is part of the id"
    _put_id(made, identity, evidence, confidence, day_too=day_too)


def _put_id(
    made: Build, identity: Identity, evidence: str, confidence: str, *, day_too: bool
) -> None:
    draft, when = made.draft, made.when
    name = identity.column.name if identity.column else ""
    kind = next(
        (column.name for column in made.columns if identity.with_kind and column.says("kind")), ""
    )
    register = by_role(made, "register")
    by_column = when.column is not None and not (when.column.dates and when.column.dates.has_time)
    parts = []
    if day_too and by_column and when.column is not None:
        parts.append(when.column.name)
    if identity.with_register and register is not None:
        parts.append(register.name)
    parts.append(name)
    if kind:
        parts.append(kind)
    source: object = name if len(parts) == 1 else {"join": parts, "with": "/"}
    draft.put("transaction_id", source, evidence, confidence)
    if len(parts) > 1:
        draft.map["receipt_number"] = name
    if day_too and not by_column:
        draft.keys["key"] = ["location_id", "business_date", "transaction_id"]
        draft.choose("key", "the number alone comes back on another day", confidence)


def _may_restart(made: Build, identity: Identity) -> bool:
    """Tell whether small numbers of one day may begin anew the next day."""
    days = {day for day in made.when.day if day is not None}
    column = identity.column
    if len(days) != 1 or column is None or not column.is_whole:
        return False
    numbers = [number for number in column.numbers if number is not None]
    return (
        bool(numbers)
        and max(numbers) < _SMALL_NUMBER
        and max(numbers) <= 5 * len(set(numbers)) + 50
    )


def _looks_like_lines(made: Build) -> bool:
    """Tell whether rows with an id each seem to be lines of common sales."""
    if (
        made.answers.take("id") is not None
        or made.rows < 10
        or not is_itemised(made.columns)
        or not made.when.has_time
    ):
        return False
    marks = [(day, second) for day, second in zip(made.when.day, made.when.second, strict=True)]
    if made.place.column is not None:
        cells = made.place.column.cells
        together = sum(
            marks[at] == marks[at - 1] and cells[at] == cells[at - 1] for at in range(1, len(marks))
        )
    else:
        together = sum(marks[at] == marks[at - 1] for at in range(1, len(marks)))
    return together > 0.3 * len(marks)


def _line_question(made: Build, identity: Identity) -> Question:
    name = identity.column.name if identity.column else ""
    del made
    return Question(
        "id",
        f"{name} is another in every row, yet many rows bear the same time. Is a row a sale, or a line of one?",
        (
            Option(name, "a row is a sale"),
            Option("time", "rows of the same time are one sale"),
        ),
        free=True,
    )


_SMALL_NUMBER = 100_000
