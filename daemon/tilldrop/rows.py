"""What crosses the pipe between daemon and worker, and the tables that rows go to.

Owns `Job`, `Report`, `Fault` and the columns of the business tables. All are plain values
that survive `to_json`/`from_json` unchanged. Never touches a database.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

FAULTS_KEPT = 100  # as many as a receipt lists

Outcome = Literal["imported", "rejected", "duplicate", "unclaimed", "held"]
ColumnKind = Literal["text", "money", "count", "milli", "instant", "day", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a business table.

    money: integer minor units. milli: thousandths. instant, day: ISO 8601 text. flag: 0 or 1.
    """

    name: str
    kind: ColumnKind
    key: bool = False
    required: bool = False


# Every table below is keyed by `customer` and its key columns; `customer` and the provenance
# columns (arrival_seq, delivery, line, extra, gone_in) are added by store. Amounts are integers
# in the currency's minor unit; milli: thousandths. Only key columns can never be empty.
TRANSACTIONS: tuple[Column, ...] = (
    Column("location_id", "text", key=True, required=True),
    Column("transaction_id", "text", key=True, required=True),
    Column("sold_at", "instant"),  # local time with offset; midnight where has_time is 0
    Column("business_date", "day"),
    Column("has_time", "flag"),
    Column("kind", "text"),  # sale | refund | void | exchange
    Column("total_minor", "money", required=True),
    Column("currency", "text"),
    Column("net_minor", "money"),
    Column("tax_minor", "money"),
    Column("discount_minor", "money"),
    Column("tip_minor", "money"),
    Column("item_count", "count"),
    Column("register_id", "text"),
    Column("operator_id", "text"),
    Column("shopper_id", "text"),
    Column("receipt_number", "text"),
    Column("tender", "text"),
    Column("shipping_minor", "money"),
    Column("service_charge_minor", "money"),
    Column("refunded_minor", "money"),  # given back later, as a column of the sale
    Column("original_transaction_id", "text"),  # what a refund refers to
    Column("status", "text"),
    Column("channel", "text"),
    Column("as_of", "instant"),  # when the till wrote this state of it
)

# Lines, tenders and taxes are numbered within their transaction, from 1, in the file's order.
_OF_A_TRANSACTION = (
    Column("location_id", "text", key=True, required=True),
    Column("transaction_id", "text", key=True, required=True),
)
LINE_ITEMS: tuple[Column, ...] = (
    *_OF_A_TRANSACTION,
    Column("line_number", "count", key=True, required=True),
    Column("product_id", "text"),
    Column("sku", "text"),
    Column("barcode", "text"),
    Column("description", "text"),
    Column("category", "text"),
    Column("variant", "text"),
    Column("quantity_milli", "milli"),
    Column("unit_price_minor", "money"),
    Column("discount_minor", "money"),
    Column("net_minor", "money"),
    Column("tax_minor", "money"),
    Column("amount_minor", "money"),
    Column("kind", "text"),
    Column("note", "text"),
)
TENDERS: tuple[Column, ...] = (
    *_OF_A_TRANSACTION,
    Column("tender_number", "count", key=True, required=True),
    Column("method", "text"),
    Column("amount_minor", "money"),
    Column("tip_minor", "money"),
    Column("refunded_minor", "money"),
    Column("card_brand", "text"),
    Column("card_last4", "text"),
    Column("reference", "text"),
    Column("status", "text"),
    Column("paid_at", "instant"),
)
TAXES: tuple[Column, ...] = (
    *_OF_A_TRANSACTION,
    Column("tax_number", "count", key=True, required=True),
    Column("name", "text"),
    Column("rate_milli", "milli"),  # thousandths of a percent
    Column("taxable_minor", "money"),
    Column("amount_minor", "money"),
)
PRODUCTS: tuple[Column, ...] = (
    Column("product_id", "text", key=True, required=True),
    Column("sku", "text"),
    Column("barcode", "text"),
    Column("name", "text"),
    Column("description", "text"),
    Column("category", "text"),
    Column("brand", "text"),
    Column("unit", "text"),
    Column("price_minor", "money"),
    Column("cost_minor", "money"),
    Column("tax_name", "text"),
    Column("status", "text"),
)
SHOPPERS: tuple[Column, ...] = (
    Column("shopper_id", "text", key=True, required=True),
    Column("name", "text"),
    Column("first_name", "text"),
    Column("last_name", "text"),
    Column("company", "text"),
    Column("email", "text"),
    Column("phone", "text"),
    Column("address", "text"),
    Column("postcode", "text"),
    Column("city", "text"),
    Column("region", "text"),
    Column("country", "text"),
    Column("birth_date", "day"),
    Column("joined_on", "day"),
    Column("loyalty_id", "text"),
    Column("shopper_group", "text"),
)
STOCK_LEVELS: tuple[Column, ...] = (
    Column("location_id", "text", key=True, required=True),
    Column("product_id", "text", key=True, required=True),
    Column("quantity_milli", "milli"),
    Column("reserved_milli", "milli"),
    Column("counted_at", "instant"),
)
LOCATIONS: tuple[Column, ...] = (
    Column("location_id", "text", key=True, required=True),
    Column("name", "text"),
    Column("address", "text"),
    Column("postcode", "text"),
    Column("city", "text"),
    Column("region", "text"),
    Column("country", "text"),
    Column("phone", "text"),
    Column("zone", "text"),
    Column("currency", "text"),
    Column("status", "text"),
)
TABLES: dict[str, tuple[Column, ...]] = {
    "transactions": TRANSACTIONS,
    "line_items": LINE_ITEMS,
    "tenders": TENDERS,
    "taxes": TAXES,
    "products": PRODUCTS,
    "shoppers": SHOPPERS,
    "stock_levels": STOCK_LEVELS,
    "locations": LOCATIONS,
}
# What a transaction has several of.
CHILDREN = ("line_items", "tenders", "taxes")

# Currencies whose minor unit is not a hundredth. Source: ISO 4217 table A.1.
MINOR_DIGITS: dict[str, int] = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


def minor_digits(currency: str) -> int:
    """Return how many decimals the currency's minor unit has: 2 for EUR, 0 for JPY."""
    return MINOR_DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong inside a file.

    code: a key of `errors.FAULTS`. line: physical line, 1-based, 0 for the file as a whole.
    field: the column or mapping field, "" if none. seen: what stood there, shortened and
    masked. warning: True if the row was imported all the same.
    """

    code: str
    line: int = 0
    field: str = ""
    seen: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """What one run did. read = records in the file, header and blank lines not counted.

    read = skipped + rejected + repeated + good records. skipped: left out by the mapping's `skip`
    and `only`. transactions (of a master file: its rows) = inserted + updated + unchanged
    + superseded (where a newer delivery already wrote that key).
    repeated: records overtaken by a later record with the same key in the same file
    (per-transaction shape only). gone: rows marked as gone, because the file claims to be
    complete and has them no longer. removed: rows that only the former mapping had made, which
    a replay took away.
    """

    read: int = 0
    skipped: int = 0
    rejected: int = 0
    repeated: int = 0
    transactions: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    refunds: int = 0
    gone: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The worker's answer to one job, stored with the rows in one transaction.

    total_minor: control total, the sum of all transactions of this file that were good.
    faults: the first FAULTS_KEPT; fault_count: all, warnings not counted.
    warning_counts: code -> how often. sold_from, sold_to: first and last `sold_at`.
    lane: which reader's figures were booked.
    table: what the feed fills. child_rows: child table -> rows booked in it.
    sandbox: booked into sandbox.db. backfill: a historical load, of which no alert is raised.
    masked: card numbers that were masked in the kept bytes. masked_path: where the worker put the
    masked copy that is to be kept instead of the delivery's bytes, "" if none.
    """

    delivery: str
    run: int
    outcome: Outcome
    reason: str | None = None
    reason_seen: str = ""
    feed: str | None = None
    fingerprint: str | None = None
    sha256: str | None = None
    size_bytes: int = 0
    counts: Counts = field(default_factory=Counts)
    total_minor: int = 0
    refund_minor: int = 0
    currency: str | None = None
    sold_from: str | None = None
    sold_to: str | None = None
    faults: tuple[Fault, ...] = ()
    fault_count: int = 0
    warning_counts: dict[str, int] = field(default_factory=dict)
    lane: Literal["fast", "careful", ""] = ""
    took_ms: int = 0
    table: str = "transactions"
    child_rows: dict[str, int] = field(default_factory=dict)
    sandbox: bool = False
    backfill: bool = False
    masked: int = 0
    masked_path: str = ""

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(self, default=_fields, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote. Raises ValueError, TypeError or KeyError on other text."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Report:
        """Make the report of which `to_json` wrote these values."""
        counts = Counts(**plain["counts"])
        faults = tuple(Fault(**one) for one in plain["faults"])
        return cls(**plain | {"counts": counts, "faults": faults})

    def to_short_json(self) -> str:
        """Return what is kept in the end: counts, totals and the verdict, no cell of the file.

        What has its default is left out; `from_json` puts it back.
        """
        short = replace(self, faults=(), warning_counts={})
        bare = Report("", 0, self.outcome)
        always = {"delivery", "run", "outcome", "counts", "faults"}
        plain = {
            name: value
            for name, value in asdict(short).items()
            if name in always or value != getattr(bare, name)
        }
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))


def _fields(value: Report | Counts | Fault) -> dict[str, Any]:
    """Return a value's fields; `asdict` copies all within them and takes five times as long."""
    return {name: getattr(value, name) for name in value.__slots__}


@dataclass(frozen=True, slots=True)
class Job:
    """All that the worker needs for one run; self-contained.

    path: the delivery's bytes, in the spool. name: as the customer sees it.
    feed: `mapping.feed_to_json` of the compiled-from feed, or None (no feed takes the name).
    zone, currency: the customer's. same_as: sha256 of the latest import of the same name in
    the same feed with nothing imported since, and the same fingerprint; if the bytes hash to
    it, the outcome is "duplicate". data_path: data.db.
    sandbox_path: sandbox.db; "" if all is live. live_locations: where sandbox_path is given, the
    locations whose rows go to data.db all the same.
    locations: id -> {"zone", "currency", "aliases"} as the customer's file has them.
    shares_transactions: other feeds of this customer fill transactions as well.
    companion_path: bytes of the file that `Control.companion` names, "" if there is none.
    accepts_controls: an operator has released the file although its control figures differ.
    replay: {} or {"first": bool, "last": bool, "seqs": [arrival_seq, ...]}: this run is part of a
    replay of these deliveries, see `store`; only the first has `seqs`. "sandbox_path": in which the
    first and the last begin and end it, also where their rows are all live.
    """

    delivery: str
    run: int
    arrival_seq: int
    customer: str
    name: str
    path: str
    data_path: str
    temp_dir: str
    feed: dict[str, Any] | None
    fingerprint: str | None
    zone: str
    currency: str
    same_as: str | None
    max_record_bytes: int
    memory_bytes: int
    threads: int
    sandbox_path: str = ""
    live_locations: tuple[str, ...] = ()
    locations: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares_transactions: bool = False
    card_data: Literal["refuse", "mask"] = "refuse"
    max_unpacked_bytes: int = 4 * 1024**3
    max_unpack_ratio: int = 200
    companion_path: str = ""
    accepts_controls: bool = False
    replay: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
