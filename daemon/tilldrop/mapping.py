r"""The mapping language: how a feed's columns become the columns of our tables.

Owns its grammar (below), the `Feed` value that the importer compiles, and which feed takes a
name. `mapping_toml` reads it from TOML with every mistake reported. Never reads a customer's
file, never writes SQL.

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
    location_id = "Branch"            # a column's name, the same as { column = "Branch" }, or
    location_id = { const = "12" }
    location_id = { file_name = 'store-(\d+)' }    # a regular expression with one group
    transaction_id = { join = ["Date", "Till", "No"], with = "-" }   # no part may be empty
    total = "Total"
    total = { expr = "Quantity * [Unit Price] * (1 - Discount)" }
    total = { column = "Total", take = "first" }    # per-line only: "sum" or "first"
    sold_at = { date = "Date", time = "Time", format = "D/M/YYYY HH:mm" }  # "date time"
    sold_at = { date = "Created at", format = ["iso", "D.M.YY H:mm"], zone = "Europe/Paris" }

Targets are `location_id`, `transaction_id`, `total`, `sold_at` (all four required; a feed of
dates without times leaves out `time`) and, optional, the other columns of
`rows.TRANSACTIONS`, where `x_minor` is written `x`: net, tax, discount, tip (amounts),
item_count, register_id, operator_id, shopper_id, receipt_number, tender. Not mapped are
`currency` (the customer's), `kind`, `business_date` and `has_time` (they follow from the rest).
Texts take a column, `const` (not a transaction id), `file_name` or `join`; amounts and counts a
column or `expr`, whose grammar is in `expression.py`; date formats are in `formats.py`.
`take` says what becomes of several rows of one transaction: amounts and counts are summed and
all else is the first that is not empty, unless it says otherwise.
Column names are compared without case and surrounding blanks; a column whose name is not a
plain word stands in [brackets] inside an expression.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from tilldrop import expression
from tilldrop.rows import TRANSACTIONS, ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilldrop.expression import Tree

# Part of every fingerprint: raised when the same mapping would come to other rows than before,
# so that a file sent again is imported again.
MAPPING_VERSION = 1

REQUIRED = ("location_id", "transaction_id", "total", "sold_at")
_DERIVED = frozenset({"business_date", "has_time", "kind", "currency"})

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
    """The value of one column. take: how rows of one transaction are joined, if any are."""

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


@dataclass(frozen=True, slots=True)
class Computed:
    """Exact arithmetic over columns.

    text: as written. tree: as `expression.Tree` says. columns: those it names.
    """

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


@dataclass(frozen=True, slots=True)
class Target:
    """What [feeds.map] may fill. kind: as in `rows.Column`."""

    column: str
    kind: ColumnKind


def targets() -> dict[str, Target]:
    """Return all targets by the name they have in [feeds.map], required ones first."""
    found = {
        column.name.removesuffix("_minor"): Target(column.name, column.kind)
        for column in TRANSACTIONS
        if column.name not in _DERIVED
    }
    return {name: found[name] for name in dict.fromkeys((*REQUIRED, *found))}


def match_feed(feeds: tuple[Feed, ...], name: str) -> Feed | None:
    """Return the first feed one of whose patterns takes a name, or None.

    name: as in `Delivery.name`. `*` and `?` stay within one folder; case is ignored, and so
    are the two ways of writing an accented letter (macOS sends them in two parts).
    """
    for feed in feeds:
        if takes(feed.files, name):
            return feed
    return None


def takes(patterns: tuple[str, ...], name: str) -> bool:
    """Say whether one of the patterns takes a name, as in `match_feed`."""
    return any(_matches(pattern, name) for pattern in patterns)


def compute(text: str, take: Take) -> Computed:
    """Make a computed source. Raises ValueError if the expression has a mistake."""
    parsed = expression.parse(text)
    if isinstance(parsed, expression.Expression):
        return Computed(text, parsed.tree, parsed.columns, take)
    raise ValueError(parsed.text)


def feed_to_json(feed: Feed) -> dict[str, Any]:
    """Return plain values that `json` can write; `feed_from_json` makes the same feed of them."""
    plain = asdict(feed)
    for target, source in feed.sources.items():
        made = {"source": type(source).__name__, **plain["sources"][target]}
        if isinstance(source, Computed):
            # The text says it all; the tree is made from it again.
            del made["tree"], made["columns"]
        plain["sources"][target] = made
    return plain


def feed_from_json(plain: Mapping[str, Any]) -> Feed:
    """Make the feed that `feed_to_json` wrote. Raises KeyError, TypeError, ValueError on others."""
    return Feed(
        name=plain["name"],
        files=tuple(plain["files"]),
        rows=plain["rows"],
        max_fault_share=plain["max_fault_share"],
        reading=Reading(**plain["reading"]),
        sources={target: _source_from_json(made) for target, made in plain["sources"].items()},
    )


def fingerprint(feed: Feed, zone: str, currency: str) -> str:
    """Return sha256 hex of all that decides which rows a file becomes.

    The file patterns are left out: they decide whether, not what.
    """
    plain = feed_to_json(feed)
    del plain["files"]
    canonical = json.dumps(
        [MAPPING_VERSION, plain, zone, currency], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _matches(pattern: str, name: str) -> bool:
    """Compare folder by folder, so that no wildcard crosses a slash."""
    wanted = _folded(pattern).split("/")
    parts = _folded(name).split("/")
    return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _source_from_json(made: Mapping[str, Any]) -> Source:
    """Make one source of its plain values."""
    values = {key: value for key, value in made.items() if key != "source"}
    match made["source"]:
        case "FromColumn":
            return FromColumn(**values)
        case "Constant":
            return Constant(**values)
        case "FromFileName":
            return FromFileName(**values)
        case "Joined":
            return Joined(columns=tuple(values["columns"]), glue=values["glue"])
        case "SoldAt":
            return SoldAt(**{**values, "formats": tuple(values["formats"])})
        case "Computed":
            return compute(values["text"], values["take"])
    raise ValueError(made["source"])
