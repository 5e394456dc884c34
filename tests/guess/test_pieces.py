"""The pieces of a guess, each by what it promises."""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.guess import dates, marks, proofs, words, write
from tilldrop.guess.dialect import find_dialect
from tilldrop.guess.draft import Draft, Option, Question
from tilldrop.guess.encodings import find_encoding
from tilldrop.guess.sample import take_sample

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("values", "decimal", "thousands", "certain"),
    [
        (["1.5", "2"], ".", "", True),
        (["1,5", "1.234,50"], ",", ".", True),
        (["$1,149.00", "-$12.96"], ".", ",", True),
        (["12 345,10"], ",", " ", True),
        (["1'200.50"], ".", "'", True),
        (["0.125"], ".", "", True),
        (["1.234.567"], ",", ".", True),
        (["1.234", "2.345"], ".", "", False),
        (["12", "7"], ".", "", True),
        (["12,50 €", "3,00 €"], ",", "", True),
    ],
)
def test_marks_are_certain_only_where_a_value_proves_them(
    values: list[str], decimal: str, thousands: str, *, certain: bool
) -> None:
    found = marks.decide([Counter(values)])
    assert (found.decimal if certain else decimal) == decimal
    assert (found.thousands, found.certain) == (thousands, certain)


def test_no_sign_is_both_marks() -> None:
    found = marks.decide([Counter(["1.5", "2.25", "3.75", "234.569.021"])])
    assert found.decimal == "."
    assert found.thousands != found.decimal
    assert marks.form(found).read("234.569.021") is None


def test_contradicting_marks_are_a_doubt() -> None:
    assert marks.decide([Counter(["1.50", "2.25"]), Counter(["1,50", "2,25"])]).doubt


@pytest.mark.parametrize(
    ("values", "orders"),
    [
        (["1/5/2019", "3/25/2019"], {"mdy"}),
        (["25/12/2025 14:05"], {"dmy"}),
        (["03/04/2026"], {"dmy", "mdy"}),
        (["20260102"], {"ymd"}),
        (["2026-01-02T10:00:00+01:00"], {"ymd"}),
        (["16-Dec-2023 02:44 AM EST"], {"dmy"}),
        (["Jan 5, 2026"], {"mdy"}),
    ],
)
def test_every_order_that_reads_all_values_is_told(values: list[str], orders: set[str]) -> None:
    found = dates.find_dates(Counter(values), named=True)
    assert found is not None
    assert set(found.readings) == orders


@pytest.mark.parametrize(
    ("value", "written"),
    [("14/03/2026 14h35", "DD/MM/YYYY H'h'mm"), ("14/03/2026 9 h 05", "DD/MM/YYYY H' h 'mm")],
)
def test_hours_may_be_followed_by_an_h(value: str, written: str) -> None:
    found = dates.find_dates(Counter([value]), named=True)
    assert found is not None
    assert found.readings["dmy"] == (written,)
    assert dates.find_times(Counter([value.partition(" ")[2]]), named=True) != ""


@given(
    st.dates(date(2000, 1, 1), date(2068, 12, 31)),
    st.sampled_from(["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%Y/%m/%d"]),
)
def test_the_true_order_is_always_among_those_told(day: date, form: str) -> None:
    text = day.strftime(form)
    found = dates.find_dates(Counter([text]), named=True)
    assert found is not None
    read = [at.date() for written in found.readings.values() if (at := dates.read(text, written))]
    assert day in read


@given(st.lists(st.dates(date(2026, 3, 1), date(2026, 3, 31)), min_size=1, max_size=40))
def test_day_and_month_are_never_told_apart_wrongly_with_certainty(days: list[date]) -> None:
    texts = [day.strftime("%d/%m/%Y") for day in days]
    found = dates.find_dates(Counter(texts), named=True)
    assert found is not None
    told = dates.tell_order(texts, found, [], [], TODAY)
    read = [
        at.date() for text in texts if (at := dates.read(text, found.readings[told.order or "dmy"]))
    ]
    assert told.confidence != "high" or read == days


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Übergröße: Müller, Käse", "cp1252"),
        ("Übergröße: Müller, Käse", "cp850"),
        ("é à ç œuvre €", "utf-8"),
    ],
)
def test_encoding_is_found_by_its_letters(text: str, encoding: str) -> None:
    raw = "\n".join([text] * 20).encode(encoding)
    found = find_encoding(raw).name
    assert raw.decode(found) == raw.decode(encoding)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found_among_others_in_the_cells(delimiter: str) -> None:
    quoted = [delimiter.join((str(at), '"a,b;c|d"', f'"{at},50"', "text")) for at in range(30)]

    found = find_dialect("\n".join([delimiter.join(("Id", "Name", "Amount", "Note")), *quoted]))
    assert (found.delimiter, found.header_line) == (delimiter, 1)


def test_tax_is_told_on_top_or_within_by_the_usual_rates() -> None:
    amounts: list[float | None] = [round(3.37 * at + 1.1, 2) for at in range(1, 60)]
    on_top: list[float | None] = [round((a or 0) * 0.19, 2) for a in amounts]
    within: list[float | None] = [round((a or 0) * 0.19 / 1.19, 2) for a in amounts]
    odd: list[float | None] = [round((a or 0) * 0.137, 2) for a in amounts]
    assert proofs.tax_within(amounts, on_top) == "on top"
    assert proofs.tax_within(amounts, within) == "within"
    assert proofs.tax_within(amounts, odd) == ""


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Belegnummer", "transaction"), ("N° de ticket", "transaction"), ("Nº Factura", "transaction"),
        ("Numero scontrino", "transaction"), ("Bonnummer", "transaction"), ("Check #", "transaction"),
        ("Kundennr", "shopper"), ("Filialnr", "location"), ("Point de vente", "location"),
        ("Kassennummer", "register"), ("Row ID", "line"), ("Artikelnummer", "product"),
        ("Uhrzeit", "time"), ("Fecha", "date"), ("Zahlungsart", "tender"), ("Menge", "quantity"),
        ("Prix unitaire", "unit-price"), ("MwSt", "tax"), ("Totaal incl. BTW", "total"),
    ],
)  # fmt: skip
def test_names_are_known_in_seven_languages(name: str, role: str) -> None:
    assert words.strength(role, name) >= 7


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_written_is_read_again_as_it_was(name: str, value: str) -> None:
    draft = Draft("sales", ["*.csv"], sample=name)
    draft.put("location_id", value, name, "high")
    draft.put("tender", {"column": name, "values": {value: "sale", name: "refund"}}, value)
    draft.ask(Question("location", value, (Option(name, value),)))
    read = tomllib.loads(write.to_toml([draft]))["feeds"][0]["map"]
    assert read == {
        "location_id": value,
        "tender": {"column": name, "values": {value: "sale", name: "refund"}},
    }


def test_a_day_or_month_of_one_digit_leaves_both_open() -> None:
    found = dates.find_dates(Counter(["11/1/2000", "11/12/2000", "11/22/2000"]), named=True)
    assert found is not None
    assert found.readings == {"mdy": ("M/D/YYYY",)}


def test_a_price_that_grows_with_the_quantity_is_the_lines() -> None:
    goods = ["tea", "tea", "cake"] * 5
    pieces: list[float | None] = [1.0, 2.0, 3.0] * 5
    assert proofs.is_of_line([2.0, 4.0, 9.0] * 5, pieces, goods)
    assert not proofs.is_of_line([2.0, 2.0, 3.0] * 5, pieces, goods)


@pytest.mark.parametrize("names", [(), ("names",), ("nothing",), ("names", "nothing")])
def test_rows_that_repeat_the_names_or_hold_nothing_are_no_records(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    odd = {"names": "No,Date,Total\n", "nothing": ",,\n"}
    rows = [f"{number},2026-03-02,{number}.50\n" for number in range(1, 9)]
    text = (
        "No,Date,Total\n"
        + "".join(rows[:4])
        + "".join(odd[one] for one in names)
        + "".join(rows[4:])
    )
    path = tmp_path / "sales.csv"
    path.write_text(text)
    found = take_sample(path)
    assert (found.rows, found.echoes) == (8, frozenset(names))
