"""The mapping document: written empty, filled in by hand, read cell by cell."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import python_calamine
import xlsxwriter
from click.testing import CliRunner

from tilldrop.cli import tilldrop
from tilldrop.errors import DocumentUnreadable
from tilldrop.mapping import targets
from tilldrop.mapping_document import FILES_SHEET, VALUES_SHEET, sheet_tables, write_template
from tilldrop.mapping_document_reading import read_document
from tilldrop.mapping_toml import read_feed
from tilldrop.mapping_words import MEANINGS

if TYPE_CHECKING:
    from pathlib import Path

Cells = dict[str, Any]

SALES: dict[str, Cells] = {
    FILES_SHEET: {"C2": "sales*.csv", "D2": "line item", "E2": "semicolon", "H2": "comma"},
    "transactions": {
        "location_id.D": "Filiale",
        "transaction_id.D": "Datum + Bon Nr",
        "total.F": "Menge * [Preis EUR]",
        "sold_at.D": "Datum + Uhrzeit",
        "sold_at.G": "DD.MM.YYYY HH:mm",
        "kind.D": "Art",
        "channel.E": "store",
        "channel.H": "always the shop",
    },
    "line_items": {"description.D": "Artikel", "quantity.D": "Menge"},
    VALUES_SHEET: {"A2": "kind", "B2": "Storno", "C2": "void"},
}


def filled(path: Path, fill: dict[str, Cells]) -> Path:
    """Write the template again with cells filled in. A cell is "C2", or "total.D" by field."""
    write_template(path)
    with python_calamine.CalamineWorkbook.from_path(path) as book:
        sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
            fields = {str(row[0]): number for number, row in enumerate(rows, start=1)}
            for place, value in fill.get(name, {}).items():
                field, dot, letter = place.rpartition(".")
                sheet.write(f"{letter}{fields[field]}" if dot else place, value)
    return path


def changed(**sheets: Cells) -> dict[str, Cells]:
    return {name: SALES.get(name, {}) | sheets.get(name, {}) for name in {*SALES, *sheets}}


def test_every_target_of_every_table_is_explained() -> None:
    assert {name: set(words) for name, words in MEANINGS.items()} == {
        name: set(targets(name)) for name in sheet_tables()
    }


def test_filled_document_becomes_a_feed(tmp_path: Path) -> None:
    found = read_document(filled(tmp_path / "d.xlsx", SALES))
    assert found.complaints == ()
    [raw] = tomllib.loads(found.toml)["feeds"]
    assert raw["map"] == {
        "location_id": "Filiale",
        "transaction_id": {"join": ["Datum", "Bon Nr"]},
        "total": {"expr": "Menge * [Preis EUR]"},
        "sold_at": {"date": "Datum", "time": "Uhrzeit", "format": "DD.MM.YYYY HH:mm"},
        "kind": {"column": "Art", "values": {"Storno": "void"}},
        "channel": {"const": "store"},
    }
    assert raw["read"]["delimiter"] == ";"
    assert raw["line_items"] == {"description": "Artikel", "quantity": "Menge"}
    assert "# transactions.channel: always the shop" in found.toml
    mistakes: list[str] = []
    assert read_feed(raw, lambda key, text: mistakes.append(f"{key} {text}")), mistakes


def test_three_files_become_three_feeds(tmp_path: Path) -> None:
    fill = changed(
        **{FILES_SHEET: {"C3": "products.csv", "C4": "customers.csv"}},
        products={"product_id.D": "Art Nr", "name.D": "Name"},
        shoppers={"shopper_id.D": "Kd Nr"},
    )
    found = read_document(filled(tmp_path / "d.xlsx", fill))
    assert (found.feeds, found.complaints) == (("sales", "products", "shoppers"), ())


@pytest.mark.parametrize(
    ("sheet", "cells", "place", "told"),
    [
        ("transactions", {"total.D": "Sum"}, "transactions!F4", "one of the three ways"),
        ("transactions", {"sold_at.G": "DD.MM.YYYY"}, "transactions!G5", "hour is missing"),
        ("transactions", {"sold_at.G": ""}, "transactions!D5", '"Date format" is missing'),
        ("transactions", {"tip.G": "DD.MM.YYYY"}, "transactions!G", "one of the three ways"),
        ("transactions", {"total.F": "Menge / 2"}, "transactions!F4", "no division"),
        ("transactions", {"A4": "totl", "D4": "x"}, "transactions!A4", 'did you mean "total"'),
        ("products", {"product_id.D": "Nr"}, "products!D2", "has no name"),
        (FILES_SHEET, {"D2": "line"}, f"{FILES_SHEET}!D2", 'did you mean "line item"'),
        (FILES_SHEET, {"E2": "dot"}, f"{FILES_SHEET}!E2", "expected one of comma, semicolon"),
        (FILES_SHEET, {"F2": "utf-9"}, f"{FILES_SHEET}!F2", "utf-8"),
        (FILES_SHEET, {"A3": "product", "C3": "p.csv"}, f"{FILES_SHEET}!A3", '"products"'),
        (VALUES_SHEET, {"A3": "status", "B3": "x", "C3": "y"}, f"{VALUES_SHEET}!A3", "column"),
        (VALUES_SHEET, {"A3": "kind", "B3": "x"}, f"{VALUES_SHEET}!A3", "your value and ours"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_used_is_told_with_its_cell(
    tmp_path: Path, sheet: str, cells: Cells, place: str, told: str
) -> None:
    found = read_document(filled(tmp_path / "d.xlsx", changed(**{sheet: cells})))
    assert any(one.cell.startswith(place) and told in one.text for one in found.complaints), (
        found.complaints
    )


@pytest.mark.parametrize(
    ("word", "encoding"), [("Windows-1252", "cp1252"), ("UTF8", "utf-8"), ("cp850", "cp850")]
)
def test_encoding_may_be_called_by_any_of_its_names(
    tmp_path: Path, word: str, encoding: str
) -> None:
    found = read_document(filled(tmp_path / "d.xlsx", changed(**{FILES_SHEET: {"F2": word}})))
    assert found.complaints == ()
    assert tomllib.loads(found.toml)["feeds"][0]["read"]["encoding"] == encoding


def test_required_field_that_is_empty_is_told(tmp_path: Path) -> None:
    fill = changed()
    fill["transactions"] = {"location_id.D": "Filiale"}
    fill[VALUES_SHEET] = {}
    told = " ".join(one.text for one in read_document(filled(tmp_path / "d.xlsx", fill)).complaints)
    assert all(name in told for name in ("transaction_id", "total", "sold_at"))


def test_empty_template_says_what_to_do(tmp_path: Path) -> None:
    write_template(tmp_path / "d.xlsx")
    [complaint] = read_document(tmp_path / "d.xlsx").complaints
    assert complaint.text == "no file has a name; give one at least"


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 no archive", b"a,b\n1,2\n"])
def test_what_is_no_workbook_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "d.xlsx").write_bytes(raw)
    with pytest.raises(DocumentUnreadable):
        read_document(tmp_path / "d.xlsx")


def test_verbs_write_and_read_a_document(tmp_path: Path) -> None:
    path = tmp_path / "d.xlsx"
    run = CliRunner().invoke
    assert run(tilldrop, ["mapping", "template", str(path)]).exit_code == 0
    assert run(tilldrop, ["mapping", "template", str(path)]).exit_code == 2
    refused = run(tilldrop, ["mapping", "import", str(path)])
    assert refused.exit_code == 65
    assert "Files!C2: no file has a name" in refused.stderr
    filled(path, SALES)
    done = run(tilldrop, ["mapping", "import", str(path)])
    assert done.exit_code == 0
    assert tomllib.loads(done.stdout)["feeds"][0]["name"] == "sales"
