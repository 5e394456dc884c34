"""Which rows are one sale: what proves the id, or what the retailer said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tilldrop.guess.draft import Question
from tilldrop.guess.groups import Facts, Identity, gather, identify, keys_of, settle
from tilldrop.guess.sample import Column
from tilldrop.guess.unnumbered import parts_of
from tilldrop.guess.work import facts_of

if TYPE_CHECKING:
    from tilldrop.guess.work import Build


def find_identity(made: Build) -> None:
    """Find what numbers the sales."""
    place = made.place
    location = place.column if place.source is not None or place.column is not None else None
    answer = made.answers.take("id")
    if answer is not None:
        made.identity = _answered(made, answer, location)
        return
    identity = identify(made.columns, made.rows, facts_of(made, location))
    if location is not None and identity is not None:
        # A place that varies within transactions is not where they were rung.
        without = identify(made.columns, made.rows, facts_of(made, None))
        varies = _places_vary(without, location)
        if without is not None and without.trial.holds and varies and not without.with_register:
            made.draft.map.pop("location_id", None)
            made.draft.choices.pop("map.location_id", None)
            made.place = replace(place, source=None, column=None)
            text = (
                f"{location.name} differs within transactions. Which location are the sales from?"
            )
            made.draft.ask(Question("location", text, (), free=True, example="12"))
            identity = without
    made.identity = identity


def _places_vary(identity: Identity | None, location: Column) -> bool:
    if identity is None or identity.trial.multi == 0:
        return False
    several = [rows for rows in gather(identity.keys).values() if len(rows) > 1]
    varied = sum(len({location.cells[row] for row in rows}) > 1 for rows in several)
    return varied > 0.05 * len(several)


def _answered(made: Build, answer: str, location: Column | None) -> Identity | None:
    """Take the id that was said: a column, several, "rows" or "time"."""
    by_name = {column.name.casefold(): column for column in made.columns}
    facts = facts_of(made, location)
    if answer == "rows":
        return None
    if answer == "time":
        return _by_time(made, facts)
    names = [name.strip().casefold() for name in answer.split(",")]
    if len(names) == 1 and names[0] in by_name:
        return settle(by_name[names[0]], made.rows, facts)
    parts = [by_name[name] for name in names if name in by_name]
    if not parts:
        return None
    cells = keys_of(parts, made.rows)
    joined = Column(-1, answer, cells, frozenset())
    made.draft.map["transaction_id"] = {"join": [part.name for part in parts], "with": "-"}
    return settle(joined, made.rows, facts)


def _by_time(made: Build, facts: Facts) -> Identity | None:
    """Make rows of one time, place, till and shopper one sale."""
    names = parts_of(made, ("register", "shopper"))
    parts = [column for column in made.columns if column.name in names]
    if not parts:
        return None
    joined = Column(-1, ", ".join(names), keys_of(parts, made.rows), frozenset())
    source: object = {"join": names, "with": "/"} if len(names) > 1 else names[0]
    made.draft.map["transaction_id"] = source
    return settle(joined, made.rows, facts)
