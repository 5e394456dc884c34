"""How the CLI writes: aligned tables for people, JSON for scripts.

Promises that nothing a customer chose (a file's name, a cell) reaches the terminal as a control
character. Never asks anything of the daemon or the ledger.
"""

from __future__ import annotations

import json
import unicodedata
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_KIB = 1024
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """Escape what a terminal would obey or hide: control and format characters."""
    return "".join(
        char.encode("unicode_escape", "backslashreplace").decode("ascii")
        if unicodedata.category(char) in _UNSEEN
        else char
        for char in text
    )


def write_json(value: object) -> None:
    """Print one JSON document; dataclasses as objects, instants as ISO 8601."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def write_table(head: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows under a head in aligned columns, or `empty` to stderr. Numbers go right."""
    cells = [[_cell(value) for value in row] for row in rows]
    if not cells:
        click.echo(empty, err=True)
        return
    lines = [list(head), *cells]
    widths = [max(_width(line[at]) for line in lines) for at in range(len(head))]
    right = [all(_is_number(line[at]) for line in cells) for at in range(len(head))]
    for line in lines:
        padded = [
            _pad(cell, width, right=to_right)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def write_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values, a pair a line; pairs without a value are left out."""
    shown = [(name, _cell(value)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name:<{width}}  {value}")


def size(count: int) -> str:
    """Write a number of bytes shortly: "812 B", "4.2 MiB"."""
    if count < _KIB:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= _KIB
        if amount < _KIB:
            return f"{amount:.1f} {unit}"
    return f"{amount / _KIB:.1f} TiB"


def instant(at: datetime | None) -> str:
    """Write an instant to the second, UTC."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def _plain(value: object) -> Any:
    """Turn what json does not know into what it knows."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return instant(value)
    return "" if value is None else visible(str(value))


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _width(text: str) -> int:
    """Count the terminal's cells: wide letters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - _width(text))
    return blanks + text if right else text + blanks
