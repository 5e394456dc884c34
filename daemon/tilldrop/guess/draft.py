"""What a guess comes to: feeds in the making, choices with their evidence, and questions.

Owns `Draft`, `Choice` and `Question`. Promises that a question left open keeps its feed from
being used. Never looks at a sample.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from tilldrop.importer.cards import mask

Confidence = Literal["high", "medium", "low"]
Plain = object  # what TOML can hold: str, int, bool, list, dict


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing chosen. target: a key of the feed, "map.total" or "read.encoding"."""

    target: str
    evidence: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to a question. value: as it is given; meaning: in words."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """What only the retailer knows. key: how `--answer` names it. free: any text is an answer."""

    key: str
    text: str
    options: tuple[Option, ...] = ()
    free: bool = False
    example: str = ""


@dataclass(slots=True)
class Draft:
    """A feed in the making. map, read, columns: as TOML has them.

    refusal: why no feed can be made of the sample. sections: (table, its keys).
    """

    name: str
    files: list[str]
    sample: str = ""
    table: str = "transactions"
    preset: str = ""
    rows: str = ""
    keys: dict[str, Plain] = field(default_factory=dict)
    read: dict[str, Plain] = field(default_factory=dict)
    columns: dict[str, Plain] = field(default_factory=dict)
    map: dict[str, Plain] = field(default_factory=dict)
    where: dict[str, list[str]] = field(default_factory=dict)
    sections: list[tuple[str, dict[str, Plain]]] = field(default_factory=list)
    choices: dict[str, Choice] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusal: str = ""
    zone: str = ""
    currency: str = ""

    def choose(self, target: str, evidence: str, confidence: str) -> None:
        """Remember why something was chosen. Card numbers do not stand in what is said."""
        level: Confidence = "low"
        if confidence in {"high", "medium"}:
            level = "high" if confidence == "high" else "medium"
        self.choices[target] = Choice(target, mask(evidence), level)

    def put(self, target: str, source: Plain, evidence: str, confidence: str = "high") -> None:
        """Map a target."""
        self.map[target] = source
        self.choose(f"map.{target}", evidence, confidence)

    def ask(self, question: Question) -> None:
        """Leave something open; asked once. Card numbers do not stand in what is said."""
        if all(one.key != question.key for one in self.questions):
            options = tuple(Option(one.value, mask(one.meaning)) for one in question.options)
            self.questions.append(replace(question, text=mask(question.text), options=options))

    @property
    def is_open(self) -> bool:
        """Tell whether the feed cannot be used as it stands."""
        return bool(self.questions or self.refusal)

    @property
    def verdict(self) -> str:
        """Return refused, open, confirm or confident."""
        if self.refusal:
            return "refused"
        if self.questions:
            return "open"
        levels = {choice.confidence for choice in self.choices.values()}
        return "confident" if levels <= {"high"} else "confirm"


def rename(draft: Draft, old: str, new: str, written: tuple[str, str]) -> bool:
    """Put another column where a draft uses one; tell whether it does. written: in expressions."""
    used = False

    def renamed(plain: Plain, key: str = "") -> Plain:
        nonlocal used
        if isinstance(plain, dict):
            return {
                name: one if name in {"values", "where"} else renamed(one, name)
                for name, one in plain.items()
            }
        if isinstance(plain, list):
            return [renamed(one) for one in plain]
        if key == "expr" and isinstance(plain, str) and written[0] in plain:
            used = True
            return plain.replace(written[0], written[1])
        if plain == old and key not in {"const", "format", "default", "with"}:
            used = True
            return new
        return plain

    draft.map = {target: renamed(source) for target, source in draft.map.items()}
    draft.sections = [
        (
            table,
            {
                target: renamed(source, target if target == "where" else "")
                if target != "where"
                else source
                for target, source in section.items()
            },
        )
        for table, section in draft.sections
    ]
    return used


class Answers:
    """What the retailer answered: by key, used or not."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given
        self.used: set[str] = set()

    def take(self, key: str) -> str | None:
        """Return the answer to a question, None if there is none."""
        if key in self._given:
            self.used.add(key)
        return self._given.get(key)
