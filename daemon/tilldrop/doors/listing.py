"""A folder's entries as lines of text that clients read.

Owns the two forms: that of `ls -l`, which SFTP and FTP's LIST have in common, and the facts of
RFC 3659. Never asks what there is.
"""

from __future__ import annotations

import stat
import time
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from zoneinfo import ZoneInfo

    from tilldrop.view import Entry

HALF_A_YEAR_S = 182 * 86_400  # `ls -l` shows the time of day up to this age, else the year
FACTS = ("type", "size", "modify", "perm")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_OWNER = "customer"


def mode(entry: Entry) -> int:
    """Return kind and permissions as stat(2) has them."""
    if entry.is_folder:
        return stat.S_IFDIR | 0o700
    return stat.S_IFREG | (0o600 if entry.writable else 0o400)


def long_name(entry: Entry, zone: ZoneInfo, now: float) -> bytes:
    """Write an entry as `ls -l` does: clients parse it. Times are those of the zone."""
    at = datetime.fromtimestamp(entry.mtime, zone)
    recent = now - HALF_A_YEAR_S < entry.mtime <= now
    last = f"{at:%H:%M}" if recent else f" {at.year}"
    when = f"{_MONTHS[at.month - 1]} {at.day:2} {last}"
    owner = f"{_OWNER:8} {_OWNER:8}"
    line = f"{stat.filemode(mode(entry))}    1 {owner} {entry.size_bytes:8} {when} {entry.name}"
    return line.encode()


def facts(entry: Entry, wanted: Collection[str]) -> str:
    """Write an entry's facts (RFC 3659, 7.5), without its name."""
    known = {
        "type": "dir" if entry.is_folder else "file",
        "size": str(entry.size_bytes),
        "modify": compact_time(entry.mtime),
        "perm": _perm(entry),
    }
    if entry.is_folder:
        del known["size"]
    return "".join(f"{name}={value};" for name, value in known.items() if name in wanted)


def _perm(entry: Entry) -> str:
    if entry.is_folder:
        return "cel"
    return "arw" if entry.writable else "r"


def compact_time(at: int) -> str:
    """Write seconds since 1970 as RFC 3659 has times: UTC, 14 digits."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(at))
