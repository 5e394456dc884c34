"""A file of the operator's imported into nothing, with what the customer's live rows know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tilldrop.config import load
from tilldrop.home_files import make_home, write_customer
from tilldrop.importer import databases
from tilldrop.sqlite import sqlite3
from tilldrop.trial import Trial, run_trial

if TYPE_CHECKING:
    from pathlib import Path

CUSTOMER = """\
zone = "UTC"
currency = "EUR"
mode = "sandbox"

[[feeds]]
name = "lines"
files = "*.csv"
rows = "per-line"
columns.price = { lookup = "products.price", by = "Sku" }
map.location_id = "Shop"
map.transaction_id = "No"
map.sold_at = { date = "Date", format = "YYYY-MM-DD" }
map.total = { expr = "Qty * price" }
line_items.product_id = "Sku"
line_items.quantity = "Qty"
control.records = { companion = "{stem}.ctl", match = '([0-9]+)' }
"""
LINES = "Shop,No,Date,Sku,Qty\n12,1,2026-03-14,P1,2\n12,1,2026-03-14,P2,1\n12,2,2026-03-15,P1,1.5\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_home(tmp_path / "home", "127.0.0.1", "var")
    write_customer(tmp_path / "home", "acme", CUSTOMER)
    (tmp_path / "home" / "var").mkdir()
    return tmp_path / "home"


def bring_products(home: Path) -> None:
    config = load(home)
    databases.prepare(config)
    connection = sqlite3.connect(config.paths.data)
    connection.executemany(
        "INSERT INTO products (customer, product_id, price_minor, arrival_seq, delivery, line)"
        " VALUES (?, ?, ?, 1, 'd', 1)",
        [("acme", "P1", 200), ("acme", "P2", 350), ("other", "P1", 999)],
    )
    connection.commit()
    connection.close()


def tried(home: Path, rows: int = 10) -> Trial:
    file = home / "lines.csv"
    file.write_text(LINES)
    config = load(home)
    customer = config.customers["acme"]
    return run_trial(config, customer, customer.feeds[0], file, file.name, rows)


def test_a_lookup_finds_the_customers_own_masters_and_leaves_them_alone(home: Path) -> None:
    bring_products(home)
    (home / "lines.ctl").write_text("3\n")
    trial = tried(home)
    assert trial.report.outcome == "imported"
    assert [row["total_minor"] for row in trial.booked] == [750, 300]
    assert [row["product_id"] for row in trial.children["line_items"]] == ["P1", "P2", "P1"]
    assert [row["quantity_milli"] for row in tried(home, 1).children["line_items"]] == [2000, 1000]
    connection = sqlite3.connect(load(home).paths.data)
    assert connection.execute("SELECT count(*) FROM products").fetchone() == (3,)
    assert connection.execute("SELECT count(*) FROM transactions").fetchone() == (0,)
    connection.close()


def test_control_figures_are_looked_for_beside_the_file(home: Path) -> None:
    bring_products(home)
    (home / "lines.ctl").write_text("4\n")
    assert (tried(home).report.outcome, tried(home).report.reason) == ("held", "control-differs")
    (home / "lines.ctl").unlink()
    assert tried(home).report.reason == "companion-missing"


def test_without_any_masters_what_a_lookup_misses_is_told(home: Path) -> None:
    (home / "lines.ctl").write_text("3\n")
    trial = tried(home)
    assert trial.report.outcome == "rejected"
    assert "lookup-missing" in {fault.code for fault in trial.report.faults}
