"""Where a sale was made: a column, the preamble, the file's name, or a question.

Promises that a place of the buyer's (country, city, delivery) is never taken for the shop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop.guess import words
from tilldrop.guess.draft import Option, Question

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

_BUYER = re.compile(
    r"\b(?:customer|client|kunde|kunden|cliente|klant|ship|shipping|billing|delivery|buyer|home|visitor|lager"
    r"|supplier|vendor|device|stock|type|kind|art|manager|address|phone|square|size|zip|postal|email|opened)\b"
)
_LABEL = (
    r"(?:store|shop|branch|outlet|site|location|filiale|filialnummer|filialnr|filial|markt|standort|magasin|boutique"
    r"|tienda|sucursal|negozio|punto vendita|loja|winkel|filiaal|vestiging|restaurant|department|dept|point de vente)"
)
_IN_PREAMBLE = re.compile(
    rf"^\W*(?P<label>{_LABEL}[^\d\W]*(?: (?:id|no|nr|number|code|nummer))?)\W*[:;,=\t ]\W*(?P<value>[\w-]+(?: [\w-]+)*)\W*$",
    re.IGNORECASE,
)
_IN_NAME = re.compile(
    rf"(?P<before>(?:{_LABEL}|kasse|till|pos|st)[-_ ]?(?:nr|no|id)?[-_ ]?)(?P<value>[0-9]+)",
    re.IGNORECASE,
)
_SURE = 8


@dataclass(frozen=True, slots=True)
class Place:
    """Where the location comes from. source: as TOML has it, None if it is asked for."""

    source: object = None
    column: Column | None = None
    evidence: str = ""
    confidence: str = "low"
    question: Question | None = None


def candidates(columns: tuple[Column, ...]) -> list[Column]:
    """Return the columns that may name the shop, the likeliest first."""
    named = [
        column
        for column in columns
        if column.strength("location") >= _SURE
        and not _BUYER.search(words.fold(column.name))
        and not column.is_empty
        and not column.dates
        and (not column.is_number or column.is_whole)
    ]
    return sorted(
        named, key=lambda column: (-column.filled, -column.strength("location"), column.at)
    )


def find_place(
    columns: tuple[Column, ...], rows: int, preamble: tuple[str, ...], name: str, answer: str | None
) -> Place:
    """Find the location. answer: what the retailer said it is, a column's name or an id."""
    by_name = {column.name.casefold(): column for column in columns}
    if answer is not None and answer.casefold() in by_name:
        column = by_name[answer.casefold()]
        return Place(column.name, column, "as answered", "high")
    named = candidates(columns)
    if named and named[0].filled == rows:
        return _from_column(named)
    if named and named[0].filled:
        column = named[0]
        if answer is not None:
            return Place({"column": column.name, "default": answer}, column, "as answered", "high")
        empty = rows - column.filled
        text = f"{column.name} is empty in {empty} of {rows} rows. Which location are they from?"
        question = Question("location", text, (), free=True, example="12")
        return Place(None, column, f"{column.name} is empty in {empty} rows", question=question)
    if answer is not None:
        return Place({"const": answer}, None, "as answered", "high")
    return _from_outside(preamble, name) or _asked(columns)


def _from_column(named: list[Column]) -> Place:
    column = named[0]
    others = [other.name for other in named[1:] if len(other.seen) != len(column.seen)]
    evidence = f"{column.name}: {len(column.seen)} values, never empty"
    return Place(
        column.name,
        column,
        evidence,
        "medium" if others and column.strength("location") < 10 else "high",
    )


def _from_outside(preamble: tuple[str, ...], name: str) -> Place | None:
    for line in preamble:
        found = _IN_PREAMBLE.match(line.replace('"', "").strip())
        if found:
            label = re.escape(found["label"]).replace(r"\ ", " ")
            pattern = rf"^\W*{label}\W+(\w[\w -]*)"
            if re.match(pattern, line):
                return Place(
                    {"preamble": pattern},
                    None,
                    f'"{line.strip(" ,;")}" stands before the header',
                    "high",
                )
    found = _IN_NAME.search(name)
    if found:
        start = re.escape(found["before"])
        text = f'"{found[0]}" in the file\'s name'
        return Place({"file_name": rf"{start}([0-9]+)"}, None, text, "medium")
    return None


def _asked(columns: tuple[Column, ...]) -> Place:
    weak = [
        column
        for column in columns
        if (column.says("place", least=6) or column.strength("location") in range(1, _SURE))
        and column.is_full
        and 1 <= len(column.seen) <= 500
    ]
    options = tuple(
        Option(column.name, f"the column {column.name}, {len(column.seen)} values")
        for column in weak[:4]
    )
    text = "No column names the shop. Which location are these sales from?"
    question = Question("location", text, options, free=True, example="12")
    return Place(question=question, evidence="no column names the shop")
