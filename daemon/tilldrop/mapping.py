r"""The mapping language: how a feed's columns become the columns of our tables.

Owns its grammar (below), the `Feed` value that the importer compiles, and which feed takes a
name. `mapping_toml` reads it from TOML with every mistake reported; what a value is made of is in
`sources`. Never reads a customer's file, never writes SQL. Longer than other modules, because the
grammar stands here.

Grammar, as written in `config/customers/NAME.toml`:

    [[feeds]]
    name = "sales"                    # unique within the customer; letters, digits, - and _
    files = "sales*.csv"              # one pattern or several; * ? [..]; case is ignored;
                                      # "transactions/*.csv" makes a folder in the view,
                                      # "*/CheckDetails.csv" takes one per day or shop
    preset = "shopify-orders"         # begin with a shipped mapping; keys given here win
    table = "transactions"            # or products, shoppers, stock_levels, locations
    rows = "per-transaction"          # or "per-line", "per-payment", "mixed": the records of one
                                      # transaction are grouped by its id
    partial = false                   # true: other feeds fill the rest of the same transactions,
                                      # so `total` and `sold_at` may be missing here
    key = ["location_id", "transaction_id"]   # what makes a transaction the same one; may also
                                      # name business_date, register_id, receipt_number, kind
    skip = { Status = ["Voided", "Training"] }    # records to leave out, by a column's value
    only = { Type = ["Sale", "Refund"] }          # records to take; "" is an empty cell
    signs = "as-written"              # "by-kind": the amounts of a refund are positive in the
                                      # file; a refund with a total above zero is negated whole
    day_starts_at = "00:00"           # sales before it belong to the business day before
    complete = ""                     # "day": the file holds whole days, "all": a whole master;
                                      # rows that it no longer has are marked as gone
    older = "overwrite"               # "ignore": a row whose `as_of` is older changes nothing
    history = false                   # true: keep what is overwritten, for `undo`
    extra = "new"                     # columns kept as JSON: "new" since the feed's first file,
                                      # "all" that nothing maps, "none"
    not_cards = ["Order Ref"]         # columns whose numbers are taken for cards by mistake
    mode = "live"                     # "sandbox": booked into sandbox.db
    backfill = false                  # true: a historical load, which raises no alert
    max_fault_share = 0.10            # past this share of faulty records the file is refused

    [feeds.read]                      # how the file is written; all have defaults
    encoding = "utf-8"                # utf-8 utf-16 utf-16-le utf-16-be utf-32 latin-1 mac-roman,
                                      # cp1252 and other code pages, shift_jis, gb18030 ...
    delimiter = ","                   # one character; "tab"; "blanks": one or more blanks
    quote = '"'                       # one character, or "" for none
    header_line = 1                   # physical line of the column names; 0: there are none;
                                      # "find": the first line with all columns that are mapped
    columns = ["Date", "Amount"]      # names where the file has none (else "#1", "#2", ...), or
                                      # in place of those in header_line
    widths = [8, 10, 6]               # fixed width, in characters; the last field may be longer
    skip_lines = '^(Total|EOF)'       # physical lines to leave out, a regular expression
    footer_lines = 0                  # lines at the end to leave out
    fill_down = ["Name"]              # an empty cell repeats the one above it
    empty = ["NULL", "-"]             # texts that mean an empty cell
    optional = ["Tip", "Cancelled at"]  # columns that a file may lack: their cells are empty
    other_names = { Discount = ["Discnt"] }  # what a column is called in some files: the first
                                      # that a file has, if it lacks the column itself
    loose_from = "Address"            # from this column on, cells may hold stray delimiters and
                                      # are not read; records may have too many fields
    decimal = "."                     # or ","
    thousands = ""                    # "" , . ' or a blank (which also covers no-break blanks)
    member = "*.csv"                  # of a .zip: which members; all of them must look alike
    sheet = "Sales"                   # of a workbook: name or number; the first if not given

    [feeds.columns]                   # columns more, to be used like the file's own
    price = { lookup = "products.price", by = "Item" }    # from an earlier master file
    till = { sql = "split_part(Terminal, '/', 2)" }       # a DuckDB expression; all are texts

    [feeds.map]                       # target = source
    location_id = "Branch"            # a column's name, the same as { column = "Branch" }, or
    location_id = { const = "12" }
    location_id = { file_name = 'store-(\d+)' }    # a regular expression with one group
    location_id = { folder = '(\d+)' }             # on the folder part of the file's name
    location_id = { preamble = 'Store:,(\d+)' }    # on the lines before the header
    transaction_id = { join = ["Date", "Till", "No"], with = "-" }   # no part may be empty
    transaction_id = { join = ["Shopper", "Date"], number_repeats = true }  # ... -2, -3: every
                                      # record is a transaction, also where all is the same
    tender = { first_of = ["Card", "Method"] }     # the first that is not empty
    tender = { column = "Method", match = '(\w+)', case = "lower", values = { visa = "card" },
               strict = false, default = "other" } # strict: a value not listed is a fault
    kind = { column = "Type", values = { Return = "refund" }, default = "sale" }
    total = "Total"
    total = { expr = "Quantity * [Unit Price] * (1 - Discount)", empty = "0" }
    total = { column = "Total", take = "first" }   # grouped records: "sum" or "first"
    tip = { column = "Tip", default = "0" }
    currency = "Currency"             # a column or a const; else the location's or customer's
    sold_at = { date = "Date", time = "Time", format = "D/M/YYYY HH:mm" }  # "date time"
    sold_at = { date = "Created at", format = ["iso", "D.M.YY H:mm"], zone = "Europe/Paris" }
    sold_at = { date = "Date", time = ["Hour", "Minute"], format = "YYYY-MM-DD H:m" }
    sold_at = { date = "When", format = "iso", zone = { column = "Time Zone" } }
    sold_at = { file_name = '(\d{8})', format = "YYYYMMDD" }   # or preamble, folder

    [feeds.map.where]                 # grouped records: those that fill [feeds.map]; others only
    "Line Type" = ["Sale"]            # belong to the transaction

    [feeds.line_items]                # one row per record, in the file's order; [[...]] if a
    product_id = "Sku"                # record holds several; a record without any of the
    quantity = "Qty"                  # columns has no line
    amount = "Price"
    where = { "Line Type" = ["Sale Line"] }

    [[feeds.tenders]]                 # likewise; a tender or tax needs an amount that is not 0
    method = { const = "cash" }
    amount = "Cash"

    [[feeds.taxes]]
    repeat = 5                        # {n} stands for 1, 2, ... 5
    name = "Tax {n} Name"
    amount = "Tax {n} Value"
    once = true                       # only of the transaction's first record that has any

    [feeds.control]                   # figures that the file declares; the file is held if they
    records = { line = '^T;(\d+)' }   # differ. line: before the header, or left out by
    total = { file_name = '_([\d.]+)\.csv' }   # skip_lines or footer_lines
    transactions = { companion = "{stem}.ctl", match = 'count=(\d+)' }   # a file of its own

Targets of `transactions` are `location_id`, `transaction_id`, `total`, `sold_at` (required, see
`partial`) and, optional, the other columns of `rows.TRANSACTIONS`, where `x_minor` and `x_milli`
are written `x`. `has_time` follows from the rest, and so do `kind` (by the total's sign),
`business_date` and `currency` unless they are mapped. Other tables' targets are the columns of
`rows.TABLES` in the same way; their keys are required.
Texts take a column, `first_of`, `const` (not a transaction id), `file_name`, `folder`, `preamble`
or `join`, and may be refined; amounts and counts take a column, `const` or `expr`, whose grammar
is in `expression.py`; dates take the table shown at `sold_at`; their formats are in `formats.py`.
`take` says what becomes of several records of one transaction: amounts and counts are summed and
all else is the first that is not empty, unless it says otherwise.
Column names are compared without case and surrounding blanks; a column whose name is not a
plain word stands in [brackets] inside an expression.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from tilldrop import sources
from tilldrop.rows import CHILDREN, TABLES, ColumnKind
from tilldrop.sources import FromColumn, FromFileName, Lookup, Source, Sql

if TYPE_CHECKING:
    from collections.abc import Mapping

# Part of every fingerprint: raised when the same mapping would come to other rows than before,
# so that a file sent again is imported again.
MAPPING_VERSION = 2

REQUIRED = ("location_id", "transaction_id", "total", "sold_at")
_DERIVED = frozenset({"has_time", "line_number", "tender_number", "tax_number"})
KINDS = ("sale", "refund", "void", "exchange")
KEY = ("location_id", "transaction_id")

Rows = Literal["per-transaction", "per-line", "per-payment", "mixed"]
Table = Literal["transactions", "products", "shoppers", "stock_levels", "locations"]
Conditions = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is written. header_line: FIND looks for the columns that are mapped."""

    encoding: str = "utf-8"
    delimiter: str = ","  # BLANKS: one or more blanks
    quote: str = '"'
    header_line: int = 1
    columns: tuple[str, ...] = ()
    widths: tuple[int, ...] = ()
    skip_lines: str = ""
    footer_lines: int = 0
    fill_down: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    other_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    loose_from: str = ""
    decimal: str = "."
    thousands: str = ""
    member: str = ""
    sheet: str = ""


FIND = -1
BLANKS = "blanks"


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of a child table that each record may give.

    sources: target -> source. where: records that may give one, all if empty. once: only the
    transaction's first record that has any.
    """

    table: str
    sources: dict[str, Source]
    where: Conditions = field(default_factory=dict)
    once: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """A figure that the sender declares. figure: "records", "transactions" or "total".

    Exactly one of line, file_name (patterns with one group) and companion is given; companion: a
    name in which {name} and {stem} stand for the file's, match: the pattern within that file.
    """

    figure: str
    line: str = ""
    file_name: str = ""
    companion: str = ""
    match: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """One kind of file that a customer sends. sources: target (as mapped) -> source.

    where: records that fill the transaction itself. day_starts_at_min: minutes after midnight.
    """

    name: str
    files: tuple[str, ...]
    rows: Rows
    max_fault_share: float
    reading: Reading
    sources: dict[str, Source]
    table: Table = "transactions"
    preset: str = ""
    partial: bool = False
    key: tuple[str, ...] = KEY
    number_repeats: bool = False
    columns: dict[str, Lookup | Sql] = field(default_factory=dict)
    where: Conditions = field(default_factory=dict)
    skip: Conditions = field(default_factory=dict)
    only: Conditions = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    controls: tuple[Control, ...] = ()
    signs: Literal["as-written", "by-kind"] = "as-written"
    day_starts_at_min: int = 0
    complete: Literal["", "day", "all"] = ""
    older: Literal["overwrite", "ignore"] = "overwrite"
    history: bool = False
    extra: Literal["new", "all", "none"] = "new"
    not_cards: tuple[str, ...] = ()
    mode: Literal["live", "sandbox"] = "live"
    backfill: bool = False

    @property
    def is_grouped(self) -> bool:
        """Tell whether several records make one transaction."""
        return self.rows != "per-transaction"


@dataclass(frozen=True, slots=True)
class Target:
    """What a mapping may fill. column: of the table. kind: as in `rows.Column`."""

    column: str
    kind: ColumnKind
    key: bool = False


def targets(table: str = "transactions") -> dict[str, Target]:
    """Return a table's targets by the name they have in a mapping, required ones first."""
    found = {
        written(column.name): Target(column.name, column.kind, column.key)
        for column in TABLES[table]
        if column.name not in _DERIVED
    }
    if table in CHILDREN:  # whose transaction it is, [feeds.map] says
        return {name: target for name, target in found.items() if not target.key}
    first = REQUIRED if table == "transactions" else ()
    return {name: found[name] for name in dict.fromkeys((*first, *found))}


def written(column: str) -> str:
    """Return a column's name as mappings write it: total_minor is total."""
    return column.removesuffix("_minor").removesuffix("_milli")


def required_targets(feed: Feed) -> tuple[str, ...]:
    """Return the targets that a feed must map."""
    if feed.table == "transactions":
        return KEY if feed.partial else REQUIRED
    return tuple(name for name, target in targets(feed.table).items() if target.key)


def is_plain(feed: Feed) -> bool:
    """Tell whether a feed says nothing that only the careful lane reads."""
    reading = feed.reading
    return (
        feed.table == "transactions"
        and not (feed.partial or feed.number_repeats or feed.columns)
        and not (feed.where or feed.skip or feed.only)
        and not feed.day_starts_at_min
        and (feed.signs, feed.extra, feed.key) == ("as-written", "new", KEY)
        and not (reading.fill_down or reading.empty or reading.loose_from)
        and not (reading.optional or reading.other_names)
        and not {"kind", "currency", "business_date", "as_of"} & feed.sources.keys()
        and all(_is_plain_source(source) for source in feed.sources.values())
        and all(_is_plain_section(section) for section in feed.sections)
    )


def _is_plain_section(section: Section) -> bool:
    made = section.sources.values()
    return not section.where and all(
        _is_plain_source(source) and not isinstance(source, sources.When) for source in made
    )


def _is_plain_source(source: Source) -> bool:
    match source:
        case sources.When(times=times, zone_column=zone_column, given=given):
            return len(times) <= 1 and not zone_column and given is None
        case sources.Computed(empty_is_zero=empty_is_zero):
            return not empty_is_zero
        case FromColumn() | sources.Constant() | FromFileName() | sources.Joined():
            return True
    return False


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


def feed_to_json(feed: Feed) -> dict[str, Any]:
    """Return plain values that `json` can write; `feed_from_json` makes the same feed of them."""
    plain: dict[str, Any] = sources.encode(feed)
    return plain


def feed_from_json(plain: Mapping[str, Any]) -> Feed:
    """Make the feed that `feed_to_json` wrote. Raises KeyError, TypeError, ValueError on others."""
    types = {one.__name__: one for one in (Feed, Reading, Section, Control)}
    made = sources.decode(dict(plain), types)
    if not isinstance(made, Feed):
        raise TypeError(plain.get("is"))
    return made


def fingerprint(feed: Feed, *context: object) -> str:
    """Return sha256 hex of all that decides which rows a file becomes.

    context: whatever counts besides the feed, as `json` takes it: zone, currency, locations.
    The file patterns are left out: they decide whether, not what.
    """
    plain = feed_to_json(replace(feed, files=()))
    canonical = json.dumps(
        [MAPPING_VERSION, plain, *context], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _matches(pattern: str, name: str) -> bool:
    """Compare folder by folder, so that no wildcard crosses a slash."""
    wanted = folded(pattern).split("/")
    parts = folded(name).split("/")
    return len(wanted) == len(parts) and all(map(fnmatchcase, parts, wanted))


def folded(text: str) -> str:
    """Return a name in the form in which two that are alike are equal."""
    return unicodedata.normalize("NFC", text).casefold()
