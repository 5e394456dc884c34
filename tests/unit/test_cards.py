"""Card numbers are found and masked, and little else is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilldrop.importer.cards import is_card, mask, mask_name

NUMBERS = {
    "visa": "4111111111111111",
    "visa of 13": "4222222222222",
    "visa of 19": "4000000000000000006",
    "mastercard": "5555555555554444",
    "mastercard of the 2 series": "2223003122003222",
    "american express": "378282246310005",
    "discover": "6011111111111117",
    "diners club": "30569309025904",
    "jcb": "3530111333300000",
    "unionpay": "6200000000000005",
    "maestro": "6759649826438453",
    "mir": "2200000000000004",
    "troy": "9792000000000003",
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_card_number_keeps_its_first_six_and_last_four_digits(number: str) -> None:
    shown = number[:6] + "*" * (len(number) - 10) + number[-4:]
    assert mask(number) == shown
    assert mask(f"a;{number};b") == f"a;{shown};b"
    assert mask(f"x{number}y") == f"x{shown}y"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("4111 1111 1111 1111", "4111 11** **** 1111"),
        ("4111-1111-1111-1111", "4111-11**-****-1111"),
        ("3782 822463 10005", "3782 82**** *0005"),
        ("4111\u00a01111\u00a01111\u00a01111", "4111\u00a011**\u00a0****\u00a01111"),
        ("2 4111111111111111", "2 411111******1111"),
        ("4111111111111111 1", "411111******1111 1"),
        ("20260105-4111111111111111", "20260105-411111******1111"),
        ("5555555555554444 and 4111111111111111", "555555******4444 and 411111******1111"),
        ("5555555555554444 4111111111111111", "555555******4444 411111******1111"),
        ("\uff14111111111111111", "\uff1411111******1111"),
    ],
    ids=lambda text: str(text)[:24],
)
def test_card_number_is_found_among_blanks_dashes_and_other_numbers(text: str, shown: str) -> None:
    assert mask(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4111111111111112",  # check digit
        "7111111111111114",  # nobody issues it
        "411111111111",  # 12 digits
        "41111111111111111111",  # 20 digits
        "4111  1111  1111  1111",  # no card is written so
        "2026-01-05 13:08",
        "1234.56",
        "EAN 4006381333931",
    ],
)
def test_other_numbers_stay_as_they_are(text: str) -> None:
    assert mask(text) == text


@given(st.text(st.sampled_from("0123456789 -;4"), max_size=60))
def test_masking_changes_nothing_but_digits_and_leaves_no_card_alone(text: str) -> None:
    masked = mask(text)
    assert len(masked) == len(text)
    assert all(new in (old, "*") for old, new in zip(text, masked, strict=True))
    assert not any(is_card(number.encode()) for number in re.findall(r"(?<!\d)\d+(?!\d)", masked))
    assert mask(masked) == masked


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("pay-4539578763621486.csv", "pay-453957xxxxxx1486.csv"),
        ("4539 5787 6362 1486.csv", "4539 57xx xxxx 1486.csv"),
        ("4539-5787-6362-1486", "4539-57xx-xxxx-1486"),
        ("378282246310005.txt", "378282xxxxx0005.txt"),
        ("4539578763621487.csv", "4539578763621487.csv"),  # the check digit is wrong
        ("5512202603141034.csv", "5512202603141034.csv"),  # shop, day and time
        ("5512-20260314-1034.csv", "5512-20260314-1034.csv"),
        ("20260314103000123.csv", "20260314103000123.csv"),
        ("45395787636214860.csv", "45395787636214860.csv"),  # one digit more
        ("sales.csv", "sales.csv"),
    ],
)
def test_card_number_in_a_name_is_masked_and_no_day(name: str, kept: str) -> None:
    assert mask_name(name) == kept
    assert mask_name(kept) == kept
