"""Configuration: TOML to a frozen `Config`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tilldrop.mapping import Feed


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
    scan_interval_s: float = 60.0  # 0: never, not even at start
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
