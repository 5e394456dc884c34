"""What is known of the amounts of a sample, and what choosing among them comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.guess.draft import Answers, Option, Question

if TYPE_CHECKING:
    from tilldrop.guess.money import Money


@dataclass(frozen=True, slots=True)
class Total:
    """How the total is made. source: as TOML has it, None if it is not known.

    base: the amount's column, "" for an expression; parts: all columns that went into it.
    question: what must be answered first. lines: source of a line's amount, "" if none.
    """

    source: object = None
    evidence: str = ""
    confidence: str = "low"
    columns: tuple[str, ...] = ()
    question: Question | None = None
    missing: bool = False
    line_amount: object = None
    unnamed: bool = False
    notes: tuple[str, ...] = ()
    money: tuple[Money, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Amounts:
    """All that choosing needs. rows: those looked at; heads: the first row of each transaction.

    labels: what was sold, by row; empty if no column says it.
    """

    money: list[Money]
    rows: list[int]
    heads: list[int]
    groups: list[list[int]]
    grouped: bool
    answers: Answers
    labels: list[str] = field(default_factory=list)


def ask_total(ranked: list[tuple[float, Money]], figures: Amounts, evidence: str) -> Total:
    """Ask which column is the total. ranked: the likeliest first."""
    options = tuple(Option(one.name, _example(one)) for _, one in ranked[:5])
    question = Question(
        "total", "Which column is what the customer paid in all?", options, free=True
    )
    return Total(question=question, evidence=evidence, money=tuple(figures.money))


def _example(one: Money) -> str:
    values = [cell for cell in one.column.cells if cell][:3]
    return f"such as {', '.join(values)}"
