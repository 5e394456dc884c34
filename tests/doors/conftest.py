"""A real SFTP door in this process, on a real ledger and spool, for real clients to call."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import subprocess
import threading
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import TYPE_CHECKING

import asyncssh
import paramiko
import pytest

from tests.daemon import PASSWORD, add_customer, make_home, make_key, wait_for
from tilldrop import journal_lines
from tilldrop.config import load
from tilldrop.config_limits import OwnLimits
from tilldrop.customers import Customers
from tilldrop.doors.sftp import Sftp
from tilldrop.guard import Guard
from tilldrop.hostkeys import listing
from tilldrop.intake import Intake
from tilldrop.ledger import Ledger
from tilldrop.password_checks import PasswordChecks
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path
    from typing import Any

    from tests.doors.ftp_door import FtpHere, Said
    from tilldrop.config import Config
    from tilldrop.delivery import Delivery, State

CLIENT_WITHIN_S = 60
CONTENT = b"Store,Id,Date,Time,Total\n" + b"12,1,2026-03-14,10:30,9.99\n" * 4000
LATER = b"Store,Id,Date,Time,Total\n12,2,2026-03-15,11:30,5.00\n"
HOST = "127.0.0.1"
# Which Debian package has a program that a test calls.
PACKAGES = {
    "sftp": "openssh-client",
    "scp": "openssh-client",
    "ssh": "openssh-client",
    "sshpass": "sshpass",
    "rclone": "rclone",
    "psftp": "putty-tools",
    "puttygen": "putty-tools",
    "curl": "curl",
    "lftp": "lftp",
}
CUSTOMER_TOML = """\
zone = "Europe/Paris"
currency = "EUR"

[[feeds]]
name = "sales"
files = ["*.csv", "transactions/*.csv", "day-*/CheckDetails.csv", "at-*/*/PaymentDetails.csv"]

[feeds.map]
location_id = "Store"
transaction_id = "Id"
sold_at = { date = "Date", time = "Time", format = "YYYY-MM-DD HH:mm" }
total = "Total"
"""
MAX_CONNECTIONS = 8
MAIN_TOML = f"""\
[sftp]
listen = "127.0.0.1"
port = 0
login_attempts = 2
max_connections = {MAX_CONNECTIONS}

[limits]
reserve_bytes = 0
max_file_bytes = 8_000_000
max_open_files = 4

[guard]  # clients that fail on purpose come again; its own tests take it back
allow = ["127.0.0.0/8"]
"""


class Door:
    """The door, open in a thread of its own; and how clients call it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = load(home)
        self.customers = Customers(self.config.paths.keys, lambda: self.config)
        self.config.paths.state.mkdir()
        self.ledger = Ledger(self.config.paths.ledger)
        self.spool = Spool(self.config.paths.spool, self.config.limits.reserve_bytes)
        self.guard = Guard(lambda: self.config.guard)
        self.port = 0
        self._opened = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._stay_open()), daemon=True)
        self._thread.start()
        assert self._opened.wait(CLIENT_WITHIN_S)

    async def _stay_open(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._enough = asyncio.Event()
        self.intake = Intake(self.ledger, self.spool, lambda: self.config)
        self._checks = PasswordChecks(self.customers, self.guard)
        self.sftp = self.another(self.config)
        self.port = await self.sftp.start()
        self._opened.set()
        await self._enough.wait()
        await self.sftp.stop()
        self._checks.close()
        self.intake.close()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine where the door runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(CLIENT_WITHIN_S)

    def another(self, config: Config) -> Sftp:
        """Make a second door, not yet open."""
        shared = (self.intake, self.customers, lambda: self.config, self._checks, self.guard)
        return Sftp(config.sftp, *shared)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function where the door runs."""

        async def called() -> None:
            function()

        self.do(called())

    def close(self) -> None:
        """Close the door and what it stood on."""
        self.loop.call_soon_threadsafe(self._enough.set)
        self._thread.join(CLIENT_WITHIN_S)
        assert not self._thread.is_alive()
        self.ledger.close()

    def disable(self, name: str) -> None:
        """Disable a customer, as a reload of the configuration would."""
        customers = dict(self.config.customers)
        customers[name] = replace(customers[name], disabled=True)
        self.config = replace(self.config, customers=customers)

    def limit(self, **own: int) -> None:
        """Give acme limits of its own."""
        customers = dict(self.config.customers)
        customers["acme"] = replace(customers["acme"], limits=OwnLimits(**own))
        self.config = replace(self.config, customers=customers)

    def let_in_from(self, *networks: str) -> None:
        """Let acme in from these networks only."""
        customers = dict(self.config.customers)
        sources = tuple(ip_network(each) for each in networks)
        customers["acme"] = replace(customers["acme"], sources=sources)
        self.config = replace(self.config, customers=customers)

    # -- what became of uploads

    def deliveries(self, state: State | None = None) -> list[Delivery]:
        """Return what the ledger holds of acme, oldest first."""
        return sorted(
            self.ledger.find(customer="acme", state=state), key=lambda each: each.began_at
        )

    def only(self) -> Delivery:
        """Return the one delivery there is."""
        (delivery,) = self.deliveries()
        return delivery

    def wait_for_state(self, state: State) -> Delivery:
        """Wait until the one delivery there is has come to that state."""

        def look() -> Delivery | None:
            found = self.deliveries()
            return found[0] if len(found) == 1 and found[0].state is state else None

        return wait_for(f"a delivery in state {state}", look)

    def bytes_of(self, delivery: Delivery) -> bytes:
        """Read what is stored of a delivery."""
        path = self.spool.path_of(delivery.id)
        assert path is not None
        return path.read_bytes()

    # -- clients

    def ssh_options(self, key: Path | None) -> list[str]:
        """Return options for OpenSSH's programs that let no setting of this machine in."""
        known = self.home / "known_hosts"
        lines = (path.read_text() for path in (self.home / "keys").glob("ssh_host_*_key.pub"))
        known.write_text("".join(f"[{HOST}]:{self.port} {line}" for line in lines))
        options = [
            "BatchMode=no",  # sftp -b would forbid passwords
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known}",
            "GlobalKnownHostsFile=/dev/null",
            "NumberOfPasswordPrompts=1",
            "IdentitiesOnly=yes",
            f"PreferredAuthentications={'publickey' if key else 'password'}",
            f"Port={self.port}",
        ]
        words = ["-F", "/dev/null"] + [word for each in options for word in ("-o", each)]
        return words + (["-i", str(key)] if key else [])

    def sftp_batch(
        self, *commands: str, key: Path | None = None, password: str = PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        """Run OpenSSH's sftp with those commands; a leading `-` lets one fail."""
        batch = self.home / "batch"
        batch.write_text("\n".join(commands) + "\n")
        words = ["sftp", *self.ssh_options(key), "-b", str(batch), f"acme@{HOST}"]
        return self.run(*self.typing(key), *words, SSHPASS=password)

    def psftp(
        self, *commands: str, login: tuple[str, ...] = ("-pw", PASSWORD)
    ) -> subprocess.CompletedProcess[str]:
        """Run PuTTY's psftp with those commands."""
        batch = self.home / "batch"
        batch.write_text("\n".join(commands) + "\n")
        known = listing(self.config.paths.keys)[0].fingerprint
        options = ["-batch", "-P", str(self.port), "-hostkey", known, *login]
        return self.run("psftp", *options, "-b", str(batch), f"acme@{HOST}")

    def rclone(self, *words: str, key: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run rclone; the door is `:sftp:`."""
        login = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_SFTP_HOST": HOST,
            "RCLONE_SFTP_PORT": str(self.port),
            "RCLONE_SFTP_USER": "acme",
        }
        if key is None:
            obscured = self.run("rclone", "obscure", PASSWORD).stdout.strip()
            return self.run("rclone", "--retries=1", *words, **login, RCLONE_SFTP_PASS=obscured)
        return self.run("rclone", "--retries=1", *words, **login, RCLONE_SFTP_KEY_FILE=str(key))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a client that will be killed, in a process group of its own."""
        program(words[0])
        return subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def typing(self, key: Path | None) -> list[str]:
        """Return what types the password for a program."""
        return [] if key else [program("sshpass"), "-e"]

    def run(
        self, *words: str, typed: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a client to its end."""
        program(words[0])
        return subprocess.run(
            words,
            env={**os.environ, **environment, "HOME": str(self.home)},
            input=typed,
            capture_output=True,
            text=True,
            timeout=CLIENT_WITHIN_S,
            check=False,
        )

    def put(self, content: bytes, name: str = "sales.csv") -> None:
        """Deliver a file."""
        with self.paramiko() as session, session.open(name, "wb") as file:
            file.write(content)

    @contextmanager
    def paramiko(self, name: str = "acme") -> Iterator[paramiko.SFTPClient]:
        """Open a session of paramiko's."""
        transport = paramiko.Transport((HOST, self.port))
        try:
            transport.connect(username=name, password=PASSWORD)
            session = paramiko.SFTPClient.from_transport(transport)
            assert session is not None
            yield session
        finally:
            transport.close()

    @asynccontextmanager
    async def session(self, **options: Any) -> AsyncIterator[asyncssh.SFTPClient]:
        """Open a session of asyncssh's, which can do what no other client can be made to do."""
        connection = await self.connect()
        async with connection, connection.start_sftp_client(**options) as session:
            yield session

    async def connect(self, **options: Any) -> asyncssh.SSHClientConnection:
        """Connect with asyncssh's client."""
        options = {"username": "acme", "password": PASSWORD, **options}
        return await asyncssh.connect(
            HOST, self.port, known_hosts=None, config=None, client_keys=None, **options
        )


def program(name: str) -> str:
    """Return the program's name if it is installed, else fail naming its package."""
    if shutil.which(name) is None:
        pytest.fail(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return name


@pytest.fixture
def door(tmp_path: Path, host_keys: Path) -> Iterator[Door]:
    """An open door; the customer acme has a password."""
    home = make_home(tmp_path / "home", host_keys, MAIN_TOML)
    add_customer(home, "acme", CUSTOMER_TOML)
    opened = Door(home)
    yield opened
    opened.close()


@pytest.fixture
def key(door: Door) -> Path:
    """A private key with which acme gets in."""
    return make_key(door.home, "acme")


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A file to send, of some 100 KB: several packets of any client."""
    path = tmp_path / "sales.csv"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def open_ftp(tmp_path: Path, host_keys: Path) -> Iterator[Callable[..., FtpHere]]:
    """Open FTP doors: called with settings that are not the usual ones."""
    # It builds on the door above.
    from tests.doors.ftp_door import FtpHere  # noqa: PLC0415

    with ExitStack() as doors:

        def opened(**settings: Any) -> FtpHere:
            home = make_home(tmp_path / "ftp-home", host_keys, MAIN_TOML)
            add_customer(home, "acme", CUSTOMER_TOML)
            door = FtpHere(home, **settings)
            doors.callback(door.close)
            return door

        yield opened


@pytest.fixture
def ftp(open_ftp: Callable[..., FtpHere]) -> FtpHere:
    """An open FTP door; the customer acme has a password."""
    return open_ftp()


@pytest.fixture
def said() -> Iterator[Said]:
    """Listen to the journal."""
    stream = io.StringIO()
    journal_lines.configure("json", "info", stream)

    def events(name: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in lines if line["event"] == name]

    yield events
    journal_lines.configure("auto", "info")
