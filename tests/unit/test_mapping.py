"""Feeds: matched by name, carried as JSON, told apart by fingerprint; what each needs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds import feed_text, read
from tilldrop import sources
from tilldrop.mapping import (
    Control,
    Feed,
    Reading,
    Section,
    feed_from_json,
    feed_to_json,
    fingerprint,
    is_plain,
    match_feed,
    targets,
)
from tilldrop.mapping_columns import columns_needed, settled_header
from tilldrop.rows import TABLES
from tilldrop.sources import (
    Constant,
    FirstOf,
    FromColumn,
    FromFileName,
    FromFolder,
    FromPreamble,
    Joined,
    Lookup,
    Refined,
    Sql,
    When,
)


@pytest.mark.parametrize("table", TABLES)
def test_every_target_fills_a_column_that_exists(table: str) -> None:
    known = {column.name for column in TABLES[table]}
    assert {target.column for target in targets(table).values()} <= known


@pytest.mark.parametrize("table", TABLES)
def test_no_target_is_called_like_a_setting(table: str) -> None:
    assert not {"where", "repeat", "once"} & targets(table).keys()


def test_total_is_written_without_the_word_minor() -> None:
    assert targets()["total"].column == "total_minor"


@pytest.mark.parametrize(
    ("patterns", "name", "taken"),
    [
        (("sales*.csv",), "sales-1.csv", True),
        (("sales*.csv",), "SALES-1.CSV", True),
        (("Sales*.csv",), "sales.csv", True),
        (("sales*.csv",), "sales.csv.bak", False),
        (("sales*.csv",), "daily/sales.csv", False),
        (("*",), "daily/sales.csv", False),
        (("daily/*",), "daily/sales.csv", True),
        (("daily/*",), "daily/", True),
        (("daily/*",), "daily/old/sales.csv", False),
        (("daily/*.csv",), "Daily/A.csv", True),
        (("till-[12].csv",), "till-2.csv", True),
        (("till-[12].csv",), "till-3.csv", False),
        (("till-?.csv",), "till-10.csv", False),
        (("a.csv", "b.csv"), "b.csv", True),
        (("caf\u00e9.csv",), "cafe\u0301.csv", True),
    ],
)
def test_pattern_takes_name(patterns: tuple[str, ...], name: str, taken: bool) -> None:  # noqa: FBT001
    feed = replace(read(feed_text()), files=patterns)
    assert match_feed((feed,), name) is (feed if taken else None)


def test_first_feed_that_takes_a_name_gets_it() -> None:
    feed = read(feed_text())
    narrow, wide = replace(feed, files=("b*",)), replace(feed, name="all", files=("*",))
    assert match_feed((narrow, wide), "a") is wide
    assert match_feed((narrow, wide), "b") is narrow


TEXTS = st.text('ab"\\é\n\0 ', max_size=12)
SEVERAL = st.lists(TEXTS, max_size=3).map(tuple)
CONDITIONS = st.dictionaries(TEXTS, SEVERAL, max_size=2)
EXPRESSIONS = st.sampled_from(["A", "A - -A", "Qty * ([Unit Price] - 0.5)"])
PLAIN_SOURCES = st.one_of(
    st.builds(FromColumn),
    st.builds(FirstOf, SEVERAL),
    st.builds(Constant, TEXTS),
    st.builds(FromFileName, TEXTS),
    st.builds(FromFolder, TEXTS),
    st.builds(FromPreamble, TEXTS),
    st.builds(Joined, SEVERAL, TEXTS),
    st.builds(
        sources.compute, EXPRESSIONS, st.sampled_from(["sum", "first"]), empty_is_zero=st.booleans()
    ),
    st.from_type(When),
)
SOURCES = st.dictionaries(
    TEXTS, st.one_of(PLAIN_SOURCES, st.builds(Refined, PLAIN_SOURCES, TEXTS)), max_size=4
)
FEEDS = st.builds(
    Feed,
    sources=SOURCES,
    max_fault_share=st.floats(0, 1),
    columns=st.dictionaries(TEXTS, st.builds(Lookup) | st.builds(Sql, TEXTS, SEVERAL), max_size=2),
    where=CONDITIONS,
    sections=st.lists(st.builds(Section, TEXTS, SOURCES, CONDITIONS), max_size=2).map(tuple),
    controls=st.lists(st.builds(Control, TEXTS, TEXTS), max_size=2).map(tuple),
)


@given(FEEDS)
def test_feed_survives_json(feed: Feed) -> None:
    assert feed_from_json(json.loads(json.dumps(feed_to_json(feed)))) == feed


def test_column_called_is_survives_json() -> None:
    feed = replace(read(feed_text()), skip={"is": ("x",)}, columns={"is": Lookup("a", "b", "c")})
    assert feed_from_json(json.loads(json.dumps(feed_to_json(feed)))) == feed


def changed(**parts: str) -> str:
    return fingerprint(read(feed_text(**parts)), "Europe/Paris", "EUR")


def test_same_mapping_has_the_same_fingerprint() -> None:
    assert changed() == changed(read="# a comment\ndelimiter = ','")


@pytest.mark.parametrize(
    "parts",
    [
        {"feed": 'rows = "per-line"'},
        {"feed": "max_fault_share = 0.2"},
        {"read": 'decimal = ","'},
        {"total": 'total = "Sum"'},
        {"total": 'total = { expr = "Total" }'},
        {"more": 'tax = "VAT"'},
        {"more": 'tax = { column = "VAT", default = "0" }'},
        {"feed": "skip = { A = 'x' }"},
        {"feed": "history = true"},
        {"read": "empty = 'NULL'"},
        {"more": "[[taxes]]\namount = 'VAT'"},
        {"more": "[control]\nrecords = { line = '(.)' }"},
    ],
    ids=str,
)
def test_whatever_changes_the_rows_changes_the_fingerprint(parts: dict[str, str]) -> None:
    assert changed(**parts) != changed()


def test_zone_and_currency_are_in_the_fingerprint() -> None:
    feed = read(feed_text())
    prints = {
        fingerprint(feed, zone, currency)
        for zone in ("Europe/Paris", "Europe/Oslo")
        for currency in ("EUR", "USD")
    }
    assert len(prints) == 4


def test_file_patterns_are_not_in_the_fingerprint() -> None:
    feed = read(feed_text())
    renamed = replace(feed, files=("other*.csv",))
    assert fingerprint(feed, "UTC", "EUR") == fingerprint(renamed, "UTC", "EUR")


def test_whatever_a_feed_reads_is_needed_of_a_file() -> None:
    feed = read(
        feed_text(
            feed='skip = { Status = "x" }',
            read='fill_down = "Name"\noptional = ["tip"]',
            total='total = { expr = "price * Qty" }',
            more="""
            tip = "Tip"
            [columns]
            price = { lookup = "products.price", by = "Item" }
            [[taxes]]
            repeat = 2
            amount = "Tax {n}"
            where = { Kind = "tax" }
            """,
        )
    )
    assert set(columns_needed(feed)) == {
        *("Branch", "Id", "Date", "Qty", "Item", "Status", "Name", "Kind", "Tax 1", "Tax 2")
    }


def test_column_goes_by_another_name_if_it_is_not_there_itself() -> None:
    reading = Reading(other_names={"Discount": ("Discnt", "Disc")})
    assert settled_header(("Id", "disc ", "Discnt"), reading) == ("Id", "disc ", "Discount")
    assert settled_header(("Discnt", "Discount"), reading) == ("Discnt", "Discount")


@pytest.mark.parametrize(
    ("parts", "plain"),
    [
        ({}, True),
        ({"read": 'delimiter = ";"\nencoding = "utf-16"'}, True),
        ({"feed": 'rows = "per-line"'}, True),
        ({"feed": "skip = { A = 'x' }"}, False),
        ({"more": "tip = { column = 'Tip', default = '0' }"}, False),
        ({"more": "[[taxes]]\namount = 'VAT'\nwhere = { A = 'x' }"}, False),
    ],
    ids=str,
)
def test_plain_feed_says_nothing_that_only_the_careful_lane_reads(
    parts: dict[str, str],
    plain: bool,  # noqa: FBT001
) -> None:
    assert is_plain(read(feed_text(**parts))) is plain
