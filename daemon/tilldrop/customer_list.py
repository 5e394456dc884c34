"""The list that `tilldrop customer import` reads: many customers in one CSV file.

A header line, then a customer a line; comma, semicolon or tab between the columns, UTF-8:

    name            login name, required
    zone, currency  of its tills; empty: those of `like`, or those it has already
    key             a public key, as in NAME.pub
    key_file        a file with public keys, relative to the list
    password_hash   argon2, bcrypt or sha512-crypt, as another server kept it
    like            a customer whose feeds it gets; new customers only

Promises that all mistakes are told at once, each with its line, and that no hash or key is
repeated in what is told. Never writes anything.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilldrop import passwords
from tilldrop.config import CUSTOMER_NAME, NAME_EXPECTED
from tilldrop.errors import KeyUnusable, ListInvalid
from tilldrop.public_keys import keys_in, read_keys
from tilldrop.toml_table import nearest
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tilldrop.config_customers import Customer
    from tilldrop.public_keys import PublicKey

COLUMNS = ("name", "zone", "currency", "key", "key_file", "password_hash", "like")
MAX_LIST_BYTES = 64 * 1024**2  # some 100,000 customers
MISTAKES_TOLD = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """One customer as the list wants it. like: whose feeds it gets. is_new: not configured yet."""

    line: int
    name: str
    is_new: bool
    zone: str
    currency: str
    keys: tuple[PublicKey, ...]
    password_hash: str
    like: str


def read(
    path: Path, known: Mapping[str, Customer], *, like: str = "", update: bool = False
) -> tuple[Wanted, ...]:
    """Read and check a list.

    known: the customers that are configured. like: for lines that name none. update: whether the
    list may name customers that exist. Raises ListInvalid with every mistake, a line each.
    """
    mistakes: list[str] = []
    found: list[Wanted] = []
    lines_of: dict[str, int] = {}
    for line, row in _rows(path, mistakes):

        def complain(what: str, line: int = line) -> None:
            mistakes.append(f"line {line}: {what}")

        name = row["name"]
        if name and lines_of.setdefault(name, line) != line:
            complain(f"{name} stands in line {lines_of[name]} already")
            continue
        if name in known and not update:
            complain(f"customer {name} exists already; --update changes it")
            continue
        found.append(_wanted(line, row, known, like, path.parent, complain))
    if not found and not mistakes:
        mistakes.append("there is no customer in it")
    if mistakes:
        told = mistakes[:MISTAKES_TOLD]
        if len(mistakes) > len(told):
            told.append(f"and {len(mistakes) - len(told)} more")
        count = f"{len(mistakes)} mistake{'s'[: len(mistakes) > 1]}"
        raise ListInvalid("\n".join((f"{path}: {count}, nothing was written", *told)))
    return tuple(found)


def _rows(path: Path, mistakes: list[str]) -> list[tuple[int, dict[str, str]]]:
    """Return each record with its line; its fields by column, blanks around them trimmed."""
    try:
        text = _text_of(path)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
        header = [name.strip().casefold() for name in next(reader, [])]
        _check_header(header, mistakes)
        rows = []
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) > len(header):
                mistakes.append(
                    f"line {reader.line_num}: {len(fields)} fields where {len(header)} are expected"
                )
                continue
            named = dict(zip(header, (field.strip() for field in fields), strict=False))
            rows.append((reader.line_num, {name: named.get(name, "") for name in COLUMNS}))
    except csv.Error as problem:
        mistakes.append(f"line {reader.line_num}: {problem}")
        return []
    return [] if "name" not in header else rows


def _text_of(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(MAX_LIST_BYTES + 1)
    if len(content) > MAX_LIST_BYTES:
        raise ListInvalid(f"{path}: is larger than {MAX_LIST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a byte order mark
    except UnicodeDecodeError as problem:
        raise ListInvalid(f"{path}: not UTF-8: byte {problem.start}; save it as UTF-8") from problem


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)


def _check_header(header: list[str], mistakes: list[str]) -> None:
    if "name" not in header:
        mistakes.append(f"line 1: no column is called name; known are {', '.join(COLUMNS)}")
    for at, name in enumerate(header):
        if name and name not in COLUMNS:
            hint = nearest(name, COLUMNS) or f"; known are {', '.join(COLUMNS)}"
            mistakes.append(f"line 1: there is no column {name[:40]!r}{hint}")
        elif name in header[:at]:
            mistakes.append(f"line 1: the column {name or '(empty)'} stands twice")


def _wanted(
    line: int,
    row: Mapping[str, str],
    known: Mapping[str, Customer],
    like: str,
    folder: Path,
    complain: Callable[[str], None],
) -> Wanted:
    """Check one line, complaining of all that is wrong with it."""
    name = row["name"]
    if not CUSTOMER_NAME.fullmatch(name):
        complain(f"{name!r} cannot be a customer's name; expected {NAME_EXPECTED}")
    like = row["like"] or like
    if like and like not in known:
        complain(f"like: there is no customer {like!r}{nearest(like, known)}")
    model = known.get(name) or known.get(like)
    zone = row["zone"] or (model.zone if model else "")
    if not is_zone(zone):
        complain(f"zone: there is no zone {zone!r}{nearest_zone(zone)}")
    currency = row["currency"] or (model.currency if model else "")
    if currency not in CURRENCIES:
        complain(f"currency: there is no currency {currency!r}{nearest_currency(currency)}")
    if row["password_hash"]:
        try:
            passwords.kind(row["password_hash"])
        except ValueError as problem:
            complain(f"password_hash: {problem}")
    keys = _keys(row, folder, complain)
    return Wanted(line, name, name not in known, zone, currency, keys, row["password_hash"], like)


def _keys(
    row: Mapping[str, str], folder: Path, complain: Callable[[str], None]
) -> tuple[PublicKey, ...]:
    keys: tuple[PublicKey, ...] = ()
    try:
        if row["key"]:
            keys += keys_in(row["key"], "key")
        if row["key_file"]:
            keys += read_keys(folder / row["key_file"])
    except KeyUnusable as problem:
        for what in str(problem).splitlines():
            complain(what)
    return keys
