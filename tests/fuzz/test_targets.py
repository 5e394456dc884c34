"""What the fuzzer found, each input once more; and every target on some of its own seeds.

The engine is not needed for it. `make fuzz` goes on from here.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.fuzz.target import CASES, bend, bend_mapping_and_table, cases, mapped_files
from tests.fuzz.targets import TARGETS
from tilldrop import journal_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SEEDS_EACH = 3
SEED = 20260314


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    journal_lines.configure("auto", "info")  # some targets listen to it


@pytest.mark.parametrize("name", TARGETS)
def test_what_was_found_stays_mended(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    chosen = random.Random(SEED).sample(seeds, min(len(seeds), SEEDS_EACH))
    with target.begin(tmp_path) as one:
        for raw in (*cases(name).values(), *chosen):
            one(raw)


def test_every_case_is_of_a_target() -> None:
    assert {path.name for path in CASES.iterdir()} <= set(TARGETS)


def test_same_dice_make_the_same_input_and_others_another() -> None:
    seed = mapped_files()[0]
    for change in (bend, bend_mapping_and_table):
        made = {change(random.Random(dice), seed) for dice in range(20)}
        assert len(made) > 10
        assert change(random.Random(1), seed) == change(random.Random(1), seed)
