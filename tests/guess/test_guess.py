"""Whatever a guess calls usable books the figures that are true, for layouts it never saw."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.guess.layouts import LAYOUTS, Export
from tests.guess.layouts_hard import HARD, PUBLIC
from tests.guess.layouts_public import ODD
from tilldrop.guess.propose import Proposal, propose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TODAY = date(2026, 11, 22)
SEED = 1
EVERY = (*LAYOUTS, *HARD, *PUBLIC, *ODD)
USABLE = {"confident", "confirm"}
LAYOUT = pytest.mark.parametrize("layout", EVERY, ids=lambda layout: str(layout.__name__))


def written(export: Export, folder: Path) -> list[Path]:
    paths = []
    for name, content in [(export.name, export.data), *export.more]:
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def figures(found: Proposal) -> tuple[object, ...] | None:
    made = found.figures
    if made is None:
        return None
    sums = (Decimal(made.total), made.refunds, Decimal(made.refund_total))
    return (made.transactions, *sums, made.first[:19], made.last[:19])


def true_figures(export: Export) -> tuple[object, ...]:
    sums = (export.total, export.refunds, export.refund_total)
    return (export.count, *sums, export.first, export.last)


@LAYOUT
def test_what_is_usable_without_an_answer_books_the_true_figures(
    layout: Callable[[int], Export], tmp_path: Path
) -> None:
    export = layout(SEED)
    found = propose(written(export, tmp_path), {}, TODAY)
    open_ones = {question.key for question in found.questions}
    if found.verdict == "refused":
        open_ones.add("refused")
    if export.asks:
        assert open_ones & set(export.asks)
    if found.verdict in USABLE:
        assert figures(found) == true_figures(export)


@pytest.mark.parametrize(
    "layout",
    [layout for layout in EVERY if layout(SEED).answers],
    ids=lambda layout: str(layout.__name__),
)
def test_answered_it_books_the_true_figures(
    layout: Callable[[int], Export], tmp_path: Path
) -> None:
    export = layout(SEED)
    found = propose(written(export, tmp_path), export.answers, TODAY)
    assert (found.verdict in USABLE, [one.key for one in found.questions]) == (True, [])
    assert figures(found) == true_figures(export)


def test_answers_may_be_given_by_the_number_of_the_question(tmp_path: Path) -> None:
    from tests.guess.layouts import one_day_ambiguous  # noqa: PLC0415

    export = one_day_ambiguous(SEED)
    found = propose(written(export, tmp_path), {"1": "dmy"}, TODAY)
    assert (found.verdict, figures(found)) == ("confident", true_figures(export))


def test_a_mapping_with_open_questions_is_not_accepted_as_it_stands(tmp_path: Path) -> None:
    from tests.guess.layouts import no_location, one_day_ambiguous  # noqa: PLC0415
    from tilldrop.guess.figures import feeds_of  # noqa: PLC0415

    for layout in (no_location, one_day_ambiguous):
        found = propose(written(layout(SEED), tmp_path), {}, TODAY)
        assert found.verdict == "open"
        assert feeds_of(found.toml)[1]
