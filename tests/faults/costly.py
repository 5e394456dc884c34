"""What each start of a daemon would work out anew though it is the same: worked out once.

Owns results that the launcher has before it forks: parsed host keys, the hash that no password
fits, whether the clients' password fits its hash, a configuration read once so that what Python
loads for it is there, and the driver of the worker's database. Nothing of it touches a home but to
read it, and none of the daemon's calls on its home falls away.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncssh
from adbc_driver_sqlite import dbapi
from cryptography.hazmat.primitives.serialization import ssh

from tests.daemon import PASSWORD
from tilldrop import config, hostkeys, passwords
from tilldrop.errors import ConfigInvalid
from tilldrop.importer import worker

if TYPE_CHECKING:
    from pathlib import Path

TOKEN_CHARS = 64  # of secrets.token_hex(), of which the hash that no password fits is made


class Costly:
    """Takes the place of the functions that cost most: two thirds of a start."""

    def __init__(self) -> None:
        self._pairs: dict[bytes, asyncssh.SSHKey] = {}
        self._keys: dict[bytes, Any] = {}
        self._fits: set[str] = set()
        self._made, self._matches = passwords.made, passwords.matches
        self._no_one = passwords.made("")
        self._load_key = ssh.load_ssh_private_key
        asyncssh.read_private_key = self._read_private_key  # type: ignore[assignment]
        vars(hostkeys)["load_ssh_private_key"] = self._load_ssh_private_key
        passwords.made = self._hash
        passwords.matches = self._fit
        # DuckDB, which no file of the sweeps is large enough for, would be opened to warm it up.
        worker._warm_up = lambda: None
        dbapi.connect(":memory:").close()

    def load(self, home: Path) -> None:
        """Read what a home has of it."""
        for path in (home / "keys").glob("ssh_host_*_key"):
            self._read_private_key(path)
            self._load_ssh_private_key(path.read_bytes(), None)
        for path in (home / "keys" / "customers").glob("*.password"):
            stored = path.read_text().strip()
            if stored not in self._fits and self._matches(stored, PASSWORD):
                self._fits.add(stored)
        with suppress(ConfigInvalid):  # a command's own folder, in which the home lies
            config.load(home)

    def _read_private_key(self, path: Path) -> asyncssh.SSHKey:
        content = path.read_bytes()
        if content not in self._pairs:
            self._pairs[content] = asyncssh.import_private_key(content)
        return self._pairs[content]

    def _load_ssh_private_key(self, content: bytes, password: bytes | None) -> Any:
        if content not in self._keys:
            self._keys[content] = self._load_key(content, password)
        return self._keys[content]

    def _hash(self, password: str) -> str:
        return self._no_one if len(password) == TOKEN_CHARS else self._made(password)

    def _fit(self, stored: str, password: str) -> bool:
        return (password == PASSWORD and stored in self._fits) or self._matches(stored, password)
