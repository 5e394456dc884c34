"""The pattern that is proposed takes the sample itself, and the next file of its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tilldrop.guess.propose import _pattern
from tilldrop.mapping import takes

if TYPE_CHECKING:
    from collections.abc import Iterable


@pytest.mark.parametrize(
    ("sample", "others"),
    [
        ("201904 sales receipts.csv", ["201905 sales receipts.csv"]),
        ("sales-2026-03-14.csv", ["sales-2026-03-15.csv"]),
        ("Export_20260314_1.csv", ["Export_20260315_2.csv"]),
        ("sales.csv", ["sales.csv"]),
        ("what? [1].csv", []),
        ("Umsätze 03.2026.csv", ["Umsätze 04.2026.csv"]),
    ],
)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "one of several"])
def test_pattern_takes_the_sample_and_the_next_file(
    sample: str, others: Iterable[str], *, alone: bool
) -> None:
    pattern = _pattern(sample, alone=alone)
    assert [name for name in (sample, *others) if not takes((pattern,), name)] == []
