"""How often the search for card numbers is wrong: `python -m tests.card_figures [FILES]`.

Prints the tables of docs/card-data.md: files of other numbers that would be refused, and card
numbers in disguise that are found. FILES: made-up files for each figure, 1000 unless given.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import xlsxwriter

from tilldrop.importer import card_scan
from tilldrop.importer.card_columns import Known
from tilldrop.importer.cards import is_card
from tilldrop.importer.parts import Limits
from tilldrop.importer.reading import prepare
from tilldrop.importer.stage import Clean
from tilldrop.mapping import Reading

SEED = 7
ROWS = (1, 2, 5, 20, 200)
RECORD_MOST = 1 << 20
LIMITS = Limits(1 << 30, 1000, 1 << 30)
Make = Callable[[], Callable[[], str]]
PLAIN, MAPPED = Known(), Known(ids=frozenset({"ref"}))

# Test numbers as the networks and acquirers publish them.
CARDS = {
    "Visa": ("4111111111111111", "4012888888881881", "4242424242424242"),
    "Mastercard": ("5555555555554444", "5105105105105100", "2223003122003222"),
    "American Express": ("378282246310005", "371449635398431"),
    "Diners": ("30569309025904", "36227206271667"),
    "Discover": ("6011111111111117", "6011000990139424"),
    "JCB": ("3530111333300000", "3566002020360505"),
    "UnionPay": ("6200000000000005", "6205500000000000004"),
    "Maestro": ("6759649826438453", "6304000000000000"),
    "Visa, 13 digits": ("4222222222222",),
}


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# -- other numbers -------------------------------------------------------------------------------


def at_random(length: int) -> Make:
    return lambda: lambda: str(random.randrange(10 ** (length - 1), 10**length))


def counting(length: int, first: str) -> Make:
    def make() -> Callable[[], str]:
        number = int(first + "".join(random.choices("0123456789", k=length - len(first))))
        steps = iter(range(10**9))
        return lambda: str(number + next(steps))

    return make


def checked(first: str, length: int, check: Callable[[str], str]) -> Make:
    """Make numbers with that beginning and a right check digit."""

    def number() -> str:
        some = "".join(random.choices("0123456789", k=length - 1 - len(first)))
        return check(first + some)

    return lambda: number


def luhn(digits: str) -> str:
    doubled = [int(one) * (2 - at % 2) for at, one in enumerate(reversed(digits))]
    return digits + str(-sum(one // 10 + one % 10 for one in doubled) % 10)


def barcode(digits: str) -> str:
    weighed = [int(one) * (3 - 2 * (at % 2)) for at, one in enumerate(reversed(digits))]
    return digits + str(-sum(weighed) % 10)


def moments(form: Callable[[float], str]) -> Make:
    def make() -> Callable[[], str]:
        began = random.uniform(1.6e9, 1.9e9)
        return lambda: form(began + random.uniform(0, 86_400))

    return make


NUMBERS: dict[str, tuple[Make, str]] = {
    "16 digits at random": (at_random(16), "Order"),
    "16 digits, counting up from 45...": (counting(16, "45"), "Order"),
    "13 digits at random": (at_random(13), "Order"),
    "19 digits at random": (at_random(19), "Order"),
    "EAN-13": (checked("40", 13, barcode), "Barcode"),
    "GTIN-14": (checked("1", 14, barcode), "GTIN"),
    "telephones, 13 digits": (checked("49151", 12, lambda some: some + "7"), "Phone"),
    "IMEI (15 digits, same check digit)": (checked("35", 15, luhn), "IMEI"),
    "loyalty cards (19 digits, same check digit)": (checked("6331", 19, luhn), "Loyalty Card"),
    "SIRET (14 digits, same check digit)": (checked("36", 14, luhn), "SIRET"),
    "milliseconds since 1970": (moments(lambda at: f"{at * 1e3:.0f}"), "Timestamp"),
    "microseconds since 1970": (moments(lambda at: f"{at * 1e6:.0f}"), "Timestamp"),
    "YYYYMMDDHHMMSS": (
        moments(lambda at: time.strftime("%Y%m%d%H%M%S", time.gmtime(at))),
        "Created At",
    ),
}


def refused(folder: Path, make: Make, header: str, known: Known, rows: int, files: int) -> str:
    """Return how many files in a hundred are refused, and would be by the check digit alone."""
    by_rule = by_digit = 0
    path = folder / "other.csv"
    for _ in range(files):
        number = make()
        numbers = [number() for _ in range(rows)]
        path.write_text(f"{header},b\n" + "".join(f"{one},y\n" for one in numbers))
        by_rule += is_found(path, known)
        by_digit += any(is_card(one.encode()) for one in numbers)
    return f"{100 * by_rule / files:.2g} ({100 * by_digit / files:.2g})"


def tell_refused(folder: Path, files: int) -> None:
    tell("| numbers | rows | called as it should be | mapped as an id | column called `Xyz` |")
    tell("|---|---|---|---|---|")
    for what, (make, name) in NUMBERS.items():
        for rows in ROWS:
            some = max(50, files // max(1, rows // 5))
            cells = [
                refused(folder, make, header, known, rows, some)
                for header, known in ((name, PLAIN), ("Ref", MAPPED), ("Xyz", PLAIN))
            ]
            tell(f"| {what} | {rows} | {' | '.join(cells)} |")
            what = ""  # noqa: PLW2901  once is enough


# -- card numbers --------------------------------------------------------------------------------


def grouped(number: str, between: str) -> str:
    sizes = (4, 6, 5) if len(number) == 15 else (4, 6, 4) if len(number) == 14 else (4,) * 5
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return between.join(part for part in parts if part)


FORMS: dict[str, Callable[[str], str]] = {
    "in one piece": str,
    "with blanks": lambda one: grouped(one, " "),
    "with dashes": lambda one: grouped(one, "-"),
    "with no-break spaces": lambda one: grouped(one, "\xa0"),
    "with dots": lambda one: grouped(one, "."),
    "in quotes": lambda one: f'"{one}"',
    "with Excel's apostrophe": lambda one: f"'{one}",
    'as ="..."': lambda one: f'"=""{one}"""',
    "within a text: paid by card ...": lambda one: f"paid by card {one}",
    "within JSON": lambda one: f'"{{""pan"": ""{one}""}}"',
    "as a number with .0": lambda one: f"{one}.0",
    "with an exponent, all digits": lambda one: f"{one[0]}.{one[1:]}E+{len(one) - 1}",
    "with thousands marks": lambda one: f'"{int(one):,}"',
    "behind letters: REF4111...": lambda one: f"REF{one}",
    "over two cells": lambda one: f"{one[:8]},{one[8:]}",
}


def is_found(path: Path, known: Known = PLAIN, encoding: str = "utf-8") -> bool:
    with tempfile.TemporaryDirectory() as folder:
        clean, _, _ = prepare(
            path, Reading(encoding=encoding), Path(folder), RECORD_MOST, limits=LIMITS
        )
        assert isinstance(clean, Clean), clean
        reading = clean.reading or Reading()
        return card_scan.scan(clean, reading, known, RECORD_MOST).fault is not None


def tell_found(folder: Path) -> None:
    numbers = [one for some in CARDS.values() for one in some]
    names = ("Card No", "Note", "Xyz", "Order")
    tell(f"\n| one of {len(numbers)} card numbers in a file | {' | '.join(names)} |")
    tell("|---|---|---|---|---|")
    path = folder / "card.csv"
    for what, form in FORMS.items():
        found = []
        for name in names:
            hits = 0
            for number in numbers:
                path.write_text(f"{name},b\n{form(number)},y\n")
                hits += is_found(path)
            found.append(hits)
        tell(f"| {what} | {' | '.join(map(str, found))} |")
    files: dict[str, Callable[[str, str], bytes]] = {
        "in UTF-16": lambda one, name: f"{name},b\n{one},y\n".encode("utf-16"),
        "a text in a workbook": book,
        "a number in a workbook": lambda one, name: book(float(one), name),
    }
    for what, make in files.items():
        found = []
        for name in names:
            hits = 0
            for number in numbers:
                path.write_bytes(make(number, name))
                hits += is_found(path, encoding="utf-16" if "UTF" in what else "utf-8")
            found.append(hits)
        tell(f"| {what} | {' | '.join(map(str, found))} |")


def book(cell: str | float, name: str) -> bytes:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, (name, "b"))
        sheet.write_row(1, 0, (cell, "y"))
    return made.getvalue()


# -- cost ----------------------------------------------------------------------------------------


def tell_cost(folder: Path) -> None:
    tell("\nprocessor time of the search, a million rows of 12 columns:")
    path = folder / "long.csv"
    columns: dict[str, Callable[[int], str]] = {
        "without long numbers": str,
        "with a barcode each": lambda at: barcode(f"40{at:010d}"),
        "with an order number of 14 digits each": lambda at: str(10**13 + 7 * at),
    }
    for what, column in columns.items():
        with path.open("w") as file:
            file.write("Order,Store,Date,Time,Total,Net,Tax,Kind,Till,Cashier,Tender,Note\n")
            rest = "12,2026-03-14,10:30,12.50,10.50,2.00,sale,3,ada,cash,two for one"
            file.writelines(f"{column(at)},{rest}\n" for at in range(1_000_000))
        clean, _, _ = prepare(path, Reading(), folder, RECORD_MOST, limits=LIMITS)
        assert isinstance(clean, Clean)
        began = time.process_time()
        card_scan.scan(clean, Reading(), PLAIN, RECORD_MOST)
        size = path.stat().st_size / 1e6
        tell(f"- {what} ({size:.0f} MB): {time.process_time() - began:.2f} s")


def main(files: int) -> None:
    random.seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        tell_found(Path(folder))
        tell_cost(Path(folder))
        tell_refused(Path(folder), files)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
