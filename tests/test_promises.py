"""docs/promises.md promises nothing that nobody attacks, and names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

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
