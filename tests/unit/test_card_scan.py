"""What counts as card data in a file, and what does not.

The numbers are those that the card networks publish for tests.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilldrop.importer import card_columns, card_scan
from tilldrop.importer.card_columns import Known
from tilldrop.importer.cards import is_card, mask
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean
from tilldrop.mapping import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.importer.card_scan import Findings

VISA, MASTERCARD, AMEX = "4111111111111111", "5555555555554444", "378282246310005"
OLD_VISA = "4222222222222"
EAN_THAT_PASSES_AS_VISA = "4000000000006"  # right as EAN-13 and by Luhn
MAX_BYTES = 1024**2


def look(tmp_path: Path, text: str, *ids: str, reading: Reading | None = None) -> Findings:
    path = tmp_path / "file.csv"
    path.write_bytes(text.encode())
    reading = reading or Reading()
    clean, _, _ = prepare(path, reading, tmp_path, MAX_BYTES)
    assert isinstance(clean, Clean), clean
    return card_scan.scan(clean, clean.reading or reading, Known(frozenset(ids)), MAX_BYTES)


def place(found: Findings) -> tuple[str, int, str] | None:
    return (found.fault.code, found.fault.line, found.fault.field) if found.fault else None


@pytest.mark.parametrize(
    "cell",
    [
        VISA,
        f'"{MASTERCARD}"',
        f" {AMEX} ",
        f"'{VISA}",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "4111\u00a01111\u00a01111\u00a01111",
        "4111\u20131111\u20131111\u20131111",
        f"paid with {VISA}",
        f"{VISA} exp 12/27",
        f"Visa:{VISA}",
        f"CARD {OLD_VISA}",
        f"pan={VISA};ok",
        f"{VISA}/12/27",
        f"{VISA}-1227",
        f"#{VISA}#",
        f"2026-01-05 {'4111 1111 1111 1111'}",
        '"two\nlines, 4111111111111111"',
    ],
)
def test_card_number_is_found_however_it_is_written(tmp_path: Path, cell: str) -> None:
    found = look(tmp_path, f"Store,Extra,Total\n1,,1.00\n1,{cell},2.00\n")
    assert place(found) == ("card-data", 3, "Extra")
    assert found.count == 1


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("Order ID", VISA),
        ("Barcode", OLD_VISA),
        ("Extra", EAN_THAT_PASSES_AS_VISA),
        ("Extra", OLD_VISA),  # one number of a kind that few cards are of
        ("Extra", "+4915112345671"),
        ("Extra", "0.4111111111111111"),
        ("Extra", f"{VISA}.25"),
        ("Extra", f"ORD-{VISA}"),
        ("Extra", f"A{VISA}"),
        ("Extra", f"https://example.com/o/{VISA}"),
        ("Note", f"order {VISA} came back"),
        ("Extra", "4111111111111112"),
        ("Extra", "9999999999999995"),
        ("SIRET", "44306184100047"),
        ("Gift Card", "6006491234567893"),
        ("When", "2026-01-05 101500"),
        ("Extra", "41111111111111111111"),
    ],
)
def test_other_long_number_is_none(tmp_path: Path, header: str, cell: str) -> None:
    assert look(tmp_path, f"Store,{header},Total\n1,{cell},2.00\n").fault is None


def test_mapped_id_is_none_whatever_its_column_is_called(tmp_path: Path) -> None:
    text = f"Store,Extra,Total\n1,{VISA},2.00\n"
    assert look(tmp_path, text).fault is not None
    assert look(tmp_path, text, "extra").fault is None


def test_ids_that_are_nearly_all_cards_are_cards(tmp_path: Path) -> None:
    rows = "".join(f"1,{card(number)},2.00\n" for number in range(5))
    found = look(tmp_path, f"Store,Order ID,Total\n{rows}", "order id")
    assert place(found) == ("card-data", 2, "Order ID")


def test_card_among_barcodes_in_its_column_is_found(tmp_path: Path) -> None:
    rows = "".join(f"1,{4006381000000 + number},2.00\n" for number in range(100))
    found = look(tmp_path, f"Store,Extra,Total\n{rows}1,{VISA},2.00\n")
    assert place(found) == ("card-data", 102, "Extra")


@pytest.mark.parametrize("first", ["45", "51", "6799"])
def test_counting_order_numbers_do_not_block_a_feed(tmp_path: Path, first: str) -> None:
    rng = random.Random(7)
    for rows in (2, 3, 10, 100, 1000):
        start = int(first + "".join(rng.choices("0123456789", k=16 - len(first))))
        numbers = [start + 3 * number for number in range(rows)]
        text = "Store,Extra,Total\n" + "".join(f"1,{number},2.00\n" for number in numbers)
        assert look(tmp_path, text).fault is None, (start, rows)


def test_numbers_past_those_weighed_are_still_told_apart(tmp_path: Path) -> None:
    many = card_scan.NUMBERS_WEIGHED + 5_000
    rows = "".join(f"{4500000000000000 + 7 * number},,2.00\n" for number in range(many))
    text = f"No,Extra,Total\n{rows}"
    assert look(tmp_path, text).fault is None
    found = look(tmp_path, f"{text}1,{VISA},2.00\n")
    assert place(found) == ("card-data", many + 2, "Extra")


def test_barcodes_by_the_thousand_are_none(tmp_path: Path) -> None:
    rows = "".join(f"1,{ean(400_000_000_000 + number)},2.00\n" for number in range(30_000))
    assert look(tmp_path, f"Store,Extra,Total\n{rows}").fault is None


def test_number_before_the_header_is_found(tmp_path: Path) -> None:
    text = f"Report for,{VISA}\nStore,Total\n1,2.00\n"
    found = look(tmp_path, text, reading=Reading(header_line=2))
    assert place(found) == ("card-data", 1, "line 1")


def test_number_in_a_line_left_out_is_found(tmp_path: Path) -> None:
    text = f"Store,Total\n1,2.00\nEnd;card {VISA}\n"
    found = look(tmp_path, text, reading=Reading(skip_lines="^End"))
    assert found.fault is not None
    assert found.fault.code == "card-data"


@pytest.mark.parametrize(
    "cell",
    [
        "%B4111111111111111^DOE/JANE^27121010000000000000?",
        ";4111111111111111=27121010000000000000?",
        "4111111111111111D27121010000000000",
    ],
)
def test_magnetic_stripe_is_found(tmp_path: Path, cell: str) -> None:
    found = look(tmp_path, f"Store,Extra,Total\n1,{cell},2.00\n")
    assert found.fault is not None
    assert (found.fault.code, found.fault.line) == ("card-track-data", 2)


@pytest.mark.parametrize("name", ["CVV", "cvc2", "Card Security Code", "CardVerificationValue"])
def test_verification_code_is_found(tmp_path: Path, name: str) -> None:
    found = look(tmp_path, f"Store,{name},Total\n1,,1.00\n1,123,2.00\n")
    assert place(found) == ("card-code", 3, name)


@pytest.mark.parametrize(
    ("name", "cell"),
    [("Card CVC Status", "123"), ("CVV", "pass"), ("CVV", ""), ("Promo Code", "123")],
)
def test_outcome_of_a_check_is_no_code(tmp_path: Path, name: str, cell: str) -> None:
    assert look(tmp_path, f"Store,{name},Total\n1,{cell},2.00\n").fault is None


def test_number_in_a_record_over_several_lines_is_found_at_its_first(tmp_path: Path) -> None:
    filler = "word " * 5_000
    text = f'Store,Note,Extra\n1,"a\nb",x\n1,"{filler}\nend",{VISA}\n'
    assert place(look(tmp_path, text)) == ("card-data", 4, "Extra")


def test_fault_tells_lines_and_columns_and_no_digits(tmp_path: Path) -> None:
    text = f"Store,Extra,Memo\n1,{VISA},\n1,{MASTERCARD},\n1,{AMEX},\n1,,card {VISA}\n"
    found = look(tmp_path, text)
    assert found.fault is not None
    assert found.fault.seen == "line 2, line 3, line 4, 4 in all; also in Memo"
    assert not any(number in repr(found) for number in (VISA, MASTERCARD, AMEX))


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_column_is_right_in_other_dialects(tmp_path: Path, delimiter: str) -> None:
    text = f'Store,Name,Extra\n1,"a,b ""c""",{VISA}\n'
    if delimiter != ",":
        text = text.replace(",", delimiter)
    found = look(tmp_path, text, reading=Reading(delimiter=delimiter))
    assert place(found) == ("card-data", 2, "Extra")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("CardNumber", "card"),
        ("credit_card", "card"),
        ("Gift Card No", "store"),
        ("Credit Card Transaction ID", "id"),
        ("OrderId", "id"),
        ("EAN", "id"),
        ("Notes", "text"),
        ("Zahlung", "other"),
        ("Shipping", "other"),
    ],
)
def test_kind_of_a_column_follows_from_its_words(name: str, kind: str) -> None:
    assert card_columns.kind_of(name, Known()) == kind


def card(number: int) -> str:
    """Make a number that could be a Visa card."""
    start = f"41112222{number:07d}"
    return next(start + str(last) for last in range(10) if is_card(f"{start}{last}".encode()))


def ean(twelve: int) -> str:
    digits = f"{twelve:012d}"
    added = sum(int(digit) * (1, 3)[at % 2] for at, digit in enumerate(digits))
    return f"{digits}{-added % 10}"


STARTS = st.sampled_from(
    [("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("36", 14), ("6011", 16)]
)
GROUPS = st.sampled_from([(), (4, 4, 4, 4), (4, 6, 5), (4, 6, 4)])


@st.composite
def written_cards(draw: st.DrawFn) -> str:
    """Make a usual card number, in one piece or in groups."""
    first, length = draw(STARTS)
    digits = draw(st.text("0123456789", min_size=length, max_size=length))
    start = first + digits[len(first) : -1]
    number = next(start + str(last) for last in range(10) if is_card(f"{start}{last}".encode()))
    groups = draw(GROUPS)
    if sum(groups) != length:
        return number
    ends = list(accumulate(groups))
    pieces = [number[end - size : end] for size, end in zip(groups, ends, strict=True)]
    return draw(st.sampled_from([" ", "-"])).join(pieces)


@given(
    card=written_cards(),
    before=st.sampled_from(["", "paid ", "tel 0221 47110815, ", "2026-01-05, "]),
    after=st.sampled_from(["", " ok", ", thanks", " 12/27"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    rows=st.integers(0, 30),
)
@settings(max_examples=150, deadline=None)
def test_any_usual_card_is_found_where_it_stands_and_gone_when_masked(
    tmp_path_factory: pytest.TempPathFactory,
    card: str,
    before: str,
    after: str,
    delimiter: str,
    rows: int,
) -> None:
    filler = "".join(f'{row}{delimiter}"a{delimiter}b"{delimiter}12.50\n' for row in range(rows))
    header = delimiter.join(["No", "Remark", "Total"]) + "\n"
    text = f'{header}{filler}1{delimiter}"{before}{card}{after}"{delimiter}1.00\n{filler}'
    reading = Reading(delimiter=delimiter)
    folder = tmp_path_factory.mktemp("cards")
    found = look(folder, text, reading=reading)
    assert place(found) == ("card-data", rows + 2, "Remark")
    assert look(folder, mask(text), reading=reading).fault is None
