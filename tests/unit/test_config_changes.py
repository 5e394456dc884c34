"""What a reload changed is said setting by setting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.daemon import add_customer, make_home
from tilldrop.config import load
from tilldrop.config_changes import SAID_MOST, changes

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.config import Config


@pytest.fixture
def home(tmp_path: Path, host_keys: Path) -> Path:
    return make_home(tmp_path / "home", host_keys)


def edited(home: Path, before: str, after: str) -> Config:
    path = home / "config" / "customers" / "acme.toml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return load(home)


def test_what_is_the_same_is_not_said(home: Path) -> None:
    assert changes(load(home), load(home)) == []


def test_values_customers_and_feeds_are_said(home: Path) -> None:
    old = load(home)
    add_customer(home, "rival")
    new = edited(home, 'currency = "EUR"', 'currency = "CHF"')
    new = replace(new, limits=replace(new.limits, keep_days=30))
    found = changes(old, new)
    assert "limits.keep_days: 90 -> 30" in found
    assert "customers.acme.currency: EUR -> CHF" in found
    assert "customers.rival: added" in found
    assert "customers.rival: removed" in changes(new, old)
    feeds = edited(home, 'name = "sales"', 'name = "takings"')
    assert {"customers.acme.feeds.sales: removed", "customers.acme.feeds.takings: added"} <= set(
        changes(new, feeds)
    )


def test_what_is_said_has_an_end(home: Path) -> None:
    config = load(home)
    many = {f"c{number}": config.customers["acme"] for number in range(2 * SAID_MOST)}
    found = changes(config, replace(config, customers=many))
    assert len(found) == SAID_MOST + 1
    assert found[-1].endswith("more")
