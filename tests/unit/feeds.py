"""Feeds for tests, read from TOML as a configuration's are."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from tilldrop.mapping_toml import read_feed

if TYPE_CHECKING:
    from tilldrop.mapping import Feed

FEED = """
name = "sales"
files = "sales*.csv"
{feed}
[read]
{read}
[map]
location_id = "Branch"
transaction_id = "Id"
{total}
sold_at = {{ date = "Date", format = "D/M/YYYY" }}
{more}
"""


def feed_text(
    feed: str = "", read: str = "", total: str = 'total = "Total"', more: str = ""
) -> str:
    return FEED.format(feed=feed, read=read, total=total, more=more)


def read(text: str) -> Feed:
    complaints: list[tuple[str, str]] = []
    feed = read_feed(tomllib.loads(text), lambda key, what: complaints.append((key, what)))
    assert not complaints
    assert feed
    return feed
