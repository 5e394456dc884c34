"""What a later delivery does to the rows of earlier ones, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest

from tests.unit.bookings import Kind, Row, Sent, Till, copy_of_fresh
from tests.unit.test_undo import sale
from tilldrop.importer.memory import Memory, Remember
from tilldrop.importer.store_standing import Booked
from tilldrop.rows import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = {"line_items": ("sku", "amount_minor"), "taxes": ("amount_minor",)}
SALES = Kind(columns=("business_date", "total_minor"), children=LINES)
ORDERS = replace(SALES, name="orders", shares=True)
PAYMENTS = Kind("payments", ("tip_minor",), {"tenders": ("method", "amount_minor")}, shares=True)
PRODUCTS = Kind("products", ("name", "price_minor"), table="products")


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    with duckdb.connect() as con:
        till = Till(copy_of_fresh(tmp_path, "data.db"), con)
        yield till
        till.close()


def paid(number: str, *amounts: int) -> Row:
    tenders = [{"method": "card", "amount_minor": amount} for amount in amounts]
    return {"location_id": "1", "transaction_id": number, "tip_minor": 5, "tenders": tenders}


def product(number: str, price: int) -> Row:
    return {"product_id": number, "name": number.upper(), "price_minor": price}


def lines(till: Till) -> list[tuple[object, ...]]:
    sql = "SELECT transaction_id, line_number, amount_minor, delivery, line FROM line_items"
    return till.read(sql)


def gone(till: Till, table: str = "transactions") -> list[tuple[object, ...]]:
    name = "product_id" if table == "products" else "transaction_id"
    return till.read(f"SELECT {name}, gone_in FROM {table} ORDER BY {name}")


def test_lines_are_replaced_as_a_whole(till: Till) -> None:
    till.book(Sent(1, SALES, (sale("a", 100, 50, 30, 20), sale("b", 7, 7))))
    booked = till.book(Sent(2, SALES, (sale("a", 100, 50, 50),)))
    assert booked == Booked(unchanged=1, child_rows={"line_items": 2, "taxes": 0})
    assert lines(till) == [("a", 1, 50, "d1", 2), ("a", 2, 50, "d2", 2), ("b", 1, 7, "d1", 3)]
    till.book(Sent(3, SALES, (sale("a", 100),)))
    assert lines(till) == [("b", 1, 7, "d1", 3)]


def test_line_column_that_is_no_longer_mapped_becomes_empty(till: Till) -> None:
    till.book(Sent(1, SALES, (sale("a", 100, 50),)))
    bare = replace(SALES, children={"line_items": ("amount_minor",)})
    till.book(Sent(2, bare, (sale("a", 100, 50),)))
    assert till.read("SELECT sku, amount_minor FROM line_items") == [(None, 50)]


def test_tables_that_a_feed_does_not_map_are_left_alone(till: Till) -> None:
    till.book(Sent(1, ORDERS, (sale("a", 100, 100),)))
    till.book(Sent(2, PAYMENTS, (paid("a", 60, 40),)))
    till.book(Sent(3, ORDERS, (sale("a", 120, 120),)))
    assert till.state() == {
        ("1", "a"): {
            "arrival_seq": 3,
            "business_date": "2026-01-05",
            "total_minor": 120,
            "tip_minor": 5,
            "line_items": [{"sku": "a", "amount_minor": 120}],
            "tenders": [
                {"method": "card", "amount_minor": 60},
                {"method": "card", "amount_minor": 40},
            ],
        }
    }


def test_payments_may_come_before_their_orders(till: Till) -> None:
    assert till.book(Sent(1, PAYMENTS, (paid("a", 60),))).inserted == 1
    assert till.read("SELECT total_minor, kind, currency FROM transactions") == [(None, None, None)]
    assert till.book(Sent(2, ORDERS, (sale("a", 60),))).updated == 1
    assert till.read("SELECT total_minor, tip_minor FROM transactions") == [(60, 5)]


def test_partial_feed_leaves_alone_what_it_cannot_know(till: Till) -> None:
    till.book(Sent(1, ORDERS, ({**sale("a", 100), "kind": "sale"},)))
    derived = ("sold_at", "business_date", "kind", "currency", "total_minor")
    kind = replace(PAYMENTS, columns=(*derived, "tip_minor"))
    feed = replace(PAYMENTS.feed(), partial=True)
    staged = till.stage(Sent(2, kind, (paid("a", 60),)))
    job = till.job(Sent(2, kind, ()))
    done = Report("d2", 1, "imported")
    till.store.book(job, staged, lambda _: done, feed)
    assert till.read("SELECT business_date, total_minor, tip_minor FROM transactions") == [
        ("2026-01-05", 100, 5)
    ]


def test_older_files_of_a_feed_that_was_configured_later_fill_their_columns(till: Till) -> None:
    alone = replace(ORDERS, shares=False)
    till.book(Sent(1, alone, (sale("a", 100, 100),)))
    till.book(Sent(3, alone, (sale("a", 100, 100),)))
    booked = till.book(Sent(2, PAYMENTS, (paid("a", 60),)))
    assert booked.updated == 1
    assert till.read("SELECT total_minor, tip_minor, arrival_seq FROM transactions") == [
        (100, 5, 3)
    ]
    assert till.read("SELECT amount_minor FROM tenders") == [(60,)]


def test_rows_of_the_first_release_are_taken_as_filled_whole(till: Till) -> None:
    till.book(Sent(3, replace(ORDERS, shares=False), (sale("a", 100),)))
    till.close()
    till.store.connection.execute("UPDATE deliveries SET set_id = NULL")
    till.store.connection.execute("DELETE FROM column_sets")
    booked = till.book(Sent(2, PAYMENTS, (paid("a", 60),)))
    assert (booked.superseded, booked.updated) == (0, 0)
    assert till.read("SELECT total_minor, tip_minor FROM transactions") == [(100, None)]
    assert till.read("SELECT amount_minor FROM tenders") == [(60,)]


def test_transaction_that_a_whole_day_lacks_is_gone_until_it_is_stated_again(till: Till) -> None:
    whole = replace(SALES, complete="day")
    other_day = {**sale("c", 3), "business_date": "2026-01-06"}
    elsewhere = {**sale("d", 4), "location_id": "2"}
    till.book(Sent(1, whole, (sale("a", 1), sale("b", 2), other_day, elsewhere)))
    assert till.book(Sent(2, whole, (sale("a", 1),))).gone == 1
    assert gone(till) == [("a", None), ("b", "d2"), ("c", None), ("d", None)]
    assert till.read("SELECT count(*) FROM transactions_decimal") == [(3,)]
    assert till.book(Sent(3, whole, (sale("a", 1), sale("b", 2)))).gone == 0
    assert gone(till) == [("a", None), ("b", None), ("c", None), ("d", None)]


def test_file_with_refused_records_does_not_say_what_is_gone(till: Till) -> None:
    whole = replace(SALES, complete="day")
    till.book(Sent(1, whole, (sale("a", 1), sale("b", 2))))
    assert till.book(Sent(2, whole, (sale("a", 1),)), refused=1).gone == 0
    assert gone(till) == [("a", None), ("b", None)]


def test_product_that_a_whole_master_lacks_is_gone(till: Till) -> None:
    whole = replace(PRODUCTS, complete="all")
    till.book(Sent(1, whole, (product("p", 100), product("q", 200))))
    assert till.book(Sent(2, whole, (product("q", 250),))).gone == 1
    assert gone(till, "products") == [("p", "d2"), ("q", None)]
    assert till.read("SELECT product_id, price FROM products_decimal") == [("q", 2.5)]


def test_older_state_of_a_row_changes_nothing_and_is_counted(till: Till) -> None:
    kind = replace(SALES, columns=("total_minor", "as_of"), older="ignore")
    newer = {**sale("a", 100, 100), "as_of": "2026-03-29T01:30:00+01:00"}
    # Later on the clock, earlier in time: the hour that is skipped in spring.
    older = {**sale("a", 999, 999), "as_of": "2026-03-29T02:10:00+02:00"}
    till.book(Sent(1, kind, (newer,)))
    booked = till.book(Sent(2, kind, (older, sale("b", 5))))
    assert (booked.superseded, booked.ignored, booked.inserted) == (1, 1, 1)
    assert till.state()["1", "a"]["total_minor"] == 100
    assert [row[2] for row in lines(till)] == [100]


def test_transaction_known_by_its_id_alone_moves_with_its_lines(till: Till) -> None:
    kind = replace(SALES, key=("transaction_id",))
    till.book(Sent(1, kind, (sale("a", 100, 60, 40), sale("b", 5))))
    till.book(Sent(3, kind, ({**sale("a", 110, 110), "location_id": "2"},)))
    booked = till.book(Sent(2, kind, (sale("a", 90, 90), sale("b", 5))))
    assert (booked.superseded, booked.unchanged) == (1, 1)
    assert set(till.state()) == {("2", "a"), ("1", "b")}
    assert till.state()["2", "a"]["line_items"] == [{"sku": "a", "amount_minor": 110}]


def test_rows_from_before_the_id_alone_counted_become_one(till: Till) -> None:
    elsewhere = [
        {**sale("a", total), "location_id": place} for place, total in (("2", 2), ("3", 3))
    ]
    till.book(Sent(1, SALES, (elsewhere[0],)))
    till.book(Sent(2, SALES, (elsewhere[1],)))
    kind = replace(SALES, key=("transaction_id",), columns=("business_date",))
    till.book(Sent(3, kind, (sale("a", 9, 9),)))
    assert set(till.state()) == {("1", "a")}
    assert till.state()["1", "a"]["total_minor"] == 3


@pytest.mark.parametrize("history", [False, True], ids=["appended", "merged"])
def test_id_that_was_used_for_a_sale_of_another_year_is_counted(
    till: Till, *, history: bool
) -> None:
    kind = replace(SALES, history=history)
    till.book(Sent(1, kind, (sale("a", 1), sale("b", 2))))
    again = {**sale("a", 3), "business_date": "2026-12-05"}
    assert till.book(Sent(2, kind, (again, sale("b", 2)))).reused == 1


def test_replay_of_one_delivery_removes_what_it_no_longer_states(till: Till) -> None:
    till.book(Sent(1, SALES, (sale("a", 1, 1), sale("shared", 2, 2))))
    till.book(Sent(2, SALES, (sale("b", 3, 3), sale("c", 4, 4), sale("shared", 2, 2))))
    booked = till.book(Sent(2, SALES, (sale("b", 3, 3), sale("d", 4, 4))), 2)
    assert (booked.inserted, booked.unchanged, booked.removed) == (1, 1, 1)
    assert [key[1] for key in till.state()] == ["a", "b", "d", "shared"]
    assert [row[0] for row in lines(till)] == ["a", "b", "d", "shared"]
    assert till.state()["1", "shared"]["arrival_seq"] == 1


def test_replay_of_one_delivery_gives_back_what_it_overwrote(till: Till) -> None:
    kept = replace(SALES, history=True)
    till.book(Sent(1, kept, (sale("a", 100, 100),)))
    before = till.state()
    till.book(Sent(2, kept, (sale("a", 999, 999),)))
    booked = till.book(Sent(2, kept, (sale("z", 999, 999),)), 2)
    assert (booked.inserted, booked.removed) == (1, 0)
    assert till.state()["1", "a"] == before["1", "a"]


def test_replay_of_one_delivery_that_is_refused_leaves_its_rows(till: Till) -> None:
    sent = Sent(1, SALES, (sale("a", 1, 1),))
    till.book(sent)
    till.refuse(sent, 2)
    assert set(till.state()) == {("1", "a")}


def test_rows_stay_readable_while_a_replay_goes_on(till: Till) -> None:
    deliveries = [Sent(1, SALES, (sale("a", 1, 1),)), Sent(2, SALES, (sale("b", 2, 2),))]
    for sent in deliveries:
        till.book(sent)
    till.book(deliveries[0], 2, {"first": True, "last": False, "seqs": [1, 2]})
    assert till.read("SELECT transaction_id, arrival_seq FROM transactions") == [
        ("a", 1),
        ("b", -2),
    ]
    assert till.read("SELECT total FROM transactions_decimal WHERE transaction_id = 'b'")
    booked = till.book(
        Sent(2, SALES, (sale("new-b", 2, 2),)), 2, {"first": False, "last": True, "seqs": []}
    )
    assert booked.removed == 1
    assert [key[1] for key in till.state()] == ["a", "new-b"]


def test_replay_since_a_day_keeps_what_came_before(till: Till) -> None:
    till.book(Sent(1, ORDERS, (sale("a", 100, 100), sale("old", 1, 1))))
    payment = Sent(2, PAYMENTS, (paid("a", 60),))
    till.book(payment)
    bare = replace(PAYMENTS, columns=())
    till.book(replace(payment, kind=bare), 2, {"first": True, "last": True, "seqs": [2]})
    assert till.state()["1", "a"] == {
        "arrival_seq": 2,
        "business_date": "2026-01-05",
        "total_minor": 100,
        "line_items": [{"sku": "a", "amount_minor": 100}],
        "tenders": [{"method": "card", "amount_minor": 60}],
    }
    assert ("1", "old") in till.state()


def test_replay_that_no_longer_takes_a_payment_leaves_its_order(till: Till) -> None:
    till.book(Sent(1, ORDERS, (sale("a", 100, 100),)))
    before = till.state()
    payment = Sent(2, PAYMENTS, (paid("a", 60),))
    till.book(payment)
    till.refuse(payment, 2, {"first": True, "last": True, "seqs": [2]})
    assert till.state() == before


def test_replay_reaches_every_table(till: Till) -> None:
    master = Sent(1, PRODUCTS, (product("p", 1), product("q", 2)))
    till.book(master)
    till.book(Sent(2, SALES, (sale("a", 1, 1),)))
    fixed = replace(master, rows=(product("p", 100),))
    till.book(fixed, 2, {"first": True, "last": False, "seqs": [1, 2]})
    till.refuse(Sent(2, SALES, ()), 2, {"first": False, "last": True, "seqs": []})
    assert till.read("SELECT product_id, price_minor FROM products") == [("p", 100)]
    assert till.state() == {}


def test_file_in_two_masters_fills_both_feeds_columns(till: Till) -> None:
    stock = Kind("shelf", ("unit", "price_minor"), table="products")
    till.book(Sent(1, PRODUCTS, (product("p", 100),)))
    till.book(Sent(3, stock, ({"product_id": "p", "unit": "kg", "price_minor": 300},)))
    till.book(Sent(2, PRODUCTS, ({"product_id": "p", "name": "Pear", "price_minor": 200},)))
    assert till.read("SELECT name, unit, price_minor FROM products") == [("Pear", "kg", 300)]


def test_lookup_gives_texts_by_key(till: Till) -> None:
    rows = (product("p", 1234), product("q", -5), {"product_id": "r", "name": "R"})
    till.book(Sent(1, PRODUCTS, rows))
    found = till.store.lookup("acme", "products", "price", "EUR")
    assert found == {"p": "12.34", "q": "-0.05", "r": ""}
    assert till.store.lookup("acme", "products", "price", "JPY")["p"] == "1234"
    assert till.store.lookup("acme", "products", "name", "EUR")["q"] == "Q"
    assert till.store.lookup("beta", "products", "name", "EUR") == {}


def test_what_is_remembered_of_a_feed_is_committed_with_its_rows(till: Till) -> None:
    memory = Memory(1, ("A", "B"), ("A", "B"), "utf-8", ",")
    staged = till.stage(Sent(1, SALES, (sale("a", 1),)))
    done = Report("d1", 1, "imported")
    remember = Remember(memory, {"location": ("1", "2"), "tender": ("cash",)})
    job = till.job(Sent(1, SALES, ()))
    assert till.store.memory("acme", "sales") is None
    till.store.book(job, staged, lambda _: done, SALES.feed(), remember)
    assert till.store.memory("acme", "sales") == memory
    assert till.store.seen("acme", "location") == {"1", "2"}
    assert till.store.seen("beta", "location") == set()


def test_failure_in_a_merge_books_nothing_of_it(till: Till) -> None:
    kept = replace(SALES, history=True)
    till.book(Sent(1, kept, (sale("a", 1, 1),)))
    before = till.state()
    staged = till.stage(Sent(2, kept, (sale("a", 2, 2), sale("b", 2, 2))))

    def fail(_: Booked) -> Report:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        till.store.book(till.job(Sent(2, kept, ())), staged, fail, kept.feed())
    assert till.state() == before
    assert till.read("SELECT * FROM history") == []
