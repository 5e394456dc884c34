"""Refunds, voids and rows that are no sales: what kind, status and void columns say.

Promises that rows are left out only by plain words for it, and that a word which may mean a
refund or a void is settled by the amounts or asked about.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tilldrop.guess import value_words, words
from tilldrop.guess.draft import Answers, Option, Question

if TYPE_CHECKING:
    from tilldrop.guess.sample import Column

_FEW_VALUES = 30
_FEW_WORDS = 8
_LONGEST_CODE = 3
_TYPE_OF_SALE = re.compile(
    r"\b(?:trans|transaction|txn|trx|doc|document|receipt|sale|sales|record|bon|beleg|vorgangs?|entry) ?"
    r"(?:type|typ|art|kind|code)$|^(?:type|typ|kind|art|tipo|soort|nature)$"
)
_OF_GOODS = re.compile(
    r"\b(?:ship\w*|fulfil\w*|deliver\w*|item|line|rma|versand\w*|liefer\w*|livraison|envio|entrega|spedizione"
    r"|consegna|stock|marital|customer|member|loyalty|employment)\b"
)
_STATUS = re.compile(r"\b(?:status|statut|stato|situacao|durum|stav)\b|status$")
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
    yes = [value for plain, value in values.items() if plain in value_words.TRUE]
    rest = [
        value
        for plain, value in values.items()
        if plain not in value_words.TRUE | value_words.FALSE
    ]
    if yes and not rest and _signs(column, yes, amounts) == "negative":
        _take_back(column, yes, found)
    elif yes and not rest:
        found.skip[column.name] = yes
        count = sum(column.seen[value] for value in yes)
        found.evidence["skip"] = (
            f"{column.name} says {yes[0]} in {count} rows, which are left out",
            "medium",
        )
    elif voids := [value for plain, value in values.items() if plain in value_words.VOID]:
        if _signs(column, voids, amounts) == "negative":
            _take_back(column, voids, found)
            return
        found.skip[column.name] = voids
        found.evidence["skip"] = (f"{column.name} says so", "medium")


def _take_back(column: Column, values: list[str], found: Kinds) -> None:
    """Keep what is void and negative: it takes back a sale that stands there too."""
    if found.kind is None:
        found.kind = _kind_of(column, values)
        found.kind_column = column
    text = f"rows with {column.name} = {values[0]} are negative as written, so they take sales back"
    found.evidence["storno"] = (text, "medium")


def _read_words(
    column: Column, amounts: list[float | None], found: Kinds, answers: Answers
) -> None:
    """Read a column of words: types and statuses."""
    refunds = _with(column, value_words.REFUND)
    voids = _with(column, value_words.VOID)
    stornos = _with(column, value_words.STORNO)
    waiting = _with(column, value_words.OPEN)
    typed = column.says("kind") or bool(refunds and _with(column, value_words.SALE))
    status = column.says("status", least=7)
    if voids and (typed or status) and _signs(column, voids, amounts) == "negative":
        _take_back(column, voids, found)
    elif voids and (typed or status):
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
    if len(column.seen) > 1 and _is_of_sale(column):
        _ask_unknown(column, amounts, "status", found, answers)
    elif typed and column.says("kind") and (refunds or _with(column, value_words.SALE)):
        _ask_unknown(column, amounts, "types", found, answers)
    elif found.kind is None and len(column.seen) > 1:
        _ask_codes(column, amounts, found, answers)
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
        if text.casefold() in value_words.REFUND_PREFIXES and count < 0.35 * column.filled
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
        _take_back(column, stornos, found)
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


def _is_known(value: str) -> bool:
    """Tell whether a value means something here: a word of a set, or several with nothing between."""
    if words.has_word(value, value_words.VOID | value_words.STORNO | value_words.OPEN):
        return True
    if words.has_word(value, value_words.REFUND) or words.word(value) in value_words.SALE:
        return True
    return set(words.fold(value).split()) <= value_words.SALE | value_words.BESIDE


def _ask_codes(column: Column, amounts: list[float | None], found: Kinds, answers: Answers) -> None:
    """Ask of short codes in a column of types: the commonest is a sale, a negative one a refund."""
    if not _TYPE_OF_SALE.search(words.fold(column.name)) or len(column.seen) > _FEW_WORDS:
        return
    if any(len(value) > _LONGEST_CODE for value in column.seen):
        return
    common = column.seen.most_common(1)[0][0]
    rest = [one for one in column.seen if one != common]
    if any(_signs(column, [one], amounts) in {"positive", "mixed"} for one in rest):
        _ask_unknown(column, amounts, "types", found, answers, but=common)


def _is_of_sale(column: Column) -> bool:
    """Tell whether a column says how a sale ended, not where its goods are."""
    name = words.fold(column.name)
    return bool(_STATUS.search(name)) and not _OF_GOODS.search(name)


def _ask_unknown(
    column: Column,
    amounts: list[float | None],
    key: str,
    found: Kinds,
    answers: Answers,
    but: str = "",
) -> None:
    """Ask of words in a column of statuses or types that nothing here knows. but: one that is."""
    unknown = [
        value
        for value in column.seen
        if value != but and not _is_known(value) and _signs(column, [value], amounts) != "none"
    ]
    if not unknown or len(unknown) > _FEW_WORDS:
        return
    answer = answers.take(key)
    if answer is None:
        shown = ", ".join(f"{value} ({column.seen[value]} rows)" for value in unknown)
        text = f"What do these values of {column.name} mean: {shown}? Do such rows count as sales?"
        options = (Option("take", "yes, all of them"), Option("skip", "no, they are left out"))
        question = Question(key, f"{text} (or name those to leave out, with commas)", options)
        found.questions.append(replace(question, free=True, example=unknown[-1]))
    elif answer != "take":
        wanted = {part.strip().casefold() for part in answer.split(",")}
        gone = [one for one in unknown if answer == "skip" or one.casefold() in wanted]
        found.skip.setdefault(column.name, []).extend(gone)
        found.evidence["skip"] = (f"{column.name} is {' or '.join(gone)}: as answered", "high")


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
