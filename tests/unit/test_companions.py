"""Which file declares another's figures, by its name."""

from __future__ import annotations

import pytest

from tilldrop.companions import companion_feed, companion_name, companions_of
from tilldrop.mapping import Control, Feed, Reading


def feed(*templates: str) -> Feed:
    controls = tuple(Control("records", companion=one, match=r"(\d+)") for one in templates)
    return Feed("sales", ("*.csv",), "per-transaction", 0.1, Reading(), {}, controls=controls)


@pytest.mark.parametrize(
    ("template", "name", "companion"),
    [
        ("{stem}.ctl", "sales.csv", "sales.ctl"),
        ("{name}.ok", "sales.csv", "sales.csv.ok"),
        ("{stem}.ctl", "in/sales.csv", "in/sales.ctl"),
        ("control/{stem}.ctl", "in/sales.csv", "control/sales.ctl"),
        ("MANIFEST", "sales.csv", "MANIFEST"),
        ("{stem}.ctl", "a.b.csv", "a.b.ctl"),
    ],
)
def test_a_template_becomes_the_name_of_the_companion(
    template: str, name: str, companion: str
) -> None:
    assert companion_name(template, name) == companion
    assert companion_feed((feed(template),), companion) == "sales:companion"


def test_a_template_said_for_two_figures_is_one_companion() -> None:
    assert companions_of(feed("{stem}.ctl", "{stem}.ctl"), "a.csv") == ("a.ctl",)


@pytest.mark.parametrize("name", ["sales.csv", "sales.ctl.csv", "other/x.txt", "sales[1].ct"])
def test_other_names_are_no_companions(name: str) -> None:
    assert companion_feed((feed("{stem}.ctl"),), name) is None
    assert companion_feed((feed(),), name) is None


def test_wildcards_in_a_template_mean_themselves() -> None:
    assert companion_feed((feed("[x]{stem}.ctl"),), "[x]sales.ctl") == "sales:companion"
    assert companion_feed((feed("[x]{stem}.ctl"),), "xsales.ctl") is None
