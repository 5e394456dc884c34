"""A short soak, and that its verdict sees what grows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.bench.soak import (
    LEFT_BY_IMPORT,
    MOST_GROWTH,
    SOAK_TOML,
    STEPS,
    Outcome,
    Sample,
    growth,
    soak,
)
from tests.daemon import Daemon, make_home

if TYPE_CHECKING:
    from pathlib import Path

DELIVERIES = 240

SAMPLE = Sample(
    *(0, 0, 100.0, 80.0, 40, 20),
    *(0.0, 0.0, 0.0, 4.0, 10.0, 30.0),
)


def test_short_soak_imports_all_and_leaves_no_descriptor_or_thread_behind(
    tmp_path: Path, host_keys: Path
) -> None:
    daemon = Daemon(make_home(tmp_path / "home", host_keys, SOAK_TOML)).start()
    try:
        outcome = soak(daemon, DELIVERIES)
    finally:
        daemon.stop()
    assert (outcome.deliveries, outcome.rows, outcome.restarts) == (DELIVERIES, DELIVERIES, 0)
    assert {"descriptors", "threads"} & set(outcome.grown()) == set(), outcome.verdict()


def samples(**step: float) -> list[Sample]:
    """Return samples of which some figures grow with every step, beside 1 MB of each database."""
    steps = {"done": 1000, "ledger_mb": 1.0, "audit_mb": 1.0, "data_mb": 1.0} | step
    return [
        replace(SAMPLE, **{name: getattr(SAMPLE, name) + number * by for name, by in steps.items()})
        for number in range(1, STEPS + 1)
    ]


def test_what_stays_is_flat() -> None:
    assert Outcome(samples(), 0, 0, 0, 0, growth(samples())).grown() == []
    assert growth(samples()).keys() == MOST_GROWTH.keys()


@pytest.mark.parametrize(
    ("figure", "by"), [("daemon_mb", 2.0), ("descriptors", 1), ("acknowledged_p50_ms", 1.0)]
)
def test_what_grows_with_every_step_is_told(figure: str, by: float) -> None:
    grown = samples(**{figure: by})
    assert Outcome(grown, 0, 0, 0, 0, growth(grown)).grown() == [figure]


def test_deliveries_that_take_ever_more_of_the_ledger_are_told() -> None:
    grown = [
        replace(one, ledger_mb=one.ledger_mb + place**2 / 10) for place, one in enumerate(samples())
    ]
    assert Outcome(grown, 0, 0, 0, 0, growth(grown)).grown() == ["ledger_bytes_each"]


def test_imports_that_lag_for_a_while_are_no_growth() -> None:
    backlog = (0, 0, 0, 500, 900, 1500, 1500, 900, 400, 0, 0, 0)
    lagging = [
        replace(
            one,
            waiting=waiting,
            ledger_mb=(one.done - LEFT_BY_IMPORT["ledger"] * waiting) / 1000,
            audit_mb=(one.done - LEFT_BY_IMPORT["audit"] * waiting) / 1000,
            data_mb=(one.done - LEFT_BY_IMPORT["data"] * waiting) / 1000,
        )
        for one, waiting in zip(samples(), backlog, strict=True)
    ]
    assert Outcome(lagging, 0, 0, 0, 0, growth(lagging)).grown() == []
