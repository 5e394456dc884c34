"""What each preset's case must come to, worked out by hand from its input, not by the importer."""

from __future__ import annotations

import csv
import io
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.unit.jobs import Place
from tilldrop import presets
from tilldrop.importer.worker import run_job
from tilldrop.mapping_columns import columns_needed
from tilldrop.mapping_toml import read_feed

if TYPE_CHECKING:
    from tilldrop.mapping import Feed
    from tilldrop.rows import Report

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Figures:
    """Sums in minor units."""

    total: int = 0
    refunds: int = 0
    voids: int = 0  # how many
    lines: int = 0
    tenders: int = 0
    taxes: int = 0


FIGURES = {
    "clover-orders": Figures(112_776, -1_080, taxes=1_076),
    "clover-payments": Figures(tenders=113_856),
    "lightspeed-r-lines": Figures(138_875, -875, lines=138_875),
    "lightspeed-r-payments": Figures(tenders=138_875),
    "lightspeed-x-sales": Figures(3_450, -3_450, 1, lines=3_450, tenders=2_300, taxes=450),
    "loyverse-receipts": Figures(-8_560, -28_890, tenders=-8_560, taxes=-560),
    "loyverse-receipts-by-item": Figures(115_500, -15_750, lines=115_500),
    "shopify-orders": Figures(19_867, 0, 1, lines=18_050, tenders=16_617, taxes=917),
    "square-items": Figures(2_646, -648, lines=2_646),
    "square-transactions": Figures(120_620, -12_096, tenders=120_620, taxes=8_920),
    "stripe-payments": Figures(37_300, tenders=37_300),
    "toast-checks": Figures(15_452, -2_268, tenders=15_452, taxes=952),
    "toast-items": Figures(lines=4_320),
    "toast-orders": Figures(30_320, 0, 1, taxes=1_920),
    "toast-payments": Figures(tenders=30_320),
}
ITEMS_ONLY = """
[[feeds]]
name = "items"
files = "items*.csv"
preset = "square-items"
partial = true
[feeds.map]
total = ""
net = ""
tax = ""
discount = ""
"""
EVERY = pytest.mark.parametrize("name", sorted(FIGURES))


def test_every_preset_has_a_case() -> None:
    assert sorted(FIGURES) == list(presets.names())
    assert {f"preset-{name}" for name in FIGURES} == {
        folder.name for folder in HERE.glob("preset-*/")
    }


@EVERY
def test_case_comes_to_the_figures_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    report = deliver(place, name, text_of(name))
    assert (report.outcome, report.fault_count, report.warning_counts) == ("imported", 0, {})
    found = Figures(
        total_of(place),
        report.refund_minor,
        place.read("SELECT count(*) FROM transactions WHERE kind = 'void'")[0][0],
        *(
            place.read(f"SELECT coalesce(sum(amount_minor), 0) FROM {table}")[0][0]
            for table in ("line_items", "tenders", "taxes")
        ),
    )
    assert found == FIGURES[name]


@EVERY
def test_file_without_any_optional_column_is_imported(name: str, tmp_path: Path) -> None:
    feed, _ = feed_of(name)
    needed = {column.casefold() for column in columns_needed(feed)}
    header, *rows = csv.reader(io.StringIO(text_of(name)))
    known = {other.casefold() for others in feed.reading.other_names.values() for other in others}
    kept = [at for at, column in enumerate(header) if column.casefold() in needed | known]
    short = io.StringIO()
    csv.writer(short, lineterminator="\n").writerows(
        [row[at] for at in kept] for row in [header, *rows] if row[kept[0]]
    )
    report = deliver(Place.make(tmp_path), name, short.getvalue())
    assert (report.outcome, report.fault_count) == ("imported", 0)


@EVERY
def test_columns_under_their_other_names_come_to_the_same(name: str, tmp_path: Path) -> None:
    feed, _ = feed_of(name)
    header, rest = text_of(name).split("\n", 1)
    columns = header.split(",")
    for wanted, others in feed.reading.other_names.items():
        names = [wanted, *others]
        for at, column in enumerate(columns):
            if column in names:
                columns[at] = names[(names.index(column) + 1) % len(names)]
    place = Place.make(tmp_path)
    report = deliver(place, name, ",".join(columns) + "\n" + rest)
    assert (report.outcome, total_of(place)) == ("imported", FIGURES[name].total)


def test_payments_and_items_fill_the_orders_that_come_before_or_after(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    for seq, name in enumerate(("toast-payments", "toast-orders", "toast-items"), 1):
        deliver(place, name, text_of(name), seq, shares_transactions=True)
    sql = "SELECT transaction_id, total_minor, refunded_minor, kind FROM transactions ORDER BY 1"
    assert place.read(sql) == [
        ("800000000000000101", 5120, 1000, "sale"),
        ("800000000000000102", 25200, None, "sale"),
        ("800000000000000103", 0, None, "void"),
    ]
    assert place.read("SELECT sum(amount_minor), sum(tip_minor) FROM tenders") == [(30320, 800)]
    assert place.read("SELECT sum(amount_minor) FROM line_items") == [(4320,)]


def total_of(place: Place) -> int:
    """Sum over the rows: the report has no total where there are several currencies."""
    return int(place.read("SELECT coalesce(sum(total_minor), 0) FROM transactions")[0][0])


def text_of(name: str) -> str:
    [given] = (HERE / f"preset-{name}").glob("input.*")
    return given.read_text(encoding="utf-8-sig")


def feed_of(name: str) -> tuple[Feed, dict[str, str]]:
    """Return the feed of a case's folder, and its customer's zone, currency and the file's name."""
    written = (HERE / f"preset-{name}" / "mapping.toml").read_text(encoding="utf-8")
    customer = tomllib.loads(written)
    mistakes: dict[str, str] = {}
    feed = read_feed(customer["feeds"][0] | {"name": name}, mistakes.__setitem__)
    assert feed is not None, mistakes
    job = {"zone": customer["zone"], "currency": customer["currency"]}
    return feed, job | {"name": customer.get("sent_as", "input.csv")}


def deliver(place: Place, name: str, text: str, seq: int = 1, **changes: object) -> Report:
    feed, job = feed_of(name)
    return run_job(place.job(text, seq, feed, **job, **changes))


def test_items_beside_transactions_bring_their_lines_only(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    customer = tomllib.loads(ITEMS_ONLY)
    mistakes: dict[str, str] = {}
    items = read_feed(customer["feeds"][0], mistakes.__setitem__)
    assert items is not None, mistakes
    deliver(place, "square-transactions", text_of("square-transactions"), shares_transactions=True)
    job = place.job(text_of("square-items"), 2, items, currency="USD", shares_transactions=True)
    assert run_job(job).outcome == "imported"
    sql = "SELECT total_minor, tip_minor FROM transactions WHERE transaction_id = ?"
    assert place.read(sql, "SQA1-PA1-Payment") == [(3116, 200)]
    sql = "SELECT sum(amount_minor) FROM line_items WHERE transaction_id = ?"
    assert place.read(sql, "SQA1-PA1-Payment") == [(2916,)]


def test_manual_tells_the_columns_that_each_preset_needs() -> None:
    manual = (HERE.parents[1] / "docs" / "presets.md").read_text(encoding="utf-8")
    table, _ = manual.split("\nWhat becomes of the special cases:")
    rows = [row.split(" | ") for row in table.splitlines() if row.startswith("| `")]
    told = {row[0].split("`")[1]: row[2].split(";")[0] for row in rows}
    assert sorted(told) == sorted(FIGURES)
    for name, columns in told.items():
        needed = sorted(columns_needed(feed_of(name)[0]))
        assert sorted(columns.split(", ")) == needed, name
