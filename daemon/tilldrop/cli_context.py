"""What every verb of the CLI stands on: the home that was asked for, common options.

Reads the configuration when a verb first needs it, so that `--help` and `init` work without.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tilldrop import config
from tilldrop.errors import HomeUnusable, NoSuchCustomer
from tilldrop.ledger_reading import LedgerReader
from tilldrop.toml_table import nearest

if TYPE_CHECKING:
    from tilldrop.config import Config
    from tilldrop.config_customers import Customer

PATH = click.Path(path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for scripts.")


class Where:
    """The home on which a command works. option: --home."""

    def __init__(self, option: Path | None) -> None:
        self._option = option
        self._config: Config | None = None

    def home(self) -> Path:
        """Return the home. Raises HomeUnusable."""
        return config.find_home(self._option)

    def config(self) -> Config:
        """Return the configuration, read once. Raises HomeUnusable, ConfigInvalid."""
        if self._config is None:
            self._config = config.load(self.home())
        return self._config

    def customer(self, name: str) -> Customer:
        """Return a customer. Raises NoSuchCustomer."""
        customers = self.config().customers
        if name not in customers:
            hint = nearest(name, customers)
            raise NoSuchCustomer(f"there is no customer {name!r}{hint}")
        return customers[name]

    def ledger(self) -> LedgerReader:
        """Open the ledger for reading. Raises HomeUnusable before the first run."""
        path = self.config().paths.ledger
        if not path.exists():
            raise HomeUnusable(f"there is no ledger yet: {path}; the first `tilldrop run` makes it")
        return LedgerReader(path)


def plural(count: int, noun: str) -> str:
    """Write "1 feed", "2 feeds"."""
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else many}"
