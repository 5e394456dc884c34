"""The mapping language: how a feed's columns become the columns of our tables.

Owns its grammar (below), the reading of it from TOML with every mistake reported, and the
`Feed` value that the importer compiles. Never reads a customer's file, never writes SQL.

Grammar, as written in `config/customers/NAME.toml`:

    [[feeds]]
    name = "sales"                    # unique within the customer; letters, digits, - and _
    files = "sales*.csv"              # one pattern or several; * ? [..]; case is ignored;
                                      # "transactions/*.csv" makes a folder in the view
    rows = "per-transaction"          # or "per-line": rows of one transaction are grouped
    max_fault_share = 0.10            # past this share of faulty rows the file is refused

    [feeds.read]                      # how the file is written; all have defaults
    encoding = "utf-8"                # utf-8 utf-16 utf-16-le utf-16-be cp1252 latin-1
    delimiter = ","                   # one character; "tab" also means the tabulator
    quote = '"'                       # one character, or "" for none
    header_line = 1                   # physical line of the column names; 0: there are none,
                                      # and columns are called "#1", "#2", ...
    decimal = "."                     # or ","
    thousands = ""                    # "" , . ' or a blank (which also covers no-break blanks)

    [feeds.map]                       # target = source
    location_id = "Branch"            # a column's name, or
    location_id = { const = "12" }
    location_id = { file_name = 'store-(\\d+)' }    # a regular expression with one group
    transaction_id = { join = ["Date", "Till", "No"], with = "-" }   # no part may be empty
    total = "Total"
    total = { expr = "Quantity * [Unit Price] * (1 - Discount)" }
    total = { column = "Total", take = "first" }    # per-line only: "sum" or "first"
    sold_at = { date = "Date", time = "Time", format = "D/M/YYYY HH:mm" }
    sold_at = { date = "Created at", format = ["iso", "D.M.YY H:mm"], zone = "Europe/Paris" }

Targets are `location_id`, `transaction_id`, `total`, `sold_at` (all four required; a feed of
dates without times leaves out `time`) and, optional, the other columns of
`rows.TRANSACTIONS`, where `x_minor` is written `x`.
Column names are compared without case and surrounding blanks; a column whose name is not a
plain word stands in [brackets] inside an expression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rows = Literal["per-transaction", "per-line"]
Take = Literal["sum", "first"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    quote: str = '"'
    header_line: int = 1
    decimal: str = "."
    thousands: str = ""


@dataclass(frozen=True, slots=True)
class FromColumn:
    """The value of one column. take: how rows of one transaction are joined ("" outside)."""

    column: str
    take: Take = "first"


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value in every row."""

    value: str


@dataclass(frozen=True, slots=True)
class FromFileName:
    """What the pattern's one group finds in the file's name (its last part, case kept)."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Several columns' values, blanks trimmed, joined; no part may be empty."""

    columns: tuple[str, ...]
    glue: str


# An expression is a tree: ("column", name) | ("number", decimal text)
# | ("+" | "-" | "*", left, right) | ("negate", operand). There is no division: it is not exact.
Tree = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Computed:
    """Exact arithmetic over columns. text: as written; tree: parsed; columns: those it names."""

    text: str
    tree: Tree
    columns: tuple[str, ...]
    take: Take = "sum"


@dataclass(frozen=True, slots=True)
class SoldAt:
    """Date and time of sale.

    date: a column. time: a column or "" (the date column may hold both).
    formats: for date, or date + " " + time if `time` is given; tried in order.
    zone: IANA name, "" for the customer's; used where the value itself names no offset.
    """

    date: str
    time: str
    formats: tuple[str, ...]
    zone: str


Source = FromColumn | Constant | FromFileName | Joined | Computed | SoldAt


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of file that a customer sends. sources: target (as mapped) -> source."""

    name: str
    files: tuple[str, ...]
    rows: Rows
    max_fault_share: float
    reading: Reading
    sources: dict[str, Source]
