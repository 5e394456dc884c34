"""The page that an operator sends to a customer: how to connect, what to send, what comes back.

Owns what is told of a feed. Its words stand in `templates/guide.md`; the HTML page is made from
the same Markdown. Promises that no secret is in it: a host key's fingerprint and a public key
are not. Never asks the daemon, never reads a customer's file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import jinja2
import mistune

from tilldrop import formats
from tilldrop.cli_output import size, visible
from tilldrop.mapping import (
    Computed,
    Constant,
    FromColumn,
    FromFileName,
    Joined,
    SoldAt,
    targets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tilldrop.config import Config, Customer
    from tilldrop.customers import PublicKey
    from tilldrop.hostkeys import HostKey
    from tilldrop.mapping import Feed, Source

EXAMPLE_AT = datetime(2026, 3, 14, 13, 5, 9, tzinfo=UTC)

_MEANINGS = {
    "location_id": "the shop",
    "transaction_id": "the transaction's number, unique within the shop",
    "total": "what was paid; below zero is a refund",
    "sold_at": "when it was sold",
    "net": "the amount before tax",
    "tax": "the tax",
    "discount": "the discount",
    "tip": "the tip",
    "item_count": "how many items",
    "register_id": "the till",
    "operator_id": "who sold",
    "shopper_id": "who bought",
    "receipt_number": "the receipt's number",
    "tender": "how it was paid",
}
_NEVER_EMPTY = frozenset({"location_id", "transaction_id", "total", "sold_at"})
_ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16 (little-endian)",
    "utf-16-be": "UTF-16 (big-endian)",
    "cp1252": "Windows-1252 (ANSI)",
    "latin-1": "ISO 8859-1 (Latin 1)",
}
_MARKS = {"\t": "tabulator", ",": "comma", ";": "semicolon", "|": "vertical bar", " ": "blank"}
_NAMED_FORMATS = {
    "iso": ("2026-03-14 13:05:09", "year, month and day first"),
    "epoch": ("1773493509", "seconds since 1970"),
    "compact": ("20260314130509", "year, month and day first"),
}
_EXAMPLES = {
    "YYYY": "%Y",
    "YY": "%y",
    "MMM": "%b",
    "MM": "%m",
    "M": "%-m",
    "DD": "%d",
    "D": "%-d",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "mm": "%M",
    "ss": "%S",
    "fff": "000",
    "a": "%p",
    "Z": "+01:00",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where customers connect. host_keys: in the order in which clients are offered them.

    ftp_port: 0 if there is no FTP door. ftp_tls: as `ftp.tls`.
    """

    host: str
    port: int
    ftp_port: int
    ftp_tls: str
    host_keys: tuple[HostKey, ...]
    max_file_bytes: int
    keep_days: int
    broken_keep_hours: int


@dataclass(frozen=True, slots=True)
class ColumnTold:
    """One column of a file. meanings: what it is for. needed: no row may leave it empty."""

    name: str
    meanings: tuple[str, ...]
    needed: bool


@dataclass(frozen=True, slots=True)
class FeedTold:
    """One kind of file, in words. from_name: what its name must tell."""

    name: str
    files: tuple[str, ...]
    encoding: str
    delimiter: str
    quote: str
    decimal: str
    thousands: str
    header_line: int
    per_line: bool
    columns: tuple[ColumnTold, ...]
    from_name: tuple[str, ...]


def place_of(config: Config, host: str, port: int, host_keys: tuple[HostKey, ...]) -> Place:
    """Return what a guide says of this server. host, port: as customers reach it."""
    limits = config.limits
    return Place(
        host=host,
        port=port,
        ftp_port=config.ftp.port if config.ftp.enabled else 0,
        ftp_tls=config.ftp.tls,
        host_keys=host_keys,
        max_file_bytes=limits.max_file_bytes,
        keep_days=limits.keep_days,
        broken_keep_hours=limits.broken_keep_hours,
    )


def markdown(
    customer: Customer, place: Place, *, keys: tuple[PublicKey, ...], has_password: bool
) -> str:
    """Write the guide of one customer. keys: its public keys that are known here."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tilldrop"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  Markdown; the page's renderer escapes HTML
    )
    environment.filters |= {"code": code, "size": size, "visible": visible, "winscp": winscp}
    return environment.get_template("guide.md").render(
        name=customer.name,
        currency=customer.currency,
        zone=customer.zone,
        place=place,
        feeds=[told(feed) for feed in customer.feeds],
        keys=keys,
        has_password=has_password,
        finishing_rename=customer.finishing_rename,
        folders=sorted(
            {file.rpartition("/")[0] for feed in customer.feeds for file in feed.files} - {""}
        ),
    )


def page(text: str, title: str) -> str:
    """Turn a guide into a HTML page that needs nothing else; raw HTML in it is escaped."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader("tilldrop"), autoescape=True)
    body = str(mistune.create_markdown(escape=True, plugins=["table"])(text))
    # Inside code in a table a bar must be escaped, which mistune leaves in.
    return environment.get_template("page.html").render(title=title, body=body.replace(r"\|", "|"))


def told(feed: Feed) -> FeedTold:
    """Say in words how one kind of file is expected."""
    reading = feed.reading
    return FeedTold(
        name=feed.name,
        files=feed.files,
        encoding=_ENCODINGS.get(reading.encoding, reading.encoding),
        delimiter=_mark(reading.delimiter),
        quote=reading.quote,
        decimal=_mark(reading.decimal),
        thousands=_mark(reading.thousands) if reading.thousands else "",
        header_line=reading.header_line,
        per_line=feed.rows == "per-line",
        columns=tuple(_columns(feed)),
        from_name=tuple(
            f"{_MEANINGS[target]} is taken from the file's name"
            for target, source in feed.sources.items()
            if isinstance(source, FromFileName)
        ),
    )


def example(written: str) -> str:
    """Show a date format by 14 March 2026, 13:05:09 in it."""
    if written in _NAMED_FORMATS:
        value, meaning = _NAMED_FORMATS[written]
        return f"{code(value)}, {meaning}"
    value = "".join(
        EXAMPLE_AT.strftime(_EXAMPLES[token.field]) if token.field else token.text
        for token in formats.tokens(written)
    )
    return f"{code(value)}, that is {code(written)}"


def code(text: str) -> str:
    """Write a text as Markdown code that may stand in a table."""
    text = visible(text)
    fence = "`"
    while fence in text:
        fence += "`"
    padded = f" {text} " if len(fence) > 1 or text.strip() != text else text
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def winscp(key: HostKey) -> str:
    """Write a host key's fingerprint as WinSCP 5.16 and later compare it: padded base64."""
    digest = key.fingerprint.removeprefix("SHA256:")
    return digest + "=" * (-len(digest) % 4)


def _mark(text: str) -> str:
    return _MARKS.get(text) or {".": "point", "'": "apostrophe"}.get(text) or text


def _columns(feed: Feed) -> Iterator[ColumnTold]:
    """Yield every column that the mapping reads, once, in the order of the targets."""
    meanings: dict[str, list[str]] = {}
    needed: set[str] = set()
    shown: dict[str, str] = {}
    for target in targets():
        source = feed.sources.get(target)
        for column, meaning in _uses(target, source) if source is not None else ():
            folded = column.strip().casefold()
            shown.setdefault(folded, column)
            meanings.setdefault(folded, []).append(meaning)
            if target in _NEVER_EMPTY:
                needed.add(folded)
    for folded, column in shown.items():
        yield ColumnTold(column, tuple(meanings[folded]), folded in needed)


def _uses(target: str, source: Source) -> Iterator[tuple[str, str]]:
    """Yield each column that a source reads, and what it means there."""
    meaning = _MEANINGS[target]
    match source:
        case FromColumn():
            yield source.column, meaning
        case Joined():
            parts = " and ".join(code(column) for column in source.columns)
            for column in source.columns:
                yield column, f"{meaning.partition(',')[0]} is {parts} together"
        case Computed():
            short = meaning.partition(";")[0]
            for column in source.columns:
                yield column, f"{short} is computed: {code(source.text)}"
        case SoldAt():
            yield from _uses_of_time(source)
        case Constant() | FromFileName():
            return


def _uses_of_time(source: SoldAt) -> Iterator[tuple[str, str]]:
    ways = " or ".join(example(one) for one in source.formats)
    if source.time:
        yield (
            source.date,
            f"the day of sale; with a blank and {code(source.time)} behind it: {ways}",
        )
        yield source.time, "the time of sale"
    else:
        yield source.date, f"when it was sold: {ways}"
