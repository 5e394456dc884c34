"""The careful lane agrees with a reading by the csv and decimal modules.

The two share no code. The other reading is written out plainly, one pass after another.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tilldrop.importer import careful
from tilldrop.importer.plan import mapping_faults
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Context, Staged
from tilldrop.mapping import Feed, Reading, Section
from tilldrop.sources import Constant, FromColumn, Refined, When

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.mapping import Conditions, Rows

HEADER = (
    "Type",
    "Store",
    "No",
    "Date",
    "Kind",
    "Cur",
    "Sku",
    "Qty",
    "Amount",
    "Cash",
    "Card",
    "Tax",
)
MINOR = {"EUR": 2, "JPY": 0, "KWD": 3}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
Record = dict[str, str]
Table = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Lab:
    con: duckdb.DuckDBPyConnection
    folder: Path


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET TimeZone = 'UTC'")
    return Lab(con, tmp_path_factory.mktemp("lab"))


def feed_of(rows: Rows, *, by_type: bool, once: bool, by_kind: bool, skips: bool) -> Feed:
    """A feed with lines, two ways to pay and a tax; `by_type`: records are told apart."""
    where: Conditions = {"Type": ("H",)} if by_type else {}
    lines: Conditions = {"Type": ("L", "H")} if by_type else {}
    grouped = rows != "per-transaction"
    return Feed(
        name="sales",
        files=("*",),
        rows=rows,
        max_fault_share=1,
        reading=Reading(),
        sources={
            "location_id": FromColumn("Store"),
            "transaction_id": FromColumn("No"),
            "total": FromColumn("Amount", "sum" if grouped else "first"),
            "sold_at": When("Date", (), ("iso",)),
            "kind": FromColumn("Kind"),
            "currency": FromColumn("Cur"),
            "tender": FromColumn("Sku"),
        },
        where=where if grouped else {},
        skip={"Type": ("X",)} if skips else {},
        signs="by-kind" if by_kind else "as-written",
        sections=(
            Section(
                "line_items",
                {
                    "sku": FromColumn("Sku"),
                    "quantity": FromColumn("Qty"),
                    "amount": FromColumn("Amount"),
                },
                where=lines,
            ),
            Section(
                "tenders", {"method": Constant("cash"), "amount": FromColumn("Cash")}, once=once
            ),
            Section("tenders", {"method": Constant("card"), "amount": FromColumn("Card")}),
            Section(
                "taxes",
                {"name": Refined(FromColumn("Sku"), default="VAT"), "amount": FromColumn("Tax")},
                once=once,
            ),
        ),
    )


# The other reading


class Bad(Exception):
    pass


def number(cell: str) -> Decimal | None:
    if not cell:
        return None
    if not NUMBER.fullmatch(cell):
        raise Bad(cell)
    return Decimal(cell)


def rounded(amount: Decimal | None, digits: int) -> int | None:
    if amount is None:
        return None
    return int((amount * 10**digits).quantize(Decimal(1), ROUND_HALF_UP))


def read_children(feed: Feed, record: Record, seen: set[str]) -> list[tuple[str, Any, Any, Any]]:
    """Return (table, text, quantity, amount) for each child of a record."""
    is_once = feed.sections[1].once
    lines = feed.sections[0].where
    found: list[tuple[str, Any, Any, Any]] = []
    if (not lines or record["Type"] in lines["Type"]) and (
        record["Sku"] or record["Qty"] or record["Amount"]
    ):
        quantity, amount = number(record["Qty"]), number(record["Amount"])
        found.append(("line_items", record["Sku"] or None, quantity, amount))
    if not (is_once and "cash" in seen) and number(record["Cash"]):
        seen.add("cash")
        found.append(("tenders", "cash", None, number(record["Cash"])))
    if number(record["Card"]):
        found.append(("tenders", "card", None, number(record["Card"])))
    if not (is_once and "tax" in seen) and number(record["Tax"]):
        seen.add("tax")
        found.append(("taxes", record["Sku"] or "VAT", None, number(record["Tax"])))
    return found


def read_transaction(feed: Feed, records: list[tuple[int, Record]]) -> dict[str, Table]:
    """Return a transaction's rows by table. Raises Bad."""
    fills = feed.where.get("Type")
    own = [record for _, record in records if not fills or record["Type"] in fills]
    totals = [number(record["Amount"]) for record in own]
    kinds = [record["Kind"] for record in own if record["Kind"]]
    currencies = [record["Cur"] for record in own if record["Cur"]]
    dates = [record["Date"] for record in own if record["Date"]]
    if any(one not in {"sale", "refund"} for one in kinds) or set(currencies) - MINOR.keys():
        raise Bad(kinds)
    full = [total for total in totals if total is not None]
    if not full or not dates:
        raise Bad("empty")
    currency = currencies[0] if currencies else "EUR"
    digits = MINOR[currency]
    total = rounded(sum(full, Decimal(0)), digits) or 0
    kind = kinds[0] if kinds else ("refund" if total < 0 else "sale")
    sign = -1 if feed.signs == "by-kind" and kind == "refund" and total > 0 else 1
    line, first = records[0]
    key = (first["Store"], first["No"])
    tender = next((record["Sku"] for record in own if record["Sku"]), None)
    made: dict[str, Table] = defaultdict(list)
    sold_at = f"{dates[0]}T00:00:00+00:00"
    made["transactions"].append((line, *key, sold_at, kind, sign * total, currency, tender))
    seen: set[str] = set()
    for at, record in records:
        for table, text, quantity, amount in read_children(feed, record, seen):
            values: tuple[Any, ...] = (text, _signed(rounded(amount, digits), sign))
            if table == "line_items":
                values = (text, _signed(rounded(quantity, 3), sign), values[1])
            made[table].append((at, *key, len(made[table]) + 1, *values))
    return made


def _signed(amount: int | None, sign: int) -> int | None:
    return None if amount is None else sign * amount


def read_plainly(feed: Feed, text: str) -> dict[str, Table]:
    """Return the rows of all good transactions by table."""
    records = [
        (line, dict(zip(HEADER, row, strict=True)))
        for line, row in enumerate(csv.reader(io.StringIO(text)), 1)
        if line > 1
    ]
    kept = [one for one in records if not feed.skip or one[1]["Type"] != "X"]
    groups: dict[object, list[tuple[int, Record]]] = defaultdict(list)
    for line, record in kept:
        key = (record["Store"], record["No"])
        groups[key if feed.is_grouped else (key, line)].append((line, record))
    by_key: dict[object, dict[str, Table]] = {}
    for group in groups.values():
        try:
            made = read_transaction(feed, group)
        except Bad:
            continue
        by_key[made["transactions"][0][1:3]] = made  # the last of one key wins
    found: dict[str, Table] = defaultdict(list)
    for made in by_key.values():
        for table, rows in made.items():
            found[table] += rows
    return {table: sorted(rows) for table, rows in found.items()}


# Both


@st.composite
def texts(draw: st.DrawFn) -> str:
    def mostly(*good: str, odd: tuple[str, ...]) -> str:
        return draw(st.sampled_from(odd if draw(st.integers(0, 14)) == 0 else good))

    amounts = st.decimals(-99, 999, places=3).map(str)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for _ in range(draw(st.integers(1, 14))):
        writer.writerow(
            (
                mostly("H", "H", "L", "P", odd=("X", "")),
                mostly("A", "B", odd=("C",)),
                mostly("1", "2", "3", odd=("4",)),
                mostly("2026-07-18", "2026-07-18", odd=("",)),
                mostly("sale", "refund", odd=("", "gift")),
                mostly("EUR", "", odd=("JPY", "KWD", "XXQ")),
                mostly("tea", "cup", "", odd=("a, b", 'a "b"')),
                mostly("1", "-2", "0.5", "", odd=("two",)),
                draw(amounts) if draw(st.booleans()) else mostly("", "5", odd=("n/a",)),
                mostly("", "4.00", "0", odd=("0.00", "-1", "x")),
                mostly("", "7.50", odd=("-0.005",)),
                mostly("", "", "1.255", odd=("0", "?")),
            )
        )
    return out.getvalue()


QUERIES = {
    "transactions": "SELECT line, location_id, transaction_id, sold_at, kind, total_minor,"
    " currency, tender FROM staged",
    "line_items": "SELECT line, location_id, transaction_id, line_number, sku, quantity_milli,"
    " amount_minor FROM staged_line_items",
    "tenders": "SELECT line, location_id, transaction_id, tender_number, method, amount_minor"
    " FROM staged_tenders",
    "taxes": "SELECT line, location_id, transaction_id, tax_number, name, amount_minor"
    " FROM staged_taxes",
}


def read_carefully(lab: Lab, feed: Feed, text: str) -> tuple[Staged, dict[str, Table]]:
    path = lab.folder / "delivery"
    path.write_text(text, encoding="utf-8")
    clean, _, _ = prepare(path, feed.reading, lab.folder, 4000)
    at = Context("UTC", "EUR", "sales.csv", lab.folder, 4000)
    assert not hasattr(clean, "code"), clean
    assert mapping_faults(clean, feed, at) is None
    staged = careful.stage(lab.con, clean, feed, at)
    assert isinstance(staged, Staged)
    found = {table: lab.con.execute(sql).fetchall() for table, sql in QUERIES.items()}
    return staged, {table: sorted(rows) for table, rows in found.items() if rows}


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=texts(),
    rows=st.sampled_from(["per-transaction", "per-line", "per-payment", "mixed"]),
    by_type=st.booleans(),
    once=st.booleans(),
    by_kind=st.booleans(),
    skips=st.booleans(),
)
def test_grouped_feeds_with_children_are_read_as_by_csv_and_decimal(
    lab: Lab, text: str, rows: Rows, *, by_type: bool, once: bool, by_kind: bool, skips: bool
) -> None:
    feed = feed_of(rows, by_type=by_type, once=once, by_kind=by_kind, skips=skips)
    staged, found = read_carefully(lab, feed, text)
    assert found == read_plainly(feed, text)
    assert staged.read == text.count("\n") - 1
    booked = staged.read - staged.skipped - staged.refused - staged.repeated
    assert staged.transactions <= booked
    assert feed.is_grouped or staged.transactions == booked


def test_members_of_a_feed_do_not_change_the_rows_of_the_others(lab: Lab) -> None:
    """A section more gives rows of its own and leaves transactions and other tables alone."""
    feed = feed_of("per-line", by_type=False, once=False, by_kind=False, skips=False)
    text = ",".join(HEADER) + "\nH,A,1,2026-07-18,sale,EUR,tea,1,5,5,,1\nH,A,1,,,,cup,2,3,,3,\n"
    _, whole = read_carefully(lab, feed, text)
    lab.con.execute("DROP TABLE staged_taxes")
    fewer = replace(feed, sections=feed.sections[:3])
    lab.con.execute(
        "CREATE TEMP TABLE staged_taxes AS SELECT * FROM (SELECT 1 AS line, '' AS"
        " location_id, '' AS transaction_id, 1 AS tax_number, '' AS name, 1 AS"
        " amount_minor) WHERE false"
    )
    _, rest = read_carefully(lab, fewer, text)
    assert whole.pop("taxes")
    assert rest == whole
