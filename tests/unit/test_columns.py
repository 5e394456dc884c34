"""Columns that a mapping adds: prices from a product file, expressions, what goes wrong in them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.jobs import FEED, Place
from tilldrop.importer import columns
from tilldrop.importer.columns import Columns, ColumnsFailed
from tilldrop.importer.records import Record
from tilldrop.importer.stage import Clean
from tilldrop.importer.worker import run_job
from tilldrop.mapping import Feed, Reading
from tilldrop.rows import Fault
from tilldrop.sources import FromColumn, Lookup, Sql, compute

if TYPE_CHECKING:
    from pathlib import Path

PRICES = {("products", "price"): {"A1": "2.50", "B2": ""}, ("products", "name"): {"A1": "Tea"}}


def read_lookup(table: str, value: str) -> dict[str, str]:
    return PRICES[table, value]


def clean(path: Path, *header: str) -> Clean:
    return Clean(
        path=path,
        header=header,
        first_record_line=2,
        data_offset=0,
        records=0,
        odd=False,
        quoted=False,
        has_odd_blanks=False,
        warnings=(),
    )


def widen(
    tmp_path: Path,
    added: dict[str, Lookup | Sql],
    header: tuple[str, ...],
    *rows: list[str],
    reading: Reading | None = None,
) -> list[Record]:
    feed = replace(FEED, columns=added, reading=reading or Reading())
    records = (Record(line, ",".join(cells), cells) for line, cells in enumerate(rows, 2))
    return list(Columns(feed, clean(tmp_path, *header), read_lookup).widen(records))


def test_value_is_looked_up_by_the_key_in_the_record(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {
        "price": Lookup("products", "price", "Item"),
        "name": Lookup("products", "name", "item "),
    }
    records = widen(tmp_path, added, ("No", "Item"), ["1", " A1 "], ["2", ""])
    assert [one.cells for one in records] == [["1", " A1 ", "2.50", "Tea"], ["2", "", "", ""]]


def test_key_that_no_master_file_had_breaks_the_record(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {"price": Lookup("products", "price", "Item")}
    first, second, third = widen(tmp_path, added, ("Item",), ["A1"], ["Z9"], ["B2"])
    assert first.broken is None
    assert second.broken == Fault("lookup-missing", 3, "Item", "Z9")
    assert (third.broken, third.cells) == (None, ["B2", ""])


def test_amount_is_written_as_the_file_writes_its_own(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {
        "price": Lookup("products", "price", "Item"),
        "twice": Sql("replace(price, ',', '.')::DECIMAL(9, 2) * 2", ("price",)),
        "text": Sql("'1.5' || Item", ("Item",)),
    }
    (record,) = widen(tmp_path, added, ("Item",), ["A1"], reading=Reading(decimal=","))
    assert record.cells == ["A1", "2,50", "5,00", "1.5A1"]


def test_expression_sees_bare_texts_and_no_value_where_a_cell_is_empty(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {
        "b": Sql("coalesce(\"Till No\", 'none') || '/' || length(\"Till No\")", ("Till No",)),
        "c": Sql("upper(coalesce(b, 'empty'))", ("b",)),
    }
    records = widen(tmp_path, added, ("Till No",), ["  x y\u00a0"], ["  "])
    assert [one.cells[1:] for one in records] == [["x y/3", "X Y/3"], ["", "EMPTY"]]


def test_added_column_stands_before_one_of_the_file_with_its_name(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {
        "till": Sql("upper(Till)", ("Till",)),
        "again": Sql("till || till", ("till",)),
    }
    (record,) = widen(tmp_path, added, ("Till",), ["a"])
    assert record.cells == ["a", "A", "AA"]


def test_column_that_the_file_may_lack_is_empty(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {
        "a": Sql("coalesce(Gone, '-')", ("Gone",)),
        "b": Lookup("products", "price", "Gone"),
    }
    (record,) = widen(tmp_path, added, ("Till",), ["x"])
    assert record.cells == ["x", "-", ""]


def test_record_that_cannot_be_worked_out_is_broken_and_the_others_are_not(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {"n": Sql("(Qty::INT + Qty::INT) * 2", ("Qty",))}
    records = widen(tmp_path, added, ("Qty",), ["two"], ["1"], [""], ["4"])
    assert [one.cells[1] for one in records] == ["", "4", "", "16"]
    failed = Fault("sql-failed", 2, "n", "Qty two")
    assert [one.broken for one in records] == [failed, None, None, None]


def test_broken_record_stays_as_it_was_and_is_not_worked_out(tmp_path: Path) -> None:
    feed = replace(FEED, columns={"n": Sql("Qty::INT", ("Qty",))})
    broken = Fault("field-count", 2, seen="1 field where 2 are expected")
    records = iter([Record(2, "x", ["x"], broken), Record(3, "1,y", ["1", "y"])])
    first, second = Columns(feed, clean(tmp_path, "Qty", "B"), read_lookup).widen(records)
    assert (first.broken, len(first.cells)) == (broken, 3)
    assert second.cells == ["1", "y", "1"]


def test_card_number_in_a_failed_expression_is_masked(tmp_path: Path) -> None:
    added: dict[str, Lookup | Sql] = {"n": Sql("Qty::TINYINT", ("Qty",))}
    (record,) = widen(tmp_path, added, ("Qty",), ["4111111111111111"])
    assert record.broken is not None
    assert record.broken.seen == "Qty 411111******1111"


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT content FROM read_text('/etc/passwd')) || Qty",
        "getenv('HOME') || Qty",
        "Qty) FROM read_text('/etc/passwd') --",
    ],
)
def test_expression_that_was_never_checked_is_checked_here(tmp_path: Path, text: str) -> None:
    with pytest.raises(ColumnsFailed) as failed:
        widen(tmp_path, {"n": Sql(text, ("Qty",))}, ("Qty",), ["1"])
    assert failed.value.fault.code == "sql-failed"


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT content FROM read_text('{secret}')) || Qty",
        "Qty) AS VARCHAR)), true FROM read_text('{secret}') --",
    ],
)
def test_with_the_check_taken_away_the_connection_still_gives_nothing(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the secret")
    monkeypatch.setattr("tilldrop.sql_expression.check", lambda _text: (("Qty",), ""))
    sql = Sql(text.format(secret=secret), ("Qty",))
    with pytest.raises(ColumnsFailed) as failed:
        widen(tmp_path, {"n": sql}, ("Qty",), ["1"])
    assert "the secret" not in failed.value.fault.seen


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.sampled_from(["", "1", "23", "x", " 7 "]), max_size=40))
def test_batches_make_no_difference(
    rows: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp()
    feed = replace(FEED, columns={"n": Sql("Qty::INT + 1", ("Qty",))})
    added = Columns(feed, clean(path, "Qty"), read_lookup)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BATCH_RECORDS", 3)
        found = list(added.widen(Record(line, cell, [cell]) for line, cell in enumerate(rows)))
    assert [one.line for one in found] == list(range(len(rows)))
    for one in found:
        cell = one.cells[0].strip()
        wanted = str(int(cell) + 1) if cell.isdigit() else ""
        assert one.cells[1] == wanted
        assert (one.broken is not None) == (cell == "x")


# In a whole run

PRODUCTS = Feed(
    name="products",
    files=("products*.csv",),
    rows="per-transaction",
    max_fault_share=0.1,
    reading=Reading(),
    table="products",
    sources={"product_id": FromColumn("Id"), "price": FromColumn("Price")},
)
PRICED = replace(
    FEED,
    columns={
        "price": Lookup("products", "price", "Item"),
        "shop": Sql("lpad(Store, 3, '0')", ("Store",)),
    },
    sources={
        **FEED.sources,
        "location_id": FromColumn("shop"),
        "total": compute("Qty * price", "sum"),
    },
)
SOLD = (
    "Store,No,When,Item,Qty,Card\n1,1,2026-01-05 13:08,A1,3,card\n1,2,2026-01-05 13:08,A1,1,card\n"
)


def test_sale_is_priced_by_the_product_file_that_came_before(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    run_job(place.job("Id,Price\nA1,2.35\n", feed=PRODUCTS, name="products.csv"))
    report = run_job(place.job(SOLD, seq=2, feed=PRICED))
    assert (report.outcome, report.total_minor) == ("imported", int(Decimal("9.40") * 100))
    assert place.read("SELECT location_id, total_minor FROM transactions") == [
        ("001", 705),
        ("001", 235),
    ]


def test_sale_of_an_unknown_product_is_refused_and_can_be_replayed_later(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    feed = replace(PRICED, max_fault_share=1.0)
    report = run_job(place.job(SOLD, feed=feed))
    assert [(one.code, one.line) for one in report.faults] == [
        ("lookup-missing", 2),
        ("lookup-missing", 3),
    ]
    run_job(place.job("Id,Price\nA1,2.35\n", seq=2, feed=PRODUCTS, name="products.csv"))
    again = run_job(replace(place.job(SOLD, feed=feed), run=2))
    assert (again.counts.inserted, again.fault_count) == (2, 0)


def test_expression_that_is_not_allowed_rejects_the_file(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    feed = replace(PRICED, columns={**PRICED.columns, "shop": Sql("getenv(Store)", ("Store",))})
    report = run_job(place.job(SOLD, feed=feed))
    assert (report.outcome, report.reason) == ("rejected", "sql-failed")
    assert report.reason_seen == "the function getenv is not allowed"
