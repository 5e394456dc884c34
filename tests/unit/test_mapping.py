"""Feeds: read from TOML, matched by name, carried as JSON, told apart by fingerprint."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.mapping import (
    Computed,
    Constant,
    Feed,
    FromColumn,
    FromFileName,
    Joined,
    Reading,
    SoldAt,
    Source,
    feed_from_json,
    feed_to_json,
    fingerprint,
    match_feed,
    targets,
)
from tilldrop.mapping_toml import read_feed
from tilldrop.rows import TRANSACTIONS

FEED = """
name = "sales"
files = "sales*.csv"
{feed}
[read]
{read}
[map]
location_id = "Branch"
transaction_id = "Id"
{total}
sold_at = {{ date = "Date", format = "D/M/YYYY" }}
{more}
"""


def feed_text(
    feed: str = "", read: str = "", total: str = 'total = "Total"', more: str = ""
) -> str:
    return FEED.format(feed=feed, read=read, total=total, more=more)


def read(text: str) -> Feed:
    complaints: list[tuple[str, str]] = []
    feed = read_feed(tomllib.loads(text), lambda key, what: complaints.append((key, what)))
    assert not complaints
    assert feed
    return feed


def source(line: str, rows: str = "per-transaction") -> Source:
    """Read one line of [map] that stands for the target it names."""
    target = line.partition(" ")[0]
    lines = {
        "location_id": 'location_id = "L"',
        "transaction_id": 'transaction_id = "T"',
        "total": 'total = "A"',
        "sold_at": 'sold_at = { date = "D", format = "iso" }',
    }
    lines[target] = line
    head = f'name = "a"\nfiles = "*"\nrows = "{rows}"\n[map]\n'
    return read(head + "\n".join(lines.values())).sources[target]


def test_what_is_not_said_has_its_default() -> None:
    feed = read(feed_text())
    assert feed == Feed(
        name="sales",
        files=("sales*.csv",),
        rows="per-transaction",
        max_fault_share=0.10,
        reading=Reading(),
        sources={
            "location_id": FromColumn("Branch"),
            "transaction_id": FromColumn("Id"),
            "total": FromColumn("Total"),
            "sold_at": SoldAt("Date", "", ("D/M/YYYY",), ""),
        },
    )


def test_reading_takes_every_setting() -> None:
    written = (
        'encoding = "cp1252"\ndelimiter = "TAB"\nquote = ""\nheader_line = 0\n'
        'decimal = ","\nthousands = " "'
    )
    assert read(feed_text(read=written)).reading == Reading("cp1252", "\t", "", 0, ",", " ")


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ('location_id = "  Branch "', FromColumn("Branch")),
        ('location_id = { column = "Branch" }', FromColumn("Branch")),
        ('location_id = { const = "12" }', Constant("12")),
        (r"location_id = { file_name = 'store-(\d+)' }", FromFileName(r"store-(\d+)")),
        ('transaction_id = { join = ["D", "T"] }', Joined(("D", "T"), "-")),
        ('transaction_id = { join = ["D", "T"], with = "" }', Joined(("D", "T"), "")),
        (
            'sold_at = { date = "D", time = "T", format = ["iso", "D/M/YY H:mm"], zone = "UTC" }',
            SoldAt("D", "T", ("iso", "D/M/YY H:mm"), "UTC"),
        ),
    ],
)
def test_source_in_toml_becomes_this(line: str, made: Source) -> None:
    assert source(line) == made


@pytest.mark.parametrize(
    ("line", "rows", "take"),
    [
        ('total = "A"', "per-line", "sum"),
        ('total = { column = "A", take = "first" }', "per-line", "first"),
        ('total = { expr = "A * B" }', "per-line", "sum"),
        ('total = { expr = "A * B", take = "first" }', "per-line", "first"),
        ('item_count = "N"', "per-line", "sum"),
        ('tender = "P"', "per-line", "first"),
        ('tender = { column = "P", take = "first" }', "per-line", "first"),
        ('total = "A"', "per-transaction", "first"),
        ('total = { expr = "A * B" }', "per-transaction", "first"),
    ],
)
def test_rows_of_one_transaction_are_joined_like_this(line: str, rows: str, take: str) -> None:
    made = source(line, rows)
    assert isinstance(made, FromColumn | Computed)
    assert made.take == take


def test_expression_brings_its_tree_and_columns() -> None:
    made = source('total = { expr = "Qty * [Unit Price]" }')
    assert isinstance(made, Computed)
    assert made.columns == ("Qty", "Unit Price")
    assert made.tree == ("*", ("column", "Qty"), ("column", "Unit Price"))


def test_every_target_fills_a_column_that_exists() -> None:
    assert {target.column for target in targets().values()} <= {
        column.name for column in TRANSACTIONS
    }


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
TAKES = st.sampled_from(["sum", "first"])
SOURCES = st.one_of(
    st.builds(FromColumn, TEXTS, TAKES),
    st.builds(Constant, TEXTS),
    st.builds(FromFileName, TEXTS),
    st.builds(Joined, st.lists(TEXTS).map(tuple), TEXTS),
    st.builds(SoldAt, TEXTS, TEXTS, st.lists(TEXTS).map(tuple), TEXTS),
    st.just(source('total = { expr = "Qty * ([Unit Price] - 0.5)" }', "per-line")),
)
FEEDS = st.builds(
    Feed,
    name=TEXTS,
    files=st.lists(TEXTS).map(tuple),
    rows=st.sampled_from(["per-transaction", "per-line"]),
    max_fault_share=st.floats(0, 1),
    reading=st.builds(Reading, TEXTS, TEXTS, TEXTS, st.integers(), TEXTS, TEXTS),
    sources=st.dictionaries(TEXTS, SOURCES, max_size=4),
)


@given(FEEDS)
def test_feed_survives_json(feed: Feed) -> None:
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


WORDS = """
    name files rows read map total sold_at expr date format take column join const file_name
    location_id encoding quote
"""
JUNK = st.recursive(
    st.one_of(
        st.text("aT(*/[\\é\n\0 ", max_size=5),
        st.integers(-1, 9),
        st.booleans(),
        st.floats(-1, 2),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(["name", "files", "rows", "read", "map", "max_fault_share"]), JUNK
    )
)
def test_any_table_is_a_feed_or_complained_of(raw: dict[str, object]) -> None:
    complaints: list[str] = []
    feed = read_feed(raw, lambda key, what: complaints.append(f"{key}: {what}"))
    assert (feed is None) == bool(complaints)
