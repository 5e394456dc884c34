"""Sales that no column numbers: each row one, or rows of one time, or a question.

Promises that rows which may be lines of common sales, or sum several up, are asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilldrop.guess import words
from tilldrop.guess.draft import Option, Question
from tilldrop.guess.extras import is_itemised
from tilldrop.guess.groups import settle
from tilldrop.guess.work import facts_of

if TYPE_CHECKING:
    from tilldrop.guess.work import Build


_FEWEST = 5
_SELDOM = 0.1
_PLAIN_AMOUNT = 7  # "amount", "value": of anything
_TELLING = ("shopper", "register", "operator", "description", "total", "product")


def write_numbered(made: Build) -> None:
    """Write an id made of several columns, or ask for one."""
    draft = made.draft
    answer = made.answers.take("id")
    question = _summed_up(made) or _grouped(made) or _bare(made) if answer is None else None
    if question is None and answer != "rows":
        question = _of_one_time(made)
    if question is not None:
        draft.ask(question)
        return
    parts = parts_of(made)
    if len(parts) < 2:
        text = "Nothing tells one sale from another. Which columns do? (with commas)"
        draft.ask(Question("id", text, (), free=True))
        return
    evidence = f"no column numbers the sales, so each row is one, known by {', '.join(parts)}"
    source = {"join": parts, "with": "/", "number_repeats": True}
    draft.put("transaction_id", source, evidence, "high" if answer == "rows" else "medium")


def _summed_up(made: Build) -> Question | None:
    """Ask where rows seem to sum sales up."""
    summary = next((column for column in made.columns if column.says("sales-count", least=9)), None)
    if summary is not None:
        why = f"{summary.name} says that a row sums several sales up"
    elif _are_days(made):
        why = "No column numbers the sales, and each location and day has one row, as sums of days have"
    else:
        return None
    text = f"{why}. Single sales are needed; is each row to be booked as one sale all the same?"
    return Question("id", text, (Option("rows", "yes, a row is booked as one"),), free=True)


def _grouped(made: Build) -> Question | None:
    """Ask where a column that nothing names so could number sales."""
    names = _unsaid_groups(made)[:4]
    if not names:
        return None
    several = tuple(Option(name, f"rows with the same {name} are one sale") for name in names)
    text = "No column is named as the sale's number, but some could be it. Which?"
    return Question("id", text, (*several, Option("rows", "none: each row is a sale")), free=True)


def _of_one_time(made: Build) -> Question | None:
    """Ask where rows of goods bear the same time, so may be lines of one sale."""
    if not is_itemised(made.columns) or _same_marks(made) <= _SELDOM:
        return None
    shared = ", ".join(parts_of(made, ("register", "shopper")))
    options = (Option("rows", "each row"), Option("time", f"rows with the same {shared}"))
    return Question("id", "No column numbers the sales. What is one sale?", options, free=True)


def _bare(made: Build) -> Question | None:
    """Ask where nothing but a date and an amount speaks of sales: so do readings of meters."""
    sold = ("product", "sku", "barcode", "description", "tender", "shopper", "register", "operator")
    named = any(column.says(*sold, "quantity", "unit-price") for column in made.columns)
    total = made.draft.map.get("total")
    sure = isinstance(total, str) and words.strength("total", total) > _PLAIN_AMOUNT
    if named or sure or any(column.name.startswith("#") for column in made.columns):
        return None
    text = "No column numbers the sales, and nothing but an amount speaks of them. Is each row one?"
    return Question("id", text, (Option("rows", "yes, each row is a sale"),), free=True)


def _are_days(made: Build) -> bool:
    """Tell whether there is one row for each location and day."""
    when, place = made.when, made.place.column
    if when.has_time or when.column is None or made.rows < _FEWEST or is_itemised(made.columns):
        return False
    cells = place.cells if place is not None else [""] * made.rows
    return len(set(zip(when.day, cells, strict=True))) == made.rows


def _unsaid_groups(made: Build) -> list[str]:
    """Return columns whose values group rows of the same time, though nothing names them ids."""
    found = []
    facts = facts_of(made, made.place.column)
    for column in made.columns:
        if (
            not column.is_full
            or column.dates
            or column in (made.when.time, made.when.column)
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
    if len(parts) == 1:  # an id is joined of two at least
        parts += [one.name for one in made.columns if one.is_full and one.name not in parts][:1]
    return parts


def _same_marks(made: Build) -> float:
    """Return the share of rows that bear the same date and time as the row before."""
    when = made.when
    if not when.has_time:
        return 1.0 if when.column is not None else 0.0
    pairs = list(zip(when.day, when.second, strict=True))
    return sum(pairs[at] == pairs[at - 1] for at in range(1, len(pairs))) / max(1, len(pairs))
