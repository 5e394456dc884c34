"""A feed as written in TOML, read with every mistake reported.

Owns what is accepted where in the grammar that `mapping` gives; its parts are in
`mapping_toml_reading`, `mapping_toml_sections` and `mapping_toml_sources`. What is wrong is
complained of, and a placeholder stands in for it that nobody will see: with one complaint there
is no feed. Never writes anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, cast

from tilldrop import presets
from tilldrop.mapping import KEY, Feed, Rows, required_targets
from tilldrop.mapping import Table as TableName
from tilldrop.mapping_toml_reading import read_names, read_reading
from tilldrop.mapping_toml_sections import (
    read_columns,
    read_conditions,
    read_controls,
    read_map,
    read_sections,
)
from tilldrop.toml_table import Complain, Table, nearest, show

FEED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
ROWS = ("per-transaction", "per-line", "per-payment", "mixed")
FILLED = ("transactions", "products", "shoppers", "stock_levels", "locations")
KEY_PARTS = (*KEY, "business_date", "register_id", "receipt_number", "kind")
_FOLLOWS = frozenset({"business_date", "kind"})  # there without being mapped
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
# key -> what it may be; the first is the default.
_WORDS = {
    "signs": ("as-written", "by-kind"),
    "older": ("overwrite", "ignore"),
    "extra": ("new", "all", "none"),
    "mode": ("live", "sandbox"),
}
# What is said of transactions alone.
_OF_TRANSACTIONS = ("rows", "partial", "key", "signs", "day_starts_at", "older")


def read_feed(raw: Mapping[str, object], complain: Complain) -> Feed | None:
    """Read one [[feeds]] table; None if anything is wrong with it.

    complain(key path within the table, what was found and expected): called for each mistake.
    """
    own = Table(raw, complain)
    preset = _read_preset(own)
    table = Table(presets.merge(presets.load(preset), raw) if preset else raw, own.complain)
    table.has("preset")
    feed = Feed(
        name=_read_name(table),
        files=read_files(table),
        preset=preset,
        table=cast("TableName", table.choice("table", FILLED, "transactions")),
        rows=cast("Rows", table.choice("rows", ROWS, "per-transaction")),
        partial=table.flag("partial", default=False),
        key=_read_key(table),
        skip=read_conditions(table, "skip"),
        only=read_conditions(table, "only"),
        day_starts_at_min=_read_day_start(table),
        complete=_read_complete(table),
        history=table.flag("history", default=False),
        backfill=table.flag("backfill", default=False),
        not_cards=read_names(table, "not_cards"),
        max_fault_share=table.number("max_fault_share", 0.10, 0, 1),
        reading=read_reading(table.table("read")),
        columns=read_columns(table),
        sources={},
        **_read_words(table),
    )
    feed = _read_tables(table, feed)
    _check_table(table, feed)
    _check_needs(table, feed)
    table.end()
    return None if own.failed else feed


def read_files(table: Table) -> tuple[str, ...]:
    """Read the name patterns."""
    patterns = table.texts("files", 'a pattern such as "sales*.csv", or a list of them')
    for pattern in patterns:
        slash = "/" in pattern
        parts = pattern.split("/")
        if any(part in {"", ".", ".."} for part in parts) or "\\" in pattern:
            expected = 'a name within the customer\'s root, such as "sales*.csv" or "daily/*.csv"'
        elif parts[0].casefold() == "receipts" and slash:
            expected = "another folder: receipts/ is where receipts stand"
        elif not pattern.isprintable() or pattern != pattern.strip():
            expected = "visible characters without blanks around them"
        else:
            continue
        table.complain("files", f"found {show(pattern)}; expected {expected}")
    return patterns


def _read_preset(table: Table) -> str:
    """Read the name of a shipped mapping, "" for none."""
    name = table.text("preset", "", "the name of a preset")
    if not isinstance(table.value("preset"), str):
        return ""
    known = presets.names()
    if name not in known:
        table.wrong("preset", f"one of {', '.join(known)}", nearest(name, known))
        return ""
    return name


def _read_name(table: Table) -> str:
    """Read the feed's name."""
    name = table.text("name", "")
    if not table.has("name"):
        table.missing("name", 'a name, such as "sales"')
    elif isinstance(table.value("name"), str) and not FEED_NAME.fullmatch(name):
        table.wrong("name", "up to 64 letters, digits, - and _")
    return name


def _read_key(table: Table) -> tuple[str, ...]:
    """Read what makes a transaction the same one."""
    if not table.has("key"):
        return KEY
    key = table.texts("key", f"a list of some of {', '.join(KEY_PARTS)}")
    for part in key:
        if part not in KEY_PARTS:
            listed = ", ".join(KEY_PARTS)
            hint = nearest(part, KEY_PARTS)
            table.complain("key", f"found {show(part)}; expected some of {listed}{hint}")
        elif key.count(part) > 1:
            table.complain("key", f"found {show(part)} twice; expected it once")
            break
    if key and "transaction_id" not in key:
        table.complain("key", "transaction_id is missing; it is part of every key")
    return key


def _read_day_start(table: Table) -> int:
    """Read when a business day begins, in minutes after midnight."""
    written = table.text("day_starts_at", "00:00", 'a time such as "04:00"')
    found = _TIME.fullmatch(written)
    if found is None:
        table.wrong("day_starts_at", 'a time such as "04:00"')
        return 0
    return int(found[1]) * 60 + int(found[2])


def _read_words(table: Table) -> dict[str, Any]:
    """Read the settings that are one of several words."""
    return {key: table.choice(key, words, words[0]) for key, words in _WORDS.items()}


def _read_complete(table: Table) -> Literal["", "day", "all"]:
    """Read what a file holds the whole of: days of transactions, or a master."""
    is_master = table.value("table") in FILLED[1:]
    choices = ("", "all") if is_master else ("", "day")
    return cast('Literal["", "day", "all"]', table.choice("complete", choices, ""))


def _read_tables(table: Table, feed: Feed) -> Feed:
    """Read the tables that depend on what the feed fills."""
    sources, where = read_map(table, feed)
    numbered = False
    if feed.table == "transactions" and "transaction_id" in sources:
        value = table.table("map").value("transaction_id")
        numbered = isinstance(value, Mapping) and value.get("number_repeats") is True
    return replace(
        feed,
        sources=sources,
        where=where,
        number_repeats=numbered,
        sections=read_sections(table, feed),
        controls=read_controls(table, feed),
    )


def _check_table(table: Table, feed: Feed) -> None:
    """Complain of what only transactions have."""
    if feed.table == "transactions":
        if feed.number_repeats and feed.is_grouped:
            table.complain(
                "map.transaction_id.number_repeats",
                'found with grouped records; expected rows = "per-transaction"',
            )
        return
    for key in _OF_TRANSACTIONS:
        if table.has(key):
            table.complain(key, f'found with table = "{feed.table}"; only transactions have it')


def _check_needs(table: Table, feed: Feed) -> None:
    """Complain of settings of transactions that need a target which is not mapped."""
    if feed.table != "transactions":
        return
    needs = {
        "signs": ("kind",) if feed.signs == "by-kind" else (),
        "older": ("as_of",) if feed.older == "ignore" else (),
        "key": tuple(part for part in feed.key if part in KEY_PARTS and part not in _FOLLOWS),
    }
    told = required_targets(feed)  # which are complained of already
    for key, needed in needs.items():
        missing = [name for name in needed if name not in feed.sources and name not in told]
        if missing and table.has(key) and table.value("map") is not None:
            table.complain(key, f"needs {missing[0]} in [feeds.map], which is missing")
