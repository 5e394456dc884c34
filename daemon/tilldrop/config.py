"""Configuration: TOML to a frozen `Config`.

Owns every setting with its default and limits, and what is said of a wrong one. Promises that
all mistakes of all files are said at once, each with file, line, key, what was found and what
was expected. Never writes a file. Longer than other modules, because every setting stands here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tilldrop import config_ftp
from tilldrop.config_folders import FolderDoor, read_folders
from tilldrop.config_ftp import FtpDoor, check_ftp
from tilldrop.errors import ConfigInvalid, HomeUnusable
from tilldrop.mapping_toml import read_feed
from tilldrop.toml_table import Table, line_of
from tilldrop.zones import CURRENCIES, is_zone, nearest_currency, nearest_zone

if TYPE_CHECKING:
    from tilldrop.mapping import Feed
    from tilldrop.toml_table import Complain

MAIN_FILE = Path("config", "tilldrop.toml")
CUSTOMERS_FOLDER = Path("config", "customers")
SYSTEM_HOME = Path("/etc/tilldrop")
SYSTEM_STATE = Path("/var/lib/tilldrop")
CUSTOMER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
NAME_EXPECTED = "a-z, 0-9, dot, dash and underscore, beginning with a letter or digit, 64 at most"

_A_DAY_S = 24 * 3600
_A_TEBIBYTE = 1024**4
# key -> lowest and highest value that makes sense
RANGES: dict[str, tuple[int, int]] = {
    **config_ftp.RANGES,
    "sftp.port": (0, 65535),
    "sftp.login_timeout_s": (1, 3600),
    "sftp.idle_timeout_s": (10, _A_DAY_S),
    "sftp.login_attempts": (1, 100),
    "sftp.max_connections": (1, 100_000),
    "limits.max_file_bytes": (1, _A_TEBIBYTE),
    "limits.reserve_bytes": (0, 1024 * _A_TEBIBYTE),
    "limits.max_open_files": (1, 10_000),
    # A record passes through memory several times over.
    "limits.max_record_bytes": (1024, 256 * 1024**2),
    "limits.broken_keep_hours": (1, 10_000),
    "limits.keep_days": (1, 36_500),
    "limits.temporary_name_wait_s": (1, 30 * _A_DAY_S),
    "limits.empty_grace_s": (0, 3600),
    "limits.stop_grace_s": (0, 3600),
    "importer.timeout_s": (1, _A_DAY_S),
    # DuckDB itself needs some 100 MB before the first row.
    "importer.memory_bytes": (256 * 1024**2, _A_TEBIBYTE),
    "importer.threads": (1, 256),
    "importer.attempts": (1, 100),
    "importer.retry_after_s": (0, _A_DAY_S),
    "importer.scan_interval_s": (0, _A_DAY_S),
}
CHOICES: dict[str, tuple[str, ...]] = {
    **config_ftp.CHOICES,
    "log.form": ("auto", "json", "console"),
    "log.level": ("debug", "info", "warning", "error"),
}
_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")


@dataclass(frozen=True, slots=True)
class SftpDoor:
    """[sftp]. port 0: the system picks. Times in seconds."""

    enabled: bool = True
    listen: str = "0.0.0.0"  # noqa: S104  a door faces the world
    port: int = 2222
    login_timeout_s: int = 20
    idle_timeout_s: int = 900
    login_attempts: int = 4
    max_connections: int = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]."""

    max_file_bytes: int = 4 * 1024**3
    reserve_bytes: int = 512 * 1024**2
    max_open_files: int = 32  # per session
    max_record_bytes: int = 1024**2
    broken_keep_hours: int = 72
    keep_days: int = 90
    temporary_name_wait_s: int = 3600
    empty_grace_s: float = 10.0
    stop_grace_s: int = 20


@dataclass(frozen=True, slots=True)
class ImporterSettings:
    """[importer]."""

    timeout_s: int = 900
    memory_bytes: int = 1024**3
    threads: int = 2
    attempts: int = 3
    retry_after_s: float = 5.0
    scan_interval_s: float = 60.0  # 0: at the start only
    polling: bool = False  # watchdog's polling observer, for network mounts


@dataclass(frozen=True, slots=True)
class Paths:
    """[paths], absolute after loading."""

    home: Path
    state: Path  # var/

    @property
    def spool(self) -> Path:
        """Where bytes wait."""
        return self.state / "spool"

    @property
    def ledger(self) -> Path:
        """The record of every delivery."""
        return self.state / "ledger.db"

    @property
    def data(self) -> Path:
        """The business rows."""
        return self.state / "data.db"

    @property
    def run(self) -> Path:
        """Sockets and locks."""
        return self.state / "run"

    @property
    def keys(self) -> Path:
        """Host keys and customers' keys and password hashes."""
        return self.home / "keys"

    @property
    def customers(self) -> Path:
        """One TOML file per customer."""
        return self.home / "config" / "customers"


@dataclass(frozen=True, slots=True)
class Customer:
    """config/customers/NAME.toml. zone: IANA; currency: ISO 4217."""

    name: str
    disabled: bool
    zone: str
    currency: str
    finishing_rename: bool
    feeds: tuple[Feed, ...]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """[log]. form: "auto" | "json" | "console"."""

    form: str = "auto"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the daemon was told."""

    paths: Paths
    sftp: SftpDoor
    limits: Limits
    importer: ImporterSettings
    log: LogSettings
    customers: dict[str, Customer]
    folders: tuple[FolderDoor, ...] = ()
    ftp: FtpDoor = config_ftp.DEFAULT


_Section = TypeVar("_Section", SftpDoor, FtpDoor, Limits, ImporterSettings, LogSettings)
# Called with a file (relative to the home), a line or 0, a key path or "", and what is wrong.
_Say = Callable[[Path, int, str, str], None]


def find_home(option: Path | None) -> Path:
    """Return the home: --home, else TILLDROP_HOME, the working folder, /etc/tilldrop.

    The working folder counts only if it has config/tilldrop.toml. Raises HomeUnusable if the
    first of them that is given is no home, or none is.
    """
    named = option or (Path(os.environ["TILLDROP_HOME"]) if _is_set("TILLDROP_HOME") else None)
    if named is not None:
        if (named / MAIN_FILE).is_file():
            return named.resolve()
        raise HomeUnusable(
            f"{named} is no Tilldrop home: it has no {MAIN_FILE}; `tilldrop init {named}` makes one"
        )
    for place in (Path.cwd(), SYSTEM_HOME):
        if (place / MAIN_FILE).is_file():
            return place.resolve()
    raise HomeUnusable(
        f"no Tilldrop home here: neither {Path.cwd()} nor {SYSTEM_HOME} has {MAIN_FILE};"
        " say --home or TILLDROP_HOME, or make one with `tilldrop init HOME`"
    )


def default_state(home: Path) -> str:
    """Return where a home's state is unless it says: beside it, or where systemd makes it."""
    return str(SYSTEM_STATE) if home.resolve() == SYSTEM_HOME else "var"


def load(home: Path) -> Config:
    """Read the configuration of a home.

    Raises ConfigInvalid with every mistake, a line each, in the order of files and lines.
    Cost: one small file per customer.
    """
    said: list[tuple[Path, int, str]] = []

    def say(file: Path, line: int, key: str, what: str) -> None:
        where = f"{file}:{line}" if line else str(file)
        said.append((file, line, f"{where}: {key}: {what}" if key else f"{where}: {what}"))

    config = replace(_read_main(home, say), customers=_read_customers(home, say))
    if said:
        # Sorted by line; the sort is stable, so mistakes of one line stay as they were found.
        said.sort(key=lambda one: (one[0] != MAIN_FILE, one[0], one[1]))
        raise ConfigInvalid("\n".join(line for _, _, line in said))
    return config


def _is_set(name: str) -> bool:
    """Tell whether an environment variable holds anything."""
    return bool(os.environ.get(name))


def _read_main(home: Path, say: _Say) -> Config:
    """Read config/tilldrop.toml; customers stand elsewhere."""
    text, raw = _parse(home, MAIN_FILE, say)
    table = Table(raw, _complain(say, MAIN_FILE, text))
    paths = table.table("paths")
    state = paths.text("state", default_state(home), "a folder")
    if not state.strip() or "\0" in state:
        paths.wrong("state", "a folder, absolute or relative to the home")
        state = "var"
    paths.end()
    sftp = _read_section(table, "sftp", SftpDoor)
    if not _is_address(sftp.listen):
        table.table("sftp").wrong("listen", 'an address such as "0.0.0.0", "::" or "127.0.0.1"')
    ftp = _read_section(table, "ftp", FtpDoor)
    check_ftp(table, ftp, _is_address)
    # Path joins to the right-hand side alone if that is absolute.
    places = Paths(home, home / state)
    own = (places.state, places.keys, home / "config")
    config = Config(
        paths=places,
        sftp=sftp,
        limits=_read_section(table, "limits", Limits),
        importer=_read_section(table, "importer", ImporterSettings),
        log=_read_section(table, "log", LogSettings),
        folders=read_folders(table, home, own, lambda name: _is_customer(home, name)),
        customers={},
        ftp=ftp,
    )
    table.end()
    return config


def _is_customer(home: Path, name: str) -> bool:
    """Tell whether there is a customer's file, with mistakes in it or without."""
    return (
        bool(CUSTOMER_NAME.fullmatch(name)) and (home / CUSTOMERS_FOLDER / f"{name}.toml").is_file()
    )


def _read_section(table: Table, name: str, section: type[_Section]) -> _Section:
    """Read one table whose keys are the fields of a dataclass; their defaults give the types."""
    inner = table.table(name)
    values: dict[str, object] = {}
    for field in fields(section):
        key = f"{name}.{field.name}"
        default = field.default
        if isinstance(default, bool):
            values[field.name] = inner.flag(field.name, default=default)
        elif isinstance(default, int):
            values[field.name] = inner.whole(field.name, default, *RANGES[key])
        elif isinstance(default, float):
            values[field.name] = inner.number(field.name, default, *RANGES[key])
        elif key in CHOICES:
            values[field.name] = inner.choice(field.name, CHOICES[key], str(default))
        else:
            values[field.name] = inner.text(field.name, str(default))
    inner.end()
    return section(**values)  # type: ignore[arg-type]  # each was made by its field's type


def _is_address(text: str) -> bool:
    """Tell whether a door could listen on it."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # All digits and dots, and yet no address: a typing error, not a host's name.
        return bool(_HOST_NAME.fullmatch(text)) and not re.fullmatch(r"[0-9.]+", text)
    return True


def _read_customers(home: Path, say: _Say) -> dict[str, Customer]:
    """Read every config/customers/NAME.toml, by name; hidden files are left alone."""
    customers: dict[str, Customer] = {}
    try:
        files = sorted(path.name for path in (home / CUSTOMERS_FOLDER).iterdir())
    except FileNotFoundError:
        return customers
    except OSError as refused:
        say(CUSTOMERS_FOLDER, 0, "", f"cannot be read: {refused.strerror}")
        return customers
    for file in files:
        if file.startswith(".") or not file.endswith(".toml"):
            continue
        relative = CUSTOMERS_FOLDER / file
        name = file.removesuffix(".toml")
        if not CUSTOMER_NAME.fullmatch(name):
            say(relative, 0, "", f'found the name "{name}"; expected {NAME_EXPECTED}')
        customer = _read_customer(home, relative, name, say)
        if customer:
            customers[name] = customer
    return customers


def _read_customer(home: Path, file: Path, name: str, say: _Say) -> Customer | None:
    """Read one customer's file; None if it is not even TOML."""
    text, raw = _parse(home, file, say)
    if not text:
        return None
    table = Table(raw, _complain(say, file, text))
    table.text("notes", "")
    zone = _required(table, "zone", 'a zone such as "Europe/Paris"')
    if zone and not is_zone(zone):
        table.wrong("zone", 'a zone such as "Europe/Paris"', nearest_zone(zone))
    currency = _required(table, "currency", 'an ISO 4217 code such as "EUR"')
    if currency and currency not in CURRENCIES:
        hint = nearest_currency(currency)
        table.wrong("currency", 'an ISO 4217 code such as "EUR"', hint)
    customer = Customer(
        name=name,
        disabled=table.flag("disabled", default=False),
        zone=zone,
        currency=currency,
        finishing_rename=table.flag("finishing_rename", default=True),
        feeds=_read_feeds(table),
    )
    table.end()
    return customer


def _required(table: Table, key: str, expected: str) -> str:
    """Return a text that must be there and hold something."""
    if not table.has(key):
        table.missing(key, expected)
    elif table.value(key) == "":
        table.wrong(key, expected)
    return table.text(key, "", expected)


def _read_feeds(table: Table) -> tuple[Feed, ...]:
    """Read [[feeds]]; their names must differ."""
    value = table.value("feeds")
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        table.wrong("feeds", "tables that begin with [[feeds]]")
        return ()
    feeds = []
    seen: dict[object, int] = {}
    for number, raw in enumerate(value, start=1):
        inner = table.inner(raw, f"feeds.{number}")
        feed = read_feed(raw, inner.complain)
        name = raw.get("name")
        if isinstance(name, str) and seen.setdefault(name.casefold(), number) != number:
            earlier = seen[name.casefold()]
            inner.complain("name", f'found "{name}"; expected another, feed {earlier} has it')
        if feed:
            feeds.append(feed)
    return tuple(feeds)


def _complain(say: _Say, file: Path, text: str) -> Complain:
    """Make what a `Table` of this file complains to."""
    return lambda key, what: say(file, line_of(text, key), key, what)


def _parse(home: Path, file: Path, say: _Say) -> tuple[str, dict[str, object]]:
    """Read a TOML file; text "" if it cannot be read at all."""
    try:
        # Windows editors begin UTF-8 files with a mark that TOML does not know.
        text = (home / file).read_text(encoding="utf-8-sig") + "\n"
    except UnicodeDecodeError as wrong:
        say(file, 0, "", f"not UTF-8: {wrong.reason} at byte {wrong.start}")
        return "", {}
    except OSError as refused:
        say(file, 0, "", f"cannot be read: {refused.strerror}")
        return "", {}
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        what, _, place = str(wrong).partition(" (at ")
        # "line 3, column 5", or "end of document"
        at = [int(number) for number in re.findall(r"[0-9]+", place)]
        line, column = (at[0], f", column {at[1]}") if at else (0, ", at its end")
        say(file, line, "", f"not TOML: {what}{column}")
        return "", {}
