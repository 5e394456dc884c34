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
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tilldrop import config_ftp, config_guard, config_limits
from tilldrop.config_customers import Customer, read_customer
from tilldrop.config_folders import FolderDoor, read_folders
from tilldrop.config_ftp import FtpDoor, check_ftp
from tilldrop.config_guard import GuardSettings, read_guard
from tilldrop.errors import ConfigInvalid, HomeUnusable
from tilldrop.toml_table import Table, line_of, printable

if TYPE_CHECKING:
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
    **config_guard.RANGES,
    **config_limits.RANGES,
    "sftp.port": (0, 65535),
    "sftp_legacy.port": (0, 65535),
    "sftp.login_timeout_s": (1, 3600),
    "sftp.idle_timeout_s": (10, _A_DAY_S),
    "sftp.login_attempts": (1, 100),
    "sftp.max_connections": (1, 100_000),
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
class SftpLegacyDoor:
    """[sftp_legacy]: a second listener, for old tills; what else it needs is [sftp]'s."""

    enabled: bool = False
    listen: str = "0.0.0.0"  # noqa: S104  a door faces the world
    port: int = 2223


@dataclass(frozen=True, slots=True)
class Limits:
    """[limits]. Of these, `config_limits.OwnLimits` may be said for one customer too.

    0 of max_stored_bytes, max_uploads_a_day, max_sessions, bandwidth_bytes_s: no limit.
    """

    max_file_bytes: int = 4 * 1024**3
    max_stored_bytes: int = 20 * 1024**3  # of one customer, as the three below
    max_uploads_a_day: int = 100_000
    max_sessions: int = 100
    bandwidth_bytes_s: int = 0
    reserve_bytes: int = 512 * 1024**2
    max_open_files: int = 32  # per session
    max_record_bytes: int = 1024**2
    broken_keep_hours: int = 72
    keep_days: int = 90
    keep_rejected_days: int = 90  # these three: 0 is for good
    keep_history_days: int = 400
    keep_reports_days: int = 400
    audit_keep_days: int = 400
    temporary_name_wait_s: int = 3600
    empty_grace_s: float = 10.0
    stop_grace_s: int = 10  # clients that call meanwhile give up after 15 s or more
    max_unpacked_bytes: int = 4 * 1024**3
    max_unpack_ratio: int = 200


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
    def sandbox(self) -> Path:
        """The rows of what is in sandbox; made when anything is."""
        return self.state / "sandbox.db"

    @property
    def audit(self) -> Path:
        """Who did what."""
        return self.state / "audit.db"

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
    sftp_legacy: SftpLegacyDoor = SftpLegacyDoor()
    guard: GuardSettings = config_guard.DEFAULT

    def legacy_door(self) -> SftpDoor:
        """Return what the door for old tills goes by."""
        old = self.sftp_legacy
        return replace(self.sftp, enabled=old.enabled, listen=old.listen, port=old.port)

    def limits_of(self, customer: Customer) -> Limits:
        """Return the limits that hold for a customer: its own, else those for all."""
        own = customer.limits.said
        return replace(self.limits, **own) if own else self.limits


_Section = TypeVar(
    "_Section", SftpDoor, SftpLegacyDoor, FtpDoor, Limits, ImporterSettings, LogSettings
)
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
        parts = (f"{file}:{line}" if line else str(file), key, what)
        said.append((file, line, printable(": ".join(part for part in parts if part))))

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
    legacy = _read_section(table, "sftp_legacy", SftpLegacyDoor)
    if not _is_address(legacy.listen):
        table.table("sftp_legacy").wrong("listen", 'an address such as "0.0.0.0" or "::"')
    ftp = _read_section(table, "ftp", FtpDoor)
    check_ftp(table, ftp, _is_address)
    limits = _read_section(table, "limits", Limits)
    if config_limits.is_too_slow(limits.bandwidth_bytes_s):
        table.table("limits").wrong("bandwidth_bytes_s", config_limits.BANDWIDTH_EXPECTED)
    # Path joins to the right-hand side alone if that is absolute.
    places = Paths(home, home / state)
    own = (places.state, places.keys, home / "config")
    config = Config(
        paths=places,
        sftp=sftp,
        limits=limits,
        importer=_read_section(table, "importer", ImporterSettings),
        log=_read_section(table, "log", LogSettings),
        guard=read_guard(table),
        folders=read_folders(table, home, own, lambda name: _is_customer(home, name)),
        customers={},
        ftp=ftp,
        sftp_legacy=legacy,
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
    return read_customer(Table(raw, _complain(say, file, text)), name)


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
    except (tomllib.TOMLDecodeError, RecursionError) as wrong:
        what, _, place = str(wrong).partition(" (at ")
        # "line 3, column 5", or "end of document"
        at = [int(number) for number in re.findall(r"[0-9]+", place)]
        line, column = (at[0], f", column {at[1]}") if at else (0, ", at its end")
        say(file, line, "", f"not TOML: {what}{column}")
        return "", {}
