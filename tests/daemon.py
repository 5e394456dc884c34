"""The installed daemon as a real process on a home of its own, for tests and benches.

Owns starting, stopping and killing it, and asking it and its databases how things stand.
Every wait has a deadline and says what was waited for. Only processes started here are ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tilldrop import control
from tilldrop.config import Paths, load
from tilldrop.customers import Customers
from tilldrop.delivery import Delivery, State
from tilldrop.errors import NotRunning
from tilldrop.ledger_reading import LedgerReader
from tilldrop.sqlite import sqlite3

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

# Where pip put the command for this interpreter: what an operator would start.
TILLDROP = Path(sys.executable).with_name("tilldrop")
START_S = 30  # a machine busy with other tests; alone it takes about one
STOP_S = 30
LOOK_EVERY_S = 0.01
PASSWORD = "ahoy-there"
UNFINISHED = (State.RECEIVING, State.ARRIVED, State.IMPORTING)

MAIN_TOML = """\
[sftp]
listen = "127.0.0.1"
port = 0

[limits]
reserve_bytes = 0
empty_grace_s = 0.2
stop_grace_s = 5

[importer]
scan_interval_s = 0      # watchdog alone must drive
retry_after_s = 0.2

[log]
form = "json"
"""

CUSTOMER_TOML = """\
zone = "Europe/Paris"
currency = "EUR"

[[feeds]]
name = "sales"
files = "*.csv"

[feeds.map]
location_id = "Store"
transaction_id = "Id"
sold_at = { date = "Date", time = "Time", format = "YYYY-MM-DD HH:mm" }
total = "Total"
"""
HEADER = "Store,Id,Date,Time,Total\n"


def wait_for(what: str, look: Callable[[], T | None], within_s: float = 30) -> T:
    """Return what `look` finds once it finds something true; fail after within_s."""
    deadline = time.monotonic() + within_s
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"{within_s} s passed, and not yet: {what}"
        time.sleep(LOOK_EVERY_S)


def sales(first: int, count: int, store: str = "12", cents: int = 100) -> str:
    """Write a file of the feed `sales`: ids from `first` on, each of `cents`."""
    amount = f"{cents // 100}.{cents % 100:02d}"
    rows = (f"{store},{first + i},2026-03-14,10:30,{amount}\n" for i in range(count))
    return HEADER + "".join(rows)


def make_home(home: Path, host_keys: Path, main_toml: str = MAIN_TOML) -> Path:
    """Lay out a home with the customer `acme`, which has a password and the sales feed.

    host_keys: ready ones, taken over because making an RSA key takes a second.
    """
    shutil.copytree(host_keys, home / "keys")
    (home / "config" / "customers").mkdir(parents=True)
    (home / "config" / "tilldrop.toml").write_text(main_toml)
    add_customer(home, "acme")
    return home


def add_customer(home: Path, name: str, toml: str = CUSTOMER_TOML) -> None:
    """Give the home another customer, with the common password."""
    (home / "config" / "customers" / f"{name}.toml").write_text(toml)
    config = load(home)
    Customers(config.paths.keys, lambda: config).set_password(name, PASSWORD)


def make_key(home: Path, customer: str, kind: str = "ed25519") -> Path:
    """Make a key pair and let that customer in with it; return the private key's path."""
    key = home / f"{customer}-{kind}"
    make = ("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", customer, "-f", str(key))
    subprocess.run(make, check=True)
    public = key.with_suffix(".pub").read_text()
    (home / "keys" / "customers").mkdir(parents=True, exist_ok=True)
    with (home / "keys" / "customers" / f"{customer}.pub").open("a") as file:
        file.write(public)
    return key


def tilldrop(home: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command on that home; `typed` goes to its standard input."""
    return subprocess.run(
        (str(TILLDROP), "--home", str(home), *words),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(slots=True)
class Daemon:
    """One home's daemon. command: what starts it, if not `tilldrop run`."""

    home: Path
    command: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    readers: list[LedgerReader] = field(default_factory=list)

    @property
    def paths(self) -> Paths:
        """Where its files are."""
        return Paths(self.home, self.home / "var")

    @property
    def log(self) -> Path:
        """What it wrote to stdout and stderr, over all its starts."""
        return self.home / "daemon.log"

    @property
    def pid(self) -> int:
        """The main process."""
        assert self.process is not None, "not started"
        return self.process.pid

    # -- its life --------------------------------------------------------------------------

    def launch(self, told: dict[str, str] | None = None, pass_fds: Sequence[int] = ()) -> Daemon:
        """Start it and do not wait. told: of its environment, what is not ours."""
        command = self.command or (str(TILLDROP), "--home", str(self.home), "run")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | (told or {}),
                pass_fds=pass_fds,
            )
        return self

    def start(self) -> Daemon:
        """Start it and wait until it answers; `port` is then its SFTP door's."""
        self.launch()
        self.wait_until_up()
        return self

    def wait_until_up(self) -> None:
        """Wait for its answer, or fail with its log if it ends instead."""

        def answer() -> dict[str, Any] | None:
            assert self.process is not None
            ended = self.process.poll()
            assert ended is None, f"it ended with {ended}:\n{self.log_tail()}"
            try:
                return self.status()
            except NotRunning:
                return None

        self.port = wait_for("the daemon to be up", answer, START_S)["doors"]["sftp"]["port"]

    def stop(self) -> int:
        """End it in order (SIGTERM) and return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_until_ended()

    def kill(self) -> None:
        """kill -9 it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.wait_until_ended()

    def wait_until_ended(self, within_s: float = STOP_S) -> int:
        """Return its exit code once it has ended; negative: the signal that ended it."""
        assert self.process is not None
        for reader in self.readers:
            reader.close()
        self.readers.clear()
        code = self.process.wait(within_s)
        self.process = None
        return code

    # -- how things stand --------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What `tilldrop status --json` prints; asked without the command, which is slower."""
        answer: dict[str, Any] = control.ask(self.paths, "status")
        return answer

    def ledger(self) -> LedgerReader:
        """A reading connection to its ledger."""
        if not self.readers:
            self.readers.append(LedgerReader(self.paths.ledger))
        return self.readers[0]

    def deliveries(self, name: str | None = None, customer: str = "acme") -> list[Delivery]:
        """Deliveries of that name, newest first."""
        return self.ledger().find(customer=customer, name=name, limit=100_000)

    def wait_for_state(self, name: str, *states: State, within_s: float = 30) -> Delivery:
        """Return the newest delivery of that name once it stands in one of the states."""

        def look() -> Delivery | None:
            found = self.deliveries(name)
            return found[0] if found and found[0].state in states else None

        return wait_for(f"{name} to be {' or '.join(states)}", look, within_s)

    def wait_until_idle(self, within_s: float = 60) -> None:
        """Wait until nothing is received, waits for its import or is imported."""

        def idle() -> bool:
            counts = self.ledger().count_by_state()
            return not any(counts.get(state) for state in UNFINISHED)

        wait_for("the daemon to be idle", idle, within_s)

    def rows(
        self, sql: str, *parameters: object, database: Path | None = None
    ) -> list[tuple[Any, ...]]:
        """Ask data.db, or another database, reading only."""
        uri = f"{(database or self.paths.data).as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=10)
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it logged under that name."""
        with self.log.open(errors="replace") as lines:
            said = [json.loads(line) for line in lines if line.startswith("{") and name in line]
        return [event for event in said if event["event"] == name]

    def log_tail(self) -> str:
        """The end of its log, for a failure's message."""
        return self.log.read_text(errors="replace")[-4000:]

    def worker_pid(self) -> int | None:
        """The importer's worker; None while there is none."""
        pid: int | None = self.status()["worker"]["pid"]
        return pid


def children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`, as /proc tells."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process is there and not a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def end(pid: int) -> None:
    """kill -9 one process."""
    os.kill(pid, signal.SIGKILL)
