"""A folder and the folder door that looks after it, on a real ledger and spool."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.daemon import sales, wait_for
from tilldrop import journal_lines
from tilldrop.config import load
from tilldrop.delivery import State
from tilldrop.doors.folder import Folders
from tilldrop.intake import Intake
from tilldrop.ledger import Ledger
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from tilldrop.delivery import Delivery

WITHIN_S = 30
QUIET_S = 0.2
CUSTOMER_TOML = """\
zone = "Europe/Paris"
currency = "EUR"

[[feeds]]
name = "sales"
files = ["*.csv", "transactions/*.csv"]

[feeds.map]
location_id = "Store"
transaction_id = "Id"
sold_at = { date = "Date", time = "Time", format = "YYYY-MM-DD HH:mm" }
total = "Total"
"""


def main_toml(folder: Path, more: str = "") -> str:
    return f"""\
[limits]
reserve_bytes = 0
max_file_bytes = 5_000_000

[[folders]]
path = "{folder}"
customer = "acme"
quiet_s = {QUIET_S}
{more}
"""


class Till:
    """A folder, and the door that looks after it, in a thread of its own while it is open."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "export"
        self.folder.mkdir()
        self.home = root / "home"
        (self.home / "config" / "customers").mkdir(parents=True)
        (self.home / "config" / "customers" / "acme.toml").write_text(CUSTOMER_TOML)
        self.configure()
        self.config.paths.state.mkdir()
        self.ledger = Ledger(self.config.paths.ledger)
        self.spool = Spool(self.config.paths.spool, 0)
        self.said = io.StringIO()
        journal_lines.configure("json", "info", self.said)
        self._thread: threading.Thread | None = None

    def configure(self, more: str = "") -> None:
        (self.home / "config" / "tilldrop.toml").write_text(main_toml(self.folder, more))
        self.config = load(self.home)

    def disable(self, *, disabled: bool) -> None:
        customer = replace(self.config.customers["acme"], disabled=disabled)
        self.config = replace(self.config, customers={"acme": customer})

    # -- its life

    def open(self, look_every_s: float = 0.3) -> None:
        opened = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._stay_open(opened, look_every_s)), daemon=True
        )
        self._thread.start()
        assert opened.wait(WITHIN_S)

    async def _stay_open(self, opened: threading.Event, look_every_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        intake = Intake(self.ledger, self.spool, lambda: self.config)
        with ThreadPoolExecutor(4) as executor:
            self.door = Folders(intake, lambda: self.config, executor, look_every_s)
            await self.door.start()
            opened.set()
            await self._enough.wait()
            await self.door.stop()
        intake.close()

    def reload(self) -> None:
        self._loop.call_soon_threadsafe(self.door.reload)

    def close(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._enough.set)
            self._thread.join(WITHIN_S)
            assert not self._thread.is_alive()
            self._thread = None

    # -- files and what became of them

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        return path

    def deliveries(self, *states: State) -> list[Delivery]:
        """Return acme's deliveries in those states, accepted ones unless said, oldest first."""
        found = self.ledger.find(customer="acme", limit=1000)
        return [one for one in reversed(found) if one.state in (states or (State.ARRIVED,))]

    def wait_for(self, count: int) -> list[Delivery]:
        def look() -> list[Delivery] | None:
            found = self.deliveries()
            return found if len(found) >= count else None

        return wait_for(f"{count} deliveries", look, WITHIN_S)

    def wait_for_event(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        def look() -> list[dict[str, Any]] | None:
            found = self.events(name)
            return found if len(found) >= count else None

        return wait_for(f"{count} of {name}", look, WITHIN_S)

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.said.getvalue().split("\n")[:-1]
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def bytes_of(self, delivery: Delivery) -> str:
        path = self.spool.path_of(delivery.id)
        assert path is not None
        return path.read_text()

    def settle(self) -> None:
        """Wait until the door has taken all there was: a file written now comes last."""
        before = len(self.deliveries())
        self.write("zz-last.csv", sales(999, 1))
        found = wait_for(
            "the last file", lambda: [d for d in self.deliveries() if d.name == "zz-last.csv"]
        )
        assert len(self.deliveries()) == before + 1, [d.name for d in self.deliveries()]
        assert len(found) == 1
