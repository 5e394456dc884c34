"""Small files, each odd in one way: what the guess books, asks or refuses."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.guess.test_cli_guess import run
from tilldrop.errors import SampleUnreadable
from tilldrop.guess.propose import Proposal, propose

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 22)
SHOP = {"location": "1"}


def guessed(folder: Path, text: str, name: str = "sales.csv", **answers: str) -> Proposal:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return propose([path], answers, TODAY)


def asked(found: Proposal) -> set[str]:
    return {question.key for question in found.questions}


def booked(found: Proposal) -> tuple[str, int, Decimal, int]:
    figures = found.figures
    assert figures is not None
    return found.verdict, figures.transactions, Decimal(figures.total), figures.refunds


def lines(header: str, *rows: str) -> str:
    return "\n".join([header, *rows, ""])


@pytest.mark.parametrize(
    ("written", "first"),
    [
        ([f"{1700000000000 + at * 3600_000}" for at in range(9)], "2023-11-14T22:13:20"),
        ([f"{45000 + at}.75" for at in range(9)], "2023-03-15T18:00:00"),
        (
            [f"{at + 1} {m} 2024" for at, m in enumerate(["janv.", "févr.", "mai"] * 3)],
            "2024-01-01",
        ),
    ],
    ids=["milliseconds", "spreadsheet times", "fr"],
)
def test_dates_that_are_counted_or_named_are_read(
    written: list[str], first: str, tmp_path: Path
) -> None:
    rows = [f"{100 + at};{when};A;{at + 10}.50" for at, when in enumerate(written)]
    found = guessed(tmp_path, lines("receipt no;sale date;store;total", *rows))
    assert booked(found)[1:] == (9, Decimal("130.50"), 0)
    assert found.figures is not None
    assert found.figures.first.startswith(first)


ROWS = [f"{at},2026-01-{at:02},A,{at}.50" for at in range(1, 25)]
IDS = "sale_id,date,store,total"


def test_rows_written_twice_are_asked_about(tmp_path: Path) -> None:
    text = lines(IDS, *ROWS, ROWS[3], ROWS[7])
    assert asked(guessed(tmp_path, text)) == {"repeats"}
    assert booked(guessed(tmp_path, text, repeats="once"))[1:3] == (24, Decimal("312.00"))
    assert booked(guessed(tmp_path, text, repeats="lines"))[1:3] == (24, Decimal("325.00"))


def test_an_amount_alike_in_all_rows_of_a_sale_is_asked_about(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,item {part},{at}.50" for at in range(1, 9) for part in (1, 2)]
    text = lines("order_id,date,store,product,amount", *rows)
    assert asked(guessed(tmp_path, text)) == {"take"}
    assert booked(guessed(tmp_path, text, take="first"))[1:3] == (8, Decimal("40.00"))
    assert booked(guessed(tmp_path, text, take="sum"))[1:3] == (8, Decimal("80.00"))


def test_a_number_in_each_row_is_no_amount_that_proves_row_types(tmp_path: Path) -> None:
    rows = [
        f"{at},2026-01-{at:02} 10:00,A,{13000 + at}.0,item {part},{part},1.25"
        for at in range(1, 20)
        for part in (1, 2)
    ]
    text = lines("invoice,date,store,customer id,description,quantity,price", *rows)
    assert booked(guessed(tmp_path, text))[1:3] == (19, Decimal("71.25"))


def test_a_void_that_is_negative_takes_a_sale_back(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,{at}.50,0" for at in range(1, 20)]
    text = lines("bon_id,date,store,total,storno", *rows, "30,2026-01-20,A,-3.50,1")
    assert booked(guessed(tmp_path, text))[1:] == (20, Decimal("196.00"), 1)


@pytest.mark.parametrize(("word", "count"), [("Fehlgeschlagen", 18), ("Voided", 18)])
def test_failed_sales_are_left_out(word: str, count: int, tmp_path: Path) -> None:
    rows = [
        f"{at},2026-01-{at:02},A,1.50,{word if at < 3 else 'Erfolgreich'}" for at in range(1, 21)
    ]
    found = guessed(tmp_path, lines("trx_id,date,store,total,status", *rows))
    assert booked(found)[1] == count


def test_a_status_that_nobody_knows_is_asked_about(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,1.50,{'zorgg' if at < 3 else 'paid'}" for at in range(1, 21)]
    text = lines("trx_id,date,store,total,status", *rows)
    assert asked(guessed(tmp_path, text)) == {"status"}
    assert booked(guessed(tmp_path, text, status="skip"))[1] == 18
    assert booked(guessed(tmp_path, text, status="take"))[1] == 20


def test_a_type_of_row_that_nobody_knows_is_asked_about(tmp_path: Path) -> None:
    kinds = ["Payment"] * 3 + ["Refund", "General Withdrawal"]
    signs = ["", "", "", "-", "-"]
    rows = [f"{at},2026-01-{at:02},A,{signs[at % 5]}1.50,{kinds[at % 5]}" for at in range(1, 21)]
    assert asked(guessed(tmp_path, lines("trx_id,date,store,gross,type", *rows))) == {"types"}


def test_amounts_that_are_mostly_negative_are_asked_about(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,-{at}.50" for at in range(1, 11)]
    text = lines(IDS, *rows)
    assert asked(guessed(tmp_path, text)) == {"negative"}
    assert booked(guessed(tmp_path, text, negative="sales"))[1:] == (10, Decimal("60.00"), 0)


def test_payments_are_of_the_order_that_they_name(tmp_path: Path) -> None:
    rows = [f"p{at},{at // 2},2026-01-0{1 + at // 4} 10:00,A,card,1.50" for at in range(20)]
    found = guessed(tmp_path, lines("payment_id,order_id,date,store,method,amount", *rows))
    assert asked(found) <= {"take"}
    assert "repeats" not in asked(found)
    found = guessed(
        tmp_path, lines("payment_id,order_id,date,store,method,amount", *rows), take="sum"
    )
    assert booked(found)[1:3] == (10, Decimal("30.00"))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (
            "id_cliente,nome,prodotto,quantita,prezzo_unitario,data_acquisto",
            "{0},Name {0},x,2,3.50,2026-01-{0:02}",
        ),
        ("customer_id,name,revenue,quantity,order_date", "C{0},Name {0},5.50,2,no date"),
        ("employee_id,date,store,hours,rate,pay", "{0},2026-01-{0:02},A,8,15.50,124.{0:02}"),
        ("id,name,price,code", "{0},Fern,8990,A1"),
    ],
    ids=["shoppers that bought", "dates unreadable", "hours worked", "the same product again"],
)
def test_what_looks_like_a_master_or_a_sale_and_is_none_is_asked_about(
    header: str, row: str, tmp_path: Path
) -> None:
    found = guessed(tmp_path, lines(header, *(row.format(at) for at in range(1, 20))))
    assert found.verdict == "open"
    assert asked(found) != {"location"}


@pytest.mark.parametrize(
    ("name", "header", "row"),
    [
        ("stock_levels.csv", "part_id,part_name,location,quantity_available", "P{0},Bolt,W1,{0}"),
        (
            "Bestand.csv",
            "Artikelnr;Bezeichnung;Filiale;Bestand;Mindestbestand",
            "{0};Ware;F1;{0};5",
        ),
        ("inventory.csv", "SKU,Warehouse,On Hand,Allocated", "S{0},W1,{0},0"),
    ],
)
def test_stock_is_known(name: str, header: str, row: str, tmp_path: Path) -> None:
    found = guessed(tmp_path, lines(header, *(row.format(at) for at in range(1, 15))), name)
    assert (found.verdict, found.drafts[0].table) == ("confident", "stock_levels")
    assert found.figures is not None
    assert found.figures.children == {"stock_levels": 14}


def test_dirty_cells_are_empty_and_their_records_refused(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,{'ERROR' if at == 4 else f'{at}.50'}" for at in range(1, 25)]
    rows += [f"{at},{'UNKNOWN' if at == 40 else '2026-02-03'},A,1.50" for at in range(30, 50)]
    assert booked(guessed(tmp_path, lines(IDS, *rows)))[:2] == ("confirm", 42)


def test_dates_of_two_orders_in_one_column_are_asked_about(tmp_path: Path) -> None:
    rows = [f"{at},{'01-22-24' if at == 9 else f'{at:02}-02-24'},A,1.50" for at in range(1, 24)]
    found = guessed(tmp_path, lines(IDS, *rows))
    assert asked(found) == {"date"}
    assert "01-22-24" in found.questions[0].text
    assert asked(guessed(tmp_path, lines(IDS, *rows), date="date")) == set()


def test_times_alone_are_not_taken_for_amounts_or_ids_without_names(tmp_path: Path) -> None:
    rows = [
        f"2026-01-{1 + at // 2:02},10:30,{1001 + at // 2},A{at % 2},{at}.50" for at in range(1, 24)
    ]
    assert asked(guessed(tmp_path, "\n".join(rows), **SHOP)) == {"id"}
    found = guessed(tmp_path, "\n".join(rows), id="#3", **SHOP)
    assert booked(found)[2] == Decimal("287.50")


def test_a_title_stands_above_columns_of_blanks(tmp_path: Path) -> None:
    rows = [f"{at:02}.01.26 10:30 {500 + at}   {at},50" for at in range(13, 28)]
    text = lines("KASSENJOURNAL", "", "Datum    Zeit  BonNr Betrag", *rows)
    assert booked(guessed(tmp_path, text, "journal.txt", **SHOP))[1:3] == (15, Decimal("307.50"))


def test_what_is_taxed_at_one_rate_is_a_part_of_the_total(tmp_path: Path) -> None:
    rows = [f"{at};2026-01-{at:02};A;{at},10;{at},20;{2 * at},30" for at in range(1, 20)]
    text = lines("Rechnungsnummer;Datum;Filiale;Brutto 19%;Brutto 7%;Gesamt", *rows)
    assert booked(guessed(tmp_path, text))[1:3] == (19, Decimal("385.70"))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"id": 1, "total": 5}\n{"id": 2, "total": 6}\n', "JSON"),
        ("<?xml version='1.0'?>\n<sales></sales>\n", "XML"),
        ("<html><table><tr><td>1</td></tr></table></html>", "HTML"),
    ],
)
def test_what_is_no_table_is_refused_by_its_name(content: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(SampleUnreadable, match=kind):
        guessed(tmp_path, content)


def test_card_numbers_are_told_and_never_shown(tmp_path: Path) -> None:
    rows = [f"{at},2026-01-{at:02},A,4111111111111111,{at}.50,{at}.25" for at in range(1, 20)]
    sample = tmp_path / "cards.csv"
    header = "sale_id,date,store,card number,amount due,amount paid"
    sample.write_text(lines(header, *rows), encoding="utf-8")
    told = run(str(sample))
    assert "card number holds card numbers in 19 rows" in told.stdout
    assert "4111111111111111" not in told.stdout + told.stderr + run(str(sample), "--json").stdout


def test_days_of_one_feed_make_one_mapping(tmp_path: Path) -> None:
    for day in (4, 5, 13):
        rows = [f"{day}{at},A,{day:02}/01/2026 1{at}:00,{at}.50" for at in range(8)]
        text = lines("receipt,store,date,total", *rows)
        (tmp_path / f"sales_2026-01-{day:02}.csv").write_text(text, encoding="utf-8")
    told = json.loads(run(str(tmp_path), "--json").stdout)
    assert [feed["sample"] for feed in told["feeds"]] == ["sales_2026-01-04.csv and 2 more"]
    assert (told["verdict"], told["figures"]["transactions"]) == ("confident", 24)


def test_a_folder_without_files_is_a_usage_error(tmp_path: Path) -> None:
    told = run(str(tmp_path))
    assert "holds 0 files" in str(told.exception)


def test_a_mapping_that_is_not_accepted_is_not_usable(tmp_path: Path) -> None:
    found = guessed(tmp_path, lines(IDS, *ROWS), total="no such column")
    assert found.complaints or asked(found) == {"trial"}
    assert found.verdict == "open"
