"""docs/promises.md promises nothing that nobody attacks, and names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults.__main__ import HEAD, PARTS, Outcome, as_row, figures, write_figures

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "promises.md").read_text()
ATTACKS = TEXT.split("\n## What tries to break them\n", 1)[1].split("\nThe harness", 1)[0]


def test_every_promise_is_attacked_and_no_other() -> None:
    promised = set(re.findall(r"^(\d+)\. \*\*", TEXT, re.MULTILINE))
    attacked = {
        number
        for row in re.findall(r"^\| ([\d, ]+) \|", ATTACKS, re.MULTILINE)
        for number in row.split(", ")
    }
    assert promised == attacked


def test_every_test_that_is_named_is_there() -> None:
    missing = []
    for row in ATTACKS.splitlines():
        folder = Path("tests")
        for name in re.findall(r"`([\w/]+\.py)`", row):
            path = Path(name) if "/" in name else folder / name
            folder = path.parent
            if not (ROOT / path).is_file():
                missing.append(str(path))
    assert missing == []


def test_figures_stand_as_the_long_run_writes_them(tmp_path: Path) -> None:
    page = tmp_path / "promises.md"
    page.write_text(TEXT)
    write_figures({}, page)
    assert page.read_text() == TEXT


def test_a_run_replaces_the_rows_of_its_parts_and_no_others(tmp_path: Path) -> None:
    page = tmp_path / "promises.md"
    page.write_text(TEXT)
    name = next(iter(PARTS))
    new = as_row(name, Outcome("7 in 9 tries", "3", ["a promise"]), 60, 11)
    write_figures({name: new}, page)
    assert figures(page.read_text()) == {**figures(TEXT), name: new}
    assert new.endswith("| 7 in 9 tries | 3 | 1 |")
    assert new.count(" | ") == HEAD.splitlines()[0].count(" | ")
