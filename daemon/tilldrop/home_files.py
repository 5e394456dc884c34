"""The configuration files that Tilldrop itself writes: a new home, a new customer, one key.

Promises that a file is replaced whole or not at all, and that an edit leaves comments, order
and blank lines as they were. Never overwrites a configuration, never reads one for its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError

from tilldrop.config import CUSTOMERS_FOLDER, MAIN_FILE
from tilldrop.errors import ConfigInvalid, HomeUnusable, NoSuchCustomer, UsageWrong
from tilldrop.secretfiles import PUBLIC_MODE, write_whole

if TYPE_CHECKING:
    from pathlib import Path

_PRIVATE_FOLDER_MODE = 0o700

_MAIN = """\
# Tilldrop's own settings. Every key is explained in config/README.md; what is not set has the
# default shown behind its #. Customers are in config/customers/, a file each.
# `tilldrop check` tells all mistakes at once.

[sftp]
listen = "LISTEN"
port = 2222                            # 0: the system picks; `tilldrop status` tells it
# enabled = true
# login_timeout_s = 20
# idle_timeout_s = 900
# login_attempts = 4
# max_connections = 1000

[ftp]
# enabled = false                      # true: FTP and FTPS are taken too
# listen = "0.0.0.0"
# port = 2121
# implicit_port = 0                    # 990 or so: TLS from the first byte, for old FTPS clients
# tls = "optional"                     # or "required", "off"
# tls_eof = "accept"                   # or "require"
# certificate = "keys/ftp.crt"         # made at the first start if it is not there
# private_key = "keys/ftp.key"
# passive_ports = ""                   # "50000-50099": what the firewall lets through
# masquerade_address = ""              # the public IPv4 address, behind NAT
# login_timeout_s = 20
# idle_timeout_s = 300
# login_attempts = 4
# max_connections = 500
# max_per_source = 16

[paths]
state = "STATE"

[limits]
# max_file_bytes = 4_294_967_296       # 4 GiB
# max_stored_bytes = 21_474_836_480    # 20 GiB of one customer; 0: no limit
# max_uploads_a_day = 100_000          # of one customer; 0: no limit
# max_sessions = 100                   # of one customer; 0: no limit
# bandwidth_bytes_s = 0                # of one customer; 0: no limit
# reserve_bytes = 536_870_912          # 512 MiB stay free
# max_open_files = 32
# max_record_bytes = 1_048_576         # 1 MiB
# broken_keep_hours = 72
# keep_days = 90
# temporary_name_wait_s = 3600
# empty_grace_s = 10.0
# stop_grace_s = 10
# max_unpacked_bytes = 4_294_967_296   # 4 GiB: what a .gz, .zip or workbook may grow to
# max_unpack_ratio = 200               # how many times its size

[importer]
# timeout_s = 900
# memory_bytes = 1_073_741_824         # 1 GiB
# threads = 2
# attempts = 3
# retry_after_s = 5.0
# scan_interval_s = 60.0
# polling = false                      # true where the state folder is a network mount

[log]
# form = "auto"                        # or "json", "console"
# level = "info"                       # or "debug", "warning", "error"

# Folders whose files are delivered for a customer, a table [[folders]] each: config/README.md.
"""

_CUSTOMER = """\
# NAME: a customer of Tilldrop. Keys: config/README.md. Mappings: docs/mapping.md.
# Try a file before the customer sends it: tilldrop try NAME FILE

zone = "ZONE"
currency = "CURRENCY"

# One [[feeds]] for each kind of file. Take the marks away and put in the file's own columns:
#
# [[feeds]]
# name = "sales"
# files = "sales*.csv"
#
# [feeds.read]
# delimiter = ","
#
# [feeds.map]
# location_id = "Branch"
# transaction_id = "Invoice ID"
# total = "Total"
# sold_at = { date = "Date", time = "Time", format = "D/M/YYYY HH:mm" }
"""


def main_template(listen: str, state: str) -> str:
    """Return a whole tilldrop.toml. state: a folder, absolute or relative to the home."""
    return _MAIN.replace("LISTEN", _inside_quotes(listen)).replace("STATE", _inside_quotes(state))


def customer_template(name: str, zone: str, currency: str) -> str:
    """Return a customer's file without a feed, and with one to copy."""
    text = _CUSTOMER.replace("ZONE", _inside_quotes(zone))
    return text.replace("CURRENCY", _inside_quotes(currency)).replace("NAME", name)


def make_home(home: Path, listen: str, state: str) -> None:
    """Write a new home. Raises HomeUnusable if one is there already or cannot be written."""
    if (home / MAIN_FILE).exists():
        raise HomeUnusable(f"{home} is a home already: {home / MAIN_FILE} exists")
    try:
        (home / CUSTOMERS_FOLDER).mkdir(parents=True, exist_ok=True)
        for folder in (home / "keys", home / "keys" / "customers"):
            folder.mkdir(mode=_PRIVATE_FOLDER_MODE, exist_ok=True)
        write_whole(home / MAIN_FILE, main_template(listen, state).encode(), PUBLIC_MODE)
    except OSError as refused:
        raise HomeUnusable(f"{home} cannot be written: {refused.strerror}") from refused


def customer_file(home: Path, name: str) -> Path:
    """Return where a customer's configuration stands."""
    return home / CUSTOMERS_FOLDER / f"{name}.toml"


def add_customer(home: Path, name: str, zone: str, currency: str) -> Path:
    """Write a new customer's file; return it. Raises UsageWrong if there is one, OSError."""
    path = customer_file(home, name)
    if path.exists():
        raise UsageWrong(f"customer {name} exists already: {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, customer_template(name, zone, currency).encode(), PUBLIC_MODE)
    return path


def customer_like(home: Path, like: str, name: str, zone: str, currency: str) -> str:
    """Return a new customer's file with the feeds of another, enabled and without its notes.

    Raises NoSuchCustomer, ConfigInvalid if the other's file is no TOML, OSError.
    """
    _, document = _parsed(home, like)
    for key in ("disabled", "notes"):
        document.pop(key, None)
    document["zone"], document["currency"] = zone, currency
    text = tomlkit.dumps(document)
    # The two places in which the template names its customer.
    for place in ("# {}: a customer", "tilldrop try {} FILE"):
        text = text.replace(place.format(like), place.format(name))
    return text


def customer_changed(home: Path, name: str, zone: str, currency: str) -> str:
    """Return a customer's file with another zone and currency. Raises as `customer_like`."""
    _, document = _parsed(home, name)
    document["zone"], document["currency"] = zone, currency
    return tomlkit.dumps(document)


def write_customer(home: Path, name: str, text: str) -> None:
    """Write a customer's file, new or not; one that is there keeps its mode. Raises OSError."""
    path = customer_file(home, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else PUBLIC_MODE
    write_whole(path, text.encode(), mode)


def set_disabled(home: Path, name: str, *, disabled: bool) -> bool:
    """Write `disabled` into a customer's file; return False if it said so already.

    Raises NoSuchCustomer, ConfigInvalid if the file is no TOML, OSError.
    """
    path = customer_file(home, name)
    text, document = _parsed(home, name)
    if document.get("disabled", False) is disabled:
        return False
    if disabled and "disabled" not in document:
        # Ahead of everything: below the first [[feeds]] it would belong to that feed.
        text = _with_first_key(text, "disabled = true")
    else:
        document["disabled"] = disabled
        text = tomlkit.dumps(document)
    write_whole(path, text.encode(), path.stat().st_mode & 0o777)
    return True


def customer_live(home: Path, name: str, locations: tuple[str, ...] = ()) -> str:
    """Return a customer's file in which it is live, or some more of its locations are.

    Comments, order and all else stay. Raises NoSuchCustomer, ConfigInvalid, OSError.
    """
    text, document = _parsed(home, name)
    if not locations:
        if "mode" in document:
            document["mode"] = "live"
        document.pop("live_locations", None)
        for feed in document.get("feeds", ()):
            if "mode" in feed:
                feed["mode"] = "live"
        return tomlkit.dumps(document)
    there = document.get("live_locations")
    if there is None:
        listed = ", ".join(f'"{_inside_quotes(one)}"' for one in locations)
        return _with_first_key(text, f"live_locations = [{listed}]")
    if isinstance(there, str):  # one location may stand without brackets
        document["live_locations"] = [there, *locations]
    else:
        there.extend(locations)
    return tomlkit.dumps(document)


def _parsed(home: Path, name: str) -> tuple[str, tomlkit.TOMLDocument]:
    """Read a customer's file. Raises NoSuchCustomer, ConfigInvalid, OSError."""
    path = customer_file(home, name)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return text, tomlkit.parse(text)
    except FileNotFoundError as missing:
        raise NoSuchCustomer(f"there is no customer {name}: {path} is missing") from missing
    except (UnicodeDecodeError, TOMLKitError) as wrong:
        raise ConfigInvalid(f"{path}: not TOML: {wrong}") from wrong


def _with_first_key(text: str, setting: str) -> str:
    """Put a setting behind the comment that a file begins with."""
    lines = text.splitlines(keepends=True)
    at = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    end = "\r\n" if "\r\n" in text else "\n"
    if at and not lines[at - 1].endswith("\n"):
        lines[at - 1] += end
    return "".join((*lines[:at], f"{setting}{end}", *lines[at:]))


def _inside_quotes(text: str) -> str:
    """Escape a text for a TOML string in double quotes."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
