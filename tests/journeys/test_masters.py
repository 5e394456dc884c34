"""Customers, products and sales as three files, in any order of arrival."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.daemon import Daemon, wait_for
from tests.journeys.test_sandbox import ask, deliver, put, write_customer
from tilldrop.delivery import State

if TYPE_CHECKING:
    from pathlib import Path

THREE_FILES = """\
zone = "Europe/Paris"
currency = "EUR"

[[feeds]]
name = "products"
files = "products*.csv"
table = "products"
complete = "all"
map.product_id = "Sku"
map.name = "Name"
map.price = "Price"

[[feeds]]
name = "shoppers"
files = "shoppers*.csv"
table = "shoppers"
map.shopper_id = "Card"
map.name = "Name"

[[feeds]]
name = "sales"
files = "sales*.csv"
rows = "per-line"
map.location_id = "Shop"
map.transaction_id = "No"
map.sold_at = { date = "Date", format = "YYYY-MM-DD" }
map.total = "Price"
map.shopper_id = "Card"
line_items.product_id = "Sku"
line_items.amount = "Price"
"""
SALES = """\
Shop,No,Date,Card,Sku,Price
12,1,2026-03-14,C1,P1,2.00
12,1,2026-03-14,C1,P2,3.00
12,2,2026-03-15,C2,P1,2.00
14,1,2026-03-15,,P3,4.00
"""


def start(daemon: Daemon) -> Daemon:
    write_customer(daemon, THREE_FILES)
    return daemon.start()


def orphans(daemon: Daemon, *words: str) -> list[tuple[str, str, int]]:
    found = json.loads(ask(daemon, "orphans", *words, "--json"))
    return [(one["missing"], one["id"], one["rows"]) for one in found]


def test_sales_may_name_what_comes_later_and_orphans_are_what_never_came(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon = start(idle_daemon)
    deliver(daemon, tmp_path, "sales.csv", SALES)
    assert orphans(daemon) == []  # nobody sends masters yet
    deliver(daemon, tmp_path, "products.csv", "Sku,Name,Price\nP1,Roll,2.00\n")
    assert orphans(daemon) == [("product", "P2", 1), ("product", "P3", 1)]
    deliver(daemon, tmp_path, "shoppers.csv", "Card,Name\nC1,Ada\n")
    found = [("product", "P2", 1), ("product", "P3", 1), ("shopper", "C2", 1)]
    assert orphans(daemon, "acme") == found
    table = ask(daemon, "orphans")
    assert "12/1" in table
    assert "2026-03-15" in table
    whole = "Sku,Name,Price\nP1,Roll,2.00\nP2,Loaf,3.00\nP3,Cake,4.00\n"
    deliver(daemon, tmp_path, "products.csv", whole)
    deliver(daemon, tmp_path, "shoppers.csv", "Card,Name\nC2,Bob\n")
    assert orphans(daemon) == []
    assert daemon.rows("SELECT count(*) FROM shoppers") == [(2,)]


def test_a_whole_master_marks_what_it_no_longer_has_and_the_receipt_says_so(
    idle_daemon: Daemon, tmp_path: Path
) -> None:
    daemon = start(idle_daemon)
    deliver(daemon, tmp_path, "products-1.csv", "Sku,Name,Price\nP1,Roll,2.00\nP2,Loaf,3.00\n")
    second = deliver(daemon, tmp_path, "products-2.csv", "Sku,Name,Price\nP1,Roll,2.10\n")
    gone = daemon.rows("SELECT product_id FROM products WHERE gone_in IS NOT NULL")
    assert gone == [("P2",)]
    receipt = ask(daemon, "show", second)
    assert "Products              1" in receipt
    assert "  gone                1" in receipt


def test_orphans_of_the_sandbox_are_apart(idle_daemon: Daemon, tmp_path: Path) -> None:
    write_customer(idle_daemon, 'mode = "sandbox"\n' + THREE_FILES)
    daemon = idle_daemon.start()
    put(daemon, tmp_path, "sales.csv", SALES)
    deliver(daemon, tmp_path, "products.csv", "Sku,Name,Price\nP1,Roll,2.00\n")
    wait_for("the sales", lambda: daemon.wait_for_state("sales.csv", State.IMPORTED))
    assert orphans(daemon) == []
    assert orphans(daemon, "--sandbox") == [("product", "P2", 1), ("product", "P3", 1)]
