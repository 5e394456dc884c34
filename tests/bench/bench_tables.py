"""Importing a million records of which three make a transaction, against `sqlite3 .import`.

Twice: as transactions alone, whose lines are added up, and with their lines, tenders and taxes in
tables of their own. Theirs is the raw text in one table either way, keyed by store, receipt and
line. How it is measured stands in `bench_import`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.bench.bench_import import ROWS, Sample, measure
from tilldrop.mapping import Feed, Reading, Section
from tilldrop.rows import Counts
from tilldrop.sources import Constant, FromColumn, When

ROUNDS = 3
LINES = 3  # of a transaction
COLUMNS = (
    *("Store", "Receipt", "Line", "Sold at", "Cashier", "Sku", "Item", "Quantity", "Price"),
    *("Amount", "Tax", "Paid by", "Paid"),
)
FEED = Feed(
    name="bench",
    files=("*.csv",),
    rows="per-line",
    max_fault_share=0.10,
    reading=Reading(),
    sources={
        "location_id": FromColumn("Store"),
        "transaction_id": FromColumn("Receipt"),
        "sold_at": When("Sold at", (), ("YYYY-MM-DD HH:mm:ss",)),
        "total": FromColumn("Amount", "sum"),
        "tax": FromColumn("Tax", "sum"),
        "operator_id": FromColumn("Cashier"),
        "tender": FromColumn("Paid by"),
    },
)
SECTIONS = (
    Section(
        "line_items",
        {
            "sku": FromColumn("Sku"),
            "description": FromColumn("Item"),
            "quantity": FromColumn("Quantity"),
            "unit_price": FromColumn("Price"),
            "amount": FromColumn("Amount"),
        },
    ),
    Section("tenders", {"method": FromColumn("Paid by"), "amount": FromColumn("Paid")}, once=True),
    Section("taxes", {"name": Constant("VAT"), "amount": FromColumn("Tax")}),
)


def main() -> None:
    """Measure both."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rows", type=int, default=ROWS, help="made a multiple of 3")
    asked.add_argument("--rounds", type=int, default=ROUNDS)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="tilldrop-bench-") as name:
        folder = Path(name)
        sample = write_sample(folder, given.rows // LINES)
        measure("import of lines", folder, sample, given.rounds)
        tables = {
            "line_items": sample.counts.read,
            "tenders": sample.counts.inserted,
            "taxes": sample.counts.read,
        }
        feed = replace(FEED, sections=SECTIONS)
        with_tables = replace(sample, feed=feed, child_rows=tables)
        measure("import of four tables", folder, with_tables, given.rounds)


def write_sample(folder: Path, transactions: int) -> Sample:
    """Write the file: no faults, every line has an amount and a tax, the first one the payment."""
    path = folder / "arrived" / "d1"
    path.parent.mkdir()
    total_minor = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(COLUMNS) + "\n")
        for number in range(transactions):
            day, minute = number // 15_000 % 28 + 1, number % 1440
            sold_at = f"2026-01-{day:02d} {minute // 60:02d}:{minute % 60:02d}:{number % 60:02d}"
            head = f"S{number // 20_000:03d},R{number:09d}"
            cents = [number * 7919 % 3_000 + 100 + line for line in range(LINES)]
            total_minor += sum(cents)
            for line, amount in enumerate(cents, 1):
                item = (number * LINES + line) * 31 % 5_000
                paid = f"{sum(cents) / 100:.2f}" if line == 1 else ""
                file.write(
                    f"{head},{line},{sold_at},C{number % 60},K{item:05d},Item {item},1,"
                    f"{amount / 100:.2f},{amount / 100:.2f},{amount // 6 / 100:.2f},"
                    f"{'card' if number % 3 else 'cash'},{paid}\n"
                )
    counts = Counts(read=LINES * transactions, transactions=transactions, inserted=transactions)
    keys = LINES * transactions
    key = ("Store", "Receipt", "Line")
    return Sample(path, counts, total_minor, keys, FEED, COLUMNS, key)


if __name__ == "__main__":
    main()
