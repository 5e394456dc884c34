"""Sales that no column numbers: each row one, or rows of one time, or a question.

Promises that rows which may be lines of common sales, or sum several up, are asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess.draft import Option, Question
from tilldrop.guess.extras import is_itemised
from tilldrop.guess.groups import settle
from tilldrop.guess.work import facts_of

if TYPE_CHECKING:
    from tilldrop.guess.work import Build


_TELLING = ("shopper", "register", "operator", "description", "total", "product")


def write_numbered(made: Build) -> None:
    """Write an id made of several columns, or ask for one."""
    draft = made.draft
    answer = made.answers.take("id")
    parts = parts_of(made)
    summary = next((column for column in made.columns if column.says("sales-count", least=9)), None)
    if summary is not None and answer is None:
        text = (
            f"{summary.name} says that a row sums several sales up. Single sales are needed;"
            " is each row to be booked as one sale all the same?"
        )
        draft.ask(Question("id", text, (Option("rows", "yes, a row is booked as one"),), free=True))
        return
    grouping = _unsaid_groups(made) if answer is None else []
    if grouping:
        several = tuple(
            Option(name, f"rows with the same {name} are one sale") for name in grouping[:4]
        )
        text = "No column is named as the sale's number, but some could be it. Which?"
        draft.ask(
            Question("id", text, (*several, Option("rows", "none: each row is a sale")), free=True)
        )
        return
    repeats = _same_marks(made)
    if answer != "rows" and is_itemised(made.columns) and repeats > 0.1:
        text = "No column numbers the sales. What is one sale?"
        options = (
            Option("rows", "each row"),
            Option(
                "time", f"rows with the same {', '.join(parts_of(made, ('register', 'shopper')))}"
            ),
        )
        draft.ask(Question("id", text, options, free=True))
        return
    if len(parts) < 2:
        draft.ask(
            Question(
                "id",
                "Nothing tells one sale from another. Which columns do? (with commas)",
                (),
                free=True,
            )
        )
        return
    evidence = f"no column numbers the sales, so each row is one, known by {', '.join(parts)}"
    source = {"join": parts, "with": "/", "number_repeats": True}
    draft.put("transaction_id", source, evidence, "high" if answer == "rows" else "medium")


def _unsaid_groups(made: Build) -> list[str]:
    """Return columns whose values group rows of the same time, though nothing names them ids."""
    found = []
    facts = facts_of(made, made.place.column)
    for column in made.columns:
        if (
            not column.is_full
            or column.dates
            or column.time
            or column.places
            or column is made.place.column
        ):
            continue
        if column.says(
            "product",
            "sku",
            "barcode",
            "description",
            "category",
            "tender",
            "status",
            "kind",
            "line",
            "quantity",
            "operator",
        ):
            continue
        if not 0.2 * made.rows <= len(column.seen):
            continue
        if len(column.seen) == made.rows:
            if column.name.startswith("#") or column.strength("transaction"):
                found.append(column.name)
            continue
        trial = settle(column, made.rows, facts).trial
        if trial.multi >= 3 and trial.holds and trial.tested and made.when.has_time:
            found.append(column.name)
    return found


def parts_of(made: Build, roles: tuple[str, ...] = _TELLING) -> list[str]:
    """Return columns that together tell rows apart as well as can be."""
    when = made.when
    parts = [column.name for column in (when.column, when.time) if column is not None]
    for role in roles:
        for column in made.columns:
            if len(parts) >= 4 or column.name in parts:
                continue
            if column.strength(role) >= 6 and column.is_full and not column.dates:
                parts.append(column.name)
                break
    return parts


def _same_marks(made: Build) -> float:
    """Return the share of rows that bear the same date and time as the row before."""
    when = made.when
    if not when.has_time:
        return 1.0 if when.column is not None else 0.0
    pairs = list(zip(when.day, when.second, strict=True))
    return sum(pairs[at] == pairs[at - 1] for at in range(1, len(pairs))) / max(1, len(pairs))
