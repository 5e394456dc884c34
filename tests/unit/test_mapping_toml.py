"""Feeds as they are written in TOML: what each key becomes, and that no mistake passes."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.feeds import feed_text, read
from tilldrop import sources
from tilldrop.mapping import (
    BLANKS,
    FIND,
    Control,
    Feed,
    Reading,
    Section,
    required_targets,
)
from tilldrop.mapping_toml import read_feed
from tilldrop.mapping_toml_reading import ENCODINGS
from tilldrop.sources import (
    Computed,
    Constant,
    FirstOf,
    FromColumn,
    FromFileName,
    FromFolder,
    FromPreamble,
    Joined,
    Lookup,
    Refined,
    Source,
    Sql,
    When,
)

REFINED = (
    "tender = { column = 'M', match = '(.)', case = 'lower', values.v = 'card',"
    " strict = true, default = 'other' }"
)


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
            "sold_at": When("Date", (), ("D/M/YYYY",)),
        },
    )


def test_reading_takes_every_setting() -> None:
    written = """
        encoding = "cp1252"
        delimiter = "TAB"
        quote = ""
        header_line = 3
        skip_lines = '^(Total|EOF)'
        footer_lines = 2
        fill_down = " Name "
        empty = ["NULL", "-"]
        optional = ["Tip"]
        other_names = { Discount = ["Discnt", "Disc"], Net = "Netto" }
        loose_from = "Address"
        decimal = ","
        thousands = " "
        member = "*.csv"
        sheet = "Sales"
    """
    assert read(feed_text(read=written)).reading == Reading(
        encoding="cp1252",
        delimiter="\t",
        quote="",
        header_line=3,
        skip_lines="^(Total|EOF)",
        footer_lines=2,
        fill_down=("Name",),
        empty=("NULL", "-"),
        optional=("Tip",),
        other_names={"Discount": ("Discnt", "Disc"), "Net": ("Netto",)},
        loose_from="Address",
        decimal=",",
        thousands=" ",
        member="*.csv",
        sheet="Sales",
    )


@pytest.mark.parametrize(
    ("written", "key", "made"),
    [
        ('header_line = "find"', "header_line", FIND),
        ("header_line = 0", "header_line", 0),
        ('columns = ["A", " B "]', "columns", ("A", "B")),
        ('columns = ["A", "B"]', "header_line", 0),
        ("widths = [8, 10, 6]", "widths", (8, 10, 6)),
        ('delimiter = "blanks"', "delimiter", BLANKS),
        ("sheet = 2", "sheet", "2"),
        ('encoding = "Windows-1252"', "encoding", "cp1252"),
        ('encoding = "ISO-8859-1"', "encoding", "latin-1"),
        ('encoding = "UTF8"', "encoding", "utf-8"),
        ('encoding = "utf-8-sig"', "encoding", "utf-8"),
        ('encoding = "sjis"', "encoding", "shift_jis"),
    ],
)
def test_setting_of_reading_becomes_this(written: str, key: str, made: object) -> None:
    assert getattr(read(feed_text(read=written)).reading, key) == made


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_one_that_python_decodes(encoding: str) -> None:
    assert read(feed_text(read=f'encoding = "{encoding}"')).reading.encoding == encoding
    assert "A,1".encode(encoding).decode(encoding) == "A,1"


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ('location_id = "  Branch "', FromColumn("Branch")),
        ('location_id = { column = "Branch" }', FromColumn("Branch")),
        ('location_id = { const = "12" }', Constant("12")),
        (r"location_id = { file_name = 'store-(\d+)' }", FromFileName(r"store-(\d+)")),
        (r"location_id = { folder = '(\d+)' }", FromFolder(r"(\d+)")),
        (r"location_id = { preamble = 'Store:,(\d+)' }", FromPreamble(r"Store:,(\d+)")),
        ('tender = { first_of = ["Card", "Method"] }', FirstOf(("Card", "Method"))),
        (
            REFINED,
            Refined(FromColumn("M"), "(.)", "lower", {"v": "card"}, strict=True, default="other"),
        ),
        ('location_id = { column = "L", default = "1" }', Refined(FromColumn("L"), default="1")),
        ('tip = { column = "T", default = "0" }', Refined(FromColumn("T"), default="0")),
        ('tip = { const = "-1.50" }', Constant("-1.50")),
        (
            'total = { expr = "A * 2", empty = "0" }',
            sources.compute("A * 2", "first", empty_is_zero=True),
        ),
        (
            'sold_at = { date = "D", time = ["H", "M"], format = "YYYY-MM-DD H:mm" }',
            When("D", ("H", "M"), ("YYYY-MM-DD H:mm",)),
        ),
        (
            'sold_at = { date = "D", format = "iso", zone = { column = "Z" } }',
            When("D", (), ("iso",), zone_column="Z"),
        ),
        (
            'sold_at = { file_name = \'(.+)\', time = "T", format = "YYYYMMDD HH:mm" }',
            When("", ("T",), ("YYYYMMDD HH:mm",), given=FromFileName("(.+)")),
        ),
        (
            "business_date = { preamble = 'Day (.+)', format = \"iso\" }",
            When("", (), ("iso",), given=FromPreamble("Day (.+)")),
        ),
        ('transaction_id = { join = ["D", "T"] }', Joined(("D", "T"), "-")),
        ('transaction_id = { join = ["D", "T"], with = "" }', Joined(("D", "T"), "")),
        (
            'sold_at = { date = "D", time = "T", format = ["iso", "D/M/YY H:mm"], zone = "UTC" }',
            When("D", ("T",), ("iso", "D/M/YY H:mm"), "UTC"),
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


def test_whole_feed_is_read() -> None:
    feed = read(
        feed_text(
            feed="""
            max_fault_share = 0.5
            rows = "mixed"
            partial = true
            key = ["location_id", "business_date", "register_id", "transaction_id"]
            skip = { " Status " = ["Voided", ""] }
            only = { Type = "Sale" }
            signs = "by-kind"
            day_starts_at = "04:30"
            complete = "day"
            older = "ignore"
            history = true
            extra = "all"
            mode = "sandbox"
            backfill = true
            not_cards = [" Order Ref "]
            """,
            read="footer_lines = 1",
            more="""
            kind = "Type"
            register_id = "Till"
            as_of = { date = "Written", format = "iso" }
            [map.where]
            "Line Type" = ["Sale"]
            [[taxes]]
            amount = "VAT"
            [columns]
            price = { lookup = "products.price", by = "Item" }
            cents = { sql = "upper(price)" }
            [control]
            records = { line = '^T;([0-9]+)' }
            total = { file_name = '_([0-9.]+)' }
            transactions = { companion = "{stem}.ctl", match = 'count=([0-9]+)' }
            """,
        )
    )
    assert (feed.rows, feed.partial, feed.is_grouped) == ("mixed", True, True)
    assert feed.key == ("location_id", "business_date", "register_id", "transaction_id")
    assert (feed.skip, feed.only) == ({"Status": ("Voided", "")}, {"Type": ("Sale",)})
    assert feed.where == {"Line Type": ("Sale",)}
    assert (feed.signs, feed.day_starts_at_min, feed.complete) == ("by-kind", 270, "day")
    assert (feed.older, feed.history, feed.extra) == ("ignore", True, "all")
    assert (feed.mode, feed.backfill) == ("sandbox", True)
    assert feed.not_cards == ("Order Ref",)
    assert feed.columns == {
        "price": Lookup("products", "price", "Item"),
        "cents": Sql("upper(price)", ("price",)),
    }
    assert feed.controls == (
        Control("records", line="^T;([0-9]+)"),
        Control("transactions", companion="{stem}.ctl", match="count=([0-9]+)"),
        Control("total", file_name="_([0-9.]+)"),
    )
    plain = read(feed_text())
    elsewhere = {"preset", "number_repeats", "table"}
    defaults = {field.name: getattr(plain, field.name) for field in fields(Feed)}
    said = {name for name, default in defaults.items() if getattr(feed, name) != default}
    assert said | elsewhere >= defaults.keys() - {"name", "files"}


def test_lines_tenders_and_taxes_are_sections_in_this_order() -> None:
    feed = read(
        feed_text(
            more="""
            [[taxes]]
            repeat = 3
            name = "Tax {n} Name"
            amount = { expr = "[Tax {n} Value] * 1" }
            where = { "Has Tax {n}" = ["yes", "{n}"] }
            once = true
            [[tenders]]
            method = { const = "cash" }
            amount = "Cash"
            [[tenders]]
            method = { const = "card" }
            amount = "Card"
            [line_items]
            quantity = "Qty"
            where = { Type = "Item" }
            """
        )
    )
    assert [section.table for section in feed.sections] == [
        "line_items",
        *["tenders"] * 2,
        *["taxes"] * 3,
    ]
    assert feed.sections[0] == Section(
        "line_items", {"quantity": FromColumn("Qty")}, {"Type": ("Item",)}
    )
    assert feed.sections[2].sources == {"method": Constant("card"), "amount": FromColumn("Card")}
    assert feed.sections[4] == Section(
        "taxes",
        {
            "name": FromColumn("Tax 2 Name"),
            "amount": sources.compute("[Tax 2 Value] * 1", "first"),
        },
        {"Has Tax 2": ("yes", "2")},
        once=True,
    )


def test_column_of_a_section_is_never_summed() -> None:
    feed = read(feed_text(feed='rows = "per-line"', more='[line_items]\namount = "Price"'))
    assert feed.sections[0].sources["amount"] == FromColumn("Price", "first")
    assert feed.sources["total"] == FromColumn("Total", "sum")


def test_ids_that_repeat_are_numbered_on_demand() -> None:
    text = feed_text().replace('"Id"', '{ join = ["A", "B"], number_repeats = true }')
    assert read(text).number_repeats
    assert not read(feed_text()).number_repeats


@pytest.mark.parametrize(
    ("table", "needed"),
    [
        ("products", ("product_id",)),
        ("shoppers", ("shopper_id",)),
        ("stock_levels", ("location_id", "product_id")),
        ("locations", ("location_id",)),
    ],
)
def test_master_file_needs_its_key_alone(table: str, needed: tuple[str, ...]) -> None:
    mapped = "\n".join(f'{target} = "{target}"' for target in needed)
    head = f'name = "a"\nfiles = "*"\ntable = "{table}"\ncomplete = "all"\n[map]\n'
    feed = read(head + mapped)
    assert required_targets(feed) == needed
    assert feed.complete == "all"


def test_partial_feed_needs_ids_alone() -> None:
    head = 'name = "a"\nfiles = "*"\npartial = true\n[map]\n'
    feed = read(head + 'location_id = "L"\ntransaction_id = "T"')
    assert required_targets(feed) == ("location_id", "transaction_id")


WORDS = """
    name files rows read map total sold_at expr date format take column join const file_name
    location_id transaction_id encoding quote where repeat once amount method lookup sql by
    values default match case strict zone time first_of folder preamble line companion records
    table key skip only signs
"""
JUNK = st.recursive(
    st.one_of(
        st.text("aT(*/[\\é\n\0 {n}", max_size=5),
        st.sampled_from(["products", "products.price", "kind", "transaction_id", "iso"]),
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
TOP = """
    name files rows read map max_fault_share table key skip only columns control taxes line_items
    preset day_starts_at signs older complete
"""


@given(st.dictionaries(st.sampled_from(TOP.split()), JUNK, max_size=5))
def test_any_table_is_a_feed_or_complained_of(raw: dict[str, object]) -> None:
    complaints: list[str] = []
    feed = read_feed(raw, lambda key, what: complaints.append(f"{key}: {what}"))
    assert (feed is None) == bool(complaints)
