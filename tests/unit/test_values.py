from __future__ import annotations

import re
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilldrop import expression
from tilldrop.importer import values
from tilldrop.importer.values import NumberForm

POINT = NumberForm(".", "", "EUR")
ENGLISH = NumberForm(".", ",", "USD")
GERMAN = NumberForm(",", ".", "EUR")
FRENCH = NumberForm(",", " ", "EUR")
SWISS = NumberForm(".", "'", "CHF")


@pytest.mark.parametrize(
    ("form", "cell", "number"),
    [
        (POINT, "12.50", "12.50"),
        (POINT, "-12.50", "-12.50"),
        (POINT, "+12", "12"),
        (POINT, ".5", "0.5"),
        (POINT, "5.", "5"),
        (POINT, "0012", "12"),
        (POINT, "1234567890123456789.123456789", "1234567890123456789.123456789"),
        (POINT, "€12.50", "12.50"),
        (POINT, "12.50 €", "12.50"),
        (POINT, "12.50\u00a0EUR", "12.50"),
        (POINT, "eur 12", "12"),
        (POINT, "$ -12", "-12"),
        (POINT, "-$12", "-12"),
        (POINT, "12 € -", "-12"),
        (POINT, "12- EUR", "-12"),
        (POINT, "R$ 7", "7"),
        (POINT, "49 kr", "49"),
        (POINT, "(12.50)", "-12.50"),
        (POINT, "($12.50)", "-12.50"),
        (POINT, "$(12.50)", "-12.50"),
        (POINT, "(12.50) EUR", "-12.50"),
        (POINT, "( 12.50 € )", "-12.50"),
        (POINT, "12.50-", "-12.50"),
        (POINT, "\u221212.50", "-12.50"),
        (ENGLISH, "1,234,567.89", "1234567.89"),
        (ENGLISH, "1234.5", "1234.5"),
        (GERMAN, "1.234,50", "1234.50"),
        (GERMAN, "-1.234,50 €", "-1234.50"),
        (FRENCH, "1\u202f234\u00a0567,89", "1234567.89"),
        (SWISS, "1\u2019234.50", "1234.50"),
    ],
)
def test_amounts_are_read_exactly(form: NumberForm, cell: str, number: str) -> None:
    assert form.read(cell) == Decimal(number)


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (POINT, cell)
        for cell in (
            *("", ".", "-", "x", "1e3", "1_000", "nan", "inf", "0x10", "12 50", "1,234", "1,5"),
            *("--1", "-1-", "(-1)", "-(1)", "(1", "1)", "$1$", "USD 1", "1 %", "1/2", "\u0663"),
            *("€ $ 1", "1.2.3", "9" * 31),
        )
    ]
    + [
        (ENGLISH, cell)
        for cell in ("1,23", "12,34,567", "0,123", "1234,567", ",123", "1,234,56", "1,2345")
    ]
    + [(GERMAN, "1.5"), (FRENCH, "1 23"), (FRENCH, "1  234")],
)
def test_what_is_not_surely_an_amount_is_refused(form: NumberForm, cell: str) -> None:
    assert form.read(cell) is None


@settings(deadline=None)
@given(
    st.decimals(-(10**12), 10**12, places=3),
    st.sampled_from([("", ""), ("€", ""), ("", " EUR"), ("  ", "\u00a0")]),
)
def test_every_amount_is_read_as_written(number: Decimal, around: tuple[str, str]) -> None:
    written = f"{number:,}".replace(",", " ").replace(".", ",")
    before, after = around
    assert FRENCH.read(values.bare(before + written + after)) == number


@pytest.mark.parametrize("form", [POINT, ENGLISH, GERMAN, FRENCH, SWISS], ids=str)
def test_both_engines_take_the_number_pattern(form: NumberForm) -> None:
    with duckdb.connect() as con:
        sql = "SELECT regexp_full_match(?, ?)"
        for cell in ("-$12", "(12 €)", "x", "12.5", "1 234,5", "\u22127"):
            pattern = form.pattern()
            found = con.execute(sql, [cell, pattern]).fetchall()[0][0]
            assert found == bool(re.fullmatch(pattern, cell)), cell


@pytest.mark.parametrize(
    ("amount", "digits", "minor"),
    [
        ("0.005", 2, 1),
        ("-0.005", 2, -1),
        ("0.00499999999", 2, 0),
        ("2.675", 2, 268),
        ("99.5", 0, 100),
        ("1.0005", 3, 1001),
        ("9999999999999.994", 2, 999999999999999),
        ("9999999999999.995", 2, None),
        ("1e4000", 2, None),
        ("-0.00", 2, 0),
    ],
)
def test_amounts_are_rounded_half_away_from_zero(
    amount: str, digits: int, minor: int | None
) -> None:
    assert values.to_minor(Decimal(amount), digits) == minor


def test_expressions_are_computed_exactly() -> None:
    parsed = expression.parse("Qty * [Unit Price] * (1 - Discount) + -Fee")
    assert isinstance(parsed, expression.Expression)
    cells = {"Qty": "3", "Unit Price": "0.1", "Discount": "0.000000000000000000001", "Fee": "0.3"}
    made = values.compute(parsed.tree, lambda name: Decimal(cells[name]))
    assert made == Decimal("-0.0000000000000000000003")


# What is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\x00", "two\\nlines\\x00"),
        ("\u202eright to left", "\\u202eright to left"),
        ("x" * 61, "x" * 59 + "\u2026"),
        ("4111111111111111", "411111******1111"),
        ("x" * 50 + " 4111111111111111", "x" * 50 + " 411111**\u2026"),
    ],
)
def test_what_is_shown_is_short_visible_and_masked(text: str, shown: str) -> None:
    assert values.shorten(text) == shown
