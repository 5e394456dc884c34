"""What crosses the pipe between daemon and worker, and the tables that rows go to.

Owns `Job`, `Report`, `Fault` and the columns of the business tables. All are plain values
that survive `to_json`/`from_json` unchanged. Never touches a database.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

FAULTS_KEPT = 100  # as many as a receipt lists

Outcome = Literal["imported", "rejected", "duplicate", "unclaimed"]
ColumnKind = Literal["text", "money", "count", "instant", "day", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a business table. money: integer minor units. instant: ISO 8601 text."""

    name: str
    kind: ColumnKind
    key: bool = False
    required: bool = False


# `customer` comes first in every key and is not mapped; provenance columns are added by store.
TRANSACTIONS: tuple[Column, ...] = (
    Column("location_id", "text", key=True, required=True),
    Column("transaction_id", "text", key=True, required=True),
    Column("sold_at", "instant"),  # local time with offset; midnight where has_time is 0
    Column("business_date", "day"),
    Column("has_time", "flag"),
    Column("kind", "text"),  # sale | refund
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
)

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

    read = rejected + repeated + good records. transactions = inserted + updated + unchanged
    + superseded (where a newer delivery already wrote that key).
    repeated: records overtaken by a later record with the same key in the same file
    (per-transaction shape only).
    """

    read: int = 0
    rejected: int = 0
    repeated: int = 0
    transactions: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    refunds: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """The worker's answer to one job, stored with the rows in one transaction.

    total_minor: control total, the sum of all transactions of this file that were good.
    faults: the first FAULTS_KEPT; fault_count: all, warnings not counted.
    warning_counts: code -> how often. sold_from, sold_to: first and last `sold_at`.
    lane: which reader's figures were booked.
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

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote. Raises ValueError, TypeError or KeyError on other text."""
        raw: dict[str, Any] = json.loads(text)
        raw["counts"] = Counts(**raw["counts"])
        raw["faults"] = tuple(Fault(**one) for one in raw["faults"])
        return cls(**raw)


@dataclass(frozen=True, slots=True)
class Job:
    """All that the worker needs for one run; self-contained.

    path: the delivery's bytes, in the spool. name: as the customer sees it.
    feed: `mapping.feed_to_json` of the compiled-from feed, or None (no feed takes the name).
    zone, currency: the customer's. same_as: sha256 of the latest import of the same name in
    the same feed with nothing imported since, and the same fingerprint; if the bytes hash to
    it, the outcome is "duplicate". data_path: data.db.
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

    def to_json(self) -> str:
        """Return one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
