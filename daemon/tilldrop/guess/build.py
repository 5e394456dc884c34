"""One sample of sales to one feed: each part of the guess asked in turn.

Promises that what is not known is a question, that a draft with questions lacks what they are
about, and that every choice bears its evidence. Never reads a file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tilldrop.guess import words
from tilldrop.guess.damage import find_damage
from tilldrop.guess.draft import Answers, Draft, Option, Question, rename
from tilldrop.guess.extras import is_itemised, put_extras, put_lines, put_tenders
from tilldrop.guess.filling import fill_down
from tilldrop.guess.groups import gather
from tilldrop.guess.id_part import write_id
from tilldrop.guess.kinds import find_kinds, read_prefix
from tilldrop.guess.marks import Marks
from tilldrop.guess.masters import WAREHOUSE, build_master, find_table
from tilldrop.guess.mixed import find_mixed, suspects
from tilldrop.guess.money import role_of
from tilldrop.guess.numbering import find_identity
from tilldrop.guess.places import find_place
from tilldrop.guess.proofs import written
from tilldrop.guess.reading_part import note_cards, put_numbers, put_reading
from tilldrop.guess.repeats import settle_repeats
from tilldrop.guess.sample import Column, read_numbers
from tilldrop.guess.totals import find_total
from tilldrop.guess.when import find_when
from tilldrop.guess.work import Build, part_of

if TYPE_CHECKING:
    from datetime import date

    from tilldrop.guess.amounts import Total
    from tilldrop.guess.sample import Sample


def build(sample: Sample, draft: Draft, answers: Answers, today: date) -> Build:
    """Fill the draft of one sample."""
    made = Build(sample, draft, answers, today)
    put_reading(sample, draft)
    note_cards(sample, draft)
    damage = find_damage(sample)
    if damage is not None and damage.refusal:
        draft.refusal = damage.refusal
        return made
    if sample.marks.doubt:
        _ask_marks(made)
    if damage is not None:
        draft.notes.append(damage.evidence)
        if damage.loose_from:
            draft.read["loose_from"] = damage.loose_from
            draft.choose("read.loose_from", damage.evidence, "high")
            made.columns = sample.columns[: damage.safe]
    found = find_table(sample, made.columns)
    if found is not None:
        table, key = found
        build_master(made.columns, table, key, draft)
        if table == "stock_levels":
            _find_place(made, stores=WAREHOUSE)
        return made
    _build_sales(made)
    _rewrite(made)
    return made


def _rewrite(made: Build) -> None:
    """Add columns for numbers that are written otherwise than most are."""
    decimal = made.sample.marks.decimal
    for column in made.columns:
        if column.own is None:
            continue
        new = f"{column.name} with {decimal}"
        if rename(made.draft, column.name, new, (written(column.name), written(new))):
            cell = '"' + column.name.replace('"', '""') + '"'
            if column.own.thousands:
                cell = f"replace({cell}, '{column.own.thousands}', '')"
            sql = f"replace({cell}, '{column.own.decimal}', '{decimal}')"
            made.draft.columns[new] = {"sql": sql}
            text = f"{column.name} is written with {column.own.decimal}, the other columns with {decimal}"
            made.draft.choose(f"columns.{new}", text, "high")


def _build_sales(made: Build) -> None:
    fill_down(made)
    _find_when(made)
    _find_place(made)
    find_identity(made)
    settle_repeats(made)
    _find_kinds(made)
    _find_total(made)
    _write(made)


def _ask_marks(made: Build) -> None:
    answer = made.answers.take("decimal")
    if answer is not None and answer in {".", ","}:
        _reread(made, answer)
        return
    options = (
        Option(".", "a point is the decimal mark"),
        Option(",", "a comma is the decimal mark"),
    )
    made.draft.ask(
        Question("decimal", f"How are numbers written? {made.sample.marks.doubt}", options)
    )


def _reread(made: Build, decimal: str) -> None:
    """Read the numbers anew by the mark that was said."""
    seen = made.sample.marks.decimal
    marks = Marks(decimal, "" if seen == decimal else seen, certain=True, evidence="as answered")
    made.sample = replace(made.sample, marks=marks)
    read_numbers(made.columns, marks)
    for key in ("decimal", "thousands"):
        made.draft.read.pop(key, None)
    put_numbers(made.sample, made.draft)


def _find_when(made: Build) -> None:
    answers = made.answers
    sample = _with_columns(made)
    made.when = when = find_when(
        sample, answers.take("date-order"), answers.take("date"), made.today
    )
    draft = made.draft
    if when.question is not None:
        draft.ask(when.question)
    elif when.source is not None:
        draft.put("sold_at", when.source, when.evidence, when.confidence)
    draft.zone = when.zone
    draft.columns.update(when.columns)


def _with_columns(made: Build) -> Sample:
    return replace(made.sample, columns=made.columns)


def _find_place(made: Build, stores: str = "") -> None:
    """Find the location. stores: the pattern of other columns that name one here."""
    sample = made.sample
    answer = made.answers.take("location")
    if answer is None and stores:
        named = (one.name for one in made.columns if re.search(stores, words.fold(one.name)))
        answer = next(named, None)
    made.place = place = find_place(
        made.columns, made.rows, sample.dialect.preamble, sample.path.name, answer
    )
    draft = made.draft
    if place.source is not None:
        draft.put("location_id", place.source, place.evidence, place.confidence)
    elif place.question is not None:
        draft.ask(place.question)


def _likely_amounts(made: Build) -> list[float | None]:
    """Return the numbers of the column that is the likeliest amount by its name."""
    amounts: list[float | None] = [None] * made.rows
    best = 0
    for column in made.columns:
        if column.is_number:
            role, points = role_of(column.name, column)
            rank = points + (3 if role in {"total", "line-amount", "gross"} else 0)
            if role in {"total", "line-amount", "gross", "net", "quantity"} and rank > best:
                best, amounts = rank, column.numbers
    return amounts


def _find_kinds(made: Build) -> None:
    amounts = _likely_amounts(made)
    made.kinds = kinds = find_kinds(made.columns, amounts, made.answers)
    if made.identity is not None and made.identity.column is not None:
        read_prefix(made.identity.column, amounts, kinds, made.answers)
    draft = made.draft
    for question in kinds.questions:
        answer = made.answers.take(question.key) if question.key == "signs" else None
        if answer is None:
            draft.ask(question)
        kinds.signs = "by-kind" if answer == "by-kind" else kinds.signs
    _skip_echoes(made)
    if kinds.skip:
        draft.keys["skip"] = kinds.skip
    if kinds.only:
        draft.keys["only"] = kinds.only
    if kinds.kind is not None:
        draft.map["kind"] = kinds.kind
    if kinds.signs != "as-written":
        draft.keys["signs"] = kinds.signs
    for target, (text, confidence) in kinds.evidence.items():
        draft.choose(target, text, confidence)
    if kinds.status and "status" not in draft.map:
        draft.put("status", kinds.status, "by its name", "high")


def _skip_echoes(made: Build) -> None:
    """Leave out rows that repeat the column names or hold nothing."""
    echoes, kinds = made.sample.echoes, made.kinds
    full = [column for column in made.columns if column.is_full and column.name not in kinds.skip]
    best = max(full, key=lambda one: one.strength("transaction"), default=None)
    if not echoes or best is None:
        return
    values = [best.name] * ("names" in echoes) + [""] * ("nothing" in echoes)
    kinds.skip[best.name] = values
    told = {"names": "repeat the column names", "nothing": "hold nothing"}
    text = "rows that " + " or ".join(told[one] for one in sorted(echoes)) + " are left out"
    if "skip" in kinds.evidence:
        text = f"{kinds.evidence['skip'][0]}; {text}"
    kinds.evidence["skip"] = (text, kinds.evidence.get("skip", ("", "high"))[1])


def _kept_rows(made: Build) -> list[int]:
    """Return the rows that the feed does not leave out."""
    by_name = {column.name: column for column in made.columns}
    gone: set[int] = set()
    for name, values in made.kinds.skip.items():
        gone |= {row for row, cell in enumerate(by_name[name].cells) if cell in values}
    for name, values in made.kinds.only.items():
        gone |= {row for row, cell in enumerate(by_name[name].cells) if cell not in values}
    return [row for row in range(made.rows) if row not in gone]


def _find_total(made: Build) -> None:
    rows = _kept_rows(made)
    keys = made.identity.keys if made.identity else [str(row) for row in range(made.rows)]
    columns = part_of(made.columns, rows)
    if made.once:
        rows = sorted({keys[row]: row for row in rows}.values())
        columns = part_of(made.columns, rows)
    groups = list(gather([keys[row] for row in rows]).values())
    made.mixed = find_mixed(columns, groups)
    if made.mixed is not None:
        chosen = set(made.mixed.head)
        heads = [
            at
            for at, cell in enumerate(columns[_index(columns, made.mixed.column.name)].cells)
            if cell in chosen
        ]
        rows = [rows[at] for at in heads]
        columns = part_of(made.columns, rows)
        groups = list(gather([keys[row] for row in rows]).values())
    elif (suspect := suspects(columns, groups)) is not None:
        _ask_mixed(made, suspect)
    made.groups = groups
    made.total = total = find_total(columns, groups, made.answers)
    draft = made.draft
    numbered = made.identity is not None and made.identity.column is not None
    if total.unnamed and not numbered and not any(map(_is_nameless, made.columns)):
        # Neither a number of a sale nor an amount of one: such rows may be hours or expenses.
        text = f"{total.evidence}, and no column numbers sales. Is it what shoppers paid?"
        option = Option(total.columns[0], "yes")
        draft.ask(Question("total", text, (option,), free=True))
    elif total.question is not None:
        draft.ask(total.question)
    elif total.source is not None:
        _put_total(made, total)


def _put_total(made: Build, total: Total) -> None:
    """Write the total; ask where most of them would be below zero."""
    column = next((one for one in made.columns if [one.name] == list(total.columns)), None)
    numbers = [one for one in column.numbers if one] if column else []
    if sum(one < 0 for one in numbers) <= 0.5 * len(numbers) or made.draft.keys.get("signs"):
        made.draft.put("total", total.source, total.evidence, total.confidence)
        return
    name = total.columns[0]
    answer = made.answers.take("negative")
    if answer is None:
        text = f"Most values of {name} are below zero, as where money is spent. What are they?"
        options = (
            Option("refunds", "money given back, as they stand"),
            Option("sales", "sales: the sign is to be turned"),
        )
        made.draft.ask(Question("negative", text, options))
    else:
        source = {"expr": f"-{written(name)}"} if answer == "sales" else total.source
        made.draft.put("total", source, "as answered", "high")


def _is_nameless(column: Column) -> bool:
    return column.name.startswith("#")


def _index(columns: tuple[Column, ...], name: str) -> int:
    return next(at for at, column in enumerate(columns) if column.name == name)


def _ask_mixed(made: Build, suspect: Column) -> None:
    answer = made.answers.take("rows")
    if answer is None:
        options = tuple(
            Option(value, f"{times} rows") for value, times in suspect.seen.most_common(6)
        )
        text = (
            f"Rows of one transaction differ in {suspect.name}. Which of them make its total?"
            " (several: with commas)"
        )
        made.draft.ask(Question("rows", text, (*options, Option("all", "all of them")), free=True))
    elif answer != "all":
        made.draft.where = {suspect.name: [part.strip() for part in answer.split(",")]}


def _write(made: Build) -> None:
    """Lay down id, shape and sections."""
    draft, total, identity = made.draft, made.total, made.identity
    if total.missing:
        draft.notes.append(
            "There is no total column, nor a price: nothing can be booked from this file alone."
        )
        draft.ask(
            Question(
                "total",
                "There is no total column. Where do the amounts come from? A price list can be given"
                " as a second sample; else ask for an export with amounts.",
                (),
                free=True,
                example="Quantity * Price",
            )
        )
    write_id(made)
    if made.when.missing:
        draft.ask(
            Question(
                "date",
                "No column holds the date of the sale, nor does the file's name.",
                (),
                free=True,
            )
        )
    grouped = identity is not None and identity.trial.multi > 0 and not made.once
    taken = set(total.columns) | {made.when.column.name if made.when.column else ""}
    if isinstance(draft.map.get("location_id"), str):
        taken.add(str(draft.map["location_id"]))
    if identity is not None and identity.column is not None:
        taken.add(identity.column.name)
    put_extras(draft, made.columns, total.money, taken)
    if grouped:
        _write_shape(made)
    elif is_itemised(made.columns):
        put_lines(draft, made.columns, total.money, total.line_amount or total.source, {})


def _write_shape(made: Build) -> None:
    draft, total = made.draft, made.total
    if made.mixed is not None:
        mixed = made.mixed
        draft.rows = "mixed"
        draft.where = {mixed.column.name: list(mixed.head)}
        draft.choose("rows", mixed.evidence, "high")
        if mixed.lines:
            put_lines(
                draft,
                made.columns,
                total.money,
                mixed.amount.name,
                {mixed.column.name: list(mixed.lines)},
            )
        if mixed.payments:
            put_tenders(
                draft, made.columns, mixed.amount.name, {mixed.column.name: list(mixed.payments)}
            )
        return
    identity = made.identity
    text = f"{identity.trial.multi} transactions have several rows" if identity else ""
    if is_itemised(made.columns):
        draft.rows = "per-line"
        put_lines(draft, made.columns, total.money, total.line_amount, {})
    elif put_tenders(draft, made.columns, total.line_amount, {}):
        draft.rows = "per-payment"
    else:
        draft.rows = "per-line"
    draft.choose("rows", text, "high")
