"""Presets: each is a feed, and a feed's own keys go on top."""

from __future__ import annotations

import pytest

from tests.unit.feeds import read
from tilldrop import presets


def test_feeds_own_keys_win_over_the_presets() -> None:
    preset = {
        "rows": "per-line",
        "skip": {"A": "x", "B": "y"},
        "read": {"delimiter": ";", "decimal": ","},
        "map": {"total": "Total", "tax": "Tax", "tip": "Tip"},
        "taxes": [{"amount": "VAT"}],
    }
    own = {
        "name": "a",
        "skip": {"C": "z"},
        "read": {"delimiter": "\t"},
        "map": {"total": "Sum", "tip": ""},
        "taxes": [],
    }
    assert presets.merge(preset, own) == {
        "name": "a",
        "rows": "per-line",
        "skip": {"C": "z"},
        "read": {"delimiter": "\t", "decimal": ","},
        "map": {"total": "Sum", "tax": "Tax"},
        "taxes": [],
    }


def test_preset_that_does_not_exist_is_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        presets.load("no-such-till")


@pytest.mark.parametrize("name", presets.names())
def test_preset_is_a_feed_with_a_name_and_files_alone(name: str) -> None:
    feed = read(f'name = "a"\nfiles = "*.csv"\npreset = "{name}"')
    assert feed.preset == name
    assert feed.sources
