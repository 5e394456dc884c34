"""The server of the matrix: a real daemon, a customer for every row, and what arrived there."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko

from tests.client_matrix.driver import Login
from tests.clients import known_hosts
from tests.daemon import PASSWORD, Daemon, make_home, wait_for
from tilldrop import hostkeys
from tilldrop.config import load
from tilldrop.customers import Customers
from tilldrop.delivery import Cause, Delivery, State
from tilldrop.passwords import made
from tilldrop.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

HOST = "127.0.0.1"
WAIT_S = 30
MAIN_TOML = """\
[sftp]
listen = "127.0.0.1"
port = 0

[ftp]
enabled = true
listen = "127.0.0.1"
port = 0
tls = "optional"

[limits]
reserve_bytes = 0
empty_grace_s = 2

[log]
form = "json"
level = "debug"
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


@dataclass(slots=True)
class Site:
    """A daemon with a customer for each of `users`; in `folder`, which is empty at first."""

    folder: Path
    users: Iterable[str]
    daemon: Daemon = field(init=False)
    ports: dict[str, int] = field(init=False, default_factory=dict)

    def open(self) -> None:
        """Lay out the home and start the daemon."""
        host_keys = self.folder / "host-keys"
        hostkeys.ensure(host_keys)
        home = make_home(self.folder / "home", host_keys, MAIN_TOML)
        self._make_certificate(home / "keys" / "ftp", HOST, server=True)
        self._make_key()
        self._make_certificate(self.folder / "client", "client", server=False)
        config = load(home)
        stored = made(PASSWORD)
        customers = Customers(config.paths.keys, lambda: config)
        for user in self.users:
            (home / "config" / "customers" / f"{user}.toml").write_text(CUSTOMER_TOML)
            customers.set_password_hash(user, stored)
            beside = home / "keys" / "customers"
            (beside / f"{user}.pub").write_text(self.key.with_suffix(".pub").read_text())
            (beside / f"{user}.crt").write_text((self.folder / "client.crt").read_text())
        self.daemon = Daemon(home).start()
        doors = self.daemon.status()["doors"]
        self.ports = {door: int(told["port"]) for door, told in doors.items()}

    @property
    def key(self) -> Path:
        """The private key of every customer."""
        return self.folder / "id_ed25519"

    def login(self, user: str, protocol: str, folder: Path, *, by_key: bool) -> Login:
        """Return how a customer logs in."""
        door = "sftp" if protocol == "sftp" else "ftp"
        key = self.key if protocol == "sftp" else self.folder / "client.pem"
        return Login(
            HOST,
            self.ports[door],
            user,
            PASSWORD,
            key if by_key else None,
            folder,
            known_hosts(self.daemon),
            self.daemon.home / "keys" / "ftp.crt",
        )

    def close(self) -> None:
        """End the daemon."""
        if hasattr(self, "daemon"):
            self.daemon.stop()

    # -- what arrived --------------------------------------------------------------------------

    def latest(self, user: str, name: str) -> Delivery | None:
        """Return the last accepted delivery of that name."""
        return self.daemon.ledger().latest_accepted(user, name)

    def content(self, delivery: Delivery) -> bytes:
        """Return the bytes that were kept of a delivery."""
        spool = Spool(self.daemon.paths.spool, reserve_bytes=0)

        def found() -> bytes | None:
            path = spool.path_of(delivery.id)
            try:
                return path.read_bytes() if path else None
            except FileNotFoundError:
                return None  # it is moved this very moment

        return wait_for(f"the bytes of {delivery.name}", found, WAIT_S)

    def count_accepted(self, user: str, prefix: str) -> int:
        """Return how many names that begin like this were accepted."""
        return sum(one.name.startswith(prefix) for one in self.daemon.ledger().accepted_names(user))

    def unfinished(self, user: str) -> list[Delivery]:
        """Return what is open, waits or broke off."""
        return self.daemon.ledger().unfinished(user)

    def was_resumed(self, delivery: Delivery) -> bool:
        """Tell whether a delivery went on where it had broken off."""
        moves = self.daemon.ledger().moves(delivery.id)
        return any(move.cause == Cause.RESUME for move in moves)

    def how_it_stands(self, user: str, name: str) -> str:
        """Describe what there is of a name, for a failure's message."""
        found = self.daemon.ledger().find(customer=user, name=name, limit=5)
        told = (f"{one.state} of {one.size_bytes} bytes" for one in found)
        return ", ".join(told) or "nothing arrived"

    def break_upload(self, user: str, name: str, content: bytes) -> None:
        """Upload the beginning of a file and vanish."""
        with paramiko.Transport((HOST, self.ports["sftp"])) as transport:
            transport.connect(username=user, password=PASSWORD)
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            file = sftp.open(name, "wb", bufsize=0)
            file.write(content)
            transport.sock.close()

        def broken() -> bool:
            found = self.daemon.ledger().find(customer=user, name=name, limit=1)
            return bool(found) and found[0].state is State.BROKEN

        wait_for(f"{name} to be broken", broken, WAIT_S)

    def bugs(self) -> list[str]:
        """Return what the daemon logged as its own failure."""
        found = (*self.daemon.events("request.failed"), *self.daemon.events("control.failed"))
        return [f"{event.get('customer')}: {event.get('request')}" for event in found]

    # -- keys ----------------------------------------------------------------------------------

    def _make_key(self) -> None:
        # Beside it an RSA key in the old PEM form, which is all that JSch and pysftp can read.
        old = self.folder / "id_rsa"
        for words in (
            ("-t", "ed25519", "-C", "matrix", "-f", str(self.key)),
            ("-t", "rsa", "-b", "2048", "-m", "PEM", "-f", str(old)),
        ):
            subprocess.run(("ssh-keygen", "-q", "-N", "", *words), check=True)
        with self.key.with_suffix(".pub").open("a") as both:
            both.write(old.with_suffix(".pub").read_text())

    def _make_certificate(self, path: Path, name: str, *, server: bool) -> None:
        use = "serverAuth" if server else "clientAuth"
        alternative = f"IP:{name}" if server else f"DNS:{name}"
        certificate, key = path.with_suffix(".crt"), path.with_suffix(".key")
        subprocess.run(
            (
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt"),
                *("ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}"),
                *("-addext", f"extendedKeyUsage={use}", "-keyout", key, "-out", certificate),
            ),
            check=True,
            capture_output=True,
        )
        key.chmod(0o600)
        path.with_suffix(".pem").write_text(certificate.read_text() + key.read_text())
