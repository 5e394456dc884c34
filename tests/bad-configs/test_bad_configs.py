"""Each folder here is a home with mistakes, and expected.txt is all that must be said of them.

`TILLDROP_WRITE_EXPECTED=1 pytest tests/bad-configs` writes the expectations; read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tilldrop import config
from tilldrop.errors import ConfigInvalid

HOMES = sorted(path.parent for path in Path(__file__).parent.glob("*/config"))


@pytest.mark.parametrize("home", HOMES, ids=lambda home: home.name)
def test_mistakes_are_said_exactly_so(home: Path) -> None:
    with pytest.raises(ConfigInvalid) as refused:
        config.load(home)
    said = f"{refused.value}\n"
    if os.environ.get("TILLDROP_WRITE_EXPECTED"):
        (home / "expected.txt").write_text(said)
    assert said == (home / "expected.txt").read_text()


def test_there_are_homes_here() -> None:
    assert len(HOMES) > 50
