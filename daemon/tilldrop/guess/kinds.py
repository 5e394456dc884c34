"""Refunds, voids and rows that are no sales: what kind, status and void columns say.

Promises that rows are left out only by plain words for it, and that a word which may mean a
refund or a void is settled by the amounts or asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilldrop.guess import words
from tilldrop.guess.draft import Answers, Option, Question

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

_FEW_VALUES = 30
_OTHERS = ("tender", "category", "description", "product", "location", "operator", "shopper")


@dataclass(slots=True)
class Kinds:
    """What was found. skip, only: as a feed has them. kind: the source of `kind`, if mapped."""

    skip: dict[str, list[str]] = field(default_factory=dict)
    only: dict[str, list[str]] = field(default_factory=dict)
    kind: object = None
    kind_column: Column | None = None
    signs: str = "as-written"
    status: str = ""
    evidence: dict[str, tuple[str, str]] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_kinds(columns: tuple[Column, ...], amounts: list[float | None], answers: Answers) -> Kinds:
    """Read what columns of few values say of the rows. amounts: a figure of each row, its total."""
    found = Kinds()
    for column in columns:
        if column.is_empty or (column.dates and not column.says("void")):
            continue
        if column.says("void") and not column.says("refunded", least=9):
            _read_void(column, amounts, found)
            continue
        if len(column.seen) > _FEW_VALUES or column.is_number:
            continue
        if column.says(*_OTHERS) and not column.says("kind", "status", least=8):
            continue
        if found.kind is None:
            _read_sign(column, found, answers)
        _read_words(column, amounts, found, answers)
    return found


def _read_void(column: Column, amounts: list[float | None], found: Kinds) -> None:
    """Read a column that says by itself that a row is void: yes or no, or when."""
    values = {words.word(value): value for value in column.seen}
    if column.dates:
        found.only[column.name] = [""]
        found.evidence["only"] = (
            f"{column.name} is filled in {column.filled} rows, which are cancelled",
            "medium",
        )
        return
    yes = [value for plain, value in values.items() if plain in words.TRUE]
    rest = [value for plain, value in values.items() if plain not in words.TRUE | words.FALSE]
    if yes and not rest:
        found.skip[column.name] = yes
        count = sum(column.seen[value] for value in yes)
        found.evidence["skip"] = (
            f"{column.name} says {yes[0]} in {count} rows, which are left out",
            "medium",
        )
    elif any(plain in words.VOID for plain in values):
        found.skip[column.name] = [value for plain, value in values.items() if plain in words.VOID]
        found.evidence["skip"] = (f"{column.name} says so", "medium")
    del amounts


def _read_words(
    column: Column, amounts: list[float | None], found: Kinds, answers: Answers
) -> None:
    """Read a column of words: types and statuses."""
    refunds = _with(column, words.REFUND)
    voids = _with(column, words.VOID)
    stornos = _with(column, words.STORNO)
    waiting = _with(column, words.OPEN)
    typed = column.says("kind") or bool(refunds and _with(column, words.SALE))
    status = column.says("status", least=7)
    if voids and (typed or status):
        found.skip.setdefault(column.name, []).extend(voids)
        count = sum(column.seen[value] for value in voids)
        text = f"{column.name} is {' or '.join(voids)} in {count} rows, which are no sales"
        found.evidence["skip"] = (text, "medium")
    if refunds and (typed or status) and found.kind is None:
        _read_refunds(column, refunds, amounts, found, answers)
    if stornos and (typed or status):
        _read_stornos(column, stornos, amounts, found, answers)
    if waiting and status:
        _ask_waiting(column, waiting, found, answers)
    if status and not found.status:
        found.status = column.name


def _with(column: Column, wanted: frozenset[str]) -> list[str]:
    """Return the values that mean one of the words; a negation means none."""
    return [
        value
        for value in column.seen
        if words.has_word(value, wanted)
        and not {"not", "non", "nicht", "no", "un"} & set(words.fold(value).split())
    ]


def _read_refunds(
    column: Column, refunds: list[str], amounts: list[float | None], found: Kinds, answers: Answers
) -> None:
    signs = _signs(column, refunds, amounts)
    is_status = column.says("status") and not column.says("kind") and signs != "negative"
    answer = answers.take("refunds") if is_status else None
    if answer == "sale":
        return
    if answer == "skip":
        found.skip.setdefault(column.name, []).extend(refunds)
        return
    if is_status and answer != "refund":
        found.questions.append(_ask_refunds(column, refunds))
        return
    found.kind = _kind_of(column, refunds)
    found.kind_column = column
    if signs == "mixed":
        found.questions.append(
            Question(
                "signs",
                f"Rows with {column.name} = {refunds[0]} have positive and negative amounts. What is meant?",
                (Option("as-written", "as they stand"), Option("by-kind", "all are given back")),
            )
        )
    elif signs == "positive":
        found.signs = "by-kind"
        text = (
            f"rows with {column.name} = {refunds[0]} have positive amounts, which count as negative"
        )
        found.evidence["signs"] = (text, "high")
    else:
        text = f"rows with {column.name} = {refunds[0]} are negative as written"
        found.evidence["signs"] = (text, "high")


def _ask_refunds(column: Column, refunds: list[str]) -> Question:
    """Ask of positive rows: "refunded" as a sale's status says that money went back later."""
    text = f"{column.name} says {refunds[0]} of rows whose amount is positive: are these refunds?"
    options = (
        Option("sale", "sales that were given back later; they stay as they are"),
        Option("refund", "refunds; their amounts count as negative"),
        Option("skip", "neither; they are left out"),
    )
    return Question("refunds", text, options)


def _kind_of(column: Column, refunds: list[str]) -> object:
    """Return the source of `kind`. A value that no sample had is a fault, not a sale."""
    values = {value: "refund" if value in refunds else "sale" for value in column.seen}
    return {"column": column.name, "values": values, "default": "sale"}


_SIGN_PAIRS = ({"d", "c"}, {"s", "h"}, {"dr", "cr"}, {"debit", "credit"}, {"soll", "haben"})


def _read_sign(column: Column, found: Kinds, answers: Answers) -> None:
    """Read a column that holds the sign of the amounts."""
    values = set(column.seen)
    if "-" in values and values <= {"+", "-"}:
        found.kind = _kind_of(column, ["-"])
        found.kind_column, found.signs = column, "by-kind"
        found.evidence["signs"] = (f"{column.name} holds the sign of the amounts", "high")
    elif {value.casefold() for value in values} in _SIGN_PAIRS:
        answer = answers.take("sign")
        if answer is not None and answer in values:
            found.kind = _kind_of(column, [answer])
            found.kind_column, found.signs = column, "by-kind"
        elif answer is None:
            options = tuple(Option(value, f"{times} rows") for value, times in column.seen.items())
            text = f"{column.name} tells two directions of money. Which is given back?"
            found.questions.append(Question("sign", text, (*options, Option("none", "neither"))))


def read_prefix(
    column: Column, amounts: list[float | None], found: Kinds, answers: Answers
) -> None:
    """Ask where some ids begin with letters as refunds' do, and no amount is negative."""
    if found.kind is not None or any(amount is not None and amount < 0 for amount in amounts):
        return
    starts = {value: re.match(r"[A-Za-z]*", value) for value in column.seen}
    counts: dict[str, int] = {}
    for value, start in starts.items():
        text = start[0] if start else ""
        counts[text] = counts.get(text, 0) + column.seen[value]
    rare = [
        text
        for text, count in counts.items()
        if text.casefold() in _REFUND_PREFIXES and count < 0.35 * column.filled
    ]
    if len(counts) < 2 or len(counts) > 6 or not rare:
        return
    answer = answers.take("prefix")
    if answer in counts:
        pattern = rf"^({answer})(?![A-Za-z])"
        found.kind = {
            "column": column.name,
            "match": pattern,
            "values": {answer: "refund"},
            "default": "sale",
        }
        found.signs = "by-kind"
    elif answer is None:
        text = f"{counts[rare[0]]} values of {column.name} begin with {rare[0]}, and all amounts are positive. Are these refunds?"
        options = (
            Option(rare[0], "yes, their amounts count as negative"),
            Option("none", "no, they are sales"),
        )
        found.questions.append(Question("prefix", text, options))


_REFUND_PREFIXES = frozenset(
    [
        "r",
        "c",
        "g",
        "rf",
        "rt",
        "ret",
        "ref",
        "rfd",
        "rtn",
        "cn",
        "cr",
        "gs",
        "gu",
        "av",
        "avo",
        "st",
        "sto",
        "re",
        "dev",
        "res",
        "rim",
        "tb",
        "n",
        "nc",
    ]
)


def _signs(column: Column, values: list[str], amounts: list[float | None]) -> str:
    """Tell the sign of the amounts where a column has one of the values."""
    chosen = set(values)
    figures = [
        amount
        for cell, amount in zip(column.cells, amounts, strict=True)
        if cell in chosen and amount
    ]
    if not figures:
        return "none"
    negative = sum(amount < 0 for amount in figures) / len(figures)
    return "negative" if negative > 0.9 else "positive" if negative < 0.1 else "mixed"


def _read_stornos(
    column: Column, stornos: list[str], amounts: list[float | None], found: Kinds, answers: Answers
) -> None:
    """Take a storno for a refund where it is negative; else ask."""
    if _signs(column, stornos, amounts) == "negative":
        if found.kind is None:
            found.kind = _kind_of(column, stornos)
            found.kind_column = column
        found.evidence["storno"] = (
            f"rows with {column.name} = {stornos[0]} are negative as written",
            "high",
        )
        return
    answer = answers.take("storno")
    if answer == "skip":
        found.skip.setdefault(column.name, []).extend(stornos)
    elif answer == "refund":
        found.kind = _kind_of(column, stornos)
        found.kind_column, found.signs = column, "by-kind"
    elif answer is None:
        found.questions.append(
            Question(
                "storno",
                f"Rows with {column.name} = {stornos[0]} have positive amounts. What are they?",
                (
                    Option("skip", "sales that were voided; they are left out"),
                    Option("refund", "amounts taken back; they count as negative"),
                ),
            )
        )


def _ask_waiting(column: Column, waiting: list[str], found: Kinds, answers: Answers) -> None:
    count = sum(column.seen[value] for value in waiting)
    answer = answers.take("unfinished")
    if answer == "skip":
        found.skip.setdefault(column.name, []).extend(waiting)
    elif answer is None:
        found.questions.append(
            Question(
                "unfinished",
                f"{column.name} is {' or '.join(waiting)} in {count} rows. Do they count as sales?",
                (Option("skip", "no, they are left out"), Option("take", "yes")),
            )
        )
